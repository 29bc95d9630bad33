//! Reads PEP 751 locks of any tool for one target. Read [`read`] first.
//!
//! Refuses what would be guessed: an entry without a usable file, a file without a sha256.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use unheck_base::Digest;
use uv_distribution_filename::WheelFilename;
use uv_normalize::{ExtraName, GroupName, PackageName};
use uv_pep440::{Version, VersionSpecifiers};
use uv_pep508::{MarkerEnvironment, MarkerTree};
use uv_platform_tags::{TagCompatibility, Tags};

use crate::error::{Cause, LockError};
use crate::explain::tags_of;
use crate::inputs::Inputs;
use crate::model::{Artifact, File, Package, Resolution};
use crate::{Target, cause};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    #[serde(default)]
    environments: Vec<String>,
    requires_python: Option<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependency_groups: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    index: Option<String>,
    #[serde(default)]
    dependencies: Vec<Named>,
    vcs: Option<Vcs>,
    directory: Option<DirectoryEntry>,
    archive: Option<FileEntry>,
    sdist: Option<FileEntry>,
    #[serde(default)]
    wheels: Vec<FileEntry>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Vcs {
    r#type: String,
    url: Option<String>,
    path: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct DirectoryEntry {
    path: String,
    #[serde(default)]
    editable: bool,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FileEntry {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    upload_time: Option<toml::value::Datetime>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    subdirectory: Option<String>,
}

#[derive(Deserialize, Default)]
struct Tool {
    unheck: Option<Own>,
}

#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    requested: bool,
    #[serde(default)]
    extras: BTreeSet<String>,
}

/// Reads the text of the lock at `path`.
pub(crate) fn read(
    path: &Path,
    text: &str,
    inputs: &Inputs,
    target: &Target,
) -> Result<Resolution, LockError> {
    let document: Document = toml::from_str(text).map_err(|error| unreadable(path, &error))?;
    if !document.lock_version.starts_with("1.") {
        let text = format!("lock version `{}` is not 1.x", document.lock_version);
        return Err(unreadable_text(path, &text));
    }
    let reader = Reader::new(path, &document, inputs, target)?;
    let known: BTreeSet<String> = document
        .packages
        .iter()
        .flat_map(|entry| &entry.dependencies)
        .map(|dependency| dependency.name.clone())
        .collect();
    let mut packages = BTreeMap::new();
    for entry in &document.packages {
        let on = match &entry.marker {
            Some(marker) => reader.applies(marker)?,
            None => true,
        };
        if !on {
            continue;
        }
        let mut package = reader.package(entry)?;
        if entry.tool.unheck.is_none() {
            // Another tool's lock: what nothing depends on was asked for.
            package.requested_by_root = !known.contains(&entry.name);
        }
        let name = package.name.clone();
        if packages.insert(name.clone(), package).is_some() {
            let text = format!("two entries of `{name}` are for {target}");
            return Err(unreadable_text(path, &text));
        }
    }
    let names: BTreeSet<String> = packages.keys().cloned().collect();
    for package in packages.values_mut() {
        package.dependencies.retain(|name| names.contains(name));
    }
    Ok(Resolution {
        target: target.clone(),
        requires_python: document.requires_python,
        packages: packages.into_values().collect(),
        project: None,
    })
}

struct Reader<'r> {
    path: &'r Path,
    directory: &'r Path,
    target: &'r Target,
    tags: Tags,
    markers: MarkerEnvironment,
    extras: Vec<ExtraName>,
    groups: Vec<GroupName>,
}

impl<'r> Reader<'r> {
    fn new(
        path: &'r Path,
        document: &Document,
        inputs: &Inputs,
        target: &'r Target,
    ) -> Result<Self, LockError> {
        let extras = selection(&document.extras, inputs.extras.all, &inputs.extras.names);
        let mut groups = selection(
            &document.dependency_groups,
            inputs.groups.all,
            &inputs.groups.names,
        );
        if !inputs.groups.only {
            groups.extend(document.default_groups.iter().cloned());
        }
        for name in &inputs.groups.except {
            groups.remove(name);
        }
        let parse = |error: &dyn std::error::Error| unreadable_text(path, &error.to_string());
        let reader = Self {
            path,
            directory: path.parent().unwrap_or(Path::new("/")),
            target,
            tags: target.uv_tags(),
            markers: target.uv_markers(),
            extras: extras
                .iter()
                .map(|name| ExtraName::from_str(name).map_err(|error| parse(&error)))
                .collect::<Result<_, _>>()?,
            groups: groups
                .iter()
                .map(|name| GroupName::from_str(name).map_err(|error| parse(&error)))
                .collect::<Result<_, _>>()?,
        };
        reader.check_selection(document)?;
        reader.check_target(document)?;
        Ok(reader)
    }

