//! Chooses the distributions for a target. Read [`resolve()`] first.
//!
//! The work runs on a thread of its own: the resolver's futures are large and bound to one thread, its
//! parsers are recursive, and a panic in it becomes an error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uv_cache::Cache;
use uv_client::{FlatIndexClient, RegistryClient, RegistryClientBuilder};
use uv_configuration::{
    Concurrency, Constraints, Excludes, ExtrasSpecification, HashCheckingMode, Overrides,
};
use uv_distribution::{DistributionDatabase, LoweredRequirement, SourcedDependencyGroups};
use uv_distribution_types::{
    HashGeneration, Index, Requirement, RequiresPython, UnresolvedRequirement,
};
use uv_pep508::MarkerEnvironment;
use uv_platform_tags::Tags;
use uv_pypi_types::{Conflicts, ResolverMarkerEnvironment};
use uv_requirements::{LookaheadResolver, NamedRequirementsResolver, SourceTreeResolver};
use uv_requirements_txt::{RequirementEntry, RequirementsTxtRequirement};
use uv_resolver::{
    Exclusions, FlatIndex, InMemoryIndex, Manifest, OptionsBuilder, Preferences, PythonRequirement,
    Resolver, ResolverEnvironment, ResolverOutput,
};
use uv_types::{BuildContext, EmptyInstalledPackages, HashStrategy};

use crate::Target;
use crate::context::{Failures, Surroundings};
use crate::convert::Converter;
use crate::error::{Cause, ResolveError};
use crate::explain;
use crate::inputs::{Event, Inputs, Purpose, Reporter, ResolveOptions, Source};
use crate::kept::Answers;
use crate::model::Resolution;
use crate::report;
use crate::settings::Settings;
use crate::spec::{self, Spec};

/// The stack of the resolver's thread, in bytes. Address space only: pages are used when touched.
const STACK: usize = 256 << 20;

/// Chooses the distributions that `inputs` ask for on `target`, and for each the file to install.
///
/// Metadata comes from the index (PEP 503, 691, 658) or from static metadata of source trees; other
/// source trees and sdists go to `options.builder`. Nothing else is downloaded.
///
/// # Errors
/// See [`ResolveError`]; [`ResolveError::fault`] says whose fault it is.
pub async fn resolve(
    inputs: &Inputs,
    target: &Target,
    options: &ResolveOptions,
) -> Result<Resolution, ResolveError> {
    let (inputs, target, options) = (inputs.clone(), target.clone(), options.clone());
    on_own_thread(move |failures| async move {
        let session = Session::open(&inputs, &target, &options, failures).await?;
        Box::pin(session.resolve(&inputs, &options)).await
    })
    .await
}

/// The limits on the versions of build requirements that files and environment set, as texts, sorted: what was built
/// under others may be another wheel.
///
/// # Errors
/// [`ResolveError`] when a setting or a file of constraints cannot be read.
pub fn build_constraints(inputs: &Inputs) -> Result<Vec<String>, ResolveError> {
    let settings = Settings::load(inputs, &workspace_root(inputs))?;
    let stated = settings.constraint_requirements(Purpose::Build);
    let mut texts: Vec<String> = stated.map(|one| one.to_string()).collect();
    let files = inputs.environment.get("UV_BUILD_CONSTRAINT");
    for path in files.unwrap_or_default().split_whitespace() {
        texts.push(crate::project::read_text(&inputs.root.join(path))?);
    }
    texts.sort();
    Ok(texts)
}

