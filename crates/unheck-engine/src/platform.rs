//! Which machine an image is for: [`Platform`], and what each field calls it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system and architecture in the OCI spelling; unheck makes Linux trees only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Platform {
    /// 64-bit x86.
    LinuxAmd64,
    /// 64-bit Arm, little-endian.
    LinuxArm64,
}

/// The text names no platform that unheck makes trees for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform that unheck builds for: `linux/amd64`, `linux/arm64`")]
pub struct UnknownPlatform(String);

impl Platform {
    /// Every platform, in the order in which images are listed.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// The OCI architecture (`GOARCH`), which is also Debian's name of it.
    pub const fn architecture(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// The kernel's name, as in `platform_machine` markers and wheel tags.
    pub const fn machine(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64",
            Self::LinuxArm64 => "aarch64",
        }
    }

    /// Debian's multiarch triplet, the directory of libraries under `usr/lib`.
    pub const fn triplet(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-linux-gnu",
            Self::LinuxArm64 => "aarch64-linux-gnu",
        }
    }

    /// The machine of ELF objects that run here.
    pub const fn elf_machine(self) -> unheck_elf::Machine {
        match self {
            Self::LinuxAmd64 => unheck_elf::Machine::X86_64,
            Self::LinuxArm64 => unheck_elf::Machine::Aarch64,
        }
    }

    /// The platform that this program itself runs on, where unheck makes trees for it.
    pub fn host() -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.machine() == std::env::consts::ARCH)
    }
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix("linux/").unwrap_or(text);
        Self::ALL
            .into_iter()
            .find(|platform| bare == platform.architecture() || bare == platform.machine())
            .ok_or_else(|| UnknownPlatform(text.to_owned()))
    }
}

impl TryFrom<String> for Platform {
    type Error = UnknownPlatform;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read_and_others_are_named() {
        for text in ["linux/amd64", "amd64", "x86_64"] {
            assert_eq!(text.parse(), Ok(Platform::LinuxAmd64), "{text}");
        }
        for text in ["linux/arm64", "aarch64"] {
            assert_eq!(text.parse(), Ok(Platform::LinuxArm64), "{text}");
        }
        assert!("windows/amd64".parse::<Platform>().is_err());
        assert!("linux/s390x".parse::<Platform>().is_err());
    }
}
