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

/// `seccomp(2)`: adds a filter to this process, whose notifications come to the file that is returned.
pub(crate) fn seccomp_listener(
    program: &[libc::sock_filter],
    flags: libc::c_ulong,
) -> io::Result<OwnedFd> {
    let length = program
        .len()
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, whose length is given, and does not change it.
    let number = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | flags,
            &raw const program,
        )
    })?;
    // SAFETY: the file is new and nobody else's.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number as RawFd) })
}

/// Asks that a caller and its watcher take turns on one processor (Linux 6.6), which is cheaper; not knowing it is fine.
pub(crate) fn wake_on_this_processor(listener: BorrowedFd<'_>) {
    /// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of `linux/seccomp.h`.
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: this request takes a number, not a pointer.
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        )
    };
}

/// Waits for the next notification of a filter.
pub(crate) fn next_notification(
    listener: BorrowedFd<'_>,
) -> Result<libc::seccomp_notif, rustix::io::Errno> {
    // SAFETY: all-zero is what the kernel wants to be given, and it fills the structure.
    let mut seen: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    notify(
        listener,
        libc::SECCOMP_IOCTL_NOTIF_RECV,
        (&raw mut seen).cast(),
    )?;
    Ok(seen)
}

/// Lets the call of a notification go on, unchanged.
pub(crate) fn let_go_on(listener: BorrowedFd<'_>, id: u64) -> Result<(), rustix::io::Errno> {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    notify(
        listener,
        libc::SECCOMP_IOCTL_NOTIF_SEND,
        (&raw mut answer).cast(),
    )
}

/// Does the caller of a notification still wait?
pub(crate) fn is_waiting(listener: BorrowedFd<'_>, mut id: u64) -> bool {
    notify(
        listener,
        libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
        (&raw mut id).cast(),
    )
    .is_ok()
}

fn notify(
    listener: BorrowedFd<'_>,
    request: libc::Ioctl,
    argument: *mut libc::c_void,
) -> Result<(), rustix::io::Errno> {
    // SAFETY: the three callers give the structure of the request, alive and their own.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request, argument) };
    if result < 0 {
        let number = io::Error::last_os_error().raw_os_error();
        return Err(rustix::io::Errno::from_raw_os_error(
            number.unwrap_or(libc::EIO),
        ));
    }
    Ok(())
}

/// `process_vm_readv(2)`: bytes of another process's memory from an address on; how many there were.
pub(crate) fn read_memory(pid: libc::pid_t, from: usize, into: &mut [u8]) -> io::Result<usize> {
    let here = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let there = libc::iovec {
        iov_base: from as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: writes only to `into`; the other address is the other process's, and the kernel checks it. By number,
    // since not every C library has the function.
    let got = unsafe {
        libc::syscall(
            libc::SYS_process_vm_readv,
            pid,
            &raw const here,
            1usize,
            &raw const there,
            1usize,
            0usize,
        )
    };
    check(got).map(|n| n as usize)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
