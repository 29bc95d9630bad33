//! `smoke`: a command in the image, before its release is written down.

use std::time::Duration;

use unheck_oci::open::Opened;
use unheck_registry::push::Push;
use unheck_sandbox::Limits;

use super::error::Printed;
use super::{TargetContext, TargetFault};
use crate::publish::PublishError;
use crate::run::{RunOptions, run_opened, runnable};
use crate::verify::{ended, last_lines};

/// Time for the command, as on hosts.
const WALL: Duration = Duration::from_secs(120);
/// Memory for it, in bytes.
const MEMORY: u64 = 8 << 30;
/// Last lines of what it printed that are told.
const LINES: usize = 12;

/// Runs a command in the image that this machine can run, without network, from bytes whose digests the registry was just
/// asked for. The platforms on which it was not run.
///
/// # Errors
/// [`TargetFault`]: it does not end with 0, or cannot be run here.
pub(super) fn smoke(
    context: TargetContext<'_>,
    opened: &Opened,
    whole: &Push,
    command: &[String],
) -> Result<Vec<String>, TargetFault> {
    let target = || context.target.name.clone();
    let unrun = |source| TargetFault::Unrun {
        target: target(),
        source: Box::new(source),
    };
    let image = runnable(opened, None).map_err(unrun)?;
    let confirmed = |digest| {
        let manifests = whole.manifests.iter();
        manifests
            .map(|document| document.descriptor.digest)
            .any(|one| one == digest)
    };
    if !confirmed(image.descriptor.digest) {
        return Err(TargetFault::Missing {
            target: target(),
            what: image.descriptor.digest.to_string(),
        });
    }
    let options = RunOptions {
        command: command.to_vec(),
        network: Some(false),
        limits: Limits {
            wall: Some(WALL),
            memory: Some(MEMORY),
            ..Limits::default()
        },
        ..RunOptions::default()
    };
    let ran = run_opened(context.session, opened, &image, &options).map_err(unrun)?;
    if !ran.status.success() {
        let (stdout, stderr) = ran.output.unwrap_or_default();
        let printed = if stderr.trim().is_empty() {
            stdout
        } else {
            stderr
        };
        return Err(TargetFault::Smoke {
            target: target(),
            command: command.join(" "),
            platform: image.platform.to_string(),
            ended: ended(ran.status),
            printed: Printed(last_lines(&printed, LINES)),
        });
    }
    let images = opened.images().map_err(|source| TargetFault::Publish {
        doing: "deploy to",
        target: target(),
        after: "what serves was not touched".to_owned(),
        source: Box::new(PublishError::Open {
            path: opened.path().to_owned(),
            source: Box::new(source),
        }),
    })?;
    let others = images
        .iter()
        .filter(|one| one.descriptor != image.descriptor);
    Ok(others.map(|one| one.platform.to_string()).collect())
}
