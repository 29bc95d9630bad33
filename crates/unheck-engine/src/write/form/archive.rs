//! A relocatable artifact as an archive: `.tar.zst`, `.tar.gz` or `.tar`, by the output's name.
//!
//! The same artifact gives the same bytes: entries are sorted, after the list of files, which comes
//! first so that a reader of the stream has it first; owner and date are constants.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::Path;

use unheck_base::{Digest, TreePath};
use unheck_oci::layer::{Compression as LayerCompression, LayerError, LayerWriter};
use unheck_oci::tar_writer::{Entry, EntryKind, TarError};

use super::{MTIME, Parts, WriteFormError};
use crate::form::{FormNode, MANIFEST_PATH};
use crate::write::Compression;

/// Writes the archive into `file`; answers digest and length.
pub(super) fn write(
    parts: &Parts<'_>,
    output: &Path,
    compression: Compression,
    file: &mut tempfile::NamedTempFile,
) -> Result<(Digest, u64), WriteFormError> {
    let failed = |source: LayerError| WriteFormError::Archive {
        path: output.to_owned(),
        source: Box::new(source),
    };
    let compression = by_name(output, compression);
    let out = BufWriter::with_capacity(256 << 10, file.as_file());
    let mut writer = Writer {
        tar: LayerWriter::new(out, compression).map_err(failed)?,
        parts,
        made: BTreeSet::new(),
        launcher: None,
    };
    let manifest = TreePath::new(MANIFEST_PATH).expect("a constant path");
    writer.add(&manifest)?;
    let pieces = parts.pieces();
    for path in pieces.keys().filter(|path| ***path != manifest) {
        writer.add(path)?;
    }
    let (layer, mut out) = writer.tar.finish().map_err(failed)?;
    out.flush().map_err(|source| WriteFormError::Output {
        path: output.to_owned(),
        source,
    })?;
    Ok((layer.digest, layer.size))
}

/// What the name of the output asks for; a level only where it is for the same kind.
fn by_name(output: &Path, asked: Compression) -> LayerCompression {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let gzip = name.ends_with(".tar.gz") || name.ends_with(".tgz");
    match asked {
        _ if name.ends_with(".tar") => LayerCompression::None,
        Compression::Gzip(_) if gzip => asked.for_layers(),
        _ if gzip => Compression::Gzip(6).for_layers(),
        Compression::Gzip(_) => Compression::default().for_layers(),
        Compression::Zstd(_) => asked.for_layers(),
    }
}

struct Writer<'p, W: Write> {
    tar: LayerWriter<W>,
    parts: &'p Parts<'p>,
    /// Directories that were written.
    made: BTreeSet<TreePath>,
    /// The first launcher: all others are the same file.
    launcher: Option<TreePath>,
}

impl<W: Write> Writer<'_, W> {
    /// Writes one file or link, after the directories above it.
    fn add(&mut self, path: &TreePath) -> Result<(), WriteFormError> {
        let place = self.place(path);
        let mut above: Vec<TreePath> = place.ancestors().collect();
        above.sort();
        for directory in above {
            if self.made.insert(directory.clone()) {
                let written = self
                    .tar
                    .append_bytes(&entry(&directory, 0o755, EntryKind::Dir), &[]);
                written.map_err(|source| refused(path, source))?;
            }
        }
        let Some(file) = self.parts.described(path) else {
            return Ok(());
        };
        match &file.what {
            FormNode::Link { link } => {
                let entry = entry(&place, 0o777, EntryKind::Symlink(link));
                let written = self.tar.append_bytes(&entry, &[]);
                written.map_err(|source| refused(path, source))
            }
            FormNode::File {
                len, executable, ..
            } => {
                if file.is_launcher() {
                    if let Some(first) = &self.launcher {
                        let entry = entry(&place, 0o755, EntryKind::Hardlink(first));
                        let written = self.tar.append_bytes(&entry, &[]);
                        return written.map_err(|source| refused(path, source));
                    }
                    self.launcher = Some(place.clone());
                }
                let mode = if *executable { 0o755 } else { 0o644 };
                let entry = entry(&place, mode, EntryKind::File { len: *len });
                let mut source = self
                    .parts
                    .open(path)
                    .map_err(|source| WriteFormError::Read {
                        path: path.clone(),
                        source,
                    })?;
                let written = self.tar.append(&entry, &mut source);
                written.map_err(|source| refused(path, source))
            }
        }
    }

    fn place(&self, path: &TreePath) -> TreePath {
        TreePath::new(&format!("{}/{path}", self.parts.top)).expect("a name above a path")
    }
}

fn entry<'e>(path: &'e TreePath, mode: u32, kind: EntryKind<'e>) -> Entry<'e> {
    Entry {
        path,
        mode,
        uid: 0,
        gid: 0,
        mtime: MTIME,
        kind,
    }
}

fn refused(path: &TreePath, source: TarError) -> WriteFormError {
    WriteFormError::Entry {
        path: path.clone(),
        source: Box::new(source),
    }
}
