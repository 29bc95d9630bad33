//! The helper's side: from the re-execution to the command, in four processes' worth of steps.
//!
//! 1. The *helper* ([`helper_main_if_asked`]) has one thread, reads the order, clones process 1 into all new
//!    namespaces at once, writes its user mapping (only a process outside may write one of several ids) and waits.
//! 2. *Process 1* ([`init`]) makes the root ([`root`]), starts the command, watches limits, the disk ([`disk`]) and, when
//!    asked, lookups ([`lookups`]), reaps orphans. It asks to be killed when the helper dies, and ends when the
//!    parent's end of the socket closes; with it Linux kills every process of its process namespace and takes down all
//!    mounts.
//! 3. The *command* ([`command`]) gives up every right ([`lockdown`]) and executes.
//!
//! Without namespaces ([`walled`]) the helper is what process 1 is otherwise.

mod command;
mod disk;
mod init;
mod layers;
mod lockdown;
mod lookups;
mod mapping;
mod root;
mod walled;
mod watch;

use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::net::SendFlags;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::spec::Network;
use crate::sys;
use crate::wire::{
    Base, CONTROL_FD, Failure, Order, Report, SPEC_BYTES, SPEC_FD, STAGE_WORD, Step,
};

/// Must be the first line of `main` of every binary that makes sandboxes: in the re-executed helper it never
/// returns, otherwise it does nothing.
pub fn helper_main_if_asked() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == STAGE_WORD)
    {
        sys::exit_now(helper());
    }
}

/// Exit code: 0 when process 1 was waited for, 70 when this is not a helper started by [`crate::spawn`].
fn helper() -> i32 {
    // SAFETY: this is the first thing the program does; nothing owns these files.
    let files = unsafe { (sys::take_file(SPEC_FD), sys::take_file(CONTROL_FD)) };
    let (Ok(spec), Ok(control)) = files else {
        return 70;
    };
    // SAFETY: as above.
    let closed = unsafe { sys::close_from(CONTROL_FD as u32 + 1) };
    let done = closed
        .map_err(|e| Failure::new(Step::Namespaces, "`close_range` (Linux 5.11)", e))
        .and_then(|()| read_order(spec))
        .and_then(|order| enter(order, &control));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            tell(&control, &Report::Failed(failure));
            1
        }
    }
}

fn read_order(spec: OwnedFd) -> Result<Order, Failure> {
    let mut text = Vec::new();
    let wrong = |e| Failure::new(Step::Root, "read the specification", e);
    std::fs::File::from(spec)
        .take(SPEC_BYTES)
        .read_to_end(&mut text)
        .map_err(wrong)?;
    serde_json::from_slice(&text).map_err(|_| wrong(std::io::ErrorKind::InvalidData.into()))
}

/// Clones process 1 and waits for it. An error is one that process 1 cannot report itself.
fn enter(order: Order, control: &OwnedFd) -> Result<(), Failure> {
    // A terminal or a supervisor signals the whole group: the command shall decide, not the helper.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        sys::ignore_signal(signal);
    }
    let plan = mapping::Plan::make(&order)?;
    if order.base == Base::Landlock {
        return walled::enter(&order, &plan, control);
    }
    let refused = |e: rustix::io::Errno| Failure::new(Step::Namespaces, "make a pipe", e);
    let (wait_end, go_end) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(refused)?;
    // SAFETY: one thread.
    let cloned = unsafe { sys::clone_into(namespaces(&order)) };
    let Some(pid) =
        cloned.map_err(|e| Failure::new(Step::Namespaces, "`clone` into new namespaces", e))?
    else {
        drop(go_end);
        let go = matches!(rustix::io::read(&wait_end, &mut [0; 1][..]), Ok(1));
        drop(wait_end);
        sys::exit_now(if go {
            init::main(&order, &plan, control)
        } else {
            1
        });
    };
    drop(wait_end);
    let mapped = if order.base == Base::UserNamespace {
        plan.write(pid)
    } else {
        Ok(())
    };
    if mapped.is_ok() {
        let _ = rustix::io::write(&go_end, &[1]);
    }
    drop(go_end);
    wait_for(pid);
    mapped
}

fn namespaces(order: &Order) -> libc::c_int {
    let mut flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    if order.base == Base::UserNamespace {
        flags |= libc::CLONE_NEWUSER;
    }
    if order
        .spec
        .as_ref()
        .is_none_or(|spec| spec.network == Network::None)
    {
        flags |= libc::CLONE_NEWNET;
    }
    flags
}

fn wait_for(pid: libc::pid_t) {
    let pid = Pid::from_raw(pid);
    while matches!(
        waitpid(pid, WaitOptions::empty()),
        Err(rustix::io::Errno::INTR)
    ) {}
}

/// Sends one report; a parent that is gone needs none.
fn tell(control: &OwnedFd, report: &Report) {
    if let Ok(text) = serde_json::to_vec(report) {
        let _ = rustix::net::send(control, &text, SendFlags::NOSIGNAL);
    }
}
