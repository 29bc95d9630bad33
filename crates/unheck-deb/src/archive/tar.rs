//! One strict reading of the tar format that debs use: ustar headers with GNU long names.
//!
//! PAX headers, sparse files, devices and everything that another reader could take differently
//! is refused; so does dpkg (it answers "unsupported PAX tar header type"). Formats: tar(5) of
//! POSIX.1-1988 and GNU tar's manual, "Basic Tar Format". Start at [`TarReader::next`].

use std::io::{self, Read};

use unheck_base::TreePath;

use super::{DebError, Entry, EntryKind};
use crate::quote::quote_bytes;

const BLOCK: usize = 512;

/// The longest GNU long name, in bytes: `PATH_MAX` and its NUL.
const MAX_LONG_NAME: u64 = 4096;

/// Reads the members of one tar stream.
pub(super) struct TarReader<'a> {
    reader: &'a mut dyn Read,
    member: &'static str,
    /// Bytes of the current member that nobody has read yet.
    left: u64,
    /// Zero bytes after them, up to the next block.
    padding: u64,
}

/// One header, decoded.
struct Header {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: i64,
}

impl<'a> TarReader<'a> {
    pub(super) fn new(reader: &'a mut dyn Read, member: &'static str) -> Self {
        Self {
            reader,
            member,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry, after skipping what is left of the one before. The root directory itself
    /// (`./`) is checked and passed over. `None` after the end marks, when only zeros follow.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, DebError> {
        loop {
            self.skip_rest()?;
            let (mut long_name, mut long_link) = (None, None);
            let header = loop {
                let Some(header) = self.header()? else {
                    return match (long_name, long_link) {
                        (None, None) => Ok(None),
                        _ => Err(self.broken("ends after a GNU long name")),
                    };
                };
                let slot = match header.kind {
                    b'L' => &mut long_name,
                    b'K' => &mut long_link,
                    _ => break header,
                };
                if slot.is_some() {
                    return Err(self.broken("has two GNU long names for one entry"));
                }
                *slot = Some(self.long_name(header.size)?);
            };
            if let Some(entry) = self.entry(header, long_name, long_link)? {
                return Ok(Some(entry));
            }
        }
    }

    /// What is left of the content of the current entry.
    pub(super) fn content(&mut self) -> Content<'_, 'a> {
        Content(self)
    }

    pub(super) fn skip_rest(&mut self) -> Result<(), DebError> {
        let mut buffer = [0; 16 * 1024];
        while self.left > 0 {
            self.read_content(&mut buffer)
                .map_err(|error| self.read_error(error))?;
        }
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..std::mem::take(&mut self.padding) as usize];
        self.fill(padding)
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                self.broken("ends inside a file"),
            ));
        }
        self.left -= read as u64;
        Ok(read)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), DebError> {
        self.reader
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof
                    if error.get_ref().is_none_or(|inner| !inner.is::<DebError>()) =>
                {
                    self.broken("ends too early")
                }
                _ => self.read_error(error),
            })
    }

    fn read_error(&self, error: io::Error) -> DebError {
        DebError::from_io(error, self.member)
    }

    fn broken(&self, problem: &'static str) -> DebError {
        DebError::Tar {
            member: self.member,
            problem,
        }
    }

    /// The next header, or `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, DebError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block == [0; BLOCK] {
            self.fill(&mut block)?;
            if block != [0; BLOCK] {
                return Err(self.broken("has an entry after an end mark"));
            }
            return self.only_zeros().map(|()| None);
        }
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                u64::from(if (148..156).contains(&at) {
                    b' '
                } else {
                    *byte
                })
            })
            .sum();
        if octal(&block[148..156]) != Some(sum) {
            return Err(self.broken("has a header with a wrong checksum"));
        }
        let mut name = c_string(&block[..100]).to_vec();
        match &block[257..265] {
            b"ustar\x0000" => {
                let prefix = c_string(&block[345..500]);
                if !prefix.is_empty() {
                    name = [prefix, b"/", &name].concat();
                }
            }
            b"ustar  \0" => {}
            _ => return Err(self.broken("has a header that is neither ustar nor GNU")),
        }
        let number = |field: &[u8]| {
            number(field).ok_or_else(|| self.broken("has a header with a bad number"))
        };
        let positive = |field: &[u8]| {
            let value = number(field)?;
            u64::try_from(value).map_err(|_| self.broken("has a header with a negative number"))
        };
        Ok(Some(Header {
            kind: block[156],
            link: c_string(&block[157..257]).to_vec(),
            mode: (positive(&block[100..108])? & 0o7777) as u32,
            uid: positive(&block[108..116])?,
            gid: positive(&block[116..124])?,
            size: positive(&block[124..136])?,
            mtime: number(&block[136..148])?,
            name,
        }))
    }

    fn only_zeros(&mut self) -> Result<(), DebError> {
        let mut buffer = [0; 4096];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(self.broken("has bytes after its end mark")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_error(error)),
            }
        }
    }

    /// The content of an `L` or `K` entry: a name and one NUL.
    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, DebError> {
        if size == 0 || size > MAX_LONG_NAME {
            return Err(self.broken("has a GNU long name that is empty or longer than 4096 bytes"));
        }
        let mut name = vec![0; size.next_multiple_of(BLOCK as u64) as usize];
        self.fill(&mut name)?;
        name.truncate(size as usize);
        match memchr::memchr(0, &name) {
            Some(at) if at + 1 == name.len() => name.truncate(at),
            None => {}
            Some(_) => return Err(self.broken("has a GNU long name with a NUL inside")),
        }
        Ok(name)
    }

    fn entry(
        &mut self,
        header: Header,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Option<Entry>, DebError> {
        let name = long_name.unwrap_or(header.name);
        let link = long_link.unwrap_or(header.link);
        let member = self.member;
        let refuse = |problem| DebError::Entry {
            member,
            name: quote_bytes(&name),
            problem,
        };
        let is_file = matches!(header.kind, b'0' | 0);
        if !is_file && header.size != 0 {
            return Err(refuse("is no file and yet has content"));
        }
        let is_link = matches!(header.kind, b'1' | b'2');
        if is_link == link.is_empty() {
            return Err(refuse(if is_link {
                "is a link to nothing"
            } else {
                "has a link target and is no link"
            }));
        }
        let mut trimmed = name.strip_prefix(b"./").unwrap_or(&name);
        if header.kind == b'5' {
            trimmed = trimmed.strip_suffix(b"/").unwrap_or(trimmed);
            if matches!(trimmed, b"" | b".") && name.starts_with(b".") {
                return Ok(None);
            }
        }
        let kind = match header.kind {
            b'0' | 0 => EntryKind::File { size: header.size },
            b'5' => EntryKind::Dir,
            b'2' => EntryKind::Symlink(match String::from_utf8(link) {
                Ok(text) if text.len() < 4096 => text,
                Ok(_) => return Err(refuse("is a symlink with a target over 4095 bytes")),
                Err(_) => return Err(refuse("is a symlink with a target that is not UTF-8")),
            }),
            b'1' => {
                let target = link.strip_prefix(b"./").unwrap_or(&link);
                EntryKind::Hardlink(TreePath::from_bytes(target).map_err(|source| {
                    DebError::Path {
                        member,
                        name: quote_bytes(&link),
                        source,
                    }
                })?)
            }
            b'3' | b'4' => return Err(refuse("is a device node")),
            b'6' => return Err(refuse("is a fifo")),
            b'S' => return Err(refuse("is a sparse file")),
            b'x' | b'g' => return Err(refuse("is a PAX header, which dpkg does not read either")),
            _ => return Err(refuse("is of an unknown type")),
        };
        let path = TreePath::from_bytes(trimmed).map_err(|source| DebError::Path {
            member,
            name: quote_bytes(&name),
            source,
        })?;
        if is_file {
            self.left = header.size;
            self.padding = header.size.next_multiple_of(BLOCK as u64) - header.size;
        }
        Ok(Some(Entry {
            path,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            mtime: header.mtime,
            kind,
        }))
    }
}

