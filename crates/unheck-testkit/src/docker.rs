//! Debian's `docker-registry`, a registry that others wrote. Start at [`DockerRegistry::start`].

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A registry of its own on a free port of loopback; it stops when it is dropped, and its blobs go.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    /// `127.0.0.1:PORT`, the first part of a reference.
    pub host: String,
    root: tempfile::TempDir,
}

impl DockerRegistry {
    /// Starts it; `deletes` says whether it removes manifests, which it does not unless it is told to.
    ///
    /// # Panics
    /// It is not installed, or does not start.
    pub fn start(deletes: bool) -> Self {
        let root = tempfile::tempdir().expect("directory");
        let config = root.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: {deletes}}}}}\n\
             http: {{addr: \"127.0.0.1:0\"}}\n",
            root.path().display()
        );
        fs_err::write(&config, text).expect("config");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let mut lines = BufReader::new(child.stderr.take().expect("pipe")).lines();
        let host = loop {
            let line = lines.next().expect("it ended").expect("text");
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
        };
        // A pipe that nobody reads would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, host, root }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Collects its garbage, as its owner does now and then.
    ///
    /// # Panics
    /// It does not do that.
    pub fn collect(&self) {
        let done = Command::new("docker-registry")
            .arg("garbage-collect")
            .arg(self.root.path().join("config.yml"))
            .stdin(Stdio::null())
            .output()
            .expect("docker-registry is installed");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Bytes of the blobs that it keeps.
    ///
    /// # Panics
    /// Its directory cannot be read.
    pub fn bytes(&self) -> u64 {
        fn below(path: &std::path::Path) -> u64 {
            let entries = fs_err::read_dir(path).expect("directory").flatten();
            entries
                .map(|entry| match entry.metadata() {
                    Ok(found) if found.is_dir() => below(&entry.path()),
                    Ok(found) => found.len(),
                    // It was there a moment ago.
                    Err(_) => 0,
                })
                .sum()
        }
        below(self.root.path())
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
