//! Writes one layer: tar, its diff id, the compressor and the digest of the blob, in one pass.
//!
//! The blob depends on the entries and the compression level alone, never on the number of
//! threads, the sizes of writes or the clock. Memory is bounded whatever the layer's size; see
//! [`Compression`]. Start at [`LayerWriter`].

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use unheck_base::{Digest, Hasher};
use zstd::stream::raw::CParameter;
use zstd::stream::{raw, zio};

use crate::image::{Descriptor, LayerMediaType};
use crate::tar_writer::{Entry, TarError, TarWriter};

/// How the blob of a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952) without name, time or operating system. One thread.
    Gzip {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// zstd (RFC 8878), window at most 8 MiB, no content checksum, no content size, no long
    /// distance matching. With 2 threads, level 3 takes about 20 MB of memory and 19 about 220.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: i32,
        /// Threads wished for; less are used where they would take more than about 250 MB
        /// together. Does not change the bytes.
        workers: u32,
    },
}

/// What a finished layer is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of the tar archive before compression (image-spec 1.1, `config.md`).
    pub diff_id: Digest,
    /// The digest of the blob.
    pub digest: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// The length of the tar archive in bytes.
    pub uncompressed_size: u64,
    /// How the blob is to be read.
    pub media_type: LayerMediaType,
}

impl Layer {
    /// The descriptor that a manifest has for this layer.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.as_str(), self.digest, self.size)
    }
}

/// Why a layer could not be begun or finished.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A gzip level outside 1 to 9.
    #[error("the gzip level {0} is not between 1 and 9")]
    GzipLevel(u32),
    /// A zstd level outside 1 to 19; those above take more than 600 MB per thread.
    #[error("the zstd level {0} is not between 1 and 19")]
    ZstdLevel(i32),
    /// The compressor could not be set up.
    #[error("cannot set up the zstd compressor with level {level}")]
    Zstd {
        /// The level.
        level: i32,
        /// The cause.
        source: io::Error,
    },
    /// The system gave no thread.
    #[error("cannot start the thread that hashes a layer")]
    Thread(#[source] io::Error),
    /// The end of the archive could not be written.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The end of the compressed stream could not be written.
    #[error("cannot write the end of a layer")]
    Finish(#[source] io::Error),
    /// The hashing thread panicked.
    #[error("the thread that hashes a layer ended early")]
    HashThread,
}

/// Writes the entries of a layer to `W` as a compressed blob.
///
/// Generating tar and compressing happen in the caller's thread (zstd: in its workers), the diff
/// id is hashed in another. Reading files costs the caller's thread time: give readers that do
/// not need buffering.
pub struct LayerWriter<W: Write> {
    tar: TarWriter<Pipe<W>>,
    media_type: LayerMediaType,
}

impl<W: Write> LayerWriter<W> {
    /// A layer without entries yet. `out` gets writes of up to 128 KiB.
    ///
    /// # Errors
    /// A level that does not exist, or no memory or thread for the work.
    pub fn new(out: W, compression: Compression) -> Result<Self, LayerError> {
        let out = Counted {
            out,
            hasher: Hasher::new(),
            len: 0,
        };
        let (compressor, media_type) = match compression {
            Compression::None => (Compressor::None(out), LayerMediaType::Tar),
            Compression::Gzip { level } => (gzip(out, level)?, LayerMediaType::Gzip),
            Compression::Zstd { level, workers } => {
                (zstd(out, level, workers)?, LayerMediaType::Zstd)
            }
        };
        let pipe = Pipe {
            chunk: Vec::with_capacity(CHUNK),
            total: 0,
            diff_id: DiffId::start().map_err(LayerError::Thread)?,
            compressor,
        };
        let tar = TarWriter::new(pipe);
        Ok(Self { tar, media_type })
    }

    /// As [`TarWriter::append`].
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn append(&mut self, entry: &Entry<'_>, content: &mut dyn Read) -> Result<(), TarError> {
        self.tar.append(entry, content)
    }

    /// As [`TarWriter::append_bytes`].
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn append_bytes(&mut self, entry: &Entry<'_>, content: &[u8]) -> Result<(), TarError> {
        self.tar.append_bytes(entry, content)
    }

    /// Ends archive and compression; gives back what the layer is known by, and the output, which
    /// is not flushed or synced.
    ///
    /// # Errors
    /// The output or the hashing thread failed.
    pub fn finish(self) -> Result<(Layer, W), LayerError> {
        let mut pipe = self.tar.finish()?;
        pipe.send_chunk().map_err(LayerError::Finish)?;
        let out = pipe.compressor.finish().map_err(LayerError::Finish)?;
        let diff_id = pipe.diff_id.finish().ok_or(LayerError::HashThread)?;
        let layer = Layer {
            diff_id,
            digest: out.hasher.finish(),
            size: out.len,
            uncompressed_size: pipe.total,
            media_type: self.media_type,
        };
        Ok((layer, out.out))
    }
}

/// The unit in which tar bytes go to the hashing thread and the compressor.
const CHUNK: usize = 256 * 1024;
/// How many chunks the hashing thread may lie behind.
const CHUNKS_IN_FLIGHT: usize = 8;

/// Where tar bytes are split: to the diff id and to the compressor.
struct Pipe<W: Write> {
    chunk: Vec<u8>,
    total: u64,
    diff_id: DiffId,
    compressor: Compressor<W>,
}

impl<W: Write> Pipe<W> {
    fn send_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.total += self.chunk.len() as u64;
        let next = self.diff_id.free_chunk();
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, next));
        self.diff_id.send(&chunk)?;
        self.compressor.write_all(&chunk)
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.send_chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread that hashes the uncompressed bytes, and the chunks that it has not given back.
struct DiffId {
    chunks: SyncSender<Arc<Vec<u8>>>,
    given_back: Receiver<()>,
    in_flight: VecDeque<Arc<Vec<u8>>>,
    thread: JoinHandle<Digest>,
}

