//! How roots are made: layers, mounts, links.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use unheck_sandbox::{Mount, Root, Spec};

use crate::kit::{Test, fails, open_to_all, output, root, spec, words};

pub(crate) const TESTS: &[Test] = &[
    (
        "higher_layers_hide_lower_ones",
        higher_layers_hide_lower_ones,
    ),
    (
        "a_hundred_layers_with_odd_names",
        a_hundred_layers_with_odd_names,
    ),
    (
        "root_that_refuses_an_overlay_is_merged",
        root_that_refuses_an_overlay_is_merged,
    ),
    ("writable_root_vanishes", writable_root_vanishes),
    ("mounts_appear_where_asked", mounts_appear_where_asked),
    (
        "links_in_the_root_do_not_reach_the_host",
        links_in_the_root_do_not_reach_the_host,
    ),
    ("impossible_mounts_are_named", impossible_mounts_are_named),
    ("missing_things_are_named", missing_things_are_named),
    (
        "impossible_specifications_are_refused",
        impossible_specifications_are_refused,
    ),
    ("scratch_has_a_size", scratch_has_a_size),
];

fn layer(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), files);
    dir
}

fn fill(dir: &Path, files: &[(&str, &str)]) {
    open_to_all(dir);
    for (name, text) in files {
        let path = dir.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
}

fn layered(upper: &[&Path], action: &[&str]) -> Spec {
    let mut lower: Vec<PathBuf> = vec![root().to_owned()];
    lower.extend(upper.iter().map(|p| p.to_path_buf()));
    Spec {
        root: Root::Overlay { lower },
        ..spec(action)
    }
}

fn higher_layers_hide_lower_ones() {
    let (a, b) = (
        layer(&[("etc/marker", "a"), ("app/x", "a")]),
        layer(&[("app/x", "b"), ("app/y", "b")]),
    );
    let layers = [a.path(), b.path()];
    assert_eq!(output(&layered(&layers, &["read", "/etc/marker"])), "a");
    assert_eq!(output(&layered(&layers, &["read", "/app/x"])), "b");
    assert_eq!(output(&layered(&layers, &["list", "/app"])), "x\ny\n");
}

fn a_hundred_layers_with_odd_names() {
    let top = tempfile::tempdir().unwrap();
    open_to_all(top.path());
    let long = "long-".repeat(30);
    let dirs: Vec<PathBuf> = (0..100)
        .map(|n| top.path().join(format!("{n}:a,b\\ {long}")))
        .collect();
    for (n, dir) in dirs.iter().enumerate() {
        fs_err::create_dir(dir).unwrap();
        fill(
            dir,
            &[(&format!("many/{n}"), ""), ("many/last", &n.to_string())],
        );
    }
    let layers: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
    assert_eq!(output(&layered(&layers, &["read", "/many/last"])), "99");
    assert_eq!(
        output(&layered(&layers, &["list", "/many"]))
            .lines()
            .count(),
        101
    );
}

/// A sandbox in a sandbox, which only works with the second walls down. The outer root has mounts that Linux does not
/// let the inner one lay bare, so no overlay is possible on it: it is merged by bind mounts.
fn root_that_refuses_an_overlay_is_merged() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["here", "nest", "1", root().to_str().unwrap(), "mounts"])
        .output()
        .unwrap();
    let text = crate::forbidden::rung_first(&String::from_utf8_lossy(&output.stdout));
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let wanted = "root tmpfs ro\nmarker root\nnames bin dev etc lib lib64 proc run tmp var\nwrite EROFS\ntmp ok\n";
    assert!(text.contains(wanted), "{text}");
    assert!(
        text.contains("rung user-namespace+bound-proc"),
        "our own /proc is masked: {text}"
    );
}

fn writable_root_vanishes() {
    let mut spec = spec(&["write", "/tmp/../new"]);
    spec.read_only_root = false;
    if crate::kit::is_root() {
        (spec.uid, spec.gid) = (0, 0);
    }
    assert_eq!(output(&spec), "ok\n");
    assert!(!root().join("new").exists());
    spec.argv = words(&["/bin/inside", "inside", "write", "/etc/marker"]);
    assert_eq!(output(&spec), "ok\n");
    assert_eq!(
        fs_err::read_to_string(root().join("etc/marker")).unwrap(),
        "root\n"
    );
}

fn bind(host: &Path, inside: &str, writable: bool) -> Mount {
    Mount::Bind {
        host: host.to_owned(),
        inside: inside.into(),
        writable,
    }
}

