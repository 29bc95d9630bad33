//! `unheck deploy`. Prints the release's name.

use unheck_deploy::{Artifact, Deployed, Target, units};
use unheck_engine::form::{Form, Format, deployable, kind_of, open_form};
use unheck_engine::input;
use unheck_engine::publish::target;

use super::Context;
use super::check::required;
use super::push::{attached, say_command, signer};
use super::target::{Found, Opened, find, open};
use crate::cli::DeployArgs;
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::settings::Cache;
use crate::ui::{bytes, clean, count};

pub(super) fn deploy(args: &DeployArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    if args.unit {
        return match find(&args.at.target)? {
            Found::Hosts(target) => print_units(args, &target, context),
            Found::Registry(target) => Err(CliError::UnitOfRegistry(target.name).into()),
        };
    }
    let project = input::read(&args.at.target.project)?;
    let (deployed, to_registry) = match open(&args.at.target, context)? {
        Opened::Hosts(hosts) => {
            // The form keeps the files.
            let (_form, artifact) = for_hosts(args, context)?;
            let what = (hosts.target.name.as_str(), &hosts.target.require[..]);
            required(what, &project, &args.artifact, context)?;
            let deployed = hosts.run(context, args.at.steal_lock, |target| {
                unheck_deploy::deploy(target, &artifact)
            })?;
            (deployed, false)
        }
        Opened::Registry(registry) => {
            let signer = signer(&args.attach, Some(&project))?;
            let said = attached(&args.attach, signer.as_ref(), None);
            say_command(context.ui, signer.as_ref());
            let image = crate::open::artifact(&args.artifact, &args.at.target.registry, context)?;
            let what = (registry.target.name.as_str(), &registry.target.require[..]);
            required(what, &project, image.path(), context)?;
            let deployed = registry.run(args.at.steal_lock, |context| {
                target::deploy(context, image.path(), said)
            })?;
            (deployed, true)
        }
    };
    say(&deployed, to_registry, context);
    context.ui.data(&clean(&deployed.release), &deployed)?;
    Ok(exit::DONE)
}

/// What was done where.
fn say(deployed: &Deployed, to_registry: bool, context: Context<'_>) {
    for host in &deployed.hosts {
        let what = match (host.already, to_registry) {
            (true, false) => "it was there; its files were checked".to_owned(),
            (true, true) => "it was there; its manifests and blobs were checked".to_owned(),
            (false, false) => format!(
                "{} of {} in place and checked, {} sent",
                count(host.files, "new file"),
                bytes(host.bytes),
                bytes(host.sent)
            ),
            (false, true) => format!(
                "{} of {} sent; all that it needs is there",
                count(host.files, "blob"),
                bytes(host.bytes)
            ),
        };
        context.ui.say(&format!("{}: {what}", clean(&host.host)));
        if !host.not_run.is_empty() {
            context.ui.say(&clean(&format!(
                "{}: `smoke` was not run for {}, which this machine cannot run",
                host.host,
                host.not_run.join(", ")
            )));
        }
    }
    context
        .ui
        .say("what serves was not touched; `unheck release` makes it serve");
}

/// A directory or archive as hosts get it.
fn for_hosts(args: &DeployArgs, context: Context<'_>) -> Result<(Form, Artifact), Box<Failure>> {
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
    Ok((form, artifact))
}

fn print_units(
    args: &DeployArgs,
    target: &Target,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let (_form, artifact) = for_hosts(args, context)?;
    let units = units(target, &artifact).map_err(|error| CliError::Deploy(error.into()))?;
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
    Ok(exit::DONE)
}
