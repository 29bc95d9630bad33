//! Real sandboxes, as the user who runs the tests and, when that is root, as an ordinary user too.
//!
//! This binary is everything at once: the list of tests, the sandbox helper, the command inside (`inside`), and
//! the program that is started where namespaces are forbidden (`here`).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test binary with its own main, parts of which are small programs"
)]

mod ends;
mod forbidden;
mod here;
mod hostile;
mod inside;
mod kit;
mod limits;
mod roots;
mod walled;
mod walls;
mod watch;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    unheck_sandbox::helper_main_if_asked();
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("inside") => std::process::exit(inside::main(&words[2..])),
        Some("here") => std::process::exit(here::main(&words[2..])),
        _ => {}
    }
    let mut trials = Vec::new();
    for (name, test) in walls::TESTS
        .iter()
        .chain(roots::TESTS)
        .chain(limits::TESTS)
        .chain(ends::TESTS)
        .chain(watch::TESTS)
        .chain(walled::TESTS)
        .chain(hostile::TESTS)
    {
        let test = *test;
        trials.push(Trial::test(*name, move || {
            finish(std::panic::catch_unwind(test))
        }));
    }
    let root = kit::is_root();
    for (name, test) in forbidden::TESTS {
        let test = *test;
        // These change the process's own rights first, which only root can; CI runs them as root.
        trials.push(
            Trial::test(*name, move || finish(std::panic::catch_unwind(test)))
                .with_ignored_flag(!root),
        );
    }
    let everything = Trial::test("everything_works_as_ordinary_user", || {
        finish(std::panic::catch_unwind(forbidden::as_ordinary_user))
    });
    trials.push(everything.with_ignored_flag(!root));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    kit::remove_root();
    conclusion.exit();
}

fn finish(result: std::thread::Result<()>) -> Result<(), Failed> {
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default()
            .into()
    })
}
