//! A relocatable artifact as a directory. Start at [`lay_out`] and [`replace`].
//!
//! Files are hard links to those of the store where both are on one file system, else copies.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use unheck_base::TreePath;

use super::stage::write_file;
use super::{Parts, Piece, WriteFormError};
use crate::form::{FormNode, MANIFEST_PATH, Manifest};

/// Writes every file of an artifact below `root`, which is there and empty; answers how many share
/// their bytes with the store.
///
/// # Errors
/// [`WriteFormError`].
pub(crate) fn lay_out(parts: &Parts<'_>, root: &Path) -> Result<u64, WriteFormError> {
    let output = |path: &Path, source| WriteFormError::Output {
        path: path.to_owned(),
        source,
    };
    let pieces = parts.pieces();
    let directories: BTreeSet<TreePath> = pieces.keys().flat_map(|path| path.ancestors()).collect();
    // A umask must not close the tree to those who are to use it.
    open_to_all(root)?;
    for path in &directories {
        let place = root.join(path.as_str());
        fs_err::create_dir(&place).map_err(|source| output(&place, source))?;
        open_to_all(&place)?;
    }
    let linked = AtomicU64::new(0);
    let can_link = AtomicBool::new(true);
    let list: Vec<(&TreePath, &Piece<'_>)> =
        pieces.iter().map(|(path, piece)| (*path, piece)).collect();
    list.par_iter().try_for_each(|(path, piece)| {
        let place = root.join(path.as_str());
        let executable = match piece.described().what {
            FormNode::Link { link } => {
                return symlink(link, &place).map_err(|source| output(&place, source));
            }
            FormNode::File { executable, .. } => executable,
        };
        if matches!(piece, Piece::Below(_)) && can_link.load(Ordering::Relaxed) {
            match fs_err::hard_link(parts.below.place(path), &place) {
                Ok(()) => {
                    linked.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                // Another file system, or one without links: then no other file can be linked.
                Err(error) if is_no_link(&error) => can_link.store(false, Ordering::Relaxed),
                Err(error) => return Err(output(&place, error)),
            }
        }
        let mut source = parts.open(path).map_err(|source| WriteFormError::Read {
            path: (*path).clone(),
            source,
        })?;
        write_file(&place, &mut source, executable)
    })?;
    Ok(linked.into_inner())
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
