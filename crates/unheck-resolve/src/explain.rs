//! Makes our errors out of the resolver's, and finds the distribution that has no wheel for the target.

use std::collections::BTreeSet;

use tokio::sync::Semaphore;
use uv_client::{MetadataFormat, OwnedArchive, RegistryClient};
use uv_configuration::BuildOptions;
use uv_distribution_filename::{DistFilename, WheelFilename};
use uv_distribution_types::{IndexCapabilities, Requirement, RequirementSource};
use uv_errors::Hint;
use uv_normalize::PackageName;
use uv_pep440::Version;
use uv_platform_tags::Tags;
use uv_resolver::NoSolutionError;

use crate::context::Failure;
use crate::error::{Cause, ResolveError};
use crate::{MAX_NESTING, Target, cause, guard};

/// How many distributions of a conflict are looked at for wheels.
const MAX_LOOKUPS: usize = 32;

/// The words of the resolver when something is not in the cache and the network is off.
const OFFLINE_WORDS: [&str; 2] = ["network was disabled", "etwork connectivity is disabled"];

/// Sorts the error of a library.
pub(crate) fn sorted(what: &str, cause: Cause, failure: Option<Failure>) -> ResolveError {
    if let Some(failure) = failure {
        return ResolveError::Build {
            name: failure.name,
            cause: Cause::text(failure.log),
        };
    }
    if cause.says(guard::NESTING_LIMIT) {
        let quoted = cause.0.split('`').find(|part| part.contains("://"));
        return ResolveError::TooDeep {
            input: quoted.unwrap_or(what).to_owned(),
            limit: MAX_NESTING,
        };
    }
    if OFFLINE_WORDS.iter().any(|words| cause.says(words)) {
        return ResolveError::Offline { cause };
    }
    let transport = [
        "Failed to fetch",
        "error sending request",
        "HTTP status",
        "Request failed",
        "Git operation failed",
        "client error (Connect)",
        "Received some unexpected",
        "Failed to download",
    ];
    if transport.iter().any(|words| cause.says(words)) {
        let url = cause
            .0
            .split(['`', '(', ')'])
            .find(|part| part.starts_with("http"));
        return ResolveError::Index {
            url: url.map(str::to_owned),
            cause,
        };
    }
    ResolveError::UnsupportedInput {
        input: what.to_owned(),
        cause,
    }
}

/// A version that has files, none of which can be used.
struct Unusable {
    version: Version,
    tags: BTreeSet<String>,
    has_sdist: bool,
}

/// What is needed to look wheels up on the index.
pub(crate) struct Lookup<'l> {
    pub(crate) client: &'l RegistryClient,
    pub(crate) capabilities: &'l IndexCapabilities,
    pub(crate) permits: &'l Semaphore,
    pub(crate) tags: &'l Tags,
    pub(crate) build_options: &'l BuildOptions,
    pub(crate) target: &'l Target,
}

