//! Known vulnerabilities as data: records in the OSV schema, how severe they are, and whether a version of a package
//! is affected.
//!
//! Pure: takes bytes and values, reads no file, asks nobody, has no clock. Everything that it reads is foreign: texts
//! are bounded and made printable. Read [`record::Record`] first, then [`subject::judge`] and [`merge::merge`].

pub mod merge;
pub mod order;
pub mod record;
pub mod severity;
pub mod subject;
