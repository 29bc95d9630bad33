//! A supervisor as systemd is one: it holds the listening socket, and on a reload ends the old server
//! and starts what `current` names. And a load generator that counts what was lost.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::net::Host;

/// The port of the service.
pub(crate) const PORT: u16 = 8000;

/// Serves on one host until it is dropped.
pub(crate) struct Supervisor {
    place: PathBuf,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Supervisor {
    /// Begins to wait for reloads.
    pub(crate) fn new(host: &Host) -> Self {
        let listener = host.listen(PORT);
        let (place, stop) = (host.place.clone(), Arc::new(AtomicBool::new(false)));
        let (at, stopped) = (place.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut server: Option<Child> = None;
            loop {
                // Both opens wait for the other side.
                let mut asked = String::new();
                let _ = fs_err::File::open(at.join("reload"))
                    .expect("fifo")
                    .read_to_string(&mut asked);
                end(server.take());
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                server = start(&at, &listener);
                let answer = if server.is_some() { "ok\n" } else { "failed\n" };
                // Who asked may be gone.
                let _ = fs_err::OpenOptions::new()
                    .write(true)
                    .open(at.join("reloaded"))
                    .and_then(|mut fifo| fifo.write_all(answer.as_bytes()));
            }
        });
        Self {
            place,
            thread: Some(thread),
            stop,
        }
    }

    /// What a target's `reload` is for such a host.
    pub(crate) fn reload(mount: &std::path::Path) -> String {
        let mount = mount.display();
        format!("echo >{mount}/reload; read answer <{mount}/reloaded; test \"$answer\" = ok")
    }
}

fn start(place: &std::path::Path, listener: &TcpListener) -> Option<Child> {
    let socket = listener.try_clone().expect("socket");
    let program = fs_err::canonicalize(place.join("web/current/bin/web")).ok()?;
    Command::new(program)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .spawn()
        .ok()
}

fn end(server: Option<Child>) {
    if let Some(mut server) = server {
        let _ = Command::new("kill").arg(server.id().to_string()).status();
        let _ = server.wait();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = fs_err::OpenOptions::new()
            .write(true)
            .open(self.place.join("reload"))
            .and_then(|mut fifo| fifo.write_all(b"\n"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request; the version that answered.
pub(crate) fn ask(address: Ipv4Addr) -> Result<String, String> {
    let told = |error: std::io::Error| error.to_string();
    let address = SocketAddr::from((address, PORT));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(20)).map_err(told)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .map_err(told)?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        .map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(format!("{answer:?}")),
    }
}

/// Asks a host from several threads, without a pause.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(Vec<String>, Duration)>>,
}

impl Load {
    pub(crate) fn new(address: Ipv4Addr) -> Self {
        let (stop, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let threads = (0..3).map(|_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let (mut lost, mut longest) = (Vec::new(), Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    if let Err(error) = ask(address) {
                        lost.push(error);
                    }
                    longest = longest.max(begun.elapsed());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                (lost, longest)
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            asked,
        }
    }

    /// How many were asked, which were lost, and how long the slowest took.
    pub(crate) fn end(self) -> (u64, Vec<String>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut lost, mut longest) = (Vec::new(), Duration::ZERO);
        for thread in self.threads {
            let (some, time) = thread.join().expect("thread");
            lost.extend(some);
            longest = longest.max(time);
        }
        (self.asked.load(Ordering::Relaxed), lost, longest)
    }
}
