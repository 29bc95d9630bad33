//! The index of a payload: which frames there are and which paths their bytes make.
//!
//! The frames, decoded and put one after the other, are one long stream; a file is a range of it. Frames are cut where
//! it suits decoding in parallel, so a file may lie in several, and has one hash for each of them (a *piece*). Start at
//! [`Index::parse`]: what it returns can be unpacked into an empty directory without a path leading out of it, because
//! every parent is a directory of the index itself.
//!
//! Layout, little-endian: magic (8) · frames (4) · entries (4) · per frame: packed length (4), length (4), filter (1),
//! SHA-256 of the packed bytes (32) · per entry: kind (1), mode (2), path length (2), path, then
//! file (1): start (8), length (8), one XXH64 (8) per piece · link to an earlier entry (2): its number (4) ·
//! symbolic link (3): length (2), text · the launcher's own bytes (4): XXH64 (8) · directory (0): nothing.

use alloc::vec::Vec;

use super::path;

/// First bytes of an index.
pub(crate) const MAGIC: &[u8; 8] = b"unhkidx1";
/// Kinds of entries.
pub(crate) const DIR: u8 = 0;
/// See [`DIR`].
pub(crate) const FILE: u8 = 1;
/// See [`DIR`].
pub(crate) const HARD_LINK: u8 = 2;
/// See [`DIR`].
pub(crate) const SYMLINK: u8 = 3;
/// See [`DIR`].
pub(crate) const LAUNCHER: u8 = 4;
/// A frame's bytes are as they are.
pub(crate) const PLAIN: u8 = 0;
/// A frame's bytes went through `code::encode` before compression.
pub(crate) const CODE: u8 = 1;
/// Longest frame, unpacked: what one worker holds in memory.
pub(crate) const LONGEST_FRAME: u32 = 1 << 26;

/// One independently compressed part of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Where its packed bytes begin, from the first frame.
    pub(crate) packed_at: u64,
    /// Length of its packed bytes.
    pub(crate) packed_len: u32,
    /// Where its bytes begin in the stream.
    pub(crate) start: u64,
    /// Length of its bytes.
    pub(crate) len: u32,
    /// Whether the bytes are encoded as machine code.
    pub(crate) code: bool,
    /// SHA-256 of the packed bytes.
    pub(crate) sha256: &'a [u8; 32],
}

impl Frame<'_> {
    /// Where the bytes end in the stream.
    pub(crate) fn end(&self) -> u64 {
        self.start + u64::from(self.len)
    }
}

/// One path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The path.
    pub(crate) path: &'a str,
    /// Permission bits.
    pub(crate) mode: u16,
    /// What it is.
    pub(crate) kind: Kind<'a>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A directory.
    Dir,
    /// A file: a range of the stream with the hashes of its pieces.
    File {
        /// Where it begins in the stream.
        start: u64,
        /// Its length.
        len: u64,
        /// One XXH64 per piece.
        hashes: &'a [[u8; 8]],
    },
    /// The same file as an earlier entry, by number.
    HardLink(u32),
    /// A symbolic link.
    Symlink(&'a str),
    /// The launcher's own bytes, with their XXH64.
    Launcher(u64),
}

/// A checked index.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    /// The frames in order.
    pub(crate) frames: Vec<Frame<'a>>,
    /// The paths, each after its parent.
    pub(crate) entries: Vec<Entry<'a>>,
    /// Numbers of the file entries that have bytes, by where they are in the stream.
    pub(crate) files: Vec<u32>,
}

/// Why an index is refused.
pub(crate) type Bad = &'static str;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Bad> {
        let (head, tail) = self.0.split_at_checked(len).ok_or("the index is cut")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Bad> {
        let (head, tail) = self.0.split_first_chunk().ok_or("the index is cut")?;
        self.0 = tail;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, Bad> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    fn u32(&mut self) -> Result<u32, Bad> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, Bad> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn text(&mut self) -> Result<&'a str, Bad> {
        let len = self.u16()?;
        let bytes = self.take(usize::from(len))?;
        core::str::from_utf8(bytes).map_err(|_| "a path is not UTF-8")
    }
}

/// The numbers of the frames that a range of the stream touches, first and one past the last; `len` must not be zero.
pub(crate) fn frames_of(frames: &[Frame<'_>], start: u64, len: u64) -> (usize, usize) {
    let first = frames.partition_point(|frame| frame.end() <= start);
    let last = frames.partition_point(|frame| frame.start < start.saturating_add(len));
    (first, last)
}

impl<'a> Index<'a> {
    /// Reads and checks an index.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Bad> {
        let mut reader = Reader(bytes);
        if reader.array::<8>()? != MAGIC {
            return Err("no index");
        }
        let (frames, entries) = (reader.u32()?, reader.u32()?);
        let frames = parse_frames(&mut reader, frames)?;
        // An entry has five bytes at least: a count is no reason to allocate.
        let mut list: Vec<Entry<'a>> =
            Vec::with_capacity((entries as usize).min(reader.0.len() / 5));
        for number in 0..entries {
            let entry = parse_entry(&mut reader, &frames, number)?;
            check_place(&entry, &list)?;
            list.push(entry);
        }
        if !reader.0.is_empty() {
            return Err("the index has a tail");
        }
        let files = tile(&frames, &list)?;
        Ok(Self {
            frames,
            entries: list,
            files,
        })
    }

    /// The range of `files` whose bytes a frame has.
    pub(crate) fn files_in(&self, frame: &Frame<'_>) -> &[u32] {
        let span = |number: &u32| match self.entries[*number as usize].kind {
            Kind::File { start, len, .. } => (start, start + len),
            _ => (0, 0),
        };
        let first = self
            .files
            .partition_point(|file| span(file).1 <= frame.start);
        let last = self
            .files
            .partition_point(|file| span(file).0 < frame.end());
        &self.files[first..last]
    }
}

