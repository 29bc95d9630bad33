//! What a source tree says before anything of it runs: its build system, its `Cargo.lock`, a digest. Start at [`look`].

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, Hasher};
use unheck_resolve::BuildSystem;
use unheck_store::Store;

use super::error::SdistError;
use super::source::{Source, SourceError};

/// Raised whenever the same tree would give another answer.
const VERSION: &str = "sdist-look 1";

/// Largest `Cargo.lock` that is read, in bytes; those of the largest projects have 300 kB.
const MAX_CARGO_LOCK: u64 = 8 << 20;

/// How deep they are looked for, and how many are taken: a workspace has one.
const MAX_DEPTH: usize = 4;
const MAX_LOCKS: usize = 8;

/// Longest answer that is read back, in bytes.
const MAX_LOOKED: u64 = 32 << 20;

/// What was seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Looked {
    /// Digest over the files.
    pub(crate) tree: Digest,
    /// The `[build-system]` table of `pyproject.toml`.
    pub(crate) system: Option<BuildSystem>,
    /// The texts of its `Cargo.lock` files, by path.
    pub(crate) cargo_locks: BTreeMap<String, String>,
}

/// Looks into a source tree. What was seen of an archive is remembered.
///
/// # Errors
/// [`SdistError`].
pub(crate) fn look(store: &Store, source: &Source) -> Result<Looked, SdistError> {
    let Source::Archive {
        digest,
        subdirectory,
        ..
    } = source
    else {
        return read(store, source);
    };
    let mut hasher = Hasher::new();
    hasher.update(format!("{VERSION} {digest} {subdirectory:?}").as_bytes());
    let derived = store.derived("sdist-look", &hasher.finish());
    let known = derived.bytes(MAX_LOOKED)?;
    if let Some(looked) = known.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(looked);
    }
    let looked = read(store, source)?;
    let bytes = serde_json::to_vec(&looked).expect("texts always serialise");
    derived.put_bytes(&bytes)?;
    Ok(looked)
}

fn read(store: &Store, source: &Source) -> Result<Looked, SdistError> {
    let directory = store.temp_dir()?;
    let project = source.place(store, directory.path())?;
    let place = directory.path().join(&project);
    let pyproject = place.join("pyproject.toml");
    let system = match pyproject.is_file() {
        true => {
            unheck_resolve::read_build_system(&pyproject).map_err(|error| SdistError::Project {
                name: source.name(),
                source: Box::new(error),
            })?
        }
        false => None,
    };
    let tree = Source::Tree {
        path: place.clone(),
        subdirectory: None,
    };
    Ok(Looked {
        tree: tree.digest()?,
        system,
        cargo_locks: cargo_locks(&place)?,
    })
}

/// The `Cargo.lock` files of a project's directory and of those below it, by path.
fn cargo_locks(project: &Path) -> Result<BTreeMap<String, String>, SourceError> {
    let walk = walkdir::WalkDir::new(project)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name();
    let mut locks = BTreeMap::new();
    for entry in walk.into_iter().flatten() {
        let found = entry.file_name() == "Cargo.lock" && entry.file_type().is_file();
        if !found || locks.len() >= MAX_LOCKS {
            continue;
        }
        let failed = |source: std::io::Error| SourceError::Place {
            path: entry.path().to_owned(),
            source,
        };
        let length = entry
            .metadata()
            .map_err(|error| failed(error.into()))?
            .len();
        if length > MAX_CARGO_LOCK {
            continue;
        }
        let below = entry.path().strip_prefix(project).unwrap_or(entry.path());
        let text = fs_err::read_to_string(entry.path()).map_err(failed)?;
        locks.insert(below.to_string_lossy().into_owned(), text);
    }
    Ok(locks)
}
