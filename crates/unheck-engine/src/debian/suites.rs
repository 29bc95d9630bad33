//! Verified package indexes of a suite and its update suites. Start at [`Suites::load`].
//!
//! The chain is OpenPGP signature → `InRelease` → digest of `Packages` → digest of each package.
//! Nothing is parsed before its bytes were checked against the step before.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use rayon::prelude::*;
use unheck_base::{Digest, TreePath};
use unheck_deb::control::BinaryPackage;
use unheck_deb::release::{FreshnessError, Release, ReleaseError};
use unheck_deb::signature::{Keyring, SignatureError, Signed};
use unheck_store::{Store, StoreError};

use super::mirror::Mirror;
use super::packages::{PackagesError, Table};
use crate::explain::{Class, Explain};
use crate::lock::{Archive, Suite};
use crate::net::{Net, NetError, Want};
use crate::platform::Platform;

/// Longest `InRelease` that is read; the largest real one has a fifth of it.
pub(super) const MAX_INRELEASE: u64 = 4 << 20;

/// What to load.
#[derive(Debug, Clone)]
pub struct SuitesRequest<'a> {
    /// Suite name, such as `trixie`.
    pub suite: &'a str,
    /// Platforms whose packages are wanted.
    pub platforms: &'a [Platform],
    /// Suites whose `Valid-Until` may have passed.
    pub allow_expired: &'a [String],
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// The suites of a lock: what they are, and their packages by platform.
#[derive(Debug)]
pub struct Suites {
    /// Name that was asked for.
    pub name: String,
    /// What goes into the lock, by platform.
    pub locked: BTreeMap<Platform, Vec<Suite>>,
    tables: BTreeMap<Platform, Vec<Table>>,
    pub(super) releases: Vec<Loaded>,
}

#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) archive: Archive,
    pub(super) release: Release,
    pub(super) inrelease: Digest,
    pub(super) signed_by: Vec<String>,
}

/// A package with where it was listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The package.
    pub package: BinaryPackage,
    /// The suite that lists it.
    pub suite: String,
    /// The archive of that suite.
    pub archive: Archive,
    /// The suite's date.
    pub date: i64,
}

/// The indexes of a suite cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuitesError {
    /// They cannot be fetched.
    #[error("cannot fetch the index of the suite `{suite}`")]
    Net {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: NetError,
    },
    /// The signature is not good.
    #[error("the signature of the suite `{suite}` is not good")]
    Signature {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: SignatureError,
    },
    /// The signed text is no Release file, or another suite's.
    #[error("the index of the suite `{suite}` is not one")]
    Release {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: ReleaseError,
    },
    /// It is expired, or older than one that was seen before.
    #[error("the index of the suite `{suite}` is not current")]
    Freshness {
        /// The suite.
        suite: String,
        /// Which dates.
        #[source]
        source: FreshnessError,
    },
    /// The suite has no packages for a platform.
    #[error("the suite `{suite}` has no `{path}`")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The index file.
        path: String,
    },
    /// A Packages index cannot be read.
    #[error("cannot read the Packages index of the suite `{suite}`")]
    Packages {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: PackagesError,
    },
    /// A Sources index cannot be read.
    #[error("cannot read the Sources index of the suite `{suite}`")]
    Sources {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: PackagesError,
    },
    /// A Contents index cannot be read.
    #[error("cannot read the Contents index of the suite `{suite}`")]
    Contents {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: super::ContentsError,
    },
    /// The store failed.
    #[error("cannot keep the index of the suite `{suite}`")]
    Store {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: StoreError,
    },
}

