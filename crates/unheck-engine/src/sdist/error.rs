//! Why a distribution was not compiled: [`SdistError`].

use std::path::PathBuf;

use unheck_buildlog::{Cause, Found};
use unheck_sandbox::Status;
use unheck_store::StoreError;

use super::frontend::{FrontendError, Hook, LEGACY, Ran};
use super::provide::ProvideError;
use super::root::{CannotRun, RootError};
use super::source::SourceError;
use super::workshop::Order;
use crate::backend::BackendError;
use crate::explain::{Class, Explain, with_causes};
use crate::lock::Attempt;
use crate::net::NetError;
use crate::wheels::UseWheelError;

/// Most lacks that an error lists.
const MOST_LACKS: usize = 6;

/// A distribution cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum SdistError {
    /// Its build failed, and nothing that is missing was found.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// It failed again and again, each time for want of something else.
    #[error(
        "`{label}` was built {most} times, and each time it lacked something else{}",
        tried(attempts)
    )]
    Rounds {
        /// What was built.
        label: String,
        /// How often.
        most: usize,
        /// What was tried.
        attempts: Vec<Attempt>,
    },
    /// Building it needs itself.
    #[error("building `{}` needs a build of itself: {}", chain.last().map_or("", String::as_str), chain.join(" → "))]
    Circle {
        /// Who waits for whom.
        chain: Vec<String>,
    },
    /// Build requirements of build requirements without end.
    #[error("`{label}` is needed to build what is needed to build …, more than {most} deep")]
    Depth {
        /// The last one.
        label: String,
        /// The limit.
        most: usize,
    },
    /// This machine cannot run programs of the platform.
    #[error("`{label}` has no fitting wheel and must be compiled")]
    Foreign {
        /// What was to be built.
        label: String,
        /// Why it cannot.
        #[source]
        source: CannotRun,
    },
    /// Its source tree cannot be had.
    #[error("cannot read the source tree")]
    Source(#[from] SourceError),
    /// Its `pyproject.toml` cannot be read.
    #[error("cannot read the `pyproject.toml` of `{name}`")]
    Project {
        /// The sdist.
        name: String,
        /// Why not.
        #[source]
        source: Box<unheck_resolve::ResolveError>,
    },
    /// A commit cannot be had.
    #[error("cannot check out the commit {commit} of `{url}`")]
    Checkout {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// Why not.
        #[source]
        source: Box<unheck_resolve::ResolveError>,
    },
    /// What the build backend requires cannot be had.
    #[error("cannot make the environment that `{label}` is built in")]
    Backend {
        /// What was to be built.
        label: String,
        /// Why not.
        #[source]
        source: Box<BackendError>,
    },
    /// The build cannot be run.
    #[error("cannot build `{label}`")]
    Run {
        /// What was to be built.
        label: String,
        /// Why not.
        #[source]
        source: Box<FrontendError>,
    },
    /// The backend answered something that is no answer.
    #[error("the build backend of `{label}` {problem}")]
    Answer {
        /// What was built.
        label: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The wheel is refused.
    #[error("the wheel that was built of `{label}` cannot be used")]
    Wheel {
        /// What was built.
        label: String,
        /// Why not.
        #[source]
        source: Box<UseWheelError>,
    },
    /// The build root cannot be made.
    #[error("cannot make the build root")]
    Root(#[from] RootError),
    /// The Debian indexes cannot be asked.
    #[error("cannot find out which Debian packages a build needs")]
    Provide(#[from] ProvideError),
    /// The crates of a Rust project cannot be had.
    #[error("cannot fetch the crates that `{label}` is built of")]
    Crates {
        /// What was to be built.
        label: String,
        /// Why not.
        #[source]
        source: Box<super::cargo::CargoError>,
    },
    /// A wheel that was made again is another one.
    #[error("`{label}` was built twice and gave two different wheels: {difference}")]
    Differs {
        /// What was built.
        label: String,
        /// The first difference.
        difference: String,
    },
    /// A wheel that a lock names can be made, and is another one here.
    #[error("`{label}` was built from the lock and gave another wheel than the lock names")]
    NotLocked {
        /// What was built.
        label: String,
    },
    /// A file cannot be fetched.
    #[error("cannot fetch a source distribution")]
    Net(#[from] NetError),
    /// A result cannot be written.
    #[error("cannot write `{path}`", path = path.display())]
    Out {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A build that failed for good.
#[derive(Debug)]
pub struct Failure {
    /// Name and version.
    pub label: String,
    /// Normalised name.
    pub name: String,
    /// The build backend's object reference.
    pub backend: String,
    /// The hook that failed.
    pub hook: &'static str,
    /// How it ended.
    pub status: Status,
    /// The first real cause in the log.
    pub cause: Option<Cause>,
    /// What seems to be missing.
    pub lacked: Vec<Found>,
    /// Of that, what no package was taken for, and why.
    pub open: Vec<(Found, String)>,
    /// Indexes that could not be asked, and why.
    pub trouble: Vec<String>,
    /// Debian packages that were in the build root besides its base.
    pub debs: Vec<String>,
    /// What was tried before.
    pub attempts: Vec<Attempt>,
    /// The whole log.
    pub log_file: PathBuf,
    /// What Python said, where the backend raised an exception.
    pub traceback: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = match self.status {
            Status::Exited(code) => format!("exit code {code}"),
            Status::Signaled(signal) => format!("signal {signal}"),
            Status::LimitHit(limit) => format!("it used more than the limit `{limit}`"),
        };
        write!(
            f,
            "`{}` cannot be compiled: `{}` failed in `{}` ({status})",
            self.label, self.backend, self.hook
        )?;
        match (&self.cause, &self.traceback) {
            (Some(cause), _) => {
                for line in &cause.lines {
                    write!(f, "\n    {line}")?;
                }
            }
            (None, Some(trace)) => write!(f, "\n{}", crate::backend::Log::of(trace))?,
            (None, None) => {}
        }
        if !self.lacked.is_empty() {
            f.write_str("\n  it seems to lack:")?;
        }
        for found in self.lacked.iter().take(MOST_LACKS) {
            write!(f, "\n    {}: {}", found.lack, found.evidence)?;
            if let Some((_, why)) = self.open.iter().find(|(open, _)| open == found) {
                write!(f, " ({why})")?;
            }
        }
        if !self.debs.is_empty() {
            write!(f, "\n  in the build root: {}", self.debs.join(", "))?;
        }
        f.write_str(&tried(&self.attempts))?;
        for trouble in &self.trouble {
            write!(f, "\n  {trouble}")?;
        }
        write!(f, "\n  the whole log: {}", self.log_file.display())
    }
}

/// What a failed build tells: by its log, and by what it looked for and did not find. The surest first.
pub(super) fn evidence(ran: &Ran) -> (Option<Cause>, Vec<Found>) {
    let answer = ran.answer.as_ref();
    let trace = answer
        .map(|answer| answer.trace.as_str())
        .unwrap_or_default();
    let reading = unheck_buildlog::read_log(&format!("{}\n{trace}", ran.log));
    let mut found = reading.lacks;
    found.extend(unheck_buildlog::read_probes(&super::probes::of(
        &ran.outcome,
    )));
    found.sort_by_key(|one| std::cmp::Reverse(one.strength));
    (reading.cause, found)
}

/// What was tried, a line for each time.
fn tried(attempts: &[Attempt]) -> String {
    let lines = attempts.iter().map(|attempt| {
        format!(
            "\n  tried: {} for {}",
            attempt.added.join(", "),
            attempt.lacked.join("; ")
        )
    });
    lines.collect()
}

/// An error with its causes, for a place that takes only a text.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    with_causes(error, "\ncaused by: ")
}

impl Explain for SdistError {
    fn class(&self) -> Class {
        match self {
            Self::Failed(failure) if matches!(failure.status, Status::LimitHit(_)) => Class::Limit,
            Self::Failed(_) | Self::Rounds { .. } | Self::Circle { .. } | Self::Depth { .. } => {
                Class::Input
            }
            Self::Foreign { source, .. } => source.class(),
            Self::Project { .. } | Self::Answer { .. } => Class::Input,
            Self::Source(SourceError::Store(_) | SourceError::Place { .. }) => Class::Outside,
            Self::Source(_) => Class::Input,
            Self::Checkout { .. } | Self::Out { .. } => Class::Outside,
            Self::Differs { .. } | Self::NotLocked { .. } => Class::Input,
            Self::Backend { source, .. } => source.class(),
            Self::Run { source, .. } => match &**source {
                FrontendError::Sandbox(error) if error.unavailable().is_some() => Class::Sandbox,
                FrontendError::Store(error) if error.is_no_space() => Class::Limit,
                _ => Class::Outside,
            },
            Self::Wheel { source, .. } => source.class(),
            Self::Root(error) => error.class(),
            Self::Provide(error) => error.class(),
            Self::Crates { source, .. } => source.class(),
            Self::Net(error) => error.class(),
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Store(_) => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Failed(failure) => failure.hints(),
            Self::Foreign { source, .. } => source.hints(),
            Self::Backend { source, .. } => source.hints(),
            Self::Run { source, .. } => match &**source {
                FrontendError::Sandbox(error) => {
                    error.hint().map(str::to_owned).into_iter().collect()
                }
                FrontendError::Store(error) => error.hint().into_iter().collect(),
                _ => Vec::new(),
            },
            Self::Circle { chain } => vec![format!(
                "pin a version of `{}` that has a wheel",
                chain.last().map_or("", String::as_str)
            )],
            Self::Source(SourceError::Form { .. }) => {
                vec!["pin a version that has a wheel or an sdist of today's form".to_owned()]
            }
            Self::Differs { label, .. } | Self::NotLocked { label } => vec![format!(
                "find out what in the build of `{label}` depends on the machine, or name a wheel of it"
            )],
            Self::Wheel { source, .. } => source.hints(),
            Self::Root(error) => error.hints(),
            Self::Provide(error) => error.hints(),
            Self::Crates { source, .. } => source.hints(),
            Self::Net(error) => error.hints(),
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Failure {
    /// The failure of a hook, read from what it left.
    pub(super) fn of(order: &Order<'_>, hook: Hook, ran: &Ran) -> Self {
        let (cause, lacked) = evidence(ran);
        let system = &order.system;
        Self {
            label: order.label.clone(),
            name: order.job.name.clone(),
            backend: system.backend.clone().unwrap_or_else(|| LEGACY.to_owned()),
            hook: hook.name(),
            status: ran.outcome.status,
            cause,
            lacked,
            attempts: Vec::new(),
            open: Vec::new(),
            trouble: Vec::new(),
            debs: Vec::new(),
            log_file: ran.log_file.clone(),
            traceback: ran.answer.as_ref().map(|answer| answer.trace.clone()),
        }
    }

    /// One edit that would mend it, as far as that is known.
    fn hints(&self) -> Vec<String> {
        use unheck_buildlog::Lack;
        if matches!(self.status, Status::LimitHit(_)) {
            return vec![format!(
                "pin a version of `{}` that has a wheel, or build it on a larger machine",
                self.name
            )];
        }
        let module = self.lacked.iter().find_map(|found| match &found.lack {
            Lack::PythonModule(module) => Some(module),
            _ => None,
        });
        if let Some(module) = module {
            return vec![format!(
                "its build imports `{module}` without declaring it: `[tool.unheck.builds.{}] requires = [\"{module}\"]`",
                self.name
            )];
        }
        vec![format!(
            "name the Debian package that has what is missing: `[tool.unheck.builds.{}] debs = [\"PACKAGE\"]`; `env`, `config-settings` and `script` are read there too",
            self.name
        )]
    }
}
