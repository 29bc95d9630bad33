//! A project, a world and a cache for one run of the program.

use std::path::{Path, PathBuf};
use std::process::Output;

use unheck_testkit::Scenario;

/// A directory with project and cache, and a world to build from.
pub(crate) struct Kit {
    directory: tempfile::TempDir,
    /// Index and mirror.
    pub(crate) world: Scenario,
}

/// What one run of the program answered.
pub(crate) struct Ran {
    /// Exit code; negative for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error, redacted.
    pub(crate) stderr: String,
}

/// A project that requires `native`, which needs zlib.
pub(crate) const PROJECT: &str =
    "[project]\nname = \"shop\"\nversion = \"1.0\"\ndependencies = [\"native\"]\n";

impl Kit {
    /// A project with this `pyproject.toml` and an app of one file.
    pub(crate) fn new(pyproject: &str) -> Self {
        Self::of(Scenario::basic(), pyproject)
    }

    /// The same in another world.
    pub(crate) fn of(world: Scenario, pyproject: &str) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let kit = Self { directory, world };
        kit.write("pyproject.toml", pyproject);
        kit.write("main.py", "import native\n\nprint(native)\n");
        fs_err::write(kit.path("keys.pgp"), &kit.world.keyring).expect("keyring");
        kit
    }

    /// A path beside the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The project's directory.
    pub(crate) fn project(&self) -> PathBuf {
        self.path("shop")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.project().join(name);
        fs_err::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs_err::write(path, text).expect("file");
    }

    /// Runs the program in the project with the world's mirror, index and keyring.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let mut words: Vec<&str> = words.to_vec();
        let (debian, security, index) = (
            self.world.debian_url(),
            self.world.security_url(),
            self.world.index_url(),
        );
        let keyring = self.path("keys.pgp").display().to_string();
        if ["build", "lock", "export"].contains(&words[0]) {
            words.extend(["--mirror", &debian, "--security-mirror", &security]);
            words.extend([
                "--default-index",
                &index,
                "--keyring",
                &keyring,
                "--platform",
                "linux/amd64",
            ]);
        }
        self.plain(&words)
    }

    /// Builds without running what was built: the world's interpreter is no real one.
    pub(crate) fn build(&self, words: &[&str]) -> Ran {
        self.run(&[&["build", "--no-verify"], words].concat())
    }

    /// Runs the program with these words alone.
    pub(crate) fn plain(&self, words: &[&str]) -> Ran {
        let mut command = assert_cmd::Command::cargo_bin("unheck").expect("program");
        command
            .env_clear()
            .env("HOME", self.directory.path())
            // The interpreters of these worlds cannot run.
            .env("UNHECK_BYTECODE", "none")
            .env("UNHECK_CACHE_DIR", self.path("cache"));
        command
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.project())
            .args(words);
        let output: Output = command.output().expect("output");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: self.redacted(&text(&output.stderr)),
        }
    }

    /// Text without what differs from run to run: places, ports, digests, sizes, times.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let text = text.replace(&self.directory.path().display().to_string(), "[DIR]");
        let text = text.replace(&self.world.mirror.url(""), "[MIRROR]");
        let address = self.world.index_url().replace("/simple/", "");
        digits(&text.replace(&address, "[INDEX]"))
    }
}

/// Replaces digests, sizes and times.
fn digits(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let unit = ["B", "kB", "MB", "ms", "s"].contains(&bare);
            if unit
                && words
                    .last()
                    .is_some_and(|last| last.trim_start_matches('(').parse::<f64>().is_ok())
            {
                let last = words.pop().unwrap_or_default();
                let open = if last.starts_with('(') { "(" } else { "" };
                words.push(format!(
                    "{open}[N]{}",
                    word.strip_prefix(bare).unwrap_or_default()
                ));
            } else if bare
                .strip_prefix("sha256:")
                .is_some_and(|hex| hex.len() == 64)
            {
                words.push(word.replace(bare, "[DIGEST]"));
            } else {
                words.push(word.to_owned());
            }
        }
        // Columns are as wide as the numbers in them.
        let line = words.join(" ");
        let trimmed = line.trim_start();
        lines.push(if trimmed.starts_with("[N]") {
            format!("  {trimmed}")
        } else {
            line
        });
    }
    lines.join("\n")
}

/// Whether a path is there.
pub(crate) fn exists(path: &Path) -> bool {
    fs_err::metadata(path).is_ok()
}
