//! A Debian or Ubuntu release as a [`Profile`], from its signed package indexes. Start at
//! [`compute`].
//!
//! Of the libraries only those that are asked for are looked up: first in the package that shipped
//! data names, then by the Contents index. The symbol versions are those of the object in the
//! package. `installed` is what debootstrap's smallest variant has: packages of priority required,
//! and apt, with all that they depend on.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;
use unheck_elf::{IsaLevel, Object};

use super::level::Number;
use super::profile::{
    Basis, CaBundle, Cpu, FORMAT, Installer, Libc, LibcKind, Library, PageSize, Profile, Versioned,
    is_glibc,
};
use super::shipped::newest;
use crate::close::{DebFacts, DebFile, World};
use crate::debian::usrmerge;
use crate::debian::{
    DebWorld, Mirror, Suites, SuitesError, SuitesRequest, WorldError, parse_glibc,
};
use crate::explain::{Class, Explain};
use crate::platform::Platform;
use crate::session::Session;

/// Most links that are followed inside a package.
const MAX_LINKS: usize = 8;

/// A release of Debian or of Ubuntu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The target's name, such as `debian:12`.
    pub name: String,
    /// The suite, such as `bookworm`.
    pub suite: String,
    /// Whether it is in Ubuntu's archive.
    pub ubuntu: bool,
}

/// Debian's releases by number: `debian:12` is the suite `bookworm`.
const DEBIAN: &[(&str, &str)] = &[
    ("10", "buster"),
    ("11", "bullseye"),
    ("12", "bookworm"),
    ("13", "trixie"),
    ("14", "forky"),
    ("unstable", "sid"),
];

/// Ubuntu's releases by number.
const UBUNTU: &[(&str, &str)] = &[
    ("18.04", "bionic"),
    ("20.04", "focal"),
    ("22.04", "jammy"),
    ("24.04", "noble"),
    ("25.04", "plucky"),
    ("25.10", "questing"),
];

/// The release that a target names; `None` when it is not one of Debian or Ubuntu.
pub fn release(target: &str) -> Option<Release> {
    let (family, version) = target.split_once(':')?;
    let (table, ubuntu) = match family {
        "debian" => (DEBIAN, false),
        "ubuntu" => (UBUNTU, true),
        _ => return None,
    };
    let known = table
        .iter()
        .find(|(number, suite)| version == *number || version == *suite);
    // A suite of a mirror may be newer than this table.
    let word = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_lowercase());
    let (number, suite) = match known {
        Some((number, suite)) => (*number, *suite),
        None if word => (version, version),
        None => return None,
    };
    Some(Release {
        name: format!("{family}:{number}"),
        suite: suite.to_owned(),
        ubuntu,
    })
}

/// A release cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// Its indexes cannot be used.
    #[error("cannot use the package indexes of `{suite}`")]
    Suites {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: Box<SuitesError>,
    },
    /// A package cannot be looked into.
    #[error("cannot look into packages of `{suite}`")]
    World {
        /// The suite.
        suite: String,
        /// Why not.
        #[source]
        source: Box<WorldError>,
    },
    /// There is no libc in it.
    #[error("the suite `{suite}` has no `libc6` for {platform}")]
    NoLibc {
        /// The suite.
        suite: String,
        /// The platform.
        platform: Platform,
    },
}

impl Explain for ComputeError {
    fn class(&self) -> Class {
        match self {
            Self::Suites { source, .. } => source.class(),
            Self::World { source, .. } => source.class(),
            Self::NoLibc { .. } => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Suites { source, .. } => source.hints(),
            Self::World { source, .. } => source.hints(),
            Self::NoLibc { .. } => Vec::new(),
        }
    }
}

