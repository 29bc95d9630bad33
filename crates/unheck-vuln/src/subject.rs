//! Whether a record is about something that ships. Start at [`judge`].
//!
//! Packages are found by ecosystem and name. A library inside a wheel has neither: it is found by its name among
//! projects, by the versions that a record lists, or by the upstream version in which Debian repaired it; each answer
//! says how sure that is.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use unheck_deb::version::DebVersion;

use crate::order::{Answer, Scheme, in_ranges};
use crate::record::{Affected, Named, Record};
use crate::severity::{Rating, ratings};

/// The most that a comparison with Debian's upstream versions says, in percent: who built the library may have
/// repaired it as Debian does, without another version.
const BY_UPSTREAM: u8 = 50;
/// The same where Debian knows of no version that repairs it.
const BY_UPSTREAM_OPEN: u8 = 20;

/// Something that ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What it is called in its bill.
    pub id: String,
    /// Its version; of a Debian package that of its source.
    pub version: String,
    /// Where records know it from.
    pub kind: Kind,
}

/// Where records know a subject from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A package of an ecosystem.
    Package(Ecosystem, String),
    /// A project without a package: names that it goes by, and how sure name and version are, in percent.
    Library(BTreeSet<String>, u8),
}

/// An ecosystem whose versions can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// The Python Package Index.
    PyPi,
    /// A release of Debian by its number; `None` is what comes after the last one.
    Debian(Option<u32>),
    /// Rust's registry.
    CratesIo,
}

/// A record that is about a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The record's id.
    pub id: String,
    /// Its other ids.
    pub aliases: Vec<String>,
    /// What it is about, where it is not one vulnerability itself.
    pub upstream: Vec<String>,
    /// One line.
    pub summary: String,
    /// How severe.
    pub ratings: Vec<Rating>,
    /// Versions that repair it, the least first.
    pub fixed: Vec<String>,
    /// When the record changed last.
    pub modified: Option<String>,
    /// Affected code that it names.
    pub named: Vec<Named>,
    /// How sure it is that this version is affected, in percent.
    pub sure: u8,
    /// Why it is not sure.
    pub doubt: Option<String>,
}

impl Ecosystem {
    const fn scheme(self) -> Scheme {
        match self {
            Self::PyPi => Scheme::Python,
            Self::Debian(_) => Scheme::Debian,
            Self::CratesIo => Scheme::Semver,
        }
    }

    /// Whether a record's ecosystem is this one; the newest release that a record knows stands for what has no number.
    fn is(self, text: &str, newest: Option<u32>) -> bool {
        match self {
            Self::PyPi => text == "PyPI",
            Self::CratesIo => text == "crates.io",
            Self::Debian(release) => match text.strip_prefix("Debian") {
                // Older exports have no release.
                Some("") => true,
                Some(rest) => {
                    let number = rest.strip_prefix(':').and_then(|text| text.parse().ok());
                    number.is_some() && number == release.or(newest)
                }
                None => false,
            },
        }
    }
}

/// The name of a package as its ecosystem compares it.
pub fn normalized(ecosystem: Ecosystem, name: &str) -> String {
    match ecosystem {
        // PEP 503.
        Ecosystem::PyPi => {
            let lower = name.to_lowercase();
            let words = lower.split(['-', '_', '.']).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join("-")
        }
        _ => name.to_owned(),
    }
}

/// What `record` says of `subject`; nothing where it is about something else, about other versions, or taken back.
pub fn judge(record: &Record, subject: &Subject) -> Option<Hit> {
    if record.withdrawn.is_some() {
        return None;
    }
    match &subject.kind {
        Kind::Package(ecosystem, name) => package(record, &subject.version, *ecosystem, name),
        Kind::Library(names, sure) => library(record, &subject.version, names, *sure),
    }
}

fn package(record: &Record, version: &str, ecosystem: Ecosystem, name: &str) -> Option<Hit> {
    let newest = newest(record);
    let is_it = |affected: &&Affected| {
        affected.package.as_ref().is_some_and(|package| {
            ecosystem.is(&package.ecosystem, newest)
                && normalized(ecosystem, &package.name) == normalized(ecosystem, name)
        })
    };
    let mut hit: Option<Hit> = None;
    for affected in record.affected.iter().filter(is_it) {
        let answer = in_ranges(ecosystem.scheme(), version, affected);
        if !answer.affected {
            continue;
        }
        let one = found(record, affected, answer);
        match &mut hit {
            None => hit = Some(one),
            Some(hit) => hit.add(one),
        }
    }
    hit
}

/// The highest release of Debian that a record tells of.
fn newest(record: &Record) -> Option<u32> {
    let packages = record
        .affected
        .iter()
        .filter_map(|one| one.package.as_ref());
    packages
        .filter_map(|package| package.ecosystem.strip_prefix("Debian:")?.parse().ok())
        .max()
}

