//! Reads locks that other tools made. Read [`read_lock`] first.
//!
//! `uv.lock` goes through uv's own reader and its own check of staleness, without resolving anything;
//! PEP 751 files go to `pylock_read`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use uv_configuration::{BuildOptions, DependencyGroups, ExtrasSpecification, InstallOptions};
use uv_distribution_types::Requirement;
use uv_errors::Hint;
use uv_normalize::{DefaultExtras, DefaultGroups, ExtraName, GroupName, PackageName};
use uv_pypi_types::ResolverMarkerEnvironment;
use uv_resolver::{InMemoryIndex, Installable, Lock, SatisfiesResult};
use uv_types::{BuildContext, HashStrategy};
use uv_workspace::{DiscoveryOptions, VirtualProject};

use crate::convert::Converter;
use crate::error::{Cause, LockError, ResolveError};
use crate::inputs::{Event, Inputs, ResolveOptions, Source};
use crate::model::{Artifact, File, ProjectInfo, Resolution};
use crate::nesting::toml_too_deep;
use crate::pylock_read::{self, unreadable};
use crate::resolve::{Session, on_own_thread};
use crate::{MAX_NESTING, Target, project, spec};

/// The largest lock that is read, in bytes.
const MAX_LOCK: u64 = 64 << 20;

/// Reads `uv.lock` or a `pylock*.toml` (PEP 751) for one target: what it pins, with its hashes.
///
/// No index is asked. A `uv.lock` is compared with the project (the [`Source::Pyproject`] of `inputs`, by
/// default the `pyproject.toml` beside it) as `uv lock --check` does before it resolves.
///
/// # Errors
/// See [`LockError`].
pub async fn read_lock(
    path: &Path,
    inputs: &Inputs,
    target: &Target,
    options: &ResolveOptions,
) -> Result<Resolution, LockError> {
    let path = inputs.root.join(path);
    let text = read_text(&path)?;
    let project = project_of(&path, inputs)?;
    if path.file_name().is_some_and(|name| name == "uv.lock") {
        let (inputs, target, options) = (inputs.clone(), target.clone(), options.clone());
        return on_own_thread(move |failures| async move {
            let mut inputs = inputs;
            if !inputs
                .sources
                .iter()
                .any(|source| matches!(source, Source::Pyproject(_)))
            {
                inputs
                    .sources
                    .insert(0, Source::Pyproject(project.pyproject.clone()));
            }
            // Only the project matters here: other sources are not in its lock.
            inputs
                .sources
                .retain(|source| matches!(source, Source::Pyproject(_)));
            let session = Session::open(&inputs, &target, &options, failures)
                .await
                .map_err(Box::new)?;
            let reader = UvLock {
                path: &path,
                project,
                inputs: &inputs,
                target: &target,
                options: &options,
                session,
            };
            Box::pin(reader.read(&text)).await
        })
        .await;
    }
    let mut resolution = pylock_read::read(&path, &text, inputs, target)?;
    resolution.project = project.info;
    check_builds(&path, &resolution, options)?;
    Ok(resolution)
}

/// The project that a lock belongs to.
struct Project {
    pyproject: PathBuf,
    info: Option<ProjectInfo>,
}

fn project_of(lock: &Path, inputs: &Inputs) -> Result<Project, LockError> {
    let named = inputs.sources.iter().find_map(|source| match source {
        Source::Pyproject(path) => Some(inputs.root.join(path)),
        _ => None,
    });
    let beside = lock
        .parent()
        .unwrap_or(Path::new("/"))
        .join("pyproject.toml");
    let pyproject = named.unwrap_or(beside);
    let info = match pyproject.is_file() {
        true => project::read_project(&pyproject).map_err(Box::new)?,
        false => None,
    };
    Ok(Project { pyproject, info })
}

fn read_text(path: &Path) -> Result<String, LockError> {
    let length = fs_err::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    if length > MAX_LOCK {
        return Err(LockError::Unreadable {
            path: path.to_owned(),
            cause: Cause::text(format!(
                "it has {length} bytes, the limit `MAX_LOCK` is {MAX_LOCK}"
            )),
        });
    }
    let text = fs_err::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    if toml_too_deep(&text) {
        return Err(LockError::from(Box::new(ResolveError::TooDeep {
            input: path.display().to_string(),
            limit: MAX_NESTING,
        })));
    }
    Ok(text)
}

