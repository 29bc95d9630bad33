//! What a resolution is: the distributions of one target, each with its artifact.
//!
//! Plain values with no behaviour; made by [`crate::resolve()`] and [`crate::read_lock`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use unheck_base::Digest;

use crate::Target;

/// The distributions that one target installs, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// What it was made for.
    pub target: Target,
    /// The project's `requires-python` specifier; `None` when the input states none.
    pub requires_python: Option<String>,
    /// One entry per distribution, sorted by name. The project itself is not among them.
    pub packages: Vec<Package>,
    /// The project that was resolved, if the input was one.
    pub project: Option<ProjectInfo>,
}

impl Resolution {
    /// The distribution of that normalised name.
    pub fn package(&self, name: &str) -> Option<&Package> {
        let at = self
            .packages
            .binary_search_by(|p| p.name.as_str().cmp(name))
            .ok()?;
        self.packages.get(at)
    }
}

/// One version of one distribution, and the file that will be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Normalised name (PEP 503), for example `ruamel-yaml`.
    pub name: String,
    /// Version in normal form (PEP 440). `None` only for a directory or git source in a lock whose version is dynamic.
    pub version: Option<String>,
    /// Normalised names of its direct dependencies on this target, those of its active extras too.
    pub dependencies: BTreeSet<String>,
    /// The extras that are active.
    pub extras: BTreeSet<String>,
    /// True when the input itself asks for it, not only another distribution.
    pub requested_by_root: bool,
    /// What gets installed.
    pub artifact: Artifact,
    /// All wheels of this version that the index offers, for other targets too, sorted by filename.
    pub all_wheels: Vec<File>,
    /// The sdist of this version, if the index offers one.
    pub sdist: Option<File>,
}

/// Where the bytes of a distribution come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Artifact {
    /// A wheel on an index.
    Wheel(File),
    /// An sdist on an index; no wheel fits the target, so it must be compiled.
    Sdist(File),
    /// A local source tree; becomes a wheel by a build.
    Directory {
        /// Absolute path.
        path: PathBuf,
        /// Asked for with `-e` or `editable = true`.
        editable: bool,
    },
    /// A wheel or sdist named by a URL or a local path instead of an index.
    Archive {
        /// The file; `url` is a `file://` URL for a local path.
        file: File,
        /// True for a wheel, false for an sdist.
        is_wheel: bool,
        /// The directory within the sdist that has the project.
        subdirectory: Option<String>,
    },
    /// A commit of a git repository.
    Git {
        /// Repository URL without credentials.
        url: String,
        /// Full commit id.
        commit: String,
        /// The directory within the repository that has the project.
        subdirectory: Option<String>,
    },
}

/// One file on an index or at a URL. URLs never contain credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// For example `numpy-2.3.1-cp313-cp313-manylinux_2_27_x86_64.whl`.
    pub filename: String,
    /// Absolute URL (`https`, `http` or `file`), without credentials and without a hash fragment.
    pub url: String,
    /// `None` when the index states none: the caller computes it after the download and pins it.
    pub sha256: Option<Digest>,
    /// Bytes, if the index states it.
    pub size: Option<u64>,
    /// RFC 3339 in UTC with milliseconds, for example `2025-06-21T12:28:33.469Z`, if the index states it (PEP 700).
    pub upload_time: Option<String>,
    /// The index it was found on, without credentials; `None` for a direct URL or path.
    pub index: Option<String>,
}

/// What `pyproject.toml` says about the project itself (PEP 621, PEP 517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectInfo {
    /// The absolute directory of `pyproject.toml`.
    pub directory: PathBuf,
    /// Normalised name.
    pub name: String,
    /// Static version, if there is one.
    pub version: Option<String>,
    /// `requires-python` as written.
    pub requires_python: Option<String>,
    /// Fields that the build backend fills in.
    pub dynamic: BTreeSet<String>,
    /// The `[build-system]` table, if there is one.
    pub build_system: Option<BuildSystem>,
    /// True when it gets built and installed: `[tool.uv] package`, by default whether there is a `[build-system]`.
    pub is_package: bool,
    /// `[project.scripts]`: command to object reference.
    pub scripts: BTreeMap<String, String>,
    /// `[project.gui-scripts]`.
    pub gui_scripts: BTreeMap<String, String>,
    /// `[project.entry-points]`: group, then name to object reference.
    pub entry_points: BTreeMap<String, BTreeMap<String, String>>,
    /// The extras it offers, normalised.
    pub extras: BTreeSet<String>,
    /// The dependency groups it has (PEP 735), normalised.
    pub groups: BTreeSet<String>,
}

/// The `[build-system]` table (PEP 517, PEP 518).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSystem {
    /// Requirements of the backend, as written.
    pub requires: Vec<String>,
    /// The backend's object reference; `None` means setuptools' legacy backend.
    pub backend: Option<String>,
    /// Directories, relative to the project, that are put in front of the backend's import path.
    pub backend_path: Vec<String>,
}
