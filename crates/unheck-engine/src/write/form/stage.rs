//! The part of a relocatable artifact below the app, unpacked once into the store.
//!
//! Directories that are written as artifacts share these files by hard links, so each file is
//! read-only, has the one date, and is looked at before each use: where somebody wrote into one
//! of them through an artifact, the whole part is thrown away and made again.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_store::{Derived, DerivedDir, Object, ProduceError, Store};

use super::dir::directory;
use super::{MTIME, WriteFormError, describe};
use crate::assemble::PackReader;
use crate::finding::Finding;
use crate::form::{FormFile, FormNode};
use crate::steps::{Relocated, is_launcher};
use crate::tree::{Content, Kind, Node, Tree};

/// Kind of the derived directories; raised whenever what is in them would differ.
pub(crate) const KIND: &str = "form-1";
/// The files.
const TREE: &str = "tree";
/// What is known of them.
const RECORD: &str = "record.json";
/// Longest record that is read.
const MAX_RECORD: u64 = 1 << 30;

/// The part below the app.
pub(crate) struct Below {
    dir: DerivedDir,
    key: Digest,
    record: Record,
}

/// What is remembered of the part below the app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What the launch description is made of.
    pub(crate) relocated: Relocated,
    /// Every file and link.
    pub(crate) files: BTreeMap<TreePath, FormFile>,
    /// Files and bytes left out, by reason.
    pub(crate) trimmed: BTreeMap<String, (u64, u64)>,
    /// Top-level names among the installed distributions, which the app must not take.
    pub(crate) site: std::collections::BTreeSet<String>,
    /// The list of what was left out, where no step put one into the tree.
    pub(crate) left_out: String,
    /// Bytes with the tree's own libraries, and without.
    pub(crate) sizes: Sizes,
    /// What trimming could not tell from reading.
    pub(crate) findings: Vec<Finding>,
}

/// Unpacked bytes of the part below the app, by whose libraries are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// With loader, libc and all other libraries.
    #[serde(rename = "static")]
    pub with_libraries: u64,
    /// Python and distributions alone.
    #[serde(rename = "dynamic")]
    pub without: u64,
}

impl Record {
    /// Bytes of all files together, the launcher's once.
    pub(crate) fn unpacked(&self) -> u64 {
        let launcher = self.files.values().find(|file| file.is_launcher());
        let others = self.files.values().filter(|file| !file.is_launcher());
        launcher
            .into_iter()
            .chain(others)
            .map(|file| file.what.len())
            .sum()
    }
}

impl Below {
    /// The part under a key, where it is there and as it was written.
    pub(crate) fn find(store: &Store, key: &Digest) -> Result<Option<Self>, WriteFormError> {
        let derived = store.derived(KIND, key);
        let Some(dir) = derived.dir()? else {
            return Ok(None);
        };
        let found = Self::read(dir, key);
        match found.map(|below| (below.damage(), below)) {
            Some((None, below)) => Ok(Some(below)),
            Some((Some(_), _)) | None => {
                derived.discard()?;
                Ok(None)
            }
        }
    }

    /// Unpacks a tree under a key.
    pub(crate) fn make(
        store: &Store,
        key: &Digest,
        tree: &Tree,
        record: impl FnOnce(BTreeMap<TreePath, FormFile>) -> Record,
    ) -> Result<Self, WriteFormError> {
        let derived: Derived = store.derived(KIND, key);
        let reader = PackReader::new(store);
        let fill = |directory: &Path| -> Result<(), WriteFormError> {
            let root = directory.join(TREE);
            let failed = |source| WriteFormError::Output {
                path: root.clone(),
                source,
            };
            fs_err::create_dir(&root).map_err(failed)?;
            let files = unpack(tree, &reader, &root)?;
            let bytes = serde_json::to_vec(&record(files)).expect("names, numbers and digests");
            fs_err::write(directory.join(RECORD), bytes).map_err(failed)
        };
        let dir = derived.dir_with(fill).map_err(|error| match error {
            ProduceError::Store(error) => error.into(),
            ProduceError::Produce(error) => error,
        })?;
        let path = dir.path().to_owned();
        Self::read(dir, key).ok_or_else(|| WriteFormError::Output {
            path,
            source: io::ErrorKind::InvalidData.into(),
        })
    }

    fn read(dir: DerivedDir, key: &Digest) -> Option<Self> {
        let bytes = crate::verify::view::read(&dir.path().join(RECORD), MAX_RECORD).ok()?;
        let record = serde_json::from_slice(&bytes).ok()?;
        Some(Self {
            dir,
            key: *key,
            record,
        })
    }

    /// What is remembered.
    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    /// Every file and link.
    pub(crate) const fn files(&self) -> &BTreeMap<TreePath, FormFile> {
        &self.record.files
    }

