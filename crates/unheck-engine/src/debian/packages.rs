//! The packages of one index as text in memory, each found by name. Start at [`Table::load`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use unheck_base::Digest;
use unheck_deb::control::{BinaryPackage, ControlError, StanzaReader};
use unheck_store::{Derived, Store, StoreError};

use super::suites::{Loaded, SuitesError};
use crate::lock::Archive;

/// Longest uncompressed Packages index that is read.
const MAX_PACKAGES: u64 = 1 << 30;

/// Raised whenever the table of the same index would differ.
const TABLE_VERSION: &str = "packages 3";

/// The packages of one index: its text and where each stanza begins.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) suite: String,
    pub(super) archive: Archive,
    pub(super) date: i64,
    pub(super) text: Arc<Vec<u8>>,
    /// Package name to the place of its stanza.
    pub(super) stanzas: BTreeMap<String, (usize, usize)>,
    /// Provided name to the packages that provide it, made when somebody asks.
    pub(super) provides: OnceLock<BTreeMap<String, BTreeSet<String>>>,
    _keeping: Option<Keeping>,
}

/// Writes the text of a table into the store while the table is used; ended when the table is dropped.
#[derive(Debug)]
struct Keeping(Option<JoinHandle<()>>);

impl Keeping {
    fn of(text: &Arc<Vec<u8>>, derived: Derived) -> Self {
        let text = Arc::clone(text);
        // What is not kept is made again the next time, so a failure changes no result; what it comes from is met
        // again by whoever writes next.
        Self(Some(std::thread::spawn(move || {
            if let Err(error) = derived.put_bytes(&text) {
                tracing::debug!(%error, "a table of packages is not kept");
            }
        })))
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        // A panic in there was told already.
        let _ = self.0.take().map(JoinHandle::join);
    }
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
        let (text, keeping) = match derived.bytes(MAX_PACKAGES).map_err(failed)? {
            Some(text) => (Arc::new(text), None),
            None => {
                let blob = store.open_verified(&digest).map_err(failed)?;
                let text = decompress(path, blob).map_err(|error| match store.verify(&digest) {
                    Err(damage @ StoreError::Corrupt(_)) => failed(damage),
                    _ => packages(error),
                })?;
                let text = Arc::new(text);
                let keeping = Keeping::of(&text, derived);
                (text, Some(keeping))
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
            _keeping: keeping,
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

/// The fields that somebody asks for; the others are a third of an index.
const KEPT: &[&[u8]] = &[
    b"Package",
    b"Version",
    b"Source",
    b"Architecture",
    b"Multi-Arch",
    b"Essential",
    b"Priority",
    b"Section",
    b"Depends",
    b"Pre-Depends",
    b"Provides",
    b"Conflicts",
    b"Breaks",
    b"Filename",
    b"Size",
    b"SHA256",
];

/// The text of an index with the fields that somebody asks for.
fn decompress(path: &str, blob: impl std::io::Read) -> Result<Vec<u8>, PackagesError> {
    let reader = unheck_deb::contents::decompress(path, blob)
        .map_err(|error| PackagesError::Decompress(std::io::Error::other(error)))?;
    let mut reader = std::io::BufReader::with_capacity(256 << 10, reader.take(MAX_PACKAGES + 1));
    let mut kept = Kept::default();
    let total = std::io::copy(&mut reader, &mut kept).map_err(PackagesError::Decompress)?;
    match total > MAX_PACKAGES {
        true => Err(PackagesError::TooLong),
        false => Ok(kept.end()),
    }
}

/// Keeps of an index that is written into it the lines of [`KEPT`] fields.
#[derive(Default)]
struct Kept {
    text: Vec<u8>,
    /// The beginning of a line whose end is still to come.
    begun: Vec<u8>,
    /// Whether the field whose lines come is one to be dropped.
    dropping: bool,
}

impl std::io::Write for Kept {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.take(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn take(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end + 1);
            piece = rest;
            if self.begun.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                self.line(&whole);
            }
        }
        self.begun.extend_from_slice(piece);
    }

    /// All that was kept; the last line needs no line break.
    fn end(mut self) -> Vec<u8> {
        let last = std::mem::take(&mut self.begun);
        if !last.is_empty() {
            self.line(&last);
        }
        self.text
    }

    fn line(&mut self, line: &[u8]) {
        // A continuation line belongs to the field before it, and an empty line ends a paragraph.
        match line.first() {
            Some(b' ' | b'\t') => {}
            Some(b'\n') => self.dropping = false,
            _ => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
                self.dropping = !KEPT.contains(&name);
            }
        }
        if !self.dropping {
            self.text.extend_from_slice(line);
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
    fn fields_that_nobody_asks_for_are_dropped_wherever_a_piece_ends() {
        let text = b"Package: a\nDescription: long\n Depends: no\n more\nDepends: b,\n c\nTag: x\n\nPackage: b";
        let expected = "Package: a\nDepends: b,\n c\n\nPackage: b";
        for size in 1..=text.len() {
            let mut kept = Kept::default();
            text.chunks(size).for_each(|piece| kept.take(piece));
            assert_eq!(String::from_utf8(kept.end()).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn stanzas_are_found_by_name() {
        let text = b"Package: a\nVersion: 1\n\nPackage: b\nVersion: 2\n";
        let found = stanzas(text);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        let (start, end) = found["b"];
        assert_eq!(&text[start..end], b"Package: b\nVersion: 2\n");
    }
}
