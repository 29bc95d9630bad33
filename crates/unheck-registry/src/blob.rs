//! What is sent: bytes in memory or a part of a file. Start at [`Blob`].

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use unheck_base::{Digest, Hasher};
use unheck_oci::image::Descriptor;

use crate::error::Cause;
use crate::http::Sent;

/// Bytes read and sent at a time.
const PIECE: u64 = 256 << 10;

/// A blob that can be sent from any byte on.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Bytes(Bytes),
    /// In a file, from the byte `offset` on.
    File {
        /// The file; its position is not used.
        file: Arc<std::fs::File>,
        /// The blob's first byte in it.
        offset: u64,
    },
}

/// A manifest, index or other JSON document with the descriptor that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes, whose digest and size those are.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// A blob in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            content: Content::Bytes(bytes),
        }
    }

    /// The `len` bytes from `at` on as a body.
    pub(crate) fn body(&self, (at, len): (u64, u64), sent: Sent) -> reqwest::Body {
        match &self.content {
            Content::Bytes(bytes) => {
                let part = bytes.slice(at as usize..(at + len) as usize);
                sent.add(part.len());
                part.into()
            }
            Content::File { file, offset } => {
                let start = (Arc::clone(file), offset + at, len);
                let stream = futures::stream::try_unfold(start, move |(file, at, left)| {
                    let sent = sent.clone();
                    async move {
                        if left == 0 {
                            return Ok::<_, io::Error>(None);
                        }
                        let size = left.min(PIECE);
                        let source = Arc::clone(&file);
                        let piece = blocking(move || read(&source, at, size)).await?;
                        sent.add(piece.len());
                        Ok(Some((piece, (file, at + size, left - size))))
                    }
                });
                reqwest::Body::wrap_stream(stream)
            }
        }
    }

    /// Whether the bytes here are those of the digest; read anew. Answers what the digest is.
    pub(crate) async fn found(&self) -> Result<Digest, Cause> {
        let blob = self.clone();
        let found = blocking(move || {
            let mut hasher = Hasher::new();
            match &blob.content {
                Content::Bytes(bytes) => hasher.update(bytes),
                Content::File { file, offset } => {
                    let mut at = 0;
                    while at < blob.size {
                        let size = PIECE.min(blob.size - at);
                        hasher.update(&read(file, offset + at, size)?);
                        at += size;
                    }
                }
            }
            Ok(hasher.finish())
        });
        found.await.map_err(Cause::Local)
    }
}

impl Document {
    /// A document of this media type.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
        }
    }
}

fn read(file: &std::fs::File, at: u64, len: u64) -> io::Result<Bytes> {
    let mut piece = BytesMut::zeroed(len as usize);
    file.read_exact_at(&mut piece, at)?;
    Ok(piece.freeze())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}
