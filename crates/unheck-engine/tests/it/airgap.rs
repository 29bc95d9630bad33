//! Kits: what a lock needs in one file, and builds from it where nothing else is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unheck_base::Digest;
use unheck_engine::build::{BuildError, LockMode, build, read_lock, write_lock};
use unheck_engine::debian::{Chain, ChainError};
use unheck_engine::explain::Explain as _;
use unheck_engine::input::{app_files, read};
use unheck_engine::kit::{
    ExportError, ExportRequest, Exported, Kind, KitError, KitFile, Program, check_lock, export,
    hold_to_indexes,
};
use unheck_engine::lock::{Chosen, Compiled, Hashes, Lock, Wheel};
use unheck_engine::net::NetError;
use unheck_engine::platform::Platform;
use unheck_engine::sdist::restore;
use unheck_store::Store;
use unheck_testkit::tarball::{TarEntry, gzip, write_tar};
use unheck_testkit::{SdistBuilder, World};

use crate::support::*;

fn fixture() -> Fixture {
    Fixture::new().requirements("demo\nnative\nneeds-gl\n")
}

fn mode(run: &Run) -> LockMode {
    match run.mode.as_str() {
        "renew" => LockMode::Renew,
        "locked" => LockMode::Locked,
        _ => LockMode::Frozen,
    }
}

fn exported(run: &Run, kit: &Path) -> Result<Exported, ExportError> {
    let session = run.session(Arc::new(Heard::default())).unwrap();
    let project = read(&run.project).unwrap();
    let app = app_files(&project).unwrap();
    let program = run.project.parent().unwrap().join("program");
    fs_err::write(&program, "stands for the program").unwrap();
    let request = ExportRequest {
        lock: run.lock_options(&project.config),
        mode: mode(run),
        output: kit.to_owned(),
        keyring: Some(run.keyring.clone()),
        program: Program::At(program),
    };
    export(&session, &project, &app, &request)
}

/// Builds with a store of its own, no network and a kit.
fn from_kit(run: &Run, store: &Path, kit: &Path) -> Result<Digest, BuildError> {
    let mut run = run.clone();
    run.store = store.to_owned();
    run.offline = true;
    run.output = store.join("../from-kit.oci.tar");
    let mut session = run.session(Arc::new(Heard::default())).unwrap();
    session.net = session.net.with_kit(Arc::new(KitFile::open(kit).unwrap()));
    let project = read(&run.project).unwrap();
    let request = run.request(&project.config);
    build(&session, &project, &request).map(|built| built.image.digest)
}

fn lock_path(run: &Run) -> PathBuf {
    run.project.join("pylock.unheck.toml")
}

fn lock_of(run: &Run) -> Lock {
    read_lock(&lock_path(run)).unwrap().unwrap()
}

fn blobs(store: &Path) -> BTreeSet<String> {
    let files = files(&store.join("blobs"));
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(name).collect()
}

#[test]
fn a_kit_alone_gives_the_same_image() {
    let fixture = fixture();
    let digest = fixture.build().built.image.digest;
    let kit = fixture.path("app.kit");
    let written = exported(&fixture.run, &kit).unwrap();
    assert_eq!(written.digest, Digest::of(&fs_err::read(&kit).unwrap()));
    assert_eq!(written.size, fs_err::metadata(&kit).unwrap().len());
    assert!(!written.locked);
    for kind in [
        Kind::Lock,
        Kind::Program,
        Kind::Keys,
        Kind::Wheel,
        Kind::Deb,
        Kind::Index,
    ] {
        assert!(written.shares.contains_key(&kind), "{kind:?}");
    }
    let every = written.manifest.entries.iter();
    assert!(
        every
            .clone()
            .all(|entry| !entry.why.is_empty() && !entry.name.is_empty())
    );

    // The servers are gone, and so is every cache.
    let Fixture { scenario, dir, run } = fixture;
    drop(scenario);
    let store = dir.path().join("other/store");
    fs_err::create_dir_all(store.parent().unwrap()).unwrap();
    assert_eq!(from_kit(&run, &store, &kit).unwrap(), digest);
    // Only what the build needed left the kit: no index, no key, no program.
    let taken = blobs(&store);
    let needed = every.filter(|entry| matches!(entry.kind, Kind::Wheel | Kind::Deb));
    for entry in needed {
        assert!(taken.contains(&entry.digest.hex()), "{}", entry.name);
    }
    let indexes = written
        .manifest
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::Index);
    for entry in indexes {
        assert!(!taken.contains(&entry.digest.hex()), "{}", entry.name);
    }
}

