//! Other people's tools, each known by the Debian package that has it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kit::{Ran, command, finish, text};

/// Tool and package.
const PACKAGES: [(&str, &str); 8] = [
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("runc", "runc"),
    ("podman", "podman"),
    ("docker-registry", "docker-registry"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io` or `docker-cli"),
    (EMULATOR, "qemu-user-static"),
];

/// Runs programs of arm64; linked statically, so that it works in any root.
pub(crate) const EMULATOR: &str = "qemu-aarch64-static";

/// Where a tool is. Fails with the package to install if it is nowhere.
#[track_caller]
pub(crate) fn find(tool: &str) -> PathBuf {
    let (_, package) = PACKAGES.iter().find(|(name, _)| *name == tool).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    // runc is where only root looks by itself.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/bin".into()])
        .map(|directory| directory.join(tool))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("`{tool}` is missing: install the Debian package `{package}`"))
}

/// Runs a tool.
#[track_caller]
pub(crate) fn tool(name: &str, words: &[&str]) -> Ran {
    let mut command = command(text(&find(name)));
    command.args(words);
    finish(command)
}

/// Copies one image out of an archive with skopeo and unpacks it with umoci into a runtime bundle.
#[track_caller]
pub(crate) fn unpack(archive: &Path, architecture: &str, directory: &Path) -> Bundle {
    let (from, layout) = (
        format!("oci-archive:{}", text(archive)),
        format!("{}:image", text(&directory.join("oci"))),
    );
    let to = format!("oci:{layout}");
    tool(
        "skopeo",
        &[
            "copy",
            "-q",
            "--override-os",
            "linux",
            "--override-arch",
            architecture,
            &from,
            &to,
        ],
    )
    .ok();
    let bundle = directory.join("bundle");
    tool(
        "umoci",
        &["unpack", "--rootless", "--image", &layout, text(&bundle)],
    )
    .ok();
    Bundle(bundle)
}

/// A runtime bundle: a root and `config.json`.
pub(crate) struct Bundle(PathBuf);

impl Bundle {
    /// The unpacked root.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Runs it with runc: the image's own command between `before` and `after`.
    #[track_caller]
    pub(crate) fn run(&self, before: &[&str], after: &[&str]) -> Ran {
        let path = self.0.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        let process = &mut config["process"];
        process["terminal"] = json!(false);
        let own = process["args"].as_array().unwrap().clone();
        let words = |words: &[&str]| words.iter().map(|word| json!(word)).collect::<Vec<_>>();
        process["args"] = json!([words(before), own.clone(), words(after)].concat());
        // umoci's rootless spec maps one user alone; root can map the image's own too.
        if fs_err::metadata("/proc/self").unwrap().uid() == 0 {
            for kind in ["uidMappings", "gidMappings"] {
                config["linux"][kind] = json!([{"containerID": 0, "hostID": 0, "size": 65_536}]);
            }
        } else {
            config["process"]["user"] = json!({"uid": 0, "gid": 0});
        }
        let state = self.0.join("state");
        let bundle = self.0.join("run");
        fs_err::create_dir_all(&bundle).unwrap();
        config["root"]["path"] = json!(self.root());
        fs_err::write(bundle.join("config.json"), config.to_string()).unwrap();
        let name = format!("unheck-live-{}", std::process::id());
        tool(
            "runc",
            &[
                "--root",
                text(&state),
                "run",
                "--bundle",
                text(&bundle),
                &name,
            ],
        )
    }
}

/// Storage of podman that only one test sees.
pub(crate) struct Podman {
    storage: PathBuf,
    state: tempfile::TempDir,
}

/// Longest path of the directory of podman's state that podman accepts: it makes sockets in it,
/// whose names are short.
const RUNROOT: usize = 50;

impl Podman {
    /// Empty storage in a directory. Podman's state is elsewhere: the directory may be deep.
    pub(crate) fn new(directory: &Path) -> Self {
        let temporary = std::env::temp_dir();
        let short = temporary.as_os_str().len() + "/podman-XXXXXX".len() <= RUNROOT;
        let parent = if short {
            temporary.as_path()
        } else {
            Path::new("/tmp")
        };
        let state = tempfile::Builder::new()
            .prefix("podman-")
            .tempdir_in(parent)
            .unwrap();
        Self {
            storage: directory.join("podman"),
            state,
        }
    }

    #[track_caller]
    fn podman(&self, words: &[&str]) -> Ran {
        let storage = [
            "--root",
            text(&self.storage),
            "--runroot",
            text(self.state.path()),
            "--cgroup-manager",
            "cgroupfs",
        ];
        tool("podman", &[&storage[..], words].concat())
    }

    /// Loads an archive and gives back the loaded image's name.
    #[track_caller]
    pub(crate) fn load(&self, archive: &Path) -> String {
        let told = self.podman(&["load", "-q", "-i", text(archive)]).ok();
        let (_, name) = told
            .stdout
            .trim()
            .rsplit_once("Loaded image: ")
            .expect("a loaded image");
        name.to_owned()
    }

    /// Runs a loaded image. The limits are below those of any machine: podman would raise them
    /// otherwise, which not every machine permits.
    #[track_caller]
    pub(crate) fn run(&self, image: &str, arguments: &[&str]) -> Ran {
        let limits = [
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1000:1000",
        ];
        let words = ["run", "--rm", "--runtime", "runc", "--network", "none"];
        self.podman(&[&words[..], &limits, &[image], arguments].concat())
    }
}
