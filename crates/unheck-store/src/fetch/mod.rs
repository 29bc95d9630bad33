//! Parallel downloads into the store, with retries, mirrors, resumption and limits.
//!
//! Every file is checked against its digest before it gets its name; without a digest the caller
//! must know why it trusts the source. An endless, stalled, lying or cut answer ends in an error
//! that says which host, how many bytes and how long. Credentials in a URL go to its own origin
//! only and are never part of a message.
//!
//! Start at [`fetch_all`]; [`get_small`] is for index files that are kept in memory. Both are
//! cancelled by dropping them: what was downloaded stays to be resumed.

mod incoming;
mod landing;
mod lookup;
mod one;
mod small;
mod transport;
mod web;

use std::time::Duration;

use futures::StreamExt;
use unheck_base::Digest;
use url::Url;

use crate::{Store, StoreError};

pub use small::get_small;
pub use transport::{Body, BodyStream, OpenFuture, Transport, TransportError, redacted};
pub use web::{HttpOptions, WebTransport, cause_lines, retry_after};

/// A file to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// What messages and progress call it, such as the file name.
    pub label: String,
    /// Where it is, the best source first. The others are mirrors of the same bytes.
    pub sources: Vec<Url>,
    /// The digest it must have. Without one it is neither looked for in the store nor resumed by a
    /// later process.
    pub digest: Option<Digest>,
    /// Its exact size in bytes, where it is known.
    pub size: Option<u64>,
    /// The most it may have when the size is not known, in bytes.
    pub max_size: u64,
}

/// How patiently to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// Downloads at the same time.
    pub parallel: usize,
    /// How often each source is asked again after a failure that may pass.
    pub retries: u32,
    /// The pause before the first retry; doubled for each further one, at most 60 seconds.
    pub backoff: Duration,
    /// A connection that gives fewer than 1 KiB in this time is stalled.
    pub stall: Duration,
    /// A file that got no further for this time, over all its sources and retries, is given up. Pauses
    /// that a server asked for (`Retry-After`) do not count.
    pub give_up: Duration,
    /// No single file may take longer.
    pub total: Duration,
}

impl Default for FetchOptions {
    /// 16 at a time, 5 retries from 0.5 seconds on, stalled after 30 seconds, given up after 40, 6
    /// hours at most.
    fn default() -> Self {
        Self {
            parallel: 16,
            retries: 5,
            backoff: Duration::from_millis(500),
            stall: Duration::from_secs(30),
            give_up: Duration::from_secs(40),
            total: Duration::from_secs(6 * 60 * 60),
        }
    }
}

/// What happens to the want number `index` of [`fetch_all`].
#[derive(Debug, Clone, Copy)]
pub struct FetchEvent<'a> {
    /// The want's place in the list.
    pub index: usize,
    /// The want's label.
    pub label: &'a str,
    /// What happened.
    pub what: FetchStep<'a>,
}

/// The kinds of [`FetchEvent`]. Each want ends with `Cached`, `Done` or `Failed`.
#[derive(Debug, Clone, Copy)]
pub enum FetchStep<'a> {
    /// The store has it already.
    Cached {
        /// Its size in bytes.
        bytes: u64,
    },
    /// Another process fetches the same file; waiting for it.
    Waiting,
    /// `got` of `total` bytes are here; may go back when a download begins anew.
    Progress {
        /// Bytes here.
        got: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
    },
    /// A failure that may pass; asked again after the pause.
    Retry {
        /// The pause.
        after: Duration,
        /// The failure.
        reason: &'a SourceError,
    },
    /// It is in the store.
    Done {
        /// Its size in bytes.
        bytes: u64,
    },
    /// It could not be fetched.
    Failed,
}

