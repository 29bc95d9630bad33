//! The file name of a wheel, and names of distributions.
//!
//! Source: binary distribution format specification, "File name convention" (PEP 427), platform
//! compatibility tags (PEP 425, compressed tag sets), names by PEP 503. Start at [`WheelName`].

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::shown;

/// The parts of a wheel's file name. Every part is of ASCII letters, digits, `_`, `.`, and `+`
/// or `!` in the version, so none of them can be a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WheelName {
    distribution: String,
    version: String,
    build: Option<String>,
    tags: [String; 3],
}

/// The text is not the file name of a wheel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the file name of a wheel: {reason}")]
pub struct ParseWheelNameError {
    name: String,
    reason: &'static str,
}

/// Most tags that the three compressed tag sets of one file name may stand for.
const MOST_TAGS: usize = 4096;

impl WheelName {
    /// The distribution as the file name spells it, with `_` for `-`.
    pub fn distribution(&self) -> &str {
        &self.distribution
    }

    /// The distribution's normalised name, see [`normalize_name`].
    pub fn project(&self) -> String {
        normalize_name(&self.distribution)
    }

    /// The version as the file name spells it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The build tag, which begins with a digit.
    pub fn build(&self) -> Option<&str> {
        self.build.as_deref()
    }

    /// The Python tags, such as `py2` and `py3`, in the order of the file name.
    pub fn python_tags(&self) -> impl Iterator<Item = &str> {
        self.tags[0].split('.')
    }

    /// The ABI tags, such as `cp313` or `none`.
    pub fn abi_tags(&self) -> impl Iterator<Item = &str> {
        self.tags[1].split('.')
    }

    /// The platform tags, such as `manylinux_2_28_x86_64` or `any`.
    pub fn platform_tags(&self) -> impl Iterator<Item = &str> {
        self.tags[2].split('.')
    }

    /// All that the compressed tag sets stand for, each as `python-abi-platform`.
    pub fn tags(&self) -> BTreeSet<String> {
        let mut tags = BTreeSet::new();
        for python in self.python_tags() {
            for abi in self.abi_tags() {
                for platform in self.platform_tags() {
                    tags.insert(format!("{python}-{abi}-{platform}"));
                }
            }
        }
        tags
    }
}

impl FromStr for WheelName {
    type Err = ParseWheelNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| ParseWheelNameError {
            name: shown(text),
            reason,
        };
        if text.len() > 255 {
            return Err(wrong("it is longer than 255 bytes"));
        }
        let stem = text
            .strip_suffix(".whl")
            .ok_or_else(|| wrong("it does not end with `.whl`"))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (distribution, version, build, tags) = match parts[..] {
            [d, v, python, abi, platform] => (d, v, None, [python, abi, platform]),
            [d, v, build, python, abi, platform] => (d, v, Some(build), [python, abi, platform]),
            _ => return Err(wrong("it has not five or six parts with `-` between them")),
        };
        if !is_project_name(distribution) {
            return Err(wrong("the distribution's name has a character it may not"));
        }
        let version_ok = |b: u8| b.is_ascii_alphanumeric() || b"._+!".contains(&b);
        if version.is_empty() || version.starts_with('.') || !version.bytes().all(version_ok) {
            return Err(wrong("the version has a character it may not"));
        }
        let tag_ok = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        if let Some(build) = build
            && (!build.starts_with(|c: char| c.is_ascii_digit()) || !build.bytes().all(tag_ok))
        {
            return Err(wrong("the build tag does not begin with a digit"));
        }
        for tag in tags {
            if tag.split('.').any(str::is_empty) || !tag.bytes().all(tag_ok) {
                return Err(wrong("a compatibility tag is empty or malformed"));
            }
        }
        let count = |tag: &str| tag.split('.').count();
        if tags.iter().map(|tag| count(tag)).product::<usize>() > MOST_TAGS {
            return Err(wrong("it stands for more than 4096 tags"));
        }
        Ok(Self {
            distribution: distribution.into(),
            version: version.into(),
            build: build.map(Into::into),
            tags: tags.map(Into::into),
        })
    }
}

impl fmt::Display for WheelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.distribution, self.version)?;
        if let Some(build) = &self.build {
            write!(f, "-{build}")?;
        }
        let [python, abi, platform] = &self.tags;
        write!(f, "-{python}-{abi}-{platform}.whl")
    }
}

impl Serialize for WheelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WheelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The normalised name of a distribution: lower case, one `-` for each run of `-`, `_`, `.`
/// (names and normalization specification, PEP 503).
pub fn normalize_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut separator = false;
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            separator = true;
            continue;
        }
        if separator {
            out.push('-');
            separator = false;
        }
        out.push(c.to_ascii_lowercase());
    }
    if separator {
        out.push('-');
    }
    out
}

/// Whether a name keeps the names and normalization specification (`^[A-Z0-9][A-Z0-9._-]*$`
/// with a letter or digit at the end, in any case).
pub(crate) fn is_project_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(|b| inner(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_of_a_name_are_found() {
        let text = "Foo_Bar-1.0+cpu-1a-py2.py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        let name: WheelName = text.parse().unwrap();
        assert_eq!(name.to_string(), text);
        assert_eq!(name.project(), "foo-bar");
        assert_eq!(name.version(), "1.0+cpu");
        assert_eq!(name.build(), Some("1a"));
        assert_eq!(
            name.tags().into_iter().collect::<Vec<_>>(),
            [
                "py2-none-manylinux2014_x86_64",
                "py2-none-manylinux_2_17_x86_64",
                "py3-none-manylinux2014_x86_64",
                "py3-none-manylinux_2_17_x86_64",
            ]
        );
    }

    #[test]
    fn other_names_are_refused_with_the_reason() {
        for (text, reason) in [
            ("a-1-py3-none-any.zip", "`.whl`"),
            ("a-1-none-any.whl", "five or six"),
            ("a-1-b-c-py3-none-any.whl", "five or six"),
            ("../a-1-py3-none-any.whl", "distribution's name"),
            ("a/b-1-py3-none-any.whl", "distribution's name"),
            ("a-1/2-py3-none-any.whl", "version"),
            ("a-..-py3-none-any.whl", "version"),
            ("a-1-x-py3-none-any.whl", "digit"),
            ("a-1-py3..py2-none-any.whl", "tag"),
            ("\x1b[31m-1-py3-none-any.whl", "distribution's name"),
        ] {
            let error = text.parse::<WheelName>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains('\x1b'), "{error}");
        }
        let many = ["a"; 40].join(".");
        let text = format!("a-1-{many}-{many}-{many}.whl");
        assert!(text.parse::<WheelName>().is_err());
    }

    #[test]
    fn names_are_normalised() {
        assert_eq!(normalize_name("Zope._-Interface"), "zope-interface");
        assert!(is_project_name("A.b-c_9"));
        assert!(!is_project_name("-a") && !is_project_name("a.") && !is_project_name(""));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_keeps_the_text(text in "[a-z0-9._/-]{0,24}(-py3-none-any)?(\\.whl)?") {
            if let Ok(name) = text.parse::<WheelName>() {
                prop_assert_eq!(name.to_string(), text);
                prop_assert!(!name.tags().is_empty());
            }
        }
    }
}