impl Explain for SuitesError {
    fn class(&self) -> Class {
        match self {
            Self::Net { source, .. } if source.is_not_found() => Class::Input,
            Self::Net { source, .. } => source.class(),
            Self::Store { source, .. } if source.is_no_space() => Class::Limit,
            Self::NoIndex { .. } => Class::Input,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Net { source, .. } if source.is_not_found() => vec![
                "the mirror has no such suite: choose `bullseye`, `bookworm`, `trixie`, `forky` or `sid` with `--suite`, or a mirror that has it with `--mirror URL`".to_owned(),
            ],
            Self::Net { source, .. } => source.hints(),
            Self::Freshness {
                suite,
                source: FreshnessError::Expired { .. },
            } => vec![format!(
                "use a mirror that is current (`--mirror URL`), or accept it with `--allow-expired-suite {suite}`"
            )],
            Self::Freshness { source, .. } => vec![source.hint()],
            Self::Signature { source, .. } => source
                .hint()
                .into_iter()
                .chain(["trust another archive's keys with `--keyring FILE`".to_owned()])
                .collect(),
            Self::Store { source, .. } => source.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Suites {
    /// Fetches and verifies the suite, its updates and its security updates.
    ///
    /// # Errors
    /// [`SuitesError`] when any step of the chain does not hold.
    pub fn load(
        net: &Net,
        mirror: &Mirror,
        keyring: &Keyring,
        request: &SuitesRequest<'_>,
    ) -> Result<Self, SuitesError> {
        let names = members(request.suite);
        let fetched = |(archive, name): &(Archive, String)| {
            let bytes = inrelease(net, mirror, *archive, name)?;
            check(net.store(), keyring, request, (*archive, name, &bytes))
        };
        let releases = std::thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|member| scope.spawn(|| fetched(member)))
                .collect();
            let joined: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect();
            joined.into_iter().collect::<Result<Vec<_>, _>>()
        })?;
        let mut suites = Self {
            name: request.suite.to_owned(),
            locked: BTreeMap::new(),
            tables: BTreeMap::new(),
            releases,
        };
        for platform in request.platforms {
            suites.load_platform(net, mirror, *platform)?;
        }
        Ok(suites)
    }

    /// Fetches and verifies the packages of one more platform.
    ///
    /// # Errors
    /// As [`Suites::load`].
    pub fn load_platform(
        &mut self,
        net: &Net,
        mirror: &Mirror,
        platform: Platform,
    ) -> Result<(), SuitesError> {
        let mut wants = Vec::new();
        let mut indexes = Vec::new();
        for loaded in &self.releases {
            let (path, (index, digest, size)) = loaded.packages_index(platform)?;
            wants.push(Want {
                label: format!("{} {}", loaded.name, platform.architecture()),
                urls: loaded.index_urls(mirror, &index),
                digest,
                size: Some(size),
                credentials: false,
            });
            indexes.push((path, digest));
        }
        let failed = |source| SuitesError::Net {
            suite: self.name.clone(),
            source,
        };
        net.fetch(wants).map_err(failed)?;
        let tables = self
            .releases
            .par_iter()
            .zip(&indexes)
            .map(|(loaded, (path, digest))| Table::load(net.store(), loaded, path, *digest))
            .collect::<Result<_, _>>()?;
        let mut locked = Vec::new();
        for (loaded, (path, digest)) in self.releases.iter().zip(indexes) {
            locked.push(Suite {
                name: loaded.name.clone(),
                archive: loaded.archive,
                date: loaded.release.date,
                inrelease: loaded.inrelease,
                indexes: [(path, digest)].into(),
                signed_by: loaded.signed_by.clone(),
            });
        }
        self.tables.insert(platform, tables);
        self.locked.insert(platform, locked);
        Ok(())
    }

    /// The newest version of a package that any of the suites lists. What a point release took over
    /// from the security archive is listed twice: the suite itself is named then, because the
    /// security archive of an old suite may have dropped the file.
    pub fn package(&self, platform: Platform, name: &str) -> Option<Listed> {
        let tables = self.tables.get(&platform)?;
        tables
            .iter()
            .rev()
            .filter_map(|table| {
                let package = table.package(name)?;
                Some(Listed {
                    package,
                    suite: table.suite.clone(),
                    archive: table.archive,
                    date: table.date,
                })
            })
            .max_by(|one, other| one.package.version.cmp(&other.package.version))
    }

    /// Packages whose newest version provides a name that need not be a package's, sorted by name.
    pub fn providers(&self, platform: Platform, name: &str) -> Vec<Listed> {
        let tables = self.tables.get(&platform).into_iter().flatten();
        let names: BTreeSet<&String> = tables
            .filter_map(|table| table.provides().get(name))
            .flatten()
            .collect();
        let provides = |listed: &Listed| {
            let groups = listed.package.provides.parse().unwrap_or_default();
            groups
                .iter()
                .flatten()
                .any(|provided| provided.name == name)
        };
        names
            .into_iter()
            .filter_map(|name| self.package(platform, name))
            .filter(provides)
            .collect()
    }

