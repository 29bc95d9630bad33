//! What the library and the launcher's own program must agree on, compiled by both: formats as data, read strictly.
//!
//! Needs no standard library (`core` and `alloc`), reads no file and allocates little. The launch description is in
//! `launch`, the payload of an executable in `payload` (index) and `trailer`, what is asked of the host in `host`.

pub(crate) mod code;
pub(crate) mod elf;
pub(crate) mod host;
pub(crate) mod launch;
pub(crate) mod ldcache;
pub(crate) mod path;
pub(crate) mod payload;
pub(crate) mod trailer;
pub(crate) mod xxh64;
