//! Good and hostile sdists, placed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use unheck_store::Store;
use unheck_testkit::tarball::{
    BLOCK_DEVICE, CHAR_DEVICE, FIFO, TarEntry, gzip, write_tar, xz, zstd,
};

use super::*;

struct Placed {
    _directory: tempfile::TempDir,
    tree: PathBuf,
    answer: Result<String, String>,
}

impl Placed {
    fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.tree.join(path)).expect("a file")
    }
}

/// Places an archive of this name and content.
fn place(name: &str, bytes: &[u8], subdirectory: Option<&str>) -> Placed {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("store")).expect("a store");
    let source = Source::Archive {
        name: name.to_owned(),
        digest: store.put_bytes(bytes).expect("kept"),
        subdirectory: subdirectory.map(str::to_owned),
    };
    let tree = directory.path().join("tree");
    fs_err::create_dir(&tree).expect("made");
    let answer = source
        .place(&store, &tree)
        .map_err(|error| super::super::error::told(&error));
    Placed {
        _directory: directory,
        tree,
        answer,
    }
}

fn good() -> Vec<TarEntry> {
    let mut script = TarEntry::file("x-1/configure", "#!/bin/sh\n");
    script.mode = 0o6755;
    vec![
        TarEntry::dir("x-1"),
        TarEntry::file("x-1/setup.py", "setup()\n"),
        script,
        TarEntry::symlink("x-1/readme", "docs/readme.txt"),
        TarEntry::file("x-1/docs/readme.txt", "read me\n"),
        TarEntry::hardlink("x-1/again.py", "x-1/setup.py"),
    ]
}

#[test]
fn every_packing_gives_the_same_tree_with_fixed_modes_and_dates() {
    let tar = write_tar(&good());
    let packed = [
        ("x-1.tar", tar.clone()),
        ("x-1.tar.gz", gzip(&tar)),
        ("x-1.tgz", gzip(&tar)),
        ("x-1.tar.xz", xz(&tar)),
        ("x-1.tar.zst", zstd(&tar)),
    ];
    for (name, bytes) in packed {
        let placed = place(name, &bytes, None);
        assert_eq!(placed.answer.as_deref(), Ok("x-1"), "{name}");
        assert_eq!(placed.read("x-1/again.py"), "setup()\n", "{name}");
        assert_eq!(placed.read("x-1/readme"), "read me\n", "{name}");
        let script = fs_err::metadata(placed.tree.join("x-1/configure")).expect("a file");
        assert_eq!(
            script.permissions().mode() & 0o7777,
            0o755,
            "no set-user-id bit"
        );
        let date = script.modified().expect("a date");
        assert_eq!(date, UNIX_EPOCH + Duration::from_secs(EPOCH), "{name}");
    }
}

#[test]
fn a_subdirectory_is_the_project_and_must_be_there() {
    let bytes = gzip(&write_tar(&good()));
    assert_eq!(
        place("x.tar.gz", &bytes, Some("docs")).answer.as_deref(),
        Ok("x-1/docs")
    );
    for missing in ["nowhere", "../..", "/etc"] {
        let error = place("x.tar.gz", &bytes, Some(missing))
            .answer
            .expect_err(missing);
        assert!(error.contains("has no directory"), "{missing}: {error}");
    }
}

#[test]
fn archives_without_one_directory_at_their_top_are_projects_themselves() {
    let two = [TarEntry::file("a.py", ""), TarEntry::file("b/c.py", "")];
    assert_eq!(
        place("x.tar", &write_tar(&two), None).answer.as_deref(),
        Ok("")
    );
    let one = [TarEntry::file("only.py", "")];
    assert_eq!(
        place("x.tar", &write_tar(&one), None).answer.as_deref(),
        Ok("")
    );
}

#[test]
fn nothing_leaves_the_tree() {
    let file = |path: &str| TarEntry::file(path, "x");
    let cases: Vec<(&str, Vec<TarEntry>)> = vec![
        ("a parent", vec![file("x/../../evil")]),
        ("an absolute path", vec![file("/etc/evil")]),
        (
            "an absolute link",
            vec![TarEntry::symlink("x/a", "/etc/passwd")],
        ),
        (
            "a link out",
            vec![TarEntry::symlink("x/a", "../../../etc/passwd")],
        ),
        (
            "a file below a link",
            vec![TarEntry::symlink("x/a", "b"), file("x/a/evil")],
        ),
        (
            "a file over a link",
            vec![TarEntry::symlink("x/a", "b"), file("x/a")],
        ),
        (
            "a hard link to nothing",
            vec![TarEntry::hardlink("x/a", "x/none")],
        ),
        ("a file twice", vec![file("x/a"), file("x/a")]),
        ("a file and a directory", vec![file("x/a"), file("x/a/b")]),
        (
            "a character device",
            vec![TarEntry::new("x/a", CHAR_DEVICE, 0o666)],
        ),
        (
            "a block device",
            vec![TarEntry::new("x/a", BLOCK_DEVICE, 0o666)],
        ),
        ("a pipe", vec![TarEntry::new("x/a", FIFO, 0o666)]),
    ];
    for (what, entries) in cases {
        let placed = place("x.tar.gz", &gzip(&write_tar(&entries)), None);
        assert!(
            placed.answer.is_err(),
            "{what} was placed: {:?}",
            placed.answer
        );
    }
}

#[test]
fn other_packings_and_broken_archives_are_told() {
    let error = place("x.tar.bz2", b"BZh9", None).answer.expect_err("bzip2");
    assert!(
        error.contains("packed in a way that unheck does not read"),
        "{error}"
    );
    let whole = gzip(&write_tar(&good()));
    for (name, bytes) in [
        ("x.tar.gz", &whole[..whole.len() / 2]),
        ("x.zip", b"PK".as_slice()),
    ] {
        let error = place(name, bytes, None).answer.expect_err(name);
        assert!(error.contains("cannot be unpacked"), "{error}");
    }
}

#[test]
fn a_directory_is_named_by_what_is_built_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    fs_err::write(root.join("setup.py"), "setup()\n").expect("written");
    let source = Source::Tree {
        path: root.to_owned(),
        subdirectory: None,
    };
    let digest = || source.digest().expect("a digest");
    let first = digest();
    fs_err::create_dir_all(root.join(".git/objects")).expect("made");
    fs_err::write(root.join(".git/objects/x"), "x").expect("written");
    assert_eq!(
        digest(),
        first,
        "what tools keep for themselves is no source"
    );
    let program = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(root.join("setup.py"), program).expect("set");
    let second = digest();
    assert_ne!(second, first, "a program is another file");
    fs_err::os::unix::fs::symlink("setup.py", root.join("link")).expect("made");
    assert_ne!(digest(), second, "so is a link");
}
