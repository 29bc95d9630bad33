//! Which Python a target gets from Debian. Start at [`choose`].

use crate::debian::{Suites, parse_glibc};
use crate::explain::{Class, Explain};
use crate::layout::minor;
use crate::lock::Interpreter;
use crate::platform::Platform;

/// A Debian interpreter: what goes into the lock, and its packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianPython {
    /// Version and glibc.
    pub interpreter: Interpreter,
    /// Packages whose files all ship.
    pub packages: Vec<String>,
}

/// The suite has no Python that fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The version asked for is not in the suite.
    #[error("the suite `{suite}` has no Python {wanted} (it has {})", list(found))]
    NotInSuite {
        /// The suite.
        suite: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// None of the suite's versions is allowed by the project.
    #[error(
        "the project wants Python `{requires}`, and the suite `{suite}` has {}",
        list(found)
    )]
    NotAllowed {
        /// The suite.
        suite: String,
        /// The project's specifiers.
        requires: String,
        /// What there is.
        found: Vec<String>,
    },
    /// The project's specifiers are none.
    #[error("`{requires}` is no version specifier (PEP 440)")]
    Specifier {
        /// The project's text.
        requires: String,
    },
    /// The suite has no libc.
    #[error("the suite `{suite}` has no `libc6` for {platform}")]
    NoLibc {
        /// The suite.
        suite: String,
        /// The platform.
        platform: Platform,
    },
}

fn list(versions: &[String]) -> String {
    if versions.is_empty() {
        "none".to_owned()
    } else {
        versions.join(", ")
    }
}

impl Explain for ChooseError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotInSuite { .. } | Self::NotAllowed { .. } => vec![
                "choose a suite that has it with `--suite` (bullseye 3.9, bookworm 3.11, trixie 3.13, forky and sid newer), or give an archive of any version: `[tool.unheck.standalone]`".to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// Python and glibc that a released suite has: Debian changes neither within a release. A guess
/// that saves time, and that counts for nothing until the suite's own index says the same.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("bullseye", "3.9.2", "2.31"),
    ("bookworm", "3.11.2", "2.36"),
    ("trixie", "3.13.5", "2.41"),
];

/// The interpreter that a suite most probably has.
pub(crate) fn expected(suite: &str) -> Option<Interpreter> {
    let (_, version, glibc) = EXPECTED.iter().find(|(name, _, _)| *name == suite)?;
    Some(Interpreter::debian(*version, *glibc))
}

/// The glibc of the suites, as `major.minor`.
///
/// # Errors
/// [`ChooseError::NoLibc`].
pub fn glibc(suites: &Suites, platform: Platform) -> Result<(u32, u32), ChooseError> {
    suites
        .package(platform, "libc6")
        .and_then(|listed| parse_glibc(listed.package.version.upstream()))
        .ok_or_else(|| ChooseError::NoLibc {
            suite: suites.name.clone(),
            platform,
        })
}

/// Chooses a Python: the one asked for, else the suite's default where the project allows it,
/// else the newest that it allows.
///
/// # Errors
/// [`ChooseError`].
pub fn choose(
    suites: &Suites,
    platform: Platform,
    wanted: Option<&str>,
    requires: Option<&str>,
) -> Result<DebianPython, ChooseError> {
    let found = versions(suites, platform);
    let shown = || {
        found
            .iter()
            .map(|(minor, _)| minor.clone())
            .collect::<Vec<_>>()
    };
    let chosen = match wanted {
        Some(wanted) => {
            let wanted = wanted.trim_start_matches("python").trim_start_matches('=');
            found
                .iter()
                .find(|(minor, full)| minor == wanted || full == wanted)
                .ok_or_else(|| ChooseError::NotInSuite {
                    suite: suites.name.clone(),
                    wanted: wanted.to_owned(),
                    found: shown(),
                })?
        }
        None => {
            let mut candidates: Vec<_> = found.iter().collect();
            let default = default_minor(suites, platform);
            candidates.sort_by_key(|(minor, _)| {
                (
                    Some(minor) != default.as_ref(),
                    std::cmp::Reverse(number(minor)),
                )
            });
            let mut allowed = None;
            for candidate in candidates {
                if allows(requires, &candidate.1)? {
                    allowed = Some(candidate);
                    break;
                }
            }
            allowed.ok_or_else(|| ChooseError::NotAllowed {
                suite: suites.name.clone(),
                requires: requires.unwrap_or_default().to_owned(),
                found: shown(),
            })?
        }
    };
    let (minor, full) = chosen;
    let (major_glibc, minor_glibc) = glibc(suites, platform)?;
    let mut packages = vec![
        format!("libpython{minor}-minimal"),
        format!("libpython{minor}-stdlib"),
        format!("python{minor}-minimal"),
    ];
    // Debian packages distutils apart; it left the standard library with 3.12 (PEP 632).
    if number(minor) < 12 && suites.package(platform, "python3-distutils").is_some() {
        packages.push("python3-distutils".to_owned());
    }
    Ok(DebianPython {
        interpreter: Interpreter::debian(full, format!("{major_glibc}.{minor_glibc}")),
        packages,
    })
}

/// Every Python of the suites: `3.13` with `3.13.5`, the oldest first.
fn versions(suites: &Suites, platform: Platform) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = suites
        .names(platform, "python3.")
        .into_iter()
        .filter_map(|name| {
            let minor = name
                .strip_prefix("python")?
                .strip_suffix("-minimal")?
                .to_owned();
            let listed = suites.package(platform, &name)?;
            Some((minor, upstream(listed.package.version.upstream())))
        })
        .collect();
    found.sort_by_key(|(minor, _)| number(minor));
    found
}

/// `3.14.0rc2` of the upstream versions `3.14.0~rc2` and `3.14.0~rc2+ds`.
pub(crate) fn upstream(version: &str) -> String {
    version
        .split('+')
        .next()
        .unwrap_or(version)
        .replace('~', "")
}

fn number(minor: &str) -> u32 {
    minor
        .rsplit('.')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// The version that `python3` means in the suite.
fn default_minor(suites: &Suites, platform: Platform) -> Option<String> {
    let listed = suites.package(platform, "python3-minimal")?;
    let depends = [&listed.package.pre_depends, &listed.package.depends];
    depends
        .into_iter()
        .filter_map(|field| field.parse().ok())
        .flatten()
        .flatten()
        .find_map(|relation| {
            let version = relation
                .name
                .strip_prefix("python")?
                .strip_suffix("-minimal")?;
            Some(minor(version))
        })
}

fn allows(requires: Option<&str>, version: &str) -> Result<bool, ChooseError> {
    let Some(requires) = requires else {
        return Ok(true);
    };
    unheck_resolve::python_allowed(requires, version).ok_or_else(|| ChooseError::Specifier {
        requires: requires.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_versions_become_python_versions() {
        assert_eq!(upstream("3.14.0~rc2"), "3.14.0rc2");
        assert_eq!(upstream("3.9.2+really"), "3.9.2");
        assert_eq!(number("3.13"), 13);
    }
}
