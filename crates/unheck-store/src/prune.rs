//! What the store holds, and making it smaller. Start at [`Store::prune`].
//!
//! The time of the last use is a file's modification time, renewed at most once a day. A process that
//! saw a blob and finds it pruned a moment later gets [`StoreError::Missing`] and fetches it again;
//! with a few days in [`PruneOptions::unused_for`] that does not happen.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use unheck_base::Digest;

use crate::store::own;
use crate::{Store, StoreError, disk};

/// How much the store holds of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `blobs`, `derived/<kind>`, `state` or `tmp`.
    pub kind: String,
    /// Files and, for derived directories, everything in them.
    pub files: u64,
    /// The sum of their lengths in bytes.
    pub bytes: u64,
}

/// What [`Store::prune`] may remove.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Only what was not used for this long.
    pub unused_for: Duration,
    /// Never the blobs with these digests or the derived things with these keys.
    pub keep: BTreeSet<Digest>,
}

/// What [`Store::prune`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blobs, derived files and directories, unfinished downloads.
    pub removed: u64,
    /// The sum of the lengths of their files in bytes.
    pub bytes: u64,
}

impl Store {
    /// What the store holds, sorted by kind. Files that vanish meanwhile are left out.
    ///
    /// # Errors
    /// A directory of the layout cannot be listed.
    pub fn usage(&self) -> Result<Vec<Usage>, StoreError> {
        let mut all: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut count = |kind: String, path: &Path| {
            let (files, bytes) = measure(path);
            let sum = all.entry(kind).or_default();
            sum.0 += files;
            sum.1 += bytes;
        };
        for path in self.blob_files()? {
            count("blobs".to_owned(), &path);
        }
        for (kind, path) in self.derived_files()? {
            count(format!("derived/{kind}"), &path);
        }
        for area in ["state", "tmp"] {
            for path in list(&self.area(area))? {
                count(area.to_owned(), &path);
            }
        }
        let usage = |(kind, (files, bytes))| Usage { kind, files, bytes };
        Ok(all.into_iter().map(usage).collect())
    }

    /// Removes what was not used lately. Derived directories and downloads that a process uses at
    /// this moment stay.
    ///
    /// # Errors
    /// The first thing that cannot be listed or removed.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned, StoreError> {
        let now = self.now()?;
        let mut pruned = Pruned::default();
        let blobs = self.blob_files()?;
        let derived = self.derived_files()?.into_iter().map(|(_, path)| path);
        for path in blobs.into_iter().chain(derived) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kept = name
                .parse::<Digest>()
                .is_ok_and(|digest| options.keep.contains(&digest));
            if !kept && is_unused(&path, now, options.unused_for) {
                self.prune_one(&path, &mut pruned)?;
            }
        }
        for path in list(&self.area("tmp"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let partial = name.starts_with(crate::store::PARTIAL);
            if partial && is_unused(&path, now, options.unused_for) {
                self.prune_one(&path, &mut pruned)?;
            }
        }
        // Left by killed processes; who holds a lock keeps its file.
        for path in list(&self.area("locks"))? {
            if let Some(_guard) = own(&path) {
                disk::remove_any(&path)?;
            }
        }
        Ok(pruned)
    }

    fn prune_one(&self, path: &Path, pruned: &mut Pruned) -> Result<(), StoreError> {
        // Readers of plain files keep what they have open; directories and downloads are locked.
        let Some(_guard) = own(path) else {
            return Ok(());
        };
        let (_, bytes) = measure(path);
        let trash = self.trash()?;
        let moved = trash.path().join("old");
        match fs_err::rename(path, &moved) {
            Ok(()) => disk::remove_any(&moved)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("remove", path, error)),
        }
        pruned.removed += 1;
        pruned.bytes += bytes;
        Ok(())
    }

    /// The present time by the clock of the file system, with which the times of use compare.
    fn now(&self) -> Result<SystemTime, StoreError> {
        let file = self.temp_file()?;
        let found = file.as_file().metadata().and_then(|found| found.modified());
        found.map_err(|source| StoreError::io("look at", file.path(), source))
    }

    fn blob_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        for directory in list(&self.area("blobs/sha256"))? {
            files.extend(list(&directory)?);
        }
        Ok(files)
    }

    fn derived_files(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let mut files = Vec::new();
        for directory in list(&self.area("derived"))? {
            let kind = directory.file_name().unwrap_or_default().to_string_lossy();
            let found = list(&directory)?.into_iter();
            files.extend(found.map(|path| (kind.to_string(), path)));
        }
        Ok(files)
    }
}

/// The sorted paths in a directory; what is no directory is empty.
fn list(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let fail = |source| StoreError::io("list", directory, source);
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(fail(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(fail)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Files and bytes at and below a path; follows no symlink, leaves out what vanishes.
fn measure(path: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut todo = vec![path.to_owned()];
    while let Some(path) = todo.pop() {
        let Ok(found) = path.symlink_metadata() else {
            continue;
        };
        if found.is_dir() {
            todo.extend(list(&path).unwrap_or_default());
        } else {
            files += 1;
            bytes += found.len();
        }
    }
    (files, bytes)
}

fn is_unused(path: &Path, now: SystemTime, limit: Duration) -> bool {
    let used = path.symlink_metadata().and_then(|found| found.modified());
    used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age >= limit))
}
