//! Checks of this workspace that no other tool makes: `cargo run -p xtask -- tidy`.
//!
//! It changes no file. Start at [`tidy::check`].

mod tidy;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- tidy";

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words != ["tidy"] {
        writeln!(std::io::stderr(), "{USAGE}")?;
        return Ok(ExitCode::from(2));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
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