/// Computes what a release has for `sonames` on a platform. `shipped` gives what no index says
/// (processor, page size) and where to look first.
///
/// # Errors
/// [`ComputeError`] when indexes or packages cannot be had.
pub fn compute(
    session: &Session,
    mirror: &Mirror,
    (release, platform): (&Release, Platform),
    sonames: &BTreeSet<String>,
    shipped: Option<&Profile>,
) -> Result<Profile, ComputeError> {
    let request = SuitesRequest {
        suite: &release.suite,
        platforms: &[platform],
        allow_expired: &session.allow_expired,
        now: session.now,
    };
    let suites =
        Suites::load(&session.net, mirror, &session.keyring, &request).map_err(|source| {
            ComputeError::Suites {
                suite: release.suite.clone(),
                source: Box::new(source),
            }
        })?;
    let failed = |source| ComputeError::World {
        suite: release.suite.clone(),
        source: Box::new(source),
    };
    let mut lookup = Lookup {
        suites: &suites,
        world: DebWorld::new(&session.net, mirror, &suites, platform),
        platform,
        source: format!(
            "package index of {} ({})",
            release.suite,
            platform.architecture()
        ),
        smallest: BTreeSet::new(),
    };
    lookup.smallest = lookup.smallest();
    let mut profile = lookup.facts(release, shipped)?;
    // Packages are seldom called otherwise in the next release.
    let names = shipped.or_else(|| newest(&release.name));
    let (libraries, missing) = lookup.guessed(sonames, names).map_err(failed)?;
    profile.libraries = libraries;
    if !missing.is_empty() && (release.ubuntu || !lookup.world.has_contents()) {
        // Ubuntu keeps its index elsewhere, and much in components that are not loaded.
        profile.complete = false;
    } else if !missing.is_empty() {
        match lookup.by_contents(&missing) {
            Ok(more) => profile.libraries.extend(more),
            // What the index would have told stays unknown; the rest holds.
            Err(WorldError::Net(_)) => {
                profile.complete = false;
                session.note(&format!(
                    "the Contents index of {} cannot be had, so what is not known otherwise stays unknown",
                    release.suite
                ));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let installed = |library: &Library| {
        let package = library.package.as_ref();
        package.is_some_and(|package| lookup.smallest.contains(package))
    };
    for library in profile.libraries.values_mut() {
        library.installed = installed(library);
    }
    let found = &profile.libraries;
    profile
        .absent
        .retain(|soname, _| !found.contains_key(soname));
    Ok(profile)
}

struct Lookup<'a> {
    suites: &'a Suites,
    world: DebWorld<'a>,
    platform: Platform,
    source: String,
    /// The packages of the smallest installation.
    smallest: BTreeSet<String>,
}

impl Lookup<'_> {
    /// The upstream version of a package.
    fn upstream(&self, package: &str) -> Option<String> {
        let listed = self.suites.package(self.platform, package)?;
        Some(listed.package.version.upstream().to_owned())
    }

    fn versioned(&self, version: String) -> Versioned {
        Versioned {
            version,
            source: self.source.clone(),
        }
    }

    fn facts(&self, release: &Release, shipped: Option<&Profile>) -> Result<Profile, ComputeError> {
        let version = self.upstream("libc6").and_then(|text| parse_glibc(&text));
        let (major, minor) = version.ok_or_else(|| ComputeError::NoLibc {
            suite: release.suite.clone(),
            platform: self.platform,
        })?;
        let base = shipped.cloned().unwrap_or_default();
        let family = if release.ubuntu { "Ubuntu" } else { "Debian" };
        // `linux-image-amd64` of Debian, `linux-image-generic` of Ubuntu.
        let flavour = if release.ubuntu {
            "generic"
        } else {
            self.platform.architecture()
        };
        let kernel = self
            .upstream(&format!("linux-image-{flavour}"))
            .and_then(|text| {
                let numbers: Vec<&str> = text.split('.').take(2).collect();
                let short = numbers.join(".");
                Number::of(&short).map(|_| short)
            });
        let gcc = self.upstream("libstdc++6").map(|text| {
            let end = text
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(text.len());
            text[..end].trim_end_matches('.').to_owned()
        });
        let title = if base.title.is_empty() {
            format!("{family} {}", release.suite)
        } else {
            base.title
        };
        Ok(Profile {
            format: FORMAT,
            name: release.name.clone(),
            title,
            basis: Basis::Computed,
            installer: Some(Installer::Apt),
            libc: Some(Libc {
                kind: LibcKind::Glibc,
                version: format!("{major}.{minor}"),
                source: self.source.clone(),
            }),
            gcc: gcc.map(|version| self.versioned(version)),
            cpu: base.cpu.or_else(|| {
                Some(Cpu {
                    level: IsaLevel::Baseline,
                    source: format!("{family}'s baseline of amd64"),
                })
            }),
            kernel: kernel
                .map(|version| self.versioned(version))
                .or(base.kernel),
            page_size: self.page_size(flavour).or(base.page_size),
            locale: base.locale,
            ca: self.certificates().or(base.ca),
            complete: true,
            absent: base.absent,
            ..Profile::default()
        })
    }

    /// The page sizes of the kernels on arm64; `None` for other machines.
    fn page_size(&self, flavour: &str) -> Option<PageSize> {
        if self.platform != Platform::LinuxArm64 {
            return None;
        }
        let kernel = |name: &str| {
            let image = format!("linux-image-{flavour}{name}");
            self.suites.package(self.platform, &image).is_some()
        };
        let sizes: Vec<u64> = [("", 4096), ("-16k", 16384), ("-64k", 65536)]
            .into_iter()
            .filter(|(name, _)| kernel(name))
            .map(|(_, size)| size)
            .collect();
        (!sizes.is_empty()).then(|| PageSize {
            sizes,
            source: self.source.clone(),
        })
    }

    fn certificates(&self) -> Option<CaBundle> {
        let package = "ca-certificates";
        self.suites.package(self.platform, package)?;
        Some(CaBundle {
            path: "/etc/ssl/certs/ca-certificates.crt".to_owned(),
            package: Some(package.to_owned()),
            installed: self.smallest.contains(package),
            source: self.source.clone(),
        })
    }

    /// The packages of the smallest installation.
    fn smallest(&self) -> BTreeSet<String> {
        let mut queue = self
            .suites
            .names_with(self.platform, &["Priority: required", "Essential: yes"]);
        queue.push("apt".to_owned());
        let mut there = BTreeSet::new();
        while let Some(name) = queue.pop() {
            if !there.insert(name.clone()) {
                continue;
            }
            // Of alternatives the first one that there is. `usrmerge` rewrites an old system; a new
            // one has `usr-is-merged` (debootstrap asks for it by name).
            let wanted = self.world.depends(&name).into_iter().filter_map(|group| {
                let there =
                    |alternative: &String| alternative != "usrmerge" && self.world.has(alternative);
                group.into_iter().find(there)
            });
            queue.extend(wanted);
        }
        there
    }

    /// The libraries in the packages where they are to be expected, and those that are not there.
    fn guessed(
        &self,
        sonames: &BTreeSet<String>,
        shipped: Option<&Profile>,
    ) -> Result<(BTreeMap<String, Library>, BTreeSet<String>), WorldError> {
        let guesses: BTreeMap<&str, Vec<String>> = sonames
            .iter()
            .map(|soname| (soname.as_str(), self.guess(soname, shipped)))
            .collect();
        let packages: BTreeSet<String> = guesses.values().flatten().cloned().collect();
        self.world.prepare(&packages)?;
        let mut libraries = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for (soname, own) in guesses {
            // Some packages have several libraries, so the others' are looked into too.
            let mut found = None;
            for package in own.iter().chain(&packages) {
                found = self.look(package, soname)?;
                if found.is_some() {
                    break;
                }
            }
            match found {
                Some(library) => drop(libraries.insert(soname.to_owned(), library)),
                None => drop(missing.insert(soname.to_owned())),
            }
        }
        Ok((libraries, missing))
    }

    /// Packages to look into first: the one that shipped data names, and those that Debian's
    /// rule for names gives (policy 8.1: `libmagic.so.1` is in `libmagic1`).
    fn guess(&self, soname: &str, shipped: Option<&Profile>) -> Vec<String> {
        if is_glibc(soname) {
            return vec!["libc6".to_owned()];
        }
        let named = shipped.and_then(|profile| {
            let library = profile.libraries.get(soname)?;
            library.package.clone()
        });
        let mut names: Vec<String> = named.into_iter().collect();
        names.extend(by_policy(soname));
        names.retain(|name| self.world.has(name));
        names.dedup();
        names
    }

    fn by_contents(
        &self,
        missing: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Library>, WorldError> {
        let mut libraries = BTreeMap::new();
        for (soname, places) in self.world.providers(missing)? {
            if let Some(library) = self.provided(&soname, &places)? {
                libraries.insert(soname, library);
            }
        }
        Ok(libraries)
    }

    /// The first of the packages that really has the library, those nearest to the loader first.
    fn provided(
        &self,
        soname: &str,
        places: &[(String, TreePath)],
    ) -> Result<Option<Library>, WorldError> {
        let directory = format!("usr/lib/{}", self.platform.triplet());
        let mut candidates: Vec<(bool, usize, &String)> = places
            .iter()
            .filter(|(package, _)| self.world.has(package))
            .filter_map(|(package, path)| {
                let parent = path.parent()?;
                let direct = parent.as_str() == directory || parent.as_str() == "usr/lib";
                direct.then_some((parent.as_str() != directory, package.len(), package))
            })
            .collect();
        candidates.sort();
        for (_, _, package) in candidates {
            if let Some(library) = self.look(package, soname)? {
                return Ok(Some(library));
            }
        }
        Ok(None)
    }

    /// The library inside a package, where the loader looks.
    fn look(&self, package: &str, soname: &str) -> Result<Option<Library>, WorldError> {
        let facts = self.world.facts(package)?;
        let triplet = self.platform.triplet();
        let directories = [
            format!("usr/lib/{triplet}"),
            "usr/lib".to_owned(),
            "usr/lib64".to_owned(),
        ];
        for directory in directories {
            let Ok(path) = TreePath::new(&format!("{directory}/{soname}")) else {
                continue;
            };
            if let Some(object) = object(&facts, path)
                && object.machine == self.platform.elf_machine()
            {
                return Ok(Some(Library {
                    package: Some(package.to_owned()),
                    versions: Some(object.offers_versions.clone()),
                    source: self.source.clone(),
                    ..Library::default()
                }));
            }
        }
        Ok(None)
    }
}

/// What a package of a library may be called (Debian policy 8.1): soname and its version, with a
/// dash between digits, and `t64` since the change of `time_t` in Debian 13.
fn by_policy(soname: &str) -> Vec<String> {
    let Some((stem, version)) = soname.split_once(".so.") else {
        return Vec::new();
    };
    let digit = |c: char| c.is_ascii_digit();
    let close: String = stem
        .split('-')
        .enumerate()
        .map(|(number, part)| match number {
            0 => part.to_owned(),
            _ if part.starts_with(digit) => part.to_owned(),
            _ => format!("-{part}"),
        })
        .collect();
    let mut names = Vec::new();
    for stem in [stem, close.as_str()] {
        let between = if stem.ends_with(digit) { "-" } else { "" };
        let name = format!("{stem}{between}{version}")
            .to_ascii_lowercase()
            .replace('_', "-");
        if !names.contains(&name) {
            names.extend([name.clone(), format!("{name}t64")]);
        }
    }
    names
}

/// The object at a path of a package, links followed inside the package.
fn object(facts: &DebFacts, mut path: TreePath) -> Option<&Object> {
    for _ in 0..MAX_LINKS {
        match facts.files.get(&path)? {
            DebFile::Elf(object) => return Some(object),
            DebFile::Link(text) => path = usrmerge(&path.resolve_link(text)?),
            DebFile::Plain => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_called_after_their_library() {
        assert_eq!(by_policy("libmagic.so.1"), ["libmagic1", "libmagic1t64"]);
        assert_eq!(by_policy("libX11.so.6"), ["libx11-6", "libx11-6t64"]);
        assert!(by_policy("libglib-2.0.so.0").contains(&"libglib2.0-0t64".to_owned()));
        assert!(by_policy("libpangoft2-1.0.so.0").contains(&"libpangoft2-1.0-0".to_owned()));
        assert!(by_policy("libdb-5.3.so").is_empty());
    }

    #[test]
    fn releases_are_named_by_number_and_by_suite() {
        let named = |text| release(text).map(|found| (found.name, found.suite, found.ubuntu));
        let answer =
            |name: &str, suite: &str, ubuntu| Some((name.to_owned(), suite.to_owned(), ubuntu));
        assert_eq!(named("debian:12"), answer("debian:12", "bookworm", false));
        assert_eq!(
            named("debian:bookworm"),
            answer("debian:12", "bookworm", false)
        );
        assert_eq!(named("debian:sid"), answer("debian:unstable", "sid", false));
        assert_eq!(named("ubuntu:jammy"), answer("ubuntu:22.04", "jammy", true));
        assert_eq!(named("debian:duke"), answer("debian:duke", "duke", false));
        for nothing in ["debian:99", "debian:", "debian", "rhel:9", "debian:../x"] {
            assert_eq!(named(nothing), None, "{nothing}");
        }
    }
}
