//! A relocatable artifact as one executable file, by `unheck-launcher`.

use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use unheck_base::{Digest, Hasher, TreePath};
use unheck_launcher::{Contents, Entry, Exe, ExeOptions};

use super::{Parts, WriteFormError};
use crate::form::FormNode;
use crate::write::Compression;

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
