use unheck_testkit::elf::{ElfBuilder, Machine};

use super::*;
use crate::lock::Interpreter;
use crate::platform::Platform;

const SITE: &str = "usr/local/lib/python3.9/dist-packages";
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-2.31.so";

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect(text)
}

fn target(glibc: &str) -> Target {
    Target {
        platform: Platform::LinuxAmd64,
        interpreter: Interpreter::debian("3.9.2", glibc),
        wheels: Vec::new(),
        suites: Vec::new(),
        debs: Vec::new(),
        notes: Vec::new(),
        build_requires: Vec::new(),
        build_debs: Vec::new(),
    }
}

/// A tree with an interpreter, its loader and what a test adds.
fn tree(more: &[(&str, Origin, u32, &[u8])]) -> Tree {
    let deb = || Origin::Deb("d".to_owned());
    let program = ElfBuilder::new(Machine::X86_64)
        .interp(Machine::X86_64.loader())
        .needed("libc.so.6")
        .need_version("libc.so.6", "GLIBC_2.31")
        .build();
    let mut tree = Tree::new();
    let mut add = |at: &str, origin: Origin, mode: u32, bytes: &[u8]| {
        let node = Node::file(origin, Content::inline(bytes)).with_mode(mode);
        tree.insert(path(at), node).expect("insert");
    };
    add("usr/bin/python3.9", deb(), 0o755, &program);
    add(LOADER, deb(), 0o755, b"loader");
    add("usr/lib/x86_64-linux-gnu/libc.so.6", deb(), 0o644, b"libc");
    add(
        "usr/lib/python3.9/ctypes/util.py",
        deb(),
        0o644,
        b"import os\n",
    );
    for (at, origin, mode, bytes) in more {
        add(at, origin.clone(), *mode, bytes);
    }
    for (at, to) in [
        (
            "usr/lib64/ld-linux-x86-64.so.2",
            "/lib/x86_64-linux-gnu/ld-2.31.so",
        ),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("usr/bin/python3", "python3.9"),
    ] {
        let base = Origin::Generated("base".to_owned());
        tree.insert(path(at), Node::symlink(base, to))
            .expect("link");
    }
    tree
}

fn relocated(tree: &mut Tree, glibc: &str, libs: Libs) -> Relocated {
    let temp = tempfile::tempdir().expect("temp");
    let store = Store::open(temp.path()).expect("store");
    let target = target(glibc);
    let relocation = Relocation {
        target: &target,
        libs,
        stub: b"stub",
    };
    relocate(tree, &store, &relocation).expect("relocated")
}

