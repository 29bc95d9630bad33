//! What an index says, as plain values, and the trait that asks it.
//!
//! The caller fetches; here is only what is read out of it. Nothing is trusted: texts are bounded and
//! go through [`crate::label::printable`] before they are shown. Start at [`Index`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::label::{normalize, printable};

/// Why a question to an index has no answer (it is unreachable, or what it sent is unreadable).
#[derive(Debug, thiserror::Error)]
#[error("the index could not be asked for `{what}`")]
pub struct IndexError {
    /// What was asked.
    pub what: String,
    /// Why not.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// An index that can be asked. Each method answers in the order of its names.
pub trait Index {
    /// The files of distributions (Simple API); `None` where the index has no such name.
    fn pages(&self, names: &[String]) -> Vec<Result<Option<Page>, IndexError>>;

    /// The project JSON of distributions; `None` where the index has none: a plain mirror may lack it
    /// for every name.
    fn projects(&self, names: &[String]) -> Vec<Result<Option<Project>, IndexError>>;

    /// What the wheel `file` says of itself without being downloaded.
    ///
    /// At most `most` requests are made, and what is not known then stays unknown.
    ///
    /// # Errors
    /// [`IndexError`].
    fn wheel(&self, file: &File, most: u32) -> Result<Wheel, IndexError>;

    /// How many requests were made so far.
    fn requests(&self) -> u32;
}

/// A distribution's files on an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The normalised name.
    pub name: String,
    /// All files whose version is one (PEP 440), oldest version first.
    pub files: Vec<File>,
    /// The project's status marker (PEP 792), when the index states another one than `active`.
    pub status: Option<Status>,
}

/// A status marker of a project (PEP 792).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `archived`, `quarantined`, `deprecated`, or one of the future.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
}

/// A file of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// Its name.
    pub filename: String,
    /// Where it is.
    pub url: String,
    /// The version in its name, as it is spelled there.
    pub version: String,
    /// Bytes.
    pub size: Option<u64>,
    /// When it was uploaded, RFC 3339.
    pub uploaded: Option<String>,
    /// Yanked, for this reason (may be empty; PEP 592).
    pub yanked: Option<String>,
    /// Its `Requires-Python`.
    pub requires_python: Option<String>,
    /// The index has its METADATA beside it (PEP 658).
    pub metadata: Option<MetadataFile>,
    /// Where its attestations are (PEP 740).
    pub provenance: Option<String>,
}

/// METADATA beside a file on an index: at the file's URL with `.metadata` after it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataFile {
    /// SHA-256 in hexadecimal digits, where the index states it.
    pub sha256: Option<String>,
}

impl File {
    /// Whether it is a wheel.
    pub fn is_wheel(&self) -> bool {
        self.filename.ends_with(".whl")
    }
}

impl Page {
    /// Distinct versions.
    pub fn versions(&self) -> BTreeSet<&str> {
        self.files
            .iter()
            .map(|file| file.version.as_str())
            .collect()
    }

    /// The files of the highest version that is neither yanked nor, where there is a final one, a
    /// pre-release.
    pub fn newest(&self) -> Vec<&File> {
        let best = |allowed: &dyn Fn(&File) -> bool| {
            let files = self.files.iter().filter(|file| allowed(file));
            let parsed =
                files.filter_map(|file| Some((crate::version::parse(&file.version)?, file)));
            parsed
                .max_by(|left, right| left.0.cmp(&right.0))
                .map(|(version, _)| version)
        };
        let is_final = |file: &File| {
            crate::version::parse(&file.version).is_some_and(|version| !version.any_prerelease())
        };
        let newest = best(&|file| file.yanked.is_none() && is_final(file))
            .or_else(|| best(&|file| file.yanked.is_none()))
            .or_else(|| best(&|_| true));
        let files = self.files.iter();
        files
            .filter(|file| newest.is_some() && crate::version::parse(&file.version) == newest)
            .collect()
    }

    /// The first and the last upload, RFC 3339.
    pub fn uploads(&self) -> Option<(&str, &str)> {
        let dates = || {
            self.files
                .iter()
                .filter_map(|file| file.uploaded.as_deref())
        };
        Some((dates().min()?, dates().max()?))
    }
}

/// What the project JSON says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// The name as its owner spells it.
    pub name: String,
    /// The version that it describes.
    pub version: String,
    /// One line on what it is.
    pub summary: Option<String>,
    /// Trove classifiers.
    pub classifiers: Vec<String>,
    /// `Requires-Dist` lines.
    pub requires_dist: Vec<String>,
    /// Users and organisation that own it; `None` when the index does not say.
    pub owners: Option<BTreeSet<String>>,
    /// Known vulnerabilities of that version.
    pub vulnerabilities: Vec<Vulnerability>,
    /// Files by version as written.
    pub releases: BTreeMap<String, Vec<File>>,
}

