//! Distributions that come as source: compiled while locking, in a root made of Debian packages, without network and
//! without anything of the host. Start at `compile::Compiler`.
//!
//! A build that fails is read, by its log and by what it looked for and did not find; what it lacked is looked up in
//! Debian's indexes and added, and it is built again. What was found is in the lock. The parts: [`source`] places a
//! tree, [`root`] makes the build root, `frontend` runs one hook of the backend (PEP 517), `unheck-buildlog` reads what
//! it said, [`provide`] finds packages, `memory` remembers.

mod app;
mod builder;
pub mod cargo;
mod carry;
mod compile;
mod crates;
mod error;
pub(crate) mod frontend;
mod headers;
mod jobs;
mod look;
mod memory;
mod options;
mod permits;
mod probes;
pub mod provide;
pub(crate) mod requires;
mod restore;
pub mod root;
pub mod source;
mod workshop;

pub(crate) use app::{app_wheel, is_compiled, lock_app};
pub(crate) use builder::NotYet;
pub(crate) use carry::crate_wants;
pub(crate) use compile::Compiler;
pub use error::{Failure, SdistError};
pub(crate) use jobs::{Origin, origin};
pub use options::{BuildOptions, Setting};
pub(crate) use requires::Asking;
pub use restore::{rebuild_check, restore, trees_changed};
