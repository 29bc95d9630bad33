//! Why this machine refuses a sandbox: four causes that look alike, told apart.
//!
//! [`diagnose`] is pure; [`Facts::read`] looks at the calling process. Both are used only after a failure, so a
//! working machine pays nothing. The causes and their symptoms: `user_namespaces(7)`, `unshare(2)`.

use std::fmt;

use crate::wire::{Base, Failure, Step};

/// Bit of `CAP_SYS_ADMIN` in a capability mask (`linux/capability.h`).
const CAP_SYS_ADMIN: u32 = 21;
/// Bit of `CAP_SETFCAP`, needed to map user 0 of the caller's namespace since Linux 5.12.
const CAP_SETFCAP: u32 = 31;

/// No sandbox can be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The rung of the ladder that was tried last with any hope.
    pub rung: Base,
    /// What was tried, such as `unshare`.
    pub operation: String,
    /// Error number of Linux.
    pub errno: i32,
    /// Which of the known causes it is.
    pub cause: Cause,
    /// What the user can do, an imperative.
    pub remedy: String,
}

impl std::error::Error for Unavailable {}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rung = match self.rung {
            Base::UserNamespace => "user namespace",
            Base::SysAdmin => "CAP_SYS_ADMIN without user namespace",
            Base::Landlock => "Landlock without namespaces",
        };
        let error = std::io::Error::from_raw_os_error(self.errno);
        write!(
            f,
            "no sandbox is possible here (rung: {rung}): {} failed: {error}: {}",
            self.operation, self.cause
        )
    }
}

/// Known causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The process was put into another root by `chroot`; Linux then refuses user namespaces.
    Chroot,
    /// User 0 without `CAP_SETFCAP`, or a dropped capability: the user cannot be mapped.
    Mapping,
    /// A seccomp filter, usually a container runtime's default profile.
    Seccomp,
    /// Ubuntu's AppArmor restriction of user namespaces.
    AppArmor,
    /// `user.max_user_namespaces` (or another limit of namespaces) is 0 or reached.
    NamespaceLimit,
    /// Debian's switch `kernel.unprivileged_userns_clone` is 0.
    DebianSwitch,
    /// The kernel was built without a kind of namespace or is too old.
    Kernel,
    /// `/proc` is not mounted, so no user can be mapped.
    NoProc,
    /// The kernel has no Landlock, or none that it enforces.
    NoLandlock,
    /// None of the above explains it: a security module, or a chroot into a mount point.
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chroot => "the process is chrooted",
            Self::Mapping => {
                "the user cannot be mapped: user 0 has lost the capability CAP_SETFCAP"
            }
            Self::Seccomp => "a seccomp filter forbids it, as container runtimes do by default",
            Self::AppArmor => "AppArmor restricts user namespaces here",
            Self::NamespaceLimit => "the limit of namespaces is 0 or reached",
            Self::DebianSwitch => "kernel.unprivileged_userns_clone is 0",
            Self::Kernel => "the kernel lacks it",
            Self::NoProc => "/proc is not mounted",
            Self::NoLandlock => "the kernel has no Landlock, or a filter hides it",
            Self::Unknown => "a security module or a chroot into a mount point forbids it",
        })
    }
}

impl Cause {
    fn remedy(self) -> &'static str {
        match self {
            Self::Chroot => {
                "run it outside the chroot, or enter that root with pivot_root (unshare --mount) instead of chroot"
            }
            Self::Mapping => {
                "run it as an ordinary user, or add the capability CAP_SETFCAP (--cap-add=SETFCAP)"
            }
            Self::Seccomp => {
                "start the container with a seccomp profile that allows unshare and mount \
                 (--security-opt seccomp=unconfined), or use podman, whose profile does"
            }
            Self::AppArmor => {
                "give this program an AppArmor profile with the rule `userns,`, or set \
                 kernel.apparmor_restrict_unprivileged_userns=0"
            }
            Self::NamespaceLimit => "raise user.max_user_namespaces with sysctl (15000 is usual)",
            Self::DebianSwitch => "set kernel.unprivileged_userns_clone=1 with sysctl",
            Self::Kernel => "use Linux 5.12 or newer with user namespaces",
            Self::NoProc => "mount /proc",
            Self::NoLandlock => {
                "use Linux 5.13 or newer with `landlock` among its security modules (`lsm=`)"
            }
            Self::Unknown => {
                "run it outside any chroot, or ask the administrator which security module forbids user namespaces"
            }
        }
    }
}

