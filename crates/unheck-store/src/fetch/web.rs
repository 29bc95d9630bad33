//! The transport for `http:`, `https:` and `file:` URLs.
//!
//! HTTP by reqwest with rustls: roots are the system's, or those of `SSL_CERT_FILE`; proxies are
//! read from the environment by reqwest. No cookies, no `Referer`, no content coding (a file must
//! come as its own bytes). A redirect to another origin loses the credentials, one from https to http is
//! refused. Start at [`WebTransport::new`].

use std::io::SeekFrom;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, TryStreamExt};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, DATE, HeaderMap, HeaderValue, RANGE, RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use url::Url;

use super::lookup::Lookup;
use super::transport::{Body, OpenFuture, Transport, TransportError};

/// How to speak HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The `User-Agent`.
    pub user_agent: String,
    /// For a TCP and TLS connection.
    pub connect_timeout: Duration,
    /// Without a single byte.
    pub idle_timeout: Duration,
    /// Redirects followed for one file.
    pub redirects: usize,
}

impl HttpOptions {
    /// What all clients have in common: who asks, how long connecting may take, and that a host is looked up once
    /// for all connections of this process.
    pub fn connecting(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .dns_resolver(Lookup::shared())
    }

    /// A client by these options, but for redirects and the idle time, which each has its own way with. It asks for
    /// no content coding: a file must come as its own bytes.
    pub fn client(&self) -> ClientBuilder {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.connecting()
            .default_headers(headers)
            .referer(false)
            .no_gzip()
            .no_zstd()
    }
}

impl Default for HttpOptions {
    /// `unheck/VERSION`, 10 seconds to connect, 30 seconds idle, 10 redirects.
    fn default() -> Self {
        Self {
            user_agent: concat!("unheck/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            redirects: 10,
        }
    }
}

/// Reads `http:`, `https:` and `file:` URLs. User and password of a URL are sent as Basic
/// authentication (RFC 7617) to its own origin.
#[derive(Debug, Clone)]
pub struct WebTransport {
    options: Arc<HttpOptions>,
    /// Made for the first request: it reads every certificate that the host trusts, and most runs ask for nothing.
    client: Arc<OnceLock<Client>>,
}

impl WebTransport {
    /// A transport that connects to nothing yet.
    pub fn new(options: &HttpOptions) -> Self {
        Self {
            options: Arc::new(options.clone()),
            client: Arc::default(),
        }
    }

    fn client(&self) -> Result<&Client, TransportError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let limit = self.options.redirects;
        let client = self
            .options
            .client()
            .read_timeout(self.options.idle_timeout)
            .redirect(redirect::Policy::custom(move |attempt| {
                follow(attempt, limit)
            }))
            .build();
        let client = client.map_err(|error| {
            TransportError::permanent("cannot set up the HTTP client").because(error)
        })?;
        // Of several at once the first one stays: connections are kept in one place.
        Ok(self.client.get_or_init(|| client))
    }

    async fn open_http(&self, url: &Url, offset: u64) -> Result<Body, TransportError> {
        let mut response = self.ask(url, offset).await?;
        if offset > 0 && is_no_continuation(&response, offset) {
            response = self.ask(url, 0).await?;
        }
        let status = response.status();
        let resumed = offset > 0 && status == StatusCode::PARTIAL_CONTENT;
        let total = match content_range(response.headers()) {
            _ if !status.is_success() => return Err(refusal(&response)),
            Some((_, total)) if resumed => total,
            _ if status == StatusCode::PARTIAL_CONTENT => {
                let message = "the server answers with a part that was not asked for";
                return Err(TransportError::permanent(message));
            }
            _ => response.content_length(),
        };
        let stream = response.bytes_stream().map_err(failed).boxed();
        Ok(Body {
            total,
            resumed,
            stream,
        })
    }

    async fn ask(&self, url: &Url, offset: u64) -> Result<Response, TransportError> {
        let mut request = self.client()?.get(url.clone());
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        request.send().await.map_err(failed)
    }
}

impl Transport for WebTransport {
    fn open<'a>(&'a self, url: &'a Url, offset: u64) -> OpenFuture<'a> {
        match url.scheme() {
            "http" | "https" => self.open_http(url, offset).boxed(),
            "file" => open_file(url, offset).boxed(),
            other => {
                let message = format!("`{other}:` URLs cannot be read (http, https and file can)");
                futures::future::ready(Err(TransportError::permanent(message))).boxed()
            }
        }
    }
}

