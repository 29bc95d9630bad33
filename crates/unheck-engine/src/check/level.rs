//! The order of symbol versions, and what each GCC brings. Start at [`split`].
//!
//! Libraries whose symbol versions are named after releases only ever add to them, so the newest
//! one tells all: GLIBC, GLIBCXX, CXXABI, GCC, OPENSSL, ZLIB, XZ and others.

use std::collections::BTreeMap;

/// A version as numbers, with a letter at the end as OpenSSL 1.1 has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    parts: Vec<u64>,
    letters: String,
}

impl Number {
    /// The numbers of `2.34`, `1_1_1d` or `8.0`; `None` for other text.
    pub fn of(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let letters = text[digits.len()..].to_owned();
        if letters.len() > 2 {
            return None;
        }
        let mut parts = digits
            .split(['.', '_'])
            .map(|part| part.parse().ok())
            .collect::<Option<Vec<u64>>>()?;
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        Some(Self { parts, letters })
    }
}

/// Family and number of a symbol version: `GLIBC` and 2.34 of `GLIBC_2.34`.
pub fn split(version: &str) -> Option<(&str, Number)> {
    let at = version
        .char_indices()
        .find(|(at, c)| *c == '_' && version[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?
        .0;
    Some((&version[..at], Number::of(&version[at + 1..])?))
}

/// Symbol versions that carry no number: the family that grows with them, and since when.
///
/// From glibc's `Versions` files (2.36 for `DT_RELR`) and libstdc++'s `abi.html` (GCC 4.7 and 5).
pub fn old_marker(version: &str) -> Option<(&'static str, Number)> {
    let (family, since) = match version {
        "GLIBC_ABI_DT_RELR" => ("GLIBC", "2.36"),
        "CXXABI_TM_1" => ("CXXABI", "1.3.6"),
        "CXXABI_FLOAT128" => ("CXXABI", "1.3.9"),
        _ => return None,
    };
    Some((family, Number::of(since)?))
}

/// GCC release, newest `GLIBCXX_` and newest `CXXABI_` of its libstdc++ (the GNU C++ Library
/// manual, "ABI Policy and Guidelines", section "Versioning").
const GCC: &[(&str, &str, &str)] = &[
    ("4.8.3", "3.4.19", "1.3.7"),
    ("4.9", "3.4.20", "1.3.8"),
    ("5.1", "3.4.21", "1.3.9"),
    ("6.1", "3.4.22", "1.3.10"),
    ("7.1", "3.4.23", "1.3.11"),
    ("7.2", "3.4.24", "1.3.11"),
    ("8.1", "3.4.25", "1.3.11"),
    ("9.1", "3.4.26", "1.3.12"),
    ("9.2", "3.4.27", "1.3.12"),
    ("9.3", "3.4.28", "1.3.12"),
    ("11.1", "3.4.29", "1.3.13"),
    ("12.1", "3.4.30", "1.3.13"),
    ("13.1", "3.4.31", "1.3.14"),
    ("13.2", "3.4.32", "1.3.14"),
    ("14.1", "3.4.33", "1.3.15"),
    ("15.1", "3.4.34", "1.3.16"),
];

/// The newest symbol versions of a library of GCC, by family; `None` for other libraries.
pub fn of_gcc(soname: &str, gcc: &str) -> Option<BTreeMap<String, String>> {
    let release = Number::of(gcc)?;
    let level = |family: &str, level: &str| (family.to_owned(), level.to_owned());
    match soname {
        "libgcc_s.so.1" => Some([level("GCC", gcc)].into()),
        "libstdc++.so.6" => {
            let (_, glibcxx, cxxabi) = GCC
                .iter()
                .rev()
                .find(|(since, ..)| Number::of(since).is_some_and(|since| since <= release))?;
            Some([level("GLIBCXX", glibcxx), level("CXXABI", cxxabi)].into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        let less = |one: &str, other: &str| {
            Number::of(one).expect("number") < Number::of(other).expect("number")
        };
        assert!(less("2.4", "2.34") && less("2.2.5", "2.3") && less("1_1_0", "1_1_1"));
        assert!(less("1.1.1", "1.1.1d") && less("1.1.1d", "1.1.1w"));
        assert_eq!(Number::of("3.0.0"), Number::of("3"));
        for nothing in [
            "",
            "PRIVATE",
            "1.2alpha",
            "a",
            "1..2",
            "1.99999999999999999999",
        ] {
            assert_eq!(Number::of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn families_end_where_the_number_begins() {
        let family = |text: &'static str| split(text).map(|(family, _)| family);
        assert_eq!(family("GLIBC_2.34"), Some("GLIBC"));
        assert_eq!(family("OPENSSL_1_1_1d"), Some("OPENSSL"));
        assert_eq!(family("LIBFFI_BASE_8.0"), Some("LIBFFI_BASE"));
        assert_eq!(family("GLIBC_PRIVATE"), None);
        assert_eq!(family("GLIBC_"), None);
        assert_eq!(family(""), None);
    }

    #[test]
    fn every_gcc_has_the_versions_of_the_newest_release_before_it() {
        let glibcxx =
            |gcc: &str| of_gcc("libstdc++.so.6", gcc).map(|levels| levels["GLIBCXX"].clone());
        assert_eq!(glibcxx("7.3").as_deref(), Some("3.4.24"));
        assert_eq!(glibcxx("8.5").as_deref(), Some("3.4.25"));
        assert_eq!(glibcxx("10.2").as_deref(), Some("3.4.28"));
        assert_eq!(glibcxx("99").as_deref(), Some("3.4.34"));
        assert_eq!(glibcxx("3.4"), None);
        assert_eq!(of_gcc("libz.so.1", "12"), None);
    }
}
