//! The launcher, a small static program that starts Python inside a relocatable tree, and the writer of one-file
//! executables, which are that program with a tree appended.
//!
//! [`stub`] gives the program for an architecture, [`Launch`] the description that it reads from [`LAUNCH_PATH`] of
//! its tree, [`Exe`] the one file. The program itself is in `stub/`: a workspace of its own, compiled by this crate's
//! build script. What program and library must agree on is in `wire`, which both compile.

extern crate alloc;

mod exe;
mod launch;
mod read;
#[expect(dead_code, reason = "the other half is for the program in `stub/`")]
mod wire;

pub use exe::{Contents, Entry, Exe, ExeError, ExeOptions, Written};
pub use launch::{
    Argv0, Command, CommandName, Family, Launch, LaunchError, Mode, Need, Variable, When,
};

pub use read::{ExeFile, Item, ItemKind, ReadExeError, Visit};

/// Where the launcher looks for its description, relative to the root of its tree.
pub const LAUNCH_PATH: &str = "usr/share/unheck/launch";

/// An architecture that launchers exist for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// `x86_64`, Debian's `amd64`.
    Amd64,
    /// `aarch64`, Debian's `arm64`.
    Arm64,
}

/// The launcher for an architecture: a static ELF program that needs no libc. The same sources and toolchain give the
/// same bytes wherever the checkout is.
///
/// `None` when this build of unheck has none, because the toolchain that built it could not compile for that
/// architecture. Say so plainly; there is no substitute.
pub fn stub(architecture: Architecture) -> Option<&'static [u8]> {
    match architecture {
        Architecture::Amd64 => stubs::AMD64,
        Architecture::Arm64 => stubs::ARM64,
    }
}

/// Written by the build script.
mod stubs {
    include!(concat!(env!("OUT_DIR"), "/stubs.rs"));
}
