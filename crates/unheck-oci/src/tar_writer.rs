//! A deterministic tar writer: POSIX ustar, with PAX records only where ustar has no room.
//!
//! The bytes depend on the entries and their order alone. Refuses what a runtime would read
//! differently from what was meant: a path twice, a path below a file or symlink, a directory after
//! its content, names that are whiteouts, content of another length than announced.
//! Start at [`TarWriter::append`].
//!
//! Formats: IEEE Std 1003.1-2017, `pax`, "ustar Interchange Format" and "pax Interchange Format".

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use unheck_base::TreePath;

/// The size of a header and the unit that content is padded to.
pub const BLOCK: usize = 512;
/// The largest number in the 11 octal digits of a size or time field.
const MAX_OCTAL_11: u64 = 0o777_7777_7777;
/// The largest number in the 7 octal digits of an owner field.
const MAX_OCTAL_7: u64 = 0o777_7777;
/// The beginning of a file name that image-spec 1.1, `layer.md`, "Whiteouts", reserves.
pub(crate) const WHITEOUT_PREFIX: &str = ".wh.";

/// One node to be written.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where the node stands in the root file system.
    pub path: &'a TreePath,
    /// The permission bits with set-user-id, set-group-id and sticky: 12 bits.
    pub mode: u32,
    /// The owner's number; no name is written.
    pub uid: u32,
    /// The group's number; no name is written.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// What the node is.
    pub kind: EntryKind<'a>,
}

