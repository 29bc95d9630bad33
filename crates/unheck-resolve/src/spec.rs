//! Reads the sources of a resolution into requirements, without the network.
//!
//! Read [`Spec::read`] first. What needs metadata (extras of a project, unnamed paths) is left to `resolve`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use uv_client::BaseClientBuilder;
use uv_configuration::{ExcludeDependency, Override, PackageOverride};
use uv_distribution_types::{
    Index, IndexUrl, NameRequirementSpecification, Requirement, UnresolvedRequirement,
    UnresolvedRequirementSpecification,
};
use uv_normalize::PackageName;
use uv_pep440::VersionSpecifiers;
use uv_pypi_types::VerbatimParsedUrl;
use uv_requirements::SourceTree;
use uv_requirements_txt::{RequirementsTxt, RequirementsTxtRequirement, SourceCache};
use uv_scripts::Pep723Metadata;
use uv_workspace::pyproject::{OverrideDependency, Sources};

use crate::MAX_NESTING;
use crate::error::{Cause, ResolveError};
use crate::inputs::{Inputs, Purpose, Source};
use crate::model::ProjectInfo;
use crate::nesting::{lines_too_deep, toml_too_deep};
use crate::project::{self, Defaults, unusable};
use crate::settings::Settings;

/// A project whose requirements have still to be asked for.
pub(crate) struct Project {
    /// Absolute path of `pyproject.toml`.
    pub(crate) pyproject: PathBuf,
    /// `None` for a file with dependency groups only.
    pub(crate) info: Option<ProjectInfo>,
    /// For the resolver; `None` without a `[project]` table.
    pub(crate) tree: Option<SourceTree>,
    /// The groups that are on, normalised.
    pub(crate) groups: BTreeSet<String>,
}

/// A PEP 723 script: its requirements are lowered by its `[tool.uv.sources]`.
pub(crate) struct Script {
    pub(crate) directory: PathBuf,
    pub(crate) requirements: Vec<uv_pep508::Requirement<VerbatimParsedUrl>>,
    pub(crate) sources: BTreeMap<PackageName, Sources>,
    pub(crate) indexes: Vec<Index>,
}

/// What the sources say.
#[derive(Default)]
pub(crate) struct Spec {
    pub(crate) requirements: Vec<UnresolvedRequirementSpecification>,
    pub(crate) constraints: Vec<NameRequirementSpecification>,
    pub(crate) overrides: Vec<Override<Requirement>>,
    pub(crate) excludes: Vec<ExcludeDependency>,
    pub(crate) require_hashes: bool,
    pub(crate) projects: Vec<Project>,
    pub(crate) scripts: Vec<Script>,
    pub(crate) requires_python: Option<String>,
}

impl Spec {
    /// Reads every source of `inputs`; index options found on the way go into `settings`.
    pub(crate) async fn read(
        inputs: &Inputs,
        settings: &mut Settings,
    ) -> Result<Self, ResolveError> {
        let mut spec = Self::default();
        for source in &inputs.sources {
            match source {
                Source::Pyproject(path) => spec.read_pyproject(inputs, path)?,
                Source::Script(path) => spec.read_script(&inputs.root.join(path), settings)?,
                Source::Requirements(path) => {
                    let file = requirements_file(inputs, path, settings).await?;
                    spec.requirements.extend(requirements_of(&file));
                    spec.constraints.extend(
                        file.constraints
                            .into_iter()
                            .map(Requirement::from)
                            .map(Into::into),
                    );
                    spec.require_hashes |= file.require_hashes;
                }
                Source::Requirement(text) => {
                    spec.requirements
                        .push(requirement(text, &inputs.root)?.into());
                }
            }
        }
        spec.read_limits(inputs, settings).await?;
        spec.check_selection(inputs)?;
        Ok(spec)
    }

