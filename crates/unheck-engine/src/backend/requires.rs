//! Which wheels a build backend is made of. Start at [`lock_requires`].

use unheck_resolve::{Artifact, Source};

use super::hook::{self, Hook};
use super::{BackendError, build_system};
use crate::input::{AppFiles, LockOptions, Project};
use crate::lock::{Lock, Target, Wheel};
use crate::locker::{record, resolver_inputs, resolver_target, want};
use crate::platform::Platform;
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

fn choose(
    session: &Session,
    request: &RequiresRequest<'_>,
    target: &Target,
    requires: &[String],
) -> Result<Vec<Wheel>, BackendError> {
    if requires.is_empty() {
        return Ok(Vec::new());
    }
    let platform = target.platform;
    let mut inputs = resolver_inputs(session, request.project, request.options);
    inputs.sources = requires
        .iter()
        .map(|text| requirement(text))
        .collect::<Result<_, _>>()?;
    inputs.extras.names.clear();
    inputs.groups.names.clear();
    let resolve_for =
        resolver_target(&target.interpreter, platform).map_err(|_| BackendError::Requirement {
            requirement: format!("python=={}", target.interpreter.version),
        })?;
    let options = unheck_resolve::ResolveOptions {
        cache: session.resolver_cache.clone(),
        preferences: preferences(request.previous, platform),
        builder: None,
        reporter: None,
    };
    let resolution = session
        .net
        .block_on(unheck_resolve::resolve(&inputs, &resolve_for, &options))
        .map_err(|source| BackendError::Resolve {
            requires: requires.to_vec(),
            platform,
            source: Box::new(source),
        })?;
    let mut wheels = Vec::new();
    for package in &resolution.packages {
        match &package.artifact {
            Artifact::Wheel(file)
            | Artifact::Archive {
                file,
                is_wheel: true,
                ..
            } => {
                wheels.push(record(session, file)?);
            }
            _ => {
                let name = format!(
                    "{} {}",
                    package.name,
                    package.version.as_deref().unwrap_or_default()
                );
                return Err(BackendError::NoWheel { name, platform });
            }
        }
    }
    session
        .net
        .fetch(wheels.iter().filter_map(want).collect())?;
    wheels.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(wheels)
}

/// One requirement. The resolver would take paths too, which no backend may ask for.
fn requirement(text: &str) -> Result<Source, BackendError> {
    let text = text.trim();
    let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains(['\n', '\r', '\0'])
        && text.len() <= 4096
        && !text
            .split([';', '@', '<', '>', '=', '!', '~', '['])
            .next()
            .unwrap_or_default()
            .contains(['/', ':']);
    if plain {
        Ok(Source::Requirement(text.to_owned()))
    } else {
        Err(refused(text))
    }
}

fn refused(text: &str) -> BackendError {
    BackendError::Requirement {
        requirement: text
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .collect(),
    }
}

fn preferences(previous: Option<&Lock>, platform: Platform) -> Vec<unheck_resolve::Preference> {
    let target = previous.and_then(|lock| lock.target(platform));
    let wheels = target
        .map(|target| target.build_requires.as_slice())
        .unwrap_or_default();
    let names = wheels
        .iter()
        .filter_map(|wheel| wheel.name.parse::<unheck_wheel::WheelName>().ok());
    names
        .map(|name| unheck_resolve::Preference {
            name: name.project(),
            version: name.version().to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_specifiers_are_requirements() {
        for text in [
            "hatchling",
            "setuptools>=40.8.0; python_version < '4'",
            "x[y]~=1.0",
            "x @ https://h/x-1.whl",
        ] {
            assert!(requirement(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "-r x.txt",
            "x/y",
            "file:x",
            "https://h/x.whl",
            "x\n--index-url=y",
        ] {
            assert!(requirement(text).is_err(), "{text}");
        }
    }
}
