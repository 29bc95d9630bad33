//! What the verbs about targets share: the target of the configuration, and the way to it.

use std::sync::Arc;

use unheck_deploy::{By, DeployError, Ssh, SshOptions, Target, Transport};
use unheck_engine::input;
use unheck_engine::publish::target::{RegistryTarget, TargetContext, TargetFault};
use unheck_engine::session::Session;
use unheck_registry::Access;

use super::Context;
use crate::cli::TargetArgs;
use crate::failure::{CliError, Failure};
use crate::ui::{Progress, clean};

/// A target, ready to be worked on.
pub(super) enum Opened {
    /// Hosts over ssh.
    Hosts(Box<Hosts>),
    /// A repository of a registry.
    Registry(Box<Registry>),
}

/// A target with the ways to its hosts.
pub(super) struct Hosts {
    pub(super) target: Target,
    ways: Vec<Box<dyn Transport>>,
    by: By,
}

/// A target with what its registry is spoken to with.
pub(super) struct Registry {
    pub(super) target: RegistryTarget,
    session: Session,
    access: Access,
    progress: Arc<Progress>,
    by: By,
}

/// What is configured.
pub(super) enum Found {
    /// Hosts over ssh.
    Hosts(Target),
    /// A repository of a registry.
    Registry(RegistryTarget),
}

/// Finds the target that is meant; connects to nothing yet.
pub(super) fn open(args: &TargetArgs, context: Context<'_>) -> Result<Opened, Box<Failure>> {
    let by = By {
        who: context.surroundings.who.clone(),
        now: context.surroundings.now,
    };
    let target = match find(args)? {
        Found::Hosts(target) => target,
        Found::Registry(target) => {
            let (session, progress) = crate::open::shown(context)?;
            return Ok(Opened::Registry(Box::new(Registry {
                target,
                session,
                access: crate::open::access(&args.registry, context.surroundings)?,
                progress,
                by,
            })));
        }
    };
    let options = SshOptions {
        program: "ssh".into(),
        config: args.ssh_config.clone(),
        scratch: context.surroundings.temporary.clone(),
    };
    let ways = Ssh::to(&target, &options).map_err(CliError::Deploy)?;
    Ok(Opened::Hosts(Box::new(Hosts { target, ways, by })))
}

/// The target of the configuration that is meant.
pub(super) fn find(args: &TargetArgs) -> Result<Found, Box<Failure>> {
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
    Ok(match config.registry {
        Some(_) => Found::Registry(
            RegistryTarget::new(name, config).map_err(|error| CliError::Target(error.into()))?,
        ),
        None => {
            Found::Hosts(Target::new(name, config).map_err(|error| CliError::Deploy(error.into()))?)
        }
    })
}

impl Opened {
    /// What `health` of the target says, if anything.
    pub(super) fn has_health(&self) -> bool {
        match self {
            Self::Hosts(hosts) => hosts.target.health.is_some(),
            Self::Registry(registry) => registry.target.health.is_some(),
        }
    }

    /// How many releases stay by the configuration.
    pub(super) fn keep(&self) -> u32 {
        match self {
            Self::Hosts(hosts) => hosts.target.keep,
            Self::Registry(registry) => registry.target.keep,
        }
    }
}

impl Registry {
    /// Does something with the target.
    pub(super) fn run<T>(
        &self,
        steal: bool,
        act: impl FnOnce(TargetContext<'_>) -> Result<T, TargetFault>,
    ) -> Result<T, Box<Failure>> {
        let done = act(TargetContext {
            session: &self.session,
            access: &self.access,
            target: &self.target,
            by: &self.by,
            steal,
        });
        self.progress.finish();
        Ok(done.map_err(CliError::Target)?)
    }
}

impl Hosts {
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
