//! Watches which names the processes inside look up in vain, by seccomp's user notification (`seccomp_unotify(2)`).
//!
//! A filter of the command makes each lookup by path wait until a thread of process 1 has seen it: the thread reads the
//! path from the caller's memory, looks itself whether the name exists, writes down when it does not, and lets the
//! call go on unchanged. Start at [`install`] (in the command) and [`Watcher`] (in process 1).
//!
//! This is evidence, not security. A process may change the path between our look and the kernel's, so that we see
//! another name than it looks up; it deceives nobody but whoever reads the list. Nothing is ever allowed or refused
//! here: the deny-list is other filters, and of several answers the kernel takes the strictest, so that a call which
//! they refuse stays refused.
//!
//! What a command can notice: a call takes some microseconds longer; it cannot have a notification filter of its own
//! (`EBUSY`); a signal whose handler lacks `SA_RESTART` can end a lookup with `EINTR` while it waits to be seen (from
//! Linux 5.19 on only until process 1 has taken it up). Names below `/proc`, `/sys` and `/dev` are not recorded: they
//! are the kernel's, and some mean something else in each process. A process with another root than the sandbox's, which
//! only a specification without the deny-list allows, is looked up in the sandbox's all the same.

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::lookup::{Lookup, Missing, NAMES};
use crate::stage::tell;
use crate::sys;
use crate::wire::{Failure, MESSAGE_BYTES, ProcMount, Report, Step};

/// Longest path, in bytes, with its end (`PATH_MAX` of `linux/limits.h`).
const PATH_BYTES: usize = 4096;
/// Bytes of all names that are kept, as asked and as recorded.
const TABLE_BYTES: usize = 8 << 20;
/// Directories of one path that are looked at to find the last that exists.
const MAX_STEPS: usize = 40;
/// Whose names are the kernel's.
const KERNEL: [&[u8]; 3] = [b"/proc", b"/sys", b"/dev"];

/// Where a system call has what, by the index of the argument.
#[derive(Debug, Clone, Copy)]
struct Call {
    number: i64,
    kind: Lookup,
    /// A path relative to this directory; without one, to the current directory.
    dir: Option<usize>,
    path: usize,
    /// Is a link at the end itself what is looked up?
    link: Link,
    /// Not a lookup by path when this argument has this bit.
    unless: Option<(usize, i32)>,
}

#[derive(Debug, Clone, Copy)]
enum Link {
    Followed,
    Itself,
    /// Itself, when this argument has this bit.
    Flag(usize, i32),
}

/// A call with the path as its first argument.
const fn first(number: i64, kind: Lookup) -> Call {
    Call {
        number,
        kind,
        dir: None,
        path: 0,
        link: Link::Followed,
        unless: None,
    }
}

/// A call with a directory and a path, and its flags, if it has any, in this argument.
const fn at(number: i64, kind: Lookup, flags: Option<usize>) -> Call {
    Call {
        dir: Some(0),
        path: 1,
        link: match flags {
            Some(index) => Link::Flag(index, libc::AT_SYMLINK_NOFOLLOW),
            None => Link::Followed,
        },
        unless: match flags {
            Some(index) => Some((index, libc::AT_EMPTY_PATH)),
            None => None,
        },
        ..first(number, kind)
    }
}

/// An `open` or `openat` whose flags are in this argument: it is no lookup when it may create the file.
const fn opening(call: Call, flags: usize) -> Call {
    Call {
        link: Link::Flag(flags, libc::O_NOFOLLOW),
        unless: Some((flags, libc::O_CREAT)),
        ..call
    }
}

