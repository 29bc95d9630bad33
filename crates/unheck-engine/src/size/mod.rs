//! Who takes the space in an artifact: by origin, kind of file and layer; what trimming would
//! still save; what an update sends. Start at [`measure`].
//!
//! Counts the files that are to be seen in the end; what an upper layer hides still counts in the
//! layer below, because it is sent and stored. Unpacked bytes are exact. Compressed bytes of a
//! layer are exact too; those of anything smaller are an estimate, and [`PlatformSize::estimate`]
//! says of which kind.

mod against;
mod contents;
mod kind;
mod page;
mod trim;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_base::{Digest, TreePath};

use crate::explain::{Class, Explain};
use crate::inside::{Inside, InsideError, look};
use crate::layout::Layout;
use crate::steps::TrimFacts;
use crate::steps::imports::Objects;

pub use against::{Changed, OriginChange, Sum, Update, UpdateLayer};
pub use kind::FileKind;
pub use trim::{TrimPart, TrimView};

/// The sizes of an artifact, one part per platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeReport {
    /// By platform, in the order of the image's index.
    pub platforms: Vec<PlatformSize>,
}

/// The sizes of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformSize {
    /// Such as `linux/amd64`.
    pub platform: String,
    /// Bytes of all blobs of layers: what a registry stores and a host downloads.
    pub compressed: u64,
    /// Bytes of all layers unpacked.
    pub uncompressed: u64,
    /// How many files and links there are to be seen.
    pub files: u64,
    /// How `compressed` of origins, kinds and trim levels was estimated.
    pub estimate: Estimate,
    /// The layers, the lowest first.
    pub layers: Vec<LayerSize>,
    /// Who brought how much, the biggest first.
    pub origins: Vec<OriginSize>,
    /// What kind of file takes how much, the biggest first.
    pub kinds: Vec<KindSize>,
    /// What each trim level would still leave out.
    pub trim: Vec<TrimView>,
    /// What an update from another artifact sends, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// How the compressed bytes of a file are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimate {
    /// By what the file adds to a Zstandard stream of its layer, scaled to the layer's blob.
    Stream,
    /// By its part of the unpacked bytes: its form has no layers that could be read in turn.
    Proportional,
}

/// The sizes of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerSize {
    /// What unheck called it, else its number.
    pub name: String,
    /// The blob's digest.
    pub digest: String,
    /// Bytes of the blob.
    pub compressed: u64,
    /// Bytes unpacked.
    pub uncompressed: u64,
    /// Files and links in it.
    pub files: u64,
}

/// What one origin brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginSize {
    /// Such as `deb libc6`, `distribution numpy`, `app`.
    pub origin: String,
    /// Bytes of its files, unpacked.
    pub bytes: u64,
    /// About how many bytes of the blobs.
    pub compressed: u64,
    /// How many files and links.
    pub files: u64,
}

/// What one kind of file takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindSize {
    /// Which kind.
    pub kind: FileKind,
    /// Bytes of its files, unpacked.
    pub bytes: u64,
    /// About how many bytes of the blobs.
    pub compressed: u64,
    /// How many files and links.
    pub files: u64,
}

/// An artifact with the size of each of its files. Made by [`measure`].
pub struct Measured {
    parts: Vec<Part>,
}

/// One platform.
struct Part {
    inside: Inside,
    estimate: Estimate,
    sized: BTreeMap<TreePath, FileSize>,
    /// What shipped source imports, and its objects, where the bytes could be read.
    facts: Option<(TrimFacts, Objects)>,
}

/// What is known of one file besides what [`Inside`] says.
struct FileSize {
    kind: FileKind,
    packed: u64,
    strippable: u64,
    digest: Option<Digest>,
}

/// An artifact cannot be measured.
#[derive(Debug, thiserror::Error)]
#[error("cannot look into `{path}`", path = path.display())]
pub struct MeasureError {
    /// The artifact.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: Box<InsideError>,
}

impl Explain for MeasureError {
    fn class(&self) -> Class {
        self.source.class()
    }

    fn hints(&self) -> Vec<String> {
        self.source.hints()
    }
}

