//! Compiles a distribution of which there is no fitting wheel.

pub mod cargo;
pub mod root;
