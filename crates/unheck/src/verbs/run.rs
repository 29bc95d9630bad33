//! `unheck run`. Its exit code is that of what ran.

use std::os::unix::process::CommandExt as _;

use unheck_engine::form::{Format, kind_of, program_of};
use unheck_engine::run::{RunOptions, run_image};
use unheck_engine::session::Session;
use unheck_sandbox::Limits;

use super::Context;
use crate::cli::RunArgs;
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::settings::Cache;

pub(super) fn run(args: &RunArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let cache = Cache::find(context.common, context.surroundings)?;
    // What runs has the terminal to itself, so no progress is shown.
    let reporter = std::sync::Arc::new(unheck_engine::event::Silent);
    let session = crate::open::plain(
        &cache,
        context.common.offline,
        context.surroundings,
        reporter,
    )?;
    if kind_of(artifact.path()).is_ok_and(|kind| kind != Format::Image) {
        return start(args, &session);
    }
    let options = RunOptions {
        command: Vec::new(),
        args: args.args.clone(),
        platform: args.platform,
        env: args.env.iter().cloned().collect(),
        network: match (args.network, args.no_network) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        interactive: true,
        limits: Limits::default(),
    };
    let ran = run_image(&session, artifact.path(), &options)?;
    Ok(u8::try_from(ran.code()).unwrap_or(exit::NO))
}

/// Becomes what a directory, archive or executable starts: it needs no sandbox, and has none.
fn start(args: &RunArgs, session: &Session) -> Result<u8, Box<Failure>> {
    let program = program_of(session.store(), &args.artifact)?;
    let mut command = std::process::Command::new(&program);
    command.args(&args.args);
    command.envs(args.env.iter().map(|(name, value)| (name, value)));
    Err(CliError::Start {
        path: program,
        source: command.exec(),
    }
    .into())
}
