//! Derived files and directories: what was computed from blobs, under a kind and a key.
//!
//! The key is the digest of everything that went into the computation (the caller's business). A
//! file ends with a trailer: the SHA-256 of the content, the key, the content's length and a magic
//! number. So damage, truncation and a file under another's name are noticed; a damaged file counts
//! as absent or, when it shows only while reading, as a [`Corruption`]. A directory has no trailer:
//! it is whole or absent, but what was changed inside later is not noticed here.
//!
//! Start at [`Store::derived`] and [`Derived::get_or_put`].

use std::error::Error;
use std::fs::Permissions;
use std::io::{self, BufWriter, Read, Take, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use unheck_base::{Digest, Hasher};

use crate::blob::{CHUNK, Opened, open_regular};
use crate::corrupt::{Corruption, Object, VerifyingReader};
use crate::{LockGuard, Store, StoreError, disk, lock};

const MAGIC: &[u8; 8] = b"unheckD1";
const TRAILER: usize = 32 + 32 + 8 + 8;

/// A name for something derived; says nothing about whether it is there.
#[derive(Debug, Clone)]
pub struct Derived {
    store: Store,
    kind: String,
    key: Digest,
}

/// Producing a derived file or directory failed.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError<E: Error + 'static> {
    /// The store could not keep it.
    #[error("cannot keep a derived result")]
    Store(#[source] StoreError),
    /// The computation itself failed.
    #[error("cannot compute a derived result")]
    Produce(#[source] E),
}

impl Store {
    /// Names something derived. `kind` is a short constant of the caller (lower-case letters,
    /// digits, `-`, `.`; with a version number when its format can change), `key` the digest of
    /// all that goes into it.
    pub fn derived(&self, kind: &str, key: &Digest) -> Derived {
        Derived {
            store: self.clone(),
            kind: kind.to_owned(),
            key: *key,
        }
    }
}

impl Derived {
    /// Opens the file, `None` when it is absent or its trailer is damaged (it is removed then).
    ///
    /// # Errors
    /// The kind is not a file name, or the file cannot be read.
    pub fn get(&self) -> Result<Option<DerivedFile>, StoreError> {
        match self.open()? {
            Ok(file) => Ok(file),
            Err(damage) => {
                tracing::warn!("{damage}: removing it");
                self.discard()?;
                Ok(None)
            }
        }
    }

    /// The whole checked content, `None` when it is absent or damaged (it is removed then).
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above `limit` bytes; the file cannot be read.
    pub fn bytes(&self, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut file) = self.get()? else {
            return Ok(None);
        };
        let path = self.path()?;
        if file.len() > limit {
            let found = file.len();
            return Err(StoreError::TooLarge { path, found, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(file.len()).unwrap_or(0));
        match file.read_to_end(&mut bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if crate::corruption(&error).is_some() => {
                tracing::warn!("{error}: removing it");
                self.discard()?;
                Ok(None)
            }
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    /// Writes the file with what `produce` writes, replacing one that is there.
    ///
    /// # Errors
    /// What `produce` answers, or the store cannot keep it: a full disk is always told as
    /// [`StoreError::NoSpace`], however `produce` wraps the failed write.
    pub fn put_with<E: Error + 'static>(
        &self,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<DerivedFile, ProduceError<E>> {
        let mut sink = Sink::new(self).map_err(ProduceError::Store)?;
        let produced = produce(&mut sink);
        if let Some(error) = sink.failed.take() {
            let error = StoreError::io("write", &sink.path, error);
            return Err(ProduceError::Store(error));
        }
        produced.map_err(ProduceError::Produce)?;
        sink.commit(self).map_err(ProduceError::Store)
    }

    /// As [`Derived::put_with`], for bytes in memory.
    ///
    /// # Errors
    /// The store cannot keep it.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let result = self.put_with(|sink| sink.write_all(bytes));
        match result {
            Ok(_) => Ok(()),
            Err(ProduceError::Store(error)) => Err(error),
            Err(ProduceError::Produce(error)) => Err(StoreError::io("write", &self.path()?, error)),
        }
    }

    /// Opens the file, or computes it under the lock of its name, so that it is computed once also
    /// when several processes want it at the same moment.
    ///
    /// # Errors
    /// As [`Derived::get`] and [`Derived::put_with`].
    pub fn get_or_put<E: Error + 'static>(
        &self,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<DerivedFile, ProduceError<E>> {
        if let Some(file) = self.get().map_err(ProduceError::Store)? {
            return Ok(file);
        }
        let _guard = self.lock().map_err(ProduceError::Store)?;
        match self.get().map_err(ProduceError::Store)? {
            Some(file) => Ok(file),
            None => self.put_with(produce),
        }
    }

    /// Waits for the lock of this name: take it, look again with [`Derived::get`], compute.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub fn lock(&self) -> Result<LockGuard, StoreError> {
        self.store
            .lock(&format!("{}-{}", self.kind, self.key.hex()))
    }

    /// Opens the directory, `None` when it is absent. While the answer lives, no process of
    /// unheck prunes the directory.
    ///
    /// # Errors
    /// The kind is not a file name, or the directory cannot be opened.
    pub fn dir(&self) -> Result<Option<DerivedDir>, StoreError> {
        let path = self.path()?;
        match fs_err::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("look at", &path, error)),
            Ok(found) if !found.is_dir() => {
                tracing::warn!(path = %path.display(), "not a directory: removing it");
                self.discard()?;
                return Ok(None);
            }
            Ok(_) => {}
        }
        let in_use = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        let look = |source| StoreError::io("look at", &path, source);
        // A refused lock means that it is being pruned at this moment.
        let held = lock::try_flock_shared(in_use.file()).map_err(look)?;
        let open = in_use.metadata().map_err(look)?;
        if !held || !disk::is_same_file(&open, &path) {
            return Ok(None);
        }
        disk::touch(in_use.file(), &open, self.store.opened());
        Ok(Some(DerivedDir {
            path,
            _in_use: in_use,
        }))
    }

    /// Opens the directory, or has `fill` fill a new one that appears as a whole. Of two producers at
    /// the same moment the later one's result is dropped.
    ///
    /// # Errors
    /// What `fill` answers, or the store cannot keep it.
    pub fn dir_with<E: Error + 'static>(
        &self,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<DerivedDir, ProduceError<E>> {
        if let Some(found) = self.dir().map_err(ProduceError::Store)? {
            return Ok(found);
        }
        let work = self.store.temp_dir().map_err(ProduceError::Store)?;
        let filled = Removed(work.path().join("root"));
        disk::make_dir(&filled.0).map_err(ProduceError::Store)?;
        fill(&filled.0).map_err(ProduceError::Produce)?;
        self.install_dir(&filled.0).map_err(ProduceError::Store)
    }

    fn install_dir(&self, filled: &Path) -> Result<DerivedDir, StoreError> {
        let path = self.path()?;
        // Moving a directory needs the right to write it.
        fs_err::set_permissions(filled, Permissions::from_mode(0o755))
            .map_err(|source| StoreError::io("set the mode of", filled, source))?;
        for _ in 0..16 {
            let busy = match rename_dir(filled, &path) {
                Ok(()) => false,
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => true,
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    self.discard()?;
                    continue;
                }
                Err(error) => return Err(StoreError::io("create", &path, error)),
            };
            if let Some(found) = self.dir()? {
                return Ok(found);
            }
            // The other's directory is being pruned at this moment.
            if busy {
                std::thread::sleep(std::time::Duration::from_millis(20));
            } else {
                break;
            }
        }
        let gone = io::Error::from(io::ErrorKind::NotFound);
        Err(StoreError::io("keep the directory", &path, gone))
    }

    /// Removes the file or directory; absent is fine.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn discard(&self) -> Result<(), StoreError> {
        let path = self.path()?;
        // Renamed first, so that a directory is never seen half removed.
        let trash = self.store.trash()?;
        let moved = trash.path().join("old");
        match fs_err::rename(&path, &moved) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                disk::remove_any(&path)
            }
            Err(error) => Err(StoreError::io("remove", &path, error)),
            Ok(()) => disk::remove_any(&moved),
        }
    }

    /// Where it is or would be.
    pub(crate) fn path(&self) -> Result<PathBuf, StoreError> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if self.kind.is_empty() || self.kind.starts_with('.') || !self.kind.chars().all(good) {
            let name = self.kind.clone();
            return Err(StoreError::BadName { name });
        }
        let mut path = self.store.area("derived");
        path.push(&self.kind);
        path.push(self.key.hex());
        Ok(path)
    }

    pub(crate) fn object(&self) -> Object {
        Object::Derived {
            kind: self.kind.clone(),
            key: self.key,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn key(&self) -> &Digest {
        &self.key
    }

    fn open(&self) -> Result<Result<Option<DerivedFile>, Corruption>, StoreError> {
        let path = self.path()?;
        let damaged = |detail: &str| Ok(Err(Corruption::new(self.object(), detail)));
        let (file, len) = match open_regular(&path, &self.store)? {
            Opened::Absent => return Ok(Ok(None)),
            Opened::Other => return damaged("it is not a regular file"),
            Opened::File(file, len) => (file, len),
        };
        let Some(content) = len.checked_sub(TRAILER as u64) else {
            return damaged("it is too short");
        };
        let mut trailer = [0; TRAILER];
        file.file()
            .read_exact_at(&mut trailer, content)
            .map_err(|source| StoreError::io("read", &path, source))?;
        let (digest, rest) = trailer.split_at(32);
        let (key, rest) = rest.split_at(32);
        let (length, magic) = rest.split_at(8);
        if magic != MAGIC || length != content.to_le_bytes() || key != self.key.as_bytes() {
            return damaged("its trailer is wrong");
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest);
        let digest = Digest::from_bytes(bytes);
        let reader = VerifyingReader::new(file.take(content), content, digest, self.object());
        Ok(Ok(Some(DerivedFile {
            reader,
            len: content,
            digest,
        })))
    }
}

/// `rename(2)` of a directory, which makes the directory above when needed.
fn rename_dir(from: &Path, to: &Path) -> io::Result<()> {
    match fs_err::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = to.parent() {
                disk::make_dir(parent).map_err(io::Error::other)?;
            }
            fs_err::rename(from, to)
        }
        other => other,
    }
}

