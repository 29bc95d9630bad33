//! What a caller asks for: sources, selections, index settings, and who builds sdists.
//!
//! Plain values. Nothing here reads the process environment: the caller hands variables in as
//! [`Environment`]. (uv's HTTP layer reads some by itself: `SSL_CERT_FILE`, proxies, `NETRC`,
//! `UV_INDEX_<NAME>_USERNAME` and `_PASSWORD`.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use unheck_base::Digest;

use crate::kept::Answers;

/// One thing that names requirements, or a lock that has them pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A `pyproject.toml` with a `[project]` table or with dependency groups only.
    Pyproject(PathBuf),
    /// A requirements file in pip's format.
    Requirements(PathBuf),
    /// A Python script with a PEP 723 block.
    Script(PathBuf),
    /// One requirement (PEP 508), or a path or URL as `uv pip install` takes it.
    Requirement(String),
}

/// Which extras of the project are on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// All of them.
    pub all: bool,
    /// These, normalised or not.
    pub names: BTreeSet<String>,
}

/// Which dependency groups (PEP 735) of the project are on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// All of them.
    pub all: bool,
    /// Those of `[tool.uv] default-groups`, which is `dev` when unset. Off for a deployment.
    pub defaults: bool,
    /// These, normalised or not.
    pub names: BTreeSet<String>,
    /// Never these, whatever the other fields say.
    pub except: BTreeSet<String>,
    /// Only the groups: neither the project's dependencies nor its extras.
    pub only: bool,
}

/// What a resolution is for. Constraints and overrides of a project do not count for what its builds need (uv has
/// `build-constraint-dependencies` for that).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// The distributions that are installed.
    #[default]
    Install,
    /// The requirements of a build backend (PEP 517).
    Build,
}

/// Index settings from the command line: they win over the environment and over files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// Replaces the default index.
    pub default_url: Option<String>,
    /// Tried before the default index, first one first; `NAME=URL` gives a name.
    pub extra: Vec<String>,
    /// Directories or pages with links to files.
    pub find_links: Vec<String>,
    /// Only `find_links`.
    pub no_index: bool,
    /// Never take a wheel of these distributions.
    pub no_binary: BTreeSet<String>,
    /// Compile nothing: a distribution without a fitting wheel is as good as absent.
    pub no_build: bool,
    /// No network: only what the cache has.
    pub offline: bool,
}

/// Which versions are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResolutionMode {
    /// The newest of everything.
    Highest,
    /// The oldest of everything.
    Lowest,
    /// The oldest of what the input names, the newest of the rest.
    LowestDirect,
}

/// Whether pre-releases are taken, in uv's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrereleaseMode {
    /// Never.
    Disallow,
    /// Always.
    Allow,
    /// Where a distribution has nothing else, or the input names one; the default.
    IfNecessary,
    /// Where the input's own specifier names one.
    Explicit,
}

/// Environment variables by name, collected by the caller. Unknown names are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// The variables that this crate looks at; a caller needs to collect no others.
    pub const NAMES: &[&str] = &[
        "SSL_CLIENT_CERT",
        "UV_BUILD_CONSTRAINT",
        "UV_CONFIG_FILE",
        "UV_CONSTRAINT",
        "UV_DEFAULT_INDEX",
        "UV_EXCLUDE_NEWER",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_HTTP_TIMEOUT",
        "UV_INDEX",
        "UV_INDEX_STRATEGY",
        "UV_INDEX_URL",
        "UV_INSECURE_HOST",
        "UV_KEYRING_PROVIDER",
        "UV_NO_BINARY",
        "UV_NO_BINARY_PACKAGE",
        "UV_NO_BUILD",
        "UV_NO_BUILD_PACKAGE",
        "UV_NO_CONFIG",
        "UV_NO_INDEX",
        "UV_NO_SOURCES",
        "UV_OFFLINE",
        "UV_OVERRIDE",
        "UV_PRERELEASE",
        "UV_RESOLUTION",
    ];

    /// The value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Everything a resolution starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Absolute directory where `uv.toml` and `[tool.uv]` are looked for, upwards; relative paths start here.
    pub root: PathBuf,
    /// What to install.
    pub sources: Vec<Source>,
    /// Limits on versions: requirement strings or requirements files.
    pub constraints: Vec<Source>,
    /// Requirements that replace those of distributions.
    pub overrides: Vec<Source>,
    /// Extras of the project.
    pub extras: Extras,
    /// Dependency groups of the project.
    pub groups: Groups,
    /// Ignore files uploaded after this: RFC 3339, a date, or a span such as `30 days`. `None`: as configured.
    pub exclude_newer: Option<String>,
    /// Index settings of the command line.
    pub index: IndexSettings,
    /// `None`: as configured.
    pub resolution: Option<ResolutionMode>,
    /// `None`: as configured.
    pub prerelease: Option<PrereleaseMode>,
    /// Environment variables.
    pub environment: Environment,
    /// What it is for.
    pub purpose: Purpose,
}

