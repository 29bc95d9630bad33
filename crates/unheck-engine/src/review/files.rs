//! The files of a version, read one at a time where they lie: in a wheel of the store, or in an unpacked sdist.
//! Start at [`read`].

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use unheck_base::Digest;
use unheck_pyapi::MAX_SOURCE;
use unheck_pyapi::api::{Code, Files, Tree};
use unheck_store::Store;
use unheck_wheel::zip::Archive;
use unheck_wheel::{Limit, Limits, Metadata};

use super::error::ReviewError;
use super::pick::is_wheel;
use crate::sdist::source::Source;

/// What is read of one file.
pub(super) struct Read {
    pub(super) tree: Tree,
    /// `Requires-Dist` of a wheel; an sdist's is not final (PEP 643), so it is not asked.
    pub(super) requires: Option<Vec<String>>,
}

/// Reads the modules of a file whose blob is in the store.
pub(super) fn read(
    store: &Store,
    name: &str,
    digest: &Digest,
    python: (u8, u8),
) -> Result<Read, ReviewError> {
    let target = unheck_pyapi::api::Target {
        python: (python.0.into(), python.1.into()),
    };
    if is_wheel(name) {
        let wheel = WheelFiles::open(store, name, digest)?;
        return Ok(Read {
            tree: Tree::read(&wheel, target),
            requires: wheel.requires(),
        });
    }
    let work = store.temp_dir()?;
    let source = Source::Archive {
        name: name.to_owned(),
        digest: *digest,
        subdirectory: None,
    };
    source.place(store, work.path()).map_err(Box::new)?;
    let paths = list(work.path()).map_err(|source| ReviewError::List {
        name: name.to_owned(),
        source,
    })?;
    let files = Directory {
        root: work.path().to_owned(),
        paths,
    };
    Ok(Read {
        tree: Tree::read(&files, target),
        requires: None,
    })
}

/// Most bytes of source of a distribution that is read as a program, three times what pandas has without its tests. All
/// syntax trees are held at once, and one takes about 15 times as much memory as its source.
const MAX_PROGRAM: u64 = 32 << 20;

/// Reads a wheel as a program that uses others: its own tests are no part of it. `None`: it is too large.
pub(super) fn program(
    store: &Store,
    name: &str,
    digest: &Digest,
    python: (u8, u8),
) -> Result<Option<Code>, ReviewError> {
    let target = unheck_pyapi::api::Target {
        python: (python.0.into(), python.1.into()),
    };
    let mut wheel = WheelFiles::open(store, name, digest)?;
    wheel
        .members
        .retain(|path, _| path.ends_with(".py") && !is_test(path));
    let members = wheel.archive.members();
    let sizes = wheel.members.values().filter_map(|at| members.get(*at));
    if sizes.map(|member| member.size).sum::<u64>() > MAX_PROGRAM {
        return Ok(None);
    }
    Ok(Some(Code::read(&wheel, target)))
}

fn is_test(path: &str) -> bool {
    let (directories, file) = path.rsplit_once('/').unwrap_or(("", path));
    let is_below = directories
        .split('/')
        .any(|name| matches!(name, "test" | "tests" | "testing" | "_tests"));
    is_below || file == "conftest.py" || file.starts_with("test_")
}

/// A wheel in the store. Nothing is unpacked: each member is inflated when it is asked for.
struct WheelFiles<'a> {
    store: &'a Store,
    digest: Digest,
    archive: Archive,
    /// Places in the archive by path.
    members: BTreeMap<String, usize>,
}

impl<'a> WheelFiles<'a> {
    fn open(store: &'a Store, name: &str, digest: &Digest) -> Result<Self, ReviewError> {
        let mut blob = BufReader::new(store.open_blob(digest)?);
        let len = store.size_of(digest).unwrap_or_default();
        let archive = match Archive::open(&mut blob, len, &Limits::default()) {
            Ok(archive) => archive,
            Err(source) => {
                // A wheel that was good when it came is damaged now, not hostile.
                store.verify(digest)?;
                return Err(ReviewError::Wheel {
                    name: name.to_owned(),
                    source: Box::new(source),
                });
            }
        };
        let files = archive
            .members()
            .iter()
            .enumerate()
            .filter(|(_, one)| !one.is_dir);
        let members = files
            .map(|(at, member)| (member.path.to_string(), at))
            .collect();
        Ok(Self {
            store,
            digest: *digest,
            archive,
            members,
        })
    }

    fn requires(&self) -> Option<Vec<String>> {
        let is_metadata = |path: &&String| {
            let (top, rest) = path.split_once('/').unwrap_or_default();
            top.ends_with(".dist-info") && rest == "METADATA"
        };
        let path = self.members.keys().find(is_metadata)?;
        let metadata = Metadata::parse(&self.read(path)?, &Limits::default()).ok()?;
        Some(metadata.requires_dist)
    }
}

impl Files for WheelFiles<'_> {
    fn paths(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let at = *self.members.get(path)?;
        let mut blob = self.store.open_blob(&self.digest).ok()?;
        let most = (Limit::Total, MAX_SOURCE as u64);
        self.archive.read(&mut blob, at, most).ok()
    }
}

/// Files below a directory.
pub(super) struct Directory {
    pub(super) root: PathBuf,
    /// Relative to the root, with `/`.
    pub(super) paths: Vec<String>,
}

impl Files for Directory {
    fn paths(&self) -> Vec<String> {
        self.paths.clone()
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.root.join(path);
        let len = fs_err::symlink_metadata(&path).ok()?.len();
        if len > MAX_SOURCE as u64 {
            return None;
        }
        fs_err::read(path).ok()
    }
}

/// The regular files below a directory; links are not followed.
fn list(root: &Path) -> Result<Vec<String>, ignore::Error> {
    let walk = ignore::WalkBuilder::new(root)
        .standard_filters(false)
        .follow_links(false)
        .build();
    let mut paths = Vec::new();
    for entry in walk {
        let entry = entry?;
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        let inside = entry.path().strip_prefix(root).ok();
        if let Some(path) = inside.and_then(Path::to_str).filter(|_| is_file) {
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}
