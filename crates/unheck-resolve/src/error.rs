//! The errors of this crate. Credentials in URLs are masked before a message is made.

use std::path::PathBuf;

/// Whose fault an error is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The user's input: exit code 2.
    Input,
    /// Network, index or build backend: exit code 3.
    World,
    /// Ours: exit code 70.
    Bug,
}

/// The error of a library, as text: its message and causes, one per line, masked, without colours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub(crate) String);

/// Why [`crate::resolve()`] failed.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The requirements contradict each other or the index.
    #[error("no solution for the requirements on {target}:\n{explanation}")]
    NoSolution {
        /// The target, shown.
        target: String,
        /// The resolver's explanation, plain text.
        explanation: String,
        /// What may help, one sentence each.
        hints: Vec<String>,
    },
    /// A version was found but none of its wheels fits, and there is no sdist or it may not be built.
    #[error("`{name}` {version} has no wheel for {target}")]
    NoWheel {
        /// Normalised name.
        name: String,
        /// Version.
        version: String,
        /// The target, shown.
        target: String,
        /// Tags of the wheels that exist, sorted.
        tags: Vec<String>,
        /// What may help.
        hints: Vec<String>,
    },
    /// The input cannot be read or is of a kind that is not handled.
    #[error("cannot use `{input}`")]
    UnsupportedInput {
        /// File or requirement.
        input: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The project does not allow the target's Python.
    #[error("the project needs Python `{requires}`, the target is {target}")]
    RequiresPython {
        /// The specifier.
        requires: String,
        /// The target, shown.
        target: String,
    },
    /// An extra or group was asked for that the project does not have.
    #[error("the project has no {what} `{name}` (it has: {known})")]
    Unknown {
        /// `extra` or `dependency group`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// Those it has, comma-separated, or `none`.
        known: String,
    },
    /// A setting in a file or variable is wrong.
    #[error("wrong setting in {place}")]
    Settings {
        /// File, variable or option.
        place: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// A text is nested deeper than [`crate::MAX_NESTING`].
    #[error("`{input}` nests brackets deeper than {limit} (limit `MAX_NESTING`)")]
    TooDeep {
        /// File, requirement or distribution.
        input: String,
        /// The limit.
        limit: usize,
    },
    /// An index or file server answered wrongly or not at all.
    #[error("cannot get what is needed from the index")]
    Index {
        /// URL without credentials, if known.
        url: Option<String>,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Something is not in the cache and the network is off.
    #[error("`offline` is set and the cache does not have everything")]
    Offline {
        /// What was missing.
        #[source]
        cause: Cause,
    },
    /// A required hash is missing, or no file of the index has it.
    #[error("no file of `{name}` has a required hash")]
    HashMismatch {
        /// Name and version.
        name: String,
        /// The digests the input allows.
        expected: Vec<String>,
        /// Those of the index.
        found: Vec<String>,
    },
    /// A source tree or sdist failed to build.
    #[error("cannot get the metadata of `{name}` by building it")]
    Build {
        /// What was built.
        name: String,
        /// The builder's log.
        #[source]
        cause: Cause,
    },
    /// The resolver itself broke: our bug, or no thread could be started.
    #[error("the resolver broke")]
    Internal {
        /// What is known.
        #[source]
        cause: Cause,
    },
    /// The cache directory cannot be used.
    #[error("cannot use the cache `{}`", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
}

impl ResolveError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Index { .. } | Self::Offline { .. } | Self::Build { .. } | Self::Cache { .. } => {
                Fault::World
            }
            Self::Internal { .. } => Fault::Bug,
            _ => Fault::Input,
        }
    }

    /// What may help, one imperative sentence each.
    pub fn hints(&self) -> &[String] {
        match self {
            Self::NoSolution { hints, .. } | Self::NoWheel { hints, .. } => hints,
            _ => &[],
        }
    }
}

/// Why [`crate::read_lock`] failed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read or is no lock.
    #[error("cannot read the lock `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why; with line and column for a syntax error.
        #[source]
        cause: Cause,
    },
    /// The lock does not belong to what `pyproject.toml` says now.
    #[error("the lock `{}` is stale: {}", path.display(), differences.join("; "))]
    StaleLock {
        /// The file.
        path: PathBuf,
        /// What differs, one clause each, sorted.
        differences: Vec<String>,
    },
    /// The lock does not cover the target, extra or group.
    #[error("the lock `{}` does not cover what is asked", path.display())]
    NotCovered {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// An artifact without a hash.
    #[error("the lock `{}` has no sha256 for `{file}`", path.display())]
    NoHash {
        /// The lock.
        path: PathBuf,
        /// The artifact.
        file: String,
    },
    /// None of the locked files fits the target.
    #[error("the lock `{}` has no wheel of `{distribution}` for {target}", path.display())]
    NoWheel {
        /// The lock.
        path: PathBuf,
        /// Normalised name and version.
        distribution: String,
        /// The target, shown.
        target: String,
        /// Tags of the wheels that are locked, sorted.
        tags: Vec<String>,
        /// What may help.
        hints: Vec<String>,
    },
    /// The project file or a setting is wrong.
    #[error(transparent)]
    Project(#[from] Box<ResolveError>),
}

impl From<ResolveError> for LockError {
    fn from(error: ResolveError) -> Self {
        Self::Project(Box::new(error))
    }
}

impl LockError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Project(error) => error.fault(),
            _ => Fault::Input,
        }
    }
}

/// Why [`crate::Downloader::open`] failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The text is no URL of a kind that can be fetched.
    #[error("`{url}` is no `https`, `http` or `file` URL")]
    Url {
        /// Without credentials.
        url: String,
    },
    /// The server refused.
    #[error("`{url}` answered {status}")]
    Status {
        /// Without credentials.
        url: String,
        /// HTTP status code.
        status: u16,
    },
    /// The connection failed or broke.
    #[error("cannot read `{url}`")]
    Transport {
        /// Without credentials.
        url: String,
        /// True when another try may succeed.
        transient: bool,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The network is off.
    #[error("`offline` is set, so `{url}` cannot be fetched")]
    Offline {
        /// Without credentials.
        url: String,
    },
    /// The answer to a request for the rest of a file does not begin where asked.
    #[error("`{url}` answered with a range that does not begin at byte {offset}")]
    Range {
        /// Without credentials.
        url: String,
        /// Asked for.
        offset: u64,
    },
}

impl FetchError {
    /// True when another try may succeed: time-outs, broken connections, 408, 425, 429 and 5xx (except 501, 505).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            Self::Transport { transient, .. } => *transient,
            Self::Url { .. } | Self::Offline { .. } | Self::Range { .. } => false,
        }
    }
}
