//! A tar writer that writes what it is told: ustar headers, with GNU long names where needed.
//!
//! Format: POSIX.1-1988 ustar as in tar(5). It checks nothing, so hostile archives are one field
//! away. Read [`TarEntry`] first.

use std::io::Write as _;

/// One member. Every field goes into the header as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Name, bytes as stored; longer than 100 bytes becomes a GNU `L` member before this one.
    pub path: Vec<u8>,
    /// Type flag: [`FILE`], [`DIR`], [`SYMLINK`], [`HARDLINK`], [`CHAR_DEVICE`], [`FIFO`], …
    pub kind: u8,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Link target, for links.
    pub link: Vec<u8>,
    /// The body.
    pub data: Vec<u8>,
    /// The size to claim in the header where it is not the body's length.
    pub claimed_size: Option<u64>,
    /// Numeric owner and group.
    pub owner: (u32, u32),
}

/// Type flag of a regular file.
pub const FILE: u8 = b'0';
/// Type flag of a hard link.
pub const HARDLINK: u8 = b'1';
/// Type flag of a symbolic link.
pub const SYMLINK: u8 = b'2';
/// Type flag of a character device.
pub const CHAR_DEVICE: u8 = b'3';
/// Type flag of a block device.
pub const BLOCK_DEVICE: u8 = b'4';
/// Type flag of a directory.
pub const DIR: u8 = b'5';
/// Type flag of a named pipe.
pub const FIFO: u8 = b'6';
/// Type flag of a PAX header for the next member.
pub const PAX: u8 = b'x';

/// The modification time of every member unless set: 2025-06-01T00:00:00Z.
pub const MTIME: u64 = 1_748_736_000;

impl TarEntry {
    /// A member with an empty body.
    pub fn new(path: impl AsRef<[u8]>, kind: u8, mode: u32) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            kind,
            mode,
            mtime: MTIME,
            link: Vec::new(),
            data: Vec::new(),
            claimed_size: None,
            owner: (0, 0),
        }
    }

    /// A regular file of mode 644.
    pub fn file(path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        Self {
            data: data.as_ref().to_vec(),
            ..Self::new(path, FILE, 0o644)
        }
    }

    /// A directory of mode 755.
    pub fn dir(path: impl AsRef<[u8]>) -> Self {
        Self::new(path, DIR, 0o755)
    }

    /// A symbolic link.
    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            link: target.as_ref().to_vec(),
            ..Self::new(path, SYMLINK, 0o777)
        }
    }

    /// A hard link to another member.
    pub fn hardlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            link: target.as_ref().to_vec(),
            ..Self::new(path, HARDLINK, 0o644)
        }
    }

    /// A PAX extended header (POSIX.1-2001 pax) for the member after it.
    pub fn pax(records: &[(&str, &str)]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let body = key.len() + value.len() + 3;
            let mut len = body + 1;
            while len != body + len.to_string().len() {
                len += 1;
            }
            data.extend(format!("{len} {key}={value}\n").into_bytes());
        }
        Self {
            data,
            ..Self::new("PaxHeaders/0", PAX, 0o644)
        }
    }
}

/// The archive: members in the given order and two zero blocks.
pub fn write_tar(entries: &[TarEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        write_entry(&mut out, entry);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// gzip of `bytes`, no name and no time in the header (RFC 1952).
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// xz of `bytes`, lowest preset.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(0);
    // Most bodies are small: a small dictionary saves most of the set-up time.
    options.lzma_options.dict_size = 1 << 16;
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Zstandard of `bytes`, level 1.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn write_entry(out: &mut Vec<u8>, entry: &TarEntry) {
    if entry.path.len() > 100 {
        write_long(out, b'L', &entry.path);
    }
    if entry.link.len() > 100 {
        write_long(out, b'K', &entry.link);
    }
    write_header(out, entry);
    out.extend_from_slice(&entry.data);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn write_long(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    let data = [text, b"\0"].concat();
    let entry = TarEntry {
        data,
        mtime: 0,
        ..TarEntry::new("././@LongLink", kind, 0o644)
    };
    write_entry(out, &entry);
}

fn write_header(out: &mut Vec<u8>, entry: &TarEntry) {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &entry.path[..entry.path.len().min(100)]);
    put(100, format!("{:07o}\0", entry.mode).as_bytes());
    put(108, format!("{:07o}\0", entry.owner.0).as_bytes());
    put(116, format!("{:07o}\0", entry.owner.1).as_bytes());
    let size = entry.claimed_size.unwrap_or(entry.data.len() as u64);
    put(124, &number(size, 12));
    put(136, &number(entry.mtime, 12));
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, &entry.link[..entry.link.len().min(100)]);
    // GNU's magic: the only one under which `L` members are defined.
    put(
        257,
        if entry.kind == PAX {
            b"ustar\x0000"
        } else {
            b"ustar  \0"
        },
    );
    put(265, b"root");
    put(297, b"root");
    if matches!(entry.kind, CHAR_DEVICE | BLOCK_DEVICE) {
        put(329, b"0000001\0");
        put(337, b"0000003\0");
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&block);
}

/// Octal, or GNU base-256 where octal does not fit.
fn number(value: u64, width: usize) -> Vec<u8> {
    if value < 1 << (3 * (width - 1)) {
        return format!("{value:0digits$o}\0", digits = width - 1).into_bytes();
    }
    let mut field = vec![0_u8; width];
    field[0] = 0x80;
    field[width - 8..].copy_from_slice(&value.to_be_bytes());
    field
}
