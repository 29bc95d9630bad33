//! Kits: all that a lock needs in one file, for machines without network. Start at [`export()`] and [`KitFile::open`].
//!
//! A kit is a tar archive of regular files, each of which its first, `kit.json`, announces with digest, size and the
//! reason why it is there ([`Manifest`]). Nothing in it is compressed: wheels and Debian packages are. The same lock
//! gives the same bytes. `docs/air-gap.md` describes it for users.
//!
//! Reading believes nothing: an archive whose headers are not, byte for byte, those that its manifest asks for is no
//! kit, and each blob is held against its digest on its way into the store. Only what is asked for leaves the file.

mod collect;
mod error;
mod export;
mod lock;
mod read;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_oci::tar_writer::{Entry as TarEntry, EntryKind};

pub(crate) use error::RELOCK;
pub use error::{ExportError, KitError};
pub use export::{ExportRequest, Exported, Program, Share, export};
pub use lock::{check_lock, hold_to_indexes};
pub use read::KitFile;

/// The form of kits that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The manifest's own name.
const MANIFEST: &str = "kit.json";
/// The lock that the kit is of.
const LOCK: &str = crate::lock::LOCK_FILE;
/// The program that makes artifacts of it.
const PROGRAM: &str = "unheck";
/// Keys that the indexes are signed by.
const KEYS: &str = "keys";
/// Everything else, by digest.
const BLOBS: &str = "blobs/sha256";

/// Longest manifest, in bytes: thirty thousand entries.
const MAX_MANIFEST: u64 = 16 << 20;
/// Longest lock or keyring that is read out of a kit, in bytes.
const MAX_DOCUMENT: u64 = 64 << 20;
/// The date of all files, 1980-01-01, as in artifacts.
const DATE: i64 = 315_532_800;

/// What a kit says of itself, `kit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that wrote it.
    pub unheck: String,
    /// Digest of the lock's text in the kit.
    pub lock: Digest,
    /// Indexes that flags and environment named when the lock was made, without credentials: they are part of what
    /// the lock was made from, and nobody should have to name them where they cannot be reached.
    pub indexes: Vec<String>,
    /// As [`crate::input::LockOptions::exclude_newer`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exclude_newer: Option<String>,
    /// The files, in the order of the archive.
    pub entries: Vec<Entry>,
}

/// One file of a kit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// Where it is in the archive.
    pub path: TreePath,
    /// Its digest.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// What people call it: a file name, or name and version.
    pub name: String,
    /// Why it is here, sorted.
    pub why: Vec<String>,
}

/// What a file of a kit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The lock.
    Lock,
    /// The program.
    Program,
    /// OpenPGP keys.
    Keys,
    /// A wheel of an index.
    Wheel,
    /// A wheel that was compiled while locking.
    CompiledWheel,
    /// The source of a compiled wheel.
    Sdist,
    /// The archive of an interpreter.
    Interpreter,
    /// A Debian package.
    Deb,
    /// A Rust crate.
    Crate,
    /// An `InRelease` or `Packages` file.
    Index,
}

impl Kind {
    /// Its name, as in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Program => "program",
            Self::Keys => "keys",
            Self::Wheel => "wheel",
            Self::CompiledWheel => "compiled-wheel",
            Self::Sdist => "sdist",
            Self::Interpreter => "interpreter",
            Self::Deb => "deb",
            Self::Crate => "crate",
            Self::Index => "index",
        }
    }

    /// Whether its place in the archive is its digest.
    const fn is_blob(self) -> bool {
        !matches!(self, Self::Lock | Self::Program | Self::Keys)
    }

    const fn mode(self) -> u32 {
        match self {
            Self::Program => 0o755,
            _ => 0o644,
        }
    }
}

/// Where a blob stands.
fn blob_path(digest: &Digest) -> TreePath {
    TreePath::new(&format!("{BLOBS}/{}", digest.hex())).expect("hexadecimal digits")
}

/// A path of this module.
fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a constant")
}

/// What tar is told of a file.
fn tar_entry(path: &TreePath, kind: Kind, len: u64) -> TarEntry<'_> {
    TarEntry {
        path,
        mode: kind.mode(),
        uid: 0,
        gid: 0,
        mtime: DATE,
        kind: EntryKind::File { len },
    }
}
