//! Runs one hook of a build backend over a source tree, in a build root without network (PEP 517).
//! Start at [`Frontend::run`].
//!
//! What a backend leaves behind is hostile: an answer is a small JSON file and one wheel or one directory of
//! metadata, all regular files, read after every process of the sandbox has ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use unheck_resolve::BuildSystem;
use unheck_sandbox::{
    LimitKind, Limits, LineSink, Log, Mount, Network, Outcome, Root, Spec, Status, Stdio,
};

use super::source::{EPOCH, Source, SourceError, give};
use crate::event::Event;
use crate::layout::Layout;
use crate::session::Session;

/// The program that runs inside.
pub(crate) const DRIVER: &str = include_str!("driver.py");

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// How much of the output is read for causes, in bytes.
const KEPT: usize = 4 << 20;

/// Longest log on disk, in bytes: its beginning, which has the first error.
const MAX_LOG: u64 = 32 << 20;

/// The setuptools of old projects (PEP 517, "build-backend" missing).
pub(crate) const LEGACY: &str = "setuptools.build_meta:__legacy__";

/// What a hook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// What else the backend needs.
    Requires,
    /// The metadata without the wheel.
    Metadata,
    /// The wheel.
    Wheel,
}

impl Hook {
    /// Its name in PEP 517.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requires => "get_requires_for_build_wheel",
            Self::Metadata => "prepare_metadata_for_build_wheel",
            Self::Wheel => "build_wheel",
        }
    }
}

/// What a build may use at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Processes that compile side by side.
    pub(crate) jobs: usize,
    /// Bytes of memory.
    pub(crate) memory: u64,
}

/// What every hook of one build has in common.
pub(crate) struct Frontend<'a> {
    pub(crate) session: &'a Session,
    /// What is being built, for progress and the log.
    pub(crate) label: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) system: &'a BuildSystem,
    pub(crate) layout: &'a Layout,
    /// The user's options for this distribution.
    pub(crate) options: &'a super::BuildOptions,
    pub(crate) allowance: Allowance,
    /// The crates of a Rust project.
    pub(crate) crates: Option<&'a super::crates::Crates>,
}

/// What the driver answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    pub(crate) requires: Vec<String>,
    pub(crate) wheel: String,
    pub(crate) metadata: String,
    /// `script`, `import` or `hook` where one of these failed.
    pub(crate) failed: String,
    pub(crate) trace: String,
}

/// A hook that ran.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    /// `None` when there is none that can be read.
    pub(crate) answer: Option<Answer>,
    /// Output and error, in the order in which the lines came.
    pub(crate) log: String,
    /// Where the whole log is.
    pub(crate) log_file: PathBuf,
    scratch: Scratch,
}

impl Ran {
    /// The answer, where the hook did what it was asked.
    pub(crate) fn good(&self) -> Option<&Answer> {
        let answer = self.answer.as_ref()?;
        (self.outcome.status.success() && answer.failed.is_empty()).then_some(answer)
    }

    /// Where the backend wrote its wheel.
    pub(crate) fn wheels(&self) -> PathBuf {
        self.scratch.out.join("wheels")
    }

    /// Where the backend wrote its metadata.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.scratch.out.join("metadata")
    }
}

