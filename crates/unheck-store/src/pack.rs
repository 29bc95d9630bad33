//! Packs: all members of one archive, uncompressed, in one file with an index at its end.
//!
//! Content first, in the order it came; then the index (see `pack_index`); then a footer with the place and
//! the digest of the index, the key and a magic number. Opening reads footer and index only; the
//! content of each member has its own digest, checked by [`PackMember`] while it is read.
//!
//! It refuses two members with one path and a member that is longer or shorter than announced; what
//! names, modes and links are allowed is for the reader of the archive to say.
//!
//! Start at [`PackWriter::create`] and [`Pack::open`].

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tempfile::TempPath;
use unheck_base::{Digest, Hasher, TreePath};

use crate::blob::{CHUNK, Opened, open_regular};
use crate::corrupt::{Corruption, Object, VerifyingReader};
use crate::derived::Derived;
use crate::pack_index::{Added, Member, PackEntry, PackKind, decode, encode};
use crate::{Store, StoreError, disk};

/// The kind under which packs are kept; the number is the format's.
const KIND: &str = "pack-1";
const MAGIC: &[u8; 8] = b"unheckP1";
const FOOTER: usize = 8 + 8 + 32 + 32 + 8;
/// No index may be larger, in bytes (about two million entries).
const INDEX_LIMIT: u64 = 256 * 1024 * 1024;

/// A pack could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The store could not keep it.
    #[error("cannot keep the pack")]
    Store(#[from] StoreError),
    /// The archive's reader failed in the middle of a member.
    #[error("cannot read the content of `{path}`")]
    Input {
        /// The member.
        path: TreePath,
        /// The reader's answer.
        source: io::Error,
    },
    /// Two members have the same path.
    #[error("`{path}` is in the archive twice")]
    Twice {
        /// The path.
        path: TreePath,
    },
    /// The content is longer or shorter than the archive says.
    #[error("`{path}` has {} than the {announced} bytes that the archive announces", if *.longer {"more"} else {"less"})]
    Length {
        /// The member.
        path: TreePath,
        /// The archive's figure in bytes.
        announced: u64,
        /// Whether more came.
        longer: bool,
    },
    /// The facts of the archive cannot be written as JSON, or there are too many members.
    #[error("the index of the pack would be larger than 256 MiB")]
    IndexLimit,
}

/// Writes a pack member by member. Dropped without [`PackWriter::commit`], nothing is left.
pub struct PackWriter {
    derived: Derived,
    file: BufWriter<std::fs::File>,
    temp: TempPath,
    buffer: Vec<u8>,
    offset: u64,
    entries: BTreeMap<TreePath, PackEntry>,
}

