//! What every locked distribution is, in one line: summary, owners, since when, and what speaks against
//! it. Asked while the wheels are fetched, kept in the lock, told at every build without a network.
//!
//! Everything here is optional: an index that does not tell, or does not answer, leaves a field unknown and
//! never fails a lock. Start at `gather`; [`findings`] tells.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use unheck_base::Digest;
use unheck_names::facts::{Page, Project};
use unheck_names::label::printable;
use unheck_names::table::Table;
use unheck_names::verdict::{Facts, LookAlike, date, judge};

use super::attested::{self, Attested, Outcome, Trust};
use super::index::LiveIndex;
use crate::finding::{Finding, Severity};
use crate::lock::{Lock, Package, PackageTool, Wheel};
use crate::session::Session;

/// Distributions that are asked for side by side.
const PARALLEL: usize = 16;
/// Most owners that are told of one distribution.
const OWNERS: usize = 10;
/// Most vulnerabilities, and most ids and versions of one, that are kept of one distribution.
const ADVISORIES: usize = 500;
const IDS: usize = 50;

/// What is known of a distribution: `[packages.tool.unheck]` of the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct About {
    /// What it is, in its owner's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Users and organisation that own it on the index, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// The day of its first upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What speaks against it: kind to text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub warnings: BTreeMap<String, String>,
    /// Who attests its wheels (PEP 740), where the index offers that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<Attested>,
    /// Vulnerabilities that the index knew of this version; `None` where it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advisories: Option<Advisories>,
}

/// Vulnerabilities of one version as the index told them one day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Advisories {
    /// The day on which the index was asked.
    pub asked: String,
    /// What it knew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Advisory>,
}

/// One vulnerability as an index tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Advisory {
    /// Its id.
    pub id: String,
    /// Its other ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Versions that repair it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixed_in: Vec<String>,
}

/// Asks the index about each package and writes it down. What an earlier lock says of the same version and
/// files is kept: a lock that is made again says the same.
pub(crate) fn gather(
    session: &Session,
    directory: &std::path::Path,
    packages: &mut [Package],
    (previous, trust): (Option<&Lock>, &Trust),
) {
    let mut unknown = Vec::new();
    for package in packages {
        let before = previous.and_then(|lock| known(lock, package));
        match before {
            Some(tool) => package.tool = Some(tool.clone()),
            None if package.index.is_some() => unknown.push(package),
            None => {}
        }
    }
    if session.net.is_offline() {
        unknown
            .into_iter()
            .for_each(|package| recall(session, package, trust));
        return;
    }
    if unknown.is_empty() {
        return;
    }
    let Ok(index) = LiveIndex::open(session, directory) else {
        return;
    };
    let asked = async {
        // The first opens a connection, which the others share (HTTP/2): a burst of connections, each with its
        // own question to the name server, cost 5 s where that drops some.
        let mut each = unknown.iter().map(|package| &**package);
        let ask = |package| ask(&index, package, trust, session.now);
        let mut answers = Vec::with_capacity(unknown.len());
        if let Some(first) = each.next() {
            answers.push(ask(first).await);
        }
        let each = futures::stream::iter(each.map(ask).collect::<Vec<_>>());
        answers.extend(each.buffered(PARALLEL).collect::<Vec<_>>().await);
        answers
    };
    let answers = session.net.block_on(asked);
    for (package, about) in unknown.into_iter().zip(answers) {
        if about == About::default() {
            continue;
        }
        let is_unread = |one: &Attested| one.result == Outcome::Unread;
        if !about.attestations.iter().any(is_unread) {
            remember(session, package, (&about, trust));
        }
        package.tool = Some(PackageTool { unheck: about });
    }
}

/// What an earlier lock says of the same version, if it speaks of the same files.
fn known<'l>(lock: &'l Lock, package: &Package) -> Option<&'l PackageTool> {
    let is_same = |one: &&Package| one.name == package.name && one.version == package.version;
    let before = lock.packages.iter().find(is_same)?;
    let has = |wheel: &Wheel| {
        let mut wheels = before.wheels.iter();
        wheels.any(|its| its.name == wheel.name && its.hashes == wheel.hashes)
    };
    let tool = before.tool.as_ref()?;
    package.wheels.iter().all(has).then_some(tool)
}

async fn ask(index: &LiveIndex<'_>, package: &Package, trust: &Trust, now: i64) -> About {
    let about = index.about(&package.name, package.version.as_deref());
    let (page, project, is_exact) = about.await.unwrap_or_default();
    let attestations = match &page {
        Some(page) => attested::look(index, page, &package.wheels, trust).await,
        None => Vec::new(),
    };
    let about = describe(&package.name, page.as_ref(), project.as_ref(), now);
    About {
        attestations,
        // What is known of another version says nothing of this one.
        advisories: about.advisories.filter(|_| is_exact),
        ..about
    }
}

