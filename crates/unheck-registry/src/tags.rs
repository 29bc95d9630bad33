//! What a repository's tags name, and how manifests are removed. Start at [`Client::tags`] and
//! [`Client::remove_manifest`].
//!
//! distribution-spec 1.1, "Listing Tags", "Checking if content exists in the registry" and "Deleting
//! Manifests". Registries may refuse to delete, which is an answer here and no error.

use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use unheck_base::Digest;
use unheck_oci::open::MAX_DOCUMENT;
use url::Url;

use crate::client::{Client, MANIFESTS, Tell};
use crate::error::{Cause, RegistryError};
use crate::referrers::next_page;

/// The most tags of a repository that are looked at.
const MAX_TAGS: usize = 20_000;
/// The most pages of a list.
const MAX_PAGES: usize = 1000;

/// What became of a manifest that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone now.
    Removed,
    /// It was not there.
    Absent,
    /// This registry deletes nothing, or not for this login.
    Refused,
}

#[derive(Deserialize)]
struct TagList {
    /// Some registries answer `null` for none.
    tags: Option<Vec<String>>,
}

impl Client {
    /// All tags of the repository, in the registry's order; none where there is no such repository.
    ///
    /// # Errors
    /// The registry cannot be asked, or there are more than 20,000.
    pub async fn tags(&self, tell: Tell<'_>) -> Result<Vec<String>, RegistryError> {
        let tried = format!("list the tags of `{}`", self.repository.name());
        self.again(&tried, tell, || self.all_tags()).await
    }

    async fn all_tags(&self) -> Result<Vec<String>, Cause> {
        let mut url = self.url("tags/list");
        let mut tags = Vec::new();
        for _ in 0..MAX_PAGES {
            let (page, next) = self.tags_page(&url).await?;
            tags.extend(page);
            match next {
                Some(next) if tags.len() <= MAX_TAGS => url = next,
                Some(_) => break,
                None => return Ok(tags),
            }
        }
        Err(Cause::Malformed {
            why: format!("its list of tags has more than {MAX_TAGS} of them"),
        })
    }

    async fn tags_page(&self, url: &Url) -> Result<(Vec<String>, Option<Url>), Cause> {
        let ask = self.ask(Method::GET, url.clone(), &[]);
        let answer = self.call(&ask, self.scope()).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok((Vec::new(), None));
        }
        if !answer.status().is_success() {
            return Err(self.http.refusal(answer).await);
        }
        let next = answer.headers().get(LINK);
        let next = next.and_then(|text| next_page(text.to_str().ok()?, url));
        let body = self.http.body(answer, MAX_DOCUMENT).await?;
        let list: TagList = serde_json::from_slice(&body).map_err(|_| Cause::Malformed {
            why: "its list of tags is not the JSON that it should be".to_owned(),
        })?;
        Ok((list.tags.unwrap_or_default(), next))
    }

    /// The digest of the manifest behind a tag or digest; `None` where there is none.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn digest_of(
        &self,
        target: &str,
        tell: Tell<'_>,
    ) -> Result<Option<Digest>, RegistryError> {
        let tried = format!(
            "look for the manifest `{target}` of `{}`",
            self.repository.name()
        );
        let told = self
            .again(&tried, tell, || self.told_digest(target))
            .await?;
        match told {
            Told::Absent => Ok(None),
            Told::Digest(digest) => Ok(Some(digest)),
            // The header is not required of registries (distribution-spec, "Checking if content exists").
            Told::Nothing => match self.document(target, None, tell).await {
                Ok(document) => Ok(Some(document.descriptor.digest)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    async fn told_digest(&self, target: &str) -> Result<Told, Cause> {
        let url = self.url(&format!("manifests/{target}"));
        let ask = self.ask(Method::HEAD, url, &[(ACCEPT, &MANIFESTS.join(", "))]);
        let answer = self.call(&ask, self.scope()).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(Told::Absent),
            status if status.is_success() => {
                let told = answer.headers().get("docker-content-digest");
                let told = told.and_then(|text| text.to_str().ok()?.parse().ok());
                Ok(told.map_or(Told::Nothing, Told::Digest))
            }
            _ => Err(self.http.refusal(answer).await),
        }
    }

    /// Removes a manifest by its digest, with all tags that name it; or a tag alone, which few
    /// registries can. Its blobs go when the registry collects its garbage.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn remove_manifest(
        &self,
        target: &str,
        tell: Tell<'_>,
    ) -> Result<Removal, RegistryError> {
        let tried = format!(
            "remove the manifest `{target}` of `{}`",
            self.repository.name()
        );
        self.again(&tried, tell, || self.try_remove(target)).await
    }

    async fn try_remove(&self, target: &str) -> Result<Removal, Cause> {
        let url = self.url(&format!("manifests/{target}"));
        let ask = self.ask(Method::DELETE, url, &[(CONTENT_TYPE, "application/json")]);
        let answer = match self.call(&ask, self.scope()).await {
            Ok(answer) => answer,
            // A login that may push may often not delete.
            Err(Cause::NoLogin | Cause::Refused { .. }) => return Ok(Removal::Refused),
            Err(cause) => return Err(cause),
        };
        match answer.status().as_u16() {
            200..=299 => Ok(Removal::Removed),
            404 => Ok(Removal::Absent),
            400 | 405 | 501 => Ok(Removal::Refused),
            _ => Err(self.http.refusal(answer).await),
        }
    }
}

/// What the answer to `HEAD` says.
enum Told {
    Absent,
    Digest(Digest),
    Nothing,
}
