//! Checks and generated files of this workspace that no other tool makes.
//!
//! `cargo run -p xtask -- tidy` checks and changes no file: [`tidy::check`]. `cargo run -p xtask --
//! names …` writes the table of names: [`names::run`].

mod names;
mod tidy;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- tidy
       cargo run -p xtask -- names --suite SUITE (--mirror URL | --from DIRECTORY)";

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["tidy"] => tidy(root),
        ["names", "--suite", suite, "--mirror", url] => {
            names::run(root, suite, names::From::Mirror(url))
        }
        ["names", "--suite", suite, "--from", directory] => {
            names::run(root, suite, names::From::Directory(Path::new(directory)))
        }
        _ => {
            writeln!(std::io::stderr(), "{USAGE}")?;
            Ok(ExitCode::from(2))
        }
    }
}

fn tidy(root: &Path) -> anyhow::Result<ExitCode> {
    let tree = tidy::Tree::read(root)?;
    let violations = tidy::check(&tree);
    let mut out = std::io::stdout().lock();
    for violation in &violations {
        writeln!(out, "{violation}")?;
    }
    writeln!(
        out,
        "tidy: {} files, {} violations",
        tree.len(),
        violations.len()
    )?;
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
