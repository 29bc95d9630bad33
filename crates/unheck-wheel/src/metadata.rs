//! METADATA and WHEEL, the two files of fields in the `.dist-info` directory.
//!
//! Source: core metadata specification (up to 2.5, PEP 794) and binary distribution format
//! specification. Only name, version and format versions are judged; the other fields are kept
//! as they are written. Text from them is foreign: escape it before it goes to a terminal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::fields::Fields;
use crate::limits::{LimitExceeded, Limits, shown};
use crate::name::{WheelName, is_project_name, normalize_name};
use crate::version::same_version;

/// The core metadata of a wheel, without the description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// `Metadata-Version`, such as `2.4`.
    pub metadata_version: String,
    /// `Name` as written; see [`normalize_name`].
    pub name: String,
    /// `Version` as written.
    pub version: String,
    /// `Summary`.
    pub summary: Option<String>,
    /// `Requires-Python`, a specifier.
    pub requires_python: Option<String>,
    /// `Requires-Dist`, requirements (PEP 508) as written.
    pub requires_dist: Vec<String>,
    /// `Provides-Extra` as written.
    pub provides_extra: Vec<String>,
    /// `Import-Name` (PEP 794), with `; private` where it is so.
    pub import_names: Vec<String>,
    /// `Import-Namespace` (PEP 794).
    pub import_namespaces: Vec<String>,
    /// `License-Expression` (PEP 639).
    pub license_expression: Option<String>,
    /// `License`, free text.
    pub license: Option<String>,
    /// `License-File` (PEP 639), paths below `.dist-info/licenses`.
    pub license_files: Vec<String>,
    /// `Classifier`.
    pub classifiers: Vec<String>,
    /// `Project-URL`, as label and URL.
    pub project_urls: Vec<(String, String)>,
    /// `Home-page`.
    pub home_page: Option<String>,
    /// `Author`.
    pub author: Option<String>,
    /// `Author-email`.
    pub author_email: Option<String>,
    /// `Maintainer`.
    pub maintainer: Option<String>,
    /// `Maintainer-email`.
    pub maintainer_email: Option<String>,
    /// `Keywords`.
    pub keywords: Option<String>,
    /// `Dynamic`, names of fields.
    pub dynamic: Vec<String>,
}

/// The content of the WHEEL file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WheelInfo {
    /// `Wheel-Version`, of which the first number is 1.
    pub wheel_version: String,
    /// `Generator`, the tool that made the wheel.
    pub generator: Option<String>,
    /// `Root-Is-Purelib`: whether the root of the archive goes to purelib, not platlib.
    pub root_is_purelib: bool,
    /// `Tag`, all of them; the same set as in the file name.
    pub tags: BTreeSet<String>,
}

