//! `unheck verify`.

use serde::Serialize;
use unheck_engine::event::Stage;
use unheck_engine::finding::{Finding, Severity, worst};
use unheck_engine::verify::verify_artifact;

use super::Context;
use crate::cli::VerifyArgs;
use crate::exit;
use crate::failure::Failure;
use crate::settings::Cache;
use crate::ui::count;

/// `schemas/verify.json`.
#[derive(Serialize)]
struct VerifyJson<'a> {
    ok: bool,
    findings: &'a [Finding],
}

pub(super) fn verify(args: &VerifyArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let cache = Cache::find(context.common, context.surroundings)?;
    let progress = context.ui.progress();
    let session = crate::open::plain(
        &cache,
        context.common.offline,
        context.surroundings,
        progress.clone(),
    )?;
    let detail = args.artifact.display().to_string();
    let found = session.stage(Stage::Verify, &detail, || {
        verify_artifact(&session, artifact.path())
    });
    progress.finish();
    let findings = found?;
    context.ui.findings(&findings);
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let ok = worst(&findings) != Some(Severity::Error);
    let text = if ok {
        "it works".to_owned()
    } else {
        format!("it does not work: {}", count(errors as u64, "error"))
    };
    context.ui.data(
        &text,
        &VerifyJson {
            ok,
            findings: &findings,
        },
    )?;
    Ok(if ok { exit::DONE } else { exit::NO })
}