    /// Names of all packages that begin with `prefix`, sorted.
    pub fn names(&self, platform: Platform, prefix: &str) -> Vec<String> {
        let tables = self
            .tables
            .get(&platform)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut names: Vec<String> = tables
            .iter()
            .flat_map(|table| {
                table
                    .stanzas
                    .range(prefix.to_owned()..)
                    .map(|(name, _)| name)
                    .take_while(|name| name.starts_with(prefix))
            })
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Names of all packages whose paragraph has one of these lines, sorted; reads no paragraph.
    pub fn names_with(&self, platform: Platform, lines: &[&str]) -> Vec<String> {
        let needles: Vec<String> = lines.iter().map(|line| format!("\n{line}\n")).collect();
        let tables = self.tables.get(&platform).into_iter().flatten();
        let mut names: Vec<String> = tables
            .flat_map(|table| {
                table.stanzas.iter().filter(|(_, (start, end))| {
                    let stanza = &table.text[*start..*end];
                    needles
                        .iter()
                        .any(|needle| memchr::memmem::find(stanza, needle.as_bytes()).is_some())
                })
            })
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The newest date of the suites, in seconds since 1970.
    pub fn newest_date(&self) -> i64 {
        self.releases
            .iter()
            .map(|loaded| loaded.release.date)
            .max()
            .unwrap_or_default()
    }

    /// Packages whose only dependency is this one: empty packages that lead to it, sorted.
    pub fn leading_to(&self, platform: Platform, package: &str) -> Vec<String> {
        let needle = format!("\nDepends: {package}");
        let tables = self.tables.get(&platform).into_iter().flatten();
        let mut names: Vec<String> = tables
            .flat_map(|table| {
                let places = memchr::memmem::find_iter(&table.text, needle.as_bytes());
                places.filter_map(|at| {
                    table
                        .only_dependency(at + needle.len())
                        .then(|| table.name_at(at))?
                })
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The Contents indexes of a platform: addresses, digest, size, by suite.
    pub(super) fn contents(&self, mirror: &Mirror, platform: Platform) -> Vec<Want> {
        let mut wants = Vec::new();
        for loaded in &self.releases {
            // `main/Contents-ARCH.gz` holds the packages of the architecture, `-all` the others.
            let path = format!("main/Contents-{}.gz", platform.architecture());
            let Ok((index, digest, size)) = loaded.index(&path) else {
                continue;
            };
            wants.push(Want {
                label: format!("{} Contents-{}", loaded.name, platform.architecture()),
                urls: loaded.index_urls(mirror, &index),
                digest,
                size: Some(size),
                credentials: false,
            });
        }
        wants
    }
}

/// The suites that belong to one: itself, its updates and security updates, where it has them.
fn members(suite: &str) -> Vec<(Archive, String)> {
    let mut names = vec![(Archive::Debian, suite.to_owned())];
    // The unstable suite gets every change itself.
    if !matches!(suite, "sid" | "unstable" | "experimental") {
        names.push((Archive::Debian, format!("{suite}-updates")));
        names.push((Archive::DebianSecurity, format!("{suite}-security")));
    }
    names
}

fn state_name(archive: Archive, suite: &str) -> String {
    format!("suite-{}-{suite}", archive.directory())
}

/// What is remembered of a suite, so that it never goes back.
#[derive(serde::Serialize, serde::Deserialize)]
struct Seen {
    date: i64,
    inrelease: Digest,
}

/// The bytes of `InRelease`: from the mirror, or offline the last that were good.
fn inrelease(
    net: &Net,
    mirror: &Mirror,
    archive: Archive,
    suite: &str,
) -> Result<Vec<u8>, SuitesError> {
    let store_failed = |source| SuitesError::Store {
        suite: suite.to_owned(),
        source,
    };
    if net.is_offline() {
        let seen: Option<Seen> = net
            .store()
            .state_get(&state_name(archive, suite))
            .map_err(store_failed)?;
        if let Some(seen) = seen
            && net.store().has(&seen.inrelease)
        {
            let mut bytes = Vec::new();
            let mut file = net
                .store()
                .open_blob(&seen.inrelease)
                .map_err(store_failed)?;
            file.read_to_end(&mut bytes)
                .map_err(|source| SuitesError::Net {
                    suite: suite.to_owned(),
                    source: NetError::Read(source),
                })?;
            return Ok(bytes);
        }
    }
    let url = mirror.url(archive, &format!("dists/{suite}/InRelease"));
    net.small(&url, MAX_INRELEASE)
        .map_err(|source| SuitesError::Net {
            suite: suite.to_owned(),
            source,
        })
}

/// Signature, name and dates of one suite.
fn check(
    store: &Store,
    keyring: &Keyring,
    request: &SuitesRequest<'_>,
    (archive, suite, bytes): (Archive, &str, &[u8]),
) -> Result<Loaded, SuitesError> {
    let name = || suite.to_owned();
    let Signed { text, signers } =
        keyring
            .verify_inrelease(bytes, request.now)
            .map_err(|source| SuitesError::Signature {
                suite: name(),
                source,
            })?;
    let failed = |source| SuitesError::Release {
        suite: name(),
        source,
    };
    let release = Release::parse(&text).map_err(failed)?;
    release.expect_suite(suite).map_err(failed)?;
    let store_failed = |source| SuitesError::Store {
        suite: name(),
        source,
    };
    let state = state_name(archive, suite);
    let seen: Option<Seen> = store.state_get(&state).map_err(store_failed)?;
    let allow = request
        .allow_expired
        .iter()
        .any(|allowed| allowed == suite || *allowed == request.suite);
    release
        .freshness(request.now, seen.as_ref().map(|seen| seen.date), allow)
        .map_err(|source| SuitesError::Freshness {
            suite: name(),
            source,
        })?;
    let inrelease = store.put_bytes(bytes).map_err(store_failed)?;
    if seen.is_none_or(|seen| seen.inrelease != inrelease) {
        store
            .state_put(
                &state,
                &Seen {
                    date: release.date,
                    inrelease,
                },
            )
            .map_err(store_failed)?;
    }
    let mut signed_by: Vec<String> = signers
        .into_iter()
        .map(|signer| signer.fingerprint)
        .collect();
    signed_by.sort();
    Ok(Loaded {
        name: name(),
        archive,
        release,
        inrelease,
        signed_by,
    })
}

impl Loaded {
    /// The Packages index of a platform. The gzip form is a third longer than the xz form and
    /// decompresses five times as fast, which is the quicker way from 6 MB/s on.
    fn packages_index(
        &self,
        platform: Platform,
    ) -> Result<(String, (TreePath, Digest, u64)), SuitesError> {
        let path = |extension: &str| {
            format!(
                "main/binary-{}/Packages.{extension}",
                platform.architecture()
            )
        };
        let gzip = path("gz");
        if let Ok(found) = self.index(&gzip) {
            return Ok((gzip, found));
        }
        let xz = path("xz");
        self.index(&xz).map(|found| (xz, found))
    }

    /// The first of several forms of an index that the suite has, in the store.
    pub(super) fn fetched(
        &self,
        net: &Net,
        mirror: &Mirror,
        forms: &[&str],
    ) -> Result<(String, Digest), SuitesError> {
        let mut found = Err(SuitesError::NoIndex {
            suite: self.name.clone(),
            path: forms.first().copied().unwrap_or_default().to_owned(),
        });
        for form in forms {
            if found.is_err() {
                found = self.index(form).map(|index| (*form, index));
            }
        }
        let (form, (path, digest, size)) = found?;
        let want = Want {
            label: format!("{} {}", self.name, path.file_name()),
            urls: self.index_urls(mirror, &path),
            digest,
            size: Some(size),
            credentials: false,
        };
        net.fetch(vec![want]).map_err(|source| SuitesError::Net {
            suite: self.name.clone(),
            source,
        })?;
        Ok((form.to_owned(), digest))
    }

    fn index(&self, path: &str) -> Result<(TreePath, Digest, u64), SuitesError> {
        let missing = || SuitesError::NoIndex {
            suite: self.name.clone(),
            path: path.to_owned(),
        };
        let tree = TreePath::new(path).map_err(|_| missing())?;
        let entry = self.release.files.get(&tree).ok_or_else(missing)?;
        Ok((tree, entry.digest, entry.size))
    }

    /// By digest first, where the archive offers it: that name never changes its content.
    pub(super) fn index_urls(&self, mirror: &Mirror, path: &TreePath) -> Vec<url::Url> {
        let by_hash = self
            .release
            .acquire_by_hash
            .then(|| self.release.by_hash(path))
            .flatten();
        by_hash
            .into_iter()
            .chain([path.clone()])
            .map(|path| mirror.url(self.archive, &format!("dists/{}/{path}", self.name)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unstable_has_no_updates_and_others_have_both() {
        assert_eq!(members("sid").len(), 1);
        let names: Vec<_> = members("trixie")
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["trixie", "trixie-updates", "trixie-security"]);
    }
}
