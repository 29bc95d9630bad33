//! Licences, as SPDX expressions where they can be said so. Start at [`of_python`] and [`of_debian`].
//!
//! What is no valid expression stays a name: a licence that is guessed wrong is worse than one that
//! a person has to look up.

use std::collections::BTreeSet;

/// Under what licence something is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Licence {
    /// Nobody says.
    #[default]
    Unknown,
    /// A valid SPDX expression (SPDX 2.3 annex D).
    Expression(String),
    /// Names that are not SPDX's, or not all of them.
    Names(BTreeSet<String>),
}

/// The longest text that is taken for the name of a licence; longer ones are the licence itself.
const MAX_NAME: usize = 100;

/// The licence of a Python distribution: `License-Expression` (PEP 639), else `License` where it is short,
/// else the classifiers.
pub fn of_python(expression: Option<&str>, text: Option<&str>, classifiers: &[String]) -> Licence {
    if let Some(expression) = expression.and_then(valid) {
        return Licence::Expression(expression);
    }
    let named = text.map(str::trim).filter(|text| {
        !text.is_empty() && text.len() <= MAX_NAME && !text.contains('\n') && *text != "UNKNOWN"
    });
    if let Some(known) = named.and_then(|text| valid(text).or_else(|| common(text))) {
        return Licence::Expression(known);
    }
    let said: Vec<&str> = classifiers
        .iter()
        .filter_map(|line| line.strip_prefix("License ::"))
        .filter_map(|line| line.rsplit("::").next().map(str::trim))
        .filter(|name| !name.is_empty() && *name != "OSI Approved")
        .collect();
    let ids: Option<BTreeSet<&str>> = said.iter().map(|name| classifier(name)).collect();
    match ids {
        // Several classifiers mean that all are there, not which one may be chosen.
        Some(ids) if ids.len() == 1 => ids
            .into_iter()
            .next()
            .map_or(Licence::Unknown, |id| Licence::Expression(id.to_owned())),
        _ => names(said.into_iter().chain(named)),
    }
}

/// The licence of a Debian package, where its copyright file is machine-readable (DEP-5, "copyright-format
/// 1.0"): all licences that its files are under, together.
pub fn of_debian(copyright: &str) -> Licence {
    let head: String = copyright.chars().take(2000).collect();
    if !head
        .lines()
        .any(|line| line.starts_with("Format:") && line.contains("copyright-format"))
    {
        return Licence::Unknown;
    }
    let mut in_files = false;
    let mut said = BTreeSet::new();
    for line in copyright.lines() {
        if line.trim().is_empty() {
            in_files = false;
        } else if line.starts_with("Files:") {
            in_files = true;
        } else if let Some(name) = line.strip_prefix("License:").filter(|_| in_files) {
            let name = name.trim();
            if !name.is_empty() && name.len() <= 200 {
                said.insert(name);
            }
        }
    }
    let all: Option<BTreeSet<String>> = said.iter().map(|name| debian_expression(name)).collect();
    match all {
        Some(all) if !all.is_empty() => {
            let several = all.len() > 1;
            let part = |one: &String| match several && one.contains(" OR ") {
                true => format!("({one})"),
                false => one.clone(),
            };
            let text = all.iter().map(part).collect::<Vec<_>>().join(" AND ");
            valid(&text).map_or_else(|| names(said), Licence::Expression)
        }
        _ => names(said),
    }
}

/// A foreign licence: an expression where it is a valid one, else a name.
pub fn of_text(text: &str) -> Licence {
    match valid(text) {
        Some(expression) => Licence::Expression(expression),
        None => names([text]),
    }
}

/// Two licences that both hold.
#[must_use]
pub fn both(one: Licence, other: Licence) -> Licence {
    match (one, other) {
        (Licence::Unknown, known) | (known, Licence::Unknown) => known,
        (Licence::Expression(one), Licence::Expression(other)) if one == other => {
            Licence::Expression(one)
        }
        (Licence::Expression(one), Licence::Expression(other)) => {
            let text = format!("({one}) AND ({other})");
            valid(&text).map_or_else(|| names([one.as_str(), &other]), Licence::Expression)
        }
        (one, other) => {
            let all = |licence| match licence {
                Licence::Names(names) => names,
                Licence::Expression(text) => BTreeSet::from([text]),
                Licence::Unknown => BTreeSet::new(),
            };
            let mut names = all(one);
            names.extend(all(other));
            Licence::Names(names)
        }
    }
}

/// The expression in the spelling it came in, if it is one.
fn valid(text: &str) -> Option<String> {
    let text = text.trim();
    let short = text.len() <= 1000 && text.is_ascii();
    (short && spdx::Expression::parse(text).is_ok()).then(|| text.to_owned())
}

