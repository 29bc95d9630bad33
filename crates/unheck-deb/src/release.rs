//! The Release file of a suite (Debian repository format): what the suite is, how fresh, and the
//! digests of its indexes.
//!
//! Takes only text that [`crate::signature`] has verified; MD5 and SHA-1 sections are not even
//! looked at. Start at [`Release::parse`], then [`Release::expect_suite`] and [`Release::freshness`].

use std::collections::BTreeMap;

use unheck_base::{Digest, ParseDigestError, TreePath, TreePathError};

use crate::control::{ControlError, Stanza, StanzaReader};
use crate::date::{self, DateError};
use crate::quote::quote;

/// How far ahead of the clock a Release may be dated, in seconds: clocks differ, suites do not
/// come from tomorrow.
pub const FUTURE_TOLERANCE: i64 = 24 * 60 * 60;

/// A Release file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Origin`, empty when missing.
    pub origin: String,
    /// `Label`, empty when missing.
    pub label: String,
    /// `Suite`, such as `stable`; empty when missing.
    pub suite: String,
    /// `Codename`, such as `trixie`; empty when missing.
    pub codename: String,
    /// `Version`, such as `13.2`; testing and unstable have none.
    pub version: Option<String>,
    /// `Date`, Unix seconds.
    pub date: i64,
    /// `Valid-Until`, Unix seconds; stable suites have none.
    pub valid_until: Option<i64>,
    /// `Architectures`.
    pub architectures: Vec<String>,
    /// `Components`, without the `updates/` that security suites put before them: the paths
    /// of their indexes lack it too.
    pub components: Vec<String>,
    /// `Acquire-By-Hash: yes`: see [`Release::by_hash`].
    pub acquire_by_hash: bool,
    /// Every index by its path, counted from the directory of the Release file.
    pub files: BTreeMap<TreePath, FileEntry>,
}

/// What a Release file says of one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileEntry {
    /// The digest of the file as it is served, compressed or not.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a Release file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is no control data.
    #[error("cannot read the Release file")]
    Control(#[source] ControlError),
    /// It has no stanza, or more than one.
    #[error("the Release file has {count} stanzas instead of one")]
    Stanzas {
        /// How many, `no` or `several`.
        count: &'static str,
    },
    /// A field that must be there is not.
    #[error("the Release file lacks the field `{0}`")]
    Missing(&'static str),
    /// There are only digests that nobody should trust.
    #[error("the Release file has no `SHA256` section (MD5 and SHA-1 are not trusted)")]
    NoSha256,
    /// A date cannot be read.
    #[error("the Release file has a bad `{field}`")]
    Date {
        /// `Date` or `Valid-Until`.
        field: &'static str,
        /// Why.
        #[source]
        source: DateError,
    },
    /// A line of the section is not `digest size path`.
    #[error("the line `{0}` of the `SHA256` section is not `digest size path`")]
    Line(String),
    /// A digest in the section is none.
    #[error("the entry `{path}` of the `SHA256` section has a bad digest")]
    Digest {
        /// The path of the entry.
        path: String,
        /// Why.
        #[source]
        source: ParseDigestError,
    },
    /// A path in the section would leave the directory of the suite.
    #[error("the entry `{path}` of the `SHA256` section has a bad path")]
    Path {
        /// The path of the entry.
        path: String,
        /// Why.
        #[source]
        source: TreePathError,
    },
    /// A path is listed twice.
    #[error("the `SHA256` section lists `{0}` twice")]
    Duplicate(TreePath),
    /// The mirror answered with another suite.
    #[error(
        "asked for suite `{asked}`, but the Release file is of suite `{suite}`, codename `{codename}`"
    )]
    OtherSuite {
        /// The suite asked for.
        asked: String,
        /// Its `Suite`.
        suite: String,
        /// Its `Codename`.
        codename: String,
    },
}

