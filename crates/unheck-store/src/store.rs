//! The store itself: opening, its areas, and the work directory of this process.
//!
//! Start at [`Store::open`].

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::corrupt::Object;
use crate::lock::{flock, try_flock};
use crate::{StoreError, disk};

/// The layout that this version reads and writes.
const LAYOUT: &str = "1";
const AREAS: [&str; 5] = ["blobs", "derived", "locks", "state", "tmp"];
const FILES: [&str; 2] = ["VERSION", "CACHEDIR.TAG"];
/// First line as the Cache Directory Tagging Specification wants it: backups skip the store.
const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# The store of unheck.\n";
/// Prefix of a running process's work directory in `tmp/`.
const SESSION: &str = "s-";
/// Prefix of an unfinished download in `tmp/`.
pub(crate) const PARTIAL: &str = "partial-";
/// Leftovers whose owner cannot be asked are removed after this time.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Unfinished downloads are kept for this time, to be resumed.
const PARTIAL_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A content-addressed store in a directory. Cheap to clone, usable from all threads; any number of
/// processes may use one directory at the same time.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    session: Session,
    opened: SystemTime,
}

/// This process's directory in `tmp/`, locked so that no other takes it for a leftover.
#[derive(Debug)]
struct Session {
    // Removed first, then the lock goes.
    directory: TempDir,
    _lock: fs_err::File,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = disk::remove_any(self.directory.path());
    }
}

impl Store {
    /// Opens the store in `root`, creating it when needed, and removes what dead processes left.
    ///
    /// # Errors
    /// The directory cannot be created or written, everybody may write it, it holds something
    /// else, or its layout is another.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        disk::make_dir(root)?;
        let root = fs_err::canonicalize(root)
            .map_err(|source| StoreError::io("open the directory", root, source))?;
        check_root(&root)?;
        check_version(&root)?;
        for area in AREAS {
            disk::make_dir(&root.join(area))?;
        }
        disk::make_dir(&root.join("blobs/sha256"))?;
        let tmp = root.join("tmp");
        let session = Session::start(&tmp)?;
        let opened = fs_err::metadata(session.directory.path())
            .and_then(|found| found.modified())
            .map_err(|source| StoreError::io("look at", &tmp, source))?;
        clean(&tmp, opened);
        let inner = Inner {
            root,
            session,
            opened,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The store's directory, absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// One of the directories of the layout.
    pub(crate) fn area(&self, name: &str) -> PathBuf {
        self.inner.root.join(name)
    }

    /// The time at which the store was opened, by the clock of its file system.
    pub(crate) fn opened(&self) -> SystemTime {
        self.inner.opened
    }

    /// A new empty directory on the file system of the store, for work that ends with this
    /// process: removed on drop, and by the next [`Store::open`] after a crash.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn temp_dir(&self) -> Result<TempDir, StoreError> {
        let parent = self.inner.session.directory.path();
        tempfile::Builder::new()
            .prefix("d-")
            .permissions(PermissionsExt::from_mode(0o755))
            .tempdir_in(parent)
            .map_err(|source| StoreError::io("create a directory in", parent, source))
    }

    /// A new file that disappears on drop unless it is renamed.
    pub(crate) fn temp_file(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        let parent = self.inner.session.directory.path();
        tempfile::Builder::new()
            .prefix("f-")
            .tempfile_in(parent)
            .map_err(|source| StoreError::io("create a file in", parent, source))
    }

    /// A name in this process's work directory that nobody else uses.
    pub(crate) fn trash(&self) -> Result<TempDir, StoreError> {
        self.temp_dir()
    }

    /// Removes a damaged object (see [`crate::corruption`]), so that it is fetched or computed
    /// again. A blob is looked at first and stays when it is good; absent is fine.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(&self, object: &Object) -> Result<(), StoreError> {
        match object {
            Object::Blob(digest) => self.quarantine(digest).map(drop),
            Object::Derived { kind, key } => self.derived(kind, key).discard(),
            Object::State(name) => disk::remove_any(&self.state_path(name)),
        }
    }
}

