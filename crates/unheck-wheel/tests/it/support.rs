//! A zip writer that hides nothing: every field of every record can be made to lie.

use std::error::Error;
use std::io::{Cursor, Write as _};

use unheck_base::{Digest, TreePath};
use unheck_wheel::{Limits, Scheme, Wheel, WheelError, WheelName};

/// A member; `None` in an override means the true value.
#[derive(Clone, Default)]
pub(crate) struct File {
    pub(crate) name: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) deflate: bool,
    pub(crate) method: Option<u16>,
    pub(crate) flags: u16,
    pub(crate) mode: u32,
    pub(crate) crc: Option<u32>,
    pub(crate) size: Option<u32>,
    pub(crate) compressed: Option<u32>,
    pub(crate) offset: Option<u32>,
    pub(crate) extra: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) local: Local,
    /// Raw bytes behind the content; the descriptor, or whatever hides there.
    pub(crate) tail: Vec<u8>,
    /// Raw bytes before the local header.
    pub(crate) before: Vec<u8>,
    /// Bytes appended to the compressed stream, counted in its size.
    pub(crate) padding: Vec<u8>,
}

/// Overrides for the local header.
#[derive(Clone, Default)]
pub(crate) struct Local {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) method: Option<u16>,
    pub(crate) flags: Option<u16>,
    pub(crate) crc: Option<u32>,
    pub(crate) size: Option<u32>,
    pub(crate) compressed: Option<u32>,
    pub(crate) extra: Vec<u8>,
}

/// What stands around the members.
#[derive(Clone, Default)]
pub(crate) struct Around {
    pub(crate) prefix: Vec<u8>,
    pub(crate) between: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) trailing: Vec<u8>,
    pub(crate) entries: Option<u16>,
    pub(crate) directory_size: Option<u32>,
    pub(crate) directory_offset: Option<u32>,
    pub(crate) disk: u16,
    /// Writes a zip64 end record and locator; this is added to its number of entries.
    pub(crate) zip64: Option<u64>,
    /// Offsets are relative to the end of the prefix, as in a self-extracting archive.
    pub(crate) relative: bool,
}

pub(crate) fn file(name: &str, content: impl Into<Vec<u8>>) -> File {
    File {
        name: name.into(),
        content: content.into(),
        deflate: true,
        mode: 0o100_644,
        flags: if name.is_ascii() { 0 } else { 1 << 11 },
        ..File::default()
    }
}

pub(crate) fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
}

fn write_member(out: &mut Vec<u8>, central: &mut Vec<u8>, base: usize, file: &File) {
    out.extend(&file.before);
    let offset = (out.len() - base) as u32;
    let mut data = if file.deflate {
        deflate(&file.content)
    } else {
        file.content.clone()
    };
    data.extend(&file.padding);
    let method = file.method.unwrap_or(if file.deflate { 8 } else { 0 });
    let crc = file.crc.unwrap_or_else(|| crc32fast::hash(&file.content));
    let size = file.size.unwrap_or(file.content.len() as u32);
    let compressed = file.compressed.unwrap_or(data.len() as u32);
    let local = &file.local;
    let local_name = local.name.as_ref().unwrap_or(&file.name);
    out.extend(b"PK\x03\x04");
    let flags = local.flags.unwrap_or(file.flags);
    u16s(out, &[20, flags, local.method.unwrap_or(method), 0, 33]);
    u32s(
        out,
        &[
            local.crc.unwrap_or(crc),
            local.compressed.unwrap_or(compressed),
        ],
    );
    u32s(out, &[local.size.unwrap_or(size)]);
    u16s(out, &[local_name.len() as u16, local.extra.len() as u16]);
    out.extend(local_name);
    out.extend(&local.extra);
    out.extend(data);
    out.extend(&file.tail);
    central.extend(b"PK\x01\x02");
    u16s(central, &[3 << 8 | 20, 20, file.flags, method, 0, 33]);
    u32s(central, &[crc, compressed, size]);
    u16s(central, &[file.name.len() as u16, file.extra.len() as u16]);
    u16s(central, &[file.comment.len() as u16, 0, 0]);
    u32s(central, &[file.mode << 16, file.offset.unwrap_or(offset)]);
    central.extend(&file.name);
    central.extend(&file.extra);
    central.extend(&file.comment);
}

