//! The program against the real index and the real Debian archive, and its images in other
//! people's tools. Run with `cargo test -p unheck --test live -- --ignored`.
//!
//! Needs the network, user namespaces and, from Debian: `skopeo`, `umoci`, `runc`, `podman`,
//! `qemu-user-static`, `uidmap`, `chromium`, `docker-registry`, `docker.io`. A test that runs a scanner needs npm. What is missing fails a test and is named; nothing is passed over.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "where tools are and whom the host trusts"
)]

mod airgap;
mod apps;
mod browser;
mod bytecode;
mod docker;
mod examples;
mod foreign;
mod forms;
mod hostile;
mod identify;
mod inputs;
mod kit;
mod locks;
mod native;
mod page;
mod proof;
mod publish;
mod reproducible;
mod review;
mod review_goals;
mod sizes;
mod suites;
mod targets;
mod tools;
mod trim;
