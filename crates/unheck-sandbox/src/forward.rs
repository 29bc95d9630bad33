//! Hands signals that this process gets on to a sandboxed command: [`Forwarding`].
//!
//! For `unheck run`: without it an interrupt would end unheck before the command could stop in its own way.
//! A terminal sends its signals to the whole foreground group, so a command that shares our terminal already has
//! them; only those sent by a process are handed on then.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::run::{Running, Signaller};

/// The signals that are handed on.
const SIGNALS: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

static CONTROL: AtomicI32 = AtomicI32::new(-1);
static FROM_TERMINAL_TOO: AtomicBool = AtomicBool::new(false);

/// While it lives, `SIGINT`, `SIGTERM`, `SIGHUP` and `SIGQUIT` of this process go to the command instead. One at a time.
#[derive(Debug)]
pub struct Forwarding {
    before: Vec<(i32, libc::sigaction)>,
    /// Keeps the file open that the handler writes to.
    _signaller: Signaller,
}

impl Forwarding {
    /// Begins. Keep the value until [`Running::wait`] returns.
    ///
    /// # Errors
    /// `ResourceBusy` when another one lives.
    pub fn start(running: &Running) -> io::Result<Self> {
        let signaller = running.signaller();
        let number = signaller.control.as_raw_fd();
        if CONTROL
            .compare_exchange(-1, number, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        FROM_TERMINAL_TOO.store(running.captured, Ordering::SeqCst);
        let mut forwarding = Self {
            before: Vec::new(),
            _signaller: signaller,
        };
        for signal in SIGNALS {
            forwarding.before.push((signal, install(signal)?));
        }
        Ok(forwarding)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: `before` is what sigaction itself gave.
            unsafe { libc::sigaction(*signal, &raw const *before, std::ptr::null_mut()) };
        }
        CONTROL.store(-1, Ordering::SeqCst);
    }
}

fn install(signal: i32) -> io::Result<libc::sigaction> {
    // SAFETY: all-zero actions are valid; the handler has the three-argument form that SA_SIGINFO asks for and
    // calls only what signal-safety(7) allows.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = hand_on;
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        if libc::sigaction(signal, &raw const action, &raw mut before) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(before)
    }
}

extern "C" fn hand_on(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid siginfo to an SA_SIGINFO handler; `__errno_location` is this thread's.
    unsafe {
        let from_terminal = (*info).si_code == libc::SI_KERNEL;
        if from_terminal && !FROM_TERMINAL_TOO.load(Ordering::SeqCst) {
            return;
        }
        let errno = libc::__errno_location();
        let saved = *errno;
        let byte = signal as u8;
        libc::send(
            CONTROL.load(Ordering::SeqCst),
            (&raw const byte).cast(),
            1,
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
        );
        *errno = saved;
    }
}