/// A lock that needs a build where none is possible is refused here, with the reason.
fn check_builds(
    path: &Path,
    resolution: &Resolution,
    options: &ResolveOptions,
) -> Result<(), LockError> {
    for package in &resolution.packages {
        let file = match &package.artifact {
            Artifact::Wheel(file) | Artifact::Sdist(file) => file,
            Artifact::Archive { file, .. } => file,
            Artifact::Directory { .. } | Artifact::Git { .. } => continue,
        };
        if file.sha256.is_none() {
            return Err(LockError::NoHash {
                path: path.to_owned(),
                file: file.filename.clone(),
            });
        }
        if options.builder.is_none() && matches!(package.artifact, Artifact::Sdist(_)) {
            return Err(LockError::NoWheel {
                path: path.to_owned(),
                distribution: pin(&package.name, package.version.as_deref()),
                target: resolution.target.to_string(),
                tags: tags_of(&package.all_wheels),
                hints: vec![format!(
                    "`{}` has a source distribution: allow it to be compiled",
                    package.name
                )],
            });
        }
    }
    Ok(())
}

/// Name and version in a message.
pub(crate) fn pin(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}

fn tags_of(wheels: &[File]) -> Vec<String> {
    let tags: BTreeSet<String> = wheels
        .iter()
        .filter_map(|file| uv_distribution_filename::WheelFilename::from_str(&file.filename).ok())
        .flat_map(|wheel| crate::explain::tags_of(&wheel))
        .collect();
    tags.into_iter().collect()
}

/// The lock with its roots, as the resolver's library wants to see it.
struct Roots<'l> {
    directory: &'l Path,
    lock: &'l Lock,
    names: Vec<PackageName>,
    project: Option<PackageName>,
}

impl<'l> Installable<'l> for Roots<'l> {
    fn install_path(&self) -> &'l Path {
        self.directory
    }

    fn lock(&self) -> &'l Lock {
        self.lock
    }

    fn roots(&self) -> impl Iterator<Item = &PackageName> {
        self.names.iter()
    }

    fn project_name(&self) -> Option<&PackageName> {
        self.project.as_ref()
    }
}

struct UvLock<'l> {
    path: &'l Path,
    project: Project,
    inputs: &'l Inputs,
    target: &'l Target,
    options: &'l ResolveOptions,
    session: Session,
}

