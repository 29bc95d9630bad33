//! The same lock gives the same bytes, whatever is around the program.

use std::path::Path;

use serde_json::Value;

use crate::kit::{cache, copy, directory, example, finish, program, text, unheck};

/// Builds with a umask, a number of threads and variables of its own.
#[track_caller]
fn build(project: &Path, output: &Path, umask: &str, around: &[(&str, &str)]) -> Value {
    let own = program();
    let mut command = crate::kit::command("/bin/sh");
    let script = r#"umask "$1"; shift; exec "$@""#;
    command
        .args(["-c", script, "sh", umask])
        .arg(own.get_program());
    command.args([
        "build",
        text(project),
        "-o",
        text(output),
        "--locked",
        "--json",
    ]);
    command
        .env("UNHECK_CACHE_DIR", cache())
        .envs(around.iter().copied());
    finish(command).ok().json()
}

#[test]
#[ignore = "live: index and Debian archive"]
fn two_builds_from_one_lock_are_the_same_bytes() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let web = example("web", directory.path());
    unheck(&["lock", text(&web)]).ok();
    let other = path("a much longer name/für web");
    copy(&web, &other);
    let (one, two, three) = (path("1.oci.tar"), path("2.oci.tar"), path("3.oci.tar"));

    let first = build(
        &web,
        &one,
        "000",
        &[("TZ", "Pacific/Kiritimati"), ("LANG", "C")],
    );
    let cold = path("cold");
    let around = [
        ("UNHECK_CACHE_DIR", text(&cold)),
        ("TZ", "America/St_Johns"),
        ("LANG", "de_AT.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("RAYON_NUM_THREADS", "1"),
        ("HOME", "/nonexistent"),
    ];
    let second = build(&other, &two, "077", &around);
    let third = build(&other, &three, "022", &[]);

    assert_eq!([&second["digest"], &third["digest"]], [&first["digest"]; 2]);
    let bytes = fs_err::read(&one).unwrap();
    assert!(
        bytes == fs_err::read(&two).unwrap(),
        "a cold cache and everything else differ"
    );
    assert!(bytes == fs_err::read(&three).unwrap(), "a warm cache");
    let locks =
        [&web, &other].map(|project| fs_err::read(project.join("pylock.unheck.toml")).unwrap());
    assert!(locks[0] == locks[1], "no build touched the lock");
}
