//! Names and paths among the constants of an object: guesses, to be filtered by the caller.
//!
//! Only read-only and initialised data that the loader maps is searched, never code. Start at
//! [`dlopen_candidates`].

use std::collections::BTreeSet;

use memchr::memmem;
use object::elf;

use crate::object::ElfError;
use crate::raw::Image;

/// How many different strings one search answers at most; the rest is left out.
pub const MAX_STRINGS: usize = 4096;
/// `NAME_MAX` and `PATH_MAX` of Linux (limits.h).
const MAX_FILE_NAME: usize = 255;
const MAX_PATH: usize = 4095;

/// File names in the object's constants that look like a shared library: `libX.so`, `libX.so.N…`
/// or `X.so.N…`. A directory before the name is dropped. At most [`MAX_STRINGS`].
///
/// The name being there does not mean that it is opened: ask [`crate::Object::imports_any`] for
/// `dlopen`, and whether anything provides the name.
///
/// # Errors
/// As [`crate::Object::parse`], for the headers only.
pub fn dlopen_candidates(bytes: &[u8]) -> Result<BTreeSet<String>, ElfError> {
    let image = Image::open(bytes)?;
    let mut found = BTreeSet::new();
    let finder = memmem::Finder::new(b".so");
    for region in regions(&image) {
        for at in finder.find_iter(region) {
            if found.len() >= MAX_STRINGS {
                return Ok(found);
            }
            found.extend(library_name(region, at));
        }
    }
    Ok(found)
}

/// Absolute paths in the object's constants that lie at or under one of `prefixes` (such as
/// `/usr/share`). A path with a format (`%s`) ends at the last whole directory. Sorted, without
/// a trailing slash, at most [`MAX_STRINGS`].
///
/// # Errors
/// As [`crate::Object::parse`], for the headers only.
pub fn path_strings(bytes: &[u8], prefixes: &[&str]) -> Result<BTreeSet<String>, ElfError> {
    let image = Image::open(bytes)?;
    let mut found = BTreeSet::new();
    for region in regions(&image) {
        for prefix in prefixes.iter().filter(|prefix| prefix.len() > 1) {
            for at in memmem::find_iter(region, prefix.as_bytes()) {
                if found.len() >= MAX_STRINGS {
                    return Ok(found);
                }
                found.extend(path_at(region, at, prefix));
            }
        }
    }
    Ok(found)
}

/// The constants: by section where there are any, else every segment that is mapped.
fn regions<'a>(image: &Image<'a>) -> Vec<&'a [u8]> {
    let by_section: Vec<&[u8]> = image
        .sections
        .iter()
        .filter(|section| {
            section.kind == elf::SHT_PROGBITS
                && section.has(elf::SHF_ALLOC)
                && !section.has(elf::SHF_EXECINSTR)
        })
        .filter_map(|section| image.section_bytes(section))
        .collect();
    if !by_section.is_empty() {
        return by_section;
    }
    image
        .segments_of(elf::PT_LOAD)
        .filter_map(|segment| image.segment_bytes(segment))
        .collect()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.')
}

fn is_path_byte(byte: u8) -> bool {
    is_name_byte(byte) || matches!(byte, b'/' | b'@' | b'~' | b',' | b'=')
}

/// The name around the `.so` at `at`, when it is a whole file name.
fn library_name(region: &[u8], at: usize) -> Option<String> {
    let floor = at.saturating_sub(MAX_FILE_NAME + 1);
    let start = region[floor..at]
        .iter()
        .rposition(|&byte| !is_name_byte(byte))
        .map_or(floor, |stop| floor + stop + 1);
    let rest = &region[at..region.len().min(at + MAX_FILE_NAME + 1)];
    let end = at + rest.iter().take_while(|&&byte| is_name_byte(byte)).count();
    // `%s.so` and `${x}.so` are patterns, not names.
    if start > 0 && matches!(region[start - 1], b'%' | b'}' | b'$' | b'*') {
        return None;
    }
    if region
        .get(end)
        .is_some_and(|&byte| matches!(byte, b'%' | b'*' | b'$' | b'{'))
    {
        return None;
    }
    let name = std::str::from_utf8(&region[start..end]).ok()?;
    let name = name.trim_end_matches('.');
    (name.len() <= MAX_FILE_NAME && is_library(name)).then(|| name.to_owned())
}

/// `libX.so`, `libX.so.1.2` or `X.so.1`.
fn is_library(name: &str) -> bool {
    let Some((stem, version)) = name.rsplit_once(".so") else {
        return false;
    };
    let versioned = version.strip_prefix('.').is_some_and(|numbers| {
        numbers
            .split('.')
            .all(|number| number.starts_with(|first: char| first.is_ascii_digit()))
    });
    let library = stem
        .strip_prefix("lib")
        .is_some_and(|rest| !rest.is_empty());
    match version {
        "" => library,
        _ => versioned && !stem.is_empty() && !stem.starts_with('.'),
    }
}

fn path_at(region: &[u8], at: usize, prefix: &str) -> Option<String> {
    if at > 0 && is_path_byte(region[at - 1]) {
        return None;
    }
    let rest = &region[at..region.len().min(at + MAX_PATH + 1)];
    let len = rest.iter().take_while(|&&byte| is_path_byte(byte)).count();
    let next = rest.get(prefix.len());
    let whole = prefix.ends_with('/') || len == prefix.len() || next == Some(&b'/');
    if !whole || len > MAX_PATH {
        return None;
    }
    let mut path = std::str::from_utf8(&rest[..len]).ok()?;
    if rest
        .get(len)
        .is_some_and(|&byte| matches!(byte, b'%' | b'$' | b'{' | b'*' | b'['))
    {
        path = &path[..path.rfind('/')?];
        // What is left must still be under the prefix.
        if path.len() < prefix.trim_end_matches('/').len() {
            return None;
        }
    }
    let path = path.trim_end_matches('/');
    (!path.is_empty()).then(|| path.to_owned())
}
