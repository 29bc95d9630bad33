//! Relocatable artifacts (`dir`, `tar`, `exe`): what they are called, and the list of files that
//! each carries. Start at [`Manifest`] and [`kind_of`].
//!
//! Format: JSON at [`MANIFEST_PATH`] inside the artifact, [`FORMAT`] in `unheck-form`; see
//! `docs/forms.md`.

mod deploy;
mod open;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};

use crate::platform::Platform;
use crate::tree::Origin;

pub use deploy::deployable;
pub use open::{Described, Form, FormError, describe, open_form, program_of};

/// Where the list of files is inside a relocatable artifact.
pub const MANIFEST_PATH: &str = "usr/share/unheck/manifest.json";
/// Raised whenever a reader of the older format would misread a newer list.
pub const FORMAT: u32 = 1;

/// What is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An OCI image: an archive, or a layout folder where the output's name ends in `.oci`.
    #[default]
    Image,
    /// A relocatable directory.
    Dir,
    /// The same as an archive: `.tar.zst`, `.tar.gz` or `.tar` by the output's name.
    Tar,
    /// The same as one file that starts itself.
    Exe,
}

/// Whose system libraries are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libs {
    /// The artifact's own: loader, libc and every other library come along.
    #[default]
    Static,
    /// The host's: only Python and distributions ship.
    Dynamic,
}

/// The text names nothing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is none of {choices}")]
pub struct UnknownChoice {
    text: String,
    choices: &'static str,
}

impl Format {
    /// As the command line says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Dir => "dir",
            Self::Tar => "tar",
            Self::Exe => "exe",
        }
    }

    /// What the name of an output ends in.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Image => ".oci.tar",
            Self::Tar => ".tar.zst",
            Self::Dir | Self::Exe => "",
        }
    }
}

impl Libs {
    /// As the command line says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Libs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Image, Self::Dir, Self::Tar, Self::Exe]
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| UnknownChoice {
                text: text.to_owned(),
                choices: "`image`, `dir`, `tar`, `exe`",
            })
    }
}

impl FromStr for Libs {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Static, Self::Dynamic]
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| UnknownChoice {
                text: text.to_owned(),
                choices: "`static`, `dynamic`",
            })
    }
}

/// What a relocatable artifact says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// [`FORMAT`].
    pub unheck_form: u32,
    /// Which machine it is for.
    pub platform: Platform,
    /// The project's name.
    pub project: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whose system libraries it uses.
    pub libs: Libs,
    /// The launcher that starts it.
    pub entry: TreePath,
    /// What the host must have; nothing where the libraries come along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Every file and link but this list itself.
    pub files: BTreeMap<TreePath, FormFile>,
}

/// A library that the host must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Need {
    /// Its soname.
    pub soname: String,
    /// Symbol versions that it must define, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// A file of the artifact that needs it.
    pub needed_by: TreePath,
    /// Family of distributions (`debian`, `rhel`, `alpine`, `suse`) to its package for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, String>,
}

/// A file or link of a relocatable artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormFile {
    /// Who brought it.
    pub origin: Origin,
    /// What it is.
    #[serde(flatten)]
    pub what: FormNode,
}

/// What a path of a relocatable artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FormNode {
    /// A link, by its text, which is relative and stays inside.
    Link {
        /// The text.
        link: String,
    },
    /// A regular file.
    File {
        /// Its length in bytes.
        len: u64,
        /// Its digest.
        sha256: Digest,
        /// Whether it may be executed.
        #[serde(default, rename = "x", skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
    },
}

impl FormFile {
    /// Whether it is the launcher, under one of its names.
    pub fn is_launcher(&self) -> bool {
        matches!(&self.origin, Origin::Generated(step) if step == "launcher")
    }
}

impl FormNode {
    /// Length in bytes; 0 for links.
    pub const fn len(&self) -> u64 {
        match self {
            Self::Link { .. } => 0,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a program.
    pub const fn is_executable(&self) -> bool {
        matches!(
            self,
            Self::File {
                executable: true,
                ..
            }
        )
    }
}

impl Manifest {
    /// The list as it ships: the same values always give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("names, numbers and digests");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a list.
    ///
    /// # Errors
    /// It is no list, or one of a newer unheck.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Version {
            unheck_form: u32,
        }
        let version: Version = serde_json::from_slice(bytes)?;
        if version.unheck_form != FORMAT {
            return Err(serde_json::Error::custom(format!(
                "it has the format {}, this unheck reads {FORMAT}",
                version.unheck_form
            )));
        }
        serde_json::from_slice(bytes)
    }

