//! Blobs: content under the name of its own SHA-256.
//!
//! Start at [`Store::put_reader`] and [`Store::open_verified`]. Content is hashed while it is
//! written and renamed into place only when the digest is known (and right), so a blob is whole or
//! absent. Readers check again, because disks and people change files.

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use unheck_base::{Digest, Hasher};

use crate::corrupt::{Corruption, Object, VerifyingReader};
use crate::{Store, StoreError, disk};

/// What content must turn out to be: its digest, and its size in bytes where it is known.
pub type Expected = (Digest, Option<u64>);

/// Bytes moved at a time.
pub(crate) const CHUNK: usize = 128 * 1024;

impl Store {
    /// Whether the blob is there (its content is not looked at). Counts as a use.
    pub fn has(&self, digest: &Digest) -> bool {
        self.size_of(digest).is_some()
    }

    /// The size of the blob in bytes, `None` when it is not there. Counts as a use.
    pub fn size_of(&self, digest: &Digest) -> Option<u64> {
        let path = self.path(digest);
        let found = path
            .symlink_metadata()
            .ok()
            .filter(|found| found.is_file())?;
        if disk::is_stale(&found, self.opened())
            && let Ok(file) = fs_err::File::open(&path)
        {
            disk::touch(file.file(), &found, self.opened());
        }
        Some(found.len())
    }

    /// Where the blob is or would be. Prefer [`Store::open_verified`]: a path checks nothing.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let mut path = self.area("blobs");
        path.push("sha256");
        path.push(&hex[..2]);
        path.push(hex);
        path
    }

    /// Opens the blob without looking at its content. For positioned reads of content that is
    /// checked otherwise; else use [`Store::open_verified`].
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Corrupt`] when it is no regular file.
    pub fn open_blob(&self, digest: &Digest) -> Result<fs_err::File, StoreError> {
        self.open_sized(digest).map(|(file, _)| file)
    }

    /// Opens the blob for one reading from begin to end, checked on the way.
    ///
    /// # Errors
    /// As [`Store::open_blob`]; a wrong digest shows as an error of the reader.
    pub fn open_verified(
        &self,
        digest: &Digest,
    ) -> Result<VerifyingReader<fs_err::File>, StoreError> {
        let (file, len) = self.open_sized(digest)?;
        Ok(VerifyingReader::new(
            file,
            len,
            *digest,
            Object::Blob(*digest),
        ))
    }

    fn open_sized(&self, digest: &Digest) -> Result<(fs_err::File, u64), StoreError> {
        let path = self.path(digest);
        match open_regular(&path, self)? {
            Opened::File(file, len) => Ok((file, len)),
            Opened::Absent => Err(StoreError::Missing { digest: *digest }),
            Opened::Other => {
                Err(Corruption::new(Object::Blob(*digest), "it is not a regular file").into())
            }
        }
    }

    /// Stores bytes in memory.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut writer = self.blob_writer()?;
        writer.append(bytes)?;
        writer.commit(None)
    }

    /// Stores all that `reader` gives. With `expected`, other content is refused and not kept, and
    /// content that is too long is refused as soon as it is.
    ///
    /// # Errors
    /// The reader fails, the content is not the expected one, or it cannot be written.
    pub fn put_reader(
        &self,
        reader: &mut dyn Read,
        expected: Option<Expected>,
    ) -> Result<Digest, StoreError> {
        let limit = expected.and_then(|(_, size)| size);
        let mut writer = self.blob_writer()?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return writer.commit(expected),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(StoreError::Input { source }),
            };
            writer.append(&buffer[..read])?;
            if let Some(expected) = limit.filter(|limit| writer.len() > *limit) {
                let found = writer.len();
                return Err(StoreError::TooLong { expected, found });
            }
        }
    }

    /// A writer for a new blob.
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let (file, temp) = self.temp_file()?.into_parts();
        Ok(BlobWriter {
            store: self.clone(),
            file: BufWriter::with_capacity(CHUNK, file),
            temp,
            hasher: Hasher::new(),
            len: 0,
        })
    }

    /// Reads the whole blob and compares its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Corrupt`], or it cannot be read.
    pub fn verify(&self, digest: &Digest) -> Result<(), StoreError> {
        let (mut file, _) = self.open_sized(digest)?;
        let (found, _) = Digest::of_reader(&mut file)
            .map_err(|source| StoreError::io("read", &self.path(digest), source))?;
        if found == *digest {
            return Ok(());
        }
        let detail = format!("its content has the digest `{found}`");
        Err(Corruption::new(Object::Blob(*digest), detail).into())
    }

    /// Verifies the blob and removes it when it is damaged; whether it was removed.
    ///
    /// # Errors
    /// It cannot be read or removed.
    pub fn quarantine(&self, digest: &Digest) -> Result<bool, StoreError> {
        match self.verify(digest) {
            Ok(()) | Err(StoreError::Missing { .. }) => return Ok(false),
            Err(StoreError::Corrupt(_)) => {}
            // A damaged disk answers EIO: such a file is of no use either.
            Err(StoreError::Io { .. }) => {}
            Err(other) => return Err(other),
        }
        tracing::warn!(blob = %digest, "removing a damaged blob");
        // Moved away first, so that a good one that another process just put is seen and put back.
        let trash = self.trash()?;
        let moved = trash.path().join("blob");
        let path = self.path(digest);
        match fs_err::rename(&path, &moved) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::io("remove", &path, error)),
        }
        let good = fs_err::File::open(&moved)
            .and_then(Digest::of_reader)
            .is_ok_and(|(found, _)| found == *digest);
        if good {
            disk::rename(&moved, &path)?;
            return Ok(false);
        }
        disk::remove_any(&moved)?;
        Ok(true)
    }
}

