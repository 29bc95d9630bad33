//! A wheel whose structure, RECORD, METADATA, WHEEL and entry points have been checked.
//!
//! Source: binary distribution format specification (PEP 427 and its successors). Start at
//! [`Wheel::open`]; the content itself is checked by [`Wheel::unpack`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use unheck_base::Digest;

use crate::entry_points::{EntryPoints, EntryPointsError};
use crate::limits::{Limit, Limits, shown};
use crate::metadata::{FieldsError, Metadata, WheelInfo};
use crate::name::{WheelName, normalize_name};
use crate::record::{self, RecordError};
use crate::version::same_version;
use crate::zip::{Archive, Member, ZipError};

/// A checked wheel. It holds no reader; what it knows of the content is small.
#[derive(Debug, Clone)]
pub struct Wheel {
    name: WheelName,
    archive: Archive,
    dist_info: String,
    data_directory: Option<String>,
    info: WheelInfo,
    metadata: Metadata,
    entry_points: EntryPoints,
    /// By the member's index; `None` for directories, RECORD and its signatures.
    digests: Vec<Option<Digest>>,
    /// The scripts that begin with `#!python`, whole.
    scripts: BTreeMap<usize, Vec<u8>>,
}

/// A wheel was refused.
#[derive(Debug, thiserror::Error)]
#[error("the wheel `{wheel}` is refused")]
pub struct WheelError {
    /// Its file name.
    pub wheel: String,
    /// The rule that it breaks.
    #[source]
    pub problem: WheelProblem,
}

/// The rule that a wheel breaks.
#[derive(Debug, thiserror::Error)]
pub enum WheelProblem {
    /// The archive breaks a rule.
    #[error(transparent)]
    Archive(#[from] ZipError),
    /// There is no `.dist-info` directory, or more than one.
    #[error("it has {} `.dist-info` directories, not one: {}", .0.len(), .0.join(" "))]
    DistInfo(Vec<String>),
    /// A `.dist-info` or `.data` directory is not spelled as the file name says.
    #[error("the directory `{0}` is for another distribution or version, or there twice")]
    ForeignDirectory(String),
    /// A file that each wheel has is missing.
    #[error("it has no file `{0}` in its `.dist-info` directory")]
    Missing(&'static str),
    /// METADATA or WHEEL breaks a rule.
    #[error(transparent)]
    Fields(#[from] FieldsError),
    /// The entry points break a rule.
    #[error(transparent)]
    EntryPoints(#[from] EntryPointsError),
    /// A row of RECORD breaks a rule.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// RECORD and the archive's content disagree.
    #[error("its `RECORD` does not fit the archive: `{file}` {mismatch}")]
    RecordMismatch {
        /// The file, escaped.
        file: String,
        /// What does not fit.
        mismatch: RecordMismatch,
    },
    /// A member of `.data` is in no known scheme, or brings metadata in by another way.
    #[error("its member `{file}` is {problem}")]
    Data {
        /// The member, escaped.
        file: String,
        /// The rule.
        problem: &'static str,
    },
}

/// How RECORD and the archive disagree about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordMismatch {
    /// A file without a row.
    #[error("is in the archive but not listed")]
    Unlisted,
    /// A row without a file.
    #[error("is listed but not in the archive")]
    Absent,
    /// Two rows for one file.
    #[error("is listed twice")]
    Twice,
    /// A row without sha256.
    #[error("is listed without a sha256 digest")]
    NoDigest,
    /// RECORD or its signature with a digest of its own.
    #[error("is listed with a digest, which it cannot have")]
    SelfDigest,
    /// Another size.
    #[error("has another size than is listed")]
    Size,
    /// Another content.
    #[error("has another sha256 digest than is listed")]
    Digest,
}

/// The installation scheme that a member is for ("The .data directory").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemeKey {
    /// Modules for any platform; also the archive's root when `Root-Is-Purelib`.
    Purelib,
    /// Modules for one platform; also the archive's root when not `Root-Is-Purelib`.
    Platlib,
    /// Commands.
    Scripts,
    /// Header files.
    Headers,
    /// Anything, below the installation's prefix.
    Data,
}

/// Files in `.dist-info` that are about the archive or the installation, not listed with a digest.
const SELF_FILES: [&str; 3] = ["RECORD", "RECORD.jws", "RECORD.p7s"];

impl Wheel {
    /// Checks the wheel called `name` of `len` bytes in `reader`: the archive's structure, one
    /// `.dist-info` directory spelled as the name, RECORD complete with sha256 and sizes, WHEEL's
    /// tags, METADATA's name and version, entry points, `.data` schemes.
    ///
    /// # Errors
    /// The first rule that the wheel breaks.
    pub fn open<R: Read + Seek>(
        reader: &mut R,
        len: u64,
        name: &WheelName,
        limits: &Limits,
    ) -> Result<Self, WheelError> {
        Self::open_checked(reader, len, name, limits).map_err(|problem| WheelError {
            wheel: name.to_string(),
            problem,
        })
    }

    fn open_checked<R: Read + Seek>(
        reader: &mut R,
        len: u64,
        name: &WheelName,
        limits: &Limits,
    ) -> Result<Self, WheelProblem> {
        let archive = Archive::open(reader, len, limits)?;
        let (dist_info, data_directory) = find_directories(&archive, name)?;
        let mut opening = Opening {
            reader,
            limits,
            archive: &archive,
            dist_info: &dist_info,
            digests: Vec::new(),
        };
        opening.read_record()?;
        let info = WheelInfo::parse(&opening.required("WHEEL")?, name, limits)?;
        let metadata = Metadata::parse(&opening.required("METADATA")?, limits)?;
        metadata.check_name(name)?;
        let entry_points = match opening.optional("entry_points.txt")? {
            Some(content) => EntryPoints::parse(&content, limits)?,
            None => EntryPoints::default(),
        };
        let scripts = match &data_directory {
            Some(directory) => {
                check_data(&archive, directory)?;
                opening.read_scripts(directory)?
            }
            None => BTreeMap::new(),
        };
        let digests = opening.digests;
        Ok(Self {
            name: name.clone(),
            archive,
            dist_info,
            data_directory,
            info,
            metadata,
            entry_points,
            digests,
            scripts,
        })
    }

    /// The wheel's file name.
    pub fn name(&self) -> &WheelName {
        &self.name
    }

    /// The content of METADATA.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The content of WHEEL.
    pub fn info(&self) -> &WheelInfo {
        &self.info
    }

    /// The content of entry_points.txt; empty when there is none.
    pub fn entry_points(&self) -> &EntryPoints {
        &self.entry_points
    }

    /// Files and directories in the order of the archive; the index is that of the plan.
    pub fn members(&self) -> &[Member] {
        self.archive.members()
    }

    /// The name of the `.dist-info` directory.
    pub fn dist_info(&self) -> &str {
        &self.dist_info
    }

    /// The digest that RECORD gives to a member; `None` for directories, RECORD and its signatures.
    pub fn digest(&self, index: usize) -> Option<Digest> {
        self.digests.get(index).copied().flatten()
    }

    /// The whole script when it begins with `#!python`, which has to be rewritten.
    pub(crate) fn python_script(&self, index: usize) -> Option<&[u8]> {
        self.scripts.get(&index).map(Vec::as_slice)
    }

    /// The scheme that a member is for, and its path below the scheme's directory.
    pub fn placed<'m>(&self, member: &'m Member) -> (SchemeKey, &'m str) {
        let path = member.path.as_str();
        let data = self.data_directory.as_deref();
        let root = match self.info.root_is_purelib {
            true => SchemeKey::Purelib,
            false => SchemeKey::Platlib,
        };
        data.and_then(|directory| below(path, directory))
            .and_then(|rest| {
                let (key, rest) = rest.split_once('/')?;
                Some((scheme_key(key)?, rest))
            })
            .unwrap_or((root, path))
    }
}

/// What is known while a wheel is being opened.
struct Opening<'o, R> {
    reader: &'o mut R,
    limits: &'o Limits,
    archive: &'o Archive,
    dist_info: &'o str,
    digests: Vec<Option<Digest>>,
}

