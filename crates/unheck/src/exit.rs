//! Every exit code of unheck, and what each means.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the answer is no: a finding, a failed check |
//! | 2 | the user's input: usage, a bad or refused file, a conflict |
//! | 3 | the outside world: network, index, registry, build backend, after retries |
//! | 4 | the sandbox that was asked for is not possible here |
//! | 5 | no space, or a limit was hit |
//! | 70 | a bug in unheck (`EX_SOFTWARE` of `sysexits.h`) |
//! | 130, 143 | ended by `SIGINT` or `SIGTERM`, as a shell shows it |
//!
//! `run` passes the code of what it ran through. 101 is never used: a panic is code 70.

use std::io::Write as _;

use unheck_engine::explain::Class;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The answer is no.
pub(crate) const NO: u8 = 1;
/// The user's input.
pub(crate) const USAGE: u8 = 2;
/// Our bug.
const BUG: u8 = 70;

/// The exit code of an error.
pub(crate) const fn of(class: Class) -> u8 {
    match class {
        Class::Verdict => NO,
        Class::Input => USAGE,
        Class::Outside => 3,
        Class::Sandbox => 4,
        Class::Limit => 5,
        Class::Bug => BUG,
    }
}

/// From here on a panic of any thread says whose fault it is and ends the program with 70.
pub(crate) fn panics_are_bugs() {
    std::panic::set_hook(Box::new(|panic| {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "error: this is a bug in unheck: {panic}");
        let _ = writeln!(
            stderr,
            "hint: please report it with the command line and the lines above"
        );
        end(BUG);
    }));
}

#[expect(
    clippy::exit,
    reason = "a panic may be in any thread; nothing after it can be trusted"
)]
fn end(code: u8) -> ! {
    std::process::exit(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_own_code_and_none_is_101() {
        let all = [
            Class::Verdict,
            Class::Input,
            Class::Outside,
            Class::Sandbox,
            Class::Limit,
            Class::Bug,
        ];
        assert_eq!(all.map(of), [1, 2, 3, 4, 5, 70]);
    }
}
