//! A small interpreter as an archive and as a directory, good and hostile.

use unheck_testkit::tarball::{TarEntry, gzip, write_tar, zstd};
use unheck_testkit::{ElfBuilder, Machine};

use super::unpack::{
    Part, header_version, left_out, pack_archive, pack_prefix, part, read_prefix, version,
};
use super::*;

const HEADER: &str =
    "/* x */\n#define PY_MAJOR_VERSION 3\n#define PY_VERSION             \"3.13.5+\"\n";

struct World {
    store: Store,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let store = Store::open(&directory.path().join("store")).expect("store");
        Self { store, directory }
    }
}

fn program(machine: Machine, loader: &str) -> Vec<u8> {
    ElfBuilder::new(machine)
        .interp(loader)
        .needed("libc.so.6")
        .needed("libm.so.6")
        .build()
}

fn files() -> Vec<TarEntry> {
    let program = program(Machine::X86_64, Machine::X86_64.loader());
    let mut binary = TarEntry::file("python/bin/python3.13", program);
    binary.mode = 0o755;
    vec![
        TarEntry::dir("python"),
        TarEntry::dir("python/bin"),
        binary,
        TarEntry::symlink("python/bin/python3", "python3.13"),
        TarEntry::symlink("python/bin/idle3", "idle3.13"),
        TarEntry::file("python/bin/pip3", "#!x"),
        TarEntry::file("python/include/python3.13/patchlevel.h", HEADER),
        TarEntry::file("python/include/python3.13/Python.h", "x"),
        TarEntry::file(
            "python/lib/libpython3.13.so.1.0",
            ElfBuilder::new(Machine::X86_64).build(),
        ),
        TarEntry::symlink("python/lib/libpython3.13.so", "libpython3.13.so.1.0"),
        TarEntry::file("python/lib/libtk8.6.so", "x"),
        TarEntry::file("python/lib/python3.13/os.py", "import sys\n"),
        TarEntry::hardlink(
            "python/lib/python3.13/os2.py",
            "python/lib/python3.13/os.py",
        ),
        TarEntry::file("python/lib/python3.13/test/test_os.py", "x"),
        TarEntry::file("python/lib/python3.13/tkinter/__init__.py", "x"),
        TarEntry::file("python/lib/python3.13/__pycache__/os.cpython-313.pyc", "x"),
        TarEntry::file(
            "python/lib/python3.13/config-3.13-x86_64-linux-gnu/libpython3.13.a",
            "x",
        ),
        TarEntry::file("python/lib/python3.13/site-packages/pip/__init__.py", "x"),
        TarEntry::file("python/share/man/man1/python3.1", "x"),
    ]
}

fn put_archive(world: &World, bytes: &[u8]) -> Interpreter {
    let digest = world.store.put_bytes(bytes).expect("put");
    let archive = Wheel {
        name: "cpython-install_only.tar.gz".to_owned(),
        url: None,
        path: Some("cpython-install_only.tar.gz".to_owned()),
        upload_time: None,
        size: None,
        hashes: Hashes { sha256: digest },
    };
    Interpreter {
        provider: Provider::Standalone,
        version: "3.13.5".to_owned(),
        glibc: "2.41".to_owned(),
        archive: Some(archive),
        prefix: None,
        prefix_digest: None,
    }
}

