//! The pages of an index in JSON, as they are sent: the resolver's own reader drops what it does not need,
//! such as the digests of metadata files, provenance, and status markers that it does not know.
//!
//! Formats: the Simple API in JSON (PEP 691) with sizes and times (PEP 700), metadata files (PEP 658,
//! PEP 714), provenance (PEP 740) and status markers (PEP 792). Start at [`parse`].

use std::str::FromStr;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use unheck_base::Digest;
use uv_distribution_filename::DistFilename;
use uv_normalize::PackageName;

use crate::cause::bare_url;
use crate::index::{IndexFile, IndexPage, MetadataFile};

/// The longest text that is taken from a page for one field, in bytes.
const MAX_TEXT: usize = 4096;

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "project-status")]
    status: Option<Status>,
    #[serde(deserialize_with = "readable")]
    files: Vec<File>,
}

/// PEP 792 says `state` in its text and `status` in its example; indexes and the specification that came of
/// it say `status`.
#[derive(Deserialize)]
struct Status {
    #[serde(alias = "state")]
    status: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Hashes,
    requires_python: Option<String>,
    size: Option<u64>,
    upload_time: Option<String>,
    yanked: Option<Yanked>,
    core_metadata: Option<Metadata>,
    dist_info_metadata: Option<Metadata>,
    data_dist_info_metadata: Option<Metadata>,
    provenance: Option<String>,
}

#[derive(Deserialize, Default)]
struct Hashes {
    sha256: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Yanked {
    Is(bool),
    For(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Metadata {
    Is(bool),
    With(Hashes),
}

/// The files that can be read. Each is looked at by itself: a page of megabytes is many times that as values.
fn readable<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<File>, D::Error> {
    struct Files;

    impl<'d> Visitor<'d> for Files {
        type Value = Vec<File>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("a list of files")
        }

        fn visit_seq<A: SeqAccess<'d>>(self, mut list: A) -> Result<Vec<File>, A::Error> {
            let mut files = Vec::new();
            while let Some(value) = list.next_element::<serde_json::Value>()? {
                files.extend(serde_json::from_value::<File>(value));
            }
            Ok(files)
        }
    }

    deserializer.deserialize_seq(Files)
}

/// Reads a page that `url` sent. A file that cannot be read or has no version is left out.
pub(crate) fn parse(
    text: &str,
    url: &url::Url,
    package: &PackageName,
) -> Result<IndexPage, serde_json::Error> {
    let page: Page = serde_json::from_str(text)?;
    let status = page.status.and_then(|its| {
        let word = its.status.filter(|word| word != "active")?;
        Some((short(word), its.reason.map(short)))
    });
    let files = page.files.into_iter();
    let mut files: Vec<_> = files
        .filter_map(|stated| file(stated, url, package))
        .collect();
    files.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(IndexPage {
        index: None,
        status,
        files: files.into_iter().map(|(_, file)| file).collect(),
    })
}

fn file(
    file: File,
    url: &url::Url,
    package: &PackageName,
) -> Option<(uv_pep440::Version, IndexFile)> {
    let version = match DistFilename::try_from_filename(&file.filename, package)? {
        DistFilename::WheelFilename(wheel) => wheel.version,
        DistFilename::SourceDistFilename(sdist) => sdist.version,
    };
    let metadata = file
        .core_metadata
        .or(file.dist_info_metadata)
        .or(file.data_dist_info_metadata);
    let digest = |hashes: Hashes| Digest::from_str(&hashes.sha256?).ok();
    let told = IndexFile {
        version: version.to_string(),
        url: bare_url(&url.join(&file.url).ok()?),
        size: file.size,
        upload_time: file.upload_time.map(short),
        yanked: file.yanked.and_then(|yanked| match yanked {
            Yanked::Is(false) => None,
            Yanked::Is(true) => Some(String::new()),
            Yanked::For(reason) => Some(short(reason)),
        }),
        requires_python: file
            .requires_python
            .filter(|text| !text.is_empty())
            .map(short),
        sha256: digest(file.hashes),
        metadata: metadata.and_then(|metadata| match metadata {
            Metadata::Is(false) => None,
            Metadata::Is(true) => Some(MetadataFile { sha256: None }),
            Metadata::With(hashes) => Some(MetadataFile {
                sha256: digest(hashes),
            }),
        }),
        provenance: file
            .provenance
            .and_then(|text| url.join(&text).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| bare_url(&url)),
        filename: file.filename,
    };
    Some((version, told))
}

fn short(mut text: String) -> String {
    let end = (0..=MAX_TEXT.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> IndexPage {
        let url = url::Url::parse("https://x.test/simple/demo/").expect("a URL");
        let name = PackageName::from_str("demo").expect("a name");
        parse(text, &url, &name).expect("a page")
    }

    #[test]
    fn what_an_index_offers_is_kept() {
        let digest = "ab".repeat(32);
        let page = read(&format!(
            r#"{{"files": [
                {{"filename": "demo-1.10-py3-none-any.whl", "url": "../../f/demo-1.10-py3-none-any.whl",
                  "hashes": {{"sha256": "{digest}"}}, "size": 7, "yanked": "bad",
                  "core-metadata": {{"sha256": "{digest}"}}, "provenance": "/integrity/demo/provenance"}},
                {{"filename": "demo-1.9.tar.gz", "url": "https://files.test/demo-1.9.tar.gz", "hashes": {{}},
                  "requires-python": ">=3", "yanked": false, "data-dist-info-metadata": true, "provenance": null}},
                {{"filename": "demo-1.8.exe", "url": "x"}}, 7]}}"#
        ));
        let names: Vec<&str> = page
            .files
            .iter()
            .map(|file| file.version.as_str())
            .collect();
        assert_eq!(
            names,
            ["1.9", "1.10"],
            "oldest first; the rest has no version"
        );
        let [old, new] = &page.files[..] else {
            unreachable!()
        };
        assert_eq!(new.url, "https://x.test/f/demo-1.10-py3-none-any.whl");
        assert_eq!(
            new.provenance.as_deref(),
            Some("https://x.test/integrity/demo/provenance")
        );
        assert_eq!(new.metadata, Some(MetadataFile { sha256: new.sha256 }));
        assert!(new.sha256.is_some() && new.yanked.as_deref() == Some("bad"));
        assert_eq!(old.metadata, Some(MetadataFile { sha256: None }));
        assert!(old.yanked.is_none() && old.provenance.is_none() && page.status.is_none());
    }

    #[test]
    fn status_markers_have_two_spellings_and_unknown_words() {
        for (text, expected) in [
            (
                r#"{"status": "archived", "reason": "done"}"#,
                Some(("archived", Some("done"))),
            ),
            (r#"{"state": "quarantined"}"#, Some(("quarantined", None))),
            (
                r#"{"status": "haunted", "reason": null}"#,
                Some(("haunted", None)),
            ),
            (r#"{"status": "active", "reason": "x"}"#, None),
            (r#"{}"#, None),
            ("null", None),
        ] {
            let page = read(&format!(r#"{{"project-status": {text}, "files": []}}"#));
            let told = page.status.as_ref();
            let told = told.map(|(word, reason)| (word.as_str(), reason.as_deref()));
            assert_eq!(told, expected, "{text}");
        }
    }
}