/// The calls that are watched. `openat2` has its flags in memory, which no filter sees: what it creates exists
/// at the end and is left out then.
const CALLS: &[Call] = &[
    at(libc::SYS_newfstatat, Lookup::Stat, Some(3)),
    opening(at(libc::SYS_openat, Lookup::Open, None), 2),
    at(libc::SYS_statx, Lookup::Stat, Some(2)),
    at(libc::SYS_faccessat, Lookup::Stat, None),
    at(libc::SYS_faccessat2, Lookup::Stat, Some(3)),
    at(libc::SYS_openat2, Lookup::Open, None),
    first(libc::SYS_execve, Lookup::Exec),
    at(libc::SYS_execveat, Lookup::Exec, Some(4)),
    #[cfg(target_arch = "x86_64")]
    first(libc::SYS_stat, Lookup::Stat),
    #[cfg(target_arch = "x86_64")]
    Call {
        link: Link::Itself,
        ..first(libc::SYS_lstat, Lookup::Stat)
    },
    #[cfg(target_arch = "x86_64")]
    first(libc::SYS_access, Lookup::Stat),
    #[cfg(target_arch = "x86_64")]
    opening(first(libc::SYS_open, Lookup::Open), 1),
];

/// `AUDIT_ARCH_…` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The filter: calls of [`CALLS`] wait to be seen, all others pass. Offsets are those of `struct seccomp_data`.
fn filter() -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const HAS_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let pass = step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
    let wait = step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF);
    let mut program = vec![
        step(LOAD, 0, 0, 4),
        step(EQUAL, 1, 0, ARCHITECTURE),
        pass,
        step(LOAD, 0, 0, 0),
    ];
    for call in CALLS {
        let number = call.number as u32;
        match call.unless {
            None => program.extend([step(EQUAL, 0, 1, number), wait]),
            Some((argument, bit)) => program.extend([
                step(EQUAL, 0, 4, number),
                // The low half of the argument: both architectures are little-endian.
                step(LOAD, 0, 0, 16 + 8 * argument as u32),
                step(HAS_BIT, 1, 0, bit as u32),
                wait,
                pass,
            ]),
        }
    }
    program.push(pass);
    program
}

/// A pair of sockets: the second is for [`install`], the first for [`Watcher::start`].
pub(super) fn sockets() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
}

/// In the command, after `no_new_privs`: from now on its lookups are seen; or process 1 is told why not.
///
/// # Errors
/// When process 1 cannot be told: a filter that nobody serves would break every lookup.
pub(super) fn install(to: &OwnedFd) -> Result<(), Failure> {
    let wrong = |e: Errno| Failure::new(Step::Command, "hand over the notifications", e);
    let program = filter();
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let listener = match sys::seccomp_listener(&program, killable) {
        // Linux before 5.19 does not know the flag.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            sys::seccomp_listener(&program, 0)
        }
        other => other,
    };
    let (errno, listener) = match listener {
        Ok(listener) => (0, Some(listener)),
        Err(error) => (error.raw_os_error().unwrap_or(libc::EIO), None),
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&files));
    }
    let text = errno.to_ne_bytes();
    rustix::net::sendmsg(
        to,
        &[IoSlice::new(&text)],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .map(drop)
    .map_err(wrong)
}

