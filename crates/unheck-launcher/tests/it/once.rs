//! Runs that leave nothing behind.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{self, Run, World, names_in};

pub(crate) const TESTS: &[crate::Test] = &[
    (
        "once_leaves_nothing_and_passes_the_exit_code",
        once_leaves_nothing_and_passes_the_exit_code,
    ),
    (
        "once_passes_signals_and_ends_by_them",
        once_passes_signals_and_ends_by_them,
    ),
    (
        "killed_once_takes_its_program_along_and_is_cleaned_later",
        killed_once_takes_its_program_along_and_is_cleaned_later,
    ),
    (
        "once_does_not_touch_a_run_that_lives",
        once_does_not_touch_a_run_that_lives,
    ),
];

fn once(world: &World, arguments: &[&str]) -> Process {
    fs_err::create_dir_all(world.at("temporary")).unwrap();
    let mut command = world.command("exe");
    command
        .env("UNHECK_EXE_ONCE", "1")
        .env("TMPDIR", world.at("temporary"));
    command.env("UNHECK_EXE", "run:python").args(arguments);
    command
}

fn once_leaves_nothing_and_passes_the_exit_code() {
    let world = World::exe();
    let run = Run::of(&mut once(&world, &["exit", "37"]));
    assert_eq!(run.code, Some(37), "{run:?}");
    let run = Run::of(&mut once(&world, &["show"])).good();
    assert!(
        run.argv0()
            .starts_with(world.at("temporary").to_str().unwrap()),
        "{run:?}"
    );
    assert!(names_in(&world.at("temporary")).is_empty());
    assert!(names_in(&world.at("home")).is_empty());
}

/// Starts a program that waits; returns its process number too.
fn waiting(world: &World, file: &str) -> (Child, i32) {
    let path = world.at(file);
    let mut command = once(world, &["wait", path.to_str().unwrap()]);
    (kit::spawn(command.stdout(Stdio::null())), number_in(&path))
}

/// The process number that the program writes when it runs.
fn number_in(path: &Path) -> i32 {
    let begin = Instant::now();
    loop {
        let said = fs_err::read_to_string(path).unwrap_or_default();
        if let Ok(number) = said.parse() {
            return number;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "the program does not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, process: u32) {
    let status = Process::new("/bin/sh")
        .args(["-c", &format!("kill -{signal} {process}")])
        .status();
    assert!(status.unwrap().success());
}

fn lives(process: i32) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.split(' ').nth(2).is_some_and(|state| state != "Z")
}

fn once_passes_signals_and_ends_by_them() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("USR1", 10)] {
        let world = World::exe();
        let (mut child, program) = waiting(&world, "ready");
        send(signal, child.id());
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{status:?}");
        assert!(!lives(program));
        assert!(names_in(&world.at("temporary")).is_empty());
    }
}

fn killed_once_takes_its_program_along_and_is_cleaned_later() {
    let world = World::exe();
    let (mut child, program) = waiting(&world, "ready");
    send("KILL", child.id());
    child.wait().unwrap();
    let begin = Instant::now();
    while lives(program) {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "the program outlives its launcher"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(names_in(&world.at("temporary")).len(), 1);
    Run::of(&mut once(&world, &["show"])).good();
    assert!(names_in(&world.at("temporary")).is_empty());
}

fn once_does_not_touch_a_run_that_lives() {
    let world = World::exe();
    let (mut child, program) = waiting(&world, "ready");
    Run::of(&mut once(&world, &["show"])).good();
    assert_eq!(names_in(&world.at("temporary")).len(), 1);
    assert!(lives(program));
    send("TERM", child.id());
    child.wait().unwrap();
    assert!(names_in(&world.at("temporary")).is_empty());
}
