//! The few things done with directories and files: make, rename into place, remove, touch.
//!
//! Modes are set explicitly, so that the result does not depend on the umask: directories 0755,
//! finished files 0444. Start at [`install_file`].

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, mkdirat};

use crate::StoreError;

/// How stale a file's time of last use may get before a use writes it again.
const TOUCH_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a directory and those above it; one that exists is fine.
pub(crate) fn make_dir(path: &Path) -> Result<(), StoreError> {
    let fail = |code: rustix::io::Errno| StoreError::io("create the directory", path, code.into());
    match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) if path.is_dir() => Ok(()),
        Err(rustix::io::Errno::NOENT) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                make_dir(parent)?;
                match mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
                    Err(code) => Err(fail(code)),
                }
            }
            _ => Err(fail(rustix::io::Errno::NOENT)),
        },
        Err(code) => Err(fail(code)),
    }
}

/// Gives a finished file its mode and its final name, replacing what is there: a blob that
/// rotted is healed by the good one. Both paths are on one file system.
pub(crate) fn install_file(file: &std::fs::File, from: &Path, to: &Path) -> Result<(), StoreError> {
    file.set_permissions(Permissions::from_mode(0o444))
        .map_err(|source| StoreError::io("set the mode of", from, source))?;
    rename(from, to)
}

/// Renames `from` to `to`; makes the directory of `to`, and removes a directory that stands
/// where a file belongs.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    // Each obstacle is cleared at most a few times: another process may put it back.
    for _ in 0..4 {
        let error = match fs_err::rename(from, to) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::NotFound if from.symlink_metadata().is_ok() => {
                if let Some(parent) = to.parent() {
                    make_dir(parent)?;
                }
            }
            io::ErrorKind::IsADirectory => remove_any(to)?,
            _ => return Err(StoreError::io("create", to, error)),
        }
    }
    fs_err::rename(from, to).map_err(|source| StoreError::io("create", to, source))
}

/// Removes a file, symlink or whole directory; nothing there is fine.
pub(crate) fn remove_any(path: &Path) -> Result<(), StoreError> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| StoreError::io("remove", path, source)),
    };
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("look at", path, error)),
        Ok(found) if !found.is_dir() => gone(fs_err::remove_file(path)),
        Ok(_) => match fs_err::remove_dir_all(path) {
            // A tree unpacked from an archive can have directories without the write bit.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_dirs(path);
                gone(fs_err::remove_dir_all(path))
            }
            other => gone(other),
        },
    }
}

/// Sets `u+rwx` on a directory and all below it, as far as possible; follows no symlink.
fn open_dirs(top: &Path) {
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        let _ = fs_err::set_permissions(&directory, Permissions::from_mode(0o700));
        let Ok(entries) = fs_err::read_dir(&directory) else {
            continue;
        };
        let dirs = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        todo.extend(dirs.map(|entry| entry.path()));
    }
}

/// Notes that a file is in use, in its modification time, at most once a day. Failing is fine:
/// the store may belong to somebody else or be read-only.
pub(crate) fn touch(file: &std::fs::File, found: &Metadata, now: SystemTime) {
    if is_stale(found, now) {
        let _ = file.set_modified(now);
    }
}

/// Whether [`touch`] would write.
pub(crate) fn is_stale(found: &Metadata, now: SystemTime) -> bool {
    let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    now.duration_since(used).is_ok_and(|age| age > TOUCH_EVERY)
}

/// Whether `path` still leads to the open file `open`.
pub(crate) fn is_same_file(open: &Metadata, path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| found.ino() == open.ino() && found.dev() == open.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_without_the_write_bit_are_removed_too() {
        let top = tempfile::tempdir().expect("tempdir");
        let tree = top.path().join("tree");
        make_dir(&tree.join("a/b")).expect("make");
        fs_err::write(tree.join("a/b/file"), "x").expect("write");
        for directory in ["a/b", "a"] {
            let mode = Permissions::from_mode(0o500);
            fs_err::set_permissions(tree.join(directory), mode).expect("mode");
        }
        std::os::unix::fs::symlink("/nowhere", tree.join("link")).expect("link");
        remove_any(&tree).expect("remove");
        assert!(!tree.exists());
        remove_any(&tree).expect("nothing there is fine");
    }
}