fn target(interpreter: Interpreter) -> Target {
    Target {
        platform: Platform::LinuxAmd64,
        interpreter,
        wheels: Vec::new(),
        suites: Vec::new(),
        debs: Vec::new(),
        notes: Vec::new(),
        build_requires: Vec::new(),
        build_debs: Vec::new(),
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    let nodes = tree
        .iter()
        .filter(|(_, node)| !matches!(node.kind, Kind::Dir));
    nodes
        .map(|(path, node)| format!("{path} {:o}", node.mode))
        .collect()
}

/// Tries an archive of these entries; the message and its causes.
fn refusal(entries: &[TarEntry]) -> String {
    let world = World::new();
    let interpreter = put_archive(&world, &gzip(&write_tar(entries)));
    let error = open(&world.store, &interpreter).expect_err("refused");
    let again = open(&world.store, &interpreter).expect_err("still refused");
    assert_eq!(error.to_string(), again.to_string());
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn an_archive_gives_interpreter_and_stdlib_and_leaves_the_rest_out() {
    for bytes in [gzip(&write_tar(&files())), zstd(&write_tar(&files()))] {
        let world = World::new();
        let interpreter = put_archive(&world, &bytes);
        let opened = open(&world.store, &interpreter).expect("opened");
        assert_eq!(version(&opened), "3.13.5");
        assert_eq!(
            left_out(&opened),
            "Tk (2 files), bytecode (1 files), distributions installed in it (1 files), files for embedding (1 files), headers and documentation (2 files), the test suite (1 files), tools (2 files)"
        );
        let mut tree = Tree::new();
        add(&mut tree, &world.store, &target(interpreter.clone())).expect("added");
        assert_eq!(
            paths(&tree),
            [
                "opt/python/bin/python3 777",
                "opt/python/bin/python3.13 755",
                "opt/python/lib/python3.13/os.py 644",
                "opt/python/lib/python3.13/os2.py 644",
            ]
        );
        let facts = facts(&world.store, &interpreter).expect("facts");
        let (path, object) = facts.objects.iter().next().expect("the program");
        assert_eq!(
            (path.as_str(), facts.objects.len()),
            ("opt/python/bin/python3.13", 1)
        );
        assert_eq!(object.needed, ["libc.so.6", "libm.so.6"]);
        check_machine(&world.store, &interpreter, Platform::LinuxAmd64).expect("the right machine");
        let error = check_machine(&world.store, &interpreter, Platform::LinuxArm64)
            .expect_err("another machine");
        assert!(
            error
                .to_string()
                .contains("and linux/arm64 with glibc is wanted"),
            "{error}"
        );
    }
}

#[test]
fn libpython_ships_only_where_the_program_needs_it() {
    let world = World::new();
    let shared = |builder: ElfBuilder| {
        let mut entries = files();
        entries[2].data = builder.needed("libpython3.13.so.1.0").build();
        let interpreter = put_archive(&world, &gzip(&write_tar(&entries)));
        let mut tree = Tree::new();
        add(&mut tree, &world.store, &target(interpreter)).expect("added");
        let link = TreePath::new("usr/lib/x86_64-linux-gnu/libpython3.13.so.1.0").expect("path");
        let found = tree.follow(&link).map(|(path, _)| path.to_string());
        (
            paths(&tree)
                .into_iter()
                .filter(|path| path.starts_with("opt/python/lib/libpython"))
                .collect::<Vec<_>>(),
            found,
        )
    };
    let files = [
        "opt/python/lib/libpython3.13.so 777",
        "opt/python/lib/libpython3.13.so.1.0 644",
    ];
    let (found, link) = shared(ElfBuilder::new(Machine::X86_64).rpath("$ORIGIN/../lib"));
    assert_eq!(
        (found.as_slice(), link),
        (&files.map(str::to_owned)[..], None)
    );
    let (found, link) = shared(ElfBuilder::new(Machine::X86_64).rpath("/elsewhere/py/lib"));
    assert_eq!(found, files);
    assert_eq!(
        link.as_deref(),
        Some("opt/python/lib/libpython3.13.so.1.0"),
        "where the loader looks by itself"
    );
}

#[test]
fn an_archive_of_another_shape_is_refused_with_what_it_lacks() {
    let without = |name: &str| {
        let wanted = name.as_bytes();
        files()
            .into_iter()
            .filter(|entry| entry.path != wanted)
            .collect::<Vec<_>>()
    };
    for name in [
        "include/python3.13/patchlevel.h",
        "bin/python3.13",
        "lib/python3.13/os.py",
    ] {
        let text = refusal(&without(&format!("python/{name}")));
        let lacks = name.replace("include/python3.13", "include/python3.X");
        assert!(
            text.contains("install_only") && text.ends_with(&format!("it has no `{lacks}`")),
            "{text}"
        );
    }
    let text = refusal(&[TarEntry::file("PYTHON.json", "{}")]);
    assert!(
        text.contains("it has no `python/ above `PYTHON.json``"),
        "{text}"
    );
}

#[test]
fn hostile_entries_are_refused() {
    let hard = |path: &str, to: &str| TarEntry::hardlink(path, to);
    let cases = [
        (
            TarEntry::symlink("python/lib/python3.13/x.py", "/etc/passwd"),
            "is a link out of the interpreter",
        ),
        (
            TarEntry::symlink("python/lib/python3.13/x.py", "../../../x"),
            "is a link out of the interpreter",
        ),
        (
            hard("python/lib/python3.13/x.py", "etc/passwd"),
            "is a hard link out of the interpreter",
        ),
        (
            TarEntry::new("python/lib/python3.13/x.py", b'3', 0o644),
            "is a device",
        ),
        (
            TarEntry::new("python/lib/python3.13/x.py", b'6', 0o644),
            "is a named pipe",
        ),
        (TarEntry::file("python/../etc/x", ""), "python/../etc/x"),
        (TarEntry::file("/python/lib/x", ""), "/python/lib/x"),
        (
            TarEntry::file("python/lib/python3.13/os.py", "twice"),
            "cannot keep the interpreter",
        ),
        (TarEntry::file("python/lib/.wh.x", ""), ".wh."),
        (
            TarEntry::file("other/x", ""),
            "it has no `python/ above `other/x``",
        ),
    ];
    for (entry, expected) in cases {
        let mut entries = files();
        entries.push(entry);
        let text = refusal(&entries);
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let world = World::new();
    let interpreter = put_archive(&world, b"\x1f\x8bno gzip at all");
    assert!(matches!(
        open(&world.store, &interpreter),
        Err(ProviderError::Archive { .. })
    ));
}

#[test]
fn a_directory_is_the_same_interpreter_until_a_file_of_it_changes() {
    let world = World::new();
    let prefix = world.directory.path().join("py");
    for entry in files() {
        let path = world.directory.path().join(
            String::from_utf8(entry.path.clone())
                .expect("text")
                .replace("python/", "py/"),
        );
        fs_err::create_dir_all(path.parent().expect("parent")).expect("directory");
        if entry.kind == b'0' {
            fs_err::write(&path, &entry.data).expect("file");
        }
    }
    let digest = read_prefix(&prefix).expect("read").digest();
    let mut interpreter = put_archive(&world, b"");
    interpreter.provider = Provider::Prefix;
    interpreter.archive = None;
    interpreter.prefix = Some(prefix.display().to_string());
    interpreter.prefix_digest = Some(digest);
    let mut tree = Tree::new();
    add(&mut tree, &world.store, &target(interpreter.clone())).expect("added");
    assert_eq!(
        paths(&tree),
        [
            "opt/python/bin/python3.13 644",
            "opt/python/lib/python3.13/os.py 644"
        ]
    );

    fs_err::write(
        prefix.join("lib/python3.13/site-packages/pip/__init__.py"),
        "other",
    )
    .expect("write");
    assert_eq!(
        read_prefix(&prefix).expect("read").digest(),
        digest,
        "what does not ship does not count"
    );
    fs_err::write(prefix.join("lib/python3.13/os.py"), "other").expect("write");
    let error = unchanged(&prefix, digest).map(drop).expect_err("changed");
    assert!(
        error
            .to_string()
            .contains("has changed since the lock was made"),
        "{error}"
    );
    assert_eq!(error.hints(), ["run `unheck lock` to write the lock again"]);

    let stale = read_prefix(&prefix).expect("read");
    fs_err::write(prefix.join("lib/python3.13/os.py"), "third").expect("write");
    let error = pack_prefix(&world.store, &Digest::of(b"k"), &prefix, &stale)
        .expect_err("changed while read");
    assert!(matches!(error, ProviderError::Changed { .. }), "{error}");
}

#[test]
fn versions_are_checked_against_the_request_and_the_project() {
    let world = World::new();
    let interpreter = put_archive(&world, b"");
    for (wanted, requires, good) in [
        (None, None, true),
        (Some("3.13"), Some(">=3.11"), true),
        (Some("python3.13.5"), None, true),
        (Some("3.12"), None, false),
        (None, Some("<3.13"), false),
        (None, Some("nonsense"), false),
    ] {
        assert_eq!(
            check_version(&interpreter, wanted, requires).is_ok(),
            good,
            "{wanted:?} {requires:?}"
        );
    }
    assert_eq!(
        header_version("#  define PY_VERSION \"3.14.0rc2\"").as_deref(),
        Some("3.14.0rc2")
    );
    for text in [
        "",
        "#define PY_VERSION 3",
        "#define PY_VERSION \"3.1/../x.0\"",
        "#define PY_VERSION_HEX \"3.1.0\"",
    ] {
        assert_eq!(header_version(text), None, "{text}");
    }
    assert_eq!(
        part("lib/python3.13t/os.py"),
        Part::Leave("headers and documentation")
    );
}

#[test]
fn a_local_archive_must_have_the_configured_digest() {
    let world = World::new();
    let file = world.directory.path().join("a.tar.gz");
    fs_err::write(&file, "other").expect("write");
    let digest = Digest::of(b"expected");
    let error = put(&world.store, &file, &digest).expect_err("another digest");
    let cause = std::error::Error::source(&error)
        .expect("cause")
        .to_string();
    assert!(
        cause.contains(&digest.hex()) && cause.contains(&Digest::of(b"other").hex()),
        "{cause}"
    );
    put(&world.store, &file, &Digest::of(b"other")).expect("the right one");
    let missing = pack_archive(&world.store, &digest, "a", &digest).expect_err("not there");
    assert!(matches!(missing, ProviderError::Store(_)), "{missing}");
    for text in ["ftp://h/x.tar.gz", "https://", "dir/.."] {
        assert!(
            archive(&Standalone {
                url: text.to_owned(),
                sha256: digest
            })
            .is_err(),
            "{text}"
        );
    }
    let named = archive(&Standalone {
        url: "https://h/a%2B1.tar.gz".to_owned(),
        sha256: digest,
    })
    .expect("archive");
    assert_eq!((named.name.as_str(), named.path), ("a+1.tar.gz", None));
}
