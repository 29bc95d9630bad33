//! Why there is no kit, or none that can be used: [`ExportError`] and [`KitError`].

use std::path::PathBuf;

use unheck_base::Digest;
use unheck_oci::tar_writer::TarError;
use unheck_store::StoreError;

use crate::build::BuildError;
use crate::debian::ChainError;
use crate::explain::{Class, Explain};
use crate::input::ReadProjectError;
use crate::lock::ReadLockError;
use crate::net::NetError;
use crate::provider::ProviderError;
use crate::sdist::SdistError;

/// A kit cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// It cannot be read.
    #[error("cannot read the kit `{path}`", path = path.display())]
    Open {
        /// The kit.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is a directory or a pipe.
    #[error("`{path}` is no regular file, and a kit is read at many places", path = path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// It is something else.
    #[error("`{path}` is no kit: it does not begin with the manifest of one", path = path.display())]
    NotAKit {
        /// What was given.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "the kit `{path}` has the form {format}, written by unheck {unheck}; this program knows the form {known}",
        path = path.display(), known = super::FORMAT
    )]
    Newer {
        /// The kit.
        path: PathBuf,
        /// Its form.
        format: u64,
        /// Who wrote it.
        unheck: String,
    },
    /// It contradicts itself.
    #[error("the kit `{path}` is refused: {problem}", path = path.display())]
    Wrong {
        /// The kit.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Its end is missing.
    #[error("the kit `{path}` is cut off: {found} of {expected} bytes are there", path = path.display())]
    Truncated {
        /// The kit.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length that it should have, in bytes.
        expected: u64,
    },
    /// A file in it is another one.
    #[error("the kit `{path}` is damaged: `{name}` in it does not have the digest `{digest}`", path = path.display())]
    Damaged {
        /// The kit.
        path: PathBuf,
        /// The file.
        name: String,
        /// The digest that it should have.
        digest: Digest,
    },
    /// The lock in it cannot be read.
    #[error("cannot read the lock of the kit `{path}`", path = path.display())]
    Lock {
        /// The kit.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<ReadLockError>,
    },
    /// The lock beside the project cannot be read.
    #[error(transparent)]
    OwnLock(#[from] Box<ReadLockError>),
    /// The project has no lock.
    #[error("there is no lock `{lock}`, and a kit is of one lock", lock = lock.display())]
    NoLock {
        /// Where it should be.
        lock: PathBuf,
        /// The kit.
        kit: PathBuf,
    },
    /// It is of another lock.
    #[error("the kit `{kit}` is of another lock than `{lock}`: {differences}", kit = kit.display(), lock = lock.display())]
    OtherLock {
        /// The kit.
        kit: PathBuf,
        /// The project's lock.
        lock: PathBuf,
        /// What differs.
        differences: String,
    },
    /// Something is to be chosen, for which a kit has nothing.
    #[error("the kit `{kit}` has what its lock names and no index: nothing can be chosen from it", kit = kit.display())]
    Chooses {
        /// The kit.
        kit: PathBuf,
    },
    /// The store failed.
    #[error("cannot take a file out of the kit")]
    Store(#[from] StoreError),
}

impl Explain for KitError {
    fn class(&self) -> Class {
        match self {
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Store(_) => Class::Outside,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Open { .. } | Self::NotAFile { .. } | Self::NotAKit { .. } => {
                "name a file that `unheck export --air-gap KIT` wrote".to_owned()
            }
            Self::Newer { path, .. } => format!(
                "use the program in it: `tar xf {} {}`",
                path.display(),
                super::PROGRAM
            ),
            Self::Wrong { .. } | Self::Truncated { .. } | Self::Damaged { .. } => {
                "bring the kit over once more, and compare the digest that `unheck export` said".to_owned()
            }
            Self::NoLock { kit, .. } => format!(
                "take the lock out of the kit, in the project's directory: `tar xf {} {}`",
                kit.display(),
                super::LOCK
            ),
            Self::OtherLock { .. } => {
                "check out the project as it was exported, or export it as it is now with `unheck export --air-gap KIT`".to_owned()
            }
            Self::Lock { source, .. } | Self::OwnLock(source) => return source.hints(),
            Self::Chooses { .. } => RELOCK.to_owned(),
            Self::Store(error) => return error.hint().into_iter().collect(),
        };
        vec![hint]
    }
}

/// What to do where a kit cannot help.
pub(crate) const RELOCK: &str =
    "where there is a network: `unheck lock`, then `unheck export --air-gap KIT`";

/// There is no kit.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no lock.
    #[error(transparent)]
    Lock(#[from] Box<BuildError>),
    /// The app's files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadProjectError),
    /// A file of the lock cannot be had.
    #[error("cannot get all that the lock names")]
    Net(#[from] NetError),
    /// The interpreter cannot be had.
    #[error("cannot get the interpreter")]
    Provider(#[from] Box<ProviderError>),
    /// A compiled distribution or its source cannot be had.
    #[error("cannot get what was compiled")]
    Compile(#[from] Box<SdistError>),
    /// The signed indexes cannot be had, or say something else than the lock.
    #[error("cannot get the signed indexes of the lock")]
    Chain(#[from] ChainError),
    /// The program cannot be read.
    #[error("cannot read the program that goes into the kit")]
    Program(#[source] std::io::Error),
    /// The program changed while it was read.
    #[error("the program that goes into the kit changed while it was read")]
    ProgramChanged,
    /// The store failed.
    #[error("cannot read from the store")]
    Store(#[from] StoreError),
    /// It would have more entries than a kit can announce.
    #[error(
        "the manifest of the kit would have {found} bytes, over the limit of {}",
        super::MAX_MANIFEST
    )]
    TooMany {
        /// How long it would be.
        found: u64,
    },
    /// The kit cannot be written.
    #[error("cannot write the kit `{path}`", path = path.display())]
    Write {
        /// The kit.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The kit cannot be written.
    #[error("cannot write the kit `{path}`", path = path.display())]
    Tar {
        /// The kit.
        path: PathBuf,
        /// Why not; damage of the store is a [`unheck_store::Corruption`] inside.
        #[source]
        source: Box<TarError>,
    },
}

impl From<SdistError> for ExportError {
    fn from(error: SdistError) -> Self {
        Self::Compile(Box::new(error))
    }
}

impl From<BuildError> for ExportError {
    fn from(error: BuildError) -> Self {
        Self::Lock(Box::new(error))
    }
}

impl Explain for ExportError {
    fn class(&self) -> Class {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let full = |source: &std::io::Error| {
            matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
        };
        match self {
            Self::Lock(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Net(error) => error.class(),
            Self::Provider(error) => error.class(),
            Self::Compile(error) => error.class(),
            Self::Chain(error) => error.class(),
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Write { source, .. } if full(source) => Class::Limit,
            Self::Tar { source, .. } => match &**source {
                TarError::Write { source, .. } | TarError::Finish(source) if full(source) => {
                    Class::Limit
                }
                _ => Class::Outside,
            },
            Self::TooMany { .. } => Class::Limit,
            Self::Program(_) | Self::Write { .. } => Class::Input,
            Self::ProgramChanged | Self::Store(_) => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Lock(error) => error.hints(),
            Self::Read(error) => error.hints(),
            Self::Net(error) => error.hints(),
            Self::Provider(error) => error.hints(),
            Self::Compile(error) => error.hints(),
            Self::Chain(error) => error.hints(),
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Program(_) => vec!["name another one with `--program FILE`".to_owned()],
            Self::ProgramChanged => vec!["run the same command again".to_owned()],
            Self::Write { .. } | Self::Tar { .. } if self.class() == Class::Limit => {
                vec!["free some space, or write elsewhere with `--air-gap KIT`".to_owned()]
            }
            Self::Write { .. } => {
                vec!["choose a place that you may write to with `--air-gap KIT`".to_owned()]
            }
            Self::Tar { .. } | Self::TooMany { .. } => Vec::new(),
        }
    }
}
