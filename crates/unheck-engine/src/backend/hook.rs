//! Runs one hook of a build backend in the sandbox. Start at [`run`].
//!
//! What a backend leaves behind is hostile: an answer is a small JSON file and one wheel, both
//! regular files, read after every process of the sandbox has ended.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use unheck_base::Digest;
use unheck_resolve::BuildSystem;
use unheck_sandbox::{LimitKind, Limits, Outcome, Spec, Status, Stdio};
use unheck_wheel::WheelName;

use super::diagnose::{Log, hints};
use super::{BackendError, reference};
use crate::input::{AppFileKind, AppFiles, Project};
use crate::layout::Layout;
use crate::lock::{Deb, Lock, Target};
use crate::roots::Roots;
use crate::sdist::frontend::{Answer, DRIVER, Places, fixed_environment, read_answer};
use crate::sdist::requires::{install, wheels_lock};
use crate::sdist::source::{EPOCH, give};
use crate::session::Session;

/// What a hook may use: generous for Python, tight for what runs away.
const WALL: u64 = 300;
const FILE_SIZE: u64 = 2 << 30;
const MEMORY: u64 = 4 << 30;

/// One run.
pub(super) struct Hook<'a> {
    pub(super) session: &'a Session,
    pub(super) project: &'a Project,
    /// Whose interpreter and build requirements are used.
    pub(super) target: &'a Target,
    pub(super) system: &'a BuildSystem,
    pub(super) app: &'a AppFiles,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub(super) epoch: i64,
}

/// What else the backend needs for a wheel.
///
/// # Errors
/// [`BackendError`].
pub(super) fn requires(hook: &Hook<'_>) -> Result<Vec<String>, BackendError> {
    let scratch = Scratch::new(hook)?;
    Ok(run(hook, &scratch, "get_requires_for_build_wheel")?.requires)
}

/// Makes the wheel and puts it into the store.
///
/// # Errors
/// [`BackendError`].
pub(super) fn wheel(hook: &Hook<'_>) -> Result<(String, Digest), BackendError> {
    let scratch = Scratch::new(hook)?;
    let answer = run(hook, &scratch, "build_wheel")?;
    let wheels = scratch.out.join("wheels");
    let wrong = |problem: String| BackendError::Answer {
        backend: reference(hook.system).to_owned(),
        problem,
    };
    let name = only_wheel(&wheels, &answer.wheel).map_err(wrong)?;
    let path = wheels.join(&name);
    let failed = |source| BackendError::Scratch {
        path: path.clone(),
        source,
    };
    let mut file = fs_err::File::open(&path).map_err(failed)?;
    let digest = hook.session.store().put_reader(&mut file, None)?;
    Ok((name, digest))
}

/// The one wheel in a directory, which must be the one that the backend named.
pub(crate) fn only_wheel(directory: &Path, named: &str) -> Result<String, String> {
    let entries = fs_err::read_dir(directory)
        .map_err(|error| format!("left no directory of wheels: {error}"))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.retain(|name| name.ends_with(".whl"));
    names.sort();
    let [name] = names.as_slice() else {
        return Err(format!("left {} wheels instead of one", names.len()));
    };
    if name != named {
        return Err(format!(
            "named the wheel `{}` and left `{}`",
            named.escape_debug(),
            name.escape_debug()
        ));
    }
    if name.parse::<WheelName>().is_err() {
        return Err(format!(
            "left `{}`, which is not the name of a wheel",
            name.escape_debug()
        ));
    }
    match fs_err::symlink_metadata(directory.join(name)) {
        Ok(found) if found.is_file() => Ok(name.clone()),
        _ => Err(format!("left a `{name}` that is no regular file")),
    }
}