pub(crate) fn zip(files: &[File], around: &Around) -> Vec<u8> {
    let mut out = around.prefix.clone();
    let base = if around.relative { out.len() } else { 0 };
    let mut central = Vec::new();
    for file in files {
        write_member(&mut out, &mut central, base, file);
    }
    out.extend(&around.between);
    let offset = (out.len() - base) as u64;
    out.extend(&central);
    let (mut count, mut size, mut short) =
        (files.len() as u16, central.len() as u32, offset as u32);
    if let Some(more) = around.zip64 {
        let at = (out.len() - base) as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        u16s(&mut out, &[45, 45]);
        u32s(&mut out, &[0, 0]);
        let entries = files.len() as u64 + more;
        for value in [entries, entries, central.len() as u64, offset] {
            out.extend(value.to_le_bytes());
        }
        out.extend(b"PK\x06\x07");
        u32s(&mut out, &[0]);
        out.extend(at.to_le_bytes());
        u32s(&mut out, &[1]);
        (count, size, short) = (u16::MAX, u32::MAX, u32::MAX);
    }
    let count = around.entries.unwrap_or(count);
    out.extend(b"PK\x05\x06");
    u16s(&mut out, &[around.disk, around.disk, count, count]);
    u32s(&mut out, &[around.directory_size.unwrap_or(size)]);
    u32s(&mut out, &[around.directory_offset.unwrap_or(short)]);
    u16s(&mut out, &[around.comment.len() as u16]);
    out.extend(&around.comment);
    out.extend(&around.trailing);
    out
}

pub(crate) const NAME: &str = "foo_bar-1.0-py3-none-any.whl";
pub(crate) const DIST_INFO: &str = "foo_bar-1.0.dist-info";
pub(crate) const METADATA: &str = "Metadata-Version: 2.4\nName: foo-bar\nVersion: 1.0\n\nText\n";
pub(crate) const WHEEL: &str =
    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

/// A digest as RECORD has it; independent of the code under test.
pub(crate) fn record_digest(content: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest = Digest::of(content);
    let bits: String = digest
        .as_bytes()
        .iter()
        .map(|b| format!("{b:08b}"))
        .collect();
    let bits = format!("{bits}00");
    let digits = bits.as_bytes().chunks(6).map(|six| {
        let six = std::str::from_utf8(six).unwrap();
        char::from(ALPHABET[usize::from_str_radix(six, 2).unwrap()])
    });
    digits.collect()
}

/// RECORD for the files, complete and true.
pub(crate) fn record_of(files: &[File]) -> String {
    let mut record = String::new();
    for file in files.iter().filter(|file| !file.name.ends_with(b"/")) {
        let name = String::from_utf8_lossy(&file.name);
        let (digest, len) = (record_digest(&file.content), file.content.len());
        let quoted = if name.contains(',') {
            format!("\"{name}\"")
        } else {
            name.into()
        };
        record.push_str(&format!("{quoted},sha256={digest},{len}\n"));
    }
    record + &format!("{DIST_INFO}/RECORD,,\n")
}

/// The files of a good wheel with `more` in it, RECORD last.
pub(crate) fn wheel_files(more: &[File]) -> Vec<File> {
    let mut files = more.to_vec();
    files.push(file(&format!("{DIST_INFO}/METADATA"), METADATA));
    files.push(file(&format!("{DIST_INFO}/WHEEL"), WHEEL));
    let record = record_of(&files);
    files.push(file(&format!("{DIST_INFO}/RECORD"), record));
    files
}

pub(crate) fn open(bytes: &[u8]) -> Result<Wheel, WheelError> {
    let name: WheelName = NAME.parse().unwrap();
    Wheel::open(
        &mut Cursor::new(bytes),
        bytes.len() as u64,
        &name,
        &Limits::default(),
    )
}

/// Opens and unpacks a wheel; the error's whole chain as text, or `None`.
pub(crate) fn refusal(bytes: &[u8]) -> Option<String> {
    let wheel = match open(bytes) {
        Ok(wheel) => wheel,
        Err(error) => return Some(chain(&error)),
    };
    let sink = &mut |_: usize, _: &unheck_wheel::zip::Member, content: &mut dyn std::io::Read| {
        std::io::copy(content, &mut std::io::sink()).map(drop)
    };
    let unpacked = wheel.unpack(&mut Cursor::new(bytes), sink);
    unpacked.err().map(|error| chain(&error))
}

pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

pub(crate) fn scheme() -> Scheme {
    let path = |text: &str| TreePath::new(text).unwrap();
    Scheme {
        purelib: path("usr/local/lib/python3.13/dist-packages"),
        platlib: path("usr/local/lib/python3.13/dist-packages"),
        scripts: path("usr/local/bin"),
        data: path("usr/local"),
        headers: path("usr/local/include/python3.13"),
        python: "/usr/bin/python3.13".into(),
        protected: vec![path("usr/lib/python3.13"), path("usr/local/lib/python3.13")],
    }
}
