//! Relocatable artifacts of real projects, really moved and really started: on this machine, on a
//! root that has nothing else, and on this machine's libraries.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::examples::{check_hello, check_web};
use crate::kit::{Ran, build, directory, example, finish, project, text, unheck};

/// A project that asks everything of its Python that breaks when it is moved.
fn everything(directory: &Path) -> PathBuf {
    let files = [
        (
            "pyproject.toml",
            "[project]\nname = \"everything\"\nversion = \"1\"\nrequires-python = \">=3.9\"\n",
        ),
        ("main.py", include_str!("everything.py")),
    ];
    project(&directory.join("everything"), &files)
}

/// Starts a program with next to no environment.
#[track_caller]
fn start(program: &Path, words: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").args(words);
    finish(command)
}

/// What must hold of everything.py's answer wherever its tree is.
#[track_caller]
fn check_everything(facts: &Value, root: &Path, python: &str) {
    let at = |path: &str| json!(root.join(path));
    let executable = at(&format!("usr/bin/python{python}"));
    assert_eq!(facts["root"], json!(root), "{facts}");
    assert_eq!(facts["executable"], executable, "{facts}");
    assert_eq!(facts["prefix"], at("usr"), "{facts}");
    assert_eq!(facts["child"][0], executable, "{facts}");
    assert_eq!(facts["child"][1], at("usr"), "{facts}");
    assert_eq!(facts["child"][3], at("app/main.py"), "{facts}");
    for method in ["spawn", "forkserver"] {
        let squares = json!([
            [0, executable],
            [1, executable],
            [4, executable],
            [9, executable]
        ]);
        assert_eq!(facts[method], squares, "{facts}");
    }
    assert_eq!(facts["module child"], "usage:", "{facts}");
    assert!(facts["certificates"].as_u64().unwrap() > 100, "{facts}");
    let local = facts["localhost"].as_str().unwrap();
    assert!(["127.0.0.1", "::1"].contains(&local), "{facts}");
    assert_eq!(
        facts["encoding"],
        json!(["utf-8", "UTF-8", "utf-8"]),
        "{facts}"
    );
    assert_eq!(facts["vienna"], "2026-06-01T12:00:00+02:00", "{facts}");
    assert_eq!(facts["local hour"], 1, "{facts}");
    assert_eq!(facts["unknown library"], Value::Null, "{facts}");
    assert_eq!(facts["sqlite"], 42, "{facts}");
    assert_eq!(facts["digest"], "741efa31", "{facts}");
}

