//! Looks a soname up in `/etc/ld.so.cache`, as glibc's loader does: format `glibc-ld.so.cache1.1`, alone or behind the
//! older one (`dl-cache.h` of glibc describes both). The strings are offsets from the newer header.

use super::elf::{AARCH64, c_text};

const OLD: &[u8] = b"ld.so-1.7.0\0";
const NEW: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_le_bytes)
}

/// The newer part of a cache.
fn newer(cache: &[u8]) -> Option<&[u8]> {
    let cache = match cache.strip_prefix(OLD) {
        None => cache,
        Some(rest) => {
            // Twelve bytes per old entry, then aligned to eight.
            let entries = (u32_at(rest, 0)? as usize).checked_mul(12)?;
            cache.get(entries.checked_add(16)?.checked_next_multiple_of(8)?..)?
        }
    };
    cache.starts_with(NEW).then_some(cache)
}

/// The path that the cache has for a soname on a machine; libraries for special CPUs only if there is no other.
pub(crate) fn find<'a>(cache: &'a [u8], soname: &[u8], machine: u16) -> Option<&'a [u8]> {
    let cache = newer(cache)?;
    // FLAG_ELF_LIBC6 with FLAG_X8664_LIB64 or FLAG_AARCH64_LIB64.
    let flags = if machine == AARCH64 { 0x0a03 } else { 0x0303 };
    let count = u32_at(cache, NEW.len())? as usize;
    let table = cache.get(HEADER..)?.get(..count.checked_mul(ENTRY)?)?;
    let mut special = None;
    for entry in table.as_chunks::<ENTRY>().0 {
        if u32_at(entry, 0)? != flags {
            continue;
        }
        if c_text(cache, u64::from(u32_at(entry, 4)?)) != Some(soname) {
            continue;
        }
        let path = c_text(cache, u64::from(u32_at(entry, 8)?));
        if entry[16..] == [0; 8] {
            return path;
        }
        special = special.or(path);
    }
    special
}

#[cfg(test)]
mod tests {
    use super::super::elf::X86_64;
    use super::*;

    fn cache(entries: &[(u32, &str, &str, u64)]) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut table = Vec::new();
        let base = HEADER + entries.len() * ENTRY;
        for (flags, key, value, hwcap) in entries {
            let at = |strings: &mut Vec<u8>, text: &str| {
                let at = (base + strings.len()) as u32;
                strings.extend(text.bytes().chain([0]));
                at
            };
            let (key, value) = (at(&mut strings, key), at(&mut strings, value));
            for word in [*flags, key, value, 0] {
                table.extend(word.to_le_bytes());
            }
            table.extend(hwcap.to_le_bytes());
        }
        let mut out = NEW.to_vec();
        out.extend((entries.len() as u32).to_le_bytes());
        out.extend((strings.len() as u32).to_le_bytes());
        out.resize(HEADER, 0);
        out.extend(table);
        out.extend(strings);
        out
    }

    #[test]
    fn a_library_is_found_for_its_machine_only() {
        let cache = cache(&[
            (0x0003, "libz.so.1", "/lib32/libz.so.1", 0),
            (0x0303, "libz.so.1", "/v3/libz.so.1", 1 << 62),
            (0x0303, "libz.so.1", "/lib/libz.so.1", 0),
            (0x0303, "liba.so.1", "/v3/liba.so.1", 1 << 62),
        ]);
        assert_eq!(
            find(&cache, b"libz.so.1", X86_64),
            Some(&b"/lib/libz.so.1"[..])
        );
        assert_eq!(
            find(&cache, b"liba.so.1", X86_64),
            Some(&b"/v3/liba.so.1"[..])
        );
        assert_eq!(find(&cache, b"libz.so.1", AARCH64), None);
        assert_eq!(find(&cache, b"libz.so", X86_64), None);
    }

    #[test]
    fn the_newer_format_is_found_behind_the_older() {
        let mut both = OLD.to_vec();
        both.extend(1u32.to_le_bytes());
        both.extend([0; 12]);
        both.resize(32, 0);
        both.extend(cache(&[(0x0303, "libz.so.1", "/lib/libz.so.1", 0)]));
        assert_eq!(
            find(&both, b"libz.so.1", X86_64),
            Some(&b"/lib/libz.so.1"[..])
        );
    }

    #[test]
    fn a_cut_cache_is_no_answer() {
        let whole = cache(&[(0x0303, "libz.so.1", "/lib/libz.so.1", 0)]);
        for len in 0..whole.len() {
            assert_eq!(
                find(&whole[..len], b"libz.so.1", X86_64),
                None,
                "length {len}"
            );
        }
    }
}
