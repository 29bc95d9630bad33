//! What is deployed, what serves, since when, by whom. Changes nothing.

use unheck_deploy::{DeployedRelease, HostStatus, StatusReport};
use unheck_registry::Purpose;

use super::record::Record;
use super::{Shop, TargetContext, TargetFault};

const DOING: &str = "ask";

/// Asks the registry.
///
/// # Errors
/// [`TargetFault`] when it cannot be asked.
pub fn status(context: TargetContext<'_>) -> Result<StatusReport, TargetFault> {
    let target = context.target;
    let failed = |source| TargetFault::Publish {
        doing: DOING,
        target: target.name.clone(),
        after: "nothing is known".to_owned(),
        source: Box::new(source),
    };
    let shop = Shop::open(context, "status", Purpose::Pull).map_err(failed)?;
    let state = Record::read(&shop, DOING)?.state;
    let live = shop.digest_of(&target.tag).map_err(failed)?;
    let released = live.map(|digest| state.name_of(&digest));
    // A tag that somebody moved by other means says nothing of when.
    let since = state
        .released
        .as_ref()
        .filter(|served| Some(served.digest) == live)
        .map(|served| served.since.clone());
    let back = state.switching.as_ref().map(|switching| {
        let from = switching.from.map(|from| state.name_of(&from));
        from.unwrap_or_else(|| "nothing".to_owned())
    });
    let host = HostStatus {
        host: target.repository.to_string(),
        released: released.clone(),
        since,
        previous: state.previous.map(|digest| state.name_of(&digest)),
        unconfirmed: back,
        locked: state.lock.as_ref().map(|held| held.by.told()),
        deployed: state
            .releases
            .into_iter()
            .map(|(release, kept)| DeployedRelease {
                release,
                record: Some(kept.info),
            })
            .collect(),
    };
    Ok(StatusReport {
        target: target.name.clone(),
        released,
        hosts: vec![host],
        failures: Vec::new(),
    })
}
