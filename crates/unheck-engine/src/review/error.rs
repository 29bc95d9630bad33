//! Why a step cannot be reviewed: [`ReviewError`].

use unheck_names::facts::IndexError;
use unheck_resolve::ResolveError;
use unheck_store::StoreError;
use unheck_wheel::zip::ZipError;

use crate::explain::{Class, Explain};
use crate::identify::code::ReadCodeError;
use crate::interpreter::ChooseError;
use crate::net::NetError;
use crate::sdist::source::SourceError;

/// A step between two versions cannot be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The index does not answer.
    #[error("cannot ask the index about `{dist}`")]
    Index {
        /// The distribution.
        dist: String,
        /// Why not.
        #[source]
        source: IndexError,
    },
    /// The index has no such distribution.
    #[error("the index has no distribution `{dist}`")]
    NoDistribution {
        /// Its name.
        dist: String,
    },
    /// The index has no such version.
    #[error("the index has no version `{version}` of `{dist}`{}", oddity.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    NoVersion {
        /// The distribution.
        dist: String,
        /// The version as it was asked for.
        version: String,
        /// What is odd about it.
        oddity: Option<String>,
        /// Versions that there are, those nearest to it.
        near: Vec<String>,
    },
    /// None of the version's files can be read.
    #[error("`{dist}` {version} has no wheel and no sdist that unheck reads")]
    NoFile {
        /// The distribution.
        dist: String,
        /// The version.
        version: String,
    },
    /// The files cannot be fetched.
    #[error("cannot fetch what is compared")]
    Net(#[from] NetError),
    /// The wheel is refused.
    #[error("the wheel `{name}` is refused")]
    Wheel {
        /// Its file name.
        name: String,
        /// Why.
        #[source]
        source: Box<ZipError>,
    },
    /// The sdist is refused.
    #[error("the sdist cannot be compared")]
    Sdist(#[from] Box<SourceError>),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A directory cannot be listed.
    #[error("cannot list the unpacked `{name}`")]
    List {
        /// The file that was unpacked.
        name: String,
        /// Why not.
        #[source]
        source: ignore::Error,
    },
    /// The user's code cannot be read.
    #[error("cannot read the code that is to be held against it")]
    Code(#[from] ReadCodeError),
    /// The lock has nothing to start from.
    #[error("the lock has no target, so nothing says for which Python its distributions are")]
    NoTarget,
    /// The interpreter of the lock is none to resolve for.
    #[error("cannot resolve for the interpreter of the lock")]
    Interpreter(#[from] ChooseError),
    /// The newest versions cannot be found.
    #[error("cannot resolve `{project}` without its lock")]
    Resolve {
        /// The project.
        project: String,
        /// Why not.
        #[source]
        source: Box<ResolveError>,
    },
}

impl Explain for ReviewError {
    fn class(&self) -> Class {
        match self {
            Self::Index { .. } | Self::List { .. } => Class::Outside,
            Self::Net(error) => error.class(),
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Store(_) => Class::Outside,
            Self::Sdist(error) => match &**error {
                SourceError::Place { .. } | SourceError::Store(_) => Class::Outside,
                _ => Class::Input,
            },
            Self::Code(error) => error.class(),
            Self::Interpreter(error) => error.class(),
            Self::Resolve { source, .. } => match source.fault() {
                unheck_resolve::Fault::Input => Class::Input,
                unheck_resolve::Fault::World => Class::Outside,
                unheck_resolve::Fault::Bug => Class::Bug,
            },
            Self::NoDistribution { .. }
            | Self::NoVersion { .. }
            | Self::NoFile { .. }
            | Self::Wheel { .. }
            | Self::NoTarget => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoDistribution { dist } => {
                vec![format!("ask what it is called: `unheck identify '{dist}'`")]
            }
            Self::NoVersion { near, .. } if !near.is_empty() => {
                vec![format!("there are {}", near.join(", "))]
            }
            Self::Index { .. } => {
                vec!["check the network, or run once without `--offline`".to_owned()]
            }
            Self::Net(error) => error.hints(),
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Code(error) => match error {
                ReadCodeError::TooMany { .. } => {
                    vec!["name the directory of the code itself with `--code`".to_owned()]
                }
                ReadCodeError::Walk { .. } => Vec::new(),
            },
            Self::NoTarget => vec!["write it anew: `unheck lock`".to_owned()],
            Self::Interpreter(error) => error.hints(),
            Self::Resolve { source, .. } => source.hints().to_vec(),
            _ => Vec::new(),
        }
    }
}
