//! Runs from a private directory that is gone when the program ends (`UNHECK_EXE_ONCE=1`). Start at [`run`].
//!
//! The launcher stays as the program's parent: it passes signals on, stops and continues with it, and ends as it did.
//! Signals that the kernel sends to the whole foreground of a terminal reach the program anyway and are not passed on.
//! When the launcher itself is killed, the program dies with it, and a later start removes what was left.

use alloc::string::String;
use alloc::vec::Vec;

use crate::appended::Loaded;
use crate::environment::Environment;
use crate::place;
use crate::say::{self, c_string, shown};
use crate::sys::{self, At, Change, Errno, Fd};
use crate::unpack::{self, Failure};

const PREFIX: &str = "unheck-once-";

/// A directory of this run alone.
struct Private {
    base: Fd,
    name: String,
    /// The path of the tree.
    tree: Vec<u8>,
    /// Locked while the run lasts; closed when the program is executed.
    _lock: Fd,
}

/// Unpacks, lets `start` become the program (in a child process), waits for it and removes all.
pub(crate) fn run(
    payload: &Loaded,
    environment: &Environment<'_>,
    start: impl FnOnce(&[u8]) -> core::convert::Infallible,
) -> ! {
    let mask = sys::block_signals();
    let private = find_place(payload, environment);
    match sys::fork() {
        Err(error) => {
            place::remove_all(private.base.at(), private.name.as_bytes());
            say::fail(
                say::FAILED,
                &alloc::format!("cannot fork: {}", error.text()),
            )
        }
        Ok(None) => {
            sys::die_with_parent();
            sys::set_mask(mask);
            match start(&private.tree) {}
        }
        Ok(Some(child)) => {
            let end = watch(child);
            place::remove_all(private.base.at(), private.name.as_bytes());
            end_as(end)
        }
    }
}

fn find_place(payload: &Loaded, environment: &Environment<'_>) -> Private {
    let mut bases: Vec<Vec<u8>> = Vec::new();
    if let Some(path) = environment.filled("TMPDIR") {
        bases.push(place::absolute(path));
    }
    bases.extend(["/tmp", "/var/tmp", "/dev/shm"].map(|path| path.as_bytes().to_vec()));
    let caches = place::candidates(environment);
    bases.extend(
        caches
            .into_iter()
            .filter(|one| !one.public)
            .map(|one| one.path),
    );
    let mut tried = String::new();
    for base in bases {
        match prepare(payload, &base) {
            Ok(private) => return private,
            Err(Failure::Damage(damage)) => say::fail(say::FAILED, &damage),
            Err(Failure::Place(why)) => {
                tried.push_str(&alloc::format!("\n  {}: {why}", shown(&base)));
            }
        }
    }
    say::fail(
        say::FAILED,
        &alloc::format!(
            "there is no place to unpack to for this run; tried:{tried}\nhint: set TMPDIR to a directory that programs \
             can be run from"
        ),
    )
}

fn prepare(payload: &Loaded, path: &[u8]) -> Result<Private, Failure> {
    let place = |error: Errno| Failure::Place(error.text());
    // Temporary directories may well be links.
    let base = sys::open(At::CWD, &c_string(&[path, b"/."]), sys::DIRECTORY, 0).map_err(place)?;
    if let Some(byte) = path.iter().find(|byte| b":;$".contains(byte)) {
        let why = alloc::format!("loaders cannot search paths with `{}`", char::from(*byte));
        return Err(Failure::Place(why));
    }
    if sys::is_noexec(&base).map_err(place)? {
        return Err(Failure::Place("it is mounted noexec".into()));
    }
    let mine = alloc::format!("{PREFIX}{}-", sys::effective_user());
    clean(&base, &mine);
    let name = alloc::format!("{mine}{:016x}", sys::random());
    let inside = |rest: &str| c_string(&[name.as_bytes(), rest.as_bytes()]);
    sys::make_dir(base.at(), &inside(""), 0o700).map_err(place)?;
    let filled = sys::open(base.at(), &inside("/lock"), sys::CREATE, 0o600)
        .and_then(|lock| sys::lock(&lock, false).map(|()| lock))
        .and_then(|lock| sys::make_dir(base.at(), &inside("/tree"), 0o700).map(|()| lock))
        .and_then(|lock| {
            sys::open(base.at(), &inside("/tree"), sys::DIRECTORY, 0).map(|tree| (lock, tree))
        })
        .map_err(place)
        .and_then(|(lock, tree)| unpack::unpack(payload, &tree).map(|()| lock));
    match filled {
        Ok(lock) => Ok(Private {
            tree: [path, b"/", name.as_bytes(), b"/tree"].concat(),
            base,
            name,
            _lock: lock,
        }),
        Err(failure) => {
            place::remove_all(base.at(), name.as_bytes());
            Err(failure)
        }
    }
}

/// Removes what killed runs of this user left: directories whose lock nobody has.
fn clean(base: &Fd, mine: &str) {
    for name in sys::list(base).unwrap_or_default() {
        if !name.starts_with(mine.as_bytes()) {
            continue;
        }
        let Ok(directory) = sys::open(base.at(), &c_string(&[&name]), sys::DIRECTORY, 0) else {
            continue;
        };
        let ours =
            sys::stat_fd(&directory).is_ok_and(|status| status.owner == sys::effective_user());
        // One without a lock file was made this moment.
        let Ok(lock) = sys::open(directory.at(), c"lock", sys::WRITE, 0) else {
            continue;
        };
        if ours && sys::lock(&lock, false).is_ok() {
            place::remove_all(base.at(), &name);
        }
    }
}

/// Passes signals on until the child ends.
fn watch(child: i32) -> Change {
    loop {
        let Ok(signal) = sys::next_signal() else {
            return sys::wait(child, true).unwrap_or(Change::Exited(say::FAILED));
        };
        if signal.number != sys::SIGCHLD {
            if !signal.by_kernel && signal.sender != child {
                let _ = sys::kill(child, signal.number);
            }
            continue;
        }
        loop {
            match sys::wait(child, false) {
                Ok(Change::None) => break,
                Ok(Change::Stopped) => {
                    let _ = sys::kill(sys::process(), sys::SIGSTOP);
                }
                Ok(end) => return end,
                Err(_) => return Change::Exited(say::FAILED),
            }
        }
    }
}

/// Ends as the program did: with its code, or by the same signal.
fn end_as(end: Change) -> ! {
    match end {
        Change::Killed(signal) => {
            sys::no_core();
            sys::reset_signal(signal);
            sys::set_mask(0);
            let _ = sys::kill(sys::process(), signal);
            sys::exit(128 + signal)
        }
        Change::Exited(code) => sys::exit(code),
        Change::None | Change::Stopped => sys::exit(say::FAILED),
    }
}
