//! One look-up per host, shared by every connection of the process.
//!
//! A client that opens thirty connections asks the resolver of the system thirty times at one moment, and a
//! question that is lost in such a burst is repeated after five seconds (`options timeout` of
//! resolv.conf(5)). Here those who ask while a question is on its way share its answer. Start at [`Lookup`].

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How long an answer serves further connections. The system's resolver does not tell how long an answer
/// holds; a run is shorter than this, mostly.
const FRESH: Duration = Duration::from_secs(60);

/// What was found; the error is shared, so it is kept as text with its kind.
type Found = Result<Vec<SocketAddr>, (io::ErrorKind, Arc<str>)>;
type Asking = Shared<BoxFuture<'static, Found>>;
type Ask = dyn Fn(String) -> BoxFuture<'static, Found> + Send + Sync;

/// Addresses by host, for `reqwest`: the system's resolver, asked once at a time for each host.
///
/// An answer is kept for a minute, a failure for those who wait for it only.
#[derive(Clone)]
pub(super) struct Lookup {
    ask: Arc<Ask>,
    hosts: Arc<Mutex<BTreeMap<String, (Instant, Asking)>>>,
}

impl Lookup {
    /// The one of this process.
    pub(super) fn shared() -> Self {
        static SHARED: LazyLock<Lookup> = LazyLock::new(|| Lookup::new(system));
        SHARED.clone()
    }

    fn new(ask: impl Fn(String) -> BoxFuture<'static, Found> + Send + Sync + 'static) -> Self {
        Self {
            ask: Arc::new(ask),
            hosts: Arc::default(),
        }
    }

    /// The answer that is there or on its way, else a new question.
    fn asking(&self, host: &str) -> Asking {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, asking)) = hosts.get(host)
            && since.elapsed() < FRESH
            && !matches!(asking.peek(), Some(Err(_)))
        {
            return asking.clone();
        }
        let asking = (self.ask)(host.to_owned()).shared();
        hosts.insert(host.to_owned(), (Instant::now(), asking.clone()));
        asking
    }
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let asking = self.asking(name.as_str());
        async move {
            match asking.await {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err((kind, message)) => Err(io::Error::new(kind, message.to_string()).into()),
            }
        }
        .boxed()
    }
}

/// Asks the resolver of the system (getaddrinfo(3)), on a thread that may wait.
fn system(host: String) -> BoxFuture<'static, Found> {
    async move {
        match tokio::net::lookup_host((host.as_str(), 0)).await {
            Ok(found) => Ok(found.collect()),
            Err(error) => Err((error.kind(), error.to_string().into())),
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A lookup that counts its questions; the first `failures` of them fail, and each takes a moment.
    fn counting(failures: usize) -> (Lookup, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let lookup = Lookup::new(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                if number < failures {
                    return Err((io::ErrorKind::Other, "lost".into()));
                }
                Ok(vec![SocketAddr::from(([192, 0, 2, 1], 0))])
            }
            .boxed()
        });
        (lookup, asked)
    }

    async fn all(lookup: &Lookup, hosts: &[&str]) -> Vec<Result<Vec<SocketAddr>, String>> {
        let asks = hosts
            .iter()
            .map(|host| lookup.resolve(host.parse().unwrap()));
        let answers = futures::future::join_all(asks).await;
        let plain = |answer: Result<Addrs, Box<dyn std::error::Error + Send + Sync>>| {
            answer.map(Iterator::collect).map_err(|e| e.to_string())
        };
        answers.into_iter().map(plain).collect()
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_a_question_and_later_ones_its_answer() {
        let (lookup, asked) = counting(0);
        let answers = all(&lookup, &["a.example"; 30]).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().unwrap().len() == 1)
        );
        all(&lookup, &["a.example"]).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        all(&lookup, &["b.example", "a.example"]).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_failure_is_told_to_those_who_wait_and_then_asked_again() {
        let (lookup, asked) = counting(1);
        let answers = all(&lookup, &["a.example"; 3]).await;
        assert_eq!(answers, vec![Err("lost".to_owned()); 3]);
        assert!(all(&lookup, &["a.example"]).await[0].is_ok());
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let answers = all(&Lookup::shared(), &["localhost", "localhost"]).await;
        for answer in answers {
            assert!(answer.unwrap().iter().all(|found| found.ip().is_loopback()));
        }
    }
}
