//! What a target has, as data: [`Profile`]. Its file is TOML, written by `check --capture`.
//!
//! Every fact is optional: what nobody knows is left out and never guessed. Shipped profiles are
//! in [`super::shipped`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use unheck_elf::IsaLevel;

use super::level::{self, Number};
use crate::platform::Platform;

/// Version of the file. Raised when an older unheck would misread it.
pub const FORMAT: u32 = 1;

/// A place where an artifact is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// [`FORMAT`].
    pub format: u32,
    /// Such as `debian:12`.
    pub name: String,
    /// Such as `Debian 12 (bookworm)`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// How it came about.
    #[serde(default)]
    pub basis: Basis,
    /// The one machine that it is of (`amd64`, `arm64`); `None` for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// How packages are installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<Installer>,
    /// The C library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libc: Option<Libc>,
    /// The GCC that `libstdc++.so.6` and `libgcc_s.so.1` are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcc: Option<Versioned>,
    /// The least processor, on amd64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Its kernel: the oldest that it is supported with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Versioned>,
    /// Memory pages; of a shipped profile those on arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<PageSize>,
    /// Locales.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Certificates of authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaBundle>,
    /// Whether a library that is not listed is not there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
    /// Libraries that are known not to be there, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, String>,
    /// Libraries by soname, installed or to be had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub libraries: BTreeMap<String, Library>,
}

/// How a profile came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Data that comes with unheck.
    #[default]
    Shipped,
    /// Made from signed package indexes.
    Computed,
    /// Read from a machine, a root directory or an image.
    Captured,
}

/// The program that installs packages on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Installer {
    /// Debian and Ubuntu.
    Apt,
    /// Red Hat's family.
    Dnf,
    /// Amazon Linux 2.
    Yum,
    /// SUSE.
    Zypper,
    /// Alpine.
    Apk,
}

/// A C library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Libc {
    /// Which.
    pub kind: LibcKind,
    /// Its version, such as `2.36`; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// Which C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LibcKind {
    /// The GNU one.
    Glibc,
    /// Alpine's.
    Musl,
}

impl std::fmt::Display for LibcKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        })
    }
}

/// A version with who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versioned {
    /// The version.
    pub version: String,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// The least processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Its level.
    pub level: IsaLevel,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// Memory pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageSize {
    /// In bytes: the default kernel's first, then those of other kernels of the distribution.
    pub sizes: Vec<u64>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// Locales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Locale {
    /// Whether `C.UTF-8` is there.
    pub c_utf8: bool,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// Certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaBundle {
    /// Where the file is.
    pub path: String,
    /// The package that brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Whether it is there from the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub installed: bool,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// A shared library of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Library {
    /// The package that brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Whether it is there from the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub installed: bool,
    /// Every symbol version that it defines; empty for a library without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<BTreeSet<String>>,
    /// The newest symbol version of each family, where releases only ever add: `ZLIB` → `1.2.9`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, String>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// Whether a library offers a symbol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It does, or the loader does not insist.
    Yes,
    /// It does not.
    No,
    /// Nobody knows.
    Unknown,
}

impl Library {
    /// Whether it offers a symbol version.
    pub fn offers(&self, version: &str) -> Offer {
        if let Some(versions) = &self.versions {
            // The loader only warns when a library has no versions at all (ld.so, `dl-version.c`).
            let there = versions.is_empty() || versions.contains(version);
            return if there { Offer::Yes } else { Offer::No };
        }
        if let Some(known) = level::old_marker(version) {
            let family = self.levels.get(known.0).and_then(|text| Number::of(text));
            return family.map_or(Offer::Unknown, |have| offer(have >= known.1));
        }
        let Some((family, wanted)) = level::split(version) else {
            return Offer::Unknown;
        };
        match self.levels.get(family).and_then(|text| Number::of(text)) {
            Some(have) => offer(wanted <= have),
            None => Offer::Unknown,
        }
    }
}

fn offer(there: bool) -> Offer {
    if there { Offer::Yes } else { Offer::No }
}

/// The libraries that are part of glibc itself, besides the loader.
const GLIBC: &[&str] = &[
    "libBrokenLocale.so.1",
    "libanl.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libmvec.so.1",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libthread_db.so.1",
    "libutil.so.1",
];

