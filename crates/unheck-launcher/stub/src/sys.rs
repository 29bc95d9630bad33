//! Linux system calls, as many as the program needs, as safe functions where that is possible.
//!
//! Numbers and layouts are those of x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`) and of the generic table that
//! AArch64 uses (`include/uapi/asm-generic/unistd.h`). File descriptors are closed when dropped.

use alloc::vec::Vec;
use core::ffi::{CStr, c_char};

/// An error number of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use arch::{nr, syscall};

/// Result of a system call.
pub(crate) type Result<T> = core::result::Result<T, Errno>;

impl Errno {
    pub(crate) const ENOENT: Self = Self(2);
    pub(crate) const EINTR: Self = Self(4);
    pub(crate) const EACCES: Self = Self(13);
    pub(crate) const EEXIST: Self = Self(17);
    pub(crate) const ENOTDIR: Self = Self(20);
    pub(crate) const ENOEXEC: Self = Self(8);

    /// What it means, as other programs say it; the number for rare ones.
    pub(crate) fn text(self) -> alloc::string::String {
        let known = match self.0 {
            1 => "Operation not permitted",
            2 => "No such file or directory",
            5 => "Input/output error",
            8 => "Exec format error",
            12 => "Cannot allocate memory",
            13 => "Permission denied",
            17 => "File exists",
            20 => "Not a directory",
            21 => "Is a directory",
            23 => "Too many open files in system",
            24 => "Too many open files",
            26 => "Text file busy",
            27 => "File too large",
            28 => "No space left on device",
            30 => "Read-only file system",
            36 => "File name too long",
            39 => "Directory not empty",
            40 => "Too many levels of symbolic links",
            122 => "Disk quota exceeded",
            number => return alloc::format!("error {number}"),
        };
        known.into()
    }
}

fn check(result: isize) -> Result<usize> {
    if (-4095..0).contains(&result) {
        Err(Errno(-result as i32))
    } else {
        Ok(result as usize)
    }
}

macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {
        check(syscall($number, &[$($argument as usize),*]))
    };
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: closes what it owns.
        let _ = unsafe { call!(nr::CLOSE, self.0) };
    }
}

/// Where a relative path begins.
#[derive(Clone, Copy)]
pub(crate) struct At(i32);

impl At {
    /// The current directory.
    pub(crate) const CWD: Self = Self(-100);
}

impl Fd {
    /// Paths relative to this directory.
    pub(crate) fn at(&self) -> At {
        At(self.0)
    }
}

pub(crate) const READ: u32 = 0o2_000_000;
pub(crate) const WRITE: u32 = 1 | READ | NO_FOLLOW;
pub(crate) const CREATE_NEW: u32 = WRITE | 0o100 | 0o200;
pub(crate) const CREATE: u32 = 2 | READ | NO_FOLLOW | 0o100;
pub(crate) const NO_FOLLOW: u32 = arch::O_NOFOLLOW;
pub(crate) const DIRECTORY: u32 = READ | arch::O_DIRECTORY | NO_FOLLOW;

pub(crate) fn open(at: At, path: &CStr, flags: u32, mode: u32) -> Result<Fd> {
    loop {
        // SAFETY: the path ends with a NUL.
        match unsafe { call!(nr::OPENAT, at.0, path.as_ptr(), flags, mode) } {
            Err(Errno::EINTR) => {}
            other => return other.map(|fd| Fd(fd as i32)),
        }
    }
}

/// What is asked of a file's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) len: u64,
    /// When the content changed, in seconds since 1970.
    pub(crate) changed: i64,
}