fn names<'a>(said: impl IntoIterator<Item = &'a str>) -> Licence {
    let tamed = said.into_iter().map(|name| {
        let short: String = name.chars().take(MAX_NAME).collect();
        short
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    });
    let all: BTreeSet<String> = tamed.filter(|name| !name.is_empty()).collect();
    match all.is_empty() {
        true => Licence::Unknown,
        false => Licence::Names(all),
    }
}

/// What people write who mean one licence only.
fn common(text: &str) -> Option<String> {
    let id = match text.to_ascii_lowercase().trim_end_matches('.') {
        "mit license" | "the mit license" | "mit licence" | "expat" | "expat license" => "MIT",
        "apache 2"
        | "apache 2.0"
        | "apache license 2.0"
        | "apache license, version 2.0"
        | "apache license version 2.0"
        | "apache software license 2.0"
        | "apache-2" => "Apache-2.0",
        "bsd-3-clause license"
        | "3-clause bsd"
        | "bsd 3-clause"
        | "bsd 3-clause license"
        | "3-clause bsd license"
        | "new bsd"
        | "new bsd license"
        | "modified bsd license" => "BSD-3-Clause",
        "bsd 2-clause" | "2-clause bsd" | "simplified bsd" | "bsd-2-clause license" => {
            "BSD-2-Clause"
        }
        "mpl 2.0" | "mpl-2.0 license" | "mozilla public license 2.0 (mpl 2.0)" => "MPL-2.0",
        "psf" | "psf license" | "python software foundation license" => "PSF-2.0",
        "isc license" | "isc license (iscl)" => "ISC",
        "zpl 2.1" => "ZPL-2.1",
        "unlicense" | "the unlicense" => "Unlicense",
        _ => return None,
    };
    Some(id.to_owned())
}

/// The classifiers that name one licence; `BSD License` and its like name several.
fn classifier(name: &str) -> Option<&'static str> {
    Some(match name {
        "MIT License" => "MIT",
        "MIT No Attribution License (MIT-0)" => "MIT-0",
        "ISC License (ISCL)" => "ISC",
        "Mozilla Public License 2.0 (MPL 2.0)" => "MPL-2.0",
        "Mozilla Public License 1.1 (MPL 1.1)" => "MPL-1.1",
        "Python Software Foundation License" => "PSF-2.0",
        "The Unlicense (Unlicense)" => "Unlicense",
        "Boost Software License 1.0 (BSL-1.0)" => "BSL-1.0",
        "zlib/libpng License" => "Zlib",
        "Zope Public License" => return None,
        "GNU General Public License v2 (GPLv2)" => "GPL-2.0-only",
        "GNU General Public License v2 or later (GPLv2+)" => "GPL-2.0-or-later",
        "GNU General Public License v3 (GPLv3)" => "GPL-3.0-only",
        "GNU General Public License v3 or later (GPLv3+)" => "GPL-3.0-or-later",
        "GNU Lesser General Public License v2 (LGPLv2)" => "LGPL-2.0-only",
        "GNU Lesser General Public License v2 or later (LGPLv2+)" => "LGPL-2.0-or-later",
        "GNU Lesser General Public License v3 (LGPLv3)" => "LGPL-3.0-only",
        "GNU Lesser General Public License v3 or later (LGPLv3+)" => "LGPL-3.0-or-later",
        "GNU Affero General Public License v3" => "AGPL-3.0-only",
        "GNU Affero General Public License v3 or later (AGPLv3+)" => "AGPL-3.0-or-later",
        "Eclipse Public License 2.0 (EPL-2.0)" => "EPL-2.0",
        "European Union Public Licence 1.2 (EUPL 1.2)" => "EUPL-1.2",
        "Historical Permission Notice and Disclaimer (HPND)" => "HPND",
        "Universal Permissive License (UPL)" => "UPL-1.0",
        _ => return None,
    })
}

/// A DEP-5 licence in SPDX's words: short names joined by `and`, `or` and commas, with exceptions.
fn debian_expression(text: &str) -> Option<String> {
    let spaced = text.replace(',', " , ");
    let mut out: Vec<String> = Vec::new();
    for word in spaced.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            // A comma before `and` or `or` only groups more loosely, which all-of-one-kind does not need.
            "," => continue,
            "and" => out.push("AND".to_owned()),
            "or" => out.push("OR".to_owned()),
            "with" => return None,
            _ => out.push(debian_id(word)?),
        }
    }
    let mixed = out.iter().any(|word| word == "AND") && out.iter().any(|word| word == "OR");
    let text = out.join(" ");
    (!mixed).then(|| valid(&text)).flatten()
}

