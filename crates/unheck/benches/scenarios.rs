//! Whole-process measurements of the built program on the examples: `just bench`.
//!
//! Not a micro-benchmark: each figure is a run of the binary as users start it, with the peak of
//! its resident memory. Needs the network, once, for the cold builds; prints Markdown tables that
//! `docs/benchmarks.md` keeps. `just bench web` measures one example.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads files and prints tables"
)]

mod forms;
mod kit;
mod link;
mod peers;

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use link::Link;

const UNHECK: &str = env!("CARGO_BIN_EXE_unheck");

/// A link as many offices and build machines have: 100 Mbit/s.
const LINK: f64 = 12.5e6;

/// What one run of a process took.
#[derive(Clone, Copy)]
struct Figure {
    wall: Duration,
    cpu: Duration,
    peak_kib: i64,
}

fn main() {
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let examples = ["hello", "web", "data"];
    let scratch = tempfile::tempdir().expect("a temporary directory");
    if wants("--peers") {
        println!(
            "| example | tool | MB | again after an edit, wall (CPU) s | first start | later start | note |\n|---|---|---|---|---|---|---|"
        );
    } else {
        println!("| example | what | wall s | CPU s | peak MB | note |\n|---|---|---|---|---|---|");
    }
    for example in examples {
        if only.is_empty() || only.iter().any(|name| name == example) {
            Bench::new(scratch.path(), example).run();
        }
    }
}

fn wants(flag: &str) -> bool {
    std::env::args().any(|word| word == flag)
}

struct Bench {
    example: &'static str,
    project: PathBuf,
    cache: PathBuf,
    output: PathBuf,
}

impl Bench {
    fn new(scratch: &Path, example: &'static str) -> Self {
        let project = scratch.join(example);
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples")
            .join(example);
        fs::create_dir_all(&project).expect("directory");
        for entry in fs::read_dir(source).expect("example") {
            let entry = entry.expect("entry");
            if entry.file_type().expect("type").is_file() {
                fs::copy(entry.path(), project.join(entry.file_name())).expect("copy");
            }
        }
        let cache = scratch.join(format!("{example}-cache"));
        let output = scratch.join(format!("{example}.oci.tar"));
        Self {
            example,
            project,
            cache,
            output,
        }
    }

    fn run(&self) {
        if wants("--forms") {
            self.build(&["--no-verify"]);
            return self.forms();
        }
        if wants("--peers") {
            // Too large for one-file programs of all tools to be made in a reasonable time.
            if self.example != "data" {
                self.peers();
            }
            return;
        }
        let cold = self.build(&[]);
        let (bytes, download) = self.download_again(None);
        let note = format!(
            "{:.1} MB came; the same bytes alone take {:.2} s",
            mb(bytes),
            download.as_secs_f64()
        );
        self.print("cold: nothing in the cache", cold, &note);
        self.cold_on_a_link();
        self.print("nothing changed", self.median(11, |_| {}), "");
        let edit = self.median(11, |round| {
            let app = self.app();
            let mut text = fs::read_to_string(&app).expect("app");
            text.push_str(&format!("# {round}\n"));
            fs::write(&app, text).expect("app");
        });
        self.print("one line of the app changed", edit, "");
        self.forget(|_| true);
        let built = self.build(&["--no-verify"]);
        let (tar_bytes, reference) = self.reference();
        let note = format!(
            "wheels and debs are there, nothing derived from them; `zstd -3 -T2` and `sha256sum` alone on the {:.0} MB of layers: {:.2} s",
            mb(tar_bytes),
            reference.as_secs_f64()
        );
        self.print("layers anew, not verified", built, &note);
        self.forget(|kind| kind.starts_with("layer"));
        self.print(
            "layers anew, archives unpacked before",
            self.build(&["--no-verify"]),
            "",
        );
        self.forget(|kind| kind == "verified" || kind == "root");
        self.print("verification anew", self.build(&[]), "");
        self.kit();
        let small = self.build(&["--compression", "zstd:19"]);
        let size = fs::metadata(&self.output).expect("image").len();
        self.print(
            "zstd level 19",
            small,
            &format!("image of {:.2} MB", mb(size)),
        );
    }

