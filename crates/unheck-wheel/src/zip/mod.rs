//! A strict reader of zip archives: one reading of the bytes, or a refusal.
//!
//! Source: APPNOTE.TXT 6.3.10. Refuses everything that two readers could read differently (bytes
//! before, between or after the records, two headers that disagree, duplicate or colliding names),
//! everything but regular files and directories, and methods other than stored and deflate.
//! It never writes anything. Start at [`Archive::open`].

mod central;
mod end;
mod error;
mod extra;
mod local;
mod names;
mod stream;
mod window;

use std::io::{self, Read, Seek};

use unheck_base::TreePath;

pub(crate) use central::{Entry, read_entries};
pub(crate) use end::read_end;
pub use error::{MemberProblem, ZipError};
pub(crate) use stream::{MemberReader, Streams};
pub(crate) use window::Window;

use crate::limits::{Limit, LimitExceeded, Limits};

/// A zip archive whose structure has been checked; the content is checked as it is read.
///
/// It holds no reader: the methods that read get it again, and must get the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    members: Vec<Member>,
}

/// A file or a directory in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path, without the slash that ends the name of a directory.
    pub path: TreePath,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Bytes of the content.
    pub size: u64,
    /// Bytes of the content in the archive.
    pub compressed_size: u64,
    /// CRC-32 of the content.
    pub crc32: u32,
    /// Whether one of the Unix execute bits is set. No other mode bit is kept.
    pub executable: bool,
    deflated: bool,
    data_offset: u64,
}

impl Member {
    /// The normalised mode: 0755 for directories and what is executable, else 0644.
    pub fn mode(&self) -> u32 {
        if self.is_dir || self.executable {
            0o755
        } else {
            0o644
        }
    }

    /// Whether the content is deflated, not stored.
    pub fn is_deflated(&self) -> bool {
        self.deflated
    }

    /// Where the (compressed) content begins in the archive.
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }
}

impl Archive {
    /// Checks the structure of the archive of `len` bytes in `reader`: end record, central
    /// directory, each local header and data descriptor, names, sizes and limits.
    ///
    /// # Errors
    /// The first rule that the archive breaks.
    pub fn open<R: Read + Seek>(
        reader: &mut R,
        len: u64,
        limits: &Limits,
    ) -> Result<Self, ZipError> {
        let mut window = Window::new(reader, 8 * 1024);
        let end = end::read_end(&mut window, len)?;
        Limit::Entries.check(end.entries, limits.entries, || "the archive".into())?;
        Limit::CentralDirectory.check(end.size, limits.central_directory, || {
            "the central directory".into()
        })?;
        let mut directory = vec![0; usize::try_from(end.size).map_err(|_| too_short())?];
        read_at(&mut window, end.offset, &mut directory)?;
        let mut entries = central::read_entries(&directory, end.entries)?;
        check_sizes(&entries, len, limits)?;
        names::check(&entries, limits)?;
        entries.sort_by_key(|entry| entry.offset);
        if entries.first().map_or(end.offset, |first| first.offset) != 0 {
            return Err(ZipError::Central(
                "bytes stand before the first member's header",
            ));
        }
        let offsets: Vec<u64> = entries.iter().map(|entry| entry.offset).collect();
        let mut members = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let next = offsets.get(index + 1).copied().unwrap_or(end.offset);
            let data_offset = local::check(&mut window, &entry, next)?;
            members.push(Member {
                path: entry.path,
                is_dir: entry.is_dir,
                size: entry.size,
                compressed_size: entry.compressed,
                crc32: entry.crc32,
                executable: entry.executable,
                deflated: entry.deflated,
                data_offset,
            });
        }
        Ok(Self { members })
    }

    /// The members, in the order of their content in the archive.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The whole content of one member, checked against its size and CRC.
    ///
    /// # Errors
    /// When the content is not as the archive says, or larger than `allowed` bytes, by `limit`.
    pub fn read<R: Read + Seek>(
        &self,
        reader: &mut R,
        index: usize,
        (limit, allowed): (Limit, u64),
    ) -> Result<Vec<u8>, ZipError> {
        let Some(member) = self.members.get(index) else {
            return Err(ZipError::Central("there is no such member"));
        };
        limit.check(member.size, allowed, || format!("`{}`", member.shown()))?;
        let mut streams = Streams::new(reader, 16 * 1024);
        let mut content = Vec::new();
        let mut stream = streams.open(member)?;
        let read = stream.read_to_end(&mut content);
        stream.finish(read.map(drop))?;
        Ok(content)
    }

    /// The first bytes of one member, at most `count`; its CRC is not checked.
    ///
    /// # Errors
    /// When the archive cannot be read or the content is not deflate.
    pub fn read_prefix<R: Read + Seek>(
        &self,
        reader: &mut R,
        index: usize,
        count: usize,
    ) -> Result<Vec<u8>, ZipError> {
        let Some(member) = self.members.get(index) else {
            return Err(ZipError::Central("there is no such member"));
        };
        let mut streams = Streams::new(reader, 4096);
        let mut stream = streams.open(member)?;
        let mut content = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match stream.read(&mut content[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) => {
                    stream.finish(Err(error))?;
                    break;
                }
            }
        }
        content.truncate(filled);
        Ok(content)
    }
}

impl Member {
    pub(crate) fn shown(&self) -> String {
        crate::limits::shown(self.path.as_str())
    }

    fn problem(&self, problem: MemberProblem) -> ZipError {
        ZipError::Member {
            name: self.shown(),
            problem,
        }
    }
}

/// The declared sizes against the limits, before anything is inflated.
fn check_sizes(entries: &[Entry], len: u64, limits: &Limits) -> Result<(), LimitExceeded> {
    let mut total: u64 = 0;
    for entry in entries {
        total = total.saturating_add(entry.size);
        if entry.size > limits.entry_ratio_from {
            let allowed = entry.compressed.saturating_mul(limits.entry_ratio);
            Limit::EntryRatio.check(entry.size, allowed, || format!("`{}`", entry.shown()))?;
        }
    }
    let allowed = len
        .saturating_mul(limits.total_ratio)
        .saturating_add(limits.total_slack);
    Limit::Total.check(total, allowed, || "the unpacked archive".into())
}

fn too_short() -> ZipError {
    ZipError::End("the archive is too short for what it says")
}

fn read_at<R: Read + Seek>(
    window: &mut Window<'_, R>,
    at: u64,
    out: &mut [u8],
) -> Result<(), ZipError> {
    let read = |source: io::Error| ZipError::Read { at, source };
    window.seek(at).map_err(read)?;
    window.read_exact(out).map_err(read)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    le(bytes, at, 2) as u16
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    le(bytes, at, 4) as u32
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    le(bytes, at, 8)
}

/// A little-endian number. The callers pass headers of fixed size and offsets inside them.
fn le(bytes: &[u8], at: usize, count: usize) -> u64 {
    let bytes = bytes.iter().skip(at).take(count);
    bytes.rev().fold(0, |value, b| value << 8 | u64::from(*b))
}
