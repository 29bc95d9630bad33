//! The verbs, one file each: `fn(&Args, &Context, &Ui) -> Result<exit code, Failure>`.

mod build;
mod cache;
mod check;
mod completions;
mod deploy;
mod export;
mod identify;
pub(crate) mod known;
mod lock;
mod prune;
mod pull;
mod push;
mod release;
mod review;
mod run;
mod sbom;
mod size;
mod status;
mod target;
mod verify;
mod why;

use unheck_engine::input::{self, Project};
use unheck_engine::session::Session;

use crate::cli::{Choices, Cli, Common, KitArgs, Verb};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::surroundings::Surroundings;
use crate::ui::{Progress, Ui};

/// What every verb is given besides its own arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The common options.
    pub(crate) common: &'a Common,
    /// Environment and clock.
    pub(crate) surroundings: &'a Surroundings,
    /// The way to the user.
    pub(crate) ui: &'a Ui,
}

/// Runs the verb that was asked for and answers the exit code.
pub(crate) fn dispatch(
    cli: &Cli,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Result<u8, Box<Failure>> {
    let context = Context {
        common: &cli.common,
        surroundings,
        ui,
    };
    match &cli.verb {
        Verb::Build(args) => build::build(args, context),
        Verb::Lock(args) => lock::lock(args, context),
        Verb::Export(args) => export::export(args, context),
        Verb::Run(args) => run::run(args, context),
        Verb::Verify(args) => verify::verify(args, context),
        Verb::Check(args) => check::check(args, context),
        Verb::Why(args) => why::why(args, context),
        Verb::Size(args) => size::size(args, context),
        Verb::Identify(args) => identify::identify(args, context),
        Verb::Sbom(args) => sbom::sbom(args, context),
        Verb::Push(args) => push::push(args, context),
        Verb::Pull(args) => pull::pull(args, context),
        Verb::Deploy(args) => deploy::deploy(args, context),
        Verb::Release(args) => release::release(args, context),
        Verb::Rollback(args) => release::rollback(args, context),
        Verb::Status(args) => status::status(args, context),
        Verb::Prune(args) => prune::prune(args, context),
        Verb::Review(args) => review::review(args, context),
        Verb::Cache(args) => cache::cache(&args.what, context),
        Verb::Completions(args) => completions::completions(args.shell, context),
    }
}

/// A project with everything that is needed to work on it.
struct Opened {
    project: Project,
    settings: Settings,
    session: Session,
    progress: std::sync::Arc<Progress>,
}

fn open(choices: &Choices, context: Context<'_>) -> Result<Opened, Box<Failure>> {
    let project = input::read(&choices.project)?;
    let settings = Settings::resolve(choices, context.common, &project, context.surroundings)?;
    opened(project, settings, context)
}

/// The same with the kit that stands for the network, where there is one.
fn open_with_kit(
    choices: &Choices,
    kit: &KitArgs,
    context: Context<'_>,
) -> Result<Opened, Box<Failure>> {
    let project = input::read(&choices.project)?;
    let settings = Settings::resolve(choices, context.common, &project, context.surroundings)?;
    let mut settings = settings.with_kit(kit, &project);
    let kit = crate::open::kit(&mut settings, &project)?;
    let mut opened = opened(project, settings, context)?;
    if let Some(kit) = kit {
        opened.session.net = opened.session.net.with_kit(kit);
    }
    Ok(opened)
}

fn opened(
    project: Project,
    settings: Settings,
    context: Context<'_>,
) -> Result<Opened, Box<Failure>> {
    let progress = context.ui.progress();
    let session =
        crate::open::session(&settings, &project, context.surroundings, progress.clone())?;
    Ok(Opened {
        project,
        settings,
        session,
        progress,
    })
}
