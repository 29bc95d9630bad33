//! Advisory locks between processes, and between threads, by `flock(2)`.
//!
//! A lock dies with the process that holds it, so it cannot be stale. The file of a lock is
//! removed when the lock is given back; who waited for the removed file notices and opens the new
//! one. Start at [`crate::Store::lock`]. On a file system without `flock` nothing is locked: the store
//! stays right, only work may be done twice.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use unheck_base::Digest;

use crate::{Store, StoreError, disk};

/// A lock that is held; given back on drop.
#[derive(Debug)]
pub struct LockGuard {
    path: PathBuf,
    // Closed after `drop` has removed the file.
    _file: fs_err::File,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}

impl Store {
    /// Waits until the lock `name` (any text) is free and takes it.
    ///
    /// Two guards of one name exclude each other in one process too; a thread that takes the same
    /// name twice waits for itself for ever.
    ///
    /// # Errors
    /// The lock file cannot be created.
    pub fn lock(&self, name: &str) -> Result<LockGuard, StoreError> {
        let path = self.lock_path(name);
        loop {
            let file = open_lock_file(&path)?;
            flock(&file).map_err(|source| StoreError::io("lock", &path, source))?;
            if let Some(guard) = LockGuard::of_current(file, &path)? {
                return Ok(guard);
            }
        }
    }

    /// Takes the lock `name` if it is free, `None` otherwise.
    ///
    /// # Errors
    /// The lock file cannot be created.
    pub fn try_lock(&self, name: &str) -> Result<Option<LockGuard>, StoreError> {
        let path = self.lock_path(name);
        loop {
            let file = open_lock_file(&path)?;
            if !try_flock(file.file()).map_err(|source| StoreError::io("lock", &path, source))? {
                return Ok(None);
            }
            if let Some(guard) = LockGuard::of_current(file, &path)? {
                return Ok(Some(guard));
            }
        }
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        let seen: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(40)
            .collect();
        let digest = Digest::of(name.as_bytes()).hex();
        self.area("locks").join(format!("{seen}-{}", &digest[..32]))
    }
}

impl LockGuard {
    /// The guard, unless the file was removed by its last owner before we got it.
    fn of_current(file: fs_err::File, path: &Path) -> Result<Option<Self>, StoreError> {
        let open = file
            .metadata()
            .map_err(|source| StoreError::io("look at", path, source))?;
        if open.nlink() == 0 || !disk::is_same_file(&open, path) {
            return Ok(None);
        }
        let path = path.to_owned();
        Ok(Some(Self { path, _file: file }))
    }
}

fn open_lock_file(path: &Path) -> Result<fs_err::File, StoreError> {
    let mut options = fs_err::OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    options
        .open(path)
        .map_err(|source| StoreError::io("create the lock", path, source))
}

/// Takes an exclusive `flock`; `false` when somebody else has it.
pub(crate) fn try_flock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => tolerate(Err(error)).map(|()| true),
    }
}

/// Takes a shared `flock`; `false` when somebody has it exclusively.
pub(crate) fn try_flock_shared(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => tolerate(Err(error)).map(|()| true),
    }
}

/// Waits for an exclusive `flock`, through signals.
pub(crate) fn flock(file: &fs_err::File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return tolerate(other),
        }
    }
}

/// Takes "there are no locks here" (ENOTSUP, ENOLCK, ENOSYS) for success.
fn tolerate(result: io::Result<()>) -> io::Result<()> {
    const NONE: [rustix::io::Errno; 3] = [
        rustix::io::Errno::NOTSUP,
        rustix::io::Errno::NOLCK,
        rustix::io::Errno::NOSYS,
    ];
    match result {
        Err(error)
            if NONE
                .iter()
                .any(|code| error.raw_os_error() == Some(code.raw_os_error())) =>
        {
            tracing::warn!("the file system of the store has no locks: {error}");
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::Store;

    #[test]
    fn a_lock_excludes_until_it_is_dropped_and_leaves_no_file() {
        let top = tempfile::tempdir().expect("tempdir");
        let store = Store::open(top.path()).expect("store");
        let held = store.lock("resolve a/b").expect("lock");
        assert!(store.try_lock("resolve a/b").expect("try").is_none());
        assert!(store.try_lock("resolve a-b").expect("try").is_some());
        drop(held);
        assert!(store.try_lock("resolve a/b").expect("try").is_some());
        let left = fs_err::read_dir(top.path().join("locks"))
            .expect("read_dir")
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn many_threads_are_never_inside_together() {
        let top = tempfile::tempdir().expect("tempdir");
        let store = Store::open(top.path()).expect("store");
        let inside = std::sync::atomic::AtomicU32::new(0);
        let rounds = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _guard = store.lock("one").expect("lock");
                        let order = std::sync::atomic::Ordering::SeqCst;
                        assert_eq!(inside.fetch_add(1, order), 0);
                        rounds.fetch_add(1, order);
                        inside.fetch_sub(1, order);
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 800);
    }
}