    /// Constraints and overrides: options, environment, then files of settings.
    async fn read_limits(
        &mut self,
        inputs: &Inputs,
        settings: &mut Settings,
    ) -> Result<(), ResolveError> {
        let files = |name: &str| -> Vec<Source> {
            let list = inputs.environment.get(name).unwrap_or_default();
            list.split_whitespace()
                .map(|path| Source::Requirements(path.into()))
                .collect()
        };
        let (constraint, overrides) = match inputs.purpose {
            Purpose::Install => (files("UV_CONSTRAINT"), files("UV_OVERRIDE")),
            Purpose::Build => (files("UV_BUILD_CONSTRAINT"), Vec::new()),
        };
        for source in inputs.constraints.iter().chain(&constraint) {
            for entry in limits(inputs, source, settings).await? {
                let UnresolvedRequirement::Named(requirement) = entry.requirement else {
                    return Err(unsupported(
                        &entry.requirement.to_string(),
                        "a constraint needs a name",
                    ));
                };
                self.constraints.push(NameRequirementSpecification {
                    requirement,
                    hashes: entry.hashes,
                });
            }
        }
        for source in inputs.overrides.iter().chain(&overrides) {
            for entry in limits(inputs, source, settings).await? {
                let UnresolvedRequirement::Named(requirement) = entry.requirement else {
                    return Err(unsupported(
                        &entry.requirement.to_string(),
                        "an override needs a name",
                    ));
                };
                self.overrides.push(Override::Requirement(requirement));
            }
        }
        self.constraints.extend(
            settings
                .constraint_requirements(inputs.purpose)
                .map(Into::into),
        );
        // Overrides and excludes of a project are none of its builds' business.
        if inputs.purpose == Purpose::Install {
            self.overrides
                .extend(settings.overrides.iter().cloned().map(uv_override));
            self.excludes.extend(settings.excludes.iter().cloned());
        }
        Ok(())
    }

    fn read_pyproject(&mut self, inputs: &Inputs, path: &Path) -> Result<(), ResolveError> {
        let pyproject = inputs.root.join(path);
        let document = project::read_document(&pyproject)?;
        let info = project::info(&pyproject, &document)?;
        let groups = selected_groups(inputs, &document)?;
        if let Some(info) = &info {
            self.requires_python.clone_from(&info.requires_python);
        }
        let tree = match &info {
            Some(_) if !inputs.groups.only => {
                let text = project::read_text(&pyproject)?;
                let table = uv_pypi_types::PyProjectToml::from_toml(&text, pyproject.display())
                    .map_err(|error| unusable(&pyproject, &error))?;
                Some(SourceTree::PyProjectToml(pyproject.clone(), table))
            }
            _ => None,
        };
        if info.is_none() && document.groups().is_empty() {
            return Err(unsupported(
                &pyproject.display().to_string(),
                "it has neither a `[project]` nor a `[dependency-groups]` table",
            ));
        }
        self.projects.push(Project {
            pyproject,
            info,
            tree,
            groups,
        });
        Ok(())
    }

    fn read_script(&mut self, path: &Path, settings: &mut Settings) -> Result<(), ResolveError> {
        let text = project::read_text(path)?;
        let comments: String = text
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .flat_map(|line| [line, "\n"])
            .collect();
        if toml_too_deep(&comments) && lines_too_deep(comments.as_bytes()) {
            return Err(too_deep(path));
        }
        let metadata = Pep723Metadata::parse(text.as_bytes())
            .map_err(|error| unusable(path, &error))?
            .ok_or_else(|| {
                unsupported(
                    &path.display().to_string(),
                    "it has no `# /// script` block (PEP 723)",
                )
            })?;
        self.requires_python = metadata.requires_python.as_ref().map(ToString::to_string);
        let mut sources = BTreeMap::new();
        let mut indexes = Vec::new();
        if let Some(uv) = metadata.tool.and_then(|tool| tool.uv) {
            self.constraints.extend(
                uv.constraint_dependencies
                    .into_iter()
                    .flatten()
                    .map(Requirement::from)
                    .map(Into::into),
            );
            self.excludes
                .extend(uv.exclude_dependencies.into_iter().flatten());
            for entry in uv.override_dependencies.into_iter().flatten() {
                self.overrides.push(script_override(entry));
            }
            sources = uv.sources.unwrap_or_default();
            indexes = uv.top_level.index.clone().unwrap_or_default();
            add_script_settings(uv.top_level, settings);
        }
        self.scripts.push(Script {
            directory: path.parent().unwrap_or(Path::new("/")).to_owned(),
            requirements: metadata.dependencies.unwrap_or_default(),
            sources,
            indexes,
        });
        Ok(())
    }

    /// Every extra asked for must exist in some project.
    fn check_selection(&self, inputs: &Inputs) -> Result<(), ResolveError> {
        let projects: Vec<&ProjectInfo> = self
            .projects
            .iter()
            .filter_map(|project| project.info.as_ref())
            .collect();
        // A dynamic list of extras is known only to the build backend.
        let open = |project: &&ProjectInfo| project.dynamic.contains("optional-dependencies");
        if projects.iter().any(open) {
            return Ok(());
        }
        let known: BTreeSet<&String> = projects.iter().flat_map(|p| &p.extras).collect();
        for name in &inputs.extras.names {
            let normal = extra_name(name)?;
            if !known.contains(&normal.to_string()) {
                return Err(unknown(
                    "extra",
                    name,
                    known.iter().map(|name| name.as_str()),
                ));
            }
        }
        Ok(())
    }

