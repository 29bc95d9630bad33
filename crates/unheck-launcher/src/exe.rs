//! The one-file executable: the launcher with a tree appended. Start at [`Exe::write`].

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use unheck_base::{Digest, TreePath};

/// A tree that becomes one executable file. It must hold a launch description as a file at [`crate::LAUNCH_PATH`].
#[derive(Debug, Clone, Default)]
pub struct Exe {
    /// Every path. Missing parent directories are added with mode 0755.
    pub entries: BTreeMap<TreePath, Entry>,
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Dir {
        /// Permission bits.
        mode: u32,
    },
    /// A regular file. Files with equal content and mode are stored once and unpacked as hard links.
    File {
        /// Permission bits, at most 0o777.
        mode: u32,
        /// Length in bytes.
        len: u64,
        /// SHA-256 of the content; what is read is checked against it.
        digest: Digest,
    },
    /// A symbolic link; its text must be relative and stay inside the tree.
    Symlink {
        /// The text.
        target: String,
    },
    /// The launcher itself, e.g. at `usr/bin/python3.13`. Costs no bytes: it is copied from the executable's own head.
    Launcher,
}

/// Opens the content of files, by path, from several threads.
pub trait Contents: Sync {
    /// A reader of the content of a regular file of the tree.
    ///
    /// # Errors
    ///
    /// Whatever the disk says.
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + '_>>;
}

/// How the payload is written. None of it changes what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExeOptions {
    /// zstd level, 1 to 22. [`ExeOptions::SMALL`] has the level for artifacts.
    pub level: i32,
    /// Whether `--self-check` and `--unpack DIR` are taken from the command line when they are all there is on it.
    /// The variable `UNHECK_EXE` does the same in any case.
    pub flags: bool,
}

impl ExeOptions {
    /// Smallest file.
    pub const SMALL: Self = Self {
        level: 19,
        flags: true,
    };
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the file in bytes.
    pub len: u64,
    /// What the tree is called in caches: SHA-256 of the payload's index.
    pub content: Digest,
}

/// An executable could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExeError {
    /// The tree has no launch description.
    #[error("the tree has no launch description at `{}`", crate::LAUNCH_PATH)]
    NoLaunch,
    /// A link leads out of the tree or is absolute.
    #[error("the link `{path}` leads to `{target}`, outside of the tree")]
    LinkOut {
        /// The link.
        path: TreePath,
        /// Its text.
        target: String,
    },
    /// A path goes through something that is no directory.
    #[error("`{path}` goes through `{through}`, which is no directory")]
    ThroughFile {
        /// The path.
        path: TreePath,
        /// What is in its way.
        through: TreePath,
    },
    /// A file could not be read.
    #[error("cannot read `{path}` for the executable")]
    Read {
        /// The file.
        path: TreePath,
        /// What the disk says.
        #[source]
        source: io::Error,
    },
    /// A file is not what the tree says.
    #[error("`{path}` changed while it was written: expected {expected}, read {got}")]
    Changed {
        /// The file.
        path: TreePath,
        /// The digest in the tree.
        expected: Digest,
        /// The digest of what was read.
        got: Digest,
    },
    /// The output could not be written.
    #[error("cannot write the executable")]
    Write(#[source] io::Error),
}

impl Exe {
    /// Writes the file: the launcher, then the payload. Deterministic; frames are compressed on all cores of the
    /// current rayon pool. The caller makes the file executable.
    ///
    /// # Errors
    ///
    /// See [`ExeError`].
    pub fn write(
        &self,
        stub: &[u8],
        contents: &dyn Contents,
        options: ExeOptions,
        output: &mut dyn Write,
    ) -> Result<Written, ExeError> {
        let _ = (stub, contents, options, output);
        Err(ExeError::NoLaunch)
    }
}
