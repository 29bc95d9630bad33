//! HTTP with its limits: time, size, redirects. Start at [`Http::read`] and [`Http::write`].
//!
//! Redirects are followed here and not by the library, so that each hop is judged: never from TLS to
//! none, never to another scheme, and the login stays with the host that asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, redirect};
use tokio::time::{Instant, sleep_until, timeout};
use unheck_store::fetch::{HttpOptions, retry_after};
use url::Url;

use crate::auth::authority;
use crate::error::{Cause, connection, tame};

/// How patiently to speak with a registry, and in what sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// As for every download: user agent, times to connect and without a single byte in either direction, redirects
    /// followed for one request.
    pub web: HttpOptions,
    /// For the answer after a blob was sent: the registry hashes it first.
    pub digesting: Duration,
    /// For a whole manifest or other document.
    pub document: Duration,
    /// How often in a row a request is made again that fails in a way that may pass.
    pub retries: u32,
    /// The pause before the first retry; doubled for each further one, at most 60 seconds.
    pub backoff: Duration,
    /// Blobs up to this size in bytes are sent in one request.
    pub whole: u64,
    /// The size in bytes of the pieces of larger ones.
    pub chunk: u64,
    /// Blobs sent at the same time.
    pub parallel: usize,
}

impl Default for Options {
    /// What [`HttpOptions`] has but 5 redirects, 3 minutes for digesting, 2 for a document, 5 retries from half a
    /// second on, pieces of 64 MiB, 4 blobs at a time.
    fn default() -> Self {
        Self {
            web: HttpOptions {
                redirects: 5,
                ..HttpOptions::default()
            },
            digesting: Duration::from_secs(180),
            document: Duration::from_secs(120),
            retries: 5,
            backoff: Duration::from_millis(500),
            whole: 8 << 20,
            chunk: 64 << 20,
            parallel: 4,
        }
    }
}

/// The longest error document that is looked at, in bytes.
const MAX_ERROR: u64 = 64 << 10;

/// The client for one registry and what it names.
pub(crate) struct Http {
    /// Gives up when no byte of an answer comes.
    reading: reqwest::Client,
    /// Has no such clock: while a body is sent no answer is due.
    writing: reqwest::Client,
    pub(crate) options: Options,
}

/// What a request is made of. It is made again for each attempt.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Makes the body: its bytes as they are sent, and their number.
    pub(crate) body: Option<(&'a (dyn Fn(Sent) -> reqwest::Body + Sync), u64)>,
}

/// Counts the bytes of a body that left.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<AtomicU64>);

impl Sent {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Http {
    pub(crate) fn new(options: Options) -> Result<Self, Cause> {
        let builder = || options.web.client().redirect(redirect::Policy::none());
        Ok(Self {
            reading: builder()
                .read_timeout(options.web.idle_timeout)
                .build()
                .map_err(connection)?,
            writing: builder().build().map_err(connection)?,
            options,
        })
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.reading.get(url)
    }

    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.reading.post(url)
    }