    /// Whether the target's Python is allowed.
    pub(crate) fn check_python(&self, target: &crate::Target) -> Result<(), ResolveError> {
        check_python(self.requires_python.as_deref(), target)
    }
}

/// Whether a `requires-python` allows the target's Python.
pub(crate) fn check_python(
    requires: Option<&str>,
    target: &crate::Target,
) -> Result<(), ResolveError> {
    let Some(requires) = requires else {
        return Ok(());
    };
    // It was parsed when it was read; an unreadable one allows everything.
    let allowed = VersionSpecifiers::from_str(requires)
        .map_or(true, |specifiers| specifiers.contains(&target.uv_python()));
    if allowed {
        return Ok(());
    }
    Err(ResolveError::RequiresPython {
        requires: requires.to_owned(),
        target: target.to_string(),
    })
}

/// The normalised form of an extra's name.
pub(crate) fn extra_name(name: &str) -> Result<uv_normalize::ExtraName, ResolveError> {
    uv_normalize::ExtraName::from_str(name).map_err(|error| ResolveError::UnsupportedInput {
        input: name.to_owned(),
        cause: Cause::of(&error),
    })
}

/// The groups that `inputs` turns on in a document.
pub(crate) fn selected_groups(
    inputs: &Inputs,
    document: &project::Document,
) -> Result<BTreeSet<String>, ResolveError> {
    let known = document.groups();
    let normal = |name: &String| -> Result<String, ResolveError> {
        let group = uv_normalize::GroupName::from_str(name).map_err(|error| {
            ResolveError::UnsupportedInput {
                input: name.clone(),
                cause: Cause::of(&error),
            }
        })?;
        let group = group.to_string();
        if known.contains(&group) {
            Ok(group)
        } else {
            Err(unknown(
                "dependency group",
                name,
                known.iter().map(String::as_str),
            ))
        }
    };
    let mut groups: BTreeSet<String> = inputs
        .groups
        .names
        .iter()
        .map(normal)
        .collect::<Result<_, _>>()?;
    if inputs.groups.defaults {
        match document.default_groups() {
            Defaults::All => groups.extend(known.iter().cloned()),
            Defaults::Some {
                names,
                written: true,
            } => {
                for name in &names {
                    groups.insert(normal(name)?);
                }
            }
            Defaults::Some { names, .. } => {
                groups.extend(names.into_iter().filter(|name| known.contains(name)));
            }
        }
    }
    if inputs.groups.all {
        groups.extend(known.iter().cloned());
    }
    for name in &inputs.groups.except {
        groups.remove(&normal(name)?);
    }
    Ok(groups)
}

/// Reads a requirements file, and what it includes, after a look at the nesting of both.
async fn requirements_file(
    inputs: &Inputs,
    path: &Path,
    settings: &mut Settings,
) -> Result<RequirementsTxt, ResolveError> {
    let path = inputs.root.join(path);
    check_includes(&path, &mut BTreeSet::new())?;
    let client: BaseClientBuilder<'_> = settings.client_builder();
    let mut file = RequirementsTxt::parse_with_cache(
        &path,
        &inputs.root,
        &client,
        &mut SourceCache::default(),
    )
    .await
    .map_err(|error| unusable(&path, &error))?;
    let indexes = std::mem::take(&mut file.extra_index_urls)
        .into_iter()
        .map(|url| Index::from_extra_index_url(IndexUrl::from(url)))
        .chain(
            file.index_url
                .take()
                .map(|url| Index::from_index_url(IndexUrl::from(url))),
        )
        .collect();
    let flat = std::mem::take(&mut file.find_links)
        .into_iter()
        .map(|url| Index::from_find_links(IndexUrl::from(url)))
        .collect();
    settings.add_indexes(indexes, flat, file.no_index);
    let options = std::mem::take(&mut settings.build_options);
    settings.build_options = options.combine(
        std::mem::take(&mut file.no_binary),
        std::mem::take(&mut file.only_binary),
    );
    Ok(file)
}

