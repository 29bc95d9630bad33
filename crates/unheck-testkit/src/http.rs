//! A small HTTP/1.1 server on loopback (RFC 9110, RFC 9112), for tests of clients.
//!
//! It serves bytes from memory, remembers every request, and can be told to fail. It speaks no
//! TLS. Read [`Server`] first; it stops when it is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A server on 127.0.0.1 and a free port.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// One request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path, percent-decoded, without query.
    pub path: String,
    /// Path and query as sent.
    pub target: String,
    /// What follows the `?`, or nothing.
    pub query: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer. `content-length` is added.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The body; a `HEAD` gets its length only.
    pub body: Arc<[u8]>,
}

/// A way to fail.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status and an empty body.
    Status(u16),
    /// This status with `Retry-After` in seconds.
    RetryAfter(u16, u32),
    /// The connection is closed after this many bytes of the body.
    Truncate(u64),
    /// Nothing is sent for this time after this many bytes of the body; then it goes on.
    Stall(u64, Duration),
    /// Another body, with a right length for it.
    Wrong(Vec<u8>),
    /// The byte at this offset of the body has its lowest bit flipped.
    Flip(usize),
    /// The body never ends: zero bytes, chunked, until the client leaves.
    Endless,
    /// A redirect, status 302, to this location.
    Redirect(String),
    /// `Range` is ignored: status 200 and the whole body.
    NoRange,
    /// A `Range` is answered with status 206 and the first bytes of the body, whatever was asked.
    WrongRange,
    /// The body is sent chunked, without a length.
    Chunked,
    /// The connection is closed without an answer.
    Close,
    /// No answer comes; the connection stays open until the client leaves.
    Hang,
    /// This many bytes of the body, then this pause, and so on.
    Slow(usize, Duration),
}

type Handler = Box<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

/// Faults in order, each with the number of requests left (`None`: for ever).
type Queue = VecDeque<(Option<u32>, Fault)>;

struct Shared {
    handler: Option<Handler>,
    routes: Mutex<BTreeMap<String, Response>>,
    faults: Mutex<BTreeMap<String, Queue>>,
    auth: Mutex<Vec<(String, String)>>,
    requests: Mutex<Vec<Request>>,
    stop: AtomicBool,
    open: Mutex<BTreeMap<u64, TcpStream>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Starts a server with nothing to serve.
    pub fn start() -> Self {
        Self::spawn(None)
    }

    /// Starts a server that asks `handler` first; where it answers `None`, what was put is served.
    pub fn with_handler(
        handler: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        Self::spawn(Some(Box::new(handler)))
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The URL of a path (which begins with a slash).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves `bytes` under `path`, over what was there.
    pub fn put(&self, path: &str, bytes: impl Into<Arc<[u8]>>) {
        self.put_response(path, Response::bytes("application/octet-stream", bytes));
    }

    /// Serves a whole response under `path`.
    pub fn put_response(&self, path: &str, response: Response) {
        lock(&self.shared.routes).insert(path.into(), response);
    }

    /// Stops serving `path`.
    pub fn remove(&self, path: &str) {
        lock(&self.shared.routes).remove(path);
    }

    /// All paths that are served by [`Server::put`], sorted.
    pub fn paths(&self) -> Vec<String> {
        lock(&self.shared.routes).keys().cloned().collect()
    }

    /// What is served under `path` without faults.
    pub fn get(&self, path: &str) -> Option<Arc<[u8]>> {
        lock(&self.shared.routes)
            .get(path)
            .map(|response| Arc::clone(&response.body))
    }

    /// Requests for `path` (or for every path: `*`) fail so from now on.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.queue(path, None, fault);
    }

    /// The next `times` requests for `path` (or `*`) fail so; faults queue up in order.
    pub fn fault_times(&self, path: &str, times: u32, fault: Fault) {
        self.queue(path, Some(times), fault);
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Paths with this prefix need basic authentication (RFC 7617), else 401.
    pub fn require_basic_auth(&self, prefix: &str, user: &str, password: &str) {
        let token = base64(format!("{user}:{password}").as_bytes());
        lock(&self.shared.auth).push((prefix.into(), format!("Basic {token}")));
    }

    /// All requests so far, in the order in which they were read.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// The requests for one path.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(|request| request.path == path)
            .collect()
    }

    /// Forgets all requests.
    pub fn clear_requests(&self) {
        lock(&self.shared.requests).clear();
    }

    fn queue(&self, path: &str, times: Option<u32>, fault: Fault) {
        lock(&self.shared.faults)
            .entry(path.into())
            .or_default()
            .push_back((times, fault));
    }

