//! Versions of Debian packages and their order (deb-version(7), Debian Policy 5.6.12).
//!
//! Refuses what dpkg refuses. Read [`DebVersion`] and its `Ord` first.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quote::quote;

/// A version, `[epoch:]upstream[-revision]`, kept as it was written.
///
/// Compared as dpkg does it, so `1.0`, `0:1.0` and `1.0-0` are *equal*; compare
/// [`DebVersion::as_str`] where the spelling matters.
#[derive(Clone)]
pub struct DebVersion {
    text: Box<str>,
    epoch: u32,
    upstream_at: u32,
    upstream_end: u32,
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing at all, or nothing in one of the parts.
    #[error("version `{text}` has an empty {part}")]
    Empty {
        /// The text refused.
        text: String,
        /// `epoch`, `upstream version` or `revision`.
        part: &'static str,
    },
    /// The epoch is not a number up to 2147483647 (dpkg keeps it in an `int`).
    #[error("version `{text}` has an epoch that is not a number up to 2147483647")]
    Epoch {
        /// The text refused.
        text: String,
    },
    /// A character that deb-version(7) does not allow there.
    #[error("version `{text}` has the forbidden character `{character}`")]
    Character {
        /// The text refused.
        text: String,
        /// The first such character, escaped.
        character: String,
    },
    /// Longer than any version is ([`DebVersion::MAX_LENGTH`]).
    #[error("version `{text}` is longer than 1024 bytes")]
    TooLong {
        /// The beginning of the text refused.
        text: String,
    },
}

impl DebVersion {
    /// The longest text accepted, in bytes.
    pub const MAX_LENGTH: usize = 1024;

    /// The epoch, 0 when none is written.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The upstream version.
    pub fn upstream(&self) -> &str {
        &self.text[self.upstream_at as usize..self.upstream_end as usize]
    }

    /// The Debian revision, `None` for a native package.
    pub fn revision(&self) -> Option<&str> {
        self.text.get(self.upstream_end as usize + 1..)
    }

    /// The text without its epoch, as pool file names have it.
    pub fn without_epoch(&self) -> &str {
        &self.text[self.upstream_at as usize..]
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for DebVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let empty = |part| VersionError::Empty {
            text: quote(text),
            part,
        };
        if text.len() > Self::MAX_LENGTH {
            return Err(VersionError::TooLong { text: quote(text) });
        }
        let (epoch, upstream_at) = match text.split_once(':') {
            None => (0, 0),
            Some(("", _)) => return Err(empty("epoch")),
            Some((digits, _)) => (parse_epoch(text, digits)?, digits.len() + 1),
        };
        let rest = &text[upstream_at..];
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        if upstream.is_empty() {
            return Err(empty("upstream version"));
        }
        if revision == Some("") {
            return Err(empty("revision"));
        }
        let allowed = |part: &str, extra: &str| {
            let mut others = part.chars();
            match others.find(|c| !c.is_ascii_alphanumeric() && !extra.contains(*c)) {
                None => Ok(()),
                Some(character) => Err(VersionError::Character {
                    text: quote(text),
                    character: character.escape_default().to_string(),
                }),
            }
        };
        allowed(upstream, ".-+~:")?;
        allowed(revision.unwrap_or_default(), ".+~")?;
        Ok(Self {
            text: text.into(),
            epoch,
            upstream_at: upstream_at as u32,
            upstream_end: (upstream_at + upstream.len()) as u32,
        })
    }
}

fn parse_epoch(text: &str, digits: &str) -> Result<u32, VersionError> {
    let number = match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse::<i32>().ok(),
        false => None,
    };
    number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| VersionError::Epoch { text: quote(text) })
}

/// The order of one part (deb-version(7), "Sorting algorithm"): runs of non-digits, where `~`
/// sorts before the end and letters before the rest, alternate with runs of digits.
fn compare_part(left: &str, right: &str) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let is_text = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii_digit());
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        while is_text(left.first()) || is_text(right.first()) {
            match weight(left.first()).cmp(&weight(right.first())) {
                Ordering::Equal => {}
                other => return other,
            }
            left = left.get(1..).unwrap_or_default();
            right = right.get(1..).unwrap_or_default();
        }
        let (left_number, left_rest) = split_number(left);
        let (right_number, right_rest) = split_number(right);
        let order =
            (left_number.len().cmp(&right_number.len())).then(left_number.cmp(right_number));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

