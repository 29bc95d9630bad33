//! Watches every answer that the resolver's client gets.
//!
//! Metadata files are read here first, so that none with deep nesting reaches the recursive marker
//! parser; index pages and metadata have a size limit, so that an endless answer ends.

use std::sync::Arc;

use futures::StreamExt;
use http::Extensions;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Error, Middleware, Next};
use uv_client::ExtraMiddleware;

use crate::MAX_NESTING;
use crate::nesting::metadata_too_deep;

/// The longest METADATA file, in bytes.
const MAX_METADATA: usize = 16 << 20;
/// The longest index page, in bytes. The largest on the public index is about 30 MB.
const MAX_PAGE: usize = 128 << 20;

/// The words by which an error of this module is known again.
pub(crate) const NESTING_LIMIT: &str = "(limit `MAX_NESTING`)";

/// The watcher as the client takes it.
pub(crate) fn middleware() -> ExtraMiddleware {
    ExtraMiddleware(vec![Arc::new(Guard)])
}

/// A limit was passed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

struct Guard;

#[async_trait::async_trait]
impl Middleware for Guard {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let metadata = request.url().path().ends_with(".metadata");
        let response = next.run(request, extensions).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        if metadata {
            return checked_metadata(response).await;
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/vnd.pypi.simple") || kind.starts_with("text/html") {
            return Ok(limited(response, MAX_PAGE));
        }
        Ok(response)
    }
}

/// Reads a METADATA answer whole and looks at its nesting.
async fn checked_metadata(response: Response) -> reqwest_middleware::Result<Response> {
    let shell = Shell::of(&response);
    let shown = crate::cause::bare_url(&shell.url);
    let mut chunks = response.bytes_stream();
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Error::Reqwest)?;
        if text.len() + chunk.len() > MAX_METADATA {
            return Err(refuse(format!(
                "`{shown}` is longer than {MAX_METADATA} bytes (limit `MAX_METADATA`)"
            )));
        }
        text.extend_from_slice(&chunk);
    }
    if metadata_too_deep(&text) {
        return Err(refuse(format!(
            "`{shown}` nests brackets deeper than {MAX_NESTING} {NESTING_LIMIT}"
        )));
    }
    Ok(shell.filled(Body::from(text)))
}

/// The same answer, which fails after `limit` bytes.
fn limited(response: Response, limit: usize) -> Response {
    let shell = Shell::of(&response);
    let shown = crate::cause::bare_url(&shell.url);
    let mut seen = 0;
    let chunks = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(BoxedError::from)?;
        seen += chunk.len();
        if seen > limit {
            let text = format!("`{shown}` is longer than {limit} bytes (limit `MAX_PAGE`)");
            return Err(BoxedError::from(Refused(text)));
        }
        Ok(chunk)
    });
    shell.filled(Body::wrap_stream(chunks))
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// An answer without its body.
struct Shell {
    status: http::StatusCode,
    version: http::Version,
    headers: http::HeaderMap,
    url: url::Url,
}

impl Shell {
    fn of(response: &Response) -> Self {
        Self {
            status: response.status(),
            version: response.version(),
            headers: response.headers().clone(),
            url: response.url().clone(),
        }
    }

    fn filled(self, body: Body) -> Response {
        let mut builder = http::Response::builder()
            .status(self.status)
            .version(self.version)
            .url(self.url);
        if let Some(headers) = builder.headers_mut() {
            *headers = self.headers;
        }
        Response::from(
            builder
                .body(body)
                .expect("parts of an answer make an answer"),
        )
    }
}

fn refuse(text: String) -> Error {
    Error::Middleware(anyhow::Error::new(Refused(text)))
}
