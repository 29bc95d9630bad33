//! `unheck run`. Its exit code is that of what ran.

use unheck_engine::run::{RunOptions, run_image};

use super::Context;
use crate::cli::RunArgs;
use crate::exit;
use crate::failure::Failure;
use crate::settings::Cache;

pub(super) fn run(args: &RunArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let cache = Cache::find(context.common, context.surroundings)?;
    // What runs has the terminal to itself, so no progress is shown.
    let reporter = std::sync::Arc::new(unheck_engine::event::Silent);
    let session = crate::open::plain(
        &cache,
        context.common.offline,
        context.surroundings,
        reporter,
    )?;
    let options = RunOptions {
        args: args.args.clone(),
        platform: args.platform,
        env: args.env.iter().cloned().collect(),
        network: match (args.network, args.no_network) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        interactive: true,
    };
    let ran = run_image(&session, &args.artifact, &options)?;
    Ok(u8::try_from(ran.code).unwrap_or(exit::NO))
}
