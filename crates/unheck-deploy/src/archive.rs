//! The streams that go to a host: compressed tar archives (POSIX pax `ustar`, long names as GNU tar has
//! them, which busybox and bsdtar read too). Names stand in them byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use unheck_base::{Digest, Hasher, TreePath};

use crate::artifact::{Artifact, Node};
use crate::delta::Part;
use crate::error::HostError;
use crate::lists::blob_name;

/// 1980-01-01, the one date of all files that unheck writes.
const MTIME: u64 = 315_532_800;
/// Longest name that fits into a header (POSIX pax, ustar `name` and `linkname`).
const SHORT: usize = 100;

/// What a host lacks, with where it is.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Names of blobs, each with a path of the artifact that has its content.
    pub(crate) blobs: BTreeMap<String, &'a TreePath>,
    /// Texts of lists, by digest.
    pub(crate) lists: BTreeMap<Digest, &'a [u8]>,
    /// Of the blobs, those that go as what is new in them.
    pub(crate) deltas: BTreeMap<String, Delta>,
}

/// A blob that a host puts together.
#[derive(Debug)]
pub(crate) struct Delta {
    /// The blob that it has.
    pub(crate) old: String,
    /// All bytes of the new one.
    pub(crate) bytes: Vec<u8>,
    /// What it consists of.
    pub(crate) parts: Vec<Part>,
}

/// Writes what a host lacks: `ab/HEX[.x]`, `lists/HEX`, and `delta/HEX.NUMBER` for what is new in a blob.
///
/// # Errors
/// A file cannot be read or is not what its list says; the stream is cut.
pub(crate) fn write_blobs(
    out: &mut dyn Write,
    artifact: &Artifact,
    wanted: &Wanted<'_>,
) -> Result<(), HostError> {
    let mut tar = Builder::new(GzEncoder::new(out, Compression::default()));
    for (digest, text) in &wanted.lists {
        let name = format!("lists/{}", digest.hex());
        put(
            &mut tar,
            (&name, ""),
            EntryType::Regular,
            0o444,
            &mut (*text, text.len() as u64),
        )
        .map_err(cut)?;
    }
    for (name, delta) in &wanted.deltas {
        for (number, part) in delta.parts.iter().enumerate() {
            if let Part::New(range) = part {
                let place = format!("delta/{name}.{number}");
                let new = &delta.bytes[range.clone()];
                let mut from = (new, new.len() as u64);
                put(&mut tar, (&place, ""), EntryType::Regular, 0o444, &mut from).map_err(cut)?;
            }
        }
    }
    let whole = wanted.blobs.iter();
    for (name, path) in whole.filter(|(name, _)| !wanted.deltas.contains_key(*name)) {
        let Some(Node::File {
            digest,
            len,
            executable,
        }) = artifact.files.get(*path)
        else {
            continue;
        };
        let failed = |source| HostError::Read {
            path: (*path).clone(),
            source,
        };
        let file = fs_err::File::open(artifact.root.join(path.as_str())).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() != *len {
            return Err(HostError::Damaged {
                path: (*path).clone(),
            });
        }
        let mut hashed = Hashed {
            inner: file,
            hasher: Hasher::new(),
            failed: None,
        };
        let place = format!("{}/{name}", &name[..2]);
        let mode = if *executable { 0o555 } else { 0o444 };
        let written = put(
            &mut tar,
            (&place, ""),
            EntryType::Regular,
            mode,
            &mut (&mut hashed, *len),
        );
        if let Some(source) = hashed.failed {
            return Err(failed(source));
        }
        written.map_err(cut)?;
        // The host would refuse it too, but could not say whose fault it is.
        if hashed.hasher.finish() != *digest {
            return Err(HostError::Damaged {
                path: (*path).clone(),
            });
        }
    }
    finish(tar)
}

