//! Who did what, when: the lines of `audit.log`, of the lock and of a release's record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest name of a person or machine that is written down.
const MAX_TEXT: usize = 120;

/// Who acts, and when: the caller knows, a host does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// A person and a machine, such as `ada@laptop`.
    pub who: String,
    /// Seconds since 1970.
    pub now: i64,
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It began; a line of another outcome follows, unless the host stopped.
    Started,
    /// It was done.
    Done,
    /// What was before is again.
    Undone,
}

/// A line of the audit log. Unknown keys of newer versions are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339, in UTC, by the clock of who acts.
    pub time: String,
    /// A person and a machine.
    pub who: String,
    /// The address that the host sees; a registry tells none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// `deploy`, `release`, `rollback` or `prune`.
    pub what: String,
    /// The release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// How it ended; the lock and records of releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl By {
    /// The line of an act; `from` is an address, as far as the other side sees one.
    pub fn entry(&self, from: &str, what: &str) -> Entry {
        let time = Timestamp::from_second(self.now).unwrap_or(Timestamp::UNIX_EPOCH);
        Entry {
            time: time.to_string(),
            who: short(&self.who),
            from: short(from),
            what: what.to_owned(),
            release: None,
            outcome: None,
        }
    }
}

impl Entry {
    /// The same about a release, with an outcome.
    #[must_use]
    pub fn about(&self, release: &str, outcome: Outcome) -> Self {
        Self {
            release: Some(release.to_owned()),
            outcome: Some(outcome),
            ..self.clone()
        }
    }

    /// One line of JSON, without a line feed.
    pub fn line(&self) -> String {
        // ASCII only, so that no tool of a host cuts a character in two.
        let json = serde_json::to_string(self).expect("texts");
        let escaped = |c: char| {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units);
            units
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect::<String>()
        };
        json.chars()
            .map(|c| {
                if c.is_ascii() && c != '\x7f' {
                    c.to_string()
                } else {
                    escaped(c)
                }
            })
            .collect()
    }

    /// Who it is about, for people.
    pub fn told(&self) -> String {
        let from = match self.from.as_str() {
            "" => String::new(),
            from => format!(" from {from}"),
        };
        format!("{}{from}, `{}` since {}", self.who, self.what, self.time)
    }

    /// Reads a line; `None` when it is none of ours.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_ascii_whatever_a_name_is() {
        let by = By {
            who: "Zoë\n\u{1f600}\u{7f}'$(x)@h".to_owned(),
            now: 1_800_000_000,
        };
        let entry = by
            .entry("192.0.2.1", "release")
            .about("web-1", Outcome::Done);
        let line = entry.line();
        assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line}");
        assert!(line.contains("\"time\":\"2027-01-15T08:00:00Z\""), "{line}");
        assert_eq!(Entry::parse(&line), Some(entry));
        assert_eq!(Entry::parse("{}"), None);
    }
}
