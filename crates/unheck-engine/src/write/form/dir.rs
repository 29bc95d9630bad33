//! A relocatable artifact as a directory. Start at [`lay_out`] and [`replace`].
//!
//! Files are hard links to those of the store where both are on one file system, else copies.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags};
use unheck_base::TreePath;

use super::stage::write_file;
use super::{Parts, Piece, WriteFormError, describe};
use crate::form::{FormNode, MANIFEST_PATH, Manifest};

/// Writes every file of an artifact below `root`, which is there and empty; answers how many share
/// their bytes with the store.
///
/// # Errors
/// [`WriteFormError`].
pub(crate) fn lay_out(parts: &Parts<'_>, root: &Path) -> Result<u64, WriteFormError> {
    let pieces = parts.pieces();
    make_directories(root, pieces.keys().copied())?;
    let list: Vec<(&TreePath, &Piece<'_>)> =
        pieces.iter().map(|(path, piece)| (*path, piece)).collect();
    // Directory by directory: names are looked up from where they are, not from the top.
    let directories: Vec<_> = list
        .chunk_by(|(one, _), (other, _)| directory(one) == directory(other))
        .collect();
    let laying = Laying {
        parts,
        root,
        below: parts.below.root(),
        linked: AtomicU64::new(0),
        can_link: AtomicBool::new(true),
    };
    directories
        .par_iter()
        .try_for_each(|pieces| laying.directory(pieces))?;
    Ok(laying.linked.into_inner())
}

/// An artifact that is being laid out.
struct Laying<'a> {
    parts: &'a Parts<'a>,
    root: &'a Path,
    /// Where the store has the part below the app.
    below: PathBuf,
    linked: AtomicU64,
    can_link: AtomicBool,
}

impl Laying<'_> {
    /// Writes what stands in one directory.
    fn directory(&self, pieces: &[(&TreePath, &Piece<'_>)]) -> Result<(), WriteFormError> {
        let Some((first, _)) = pieces.first() else {
            return Ok(());
        };
        let within = directory(first);
        let mut pair = Pair::new(self.below.join(within), self.root.join(within));
        pieces
            .iter()
            .try_for_each(|(path, piece)| self.piece(path, piece, &mut pair))
    }

    fn piece(
        &self,
        path: &TreePath,
        piece: &Piece<'_>,
        pair: &mut Pair,
    ) -> Result<(), WriteFormError> {
        let place = self.root.join(path.as_str());
        let output = |source| WriteFormError::Output {
            path: place.clone(),
            source,
        };
        let described;
        let what = match piece {
            Piece::Below(file) => &file.what,
            Piece::App(node) => {
                described = describe(node).what;
                &described
            }
        };
        let executable = match what {
            FormNode::Link { link } => return symlink(link, &place).map_err(output),
            FormNode::File { executable, .. } => *executable,
        };
        if matches!(piece, Piece::Below(_)) && self.can_link.load(Ordering::Relaxed) {
            match pair.link(path.file_name()) {
                Ok(()) => {
                    self.linked.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                // Another file system, or one without links: then no other file can be linked.
                Err(error) if is_no_link(&error) => self.can_link.store(false, Ordering::Relaxed),
                Err(error) => return Err(output(error)),
            }
        }
        let mut source = self
            .parts
            .open(path)
            .map_err(|source| WriteFormError::Read {
                path: path.clone(),
                source,
            })?;
        write_file(&place, &mut source, executable)
    }
}

/// The directory that a path is in.
pub(super) fn directory(path: &TreePath) -> &str {
    path.as_str()
        .rsplit_once('/')
        .map_or("", |(above, _)| above)
}

/// Two directories between which files are linked; they are opened for the first one.
struct Pair {
    from: PathBuf,
    to: PathBuf,
    open: Option<(OwnedFd, OwnedFd)>,
}

impl Pair {
    const fn new(from: PathBuf, to: PathBuf) -> Self {
        Self {
            from,
            to,
            open: None,
        }
    }

    fn link(&mut self, name: &str) -> io::Result<()> {
        let (from, to) = match &self.open {
            Some(pair) => pair,
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let open = |at: &Path| rustix::fs::open(at, flags, Mode::empty());
                self.open.insert((open(&self.from)?, open(&self.to)?))
            }
        };
        Ok(rustix::fs::linkat(from, name, to, name, AtFlags::empty())?)
    }
}

/// Makes every directory above sorted paths, and opens all of them to everybody.
fn make_directories<'p>(
    root: &Path,
    paths: impl Iterator<Item = &'p TreePath>,
) -> Result<(), WriteFormError> {
    let mut directories: BTreeSet<TreePath> = BTreeSet::new();
    let mut last = "";
    for path in paths {
        if directory(path) != last {
            directories.extend(path.ancestors());
            last = directory(path);
        }
    }
    // A umask must not close the tree to those who are to use it.
    open_to_all(root)?;
    // What it lets through is known from the first one.
    let mut differs = None;
    for path in &directories {
        let place = root.join(path.as_str());
        let made = fs_err::create_dir(&place).and_then(|()| match differs {
            Some(differs) => Ok(differs),
            None => fs_err::metadata(&place).map(|found| found.mode() & 0o7777 != 0o755),
        });
        let other = made.map_err(|source| WriteFormError::Output {
            path: place.clone(),
            source,
        })?;
        differs = Some(other);
        if other {
            open_to_all(&place)?;
        }
    }
    Ok(())
}

