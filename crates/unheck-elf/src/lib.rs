//! ELF objects as data: needed names, sonames, symbol versions, search paths, dlopen names,
//! strip and `ld.so.cache`.
//!
//! Pure: takes bytes, gives values; reads no file, never asks the host's loader. What the loader
//! reads (program headers and the dynamic segment) is what is reported; section headers are only
//! a hint, because an object works without them. Read [`Object::parse`] first.

pub mod ldcache;
pub mod search;

mod machine;
mod note;
mod object;
mod raw;
mod strings;
mod strip;

pub use machine::{
    Class, Endian, IsaLevel, Kind, Machine, default_dirs, loader_path, multiarch_triplet,
};
pub use note::{DlopenNote, Priority};
pub use object::{ElfError, INTERESTING, Object, is_elf};
pub use strings::{MAX_STRINGS, dlopen_candidates, path_strings};
pub use strip::{StripError, strip_unneeded};
