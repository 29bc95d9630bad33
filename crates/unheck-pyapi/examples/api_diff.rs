//! What changes for users between two unpacked wheels, and which lines of a program it breaks:
//! `cargo run --release -p unheck-pyapi --example api_diff -- OLD NEW [CODE …]`, where code is
//! a file or a directory.

#![expect(clippy::print_stdout, reason = "the output of the example")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use unheck_pyapi::api::{Code, DiffOptions, Files, Target, Tree, breaks, deprecated, diff};

/// A directory, read file by file.
struct Directory {
    root: String,
    paths: Vec<String>,
}

impl Files for Directory {
    fn paths(&self) -> Vec<String> {
        self.paths.clone()
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs_err::read(Path::new(&self.root).join(path)).ok()
    }
}

fn list(directory: &Path, root: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(directory)?.flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            list(&path, root, found)?;
        } else if let Ok(inside) = path.strip_prefix(root) {
            found.push(inside.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn directory(root: &str) -> std::io::Result<Directory> {
    let mut paths = Vec::new();
    list(Path::new(root), Path::new(root), &mut paths)?;
    let root = root.to_owned();
    Ok(Directory { root, paths })
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [old, new, code @ ..] = arguments.as_slice() else {
        println!("usage: api_diff OLD NEW [CODE ...]");
        return Ok(());
    };
    let target = Target { python: (3, 11) };
    let (old, new) = (directory(old)?, directory(new)?);
    let start = Instant::now();
    let (old, new) = (Tree::read(&old, target), Tree::read(&new, target));
    let read = start.elapsed();
    let difference = diff(&old, &new, DiffOptions::default());
    let total = start.elapsed();
    for change in &difference.changes {
        let witness = change.witness.as_deref().unwrap_or_default();
        let advice = change.advice.as_deref().unwrap_or_default();
        let at = change
            .old
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        println!(
            "{:?}\t{}\t{}\t{}\t{witness}\t{advice}\t{at}\t{}",
            change.severity, change.rule, change.api, change.detail, change.defined
        );
    }
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for path in code {
        if Path::new(path).is_dir() {
            let below = directory(path)?;
            let read = |inside: String| Some((inside.clone(), below.read(&inside)?));
            files.extend(below.paths().into_iter().filter_map(read));
        } else {
            files.insert(path.clone(), fs_err::read(path)?);
        }
    }
    let code = Code::read(&files, target);
    let start = Instant::now();
    for found in breaks(&code, &old, &new) {
        println!("USE\t{found:?}");
    }
    let uses = start.elapsed();
    for found in deprecated(&code, &old) {
        println!("OLD\t{found:?}");
    }
    println!(
        "{} changes, {} added, {} + {} modules, {} left out, read {read:.2?}, total {total:.2?}, {} programs, uses {uses:.2?}",
        difference.changes.len(),
        difference.added,
        old.modules(),
        new.modules(),
        old.left_out.len() + new.left_out.len(),
        files.len(),
    );
    Ok(())
}
