//! `unheck status`: what is deployed, what serves, since when, by whom. Changes nothing.

use serde::{Deserialize, Serialize};
use unheck_base::Digest;

use crate::artifact::Artifact;
use crate::audit::{Entry, Outcome};
use crate::error::{DeployError, HostError, HostFailure, Refusal};
use crate::host::{Context, Opened, State, on_all};

/// Lines of the audit log that are looked through.
const HISTORY: u32 = 500;

/// What is known of a release, as its host keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseInfo {
    /// The digest of its list of files.
    pub content: Digest,
    /// The project's name.
    pub project: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Bytes of its files, each content once.
    pub bytes: u64,
    /// Who deployed it, when.
    pub deployed: Entry,
    /// Its place in the order of deployments, which the target counts: clocks of two people may differ, and two
    /// deployments may share a second. 0 in records of versions that did not count.
    #[serde(default)]
    pub order: u64,
}

/// The place of the next deployment after those at `orders`.
pub fn next_order(orders: impl Iterator<Item = u64>) -> u64 {
    orders.max().unwrap_or(0).saturating_add(1)
}

/// Where a release stands among the deployments of its target; what was deployed later is greater.
pub type Rank = (u64, String);

/// What the hosts of a target have.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// The target.
    pub target: String,
    /// What serves, where every host that answers says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// Each host that answers.
    pub hosts: Vec<HostStatus>,
    /// Those that do not.
    #[serde(skip)]
    pub failures: Vec<HostFailure>,
}

/// What a host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// The host, as it is configured.
    pub host: String,
    /// What serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
    /// Who released it, when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Entry>,
    /// What served before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// What will serve again: the switch was interrupted, or goes on at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<String>,
    /// Who is at it at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
    /// What is deployed, by name.
    pub deployed: Vec<DeployedRelease>,
}

/// A release on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeployedRelease {
    /// Its name.
    pub release: String,
    /// What is known of it; `None` where its record is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<ReleaseInfo>,
}

impl ReleaseInfo {
    /// The record of a release, as one line.
    pub(crate) fn line(artifact: &Artifact, content: &Digest, entry: &Entry, order: u64) -> String {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(120).collect();
        let info = Self {
            content: *content,
            project: plain(&artifact.project),
            version: artifact.version.as_deref().map(plain),
            bytes: artifact.bytes(),
            deployed: entry.clone(),
            order,
        };
        serde_json::to_string(&info).expect("texts and numbers")
    }

    /// Where it stands among the others.
    pub fn rank(&self) -> Rank {
        (self.order, self.deployed.time.clone())
    }

    /// Reads a record; `None` when it is none.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// Asks every host of a target. Hosts that do not answer are among the failures.
///
/// # Errors
/// No host answers.
pub fn status(context: &Context<'_>) -> Result<StatusReport, DeployError> {
    let answers = on_all(context.ways, |way| {
        let state = match Opened::look(&**way, context, HISTORY) {
            // Nothing was ever deployed there.
            Err(HostError::Refused {
                refusal: Refusal::Absent,
                ..
            }) => Ok(State::default()),
            answer => answer,
        };
        state
            .map(|state| of_host(way.label(), state))
            .map_err(|error| HostFailure {
                host: way.label().to_owned(),
                error,
            })
    });
    let mut hosts = Vec::new();
    let mut failures = Vec::new();
    for answer in answers {
        match answer {
            Ok(host) => hosts.push(host),
            Err(failure) => failures.push(failure),
        }
    }
    if hosts.is_empty() {
        return Err(crate::host::failed(
            context,
            "ask",
            "no host answers",
            failures,
        ));
    }
    let first = hosts.first().and_then(|host| host.released.clone());
    let same = hosts.iter().all(|host| host.released == first);
    Ok(StatusReport {
        target: context.target.name.clone(),
        released: first.filter(|_| same),
        hosts,
        failures,
    })
}

fn of_host(label: &str, state: State) -> HostStatus {
    let since = state.current.as_ref().and_then(|current| {
        let about = |entry: &&Entry| {
            entry.release.as_ref() == Some(current)
                && ["release", "rollback"].contains(&entry.what.as_str())
                && entry.outcome == Some(Outcome::Done)
        };
        state.audit.iter().rev().find(about).cloned()
    });
    HostStatus {
        host: label.to_owned(),
        since,
        released: state.current,
        previous: state.previous,
        unconfirmed: state.undo,
        locked: state.locked,
        deployed: state
            .releases
            .into_iter()
            .map(|(release, info)| DeployedRelease {
                release,
                record: ReleaseInfo::parse(&info),
            })
            .collect(),
    }
}
