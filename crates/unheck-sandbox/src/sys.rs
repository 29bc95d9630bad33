//! The few system calls that `rustix` does not offer, each made safe here.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Marks all files from `first` up to be closed at the next `exec`.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes all files from `first` up.
///
/// # Safety
/// No value may own one of these files.
pub(crate) unsafe fn close_from(first: u32) -> io::Result<()> {
    close_range(first, 0)
}

fn close_range(first: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: three integers; which files may be closed is the callers' promise.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) })
        .map(drop)
}

/// `mount_setattr(2)`: adds attributes to a mount and everything below it.
pub(crate) fn set_mount_attributes(path: &CStr, set: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path ends in NUL, the structure is the kernel's and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE as libc::c_uint | libc::AT_SYMLINK_NOFOLLOW as libc::c_uint,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// `fork(2)`: `None` in the child.
///
/// # Safety
/// The process has one thread only.
pub(crate) unsafe fn fork() -> io::Result<Option<libc::pid_t>> {
    // SAFETY: with one thread the child may do whatever the parent might.
    let pid = check(unsafe { libc::fork() }.into())?;
    Ok((pid != 0).then_some(pid as libc::pid_t))
}

/// `clone(2)` like a fork, the child in new namespaces: `None` in the child.
///
/// # Safety
/// The process has one thread only.
pub(crate) unsafe fn clone_into(namespaces: libc::c_int) -> io::Result<Option<libc::pid_t>> {
    let flags = libc::c_ulong::from((namespaces | libc::SIGCHLD) as u32);
    // SAFETY: without CLONE_VM and with no stack given it is a fork; the other arguments are unused, so that their
    // order, which differs between architectures, does not matter.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) })?;
    Ok((pid != 0).then_some(pid as libc::pid_t))
}

/// Ends the process at once, running nothing.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// All signals back to their default action and none blocked.
pub(crate) fn reset_signals() {
    // The kernel's own structure with handler, flags, restorer and mask all zero is the default action; it is
    // shorter than this on every architecture. The C library would refuse its own two signals, 32 and 33.
    let default = [0u64; 8];
    for signal in 1..=64 {
        // SAFETY: the structure is long enough and the set has the kernel's size; SIGKILL and SIGSTOP answer EINVAL.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8usize,
            )
        };
    }
    // SAFETY: an empty set of the kernel's size.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            default.as_ptr(),
            std::ptr::null_mut::<u64>(),
            8usize,
        )
    };
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: ignoring needs no function.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Sets the loopback of this network namespace up (`netdevice(7)`, `SIOCSIFFLAGS`).
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: an all-zero request is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is an ifreq with a NUL-ended name, which SIOCSIFFLAGS reads.
    check(
        unsafe {
            libc::ioctl(
                socket.as_raw_fd(),
                libc::SIOCSIFFLAGS as libc::Ioctl,
                &raw const request,
            )
        }
        .into(),
    )
    .map(drop)
}

/// A list of words that ends in a null pointer, for `execve`.
struct Pointers {
    _words: Vec<CString>,
    list: Vec<*const libc::c_char>,
}

impl Pointers {
    fn new(words: Vec<CString>) -> Self {
        let list = words
            .iter()
            .map(|w| w.as_ptr())
            .chain([std::ptr::null()])
            .collect();
        Self {
            _words: words,
            list,
        }
    }
}

/// `execve(2)`: returns only when it failed.
pub(crate) fn execute(
    program: &CStr,
    arguments: Vec<CString>,
    environment: Vec<CString>,
) -> io::Error {
    let (arguments, environment) = (Pointers::new(arguments), Pointers::new(environment));
    // SAFETY: both lists end in a null pointer and their words live until the call returns.
    unsafe {
        libc::execve(
            program.as_ptr(),
            arguments.list.as_ptr(),
            environment.list.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

/// In a forked child that will `exec`: `from` becomes `to` and survives it.
pub(crate) fn duplicate_to(from: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
    // SAFETY: async-signal-safe; no value of the child owns `to` before the `exec`.
    check(unsafe { libc::dup2(from.as_raw_fd(), to) }.into()).map(drop)
}

/// Takes over a file that the parent process left open under a known number.
///
/// # Safety
/// No other value owns it.
pub(crate) unsafe fn take_file(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only asks for the flags.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) }.into())?;
    // SAFETY: it is open, and nobody else owns it: the caller's promise.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
