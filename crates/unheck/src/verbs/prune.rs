//! `unheck prune`.

use super::{Context, target};
use crate::cli::PruneArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{bytes, clean, count};

pub(super) fn prune(args: &PruneArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let opened = target::open(&args.at.target, context)?;
    let keep = args.releases.unwrap_or(opened.target.keep);
    let pruned = opened.run(context, args.at.steal_lock, |target| {
        unheck_deploy::prune(target, keep)
    })?;
    let text: Vec<String> = pruned
        .hosts
        .iter()
        .map(|host| {
            format!(
                "{}: {} removed, {}; {} left",
                clean(&host.host),
                count(host.removed.len() as u64, "release"),
                bytes(host.bytes),
                host.kept.len()
            )
        })
        .collect();
    context.ui.data(&text.join("\n"), &pruned)?;
    Ok(exit::DONE)
}