/// Runs a future on a new thread with a large stack.
pub(crate) async fn on_own_thread<T, E, F, Work>(make: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<ResolveError> + Send + 'static,
    F: FnOnce(Failures) -> Work + Send + 'static,
    Work: Future<Output = Result<T, E>>,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let failures = Failures::default();
    let noted = failures.clone();
    let thread = std::thread::Builder::new()
        .name("resolver".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(make(failures)),
                Err(error) => Err(E::from(broken(&error.to_string()))),
            };
            // The receiver is gone only when the caller gave up.
            let _ = sender.send(result);
        });
    if let Err(error) = thread {
        return Err(E::from(broken(&error.to_string())));
    }
    match receiver.await {
        Ok(result) => result,
        // The thread ended without an answer: it panicked.
        Err(_) => Err(E::from(match noted.take() {
            Some(failure) => ResolveError::Build {
                name: failure.name,
                cause: Cause::text(failure.log),
            },
            None => broken("the resolver's thread ended without an answer"),
        })),
    }
}

fn broken(text: &str) -> ResolveError {
    ResolveError::Internal {
        cause: Cause::text(text),
    }
}

/// A client, a cache and all settings, for one target.
pub(crate) struct Session {
    target: Target,
    tags: Tags,
    markers: MarkerEnvironment,
    pub(crate) settings: Settings,
    cache: Cache,
    client: RegistryClient,
    pub(crate) context: Surroundings,
    concurrency: Concurrency,
    spec: Spec,
    reporter: Option<Arc<dyn Reporter>>,
}

impl Session {
    /// Reads settings and sources, opens the cache and makes the client.
    pub(crate) async fn open(
        inputs: &Inputs,
        target: &Target,
        options: &ResolveOptions,
        failures: Failures,
    ) -> Result<Self, ResolveError> {
        let mut settings = Settings::load(inputs, &workspace_root(inputs))?;
        let spec = Spec::read(inputs, &mut settings).await?;
        let cache = open_cache(&options.cache).await?;
        let markers = target.uv_markers();
        let client = registry_client(&settings, &cache, &options.answers)?;
        let mut context =
            Surroundings::new(&settings, target, cache.clone(), options.builder.clone());
        context.failures = failures;
        Ok(Self {
            tags: target.uv_tags(),
            target: target.clone(),
            markers,
            settings,
            cache,
            client,
            context,
            concurrency: Concurrency::default(),
            spec,
            reporter: options.reporter.clone(),
        })
    }

