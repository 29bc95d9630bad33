//! Without namespaces: a command on the host's own files sees what it is shown, keeps to itself and leaves nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use unheck_sandbox::{
    Cause, HelperExe, LimitKind, Limits, Mount, Network, Root, Spec, Status, run, spawn,
};

use crate::kit::{Test, fails, go, open_to_all, output, processes_with, wait_until, words};

pub(crate) const TESTS: &[Test] = &[
    ("walled_sees_what_it_is_shown", sees_what_it_is_shown),
    ("walled_calls_are_refused", calls_are_refused),
    ("walled_time_ends_all_of_it", time_ends_all_of_it),
    ("walled_daemons_end_with_the_command", daemons_end),
    ("walled_dropped_handle_leaves_nothing", dropped_handle),
    ("walled_refuses_what_needs_a_root", needs_a_root),
];

/// A command on the host's programs, which may write into `writes`.
pub(crate) fn walled(writes: &Path, command: &[&str]) -> Spec {
    let own = std::env::current_exe().unwrap();
    let programs = ["/bin", "/usr", "/lib", "/lib64"].map(PathBuf::from);
    let mut reads: Vec<PathBuf> = programs.into_iter().filter(|path| path.exists()).collect();
    reads.push(own);
    let writes = vec![writes.to_owned()];
    let mut spec = Spec::new(Root::Host { reads, writes }, words(command));
    spec.env.insert("PATH".into(), "/usr/bin:/bin".into());
    spec
}

/// Whether the kernel enforces Landlock, asked without this room (`landlock_create_ruleset(2)`). On one that does not,
/// that is what must be said.
pub(crate) fn is_possible() -> bool {
    const VERSION: libc::c_ulong = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag and no rules the call only answers.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) };
    if version > 0 {
        return true;
    }
    let directory = tempfile::tempdir().unwrap();
    let error = run(
        &HelperExe::current(),
        &walled(directory.path(), &["/bin/true"]),
    )
    .unwrap_err();
    let cause = error.unavailable().map(|unavailable| unavailable.cause);
    assert_eq!(cause, Some(Cause::NoLandlock), "{error}");
    false
}

fn shell(writes: &Path, script: &str) -> Spec {
    walled(writes, &["/bin/sh", "-c", script])
}

fn sees_what_it_is_shown() {
    if !is_possible() {
        return;
    }
    let (shown, hidden) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open_to_all(shown.path());
    let (shown, hidden) = (shown.path(), hidden.path());
    fs_err::write(hidden.join("secret"), "secret").unwrap();
    let script = format!(
        "read line < /etc/passwd || echo no passwd\n\
         read line < {hidden}/secret || echo no secret\n\
         echo x > {hidden}/made || echo not made\n\
         echo x > /usr/bin/unheck-made || echo no program\n\
         echo kept > {shown}/kept && read line < {shown}/kept && echo $line\n\
         echo $HOME-$PATH; exec 2>&-",
        hidden = hidden.display(),
        shown = shown.display()
    );
    let outcome = go(&shell(shown, &script));
    assert_eq!(
        outcome.stdout.text(),
        "no passwd\nno secret\nnot made\nno program\nkept\n-/usr/bin:/bin\n"
    );
    assert_eq!(outcome.rung.to_string(), "landlock");
    assert_eq!(
        fs_err::read_to_string(shown.join("kept")).unwrap(),
        "kept\n"
    );
    assert!(!hidden.join("made").exists());
}

fn calls_are_refused() {
    if !is_possible() {
        return;
    }
    let own = std::env::current_exe().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let action = |name: &[&str]| {
        let words = [&[own.to_str().unwrap(), "inside"], name].concat();
        output(&walled(directory.path(), &words))
    };
    let calls = action(&["calls"]);
    for refused in [
        "mount EPERM",
        "unshare EPERM",
        "ptrace EPERM",
        "vsock EPERM",
        "inet EPERM",
    ] {
        assert!(calls.contains(&format!("{refused}\n")), "{calls}");
    }
    assert!(calls.ends_with("thread ok\n"), "{calls}");
    assert_eq!(action(&["connect", "22"]), "EPERM\n");
    // Another process of the same user, and a session of its own.
    let parent = format!("kill -0 {} || echo not his to kill", std::process::id());
    assert_eq!(
        output(&shell(directory.path(), &parent)),
        "not his to kill\n"
    );
    let session = go(&walled(
        directory.path(),
        &["setsid", "--wait", "/bin/true"],
    ));
    assert!(!session.status.success() || session.stderr.text().contains("setsid"));
}

/// A word that only one test's processes have.
fn word(name: &str) -> String {
    format!("walled-{name}-{}", std::process::id())
}

fn sleeper(directory: &Path, word: &str, ends: &str) -> Spec {
    let own = std::env::current_exe().unwrap();
    let own = own.display();
    let script = format!("'{own}' inside sleep {word} & '{own}' inside sleep {word} & {ends}");
    shell(directory, &script)
}

fn time_ends_all_of_it() {
    if !is_possible() {
        return;
    }
    let (directory, word) = (tempfile::tempdir().unwrap(), word("time"));
    let mut spec = sleeper(directory.path(), &word, "wait");
    spec.limits = Limits {
        wall: Some(Duration::from_millis(700)),
        ..Limits::default()
    };
    assert_eq!(go(&spec).status, Status::LimitHit(LimitKind::Wall));
    wait_until("the sleepers end", || processes_with(&word).is_empty());
}

fn daemons_end() {
    if !is_possible() {
        return;
    }
    let (directory, word) = (tempfile::tempdir().unwrap(), word("daemon"));
    let ended = go(&sleeper(directory.path(), &word, "exit 3"));
    assert_eq!(ended.status, Status::Exited(3));
    wait_until("the sleepers end", || processes_with(&word).is_empty());
}

fn dropped_handle() {
    if !is_possible() {
        return;
    }
    let (directory, word) = (tempfile::tempdir().unwrap(), word("drop"));
    let spec = sleeper(directory.path(), &word, "wait");
    let running = spawn(&HelperExe::current(), &spec, None).unwrap();
    wait_until("both sleep", || processes_with(&word).len() >= 2);
    drop(running);
    wait_until("the sleepers end", || processes_with(&word).is_empty());
}

fn needs_a_root() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut Spec)| {
        let mut spec = walled(directory.path(), &["/bin/true"]);
        change(&mut spec);
        fails(&spec)
    };
    let bind = |spec: &mut Spec| {
        spec.mounts.push(Mount::Bind {
            host: "/usr".into(),
            inside: "/x".into(),
            writable: false,
        });
    };
    type Change = fn(&mut Spec);
    let cases: [(Change, &str); 4] = [
        (bind, "mounts"),
        (|spec| spec.network = Network::Host, "network"),
        (|spec| spec.landlock = false, "seccomp"),
        (|spec| spec.limits.processes = Some(9), "limits.processes"),
    ];
    for (change, what) in cases {
        let expected = format!("sandbox specification refused: `{what}` needs a root of its own");
        assert_eq!(refused(change), expected);
    }
    if !is_possible() {
        return;
    }
    let missing = walled(directory.path(), &["/bin/unheck-is-not-here"]);
    let error = run(&HelperExe::current(), &missing).unwrap_err();
    assert!(error.unavailable().is_none(), "{error}");
}
