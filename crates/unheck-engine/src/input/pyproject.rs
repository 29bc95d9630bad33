//! The tables of `pyproject.toml` that unheck reads itself (PEP 518, 621).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{Config, Kind, Project, ReadProjectError, read_toml};

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Pyproject {
    project: Option<Table>,
    build_system: Option<toml::Table>,
    #[serde(default)]
    tool: Tool,
}

/// `[tool]`, of which only one table is ours.
#[derive(Deserialize, Default)]
pub(super) struct Tool {
    /// `[tool.unheck]`.
    pub(super) unheck: Option<Config>,
    /// `[tool.uv]`, of which one key matters here; the resolver reads the others.
    #[serde(default)]
    uv: Uv,
}

#[derive(Deserialize, Default)]
struct Uv {
    /// Whether the project is installed: `false` also where it has a build backend.
    package: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    name: String,
    version: Option<String>,
    description: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
}

/// Whether the file describes a project; one that only configures tools does not.
pub(super) fn has_project_table(path: &Path) -> Result<bool, ReadProjectError> {
    let (document, _) = read_toml::<toml::Table>(path)?;
    Ok(document.contains_key("project"))
}

/// Takes what `pyproject.toml` beside the project's file says, if there is one.
pub(super) fn merge(project: &mut Project) -> Result<(), ReadProjectError> {
    let path = match project.kind {
        Kind::Pyproject => project.file.clone(),
        _ => project.root.join("pyproject.toml"),
    };
    if !path.is_file() {
        return Ok(());
    }
    let (document, _): (Pyproject, _) = read_toml(&path)?;
    project.config = document.tool.unheck.unwrap_or_default();
    let Some(table) = document.project else {
        if project.kind == Kind::Pyproject {
            return Err(ReadProjectError::Nothing {
                path: project.root.clone(),
            });
        }
        return Ok(());
    };
    project.name = table.name;
    project.version = table.version;
    project.description = table.description;
    project.requires_python = table.requires_python;
    project.scripts = table.scripts;
    project.build_system = document
        .tool
        .uv
        .package
        .unwrap_or(document.build_system.is_some());
    Ok(())
}
