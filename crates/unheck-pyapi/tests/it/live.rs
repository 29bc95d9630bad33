//! Not part of the hermetic run: reads every source below the directories named in
//! `UNHECK_PYAPI_DIRS` (separated by `:`) and prints the native names and the speed.
//! `cargo test --release -p unheck-pyapi live -- --ignored --nocapture`.

#![expect(
    clippy::disallowed_methods,
    reason = "run by hand: directories come from the environment"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use unheck_pyapi::{facts, imports, native_names, parse};

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
}

#[test]
#[ignore = "needs real sources, see the module"]
fn real_sources_are_read() {
    let directories = std::env::var_os("UNHECK_PYAPI_DIRS").expect("UNHECK_PYAPI_DIRS");
    let mut paths = Vec::new();
    for directory in std::env::split_paths(&directories) {
        files(&directory, &mut paths);
    }
    paths.sort();
    let sources: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| fs_err::read(path).unwrap())
        .collect();
    let bytes: usize = sources.iter().map(Vec::len).sum();
    let (mut found, mut wrong, mut refused) = (0, 0, 0);
    let [mut parsing, mut importing, mut naming, mut telling] = [Duration::ZERO; 4];
    for (path, source) in paths.iter().zip(&sources) {
        let start = Instant::now();
        let parsed = match parse(source) {
            Ok(parsed) => parsed,
            Err(error) => {
                println!("{}: {error}", path.display());
                refused += 1;
                continue;
            }
        };
        let after_parse = Instant::now();
        wrong += usize::from(!parsed.errors.is_empty());
        found += imports(&parsed, "").len();
        let after_imports = Instant::now();
        for name in native_names(&parsed) {
            println!("{}: {name:?}", path.display());
        }
        let after_names = Instant::now();
        facts(&parsed);
        let after_facts = Instant::now();
        parsing += after_parse - start;
        importing += after_imports - after_parse;
        naming += after_names - after_imports;
        telling += after_facts - after_names;
    }
    println!(
        "{} files, {bytes} bytes, {found} imports, {wrong} with errors, {refused} refused",
        paths.len()
    );
    println!(
        "parse {parsing:?}, imports {importing:?}, native names {naming:?}, facts {telling:?}"
    );
    let all = parsing + importing + naming + telling;
    println!(
        "{:.0} files/s on one core",
        paths.len() as f64 / all.as_secs_f64()
    );
    assert!(!paths.is_empty());
}
