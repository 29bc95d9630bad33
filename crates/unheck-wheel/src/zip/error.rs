//! Why an archive was refused.

use std::io;

use unheck_base::TreePathError;

use crate::limits::LimitExceeded;

/// Why a zip archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The reader failed, or ended early.
    #[error("cannot read the archive at byte {at}")]
    Read {
        /// Where in the archive.
        at: u64,
        /// The reader's answer.
        source: io::Error,
    },
    /// The end of central directory record breaks a rule.
    #[error("the archive's end record is refused: {0}")]
    End(&'static str),
    /// The central directory breaks a rule.
    #[error("the archive's central directory is refused: {0}")]
    Central(&'static str),
    /// A member breaks a rule.
    #[error("member `{name}` is refused: {problem}")]
    Member {
        /// The member's name, escaped.
        name: String,
        /// The rule.
        problem: MemberProblem,
    },
    /// Something is too large.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

/// The rule that a member of an archive breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberProblem {
    /// The name is no [`unheck_base::TreePath`].
    #[error("{0}")]
    Path(TreePathError),
    /// The name has a backslash, a separator for other readers (APPNOTE 4.4.17.1).
    #[error("its name has a backslash")]
    Backslash,
    /// The name has a control character.
    #[error("its name has a control character")]
    Control,
    /// The name is not ASCII and not marked as UTF-8 (APPNOTE 4.4.4, bit 11).
    #[error("its name is not ASCII, and not marked as UTF-8")]
    Encoding,
    /// The Info-ZIP unicode path field gives another name (APPNOTE 4.6.9).
    #[error("its unicode path field gives another name")]
    UnicodePath,
    /// Two members have one name.
    #[error("it is there twice")]
    Duplicate,
    /// Two names are equal after NFC and case folding.
    #[error("its name collides with `{0}` where upper and lower case are the same")]
    Collision(String),
    /// A file stands where another member needs a directory.
    #[error("it lies under `{0}`, which is a file")]
    UnderFile(String),
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// A general purpose flag that has no place in a wheel.
    #[error("it has the unsupported flags {0:#06x}")]
    Flags(u16),
    /// Neither stored nor deflated.
    #[error("it is compressed by method {0}, only 0 (stored) and 8 (deflate) are allowed")]
    Method(u16),
    /// A symlink, device, pipe or socket by its Unix mode.
    #[error("it is a {0}, only regular files and directories are allowed")]
    FileType(&'static str),
    /// A directory with content.
    #[error("it is a directory with content")]
    DirectoryContent,
    /// An extra field is cut off or breaks its own format.
    #[error("its extra field {0:#06x} is malformed")]
    Extra(u16),
    /// It says that it is on another disk.
    #[error("it is on another disk")]
    Disk,
    /// It has a comment.
    #[error("it has a comment")]
    Comment,
    /// A stored member with two sizes, or sizes that only a descriptor gives.
    #[error("it is stored, but its sizes do not agree")]
    StoredSize,
    /// The local header is not where the central directory says.
    #[error("it has no local header where the central directory says")]
    NoLocalHeader,
    /// Local header and central directory disagree.
    #[error("its local header has another {0} than the central directory")]
    Local(&'static str),
    /// The data descriptor and the central directory disagree.
    #[error("its data descriptor contradicts the central directory")]
    Descriptor,
    /// Bytes between the records that belong to none, or records that overlap.
    #[error("its record is not adjacent to the next one")]
    NotAdjacent,
    /// The compressed bytes are not deflate (RFC 1951), or end early.
    #[error("its compressed bytes are broken")]
    Deflate,
    /// Compressed bytes are left after the end of the deflate stream.
    #[error("it has bytes after the end of its compressed stream")]
    TrailingBytes,
    /// It inflates to another size.
    #[error("it has not the {0} bytes that the archive says")]
    Size(u64),
    /// The content has another CRC-32.
    #[error("its content has not the CRC that the archive says")]
    Crc,
}
