//! Not part of the hermetic run: reads every object below the directories named in
//! `UNHECK_ELF_DIRS` (separated by `:`), strips it and writes the result beside the original with
//! `UNHECK_ELF_WRITE` set. `cargo test -p unheck-elf live -- --ignored --nocapture`.

#![expect(
    clippy::disallowed_methods,
    reason = "run by hand: directories come from the environment"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use unheck_elf::{Object, dlopen_candidates, is_elf, strip_unneeded};

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

#[test]
#[ignore = "needs real libraries, see the module"]
fn real_libraries_are_read_and_stripped() {
    let directories = std::env::var_os("UNHECK_ELF_DIRS").expect("UNHECK_ELF_DIRS");
    let write = std::env::var_os("UNHECK_ELF_WRITE").is_some();
    let mut paths = Vec::new();
    for directory in std::env::split_paths(&directories) {
        files(&directory, &mut paths);
    }
    paths.sort();
    let (mut count, mut before, mut after, mut refused) = (0, 0, 0, Vec::new());
    let start = Instant::now();
    for path in &paths {
        let bytes = fs_err::read(path).unwrap();
        if !is_elf(&bytes) {
            continue;
        }
        count += 1;
        before += bytes.len();
        let object = Object::parse(&bytes).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let names = dlopen_candidates(&bytes).unwrap();
        if object.imports_any(&["dlopen"]) && !names.is_empty() {
            println!("{} may open {names:?}", path.display());
        }
        match strip_unneeded(&bytes) {
            Ok(Some(stripped)) => {
                after += stripped.len();
                if write {
                    fs_err::write(path, stripped).unwrap();
                }
            }
            Ok(None) => after += bytes.len(),
            Err(error) => {
                after += bytes.len();
                refused.push(format!("{}: {error}", path.display()));
            }
        }
    }
    println!(
        "{count} objects, {before} -> {after} bytes, {:?}",
        start.elapsed()
    );
    println!("refused: {refused:#?}");
    assert!(count > 0);
}
