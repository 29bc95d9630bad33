//! Downloads from the index with the credentials, proxies and certificates that uv would use.
//!
//! Reads uv's settings only when the first file is asked for: a build that downloads nothing pays
//! nothing for them. Start at [`IndexTransport`].

use std::path::PathBuf;
use std::sync::OnceLock;

use futures::{FutureExt, StreamExt};
use unheck_resolve::{Downloader, FetchError, Inputs};
use unheck_store::fetch::{Body, OpenFuture, Transport, TransportError};
use url::Url;

/// A transport over the resolver's own client.
pub struct IndexTransport {
    inputs: Inputs,
    cache: PathBuf,
    downloader: OnceLock<Result<Downloader, String>>,
}

impl IndexTransport {
    /// A transport with the index settings of `inputs`; `cache` is the resolver's cache directory.
    pub const fn new(inputs: Inputs, cache: PathBuf) -> Self {
        Self {
            inputs,
            cache,
            downloader: OnceLock::new(),
        }
    }

    fn downloader(&self) -> Result<&Downloader, TransportError> {
        let made = self.downloader.get_or_init(|| {
            Downloader::new(&self.inputs, &self.cache).map_err(|error| {
                use std::error::Error as _;
                let cause = error
                    .source()
                    .map(|source| format!(": {source}"))
                    .unwrap_or_default();
                format!("{error}{cause}")
            })
        });
        made.as_ref()
            .map_err(|text| TransportError::permanent(text.clone()))
    }

    async fn body(&self, url: &Url, offset: u64) -> Result<Body, TransportError> {
        let download = self
            .downloader()?
            .open(url.as_str(), offset, None)
            .await
            .map_err(failed)?;
        Ok(Body {
            total: download.total,
            resumed: offset > 0 && download.offset == offset,
            stream: download.body.map(|chunk| chunk.map_err(failed)).boxed(),
        })
    }
}

impl Transport for IndexTransport {
    fn open<'a>(&'a self, url: &'a Url, offset: u64) -> OpenFuture<'a> {
        self.body(url, offset).boxed()
    }
}

fn failed(error: FetchError) -> TransportError {
    let status = match &error {
        FetchError::Status { status, .. } => Some(*status),
        _ => None,
    };
    TransportError {
        transient: error.is_transient(),
        retry_after: None,
        status,
        message: match status {
            Some(status) => format!("the index answers {status}"),
            None => "the index cannot be read".to_owned(),
        },
        source: Some(Box::new(error)),
    }
}
