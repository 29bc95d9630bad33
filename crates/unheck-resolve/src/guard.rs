//! Watches every answer that the resolver's client gets.
//!
//! Metadata files are read here first, so that none with deep nesting reaches the recursive marker
//! parser; index pages and metadata have a size limit, so that an endless answer ends. What is asked for in several
//! places is asked once ([`crate::kept`]).

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::Extensions;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Request, Response};
use reqwest_middleware::{Error, Middleware, Next};
use uv_client::ExtraMiddleware;

use crate::MAX_NESTING;
use crate::kept::{Answers, Asked, Keeping, Shell};
use crate::nesting::metadata_too_deep;

/// The longest METADATA file, in bytes.
const MAX_METADATA: usize = 16 << 20;
/// The longest index page, in bytes. The largest on the public index is about 30 MB.
const MAX_PAGE: usize = 128 << 20;

/// The words by which an error of this module is known again.
pub(crate) const NESTING_LIMIT: &str = "(limit `MAX_NESTING`)";

/// The watcher as the client takes it; what came before is in `answers`.
pub(crate) fn middleware(answers: &Answers) -> ExtraMiddleware {
    let answers = answers.clone();
    ExtraMiddleware(vec![Arc::new(Guard { answers })])
}

/// A limit was passed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

struct Guard {
    answers: Answers,
}

#[async_trait::async_trait]
impl Middleware for Guard {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let metadata = request.url().path().ends_with(".metadata");
        let keeping = match self.answers.ask(&request).await {
            Asked::Answered(response) => return Ok(response),
            Asked::New(keeping) => Some(keeping),
            Asked::Alone => None,
        };
        let response = next.run(request, extensions).await?;
        if !response.status().is_success() {
            if let Some(keeping) = keeping
                && response.status() == http::StatusCode::NOT_FOUND
            {
                keeping.missing(&response);
            }
            return Ok(response);
        }
        if metadata {
            return checked_metadata(response, keeping).await;
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_page =
            kind.starts_with("application/vnd.pypi.simple") || kind.starts_with("text/html");
        if is_page || keeping.is_some() {
            return Ok(limited(response, MAX_PAGE, keeping));
        }
        Ok(response)
    }
}

/// Reads a METADATA answer whole and looks at its nesting.
async fn checked_metadata(
    response: Response,
    keeping: Option<Keeping>,
) -> reqwest_middleware::Result<Response> {
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
    if let Some(mut keeping) = keeping
        && keeping.add(&text)
    {
        keeping.whole(shell.clone());
    }
    Ok(shell.filled(Body::from(text)))
}

/// The same answer, which fails after `limit` bytes, and is kept for others when all of it was read.
fn limited(response: Response, limit: usize, keeping: Option<Keeping>) -> Response {
    let shell = Shell::of(&response);
    let passing = Passing {
        shown: crate::cause::bare_url(&shell.url),
        chunks: response.bytes_stream().boxed(),
        seen: 0,
        limit,
        keeping,
        shell: shell.clone(),
    };
    let chunks = futures::stream::try_unfold(passing, |mut passing| async move {
        let chunk = passing.next().await?;
        Ok::<_, BoxedError>(chunk.map(|chunk| (chunk, passing)))
    });
    shell.filled(Body::wrap_stream(chunks))
}

/// A body on its way.
struct Passing {
    shown: String,
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    seen: usize,
    limit: usize,
    keeping: Option<Keeping>,
    shell: Shell,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<Bytes>, BoxedError> {
        let Some(chunk) = self.chunks.next().await else {
            if let Some(keeping) = self.keeping.take() {
                keeping.whole(self.shell.clone());
            }
            return Ok(None);
        };
        let chunk = chunk?;
        self.seen += chunk.len();
        let Self { shown, limit, .. } = self;
        if self.seen > *limit {
            let text = format!("`{shown}` is longer than {limit} bytes (limit `MAX_PAGE`)");
            return Err(BoxedError::from(Refused(text)));
        }
        if let Some(keeping) = &mut self.keeping
            && !keeping.add(&chunk)
        {
            self.keeping = None;
        }
        Ok(Some(chunk))
    }
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

fn refuse(text: String) -> Error {
    Error::Middleware(anyhow::Error::new(Refused(text)))
}