/// A DEP-5 short name as an SPDX identifier.
fn debian_id(name: &str) -> Option<String> {
    let (bare, later) = match name.strip_suffix('+') {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    let gnu = bare
        .split_once('-')
        .filter(|(kind, _)| matches!(*kind, "GPL" | "LGPL" | "AGPL" | "GFDL"));
    if let Some((kind, version)) = gnu {
        let version = match version.contains('.') || kind == "GFDL" {
            true => version.to_owned(),
            false => format!("{version}.0"),
        };
        let suffix = if later { "or-later" } else { "only" };
        return valid(&format!("{kind}-{version}-{suffix}"));
    }
    let id = match bare.to_ascii_lowercase().as_str() {
        "expat" | "mit" => "MIT",
        "bsd-2-clause" => "BSD-2-Clause",
        "bsd-3-clause" => "BSD-3-Clause",
        "bsd-4-clause" => "BSD-4-Clause",
        "isc" => "ISC",
        "zlib" => "Zlib",
        "apache-2" | "apache-2.0" => "Apache-2.0",
        "psf-2" | "python-2.0" => "PSF-2.0",
        "artistic" => "Artistic-1.0-Perl",
        "artistic-2" | "artistic-2.0" => "Artistic-2.0",
        "mpl-1.1" => "MPL-1.1",
        "mpl-2" | "mpl-2.0" => "MPL-2.0",
        "cc0-1.0" | "cc0" => "CC0-1.0",
        "bsl-1.0" | "bsl-1" => "BSL-1.0",
        "unicode-3.0" => "Unicode-3.0",
        "openssl" => "OpenSSL",
        "curl" => "curl",
        _ => return valid(name),
    };
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(expression: Option<&str>, text: Option<&str>, classifiers: &[&str]) -> String {
        let classifiers: Vec<String> = classifiers
            .iter()
            .map(|line| format!("License :: {line}"))
            .collect();
        format!("{:?}", of_python(expression, text, &classifiers))
    }

    #[test]
    fn the_most_exact_of_three_fields_counts() {
        let mit = "OSI Approved :: MIT License";
        assert_eq!(
            python(Some("MIT OR Apache-2.0"), Some("GPL"), &[mit]),
            r#"Expression("MIT OR Apache-2.0")"#
        );
        assert_eq!(
            python(Some("no such"), Some("Apache License 2.0"), &[]),
            r#"Expression("Apache-2.0")"#
        );
        assert_eq!(
            python(None, Some("UNKNOWN"), &[mit]),
            r#"Expression("MIT")"#
        );
        assert_eq!(
            python(None, None, &["OSI Approved :: BSD License"]),
            r#"Names({"BSD License"})"#
        );
        assert_eq!(
            python(
                None,
                Some("Dual License"),
                &[mit, "OSI Approved :: Apache Software License"]
            ),
            r#"Names({"Apache Software License", "Dual License", "MIT License"})"#
        );
        assert_eq!(
            python(None, Some(&"long ".repeat(100)), &["OSI Approved"]),
            "Unknown"
        );
        assert_eq!(
            python(None, Some("evil\u{1b}[31m"), &[]),
            r#"Names({"evil [31m"})"#
        );
    }

    #[test]
    fn a_machine_readable_copyright_file_gives_all_its_licences() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: x\nLicense: GPL-2+ or Artistic\n\nFiles: y\nLicense: Expat\n text\n\nLicense: BSD-3-clause\n not of files\n";
        assert_eq!(
            of_debian(text),
            Licence::Expression("(GPL-2.0-or-later OR Artistic-1.0-Perl) AND MIT".into())
        );
        let odd = text.replace("Expat", "public-domain");
        assert_eq!(
            format!("{:?}", of_debian(&odd)),
            r#"Names({"GPL-2+ or Artistic", "public-domain"})"#
        );
        assert_eq!(
            of_debian("This package was debianized by hand.\nLicense: MIT\n"),
            Licence::Unknown
        );
        let with = text.replace("Expat", "GPL-3+ with OpenSSL exception");
        assert!(matches!(of_debian(&with), Licence::Names(_)));
    }

    #[test]
    fn two_licences_that_both_hold_are_joined() {
        let expression = |text: &str| Licence::Expression(text.into());
        assert_eq!(both(expression("MIT"), Licence::Unknown), expression("MIT"));
        assert_eq!(
            both(expression("MIT"), expression("MIT")),
            expression("MIT")
        );
        assert_eq!(
            both(expression("MIT"), expression("ISC OR Zlib")),
            expression("(MIT) AND (ISC OR Zlib)")
        );
        assert!(
            matches!(both(expression("MIT"), names(["x"])), Licence::Names(all) if all.len() == 2)
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_readers_fail(text in "\\PC{0,200}") {
            drop(of_debian(&format!("Format: copyright-format\n\nFiles: *\nLicense: {text}")));
            drop(of_python(Some(&text), Some(&text), std::slice::from_ref(&text)));
        }
    }
}
