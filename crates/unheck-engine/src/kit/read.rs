//! Reading kits: what stands where, checked before anything is believed. Start at [`KitFile::open`].

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use unheck_base::Digest;
use unheck_deb::signature::Keyring;
use unheck_oci::tar_writer::{BLOCK, header, padding};
use unheck_store::{Store, StoreError};

use super::{
    Entry, FORMAT, KEYS, Kind, KitError, LOCK, MANIFEST, MAX_DOCUMENT, MAX_MANIFEST, Manifest,
    PROGRAM, blob_path, path, tar_entry,
};
use crate::lock::Lock;

/// A kit that is open. Its blobs are read where they stand, when they are asked for.
#[derive(Debug)]
pub struct KitFile {
    place: PathBuf,
    file: fs_err::File,
    manifest: Manifest,
    /// By digest: the number of the entry, and where its content begins.
    blobs: BTreeMap<Digest, (usize, u64)>,
    /// Where the content of each entry begins.
    starts: Vec<u64>,
}

impl KitFile {
    /// Opens a kit and holds its whole layout against its manifest; contents are checked when they are taken.
    ///
    /// # Errors
    /// [`KitError`].
    pub fn open(place: &Path) -> Result<Self, KitError> {
        let failed = |source| KitError::Open {
            path: place.to_owned(),
            source,
        };
        // Opening a pipe would wait for its writer, and a kit is read at many places.
        let found = fs_err::metadata(place).map_err(failed)?;
        if !found.is_file() {
            return Err(KitError::NotAFile {
                path: place.to_owned(),
            });
        }
        let file = fs_err::File::open(place).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let (manifest, after) = manifest(place, &file, length)?;
        let mut kit = Self {
            place: place.to_owned(),
            file,
            manifest,
            blobs: BTreeMap::new(),
            starts: Vec::new(),
        };
        kit.lay_out(after, length)?;
        Ok(kit)
    }

    /// What it says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// Whether it has a blob.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Copies a blob into the store, checked against its digest on the way; its size in bytes. A blob that the store
    /// has is not read.
    ///
    /// # Errors
    /// [`KitError`]; the store is as it was then.
    pub fn take(&self, store: &Store, digest: &Digest) -> Result<u64, KitError> {
        if let Some(size) = store.size_of(digest) {
            return Ok(size);
        }
        let Some((number, _)) = self.blobs.get(digest) else {
            return Err(StoreError::Missing { digest: *digest }.into());
        };
        let entry = &self.manifest.entries[*number];
        let mut section = self.section(*number);
        match store.put_reader(&mut section, Some((*digest, Some(entry.size)))) {
            Ok(_) => Ok(entry.size),
            Err(StoreError::Input { source }) => Err(self.unreadable(source)),
            Err(
                StoreError::WrongDigest { .. }
                | StoreError::TooShort { .. }
                | StoreError::TooLong { .. },
            ) => Err(self.damaged(entry)),
            Err(error) => Err(error.into()),
        }
    }

    /// The lock that it is of.
    ///
    /// # Errors
    /// [`KitError`].
    pub fn lock(&self) -> Result<Lock, KitError> {
        let named = |entry: &Entry| entry.kind == Kind::Lock && entry.digest == self.manifest.lock;
        let bytes = self.document(named)?.pop();
        let bytes = bytes.ok_or_else(|| self.wrong("it has not the lock that it names"))?;
        let text = String::from_utf8(bytes).map_err(|_| self.wrong("its lock is no text"))?;
        Lock::from_text(&text, Path::new(LOCK)).map_err(|source| KitError::Lock {
            path: self.place.clone(),
            source: Box::new(source),
        })
    }

    /// The keys in it. They say whose signature is good only together with a lock that names them.
    ///
    /// # Errors
    /// [`KitError`].
    pub fn keys(&self) -> Result<Keyring, KitError> {
        let mut keyring = Keyring::default();
        for bytes in self.document(|entry| entry.kind == Kind::Keys)? {
            let keys = Keyring::from_bytes(&bytes);
            keyring.merge(keys.map_err(|error| self.wrong(&format!("of its keys, {error}")))?);
        }
        Ok(keyring)
    }

    /// Small files out of it, checked.
    fn document(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Vec<u8>>, KitError> {
        let mut documents = Vec::new();
        for (number, entry) in self.manifest.entries.iter().enumerate() {
            if !wanted(entry) {
                continue;
            }
            if entry.size > MAX_DOCUMENT {
                return Err(self.wrong(&format!("`{}` is too long", entry.path)));
            }
            let mut bytes = Vec::new();
            let read = self.section(number).read_to_end(&mut bytes);
            read.map_err(|source| self.unreadable(source))?;
            if Digest::of(&bytes) != entry.digest {
                return Err(self.damaged(entry));
            }
            documents.push(bytes);
        }
        Ok(documents)
    }

    fn section(&self, number: usize) -> Section<'_> {
        Section {
            file: self.file.file(),
            at: self.starts[number],
            left: self.manifest.entries[number].size,
        }
    }