    fn spawn(handler: Option<Handler>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler,
            routes: Mutex::default(),
            faults: Mutex::default(),
            auth: Mutex::default(),
            requests: Mutex::default(),
            stop: AtomicBool::new(false),
            open: Mutex::default(),
            workers: Mutex::default(),
        });
        let state = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&listener, &state));
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes `accept`; a failure means that it is gone already.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
        for stream in lock(&self.shared.open).values() {
            drop(stream.shutdown(Shutdown::Both));
        }
        let workers = std::mem::take(&mut *lock(&self.shared.workers));
        for worker in workers {
            drop(worker.join());
        }
    }
}

impl Request {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a query parameter, percent-decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| percent_decode(value))
            .next()
    }

    /// First and last byte asked for by a single `Range`, of a body of `size` bytes; the last is
    /// cut to the size. `Err` where the range lies outside.
    fn range(&self, size: u64) -> Option<Result<(u64, u64), ()>> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) => (first, last.min(size.saturating_sub(1))),
            (Ok(first), Err(_)) => (first, size.saturating_sub(1)),
            (Err(_), Ok(suffix)) => (size.saturating_sub(suffix), size.saturating_sub(1)),
            _ => return None,
        };
        Some(if start >= size || start > end {
            Err(())
        } else {
            Ok((start, end))
        })
    }
}

impl Response {
    /// Status 200 with a body and its strong ETag.
    pub fn bytes(content_type: &str, body: impl Into<Arc<[u8]>>) -> Self {
        let body = body.into();
        let tag = format!("\"{}\"", &crate::sha256_hex(&body)[..16]);
        let headers = vec![
            ("content-type".into(), content_type.into()),
            ("etag".into(), tag),
        ];
        Self {
            status: 200,
            headers,
            body,
        }
    }

    /// A status with an empty body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Arc::from([]),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (id, stream) in (0_u64..).zip(listener.incoming()) {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(copy) = stream.try_clone() else {
            continue;
        };
        lock(&shared.open).insert(id, copy);
        let state = Arc::clone(shared);
        let worker = std::thread::spawn(move || {
            // An error is a client that left: nothing to report.
            drop(converse(&stream, &state));
            drop(stream.shutdown(Shutdown::Both));
            lock(&state.open).remove(&id);
        });
        let mut workers = lock(&shared.workers);
        workers.retain(|worker| !worker.is_finished());
        workers.push(worker);
    }
}

/// Serves one connection until either side has enough.
fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, stream)? {
        if shared.stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        let close = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        lock(&shared.requests).push(request.clone());
        let alive = answer(stream, shared, &request)?;
        if close || !alive {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(
    reader: &mut BufReader<&TcpStream>,
    mut stream: &TcpStream,
) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut parts = line.split_whitespace();
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
        return Ok(None);
    };
    // A proxy-style target names the host too; only its path matters here.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.into(),
        path: percent_decode(path),
        target: target.into(),
        query: query.into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().into()));
    }
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = read_body(reader, &request)?;
    Ok(Some(request))
}

