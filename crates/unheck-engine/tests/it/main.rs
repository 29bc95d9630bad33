//! The whole pipeline on loopback: project → lock → layers → image, and every way in which that
//! ends with a message instead.
#![expect(clippy::unwrap_used, reason = "test code: a panic is the report")]
#![expect(
    clippy::too_many_lines,
    reason = "the expected text stands beside what it is of"
)]

mod airgap;
mod build;
mod buildroot;
mod cargo;
mod check;
mod closure;
mod forms;
mod hostile;
mod inputs;
mod limits;
mod network;
mod provide;
mod refused;
mod reproducible;
mod scanner;
mod sizes;
mod store;
mod suites;
mod support;
mod trim;
