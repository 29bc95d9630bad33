//! The wall around the resolver and index client: pins in, pins and metadata out.
//!
//! The only crate that names `uv-*` crates; none of their types is in its API. It decides nothing
//! about images and installs nothing. Read [`resolve()`] first, then [`read_lock`], [`pylock_text`] and [`Downloader`].

mod cause;
mod checkout;
mod context;
mod convert;
mod download;
mod error;
mod explain;
mod guard;
mod index;
mod inputs;
mod kept;
mod lock;
mod model;
mod nesting;
mod page;
mod project;
mod pylock;
mod pylock_read;
mod report;
mod resolve;
mod settings;
mod spec;
mod target;

pub use checkout::checkout;
pub use download::{Download, Downloader};
pub use error::{Cause, Fault, FetchError, LockError, ResolveError};
pub use index::{IndexClient, IndexFile, IndexPage, MetadataFile, Tail};
pub use inputs::{
    BuildFailure, Environment, Event, Extras, Groups, IndexSettings, Inputs, Preference,
    PrereleaseMode, Purpose, Reporter, ResolutionMode, ResolveOptions, Source, SourceBuilder,
    SourceTree,
};
pub use kept::Answers;
pub use lock::read_lock;
pub use model::{Artifact, BuildSystem, File, Package, ProjectInfo, Resolution};
pub use project::{read_build_system, read_project};
pub use pylock::{NoHash, pylock_text};
pub use resolve::{build_constraints, resolve};
pub use target::{Arch, Libc, Target, TargetError, python_allowed};

/// The deepest nesting of brackets in a marker, TOML or JSON text that is parsed.
pub const MAX_NESTING: usize = 100;