/// Runs a hook over a copy of the app's files.
///
/// # Errors
/// [`BackendError`].
pub(super) fn run(
    hook: &Hook<'_>,
    scratch: &Scratch,
    name: &'static str,
) -> Result<Answer, BackendError> {
    let request = serde_json::json!({
        "hook": name,
        "backend": reference(hook.system),
        "backend_path": hook.system.backend_path,
        "config_settings": {},
        "script": [],
        "subdirectory": "",
    });
    let file = scratch.input.join("request.json");
    let written =
        fs_err::write(&file, request.to_string()).and_then(|()| open_to_all(&scratch.input));
    written.map_err(|source| BackendError::Scratch { path: file, source })?;
    let roots = environment(hook.session, hook.target)?;
    let outcome = unheck_sandbox::run(&hook.session.helper, &spec(hook, scratch, &roots))?;
    let answer = read_answer(&scratch.out.join("answer.json"));
    judge(hook, name, &outcome, answer)
}

fn judge(
    hook: &Hook<'_>,
    name: &'static str,
    outcome: &Outcome,
    answer: Option<Answer>,
) -> Result<Answer, BackendError> {
    let backend = || reference(hook.system).to_owned();
    let said = format!("{}\n{}", outcome.stdout.text(), outcome.stderr.text());
    let status = match outcome.status {
        Status::LimitHit(limit) => {
            let most = most(limit);
            return Err(BackendError::Limit {
                backend: backend(),
                hook: name,
                limit: limit.to_string(),
                most,
                log: Log::of(&said),
            });
        }
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signaled(signal) => format!("signal {signal}"),
    };
    match answer {
        Some(answer) if outcome.status.success() && answer.failed.is_empty() => Ok(answer),
        Some(answer) => {
            // The driver's own lines of a traceback tell nothing; the backend's output comes first.
            let trace = trace(&answer.trace);
            let output = said
                .split("Traceback (most recent call last):")
                .next()
                .unwrap_or_default();
            let log = Log::of(&format!("{output}\n{trace}"));
            let mut hints = hints(&format!("{said}\n{trace}"));
            if answer.failed == "import" && hints.is_empty() {
                hints.push(
                    "check `build-backend` and `backend-path` in `[build-system]`".to_owned(),
                );
            }
            Err(BackendError::Failed {
                backend: backend(),
                hook: name,
                status,
                log,
                hints,
            })
        }
        None => {
            let hints = hints(&said);
            Err(BackendError::Failed {
                backend: backend(),
                hook: name,
                status,
                log: Log::of(&said),
                hints,
            })
        }
    }
}

/// A traceback without the frames of the driver.
pub(super) fn trace(text: &str) -> String {
    let mut lines = Vec::new();
    let mut ours = false;
    for line in text.lines() {
        if line.starts_with("  File ") {
            ours = line.contains("\"/in/driver.py\"");
        } else if !line.starts_with(' ') {
            ours = false;
        }
        if !ours {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn most(limit: LimitKind) -> &'static str {
    match limit {
        LimitKind::Memory => "4 GiB",
        LimitKind::Processes => "512",
        LimitKind::FileSize => "2 GiB",
        LimitKind::Cpu | LimitKind::Wall => "300 seconds",
        LimitKind::Output => "64 MiB",
        LimitKind::Disk | LimitKind::Inodes => "not set",
    }
}

fn spec(hook: &Hook<'_>, scratch: &Scratch, roots: &Roots) -> Spec {
    let layout = Layout::of(&hook.target.interpreter);
    let places = Places {
        source: &scratch.source,
        out: &scratch.out,
        input: &scratch.input,
    };
    let mut spec = places.spec(roots.root(), &layout);
    let own = hook
        .project
        .config
        .build_env
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()));
    spec.env = std::iter::once(("PATH", layout.search_path()))
        .chain(fixed_environment(epoch(hook.epoch)))
        .chain(own)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    spec.limits = Limits {
        memory: Some(MEMORY),
        processes: Some(512),
        file_size: Some(FILE_SIZE),
        wall: Some(Duration::from_secs(WALL)),
        output: Some(64 << 20),
        ..Limits::default()
    };
    spec.stdio = Stdio::Capture { limit: 256 << 10 };
    spec
}