impl Stat {
    pub(crate) fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    pub(crate) fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    pub(crate) fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

#[repr(C, align(8))]
struct StatBuffer([u8; 144]);

impl StatBuffer {
    fn read(&self) -> Stat {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.0[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        Stat {
            device: word(0),
            inode: word(8),
            mode: word(arch::STAT_MODE) as u32,
            owner: word(arch::STAT_UID) as u32,
            len: word(48),
            changed: word(88).cast_signed(),
        }
    }
}

pub(crate) fn stat_fd(fd: &Fd) -> Result<Stat> {
    let mut buffer = StatBuffer([0; 144]);
    // SAFETY: the buffer has the size of the kernel's `struct stat`.
    unsafe { call!(nr::FSTAT, fd.0, buffer.0.as_mut_ptr()) }?;
    Ok(buffer.read())
}

/// `follow`: whether a link at the path's end is followed.
pub(crate) fn stat(at: At, path: &CStr, follow: bool) -> Result<Stat> {
    let mut buffer = StatBuffer([0; 144]);
    let flags = if follow { 0 } else { 0x100 };
    // SAFETY: as above.
    unsafe {
        call!(
            nr::NEWFSTATAT,
            at.0,
            path.as_ptr(),
            buffer.0.as_mut_ptr(),
            flags
        )
    }?;
    Ok(buffer.read())
}

/// Whether programs on this file system are refused.
pub(crate) fn is_noexec(fd: &Fd) -> Result<bool> {
    let mut buffer = [0u64; 15];
    // SAFETY: the kernel's `struct statfs` has 120 bytes on both architectures.
    unsafe { call!(nr::FSTATFS, fd.0, buffer.as_mut_ptr()) }?;
    // f_flags; ST_NOEXEC.
    Ok(buffer[10] & 8 != 0)
}

pub(crate) fn read(fd: &Fd, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: the buffer is ours.
        match unsafe { call!(nr::READ, fd.0, buffer.as_mut_ptr(), buffer.len()) } {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Reads to the end of a small file; `None` when it is longer than `limit`.
pub(crate) fn read_all(fd: &Fd, limit: usize) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut filled = 0;
    loop {
        if filled > limit {
            return Ok(None);
        }
        bytes.resize(filled + 4096.max(filled), 0);
        match read(fd, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(Some(bytes))
}

/// Fills the buffer from an offset; `false` at the end of the file.
pub(crate) fn read_at(fd: &Fd, mut buffer: &mut [u8], mut offset: u64) -> Result<bool> {
    while !buffer.is_empty() {
        // SAFETY: the buffer is ours.
        match unsafe { call!(nr::PREAD, fd.0, buffer.as_mut_ptr(), buffer.len(), offset) } {
            Ok(0) => return Ok(false),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

pub(crate) fn write_at(fd: &Fd, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the bytes are readable.
        match unsafe { call!(nr::PWRITE, fd.0, bytes.as_ptr(), bytes.len(), offset) } {
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes to standard output (1) or standard error (2); what cannot be written is lost.
pub(crate) fn print(stream: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are readable.
        match unsafe { call!(nr::WRITE, stream, bytes.as_ptr(), bytes.len()) } {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Maps a file for reading. The mapping stays for the program's life.
pub(crate) fn map_file(fd: &Fd, len: usize) -> Result<&'static [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new private mapping; nobody unmaps it. A file that is cut meanwhile ends the program with SIGBUS.
    unsafe {
        let at = call!(nr::MMAP, 0, len, 1, 2, fd.0, 0)?;
        Ok(core::slice::from_raw_parts(at as *const u8, len))
    }
}

/// Maps zeroed memory; `shared`: with the processes that are forked later.
pub(crate) fn map_anonymous(len: usize, shared: bool) -> Result<*mut u8> {
    let flags = if shared { 0x21 } else { 0x22 };
    // SAFETY: a new mapping.
    unsafe { call!(nr::MMAP, 0, len, 3, flags, usize::MAX, 0) }.map(|at| at as *mut u8)
}

/// # Safety
///
/// The block must be a whole mapping that nobody uses any more.
pub(crate) unsafe fn unmap(block: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    let _ = unsafe { call!(nr::MUNMAP, block, len) };
}

pub(crate) fn make_dir(at: At, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the path ends with a NUL.
    unsafe { call!(nr::MKDIRAT, at.0, path.as_ptr(), mode) }.map(drop)
}

pub(crate) fn remove_file(at: At, path: &CStr) -> Result<()> {
    // SAFETY: as above.
    unsafe { call!(nr::UNLINKAT, at.0, path.as_ptr(), 0) }.map(drop)
}

pub(crate) fn remove_dir(at: At, path: &CStr) -> Result<()> {
    // SAFETY: as above.
    unsafe { call!(nr::UNLINKAT, at.0, path.as_ptr(), 0x200) }.map(drop)
}

pub(crate) fn rename(from: At, old: &CStr, to: At, new: &CStr) -> Result<()> {
    // SAFETY: as above.
    unsafe { call!(nr::RENAMEAT, from.0, old.as_ptr(), to.0, new.as_ptr(), 0) }.map(drop)
}

/// A second name, in the same directory tree.
pub(crate) fn link(at: At, old: &CStr, new: &CStr) -> Result<()> {
    // SAFETY: as above.
    unsafe { call!(nr::LINKAT, at.0, old.as_ptr(), at.0, new.as_ptr(), 0) }.map(drop)
}

pub(crate) fn make_link(target: &CStr, at: At, path: &CStr) -> Result<()> {
    // SAFETY: as above.
    unsafe { call!(nr::SYMLINKAT, target.as_ptr(), at.0, path.as_ptr()) }.map(drop)
}

pub(crate) fn read_link(at: At, path: &CStr) -> Result<Vec<u8>> {
    let mut bytes = alloc::vec![0; 4096];
    // SAFETY: the buffer is ours.
    let len = unsafe {
        call!(
            nr::READLINKAT,
            at.0,
            path.as_ptr(),
            bytes.as_mut_ptr(),
            bytes.len()
        )
    }?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Sets the permission bits of a path; a link at its end is followed.
pub(crate) fn set_mode(at: At, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the path ends with a NUL.
    unsafe { call!(nr::FCHMODAT, at.0, path.as_ptr(), mode) }.map(drop)
}

pub(crate) fn set_len(fd: &Fd, len: u64) -> Result<()> {
    // SAFETY: no memory involved.
    unsafe { call!(nr::FTRUNCATE, fd.0, len) }.map(drop)
}

/// Sets both times of a path to seconds since 1970; a link at its end is not followed.
pub(crate) fn set_times(at: At, path: &CStr, seconds: i64) -> Result<()> {
    let times = [seconds, 0, seconds, 0];
    // SAFETY: two `struct timespec`.
    unsafe { call!(nr::UTIMENSAT, at.0, path.as_ptr(), times.as_ptr(), 0x100) }.map(drop)
}

/// Says of a path that it was used now; a link at its end is not followed.
pub(crate) fn touch(at: At, path: &CStr) -> Result<()> {
    // UTIME_NOW for the use, UTIME_OMIT for the content.
    let times = [0, 0x3fff_ffff, 0, 0x3fff_fffe_i64];
    // SAFETY: two `struct timespec`.
    unsafe { call!(nr::UTIMENSAT, at.0, path.as_ptr(), times.as_ptr(), 0x100) }.map(drop)
}

/// Seconds since 1970 by the host's clock.
pub(crate) fn now() -> i64 {
    let mut time = [0i64; 2];
    // SAFETY: a `struct timespec`. CLOCK_REALTIME.
    let _ = unsafe { call!(nr::CLOCK_GETTIME, 0, time.as_mut_ptr()) };
    time[0]
}

/// Flushes the whole file system that the file is on.
pub(crate) fn sync(fd: &Fd) -> Result<()> {
    // SAFETY: no memory involved.
    unsafe { call!(nr::SYNCFS, fd.0) }.map(drop)
}

/// Takes the exclusive lock of a file; `wait` or fail when someone has it.
pub(crate) fn lock(fd: &Fd, wait: bool) -> Result<()> {
    let operation = if wait { 2 } else { 2 | 4 };
    loop {
        // SAFETY: no memory involved.
        match unsafe { call!(nr::FLOCK, fd.0, operation) } {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// The names in a directory, without `.` and `..`.
pub(crate) fn list(directory: &Fd) -> Result<Vec<Vec<u8>>> {
    #[repr(C, align(8))]
    struct Buffer([u8; 8192]);
    let mut buffer = Buffer([0; 8192]);
    let mut names = Vec::new();
    loop {
        // SAFETY: the buffer is ours.
        let len = unsafe { call!(nr::GETDENTS64, directory.0, buffer.0.as_mut_ptr(), 8192) }?;
        if len == 0 {
            return Ok(names);
        }
        let mut rest = &buffer.0[..len];
        // struct linux_dirent64: inode (8), offset (8), length (2), type (1), name.
        while rest.len() > 19 {
            let size = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
            let name = rest[19..size].split(|byte| *byte == 0).next();
            match name {
                Some(b"." | b"..") | None => {}
                Some(name) => names.push(name.to_vec()),
            }
            rest = &rest[size..];
        }
    }
}

pub(crate) fn current_dir() -> Result<Vec<u8>> {
    let mut bytes = alloc::vec![0; 4096];
    // SAFETY: the buffer is ours.
    let len = unsafe { call!(nr::GETCWD, bytes.as_mut_ptr(), bytes.len()) }?;
    bytes.truncate(len.saturating_sub(1));
    Ok(bytes)
}

pub(crate) fn set_umask(mask: u32) -> u32 {
    // SAFETY: cannot fail.
    unsafe { call!(nr::UMASK, mask) }.unwrap_or(0o022) as u32
}

pub(crate) fn effective_user() -> u32 {
    // SAFETY: cannot fail.
    unsafe { call!(nr::GETEUID) }.unwrap_or(0) as u32
}

pub(crate) fn process() -> i32 {
    // SAFETY: cannot fail.
    unsafe { call!(nr::GETPID) }.unwrap_or(0) as i32
}

pub(crate) fn parent() -> i32 {
    // SAFETY: cannot fail.
    unsafe { call!(nr::GETPPID) }.unwrap_or(0) as i32
}

/// How many CPUs this process may use, at least one.
pub(crate) fn cpus() -> usize {
    let mut mask = [0u64; 128];
    // SAFETY: the mask is ours.
    let len = unsafe { call!(nr::SCHED_GETAFFINITY, 0, 1024, mask.as_mut_ptr()) }.unwrap_or(0);
    let count: u32 = mask[..len / 8].iter().map(|word| word.count_ones()).sum();
    (count as usize).max(1)
}

/// Random bytes for names; the process number when the kernel has none yet.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is ours. GRND_NONBLOCK.
    match unsafe { call!(nr::GETRANDOM, bytes.as_mut_ptr(), 8, 1) } {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => process() as u64,
    }
}

/// A child process (`None`) or its number in the parent.
pub(crate) fn fork() -> Result<Option<i32>> {
    // SAFETY: there is one thread, so the child's memory is whole. SIGCHLD.
    let child = unsafe { call!(nr::CLONE, 17, 0, 0, 0, 0) }?;
    Ok((child != 0).then_some(child as i32))
}

/// The signal that this process gets when its parent ends.
pub(crate) fn die_with_parent() {
    // SAFETY: PR_SET_PDEATHSIG with SIGKILL.
    let _ = unsafe { call!(nr::PRCTL, 1, 9, 0, 0, 0) };
}

/// Becomes another program. Returns only when that fails.
///
/// Both lists must end with a null pointer.
pub(crate) fn execute(path: &CStr, args: &[*const c_char], environment: &[*const c_char]) -> Errno {
    // SAFETY: the callers keep the strings; the lists end with null pointers, which is checked.
    let result = unsafe {
        assert!(args.last().is_some_and(|last| last.is_null()));
        assert!(environment.last().is_some_and(|last| last.is_null()));
        call!(
            nr::EXECVE,
            path.as_ptr(),
            args.as_ptr(),
            environment.as_ptr()
        )
    };
    result.err().unwrap_or(Errno::ENOEXEC)
}

/// How a child changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Exited(i32),
    Killed(i32),
    Stopped,
}

/// `wait`: until it ends; else what is known now, stops included.
pub(crate) fn wait(child: i32, wait: bool) -> Result<Change> {
    let mut status = 0i32;
    // WNOHANG and WUNTRACED.
    let options = if wait { 0 } else { 3 };
    loop {
        // SAFETY: the status is ours.
        match unsafe { call!(nr::WAIT4, child, &raw mut status, options, 0) } {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
            Ok(0) => return Ok(Change::None),
            Ok(_) => break,
        }
    }
    Ok(match (status & 0x7f, status >> 8 & 0xff) {
        (0, code) => Change::Exited(code),
        (0x7f, _) => Change::Stopped,
        (signal, _) => Change::Killed(signal),
    })
}

pub(crate) const SIGCHLD: i32 = 17;
pub(crate) const SIGSTOP: i32 = 19;

pub(crate) fn kill(process: i32, signal: i32) -> Result<()> {
    // SAFETY: no memory involved.
    unsafe { call!(nr::KILL, process, signal) }.map(drop)
}

/// Blocks all signals that can be blocked, except those of the program's own faults; returns what was blocked before.
pub(crate) fn block_signals() -> u64 {
    // SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
    let faults = [4, 5, 7, 8, 11, 31];
    let mask = faults
        .iter()
        .fold(u64::MAX, |mask, signal| mask & !(1 << (signal - 1)));
    set_mask(mask)
}

/// Sets the mask of blocked signals; returns the old one.
pub(crate) fn set_mask(mask: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both sets have the eight bytes that are announced. SIG_SETMASK.
    let _ = unsafe { call!(nr::RT_SIGPROCMASK, 2, &raw const mask, &raw mut old, 8) };
    old
}

/// Gives a signal its default action.
pub(crate) fn reset_signal(signal: i32) {
    // A `struct kernel_sigaction` of zeros: SIG_DFL, no flags.
    let action = [0u64; 4];
    // SAFETY: the action has 32 bytes (24 on AArch64), the set 8.
    let _ = unsafe { call!(nr::RT_SIGACTION, signal, action.as_ptr(), 0, 8) };
}

/// A signal that was sent.
pub(crate) struct Signal {
    pub(crate) number: i32,
    /// Sent by the kernel, as a terminal does to all of its foreground processes.
    pub(crate) by_kernel: bool,
    /// The process that sent it.
    pub(crate) sender: i32,
}

/// Waits for any signal, which must be blocked.
pub(crate) fn next_signal() -> Result<Signal> {
    let all = u64::MAX;
    let mut information = [0i32; 32];
    loop {
        // SAFETY: `siginfo_t` has 128 bytes.
        match unsafe {
            call!(
                nr::RT_SIGTIMEDWAIT,
                &raw const all,
                information.as_mut_ptr(),
                0,
                8
            )
        } {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
            Ok(number) => {
                return Ok(Signal {
                    number: number as i32,
                    // SI_KERNEL.
                    by_kernel: information[2] == 0x80,
                    sender: information[4],
                });
            }
        }
    }
}

/// No core file of this process.
pub(crate) fn no_core() {
    let limit = [0u64; 2];
    // SAFETY: RLIMIT_CORE; `struct rlimit64`.
    let _ = unsafe { call!(nr::PRLIMIT64, 0, 4, limit.as_ptr(), 0) };
}

pub(crate) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: does not return.
        let _ = unsafe { call!(nr::EXIT_GROUP, code) };
    }
}
