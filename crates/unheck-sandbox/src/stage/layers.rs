//! Several directories seen as one: where a path leads ([`resolve`]), and the merge by bind mounts
//! ([`assemble`]) for kernels and file systems that refuse an overlay.
//!
//! As in an overlay, the highest directory that has a name decides what it is, and directories of one name merge
//! down to the first that is something else. Links are followed inside the root, never out of it, so that no link
//! in an image can move a mount of ours to the host.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{FileType, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::mount_bind_recursive;

use crate::wire::{Failure, Step};

/// Links followed in one path, as in Linux.
const MAX_LINKS: usize = 40;
/// Depth of directories that are merged one by one.
const MAX_DEPTH: usize = 64;
/// Mounts of one assembled root; Linux allows 100,000 in a namespace.
const MAX_BINDS: usize = 20_000;

/// What a name means in directories that are merged, the highest first.
enum Entry {
    Missing,
    /// The directories of this name, the highest first.
    Dirs(Vec<PathBuf>),
    Other(PathBuf, Metadata),
}

fn look(dirs: &[PathBuf], name: &OsStr) -> Entry {
    let mut found = Vec::new();
    for dir in dirs {
        let path = dir.join(name);
        let Ok(metadata) = fs_err::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            found.push(path);
        } else if found.is_empty() {
            return Entry::Other(path, metadata);
        } else {
            break;
        }
    }
    if found.is_empty() {
        Entry::Missing
    } else {
        Entry::Dirs(found)
    }
}

/// The absolute path inside, without links, that `inside` leads to in `dirs` (highest first). What does not exist is
/// taken literally, and so is everything below one of `covered`, where something else is mounted.
pub(super) fn resolve(
    dirs: &[PathBuf],
    covered: &[PathBuf],
    inside: &Path,
) -> Result<PathBuf, Failure> {
    let fail = |errno| {
        Failure::new(
            Step::Root,
            format!("find `{}` in the root", inside.display()),
            errno,
        )
    };
    let mut todo: VecDeque<OsString> = names(inside);
    let mut path = PathBuf::from("/");
    // The merged directories of each component of `path`; the last is where the next name is looked up.
    let mut stack = vec![dirs.to_vec()];
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            if path.pop() {
                stack.pop();
            }
            continue;
        }
        let next = path.join(&name);
        let here = if covered.contains(&next) {
            Entry::Missing
        } else {
            look(stack.last().map_or(&[], Vec::as_slice), &name)
        };
        match here {
            Entry::Missing => stack.push(Vec::new()),
            Entry::Dirs(dirs) => stack.push(dirs),
            Entry::Other(host, metadata) if metadata.is_symlink() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(fail(Errno::LOOP));
                }
                let target = fs_err::read_link(host).map_err(|_| fail(Errno::NOENT))?;
                if target.is_absolute() {
                    path = PathBuf::from("/");
                    stack.truncate(1);
                }
                for name in names(&target).into_iter().rev() {
                    todo.push_front(name);
                }
                continue;
            }
            Entry::Other(..) if todo.is_empty() => stack.push(Vec::new()),
            Entry::Other(..) => return Err(fail(Errno::NOTDIR)),
        }
        path = next;
    }
    Ok(path)
}

/// The names of a path; `..` is kept.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Merges `dirs` (highest first) at `target`, an empty writable directory, by bind mounts.
pub(super) fn assemble(dirs: &[PathBuf], target: &Path) -> Result<(), Failure> {
    let mut binds = 0;
    merge(dirs, target, 0, &mut binds)
}

fn merge(dirs: &[PathBuf], target: &Path, depth: usize, binds: &mut usize) -> Result<(), Failure> {
    let fail = |what: &str, path: &Path, errno: std::io::Error| {
        Failure::new(
            Step::Root,
            format!("{what} `{}` while merging directories", path.display()),
            errno,
        )
    };
    if depth > MAX_DEPTH {
        return Err(fail(
            "go deeper than 64 directories at",
            target,
            Errno::NAMETOOLONG.into(),
        ));
    }
    for name in list(dirs).map_err(|e| fail("list", target, e))?.keys() {
        let to = target.join(name);
        match look(dirs, name) {
            Entry::Missing => {}
            Entry::Other(from, metadata) if metadata.is_symlink() => fs_err::read_link(&from)
                .and_then(|link| fs_err::os::unix::fs::symlink(link, &to))
                .map_err(|e| fail("copy the link", &from, e))?,
            Entry::Other(from, metadata) if metadata.is_file() => {
                fs_err::File::create(&to).map_err(|e| fail("make", &to, e))?;
                bind(&from, &to, binds)?;
            }
            Entry::Other(..) => {}
            Entry::Dirs(inner) => {
                fs_err::create_dir(&to).map_err(|e| fail("make", &to, e))?;
                if let [only] = inner.as_slice() {
                    bind(only, &to, binds)?;
                } else {
                    merge(&inner, &to, depth + 1, binds)?;
                }
            }
        }
    }
    copy_mode(dirs, target).map_err(|e| fail("copy the mode to", target, e))
}

