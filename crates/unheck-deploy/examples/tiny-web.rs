//! A web server for the live tests: takes a listening socket as standard input, or as the descriptor
//! of `--fd N` as systemd gives it, answers every request with the version beside its program, and on `SIGTERM` answers what it has begun before it ends.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn main() -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))?;
    let own = fs_err::canonicalize("/proc/self/exe")?;
    let version = own
        .parent()
        .and_then(|bin| bin.parent())
        .map(|root| root.join("app/version"));
    let version = fs_err::read_to_string(version.unwrap_or_default())?;
    let given = match std::env::args().skip_while(|word| word != "--fd").nth(1) {
        Some(fd) => {
            let fd: RawFd = fd.parse().map_err(io::Error::other)?;
            // SAFETY: who starts this gives it the descriptor, and nobody else here has it.
            unsafe { OwnedFd::from_raw_fd(fd) }
        }
        None => io::stdin().as_fd().try_clone_to_owned()?,
    };
    let listener = TcpListener::from(given);
    listener.set_nonblocking(true)?;
    let mut busy = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let version = version.clone();
                busy.push(std::thread::spawn(move || answer(stream, &version)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                busy.retain(|thread: &std::thread::JoinHandle<_>| !thread.is_finished());
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    for thread in busy {
        // A client that went away is no failure of the server.
        let _ = thread.join();
    }
    Ok(())
}

fn answer(mut stream: TcpStream, version: &str) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&buffer[..read]),
        }
    }
    // A request that takes a while is one that a careless switch would lose.
    std::thread::sleep(Duration::from_millis(5));
    let status = if version.contains("ill") {
        "503 Service Unavailable"
    } else {
        "200 OK"
    };
    let length = version.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{version}"
    )
}
