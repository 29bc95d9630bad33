//! Hosts: a network namespace, a link to it, a mount of its own, and sshd.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A host; gone with everything in it when it is dropped.
pub(crate) struct Host {
    /// The name of its namespace.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// What it sees as the mount point, seen from here.
    pub(crate) place: PathBuf,
    link: String,
    sshd: Child,
}

/// Hosts and the configuration of ssh that reaches them.
pub(crate) struct Hosts {
    /// The hosts.
    pub(crate) hosts: Vec<Host>,
    /// For `ssh -F`.
    pub(crate) config: PathBuf,
    /// Where each host sees its own place.
    pub(crate) mount: PathBuf,
    /// Everything on disk.
    pub(crate) temp: tempfile::TempDir,
}

#[track_caller]
pub(crate) fn run(words: &[&str]) {
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Hosts {
    /// So many hosts.
    pub(crate) fn new(count: u8) -> Self {
        let temp = tempfile::tempdir().expect("temp");
        let at = |name: &str| temp.path().join(name);
        fs_err::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
        let mount = at("mount");
        fs_err::create_dir_all(&mount).expect("mount point");
        fs_err::create_dir_all("/run/sshd").expect("sshd's directory");
        for name in ["host-key", "user-key"] {
            let key = at(name).display().to_string();
            run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key]);
        }
        fs_err::copy(at("user-key.pub"), at("authorized")).expect("key");
        let number = std::process::id() % 200;
        let hosts: Vec<Host> = (0..count)
            .map(|index| Host::new(temp.path(), &mount, number as u8, index))
            .collect();
        let lines: Vec<String> = hosts
            .iter()
            .map(|host| {
                format!(
                    "Host {}\n  HostName {}\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
                     UserKnownHostsFile {}\n  StrictHostKeyChecking accept-new\n",
                    host.name,
                    host.address,
                    at("user-key").display(),
                    at("known").display()
                )
            })
            .collect();
        let config = at("ssh-config");
        fs_err::write(&config, lines.concat()).expect("config");
        let hosts = Self {
            hosts,
            config,
            mount,
            temp,
        };
        for host in &hosts.hosts {
            host.wait();
        }
        hosts
    }
}

impl Host {
    fn new(temp: &Path, mount: &Path, number: u8, index: u8) -> Self {
        let name = format!("ud{number}-{index}");
        let link = format!("{name}v");
        let address = Ipv4Addr::new(10, 77, number, 4 * index + 2);
        let near = format!("10.77.{number}.{}/30", 4 * index + 1);
        let far = format!("{address}/30");
        let place = temp.join(&name);
        fs_err::create_dir_all(&place).expect("place");
        for fifo in ["reload", "reloaded"] {
            run(&["mkfifo", &place.join(fifo).display().to_string()]);
        }
        run(&["ip", "netns", "add", &name]);
        run(&[
            "ip", "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name,
        ]);
        run(&["ip", "addr", "add", &near, "dev", &link]);
        run(&["ip", "link", "set", &link, "up"]);
        run(&["ip", "-n", &name, "addr", "add", &far, "dev", "eth0"]);
        run(&["ip", "-n", &name, "link", "set", "eth0", "up"]);
        run(&["ip", "-n", &name, "link", "set", "lo", "up"]);
        let config = temp.join(format!("{name}.sshd"));
        let text = format!(
            "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPidFile none\nMaxStartups 100\nMaxSessions 100\n",
            temp.join("host-key").display(),
            temp.join("authorized").display()
        );
        fs_err::write(&config, text).expect("config");
        // Each host sees its own place at the one path that all of them have. `ip netns exec` has made
        // a mount namespace already.
        let script = "mount --bind \"$1\" \"$2\" && exec /usr/sbin/sshd -D -e -f \"$3\"";
        let log = fs_err::File::create(temp.join(format!("{name}.log"))).expect("log");
        let sshd = Command::new("ip")
            .args(["netns", "exec", &name, "sh", "-c", script, "sh"])
            .args([&place, mount, &config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log.into_parts().0))
            .spawn()
            .expect("sshd");
        Self {
            name,
            address,
            place,
            link,
            sshd,
        }
    }

    fn wait(&self) {
        let begun = Instant::now();
        while TcpStream::connect((self.address, 22)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{}: no sshd",
                self.name
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A socket that listens inside.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        let namespace = fs_err::File::open(format!("/run/netns/{}", self.name)).expect("namespace");
        std::thread::spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            use std::os::fd::AsFd as _;
            move_into_link_name_space(namespace.file().as_fd(), Some(LinkNameSpaceType::Network))
                .expect("namespace");
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind")
        })
        .join()
        .expect("thread")
    }

    /// Bytes that went over the link, both ways, frames and all.
    pub(crate) fn bytes(&self) -> u64 {
        ["rx_bytes", "tx_bytes"]
            .map(|name| {
                let path = format!("/sys/class/net/{}/statistics/{name}", self.link);
                let text = fs_err::read_to_string(path).expect("statistics");
                text.trim().parse::<u64>().expect("number")
            })
            .iter()
            .sum()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // sshd's children end with their connections.
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        let _ = Command::new("ip")
            .args(["link", "del", &self.link])
            .output();
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}