/// What the command said: its notifications, the number of an error, or nothing since it failed before.
fn receive(from: &OwnedFd) -> Result<Option<Result<OwnedFd, Errno>>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 4];
    let got = loop {
        let mut into = [IoSliceMut::new(&mut text)];
        match rustix::net::recvmsg(from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    if got.bytes != text.len() {
        return Ok(None);
    }
    let listener = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    // Without file and error, the file did not get through.
    let errno = match i32::from_ne_bytes(text) {
        0 => Errno::MFILE,
        number => Errno::from_raw_os_error(number),
    };
    Ok(Some(listener.ok_or(errno)))
}

/// The names that were looked up in vain.
pub(super) struct Watcher {
    table: Arc<Mutex<Table>>,
    unavailable: Option<Errno>,
}

impl Watcher {
    /// Hears from the command and starts to serve its notifications. Capabilities must be those of process 1 at
    /// work, since a thread has its own set.
    ///
    /// # Errors
    /// When no thread can be started: the command must not live then.
    pub(super) fn start(from: &OwnedFd, proc: ProcMount) -> Result<Self, Failure> {
        let wrong = |e: std::io::Error| Failure::new(Step::Command, "watch the command", e);
        let table = Arc::<Mutex<Table>>::default();
        let mut unavailable = None;
        match receive(from).map_err(|e| wrong(e.into()))? {
            None => {}
            Some(Err(errno)) => unavailable = Some(errno),
            Some(Ok(listener)) => {
                let table = Arc::clone(&table);
                let server = Server {
                    listener,
                    proc,
                    table,
                    page: rustix::param::page_size(),
                };
                std::thread::Builder::new()
                    .spawn(move || server.serve())
                    .map_err(wrong)?;
            }
        }
        Ok(Self { table, unavailable })
    }

    /// Tells the parent, when no process of the sandbox but the first is left.
    pub(super) fn report(&self, control: &OwnedFd) {
        let table = std::mem::take(&mut *lock(&self.table));
        let mut packet = Vec::new();
        let mut bytes = 0;
        for missing in table.names.into_iter().filter(still_missing) {
            // As JSON, a byte of a path has at most four.
            let size = 256 + 4 * missing.path.as_os_str().len();
            if bytes + size > MESSAGE_BYTES - 1024 {
                tell(control, &Report::Missing(std::mem::take(&mut packet)));
                bytes = 0;
            }
            bytes += size;
            packet.push(missing);
        }
        tell(control, &Report::Missing(packet));
        let reason = |e: Errno| format!("the notifying seccomp filter was refused: {e}");
        tell(
            control,
            &Report::Watched {
                unavailable: self.unavailable.map(reason),
                left_out: table.left_out,
            },
        );
    }
}

/// What a build makes after having looked whether it is there was not missing.
fn still_missing(missing: &Missing) -> bool {
    rustix::fs::statat(CWD, &missing.path, AtFlags::empty()).is_err()
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Table {
    names: Vec<Missing>,
    /// Where in `names` a lookup is, as it was asked and as it is recorded.
    index: BTreeMap<(Lookup, Vec<u8>), usize>,
    bytes: usize,
    left_out: u64,
}

impl Table {
    /// Counts a lookup that was seen before, as it was asked.
    fn again(&mut self, kind: Lookup, asked: &[u8]) -> bool {
        let Some(index) = self.index.get(&(kind, asked.to_vec())) else {
            return false;
        };
        self.names[*index].count += 1;
        true
    }

    fn is_full(&self) -> bool {
        self.names.len() >= NAMES || self.bytes >= TABLE_BYTES || self.index.len() >= 4 * NAMES
    }

    /// A name as asked and as it is to be recorded. `by` is asked only for a new one.
    fn add(&mut self, kind: Lookup, asked: Vec<u8>, name: Vec<u8>, by: impl FnOnce() -> String) {
        self.bytes += asked.len() + 2 * name.len();
        let index = *self.index.entry((kind, name.clone())).or_insert_with(|| {
            self.names.push(Missing {
                path: std::ffi::OsString::from_vec(name).into(),
                kind,
                by: by(),
                count: 0,
            });
            self.names.len() - 1
        });
        self.names[index].count += 1;
        self.index.insert((kind, asked), index);
    }
}

/// The thread that serves notifications.
struct Server {
    listener: OwnedFd,
    proc: ProcMount,
    table: Arc<Mutex<Table>>,
    page: usize,
}

impl Server {
    /// Until no process with the filter is left, or process 1 ends.
    fn serve(&self) {
        sys::wake_on_this_processor(self.listener.as_fd());
        loop {
            match sys::next_notification(self.listener.as_fd()) {
                Ok(seen) => {
                    self.look(&seen);
                    // An error means that the caller was killed meanwhile.
                    let _ = sys::let_go_on(self.listener.as_fd(), seen.id);
                }
                // The caller was killed before we saw its call; or all are gone, as `poll` tells.
                Err(Errno::NOENT) if self.all_gone() => return,
                Err(Errno::NOENT | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn all_gone(&self) -> bool {
        let mut files = [PollFd::new(&self.listener, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut files, Some(&now)).is_ok() && files[0].revents().contains(PollFlags::HUP)
    }

    /// Writes the name of a lookup down if it does not exist.
    fn look(&self, seen: &libc::seccomp_notif) {
        let number = i64::from(seen.data.nr);
        let Some(call) = CALLS.iter().find(|call| call.number == number) else {
            return;
        };
        let pid = seen.pid as i32;
        let Some(name) = self.read_name(pid, seen.data.args[call.path]) else {
            return;
        };
        let flag = |(index, bit): (usize, i32)| seen.data.args[index] as i32 & bit != 0;
        let follow = match call.link {
            Link::Followed => true,
            Link::Itself => false,
            Link::Flag(index, bit) => !flag((index, bit)),
        };
        let base = match name.first() {
            None => return,
            Some(b'/') => Vec::new(),
            Some(_) => {
                let dir = call.dir.map(|index| seen.data.args[index] as i32);
                match self.base(pid, dir.filter(|dir| *dir != libc::AT_FDCWD)) {
                    Some(base) => base,
                    None => return,
                }
            }
        };
        let mut asked = [base, name].concat();
        if is_of_the_kernel(&asked) {
            return;
        }
        if exists(&asked, follow) {
            // The kernel says of a script "no such file" when it means its interpreter.
            let script = call.kind == Lookup::Exec;
            match script.then(|| interpreter(&asked)).flatten() {
                Some(missing) => asked = missing,
                None => return,
            }
        }
        // The number of a process that was killed may be another's by now.
        if sys::is_waiting(self.listener.as_fd(), seen.id) {
            self.record(call.kind, asked, pid);
        }
    }

    fn record(&self, kind: Lookup, asked: Vec<u8>, pid: i32) {
        let mut table = lock(&self.table);
        if table.again(kind, &asked) {
            return;
        }
        if table.is_full() {
            table.left_out += 1;
            return;
        }
        let name = without_links(&asked);
        if name.len() < PATH_BYTES && !is_of_the_kernel(&name) {
            table.add(kind, asked, name, || self.comm(pid));
        }
    }

    /// The path at an address of a process; `None` where there is none.
    fn read_name(&self, pid: i32, address: u64) -> Option<Vec<u8>> {
        let mut name = vec![0; PATH_BYTES];
        let mut length = 0;
        while length < PATH_BYTES {
            let from = usize::try_from(address).ok()?.checked_add(length)?;
            // The next page may not be there.
            let room = (self.page - from % self.page).min(PATH_BYTES - length);
            let got = sys::read_memory(pid, from, &mut name[length..length + room]).ok()?;
            let piece = &name[length..length + got];
            if let Some(end) = piece.iter().position(|b| *b == 0) {
                name.truncate(length + end);
                return Some(name);
            }
            if got == 0 {
                return None;
            }
            length += got;
        }
        None
    }

    /// The directory that a relative path begins at, with a `/` at its end.
    fn base(&self, pid: i32, dir: Option<i32>) -> Option<Vec<u8>> {
        let number = self.number(pid)?;
        let link = match dir {
            None => format!("/proc/{number}/cwd"),
            Some(dir) => format!("/proc/{number}/fd/{dir}"),
        };
        let mut path = rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes();
        let whole = path.first() == Some(&b'/') && !path.ends_with(b" (deleted)");
        path.push(b'/');
        whole.then_some(path)
    }

    /// The number that a process has in this `/proc`. Where it is not the sandbox's own, only `pidfd_open(2)` tells, and
    /// only of a process's first thread.
    fn number(&self, pid: i32) -> Option<i32> {
        if self.proc == ProcMount::Fresh {
            return Some(pid);
        }
        let file = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let text =
            fs_err::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
        let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
        number.trim().parse().ok().filter(|number| *number > 0)
    }

    fn comm(&self, pid: i32) -> String {
        let read = |number| fs_err::read(format!("/proc/{number}/comm")).ok();
        let bytes = self.number(pid).and_then(read).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.trim_end_matches('\n')
            .replace(char::is_control, "\u{fffd}")
    }
}

fn is_of_the_kernel(path: &[u8]) -> bool {
    KERNEL.iter().any(|top| {
        path.strip_prefix(*top)
            .is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/'))
    })
}

/// Only "no such file" counts: what may not be looked at, is no directory or too long, proves nothing.
fn exists(path: &[u8], follow: bool) -> bool {
    let flags = if follow {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    !matches!(rustix::fs::statat(CWD, path, flags), Err(Errno::NOENT))
}

/// The interpreter that a script names and that does not exist (`#!`, `execve(2)`).
fn interpreter(script: &[u8]) -> Option<Vec<u8>> {
    /// `BINPRM_BUF_SIZE` of `linux/binfmts.h`.
    const LINE_BYTES: usize = 256;
    // Without waiting: it may be a named pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(script, flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    if kind != FileType::RegularFile {
        return None;
    }
    let mut bytes = [0; LINE_BYTES];
    let got = rustix::io::read(&file, &mut bytes[..]).ok()?;
    let path = interpreter_of(&bytes[..got])?;
    (!is_of_the_kernel(path) && !exists(path, true)).then(|| path.to_vec())
}

/// The absolute path behind `#!` in the first line of a file.
fn interpreter_of(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?.trim_ascii_start();
    let end = line
        .iter()
        .position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\0'));
    // A line that goes on is cut: its path may be too.
    let path = &line[..end?];
    path.starts_with(b"/").then_some(path)
}

/// The same path with the links of its existing directories resolved, and without `.` and `..`.
fn without_links(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path
        .split(|b| *b == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    let mut known = Vec::new();
    let mut rest = parts.as_slice();
    for cut in (1..parts.len()).rev().take(MAX_STEPS) {
        if let Some(real) = real_directory(&parts[..cut]) {
            (known, rest) = (real, &parts[cut..]);
            break;
        }
    }
    for part in rest {
        if *part == b".." {
            let parent = known.iter().rposition(|b| *b == b'/').unwrap_or(0);
            known.truncate(parent);
        } else {
            known.push(b'/');
            known.extend_from_slice(part);
        }
    }
    known
}

/// Where a directory is, without a `/` at its end.
fn real_directory(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let path = [b"/".as_slice(), &parts.join(&b'/')].concat();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let real = rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes();
    match real.as_slice() {
        b"/" => Some(Vec::new()),
        [b'/', ..] if !real.ends_with(b" (deleted)") => Some(real),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_read() {
        let of = |head: &'static str| interpreter_of(head.as_bytes());
        assert_eq!(of("#!/usr/bin/perl\n").unwrap(), b"/usr/bin/perl");
        assert_eq!(of("#! \t/bin/sh -e\nx").unwrap(), b"/bin/sh");
        for none in ["", "#!", "#!perl\n", "#!/cut", "\u{7f}ELF", "#/bin/sh\n"] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn existing_directories_lose_links_and_dots() {
        let dir = tempfile::tempdir().unwrap();
        let top = fs_err::canonicalize(dir.path()).unwrap();
        fs_err::create_dir_all(top.join("real/deep")).unwrap();
        rustix::fs::symlink("real/deep", top.join("link")).unwrap();
        let top = top.to_str().unwrap();
        let clean = |path: &str| {
            let path = format!("{top}/{path}");
            String::from_utf8(without_links(path.as_bytes())).unwrap()
        };
        assert_eq!(clean("link/../x"), format!("{top}/real/x"));
        assert_eq!(clean("./link//no/./y"), format!("{top}/real/deep/no/y"));
        assert_eq!(
            clean("no/../../x"),
            format!("{}/x", top.rsplit_once('/').unwrap().0)
        );
        assert_eq!(without_links(b"/../../x"), b"/x");
        assert_eq!(without_links(&b"a/".repeat(2000)).len(), 4000);
    }

    #[test]
    fn names_of_the_kernel_are_told_by_whole_words() {
        assert!(is_of_the_kernel(b"/proc") && is_of_the_kernel(b"/dev/x"));
        assert!(!is_of_the_kernel(b"/devel/x") && !is_of_the_kernel(b"/usr/dev"));
    }

    /// Each jump of the filter must stay in it; the kernel would refuse it, and the outcome say unavailable.
    #[test]
    fn filter_fits() {
        let program = filter();
        for (index, step) in program.iter().enumerate() {
            let furthest = index + 1 + usize::from(step.jt.max(step.jf));
            let last = index + 1 == program.len();
            assert!(furthest < program.len() || last, "{index}");
        }
        assert!(program.len() < 4096);
    }
}
