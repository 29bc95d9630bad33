//! What the tests share: a root made of this binary and the libraries it needs, and short ways to run in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;
use unheck_sandbox::{HelperExe, Outcome, Root, Spec, run};

pub(crate) type Test = (&'static str, fn());

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

static ROOT: OnceLock<TempDir> = OnceLock::new();

/// A static value is never dropped.
pub(crate) fn remove_root() {
    if let Some(root) = ROOT.get() {
        fs_err::remove_dir_all(root.path()).unwrap();
    }
}

/// A directory with `bin/inside` (this binary), `bin/sh`, `bin/true`, `bin/cat`, `bin/sleep` and their libraries, once
/// for all tests. It has none of the mount points.
pub(crate) fn root() -> &'static Path {
    ROOT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        open_to_all(dir.path());
        let bin = dir.path().join("bin");
        fs_err::create_dir(&bin).unwrap();
        let own = std::env::current_exe().unwrap();
        install(&own, &bin.join("inside"), dir.path());
        for name in ["sh", "true", "cat", "sleep"] {
            install(&find(name), &bin.join(name), dir.path());
        }
        fs_err::create_dir(dir.path().join("etc")).unwrap();
        fs_err::write(dir.path().join("etc/marker"), "root\n").unwrap();
        dir
    })
    .path()
}

pub(crate) fn open_to_all(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(path, mode).unwrap();
}

fn find(name: &str) -> PathBuf {
    ["/bin", "/usr/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|p| p.exists())
        .unwrap()
}

/// Copies a program and what `ldd` says that it needs.
pub(crate) fn install(program: &Path, to: &Path, root: &Path) {
    fs_err::copy(fs_err::canonicalize(program).unwrap(), to).unwrap();
    let text = Command::new("ldd").arg(program).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    let paths: BTreeSet<&str> = text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .collect();
    assert!(!paths.is_empty(), "ldd found nothing for {program:?}");
    for path in paths {
        let target = root.join(path.trim_start_matches('/'));
        if !target.exists() {
            fs_err::create_dir_all(target.parent().unwrap()).unwrap();
            fs_err::copy(path, target).unwrap();
        }
    }
}

pub(crate) fn words(text: &[&str]) -> Vec<OsString> {
    text.iter().map(Into::into).collect()
}

/// `inside ACTION …` in the common root.
pub(crate) fn spec(action: &[&str]) -> Spec {
    let argv = [&["/bin/inside", "inside"], action].concat();
    Spec::new(Root::Dir(root().to_owned()), words(&argv))
}

pub(crate) fn go(spec: &Spec) -> Outcome {
    run(&HelperExe::current(), spec).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Output of an action that must succeed.
pub(crate) fn output(spec: &Spec) -> String {
    let outcome = go(spec);
    assert!(
        outcome.status.success(),
        "{:?}\n{}{}",
        outcome.status,
        outcome.stdout.text(),
        outcome.stderr.text()
    );
    outcome.stdout.text()
}

pub(crate) fn fails(spec: &Spec) -> String {
    chain(&run(&HelperExe::current(), spec).expect_err("it should not start"))
}

/// An error with its causes and its hint.
pub(crate) fn chain(error: &unheck_sandbox::SandboxError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}

/// Numbers of the processes of this machine that have a word in their command line.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    let entries = fs_err::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let line = fs_err::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|w| w == word.as_bytes())
    };
    numbers.filter(has).collect()
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("waited 5 s in vain: {what}");
}
