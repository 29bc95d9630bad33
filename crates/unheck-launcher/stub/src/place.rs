//! Where a tree is unpacked to: the per-user cache and what serves when it cannot. Start at [`candidates`].
//!
//! A place must belong to the user who runs the program and to nobody else, because what lies in it is executed.

use alloc::string::String;
use alloc::vec::Vec;

use crate::environment::Environment;
use crate::say::{c_string, shown};
use crate::sys::{self, At, Errno, Fd};

/// A directory that may hold unpacked trees.
pub(crate) struct Candidate {
    /// Its absolute path.
    pub(crate) path: Vec<u8>,
    /// Whether strangers may write into the directory above it.
    pub(crate) public: bool,
    /// What must belong to the user too: the home that it lies in.
    home: Option<Vec<u8>>,
}

/// Where to unpack to, in this order; the variable `UNHECK_EXE_CACHE` allows no other.
pub(crate) fn candidates(environment: &Environment<'_>) -> Vec<Candidate> {
    let below = |home: &[u8], rest: &str| Candidate {
        path: [home, rest.as_bytes()].concat(),
        public: false,
        home: Some(home.to_vec()),
    };
    if let Some(path) = environment.filled("UNHECK_EXE_CACHE") {
        return alloc::vec![Candidate {
            path: absolute(path),
            public: false,
            home: None,
        }];
    }
    let mut list = Vec::new();
    // The XDG Base Directory Specification ignores relative paths.
    let cache = environment.filled("XDG_CACHE_HOME");
    if let Some(cache) = cache.filter(|path| path.starts_with(b"/")) {
        list.push(below(cache, "/unheck-exe"));
    } else if let Some(home) = environment
        .filled("HOME")
        .filter(|path| path.starts_with(b"/"))
    {
        list.push(below(home, "/.cache/unheck-exe"));
    }
    for base in ["/var/tmp", "/tmp"] {
        let path = alloc::format!("{base}/unheck-exe-{}", sys::effective_user());
        list.push(Candidate {
            path: path.into_bytes(),
            public: true,
            home: None,
        });
    }
    list
}

/// A path from the current directory if it is relative.
pub(crate) fn absolute(path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let here = sys::current_dir().unwrap_or_default();
    [&here, &b"/"[..], path].concat()
}

impl Candidate {
    /// Opens the directory, made if it is missing, if it is safe to run programs from.
    pub(crate) fn open(&self) -> Result<Fd, String> {
        if let Some(home) = &self.home {
            let status = sys::stat(At::CWD, &c_string(&[home]), true).map_err(Errno::text)?;
            if status.owner != sys::effective_user() {
                return Err(alloc::format!("`{}` belongs to another user", shown(home)));
            }
        }
        if let Some(byte) = self.path.iter().find(|byte| b":;$".contains(byte)) {
            return Err(alloc::format!(
                "loaders cannot search paths with `{}`",
                char::from(*byte)
            ));
        }
        if self.public {
            make(&self.path).map_err(Errno::text)?;
        } else {
            make_all(&self.path).map_err(Errno::text)?;
        }
        let directory =
            sys::open(At::CWD, &c_string(&[&self.path]), sys::DIRECTORY, 0).map_err(|error| {
                match error {
                    Errno::ENOTDIR => "it is no directory of its own".into(),
                    error => error.text(),
                }
            })?;
        let status = sys::stat_fd(&directory).map_err(Errno::text)?;
        if status.owner != sys::effective_user() {
            return Err("it belongs to another user".into());
        }
        let strangers = if self.public { 0o077 } else { 0o022 };
        if status.mode & strangers != 0 {
            return Err("others may write there".into());
        }
        if sys::is_noexec(&directory).map_err(Errno::text)? {
            return Err("it is mounted noexec".into());
        }
        Ok(directory)
    }
}

/// Makes a directory for the user alone if it is not there.
fn make(path: &[u8]) -> sys::Result<()> {
    let path = c_string(&[path]);
    match sys::make_dir(At::CWD, &path, 0o700) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        // Read-only file systems may say so of a directory that is there.
        Err(error) => sys::stat(At::CWD, &path, false)
            .map(drop)
            .map_err(|_| error),
    }
}

/// Makes a directory and what is missing above it.
fn make_all(path: &[u8]) -> sys::Result<()> {
    match (make(path), path.iter().rposition(|byte| *byte == b'/')) {
        (Err(Errno::ENOENT), Some(at)) if at > 0 => {
            make_all(&path[..at])?;
            make(path)
        }
        (result, _) => result,
    }
}

/// Removes a directory and all in it, as far as possible. Links are removed, not followed.
pub(crate) fn remove_all(at: At, name: &[u8]) {
    let path = c_string(&[name]);
    let mut directory = sys::open(at, &path, sys::DIRECTORY, 0);
    if directory.as_ref().err() == Some(&Errno::EACCES) {
        let _ = sys::set_mode(at, &path, 0o700);
        directory = sys::open(at, &path, sys::DIRECTORY, 0);
    }
    if let Ok(directory) = directory {
        for name in sys::list(&directory).unwrap_or_default() {
            let path = c_string(&[&name]);
            let mut result = sys::remove_file(directory.at(), &path);
            if result == Err(Errno::EACCES) {
                let _ = sys::set_mode(directory.at(), c".", 0o700);
                result = sys::remove_file(directory.at(), &path);
            }
            if result.is_err() {
                remove_all(directory.at(), &name);
            }
        }
    }
    let _ = sys::remove_dir(at, &path);
}
