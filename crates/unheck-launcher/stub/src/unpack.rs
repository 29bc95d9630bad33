//! Writes the tree of a payload into an empty directory, on all CPUs. Start at [`unpack`].
//!
//! No path can lead out: every parent is a directory that this program made before, the index says so. Workers are
//! forked processes that take the next frame from a shared counter; they need no thread library and a crash of one is
//! seen by the other.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::appended::{Damage, Loaded, Piece};
use crate::say::{c_string, shown};
use crate::sys::{self, Change, Errno, Fd};
use crate::wire::payload::{Entry, Kind};

/// Why unpacking failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The payload is damaged: no other place helps.
    Damage(Damage),
    /// The place does not take it.
    Place(String),
}

/// More workers than this wait for the file system only.
const MOST_WORKERS: usize = 16;
/// Longest message that a worker hands over.
const MESSAGE: usize = 1024;

/// What the workers share.
#[repr(C)]
struct Shared {
    next: AtomicUsize,
    /// 0: none failed; 1: one is writing why; 2: the place; 3: damage.
    failed: AtomicU32,
    message_len: AtomicUsize,
}

/// Unpacks into `tree`, an empty directory that nobody else knows.
pub(crate) fn unpack(payload: &Loaded, tree: &Fd) -> Result<(), Failure> {
    let mask = sys::set_umask(0);
    let result = prepare(payload, tree)
        .and_then(|()| payload.check_stub().map_err(Failure::Damage))
        .and_then(|()| all_frames(payload, tree))
        .and_then(|()| finish(payload, tree));
    sys::set_umask(mask);
    result
}

/// Gives every path the one date that trees have, as the writers of other forms do.
pub(crate) fn date(payload: &Loaded, tree: &Fd, seconds: i64) -> Result<(), Failure> {
    for entry in payload.index.entries.iter().rev() {
        let path = c_string(&[entry.path.as_bytes()]);
        sys::set_times(tree.at(), &path, seconds).map_err(|error| cannot(entry, error))?;
    }
    Ok(())
}

fn cannot(entry: &Entry<'_>, error: Errno) -> Failure {
    Failure::Place(alloc::format!(
        "cannot write `{}`: {}",
        shown(entry.path.as_bytes()),
        error.text()
    ))
}

/// Whether several frames have bytes of the file, so that several workers write it.
fn is_split(entry: &Entry<'_>) -> bool {
    matches!(entry.kind, Kind::File { hashes, .. } if hashes.len() != 1)
}

fn prepare(payload: &Loaded, tree: &Fd) -> Result<(), Failure> {
    for entry in &payload.index.entries {
        let path = c_string(&[entry.path.as_bytes()]);
        let mode = u32::from(entry.mode);
        let result = match entry.kind {
            Kind::Dir => sys::make_dir(tree.at(), &path, mode | 0o700),
            Kind::File { len, .. } if is_split(entry) => {
                sys::open(tree.at(), &path, sys::CREATE_NEW, mode | 0o600)
                    .and_then(|file| sys::set_len(&file, len))
            }
            Kind::Launcher(_) => sys::open(tree.at(), &path, sys::CREATE_NEW, mode)
                .and_then(|file| sys::write_at(&file, payload.stub, 0)),
            _ => Ok(()),
        };
        result.map_err(|error| cannot(entry, error))?;
    }
    Ok(())
}

fn finish(payload: &Loaded, tree: &Fd) -> Result<(), Failure> {
    for entry in payload.index.entries.iter().rev() {
        let path = c_string(&[entry.path.as_bytes()]);
        let mode = u32::from(entry.mode);
        let result = match entry.kind {
            Kind::HardLink(target) => {
                hard_link(tree, &payload.index.entries[target as usize], &path)
            }
            Kind::Symlink(target) => {
                sys::make_link(&c_string(&[target.as_bytes()]), tree.at(), &path)
            }
            _ => Ok(()),
        };
        result.map_err(|error| cannot(entry, error))?;
        let widened = match entry.kind {
            Kind::Dir => mode & 0o700 != 0o700,
            _ => is_split(entry) && mode & 0o600 != 0o600,
        };
        if widened {
            sys::set_mode(tree.at(), &path, mode).map_err(|error| cannot(entry, error))?;
        }
    }
    Ok(())
}

