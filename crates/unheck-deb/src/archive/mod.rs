//! Reads `.deb` files (deb(5)) as a stream, strictly: one reading, or an error that says why.
//!
//! Writes nothing, runs no maintainer script, follows no symlink. Every entry is checked against
//! all those before it. Start at [`read_deb`].

mod control;
mod member;
mod tar;

pub use control::{Control, MismatchError};

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::io::{self, Read};

use unheck_base::{TreePath, TreePathError};

use crate::control::ControlError;
use member::{Ar, Unpacked};
use tar::TarReader;

/// How much a `.deb` may unpack to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of `data.tar`, whatever the ratio.
    pub unpacked: u64,
    /// The most bytes that one compressed byte may become, for each of the two members …
    pub ratio: u64,
    /// … and how many bytes more are fine, so that small archives of text pass.
    pub slack: u64,
    /// The most entries of `data.tar`, directories that are only implied included.
    pub entries: u64,
    /// The most bytes of `control.tar`.
    pub control: u64,
}

impl Default for Limits {
    /// By the `Installed-Size` of all of trixie and sid: the largest (kernel debug symbols) have
    /// 7.9 GB, and only test data of `librocblas` and `librocsparse` is denser than 228:1. A bomb
    /// needs far more: xz reaches 7000:1.
    fn default() -> Self {
        Self {
            unpacked: 8 << 30,
            ratio: 200,
            slack: 64 << 20,
            entries: 500_000,
            control: 32 << 20,
        }
    }
}

/// One entry of `data.tar`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, without the leading `./`.
    pub path: TreePath,
    /// Permission bits, set-user-id, set-group-id and sticky included (`0o7777`).
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// Unix seconds.
    pub mtime: i64,
    /// What it is.
    pub kind: EntryKind,
}

/// The kinds of entries that exist in a `.deb`; devices and fifos are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
    },
    /// A symlink and its text; it is never followed here and may point anywhere.
    Symlink(String),
    /// Another name of a regular file that came before in the same archive.
    Hardlink(TreePath),
}

impl Entry {
    /// Whether the entry asks for set-user-id or set-group-id: of files those give rights to
    /// whoever runs them, of directories they do no harm.
    pub fn is_privileged(&self) -> bool {
        self.mode & 0o6000 != 0 && !matches!(self.kind, EntryKind::Dir)
    }
}

/// Gets what [`read_deb`] finds. Its errors end the reading.
pub trait Visitor {
    /// The control data, before the first entry.
    ///
    /// # Errors
    /// Whatever the visitor wants; comes back as [`DebError::Visitor`].
    fn control(&mut self, control: &Control) -> io::Result<()> {
        let _ = control;
        Ok(())
    }

    /// One entry, with the content of a file (empty for all else). What is not read is skipped.
    ///
    /// # Errors
    /// Whatever the visitor wants; comes back as [`DebError::Visitor`].
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()>;
}

/// Why a `.deb` is refused. `member` is `control.tar` or `data.tar`.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The outer archive is broken.
    #[error("the deb archive {0}")]
    Ar(&'static str),
    /// Members other than `debian-binary`, `control.tar`, `data.tar` in that order.
    #[error("the deb archive has `{found}` where `{wanted}` must be")]
    Member {
        /// The name found, `nothing` at the end.
        found: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// The format version in `debian-binary` is not 2.x.
    #[error("the deb archive has format version `{0}`, only 2.x is known")]
    Format(String),
    /// A compression that is not supported (bzip2 and lzma among them).
    #[error("`{member}` has the unsupported extension `{extension}` (known: .gz, .xz, .zst, none)")]
    Compression {
        /// Which member.
        member: &'static str,
        /// The rest of its name.
        extension: String,
    },
    /// Bytes could not be read or decompressed.
    #[error("cannot read `{member}` of the deb archive")]
    Read {
        /// Which member, `ar` outside of them.
        member: &'static str,
        /// The reader's or decompressor's own error.
        #[source]
        source: io::Error,
    },
    /// It unpacks to more than [`Limits`] allow.
    #[error("`{member}` unpacks to more than {most} bytes, the limit `{limit}`")]
    Limit {
        /// Which member.
        member: &'static str,
        /// The field of [`Limits`].
        limit: &'static str,
        /// The number of bytes allowed.
        most: u64,
    },
    /// More entries than `Limits::entries`.
    #[error("`{member}` has more than {most} entries, the limit `entries`")]
    Entries {
        /// Which member.
        member: &'static str,
        /// The number allowed.
        most: u64,
    },
    /// A tar stream is broken.
    #[error("`{member}` {problem}")]
    Tar {
        /// Which member.
        member: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// An entry that no deb may have.
    #[error("entry `{name}` of `{member}` {problem}")]
    Entry {
        /// Which member.
        member: &'static str,
        /// The name of the entry.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A name that leaves the tree or cannot be a path.
    #[error("entry `{name}` of `{member}` has a bad path")]
    Path {
        /// Which member.
        member: &'static str,
        /// The name or link target.
        name: String,
        /// Why.
        #[source]
        source: TreePathError,
    },
    /// The control file cannot be read.
    #[error("the control file of the deb archive is bad")]
    Control(#[source] ControlError),
    /// The visitor gave up.
    #[error("cannot take over `{path}` from the deb archive")]
    Visitor {
        /// The entry, or `control`.
        path: String,
        /// The visitor's own error.
        #[source]
        source: io::Error,
    },
}

impl DebError {
    /// Takes our own error out of the I/O error that carried it through a reader.
    fn from_io(error: io::Error, member: &'static str) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(source) => Self::Read { member, source },
        }
    }

    fn from_visitor(error: io::Error, path: &str) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(source) => Self::Visitor {
                path: path.into(),
                source,
            },
        }
    }
}

/// Reads a whole `.deb` from its first byte to its last and gives every entry to `visitor`. The
/// content of a file is only right when this function ends well: compressed streams are checked
/// at their end.
///
/// # Errors
/// The first thing that breaks a rule; see [`DebError`].
pub fn read_deb(
    reader: impl Read,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<Control, DebError> {
    let mut ar = Ar::open(reader)?;
    debian_binary(&mut ar)?;
    let name = expect_member(&mut ar, "control.tar")?;
    let control = unpack(&mut ar, &name, "control.tar", limits, control::read)?;
    visitor
        .control(&control)
        .map_err(|error| DebError::from_visitor(error, "control"))?;
    let name = expect_member(&mut ar, "data.tar")?;
    unpack(&mut ar, &name, "data.tar", limits, |tar| {
        read_data(tar, limits, visitor)
    })?;
    match ar.next()? {
        None => Ok(control),
        Some(found) => Err(DebError::Member {
            found,
            wanted: "the end",
        }),
    }
}

fn debian_binary(ar: &mut Ar<impl Read>) -> Result<(), DebError> {
    let name = ar.next()?;
    if name.as_deref() != Some("debian-binary") {
        return Err(DebError::Member {
            found: name.unwrap_or_else(|| "nothing".into()),
            wanted: "debian-binary",
        });
    }
    let mut text = Vec::new();
    if ar.left() > 64 {
        return Err(DebError::Format("(too long)".into()));
    }
    ar.read_to_end(&mut text)
        .map_err(|error| DebError::from_io(error, "ar"))?;
    let minor = text
        .strip_prefix(b"2.")
        .and_then(|rest| rest.strip_suffix(b"\n"));
    match minor.is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit)) {
        true => Ok(()),
        false => Err(DebError::Format(crate::quote::quote_bytes(&text))),
    }
}

