//! The tree of an executable in a cache: there and whole, or unpacked now. Start at [`find_or_unpack`].
//!
//! A cache holds for each content `NAME/` with `tree/` and the mark `complete`, and `NAME.lock`. A tree is unpacked as
//! `NAME.new-*` and renamed, so `NAME/` is always whole as far as processes see. For what a crash of the machine may
//! have lost, the mark says in which boot the tree was written; in another boot it is compared once, byte by byte.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::appended::{Appended, Loaded};
use crate::environment::Environment;
use crate::place::{self, Candidate};
use crate::say::{self, c_string, shown};
use crate::sys::{self, At, Errno, Fd};
use crate::unpack::{self, Failure};

const MARK: &str = "complete";
/// What the mark says of a tree that was compared after the boot in which it was written.
const SETTLED: &[u8] = b"settled";
/// How long after a look at every file the files of a public place cannot be swept, in seconds. Sweepers spare what was
/// used within days.
const FRESH: i64 = 6 * 3600;

/// An executable's payload that is read when it is asked for.
pub(crate) struct Source<'a> {
    pub(crate) appended: &'a Appended,
    loaded: OnceCell<Loaded>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(appended: &'a Appended) -> Self {
        Self {
            appended,
            loaded: OnceCell::new(),
        }
    }

    /// The payload; ends the program when it is damaged.
    pub(crate) fn load(&self) -> &Loaded {
        self.loaded.get_or_init(|| match self.appended.load() {
            Ok(loaded) => loaded,
            Err(damage) => say::fail(say::FAILED, &damage),
        })
    }
}

/// The root of the unpacked tree. Ends the program when there is no place for it or the payload is damaged.
pub(crate) fn find_or_unpack(source: &Source<'_>, environment: &Environment<'_>) -> Vec<u8> {
    let name = source.appended.name();
    let mut tried = String::new();
    for candidate in place::candidates(environment) {
        match in_cache(source, &candidate, &name) {
            Ok(()) => return [&candidate.path[..], b"/", name.as_bytes(), b"/tree"].concat(),
            Err(why) => {
                tried.push_str(&alloc::format!("\n  {}: {why}", shown(&candidate.path)));
            }
        }
    }
    say::fail(
        say::FAILED,
        &alloc::format!(
            "there is no place to unpack to; tried:{tried}\nhint: set UNHECK_EXE_CACHE to a directory of yours that \
             programs can be run from"
        ),
    )
}

/// The root of the tree in a cache, if it is there and whole; nothing is changed.
pub(crate) fn existing(name: &str, environment: &Environment<'_>) -> Option<(Candidate, Fd)> {
    for candidate in place::candidates(environment) {
        let path = c_string(&[&candidate.path]);
        let Ok(cache) = sys::open(At::CWD, &path, sys::DIRECTORY, 0) else {
            continue;
        };
        if mark(&cache, name).is_some() {
            return Some((candidate, cache));
        }
    }
    None
}

fn in_cache(source: &Source<'_>, candidate: &Candidate, name: &str) -> Result<(), String> {
    let cache = candidate.open()?;
    if is_usable(source, candidate, &cache, name) {
        return Ok(());
    }
    // Who has the lock unpacks, others wait for it. Where files cannot be locked, several unpack and one wins.
    let lock = c_string(&[name.as_bytes(), b".lock"]);
    let lock = sys::open(cache.at(), &lock, sys::CREATE, 0o600).map_err(Errno::text)?;
    let locked = sys::lock(&lock, true).is_ok();
    if locked && is_usable(source, candidate, &cache, name) {
        return Ok(());
    }
    if locked {
        clean(&cache, name);
    }
    let new = alloc::format!("{name}.new-{:016x}", sys::random());
    let result =
        unpack_as(source.load(), &cache, &new).and_then(|()| publish(&cache, &new, name, locked));
    match result {
        Ok(()) => Ok(()),
        Err(failure) => {
            place::remove_all(cache.at(), new.as_bytes());
            match failure {
                Failure::Damage(damage) => say::fail(say::FAILED, &damage),
                Failure::Place(why) => Err(why),
            }
        }
    }
}

/// What the mark of a tree says, and when it was written.
fn mark(cache: &Fd, name: &str) -> Option<(Vec<u8>, i64)> {
    let path = c_string(&[name.as_bytes(), b"/", MARK.as_bytes()]);
    let file = sys::open(cache.at(), &path, sys::READ | sys::NO_FOLLOW, 0).ok()?;
    let written = sys::stat_fd(&file).ok()?.changed;
    Some((sys::read_all(&file, 4096).ok()??, written))
}

/// Which boot this is.
fn boot() -> Option<Vec<u8>> {
    let file = sys::open(At::CWD, c"/proc/sys/kernel/random/boot_id", sys::READ, 0).ok()?;
    let id = sys::read_all(&file, 4096).ok()??;
    Some(id.trim_ascii().to_vec())
}

