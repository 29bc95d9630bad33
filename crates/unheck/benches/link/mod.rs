//! A forward proxy that passes no more than so many bytes a second to all its clients together: what a build and a
//! plain download take on the same link can be compared. Start at [`Link::new`].
//!
//! Knows `CONNECT` and absolute addresses (RFC 9110, section 9.3.6; RFC 9112, section 3.2.2), one request for each
//! connection, and serves this machine alone.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes that are passed on at once.
const CHUNK: usize = 16 << 10;

/// A link of limited speed, for as long as the process runs.
pub(crate) struct Link {
    /// What a client is told as its proxy.
    pub(crate) url: String,
    pace: Arc<Pace>,
}

impl Link {
    /// A link of so many bytes a second.
    pub(crate) fn new(bytes_per_second: f64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let pace = Arc::new(Pace {
            bytes_per_second,
            free: Mutex::new(Instant::now()),
            passed: AtomicU64::new(0),
            known: Mutex::default(),
        });
        let shared = Arc::clone(&pace);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let pace = Arc::clone(&shared);
                // A connection that breaks is its client's trouble, which the client tells.
                std::thread::spawn(move || serve(client, &pace).ok());
            }
        });
        Self { url, pace }
    }

    /// Bytes that went to clients.
    pub(crate) fn passed(&self) -> u64 {
        self.pace.passed.load(Ordering::Relaxed)
    }
}

/// When the link is free again.
struct Pace {
    bytes_per_second: f64,
    free: Mutex<Instant>,
    passed: AtomicU64,
    /// Addresses of servers: hundreds of lookups at once lose some, at five seconds each.
    known: Mutex<BTreeMap<String, SocketAddr>>,
}

impl Pace {
    /// The address of a server, looked up once; others wait for the answer meanwhile.
    fn resolve(&self, name: String) -> io::Result<SocketAddr> {
        let mut known = self.known.lock().expect("no panic while held");
        if let Some(address) = known.get(&name) {
            return Ok(*address);
        }
        let address = name.to_socket_addrs()?.next();
        let address =
            address.ok_or_else(|| io::Error::other(format!("`{name}` has no address")))?;
        known.insert(name, address);
        Ok(address)
    }

    /// Waits until so many bytes are through.
    fn pass(&self, bytes: usize) {
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
        let took = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let until = {
            let mut free = self.free.lock().expect("no panic while held");
            *free = (*free).max(Instant::now()) + took;
            *free
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

fn serve(client: TcpStream, pace: &Pace) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let tunnel = method == "CONNECT";
    let authority = target
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default();
    let address = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut server = TcpStream::connect(pace.resolve(address)?)?;
    if tunnel {
        (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        // One request for each connection, so that the next one may go to another server.
        let lines = head.trim_end().split("\r\n").filter(|line| {
            !line.to_ascii_lowercase().starts_with("connection:")
                && !line.to_ascii_lowercase().starts_with("proxy-")
        });
        let head: String = lines.map(|line| format!("{line}\r\n")).collect();
        server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    }
    let mut up = server.try_clone()?;
    std::thread::spawn(move || {
        io::copy(&mut reader, &mut up).ok();
        up.shutdown(Shutdown::Write).ok();
    });
    down(server, client, pace)
}

/// From the server to the client, at the link's pace.
fn down(mut server: TcpStream, mut client: TcpStream, pace: &Pace) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = server.read(&mut buffer)?;
        if read == 0 {
            return client.shutdown(Shutdown::Both);
        }
        pace.pass(read);
        client.write_all(&buffer[..read])?;
    }
}