/// What is looked at after a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) uid: u32,
    /// `CapEff`.
    pub(crate) capabilities: u64,
    /// A seccomp filter is installed.
    pub(crate) seccomp: bool,
    /// The root of the process is not a mount point.
    pub(crate) chrooted: bool,
    pub(crate) proc_missing: bool,
    pub(crate) max_user_namespaces: Option<u64>,
    pub(crate) debian_switch: Option<u64>,
    pub(crate) apparmor_restrict: Option<u64>,
}

impl Facts {
    /// Looks at the calling process.
    pub(crate) fn read() -> Self {
        let number = |path: &str| {
            fs_err::read_to_string(path)
                .ok()
                .and_then(|text| text.trim().parse().ok())
        };
        let status = fs_err::read_to_string("/proc/self/status");
        let mounts = fs_err::read("/proc/self/mountinfo").unwrap_or_default();
        let mut facts = Self {
            uid: rustix::process::geteuid().as_raw(),
            proc_missing: status.is_err(),
            chrooted: !mounts.is_empty() && !root_is_mounted(&mounts),
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            debian_switch: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            ..Self::default()
        };
        facts.read_status(&status.unwrap_or_default());
        facts
    }

    /// The lines `CapEff` and `Seccomp` of `/proc/self/status` (`proc_pid_status(5)`).
    fn read_status(&mut self, status: &str) {
        for line in status.lines() {
            match line.split_once(':').map(|(key, value)| (key, value.trim())) {
                Some(("CapEff", value)) => {
                    self.capabilities = u64::from_str_radix(value, 16).unwrap_or(0)
                }
                Some(("Seccomp", value)) => self.seccomp = value == "2",
                _ => {}
            }
        }
    }

    pub(crate) fn has_sys_admin(&self) -> bool {
        self.capabilities & (1 << CAP_SYS_ADMIN) != 0
    }
}

/// Does `mountinfo` (`proc_pid_mountinfo(5)`, fifth field) list a mount at `/`? In a chroot it does not, unless
/// the new root is itself a mount point.
fn root_is_mounted(mountinfo: &[u8]) -> bool {
    mountinfo
        .split(|b| *b == b'\n')
        .any(|line| line.split(|b| *b == b' ').nth(4) == Some(b"/".as_slice()))
}

/// Names the cause of a refused step.
pub(crate) fn diagnose(rung: Base, failure: &Failure, facts: &Facts) -> Unavailable {
    let cause = cause(rung, failure, facts);
    Unavailable {
        rung,
        operation: failure.operation.clone(),
        errno: failure.errno,
        cause,
        remedy: cause.remedy().to_owned(),
    }
}

