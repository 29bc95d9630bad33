//! Source distributions whose build attacks the machine are contained, each in its own way.
//!
//! Every attack is the in-tree backend of a directory that a project asks for; what it saw it puts into the name of an
//! exception or into the wheel that it makes.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kit::{Ran, directory, project, text, unheck};

/// A backend that makes a wheel of the module `evil`, after an attack whose outcome is the module's `SEEN`.
const BACKEND: &str = r#"
import base64
import hashlib
import zipfile

INFO = "evil-1.0.dist-info"


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def make(directory, seen):
    name = "evil-1.0-py3-none-any.whl"
    files = {
        "evil.py": f"SEEN = {seen!r}\n",
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: evil\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{INFO}/RECORD"] = "\n".join([*record, f"{INFO}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return name


def build_wheel(directory, config_settings=None, metadata_directory=None):
    return make(directory, attack(directory))
"#;

/// Locks a project that asks for a directory whose build does `attack`; what came of it, and where the lock is.
fn attacked(directory: &Path, attack: &str) -> (Ran, PathBuf) {
    let evil = directory.join("evil");
    let backend = format!("{BACKEND}\n\n{attack}\n");
    let toml = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n[project]\nname = \"evil\"\ndynamic = [\"version\"]\n";
    project(&evil, &[("pyproject.toml", toml), ("backend.py", &backend)]);
    let app = directory.join("app");
    let asks = "[project]\nname = \"app\"\nversion = \"1\"\ndependencies = [\"evil\"]\n\n[tool.uv.sources]\nevil = { path = \"../evil\" }\n";
    project(
        &app,
        &[
            ("pyproject.toml", asks),
            ("main.py", "import evil; print(evil.SEEN)\n"),
        ],
    );
    (unheck(&["lock", text(&app)]), app)
}

/// What an attack saw, by running the finished app.
#[track_caller]
fn seen(directory: &Path, attack: &str) -> String {
    let (ran, app) = attacked(directory, attack);
    ran.ok();
    let image = directory.join("app.oci.tar");
    unheck(&[
        "build",
        text(&app),
        "-o",
        text(&image),
        "--entry",
        "python main.py",
    ])
    .ok();
    unheck(&["run", text(&image)]).ok().stdout
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_build_reaches_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let attack = format!(
        "import socket\n\ndef attack(_):\n    try:\n        socket.create_connection(('127.0.0.1', {port}), 2)\n    except OSError as error:\n        return f'refused {{error.errno}}'\n    return 'connected'\n"
    );
    let directory = directory();
    let seen = seen(directory.path(), &attack);
    assert!(seen.starts_with("refused"), "{seen}");
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_build_reads_nothing_of_the_host() {
    let directory = directory();
    let secret = directory.path().join("secret");
    fs_err::write(&secret, "the secret").unwrap();
    let attack = format!(
        "import os\n\ndef attack(_):\n    found = []\n    for path in ['/etc/shadow', {:?}, '/etc/ssh', '/home', '/var/log', '/proc/1/environ']:\n        try:\n            text = open(path, 'rb').read() if os.path.isfile(path) else os.listdir(path)\n            found.append((path, len(text)))\n        except OSError:\n            pass\n    found += [name for name in os.environ if name.startswith(('UNHECK_', 'SECRET'))]\n    return repr(found)\n",
        text(&secret)
    );
    let seen = seen(directory.path(), &attack);
    assert!(!seen.contains("secret"), "{seen}");
    assert!(
        !seen.contains("/etc/ssh") && !seen.contains("UNHECK_"),
        "{seen}"
    );
    // A shadow file inside would be the root's own, empty of accounts; none is there.
    assert!(!seen.contains("/etc/shadow"), "{seen}");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_build_writes_nowhere_but_its_own_directories() {
    let directory = directory();
    let target = directory.path().join("written");
    let attack = format!(
        "import os\n\ndef attack(_):\n    written = []\n    for path in [{:?}, '/usr/bin/evil', '/etc/evil', '/in/evil', '/evil']:\n        try:\n            open(path, 'w').write('x')\n            written.append(path)\n        except OSError:\n            pass\n    os.symlink('/etc/passwd', '/out/link')\n    return repr(written)\n",
        text(&target)
    );
    assert_eq!(seen(directory.path(), &attack).trim(), "[]");
    assert!(!target.exists(), "nothing was written");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_build_that_forks_without_end_is_stopped() {
    let directory = directory();
    let attack = "import os\n\ndef attack(_):\n    while True:\n        try:\n            os.fork()\n        except OSError:\n            pass\n";
    stopped(directory.path(), attack, "processes");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_build_that_fills_the_disk_is_stopped() {
    let directory = directory();
    let attack = "def attack(_):\n    with open('/out/big', 'wb') as file:\n        while True:\n            file.write(b'x' * (1 << 24))\n";
    stopped(directory.path(), attack, "file_size");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_build_that_talks_without_end_is_stopped() {
    let directory = directory();
    let attack = "import sys\n\ndef attack(_):\n    while True:\n        sys.stdout.write('endless ' * 100_000 + '\\n')\n";
    stopped(directory.path(), attack, "output");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_daemon_ends_with_the_build_that_left_it() {
    let directory = directory();
    let attack = "import os, time\n\ndef attack(_):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            for fd in range(3):\n                os.close(fd)\n            os.execv('/usr/bin/sleep', ['unheck-left-behind', '987'])\n        os._exit(0)\n    time.sleep(0.2)\n    return 'left'\n";
    let begun = Instant::now();
    assert_eq!(seen(directory.path(), attack).trim(), "left");
    assert!(
        begun.elapsed() < Duration::from_secs(600),
        "nobody waited for it"
    );
    assert!(!runs("unheck-left-behind"), "it is gone");
}

/// Locking fails because the attack hits a limit, with the code for limits and a message that names it.
#[track_caller]
fn stopped(directory: &Path, attack: &str, limit: &str) {
    let (ran, app) = attacked(directory, attack);
    let ran = ran.ended(5);
    assert!(ran.stderr.contains(limit), "{}", ran.stderr);
    assert!(
        !app.join("pylock.unheck.toml").exists(),
        "no lock was written"
    );
}

/// Whether a process with such a first argument runs on this machine.
fn runs(name: &str) -> bool {
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs_err::read(entry.path().join("cmdline")).ok())
        .any(|line| line.starts_with(name.as_bytes()))
}