    /// Bytes of all files together; the launcher, which is one file under many names, once.
    pub fn unpacked(&self) -> u64 {
        self.origins().values().sum()
    }

    /// The same by who brought them.
    pub fn origins(&self) -> BTreeMap<String, u64> {
        let mut origins: BTreeMap<String, u64> = BTreeMap::new();
        for file in self.files.values() {
            let bytes = origins.entry(file.origin.to_string()).or_default();
            if file.is_launcher() {
                *bytes = file.what.len();
            } else {
                *bytes += file.what.len();
            }
        }
        origins
    }
}

/// What stands at a path: told by its first bytes, not by its name.
///
/// # Errors
/// It cannot be read.
pub fn kind_of(path: &Path) -> std::io::Result<Format> {
    if fs_err::metadata(path)?.is_dir() {
        let form = fs_err::symlink_metadata(path.join(MANIFEST_PATH)).is_ok();
        return Ok(if form { Format::Dir } else { Format::Image });
    }
    let mut first = Vec::new();
    fs_err::File::open(path)?
        .take(HEAD as u64)
        .read_to_end(&mut first)?;
    Ok(match &first[..] {
        [0x7f, b'E', b'L', b'F', ..] => Format::Exe,
        // Zstandard (RFC 8878, 3.1.1) and gzip (RFC 1952, 2.3.1): images are not compressed as a whole.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x1f, 0x8b, ..] => Format::Tar,
        _ if begins_with_manifest(&first) => Format::Tar,
        _ => Format::Image,
    })
}

/// The first headers of a tar archive, as far as they are looked at.
const HEAD: usize = 16 * 512;

/// Whether an archive that is not compressed begins with a list of files, as our own do: after the
/// directories above it. Images are archives too.
fn begins_with_manifest(first: &[u8]) -> bool {
    first.chunks_exact(512).any(|header| {
        // ustar: `name` in the first 100 bytes, ended by NUL where it is shorter.
        let name = header[..100].split(|byte| *byte == 0).next();
        name.is_some_and(|name| name.ends_with(MANIFEST_PATH.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_a_newer_one_is_refused() {
        let path = |text: &str| TreePath::new(text).expect("path");
        let file = |what| FormFile {
            origin: Origin::Deb("libz".to_owned()),
            what,
        };
        let manifest = Manifest {
            unheck_form: FORMAT,
            platform: Platform::LinuxAmd64,
            project: "web".to_owned(),
            version: None,
            libs: Libs::Dynamic,
            entry: path("bin/web"),
            needs: vec![Need {
                soname: "libz.so.1".to_owned(),
                versions: vec!["ZLIB_1.2".to_owned()],
                needed_by: path("usr/bin/python3.13.bin"),
                packages: [("debian".to_owned(), "zlib1g".to_owned())].into(),
            }],
            files: [
                (
                    path("a"),
                    file(FormNode::Link {
                        link: "b".to_owned(),
                    }),
                ),
                (
                    path("b"),
                    file(FormNode::File {
                        len: 1,
                        sha256: Digest::of(b"x"),
                        executable: true,
                    }),
                ),
            ]
            .into(),
        };
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes).expect("read"), manifest);
        let newer = String::from_utf8(bytes)
            .expect("text")
            .replace("\"unheck-form\":1", "\"unheck-form\":2");
        let error = Manifest::from_bytes(newer.as_bytes()).expect_err("newer");
        assert!(error.to_string().contains("this unheck reads 1"), "{error}");
    }

    #[test]
    fn what_stands_at_a_path_is_told_by_its_bytes() {
        let temp = tempfile::tempdir().expect("temp");
        let told = |name: &str, bytes: &[u8]| {
            let path = temp.path().join(name);
            fs_err::write(&path, bytes).expect("write");
            kind_of(&path).expect("kind")
        };
        assert_eq!(told("e.tar", b"\x7fELF\x02\x01"), Format::Exe);
        assert_eq!(told("z", b"\x28\xb5\x2f\xfd...."), Format::Tar);
        assert_eq!(told("g", b"\x1f\x8b\x08"), Format::Tar);
        assert_eq!(told("i", b"oci-layout"), Format::Image);
        assert_eq!(kind_of(temp.path()).expect("dir"), Format::Image);
        let marker = temp.path().join(MANIFEST_PATH);
        fs_err::create_dir_all(marker.parent().expect("parent")).expect("dirs");
        fs_err::write(marker, "{}").expect("write");
        assert_eq!(kind_of(temp.path()).expect("dir"), Format::Dir);
        assert!(kind_of(&temp.path().join("none")).is_err());
    }
}
