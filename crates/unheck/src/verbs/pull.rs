//! `unheck pull`.

use std::path::PathBuf;

use unheck_engine::event::Stage;
use unheck_engine::publish::{Reference, save};

use super::Context;
use crate::cli::PullArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::bytes;

pub(super) fn pull(args: &PullArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let (session, progress) = crate::open::shown(context)?;
    let access = crate::open::access(&args.registry, context.surroundings)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| usual(&args.reference));
    let name = args.reference.to_string();
    let written = session.stage(Stage::Pull, &name, || {
        save(&session, &access, &args.reference, &output)
    });
    progress.finish();
    let written = written?;
    context.ui.say(&format!(
        "pulled {}, {}",
        written.reference,
        bytes(written.size)
    ));
    context
        .ui
        .data(&written.path.display().to_string(), &written)?;
    Ok(exit::DONE)
}

/// `web-1.0.oci.tar` of `registry.example/team/web:1.0`.
fn usual(reference: &Reference) -> PathBuf {
    let name = reference.repository().name();
    let last = name.rsplit('/').next().unwrap_or(name);
    let which = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(digest)) => digest.hex()[..12].to_owned(),
        (None, None) => "latest".to_owned(),
    };
    PathBuf::from(format!("{last}-{which}.oci.tar"))
}
