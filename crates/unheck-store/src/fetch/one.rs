//! One download: which source when, what counts as progress, and when to give up.
//!
//! Start at [`Job::run`]. Sources are asked in their order; one that fails for good is dropped, one
//! whose failure may pass is asked again after its pause, while the others are asked meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use unheck_base::Digest;
use url::Url;

use super::incoming::{Clock, Incoming, TRICKLE, refused};
use super::landing::Landing;
use super::transport::host_of;
use super::{
    FetchEvent, FetchFailure, FetchOptions, FetchStep, SourceError, Transport, Want, redacted,
};
use crate::{Store, StoreError};

/// No pause is longer, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a file that another process fetches is looked at.
const POLL: Duration = Duration::from_millis(50);
/// A source that gave this many more bytes before it failed has its retries back.
const PROGRESS: u64 = 64 * 1024;

/// One want on its way.
pub(super) struct Job<'a> {
    pub(super) store: &'a Store,
    pub(super) transport: &'a dyn Transport,
    pub(super) options: &'a FetchOptions,
    pub(super) progress: &'a (dyn Fn(FetchEvent<'_>) + Sync),
    pub(super) index: usize,
    pub(super) want: &'a Want,
}

/// A source and how it fared.
pub(super) struct Source<'a> {
    pub(super) url: &'a Url,
    failures: u32,
    ready: Instant,
    mismatched: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(url: &'a Url) -> Self {
        Self {
            url,
            failures: 0,
            ready: Instant::now(),
            mismatched: false,
        }
    }

    /// Notes a failure; the pause until the next attempt, `None` when there is none.
    pub(super) fn failed(
        &mut self,
        error: &SourceError,
        options: &FetchOptions,
    ) -> Option<Duration> {
        if let SourceError::WrongDigest { .. } = error {
            // Once more from the beginning: a cache on the way may have mixed two files.
            let again = !std::mem::replace(&mut self.mismatched, true);
            return again.then_some(Duration::ZERO);
        }
        if !error.is_transient() || self.failures >= options.retries {
            return None;
        }
        let doubled = options.backoff.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        let pause = doubled.max(asked_pause(error)).min(LONGEST_PAUSE);
        self.ready = Instant::now() + pause;
        Some(pause)
    }
}

/// The pause that the server asked for, within reason.
pub(super) fn asked_pause(error: &SourceError) -> Duration {
    let asked = match error {
        SourceError::Transport { source, .. } => source.retry_after,
        _ => None,
    };
    asked.unwrap_or_default().min(LONGEST_PAUSE)
}

/// When a want got furthest, and how far.
pub(super) struct Reach {
    pub(super) bytes: u64,
    pub(super) at: Instant,
    pub(super) begun: Instant,
}

