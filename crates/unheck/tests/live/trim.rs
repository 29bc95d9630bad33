//! Trimming against real distributions: what is left works, and what is not there says so.
//!
//! The distributions are those of `common.txt`, a few builds for all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::examples::check_hello;
use crate::kit::{build, directory, example, finish, program, run, text, unheck};

/// One line of `common.txt`.
struct Row {
    distribution: &'static str,
    modules: Vec<&'static str>,
    commands: Vec<&'static str>,
}

/// The groups of `common.txt`.
fn groups() -> BTreeMap<&'static str, Vec<Row>> {
    let mut groups: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    let mut group = "";
    let lines = include_str!("common.txt").lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            group = name.trim_end_matches(']');
            continue;
        }
        let mut words = line.split(' ');
        let mut list = || {
            let word = words.next().unwrap_or_default();
            word.split(',').filter(|word| !word.is_empty()).collect()
        };
        let name: Vec<&str> = list();
        groups.entry(group).or_default().push(Row {
            distribution: name[0],
            modules: list(),
            commands: list(),
        });
    }
    groups
}

/// A project that imports every module of a group and asks every command for help.
fn project(directory: &Path, name: &str, rows: &[Row]) -> PathBuf {
    let place = directory.join(name);
    fs_err::create_dir_all(&place).unwrap();
    let requires: Vec<&str> = rows.iter().map(|row| row.distribution).collect();
    let pyproject = format!(
        "[project]\nname = \"common-{name}\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = {requires:?}\n"
    );
    fs_err::write(place.join("pyproject.toml"), pyproject).unwrap();
    let mut source = "import subprocess\n\n".to_owned();
    for module in rows.iter().flat_map(|row| &row.modules) {
        writeln!(source, "import {module}").unwrap();
    }
    let commands: Vec<&&str> = rows.iter().flat_map(|row| &row.commands).collect();
    writeln!(source, "\nfor command in {commands:?}:").unwrap();
    source.push_str("    subprocess.run([command, '--help'], check=True, stdout=subprocess.DEVNULL)\nprint('imported')\n");
    fs_err::write(place.join("main.py"), source).unwrap();
    place
}

/// Builds at level `imports`, verified, and runs.
#[track_caller]
fn check(group: &str) {
    let directory = directory();
    let rows = &groups()[group];
    let project = project(directory.path(), group, rows);
    let image = directory.path().join("image.oci.tar");
    let built = build(&project, &image, &["--trim", "imports"]);
    let levels = built["platforms"][0]["trimmed"].as_array().unwrap();
    let reached = |row: &&Value| {
        row["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("no import path")
    };
    assert!(levels.iter().any(|row| reached(&row)), "{built}");
    let ran = run(&image, &[]).ok();
    assert!(ran.stdout.ends_with("imported\n"), "{ran:?}");
    unheck(&["verify", text(&image)]).ok();
}

#[test]
fn forty_distributions_and_more_are_listed_once() {
    let groups = groups();
    let mut names: Vec<&str> = groups
        .values()
        .flatten()
        .map(|row| row.distribution)
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 40, "{count}");
    assert_eq!(
        groups.keys().copied().collect::<Vec<_>>(),
        ["crypto", "net", "numbers", "text", "web"]
    );
}

#[test]
#[ignore = "live: index and Debian archive"]
fn distributions_of_the_network_work_when_trimmed() {
    check("net");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn distributions_of_the_web_work_when_trimmed() {
    check("web");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn distributions_of_texts_work_when_trimmed() {
    check("text");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn distributions_of_secrets_and_services_work_when_trimmed() {
    check("crypto");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn distributions_of_numbers_work_when_trimmed() {
    check("numbers");
}

#[test]
#[ignore = "live: index and Debian archive"]
fn examples_are_verified_when_trimmed_and_smaller() {
    for name in ["hello", "web", "native", "data", "media"] {
        let directory = directory();
        let project = example(name, directory.path());
        let size = |level: &str| {
            let image = directory.path().join(format!("{level}.oci.tar"));
            let built = build(&project, &image, &["--trim", level]);
            (built["size"].as_u64().unwrap(), image)
        };
        let ((safe, _), (imports, image)) = (size("safe"), size("imports"));
        assert!(imports < safe, "{name}: {imports} and {safe}");
        unheck(&["verify", text(&image)]).ok();
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_recorded_run_makes_the_smallest_image_that_does_the_same() {
    let directory = directory();
    let project = example("hello", directory.path());
    let image = directory.path().join("traced.oci.tar");
    let mut without = program();
    without.args(["build", text(&project), "--trim", "traced"]);
    let refused = finish(without).ended(2);
    assert!(refused.stderr.contains("--trace"), "{refused:?}");
    let flags = ["--trim", "traced", "--trace", "python3 main.py --json"];
    let traced = build(&project, &image, &flags)["size"].as_u64().unwrap();
    check_hello(&run(&image, &["--json"]).ok().json());
    let profile = fs_err::read_to_string(project.join("unheck.trace")).unwrap();
    assert!(profile.contains("usr/lib/python3.13/sqlite3/__init__.py"));
    let other = directory.path().join("imports.oci.tar");
    let imports = build(&project, &other, &["--trim", "imports"])["size"]
        .as_u64()
        .unwrap();
    assert!(traced < imports, "{traced} and {imports}");
    // The profile is enough the next time.
    let again = build(&project, &image, &["--trim", "traced"]);
    assert_eq!(again["size"], traced);
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_module_that_was_left_out_says_so_and_can_be_kept() {
    let directory = directory();
    let project = directory.path().join("late");
    fs_err::create_dir_all(&project).unwrap();
    let pyproject = "[project]\nname = \"late\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n";
    fs_err::write(project.join("pyproject.toml"), pyproject).unwrap();
    // No text names the module, so that no reader of the source can know it.
    let source = "import importlib\nimport importlib.util\nimport sys\n\nname = ''.join(sys.argv[1:]) or 'sys'\nif name.startswith('?'):\n    print(importlib.util.find_spec(name[1:]))\nelif name != '--help':\n    try:\n        importlib.import_module(name)\n        print('there')\n    except ImportError as error:\n        print(type(error).__name__, error.name, error)\n";
    fs_err::write(project.join("main.py"), source).unwrap();
    let image = directory.path().join("late.oci.tar");
    build(&project, &image, &["--trim", "imports"]);
    let said = run(&image, &["wave"]).ok().stdout;
    assert_eq!(
        said,
        "ModuleNotFoundError wave `wave` was left out by unheck's `--trim imports`; keep it with `--keep wave` (or `keep = [\"wave\"]` in [tool.unheck])\n"
    );
    assert_eq!(run(&image, &["?wave"]).ok().stdout, "None\n");
    let never = run(&image, &["there_is_no_such_module"]).ok().stdout;
    assert!(never.contains("No module named"), "{never}");
    build(&project, &image, &["--trim", "imports", "--keep", "wave"]);
    assert_eq!(run(&image, &["wave"]).ok().stdout, "there\n");
}
