//! The network side of one download: chunks, the limit on bytes, and the clocks.
//!
//! Start at [`Incoming::collect`].

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::one::Reach;
use super::transport::{BodyStream, host_of};
use super::{Body, FetchOptions, SourceError, TransportError, redacted};

/// Bytes collected before they are hashed and written in a blocking task.
const BATCH: usize = 512 * 1024;
/// A connection that gives fewer bytes in the stall time is stalled.
pub(super) const TRICKLE: u64 = 1024;

/// How long this attempt may wait.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    begun: Instant,
    /// The longest time with nearly no bytes.
    patience: Duration,
    /// The end of the time for the whole file.
    end: Instant,
    total: Duration,
}

impl Clock {
    /// A stall also ends when the file as a whole is to be given up.
    pub(super) fn start(options: &FetchOptions, reach: &Reach) -> Self {
        let begun = Instant::now();
        let rest = (reach.at + options.give_up).saturating_duration_since(begun);
        Self {
            begun,
            patience: options.stall.min(rest),
            end: reach.begun + options.total,
            total: options.total,
        }
    }

    /// For how long to wait for the begin of an answer.
    pub(super) fn first_wait(&self) -> Duration {
        let left = self.end.saturating_duration_since(self.begun);
        self.patience.min(left)
    }

    /// The error after a wait that was too long.
    pub(super) fn over(&self, url: &Url, got: u64) -> SourceError {
        let host = host_of(url);
        if Instant::now() >= self.end {
            let seconds = self.total.as_secs();
            return SourceError::TooSlow { host, got, seconds };
        }
        let seconds = self.patience.as_secs_f64().round() as u64;
        SourceError::Stalled { host, got, seconds }
    }
}

/// A body that is coming in.
pub(super) struct Incoming {
    stream: BodyStream,
    clock: Clock,
    window: Instant,
    window_bytes: u64,
    /// The size of the whole file, where the server said it.
    pub(super) total: Option<u64>,
    /// What came and is not written yet.
    pub(super) batch: Vec<Bytes>,
}

impl Incoming {
    pub(super) fn new(body: Body, clock: Clock) -> Self {
        Self {
            stream: body.stream,
            clock,
            window: Instant::now(),
            window_bytes: 0,
            total: body.total,
            batch: Vec::new(),
        }
    }

    /// Fills the batch; whether the body is at its end. The batch counts also after a failure. `before` is
    /// how many bytes were written before, `limit` how many there may be in all.
    pub(super) async fn collect(
        &mut self,
        url: &Url,
        before: u64,
        limit: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<bool, SourceError> {
        let mut size = 0;
        self.window = Instant::now();
        while size < BATCH {
            let got = before + size as u64;
            let until = (self.window + self.clock.patience).min(self.clock.end);
            let chunk = match timeout_at(until, self.stream.next()).await {
                Err(_) => return Err(self.clock.over(url, got)),
                Ok(None) => return Ok(true),
                Ok(Some(Err(source))) => return Err(refused(url, got, source)),
                Ok(Some(Ok(chunk))) => chunk,
            };
            size += chunk.len();
            let got = before + size as u64;
            if got > limit {
                let url = redacted(url);
                return Err(SourceError::TooLarge { url, limit });
            }
            self.window_bytes += chunk.len() as u64;
            if self.window_bytes >= TRICKLE {
                self.window = Instant::now();
                self.window_bytes = 0;
            }
            self.batch.push(chunk);
            progress(got);
        }
        Ok(false)
    }
}

/// The connection failed or the server refused.
pub(super) fn refused(url: &Url, got: u64, source: TransportError) -> SourceError {
    let host = host_of(url);
    SourceError::Transport { host, got, source }
}