    /// Extras and groups that are asked for must be in the lock.
    fn check_selection(&self, document: &Document) -> Result<(), LockError> {
        let extras: BTreeSet<ExtraName> = document
            .extras
            .iter()
            .filter_map(|name| ExtraName::from_str(name).ok())
            .collect();
        if let Some(name) = self.extras.iter().find(|name| !extras.contains(name)) {
            return Err(self.not_covered(&format!("it was not made with the extra `{name}`")));
        }
        let groups: BTreeSet<GroupName> = document
            .dependency_groups
            .iter()
            .chain(&document.default_groups)
            .filter_map(|name| GroupName::from_str(name).ok())
            .collect();
        if let Some(name) = self.groups.iter().find(|name| !groups.contains(name)) {
            let text = format!("it was not made with the dependency group `{name}`");
            return Err(self.not_covered(&text));
        }
        Ok(())
    }

    /// `requires-python` and `environments` must allow the target.
    fn check_target(&self, document: &Document) -> Result<(), LockError> {
        if let Some(requires) = &document.requires_python {
            self.check_python(requires)?;
        }
        let mut covered = document.environments.is_empty();
        for marker in &document.environments {
            covered |= self.applies(marker)?;
        }
        if covered {
            return Ok(());
        }
        Err(self.not_covered(&format!("none of its `environments` is {}", self.target)))
    }

    fn check_python(&self, requires: &str) -> Result<(), LockError> {
        let specifiers =
            VersionSpecifiers::from_str(requires).map_err(|error| unreadable(self.path, &error))?;
        if specifiers.contains(&self.target.uv_python()) {
            return Ok(());
        }
        let text = format!(
            "it needs Python `{requires}`, the target is {}",
            self.target
        );
        Err(self.not_covered(&text))
    }

    fn applies(&self, marker: &str) -> Result<bool, LockError> {
        let tree = MarkerTree::from_str(marker).map_err(|error| unreadable(self.path, &error))?;
        Ok(tree.evaluate_pep751(&self.markers, &self.extras, &self.groups))
    }

    fn package(&self, entry: &Entry) -> Result<Package, LockError> {
        let name =
            PackageName::from_str(&entry.name).map_err(|error| unreadable(self.path, &error))?;
        let version = match &entry.version {
            Some(text) => {
                Some(Version::from_str(text).map_err(|error| unreadable(self.path, &error))?)
            }
            None => None,
        };
        if let Some(requires) = &entry.requires_python {
            self.check_python(requires)?;
        }
        let mut all_wheels = entry
            .wheels
            .iter()
            .map(|wheel| self.file(wheel, entry.index.as_deref()))
            .collect::<Result<Vec<_>, _>>()?;
        all_wheels.sort_by(|a, b| (&a.filename, &a.url).cmp(&(&b.filename, &b.url)));
        let sdist = match &entry.sdist {
            Some(sdist) => Some(self.file(sdist, entry.index.as_deref())?),
            None => None,
        };
        let artifact = self.artifact(entry, &all_wheels, sdist.as_ref())?;
        let own = entry.tool.unheck.as_ref();
        Ok(Package {
            name: name.to_string(),
            version: version.map(|version| version.to_string()),
            dependencies: entry.dependencies.iter().map(|d| d.name.clone()).collect(),
            extras: own.map(|own| own.extras.clone()).unwrap_or_default(),
            requested_by_root: own.is_some_and(|own| own.requested),
            artifact,
            all_wheels,
            sdist,
        })
    }

    fn artifact(
        &self,
        entry: &Entry,
        wheels: &[File],
        sdist: Option<&File>,
    ) -> Result<Artifact, LockError> {
        let sources = [
            entry.vcs.is_some(),
            entry.directory.is_some(),
            entry.archive.is_some(),
            sdist.is_some() || !wheels.is_empty(),
        ];
        if sources.iter().filter(|present| **present).count() != 1 {
            let text = format!(
                "`{}` needs exactly one of `vcs`, `directory`, `archive`, and `sdist` or `wheels`",
                entry.name
            );
            return Err(unreadable_text(self.path, &text));
        }
        if let Some(vcs) = &entry.vcs {
            return self.git(entry, vcs);
        }
        if let Some(directory) = &entry.directory {
            let mut path = self.directory.join(&directory.path);
            path.extend(directory.subdirectory.as_deref());
            return Ok(Artifact::Directory {
                path: normal(&path),
                editable: directory.editable,
            });
        }
        if let Some(archive) = &entry.archive {
            let file = self.file(archive, None)?;
            return Ok(Artifact::Archive {
                is_wheel: file.filename.ends_with(".whl"),
                file,
                subdirectory: archive.subdirectory.clone(),
            });
        }
        if let Some(best) = self.best(wheels)? {
            return Ok(Artifact::Wheel(best));
        }
        match sdist {
            Some(file) => Ok(Artifact::Sdist(file.clone())),
            None => Err(self.no_wheel(entry, wheels)),
        }
    }