/// Why METADATA or WHEEL was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A field is not there exactly once.
    #[error("`{file}` has {count} fields `{field}`, not one")]
    NotOnce {
        /// The file.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A field has a value that cannot be.
    #[error("`{file}` has `{value}` as `{field}`, expected is {expected}")]
    Value {
        /// The file.
        file: &'static str,
        /// The field.
        field: &'static str,
        /// Its value, escaped.
        value: String,
        /// What would do.
        expected: String,
    },
    /// There are too many fields.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

impl Metadata {
    /// Reads METADATA (or PKG-INFO) alone, without a wheel's name to compare it with.
    ///
    /// # Errors
    /// When `Metadata-Version`, `Name` or `Version` is not there once or not valid.
    pub fn parse(content: &[u8], limits: &Limits) -> Result<Self, FieldsError> {
        const FILE: &str = "METADATA";
        let fields = Fields::parse(content, FILE, limits)?;
        let once = |key: &str, field| {
            let value = fields.single(key);
            let value = value.map_err(|count| FieldsError::NotOnce {
                file: FILE,
                field,
                count,
            })?;
            Ok::<_, FieldsError>(value.to_owned())
        };
        let metadata_version = once("metadata-version", "Metadata-Version")?;
        if !matches!(major(&metadata_version), Some(1 | 2)) {
            let expected = "1.x or 2.x";
            return Err(wrong(FILE, "Metadata-Version", &metadata_version, expected));
        }
        let name = once("name", "Name")?;
        if !is_project_name(&name) {
            return Err(wrong(FILE, "Name", &name, "a distribution's name"));
        }
        let version = once("version", "Version")?;
        if version.is_empty() || version.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong(FILE, "Version", &version, "a version"));
        }
        let url = |line: &str| {
            let (label, url) = line.split_once(',').unwrap_or(("", line));
            (label.trim().to_owned(), url.trim().to_owned())
        };
        Ok(Self {
            metadata_version,
            name,
            version,
            summary: fields.first("summary"),
            requires_python: fields.first("requires-python"),
            requires_dist: fields.list("requires-dist"),
            provides_extra: fields.list("provides-extra"),
            import_names: fields.list("import-name"),
            import_namespaces: fields.list("import-namespace"),
            license_expression: fields.first("license-expression"),
            license: fields.first("license"),
            license_files: fields.list("license-file"),
            classifiers: fields.list("classifier"),
            project_urls: fields.all("project-url").map(url).collect(),
            home_page: fields.first("home-page"),
            author: fields.first("author"),
            author_email: fields.first("author-email"),
            maintainer: fields.first("maintainer"),
            maintainer_email: fields.first("maintainer-email"),
            keywords: fields.first("keywords"),
            dynamic: fields.list("dynamic"),
        })
    }

    /// Compares name and version with those of the file name.
    pub(crate) fn check_name(&self, wheel: &WheelName) -> Result<(), FieldsError> {
        if normalize_name(&self.name) != wheel.project() {
            let expected = format!("`{}` as in the file name", wheel.project());
            return Err(wrong("METADATA", "Name", &self.name, &expected));
        }
        if !same_version(&self.version, wheel.version()) {
            let expected = format!("`{}` as in the file name", wheel.version());
            return Err(wrong("METADATA", "Version", &self.version, &expected));
        }
        Ok(())
    }
}

impl WheelInfo {
    /// Reads WHEEL and compares its tags with those of the file name.
    pub(crate) fn parse(
        content: &[u8],
        wheel: &WheelName,
        limits: &Limits,
    ) -> Result<Self, FieldsError> {
        const FILE: &str = "WHEEL";
        let fields = Fields::parse(content, FILE, limits)?;
        let once = |key: &str, field| {
            let value = fields.single(key);
            value.map_err(|count| FieldsError::NotOnce {
                file: FILE,
                field,
                count,
            })
        };
        let wheel_version = once("wheel-version", "Wheel-Version")?;
        // "Installers … must fail if the major version is greater" (and there is no 0.x).
        if major(wheel_version) != Some(1) {
            return Err(wrong(FILE, "Wheel-Version", wheel_version, "1.x"));
        }
        let purelib = once("root-is-purelib", "Root-Is-Purelib")?;
        let root_is_purelib = match purelib.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(wrong(FILE, "Root-Is-Purelib", purelib, "`true` or `false`")),
        };
        let mut tags = BTreeSet::new();
        for line in fields.all("tag") {
            tags.extend(expand(line).unwrap_or_else(|| BTreeSet::from([line.to_owned()])));
        }
        let expected = wheel.tags();
        if tags != expected {
            let join = |tags: &BTreeSet<String>| {
                tags.iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let expected = format!("`{}` as in the file name", shown(&join(&expected)));
            return Err(wrong(FILE, "Tag", &join(&tags), &expected));
        }
        Ok(Self {
            wheel_version: wheel_version.to_owned(),
            generator: fields.first("generator"),
            root_is_purelib,
            tags,
        })
    }
}

/// The tags of one line of WHEEL, which some tools write as a compressed set.
fn expand(line: &str) -> Option<BTreeSet<String>> {
    let name: WheelName = format!("x-0-{line}.whl").parse().ok()?;
    Some(name.tags())
}

fn major(version: &str) -> Option<u32> {
    let (major, minor) = version.split_once('.')?;
    minor.parse::<u32>().ok()?;
    major.parse().ok()
}

