//! What a command looked for and did not find.

use std::path::Path;
use std::time::{Duration, Instant};

use unheck_sandbox::{HelperExe, Lookup, Outcome, Spec, Status, Watched, spawn};

use crate::kit::{Test, go, output, processes_with, spec, wait_until, words};

pub(crate) const TESTS: &[Test] = &[
    ("nothing_is_watched_unasked", nothing_is_watched_unasked),
    ("each_kind_of_lookup_is_seen", each_kind_of_lookup_is_seen),
    (
        "searches_of_programs_are_seen_in_order",
        searches_of_programs_are_seen_in_order,
    ),
    (
        "missing_interpreter_of_a_script_is_named",
        missing_interpreter_of_a_script_is_named,
    ),
    (
        "names_are_counted_once_and_bounded",
        names_are_counted_once_and_bounded,
    ),
    (
        "bad_pointers_get_the_usual_answer",
        bad_pointers_get_the_usual_answer,
    ),
    (
        "racing_threads_and_kills_do_no_harm",
        racing_threads_and_kills_do_no_harm,
    ),
    ("watched_walls_are_as_high", watched_walls_are_as_high),
    (
        "killed_while_watched_leaves_nothing",
        killed_while_watched_leaves_nothing,
    ),
    (
        "second_watch_is_unavailable_and_told",
        second_watch_is_unavailable_and_told,
    ),
];

fn watched(action: &[&str]) -> Spec {
    Spec {
        watch: true,
        ..spec(action)
    }
}

fn shell(script: &str) -> Spec {
    let mut shell = watched(&[]);
    shell.argv = words(&["/bin/sh", "-c", script]);
    shell.env.insert("PATH".into(), "/usr/bin:/bin".into());
    shell
}

/// `KIND PATH` of each name below a directory.
fn names(outcome: &Outcome, below: &str) -> Vec<String> {
    let all = outcome.watched.missing().iter();
    all.filter(|m| m.path.starts_with(below))
        .map(|m| format!("{:?} {}", m.kind, m.path.display()))
        .collect()
}

fn nothing_is_watched_unasked() {
    let outcome = go(&spec(&["read", "/no/such"]));
    assert_eq!(outcome.watched, Watched::NotAsked);
    assert!(outcome.watched.missing().is_empty());
}

fn each_kind_of_lookup_is_seen() {
    let outcome = go(&watched(&["lookups"]));
    let here = outcome.stderr.text();
    assert_eq!(outcome.status, Status::Exited(0), "{here}");
    let mut wanted = vec![
        "Exec /no/execve",
        "Exec /no/execveat",
        "Stat /no/newfstatat",
        "Stat /no/statx",
        "Stat /no/faccessat",
        "Stat /no/faccessat2",
        "Open /no/openat",
        "Open /no/openat2",
    ];
    if cfg!(target_arch = "x86_64") {
        wanted.extend([
            "Open /no/open",
            "Stat /no/stat",
            "Stat /no/lstat",
            "Stat /no/access",
        ]);
    }
    assert_eq!(names(&outcome, "/no"), wanted, "in the order of asking");
    assert_eq!(outcome.stdout.text(), format!("{}\n", wanted.len()));
    assert_eq!(
        names(&outcome, "/tmp"),
        ["Stat /tmp/d/relative", "Stat /tmp/up"],
        "not what was made later, nor a link that leads nowhere"
    );
    assert_eq!(
        names(&outcome, "/bin"),
        ["Stat /bin/behind-link", "Stat /bin/by-directory"]
    );
    assert_eq!(names(&outcome, "/no-dots"), ["Stat /no-dots"]);
    assert!(names(&outcome, "/proc").is_empty() && names(&outcome, "/dev").is_empty());
    let first = &outcome.watched.missing();
    let execve = first.iter().find(|m| m.path.ends_with("execve")).unwrap();
    assert_eq!((execve.by.as_str(), execve.count), ("inside", 1));
}

fn searches_of_programs_are_seen_in_order() {
    let outcome = go(&shell(
        "command -v pg_config; pkg-config --exists x; exit 3",
    ));
    assert_eq!(outcome.status, Status::Exited(3));
    let seen: Vec<_> = outcome.watched.missing().iter().collect();
    for tool in ["pg_config", "pkg-config"] {
        let paths: Vec<_> = seen
            .iter()
            .filter(|m| m.path.file_name().is_some_and(|name| name == tool))
            .map(|m| (m.path.as_path(), m.by.as_str()))
            .collect();
        let wanted = [format!("/usr/bin/{tool}"), format!("/bin/{tool}")];
        assert_eq!(
            paths,
            [(Path::new(&wanted[0]), "sh"), (Path::new(&wanted[1]), "sh")]
        );
    }
    // As `make` and `execvp` do: no look before.
    let outcome = go(&shell("exec /usr/local/bin/mysql_config"));
    assert_eq!(
        names(&outcome, "/usr/local/bin"),
        ["Exec /usr/local/bin/mysql_config"]
    );
}

