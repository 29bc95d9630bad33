//! Crates for builds without network, out of a small registry on loopback.

use std::collections::BTreeMap;
use std::sync::Arc;

use unheck_base::Digest;
use unheck_engine::explain::Explain;
use unheck_engine::sdist::cargo::{Address, CargoError, Vendored, config, crates, vendor};
use unheck_engine::session::Session;
use unheck_testkit::Server;
use unheck_testkit::tarball::{FIFO, TarEntry, gzip, write_tar};

use crate::support::{Fixture, Heard};

/// A registry with one crate, and a session.
struct Place {
    server: Server,
    session: Session,
    lock: String,
    _fixture: Fixture,
}

impl Place {
    fn new(entries: &[TarEntry]) -> Self {
        let fixture = Fixture::new();
        let session = fixture.run.session(Arc::new(Heard::default())).unwrap();
        let bytes = gzip(&write_tar(entries));
        let lock = format!(
            "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"one\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{}\"\n",
            Digest::of(&bytes).hex()
        );
        let server = Server::start();
        server.put("/crates/one/1.0.0/download", bytes);
        Self {
            server,
            session,
            lock,
            _fixture: fixture,
        }
    }

    fn vendor(&self) -> Result<Vendored, CargoError> {
        let address = Address::new(&self.server.url("/crates"))?;
        let locks = BTreeMap::from([("Cargo.lock".to_owned(), self.lock.clone())]);
        vendor(&self.session.net, &address, &crates(&locks)?)
    }
}

fn good() -> Vec<TarEntry> {
    vec![
        TarEntry::file("one-1.0.0/Cargo.toml", "[package]\nname = \"one\"\n"),
        TarEntry::file("one-1.0.0/src/lib.rs", "pub fn one() {}\n"),
        TarEntry::file(
            "one-1.0.0/.cargo-checksum.json",
            "{\"files\":{\"src/lib.rs\":\"00\"}}",
        ),
    ]
}

#[test]
fn locked_crates_become_a_directory_source() {
    let place = Place::new(&good());
    let vendored = place.vendor().unwrap();
    let read = |name: &str| fs_err::read_to_string(vendored.directory.join(name)).unwrap();
    assert_eq!(read("one-1.0.0/src/lib.rs"), "pub fn one() {}\n");
    let checksum: serde_json::Value =
        serde_json::from_str(&read("one-1.0.0/.cargo-checksum.json")).unwrap();
    assert_eq!(checksum["files"], serde_json::json!({}));
    assert!(place.lock.contains(checksum["package"].as_str().unwrap()));
    let asked = place.server.requests().len();
    let again = place.vendor().unwrap();
    assert_eq!(again.directory, vendored.directory);
    assert_eq!(place.server.requests().len(), asked);
    insta::assert_snapshot!(config("/in/crates"), @r#"
    [source.crates-io]
    replace-with = "vendored"

    [source.vendored]
    directory = "/in/crates"

    [net]
    offline = true
    "#);
}

#[test]
fn a_hostile_crate_is_refused() {
    let outside = |path: &str| {
        let mut entries = good();
        entries.push(TarEntry::file(path, "evil"));
        entries
    };
    let with = |entry: TarEntry| {
        let mut entries = good();
        entries.push(entry);
        entries
    };
    let cases = [
        (outside("../evil"), "cannot be unpacked"),
        (outside("/etc/evil"), "cannot be unpacked"),
        (outside("two-1.0.0/evil"), "outside of its own directory"),
        (outside("one-1.0.0x/evil"), "outside of its own directory"),
        (outside("one-1.0.0/src/lib.rs/evil"), "is below a file"),
        (outside("one-1.0.0/src/lib.rs"), "is there twice"),
        (outside("one-1.0.0/src"), "is there twice"),
        (
            with(TarEntry::symlink("one-1.0.0/link", "/etc/passwd")),
            "neither file nor directory",
        ),
        (
            with(TarEntry::hardlink("one-1.0.0/link", "one-1.0.0/Cargo.toml")),
            "neither file nor",
        ),
        (
            with(TarEntry::new("one-1.0.0/pipe", FIFO, 0o644)),
            "neither file nor directory",
        ),
    ];
    for (entries, expected) in cases {
        let error = Place::new(&entries).vendor().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn another_file_than_the_locked_one_is_refused() {
    let place = Place::new(&good());
    place
        .server
        .put("/crates/one/1.0.0/download", gzip(b"other"));
    assert!(matches!(place.vendor().unwrap_err(), CargoError::Net(_)));
}

#[test]
fn without_a_lock_there_is_a_message() {
    let error = crates(&BTreeMap::new()).unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.hints().join("\n")), @"
    it is built with cargo and has no `Cargo.lock`: its crates cannot be known without network
    take a version whose sdist has one, or build the wheel elsewhere and name it as a requirement
    ");
    let place = Place::new(&good());
    let sum = Digest::of(b"x").hex();
    let other = place
        .lock
        .lines()
        .map(|line| match line.starts_with("checksum") {
            true => format!("checksum = \"{sum}\"\n"),
            false => format!("{line}\n"),
        });
    let locks = BTreeMap::from([
        ("Cargo.lock".to_owned(), place.lock.clone()),
        ("more/Cargo.lock".to_owned(), other.collect()),
    ]);
    let error = crates(&locks).unwrap_err();
    assert!(matches!(error, CargoError::TwoChecksums { .. }), "{error}");
}
