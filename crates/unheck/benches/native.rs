//! Compiling a distribution from source with nothing prepared, against the same by hand: `cargo bench -p unheck --bench
//! native`.
//!
//! By hand means what a person does who knows every package name: a `debootstrap` root, `apt-get install` of compiler,
//! Python headers and the right development packages, then `pip wheel` inside. It needs root, `debootstrap` and
//! `UNHECK_MIRROR`; without them that column is left out, and the table says so. Prints a Markdown table.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads files and prints tables"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const UNHECK: &str = env!("CARGO_BIN_EXE_unheck");

/// What is compiled, and what a person would install for it.
const CASES: [(&str, &[&str]); 2] = [
    ("psycopg2", &["libpq-dev"]),
    ("lxml", &["libxml2-dev", "libxslt1-dev", "zlib1g-dev"]),
];

fn main() {
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    println!("| distribution | what | wall s | builds |\n|---|---|---|---|");
    for (name, packages) in CASES {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            let scratch = tempfile::tempdir().expect("a temporary directory");
            with_unheck(scratch.path(), name);
            by_hand(scratch.path(), name, packages);
        }
    }
}

/// From nothing to a lock, again with a store that knows all, and with a store that has the build root only.
fn with_unheck(scratch: &Path, name: &str) {
    let project = scratch.join("project");
    fs::create_dir_all(&project).expect("directory");
    let toml = format!(
        "[project]\nname = \"bench\"\nversion = \"1\"\ndependencies = [\"{name}\"]\n\n[tool.uv]\nno-binary-package = [\"{name}\"]\n"
    );
    fs::write(project.join("pyproject.toml"), toml).expect("written");
    fs::write(project.join("main.py"), "").expect("written");
    let cache = scratch.join("cache");
    row(
        name,
        "unheck lock, nothing prepared",
        &lock(&project, &cache),
    );
    fs::remove_file(project.join("pylock.unheck.toml")).expect("removed");
    row(
        name,
        "unheck lock, again without the lock",
        &lock(&project, &cache),
    );
    for kind in ["sdist-wheel", "sdist-recipe"] {
        let _ = fs::remove_dir_all(cache.join("store/derived").join(kind));
    }
    fs::remove_file(project.join("pylock.unheck.toml")).expect("removed");
    row(
        name,
        "unheck lock, build root known, wheel and recipe forgotten",
        &lock(&project, &cache),
    );
}

/// A run of `unheck lock`: its time and how often it built.
fn lock(project: &Path, cache: &Path) -> (Duration, usize) {
    let begun = Instant::now();
    let output = Command::new(UNHECK)
        .args(["lock", project.to_str().expect("text")])
        .env("UNHECK_CACHE_DIR", cache)
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let builds = said
        .lines()
        .filter(|line| line.starts_with("compiling "))
        .count();
    (begun.elapsed(), builds)
}

fn by_hand(scratch: &Path, name: &str, packages: &[&str]) {
    let Ok(mirror) = std::env::var("UNHECK_MIRROR") else {
        println!("| {name} | by hand | - | not measured: `UNHECK_MIRROR` is not set |");
        return;
    };
    let root = scratch.join("root");
    let root = root.to_str().expect("text");
    let begun = Instant::now();
    let include = [
        &[
            "python3-dev",
            "python3-pip",
            "gcc",
            "g++",
            "make",
            "pkgconf",
        ],
        packages,
    ]
    .concat();
    let made = quiet(Command::new("debootstrap").args([
        "--variant=minbase",
        &format!("--include={},ca-certificates", include.join(",")),
        "trixie",
        root,
        &mirror,
    ]));
    if !made {
        println!("| {name} | by hand | - | not measured: `debootstrap` is missing or failed |");
        return;
    }
    let rooted = begun.elapsed();
    for file in [
        "etc/resolv.conf",
        "etc/pip.conf",
        "etc/ssl/certs/ca-certificates.crt",
    ] {
        let _ = fs::copy(Path::new("/").join(file), Path::new(root).join(file));
    }
    let built = quiet(Command::new("chroot").args([
        root,
        "pip",
        "wheel",
        "--no-deps",
        "--no-binary",
        name,
        "--wheel-dir",
        "/wheels",
        name,
    ]));
    let note = if built { "1" } else { "1 (failed)" };
    println!(
        "| {name} | by hand: debootstrap and apt | {:.1} | |",
        rooted.as_secs_f64()
    );
    println!(
        "| {name} | by hand: all | {:.1} | {note} |",
        begun.elapsed().as_secs_f64()
    );
}

fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn row(name: &str, what: &str, (wall, builds): &(Duration, usize)) {
    println!("| {name} | {what} | {:.1} | {builds} |", wall.as_secs_f64());
}