impl Session {
    fn start(tmp: &Path) -> Result<Self, StoreError> {
        loop {
            let directory = tempfile::Builder::new()
                .prefix(SESSION)
                .permissions(PermissionsExt::from_mode(0o755))
                .tempdir_in(tmp)
                .map_err(|source| StoreError::io("write into", tmp, source))?;
            // Until it is locked, another process may take it for a leftover and remove it.
            let lock = match fs_err::File::open(directory.path()) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("open", directory.path(), error)),
            };
            flock(&lock).map_err(|source| StoreError::io("lock", directory.path(), source))?;
            let open = lock
                .metadata()
                .map_err(|source| StoreError::io("look at", directory.path(), source))?;
            if disk::is_same_file(&open, directory.path()) {
                return Ok(Self {
                    directory,
                    _lock: lock,
                });
            }
        }
    }
}

/// Refuses a directory that everybody may write or that holds something else.
fn check_root(root: &Path) -> Result<(), StoreError> {
    let found = fs_err::metadata(root).map_err(|source| StoreError::io("look at", root, source))?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o002 != 0 {
        let path = root.to_owned();
        return Err(StoreError::WorldWritable { path, mode });
    }
    let entries = fs_err::read_dir(root).map_err(|source| StoreError::io("list", root, source))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if names.iter().any(|name| name == "VERSION") {
        return Ok(());
    }
    // Another process may be creating the store at this moment.
    names.sort();
    let ours = |name: &String| {
        AREAS.contains(&name.as_str())
            || FILES.contains(&name.as_str())
            || name.starts_with(".new-")
    };
    match names.into_iter().find(|name| !ours(name)) {
        None => Ok(()),
        Some(found) => Err(StoreError::NotAStore {
            path: root.to_owned(),
            found,
        }),
    }
}

/// Reads `VERSION`; writes it into a new store, or again when it was left empty by a power cut.
fn check_version(root: &Path) -> Result<(), StoreError> {
    let path = root.join("VERSION");
    let found = match fs_err::read(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let text = String::from_utf8_lossy(&found[..found.len().min(40)]);
    match text.trim() {
        LAYOUT => Ok(()),
        "" => {
            write_mark(root, "CACHEDIR.TAG", CACHE_TAG)?;
            write_mark(root, "VERSION", &format!("{LAYOUT}\n"))
        }
        other => Err(StoreError::Version {
            path,
            found: other.escape_default().to_string(),
            known: LAYOUT,
        }),
    }
}

fn write_mark(root: &Path, name: &str, text: &str) -> Result<(), StoreError> {
    let path = root.join(name);
    let fail = |source| StoreError::io("create", &path, source);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(root)
        .map_err(fail)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(fail)?;
    disk::install_file(file.as_file(), file.path(), &path)
}

/// Removes from `tmp/` what no running process owns. What cannot be removed stays: it costs room only.
fn clean(tmp: &Path, now: SystemTime) {
    let Ok(entries) = fs_err::read_dir(tmp) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let old = |limit: Duration| {
            let used = entry.metadata().and_then(|found| found.modified());
            used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > limit))
        };
        let limit = if name.starts_with(PARTIAL) {
            Some(PARTIAL_AGE)
        } else if name.starts_with(SESSION) {
            None
        } else {
            Some(LEFTOVER_AGE)
        };
        if limit.is_none_or(old) {
            remove_unowned(&entry.path());
        }
    }
}

/// Removes a file or directory in `tmp/` whose `flock` is free, while holding it.
fn remove_unowned(path: &Path) {
    let Ok(file) = fs_err::File::open(path) else {
        return;
    };
    if file.file().try_lock().is_ok() {
        tracing::debug!(path = %path.display(), "removing what a dead process left");
        if let Err(error) = disk::remove_any(path) {
            tracing::warn!("{error}");
        }
    }
}

/// Takes an exclusive `flock` on a directory or file by its path; `None` when it is in use or gone.
pub(crate) fn own(path: &Path) -> Option<fs_err::File> {
    let file = fs_err::File::open(path).ok()?;
    let taken = try_flock(file.file()).unwrap_or(false);
    let open = file.metadata().ok()?;
    (taken && disk::is_same_file(&open, path)).then_some(file)
}
