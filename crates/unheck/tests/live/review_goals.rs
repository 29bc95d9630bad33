//! How much of what breaks is found, on libraries that the program was not developed on when the
//! lists beside this file were written. What each list holds stands on its first lines.
//! `cargo test --release -p unheck --test live review_goals -- --ignored --nocapture`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kit::{command, directory, finish, project, text, unheck};

const PAIRS: &str = include_str!("review_pairs.txt");
const LINES: &str = include_str!("review_lines.txt");
const CLEAN: &str = include_str!("review_clean.txt");

fn rows(list: &str) -> impl Iterator<Item = &str> {
    let is_row = |line: &&str| !line.starts_with('#') && !line.trim().is_empty();
    list.lines().filter(is_row)
}

/// The answer for a step, for Python 3.11 as the lists are.
fn look(dist: &str, old: &str, new: &str, code: Option<&Path>) -> Value {
    let mut words = vec!["review", dist, old, new, "--json", "--python", "3.11"];
    words.extend(code.iter().flat_map(|code| ["--code", text(code)]));
    let ran = unheck(&words);
    assert!(matches!(ran.code, Some(0 | 1)), "{dist}: {}", ran.stderr);
    ran.json()
}

/// What a review tells: kinds of the breaking changes, by the name that is used and by the one
/// where it is defined.
fn told(review: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for change in review["changes"].as_array().unwrap() {
        if change["severity"] == "soft" || change["severity"] == "opaque" {
            continue;
        }
        for key in ["api", "defined"] {
            let kinds = told.entry(change[key].as_str().unwrap().to_owned());
            kinds
                .or_default()
                .insert(change["kind"].as_str().unwrap().to_owned());
        }
    }
    told
}

/// Whether a name is told, or that what holds it is gone, or the member for a relative of its class.
fn is_found(name: &str, others: &[&str], told: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let (path, is_call) = match name.split_once('(') {
        Some((path, _)) => (path, true),
        None => (name, false),
    };
    let is_gone = |path: &str| {
        let kinds = told.get(path);
        kinds.is_some_and(|kinds| {
            ["removed", "moved", "kind"]
                .iter()
                .any(|one| kinds.contains(*one))
        })
    };
    let ends = path
        .match_indices('.')
        .map(|(at, _)| at)
        .chain([path.len()]);
    if ends.into_iter().any(|end| is_gone(&path[..end])) {
        return true;
    }
    if is_call {
        let last = path.rsplit('.').next().unwrap();
        return told.iter().any(|(api, kinds)| {
            kinds.contains("signature") && api.rsplit('.').next() == Some(last)
        });
    }
    let member = || {
        let (owner, last) = path.rsplit_once('.')?;
        let class = owner.rsplit('.').next()?;
        class.starts_with(char::is_uppercase).then_some(last)
    };
    others.iter().any(|other| is_gone(other))
        || member().is_some_and(|last| {
            told.iter().any(|(api, kinds)| {
                kinds.contains("removed") && api.rsplit('.').next() == Some(last)
            })
        })
}

#[test]
#[ignore = "live: index"]
fn known_hard_breaks_are_found() {
    let (mut found, mut all) = (0, 0);
    let mut changes = BTreeMap::new();
    for row in rows(PAIRS) {
        let words: Vec<&str> = row.split_whitespace().collect();
        if !row.starts_with(' ') {
            let [dist, old, new] = words[..] else {
                panic!("{row}");
            };
            changes = told(&look(dist, old, new, None));
            continue;
        }
        all += 1;
        match is_found(words[0], &words[1..], &changes) {
            true => found += 1,
            false => println!("missed: {row}"),
        }
    }
    println!("{found} of {all}");
    assert!(found * 100 >= all * 94, "{found} of {all}");
}

#[test]
#[ignore = "live: index"]
fn patch_releases_break_nothing_that_is_not_broken() {
    for row in rows(CLEAN).filter_map(|row| row.strip_prefix("patch ")) {
        let [dist, old, new, real @ ..] = &row.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let review = look(dist, old, new, None);
        let changes = review["changes"].as_array().unwrap().iter();
        let breaking = changes.filter(|change| change["breaking"] == true);
        let apis: Vec<&str> = breaking
            .filter_map(|change| change["api"].as_str())
            .collect();
        assert_eq!(&apis[..], real, "{row}");
    }
}

