//! Real data from a Debian mirror: signatures of all suites, every stanza, some archives.
//!
//! Run by hand: `UNHECK_TEST_MIRROR=<base URL of the mirror> cargo test -p unheck-deb --test live -- --ignored`.

#![expect(clippy::print_stdout, reason = "what a live test saw is worth reading")]

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::process::Command;
use std::time::Instant;

use unheck_base::{Digest, TreePath};
use unheck_deb::archive::{Entry, Limits, Visitor, read_deb};
use unheck_deb::contents::{contents, decompress};
use unheck_deb::control::{BinaryPackage, packages, sources};
use unheck_deb::release::Release;
use unheck_deb::signature::Keyring;

/// The suites that unheck knows, each with its archive under the mirror's base.
const SUITES: [(&str, &str); 9] = [
    ("bullseye", "debian"),
    ("bullseye-security", "debian-security"),
    ("bookworm", "debian"),
    ("bookworm-security", "debian-security"),
    ("trixie", "debian"),
    ("trixie-updates", "debian"),
    ("trixie-security", "debian-security"),
    ("forky", "debian"),
    ("sid", "debian"),
];

#[expect(
    clippy::disallowed_methods,
    reason = "a live test is told its mirror by the environment"
)]
fn fetch(path: &str) -> Vec<u8> {
    let base =
        std::env::var("UNHECK_TEST_MIRROR").expect("UNHECK_TEST_MIRROR: base URL of a mirror");
    let url = format!("{}/{path}", base.trim_end_matches('/'));
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--location",
            "--max-time",
            "120",
            &url,
        ])
        .output()
        .expect("curl runs");
    assert!(
        output.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[expect(
    clippy::disallowed_methods,
    reason = "a live test checks against the real clock"
)]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("a date")
}

fn release(suite: &str, archive: &str) -> Release {
    let inrelease = fetch(&format!("{archive}/dists/{suite}/InRelease"));
    let started = Instant::now();
    let signed = Keyring::debian()
        .verify_inrelease(&inrelease, now())
        .expect(suite);
    println!("{suite}: {:?} {:?}", started.elapsed(), signed.signers);
    let release = Release::parse(&signed.text).expect(suite);
    release.expect_suite(suite).expect(suite);
    release
}

fn index(release: &Release, base: &str, path: &str) -> Vec<u8> {
    let path = TreePath::new(path).expect("a path");
    let entry = release.files[&path];
    let hashed = release.by_hash(&path).expect("by hash");
    let bytes = fetch(&format!("{base}/{hashed}"));
    assert_eq!(Digest::of(&bytes), entry.digest);
    bytes
}

#[test]
#[ignore = "live: needs a Debian mirror in UNHECK_TEST_MIRROR"]
fn release_files_of_all_suites_verify() {
    for (suite, archive) in SUITES {
        release(suite, archive);
        // `-security` and `-updates` are rebuilt often, and a mirror may be in between.
        if suite.contains('-') {
            continue;
        }
        let name = format!("{archive}/dists/{suite}/Release");
        let (text, signature) = (fetch(&name), fetch(&format!("{name}.gpg")));
        let signed = Keyring::debian()
            .verify_detached(&text, &signature, now())
            .expect(suite);
        assert!(!signed.signers.is_empty());
        let mut changed = text.clone();
        changed[100] ^= 1;
        Keyring::debian()
            .verify_detached(&changed, &signature, now())
            .expect_err(suite);
    }
}

#[test]
#[ignore = "live: needs a Debian mirror in UNHECK_TEST_MIRROR"]
fn every_stanza_and_relation_of_real_indexes_is_read() {
    for (suite, archive) in SUITES {
        let release = release(suite, archive);
        let base = format!("{archive}/dists/{suite}");
        let bytes = index(&release, &base, "main/binary-amd64/Packages.xz");
        let (mut count, mut relations) = (0, 0);
        packages(
            io::BufReader::new(decompress("Packages.xz", &bytes[..]).expect("xz")),
            |package| {
                count += 1;
                let fields = [
                    &package.depends,
                    &package.pre_depends,
                    &package.recommends,
                    &package.provides,
                ];
                for field in fields {
                    relations += field.parse().expect(&package.name).len();
                }
                ControlFlow::Continue(())
            },
        )
        .expect(suite);
        let bytes = index(&release, &base, "main/source/Sources.xz");
        let mut source_count = 0;
        sources(
            io::BufReader::new(decompress("Sources.xz", &bytes[..]).expect("xz")),
            |source| {
                source_count += 1;
                for field in [
                    &source.build_depends,
                    &source.build_depends_arch,
                    &source.build_depends_indep,
                ] {
                    relations += field.parse().expect(&source.name).len();
                }
                ControlFlow::Continue(())
            },
        )
        .expect(suite);
        println!("{suite}: {count} packages, {source_count} sources, {relations} relations");
    }
}

