//! Rootless namespaces: run a command in a root that is not the host's.
//!
//! A binary that uses this room calls [`helper_main_if_asked`] as the first line of its `main`, because a sandbox
//! is entered by re-executing the binary itself (a process with threads cannot make a user namespace). Then
//! [`run()`] starts a command described by a [`Spec`] and waits for it; [`spawn`] is the same for a long-lived one.
//! Read [`run()`] first, then `stage` (what happens between the re-execution and the command).
//!
//! Inside: own user, mount, process, network, IPC, host-name and control-group namespaces; a root made of the
//! given directories, by default read-only; private `/tmp`, `/var/tmp`, `/run`, `/dev` and `/proc`; no
//! capability, `no_new_privs`, a seccomp deny-list, Landlock; the environment exactly as given; no inherited file
//! but standard input, output and error. Everything ends with the command, or with the process that started it.
//!
//! With [`Spec::watch`] it also tells which names the command looked for in vain ([`Watched`]): a log seldom says which
//! program or header a build missed.
//!
//! Work on data, such as compiling, can be done where no namespaces can be made: [`Root::Host`] runs a command on the
//! host's own files, behind Landlock and seccomp alone. It must be asked for by name.
//!
//! What this room refuses to do: fall back to anything weaker by itself ([`probe`] says which rung of the
//! ladder this machine offers, [`Unavailable`] why there is none and what to do); use setuid helpers; give a
//! command all of the host's file system, its environment or processes; interpret whiteouts (the caller extracts layers
//! into plain directories, in which a whiteout would be an ordinary file).

mod capture;
mod diagnose;
mod error;
mod forward;
mod lookup;
mod run;
mod spec;
mod stage;
mod sys;
mod wire;

pub use capture::{Captured, LineSink, Log, Stream};
pub use diagnose::{Cause, Unavailable};
pub use error::SandboxError;
pub use forward::Forwarding;
pub use lookup::{Lookup, Missing, Watched};
pub use run::{HelperExe, LimitKind, Outcome, Running, Signaller, Status, probe, run, spawn};
pub use spec::{Limits, Mount, Network, Root, Spec, Stdio};
pub use stage::helper_main_if_asked;
pub use wire::{Base, ProcMount, Rung};
