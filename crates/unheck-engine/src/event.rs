//! How the engine speaks: [`Event`]s to one [`Reporter`]. It never prints.

use crate::finding::Finding;

/// A stage of a build, in the order of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Choosing distributions, interpreter and OS files.
    Lock,
    /// Bringing blobs into the store.
    Fetch,
    /// Making layers out of the tree.
    Assemble,
    /// Writing the artifact.
    Write,
    /// Running what was built in the sandbox.
    Verify,
    /// Bringing an image from a registry.
    Pull,
    /// Bringing an image to a registry.
    Push,
}

impl Stage {
    /// The word that is shown while the stage runs.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Lock => "locking",
            Self::Fetch => "fetching",
            Self::Assemble => "assembling",
            Self::Write => "writing",
            Self::Verify => "verifying",
            Self::Pull => "pulling",
            Self::Push => "pushing",
        }
    }
}

/// Something that happened, as it happens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage began; `detail` says on what.
    Started {
        /// Which stage.
        stage: Stage,
        /// What it works on.
        detail: &'a str,
    },
    /// A stage ended, after `millis` milliseconds of wall time.
    Finished {
        /// Which stage.
        stage: Stage,
        /// Its wall time in milliseconds.
        millis: u128,
    },
    /// A download has `done` of `total` bytes; the first event of a label has `done` 0.
    Download {
        /// The file's name.
        label: &'a str,
        /// Bytes that arrived so far.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// A download will be tried again.
    Retry {
        /// The file's name.
        label: &'a str,
        /// Why the last try failed.
        why: &'a str,
    },
    /// A distribution is being compiled; said again each time that it is tried with more.
    Compiling {
        /// Name and version.
        label: &'a str,
        /// Debian packages that were added since the time before.
        with: &'a [&'a str],
    },
    /// A distribution was compiled, or cannot be.
    Compiled {
        /// Name and version.
        label: &'a str,
    },
    /// A line that a build printed, as it stands: hostile to terminals.
    Output {
        /// Name and version of what is being compiled.
        label: &'a str,
        /// The line, without its newline.
        line: &'a str,
    },
    /// A choice that unheck made for the user, said once.
    Note(&'a str),
    /// Something that the user should look at.
    Finding(&'a Finding),
}

/// Takes events; called from several threads.
pub trait Reporter: Send + Sync {
    /// Takes one event in. Must not block for long.
    fn event(&self, event: Event<'_>);
}

/// A reporter that hears everything and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: Event<'_>) {}
}
