//! Runs the program: [`build`] for an image, [`unheck`] for everything else.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Variables of the program, of uv and of Python, which would change what a test sees.
const PREFIXES: [&str; 4] = ["UNHECK_", "UV_", "PIP_", "PYTHON"];

/// What one run of a program answered.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; none for a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
    what: String,
}

impl Ran {
    fn of(what: String, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            what,
        }
    }

    /// The same, if it ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ended(0)
    }

    /// The same, if it ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        let Self {
            what,
            stdout,
            stderr,
            ..
        } = &self;
        assert_eq!(
            self.code,
            Some(code),
            "{what}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
        self
    }

    /// Its last line of output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let line = self.stdout.trim().lines().last().unwrap_or_default();
        let Self {
            what,
            stdout,
            stderr,
            ..
        } = self;
        serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("{what}: {error}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
        })
    }
}

/// One run of the whole file shares one cache, so that everything is downloaded once. It is new in
/// each run: a cache of an older build of the program could hide what a newer one does wrong.
pub(crate) fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for entry in fs_err::read_dir(parent).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap_or_default();
            let run = name
                .strip_prefix("live-")
                .and_then(|id| id.parse::<u32>().ok());
            if run.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
                fs_err::remove_dir_all(entry.path()).unwrap();
            }
        }
        let cache = parent.join(format!("live-{}", std::process::id()));
        fs_err::create_dir_all(&cache).unwrap();
        cache
    })
}

/// A command without the variables that would change what it does.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if PREFIXES
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The program itself, with the cache of this run.
pub(crate) fn program() -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_unheck"));
    command.env("UNHECK_CACHE_DIR", cache());
    command
}

/// Waits for a command, whatever its end.
#[track_caller]
pub(crate) fn finish(mut command: Command) -> Ran {
    let what = format!("{command:?}");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
    Ran::of(what, &output)
}

/// Runs the program.
#[track_caller]
pub(crate) fn unheck(words: &[&str]) -> Ran {
    let mut command = program();
    command.args(words);
    finish(command)
}

/// Builds an image with `--json` and gives back what that says, besides the image's path.
#[track_caller]
pub(crate) fn build(project: &Path, output: &Path, flags: &[&str]) -> Value {
    let words = ["build", text(project), "-o", text(output), "--json"];
    unheck(&[&words[..], flags].concat()).ok().json()
}

/// Runs an image with the program itself.
#[track_caller]
pub(crate) fn run(image: &Path, arguments: &[&str]) -> Ran {
    unheck(&[&["run", text(image), "--"], arguments].concat())
}

/// Runs an image with the program itself, with the network of this machine.
#[track_caller]
pub(crate) fn run_online(image: &Path, arguments: &[&str]) -> Ran {
    unheck(&[&["run", "--network", text(image), "--"], arguments].concat())
}

/// A directory of one test.
pub(crate) fn directory() -> tempfile::TempDir {
    // Beside the cache, so that what is big is on the same disk as it.
    cache();
    tempfile::Builder::new()
        .prefix("live-test-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
}

/// A copy of an example in a directory, without its lock: what it locked may be gone from the
/// archive on the day of the test.
pub(crate) fn example(name: &str, directory: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name);
    let to = directory.join(name);
    copy(&from, &to);
    let lock = to.join("pylock.unheck.toml");
    if lock.exists() {
        fs_err::remove_file(lock).unwrap();
    }
    to
}

/// Copies a directory's files and directories.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes a project's files.
pub(crate) fn project(directory: &Path, files: &[(&str, &str)]) -> PathBuf {
    for (name, content) in files {
        let path = directory.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    directory.to_owned()
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A child that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts it; its output is discarded.
    pub(crate) fn start(mut command: Command) -> Self {
        Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    /// Asks it to end, and gives back the code with which it did.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> Option<i32> {
        finish_ok("kill", &["-TERM", &self.0.id().to_string()]);
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it has ended already.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn finish_ok(program: &str, words: &[&str]) {
    let mut command = command(program);
    command.args(words);
    finish(command).ok();
}
