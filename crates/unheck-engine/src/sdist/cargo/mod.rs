//! Rust crates for a build without network: a directory source for cargo out of the `Cargo.lock` of
//! an sdist. Start at [`vendor`].
//!
//! The lock's checksums are the chain of trust: an sdist that was checked names the SHA-256 of each
//! crate. Nothing is resolved here: without a lock cargo would have to ask the registry, which a
//! build cannot.
//!
//! Format: the Cargo book, "Source Replacement" (directory sources and `.cargo-checksum.json`).

mod address;
mod lockfile;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use unheck_base::{Digest, Hasher, TreePath};
use unheck_oci::image::LayerMediaType;
use unheck_oci::layer_reader::{
    LayerEntry, Limits, NodeKind, ReadLayerError, ReadOptions, read_layer,
};
use unheck_store::{DerivedDir, Store, StoreError};

pub use address::{Address, CRATES_IO, replaced_index};
pub use lockfile::{CrateProblem, LockedCrate, locked};

use super::root::files::{make_dir, write_file};
use crate::explain::{Class, Explain};
use crate::net::{Net, NetError, Want};
use crate::pool::make_once;

/// Kind of the derived directories, and part of their keys.
const KIND: &str = "crates-1";
/// The directory source.
const SOURCE: &str = "source";
/// What cargo reads in a crate besides its files.
const CHECKSUM: &str = ".cargo-checksum.json";
/// Most entries and unpacked bytes of one crate; crates.io takes archives of 10 MB.
const LIMITS: Limits = Limits {
    entries: 50_000,
    bytes: 1 << 30,
};

/// Crates as cargo finds them without network. While it lives, nobody prunes the directory.
#[derive(Debug)]
pub struct Vendored {
    /// The directory source, to mount inside.
    pub directory: PathBuf,
    /// Keeps it.
    pub guard: DerivedDir,
    /// Says what is in it.
    pub digest: Digest,
}

