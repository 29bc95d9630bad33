//! No room, no rights: the errors are told apart, and nothing half-written stays.
//!
//! A full disk is a tmpfs of 2 MiB in a mount namespace of a child process, where the kernel allows
//! that; a file size limit (`RLIMIT_FSIZE`) works everywhere.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use unheck_base::{Digest, TreePath};
use unheck_store::{Member, PackError, PackWriter, ProduceError, Store, StoreError};

use crate::{child, child_root, noise, tree};

#[test]
fn child_that_fills() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).expect("store");
    let big = noise(1, 4 << 20);
    let error = store.put_bytes(&big).expect_err("no room");
    assert!(error.is_no_space(), "{error:?}");
    assert!(error.hint().expect("hint").contains("make room"));

    let key = Digest::of(b"k");
    let hidden = |out: &mut dyn Write| out.write_all(&big).map_err(|_| std::fmt::Error);
    match store.derived("k", &key).put_with(hidden) {
        Err(ProduceError::Store(error)) => assert!(error.is_no_space(), "{error:?}"),
        other => panic!("{:?}", other.err()),
    }
    let mut pack = PackWriter::create(&store, &key).expect("pack");
    let member = Member {
        path: TreePath::new("x").expect("path"),
        mode: 0o644,
        mtime: 0,
    };
    match pack.add_file(member, None, &mut &big[..]) {
        Err(PackError::Store(error)) => assert!(error.is_no_space(), "{error:?}"),
        other => panic!("{other:?}"),
    }
    drop(pack);
    // What failed gave its room back, and the store goes on.
    assert_eq!(tree(&root.join("tmp")).len(), 1);
    store
        .put_bytes(&noise(2, 300_000))
        .expect("a small one fits");
    assert!(tree(&root.join("derived")).is_empty());
}

#[test]
fn child_that_may_not_write() {
    let Some(root) = child_root() else { return };
    assert_forbidden(&root);
}

fn assert_forbidden(root: &Path) {
    let error = Store::open(root).expect_err("refused");
    assert!(matches!(error, StoreError::Forbidden { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&*root.to_string_lossy()),
        "{error}"
    );
    assert!(
        error
            .hint()
            .expect("hint")
            .contains("choose a store that this user owns")
    );
}

/// Runs a child in a shell after `prepare`, where `$0` is the store's directory.
fn run(shell: &[&str], prepare: &str, test: &str, root: &Path) -> std::process::Output {
    let inner = child(test, root);
    let script = format!("{prepare} && exec \"$@\"");
    Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &script])
        .arg(root)
        .arg(inner.get_program())
        .args(inner.get_args())
        .env(crate::CHILD_ROOT, root)
        .output()
        .expect("spawn")
}

fn assert_passed(output: &std::process::Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}\n{errors}");
}

const NAMESPACE: [&str; 3] = ["unshare", "-Urm", "sh"];

#[expect(
    clippy::print_stderr,
    reason = "a test that runs less than it could says so"
)]
fn has_namespaces(root: &Path) -> bool {
    let probe = Command::new("unshare")
        .args(["-Urm", "sh", "-c", "mount -t tmpfs none \"$0\""])
        .arg(root)
        .stderr(Stdio::null())
        .status();
    let allowed = probe.is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("no mount in a user namespace here: only the file size limit is tested");
    }
    allowed
}

#[test]
fn a_full_disk_is_told_apart_and_survived() {
    let top = tempfile::tempdir().expect("tempdir");
    if has_namespaces(top.path()) {
        let mount = "mount -t tmpfs -o size=2m,mode=755 none \"$0\"";
        let output = run(&NAMESPACE, mount, "full_disk::child_that_fills", top.path());
        assert_passed(&output);
    }
}

#[test]
fn a_file_size_limit_counts_as_no_room() {
    let top = tempfile::tempdir().expect("tempdir");
    let limit = "trap '' XFSZ && ulimit -f 2048";
    let output = run(&["sh"], limit, "full_disk::child_that_fills", top.path());
    assert_passed(&output);
}