fn wrong(file: &'static str, field: &'static str, value: &str, expected: &str) -> FieldsError {
    FieldsError::Value {
        file,
        field,
        value: shown(value),
        expected: expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const METADATA: &str = "Metadata-Version: 2.5\nName: Foo.Bar\r\nVersion: 1.0\n\
        Summary: a\n  folded one\nLicense: UNKNOWN\nRequires-Dist: a>1 ; extra == 'x'\n\
        requires-dist: b\nProvides-Extra: x\nImport-Name: foo\nImport-Namespace: bar\n\
        Project-URL: Source, https://example.invalid/a,b\nAuthor: J\u{f6}rg\nDynamic: License\n\
        \nDescription\nRequires-Dist: not-this\n";

    #[test]
    fn fields_are_read_until_the_description() {
        let metadata = Metadata::parse(METADATA.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(metadata.summary.as_deref(), Some("a\nfolded one"));
        assert_eq!(metadata.requires_dist, ["a>1 ; extra == 'x'", "b"]);
        assert_eq!(metadata.license, None);
        assert_eq!(metadata.import_names, ["foo"]);
        assert_eq!(metadata.import_namespaces, ["bar"]);
        assert_eq!(
            metadata.project_urls,
            [("Source".into(), "https://example.invalid/a,b".into())]
        );
        let name: WheelName = "foo_bar-1-py3-none-any.whl".parse().unwrap();
        assert_eq!(metadata.check_name(&name), Ok(()));
    }

    #[test]
    fn metadata_in_latin_1_is_still_read() {
        let content = b"Metadata-Version: 2.1\nName: a\nVersion: 1\nAuthor: J\xf6rg\n";
        let metadata = Metadata::parse(content, &Limits::default()).unwrap();
        assert_eq!(metadata.author.as_deref(), Some("J\u{fffd}rg"));
    }

    #[test]
    fn impossible_metadata_is_refused_with_the_field() {
        for (content, expected) in [
            ("", "has 0 fields `Metadata-Version`"),
            ("Metadata-Version: 3.0\nName: a\nVersion: 1\n", "1.x or 2.x"),
            (
                "Metadata-Version: 2.1\nName: a\nName: b\nVersion: 1\n",
                "2 fields `Name`",
            ),
            (
                "Metadata-Version: 2.1\nName: a/b\nVersion: 1\n",
                "a distribution's name",
            ),
            (
                "Metadata-Version: 2.1\nName: a\nVersion: 1 2\n",
                "`1 2` as `Version`",
            ),
            (
                "Metadata-Version: 2.1\nno field\nName: a\nVersion: 1\n",
                "0 fields `Name`",
            ),
        ] {
            let error = Metadata::parse(content.as_bytes(), &Limits::default());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let many = format!(
            "Metadata-Version: 2.1\nName: a\nVersion: 1\n{}",
            "Requires-Dist: b\n".repeat(20_000)
        );
        let error = Metadata::parse(many.as_bytes(), &Limits::default());
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("limit `fields` of 20000")
        );
    }

    #[test]
    fn wheel_file_must_agree_with_the_name() {
        let name: WheelName = "a-1-py2.py3-none-any.whl".parse().unwrap();
        let good =
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n";
        let parse = |text: &str| WheelInfo::parse(text.as_bytes(), &name, &Limits::default());
        assert!(parse(good).unwrap().root_is_purelib);
        assert!(parse(&good.replace("Tag: py2", "Tag: py2.py3")).is_ok());
        for (bad, expected) in [
            (good.replace("1.0", "2.0"), "`2.0` as `Wheel-Version`"),
            (
                good.replace("true", "maybe"),
                "`maybe` as `Root-Is-Purelib`",
            ),
            (
                good.replace("Tag: py2-none-any\n", ""),
                "`py3-none-any` as `Tag`",
            ),
            (good.replace("Root-Is-Purelib: true\n", ""), "0 fields"),
        ] {
            let error = parse(&bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Metadata::parse(&content, &Limits::default());
            let name: WheelName = "a-1-py3-none-any.whl".parse().unwrap();
            let _ = WheelInfo::parse(&content, &name, &Limits::default());
        }
    }
}
