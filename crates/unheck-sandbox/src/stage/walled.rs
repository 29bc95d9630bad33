//! A command on the host's own files, without namespaces ([`crate::Root::Host`]). Start at [`enter`].
//!
//! The helper does what process 1 does elsewhere. All that the command starts stays in its process group, which seccomp
//! does not let it leave, so one signal ends it.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, kill_process_group, set_child_subreaper};

use crate::stage::init::{fork, hide, supervise};
use crate::stage::mapping::Plan;
use crate::stage::watch::Watch;
use crate::stage::{command, tell};
use crate::wire::{Base, Failure, Order, ProcMount, Report, Rung, Step};

/// Runs the command of an order to its end.
pub(super) fn enter(order: &Order, plan: &Plan, control: &OwnedFd) -> Result<(), Failure> {
    let nothing = || {
        Failure::new(
            Step::Root,
            "read the specification",
            rustix::io::Errno::INVAL,
        )
    };
    let spec = order.spec.as_ref().ok_or_else(nothing)?;
    // It ends when the caller's end of the socket closes; not with the caller's thread, as a signal would have it.
    hide()?;
    let own = Pid::from_raw(std::process::id().cast_signed());
    set_child_subreaper(own).map_err(command::fail("ask for orphans"))?;
    let pid = fork(|| command::execute(spec, plan, ProcMount::Bound, None))?.executed()?;
    let (base, proc) = (Base::Landlock, ProcMount::Bound);
    tell(control, &Report::Started(Rung { base, proc }));
    let end = supervise(spec, &Watch::new(&spec.limits, proc, None), pid, control);
    // It leads its session and group.
    let _ = kill_process_group(pid, Signal::KILL);
    tell(control, &Report::Ended(end));
    Ok(())
}
