//! What the resolver asks its surroundings for: above all, to build a source tree.
//!
//! Owns no Python. Builds go to the caller's [`SourceBuilder`]; without one they are refused.
//! The interpreter that the resolver wants to see during a build is a script that prints the target's
//! facts, made only then.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use uv_cache::Cache;
use uv_configuration::{BuildKind, BuildOptions, BuildOutput, NoBuild, NoSources};
use uv_distribution_filename::DistFilename;
use uv_distribution_types::{
    CachedDist, ConfigSettings, DependencyMetadata, ExtraBuildRequires, ExtraBuildVariables,
    IndexCapabilities, IndexLocations, IsBuildBackendError, PackageConfigSettings, Requirement,
    SourceDist,
};
use uv_git::GitResolver;
use uv_python::{Interpreter, PythonEnvironment};
use uv_types::{
    AnyErrorBuild, BuildArena, BuildContext, BuildIsolation, BuildStack, ResolvedRequirements,
    SourceBuildTrait,
};
use uv_workspace::WorkspaceCache;

use crate::Target;
use crate::inputs::{SourceBuilder, SourceTree};
use crate::settings::Settings;

/// A failed build, in the shape that the resolver wants.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BuildError(String);

impl uv_errors::Hint for BuildError {
    fn hints(&self) -> uv_errors::Hints<'_> {
        uv_errors::Hints::none()
    }
}

impl IsBuildBackendError for BuildError {
    fn is_build_backend_error(&self) -> bool {
        true
    }
}

/// The last failed build: what, and its log.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) log: String,
}

/// Where a failed build is noted, so that its log need not be dug out of library errors.
#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Option<Failure>>>);

impl Failures {
    fn note(&self, name: &str, log: &str) {
        let mut slot = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *slot = Some(Failure {
            name: name.to_owned(),
            log: log.to_owned(),
        });
    }

    /// The noted failure, if any.
    pub(crate) fn take(&self) -> Option<Failure> {
        let mut slot = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.take()
    }
}

/// The surroundings of one resolution.
pub(crate) struct Surroundings {
    cache: Cache,
    git: GitResolver,
    arena: BuildArena<Build>,
    capabilities: IndexCapabilities,
    dependency_metadata: DependencyMetadata,
    build_options: BuildOptions,
    config_settings: ConfigSettings,
    config_settings_package: PackageConfigSettings,
    sources: NoSources,
    locations: IndexLocations,
    workspaces: WorkspaceCache,
    build_requires: ExtraBuildRequires,
    build_variables: ExtraBuildVariables,
    target: Target,
    builder: Option<Arc<dyn SourceBuilder>>,
    /// The script that stands in for an interpreter, and what it said; the script must stay.
    interpreter: OnceLock<(tempfile::TempDir, Interpreter)>,
    pub(crate) failures: Failures,
}

impl Surroundings {
    /// Surroundings for `target` with a cache directory that was initialised.
    pub(crate) fn new(
        settings: &Settings,
        target: &Target,
        cache: Cache,
        builder: Option<Arc<dyn SourceBuilder>>,
    ) -> Self {
        let build_options = settings.build_options.clone();
        let build_options = match &builder {
            Some(_) => build_options,
            None => build_options.combine(uv_configuration::NoBinary::None, NoBuild::All),
        };
        Self {
            cache,
            git: GitResolver::default(),
            arena: BuildArena::default(),
            capabilities: IndexCapabilities::default(),
            dependency_metadata: settings.dependency_metadata.clone(),
            build_options,
            config_settings: shard(builder.as_deref()),
            config_settings_package: PackageConfigSettings::default(),
            sources: settings.no_sources.clone(),
            locations: settings.locations(),
            workspaces: WorkspaceCache::default(),
            build_requires: ExtraBuildRequires::default(),
            build_variables: ExtraBuildVariables::default(),
            target: target.clone(),
            builder,
            interpreter: OnceLock::new(),
            failures: Failures::default(),
        }
    }

