//! The pipeline: inputs, lock, tree, steps, writers, verify. Start at [`build::build`].
//!
//! The engine has no terminal, no environment and no current directory: a [`session::Session`]
//! holds all that a run works with, an [`event::Reporter`] hears what happens.

pub mod assemble;
pub mod backend;
pub mod bom;
pub mod build;
pub mod check;
pub mod close;
pub mod credentials;
pub mod debian;
pub mod event;
pub mod explain;
pub mod finding;
pub mod form;
pub mod identify;
pub mod input;
pub mod inside;
pub mod interpreter;
pub mod kit;
pub mod layers;
pub mod layout;
pub mod limits;
pub mod lock;
pub mod locker;
pub mod net;
pub mod platform;
mod pool;
pub mod provider;
pub mod publish;
pub mod review;
pub mod roots;
pub mod run;
pub mod scan;
pub mod sdist;
pub mod session;
pub mod size;
pub mod steps;
pub mod tree;
pub mod verify;
pub mod vulnerabilities;
pub mod wheels;
pub mod why;
pub mod write;