/// What stands under a name where a regular file belongs.
pub(crate) enum Opened {
    /// A regular file, its length in bytes.
    File(fs_err::File, u64),
    /// Nothing.
    Absent,
    /// A directory, symlink, device …
    Other,
}

/// Opens a file of the store and notes its use.
pub(crate) fn open_regular(path: &Path, store: &Store) -> Result<Opened, StoreError> {
    let absent = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    // Looked at before it is opened: opening a FIFO would wait for its writer.
    let found = match fs_err::symlink_metadata(path) {
        Ok(found) if found.is_file() => found,
        Ok(_) => return Ok(Opened::Other),
        Err(error) if absent(error.kind()) => return Ok(Opened::Absent),
        Err(error) => return Err(StoreError::io("look at", path, error)),
    };
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if absent(error.kind()) => return Ok(Opened::Absent),
        Err(error) => return Err(StoreError::io("read", path, error)),
    };
    disk::touch(file.file(), &found, store.opened());
    let len = file
        .metadata()
        .map_err(|source| StoreError::io("look at", path, source))?
        .len();
    Ok(Opened::File(file, len))
}

/// Writes one new blob and hashes it on the way. Dropped without [`BlobWriter::commit`], nothing
/// is left.
pub struct BlobWriter {
    store: Store,
    file: BufWriter<std::fs::File>,
    temp: TempPath,
    hasher: Hasher,
    len: u64,
}

impl BlobWriter {
    /// How many bytes were written so far.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a count of bytes, not a collection"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_all(bytes)
            .map_err(|source| StoreError::io("write", &self.temp, source))
    }

    /// Gives the blob its name.
    ///
    /// # Errors
    /// The content is not the expected one, or the last bytes cannot be written.
    pub fn commit(self, expected: Option<Expected>) -> Result<Digest, StoreError> {
        let Self {
            store,
            file,
            temp,
            hasher,
            len,
        } = self;
        let fail = |source| StoreError::io("write", &temp, source);
        let file = file
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        let found = hasher.finish();
        if let Some((digest, size)) = expected {
            check(&found, len, &digest, size)?;
        }
        disk::install_file(&file, &temp, &store.path(&found))?;
        Ok(found)
    }
}

/// Compares what came with what was announced.
pub(crate) fn check(
    found: &Digest,
    len: u64,
    expected: &Digest,
    size: Option<u64>,
) -> Result<(), StoreError> {
    match size {
        Some(size) if len < size => Err(StoreError::TooShort {
            expected: size,
            found: len,
        }),
        Some(size) if len > size => Err(StoreError::TooLong {
            expected: size,
            found: len,
        }),
        _ if found != expected => Err(StoreError::WrongDigest {
            expected: *expected,
            found: *found,
        }),
        _ => Ok(()),
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
