//! `unheck prune`: old releases go, never the one that serves or the one before it.

use serde::Serialize;

use crate::audit::Outcome;
use crate::error::{DeployError, HostError};
use crate::host::{Context, Opened, State, all, failed, on_all};
use crate::remote::Call;
use crate::status::Rank;

/// What was removed from the hosts of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The target.
    pub target: String,
    /// Each host.
    pub hosts: Vec<PruneReport>,
}

/// What was removed from a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// The host, as it is configured.
    pub host: String,
    /// Releases that are gone.
    pub removed: Vec<String>,
    /// Releases that are left.
    pub kept: Vec<String>,
    /// Bytes that are free now.
    pub bytes: u64,
}

/// Removes all but the newest releases from every host, with the files that nothing else has.
///
/// # Errors
/// [`DeployError`]; every removal that was done stays done.
pub fn prune(context: &Context<'_>, keep: u32) -> Result<Pruned, DeployError> {
    let answers = on_all(context.ways, |way| {
        let (mut host, state) = Opened::lock(&**way, context, "prune", false)?;
        on_host(context, &mut host, &state, keep)
    });
    let hosts = all(context, answers)
        .map_err(|failures| failed(context, "prune", "what serves was not touched", failures))?;
    Ok(Pruned {
        target: context.target.name.clone(),
        hosts,
    })
}

fn on_host(
    context: &Context<'_>,
    host: &mut Opened<'_>,
    state: &State,
    keep: u32,
) -> Result<PruneReport, HostError> {
    let (kept, removed) = split(state, keep);
    for id in &removed {
        (context.say)(host.way.label(), &format!("removing {id}"));
        let line = host.entry.about(id, Outcome::Done).line();
        host.session
            .all(&[Call::new("remove", &[id])?, Call::new("audit", &[&line])?])?;
    }
    let swept = host.session.call("sweep", &[])?;
    let freed = swept.iter().find_map(|line| line.strip_prefix("freed "));
    Ok(PruneReport {
        host: host.way.label().to_owned(),
        removed,
        kept,
        bytes: freed.and_then(|text| text.parse().ok()).unwrap_or(0),
    })
}

/// What stays and what goes, each by name: the newest stay, and whatever a link names.
fn split(state: &State, keep: u32) -> (Vec<String>, Vec<String>) {
    let named = [&state.current, &state.previous, &state.undo];
    newest(state.ranked(), keep, |id| {
        named.contains(&&Some(id.to_owned()))
    })
}

/// Of releases with where each stands among the deployments: what stays and what goes, each by name. The `keep` newest stay
/// besides those that `needed` says of.
pub fn newest(
    mut releases: Vec<(Option<Rank>, String)>,
    keep: u32,
    needed: impl Fn(&str) -> bool,
) -> (Vec<String>, Vec<String>) {
    releases.sort_by(|a, b| b.cmp(a));
    let mut left = keep;
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for (_, id) in releases {
        if needed(&id) {
            kept.push(id);
        } else if left > 0 {
            left -= 1;
            kept.push(id);
        } else {
            removed.push(id);
        }
    }
    kept.sort();
    removed.sort();
    (kept, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_what_serves_and_what_served() {
        let info = |hour: u32| {
            let zeros = "0".repeat(64);
            format!(
                r#"{{"content":"{zeros}","project":"w","bytes":1,"deployed":{{"time":"2026-01-01T{hour:02}:00:00Z","who":"a","from":"b","what":"deploy"}}}}"#
            )
        };
        let releases = [("e", 1), ("d", 2), ("c", 3), ("b", 4), ("a", 5)];
        let mut state = State {
            current: Some("e".to_owned()),
            previous: Some("d".to_owned()),
            releases: releases
                .iter()
                .map(|(id, hour)| ((*id).to_owned(), info(*hour)))
                .collect(),
            ..State::default()
        };
        // One without a record is the oldest of all.
        state.releases.insert("z".to_owned(), "garbage".to_owned());
        assert_eq!(split(&state, 1).0, ["a", "d", "e"]);
        assert_eq!(split(&state, 1).1, ["b", "c", "z"]);
        assert_eq!(split(&state, 0).0, ["d", "e"]);
        assert_eq!(split(&state, 9).1, [""; 0]);
    }
}
