//! Kits of real projects, used where there is no network.

use std::path::Path;

use crate::kit::{Ran, build, command, directory, example, finish, project, text, unheck};

/// Runs the program in a network namespace of its own, with an empty cache and a kit. Users need a user namespace for
/// that, in which they stay who they are.
fn in_the_gap(program: &Path, cache: &Path, words: &[&str]) -> Ran {
    let mut command = command("unshare");
    use std::os::unix::fs::MetadataExt as _;
    let user: &[&str] = match fs_err::metadata(cache.parent().unwrap()).unwrap().uid() {
        0 => &[],
        _ => &["--user", "--map-current-user"],
    };
    command.args(user).args(["--net", "--"]);
    command.arg(program).args(words);
    command.arg("--offline").env("UNHECK_CACHE_DIR", cache);
    finish(command).ok()
}

/// Exports a project, and builds it in the gap with the program of the kit.
#[track_caller]
fn same_digest(project: &Path, more: &[&str]) {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let here = build(project, &path("here.oci.tar"), &[]);
    let kit = path("app.kit");
    let exported = unheck(&["export", text(project), "--air-gap", text(&kit), "--json"]);
    let exported = exported.ok().json();
    assert_eq!(exported["locked"], false);
    let mut tar = command("tar");
    tar.arg("-xf").arg(&kit).arg("-C").arg(directory.path());
    tar.arg("unheck");
    finish(tar).ok();
    let (program, cache) = (path("unheck"), path("gap"));
    let (there, kit_text) = (path("there.oci.tar"), text(&kit));
    let words = [
        "build",
        text(project),
        "-o",
        text(&there),
        "--json",
        "--kit",
        kit_text,
    ];
    let there = in_the_gap(&program, &cache, &words).json();
    assert_eq!(here["digest"], there["digest"]);
    let words = [&["lock", text(project), "--kit", kit_text], more].concat();
    let said = in_the_gap(&program, &cache, &words).stderr;
    assert!(said.contains("the lock fits the project"), "{said}");
}

#[test]
#[ignore = "live: Python index and Debian"]
fn the_web_example_is_the_same_in_the_gap() {
    let place = directory();
    same_digest(&example("web", place.path()), &[]);
}

#[test]
#[ignore = "live: Python index and Debian"]
fn a_native_distribution_is_compiled_again_in_the_gap() {
    let place = directory();
    let pyproject =
        "[project]\nname = \"native\"\nversion = \"1\"\ndependencies = [\"psycopg2\"]\n";
    let files = [
        ("pyproject.toml", pyproject),
        ("main.py", "import psycopg2\n"),
    ];
    let project = project(place.path(), &files);
    // It fails where the wheel that is made there is another one.
    same_digest(&project, &["--rebuild-check"]);
}
