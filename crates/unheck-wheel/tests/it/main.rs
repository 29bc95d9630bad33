//! Tests of whole wheels: hostile ones made byte by byte, good ones, and real ones.

#![expect(
    clippy::unwrap_used,
    reason = "the lint knows the tests of this file's modules, but not their helpers"
)]
#![expect(
    clippy::print_stdout,
    reason = "the live test prints one line for each wheel"
)]

mod glance;
mod hostile;
mod install;
mod live;
mod random;
mod support;
