//! The lock file beside a project: read, judged, renewed, written.

use std::path::Path;

use unheck_store::StoreError;

use super::{BuildError, LockMode};
use crate::event::Stage;
use crate::input::{AppFiles, LockOptions, Project, inputs_digest};
use crate::lock::{LOCK_FILE, Lock, ReadLockError};
use crate::locker::{app_facts, app_needs, make_lock};
use crate::sdist::trees_changed;
use crate::session::Session;

/// The lock of a project: the one on disk when it fits, else a new one, which is written.
///
/// # Errors
/// [`BuildError`].
pub fn ensure_lock(
    session: &Session,
    project: &Project,
    asked: (&LockOptions, LockMode),
    app: &AppFiles,
) -> Result<(Lock, bool), BuildError> {
    let (lock, made) = plan_lock(session, project, asked, app)?;
    if made {
        write_lock(&project.root.join(LOCK_FILE), &lock)?;
    }
    Ok((lock, made))
}

/// The lock that a build would use, and whether it was made just now; writes none.
///
/// # Errors
/// [`BuildError`].
pub fn plan_lock(
    session: &Session,
    project: &Project,
    (options, mode): (&LockOptions, LockMode),
    app: &AppFiles,
) -> Result<(Lock, bool), BuildError> {
    let path = project.root.join(LOCK_FILE);
    let read = read_lock(&path)?;
    if mode == LockMode::Frozen {
        let lock = read.ok_or_else(|| BuildError::NoLock { path: path.clone() })?;
        if options
            .platforms
            .iter()
            .any(|platform| lock.target(*platform).is_none())
        {
            return Err(BuildError::Stale {
                path,
                why: "it is not for the platform that is asked for",
            });
        }
        return Ok((lock, false));
    }
    let why = match &read {
        None if mode == LockMode::Locked => return Err(BuildError::NoLock { path }),
        None => None,
        Some(lock) => {
            let digest = inputs_digest(project, options)?;
            let needs = app_needs(app_facts(app));
            if lock.plan.inputs != digest {
                Some("the requirements or options changed")
            } else if needs.iter().any(|need| !lock.plan.app_needs.contains(need)) {
                Some("the app's own files open other libraries")
            } else if trees_changed(project, lock) {
                Some("a source tree that it has compiled changed")
            } else {
                None
            }
        }
    };
    match (read, why) {
        (Some(lock), None) => Ok((lock, false)),
        (Some(_), Some(why)) if session.net.kit().is_some() => {
            Err(BuildError::StaleForKit { path, why })
        }
        (Some(_), Some(why)) if mode == LockMode::Locked => Err(BuildError::Stale { path, why }),
        (previous, _) => {
            let lock = session.stage(Stage::Lock, &project.name, || {
                repaired(session, || {
                    let made = make_lock(session, project, options, app, previous.as_ref());
                    made.map_err(|error| BuildError::Lock(Box::new(error)))
                })
            })?;
            Ok((lock, true))
        }
    }
}

/// Reads the lock beside a project, `None` when there is none.
///
/// # Errors
/// [`ReadLockError`].
pub fn read_lock(path: &Path) -> Result<Option<Lock>, ReadLockError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Lock::from_text(&text, path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReadLockError::Read(error)),
    }
}

/// Writes a lock whole or not at all.
///
/// # Errors
/// [`BuildError::WriteLock`].
pub fn write_lock(path: &Path, lock: &Lock) -> Result<(), BuildError> {
    let failed = |source| BuildError::WriteLock {
        path: path.to_owned(),
        source,
    };
    let directory = path
        .parent()
        .filter(|parent| *parent != Path::new(""))
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    std::io::Write::write_all(&mut file, lock.to_text().as_bytes()).map_err(failed)?;
    use std::os::unix::fs::PermissionsExt as _;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
        .map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Does the work again after the store threw away something that was damaged; what is missing
/// then is fetched or made again on the way.
pub(crate) fn repaired<T, E: std::error::Error + From<StoreError> + 'static>(
    session: &Session,
    work: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    // Each round removes one damaged thing; a disk that damages everything ends in the error.
    for _ in 0..64 {
        let error = match work() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(damage) = unheck_store::corruption(&error) else {
            return Err(error);
        };
        session.note(&format!("{damage}: made again"));
        session.store().discard(&damage.object)?;
    }
    work()
}
