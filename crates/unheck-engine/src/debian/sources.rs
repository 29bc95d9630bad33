//! The Sources index of a suite: what source packages need to be built, and how many need each.
//!
//! The chain is the one of the Packages indexes: OpenPGP signature → `InRelease` → digest.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::Digest;
use unheck_deb::control::StanzaReader;
use unheck_deb::relation::{Relation, RelationField};
use unheck_store::{Store, StoreError};

use super::devfiles::DevFiles;
use super::mirror::Mirror;
use super::packages::PackagesError;
use super::suites::{Suites, SuitesError};
use super::table::Table;
use crate::net::Net;

/// Raised whenever the table of the same index would differ.
const VERSION: &str = "sources 1";

/// Longest uncompressed Sources index that is read; the largest real one has a tenth of it.
const MAX_SOURCES: u64 = 1 << 30;

/// Source packages by name, and counts of who build-depends on a binary package.
///
/// Lines of `s TAB source TAB binaries TAB relations`, and of `d TAB binary package TAB count`.
#[derive(Debug, Clone, Default)]
pub struct Sources(Table);

/// What one source package needs to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The binary packages that it builds.
    pub binaries: Vec<String>,
    /// `Build-Depends` and `Build-Depends-Arch`: all groups, each with its alternatives.
    pub build_depends: Vec<Vec<Relation>>,
}

impl Sources {
    /// The table of an index that is in the store, made once per index.
    pub(super) fn load(
        store: &Store,
        suite: &str,
        path: &str,
        digest: Digest,
    ) -> Result<Self, SuitesError> {
        let table = Table::derived(store, ("sources", VERSION), digest, || {
            lines(store, path, digest)
        });
        table.map(Self).map_err(|error| error.of(suite))
    }

    /// A source package of this name.
    pub fn source(&self, name: &str) -> Option<Source> {
        let prefix = format!("s\t{name}\t");
        let line = self.0.beginning(&prefix).last()?;
        let mut fields = line.split('\t').skip(2);
        let (binaries, relations) = (fields.next()?, fields.next()?);
        Some(Source {
            name: name.to_owned(),
            binaries: binaries.split(' ').map(str::to_owned).collect(),
            build_depends: RelationField::new(relations).parse().ok()?,
        })
    }

    /// How many source packages name this binary package in `Build-Depends`.
    pub fn users(&self, package: &str) -> u32 {
        let prefix = format!("d\t{package}\t");
        let line = self.0.beginning(&prefix).next();
        line.and_then(|line| line.rsplit('\t').next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Suites {
    /// What the source packages of the suite itself need to be built. Its updates change versions,
    /// hardly what is needed.
    ///
    /// # Errors
    /// [`SuitesError`] when the index cannot be fetched or read.
    pub fn sources(&self, net: &Net, mirror: &Mirror) -> Result<Sources, SuitesError> {
        let Some(loaded) = self.releases.first() else {
            return Ok(Sources::default());
        };
        let (path, digest) = loaded.fetched(
            net,
            mirror,
            &["main/source/Sources.gz", "main/source/Sources.xz"],
        )?;
        Sources::load(net.store(), &loaded.name, &path, digest)
    }

    /// The files of the suite itself that builds look for, of one architecture (`amd64`, or `all`
    /// for the packages that are the same on every one).
    ///
    /// # Errors
    /// [`SuitesError`] when the index cannot be fetched or read.
    pub fn dev_files(
        &self,
        net: &Net,
        mirror: &Mirror,
        architecture: &str,
    ) -> Result<DevFiles, SuitesError> {
        let Some(loaded) = self.releases.first() else {
            return Ok(DevFiles::default());
        };
        let path = format!("main/Contents-{architecture}.gz");
        let (_, digest) = loaded.fetched(net, mirror, &[&path])?;
        DevFiles::load(net.store(), digest).map_err(|source| SuitesError::Contents {
            suite: loaded.name.clone(),
            source,
        })
    }
}

/// Why there is no table, without the suite.
enum Failed {
    Store(StoreError),
    Index(PackagesError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failed {
    fn of(self, suite: &str) -> SuitesError {
        let suite = suite.to_owned();
        match self {
            Self::Store(source) => SuitesError::Store { suite, source },
            Self::Index(source) => SuitesError::Sources { suite, source },
        }
    }
}

fn lines(store: &Store, path: &str, digest: Digest) -> Result<BTreeSet<String>, Failed> {
    use std::io::Read as _;
    let broken = |error: PackagesError| match store.verify(&digest) {
        Err(damage @ StoreError::Corrupt(_)) => Failed::Store(damage),
        _ => Failed::Index(error),
    };
    let blob = store.open_verified(&digest)?;
    let reader = unheck_deb::contents::decompress(path, blob)
        .map_err(|error| broken(PackagesError::Decompress(std::io::Error::other(error))))?;
    let reader = std::io::BufReader::with_capacity(256 << 10, reader.take(MAX_SOURCES));
    let mut stanzas = StanzaReader::new(reader);
    let mut lines = BTreeSet::new();
    let mut users: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        let stanza = match stanzas.next_stanza() {
            Ok(Some(stanza)) => stanza,
            Ok(None) => break,
            Err(error) => return Err(broken(PackagesError::Stanza(error))),
        };
        let field = |name| stanza.get(name).unwrap_or_default();
        let relations = [field("Build-Depends"), field("Build-Depends-Arch")];
        let relations: Vec<String> = relations
            .iter()
            .map(|text| one_line(text))
            .filter(|text| !text.is_empty())
            .collect();
        let relations = relations.join(", ");
        for name in names(&relations) {
            *users.entry(name).or_default() += 1;
        }
        let binaries = one_line(field("Binary"))
            .replace(", ", " ")
            .replace(',', " ");
        lines.insert(format!(
            "s\t{}\t{binaries}\t{relations}",
            one_line(field("Package"))
        ));
    }
    lines.extend(
        users
            .into_iter()
            .map(|(name, count)| format!("d\t{name}\t{count}")),
    );
    Ok(lines)
}

/// A folded field on one line, without a comma at its end.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    words.join(" ").trim_end_matches([',', ' ']).to_owned()
}

/// The packages that a field names, each once; the first of several alternatives is meant.
fn names(relations: &str) -> BTreeSet<String> {
    let groups = RelationField::new(relations).parse().unwrap_or_default();
    groups
        .into_iter()
        .filter_map(|group| Some(group.into_iter().next()?.name))
        .collect()
}
