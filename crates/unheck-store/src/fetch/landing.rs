//! The disk side of one download: the unfinished file, its hash so far, and its end as a blob.
//!
//! A file with a known digest grows as `tmp/partial-<hex>`, which is `flock`ed while somebody
//! writes it and stays when that ends early. Its bytes are hashed again when it is resumed. Other files are
//! temporary files of the process. All here blocks: it is called from blocking tasks.

use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::Bytes;
use tempfile::TempPath;
use unheck_base::{Digest, Hasher};

use crate::blob::{CHUNK, Expected, check};
use crate::store::PARTIAL;
use crate::{Store, StoreError, disk, lock};

/// An unfinished file, open and owned.
pub(crate) struct Landing {
    file: std::fs::File,
    place: Place,
    hasher: Hasher,
    len: u64,
}

/// Where the file is, and whether it outlives the download.
enum Place {
    Partial(PathBuf),
    Temporary(TempPath),
}

impl Landing {
    /// Opens the unfinished file of `digest`, with what an earlier download left in it. `None` while
    /// another process or task has it.
    pub(crate) fn claim(store: &Store, digest: &Digest) -> Result<Option<Self>, StoreError> {
        let path = store.area("tmp").join(format!("{PARTIAL}{}", digest.hex()));
        let mut options = fs_err::OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let fail = |source| StoreError::io("write", &path, source);
        let mut file = match options.open(&path) {
            Ok(file) => file.into_file(),
            Err(_) if path.is_dir() => {
                disk::remove_any(&path)?;
                return Ok(None);
            }
            Err(source) => return Err(fail(source)),
        };
        if !lock::try_flock(&file).map_err(fail)? {
            return Ok(None);
        }
        // Its last owner may have made a blob of it, or removed it, after we opened it.
        if !disk::is_same_file(&file.metadata().map_err(fail)?, &path) {
            return Ok(None);
        }
        let mut hasher = Hasher::new();
        let mut reader = std::io::BufReader::with_capacity(CHUNK, &file);
        let len = std::io::copy(&mut reader, &mut hasher).map_err(fail)?;
        file.seek(SeekFrom::Start(len)).map_err(fail)?;
        Ok(Some(Self {
            file,
            place: Place::Partial(path),
            hasher,
            len,
        }))
    }

    /// A file that nobody can resume.
    pub(crate) fn temporary(store: &Store) -> Result<Self, StoreError> {
        let (file, path) = store.temp_file()?.into_parts();
        Ok(Self {
            file,
            place: Place::Temporary(path),
            hasher: Hasher::new(),
            len: 0,
        })
    }

    /// Bytes here so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether what is here can be continued by other bytes of the same file: only the digest shows
    /// that they belong together.
    pub(crate) fn can_resume(&self) -> bool {
        matches!(self.place, Place::Partial(_))
    }

    /// Forgets what is here.
    pub(crate) fn restart(&mut self) -> Result<(), StoreError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|source| StoreError::io("empty", self.path(), source))?;
        self.hasher = Hasher::new();
        self.len = 0;
        Ok(())
    }

    /// Adds bytes. After a failure the file's end is where it was, so it can be resumed.
    pub(crate) fn append(&mut self, chunks: &[Bytes]) -> Result<(), StoreError> {
        for chunk in chunks {
            if let Err(source) = self.file.write_all(chunk) {
                let _ = self.file.set_len(self.len);
                let _ = self.file.seek(SeekFrom::Start(self.len));
                return Err(StoreError::io("write", self.path(), source));
            }
            self.hasher.update(chunk);
            self.len += chunk.len() as u64;
        }
        Ok(())
    }

    /// Makes a blob of it. When it is not the expected content, it is emptied instead.
    pub(crate) fn commit(
        &mut self,
        store: &Store,
        expected: Option<Expected>,
    ) -> Result<Digest, StoreError> {
        let found = self.hasher.clone().finish();
        if let Some((digest, size)) = expected
            && let Err(wrong) = check(&found, self.len, &digest, size)
        {
            self.restart()?;
            return Err(wrong);
        }
        disk::install_file(&self.file, self.path(), &store.path(&found))?;
        Ok(found)
    }

    /// Removes the unfinished file: it is of no use to anybody.
    pub(crate) fn remove(&self) {
        let _ = disk::remove_any(self.path());
    }

    fn path(&self) -> &std::path::Path {
        match &self.place {
            Place::Partial(path) => path,
            Place::Temporary(path) => path,
        }
    }
}