#[test]
fn the_same_lock_gives_the_same_bytes_in_another_directory_from_another_cache() {
    let one = fixture();
    one.build();
    let other =
        Fixture::of(unheck_testkit::Scenario::basic()).requirements("demo\nnative\nneeds-gl\n");
    let lock = fs_err::read_to_string(lock_path(&one.run)).unwrap();
    other.write("pylock.unheck.toml", lock);
    // The lock names the index of the first world, where the second finds the wheels too.
    let run = other.with(|run| {
        run.mode = "frozen".to_owned();
        run.keyring = one.run.keyring.clone();
    });
    let frozen = one.with(|run| run.mode = "frozen".to_owned());
    let first = exported(&frozen, &one.path("a.kit")).unwrap();
    let second = exported(&run, &other.path("deep/er/b.kit")).unwrap();
    assert_eq!(first.digest, second.digest);
}

#[test]
fn what_was_compiled_comes_along_with_all_that_makes_it_again() {
    let fixture = fixture();
    fixture.build();
    let sdist = SdistBuilder::new("hello-lib", "1.0").file(
        "Cargo.lock",
        CARGO_LOCK.replace("SUM", &Digest::of(&a_crate()).hex()),
    );
    let kept = Store::open(&fixture.run.store).unwrap();
    let put = |bytes: &[u8]| kept.put_bytes(bytes).unwrap();
    put(&a_crate());
    let mut lock = lock_of(&fixture.run);
    // The pure wheel stands for one that was compiled: the world has no compiler.
    let at = lock
        .packages
        .iter()
        .position(|package| package.name == "hello-lib");
    let package = &mut lock.packages[at.unwrap()];
    let wheel = package.wheels.remove(0);
    let source = wheel_of(&sdist.filename(), put(&sdist.build()));
    package.sdist = Some(source.clone());
    let requires = wheel_of("backend-1.0-py3-none-any.whl", put(b"a backend"));
    let target = &mut lock.plan.targets[0];
    let deb = target.debs[0].clone();
    let root = vec!["cargo".to_owned()];
    target.build_debs.push(deb.clone());
    lock.plan.builds.push(Compiled {
        name: "hello-lib".to_owned(),
        version: Some("1.0".to_owned()),
        platform: Platform::LinuxAmd64,
        source: source.hashes.sha256,
        sdist: Some(source.clone()),
        subdirectory: None,
        backend: "backend".to_owned(),
        key: Digest::of(b"key"),
        sandbox: "none".to_owned(),
        wheel: Wheel {
            url: None,
            ..wheel.clone()
        },
        requires: vec![requires.clone()],
        debs: Vec::<Chosen>::new(),
        root,
        attempts: Vec::new(),
    });
    write_lock(&lock_path(&fixture.run), &lock).unwrap();
    let run = fixture.with(|run| run.mode = "frozen".to_owned());
    let digest = fixture.built(&run).built.image.digest;
    let kit = fixture.path("app.kit");
    let written = exported(&run, &kit).unwrap();
    let kind = |digest: &Digest| {
        let mut entries = written.manifest.entries.iter();
        entries
            .find(|entry| entry.digest == *digest)
            .map(|entry| entry.kind)
    };
    assert_eq!(kind(&wheel.hashes.sha256), Some(Kind::CompiledWheel));
    assert_eq!(kind(&source.hashes.sha256), Some(Kind::Sdist));
    assert_eq!(kind(&requires.hashes.sha256), Some(Kind::Wheel));
    assert_eq!(kind(&Digest::of(&a_crate())), Some(Kind::Crate));
    let in_root = written
        .manifest
        .entries
        .iter()
        .find(|entry| entry.digest == deb.sha256);
    let why = &in_root.unwrap().why;
    assert!(
        why.iter()
            .any(|one| one.starts_with("build root of linux/amd64")),
        "{why:?}"
    );

    let Fixture { scenario, dir, .. } = fixture;
    drop(scenario);
    let store = dir.path().join("other/store");
    fs_err::create_dir_all(store.parent().unwrap()).unwrap();
    assert_eq!(from_kit(&run, &store, &kit).unwrap(), digest);
    // Nothing is compiled where the wheel is in the kit.
    let mut session = run
        .with_store(&store)
        .session(Arc::new(Heard::default()))
        .unwrap();
    session.net = session.net.with_kit(Arc::new(KitFile::open(&kit).unwrap()));
    let project = read(&run.project).unwrap();
    restore(
        &session,
        &project,
        &run.lock_options(&project.config),
        &lock,
    )
    .unwrap();
}

