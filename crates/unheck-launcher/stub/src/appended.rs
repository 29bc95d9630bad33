//! The payload behind the program's own bytes: finding it, its index, and what of it is whole. Start at
//! [`Appended::open`].

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::sys::{self, Fd};
use crate::wire::code;
use crate::wire::payload::{Entry, Frame, Index, Kind, frames_of};
use crate::wire::trailer::{BadTrailer, TRAILER_LEN, Trailer};
use crate::wire::xxh64::xxh64;
use crate::zstd::{self, Decoder};

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Why a payload cannot be used, for people.
pub(crate) type Damage = String;

/// An executable with a payload.
pub(crate) struct Appended {
    file: Fd,
    len: u64,
    pub(crate) trailer: Trailer,
}

impl Appended {
    /// Looks for a payload at the end of the program's own file; `None` when it is a bare launcher.
    pub(crate) fn open(file: Fd) -> Result<Option<Self>, Damage> {
        let cannot = |error: sys::Errno| alloc::format!("cannot read this file: {}", error.text());
        let len = sys::stat_fd(&file).map_err(cannot)?.len;
        let Some(at) = len.checked_sub(TRAILER_LEN as u64) else {
            return Ok(None);
        };
        let mut bytes = [0; TRAILER_LEN];
        if !sys::read_at(&file, &mut bytes, at).map_err(cannot)? {
            return Ok(None);
        }
        match Trailer::decode(&bytes, len, sha256) {
            Ok(trailer) => Ok(Some(Self { file, len, trailer })),
            Err(BadTrailer::Absent) => match end_of_program(&file) {
                Some(end) if end < len => Err("this file is damaged: its end is missing".into()),
                _ => Ok(None),
            },
            Err(BadTrailer::Version) => {
                Err("the payload is of a version that this launcher does not know".into())
            }
            Err(BadTrailer::Damaged) => {
                Err("this file is damaged: its end is not what was written".into())
            }
        }
    }

    /// What the unpacked tree is called: the first half of the content id in hex.
    pub(crate) fn name(&self) -> String {
        let mut name = String::new();
        for byte in &self.trailer.content[..16] {
            name.push_str(&alloc::format!("{byte:02x}"));
        }
        name
    }

    /// Maps the file and reads the index, checked against the content id.
    pub(crate) fn load(&self) -> Result<Loaded, Damage> {
        let damaged = |what: &str| alloc::format!("this file is damaged: {what}");
        let bytes = sys::map_file(&self.file, self.len as usize)
            .map_err(|error| alloc::format!("cannot map this file: {}", error.text()))?;
        let trailer = &self.trailer;
        // The trailer's lengths were checked to fill the file.
        let (stub, rest) = bytes.split_at(trailer.start as usize);
        let (frames, rest) = rest.split_at(trailer.frames_len as usize);
        let packed = &rest[..trailer.index_len as usize];
        if sha256(packed) != trailer.content {
            return Err(damaged("its index is not what was written"));
        }
        let raw = zstd::decode(packed, trailer.index_raw as usize)
            .ok_or_else(|| damaged("its index cannot be decoded"))?;
        let index = Index::parse(raw.leak()).map_err(damaged)?;
        let packed_len: u64 = index
            .frames
            .iter()
            .map(|frame| u64::from(frame.packed_len))
            .sum();
        if packed_len != trailer.frames_len {
            return Err(damaged("its frames are not as long as the index says"));
        }
        Ok(Loaded {
            index,
            frames,
            stub,
        })
    }
}

/// Where the program's own bytes end: after its section headers, which the linker puts last.
fn end_of_program(file: &Fd) -> Option<u64> {
    let mut header = [0; 64];
    sys::read_at(file, &mut header, 0).ok()?;
    let table = u64::from_le_bytes(*header[40..].first_chunk()?);
    let number = |at: usize| {
        header[at..]
            .first_chunk()
            .map(|bytes| u16::from_le_bytes(*bytes))
    };
    table.checked_add(u64::from(number(58)?) * u64::from(number(60)?))
}

/// A mapped payload with its index.
pub(crate) struct Loaded {
    pub(crate) index: Index<'static>,
    frames: &'static [u8],
    /// The launcher's own bytes.
    pub(crate) stub: &'static [u8],
}

/// One file's part of a frame.
pub(crate) struct Piece<'a> {
    pub(crate) entry: &'a Entry<'static>,
    pub(crate) bytes: &'a [u8],
    /// Where the bytes belong in the file.
    pub(crate) offset: u64,
    /// Whether they are the whole file.
    pub(crate) whole: bool,
}

