//! Sends one blob: not at all where the registry has it, by mounting, in one request, or in pieces
//! that go on where a broken connection ended. Start at [`Client::push_blob`].
//!
//! distribution-spec 1.1, "Pushing blobs", with what registries in the wild do otherwise: `Range` of an
//! empty upload is `0-0` in some, and an answer without `Range` means that all was taken.

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use reqwest::{Method, Response, StatusCode};
use unheck_base::Digest;
use url::Url;

use crate::blob::Blob;
use crate::client::{Client, Progress, Tell};
use crate::error::{Cause, RegistryError};
use crate::http::{Sent, location};
use crate::reference::Repository;
use crate::retry::Patience;

/// The smallest piece that the registry takes, in bytes (distribution-spec, "Pushing a blob in chunks").
const MIN_CHUNK: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// No registry's wish for larger pieces goes further than this, in bytes.
const MAX_CHUNK: u64 = 1 << 30;
const OCTETS: &str = "application/octet-stream";

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// It was there.
    There,
    /// The registry took it from another repository.
    Mounted,
    /// It was sent.
    Sent,
}

/// An upload that is open at the registry.
struct Upload {
    url: Url,
    /// Bytes that the registry has.
    offset: u64,
    /// The size of the pieces in bytes.
    chunk: u64,
}

impl Upload {
    fn place(&self) -> Self {
        Self {
            url: self.url.clone(),
            ..*self
        }
    }
}

/// What a failed step tells about the upload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The registry does not know it any more.
    Lost,
    /// The registry is at another byte than we think.
    Range,
    /// The registry finds the bytes wrong, which are right here: they suffered on the way.
    Bad,
    /// Anything else.
    Other,
}

/// How one step of an upload ended.
enum Step {
    Done,
    Open(Upload),
}

/// What to do after a failed step.
enum Next {
    Done,
    Continue(Upload),
    Restart,
}

impl Client {
    /// Makes sure that the repository has the blob. `from` are repositories of the same registry that
    /// are said to have it; wrong ones cost one request.
    ///
    /// # Errors
    /// It cannot be read here, or the registry does not take it.
    pub async fn push_blob(
        &self,
        blob: &Blob,
        from: &[Repository],
        tell: Tell<'_>,
    ) -> Result<Sending, RegistryError> {
        let (digest, size) = (&blob.digest, blob.size);
        if self.has_blob(digest, size, tell).await? {
            tell(Progress::There { digest, size });
            return Ok(Sending::There);
        }
        for repository in from.iter().filter(|from| self.can_mount_from(from)) {
            if self.mount(blob, repository).await {
                tell(Progress::There { digest, size });
                return Ok(Sending::Mounted);
            }
        }
        self.send_blob(blob, tell).await?;
        Ok(Sending::Sent)
    }

    fn can_mount_from(&self, from: &Repository) -> bool {
        from.host() == self.repository.host() && *from != self.repository
    }

    /// Asks the registry to take the blob from another repository. Whatever goes wrong here only means
    /// that the blob has to be sent.
    async fn mount(&self, blob: &Blob, from: &Repository) -> bool {
        let mut url = self.url("blobs/uploads/");
        url.query_pairs_mut()
            .append_pair("mount", &blob.digest.to_string())
            .append_pair("from", from.name());
        let mut scope = self.scope().clone();
        scope.insert(format!("repository:{}:pull", from.name()));
        let answer = match self.call(&self.ask(Method::POST, url, &[]), &scope).await {
            Ok(answer) => answer,
            Err(cause) => {
                tracing::debug!(digest = %blob.digest, %from, "cannot mount: {cause}");
                return false;
            }
        };
        if answer.status() == StatusCode::CREATED {
            return true;
        }
        if answer.status() == StatusCode::ACCEPTED
            && let Ok(url) = location(&answer, &self.url(""))
        {
            // The registry opened an upload instead; it is closed so that nothing stays behind.
            drop(
                self.call(&self.ask(Method::DELETE, url, &[]), self.scope())
                    .await,
            );
        }
        false
    }