/// A hook cannot be run; that it failed is a [`Ran`].
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// The source tree cannot be had.
    #[error("cannot unpack the source tree")]
    Source(#[from] SourceError),
    /// A file of the sandbox cannot be written.
    #[error("cannot prepare a build in `{path}`", path = path.display())]
    Scratch {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No sandbox can be made.
    #[error("cannot make a sandbox to build in")]
    Sandbox(#[from] unheck_sandbox::SandboxError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] unheck_store::StoreError),
}

impl Frontend<'_> {
    /// Runs one hook in the root that `lower` makes, over a fresh copy of the source tree.
    ///
    /// # Errors
    /// [`FrontendError`] when it cannot be run at all.
    pub(crate) fn run(&self, hook: Hook, lower: &[PathBuf]) -> Result<Ran, FrontendError> {
        let scratch = Scratch::new(self.session)?;
        let project = self.source.place(self.session.store(), &scratch.source)?;
        self.write_request(&scratch, hook, &project)?;
        scratch.give()?;
        let log_file = log_path(self.session, self.label);
        let log = open_log(&log_file)?;
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = self.listen(&log, &kept);
        let spec = self.spec(&scratch, lower);
        let mut outcome = unheck_sandbox::spawn(&self.session.helper, &spec, Some(sink))?.wait()?;
        // Programs may take the signal of this limit for an error of their own, as Python does.
        if !outcome.status.success() && scratch.has_longest_file() {
            outcome.status = Status::LimitHit(LimitKind::FileSize);
        }
        // A log that cannot be written is no reason to lose a build.
        let _ = log.finish();
        let answer = read_answer(&scratch.out.join("answer.json"));
        let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Ran {
            outcome,
            answer,
            log: String::from_utf8_lossy(&kept).into_owned(),
            log_file,
            scratch,
        })
    }

    fn write_request(
        &self,
        scratch: &Scratch,
        hook: Hook,
        project: &str,
    ) -> Result<(), FrontendError> {
        let request = serde_json::json!({
            "hook": hook.name(),
            "backend": self.system.backend.as_deref().unwrap_or(LEGACY),
            "backend_path": self.system.backend_path,
            "config_settings": self.options.config_settings,
            "script": self.options.script,
            "subdirectory": project,
        });
        let cargo = self
            .crates
            .map(|crates| ("cargo.toml", crates.config.clone()));
        let files = [
            ("request.json", request.to_string()),
            ("driver.py", DRIVER.to_owned()),
        ];
        for (name, text) in files.into_iter().chain(cargo) {
            let path = scratch.input.join(name);
            fs_err::write(&path, text)
                .and_then(|()| fs_err::set_permissions(&path, PermissionsExt::from_mode(0o644)))
                .map_err(|source| FrontendError::Scratch { path, source })?;
        }
        Ok(())
    }

    /// Where the lines of the build go: to the log, to the reporter, and to whoever looks for causes.
    fn listen(&self, log: &Log, kept: &Arc<Mutex<Vec<u8>>>) -> LineSink {
        let (to_log, kept) = (log.sink(), Arc::clone(kept));
        let (reporter, label) = (Arc::clone(&self.session.reporter), self.label.to_owned());
        Arc::new(move |stream, line: &[u8]| {
            to_log(stream, line);
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() + line.len() < KEPT {
                kept.extend_from_slice(line);
                kept.push(b'\n');
            }
            drop(kept);
            reporter.event(Event::Output {
                label: &label,
                line: &String::from_utf8_lossy(line),
            });
        })
    }

    fn spec(&self, scratch: &Scratch, lower: &[PathBuf]) -> Spec {
        let root = Root::Overlay {
            lower: lower.to_vec(),
        };
        let places = Places {
            source: &scratch.source,
            out: &scratch.out,
            input: &scratch.input,
        };
        let mut spec = places.spec(root, self.layout);
        if let Some(crates) = self.crates {
            let inside = super::crates::PLACE;
            spec.mounts.push(bind(&crates.directory, inside, false));
        }
        spec.env = self
            .environment()
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        spec.limits = Limits {
            memory: Some(self.allowance.memory),
            processes: Some(PROCESSES),
            file_size: Some(FILE_SIZE),
            wall: Some(Duration::from_secs(WALL)),
            output: Some(OUTPUT),
            disk: Some(DISK),
            scratch_bytes: SCRATCH,
            ..Limits::default()
        };
        spec.stdio = Stdio::Capture { limit: 64 << 10 };
        spec.watch = true;
        spec
    }

    /// The complete environment: the same on every machine but for the number of jobs, which decides no byte.
    fn environment(&self) -> BTreeMap<String, String> {
        let jobs = self.allowance.jobs.to_string();
        let fixed = [
            (
                "PATH",
                format!("{}:/usr/sbin:/bin:/sbin", self.layout.search_path()),
            ),
            ("TMPDIR", "/tmp".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
            ("MAKEFLAGS", format!("-j{jobs}")),
            ("CMAKE_BUILD_PARALLEL_LEVEL", jobs.clone()),
            ("MAX_JOBS", jobs.clone()),
            ("NPY_NUM_BUILD_JOBS", jobs.clone()),
            ("CARGO_BUILD_JOBS", jobs),
            ("CARGO_HOME", "/tmp/cargo".to_owned()),
            ("CARGO_NET_OFFLINE", "true".to_owned()),
        ];
        // An interpreter that was built elsewhere remembers a compiler that is not here.
        let compilers = [("CC", "cc"), ("CXX", "c++"), ("AR", "ar")];
        let foreign = self.layout.python.starts_with("/opt/");
        let mut all: BTreeMap<String, String> = fixed_environment(EPOCH)
            .into_iter()
            .chain(fixed)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if foreign {
            let named = compilers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            all.extend(named);
        }
        all.extend(self.options.env.clone());
        all
    }
}

/// Processes and threads at one time: a compiler driver has three to each job.
const PROCESSES: u64 = 1024;
/// Bytes of one file.
const FILE_SIZE: u64 = 2 << 30;
/// Seconds for one hook.
const WALL: u64 = 3600;
/// Bytes of output.
const OUTPUT: u64 = 256 << 20;
/// Bytes that a build may leave on the disk.
const DISK: u64 = 20 << 30;
/// Bytes of each memory file system, such as `/tmp`.
const SCRATCH: u64 = 2 << 30;

/// Opens the log of a build, in place of that of the build before.
fn open_log(path: &Path) -> Result<Log, FrontendError> {
    let failed = |source| FrontendError::Scratch {
        path: path.to_owned(),
        source,
    };
    if let Some(above) = path.parent() {
        fs_err::create_dir_all(above).map_err(failed)?;
    }
    let file = fs_err::File::create(path).map_err(failed)?;
    Ok(Log::new(std::io::BufWriter::new(file), MAX_LOG))
}

/// The log of the last build of something: one file for each label.
fn log_path(session: &Session, label: &str) -> PathBuf {
    let name: String = label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-+".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(120)
        .collect();
    session
        .store()
        .root()
        .join("logs")
        .join(format!("{name}.log"))
}

/// The host's directories of one run.
pub(crate) struct Places<'p> {
    /// The source tree, which the build may write.
    pub(crate) source: &'p Path,
    /// What it leaves.
    pub(crate) out: &'p Path,
    /// The request and the driver.
    pub(crate) input: &'p Path,
}

