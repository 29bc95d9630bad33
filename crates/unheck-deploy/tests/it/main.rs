//! Deployments to hosts that are shells on this machine: the far side is real, only ssh is not there.

mod faults;
mod flow;
mod kit;
mod locks;