impl UvLock<'_> {
    async fn read(mut self, text: &str) -> Result<Resolution, LockError> {
        let lock = Lock::from_toml(text).map_err(|error| unreadable(self.path, &error))?;
        if !lock.requires_python().contains(&self.target.uv_python()) {
            let requires = lock.requires_python();
            let text = format!(
                "it is for Python `{requires}`, the target is {}",
                self.target
            );
            return Err(self.not_covered(&text));
        }
        let requires = self
            .project
            .info
            .as_ref()
            .and_then(|info| info.requires_python.as_deref());
        spec::check_python(requires, self.target).map_err(Box::new)?;
        self.check_fresh(&lock).await?;
        let roots = self.roots(&lock)?;
        let graph = self.graph(&roots)?;
        let (tags, hashes) = (self.target.uv_tags(), HashStrategy::None);
        let converter = Converter {
            tags: &tags,
            hashes: &hashes,
            git: self.session.context.git(),
            roots: roots.names.iter().map(ToString::to_string).collect(),
        };
        let packages = converter.packages(&graph).map_err(Box::new)?;
        let info = self.project.info.take();
        let resolution = Resolution {
            target: self.target.clone(),
            requires_python: info.as_ref().and_then(|info| info.requires_python.clone()),
            packages,
            project: info,
        };
        check_builds(self.path, &resolution, self.options)?;
        Ok(resolution)
    }

    /// The project, or every member of a workspace whose root is no project.
    fn roots<'l>(&'l self, lock: &'l Lock) -> Result<Roots<'l>, LockError> {
        let project = match &self.project.info {
            Some(info) => {
                Some(PackageName::from_str(&info.name).map_err(|e| unreadable(self.path, &e))?)
            }
            None => None,
        };
        let names = match &project {
            Some(name) => vec![name.clone()],
            None => lock.members().iter().cloned().collect(),
        };
        for name in &names {
            if !matches!(lock.find_by_name(name), Ok(Some(_))) {
                return Err(self.stale(vec![format!("the project `{name}` is not in it")]));
            }
        }
        Ok(Roots {
            directory: self.path.parent().unwrap_or(Path::new("/")),
            lock,
            names,
            project,
        })
    }

    fn graph(&self, roots: &Roots<'_>) -> Result<uv_distribution_types::Resolution, LockError> {
        let document = project::read_document(&self.project.pyproject).map_err(Box::new)?;
        let groups = spec::selected_groups(self.inputs, &document).map_err(Box::new)?;
        let groups: Vec<GroupName> = groups
            .iter()
            .filter_map(|name| GroupName::from_str(name).ok())
            .collect();
        let groups = match self.inputs.groups.only {
            true => DependencyGroups::from_args(None, Vec::new(), Vec::new(), true, groups, false),
            false => DependencyGroups::from_args(None, groups, Vec::new(), true, Vec::new(), false),
        };
        let names = self.inputs.extras.names.iter();
        let extras: Vec<ExtraName> = names
            .filter_map(|name| ExtraName::from_str(name).ok())
            .collect();
        let extras = match self.inputs.extras.all {
            true => ExtrasSpecification::from_all_extras(),
            false => ExtrasSpecification::from_extra(extras),
        };
        // Without a builder it is our own error that says which wheels there are.
        let build_options = match self.options.builder {
            Some(_) => self.session.context.build_options().clone(),
            None => BuildOptions::default(),
        };
        roots
            .to_resolution(
                &ResolverMarkerEnvironment::from(self.target.uv_markers()),
                &self.target.uv_tags(),
                &extras.with_defaults(DefaultExtras::default()),
                &groups.with_defaults(DefaultGroups::default()),
                &build_options,
                &InstallOptions::default(),
            )
            .map_err(|error| {
                let mut cause = Cause::of(&error);
                for hint in error.hints() {
                    cause.0.push_str("\nhint: ");
                    cause.0.push_str(&crate::cause::clean(&hint));
                }
                LockError::NotCovered {
                    path: self.path.to_owned(),
                    cause,
                }
            })
    }

    /// Compares the lock with the workspace, as `uv lock --check` does before it resolves.
    async fn check_fresh(&self, lock: &Lock) -> Result<(), LockError> {
        let session = &self.session;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let start = self.project.pyproject.parent().unwrap_or(directory);
        let (cache, workspaces) = (session.context.cache(), session.context.workspace_cache());
        let found =
            VirtualProject::discover(start, &DiscoveryOptions::default(), cache, workspaces)
                .await
                .map_err(|error| self.unusable_project(&error))?;
        let workspace = found.workspace();
        let mut members: Vec<PackageName> = workspace.packages().keys().cloned().collect();
        members.sort();
        if members.len() == 1 && !workspace.is_non_project() {
            members.clear();
        }
        let plain = |list: Vec<uv_pep508::Requirement<uv_pypi_types::VerbatimParsedUrl>>| {
            list.into_iter().map(Requirement::from).collect::<Vec<_>>()
        };
        let groups = workspace
            .workspace_dependency_groups()
            .map_err(|error| self.unusable_project(&error))?
            .into_iter()
            .map(|(name, group)| (name, plain(group.requirements)))
            .collect();
        let overrides: Vec<_> = workspace
            .overrides()
            .into_iter()
            .map(spec::uv_override)
            .collect();
        let result = lock
            .satisfies(
                directory,
                workspace.packages(),
                &members,
                workspace.required_members(),
                &plain(workspace.requirements()),
                &plain(workspace.constraints()),
                &overrides,
                &workspace.exclude_dependencies(),
                &plain(workspace.build_constraints()),
                &groups,
                session.context.dependency_metadata(),
                None,
                &self.target.uv_tags(),
                &self.target.uv_markers(),
                session.context.build_options(),
                &HashStrategy::None,
                &InMemoryIndex::default(),
                &session.database(),
                false,
            )
            .await;
        match result {
            Ok(SatisfiesResult::Satisfied) => Ok(()),
            Ok(other) => Err(self.stale(differences(&other))),
            Err(error) => {
                // A member with dynamic metadata that cannot be built here: nothing says that the lock is stale.
                if let Some(reporter) = &self.options.reporter {
                    let cause = Cause::of(&error);
                    reporter.event(Event::Warning {
                        message: &format!("cannot tell whether the lock is stale: {cause}"),
                    });
                }
                Ok(())
            }
        }
    }

    fn unusable_project(&self, error: &(dyn std::error::Error + 'static)) -> LockError {
        LockError::from(Box::new(project::unusable(&self.project.pyproject, error)))
    }

    fn stale(&self, differences: Vec<String>) -> LockError {
        LockError::StaleLock {
            path: self.path.to_owned(),
            differences,
        }
    }

    fn not_covered(&self, text: &str) -> LockError {
        LockError::NotCovered {
            path: self.path.to_owned(),
            cause: Cause::text(text),
        }
    }
}

