//! Health checks: an HTTP request from the host to itself, or a command there, until a deadline.
//!
//! The request goes through ssh (`-W`, RFC 4254 7.2), so a host needs no client of HTTP, and the
//! address is one that only the host can reach.

use std::time::{Duration, Instant};

use crate::config::{Health, HealthCheck};
use crate::error::{HostError, Refusal};
use crate::host::Opened;
use crate::transport::Transport;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Asks until it is healthy or the deadline is over.
///
/// # Errors
/// It was not healthy in time, or the host is gone.
pub(crate) fn wait(host: &mut Opened<'_>, health: &Health) -> Result<(), HostError> {
    let begun = Instant::now();
    loop {
        let left = health.deadline.saturating_sub(begun.elapsed());
        let last = match once(host, &health.check, left.min(ATTEMPT).max(PAUSE))? {
            Ok(()) => return Ok(()),
            Err(last) => last,
        };
        if begun.elapsed() + PAUSE >= health.deadline {
            return Err(HostError::Unhealthy {
                seconds: health.deadline.as_secs(),
                last,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

fn once(
    host: &mut Opened<'_>,
    check: &HealthCheck,
    timeout: Duration,
) -> Result<Result<(), String>, HostError> {
    match check {
        HealthCheck::Command(command) => {
            let seconds = timeout.as_secs().max(1).to_string();
            match host.session.call("health", &[&seconds, command]) {
                Ok(_) => Ok(Ok(())),
                Err(HostError::Refused {
                    refusal: Refusal::Health,
                    said,
                }) => Ok(Err(said)),
                Err(error) => Err(error),
            }
        }
        HealthCheck::Http {
            host: name,
            port,
            path,
        } => Ok(get(host.way, (name, *port), path, timeout)),
    }
}

/// One request of HTTP/1.1 (RFC 9112) that asks for the connection to be closed.
fn get(
    way: &dyn Transport,
    address: (&str, u16),
    path: &str,
    timeout: Duration,
) -> Result<(), String> {
    let (name, port) = address;
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: unheck\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let answer = way
        .exchange((bare, port), request.as_bytes(), timeout)
        .map_err(|error| format!("no answer from {name}:{port} ({error})"))?;
    judge(&answer)
}

fn judge(answer: &[u8]) -> Result<(), String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer);
    match (parsed, response.code) {
        (Ok(_), Some(200..=399)) => Ok(()),
        (Ok(_), Some(code)) => Err(format!("it answered with {code}")),
        (Err(error), _) => Err(format!(
            "it answered with something else than HTTP ({error})"
        )),
        (Ok(_), None) => Err("it answered nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_status() {
        assert_eq!(judge(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"), Ok(()));
        assert_eq!(judge(b"HTTP/1.0 302 Found\r\n\r\n"), Ok(()));
        let bad = judge(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").expect_err("503");
        assert!(bad.contains("503"), "{bad}");
        assert!(judge(b"").is_err());
        assert!(judge(b"\x1b]0;x\x07").is_err());
    }
}
