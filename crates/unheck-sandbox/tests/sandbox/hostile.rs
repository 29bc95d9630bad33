//! What a hostile build tries, watched or not: contained, and told.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use unheck_sandbox::{LimitKind, Limits, Mount, Spec, Status, Stdio, Watched};

use crate::kit::{Test, go, output, processes_with, spec, words};

pub(crate) const TESTS: &[Test] = &[
    ("full_disk_is_prevented", full_disk_is_prevented),
    (
        "what_was_there_before_is_not_counted",
        what_was_there_before_is_not_counted,
    ),
    ("many_files_in_scratch_end", many_files_in_scratch_end),
    (
        "hogs_bombs_and_floods_are_named",
        hogs_bombs_and_floods_are_named,
    ),
    ("double_fork_does_not_escape", double_fork_does_not_escape),
    (
        "secrets_of_the_host_are_not_there",
        secrets_of_the_host_are_not_there,
    ),
    (
        "sockets_of_the_host_are_not_there",
        sockets_of_the_host_are_not_there,
    ),
    ("nothing_is_written_outside", nothing_is_written_outside),
];

/// The same action unwatched and watched.
fn both(action: &[&str]) -> [Spec; 2] {
    [false, true].map(|watch| Spec {
        watch,
        ..spec(action)
    })
}

/// A directory that anybody may write to, mounted at `/work`.
fn with_work(spec: &mut Spec) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs_err::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    spec.mounts.push(Mount::Bind {
        host: dir.path().to_owned(),
        inside: "/work".into(),
        writable: true,
    });
    dir
}

fn blocks(path: &Path) -> u64 {
    let entries = fs_err::read_dir(path).unwrap();
    let of = |e: std::io::Result<fs_err::DirEntry>| e.unwrap().metadata().unwrap().blocks() * 512;
    entries.map(of).sum()
}

fn full_disk_is_prevented() {
    let ways = [
        ("one", LimitKind::Disk),
        ("many", LimitKind::Disk),
        ("private", LimitKind::Disk),
        ("removed", LimitKind::Disk),
        ("empty", LimitKind::Inodes),
        ("deep", LimitKind::Inodes),
    ];
    for (index, (how, kind)) in ways.into_iter().enumerate() {
        let mut spec = both(&["fill-disk", how])[index % 2].clone();
        let dir = with_work(&mut spec);
        spec.limits = Limits {
            disk: Some(24 << 20),
            inodes: Some(500),
            ..Limits::default()
        };
        let outcome = go(&spec);
        assert_eq!(outcome.status, Status::LimitHit(kind), "{how}");
        let written = blocks(dir.path());
        assert!(written < 900 << 20, "{how}: {written} bytes were written");
        if how == "private" {
            let private = dir.path().join("private");
            fs_err::set_permissions(private, PermissionsExt::from_mode(0o700)).unwrap();
        }
    }
}

fn what_was_there_before_is_not_counted() {
    let mut spec = spec(&["write", "/work/new"]);
    let dir = with_work(&mut spec);
    fs_err::write(dir.path().join("old"), vec![1; 2 << 20]).unwrap();
    spec.limits.disk = Some(1 << 20);
    assert_eq!(output(&spec), "ok\n");
    spec.limits.wall = Some(Duration::from_millis(1500));
    spec.argv = words(&["/bin/inside", "inside", "sleep"]);
    assert_eq!(go(&spec).status, Status::LimitHit(LimitKind::Wall));
    // Too quick for the watch, but not for the last sum.
    spec.limits.wall = None;
    spec.argv = words(&["/bin/sh", "-c", "cat /work/old >/work/copy"]);
    spec.env.insert("PATH".into(), "/bin".into());
    assert_eq!(go(&spec).status, Status::LimitHit(LimitKind::Disk));
}

/// Empty files take no bytes of a memory file system, but memory of the kernel.
fn many_files_in_scratch_end() {
    let mut spec = spec(&[]);
    spec.argv = words(&[
        "/bin/sh",
        "-c",
        "i=0; while : >/tmp/$i; do i=$((i+1)); done; echo $i >&2; exit 5",
    ]);
    spec.limits.scratch_bytes = 8 << 20;
    let outcome = go(&spec);
    let text = outcome.stderr.text();
    assert!(
        text.contains("No space left"),
        "{:?} {text}",
        outcome.status
    );
}

fn hogs_bombs_and_floods_are_named() {
    let limits = Limits {
        memory: Some(100 << 20),
        processes: Some(20),
        output: Some(1 << 20),
        wall: Some(Duration::from_secs(60)),
        ..Limits::default()
    };
    for (action, kind) in [
        (["hog", "4000000000"].as_slice(), LimitKind::Memory),
        (&["bomb"], LimitKind::Processes),
        (&["flood", "4000000000"], LimitKind::Output),
    ] {
        for mut spec in both(action) {
            spec.limits = limits.clone();
            spec.stdio = Stdio::Capture { limit: 1000 };
            let outcome = go(&spec);
            assert_eq!(outcome.status, Status::LimitHit(kind));
            assert_eq!(
                matches!(outcome.watched, Watched::Seen { .. }),
                spec.watch,
                "{kind}: {:?}",
                outcome.watched
            );
        }
    }
}

fn double_fork_does_not_escape() {
    let word = format!("twice-{}", std::process::id());
    for spec in both(&["daemon", &word]) {
        assert_eq!(go(&spec).status, Status::Exited(0));
        assert_eq!(processes_with(&word), [0; 0], "nothing survives the call");
    }
}

fn secrets_of_the_host_are_not_there() {
    let home = tempfile::tempdir().unwrap();
    fs_err::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let secret = home.path().join("secret");
    fs_err::write(&secret, "secret").unwrap();
    for path in ["/etc/shadow", "/etc/passwd", secret.to_str().unwrap()] {
        for spec in both(&["read", path]) {
            let outcome = go(&spec);
            assert_eq!(outcome.stdout.text(), "ENOENT", "{path}");
            let names = outcome.watched.missing();
            assert_eq!(names.iter().any(|m| m.path == Path::new(path)), spec.watch);
        }
    }
}

fn sockets_of_the_host_are_not_there() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let name = format!("unheck-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _unix = UnixListener::bind_addr(&address).unwrap();
    for action in [["connect", &port], ["abstract", &name]] {
        for spec in both(&action) {
            assert_eq!(output(&spec), "ECONNREFUSED\n", "{action:?}");
        }
    }
}

fn nothing_is_written_outside() {
    let outside = tempfile::tempdir().unwrap();
    fs_err::set_permissions(outside.path(), PermissionsExt::from_mode(0o777)).unwrap();
    for mut spec in both(&["escape"]) {
        let work = with_work(&mut spec);
        symlink(outside.path(), work.path().join("link")).unwrap();
        spec.mounts.push(Mount::Bind {
            host: outside.path().to_owned(),
            inside: "/given".into(),
            writable: false,
        });
        let text = output(&spec);
        assert!(!text.contains(" ok") && text.lines().count() == 9, "{text}");
        assert_eq!(fs_err::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!Path::new("/escaped").exists());
    }
}
