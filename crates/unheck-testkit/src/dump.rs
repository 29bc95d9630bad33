//! Tree dumps: an archive as text, one line per member, for goldens that can be read.
//!
//! Read [`tree_dump`] first. Panics on what it cannot read.

use std::fmt::Write as _;
use std::io::Read as _;

use tar::EntryType;

/// One line per member of a tar archive, in the archive's order: kind (`d`, `f`, `l`, `h`, `c`,
/// `b`, `p`), mode in octal, size in bytes, first 8 hex digits of the SHA-256 (files), path, and
/// ` -> target` (links). `bytes` may be compressed with gzip, xz or zstd.
pub fn tree_dump(bytes: &[u8]) -> String {
    let plain = decompress(bytes);
    let mut archive = tar::Archive::new(plain.as_slice());
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry
            .link_name_bytes()
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        let kind = match header.entry_type() {
            EntryType::Directory => 'd',
            EntryType::Symlink => 'l',
            EntryType::Link => 'h',
            EntryType::Char => 'c',
            EntryType::Block => 'b',
            EntryType::Fifo => 'p',
            _ => 'f',
        };
        let mut body = Vec::new();
        entry.read_to_end(&mut body).unwrap();
        let what = match kind {
            'f' => format!("{} {}", body.len(), &crate::sha256_hex(&body)[..8]),
            _ => "- -".to_owned(),
        };
        let mode = header.mode().unwrap();
        let target = link.map(|link| format!(" -> {link}")).unwrap_or_default();
        writeln!(text, "{kind} {mode:04o} {what} {path}{target}").unwrap();
    }
    text
}

/// Undoes gzip, xz or zstd by the magic number; anything else is returned as it is.
pub fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match bytes {
        [0x1f, 0x8b, ..] => {
            flate2::read::MultiGzDecoder::new(bytes)
                .read_to_end(&mut out)
                .unwrap();
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            lzma_rust2::XzReader::new(bytes, true)
                .read_to_end(&mut out)
                .unwrap();
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => out = zstd::decode_all(bytes).unwrap(),
        _ => out = bytes.to_vec(),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::{FIFO, TarEntry, gzip, write_tar, xz, zstd};

    #[test]
    fn one_line_per_member_whatever_the_compression() {
        let long = format!("{}/end", "d".repeat(120));
        let tar = write_tar(&[
            TarEntry::dir("a/"),
            TarEntry {
                mode: 0o4755,
                ..TarEntry::file("a/x", "hi")
            },
            TarEntry::symlink("a/y", "x"),
            TarEntry::hardlink("a/z", "a/x"),
            TarEntry::new("a/p", FIFO, 0o600),
            TarEntry::pax(&[("path", "a/renamed")]),
            TarEntry::file("a/short", ""),
            TarEntry::file(&long, "1"),
        ]);
        let expected = format!(
            "d 0755 - - a/\nf 4755 2 8f434346 a/x\nl 0777 - - a/y -> x\nh 0644 - - a/z -> a/x\n\
             p 0600 - - a/p\nf 0644 0 e3b0c442 a/renamed\nf 0644 1 6b86b273 {long}\n"
        );
        for bytes in [gzip(&tar), xz(&tar), zstd(&tar), tar.clone()] {
            assert_eq!(tree_dump(&bytes), expected);
        }
    }
}
