//! What a target's repository keeps about its releases. Start at [`Record::read`] and [`Record::write`].
//!
//! One artifact under the tag `TAG-releases`: an image manifest (image-spec 1.1, "Guidelines for Artifact Usage")
//! whose first layer is the state as JSON, and whose other layers are the audit log, JSON a line, oldest first.
//! Segments of the log that are full are never written again, so an act sends a few kilobytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unheck_base::Digest;
use unheck_deploy::{Entry, ReleaseInfo, next_order};
use unheck_oci::image::{Descriptor, MANIFEST, Manifest, canonical_json};
use unheck_registry::referrers::{EMPTY, EMPTY_BYTES};
use unheck_registry::{Blob, Document};

use super::{Shop, TargetFault};
use crate::publish::PublishError;

/// The media types of the record, of its state and of its log.
const RECORD: &str = "application/vnd.unheck.releases.v1+json";
const STATE: &str = "application/vnd.unheck.releases.state.v1+json";
const LOG: &str = "application/vnd.unheck.audit.v1+jsonl";
/// The layout that is written.
const VERSION: u32 = 1;
/// Longest state, and longest segment of the log that is read, in bytes.
const MAX_STATE: u64 = 16 << 20;
const MAX_SEGMENT: u64 = 1 << 20;
/// A segment of this many bytes is full.
const FULL: usize = 32 << 10;

/// What is known of a target's releases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct State {
    unheck_releases: u32,
    /// Releases by name.
    pub(super) releases: BTreeMap<String, Kept>,
    /// What was made to serve, by whom, when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) released: Option<Served>,
    /// What served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Digest>,
    /// Who is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lock: Option<Held>,
    /// A switch that is not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) switching: Option<Switching>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// All its manifests and indexes; the last is its own.
    pub(super) documents: Vec<Digest>,
    /// Who deployed it, when; its content is the digest of the last of them.
    pub(super) info: ReleaseInfo,
}

/// What serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Served {
    pub(super) digest: Digest,
    pub(super) since: Entry,
}

/// A lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) by: Entry,
    /// Until when it counts, in seconds since 1970.
    pub(super) until: i64,
    /// Makes two locks of the same second differ.
    pub(super) session: String,
}

/// A switch under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switching {
    /// What serves again unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Digest>,
    /// What is to serve.
    pub(super) to: Digest,
    /// Its name.
    pub(super) release: String,
}

/// The record as it was read.
pub(super) struct Record {
    /// The digest of the manifest; `None` where there is none yet.
    seen: Option<Digest>,
    pub(super) state: State,
    /// Full segments of the log, and the open one.
    full: Vec<Descriptor>,
    open: Vec<u8>,
}

/// Why a record was not written.
pub(super) enum NotWritten {
    /// Somebody else wrote meanwhile.
    Changed,
    /// The registry does not take it.
    Publish(PublishError),
}

impl From<PublishError> for NotWritten {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl State {
    /// The name of the release that was deployed last.
    pub(super) fn newest(&self) -> Option<&str> {
        let releases = self.releases.iter();
        let newest = releases.max_by_key(|(id, kept)| (kept.info.rank(), *id));
        newest.map(|(id, _)| id.as_str())
    }

    /// The place of the next deployment.
    pub(super) fn next_order(&self) -> u64 {
        next_order(self.releases.values().map(|kept| kept.info.order))
    }

    /// The name of what has a digest; the digest itself where it has none.
    pub(super) fn name_of(&self, digest: &Digest) -> String {
        let found = self
            .releases
            .iter()
            .find(|(_, kept)| kept.info.content == *digest);
        found.map_or_else(|| digest.to_string(), |(id, _)| id.clone())
    }
}

impl Record {
    /// Reads the record of a target; an empty one where there is none.
    ///
    /// # Errors
    /// The registry cannot be asked, or it is no record.
    pub(super) fn read(shop: &Shop<'_>, doing: &'static str) -> Result<Self, TargetFault> {
        let tag = shop.context.target.record_tag();
        let asked = |error| shop.failed(doing, "what serves was not touched", error);
        let Some(document) = shop.document(&tag).map_err(asked)? else {
            return Ok(Self {
                seen: None,
                state: State::default(),
                full: Vec::new(),
                open: Vec::new(),
            });
        };
        let wrong = |problem: &str| TargetFault::Record {
            target: shop.context.target.name.clone(),
            tag: tag.clone(),
            problem: problem.to_owned(),
        };
        let manifest: Manifest = serde_json::from_slice(&document.bytes)
            .map_err(|_| wrong("what has that tag is no image manifest"))?;
        if manifest.artifact_type.as_deref() != Some(RECORD) {
            return Err(wrong("what has that tag was not written by unheck"));
        }
        let mut layers = manifest.layers.into_iter();
        let first = layers
            .next()
            .filter(|layer| layer.media_type == STATE)
            .ok_or_else(|| wrong("it has no state"))?;
        let bytes = shop.blob(&first, MAX_STATE).map_err(asked)?;
        let state: State = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(&format!("its state is none: {error}")))?;
        if state.unheck_releases != VERSION {
            return Err(wrong("it has another layout than this version knows"));
        }
        let mut full: Vec<Descriptor> = layers.filter(|layer| layer.media_type == LOG).collect();
        let open = match full.pop() {
            Some(last) if last.size < FULL as u64 => {
                shop.blob(&last, MAX_SEGMENT).map_err(asked)?
            }
            Some(last) => {
                full.push(last);
                Vec::new()
            }
            None => Vec::new(),
        };
        Ok(Self {
            seen: Some(document.descriptor.digest),
            state,
            full,
            open,
        })
    }

    /// Whether nobody wrote since it was read or written here.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub(super) fn is_ours(&self, shop: &Shop<'_>) -> Result<bool, PublishError> {
        let now = shop.digest_of(&shop.context.target.record_tag())?;
        Ok(now == self.seen)
    }

    /// Writes it with further lines of the log, unless somebody else wrote meanwhile.
    ///
    /// # Errors
    /// Somebody did, or the registry does not take it.
    pub(super) fn write(&mut self, shop: &Shop<'_>, lines: &[Entry]) -> Result<(), NotWritten> {
        self.state.unheck_releases = VERSION;
        let mut open = self.open.clone();
        for line in lines {
            open.extend(line.line().bytes().chain([b'\n']));
        }
        let state = canonical_json(&self.state).expect("texts and numbers");
        let mut layers = vec![Descriptor::of(STATE, &state)];
        layers.extend(self.full.iter().cloned());
        let mut blobs = vec![EMPTY_BYTES.to_vec(), state];
        if !open.is_empty() {
            layers.push(Descriptor::of(LOG, &open));
            blobs.push(open.clone());
        }
        let mut manifest = Manifest::new(Descriptor::of(EMPTY, EMPTY_BYTES), layers.clone());
        manifest.artifact_type = Some(RECORD.to_owned());
        let bytes = canonical_json(&manifest).expect("texts and numbers");
        let document = Document::new(MANIFEST, bytes);
        for blob in blobs {
            shop.send(&Blob::bytes(blob))?;
        }
        if !self.is_ours(shop)? {
            return Err(NotWritten::Changed);
        }
        shop.put(&shop.context.target.record_tag(), &document)?;
        self.seen = Some(document.descriptor.digest);
        if !self.is_ours(shop)? {
            return Err(NotWritten::Changed);
        }
        self.open = open;
        if self.open.len() >= FULL {
            self.full.extend(layers.pop());
            self.open.clear();
        }
        Ok(())
    }
}
