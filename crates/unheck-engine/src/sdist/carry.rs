//! What the builds of a lock read besides packages and wheels: the crates of Rust projects. Start at [`crate_wants`].

use super::app::copied;
use super::error::SdistError;
use super::look::{Looked, look};
use super::requires::Asking;
use super::source::Source;
use crate::input::{AppFiles, LockOptions, Project};
use crate::lock::{Lock, Target};
use crate::net::Want;
use crate::platform::Platform;
use crate::session::Session;

/// The Debian package whose presence in a root makes a build fetch crates.
pub(super) const CARGO: &str = "cargo";

/// The crates of all builds of a lock, each with the name of the build. The sources are in the store then.
///
/// # Errors
/// [`SdistError`].
pub(crate) fn crate_wants(
    session: &Session,
    (project, options): (&Project, &LockOptions),
    lock: &Lock,
    app: &AppFiles,
) -> Result<Vec<(String, Want)>, SdistError> {
    let mut wants = Vec::new();
    let mut add = |label: &str, looked: &Looked| {
        if !looked.cargo_locks.is_empty() {
            let found = super::crates::wants(session, label, &looked.cargo_locks)?;
            wants.extend(found.into_iter().map(|want| (label.to_owned(), want)));
        }
        Ok::<_, SdistError>(())
    };
    for build in &lock.plan.builds {
        let Some(target) = with_cargo(lock, build.platform, &build.root) else {
            continue;
        };
        let asking = Asking {
            session,
            project,
            options,
            interpreter: &target.interpreter,
            platform: build.platform,
        };
        let source = super::restore::source(&asking, lock, build)?;
        add(
            &super::restore::label(build),
            &look(session.store(), &source)?,
        )?;
    }
    for build in &lock.plan.app_builds {
        if with_cargo(lock, build.platform, &build.root).is_none() {
            continue;
        }
        let copy = copied(session.store(), app)?;
        let source = Source::Tree {
            path: copy.path().to_owned(),
            subdirectory: None,
        };
        add(&project.name, &look(session.store(), &source)?)?;
    }
    Ok(wants)
}

/// The target of a build whose root has cargo.
fn with_cargo<'l>(lock: &'l Lock, platform: Platform, root: &[String]) -> Option<&'l Target> {
    let target = lock.target(platform)?;
    let in_base = |deb: &crate::lock::Deb| deb.base && deb.name == CARGO;
    let has = root.iter().any(|name| name == CARGO) || target.build_debs.iter().any(in_base);
    has.then_some(target)
}
