//! The modules of the wheels that a project's lock names, as far as the store has them: the strongest
//! evidence there is, and it needs no network. Start at [`read`].

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use unheck_base::Digest;
use unheck_names::guess::Locked;
use unheck_store::Store;
use unheck_wheel::{Glance, Glanced, Limits, ModuleKind, TAIL, glance};

use crate::lock::{LOCK_FILE, Lock};

/// The modules of the lock beside `project`, a directory or a file in it; empty where there is no lock, or
/// none that can be read.
pub fn read(project: &Path, store: &Store) -> Locked {
    let directory = if project.is_dir() {
        project
    } else {
        project.parent().unwrap_or(Path::new("."))
    };
    let path = directory.join(LOCK_FILE);
    let lock = fs_err::read_to_string(&path)
        .ok()
        .and_then(|text| Lock::from_text(&text, &path).ok());
    lock.map(|lock| modules(&lock, store)).unwrap_or_default()
}

/// The modules of a lock's wheels. Namespaces are left out: they are nobody's.
pub fn modules(lock: &Lock, store: &Store) -> Locked {
    let mut locked = Locked::new();
    for package in &lock.packages {
        for wheel in lock.wheels_of(package) {
            let Some(glance) = of_wheel(store, &wheel.hashes.sha256) else {
                continue;
            };
            let version = package.version.clone().unwrap_or_default();
            for (module, kind) in glance.modules {
                if kind != ModuleKind::Namespace {
                    locked
                        .entry(module)
                        .or_default()
                        .insert((package.name.clone(), version.clone()));
                }
            }
        }
    }
    locked
}

/// What a wheel in the store says of itself. The store checked its digest when it came.
pub(crate) fn of_wheel(store: &Store, digest: &Digest) -> Option<Glance> {
    let mut file = store.open_blob(digest).ok()?;
    let total = store.size_of(digest)?;
    let limits = Limits::default();
    let mut from = total.saturating_sub(TAIL);
    for _ in 0..2 {
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut tail = Vec::new();
        (&mut file)
            .take(limits.central_directory)
            .read_to_end(&mut tail)
            .ok()?;
        match glance(&tail, total, &limits).ok()? {
            Glanced::Done(glance) => return Some(*glance),
            Glanced::NeedsFrom(offset) => from = offset,
        }
    }
    None
}
