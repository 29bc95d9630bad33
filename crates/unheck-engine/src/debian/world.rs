//! Debian packages for the closure: fetched, unpacked into the store and looked into.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use unheck_base::{Digest, TreePath};
use unheck_deb::archive::{DebError, Entry, EntryKind, Limits, Visitor, read_deb};
use unheck_store::{Member, Pack, PackError, PackKind, PackWriter, Store, StoreError};

use super::contents::{ContentsError, Libraries};
use super::mirror::Mirror;
use super::naming::package_names;
use super::suites::{Listed, Suites};
use super::usrmerge;
use crate::close::{DebFacts, DebFile, Providers, World};
use crate::explain::{Class, Explain};
use crate::net::{Net, NetError, Want, is_other_file};
use crate::platform::Platform;
use crate::scan::{ScanError, scan_pack};

/// Raised whenever the pack of the same archive would differ.
const UNPACKER: &str = "deb 2";

/// Debian packages of one platform, behind a mirror.
pub struct DebWorld<'a> {
    net: &'a Net,
    mirror: &'a Mirror,
    suites: &'a Suites,
    platform: Platform,
    facts: Mutex<BTreeMap<String, Arc<DebFacts>>>,
    libraries: Mutex<Option<Arc<Vec<Libraries>>>>,
}

