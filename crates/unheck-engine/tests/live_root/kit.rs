//! A session against this machine's mirror, and [`run`] for a script in a root.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use unheck_deb::signature::Keyring;
use unheck_engine::debian::{Mirror, Suites, SuitesRequest};
use unheck_engine::event::{Event, Reporter};
use unheck_engine::input::Mirrors;
use unheck_engine::lock::{Interpreter, Provider};
use unheck_engine::net::Net;
use unheck_engine::platform::Platform;
use unheck_engine::sdist::root::{BuildRoot, RootSet, build_root};
use unheck_engine::session::Session;
use unheck_sandbox::{HelperExe, Limits, Mount, Spec, Stdio};
use unheck_store::Store;

use crate::{again, names};

/// A store of its own, so that the first root is a cold one, and one suite.
pub(crate) struct Place {
    pub(crate) session: Session,
    suites: Suites,
    suite: String,
    _directory: tempfile::TempDir,
}

struct Quiet;

impl Reporter for Quiet {
    fn event(&self, _: Event<'_>) {}
}

impl Place {
    pub(crate) fn new(suite: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("live-root-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let reporter: Arc<dyn Reporter> = Arc::new(Quiet);
        let now = now();
        let session = Session {
            net: Net::new(store, Arc::clone(&reporter), false).unwrap(),
            mirror: Mirror::new(&Mirrors::default(), &mirrors()).unwrap(),
            keyring: Keyring::debian(),
            reporter,
            now,
            allow_expired: Vec::new(),
            helper: HelperExe::current(),
            resolver_cache: directory.path().join("resolver"),
            answers: unheck_resolve::Answers::default(),
            index: unheck_resolve::IndexSettings::default(),
            environment: unheck_resolve::Environment::default(),
            crates: unheck_engine::session::CrateSource::default(),
            source_date_epoch: None,
        };
        let request = SuitesRequest {
            suite,
            platforms: &Platform::ALL,
            allow_expired: &[],
            now,
        };
        let suites =
            Suites::load(&session.net, &session.mirror, &session.keyring, &request).unwrap();
        Self {
            session,
            suites,
            suite: suite.to_owned(),
            _directory: directory,
        }
    }

    pub(crate) fn interpreter(&self, platform: Platform, provider: Provider) -> Interpreter {
        let chosen =
            unheck_engine::interpreter::choose(&self.suites, platform, None, None).unwrap();
        Interpreter {
            provider,
            ..chosen.interpreter
        }
    }

    /// Makes a root, and tells its size and times.
    pub(crate) fn measured(
        &self,
        platform: Platform,
        interpreter: &Interpreter,
        more: &[&str],
    ) -> (RootSet, BuildRoot) {
        let base = RootSet::choose(&self.suites, platform, interpreter, &names(&[])).unwrap();
        if !more.is_empty() {
            build_root(&self.session, &base).unwrap();
        }
        let start = Instant::now();
        let set = RootSet::choose(&self.suites, platform, interpreter, &names(more)).unwrap();
        let chosen = start.elapsed();
        let start = Instant::now();
        let root = build_root(&self.session, &set).unwrap();
        let cold = start.elapsed();
        let warm = (0..3).map(|_| again(self, &set)).min().unwrap();
        let size: u64 = root.lower.iter().map(|lower| bytes(lower)).sum();
        println!(
            "{} {platform} {more:?}: {} packages ({} in every root), {} directories, {:.1} MB, packed {:.1} MB; chosen in {chosen:.0?}, made in {cold:.1?}, found in {warm:.1?}",
            self.suite,
            set.debs.len(),
            base.debs.len(),
            root.lower.len(),
            size as f64 / 1e6,
            set.debs.iter().map(|deb| deb.size).sum::<u64>() as f64 / 1e6,
        );
        (set, root)
    }
}

fn bytes(directory: &Path) -> u64 {
    let files = walkdir::WalkDir::new(directory).into_iter();
    let files = files
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.metadata().unwrap().len()).sum()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test against the world of today"
)]
fn now() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// The mirror of this machine's apt.
fn mirrors() -> Mirrors {
    let files = walkdir::WalkDir::new("/etc/apt").max_depth(2);
    let text: String = files
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| fs_err::read_to_string(entry.path()).ok())
        .collect();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let words: Vec<&str> = lines
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .collect();
    let with = |end: &str| {
        let is_one = |word: &&&str| word.starts_with("http") && word.ends_with(end);
        words.iter().find(is_one).map(|word| (*word).to_owned())
    };
    Mirrors {
        debian: Some(with("/debian").expect("apt of this machine has a Debian mirror")),
        security: with("/debian-security"),
        snapshot: None,
    }
}

/// What a script in a root says; it must end well.
pub(crate) fn run(place: &Place, root: &BuildRoot, script: &str) -> String {
    run_with(place, root, Vec::new(), script)
}

/// The same with more directories.
pub(crate) fn run_with(
    place: &Place,
    root: &BuildRoot,
    mounts: Vec<Mount>,
    script: &str,
) -> String {
    let argv = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    let mut spec = Spec::new(root.root(), argv);
    spec.cwd = "/tmp".into();
    spec.mounts = mounts;
    let environment = [
        ("PATH", "/usr/bin:/usr/sbin"),
        ("HOME", "/tmp"),
        ("LC_ALL", "C.UTF-8"),
    ];
    spec.env = environment
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    spec.limits = Limits {
        wall: Some(Duration::from_secs(300)),
        ..Limits::default()
    };
    spec.stdio = Stdio::Capture { limit: 64 << 10 };
    let outcome = unheck_sandbox::run(&place.session.helper, &spec).unwrap();
    let said = outcome.stdout.text();
    assert!(
        outcome.status.success(),
        "{:?}\n{said}\n{}",
        outcome.status,
        outcome.stderr.text()
    );
    said.to_string()
}
