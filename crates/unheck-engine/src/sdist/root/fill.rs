//! Directories of a build root on disk: written, and found again undamaged. Start at [`unpack`].
//!
//! Beside the files stands a list of them, with a checksum of its own. Every file has the same date,
//! so that one that was written to since is noticed by its date, length or mode, without reading it.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;
use unheck_base::Digest;
use unheck_store::{Derived, DerivedDir};

use super::merge::{Merged, Node, merge};
use super::{RootError, Unpacked};

/// The files.
pub(super) const TREE: &str = "tree";
/// Their list.
const LIST: &str = "list";
/// The date of every file: 1980-01-01, as in images.
const DATE: u64 = 315_532_800;
/// Longest list that is read, in bytes.
const MAX_LIST: u64 = 1 << 30;

/// Writes the files of packages and their list into an empty directory.
///
/// # Errors
/// [`RootError`].
pub(super) fn unpack(directory: &Path, packages: &[Unpacked<'_>]) -> Result<(), RootError> {
    let merged = merge(packages)?;
    let tree = directory.join(TREE);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RootError::Write { path, source }
    };
    make_dir(&tree).map_err(failed(&tree))?;
    for (path, node) in &merged.nodes {
        let place = tree.join(path.as_str());
        match node {
            Node::Dir => make_dir(&place).map_err(failed(&place))?,
            Node::Link(target) => symlink(target, &place).map_err(failed(&place))?,
            Node::File { .. } => {}
        }
    }
    merged.nodes.par_iter().try_for_each(|(path, node)| {
        let Node::File {
            package,
            entry,
            executable,
        } = node
        else {
            return Ok(());
        };
        let place = tree.join(path.as_str());
        let Some(mut content) = packages[*package].1.member(entry) else {
            return Ok(());
        };
        write_file(&place, &mut content, *executable).map_err(failed(&place))
    })?;
    let list = directory.join(LIST);
    fs_err::write(&list, text(&merged)).map_err(failed(&list))
}

/// Makes a directory with the mode that it has whatever the umask is.
pub(in crate::sdist) fn make_dir(place: &Path) -> io::Result<()> {
    fs_err::create_dir(place)?;
    fs_err::set_permissions(place, std::fs::Permissions::from_mode(0o755))
}

/// Makes a file; set-id bits are not kept.
pub(in crate::sdist) fn write_file(
    place: &Path,
    content: &mut dyn io::Read,
    executable: bool,
) -> io::Result<()> {
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(place)?;
    io::copy(content, &mut file)?;
    let file = file.file();
    file.set_permissions(std::fs::Permissions::from_mode(mode(executable)))?;
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(DATE))
}

const fn mode(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}

/// One line for each path, then the checksum of the lines before.
fn text(merged: &Merged<'_>) -> String {
    let mut text = String::new();
    for (path, node) in &merged.nodes {
        let line = match node {
            Node::Dir => writeln!(text, "d {path}"),
            Node::Link(target) => writeln!(text, "l {} {path}", target.len()),
            Node::File {
                entry, executable, ..
            } => {
                let len = match entry.kind {
                    unheck_store::PackKind::File { len, .. } => len,
                    _ => 0,
                };
                writeln!(text, "f {:o} {len} {path}", mode(*executable))
            }
        };
        line.expect("a string takes all");
    }
    sealed(text)
}

/// The text with its checksum.
pub(super) fn sealed(mut text: String) -> String {
    let digest = Digest::of(text.as_bytes());
    text.push_str(&format!("= {digest}\n"));
    text
}

/// Writes the list of what stands in `directory`, which was made by [`make_dir`], [`write_file`]
/// and links.
pub(super) fn write_list(directory: &Path) -> io::Result<()> {
    let tree = directory.join(TREE);
    let mut text = String::new();
    for entry in walkdir::WalkDir::new(&tree)
        .min_depth(1)
        .sort_by_file_name()
    {
        let entry = entry?;
        let below = entry.path().strip_prefix(&tree).map_err(io::Error::other)?;
        let path = below.display();
        let found = entry.metadata()?;
        let line = if found.is_dir() {
            writeln!(text, "d {path}")
        } else if found.is_symlink() {
            writeln!(text, "l {} {path}", found.len())
        } else {
            writeln!(text, "f {:o} {} {path}", found.mode() & 0o7777, found.len())
        };
        line.map_err(io::Error::other)?;
    }
    fs_err::write(directory.join(LIST), sealed(text))
}

/// The directory, where it is there and as it was written; a damaged one is removed.
///
/// # Errors
/// The store fails.
pub(super) fn find(derived: &Derived) -> Result<Option<DerivedDir>, RootError> {
    let Some(found) = derived.dir()? else {
        return Ok(None);
    };
    match damage(found.path()) {
        None => Ok(Some(found)),
        Some(what) => {
            tracing::warn!("{what}: removing the directory of a build root");
            derived.discard()?;
            Ok(None)
        }
    }
}

/// What is not as it was written.
fn damage(directory: &Path) -> Option<String> {
    let list = directory.join(LIST);
    let wrong = || Some(format!("`{}` is damaged", list.display()));
    let short = fs_err::metadata(&list).is_ok_and(|found| found.len() <= MAX_LIST);
    let Some(text) = short.then(|| fs_err::read_to_string(&list).ok()).flatten() else {
        return wrong();
    };
    let end = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let (lines, digest) = text.split_at(end);
    if digest.trim_end() != format!("= {}", Digest::of(lines.as_bytes())) {
        return wrong();
    }
    let tree = directory.join(TREE);
    let lines: Vec<&str> = lines.lines().collect();
    lines.par_iter().find_map_any(|line| {
        let path = tree.join(line.splitn(4, ' ').last().unwrap_or_default());
        let path = match line.as_bytes().first() {
            Some(b'd') => tree.join(&line[2..]),
            Some(b'l') => tree.join(line.splitn(3, ' ').nth(2).unwrap_or_default()),
            _ => path,
        };
        let same = fs_err::symlink_metadata(&path).is_ok_and(|found| is_same(line, &found));
        (!same).then(|| format!("`{}` is not as it was written", path.display()))
    })
}

fn is_same(line: &str, found: &std::fs::Metadata) -> bool {
    let mut words = line.split(' ');
    let number = |word: Option<&str>, radix| u64::from_str_radix(word.unwrap_or_default(), radix);
    match words.next() {
        Some("d") => found.is_dir(),
        Some("l") => found.is_symlink() && number(words.next(), 10) == Ok(found.len()),
        Some("f") => {
            found.is_file()
                && number(words.next(), 8) == Ok(u64::from(found.mode() & 0o7777))
                && number(words.next(), 10) == Ok(found.len())
                && found.mtime() == DATE as i64
        }
        _ => false,
    }
}
