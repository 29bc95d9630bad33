//! A build root: a complete Debian development environment as read-only directories for the
//! sandbox, out of signed packages, in the store, shared between builds. Start at [`build_root`].
//!
//! No maintainer script ever runs, nothing is installed on the host, and no file keeps a set-id
//! bit. Diversions are not followed: they are made by maintainer scripts to let two packages have
//! the same file, and of two files with one path the one of the later package (in the order of the
//! set) is kept. What scripts would have made and a build needs is generated: see `top`.
//!
//! The directories, the lowest first: one of all packages that every root of the interpreter has;
//! one for each further package, so that adding a package costs its own unpacking; one of what is
//! generated. Where packages cannot be laid over each other like that (one has a link where another
//! has a directory) or are too many, one directory holds them all.

mod choose;
mod fill;
mod machine;
mod merge;
mod rules;
mod top;

/// Directories and files with the modes and dates that they have in the store.
pub(super) mod files {
    pub(in crate::sdist) use super::fill::{make_dir, write_file};
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use unheck_base::{Digest, Hasher};
use unheck_store::{Derived, DerivedDir, Pack, StoreError};

pub use choose::{Chain, ChooseError, install_set};
pub use machine::{BINFMT, CannotRun, can_run};

use crate::debian::{Listed, Suites, WorldError, deb_pack, expect_identity, work_while_fetching};
use crate::explain::{Class, Explain};
use crate::lock::{Archive, Interpreter};
use crate::net::Want;
use crate::platform::Platform;
use crate::pool::make_once;
use crate::session::Session;

/// Kind of the derived directories, and part of their keys; raised whenever what is in them would
/// differ.
const KIND: &str = "buildroot-1";

/// Most packages with a directory of their own. An overlay takes 498 in all.
const MAX_SINGLE: usize = 400;

/// Most packages of a root; the largest that were seen have 700.
const MAX_DEBS: usize = 5_000;

/// A package of a build root, with all that it takes to fetch it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildDeb {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Name of the suite that listed it.
    pub suite: String,
    /// The archive of that suite.
    pub archive: Archive,
    /// The suite's date, in seconds since 1970, by which archives of old states are asked.
    pub date: i64,
    /// Path below the archive's directory.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Whether every root of the interpreter has it.
    pub base: bool,
}

/// The packages of a root and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootSet {
    /// For which machine.
    pub platform: Platform,
    /// Whose interpreter is inside.
    pub interpreter: Interpreter,
    /// The packages, those of every root first, else by name.
    pub debs: Vec<BuildDeb>,
}

/// A root that is in the store. While it lives, nobody prunes its directories.
#[derive(Debug)]
pub struct BuildRoot {
    /// The directories, the lowest first.
    pub lower: Vec<PathBuf>,
    /// Keeps the directories.
    pub guards: Vec<DerivedDir>,
    /// What it is made of.
    pub debs: Vec<BuildDeb>,
    /// Says what is in it: the same packages for the same interpreter have the same digest.
    pub digest: Digest,
}

