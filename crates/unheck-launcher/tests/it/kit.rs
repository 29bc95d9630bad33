//! Trees, executables and runs for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;
use unheck_base::{Digest, TreePath};
use unheck_launcher::{
    Architecture, Argv0, Command, CommandName, Contents, Entry, Exe, ExeOptions, LAUNCH_PATH,
    Launch, Mode, Variable, When, Written,
};

pub(crate) fn architecture() -> Option<Architecture> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => Architecture::Amd64,
        "aarch64" => Architecture::Arm64,
        _ => return None,
    };
    unheck_launcher::stub(architecture).map(|_| architecture)
}

pub(crate) fn stub() -> &'static [u8] {
    unheck_launcher::stub(architecture().unwrap()).unwrap()
}

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> CommandName {
    CommandName::new(text).unwrap()
}

pub(crate) fn can_mount() -> bool {
    let made = Process::new("unshare")
        .args(["-Urm", "mount", "-t", "tmpfs", "none", "/tmp"])
        .output();
    made.is_ok_and(|output| output.status.success())
}

/// The loader and libraries that this very process runs with.
fn loaded() -> BTreeMap<String, PathBuf> {
    let maps = fs_err::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps
        .lines()
        .filter_map(|line| line.split_once('/').map(|(_, path)| path));
    let directories: BTreeSet<PathBuf> = mapped
        .filter(|path| path.contains(".so") && !path.contains(" (deleted)"))
        .filter_map(|path| Path::new("/").join(path).parent().map(Path::to_owned))
        .collect();
    let mut found = BTreeMap::new();
    let loaders = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];
    let libraries = [
        "libc.so.6",
        "libgcc_s.so.1",
        "libm.so.6",
        "libpthread.so.0",
        "libdl.so.2",
    ];
    for directory in directories {
        for name in loaders.iter().chain(&libraries) {
            let path = directory.join(name);
            if path.exists() {
                found.insert((*name).to_owned(), path);
            }
        }
    }
    found
}

fn loader() -> (String, PathBuf) {
    loaded()
        .into_iter()
        .find(|(name, _)| name.starts_with("ld-linux"))
        .unwrap()
}

/// How the host's loader passes names on.
pub(crate) fn argv0() -> Argv0 {
    let help = Process::new(loader().1).arg("--help").output().unwrap();
    if String::from_utf8_lossy(&help.stdout).contains("--argv0") {
        Argv0::Loader
    } else {
        Argv0::Environment
    }
}

/// `python` is the interpreter, `app` starts it as `python` with an argument below the root.
pub(crate) fn commands() -> BTreeMap<CommandName, Command> {
    let program = path("usr/bin/python.bin");
    let command = |named: Option<&str>, arguments: &[&str]| Command {
        program: program.clone(),
        argv0: named.map(path),
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
    };
    BTreeMap::from([
        (
            name("app"),
            command(Some("usr/bin/python"), &["probe", "show", "{root}/app.py"]),
        ),
        (name("python"), command(None, &["probe"])),
    ])
}

pub(crate) fn launch() -> Launch {
    let variable = |name: &str, value: &str, when: When| Variable {
        name: name.to_owned(),
        value: value.to_owned(),
        when,
    };
    Launch {
        mode: Mode::Static {
            loader: path("usr/lib").join(&loader().0).unwrap(),
            argv0: argv0(),
        },
        libraries: vec![path("usr/lib")],
        environment: vec![
            variable("SSL_CERT_FILE", "{root}/cert.pem", When::Unset),
            variable("FORCED", "yes", When::Always),
        ],
        commands: commands(),
        default: name("app"),
    }
}

/// Content that compresses badly, so that there are several frames and a file in more than one.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn write(root: &Path, at: &str, bytes: &[u8]) {
    let path = root.join(at);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

fn executable(path: &Path) {
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Writes a tree: launchers, program, libraries and some files of every kind.
pub(crate) fn make_tree(root: &Path, launch: &Launch) {
    write(root, LAUNCH_PATH, &launch.to_bytes().unwrap());
    write(root, "usr/bin/python", stub());
    executable(&root.join("usr/bin/python"));
    fs_err::hard_link(root.join("usr/bin/python"), root.join("usr/bin/app")).unwrap();
    let program = fs_err::read(std::env::current_exe().unwrap()).unwrap();
    write(root, "usr/bin/python.bin", &program);
    executable(&root.join("usr/bin/python.bin"));
    for (name, from) in loaded() {
        write(
            root,
            &format!("usr/lib/{name}"),
            &fs_err::read(from).unwrap(),
        );
        executable(&root.join("usr/lib").join(name));
    }
    write(root, "app.py", b"print('app')\n");
    write(root, "data/same-1", b"the same content");
    write(root, "data/same-2", b"the same content");
    write(root, "data/empty", b"");
    write(root, "data/secret", b"mode 0400");
    fs_err::set_permissions(root.join("data/secret"), PermissionsExt::from_mode(0o400)).unwrap();
    write(root, "data/noise", &noise(9 << 20));
    fs_err::create_dir(root.join("data/nothing")).unwrap();
    fs_err::os::unix::fs::symlink("../app.py", root.join("data/link")).unwrap();
}

/// The content of files below a directory.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Contents for Directory {
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(fs_err::File::open(self.0.join(path.as_str()))?))
    }
}