fn cause(rung: Base, failure: &Failure, facts: &Facts) -> Cause {
    let lost_mapping = facts.uid == 0 && facts.capabilities & (1 << CAP_SETFCAP) == 0;
    match (failure.step, failure.errno) {
        (_, _) if rung == Base::Landlock => Cause::NoLandlock,
        (_, _) if facts.proc_missing => Cause::NoProc,
        (Step::Namespaces, libc::ENOSPC | libc::EUSERS) => Cause::NamespaceLimit,
        (Step::Namespaces, _) if facts.max_user_namespaces == Some(0) => Cause::NamespaceLimit,
        (_, libc::ENOSYS) if facts.seccomp => Cause::Seccomp,
        (Step::Mapping, libc::EPERM) if lost_mapping => Cause::Mapping,
        // EPERM from `clone`; EINVAL where root came further, since `/` is no mount that could be changed.
        (_, libc::EPERM | libc::EINVAL) if facts.chrooted => Cause::Chroot,
        (_, libc::ENOSYS | libc::EINVAL | libc::ENODEV) => Cause::Kernel,
        (_, _) if facts.debian_switch == Some(0) && rung == Base::UserNamespace => {
            Cause::DebianSwitch
        }
        (_, _) if facts.apparmor_restrict == Some(1) && rung == Base::UserNamespace => {
            Cause::AppArmor
        }
        (_, _) if facts.seccomp => Cause::Seccomp,
        (Step::Mapping, libc::EACCES) => Cause::AppArmor,
        _ => Cause::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cause of an error of a step, for an ordinary user with one odd fact.
    fn cause_of(step: Step, errno: i32, change: fn(&mut Facts)) -> Cause {
        let mut facts = Facts {
            uid: 1000,
            max_user_namespaces: Some(9),
            ..Facts::default()
        };
        change(&mut facts);
        let failure = Failure {
            step,
            operation: "x".to_owned(),
            errno,
        };
        cause(Base::UserNamespace, &failure, &facts)
    }

    #[test]
    fn causes_of_refused_namespaces_are_told_apart() {
        let of = |errno, change| cause_of(Step::Namespaces, errno, change);
        assert_eq!(of(libc::ENOSPC, |_| ()), Cause::NamespaceLimit);
        let none = |f: &mut Facts| f.max_user_namespaces = Some(0);
        assert_eq!(of(libc::EPERM, none), Cause::NamespaceLimit);
        assert_eq!(of(libc::EPERM, |f| f.chrooted = true), Cause::Chroot);
        assert_eq!(of(libc::EPERM, |f| f.seccomp = true), Cause::Seccomp);
        assert_eq!(of(libc::ENOSYS, |f| f.seccomp = true), Cause::Seccomp);
        assert_eq!(of(libc::EINVAL, |_| ()), Cause::Kernel);
        let debian = |f: &mut Facts| f.debian_switch = Some(0);
        assert_eq!(of(libc::EPERM, debian), Cause::DebianSwitch);
        assert_eq!(of(libc::EPERM, |_| ()), Cause::Unknown);
    }

    #[test]
    fn causes_of_refused_mappings_and_mounts_are_told_apart() {
        let ubuntu = |f: &mut Facts| f.apparmor_restrict = Some(1);
        let of = cause_of;
        assert_eq!(of(Step::Mapping, libc::EPERM, ubuntu), Cause::AppArmor);
        assert_eq!(of(Step::Mapping, libc::EACCES, |_| ()), Cause::AppArmor);
        assert_eq!(of(Step::FirstMounts, libc::EACCES, ubuntu), Cause::AppArmor);
        assert_eq!(
            of(Step::Mapping, libc::EPERM, |f| f.uid = 0),
            Cause::Mapping
        );
        let unmounted = |f: &mut Facts| f.proc_missing = true;
        assert_eq!(of(Step::Mapping, libc::ENOENT, unmounted), Cause::NoProc);
        let chroot = |f: &mut Facts| f.chrooted = true;
        assert_eq!(of(Step::FirstMounts, libc::EINVAL, chroot), Cause::Chroot);
    }

    #[test]
    fn status_and_mountinfo_are_read() {
        let mut facts = Facts::default();
        facts.read_status("Name:\tx\nCapEff:\t0000000000200000\nSeccomp:\t2\n");
        assert!(facts.has_sys_admin() && facts.seccomp);
        assert!(root_is_mounted(
            b"22 27 0:21 / /proc rw - proc proc rw\n27 1 254:0 / / rw - ext4 /dev/x rw\n"
        ));
        assert!(!root_is_mounted(
            b"22 27 0:21 / /proc rw - proc proc rw\n27 1 254:0 /a /b rw - ext4 x rw\n"
        ));
    }

    #[test]
    fn message_names_rung_operation_error_and_cause() {
        let failure = Failure {
            step: Step::Namespaces,
            operation: "`unshare`".to_owned(),
            errno: libc::EPERM,
        };
        let facts = Facts {
            chrooted: true,
            ..Facts::default()
        };
        let unavailable = diagnose(Base::UserNamespace, &failure, &facts);
        assert_eq!(
            unavailable.to_string(),
            "no sandbox is possible here (rung: user namespace): `unshare` failed: Operation not permitted (os error 1): the process is chrooted"
        );
        assert!(unavailable.remedy.contains("pivot_root"));
    }
}
