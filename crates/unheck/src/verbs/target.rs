//! What the verbs about hosts share: the target of the configuration, and the way to it.

use unheck_deploy::{By, DeployError, Ssh, SshOptions, Target, Transport};
use unheck_engine::input;

use super::Context;
use crate::cli::TargetArgs;
use crate::failure::{CliError, Failure};
use crate::ui::clean;

/// A target with the ways to its hosts.
pub(super) struct Opened {
    pub(super) target: Target,
    pub(super) ways: Vec<Box<dyn Transport>>,
    by: By,
}

/// Finds the target that is meant; connects to nothing yet.
pub(super) fn open(args: &TargetArgs, context: Context<'_>) -> Result<Opened, Box<Failure>> {
    let target = find(args)?;
    let options = SshOptions {
        program: "ssh".into(),
        config: args.ssh_config.clone(),
        scratch: context.surroundings.temporary.clone(),
    };
    let ways = Ssh::to(&target, &options).map_err(CliError::Deploy)?;
    let by = By {
        who: context.surroundings.who.clone(),
        now: context.surroundings.now,
    };
    Ok(Opened { target, ways, by })
}

/// The target of the configuration that is meant.
pub(super) fn find(args: &TargetArgs) -> Result<Target, Box<Failure>> {
    let project = input::read(&args.project)?;
    let targets = &project.config.targets;
    let names = || {
        targets
            .keys()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (name, config) = match &args.target {
        Some(name) => targets.get_key_value(name).ok_or_else(|| {
            CliError::NoTarget(match targets.len() {
                0 => "the project configures no target".to_owned(),
                _ => format!(
                    "the project configures no target `{name}`, only {}",
                    names()
                ),
            })
        })?,
        None => match targets.iter().collect::<Vec<_>>()[..] {
            [one] => one,
            [] => {
                return Err(
                    CliError::NoTarget("the project configures no target".to_owned()).into(),
                );
            }
            _ => {
                let text = format!(
                    "the project configures several targets, say which with `--target`: {}",
                    names()
                );
                return Err(CliError::NoTarget(text).into());
            }
        },
    };
    Ok(Target::new(name, config).map_err(|error| CliError::Deploy(error.into()))?)
}

impl Opened {
    /// Does something with the target, and says what happens where.
    pub(super) fn run<T>(
        &self,
        context: Context<'_>,
        steal: bool,
        act: impl FnOnce(&unheck_deploy::Context<'_>) -> Result<T, DeployError>,
    ) -> Result<T, Box<Failure>> {
        let ui = context.ui;
        let say = |host: &str, what: &str| {
            if ui.verbose {
                ui.say(&format!("{}: {}", clean(host), clean(what)));
            }
        };
        let done = act(&unheck_deploy::Context {
            target: &self.target,
            ways: &self.ways,
            by: &self.by,
            steal,
            say: &say,
        });
        Ok(done.map_err(CliError::Deploy)?)
    }
}
