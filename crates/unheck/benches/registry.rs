//! `unheck push` against skopeo, in turn, into Debian's docker-registry on loopback: `cargo bench -p unheck --bench
//! registry`. And what a second push sends after an edit of the app.
//!
//! Each push goes into an empty registry of its own. Processor time is that of the client alone. Prints a Markdown
//! table; needs `docker-registry`, `skopeo`, and the network for the builds. `-- web` measures one example.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads files and prints tables"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use unheck_testkit::DockerRegistry;

const UNHECK: &str = env!("CARGO_BIN_EXE_unheck");
/// Pushes of each client.
const ROUNDS: usize = 9;

fn main() {
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    println!(
        "| example | MB | unheck, wall (CPU) s | skopeo, wall (CPU) s | speed | second push: sent, of the app's layer |\n|---|---|---|---|---|---|"
    );
    for example in ["hello", "web", "data"] {
        if only.is_empty() || only.iter().any(|name| name == example) {
            let scratch = tempfile::tempdir().expect("a temporary directory");
            measure(scratch.path(), example);
        }
    }
}

fn measure(scratch: &Path, example: &str) {
    let project = scratch.join(example);
    fs::create_dir_all(&project).expect("directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for entry in fs::read_dir(source.join(example)).expect("example") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), project.join(entry.file_name())).expect("copy");
    }
    let image = scratch.join("image.oci.tar");
    build(scratch, &project, &image);
    let layout = format!("oci:{}:image", scratch.join("layout").display());
    let archive = format!("oci-archive:{}", image.display());
    ended(Command::new("skopeo").args(["copy", "-q", &archive, &layout]));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Whoever is second finds the machine as the first left it.
        for first in [round % 2 == 0, round % 2 != 0] {
            let registry = DockerRegistry::start(false);
            if first {
                ours.push(timed(&mut push(scratch, &image, &registry.host)));
            } else {
                let to = format!("docker://{}/team/{example}:1", registry.host);
                let mut skopeo = Command::new("skopeo");
                skopeo.args(["copy", "-q", "--dest-tls-verify=false", &layout, &to]);
                theirs.push(timed(&mut skopeo));
            }
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let (sent, layer) = second(scratch, &project, &image);
    println!(
        "| {example} | {:.1} | {:.3} ({:.3}) | {:.3} ({:.3}) | {:.2} × | {sent} B, {:.3} × |",
        fs::metadata(&image).expect("image").len() as f64 / 1e6,
        ours.0.as_secs_f64(),
        ours.1.as_secs_f64(),
        theirs.0.as_secs_f64(),
        theirs.1.as_secs_f64(),
        theirs.0.as_secs_f64() / ours.0.as_secs_f64(),
        sent as f64 / layer as f64
    );
}

fn unheck(scratch: &Path) -> Command {
    let mut command = Command::new(UNHECK);
    command.env("UNHECK_CACHE_DIR", scratch.join("cache"));
    command
}

fn build(scratch: &Path, project: &Path, image: &Path) {
    let mut build = unheck(scratch);
    build.args(["build", "--no-verify"]).arg(project);
    ended(build.arg("-o").arg(image));
}

/// The blobs of an image, as skopeo pushes them: without what is attached.
fn push(scratch: &Path, image: &Path, host: &str) -> Command {
    // What was pushed where is remembered for mounting, and no help in an empty registry.
    let mut push = unheck(scratch);
    push.arg("push").arg(image);
    push.arg(format!("{host}/team/image:1"));
    push.args(["--no-attach", "--json", "--insecure-registry", host]);
    push
}

/// Bytes of blobs that a push sends after an edit of the app, and the size of the app's layer.
fn second(scratch: &Path, project: &Path, image: &Path) -> (u64, u64) {
    let registry = DockerRegistry::start(false);
    ended(&mut push(scratch, image, &registry.host));
    let source: PathBuf = fs::read_dir(project)
        .expect("project")
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "py"))
        .expect("a source file");
    let text = fs::read_to_string(&source).expect("source");
    fs::write(&source, text + "# an edit\n").expect("source");
    build(scratch, project, image);
    let output = push(scratch, image, &registry.host).output().expect("push");
    let pushed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut size = unheck(scratch);
    let output = size.args(["size", "--json"]).arg(image).output();
    let size: serde_json::Value =
        serde_json::from_slice(&output.expect("size").stdout).expect("JSON");
    let layers = size["platforms"][0]["layers"].as_array().expect("layers");
    let app = layers.last().expect("a layer")["compressed"].as_u64();
    (
        pushed["pushed"][0]["sent"].as_u64().expect("bytes"),
        app.expect("bytes"),
    )
}

fn ended(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("a program");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Wall and processor time of a command that ends well.
fn timed(command: &mut Command) -> (Duration, Duration) {
    let (before, begun) = (children(), Instant::now());
    ended(command);
    (begun.elapsed(), children().saturating_sub(before))
}

/// Processor time of all children that were waited for; a registry is killed and waited for between two commands.
fn children() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is writable memory of the right size, and zeroes are a valid value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
        .sum()
}

/// The median of each.
fn median(figures: Vec<(Duration, Duration)>) -> (Duration, Duration) {
    let (mut wall, mut cpu): (Vec<_>, Vec<_>) = figures.into_iter().unzip();
    wall.sort_unstable();
    cpu.sort_unstable();
    (wall[wall.len() / 2], cpu[cpu.len() / 2])
}