/// Decides on one redirect.
fn follow(attempt: redirect::Attempt<'_>, limit: usize) -> redirect::Action {
    let from_https = attempt
        .previous()
        .last()
        .is_some_and(|previous| previous.scheme() == "https");
    if attempt.previous().len() > limit {
        attempt.error(Redirect("the server redirects too often"))
    } else if from_https && attempt.url().scheme() != "https" {
        attempt.error(Redirect("the server redirects from https to http"))
    } else if !matches!(attempt.url().scheme(), "http" | "https") {
        attempt.error(Redirect(
            "the server redirects to something that is not HTTP",
        ))
    } else {
        attempt.follow()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Redirect(&'static str);

/// Whether the answer to a request from `offset` on is of no use: our begin is longer than the file, so
/// it belongs to another version, or the server gives another range.
fn is_no_continuation(response: &Response, offset: u64) -> bool {
    match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => true,
        StatusCode::PARTIAL_CONTENT => {
            content_range(response.headers()).is_none_or(|(begin, _)| begin != offset)
        }
        _ => false,
    }
}

/// `bytes FIRST-LAST/TOTAL` of RFC 9110 section 14.4; the total may be `*`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// What a status other than success means.
fn refusal(response: &Response) -> TransportError {
    let status = response.status();
    let transient = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
    TransportError {
        transient,
        retry_after: retry_after(response.headers()),
        status: Some(status.as_u16()),
        message: format!("the server answers `{status}`"),
        source: None,
    }
}

/// How long a server wants not to be asked again: seconds, or a date (RFC 9110 section 10.2.3), which is compared
/// with the server's own `Date`.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let then: SystemTime = date(text)?;
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    Some(then.duration_since(now).unwrap_or_default())
}

/// A failure of the connection.
fn failed(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let text = cause_lines(&error);
    // Certificates and redirects do not mend by asking again; everything else may.
    let for_good = error.is_builder() || error.is_redirect() || text.contains("certificate");
    let message = if error.is_redirect() {
        "the redirect is refused"
    } else if error.is_timeout() {
        "the connection timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke"
    };
    TransportError {
        transient: !for_good,
        retry_after: None,
        status: None,
        message: message.to_owned(),
        source: Some(Box::new(error)),
    }
}

/// What a failure of the connection says, and each of its causes, a line each: to be searched for words.
pub fn cause_lines(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        text.push_str(&error.to_string());
        text.push('\n');
        next = error.source();
    }
    text
}

/// Opens a local file; a directory, FIFO or device is refused.
async fn open_file(url: &Url, offset: u64) -> Result<Body, TransportError> {
    let path = url
        .to_file_path()
        .map_err(|()| TransportError::permanent("the file URL names no local path"))?;
    let fail = |error: std::io::Error| {
        let mut failure = TransportError::permanent("cannot read the file");
        failure.status = (error.kind() == std::io::ErrorKind::NotFound).then_some(404);
        failure.because(error)
    };
    let found = tokio::fs::metadata(&path).await.map_err(fail)?;
    if !found.is_file() {
        return Err(TransportError::permanent("it is not a regular file"));
    }
    let mut file = tokio::fs::File::open(&path).await.map_err(fail)?;
    let offset = if offset <= found.len() { offset } else { 0 };
    file.seek(SeekFrom::Start(offset)).await.map_err(fail)?;
    let stream = futures::stream::try_unfold(file, move |mut file| async move {
        let mut buffer = BytesMut::with_capacity(256 * 1024);
        let read = file.read_buf(&mut buffer).await.map_err(fail)?;
        Ok::<Option<(Bytes, _)>, _>((read > 0).then(|| (buffer.freeze(), file)))
    });
    Ok(Body {
        total: Some(found.len()),
        resumed: offset > 0,
        stream: stream.boxed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |(name, text): &(&'static str, &'static str)| {
            (
                reqwest::header::HeaderName::from_static(name),
                HeaderValue::from_static(text),
            )
        };
        pairs.iter().map(value).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_clock_of_the_server() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let cases = [
            (headers(&[("retry-after", "7")]), Some(7)),
            (headers(&[("retry-after", "soon")]), None),
            (
                headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), date]),
                Some(10),
            ),
            (
                headers(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date]),
                Some(0),
            ),
            (
                headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]),
                None,
            ),
            (headers(&[]), None),
        ];
        for (headers, seconds) in cases {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn content_range_is_read_as_the_rfc_writes_it() {
        let range = |text| content_range(&headers(&[("content-range", text)]));
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for bad in ["bytes */10", "5-9/10", "bytes x-9/10", "lines 5-9/10", ""] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
