//! Output that appears whole or not at all: written under a partial name, then renamed.
//!
//! The partial name is fixed and locked (flock), so that what a killed run left behind is taken over by the next
//! run, and two runs with the same output take turns. Nothing is synced: this guards against a
//! killed process, not against a power cut.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

/// A file or directory beside `path`, held under a lock.
pub(crate) struct Partial {
    /// The partial name.
    pub(crate) path: PathBuf,
    lock: File,
}

/// How often a partial name is opened that other runs keep putting in its place.
const MAX_TRIES: usize = 1_000;

/// `.NAME.partial` beside `path`.
fn partial_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the output has no file name")
    })?;
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(path.with_file_name(partial))
}

impl Partial {
    /// An empty file that shall become `path`.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        let partial = Self::lock(path, |partial| {
            let mut options = fs_err::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
            options.open(partial)
        })?;
        // Not when it is empty already: ext4 takes any truncation to 0 as a sign that the content must
        // reach the disk before `close` returns.
        if partial.lock.metadata()?.len() > 0 {
            partial.lock.set_len(0)?;
        }
        Ok(partial)
    }

    /// An empty directory that shall become `path`.
    pub(crate) fn directory(path: &Path) -> io::Result<Self> {
        let partial = Self::lock(path, |partial| {
            match fs_err::create_dir(partial) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            File::open(partial)
        })?;
        for entry in fs_err::read_dir(&partial.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs_err::remove_dir_all(entry.path())?;
            } else {
                fs_err::remove_file(entry.path())?;
            }
        }
        Ok(partial)
    }

    fn lock(path: &Path, open: impl Fn(&Path) -> io::Result<File>) -> io::Result<Self> {
        let partial = partial_path(path)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let lock = match open(&partial) {
                Ok(lock) => lock,
                // Another run put it in its place just now; a parent that is missing stays so.
                // Some file systems, such as procfs, refuse every new file so.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < MAX_TRIES => {
                    let parent = path.parent().filter(|parent| *parent != Path::new(""));
                    fs_err::metadata(parent.unwrap_or(Path::new(".")))?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            lock.file().lock()?;
            // Whoever held the lock before may have renamed what was opened here.
            let same = fs_err::symlink_metadata(&partial).is_ok_and(|now| {
                let held = lock.metadata();
                held.is_ok_and(|held| (held.dev(), held.ino()) == (now.dev(), now.ino()))
            });
            if same {
                let path = partial;
                return Ok(Self { path, lock });
            }
        }
    }

    /// The open file.
    pub(crate) fn handle(&self) -> &std::fs::File {
        self.lock.file()
    }

    /// Puts the file in the place of `path`, which may exist.
    ///
    /// By an exchange where the file system can do that: ext4 makes a rename onto a file wait until
    /// the new content is on its way to the disk, 0.1 to 0.9 s for 130 MB on a busy machine.
    pub(crate) fn replace_file(self, path: &Path) -> io::Result<()> {
        if fs_err::symlink_metadata(path).is_ok_and(|found| found.is_file())
            && let Ok(_old) = self.exchange(path)
        {
            return fs_err::remove_file(&self.path);
        }
        fs_err::rename(&self.path, path)
    }

    /// Puts the directory in the place of `path`. A directory that stands there goes away: by one
    /// exchange where the file system can do that, else `path` is missing for a moment.
    pub(crate) fn replace_directory(self, path: &Path) -> io::Result<()> {
        if fs_err::symlink_metadata(path).is_err() {
            return fs_err::rename(&self.path, path);
        }
        if let Ok(_old) = self.exchange(path) {
            return fs_err::remove_dir_all(&self.path);
        }
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        let old = PathBuf::from(old);
        fs_err::rename(path, &old)?;
        fs_err::rename(&self.path, path)?;
        fs_err::remove_dir_all(&old)
    }

    /// Gives each the name of the other. What stood at `path` is locked first and given back, so
    /// that nobody takes it over under its partial name before it is removed.
    fn exchange(&self, path: &Path) -> io::Result<File> {
        let old = File::open(path)?;
        old.file().lock()?;
        renameat_with(CWD, &self.path, CWD, path, RenameFlags::EXCHANGE)?;
        Ok(old)
    }

    /// Removes what was written, after an error.
    pub(crate) fn discard(self) {
        // The error that led here matters more than one of the removal.
        let _ = if self.lock.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            fs_err::remove_dir_all(&self.path)
        } else {
            fs_err::remove_file(&self.path)
        };
    }
}
