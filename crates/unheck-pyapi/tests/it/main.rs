//! The behaviour of the room, file by file.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its input fails"
)]

mod api_diff;
mod api_shape;
mod api_uses;
mod facts;
mod graph;
mod imports;
mod live;
mod native;
mod parse;
mod references;