    /// The wheel with the best tags, then the highest build tag (PEP 425, PEP 427).
    fn best(&self, wheels: &[File]) -> Result<Option<File>, LockError> {
        let mut candidates = Vec::new();
        for file in wheels {
            let filename = WheelFilename::from_str(&file.filename)
                .map_err(|error| unreadable(self.path, &error))?;
            if let TagCompatibility::Compatible(priority) = filename.compatibility(&self.tags) {
                candidates.push(((priority, filename.build_tag().cloned()), file));
            }
        }
        let best = candidates.into_iter().max_by(|(a, _), (b, _)| a.cmp(b));
        Ok(best.map(|(_, file)| file.clone()))
    }

    fn git(&self, entry: &Entry, vcs: &Vcs) -> Result<Artifact, LockError> {
        let hexadecimal = vcs.commit_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if vcs.r#type != "git" || !hexadecimal || !matches!(vcs.commit_id.len(), 40 | 64) {
            let text = format!(
                "`{}` is not at a full commit id of a git repository",
                entry.name
            );
            return Err(unreadable_text(self.path, &text));
        }
        let url = match (&vcs.url, &vcs.path) {
            (Some(url), _) => url::Url::parse(url).ok(),
            (None, Some(path)) => url::Url::from_file_path(normal(&self.directory.join(path))).ok(),
            (None, None) => None,
        };
        let url = url.ok_or_else(|| {
            unreadable_text(self.path, &format!("`{}` has no usable `url`", entry.name))
        })?;
        Ok(Artifact::Git {
            url: cause::bare_url(&url),
            commit: vcs.commit_id.clone(),
            subdirectory: vcs.subdirectory.clone(),
        })
    }

    fn file(&self, entry: &FileEntry, index: Option<&str>) -> Result<File, LockError> {
        let local = entry
            .path
            .as_deref()
            .map(|path| normal(&self.directory.join(path)));
        let url = match (&local, &entry.url) {
            (Some(path), _) => url::Url::from_file_path(path).ok(),
            (None, Some(url)) => url::Url::parse(url).ok(),
            (None, None) => None,
        };
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https" | "file"));
        let shown = entry
            .name
            .as_ref()
            .or(entry.url.as_ref())
            .or(entry.path.as_ref());
        let url = url.ok_or_else(|| {
            let shown = shown.map(String::as_str).unwrap_or_default();
            unreadable_text(
                self.path,
                &format!("the file `{shown}` has no usable `url` or `path`"),
            )
        })?;
        let filename = match &entry.name {
            Some(name) => name.clone(),
            None => {
                let segment = url.path_segments().and_then(|mut parts| parts.next_back());
                segment.unwrap_or_default().to_owned()
            }
        };
        let digest = entry
            .hashes
            .get("sha256")
            .and_then(|hex| Digest::from_str(hex).ok());
        if digest.is_none() {
            return Err(LockError::NoHash {
                path: self.path.to_owned(),
                file: filename,
            });
        }
        let time = entry.upload_time.and_then(|time| {
            let time: jiff::Timestamp = time.to_string().parse().ok()?;
            crate::convert::timestamp(time.as_millisecond())
        });
        Ok(File {
            filename,
            url: cause::bare_url(&url),
            sha256: digest,
            size: entry.size,
            upload_time: time,
            index: index.map(|index| {
                url::Url::parse(index)
                    .map_or_else(|_| cause::mask(index), |url| cause::bare_url(&url))
            }),
        })
    }

    fn no_wheel(&self, entry: &Entry, wheels: &[File]) -> LockError {
        let tags: BTreeSet<String> = wheels
            .iter()
            .filter_map(|file| WheelFilename::from_str(&file.filename).ok())
            .flat_map(|wheel| tags_of(&wheel))
            .collect();
        LockError::NoWheel {
            path: self.path.to_owned(),
            distribution: crate::lock::pin(&entry.name, entry.version.as_deref()),
            target: self.target.to_string(),
            tags: tags.into_iter().collect(),
            hints: vec!["lock again for this target".to_owned()],
        }
    }

    fn not_covered(&self, text: &str) -> LockError {
        LockError::NotCovered {
            path: self.path.to_owned(),
            cause: Cause::text(text),
        }
    }
}

/// All names that the lock has, or those asked for.
fn selection(known: &[String], all: bool, asked: &BTreeSet<String>) -> BTreeSet<String> {
    match all {
        true => known.iter().chain(asked).cloned().collect(),
        false => asked.clone(),
    }
}

/// Removes `.` and `..` from an absolute path, without asking the disk.
pub(crate) fn normal(path: &Path) -> std::path::PathBuf {
    let mut normal = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

pub(crate) fn unreadable(path: &Path, error: &(dyn std::error::Error + 'static)) -> LockError {
    LockError::Unreadable {
        path: path.to_owned(),
        cause: Cause::of(error),
    }
}

fn unreadable_text(path: &Path, text: &str) -> LockError {
    LockError::Unreadable {
        path: path.to_owned(),
        cause: Cause::text(text),
    }
}
