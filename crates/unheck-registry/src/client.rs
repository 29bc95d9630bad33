//! One repository of one registry, by the distribution-spec 1.1. Start at [`Client::new`].

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use unheck_base::Digest;
use unheck_oci::image::{INDEX, MANIFEST};
use unheck_oci::open::MAX_DOCUMENT;
use url::Url;

use crate::auth::{Access, Authorizer, Scope};
use crate::blob::Document;
use crate::error::{Cause, RegistryError};
use crate::http::{Ask, Http, Options, same_origin};
use crate::reference::{Reference, Repository};
use crate::retry::Patience;

/// The media types of manifests and indexes, with docker's names for both.
pub(crate) const MANIFESTS: [&str; 4] = [
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What a client may do; tokens are asked for no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Read.
    Pull,
    /// Read and write.
    Push,
    /// Read, write and remove.
    Remove,
}

/// What happens on the way; see [`crate::push::push`].
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// The blob is there, or was mounted from another repository.
    There {
        /// The blob.
        digest: &'a Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// So much of a blob is sent.
    Sending {
        /// The blob.
        digest: &'a Digest,
        /// Bytes sent.
        done: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A failure that may pass; tried again after the pause.
    Retry {
        /// The failure.
        why: &'a RegistryError,
        /// The pause.
        after: Duration,
    },
}

/// Hears of [`Progress`].
pub type Tell<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// A connection to one repository. Requests share connections and tokens.
pub struct Client {
    pub(crate) repository: Repository,
    pub(crate) http: Http,
    base: Url,
    auth: Authorizer,
    scope: Scope,
}

impl Client {
    /// Prepares a client; asks nothing yet.
    ///
    /// # Errors
    /// The host makes no address, or there is no usable TLS root.
    pub fn new(
        repository: &Repository,
        purpose: Purpose,
        access: Access,
        options: Options,
    ) -> Result<Self, RegistryError> {
        let host = repository.api_host();
        let failed = |cause| RegistryError::new("set up the client", host, cause);
        let scheme = match access.insecure.contains(repository.host()) {
            true => "http",
            false => "https",
        };
        let text = format!("{scheme}://{host}/v2/{}/", repository.name());
        let base = Url::parse(&text).map_err(|_| failed(Cause::Address { text }))?;
        let http = Http::new(options).map_err(failed)?;
        let actions = match purpose {
            Purpose::Pull => "pull",
            Purpose::Push => "pull,push",
            Purpose::Remove => "delete,pull,push",
        };
        let scope = BTreeSet::from([format!("repository:{}:{actions}", repository.name())]);
        Ok(Self {
            repository: repository.clone(),
            auth: Authorizer::new(repository.clone(), base.clone(), access),
            http,
            base,
            scope,
        })
    }

    /// The repository.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The manifest or index behind a reference of this repository, checked by its digest.
    ///
    /// # Errors
    /// There is none, or it is not what its digest says, or the registry cannot be asked.
    pub async fn manifest(
        &self,
        reference: &Reference,
        tell: Tell<'_>,
    ) -> Result<Document, RegistryError> {
        self.document(&reference.manifest(), reference.digest(), tell)
            .await
    }

    /// The same by tag or digest; `None` where there is none.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub async fn find_manifest(
        &self,
        reference: &Reference,
        tell: Tell<'_>,
    ) -> Result<Option<Document>, RegistryError> {
        match self.manifest(reference, tell).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under `target`, a tag or its own digest. Whether the registry knows of its
    /// `subject` now, so that the referrers API will list it.
    ///
    /// # Errors
    /// The registry does not take it.
    pub async fn put_manifest(
        &self,
        target: &str,
        document: &Document,
        tell: Tell<'_>,
    ) -> Result<bool, RegistryError> {
        let tried = format!(
            "put the manifest `{target}` of `{}`",
            self.repository.name()
        );
        let answer = self
            .again(&tried, tell, || self.try_put(target, document))
            .await?;
        let now = answer
            .headers()
            .get(CONTENT_DIGEST)
            .and_then(|text| text.to_str().ok());
        let expected = document.descriptor.digest;
        match now.and_then(|text| text.parse().ok()) {
            Some(found) if found != expected => {
                Err(self.error(tried, Cause::WrongDigest { expected, found }))
            }
            _ => Ok(answer.headers().contains_key("oci-subject")),
        }
    }

    /// Whether the repository has a blob, and of the right size.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn has_blob(
        &self,
        digest: &Digest,
        size: u64,
        tell: Tell<'_>,
    ) -> Result<bool, RegistryError> {
        let tried = format!("look for the blob `{digest}`");
        let url = self.blob_url(digest);
        let ask = || self.ask(Method::HEAD, url.clone(), &[]);
        let answer = self.again(&tried, tell, || async {
            let answer = self.call(&ask(), &self.scope).await?;
            match answer.status() {
                status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(answer),
                _ => Err(self.http.refusal(answer).await),
            }
        });
        let answer = answer.await?;
        let length = answer.headers().get(CONTENT_LENGTH);
        let found = length.and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        match found {
            _ if answer.status() == StatusCode::NOT_FOUND => Ok(false),
            Some(found) if found != size => Err(self.error(
                tried,
                Cause::WrongSize {
                    expected: size,
                    found,
                },
            )),
            _ => Ok(true),
        }
    }

    /// The address of a blob, for [`crate::pull::BlobTransport`].
    pub fn blob_url(&self, digest: &Digest) -> Url {
        self.url(&format!("blobs/{digest}"))
    }

    pub(crate) fn url(&self, tail: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{tail}", self.base.path()));
        url
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn error(&self, tried: impl Into<String>, cause: impl Into<Cause>) -> RegistryError {
        RegistryError::new(tried, self.repository.host(), cause)
    }

    pub(crate) fn ask<'a>(
        &self,
        method: Method,
        url: Url,
        headers: &[(HeaderName, &str)],
    ) -> Ask<'a> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.append(name, value);
            }
        }
        Ask {
            method,
            url,
            headers: map,
            body: None,
        }
    }

    /// A document by tag or digest.
    pub(crate) async fn document(
        &self,
        target: &str,
        digest: Option<Digest>,
        tell: Tell<'_>,
    ) -> Result<Document, RegistryError> {
        let tried = format!(
            "read the manifest `{target}` of `{}`",
            self.repository.name()
        );
        self.again(&tried, tell, || self.try_document(target, digest))
            .await
    }

    async fn try_document(&self, target: &str, digest: Option<Digest>) -> Result<Document, Cause> {
        let accept = MANIFESTS.join(", ");
        let url = self.url(&format!("manifests/{target}"));
        let ask = self.ask(Method::GET, url, &[(ACCEPT, &accept)]);
        let answer = self.call(&ask, &self.scope).await?;
        if !answer.status().is_success() {
            return Err(self.http.refusal(answer).await);
        }
        let text = |name: HeaderName| {
            let value = answer.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let stated = text(CONTENT_TYPE).unwrap_or_default();
        let told = text(CONTENT_DIGEST).and_then(|text| text.parse().ok());
        let bytes = self.http.body(answer, MAX_DOCUMENT).await?;
        let media_type = media_type(&stated, &bytes)?;
        let document = Document::new(&media_type, bytes.to_vec());
        let found = document.descriptor.digest;
        match digest.or(told) {
            Some(expected) if expected != found => Err(Cause::WrongDigest { expected, found }),
            _ => Ok(document),
        }
    }

    async fn try_put(&self, target: &str, document: &Document) -> Result<Response, Cause> {
        let url = self.url(&format!("manifests/{target}"));
        let media_type = &document.descriptor.media_type;
        let mut ask = self.ask(Method::PUT, url, &[(CONTENT_TYPE, media_type)]);
        let bytes = Bytes::copy_from_slice(&document.bytes);
        let body = |sent: crate::http::Sent| {
            sent.add(bytes.len());
            bytes.clone().into()
        };
        ask.body = Some((&body, bytes.len() as u64));
        let answer = self.call(&ask, &self.scope).await?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(self.http.refusal(answer).await),
        }
    }

    /// One request with the login that the registry asks for. An answer of 401 or 403 is an error,
    /// every other status the caller's business.
    pub(crate) async fn call(&self, ask: &Ask<'_>, scope: &Scope) -> Result<Response, Cause> {
        let ours = same_origin(&ask.url, &self.base);
        let mut login = match ours {
            true => self.auth.header(&self.http, scope).await?,
            false => None,
        };
        let mut again = ours;
        loop {
            let answer = match ask.method {
                Method::GET | Method::HEAD => self.http.read(ask, login.as_ref()).await?,
                _ => self.http.write(ask, login.as_ref()).await?,
            };
            // A redirect to somebody else who refuses is not about the login.
            let asked = ours && same_origin(answer.url(), &self.base);
            match answer.status() {
                StatusCode::UNAUTHORIZED if asked && again => {
                    again = false;
                    let told = (login.as_ref(), answer.headers());
                    login = Some(self.auth.answer(&self.http, scope, told).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if asked => {
                    let refusal = self.http.refusal(answer).await;
                    return Err(self.auth.refusal(refusal).await);
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Tries until it works, fails for good, or was tried often enough.
    pub(crate) async fn again<T, F: Future<Output = Result<T, Cause>>>(
        &self,
        tried: &str,
        tell: Tell<'_>,
        mut work: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut patience = Patience::new(&self.http.options);
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(cause) => self.error(tried, cause),
            };
            let Some(after) = patience.pause(&error) else {
                return Err(error);
            };
            tell(Progress::Retry { why: &error, after });
            tokio::time::sleep(after).await;
        }
    }
}

/// The media type of a document: the registry's header, which must not contradict what the document says
/// of itself (image-spec, `manifest.md`, "mediaType").
fn media_type(stated: &str, bytes: &[u8]) -> Result<String, Cause> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        media_type: Option<String>,
    }
    let own: Own = serde_json::from_slice(bytes).map_err(|error| Cause::Malformed {
        why: format!(
            "the manifest is no JSON object, see its line {}",
            error.line()
        ),
    })?;
    let stated = stated.split(';').next().unwrap_or_default().trim();
    let known = |text: &str| MANIFESTS.contains(&text);
    let chosen = match own.media_type {
        Some(own) if known(stated) && own != stated => {
            let own = crate::error::tame(&own);
            let why = format!("it calls the manifest `{stated}`, the manifest says `{own}`");
            return Err(Cause::Malformed { why });
        }
        Some(own) => own,
        None => stated.to_owned(),
    };
    match known(&chosen) {
        true => Ok(chosen),
        false => Err(Cause::Malformed {
            why: format!(
                "`{}` is neither an image manifest nor an index of them",
                crate::error::tame(&chosen)
            ),
        }),
    }
}
