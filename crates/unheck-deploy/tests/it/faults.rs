//! Every step is the last one once: tools of the host are wrapped, so that at the n-th command the
//! whole session is killed before it or after it, or the disk is full; for every n there is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use unheck_deploy::{Artifact, DeployError, Kind, Wanted};

use crate::kit::{Kit, PATH, link};

/// The tools that the far side starts.
const TOOLS: [&str; 23] = [
    "cat",
    "chmod",
    "cp",
    "cut",
    "dd",
    "find",
    "gzip",
    "ln",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "rmdir",
    "sha256sum",
    "sort",
    "split",
    "sync",
    "tail",
    "tar",
    "timeout",
    "tr",
    "uniq",
    "wc",
];

/// What happens at the n-th command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The session and all it started are killed before it.
    KilledBefore,
    /// The same after it.
    KilledAfter,
    /// It fails for want of space.
    Full,
}

/// What is done meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Deploy,
    Release,
}

/// A directory of wrapped tools.
struct Wrapped {
    directory: PathBuf,
}

impl Wrapped {
    fn new(directory: &Path, fault: Fault) -> Self {
        fs_err::create_dir_all(directory).expect("directory");
        let wc = ["/usr/bin/wc", "/bin/wc"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let wc = wc.expect("wc");
        for tool in TOOLS {
            let real = PATH
                .split(':')
                .map(|place| Path::new(place).join(tool))
                .find(|path| path.exists());
            let real = real
                .unwrap_or_else(|| panic!("{tool} is missing"))
                .display()
                .to_string();
            let at = directory.display();
            let act = match fault {
                Fault::KilledBefore => "kill -9 0".to_owned(),
                Fault::KilledAfter => format!("{real} \"$@\"; kill -9 0"),
                Fault::Full => format!("echo '{tool}: No space left on device' >&2; exit 1"),
            };
            // Tools of a pipeline run at once: a count that is only appended to loses none of them.
            let script = format!(
                "#!/bin/sh\nprintf x >>{at}/count\nread last <{at}/last\n\
                 if [ ! -e {at}/hit ] && [ \"$({wc} -c <{at}/count)\" -ge $last ]; then\n\
                 : >{at}/hit\n{act}\nfi\nexec {real} \"$@\"\n"
            );
            let path = directory.join(tool);
            fs_err::write(&path, script).expect("script");
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
        }
        Self {
            directory: directory.to_owned(),
        }
    }

    fn at(&self, last: u32) {
        let _ = fs_err::remove_file(self.directory.join("hit"));
        fs_err::write(self.directory.join("count"), "").expect("count");
        fs_err::write(self.directory.join("last"), format!("{last}\n")).expect("last");
    }

    /// Whether there was so much as an n-th command.
    fn hit(&self) -> bool {
        self.directory.join("hit").exists()
    }
}

struct Sweep {
    kit: Kit,
    one: Artifact,
    two: Artifact,
    first: String,
    second: String,
}

impl Sweep {
    /// A host on which the first release serves; before a release the second one is deployed.
    fn new(act: Act) -> Self {
        let mut kit = Kit::new();
        let (one, two) = (kit.artifact("1"), kit.artifact("2"));
        let first = kit.deploy(&one).expect("deploy").release;
        kit.release(Wanted::Newest).expect("release");
        kit.later();
        let other = Kit::new();
        let second = other.deploy(&two).expect("deploy").release;
        if act == Act::Release {
            kit.deploy(&two).expect("deploy");
        }
        Self {
            kit,
            one,
            two,
            first,
            second,
        }
    }

    fn copy(from: &Path, to: &Path) {
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(to).output();
        let _ = fs_err::remove_dir_all(to);
        let copied = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(to)
            .status()
            .expect("cp");
        assert!(copied.success());
    }

