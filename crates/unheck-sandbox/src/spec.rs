//! What to run, in which root, with which limits: [`Spec`].
//!
//! Pure values. A specification travels to the helper process through an anonymous file, never through arguments
//! or the environment; [`Spec::check`] is called before.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::SandboxError;

/// Size of a private tmpfs when nothing else is said, in bytes.
const SCRATCH_BYTES: u64 = 1 << 30;
/// Most lower directories that one overlay takes (`OVL_MAX_STACK` of Linux), less the two generated ones.
pub(crate) const MAX_LOWER: usize = 498;

/// One command to run in a root of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The directories that make the root.
    pub root: Root,
    /// `true`: the root is read-only. `false`: writes go to a memory file system of at most
    /// [`Limits::scratch_bytes`] bytes that vanishes with the sandbox; the directories are never written.
    pub read_only_root: bool,
    /// What else is mounted, in this order, over the root and over the private directories.
    pub mounts: Vec<Mount>,
    /// Absolute path inside where the command starts.
    pub cwd: PathBuf,
    /// The command and its arguments; a name without `/` is searched in `PATH` of [`Spec::env`], inside.
    pub argv: Vec<OsString>,
    /// The complete environment; nothing is inherited.
    #[serde(with = "pairs")]
    pub env: BTreeMap<OsString, OsString>,
    /// User id inside. As an ordinary user the caller's own id appears as this one; as root every id of the
    /// caller's namespace keeps its number, and the command really runs as this one.
    pub uid: u32,
    /// Group id inside, as [`Spec::uid`].
    pub gid: u32,
    /// Host name inside, at most 64 bytes.
    pub hostname: String,
    /// Which network the command sees.
    pub network: Network,
    /// What ends the command early.
    pub limits: Limits,
    /// Install the seccomp deny-list. Only a debugger or an emulator has a reason to say no.
    pub seccomp: bool,
    /// Add Landlock rules where the kernel has them. A second wall behind the mounts.
    pub landlock: bool,
    /// Where standard input, output and error go.
    pub stdio: Stdio,
    /// Record what the processes inside look for and do not find; the answer is [`crate::Outcome::watched`]. Each lookup by
    /// path takes some microseconds longer then, and one that a signal meets fails with `EINTR` if the signal's handler
    /// was installed without `SA_RESTART`; without a watch, lookups are not interrupted.
    pub watch: bool,
}

/// The directories that make a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// One directory.
    Dir(PathBuf),
    /// Several directories, one over the other, the first the lowest. They hold no whiteouts.
    Overlay {
        /// 1 to 498 directories, the lowest first.
        lower: Vec<PathBuf>,
    },
    /// The host's own, for work on data where no namespaces can be made: Landlock shows these paths alone and
    /// `/dev/null` with its like, seccomp refuses sockets, signals and leaving the group, and the command is who the
    /// caller is. Much weaker than the others, so nothing falls back to it unasked; refused where the kernel does not
    /// enforce Landlock. What the command started ends with it, but where somebody kills the helper.
    Host {
        /// What may be read and executed, with all below it.
        reads: Vec<PathBuf>,
        /// What may be read and written, with all below it.
        writes: Vec<PathBuf>,
    },
}

impl Root {
    /// Whether it is none of its own.
    pub(crate) fn is_host(&self) -> bool {
        matches!(self, Self::Host { .. })
    }

    /// The directories, lowest first.
    pub(crate) fn lowers(&self) -> Vec<PathBuf> {
        match self {
            Self::Dir(dir) => vec![dir.clone()],
            Self::Overlay { lower } => lower.clone(),
            Self::Host { .. } => Vec::new(),
        }
    }
}

/// One thing mounted inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A file or directory of the host, with everything mounted below it.
    Bind {
        /// Where it is on the host.
        host: PathBuf,
        /// Absolute path inside; missing directories are made, without writing the root.
        inside: PathBuf,
        /// May the command write to it? Never honoured for device nodes or setuid bits.
        writable: bool,
    },
    /// An empty memory file system.
    Tmpfs {
        /// Absolute path inside.
        inside: PathBuf,
        /// At most so many bytes.
        size: u64,
        /// Mode of its top directory, such as `0o1777`.
        mode: u32,
    },
}

impl Mount {
    pub(crate) fn inside(&self) -> &Path {
        match self {
            Self::Bind { inside, .. } | Self::Tmpfs { inside, .. } => inside,
        }
    }
}

/// Which network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A network of its own with nothing but the loopback, which is up.
    None,
    /// The host's, with the host's `/etc/resolv.conf` and `/etc/hosts`.
    Host,
}

