//! Nothing survives: not the command's end, not a kill of anybody on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use unheck_sandbox::{HelperExe, Root, SandboxError, Spec, Status, probe, run, spawn};

use crate::kit::{Test, go, processes_with, root, spec, wait_until, words};

pub(crate) const TESTS: &[Test] = &[
    (
        "exit_codes_and_signals_are_told",
        exit_codes_and_signals_are_told,
    ),
    ("daemons_end_with_the_command", daemons_end_with_the_command),
    ("killed_parent_leaves_nothing", killed_parent_leaves_nothing),
    (
        "killed_helper_leaves_nothing_and_is_told",
        killed_helper_leaves_nothing_and_is_told,
    ),
    (
        "dropped_handle_leaves_nothing",
        dropped_handle_leaves_nothing,
    ),
    ("killed_by_handle_is_told", killed_by_handle_is_told),
    ("signals_are_forwarded", signals_are_forwarded),
    (
        "terminal_interrupt_reaches_the_command_once",
        terminal_interrupt_reaches_the_command_once,
    ),
    ("wrong_helper_is_told", wrong_helper_is_told),
    (
        "probe_answers_the_same_each_time",
        probe_answers_the_same_each_time,
    ),
    (
        "concurrent_sandboxes_do_not_disturb_each_other",
        concurrent_sandboxes_do_not_disturb_each_other,
    ),
];

fn exit_codes_and_signals_are_told() {
    assert_eq!(go(&spec(&["exit", "42"])).status, Status::Exited(42));
    let mut shell = spec(&[]);
    shell.argv = words(&["/bin/sh", "-c", "kill -SEGV $$"]);
    assert_eq!(go(&shell).status, Status::Signaled(libc::SIGSEGV));
    shell.argv = words(&["/bin/sh", "-c", "echo out; echo err >&2; cat"]);
    shell.env.insert("PATH".into(), "/bin".into());
    let outcome = go(&shell);
    assert_eq!(
        (outcome.stdout.text(), outcome.stderr.text()),
        ("out\n".to_owned(), "err\n".to_owned())
    );
    assert_eq!(outcome.status, Status::Exited(0), "standard input is empty");
}

/// A word that only one test's processes have.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn gone(word: &str) {
    wait_until("no process is left", || processes_with(word).is_empty());
}

fn daemons_end_with_the_command() {
    let word = unique("daemon");
    let begun = Instant::now();
    assert_eq!(go(&spec(&["daemon", &word])).status, Status::Exited(0));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it holds the output pipes but is killed"
    );
    assert_eq!(processes_with(&word), [0; 0], "nothing survives the call");
}

/// Starts `here run` and waits for a line of it or of the command inside.
fn here(word: &[&str], wanted: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["here", "run", root().to_str().unwrap()])
        .args(word)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(wanted) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "no line `{wanted}`");
    }
    std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    child
}

fn killed_parent_leaves_nothing() {
    let mounts = fs_err::read("/proc/self/mountinfo").unwrap();
    let word = unique("orphan");
    let mut child = here(&["sleep", &word], "rung ");
    wait_until("the command runs", || processes_with(&word).len() >= 2);
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&word);
    wait_until("no helper is left", || children_of(child.id()).is_empty());
    assert_eq!(fs_err::read("/proc/self/mountinfo").unwrap(), mounts);
}

fn children_of(parent: u32) -> Vec<u32> {
    let all = processes_with(unheck_stage_word());
    let of = |pid: &u32| {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat
            .rsplit_once(')')
            .map(|(_, f)| f.to_owned())
            .unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    all.into_iter().filter(of).collect()
}

fn unheck_stage_word() -> &'static str {
    "__unheck-sandbox-stage"
}

fn killed_helper_leaves_nothing_and_is_told() {
    let word = unique("helper");
    let running = spawn(&HelperExe::current(), &spec(&["sleep", &word]), None).unwrap();
    assert!(!processes_with(&word).is_empty());
    unsafe { libc::kill(running.helper_id() as i32, libc::SIGKILL) };
    let error = running.wait().unwrap_err();
    assert!(matches!(error, SandboxError::HelperDied { .. }), "{error}");
    gone(&word);
}

