//! A zip writer that writes what it is told (APPNOTE.TXT 6.3.10, sections 4.3 to 4.5).
//!
//! Local and central records are written apart, so that they can be made to disagree. It checks
//! nothing. Read [`ZipFile`] first.

use std::io::Write as _;

/// An archive: prefix, entries, central directory, end record, comment, trailing bytes.
#[derive(Debug, Clone, Default)]
pub struct ZipFile {
    /// The members in order.
    pub entries: Vec<ZipEntry>,
    /// Bytes before the first local record; offsets do not count them unless `shift_offsets`.
    pub prefix: Vec<u8>,
    /// Whether offsets are measured from the start of `prefix` (a self-extracting archive) or
    /// from its end.
    pub shift_offsets: bool,
    /// Bytes after the end record that no field accounts for.
    pub trailing: Vec<u8>,
    /// The archive comment, accounted for.
    pub comment: Vec<u8>,
    /// The number of entries to claim in the end record.
    pub claimed_count: Option<u16>,
}

/// One member.
#[derive(Debug, Clone)]
pub struct ZipEntry {
    /// The name's bytes; flag bit 11 (UTF-8) is set where they are UTF-8 and not ASCII.
    pub name: Vec<u8>,
    /// The body before compression.
    pub data: Vec<u8>,
    /// 0 stores, 8 deflates; another number stores under that number.
    pub method: u16,
    /// The Unix mode with its file type (`0o100644`), high half of the external attributes.
    pub mode: u32,
    /// More general purpose flag bits: 1 claims encryption.
    pub flags: u16,
    /// CRC and sizes follow the body in a data descriptor; the local record has zeros.
    pub descriptor: bool,
    /// Sizes are in a zip64 extra field.
    pub zip64: bool,
    /// More extra field bytes, local and central.
    pub extra: Vec<u8>,
    /// A ready body: compressed bytes, claimed size, CRC. Overrules `data`.
    pub raw: Option<RawBody>,
    /// What the local record (and the descriptor) says instead of the truth.
    pub local: Claims,
    /// What the central record says instead of the truth.
    pub central: Claims,
}

/// A body that is written as it stands.
#[derive(Debug, Clone)]
pub struct RawBody {
    /// The bytes in the archive.
    pub bytes: Vec<u8>,
    /// The uncompressed size to record.
    pub size: u64,
    /// The CRC-32 to record.
    pub crc: u32,
}

/// Fields of a record that are to differ from the truth.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Another name.
    pub name: Option<Vec<u8>>,
    /// Another CRC-32.
    pub crc: Option<u32>,
    /// Another uncompressed size.
    pub size: Option<u64>,
    /// Another compressed size.
    pub compressed: Option<u64>,
    /// Another method.
    pub method: Option<u16>,
}

struct Facts {
    body: Vec<u8>,
    size: u64,
    crc: u32,
    offset: u64,
}

