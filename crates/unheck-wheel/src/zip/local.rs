//! Local headers and data descriptors (APPNOTE 4.3.7, 4.3.9) against the central directory.

use std::io::{Read, Seek};

use super::central::{DESCRIPTOR, Entry};
use super::extra::{Sizes, read_extra};
use super::window::Window;
use super::{MemberProblem, ZipError, read_at, u16_at, u32_at, u64_at};

const HEADER: usize = 30;

/// Compares the member's local record with its entry; answers where its content begins.
/// `next` is the offset of the record after it, or of the central directory.
pub(crate) fn check<R: Read + Seek>(
    window: &mut Window<'_, R>,
    entry: &Entry,
    next: u64,
) -> Result<u64, ZipError> {
    let problem = |problem| entry.problem(problem);
    let name = entry.raw_name();
    let mut data_offset = entry.offset.saturating_add((HEADER + name.len()) as u64);
    if data_offset > next {
        return Err(problem(MemberProblem::NotAdjacent));
    }
    let mut header = [0; HEADER];
    read_at(window, entry.offset, &mut header)?;
    if header[..4] != *b"PK\x03\x04" {
        return Err(problem(MemberProblem::NoLocalHeader));
    }
    let mut local_name = vec![0; name.len()];
    read_at(window, entry.offset + HEADER as u64, &mut local_name)?;
    if usize::from(u16_at(&header, 26)) != name.len() || local_name != name {
        return Err(problem(MemberProblem::Local("name")));
    }
    let mut extra = vec![0; usize::from(u16_at(&header, 28))];
    let extra_at = data_offset;
    data_offset += extra.len() as u64;
    let data_end = data_offset.checked_add(entry.compressed);
    let Some(tail) = data_end.and_then(|end| next.checked_sub(end)) else {
        return Err(problem(MemberProblem::NotAdjacent));
    };
    read_at(window, extra_at, &mut extra)?;
    let sizes = compare(&header, &extra, &name, entry).map_err(problem)?;
    if entry.flags & DESCRIPTOR == 0 {
        return match tail {
            0 => Ok(data_offset),
            _ => Err(problem(MemberProblem::NotAdjacent)),
        };
    }
    // With and without the signature, of 32 or 64 bits: the latter only with a zip64 field,
    // as a reader that streams would have to decide.
    let length = match (tail, sizes.zip64) {
        (12 | 16, false) | (20 | 24, true) => tail as usize,
        _ => return Err(problem(MemberProblem::NotAdjacent)),
    };
    let mut descriptor = [0; 24];
    let descriptor = &mut descriptor[..length];
    read_at(window, data_offset + entry.compressed, descriptor)?;
    if !descriptor_agrees(descriptor, entry) {
        return Err(problem(MemberProblem::Descriptor));
    }
    Ok(data_offset)
}

fn compare(
    header: &[u8; HEADER],
    extra: &[u8],
    name: &[u8],
    entry: &Entry,
) -> Result<Sizes, MemberProblem> {
    if u16_at(header, 8) != entry.method() {
        return Err(MemberProblem::Local("compression method"));
    }
    if u16_at(header, 6) != entry.flags {
        return Err(MemberProblem::Local("set of flags"));
    }
    let mut sizes = Sizes {
        size: u64::from(u32_at(header, 22)),
        compressed: u64::from(u32_at(header, 18)),
        offset: None,
        zip64: false,
    };
    read_extra(extra, name, &mut sizes)?;
    let crc32 = u32_at(header, 14);
    let later = entry.flags & DESCRIPTOR != 0;
    if later && crc32 == 0 && sizes.size == 0 && sizes.compressed == 0 {
        // A reader that streams cannot know where a stored member ends then.
        if !entry.deflated && entry.size != 0 {
            return Err(MemberProblem::StoredSize);
        }
        return Ok(sizes);
    }
    if crc32 != entry.crc32 {
        return Err(MemberProblem::Local("CRC"));
    }
    if sizes.size != entry.size {
        return Err(MemberProblem::Local("size"));
    }
    if sizes.compressed != entry.compressed {
        return Err(MemberProblem::Local("compressed size"));
    }
    Ok(sizes)
}

/// Whether the descriptor of 12, 16, 20 or 24 bytes says the same as the entry.
fn descriptor_agrees(descriptor: &[u8], entry: &Entry) -> bool {
    let values = match descriptor.len() {
        16 | 24 => match descriptor.strip_prefix(b"PK\x07\x08") {
            Some(values) => values,
            None => return false,
        },
        _ => descriptor,
    };
    let (compressed, size) = if values.len() == 12 {
        (u64::from(u32_at(values, 4)), u64::from(u32_at(values, 8)))
    } else {
        (u64_at(values, 4), u64_at(values, 12))
    };
    u32_at(values, 0) == entry.crc32 && compressed == entry.compressed && size == entry.size
}