/// A script that exists, with an interpreter that does not.
fn missing_interpreter_of_a_script_is_named() {
    let outcome = go(&shell(
        "cd /tmp; printf '#!/usr/bin/perl -w\\n' >s; printf '#!/bin/sh\\nexit 4' >t; \
         /bin/inside inside executable s t; ./s; ./t",
    ));
    assert_eq!(
        outcome.status,
        Status::Exited(4),
        "{}",
        outcome.stderr.text()
    );
    assert_eq!(
        names(&outcome, "/usr/bin/perl"),
        ["Exec /usr/bin/perl"],
        "{}",
        outcome.stderr.text()
    );
}

fn names_are_counted_once_and_bounded() {
    let outcome = go(&shell(
        "for i in 1 2 3 4 5; do test -e /no/x; test -e /no//./x; done",
    ));
    let all = outcome.watched.missing();
    let x: Vec<_> = all.iter().filter(|m| m.path.ends_with("no/x")).collect();
    assert_eq!((x.len(), x[0].kind, x[0].count), (1, Lookup::Stat, 10));
    for (number, length) in [("21000", "6"), ("4000", "2500")] {
        let outcome = go(&watched(&["many-names", number, length]));
        assert!(outcome.status.success());
        let Watched::Seen { missing, left_out } = &outcome.watched else {
            panic!("{:?}", outcome.watched);
        };
        let bytes: usize = missing.iter().map(|m| m.path.as_os_str().len()).sum();
        assert!(missing.len() <= 20_000 && bytes <= 8 << 20);
        let below_no = missing.iter().filter(|m| m.path.starts_with("/no")).count() as u64;
        assert_eq!(below_no + left_out, number.parse::<u64>().unwrap());
        assert!(below_no > 1000 && *left_out > 100, "{below_no} {left_out}");
    }
}

fn bad_pointers_get_the_usual_answer() {
    let plain = output(&spec(&["bad-pointers"]));
    let outcome = go(&watched(&["bad-pointers"]));
    assert_eq!(outcome.stdout.text(), plain);
    assert!(!plain.contains("false"), "{plain}");
    let seen = names(&outcome, "/no");
    assert!(seen.contains(&"Stat /no/end".to_owned()), "{seen:?}");
    use std::os::unix::ffi::OsStrExt;
    let odd = |path: &Path| path.as_os_str().as_bytes() == b"/no/\xff\x1b[31m\n";
    assert!(outcome.watched.missing().iter().any(|m| odd(&m.path)));
}

fn racing_threads_and_kills_do_no_harm() {
    let mut racing = watched(&["racing", "300"]);
    let begun = Instant::now();
    assert_eq!(go(&racing).status, Status::Exited(0));
    racing.limits.wall = Some(Duration::from_millis(400));
    let outcome = go(&racing);
    let killed = Status::LimitHit(unheck_sandbox::LimitKind::Wall);
    assert_eq!(outcome.status, killed);
    assert!(matches!(outcome.watched, Watched::Seen { .. }));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

fn watched_walls_are_as_high() {
    for action in [["calls"].as_slice(), &["facts"]] {
        // One filter more; which groups there are depends on who runs the tests.
        assert_eq!(output(&watched(action)), output(&spec(action)));
    }
}

fn killed_while_watched_leaves_nothing() {
    for kill_helper in [true, false] {
        let word = format!("watched-{}-{kill_helper}", std::process::id());
        let sleep = watched(&["sleep", &word]);
        let running = spawn(&HelperExe::current(), &sleep, None).unwrap();
        assert!(!processes_with(&word).is_empty());
        if kill_helper {
            unsafe { libc::kill(running.helper_id() as i32, libc::SIGKILL) };
            assert!(running.wait().is_err());
        } else {
            drop(running);
        }
        wait_until("no process is left", || processes_with(&word).is_empty());
    }
}

/// A sandbox in a watched sandbox: Linux allows one listener for a process.
fn second_watch_is_unavailable_and_told() {
    let mut outer = watched(&[]);
    (outer.seccomp, outer.landlock) = (false, false);
    outer.argv = words(&[
        "/bin/inside",
        "here",
        "watch",
        "yes",
        "/",
        "/bin/cat",
        "/no/x",
    ]);
    let outcome = go(&outer);
    let text = outcome.stdout.text();
    assert!(text.contains("cat: /no/x: No such file"), "{text}");
    assert!(
        text.contains(
            "unwatched: the notifying seccomp filter was refused: Device or resource busy"
        ),
        "{text}{}",
        outcome.stderr.text()
    );
}
