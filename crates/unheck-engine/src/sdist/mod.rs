//! Distributions of which there is no fitting wheel: what it takes to compile them. Start at [`root`] and [`provide`].

pub mod cargo;
pub mod provide;
pub mod root;
