//! The index of a pack: its entries as values and as bytes.
//!
//! Compact so that 1,500 entries open in less than a millisecond: numbers are LEB128, texts have
//! their length before them, digests are 32 raw bytes. The bytes are covered by a digest in the pack's
//! footer and are parsed with distrust all the same. Start at [`decode`].

use unheck_base::{Digest, TreePath};

/// The names and modes of a member before its content is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive.
    pub path: TreePath,
    /// Permission bits (the low 12 bits of `st_mode`).
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// What [`crate::PackWriter::add_file`] found out about a file while it was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Where its content begins in the pack.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// The digest of its content.
    pub digest: Digest,
}

/// One member of an archive in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackEntry {
    /// Its path in the archive.
    pub path: TreePath,
    /// Permission bits (the low 12 bits of `st_mode`).
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub kind: PackKind,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackKind {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Where its content begins in the pack.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// The digest of its content.
        digest: Digest,
    },
    /// A symlink: the text as it stood in the archive.
    Symlink(String),
    /// A second name of a file of the same archive.
    Hardlink(TreePath),
}

/// Why bytes are not an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadIndex(pub(crate) &'static str);

/// The index as bytes: the metadata as JSON text, then the entries.
pub(crate) fn encode(meta: &str, entries: &[PackEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(meta.len() + entries.len() * 96);
    put_text(&mut out, meta);
    put_number(&mut out, entries.len() as u64);
    for entry in entries {
        let tag = match &entry.kind {
            PackKind::Dir => 0,
            PackKind::File { .. } => 1,
            PackKind::Symlink(_) => 2,
            PackKind::Hardlink(_) => 3,
        };
        out.push(tag);
        put_text(&mut out, entry.path.as_str());
        put_number(&mut out, u64::from(entry.mode));
        put_number(&mut out, zigzag(entry.mtime));
        match &entry.kind {
            PackKind::Dir => {}
            PackKind::File {
                offset,
                len,
                digest,
            } => {
                put_number(&mut out, *offset);
                put_number(&mut out, *len);
                out.extend(digest.as_bytes());
            }
            PackKind::Symlink(target) => put_text(&mut out, target),
            PackKind::Hardlink(target) => put_text(&mut out, target.as_str()),
        }
    }
    out
}

/// Parses an index; every file must lie in the first `content` bytes of the pack.
pub(crate) fn decode(bytes: &[u8], content: u64) -> Result<(&str, Vec<PackEntry>), BadIndex> {
    let mut input = Input(bytes);
    let meta = input.text()?;
    let count = input.number()?;
    // An entry takes five bytes at least, so a lying count cannot make us allocate much.
    if count > (bytes.len() / 5) as u64 {
        return Err(BadIndex("its index counts too many entries"));
    }
    let mut entries: Vec<PackEntry> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let entry = input.entry(content)?;
        if entries.last().is_some_and(|last| last.path >= entry.path) {
            return Err(BadIndex("its index is not sorted"));
        }
        entries.push(entry);
    }
    if !input.0.is_empty() {
        return Err(BadIndex("its index has trailing bytes"));
    }
    Ok((meta, entries))
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend(text.as_bytes());
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn entry(&mut self, content: u64) -> Result<PackEntry, BadIndex> {
        let tag = self.take(1)?[0];
        let path = self.path()?;
        let mode =
            u32::try_from(self.number()?).map_err(|_| BadIndex("its index has a bad mode"))?;
        let mtime = unzigzag(self.number()?);
        let kind = match tag {
            0 => PackKind::Dir,
            1 => self.file(content)?,
            2 => PackKind::Symlink(self.text()?.to_owned()),
            3 => PackKind::Hardlink(self.path()?),
            _ => return Err(BadIndex("its index has an unknown kind")),
        };
        Ok(PackEntry {
            path,
            mode,
            mtime,
            kind,
        })
    }

    fn file(&mut self, content: u64) -> Result<PackKind, BadIndex> {
        let offset = self.number()?;
        let len = self.number()?;
        if offset.checked_add(len).is_none_or(|end| end > content) {
            return Err(BadIndex("its index points outside of the pack"));
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(self.take(32)?);
        Ok(PackKind::File {
            offset,
            len,
            digest: Digest::from_bytes(digest),
        })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], BadIndex> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(BadIndex("its index is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, BadIndex> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BadIndex("its index has a bad number"))
    }

    fn text(&mut self) -> Result<&'a str, BadIndex> {
        let len = usize::try_from(self.number()?).map_err(|_| BadIndex("its index is cut off"))?;
        std::str::from_utf8(self.take(len)?).map_err(|_| BadIndex("its index is not UTF-8"))
    }

    fn path(&mut self) -> Result<TreePath, BadIndex> {
        TreePath::new(self.text()?).map_err(|_| BadIndex("its index has a bad path"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<PackEntry> {
        let path = |text| TreePath::new(text).expect("path");
        let entry = |text, mtime, kind| PackEntry {
            path: path(text),
            mode: 0o755,
            mtime,
            kind,
        };
        let digest = Digest::of(b"x");
        let (offset, len) = (3, 1_000_000);
        vec![
            entry("a", -1, PackKind::Dir),
            entry(
                "a/é",
                i64::MAX,
                PackKind::File {
                    offset,
                    len,
                    digest,
                },
            ),
            entry("a/h", i64::MIN, PackKind::Hardlink(path("a/é"))),
            entry("b", 0, PackKind::Symlink("../x".to_owned())),
        ]
    }

    #[test]
    fn an_index_survives_the_round_trip() {
        let mut entries = sample();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let bytes = encode("{}", &entries);
        assert_eq!(decode(&bytes, 1_000_003), Ok(("{}", entries)));
    }

    #[test]
    fn wrong_indexes_are_refused_with_the_reason() {
        let mut entries = sample();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let good = encode("{}", &entries);
        let outside = "its index points outside of the pack";
        assert_eq!(decode(&good, 1_000_002), Err(BadIndex(outside)));
        let mut long = good.clone();
        long.push(0);
        assert_eq!(
            decode(&long, u64::MAX),
            Err(BadIndex("its index has trailing bytes"))
        );
        entries.reverse();
        let unsorted = encode("{}", &entries);
        assert_eq!(
            decode(&unsorted, u64::MAX),
            Err(BadIndex("its index is not sorted"))
        );
        for cut in 0..good.len() {
            assert!(decode(&good[..cut], u64::MAX).is_err(), "cut at {cut}");
        }
        let huge = [&[0][..], &[0xff; 9], &[1]].concat();
        let many = "its index counts too many entries";
        assert_eq!(decode(&huge, 0), Err(BadIndex(many)));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, 1000);
        }

        #[test]
        fn a_flipped_byte_never_panics(at in 0_usize..200, flip in 1_u8..) {
            let mut bytes = encode("{}", &sample());
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let _ = decode(&bytes, 2_000_000);
        }

        #[test]
        fn numbers_survive(number in any::<i64>()) {
            let mut out = Vec::new();
            put_number(&mut out, zigzag(number));
            prop_assert_eq!(Input(&out).number().map(unzigzag), Ok(number));
        }
    }
}
