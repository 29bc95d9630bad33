//! `unheck push`.

use std::path::Path;

use serde::Serialize;
use unheck_engine::event::Stage;
use unheck_engine::input::{self, Project};
use unheck_engine::publish::{
    Attach, PushedImage, Reference, Saying, SignCommand, Signer, SigningKey, push as send,
};
use unheck_engine::session::Session;
use unheck_engine::vulnerabilities::Basis;

use super::Context;
use super::known::Known;
use crate::cli::{AttachArgs, PushArgs, RegistryArgs};
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::ui::{Ui, bytes, clean};

/// `schemas/push.json`.
#[derive(Serialize)]
struct PushJson<'a> {
    pushed: &'a [PushedImage],
}

pub(super) fn push(args: &PushArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let known = Known::of(&args.known)?;
    let project = args.known.project.as_deref().map(input::read).transpose()?;
    let artifact = crate::open::artifact(&args.artifact, &args.registry, context)?;
    let (session, progress) = crate::open::shown(context)?;
    let what = What {
        artifact: artifact.path(),
        references: &args.references,
        registry: &args.registry,
        attach: &args.attach,
        known: &known,
        project: project.as_ref(),
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
    pub(super) known: &'a Known,
    /// Whose configuration counts where flags say nothing.
    pub(super) project: Option<&'a Project>,
}

/// Pushes a written image, for `push` and `build --push`.
pub(super) fn push_to(
    session: &Session,
    what: What<'_>,
    context: Context<'_>,
) -> Result<Vec<PushedImage>, Box<Failure>> {
    let access = crate::open::access(what.registry, context.surroundings)?;
    let signer = signer(what.attach, what.project)?;
    let attach = attached(what.attach, signer.as_ref(), what.known.basis());
    say_command(context.ui, signer.as_ref());
    let names: Vec<String> = what.references.iter().map(ToString::to_string).collect();
    let pushed = session.stage(Stage::Push, &names.join(", "), || {
        send(session, &access, what.artifact, what.references, attach)
    });
    Ok(pushed?)
}

/// What is put beside an image.
pub(super) const fn attached<'a>(
    args: &AttachArgs,
    signer: Option<&'a Signer>,
    basis: Option<Basis<'a>>,
) -> Attach<'a> {
    match args.no_attach {
        true => Attach::Nothing,
        false => Attach::Said(Saying { signer, basis }),
    }
}

/// Tells which program is about to be run.
pub(super) fn say_command(ui: &Ui, signer: Option<&Signer>) {
    if let Some(Signer::Command(command)) = signer {
        let program = command.program();
        ui.say(&clean(&format!("signing with the command `{program}`")));
    }
}

/// Who signs: a flag's key or command, else the command that the project configures.
pub(super) fn signer(
    args: &AttachArgs,
    project: Option<&Project>,
) -> Result<Option<Signer>, Box<Failure>> {
    if let Some(path) = &args.sign_key {
        return Ok(Some(Signer::Key(signing_key(path)?)));
    }
    let configured = project.and_then(|project| {
        let public = project.config.sign_public_key.as_ref();
        let command = project.config.sign_command.as_ref()?;
        Some((command, public.map(|path| project.root.join(path))))
    });
    let (text, public) = match (&args.sign_command, configured) {
        (Some(text), _) => (text, args.sign_public_key.clone()),
        (None, Some((text, public))) => (text, args.sign_public_key.clone().or(public)),
        (None, None) if args.sign_public_key.is_some() || args.sign_key_id.is_some() => {
            return Err(CliError::NoSignCommand.into());
        }
        (None, None) => return Ok(None),
    };
    let mut command = SignCommand::parse(text)?;
    command.public = public
        .as_deref()
        .map(super::verify::verifying_key)
        .transpose()?;
    command.key_id.clone_from(&args.sign_key_id);
    Ok(Some(Signer::Command(command)))
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