    fn act(&self, act: Act) -> Result<(), DeployError> {
        match act {
            Act::Deploy => self.kit.deploy(&self.two).map(drop),
            Act::Release => self.kit.release(Wanted::Named(&self.second)).map(drop),
        }
    }
}

fn sweep(act: Act, fault: Fault) {
    let mut sweep = Sweep::new(act);
    let host = sweep.kit.host(0);
    let saved = host.with_file_name("saved");
    Sweep::copy(&host, &saved);
    let wrapped = Wrapped::new(&sweep.kit.temp.path().join("tools"), fault);
    let tools = format!("{}:{PATH}", wrapped.directory.display());
    let mut failed = 0;
    for at in 1.. {
        Sweep::copy(&saved, &host);
        wrapped.at(at);
        sweep.kit.shell(&["sh"], &tools);
        let result = sweep.act(act);
        let ended = !wrapped.hit();
        sweep.kit.shell(&["sh"], PATH);
        let case = format!("{act:?} {fault:?} at {at}: {result:?}");
        check_now(&sweep, act, fault, &result, &case);
        // The next call, whatever it is, leaves nothing half done.
        sweep
            .kit
            .with(|context| unheck_deploy::prune(context, 9))
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        sweep.kit.check_tidy(0);
        check_repaired(&sweep, act, &result, &case);
        sweep
            .act(act)
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        sweep.kit.check(0, &sweep.first, &sweep.one);
        sweep.kit.check(0, &sweep.second, &sweep.two);
        let expected = if act == Act::Deploy { "1" } else { "2" };
        assert_eq!(sweep.kit.served(0), expected, "{case}");
        sweep.kit.check_tidy(0);
        failed += u32::from(result.is_err());
        if ended {
            break;
        }
    }
    // It is no sweep when next to nothing was hit.
    assert!(
        failed >= 20 || act == Act::Release && failed >= 8,
        "{failed}"
    );
}

/// What holds at once, before anything repairs it.
fn check_now(sweep: &Sweep, act: Act, fault: Fault, result: &Result<(), DeployError>, case: &str) {
    let current = sweep
        .kit
        .current(0)
        .unwrap_or_else(|| panic!("{case}: nothing serves"));
    let root = sweep.kit.host(0).join("releases").join(&current);
    assert!(root.join("app/version").exists(), "{case}");
    match (act, result) {
        (Act::Deploy, _) => {
            assert_eq!(
                (&current, sweep.kit.served(0).as_str()),
                (&sweep.first, "1"),
                "{case}"
            );
        }
        (Act::Release, Ok(())) => assert_eq!(current, sweep.second, "{case}"),
        // A host that was not killed has gone back by itself.
        (Act::Release, Err(_)) if fault == Fault::Full => {
            assert_eq!(
                (&current, sweep.kit.served(0).as_str()),
                (&sweep.first, "1"),
                "{case}"
            );
        }
        (Act::Release, Err(_)) => {
            let on_the_way = link(&sweep.kit.host(0).join("undo")).is_some();
            let committed = link(&sweep.kit.host(0).join("previous")).is_some();
            assert!(current == sweep.first || on_the_way || committed, "{case}");
        }
    }
    if let Err(error) = result {
        let kinds: &[Kind] = match fault {
            // A command of the user's own that fails, or is killed, is a reload that fails; files that
            // could not be checked differ; a lock that cannot be read is not held.
            Fault::Full => &[Kind::Limit, Kind::Verdict, Kind::Outside],
            _ => &[Kind::Outside, Kind::Verdict],
        };
        assert!(kinds.contains(&error.kind()), "{case}");
    }
}

/// What holds after the next call.
fn check_repaired(sweep: &Sweep, act: Act, result: &Result<(), DeployError>, case: &str) {
    let committed = link(&sweep.kit.host(0).join("previous")).is_some();
    let expected = match (act, result) {
        (Act::Deploy, _) => &sweep.first,
        (Act::Release, Ok(())) => &sweep.second,
        // The last word was lost, not the release.
        (Act::Release, Err(_)) if committed => &sweep.second,
        (Act::Release, Err(_)) => &sweep.first,
    };
    assert_eq!(sweep.kit.current(0).as_ref(), Some(expected), "{case}");
    let version = if expected == &sweep.first { "1" } else { "2" };
    assert_eq!(sweep.kit.served(0), version, "{case}");
    assert_eq!(link(&sweep.kit.host(0).join("undo")), None, "{case}");
}

#[test]
fn killed_before_any_step_of_a_deployment() {
    sweep(Act::Deploy, Fault::KilledBefore);
}

#[test]
fn killed_after_any_step_of_a_deployment() {
    sweep(Act::Deploy, Fault::KilledAfter);
}

#[test]
fn no_space_at_any_step_of_a_deployment() {
    sweep(Act::Deploy, Fault::Full);
}

#[test]
fn killed_before_any_step_of_a_release() {
    sweep(Act::Release, Fault::KilledBefore);
}

#[test]
fn killed_after_any_step_of_a_release() {
    sweep(Act::Release, Fault::KilledAfter);
}

#[test]
fn no_space_at_any_step_of_a_release() {
    sweep(Act::Release, Fault::Full);
}