    /// A cold build, and the download of the same bytes, both through a link of 100 Mbit/s.
    fn cold_on_a_link(&self) {
        let link = Link::new(LINK);
        fs::remove_file(self.project.join("pylock.unheck.toml")).ok();
        let mut command = self.command(&self.cache.with_extension("link"), &[]);
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, &link.url);
        }
        for name in ["no_proxy", "NO_PROXY"] {
            command.env_remove(name);
        }
        let cold = measure(&mut command);
        let passed = link.passed();
        let (bytes, download) = self.download_again(Some(&link));
        let note = format!(
            "{:.1} MB came, index pages among them: {:.2} s of that link; the {:.1} MB of the lock alone take {:.2} s on it",
            mb(passed),
            passed as f64 / LINK,
            mb(bytes),
            download.as_secs_f64()
        );
        self.print("cold, on a link of 100 Mbit/s", cold, &note);
    }

    /// The Python file that an edit changes.
    fn app(&self) -> PathBuf {
        ["main.py", "web.py"]
            .map(|name| self.project.join(name))
            .into_iter()
            .find(|path| path.is_file())
            .expect("app")
    }

    fn build(&self, more: &[&str]) -> Figure {
        measure(&mut self.command(&self.cache, more))
    }

    fn command(&self, cache: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(UNHECK);
        command
            .arg("build")
            .arg(&self.project)
            .arg("-o")
            .arg(&self.output)
            .arg("-q");
        command
            .arg("--cache-dir")
            .arg(cache)
            .args(more)
            .stdout(Stdio::null());
        command
    }

    fn median(&self, rounds: usize, prepare: impl Fn(usize)) -> Figure {
        let mut figures: Vec<Figure> = (0..rounds)
            .map(|round| {
                prepare(round);
                self.build(&[])
            })
            .collect();
        figures.sort_by_key(|figure| figure.wall);
        figures[rounds / 2]
    }

    /// Forgets what was derived from blobs, of the kinds asked for, and the layers themselves.
    fn forget(&self, kind: impl Fn(&str) -> bool) {
        let derived = self.cache.join("store/derived");
        for entry in fs::read_dir(derived).expect("derived") {
            let entry = entry.expect("entry");
            if kind(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path()).expect("remove");
            }
        }
        fs::remove_file(&self.output).ok();
    }

    /// Fetches everything that the lock names once more with curl, to know what the network or the
    /// link allows.
    fn download_again(&self, link: Option<&Link>) -> (u64, Duration) {
        let mut list = tempfile::NamedTempFile::new().expect("list");
        let text = fs::read_to_string(self.project.join("pylock.unheck.toml")).expect("lock");
        let lock: toml::Table = toml::from_str(&text).expect("lock");
        let mirror = std::env::var("UNHECK_MIRROR").unwrap_or_default();
        for url in urls(&lock, &mirror) {
            writeln!(list, "url = \"{url}\"\noutput = \"/dev/null\"").expect("list");
        }
        let start = Instant::now();
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--parallel", "--parallel-max", "16"])
            .args(["--write-out", "%{size_download}\\n", "--config"])
            .arg(list.path())
            .args(link.iter().flat_map(|link| ["--proxy", link.url.as_str()]))
            .output()
            .expect("curl is needed for the comparison");
        assert!(
            output.status.success(),
            "curl could not fetch everything again"
        );
        let took = start.elapsed();
        let sizes = String::from_utf8_lossy(&output.stdout);
        (
            sizes
                .lines()
                .filter_map(|line| line.parse::<u64>().ok())
                .sum(),
            took,
        )
    }

    /// The time that `zstd -3 -T2` and `sha256sum` take, side by side, for the bytes of the layers.
    fn reference(&self) -> (u64, Duration) {
        let directory = tempfile::tempdir().expect("directory");
        let script = r#"
set -eu
tar -xf "$1" -C "$2"
for blob in "$2"/blobs/sha256/*; do
    zstd -q -dc "$blob" >> "$2/layers.tar" 2>/dev/null || true
done
cat "$2/layers.tar" > /dev/null
"#;
        let status = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&self.output)
            .arg(directory.path())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "tar and zstd are needed for the comparison"
        );
        let layers = directory.path().join("layers.tar");
        let bytes = fs::metadata(&layers).expect("layers").len();
        let start = Instant::now();
        let mut digest = Command::new("sha256sum")
            .arg(&layers)
            .stdout(Stdio::null())
            .spawn()
            .expect("sha256sum");
        let compress = Command::new("zstd")
            .args(["-q", "-3", "-T2", "-c"])
            .arg(&layers)
            .stdout(Stdio::null())
            .status();
        assert!(
            compress.is_ok_and(|status| status.success())
                && digest.wait().is_ok_and(|status| status.success())
        );
        (bytes, start.elapsed())
    }

    fn print(&self, what: &str, figure: Figure, note: &str) {
        println!(
            "| {} | {what} | {:.3} | {:.2} | {:.0} | {note} |",
            self.example,
            figure.wall.as_secs_f64(),
            figure.cpu.as_secs_f64(),
            figure.peak_kib as f64 * 1024.0 / 1e6
        );
    }
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Addresses of everything that a lock names.
fn urls(lock: &toml::Table, mirror: &str) -> Vec<String> {
    let list = |value: Option<&toml::Value>| {
        value
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let text = |value: &toml::Value, key: &str| {
        value
            .get(key)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut urls = Vec::new();
    for package in list(lock.get("packages")) {
        for wheel in list(package.get("wheels")) {
            urls.push(text(&wheel, "url"));
        }
    }
    let plan = lock.get("tool").and_then(|tool| tool.get("unheck"));
    for target in list(plan.and_then(|plan| plan.get("targets"))) {
        if mirror.is_empty() {
            continue;
        }
        for suite in list(target.get("suites")) {
            let name = text(&suite, "name");
            let base = if text(&suite, "archive") == "debian" {
                mirror.to_owned()
            } else {
                format!("{mirror}-security")
            };
            let indexes = suite
                .get("indexes")
                .and_then(toml::Value::as_table)
                .cloned()
                .unwrap_or_default();
            urls.extend(
                indexes
                    .keys()
                    .map(|path| format!("{base}/dists/{name}/{path}")),
            );
        }
        for deb in list(target.get("debs")) {
            let base = if text(&deb, "suite").ends_with("-security") {
                format!("{mirror}-security")
            } else {
                mirror.to_owned()
            };
            urls.push(format!("{base}/{}", text(&deb, "path")));
        }
    }
    urls
}

/// Runs a command to its end and asks the kernel what it used.
#[expect(
    clippy::zombie_processes,
    reason = "`wait4` waits for the child, and says what it used"
)]
fn measure(command: &mut Command) -> Figure {
    let start = Instant::now();
    // A process group of its own, so that a stopped benchmark leaves nothing behind.
    let child = command
        .process_group(0)
        .spawn()
        .expect("the command starts");
    let mut status = 0;
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types; the child is ours and is
    // waited for nowhere else.
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    let wall = start.elapsed();
    assert!(
        waited > 0 && status == 0,
        "{command:?} failed with {status}"
    );
    let seconds =
        |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Figure {
        wall,
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_kib: usage.ru_maxrss,
    }
}