    /// Runs the script that stands in for an interpreter.
    fn stub_interpreter(&self) -> Result<(tempfile::TempDir, Interpreter), String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().join("python");
        let script = stub_script(&self.target, &path);
        fs_err::write(&path, script).map_err(|error| error.to_string())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(&path, mode).map_err(|error| error.to_string())?;
        let interpreter =
            Interpreter::query(&path, &self.cache).map_err(|error| error.to_string())?;
        Ok((directory, interpreter))
    }
}

/// Keeps what different builders make apart: the cache keys a built wheel by source and settings only.
/// The settings never reach a build backend, because `setup_build` does not pass them on.
fn shard(builder: Option<&dyn SourceBuilder>) -> ConfigSettings {
    let Some(builder) = builder else {
        return ConfigSettings::default();
    };
    let entry = format!("unheck-builder={}", builder.identity().hex());
    std::str::FromStr::from_str(&entry).map_or_else(
        |_| ConfigSettings::default(),
        |entry: uv_distribution_types::ConfigSettingEntry| ConfigSettings::from_iter([entry]),
    )
}

/// A program that answers the resolver's interpreter query with the facts of `target`.
fn stub_script(target: &Target, path: &Path) -> String {
    let (name, major, minor) = match target.libc() {
        crate::Libc::Glibc(major, minor) => ("manylinux", major, minor),
        crate::Libc::Musl(major, minor) => ("musllinux", major, minor),
    };
    let nowhere = serde_json::json!({
        "purelib": "/x", "platlib": "/x", "scripts": "/x", "data": "/x", "include": "/x",
    });
    let short = format!("{}.{}", target.minor().0, target.minor().1);
    let facts = serde_json::json!({
        "result": "success",
        "platform": {
            "os": { "name": name, "major": major, "minor": minor },
            "arch": target.arch().machine(),
        },
        "markers": {
            "implementation_name": "cpython",
            "implementation_version": target.python(),
            "os_name": "posix",
            "platform_machine": target.arch().machine(),
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": target.python(),
            "python_version": short,
            "sys_platform": "linux",
        },
        "scheme": nowhere,
        "virtualenv": nowhere,
        "manylinux_compatible": true,
        "sys_prefix": "/x",
        "sys_base_exec_prefix": "/x",
        "sys_base_prefix": "/x",
        "sys_base_executable": null,
        "sys_executable": path,
        "sys_path": [],
        "site_packages": [],
        "stdlib": "/x",
        "extension_suffixes": [],
        "standalone": false,
        "pointer_size": "64",
        "gil_disabled": false,
        "debug_enabled": false,
    });
    format!(
        "#!/bin/sh\nwhile IFS= read -r line; do printf '%s\\n' \"$line\"; done <<'FACTS'\n{facts}\nFACTS\n"
    )
}

/// One build by the caller's builder.
pub(crate) struct Build {
    builder: Arc<dyn SourceBuilder>,
    target: Target,
    source: PathBuf,
    label: Option<String>,
    scratch: tempfile::TempDir,
    failures: Failures,
}

impl Build {
    fn tree(&self) -> SourceTree<'_> {
        SourceTree {
            path: &self.source,
            label: self.label.as_deref(),
            target: &self.target,
        }
    }

    fn failed(&self, failure: crate::inputs::BuildFailure) -> AnyErrorBuild {
        let name = self.label.as_deref().unwrap_or("a source tree");
        self.failures.note(name, &failure.0);
        BuildError(failure.0).into()
    }
}

impl SourceBuildTrait for Build {
    async fn metadata(&mut self) -> Result<Option<PathBuf>, AnyErrorBuild> {
        let out = self.scratch.path();
        let name = self
            .builder
            .metadata(self.tree(), out)
            .await
            .map_err(|failure| self.failed(failure))?;
        Ok(name.map(|name| out.join(name)))
    }

    async fn wheel<'a>(&'a self, wheel_dir: &'a Path) -> Result<String, AnyErrorBuild> {
        self.builder
            .wheel(self.tree(), wheel_dir)
            .await
            .map_err(|failure| self.failed(failure))
    }
}