/// There are no crates for a build.
#[derive(Debug, thiserror::Error)]
pub enum CargoError {
    /// The sdist does not lock its crates.
    #[error(
        "it is built with cargo and has no `Cargo.lock`: its crates cannot be known without network"
    )]
    NoLock,
    /// It is no lock.
    #[error("`{path}` is no `Cargo.lock`")]
    Syntax {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// It is of a version that this program does not know.
    #[error("`{path}` is of version {version}, which this program does not know")]
    Version {
        /// Which file.
        path: String,
        /// The version.
        version: u64,
    },
    /// It is larger than any real one.
    #[error("`{path}` has {found} {what}, over the limit of {most}")]
    TooMany {
        /// Which file.
        path: String,
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// It names a crate that cannot be had.
    #[error("the crate `{name}` of `{path}` cannot be had")]
    Crate {
        /// Which file.
        path: String,
        /// Name and version.
        name: String,
        /// Why not.
        #[source]
        problem: CrateProblem,
    },
    /// Two locks name the same version with different checksums.
    #[error("the locks of the sdist name two different crates `{name}`")]
    TwoChecksums {
        /// Name and version.
        name: String,
    },
    /// The address of the registry is none.
    #[error("`{text}` is not where crates are downloaded from")]
    Address {
        /// What was given.
        text: String,
        /// Why not.
        #[source]
        source: url::ParseError,
    },
    /// An index says nothing of downloads.
    #[error("the index `{url}` does not say where its crates are: {why}")]
    Index {
        /// Which.
        url: String,
        /// What it says instead.
        why: String,
    },
    /// The network failed.
    #[error("cannot fetch crates")]
    Net(#[source] NetError),
    /// A crate has what no crate may have.
    #[error("the crate `{name}` is refused: `{path}` {problem}")]
    Entry {
        /// Name and version.
        name: String,
        /// The entry.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A crate is no archive.
    #[error("the crate `{name}` cannot be unpacked")]
    Archive {
        /// Name and version.
        name: String,
        /// Why not.
        #[source]
        source: Box<ReadLayerError>,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}` of a crate")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error("the store failed on crates")]
    Store(#[from] StoreError),
}

impl Explain for CargoError {
    fn class(&self) -> Class {
        let full = |kind| {
            matches!(
                kind,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        };
        match self {
            Self::Net(source) => source.class(),
            Self::Store(source) if source.is_no_space() => Class::Limit,
            Self::Write { source, .. } if full(source.kind()) => Class::Limit,
            Self::TooMany { .. } => Class::Limit,
            Self::Index { .. } | Self::Store(_) | Self::Write { .. } => Class::Outside,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoLock => vec![
                "take a version whose sdist has one, or build the wheel elsewhere and name it as a requirement".to_owned(),
            ],
            Self::Crate { problem: CrateProblem::Git(_) | CrateProblem::Registry(_), .. } => vec![
                "build the wheel elsewhere and name it as a requirement".to_owned(),
            ],
            Self::Net(source) => source.hints(),
            Self::Store(source) => source.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// The crates of all locks of an sdist (by path): a workspace has one, but an sdist may hold several
/// workspaces.
///
/// # Errors
/// [`CargoError`].
pub fn crates(locks: &BTreeMap<String, String>) -> Result<Vec<LockedCrate>, CargoError> {
    if locks.is_empty() {
        return Err(CargoError::NoLock);
    }
    let mut crates = BTreeSet::new();
    for (path, text) in locks {
        crates.extend(locked(path, text)?);
    }
    let crates: Vec<LockedCrate> = crates.into_iter().collect();
    let twice = crates
        .windows(2)
        .find(|pair| pair[0].directory() == pair[1].directory());
    match twice {
        Some(pair) => Err(CargoError::TwoChecksums {
            name: pair[0].directory(),
        }),
        None => Ok(crates),
    }
}

/// Fetches crates and unpacks them into a directory source, which builds share.
///
/// # Errors
/// [`CargoError`].
pub fn vendor(
    net: &Net,
    address: &Address,
    crates: &[LockedCrate],
) -> Result<Vendored, CargoError> {
    let store = net.store();
    let digest = key(crates);
    let derived = store.derived(KIND, &digest);
    let guard = match derived.dir()? {
        Some(guard) => guard,
        None => {
            let wants = crates.iter().map(|one| want(address, one));
            net.fetch(wants.collect::<Result<_, _>>()?)
                .map_err(CargoError::Net)?;
            let find = || Ok(derived.dir()?);
            make_once(&derived, find, |directory| fill(store, directory, crates))?
        }
    };
    Ok(Vendored {
        directory: guard.path().join(SOURCE),
        guard,
        digest,
    })
}

/// What cargo must be told: the text of `config.toml` in its home, where the directory source is
/// mounted at `inside`, an absolute path.
pub fn config(inside: &str) -> String {
    let directory = toml::Value::String(inside.to_owned());
    format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = {directory}\n\n[net]\noffline = true\n"
    )
}

fn key(crates: &[LockedCrate]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(format!("{KIND}\n").as_bytes());
    for one in crates {
        hasher.update(format!("{} {} {}\n", one.name, one.version, one.checksum).as_bytes());
    }
    hasher.finish()
}

/// What is fetched for one crate.
///
/// # Errors
/// [`CargoError::Address`].
pub(super) fn want(address: &Address, one: &LockedCrate) -> Result<Want, CargoError> {
    Ok(Want {
        label: format!("{} {}", one.name, one.version),
        urls: vec![address.url(one)?],
        digest: one.checksum,
        size: None,
        credentials: false,
    })
}

fn fill(store: &Store, directory: &Path, crates: &[LockedCrate]) -> Result<(), CargoError> {
    let source = directory.join(SOURCE);
    make_dir(&source).map_err(failed(&source))?;
    crates.par_iter().try_for_each(|one| {
        let place = source.join(one.directory());
        make_dir(&place).map_err(failed(&place))?;
        unpack(store, &place, one)?;
        // The archive was checked against this digest; its files are not checked once more.
        let text = serde_json::json!({ "files": {}, "package": one.checksum.hex() }).to_string();
        let place = place.join(CHECKSUM);
        write_file(&place, &mut text.as_bytes(), false).map_err(failed(&place))
    })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> CargoError {
    let path = path.to_owned();
    move |source| CargoError::Write { path, source }
}

/// Unpacks one crate below a directory of its own.
fn unpack(store: &Store, place: &Path, one: &LockedCrate) -> Result<(), CargoError> {
    let options = ReadOptions {
        media_type: LayerMediaType::Gzip,
        diff_id: None,
        limits: LIMITS,
    };
    let mut unpacker = Unpacker {
        place,
        name: one.directory(),
        made: BTreeSet::new(),
        files: BTreeSet::new(),
    };
    let mut problem = None;
    let reader = io::BufReader::with_capacity(256 << 10, store.open_verified(&one.checksum)?);
    let read = read_layer(reader, &options, &mut |entry, content| {
        unpacker.take(entry, content).map_err(|error| {
            let text = error.to_string();
            problem = Some(error);
            io::Error::other(text)
        })
    });
    match (read, problem) {
        (Ok(_), _) => Ok(()),
        (Err(_), Some(error)) => Err(error),
        (Err(source), None) => Err(match store.verify(&one.checksum) {
            // It was good when it was fetched: damaged since, not hostile.
            Err(damage @ StoreError::Corrupt(_)) => damage.into(),
            _ => CargoError::Archive {
                name: one.directory(),
                source: Box::new(source),
            },
        }),
    }
}

struct Unpacker<'a> {
    place: &'a Path,
    name: String,
    /// Directories that are there.
    made: BTreeSet<TreePath>,
    files: BTreeSet<TreePath>,
}

impl Unpacker<'_> {
    fn take(&mut self, entry: &LayerEntry, content: &mut dyn Read) -> Result<(), CargoError> {
        let refused = |problem| CargoError::Entry {
            name: self.name.clone(),
            path: entry.path.as_str().escape_debug().to_string(),
            problem,
        };
        let below = match entry.path.as_str().strip_prefix(&self.name) {
            Some("") => return Ok(()),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        let below = below.and_then(|text| TreePath::new(text).ok());
        let path = below.ok_or_else(|| refused("is outside of its own directory"))?;
        if path.ancestors().any(|above| self.files.contains(&above)) {
            return Err(refused("is below a file"));
        }
        let is_dir = matches!(entry.kind, NodeKind::Dir);
        if self.files.contains(&path) || (self.made.contains(&path) && !is_dir) {
            return Err(refused("is there twice"));
        }
        match entry.kind {
            NodeKind::Dir => self.directories(path.ancestors().chain([path.clone()])),
            // What a crate says of its own checksums is not believed.
            NodeKind::File { .. } if path.as_str() == CHECKSUM => Ok(()),
            NodeKind::File { .. } => {
                self.directories(path.ancestors())?;
                self.files.insert(path.clone());
                let place = self.place.join(path.as_str());
                write_file(&place, content, entry.mode & 0o111 != 0).map_err(failed(&place))
            }
            _ => Err(refused("is neither file nor directory")),
        }
    }

    /// Makes directories that are not there yet.
    fn directories(&mut self, paths: impl Iterator<Item = TreePath>) -> Result<(), CargoError> {
        for path in paths {
            let place = self.place.join(path.as_str());
            if self.made.insert(path) {
                make_dir(&place).map_err(failed(&place))?;
            }
        }
        Ok(())
    }
}
