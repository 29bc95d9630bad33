//! Reads what `pyproject.toml` says about the project itself, without building it.
//!
//! Read [`read_project`] first. Dependencies are left to the resolver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use uv_normalize::{ExtraName, GroupName, PackageName};
use uv_pep440::{Version, VersionSpecifiers};

use crate::MAX_NESTING;
use crate::error::{Cause, ResolveError};
use crate::model::{BuildSystem, ProjectInfo};
use crate::nesting::toml_too_deep;

/// The largest `pyproject.toml`, requirements file or script that is read, in bytes.
pub(crate) const MAX_INPUT: u64 = 16 << 20;

/// The tables of `pyproject.toml` that this crate reads itself.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Document {
    project: Option<ProjectTable>,
    build_system: Option<BuildSystemTable>,
    dependency_groups: Option<BTreeMap<String, toml::Value>>,
    tool: Option<Tool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProjectTable {
    name: String,
    version: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    dynamic: BTreeSet<String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    gui_scripts: BTreeMap<String, String>,
    #[serde(default)]
    entry_points: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BuildSystemTable {
    #[serde(default)]
    requires: Vec<String>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

#[derive(Deserialize)]
struct Tool {
    uv: Option<ToolUv>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ToolUv {
    package: Option<bool>,
    default_groups: Option<DefaultGroups>,
    dev_dependencies: Option<toml::Value>,
    workspace: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DefaultGroups {
    All(AllGroups),
    Some(BTreeSet<String>),
}

#[derive(Deserialize)]
enum AllGroups {
    #[serde(rename = "all")]
    All,
}

/// `[tool.uv] default-groups`, read.
pub(crate) enum Defaults {
    /// `"all"`.
    All,
    /// These groups; those that do not exist count only if they were written down.
    Some {
        names: BTreeSet<String>,
        written: bool,
    },
}

impl Document {
    /// The default groups (uv's documentation, "Default groups").
    pub(crate) fn default_groups(&self) -> Defaults {
        let written = self
            .tool
            .as_ref()
            .and_then(|tool| tool.uv.as_ref())
            .and_then(|uv| uv.default_groups.as_ref());
        match written {
            Some(DefaultGroups::All(AllGroups::All)) => Defaults::All,
            Some(DefaultGroups::Some(names)) => Defaults::Some {
                names: names.clone(),
                written: true,
            },
            None => Defaults::Some {
                names: BTreeSet::from(["dev".to_owned()]),
                written: false,
            },
        }
    }

    /// Whether it is the root of a workspace.
    pub(crate) fn has_workspace(&self) -> bool {
        let uv = self.tool.as_ref().and_then(|tool| tool.uv.as_ref());
        uv.is_some_and(|uv| uv.workspace.is_some())
    }

    /// The groups that exist, normalised. `[tool.uv] dev-dependencies` is the group `dev`.
    pub(crate) fn groups(&self) -> BTreeSet<String> {
        let mut groups: BTreeSet<String> = self
            .dependency_groups
            .iter()
            .flat_map(BTreeMap::keys)
            .map(|name| GroupName::from_str(name).map_or_else(|_| name.clone(), |n| n.to_string()))
            .collect();
        let uv = self.tool.as_ref().and_then(|tool| tool.uv.as_ref());
        if uv.is_some_and(|uv| uv.dev_dependencies.is_some()) {
            groups.insert("dev".to_owned());
        }
        groups
    }
}

/// What `pyproject.toml` says about the project; `None` when it has no `[project]` table.
///
/// # Errors
/// [`ResolveError::UnsupportedInput`] when the file cannot be read, is no TOML (with line and column),
/// or names the project or its version wrongly; [`ResolveError::TooDeep`].
pub fn read_project(pyproject: &Path) -> Result<Option<ProjectInfo>, ResolveError> {
    let document = read_document(pyproject)?;
    info(pyproject, &document)
}

/// The `[build-system]` table of a `pyproject.toml`, which old projects have without a `[project]` table; `None` when
/// it has none (PEP 518).
///
/// # Errors
/// As [`read_project`].
pub fn read_build_system(pyproject: &Path) -> Result<Option<BuildSystem>, ResolveError> {
    Ok(build_system(&read_document(pyproject)?))
}

fn build_system(document: &Document) -> Option<BuildSystem> {
    let table = document.build_system.as_ref()?;
    Some(BuildSystem {
        requires: table.requires.clone(),
        backend: table.build_backend.clone(),
        backend_path: table.backend_path.clone(),
    })
}

/// Reads and checks the text of an input file.
pub(crate) fn read_text(path: &Path) -> Result<String, ResolveError> {
    let wrong = |cause| ResolveError::UnsupportedInput {
        input: path.display().to_string(),
        cause,
    };
    let length = fs_err::metadata(path)
        .map_err(|error| wrong(Cause::of(&error)))?
        .len();
    if length > MAX_INPUT {
        return Err(wrong(Cause::text(format!(
            "the file has {length} bytes, the limit `MAX_INPUT` is {MAX_INPUT}"
        ))));
    }
    fs_err::read_to_string(path).map_err(|error| wrong(Cause::of(&error)))
}

/// Reads the tables of `pyproject.toml`.
pub(crate) fn read_document(pyproject: &Path) -> Result<Document, ResolveError> {
    let text = read_text(pyproject)?;
    if toml_too_deep(&text) {
        return Err(ResolveError::TooDeep {
            input: pyproject.display().to_string(),
            limit: MAX_NESTING,
        });
    }
    toml::from_str(&text).map_err(|error| unusable(pyproject, &error))
}

/// The project of a document that was read from `pyproject`.
pub(crate) fn info(
    pyproject: &Path,
    document: &Document,
) -> Result<Option<ProjectInfo>, ResolveError> {
    let Some(project) = &document.project else {
        return Ok(None);
    };
    let name = PackageName::from_str(&project.name).map_err(|error| unusable(pyproject, &error))?;
    let version = project
        .version
        .as_deref()
        .map(Version::from_str)
        .transpose()
        .map_err(|error| unusable(pyproject, &error))?;
    if let Some(specifiers) = &project.requires_python {
        VersionSpecifiers::from_str(specifiers).map_err(|error| unusable(pyproject, &error))?;
    }
    let extras = project
        .optional_dependencies
        .keys()
        .map(|name| ExtraName::from_str(name).map(|name| name.to_string()))
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(pyproject, &error))?;
    let forced = document
        .tool
        .as_ref()
        .and_then(|tool| tool.uv.as_ref())
        .and_then(|uv| uv.package);
    let absolute = std::path::absolute(pyproject).map_err(|error| unusable(pyproject, &error))?;
    Ok(Some(ProjectInfo {
        directory: absolute.parent().unwrap_or(Path::new("/")).to_owned(),
        name: name.to_string(),
        version: version.map(|version| version.to_string()),
        requires_python: project.requires_python.clone(),
        dynamic: project.dynamic.clone(),
        build_system: build_system(document),
        is_package: forced.unwrap_or(document.build_system.is_some()),
        scripts: project.scripts.clone(),
        gui_scripts: project.gui_scripts.clone(),
        entry_points: project.entry_points.clone(),
        extras,
        groups: document.groups(),
    }))
}

/// The error of a file that cannot be used.
pub(crate) fn unusable(path: &Path, error: &(dyn std::error::Error + 'static)) -> ResolveError {
    ResolveError::UnsupportedInput {
        input: path.display().to_string(),
        cause: Cause::of(error),
    }
}
