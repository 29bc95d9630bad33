//! Reads a one-file executable without running it: [`ExeFile`].
//!
//! Every byte is hostile. What is given out was checked: the index against the trailer's hash, each
//! frame against the index' hash, and no path leads out of the tree (see `wire::payload`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use unheck_base::{Digest, TreePath};

use crate::wire::code;
use crate::wire::payload::{Frame, Index, Kind};
use crate::wire::trailer::{BadTrailer, TRAILER_LEN, Trailer};

/// An executable whose tree can be read.
#[derive(Debug)]
pub struct ExeFile {
    file: File,
    /// Where the frames begin.
    start: u64,
    index: Vec<u8>,
    content: Digest,
    /// The frame that was decoded last.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it stands.
    pub path: TreePath,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: ItemKind,
}

/// What a path of the tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Its length in bytes.
        len: u64,
    },
    /// A symbolic link, which stays inside.
    Symlink(String),
    /// The launcher's own bytes.
    Launcher {
        /// Their length.
        len: u64,
    },
}

/// An executable cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadExeError {
    /// It cannot be read from disk.
    #[error("cannot read `{path}`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is a program that unheck did not make.
    #[error("`{path}` is a program without a tree of unheck", path = path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// It is of a version that is not known here.
    #[error("`{path}` was made by an unheck whose format is not known here", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged.
    #[error("`{path}` is damaged: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it was seen.
        what: String,
    },
}

/// What is done with each path; files give their content by the reader.
pub type Visit<'v> = dyn FnMut(&Item, &mut dyn Read) -> io::Result<()> + 'v;

impl ExeFile {
    /// Opens an executable and checks its index.
    ///
    /// # Errors
    /// [`ReadExeError`].
    pub fn open(path: &Path) -> Result<Self, ReadExeError> {
        let read = |source| ReadExeError::Read {
            path: path.to_owned(),
            source,
        };
        let damaged = |what: &str| ReadExeError::Damaged {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        let absent = || ReadExeError::Absent {
            path: path.to_owned(),
        };
        let file: File = fs_err::File::open(path).map_err(read)?.into();
        let len = file.metadata().map_err(read)?.len();
        let at = len.checked_sub(TRAILER_LEN as u64).ok_or_else(absent)?;
        let mut bytes = [0; TRAILER_LEN];
        file.read_exact_at(&mut bytes, at).map_err(read)?;
        let sha256 = |bytes: &[u8]| *Digest::of(bytes).as_bytes();
        let trailer = Trailer::decode(&bytes, len, sha256).map_err(|bad| match bad {
            BadTrailer::Absent => absent(),
            BadTrailer::Version => ReadExeError::Version {
                path: path.to_owned(),
            },
            BadTrailer::Damaged => damaged("its end is not as it was written"),
        })?;
        // Both lengths have a limit in the trailer's own check.
        let mut packed = vec![0; trailer.index_len as usize];
        file.read_exact_at(&mut packed, trailer.start + trailer.frames_len)
            .map_err(read)?;
        let content = Digest::of(&packed);
        if *content.as_bytes() != trailer.content {
            return Err(damaged("its index is not as it was written"));
        }
        let index = zstd::bulk::decompress(&packed, trailer.index_raw as usize)
            .ok()
            .filter(|index| index.len() as u64 == trailer.index_raw)
            .ok_or_else(|| damaged("its index does not unpack"))?;
        let parsed = Index::parse(&index).map_err(&damaged)?;
        let frames_len = parsed
            .frames
            .last()
            .map_or(0, |frame| frame.packed_at + u64::from(frame.packed_len));
        if frames_len != trailer.frames_len {
            return Err(damaged("its frames are not as long as the index says"));
        }
        Ok(Self {
            file,
            start: trailer.start,
            content,
            index,
            last: Mutex::default(),
        })
    }

    /// What the tree is called in caches.
    pub const fn content(&self) -> Digest {
        self.content
    }

    /// Shows every path that `wanted` accepts to `visit`: directories before what is in them,
    /// files in the order of their bytes, links last.
    ///
    /// # Errors
    /// What `visit` answers; a frame that is damaged.
    pub fn visit(
        &self,
        wanted: &dyn Fn(&TreePath) -> bool,
        visit: &mut Visit<'_>,
    ) -> io::Result<()> {
        let index = Index::parse(&self.index).map_err(io::Error::other)?;
        let mut order: BTreeMap<(u8, u64, usize), Item> = BTreeMap::new();
        for (number, entry) in index.entries.iter().enumerate() {
            let path = TreePath::new(entry.path).map_err(io::Error::other)?;
            if !wanted(&path) {
                continue;
            }
            let (rank, kind) = match entry.kind {
                Kind::Dir => ((0, 0), ItemKind::Dir),
                Kind::File { start, len, .. } => ((1, start), ItemKind::File { len }),
                Kind::HardLink(target) => match index.entries[target as usize].kind {
                    Kind::File { start, len, .. } => ((1, start), ItemKind::File { len }),
                    _ => continue,
                },
                Kind::Launcher(_) => ((2, 0), ItemKind::Launcher { len: self.start }),
                Kind::Symlink(text) => ((3, 0), ItemKind::Symlink(text.to_owned())),
            };
            let item = Item {
                path,
                mode: u32::from(entry.mode),
                kind,
            };
            order.insert((rank.0, rank.1, number), item);
        }
        for ((_, start, _), item) in &order {
            match item.kind {
                ItemKind::File { len } => visit(item, &mut self.range(&index, *start, len))?,
                ItemKind::Launcher { len } => {
                    let mut file = self.file.try_clone()?;
                    io::Seek::rewind(&mut file)?;
                    visit(item, &mut file.take(len))?;
                }
                _ => visit(item, &mut io::empty())?,
            }
        }
        Ok(())
    }

    fn range<'f>(&'f self, index: &'f Index<'_>, start: u64, len: u64) -> Range<'f> {
        Range {
            exe: self,
            frames: &index.frames,
            at: start,
            end: start + len,
        }
    }

    fn frame(&self, number: usize, frame: &Frame<'_>) -> io::Result<Arc<Vec<u8>>> {
        let mut last = self
            .last
            .lock()
            .map_err(|_| io::Error::other("a reader panicked"))?;
        if let Some((there, bytes)) = &*last
            && *there == number
        {
            return Ok(Arc::clone(bytes));
        }
        let mut packed = vec![0; frame.packed_len as usize];
        self.file
            .read_exact_at(&mut packed, self.start + frame.packed_at)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a frame is damaged");
        if Digest::of(&packed).as_bytes() != frame.sha256 {
            return Err(damaged());
        }
        let mut bytes = zstd::bulk::decompress(&packed, frame.len as usize)?;
        if bytes.len() as u64 != u64::from(frame.len) {
            return Err(damaged());
        }
        if frame.code {
            code::decode(&mut bytes);
        }
        let bytes = Arc::new(bytes);
        *last = Some((number, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

/// A range of the stream.
struct Range<'f> {
    exe: &'f ExeFile,
    frames: &'f [Frame<'f>],
    at: u64,
    end: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.end || buffer.is_empty() {
            return Ok(0);
        }
        let number = self.frames.partition_point(|frame| frame.end() <= self.at);
        let frame = self
            .frames
            .get(number)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.exe.frame(number, frame)?;
        let from = (self.at - frame.start) as usize;
        let until = (self.end.min(frame.end()) - frame.start) as usize;
        let len = buffer.len().min(until - from);
        buffer[..len].copy_from_slice(&bytes[from..from + len]);
        self.at += len as u64;
        Ok(len)
    }
}
