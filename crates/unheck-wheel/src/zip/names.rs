//! Names that could be one file: twice the same, the same after NFC and case folding (as on the
//! file systems of other systems), or a file where a directory must be.

use std::collections::BTreeMap;

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

use super::central::Entry;
use super::{MemberProblem, ZipError};
use crate::limits::{Limit, Limits};

/// Checks the names of all members together, and their depth.
pub(crate) fn check(entries: &[Entry], limits: &Limits) -> Result<(), ZipError> {
    let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
    for entry in entries {
        let path = entry.path.as_str();
        let depth = path.split('/').count() as u64;
        Limit::Depth.check(depth, limits.depth, || format!("`{}`", entry.shown()))?;
        if let Some(other) = seen.insert(fold(path), entry) {
            return Err(entry.problem(if other.path == entry.path {
                MemberProblem::Duplicate
            } else {
                MemberProblem::Collision(other.shown())
            }));
        }
    }
    for (folded, entry) in &seen {
        for (at, _) in folded.match_indices('/') {
            if let Some(above) = seen.get(&folded[..at])
                && !above.is_dir
            {
                return Err(entry.problem(MemberProblem::UnderFile(above.shown())));
            }
        }
    }
    Ok(())
}

/// The form in which names that a case-insensitive file system takes as one are equal.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let composed: String = text.nfc().collect();
    let folded = UniCase::unicode(composed).to_folded_case();
    folded.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_composition_do_not_count() {
        for (left, right) in [
            ("README", "readme"),
            ("Caf\u{e9}", "cafe\u{301}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3a3}", "\u{3c2}"),
            ("\u{c5}", "\u{212b}"),
        ] {
            assert_eq!(fold(left), fold(right));
        }
        assert_ne!(fold("a"), fold("\u{e4}"));
    }
}