    /// A database of distributions, as every step of the resolver wants its own.
    pub(crate) fn database(&self) -> DistributionDatabase<'_, Surroundings> {
        let permits = self.concurrency.downloads_semaphore.clone();
        let database = DistributionDatabase::new(&self.client, &self.context, permits);
        match &self.reporter {
            Some(reporter) => database.with_reporter(Arc::new(report::Adapter(reporter.clone()))),
            None => database,
        }
    }

    async fn resolve(
        mut self,
        inputs: &Inputs,
        options: &ResolveOptions,
    ) -> Result<Resolution, ResolveError> {
        self.spec.check_python(&self.target)?;
        let hashes = self.required_hashes()?;
        let index = InMemoryIndex::default();
        let requirements = self.requirements(inputs, &hashes, &index).await?;
        let output = self
            .choose(requirements, options, (&hashes, &index))
            .await?;
        let graph = uv_distribution_types::Resolution::from(output);
        self.warn(&graph);
        let converter = Converter {
            tags: &self.tags,
            hashes: &hashes,
            git: self.context.git(),
            roots: self.roots(),
        };
        let packages = converter.packages(&graph)?;
        self.tell(Event::Resolved {
            count: packages.len(),
        });
        Ok(Resolution {
            target: self.target.clone(),
            requires_python: self.spec.requires_python.clone(),
            packages,
            project: self
                .spec
                .projects
                .iter_mut()
                .find_map(|project| project.info.take()),
        })
    }

    /// The hashes that requirements files ask for. One hash turns the requirement of hashes on for all, as in pip and uv.
    fn required_hashes(&self) -> Result<HashStrategy, ResolveError> {
        let required = self.spec.require_hashes
            || self
                .spec
                .requirements
                .iter()
                .any(|entry| !entry.hashes.is_empty());
        if !required {
            return Ok(HashStrategy::Generate(HashGeneration::Url));
        }
        let markers = ResolverMarkerEnvironment::from(self.markers.clone());
        HashStrategy::from_requirements(
            self.spec
                .requirements
                .iter()
                .map(|entry| (&entry.requirement, entry.hashes.as_slice())),
            self.spec
                .constraints
                .iter()
                .map(|entry| (&entry.requirement, entry.hashes.as_slice())),
            Some(&markers),
            HashCheckingMode::Require,
        )
        .map_err(|error| ResolveError::UnsupportedInput {
            input: "the required hashes".to_owned(),
            cause: Cause::of(&error),
        })
    }

    /// All direct requirements: of strings and files, groups, projects and scripts.
    async fn requirements(
        &mut self,
        inputs: &Inputs,
        hashes: &HashStrategy,
        index: &InMemoryIndex,
    ) -> Result<Vec<Requirement>, ResolveError> {
        let mut requirements = Vec::new();
        let mut unnamed = Vec::new();
        for entry in std::mem::take(&mut self.spec.requirements) {
            match entry.requirement {
                UnresolvedRequirement::Named(requirement) => requirements.push(requirement),
                UnresolvedRequirement::Unnamed(requirement) => unnamed.push(requirement),
            }
        }
        let named = NamedRequirementsResolver::new(hashes, index, self.database())
            .resolve(unnamed.into_iter())
            .await
            .map_err(|error| self.failed("a requirement without a name", &error))?;
        requirements.extend(named);
        let (groups, mut extras) = self.group_requirements().await?;
        requirements.extend(groups);
        requirements.extend(self.script_requirements().await?);
        for name in &inputs.extras.names {
            extras.push(spec::extra_name(name)?);
        }
        let extras = match inputs.extras.all {
            true => ExtrasSpecification::from_all_extras(),
            false => ExtrasSpecification::from_extra(extras),
        };
        let trees = self
            .spec
            .projects
            .iter()
            .filter_map(|project| project.tree.as_ref());
        let trees = SourceTreeResolver::new(&extras, hashes, index, self.database())
            .resolve(trees)
            .await
            .map_err(|error| self.failed_any("the project", &error))?;
        for tree in trees {
            requirements.extend(tree.into_requirements());
        }
        Ok(requirements)
    }

    /// The requirements of the groups that are on. A group that names the project itself turns extras of it on.
    async fn group_requirements(
        &self,
    ) -> Result<(Vec<Requirement>, Vec<uv_normalize::ExtraName>), ResolveError> {
        let (mut requirements, mut extras) = (Vec::new(), Vec::new());
        for project in self
            .spec
            .projects
            .iter()
            .filter(|project| !project.groups.is_empty())
        {
            let found = SourcedDependencyGroups::from_virtual_project(
                &project.pyproject,
                None,
                self.context.locations(),
                self.settings.no_sources.clone(),
                &self.cache,
                self.context.workspace_cache(),
                self.client.credentials_cache(),
            )
            .await
            .map_err(|error| crate::project::unusable(&project.pyproject, &error))?;
            let on = |name: &str| project.groups.contains(name);
            for (_, list) in found
                .dependency_groups
                .iter()
                .filter(|(name, _)| on(name.as_ref()))
            {
                for requirement in list {
                    let own = project.info.as_ref().map(|info| info.name.as_str());
                    if own == Some(requirement.name.as_ref()) {
                        extras.extend(requirement.extras.iter().cloned());
                    } else {
                        requirements.push(requirement.clone());
                    }
                }
            }
        }
        Ok((requirements, extras))
    }

    /// The requirements of scripts, with their `[tool.uv.sources]` applied.
    async fn script_requirements(&mut self) -> Result<Vec<Requirement>, ResolveError> {
        let mut requirements = Vec::new();
        for script in std::mem::take(&mut self.spec.scripts) {
            for requirement in script.requirements {
                let lowered = LoweredRequirement::from_non_workspace_requirement(
                    requirement,
                    &script.directory,
                    &script.sources,
                    &script.indexes,
                    self.context.locations(),
                    &self.cache,
                    self.context.workspace_cache(),
                    self.client.credentials_cache(),
                )
                .await;
                for requirement in lowered {
                    let requirement = requirement
                        .map_err(|error| crate::project::unusable(&script.directory, &error))?;
                    requirements.push(requirement.into_inner());
                }
            }
        }
        Ok(requirements)
    }

    /// Runs the resolver.
    async fn choose(
        &self,
        requirements: Vec<Requirement>,
        options: &ResolveOptions,
        (hashes, index): (&HashStrategy, &InMemoryIndex),
    ) -> Result<ResolverOutput, ResolveError> {
        let environment =
            ResolverEnvironment::specific(ResolverMarkerEnvironment::from(self.markers.clone()));
        let constraints = Constraints::from_requirements(
            self.spec
                .constraints
                .iter()
                .map(|entry| entry.requirement.clone()),
        );
        let overrides = Overrides::from_entries(self.spec.overrides.clone())
            .map_err(|error| spec::unsupported("the overrides", &error.to_string()))?;
        let excludes = Excludes::from_entries(self.spec.excludes.iter().cloned());
        let (lookaheads, hashes) = LookaheadResolver::new(
            &requirements,
            &constraints,
            &overrides,
            &excludes,
            hashes,
            index,
            self.database(),
        )
        .resolve(&environment)
        .await
        .map_err(|error| self.failed("a direct URL, path or git requirement", &error))?;
        let direct: Vec<Requirement> = requirements.clone();
        let manifest = Manifest::new(
            requirements,
            constraints,
            overrides,
            excludes,
            self.preferences(options, &environment)?,
            None,
            BTreeSet::new(),
            Exclusions::default(),
            lookaheads,
        );
        let python = PythonRequirement::from_marker_environment(
            &self.markers,
            RequiresPython::greater_than_equal_version(&self.target.uv_python()),
        );
        let resolver_options = OptionsBuilder::new()
            .resolution_mode(self.settings.resolution)
            .prerelease(self.settings.prerelease.clone())
            .exclude_newer(self.settings.exclude_newer.clone())
            .index_strategy(self.settings.index_strategy)
            .build_options(self.context.build_options().clone())
            .build();
        let flat = self.flat_index(&hashes).await?;
        let resolver = Resolver::new(
            manifest,
            resolver_options,
            &python,
            environment,
            &self.markers,
            Conflicts::empty(),
            Some(&self.tags),
            &flat,
            index,
            &hashes,
            &self.context,
            EmptyInstalledPackages,
            self.database(),
        )
        .map_err(|error| self.failed("the requirements", &error))?;
        let resolver = match &self.reporter {
            Some(reporter) => resolver.with_reporter(Arc::new(report::Adapter(reporter.clone()))),
            None => resolver,
        };
        match resolver.resolve().await {
            Ok(output) => Ok(output),
            Err(error) => Err(self.explain(error, &direct).await),
        }
    }

    /// The files of `find-links` places.
    async fn flat_index(&self, hashes: &HashStrategy) -> Result<FlatIndex, ResolveError> {
        let client = FlatIndexClient::new(
            self.client.cached_client(),
            self.client.connectivity(),
            &self.cache,
        );
        let places = self.context.locations().flat_indexes().map(Index::url);
        let entries = client
            .fetch_all(places)
            .await
            .map_err(|error| self.failed("`find-links`", &error))?;
        Ok(FlatIndex::from_entries(
            entries,
            Some(&self.tags),
            hashes,
            self.context.build_options(),
        ))
    }

    fn preferences(
        &self,
        options: &ResolveOptions,
        environment: &ResolverEnvironment,
    ) -> Result<Preferences, ResolveError> {
        let mut preferences = Vec::new();
        for pin in &options.preferences {
            let text = format!("{}=={}", pin.name, pin.version);
            let requirement = RequirementsTxtRequirement::parse(&text, "/", false)
                .map_err(|error| spec::unsupported(&text, &error.to_string()))?;
            let entry = RequirementEntry {
                requirement,
                hashes: Vec::new(),
            };
            let preference = uv_resolver::Preference::from_entry(entry)
                .map_err(|error| spec::unsupported(&text, &error.to_string()))?;
            preferences.extend(preference);
        }
        Ok(Preferences::from_iter(preferences, environment))
    }

    /// Makes our error out of the resolver's.
    async fn explain(
        &self,
        error: uv_resolver::ResolveError,
        direct: &[Requirement],
    ) -> ResolveError {
        let uv_resolver::ResolveError::NoSolution(conflict) = error else {
            return self.failed("the requirements", &error);
        };
        let may_build = self.context.build_options();
        let lookup = explain::Lookup {
            client: &self.client,
            capabilities: self.context.capabilities(),
            permits: &self.concurrency.downloads_semaphore,
            tags: &self.tags,
            build_options: may_build,
            target: &self.target,
        };
        lookup.explain(&conflict, direct).await
    }

    /// Sorts the error of a library into ours.
    fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> ResolveError {
        explain::sorted(what, Cause::of(error), self.context.failures.take())
    }

    fn failed_any(&self, what: &str, error: &anyhow::Error) -> ResolveError {
        explain::sorted(what, Cause::of_any(error), self.context.failures.take())
    }

    fn roots(&self) -> BTreeSet<String> {
        self.spec
            .projects
            .iter()
            .filter_map(|project| project.info.as_ref())
            .map(|info| info.name.clone())
            .collect()
    }

    fn warn(&self, graph: &uv_distribution_types::Resolution) {
        use uv_distribution_types::Diagnostic;
        for diagnostic in graph.diagnostics() {
            self.tell(Event::Warning {
                message: &crate::cause::clean(&diagnostic.message()),
            });
        }
    }

    fn tell(&self, event: Event<'_>) {
        if let Some(reporter) = &self.reporter {
            reporter.event(event);
        }
    }
}

