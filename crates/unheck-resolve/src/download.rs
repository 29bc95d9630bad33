//! Opens files for download, with the credentials and certificates that the index client uses.
//!
//! Does not retry, verify or store: the caller does, and asks [`FetchError::is_transient`]. Read
//! [`Downloader::open`] first.

use std::io::SeekFrom;
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use uv_cache::Cache;
use uv_client::{Connectivity, RegistryClient, RegistryClientBuilder};
use uv_redacted::DisplaySafeUrl;

use crate::cause::bare_url;
use crate::error::{Cause, FetchError, ResolveError};
use crate::inputs::Inputs;
use crate::resolve::workspace_root;
use crate::settings::Settings;

/// How much of a local file is read at once, in bytes.
const CHUNK: usize = 128 * 1024;

/// Opens URLs of artifacts.
pub struct Downloader {
    client: RegistryClient,
    offline: bool,
}

/// An open download.
pub struct Download {
    /// Where in the file the body begins: the offset asked for, or 0 when the server sends the whole file.
    pub offset: u64,
    /// Length of the whole file, if the server states it.
    pub total: Option<u64>,
    /// What to give as `if_range` to continue this download later: a strong `ETag`, else `Last-Modified` (RFC 9110, 13.1.5).
    pub validator: Option<String>,
    /// The bytes from `offset` on.
    pub body: BoxStream<'static, Result<Bytes, FetchError>>,
}

impl Downloader {
    /// A downloader with the index settings of `inputs`; `cache` is the resolver's cache directory.
    ///
    /// # Errors
    /// [`ResolveError::Settings`] when a setting is wrong.
    pub fn new(inputs: &Inputs, cache: &Path) -> Result<Self, ResolveError> {
        let settings = Settings::load(inputs, &workspace_root(inputs))?;
        let builder = settings.registry_client_builder()?.retries(0);
        let client = RegistryClientBuilder::new(builder, Cache::from_path(cache))
            .index_locations(settings.locations())
            .keyring(settings.keyring)
            .build()
            .map_err(|error| ResolveError::Settings {
                place: "the client's settings".to_owned(),
                cause: Cause::of(&error),
            })?;
        Ok(Self {
            client,
            offline: settings.connectivity == Connectivity::Offline,
        })
    }

    /// Opens `url` (`https`, `http` or `file`) at byte `offset`.
    ///
    /// `if_range` is the [`Download::validator`] of the part that the caller has: when the file changed
    /// since, the whole file is sent and [`Download::offset`] is 0.
    ///
    /// # Errors
    /// See [`FetchError`]. A stream item may be an error too: then the download can be continued.
    pub async fn open(
        &self,
        url: &str,
        offset: u64,
        if_range: Option<&str>,
    ) -> Result<Download, FetchError> {
        let wrong = || FetchError::Url {
            url: crate::cause::mask(url),
        };
        let parsed = url::Url::parse(url).map_err(|_| wrong())?;
        match parsed.scheme() {
            "file" => open_file(&parsed, offset).await,
            "http" | "https" if self.offline => Err(FetchError::Offline {
                url: bare_url(&parsed),
            }),
            "http" | "https" => self.open_http(&parsed, offset, if_range).await,
            _ => Err(wrong()),
        }
    }

    async fn open_http(
        &self,
        url: &url::Url,
        offset: u64,
        if_range: Option<&str>,
    ) -> Result<Download, FetchError> {
        let shown = bare_url(url);
        let safe = DisplaySafeUrl::from_url(url.clone());
        let mut request = self
            .client
            .uncached_client(&safe)
            .get(url.clone())
            // A compressed answer would make offsets and lengths meaningless.
            .header(header::ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
            if let Some(validator) = if_range {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let response = request
            .send()
            .await
            .map_err(|error| transport(&shown, &error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError::Status {
                url: shown,
                status: status.as_u16(),
            });
        }
        let headers = response.headers();
        let (begin, total) = if status == http::StatusCode::PARTIAL_CONTENT {
            let (begin, total) = content_range(headers).unwrap_or((u64::MAX, None));
            if begin != offset {
                return Err(FetchError::Range { url: shown, offset });
            }
            (begin, total)
        } else {
            (0, response.content_length())
        };
        let validator = validator(headers);
        let body = response.bytes_stream().map(move |chunk| {
            chunk.map_err(|error| FetchError::Transport {
                url: shown.clone(),
                transient: true,
                cause: Cause::of(&error),
            })
        });
        Ok(Download {
            offset: begin,
            total,
            validator,
            body: body.boxed(),
        })
    }
}

/// Begin and total of a `Content-Range` header (RFC 9110, 14.4).
fn content_range(headers: &http::HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (begin, _) = range.split_once('-')?;
    Some((begin.trim().parse().ok()?, total.trim().parse().ok()))
}

/// The strong validator of an answer.
fn validator(headers: &http::HeaderMap) -> Option<String> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    text(header::ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(header::LAST_MODIFIED))
        .map(str::to_owned)
}

/// The error of a request that got no answer.
fn transport(url: &str, error: &reqwest_middleware::Error) -> FetchError {
    let transient = match error {
        reqwest_middleware::Error::Reqwest(error) => {
            error.is_timeout() || error.is_connect() || error.is_request() || error.is_body()
        }
        reqwest_middleware::Error::Middleware(_) => false,
    };
    FetchError::Transport {
        url: url.to_owned(),
        transient,
        cause: Cause::of(error),
    }
}

async fn open_file(url: &url::Url, offset: u64) -> Result<Download, FetchError> {
    let shown = bare_url(url);
    let failed = |error: &std::io::Error| FetchError::Transport {
        url: bare_url(url),
        transient: false,
        cause: Cause::of(error),
    };
    let path = url
        .to_file_path()
        .map_err(|()| FetchError::Url { url: shown.clone() })?;
    let mut file = tokio::fs::File::open(&path)
        .await
        .map_err(|error| failed(&error))?;
    let total = file.metadata().await.map_err(|error| failed(&error))?.len();
    file.seek(SeekFrom::Start(offset))
        .await
        .map_err(|error| failed(&error))?;
    let body = futures::stream::try_unfold(file, move |mut file| {
        let shown = shown.clone();
        async move {
            let mut chunk = vec![0; CHUNK];
            let read = file
                .read(&mut chunk)
                .await
                .map_err(|error| FetchError::Transport {
                    url: shown,
                    transient: false,
                    cause: Cause::of(&error),
                })?;
            chunk.truncate(read);
            Ok((read > 0).then(|| (Bytes::from(chunk), file)))
        }
    });
    Ok(Download {
        offset,
        total: Some(total),
        validator: None,
        body: body.boxed(),
    })
}