impl<R: Read + Seek> Opening<'_, R> {
    fn find(&self, file: &str) -> Option<usize> {
        let path = format!("{}/{file}", self.dist_info);
        let mut members = self.archive.members().iter();
        members.position(|member| !member.is_dir && member.path.as_str() == path)
    }

    fn read(&mut self, index: usize, limit: (Limit, u64)) -> Result<Vec<u8>, WheelProblem> {
        let content = self.archive.read(self.reader, index, limit)?;
        if let Some(Some(expected)) = self.digests.get(index)
            && *expected != Digest::of(&content)
        {
            let file = self.archive.members()[index].shown();
            return Err(mismatch(file, RecordMismatch::Digest));
        }
        Ok(content)
    }

    fn optional(&mut self, file: &'static str) -> Result<Option<Vec<u8>>, WheelProblem> {
        let limit = (Limit::Metadata, self.limits.metadata);
        self.find(file)
            .map(|index| self.read(index, limit))
            .transpose()
    }

    fn required(&mut self, file: &'static str) -> Result<Vec<u8>, WheelProblem> {
        self.optional(file)?.ok_or(WheelProblem::Missing(file))
    }

    /// Reads RECORD and compares it with the archive, both ways: "Apart from RECORD and its
    /// signatures, installation will fail if any file in the archive is not both mentioned and
    /// correctly hashed in RECORD."
    fn read_record(&mut self) -> Result<(), WheelProblem> {
        let content = self.required("RECORD")?;
        let rows = record::parse(&content)?;
        let mut listed = BTreeMap::new();
        for row in &rows {
            if listed.insert(row.path.as_str(), row).is_some() {
                let file = shown(row.path.as_str());
                return Err(mismatch(file, RecordMismatch::Twice));
            }
        }
        let selfs = SELF_FILES.map(|file| format!("{}/{file}", self.dist_info));
        let mut digests = Vec::with_capacity(self.archive.members().len());
        for member in self.archive.members() {
            let path = member.path.as_str();
            let wrong = |problem| mismatch(member.shown(), problem);
            let row = match member.is_dir {
                true => None,
                false => listed.remove(path),
            };
            if selfs.iter().any(|file| file == path) {
                if row.is_some_and(|row| row.digest.is_some()) {
                    return Err(wrong(RecordMismatch::SelfDigest));
                }
                digests.push(None);
                continue;
            }
            if member.is_dir {
                digests.push(None);
                continue;
            }
            let row = row.ok_or_else(|| wrong(RecordMismatch::Unlisted))?;
            if row.digest.is_none() {
                return Err(wrong(RecordMismatch::NoDigest));
            }
            if row.size.is_some_and(|size| size != member.size) {
                return Err(wrong(RecordMismatch::Size));
            }
            digests.push(row.digest);
        }
        if let Some(path) = listed.keys().next() {
            return Err(mismatch(shown(path), RecordMismatch::Absent));
        }
        self.digests = digests;
        Ok(())
    }

    /// The scripts that begin with `#!python`, to be rewritten by the plan.
    fn read_scripts(&mut self, data: &str) -> Result<BTreeMap<usize, Vec<u8>>, WheelProblem> {
        let mut scripts = BTreeMap::new();
        let prefix = format!("{data}/scripts");
        for (index, member) in self.archive.members().iter().enumerate() {
            if member.is_dir || below(member.path.as_str(), &prefix).is_none() {
                continue;
            }
            let begin = self.archive.read_prefix(self.reader, index, 8)?;
            if begin == b"#!python" {
                let content = self.read(index, (Limit::Script, self.limits.script))?;
                scripts.insert(index, content);
            }
        }
        Ok(scripts)
    }
}