/// Zip archives begin with 1980.
fn epoch(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_default().max(EPOCH)
}

/// The interpreter with what the backend is made of.
pub(super) fn environment(session: &Session, target: &Target) -> Result<Roots, BackendError> {
    let (lock, target) = build_lock(target);
    install(session, &lock, &target)
}

/// A lock that installs the build requirements into the interpreter and nothing else.
pub(super) fn build_lock(target: &Target) -> (Lock, Target) {
    let lock = wheels_lock(&target.build_requires);
    let build = Target {
        wheels: target
            .build_requires
            .iter()
            .map(|wheel| wheel.name.clone())
            .collect(),
        debs: target
            .debs
            .iter()
            .filter(|deb| deb.base)
            .cloned()
            .map(whole_libc)
            .collect(),
        notes: Vec::new(),
        build_requires: Vec::new(),
        build_debs: Vec::new(),
        ..target.clone()
    };
    (lock, build)
}

/// All of libc where it is libc: a backend in another language than Python (`uv_build`) needs
/// parts of it that the app does not.
fn whole_libc(mut deb: Deb) -> Deb {
    if deb.name == "libc6" {
        deb.files.clear();
    }
    deb
}

/// Directories of one run; they go away with it.
pub(super) struct Scratch {
    source: PathBuf,
    out: PathBuf,
    input: PathBuf,
    _directory: tempfile::TempDir,
}

impl Scratch {
    fn new(hook: &Hook<'_>) -> Result<Self, BackendError> {
        let directory = hook.session.store().temp_dir()?;
        let at = |name: &str| directory.path().join(name);
        let scratch = Self {
            source: at("src"),
            out: at("out"),
            input: at("in"),
            _directory: directory,
        };
        scratch.fill(hook.app, hook.epoch)?;
        Ok(scratch)
    }

    fn fill(&self, app: &AppFiles, seconds: i64) -> Result<(), BackendError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BackendError::Scratch { path, source }
        };
        for directory in [&self.source, &self.out, &self.input] {
            fs_err::create_dir(directory).map_err(failed(directory))?;
        }
        let driver = self.input.join("driver.py");
        fs_err::write(&driver, DRIVER).map_err(failed(&driver))?;
        for file in &app.files {
            let to = self.source.join(file.path.as_str());
            if let Some(above) = to.parent() {
                fs_err::create_dir_all(above).map_err(failed(above))?;
            }
            match &file.kind {
                AppFileKind::Symlink(target) => {
                    fs_err::os::unix::fs::symlink(target, &to).map_err(failed(&to))?;
                }
                AppFileKind::File { .. } => {
                    fs_err::copy(&file.source, &to).map_err(failed(&file.source))?;
                    let mode = if file.executable { 0o755 } else { 0o644 };
                    settle(&to, mode, seconds).map_err(failed(&to))?;
                }
            }
        }
        open_to_all(&self.source).map_err(failed(&self.source))?;
        give(&self.source)
            .and_then(|()| give(&self.out))
            .map_err(failed(&self.source))
    }
}

/// Gives a file the mode and the date that it has in every build.
fn settle(path: &Path, mode: u32, seconds: i64) -> std::io::Result<()> {
    let file = fs_err::OpenOptions::new().write(true).open(path)?;
    let since = Duration::from_secs(epoch(seconds));
    file.file().set_modified(std::time::UNIX_EPOCH + since)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Gives directories and files the modes that they have whatever the umask is, and that the user
/// inside, who may be another, can read.
fn open_to_all(directory: &Path) -> std::io::Result<()> {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            fs_err::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755))?;
        } else if entry.file_type().is_file() {
            let mode = entry.metadata()?.mode() | 0o644;
            fs_err::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode & 0o777))?;
        }
    }
    Ok(())
}