#[test]
#[ignore = "live: needs a Debian mirror in UNHECK_TEST_MIRROR"]
fn a_real_contents_index_is_read() {
    let release = release("trixie", "debian");
    let bytes = index(&release, "debian/dists/trixie", "main/Contents-amd64.gz");
    let mut found = Vec::new();
    let reader = decompress("Contents-amd64.gz", &bytes[..]).expect("gz");
    let summary = contents(reader, |path, packages| {
        if path.ends_with("/libz.so.1") {
            found.extend(packages.map(String::from));
        }
        ControlFlow::Continue(())
    });
    println!("{summary:?} {found:?}");
    assert!(found.iter().any(|name| name == "zlib1g"), "{found:?}");
}

/// Not a check but a measurement: run it with `--release`.
#[test]
#[ignore = "live: needs a Debian mirror in UNHECK_TEST_MIRROR"]
fn speed_of_reading_indexes() {
    let release = release("trixie", "debian");
    let base = "debian/dists/trixie";
    let measure = |what: &str, bytes: u64, started: Instant| {
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{what}: {bytes} bytes, {seconds:.3} s, {:.0} MB/s",
            bytes as f64 / 1e6 / seconds
        );
    };
    for name in ["main/binary-amd64/Packages.xz", "main/Contents-amd64.gz"] {
        let packed = index(&release, base, name);
        let mut text = Vec::new();
        let started = Instant::now();
        let mut reader = decompress(name, &packed[..]).expect("known");
        reader.read_to_end(&mut text).expect("good");
        measure(&format!("decompress {name}"), text.len() as u64, started);
        let started = Instant::now();
        let mut count = 0;
        if name.contains("Packages") {
            packages(&text[..], |_| {
                count += 1;
                ControlFlow::Continue(())
            })
            .expect("packages");
        } else {
            contents(&text[..], |_, packages| {
                count += packages.count();
                ControlFlow::Continue(())
            })
            .expect("contents");
        }
        measure(
            &format!("parse {name} ({count} items)"),
            text.len() as u64,
            started,
        );
    }
}

/// Counts, and reads everything.
#[derive(Default)]
struct Count {
    entries: u64,
    bytes: u64,
}

impl Visitor for Count {
    fn entry(&mut self, _: &Entry, content: &mut dyn Read) -> io::Result<()> {
        self.entries += 1;
        self.bytes += io::copy(content, &mut io::sink())?;
        Ok(())
    }
}

#[test]
#[ignore = "live: needs a Debian mirror in UNHECK_TEST_MIRROR"]
fn real_archives_are_read_whole() {
    let wanted = [
        "libc6",
        "python3.13-minimal",
        "libpython3.13-stdlib",
        "zlib1g",
        "libssl3t64",
        "tzdata",
        "ca-certificates",
        "dash",
        "passwd",
        "base-files",
        "libgl1",
        "libmagic-mgc",
        "fonts-dejavu-core",
        "perl-base",
        "debian-archive-keyring",
    ];
    for (suite, archive) in SUITES {
        let release = release(suite, archive);
        let bytes = index(
            &release,
            &format!("{archive}/dists/{suite}"),
            "main/binary-amd64/Packages.xz",
        );
        let mut found: Vec<BinaryPackage> = Vec::new();
        packages(
            io::BufReader::new(decompress("Packages.xz", &bytes[..]).expect("xz")),
            |package| {
                if wanted.contains(&package.name.as_str()) {
                    found.push(package);
                }
                ControlFlow::Continue(())
            },
        )
        .expect(suite);
        for package in found {
            let bytes = fetch(&format!("{archive}/{}", package.filename));
            assert_eq!(Digest::of(&bytes), package.sha256);
            let mut count = Count::default();
            let control =
                read_deb(&bytes[..], &Limits::default(), &mut count).expect(&package.name);
            control.matches(&package).expect(&package.name);
            println!(
                "{suite} {} {}: {} entries, {} bytes",
                package.name, package.version, count.entries, count.bytes
            );
        }
    }
}