/// There is no build root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The packages do not fit together.
    #[error("cannot choose the packages of a build root")]
    Choose(#[from] ChooseError),
    /// A package cannot be had.
    #[error("cannot get the packages of a build root")]
    World(#[from] WorldError),
    /// A package has what no root may have.
    #[error("the Debian package `{package}` has {what} at `{path}`")]
    Hostile {
        /// Which.
        package: String,
        /// Where.
        path: String,
        /// What.
        what: String,
    },
    /// There are more packages than any build needs.
    #[error("a build root of {found} packages is over the limit of {MAX_DEBS}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// A directory cannot be filled.
    #[error("cannot write `{path}` of a build root")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not; damage of the store is a [`unheck_store::Corruption`] inside.
        #[source]
        source: std::io::Error,
    },
    /// The list of libraries cannot be written.
    #[error("cannot write the loader's cache of a build root")]
    LdCache(#[source] unheck_elf::ldcache::WriteError),
    /// The store failed.
    #[error("the store failed on a build root")]
    Store(#[from] StoreError),
}

impl Explain for RootError {
    fn class(&self) -> Class {
        let full = |kind| {
            use std::io::ErrorKind::{QuotaExceeded, StorageFull};
            matches!(kind, StorageFull | QuotaExceeded)
        };
        match self {
            Self::Choose(source) => source.class(),
            Self::World(source) => source.class(),
            Self::Store(source) if source.is_no_space() => Class::Limit,
            Self::Write { source, .. } if full(source.kind()) => Class::Limit,
            Self::Hostile { .. } => Class::Input,
            Self::TooMany { .. } => Class::Limit,
            Self::Write { .. } | Self::LdCache(_) | Self::Store(_) => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Choose(source) => source.hints(),
            Self::World(source) => source.hints(),
            Self::Store(source) => source.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl BuildRoot {
    /// The root for a sandbox.
    pub fn root(&self) -> unheck_sandbox::Root {
        unheck_sandbox::Root::Overlay {
            lower: self.lower.clone(),
        }
    }
}

impl BuildDeb {
    fn new(listed: &Listed, base: bool) -> Self {
        let package = &listed.package;
        Self {
            name: package.name.clone(),
            version: package.version.to_string(),
            architecture: package.architecture.clone(),
            suite: listed.suite.clone(),
            archive: listed.archive,
            date: listed.date,
            path: package.filename.to_string(),
            size: package.size,
            sha256: package.sha256,
            base,
        }
    }
}

impl RootSet {
    /// The packages of a root for `interpreter`, with `extra` packages and what those need.
    ///
    /// # Errors
    /// [`ChooseError`].
    pub fn choose(
        suites: &Suites,
        platform: Platform,
        interpreter: &Interpreter,
        extra: &BTreeSet<String>,
    ) -> Result<Self, ChooseError> {
        let chosen = choose::root_set(suites, platform, interpreter, extra)?;
        let mut debs: Vec<BuildDeb> = chosen
            .iter()
            .map(|(listed, base)| BuildDeb::new(listed, *base))
            .collect();
        debs.sort_by_key(|deb| (!deb.base, deb.name.clone()));
        Ok(Self {
            platform,
            interpreter: interpreter.clone(),
            debs,
        })
    }

    /// Says what is in a root of these packages.
    pub fn digest(&self) -> Digest {
        let Interpreter {
            provider, version, ..
        } = &self.interpreter;
        let first = format!("top\n{}\n{provider:?} {version}\n", self.platform);
        key(&first, self.debs.iter())
    }
}

/// The key of a directory with these packages.
fn key<'d>(first: &str, debs: impl Iterator<Item = &'d BuildDeb>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(format!("{KIND}\n{}\n{first}", Digest::of(rules::TEXT.as_bytes())).as_bytes());
    for deb in debs {
        let BuildDeb {
            name,
            version,
            architecture,
            sha256,
            base,
            ..
        } = deb;
        hasher.update(format!("{name} {version} {architecture} {sha256} {base}\n").as_bytes());
    }
    hasher.finish()
}

/// The root of a set of packages: out of the store, or made.
///
/// # Errors
/// [`RootError`].
pub fn build_root(session: &Session, set: &RootSet) -> Result<BuildRoot, RootError> {
    if set.debs.len() > MAX_DEBS {
        return Err(RootError::TooMany {
            found: set.debs.len(),
        });
    }
    let digest = set.digest();
    let store = session.store();
    let derived = store.derived(KIND, &digest);
    let mut packs = Packs::default();
    let top = match fill::find(&derived)? {
        Some(top) => top,
        None => {
            packs.bring(session, &set.debs)?;
            let members = packs.members(&set.debs);
            make(&derived, |directory| top::fill(directory, set, &members))?
        }
    };
    let layered = !top::is_merged(top.path());
    let mut guards = units(set, layered)
        .into_iter()
        .map(|unit| {
            let derived = store.derived(KIND, &unit.key);
            Ok((fill::find(&derived)?, derived, unit.debs))
        })
        .collect::<Result<Vec<_>, RootError>>()?;
    let missing = (guards.iter()).filter(|(found, ..)| found.is_none());
    let missing: Vec<BuildDeb> = missing.flat_map(|(.., debs)| debs.to_vec()).collect();
    packs.bring(session, &missing)?;
    guards
        .par_iter_mut()
        .filter(|(found, ..)| found.is_none())
        .try_for_each(|(found, derived, debs)| {
            let members = packs.members(debs);
            *found = Some(make(derived, |directory| {
                fill::unpack(directory, &members)
            })?);
            Ok::<_, RootError>(())
        })?;
    let mut guards: Vec<DerivedDir> = guards.into_iter().filter_map(|(dir, ..)| dir).collect();
    guards.push(top);
    Ok(BuildRoot {
        lower: guards
            .iter()
            .map(|guard| guard.path().join(fill::TREE))
            .collect(),
        guards,
        debs: set.debs.clone(),
        digest,
    })
}

/// One directory of packages.
struct Unit<'s> {
    key: Digest,
    debs: &'s [BuildDeb],
}

/// The directories that a root needs besides the generated one, the lowest first.
fn units(set: &RootSet, layered: bool) -> Vec<Unit<'_>> {
    let unit = |debs| Unit {
        key: key("debs\n", <[BuildDeb]>::iter(debs)),
        debs,
    };
    let base = set.debs.partition_point(|deb| deb.base);
    let (base, single) = set.debs.split_at(base);
    if !layered || single.len() > MAX_SINGLE {
        return vec![unit(&set.debs)];
    }
    let parts = std::iter::once(base).filter(|debs| !debs.is_empty());
    parts.chain(single.chunks(1)).map(unit).collect()
}

/// Makes a directory once.
fn make(
    derived: &Derived,
    write: impl FnOnce(&Path) -> Result<(), RootError> + Send,
) -> Result<DerivedDir, RootError> {
    make_once(derived, || fill::find(derived), write)
}

/// A package that is unpacked in the store.
type Unpacked<'p> = (&'p BuildDeb, &'p Pack);

/// The packages that were needed so far.
#[derive(Default)]
struct Packs(BTreeMap<Digest, Pack>);

impl Packs {
    /// Fetches packages and unpacks each as soon as it is there.
    fn bring(&mut self, session: &Session, debs: &[BuildDeb]) -> Result<(), RootError> {
        let wants: BTreeMap<Digest, (&BuildDeb, Want)> = debs
            .iter()
            .filter(|deb| !self.0.contains_key(&deb.sha256))
            .map(|deb| (deb.sha256, (deb, want(session, deb))))
            .collect();
        if wants.is_empty() {
            return Ok(());
        }
        let brought = work_while_fetching(&session.net, &wants, |deb| {
            let pack = deb_pack(session.store(), &deb.name, &deb.sha256)?;
            expect_identity(&pack, &deb.name, &deb.version, &deb.architecture)?;
            Ok((deb.sha256, pack))
        })?;
        self.0.extend(brought);
        Ok(())
    }

    fn members<'p>(&'p self, debs: &'p [BuildDeb]) -> Vec<Unpacked<'p>> {
        let with_pack = |deb: &'p BuildDeb| Some((deb, self.0.get(&deb.sha256)?));
        debs.iter().filter_map(with_pack).collect()
    }
}

fn want(session: &Session, deb: &BuildDeb) -> Want {
    Want {
        label: format!("{} {}", deb.name, deb.version),
        urls: session
            .mirror
            .package_urls(deb.archive, &deb.path, deb.date),
        digest: deb.sha256,
        size: Some(deb.size),
        credentials: false,
    }
}
