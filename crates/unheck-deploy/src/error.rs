//! What can go wrong, and whose world it comes from: [`DeployError::kind`].

use std::io;

use unheck_base::TreePath;

use crate::artifact::ArtifactError;
use crate::config::TargetError;

/// Whose world an error comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The answer is no: a release that is not healthy, files that are not what they should be.
    Verdict,
    /// The user's input: configuration, artifact, release, or somebody else who is at it.
    Input,
    /// The outside world: a host, the way to it.
    Outside,
    /// No space.
    Limit,
    /// Our bug.
    Bug,
}

/// Why a host refused a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked for is not there.
    Absent,
    /// It serves, or is the way back.
    Busy,
    /// Files are not what their list says.
    Differs,
    /// It is not healthy.
    Health,
    /// A file or directory cannot be read or written.
    Io,
    /// The directory is laid out by another version.
    Layout,
    /// Somebody else holds the lock.
    Locked,
    /// Our lock was taken away.
    Lost,
    /// The reload command failed.
    Reload,
    /// The release does not start.
    Smoke,
    /// The directory has files that unheck did not write.
    Stranger,
    /// The host lacks tools.
    Tools,
    /// The old release could not be brought back.
    Undo,
    /// Anything else.
    Other,
}

impl Refusal {
    pub(crate) fn parse(code: &str) -> Self {
        match code {
            "absent" => Self::Absent,
            "busy" => Self::Busy,
            "differs" => Self::Differs,
            "health" => Self::Health,
            "io" => Self::Io,
            "layout" => Self::Layout,
            "locked" => Self::Locked,
            "lost" => Self::Lost,
            "reload" => Self::Reload,
            "smoke" => Self::Smoke,
            "stranger" => Self::Stranger,
            "tools" => Self::Tools,
            "undo" => Self::Undo,
            _ => Self::Other,
        }
    }
}

/// What went wrong on one host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The client of ssh cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody answered, or not as a shell does.
    #[error("cannot begin a session: {said}")]
    Greeting {
        /// What was said instead.
        said: String,
    },
    /// The session ended in the middle.
    #[error("the connection was lost while it did `{step}`{said}")]
    Broken {
        /// The step of the protocol.
        step: String,
        /// What was said last.
        said: String,
    },
    /// The host answered what no host of ours answers.
    #[error("the host answered `{step}` with {answer:?}")]
    Nonsense {
        /// The step of the protocol.
        step: String,
        /// The beginning of the answer.
        answer: String,
    },
    /// The host refused a step.
    #[error("{}", refused(*.refusal, .said))]
    Refused {
        /// Why.
        refusal: Refusal,
        /// In its own words.
        said: String,
    },
    /// The artifact is for other machines.
    #[error("it is a `{host}` machine, and the artifact is for `{artifact}`")]
    Machine {
        /// What the host says it is.
        host: String,
        /// What the artifact is for.
        artifact: String,
    },
    /// A file of the artifact cannot be read.
    #[error("cannot read `{path}` of the artifact")]
    Read {
        /// The file.
        path: TreePath,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the artifact is not what its list says.
    #[error("`{path}` of the artifact is not what its list of files says")]
    Damaged {
        /// The file.
        path: TreePath,
    },
    /// The health check was not answered well in time.
    #[error("it was not healthy within {seconds} s: {last}")]
    Unhealthy {
        /// How long it was asked.
        seconds: u64,
        /// The last answer.
        last: String,
    },
}

fn refused(refusal: Refusal, said: &str) -> String {
    match refusal {
        Refusal::Absent => format!("it has no such thing: {said}"),
        Refusal::Busy => format!("it is in use: {said}"),
        Refusal::Differs => format!("files there are not what their list says: {said}"),
        Refusal::Health => format!("the health check failed: {said}"),
        Refusal::Layout => format!("its directory of releases is of another kind: {said}"),
        Refusal::Locked => format!("somebody else is at it: {}", holder(said)),
        Refusal::Reload => format!("the reload command failed: {said}"),
        Refusal::Smoke => format!("the release does not start there: {said}"),
        Refusal::Stranger => {
            format!("its directory of releases has something that unheck did not write: {said}")
        }
        Refusal::Tools => format!("it lacks tools: {said}"),
        Refusal::Undo => {
            format!("the release that served before could not be brought back: {said}")
        }
        Refusal::Io | Refusal::Lost | Refusal::Other => said.to_owned(),
    }
}

/// Who holds a lock, told from its text.
pub(crate) fn holder(text: &str) -> String {
    match crate::audit::Entry::parse(text) {
        Some(entry) => entry.told(),
        None => text.to_owned(),
    }
}

