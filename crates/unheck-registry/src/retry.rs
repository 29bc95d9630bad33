//! Asking again: how often, and after what pause. Start at [`Patience::pause`].
//!
//! Pauses double and have no random part: a run is the same each time, and the few blobs that one
//! program sends at a time are no herd.

use std::time::Duration;

use crate::error::RegistryError;
use crate::http::Options;

/// No pause is longer, whatever a registry asks for.
const LONGEST: Duration = Duration::from_secs(60);

/// The failures in a row of one piece of work.
pub(crate) struct Patience<'a> {
    options: &'a Options,
    failures: u32,
}

impl<'a> Patience<'a> {
    pub(crate) const fn new(options: &'a Options) -> Self {
        Self {
            options,
            failures: 0,
        }
    }

    /// Notes a failure; how long to wait before the next attempt, or `None` when there is none.
    pub(crate) fn pause(&mut self, error: &RegistryError) -> Option<Duration> {
        error.is_transient().then(|| self.count(error))?
    }

    /// The same for a failure that the caller knows how to go on from, whatever its kind.
    pub(crate) fn count(&mut self, error: &RegistryError) -> Option<Duration> {
        if self.failures >= self.options.retries {
            return None;
        }
        let doubled = self
            .options
            .backoff
            .saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        let asked = error.retry_after().unwrap_or_default();
        Some(doubled.max(asked).min(LONGEST))
    }

    /// Something went forward: the failures before it do not count any more.
    pub(crate) const fn progress(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    fn status(code: u16, seconds: Option<u64>) -> RegistryError {
        let cause = Cause::Status {
            status: reqwest::StatusCode::from_u16(code).unwrap(),
            detail: String::new(),
            retry_after: seconds.map(Duration::from_secs),
        };
        RegistryError::new("x", "y", cause)
    }

    #[test]
    fn pauses_double_and_what_the_registry_asks_is_heard_within_reason() {
        let options = Options {
            retries: 4,
            ..Options::default()
        };
        let mut patience = Patience::new(&options);
        let mut millis = |error| patience.pause(&error).map(|pause| pause.as_millis());
        assert_eq!(millis(status(500, None)), Some(500));
        assert_eq!(millis(status(503, Some(0))), Some(1000));
        assert_eq!(millis(status(429, Some(7))), Some(7000));
        assert_eq!(millis(status(429, Some(100_000))), Some(60_000));
        assert_eq!(millis(status(429, None)), None);
        patience.progress();
        assert_eq!(patience.pause(&status(404, None)), None);
        assert!(patience.pause(&status(502, None)).is_some());
    }
}
