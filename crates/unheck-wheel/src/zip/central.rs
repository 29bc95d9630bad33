//! The central directory (APPNOTE 4.3.12).

use unheck_base::TreePath;

use super::extra::{Sizes, read_extra};
use super::{MemberProblem, ZipError, u16_at, u32_at};
use crate::limits::{shown, shown_bytes};

const HEADER: usize = 46;

/// Deflate levels (bits 1 and 2), data descriptor (3), UTF-8 name (11); APPNOTE 4.4.4.
const ALLOWED_FLAGS: u16 = 1 << 1 | 1 << 2 | DESCRIPTOR | UTF8;
pub(crate) const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
/// Encryption, strong encryption, masked headers.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// An entry of the central directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: TreePath,
    pub(crate) is_dir: bool,
    pub(crate) flags: u16,
    pub(crate) deflated: bool,
    pub(crate) crc32: u32,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    pub(crate) offset: u64,
    pub(crate) executable: bool,
}

impl Entry {
    /// The name as both headers must have it.
    pub(crate) fn raw_name(&self) -> Vec<u8> {
        let mut name = self.path.as_str().as_bytes().to_vec();
        if self.is_dir {
            name.push(b'/');
        }
        name
    }

    pub(crate) fn shown(&self) -> String {
        shown(self.path.as_str())
    }

    pub(crate) fn method(&self) -> u16 {
        if self.deflated { 8 } else { 0 }
    }

    pub(crate) fn problem(&self, problem: MemberProblem) -> ZipError {
        ZipError::Member {
            name: self.shown(),
            problem,
        }
    }
}

/// All entries, in the order of the directory, which must be exactly `count` entries long.
pub(crate) fn read_entries(directory: &[u8], count: u64) -> Result<Vec<Entry>, ZipError> {
    let mut rest = directory;
    let mut entries = Vec::new();
    for _ in 0..count {
        let Some((header, after)) = rest.split_first_chunk::<HEADER>() else {
            return Err(ZipError::Central(
                "it has fewer entries than the end record says",
            ));
        };
        if header[..4] != *b"PK\x01\x02" {
            return Err(ZipError::Central("an entry does not begin as one"));
        }
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(header, at)));
        let variable = lengths.iter().sum();
        let Some((variable, after)) = after.split_at_checked(variable) else {
            return Err(ZipError::Central("an entry is cut off"));
        };
        rest = after;
        let (name, variable) = variable.split_at(lengths[0]);
        let (extra, comment) = variable.split_at(lengths[1]);
        let entry = read_entry(header, name, extra, comment);
        entries.push(entry.map_err(|problem| ZipError::Member {
            name: shown_bytes(name),
            problem,
        })?);
    }
    if !rest.is_empty() {
        return Err(ZipError::Central(
            "it has more entries than the end record says, or a signature",
        ));
    }
    Ok(entries)
}

fn read_entry(
    header: &[u8; HEADER],
    name: &[u8],
    extra: &[u8],
    comment: &[u8],
) -> Result<Entry, MemberProblem> {
    let flags = u16_at(header, 8);
    if flags & ENCRYPTED != 0 {
        return Err(MemberProblem::Encrypted);
    }
    if flags & !ALLOWED_FLAGS != 0 {
        return Err(MemberProblem::Flags(flags & !ALLOWED_FLAGS));
    }
    let deflated = match u16_at(header, 10) {
        0 => false,
        8 => true,
        method => return Err(MemberProblem::Method(method)),
    };
    if u16_at(header, 34) != 0 {
        return Err(MemberProblem::Disk);
    }
    if !comment.is_empty() {
        return Err(MemberProblem::Comment);
    }
    let (path, is_dir) = member_path(name)?;
    let mut sizes = Sizes {
        size: u64::from(u32_at(header, 24)),
        compressed: u64::from(u32_at(header, 20)),
        offset: Some(u64::from(u32_at(header, 42))),
        zip64: false,
    };
    let confirmed = read_extra(extra, name, &mut sizes)?;
    if !name.is_ascii() && flags & UTF8 == 0 && !confirmed {
        return Err(MemberProblem::Encoding);
    }
    if !deflated && sizes.size != sizes.compressed {
        return Err(MemberProblem::StoredSize);
    }
    if is_dir && sizes.size != 0 {
        return Err(MemberProblem::DirectoryContent);
    }
    Ok(Entry {
        path,
        is_dir,
        flags,
        deflated,
        crc32: u32_at(header, 16),
        compressed: sizes.compressed,
        size: sizes.size,
        offset: sizes.offset.unwrap_or_default(),
        executable: read_mode(u32_at(header, 38), is_dir)?,
    })
}

/// The path of a member's name, and whether it is a directory's.
fn member_path(name: &[u8]) -> Result<(TreePath, bool), MemberProblem> {
    // Escape codes and line ends in a name are a trap for whoever prints it or writes RECORD.
    let Ok(text) = std::str::from_utf8(name) else {
        return Err(MemberProblem::Path(unheck_base::TreePathError::NotUtf8));
    };
    let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(control) && !text.contains('\0') {
        return Err(MemberProblem::Control);
    }
    if text.contains('\\') {
        return Err(MemberProblem::Backslash);
    }
    let (text, is_dir) = match text.strip_suffix('/') {
        Some(directory) if !directory.is_empty() => (directory, true),
        _ => (text, false),
    };
    let path = TreePath::new(text).map_err(MemberProblem::Path)?;
    Ok((path, is_dir))
}

/// Whether the external attributes make a regular file executable. The Unix mode is in the
/// upper half whatever the "made by" host is, because that is how installers read it.
fn read_mode(attributes: u32, is_dir: bool) -> Result<bool, MemberProblem> {
    let mode = attributes >> 16;
    let is_dir_type = match mode & 0o170_000 {
        0 => is_dir,
        0o100_000 => false,
        0o040_000 => true,
        0o120_000 => return Err(MemberProblem::FileType("symlink")),
        0o020_000 | 0o060_000 => return Err(MemberProblem::FileType("device")),
        0o010_000 => return Err(MemberProblem::FileType("pipe")),
        0o140_000 => return Err(MemberProblem::FileType("socket")),
        _ => return Err(MemberProblem::FileType("file of an unknown type")),
    };
    if is_dir_type && !is_dir {
        return Err(MemberProblem::FileType("directory by its mode only"));
    }
    // It would run as somebody else than who starts it; no installer keeps these bits.
    if !is_dir && mode & 0o6000 != 0 {
        return Err(MemberProblem::FileType("set-user-id or set-group-id file"));
    }
    Ok(!is_dir && mode & 0o111 != 0)
}
