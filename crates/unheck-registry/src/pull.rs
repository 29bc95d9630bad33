//! Pulls: which manifests and blobs an image has, and the way of its blobs into a store.
//! Start at [`image`], then fetch with [`BlobTransport`].

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use unheck_base::Digest;
use unheck_oci::image::{BlobKind, Descriptor, Index, Manifest, Platform};
use unheck_oci::open::{MAX_DEPTH, MAX_DOCUMENTS};
use unheck_store::fetch::{Body, OpenFuture, Transport, TransportError};
use url::Url;

use crate::blob::Document;
use crate::client::{Client, Tell};
use crate::error::{Cause, RegistryError, connection};
use crate::reference::Reference;

/// An image in a registry without the bytes of its blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What the reference names.
    pub root: Document,
    /// All manifests and indexes, each after those that name it; the first is the root.
    pub documents: Vec<Document>,
    /// Configs and layers, each once, in the order of the manifests.
    pub blobs: Vec<Descriptor>,
}

/// Reads manifest and indexes behind a reference. With a platform, an index gives the first image that
/// serves it, else all.
///
/// # Errors
/// Something is missing, not what its digest says, not understood, or there is no image for the platform.
pub async fn image(
    client: &Client,
    reference: &Reference,
    platform: Option<&Platform>,
    tell: Tell<'_>,
) -> Result<Remote, RegistryError> {
    let root = client.manifest(reference, tell).await?;
    let walk = Walk {
        client,
        reference,
        platform,
    };
    let mut documents = vec![root.clone()];
    let mut blobs = Vec::new();
    let mut level = vec![root.clone()];
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for document in &level {
            match document.descriptor.kind() {
                BlobKind::Index => next.extend(walk.children(document)?),
                _ => blobs.extend(walk.blobs(document)?),
            }
        }
        if next.is_empty() {
            let mut seen = std::collections::BTreeSet::new();
            blobs.retain(|blob| seen.insert(blob.digest));
            return Ok(Remote {
                root,
                documents,
                blobs,
            });
        }
        if documents.len() + next.len() > MAX_DOCUMENTS {
            return Err(walk.malformed(format!("it has more than {MAX_DOCUMENTS} manifests")));
        }
        level = Vec::new();
        for descriptor in next {
            let target = descriptor.digest.to_string();
            let child = client
                .document(&target, Some(descriptor.digest), tell)
                .await?;
            level.push(walk.as_announced(&descriptor, child)?);
        }
        documents.extend(level.iter().cloned());
    }
    Err(walk.malformed(format!("its indexes are nested deeper than {MAX_DEPTH}")))
}

struct Walk<'a> {
    client: &'a Client,
    reference: &'a Reference,
    platform: Option<&'a Platform>,
}

impl Walk<'_> {
    fn error(&self, cause: Cause) -> RegistryError {
        self.client
            .error(format!("pull `{}`", self.reference), cause)
    }

    fn malformed(&self, why: String) -> RegistryError {
        self.error(Cause::Malformed { why })
    }

    fn children(&self, document: &Document) -> Result<Vec<Descriptor>, RegistryError> {
        let index: Index = self.parse(document, "an image index")?;
        let Some(platform) = self.platform else {
            return Ok(index.manifests);
        };
        let serves = |child: &Descriptor| {
            let own = child.platform.as_ref();
            // A nested index says nothing of platforms; its children do.
            own.is_some_and(|own| own.serves(platform)) || child.kind() == BlobKind::Index
        };
        let mut chosen: Vec<Descriptor> = index
            .manifests
            .iter()
            .filter(|c| serves(c))
            .cloned()
            .collect();
        if chosen.is_empty() {
            let known = index
                .manifests
                .iter()
                .filter_map(|child| child.platform.as_ref());
            let mut known: Vec<String> = known.take(20).map(|own| format!("`{own}`")).collect();
            known.dedup();
            let known = crate::error::tame(&known.join(", "));
            return Err(
                self.malformed(format!("it is not made for `{platform}`, only for {known}"))
            );
        }
        if let Some(first) = chosen
            .iter()
            .position(|child| child.kind() != BlobKind::Index)
        {
            chosen = vec![chosen.swap_remove(first)];
        }
        Ok(chosen)
    }

    fn blobs(&self, document: &Document) -> Result<Vec<Descriptor>, RegistryError> {
        let manifest: Manifest = self.parse(document, "an image manifest")?;
        let layers = manifest.layers.into_iter();
        // Such layers lie elsewhere, at addresses that nobody here trusts.
        let here = layers.filter(|layer| layer.kind() != BlobKind::ForeignLayer);
        Ok(std::iter::once(manifest.config).chain(here).collect())
    }

    fn parse<T: serde::de::DeserializeOwned>(
        &self,
        document: &Document,
        expected: &str,
    ) -> Result<T, RegistryError> {
        let digest = document.descriptor.digest;
        serde_json::from_slice(&document.bytes).map_err(|error| {
            let why = crate::error::tame(&error.to_string());
            self.malformed(format!("`{digest}` is not {expected}: {why}"))
        })
    }

    /// A child has the size that its index says, and keeps what the index tells of it.
    fn as_announced(
        &self,
        announced: &Descriptor,
        child: Document,
    ) -> Result<Document, RegistryError> {
        let (expected, found) = (announced.size, child.descriptor.size);
        if expected != found {
            return Err(self.error(Cause::WrongSize { expected, found }));
        }
        let mut descriptor = announced.clone();
        descriptor.media_type = child.descriptor.media_type;
        Ok(Document {
            descriptor,
            ..child
        })
    }
}