/// The leading digits without leading zeros, and what follows. No number is too long for this.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    (&digits[zeros..], rest)
}

impl Ord for DebVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream(), other.upstream()))
            .then_with(|| {
                compare_part(
                    self.revision().unwrap_or_default(),
                    other.revision().unwrap_or_default(),
                )
            })
    }
}

impl PartialOrd for DebVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DebVersion {}

impl fmt::Display for DebVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DebVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for DebVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for DebVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> DebVersion {
        text.parse().expect(text)
    }

    /// Pairs whose order dpkg's own tests and Policy 5.6.12 fix.
    #[test]
    fn the_order_is_that_of_dpkg() {
        let cases = [
            ("1.0", "<", "1.1"),
            ("1.2", "<", "1.11"),
            ("1.0-0.1", "<", "1.1"),
            ("1.0-0.1", "<", "1.0-1"),
            ("1.0", "=", "1.0-0"),
            ("0:1.0", "=", "1.0"),
            ("1.0final-5sarge1", ">", "1.0final-5"),
            ("1.0final-5", ">", "1.0a7-2"),
            ("0.9.2-5", "<", "0.9.2+cvs.1.0.dev.2004.07.28-1.5"),
            ("1:500", "<", "1:5000"),
            ("100:500", ">", "11:5000"),
            ("1.0.4-2", ">", "1.0pre7-2"),
            ("1.5~rc1", "<", "1.5"),
            ("1.5~rc1", "<", "1.5+b1"),
            ("1.5~~", "<", "1.5~"),
            ("1.5~1", "<", "1.5~1+git1"),
            ("0:0-0-0", "=", "0-0-0"),
            ("1:1.2.3-1", ">", "9.9"),
            ("0:0a", ">", "0:0"),
            ("1.0-1~bpo12+1", "<", "1.0-1"),
            ("1.0+b", ">", "1.0b"),
            ("00001", "=", "1"),
            ("1.00", "=", "1.0"),
            (
                "99999999999999999999999999",
                ">",
                "9999999999999999999999999",
            ),
            ("2.36-9+deb12u10", ">", "2.36-9+deb12u9"),
            ("1.", "<", "1.1"),
            ("a", "<", "a0a"),
        ];
        for (left, sign, right) in cases {
            let expected = match sign {
                "<" => Ordering::Less,
                "=" => Ordering::Equal,
                _ => Ordering::Greater,
            };
            assert_eq!(
                version(left).cmp(&version(right)),
                expected,
                "{left} {sign} {right}"
            );
            assert_eq!(version(right).cmp(&version(left)), expected.reverse());
        }
    }

    #[test]
    fn parts_are_split_at_the_first_colon_and_the_last_hyphen() {
        let parsed = version("1:2:3-4-5");
        assert_eq!(
            (parsed.epoch(), parsed.upstream(), parsed.revision()),
            (1, "2:3-4", Some("5"))
        );
        assert_eq!(parsed.without_epoch(), "2:3-4-5");
        assert_eq!(version("7").revision(), None);
        assert_eq!(parsed.to_string(), "1:2:3-4-5");
    }

    #[test]
    fn text_that_dpkg_refuses_is_refused() {
        for text in [
            "",
            ":1",
            "1:",
            "a:1",
            "-1:1",
            "+1:1",
            "2147483648:1",
            "1-",
            "-1",
            "1 0",
            "1_0",
            "1.0-1:2 ",
            "1.0-é",
            "1\n",
            "1.0-1_1",
        ] {
            assert!(text.parse::<DebVersion>().is_err(), "{text:?}");
        }
        assert!("1".repeat(1025).parse::<DebVersion>().is_err());
    }

    proptest! {
        #[test]
        fn order_is_total_and_text_survives(
            a in "[0-2~+.a-c:-]{0,8}", b in "[0-2~+.a-c:-]{0,8}", c in "[0-2~+.a-c-]{0,8}"
        ) {
            let all: Vec<DebVersion> =
                [&a, &b, &c].into_iter().filter_map(|text| text.parse().ok()).collect();
            if let [x, y, z] = &all[..] {
                prop_assert_eq!(x.cmp(y), y.cmp(x).reverse());
                if x <= y && y <= z {
                    prop_assert!(x <= z);
                }
                prop_assert_eq!(x.to_string(), a);
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<DebVersion>();
        }
    }
}
