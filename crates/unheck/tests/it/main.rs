//! The program from outside, on worlds served on loopback.

mod attested;
mod build;
mod check;
mod errors;
mod export;
mod help;
mod identify;
mod kit;
mod questions;
mod registry;
mod review;
mod schema;
mod target;
mod vulnerabilities;
