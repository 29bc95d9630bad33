//! The behaviour of the room, file by file.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its input fails"
)]

mod ldcache;
mod live;
mod object;
mod search;
mod strip;
mod support;
