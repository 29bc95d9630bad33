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

use libtest_mimic::{Arguments, Failed, Trial};

/// A test and its name.
type Test = (&'static str, fn());

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).map(String::as_str) == Some("probe") {
        std::process::exit(probe::main(&words));
    }
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
