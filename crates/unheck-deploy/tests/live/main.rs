//! Deployments over a real sshd to hosts that are network namespaces of this machine, while a load
//! generator asks each of them without a pause. Run with
//! `cargo test -p unheck-deploy --test live -- --ignored --test-threads 1`.
//!
//! Needs root, `openssh-server`, `openssh-client`, `iproute2` and `systemd`; what is missing fails a test.

mod cut;
mod serve;
mod switch;
mod systemd;