/// A known vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Vulnerability {
    /// Its id.
    pub id: String,
    /// Other ids, such as a CVE number.
    pub aliases: Vec<String>,
    /// The versions that repair it; empty: none.
    pub fixed_in: Vec<String>,
    /// When it was taken back, RFC 3339.
    pub withdrawn: Option<String>,
}

/// What a wheel's file list and METADATA say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wheel {
    /// Its file name.
    pub filename: String,
    /// Importable modules down to the first that is no namespace, dotted.
    pub modules: BTreeSet<String>,
    /// `Import-Name` (PEP 794).
    pub import_names: Vec<String>,
    /// `Import-Namespace` (PEP 794).
    pub import_namespaces: Vec<String>,
    /// `Requires-Dist`; `None` when METADATA was not read.
    pub requires_dist: Option<Vec<String>>,
    /// `Summary`.
    pub summary: Option<String>,
    /// Bytes of the wheel.
    pub size: u64,
}

impl Wheel {
    /// The module of this wheel that an import of `module` reaches: it, one above it, or, for a
    /// namespace, one below it.
    pub fn provides(&self, module: &str) -> Option<&str> {
        let above = |its: &&String| {
            module
                .strip_prefix(its.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let below = |its: &&String| {
            its.strip_prefix(module)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let found = self
            .modules
            .iter()
            .filter(above)
            .max_by_key(|its| its.len());
        found
            .or_else(|| self.modules.iter().find(below))
            .map(String::as_str)
    }
}

/// Why a project JSON cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the project JSON is not as expected")]
pub struct ProjectError(#[source] serde_json::Error);

impl Project {
    /// Reads a project JSON document.
    ///
    /// # Errors
    /// [`ProjectError`]. Unknown and missing fields are no error, nor is a vulnerability or file that
    /// cannot be read: it is left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProjectError> {
        let raw: RawProject = serde_json::from_slice(bytes).map_err(ProjectError)?;
        let info = raw.info;
        let releases = raw.releases.into_iter().map(|(version, files)| {
            let file = |file: RawFile| File {
                filename: file.filename,
                url: file.url,
                version: version.clone(),
                size: file.size,
                uploaded: file.upload_time_iso_8601.or(file.upload_time),
                yanked: file
                    .yanked
                    .then(|| printable(&file.yanked_reason.unwrap_or_default())),
                requires_python: file.requires_python.filter(|text| !text.is_empty()),
                metadata: None,
                provenance: None,
            };
            let files = files
                .into_iter()
                .filter_map(|value| serde_json::from_value(value).ok());
            let files = files.map(file).collect();
            (version, files)
        });
        let releases = releases.collect();
        let vulnerabilities = raw.vulnerabilities.into_iter();
        Ok(Self {
            name: printable(&info.name),
            version: printable(&info.version),
            summary: info
                .summary
                .map(|text| one_line(&text))
                .filter(|text| !text.is_empty()),
            classifiers: info.classifiers.unwrap_or_default(),
            requires_dist: info.requires_dist.unwrap_or_default(),
            owners: raw.ownership.or(info.ownership).and_then(owners),
            vulnerabilities: vulnerabilities
                .filter_map(|value| serde_json::from_value(value).ok())
                .filter(|its: &Vulnerability| its.withdrawn.is_none())
                .collect(),
            releases,
        })
    }

    /// The normalised name.
    pub fn normalized(&self) -> String {
        normalize(&self.name)
    }
}

/// The first line of foreign text, fit to be shown.
pub fn one_line(text: &str) -> String {
    printable(text.trim().lines().next().unwrap_or_default().trim())
}

#[derive(Deserialize)]
struct RawProject {
    info: RawInfo,
    #[serde(default)]
    releases: BTreeMap<String, Vec<serde_json::Value>>,
    #[serde(default)]
    vulnerabilities: Vec<serde_json::Value>,
    ownership: Option<RawOwnership>,
}

#[derive(Deserialize)]
struct RawInfo {
    name: String,
    #[serde(default)]
    version: String,
    summary: Option<String>,
    classifiers: Option<Vec<String>>,
    requires_dist: Option<Vec<String>>,
    ownership: Option<RawOwnership>,
}

#[derive(Deserialize)]
struct RawOwnership {
    organization: Option<String>,
    #[serde(default)]
    roles: Vec<RawRole>,
}

#[derive(Deserialize)]
struct RawRole {
    user: Option<String>,
}

#[derive(Deserialize)]
struct RawFile {
    filename: String,
    #[serde(default)]
    url: String,
    size: Option<u64>,
    upload_time: Option<String>,
    upload_time_iso_8601: Option<String>,
    #[serde(default)]
    yanked: bool,
    yanked_reason: Option<String>,
    requires_python: Option<String>,
}

fn owners(raw: RawOwnership) -> Option<BTreeSet<String>> {
    let users = raw.roles.into_iter().filter_map(|role| role.user);
    let all: BTreeSet<String> = users
        .chain(raw.organization)
        .map(|name| printable(&name))
        .collect();
    (!all.is_empty()).then_some(all)
}

/// Who owns a project, from the end of its project JSON; `None` where the end does not say it. A key can be
/// nowhere but outside of texts, where a quote has no backslash before it.
pub fn owners_at_end(tail: &[u8]) -> Option<BTreeSet<String>> {
    const KEY: &[u8] = b"\"ownership\":";
    let at = tail.windows(KEY.len()).rposition(|bytes| bytes == KEY)?;
    let rest = &tail[at + KEY.len()..];
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<RawOwnership>();
    owners(values.next()?.ok()?)
}

/// The distribution that a `Requires-Dist` line names, and whether the requirement has a marker.
pub fn requirement(line: &str) -> Option<(String, bool)> {
    let line = line.trim();
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(line.len());
    let name = &line[..end];
    (!name.is_empty()).then(|| (normalize(name), line.contains(';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_with_what_is_there() {
        let text = br#"{"info": {"name": "Bs4", "version": "0.0.2", "summary": "a\u001b[31m\nb", "requires_dist": ["beautifulsoup4"]},
            "ownership": {"organization": null, "roles": [{"role": "Owner", "user": "leonardr"}]},
            "releases": {"0.0.1": [{"filename": "bs4-0.0.1.tar.gz", "size": 1129, "upload_time_iso_8601": "2016-07-02T13:00:00Z", "yanked": true, "yanked_reason": "x"}, 7]},
            "vulnerabilities": [{"id": "A", "fixed_in": []}, {"id": "B", "withdrawn": "2020-01-01T00:00:00Z"}, 3]}"#;
        let project = Project::parse(text).unwrap();
        assert_eq!(project.summary.as_deref(), Some("a\u{fffd}[31m"));
        assert_eq!(
            project.owners,
            Some(BTreeSet::from(["leonardr".to_owned()]))
        );
        assert_eq!(project.vulnerabilities.len(), 1);
        assert_eq!(project.releases["0.0.1"][0].yanked.as_deref(), Some("x"));
        let end = br#"": {}}], "last_serial": 7, "ownership": {"roles": [{"user": "ann"}]}}"#;
        assert_eq!(owners_at_end(end), Some(BTreeSet::from(["ann".to_owned()])));
        let told = br#"{"x": "\"ownership\": {\"roles\": []}", "ownership": "me"}"#;
        for unknown in [&told[..], &end[..40], b"", b"\"ownership\":"] {
            assert_eq!(owners_at_end(unknown), None);
        }
        let bare = Project::parse(br#"{"info": {"name": "x"}}"#).unwrap();
        assert_eq!((bare.owners, bare.releases.len()), (None, 0));
        assert!(Project::parse(b"[]").is_err());
    }

    #[test]
    fn a_wheel_provides_what_is_in_it() {
        let wheel = Wheel {
            modules: ["google.cloud.storage", "top"].map(str::to_owned).into(),
            ..Wheel::default()
        };
        assert_eq!(
            wheel.provides("google.cloud.storage.blob"),
            Some("google.cloud.storage")
        );
        assert_eq!(wheel.provides("google.cloud"), Some("google.cloud.storage"));
        assert_eq!(wheel.provides("topx"), None);
        assert_eq!(
            requirement("Foo.Bar>=1 ; extra == 'x'"),
            Some(("foo-bar".into(), true))
        );
    }

    #[test]
    fn the_newest_version_is_final_and_not_yanked() {
        let file = |version: &str, yanked: bool| File {
            filename: format!("x-{version}.tar.gz"),
            version: version.into(),
            yanked: yanked.then(String::new),
            ..File::default()
        };
        let page = |files: Vec<File>| Page {
            files,
            ..Page::default()
        };
        let newest = |page: &Page| {
            page.newest()
                .iter()
                .map(|file| file.version.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            newest(&page(vec![
                file("1.0", false),
                file("1.1", true),
                file("2.0a1", false)
            ])),
            ["1.0"]
        );
        assert_eq!(newest(&page(vec![file("2.0a1", false)])), ["2.0a1"]);
        assert_eq!(newest(&page(vec![file("1", true)])), ["1"]);
        assert!(newest(&page(Vec::new())).is_empty());
    }
}
