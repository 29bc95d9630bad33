//! Pushes an image: blobs in parallel, then manifests, then tags. Start at [`push`].
//!
//! A tag moves last, so that nobody ever sees an image of which a part is missing.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use unheck_base::Digest;

use crate::blob::{Blob, Document};
use crate::client::{Client, Tell};
use crate::error::RegistryError;
use crate::reference::Repository;
use crate::upload::Sending;

/// What is pushed.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// Configs and layers, in any order.
    pub blobs: Vec<Blob>,
    /// Manifests before the indexes that name them; the last is what the tags name.
    pub manifests: Vec<Document>,
    /// Tags to set.
    pub tags: Vec<String>,
    /// Repositories of the same registry that are said to have a blob.
    pub elsewhere: BTreeMap<Digest, Vec<Repository>>,
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The blobs that were sent, with their sizes in bytes.
    pub sent: BTreeMap<Digest, u64>,
    /// The blobs that came from another repository of the registry.
    pub mounted: BTreeSet<Digest>,
    /// The blobs that were there.
    pub there: BTreeSet<Digest>,
}

impl Pushed {
    /// Bytes of blobs that were sent.
    pub fn bytes(&self) -> u64 {
        self.sent.values().sum()
    }
}

/// Pushes all of it. What was sent before a failure stays at the registry, so that the next push goes on.
///
/// # Errors
/// The first blob, manifest or tag that the registry does not take.
pub async fn push(client: &Client, push: &Push, tell: Tell<'_>) -> Result<Pushed, RegistryError> {
    let mut pushed = Pushed::default();
    let mut seen = BTreeSet::new();
    let mut blobs: Vec<&Blob> = push
        .blobs
        .iter()
        .filter(|blob| seen.insert(blob.digest))
        .collect();
    // The largest first: the others fill up what time is left beside it.
    blobs.sort_by_key(|blob| (std::cmp::Reverse(blob.size), blob.digest));
    let jobs = blobs.into_iter().map(|blob| async move {
        let from = push
            .elsewhere
            .get(&blob.digest)
            .map_or(&[][..], Vec::as_slice);
        (blob, client.push_blob(blob, from, tell).await)
    });
    let mut running =
        futures::stream::iter(jobs).buffer_unordered(client.http.options.parallel.max(1));
    while let Some((blob, done)) = running.next().await {
        match done? {
            Sending::There => drop(pushed.there.insert(blob.digest)),
            Sending::Mounted => drop(pushed.mounted.insert(blob.digest)),
            Sending::Sent => drop(pushed.sent.insert(blob.digest, blob.size)),
        }
    }
    drop(running);
    for document in &push.manifests {
        let target = document.descriptor.digest.to_string();
        client.put_manifest(&target, document, tell).await?;
    }
    if let Some(root) = push.manifests.last() {
        for tag in &push.tags {
            client.put_manifest(tag, root, tell).await?;
        }
    }
    Ok(pushed)
}