/// What is below a directory, as the entries of an executable.
pub(crate) fn read_tree(root: &Path) -> Exe {
    let mut exe = Exe::default();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for found in fs_err::read_dir(&directory).unwrap() {
            let at = found.unwrap().path();
            let status = fs_err::symlink_metadata(&at).unwrap();
            let entry = if status.is_symlink() {
                let target = fs_err::read_link(&at).unwrap();
                Entry::Symlink {
                    target: target.to_str().unwrap().to_owned(),
                }
            } else if status.is_dir() {
                directories.push(at.clone());
                Entry::Dir {
                    mode: status.mode() & 0o777,
                }
            } else {
                let bytes = fs_err::read(&at).unwrap();
                if bytes == stub() {
                    Entry::Launcher
                } else {
                    Entry::File {
                        mode: status.mode() & 0o777,
                        len: status.len(),
                        digest: Digest::of(&bytes),
                        last: false,
                    }
                }
            };
            let name = at.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            exe.entries.insert(path(&name), entry);
        }
    }
    exe
}

/// Level 1: the tests are not about size.
pub(crate) const OPTIONS: ExeOptions = ExeOptions {
    level: 1,
    flags: true,
};

/// The executable of the usual tree, made once.
pub(crate) fn exe_bytes() -> &'static (Vec<u8>, Written) {
    static EXE: OnceLock<(Vec<u8>, Written)> = OnceLock::new();
    EXE.get_or_init(|| exe_with(OPTIONS))
}

pub(crate) fn exe_with(options: ExeOptions) -> (Vec<u8>, Written) {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path(), &launch());
    let mut bytes = Vec::new();
    let written = read_tree(directory.path())
        .write(
            stub(),
            &Directory(directory.path().to_owned()),
            options,
            &mut bytes,
        )
        .unwrap();
    (bytes, written)
}

/// A directory of one test: with a tree, or an executable and a home.
pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a tree in `tree`.
    pub(crate) fn tree() -> Self {
        let world = Self::empty();
        make_tree(&world.at("tree"), &launch());
        world
    }

    /// With the executable `exe` and an empty `home`.
    pub(crate) fn exe() -> Self {
        let world = Self::empty();
        world.put_exe("exe", &exe_bytes().0);
        fs_err::create_dir(world.at("home")).unwrap();
        world
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn put_exe(&self, name: &str, bytes: &[u8]) {
        fs_err::write(self.at(name), bytes).unwrap();
        executable(&self.at(name));
    }

    /// A program of this world, with nothing in its environment but `HOME`.
    pub(crate) fn command(&self, program: &str) -> Process {
        let mut command = Process::new(self.at(program));
        command.env_clear().env("HOME", self.at("home"));
        command
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Run {
        Run::of(self.command(program).args(arguments))
    }

    /// The cache below `home`.
    pub(crate) fn cache(&self) -> PathBuf {
        self.at("home/.cache/unheck-exe")
    }

    /// Where the usual executable is unpacked.
    pub(crate) fn unpacked(&self) -> PathBuf {
        self.cache().join(content_name())
    }
}

/// The name of the usual executable's tree in caches.
pub(crate) fn content_name() -> String {
    exe_bytes().1.content.hex()[..32].to_owned()
}

pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Starts a program that the test wrote. While another test's fork still has it open for writing, it is busy.
pub(crate) fn spawn(command: &mut Process) -> Child {
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
            child => return child.unwrap(),
        }
    }
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Process) -> Self {
        loop {
            let run = Self::from(
                spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
                    .wait_with_output()
                    .unwrap(),
            );
            // The launcher executes files that the test wrote: as for `spawn`.
            if !run.stderr.contains("Text file busy") {
                return run;
            }
        }
    }

    /// Fails the test if the program did not end well.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Fails the test if the program did not end with this code and these words.
    #[track_caller]
    pub(crate) fn bad(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in {self:?}");
        }
    }

    /// The values of `show`'s lines of a kind.
    pub(crate) fn all(&self, kind: &str) -> Vec<&str> {
        self.stdout
            .lines()
            .filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))
            .collect()
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let variables = self.all("variable");
        variables
            .into_iter()
            .find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
    }

    /// By whichever way names are passed on this host.
    pub(crate) fn argv0(&self) -> &str {
        self.variable("UNHECK_ARGV0")
            .unwrap_or_else(|| self.all("argv0")[0])
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