fn mismatch(file: String, mismatch: RecordMismatch) -> WheelProblem {
    WheelProblem::RecordMismatch { file, mismatch }
}

/// The one `.dist-info` directory, and the `.data` directory where there is one.
fn find_directories(
    archive: &Archive,
    name: &WheelName,
) -> Result<(String, Option<String>), WheelProblem> {
    let mut dist_infos = BTreeSet::new();
    let mut datas = BTreeSet::new();
    for member in archive.members() {
        let (top, below) = match member.path.as_str().split_once('/') {
            Some((top, _)) => (top, true),
            None => (member.path.as_str(), member.is_dir),
        };
        if !below {
            continue;
        }
        // Installers on other systems would take another spelling for the same directory.
        let lower = top.to_lowercase();
        if lower.ends_with(".dist-info") {
            dist_infos.insert(top);
        } else if lower.ends_with(".data") && is_for(top, ".data", name) {
            datas.insert(top);
        }
    }
    let foreign = |found: &str| WheelProblem::ForeignDirectory(shown(found));
    let [dist_info] = dist_infos.iter().copied().collect::<Vec<_>>()[..] else {
        let found = dist_infos.into_iter().take(10).map(shown).collect();
        return Err(WheelProblem::DistInfo(found));
    };
    if !is_for(dist_info, ".dist-info", name) {
        return Err(foreign(dist_info));
    }
    if let Some(second) = datas.iter().nth(1) {
        return Err(foreign(second));
    }
    let data = datas.into_iter().next().map(Into::into);
    Ok((dist_info.into(), data))
}

/// Whether `directory` is `NAME-VERSION` + `suffix` for this wheel, by normalised comparison.
fn is_for(directory: &str, suffix: &str, wheel: &WheelName) -> bool {
    let stem = directory.strip_suffix(suffix);
    let parts = stem.and_then(|stem| stem.split_once('-'));
    parts.is_some_and(|(name, version)| {
        normalize_name(name) == wheel.project() && same_version(version, wheel.version())
    })
}

/// Every member of the `.data` directory must be in a known scheme, and must bring no second
/// `.dist-info` next to the first.
fn check_data(archive: &Archive, data: &str) -> Result<(), WheelProblem> {
    for member in archive.members() {
        let Some(rest) = below(member.path.as_str(), data) else {
            continue;
        };
        let (key, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let wrong = |problem| WheelProblem::Data {
            file: member.shown(),
            problem,
        };
        match scheme_key(key) {
            None => {
                return Err(wrong("in no known scheme of the `.data` directory"));
            }
            Some(_) if rest.is_empty() && !member.is_dir => {
                return Err(wrong("a file where a scheme's directory must be"));
            }
            Some(SchemeKey::Purelib | SchemeKey::Platlib) => {
                let top = rest.split('/').next().unwrap_or_default();
                if top.to_lowercase().ends_with(".dist-info") {
                    return Err(wrong("in a second `.dist-info` directory"));
                }
            }
            Some(SchemeKey::Scripts) if rest.contains('/') => {
                return Err(wrong("a command in a directory of its own"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn scheme_key(key: &str) -> Option<SchemeKey> {
    Some(match key {
        "purelib" => SchemeKey::Purelib,
        "platlib" => SchemeKey::Platlib,
        "scripts" => SchemeKey::Scripts,
        "headers" => SchemeKey::Headers,
        "data" => SchemeKey::Data,
        _ => return None,
    })
}

/// The part of `path` below `directory`.
pub(crate) fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    path.strip_prefix(directory)?.strip_prefix('/')
}