impl ZipEntry {
    /// A deflated regular file of mode 644.
    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            data: data.as_ref().to_vec(),
            method: 8,
            mode: 0o100_644,
            flags: 0,
            descriptor: false,
            zip64: false,
            extra: Vec::new(),
            raw: None,
            local: Claims::default(),
            central: Claims::default(),
        }
    }

    /// A symbolic link, as Info-ZIP stores it: the target is the body.
    pub fn symlink(name: impl AsRef<[u8]>, target: &str) -> Self {
        Self {
            mode: 0o120_777,
            method: 0,
            ..Self::file(name, target)
        }
    }

    /// A deflated run of `size` zero bytes, compressed about 1000 to 1.
    pub fn zeros(name: impl AsRef<[u8]>, size: u64) -> Self {
        let chunk = vec![0_u8; 1 << 16];
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        let mut crc = flate2::Crc::new();
        let mut left = size;
        while left > 0 {
            let part = &chunk[..left.min(chunk.len() as u64) as usize];
            encoder.write_all(part).unwrap();
            crc.update(part);
            left -= part.len() as u64;
        }
        let raw = RawBody {
            bytes: encoder.finish().unwrap(),
            size,
            crc: crc.sum(),
        };
        Self {
            raw: Some(raw),
            ..Self::file(name, "")
        }
    }

    fn facts(&self, offset: u64) -> Facts {
        if let Some(raw) = &self.raw {
            return Facts {
                body: raw.bytes.clone(),
                size: raw.size,
                crc: raw.crc,
                offset,
            };
        }
        let mut crc = flate2::Crc::new();
        crc.update(&self.data);
        let body = if self.method == 8 {
            deflate(&self.data)
        } else {
            self.data.clone()
        };
        Facts {
            body,
            size: self.data.len() as u64,
            crc: crc.sum(),
            offset,
        }
    }

    /// What the local and the central record have in common, from `version needed` to the extra
    /// field's length (sections 4.3.7 and 4.3.12), then name and extra field apart.
    fn fields(&self, facts: &Facts, claims: &Claims, zeroed: bool) -> (Vec<u8>, Vec<u8>) {
        let name = claims.name.as_ref().unwrap_or(&self.name);
        let mut flags = self.flags;
        if self.descriptor {
            flags |= 1 << 3;
        }
        if !name.is_ascii() && std::str::from_utf8(name).is_ok() {
            flags |= 1 << 11;
        }
        let mut size = claims.size.unwrap_or(facts.size);
        let mut compressed = claims.compressed.unwrap_or(facts.body.len() as u64);
        let mut crc = claims.crc.unwrap_or(facts.crc);
        if zeroed {
            (size, compressed, crc) = (0, 0, 0);
        }
        let mut extra = Vec::new();
        let (mut size32, mut compressed32) = (size as u32, compressed as u32);
        if self.zip64 {
            extra.extend([1, 0, 16, 0]);
            extra.extend(size.to_le_bytes());
            extra.extend(compressed.to_le_bytes());
            (size32, compressed32) = (u32::MAX, u32::MAX);
        }
        extra.extend_from_slice(&self.extra);
        let mut out = Vec::new();
        put16(&mut out, if self.zip64 { 45 } else { 20 });
        put16(&mut out, flags);
        put16(&mut out, claims.method.unwrap_or(self.method));
        // 1980-01-01 00:00, the epoch of the format.
        put16(&mut out, 0);
        put16(&mut out, 0x21);
        put32(&mut out, crc);
        put32(&mut out, compressed32);
        put32(&mut out, size32);
        put16(&mut out, name.len() as u16);
        put16(&mut out, extra.len() as u16);
        (out, [name.as_slice(), &extra].concat())
    }

    fn write_local(&self, out: &mut Vec<u8>, facts: &Facts) {
        let (fields, tail) = self.fields(facts, &self.local, self.descriptor);
        out.extend_from_slice(b"PK\x03\x04");
        out.extend(fields);
        out.extend(tail);
        out.extend_from_slice(&facts.body);
        if self.descriptor {
            out.extend_from_slice(b"PK\x07\x08");
            put32(out, self.local.crc.unwrap_or(facts.crc));
            let sizes = [
                self.local.compressed.unwrap_or(facts.body.len() as u64),
                self.local.size.unwrap_or(facts.size),
            ];
            for size in sizes {
                match self.zip64 {
                    true => out.extend(size.to_le_bytes()),
                    false => put32(out, size as u32),
                }
            }
        }
    }

    fn write_central(&self, out: &mut Vec<u8>, facts: &Facts) {
        let (fields, tail) = self.fields(facts, &self.central, false);
        out.extend_from_slice(b"PK\x01\x02");
        // Made by version 3.0 on Unix (3), so that the mode means something.
        put16(out, 0x031e);
        out.extend(fields);
        for _ in 0..3 {
            put16(out, 0); // comment length, disk number, internal attributes
        }
        put32(out, self.mode << 16);
        put32(out, facts.offset as u32);
        out.extend(tail);
    }
}

impl ZipFile {
    /// The archive's bytes.
    pub fn build(&self) -> Vec<u8> {
        let base = if self.shift_offsets {
            0
        } else {
            self.prefix.len() as u64
        };
        let mut out = self.prefix.clone();
        let mut central = Vec::new();
        for entry in &self.entries {
            let facts = entry.facts(out.len() as u64 - base);
            entry.write_local(&mut out, &facts);
            entry.write_central(&mut central, &facts);
        }
        let start = out.len() as u64 - base;
        out.extend_from_slice(&central);
        let count = self.claimed_count.unwrap_or(self.entries.len() as u16);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        put16(&mut out, count);
        put16(&mut out, count);
        put32(&mut out, central.len() as u32);
        put32(&mut out, start as u32);
        put16(&mut out, self.comment.len() as u16);
        out.extend_from_slice(&self.comment);
        out.extend_from_slice(&self.trailing);
        out
    }
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}
