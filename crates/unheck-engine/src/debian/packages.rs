//! The packages of one index as text in memory, each found by name. Start at [`Table::load`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::OnceLock;

use unheck_base::Digest;
use unheck_deb::control::{BinaryPackage, ControlError, StanzaReader};
use unheck_store::{Derived, Store, StoreError};

use super::suites::{Loaded, SuitesError};
use crate::lock::Archive;

/// Longest uncompressed Packages index that is read.
const MAX_PACKAGES: u64 = 1 << 30;

/// Raised whenever the table of the same index would differ.
const TABLE_VERSION: &str = "packages 2";

/// The packages of one index: its text and where each stanza begins.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) suite: String,
    pub(super) archive: Archive,
    pub(super) date: i64,
    pub(super) text: Vec<u8>,
    /// Package name to the place of its stanza.
    pub(super) stanzas: BTreeMap<String, (usize, usize)>,
    /// Provided name to the packages that provide it, made when somebody asks.
    pub(super) provides: OnceLock<BTreeMap<String, BTreeSet<String>>>,
}

/// A Packages index is broken.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// It cannot be decompressed.
    #[error("it cannot be decompressed")]
    Decompress(#[source] std::io::Error),
    /// It is longer than any real one.
    #[error("it has more than {MAX_PACKAGES} bytes")]
    TooLong,
    /// A stanza is wrong.
    #[error("a package's paragraph is wrong")]
    Stanza(#[from] ControlError),
}

impl Table {
    pub(super) fn load(
        store: &Store,
        loaded: &Loaded,
        path: &str,
        digest: Digest,
    ) -> Result<Self, SuitesError> {
        let suite = || loaded.name.clone();
        let packages = |source| SuitesError::Packages {
            suite: suite(),
            source,
        };
        let failed = |source| SuitesError::Store {
            suite: suite(),
            source,
        };
        let key = unheck_store::Pack::key(&digest, TABLE_VERSION);
        let derived: Derived = store.derived("packages", &key);
        let text = match derived.bytes(MAX_PACKAGES).map_err(failed)? {
            Some(text) => text,
            None => {
                let blob = store.open_verified(&digest).map_err(failed)?;
                let text = decompress(path, blob).map_err(|error| match store.verify(&digest) {
                    Err(damage @ StoreError::Corrupt(_)) => failed(damage),
                    _ => packages(error),
                })?;
                derived.put_bytes(&text).map_err(failed)?;
                text
            }
        };
        let stanzas = stanzas(&text);
        Ok(Self {
            suite: suite(),
            archive: loaded.archive,
            date: loaded.release.date,
            text,
            stanzas,
            provides: OnceLock::new(),
        })
    }

    /// Read off the text: a paragraph has one `Provides` field at most.
    pub(super) fn provides(&self) -> &BTreeMap<String, BTreeSet<String>> {
        self.provides.get_or_init(|| {
            let field = memchr::memmem::Finder::new(b"\nProvides: ");
            let mut provides: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (package, (start, end)) in &self.stanzas {
                let stanza = &self.text[*start..*end];
                if field.find(stanza).is_none() {
                    continue;
                }
                let listed = self.package(package);
                let groups = listed.and_then(|listed| listed.provides.parse().ok());
                for provided in groups.into_iter().flatten().flatten() {
                    let names = provides.entry(provided.name).or_default();
                    names.insert(package.clone());
                }
            }
            provides
        })
    }

    /// Whether a `Depends` field ends here, or after a version.
    pub(super) fn only_dependency(&self, at: usize) -> bool {
        let rest = &self.text[at..];
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        line.is_empty() || line.starts_with(b" (") && line.ends_with(b")") && !line.contains(&b',')
    }

    /// The package in whose paragraph a place is.
    pub(super) fn name_at(&self, at: usize) -> Option<String> {
        let start = memchr::memmem::rfind(&self.text[..at], b"\n\n").map_or(0, |end| end + 2);
        let rest = self.text.get(start..at)?.strip_prefix(b"Package: ")?;
        let line = rest.split(|byte| *byte == b'\n').next()?;
        std::str::from_utf8(line)
            .ok()
            .map(|name| name.trim().to_owned())
    }

    pub(super) fn package(&self, name: &str) -> Option<BinaryPackage> {
        let (start, end) = *self.stanzas.get(name)?;
        let mut reader = StanzaReader::new(&self.text[start..end]);
        let stanza = reader.next_stanza().ok()??;
        BinaryPackage::from_stanza(&stanza).ok()
    }
}

/// Fields that are never asked for, and most of an index's bytes.
const DROPPED: &[&[u8]] = &[
    b"Description-md5:",
    b"Tag:",
    b"MD5sum:",
    b"Maintainer:",
    b"Replaces:",
    b"Suggests:",
];

/// The text of an index without the fields that nobody asks for.
fn decompress(path: &str, blob: impl std::io::Read) -> Result<Vec<u8>, PackagesError> {
    use std::io::BufRead as _;
    let reader = unheck_deb::contents::decompress(path, blob)
        .map_err(|error| PackagesError::Decompress(std::io::Error::other(error)))?;
    let mut reader = std::io::BufReader::with_capacity(256 << 10, reader.take(MAX_PACKAGES + 1));
    let mut text = Vec::new();
    let (mut line, mut total, mut dropping) = (Vec::new(), 0, false);
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(PackagesError::Decompress)?;
        if read == 0 {
            return Ok(text);
        }
        total += read as u64;
        if total > MAX_PACKAGES {
            return Err(PackagesError::TooLong);
        }
        // A continuation line belongs to the field before it.
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            dropping = DROPPED.iter().any(|field| line.starts_with(field));
        }
        if !dropping {
            text.extend_from_slice(&line);
        }
    }
}

/// Where each package's stanza begins and ends; of several with one name the last counts, which
/// is the newest in Debian's own order.
fn stanzas(text: &[u8]) -> BTreeMap<String, (usize, usize)> {
    let mut stanzas = BTreeMap::new();
    let mut start = 0;
    let ends = memchr::memmem::find_iter(text, b"\n\n")
        .map(|at| at + 2)
        .chain([text.len()]);
    for end in ends {
        let stanza = &text[start..end];
        if let Some(rest) = stanza.strip_prefix(b"Package: ")
            && let Some(line) = rest.split(|byte| *byte == b'\n').next()
            && let Ok(name) = std::str::from_utf8(line)
        {
            stanzas.insert(name.trim().to_owned(), (start, end));
        }
        start = end;
    }
    stanzas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_found_by_name() {
        let text = b"Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n";
        let found = stanzas(text);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        let (start, end) = found["b"];
        assert_eq!(&text[start..end], b"Package: b\nVersion: 2\n");
    }
}