impl Places<'_> {
    /// The driver in a root without network, at the places that it knows.
    pub(crate) fn spec(&self, root: Root, layout: &Layout) -> Spec {
        let argv = [layout.python.as_str(), "-B", "-s", "/in/driver.py"];
        let mut spec = Spec::new(root, argv.iter().map(OsString::from).collect());
        spec.mounts = vec![
            bind(self.source, "/src", true),
            bind(self.out, "/out", true),
            bind(self.input, "/in", false),
        ];
        spec.cwd = PathBuf::from("/src");
        spec.network = Network::None;
        spec
    }
}

fn bind(host: &Path, inside: &str, writable: bool) -> Mount {
    Mount::Bind {
        host: host.to_owned(),
        inside: PathBuf::from(inside),
        writable,
    }
}

/// The variables that every backend gets, the same on every machine; `epoch` is `SOURCE_DATE_EPOCH`.
pub(crate) fn fixed_environment(epoch: u64) -> [(&'static str, String); 7] {
    [
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("PYTHONHASHSEED", "0".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("SOURCE_DATE_EPOCH", epoch.to_string()),
    ]
}

/// The driver's answer, `None` when there is none that can be read.
pub(crate) fn read_answer(path: &Path) -> Option<Answer> {
    let found = fs_err::symlink_metadata(path).ok()?;
    if !found.is_file() || found.len() > MAX_ANSWER {
        return None;
    }
    serde_json::from_slice(&fs_err::read(path).ok()?).ok()
}

/// Directories of one run; they go away with it.
struct Scratch {
    source: PathBuf,
    out: PathBuf,
    input: PathBuf,
    _directory: tempfile::TempDir,
}

impl Scratch {
    fn new(session: &Session) -> Result<Self, FrontendError> {
        let directory = session.store().temp_dir()?;
        let at = |name: &str| directory.path().join(name);
        let scratch = Self {
            source: at("src"),
            out: at("out"),
            input: at("in"),
            _directory: directory,
        };
        for path in [&scratch.source, &scratch.out, &scratch.input] {
            fs_err::create_dir(path)
                .and_then(|()| fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)))
                .map_err(|source| FrontendError::Scratch {
                    path: path.clone(),
                    source,
                })?;
        }
        Ok(scratch)
    }

    /// Whether a file is as long as one may be.
    fn has_longest_file(&self) -> bool {
        [&self.source, &self.out].into_iter().any(|directory| {
            let files = walkdir::WalkDir::new(directory).into_iter().flatten();
            files
                .filter_map(|entry| entry.metadata().ok())
                .any(|found| found.is_file() && found.len() >= FILE_SIZE)
        })
    }

    fn give(&self) -> Result<(), FrontendError> {
        for path in [&self.source, &self.out] {
            give(path).map_err(|source| FrontendError::Scratch {
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }
}
