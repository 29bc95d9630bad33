//! The outer archive of a `.deb` (ar(5), deb(5)) and the decompressors of its members.

use std::io::{self, BufRead, BufReader, Read};

use lzma_rust2::XzReader;

use super::{DebError, Limits};
use crate::quote::quote_bytes;

/// The most memory that an xz member may ask for, in KiB: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 100 * 1024;

/// The largest zstd window, as a power of two: 64 MiB; `dpkg-deb` uses at most 8.
const ZSTD_WINDOW: u32 = 26;

/// Reads the ar archive: one member at a time, in the order of the file.
pub(super) struct Ar<R> {
    reader: R,
    /// Bytes of the current member that nobody has read yet, and its padding.
    left: u64,
    padding: bool,
}

impl<R: Read> Ar<R> {
    pub(super) fn open(mut reader: R) -> Result<Self, DebError> {
        let mut magic = [0; 8];
        read_exact(&mut reader, &mut magic)?;
        match &magic {
            b"!<arch>\n" => Ok(Self {
                reader,
                left: 0,
                padding: false,
            }),
            _ => Err(DebError::Ar("does not begin with `!<arch>`")),
        }
    }

    /// The name of the next member, `None` at the end. The one before must have been read whole.
    pub(super) fn next(&mut self) -> Result<Option<String>, DebError> {
        if self.left != 0 {
            return Err(DebError::Ar(
                "has bytes after the end of a member's content",
            ));
        }
        let mut byte = [0];
        if std::mem::take(&mut self.padding) {
            read_exact(&mut self.reader, &mut byte)?;
            if byte != *b"\n" {
                return Err(DebError::Ar("has a wrong padding byte"));
            }
        }
        if self
            .reader
            .read(&mut byte)
            .map_err(|error| DebError::from_io(error, "ar"))?
            == 0
        {
            return Ok(None);
        }
        let mut header = [byte[0]; 60];
        read_exact(&mut self.reader, &mut header[1..])?;
        if &header[58..] != b"`\n" {
            return Err(DebError::Ar("has a broken member header"));
        }
        let size = std::str::from_utf8(&header[48..58])
            .unwrap_or_default()
            .trim_end_matches(' ');
        let digits = size.bytes().all(|byte| byte.is_ascii_digit());
        let size = size.parse::<u64>().ok().filter(|_| digits);
        self.left = size.ok_or(DebError::Ar("has a member header with a bad size"))?;
        self.padding = self.left % 2 == 1;
        // dpkg also takes the name with a slash after it, as GNU ar writes it.
        let name = header[..16].trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        Ok(Some(quote_bytes(name)))
    }

    /// How many bytes of the current member are still unread.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            let error = DebError::Ar("ends inside a member");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn read_exact(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), DebError> {
    reader
        .read_exact(buffer)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => DebError::Ar("ends too early"),
            _ => DebError::from_io(error, "ar"),
        })
}

type Source<'a> = BufReader<&'a mut dyn Read>;

enum Decoder<'a> {
    Plain(Source<'a>),
    Gzip(Box<flate2::bufread::GzDecoder<Source<'a>>>),
    Xz(Box<XzReader<Source<'a>>>),
    Zstd(zstd::stream::read::Decoder<'static, Source<'a>>),
}

/// One member, decompressed, within the limits. The end of the one compressed stream must be the
/// end of the member: see [`Unpacked::finish`].
pub(super) struct Unpacked<'a> {
    decoder: Decoder<'a>,
    member: &'static str,
    left: u64,
    limit: &'static str,
    most: u64,
}

impl<'a> Unpacked<'a> {
    /// `packed` is the compressed size; `name` the whole member name, `base` its beginning.
    pub(super) fn open(
        reader: &'a mut dyn Read,
        name: &str,
        base: &'static str,
        packed: u64,
        limits: &Limits,
    ) -> Result<Self, DebError> {
        let source = BufReader::with_capacity(64 * 1024, reader);
        let decoder = match name.strip_prefix(base).unwrap_or(name) {
            "" => Decoder::Plain(source),
            ".gz" => Decoder::Gzip(Box::new(flate2::bufread::GzDecoder::new(source))),
            ".xz" => Decoder::Xz(Box::new(XzReader::new_mem_limit(source, false, XZ_MEMORY))),
            ".zst" => {
                let decoder = zstd::stream::read::Decoder::with_buffer(source)
                    .and_then(|mut decoder| {
                        decoder.window_log_max(ZSTD_WINDOW)?;
                        Ok(decoder.single_frame())
                    })
                    .map_err(|error| DebError::from_io(error, base))?;
                Decoder::Zstd(decoder)
            }
            other => {
                return Err(DebError::Compression {
                    member: base,
                    extension: other.into(),
                });
            }
        };
        let by_ratio = packed
            .saturating_mul(limits.ratio)
            .saturating_add(limits.slack);
        let total = if base == "control.tar" {
            limits.control
        } else {
            limits.unpacked
        };
        let (most, limit) = match by_ratio < total {
            true => (by_ratio, "ratio"),
            false if base == "control.tar" => (total, "control"),
            false => (total, "unpacked"),
        };
        Ok(Self {
            decoder,
            member: base,
            left: most,
            limit,
            most,
        })
    }

    fn read_decoder(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.decoder {
            Decoder::Plain(reader) => reader.read(buffer),
            Decoder::Gzip(reader) => reader.read(buffer),
            Decoder::Xz(reader) => reader.read(buffer),
            Decoder::Zstd(reader) => reader.read(buffer),
        }
    }

    /// Checks that the compressed stream has ended, and the member with it.
    pub(super) fn finish(mut self) -> Result<(), DebError> {
        let member = self.member;
        let wrong = |error| DebError::from_io(error, member);
        if self.read(&mut [0; 16]).map_err(wrong)? != 0 {
            return Err(DebError::Tar {
                member,
                problem: "has bytes after its end mark",
            });
        }
        let mut source = match self.decoder {
            Decoder::Plain(source) => source,
            Decoder::Gzip(decoder) => decoder.into_inner(),
            Decoder::Xz(decoder) => decoder.into_inner(),
            Decoder::Zstd(decoder) => decoder.finish(),
        };
        match source.fill_buf().map_err(wrong)?.is_empty() {
            true => Ok(()),
            false => Err(DebError::Tar {
                member,
                problem: "has bytes after the end of its compressed stream",
            }),
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            // One byte more than allowed tells the end from a bomb.
            return match self.read_decoder(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(DebError::Limit {
                    member: self.member,
                    limit: self.limit,
                    most: self.most,
                })),
            };
        }
        let read = self.read_decoder(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
