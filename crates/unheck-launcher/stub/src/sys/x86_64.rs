//! System calls of x86-64.

pub(super) const O_DIRECTORY: u32 = 0o200_000;
pub(super) const O_NOFOLLOW: u32 = 0o400_000;
/// Offsets in `struct stat`.
pub(super) const STAT_MODE: usize = 24;
pub(super) const STAT_UID: usize = 28;

/// Numbers of system calls.
pub(super) mod nr {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const FSTAT: usize = 5;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const MUNMAP: usize = 11;
    pub(crate) const RT_SIGACTION: usize = 13;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const PREAD: usize = 17;
    pub(crate) const PWRITE: usize = 18;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const CLONE: usize = 56;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const WAIT4: usize = 61;
    pub(crate) const KILL: usize = 62;
    pub(crate) const FLOCK: usize = 73;
    pub(crate) const FTRUNCATE: usize = 77;
    pub(crate) const GETCWD: usize = 79;
    pub(crate) const UMASK: usize = 95;
    pub(crate) const GETEUID: usize = 107;
    pub(crate) const GETPPID: usize = 110;
    pub(crate) const RT_SIGTIMEDWAIT: usize = 128;
    pub(crate) const FSTATFS: usize = 138;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const SCHED_GETAFFINITY: usize = 204;
    pub(crate) const GETDENTS64: usize = 217;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const MKDIRAT: usize = 258;
    pub(crate) const NEWFSTATAT: usize = 262;
    pub(crate) const UNLINKAT: usize = 263;
    pub(crate) const RENAMEAT: usize = 264;
    pub(crate) const LINKAT: usize = 265;
    pub(crate) const SYMLINKAT: usize = 266;
    pub(crate) const READLINKAT: usize = 267;
    pub(crate) const FCHMODAT: usize = 268;
    pub(crate) const UTIMENSAT: usize = 280;
    pub(crate) const PRLIMIT64: usize = 302;
    pub(crate) const SYNCFS: usize = 306;
    pub(crate) const GETRANDOM: usize = 318;
}

/// # Safety
///
/// The arguments must be what the call expects; at most six.
pub(super) unsafe fn syscall(number: usize, arguments: &[usize]) -> isize {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
    let result;
    // SAFETY: the caller's promise; the kernel keeps all registers but these.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") argument(0), in("rsi") argument(1), in("rdx") argument(2),
            in("r10") argument(3), in("r8") argument(4), in("r9") argument(5),
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}
