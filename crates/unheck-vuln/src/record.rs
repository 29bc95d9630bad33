//! One record of an OSV export (ossf.github.io/osv-schema, versions 1.0 to 1.7). Start at [`Record::parse`].

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The longest record that is read, in bytes; the largest of the public exports have a few million.
pub const MAX_RECORD: u64 = 32 << 20;
/// The longest text that is kept of a record, in characters.
const MAX_TEXT: usize = 300;
/// The most names of affected code that are kept of one record.
const MAX_NAMED: usize = 1000;

/// A vulnerability as a database tells it. Unknown fields are passed over; what is missing is empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its id, such as `PYSEC-2024-1`.
    pub id: String,
    /// When it was changed last, RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub modified: Option<String>,
    /// When it was taken back.
    #[serde(deserialize_with = "or_default")]
    pub withdrawn: Option<String>,
    /// Other ids of the same vulnerability.
    #[serde(deserialize_with = "or_default")]
    pub aliases: Vec<String>,
    /// Ids of the vulnerabilities that this record is about (schema 1.7), such as those of a Debian advisory.
    #[serde(deserialize_with = "or_default")]
    pub upstream: Vec<String>,
    /// One line.
    #[serde(deserialize_with = "or_default")]
    pub summary: String,
    /// The whole text.
    #[serde(deserialize_with = "or_default")]
    pub details: String,
    /// How severe it is.
    #[serde(deserialize_with = "or_default")]
    pub severity: Vec<Severity>,
    /// What is affected.
    #[serde(deserialize_with = "or_default")]
    pub affected: Vec<Affected>,
    /// What only this database says.
    pub database_specific: Value,
}

/// A statement of severity: its kind and its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Severity {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4`, `Ubuntu` and what may come.
    #[serde(rename = "type")]
    pub kind: String,
    /// A vector, or a word.
    pub score: String,
}

/// Which versions of one package are affected.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Affected {
    /// The package; absent where only a repository is named.
    #[serde(deserialize_with = "or_default")]
    pub package: Option<Package>,
    /// Ranges of versions.
    #[serde(deserialize_with = "or_default")]
    pub ranges: Vec<Range>,
    /// Single versions, as the ecosystem writes them.
    #[serde(deserialize_with = "or_default")]
    pub versions: Vec<String>,
    /// Severity where packages differ.
    #[serde(deserialize_with = "or_default")]
    pub severity: Vec<Severity>,
    /// What only this ecosystem says, such as names of affected functions.
    pub ecosystem_specific: Value,
    /// What only this database says.
    pub database_specific: Value,
}

/// A package of an ecosystem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Package {
    /// Such as `PyPI` or `Debian:13`.
    pub ecosystem: String,
    /// Its name there.
    pub name: String,
}

/// A range of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Range {
    /// `ECOSYSTEM`, `SEMVER` or `GIT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository of a `GIT` range.
    #[serde(deserialize_with = "or_default")]
    pub repo: Option<String>,
    /// Where it begins and ends, in any order.
    #[serde(deserialize_with = "or_default")]
    pub events: Vec<Event>,
}

/// One end of a range; exactly one of the fields is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Event {
    /// From here on it is affected; `0` is before all versions.
    #[serde(deserialize_with = "or_default")]
    pub introduced: Option<String>,
    /// From here on it is not.
    #[serde(deserialize_with = "or_default")]
    pub fixed: Option<String>,
    /// Behind this one it is not.
    #[serde(deserialize_with = "or_default")]
    pub last_affected: Option<String>,
    /// The range says nothing of versions from here on; `*` is behind all versions.
    #[serde(deserialize_with = "or_default")]
    pub limit: Option<String>,
}

/// Affected code that a record names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A file, as a path or the end of one.
    File(String),
    /// A dotted name: a module, or something in one.
    Dotted(String),
}

/// It is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON of that shape.
    #[error("it is no OSV record")]
    Json(#[from] serde_json::Error),
    /// It has no id.
    #[error("it is no OSV record: it has no `id`")]
    NoId,
}

impl Record {
    /// Reads one record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut record: Self = serde_json::from_slice(bytes)?;
        if record.id.is_empty() {
            return Err(RecordError::NoId);
        }
        record.id = printable(&record.id);
        let texts = record.aliases.iter_mut().chain(&mut record.upstream);
        texts.for_each(|text| *text = printable(text));
        Ok(record)
    }

    /// One line on what it is: the summary, else the beginning of the details.
    pub fn line(&self) -> String {
        let lines = self.summary.lines().chain(self.details.lines());
        let first = lines
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'));
        printable(first.unwrap_or_default())
    }
}

