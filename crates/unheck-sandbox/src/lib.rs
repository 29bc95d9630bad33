//! Rootless namespaces: run a command in a root that is not the host's.