    async fn send_blob(&self, blob: &Blob, tell: Tell<'_>) -> Result<(), RegistryError> {
        let tried = format!("send the blob `{}`", blob.digest);
        let mut patience = Patience::new(&self.http.options);
        let mut resent = false;
        let mut upload: Option<Upload> = None;
        loop {
            let last = upload.as_ref().map(Upload::place);
            let before = last.as_ref().map_or(0, |last| last.offset);
            let cause = match self.step(blob, upload.take(), tell).await {
                Ok(Step::Done) => return Ok(()),
                Ok(Step::Open(open)) => {
                    if open.offset > before {
                        patience.progress();
                    }
                    upload = Some(open);
                    continue;
                }
                Err(cause) => self.judged(blob, cause).await,
            };
            let error = self.error(tried.as_str(), cause);
            let trouble = Trouble::of(&error, last.is_some());
            if trouble == Trouble::Bad && std::mem::replace(&mut resent, true) {
                return Err(error);
            }
            let pause = match trouble {
                Trouble::Other => patience.pause(&error),
                _ => patience.count(&error),
            };
            let Some(after) = pause else {
                return Err(error);
            };
            tell(Progress::Retry { why: &error, after });
            tokio::time::sleep(after).await;
            let resumable = matches!(trouble, Trouble::Other | Trouble::Range);
            match self.after(blob, last.filter(|_| resumable), tell).await {
                Next::Done => return Ok(()),
                Next::Continue(open) => {
                    if open.offset > before {
                        patience.progress();
                    }
                    upload = Some(open);
                }
                Next::Restart => upload = None,
            }
        }
    }

    /// Opens the upload, sends a piece, or ends it.
    async fn step(
        &self,
        blob: &Blob,
        upload: Option<Upload>,
        tell: Tell<'_>,
    ) -> Result<Step, Cause> {
        let Some(upload) = upload else {
            return self.open().await.map(Step::Open);
        };
        let (digest, size) = (&blob.digest, blob.size);
        let left = size.saturating_sub(upload.offset);
        if left == 0 || (upload.offset == 0 && size <= self.http.options.whole) {
            self.finish(blob, upload, left).await?;
            tell(Progress::Sending {
                digest,
                done: size,
                size,
            });
            return Ok(Step::Done);
        }
        let open = self.piece(blob, upload).await?;
        tell(Progress::Sending {
            digest,
            done: open.offset,
            size,
        });
        Ok(Step::Open(open))
    }

