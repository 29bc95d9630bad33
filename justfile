# `just` lists what there is. CI calls `just ci`'s script directly: see .ci/run.

_list:
    @just --list --unsorted

# Everything that needs no tests: format, lints, this workspace's own rules
check: tidy
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The README's test command: hermetic, no network
test:
    cargo test --workspace

# Builds and runs the examples; needs network, a Debian mirror, skopeo, umoci, runc, podman, qemu-user
test-live:
    cargo test -p unheck --test live -- --ignored --nocapture

# Deploys to hosts that are namespaces of this machine, with sshd and systemd; needs root, openssh, iproute2, systemd
test-hosts:
    cargo test -p unheck-deploy --test live --example tiny-web -- --ignored --nocapture --test-threads 1
    cargo test -p unheck --test hosts -- --ignored --nocapture --test-threads 1

# Speed, memory and size, as in docs/benchmarks.md
bench:
    cargo bench -p unheck

# Rules that no other tool knows: arrows between rooms, module docs, paths in documents
tidy:
    cargo run -p xtask -- tidy

# API documentation of all rooms, private items included
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# What CI runs, all of it
ci:
    .ci/run
