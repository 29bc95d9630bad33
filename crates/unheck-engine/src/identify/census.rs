//! What every locked distribution is, in one line: summary, owners, since when, and what speaks against
//! it. Asked while the wheels are fetched, kept in the lock, told at every build without a network.
//!
//! Everything here is optional: an index that does not tell, or does not answer, leaves a field unknown and
//! never fails a lock. Start at [`gather`]; [`findings`] tells.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use unheck_base::Digest;
use unheck_names::facts::{Page, Project};
use unheck_names::label::printable;
use unheck_names::table::Table;
use unheck_names::verdict::{Facts, LookAlike, date, judge};

use super::index::LiveIndex;
use crate::finding::{Finding, Severity};
use crate::lock::{Lock, Package};
use crate::session::Session;

/// Distributions that are asked for side by side.
const PARALLEL: usize = 16;
/// Most owners that are told of one distribution.
const OWNERS: usize = 10;

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
}

/// Asks the index about each package and writes it down. What an earlier lock says of the same version is
/// kept: a lock that is made again says the same.
pub fn gather(
    session: &Session,
    directory: &std::path::Path,
    packages: &mut [Package],
    previous: Option<&Lock>,
) {
    let before: BTreeMap<(&str, Option<&str>), &About> = previous
        .into_iter()
        .flat_map(|lock| &lock.packages)
        .filter_map(|package| {
            Some((
                (package.name.as_str(), package.version.as_deref()),
                &package.tool.as_ref()?.unheck,
            ))
        })
        .collect();
    let mut unknown = Vec::new();
    for package in packages {
        let known = before.get(&(package.name.as_str(), package.version.as_deref()));
        match known {
            Some(about) => {
                package.tool = Some(crate::lock::PackageTool {
                    unheck: (*about).clone(),
                })
            }
            None if package.index.is_some() => unknown.push(package),
            None => {}
        }
    }
    if session.net.is_offline() {
        unknown
            .into_iter()
            .for_each(|package| recall(session, package));
        return;
    }
    if unknown.is_empty() {
        return;
    }
    let Ok(index) = LiveIndex::open(session, directory) else {
        return;
    };
    let asked = async {
        let names = unknown
            .iter()
            .map(|package| (package.name.clone(), package.version.clone()));
        let each = futures::stream::iter(names.collect::<Vec<_>>());
        let answers = each.map(|(name, version)| {
            let index = &index;
            async move {
                index
                    .about(&name, version.as_deref())
                    .await
                    .unwrap_or_default()
            }
        });
        answers.buffered(PARALLEL).collect::<Vec<_>>().await
    };
    let answers = session.net.block_on(asked);
    for (package, (page, project)) in unknown.into_iter().zip(answers) {
        let about = describe(&package.name, page.as_ref(), project.as_ref(), session.now);
        if about != About::default() {
            remember(session, package, &about);
            package.tool = Some(crate::lock::PackageTool { unheck: about });
        }
    }
}

/// Longest answer that is read back, in bytes.
const MAX_ABOUT: u64 = 1 << 20;

/// What the index said is kept: a lock that is made again without a network says the same.
fn remember(session: &Session, package: &Package, about: &About) {
    let bytes = serde_json::to_vec(about).expect("texts always serialise");
    // Nothing here may fail a lock.
    let _ = kept(session, package).put_bytes(&bytes);
}

fn recall(session: &Session, package: &mut Package) {
    let bytes = kept(session, package).bytes(MAX_ABOUT).ok().flatten();
    let about = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    package.tool = about.map(|unheck| crate::lock::PackageTool { unheck });
}

fn kept(session: &Session, package: &Package) -> unheck_store::Derived {
    let Package {
        name,
        version,
        index,
        ..
    } = package;
    let key = Digest::of(format!("census 1 {name} {version:?} {index:?}").as_bytes());
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
    }
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
    }
    findings.sort();
    findings
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
        format!("{summary} · {owners} · {since}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unheck_names::facts::File;

    const NOW: i64 = 1_790_000_000;

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
