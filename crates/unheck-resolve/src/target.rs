//! What the resolver chooses for: one CPython version on one libc and machine.
//!
//! Never asks the machine that runs unheck. Read [`Target::new`] first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uv_pep440::Version;
use uv_pep508::{MarkerEnvironment, MarkerEnvironmentBuilder};
use uv_platform_tags::{Os, Platform, Tags, TagsOptions};

/// A machine type, named as `uname -m` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// `x86_64`, Debian's `amd64`.
    X86_64,
    /// `aarch64`, Debian's `arm64`.
    Aarch64,
}

impl Arch {
    /// The name in wheel tags and in the marker `platform_machine`.
    pub const fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.machine())
    }
}

/// The C library of the target, which decides the platform tags (PEP 600, PEP 656).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// glibc with its version, for example `(2, 41)`: `manylinux_2_41` and all older ones.
    Glibc(u16, u16),
    /// musl with its version, for example `(1, 2)`: `musllinux_1_2` and older.
    Musl(u16, u16),
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc(major, minor) => write!(f, "glibc {major}.{minor}"),
            Self::Musl(major, minor) => write!(f, "musl {major}.{minor}"),
        }
    }
}

/// CPython of one version on one libc and machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "TargetFields", into = "TargetFields")]
pub struct Target {
    python: String,
    minor: (u8, u8),
    libc: Libc,
    arch: Arch,
}

/// The stored form of [`Target`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetFields {
    python: String,
    libc: Libc,
    arch: Arch,
}

/// The text is no full Python version that a target can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a full version of Python 3 (for example `3.13.5`)")]
pub struct TargetError(String);

impl Target {
    /// A target for a full Python version such as `3.13.5` or `3.14.0rc2`.
    ///
    /// # Errors
    /// When `python` is no PEP 440 version with three numbers that begins with `3.`.
    pub fn new(python: &str, libc: Libc, arch: Arch) -> Result<Self, TargetError> {
        let wrong = || TargetError(python.chars().take(100).collect());
        if python.len() > 32 {
            return Err(wrong());
        }
        let version = Version::from_str(python).map_err(|_| wrong())?;
        let [3, minor, _] = version.release()[..] else {
            return Err(wrong());
        };
        if version.epoch() != 0 || version.is_post() || version.is_dev() || version.is_local() {
            return Err(wrong());
        }
        let minor = u8::try_from(minor).map_err(|_| wrong())?;
        Ok(Self {
            python: version.to_string(),
            minor: (3, minor),
            libc,
            arch,
        })
    }

    /// The full Python version, for example `3.13.5`.
    pub fn python(&self) -> &str {
        &self.python
    }

    /// Major and minor Python version, for example `(3, 13)`.
    pub const fn minor(&self) -> (u8, u8) {
        self.minor
    }

    /// The C library.
    pub const fn libc(&self) -> Libc {
        self.libc
    }

    /// The machine type.
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// The compatible wheel tags, best first, as `python-abi-platform` triples (PEP 425).
    pub fn tags(&self) -> Vec<String> {
        self.uv_tags().to_string_list()
    }
}
