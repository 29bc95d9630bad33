//! A project, what it is built to, and hosts that serve it by the units that `deploy --unit` prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use unheck_testkit::hosts::{Hosts, PORT, ask};

use crate::kit::{Ran, directory, finish, program, text, unheck};

/// A project with a target of two or three hosts.
pub(crate) struct World {
    pub(crate) hosts: Hosts,
    project: PathBuf,
    directory: tempfile::TempDir,
}

impl World {
    /// Hosts that serve nothing yet. `make` writes the project into a directory and gives back where it is.
    pub(crate) fn new(count: u8, make: impl FnOnce(&Path) -> PathBuf) -> Self {
        let directory = directory();
        let project = make(directory.path());
        let hosts = Hosts::booted(count);
        let names: Vec<String> = hosts
            .hosts
            .iter()
            .map(|host| format!("{:?}", host.name))
            .collect();
        let target = format!(
            "\n[tool.unheck.targets.prod]\nhosts = [{}]\ndirectory = \"/srv/web\"\nunit = \"web.service\"\n\
             listen = [\"{PORT}\"]\narguments = [\"--fd\", \"3\"]\n\
             health = {{ url = \"http://127.0.0.1:{PORT}/\", deadline = 60 }}\n",
            names.join(", ")
        );
        let config = project.join("pyproject.toml");
        let before = fs_err::read_to_string(&config).unwrap();
        fs_err::write(config, before + &target).unwrap();
        Self {
            hosts,
            project,
            directory,
        }
    }

    /// What the service is started with besides its entry.
    pub(crate) fn arguments(&self, words: &[&str]) {
        let config = self.project.join("pyproject.toml");
        let before = fs_err::read_to_string(&config).unwrap();
        let after = before.replace("[\"--fd\", \"3\"]", &format!("{words:?}"));
        fs_err::write(config, after).unwrap();
    }

    /// Builds a version as a directory: `edit` makes the text of a source file.
    pub(crate) fn build(
        &self,
        version: &str,
        file: &str,
        edit: impl FnOnce(&str) -> String,
    ) -> PathBuf {
        let source = self.project.join(file);
        let before = fs_err::read_to_string(&source).unwrap();
        fs_err::write(&source, edit(&before)).unwrap();
        let output = self.directory.path().join(format!("out-{version}"));
        let words = ["build", text(&self.project), "--format", "dir", "-o"];
        unheck(&[&words[..], &[text(&output)]].concat()).ok();
        fs_err::write(&source, before).unwrap();
        output
    }

    /// Installs the units and opens the socket.
    pub(crate) fn install(&self, artifact: &Path) {
        let units = self.json(&["deploy", text(artifact), "--unit"]);
        for name in ["service", "socket"] {
            let file = units[format!("{name}_name")].as_str().unwrap();
            let script = format!("cat >/etc/systemd/system/{file}");
            let unit = units[name].as_str().unwrap();
            self.hosts.everywhere(&script, unit.as_bytes());
        }
        self.hosts
            .everywhere("systemctl daemon-reload && systemctl start web.socket", b"");
    }

    /// A verb about the target.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command.args(words);
        command.args(["--project", text(&self.project)]);
        command.args(["--ssh-config", text(&self.hosts.config)]);
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        finish(self.command(words))
    }

    /// The one line that a verb which works prints.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        self.run(words).ok().stdout.trim().to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.run(&[words, &["--json"]].concat()).ok().json()
    }

    /// Starts a verb, to be killed.
    pub(crate) fn start(&self, words: &[&str]) -> std::process::Child {
        let mut command = self.command(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// What each host answers.
    pub(crate) fn answers(&self) -> Vec<Result<String, String>> {
        let hosts = self.hosts.hosts.iter();
        hosts.map(|host| ask(host.address)).collect()
    }

    #[track_caller]
    pub(crate) fn check(&self, version: &str) {
        for (answer, host) in self.answers().iter().zip(&self.hosts.hosts) {
            assert_eq!(answer.as_deref(), Ok(version), "{}", host.name);
        }
    }
}
