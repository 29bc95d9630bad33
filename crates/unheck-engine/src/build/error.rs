//! Why nothing was built: [`BuildError`].

use std::path::PathBuf;

use unheck_sandbox::SandboxError;

use crate::assemble::AssembleError;
use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity};
use crate::form::Format;
use crate::identify::attested::RefusedAttestation;
use crate::input::{AppFilesError, EntryError, ReadProjectError};
use crate::layers::WriteLayerError;
use crate::lock::ReadLockError;
use crate::locker::MakeLockError;
use crate::net::NetError;
use crate::platform::Platform;
use crate::scan::ScanError;
use crate::sdist::SdistError;
use crate::steps::imports::NarrowError;
use crate::steps::{RelocateError, StripTreeError};
use crate::verify::VerifyError;
use crate::wheels::UseWheelError;
use crate::write::{WriteFormError, WriteImageError};

/// Nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The project cannot be read.
    #[error("cannot read the project")]
    Project(#[from] ReadProjectError),
    /// The app's files cannot be taken.
    #[error("cannot take the app's files")]
    App(#[from] AppFilesError),
    /// Nothing says what to start.
    #[error("cannot tell what the artifact should start")]
    Entry(#[from] EntryError),
    /// The lock cannot be read.
    #[error("cannot use the lock")]
    ReadLock(#[from] ReadLockError),
    /// The lock does not fit the project any more, and may not be renewed.
    #[error("the lock `{path}` is stale: {why}", path = path.display())]
    Stale {
        /// The lock.
        path: PathBuf,
        /// What changed.
        why: &'static str,
    },
    /// The lock does not fit the project any more, and a kit has nothing to choose from.
    #[error("the lock `{path}` is stale: {why}; a kit has what its lock names and no index to choose from", path = path.display())]
    StaleForKit {
        /// The lock.
        path: PathBuf,
        /// What changed.
        why: &'static str,
    },
    /// There is no lock, and none may be made.
    #[error("there is no lock `{path}`", path = path.display())]
    NoLock {
        /// Where it should be.
        path: PathBuf,
    },
    /// The lock cannot be made.
    #[error("cannot lock")]
    Lock(#[from] Box<MakeLockError>),
    /// An attestation in the lock does not hold.
    #[error(transparent)]
    Attestation(#[from] Box<RefusedAttestation>),
    /// The lock cannot be written.
    #[error("cannot write the lock `{path}`", path = path.display())]
    WriteLock {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What the lock names cannot be fetched.
    #[error("cannot fetch what the lock names")]
    Net(#[from] NetError),
    /// What the lock has compiled cannot be made again.
    #[error("cannot compile what the lock names")]
    Compile(#[from] Box<SdistError>),
    /// The tree cannot be made.
    #[error("cannot assemble the tree")]
    Assemble(#[from] Box<AssembleError>),
    /// A wheel cannot be used.
    #[error("cannot use a distribution")]
    Wheel(#[from] UseWheelError),
    /// An archive cannot be scanned.
    #[error("cannot look into an archive")]
    Scan(#[from] ScanError),
    /// The app's own wheel cannot be built.
    #[error("cannot build the project's own wheel")]
    Backend(#[from] Box<crate::backend::BackendError>),
    /// Objects cannot be stripped.
    #[error("cannot strip symbol tables")]
    Strip(#[from] StripTreeError),
    /// What is reached cannot be found out.
    #[error("cannot find out what the entry reaches")]
    Narrow(#[from] NarrowError),
    /// Modules cannot be left out at this level.
    #[error(
        "cannot leave out `{module}`: `--trim {level}` leaves out no modules that something could import"
    )]
    LeaveOutLevel {
        /// The first of them.
        module: String,
        /// The level.
        level: crate::steps::TrimLevel,
    },
    /// A module is to be kept and to be left out.
    #[error("cannot keep `{kept}` and leave out `{module}`")]
    KeptAndLeftOut {
        /// What is left out.
        module: String,
        /// What is kept.
        kept: String,
    },
    /// `--trim traced` without a recorded run.
    #[error("no run was recorded: there is no `{path}`", path = path.display())]
    NoProfile {
        /// Where it should be.
        path: PathBuf,
    },
    /// No platform of the lock is this machine's, so that nothing can be recorded.
    #[error("cannot record a run: the project is built for other machines than this one")]
    TraceElsewhere,
    /// What was built for a recorded run cannot be unpacked.
    #[error("cannot make a root to record a run in")]
    TraceRoots(#[from] Box<crate::roots::RootsError>),
    /// A run cannot be recorded.
    #[error("cannot run `{command}` to record it")]
    Trace {
        /// Its first word.
        command: String,
        /// Why not.
        #[source]
        source: Box<SandboxError>,
    },
    /// The profile of recorded runs cannot be read or written.
    #[error("cannot use the profile of recorded runs `{path}`", path = path.display())]
    Profile {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Modules cannot be compiled.
    #[error("cannot compile modules to bytecode")]
    Bytecode(#[from] Box<crate::steps::BytecodeError>),
    /// A layer cannot be written.
    #[error("cannot write a layer")]
    Layer(#[from] WriteLayerError),
    /// It could not be run.
    #[error("cannot verify what was built")]
    Verify(#[from] Box<VerifyError>),
    /// It could not be held against the targets that the project promises.
    #[error("cannot check against `require` of `[tool.unheck]`")]
    Require(#[from] Box<crate::check::CheckError>),
    /// It was run, and something does not work.
    #[error("what was built does not work: {} found", if errors(.0) == 1 { "one error".to_owned() } else { format!("{} errors", errors(.0)) })]
    Broken(Vec<Finding>),
    /// It has vulnerabilities that are to stop it.
    #[error("what was built has {}, so it was not written", vulnerabilities(.0))]
    Vulnerable(Vec<Finding>),
    /// What is known of vulnerabilities cannot be read.
    #[error("cannot look for known vulnerabilities")]
    Dump(#[from] crate::vulnerabilities::DumpError),
    /// What is in it cannot be listed.
    #[error("cannot list what was built")]
    Bill(#[from] Box<crate::bom::BomError>),
    /// It is over its budget.
    #[error(transparent)]
    Limits(#[from] Box<crate::limits::LimitsError>),
    /// The image cannot be written.
    #[error("cannot write the image")]
    Image(#[from] WriteImageError),
    /// The tree cannot be made relocatable.
    #[error("cannot make the tree relocatable")]
    Relocate(#[from] Box<RelocateError>),
    /// A relocatable artifact cannot be written.
    #[error("cannot write the artifact")]
    Form(#[from] WriteFormError),
    /// Launchers cannot be told what to start.
    #[error("cannot describe what the artifact starts")]
    Launch(#[from] unheck_launcher::LaunchError),
    /// The entry is nothing that a launcher can start.
    #[error("the artifact cannot start `{0}`: it is no Python program of the environment")]
    EntryProgram(String),
    /// This unheck has no launcher for the platform.
    #[error(
        "cannot build the format `{format}` for {platform}: this unheck was built without a launcher for it"
    )]
    NoLauncher {
        /// What was asked for.
        format: Format,
        /// For which platform.
        platform: Platform,
    },
    /// Only images hold several platforms.
    #[error("the format `{format}` holds one platform, and several are asked for")]
    OnePlatform {
        /// What was asked for.
        format: Format,
    },
    /// An image brings its libraries.
    #[error("an image has no host whose libraries it could use")]
    ImageLibs,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] unheck_store::StoreError),
}

fn errors(findings: &[Finding]) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count()
}

fn vulnerabilities(findings: &[Finding]) -> String {
    match errors(findings) {
        1 => "a known vulnerability at which `vulnerabilities` of `[tool.unheck]` stops".to_owned(),
        count => {
            format!(
                "{count} known vulnerabilities at which `vulnerabilities` of `[tool.unheck]` stops"
            )
        }
    }
}

impl BuildError {
    fn explain(&self) -> Option<&dyn Explain> {
        Some(match self {
            Self::Project(error) => error,
            Self::App(error) => error,
            Self::Entry(error) => error,
            Self::ReadLock(error) => error,
            Self::Lock(error) => &**error,
            Self::Attestation(error) => &**error,
            Self::Net(error) => error,
            Self::Compile(error) => &**error,
            Self::Assemble(error) => &**error,
            Self::Wheel(error) => error,
            Self::Backend(error) => &**error,
            Self::Bytecode(error) => &**error,
            Self::Layer(error) => error,
            Self::Narrow(error) => error,
            Self::TraceRoots(error) => &**error,
            Self::Verify(error) => &**error,
            Self::Limits(error) => &**error,
            Self::Require(error) => &**error,
            Self::Dump(error) => error,
            Self::Bill(error) => &**error,
            Self::Image(error) => error,
            Self::Relocate(error) => &**error,
            Self::Form(error) => error,
            _ => return None,
        })
    }
}

impl Explain for BuildError {
    fn class(&self) -> Class {
        if let Some(error) = self.explain() {
            return error.class();
        }
        match self {
            Self::Stale { .. }
            | Self::StaleForKit { .. }
            | Self::NoLock { .. }
            | Self::NoProfile { .. }
            | Self::LeaveOutLevel { .. }
            | Self::KeptAndLeftOut { .. }
            | Self::TraceElsewhere
            | Self::WriteLock { .. } => Class::Input,
            Self::Launch(_)
            | Self::EntryProgram(_)
            | Self::NoLauncher { .. }
            | Self::OnePlatform { .. }
            | Self::ImageLibs => Class::Input,
            Self::Trace { source, .. } => match **source {
                SandboxError::Unavailable(_) | SandboxError::RootUser(_) => Class::Sandbox,
                SandboxError::Command { .. } => Class::Input,
                _ => Class::Outside,
            },
            Self::Broken(_) | Self::Vulnerable(_) => Class::Verdict,
            Self::Store(error) if error.is_no_space() => Class::Limit,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        if let Some(error) = self.explain() {
            return error.hints();
        }
        match self {
            Self::Trace { source, .. } => source.hint().map(str::to_owned).into_iter().collect(),
            Self::TraceElsewhere => {
                vec![
                    "record on a machine of one of its platforms, and take `unheck.trace` along"
                        .to_owned(),
                ]
            }
            Self::LeaveOutLevel { .. } => {
                vec!["build with `--trim imports`, or without `--leave-out`".to_owned()]
            }
            Self::KeptAndLeftOut { kept, .. } => {
                vec![format!("take `{kept}` out of `keep`, or what it is in out of `leave-out`")]
            }
            Self::NoProfile { .. } => {
                vec![
                    "record one with `--trace 'COMMAND'`, or build with `--trim imports`"
                        .to_owned(),
                ]
            }
            Self::StaleForKit { .. } => vec![crate::kit::RELOCK.to_owned()],
            Self::Stale { .. } | Self::NoLock { .. } => {
                vec!["run `unheck lock`, or leave `--locked` and `--frozen` out".to_owned()]
            }
            Self::WriteLock { .. } => {
                vec!["make the project's directory writable, or build with `--frozen` from a lock that is there".to_owned()]
            }
            Self::EntryProgram(_) => vec![
                "start a module of Python, such as `--entry 'python -m NAME'`, or build an image with `--format image`".to_owned(),
            ],
            Self::NoLauncher { .. } => vec![
                "build an image with `--format image`, or use an unheck that was built with the Rust target of that platform".to_owned(),
            ],
            Self::OnePlatform { .. } => {
                vec!["name one platform with `--platform`, and build once for each".to_owned()]
            }
            Self::ImageLibs => vec![
                "leave `--libs dynamic` out, or choose `--format dir`, `tar` or `exe`".to_owned(),
            ],
            Self::Broken(findings) => findings
                .iter()
                .filter_map(|finding| finding.hint.clone())
                .collect(),
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
