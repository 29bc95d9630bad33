//! The content of members: inflated, and checked while it flows.

use std::io::{self, Read, Seek};

use flate2::{Decompress, FlushDecompress, Status};

use super::window::Window;
use super::{Member, MemberProblem, ZipError};

/// Opens one member after the other, with one buffer and one inflater for all.
pub(crate) struct Streams<'r, R> {
    window: Window<'r, R>,
    inflater: Decompress,
}

impl<'r, R: Read + Seek> Streams<'r, R> {
    pub(crate) fn new(reader: &'r mut R, buffer: usize) -> Self {
        Self {
            window: Window::new(reader, buffer),
            inflater: Decompress::new(false),
        }
    }

    pub(crate) fn open<'s>(
        &'s mut self,
        member: &'s Member,
    ) -> Result<MemberReader<'s, 'r, R>, ZipError> {
        self.inflater.reset(false);
        let at = member.data_offset;
        let seek = self.window.seek(at);
        seek.map_err(|source| ZipError::Read { at, source })?;
        Ok(MemberReader {
            window: &mut self.window,
            inflater: &mut self.inflater,
            member,
            left: member.compressed_size,
            given: 0,
            crc: crc32fast::Hasher::new(),
            ended: false,
            failed: None,
        })
    }
}

/// The content of one member. It fails, before its end, where the content is not as the archive
/// says: size, CRC, deflate stream.
pub(crate) struct MemberReader<'s, 'r, R> {
    window: &'s mut Window<'r, R>,
    inflater: &'s mut Decompress,
    member: &'s Member,
    /// Compressed bytes that were not yet read.
    left: u64,
    given: u64,
    crc: crc32fast::Hasher,
    ended: bool,
    failed: Option<ZipError>,
}

impl<R: Read + Seek> MemberReader<'_, '_, R> {
    /// Whether the whole content was given and found right.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended && self.failed.is_none()
    }

    /// Whether the content was found wrong.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Turns the outcome of reading into the reader's own error, where it was that one.
    pub(crate) fn finish(self, outcome: io::Result<()>) -> Result<(), ZipError> {
        match (self.failed, outcome) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(source)) => Err(ZipError::Read {
                at: self.member.data_offset,
                source,
            }),
        }
    }

    fn step(&mut self, out: &mut [u8]) -> Result<usize, ZipError> {
        loop {
            let at = self.window.offset();
            let input: &[u8] = if self.left == 0 {
                &[]
            } else {
                let read = self.window.available();
                read.map_err(|source| ZipError::Read { at, source })?
            };
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let input = &input[..input.len().min(most)];
            if input.is_empty() && self.left > 0 {
                let source = io::ErrorKind::UnexpectedEof.into();
                return Err(ZipError::Read { at, source });
            }
            if !self.member.deflated {
                let count = input.len().min(out.len());
                out[..count].copy_from_slice(&input[..count]);
                self.window.consume(count);
                self.left -= count as u64;
                self.ended = self.left == 0;
                return Ok(count);
            }
            let before = (self.inflater.total_in(), self.inflater.total_out());
            let status = self.inflater.decompress(input, out, FlushDecompress::None);
            let status = status.map_err(|_| self.member.problem(MemberProblem::Deflate))?;
            let consumed = self.inflater.total_in() - before.0;
            let produced = (self.inflater.total_out() - before.1) as usize;
            self.window.consume(consumed as usize);
            self.left -= consumed;
            self.ended = status == Status::StreamEnd;
            if produced > 0 || self.ended {
                return Ok(produced);
            }
            if consumed == 0 {
                // No more input and no end: the stream is cut off.
                return Err(self.member.problem(MemberProblem::Deflate));
            }
        }
    }

    fn next(&mut self, out: &mut [u8]) -> Result<usize, ZipError> {
        while !self.ended {
            let count = self.step(out)?;
            self.given += count as u64;
            self.crc.update(&out[..count]);
            if self.given > self.member.size || (self.ended && self.given != self.member.size) {
                let problem = MemberProblem::Size(self.member.size);
                return Err(self.member.problem(problem));
            }
            if self.ended {
                if self.left != 0 {
                    return Err(self.member.problem(MemberProblem::TrailingBytes));
                }
                if self.crc.clone().finalize() != self.member.crc32 {
                    return Err(self.member.problem(MemberProblem::Crc));
                }
            }
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

impl<R: Read + Seek> Read for MemberReader<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.failed.is_none() {
            match self.next(out) {
                Ok(count) => return Ok(count),
                Err(error) => self.failed = Some(error),
            }
        }
        let text = self.failed.as_ref().map(ToString::to_string);
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            text.unwrap_or_default(),
        ))
    }
}
