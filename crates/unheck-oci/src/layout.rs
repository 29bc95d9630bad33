//! Writes a planned image as a layout directory or as an archive.
//!
//! The archive is an OCI layout inside a tar file, with the `manifest.json` of `docker save` beside
//! it, so that skopeo, podman and docker all load it. Blobs come from a [`BlobSource`]; only their
//! lengths are checked here, see [`crate::validate`] for their digests. An output appears whole or
//! not at all. Refuses to replace a directory that holds anything but a layout.
//! Start at [`write_archive`].

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use unheck_base::Digest;

use crate::partial::Partial;
use crate::plan::{Content, Member, Plan, archive_head, blob_name, prefix_len};
use crate::tar_writer::{BLOCK, padding, plain_header};

/// Gives the bytes of layers.
pub trait BlobSource {
    /// The blob with `digest`, from its first byte on.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    fn open(&self, digest: &Digest) -> io::Result<Blob>;
}

impl<F: Fn(&Digest) -> io::Result<Blob>> BlobSource for F {
    fn open(&self, digest: &Digest) -> io::Result<Blob> {
        self(digest)
    }
}

/// The bytes of a blob.
#[derive(Debug)]
pub enum Blob {
    /// A file that is this blob and nothing else; the kernel copies it.
    File(fs_err::File),
    /// In memory.
    Bytes(Vec<u8>),
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The source could not give a blob.
    #[error("cannot open the blob `{digest}`")]
    Blob {
        /// The blob.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
    /// A blob has another length than its layer says.
    #[error("the blob `{digest}` has {actual} bytes, its layer says {expected}")]
    BlobSize {
        /// The blob.
        digest: Digest,
        /// What the layer says.
        expected: u64,
        /// What the source has.
        actual: u64,
    },
    /// A blob could not be copied.
    #[error("cannot copy the blob `{digest}` to the image")]
    Copy {
        /// The blob.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("cannot write the image `{path}`")]
    Output {
        /// The output.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// What stands there is not an image layout.
    #[error("`{path}` exists and is not an image layout: it has `{stranger}`")]
    NotALayout {
        /// The output.
        path: PathBuf,
        /// The first file that a layout does not have, or what it is.
        stranger: String,
    },
}

/// What is known of an archive after it was written; kept by the caller for [`update_archive`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRecord {
    /// The files in it, in their order.
    pub members: Vec<Member>,
    /// The length of the archive in bytes.
    pub len: u64,
    inode: u64,
    modified: (i64, i64),
}

/// What [`update_archive`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The archive as it is now.
    pub record: ArchiveRecord,
    /// How many bytes at its beginning came from the archive that stood there; all of them when
    /// nothing had to be written.
    pub reused: u64,
}

/// Writes an archive to `path`, replacing a file there.
///
/// # Errors
/// See [`WriteError`].
pub fn write_archive(
    path: &Path,
    plan: &Plan,
    blobs: &dyn BlobSource,
) -> Result<ArchiveRecord, WriteError> {
    replace_archive(path, plan, blobs, None)
}

/// As [`write_archive`]; what the archive at `path` has in common with the new one at its beginning
/// is copied from there, which costs next to nothing where the file system can share blocks.
/// `previous` is what an earlier call answered; when the file is not the one it tells of (length,
/// inode, time of change), all is written anew. Nothing is written when nothing changed.
///
/// # Errors
/// See [`WriteError`].
pub fn update_archive(
    path: &Path,
    previous: &ArchiveRecord,
    plan: &Plan,
    blobs: &dyn BlobSource,
) -> Result<Updated, WriteError> {
    let members = plan.members();
    let known = fs_err::File::open(path).ok().filter(|file| {
        let found = stat(file.file());
        found.is_ok_and(|found| found == (previous.len, previous.inode, previous.modified))
    });
    let Some(old) = known else {
        let record = write_archive(path, plan, blobs)?;
        return Ok(Updated { record, reused: 0 });
    };
    if members == previous.members {
        return Ok(Updated {
            record: previous.clone(),
            reused: previous.len,
        });
    }
    let pairs = members.iter().zip(&previous.members);
    let common = pairs.take_while(|(new, old)| new == old).count();
    let record = replace_archive(path, plan, blobs, Some((old, common)))?;
    Ok(Updated {
        reused: prefix_len(&members[..common]),
        record,
    })
}

/// Writes an archive to `out`, without seeking.
///
/// # Errors
/// See [`WriteError`]; the output is named `-` in them.
pub fn write_archive_to(
    out: &mut dyn Write,
    plan: &Plan,
    blobs: &dyn BlobSource,
) -> Result<(), WriteError> {
    let mut sink = Sink {
        out: Out::Stream(out),
        path: Path::new("-"),
    };
    sink.write(&archive_head())?;
    write_members(&mut sink, plan, blobs, 0)
}

/// Writes a layout directory to `directory`, replacing a layout there. The parent must exist.
///
/// # Errors
/// See [`WriteError`].
pub fn write_layout(
    directory: &Path,
    plan: &Plan,
    blobs: &dyn BlobSource,
) -> Result<(), WriteError> {
    refuse_strangers(directory)?;
    let failed = |source| WriteError::Output {
        path: directory.to_owned(),
        source,
    };
    let partial = Partial::directory(directory).map_err(failed)?;
    if let Err(error) = fill_layout(&partial.path, plan, blobs) {
        partial.discard();
        return Err(error);
    }
    partial.replace_directory(directory).map_err(failed)
}

fn fill_layout(root: &Path, plan: &Plan, blobs: &dyn BlobSource) -> Result<(), WriteError> {
    let failed = |source| WriteError::Output {
        path: root.to_owned(),
        source,
    };
    fs_err::create_dir_all(root.join("blobs/sha256")).map_err(failed)?;
    for &(digest, len) in plan.layers() {
        let file = fs_err::File::create(root.join(blob_name(digest))).map_err(failed)?;
        let mut sink = Sink {
            out: Out::File(file.file()),
            path: root,
        };
        sink.blob(digest, len, blobs)?;
    }
    for (digest, bytes) in plan.documents() {
        fs_err::write(root.join(blob_name(*digest)), bytes).map_err(failed)?;
    }
    for (name, bytes) in plan.layout_files() {
        fs_err::write(root.join(name), bytes).map_err(failed)?;
    }
    Ok(())
}

/// Only a directory that is empty or a layout, with nothing else in it, may be replaced.
fn refuse_strangers(directory: &Path) -> Result<(), WriteError> {
    let stranger = |stranger: &str| WriteError::NotALayout {
        path: directory.to_owned(),
        stranger: stranger.to_owned(),
    };
    let failed = |source| WriteError::Output {
        path: directory.to_owned(),
        source,
    };
    match fs_err::symlink_metadata(directory) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(stranger("no directory entries, it is a file or a symlink")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    for name in &names {
        if !matches!(
            &**name,
            "blobs" | "index.json" | "oci-layout" | "manifest.json"
        ) {
            return Err(stranger(name));
        }
    }
    if !names.is_empty() && !names.iter().any(|name| name == "oci-layout") {
        return Err(stranger("no `oci-layout`"));
    }
    Ok(())
}

/// With `old`, that many members at the beginning are copied from the archive.
fn replace_archive(
    path: &Path,
    plan: &Plan,
    blobs: &dyn BlobSource,
    old: Option<(fs_err::File, usize)>,
) -> Result<ArchiveRecord, WriteError> {
    let failed = |source| WriteError::Output {
        path: path.to_owned(),
        source,
    };
    if fs_err::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let partial = Partial::file(path).map_err(failed)?;
    let written = fill_archive(partial.handle(), path, plan, (blobs, old));
    let (len, inode, modified) = match written {
        Ok(written) => written,
        Err(error) => {
            partial.discard();
            return Err(error);
        }
    };
    partial.replace_file(path).map_err(failed)?;
    Ok(ArchiveRecord {
        members: plan.members(),
        len,
        inode,
        modified,
    })
}

type Stat = (u64, u64, (i64, i64));

fn fill_archive(
    file: &std::fs::File,
    path: &Path,
    plan: &Plan,
    (blobs, old): (&dyn BlobSource, Option<(fs_err::File, usize)>),
) -> Result<Stat, WriteError> {
    let mut sink = Sink {
        out: Out::File(file),
        path,
    };
    let common = old.as_ref().map_or(0, |(_, common)| *common);
    match old {
        Some((old, common)) if common > 0 => {
            let len = prefix_len(&plan.members()[..common]);
            let copied = sink.out.copy(old.file(), len);
            let copied = copied.map_err(|source| sink.error(source))?;
            if copied != len {
                return Err(sink.error(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        _ => sink.write(&archive_head())?,
    }
    write_members(&mut sink, plan, blobs, common)?;
    stat(file).map_err(|source| sink.error(source))
}

fn stat(file: &std::fs::File) -> io::Result<Stat> {
    let found = file.metadata()?;
    let modified = (found.mtime(), found.mtime_nsec());
    Ok((found.len(), found.ino(), modified))
}

fn write_members(
    sink: &mut Sink<'_>,
    plan: &Plan,
    blobs: &dyn BlobSource,
    skip: usize,
) -> Result<(), WriteError> {
    let zeros = [0; 2 * BLOCK];
    for (member, content) in plan.contents().into_iter().skip(skip) {
        sink.write(&plain_header(&member.name, member.len))?;
        match content {
            Content::Layer => sink.blob(member.digest, member.len, blobs)?,
            Content::Bytes(bytes) => sink.write(bytes)?,
        }
        sink.write(&zeros[..padding(member.len)])?;
    }
    sink.write(&zeros)
}

struct Sink<'a> {
    out: Out<'a>,
    path: &'a Path,
}

enum Out<'a> {
    File(&'a std::fs::File),
    Stream(&'a mut dyn Write),
}

impl Out<'_> {
    /// From file to file the kernel copies (copy_file_range), or shares blocks.
    fn copy(&mut self, from: &std::fs::File, len: u64) -> io::Result<u64> {
        let mut from = from.take(len);
        match self {
            Self::File(to) => io::copy(&mut from, to),
            Self::Stream(to) => io::copy(&mut from, to),
        }
    }
}

impl Sink<'_> {
    fn error(&self, source: io::Error) -> WriteError {
        let path = self.path.to_owned();
        WriteError::Output { path, source }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = match &mut self.out {
            Out::File(file) => file.write_all(bytes),
            Out::Stream(out) => out.write_all(bytes),
        };
        written.map_err(|source| self.error(source))
    }

    fn blob(&mut self, digest: Digest, len: u64, blobs: &dyn BlobSource) -> Result<(), WriteError> {
        let opened = blobs.open(&digest);
        let blob = opened.map_err(|source| WriteError::Blob { digest, source })?;
        let copy_failed = |source| WriteError::Copy { digest, source };
        let actual = match &blob {
            Blob::File(file) => file.metadata().map_err(copy_failed)?.len(),
            Blob::Bytes(bytes) => bytes.len() as u64,
        };
        let wrong_size = |actual| WriteError::BlobSize {
            digest,
            expected: len,
            actual,
        };
        if actual != len {
            return Err(wrong_size(actual));
        }
        match blob {
            Blob::Bytes(bytes) => self.write(&bytes),
            Blob::File(file) => match self.out.copy(file.file(), len).map_err(copy_failed)? {
                copied if copied == len => Ok(()),
                copied => Err(wrong_size(copied)),
            },
        }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
pub(crate) mod tests;
