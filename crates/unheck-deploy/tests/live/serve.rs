//! A supervisor as systemd is one: it holds the listening socket, and on a reload ends the old server
//! and starts what `current` names.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use unheck_testkit::hosts::{Host, PORT};

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
