//! Reads a layer: decompresses while it streams, names its entries, recognises whiteouts.
//!
//! Every byte is hostile: paths become [`TreePath`]s or errors, sizes are limited, nothing is
//! unpacked here. Start at [`read_layer`].
//!
//! Format: OCI image-spec 1.1, `layer.md`.

use std::io::{self, Read};

use unheck_base::{Digest, Hasher, TreePath, TreePathError};

use crate::image::LayerMediaType;
use crate::tar_reader::{RawEntry, TarReader, tree_path};
use crate::tar_writer::WHITEOUT_PREFIX;

pub use crate::tar_reader::TarReadError;

/// The file name that hides all of its directory in the layers below.
pub(crate) const OPAQUE: &str = ".wh..wh..opq";

/// What may be in a layer at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Headers, those of long names counted too.
    pub entries: u64,
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
}

impl Default for Limits {
    /// Two million entries, 64 GiB.
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 64 << 30,
        }
    }
}

/// How a layer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is around the tar archive.
    pub media_type: LayerMediaType,
    /// The digest that the uncompressed archive must have.
    pub diff_id: Option<Digest>,
    /// What may be in it at most.
    pub limits: Limits,
}

/// An entry of a layer. The entry of the root directory itself is not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Where it stands; for whiteouts the marker itself.
    pub path: TreePath,
    /// The permission bits with set-user-id, set-group-id and sticky: 12 bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub kind: NodeKind,
}

/// What an entry of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Its length in bytes.
        len: u64,
    },
    /// A symlink with its text, as it stands.
    Symlink(String),
    /// Another name of a file; that it exists is not checked here.
    Hardlink(TreePath),
    /// A character device: major and minor number.
    CharDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// The marker that deletes a node of the layers below.
    Whiteout {
        /// The node that goes away.
        hides: TreePath,
    },
    /// The marker that empties a directory of the layers below.
    Opaque {
        /// The directory, `None` for the root.
        directory: Option<TreePath>,
    },
}

/// What was seen of a layer that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSummary {
    /// The digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The length of the uncompressed archive in bytes.
    pub uncompressed_size: u64,
    /// How many entries were reported.
    pub entries: u64,
}

/// Why a layer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadLayerError {
    /// The compressed stream or the archive.
    #[error("cannot read a layer")]
    Tar(#[from] TarReadError),
    /// The decompressor could not be set up.
    #[error("cannot set up the decompressor of a layer")]
    Decompressor(#[source] io::Error),
    /// A name that cannot be in a tree.
    #[error("a layer has an entry with the name `{name}`")]
    Name {
        /// The name, shortened and escaped.
        name: String,
        /// The cause.
        source: TreePathError,
    },
    /// A symlink without text, or not in UTF-8.
    #[error("the symlink `{0}` of a layer has no text, or none in UTF-8")]
    SymlinkText(TreePath),
    /// A name that begins with `.wh.` and is no marker that the specification knows.
    #[error("a layer has the whiteout `{0}`, which hides nothing")]
    Whiteout(TreePath),
    /// What the visitor answered.
    #[error("cannot take the entry `{path}` of a layer")]
    Visit {
        /// The entry.
        path: TreePath,
        /// The cause.
        source: io::Error,
    },
    /// The bytes are not those that the config promises.
    #[error("the layer unpacks to `{actual}`, its config says `{expected}`")]
    DiffId {
        /// What the config says.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
}

/// Called with each entry; files give their content by the reader.
pub type Visitor<'a> = dyn FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()> + 'a;

/// Reads a whole layer and shows each entry to `visit`, in the order of the archive. `reader` is
/// read to its end, so that a verifying reader has seen all. What the visitor saw is only to be
/// trusted after this returned `Ok`.
///
/// # Errors
/// See [`ReadLayerError`].
pub fn read_layer(
    mut reader: impl Read,
    options: &ReadOptions,
    visit: &mut Visitor<'_>,
) -> Result<LayerSummary, ReadLayerError> {
    let summary = read_decoded(decoder(&mut reader, options.media_type)?, options, visit)?;
    drain(&mut reader, summary.uncompressed_size)?;
    match options.diff_id {
        Some(expected) if expected != summary.diff_id => Err(ReadLayerError::DiffId {
            expected,
            actual: summary.diff_id,
        }),
        _ => Ok(summary),
    }
}

fn decoder<'a>(
    reader: &'a mut impl Read,
    media_type: LayerMediaType,
) -> Result<Box<dyn Read + 'a>, ReadLayerError> {
    Ok(match media_type {
        LayerMediaType::Tar => Box::new(reader),
        LayerMediaType::Gzip => {
            let buffered = io::BufReader::with_capacity(64 * 1024, reader);
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
        }
        LayerMediaType::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(reader);
            let mut decoder = decoder.map_err(ReadLayerError::Decompressor)?;
            // 128 MiB, what zstd itself writes at most without being asked for more.
            let set = decoder.window_log_max(27);
            set.map_err(ReadLayerError::Decompressor)?;
            Box::new(decoder)
        }
    })
}

