//! `unheck deploy`. Prints the release's name.

use unheck_deploy::units;
use unheck_engine::form::{Format, deployable, kind_of, open_form};

use super::{Context, target};
use crate::cli::DeployArgs;
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::settings::Cache;
use crate::ui::{bytes, clean, count};

pub(super) fn deploy(args: &DeployArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    if let Ok(format @ (Format::Image | Format::Exe)) = kind_of(&args.artifact) {
        return Err(CliError::NotForHosts {
            path: args.artifact.clone(),
            format,
        }
        .into());
    }
    let cache = Cache::find(context.common, context.surroundings)?;
    let form = open_form(&crate::open::store(&cache)?, &args.artifact)?;
    let artifact = deployable(&form)?;
    if args.unit {
        let target = target::find(&args.at.target)?;
        let units = units(&target, &artifact).map_err(|error| CliError::Deploy(error.into()))?;
        let socket = units
            .socket
            .as_ref()
            .map(|socket| format!("# {}\n{socket}\n", units.socket_name));
        let text = format!(
            "{}# {}\n{}",
            socket.unwrap_or_default(),
            units.service_name,
            units.service
        );
        context.ui.data(&text, &units)?;
        return Ok(exit::DONE);
    }
    let opened = target::open(&args.at.target, context)?;
    let deployed = opened.run(context, args.at.steal_lock, |target| {
        unheck_deploy::deploy(target, &artifact)
    })?;
    for host in &deployed.hosts {
        let what = if host.already {
            "it was there; its files were checked".to_owned()
        } else {
            format!(
                "{} of {} in place and checked, {} sent",
                count(host.files, "new file"),
                bytes(host.bytes),
                bytes(host.sent)
            )
        };
        context.ui.say(&format!("{}: {what}", clean(&host.host)));
    }
    context
        .ui
        .say("what serves was not touched; `unheck release` makes it serve");
    context.ui.data(&clean(&deployed.release), &deployed)?;
    Ok(exit::DONE)
}
