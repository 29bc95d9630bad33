//! What indexes answered in this run, so that whoever asks the same again gets the same without a request.
//!
//! The resolver and those who ask who owns a distribution want the same pages and keep different parts of them, and
//! several platforms are resolved side by side. Bodies lie in one file without a name in the resolver's cache: nothing
//! of them stays in memory, and nothing on the disk after the run. Start at [`Answers`].

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RANGE};
use reqwest::{Body, Request, Response, ResponseBuilderExt as _};

/// How much of a body is read at once, in bytes.
const CHUNK: u64 = 128 << 10;

/// What indexes answered in this run. Clones are the same; give one to all that ask in a run.
#[derive(Clone, Default)]
pub struct Answers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    slots: Mutex<BTreeMap<Key, Slot>>,
    spool: OnceLock<Option<Spool>>,
}

/// A question: the address with what it begins with to log in, the kinds that are accepted, and the range.
type Key = (String, Option<Vec<u8>>, Option<Vec<u8>>);

/// An answer, when it came; locked by whoever asks for it, until all of the answer was read.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// The slot of a question that this one has to ask.
pub(crate) type Held = tokio::sync::OwnedMutexGuard<Option<Kept>>;

/// The bodies, one after the other and in pieces.
struct Spool {
    file: std::fs::File,
    end: AtomicU64,
}

/// An answer that came whole.
pub(crate) struct Kept {
    shell: Shell,
    pieces: Arc<[(u64, u64)]>,
}

/// What a question comes to.
pub(crate) enum Asked {
    /// It was answered before.
    Answered(Response),
    /// It has to be asked; others who ask the same wait for the answer.
    New(Keeping),
    /// It is none that others ask too.
    Alone,
}

/// An answer on its way: kept when [`Keeping::whole`] says so.
pub(crate) struct Keeping {
    answers: Answers,
    held: Held,
    pieces: Vec<(u64, u64)>,
}

/// An answer without its body.
#[derive(Clone)]
pub(crate) struct Shell {
    status: http::StatusCode,
    version: http::Version,
    headers: http::HeaderMap,
    pub(crate) url: url::Url,
}

impl Answers {
    /// Looks whether a request was answered before, and waits for the answer where it is asked just now.
    pub(crate) async fn ask(&self, request: &Request) -> Asked {
        let Some(key) = key(request) else {
            return Asked::Alone;
        };
        let slot = {
            let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key).or_default())
        };
        let held = slot.lock_owned().await;
        match &*held {
            Some(kept) => Asked::Answered(self.again(kept)),
            None => Asked::New(Keeping {
                answers: self.clone(),
                held,
                pieces: Vec::new(),
            }),
        }
    }

    /// Makes the file for the bodies below `directory`, if there is none yet. Where there can be none, nothing is kept.
    pub(crate) fn spool_in(&self, directory: &Path) {
        self.0.spool.get_or_init(|| {
            let file = tempfile::tempfile_in(directory).ok()?;
            let end = AtomicU64::new(0);
            Some(Spool { file, end })
        });
    }

    fn spool(&self) -> Option<&Spool> {
        self.0.spool.get()?.as_ref()
    }

    fn again(&self, kept: &Kept) -> Response {
        let state = (self.clone(), Arc::clone(&kept.pieces), 0, 0);
        let chunks = futures::stream::try_unfold(state, |(answers, pieces, at, done)| async move {
            let Some(&(offset, length)) = pieces.get(at) else {
                return Ok::<_, std::io::Error>(None);
            };
            let size = CHUNK.min(length - done);
            let mut chunk = vec![0; size as usize];
            let spool = answers.spool().expect("what is kept is kept there");
            spool.file.read_exact_at(&mut chunk, offset + done)?;
            let (at, done) = match done + size == length {
                true => (at + 1, 0),
                false => (at, done + size),
            };
            Ok(Some((Bytes::from(chunk), (answers, pieces, at, done))))
        });
        kept.shell.clone().filled(Body::wrap_stream(chunks))
    }
}

impl Keeping {
    /// Keeps the next bytes of the body; whether they could be.
    pub(crate) fn add(&mut self, chunk: &[u8]) -> bool {
        let Some(spool) = self.answers.spool() else {
            return false;
        };
        let length = chunk.len() as u64;
        if length == 0 {
            return true;
        }
        let offset = spool.end.fetch_add(length, Ordering::Relaxed);
        if spool.file.write_all_at(chunk, offset).is_err() {
            return false;
        }
        match self.pieces.last_mut() {
            Some((begin, before)) if *begin + *before == offset => *before += length,
            _ => self.pieces.push((offset, length)),
        }
        true
    }

    /// All of the body was added: the answer is kept.
    pub(crate) fn whole(mut self, shell: Shell) {
        let pieces = self.pieces.into();
        *self.held = Some(Kept { shell, pieces });
    }

    /// Keeps that there is no such page; what a body explains of it is not for others.
    pub(crate) fn missing(self, response: &Response) {
        let kind = response.headers().get(CONTENT_TYPE);
        let explains = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem"));
        if !explains {
            self.whole(Shell::of(response));
        }
    }
}

impl Shell {
    pub(crate) fn of(response: &Response) -> Self {
        Self {
            status: response.status(),
            version: response.version(),
            headers: response.headers().clone(),
            url: response.url().clone(),
        }
    }

    pub(crate) fn filled(self, body: Body) -> Response {
        let mut builder = http::Response::builder()
            .status(self.status)
            .version(self.version)
            .url(self.url);
        if let Some(headers) = builder.headers_mut() {
            *headers = self.headers;
        }
        Response::from(
            builder
                .body(body)
                .expect("parts of an answer make an answer"),
        )
    }
}

/// Pages, and what else is small and asked for in several places: project JSON, metadata files, provenance.
fn key(request: &Request) -> Option<Key> {
    const KINDS: [&str; 3] = [
        "application/vnd.pypi.simple",
        "application/json",
        "application/vnd.pypi.integrity",
    ];
    if request.method() != http::Method::GET {
        return None;
    }
    let header = |name| request.headers().get(name).map(http::HeaderValue::as_bytes);
    let accept = header(ACCEPT);
    let is_kind =
        accept.is_some_and(|accept| KINDS.iter().any(|kind| accept.starts_with(kind.as_bytes())));
    if !is_kind && !request.url().path().ends_with(".metadata") {
        return None;
    }
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let url = request.url().to_string();
    Some((url, owned(accept), owned(header(RANGE))))
}