    /// One request without redirects.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Cause> {
        request.send().await.map_err(connection)
    }

    /// A request that reads, with its redirects. `login` goes to the origin of the first address only.
    pub(crate) async fn read(
        &self,
        ask: &Ask<'_>,
        login: Option<&HeaderValue>,
    ) -> Result<Response, Cause> {
        let mut url = ask.url.clone();
        for _ in 0..=self.options.web.redirects {
            let mut request = self.reading.request(ask.method.clone(), url.clone());
            request = request.headers(ask.headers.clone());
            if let Some(login) = login.filter(|_| same_origin(&url, &ask.url)) {
                request = request.header(AUTHORIZATION, login);
            }
            let answer = self.send(request).await?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            url = location(&answer, &url)?;
        }
        Err(Cause::Redirect {
            to: shown(&url),
            why: "it redirects too often",
        })
    }

    /// A request that writes: no redirects, and a clock that knows whether bytes still leave.
    pub(crate) async fn write(
        &self,
        ask: &Ask<'_>,
        login: Option<&HeaderValue>,
    ) -> Result<Response, Cause> {
        let mut request = self.writing.request(ask.method.clone(), ask.url.clone());
        request = request.headers(ask.headers.clone());
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, login);
        }
        let sent = Sent::default();
        let mut len = 0;
        request = match ask.body {
            Some((body, size)) => {
                len = size;
                request
                    .header(CONTENT_LENGTH, size)
                    .body(body(sent.clone()))
            }
            None => request.header(CONTENT_LENGTH, 0),
        };
        let answer = self.watched(request, &sent, len).await?;
        if answer.status().is_redirection() {
            return Err(Cause::Redirect {
                to: shown(&location(&answer, &ask.url)?),
                why: "what is written is not redirected",
            });
        }
        Ok(answer)
    }

    async fn watched(
        &self,
        request: RequestBuilder,
        sent: &Sent,
        len: u64,
    ) -> Result<Response, Cause> {
        let mut answer = std::pin::pin!(request.send());
        let mut seen = 0;
        let mut end =
            Instant::now() + self.options.web.connect_timeout + self.options.web.idle_timeout;
        let mut patience = self.options.web.connect_timeout + self.options.web.idle_timeout;
        loop {
            tokio::select! {
                answer = &mut answer => return answer.map_err(connection),
                () = sleep_until(end) => {}
            }
            let now = sent.get();
            if now == seen {
                return Err(Cause::Stalled {
                    seconds: patience.as_secs(),
                });
            }
            seen = now;
            patience = if now >= len {
                self.options.digesting
            } else {
                self.options.web.idle_timeout
            };
            end = Instant::now() + patience;
        }
    }

    /// All of an answer, at most `limit` bytes of it.
    pub(crate) async fn body(&self, answer: Response, limit: u64) -> Result<Bytes, Cause> {
        let time = self.options.document;
        match timeout(time, collect(answer, limit)).await {
            Ok(body) => body,
            Err(_) => Err(Cause::Stalled {
                seconds: time.as_secs(),
            }),
        }
    }

    /// What a status that is no success means.
    pub(crate) async fn refusal(&self, answer: Response) -> Cause {
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        // The words are a help and no more: without them the status says enough.
        let body = self.body(answer, MAX_ERROR).await.unwrap_or_default();
        Cause::Status {
            status,
            detail: detail(&body),
            retry_after,
        }
    }
}

async fn collect(answer: Response, limit: u64) -> Result<Bytes, Cause> {
    if answer.content_length().is_some_and(|len| len > limit) {
        return Err(Cause::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    let mut stream = answer.bytes_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(connection)?;
        if (body.len() + part.len()) as u64 > limit {
            return Err(Cause::TooLarge { limit });
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Where an answer sends us, if that may be followed.
pub(crate) fn location(answer: &Response, from: &Url) -> Result<Url, Cause> {
    let text = answer
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(|| Cause::Malformed {
        why: "it sends us elsewhere and does not say where".to_owned(),
    })?;
    let to = from.join(text).map_err(|_| Cause::Malformed {
        why: format!("`{}` is no address", tame(text)),
    })?;
    let refused = |why| {
        Err(Cause::Redirect {
            to: shown(&to),
            why,
        })
    };
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") if to.host_str().is_some() => Ok(to),
        ("https", "http") => refused("that is from TLS to none"),
        _ => refused("that is no HTTP"),
    }
}

/// Whether both addresses are of one scheme, host and port.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// An address without what may be secret in it.
fn shown(url: &Url) -> String {
    tame(&format!(
        "{}://{}{}",
        url.scheme(),
        authority(url),
        url.path()
    ))
}

/// The registry's own words, after a colon: the errors of the distribution-spec ("Error Codes").
fn detail(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(parsed) = serde_json::from_slice::<Errors>(body) else {
        return String::new();
    };
    let words = parsed
        .errors
        .iter()
        .take(3)
        .map(|one| match one.message.is_empty() {
            true => one.code.clone(),
            false => format!("{} ({})", one.message, one.code),
        });
    let words = tame(&words.collect::<Vec<_>>().join("; "));
    if words.is_empty() {
        words
    } else {
        format!(": {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_s_words_are_tamed() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m\nway"},{"code":"X"}]}"#;
        assert_eq!(detail(body), ": no\u{fffd}[31m way (DENIED); X");
        assert_eq!(detail(b"<html>"), "");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |one: &str, other: &str| {
            same_origin(&Url::parse(one).unwrap(), &Url::parse(other).unwrap())
        };
        assert!(same("https://a.example/x", "https://A.example:443/y"));
        assert!(!same("https://a.example/", "http://a.example/"));
        assert!(!same("http://a.example:80/", "http://a.example:81/"));
        assert!(!same(
            "https://a.example/",
            "https://a.example.evil.example/"
        ));
    }
}