/// All names in the directories, sorted.
fn list(dirs: &[PathBuf]) -> std::io::Result<BTreeMap<OsString, FileType>> {
    let mut all = BTreeMap::new();
    for dir in dirs {
        for entry in fs_err::read_dir(dir)? {
            let entry = entry?;
            all.insert(entry.file_name(), entry.file_type()?);
        }
    }
    Ok(all)
}

/// Gives `target` the mode of the highest directory.
pub(super) fn copy_mode(dirs: &[PathBuf], target: &Path) -> std::io::Result<()> {
    let Some(first) = dirs.first() else {
        return Ok(());
    };
    let mode = fs_err::metadata(first)?.permissions().mode() & 0o1777;
    fs_err::set_permissions(target, PermissionsExt::from_mode(mode))
}

fn bind(from: &Path, to: &Path, binds: &mut usize) -> Result<(), Failure> {
    *binds += 1;
    let fail = |errno| {
        Failure::new(
            Step::Root,
            format!("bind `{}` while merging directories", from.display()),
            errno,
        )
    };
    if *binds > MAX_BINDS {
        return Err(fail(Errno::NOSPC));
    }
    mount_bind_recursive(from, to).map_err(fail)
}

/// The merged directories at a path without links, highest first; empty when it is no directory.
pub(super) fn directories(dirs: &[PathBuf], path: &Path) -> Vec<PathBuf> {
    let mut here = dirs.to_vec();
    for name in names(path) {
        here = match look(&here, &name) {
            Entry::Dirs(dirs) => dirs,
            Entry::Missing | Entry::Other(..) => return Vec::new(),
        };
    }
    here
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes a tree: `name/` a directory, `name>target` a link, `name` a file.
    fn tree(entries: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for entry in entries {
            if let Some((name, target)) = entry.split_once('>') {
                symlink(target, dir.path().join(name)).unwrap();
            } else if entry.ends_with('/') {
                fs_err::create_dir_all(dir.path().join(entry)).unwrap();
            } else {
                fs_err::write(dir.path().join(entry), "").unwrap();
            }
        }
        dir
    }

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let low = tree(&[
            "run/",
            "var/",
            "var/run>/run",
            "etc>../../../outside",
            "loop>loop",
            "file",
            "a/b/",
            "abs>/",
        ]);
        let high = tree(&["a/", "a/b", "var/"]);
        let dirs = [high.path().to_owned(), low.path().to_owned()];
        let at = |path: &str| {
            resolve(&dirs, &["/tmp".into()], Path::new(path)).map(|p| p.display().to_string())
        };
        assert_eq!(at("/var/run/x").unwrap(), "/run/x");
        assert_eq!(at("/etc/passwd").unwrap(), "/outside/passwd");
        assert_eq!(at("/abs/abs/run").unwrap(), "/run");
        assert_eq!(at("/new/deep").unwrap(), "/new/deep");
        assert_eq!(at("/tmp/link/x").unwrap(), "/tmp/link/x");
        assert_eq!(at("/loop/x").unwrap_err().errno, libc::ELOOP);
        assert_eq!(at("/file/x").unwrap_err().errno, libc::ENOTDIR);
        assert_eq!(at("/a/b/c").unwrap_err().errno, libc::ENOTDIR);
        assert_eq!(at("/file").unwrap(), "/file");
    }

    #[test]
    fn covered_paths_are_not_looked_into() {
        let low = tree(&["tmp/", "tmp/link>/etc"]);
        let dirs = [low.path().to_owned()];
        let at = |covered: &[PathBuf]| resolve(&dirs, covered, Path::new("/tmp/link/x")).unwrap();
        assert_eq!(at(&[]), Path::new("/etc/x"));
        assert_eq!(at(&["/tmp".into()]), Path::new("/tmp/link/x"));
    }

    #[test]
    fn directories_merge_down_to_the_first_that_is_none() {
        let (a, b, c) = (tree(&["x/"]), tree(&["x"]), tree(&["x/"]));
        let dirs = [
            c.path().to_owned(),
            b.path().to_owned(),
            a.path().to_owned(),
        ];
        assert_eq!(directories(&dirs, Path::new("/x")), [c.path().join("x")]);
        assert!(directories(&dirs[1..], Path::new("/x")).is_empty());
    }
}
