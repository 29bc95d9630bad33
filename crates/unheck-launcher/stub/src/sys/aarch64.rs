//! System calls of AArch64.

pub(super) const O_DIRECTORY: u32 = 0o40_000;
pub(super) const O_NOFOLLOW: u32 = 0o100_000;
/// Offsets in `struct stat`.
pub(super) const STAT_MODE: usize = 16;
pub(super) const STAT_UID: usize = 24;

/// Numbers of system calls.
pub(super) mod nr {
    pub(crate) const GETCWD: usize = 17;
    pub(crate) const FLOCK: usize = 32;
    pub(crate) const MKDIRAT: usize = 34;
    pub(crate) const UNLINKAT: usize = 35;
    pub(crate) const SYMLINKAT: usize = 36;
    pub(crate) const LINKAT: usize = 37;
    pub(crate) const RENAMEAT: usize = 38;
    pub(crate) const FSTATFS: usize = 44;
    pub(crate) const FTRUNCATE: usize = 46;
    pub(crate) const FCHMODAT: usize = 53;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const GETDENTS64: usize = 61;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const PREAD: usize = 67;
    pub(crate) const PWRITE: usize = 68;
    pub(crate) const READLINKAT: usize = 78;
    pub(crate) const NEWFSTATAT: usize = 79;
    pub(crate) const FSTAT: usize = 80;
    pub(crate) const UTIMENSAT: usize = 88;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const CLOCK_GETTIME: usize = 113;
    pub(crate) const SCHED_GETAFFINITY: usize = 123;
    pub(crate) const KILL: usize = 129;
    pub(crate) const RT_SIGACTION: usize = 134;
    pub(crate) const RT_SIGPROCMASK: usize = 135;
    pub(crate) const RT_SIGTIMEDWAIT: usize = 137;
    pub(crate) const UMASK: usize = 166;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const GETPID: usize = 172;
    pub(crate) const GETPPID: usize = 173;
    pub(crate) const GETEUID: usize = 175;
    pub(crate) const MUNMAP: usize = 215;
    pub(crate) const CLONE: usize = 220;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const MMAP: usize = 222;
    pub(crate) const WAIT4: usize = 260;
    pub(crate) const PRLIMIT64: usize = 261;
    pub(crate) const SYNCFS: usize = 267;
    pub(crate) const GETRANDOM: usize = 278;
}

/// # Safety
///
/// The arguments must be what the call expects; at most six.
pub(super) unsafe fn syscall(number: usize, arguments: &[usize]) -> isize {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
    let result;
    // SAFETY: the caller's promise; the kernel keeps all registers but the result's.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") argument(0) => result,
            in("x1") argument(1), in("x2") argument(2), in("x3") argument(3),
            in("x4") argument(4), in("x5") argument(5),
            options(nostack),
        );
    }
    result
}
