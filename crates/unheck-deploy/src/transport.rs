//! The way to a host: the system's OpenSSH client, or a shell on this machine.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::config::{Host, Target};
use crate::error::DeployError;

/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;

/// A way to a host.
pub trait Transport: Debug + Send + Sync {
    /// The host's name in messages.
    fn label(&self) -> &str;

    /// The program that is started on this machine, for messages.
    fn program(&self) -> String;

    /// Starts a command line by the host's shell, with pipes. The first one carries the others, and
    /// must outlive them.
    ///
    /// # Errors
    /// The program on this machine cannot be started.
    fn start(&self, command: &str) -> io::Result<Child>;

    /// Connects from the host to an address, sends a request, and reads the answer's beginning.
    ///
    /// # Errors
    /// There is no connection or no answer in time.
    fn exchange(
        &self,
        address: (&str, u16),
        request: &[u8],
        timeout: Duration,
    ) -> io::Result<Vec<u8>>;
}

/// How the OpenSSH client is called, for all hosts of a target.
#[derive(Debug)]
pub struct SshOptions {
    /// The client.
    pub program: PathBuf,
    /// A configuration file instead of the user's.
    pub config: Option<PathBuf>,
    /// Where a private directory for sockets is made; its path must be short (108 bytes, unix(7)).
    pub scratch: PathBuf,
}

/// A host over ssh. One connection carries all sessions: the first session is its master.
#[derive(Debug)]
pub struct Ssh {
    host: Host,
    program: PathBuf,
    config: Option<PathBuf>,
    socket: PathBuf,
    /// Keeps the private directory; shared by the hosts of a target.
    _control: std::sync::Arc<tempfile::TempDir>,
}

impl Ssh {
    /// A way to each host of a target. Nothing is connected yet.
    ///
    /// # Errors
    /// There can be no private directory.
    pub fn to(
        target: &Target,
        options: &SshOptions,
    ) -> Result<Vec<Box<dyn Transport>>, DeployError> {
        let control = tempfile::Builder::new()
            .prefix("unheck-")
            .tempdir_in(&options.scratch)
            .map_err(DeployError::Control)?;
        let control = std::sync::Arc::new(control);
        let ways = target.hosts.iter().enumerate().map(|(number, host)| {
            Box::new(Self {
                host: host.clone(),
                program: options.program.clone(),
                config: options.config.clone(),
                socket: control.path().join(number.to_string()),
                _control: std::sync::Arc::clone(&control),
            }) as Box<dyn Transport>
        });
        Ok(ways.collect())
    }

    /// The client with what every call has. What these options do not say is the user's
    /// configuration's, so proxies, keys, names and known hosts are as with `ssh` itself.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        for option in [
            "BatchMode=yes",
            "ControlMaster=auto",
            "ControlPersist=no",
            "ConnectTimeout=20",
            // A host that is gone is noticed within 45 seconds.
            "ServerAliveInterval=15",
            "ServerAliveCountMax=3",
            "ForwardAgent=no",
            "ForwardX11=no",
            "ClearAllForwardings=no",
            "RequestTTY=no",
            "EscapeChar=none",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        command.arg("-o").arg(control_path(&self.socket));
        if let Some(port) = self.host.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &self.host.user {
            command.args(["-l", user]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// `%` begins a token there (ssh_config(5)).
fn control_path(socket: &Path) -> std::ffi::OsString {
    let text = socket.to_string_lossy().replace('%', "%%");
    format!("ControlPath={text}").into()
}

impl Transport for Ssh {
    fn label(&self) -> &str {
        &self.host.label
    }

    fn program(&self) -> String {
        self.program.display().to_string()
    }

    fn start(&self, command: &str) -> io::Result<Child> {
        self.command()
            .arg("--")
            .arg(&self.host.name)
            .arg(command)
            .spawn()
    }

    fn exchange(
        &self,
        address: (&str, u16),
        request: &[u8],
        timeout: Duration,
    ) -> io::Result<Vec<u8>> {
        let (host, port) = address;
        let mut child = self
            .command()
            .arg("-W")
            .arg(format!("{host}:{port}"))
            .arg("--")
            .arg(&self.host.name)
            .spawn()?;
        let answer = exchange_with(&mut child, request, timeout);
        // It may be waiting for a server that never closes.
        let _ = child.kill();
        let said = crate::remote::drain(child.stderr.take());
        let _ = child.wait();
        match answer {
            Ok(answer) if answer.is_empty() && !said.is_empty() => Err(io::Error::other(said)),
            answer => answer,
        }
    }
}

fn exchange_with(child: &mut Child, request: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let lost = || io::Error::other("no pipe");
    let mut stdin = child.stdin.take().ok_or_else(lost)?;
    let stdout = child.stdout.take().ok_or_else(lost)?;
    stdin.write_all(request)?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.take(MAX_ANSWER).read_to_end(&mut answer);
        // Nobody listens after the timeout.
        let _ = sender.send(read.map(|_| answer));
    });
    let answer = receiver.recv_timeout(timeout);
    drop(stdin);
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// This machine as a host: for tests, and for whoever deploys where they are.
#[derive(Debug, Clone)]
pub struct Local {
    /// The host's name in messages.
    pub name: String,
    /// The shell and its arguments before `-c`.
    pub shell: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    /// The directory that it starts in.
    pub home: PathBuf,
}

impl Transport for Local {
    fn label(&self) -> &str {
        &self.name
    }

    fn program(&self) -> String {
        self.shell.join(" ")
    }

    fn start(&self, command: &str) -> io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        let (program, words) = self
            .shell
            .split_first()
            .ok_or(io::ErrorKind::InvalidInput)?;
        Command::new(program)
            .args(words)
            .args(["-c", command])
            .current_dir(&self.home)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    fn exchange(
        &self,
        address: (&str, u16),
        request: &[u8],
        timeout: Duration,
    ) -> io::Result<Vec<u8>> {
        let unknown = || io::Error::other("the name has no address");
        let address = address.to_socket_addrs()?.next().ok_or_else(unknown)?;
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(answer)
    }
}