impl Job<'_> {
    /// Fetches the want, or finds that the store has it.
    pub(super) async fn run(&self) -> Result<Digest, FetchFailure> {
        let result = self.fetch().await;
        if result.is_err() {
            self.tell(FetchStep::Failed);
        }
        result
    }

    fn tell(&self, what: FetchStep<'_>) {
        let label = &self.want.label;
        let index = self.index;
        (self.progress)(FetchEvent { index, label, what });
    }

    async fn fetch(&self) -> Result<Digest, FetchFailure> {
        let fail = |error: StoreError| self.failure(String::new(), error.into(), Vec::new());
        let mut slot = match self.claim().await.map_err(fail)? {
            Claim::Here(digest) => return Ok(digest),
            Claim::Ours(landing) => Slot(Some(landing)),
        };
        let result = self.try_sources(&mut slot).await;
        if result.is_err() {
            slot.remove_if_empty();
        }
        result
    }

    async fn try_sources(&self, slot: &mut Slot) -> Result<Digest, FetchFailure> {
        let mut sources: Vec<Source<'_>> = self.want.sources.iter().map(Source::new).collect();
        let mut over: Vec<(String, SourceError)> = Vec::new();
        let now = Instant::now();
        let mut reach = Reach {
            bytes: slot.len(),
            at: now,
            begun: now,
        };
        loop {
            let next = (0..sources.len()).min_by_key(|at| (sources[*at].ready, *at));
            let Some(at) = next else {
                return Err(self.all_over(over));
            };
            let source = &mut sources[at];
            tokio::time::sleep_until(source.ready).await;
            let before = reach.bytes;
            let error = match self.attempt(source.url, slot, &mut reach).await {
                Ok(digest) => return Ok(digest),
                Err(error) => error,
            };
            let url = redacted(source.url);
            if matches!(error, SourceError::Store(_)) {
                return Err(self.failure(url, error, over));
            }
            if reach.bytes >= before.saturating_add(PROGRESS) {
                source.failures = 0;
            }
            match source.failed(&error, self.options) {
                Some(after) if self.has_time(&mut reach, after, &error) => {
                    let reason = &error;
                    self.tell(FetchStep::Retry { after, reason });
                }
                _ => {
                    over.push((url, error));
                    sources.remove(at);
                }
            }
        }
    }

    /// Whether another attempt after the pause is still within the limits.
    fn has_time(&self, reach: &mut Reach, pause: Duration, error: &SourceError) -> bool {
        reach.at += asked_pause(error).min(pause);
        let next = Instant::now() + pause;
        next < reach.at + self.options.give_up && next < reach.begun + self.options.total
    }

    fn all_over(&self, mut over: Vec<(String, SourceError)>) -> FetchFailure {
        match over.pop() {
            Some((url, reason)) => self.failure(url, reason, over),
            None => {
                let nothing = SourceError::Transport {
                    host: String::new(),
                    got: 0,
                    source: super::TransportError::permanent("there is no source for it"),
                };
                self.failure(String::new(), nothing, over)
            }
        }
    }

    fn failure(
        &self,
        url: String,
        reason: SourceError,
        others: Vec<(String, SourceError)>,
    ) -> FetchFailure {
        FetchFailure {
            index: self.index,
            label: self.want.label.clone(),
            url,
            reason,
            others,
        }
    }

    /// Finds the blob in the store, or takes the unfinished file as soon as nobody else has it.
    async fn claim(&self) -> Result<Claim, StoreError> {
        let Some(digest) = self.want.digest else {
            let store = self.store.clone();
            let landing = blocking(move || Landing::temporary(&store)).await?;
            return Ok(Claim::Ours(landing));
        };
        let mut told = false;
        loop {
            if let Some(bytes) = self.present(digest).await? {
                self.tell(FetchStep::Cached { bytes });
                return Ok(Claim::Here(digest));
            }
            let store = self.store.clone();
            if let Some(landing) = blocking(move || Landing::claim(&store, &digest)).await? {
                // It may have become a blob between the two looks.
                if let Some(bytes) = self.present(digest).await? {
                    landing.remove();
                    self.tell(FetchStep::Cached { bytes });
                    return Ok(Claim::Here(digest));
                }
                return Ok(Claim::Ours(landing));
            }
            if !std::mem::replace(&mut told, true) {
                self.tell(FetchStep::Waiting);
            }
            sleep(POLL).await;
        }
    }

    /// The size of the blob in the store; a blob of a wrong size is removed and counts as absent.
    async fn present(&self, digest: Digest) -> Result<Option<u64>, StoreError> {
        let Some(found) = self.store.size_of(&digest) else {
            return Ok(None);
        };
        if self.want.size.is_none_or(|size| size == found) {
            return Ok(Some(found));
        }
        let store = self.store.clone();
        let removed = blocking(move || store.quarantine(&digest)).await?;
        // A good blob whose size contradicts the want: the want is wrong, the digest decides.
        Ok((!removed).then_some(found))
    }

    /// Asks one source once.
    async fn attempt(
        &self,
        url: &Url,
        slot: &mut Slot,
        reach: &mut Reach,
    ) -> Result<Digest, SourceError> {
        if slot.len() > 0 && (!slot.can_resume() || slot.len() > self.limit()) {
            slot.with(Landing::restart).await?;
        }
        // An unfinished file may be complete: its process died before it was renamed.
        if slot.len() == 0 || self.want.size != Some(slot.len()) {
            self.download(url, slot, reach).await?;
        }
        let got = slot.len();
        if let Some(expected) = self.want.size.filter(|size| *size > got) {
            let host = host_of(url);
            return Err(SourceError::Truncated {
                host,
                got,
                expected,
            });
        }
        let store = self.store.clone();
        let expected = self.want.digest.map(|digest| (digest, self.want.size));
        let commit = move |landing: &mut Landing| landing.commit(&store, expected);
        match slot.with(commit).await {
            Ok(digest) => {
                self.tell(FetchStep::Done { bytes: got });
                Ok(digest)
            }
            Err(StoreError::WrongDigest { expected, found }) => {
                reach.bytes = 0;
                Err(SourceError::WrongDigest {
                    url: redacted(url),
                    expected,
                    found,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds what the source gives to the unfinished file.
    async fn download(
        &self,
        url: &Url,
        slot: &mut Slot,
        reach: &mut Reach,
    ) -> Result<(), SourceError> {
        let clock = Clock::start(self.options, reach);
        let offset = slot.len();
        let opened = timeout(clock.first_wait(), self.transport.open(url, offset)).await;
        let body = match opened {
            Err(_) => return Err(clock.over(url, offset)),
            Ok(Err(source)) => return Err(refused(url, offset, source)),
            Ok(Ok(body)) => body,
        };
        if !body.resumed && offset > 0 {
            slot.with(Landing::restart).await?;
        }
        self.check_total(url, body.total)?;
        let total = body.total.or(self.want.size);
        let mut incoming = Incoming::new(body, clock);
        loop {
            let step = incoming.collect(url, slot.len(), self.limit(), |got| {
                self.tell(FetchStep::Progress { got, total });
            });
            let outcome = step.await;
            if let Err(error @ SourceError::TooLarge { .. }) = outcome {
                slot.with(Landing::restart).await?;
                return Err(error);
            }
            let batch = std::mem::take(&mut incoming.batch);
            slot.with(move |landing| landing.append(&batch)).await?;
            reach.note(slot.len());
            if outcome? {
                break;
            }
        }
        match incoming.total.filter(|total| slot.len() < *total) {
            None => Ok(()),
            Some(expected) => Err(SourceError::Truncated {
                host: host_of(url),
                got: slot.len(),
                expected,
            }),
        }
    }

    /// Refuses an announced size at once, before a byte of the body is read.
    fn check_total(&self, url: &Url, total: Option<u64>) -> Result<(), SourceError> {
        match (total, self.want.size) {
            (Some(found), Some(expected)) if found != expected => Err(SourceError::WrongSize {
                url: redacted(url),
                expected,
                found,
            }),
            (Some(found), None) if found > self.want.max_size => Err(SourceError::TooLarge {
                url: redacted(url),
                limit: self.want.max_size,
            }),
            _ => Ok(()),
        }
    }

    fn limit(&self) -> u64 {
        self.want.size.unwrap_or(self.want.max_size)
    }
}

/// Either the blob was there, or the unfinished file is ours.
enum Claim {
    Here(Digest),
    Ours(Landing),
}

/// The unfinished file, lent to blocking tasks and given back by them.
struct Slot(Option<Landing>);

impl Slot {
    fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, Landing::len)
    }

    fn can_resume(&self) -> bool {
        self.0.as_ref().is_some_and(Landing::can_resume)
    }

    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Landing) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(mut landing) = self.0.take() else {
            return Err(lost(None));
        };
        let (result, landing) = blocking(move || {
            let result = work(&mut landing);
            Ok((result, landing))
        })
        .await?;
        self.0 = Some(landing);
        result
    }

    fn remove_if_empty(&self) {
        if let Some(landing) = self.0.as_ref().filter(|landing| landing.len() == 0) {
            landing.remove();
        }
    }
}

/// Runs work that blocks. Dropping the future does not stop the work, which is short.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(lost(Some(error))),
        },
    }
}

/// The runtime is shutting down.
fn lost(error: Option<tokio::task::JoinError>) -> StoreError {
    let source = match error {
        Some(error) => std::io::Error::other(error),
        None => std::io::Error::from(std::io::ErrorKind::Interrupted),
    };
    StoreError::Input { source }
}

impl Reach {
    /// Notes how far the file is; a trickle is no progress.
    fn note(&mut self, len: u64) {
        if len >= self.bytes.saturating_add(TRICKLE) {
            self.bytes = len;
            self.at = Instant::now();
        }
    }
}