/// What a node is.
#[derive(Debug, Clone, Copy)]
pub enum EntryKind<'a> {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// The exact number of bytes that the content has.
        len: u64,
    },
    /// A symlink with its text, which is not followed or checked beyond length and NUL.
    Symlink(&'a str),
    /// Another name of a regular file that was written before to the same archive.
    Hardlink(&'a TreePath),
}

/// Why an entry or the end of the archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The output failed.
    #[error("cannot write the tar entry `{path}`")]
    Write {
        /// The entry.
        path: TreePath,
        /// The cause.
        source: io::Error,
    },
    /// The content could not be read.
    #[error("cannot read the content of `{path}`")]
    Read {
        /// The entry.
        path: TreePath,
        /// The cause.
        source: io::Error,
    },
    /// The end of the archive could not be written.
    #[error("cannot write the end of the tar archive")]
    Finish(#[source] io::Error),
    /// The content ended early.
    #[error("the content of `{path}` has {actual} bytes, {expected} were announced")]
    Short {
        /// The entry.
        path: TreePath,
        /// Bytes announced.
        expected: u64,
        /// Bytes that came.
        actual: u64,
    },
    /// The content did not end where it should.
    #[error("the content of `{path}` has more than the {expected} bytes that were announced")]
    Long {
        /// The entry.
        path: TreePath,
        /// Bytes announced.
        expected: u64,
    },
    /// The path was written before.
    #[error("`{0}` is already in this archive")]
    Duplicate(TreePath),
    /// The path goes through something that is no directory.
    #[error("`{path}` lies below `{ancestor}`, which is not a directory")]
    BelowNonDirectory {
        /// The entry.
        path: TreePath,
        /// What was written there before.
        ancestor: TreePath,
    },
    /// Something in it was written before it.
    #[error("`{0}` comes after what lies in it")]
    AfterContent(TreePath),
    /// The target of a hardlink was not written before, or is not a regular file.
    #[error("the hardlink `{path}` points to `{target}`, which is no file written before it")]
    HardlinkTarget {
        /// The entry.
        path: TreePath,
        /// What it points to.
        target: TreePath,
    },
    /// The text of a symlink cannot be one.
    #[error("the text of the symlink `{0}` is empty, has a NUL byte or more than 4095 bytes")]
    SymlinkText(TreePath),
    /// More than 12 mode bits.
    #[error("the mode `{mode:o}` of `{path}` has more than permission bits")]
    Mode {
        /// The entry.
        path: TreePath,
        /// The mode.
        mode: u32,
    },
    /// A runtime would read the entry as "delete this from the layer below".
    #[error("`{0}` has a part that begins with `.wh.`, which an image layer reads as a deletion")]
    Whiteout(TreePath),
}

/// Writes a tar archive to `W`, one entry after the other.
pub struct TarWriter<W> {
    out: W,
    seen: Seen,
    buffer: Box<[u8]>,
}

impl<W: Write> TarWriter<W> {
    /// An archive without entries yet. `out` gets writes of at most 64 KiB; buffer it if they
    /// are dear.
    pub fn new(out: W) -> Self {
        Self {
            out,
            seen: Seen::default(),
            buffer: vec![0; 64 * 1024].into(),
        }
    }

    /// Writes `entry` and, for a file, all of `content`; for anything else `content` is not read.
    ///
    /// # Errors
    /// See [`TarError`]. After an error the archive is unfit for use.
    pub fn append(&mut self, entry: &Entry<'_>, content: &mut dyn Read) -> Result<(), TarError> {
        self.header(entry)?;
        let EntryKind::File { len } = entry.kind else {
            return Ok(());
        };
        let mut left = len;
        loop {
            // One byte more than announced is asked for, to notice content that is too long.
            let want = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX);
            let want = want.min(self.buffer.len());
            let read = match content.read(&mut self.buffer[..want]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let path = entry.path.clone();
                    return Err(TarError::Read { path, source });
                }
            };
            left = left
                .checked_sub(read as u64)
                .ok_or_else(|| TarError::Long {
                    path: entry.path.clone(),
                    expected: len,
                })?;
            let written = self.out.write_all(&self.buffer[..read]);
            written.map_err(|source| write_error(entry, source))?;
        }
        if left > 0 {
            return Err(TarError::Short {
                path: entry.path.clone(),
                expected: len,
                actual: len - left,
            });
        }
        self.pad(entry, len)
    }

    /// As [`TarWriter::append`] with the content in memory; empty for all but files.
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn append_bytes(&mut self, entry: &Entry<'_>, content: &[u8]) -> Result<(), TarError> {
        let (EntryKind::File { len }, actual) = (entry.kind, content.len() as u64) else {
            return self.header(entry);
        };
        let path = || entry.path.clone();
        if actual > len {
            return Err(TarError::Long {
                path: path(),
                expected: len,
            });
        }
        if actual < len {
            return Err(TarError::Short {
                path: path(),
                expected: len,
                actual,
            });
        }
        self.header(entry)?;
        let written = self.out.write_all(content);
        written.map_err(|source| write_error(entry, source))?;
        self.pad(entry, len)
    }

    /// Writes the two zero blocks at the end and gives the output back.
    ///
    /// # Errors
    /// [`TarError::Finish`].
    pub fn finish(mut self) -> Result<W, TarError> {
        let end = [0; 2 * BLOCK];
        self.out.write_all(&end).map_err(TarError::Finish)?;
        Ok(self.out)
    }

    fn header(&mut self, entry: &Entry<'_>) -> Result<(), TarError> {
        check(entry)?;
        self.seen.add(entry)?;
        let bytes = header_bytes(entry);
        let written = self.out.write_all(&bytes);
        written.map_err(|source| write_error(entry, source))
    }

    fn pad(&mut self, entry: &Entry<'_>, len: u64) -> Result<(), TarError> {
        let zeros = [0; BLOCK];
        let written = self.out.write_all(&zeros[..padding(len)]);
        written.map_err(|source| write_error(entry, source))
    }
}

/// The bytes that an archive has before the content of `entry`: who knows what an archive should say needs no parser
/// to find out whether it does.
///
/// # Errors
/// [`TarError`] for what no archive can have.
pub fn header(entry: &Entry<'_>) -> Result<Vec<u8>, TarError> {
    check(entry)?;
    Ok(header_bytes(entry))
}

/// How many zero bytes follow content of `len` bytes.
pub fn padding(len: u64) -> usize {
    (len.wrapping_neg() % BLOCK as u64) as usize
}

fn write_error(entry: &Entry<'_>, source: io::Error) -> TarError {
    let path = entry.path.clone();
    TarError::Write { path, source }
}

