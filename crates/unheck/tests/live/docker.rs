//! A Docker engine of the test's own: no network, no state that outlives it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kit::{Ran, Running, command, finish, text};
use crate::tools::find;

/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running engine.
pub(crate) struct Docker {
    socket: PathBuf,
    engine: Option<Running>,
    _state: tempfile::TempDir,
}

impl Docker {
    /// Starts an engine; why not, on a machine where none can run. It needs root and cgroups, and neither a bridge nor
    /// rules of a firewall: containers have no network.
    #[track_caller]
    pub(crate) fn start() -> Result<Self, String> {
        // Sockets are made below, and their paths must be short.
        let state = tempfile::Builder::new()
            .prefix("docker-")
            .tempdir_in("/tmp");
        let state = state.unwrap();
        let at = |name: &str| state.path().join(name);
        let socket = at("s");
        let mut engine = command(text(&find("dockerd")));
        engine.arg("--data-root").arg(at("data"));
        engine.arg("--exec-root").arg(at("exec"));
        engine.arg("--pidfile").arg(at("pid"));
        engine.args(["--host", &format!("unix://{}", text(&socket))]);
        engine.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        engine.args(["--storage-driver=vfs", "--log-level=error"]);
        let mut docker = Self {
            socket,
            engine: Some(Running::start(engine)),
            _state: state,
        };
        docker.wait()?;
        Ok(docker)
    }

    #[track_caller]
    fn wait(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while self.docker(&["version"]).code != Some(0) {
            let engine = self.engine.as_mut().unwrap();
            if let Some(status) = engine.ended() {
                return Err(format!("dockerd ended with {status}"));
            }
            assert!(begun.elapsed() < PATIENCE, "dockerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn docker(&self, words: &[&str]) -> Ran {
        let mut docker = command(text(&find("docker")));
        docker.args(["--host", &format!("unix://{}", text(&self.socket))]);
        docker.args(words);
        finish(docker)
    }

    /// Loads an archive and gives back the loaded image's name.
    #[track_caller]
    pub(crate) fn load(&self, archive: &Path) -> String {
        let told = self.docker(&["load", "-q", "-i", text(archive)]).ok();
        let name = told.stdout.trim().strip_prefix("Loaded image: ");
        name.expect("a loaded image").to_owned()
    }

    /// Runs a loaded image.
    #[track_caller]
    pub(crate) fn run(&self, image: &str, arguments: &[&str]) -> Ran {
        let words = ["run", "--rm", "--network", "none", image];
        self.docker(&[&words[..], arguments].concat())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // One that ended by itself takes no signal.
        if let Some(mut engine) = self.engine.take()
            && engine.ended().is_none()
        {
            engine.terminate();
        }
    }
}
