//! From what the resolver chose to what is compiled. Start at [`job`].

use std::path::{Path, PathBuf};

use unheck_resolve::{Artifact, Package};

use super::error::SdistError;
use super::requires::Asking;
use super::source::Source;
use super::workshop::Job;
use crate::lock::{Directory, Vcs, Wheel};
use crate::locker::{record, want};

/// The job for a distribution that has no fitting wheel; its source is here then.
///
/// # Errors
/// [`SdistError`].
pub(crate) fn job(
    asking: &Asking<'_>,
    package: &Package,
    waiting: &[String],
) -> Result<Job, SdistError> {
    let mut taken = None;
    let source = match &package.artifact {
        Artifact::Sdist(file) | Artifact::Archive { file, .. } | Artifact::Wheel(file) => {
            let sdist = record(asking.session, file)?;
            asking
                .session
                .net
                .fetch(want(&sdist).into_iter().collect())?;
            let subdirectory = match &package.artifact {
                Artifact::Archive { subdirectory, .. } => subdirectory.clone(),
                _ => None,
            };
            let source = Source::Archive {
                name: sdist.name.clone(),
                digest: sdist.hashes.sha256,
                subdirectory,
            };
            taken = Some(sdist);
            source
        }
        Artifact::Directory { path, .. } => Source::Tree {
            path: path.clone(),
            subdirectory: None,
        },
        Artifact::Git {
            url,
            commit,
            subdirectory,
        } => Source::Tree {
            path: checkout(asking, url, commit)?,
            subdirectory: subdirectory.clone(),
        },
    };
    Ok(Job {
        name: package.name.clone(),
        version: package.version.clone(),
        source,
        sdist: taken,
        waiting: waiting.to_vec(),
    })
}

/// The directory of a commit that the resolver has fetched, or fetches now.
pub(super) fn checkout(
    asking: &Asking<'_>,
    url: &str,
    commit: &str,
) -> Result<PathBuf, SdistError> {
    let session = asking.session;
    let inputs = crate::locker::resolver_inputs(session, asking.project, asking.options);
    let work = unheck_resolve::checkout(&inputs, &session.resolver_cache, url, commit);
    session
        .net
        .block_on(work)
        .map_err(|source| SdistError::Checkout {
            url: url.to_owned(),
            commit: commit.to_owned(),
            source: Box::new(source),
        })
}

/// What a lock remembers of where a distribution's source is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) sdist: Option<Wheel>,
    pub(crate) directory: Option<Directory>,
    pub(crate) vcs: Option<Vcs>,
}

/// What a lock at `root` remembers of a distribution's source.
///
/// # Errors
/// [`SdistError`] when the digest of a file is not known and the file cannot be fetched.
pub(crate) fn origin(asking: &Asking<'_>, package: &Package) -> Result<Origin, SdistError> {
    let mut origin = Origin::default();
    match &package.artifact {
        Artifact::Sdist(file) | Artifact::Archive { file, .. } => {
            origin.sdist = Some(record(asking.session, file)?);
        }
        Artifact::Directory { path, editable } => {
            origin.directory = Some(Directory {
                path: relative(&asking.project.root, path),
                editable: *editable,
                subdirectory: None,
            });
        }
        Artifact::Git {
            url,
            commit,
            subdirectory,
        } => {
            origin.vcs = Some(Vcs {
                kind: "git".to_owned(),
                url: url.clone(),
                commit_id: commit.clone(),
                subdirectory: subdirectory.clone(),
            });
        }
        Artifact::Wheel(_) => {}
    }
    Ok(origin)
}

/// `path` as seen from `root`, so that a lock does not hang on where the project is.
fn relative(root: &Path, path: &Path) -> String {
    let root = fs_err::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let shared = root
        .components()
        .zip(real.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = root.components().count() - shared;
    // With nothing in common but the root of the file system the absolute path is clearer.
    if shared <= 1 {
        return real.to_string_lossy().into_owned();
    }
    let mut text = PathBuf::new();
    text.extend(std::iter::repeat_n("..", up));
    text.extend(real.components().skip(shared));
    if text.as_os_str().is_empty() {
        return ".".to_owned();
    }
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_project() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("a/project");
        let beside = directory.path().join("a/lib");
        for path in [&root, &beside] {
            fs_err::create_dir_all(path).expect("made");
        }
        assert_eq!(relative(&root, &beside), "../lib");
        assert_eq!(relative(&root, &root.join("vendored")), "vendored");
        assert_eq!(relative(&root, &root), ".");
        assert_eq!(relative(&root, Path::new("/")), "/");
    }
}