/// A second name, or a copy on file systems without them.
fn hard_link(tree: &Fd, target: &Entry<'_>, path: &core::ffi::CStr) -> sys::Result<()> {
    let old = c_string(&[target.path.as_bytes()]);
    if sys::link(tree.at(), &old, path).is_ok() {
        return Ok(());
    }
    let from = sys::open(tree.at(), &old, sys::READ | sys::NO_FOLLOW, 0)?;
    let bytes = sys::map_file(&from, sys::stat_fd(&from)?.len as usize)?;
    let to = sys::open(tree.at(), path, sys::CREATE_NEW, u32::from(target.mode))?;
    sys::write_at(&to, bytes, 0)
}

fn all_frames(payload: &Loaded, tree: &Fd) -> Result<(), Failure> {
    let frames = payload.index.frames.len();
    let memory = sys::map_anonymous(size_of::<Shared>() + MESSAGE, true)
        .map_err(|error| Failure::Place(alloc::format!("no shared memory: {}", error.text())))?;
    // SAFETY: zeroed memory is a valid `Shared`; page-aligned; never unmapped.
    let shared: &Shared = unsafe { &*memory.cast() };
    let mut children = Vec::new();
    for _ in 1..sys::cpus().min(frames).min(MOST_WORKERS) {
        let parent = sys::process();
        match sys::fork() {
            Ok(Some(child)) => children.push(child),
            // Fewer workers than wished are enough.
            Err(_) => break,
            Ok(None) => {
                sys::die_with_parent();
                if sys::parent() == parent {
                    work(payload, tree, shared, memory);
                }
                sys::exit(0);
            }
        }
    }
    work(payload, tree, shared, memory);
    let mut lost = false;
    for child in children {
        lost |= sys::wait(child, true) != Ok(Change::Exited(0));
    }
    let kind = shared.failed.load(Ordering::Acquire);
    if kind > 1 {
        let len = shared.message_len.load(Ordering::Acquire);
        // SAFETY: the one that set `failed` wrote that many bytes behind `Shared` before.
        let bytes = unsafe { core::slice::from_raw_parts(memory.add(size_of::<Shared>()), len) };
        let message = String::from_utf8_lossy(bytes).into_owned();
        return Err(match kind {
            2 => Failure::Place(message),
            _ => Failure::Damage(message),
        });
    }
    if lost || kind == 1 {
        return Err(Failure::Place("a process that unpacked was killed".into()));
    }
    Ok(())
}

/// Takes frames until there are none or someone failed.
fn work(payload: &Loaded, tree: &Fd, shared: &Shared, memory: *mut u8) {
    let Err(failure) = take_frames(payload, tree, shared) else {
        return;
    };
    // The first to fail says why.
    let first = shared
        .failed
        .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    if first.is_err() {
        return;
    }
    let (kind, message) = match &failure {
        Failure::Place(message) => (2, message),
        Failure::Damage(message) => (3, message),
    };
    let len = message.len().min(MESSAGE);
    // SAFETY: the room behind `Shared` has `MESSAGE` bytes, and only the first to fail writes there.
    unsafe {
        core::ptr::copy_nonoverlapping(message.as_ptr(), memory.add(size_of::<Shared>()), len);
    }
    shared.message_len.store(len, Ordering::Release);
    shared.failed.store(kind, Ordering::Release);
}

fn take_frames(payload: &Loaded, tree: &Fd, shared: &Shared) -> Result<(), Failure> {
    let mut decoder = payload.decoder().map_err(Failure::Place)?;
    while shared.failed.load(Ordering::Acquire) == 0 {
        let number = shared.next.fetch_add(1, Ordering::AcqRel);
        if number >= payload.index.frames.len() {
            break;
        }
        let mut failed = None;
        let mut each = |piece: Piece<'_>| {
            write(tree, &piece).map_err(|error| {
                failed = Some(cannot(piece.entry, error));
                String::new()
            })
        };
        let result = payload.frame(number, &mut decoder, &mut each);
        if let Some(failure) = failed {
            return Err(failure);
        }
        result.map_err(Failure::Damage)?;
    }
    Ok(())
}

fn write(tree: &Fd, piece: &Piece<'_>) -> sys::Result<()> {
    let path = c_string(&[piece.entry.path.as_bytes()]);
    let file = if piece.whole {
        sys::open(
            tree.at(),
            &path,
            sys::CREATE_NEW,
            u32::from(piece.entry.mode),
        )?
    } else {
        sys::open(tree.at(), &path, sys::WRITE, 0)?
    };
    sys::write_at(&file, piece.bytes, piece.offset)
}