impl Loaded {
    fn packed(&self, frame: &Frame<'_>) -> &'static [u8] {
        &self.frames[frame.packed_at as usize..][..frame.packed_len as usize]
    }

    /// A decoder with room for the longest frame.
    pub(crate) fn decoder(&self) -> Result<Decoder, Damage> {
        let longest = self.index.frames.iter().map(|frame| frame.len).max();
        Decoder::new(longest.unwrap_or(0) as usize)
            .ok_or_else(|| "no memory for the decoder".into())
    }

    /// Decodes a frame, checks it and hands out its files' pieces.
    pub(crate) fn frame(
        &self,
        number: usize,
        decoder: &mut Decoder,
        each: &mut dyn FnMut(Piece<'_>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let frame = &self.index.frames[number];
        let packed = self.packed(frame);
        let sound = sha256(packed) == *frame.sha256;
        let bytes = if sound {
            decoder.frame(packed, frame.len as usize)
        } else {
            None
        };
        let Some(bytes) = bytes else {
            let bytes = decoder.salvage(packed, frame.len as usize);
            if frame.code {
                code::decode(bytes);
            }
            return Err(self.blame(number, bytes));
        };
        if frame.code {
            code::decode(bytes);
        }
        for file in self.index.files_in(frame) {
            let (piece, hash) = self.piece(*file, number, bytes);
            if xxh64(piece.bytes) != hash {
                return Err(damaged_file(piece.entry));
            }
            each(piece)?;
        }
        Ok(())
    }

    /// The piece of a file that a frame has, and what it must hash to.
    fn piece<'a>(&'a self, file: u32, number: usize, bytes: &'a [u8]) -> (Piece<'a>, u64) {
        let entry = &self.index.entries[file as usize];
        let frame = &self.index.frames[number];
        let Kind::File { start, len, hashes } = entry.kind else {
            unreachable!("the index lists files only");
        };
        let from = start.max(frame.start);
        let to = (start + len).min(frame.end());
        let (first, _) = frames_of(&self.index.frames, start, len);
        let inside = |at: u64| ((at - frame.start) as usize).min(bytes.len());
        let piece = Piece {
            entry,
            bytes: &bytes[inside(from)..inside(to)],
            offset: from - start,
            whole: to - from == len,
        };
        (piece, u64::from_le_bytes(hashes[number - first]))
    }

    /// The first file of a damaged frame whose bytes are not what was written.
    fn blame(&self, number: usize, bytes: &[u8]) -> Damage {
        let files = self.index.files_in(&self.index.frames[number]);
        let bad = files.iter().find(|file| {
            let (piece, hash) = self.piece(**file, number, bytes);
            xxh64(piece.bytes) != hash
        });
        match bad.or(files.first()) {
            Some(file) => damaged_file(&self.index.entries[*file as usize]),
            None => "this file is damaged: a frame without files".into(),
        }
    }

    /// Checks the copies of the launcher, which are cut from the program's own bytes.
    pub(crate) fn check_stub(&self) -> Result<(), Damage> {
        let mut expected = self
            .index
            .entries
            .iter()
            .filter_map(|entry| match entry.kind {
                Kind::Launcher(hash) => Some(hash),
                _ => None,
            });
        let Some(first) = expected.next() else {
            return Ok(());
        };
        if xxh64(self.stub) != first || expected.any(|hash| hash != first) {
            return Err("this file is damaged: its launcher is not what was written".into());
        }
        Ok(())
    }

    /// Checks an unpacked tree against the index: kinds, lengths and, when `deeply`, every byte. The first path that
    /// differs is returned.
    pub(crate) fn differs(&self, tree: &Fd, deeply: bool) -> Option<&'static str> {
        let entries = &self.index.entries;
        entries
            .iter()
            .find(|entry| !self.same(tree, entry, deeply).unwrap_or(false))
            .map(|entry| entry.path)
    }

    fn same(&self, tree: &Fd, entry: &Entry<'static>, deeply: bool) -> Result<bool, sys::Errno> {
        let path = crate::say::c_string(&[entry.path.as_bytes()]);
        let status = sys::stat(tree.at(), &path, false)?;
        let file = |len: u64| status.is_file() && status.len == len;
        Ok(match entry.kind {
            Kind::Dir => status.is_dir(),
            Kind::Symlink(target) => {
                status.is_link() && sys::read_link(tree.at(), &path)? == target.as_bytes()
            }
            Kind::HardLink(_) if !deeply => status.is_file(),
            Kind::HardLink(target) => {
                let target = &self.index.entries[target as usize];
                let target = Entry {
                    path: entry.path,
                    ..*target
                };
                self.same(tree, &target, deeply)?
            }
            Kind::Launcher(hash) => {
                file(self.stub.len() as u64)
                    && (!deeply || xxh64(&content(tree, &path, self.stub.len())?) == hash)
            }
            Kind::File { start, len, hashes } => {
                file(len)
                    && (!deeply
                        || self.same_pieces(&content(tree, &path, len as usize)?, start, hashes))
            }
        })
    }

    fn same_pieces(&self, bytes: &[u8], start: u64, hashes: &[[u8; 8]]) -> bool {
        let len = bytes.len() as u64;
        if len == 0 {
            return hashes.is_empty();
        }
        let (first, last) = frames_of(&self.index.frames, start, len);
        self.index.frames[first..last]
            .iter()
            .zip(hashes)
            .all(|(frame, hash)| {
                let from = frame.start.max(start) - start;
                let to = frame.end().min(start + len) - start;
                xxh64(&bytes[from as usize..to as usize]) == u64::from_le_bytes(*hash)
            })
    }
}

fn content(tree: &Fd, path: &core::ffi::CStr, len: usize) -> Result<Vec<u8>, sys::Errno> {
    let file = sys::open(tree.at(), path, sys::READ | sys::NO_FOLLOW, 0)?;
    let mut bytes = alloc::vec![0; len];
    sys::read_at(&file, &mut bytes, 0)?;
    Ok(bytes)
}

fn damaged_file(entry: &Entry<'_>) -> Damage {
    alloc::format!(
        "this file is damaged: `{}` is not what was written",
        crate::say::shown(entry.path.as_bytes())
    )
}
