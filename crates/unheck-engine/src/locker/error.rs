//! Why there is no lock: [`MakeLockError`].

use unheck_resolve::{LockError, ResolveError};

use crate::assemble::AssembleError;
use crate::backend::BackendError;
use crate::close::Unmet;
use crate::debian::{SuitesError, WorldError};
use crate::explain::{Class, Explain};
use crate::identify::attested::{RefusedAttestation, TrustError};
use crate::input::ReadProjectError;
use crate::interpreter::ChooseError;
use crate::net::NetError;
use crate::platform::Platform;
use crate::provider::ProviderError;
use crate::scan::ScanError;
use crate::sdist::SdistError;
use crate::wheels::UseWheelError;

/// A lock cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeLockError {
    /// The project's files cannot be read.
    #[error("cannot read the project")]
    Project(#[from] ReadProjectError),
    /// The Debian suites cannot be used.
    #[error("cannot use the Debian suite")]
    Suites(#[from] SuitesError),
    /// No interpreter fits.
    #[error("no interpreter fits")]
    Interpreter(#[from] ChooseError),
    /// An interpreter that is not from Debian cannot be used.
    #[error("cannot use the interpreter")]
    Provider(#[from] ProviderError),
    /// The requirements have no solution, or the index fails.
    #[error("cannot resolve the requirements of `{project}` for {platform}")]
    Resolve {
        /// The project.
        project: String,
        /// The platform.
        platform: Platform,
        /// Why not.
        #[source]
        source: Box<ResolveError>,
    },
    /// A lock of another tool cannot be taken.
    #[error("cannot take the versions that `{project}` has locked for {platform}")]
    Locked {
        /// The project.
        project: String,
        /// The platform.
        platform: Platform,
        /// Why not.
        #[source]
        source: Box<LockError>,
    },
    /// Distributions that come without a wheel cannot be compiled.
    #[error("{}", uncompiled(others))]
    Compile {
        /// Why the first cannot.
        #[source]
        first: Box<SdistError>,
        /// What else cannot, a line each.
        others: Vec<String>,
    },
    /// Where a distribution comes from cannot be told.
    #[error("cannot take a distribution that comes as source")]
    Source(#[from] Box<SdistError>),
    /// Wheels or packages cannot be fetched.
    #[error("cannot fetch what the lock needs")]
    Net(#[from] NetError),
    /// A wheel cannot be used.
    #[error("cannot look into a distribution")]
    Wheel(#[from] UseWheelError),
    /// A Debian package cannot be used.
    #[error("cannot look into a Debian package")]
    World(#[from] WorldError),
    /// What was chosen does not make a tree.
    #[error("what was chosen does not fit together")]
    Tree(#[from] Box<AssembleError>),
    /// An archive cannot be scanned.
    #[error("cannot look into an archive")]
    Scan(#[from] ScanError),
    /// Needs that nothing serves.
    #[error("{} that no package serves", if .0.len() == 1 { "a need".to_owned() } else { format!("{} needs", .0.len()) })]
    Unmet(Vec<Unmet>),
    /// An attestation of a wheel does not hold.
    #[error(transparent)]
    Attestation(#[from] Box<RefusedAttestation>),
    /// The project's own trust root cannot be used.
    #[error("cannot look at attestations")]
    Trust(#[from] TrustError),
    /// What the build backend of the project needs cannot be had.
    #[error("cannot lock what builds the project's own wheel")]
    Backend(#[from] Box<BackendError>),
}

fn uncompiled(others: &[String]) -> String {
    let mut text = "cannot compile a distribution that comes without a fitting wheel".to_owned();
    if !others.is_empty() {
        text = format!("{text}; nor these: {}", others.join("; "));
    }
    text
}

impl MakeLockError {
    /// The error of builds that failed, at least one.
    pub(super) fn compile(mut failed: Vec<SdistError>) -> Self {
        let first = Box::new(failed.remove(0));
        let others = failed.iter().map(|error| {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().to_owned()
        });
        Self::Compile {
            first,
            others: others.collect(),
        }
    }
}

impl Explain for MakeLockError {
    fn class(&self) -> Class {
        let fault = |fault| match fault {
            unheck_resolve::Fault::Input => Class::Input,
            unheck_resolve::Fault::World => Class::Outside,
            unheck_resolve::Fault::Bug => Class::Bug,
        };
        match self {
            Self::Project(error) => error.class(),
            Self::Suites(error) => error.class(),
            Self::Interpreter(error) => error.class(),
            Self::Provider(error) => error.class(),
            Self::Resolve { source, .. } => fault(source.fault()),
            Self::Locked { source, .. } => fault(source.fault()),
            Self::Compile { first, .. } => first.class(),
            Self::Source(error) => error.class(),
            Self::Unmet(_) => Class::Input,
            Self::Net(error) => error.class(),
            Self::Wheel(error) => error.class(),
            Self::World(error) => error.class(),
            Self::Tree(error) => error.class(),
            Self::Scan(_) => Class::Outside,
            Self::Backend(error) => error.class(),
            Self::Attestation(error) => error.class(),
            Self::Trust(error) => error.class(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Project(error) => error.hints(),
            Self::Suites(error) => error.hints(),
            Self::Interpreter(error) => error.hints(),
            Self::Provider(error) => error.hints(),
            Self::Resolve { source, .. } => source.hints().to_vec(),
            Self::Locked { source, .. } => match &**source {
                LockError::Project(error) => error.hints().to_vec(),
                LockError::NoWheel { hints, .. } => hints.clone(),
                _ => vec!["renew that lock with the tool that wrote it".to_owned()],
            },
            Self::Compile { first, .. } => first.hints(),
            Self::Source(error) => error.hints(),
            Self::Net(error) => error.hints(),
            Self::Wheel(error) => error.hints(),
            Self::World(error) => error.hints(),
            Self::Tree(error) => error.hints(),
            Self::Unmet(list) => list.iter().flat_map(Explain::hints).collect(),
            Self::Scan(_) => Vec::new(),
            Self::Backend(error) => error.hints(),
            Self::Attestation(error) => error.hints(),
            Self::Trust(error) => error.hints(),
        }
    }
}