impl Inputs {
    /// Inputs from one source with no selection and no settings.
    pub fn new(root: impl Into<PathBuf>, source: Source) -> Self {
        Self {
            root: root.into(),
            sources: vec![source],
            constraints: Vec::new(),
            overrides: Vec::new(),
            extras: Extras::default(),
            groups: Groups::default(),
            exclude_newer: None,
            index: IndexSettings::default(),
            resolution: None,
            prerelease: None,
            environment: Environment::default(),
            purpose: Purpose::Install,
        }
    }
}

/// A pin that a resolution keeps where the requirements allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    /// Normalised name.
    pub name: String,
    /// Version to keep.
    pub version: String,
}

/// What happens during a resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'e> {
    /// A version was chosen for the moment; it may be given up again.
    Considering {
        /// Normalised name.
        name: &'e str,
        /// Version or URL.
        version: &'e str,
    },
    /// The metadata of a source tree or sdist is being made by the [`SourceBuilder`].
    Building {
        /// The source.
        source: &'e str,
    },
    /// A git repository is being fetched.
    CheckingOut {
        /// URL without credentials.
        url: &'e str,
        /// Branch, tag or commit.
        revision: &'e str,
    },
    /// The resolution is done.
    Resolved {
        /// Number of distributions.
        count: usize,
    },
    /// Something the user should know, such as a yanked version that was asked for.
    Warning {
        /// One sentence.
        message: &'e str,
    },
}

/// Takes events. Called from several threads.
pub trait Reporter: Send + Sync {
    /// Must not block for long.
    fn event(&self, event: Event<'_>);
}

/// Why a [`SourceBuilder`] failed: its log, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildFailure(pub String);

/// A source tree to get metadata or a wheel from.
#[derive(Debug, Clone, Copy)]
pub struct SourceTree<'s> {
    /// The directory with `pyproject.toml` or `setup.py`, unpacked by the resolver.
    pub path: &'s Path,
    /// How it is called in messages, for example `docopt==0.6.2`; `None` for an unnamed directory.
    pub label: Option<&'s str>,
    /// The interpreter version and machine to build for.
    pub target: &'s crate::Target,
}

/// Turns source trees into metadata and wheels, in a sandbox. Given by the engine.
pub trait SourceBuilder: Send + Sync {
    /// Names everything that a result depends on besides the source (sandbox, libc, compiler): the cache keeps results of different identities apart.
    fn identity(&self) -> Digest;

    /// Runs the backend's `prepare_metadata_for_build_wheel` (PEP 517) into `out`. Answers the name of the `.dist-info` directory, or `None` when the backend lacks the hook: then [`Self::wheel`] is called.
    fn metadata<'b>(
        &'b self,
        tree: SourceTree<'b>,
        out: &'b Path,
    ) -> BoxFuture<'b, Result<Option<String>, BuildFailure>>;

    /// Builds one wheel into `out` and answers its filename.
    fn wheel<'b>(
        &'b self,
        tree: SourceTree<'b>,
        out: &'b Path,
    ) -> BoxFuture<'b, Result<String, BuildFailure>>;
}

/// How a resolution runs, apart from what it is asked.
#[derive(Clone)]
pub struct ResolveOptions {
    /// The resolver's cache directory (metadata, index pages); made if missing. Offline runs are served from it.
    pub cache: PathBuf,
    /// What indexes answered in this run: it is not asked again.
    pub answers: Answers,
    /// Pins of an earlier lock.
    pub preferences: Vec<Preference>,
    /// `None`: distributions without static metadata and without a wheel are refused.
    pub builder: Option<Arc<dyn SourceBuilder>>,
    /// Where events go.
    pub reporter: Option<Arc<dyn Reporter>>,
}