/// Why a Release file is not to be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FreshnessError {
    /// `Valid-Until` has passed.
    #[error(
        "the Release file of `{suite}` was valid until {}, and it is {} now",
        date::show(*valid_until), date::show(*now)
    )]
    Expired {
        /// The codename.
        suite: String,
        /// Its `Valid-Until`, Unix seconds.
        valid_until: i64,
        /// The clock, Unix seconds.
        now: i64,
    },
    /// An older Release file than the last one seen: somebody may be replaying an old archive.
    #[error(
        "the Release file of `{suite}` is of {}, older than the one of {} seen before",
        date::show(*date), date::show(*last_seen)
    )]
    Downgraded {
        /// The codename.
        suite: String,
        /// Its `Date`, Unix seconds.
        date: i64,
        /// The `Date` seen before, Unix seconds.
        last_seen: i64,
    },
    /// Dated more than [`FUTURE_TOLERANCE`] ahead of the clock.
    #[error(
        "the Release file of `{suite}` is dated {}, and it is only {} now",
        date::show(*date), date::show(*now)
    )]
    Future {
        /// The codename.
        suite: String,
        /// Its `Date`, Unix seconds.
        date: i64,
        /// The clock, Unix seconds.
        now: i64,
    },
}

impl FreshnessError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Expired { suite, .. } => format!(
                "use a mirror that is up to date, set the clock if it is wrong, or accept the old \
                 index with `--allow-expired-suite {suite}`"
            ),
            Self::Downgraded { .. } => {
                "use another mirror: this one went back in time, or somebody replays an old archive"
                    .into()
            }
            Self::Future { .. } => "set the clock of this machine, or use another mirror".into(),
        }
    }
}

