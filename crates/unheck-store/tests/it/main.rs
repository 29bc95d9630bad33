//! The store against a hostile world: killed writers, full disks, rot, and bad servers.

mod crash;
mod fetch;
mod full_disk;
mod rot;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in a child process: the store's directory.
const CHILD_ROOT: &str = "UNHECK_STORE_TEST_ROOT";

/// The store's directory when this process is a child of a test; `None` in a normal test run.
#[expect(
    clippy::disallowed_methods,
    reason = "how a test talks to its child process"
)]
fn child_root() -> Option<PathBuf> {
    std::env::var_os(CHILD_ROOT).map(PathBuf::from)
}

/// The arguments after the program that run one test of this binary as a child.
fn child(test: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("current_exe"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(CHILD_ROOT, root);
    command.stdout(std::process::Stdio::null());
    command
}

/// Deterministic bytes that no compression or hole can make small.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Every file and directory below `top`, relative, sorted.
fn tree(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs_err::read_dir(&directory).expect("read_dir") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                todo.push(path.clone());
            }
            found.push(path.strip_prefix(top).expect("below").display().to_string());
        }
    }
    found.sort();
    found
}
