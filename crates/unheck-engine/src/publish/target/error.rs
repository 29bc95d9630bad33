//! What can go wrong with a target that is a repository.

use unheck_deploy::TargetError;

use crate::explain::{Class, Explain};
use crate::publish::PublishError;

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
            Self::Unhealthy { .. } => Class::Verdict,
            Self::Changed { .. } | Self::Missing { .. } | Self::NoRemoval { .. } => Class::Outside,
            Self::Target(_) | Self::Locked { .. } | Self::Choose { .. } | Self::Record { .. } => {
                Class::Input
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Publish { source, .. } => return source.hints(),
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
