//! Headers of an interpreter that is not Debian's, for build roots: artifacts never have them. Start at [`headers`].

use std::path::Path;

use unheck_base::{Digest, Hasher, TreePath};
use unheck_oci::image::LayerMediaType;
use unheck_oci::layer_reader::{Limits, NodeKind, ReadOptions, read_layer};
use unheck_store::DerivedDir;

use super::source::{Placer, SourceError, copy_into};
use crate::backend::BackendError;
use crate::lock::{Interpreter, Provider};
use crate::session::Session;

/// Raised whenever the same interpreter would give other headers.
const VERSION: &str = "headers 1";

/// Where the interpreter is in a root; its headers are below.
const PLACE: &str = "opt/python";

/// What is read of an archive at most; the largest real ones have 10,000 entries and 400 MB.
const LIMITS: Limits = Limits {
    entries: 200_000,
    bytes: 4 << 30,
};

/// A directory with `opt/python/include`; `None` where Debian's packages bring the headers.
///
/// # Errors
/// [`BackendError`] when the interpreter's archive or directory cannot be read.
pub(crate) fn headers(
    session: &Session,
    interpreter: &Interpreter,
) -> Result<Option<DerivedDir>, BackendError> {
    if interpreter.provider == Provider::Debian {
        return Ok(None);
    }
    let store = session.store();
    let mut hasher = Hasher::new();
    hasher.update(VERSION.as_bytes());
    let identity = match &interpreter.archive {
        Some(archive) => archive.hashes.sha256,
        None => interpreter.prefix_digest.unwrap_or_else(|| Digest::of(b"")),
    };
    hasher.update(identity.hex().as_bytes());
    let derived = store.derived("python-headers", &hasher.finish());
    let made =
        derived.dir_with(
            |directory: &Path| match (&interpreter.archive, &interpreter.prefix) {
                (Some(archive), _) => {
                    let blob = store.open_verified(&archive.hashes.sha256)?;
                    of_archive(&archive.name, blob, directory)
                }
                (None, Some(prefix)) => of_prefix(Path::new(prefix), directory),
                (None, None) => Ok(()),
            },
        );
    made.map(Some)
        .map_err(|error| BackendError::Headers(error.to_string()))
}

fn of_archive(name: &str, mut blob: impl std::io::Read, into: &Path) -> Result<(), SourceError> {
    let mut magic = [0; 4];
    let failed = |source| SourceError::Place {
        path: into.to_owned(),
        source,
    };
    blob.read_exact(&mut magic).map_err(failed)?;
    let media_type = match magic {
        [0x1f, 0x8b, ..] => LayerMediaType::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => LayerMediaType::Zstd,
        _ => LayerMediaType::Tar,
    };
    let options = ReadOptions {
        media_type,
        diff_id: None,
        limits: LIMITS,
    };
    let whole = std::io::Read::chain(magic.as_slice(), blob);
    let mut placer = Placer::new(name.to_owned(), into);
    let mut refused = None;
    let read = read_layer(
        std::io::BufReader::new(whole),
        &options,
        &mut |entry, content| {
            let Some(below) = entry.path.as_str().strip_prefix("python/include/") else {
                return Ok(());
            };
            let Ok(place) = TreePath::new(&format!("{PLACE}/include/{below}")) else {
                return Ok(());
            };
            let placed = match &entry.kind {
                NodeKind::File { .. } => placer.add_file(&place, false, content),
                NodeKind::Symlink(text) => placer.add_link(&place, text),
                _ => Ok(()),
            };
            placed.map_err(|error| {
                let text = error.to_string();
                refused = Some(error);
                std::io::Error::other(text)
            })
        },
    );
    match (read, refused) {
        (_, Some(error)) => Err(error),
        (Err(source), None) => Err(SourceError::Archive {
            name: name.to_owned(),
            source: Box::new(source),
        }),
        (Ok(_), None) => placer.finish(),
    }
}

fn of_prefix(prefix: &Path, into: &Path) -> Result<(), SourceError> {
    let from = prefix.join("include");
    if !from.is_dir() {
        return Ok(());
    }
    let place = into.join(PLACE).join("include");
    fs_err::create_dir_all(&place).map_err(|source| SourceError::Place {
        path: place.clone(),
        source,
    })?;
    copy_into(&from, &place)
}
