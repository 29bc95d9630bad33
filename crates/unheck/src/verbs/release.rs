//! `unheck release` and `unheck rollback`. Both print the name of what serves now.

use unheck_deploy::Wanted;
use unheck_engine::publish;

use super::target::Opened;
use super::{Context, target};
use crate::cli::{LockedTargetArgs, ReleaseArgs, RollbackArgs};
use crate::exit;
use crate::failure::Failure;
use crate::ui::{clean, millis};

pub(super) fn release(args: &ReleaseArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let wanted = args
        .release
        .as_deref()
        .map_or(Wanted::Newest, Wanted::Named);
    switch(wanted, &args.at, !args.no_health_check, context)
}

pub(super) fn rollback(args: &RollbackArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let wanted = args
        .release
        .as_deref()
        .map_or(Wanted::Previous, Wanted::Back);
    switch(wanted, &args.at, !args.no_health_check, context)
}

fn switch(
    wanted: Wanted<'_>,
    at: &LockedTargetArgs,
    check: bool,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let opened = target::open(&at.target, context)?;
    let has_health = opened.has_health();
    let report = match &opened {
        Opened::Hosts(hosts) => hosts.run(context, at.steal_lock, |target| {
            unheck_deploy::release(target, wanted, check)
        })?,
        Opened::Registry(registry) => registry.run(at.steal_lock, |target| {
            publish::target::release(target, wanted, check)
        })?,
    };
    for host in &report.hosts {
        let before = host.before.as_deref().unwrap_or("nothing");
        let what = if host.already {
            "it served already".to_owned()
        } else {
            format!(
                "switched from {} in {}",
                clean(before),
                millis(host.switch_ms.into())
            )
        };
        let health = if check && has_health {
            format!(", healthy after {}", millis(host.health_ms.into()))
        } else {
            String::new()
        };
        context
            .ui
            .say(&format!("{}: {what}{health}", clean(&host.host)));
    }
    if !has_health {
        context
            .ui
            .say("the target has no `health`, so nobody asked whether it works");
    }
    context.ui.data(&clean(&report.release), &report)?;
    Ok(exit::DONE)
}