fn parse_frames<'a>(reader: &mut Reader<'a>, count: u32) -> Result<Vec<Frame<'a>>, Bad> {
    let mut frames: Vec<Frame<'a>> = Vec::with_capacity((count as usize).min(reader.0.len() / 41));
    let (mut packed_at, mut start) = (0u64, 0u64);
    for _ in 0..count {
        let (packed_len, len) = (reader.u32()?, reader.u32()?);
        if len == 0 || len > LONGEST_FRAME {
            return Err("a frame is empty or too long");
        }
        let code = match reader.take(1)?[0] {
            PLAIN => false,
            CODE => true,
            _ => return Err("a frame has an unknown filter"),
        };
        frames.push(Frame {
            packed_at,
            packed_len,
            start,
            len,
            code,
            sha256: reader.array()?,
        });
        // At most 2^32 frames of 2^32 bytes: no overflow.
        packed_at += u64::from(packed_len);
        start += u64::from(len);
    }
    Ok(frames)
}

fn parse_entry<'a>(
    reader: &mut Reader<'a>,
    frames: &[Frame<'_>],
    number: u32,
) -> Result<Entry<'a>, Bad> {
    let kind = reader.take(1)?[0];
    let mode = reader.u16()?;
    let path = reader.text()?;
    if !path::is_tree_path(path) {
        return Err("a path is not relative and normalised");
    }
    if mode > 0o777 {
        return Err("a mode has more than permission bits");
    }
    let kind = match kind {
        DIR => Kind::Dir,
        FILE => parse_file(reader, frames)?,
        HARD_LINK => match reader.u32()? {
            target if target < number => Kind::HardLink(target),
            _ => return Err("a hard link does not point back"),
        },
        SYMLINK => match reader.text()? {
            target if path::stays_inside(path, target) => Kind::Symlink(target),
            _ => return Err("a symbolic link leads out of the tree"),
        },
        LAUNCHER => Kind::Launcher(reader.u64()?),
        _ => return Err("an entry is of no known kind"),
    };
    Ok(Entry { path, mode, kind })
}

fn parse_file<'a>(reader: &mut Reader<'a>, frames: &[Frame<'_>]) -> Result<Kind<'a>, Bad> {
    let (start, len) = (reader.u64()?, reader.u64()?);
    let total = frames.last().map_or(0, Frame::end);
    if start.checked_add(len).is_none_or(|end| end > total) {
        return Err("a file lies outside of the frames");
    }
    let pieces = match len {
        0 => 0,
        len => {
            let (first, last) = frames_of(frames, start, len);
            last - first
        }
    };
    let (hashes, _) = reader.take(pieces * 8)?.as_chunks();
    Ok(Kind::File { start, len, hashes })
}

/// The order of paths, and that the parent is a directory of the index.
fn check_place(entry: &Entry<'_>, before: &[Entry<'_>]) -> Result<(), Bad> {
    if let Some(last) = before.last()
        && path::order(last.path, entry.path).is_ge()
    {
        return Err("paths are out of order");
    }
    if let Some((parent, _)) = entry.path.rsplit_once('/') {
        let found = before
            .binary_search_by(|entry| path::order(entry.path, parent))
            .map_err(|_| "a parent directory is missing")?;
        if before[found].kind != Kind::Dir {
            return Err("a parent is no directory");
        }
    }
    if let Kind::HardLink(target) = entry.kind
        && !matches!(before[target as usize].kind, Kind::File { .. })
    {
        return Err("a hard link points to something that is no file");
    }
    Ok(())
}

/// Every byte of the stream belongs to exactly one file.
fn tile(frames: &[Frame<'_>], entries: &[Entry<'_>]) -> Result<Vec<u32>, Bad> {
    let mut spans: Vec<(u64, u64, u32)> = Vec::new();
    for (number, entry) in (0u32..).zip(entries) {
        if let Kind::File { start, len, .. } = entry.kind
            && len > 0
        {
            spans.push((start, start + len, number));
        }
    }
    spans.sort_unstable();
    let mut at = 0;
    for (start, end, _) in &spans {
        if *start != at {
            return Err("files overlap or leave a gap");
        }
        at = *end;
    }
    if at != frames.last().map_or(0, Frame::end) {
        return Err("the frames have bytes of no file");
    }
    Ok(spans.into_iter().map(|(_, _, number)| number).collect())
}