/// The rules that need no memory of other entries.
fn check(entry: &Entry<'_>) -> Result<(), TarError> {
    if entry.mode > 0o7777 {
        return Err(TarError::Mode {
            path: entry.path.clone(),
            mode: entry.mode,
        });
    }
    let mut parts = entry.path.as_str().split('/');
    if parts.any(|part| part.starts_with(WHITEOUT_PREFIX)) {
        return Err(TarError::Whiteout(entry.path.clone()));
    }
    if let EntryKind::Symlink(text) = entry.kind
        && (text.is_empty() || text.contains('\0') || text.len() > 4095)
    {
        return Err(TarError::SymlinkText(entry.path.clone()));
    }
    Ok(())
}

/// The paths written so far, so that an archive cannot contradict itself.
#[derive(Default)]
struct Seen(BTreeMap<Box<str>, SeenKind>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum SeenKind {
    Dir,
    /// Never written itself, but something below it was.
    ImpliedDir,
    File,
    Symlink,
}

impl Seen {
    fn add(&mut self, entry: &Entry<'_>) -> Result<(), TarError> {
        let path = entry.path;
        let kind = match entry.kind {
            EntryKind::Dir => SeenKind::Dir,
            EntryKind::File { .. } => SeenKind::File,
            EntryKind::Symlink(_) => SeenKind::Symlink,
            EntryKind::Hardlink(target) => {
                if self.0.get(target.as_str()) != Some(&SeenKind::File) {
                    return Err(TarError::HardlinkTarget {
                        path: path.clone(),
                        target: target.clone(),
                    });
                }
                SeenKind::File
            }
        };
        match self.0.get(path.as_str()) {
            Some(SeenKind::ImpliedDir) => return Err(TarError::AfterContent(path.clone())),
            Some(_) => return Err(TarError::Duplicate(path.clone())),
            None => {}
        }
        self.add_ancestors(path)?;
        self.0.insert(path.as_str().into(), kind);
        Ok(())
    }

    /// From the nearest ancestor upwards, until one that is known: its own ancestors are then too.
    fn add_ancestors(&mut self, path: &TreePath) -> Result<(), TarError> {
        let mut rest = path.as_str();
        while let Some((ancestor, _)) = rest.rsplit_once('/') {
            match self.0.get(ancestor) {
                Some(SeenKind::Dir | SeenKind::ImpliedDir) => return Ok(()),
                Some(SeenKind::File | SeenKind::Symlink) => {
                    let known = path.ancestors().find(|a| a.as_str() == ancestor);
                    return Err(TarError::BelowNonDirectory {
                        path: path.clone(),
                        ancestor: known.unwrap_or_else(|| path.clone()),
                    });
                }
                None => self.0.insert(ancestor.into(), SeenKind::ImpliedDir),
            };
            rest = ancestor;
        }
        Ok(())
    }
}

/// The header of `entry`, with the PAX records before it when it needs some.
fn header_bytes(entry: &Entry<'_>) -> Vec<u8> {
    let (kind, len, link) = match entry.kind {
        EntryKind::Dir => (b'5', 0, ""),
        EntryKind::File { len } => (b'0', len, ""),
        EntryKind::Symlink(text) => (b'2', 0, text),
        EntryKind::Hardlink(target) => (b'1', 0, target.as_str()),
    };
    let name = match entry.kind {
        EntryKind::Dir => format!("{}/", entry.path),
        _ => entry.path.to_string(),
    };
    let split = split_name(&name);
    let mut records = Records::default();
    if entry.gid as u64 > MAX_OCTAL_7 {
        records.add("gid", &entry.gid.to_string());
    }
    if !(link.is_ascii() && link.len() <= 100) {
        records.add("linkpath", link);
    }
    let mtime = u64::try_from(entry.mtime).ok();
    let mtime = mtime.filter(|&mtime| mtime <= MAX_OCTAL_11);
    if mtime.is_none() {
        records.add("mtime", &entry.mtime.to_string());
    }
    if split.is_none() {
        records.add("path", &name);
    }
    if len > MAX_OCTAL_11 {
        records.add("size", &len.to_string());
    }
    if entry.uid as u64 > MAX_OCTAL_7 {
        records.add("uid", &entry.uid.to_string());
    }

    let fields = Fields {
        name: split.unwrap_or(("", &name)),
        mode: entry.mode.into(),
        uid: entry.uid.into(),
        gid: entry.gid.into(),
        len,
        mtime: mtime.unwrap_or(0),
        kind,
        link,
    };
    let mut bytes = records.into_entry();
    bytes.extend_from_slice(&fields.encode());
    bytes
}

/// The header of the regular file `name` of an archive whose names are short ASCII: the blobs of
/// an image archive.
pub(crate) fn plain_header(name: &str, len: u64) -> Vec<u8> {
    let mut records = Records::default();
    if len > MAX_OCTAL_11 {
        records.add("size", &len.to_string());
    }
    let is_dir = name.ends_with('/');
    let fields = Fields {
        name: split_name(name).unwrap_or(("", name)),
        mode: if is_dir { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        len,
        mtime: 0,
        kind: if is_dir { b'5' } else { b'0' },
        link: "",
    };
    let mut bytes = records.into_entry();
    bytes.extend_from_slice(&fields.encode());
    bytes
}

/// PAX records, added in the order of their keys.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    /// `length key=value\n`, where the length counts its own digits.
    fn add(&mut self, key: &str, value: &str) {
        let rest = key.len() + value.len() + 3;
        let mut total = rest + 1;
        while total != rest + total.to_string().len() {
            total = rest + total.to_string().len();
        }
        let record = format!("{total} {key}={value}\n");
        self.0.extend_from_slice(record.as_bytes());
    }

    /// The extended header entry, or nothing.
    fn into_entry(self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let len = self.0.len() as u64;
        let fields = Fields {
            name: ("", "././@PaxHeader"),
            mode: 0o644,
            uid: 0,
            gid: 0,
            len,
            mtime: 0,
            kind: b'x',
            link: "",
        };
        let mut bytes = fields.encode().to_vec();
        bytes.extend_from_slice(&self.0);
        bytes.resize(bytes.len() + padding(len), 0);
        bytes
    }
}

/// The fields of one ustar header. What is too big for its field is written as 0 or cut, because
/// a PAX record has it then.
struct Fields<'a> {
    name: (&'a str, &'a str),
    mode: u64,
    uid: u64,
    gid: u64,
    len: u64,
    mtime: u64,
    kind: u8,
    link: &'a str,
}