    /// Finds where each entry stands, and that its header is there.
    fn lay_out(&mut self, after: u64, length: u64) -> Result<(), KitError> {
        let mut at = after;
        let mut seen = std::collections::BTreeSet::new();
        let mut wrong = None;
        for (number, entry) in self.manifest.entries.iter().enumerate() {
            if let Some(problem) = problem(entry).or_else(|| {
                let twice = !seen.insert(&entry.path);
                twice.then(|| "is there twice".to_owned())
            }) {
                let path = entry.path.as_str().escape_debug();
                wrong = Some(format!("its entry `{path}` {problem}"));
                break;
            }
            let expected = header(&tar_entry(&entry.path, entry.kind, entry.size))
                .map_err(|error| self.wrong(&error.to_string()))?;
            let start = at.saturating_add(expected.len() as u64);
            let end = start
                .saturating_add(entry.size)
                .saturating_add(padding(entry.size) as u64);
            let mut found = vec![0; expected.len()];
            match read_exact_at(self.file.file(), &mut found, at) {
                Ok(()) if found == expected => {}
                Ok(()) => {
                    wrong = Some(format!("`{}` is not where it says", entry.path));
                    break;
                }
                // How much is missing is said below, when all sizes are known.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(source) => return Err(self.unreadable(source)),
            }
            if entry.kind.is_blob() {
                self.blobs.insert(entry.digest, (number, start));
            }
            self.starts.push(start);
            at = end;
        }
        if let Some(problem) = wrong {
            return Err(self.wrong(&problem));
        }
        let expected = at.saturating_add(2 * BLOCK as u64);
        match length.cmp(&expected) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(KitError::Truncated {
                path: self.place.clone(),
                found: length,
                expected,
            }),
            std::cmp::Ordering::Greater => {
                let more = length - expected;
                Err(self.wrong(&format!("it has {more} bytes after its end")))
            }
        }
    }

    fn wrong(&self, problem: &str) -> KitError {
        wrong(&self.place, problem)
    }

    fn damaged(&self, entry: &Entry) -> KitError {
        KitError::Damaged {
            path: self.place.clone(),
            name: entry.name.clone(),
            digest: entry.digest,
        }
    }

    fn unreadable(&self, source: io::Error) -> KitError {
        KitError::Open {
            path: self.place.clone(),
            source,
        }
    }
}

fn wrong(place: &Path, problem: &str) -> KitError {
    KitError::Wrong {
        path: place.to_owned(),
        problem: problem.to_owned(),
    }
}

/// What is wrong with an entry on its own.
fn problem(entry: &Entry) -> Option<String> {
    let expected = match entry.kind {
        Kind::Lock => path(LOCK),
        Kind::Program => path(PROGRAM),
        Kind::Keys => {
            let name = entry.path.file_name();
            let inside = entry.path.as_str() == format!("{KEYS}/{name}");
            return (!inside).then(|| format!("is no file of `{KEYS}`"));
        }
        _ => blob_path(&entry.digest),
    };
    (entry.path != expected).then(|| format!("should be `{expected}`"))
}

/// The manifest at the begin of a file, and where what follows it begins.
fn manifest(place: &Path, file: &fs_err::File, length: u64) -> Result<(Manifest, u64), KitError> {
    let none = || KitError::NotAKit {
        path: place.to_owned(),
    };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => none(),
        _ => KitError::Open {
            path: place.to_owned(),
            source,
        },
    };
    let mut first = [0; BLOCK];
    read_exact_at(file.file(), &mut first, 0).map_err(failed)?;
    let size = announced(&first).ok_or_else(none)?;
    let expected = header(&tar_entry(&path(MANIFEST), Kind::Lock, size)).map_err(|_| none())?;
    if first.as_slice() != expected {
        return Err(none());
    }
    if size > MAX_MANIFEST {
        return Err(wrong(place, "its manifest is longer than any real one"));
    }
    let end = BLOCK as u64 + size + padding(size) as u64;
    if length < end {
        return Err(KitError::Truncated {
            path: place.to_owned(),
            found: length,
            expected: end,
        });
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    read_exact_at(file.file(), &mut bytes, BLOCK as u64).map_err(failed)?;
    Ok((parse(place, &bytes)?, end))
}

/// The size that a tar header announces, in octal digits (POSIX `ustar`); none where it is no header.
fn announced(block: &[u8; BLOCK]) -> Option<u64> {
    let digits = block[124..135].iter();
    digits
        .map(|byte| matches!(byte, b'0'..=b'7').then(|| u64::from(byte - b'0')))
        .try_fold(0, |sum, digit| Some(sum * 8 + digit?))
}

/// A manifest of a form that is known. The form is looked at first: a newer one may have keys that this program does
/// not know.
fn parse(place: &Path, bytes: &[u8]) -> Result<Manifest, KitError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: u64,
        #[serde(default)]
        unheck: String,
    }
    let syntax = |error: serde_json::Error| wrong(place, &format!("of its manifest, {error}"));
    let head: Head = serde_json::from_slice(bytes).map_err(syntax)?;
    if head.format > u64::from(FORMAT) {
        return Err(KitError::Newer {
            path: place.to_owned(),
            format: head.format,
            unheck: head.unheck.escape_debug().to_string(),
        });
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(syntax)?;
    match manifest.format {
        FORMAT => Ok(manifest),
        other => Err(wrong(place, &format!("there is no form {other} of kits"))),
    }
}

fn read_exact_at(file: &std::fs::File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(buffer, at)
}

/// A part of a file as a reader of its own, so that several threads read one file.
struct Section<'f> {
    file: &'f std::fs::File,
    at: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(&mut buffer[..room], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
