//! Versions by PEP 440, and what is written instead of one. Start at [`Written::read`].

use std::str::FromStr;

use pep440_rs::Version;
use serde::Serialize;

/// The longest text that is looked at as a version, in bytes.
pub const MAX_VERSION: usize = 256;

/// A version as it is written somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The text.
    pub written: String,
    /// Its normal form (PEP 440, "Normalization"); `None`: it is no version.
    pub normalized: Option<String>,
    /// What is odd about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oddity: Option<String>,
    #[serde(skip)]
    version: Option<Version>,
}

impl Written {
    /// Reads a version. Never fails: what is none says so.
    pub fn read(text: &str) -> Self {
        let shown = crate::label::printable(text.trim());
        let version = parse(text);
        let normalized = version.as_ref().map(Version::to_string);
        let oddity = match &version {
            None => Some(why_none(&shown)),
            Some(version) => oddity(&shown, version),
        };
        Self {
            written: shown,
            normalized,
            oddity,
            version,
        }
    }

    /// The version.
    pub const fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }
}

/// The version that a text is, if it is one.
pub fn parse(text: &str) -> Option<Version> {
    let text = text.trim();
    (text.len() <= MAX_VERSION)
        .then(|| Version::from_str(text).ok())
        .flatten()
}

fn oddity(written: &str, version: &Version) -> Option<String> {
    let normal = version.to_string();
    let implicit = written
        .rsplit_once('-')
        .is_some_and(|(_, post)| post.bytes().all(|b| b.is_ascii_digit()));
    if implicit && version.is_post() {
        return Some(format!("`-` with a number is a post-release: {normal}"));
    }
    if version.epoch() > 0 {
        return Some(format!(
            "epoch {}: higher than every version without one",
            version.epoch()
        ));
    }
    let long = version.release().iter().find(|part| **part >= 99_999);
    if let Some(part) = long.filter(|_| version.release().first() == Some(&0)) {
        return Some(format!(
            "`{part}` is a number like any other: higher than 0.1, lower than 1"
        ));
    }
    (written != normal).then(|| format!("written {written}, normally {normal}"))
}

fn why_none(text: &str) -> String {
    let ends = text.char_indices().map(|(at, _)| at).rev();
    // `1.0-r` of `1.0-reupload` would be a version too, but no word is cut.
    let cuts_word = |at: usize| {
        let before = text[..at].ends_with(|c: char| c.is_alphabetic());
        before && text[at..].starts_with(|c: char| c.is_alphabetic())
    };
    let mut ends = ends.filter(|at| !cuts_word(*at));
    match ends.find(|at| parse(&text[..*at]).is_some()) {
        Some(at) => format!(
            "no version by PEP 440: `{}` after {}",
            &text[at..],
            &text[..at]
        ),
        None => "no version by PEP 440: it does not begin with one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn oddities_parse_or_are_reported() {
        for (text, normal, said) in [
            (
                "0.9999999999Beta",
                Some("0.9999999999b0"),
                "a number like any other",
            ),
            ("1.0-SNAPSHOT", None, "`-SNAPSHOT` after 1.0"),
            ("1.0-1", Some("1.0.post1"), "post-release"),
            ("1!2.0", Some("1!2.0"), "epoch 1"),
            ("1.0rc.1", Some("1.0rc1"), "written"),
            ("v1.0", Some("1.0"), "written"),
            ("1.0.dev3", Some("1.0.dev3"), ""),
            ("0.9-doduo", None, "`-doduo`"),
            ("1.0-reupload", None, "`-reupload`"),
            ("2004d", None, "`d` after 2004"),
            ("", None, "does not begin"),
            ("latest", None, "does not begin"),
            ("1.0+local.1", Some("1.0+local.1"), ""),
            ("1.0\u{1b}[31m", None, "no version"),
        ] {
            let read = Written::read(text);
            assert_eq!(read.normalized.as_deref(), normal, "{text}");
            let oddity = read.oddity.clone().unwrap_or_default();
            assert!(
                oddity.contains(said) && (!said.is_empty() || oddity.is_empty()),
                "{text}: {oddity}"
            );
            assert!(!oddity.contains('\u{1b}'));
        }
        assert!(parse("0.9999999999Beta") > parse("0.9"));
        assert!(parse("0.999999999") < parse("1.0b1"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,40}") {
            let read = Written::read(&text);
            prop_assert_eq!(read.normalized.is_some(), read.version().is_some());
        }

        #[test]
        fn normal_forms_are_fixed_points(text in "v?([0-9]!)?[0-9]{1,3}(\\.[0-9]{1,12}){0,4}([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]{0,3})?([-_.]?(post|rev|r)[-_.]?[0-9]{0,2}|-[0-9]{1,2})?([-_.]?dev[0-9]{0,3})?(\\+[a-z0-9]{1,3}([-_.][a-z0-9]{1,3}){0,2})?") {
            let read = Written::read(&text);
            let normal = read.normalized.clone();
            prop_assert!(normal.is_some(), "{} {:?}", text, read.oddity);
            let again = Written::read(normal.as_deref().unwrap_or_default());
            prop_assert_eq!(&again.normalized, &normal);
            prop_assert_eq!(again.version().cmp(&read.version()), std::cmp::Ordering::Equal);
        }
    }
}