fn library(record: &Record, version: &str, names: &BTreeSet<String>, sure: u8) -> Option<Hit> {
    let is_listed = |affected: &&Affected| {
        project_names(affected)
            .iter()
            .any(|name| names.contains(name))
            && affected
                .versions
                .iter()
                .any(|one| plain_version(one).as_deref() == Some(version))
    };
    if let Some(affected) = record.affected.iter().find(is_listed) {
        let mut hit = found(record, affected, Answer::default());
        hit.sure = sure;
        hit.doubt = (sure < 100).then(|| format!("what it is and its version are {sure}% sure"));
        return Some(hit);
    }
    by_upstream(record, version, names, sure)
}

/// By the upstream versions in which Debian repaired a source package of that name.
fn by_upstream(record: &Record, version: &str, names: &BTreeSet<String>, sure: u8) -> Option<Hit> {
    let is_it = |affected: &&Affected| {
        affected.package.as_ref().is_some_and(|package| {
            package.ecosystem.starts_with("Debian") && names.contains(&package.name.to_lowercase())
        })
    };
    let mine: Vec<&Affected> = record.affected.iter().filter(is_it).collect();
    let first = *mine.first()?;
    let events = mine
        .iter()
        .flat_map(|one| &one.ranges)
        .flat_map(|range| &range.events);
    let mut fixed: Vec<DebVersion> = events
        .filter_map(|event| upstream(event.fixed.as_deref()?))
        .collect();
    fixed.sort();
    let own = version.parse::<DebVersion>().ok()?;
    let branch =
        |text: &str| -> Vec<String> { text.split('.').take(2).map(str::to_owned).collect() };
    // `0` means that no version of Debian's was ever affected.
    let repaired = |fix: &DebVersion| {
        let last = fixed.last() == Some(fix);
        fix.as_str() == "0"
            || own.cmp(fix) != Ordering::Less && (last || branch(fix.as_str()) == branch(version))
    };
    if fixed.iter().any(repaired) {
        return None;
    }
    let best = fixed.last().map(|fix| fix.as_str().to_owned());
    let (limit, doubt) = match &best {
        Some(fix) => (
            BY_UPSTREAM,
            format!(
                "Debian repaired it in the upstream version {fix}; who built this one may have repaired it too"
            ),
        ),
        None => (
            BY_UPSTREAM_OPEN,
            "Debian knows of no version that repairs it, nor whether this one has it".to_owned(),
        ),
    };
    let answer = Answer {
        affected: true,
        fixed: best.into_iter().collect(),
    };
    let mut hit = found(record, first, answer);
    hit.sure = sure.min(limit);
    hit.doubt = Some(doubt);
    Some(hit)
}

