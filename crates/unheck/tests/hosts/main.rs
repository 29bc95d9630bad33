//! The program and hosts: sshd and systemd in namespaces of this machine, real artifacts, a load that counts what is
//! lost. Run with `cargo test -p unheck --test hosts -- --ignored --test-threads 1`.
//!
//! Needs root, the network, and from Debian: `openssh-server`, `openssh-client`, `iproute2`, `systemd`. What is
//! missing fails a test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kill;
#[expect(dead_code, reason = "the other live tests need more of it")]
#[path = "../live/kit.rs"]
mod kit;
mod load;
mod world;