/// What differs, one clause each.
fn differences(result: &SatisfiesResult<'_>) -> Vec<String> {
    use SatisfiesResult as R;
    match result {
        R::Satisfied => Vec::new(),
        R::MismatchedMembers(now, locked) => compare("the workspace member", now, locked),
        R::MismatchedRequirements(now, locked) => compare("the requirement", now, locked),
        R::MismatchedConstraints(now, locked) => compare("the constraint", now, locked),
        R::MismatchedBuildConstraints(now, locked) => compare("the build constraint", now, locked),
        R::MismatchedPackageRequirements(name, _, now, locked) => {
            compare(&format!("the requirement of `{name}`"), now, locked)
        }
        R::MismatchedPackageProvidesExtra(name, _, now, locked) => {
            let locked: BTreeSet<ExtraName> = locked.iter().map(|name| (*name).clone()).collect();
            compare(&format!("the extra of `{name}`"), now, &locked)
        }
        R::MismatchedDependencyGroups(now, locked) => compare_groups("the workspace", now, locked),
        R::MismatchedPackageDependencyGroups(name, _, now, locked) => {
            compare_groups(&format!("`{name}`"), now, locked)
        }
        R::MismatchedVirtual(name, _) => vec![format!("whether `{name}` gets built changed")],
        R::MismatchedEditable(name, _) => vec![format!("whether `{name}` is editable changed")],
        R::MismatchedDynamic(name, _) => {
            vec![format!(
                "whether the version of `{name}` is dynamic changed"
            )]
        }
        R::MismatchedVersion(name, locked, now) => {
            let now = now
                .as_ref()
                .map_or_else(|| "dynamic".to_owned(), ToString::to_string);
            vec![format!(
                "the version of `{name}` is {now}, locked is {locked}"
            )]
        }
        R::MissingRoot(name) => vec![format!("the project `{name}` is not in it")],
        R::MissingVersion(name) => vec![format!("`{name}` has no version in it")],
        R::MismatchedOverrides(..) => vec!["the overrides changed".to_owned()],
        R::MismatchedExcludes(..) => vec!["the excluded dependencies changed".to_owned()],
        R::MismatchedStaticMetadata(..) => vec!["`dependency-metadata` changed".to_owned()],
        R::MismatchedPackageDependencies(name, ..) => {
            vec![format!("the dependencies of `{name}` changed")]
        }
        R::MissingRemoteIndex(name, _, index) => {
            vec![format!(
                "`{name}` is from the index `{}`",
                crate::cause::mask(index.as_ref())
            )]
        }
        R::MissingLocalIndex(name, _, index) => {
            vec![format!("`{name}` is from the index `{}`", index.display())]
        }
    }
}

fn compare_groups(
    whose: &str,
    now: &std::collections::BTreeMap<GroupName, BTreeSet<Requirement>>,
    locked: &std::collections::BTreeMap<GroupName, BTreeSet<Requirement>>,
) -> Vec<String> {
    let none = BTreeSet::new();
    let names: BTreeSet<&GroupName> = now.keys().chain(locked.keys()).collect();
    names
        .into_iter()
        .flat_map(|name| {
            let what = format!("the requirement of group `{name}` of {whose}");
            let (now, locked) = (
                now.get(name).unwrap_or(&none),
                locked.get(name).unwrap_or(&none),
            );
            compare(&what, now, locked)
        })
        .collect()
}

fn compare<T: Ord + ToString>(what: &str, now: &BTreeSet<T>, locked: &BTreeSet<T>) -> Vec<String> {
    let mut clauses: Vec<String> = now
        .difference(locked)
        .map(|new| format!("{what} `{}` is new", crate::cause::clean(&new.to_string())))
        .chain(
            locked
                .difference(now)
                .map(|old| format!("{what} `{}` is gone", crate::cause::clean(&old.to_string()))),
        )
        .collect();
    clauses.sort();
    clauses
}
