//! Which wheels a build backend is made of. Start at [`lock_requires`].

use super::hook::{self, Hook};
use super::{BackendError, build_system};
use crate::input::{AppFiles, LockOptions, Project};
use crate::lock::{Lock, Target, Wheel};
use crate::platform::Platform;
use crate::sdist::requires::{self, Asking, Required, preferences};
use crate::session::Session;

/// What [`lock_requires`] works from.
#[derive(Clone, Copy)]
pub struct RequiresRequest<'a> {
    /// The project.
    pub project: &'a Project,
    /// What decides the lock.
    pub options: &'a LockOptions,
    /// Its files.
    pub app: &'a AppFiles,
    /// The lock before, whose versions are kept where they may be.
    pub previous: Option<&'a Lock>,
}

/// Chooses and fetches the wheels of the build backend, for every target; asks the backend itself
/// what else it needs (`get_requires_for_build_wheel` of PEP 517).
///
/// # Errors
/// [`BackendError`].
pub fn lock_requires(
    session: &Session,
    request: &RequiresRequest<'_>,
    targets: &mut [&mut Target],
) -> Result<(), BackendError> {
    let system = build_system(request.project)?;
    for target in &mut *targets {
        target.build_requires = choose(session, request, target, &system.requires)?;
    }
    // Only an interpreter that runs here can be asked; without one the build will say so.
    let host = Platform::host();
    let Some(runs) = targets.iter().find(|target| Some(target.platform) == host) else {
        return Ok(());
    };
    let (project, app) = (request.project, request.app);
    let hook = Hook {
        session,
        project,
        target: runs,
        system: &system,
        app,
        epoch: 0,
    };
    let more = hook::requires(&hook)?;
    if more.is_empty() {
        return Ok(());
    }
    let requires: Vec<String> = system.requires.iter().cloned().chain(more).collect();
    for target in targets {
        target.build_requires = choose(session, request, target, &requires)?;
    }
    Ok(())
}

/// Like [`crate::sdist::requires::choose`], for wheels alone: nothing compiles here.
fn choose(
    session: &Session,
    request: &RequiresRequest<'_>,
    target: &Target,
    requires: &[String],
) -> Result<Vec<Wheel>, BackendError> {
    let platform = target.platform;
    let asking = Asking {
        session,
        project: request.project,
        options: request.options,
        interpreter: &target.interpreter,
        platform,
    };
    let previous = request.previous.iter().flat_map(|lock| lock.with_helper());
    let before = previous
        .into_iter()
        .find(|target| target.platform == platform);
    let known = before.map(|target| target.build_requires.as_slice());
    let kept = preferences(known.unwrap_or_default());
    let mut wheels = Vec::new();
    for required in requires::choose(&asking, requires, kept, None)? {
        match required {
            Required::Wheel(wheel) => wheels.push(wheel),
            Required::Source(package) => {
                let version = package.version.unwrap_or_default();
                let name = format!("{} {version}", package.name);
                return Err(BackendError::NoWheel { name, platform });
            }
        }
    }
    wheels.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(wheels)
}
