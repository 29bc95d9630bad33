//! What compiled modules import whose names cannot be read in their bytes: newer Cython packs its
//! texts, and many distributions ship the source beside. Start at [`CythonSources::of`].

use std::collections::BTreeMap;

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_pyapi::References;

use super::NarrowError;
use super::walk::{bytes, source};
use crate::assemble::PackReader;
use crate::layout::Layout;
use crate::tree::{Kind, Origin, Tree};

/// Longest source that is read.
const MAX_SOURCE: u64 = 16 << 20;

/// Imports in the Cython sources of a tree, by directory.
#[derive(Debug, Clone, Default)]
pub struct CythonSources(BTreeMap<TreePath, References>);

impl CythonSources {
    /// Reads every Cython source of the distributions, before trimming takes them away.
    ///
    /// # Errors
    /// [`NarrowError`] when one cannot be read.
    pub fn of(tree: &Tree, reader: &PackReader<'_>, layout: &Layout) -> Result<Self, NarrowError> {
        let sources: Vec<&TreePath> = tree
            .iter()
            .filter(|(path, node)| {
                let name = path.file_name();
                matches!(node.origin, Origin::Distribution(_))
                    && matches!(node.kind, Kind::File(_))
                    && (name.ends_with(".pyx") || name.ends_with(".pxi"))
                    && path.is_under(layout.site.as_str())
            })
            .map(|(path, _)| path)
            .collect();
        let read: Vec<(TreePath, References)> = sources
            .into_par_iter()
            .filter_map(|path| Some((path, path.parent()?)))
            .map(|(path, directory)| {
                let text = bytes(tree, reader, path, MAX_SOURCE)?.unwrap_or_default();
                let code = import_statements(&String::from_utf8_lossy(&text));
                let inner = &directory.as_str()[layout.site.as_str().len()..];
                let package = inner.trim_start_matches('/').replace('/', ".");
                let found = source(code.as_bytes(), &package, &package, layout);
                Ok((directory, found))
            })
            .collect::<Result<_, NarrowError>>()?;
        let mut found: BTreeMap<TreePath, References> = BTreeMap::new();
        for (directory, mut references) in read {
            let all = found.entry(directory).or_default();
            all.modules.append(&mut references.modules);
        }
        Ok(Self(found))
    }

    /// What the sources beside an extension module, and below it, import; `None` when there are
    /// none.
    pub(super) fn beside(&self, path: &TreePath) -> Option<References> {
        let directory = path.parent()?;
        let below = self
            .0
            .iter()
            .filter(|(place, _)| **place == directory || place.is_under(directory.as_str()));
        let mut all: Option<References> = None;
        for (_, found) in below {
            let all = all.get_or_insert_default();
            all.modules.extend(found.modules.iter().cloned());
        }
        all
    }
}

/// The `import` statements of a Cython source as Python: without `cimport`, none indented.
fn import_statements(text: &str) -> String {
    let mut found = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let start = line.trim();
        let imports = start.starts_with("import ")
            || (start.starts_with("from ") && start.contains(" import "));
        if !imports {
            continue;
        }
        let start = start.split('#').next().unwrap_or_default();
        let mut statement = start.trim().to_owned();
        let open = |text: &str| text.contains('(') && !text.contains(')') || text.ends_with('\\');
        while open(&statement) {
            let Some(next) = lines.next() else { break };
            let next = next.split('#').next().unwrap_or_default();
            statement = format!("{} {}", statement.trim_end_matches('\\'), next.trim());
        }
        found.push_str(&statement);
        found.push('\n');
    }
    found
}

/// Whether a compiled module is Cython's and its texts are packed.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
    has(b"__pyx_") && (has(b"string data decompression failed") || !has(b"__main__"))
}

/// Longest text that is unpacked at one place.
const MAX_TEXT: usize = 1 << 20;
/// A shorter one is chance.
const MIN_TEXT: usize = 128;