    async fn open(&self) -> Result<Upload, Cause> {
        let url = self.url("blobs/uploads/");
        let answer = self
            .call(&self.ask(Method::POST, url.clone(), &[]), self.scope())
            .await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(self.unexpected(answer).await);
        }
        let wanted = answer.headers().get(MIN_CHUNK);
        let wanted = wanted.and_then(|text| text.to_str().ok()?.trim().parse::<u64>().ok());
        let chunk = self
            .http
            .options
            .chunk
            .max(wanted.unwrap_or(0))
            .min(MAX_CHUNK);
        Ok(Upload {
            url: location(&answer, &url)?,
            offset: 0,
            chunk: chunk.max(1),
        })
    }

    /// Sends the next piece.
    async fn piece(&self, blob: &Blob, upload: Upload) -> Result<Upload, Cause> {
        let (at, chunk) = (upload.offset, upload.chunk);
        let len = chunk.min(blob.size - at);
        let end = at + len;
        let range = format!("{at}-{}", end - 1);
        let headers = [(CONTENT_TYPE, OCTETS), (CONTENT_RANGE, range.as_str())];
        let body = |sent: Sent| blob.body((at, len), sent);
        let mut ask = self.ask(Method::PATCH, upload.url.clone(), &headers);
        ask.body = Some((&body, len));
        let answer = self.call(&ask, self.scope()).await?;
        if answer.status() != StatusCode::ACCEPTED && answer.status() != StatusCode::NO_CONTENT {
            return Err(self.unexpected(answer).await);
        }
        let offset = taken(&answer)?.unwrap_or(end);
        if offset > end {
            return Err(Cause::Malformed {
                why: format!("it says that it has {offset} bytes, {end} were sent"),
            });
        }
        let url = location(&answer, &upload.url)?;
        Ok(Upload { url, offset, chunk })
    }

    /// Sends what is left and says what digest all of it has.
    async fn finish(&self, blob: &Blob, upload: Upload, left: u64) -> Result<(), Cause> {
        let mut url = upload.url;
        url.query_pairs_mut()
            .append_pair("digest", &blob.digest.to_string());
        let body = |sent: Sent| blob.body((upload.offset, left), sent);
        let mut ask = self.ask(Method::PUT, url, &[(CONTENT_TYPE, OCTETS)]);
        if left > 0 {
            ask.body = Some((&body, left));
        }
        let answer = self.call(&ask, self.scope()).await?;
        if !matches!(
            answer.status(),
            StatusCode::CREATED | StatusCode::NO_CONTENT
        ) {
            return Err(self.unexpected(answer).await);
        }
        let told = answer.headers().get("docker-content-digest");
        match told.and_then(|text| text.to_str().ok()?.parse::<Digest>().ok()) {
            Some(found) if found != blob.digest => Err(Cause::WrongDigest {
                expected: blob.digest,
                found,
            }),
            _ => Ok(()),
        }
    }

    /// Finds out how far the registry is after a failure.
    async fn after(&self, blob: &Blob, last: Option<Upload>, tell: Tell<'_>) -> Next {
        // The answer may have been lost, and not the blob.
        if self
            .has_blob(&blob.digest, blob.size, tell)
            .await
            .unwrap_or(false)
        {
            return Next::Done;
        }
        let Some(Upload { url, chunk, .. }) = last else {
            return Next::Restart;
        };
        let asked = self
            .call(&self.ask(Method::GET, url.clone(), &[]), self.scope())
            .await;
        let Ok(answer) = asked else {
            return Next::Restart;
        };
        let known = matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::OK);
        match (known, taken(&answer)) {
            (true, Ok(offset)) => Next::Continue(Upload {
                // Some registries name no new place here.
                url: location(&answer, &url).unwrap_or(url),
                offset: offset.unwrap_or(0).min(blob.size),
                chunk,
            }),
            _ => Next::Restart,
        }
    }

    /// A registry that finds the bytes wrong is right when they are wrong here.
    async fn judged(&self, blob: &Blob, cause: Cause) -> Cause {
        match cause {
            Cause::Status { status, .. } if status == StatusCode::BAD_REQUEST => {
                match blob.found().await {
                    Ok(found) if found != blob.digest => Cause::LocalDigest { found },
                    Err(unreadable) => unreadable,
                    Ok(_) => cause,
                }
            }
            _ => cause,
        }
    }

    async fn unexpected(&self, answer: Response) -> Cause {
        if answer.status().is_success() {
            return Cause::Malformed {
                why: format!("`{}` is no answer to this", answer.status()),
            };
        }
        self.http.refusal(answer).await
    }
}

/// The number of bytes that the registry has, by its `Range`, where it says so.
fn taken(answer: &Response) -> Result<Option<u64>, Cause> {
    let Some(value) = answer.headers().get(RANGE) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    range_end(text).map(Some).ok_or_else(|| Cause::Malformed {
        why: format!("`{}` is no range of bytes", crate::error::tame(text)),
    })
}

/// `0-N`, with `N` the last byte. `0-0` is what registries say of nothing at all; that a single byte
/// came is as good as never.
fn range_end(text: &str) -> Option<u64> {
    let (first, last) = text.trim_start_matches("bytes=").split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    match (first, last) {
        (0, 0) => Some(0),
        (0, last) => last.checked_add(1),
        _ => None,
    }
}

impl Trouble {
    fn of(error: &RegistryError, open: bool) -> Self {
        let status = match &*error.cause {
            Cause::Status { status, .. } => status.as_u16(),
            _ => 0,
        };
        match status {
            404 | 410 if open => Self::Lost,
            416 if open => Self::Range,
            400 if open => Self::Bad,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_how_much_came() {
        let cases = [
            ("0-0", Some(0)),
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("5-9", None),
            ("", None),
            ("0", None),
            ("0-18446744073709551615", None),
            ("0--1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(range_end(text), expected, "{text}");
        }
    }
}
