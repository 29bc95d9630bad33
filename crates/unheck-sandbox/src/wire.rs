//! What the helper says to its parent, one message per packet of a socket pair, as JSON.
//!
//! The other direction is one byte: the number of a signal for the command; 9 ends the sandbox.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest message, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 64 << 10;
/// Largest specification, in bytes.
pub(crate) const SPEC_BYTES: u64 = 64 << 20;
/// The hidden first argument of the helper.
pub(crate) const STAGE_WORD: &str = "__unheck-sandbox-stage";
/// File of the helper that holds the specification.
pub(crate) const SPEC_FD: i32 = 3;
/// File of the helper that is its end of the socket pair.
pub(crate) const CONTROL_FD: i32 = 4;

/// By what right the namespaces are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Base {
    /// A user namespace: no right on the host is needed or used. Preferred, for root too.
    UserNamespace,
    /// `CAP_SYS_ADMIN` of the caller, where user namespaces are refused.
    SysAdmin,
    /// None: there are no namespaces, only Landlock and seccomp. For [`crate::Root::Host`] alone.
    Landlock,
}

/// What `/proc` is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProcMount {
    /// A new one: only the sandbox's processes.
    Fresh,
    /// The caller's own, read-only, because a container runtime masks parts of it and the kernel then refuses a
    /// new one. Names of the container's other processes are visible, limits hold per process only.
    Bound,
}

/// Which rung of the ladder a sandbox stands on; named in logs and provenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rung {
    /// By what right.
    pub base: Base,
    /// What `/proc` is.
    pub proc: ProcMount,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.base {
            Base::UserNamespace => "user-namespace",
            Base::SysAdmin => "sys-admin",
            Base::Landlock => return f.write_str("landlock"),
        })?;
        f.write_str(match self.proc {
            ProcMount::Fresh => "",
            ProcMount::Bound => "+bound-proc",
        })
    }
}

/// What the helper is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) base: Base,
    /// `None`: only find out whether a sandbox can be made.
    pub(crate) spec: Option<crate::Spec>,
}

/// What the helper says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    Started(Rung),
    Failed(Failure),
    /// Some of what was looked up in vain; before `Watched`, and only when the specification asks.
    Missing(Vec<crate::Missing>),
    /// The rest of [`crate::Watched`]; before `Ended`.
    Watched {
        unavailable: Option<String>,
        left_out: u64,
    },
    Ended(End),
}

/// How the command ended, as process 1 of the sandbox saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Exited(i32),
    Signaled(i32),
    Limit(crate::LimitKind),
}

/// A step that failed in the helper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) operation: String,
    pub(crate) errno: i32,
}

/// Whose fault a failed step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The machine refuses namespaces.
    Namespaces,
    /// The machine refuses the user mapping.
    Mapping,
    /// The machine refuses the first mounts, which need nothing of the specification.
    FirstMounts,
    /// The root cannot be made of what the specification names.
    Root,
    /// The command cannot be started in it.
    Command,
}

impl Failure {
    pub(crate) fn new(
        step: Step,
        operation: impl Into<String>,
        errno: impl Into<std::io::Error>,
    ) -> Self {
        Self {
            step,
            operation: operation.into(),
            errno: errno_of(&errno.into()),
        }
    }
}

/// The number of an error. `fs_err` keeps only the kind of the system's error, which is enough for paths that do not
/// exist or may not be read; where the exact number matters, `rustix` is called.
fn errno_of(error: &std::io::Error) -> i32 {
    use std::io::ErrorKind;
    error.raw_os_error().unwrap_or(match error.kind() {
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::PermissionDenied => libc::EACCES,
        ErrorKind::NotADirectory => libc::ENOTDIR,
        ErrorKind::AlreadyExists => libc::EEXIST,
        ErrorKind::StorageFull => libc::ENOSPC,
        ErrorKind::ReadOnlyFilesystem => libc::EROFS,
        ErrorKind::InvalidFilename => libc::ENAMETOOLONG,
        ErrorKind::InvalidData => libc::EBADMSG,
        _ => libc::EIO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_wrapped_error_is_found() {
        let wrapped = fs_err::read("/does/not/exist").unwrap_err();
        assert_eq!(Failure::new(Step::Root, "x", wrapped).errno, libc::ENOENT);
        assert_eq!(
            Failure::new(Step::Root, "x", rustix::io::Errno::PERM).errno,
            libc::EPERM
        );
    }

    #[test]
    fn rungs_have_names() {
        let rung = |base, proc| Rung { base, proc }.to_string();
        assert_eq!(
            rung(Base::UserNamespace, ProcMount::Fresh),
            "user-namespace"
        );
        assert_eq!(
            rung(Base::SysAdmin, ProcMount::Bound),
            "sys-admin+bound-proc"
        );
        assert_eq!(rung(Base::Landlock, ProcMount::Bound), "landlock");
    }
}