impl PackWriter {
    /// Begins a pack under `key` (see [`Pack::key`]).
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub fn create(store: &Store, key: &Digest) -> Result<Self, StoreError> {
        let (file, temp) = store.temp_file()?.into_parts();
        Ok(Self {
            derived: store.derived(KIND, key),
            file: BufWriter::with_capacity(CHUNK, file),
            temp,
            buffer: vec![0; CHUNK],
            offset: 0,
            entries: BTreeMap::new(),
        })
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// [`PackError::Twice`].
    pub fn add_dir(&mut self, member: Member) -> Result<(), PackError> {
        self.add(member, PackKind::Dir)
    }

    /// Adds a symlink; `target` is kept as it stands.
    ///
    /// # Errors
    /// [`PackError::Twice`].
    pub fn add_symlink(&mut self, member: Member, target: &str) -> Result<(), PackError> {
        self.add(member, PackKind::Symlink(target.to_owned()))
    }

    /// Adds a second name for `target`, which may come later or be missing.
    ///
    /// # Errors
    /// [`PackError::Twice`].
    pub fn add_hardlink(&mut self, member: Member, target: TreePath) -> Result<(), PackError> {
        self.add(member, PackKind::Hardlink(target))
    }

    /// Adds a regular file with all that `content` gives. With `len`, the archive's figure, no more
    /// than one buffer beyond it is read.
    ///
    /// # Errors
    /// [`PackError::Twice`], [`PackError::Length`], the reader fails, or it cannot be written. The
    /// pack cannot be used after a failure: drop it.
    pub fn add_file(
        &mut self,
        member: Member,
        len: Option<u64>,
        content: &mut dyn Read,
    ) -> Result<Added, PackError> {
        if self.entries.contains_key(&member.path) {
            return Err(PackError::Twice { path: member.path });
        }
        let offset = self.offset;
        let mut hasher = Hasher::new();
        let mut total = 0;
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let path = member.path;
                    return Err(PackError::Input { path, source });
                }
            };
            total += read as u64;
            if len.is_some_and(|len| total > len) {
                return Err(wrong_length(member.path, len, true));
            }
            hasher.update(&self.buffer[..read]);
            self.file
                .write_all(&self.buffer[..read])
                .map_err(|source| StoreError::io("write", &self.temp, source))?;
        }
        if len.is_some_and(|len| total < len) {
            return Err(wrong_length(member.path, len, false));
        }
        self.offset += total;
        let digest = hasher.finish();
        let (len, kind) = (
            total,
            PackKind::File {
                offset,
                len: total,
                digest,
            },
        );
        self.add(member, kind)?;
        Ok(Added {
            offset,
            len,
            digest,
        })
    }

    fn add(&mut self, member: Member, kind: PackKind) -> Result<(), PackError> {
        let Member { path, mode, mtime } = member;
        if self.entries.contains_key(&path) {
            return Err(PackError::Twice { path });
        }
        let entry = PackEntry {
            path: path.clone(),
            mode,
            mtime,
            kind,
        };
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Finishes the pack with `meta`, the facts of the archive that its reader wants to find again,
    /// and opens it.
    ///
    /// # Errors
    /// [`PackError::IndexLimit`], or it cannot be written.
    pub fn commit(self, meta: &serde_json::Value) -> Result<Pack, PackError> {
        let Self {
            derived,
            mut file,
            temp,
            offset,
            entries,
            ..
        } = self;
        let entries: Vec<PackEntry> = entries.into_values().collect();
        let index = encode(&meta.to_string(), &entries);
        if index.len() as u64 > INDEX_LIMIT {
            return Err(PackError::IndexLimit);
        }
        let fail = |source| StoreError::io("write", &temp, source);
        let mut footer = Vec::with_capacity(FOOTER);
        footer.extend(offset.to_le_bytes());
        footer.extend((index.len() as u64).to_le_bytes());
        footer.extend(Digest::of(&index).as_bytes());
        footer.extend(derived.key().as_bytes());
        footer.extend(MAGIC);
        file.write_all(&index).map_err(fail)?;
        file.write_all(&footer).map_err(fail)?;
        let file = file
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        let path = derived.path()?;
        disk::install_file(&file, &temp, &path)?;
        // The open file goes on to serve reads: no second opening, nothing to race with.
        Ok(Pack {
            inner: Arc::new(Inner {
                file: fs_err::File::from_parts(reopened(file, &path)?, path),
                object: derived.object(),
                meta: meta.clone(),
                entries,
            }),
        })
    }
}

/// The temporary file was opened for writing too; readers get one that cannot write.
fn reopened(file: std::fs::File, path: &std::path::Path) -> Result<std::fs::File, StoreError> {
    match fs_err::File::open(path) {
        Ok(again) => Ok(again.into_file()),
        // Pruned or replaced at this moment by another process: the open one is still right.
        Err(_) => Ok(file),
    }
}

fn wrong_length(path: TreePath, announced: Option<u64>, longer: bool) -> PackError {
    PackError::Length {
        path,
        announced: announced.unwrap_or(0),
        longer,
    }
}

/// An open pack. Cheap to clone; reads from several threads do not disturb each other.
#[derive(Debug, Clone)]
pub struct Pack {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: fs_err::File,
    object: Object,
    meta: serde_json::Value,
    entries: Vec<PackEntry>,
}

impl Pack {
    /// The key of the pack of an archive, as `unpacker` reads it: a name with a version, changed
    /// whenever the same archive would give another pack.
    pub fn key(archive: &Digest, unpacker: &str) -> Digest {
        Digest::of(format!("{KIND}\n{unpacker}\n{archive}\n").as_bytes())
    }

    /// Opens a pack, `None` when it is absent or its index is damaged (it is removed then).
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(store: &Store, key: &Digest) -> Result<Option<Self>, StoreError> {
        let derived = store.derived(KIND, key);
        match Self::load(&derived)? {
            Ok(found) => Ok(found),
            Err(damage) => {
                tracing::warn!("{damage}: removing it");
                derived.discard()?;
                Ok(None)
            }
        }
    }

