//! The project's own wheel, made by its PEP 517 backend in a sandbox without network.
//!
//! When locking, [`lock_requires`] chooses the wheels that the backend is made of; when building,
//! [`build_wheel`] runs it over a copy of the app's files. It compiles nothing: there is an interpreter
//! and what the lock names, no compiler, no git. Start at [`build_wheel`].

mod diagnose;
mod hook;
mod requires;

use unheck_base::{Digest, Hasher};
use unheck_resolve::{BuildSystem, ResolveError};
use unheck_store::StoreError;
use unheck_wheel::{normalize_name, same_version};

use crate::assemble::AssembleError;
use crate::explain::{Class, Explain};
use crate::input::{AppFiles, Project};
use crate::layers::WriteLayerError;
use crate::lock::{Lock, Target};
use crate::net::NetError;
use crate::platform::Platform;
use crate::roots::{Roots, RootsError};
use crate::session::Session;
use crate::wheels::{UseWheelError, open_wheel};

pub use diagnose::Log;
pub(crate) use hook::only_wheel;
pub use requires::{RequiresRequest, lock_requires};

use hook::Hook;

/// Raised whenever the same inputs would give another wheel.
const VERSION: u32 = 1;

/// The project's own wheel cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// `pyproject.toml` cannot be read.
    #[error("cannot read the `[build-system]` of the project")]
    Project(#[source] Box<ResolveError>),
    /// A requirement of the backend is none.
    #[error(
        "`{requirement}` in the requirements of the build backend is no name with a version specifier"
    )]
    Requirement {
        /// The text.
        requirement: String,
    },
    /// What the backend requires has no solution.
    #[error("cannot resolve the requirements of the build backend for {platform}: {}", requires.join(", "))]
    Resolve {
        /// What it requires.
        requires: Vec<String>,
        /// The platform.
        platform: Platform,
        /// Why not.
        #[source]
        source: Box<ResolveError>,
    },
    /// What the backend requires would have to be compiled.
    #[error("the build backend needs `{name}`, which has no wheel for {platform}")]
    NoWheel {
        /// The distribution with its version.
        name: String,
        /// The platform.
        platform: Platform,
    },
    /// What the backend requires cannot be fetched.
    #[error("cannot fetch what the build backend requires")]
    Net(#[from] NetError),
    /// The environment of the backend cannot be made.
    #[error("cannot make the environment of the build backend")]
    Assemble(#[from] Box<AssembleError>),
    /// The environment of the backend cannot be written.
    #[error("cannot write the environment of the build backend")]
    Layer(#[from] WriteLayerError),
    /// The environment of the backend cannot be unpacked.
    #[error("cannot unpack the environment of the build backend")]
    Roots(#[from] RootsError),
    /// The copy of the app's files cannot be made, or the answer not be read.
    #[error("cannot prepare a build in `{path}`", path = path.display())]
    Scratch {
        /// The file or directory.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No sandbox can be made.
    #[error("cannot run the build backend in a sandbox")]
    Sandbox(#[from] unheck_sandbox::SandboxError),
    /// The backend ran and failed.
    #[error("the build backend `{backend}` failed in `{hook}` ({status})")]
    Failed {
        /// Its object reference.
        backend: String,
        /// The hook.
        hook: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        #[source]
        log: Log,
        /// What would mend it.
        hints: Vec<String>,
    },
    /// The backend hit a limit.
    #[error(
        "the build backend `{backend}` used more than the limit `{limit}` of {most} in `{hook}`"
    )]
    Limit {
        /// Its object reference.
        backend: String,
        /// The hook.
        hook: &'static str,
        /// Name of the limit.
        limit: String,
        /// The limit.
        most: &'static str,
        /// What it said.
        #[source]
        log: Log,
    },
    /// The backend answered something that is no answer.
    #[error("the build backend `{backend}` {problem}")]
    Answer {
        /// Its object reference.
        backend: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The wheel is refused.
    #[error("the wheel that the build backend made cannot be used")]
    Wheel(#[from] UseWheelError),
    /// The wheel is one of something else.
    #[error("the build backend made `{wheel}`, and a wheel of {expected} is wanted")]
    Other {
        /// File name of the wheel.
        wheel: String,
        /// Name and version of the project.
        expected: String,
    },
    /// The wheel runs on the platform of the build only.
    #[error(
        "the project's own wheel `{wheel}` is not pure Python, and {platform} is wanted on a machine of {host}"
    )]
    Foreign {
        /// File name of the wheel.
        wheel: String,
        /// What is wanted.
        platform: Platform,
        /// This machine.
        host: Platform,
    },
    /// The lock has no interpreter that runs on this machine.
    #[error(
        "the project's own wheel cannot be built here: the lock has no target that this machine can run"
    )]
    NoHost {
        /// This machine, where it is a platform of unheck.
        host: Option<Platform>,
    },
    /// The headers of an interpreter cannot be had.
    #[error("cannot take the headers of the interpreter: {0}")]
    Headers(String),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Explain for BackendError {
    fn class(&self) -> Class {
        match self {
            Self::Project(_) | Self::Requirement { .. } | Self::NoWheel { .. } => Class::Input,
            Self::Foreign { .. } | Self::NoHost { .. } => Class::Input,
            Self::Resolve { source, .. } => match source.fault() {
                unheck_resolve::Fault::Input => Class::Input,
                unheck_resolve::Fault::World => Class::Outside,
                unheck_resolve::Fault::Bug => Class::Bug,
            },
            Self::Net(error) => error.class(),
            Self::Assemble(error) => error.class(),
            Self::Layer(error) => error.class(),
            Self::Roots(error) => error.class(),
            Self::Sandbox(error) if error.unavailable().is_some() => Class::Sandbox,
            Self::Limit { .. } => Class::Limit,
            Self::Store(error) if error.is_no_space() => Class::Limit,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Project(error) => error.hints().to_vec(),
            Self::Resolve { source, .. } => source.hints().to_vec(),
            Self::NoWheel { name, .. } => vec![format!(
                "put a wheel of `{}` into a directory and add `--find-links DIR`, or choose another Python with `--python`",
                name.split(' ').next().unwrap_or(name)
            )],
            Self::Net(error) => error.hints(),
            Self::Assemble(error) => error.hints(),
            Self::Layer(error) => error.hints(),
            Self::Roots(error) => error.hints(),
            Self::Sandbox(error) => error.hint().map(str::to_owned).into_iter().collect(),
            Self::Failed { hints, .. } => hints.clone(),
            Self::Limit { .. } => {
                vec!["build the wheel elsewhere, and name it as a requirement".to_owned()]
            }
            Self::Wheel(error) => error.hints(),
            Self::Other { .. } => {
                vec!["make `[project] name` and `version` say what the backend builds".to_owned()]
            }
            Self::Foreign { platform, .. } => vec![format!("build on a machine of {platform}")],
            Self::NoHost { host: Some(host) } => {
                vec![format!("add this machine's platform: `--platform {host}`")]
            }
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// A root with the interpreter of a target and nothing else.
///
/// # Errors
/// [`BackendError`].
pub(crate) fn interpreter_root(session: &Session, target: &Target) -> Result<Roots, BackendError> {
    let bare = Target {
        build_requires: Vec::new(),
        build_debs: Vec::new(),
        ..target.clone()
    };
    hook::environment(session, &bare)
}

/// Builds the project's own wheel: its file name and digest; it is in the store then. Does
/// nothing when the same files were built before with the same backend.
///
/// A pure wheel is built once, by the interpreter that this machine can run, and serves all platforms.
///
/// # Errors
/// [`BackendError`].
pub fn build_wheel(
    session: &Session,
    project: &Project,
    lock: &Lock,
    target: &Target,
    app: &AppFiles,
) -> Result<(String, Digest), BackendError> {
    let host = Platform::host();
    let runs = lock.runs_here().ok_or(BackendError::NoHost { host })?;
    let system = build_system(project)?;
    let epoch = session.source_date_epoch.unwrap_or(lock.plan.epoch);
    let key = key(project, runs, app, epoch);
    let (name, digest) = match remembered(session, &key)? {
        Some(built) => built,
        None => {
            let hook = Hook {
                session,
                project,
                target: runs,
                system: &system,
                app,
                epoch,
            };
            let built = hook::wheel(&hook)?;
            let bytes = serde_json::to_vec(&built).expect("a name and a digest");
            session
                .store()
                .derived("app-wheel", &key)
                .put_bytes(&bytes)?;
            built
        }
    };
    check(session, project, &name, &digest, target)?;
    Ok((name, digest))
}

fn remembered(session: &Session, key: &Digest) -> Result<Option<(String, Digest)>, BackendError> {
    let bytes = session.store().derived("app-wheel", key).bytes(1 << 16)?;
    let built = bytes.and_then(|bytes| serde_json::from_slice::<(String, Digest)>(&bytes).ok());
    Ok(built.filter(|(_, digest)| session.store().has(digest)))
}

/// Everything that decides the wheel.
fn key(project: &Project, target: &Target, app: &AppFiles, epoch: i64) -> Digest {
    let mut hasher = Hasher::new();
    let mut say = |text: &str| {
        hasher.update(text.as_bytes());
        hasher.update(b"\0");
    };
    say(&format!(
        "app wheel {VERSION} {} {epoch}",
        app.fingerprint()
    ));
    say(crate::sdist::frontend::DRIVER);
    say(&format!("{:?}", target.interpreter));
    for deb in target.debs.iter().filter(|deb| deb.base) {
        say(&deb.sha256.hex());
    }
    for wheel in &target.build_requires {
        say(&wheel.hashes.sha256.hex());
    }
    for (name, value) in &project.config.build_env {
        say(name);
        say(value);
    }
    hasher.finish()
}

/// Refuses a wheel that is not the project's, or that does not run where it is wanted.
fn check(
    session: &Session,
    project: &Project,
    name: &str,
    digest: &Digest,
    target: &Target,
) -> Result<(), BackendError> {
    let open = open_wheel(session.store(), name, digest)?;
    let wheel = open.wheel.name();
    let same = wheel.project() == normalize_name(&project.name)
        && project
            .version
            .as_deref()
            .is_none_or(|version| same_version(version, wheel.version()));
    if !same {
        let version = project.version.as_deref().unwrap_or_default();
        let expected = format!("`{} {version}`", project.name).replace(" `", "`");
        return Err(BackendError::Other {
            wheel: name.to_owned(),
            expected,
        });
    }
    match Platform::host() {
        Some(host) if host != target.platform && wheel.platform_tags().any(|tag| tag != "any") => {
            Err(BackendError::Foreign {
                wheel: name.to_owned(),
                platform: target.platform,
                host,
            })
        }
        _ => Ok(()),
    }
}

/// The backend of the project, with the defaults of PEP 517 and 518 where it states none.
pub(crate) fn build_system(project: &Project) -> Result<BuildSystem, BackendError> {
    let file = project.root.join("pyproject.toml");
    let info = unheck_resolve::read_project(&file)
        .map_err(|error| BackendError::Project(Box::new(error)))?;
    let mut system = info
        .and_then(|info| info.build_system)
        .unwrap_or_else(|| BuildSystem {
            requires: Vec::new(),
            backend: None,
            backend_path: Vec::new(),
        });
    if system.backend.is_none() && system.requires.is_empty() {
        system.requires.push("setuptools >= 40.8.0".to_owned());
    }
    Ok(system)
}

/// The backend's object reference.
fn reference(system: &BuildSystem) -> &str {
    system
        .backend
        .as_deref()
        .unwrap_or("setuptools.build_meta:__legacy__")
}

#[cfg(test)]
mod tests;