fn expect_member(ar: &mut Ar<impl Read>, base: &'static str) -> Result<String, DebError> {
    let name = ar.next()?.unwrap_or_else(|| "nothing".into());
    match name.strip_prefix(base) {
        Some(extension) if extension.is_empty() || extension.starts_with('.') => Ok(name),
        _ => Err(DebError::Member {
            found: name,
            wanted: base,
        }),
    }
}

fn unpack<T>(
    ar: &mut Ar<impl Read>,
    name: &str,
    base: &'static str,
    limits: &Limits,
    read: impl FnOnce(&mut TarReader<'_>) -> Result<T, DebError>,
) -> Result<T, DebError> {
    let packed = ar.left();
    let mut unpacked = Unpacked::open(ar, name, base, packed, limits)?;
    let value = read(&mut TarReader::new(&mut unpacked, base))?;
    unpacked.finish()?;
    Ok(value)
}

/// What a path of the archive is, as far as it has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A directory that only its content has named so far.
    ImpliedDir,
    Dir,
    File,
    Symlink,
}

fn read_data(
    tar: &mut TarReader<'_>,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<(), DebError> {
    let mut seen = BTreeMap::new();
    while let Some(entry) = tar.next()? {
        admit(&mut seen, &entry)?;
        if seen.len() as u64 > limits.entries {
            return Err(DebError::Entries {
                member: "data.tar",
                most: limits.entries,
            });
        }
        visitor
            .entry(&entry, &mut tar.content())
            .map_err(|error| DebError::from_visitor(error, entry.path.as_str()))?;
    }
    Ok(())
}

/// Refuses an entry that contradicts one before it: a second of the same path, one below something
/// that is no directory (a symlink could lead it out of the tree), a hard link to anything else
/// than a file before it.
fn admit(seen: &mut BTreeMap<TreePath, Seen>, entry: &Entry) -> Result<(), DebError> {
    let refuse = |problem| DebError::Entry {
        member: "data.tar",
        name: crate::quote::quote(entry.path.as_str()),
        problem,
    };
    let parent = entry.path.parent();
    let known = parent
        .as_ref()
        .is_none_or(|parent| matches!(seen.get(parent), Some(Seen::Dir | Seen::ImpliedDir)));
    if !known {
        for ancestor in entry.path.ancestors() {
            match *seen.entry(ancestor).or_insert(Seen::ImpliedDir) {
                Seen::Dir | Seen::ImpliedDir => {}
                Seen::Symlink => return Err(refuse("lies under a symlink of the same archive")),
                Seen::File => return Err(refuse("lies under a file of the same archive")),
            }
        }
    }
    let kind = match &entry.kind {
        EntryKind::Dir => Seen::Dir,
        EntryKind::File { .. } => Seen::File,
        EntryKind::Symlink(_) => Seen::Symlink,
        EntryKind::Hardlink(target) => match seen.get(target) {
            Some(Seen::File) => Seen::File,
            _ => return Err(refuse("is a hard link to no file before it")),
        },
    };
    match seen.entry(entry.path.clone()) {
        Slot::Vacant(slot) => {
            slot.insert(kind);
            Ok(())
        }
        Slot::Occupied(mut slot) if *slot.get() == Seen::ImpliedDir && kind == Seen::Dir => {
            slot.insert(kind);
            Ok(())
        }
        Slot::Occupied(_) => Err(refuse("is in the archive twice")),
    }
}

#[cfg(test)]
mod tests;