impl Affected {
    /// The code that is affected, where the record names any: `imports` (path and symbols), `affected_functions`,
    /// `functions`, `modules`, `files` and `paths`, and the same below `affects`.
    pub fn named(&self) -> Vec<Named> {
        let mut named = Vec::new();
        for place in [&self.ecosystem_specific, &self.database_specific] {
            gather(place, &mut named);
            gather(&place["affects"], &mut named);
        }
        named.sort();
        named.dedup();
        named.truncate(MAX_NAMED);
        named
    }
}

fn gather(place: &Value, named: &mut Vec<Named>) {
    let texts = |key: &str| -> Vec<String> {
        let list = place[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(printable).collect()
    };
    for import in place["imports"].as_array().into_iter().flatten() {
        let Some(path) = import["path"].as_str().or_else(|| import.as_str()) else {
            continue;
        };
        let symbols = import["symbols"].as_array().into_iter().flatten();
        let symbols: Vec<&str> = symbols.filter_map(Value::as_str).collect();
        if symbols.is_empty() {
            named.extend(code(path));
        }
        // A file stays a file, whatever is in it.
        named.extend(symbols.iter().flat_map(|symbol| match code(path) {
            Some(Named::Dotted(module)) => {
                Some(Named::Dotted(format!("{module}.{}", printable(symbol))))
            }
            file => file,
        }));
    }
    for key in ["affected_functions", "functions", "modules"] {
        named.extend(texts(key).iter().filter_map(|text| code(text)));
    }
    for key in ["files", "paths"] {
        let files = texts(key).into_iter();
        named.extend(files.filter(|text| !text.is_empty()).map(Named::File));
    }
}

/// A path where it looks like one, else a dotted name; nothing where it is neither.
fn code(text: &str) -> Option<Named> {
    let text = printable(text);
    let text = text.trim().trim_end_matches("()");
    let is_file = text.contains('/') || text.ends_with(".py") || text.ends_with(".c");
    let dotted = |text: &str| {
        text.split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    match is_file {
        true => Some(Named::File(text.to_owned())),
        false => dotted(text).then(|| Named::Dotted(text.to_owned())),
    }
}

/// Foreign text fit to be shown: one line, no control characters, not endless.
pub fn printable(text: &str) -> String {
    let clean = |c: char| match c {
        '\t' => ' ',
        c if c.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c) =>
        {
            '\u{fffd}'
        }
        c => c,
    };
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(MAX_TEXT).map(clean).collect()
}

/// `null` is as good as absent: databases write both.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_with_what_is_there_and_the_rest_is_passed_over() {
        let text = br##"{"schema_version": "1.7.3", "id": "X-1", "modified": "2026-01-02T03:04:05Z", "aliases": null,
            "details": "# Head\n\nIt \u001b[31mbreaks.\nMore", "references": [{"type": "WEB", "url": "u"}], "new": {"a": 1},
            "affected": [{"package": {"ecosystem": "PyPI", "name": "demo", "purl": "pkg:pypi/demo"},
              "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}], "versions": null}]}"##;
        let record = Record::parse(text).unwrap();
        assert_eq!(record.line(), "It \u{fffd}[31mbreaks.");
        assert_eq!(
            record.affected[0].ranges[0].events[1].fixed.as_deref(),
            Some("1.1")
        );
        for bad in [
            "[]",
            "{}",
            "{\"id\": 3}",
            "",
            "{\"id\": \"a\", \"affected\": 7}",
        ] {
            assert!(Record::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn affected_code_is_named_in_several_ways() {
        let affected = |text: &str| Affected {
            ecosystem_specific: serde_json::from_str(text).unwrap(),
            ..Affected::default()
        };
        let named = affected(
            r#"{"imports": [{"path": "demo.net", "symbols": ["get", "put"]}, {"path": "demo/_c.pyx"}],
                "affected_functions": ["demo.aio.Client.get()", "not a name"],
                "affects": {"functions": ["demo.x"]}, "files": ["src/a.c"]}"#,
        );
        let shown: Vec<String> = named.named().iter().map(|one| format!("{one:?}")).collect();
        assert_eq!(
            shown,
            [
                r#"File("demo/_c.pyx")"#,
                r#"File("src/a.c")"#,
                r#"Dotted("demo.aio.Client.get")"#,
                r#"Dotted("demo.net.get")"#,
                r#"Dotted("demo.net.put")"#,
                r#"Dotted("demo.x")"#
            ]
        );
        assert!(Affected::default().named().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail(text in "\\PC{0,200}") {
            drop(Record::parse(text.as_bytes()));
        }
    }
}
