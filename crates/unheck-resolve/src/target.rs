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

/// Whether version specifiers (PEP 440) such as `>=3.11,<4` allow a full Python version; `None` when
/// either text is none.
pub fn python_allowed(specifiers: &str, python: &str) -> Option<bool> {
    let specifiers = uv_pep440::VersionSpecifiers::from_str(specifiers).ok()?;
    Some(specifiers.contains(&Version::from_str(python).ok()?))
}

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
        let text = self.uv_tags().to_string();
        text.lines().map(str::to_owned).collect()
    }

    /// The platform in the resolver's terms.
    pub(crate) fn uv_platform(&self) -> Platform {
        let os = match self.libc {
            Libc::Glibc(major, minor) => Os::Manylinux { major, minor },
            Libc::Musl(major, minor) => Os::Musllinux { major, minor },
        };
        let arch = match self.arch {
            Arch::X86_64 => uv_platform_tags::Arch::X86_64,
            Arch::Aarch64 => uv_platform_tags::Arch::Aarch64,
        };
        Platform::new(os, arch)
    }

    /// The compatible tags in the resolver's terms.
    pub(crate) fn uv_tags(&self) -> Tags {
        let options = TagsOptions {
            manylinux_compatible: true,
            is_cross: true,
            ..TagsOptions::default()
        };
        Tags::from_env(
            self.uv_platform(),
            self.minor,
            "cpython",
            self.minor,
            options,
        )
        .expect("every libc and machine of `Target` has tags")
    }

    /// The marker environment of PEP 508 for this target.
    pub(crate) fn uv_markers(&self) -> MarkerEnvironment {
        let short = format!("{}.{}", self.minor.0, self.minor.1);
        MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &self.python,
            os_name: "posix",
            platform_machine: self.arch.machine(),
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &self.python,
            python_version: &short,
            sys_platform: "linux",
        })
        .expect("the version was parsed by `Target::new`")
    }

    /// The Python version in the resolver's terms.
    pub(crate) fn uv_python(&self) -> Version {
        Version::from_str(&self.python).expect("the version was parsed by `Target::new`")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {} on {}, {}", self.python, self.libc, self.arch)
    }
}

impl TryFrom<TargetFields> for Target {
    type Error = TargetError;

    fn try_from(fields: TargetFields) -> Result<Self, TargetError> {
        Self::new(&fields.python, fields.libc, fields.arch)
    }
}

impl From<Target> for TargetFields {
    fn from(target: Target) -> Self {
        Self {
            python: target.python,
            libc: target.libc,
            arch: target.arch,
        }
    }
}
