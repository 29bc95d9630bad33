//! The description that every format is written from. Start at [`Bom`].

use std::collections::{BTreeMap, BTreeSet};

use sha1::Digest as _;
use unheck_base::Digest;

use crate::licence::Licence;
use crate::vulnerability::Vulnerability;

/// The name of a component in its bill; unique there.
pub type Id = String;

/// What is in an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Bom {
    /// The artifact itself.
    pub subject: Component,
    /// When it was made, in seconds since 1970: no clock, but the date of the newest input.
    pub created: i64,
    /// The name of the program that wrote this, and its version.
    pub tool: (String, String),
    /// Everything in it, by id.
    pub components: BTreeMap<Id, Component>,
    /// What needs what, by id; the subject's is [`SUBJECT`].
    pub edges: BTreeMap<Id, BTreeSet<Id>>,
    /// Known vulnerabilities of it, sorted; empty where nobody looked.
    pub vulnerabilities: Vec<Vulnerability>,
}

/// The id of [`Bom::subject`].
pub const SUBJECT: &str = "artifact";

/// One thing in an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Its package URL, where it is a package.
    pub purl: Option<String>,
    /// What it is for, one line.
    pub description: Option<String>,
    /// Who gives it out.
    pub supplier: Option<String>,
    /// Under what licence.
    pub licence: Licence,
    /// SHA-256 of the archive that it came in.
    pub archive: Option<Digest>,
    /// Where that archive is, without credentials.
    pub download: Option<String>,
    /// Its page.
    pub homepage: Option<String>,
    /// Its files in the artifact, by path without a slash before it.
    pub files: BTreeMap<String, FileHash>,
    /// How it was recognised, where nobody declared it.
    pub evidence: Vec<Evidence>,
    /// Further facts by name, such as `unheck:reason`.
    pub properties: BTreeMap<String, String>,
}

/// What a component is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The project, or another program.
    Application,
    /// An image.
    Container,
    /// Something that others use.
    #[default]
    Library,
    /// The distribution that packages are from.
    OperatingSystem,
}

/// The hashes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHash {
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-1, which SPDX 2.3 wants of each file; nobody trusts it here.
    pub sha1: [u8; 20],
}

impl FileHash {
    /// The hashes of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Digest::of(bytes),
            sha1: sha1::Sha1::digest(bytes).into(),
        }
    }

    /// The SHA-1 as hexadecimal digits.
    pub fn sha1_hex(&self) -> String {
        hex(&self.sha1)
    }
}

/// One reason to believe that a component is what it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// What it tells.
    pub field: Field,
    /// How it was found.
    pub technique: Technique,
    /// What was found, such as a version string.
    pub value: String,
    /// How sure that is, in percent.
    pub confidence: u8,
}

/// What an [`Evidence`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The name.
    Name,
    /// The version.
    Version,
}

/// How an [`Evidence`] was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Technique {
    /// In the bytes of an object.
    Binary,
    /// In the name of a file.
    FileName,
}

impl Bom {
    /// Adds a component under an id that is not taken yet: `id`, else `id#2` and so on.
    pub fn add(&mut self, id: &str, component: Component) -> Id {
        let mut free = id.to_owned();
        let mut number = 1;
        while self.components.contains_key(&free) || free == SUBJECT {
            number += 1;
            free = format!("{id}#{number}");
        }
        self.components.insert(free.clone(), component);
        free
    }

    /// Notes that `from` needs or holds `to`; edges to what is not there are left out when written.
    pub fn depend(&mut self, from: &str, to: &str) {
        if from != to {
            self.edges
                .entry(from.to_owned())
                .or_default()
                .insert(to.to_owned());
        }
    }

    /// The edges of one component to those that are there.
    pub(crate) fn edges_of<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Id> {
        let known = |to: &&Id| self.components.contains_key(*to);
        self.edges.get(id).into_iter().flatten().filter(known)
    }
}

/// A URN of `text` and nothing else (RFC 9562, version 8): the same bill has the same name.
pub(crate) fn urn(text: &[u8]) -> String {
    let digest = Digest::of(text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    format!("urn:uuid:{}", parts.join("-"))
}

/// RFC 3339 in UTC.
pub(crate) fn timestamp(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_the_same_urn() {
        insta::assert_snapshot!(urn(b"x"), @"urn:uuid:2d711642-b726-8044-8162-7ca9fbac32f5");
        assert_eq!(urn(b"x"), urn(b"x"));
        assert_ne!(urn(b"x"), urn(b"y"));
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