/// Whether a soname is part of glibc: such a library is always of the same version as the libc.
pub fn is_glibc(soname: &str) -> bool {
    GLIBC.contains(&soname) || soname.starts_with("ld-linux")
}

/// The sonames of glibc on a platform, the loader's among them.
pub fn glibc_names(platform: Platform) -> impl Iterator<Item = String> {
    let loader =
        unheck_elf::loader_path(platform.elf_machine()).and_then(|path| path.rsplit('/').next());
    GLIBC.iter().copied().chain(loader).map(str::to_owned)
}

/// Whether a soname is part of musl.
pub fn is_musl(soname: &str) -> bool {
    soname.starts_with("libc.musl-") || soname.starts_with("ld-musl-")
}

impl Profile {
    /// Reads a profile's file.
    ///
    /// # Errors
    /// It is not TOML, not a profile, or of a newer format.
    pub fn from_text(text: &str) -> Result<Self, ReadProfileError> {
        let profile: Self = toml::from_str(text).map_err(Box::new)?;
        if profile.format > FORMAT {
            return Err(ReadProfileError::Newer(profile.format));
        }
        Ok(profile)
    }

    /// The profile's file.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("strings, numbers and tables have a TOML form")
    }

    /// The library behind a soname, also those that follow from the versions of libc and GCC.
    pub fn library(&self, soname: &str) -> Option<Library> {
        let listed = self.libraries.get(soname);
        if listed.is_some_and(|library| library.versions.is_some() || !library.levels.is_empty()) {
            return listed.cloned();
        }
        match (self.derived(soname), listed) {
            (Some(mut derived), Some(listed)) => {
                derived.package.clone_from(&listed.package);
                derived.installed = listed.installed;
                Some(derived)
            }
            (derived, listed) => derived.or_else(|| listed.cloned()),
        }
    }

    fn derived(&self, soname: &str) -> Option<Library> {
        if self.complete && !self.libraries.contains_key(soname) {
            return None;
        }
        let libc = self.libc.as_ref();
        match libc {
            Some(libc) if libc.kind == LibcKind::Glibc && is_glibc(soname) => {
                return Some(Library {
                    installed: true,
                    levels: [("GLIBC".to_owned(), libc.version.clone())].into(),
                    source: libc.source.clone(),
                    ..Library::default()
                });
            }
            Some(libc) if libc.kind == LibcKind::Musl && is_musl(soname) => {
                return Some(Library {
                    installed: true,
                    versions: Some(BTreeSet::new()),
                    source: libc.source.clone(),
                    ..Library::default()
                });
            }
            _ => {}
        }
        let gcc = self.gcc.as_ref()?;
        let levels = level::of_gcc(soname, &gcc.version)?;
        Some(Library {
            installed: true,
            levels,
            source: gcc.source.clone(),
            ..Library::default()
        })
    }

    /// What shows the user which target is meant.
    pub fn shown(&self) -> &str {
        if self.title.is_empty() {
            &self.name
        } else {
            &self.title
        }
    }
}

impl Installer {
    /// The command that installs packages.
    pub fn command(self, packages: &BTreeSet<String>) -> String {
        let names: Vec<String> = packages.iter().map(|name| quoted(name)).collect();
        let program = match self {
            Self::Apt => "apt-get install -y --no-install-recommends",
            Self::Dnf => "dnf install -y",
            Self::Yum => "yum install -y",
            Self::Zypper => "zypper install -y",
            Self::Apk => "apk add",
        };
        format!("{program} {}", names.join(" "))
    }

