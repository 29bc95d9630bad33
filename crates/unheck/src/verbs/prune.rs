//! `unheck prune`.

use unheck_engine::publish;

use super::target::Opened;
use super::{Context, target};
use crate::cli::PruneArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{bytes, clean, count};

pub(super) fn prune(args: &PruneArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let opened = target::open(&args.at.target, context)?;
    let keep = args.releases.unwrap_or(opened.keep());
    let steal = args.at.steal_lock;
    let (pruned, in_registry) = match &opened {
        Opened::Hosts(hosts) => {
            let pruned = hosts.run(context, steal, |target| unheck_deploy::prune(target, keep))?;
            (pruned, false)
        }
        Opened::Registry(registry) => {
            let pruned = registry.run(steal, |target| publish::target::prune(target, keep))?;
            (pruned, true)
        }
    };
    let text: Vec<String> = pruned
        .hosts
        .iter()
        .map(|host| {
            let freed = match in_registry {
                true => String::new(),
                false => format!(", {}", bytes(host.bytes)),
            };
            format!(
                "{}: {} removed{freed}; {} left",
                clean(&host.host),
                count(host.removed.len() as u64, "release"),
                host.kept.len()
            )
        })
        .collect();
    if in_registry && pruned.hosts.iter().any(|host| !host.removed.is_empty()) {
        context
            .ui
            .say("their space is free when the registry has collected its garbage");
    }
    context.ui.data(&text.join("\n"), &pruned)?;
    Ok(exit::DONE)
}
