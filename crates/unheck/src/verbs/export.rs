//! `unheck export`.

use std::collections::BTreeMap;

use serde::Serialize;
use unheck_engine::input::app_files;
use unheck_engine::kit::{ExportRequest, Exported, Program, Share, export as write};

use super::{Context, Opened, open};
use crate::cli::ExportArgs;
use crate::exit;
use crate::failure::Failure;
use crate::open::keyring_bytes;
use crate::ui::{Ui, bytes, count, table};

/// `schemas/export.json`.
#[derive(Serialize)]
struct ExportJson {
    path: String,
    digest: String,
    size: u64,
    lock: String,
    locked: bool,
    contents: BTreeMap<&'static str, ShareJson>,
}

#[derive(Serialize)]
struct ShareJson {
    files: u64,
    bytes: u64,
}

pub(super) fn export(args: &ExportArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let Opened {
        project,
        settings,
        session,
        progress,
    } = open(&args.choices, context)?;
    let app = app_files(&project)?;
    let keyring = settings.keyring.as_deref().map(keyring_bytes).transpose()?;
    let request = ExportRequest {
        lock: settings.lock.clone(),
        mode: settings.mode((args.locked, args.frozen)),
        output: args.air_gap.clone(),
        keyring,
        program: args.program.clone().map_or(Program::This, Program::At),
    };
    let exported = write(&session, &project, &app, &request);
    progress.finish();
    let exported = exported?;
    say(&exported, context.ui);
    if context.ui.verbose {
        context.ui.say(&progress.times());
    }
    let path = exported.path.display().to_string();
    let value = ExportJson {
        path: path.clone(),
        digest: exported.digest.to_string(),
        size: exported.size,
        lock: exported.manifest.lock.to_string(),
        locked: exported.locked,
        contents: exported
            .shares
            .iter()
            .map(|(kind, Share { files, bytes })| {
                let share = ShareJson {
                    files: *files,
                    bytes: *bytes,
                };
                (kind.name(), share)
            })
            .collect(),
    };
    context.ui.data(&path, &value)?;
    Ok(exit::DONE)
}

/// What is in it, and its digest.
fn say(exported: &Exported, ui: &Ui) {
    let rows: Vec<(String, String)> = exported
        .shares
        .iter()
        .map(|(kind, share)| {
            let name = kind.name().replace('-', " ");
            (
                bytes(share.bytes),
                format!("{name} ({})", count(share.files, "file")),
            )
        })
        .collect();
    ui.say(&format!("in the kit:\n{}", table(&rows)));
    ui.say(&format!(
        "written: {}, {}",
        bytes(exported.size),
        exported.digest
    ));
}
