//! Turns the resolver's graph into our [`Package`]s.
//!
//! Also where a required hash is enforced: the resolver itself only prefers files that have it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use unheck_base::Digest;
use uv_distribution_types::{
    BuiltDist, Dist, Edge, HashPolicy, IndexUrl, Name, Node, RegistryBuiltDist, RegistryBuiltWheel,
    RegistrySourceDist, Resolution, ResolvedDist, SourceDist,
};
use uv_git::GitResolver;
use uv_platform_tags::{TagCompatibility, Tags};
use uv_pypi_types::{HashAlgorithm, HashDigest};
use uv_types::HashStrategy;

use crate::error::ResolveError;
use crate::model::{Artifact, File, Package};
use crate::spec::unsupported;

/// What the conversion needs besides the graph.
pub(crate) struct Converter<'c> {
    pub(crate) tags: &'c Tags,
    /// The hashes that the input requires; `HashStrategy::None` when it has none.
    pub(crate) hashes: &'c HashStrategy,
    /// Knows the commits of git sources that were fetched.
    pub(crate) git: &'c GitResolver,
    /// Names of the projects that were resolved; they are roots, not packages.
    pub(crate) roots: BTreeSet<String>,
}

impl Converter<'_> {
    /// The packages of a graph, sorted by name.
    pub(crate) fn packages(&self, resolution: &Resolution) -> Result<Vec<Package>, ResolveError> {
        let graph = resolution.graph();
        let nodes = graph.raw_nodes();
        let name_of = |node: &Node| match node {
            Node::Dist { dist, .. } => Some(dist.name().to_string()),
            Node::Root => None,
        };
        let mut packages = BTreeMap::new();
        for node in nodes {
            let Node::Dist {
                dist,
                hashes,
                install,
            } = &node.weight
            else {
                continue;
            };
            let name = dist.name().to_string();
            if *install && !self.roots.contains(&name) && !is_virtual(dist) {
                packages.insert(name, self.package(dist, hashes.as_slice())?);
            }
        }
        for edge in graph.raw_edges() {
            let source = name_of(&nodes[edge.source().index()].weight);
            let Some(target) = name_of(&nodes[edge.target().index()].weight) else {
                continue;
            };
            if !packages.contains_key(&target) {
                continue;
            }
            match source.filter(|name| !self.roots.contains(name)) {
                None => {
                    if let Some(package) = packages.get_mut(&target) {
                        package.requested_by_root = true;
                    }
                }
                Some(source) => {
                    let Some(package) = packages.get_mut(&source) else {
                        continue;
                    };
                    if source != target {
                        package.dependencies.insert(target);
                    }
                    if let Edge::Optional(extra) = &edge.weight {
                        package.extras.insert(extra.to_string());
                    }
                }
            }
        }
        Ok(packages.into_values().collect())
    }

    fn package(&self, dist: &ResolvedDist, hashes: &[HashDigest]) -> Result<Package, ResolveError> {
        let ResolvedDist::Installable { dist, version } = dist else {
            return Err(unsupported(
                dist.name().as_ref(),
                "an installed distribution",
            ));
        };
        let mut all_wheels = Vec::new();
        let mut sdist = None;
        let artifact = match &**dist {
            Dist::Built(BuiltDist::Registry(built)) => {
                all_wheels = self.wheels(dist, &built.wheels)?;
                sdist = built.sdist.as_ref().map(sdist_file).transpose()?;
                Artifact::Wheel(self.chosen_wheel(dist, built)?)
            }
            Dist::Source(SourceDist::Registry(source)) => {
                all_wheels = self.wheels(dist, &source.wheels)?;
                let file = self.required(dist, &source.file.hashes, sdist_file(source)?)?;
                sdist = Some(file.clone());
                Artifact::Sdist(file)
            }
            Dist::Built(BuiltDist::DirectUrl(direct)) => {
                archive(&direct.url, direct.filename.to_string(), hashes, None)
            }
            Dist::Built(BuiltDist::Path(path)) => {
                archive(&path.url, path.filename.to_string(), hashes, None)
            }
            Dist::Source(SourceDist::DirectUrl(direct)) => {
                let subdirectory = direct.subdirectory.as_deref().map(shown);
                archive(&direct.url, last_segment(&direct.url), hashes, subdirectory)
            }
            Dist::Source(SourceDist::Path(path)) => {
                archive(&path.url, last_segment(&path.url), hashes, None)
            }
            Dist::Source(SourceDist::Directory(directory)) => Artifact::Directory {
                path: directory.install_path.to_path_buf(),
                editable: directory.editable.unwrap_or(false),
            },
            Dist::Source(SourceDist::GitDirectory(source)) => {
                self.git(&source.git, source.subdirectory.as_deref(), dist)?
            }
            Dist::Built(BuiltDist::GitPath(_)) | Dist::Source(SourceDist::GitPath(_)) => {
                return Err(unsupported(
                    &dist.to_string(),
                    "an archive inside a git repository cannot be locked; name the archive by URL",
                ));
            }
        };
        Ok(Package {
            name: dist.name().to_string(),
            version: version.as_ref().map(ToString::to_string),
            dependencies: BTreeSet::new(),
            extras: BTreeSet::new(),
            requested_by_root: false,
            artifact,
            all_wheels,
            sdist,
        })
    }

    /// The wheels that may be used, sorted: all, or those with a required hash.
    fn wheels(
        &self,
        dist: &Dist,
        wheels: &[RegistryBuiltWheel],
    ) -> Result<Vec<File>, ResolveError> {
        let policy = self.policy(dist);
        let mut files = wheels
            .iter()
            .filter(|wheel| {
                !policy.requires_validation() || policy.matches(wheel.file.hashes.as_slice())
            })
            .map(wheel_file)
            .collect::<Result<Vec<_>, _>>()?;
        files.sort_by(|a, b| (&a.filename, &a.url).cmp(&(&b.filename, &b.url)));
        files.dedup();
        Ok(files)
    }

    /// The best wheel, among those with a required hash if there are required ones.
    fn chosen_wheel(&self, dist: &Dist, built: &RegistryBuiltDist) -> Result<File, ResolveError> {
        let best = built.best_wheel();
        let policy = self.policy(dist);
        if !policy.requires_validation() || policy.matches(best.file.hashes.as_slice()) {
            return wheel_file(best);
        }
        let other = built
            .wheels
            .iter()
            .filter(|wheel| policy.matches(wheel.file.hashes.as_slice()))
            .filter_map(|wheel| match wheel.filename.compatibility(self.tags) {
                TagCompatibility::Compatible(priority) => Some((priority, wheel)),
                TagCompatibility::Incompatible(_) => None,
            })
            .max_by_key(|(priority, wheel)| (*priority, wheel.filename.build_tag().cloned()));
        match other {
            Some((_, wheel)) => wheel_file(wheel),
            None => self.required(dist, &best.file.hashes, wheel_file(best)?),
        }
    }

    /// The file, if its hashes are among the required ones.
    fn required(
        &self,
        dist: &Dist,
        hashes: &uv_pypi_types::HashDigests,
        mut file: File,
    ) -> Result<File, ResolveError> {
        let policy = self.policy(dist);
        if !policy.requires_validation() || policy.matches(hashes.as_slice()) {
            return Ok(file);
        }
        // An index without any hash: with one required sha256 the download is checked against it.
        if let ([one], true) = (policy.digests(), hashes.is_empty()) {
            file.sha256 = sha256(std::slice::from_ref(one));
            if file.sha256.is_some() {
                return Ok(file);
            }
        }
        let shown = |digests: &[HashDigest]| digests.iter().map(ToString::to_string).collect();
        Err(ResolveError::HashMismatch {
            name: dist.to_string(),
            expected: shown(policy.digests()),
            found: shown(hashes.as_slice()),
        })
    }

    fn policy(&self, dist: &Dist) -> HashPolicy<'_> {
        self.hashes.get(dist)
    }

    fn git(
        &self,
        git: &uv_git_types::GitUrl,
        subdirectory: Option<&std::path::Path>,
        dist: &Dist,
    ) -> Result<Artifact, ResolveError> {
        let commit = git
            .precise()
            .or_else(|| self.git.get_precise(git))
            .ok_or_else(|| unsupported(&dist.to_string(), "its git commit is not known"))?;
        Ok(Artifact::Git {
            url: crate::cause::bare_url(git.url()),
            commit: commit.as_str().to_owned(),
            subdirectory: subdirectory.map(shown),
        })
    }
}

