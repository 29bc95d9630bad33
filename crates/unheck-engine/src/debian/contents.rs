//! Which package has a library of a given name: a small table made from Contents indexes.

use std::collections::BTreeSet;
use std::io::Write as _;

use unheck_base::{Digest, TreePath};
use unheck_store::{Store, StoreError};

use super::usrmerge;
use crate::close::Providers;

/// Raised whenever the table of the same index would differ.
const TABLE_VERSION: &str = "libraries 1";

/// Lines of `file name TAB path TAB package`, sorted.
#[derive(Debug, Clone, Default)]
pub(super) struct Libraries {
    lines: Vec<String>,
}

/// A Contents index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// The store failed.
    #[error("cannot keep the table of libraries")]
    Store(#[from] StoreError),
    /// The index cannot be read.
    #[error("cannot read the Contents index `{digest}`")]
    Read {
        /// The index.
        digest: Digest,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Libraries {
    /// The table of an index that is in the store, made once per index.
    pub(super) fn load(store: &Store, digest: Digest) -> Result<Self, ContentsError> {
        let derived = store.derived(
            "libraries",
            &unheck_store::Pack::key(&digest, TABLE_VERSION),
        );
        if let Some(bytes) = derived.bytes(1 << 30)?
            && let Ok(text) = String::from_utf8(bytes)
        {
            return Ok(Self {
                lines: text.lines().map(str::to_owned).collect(),
            });
        }
        let read = |source| match store.verify(&digest) {
            Err(damage @ StoreError::Corrupt(_)) => ContentsError::Store(damage),
            _ => ContentsError::Read { digest, source },
        };
        let reader = unheck_deb::contents::decompress("Contents.gz", store.open_verified(&digest)?)
            .map_err(|error| read(std::io::Error::other(error)))?;
        let mut lines = BTreeSet::new();
        unheck_deb::contents::contents(reader, |path, packages| {
            add(&mut lines, path, packages);
            std::ops::ControlFlow::Continue(())
        })
        .map_err(|error| read(std::io::Error::other(error)))?;
        let mut text = Vec::new();
        for line in &lines {
            writeln!(text, "{line}").expect("a vector takes all");
        }
        derived.put_bytes(&text)?;
        Ok(Self {
            lines: lines.into_iter().collect(),
        })
    }

    /// Adds the packages that have a file of one of the names; `name*` asks for a prefix.
    pub(super) fn find(&self, names: &BTreeSet<String>, found: &mut Providers) {
        for name in names {
            let prefix = name.strip_suffix('*').unwrap_or(name);
            let start = self.lines.partition_point(|line| line.as_str() < prefix);
            for line in &self.lines[start..] {
                if !line.starts_with(prefix) {
                    break;
                }
                let mut fields = line.split('\t');
                let (Some(file), Some(path), Some(package)) =
                    (fields.next(), fields.next(), fields.next())
                else {
                    continue;
                };
                if file != name && !name.ends_with('*') {
                    continue;
                }
                if let Ok(path) = TreePath::new(path) {
                    found
                        .entry(name.clone())
                        .or_default()
                        .push((package.to_owned(), path));
                }
            }
        }
    }
}

fn add<'p>(lines: &mut BTreeSet<String>, path: &str, packages: impl Iterator<Item = &'p str>) {
    let in_library_directory = path.starts_with("usr/lib/") || path.starts_with("lib/");
    let name = path.rsplit('/').next().unwrap_or(path);
    if !in_library_directory || !crate::close::is_library_name(name) || path.contains("/debug/") {
        return;
    }
    let Ok(path) = TreePath::new(path) else {
        return;
    };
    let path = usrmerge(&path);
    for package in packages {
        // The index qualifies names by section: `libs/zlib1g`, `contrib/libs/x`.
        let package = package.rsplit('/').next().unwrap_or(package);
        lines.insert(format!("{name}\t{path}\t{package}"));
    }
}