/// Reads blobs of one repository, for [`unheck_store::fetch::fetch_all`], which retries, resumes,
/// limits and checks. Addresses are those of [`Client::blob_url`].
pub struct BlobTransport<'a>(pub &'a Client);

impl BlobTransport<'_> {
    async fn body(&self, url: &Url, offset: u64) -> Result<Body, TransportError> {
        let client = self.0;
        let mut answer = self.ask(url, offset).await?;
        let no_part = offset > 0
            && (answer.status() == StatusCode::RANGE_NOT_SATISFIABLE
                || (answer.status() == StatusCode::PARTIAL_CONTENT
                    && begin(&answer) != Some(offset)));
        if no_part {
            answer = self.ask(url, 0).await?;
        }
        let resumed = offset > 0 && !no_part && answer.status() == StatusCode::PARTIAL_CONTENT;
        if !answer.status().is_success() {
            return Err(failed(
                client.error("read it", client.http.refusal(answer).await),
            ));
        }
        if !resumed && answer.status() == StatusCode::PARTIAL_CONTENT {
            let message = "the registry answers with a part that was not asked for";
            return Err(TransportError::permanent(message));
        }
        let length = answer.content_length();
        let total = length.and_then(|length| length.checked_add(if resumed { offset } else { 0 }));
        let broke = |error| failed(RegistryError::new("read it", "", connection(error)));
        Ok(Body {
            total,
            resumed,
            stream: answer.bytes_stream().map_err(broke).boxed(),
        })
    }

    async fn ask(&self, url: &Url, offset: u64) -> Result<Response, TransportError> {
        let client = self.0;
        let range = format!("bytes={offset}-");
        let headers = [(RANGE, range.as_str())];
        let headers = if offset > 0 { &headers[..] } else { &[] };
        let ask = client.ask(Method::GET, url.clone(), headers);
        let answer = client.call(&ask, client.scope()).await;
        answer.map_err(|cause| failed(client.error("read it", cause)))
    }
}

impl Transport for BlobTransport<'_> {
    fn open<'a>(&'a self, url: &'a Url, offset: u64) -> OpenFuture<'a> {
        self.body(url, offset).boxed()
    }
}

/// The first byte of a part (RFC 9110 section 14.4).
fn begin(answer: &Response) -> Option<u64> {
    let text = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = text.strip_prefix("bytes ")?.split_once('-')?;
    first.trim().parse().ok()
}

fn failed(error: RegistryError) -> TransportError {
    let status = match &*error.cause {
        Cause::Status { status, .. } => Some(status.as_u16()),
        _ => None,
    };
    TransportError {
        transient: error.is_transient(),
        retry_after: error.retry_after(),
        status,
        message: error.cause.to_string(),
        source: match *error.cause {
            Cause::Connection { source, .. } => Some(Box::new(source)),
            Cause::Credentials(source) => Some(Box::new(source)),
            _ => None,
        },
    }
}

/// What [`unheck_store::fetch::fetch_all`] is asked for, for each blob of an image.
pub fn wants(client: &Client, blobs: &[Descriptor]) -> Vec<unheck_store::fetch::Want> {
    let want = |blob: &Descriptor| unheck_store::fetch::Want {
        label: short(&blob.digest),
        sources: vec![client.blob_url(&blob.digest)],
        digest: Some(blob.digest),
        size: Some(blob.size),
        max_size: blob.size,
    };
    blobs.iter().map(want).collect()
}

/// The begin of a digest, as people name blobs.
fn short(digest: &Digest) -> String {
    format!("blob {}", &digest.hex()[..12])
}
