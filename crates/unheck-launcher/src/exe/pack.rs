//! Turns the content of files into compressed frames. Start at [`Packer::add`].
//!
//! Frames are cut where files end, or inside of large files, so that they can be decoded side by side. A batch of
//! frames is compressed in parallel, then written in order: the bytes do not depend on how many cores there are.

use std::io::{Read as _, Write};

use rayon::prelude::*;
use unheck_base::{Digest, Hasher};

use super::plan::Stored;
use super::{Contents, ExeError};
use crate::wire::{code, elf, xxh64::xxh64};

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

pub(super) struct Packer<'a> {
    level: i32,
    /// Whether the launcher, and so the code in the tree, is for x86-64.
    x86: bool,
    output: &'a mut dyn Write,
    packed: Packed,
    /// Whole frames that are not yet compressed.
    waiting: Vec<(Vec<u8>, bool)>,
    frame: Vec<u8>,
    /// Whether the frame holds machine code.
    code: bool,
    /// Files with bytes in the frame, and where they begin in it.
    pieces: Vec<(usize, usize)>,
    /// Length of the stream up to the frame.
    before: u64,
}

impl<'a> Packer<'a> {
    pub(super) fn new(files: usize, level: i32, stub: &[u8], output: &'a mut dyn Write) -> Self {
        Self {
            level,
            x86: elf::Object::parse(stub, elf::X86_64).is_some(),
            output,
            packed: Packed {
                frames: Vec::new(),
                files: vec![PackedFile::default(); files],
                len: 0,
            },
            waiting: Vec::new(),
            frame: Vec::with_capacity(FRAME),
            code: false,
            pieces: Vec::new(),
            before: 0,
        }
    }

    /// Reads a file into the stream and checks it against its digest.
    pub(super) fn add(
        &mut self,
        number: usize,
        file: &Stored<'_>,
        contents: &dyn Contents,
    ) -> Result<(), ExeError> {
        let read = |source| ExeError::Read {
            path: file.path.clone(),
            source,
        };
        let mut reader = contents.open(file.path).map_err(read)?;
        let full = self.frame.len() >= ENOUGH && self.frame.len() as u64 + file.len > FRAME as u64;
        let code = self.x86 && file.kind.is_code();
        if full || code != self.code && !self.frame.is_empty() {
            self.seal()?;
        }
        self.code = code;
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
            self.pieces.push((number, at));
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
        let frame = std::mem::replace(&mut self.frame, Vec::with_capacity(FRAME));
        let ends = self.pieces.iter().skip(1).map(|(_, start)| *start);
        let ends: Vec<usize> = ends.chain([frame.len()]).collect();
        for ((number, start), end) in self.pieces.drain(..).zip(ends) {
            self.packed.files[number]
                .hashes
                .push(xxh64(&frame[start..end]));
        }
        self.before += frame.len() as u64;
        self.waiting.push((frame, self.code));
        if self.waiting.len() >= BATCH * rayon::current_num_threads() {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExeError> {
        let level = self.level;
        let compressed: Result<Vec<Vec<u8>>, _> = self
            .waiting
            .par_iter_mut()
            .map(|(frame, code)| {
                if *code {
                    code::encode(frame);
                }
                zstd::bulk::compress(frame, level)
            })
            .collect();
        for ((frame, code), packed) in self
            .waiting
            .drain(..)
            .zip(compressed.map_err(ExeError::Write)?)
        {
            self.output.write_all(&packed).map_err(ExeError::Write)?;
            self.packed.len += packed.len() as u64;
            self.packed.frames.push(PackedFrame {
                packed_len: packed.len() as u32,
                len: frame.len() as u32,
                sha256: Digest::of(&packed),
                code,
            });
        }
        Ok(())
    }
}
