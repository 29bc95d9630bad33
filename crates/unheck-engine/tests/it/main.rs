//! The whole pipeline on loopback: project → lock → layers → image, and every way in which that
//! ends with a message instead.
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod build;
mod support;