/// The upstream part of a Debian version without what Debian adds to it.
fn upstream(version: &str) -> Option<DebVersion> {
    let version: DebVersion = version.parse().ok()?;
    let text = version.upstream();
    let text = text.split_once("+really").map_or(text, |(_, real)| real);
    let end = text.find(['+', '~']).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// What the project is called: by its package, by the last part of its repository.
fn project_names(affected: &Affected) -> Vec<String> {
    let foreign = affected.package.as_ref().filter(|package| {
        !["PyPI", "npm", "crates.io", "Go", "Maven"].contains(&package.ecosystem.as_str())
            && !package.ecosystem.starts_with("Debian")
    });
    let repositories = affected
        .ranges
        .iter()
        .filter_map(|range| range.repo.as_deref());
    let last = |text: &str| {
        let text = text.trim_end_matches('/').trim_end_matches(".git");
        text.rsplit('/').next().unwrap_or_default().to_lowercase()
    };
    repositories
        .map(last)
        .chain(foreign.map(|package| last(&package.name)))
        .collect()
}

/// The version in a tag: `3.0.13` of `openssl-3.0.13`, `1.1.1k` of `OpenSSL_1_1_1k`, `1.2.13` of `v1.2.13`.
fn plain_version(tag: &str) -> Option<String> {
    let begins = |(at, c): (usize, char)| {
        let before = tag[..at].chars().next_back();
        c.is_ascii_digit()
            && before.is_none_or(|c| matches!(c, '-' | '_' | '.' | 'v' | 'V' | 'n' | 'R'))
    };
    let at = tag.char_indices().find(|one| begins(*one))?.0;
    Some(tag[at..].replace('_', "."))
}

fn found(record: &Record, affected: &Affected, answer: Answer) -> Hit {
    Hit {
        id: record.id.clone(),
        aliases: record.aliases.clone(),
        upstream: record.upstream.clone(),
        summary: record.line(),
        ratings: ratings(record, affected),
        fixed: answer.fixed,
        modified: record.modified.clone(),
        named: affected.named(),
        sure: 100,
        doubt: None,
    }
}

impl Hit {
    fn add(&mut self, other: Self) {
        self.fixed.extend(other.fixed);
        self.fixed.dedup();
        self.ratings.extend(
            other
                .ratings
                .into_iter()
                .filter(|one| !self.ratings.contains(one))
                .collect::<Vec<_>>(),
        );
        // A package that one entry names no code of is affected as a whole.
        match self.named.is_empty() || other.named.is_empty() {
            true => self.named.clear(),
            false => self.named.extend(other.named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(affected: &str) -> Record {
        let text = format!(r#"{{"id": "X", "affected": [{affected}]}}"#);
        Record::parse(text.as_bytes()).unwrap()
    }

    fn range(ecosystem: &str, name: &str, fixed: &str) -> String {
        let fixed = match fixed {
            "" => String::new(),
            fixed => format!(r#", {{"fixed": "{fixed}"}}"#),
        };
        format!(
            r#"{{"package": {{"ecosystem": "{ecosystem}", "name": "{name}"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}{fixed}]}}]}}"#
        )
    }

    fn hit(
        record: &Record,
        ecosystem: Ecosystem,
        name: &str,
        version: &str,
    ) -> Option<Vec<String>> {
        let subject = Subject {
            id: "s".into(),
            version: version.into(),
            kind: Kind::Package(ecosystem, name.into()),
        };
        judge(record, &subject).map(|hit| hit.fixed)
    }

    #[test]
    fn a_package_is_found_by_ecosystem_name_and_version() {
        let python = record(&range("PyPI", "Demo_Lib", "2"));
        assert_eq!(
            hit(&python, Ecosystem::PyPi, "demo-lib", "1"),
            Some(vec!["2".into()])
        );
        assert_eq!(hit(&python, Ecosystem::PyPi, "demo-lib", "2"), None);
        assert_eq!(hit(&python, Ecosystem::PyPi, "demo", "1"), None);
        assert_eq!(hit(&python, Ecosystem::CratesIo, "demo-lib", "1.0.0"), None);
        let mut withdrawn = python;
        withdrawn.withdrawn = Some("2026-01-01T00:00:00Z".into());
        assert_eq!(hit(&withdrawn, Ecosystem::PyPi, "demo-lib", "1"), None);
    }

    #[test]
    fn each_release_of_debian_has_its_own_ranges() {
        let both = record(
            &[
                range("Debian:12", "zlib", "1:1.2-2+deb12u1"),
                range("Debian:13", "zlib", ""),
                range("Debian:14", "zlib", "1:1.3-3"),
            ]
            .join(","),
        );
        let fixed =
            |release, version: &str| hit(&both, Ecosystem::Debian(release), "zlib", version);
        assert_eq!(
            fixed(Some(12), "1:1.2-2"),
            Some(vec!["1:1.2-2+deb12u1".into()])
        );
        assert_eq!(fixed(Some(12), "1:1.2-2+deb12u1"), None);
        assert_eq!(fixed(Some(13), "1:1.3-2"), Some(vec![]));
        assert_eq!(fixed(Some(11), "1:1.2-1"), None);
        assert_eq!(fixed(None, "1:1.3-2"), Some(vec!["1:1.3-3".into()]));
    }

    fn vendored(record: &Record, name: &str, version: &str) -> Option<(u8, Vec<String>)> {
        let subject = Subject {
            id: "s".into(),
            version: version.into(),
            kind: Kind::Library([name.to_owned()].into(), 80),
        };
        judge(record, &subject).map(|hit| (hit.sure, hit.fixed))
    }

    #[test]
    fn a_library_is_found_by_listed_tags_of_its_project() {
        let listed = record(
            r#"{"ranges": [{"type": "GIT", "repo": "https://git.example/openssl/openssl.git", "events": []}], "versions": ["OpenSSL_1_1_1k", "openssl-3.0.13"]}"#,
        );
        assert_eq!(vendored(&listed, "openssl", "3.0.13"), Some((80, vec![])));
        assert_eq!(vendored(&listed, "openssl", "1.1.1k"), Some((80, vec![])));
        assert_eq!(vendored(&listed, "openssl", "3.0.1"), None);
        assert_eq!(vendored(&listed, "zlib", "3.0.13"), None);
        // A distribution of the same name is something else.
        let python = record(
            r#"{"package": {"ecosystem": "PyPI", "name": "openssl"}, "versions": ["3.0.13"]}"#,
        );
        assert_eq!(vendored(&python, "openssl", "3.0.13"), None);
    }

    #[test]
    fn debians_upstream_versions_tell_a_library_with_a_doubt() {
        let fixed = record(
            &[
                range("Debian:12", "openssl", "3.0.11-1~deb12u2"),
                range("Debian:13", "openssl", "3.1.4-2"),
            ]
            .join(","),
        );
        let at = |version: &str| vendored(&fixed, "openssl", version);
        assert_eq!(at("3.0.10"), Some((50, vec!["3.1.4".into()])));
        assert_eq!(at("3.0.11"), None, "repaired in its own branch");
        assert_eq!(at("3.1.3"), Some((50, vec!["3.1.4".into()])));
        assert_eq!(at("3.1.4"), None);
        assert_eq!(at("1.1.1"), Some((50, vec!["3.1.4".into()])));
        let open = record(&range("Debian:13", "openssl", ""));
        assert_eq!(vendored(&open, "openssl", "3.0.1"), Some((20, vec![])));
        let never = record(&range("Debian:13", "openssl", "0"));
        assert_eq!(vendored(&never, "openssl", "3.0.1"), None);
        assert_eq!(
            upstream("1:1.2.13.dfsg+really1.3.1-1").map(|one| one.as_str().to_owned()),
            Some("1.3.1".into())
        );
    }
}