/// Longest answer that is read back, in bytes.
const MAX_ABOUT: u64 = 1 << 20;

/// What the index said is kept: a lock that is made again without a network says the same.
fn remember(session: &Session, package: &Package, (about, trust): (&About, &Trust)) {
    let bytes = serde_json::to_vec(about).expect("texts always serialise");
    // Nothing here may fail a lock.
    let _ = kept(session, package, trust).put_bytes(&bytes);
}

fn recall(session: &Session, package: &mut Package, trust: &Trust) {
    let bytes = kept(session, package, trust)
        .bytes(MAX_ABOUT)
        .ok()
        .flatten();
    let about = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    package.tool = about.map(|unheck| PackageTool { unheck });
}

/// By all that the answer depends on: the files, and whom attestations must come from.
fn kept(session: &Session, package: &Package, trust: &Trust) -> unheck_store::Derived {
    let Package {
        name,
        version,
        index,
        wheels,
        ..
    } = package;
    let mut files: Vec<String> = wheels
        .iter()
        .map(|wheel| wheel.hashes.sha256.hex())
        .collect();
    files.sort();
    let root = trust.root();
    let key = format!("census 2 {name} {version:?} {index:?} {files:?} {root:?}");
    let key = Digest::of(key.as_bytes());
    session.store().derived("census", &key)
}

/// Adds what only the wheels in the store tell: that one is a shim, and summaries that the index did not
/// give.
pub fn complete(session: &Session, packages: &mut [Package]) {
    for package in packages {
        let wheels = package.wheels.iter();
        let glances = wheels.filter_map(|wheel| {
            let glance = super::locked::of_wheel(session.store(), &wheel.hashes.sha256)?;
            Some(super::index::facts_of(
                &wheel.name,
                glance,
                wheel.size.unwrap_or_default(),
            ))
        });
        for wheel in glances.collect::<Vec<_>>() {
            let facts = Facts {
                wheel: Some(&wheel),
                ..Facts::default()
            };
            let warnings = judge(&facts, session.now);
            let summary = wheel.summary.filter(|text| !text.is_empty());
            if warnings.is_empty() && summary.is_none() {
                continue;
            }
            let about = &mut package.tool.get_or_insert_default().unheck;
            about.summary = about.summary.take().or(summary);
            let told = warnings.iter();
            let told = told.map(|warning| (warning.kind().to_owned(), warning.to_string()));
            about.warnings.extend(told);
        }
    }
}

fn describe(name: &str, page: Option<&Page>, project: Option<&Project>, now: i64) -> About {
    let facts = Facts {
        page,
        project,
        wheel: None,
    };
    let mut warnings: BTreeMap<String, String> = judge(&facts, now)
        .iter()
        .map(|warning| (warning.kind().to_owned(), warning.to_string()))
        .collect();
    if let Some(LookAlike { of, why }) = LookAlike::find(name, &facts, Table::shipped(), None, now)
    {
        warnings.insert(
            "look-alike".to_owned(),
            format!("looks like `{of}` and may not be meant: {why}"),
        );
    }
    let owners = project
        .and_then(|project| project.owners.clone())
        .unwrap_or_default();
    About {
        summary: project.and_then(|project| project.summary.clone()),
        owners: owners.into_iter().take(OWNERS).collect(),
        since: page.and_then(Page::uploads).map(|(first, _)| date(first)),
        warnings,
        attestations: Vec::new(),
        advisories: project.map(|project| advisories(project, now)),
    }
}

fn advisories(project: &Project, now: i64) -> Advisories {
    let texts = |list: &[String]| list.iter().take(IDS).map(|text| printable(text)).collect();
    let known = project.vulnerabilities.iter().take(ADVISORIES);
    let now = jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Advisories {
        asked: now.strftime("%Y-%m-%d").to_string(),
        known: known
            .map(|one| Advisory {
                id: printable(&one.id),
                aliases: texts(&one.aliases),
                fixed_in: texts(&one.fixed_in),
            })
            .collect(),
    }
}

/// What is known of one distribution on two platforms: the first, with the attestations of the files of both.
pub(crate) fn joined(
    first: Option<PackageTool>,
    second: Option<PackageTool>,
) -> Option<PackageTool> {
    let (mut first, second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (first, second) => return first.or(second),
    };
    let attestations = &mut first.unheck.attestations;
    for one in second.unheck.attestations {
        if !attestations.contains(&one) {
            attestations.push(one);
        }
    }
    attestations.sort_by(|one, other| one.file.cmp(&other.file));
    Some(first)
}

