//! What a wheel says of itself in its last bytes, for readers that fetch by ranges.
//!
//! The central directory lists every path; METADATA is by custom the last but few of the members. Nothing
//! is checked against the members' own headers, so a wheel is never unpacked after this: [`crate::Wheel`]
//! is the reader for that. Start at [`glance`].

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use crate::limits::{Limit, Limits};
use crate::metadata::Metadata;
use crate::modules::{ModuleKind, modules_of};
use crate::zip::{self, Entry, Window, ZipError};

/// How many bytes of the end are worth asking for at first: of 22 wheels 15 needed no more.
pub const TAIL: u64 = 16 * 1024;

/// What the end of a wheel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// As [`crate::Wheel::modules`].
    pub modules: BTreeMap<String, ModuleKind>,
    /// METADATA, when it is in the bytes given and can be read.
    pub metadata: Option<Metadata>,
    /// Number of files.
    pub files: usize,
    /// Bytes of all files, unpacked.
    pub unpacked: u64,
}

/// The end of a wheel was read, or more of it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glanced {
    /// What it says.
    Done(Box<Glance>),
    /// The central directory begins before the bytes given: give all from this offset on.
    NeedsFrom(u64),
}

/// Reads the end of a wheel of `total` bytes; `tail` are its last ones.
///
/// # Errors
/// [`ZipError`], as for a whole archive; a tail longer than the wheel is one too.
pub fn glance(tail: &[u8], total: u64, limits: &Limits) -> Result<Glanced, ZipError> {
    let Some(start) = total.checked_sub(tail.len() as u64) else {
        return Err(ZipError::End(
            "the file is shorter than what was read of it",
        ));
    };
    let mut reader = Tail { tail, start, at: 0 };
    let mut window = Window::new(&mut reader, 8 * 1024);
    let end = zip::read_end(&mut window, total)?;
    Limit::Entries.check(end.entries, limits.entries, || "the archive".into())?;
    Limit::CentralDirectory.check(end.size, limits.central_directory, || {
        "the central directory".into()
    })?;
    if end.offset < start {
        return Ok(Glanced::NeedsFrom(end.offset));
    }
    let from = (end.offset - start) as usize;
    let directory = tail
        .get(from..)
        .and_then(|rest| rest.get(..end.size as usize));
    let directory = directory.ok_or(ZipError::End("the archive is too short for what it says"))?;
    let entries = zip::read_entries(directory, end.entries)?;
    let files: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_dir).collect();
    let paths: Vec<&str> = files
        .iter()
        .filter_map(|entry| installed(entry.path.as_str()))
        .collect();
    let metadata = files.iter().find(|entry| is_metadata(entry.path.as_str()));
    Ok(Glanced::Done(Box::new(Glance {
        modules: modules_of(&paths),
        metadata: metadata.and_then(|entry| read_metadata(entry, tail, start, limits)),
        files: files.len(),
        unpacked: files
            .iter()
            .fold(0, |sum, entry| sum.saturating_add(entry.size)),
    })))
}

/// The path below the library directory of a member's path, if it goes there.
fn installed(path: &str) -> Option<&str> {
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    if top.ends_with(".dist-info") {
        return None;
    }
    if !top.ends_with(".data") {
        return Some(path);
    }
    rest.strip_prefix("purelib/")
        .or_else(|| rest.strip_prefix("platlib/"))
}

fn is_metadata(path: &str) -> bool {
    path.strip_suffix("/METADATA")
        .is_some_and(|top| top.ends_with(".dist-info") && !top.contains('/'))
}

/// METADATA, where all of it is in the tail; its length, and CRC, are those of the directory.
fn read_metadata(entry: &Entry, tail: &[u8], start: u64, limits: &Limits) -> Option<Metadata> {
    const HEADER: usize = 30;
    if entry.size > limits.metadata {
        return None;
    }
    let at = usize::try_from(entry.offset.checked_sub(start)?).ok()?;
    let header = tail.get(at..)?.get(..HEADER)?;
    if header[..4] != *b"PK\x03\x04" {
        return None;
    }
    let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let data = tail.get(at + HEADER + length(26) + length(28)..)?;
    let data = data.get(..usize::try_from(entry.compressed).ok()?)?;
    let mut content = Vec::new();
    let read = match entry.deflated {
        true => flate2::read::DeflateDecoder::new(data)
            .take(entry.size + 1)
            .read_to_end(&mut content),
        false => (&data[..]).read_to_end(&mut content),
    };
    read.ok()?;
    let whole = content.len() as u64 == entry.size && crc32fast::hash(&content) == entry.crc32;
    whole
        .then(|| Metadata::parse(&content, limits).ok())
        .flatten()
}

/// The end of a file as if it were the file.
struct Tail<'t> {
    tail: &'t [u8],
    start: u64,
    at: u64,
}

impl Read for Tail<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let missing = || {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "before the bytes that were read",
            )
        };
        let from = self.at.checked_sub(self.start).ok_or_else(missing)?;
        let rest = self.tail.get(from as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Tail<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => (self.start + self.tail.len() as u64).saturating_add_signed(by),
        };
        Ok(self.at)
    }
}