fn dropped_handle_leaves_nothing() {
    let word = unique("dropped");
    let running = spawn(&HelperExe::current(), &spec(&["sleep", &word]), None).unwrap();
    assert!(!processes_with(&word).is_empty());
    drop(running);
    gone(&word);
}

fn killed_by_handle_is_told() {
    let running = spawn(&HelperExe::current(), &spec(&["sleep"]), None).unwrap();
    let signaller = running.signaller();
    signaller.kill();
    assert_eq!(
        running.wait().unwrap().status,
        Status::Signaled(libc::SIGKILL)
    );
    signaller.kill();
}

fn signals_are_forwarded() {
    let mut child = here(&["catch"], "ready");
    std::thread::sleep(Duration::from_millis(100));
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

/// A shell as the command of a sandbox on a terminal: the interrupt character ends it, and unheck's side lives on
/// to tell.
fn terminal_interrupt_reaches_the_command_once() {
    let (mut main, side) = (0, &mut 0);
    assert_eq!(
        unsafe {
            libc::openpty(
                &raw mut main,
                side,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null(),
            )
        },
        0
    );
    let (main, side) = unsafe { (OwnedFd::from_raw_fd(main), OwnedFd::from_raw_fd(*side)) };
    let copy = || Stdio::from(side.try_clone().unwrap());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["here", "run", root().to_str().unwrap(), "sleep"])
        .stdin(copy())
        .stdout(copy())
        .stderr(copy());
    rustix::io::fcntl_setfd(&main, rustix::io::FdFlags::CLOEXEC).unwrap();
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    drop((command, side));
    let mut terminal = std::fs::File::from(main);
    assert!(terminal.as_raw_fd() > 2);
    let mut seen = String::new();
    let mut buffer = [0; 1000];
    while !seen.contains("rung") {
        let n = terminal.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    std::thread::sleep(Duration::from_millis(100));
    terminal.write_all(b"\x03").unwrap();
    while let Ok(n @ 1..) = terminal.read(&mut buffer) {
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert!(seen.contains("Signaled(2)"), "{seen}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

fn wrong_helper_is_told() {
    let helper = HelperExe::at("/bin/true".into());
    let error = run(&helper, &spec(&["exit", "0"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sandbox helper ended without an answer (exit status: 0)"
    );
    let error = run(&HelperExe::at("/no/helper".into()), &spec(&["exit", "0"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start the sandbox helper `/no/helper`"
    );
}

fn probe_answers_the_same_each_time() {
    let first = probe(&HelperExe::current()).unwrap();
    for _ in 0..4 {
        assert_eq!(probe(&HelperExe::current()).unwrap(), first);
    }
}

fn concurrent_sandboxes_do_not_disturb_each_other() {
    let threads: Vec<_> = (0..8)
        .map(|n| {
            std::thread::spawn(move || {
                let text = n.to_string();
                let outcome = run(
                    &HelperExe::current(),
                    &Spec {
                        hostname: text.clone(),
                        ..spec(&["read", "/etc/hostname"])
                    },
                );
                assert_eq!(outcome.unwrap().stdout.text(), format!("{text}\n"));
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    let six: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let lower = [root().to_owned()]
        .into_iter()
        .chain(six.iter().map(|d| d.path().to_owned()))
        .collect();
    for (name, root) in [
        ("Dir", Root::Dir(root().to_owned())),
        ("6-layer Overlay", Root::Overlay { lower }),
    ] {
        let spec = Spec::new(root, words(&["/bin/true"]));
        let mut times: Vec<Duration> = (0..40)
            .map(|_| {
                let begun = Instant::now();
                assert!(go(&spec).status.success());
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        eprintln!(
            "run /bin/true in {name}: best {:?}, median {:?}",
            times[0], times[20]
        );
    }
}
