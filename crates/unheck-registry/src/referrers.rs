//! What is said about an image: artifacts whose `subject` it is. Start at [`Client::attach`] and
//! [`Client::referrers`].
//!
//! distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema". Registries without that API
//! (Debian's is one) are served by an index under a tag; two writers at the same moment may lose one entry
//! there, which is how the specification has it.

use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use reqwest::{Method, StatusCode};
use unheck_base::Digest;
use unheck_oci::image::{Descriptor, INDEX, Index, MANIFEST, Manifest, canonical_json};
use unheck_oci::open::MAX_DOCUMENT;
use url::Url;

use crate::blob::{Blob, Document};
use crate::client::{Client, Tell};
use crate::error::{Cause, RegistryError};
use crate::http::same_origin;

/// The media type of the config of an artifact that has none (image-spec, `manifest.md`).
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of that config.
pub const EMPTY_BYTES: &[u8] = b"{}";
/// The most referrers that are looked at.
const MAX_REFERRERS: usize = 1000;
/// The most pages of a list.
const MAX_PAGES: usize = 50;

/// Something that is said about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is: a media type.
    pub artifact_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The media type of the bytes.
    pub media_type: String,
    /// Free text by name, on the manifest.
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl Artifact {
    /// The manifest that says it about `subject`. The same artifact gives the same manifest.
    ///
    /// # Errors
    /// JSON cannot hold it, which no text here makes happen.
    pub fn manifest(&self, subject: &Descriptor) -> serde_json::Result<Document> {
        let config = Descriptor::of(EMPTY, EMPTY_BYTES);
        let layer = Descriptor::of(&self.media_type, &self.bytes);
        let mut manifest = Manifest::new(config, vec![layer]);
        manifest.artifact_type = Some(self.artifact_type.clone());
        manifest.subject = Some(Descriptor::new(
            &subject.media_type,
            subject.digest,
            subject.size,
        ));
        manifest.annotations = self.annotations.clone();
        Ok(Document::new(MANIFEST, canonical_json(&manifest)?))
    }
}

impl Client {
    /// Puts an artifact beside the image that it is about; its manifest's descriptor.
    ///
    /// # Errors
    /// The registry does not take it.
    pub async fn attach(
        &self,
        subject: &Descriptor,
        artifact: &Artifact,
        tell: Tell<'_>,
    ) -> Result<Descriptor, RegistryError> {
        let tried = || format!("attach `{}`", artifact.artifact_type);
        let malformed = |error: serde_json::Error| {
            let why = error.to_string();
            self.error(tried(), Cause::Malformed { why })
        };
        let document = artifact.manifest(subject).map_err(malformed)?;
        for bytes in [EMPTY_BYTES.to_vec(), artifact.bytes.clone()] {
            self.push_blob(&Blob::bytes(bytes), &[], tell).await?;
        }
        let target = document.descriptor.digest.to_string();
        let known = self.put_manifest(&target, &document, tell).await?;
        let mut entry = document.descriptor;
        entry.artifact_type = Some(artifact.artifact_type.clone());
        entry.annotations = artifact.annotations.clone();
        if !known {
            self.list_by_tag(&subject.digest, &entry, tell)
                .await
                .map_err(|cause| match cause {
                    Listing::Registry(error) => error,
                    Listing::Json(error) => malformed(error),
                })?;
        }
        Ok(entry)
    }

    /// Adds an entry to the index under the fallback tag, where it is not there yet.
    async fn list_by_tag(
        &self,
        subject: &Digest,
        entry: &Descriptor,
        tell: Tell<'_>,
    ) -> Result<(), Listing> {
        let tag = fallback_tag(subject);
        let mut index = self.fallback_index(subject, tell).await?;
        if index.manifests.iter().any(|known| known == entry) {
            return Ok(());
        }
        index.manifests.retain(|known| known.digest != entry.digest);
        index.manifests.push(entry.clone());
        let bytes = canonical_json(&index).map_err(Listing::Json)?;
        self.put_manifest(&tag, &Document::new(INDEX, bytes), tell)
            .await?;
        Ok(())
    }

