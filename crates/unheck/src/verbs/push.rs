//! `unheck push`.

use std::path::Path;

use serde::Serialize;
use unheck_engine::event::Stage;
use unheck_engine::publish::{Attach, PushedImage, Reference, SigningKey, push as send};
use unheck_engine::session::Session;

use super::Context;
use crate::cli::{AttachArgs, PushArgs, RegistryArgs};
use crate::exit;
use crate::failure::{CliError, Failure};
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
    let what = What {
        artifact: artifact.path(),
        references: &args.references,
        registry: &args.registry,
        attach: &args.attach,
    };
    let pushed = push_to(&session, what, context);
    progress.finish();
    let pushed = pushed?;
    say(context.ui, &pushed);
    context
        .ui
        .data(&references(&pushed), &PushJson { pushed: &pushed })?;
    Ok(exit::DONE)
}

/// What is pushed, and how.
#[derive(Clone, Copy)]
pub(super) struct What<'a> {
    pub(super) artifact: &'a Path,
    pub(super) references: &'a [Reference],
    pub(super) registry: &'a RegistryArgs,
    pub(super) attach: &'a AttachArgs,
}

/// Pushes a written image, for `push` and `build --push`.
pub(super) fn push_to(
    session: &Session,
    what: What<'_>,
    context: Context<'_>,
) -> Result<Vec<PushedImage>, Box<Failure>> {
    let access = crate::open::access(what.registry, context.surroundings)?;
    let key = what
        .attach
        .sign_key
        .as_deref()
        .map(signing_key)
        .transpose()?;
    let attach = match what.attach.no_attach {
        true => Attach::Nothing,
        false => Attach::Said(key.as_ref()),
    };
    let names: Vec<String> = what.references.iter().map(ToString::to_string).collect();
    let pushed = session.stage(Stage::Push, &names.join(", "), || {
        send(session, &access, what.artifact, what.references, attach)
    });
    Ok(pushed?)
}

fn signing_key(path: &Path) -> Result<SigningKey, CliError> {
    let text = fs_err::read_to_string(path).map_err(CliError::ReadKey)?;
    SigningKey::from_pem(&text).map_err(|source| CliError::Key {
        path: path.to_owned(),
        source,
    })
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