const CARGO_LOCK: &str = "version = 3\n\n[[package]]\nname = \"one\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"SUM\"\n";

fn a_crate() -> Vec<u8> {
    gzip(&write_tar(&[TarEntry::file(
        "one-1.0.0/Cargo.toml",
        "[package]\n",
    )]))
}

fn wheel_of(name: &str, digest: Digest) -> Wheel {
    Wheel {
        name: name.to_owned(),
        url: Some(format!("http://nowhere.invalid/{name}")),
        path: None,
        upload_time: None,
        size: None,
        hashes: Hashes { sha256: digest },
    }
}

impl Run {
    fn with_store(&self, store: &Path) -> Self {
        let mut run = self.clone();
        run.store = store.to_owned();
        run.offline = true;
        run
    }
}

/// Goes along the chain with nothing but a kit; the keys are those in it.
fn chain(run: &Run, store: &Path, kit: &Path, lock: &Lock) -> Result<Chain, ChainError> {
    let run = run.with_store(store);
    let mut session = run.session(Arc::new(Heard::default())).unwrap();
    session.keyring = unheck_deb::signature::Keyring::default();
    let kit = Arc::new(KitFile::open(kit).unwrap());
    session.net = session.net.with_kit(Arc::clone(&kit));
    hold_to_indexes(&session, &kit, lock)
}

