//! The second walls: capabilities for good, Landlock, seccomp.
//!
//! The seccomp list denies what no program of an image needs and what kernels were attacked through. It is a
//! deny-list: an allow-list would break with every new C library. Numbers are `libc`'s, so right for each architecture.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities_secure_bits,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use crate::spec::{Mount, Network, Root, Spec};
use crate::wire::{Failure, Step};

/// No program executed from now on, not even one of user 0, gets a capability.
pub(super) fn forget_bounding_set() -> Result<(), Errno> {
    let _ = clear_ambient_capability_set();
    for bit in 0..64 {
        let Some(one) = CapabilitySet::from_bits(1 << bit) else {
            continue;
        };
        match remove_capability_from_bounding_set(one) {
            // EINVAL: a number that this kernel does not have.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits)
}

/// Reading and executing everywhere, writing where a mount is writable; no signal and no abstract socket out of the
/// sandbox. What the kernel does not know is left out.
pub(super) fn landlock(spec: &Spec) -> Result<(), Failure> {
    let wrong = |e: landlock::RulesetError| {
        Failure::new(
            Step::Command,
            format!("add Landlock rules ({e})"),
            Errno::INVAL,
        )
    };
    let abi = ABI::V6;
    let all = AccessFs::from_all(abi);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .and_then(|rules| rules.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(|rules| rules.create())
        .map_err(wrong)?;
    if let Root::Host { reads, writes } = &spec.root {
        for (paths, access) in [(reads, AccessFs::from_read(abi)), (writes, all)] {
            for path in paths {
                rules = allow(rules, path, access).map_err(wrong)?;
            }
        }
        // What every program may count on, and what says nothing of the host.
        for device in ["null", "zero", "random", "urandom"] {
            let path = Path::new("/dev").join(device);
            let access = AccessFs::ReadFile | AccessFs::WriteFile;
            rules = allow(rules, &path, access).map_err(wrong)?;
        }
        let status = rules.restrict_self().map_err(wrong)?;
        // It is the only wall around files here.
        return match status.ruleset {
            RulesetStatus::NotEnforced => {
                Err(Failure::new(Step::Namespaces, "Landlock", Errno::NOSYS))
            }
            _ => Ok(()),
        };
    }
    let everywhere = if spec.read_only_root {
        AccessFs::from_read(abi)
    } else {
        all
    };
    rules = allow(rules, Path::new("/"), everywhere).map_err(wrong)?;
    for path in ["/tmp", "/var/tmp", "/run", "/dev", "/proc"] {
        rules = allow(rules, Path::new(path), all).map_err(wrong)?;
    }
    for mount in &spec.mounts {
        if !matches!(
            mount,
            Mount::Bind {
                writable: false,
                ..
            }
        ) {
            rules = allow(rules, mount.inside(), all).map_err(wrong)?;
        }
    }
    rules.restrict_self().map(drop).map_err(wrong)
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    // A path that cannot be opened cannot be used by the command either.
    let Ok(file) = PathFd::new(path) else {
        return Ok(rules);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(ABI::V6)
    };
    rules.add_rule(PathBeneath::new(file, access))
}

/// `kexec_file_load`, which `libc` lacks for one of the C libraries (`asm-generic/unistd.h`).
#[cfg(target_arch = "aarch64")]
const KEXEC_FILE_LOAD: i64 = 294;
#[cfg(not(target_arch = "aarch64"))]
const KEXEC_FILE_LOAD: i64 = libc::SYS_kexec_file_load;

/// System calls that are refused with `EPERM`.
const DENIED: &[i64] = &[
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Keys: not divided by namespaces for one user.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Large interfaces with a long list of faults.
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // The machine itself; needs capabilities, refused before the kernel looks.
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_syslog,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Socket families that reach the hypervisor or kernel code that is rarely used; refused with `EAFNOSUPPORT`.
/// Virtual-machine sockets are not divided by network namespaces.
const DENIED_FAMILIES: [i32; 9] = [
    libc::AF_VSOCK,
    libc::AF_ALG,
    libc::AF_RDS,
    libc::AF_TIPC,
    libc::AF_KEY,
    libc::AF_PPPOX,
    libc::AF_RXRPC,
    libc::AF_XDP,
    libc::AF_BLUETOOTH,
];

/// Installs the deny-list, one filter for each error number.
pub(super) fn seccomp(network: Network) -> Result<(), Failure> {
    let wrong = |what: &str, e: seccompiler::Error| {
        let errno = match e {
            seccompiler::Error::Seccomp(ref error) | seccompiler::Error::Prctl(ref error) => {
                error.raw_os_error()
            }
            _ => None,
        };
        let error = std::io::Error::from_raw_os_error(errno.unwrap_or(libc::EINVAL));
        Failure::new(
            Step::Command,
            format!("install the seccomp filter for {what}"),
            error,
        )
    };
    let programs = [
        ("system calls", denied()),
        (
            "new interfaces",
            filter([(libc::SYS_clone3, vec![])].into(), libc::ENOSYS),
        ),
        ("socket families", families(network)),
    ];
    for (what, program) in programs {
        let program = program.map_err(|e| wrong(what, e.into()))?;
        seccompiler::apply_filter(&program).map_err(|e| wrong(what, e))?;
    }
    match foreign_numbers() {
        Some(program) => {
            seccompiler::apply_filter(&program).map_err(|e| wrong("the x32 interface", e))
        }
        None => Ok(()),
    }
}

/// What namespaces would have kept apart: sockets, signals to other processes, and a group or session of its own, by which
/// something would outlive the command.
const DENIED_ALONE: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// Installs the list for a command without namespaces.
pub(super) fn alone() -> Result<(), Failure> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED_ALONE
        .iter()
        .map(|number| (*number, vec![]))
        .collect();
    let wrong = |error: seccompiler::Error| {
        let operation =
            format!("install the seccomp filter for a command without namespaces ({error})");
        Failure::new(Step::Command, operation, Errno::INVAL)
    };
    // Limits of another process; C libraries ask for their own by it.
    let another = argument(0, SeccompCmpOp::Ne, 0).map_err(|e| wrong(e.into()))?;
    rules.insert(libc::SYS_prlimit64, vec![another]);
    let program = filter(rules, libc::EPERM).map_err(|e| wrong(e.into()))?;
    seccompiler::apply_filter(&program).map_err(wrong)
}

type Built = Result<BpfProgram, seccompiler::BackendError>;

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Built {
    let arch = if cfg!(target_arch = "aarch64") {
        TargetArch::aarch64
    } else {
        TargetArch::x86_64
    };
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        arch,
    )?
    .try_into()
}

fn denied() -> Built {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|number| (*number, vec![])).collect();
    // Typing into the caller's terminal. The kernel looks at the low 32 bits only.
    let types = |request: u64| argument(1, SeccompCmpOp::Eq, request);
    rules.insert(
        libc::SYS_ioctl,
        vec![
            types(u64::from(libc::TIOCSTI as u32))?,
            types(u64::from(libc::TIOCLINUX as u32))?,
        ],
    );
    // A user namespace by clone; clone3, whose flags a filter cannot see, does "not exist" and C libraries then
    // use clone.
    let new_user = libc::CLONE_NEWUSER as u64;
    rules.insert(
        libc::SYS_clone,
        vec![argument(0, SeccompCmpOp::MaskedEq(new_user), new_user)?],
    );
    filter(rules, libc::EPERM)
}

fn families(network: Network) -> Built {
    let mut families = DENIED_FAMILIES.to_vec();
    if network == Network::None {
        families.push(libc::AF_PACKET);
    }
    let rules: Result<Vec<_>, _> = families
        .iter()
        .map(|family| argument(0, SeccompCmpOp::Eq, *family as u64))
        .collect();
    filter([(libc::SYS_socket, rules?)].into(), libc::EAFNOSUPPORT)
}

fn argument(
    index: u8,
    op: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        index,
        SeccompCmpArgLen::Dword,
        op,
        value,
    )?])
}

/// On x86-64, the second set of numbers (x32, bit 30) that a list by number would miss: refused as `ENOSYS`.
fn foreign_numbers() -> Option<BpfProgram> {
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const X32: u32 = 0x4000_0000;
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    Some(vec![
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_IF_AT_LEAST, 0, 1, X32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ])
}
