//! `unheck verify`.

use std::path::Path;

use serde::Serialize;
use unheck_engine::event::Stage;
use unheck_engine::finding::{Finding, Severity, worst};
use unheck_engine::publish::{Reference, VerifyingKey, check};
use unheck_engine::session::Session;
use unheck_engine::verify::verify_artifact;

use super::Context;
use crate::cli::VerifyArgs;
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::ui::count;

/// `schemas/verify.json`.
#[derive(Serialize)]
struct VerifyJson<'a> {
    ok: bool,
    findings: &'a [Finding],
}

pub(super) fn verify(args: &VerifyArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let (session, progress) = crate::open::shown(context)?;
    let detail = args.artifact.display().to_string();
    let found = session.stage(Stage::Verify, &detail, || {
        verify_artifact(&session, artifact.path())
    });
    progress.finish();
    let mut findings = found?;
    findings.extend(attested(args, &session, artifact.reference(), context)?);
    findings.sort();
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

/// What is attached to an image in a registry.
fn attested(
    args: &VerifyArgs,
    session: &Session,
    reference: Option<&Reference>,
    context: Context<'_>,
) -> Result<Vec<Finding>, Box<Failure>> {
    let Some(reference) = reference else {
        return match args.key {
            Some(_) => Err(CliError::KeyForFile.into()),
            None => Ok(Vec::new()),
        };
    };
    // Without a key there is nothing that an image already here would have to be asked for again.
    if args.key.is_none() && context.common.offline {
        return Ok(Vec::new());
    }
    let key = args.key.as_deref().map(verifying_key).transpose()?;
    let access = crate::open::access(&args.registry, context.surroundings)?;
    Ok(check(session, &access, reference, key.as_ref())?)
}

pub(super) fn verifying_key(path: &Path) -> Result<VerifyingKey, CliError> {
    let text = fs_err::read_to_string(path).map_err(CliError::ReadKey)?;
    VerifyingKey::from_pem(&text).map_err(|source| CliError::Key {
        path: path.to_owned(),
        source,
    })
}
