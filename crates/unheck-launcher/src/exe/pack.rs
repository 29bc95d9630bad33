//! Turns the content of files into compressed frames. Start at [`Packer::add`].
//!
//! Frames are cut where files end, or inside of large files, so that they can be decoded side by side. A batch of
//! frames is compressed in parallel, then written in order: the bytes do not depend on how many cores there are. A frame
//! that was compressed before may be kept by who asks ([`Contents::packed`]).

use std::io::{self, Read as _, Write};

use rayon::prelude::*;
use unheck_base::{Digest, Hasher};

use super::plan::Stored;
use super::{Contents, ExeError};
use crate::wire::{code, xxh64::xxh64};

/// Longest frame before compression.
const FRAME: usize = 4 << 20;
/// From here on a frame ends before a file that would not fit.
const ENOUGH: usize = 2 << 20;
/// What is compressed together, in frames per core.
const BATCH: usize = 2;

/// A frame that was written.
pub(super) struct PackedFrame {
    pub(super) packed_len: u32,
    pub(super) len: u32,
    pub(super) sha256: Digest,
    /// Whether it went through `wire::code`.
    pub(super) code: bool,
}

/// Where a file is in the stream.
#[derive(Clone, Default)]
pub(super) struct PackedFile {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) hashes: Vec<u64>,
}

/// All that was written.
pub(super) struct Packed {
    pub(super) frames: Vec<PackedFrame>,
    pub(super) files: Vec<PackedFile>,
    /// Length of all frames.
    pub(super) len: u64,
}

/// A part of a file in a frame.
struct Piece {
    /// The file's number.
    number: usize,
    /// Where it begins in the frame.
    start: usize,
    /// What decides its bytes, but for its length: the file, and where the part begins in it.
    digest: Digest,
    offset: u64,
}

/// A whole frame that is not yet compressed.
struct Waiting {
    bytes: Vec<u8>,
    /// Whether it holds machine code.
    code: bool,
    /// What decides its compressed bytes.
    key: Digest,
}

pub(super) struct Packer<'a> {
    contents: &'a dyn Contents,
    level: i32,
    /// Whether the launcher, and so the code in the tree, is for x86-64.
    x86: bool,
    output: &'a mut dyn Write,
    packed: Packed,
    waiting: Vec<Waiting>,
    frame: Vec<u8>,
    /// Whether the frame holds machine code.
    code: bool,
    /// Whether it holds what changes from one build to the next.
    last: bool,
    pieces: Vec<Piece>,
    /// Length of the stream up to the frame.
    before: u64,
}

impl<'a> Packer<'a> {
    /// For a plan of so many files. `x86` says whether the launcher is for x86-64.
    pub(super) fn new(
        files: usize,
        level: i32,
        x86: bool,
        contents: &'a dyn Contents,
        output: &'a mut dyn Write,
    ) -> Self {
        Self {
            contents,
            level,
            x86,
            output,
            packed: Packed {
                frames: Vec::new(),
                files: vec![PackedFile::default(); files],
                len: 0,
            },
            waiting: Vec::new(),
            frame: Vec::with_capacity(FRAME),
            code: false,
            last: false,
            pieces: Vec::new(),
            before: 0,
        }
    }

    /// Reads a file into the stream and checks it against its digest.
    pub(super) fn add(&mut self, number: usize, file: &Stored<'_>) -> Result<(), ExeError> {
        let read = |source| ExeError::Read {
            path: file.path.clone(),
            source,
        };
        let mut reader = self.contents.open(file.path).map_err(read)?;
        let full = self.frame.len() >= ENOUGH && self.frame.len() as u64 + file.len > FRAME as u64;
        let code = self.x86 && file.kind.is_code();
        let other = code != self.code || file.last != self.last;
        if full || other && !self.frame.is_empty() {
            self.seal()?;
        }
        (self.code, self.last) = (code, file.last);
        self.packed.files[number].start = self.before + self.frame.len() as u64;
        let mut hasher = Hasher::new();
        loop {
            if self.frame.len() == FRAME {
                self.seal()?;
            }
            let at = self.frame.len();
            let mut part = reader.by_ref().take((FRAME - at) as u64);
            let len = part.read_to_end(&mut self.frame).map_err(read)?;
            if len == 0 {
                break;
            }
            hasher.update(&self.frame[at..]);
            self.pieces.push(Piece {
                number,
                start: at,
                digest: file.digest,
                offset: self.packed.files[number].len,
            });
            self.packed.files[number].len += len as u64;
        }
        let got = hasher.finish();
        if got != file.digest {
            return Err(ExeError::Changed {
                path: file.path.clone(),
                expected: file.digest,
                got,
            });
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<Packed, ExeError> {
        if !self.frame.is_empty() {
            self.seal()?;
        }
        self.flush()?;
        Ok(self.packed)
    }

    fn seal(&mut self) -> Result<(), ExeError> {
        let bytes = std::mem::replace(&mut self.frame, Vec::with_capacity(FRAME));
        let mut key = Hasher::new();
        let zstd = zstd::zstd_safe::version_number();
        key.update(
            format!(
                "frame 1 zstd {zstd} level {} code {}\n",
                self.level, self.code
            )
            .as_bytes(),
        );
        let ends = self.pieces.iter().skip(1).map(|piece| piece.start);
        let ends: Vec<usize> = ends.chain([bytes.len()]).collect();
        for (piece, end) in self.pieces.drain(..).zip(ends) {
            let Piece { start, offset, .. } = piece;
            key.update(format!("{} {offset} {}\n", piece.digest.hex(), end - start).as_bytes());
            self.packed.files[piece.number]
                .hashes
                .push(xxh64(&bytes[start..end]));
        }
        self.before += bytes.len() as u64;
        self.waiting.push(Waiting {
            bytes,
            code: self.code,
            key: key.finish(),
        });
        if self.waiting.len() >= BATCH * rayon::current_num_threads() {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExeError> {
        let (level, contents) = (self.level, self.contents);
        let compressed: Result<Vec<Vec<u8>>, _> = self
            .waiting
            .par_iter_mut()
            .map(|frame| frame.compress(level, contents))
            .collect();
        for (frame, packed) in self
            .waiting
            .drain(..)
            .zip(compressed.map_err(ExeError::Write)?)
        {
            self.output.write_all(&packed).map_err(ExeError::Write)?;
            self.packed.len += packed.len() as u64;
            self.packed.frames.push(PackedFrame {
                packed_len: packed.len() as u32,
                len: frame.bytes.len() as u32,
                sha256: Digest::of(&packed),
                code: frame.code,
            });
        }
        Ok(())
    }
}

impl Waiting {
    /// The compressed frame: as it was kept, where that unpacks to these very bytes.
    fn compress(&mut self, level: i32, contents: &dyn Contents) -> io::Result<Vec<u8>> {
        if self.code {
            code::encode(&mut self.bytes);
        }
        let same = |packed: &Vec<u8>| {
            let unpacked = zstd::bulk::decompress(packed, self.bytes.len());
            unpacked.is_ok_and(|unpacked| unpacked == self.bytes)
        };
        if let Some(packed) = contents.packed(&self.key).filter(same) {
            return Ok(packed);
        }
        let packed = zstd::bulk::compress(&self.bytes, level)?;
        contents.keep(&self.key, &packed);
        Ok(packed)
    }
}
