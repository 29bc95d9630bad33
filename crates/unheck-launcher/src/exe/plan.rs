//! What a payload holds, decided before a byte is read: every path, which files are the same, in which order the stream
//! has them. Start at [`Plan::new`].

use std::collections::BTreeMap;

use unheck_base::{Digest, TreePath};

use super::pack::Packed;
use super::{Entry, Exe, ExeError};
use crate::wire::path::stays_inside;
use crate::wire::payload::{CODE, DIR, FILE, HARD_LINK, LAUNCHER, MAGIC, PLAIN, SYMLINK};
use crate::wire::xxh64::xxh64;

/// Permission bits that an unpacked file may have.
const PERMISSIONS: u32 = 0o777;
/// Permission bits of directories that nobody asked for, and of launchers.
const USUAL: u32 = 0o755;

/// A file whose bytes are stored.
pub(super) struct Stored<'a> {
    pub(super) path: &'a TreePath,
    pub(super) len: u64,
    pub(super) digest: Digest,
    /// What it probably is, by name and mode: decides its place in the stream.
    pub(super) kind: Sort,
    /// Whether it stands behind all others.
    pub(super) last: bool,
}

/// Kinds of files, in the order in which they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Source,
    Bytecode,
    Other,
    Library,
    Program,
}

impl Sort {
    fn of(path: &TreePath, mode: u32) -> Self {
        let name = path.file_name();
        match name.rsplit_once('.') {
            Some((_, "py")) => Self::Source,
            Some((_, "pyc")) => Self::Bytecode,
            Some((_, "so")) => Self::Library,
            _ if name.contains(".so.") => Self::Library,
            Some((_, "bin")) | None if mode & 0o111 != 0 => Self::Program,
            _ => Self::Other,
        }
    }

    /// Whether it is machine code for the most part.
    pub(super) fn is_code(self) -> bool {
        self >= Self::Library
    }
}

/// What an index entry says, still without the places in the stream.
enum Item<'a> {
    Dir,
    /// By number in [`Plan::files`].
    Stored(usize),
    Empty,
    /// By number of entry.
    Same(u32),
    Symlink(&'a str),
    Launcher,
}

/// A payload before it is written.
pub(super) struct Plan<'a> {
    items: Vec<(TreePath, u32, Item<'a>)>,
    /// In the order of the stream.
    pub(super) files: Vec<Stored<'a>>,
}

impl<'a> Plan<'a> {
    /// Checks the tree and orders it.
    pub(super) fn new(exe: &'a Exe) -> Result<Self, ExeError> {
        let items = with_parents(exe)?;
        let mut plan = Self {
            items: Vec::new(),
            files: Vec::new(),
        };
        let empty = Digest::of(&[]);
        let mut first: BTreeMap<(Digest, u32), (u32, usize)> = BTreeMap::new();
        for (number, (path, entry)) in (0u32..).zip(items) {
            let (mode, item) = match entry {
                None => (USUAL, Item::Dir),
                Some((_, Entry::Dir { mode })) => (*mode, Item::Dir),
                Some((_, Entry::Launcher)) => (USUAL, Item::Launcher),
                Some((_, Entry::Symlink { target })) => {
                    if !stays_inside(path.as_str(), target) {
                        let target = target.clone();
                        return Err(ExeError::LinkOut { path, target });
                    }
                    (PERMISSIONS, Item::Symlink(target))
                }
                Some((_, Entry::File { mode, digest, .. })) if *digest == empty => {
                    (*mode, Item::Empty)
                }
                Some((
                    path,
                    Entry::File {
                        mode,
                        len,
                        digest,
                        last,
                    },
                )) => {
                    let mode = mode & PERMISSIONS;
                    let next = (number, plan.files.len());
                    let (earlier, place) = *first.entry((*digest, mode)).or_insert(next);
                    if earlier == number {
                        plan.files.push(Stored {
                            path,
                            len: *len,
                            digest: *digest,
                            kind: Sort::of(path, mode),
                            last: *last,
                        });
                        (mode, Item::Stored(place))
                    } else {
                        // Bytes that something else has as well stay when the app no longer has them.
                        plan.files[place].last &= *last;
                        (mode, Item::Same(earlier))
                    }
                }
            };
            plan.items.push((path, mode & PERMISSIONS, item));
        }
        plan.order_stream();
        Ok(plan)
    }

    /// Like beside like: it compresses better.
    fn order_stream(&mut self) {
        let mut order: Vec<usize> = (0..self.files.len()).collect();
        order.sort_by_key(|number| {
            let file = &self.files[*number];
            let extension = match file.kind {
                Sort::Other => file.path.file_name().rsplit_once('.').map(|(_, end)| end),
                _ => None,
            };
            (file.last, file.kind, extension, file.path)
        });
        let mut places = vec![0; order.len()];
        for (place, number) in order.iter().enumerate() {
            places[*number] = place;
        }
        for (_, _, item) in &mut self.items {
            if let Item::Stored(number) = item {
                *number = places[*number];
            }
        }
        let mut files: Vec<Option<Stored<'a>>> = self.files.drain(..).map(Some).collect();
        self.files = order
            .into_iter()
            .filter_map(|number| files[number].take())
            .collect();
    }

    /// The bytes of the index, as `wire::payload` describes them.
    pub(super) fn index(&self, packed: &Packed, stub: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((packed.frames.len() as u32).to_le_bytes());
        out.extend((self.items.len() as u32).to_le_bytes());
        for frame in &packed.frames {
            out.extend(frame.packed_len.to_le_bytes());
            out.extend(frame.len.to_le_bytes());
            out.push(if frame.code { CODE } else { PLAIN });
            out.extend(frame.sha256.as_bytes());
        }
        for (path, mode, item) in &self.items {
            let kind = match item {
                Item::Dir => DIR,
                Item::Stored(_) | Item::Empty => FILE,
                Item::Same(_) => HARD_LINK,
                Item::Symlink(_) => SYMLINK,
                Item::Launcher => LAUNCHER,
            };
            out.push(kind);
            out.extend((*mode as u16).to_le_bytes());
            text(&mut out, path.as_str());
            match item {
                Item::Dir => {}
                Item::Empty => out.extend([0; 16]),
                Item::Stored(number) => {
                    let file = &packed.files[*number];
                    out.extend(file.start.to_le_bytes());
                    out.extend(file.len.to_le_bytes());
                    out.extend(file.hashes.iter().flat_map(|hash| hash.to_le_bytes()));
                }
                Item::Same(number) => out.extend(number.to_le_bytes()),
                Item::Symlink(target) => text(&mut out, target),
                Item::Launcher => out.extend(xxh64(stub).to_le_bytes()),
            }
        }
        out
    }
}

/// Paths and links have at most 4095 bytes, which was checked.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
}

type Items<'a> = BTreeMap<TreePath, Option<(&'a TreePath, &'a Entry)>>;

/// All paths with the directories above them, in order.
fn with_parents(exe: &Exe) -> Result<Items<'_>, ExeError> {
    let mut items = Items::new();
    for (path, entry) in &exe.entries {
        for parent in path.ancestors() {
            if !matches!(exe.entries.get(&parent), None | Some(Entry::Dir { .. })) {
                return Err(ExeError::ThroughFile {
                    path: path.clone(),
                    through: parent,
                });
            }
            items.entry(parent).or_insert(None);
        }
        items.insert(path.clone(), Some((path, entry)));
    }
    Ok(items)
}