#[test]
fn a_read_only_disk_is_told_with_the_path() {
    let top = tempfile::tempdir().expect("tempdir");
    if has_namespaces(top.path()) {
        let mount = "mount -t tmpfs -o ro,mode=755 none \"$0\"";
        let output = run(
            &NAMESPACE,
            mount,
            "full_disk::child_that_may_not_write",
            top.path(),
        );
        assert_passed(&output);
    }
}

#[test]
fn a_directory_without_the_write_bit_is_told_with_the_path() {
    let top = tempfile::tempdir().expect("tempdir");
    let root = top.path().join("closed");
    fs_err::create_dir(&root).expect("mkdir");
    fs_err::set_permissions(&root, PermissionsExt::from_mode(0o555)).expect("chmod");
    // The superuser may write everywhere: then the read-only disk above stands for this case.
    if fs_err::write(root.join("probe"), "").is_err() {
        assert_forbidden(&root);
    }
}

#[test]
fn foreign_and_open_directories_are_refused_untouched() {
    let top = tempfile::tempdir().expect("tempdir");
    let home = top.path().join("home");
    fs_err::create_dir(&home).expect("mkdir");
    fs_err::write(home.join("thesis.txt"), "x").expect("write");
    let error = Store::open(&home).expect_err("refused");
    assert!(matches!(&error, StoreError::NotAStore { found, .. } if found == "thesis.txt"));
    assert_eq!(tree(&home), ["thesis.txt"]);

    let open = top.path().join("open");
    fs_err::create_dir(&open).expect("mkdir");
    fs_err::set_permissions(&open, PermissionsExt::from_mode(0o1777)).expect("chmod");
    let error = Store::open(&open).expect_err("refused");
    assert!(matches!(
        error,
        StoreError::WorldWritable { mode: 0o1777, .. }
    ));
    assert!(error.hint().expect("hint").starts_with("run `chmod o-w "));
    assert!(tree(&open).is_empty());

    let file = top.path().join("file");
    fs_err::write(&file, "").expect("write");
    let error = Store::open(&file).expect_err("refused");
    assert!(
        error
            .to_string()
            .starts_with("cannot create the directory `"),
        "{error}"
    );
}

#[test]
fn another_layout_is_refused_and_an_emptied_version_is_healed() {
    let top = tempfile::tempdir().expect("tempdir");
    drop(Store::open(top.path()).expect("store"));
    let version = top.path().join("VERSION");
    for (text, good) in [
        ("2\n", false),
        ("\u{1b}[31m", false),
        ("", true),
        ("1", true),
    ] {
        fs_err::remove_file(&version).expect("remove");
        fs_err::write(&version, text).expect("write");
        match Store::open(top.path()) {
            Ok(_) => assert!(good, "{text:?}"),
            Err(error) => {
                assert!(
                    matches!(error, StoreError::Version { .. }) && !good,
                    "{text:?}"
                );
                assert!(!error.to_string().contains('\u{1b}'));
            }
        }
    }
}

#[test]
fn nothing_in_a_store_can_be_written_by_others_whatever_the_umask() {
    let top = tempfile::tempdir().expect("tempdir");
    let root = top.path().join("store");
    let output = run(
        &["sh"],
        "umask 000",
        "full_disk::child_that_writes_a_little",
        &root,
    );
    assert_passed(&output);
    for name in tree(&root) {
        let mode = fs_err::metadata(root.join(&name))
            .expect("stat")
            .permissions()
            .mode();
        assert_eq!(mode & 0o022, 0, "{name} {mode:o}");
        if name.starts_with("blobs/sha256/") && name.len() > 20 {
            assert_eq!(mode & 0o7777, 0o444, "{name}");
        }
    }
}

#[test]
fn child_that_writes_a_little() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).expect("store");
    store.put_bytes(b"x").expect("put");
    store
        .derived("k", &Digest::of(b"k"))
        .put_bytes(b"x")
        .expect("derived");
    store.state_put("s", &1).expect("state");
    let _guard = std::mem::ManuallyDrop::new(store.lock("l").expect("lock"));
}
