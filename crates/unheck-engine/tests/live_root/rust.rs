//! Rust crates of the real registry, and Debian's cargo that builds with them.

use std::collections::BTreeMap;

use unheck_engine::lock::Provider;
use unheck_engine::platform::Platform;
use unheck_engine::sdist::cargo::{Address, CRATES_IO, LockedCrate, config, crates, vendor};
use unheck_sandbox::Mount;

use crate::kit::{Place, run_with};

/// This workspace's own lock: real crates with their real checksums.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// Crates without dependencies that the suite's compiler is new enough for.
const NAMES: [&str; 2] = ["itoa", "memchr"];

const PROGRAM: &str = "fn main() { let mut b = itoa::Buffer::new(); println!(\"{} {:?}\", b.format(7), memchr::memchr(b'b', b\"abc\")); }\n";

pub(crate) fn builds() {
    let place = Place::new("trixie");
    let host = Platform::host().unwrap();
    let interpreter = place.interpreter(host, Provider::Standalone);
    let (_, root) = place.measured(host, &interpreter, &["cargo", "rustc"]);
    let locks = BTreeMap::from([("Cargo.lock".to_owned(), LOCK.to_owned())]);
    let mut all = crates(&locks).unwrap();
    all.retain(|one| NAMES.contains(&one.name.as_str()));
    assert_eq!(all.len(), NAMES.len(), "{all:?}");
    let address = Address::new(CRATES_IO).unwrap();
    let vendored = vendor(&place.session.net, &address, &all).unwrap();
    let project = tempfile::tempdir().unwrap();
    for (name, text) in files(&all) {
        fs_err::write(project.path().join(name), text).unwrap();
    }
    let bind = |host: &std::path::Path, inside: &str| Mount::Bind {
        host: host.to_owned(),
        inside: inside.into(),
        writable: false,
    };
    let mounts = vec![
        bind(project.path(), "/in/app"),
        bind(&vendored.directory, "/in/crates"),
    ];
    let script = "set -e\nmkdir -p app/src cargo\ncp /in/app/Cargo.* app\ncp /in/app/main.rs app/src\ncp /in/app/config.toml cargo\ncd app\nCARGO_HOME=/tmp/cargo cargo build --locked\ntarget/debug/app\n";
    assert_eq!(run_with(&place, &root, mounts, script), "7 Some(1)\n");
}

fn files(all: &[LockedCrate]) -> BTreeMap<&'static str, String> {
    let mut manifest =
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n"
            .to_owned();
    let mut lock = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"itoa\", \"memchr\"]\n".to_owned();
    for LockedCrate {
        name,
        version,
        checksum,
    } in all
    {
        manifest.push_str(&format!("{name} = \"={version}\"\n"));
        lock.push_str(&format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{}\"\n", checksum.hex()));
    }
    BTreeMap::from([
        ("Cargo.toml", manifest),
        ("Cargo.lock", lock),
        ("main.rs", PROGRAM.to_owned()),
        ("config.toml", config("/in/crates")),
    ])
}