fn text(tree: &Tree, at: &str) -> String {
    match tree.get(&path(at)).and_then(Node::content) {
        Some(Content::Inline(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{at}: {other:?}"),
    }
}

fn dist() -> Origin {
    Origin::Distribution("t".to_owned())
}

#[test]
fn the_loader_is_the_file_behind_its_name_and_stays_inside() {
    let mut tree = tree(&[]);
    let done = relocated(&mut tree, "2.41", Libs::Static);
    assert_eq!(done.loader, Some(path(LOADER)));
    assert_eq!(done.library_path, [path("usr/lib/x86_64-linux-gnu")]);
    assert!(is_launcher(
        tree.get(&path("usr/bin/python3.9")).expect("launcher")
    ));
    assert!(tree.get(&path("usr/bin/python3.9.bin")).is_some());
    assert!(tree.get(&path("lib64")).is_none());
}

#[test]
fn what_other_steps_made_ships() {
    let list = format!("{SITE}/list.json");
    let step = |name: &str| Origin::Generated(name.to_owned());
    let more = [
        (list.as_str(), step("trim"), 0o644, &b"x"[..]),
        ("etc/passwd", step("base"), 0o644, &b"x"[..]),
        ("usr/sbin/ldconfig", step("loader-cache"), 0o755, &b"x"[..]),
    ];
    for libs in [Libs::Static, Libs::Dynamic] {
        let mut tree = tree(&more);
        relocated(&mut tree, "2.41", libs);
        assert!(tree.get(&path(&list)).is_some(), "{libs}");
        assert!(tree.get(&path("etc/passwd")).is_none(), "{libs}");
        assert!(tree.get(&path("usr/sbin/ldconfig")).is_none(), "{libs}");
    }
}

#[test]
fn modules_stay_what_they_are_although_they_can_be_executed() {
    let script = b"#!/usr/bin/env python3\nimport sys\n";
    let module = "usr/lib/python3.9/base64.py";
    let inner = format!("{SITE}/t/bin/tool.py");
    let mut tree = tree(&[
        (module, Origin::Deb("d".to_owned()), 0o755, script),
        (&inner, dist(), 0o755, script),
        ("usr/local/bin/tool", dist(), 0o755, script),
    ]);
    let done = relocated(&mut tree, "2.41", Libs::Static);
    for stays in [module, &inner, "usr/local/libexec/unheck/tool"] {
        assert_eq!(text(&tree, stays).as_bytes(), script, "{stays}");
    }
    let names: Vec<&String> = done.commands.keys().collect();
    assert_eq!(names, ["python3.9", "tool"]);
    let arguments = done.commands["tool"].arguments.join(" ");
    assert_eq!(arguments, "-s {root}/usr/local/libexec/unheck/tool");
}

#[test]
fn of_two_programs_with_one_name_the_second_stays_as_it_is() {
    let program = ElfBuilder::new(Machine::X86_64)
        .interp(Machine::X86_64.loader())
        .build();
    let inner = format!("{SITE}/t/node");
    let mut tree = tree(&[
        (&inner, dist(), 0o755, &program),
        ("usr/local/bin/node", dist(), 0o755, &program),
    ]);
    let done = relocated(&mut tree, "2.41", Libs::Static);
    assert_eq!(done.commands["node"].at, path("usr/local/bin/node"));
    assert_eq!(done.unlaunched, [path(&inner)].into());
    assert!(tree.get(&path(&inner)).is_some());
}

#[test]
fn records_name_the_launcher_and_where_the_script_went() {
    let record = format!("{SITE}/t-1.dist-info/RECORD");
    let rows = b"../../../bin/tool,sha256=x,9\nt-1.dist-info/RECORD,,\n";
    let mut tree = tree(&[
        (
            "usr/local/bin/tool",
            dist(),
            0o755,
            b"#!/usr/bin/python3.9\n",
        ),
        (&record, dist(), 0o644, rows),
    ]);
    relocated(&mut tree, "2.41", Libs::Static);
    let text = text(&tree, &record);
    let names: Vec<&str> = text
        .lines()
        .filter_map(|row| row.split(',').next())
        .collect();
    assert_eq!(
        names,
        [
            "../../../bin/tool",
            "t-1.dist-info/RECORD",
            "../../../libexec/unheck/tool"
        ]
    );
    let launcher = unheck_wheel::record::digest_text(&unheck_base::Digest::of(b"stub"));
    assert!(text.contains(&launcher), "{text}");
}

#[test]
fn an_older_loader_gets_the_name_by_a_variable_and_locales_by_another() {
    let locale = (
        "usr/lib/locale/C.UTF-8/LC_CTYPE",
        Origin::Deb("d".to_owned()),
        0o644,
        &b"x"[..],
    );
    let old = relocated(
        &mut tree(std::slice::from_ref(&locale)),
        "2.31",
        Libs::Static,
    );
    assert_eq!(old.variables.get("LOCPATH"), Some(&path("usr/lib/locale")));
    let new = relocated(&mut tree(&[locale]), "2.41", Libs::Static);
    assert_eq!(new.variables.get("LOCPATH"), None);
    for (glibc, has) in [("2.31", true), ("2.41", false)] {
        let temp = tempfile::tempdir().expect("temp");
        let store = Store::open(temp.path()).expect("store");
        let target = target(glibc);
        let relocation = Relocation {
            target: &target,
            libs: Libs::Static,
            stub: b"stub",
        };
        let mut app = Tree::new();
        let main = Node::file(Origin::App, Content::inline("x"));
        app.insert(path("app/main.py"), main).expect("insert");
        relocate_app(&mut app, &store, &relocation, &old).expect("app");
        let startup = text(&app, &format!("{SITE}/{STARTUP}"));
        assert_eq!(startup.contains("UNHECK_ARGV0"), has, "{startup}");
        assert!(
            startup.contains("os.path.dirname(sys.base_prefix) + '/app'"),
            "{startup}"
        );
    }
}

#[test]
fn the_hosts_libraries_are_needed_where_none_come_along() {
    let library = ElfBuilder::new(Machine::X86_64)
        .soname("_x.so")
        .needed("libvendored-1.so")
        .needed("libz.so.1")
        .need_version("libz.so.1", "ZLIB_1.2.9")
        .runpath("$ORIGIN/../t.libs")
        .build();
    let extension = format!("{SITE}/t/_x.so");
    let vendored = format!("{SITE}/t.libs/libvendored-1.so");
    let mut tree = tree(&[
        (&extension, dist(), 0o755, &library),
        (&vendored, dist(), 0o755, b"no object"),
        (
            "usr/share/zoneinfo/UTC",
            Origin::Deb("tzdata".to_owned()),
            0o644,
            b"x",
        ),
    ]);
    let done = relocated(&mut tree, "2.41", Libs::Dynamic);
    let needs: Vec<String> = done
        .needs
        .iter()
        .map(|need| {
            format!(
                "{} {} {}",
                need.soname,
                need.versions.join(","),
                need.needed_by
            )
        })
        .collect();
    assert_eq!(
        needs,
        [
            "libc.so.6 GLIBC_2.31 usr/bin/python3.9.bin".to_owned(),
            format!("libz.so.1 ZLIB_1.2.9 {extension}"),
        ]
    );
    assert_eq!(done.loader, None);
    assert_eq!(done.variables, BTreeMap::new());
    for gone in [
        LOADER,
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/share/zoneinfo/UTC",
    ] {
        assert!(tree.get(&path(gone)).is_none(), "{gone}");
    }
    assert_eq!(
        text(&tree, "usr/lib/python3.9/ctypes/util.py"),
        "import os\n"
    );
}

#[test]
fn find_library_is_told_what_the_tree_has() {
    let mut tree = tree(&[(
        "usr/lib/python3.9/ctypes/__pycache__/util.cpython-39.pyc",
        Origin::Deb("d".to_owned()),
        0o644,
        b"stale",
    )]);
    relocated(&mut tree, "2.41", Libs::Static);
    let module = text(&tree, "usr/lib/python3.9/ctypes/util.py");
    assert!(
        module.contains("_unheck_libraries = (\n    \"libc.so.6\",\n)"),
        "{module}"
    );
    assert!(
        module.contains("def _findSoname_ldconfig(name)"),
        "{module}"
    );
    let stale = path("usr/lib/python3.9/ctypes/__pycache__/util.cpython-39.pyc");
    assert!(tree.get(&stale).is_none());
}
