//! Who takes the space in an artifact. Start at [`size`].
//!
//! Counts the files that are to be seen in the end; what an upper layer hides still counts in the
//! layer below, because it is sent and stored.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::inside::{InsideError, look};

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
    /// The layers, the lowest first.
    pub layers: Vec<LayerSize>,
    /// Who brought how much, the biggest first.
    pub origins: Vec<OriginSize>,
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
    /// How many files and links.
    pub files: u64,
}

/// Measures the artifact at `path`.
///
/// # Errors
/// [`InsideError`] when it cannot be read.
pub fn size(path: &Path) -> Result<SizeReport, InsideError> {
    let platforms = look(path)?
        .into_iter()
        .map(|inside| {
            let mut origins: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            for file in inside.files.values() {
                let sum = origins.entry(file.origin.to_string()).or_default();
                sum.0 += file.size;
                sum.1 += 1;
            }
            let mut origins: Vec<OriginSize> = origins
                .into_iter()
                .map(|(origin, (bytes, files))| OriginSize {
                    origin,
                    bytes,
                    files,
                })
                .collect();
            origins.sort_by(|one, other| {
                other
                    .bytes
                    .cmp(&one.bytes)
                    .then_with(|| one.origin.cmp(&other.origin))
            });
            let layers: Vec<LayerSize> = inside
                .layers
                .into_iter()
                .map(|layer| LayerSize {
                    name: layer.name,
                    digest: layer.digest.to_string(),
                    compressed: layer.size,
                    uncompressed: layer.uncompressed,
                    files: layer.files,
                })
                .collect();
            PlatformSize {
                platform: inside.platform,
                compressed: layers.iter().map(|layer| layer.compressed).sum(),
                uncompressed: layers.iter().map(|layer| layer.uncompressed).sum(),
                files: inside.files.len() as u64,
                layers,
                origins,
            }
        })
        .collect();
    Ok(SizeReport { platforms })
}
