//! Python source as data: what it imports, which native libraries it opens by name, and which
//! parts of a system it leans on.
//!
//! Pure: takes the bytes of one file, gives values; never runs code and never reads a file. What
//! cannot be known without running (a name from the environment) is left out, not guessed. Every
//! question is answered for Linux: branches for other platforms are marked or skipped. Start at
//! [`parse()`], then [`imports()`], [`references()`], [`native_names`] and [`facts()`].

pub mod api;
mod complete;
mod depth;
mod facts;
mod graph;
mod imports;
mod native;
mod parse;
mod platform;
mod references;
mod values;

pub use facts::{Evidence, SourceFacts, facts};
pub use graph::{Follow, Graph, GraphRules, Ignore, Known, Owner, Shape};
pub use imports::{Context, Import, imports, imports_on};
pub use native::{How, NativeName, native_names};
pub use parse::{MAX_DEPTH, MAX_SOURCE, ParseError, Parsed, SyntaxError, parse};
pub use references::{Computed, Place, Reference, References, When, references};