    fn load(derived: &Derived) -> Result<Result<Option<Self>, Corruption>, StoreError> {
        let path = derived.path()?;
        let damaged = |detail: &str| Ok(Err(Corruption::new(derived.object(), detail)));
        let (file, len) = match open_regular(&path, derived.store())? {
            Opened::Absent => return Ok(Ok(None)),
            Opened::Other => return damaged("it is not a regular file"),
            Opened::File(file, len) => (file, len),
        };
        let Some(end) = len.checked_sub(FOOTER as u64) else {
            return damaged("it is too short");
        };
        let fail = |source| StoreError::io("read", &path, source);
        let mut footer = [0; FOOTER];
        file.file().read_exact_at(&mut footer, end).map_err(fail)?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&footer[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let (content, length) = (number(0), number(8));
        let whole = content.checked_add(length) == Some(end) && length <= INDEX_LIMIT;
        if !whole || footer[80..] != *MAGIC || footer[48..80] != *derived.key().as_bytes() {
            return damaged("its footer is wrong");
        }
        let mut index = vec![0; length as usize];
        file.file()
            .read_exact_at(&mut index, content)
            .map_err(fail)?;
        if footer[16..48] != *Digest::of(&index).as_bytes() {
            return damaged("its index has the wrong checksum");
        }
        let (meta, entries) = match decode(&index, content) {
            Ok(decoded) => decoded,
            Err(bad) => return damaged(bad.0),
        };
        let Ok(meta) = serde_json::from_str(meta) else {
            return damaged("its facts are not JSON");
        };
        Ok(Ok(Some(Self {
            inner: Arc::new(Inner {
                file,
                object: derived.object(),
                meta,
                entries,
            }),
        })))
    }

    /// All members, sorted by path.
    pub fn entries(&self) -> &[PackEntry] {
        &self.inner.entries
    }

    /// The member at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&PackEntry> {
        let entries = &self.inner.entries;
        let found = entries.binary_search_by(|entry| entry.path.cmp(path));
        found.ok().map(|at| &entries[at])
    }

    /// The facts of the archive given to [`PackWriter::commit`].
    pub fn meta(&self) -> &serde_json::Value {
        &self.inner.meta
    }

    /// Its name in the store, for [`Store::discard`].
    pub fn object(&self) -> &Object {
        &self.inner.object
    }

    /// Some bytes of the pack, not checked. Ends early only when the file is damaged.
    pub fn read(&self, offset: u64, len: u64) -> PackRange {
        PackRange {
            pack: self.clone(),
            offset,
            left: len,
        }
    }

    /// The content of a regular file, checked at its end; `None` for other members.
    pub fn member(&self, entry: &PackEntry) -> Option<PackMember> {
        match &entry.kind {
            PackKind::File {
                offset,
                len,
                digest,
            } => Some(self.part(*offset, *len, digest)),
            PackKind::Dir | PackKind::Symlink(_) | PackKind::Hardlink(_) => None,
        }
    }

    /// As [`Pack::member`], from numbers that the caller kept.
    pub fn part(&self, offset: u64, len: u64, digest: &Digest) -> PackMember {
        let object = self.inner.object.clone();
        PackMember(VerifyingReader::new(
            self.read(offset, len),
            len,
            *digest,
            object,
        ))
    }

    /// The whole checked content of a regular file; nothing for other members.
    ///
    /// # Errors
    /// It is longer than `limit` bytes, damaged (a [`Corruption`] inside), or cannot be read.
    pub fn bytes(&self, entry: &PackEntry, limit: u64) -> io::Result<Vec<u8>> {
        let Some(mut member) = self.member(entry) else {
            return Ok(Vec::new());
        };
        let len = member.0.left();
        if len > limit {
            let path = &entry.path;
            let message = format!("`{path}` has {len} bytes, more than the limit of {limit}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        member.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a range of a pack by positioned reads.
#[derive(Debug)]
pub struct PackRange {
    pack: Pack,
    offset: u64,
    left: u64,
}

impl Read for PackRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let file = self.pack.inner.file.file();
        let read = file.read_at(&mut buffer[..room], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Reads one member; fails with a [`Corruption`] inside of the `io::Error` when its digest is
/// wrong.
pub struct PackMember(VerifyingReader<PackRange>);

impl Read for PackMember {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
