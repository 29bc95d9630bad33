//! The sealed plan. Start at [`Lock`]; [`Lock::from_text`] and [`Lock::to_text`] are its file.
//!
//! `pylock.unheck.toml` is a PEP 751 lock whose `[tool.unheck]` table holds the other half:
//! targets, interpreters and Debian packages down to the file, each with its reason. Network
//! and choice end here: whatever comes after reads this value, the store and the app's files.

mod compiled;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};

use crate::platform::Platform;

pub use compiled::{AppBuild, Attempt, Chosen, Compiled};
pub use text::ReadLockError;

/// The file name of a lock beside the project that it is for (PEP 751 wants `pylock.*.toml`).
pub const LOCK_FILE: &str = "pylock.unheck.toml";

/// Version of the `[tool.unheck]` table. Raised when an older unheck could not read it.
pub const FORMAT: u32 = 1;

/// Everything that decides an artifact but the app's own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The Python versions that the locked set is for (PEP 440 specifiers).
    pub requires_python: Option<String>,
    /// Distributions, sorted by name and version.
    pub packages: Vec<Package>,
    /// What only unheck reads.
    pub plan: Plan,
}

/// One distribution at one version (PEP 751 `[[packages]]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// Normalised name (PEP 503).
    pub name: String,
    /// Version as the index writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When to install it, where targets differ (PEP 508 marker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The Python versions that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// The index that it comes from, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// The distributions that it asked for, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// The wheels that the targets use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wheels: Vec<Wheel>,
    /// A source tree beside the project, where that is what it comes as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    /// A commit of a repository, where that is what it comes as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcs: Option<Vcs>,
    /// The sdist, where no wheel fits a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdist: Option<Wheel>,
    /// What it is and who owns it (PEP 751 `[packages.tool]`); tells, decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<PackageTool>,
}

/// `[packages.tool]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTool {
    /// Ours.
    #[serde(default)]
    pub unheck: crate::identify::census::About,
}

/// A source tree beside the project (PEP 751 `[packages.directory]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Directory {
    /// Where it is, relative to the lock where that is possible.
    pub path: String,
    /// Whether it was asked for as editable; what is built ships a copy all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub editable: bool,
    /// The directory within it that has the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdirectory: Option<String>,
}

/// A commit of a repository (PEP 751 `[packages.vcs]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vcs {
    /// Which kind of repository: `git`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its address, without credentials.
    pub url: String,
    /// The commit, in full.
    pub commit_id: String,
    /// The directory within it that has the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdirectory: Option<String>,
}

/// An edge to another locked distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// Normalised name.
    pub name: String,
}

/// One file of a distribution (PEP 751 `[[packages.wheels]]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wheel {
    /// File name.
    pub name: String,
    /// Where it is, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it is, relative to the lock, for files beside the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<toml::value::Datetime>,
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its digests.
    pub hashes: Hashes,
}

/// Digests of a file; unheck demands and trusts SHA-256 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// SHA-256, as 64 hexadecimal digits.
    #[serde(with = "text::hex")]
    pub sha256: Digest,
}

/// The `[tool.unheck]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`] of the unheck that wrote it.
    pub format: u32,
    /// Digest of every input that choices were made from; another value means a stale lock.
    pub inputs: Digest,
    /// Newest date among the inputs, in seconds since 1970: the image's creation time.
    pub epoch: i64,
    /// Distributions that the project itself asks for, by normalised name.
    #[serde(default)]
    pub roots: Vec<String>,
    /// Native libraries and evidence found in the app's own files when the lock was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_needs: Vec<String>,
    /// One per platform.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// The interpreter of the machine that locked, where that is no target: it makes there what does not depend on
    /// the architecture, bytecode and the project's own pure wheel. Nothing of it ships.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper: Option<Target>,
    /// What was compiled, sorted by name and platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<Compiled>,
    /// How the app's own wheel is compiled, by platform; empty where it has no compiled parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_builds: Vec<AppBuild>,
}

/// What one platform gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Target {
    /// Which platform.
    pub platform: Platform,
    /// Who runs the code.
    pub interpreter: Interpreter,
    /// File names of the wheels to install, each found in `[[packages]]`.
    pub wheels: Vec<String>,
    /// Where the Debian packages were chosen from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<Suite>,
    /// Debian packages and the files of each that ship.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debs: Vec<Deb>,
    /// What was seen to be missing but need not ship, said again at every build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Wheels of the build backend that makes the app's own wheel; they do not ship.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_requires: Vec<Wheel>,
    /// Debian packages of the build roots of this platform, whole; they do not ship.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_debs: Vec<Deb>,
}

/// The Python that runs the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Interpreter {
    /// Who provides it.
    pub provider: Provider,
    /// Full version, such as `3.13.5`.
    pub version: String,
    /// The glibc that wheels may count on, as `major.minor`.
    pub glibc: String,
    /// The archive of a `standalone` interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Wheel>,
    /// The directory of a `prefix` interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Digest over the files of a `prefix` interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_digest: Option<Digest>,
}

impl Interpreter {
    /// One of Debian's packages: `3.13.5` with the glibc `2.41`.
    pub fn debian(version: impl Into<String>, glibc: impl Into<String>) -> Self {
        Self {
            provider: Provider::Debian,
            version: version.into(),
            glibc: glibc.into(),
            archive: None,
            prefix: None,
            prefix_digest: None,
        }
    }
}

