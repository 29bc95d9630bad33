//! Whether a lock still fits its inputs: one digest over everything that choices are made from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_base::Digest;

use super::{Kind, Project, ReadProjectError, read_text, read_toml, script_block};
use crate::lock::Provider;
use crate::platform::Platform;
use crate::sdist::BuildOptions;

/// What the user asked of a lock, flags and configuration put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockOptions {
    /// Platforms, sorted, at least one.
    pub platforms: Vec<Platform>,
    /// Debian suite.
    pub suite: String,
    /// Python version asked for, such as `3.13`.
    pub python: Option<String>,
    /// Who provides the interpreter.
    pub provider: Provider,
    /// Extras of the project.
    pub extras: Vec<String>,
    /// Dependency groups.
    pub groups: Vec<String>,
    /// Leave files out that were uploaded later (date or RFC 3339 time stamp).
    pub exclude_newer: Option<String>,
    /// Indexes named by flag or environment, without credentials.
    pub indexes: Vec<String>,
    /// Debian packages added by hand.
    pub debs: Vec<String>,
}

/// Digest over the options and those parts of the project's files that choices depend on.
///
/// # Errors
/// [`ReadProjectError`] when one of the files cannot be read.
pub fn inputs_digest(project: &Project, options: &LockOptions) -> Result<Digest, ReadProjectError> {
    #[derive(Serialize)]
    struct Inputs<'a> {
        version: u32,
        options: &'a LockOptions,
        standalone: Vec<(String, &'a str, Digest)>,
        prefix: &'a Option<PathBuf>,
        kind: Kind,
        texts: Vec<(String, Digest)>,
        pyproject: Option<toml::Table>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        builds: &'a BTreeMap<String, BuildOptions>,
    }
    let config = &project.config;
    let standalone = config
        .standalone
        .iter()
        .map(|(platform, archive)| (platform.to_string(), archive.url.as_str(), archive.sha256))
        .collect();
    let inputs = Inputs {
        version: 1,
        options,
        standalone,
        prefix: &config.prefix,
        kind: project.kind,
        texts: texts(project)?,
        pyproject: pyproject(project)?,
        builds: &config.builds,
    };
    let bytes = serde_json::to_vec(&inputs).expect("strings, digests and tables always serialise");
    Ok(Digest::of(&bytes))
}

/// The files that are inputs as a whole, by path relative to the project.
fn texts(project: &Project) -> Result<Vec<(String, Digest)>, ReadProjectError> {
    let mut texts = Vec::new();
    let mut add = |path: &Path, text: &str| {
        let name = path
            .strip_prefix(&project.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        texts.push((name, Digest::of(text.as_bytes())));
    };
    match project.kind {
        Kind::Pyproject => {}
        Kind::UvLock | Kind::Pylock => add(&project.file, &read_text(&project.file)?),
        Kind::Script => {
            let block = script_block(&read_text(&project.file)?).unwrap_or_default();
            add(&project.file, block.trim_start_matches('\n'));
        }
        Kind::Requirements => {
            let mut queue = vec![project.file.clone()];
            let mut seen = std::collections::BTreeSet::new();
            while let Some(path) = queue.pop() {
                // Bounded: each file once, and no more files than a project has.
                if !seen.insert(path.clone()) || seen.len() > 1_000 {
                    continue;
                }
                let Ok(text) = read_text(&path) else { continue };
                add(&path, &text);
                let directory = path.parent().unwrap_or(Path::new("."));
                queue.extend(included(&text).map(|name| directory.join(name)));
            }
        }
    }
    let uv = project.root.join("uv.toml");
    if uv.is_file() {
        add(&uv, &read_text(&uv)?);
    }
    texts.sort();
    Ok(texts)
}

/// Names after `-r` and `-c` in a requirements file.
fn included(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        ["--requirement", "--constraint", "-r", "-c"]
            .into_iter()
            .find_map(|flag| {
                let rest = line
                    .strip_prefix(flag)?
                    .trim_start_matches([' ', '\t', '=']);
                (!rest.is_empty() && !rest.contains("://")).then_some(rest)
            })
    })
}

/// The tables of `pyproject.toml` that requirements come from.
fn pyproject(project: &Project) -> Result<Option<toml::Table>, ReadProjectError> {
    let path = project.root.join("pyproject.toml");
    if !path.is_file() {
        return Ok(None);
    }
    let (mut document, _): (toml::Table, _) = read_toml(&path)?;
    let mut relevant = toml::Table::new();
    for key in ["build-system", "dependency-groups"] {
        relevant.extend(document.remove_entry(key));
    }
    if let Some(toml::Value::Table(table)) = document.get_mut("project") {
        for key in [
            "name",
            "dependencies",
            "optional-dependencies",
            "requires-python",
            "dynamic",
        ] {
            relevant.extend(table.remove_entry(key));
        }
    }
    if let Some(toml::Value::Table(tool)) = document.get_mut("tool") {
        relevant.extend(tool.remove_entry("uv"));
    }
    Ok(Some(relevant))
}
