//! Reads `Cargo.lock`: the crates that a build needs from a registry. Pure. Start at [`locked`].
//!
//! Format: the Cargo book, "Cargo.toml vs Cargo.lock", and cargo's `resolver/encode.rs` for the
//! versions: 1 (no `version`, checksums in `[metadata]`), 2 (no `version`, checksums in the
//! packages), 3 and 4 (`version`; they differ in how git sources are written). Crates of the
//! sdist itself have no source and are left to cargo.

use std::collections::BTreeMap;

use serde::Deserialize;
use unheck_base::Digest;

use super::CargoError;

/// The newest version that is known.
const NEWEST: u64 = 4;
/// Longest text that is read, in bytes; those of the largest workspaces have 400 kB.
const MAX_TEXT: usize = 16 << 20;
/// Most crates.
const MAX_CRATES: usize = 10_000;

/// The two ways in which crates.io is written as a source.
const CRATES_IO: [&str; 2] = [
    "registry+https://github.com/rust-lang/crates.io-index",
    "sparse+https://index.crates.io/",
];

/// A crate of crates.io.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedCrate {
    /// Its name, checked: ASCII letters, digits, `-` and `_`.
    pub name: String,
    /// Its version, checked: ASCII letters, digits, `.`, `-` and `+`.
    pub version: String,
    /// SHA-256 of the `.crate` file.
    pub checksum: Digest,
}

impl LockedCrate {
    /// `NAME-VERSION`.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

#[derive(Deserialize)]
struct Text {
    version: Option<u64>,
    #[serde(default)]
    package: Vec<Package>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// The crates that a lock names, sorted; `path` is told in errors.
///
/// # Errors
/// [`CargoError`]: it is no lock, of a later version, or names what crates.io does not have.
pub fn locked(path: &str, text: &str) -> Result<Vec<LockedCrate>, CargoError> {
    let path = || path.to_owned();
    if text.len() > MAX_TEXT {
        return Err(CargoError::TooMany {
            path: path(),
            what: "bytes",
            found: text.len(),
            most: MAX_TEXT,
        });
    }
    let text: Text = toml::from_str(text).map_err(|source| CargoError::Syntax {
        path: path(),
        source: Box::new(source),
    })?;
    if let Some(version) = text.version.filter(|version| *version > NEWEST) {
        return Err(CargoError::Version {
            path: path(),
            version,
        });
    }
    if text.package.len() > MAX_CRATES {
        return Err(CargoError::TooMany {
            path: path(),
            what: "crates",
            found: text.package.len(),
            most: MAX_CRATES,
        });
    }
    let mut crates = Vec::new();
    for package in &text.package {
        let Some(source) = &package.source else {
            continue;
        };
        crates.push(one(package, source, &text.metadata).map_err(|problem| {
            CargoError::Crate {
                path: path(),
                name: format!("{} {}", package.name, package.version)
                    .escape_debug()
                    .to_string(),
                problem,
            }
        })?);
    }
    crates.sort();
    crates.dedup();
    Ok(crates)
}

/// Why a crate of a lock cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrateProblem {
    /// It comes from a version control system.
    #[error("it comes from git, `{0}`, which has no checksum, and a build has no network")]
    Git(String),
    /// It comes from another registry.
    #[error("it comes from the registry `{0}`, and only crates.io is asked")]
    Registry(String),
    /// Its name or version has other characters than crates.io allows.
    #[error("its name or version has characters that crates.io does not allow")]
    Name,
    /// There is no checksum, or one that is none.
    #[error("it has no SHA-256 checksum")]
    Checksum,
}

fn one(
    package: &Package,
    source: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<LockedCrate, CrateProblem> {
    let shown = || {
        source
            .chars()
            .take(200)
            .collect::<String>()
            .escape_debug()
            .to_string()
    };
    if source.starts_with("git+") {
        return Err(CrateProblem::Git(shown()));
    }
    if !CRATES_IO.contains(&source) {
        return Err(CrateProblem::Registry(shown()));
    }
    let Package { name, version, .. } = package;
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !plain(name, "-_") || !plain(version, ".-+") {
        return Err(CrateProblem::Name);
    }
    let old = || metadata.get(&format!("checksum {name} {version} ({source})"));
    let checksum = package.checksum.as_ref().or_else(old);
    let checksum = checksum.and_then(|text| text.parse().ok());
    Ok(LockedCrate {
        name: name.clone(),
        version: version.clone(),
        checksum: checksum.ok_or(CrateProblem::Checksum)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "d24dacb7a1e8b4d1d5b3f1a5e2b6d8f0a1c3e5f7092b4d6f8091a3b5c7d9e1f3";

    fn read(text: &str) -> Result<Vec<LockedCrate>, String> {
        locked("Cargo.lock", text).map_err(|error| {
            let source = std::error::Error::source(&error);
            let source = source.map(|source| format!(": {source}"));
            format!("{error}{}", source.unwrap_or_default())
        })
    }

    fn package(source: &str, checksum: &str) -> String {
        format!(
            "version = 4\n[[package]]\nname = \"itoa\"\nversion = \"1.0.0+x\"\nsource = \"{source}\"\n{checksum}\n"
        )
    }

    #[test]
    fn all_versions_of_the_format_are_read() {
        let crates_io = CRATES_IO[0];
        let expected = Ok(vec![LockedCrate {
            name: "itoa".to_owned(),
            version: "1.0.0+x".to_owned(),
            checksum: SUM.parse().expect("a digest"),
        }]);
        let new = package(crates_io, &format!("checksum = \"{SUM}\""));
        assert_eq!(read(&new), expected);
        assert_eq!(read(&new.replace("version = 4", "version = 3")), expected);
        assert_eq!(read(&new.replace("version = 4\n", "")), expected);
        let sparse = package(CRATES_IO[1], &format!("checksum = \"{SUM}\""));
        assert_eq!(read(&sparse), expected);
        let old = package(
            crates_io,
            &format!("[metadata]\n\"checksum itoa 1.0.0+x ({crates_io})\" = \"{SUM}\""),
        );
        assert_eq!(read(&old.replace("version = 4\n", "")), expected);
        let own = "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n";
        assert_eq!(read(own), Ok(Vec::new()));
    }

    #[test]
    fn what_crates_io_cannot_give_is_refused() {
        let crates_io = CRATES_IO[0];
        let good = package(crates_io, &format!("checksum = \"{SUM}\""));
        let cases = [
            (
                package("git+https://git.invalid/x?rev=1#2", ""),
                "comes from git",
            ),
            (
                package("registry+https://other.invalid/index", ""),
                "the registry `registry+https",
            ),
            (package(crates_io, ""), "no SHA-256"),
            (package(crates_io, "checksum = \"<none>\""), "no SHA-256"),
            (good.replace("\"itoa\"", "\"../itoa\""), "characters"),
            (good.replace("1.0.0+x", "1/../.."), "characters"),
            (good.replace("version = 4", "version = 5"), "of version 5"),
            ("package = 1".to_owned(), "is no `Cargo.lock`"),
        ];
        for (text, expected) in cases {
            let error = read(&text).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
