//! The little of ELF that the check of a host asks for: the interpreter, and the symbol versions that a library
//! defines. 64-bit little-endian only; every offset is checked against the file.

use alloc::vec::Vec;

/// `e_machine` of x86-64 (ELF psABI).
pub(crate) const X86_64: u16 = 62;
/// `e_machine` of AArch64.
pub(crate) const AARCH64: u16 = 183;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;

/// An object of one machine.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    bytes: &'a [u8],
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    len: u64,
}

fn at<const N: usize>(bytes: &[u8], offset: u64) -> Option<[u8; N]> {
    let offset = usize::try_from(offset).ok()?;
    bytes.get(offset..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: u64) -> Option<u16> {
    at(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: u64) -> Option<u32> {
    at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: u64) -> Option<u64> {
    at(bytes, offset).map(u64::from_le_bytes)
}

/// The bytes up to the next NUL.
pub(crate) fn c_text(bytes: &[u8], offset: u64) -> Option<&[u8]> {
    let tail = bytes.get(usize::try_from(offset).ok()?..)?;
    let end = tail.iter().position(|byte| *byte == 0)?;
    tail.get(..end)
}

impl<'a> Object<'a> {
    /// Reads the headers; `None` when it is no object of that machine.
    pub(crate) fn parse(bytes: &'a [u8], machine: u16) -> Option<Self> {
        // Magic, 64-bit, little-endian.
        if bytes.get(..6)? != b"\x7fELF\x02\x01" || u16_at(bytes, 18)? != machine {
            return None;
        }
        let (table, size, count) = (u64_at(bytes, 32)?, u16_at(bytes, 54)?, u16_at(bytes, 56)?);
        if size != 56 {
            return None;
        }
        let mut segments = Vec::new();
        for number in 0..u64::from(count) {
            let header = table.checked_add(number * 56)?;
            segments.push(Segment {
                kind: u32_at(bytes, header)?,
                offset: u64_at(bytes, header.checked_add(8)?)?,
                address: u64_at(bytes, header.checked_add(16)?)?,
                len: u64_at(bytes, header.checked_add(32)?)?,
            });
        }
        Some(Self { bytes, segments })
    }

    /// The program's interpreter, without its NUL.
    pub(crate) fn interpreter(&self) -> Option<&'a [u8]> {
        let segment = self.segments.iter().find(|one| one.kind == PT_INTERP)?;
        c_text(self.segment(segment)?, 0)
    }

    /// The names of the symbol versions that the library defines; `None` when it cannot be read.
    pub(crate) fn defined_versions(&self) -> Option<Vec<&'a [u8]>> {
        let (mut definitions, mut count, mut strings, mut strings_len) = (None, 0, None, 0);
        let dynamic = self.segments.iter().find(|one| one.kind == PT_DYNAMIC)?;
        for pair in self.segment(dynamic)?.as_chunks::<16>().0 {
            let value = u64_at(pair, 8)?;
            match u64_at(pair, 0)? {
                0 => break,
                DT_STRTAB => strings = Some(value),
                DT_STRSZ => strings_len = value,
                DT_VERDEF => definitions = Some(value),
                DT_VERDEFNUM => count = value,
                _ => {}
            }
        }
        let Some(definitions) = definitions else {
            return Some(Vec::new());
        };
        let strings = self.loaded(strings?)?;
        let strings = strings.get(..usize::try_from(strings_len).ok()?)?;
        walk(self.loaded(definitions)?, count, strings)
    }

    fn segment(&self, segment: &Segment) -> Option<&'a [u8]> {
        let start = usize::try_from(segment.offset).ok()?;
        let len = usize::try_from(segment.len).ok()?;
        self.bytes.get(start..)?.get(..len)
    }

    /// What is loaded at an address, to the end of its segment.
    fn loaded(&self, address: u64) -> Option<&'a [u8]> {
        let segment = self.segments.iter().find(|one| {
            one.kind == PT_LOAD
                && address
                    .checked_sub(one.address)
                    .is_some_and(|inside| inside < one.len)
        })?;
        let inside = usize::try_from(address - segment.address).ok()?;
        self.segment(segment)?.get(inside..)
    }
}

/// The chain of `Elfxx_Verdef` (Linux Standard Base, symbol versioning): the first auxiliary entry has the name.
fn walk<'a>(table: &[u8], count: u64, strings: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let mut names = Vec::new();
    let mut offset = 0u64;
    // `vd_ndx` has 15 bits, so there cannot be more.
    for _ in 0..count.min(0x8000) {
        let auxiliary = offset.checked_add(u64::from(u32_at(table, offset.checked_add(12)?)?))?;
        let name = u32_at(table, auxiliary)?;
        names.push(c_text(strings, u64::from(name))?);
        match u32_at(table, offset.checked_add(16)?)? {
            0 => break,
            next => offset = offset.checked_add(u64::from(next))?,
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use unheck_testkit::{ElfBuilder, Machine};

    use super::*;

    fn library(machine: Machine) -> Vec<u8> {
        ElfBuilder::new(machine)
            .soname("libz.so.1")
            .interp("/lib64/ld.so")
            .define_version("ZLIB_1.2.0")
            .define_version("ZLIB_1.2.9")
            .export_versioned("inflate", "ZLIB_1.2.0")
            .build()
    }

    fn versions(bytes: &[u8]) -> Option<Vec<String>> {
        let versions = Object::parse(bytes, X86_64)?.defined_versions()?;
        let text = |name: &&[u8]| String::from_utf8_lossy(name).into_owned();
        Some(versions.iter().map(text).collect())
    }

    #[test]
    fn defined_versions_and_interpreter_are_read() {
        let bytes = library(Machine::X86_64);
        let versions = versions(&bytes).unwrap();
        assert!(
            versions.ends_with(&["ZLIB_1.2.0".to_owned(), "ZLIB_1.2.9".to_owned()]),
            "{versions:?}"
        );
        let object = Object::parse(&bytes, X86_64).unwrap();
        assert_eq!(object.interpreter(), Some(&b"/lib64/ld.so"[..]));
        let bare = ElfBuilder::new(Machine::X86_64).soname("libz.so.1").build();
        assert_eq!(
            Object::parse(&bare, X86_64).unwrap().defined_versions(),
            Some(Vec::new())
        );
    }

    #[test]
    fn objects_of_another_machine_are_none() {
        assert!(Object::parse(&library(Machine::Aarch64), X86_64).is_none());
        assert!(Object::parse(&library(Machine::Aarch64), AARCH64).is_some());
        assert!(Object::parse(b"#!/bin/sh\n", X86_64).is_none());
    }

    #[test]
    fn cut_and_damaged_objects_are_read_or_not_but_end() {
        let bytes = library(Machine::X86_64);
        for len in 0..bytes.len() {
            let _ = versions(&bytes[..len]);
        }
        let mut changed = 0;
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] = !bytes[at];
            changed += usize::from(versions(&bytes).is_none());
        }
        assert!(changed > 50, "damage in headers goes unnoticed: {changed}");
    }
}
