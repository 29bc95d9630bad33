//! What can go wrong with a target that is a repository.

use unheck_deploy::TargetError;
use unheck_sandbox::SandboxError;

use crate::explain::{Class, Explain};
use crate::publish::PublishError;
use crate::run::RunError;

/// A verb cannot be done, or was undone.
#[derive(Debug, thiserror::Error)]
pub enum TargetFault {
    /// The target is configured wrongly.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The registry did not do it, or the image cannot be read.
    #[error("cannot {doing} `{target}`: {after}")]
    Publish {
        /// The verb.
        doing: &'static str,
        /// The target's name.
        target: String,
        /// What is the case now.
        after: String,
        /// Why not.
        #[source]
        source: Box<PublishError>,
    },
    /// Somebody else is at it.
    #[error("cannot {doing} `{target}`: somebody else is at it: {holder}")]
    Locked {
        /// The verb.
        doing: &'static str,
        /// The target's name.
        target: String,
        /// Who, since when.
        holder: String,
    },
    /// Somebody else changed the record or the tag meanwhile.
    #[error("cannot {doing} `{target}`: somebody else changed `{tag}` meanwhile; {after}")]
    Changed {
        /// The verb.
        doing: &'static str,
        /// The target's name.
        target: String,
        /// The tag.
        tag: String,
        /// What is the case now.
        after: String,
    },
    /// A release is not where it should be.
    #[error("cannot choose a release of `{target}`: {problem}")]
    Choose {
        /// The target's name.
        target: String,
        /// Why not.
        problem: String,
    },
    /// The health check was not answered well in time.
    #[error("cannot {doing} `{target}`: {after}")]
    Unhealthy {
        /// The verb.
        doing: &'static str,
        /// The target's name.
        target: String,
        /// What is the case now.
        after: String,
        /// Why it is ill.
        #[source]
        source: Ill,
    },
    /// The registry does not have what was sent.
    #[error("cannot deploy to `{target}`: the registry does not have `{what}` after it was sent")]
    Missing {
        /// The target's name.
        target: String,
        /// A blob or manifest.
        what: String,
    },
    /// What `smoke` says did not end with 0 in the image.
    #[error(
        "cannot deploy to `{target}`: `{command}` of `smoke` failed in the image for {platform}: {ended}; {NOT_DEPLOYED}"
    )]
    Smoke {
        /// The target's name.
        target: String,
        /// The command.
        command: String,
        /// Whose image it ran in.
        platform: String,
        /// How it ended.
        ended: String,
        /// The last lines that it printed.
        #[source]
        printed: Printed,
    },
    /// What `smoke` says could not be run.
    #[error("cannot run `smoke` of `{target}` in the image; {NOT_DEPLOYED}")]
    Unrun {
        /// The target's name.
        target: String,
        /// Why not.
        #[source]
        source: Box<RunError>,
    },
    /// The record is not one of ours, or of a newer version.
    #[error("cannot read the record `{tag}` of `{target}`: {problem}")]
    Record {
        /// The target's name.
        target: String,
        /// Its tag.
        tag: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The registry removes nothing.
    #[error(
        "cannot prune `{target}`: its registry removes no manifests, or not for this login; what serves was not touched"
    )]
    NoRemoval {
        /// The target's name.
        target: String,
    },
}

/// What is the case when `smoke` fails.
const NOT_DEPLOYED: &str = "it is in the registry, and was not written down as deployed";

/// What a command printed.
#[derive(Debug, thiserror::Error)]
#[error("it printed: {0}")]
pub struct Printed(pub(super) String);

/// It was not healthy in time.
#[derive(Debug, thiserror::Error)]
#[error("it was not healthy within {seconds} s: {last}")]
pub struct Ill {
    /// How long it was asked.
    pub seconds: u64,
    /// The last answer.
    pub last: String,
}

impl Explain for TargetFault {
    fn class(&self) -> Class {
        match self {
            Self::Publish { source, .. } => source.class(),
            Self::Unhealthy { .. } | Self::Smoke { .. } => Class::Verdict,
            Self::Unrun { source, .. } => source.class(),
            Self::Changed { .. } | Self::Missing { .. } | Self::NoRemoval { .. } => Class::Outside,
            Self::Target(_) | Self::Locked { .. } | Self::Choose { .. } | Self::Record { .. } => {
                Class::Input
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Publish { source, .. } => return source.hints(),
            Self::Unrun { source, .. } => {
                let mut hints = source.hints();
                if matches!(**source, RunError::Sandbox(SandboxError::Command { .. })) {
                    hints.push("correct `smoke` of the target: its first word is a program of the image, by path or in its `PATH`".to_owned());
                }
                return hints;
            }
            Self::Smoke { .. } => {
                "correct the app or `smoke` of the target, build the image and deploy it again"
            }
            Self::Locked { .. } => {
                "wait, or take the lock away with `--steal-lock` when nobody is at it any more"
            }
            Self::Changed { .. } => "`unheck status` says what is the case; then run it again",
            Self::Choose { .. } => "`unheck status` says what is where",
            Self::Missing { .. } => "run `unheck deploy` again: what is missing is sent anew",
            Self::Record { .. } => "use a newer unheck, or another `tag` for the target",
            Self::NoRemoval { .. } => {
                "let the registry delete (for docker-registry: `storage.delete.enabled: true`), log in as somebody who may, or leave old releases to the registry's own rules of retention"
            }
            Self::Target(_) | Self::Unhealthy { .. } => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}
