//! The program that launchers start in tests.

use std::time::Duration;

/// `probe show ARGS…` says how it was started, `probe exit N` ends so, `probe wait FILE` makes the file and sleeps.
pub(crate) fn main(words: &[String]) -> i32 {
    let task: Vec<&str> = words[2..].iter().map(String::as_str).collect();
    match task.as_slice() {
        ["exit", code, ..] => return code.parse().unwrap(),
        ["wait", file, ..] => {
            fs_err::write(file, std::process::id().to_string()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        _ => {
            println!("argv0 {}", words[0]);
            for word in &words[2..] {
                println!("argument {word}");
            }
            for (name, value) in std::env::vars() {
                println!("variable {name}={value}");
            }
        }
    }
    0
}
