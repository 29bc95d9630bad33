//! The end of central directory record (APPNOTE 4.3.14 to 4.3.16), in the one place where it
//! may be: at the very end, without a comment, right behind the central directory.

use std::io::{Read, Seek};

use super::window::Window;
use super::{ZipError, u16_at, u32_at, u64_at};

const END: usize = 22;
const LOCATOR: usize = 20;
const END64: usize = 56;

/// Where the central directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) entries: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// Reads the end record of an archive of `len` bytes.
pub(crate) fn read_end<R: Read + Seek>(
    window: &mut Window<'_, R>,
    len: u64,
) -> Result<End, ZipError> {
    let Some(end_at) = len.checked_sub(END as u64) else {
        return Err(ZipError::End("the file is too short to be an archive"));
    };
    let mut end = [0; END];
    super::read_at(window, end_at, &mut end)?;
    if end[..4] != *b"PK\x05\x06" {
        return Err(ZipError::End(
            "it is not at the very end of the file, or it has a comment",
        ));
    }
    if u16_at(&end, 20) != 0 {
        return Err(ZipError::End("it has a comment"));
    }
    let disks = [u16_at(&end, 4), u16_at(&end, 6)];
    let one_disk = disks.iter().all(|disk| matches!(*disk, 0 | u16::MAX));
    if u16_at(&end, 8) != u16_at(&end, 10) || !one_disk {
        return Err(ZipError::End("the archive is split over disks"));
    }
    let short = End {
        entries: u64::from(u16_at(&end, 10)),
        size: u64::from(u32_at(&end, 12)),
        offset: u64::from(u32_at(&end, 16)),
    };
    let (found, directory_end) = match read_end64(window, end_at)? {
        Some((long, at)) => {
            let agrees = |short: u64, long: u64, most: u64| short == long || short == most;
            if !agrees(short.entries, long.entries, u64::from(u16::MAX))
                || !agrees(short.size, long.size, u64::from(u32::MAX))
                || !agrees(short.offset, long.offset, u64::from(u32::MAX))
            {
                return Err(ZipError::End("it contradicts the zip64 end record"));
            }
            (long, at)
        }
        None if disks != [0, 0] => {
            return Err(ZipError::End("the archive is split over disks"));
        }
        None => (short, end_at),
    };
    if found.offset.checked_add(found.size) != Some(directory_end) {
        return Err(ZipError::End(
            "the central directory is not right before it: bytes stand before the archive, \
             between its parts, or its size is wrong",
        ));
    }
    Ok(found)
}

/// The zip64 end record and its offset, when its locator is there.
fn read_end64<R: Read + Seek>(
    window: &mut Window<'_, R>,
    end_at: u64,
) -> Result<Option<(End, u64)>, ZipError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR as u64) else {
        return Ok(None);
    };
    let mut locator = [0; LOCATOR];
    super::read_at(window, locator_at, &mut locator)?;
    if locator[..4] != *b"PK\x06\x07" {
        return Ok(None);
    }
    let Some(at) = locator_at.checked_sub(END64 as u64) else {
        return Err(ZipError::End("the zip64 locator stands alone"));
    };
    if u64_at(&locator, 8) != at || u32_at(&locator, 4) != 0 || u32_at(&locator, 16) > 1 {
        return Err(ZipError::End(
            "the zip64 end record is not right before its locator",
        ));
    }
    let mut record = [0; END64];
    super::read_at(window, at, &mut record)?;
    if record[..4] != *b"PK\x06\x06" || u64_at(&record, 4) != END64 as u64 - 12 {
        return Err(ZipError::End(
            "the zip64 end record is malformed or has extensible data",
        ));
    }
    if u32_at(&record, 16) != 0
        || u32_at(&record, 20) != 0
        || u64_at(&record, 24) != u64_at(&record, 32)
    {
        return Err(ZipError::End("the archive is split over disks"));
    }
    let found = End {
        entries: u64_at(&record, 32),
        size: u64_at(&record, 40),
        offset: u64_at(&record, 48),
    };
    Ok(Some((found, at)))
}
