//! The last process: gives up every right and becomes the command.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::spec::{Limits, Spec, Stdio};
use crate::stage::lockdown;
use crate::stage::lookups;
use crate::stage::mapping::Plan;
use crate::sys;
use crate::wire::{Failure, ProcMount, Step};

/// Returns only when the command could not be executed.
pub(super) fn execute(
    spec: &Spec,
    plan: &Plan,
    proc: ProcMount,
    watcher: Option<&OwnedFd>,
) -> Failure {
    let result = prepare(spec, plan, proc)
        .and_then(|()| find(spec))
        .and_then(|program| {
            // After our own lookups, and before the deny-list that might one day deny it.
            watcher.map_or(Ok(()), lookups::install)?;
            if spec.seccomp {
                lockdown::seccomp(spec.network)?;
            }
            if spec.root.is_host() {
                lockdown::alone()?;
            }
            replace(spec, &program)
        });
    match result {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

pub(super) fn fail(operation: &'static str) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::new(Step::Command, operation, errno)
}

fn prepare(spec: &Spec, plan: &Plan, proc: ProcMount) -> Result<(), Failure> {
    if spec.stdio != Stdio::Inherit {
        rustix::process::setsid().map_err(fail("begin a session"))?;
        let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        null.and_then(rustix::stdio::dup2_stdin)
            .map_err(fail("give it an empty input"))?;
    }
    sys::close_on_exec_from(3)
        .map_err(|e| Failure::new(Step::Command, "mark files to be closed", e))?;
    set_limits(&spec.limits, proc)?;
    let forgotten = lockdown::forget_bounding_set();
    if spec.root.is_host() {
        // Who has no capability may forget none, and has none to forget. No process namespace ends it with the helper.
        let killed = rustix::process::Signal::KILL;
        rustix::process::set_parent_process_death_signal(Some(killed))
            .map_err(fail("ask to die with the helper"))?;
    } else {
        forgotten.map_err(fail("drop capabilities for good"))?;
    }
    if plan.many {
        let (uid, gid) = (Uid::from_raw(spec.uid), Gid::from_raw(spec.gid));
        give_pipes_to(uid);
        rustix::thread::set_thread_groups(&[]).map_err(fail("leave all groups"))?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(fail("become the group"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(fail("become the user"))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(fail("refuse new privileges"))?;
    let none = CapabilitySet::empty();
    drop_to(none).map_err(fail("drop capabilities"))?;
    rustix::process::chdir(&spec.cwd).map_err(|e| {
        Failure::new(
            Step::Command,
            format!("enter the directory `{}`", spec.cwd.display()),
            e,
        )
    })?;
    if spec.landlock {
        lockdown::landlock(spec)?;
    }
    sys::reset_signals();
    Ok(())
}

/// Anonymous pipes of the caller belong to the caller, so that the command could write to them but not open
/// `/dev/stdout`, as servers do for their log. Terminals and files of the host stay as they are.
fn give_pipes_to(uid: Uid) {
    /// `PIPEFS_MAGIC` of `statfs(2)`.
    const PIPES: u64 = 0x5049_5045;
    for file in [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ] {
        if rustix::fs::fstatfs(file).is_ok_and(|fs| fs.f_type as u64 == PIPES) {
            let _ = rustix::fs::fchown(file, Some(uid), None);
        }
    }
}

fn drop_to(set: CapabilitySet) -> Result<(), Errno> {
    set_capabilities(
        None,
        CapabilitySets {
            effective: set,
            permitted: set,
            inheritable: CapabilitySet::empty(),
        },
    )
}

/// Process 1 needs only to kill, and to look at the memory and the directories of the sandbox's processes.
pub(super) fn keep_capabilities_of_process_1() -> Result<(), Failure> {
    let looks = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    drop_to(CapabilitySet::KILL | looks).map_err(fail("drop capabilities of process 1"))
}

fn set_limits(limits: &Limits, proc: ProcMount) -> Result<(), Failure> {
    let watched = proc == ProcMount::Fresh;
    // Where process 1 watches the sandbox, its own limit is met first and named; these hold a burst in between.
    let memory = limits.memory.map(|n| {
        if watched {
            n.saturating_add(n / 2).saturating_add(64 << 20)
        } else {
            n
        }
    });
    let processes = limits.processes.map(|n| {
        if watched {
            n.saturating_mul(2).saturating_add(16)
        } else {
            n
        }
    });
    let table = [
        (Resource::Data, memory, "limit memory"),
        (Resource::Nproc, processes, "limit processes"),
        (Resource::Fsize, limits.file_size, "limit the size of files"),
        (Resource::Nofile, limits.open_files, "limit open files"),
        (
            Resource::Cpu,
            limits.cpu_seconds.map(|n| n.saturating_add(1)),
            "limit processor time",
        ),
        (Resource::Core, Some(0), "forbid core dumps"),
    ];
    for (resource, limit, operation) in table {
        if let Some(limit) = limit {
            let most = getrlimit(resource)
                .maximum
                .map_or(limit, |most| most.min(limit));
            setrlimit(
                resource,
                Rlimit {
                    current: Some(most),
                    maximum: Some(most),
                },
            )
            .map_err(fail(operation))?;
        }
    }
    Ok(())
}

fn replace(spec: &Spec, program: &Path) -> Result<std::convert::Infallible, Failure> {
    let nul = |_| fail("read the command")(Errno::INVAL);
    let word = |text: &OsStr| CString::new(text.as_bytes()).map_err(nul);
    let arguments = spec
        .argv
        .iter()
        .map(|a| word(a))
        .collect::<Result<Vec<_>, _>>()?;
    let mut environment = Vec::new();
    for (name, value) in &spec.env {
        let pair = [name.as_bytes(), b"=", value.as_bytes()].concat();
        environment
            .push(CString::new(pair).map_err(|_| fail("read the environment")(Errno::INVAL))?);
    }
    let error = sys::execute(&word(program.as_os_str())?, arguments, environment);
    Err(Failure::new(
        Step::Command,
        format!("execute `{}`", program.display()),
        error,
    ))
}

/// A name without `/` is searched in `PATH` of the given environment, as `execvp(3)` does.
fn find(spec: &Spec) -> Result<PathBuf, Failure> {
    let name = spec.argv.first().map(PathBuf::from).unwrap_or_default();
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Ok(name);
    }
    let path = spec
        .env
        .get(OsStr::new("PATH"))
        .map(|p| p.as_bytes())
        .unwrap_or_default();
    path.split(|b| *b == b':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(OsStr::from_bytes(dir)).join(&name))
        .find(|file| file.is_file())
        .ok_or_else(|| Failure::new(Step::Command, "search it in `PATH`", Errno::NOENT))
}