/// Removes a tree on drop, whatever the modes in it.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = disk::remove_any(&self.0);
    }
}

/// A derived file that is open at its begin; reading to its end checks the content.
pub struct DerivedFile {
    reader: VerifyingReader<Take<fs_err::File>>,
    len: u64,
    digest: Digest,
}

impl DerivedFile {
    /// The length of the content in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a count of bytes, not a collection"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The digest that the content must have.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Read for DerivedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// A derived directory in use.
#[derive(Debug)]
pub struct DerivedDir {
    path: PathBuf,
    _in_use: fs_err::File,
}

impl DerivedDir {
    /// The directory. Nothing may be written into it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a producer writes into; remembers the first failure of the disk.
struct Sink {
    file: BufWriter<std::fs::File>,
    path: tempfile::TempPath,
    hasher: Hasher,
    len: u64,
    failed: Option<io::Error>,
}

impl Sink {
    fn new(derived: &Derived) -> Result<Self, StoreError> {
        derived.path()?;
        let (file, path) = derived.store.temp_file()?.into_parts();
        Ok(Self {
            file: BufWriter::with_capacity(CHUNK, file),
            path,
            hasher: Hasher::new(),
            len: 0,
            failed: None,
        })
    }

    fn commit(self, derived: &Derived) -> Result<DerivedFile, StoreError> {
        let Self {
            mut file,
            path,
            hasher,
            len,
            ..
        } = self;
        let fail = |source| StoreError::io("write", &path, source);
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend(hasher.finish().as_bytes());
        trailer.extend(derived.key.as_bytes());
        trailer.extend(len.to_le_bytes());
        trailer.extend(MAGIC);
        file.write_all(&trailer).map_err(fail)?;
        let file = file
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        disk::install_file(&file, &path, &derived.path()?)?;
        match derived.open()? {
            Ok(Some(file)) => Ok(file),
            Ok(None) => {
                let gone = io::Error::from(io::ErrorKind::NotFound);
                Err(StoreError::io("read again", &derived.path()?, gone))
            }
            Err(damage) => Err(damage.into()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        match &result {
            Ok(written) => {
                self.hasher.update(&bytes[..*written]);
                self.len += *written as u64;
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed.get_or_insert_with(|| copy_of(error));
            }
            Err(_) => {}
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().inspect_err(|error| {
            self.failed.get_or_insert_with(|| copy_of(error));
        })
    }
}

/// An `io::Error` cannot be cloned; its code says enough.
pub(crate) fn copy_of(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
