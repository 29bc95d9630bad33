//! The two values that every room of unheck shares: [`Digest`] and [`TreePath`].
//!
//! Nothing else belongs here: no input or output, no format, no error of another room.

mod digest;
mod path;

pub use digest::{Digest, Hasher, ParseDigestError};
pub use path::{TreePath, TreePathError};
