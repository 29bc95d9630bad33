//! `unheck push`.

use std::path::Path;

use serde::Serialize;
use unheck_engine::event::Stage;
use unheck_engine::publish::{PushedImage, Reference, push as send};
use unheck_engine::session::Session;

use super::Context;
use crate::cli::{PushArgs, RegistryArgs};
use crate::exit;
use crate::failure::Failure;
use crate::settings::Cache;
use crate::ui::{Ui, bytes};

/// `schemas/push.json`.
#[derive(Serialize)]
struct PushJson<'a> {
    pushed: &'a [PushedImage],
}

pub(super) fn push(args: &PushArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let cache = Cache::find(context.common, context.surroundings)?;
    let progress = context.ui.progress();
    let session = crate::open::plain(
        &cache,
        context.common.offline,
        context.surroundings,
        progress.clone(),
    )?;
    let what = (artifact.path(), args.references.as_slice());
    let pushed = push_to(&session, what, &args.registry, context);
    progress.finish();
    let pushed = pushed?;
    say(context.ui, &pushed);
    context
        .ui
        .data(&references(&pushed), &PushJson { pushed: &pushed })?;
    Ok(exit::DONE)
}

/// Pushes a written image, for `push` and `build --push`.
pub(super) fn push_to(
    session: &Session,
    (artifact, references): (&Path, &[Reference]),
    registry: &RegistryArgs,
    context: Context<'_>,
) -> Result<Vec<PushedImage>, Box<Failure>> {
    let access = crate::open::access(registry, context.surroundings)?;
    let names: Vec<String> = references.iter().map(ToString::to_string).collect();
    let pushed = session.stage(Stage::Push, &names.join(", "), || {
        send(session, &access, artifact, references)
    });
    Ok(pushed?)
}

/// What was sent and what was there.
pub(super) fn say(ui: &Ui, pushed: &[PushedImage]) {
    for one in pushed {
        ui.say(&format!(
            "pushed {}: {} sent, {} there already",
            one.tags.join(", "),
            bytes(one.sent),
            bytes(one.there)
        ));
    }
}

/// One reference by digest a line: what a script wants.
pub(super) fn references(pushed: &[PushedImage]) -> String {
    let lines: Vec<&str> = pushed.iter().map(|one| one.reference.as_str()).collect();
    lines.join("\n")
}