/// The content of one entry as a reader.
pub(super) struct Content<'r, 'a>(&'r mut TarReader<'a>);

impl Read for Content<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_content(buffer)
    }
}

fn c_string(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

/// An octal number between blanks and an end of NULs or blanks, as POSIX has it.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(c_string(field)).ok()?.trim_matches(' ');
    let tail = &field[c_string(field).len()..];
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
        || tail.iter().any(|byte| !matches!(byte, 0 | b' '))
    {
        return None;
    }
    match text.is_empty() {
        true => Some(0),
        false => u64::from_str_radix(text, 8).ok(),
    }
}

/// As [`octal`], or in GNU's base 256: a first byte 0x80 (0xff when negative), then big-endian.
fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        sign @ (0x80 | 0xff) => {
            let digits = &field[1..];
            let (head, tail) = digits.split_at(digits.len().saturating_sub(8));
            let fill = if *sign == 0xff { 0xff } else { 0 };
            if head.iter().any(|byte| *byte != fill) {
                return None;
            }
            let mut bytes = [fill; 8];
            bytes[8 - tail.len()..].copy_from_slice(tail);
            let value = i64::from_be_bytes(bytes);
            ((value < 0) == (fill != 0)).then_some(value)
        }
        byte if byte & 0x80 != 0 => None,
        _ => i64::try_from(octal(field)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_reading() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"77777777777\0"), Some(0o77_777_777_777));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(
            number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            Some(-2)
        );
        assert_eq!(number(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(number(b"-000644\0"), None);
        assert_eq!(number(b"00 0644\0"), None);
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"0644\x000644"), None);
    }
}
