//! A file that changed a little goes as what is new in it: start at [`parts`].
//!
//! The host says how the SHA-256 of each block of the file that it has begins; the new file is searched for these
//! blocks, at any offset. The host puts it together and holds it against its digest, so that nothing here is trusted.

use std::collections::BTreeMap;
use std::ops::Range;

use unheck_base::Digest;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 4096;
/// Smaller files go whole; of larger ones a host would have too many blocks to tell of. In bytes.
pub(crate) const SIZES: std::ops::RangeInclusive<u64> = (32 << 10)..=(8 << 20);
/// Most parts of a file: each is a program's start on the host.
const MAX_PARTS: usize = 64;
/// Offsets that are looked at in vain before the rest goes as it is: each hashes a block.
const PATIENCE: usize = 16 * BLOCK;

/// A part of a new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Blocks of the old file: the first, and how many.
    Old(usize, usize),
    /// Bytes of the new file.
    New(Range<usize>),
}

/// What a file consists of, where `blocks` of another are there: hexadecimal beginnings of their SHA-256. `None` when
/// it is better sent whole.
pub(crate) fn parts(new: &[u8], blocks: &[String]) -> Option<Vec<Part>> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, block) in blocks.iter().enumerate() {
        known.entry(block).or_insert(number);
    }
    let length = blocks.first()?.len();
    let mut parts: Vec<Part> = Vec::new();
    let (mut at, mut begun, mut patience) = (0, 0, PATIENCE);
    while at + BLOCK <= new.len() && patience > 0 {
        let hash = Digest::of(&new[at..at + BLOCK]).hex();
        let begin = hash.get(..length)?;
        // The block after the last one is likelier than another with the same content.
        let next = match parts.last() {
            Some(Part::Old(first, count)) if begun == at => Some(first + count),
            _ => None,
        };
        let next = next.filter(|next| blocks.get(*next).is_some_and(|block| block == begin));
        let Some(found) = next.or_else(|| known.get(begin).copied()) else {
            at += 1;
            patience -= 1;
            continue;
        };
        if begun < at {
            parts.push(Part::New(begun..at));
        }
        match parts.last_mut() {
            Some(Part::Old(_, count)) if next.is_some() => *count += 1,
            _ => parts.push(Part::Old(found, 1)),
        }
        at += BLOCK;
        begun = at;
    }
    if begun < new.len() {
        parts.push(Part::New(begun..new.len()));
    }
    let sent: usize = parts.iter().map(Part::sent).sum();
    (sent * 2 < new.len() && parts.len() <= MAX_PARTS).then_some(parts)
}

impl Part {
    /// Bytes of it that travel.
    fn sent(&self) -> usize {
        match self {
            Self::Old(..) => 0,
            Self::New(range) => range.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(old: &[u8]) -> Vec<String> {
        old.chunks(BLOCK)
            .map(|block| Digest::of(block).hex()[..16].to_owned())
            .collect()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn together(old: &[u8], new: &[u8], parts: &[Part]) -> Vec<u8> {
        let mut made = Vec::new();
        for part in parts {
            match part {
                Part::Old(first, count) => {
                    let end = old.len().min((first + count) * BLOCK);
                    made.extend_from_slice(&old[first * BLOCK..end]);
                }
                Part::New(range) => made.extend_from_slice(&new[range.clone()]),
            }
        }
        made
    }

    #[test]
    fn an_edit_costs_the_blocks_around_it() {
        let old = noise(300_000);
        let mut new = old.clone();
        new.splice(100_000..100_003, *b"longer than before");
        new[200_000] ^= 1;
        let found = parts(&new, &blocks(&old)).expect("parts");
        assert_eq!(together(&old, &new, &found), new);
        let sent: usize = found.iter().map(Part::sent).sum();
        assert!(sent < 4 * BLOCK, "{sent}");
        assert_eq!(parts(&noise(50_000)[1..], &blocks(&[1; 50_000])), None);
        assert_eq!(parts(&old, &[]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Whatever was changed: the parts make the new file, or it goes whole.
        #[test]
        fn parts_make_the_file(edits in proptest::collection::vec((0..120_000_usize, 0..50_usize, ".{0,60}"), 0..4)) {
            let old = noise(120_000);
            let mut new = old.clone();
            for (at, gone, text) in edits {
                let end = (at + gone).min(new.len());
                new.splice(at.min(end)..end, text.bytes());
            }
            if let Some(found) = parts(&new, &blocks(&old)) {
                prop_assert_eq!(together(&old, &new, &found), new);
            }
        }
    }
}