/// A project without anything to install.
fn is_virtual(dist: &ResolvedDist) -> bool {
    let ResolvedDist::Installable { dist, .. } = dist else {
        return false;
    };
    matches!(&**dist, Dist::Source(SourceDist::Directory(directory)) if directory.r#virtual == Some(true))
}

fn wheel_file(wheel: &RegistryBuiltWheel) -> Result<File, ResolveError> {
    registry_file(&wheel.file, &wheel.index)
}

fn sdist_file(source: &RegistrySourceDist) -> Result<File, ResolveError> {
    registry_file(&source.file, &source.index)
}

fn registry_file(
    file: &uv_distribution_types::File,
    index: &IndexUrl,
) -> Result<File, ResolveError> {
    let url = file
        .url
        .to_url()
        .map_err(|error| unsupported(&file.filename, &error.to_string()))?;
    Ok(File {
        filename: file.filename.to_string(),
        url: crate::cause::bare_url(&url),
        sha256: sha256(file.hashes.as_slice()),
        size: file.size,
        upload_time: file.upload_time_utc_ms.and_then(timestamp),
        index: Some(crate::cause::bare_url(index.url())),
    })
}

/// A time in milliseconds since 1970 as RFC 3339 with milliseconds.
pub(crate) fn timestamp(milliseconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(milliseconds).ok()?;
    Some(format!("{time:.3}"))
}

fn archive(
    url: &url::Url,
    filename: String,
    hashes: &[HashDigest],
    subdirectory: Option<String>,
) -> Artifact {
    let is_wheel = filename.ends_with(".whl");
    Artifact::Archive {
        file: File {
            filename,
            url: crate::cause::bare_url(url),
            sha256: sha256(hashes),
            size: None,
            upload_time: None,
            index: None,
        },
        is_wheel,
        subdirectory,
    }
}

pub(crate) fn sha256(hashes: &[HashDigest]) -> Option<Digest> {
    hashes
        .iter()
        .find(|hash| hash.algorithm() == HashAlgorithm::Sha256)
        .and_then(|hash| Digest::from_str(&hash.digest).ok())
}

fn last_segment(url: &url::Url) -> String {
    let segment = url.path_segments().and_then(|mut parts| parts.next_back());
    segment.unwrap_or_default().to_owned()
}

fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