impl HostError {
    /// Whose world it comes from.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused { said, .. } | Self::Greeting { said } if is_no_space(said) => {
                Kind::Limit
            }
            Self::Refused { refusal, .. } => match refusal {
                Refusal::Differs | Refusal::Health | Refusal::Reload | Refusal::Smoke => {
                    Kind::Verdict
                }
                Refusal::Absent
                | Refusal::Busy
                | Refusal::Layout
                | Refusal::Locked
                | Refusal::Stranger => Kind::Input,
                Refusal::Io | Refusal::Lost | Refusal::Tools | Refusal::Undo => Kind::Outside,
                Refusal::Other => Kind::Bug,
            },
            Self::Unhealthy { .. } => Kind::Verdict,
            Self::Machine { .. } | Self::Read { .. } | Self::Damaged { .. } => Kind::Input,
            Self::Start { .. }
            | Self::Greeting { .. }
            | Self::Broken { .. }
            | Self::Nonsense { .. } => Kind::Outside,
        }
    }

    /// What mends it, where something is known to.
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Start { .. } => "install the OpenSSH client",
            Self::Greeting { .. } => {
                "try `ssh -o BatchMode=yes HOST true`: it must work without a question and print nothing"
            }
            Self::Broken { .. } => {
                "run it again: what arrived is kept, and what was half done is undone first"
            }
            Self::Refused { refusal, said } => match refusal {
                _ if is_no_space(said) => "free space there, or `unheck prune`",
                Refusal::Locked => {
                    "wait, or take the lock away with `--steal-lock` when nobody is at it any more"
                }
                Refusal::Stranger => "choose an empty `directory` for the target",
                Refusal::Tools => {
                    "install them: unheck needs a POSIX shell, coreutils, findutils, gzip and tar there"
                }
                Refusal::Differs => "run `unheck deploy` again: damaged files are sent anew",
                _ => return None,
            },
            Self::Damaged { .. } => "build it again, or see `unheck verify`",
            _ => return None,
        })
    }
}

/// What tools of a host say when there is no room: the words of the C library for `ENOSPC` and `EDQUOT` (strerror(3)),
/// and those of tar for a write that ended early, which on a file is the last one that fits (write(2)): GNU tar
/// gives up there and never asks for the reason.
fn is_no_space(said: &str) -> bool {
    const WORDS: [&str; 4] = [
        "No space left",
        "quota exceeded",
        ": Wrote only ",
        "short write",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

/// What went wrong on which host.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {error}")]
pub struct HostFailure {
    /// The host, as it is configured.
    pub host: String,
    /// What went wrong.
    pub error: HostError,
}

/// A verb cannot be done, or was undone.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The target is configured wrongly.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The artifact cannot be deployed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Hosts failed.
    #[error("cannot {doing} `{target}`: {after}")]
    Hosts {
        /// The verb.
        doing: &'static str,
        /// The target's name.
        target: String,
        /// What is the case now.
        after: String,
        /// Each with its reason; none is the cause of another.
        failures: Vec<HostFailure>,
    },
    /// A release is not where it should be.
    #[error("cannot choose a release of `{target}`: {problem}")]
    Choose {
        /// The target's name.
        target: String,
        /// Why not.
        problem: String,
    },
    /// A private directory for connections cannot be made.
    #[error("cannot make a directory for connections")]
    Control(#[source] io::Error),
}

impl DeployError {
    /// Whose world it comes from: of several, what the user can do most about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Target(_) | Self::Artifact(_) | Self::Choose { .. } => Kind::Input,
            Self::Control(_) => Kind::Outside,
            Self::Hosts { failures, .. } => failures
                .iter()
                .map(|failure| failure.error.kind())
                .max_by_key(|kind| match kind {
                    Kind::Bug => 5,
                    Kind::Limit => 4,
                    Kind::Verdict => 3,
                    Kind::Input => 2,
                    Kind::Outside => 1,
                })
                .unwrap_or(Kind::Bug),
        }
    }

    /// What mends it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Hosts { failures, .. } => failures
                .iter()
                .filter_map(|failure| failure.error.hint())
                .map(str::to_owned)
                .collect(),
            Self::Choose { .. } => vec!["`unheck status` says what is where".to_owned()],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_no_space;

    #[test]
    fn a_full_disk_is_known_by_what_tools_say() {
        for said in [
            "tar: blobs: Cannot write: No space left on device",
            "tar failed: tar: d5/d544: Wrote only 9216 of 10240 bytes",
            "tar: short write",
            "mkdir: cannot create directory: Disk quota exceeded",
        ] {
            assert!(is_no_space(said), "{said}");
        }
        for said in ["tar: Exiting with failure status", "Permission denied"] {
            assert!(!is_no_space(said), "{said}");
        }
    }
}