impl DiffId {
    fn start() -> io::Result<Self> {
        let (chunks, inbox) = sync_channel::<Arc<Vec<u8>>>(CHUNKS_IN_FLIGHT);
        let (give_back, given_back) = sync_channel(CHUNKS_IN_FLIGHT + 1);
        let thread = std::thread::Builder::new()
            .name("diff-id".to_owned())
            .spawn(move || {
                let mut hasher = Hasher::new();
                for chunk in inbox {
                    hasher.update(&chunk);
                    drop(chunk);
                    // Nobody listens any more once the writer was dropped: nothing to do then.
                    let _ = give_back.send(());
                }
                hasher.finish()
            })?;
        Ok(Self {
            chunks,
            given_back,
            in_flight: VecDeque::with_capacity(CHUNKS_IN_FLIGHT),
            thread,
        })
    }

    /// An empty chunk; waits for the hashing thread when all are in flight.
    fn free_chunk(&mut self) -> Vec<u8> {
        if self.in_flight.len() < CHUNKS_IN_FLIGHT {
            return Vec::with_capacity(CHUNK);
        }
        // An error means that the thread is gone; `send` reports that.
        let _ = self.given_back.recv();
        let free = self.in_flight.pop_front().map(Arc::try_unwrap);
        match free {
            Some(Ok(mut chunk)) => {
                chunk.clear();
                chunk
            }
            _ => Vec::with_capacity(CHUNK),
        }
    }

    fn send(&mut self, chunk: &Arc<Vec<u8>>) -> io::Result<()> {
        self.in_flight.push_back(Arc::clone(chunk));
        let sent = self.chunks.send(Arc::clone(chunk));
        sent.map_err(|_| io::Error::other("the thread that hashes a layer ended early"))
    }

    fn finish(self) -> Option<Digest> {
        // The thread's loop ends when the sender is gone.
        drop(self.chunks);
        drop(self.given_back);
        self.thread.join().ok()
    }
}

enum Compressor<W: Write> {
    None(Counted<W>),
    Gzip(Box<GzEncoder<Counted<W>>>),
    Zstd(Box<zio::Writer<Counted<W>, raw::Encoder<'static>>>),
}

impl<W: Write> Compressor<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(out) => out.write_all(bytes),
            Self::Gzip(out) => out.write_all(bytes),
            Self::Zstd(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<Counted<W>> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(out) => out.finish(),
            Self::Zstd(mut out) => {
                out.finish()?;
                Ok(out.into_inner().0)
            }
        }
    }
}

/// The output with its digest and length.
struct Counted<W> {
    out: W,
    hasher: Hasher,
    len: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn gzip<W: Write>(out: Counted<W>, level: u32) -> Result<Compressor<W>, LayerError> {
    if !(1..=9).contains(&level) {
        return Err(LayerError::GzipLevel(level));
    }
    // RFC 1952, 2.3.1: operating system 255 is "unknown".
    let builder = GzBuilder::new().mtime(0).operating_system(255);
    let level = flate2::Compression::new(level);
    Ok(Compressor::Gzip(Box::new(builder.write(out, level))))
}

/// The parameters beside the level that fix the bytes, and how many threads stay within memory.
struct ZstdShape {
    /// Bytes that one job compresses; without it zstd takes four windows, 32 MiB at level 19.
    job_size: u32,
    /// Threads that stay within the memory limit.
    max_workers: u32,
}

/// One shape per range of levels. Measured peaks of a whole process with 2 workers: level 3
/// 23 MB, 9 41 MB, 12 116 MB, 15 165 MB, 19 216 MB. Blobs are within 0.3 % of those of zstd's own
/// job size.
fn zstd_shape(level: i32) -> ZstdShape {
    let (job_size, max_workers) = match level {
        ..=9 => (2 << 20, 8),
        10..=12 => (4 << 20, 4),
        _ => (8 << 20, 2),
    };
    ZstdShape {
        job_size,
        max_workers,
    }
}

fn zstd<W: Write>(out: Counted<W>, level: i32, workers: u32) -> Result<Compressor<W>, LayerError> {
    if !(1..=19).contains(&level) {
        return Err(LayerError::ZstdLevel(level));
    }
    let shape = zstd_shape(level);
    // With 0 workers zstd takes another path, whose bytes differ.
    let workers = workers.clamp(1, shape.max_workers);
    let parameters = [
        CParameter::NbWorkers(workers),
        CParameter::JobSize(shape.job_size),
        CParameter::ChecksumFlag(false),
        CParameter::ContentSizeFlag(false),
        CParameter::EnableLongDistanceMatching(false),
    ];
    let mut encoder =
        raw::Encoder::new(level).map_err(|source| LayerError::Zstd { level, source })?;
    for parameter in parameters {
        let set = encoder.set_parameter(parameter);
        set.map_err(|source| LayerError::Zstd { level, source })?;
    }
    let writer = zio::Writer::new_with_capacity(out, encoder, 128 * 1024);
    Ok(Compressor::Zstd(Box::new(writer)))
}

#[cfg(test)]
#[path = "layer_tests.rs"]
pub(crate) mod tests;
