//! What a sandbox saw a build look for in vain, as the reader of builds wants it: [`of`].

use unheck_buildlog::{Probe, ProbeKind};
use unheck_sandbox::{Lookup, Outcome};

/// The names that were looked for and are not there, in the order of first lookup.
pub(super) fn of(outcome: &Outcome) -> Vec<Probe> {
    let missing = outcome.watched.missing().iter();
    let probes = missing.filter_map(|missing| {
        Some(Probe {
            kind: match missing.kind {
                Lookup::Exec => ProbeKind::Exec,
                Lookup::Open => ProbeKind::Open,
                Lookup::Stat => ProbeKind::Stat,
            },
            // What is no text names nothing that a package has.
            path: missing.path.to_str()?.to_owned(),
            by: missing.by.clone(),
            count: missing.count,
        })
    });
    probes.collect()
}
