//! A project, a store and a served world, and how to build there. Read [`Fixture`] first.
//!
//! Everything is on loopback and below one temporary directory. Nothing is run in a sandbox: the
//! world's interpreter is a stand-in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use unheck_base::Digest;
use unheck_deb::signature::Keyring;
use unheck_engine::build::{BuildError, BuildRequest, Built, LockMode, build};
use unheck_engine::debian::Mirror;
use unheck_engine::event::{Event, Reporter};
use unheck_engine::explain::{Class, Explain};
use unheck_engine::input::{LockOptions, Mirrors, ReadProjectError};
use unheck_engine::lock::Provider;
use unheck_engine::net::{Net, NetError};
use unheck_engine::session::Session;
use unheck_store::fetch::{FetchError, FetchOptions};
use unheck_testkit::{Scenario, World, dump};

/// One day after the suites of the test kit were made.
pub(crate) const NOW: i64 = unheck_testkit::suite::DATE as i64 + 86_400;

/// Set in a child process: the [`Run`] as JSON.
const CHILD: &str = "UNHECK_ENGINE_TEST_RUN";

/// A served world with a directory for project, store and output.
pub(crate) struct Fixture {
    pub(crate) scenario: Scenario,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) run: Run,
}

/// Everything that a build is told; plain data, so that a child process can be told it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) project: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) resolver: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) debian: String,
    pub(crate) security: Option<String>,
    pub(crate) snapshot: Option<String>,
    pub(crate) index: String,
    pub(crate) keyring: Vec<u8>,
    pub(crate) now: i64,
    pub(crate) offline: bool,
    pub(crate) allow_expired: Vec<String>,
    pub(crate) mode: String,
    pub(crate) platforms: Vec<String>,
    pub(crate) suite: String,
    pub(crate) python: Option<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) exclude_newer: Option<String>,
    pub(crate) compression: String,
    pub(crate) trim: String,
    pub(crate) format: String,
    pub(crate) libs: String,
}

