//! `unheck sbom`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_engine::bom::{Bill, BillFormat, bills};
use unheck_engine::event::Stage;
use unheck_engine::explain::{Class, Explain};
use unheck_engine::platform::Platform;
use unheck_engine::session::Session;

use super::Context;
use super::known::Known;
use crate::cli::SbomArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{Ui, clean, count};

/// `schemas/sbom.json`.
#[derive(Serialize)]
struct SbomJson<'a> {
    path: String,
    platform: &'a str,
    media_type: &'static str,
    components: usize,
    vulnerabilities: usize,
    notes: &'a [String],
}

/// No bill can be given.
#[derive(Debug, thiserror::Error)]
enum SbomError {
    /// The file cannot be written.
    #[error("cannot write the bill `{path}`", path = path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A bill is about one platform.
    #[error("the artifact is for several platforms, a bill is about one: {available}")]
    Several { available: String },
    /// What is known of vulnerabilities is not given.
    #[error("a VEX states what is known of vulnerabilities, and nothing names any")]
    NothingAsked,
    /// There is none for it.
    #[error("the artifact is not for `{wanted}`, only for {available}")]
    NoPlatform { wanted: Platform, available: String },
}

impl Explain for SbomError {
    fn class(&self) -> Class {
        match self {
            Self::Write { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Class::Limit,
                _ => Class::Input,
            },
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Write { .. } => vec!["choose a place that you may write to".to_owned()],
            Self::Several { .. } => {
                vec!["choose one: `unheck sbom ARTIFACT --platform linux/amd64`".to_owned()]
            }
            Self::NothingAsked => {
                vec![
                    "name an OSV export, `--osv DUMP`, or the project with its lock, `--project .`"
                        .to_owned(),
                ]
            }
            Self::NoPlatform { .. } => Vec::new(),
        }
    }
}

pub(super) fn sbom(args: &SbomArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let (session, progress) = crate::open::shown(context)?;
    let of_name = args.output.as_deref().map(BillFormat::of_name);
    let format = args.format.map(BillFormat::from).or(of_name);
    let format = format.unwrap_or(BillFormat::CycloneDx);
    let known = Known::of(&args.known)?;
    if format.is_vex() && known.basis().is_none() {
        return Err(SbomError::NothingAsked.into());
    }
    let detail = args.artifact.display().to_string();
    let made = session.stage(Stage::Verify, &detail, || {
        let mut bill = choose(&session, artifact.path(), args.platform)?;
        known.tell(std::slice::from_mut(&mut bill))?;
        Ok(bill)
    });
    progress.finish();
    let bill: Bill = made.map_err(|failure: Box<Failure>| failure)?;
    tell(context.ui, &bill);
    let document = bill.document(format)?;
    let Some(path) = &args.output else {
        context.ui.raw(&document)?;
        return Ok(exit::DONE);
    };
    write(path, &document)?;
    let text = path.display().to_string();
    let value = SbomJson {
        path: text.clone(),
        platform: &bill.platform,
        media_type: format.media_type(),
        components: bill.bom.components.len(),
        vulnerabilities: bill.bom.vulnerabilities.len(),
        notes: &bill.notes,
    };
    context.ui.data(&text, &value)?;
    Ok(exit::DONE)
}

/// Writes the bill of what was built, for `build --sbom`.
pub(super) fn write_beside(
    session: &Session,
    (artifact, known): (&Path, &Known),
    output: &Path,
    ui: &Ui,
) -> Result<(), Box<Failure>> {
    let mut bill = choose(session, artifact, None)?;
    known.tell(std::slice::from_mut(&mut bill))?;
    tell(ui, &bill);
    let document = bill.document(BillFormat::of_name(output))?;
    write(output, &document)?;
    let parts = count(bill.bom.components.len() as u64, "component");
    ui.say(&format!("bill of materials: {}, {parts}", output.display()));
    Ok(())
}

/// The bill of the only platform, or of the one that is asked for.
fn choose(
    session: &Session,
    artifact: &Path,
    wanted: Option<Platform>,
) -> Result<Bill, Box<Failure>> {
    let mut all = bills(session, artifact)?;
    let names: Vec<String> = all
        .iter()
        .map(|bill| format!("`{}`", bill.platform))
        .collect();
    let available = names.join(", ");
    match wanted {
        Some(wanted) => {
            let found = all
                .iter()
                .position(|bill| bill.platform == wanted.to_string());
            let found = found.ok_or(SbomError::NoPlatform { wanted, available })?;
            Ok(all.swap_remove(found))
        }
        None => match <[Bill; 1]>::try_from(all) {
            Ok([only]) => Ok(only),
            Err(_) => Err(SbomError::Several { available }.into()),
        },
    }
}

fn tell(ui: &Ui, bill: &Bill) {
    for note in &bill.notes {
        ui.say(&format!("note: {}", clean(note)));
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SbomError> {
    let failed = |source| SbomError::Write {
        path: path.to_owned(),
        source,
    };
    crate::whole::write(path, bytes).map_err(failed)
}
