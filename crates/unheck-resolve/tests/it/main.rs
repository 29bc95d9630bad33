//! The room's API against an index on loopback. `world` has the one helper that touches the API.
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod answers;
mod download;
mod inputs;
mod locks;
mod resolve;
mod world;