/// Why one source did not give the file.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The connection failed or the server refused.
    #[error("cannot read from `{host}` ({got} bytes came)")]
    Transport {
        /// The host, with the port where the URL has one.
        host: String,
        /// Bytes that had come.
        got: u64,
        /// The reason.
        source: TransportError,
    },
    /// The content is another than the one that was locked or listed.
    #[error("`{url}` gives a file with the digest `{found}`, not `{expected}`")]
    WrongDigest {
        /// Where it came from, without credentials.
        url: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// The server announces another size than the lock or list.
    #[error("`{url}` announces {found} bytes, not {expected}")]
    WrongSize {
        /// Where it came from, without credentials.
        url: String,
        /// The size it should have, in bytes.
        expected: u64,
        /// The size it has or claims to have.
        found: u64,
    },
    /// More comes than may come.
    #[error("`{url}` gives more than the {limit} bytes that are allowed")]
    TooLarge {
        /// Where it came from, without credentials.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The answer ended before its end.
    #[error("`{host}` ended the answer after {got} of {expected} bytes")]
    Truncated {
        /// The host.
        host: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that should have come.
        expected: u64,
    },
    /// Nothing, or nearly nothing, came for too long.
    #[error("`{host}` stalled: {got} bytes came, then nearly nothing for {seconds} seconds")]
    Stalled {
        /// The host.
        host: String,
        /// Bytes that came.
        got: u64,
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// The time for the whole file is over.
    #[error("`{host}` is too slow: {got} bytes came in {seconds} seconds")]
    TooSlow {
        /// The host.
        host: String,
        /// Bytes that came.
        got: u64,
        /// The time allowed, in seconds.
        seconds: u64,
    },
    /// The store cannot take the bytes.
    #[error("cannot store what was downloaded")]
    Store(#[from] StoreError),
}

impl SourceError {
    /// Whether asking the same source again can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { source, .. } => source.transient,
            Self::Truncated { .. } | Self::Stalled { .. } => true,
            Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::TooLarge { .. }
            | Self::TooSlow { .. }
            | Self::Store(_) => false,
        }
    }

    /// The server's status, where it is a refusal by HTTP.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Transport { source, .. } => source.status,
            _ => None,
        }
    }

    /// Whether the server says that there is no such file (404, 410, no such local file).
    pub fn is_not_found(&self) -> bool {
        matches!(self.status(), Some(404 | 410))
    }

    /// Whether the disk is full (exit code 5).
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_no_space())
    }
}

/// One want could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch `{label}` from `{url}`")]
pub struct FetchFailure {
    /// The want's place in the list.
    pub index: usize,
    /// The want's label.
    pub label: String,
    /// The source that failed last, without credentials; empty when the want had none.
    pub url: String,
    /// Why the last source failed.
    #[source]
    pub reason: SourceError,
    /// The other sources, in the order in which they were given up, with their last failures.
    pub others: Vec<(String, SourceError)>,
}

/// Some wants could not be fetched. The others are in the store.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {} of {wanted} files", failures.len())]
pub struct FetchError {
    /// How many files were wanted.
    pub wanted: usize,
    /// Every failure, in the order of the wants.
    pub failures: Vec<FetchFailure>,
}

impl FetchError {
    /// Whether the disk is full (exit code 5).
    pub fn is_no_space(&self) -> bool {
        self.failures
            .iter()
            .any(|failure| failure.reason.is_no_space())
    }
}

/// Fetches all wants that the store does not have; the digests come in the order of the wants.
///
/// A failure of one want does not stop the others, unless the store itself cannot be written.
/// The future must run on a tokio runtime with time and I/O.
///
/// # Errors
/// All wants that failed, each with its reasons.
pub async fn fetch_all(
    store: &Store,
    transport: &dyn Transport,
    wants: &[Want],
    options: &FetchOptions,
    progress: &(dyn Fn(FetchEvent<'_>) + Sync),
) -> Result<Vec<Digest>, FetchError> {
    let job = |(index, want)| {
        let job = one::Job {
            store,
            transport,
            options,
            progress,
            index,
            want,
        };
        Box::pin(async move { (index, job.run().await) })
    };
    let jobs: Vec<_> = wants.iter().enumerate().map(job).collect();
    let mut running = futures::stream::iter(jobs).buffer_unordered(options.parallel.max(1));
    let mut digests = vec![None; wants.len()];
    let mut failures = Vec::new();
    while let Some((index, result)) = running.next().await {
        match result {
            Ok(digest) => digests[index] = Some(digest),
            Err(failure) => {
                let hopeless = matches!(failure.reason, SourceError::Store(_));
                failures.push(failure);
                if hopeless {
                    break;
                }
            }
        }
    }
    drop(running);
    failures.sort_by_key(|failure| failure.index);
    if failures.is_empty() {
        return Ok(digests.into_iter().flatten().collect());
    }
    let wanted = wants.len();
    Err(FetchError { wanted, failures })
}