impl Fields<'_> {
    fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        text(&mut block[0..100], self.name.1);
        octal(&mut block[100..108], self.mode);
        octal(&mut block[108..116], self.uid);
        octal(&mut block[116..124], self.gid);
        octal(&mut block[124..136], self.len);
        octal(&mut block[136..148], self.mtime);
        block[148..156].fill(b' ');
        block[156] = self.kind;
        text(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], 0);
        octal(&mut block[337..345], 0);
        text(&mut block[345..500], self.name.0);
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

/// Copies text into a field; other than ASCII, and what has no room, only stands in PAX.
fn text(field: &mut [u8], value: &str) {
    let bytes = value.bytes().filter(u8::is_ascii);
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = from;
    }
}

/// Writes all octal digits that fit before the closing NUL.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let value = if value >> (3 * digits) == 0 { value } else { 0 };
    for (place, to) in field[..digits].iter_mut().rev().enumerate() {
        *to = b'0' + (value >> (3 * place) & 7) as u8;
    }
}

/// Splits a name into prefix (at most 155 bytes) and name (at most 100), `None` if it needs PAX.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some(("", name));
    }
    // The rightmost slash that leaves a prefix of at most 155 bytes and a name that is not empty.
    let end = (name.len() - 1).min(156);
    let at = name[..end].rfind('/')?;
    let (prefix, rest) = (&name[..at], &name[at + 1..]);
    (at > 0 && rest.len() <= 100).then_some((prefix, rest))
}

#[cfg(test)]
#[path = "tar_writer_tests.rs"]
mod tests;
