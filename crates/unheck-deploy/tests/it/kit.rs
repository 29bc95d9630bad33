//! Hosts that are directories, and artifacts of a few files.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_deploy::{
    Artifact, By, Context, DeployError, Deployed, HealthConfig, Local, Node, ReleaseReport, Target,
    TargetConfig, Transport, Wanted,
};

/// Where tools are.
pub(crate) const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// Hosts of one target, and what is to be deployed to them.
pub(crate) struct Kit {
    /// Everything of a test.
    pub(crate) temp: tempfile::TempDir,
    /// The target.
    pub(crate) config: TargetConfig,
    shell: Vec<String>,
    path: String,
    ways: Vec<Box<dyn Transport>>,
    by: By,
}

impl Kit {
    /// One host whose reload command notes which release it serves.
    pub(crate) fn new() -> Self {
        Self::with_hosts(1)
    }

    /// So many hosts, which share this machine but not their directories.
    pub(crate) fn with_hosts(count: usize) -> Self {
        // In memory where that is possible: every step syncs, which takes long on a busy disk.
        let memory = Path::new("/dev/shm");
        let temp = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
        let temp = temp.expect("temp");
        let mut kit = Self {
            config: TargetConfig {
                hosts: (0..count).map(|n| format!("host{n}")).collect(),
                // The same on every host, and in another home.
                directory: Some("~/srv/web".to_owned()),
                reload: Some("cat current/app/version >served || exit 1".to_owned()),
                health: Some(HealthConfig {
                    command: Some("test \"$(cat app/health)\" = good".to_owned()),
                    deadline: Some(1),
                    url: None,
                }),
                ..TargetConfig::default()
            },
            shell: vec!["sh".to_owned()],
            path: PATH.to_owned(),
            ways: Vec::new(),
            by: By {
                who: "ada@laptop".to_owned(),
                now: 1_800_000_000,
            },
            temp,
        };
        kit.renew();
        kit
    }

    /// The hosts' shell, and where it finds tools.
    pub(crate) fn shell(&mut self, shell: &[&str], path: &str) {
        self.shell = shell.iter().map(|word| (*word).to_owned()).collect();
        path.clone_into(&mut self.path);
        self.renew();
    }

    fn renew(&mut self) {
        self.ways = (0..self.config.hosts.len())
            .map(|number| {
                let local = Local {
                    name: format!("host{number}"),
                    shell: self.shell.clone(),
                    environment: vec![
                        ("PATH".to_owned(), self.path.clone()),
                        ("HOME".to_owned(), self.home(number).display().to_string()),
                    ],
                    home: self.home(number),
                };
                Box::new(local) as Box<dyn Transport>
            })
            .collect();
        for number in 0..self.config.hosts.len() {
            fs_err::create_dir_all(self.home(number)).expect("host");
        }
    }

    /// A host's directory of releases.
    pub(crate) fn host(&self, number: usize) -> PathBuf {
        self.home(number).join("srv/web")
    }

    fn home(&self, number: usize) -> PathBuf {
        self.temp.path().join(format!("host{number}"))
    }

    /// An artifact of a version, on disk.
    pub(crate) fn artifact(&self, version: &str) -> Artifact {
        let mut files: BTreeMap<&str, (String, bool)> = BTreeMap::new();
        files.insert("app/version", (version.to_owned(), false));
        files.insert("app/health", ("good".to_owned(), false));
        files.insert("app/a b/$(x);'\"&*", ("odd\n".to_owned(), false));
        files.insert("app/-rf", ("dash\n".to_owned(), false));
        files.insert("app/é\u{1f600}", ("wide\n".to_owned(), false));
        files.insert("usr/lib/same", ("same\n".to_owned(), false));
        files.insert("usr/lib/same-too", ("same\n".to_owned(), false));
        files.insert("usr/lib/same-run", ("same\n".to_owned(), true));
        files.insert("usr/lib/empty", (String::new(), false));
        files.insert(
            "bin/web",
            (
                "#!/bin/sh\ncat \"${0%/*}/../app/version\"\n".to_owned(),
                true,
            ),
        );
        // Large enough to go in parts, of which a version changes one.
        files.insert("app/large", (large(version), false));
        let long = format!("usr/lib/{}/{}", "d".repeat(100), "f".repeat(100));
        let only = format!("app/only-{version}/deep/file");
        files.insert(&long, ("long\n".to_owned(), false));
        files.insert(&only, (format!("only {version}\n"), false));
        let links = [("usr/bin/web", "../../bin/web"), ("usr/lib/-l 'x'", "same")];
        let root = self.temp.path().join(format!("artifact-{version}"));
        let _ = fs_err::remove_dir_all(&root);
        let mut nodes = BTreeMap::new();
        for (path, (text, executable)) in files {
            let place = root.join(path);
            fs_err::create_dir_all(place.parent().expect("parent")).expect("directory");
            fs_err::write(&place, &text).expect("file");
            let node = Node::File {
                digest: Digest::of(text.as_bytes()),
                len: text.len() as u64,
                executable,
            };
            nodes.insert(TreePath::new(path).expect("path"), node);
        }
        for (path, text) in links {
            fs_err::create_dir_all(root.join(path).parent().expect("parent")).expect("directory");
            symlink(text, root.join(path)).expect("link");
            nodes.insert(
                TreePath::new(path).expect("path"),
                Node::Link(text.to_owned()),
            );
        }
        Artifact {
            root,
            project: "web".to_owned(),
            version: Some(version.to_owned()),
            machine: machine(),
            entry: TreePath::new("bin/web").expect("path"),
            interpreter: None,
            files: nodes,
        }
    }

