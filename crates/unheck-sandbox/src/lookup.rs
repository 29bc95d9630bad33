//! What a command looked for and did not find: [`Watched`], the answer to [`crate::Spec::watch`].
//!
//! Pure values; how they are seen is in `stage::lookups`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Most distinct names that are kept of one sandbox.
pub(crate) const NAMES: usize = 20_000;

/// By what kind of system call a name was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lookup {
    /// `execve`, `execveat`: as `make` and `execvp(3)` search a program.
    Exec,
    /// `open`, `openat`, `openat2`, not to create a file: as a compiler searches a header.
    Open,
    /// `stat`, `lstat`, `newfstatat`, `statx`, `access`, `faccessat`, `faccessat2`: as shells and `shutil.which` search
    /// a program.
    Stat,
}

/// A name that was looked up, did not exist then, and does not exist at the end either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Absolute path inside. The part that exists is without links (`/bin/x` is `/usr/bin/x` where `/bin` is a link);
    /// foreign bytes, which a terminal must not be given as they are.
    #[serde(with = "bytes")]
    pub path: PathBuf,
    /// By what kind of call.
    pub kind: Lookup,
    /// The name of the process that asked first (`comm` of `proc_pid_comm(5)`, at most 15 bytes; of a script the
    /// script's), without control characters. Empty when it was gone.
    pub by: String,
    /// How often.
    pub count: u64,
}

/// What was seen of a command's lookups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Watched {
    /// [`crate::Spec::watch`] was not set.
    #[default]
    NotAsked,
    /// It was set, and this machine cannot: the command ran unwatched.
    Unavailable {
        /// What the kernel refused, and how.
        reason: String,
    },
    /// It was set.
    Seen {
        /// Each name and kind once, in the order of first lookup; at most 20,000, of at most 8 MiB together.
        missing: Vec<Missing>,
        /// Lookups of further missing names, which were not kept; 0 when the list is complete.
        left_out: u64,
    },
}

impl Watched {
    /// The names, none where nothing was watched.
    #[must_use]
    pub fn missing(&self) -> &[Missing] {
        match self {
            Self::Seen { missing, .. } => missing,
            Self::NotAsked | Self::Unavailable { .. } => &[],
        }
    }
}

/// A path as bytes: JSON has only text, and paths are not always.
mod bytes {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(OsString::from_vec(Vec::deserialize(from)?).into())
    }
}
