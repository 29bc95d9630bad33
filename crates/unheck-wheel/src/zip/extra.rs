//! Extra fields (APPNOTE 4.5, 4.6) of both headers: only those that could change what a member
//! is are looked into, the others are skipped over as a whole.

use super::MemberProblem;
use super::{u16_at, u32_at, u64_at};

/// What the fixed part of a header says, before zip64 is taken into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) size: u64,
    pub(crate) compressed: u64,
    /// `None` in a local header.
    pub(crate) offset: Option<u64>,
    pub(crate) zip64: bool,
}

const ZIP64: u16 = 0x0001;
const PKWARE_UNIX: u16 = 0x000d;
const STRONG_ENCRYPTION: u16 = 0x0017;
const UNICODE_PATH: u16 = 0x7075;
const ASI_UNIX: u16 = 0x756e;
const AES: u16 = 0x9901;

/// Walks the extra fields; puts the values of zip64 into `sizes`, and compares the unicode path.
/// Answers whether a unicode path field confirmed the name.
pub(crate) fn read_extra(
    extra: &[u8],
    name: &[u8],
    sizes: &mut Sizes,
) -> Result<bool, MemberProblem> {
    let mut rest = extra;
    let (mut zip64, mut unicode) = (false, false);
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let id = u16_at(head, 0);
        let Some((body, after)) = after.split_at_checked(usize::from(u16_at(head, 2))) else {
            return Err(MemberProblem::Extra(id));
        };
        rest = after;
        match id {
            ZIP64 if zip64 => return Err(MemberProblem::Extra(id)),
            ZIP64 => {
                zip64 = true;
                read_zip64(body, sizes).ok_or(MemberProblem::Extra(id))?;
            }
            UNICODE_PATH => {
                let agrees = body.split_first_chunk::<5>().is_some_and(|(head, path)| {
                    head[0] == 1 && path == name && u32_at(head, 1) == crc32fast::hash(name)
                });
                if !agrees || unicode {
                    return Err(MemberProblem::UnicodePath);
                }
                unicode = true;
            }
            STRONG_ENCRYPTION | AES => return Err(MemberProblem::Encrypted),
            // Both can make a link or a device of a member (APPNOTE 4.5.7, Info-ZIP's proginfo).
            ASI_UNIX => return Err(MemberProblem::FileType("file with ASi Unix attributes")),
            PKWARE_UNIX if body.len() > 12 => return Err(MemberProblem::FileType("link")),
            _ => {}
        }
    }
    if !rest.is_empty() {
        return Err(MemberProblem::Extra(0));
    }
    let unread = sizes.size == u64::from(u32::MAX) || sizes.compressed == u64::from(u32::MAX);
    if unread && !zip64 {
        // 2^32 - 1 is the mark that zip64 has the value, so another reader would look for it.
        return Err(MemberProblem::Extra(ZIP64));
    }
    sizes.zip64 = zip64;
    Ok(unicode)
}

/// The values that the fixed part leaves to zip64, exactly these, in their order (APPNOTE 4.5.3).
///
/// Bazel's zipper repeats in the field what the fixed part already says (the wheels of protobuf
/// are made so): taken when both are the same, as then every reading gives the same.
fn read_zip64(body: &[u8], sizes: &mut Sizes) -> Option<()> {
    const MARK: u64 = u32::MAX as u64;
    let (values, []) = body.as_chunks::<8>() else {
        return None;
    };
    let mut values = values.iter().map(|value| u64_at(value, 0));
    let given = [Some(sizes.size), Some(sizes.compressed), sizes.offset];
    if !given.contains(&Some(MARK)) {
        let repeated = values.len() >= 2 && values.len() <= 3;
        return (repeated && values.zip(given).all(|(v, g)| g == Some(v))).then_some(());
    }
    if sizes.size == MARK {
        sizes.size = values.next()?;
    }
    if sizes.compressed == MARK {
        sizes.compressed = values.next()?;
    }
    if sizes.offset == Some(MARK) {
        sizes.offset = Some(values.next()?);
    }
    values.next().is_none().then_some(())
}
