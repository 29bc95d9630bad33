//! Transforms of a tree. Each is pure: a tree in, a tree and what changed out.

mod bytecode;
mod dedupe;
pub mod imports;
pub mod left_out;
mod loads;
mod metadata;
pub(crate) mod optional;
mod record;
mod relocate;
mod strip;
mod trim;

pub use bytecode::{Bytecode, BytecodeError, BytecodeRequest, Compiled, bytecode, compiling_root};
pub(crate) use bytecode::{bytecode_of, cached_source};
pub use dedupe::{Linked, dedupe};
pub use metadata::shorten_metadata;
pub(crate) use record::recorded_path;
pub use record::{rewrite_checksums, rewrite_records};
pub use relocate::{
    RelocateError, Relocated, Relocation, Started, relocate, relocate_app, relocated_sizes,
};
pub(crate) use relocate::{has_argv0, is_launcher, launcher_node, python_flags};
pub use strip::{StripTreeError, strip};

/// A file that lost bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortened {
    /// Its place.
    pub path: unheck_base::TreePath,
    /// How many bytes it lost.
    pub saved: u64,
    /// What they were.
    pub reason: &'static str,
}
pub(crate) use trim::may_be_left_out;
pub use trim::{Removed, TrimFacts, TrimLevel, trim};