fn is_no_link(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::CrossesDevices
            | io::ErrorKind::TooManyLinks
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::Unsupported
    )
}

fn open_to_all(place: &Path) -> Result<(), WriteFormError> {
    fs_err::set_permissions(place, std::fs::Permissions::from_mode(0o755)).map_err(|source| {
        WriteFormError::Output {
            path: place.to_owned(),
            source,
        }
    })
}

/// Refuses to replace what unheck did not write: a directory may be replaced when it is empty, or
/// an artifact in which nothing stands that its own list does not name.
///
/// # Errors
/// [`WriteFormError::Stranger`]; the directory cannot be read.
pub(crate) fn refuse_strangers(output: &Path) -> Result<(), WriteFormError> {
    let failed = |source| WriteFormError::Output {
        path: output.to_owned(),
        source,
    };
    let stranger = |what: String| {
        Err(WriteFormError::Stranger {
            path: output.to_owned(),
            stranger: what,
        })
    };
    match fs_err::symlink_metadata(output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.is_dir() => {
            return stranger("no directory entries, it is a file or a symlink".to_owned());
        }
        Ok(_) => {}
    }
    let list = crate::verify::view::read(&output.join(MANIFEST_PATH), 256 << 20)
        .ok()
        .and_then(|bytes| Manifest::from_bytes(&bytes).ok());
    let Some(list) = list else {
        let mut names = fs_err::read_dir(output).map_err(failed)?;
        return match names.next() {
            None => Ok(()),
            Some(name) => stranger(
                name.map_err(failed)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            ),
        };
    };
    for entry in walkdir::WalkDir::new(output).min_depth(1) {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let below = entry.path().strip_prefix(output).unwrap_or(entry.path());
        let path = TreePath::from_bytes(below.as_os_str().as_encoded_bytes());
        let own = path.as_ref().is_ok_and(|path| {
            list.files.contains_key(path)
                || path.as_str() == MANIFEST_PATH
                || path.as_str().contains("/__pycache__/")
        });
        if !entry.file_type().is_dir() && !own {
            return stranger(below.display().to_string());
        }
    }
    Ok(())
}

