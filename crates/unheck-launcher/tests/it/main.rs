//! The launcher itself, started for real: in trees that tests make, and with payloads appended.
//!
//! This binary is two things: the list of tests, and (`probe`) the program that launchers start, behind a copy of the
//! very loader and libraries that it runs with. So the tests need no Python and nothing of the host but a glibc.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test binary with its own main, parts of which are a small program"
)]

mod cache;
mod damage;
mod host;
mod kit;
mod once;
mod probe;
mod tasks;
mod tree;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};

/// Starts this program again where signals are ignored that tests send: a job in the background of a script ignores
/// SIGINT (POSIX, 2.11 of the shell's language), and so would every program that it starts.
fn take_signals(words: &[String]) {
    const SIGINT: u32 = 2;
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.unwrap_or_default() & (1 << (SIGINT - 1)) == 0 {
        return;
    }
    let mut again = Command::new("env");
    again
        .arg("--default-signal")
        .arg(std::env::current_exe().unwrap());
    panic!("cannot start again: {}", again.args(&words[1..]).exec());
}

/// A test and its name.
type Test = (&'static str, fn());

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).map(String::as_str) == Some("probe") {
        std::process::exit(probe::main(&words));
    }
    take_signals(&words);
    let here = kit::architecture().is_some();
    let all = [
        tree::TESTS,
        cache::TESTS,
        damage::TESTS,
        once::TESTS,
        tasks::TESTS,
        host::TESTS,
    ];
    let mut trials: Vec<Trial> = all
        .concat()
        .into_iter()
        .map(|test| trial(test, here))
        .collect();
    // These need a file system of their own, which some hosts allow nobody.
    for test in cache::MOUNTING_TESTS {
        trials.push(trial(*test, here && kit::can_mount()));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial((name, test): Test, possible: bool) -> Trial {
    Trial::test(name, move || finish(std::panic::catch_unwind(test))).with_ignored_flag(!possible)
}

fn finish(result: std::thread::Result<()>) -> Result<(), Failed> {
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
            .into()
    })
}