fn read_decoded(
    reader: Box<dyn Read + '_>,
    options: &ReadOptions,
    visit: &mut Visitor<'_>,
) -> Result<LayerSummary, ReadLayerError> {
    let mut hashed = Hashed {
        reader,
        hasher: Hasher::new(),
        len: 0,
        limit: options.limits.bytes,
    };
    let mut tar = TarReader::new(&mut hashed, options.limits.entries);
    let mut entries = 0;
    while let Some(raw) = tar.next_entry()? {
        let Some(entry) = layer_entry(&raw)? else {
            continue;
        };
        entries += 1;
        visit(&entry, &mut tar).map_err(|source| ReadLayerError::Visit {
            path: entry.path.clone(),
            source,
        })?;
    }
    tar.finish()?;
    Ok(LayerSummary {
        diff_id: hashed.hasher.finish(),
        uncompressed_size: hashed.len,
        entries,
    })
}

/// A decompressor may stop before the end of its input.
fn drain(reader: &mut impl Read, offset: u64) -> Result<(), TarReadError> {
    match io::copy(reader, &mut io::sink()) {
        Ok(0) => Ok(()),
        Ok(_) => Err(TarReadError::Malformed {
            offset,
            what: "there are bytes after the compressed stream",
        }),
        Err(source) => Err(TarReadError::Read { offset, source }),
    }
}

fn layer_entry(raw: &RawEntry) -> Result<Option<LayerEntry>, ReadLayerError> {
    let named = |name: &[u8]| {
        tree_path(name).map_err(|source| {
            let shown = &name[..name.len().min(200)];
            let name = shown.escape_ascii().to_string();
            ReadLayerError::Name { name, source }
        })
    };
    let Some(path) = named(&raw.name)? else {
        return Ok(None);
    };
    let kind = match raw.kind {
        b'1' => match named(&raw.link)? {
            Some(target) => NodeKind::Hardlink(target),
            None => {
                return Err(ReadLayerError::Name {
                    name: String::new(),
                    source: TreePathError::Empty,
                });
            }
        },
        b'2' => match String::from_utf8(raw.link.clone()) {
            Ok(text) if !text.is_empty() => NodeKind::Symlink(text),
            _ => return Err(ReadLayerError::SymlinkText(path)),
        },
        b'3' => NodeKind::CharDevice(raw.device.0, raw.device.1),
        b'4' => NodeKind::BlockDevice(raw.device.0, raw.device.1),
        b'5' => NodeKind::Dir,
        b'6' => NodeKind::Fifo,
        _ => NodeKind::File { len: raw.len },
    };
    let kind = whiteout(&path)?.unwrap_or(kind);
    Ok(Some(LayerEntry {
        path,
        mode: raw.mode,
        uid: raw.uid,
        gid: raw.gid,
        mtime: raw.mtime,
        kind,
    }))
}

/// The marker that `path` is by its name.
fn whiteout(path: &TreePath) -> Result<Option<NodeKind>, ReadLayerError> {
    let Some(hidden) = path.file_name().strip_prefix(WHITEOUT_PREFIX) else {
        return Ok(None);
    };
    let directory = path.parent();
    if path.file_name() == OPAQUE {
        return Ok(Some(NodeKind::Opaque { directory }));
    }
    let hides = match directory {
        Some(directory) => directory.join(hidden),
        None => TreePath::new(hidden),
    };
    match hides {
        Ok(hides) if !hidden.starts_with(WHITEOUT_PREFIX) => Ok(Some(NodeKind::Whiteout { hides })),
        _ => Err(ReadLayerError::Whiteout(path.clone())),
    }
}

/// The uncompressed bytes with their digest and a limit.
struct Hashed<R> {
    reader: R,
    hasher: Hasher,
    len: u64,
    limit: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(to)?;
        self.len += read as u64;
        if self.len > self.limit {
            let limit = self.limit;
            let name = "bytes after decompression";
            return Err(io::Error::other(TarReadError::Limit { name, limit }));
        }
        self.hasher.update(&to[..read]);
        Ok(read)
    }
}

#[cfg(test)]
#[path = "layer_reader_tests.rs"]
mod tests;
