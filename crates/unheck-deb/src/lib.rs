//! Debian formats as data: versions, relations, control files, Release, signatures, `.deb`, Contents.
//!
//! Pure: reads no file, asks no network and no clock; the caller gives bytes and the time. Nothing
//! is installed and no maintainer script is run. The chain of trust goes
//! [`signature::Keyring::verify_inrelease`] → [`release::Release::parse`] →
//! [`control::packages`] → [`archive::read_deb`]; the caller compares the digests in between.

pub mod archive;
pub mod contents;
pub mod control;
pub mod date;
mod quote;
pub mod relation;
pub mod release;
pub mod signature;
pub mod version;