/// The same where the tree has its own libraries: nothing of the host is in the process.
#[track_caller]
fn check_static(facts: &Value, root: &Path, python: &str) {
    check_everything(facts, root, python);
    assert_eq!(facts["foreign"], json!([]), "{facts}");
    let soname = facts["libssl"].as_str().unwrap();
    assert!(soname.starts_with("libssl.so."), "{facts}");
    assert_eq!(facts["libssl says"], facts["isolated child"], "{facts}");
    let leaked: BTreeSet<&str> = facts["environment"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    // Nothing that another program's loader or Python would start differently for.
    for name in [
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "OPENSSL_CONF",
    ] {
        assert!(!leaked.contains(name), "{name} {facts}");
    }
}

fn make_read_only(root: &Path, mode: u32) {
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        if entry.file_type().is_dir() {
            fs_err::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn a_directory_works_moved_linked_and_read_only() {
    let directory = directory();
    let output = directory.path().join("out");
    build(&everything(directory.path()), &output, &["--format", "dir"]);
    let moved = directory.path().join("another place").join("with spaces");
    fs_err::create_dir_all(moved.parent().unwrap()).unwrap();
    fs_err::rename(&output, &moved).unwrap();
    let shipped = bytecode(&moved);
    let facts = start(&moved.join("bin/everything"), &[]).ok().json();
    check_static(&facts, &moved, "3.13");
    let link = directory.path().join("link");
    symlink(&moved, &link).unwrap();
    let command = directory.path().join("command");
    symlink("link/bin/everything", &command).unwrap();
    for program in [link.join("bin/everything"), command] {
        check_static(&start(&program, &[]).ok().json(), &moved, "3.13");
    }
    make_read_only(&moved, 0o555);
    let facts = start(&moved.join("bin/everything"), &[]).ok().json();
    check_static(&facts, &moved, "3.13");
    make_read_only(&moved, 0o755);
    assert_eq!(bytecode(&moved), shipped, "no start adds any");
}

fn bytecode(root: &Path) -> usize {
    let files = walkdir::WalkDir::new(root).into_iter();
    let names = files.map(|entry| entry.unwrap().into_path());
    names
        .filter(|path| path.extension() == Some("pyc".as_ref()))
        .count()
}

#[test]
#[ignore = "live: index and Debian archive"]
fn older_suites_work_moved_too() {
    for (suite, python) in [("bookworm", "3.11"), ("bullseye", "3.9")] {
        let directory = directory();
        let output = directory.path().join("out");
        let flags = ["--format", "dir", "--suite", suite];
        build(&everything(directory.path()), &output, &flags);
        let moved = directory.path().join(suite);
        fs_err::rename(&output, &moved).unwrap();
        let facts = start(&moved.join("bin/everything"), &[]).ok().json();
        check_static(&facts, &moved, python);
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn archives_unpack_to_what_works_and_are_read_by_tar() {
    let directory = directory();
    let project = everything(directory.path());
    for name in ["out.tar.zst", "out.tar.gz"] {
        let output = directory.path().join(name);
        build(&project, &output, &["--format", "tar"]);
        let place = directory.path().join(format!("{name}-unpacked"));
        fs_err::create_dir(&place).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["-xf", text(&output), "-C", text(&place)]);
        finish(tar).ok();
        let root = fs_err::canonicalize(place.join("everything-1")).unwrap();
        let facts = start(&root.join("bin/everything"), &[]).ok().json();
        check_static(&facts, &root, "3.13");
        let ran = unheck(&["run", text(&output)]).ok().json();
        assert_eq!(ran["sqlite"], 42);
        unheck(&["verify", text(&output)]).ok();
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn an_executable_works_alone_and_from_its_cache() {
    let directory = directory();
    let output = directory.path().join("everything.exe");
    let flags = ["--format", "exe", "--compression", "zstd:3"];
    build(&everything(directory.path()), &output, &flags);
    let cache = directory.path().join("cache");
    for _ in 0..2 {
        let mut command = Command::new(&output);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("UNHECK_EXE_CACHE", &cache);
        let facts = finish(command).ok().json();
        let root = PathBuf::from(facts["root"].as_str().unwrap());
        assert!(
            root.starts_with(fs_err::canonicalize(&cache).unwrap()),
            "{facts}"
        );
        check_static(&facts, &root, "3.13");
    }
    unheck(&["verify", text(&output)]).ok();
    let size = unheck(&["size", text(&output), "--json"]).ok().json();
    let compressed = size["platforms"][0]["compressed"].as_u64().unwrap();
    assert_eq!(compressed, fs_err::metadata(&output).unwrap().len());
}

#[test]
#[ignore = "live: index and Debian archive"]
fn examples_work_in_every_form() {
    let directory = directory();
    let hello = example("hello", directory.path());
    let web = example("web", directory.path());
    for (format, name) in [("dir", "d"), ("tar", "t.tar.zst"), ("exe", "e")] {
        let flags = ["--format", format, "--compression", "zstd:3"];
        let output = directory.path().join(name);
        let built = build(&hello, &output, &flags);
        assert_eq!(built["format"], format);
        let facts = unheck(&["run", text(&output), "--", "--json"]).ok().json();
        check_hello(&facts);
        let output = directory.path().join(format!("web-{name}"));
        build(&web, &output, &flags);
        check_web(&output);
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn without_libraries_it_runs_on_this_host_or_says_what_the_host_lacks() {
    let directory = directory();
    let project = everything(directory.path());
    let host = host_glibc();
    for (suite, glibc, python) in [("bookworm", (2, 36), "3.11"), ("trixie", (2, 41), "3.13")] {
        let output = directory.path().join(suite);
        let flags = ["--format", "dir", "--libs", "dynamic", "--suite", suite];
        let built = build(&project, &output, &flags);
        let sizes = &built["platforms"][0]["unpacked"];
        assert!(
            sizes["dynamic"].as_u64() < sizes["static"].as_u64(),
            "{built}"
        );
        assert!(!output.join("usr/lib/x86_64-linux-gnu").exists());
        let ran = start(&output.join("bin/everything"), &[]);
        if glibc <= host {
            let root = fs_err::canonicalize(&output).unwrap();
            check_everything(&ran.ok().json(), &root, python);
        } else {
            let said = ran.ended(126).stderr;
            assert!(
                said.contains("libc.so.6") && said.contains("GLIBC_2."),
                "{said}"
            );
            assert!(said.contains("libc6"), "{said}");
            let rules: Vec<&str> = built["findings"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|finding| finding["rule"].as_str())
                .collect();
            assert!(rules.contains(&"host-lacks-libraries"), "{rules:?}");
        }
    }
}

/// The host's glibc, by what its own tool says.
fn host_glibc() -> (u32, u32) {
    let mut command = Command::new("getconf");
    command.arg("GNU_LIBC_VERSION");
    let said = finish(command).ok().stdout;
    let version = said.trim().rsplit(' ').next().unwrap();
    let (major, minor) = version.split_once('.').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

/// Starts an executable in a mount namespace of its own, with `HOME` on a file system that is
/// mounted with these options.
#[track_caller]
fn start_at_home(program: &Path, home: &Path, options: &str) -> Ran {
    let script = "mount -t tmpfs -o \"$1\" none \"$HOME\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .args(["sh", options])
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home);
    finish(command)
}

#[test]
#[ignore = "live: index and Debian archive"]
fn an_executable_starts_where_home_is_read_only_or_noexec() {
    let directory = directory();
    let output = directory.path().join("everything.exe");
    let flags = ["--format", "exe", "--compression", "zstd:3"];
    build(&everything(directory.path()), &output, &flags);
    let home = directory.path().join("home");
    fs_err::create_dir(&home).unwrap();
    // Where it can be written to, the cache is there.
    let facts = start_at_home(&output, &home, "mode=0700").ok().json();
    let root = PathBuf::from(facts["root"].as_str().unwrap());
    assert!(root.starts_with(home.join(".cache/unheck-exe")), "{facts}");
    for options in ["ro", "noexec,mode=0700"] {
        let facts = start_at_home(&output, &home, options).ok().json();
        let root = PathBuf::from(facts["root"].as_str().unwrap());
        assert!(!root.starts_with(&home), "{options}: {facts}");
        let shared = ["/var/tmp/unheck-exe-", "/tmp/unheck-exe-"];
        let text = root.to_str().unwrap();
        assert!(
            shared.iter().any(|place| text.starts_with(place)),
            "{options}: {facts}"
        );
        check_static(&facts, &root, "3.13");
    }
}

#[test]
#[ignore = "live: index and Debian archive"]
fn bytecode_and_trimming_go_together_in_every_form() {
    let directory = directory();
    let hello = example("hello", directory.path());
    for mode in ["start", "beside", "only"] {
        for (format, name) in [("dir", "d"), ("tar", "t.tar.zst"), ("exe", "e")] {
            let output = directory.path().join(format!("{mode}-{name}"));
            let flags = ["--format", format, "--trim", "imports", "--bytecode", mode];
            let flags = [&flags[..], &["--compression", "zstd:3"]].concat();
            build(&hello, &output, &flags);
            let facts = unheck(&["run", text(&output), "--", "--json"]).ok().json();
            check_hello(&facts);
            unheck(&["verify", text(&output)]).ok();
            // What was left out, and what is there as bytecode alone, have their answers.
            let gone = unheck(&["why", text(&output), "wave", "--json"])
                .ok()
                .json();
            assert_eq!(
                gone["chains"][0]["left_out"]["by"], "trim imports",
                "{gone}"
            );
            let source = unheck(&["why", text(&output), "usr/lib/python3.13/ssl.py", "--json"]);
            let chain = &source.ok().json()["chains"][0];
            match mode {
                "only" => assert_eq!(chain["left_out"]["by"], "bytecode only", "{chain}"),
                _ => assert_eq!(chain["subject"]["kind"], "file", "{chain}"),
            }
        }
    }
}