#[test]
fn the_chain_holds_in_the_gap_and_a_changed_lock_breaks_it() {
    let fixture = fixture();
    fixture.build();
    let kit = fixture.path("app.kit");
    exported(&fixture.run, &kit).unwrap();
    let lock = lock_of(&fixture.run);
    let store = fixture.path("other");
    let held = chain(&fixture.run, &store, &kit, &lock).unwrap();
    assert_eq!(held.suites, ["trixie", "trixie-security", "trixie-updates"]);
    assert_eq!(held.debs, lock.plan.targets[0].debs.len());

    let mut other = lock.clone();
    other.plan.targets[0].debs[0].sha256 = Digest::of(b"another");
    let error = chain(&fixture.run, &store, &kit, &other).unwrap_err();
    assert!(matches!(error, ChainError::NotListed { .. }), "{error}");

    let mut other = lock.clone();
    other.plan.targets[0].debs[0].suite = "sid".to_owned();
    let error = chain(&fixture.run, &store, &kit, &other).unwrap_err();
    assert!(matches!(error, ChainError::NotListed { .. }), "{error}");

    // Keys that came with the kit count for what the lock says of them only.
    let mut other = lock.clone();
    for suite in &mut other.plan.targets[0].suites {
        suite.signed_by = vec!["0".repeat(40)];
    }
    let error = chain(&fixture.run, &store, &kit, &other).unwrap_err();
    assert!(matches!(error, ChainError::Signers { .. }), "{error}");

    let mut other = lock.clone();
    for digest in other.plan.targets[0].suites[0].indexes.values_mut() {
        *digest = Digest::of(b"another");
    }
    let error = chain(&fixture.run, &store, &kit, &other).unwrap_err();
    assert!(matches!(error, ChainError::Differs { .. }), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    let fixture = fixture();
    fixture.build();
    let run = fixture.with(|run| {
        run.store = fixture.path("empty");
        run.offline = true;
    });
    let kit = fixture.path("app.kit");
    let error = exported(&run, &kit).unwrap_err();
    let ExportError::Net(NetError::Offline { labels }) = &error else {
        panic!("{error:?}");
    };
    assert!(
        labels.iter().any(|label| label.starts_with("demo-1.")),
        "{labels:?}"
    );
    assert_eq!(error.hints(), ["run once without `--offline`"]);
    assert!(!kit.exists());

    // A mirror that moved on has the packages, but not the index of that day.
    fixture
        .scenario
        .publish(&World::basic().date(unheck_testkit::suite::DATE + 3600));
    let run = fixture.with(|run| {
        run.store = fixture.path("empty");
        run.mode = "frozen".to_owned();
    });
    let error = exported(&run, &kit).unwrap_err();
    assert!(
        matches!(error, ExportError::Chain(ChainError::MovedOn { .. })),
        "{error:?}"
    );
    assert!(error.hints()[0].contains("--snapshot-mirror"));
    assert!(!kit.exists());
    // Where the cache has it, the mirror is not asked.
    let run = fixture.with(|run| run.mode = "frozen".to_owned());
    exported(&run, &kit).unwrap();
}

/// The text of an error in opening a kit of these bytes.
fn opened(fixture: &Fixture, bytes: &[u8]) -> KitError {
    let path = fixture.path("hostile.kit");
    fs_err::write(&path, bytes).unwrap();
    KitFile::open(&path).unwrap_err()
}

#[test]
fn what_is_no_kit_or_a_cut_or_changed_one_is_refused() {
    let fixture = fixture();
    fixture.build();
    let kit = fixture.path("app.kit");
    let written = exported(&fixture.run, &kit).unwrap();
    let good = fs_err::read(&kit).unwrap();
    // The manifest is at the begin, and is ASCII.
    let text = String::from_utf8_lossy(&good).into_owned();

    let image = fs_err::read(&fixture.run.output).unwrap();
    for other in [
        &b""[..],
        b"kit.json",
        &[0; 4096],
        &image,
        &good[..511],
        &good[1..],
    ] {
        let error = opened(&fixture, other);
        assert!(matches!(error, KitError::NotAKit { .. }), "{error}");
    }
    let error = KitFile::open(fixture.dir.path()).unwrap_err();
    assert!(matches!(error, KitError::NotAFile { .. }), "{error}");
    let error = KitFile::open(&fixture.path("nowhere")).unwrap_err();
    assert!(matches!(error, KitError::Open { .. }), "{error}");

    for left in (512..good.len())
        .step_by(good.len() / 97)
        .chain([good.len() - 1])
    {
        let error = opened(&fixture, &good[..left]);
        assert!(
            matches!(error, KitError::Truncated { .. }),
            "{left}: {error}"
        );
    }
    let error = opened(&fixture, &[&good[..], &[0; 512]].concat());
    assert!(matches!(error, KitError::Wrong { .. }), "{error}");

    let changed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = text.find(from).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        opened(&fixture, &bytes)
    };
    let error = changed("\"format\": 1,", "\"format\": 2,");
    assert!(
        matches!(error, KitError::Newer { format: 2, .. }),
        "{error}"
    );
    let error = changed("\"format\": 1,", "\"format\": 0,");
    assert!(matches!(error, KitError::Wrong { .. }), "{error}");
    let error = changed("\"path\": \"blobs/sha256/", "\"path\": \"../../sha256/");
    assert!(error.to_string().contains("of its manifest"), "{error}");
    let error = changed("\"path\": \"blobs/sha256/", "\"path\": \"blobs/sha257/");
    assert!(error.to_string().contains("should be"), "{error}");
    let error = changed("\"path\": \"keys/debian", "\"path\": \"keysadebian");
    assert!(
        error.to_string().contains("is no file of `keys`"),
        "{error}"
    );
    let error = changed("\"entries\": [", "\"entrees\": [");
    assert!(error.to_string().contains("entrees"), "{error}");
    // A header that is not the one that the manifest asks for: another name, a link, a size.
    let last = written.manifest.entries.last().unwrap();
    let header = last_place(&good, last.path.as_str().as_bytes());
    for at in [header, header + 100, header + 130, header + 156] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let error = opened(&fixture, &bytes);
        assert!(
            error.to_string().contains("is not where it says"),
            "{at}: {error}"
        );
    }
}