impl Release {
    /// Reads the text of a Release file, which must have been verified before.
    ///
    /// # Errors
    /// [`ReleaseError`]; nothing is repaired.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut reader = StanzaReader::new(text.as_bytes());
        let release = match reader.next_stanza().map_err(ReleaseError::Control)? {
            Some(stanza) => Self::from_stanza(&stanza)?,
            None => return Err(ReleaseError::Stanzas { count: "no" }),
        };
        match reader.next_stanza().map_err(ReleaseError::Control)? {
            None => Ok(release),
            Some(_) => Err(ReleaseError::Stanzas { count: "several" }),
        }
    }

    fn from_stanza(stanza: &Stanza<'_>) -> Result<Self, ReleaseError> {
        let text = |field| String::from(stanza.get(field).unwrap_or_default());
        let words = |field| {
            stanza
                .get(field)
                .unwrap_or_default()
                .split_ascii_whitespace()
        };
        let seconds =
            |field, text| date::parse(text).map_err(|source| ReleaseError::Date { field, source });
        let dated = stanza.get("Date").ok_or(ReleaseError::Missing("Date"))?;
        let last_part = |name: &str| String::from(name.rsplit('/').next().unwrap_or(name));
        let release = Self {
            origin: text("Origin"),
            label: text("Label"),
            suite: text("Suite"),
            codename: text("Codename"),
            version: stanza.get("Version").map(Into::into),
            date: seconds("Date", dated)?,
            valid_until: match stanza.get("Valid-Until") {
                Some(until) => Some(seconds("Valid-Until", until)?),
                None => None,
            },
            architectures: words("Architectures").map(Into::into).collect(),
            components: words("Components").map(last_part).collect(),
            acquire_by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            files: parse_files(stanza.get("SHA256").ok_or(ReleaseError::NoSha256)?)?,
        };
        match release.suite.is_empty() && release.codename.is_empty() {
            true => Err(ReleaseError::Missing("Codename")),
            false => Ok(release),
        }
    }

    /// Whether the file may be used at `now` (Unix seconds), given the `Date` of the last Release
    /// of this suite that was used. `allow_expired` switches off the check of `Valid-Until` alone.
    ///
    /// # Errors
    /// Which rule it breaks, the two dates, and a hint.
    pub fn freshness(
        &self,
        now: i64,
        last_seen: Option<i64>,
        allow_expired: bool,
    ) -> Result<(), FreshnessError> {
        let suite = || match self.codename.is_empty() {
            true => quote(&self.suite),
            false => quote(&self.codename),
        };
        if let Some(last_seen) = last_seen.filter(|seen| self.date < *seen) {
            return Err(FreshnessError::Downgraded {
                suite: suite(),
                date: self.date,
                last_seen,
            });
        }
        if self.date > now.saturating_add(FUTURE_TOLERANCE) {
            return Err(FreshnessError::Future {
                suite: suite(),
                date: self.date,
                now,
            });
        }
        match self.valid_until {
            Some(valid_until) if valid_until < now && !allow_expired => {
                Err(FreshnessError::Expired {
                    suite: suite(),
                    valid_until,
                    now,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether this is the suite that was asked for, by its codename (`trixie`,
    /// `trixie-security`) or by its suite (`stable`).
    ///
    /// # Errors
    /// [`ReleaseError::OtherSuite`].
    pub fn expect_suite(&self, name: &str) -> Result<(), ReleaseError> {
        if !name.is_empty() && (self.codename == name || self.suite == name) {
            return Ok(());
        }
        Err(ReleaseError::OtherSuite {
            asked: quote(name),
            suite: quote(&self.suite),
            codename: quote(&self.codename),
        })
    }

    /// Where the index at `path` lies under its digest, a name that does not change when the suite
    /// moves on; `None` when the file is unknown or the archive does not keep such names.
    pub fn by_hash(&self, path: &TreePath) -> Option<TreePath> {
        let entry = self.files.get(path).filter(|_| self.acquire_by_hash)?;
        let name = format!("by-hash/SHA256/{}", entry.digest.hex());
        match path.parent() {
            Some(directory) => directory.join(&name).ok(),
            None => TreePath::new(&name).ok(),
        }
    }
}

fn parse_files(section: &str) -> Result<BTreeMap<TreePath, FileEntry>, ReleaseError> {
    let mut files = BTreeMap::new();
    for line in section
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let mut words = line.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(ReleaseError::Line(quote(line)));
        };
        let digits = size.bytes().all(|byte| byte.is_ascii_digit());
        let size = size.parse().ok().filter(|_| digits);
        let entry = FileEntry {
            digest: digest.parse().map_err(|source| ReleaseError::Digest {
                path: quote(path),
                source,
            })?,
            size: size.ok_or_else(|| ReleaseError::Line(quote(line)))?,
        };
        let path = TreePath::new(path).map_err(|source| ReleaseError::Path {
            path: quote(path),
            source,
        })?;
        if files.contains_key(&path) {
            return Err(ReleaseError::Duplicate(path));
        }
        files.insert(path, entry);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text() -> String {
        format!(
            "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nVersion: 13\n\
             Codename: trixie-security\nDate: Sat, 21 Nov 2026 00:53:03 UTC\n\
             Valid-Until: Sat, 28 Nov 2026 00:53:03 UTC\nAcquire-By-Hash: yes\n\
             Architectures: amd64 arm64\nComponents: updates/main updates/contrib\n\
             MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 x\n\
             SHA256:\n {EMPTY}        0 main/binary-amd64/Packages\n {EMPTY} 20 Release.extra\n"
        )
    }

    fn release() -> Release {
        Release::parse(&text()).expect("a Release file")
    }

    #[test]
    fn a_release_file_is_read_whole() {
        let release = release();
        assert_eq!(release.codename, "trixie-security");
        assert_eq!(release.version.as_deref(), Some("13"));
        assert_eq!(date::show(release.date), "2026-11-21 00:53:03 UTC");
        assert_eq!(release.components, ["main", "contrib"]);
        assert_eq!(release.files.len(), 2);
        let path = TreePath::new("main/binary-amd64/Packages").expect("a path");
        assert_eq!(release.files[&path].digest, Digest::of(b""));
        assert_eq!(
            release.by_hash(&path).expect("by hash").as_str(),
            format!("main/binary-amd64/by-hash/SHA256/{EMPTY}")
        );
        let top = TreePath::new("Release.extra").expect("a path");
        assert_eq!(
            release.by_hash(&top).expect("by hash").as_str(),
            format!("by-hash/SHA256/{EMPTY}")
        );
    }

    #[test]
    fn hostile_release_files_are_refused_with_the_reason() {
        let weak = text().replace("SHA256:", "SHA1:");
        let twice = text().replace("Release.extra", "main/binary-amd64/Packages");
        let cases = [
            (weak, "has no `SHA256` section"),
            (twice, "lists `main/binary-amd64/Packages` twice"),
            (
                text().replace("main/binary", "../main/binary"),
                "`../main/binary-amd64/Packages` of the `SHA256` section has a bad path",
            ),
            (text().replace(" Release.extra", " /etc/passwd"), "bad path"),
            (
                text().replace(" 20 R", " +20 R"),
                "is not `digest size path`",
            ),
            (
                text().replace(" 20 R", " 20 x R"),
                "is not `digest size path`",
            ),
            (text().replace(EMPTY, "00"), "has a bad digest"),
            (
                text().replace("Date: Sat", "Dated: Sat"),
                "lacks the field `Date`",
            ),
            (
                text().replace("28 Nov 2026 00:53:03 UTC", "28 Nov 2026 00:53:03 EST"),
                "has a bad `Valid-Until`",
            ),
            (
                text()
                    .replace("Suite: ", "X: ")
                    .replace("Codename: ", "Y: "),
                "lacks the field `Codename`",
            ),
            (format!("{}\n{}", text(), text()), "has several stanzas"),
            (String::new(), "has no stanzas"),
        ];
        for (text, expected) in cases {
            let message = Release::parse(&text).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn another_suite_than_the_one_asked_for_is_refused() {
        let release = release();
        release
            .expect_suite("trixie-security")
            .expect("its codename");
        release.expect_suite("stable-security").expect("its suite");
        for other in ["trixie", "stable", "bookworm-security", ""] {
            release.expect_suite(other).expect_err(other);
        }
    }

    #[test]
    fn freshness_names_both_dates_and_a_remedy() {
        let release = release();
        let day = 24 * 60 * 60;
        let in_time = release.date + day;
        let check = |now, seen, allow| {
            let error = release.freshness(now, seen, allow).err();
            error
                .map(|error| format!("{error}; {}", error.hint()))
                .unwrap_or_default()
        };
        assert_eq!(check(in_time, None, false), "");
        assert_eq!(check(in_time, Some(release.date), false), "");
        assert_eq!(check(release.date - day, None, false), "");
        assert_eq!(check(release.date + 8 * day, None, true), "");
        assert_eq!(
            check(release.date + 8 * day, None, false),
            "the Release file of `trixie-security` was valid until 2026-11-28 00:53:03 UTC, and it is \
             2026-11-29 00:53:03 UTC now; use a mirror that is up to date, set the clock if it is wrong, or \
             accept the old index with `--allow-expired-suite trixie-security`"
        );
        assert!(
            check(in_time, Some(release.date + 1), true)
                .contains("2026-11-21 00:53:03 UTC, older than the one of 2026-11-21 00:53:04 UTC")
        );
        assert!(
            check(release.date - day - 1, None, true).contains(
                "dated 2026-11-21 00:53:03 UTC, and it is only 2026-11-20 00:53:02 UTC now"
            )
        );
    }

    proptest! {
        #[test]
        fn never_panics(line in "\\PC{0,60}", now in any::<i64>(), seen in any::<Option<i64>>()) {
            let changed = text().replace("Release.extra", &line);
            if let Ok(release) = Release::parse(&changed) {
                let _ = release.freshness(now, seen, false);
            }
            let _ = Release::parse(&line);
        }
    }
}
