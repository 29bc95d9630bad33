//! Small JSON documents that must outlive a crash, such as the last `Date` seen of a suite.
//!
//! A document is one line with the digest of the rest, then the JSON text. It is written whole,
//! synced and renamed: after a power cut the new or the old document is there. Start at
//! [`Store::state_put`].

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use unheck_base::Digest;

use crate::corrupt::{Corruption, Object};
use crate::{Store, StoreError, disk};

/// No state document may be larger, in bytes.
const STATE_LIMIT: u64 = 16 * 1024 * 1024;

impl Store {
    /// The document `name`, `None` when it was never written.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is damaged: the caller decides whether it can live without.
    pub fn state_get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.state_path(name);
        let damaged = |detail: &str| Corruption::new(Object::State(name.to_owned()), detail);
        let length = match fs_err::symlink_metadata(&path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return Err(damaged("it is not a regular file").into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        if length > STATE_LIMIT {
            return Err(damaged("it is larger than 16 MiB").into());
        }
        let bytes = fs_err::read(&path).map_err(|source| StoreError::io("read", &path, source))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not UTF-8"))?;
        let (line, json) = text
            .split_once('\n')
            .ok_or_else(|| damaged("it is cut off"))?;
        if line != Digest::of(json.as_bytes()).to_string() {
            return Err(damaged("its checksum is wrong").into());
        }
        serde_json::from_str(json)
            .map(Some)
            .map_err(|source| StoreError::Shape {
                name: name.to_owned(),
                source,
            })
    }

    /// Writes the document `name` (any text), replacing the one before, unless it is the same. The last writer wins: take
    /// [`Store::lock`] around reading and writing.
    ///
    /// # Errors
    /// It cannot be written; the old document is still there then.
    pub fn state_put<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StoreError> {
        let path = self.state_path(name);
        let json = serde_json::to_string_pretty(value).map_err(|source| StoreError::Shape {
            name: name.to_owned(),
            source,
        })?;
        let fail = |source| StoreError::io("write", &path, source);
        let text = format!("{}\n{json}", Digest::of(json.as_bytes()));
        // A sync takes up to a third of a second on a busy disk (measured).
        let same = |found: std::fs::Metadata| found.is_file() && found.len() == text.len() as u64;
        if fs_err::symlink_metadata(&path).is_ok_and(same)
            && fs_err::read(&path).is_ok_and(|found| found == text.as_bytes())
        {
            return Ok(());
        }
        let mut file = self.temp_file()?;
        file.write_all(text.as_bytes()).map_err(fail)?;
        file.as_file().sync_all().map_err(fail)?;
        disk::install_file(file.as_file(), file.path(), &path)
    }

    pub(crate) fn state_path(&self, name: &str) -> PathBuf {
        let seen: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(60)
            .collect();
        let digest = Digest::of(name.as_bytes()).hex();
        self.area("state")
            .join(format!("{seen}-{}.json", &digest[..16]))
    }
}