/// Where an interpreter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Debian's own packages.
    Debian,
    /// A python-build-standalone `install_only` archive.
    Standalone,
    /// A local installation.
    Prefix,
}

/// A suite as it stood when the lock was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Suite {
    /// Name under `dists/`.
    pub name: String,
    /// Which archive of a mirror it is in.
    pub archive: Archive,
    /// Its `Date`, in seconds since 1970.
    pub date: i64,
    /// Digest of the `InRelease` file.
    pub inrelease: Digest,
    /// Digests of the uncompressed-by-name index files that were read, by their path.
    pub indexes: BTreeMap<String, Digest>,
    /// Fingerprints of the keys whose signatures were good.
    pub signed_by: Vec<String>,
}

/// The two trees of a Debian mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archive {
    /// The main one, `debian`.
    Debian,
    /// Security updates, `debian-security`.
    DebianSecurity,
}

impl Archive {
    /// The directory that mirrors usually keep it in.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::DebianSecurity => "debian-security",
        }
    }
}

/// One Debian binary package and what of it ships.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Deb {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Source package, where it is called otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Name of the suite that listed it.
    pub suite: String,
    /// Path below the archive's directory.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the file.
    #[serde(with = "text::hex")]
    pub sha256: Digest,
    /// Whether it belongs to what the interpreter alone needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base: bool,
    /// Why the package is here.
    pub reason: String,
    /// The files that ship, each with its reason; empty when all but documentation ship.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<TreePath, String>,
}

impl Deb {
    /// Whether a file of it is there because an object needs it, and not for a rule or for the whole package.
    pub fn is_by_need(&self, path: &TreePath) -> bool {
        let reason = self.files.get(path).map_or("", String::as_str);
        reason.contains(" <- ") || reason.starts_with("target of ")
    }
}

impl Lock {
    /// The target of a platform.
    pub fn target(&self, platform: Platform) -> Option<&Target> {
        self.plan
            .targets
            .iter()
            .find(|target| target.platform == platform)
    }

    /// Whose interpreter runs on this machine: a target's, else the helper's.
    pub fn runs_here(&self) -> Option<&Target> {
        let host = Platform::host()?;
        self.with_helper().find(|target| target.platform == host)
    }

    /// The targets, and the helper where it runs.
    pub fn used_here(&self) -> impl Iterator<Item = &Target> {
        let host = Platform::host();
        let helper = self.plan.helper.iter();
        let runs = helper.filter(move |helper| Some(helper.platform) == host);
        self.plan.targets.iter().chain(runs)
    }

    /// The targets, and the helper where there is one.
    pub fn with_helper(&self) -> impl Iterator<Item = &Target> {
        self.plan.targets.iter().chain(&self.plan.helper)
    }

    /// The same without what is only told and what only helps: the part that decides an artifact.
    #[must_use]
    pub fn deciding(&self) -> Self {
        let mut lock = self.clone();
        lock.packages
            .iter_mut()
            .for_each(|package| package.tool = None);
        lock.plan.helper = None;
        lock
    }

    /// The package and the file record of a wheel's file name; also of one that was compiled.
    pub fn wheel(&self, file_name: &str) -> Option<(&Package, &Wheel)> {
        let compiled = self
            .plan
            .builds
            .iter()
            .find(|build| build.wheel.name == file_name);
        self.packages.iter().find_map(|package| {
            let own = package.wheels.iter().find(|wheel| wheel.name == file_name);
            let made = compiled.filter(|build| build.is_of(package));
            Some((package, own.or(made.map(|build| &build.wheel))?))
        })
    }

    /// The wheels of a package, those that were compiled too.
    pub fn wheels_of<'l>(&'l self, package: &'l Package) -> impl Iterator<Item = &'l Wheel> {
        let builds = self.plan.builds.iter();
        let compiled = builds.filter(move |build| build.is_of(package));
        package
            .wheels
            .iter()
            .chain(compiled.map(|build| &build.wheel))
    }

    /// Whether a wheel of the distribution is installed, one that was compiled too.
    pub fn installs(&self, name: &str) -> bool {
        let of = |package: &&Package| package.name == name;
        let mut packages = self.packages.iter().filter(of);
        packages.any(|package| self.wheels_of(package).next().is_some())
    }

    /// Names from a root down to `name`, the shortest way; empty when nothing leads there.
    pub fn chain(&self, name: &str) -> Vec<String> {
        let mut before: BTreeMap<&str, Option<&str>> = self
            .plan
            .roots
            .iter()
            .map(|root| (root.as_str(), None))
            .collect();
        let mut queue: std::collections::VecDeque<&str> =
            self.plan.roots.iter().map(String::as_str).collect();
        while let Some(current) = queue.pop_front() {
            if current == name {
                break;
            }
            let packages = self
                .packages
                .iter()
                .filter(|package| package.name == current);
            for dependency in packages.flat_map(|package| &package.dependencies) {
                if !before.contains_key(dependency.name.as_str()) {
                    before.insert(&dependency.name, Some(current));
                    queue.push_back(&dependency.name);
                }
            }
        }
        let mut chain = Vec::new();
        let mut current = before.get_key_value(name).map(|(name, _)| *name);
        while let Some(at) = current {
            chain.push(at.to_owned());
            current = before.get(at).copied().flatten();
        }
        chain.reverse();
        chain
    }
}
