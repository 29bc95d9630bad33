//! `control.tar`: the control file and its companions (deb-control(5), deb-conffiles(5)).

use std::collections::BTreeSet;
use std::io::Read;

use unheck_base::TreePath;

use super::tar::TarReader;
use super::{DebError, EntryKind};
use crate::control::{BinaryPackage, StanzaReader};
use crate::quote::quote;
use crate::version::DebVersion;

/// The largest control file and the largest companion that is kept, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// What `control.tar` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The name of the package.
    pub package: String,
    /// Its version.
    pub version: DebVersion,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// The configuration files, without those that only an update removes.
    pub conffiles: Vec<TreePath>,
    /// The file `md5sums` as it is, empty when missing.
    pub md5sums: String,
    /// The names of the maintainer scripts (`preinst`, `postinst`, …), sorted. They are never run.
    pub scripts: Vec<String>,
    /// The control file: one stanza.
    pub text: String,
}

/// The archive is not the package that the index promised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the deb archive says {field} `{found}`, but the index says `{wanted}`")]
pub struct MismatchError {
    /// `package`, `version` or `architecture`.
    pub field: &'static str,
    /// What the archive says.
    pub found: String,
    /// What the index says.
    pub wanted: String,
}

impl Control {
    /// Whether this is the package of the index: same name, architecture, and the very same text of
    /// the version.
    ///
    /// # Errors
    /// The first field that differs.
    pub fn matches(&self, package: &BinaryPackage) -> Result<(), MismatchError> {
        let fields = [
            ("package", self.package.as_str(), package.name.as_str()),
            ("version", self.version.as_str(), package.version.as_str()),
            ("architecture", &self.architecture, &package.architecture),
        ];
        match fields
            .into_iter()
            .find(|(_, found, wanted)| found != wanted)
        {
            None => Ok(()),
            Some((field, found, wanted)) => Err(MismatchError {
                field,
                found: quote(found),
                wanted: quote(wanted),
            }),
        }
    }
}

/// Reads `control.tar`: regular files at the top, one of them `control`.
pub(super) fn read(tar: &mut TarReader<'_>) -> Result<Control, DebError> {
    let (mut control, mut conffiles, mut md5sums) = (None, String::new(), String::new());
    let mut scripts = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(entry) = tar.next()? {
        let name = entry.path.as_str();
        let refuse = |problem| DebError::Entry {
            member: "control.tar",
            name: quote(name),
            problem,
        };
        let EntryKind::File { size } = entry.kind else {
            return Err(refuse("is no regular file"));
        };
        if name.contains('/') {
            return Err(refuse("lies in a directory"));
        }
        if !seen.insert(entry.path.clone()) {
            return Err(refuse("is in the archive twice"));
        }
        let mut text = || {
            if size > MAX_FILE {
                return Err(refuse("is larger than 16 MiB"));
            }
            let mut bytes = Vec::new();
            let read = tar.content().read_to_end(&mut bytes);
            read.map_err(|error| DebError::from_io(error, "control.tar"))?;
            String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8"))
        };
        match name {
            "control" => control = Some(text()?),
            "conffiles" => conffiles = text()?,
            "md5sums" => md5sums = text()?,
            "preinst" | "postinst" | "prerm" | "postrm" | "config" => scripts.push(name.into()),
            _ => {}
        }
    }
    scripts.sort();
    let text = control.ok_or(DebError::Tar {
        member: "control.tar",
        problem: "has no file `control`",
    })?;
    let conffiles = parse_conffiles(&conffiles)?;
    parse(text, conffiles, md5sums, scripts)
}

fn parse(
    text: String,
    conffiles: Vec<TreePath>,
    md5sums: String,
    scripts: Vec<String>,
) -> Result<Control, DebError> {
    let mut reader = StanzaReader::new(text.as_bytes());
    let lacks = DebError::Tar {
        member: "control.tar",
        problem: "has an empty file `control`",
    };
    let stanza = reader
        .next_stanza()
        .map_err(DebError::Control)?
        .ok_or(lacks)?;
    let package = stanza.package().map_err(DebError::Control)?.into();
    let version = stanza.version().map_err(DebError::Control)?;
    let architecture = stanza.architecture().map_err(DebError::Control)?.into();
    if reader.next_stanza().map_err(DebError::Control)?.is_some() {
        return Err(DebError::Tar {
            member: "control.tar",
            problem: "has a file `control` with several stanzas",
        });
    }
    Ok(Control {
        package,
        version,
        architecture,
        conffiles,
        md5sums,
        scripts,
        text,
    })
}

/// One absolute path a line; `remove-on-upgrade PATH` names one that the package no longer has.
fn parse_conffiles(text: &str) -> Result<Vec<TreePath>, DebError> {
    let mut paths = Vec::new();
    for line in text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
    {
        if line.starts_with("remove-on-upgrade ") {
            continue;
        }
        let wrong = || DebError::Entry {
            member: "control.tar",
            name: "conffiles".into(),
            problem: "has a line that is no absolute path",
        };
        let path = line.strip_prefix('/').ok_or_else(wrong)?;
        paths.push(TreePath::new(path).map_err(|_| wrong())?);
    }
    Ok(paths)
}