/// Looks at the nesting of a requirements file and of every local file that it includes.
fn check_includes(path: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<(), ResolveError> {
    if !seen.insert(path.to_owned()) {
        return Ok(());
    }
    if seen.len() > 1000 {
        return Err(unsupported(
            &path.display().to_string(),
            "it includes more than 1000 files",
        ));
    }
    let text = project::read_text(path)?;
    if lines_too_deep(text.as_bytes()) {
        return Err(too_deep(path));
    }
    for line in text.lines() {
        let option = ["--requirement", "--constraint", "-r", "-c"]
            .iter()
            .find_map(|option| line.trim_start().strip_prefix(option));
        let Some(name) = option.map(|rest| rest.trim_start_matches(['=', ' ', '\t']).trim_end())
        else {
            continue;
        };
        let included = path.parent().unwrap_or(Path::new("/")).join(name);
        if included.is_file() {
            check_includes(&included, seen)?;
        }
    }
    Ok(())
}

fn requirements_of(
    file: &RequirementsTxt,
) -> impl Iterator<Item = UnresolvedRequirementSpecification> {
    file.requirements
        .iter()
        .chain(&file.editables)
        .cloned()
        .map(UnresolvedRequirementSpecification::from)
}

/// The entries of one source of constraints or overrides.
async fn limits(
    inputs: &Inputs,
    source: &Source,
    settings: &mut Settings,
) -> Result<Vec<UnresolvedRequirementSpecification>, ResolveError> {
    match source {
        Source::Requirement(text) => Ok(vec![requirement(text, &inputs.root)?.into()]),
        Source::Requirements(path) => {
            let file = requirements_file(inputs, path, settings).await?;
            let mut entries: Vec<_> = requirements_of(&file).collect();
            entries.extend(
                file.constraints
                    .into_iter()
                    .map(Requirement::from)
                    .map(Into::into),
            );
            Ok(entries)
        }
        Source::Pyproject(path) | Source::Script(path) => Err(unsupported(
            &path.display().to_string(),
            "constraints and overrides are requirements files or requirements",
        )),
    }
}

/// Parses one requirement.
fn requirement(text: &str, root: &Path) -> Result<RequirementsTxtRequirement, ResolveError> {
    if lines_too_deep(text.as_bytes()) {
        return Err(ResolveError::TooDeep {
            input: text.chars().take(60).collect(),
            limit: MAX_NESTING,
        });
    }
    RequirementsTxtRequirement::parse(text, root, false).map_err(|error| {
        ResolveError::UnsupportedInput {
            input: crate::cause::mask(text),
            cause: Cause::of(&error),
        }
    })
}

/// Index and build settings of a script's `[tool.uv]`.
fn add_script_settings(options: uv_settings::ResolverInstallerSchema, settings: &mut Settings) {
    let options = uv_settings::ResolverOptions::from(options);
    let found = options.indexes;
    let indexes = found
        .index
        .into_iter()
        .flatten()
        .chain(found.extra_index_url.into_iter().flatten().map(Index::from))
        .chain(found.index_url.map(Index::from))
        .collect();
    let flat = found
        .find_links
        .into_iter()
        .flatten()
        .map(Index::from)
        .collect();
    settings.add_indexes(indexes, flat, found.no_index.unwrap_or(false));
    let build_options = std::mem::take(&mut settings.build_options);
    settings.build_options = build_options.combine(
        uv_configuration::NoBinary::from_args(
            options.no_binary,
            options.no_binary_package.unwrap_or_default(),
        ),
        uv_configuration::NoBuild::from_args(
            options.no_build,
            options.no_build_package.unwrap_or_default(),
        ),
    );
    if settings.exclude_newer.global.is_none() {
        settings.exclude_newer.global = options
            .exclude_newer
            .and_then(uv_resolver::ExcludeNewerOverride::into_value);
    }
}

pub(crate) fn uv_override(entry: OverrideDependency) -> Override<Requirement> {
    match entry {
        OverrideDependency::Requirement(requirement) => {
            Override::Requirement(Requirement::from(requirement))
        }
        OverrideDependency::Package(package) => Override::Package(PackageOverride {
            package: package.package,
            dependencies: package
                .dependencies
                .into_iter()
                .map(Requirement::from)
                .collect(),
        }),
    }
}

fn script_override(entry: uv_scripts::OverrideDependency) -> Override<Requirement> {
    match entry {
        uv_scripts::OverrideDependency::Requirement(requirement) => {
            Override::Requirement(Requirement::from(requirement))
        }
        uv_scripts::OverrideDependency::Package(package) => Override::Package(PackageOverride {
            package: package.package,
            dependencies: package
                .dependencies
                .into_iter()
                .map(Requirement::from)
                .collect(),
        }),
    }
}

/// The error of an input that is refused for a reason of ours.
pub(crate) fn unsupported(input: &str, reason: &str) -> ResolveError {
    ResolveError::UnsupportedInput {
        input: crate::cause::mask(input),
        cause: Cause::text(reason),
    }
}

fn unknown<'n>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> ResolveError {
    let known: Vec<&str> = known.collect();
    ResolveError::Unknown {
        what,
        name: name.to_owned(),
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    }
}

fn too_deep(path: &Path) -> ResolveError {
    ResolveError::TooDeep {
        input: path.display().to_string(),
        limit: MAX_NESTING,
    }
}