/// A Debian package cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// It cannot be fetched.
    #[error("cannot fetch Debian packages")]
    Net(#[source] NetError),
    /// It is refused.
    #[error("the Debian package `{package}` is refused")]
    Refused {
        /// Its name.
        package: String,
        /// Why.
        #[source]
        source: Box<DebError>,
    },
    /// It is another package than the index says.
    #[error("the Debian package `{package}` says of itself that it is {found}")]
    Other {
        /// Its name in the index.
        package: String,
        /// What it says.
        found: String,
    },
    /// It has a set-user-id or set-group-id program among files that would ship.
    #[error("the Debian package `{package}` cannot be kept")]
    Pack {
        /// Its name.
        package: String,
        /// Why not.
        #[source]
        source: PackError,
    },
    /// The store failed.
    #[error("the store failed on the Debian package `{package}`")]
    Store {
        /// Its name.
        package: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// It cannot be scanned.
    #[error("cannot look into the Debian package `{package}`")]
    Scan {
        /// Its name.
        package: String,
        /// Why not.
        #[source]
        source: ScanError,
    },
    /// The Contents index cannot be used.
    #[error("cannot look up which package has a library")]
    Contents(#[from] ContentsError),
}

impl Explain for WorldError {
    fn class(&self) -> Class {
        match self {
            Self::Net(source) => source.class(),
            Self::Store { source, .. } if source.is_no_space() => Class::Limit,
            Self::Refused { .. } | Self::Other { .. } => Class::Input,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Net(source) => source.hints(),
            Self::Store { source, .. } => source.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl<'a> DebWorld<'a> {
    /// The packages of one platform.
    pub fn new(net: &'a Net, mirror: &'a Mirror, suites: &'a Suites, platform: Platform) -> Self {
        Self {
            net,
            mirror,
            suites,
            platform,
            facts: Mutex::default(),
            libraries: Mutex::default(),
        }
    }

    /// A package with where it is listed.
    pub fn listed(&self, package: &str) -> Option<Listed> {
        self.suites.package(self.platform, package)
    }

    /// Whether the suites have Contents indexes where Debian has them.
    pub fn has_contents(&self) -> bool {
        !self.suites.contents(self.mirror, self.platform).is_empty()
    }

    /// The paths of all files and links of packages, which are unpacked into the store for it but
    /// not looked into any deeper.
    ///
    /// # Errors
    /// [`WorldError`] when one of them cannot be had.
    pub fn paths(
        &self,
        packages: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<TreePath>>, WorldError> {
        let listed: Vec<Listed> = packages
            .iter()
            .map(|package| self.known(package))
            .collect::<Result<_, _>>()?;
        let wants = listed.iter().map(|listed| self.want(listed)).collect();
        self.net.fetch(wants).map_err(WorldError::Net)?;
        let paths = |listed: Listed| {
            let name = listed.package.name.clone();
            let pack = deb_pack(self.net.store(), &name, &listed.package.sha256)?;
            check_identity(&pack, &listed)?;
            let files = pack.entries().iter();
            let files = files.filter(|entry| !matches!(entry.kind, PackKind::Dir));
            Ok((name, files.map(|entry| usrmerge(&entry.path)).collect()))
        };
        listed.into_iter().map(paths).collect()
    }

    fn want(&self, listed: &Listed) -> Want {
        let package = &listed.package;
        Want {
            label: format!("{} {}", package.name, package.version),
            urls: self
                .mirror
                .package_urls(listed.archive, package.filename.as_str(), listed.date),
            digest: package.sha256,
            size: Some(package.size),
            credentials: false,
        }
    }

    fn known(&self, package: &str) -> Result<Listed, WorldError> {
        self.listed(package).ok_or_else(|| WorldError::Other {
            package: package.to_owned(),
            found: "in no suite".to_owned(),
        })
    }

    /// Looks into each package as soon as it is in the store, while others are still on their way.
    fn look_while_fetching(
        &self,
        wants: &BTreeMap<Digest, (&String, Want)>,
    ) -> Result<Vec<(String, Arc<DebFacts>)>, WorldError> {
        work_while_fetching(self.net, wants, |package| {
            let facts = self.look(package)?;
            Ok(((*package).clone(), facts))
        })
    }

    fn look(&self, package: &str) -> Result<Arc<DebFacts>, WorldError> {
        let listed = self.known(package)?;
        let digest = listed.package.sha256;
        let pack = deb_pack(self.net.store(), package, &digest)?;
        check_identity(&pack, &listed)?;
        let scanned =
            scan_pack(self.net.store(), &digest, &pack).map_err(|source| WorldError::Scan {
                package: package.to_owned(),
                source,
            })?;
        let mut facts = DebFacts::default();
        let mut objects: BTreeMap<TreePath, _> = scanned
            .objects
            .into_iter()
            .map(|(path, object)| (path, Arc::new(object)))
            .collect();
        for entry in pack.entries() {
            let file = match &entry.kind {
                PackKind::Dir => continue,
                PackKind::Symlink(target) => DebFile::Link(target.clone()),
                // A second name of a file is as good as a link to it.
                PackKind::Hardlink(target) => DebFile::Link(format!("/{target}")),
                PackKind::File { .. } => match objects.remove(&entry.path) {
                    Some(object) => DebFile::Elf(object),
                    None => DebFile::Plain,
                },
            };
            facts.files.insert(usrmerge(&entry.path), file);
        }
        Ok(Arc::new(facts))
    }

    fn tables(&self) -> Result<Arc<Vec<Libraries>>, WorldError> {
        let mut slot = self.libraries.lock().expect("no panic while held");
        if let Some(tables) = &*slot {
            return Ok(Arc::clone(tables));
        }
        let wants = self.suites.contents(self.mirror, self.platform);
        let digests: Vec<Digest> = wants.iter().map(|want| want.digest).collect();
        self.net.fetch(wants).map_err(WorldError::Net)?;
        let tables: Vec<Libraries> = digests
            .into_iter()
            .map(|digest| Libraries::load(self.net.store(), digest))
            .collect::<Result<_, _>>()?;
        let tables = Arc::new(tables);
        *slot = Some(Arc::clone(&tables));
        Ok(tables)
    }
}

impl World for DebWorld<'_> {
    type Error = WorldError;

    fn has(&self, package: &str) -> bool {
        self.listed(package).is_some()
    }

    fn depends(&self, package: &str) -> Vec<Vec<String>> {
        let Some(listed) = self.listed(package) else {
            return Vec::new();
        };
        [&listed.package.pre_depends, &listed.package.depends]
            .into_iter()
            .filter_map(|field| field.parse().ok())
            .flatten()
            .map(|group| group.into_iter().map(|relation| relation.name).collect())
            .collect()
    }

    fn describe(&self, package: &str) -> Option<(String, u64)> {
        let listed = self.listed(package)?;
        Some((listed.package.section, listed.package.size))
    }

    fn prepare(&self, packages: &BTreeSet<String>) -> Result<(), WorldError> {
        let missing: Vec<&String> = {
            let known = self.facts.lock().expect("no panic while held");
            packages
                .iter()
                .filter(|package| !known.contains_key(*package))
                .collect()
        };
        let wants: BTreeMap<Digest, (&String, Want)> = missing
            .into_iter()
            .map(|package| {
                let want = self.want(&self.known(package)?);
                Ok((want.digest, (package, want)))
            })
            .collect::<Result<_, WorldError>>()?;
        // Most calls ask for what is known; they must cost no thread.
        if wants.is_empty() {
            return Ok(());
        }
        let looked = self.look_while_fetching(&wants)?;
        self.facts
            .lock()
            .expect("no panic while held")
            .extend(looked);
        Ok(())
    }

    fn facts(&self, package: &str) -> Result<Arc<DebFacts>, WorldError> {
        self.prepare(&BTreeSet::from([package.to_owned()]))?;
        let known = self.facts.lock().expect("no panic while held");
        Ok(known.get(package).cloned().unwrap_or_default())
    }

    fn providers(&self, file_names: &BTreeSet<String>) -> Result<Providers, WorldError> {
        let mut found = BTreeMap::new();
        for table in self.tables()?.iter() {
            table.find(file_names, &mut found);
        }
        for places in found.values_mut() {
            places.sort();
            places.dedup();
        }
        Ok(found)
    }

    fn named_after(&self, file_names: &BTreeSet<String>) -> Result<Providers, WorldError> {
        let candidates: BTreeMap<&String, Vec<String>> = file_names
            .iter()
            .map(|name| (name, package_names(name)))
            .map(|(name, mut packages)| {
                packages.retain(|package| self.listed(package).is_some());
                (name, packages)
            })
            .collect();
        self.prepare(&candidates.values().flatten().cloned().collect())?;
        let mut found = Providers::new();
        for (name, packages) in candidates {
            for package in packages {
                let facts = self.facts(&package)?;
                let places = facts
                    .files
                    .keys()
                    .filter(|path| path.file_name() == name)
                    .map(|path| (package.clone(), path.clone()));
                let places: Vec<_> = places.collect();
                if !places.is_empty() {
                    found.entry(name.clone()).or_default().extend(places);
                }
            }
        }
        Ok(found)
    }

    fn index_trouble(&self, error: &WorldError) -> Option<String> {
        let WorldError::Net(NetError::Fetch(failed)) = error else {
            return None;
        };
        let other = failed
            .failures
            .iter()
            .all(|failure| failure.reason.is_not_found() || is_other_file(failure));
        let labels: Vec<&str> = failed
            .failures
            .iter()
            .map(|failure| failure.label.as_str())
            .collect();
        other.then(|| {
            format!(
                "the mirror has another index than its signed list names: {}",
                labels.join(", ")
            )
        })
    }
}

/// Works on each file as soon as it is in the store, while others are still on their way. The
/// answers come in no order.
///
/// # Errors
/// [`WorldError::Net`], or the first error of `work`.
pub(crate) fn work_while_fetching<K: Sync, T: Send>(
    net: &Net,
    wants: &BTreeMap<Digest, (K, Want)>,
    work: impl Fn(&K) -> Result<T, WorldError> + Sync,
) -> Result<Vec<T>, WorldError> {
    let store = net.store();
    let done = Mutex::new(Vec::new());
    let work = |key: &K| {
        let result = work(key);
        done.lock().expect("no panic while held").push(result);
    };
    let (there, missing): (Vec<_>, Vec<_>) = wants
        .values()
        .partition(|(_, want)| store.has(&want.digest));
    let missing = missing.into_iter().map(|(_, want)| want.clone()).collect();
    let (ready, arrived) = std::sync::mpsc::channel();
    rayon::in_place_scope(|pool| {
        for (key, _) in there {
            pool.spawn(|_| work(key));
        }
        std::thread::scope(|scope| {
            let fetched = scope.spawn(move || {
                net.fetch_each(missing, &|digest| {
                    ready.send(*digest).ok();
                })
            });
            for digest in arrived {
                if let Some((key, _)) = wants.get(&digest) {
                    pool.spawn(|_| work(key));
                }
            }
            fetched.join().expect("no panic")
        })
    })
    .map_err(WorldError::Net)?;
    let done = done.into_inner().expect("no panic while held");
    done.into_iter().collect()
}

/// The name under which the store keeps the pack of a Debian package.
pub fn deb_pack_key(digest: &Digest) -> Digest {
    Pack::key(digest, UNPACKER)
}

/// The pack of a Debian package whose blob is in the store, made when it is missing.
///
/// # Errors
/// [`WorldError`] when the archive is refused, is another package, or the store fails.
pub fn deb_pack(store: &Store, package: &str, digest: &Digest) -> Result<Pack, WorldError> {
    let name = || package.to_owned();
    let failed = |source| WorldError::Store {
        package: name(),
        source,
    };
    let key = deb_pack_key(digest);
    if let Some(pack) = Pack::open(store, &key).map_err(failed)? {
        return Ok(pack);
    }
    let blob = store.open_verified(digest).map_err(failed)?;
    let mut sink = PackSink {
        writer: PackWriter::create(store, &key).map_err(failed)?,
        failed: None,
    };
    let read = read_deb(blob, &Limits::default(), &mut sink);
    if let Some(source) = sink.failed {
        return Err(WorldError::Pack {
            package: name(),
            source,
        });
    }
    let control = read.map_err(|source| match store.verify(digest) {
        // It was good when it was fetched: damaged since, not hostile.
        Err(damage @ StoreError::Corrupt(_)) => failed(damage),
        _ => WorldError::Refused {
            package: name(),
            source: Box::new(source),
        },
    })?;
    if control.package != package {
        return Err(WorldError::Other {
            package: name(),
            found: format!("`{}`", control.package),
        });
    }
    let meta = serde_json::json!({
        "control": control.text,
        "md5sums": control.md5sums,
    });
    sink.writer
        .commit(&meta)
        .map_err(|source| WorldError::Pack {
            package: name(),
            source,
        })
}

/// Refuses an archive that is another version or for another machine than its index says.
fn check_identity(pack: &Pack, listed: &Listed) -> Result<(), WorldError> {
    let package = &listed.package;
    let (version, architecture) = (package.version.as_str(), package.architecture.as_str());
    expect_identity(pack, &package.name, version, architecture)
}

/// Refuses an archive that says of itself that it is of another version or for another machine.
///
/// # Errors
/// [`WorldError::Other`].
pub(crate) fn expect_identity(
    pack: &Pack,
    name: &str,
    version: &str,
    architecture: &str,
) -> Result<(), WorldError> {
    let control = pack
        .meta()
        .get("control")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    for (field, wanted) in [("Version", version), ("Architecture", architecture)] {
        let found = control
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .unwrap_or_default();
        if found.trim() != wanted {
            return Err(WorldError::Other {
                package: name.to_owned(),
                found: format!(
                    "{} `{}`, where the index says `{wanted}`",
                    field.to_lowercase(),
                    found.trim().escape_debug()
                ),
            });
        }
    }
    Ok(())
}

struct PackSink {
    writer: PackWriter,
    failed: Option<PackError>,
}

impl Visitor for PackSink {
    fn entry(&mut self, entry: &Entry, content: &mut dyn std::io::Read) -> std::io::Result<()> {
        let member = Member {
            path: entry.path.clone(),
            mode: entry.mode,
            mtime: entry.mtime,
        };
        let added = match &entry.kind {
            EntryKind::Dir => self.writer.add_dir(member),
            EntryKind::Symlink(target) => self.writer.add_symlink(member, target),
            EntryKind::Hardlink(target) => self.writer.add_hardlink(member, target.clone()),
            EntryKind::File { size } => {
                self.writer.add_file(member, Some(*size), content).map(drop)
            }
        };
        added.map_err(|error| {
            // A reader that finds a lie must be heard as such, not as trouble of the store.
            if let PackError::Input { source, .. } = error {
                return source;
            }
            let text = error.to_string();
            self.failed = Some(error);
            std::io::Error::other(text)
        })
    }
}