/// Where configuration files are looked for: the root of the workspace that the first project is in.
pub(crate) fn workspace_root(inputs: &Inputs) -> PathBuf {
    let project = inputs.sources.iter().find_map(|source| match source {
        Source::Pyproject(path) => inputs.root.join(path).parent().map(Path::to_owned),
        _ => None,
    });
    let start = project.unwrap_or_else(|| inputs.root.clone());
    let is_root = |directory: &&Path| {
        // An unreadable file is reported where it is read for its own sake.
        let pyproject = directory.join("pyproject.toml");
        pyproject.is_file()
            && crate::project::read_document(&pyproject).is_ok_and(|found| found.has_workspace())
    };
    let workspace = start.ancestors().find(is_root).map(Path::to_owned);
    workspace.unwrap_or(start)
}

/// Opens and initialises the cache.
pub(crate) async fn open_cache(path: &Path) -> Result<Cache, ResolveError> {
    Cache::from_path(path)
        .init()
        .await
        .map_err(|error| ResolveError::Cache {
            path: path.to_owned(),
            cause: Cause::of(&error),
        })
}

/// The client for index pages and metadata; what is in `answers` is not asked again.
pub(crate) fn registry_client(
    settings: &Settings,
    cache: &Cache,
    answers: &Answers,
) -> Result<RegistryClient, ResolveError> {
    answers.spool_in(cache.root());
    let builder = settings
        .registry_client_builder()?
        .extra_middleware(crate::guard::middleware(answers));
    RegistryClientBuilder::new(builder, cache.clone())
        .index_locations(settings.locations())
        .index_strategy(settings.index_strategy)
        .keyring(settings.keyring)
        .build()
        .map_err(|error| ResolveError::Settings {
            place: "the client's settings".to_owned(),
            cause: Cause::of(&error),
        })
}