impl Lookup<'_> {
    /// The error for a conflict: the missing wheel if that is the reason, else the explanation.
    pub(crate) async fn explain(
        &self,
        conflict: &NoSolutionError,
        direct: &[Requirement],
    ) -> ResolveError {
        let explanation = cause::clean(&conflict.to_string());
        let hints: Vec<String> = conflict
            .hints()
            .into_iter()
            .map(|hint| cause::clean(&hint))
            .collect();
        let all = format!("{explanation}\n{}", hints.join("\n"));
        if OFFLINE_WORDS.iter().any(|words| all.contains(words)) {
            return ResolveError::Offline {
                cause: Cause::text(all),
            };
        }
        let names: BTreeSet<&PackageName> = conflict.packages().collect();
        for name in names.into_iter().take(MAX_LOOKUPS) {
            if let Some(found) = self.unusable(name, direct).await {
                return self.no_wheel(name, found, hints);
            }
        }
        ResolveError::NoSolution {
            target: self.target.to_string(),
            explanation,
            hints,
        }
    }

    fn no_wheel(
        &self,
        name: &PackageName,
        found: Unusable,
        mut hints: Vec<String>,
    ) -> ResolveError {
        let Unusable {
            version,
            tags,
            has_sdist,
        } = found;
        // The resolver speaks of its own options there.
        hints.retain(|hint| !hint.contains("--no-build"));
        if has_sdist {
            hints.push(format!(
                "`{name}` {version} has a source distribution: allow it to be compiled, or ask for a version with a wheel"
            ));
        }
        let musl = matches!(self.target.libc(), crate::Libc::Musl(..));
        if musl && tags.iter().any(|tag| tag.contains("manylinux")) {
            hints.push("choose a target with glibc: there are wheels for it".to_owned());
        }
        let abi = format!("-cp{}{}-", self.target.minor().0, self.target.minor().1);
        let machine = self.target.arch().machine();
        let other_python = tags
            .iter()
            .any(|tag| tag.contains("linux") && tag.ends_with(machine) && !tag.contains(&abi));
        if other_python && !tags.iter().any(|tag| tag.contains(&abi)) {
            hints.push("choose another Python version: there are wheels for it".to_owned());
        }
        if tags
            .iter()
            .any(|tag| tag.contains(&abi) && tag.contains("linux") && tag.ends_with(machine))
        {
            hints.push("choose a suite with a newer C library: there are wheels for it".to_owned());
        }
        ResolveError::NoWheel {
            name: name.to_string(),
            version: version.to_string(),
            target: self.target.to_string(),
            tags: tags.into_iter().collect(),
            hints,
        }
    }

    /// The newest version that the direct requirements allow, if none of those versions has a file that can be used.
    async fn unusable(&self, name: &PackageName, direct: &[Requirement]) -> Option<Unusable> {
        let pages = self
            .client
            .simple_detail(name, None, self.capabilities, self.permits)
            .await
            .ok()?;
        let mut newest: Option<Unusable> = None;
        for (_, page) in pages {
            let MetadataFormat::Simple(page) = page else {
                return None;
            };
            for datum in OwnedArchive::deserialize(&page) {
                let allowed = direct
                    .iter()
                    .filter(|r| r.name == *name)
                    .all(|r| match &r.source {
                        RequirementSource::Registry { specifier, .. } => {
                            specifier.contains(&datum.version)
                        }
                        _ => false,
                    });
                if !allowed {
                    continue;
                }
                let (version, files) = (datum.version, datum.files.all(name));
                let found = self.look(name, version, files.map(|(filename, _)| filename))?;
                if newest
                    .as_ref()
                    .is_none_or(|best| best.version < found.version)
                {
                    newest = Some(found);
                }
            }
        }
        newest
    }

    /// What one version has; `None` when it has a file that can be used.
    fn look(
        &self,
        name: &PackageName,
        version: Version,
        files: impl Iterator<Item = DistFilename>,
    ) -> Option<Unusable> {
        let mut found = Unusable {
            version,
            tags: BTreeSet::new(),
            has_sdist: false,
        };
        for file in files {
            match file {
                DistFilename::WheelFilename(wheel) => {
                    if wheel.compatibility(self.tags).is_compatible() {
                        return None;
                    }
                    found.tags.extend(tags_of(&wheel));
                }
                DistFilename::SourceDistFilename(_) => {
                    if !self.build_options.no_build_package(name) {
                        return None;
                    }
                    found.has_sdist = true;
                }
            }
        }
        Some(found)
    }
}

/// The tag triples of a wheel's name (PEP 425), expanded.
pub(crate) fn tags_of(wheel: &WheelFilename) -> Vec<String> {
    let mut tags = Vec::new();
    for python in wheel.python_tags() {
        for abi in wheel.abi_tags() {
            for platform in wheel.platform_tags() {
                tags.push(format!("{python}-{abi}-{platform}"));
            }
        }
    }
    tags
}