    /// The artifacts about an image, of one type where one is named, in the registry's order.
    ///
    /// # Errors
    /// The registry cannot be asked or its answer is none.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        tell: Tell<'_>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let tried = format!("list what is attached to `{subject}`");
        let listed = self
            .again(&tried, tell, || self.ask_referrers(subject, artifact_type))
            .await?;
        let mut found = match listed {
            Some(index) => index.manifests,
            None => self.fallback_index(subject, tell).await?.manifests,
        };
        // A registry may ignore the filter.
        let wanted = |own: &Descriptor| {
            artifact_type.is_none() || own.artifact_type.as_deref() == artifact_type
        };
        found.retain(wanted);
        if found.len() > MAX_REFERRERS {
            let why = format!("it has more than {MAX_REFERRERS} artifacts");
            return Err(self.error(tried, Cause::Malformed { why }));
        }
        Ok(found)
    }

    /// The bytes of an artifact that [`Client::referrers`] listed: its first layer, at most `limit`
    /// bytes, checked. The manifest must be about `subject`.
    ///
    /// # Errors
    /// It is missing, of another subject, not what its digest says, or too long.
    pub async fn artifact(
        &self,
        subject: &Digest,
        entry: &Descriptor,
        limit: u64,
        tell: Tell<'_>,
    ) -> Result<(Manifest, Vec<u8>), RegistryError> {
        let tried = format!("read the artifact `{}`", entry.digest);
        let malformed = |why: &str| {
            self.error(
                tried.as_str(),
                Cause::Malformed {
                    why: why.to_owned(),
                },
            )
        };
        let document = self
            .document(&entry.digest.to_string(), Some(entry.digest), tell)
            .await?;
        let manifest: Manifest = serde_json::from_slice(&document.bytes)
            .map_err(|_| malformed("its manifest is none"))?;
        if manifest.subject.as_ref().map(|subject| subject.digest) != Some(*subject) {
            return Err(malformed("it is about another image"));
        }
        let layer = manifest
            .layers
            .first()
            .cloned()
            .ok_or_else(|| malformed("it has no content"))?;
        if layer.size > limit {
            return Err(self.error(tried, Cause::TooLarge { limit }));
        }
        let bytes = self
            .again(&tried, tell, || self.try_small_blob(&layer))
            .await?;
        Ok((manifest, bytes))
    }

    /// The bytes of a blob of at most `limit` bytes, checked.
    ///
    /// # Errors
    /// It is missing, not what its digest says, or too long.
    pub async fn small_blob(
        &self,
        blob: &Descriptor,
        limit: u64,
        tell: Tell<'_>,
    ) -> Result<Vec<u8>, RegistryError> {
        let tried = format!("read the blob `{}`", blob.digest);
        if blob.size > limit {
            return Err(self.error(tried, Cause::TooLarge { limit }));
        }
        self.again(&tried, tell, || self.try_small_blob(blob)).await
    }

    async fn try_small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>, Cause> {
        let ask = self.ask(Method::GET, self.blob_url(&blob.digest), &[]);
        let answer = self.call(&ask, self.scope()).await?;
        if !answer.status().is_success() {
            return Err(self.http.refusal(answer).await);
        }
        let bytes = self.http.body(answer, blob.size).await?;
        let (expected, found) = (blob.digest, Digest::of(&bytes));
        match expected == found {
            true => Ok(bytes.to_vec()),
            false => Err(Cause::WrongDigest { expected, found }),
        }
    }

    /// The answer of the API, all pages of it; `None` where the registry does not have it.
    async fn ask_referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Index>, Cause> {
        let mut url = self.url(&format!("referrers/{subject}"));
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut()
                .append_pair("artifactType", artifact_type);
        }
        let mut all: Option<Index> = None;
        for _ in 0..MAX_PAGES {
            let Some((page, next)) = self.referrers_page(&url).await? else {
                return Ok(all);
            };
            match &mut all {
                Some(all) => all.manifests.extend(page.manifests),
                None => all = Some(page),
            }
            match next {
                Some(next) => url = next,
                None => return Ok(all),
            }
        }
        Err(Cause::Malformed {
            why: format!("its list of artifacts has more than {MAX_PAGES} pages"),
        })
    }

    async fn referrers_page(&self, url: &Url) -> Result<Option<(Index, Option<Url>)>, Cause> {
        let ask = self.ask(Method::GET, url.clone(), &[(ACCEPT, INDEX)]);
        let answer = self.call(&ask, self.scope()).await?;
        let text = |name| {
            answer
                .headers()
                .get(name)
                .and_then(|text| text.to_str().ok())
        };
        let media_type = text(CONTENT_TYPE);
        let is_index = media_type.is_some_and(|text| text.split(';').next() == Some(INDEX));
        let next = text(LINK).and_then(|text| next_page(text, url));
        match answer.status() {
            StatusCode::OK if is_index => {
                let body = self.http.body(answer, MAX_DOCUMENT).await?;
                let index = serde_json::from_slice(&body);
                let index = index.map_err(|_| Cause::Malformed {
                    why: "its list of artifacts is no image index".to_owned(),
                })?;
                Ok(Some((index, next)))
            }
            // Some answer with a page, some with 404, some with 405 or 400: none of them has the API.
            StatusCode::OK
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::BAD_REQUEST => Ok(None),
            _ => Err(self.http.refusal(answer).await),
        }
    }

    async fn fallback_index(
        &self,
        subject: &Digest,
        tell: Tell<'_>,
    ) -> Result<Index, RegistryError> {
        let tag = fallback_tag(subject);
        match self.document(&tag, None, tell).await {
            Ok(document) => serde_json::from_slice(&document.bytes).map_err(|_| {
                let why = format!("what has the tag `{tag}` is no image index");
                self.error("list the artifacts", Cause::Malformed { why })
            }),
            Err(error) if error.is_not_found() => Ok(Index::new(Vec::new())),
            Err(error) => Err(error),
        }
    }
}

/// Why an entry could not be listed.
enum Listing {
    Registry(RegistryError),
    Json(serde_json::Error),
}

impl From<RegistryError> for Listing {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

/// The next page that a `Link` header names (RFC 8288); one at another origin is none.
pub(crate) fn next_page(text: &str, from: &Url) -> Option<Url> {
    let (target, rest) = text.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = rest.split(';').any(|part| {
        let part = part.trim();
        part.eq_ignore_ascii_case("rel=next") || part.eq_ignore_ascii_case("rel=\"next\"")
    });
    let url = from.join(target).ok()?;
    (is_next && same_origin(&url, from)).then_some(url)
}

/// `sha256-<hex>`: the tag under which artifacts about `subject` are listed where a registry has no API for it.
pub fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_page_is_followed_at_the_same_origin_only() {
        let from = Url::parse("https://r.example/v2/a/referrers/x?n=1").unwrap();
        let next = |text: &str| next_page(text, &from).map(String::from);
        let good = next("</v2/a/referrers/x?n=1&last=y>; rel=\"next\"");
        assert_eq!(
            good.as_deref(),
            Some("https://r.example/v2/a/referrers/x?n=1&last=y")
        );
        for text in [
            "",
            "<",
            "</x>",
            "</x>; rel=prev",
            "<https://evil.example/x>; rel=next",
            "/x; rel=next",
        ] {
            assert_eq!(next(text), None, "{text}");
        }
    }
}