/// What ends a command early; `None` is no limit.
///
/// Memory, processes and processor time are watched for the sandbox as a whole every 50 ms while its `/proc` is its
/// own ([`crate::ProcMount::Fresh`]), and held by resource limits besides. Control groups are not used: an
/// ordinary user is seldom given any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory: proportional set size of all processes; also `RLIMIT_DATA` of each.
    pub memory: Option<u64>,
    /// Processes at one time; also `RLIMIT_NPROC`, which counts threads.
    pub processes: Option<u64>,
    /// Bytes of one file (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
    /// Open files of one process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Seconds of processor time of all processes; also `RLIMIT_CPU` of each.
    pub cpu_seconds: Option<u64>,
    /// Time from the start of the command.
    pub wall: Option<Duration>,
    /// Bytes on standard output and error together; needs [`Stdio::Capture`].
    pub output: Option<u64>,
    /// Bytes by which all writable [`Mount::Bind`]s together may grow, as allocated on the host's disk. A writer can be
    /// some tenths of a second ahead of the sum: what it has written beyond stays, for the caller to remove. A command
    /// that has ended by itself is judged by the last sum.
    pub disk: Option<u64>,
    /// Files, directories and links by which they may grow, counted as [`Limits::disk`]. A tree of more than 100 levels
    /// counts as too many whenever either is set.
    pub inodes: Option<u64>,
    /// Size of `/tmp`, of `/var/tmp`, of `/dev/shm` and of the writable root, in bytes each; they have one inode for
    /// each 4 KiB of it, and at least 1024.
    pub scratch_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            processes: None,
            file_size: None,
            open_files: None,
            cpu_seconds: None,
            wall: None,
            output: None,
            disk: None,
            inodes: None,
            scratch_bytes: SCRATCH_BYTES,
        }
    }
}

/// Where standard input, output and error go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// The caller's own; the command stays in the caller's session and process group, so that a terminal's
    /// interrupt and job control work.
    Inherit,
    /// Input is empty, the command has a session of its own, output is kept.
    Capture {
        /// Bytes kept of each stream: the first half of the limit and the last half.
        limit: usize,
    },
}

impl Spec {
    /// A command with the safe defaults: read-only root, `/`, empty environment, user 65532, no network, no
    /// limits, seccomp and Landlock, 64 KiB of each output stream kept.
    #[must_use]
    pub fn new(root: Root, argv: Vec<OsString>) -> Self {
        Self {
            root,
            read_only_root: true,
            mounts: Vec::new(),
            cwd: PathBuf::from("/"),
            argv,
            env: BTreeMap::new(),
            uid: 65532,
            gid: 65532,
            hostname: "sandbox".to_owned(),
            network: Network::None,
            limits: Limits::default(),
            seccomp: true,
            landlock: true,
            stdio: Stdio::Capture { limit: 64 << 10 },
            watch: false,
        }
    }

    /// What is asked for that [`Root::Host`] cannot give.
    fn beyond_the_host(&self) -> Option<&'static str> {
        let Limits {
            processes,
            cpu_seconds,
            disk,
            inodes,
            ..
        } = &self.limits;
        let asked = [
            (!self.mounts.is_empty(), "mounts"),
            (self.network == Network::Host, "network"),
            (self.watch, "watch"),
            (self.stdio == Stdio::Inherit, "stdio"),
            (!(self.seccomp && self.landlock), "seccomp"),
            (processes.is_some(), "limits.processes"),
            (cpu_seconds.is_some(), "limits.cpu_seconds"),
            (disk.is_some() || inodes.is_some(), "limits.disk"),
        ];
        asked
            .iter()
            .find(|(asked, _)| *asked)
            .map(|(_, what)| *what)
    }

    /// Refuses what no sandbox can be made of.
    ///
    /// # Errors
    /// [`SandboxError::Spec`] naming the field.
    pub(crate) fn check(&self) -> Result<(), SandboxError> {
        let refuse = |what: String| Err(SandboxError::Spec { what });
        if self.argv.first().is_none_or(|name| name.is_empty()) {
            return refuse("`argv` is empty".to_owned());
        }
        if self.hostname.len() > 64 || self.hostname.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return refuse(format!(
                "`hostname` {:?} is longer than 64 bytes or has spaces",
                self.hostname
            ));
        }
        if self.uid == u32::MAX || self.gid == u32::MAX {
            return refuse("`uid` or `gid` is 4294967295, which means none".to_owned());
        }
        let host = self.root.is_host();
        if host && let Some(what) = self.beyond_the_host() {
            return refuse(format!("`{what}` needs a root of its own"));
        }
        let lowers = self.root.lowers();
        if !host && (lowers.is_empty() || lowers.len() > MAX_LOWER) {
            return refuse(format!(
                "`root` has {} directories, 1 to {MAX_LOWER} are possible",
                lowers.len()
            ));
        }
        if self.limits.output.is_some() && self.stdio == Stdio::Inherit {
            return refuse("`limits.output` needs captured output".to_owned());
        }
        let words = self
            .argv
            .iter()
            .chain(self.env.keys())
            .chain(self.env.values());
        if words
            .into_iter()
            .any(|word| word.as_encoded_bytes().contains(&0))
        {
            return refuse("`argv` or `env` has a NUL byte".to_owned());
        }
        if let Some(name) = self
            .env
            .keys()
            .find(|k| k.is_empty() || k.as_encoded_bytes().contains(&b'='))
        {
            return refuse(format!("`env` has the impossible name {name:?}"));
        }
        for path in self
            .mounts
            .iter()
            .map(Mount::inside)
            .chain([self.cwd.as_path()])
        {
            check_inside(path)?;
        }
        Ok(())
    }
}

/// A path inside is absolute, without `..` and, for a mount, not the root itself.
fn check_inside(path: &Path) -> Result<(), SandboxError> {
    let plain = path
        .components()
        .all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain && !path.as_os_str().as_encoded_bytes().contains(&0) {
        return Ok(());
    }
    Err(SandboxError::Spec {
        what: format!("path inside {path:?} is not absolute or has `..`"),
    })
}

/// An environment as a list of pairs: JSON has only text as keys.
mod pairs {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<OsString, OsString>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<OsString, OsString>, D::Error> {
        Ok(Vec::<(OsString, OsString)>::deserialize(from)?
            .into_iter()
            .collect())
    }
}