/// Writes what a staged tree lacks: hard links to blobs, and symbolic links.
///
/// # Errors
/// The stream is cut.
pub(crate) fn write_links(
    out: &mut dyn Write,
    artifact: &Artifact,
    id: &str,
    paths: &BTreeSet<TreePath>,
) -> Result<(), HostError> {
    let mut tar = Builder::new(GzEncoder::new(out, Compression::default()));
    for path in paths {
        let Some(node) = artifact.files.get(path) else {
            continue;
        };
        let place = format!("staging/{id}/{path}");
        let (kind, target, mode) = match node {
            Node::Link(text) => (EntryType::Symlink, text.clone(), 0o777),
            Node::File {
                digest, executable, ..
            } => {
                let name = blob_name(digest, *executable);
                let mode = if *executable { 0o555 } else { 0o444 };
                (
                    EntryType::Link,
                    format!("blobs/{}/{name}", &name[..2]),
                    mode,
                )
            }
        };
        put(
            &mut tar,
            (&place, &target),
            kind,
            mode,
            &mut (io::empty(), 0),
        )
        .map_err(cut)?;
    }
    finish(tar)
}

fn finish<W: Write>(tar: Builder<GzEncoder<W>>) -> Result<(), HostError> {
    let mut out = tar.into_inner().and_then(GzEncoder::finish).map_err(cut)?;
    out.flush().map_err(cut)
}

/// The far side stopped reading; what it says then is the reason.
fn cut(_: io::Error) -> HostError {
    HostError::Broken {
        step: "the transfer".to_owned(),
        said: String::new(),
    }
}

/// One entry, its names byte for byte.
fn put<W: Write, R: Read>(
    tar: &mut Builder<W>,
    (name, target): (&str, &str),
    kind: EntryType,
    mode: u32,
    content: &mut (R, u64),
) -> io::Result<()> {
    long(tar, EntryType::GNULongLink, target)?;
    long(tar, EntryType::GNULongName, name)?;
    let mut header = Header::new_gnu();
    let field = |text: &str| -> Vec<u8> { text.bytes().take(SHORT).collect() };
    header.as_old_mut().name[..field(name).len()].copy_from_slice(&field(name));
    header.as_old_mut().linkname[..field(target).len()].copy_from_slice(&field(target));
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(MTIME);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.1);
    header.set_cksum();
    tar.append(&header, (&mut content.0).take(content.1))
}

fn long<W: Write>(tar: &mut Builder<W>, kind: EntryType, text: &str) -> io::Result<()> {
    if text.len() <= SHORT {
        return Ok(());
    }
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(text.len() as u64 + 1);
    header.set_cksum();
    tar.append(&header, text.as_bytes().chain(&b"\0"[..]))
}

/// Hashes what passes, and keeps why reading failed, which a writer of archives would mix up with
/// failing to write.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.hasher.update(&buffer[..read]);
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_odd_names_are_there_byte_for_byte() {
        let name = format!("a/{}é $(x)", "n".repeat(150));
        let target = format!("../{}", "t".repeat(120));
        let mut tar = Builder::new(Vec::new());
        put(
            &mut tar,
            (&name, &target),
            EntryType::Symlink,
            0o777,
            &mut (io::empty(), 0),
        )
        .expect("put");
        put(
            &mut tar,
            ("-x", ""),
            EntryType::Regular,
            0o444,
            &mut (&b"text"[..], 4),
        )
        .expect("put");
        let bytes = tar.into_inner().expect("archive");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entries = archive.entries().expect("entries");
        let first = entries.next().expect("first").expect("entry");
        assert_eq!(&*first.path_bytes(), name.as_bytes());
        assert_eq!(first.link_name_bytes().as_deref(), Some(target.as_bytes()));
        let mut second = entries.next().expect("second").expect("entry");
        let mut text = String::new();
        second.read_to_string(&mut text).expect("text");
        assert_eq!((&*second.path_bytes(), text.as_str()), (&b"-x"[..], "text"));
    }
}