/// Measures the artifact at `path`. To `compare` it with another takes the digest of every file.
///
/// # Errors
/// [`MeasureError`] when it cannot be read.
pub fn measure(path: &Path, compare: bool) -> Result<Measured, MeasureError> {
    let failed = |source| MeasureError {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let platforms = look(path).map_err(failed)?;
    let contents = contents::read(path, &platforms, compare).map_err(failed)?;
    let mut contents: Vec<_> = match contents {
        Some(contents) => contents.into_iter().map(Some).collect(),
        None => Vec::new(),
    };
    contents.resize_with(platforms.len(), || None);
    let parts = platforms
        .into_iter()
        .zip(contents)
        .map(|(inside, contents)| Part::new(inside, contents))
        .collect();
    Ok(Measured { parts })
}

impl Measured {
    /// The sums, with what an update from `other` sends.
    pub fn report(&self, other: Option<&Self>) -> SizeReport {
        let platforms = self.parts.iter().map(|part| {
            let update = other.map(|other| against::update(part, other.part(part)));
            part.report(update)
        });
        SizeReport {
            platforms: platforms.collect(),
        }
    }

    /// One self-contained page with all of it.
    pub fn page(&self, other: Option<&Self>) -> String {
        page::page(self, other)
    }

    /// The same platform of this artifact.
    fn part(&self, like: &Part) -> Option<&Part> {
        let mut parts = self.parts.iter();
        parts.find(|part| part.inside.platform == like.inside.platform)
    }
}

/// Where the interpreter of a platform looks for things; `None` for what unheck did not make.
fn layout(inside: &Inside) -> Option<Layout> {
    let targets = &inside.lock.as_ref()?.plan.targets;
    let target = targets
        .iter()
        .find(|target| target.platform.to_string() == inside.platform)?;
    Some(Layout::of(&target.interpreter))
}

impl Part {
    fn new(inside: Inside, contents: Option<contents::Contents>) -> Self {
        let unpacked = unpacked(&inside);
        let sized = inside
            .files
            .iter()
            .map(|(path, file)| {
                let content = contents
                    .as_ref()
                    .and_then(|contents| contents.layers.get(file.layer)?.get(path));
                let head = content.map_or(kind::Head::Other, |content| content.head);
                let proportional = || {
                    let layer = inside.layers.get(file.layer).map_or(0, |layer| layer.size);
                    let all = unpacked.get(file.layer).copied().unwrap_or_default();
                    let share = u128::from(file.size) * u128::from(layer);
                    let share = share.checked_div(u128::from(all)).unwrap_or_default();
                    u64::try_from(share).unwrap_or(u64::MAX)
                };
                let sized = FileSize {
                    kind: if file.link.is_some() {
                        FileKind::Link
                    } else {
                        FileKind::of(path, head)
                    },
                    packed: content.map_or_else(proportional, |content| content.packed),
                    strippable: content.map_or(0, |content| content.strippable),
                    digest: content.and_then(|content| content.digest),
                };
                (path.clone(), sized)
            })
            .collect();
        Self {
            estimate: if contents.is_some() {
                Estimate::Stream
            } else {
                Estimate::Proportional
            },
            facts: contents.map(|contents| (contents.facts, contents.objects)),
            inside,
            sized,
        }
    }

    fn kind(&self, path: &TreePath) -> FileKind {
        self.sized
            .get(path)
            .map_or(FileKind::Data, |sized| sized.kind)
    }

    fn report(&self, update: Option<Update>) -> PlatformSize {
        let layers: Vec<LayerSize> = self
            .inside
            .layers
            .iter()
            .map(|layer| LayerSize {
                name: layer.name.clone(),
                digest: layer.digest.to_string(),
                compressed: layer.size,
                uncompressed: layer.uncompressed,
                files: layer.files,
            })
            .collect();
        let (origins, kinds) = self.sums();
        PlatformSize {
            platform: self.inside.platform.clone(),
            compressed: layers.iter().map(|layer| layer.compressed).sum(),
            uncompressed: layers.iter().map(|layer| layer.uncompressed).sum(),
            files: self.inside.files.len() as u64,
            estimate: self.estimate,
            layers,
            origins,
            kinds,
            trim: trim::levels(self),
            update,
        }
    }

    fn sums(&self) -> (Vec<OriginSize>, Vec<KindSize>) {
        let mut origins: BTreeMap<String, [u64; 3]> = BTreeMap::new();
        let mut kinds: BTreeMap<FileKind, [u64; 3]> = BTreeMap::new();
        for (path, file) in &self.inside.files {
            let packed = self.sized.get(path).map_or(0, |sized| sized.packed);
            for sum in [
                origins.entry(file.origin.to_string()).or_default(),
                kinds.entry(self.kind(path)).or_default(),
            ] {
                sum[0] += file.size;
                sum[1] += packed;
                sum[2] += 1;
            }
        }
        let mut origins: Vec<OriginSize> = origins
            .into_iter()
            .map(|(origin, [bytes, compressed, files])| OriginSize {
                origin,
                bytes,
                compressed,
                files,
            })
            .collect();
        // Sorted by name already, and sorting is stable.
        origins.sort_by_key(|one| std::cmp::Reverse(one.bytes));
        let mut kinds: Vec<KindSize> = kinds
            .into_iter()
            .map(|(kind, [bytes, compressed, files])| KindSize {
                kind,
                bytes,
                compressed,
                files,
            })
            .collect();
        kinds.sort_by_key(|one| std::cmp::Reverse(one.bytes));
        (origins, kinds)
    }
}

/// Bytes of the files to be seen, by layer.
fn unpacked(inside: &Inside) -> Vec<u64> {
    let mut sums = vec![0; inside.layers.len()];
    for file in inside.files.values() {
        if let Some(sum) = sums.get_mut(file.layer) {
            *sum += file.size;
        }
    }
    sums
}