/// The texts that newer Cython packs, wherever some stand in the bytes of a module.
///
/// The format is that of Cython's `LZSS.py`: a byte of flags, the lowest first, then for each set
/// flag one byte, for each other a reference backwards of two or three bytes. Where a text begins
/// is not written anywhere that can be read, so every place is tried that begins as one does:
/// with eight letters.
pub(super) fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut covered = 0;
    for at in memchr::memchr_iter(0xff, bytes) {
        let letters = bytes.get(at + 1..at + 9);
        if at < covered || !letters.is_some_and(|letters| letters.iter().all(|b| is_letter(*b))) {
            continue;
        }
        let (text, end) = unpack(bytes, at);
        if text.len() >= MIN_TEXT && text[..MIN_TEXT].iter().all(|byte| is_letter(*byte)) {
            covered = end;
            all.extend(text);
            all.push(0);
        }
    }
    all
}

fn is_letter(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..)
}

/// One packed text, until something in it is impossible; it has no end of its own.
fn unpack(bytes: &[u8], start: usize) -> (Vec<u8>, usize) {
    let mut text: Vec<u8> = Vec::new();
    let mut at = start;
    while let Some(flags) = bytes.get(at) {
        at += 1;
        for bit in 0..8 {
            let Some(&low) = bytes.get(at) else {
                return (text, at);
            };
            if flags >> bit & 1 == 1 {
                text.push(low);
                at += 1;
            } else {
                let high = bytes.get(at + 1).copied().unwrap_or_default();
                let (low, high) = (usize::from(low), usize::from(high));
                let (back, length, width) = if low & 0x80 == 0 {
                    (low, high, 2)
                } else if high & 0x80 == 0 {
                    (
                        0x80 + (((high << 2) & 0x180) | (low & 0x7f)),
                        high & 0x1f,
                        2,
                    )
                } else {
                    let length = bytes.get(at + 2).copied().unwrap_or_default();
                    let back = 0x80 + ((high & 0x7f) << 7 | (low & 0x7f));
                    (back, usize::from(length), 3)
                };
                at += width;
                let length = length + 3;
                let Some(from) = text.len().checked_sub(back + length) else {
                    return (text, at);
                };
                text.extend_from_within(from..from + length);
            }
            if text.len() >= MAX_TEXT {
                return (text, at);
            }
        }
    }
    (text, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_imports_of_python_are_taken_from_cython() {
        let text = "cimport numpy as cnp\nfrom libc.math cimport sqrt\nimport os, sys\ncdef f():\n    from . import (  # here\n        a,  # one\n        b,\n    )\n    from x import y\n";
        assert_eq!(
            import_statements(text),
            "import os, sys\nfrom . import ( a, b, )\nfrom x import y\n"
        );
    }

    /// Packs a text without any reference backwards.
    pub(crate) fn packed(text: &str) -> Vec<u8> {
        let groups = text.as_bytes().chunks(8);
        groups.flat_map(|group| [&[0xff], group].concat()).collect()
    }

    #[test]
    fn packed_texts_are_unpacked_wherever_they_stand() {
        let text = "import decimal and many other words ".repeat(8);
        let object = [&[0, 1, 2, 0xff, 3][..], &packed(&text), &[0; 40]].concat();
        let found = String::from_utf8_lossy(&unpacked(&object)).into_owned();
        assert!(found.contains(&text), "{found}");
        assert!(unpacked(b"\xffimport x\xff and no more").is_empty());
        // `abcdefgh`, then three letters from five back: `(5, 0)` counts from the end of the match.
        let (text, _) = unpack(b"\xffabcdefgh\x01i\x05\x00", 0);
        assert_eq!(text, b"abcdefghibcd");
        // References to what is not there, and a cut end, are no panic.
        for end in 0..12 {
            unpack(
                &b"\x00\x7f\xff\xff\xff\xff\x00\x80\x81\x82\x83\x84"[..end],
                0,
            );
        }
    }

    #[test]
    fn packed_texts_are_known_by_what_is_missing() {
        assert!(is_packed(
            b"\0__pyx_capi\0LZSS string data decompression failed\0__main__"
        ));
        assert!(is_packed(b"\0__pyx_capi\0"));
        assert!(!is_packed(b"\0__pyx_capi\0__main__\0"));
        assert!(!is_packed(b"\0PyInit_x\0"));
    }
}
