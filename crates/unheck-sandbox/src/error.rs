//! Why a command could not be run in a sandbox: [`SandboxError`].
//!
//! A command that ran and failed is no error but an [`crate::Outcome`].

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::diagnose::Unavailable;

/// A sandbox could not be made, or was lost.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The specification contradicts itself; the caller's mistake.
    #[error("sandbox specification refused: {what}")]
    Spec {
        /// Which field, and why.
        what: String,
    },
    /// This machine or container forbids every kind of sandbox; the remedy is in the value.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Only real root's namespaces are possible here, and the command was to run as user 0 in them.
    #[error(
        "user 0 inside needs a user namespace, which is not possible here; choose another user"
    )]
    RootUser(#[source] Unavailable),
    /// The helper could not be started.
    #[error("cannot start the sandbox helper `{}`", path.display())]
    Helper {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper ended without a word: killed, or not a program that calls [`crate::helper_main_if_asked`].
    #[error("the sandbox helper ended without an answer ({status})")]
    HelperDied {
        /// How it ended.
        status: String,
    },
    /// A step of making the root failed for a reason that lies in the specification (a path that does not exist).
    #[error("cannot make the sandbox: {operation}")]
    Setup {
        /// What was tried on what.
        operation: String,
        /// Why.
        source: io::Error,
    },
    /// The root is there but the command does not start.
    #[error("cannot start `{}` in the sandbox: {operation}", program.display())]
    Command {
        /// The first word of the command.
        program: OsString,
        /// What was tried on what.
        operation: String,
        /// Why.
        source: io::Error,
    },
    /// A system call of the parent's side failed.
    #[error("cannot {operation} for a sandbox")]
    Parent {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl SandboxError {
    /// Why this machine is the reason, with rung, error number and remedy; `None` when the specification or the
    /// command is.
    #[must_use]
    pub fn unavailable(&self) -> Option<&Unavailable> {
        match self {
            Self::Unavailable(unavailable) | Self::RootUser(unavailable) => Some(unavailable),
            _ => None,
        }
    }

    /// What to do about it, an imperative for the user, when there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Command {
                source, operation, ..
            } if source.kind() == io::ErrorKind::NotFound && operation.starts_with("execute") => {
                Some("the file, its loader or its `#!` interpreter is missing in the root")
            }
            _ => self.unavailable().map(|why| why.remedy.as_str()),
        }
    }
}
