//! Health checks from here: one address, asked until it is healthy or the deadline is over.

use std::time::{Duration, Instant};

use unheck_store::fetch::{HttpOptions, Transport as _, WebTransport};

use super::config::WebHealth;
use super::error::Ill;
use crate::session::Session;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Asks until it is healthy.
///
/// # Errors
/// It was not healthy in time.
pub(super) fn wait(session: &Session, health: &WebHealth) -> Result<(), Ill> {
    let options = HttpOptions {
        connect_timeout: ATTEMPT,
        idle_timeout: ATTEMPT,
        ..HttpOptions::default()
    };
    let ill = |last: String| Ill {
        seconds: health.deadline.as_secs(),
        last,
    };
    let transport = WebTransport::new(&options);
    let begun = Instant::now();
    loop {
        let left = health.deadline.saturating_sub(begun.elapsed());
        let patience = left.clamp(PAUSE, ATTEMPT);
        let asked = session.net.block_on(async {
            tokio::time::timeout(patience, transport.open(&health.url, 0)).await
        });
        let last = match asked {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => match error.source {
                Some(source) => format!("{} ({source})", error.message),
                None => error.message,
            },
            Err(_) => format!("no answer within {} ms", patience.as_millis()),
        };
        if begun.elapsed() + PAUSE >= health.deadline {
            return Err(ill(last));
        }
        std::thread::sleep(PAUSE);
    }
}