    /// What asks for a library whose package is not known: RPM and apk packages provide the
    /// sonames of what is in them (rpm's `elfdeps`, apk's `so:` provides).
    pub fn capability(self, soname: &str) -> Option<String> {
        match self {
            Self::Apt => None,
            Self::Dnf | Self::Yum | Self::Zypper => Some(format!("{soname}()(64bit)")),
            Self::Apk => Some(format!("so:{soname}")),
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-_.:".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A profile's file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadProfileError {
    /// It is no profile.
    #[error("it is no profile as `unheck check --capture` writes it")]
    Toml(#[from] Box<toml::de::Error>),
    /// It is newer than this unheck.
    #[error("it has the format {0}, and this unheck reads up to {FORMAT}")]
    Newer(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(levels: &[(&str, &str)], versions: Option<&[&str]>) -> Library {
        let text = |text: &&str| (*text).to_owned();
        Library {
            levels: levels
                .iter()
                .map(|(family, level)| (text(family), text(level)))
                .collect(),
            versions: versions.map(|list| list.iter().map(text).collect()),
            ..Library::default()
        }
    }

    #[test]
    fn versions_win_over_levels_and_a_library_without_any_serves_all() {
        let listed = library(&[("Z", "9")], Some(&["Z_1"]));
        assert_eq!(listed.offers("Z_1"), Offer::Yes);
        assert_eq!(listed.offers("Z_2"), Offer::No);
        assert_eq!(library(&[], Some(&[])).offers("Z_2"), Offer::Yes);
        assert_eq!(library(&[], None).offers("Z_2"), Offer::Unknown);
        let levels = library(&[("GLIBC", "2.35")], None);
        assert_eq!(levels.offers("GLIBC_2.35"), Offer::Yes);
        assert_eq!(levels.offers("GLIBC_2.4"), Offer::Yes);
        assert_eq!(levels.offers("GLIBC_2.36"), Offer::No);
        assert_eq!(levels.offers("GLIBC_PRIVATE"), Offer::Unknown);
        assert_eq!(levels.offers("GLIBC_ABI_DT_RELR"), Offer::No);
        assert_eq!(levels.offers("OTHER_1"), Offer::Unknown);
        let newer = library(&[("GLIBC", "2.36")], None);
        assert_eq!(newer.offers("GLIBC_ABI_DT_RELR"), Offer::Yes);
    }

    #[test]
    fn libraries_of_libc_and_gcc_follow_from_their_versions() {
        let mut profile = Profile {
            libc: Some(Libc {
                kind: LibcKind::Glibc,
                version: "2.28".to_owned(),
                source: String::new(),
            }),
            gcc: Some(Versioned {
                version: "8.5".to_owned(),
                source: String::new(),
            }),
            ..Profile::default()
        };
        let offers = |profile: &Profile, soname: &str, version: &str| {
            profile.library(soname).map(|found| found.offers(version))
        };
        assert_eq!(offers(&profile, "libm.so.6", "GLIBC_2.29"), Some(Offer::No));
        assert_eq!(
            offers(&profile, "libstdc++.so.6", "GLIBCXX_3.4.25"),
            Some(Offer::Yes)
        );
        assert_eq!(
            offers(&profile, "libstdc++.so.6", "GLIBCXX_3.4.26"),
            Some(Offer::No)
        );
        assert_eq!(
            offers(&profile, "libgcc_s.so.1", "GCC_12.0.0"),
            Some(Offer::No)
        );
        assert_eq!(offers(&profile, "libz.so.1", "ZLIB_1"), None);
        assert_eq!(offers(&profile, "libc.musl-x86_64.so.1", "x"), None);
        profile.complete = true;
        assert_eq!(offers(&profile, "libm.so.6", "GLIBC_2.2.5"), None);
    }

    #[test]
    fn commands_are_safe_to_paste() {
        let packages = BTreeSet::from(["libz1".to_owned(), "libGL.so.1()(64bit)".to_owned()]);
        assert_eq!(
            Installer::Dnf.command(&packages),
            "dnf install -y 'libGL.so.1()(64bit)' libz1"
        );
        let hostile = BTreeSet::from(["a'; reboot".to_owned()]);
        assert_eq!(Installer::Apk.command(&hostile), "apk add 'a'\\''; reboot'");
    }

    #[test]
    fn a_profile_of_a_newer_format_or_with_unknown_keys_is_refused() {
        let newer = Profile::from_text("format = 99\nname = \"x\"\n").expect_err("newer");
        assert!(matches!(newer, ReadProfileError::Newer(99)), "{newer}");
        assert!(Profile::from_text("format = 1\nname = \"x\"\nmore = 1\n").is_err());
        assert!(Profile::from_text("name = \"x\"\n").is_err());
    }
}
