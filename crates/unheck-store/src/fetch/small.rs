//! Small files that are kept in memory, such as a `Release` file. Start at [`get_small`].

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::incoming::{Clock, Incoming, refused};
use super::one::{Reach, Source, asked_pause};
use super::{FetchOptions, SourceError, Transport, redacted};

/// Reads the whole of `url`, at most `limit` bytes, with retries. Nothing is checked or stored.
///
/// # Errors
/// The last failure; [`SourceError::TooLarge`] as soon as more than `limit` bytes are announced or come.
pub async fn get_small(
    transport: &dyn Transport,
    url: &Url,
    limit: u64,
    options: &FetchOptions,
) -> Result<Bytes, SourceError> {
    let mut source = Source::new(url);
    let now = Instant::now();
    let mut reach = Reach {
        bytes: 0,
        at: now,
        begun: now,
    };
    loop {
        let error = match once(transport, url, limit, Clock::start(options, &reach)).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let Some(pause) = source.failed(&error, options) else {
            return Err(error);
        };
        reach.at += asked_pause(&error).min(pause);
        let next = Instant::now() + pause;
        if next >= reach.at + options.give_up || next >= reach.begun + options.total {
            return Err(error);
        }
        sleep_until(next).await;
    }
}

async fn once(
    transport: &dyn Transport,
    url: &Url,
    limit: u64,
    clock: Clock,
) -> Result<Bytes, SourceError> {
    let body = match timeout(clock.first_wait(), transport.open(url, 0)).await {
        Err(_) => return Err(clock.over(url, 0)),
        Ok(Err(source)) => return Err(refused(url, 0, source)),
        Ok(Ok(body)) => body,
    };
    if body.total.is_some_and(|total| total > limit) {
        let url = redacted(url);
        return Err(SourceError::TooLarge { url, limit });
    }
    let mut incoming = Incoming::new(body, clock);
    let mut all = BytesMut::new();
    loop {
        let done = incoming
            .collect(url, all.len() as u64, limit, |_| {})
            .await?;
        for chunk in incoming.batch.drain(..) {
            all.extend_from_slice(&chunk);
        }
        if done {
            break;
        }
    }
    match incoming.total.filter(|total| (all.len() as u64) < *total) {
        None => Ok(all.freeze()),
        Some(expected) => Err(SourceError::Truncated {
            host: super::transport::host_of(url),
            got: all.len() as u64,
            expected,
        }),
    }
}