    /// An artifact with one file changed.
    pub(crate) fn changed(&self, version: &str, path: &str, text: &str) -> Artifact {
        let mut artifact = self.artifact(version);
        fs_err::write(artifact.root.join(path), text).expect("file");
        let node = Node::File {
            digest: Digest::of(text.as_bytes()),
            len: text.len() as u64,
            executable: false,
        };
        artifact
            .files
            .insert(TreePath::new(path).expect("path"), node);
        artifact
    }

    /// Does something with the target.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&Context<'_>) -> T) -> T {
        self.with_steal(false, act)
    }

    /// The same, and takes locks away where asked to.
    pub(crate) fn with_steal<T>(&self, steal: bool, act: impl FnOnce(&Context<'_>) -> T) -> T {
        let target = Target::new("prod", &self.config).expect("target");
        act(&Context {
            target: &target,
            ways: &self.ways,
            by: &self.by,
            steal,
            say: &|_, _| {},
        })
    }

    /// The clock goes on.
    pub(crate) fn later(&mut self) {
        self.by.now += 60;
    }

    /// The clock of another machine, which is an hour behind.
    pub(crate) fn earlier(&mut self) {
        self.by.now -= 3600;
    }

    pub(crate) fn deploy(&self, artifact: &Artifact) -> Result<Deployed, DeployError> {
        self.with(|context| unheck_deploy::deploy(context, artifact))
    }

    pub(crate) fn release(&self, wanted: Wanted<'_>) -> Result<ReleaseReport, DeployError> {
        self.with(|context| unheck_deploy::release(context, wanted, true))
    }

    /// What the host's service was last told to serve.
    pub(crate) fn served(&self, number: usize) -> String {
        fs_err::read_to_string(self.host(number).join("served")).unwrap_or_default()
    }

    /// What `current` names.
    pub(crate) fn current(&self, number: usize) -> Option<String> {
        link(&self.host(number).join("current"))
    }

    /// A release on a host is exactly an artifact, read-only.
    #[track_caller]
    pub(crate) fn check(&self, number: usize, id: &str, artifact: &Artifact) {
        let root = self.host(number).join("releases").join(id);
        let mut seen = BTreeMap::new();
        for entry in walkdir::WalkDir::new(&root).min_depth(1) {
            let entry = entry.expect("entry");
            let below = entry.path().strip_prefix(&root).expect("below");
            let mode = entry.metadata().expect("metadata").permissions().mode();
            if entry.file_type().is_dir() {
                assert_eq!(mode & 0o777, 0o555, "{}", below.display());
                assert!(
                    entry.path().read_dir().expect("entries").next().is_some(),
                    "{}",
                    below.display()
                );
                continue;
            }
            let path = TreePath::new(below.to_str().expect("UTF-8")).expect("path");
            let node = if entry.path_is_symlink() {
                Node::Link(
                    fs_err::read_link(entry.path())
                        .expect("link")
                        .display()
                        .to_string(),
                )
            } else {
                let bytes = fs_err::read(entry.path()).expect("bytes");
                assert_eq!(mode & 0o222, 0, "{path}");
                Node::File {
                    digest: Digest::of(&bytes),
                    len: bytes.len() as u64,
                    executable: mode & 0o111 != 0,
                }
            };
            seen.insert(path, node);
        }
        assert_eq!(seen, artifact.files);
    }

    /// Nothing half done is left on a host.
    #[track_caller]
    pub(crate) fn check_tidy(&self, number: usize) {
        let host = self.host(number);
        for name in ["staging", "incoming"] {
            let left: Vec<_> = host
                .join(name)
                .read_dir()
                .expect("entries")
                .flatten()
                .collect();
            let left: Vec<_> = left.iter().map(std::fs::DirEntry::file_name).collect();
            let temporary = |name: &std::ffi::OsString| {
                let name = name.to_string_lossy().into_owned();
                !["all", "differs", "mark", "idle", "named"].contains(&name.as_str())
                    && !name.starts_with("want.")
                    && !name.starts_with("seen.")
            };
            assert!(!left.iter().any(temporary), "{name}: {left:?}");
        }
        for name in ["lock", "undo"] {
            assert_eq!(link(&host.join(name)), None, "{name}");
        }
    }
}

/// Text that does not compress well, with something else in its midst.
fn large(version: &str) -> String {
    let lines = (0..1000).map(|number: u32| {
        let line = Digest::of(&number.to_be_bytes()).hex();
        let mark = if number == 500 { version } else { "" };
        format!("{line}{mark}\n")
    });
    lines.collect()
}

/// The text of a link.
pub(crate) fn link(path: &Path) -> Option<String> {
    let text = fs_err::read_link(path).ok()?.display().to_string();
    Some(text.strip_prefix("releases/").unwrap_or(&text).to_owned())
}

fn machine() -> String {
    std::env::consts::ARCH.to_owned()
}
