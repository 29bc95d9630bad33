//! The wheels that a build backend is made of: chosen by the resolver, installed into a directory of their own.
//! Start at [`choose`] and [`environment`].

use std::sync::Arc;

use unheck_base::Digest;
use unheck_oci::layer::Compression;
use unheck_resolve::{Artifact, Preference, SourceBuilder};

use crate::assemble::{AppPart, assemble};
use crate::backend::BackendError;
use crate::input::{LockOptions, Project};
use crate::layers::{plan, write_layer};
use crate::lock::{FORMAT, Interpreter, Lock, Package, Plan, Target, Wheel};
use crate::locker::{record, resolver_inputs, resolver_target, want};
use crate::platform::Platform;
use crate::roots::{Roots, from_layers};
use crate::session::Session;
use crate::steps::Bytecode;
use unheck_wheel::WheelName;

/// Whose requirements are resolved, and how.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) session: &'a Session,
    /// Whose index settings and constraints count.
    pub(crate) project: &'a Project,
    pub(crate) options: &'a LockOptions,
    pub(crate) interpreter: &'a Interpreter,
    pub(crate) platform: Platform,
}

/// A requirement that became a wheel, or one that has to be compiled first.
pub(crate) enum Required {
    /// A wheel that is in the store.
    Wheel(Wheel),
    /// A distribution without a fitting wheel.
    Source(Box<unheck_resolve::Package>),
}

/// Chooses distributions for the requirements of a backend and fetches the wheels.
///
/// # Errors
/// [`BackendError`].
pub(crate) fn choose(
    asking: &Asking<'_>,
    requires: &[String],
    preferences: Vec<Preference>,
    builder: Option<Arc<dyn SourceBuilder>>,
) -> Result<Vec<Required>, BackendError> {
    if requires.is_empty() {
        return Ok(Vec::new());
    }
    let Asking {
        session, platform, ..
    } = *asking;
    let mut inputs = resolver_inputs(session, asking.project, asking.options);
    inputs.sources = requires
        .iter()
        .map(|text| requirement(text))
        .collect::<Result<_, _>>()?;
    inputs.extras.names.clear();
    inputs.groups.names.clear();
    inputs.purpose = unheck_resolve::Purpose::Build;
    let target =
        resolver_target(asking.interpreter, platform).map_err(|_| BackendError::Requirement {
            requirement: format!("python=={}", asking.interpreter.version),
        })?;
    let options = unheck_resolve::ResolveOptions {
        cache: session.resolver_cache.clone(),
        answers: session.answers.clone(),
        preferences,
        builder,
        reporter: None,
    };
    let resolution = session
        .net
        .block_on(unheck_resolve::resolve(&inputs, &target, &options))
        .map_err(|source| BackendError::Resolve {
            requires: requires.to_vec(),
            platform,
            source: Box::new(source),
        })?;
    let mut found = Vec::new();
    for package in resolution.packages {
        found.push(match &package.artifact {
            Artifact::Wheel(file)
            | Artifact::Archive {
                file,
                is_wheel: true,
                ..
            } => Required::Wheel(record(session, file)?),
            _ => Required::Source(Box::new(package)),
        });
    }
    let wants = found.iter().filter_map(|one| match one {
        Required::Wheel(wheel) => want(wheel),
        Required::Source(_) => None,
    });
    session.net.fetch(wants.collect())?;
    Ok(found)
}

/// One requirement. The resolver would take paths too, which no backend may ask for.
fn requirement(text: &str) -> Result<unheck_resolve::Source, BackendError> {
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
        Ok(unheck_resolve::Source::Requirement(text.to_owned()))
    } else {
        Err(BackendError::Requirement {
            requirement: text
                .chars()
                .take(200)
                .flat_map(char::escape_debug)
                .collect(),
        })
    }
}

/// The versions of wheels, to be kept where they may be.
pub(crate) fn preferences(wheels: &[Wheel]) -> Vec<Preference> {
    let names = wheels
        .iter()
        .filter_map(|wheel| wheel.name.parse::<WheelName>().ok());
    names
        .map(|name| Preference {
            name: name.project(),
            version: name.version().to_owned(),
        })
        .collect()
}

/// Wheels installed as the interpreter finds them, and an interpreter that is not Debian's; nothing else.
/// A build root goes over it.
///
/// # Errors
/// [`BackendError`].
pub(crate) fn environment(
    session: &Session,
    interpreter: &Interpreter,
    platform: Platform,
    wheels: &[Wheel],
) -> Result<Roots, BackendError> {
    let target = Target {
        platform,
        interpreter: interpreter.clone(),
        wheels: wheels.iter().map(|wheel| wheel.name.clone()).collect(),
        suites: Vec::new(),
        debs: Vec::new(),
        notes: Vec::new(),
        build_requires: Vec::new(),
        build_debs: Vec::new(),
    };
    install(session, &wheels_lock(wheels), &target)
}

/// Assembles a target and unpacks it for the sandbox.
///
/// # Errors
/// [`BackendError`].
pub(crate) fn install(
    session: &Session,
    lock: &Lock,
    target: &Target,
) -> Result<Roots, BackendError> {
    let store = session.store();
    let tree = assemble(store, lock, target, &AppPart::default()).map_err(Box::new)?;
    // Packed as fast as can be: nobody but this machine reads it.
    let compression = Compression::Zstd {
        level: 1,
        workers: 0,
    };
    let mut layers = Vec::new();
    for planned in plan(&tree, target, Bytecode::None) {
        layers.push(write_layer(store, &planned, compression)?.layer);
    }
    Ok(from_layers(store, &layers.iter().collect::<Vec<_>>())?)
}

/// A lock that has these wheels and nothing else.
pub(crate) fn wheels_lock(wheels: &[Wheel]) -> Lock {
    let packages = wheels.iter().map(|wheel| Package {
        name: wheel
            .name
            .parse::<WheelName>()
            .map_or_else(|_| wheel.name.clone(), |name| name.project()),
        version: None,
        marker: None,
        requires_python: None,
        index: None,
        dependencies: Vec::new(),
        wheels: vec![wheel.clone()],
        directory: None,
        vcs: None,
        sdist: None,
        tool: None,
    });
    let plan = Plan {
        format: FORMAT,
        inputs: Digest::of(b""),
        epoch: 0,
        roots: Vec::new(),
        app_needs: Vec::new(),
        targets: Vec::new(),
        helper: None,
        builds: Vec::new(),
        app_builds: Vec::new(),
    };
    Lock {
        requires_python: None,
        packages: packages.collect(),
        plan,
    }
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