/// A program with the number of its line that breaks.
fn programs() -> Vec<([&'static str; 3], String, u64)> {
    let mut all = Vec::new();
    for part in LINES.split("\n=== ").skip(1) {
        let (head, code) = part.split_once('\n').unwrap();
        let words: Vec<&str> = head.split_whitespace().collect();
        let line = code.lines().position(|line| line.ends_with("#!")).unwrap() as u64 + 1;
        all.push(([words[0], words[1], words[2]], code.replace("#!", ""), line));
    }
    all
}

#[test]
#[ignore = "live: index"]
fn lines_that_break_are_found() {
    let mut of_step: BTreeMap<[&str; 3], Vec<(String, u64)>> = BTreeMap::new();
    for (step, code, line) in programs() {
        of_step.entry(step).or_default().push((code, line));
    }
    let (mut found, mut all) = (0, 0);
    for ([dist, old, new], files) in of_step {
        let directory = directory();
        let names: Vec<String> = (0..files.len()).map(|at| format!("p{at}.py")).collect();
        let sources: Vec<(&str, &str)> = names
            .iter()
            .zip(&files)
            .map(|(name, (code, _))| (name.as_str(), code.as_str()))
            .collect();
        let code = project(directory.path(), &sources);
        let review = look(dist, old, new, Some(&code));
        let uses = review["uses"].as_array().unwrap().iter();
        let proven: BTreeSet<(String, u64)> = uses
            .filter(|one| one["tier"] == "proven")
            .map(|one| {
                let file = Path::new(one["file"].as_str().unwrap());
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                (name, one["line"].as_u64().unwrap())
            })
            .collect();
        let right: BTreeSet<(String, u64)> = names
            .iter()
            .zip(&files)
            .map(|(name, (_, line))| (name.clone(), *line))
            .collect();
        assert!(proven.is_subset(&right), "{dist}: {proven:?}");
        for (name, line) in right.difference(&proven) {
            println!("missed: {dist} {name}:{line}");
        }
        (found, all) = (found + proven.len(), all + right.len());
    }
    println!("{found} of {all}");
    assert!(found * 100 >= all * 84, "{found} of {all}");
}

/// The wheel of a program, unpacked.
fn unpacked(dist: &str, version: &str, directory: &Path) -> PathBuf {
    let to = directory.join("wheel");
    let mut pip = command("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]);
    pip.args(["--python-version", "3.11", "-d", text(directory)]);
    pip.arg(format!("{dist}=={version}"));
    finish(pip).ok();
    let wheel = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let wheel = wheel
        .into_iter()
        .find(|path| path.extension().is_some())
        .unwrap();
    let mut unzip = command("python3");
    unzip.args(["-m", "zipfile", "-e", text(&wheel), text(&to)]);
    finish(unzip).ok();
    to
}

#[test]
#[ignore = "live: index, pip"]
fn programs_that_work_with_both_versions_get_no_alarm() {
    let (mut alarms, mut all) = (0, 0);
    for row in rows(CLEAN).filter(|row| !row.starts_with("patch ")) {
        let [program, version, dist, old, new] = row.split_whitespace().collect::<Vec<_>>()[..]
        else {
            panic!("{row}");
        };
        let directory = directory();
        let code = unpacked(program, version, directory.path());
        let review = look(dist, old, new, Some(&code));
        let uses = review["uses"].as_array().unwrap();
        let told: Vec<&Value> = uses.iter().filter(|one| one["tier"] == "proven").collect();
        if !told.is_empty() {
            println!("{row}: {told:?}");
        }
        (alarms, all) = (alarms + usize::from(!told.is_empty()), all + 1);
    }
    println!("{alarms} of {all}");
    assert!(alarms * 17 <= all, "{alarms} of {all}");
}
