//! A relocatable artifact as one executable file, by `unheck-launcher`.

use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use unheck_base::{Digest, Hasher, TreePath};
use unheck_launcher::{Contents, Entry, Exe, ExeOptions};

use super::{Parts, Piece, WriteFormError};
use crate::form::FormNode;
use crate::write::Compression;

/// Kind of the compressed frames in the store.
const FRAMES: &str = "exe-frame-1";
/// Longest frame that is read from there.
const MAX_FRAME: u64 = 16 << 20;

/// Writes the executable into `file`; answers digest and length.
pub(super) fn write(
    parts: &Parts<'_>,
    output: &Path,
    compression: Compression,
    file: &mut tempfile::NamedTempFile,
) -> Result<(Digest, u64), WriteFormError> {
    let entries = parts
        .pieces()
        .into_iter()
        .map(|(path, piece)| {
            let last = matches!(piece, Piece::App(_));
            let file = piece.described();
            let launcher = file.is_launcher();
            let entry = match file.what {
                FormNode::Link { link } => Entry::Symlink { target: link },
                FormNode::File { .. } if launcher => Entry::Launcher,
                FormNode::File {
                    len,
                    sha256,
                    executable,
                } => Entry::File {
                    mode: super::stage::mode(executable),
                    len,
                    digest: sha256,
                    last,
                },
            };
            (path.clone(), entry)
        })
        .collect();
    let level = match compression {
        Compression::Zstd(level) => level,
        Compression::Gzip(_) => ExeOptions::SMALL.level,
    };
    let options = ExeOptions {
        level,
        ..ExeOptions::SMALL
    };
    let failed = |source| WriteFormError::Exe {
        path: output.to_owned(),
        source: Box::new(source),
    };
    let mut out = Hashed {
        inner: BufWriter::with_capacity(256 << 10, file.as_file()),
        hasher: Hasher::new(),
        len: 0,
    };
    Exe { entries }
        .write(parts.stub, &Pieces(parts), options, &mut out)
        .map_err(failed)?;
    out.flush().map_err(|source| WriteFormError::Output {
        path: output.to_owned(),
        source,
    })?;
    Ok((out.hasher.finish(), out.len))
}

struct Pieces<'p>(&'p Parts<'p>);

impl Contents for Pieces<'_> {
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + '_>> {
        Ok(self.0.open(path)?)
    }

    fn packed(&self, key: &Digest) -> Option<Vec<u8>> {
        let derived = self.0.store.derived(FRAMES, key);
        derived.bytes(MAX_FRAME).ok().flatten()
    }

    fn keep(&self, key: &Digest, packed: &[u8]) {
        // Without it the next build compresses again.
        if let Err(error) = self.0.store.derived(FRAMES, key).put_bytes(packed) {
            tracing::debug!("a frame is not kept: {error}");
        }
    }
}

/// Counts and hashes what is written.
struct Hashed<W> {
    inner: W,
    hasher: Hasher,
    len: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
