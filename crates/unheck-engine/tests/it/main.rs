//! The whole pipeline on loopback: project → lock → layers → image, and every way in which that
//! ends with a message instead.
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod build;
mod closure;
mod hostile;
mod inputs;
mod network;
mod refused;
mod reproducible;
mod store;
mod suites;
mod support;
