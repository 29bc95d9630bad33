//! Hosts: a network namespace, a link to it, sshd; and either a mount of its own, or a systemd of its own on a
//! file system of its own. Start at [`Hosts::new`] and [`Hosts::booted`]. For live tests: needs root,
//! `openssh-server`, `openssh-client`, `iproute2`, and `systemd` where one is booted. And [`Load`], which asks a
//! host all the time, and [`twenty_switches`] below it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Boots systemd as process 1 of new namespaces, on an overlay of this machine's files: what is written is gone
/// when it ends. Of this machine's units none is started; `$3` has a host's own.
///
/// Arguments: the host's name, a directory for mounts, its units, the directory with keys.
const BOOT: &str = r#"
set -e
name=$1 root=$2 units=$3 keys=$4
if [ "$5" = inside ]; then
    all=$root/all
    mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$all"
    mount -t proc proc "$all/proc"
    mount -t sysfs -o ro sysfs "$all/sys"
    mount -t cgroup2 cgroup2 "$all/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$all/run"
    mount -t tmpfs -o mode=1777 tmpfs "$all/tmp"
    mount -t tmpfs -o mode=755 tmpfs "$all/dev"
    for device in null zero full random urandom tty; do
        : >"$all/dev/$device"
        mount --bind "/dev/$device" "$all/dev/$device"
    done
    mkdir "$all/dev/shm" "$all/dev/pts" "$all/run/sshd"
    mkdir -p "$all/$keys"
    mount --bind "$keys" "$all/$keys"
    rm -rf "$all"/etc/systemd/system/* "$all"/lib/systemd/system/*.wants "$all/etc/fstab"
    cp "$units"/* "$all/etc/systemd/system/"
    mkdir -p "$all/etc/systemd/system/multi-user.target.wants" "$all/old"
    ln -s ../ssh-of-test.service "$all/etc/systemd/system/multi-user.target.wants/"
    cd "$all"
    pivot_root . old
    umount -l /old
    exec env -i container=unheck PATH=/usr/sbin:/usr/bin:/sbin:/bin         /lib/systemd/systemd --unit=multi-user.target --log-target=null --show-status=no
fi
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/all" "$root/groups"
mount -t cgroup2 cgroup2 "$root/groups"
mkdir "$root/groups/$name"
echo $$ >"$root/groups/$name/cgroup.procs"
exec unshare --cgroup --mount --uts --ipc --pid --fork --kill-child sh -c "$6" sh "$name" "$root" "$units" "$keys" inside
"#;

/// Removes the control groups that a booted host leaves behind.
const SWEEP: &str = r#"
mount --make-rprivate / && mount -t cgroup2 cgroup2 "$2" || exit 0
n=0
while [ -d "$2/$1" ] && [ $n -lt 50 ]; do
    find "$2/$1" -depth -type d -exec rmdir {} + 2>/dev/null
    n=$((n + 1)); sleep 0.1
done
"#;

/// What a host is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// This machine's processes and files, but for one mount point.
    Mount,
    /// Processes and files of its own, below systemd.
    Booted,
}

/// A host; gone with everything in it when it is dropped.
pub struct Host {
    /// The name of its namespace.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it sees as the mount point, seen from here.
    pub place: PathBuf,
    link: String,
    kind: Kind,
    first: Child,
}

/// Hosts and the configuration of ssh that reaches them.
pub struct Hosts {
    /// The hosts.
    pub hosts: Vec<Host>,
    /// For `ssh -F`.
    pub config: PathBuf,
    /// Where each host sees its own place.
    pub mount: PathBuf,
    /// Everything on disk.
    pub temp: tempfile::TempDir,
}

#[track_caller]
fn run(words: &[&str]) {
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
    /// So many hosts that share this machine's files, but for what is below [`Hosts::mount`].
    ///
    /// # Panics
    /// They cannot be made.
    pub fn new(count: u8) -> Self {
        Self::of(count, Kind::Mount)
    }

    /// So many hosts with a systemd of their own.
    ///
    /// # Panics
    /// They cannot be made.
    pub fn booted(count: u8) -> Self {
        Self::of(count, Kind::Booted)
    }

    fn of(count: u8, kind: Kind) -> Self {
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
            .map(|index| Host::new((temp.path(), &mount), kind, number as u8, index))
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

    /// Runs a command line as root on every host, with these bytes as its input.
    ///
    /// # Panics
    /// It does not end well on one of them.
    #[track_caller]
    pub fn everywhere(&self, script: &str, input: &[u8]) {
        for host in &self.hosts {
            let mut ssh = Command::new("ssh")
                .arg("-F")
                .arg(&self.config)
                .args([&host.name, script])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("ssh");
            // Who does not read it all ends with a code that says so.
            let _ = ssh.stdin.take().expect("pipe").write_all(input);
            let ended = ssh.wait_with_output().expect("ssh");
            assert!(
                ended.status.success(),
                "{script}: {}",
                String::from_utf8_lossy(&ended.stderr)
            );
        }
    }
}

impl Host {
    fn new((temp, mount): (&Path, &Path), kind: Kind, number: u8, index: u8) -> Self {
        let name = format!("ud{number}-{index}");
        let link = format!("{name}v");
        let address = Ipv4Addr::new(10, 77, number, 4 * index + 2);
        let near = format!("10.77.{number}.{}/30", 4 * index + 1);
        let far = format!("{address}/30");
        let place = temp.join(&name);
        fs_err::create_dir_all(&place).expect("place");
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
        // A test that is killed takes its hosts along.
        let mut first = Command::new("setpriv");
        first.args(["--pdeathsig", "KILL", "ip", "netns", "exec", &name]);
        match kind {
            Kind::Mount => {
                for fifo in ["reload", "reloaded"] {
                    run(&["mkfifo", &place.join(fifo).display().to_string()]);
                }
                // Each host sees its own place at the one path that all of them have. `ip netns exec` has made
                // a mount namespace already.
                let script = "mount --bind \"$1\" \"$2\" && exec /usr/sbin/sshd -D -e -f \"$3\"";
                first.args(["sh", "-c", script, "sh"]);
                first.args([place.as_path(), mount, &config]);
            }
            Kind::Booted => {
                let (root, units) = (place.join("root"), place.join("units"));
                for directory in [&root, &units] {
                    fs_err::create_dir_all(directory).expect("directory");
                }
                let sshd = format!(
                    "[Service]\nExecStart=/usr/sbin/sshd -D -e -f {}\nKillMode=process\n",
                    config.display()
                );
                fs_err::write(units.join("ssh-of-test.service"), sshd).expect("unit");
                first.args(["sh", "-c", BOOT, "sh", &name]);
                first.args([root.as_path(), &units, temp]);
                first.args(["outside", BOOT]);
            }
        }
        let log = fs_err::File::create(temp.join(format!("{name}.log"))).expect("log");
        let first = first
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log.into_parts().0))
            .spawn()
            .expect("first process");
        Self {
            name,
            address,
            place,
            link,
            kind,
            first,
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
    ///
    /// # Panics
    /// It cannot be made.
    pub fn listen(&self, port: u16) -> TcpListener {
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
    ///
    /// # Panics
    /// The kernel does not say it.
    pub fn bytes(&self) -> u64 {
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
        // sshd's children end with their connections, systemd takes all of its own along.
        let _ = self.first.kill();
        let _ = self.first.wait();
        if self.kind == Kind::Booted {
            let groups = self.place.display().to_string();
            let words = ["--mount", "sh", "-c", SWEEP, "sh", &self.name, &groups];
            let _ = Command::new("unshare").args(words).output();
        }
        let _ = Command::new("ip")
            .args(["link", "del", &self.link])
            .output();
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

/// The port of the service on a host.
pub const PORT: u16 = 8000;

/// One request for `/`; the body of an answer with status 200.
///
/// # Errors
/// What came instead.
pub fn ask(address: Ipv4Addr) -> Result<String, String> {
    let told = |error: std::io::Error| error.to_string();
    let address = SocketAddr::from((address, PORT));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(20)).map_err(told)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .map_err(told)?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        .map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(format!("{answer:?}")),
    }
}

/// Asks a host from several threads.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(Vec<String>, Duration)>>,
}

impl Load {
    /// Begins, without a pause.
    pub fn new(address: Ipv4Addr) -> Self {
        Self::paced(address, Duration::ZERO)
    }

    /// Begins, with a pause of each thread between its requests.
    pub fn paced(address: Ipv4Addr, pause: Duration) -> Self {
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
                    std::thread::sleep(pause);
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

    /// Begins to ask all of a list.
    pub fn of(hosts: &[Host], pause: Duration) -> Vec<Self> {
        let hosts = hosts.iter();
        hosts.map(|host| Self::paced(host.address, pause)).collect()
    }

    /// Ends all of a list and says what it counted: enough was asked, and nothing lost.
    ///
    /// # Panics
    /// It was not so.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "a test says what it measured")]
    pub fn none_lost(all: Vec<Self>) {
        for one in all {
            let (asked, lost, longest) = one.end();
            println!("{asked} requests, {} lost, slowest {longest:?}", lost.len());
            assert!(
                asked > 100 && lost.is_empty(),
                "{asked} asked, lost {lost:?}"
            );
        }
    }

    /// How many were asked, which were lost, and how long the slowest took.
    ///
    /// # Panics
    /// A thread did.
    pub fn end(self) -> (u64, Vec<String>, Duration) {
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

/// Twenty switches of hosts that are asked all the time, from round 0 on. `switch` answers how many milliseconds each
/// took; how long they took is said, and nothing is lost.
///
/// # Panics
/// Something is lost.
#[track_caller]
#[expect(clippy::print_stdout, reason = "a test says what it measured")]
pub fn twenty_switches(hosts: &[Host], switch: impl FnMut(u32) -> Vec<u64>) {
    let load = Load::of(hosts, Duration::ZERO);
    let mut times: Vec<u64> = (0..20).flat_map(switch).collect();
    times.sort_unstable();
    println!(
        "{} switches: median {} ms, slowest {:?} ms",
        times.len(),
        times[times.len() / 2],
        times.last()
    );
    Load::none_lost(load);
}