#[expect(refining_impl_trait, reason = "the concrete error type is ours")]
impl BuildContext for Surroundings {
    type SourceDistBuilder = Build;

    async fn interpreter(&self) -> &Interpreter {
        if let Some((_, known)) = self.interpreter.get() {
            return known;
        }
        match self.stub_interpreter() {
            Ok(made) => &self.interpreter.get_or_init(|| made).1,
            Err(message) => {
                // This question has no way to fail: the panic ends the resolver's own thread,
                // and the noted failure becomes the error.
                let text =
                    format!("cannot describe the target's interpreter to the resolver: {message}");
                self.failures.note("a source distribution", &text);
                std::panic::resume_unwind(Box::new(text));
            }
        }
    }

    fn cache(&self) -> &Cache {
        &self.cache
    }

    fn git(&self) -> &GitResolver {
        &self.git
    }

    fn build_arena(&self) -> &BuildArena<Build> {
        &self.arena
    }

    fn capabilities(&self) -> &IndexCapabilities {
        &self.capabilities
    }

    fn dependency_metadata(&self) -> &DependencyMetadata {
        &self.dependency_metadata
    }

    fn build_options(&self) -> &BuildOptions {
        &self.build_options
    }

    fn build_isolation(&self) -> BuildIsolation<'_> {
        BuildIsolation::Isolated
    }

    fn config_settings(&self) -> &ConfigSettings {
        &self.config_settings
    }

    fn config_settings_package(&self) -> &PackageConfigSettings {
        &self.config_settings_package
    }

    fn sources(&self) -> &NoSources {
        &self.sources
    }

    fn locations(&self) -> &IndexLocations {
        &self.locations
    }

    fn workspace_cache(&self) -> &WorkspaceCache {
        &self.workspaces
    }

    fn extra_build_requires(&self) -> &ExtraBuildRequires {
        &self.build_requires
    }

    fn extra_build_variables(&self) -> &ExtraBuildVariables {
        &self.build_variables
    }

    async fn resolve<'a>(
        &'a self,
        _: &'a [Requirement],
        _: &'a BuildStack,
    ) -> Result<ResolvedRequirements, BuildError> {
        Err(BuildError(
            "build requirements are the builder's work".to_owned(),
        ))
    }

    async fn install<'a>(
        &'a self,
        _: &'a ResolvedRequirements,
        _: &'a PythonEnvironment,
        _: &'a BuildStack,
    ) -> Result<Vec<CachedDist>, BuildError> {
        Err(BuildError(
            "build requirements are the builder's work".to_owned(),
        ))
    }

    async fn setup_build<'a>(
        &'a self,
        source: &'a Path,
        subdirectory: Option<&'a Path>,
        _install_path: &'a Path,
        _stop_discovery_at: Option<&'a Path>,
        version_id: Option<&'a str>,
        _dist: Option<&'a SourceDist>,
        _sources: &'a NoSources,
        _kind: BuildKind,
        _output: BuildOutput,
        _stack: BuildStack,
    ) -> Result<Build, BuildError> {
        let label = version_id.map(crate::cause::clean);
        let Some(builder) = self.builder.clone() else {
            let name = label.as_deref().unwrap_or("a source tree");
            return Err(BuildError(format!(
                "`{name}` must be built and no builder is set"
            )));
        };
        Ok(Build {
            builder,
            target: self.target.clone(),
            source: subdirectory.map_or_else(|| source.to_owned(), |part| source.join(part)),
            label,
            scratch: tempfile::tempdir().map_err(|error| BuildError(error.to_string()))?,
            failures: self.failures.clone(),
        })
    }

    async fn direct_build<'a>(
        &'a self,
        _: &'a Path,
        _: Option<&'a Path>,
        _: &'a Path,
        _: NoSources,
        _: BuildKind,
        _: Option<&'a str>,
    ) -> Result<Option<DistFilename>, BuildError> {
        Ok(None)
    }
}