/// Notes, retries and findings, in the order in which they were heard.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl Heard {
    /// What was heard so far.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Reporter for Heard {
    fn event(&self, event: Event<'_>) {
        let text = match event {
            Event::Note(text) => format!("note: {text}"),
            Event::Retry { label, why } => format!("retry: {label}: {why}"),
            Event::Finding(finding) => format!("finding: {} {}", finding.rule, finding.subject),
            _ => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

/// A build that did not fail, and what was heard of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) built: Built,
    pub(crate) heard: Vec<String>,
}

/// Why there was no build.
#[derive(Debug)]
pub(crate) enum Failure {
    Read(ReadProjectError),
    Store(unheck_store::StoreError),
    Build(BuildError),
}

impl Run {
    /// Builds, with the project read from disk as a command would.
    pub(crate) fn build(&self) -> Result<Outcome, Failure> {
        let heard = Arc::new(Heard::default());
        let session = self
            .session(Arc::clone(&heard) as _)
            .map_err(Failure::Store)?;
        let project = unheck_engine::input::read(&self.project).map_err(Failure::Read)?;
        let request = self.request(&project.config);
        let result = build(&session, &project, &request);
        let heard = heard.0.lock().unwrap().clone();
        match result {
            Ok(built) => Ok(Outcome { built, heard }),
            Err(error) => Err(Failure::Build(error)),
        }
    }

    pub(crate) fn session(
        &self,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Session, unheck_store::StoreError> {
        let store = unheck_store::Store::open(&self.store)?;
        let mirrors = Mirrors {
            debian: Some(self.debian.clone()),
            security: self.security.clone(),
            snapshot: self.snapshot.clone(),
        };
        let index = unheck_resolve::IndexSettings {
            default_url: Some(self.index.clone()),
            ..Default::default()
        };
        // Configuration files of the machine are none of the test's business.
        let environment = BTreeMap::from([("UV_NO_CONFIG".to_owned(), "1".to_owned())]);
        Ok(Session {
            net: Net::new(store, Arc::clone(&reporter), self.offline)
                .unwrap()
                .with_options(hasty()),
            mirror: Mirror::new(&mirrors, &Mirrors::default()).unwrap(),
            keyring: Keyring::from_bytes(&self.keyring).unwrap(),
            reporter,
            now: self.now,
            allow_expired: self.allow_expired.clone(),
            helper: unheck_sandbox::HelperExe::current(),
            resolver_cache: self.resolver.clone(),
            answers: unheck_resolve::Answers::default(),
            index,
            environment: unheck_resolve::Environment(environment),
            crates: unheck_engine::session::CrateSource::default(),
            source_date_epoch: None,
        })
    }

    /// What the command line would make of configuration and flags.
    pub(crate) fn request(&self, config: &unheck_engine::input::Config) -> BuildRequest {
        let mode = match self.mode.as_str() {
            "renew" => LockMode::Renew,
            "locked" => LockMode::Locked,
            _ => LockMode::Frozen,
        };
        BuildRequest {
            lock: self.lock_options(config),
            mode,
            output: self.output.clone(),
            entry: None,
            format: self.format.parse().unwrap(),
            libs: self.libs.parse().unwrap(),
            trim: self.trim.parse().unwrap(),
            keep: config.keep.clone(),
            leave_out: config.leave_out.clone(),
            trace: Vec::new(),
            bytecode: unheck_engine::steps::Bytecode::None,
            compression: self.compression.parse().unwrap(),
            tag: None,
            verify: false,
            dumps: unheck_engine::vulnerabilities::Dumps::default(),
            gate: None,
        }
    }

    pub(crate) fn lock_options(&self, config: &unheck_engine::input::Config) -> LockOptions {
        LockOptions {
            platforms: self
                .platforms
                .iter()
                .map(|platform| platform.parse().unwrap())
                .collect(),
            suite: self.suite.clone(),
            python: self.python.clone(),
            provider: Provider::Debian,
            extras: self.extras.clone(),
            groups: self.groups.clone(),
            exclude_newer: self.exclude_newer.clone(),
            indexes: vec![],
            debs: config.debs.clone(),
        }
    }

    /// This test binary, told to run one test as a child with this run.
    pub(crate) fn child(&self, test: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(CHILD, serde_json::to_string(self).unwrap());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// The lock's text.
    pub(crate) fn lock_text(&self) -> String {
        fs_err::read_to_string(self.root().join("pylock.unheck.toml")).unwrap()
    }

    fn root(&self) -> PathBuf {
        if self.project.is_dir() {
            self.project.clone()
        } else {
            self.project.parent().unwrap().to_owned()
        }
    }

    /// The layers of a platform as text, by their place.
    pub(crate) fn layers(&self, platform: &str) -> BTreeMap<String, String> {
        dumps(&self.output, platform)
    }

    /// Every path that ships, with its line of the dump.
    pub(crate) fn shipped(&self, platform: &str) -> BTreeMap<String, String> {
        let layers = self.layers(platform);
        let lines = layers.values().flat_map(|text| text.lines());
        let path = |line: &str| {
            let rest = line.splitn(5, ' ').nth(4).unwrap();
            rest.split(" -> ")
                .next()
                .unwrap()
                .trim_end_matches('/')
                .to_owned()
        };
        lines.map(|line| (path(line), line.to_owned())).collect()
    }
}

/// As many retries as a user gets, in a hundredth of the time.
fn hasty() -> FetchOptions {
    FetchOptions {
        backoff: Duration::from_millis(5),
        give_up: Duration::from_secs(2),
        ..FetchOptions::default()
    }
}

/// The run when this process is a child of a test; `None` in a normal test run.
#[expect(
    clippy::disallowed_methods,
    reason = "how a test talks to its child process"
)]
pub(crate) fn child_run() -> Option<Run> {
    let text = std::env::var(CHILD).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

impl Fixture {
    /// The basic world.
    pub(crate) fn new() -> Self {
        Self::of(Scenario::basic())
    }

    pub(crate) fn world(world: World) -> Self {
        Self::of(world.serve())
    }

    pub(crate) fn of(scenario: Scenario) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let run = Run {
            project: path("project"),
            store: path("store"),
            resolver: path("resolver"),
            output: path("out.oci.tar"),
            debian: scenario.debian_url(),
            security: Some(scenario.security_url()),
            snapshot: None,
            index: scenario.index_url(),
            keyring: scenario.keyring.clone(),
            now: NOW,
            offline: false,
            allow_expired: vec![],
            mode: "renew".to_owned(),
            platforms: vec!["linux/amd64".to_owned()],
            suite: "trixie".to_owned(),
            python: None,
            extras: vec![],
            groups: vec![],
            exclude_newer: None,
            compression: "zstd:1".to_owned(),
            trim: "safe".to_owned(),
            format: "image".to_owned(),
            libs: "static".to_owned(),
        };
        fs_err::create_dir(&run.project).unwrap();
        Self { scenario, dir, run }
    }

    /// A project of requirements and a `main.py`.
    #[must_use]
    pub(crate) fn requirements(self, text: &str) -> Self {
        self.file("requirements.txt", text)
            .file("main.py", "print('main')\n")
    }

    /// A project that depends on `requirements`, with more text at the end of `pyproject.toml`.
    #[must_use]
    pub(crate) fn pyproject(self, requirements: &[&str], more: &str) -> Self {
        let text = format!(
            "[project]\nname = 'app'\nversion = '1.0'\ndependencies = {requirements:?}\n{more}"
        );
        self.file("pyproject.toml", &text)
            .file("main.py", "print('main')\n")
    }

    #[must_use]
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(name, text);
        self
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.run.project.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The run with something changed.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Run)) -> Run {
        let mut run = self.run.clone();
        change(&mut run);
        run
    }

    /// Builds; a failure ends the test with its report.
    pub(crate) fn build(&self) -> Outcome {
        self.built(&self.run)
    }

    pub(crate) fn built(&self, run: &Run) -> Outcome {
        match run.build() {
            Ok(outcome) => outcome,
            Err(failure) => panic!("{}", self.report(&failure)),
        }
    }

    /// Builds, which must fail; what a user would read, with places and digests replaced.
    pub(crate) fn refused(&self, run: &Run) -> String {
        match run.build() {
            Ok(outcome) => panic!("built {:?}", outcome.built.image),
            Err(failure) => self.report(&failure),
        }
    }

    /// Class, causes and hints, a line each.
    pub(crate) fn report(&self, failure: &Failure) -> String {
        let text = match failure {
            Failure::Read(error) => explained(error, error),
            Failure::Store(error) => {
                let mut text = String::new();
                causes(error, &mut text);
                text
            }
            Failure::Build(error) => explained(error, error),
        };
        self.redact(&text)
    }

    /// The text without what differs from run to run.
    pub(crate) fn redact(&self, text: &str) -> String {
        let index = self.scenario.index.server.url("");
        let places = [
            (self.dir.path().display().to_string(), "[dir]"),
            (self.scenario.mirror.url(""), "[mirror]"),
            (index.clone(), "[index]"),
            (self.scenario.mirror.address(), "[mirror]"),
            (index.trim_start_matches("http://").to_owned(), "[index]"),
        ];
        let text = places
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        digests_hidden(&text)
    }

    /// That nothing was left behind by a build that failed.
    pub(crate) fn assert_nothing_written(&self) {
        assert!(!self.run.output.exists(), "an output was written");
        assert!(
            !self.run.project.join("pylock.unheck.toml").exists(),
            "a lock was written"
        );
        assert_eq!(leftovers(&self.run.store), Vec::<String>::new());
        let strays: Vec<String> = names(self.dir.path())
            .into_iter()
            .filter(|name| !["project", "store", "resolver"].contains(&name.as_str()))
            .collect();
        assert_eq!(strays, Vec::<String>::new());
    }
}

