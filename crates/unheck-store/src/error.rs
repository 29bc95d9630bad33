//! What can go wrong with the store itself. Start at [`StoreError`].

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use unheck_base::Digest;

use crate::corrupt::Corruption;

/// An operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, the quota or the process's file size limit is exhausted.
    #[error("no space left to write `{}`", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The store, or a part of it, may not be written or read by this user.
    #[error("the store does not let this user {action} `{}`", path.display())]
    Forbidden {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The blob is not in the store.
    #[error("the store has no blob `{digest}`")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// Something in the store is not what was once written.
    #[error("cannot use the {}", .0.object)]
    Corrupt(#[from] Corruption),
    /// Content offered to the store has another digest than was announced.
    #[error("the content has the digest `{found}`, not `{expected}`")]
    WrongDigest {
        /// The digest announced.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// Content offered to the store has another size than was announced.
    #[error("the content has {found} bytes or more, not the announced {expected}")]
    TooLong {
        /// The size announced, in bytes.
        expected: u64,
        /// How many bytes had come when it was refused.
        found: u64,
    },
    /// Content offered to the store ended too early.
    #[error("the content has {found} bytes, not the announced {expected}")]
    TooShort {
        /// The size announced, in bytes.
        expected: u64,
        /// How many bytes came.
        found: u64,
    },
    /// The reader that gives the content failed.
    #[error("cannot read the content that is to be stored")]
    Input {
        /// The reader's answer.
        source: io::Error,
    },
    /// The directory has files of somebody else in it.
    #[error("`{}` is no store: it has `{found}` in it", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// The first name that does not belong there.
        found: String,
    },
    /// Everybody may write the directory, so what is derived from blobs could not be trusted.
    #[error("the store `{}` can be written by everybody (mode {mode:04o})", path.display())]
    WorldWritable {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The store has another layout.
    #[error("`{}` says that the store has the layout `{found}`, and this version knows only `{known}`", path.display())]
    Version {
        /// The `VERSION` file.
        path: PathBuf,
        /// What it says (at most 40 characters).
        found: String,
        /// The layout of this version.
        known: &'static str,
    },
    /// A kind or a name given by the caller cannot be a file name.
    #[error(
        "`{name}` cannot name a part of the store (lower-case letters, digits, `-` and `.` only)"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// A JSON document of the store cannot be written from or read into the caller's type.
    #[error("the state document `{name}` does not have the expected shape")]
    Shape {
        /// The document.
        name: String,
        /// The reason.
        source: serde_json::Error,
    },
    /// A derived file is larger than the caller wants to hold in memory.
    #[error("`{}` has {found} bytes, more than the limit of {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The caller's limit in bytes.
        limit: u64,
    },
}

impl StoreError {
    /// Sorts a failure of the file system into the variants that callers treat differently.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let source = bare(source);
        match source.kind() {
            kind if is_full(kind) => Self::NoSpace { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Forbidden {
                    action,
                    path,
                    source,
                }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether the cause is a full disk, an exhausted quota or a file size limit (exit code 5).
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }

    /// What the user can do about it, as an imperative.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSpace { .. } => Some(
                "make room, remove what was not used lately from the store, or choose a store on another disk"
                    .to_owned(),
            ),
            Self::Forbidden { .. } => {
                Some("choose a store that this user owns, or correct its owner".to_owned())
            }
            Self::NotAStore { .. } => Some("choose an empty or a new directory".to_owned()),
            Self::WorldWritable { path, .. } => {
                Some(format!("run `chmod o-w {}`, or choose another directory", path.display()))
            }
            Self::Version { path, .. } => Some(format!(
                "choose another directory, or remove `{}`: everything in it can be fetched or computed again",
                path.parent().unwrap_or(path).display()
            )),
            _ => None,
        }
    }
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

/// The system's own error without the path that `fs_err` added: the variants above name it.
fn bare(error: io::Error) -> io::Error {
    let mut code = error.raw_os_error();
    let mut cause: Option<&(dyn Error + 'static)> =
        error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let (None, Some(inner)) = (code, cause) {
        code = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        cause = inner.source();
    }
    code.map_or(error, io::Error::from_raw_os_error)
}
