//! Process 1 of a sandbox: makes the root, starts the command, waits. Start at [`main`].

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, wait,
};

use crate::run::LimitKind;
use crate::spec::{Network, Spec};
use crate::stage::command::fail;
use crate::stage::disk::Disk;
use crate::stage::lookups::Watcher;
use crate::stage::mapping::Plan;
use crate::stage::watch::Watch;
use crate::stage::{command, lookups, root, tell};
use crate::sys;
use crate::wire::{Base, End, Failure, MESSAGE_BYTES, Order, ProcMount, Report, Rung, Step};

/// Orphans are reaped at least so often.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// Runs process 1; its exit code is for nobody.
pub(super) fn main(order: &Order, plan: &Plan, control: &OwnedFd) -> i32 {
    // The group signals that the helper ignores are ignored here too; the command resets them.
    let result = match &order.spec {
        None => probe(order.base),
        Some(spec) => live(order.base, spec, plan, control),
    };
    match result {
        Ok(report) => {
            tell(control, &report);
            0
        }
        Err(failure) => {
            tell(control, &Report::Failed(failure));
            1
        }
    }
}

fn first(operation: &'static str) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::new(Step::FirstMounts, operation, errno)
}

/// What every process 1 does first.
fn settle() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(first("asking to die with the helper"))?;
    hide()
}

/// The command must not read this process through /proc.
pub(super) fn hide() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(first("hiding process 1"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

fn probe(base: Base) -> Result<Report, Failure> {
    settle()?;
    let proc = root::probe()?;
    Ok(Report::Started(Rung { base, proc }))
}

fn live(base: Base, spec: &Spec, plan: &Plan, control: &OwnedFd) -> Result<Report, Failure> {
    settle()?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(first("setting the host name"))?;
    if spec.network == Network::None {
        sys::loopback_up()
            .map_err(|e| Failure::new(Step::FirstMounts, "setting the loopback up", e))?;
    }
    let proc = root::make(spec, base)?;
    let disk = Disk::measure(spec, proc)?;
    let (pid, watcher) = start(spec, plan, proc)?;
    let full = disk.as_ref().map(Disk::watch).transpose()?;
    tell(control, &Report::Started(Rung { base, proc }));
    let watch = Watch::new(&spec.limits, proc, full);
    let mut end = supervise(spec, &watch, pid, control);
    kill_all();
    let full = disk.and_then(|disk| disk.exceeded_at_end());
    if let (Some(kind), End::Exited(_) | End::Signaled(_)) = (full, end) {
        end = End::Limit(kind);
    }
    if let Some(watcher) = watcher {
        watcher.report(control);
    }
    Ok(Report::Ended(end))
}

/// Forks and waits until the child executes the command or says why it cannot. Gives up what process 1 needs no more.
fn start(spec: &Spec, plan: &Plan, proc: ProcMount) -> Result<(Pid, Option<Watcher>), Failure> {
    let sockets = spec.watch.then(lookups::sockets).transpose();
    let (ours, theirs) = sockets.map_err(fail("make a socket pair"))?.unzip();
    let forked = fork(|| command::execute(spec, plan, proc, theirs.as_ref()))?;
    drop(theirs);
    command::keep_capabilities_of_process_1()?;
    // Before the command is heard of: already its execution is seen.
    let watcher = ours
        .map(|socket| Watcher::start(&socket, proc))
        .transpose()?;
    Ok((forked.executed()?, watcher))
}

/// A child that is about to execute the command.
pub(super) struct Forked {
    pid: libc::pid_t,
    /// Closed by the execution; why there is none comes through it.
    reads: OwnedFd,
}

/// Forks a child that becomes the command; `execute` returns only when it could not.
pub(super) fn fork(execute: impl FnOnce() -> Failure) -> Result<Forked, Failure> {
    let (reads, writes) = pipe_with(PipeFlags::CLOEXEC).map_err(fail("make a pipe"))?;
    // SAFETY: whoever calls this has one thread.
    let forked = unsafe { sys::fork() };
    let Some(pid) = forked.map_err(|e| Failure::new(Step::Command, "fork", e))? else {
        drop(reads);
        let failure = execute();
        if let Ok(text) = serde_json::to_vec(&failure) {
            let _ = rustix::io::write(&writes, &text);
        }
        sys::exit_now(127);
    };
    Ok(Forked { pid, reads })
}

impl Forked {
    /// Waits until the command is executed, or says why it cannot be.
    pub(super) fn executed(self) -> Result<Pid, Failure> {
        let mut text = vec![0; MESSAGE_BYTES];
        let n = loop {
            match rustix::io::read(&self.reads, &mut text[..]) {
                Err(Errno::INTR) => {}
                other => break other.map_err(fail("hear from the command"))?,
            }
        };
        if n > 0 {
            let unknown = |_| fail("read why the command does not start")(Errno::IO);
            return Err(serde_json::from_slice(&text[..n]).map_err(unknown)?);
        }
        Pid::from_raw(self.pid).ok_or_else(|| fail("fork")(Errno::SRCH))
    }
}

/// Waits for the command, hands signals on, keeps the limits.
pub(super) fn supervise(spec: &Spec, watch: &Watch, pid: Pid, control: &OwnedFd) -> End {
    let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) else {
        return End::Signaled(libc::SIGKILL);
    };
    loop {
        let timeout = watch.next_look(Instant::now()).min(REAP_EVERY);
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut files = [
            PollFd::new(&ended, PollFlags::IN),
            PollFd::new(control, PollFlags::IN),
        ];
        let _ = poll(&mut files, Some(&timeout));
        let heard = !files[1].revents().is_empty();
        if let Some(status) = reap(pid) {
            return how(status, watch, spec);
        }
        if heard && let Some(end) = obey(control, pid) {
            return end;
        }
        if let Some(kind) = watch.look(Instant::now()) {
            return End::Limit(kind);
        }
    }
}

/// Reaps whatever has ended; the status when it was the command.
fn reap(command: Pid) -> Option<WaitStatus> {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == command {
            return Some(status);
        }
    }
    None
}

/// One signal from the parent; an end when it is 9 or the parent is gone.
fn obey(control: &OwnedFd, command: Pid) -> Option<End> {
    let mut byte = [0];
    match rustix::net::recv(control, &mut byte[..], RecvFlags::DONTWAIT) {
        Ok((1, _)) if byte[0] != libc::SIGKILL as u8 => {
            if let Some(signal) = Signal::from_named_raw(i32::from(byte[0])) {
                let _ = rustix::process::kill_process(command, signal);
            }
            None
        }
        Err(Errno::AGAIN | Errno::INTR) => None,
        Ok(_) | Err(_) => Some(End::Signaled(libc::SIGKILL)),
    }
}

/// Names the limit behind a signal.
fn how(status: WaitStatus, watch: &Watch, spec: &Spec) -> End {
    if let Some(code) = status.exit_status() {
        return End::Exited(code);
    }
    let signal = status.terminating_signal().unwrap_or(libc::SIGKILL);
    match signal {
        libc::SIGXFSZ if spec.limits.file_size.is_some() => End::Limit(LimitKind::FileSize),
        libc::SIGXCPU | libc::SIGKILL if watch.cpu_is_spent() => End::Limit(LimitKind::Cpu),
        _ => End::Signaled(signal),
    }
}

/// Everything but this process; what a fork makes in the meantime dies with process 1.
fn kill_all() {
    // SAFETY: -1 is every process of this process namespace but the first.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}
