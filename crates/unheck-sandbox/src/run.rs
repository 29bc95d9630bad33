//! The parent's side: starts the helper, reads its reports, keeps output, enforces the output limit.
//!
//! Read [`spawn`] first. Of the ladder, [`Base::UserNamespace`] is tried first even for root: what goes wrong while
//! the root is made then goes wrong without rights on the host. Only where it is refused and the caller has
//! `CAP_SYS_ADMIN` are the namespaces made by that right, and then not for user 0.

use std::fmt;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::capture::{Captured, LineSink, Lines, Stream, drain};
use crate::diagnose::{Facts, diagnose};
use crate::error::SandboxError;
use crate::lookup::{Missing, NAMES, Watched};
use crate::spec::{Spec, Stdio};
use crate::sys;
use crate::wire::{
    Base, CONTROL_FD, End, Failure, MESSAGE_BYTES, Order, Report, Rung, SPEC_BYTES, SPEC_FD,
    STAGE_WORD, Step,
};

/// The program that is executed to enter a sandbox; its `main` begins with [`crate::helper_main_if_asked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperExe(PathBuf);

impl HelperExe {
    /// This program itself, also after its file was replaced or removed.
    #[must_use]
    pub fn current() -> Self {
        Self(PathBuf::from("/proc/self/exe"))
    }

    /// Another program.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }
}

/// How long a helper may take to end a command without namespaces; it needs a moment.
const HELPER_ENDS: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// The sandbox ended it because of this limit.
    LimitHit(LimitKind),
}

impl Status {
    /// Exit code 0?
    #[must_use]
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The exit code a shell would show: the command's own, or 128 and the signal's number; 137 for a limit.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
            Self::LimitHit(_) => 128 + libc::SIGKILL,
        }
    }
}

/// Which limit of [`crate::Limits`] ended a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LimitKind {
    /// `memory`
    Memory,
    /// `processes`
    Processes,
    /// `file_size`
    FileSize,
    /// `cpu_seconds`
    Cpu,
    /// `wall`
    Wall,
    /// `output`
    Output,
    /// `disk`
    Disk,
    /// `inodes`
    Inodes,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::FileSize => "file_size",
            Self::Cpu => "cpu_seconds",
            Self::Wall => "wall",
            Self::Output => "output",
            Self::Disk => "disk",
            Self::Inodes => "inodes",
        })
    }
}

/// A command that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Standard output, empty unless captured.
    pub stdout: Captured,
    /// Standard error, empty unless captured.
    pub stderr: Captured,
    /// From the start of the command to its end.
    pub wall: Duration,
    /// The rung of the ladder it ran on; its text is for logs, locks and provenance.
    pub rung: Rung,
    /// What it looked for and did not find, when [`Spec::watch`] asks.
    pub watched: Watched,
}