/// What stays in the store's work area once no process uses it.
pub(crate) fn leftovers(store: &Path) -> Vec<String> {
    if !store.join("tmp").exists() {
        return Vec::new();
    }
    names(&store.join("tmp"))
        .into_iter()
        .filter(|name| !name.starts_with("partial-"))
        .collect()
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn explained(error: &dyn Explain, chain: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{:?}\n", error.class());
    causes(chain, &mut text);
    for hint in error.hints() {
        writeln!(text, "hint: {hint}").unwrap();
    }
    text
}

fn causes(error: &(dyn std::error::Error + 'static), text: &mut String) {
    let mut next = Some(error);
    while let Some(error) = next {
        writeln!(text, "{}", error.to_string().trim_end()).unwrap();
        if let Some(BuildError::Lock(lock)) = error.downcast_ref::<BuildError>()
            && let unheck_engine::locker::MakeLockError::Unmet(list) = &**lock
        {
            for unmet in list {
                writeln!(text, "- {unmet}").unwrap();
            }
        }
        let fetch = error
            .downcast_ref::<FetchError>()
            .or(match error.downcast_ref() {
                Some(NetError::Fetch(error)) => Some(error),
                _ => None,
            });
        if let Some(fetch) = fetch
            && !text.contains("\n- ")
        {
            for failure in &fetch.failures {
                write!(text, "- ").unwrap();
                causes(failure, text);
            }
        }
        next = error.source();
    }
}

/// The class of a failure that comes from a build.
pub(crate) fn class(failure: &Failure) -> Class {
    match failure {
        Failure::Read(error) => error.class(),
        Failure::Build(error) => error.class(),
        Failure::Store(error) => panic!("{error}"),
    }
}

/// Runs of 64 hexadecimal digits as `[sha256]`.
fn digests_hidden(text: &str) -> String {
    let mut hidden = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if run == 64 {
            hidden.push_str("[sha256]");
            rest = &rest[64..];
        } else {
            let end = run.max(rest.chars().next().map_or(0, char::len_utf8));
            hidden.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    hidden
}

/// The layers of an image on disk as text, by their place; every blob's digest is checked.
pub(crate) fn dumps(image: &Path, platform: &str) -> BTreeMap<String, String> {
    let opened = unheck_oci::open::open(image).unwrap();
    let images = opened.images().unwrap();
    let wanted = images
        .iter()
        .find(|image| image.platform.to_string().starts_with(platform));
    let image = wanted.unwrap_or_else(|| panic!("no {platform} in the image"));
    let names = image
        .config
        .history
        .iter()
        .map(|one| one.created_by.clone().unwrap());
    names
        .zip(&image.manifest.layers)
        .map(|(name, descriptor)| {
            let bytes = opened.blob_bytes(descriptor, 1 << 30).unwrap();
            (name.replace("unheck: ", ""), dump::tree_dump(&bytes))
        })
        .collect()
}

/// Digest of a file's bytes.
pub(crate) fn digest_of(path: &Path) -> Digest {
    Digest::of(&fs_err::read(path).unwrap())
}

/// Digests of the blobs in a store.
pub(crate) fn blobs(store: &Path) -> Vec<String> {
    let mut found: Vec<String> = files(store)
        .into_iter()
        .filter(|path| path.starts_with(store.join("blobs")))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// Every regular file below a directory, sorted.
pub(crate) fn files(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