fn is_usable(source: &Source<'_>, candidate: &Candidate, cache: &Fd, name: &str) -> bool {
    let Some((mark, written)) = mark(cache, name) else {
        return false;
    };
    let settled = mark == SETTLED || boot().as_ref() == Some(&mark);
    // Public places are swept by age, file by file.
    let swept = candidate.public && !(0..FRESH).contains(&(sys::now() - written));
    if settled && !swept {
        return true;
    }
    let path = c_string(&[name.as_bytes(), b"/tree"]);
    let Ok(tree) = sys::open(cache.at(), &path, sys::DIRECTORY, 0) else {
        return false;
    };
    let loaded = source.load();
    if loaded.differs(&tree, !settled).is_some() {
        return false;
    }
    if candidate.public {
        for entry in &loaded.index.entries {
            // What cannot be touched is looked for next time.
            let _ = sys::touch(tree.at(), &c_string(&[entry.path.as_bytes()]));
        }
    }
    write_mark(cache, name, if settled { &mark } else { SETTLED });
    true
}

/// Says of a tree that was compared byte by byte that it needs no comparison any more.
pub(crate) fn settle(cache: &Fd, name: &str) {
    write_mark(cache, name, SETTLED);
}

/// Replaces a mark. Where that is not possible, as in read-only caches, the next start compares again, which is slower
/// and as right.
fn write_mark(cache: &Fd, name: &str, mark: &[u8]) {
    let new = c_string(&[name.as_bytes(), b"/", MARK.as_bytes(), b".new"]);
    let old = c_string(&[name.as_bytes(), b"/", MARK.as_bytes()]);
    let _ = sys::remove_file(cache.at(), &new);
    let _ = sys::open(cache.at(), &new, sys::CREATE_NEW, 0o600)
        .and_then(|file| sys::write_at(&file, mark, 0))
        .and_then(|()| sys::rename(cache.at(), &new, cache.at(), &old));
}

/// Removes what killed starts left: under this name, whose lock we have, and under names that nobody has locked.
fn clean(cache: &Fd, name: &str) {
    for found in sys::list(cache).unwrap_or_default() {
        let Some(at) = found.windows(5).position(|part| part == b".new-") else {
            continue;
        };
        let theirs = &found[..at];
        let lock = if theirs == name.as_bytes() {
            None
        } else {
            let path = c_string(&[theirs, b".lock"]);
            let Ok(lock) = sys::open(cache.at(), &path, sys::CREATE, 0o600) else {
                continue;
            };
            if sys::lock(&lock, false).is_err() {
                continue;
            }
            Some(lock)
        };
        place::remove_all(cache.at(), &found);
        drop(lock);
    }
}

fn place_failure(error: Errno) -> Failure {
    Failure::Place(error.text())
}

/// Unpacks to `new/tree` and writes the mark.
fn unpack_as(payload: &Loaded, cache: &Fd, new: &str) -> Result<(), Failure> {
    let path = |rest: &str| c_string(&[new.as_bytes(), rest.as_bytes()]);
    sys::make_dir(cache.at(), &path(""), 0o700).map_err(place_failure)?;
    sys::make_dir(cache.at(), &path("/tree"), 0o700).map_err(place_failure)?;
    let tree = sys::open(cache.at(), &path("/tree"), sys::DIRECTORY, 0).map_err(place_failure)?;
    unpack::unpack(payload, &tree)?;
    let boot = match boot() {
        Some(boot) => boot,
        // Nothing tells boots apart: wait until the disk has it.
        None => {
            sys::sync(&tree).map_err(place_failure)?;
            SETTLED.to_vec()
        }
    };
    sys::open(cache.at(), &path("/complete"), sys::CREATE_NEW, 0o600)
        .and_then(|file| sys::write_at(&file, &boot, 0))
        .map_err(place_failure)
}

/// Gives the new tree its name. One that is there is damaged; or, when nothing is locked, another start was faster, and
/// theirs is taken.
fn publish(cache: &Fd, new: &str, name: &str, locked: bool) -> Result<(), Failure> {
    let (from, to) = (c_string(&[new.as_bytes()]), c_string(&[name.as_bytes()]));
    if sys::rename(cache.at(), &from, cache.at(), &to).is_ok() {
        return Ok(());
    }
    if !locked && mark(cache, name).is_some() {
        place::remove_all(cache.at(), new.as_bytes());
        return Ok(());
    }
    let old = alloc::format!("{new}-old");
    let aside = c_string(&[old.as_bytes()]);
    sys::rename(cache.at(), &to, cache.at(), &aside).map_err(place_failure)?;
    let result = sys::rename(cache.at(), &from, cache.at(), &to);
    place::remove_all(cache.at(), old.as_bytes());
    match result {
        // Somebody put theirs there in between.
        Err(_) if mark(cache, name).is_some() => {
            place::remove_all(cache.at(), new.as_bytes());
            Ok(())
        }
        other => other.map_err(place_failure),
    }
}