    /// Where a file is on disk.
    pub(crate) fn place(&self, path: &TreePath) -> PathBuf {
        self.root().join(path.as_str())
    }

    /// The directory of all of them.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join(TREE)
    }

    /// The digest of all that decides it.
    pub(crate) const fn key(&self) -> Digest {
        self.key
    }

    /// What it is called where it is damaged.
    pub(crate) fn object(&self) -> Object {
        Object::Derived {
            kind: KIND.to_owned(),
            key: self.key,
        }
    }

    /// The first file that is not as it was written, by length, mode and date.
    fn damage(&self) -> Option<TreePath> {
        let root = self.root();
        let list: Vec<(&TreePath, &FormNode)> = self
            .files()
            .iter()
            .map(|(path, file)| (path, &file.what))
            .collect();
        // Directory by directory: names are looked up from where they are, not from the top.
        let directories: Vec<_> = list
            .chunk_by(|(one, _), (other, _)| directory(one) == directory(other))
            .collect();
        let damaged = directories.par_iter().find_map_any(|files| {
            let (first, _) = files.first()?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(place) = rustix::fs::open(root.join(directory(first)), flags, Mode::empty())
            else {
                return Some(*first);
            };
            let mut files = files.iter();
            let damaged = files.find(|(path, what)| !is_as_written(&place, path.file_name(), what));
            damaged.map(|(path, _)| *path)
        });
        damaged.cloned()
    }
}

/// Whether a name in a directory is what was written there.
fn is_as_written(directory: &OwnedFd, name: &str, what: &FormNode) -> bool {
    let Ok(found) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return false;
    };
    let kind = FileType::from_raw_mode(found.st_mode);
    match what {
        FormNode::Link { .. } => kind == FileType::Symlink,
        FormNode::File {
            len, executable, ..
        } => {
            kind == FileType::RegularFile
                && u64::try_from(found.st_size) == Ok(*len)
                && found.st_mode & 0o7777 == mode(*executable)
                && found.st_mtime == MTIME
        }
    }
}

/// The permission bits of a file in a directory: nobody writes.
pub(super) const fn mode(executable: bool) -> u32 {
    if executable { 0o555 } else { 0o444 }
}

/// Writes the nodes of a tree below a directory; answers what was written.
fn unpack(
    tree: &Tree,
    reader: &PackReader<'_>,
    root: &Path,
) -> Result<BTreeMap<TreePath, FormFile>, WriteFormError> {
    let output = |path: &Path, source| WriteFormError::Output {
        path: path.to_owned(),
        source,
    };
    let mut files = BTreeMap::new();
    let mut contents: Vec<(&TreePath, &Node, &Content)> = Vec::new();
    // One launcher under many names: one file.
    let mut launcher: Option<&TreePath> = None;
    let mut launchers: Vec<&TreePath> = Vec::new();
    for (path, node) in tree.iter() {
        let place = root.join(path.as_str());
        match &node.kind {
            Kind::Dir => {
                fs_err::create_dir(&place).map_err(|source| output(&place, source))?;
                continue;
            }
            Kind::Symlink(text) => {
                symlink(text, &place).map_err(|source| output(&place, source))?;
            }
            Kind::File(_) if is_launcher(node) && launcher.is_some() => launchers.push(path),
            Kind::File(content) => {
                if is_launcher(node) {
                    launcher = Some(path);
                }
                contents.push((path, node, content));
            }
        }
        files.insert(path.clone(), describe(node));
    }
    contents.par_iter().try_for_each(|(path, node, content)| {
        let place = root.join(path.as_str());
        let mut source = reader
            .open(content)
            .map_err(|source| WriteFormError::Read {
                path: (*path).clone(),
                source,
            })?;
        write_file(&place, &mut source, node.mode & 0o111 != 0)
    })?;
    if let Some(first) = launcher {
        for path in launchers {
            let place = root.join(path.as_str());
            fs_err::hard_link(root.join(first.as_str()), &place)
                .map_err(|source| output(&place, source))?;
        }
    }
    Ok(files)
}

/// Writes a new file that nobody may change.
pub(super) fn write_file(
    place: &Path,
    source: &mut dyn Read,
    executable: bool,
) -> Result<(), WriteFormError> {
    let mut write = || -> io::Result<()> {
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(place)?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read])?;
        }
        seal(file.file(), executable)
    };
    write().map_err(|source| WriteFormError::Output {
        path: place.to_owned(),
        source,
    })
}

/// Mode and date of a file that is written.
pub(super) fn seal(file: &std::fs::File, executable: bool) -> io::Result<()> {
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(MTIME as u64))?;
    file.set_permissions(std::fs::Permissions::from_mode(mode(executable)))
}