/// Finds out what this machine offers, in a few milliseconds, by making an empty sandbox. The answer does not change
/// while the process lives: keep it.
///
/// # Errors
/// [`SandboxError::Unavailable`] with cause and remedy; [`SandboxError::Helper`] when the helper does not start.
pub fn probe(helper: &HelperExe) -> Result<Rung, SandboxError> {
    let mut started = start(helper, None)?;
    let status = started
        .child
        .wait()
        .map_err(parent("wait for the helper"))?;
    if status.success() {
        Ok(started.rung)
    } else {
        Err(SandboxError::HelperDied {
            status: status.to_string(),
        })
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When no sandbox can be made or the command does not start. A command that fails is an [`Outcome`].
pub fn run(helper: &HelperExe, spec: &Spec) -> Result<Outcome, SandboxError> {
    spawn(helper, spec, None)?.wait()
}

/// Starts a command; returns when it executes. `sink` is given each line of captured output.
///
/// # Errors
/// As [`run()`].
pub fn spawn(
    helper: &HelperExe,
    spec: &Spec,
    sink: Option<LineSink>,
) -> Result<Running, SandboxError> {
    spec.check()?;
    let mut started = start(helper, Some(spec))?;
    let limit = match spec.stdio {
        Stdio::Inherit => 0,
        Stdio::Capture { limit } => limit,
    };
    let signaller = Signaller {
        control: Arc::clone(&started.control),
    };
    let budget = Arc::new(Budget {
        left: AtomicU64::new(spec.limits.output.unwrap_or(u64::MAX)),
        hit: AtomicBool::new(false),
        signaller,
    });
    let reader = |from: Box<dyn io::Read + Send>, stream| {
        let (budget, lines) = (
            Arc::clone(&budget),
            sink.clone().map(|sink| Lines::new(sink, stream)),
        );
        std::thread::spawn(move || drain(from, limit, lines, |n| budget.spend(n)))
    };
    let stdout = started
        .child
        .stdout
        .take()
        .map(|from| reader(Box::new(from), Stream::Stdout));
    let stderr = started
        .child
        .stderr
        .take()
        .map(|from| reader(Box::new(from), Stream::Stderr));
    Ok(Running {
        child: started.child,
        control: started.control,
        captured: spec.stdio != Stdio::Inherit,
        stdout,
        stderr,
        budget,
        begun: Instant::now(),
        rung: started.rung,
        missing: Vec::new(),
        watched: Watched::NotAsked,
        done: false,
    })
}

/// What is left of the output limit.
struct Budget {
    left: AtomicU64,
    hit: AtomicBool,
    signaller: Signaller,
}

impl Budget {
    fn spend(&self, bytes: u64) {
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .unwrap_or(u64::MAX);
        if before < bytes && before != u64::MAX && !self.hit.swap(true, Ordering::SeqCst) {
            self.signaller.kill();
        }
    }
}

/// Sends signals to a sandboxed command; may be cloned and given to other threads.
#[derive(Debug, Clone)]
pub struct Signaller {
    pub(crate) control: Arc<OwnedFd>,
}

impl Signaller {
    /// Sends a signal to the command (not to its children); `SIGKILL` (9) ends the whole sandbox. Does nothing
    /// when the sandbox has ended.
    pub fn signal(&self, number: u8) {
        let _ = rustix::net::send(
            &*self.control,
            &[number],
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        );
    }

    /// Ends the whole sandbox at once.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL as u8);
    }
}

/// A command that runs. Dropped, it is killed with everything it started.
pub struct Running {
    child: Child,
    control: Arc<OwnedFd>,
    pub(crate) captured: bool,
    stdout: Option<JoinHandle<Captured>>,
    stderr: Option<JoinHandle<Captured>>,
    budget: Arc<Budget>,
    begun: Instant,
    rung: Rung,
    missing: Vec<Missing>,
    watched: Watched,
    done: bool,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("helper", &self.child.id())
            .field("rung", &self.rung)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The rung it runs on.
    #[must_use]
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Process id, on the host, of the helper that holds the sandbox.
    #[must_use]
    pub fn helper_id(&self) -> u32 {
        self.child.id()
    }

    /// A handle for signals.
    #[must_use]
    pub fn signaller(&self) -> Signaller {
        Signaller {
            control: Arc::clone(&self.control),
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// [`SandboxError::HelperDied`] when somebody killed the helper.
    pub fn wait(mut self) -> Result<Outcome, SandboxError> {
        loop {
            if let Some(outcome) = self.wait_for(Duration::from_secs(3600))? {
                return Ok(outcome);
            }
        }
    }

    /// Waits for the end at most so long; `None` when the command still runs. After an outcome, further calls
    /// are an error.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn wait_for(&mut self, patience: Duration) -> Result<Option<Outcome>, SandboxError> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(
                &mut [PollFd::new(&*self.control, PollFlags::IN)],
                Some(&timeout),
            ) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(parent("wait")(errno.into())),
            }
            if let Some(end) = self.hear()? {
                return self.finish(end).map(Some);
            }
        }
    }

    /// One report of the helper; the end, when it is that.
    fn hear(&mut self) -> Result<Option<End>, SandboxError> {
        match receive(&self.control)? {
            Some(Report::Ended(end)) => return Ok(Some(end)),
            Some(Report::Missing(names)) => {
                let room = NAMES.saturating_sub(self.missing.len());
                self.missing.extend(names.into_iter().take(room));
            }
            Some(Report::Watched {
                unavailable,
                left_out,
            }) => {
                self.watched = match unavailable {
                    Some(reason) => Watched::Unavailable { reason },
                    None => Watched::Seen {
                        missing: std::mem::take(&mut self.missing),
                        left_out,
                    },
                }
            }
            Some(Report::Started(_) | Report::Failed(_)) | None => {
                return Err(SandboxError::HelperDied {
                    status: self.reap()?,
                });
            }
        }
        Ok(None)
    }

    fn finish(&mut self, end: End) -> Result<Outcome, SandboxError> {
        let wall = self.begun.elapsed();
        self.reap()?;
        let kept = |thread: Option<JoinHandle<Captured>>| {
            thread.and_then(|t| t.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (kept(self.stdout.take()), kept(self.stderr.take()));
        let status = match end {
            _ if self.budget.hit.load(Ordering::SeqCst) => Status::LimitHit(LimitKind::Output),
            End::Exited(code) => Status::Exited(code),
            End::Signaled(signal) => Status::Signaled(signal),
            End::Limit(kind) => Status::LimitHit(kind),
        };
        Ok(Outcome {
            status,
            stdout,
            stderr,
            wall,
            rung: self.rung,
            watched: std::mem::take(&mut self.watched),
        })
    }

    /// The helper ends when the last process of the sandbox has.
    fn reap(&mut self) -> Result<String, SandboxError> {
        let status = self.child.wait().map_err(parent("wait for the helper"))?;
        self.done = true;
        Ok(status.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            let _ = rustix::net::shutdown(&*self.control, Shutdown::Both);
            // Without namespaces only the helper can end what the command started: it is given the time.
            let begun = Instant::now();
            while self.rung.base == Base::Landlock
                && begun.elapsed() < HELPER_ENDS
                && matches!(self.child.try_wait(), Ok(None))
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A helper that reported success.
struct Started {
    child: Child,
    control: Arc<OwnedFd>,
    rung: Rung,
}

/// Climbs the ladder.
fn start(helper: &HelperExe, spec: Option<&Spec>) -> Result<Started, SandboxError> {
    if spec.is_some_and(|spec| spec.root.is_host()) {
        return attempt(helper, Base::Landlock, spec)?.map_err(|failure| {
            let unavailable = || diagnose(Base::Landlock, &failure, &Facts::read()).into();
            explain(&failure, spec).unwrap_or_else(unavailable)
        });
    }
    let refused = match attempt(helper, Base::UserNamespace, spec)? {
        Ok(started) => return Ok(started),
        Err(failure) => failure,
    };
    if let Some(error) = explain(&refused, spec) {
        return Err(error);
    }
    let facts = Facts::read();
    let unavailable = diagnose(Base::UserNamespace, &refused, &facts);
    if !facts.has_sys_admin() {
        return Err(unavailable.into());
    }
    if spec.is_some_and(|spec| spec.uid == 0 || spec.gid == 0) {
        return Err(SandboxError::RootUser(unavailable));
    }
    let again = match attempt(helper, Base::SysAdmin, spec)? {
        Ok(started) => return Ok(started),
        Err(failure) => failure,
    };
    Err(explain(&again, spec).unwrap_or_else(|| diagnose(Base::SysAdmin, &again, &facts).into()))
}

/// The error of a step that failed because of the specification; `None` when the machine is the reason.
fn explain(failure: &Failure, spec: Option<&Spec>) -> Option<SandboxError> {
    let (operation, source) = (
        failure.operation.clone(),
        io::Error::from_raw_os_error(failure.errno),
    );
    match failure.step {
        Step::Namespaces | Step::Mapping | Step::FirstMounts => None,
        Step::Root => Some(SandboxError::Setup { operation, source }),
        Step::Command => {
            let program = spec
                .and_then(|spec| spec.argv.first().cloned())
                .unwrap_or_default();
            Some(SandboxError::Command {
                program,
                operation,
                source,
            })
        }
    }
}

/// Starts the helper on one rung.
fn attempt(
    helper: &HelperExe,
    base: Base,
    spec: Option<&Spec>,
) -> Result<Result<Started, Failure>, SandboxError> {
    let order = serde_json::to_vec(&Order {
        base,
        spec: spec.cloned(),
    })
    .map_err(|error| SandboxError::Spec {
        what: format!("it cannot be written down: {error}"),
    })?;
    if order.len() as u64 > SPEC_BYTES {
        return Err(SandboxError::Spec {
            what: format!("it is longer than {SPEC_BYTES} bytes"),
        });
    }
    let stdio = spec.map_or(Stdio::Capture { limit: 0 }, |spec| spec.stdio);
    let (mut child, control) = launch(helper, &order, stdio)?;
    match receive(&control)? {
        Some(Report::Started(rung)) => Ok(Ok(Started {
            child,
            control: Arc::new(control),
            rung,
        })),
        Some(Report::Failed(failure)) => {
            drop(control);
            child.wait().map_err(parent("wait for the helper"))?;
            Ok(Err(failure))
        }
        Some(Report::Missing(_) | Report::Watched { .. } | Report::Ended(_)) | None => {
            let _ = child.kill();
            let status = child.wait().map_err(parent("wait for the helper"))?;
            Err(SandboxError::HelperDied {
                status: status.to_string(),
            })
        }
    }
}

/// Executes the helper with the order in an anonymous file and one end of a socket pair.
fn launch(
    helper: &HelperExe,
    order: &[u8],
    stdio: Stdio,
) -> Result<(Child, OwnedFd), SandboxError> {
    let memory = rustix::fs::memfd_create("unheck-sandbox", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|e| parent("make an anonymous file")(e.into()))?;
    let mut memory = std::fs::File::from(memory);
    memory
        .write_all(order)
        .and_then(|()| memory.rewind())
        .map_err(parent("write the specification"))?;
    let pair = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    );
    let (ours, theirs) = pair.map_err(|e| parent("make a socket pair")(e.into()))?;
    // Above the numbers that the helper expects, so that the two copies below cannot overwrite each other's source.
    let high = |file: &dyn AsFd| {
        rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 10)
            .map_err(|e| parent("copy a file")(e.into()))
    };
    let (spec_file, control_file) = (high(&memory)?, high(&theirs)?);
    drop((memory, theirs));

    let mut command = Command::new(&helper.0);
    command.arg0("unheck-sandbox").arg(STAGE_WORD).env_clear();
    if stdio != Stdio::Inherit {
        // An empty pipe, since there may be no `/dev/null` here; inside there is one, which the command gets.
        let (empty, _) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|e| parent("make a pipe")(e.into()))?;
        let output = std::process::Stdio::piped;
        command.stdin(empty).stdout(output()).stderr(output());
    }
    let place = move || {
        sys::duplicate_to(spec_file.as_fd(), SPEC_FD)?;
        sys::duplicate_to(control_file.as_fd(), CONTROL_FD)
    };
    // SAFETY: between fork and exec only dup2 is called.
    unsafe { command.pre_exec(place) };
    let child = command.spawn().map_err(|source| SandboxError::Helper {
        path: helper.0.clone(),
        source,
    })?;
    Ok((child, ours))
}

/// One report; `None` when the helper has closed its end.
fn receive(control: &OwnedFd) -> Result<Option<Report>, SandboxError> {
    let mut buffer = vec![0; MESSAGE_BYTES];
    loop {
        match rustix::net::recv(control, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Ok((n, _)) => return Ok(serde_json::from_slice(&buffer[..n]).ok()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(parent("hear from the helper")(errno.into())),
        }
    }
}

fn parent(operation: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |source| SandboxError::Parent { operation, source }
}