fn mounts_appear_where_asked() {
    let data = layer(&[("sub/file", "data")]);
    fs_err::set_permissions(
        data.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let mut spec = spec(&["read", "/srv/deep/data/sub/file"]);
    spec.mounts = vec![
        bind(data.path(), "/srv/deep/data", false),
        bind(data.path(), "/work", true),
        bind(&data.path().join("sub/file"), "/tmp/a/one-file", false),
        bind(&data.path().join("sub/file"), "/etc/one-file", false),
        Mount::Tmpfs {
            inside: "/work/sub".into(),
            size: 1 << 20,
            mode: 0o700,
        },
    ];
    let mut with = |action: &[&str]| {
        spec.argv = words(&[&["/bin/inside", "inside"], action].concat());
        output(&spec)
    };
    assert_eq!(with(&["read", "/srv/deep/data/sub/file"]), "data");
    assert_eq!(with(&["read", "/tmp/a/one-file"]), "data");
    assert_eq!(with(&["read", "/etc/one-file"]), "data");
    assert_eq!(with(&["list", "/work/sub"]), "");
    assert_eq!(with(&["write", "/work/sub/x"]), "ok\n");
    assert_eq!(with(&["write", "/work/new"]), "ok\n");
    assert_ne!(with(&["write", "/srv/deep/data/new2"]), "ok\n");
    assert_eq!(
        fs_err::read_to_string(data.path().join("new")).unwrap(),
        "x"
    );
    assert!(!data.path().join("new2").exists() && !data.path().join("sub/x").exists());
}

fn links_in_the_root_do_not_reach_the_host() {
    let secret = layer(&[("etc/hosts", "host"), ("x", "")]);
    let a = layer(&[]);
    let up = "../".repeat(20);
    symlink(
        format!("{up}{}", secret.path().join("etc").display()),
        a.path().join("link"),
    )
    .unwrap();
    symlink(secret.path(), a.path().join("run")).unwrap();
    symlink("/etc/elsewhere", a.path().join("conf")).unwrap();
    fs_err::create_dir_all(a.path().join("etc")).unwrap();
    symlink(
        secret.path().join("etc/hosts"),
        a.path().join("etc/resolv.conf"),
    )
    .unwrap();
    let data = layer(&[("file", "data")]);
    let mut spec = layered(&[a.path()], &["read", "/link/in/file"]);
    spec.mounts = vec![
        bind(data.path(), "/link/in", false),
        bind(data.path(), "/conf", false),
    ];
    assert_eq!(output(&spec), "data");
    assert!(!secret.path().join("etc/in").exists());
    spec.argv[3] = "/etc/elsewhere/file".into();
    assert_eq!(output(&spec), "data");
    spec.argv[3] = "/etc/resolv.conf".into();
    assert_eq!(output(&spec), "", "the generated file replaces the link");
    assert_eq!(
        fs_err::read_to_string(secret.path().join("etc/hosts")).unwrap(),
        "host"
    );
}

fn impossible_mounts_are_named() {
    let data = layer(&[("file", "data")]);
    let mut spec = spec(&["exit", "0"]);
    let mut with = |mounts: Vec<Mount>| {
        spec.mounts = mounts;
        fails(&spec)
    };
    let missing = with(vec![bind(Path::new("/no/such"), "/x", false)]);
    assert_eq!(
        missing,
        "cannot make the sandbox: find `/no/such` on the host: No such file or directory (os error 2)"
    );
    let below_file = with(vec![bind(data.path(), "/etc/marker/x", false)]);
    assert_eq!(
        below_file,
        "cannot make the sandbox: find `/etc/marker/x` in the root: Not a directory (os error 20)"
    );
    let in_bind = with(vec![
        bind(data.path(), "/x", true),
        bind(data.path(), "/x/new", false),
    ]);
    assert_eq!(
        in_bind,
        "cannot make the sandbox: reach the mount point `/x/new` in the root: No such file or directory (os error 2)"
    );
    assert!(
        !data.path().join("new").exists(),
        "nothing is made on the host"
    );
    let on_root = with(vec![bind(data.path(), "/", false)]);
    assert!(on_root.contains("which is the root itself"), "{on_root}");
}

fn missing_things_are_named() {
    let mut missing = spec(&[]);
    missing.argv = words(&["/bin/nothing"]);
    assert_eq!(
        fails(&missing),
        "cannot start `/bin/nothing` in the sandbox: execute `/bin/nothing`: No such file or directory (os error 2)\n\
         hint: the file, its loader or its `#!` interpreter is missing in the root"
    );
    missing.argv = words(&["nothing"]);
    assert_eq!(
        fails(&missing),
        "cannot start `nothing` in the sandbox: search it in `PATH`: No such file or directory (os error 2)"
    );
    missing.argv = words(&["/bin/true"]);
    missing.cwd = "/no/dir".into();
    assert_eq!(
        fails(&missing),
        "cannot start `/bin/true` in the sandbox: enter the directory `/no/dir`: No such file or directory (os error 2)"
    );
    missing.root = Root::Dir("/no/root".into());
    assert_eq!(
        fails(&missing),
        "cannot make the sandbox: use `/no/root` as a root: No such file or directory (os error 2)"
    );
}

fn impossible_specifications_are_refused() {
    type Change = fn(&mut Spec);
    let change: [(Change, &str); 7] = [
        (|s| s.argv.clear(), "`argv` is empty"),
        (|s| s.cwd = "tmp".into(), "path inside \"tmp\""),
        (|s| s.cwd = "/a/../b".into(), "path inside \"/a/../b\""),
        (|s| s.hostname = "a b".into(), "`hostname`"),
        (
            |s| s.root = Root::Overlay { lower: vec![] },
            "`root` has 0 directories",
        ),
        (
            |s| drop(s.env.insert("A=B".into(), "".into())),
            "impossible name",
        ),
        (|s| s.argv.push("a\0b".into()), "NUL"),
    ];
    for (change, wanted) in change {
        let mut spec = spec(&["exit", "0"]);
        change(&mut spec);
        let text = fails(&spec);
        assert!(
            text.starts_with("sandbox specification refused: ") && text.contains(wanted),
            "{text}"
        );
    }
}

fn scratch_has_a_size() {
    let mut spec = spec(&["fill", "/tmp/x"]);
    spec.limits.scratch_bytes = 4 << 20;
    assert_eq!(output(&spec), "ENOSPC after 4 MiB\n");
    spec.read_only_root = false;
    if crate::kit::is_root() {
        (spec.uid, spec.gid) = (0, 0);
    }
    spec.argv[3] = "/x".into();
    assert!(
        output(&spec).starts_with("ENOSPC after"),
        "the writable root is bounded too"
    );
}