/// Puts a directory that was laid out beside `output` in its place. What stood there goes away.
///
/// # Errors
/// [`WriteFormError::Output`].
pub(crate) fn replace(staged: tempfile::TempDir, output: &Path) -> Result<(), WriteFormError> {
    let failed = |source| WriteFormError::Output {
        path: output.to_owned(),
        source,
    };
    let old = staged.path().with_extension("old");
    let there = fs_err::symlink_metadata(output).is_ok();
    if there {
        fs_err::rename(output, &old).map_err(failed)?;
    }
    if let Err(error) = fs_err::rename(staged.path(), output) {
        if there {
            // The first failure matters more than one on the way back.
            let _ = fs_err::rename(&old, output);
        }
        return Err(failed(error));
    }
    // It has another name now, and is not to be removed.
    let _ = staged.keep();
    if there {
        fs_err::remove_dir_all(&old).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_empty_or_its_own_is_replaced() {
        let temp = tempfile::tempdir().expect("temp");
        let at = temp.path().join("out");
        assert!(refuse_strangers(&at).is_ok());
        fs_err::create_dir(&at).expect("dir");
        assert!(refuse_strangers(&at).is_ok());
        fs_err::write(at.join("mine"), "x").expect("write");
        let error = refuse_strangers(&at).expect_err("stranger");
        assert!(error.to_string().contains("holds `mine`"), "{error}");
        let list = r#"{"unheck-form":1,"platform":"linux/amd64","project":"p","libs":"static","entry":"bin/p","files":{"bin/p":{"origin":"app","link":"x"}}}"#;
        let manifest = at.join(MANIFEST_PATH);
        fs_err::create_dir_all(manifest.parent().expect("parent")).expect("dirs");
        fs_err::write(&manifest, list).expect("write");
        let error = refuse_strangers(&at).expect_err("stranger");
        assert!(error.to_string().contains("holds `mine`"), "{error}");
        fs_err::remove_file(at.join("mine")).expect("remove");
        fs_err::create_dir_all(at.join("app/__pycache__")).expect("dirs");
        fs_err::write(at.join("app/__pycache__/a.pyc"), "").expect("write");
        assert!(refuse_strangers(&at).is_ok());
        let file = temp.path().join("file");
        fs_err::write(&file, "x").expect("write");
        assert!(refuse_strangers(&file).is_err());
    }

    #[test]
    fn directories_are_made_and_open_to_all_whatever_a_parent_passes_on() {
        let temp = tempfile::tempdir().expect("temp");
        // Directories inherit this bit, which nobody asked for.
        let mode = std::fs::Permissions::from_mode(0o2700);
        fs_err::set_permissions(temp.path(), mode).expect("mode");
        let root = temp.path().join("root");
        fs_err::create_dir(&root).expect("root");
        let paths =
            ["a/b/x", "a/b/y", "a/c/d/z", "top"].map(|text| TreePath::new(text).expect(text));
        make_directories(&root, paths.iter()).expect("made");
        for name in ["", "a", "a/b", "a/c", "a/c/d"] {
            let found = fs_err::metadata(root.join(name)).expect(name);
            assert_eq!(found.mode() & 0o7777, 0o755, "{name}");
        }
    }

    #[test]
    fn files_are_linked_by_name_between_directories() {
        let temp = tempfile::tempdir().expect("temp");
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        for at in [&from, &to] {
            fs_err::create_dir(at).expect("directory");
        }
        let mut pair = Pair::new(from.clone(), to.clone());
        for name in ["one", "two"] {
            fs_err::write(from.join(name), name).expect("file");
            pair.link(name).expect("link");
            assert_eq!(fs_err::read_to_string(to.join(name)).expect(name), name);
            let found = fs_err::metadata(to.join(name)).expect(name);
            assert_eq!(found.nlink(), 2);
        }
        assert!(pair.link("three").is_err());
    }

    #[test]
    fn the_staged_directory_takes_the_place_of_the_old_one() {
        let temp = tempfile::tempdir().expect("temp");
        let at = temp.path().join("out");
        for text in ["one", "two"] {
            let staged = tempfile::Builder::new()
                .prefix(".out.")
                .tempdir_in(temp.path())
                .expect("staged");
            fs_err::write(staged.path().join("f"), text).expect("write");
            replace(staged, &at).expect("replace");
            assert_eq!(fs_err::read_to_string(at.join("f")).expect("read"), text);
        }
        let names: Vec<_> = fs_err::read_dir(temp.path()).expect("read").collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