#[test]
fn a_manifest_that_announces_too_much_is_not_read() {
    let fixture = Fixture::new();
    let entry = |size: u64| {
        let path = unheck_base::TreePath::new("kit.json").unwrap();
        let entry = unheck_oci::tar_writer::Entry {
            path: &path,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 315_532_800,
            kind: unheck_oci::tar_writer::EntryKind::File { len: size },
        };
        unheck_oci::tar_writer::header(&entry).unwrap()
    };
    let error = opened(&fixture, &entry(8 << 30));
    assert!(matches!(error, KitError::NotAKit { .. }), "{error}");
    let error = opened(&fixture, &entry((8 << 30) - 1));
    assert!(
        error.to_string().contains("longer than any real one"),
        "{error}"
    );
    let huge = format!(
        "{{\"format\":1,\"unheck\":\"0\",\"lock\":\"{0}\",\"indexes\":[],\"entries\":[{{\"path\":\"blobs/sha256/{1}\",\"digest\":\"{0}\",\"size\":{2},\"kind\":\"deb\",\"name\":\"x\",\"why\":[\"y\"]}}]}}",
        Digest::of(b""),
        Digest::of(b"").hex(),
        u64::MAX
    );
    let mut bytes = entry(huge.len() as u64);
    bytes.extend(huge.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let error = opened(&fixture, &bytes);
    assert!(matches!(error, KitError::Truncated { .. }), "{error}");
}

#[test]
fn a_blob_that_is_another_one_never_reaches_the_store() {
    let fixture = fixture();
    fixture.build();
    let kit = fixture.path("app.kit");
    let written = exported(&fixture.run, &kit).unwrap();
    let good = fs_err::read(&kit).unwrap();
    for kind in [Kind::Wheel, Kind::Deb] {
        let entry = written
            .manifest
            .entries
            .iter()
            .find(|entry| entry.kind == kind);
        let entry = entry.unwrap();
        // Its header is the one place besides the manifest that has its path.
        let at = last_place(&good, entry.path.as_str().as_bytes()) + 512;
        let mut bytes = good.clone();
        bytes[at + entry.size as usize / 2] ^= 1;
        let bad = fixture.path("bad.kit");
        fs_err::write(&bad, &bytes).unwrap();
        let store = fixture.path("gap").join("store");
        fs_err::create_dir_all(store.parent().unwrap()).unwrap();
        let error = from_kit(&fixture.run, &store, &bad).unwrap_err();
        assert!(
            matches!(&error, BuildError::Net(NetError::Kit(KitError::Damaged { name, .. })) if *name == entry.name),
            "{error:?}"
        );
        assert!(!blobs(&store).contains(&entry.digest.hex()));
        assert!(!fixture.path("gap").join("from-kit.oci.tar").exists());
        assert_eq!(leftovers(&store), Vec::<String>::new());
        fs_err::remove_dir_all(fixture.path("gap")).unwrap();
    }
}

fn last_place(hay: &[u8], needle: &[u8]) -> usize {
    hay.windows(needle.len())
        .rposition(|one| one == needle)
        .unwrap()
}

#[test]
fn a_kit_of_another_lock_says_what_differs() {
    let fixture = fixture();
    fixture.build();
    let kit = fixture.path("app.kit");
    exported(&fixture.run, &kit).unwrap();
    let opened = KitFile::open(&kit).unwrap();
    let path = lock_path(&fixture.run);
    check_lock(&opened, &path).unwrap();
    let mut lock = lock_of(&fixture.run);
    lock.packages[0].version = Some("9.9".to_owned());
    lock.plan.targets[0].debs.remove(0);
    write_lock(&path, &lock).unwrap();
    let error = check_lock(&opened, &path).unwrap_err();
    let KitError::OtherLock { differences, .. } = &error else {
        panic!("{error}");
    };
    assert!(differences.contains("9.9 in the lock"), "{differences}");
    assert!(differences.contains("in the kit only"), "{differences}");
    fs_err::remove_file(&path).unwrap();
    let error = check_lock(&opened, &path).unwrap_err();
    assert!(matches!(error, KitError::NoLock { .. }), "{error}");
    assert!(error.hints()[0].contains("tar xf"), "{:?}", error.hints());
    // A project that moved on has nothing to choose from.
    write_lock(&path, &opened.lock().unwrap()).unwrap();
    fixture.write("requirements.txt", "demo\n");
    let store = fixture.path("gap").join("store");
    fs_err::create_dir_all(store.parent().unwrap()).unwrap();
    let error = from_kit(&fixture.run, &store, &kit).unwrap_err();
    assert!(matches!(error, BuildError::StaleForKit { .. }), "{error}");
    assert!(
        error.hints()[0].contains("unheck export"),
        "{:?}",
        error.hints()
    );
}
