//! What an object is made for, and where the loader of that machine looks by default.
//!
//! Only Debian's layout is known here (multiarch, Debian policy 9.1.1 and the multiarch tuples
//! list); other distributions' directories are the caller's to add.

use object::elf;
use serde::{Deserialize, Serialize};
use unheck_base::TreePath;

/// The instruction set of an object (`e_machine`, System V gABI chapter 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// `EM_X86_64`, Debian's `amd64`.
    X86_64,
    /// `EM_AARCH64`, Debian's `arm64`.
    Aarch64,
    /// Any other, by its number.
    Other(u16),
}

/// The size of addresses (`EI_CLASS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// `ELFCLASS32`.
    Elf32,
    /// `ELFCLASS64`.
    Elf64,
}

/// The order of bytes (`EI_DATA`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// `ELFDATA2LSB`.
    Little,
    /// `ELFDATA2MSB`.
    Big,
}

/// The type of an object (`e_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `ET_EXEC`: a program at a fixed address.
    Exec,
    /// `ET_DYN`: a shared library, an extension module or a position-independent program.
    Dyn,
    /// `ET_REL`: an object for the linker.
    Rel,
    /// `ET_CORE`: a memory dump.
    Core,
    /// Any other, by its number.
    Other(u16),
}

/// An x86-64 micro-architecture level (x86-64 psABI 1.1, section 3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IsaLevel {
    /// `x86-64`, what every such processor has.
    #[serde(rename = "x86-64")]
    Baseline,
    /// `x86-64-v2`.
    #[serde(rename = "x86-64-v2")]
    V2,
    /// `x86-64-v3`.
    #[serde(rename = "x86-64-v3")]
    V3,
    /// `x86-64-v4`.
    #[serde(rename = "x86-64-v4")]
    V4,
}

impl Machine {
    pub(crate) fn from_code(code: u16) -> Self {
        match elf::Machine(code) {
            elf::EM_X86_64 => Self::X86_64,
            elf::EM_AARCH64 => Self::Aarch64,
            _ => Self::Other(code),
        }
    }
}

impl Kind {
    pub(crate) fn from_code(code: u16) -> Self {
        match elf::FileType(code) {
            elf::ET_EXEC => Self::Exec,
            elf::ET_DYN => Self::Dyn,
            elf::ET_REL => Self::Rel,
            elf::ET_CORE => Self::Core,
            _ => Self::Other(code),
        }
    }
}

/// Debian's multiarch triplet, `None` for a machine that unheck builds no image for.
pub fn multiarch_triplet(machine: Machine) -> Option<&'static str> {
    match machine {
        Machine::X86_64 => Some("x86_64-linux-gnu"),
        Machine::Aarch64 => Some("aarch64-linux-gnu"),
        Machine::Other(_) => None,
    }
}

/// Where the glibc loader of a machine stands in a tree, as objects name it in `PT_INTERP`.
pub fn loader_path(machine: Machine) -> Option<&'static str> {
    match machine {
        Machine::X86_64 => Some("lib64/ld-linux-x86-64.so.2"),
        Machine::Aarch64 => Some("lib/ld-linux-aarch64.so.1"),
        Machine::Other(_) => None,
    }
}

/// The directories that Debian's glibc has compiled in (`slibdir` and `libdir`), in its order,
/// then those of `/etc/ld.so.conf.d`, which only the cache gives. Empty for an unknown machine.
///
/// The first four are searched without any cache; a library in `usr/local/lib` or in another
/// directory is found only with an entry in [`crate::ldcache`].
pub fn default_dirs(machine: Machine) -> Vec<TreePath> {
    let Some(triplet) = multiarch_triplet(machine) else {
        return Vec::new();
    };
    [
        format!("lib/{triplet}"),
        format!("usr/lib/{triplet}"),
        "lib".to_owned(),
        "usr/lib".to_owned(),
        format!("usr/local/lib/{triplet}"),
        "usr/local/lib".to_owned(),
    ]
    .iter()
    .filter_map(|path| TreePath::new(path).ok())
    .collect()
}
