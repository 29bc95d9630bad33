//! `/etc/ld.so.cache`, the loader's list of sonames, in glibc's new format alone
//! (`glibc-ld.so.cache1.1`, `sysdeps/generic/dl-cache.h` of glibc; the only one that glibc 2.32
//! and later writes, and that every version since 2.2 reads).
//!
//! No hardware capabilities and no generator trailer are written. Start at [`write()`].

use std::cmp::Ordering;

use unheck_base::TreePath;

use crate::machine::Machine;

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// `cache_file_new_flags_endian_little`.
const LITTLE_ENDIAN: u8 = 2;
/// `FLAG_ELF_LIBC6`, with `FLAG_X8664_LIB64` or `FLAG_AARCH64_LIB64`.
const FLAGS_X86_64: i32 = 0x0303;
const FLAGS_AARCH64: i32 = 0x0a03;

/// How many entries a cache may have.
pub const MAX_ENTRIES: usize = 65_536;

/// One library of the cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The name that objects need.
    pub soname: String,
    /// Where the library stands; written with a leading slash.
    pub path: TreePath,
    /// What it is made for.
    pub machine: Machine,
}

/// Why a cache could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Only amd64 and arm64 have known flags.
    #[error("cannot put `{soname}` into ld.so.cache: no flags known for machine {machine:?}")]
    Machine {
        /// The library.
        soname: String,
        /// Its machine.
        machine: Machine,
    },
    /// The loader compares names byte by byte as C strings; anything but visible ASCII is refused.
    #[error("cannot put `{soname}` into ld.so.cache: the name is empty or not visible ASCII")]
    Name {
        /// The library.
        soname: String,
    },
    /// Offsets are 32 bits.
    #[error("ld.so.cache over the limit `entries` ({MAX_ENTRIES})")]
    TooMany,
}

/// Why bytes were refused as a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Another magic, or the other byte order.
    #[error("not an ld.so.cache in the format `glibc-ld.so.cache1.1`, little-endian")]
    Format,
    /// The file ends before its header says.
    #[error("truncated ld.so.cache")]
    Truncated,
    /// More entries than unheck is willing to read.
    #[error("ld.so.cache over the limit `entries` ({MAX_ENTRIES})")]
    TooMany,
    /// An entry of another kind than [`write()`] makes.
    #[error("ld.so.cache entry {0} has a name, path or flags that are not understood")]
    Entry(usize),
}

/// The bytes of a cache with these entries; the same for any order of different sonames. Among
/// entries with the same soname and machine the loader takes the one that comes first here.
///
/// # Errors
/// See [`WriteError`].
pub fn write(entries: &[Entry]) -> Result<Vec<u8>, WriteError> {
    if entries.len() > MAX_ENTRIES {
        return Err(WriteError::TooMany);
    }
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let visible = entry.soname.bytes().all(|byte| byte.is_ascii_graphic());
        if entry.soname.is_empty() || !visible {
            return Err(WriteError::Name {
                soname: entry.soname.clone(),
            });
        }
        let flags = match entry.machine {
            Machine::X86_64 => FLAGS_X86_64,
            Machine::Aarch64 => FLAGS_AARCH64,
            machine @ Machine::Other(_) => {
                return Err(WriteError::Machine {
                    soname: entry.soname.clone(),
                    machine,
                });
            }
        };
        rows.push((entry, flags));
    }
    // The loader's binary search wants the greatest name first; ldconfig puts greater flags first.
    rows.sort_by(|(a, a_flags), (b, b_flags)| {
        compare(b.soname.as_bytes(), a.soname.as_bytes())
            // Names that differ only in leading zeros of a number are equal to the loader.
            .then_with(|| b.soname.cmp(&a.soname))
            .then(b_flags.cmp(a_flags))
    });

    let mut strings = Vec::new();
    let mut table = Vec::with_capacity(HEADER + ENTRY * rows.len());
    let base = HEADER + ENTRY * rows.len();
    let mut intern = |text: String| {
        let at = base + strings.len();
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        offset(at)
    };
    let mut listed = Vec::with_capacity(rows.len());
    for (entry, flags) in rows {
        let key = intern(entry.soname.clone())?;
        let value = intern(format!("/{}", entry.path))?;
        listed.push((flags, key, value));
    }
    table.extend_from_slice(MAGIC);
    table.extend_from_slice(&offset(listed.len())?.to_le_bytes());
    table.extend_from_slice(&offset(strings.len())?.to_le_bytes());
    table.extend_from_slice(&[LITTLE_ENDIAN, 0, 0, 0]);
    // Extension offset (none) and three unused words.
    table.extend_from_slice(&[0; 16]);
    for (flags, key, value) in listed {
        table.extend_from_slice(&flags.to_le_bytes());
        table.extend_from_slice(&key.to_le_bytes());
        table.extend_from_slice(&value.to_le_bytes());
        // osversion (4, unused since glibc 2.36) and hwcap (8).
        table.extend_from_slice(&[0; 12]);
    }
    table.extend_from_slice(&strings);
    Ok(table)
}

/// The entries of a cache, in its order.
///
/// # Errors
/// See [`ParseError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, ParseError> {
    if !bytes.starts_with(MAGIC) {
        return Err(ParseError::Format);
    }
    // 0 is what glibc before 2.33 left there.
    if !matches!(bytes.get(28), Some(&(0 | LITTLE_ENDIAN))) {
        return Err(ParseError::Format);
    }
    let count = word(bytes, 20).ok_or(ParseError::Truncated)?;
    if count > MAX_ENTRIES {
        return Err(ParseError::TooMany);
    }
    if bytes.len() < HEADER + ENTRY * count {
        return Err(ParseError::Truncated);
    }
    (0..count)
        .map(|index| entry(bytes, HEADER + ENTRY * index).ok_or(ParseError::Entry(index)))
        .collect()
}

/// glibc's `_dl_cache_libcmp`: runs of digits are compared as numbers, and a digit is greater
/// than anything else.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    while let Some(&left) = a.first() {
        let right = b.first().copied().unwrap_or(0);
        match (left.is_ascii_digit(), right.is_ascii_digit()) {
            (true, true) => {
                let order = number(&mut a).cmp(&number(&mut b));
                if order.is_ne() {
                    return order;
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if left != right => return left.cmp(&right),
            (false, false) => {
                a = &a[1..];
                b = &b[1..];
            }
        }
    }
    if b.is_empty() {
        Ordering::Equal
    } else {
        Ordering::Less
    }
}

/// Takes the digits off the front. They wrap at 32 bits, as the `int` of the C code does, so that
/// the order stays the loader's own.
fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0_i32;
    while let Some((&digit, rest)) = text.split_first() {
        if !digit.is_ascii_digit() {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = rest;
    }
    value
}

fn entry(bytes: &[u8], at: usize) -> Option<Entry> {
    let machine = match i32::try_from(word(bytes, at)?).ok()? {
        FLAGS_X86_64 => Machine::X86_64,
        FLAGS_AARCH64 => Machine::Aarch64,
        _ => return None,
    };
    let path = text(bytes, word(bytes, at + 8)?)?;
    Some(Entry {
        soname: text(bytes, word(bytes, at + 4)?)?.to_owned(),
        path: TreePath::new(path.strip_prefix('/')?).ok()?,
        machine,
    })
}

fn text(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let window = &rest[..rest.len().min(4096)];
    std::str::from_utf8(&window[..memchr::memchr(0, window)?]).ok()
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn offset(at: usize) -> Result<u32, WriteError> {
    u32::try_from(at).map_err(|_| WriteError::TooMany)
}