/// A line for each distribution, what it is, who owns it and since when, as information; and its warnings.
/// `allow` silences a warning: `NAME` or `NAME:KIND` to the reason.
pub fn findings(lock: &Lock, allow: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &lock.packages {
        let about = package
            .tool
            .as_ref()
            .map(|tool| tool.unheck.clone())
            .unwrap_or_default();
        let name = format!(
            "{} {}",
            package.name,
            package.version.as_deref().unwrap_or_default()
        );
        let line = Finding::new(
            Severity::Info,
            "distribution",
            name.trim_end(),
            about.line(),
        );
        findings.push(line);
        for (kind, text) in &about.warnings {
            let exact = format!("{}:{kind}", package.name);
            if allow.contains_key(&exact) || allow.contains_key(&package.name) {
                continue;
            }
            let hint = format!(
                "look at it; `\"{exact}\" = \"REASON\"` in `[tool.unheck.allow]` silences this"
            );
            let warning = Finding::new(
                Severity::Warning,
                kind,
                package.name.clone(),
                printable(text),
            );
            findings.push(warning.with_hint(hint));
        }
        let is_allowed = |name: &str| allow.contains_key(name);
        let exact = format!("{}:{}", package.name, attested::KIND);
        if !is_allowed(&package.name) && !is_allowed(&exact) {
            findings.extend(about.attestations.iter().filter_map(told));
        }
    }
    findings.sort();
    findings
}

/// What should be known of an attestation that was not verified.
fn told(one: &Attested) -> Option<Finding> {
    let (severity, text) = match one.result {
        Outcome::Verified => return None,
        Outcome::Refused => (Severity::Error, "its attestation does not hold"),
        Outcome::Unread => (Severity::Warning, "its attestation cannot be read"),
    };
    let why = one.why.as_deref().unwrap_or_default();
    let text = format!("{text}: {}", printable(why));
    Some(Finding::new(
        severity,
        attested::KIND,
        one.file.clone(),
        text,
    ))
}

impl About {
    /// What it is, who owns it, since when; what is not known is said to be unknown.
    fn line(&self) -> String {
        let summary = self
            .summary
            .as_deref()
            .map_or_else(|| "what it is, is unknown".to_owned(), printable);
        let owners = match self.owners.as_slice() {
            [] => "owners unknown".to_owned(),
            owners => format!("owned by {}", printable(&owners.join(", "))),
        };
        let since = match &self.since {
            Some(day) => format!("since {}", printable(day)),
            None => "since when is unknown".to_owned(),
        };
        let mut verified = self
            .attestations
            .iter()
            .filter(|one| one.result == Outcome::Verified);
        let publisher = verified.find_map(|one| one.repository.as_ref().or(one.identity.as_ref()));
        let published = match publisher {
            Some(place) => format!(" · published by {}, verified", printable(place)),
            None => String::new(),
        };
        format!("{summary} · {owners} · {since}{published}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unheck_names::facts::File;

    const NOW: i64 = 1_790_000_000;

    #[test]
    fn two_platforms_tell_of_the_files_of_both() {
        let tool = |files: &[&str]| {
            let attestations = files.iter().map(|file| Attested {
                file: (*file).to_owned(),
                result: Outcome::Verified,
                why: None,
                publisher: None,
                repository: None,
                commit: None,
                identity: None,
                issuer: None,
                predicate: None,
            });
            let unheck = About {
                attestations: attestations.collect(),
                ..About::default()
            };
            Some(PackageTool { unheck })
        };
        assert_eq!(joined(tool(&["b"]), tool(&["a", "b"])), tool(&["a", "b"]));
        assert_eq!(joined(None, tool(&["a"])), tool(&["a"]));
        assert_eq!(joined(tool(&["a"]), None), tool(&["a"]));
    }

    #[test]
    fn what_is_known_is_described_and_the_rest_is_unknown() {
        assert_eq!(describe("x", None, None, NOW), About::default());
        let page = Page {
            name: "reqeusts".into(),
            files: vec![File {
                filename: "reqeusts-1.0.tar.gz".into(),
                version: "1.0".into(),
                size: Some(9_000),
                uploaded: Some("2026-08-01T10:00:00Z".into()),
                ..File::default()
            }],
            status: None,
        };
        let project = Project {
            name: "reqeusts".into(),
            summary: Some("HTTP".into()),
            owners: Some(["b".to_owned(), "a".to_owned()].into()),
            ..Project::default()
        };
        let about = describe("reqeusts", Some(&page), Some(&project), NOW);
        assert_eq!(
            (about.owners.join(" "), about.since.as_deref()),
            ("a b".to_owned(), Some("2026-08-01"))
        );
        assert!(
            about.warnings["look-alike"].contains("requests"),
            "{about:?}"
        );
    }
}