fn read_body(reader: &mut BufReader<&TcpStream>, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request
        .header("transfer-encoding")
        .is_some_and(|value| value.contains("chunked"))
    {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size =
                u64::from_str_radix(line.trim().split(';').next().unwrap_or("0"), 16).unwrap_or(0);
            reader.by_ref().take(size).read_to_end(&mut body)?;
            let mut end = String::new();
            reader.read_line(&mut end)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let size = request
        .header("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    reader.by_ref().take(size).read_to_end(&mut body)?;
    Ok(body)
}

/// Writes the answer; whether the connection can go on.
fn answer(stream: &TcpStream, shared: &Shared, request: &Request) -> std::io::Result<bool> {
    let allowed = lock(&shared.auth).iter().all(|(prefix, token)| {
        !request.path.starts_with(prefix) || request.header("authorization") == Some(token)
    });
    if !allowed {
        let response = Response::status(401).header("www-authenticate", "Basic realm=\"test\"");
        return send(stream, shared, request, (response, None));
    }
    let fault = next_fault(shared, &request.path);
    let ready = match &fault {
        Some(Fault::Close) => return Ok(false),
        Some(Fault::Hang) => {
            pause(shared, Duration::from_secs(3600));
            return Ok(false);
        }
        Some(Fault::Status(status)) => Some(Response::status(*status)),
        Some(Fault::RetryAfter(status, seconds)) => {
            Some(Response::status(*status).header("retry-after", seconds.to_string()))
        }
        Some(Fault::Redirect(to)) => Some(Response::status(302).header("location", to)),
        _ => None,
    };
    if let Some(response) = ready {
        return send(stream, shared, request, (response, None));
    }
    let made = shared.handler.as_ref().and_then(|handler| handler(request));
    let put = || lock(&shared.routes).get(&request.path).cloned();
    let mut response = made.or_else(put).unwrap_or_else(|| Response::status(404));
    match &fault {
        Some(Fault::Wrong(bytes)) => response.body = bytes.clone().into(),
        Some(Fault::Flip(at)) => {
            let mut bytes = response.body.to_vec();
            bytes[*at] ^= 1;
            response.body = bytes.into();
        }
        _ => {}
    }
    if !matches!(fault, Some(Fault::NoRange)) {
        response = conditional(request, response, matches!(fault, Some(Fault::WrongRange)));
    }
    send(stream, shared, request, (response, fault))
}

/// Applies `If-None-Match`, `If-Range` and `Range` (RFC 9110 sections 13 and 14).
fn conditional(request: &Request, response: Response, wrong_range: bool) -> Response {
    if response.status != 200 || !matches!(request.method.as_str(), "GET" | "HEAD") {
        return response;
    }
    let tag = response.get("etag").map(str::to_owned);
    if tag.is_some() && request.header("if-none-match") == tag.as_deref() {
        let tag = tag.unwrap_or_default();
        return Response::status(304).header("etag", tag);
    }
    let response = response.header("accept-ranges", "bytes");
    if request.header("if-range").is_some() && request.header("if-range") != tag.as_deref() {
        return response;
    }
    let size = response.body.len() as u64;
    match request.range(size) {
        None => response,
        Some(Err(())) => Response::status(416).header("content-range", format!("bytes */{size}")),
        Some(Ok((first, last))) => {
            let (first, last) = if wrong_range {
                (0, last - first)
            } else {
                (first, last)
            };
            let body = Arc::from(&response.body[first as usize..=last as usize]);
            let range = format!("bytes {first}-{last}/{size}");
            Response {
                status: 206,
                body,
                ..response
            }
            .header("content-range", range)
        }
    }
}

fn next_fault(shared: &Shared, path: &str) -> Option<Fault> {
    let mut faults = lock(&shared.faults);
    for key in [path, "*"] {
        let Some(queue) = faults.get_mut(key) else {
            continue;
        };
        while let Some((times, fault)) = queue.front_mut() {
            match times {
                None => return Some(fault.clone()),
                Some(0) => drop(queue.pop_front()),
                Some(left) => {
                    *left -= 1;
                    return Some(fault.clone());
                }
            }
        }
    }
    None
}

fn send(
    mut stream: &TcpStream,
    shared: &Shared,
    request: &Request,
    (response, fault): (Response, Option<Fault>),
) -> std::io::Result<bool> {
    let chunked = matches!(fault, Some(Fault::Chunked | Fault::Endless));
    let mut head = format!("HTTP/1.1 {} x\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match chunked {
        true => head.push_str("transfer-encoding: chunked\r\n"),
        // A 304 has no body and a 204 no length (RFC 9110 section 8.6).
        false if matches!(response.status, 204 | 304) => {}
        // A handler that answers HEAD may give the length of a body that it did not make.
        false if response.get("content-length").is_some() => {}
        false => head.push_str(&format!("content-length: {}\r\n", response.body.len())),
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if request.method == "HEAD" || matches!(response.status, 204 | 304) {
        return Ok(true);
    }
    let body = &response.body;
    match fault {
        Some(Fault::Truncate(count)) => {
            stream.write_all(&body[..body.len().min(count as usize)])?;
            return Ok(false);
        }
        Some(Fault::Stall(after, time)) => {
            let at = body.len().min(after as usize);
            stream.write_all(&body[..at])?;
            pause(shared, time);
            stream.write_all(&body[at..])?;
        }
        Some(Fault::Slow(count, time)) => {
            for part in body.chunks(count) {
                stream.write_all(part)?;
                pause(shared, time);
            }
        }
        Some(Fault::Endless) => {
            let part = [
                format!("{:x}\r\n", 1 << 16).as_bytes(),
                &[0; 1 << 16],
                b"\r\n",
            ]
            .concat();
            while !shared.stop.load(Ordering::SeqCst) {
                stream.write_all(&part)?;
            }
        }
        Some(Fault::Chunked) => {
            for part in body.chunks(1000) {
                stream.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
                stream.write_all(&[part, b"\r\n"].concat())?;
            }
            stream.write_all(b"0\r\n\r\n")?;
        }
        _ => stream.write_all(body)?,
    }
    Ok(true)
}

/// Waits, but not longer than the server lives.
fn pause(shared: &Shared, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time && !shared.stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5).min(time));
    }
}

/// A test that panicked with a lock held must not hide its own message behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `%41` and the like (RFC 3986 section 2.1); wrong escapes stay.
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Base64 with padding (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
