//! Wheels as data: strict zip, RECORD, METADATA, WHEEL, entry points and the install plan.
//!
//! Works on anything that reads and seeks; it opens no file, writes nothing and runs nothing.
//! Every rule is on: each of the popular wheels keeps all of them. A wheel that two readers could
//! read differently, or that says one thing and holds another, is refused with the rule's name.
//! Start at [`Wheel::open`], then [`plan()`] says what goes where and [`Wheel::unpack`] streams it.

mod entry_points;
mod fields;
mod glance;
mod limits;
mod metadata;
mod modules;
mod name;
mod plan;
pub mod record;
mod unpack;
mod version;
mod wheel;
pub mod zip;

pub use entry_points::{EntryPoints, EntryPointsError, ObjectRef};
pub use glance::{Glance, Glanced, TAIL, glance};
pub use limits::{Limit, LimitExceeded, Limits};
pub use metadata::{FieldsError, Metadata, WheelInfo};
pub use modules::{Fact, ModuleKind, modules_of};
pub use name::{ParseWheelNameError, WheelName, normalize_name};
pub use plan::{PlanError, PlanOptions, Planned, Scheme, Source, plan};
pub use unpack::{Sink, UnpackError};
pub use version::same_version;
pub use wheel::{RecordMismatch, SchemeKey, Wheel, WheelError, WheelProblem};
