//! Two builds from one lock are the same bytes, whatever differs around them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::*;

/// Run as a child process: umask, time zone and thread count belong to a process.
#[test]
fn child_that_builds() {
    let Some(run) = child_run() else { return };
    if let Err(failure) = run.build() {
        panic!("{failure:?}");
    }
}

pub(crate) const CHILD_TEST: &str = "reproducible::child_that_builds";

/// Copies a project in the order of `names`, with another age and other private modes.
pub(crate) fn copy_project(from: &Path, to: &Path, names: &[&str], mode: u32) {
    for name in names {
        let target = to.join(name);
        fs_err::create_dir_all(target.parent().unwrap()).unwrap();
        fs_err::copy(from.join(name), &target).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs_err::File::options()
            .write(true)
            .open(&target)
            .unwrap()
            .file()
            .set_modified(old)
            .unwrap();
        fs_err::set_permissions(&target, PermissionsExt::from_mode(mode)).unwrap();
    }
}

pub(crate) fn child_with_umask(run: &Run, umask: &str, threads: &str) -> Command {
    let child = run.child(CHILD_TEST);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"]);
    shell.arg(child.get_program()).args(child.get_args());
    for (name, value) in child.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell
        .env("RAYON_NUM_THREADS", threads)
        .env("TZ", "Pacific/Kiritimati")
        .env("LANG", "tr_TR.UTF-8");
    shell
}

pub(crate) fn assert_built(mut command: Command) {
    let output = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn directory_umask_dates_order_threads_and_cache_do_not_matter() {
    let names = [
        "pyproject.toml",
        "main.py",
        "pkg/__init__.py",
        "pkg/b.py",
        "pkg/a.py",
        "pylock.unheck.toml",
    ];
    let fixture = Fixture::new()
        .pyproject(&["demo", "native", "needs-gl"], "")
        .file("pkg/__init__.py", "")
        .file("pkg/a.py", "a = 1\n")
        .file("pkg/b.py", "b = 1\n");
    let first = fixture.build();
    let bytes = fs_err::read(&fixture.run.output).unwrap();
    let mut reversed = names;
    reversed.reverse();
    let cases = [
        ("077", "1", "cold"),
        ("000", "7", "warm"),
        ("027", "2", "derived-gone"),
    ];
    for (umask, threads, cache) in cases {
        let place = fixture.path(&format!("elsewhere/{umask}/deep"));
        copy_project(
            &fixture.run.project,
            &place.join("project-copy"),
            &reversed,
            0o600,
        );
        let run = fixture.with(|run| {
            run.project = place.join("project-copy");
            run.output = place.join("made/here.tar");
            run.mode = "locked".to_owned();
            if cache == "cold" {
                run.store = place.join("store");
                run.resolver = place.join("resolver");
            }
        });
        if cache == "derived-gone" {
            fs_err::remove_dir_all(run.store.join("derived")).unwrap();
        }
        assert_built(child_with_umask(&run, umask, threads));
        assert!(
            fs_err::read(&run.output).unwrap() == bytes,
            "{umask} {threads} {cache}"
        );
    }
    assert_eq!(
        digest_of(&fixture.run.output),
        unheck_base::Digest::of(&bytes)
    );
    assert_eq!(
        fixture.built(&fixture.run).built.image.digest,
        first.built.image.digest
    );
}

#[test]
fn the_name_of_the_directory_does_not_matter_where_the_project_has_no_name() {
    let fixture = Fixture::new().requirements("demo\n");
    let first = fixture.build();
    let other = fixture.path("another-name");
    copy_project(
        &fixture.run.project,
        &other,
        &["main.py", "requirements.txt", "pylock.unheck.toml"],
        0o644,
    );
    let run = fixture.with(|run| {
        run.project = other;
        run.output = fixture.path("other.oci.tar");
        run.mode = "locked".to_owned();
    });
    assert_eq!(
        fixture.built(&run).built.image.digest,
        first.built.image.digest
    );
}

#[test]
fn two_locks_of_the_same_world_are_the_same_text() {
    let fixture = Fixture::new().pyproject(&["needs-gl", "demo", "native"], "");
    fixture.build();
    let first = fixture.run.lock_text();
    for name in ["store", "resolver"] {
        fs_err::remove_dir_all(fixture.path(name)).unwrap();
    }
    fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
    // A year later by the clock.
    fixture.built(&fixture.with(|run| run.now += 365 * 86_400));
    assert_eq!(fixture.run.lock_text(), first);
}
