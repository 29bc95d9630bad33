//! Closures over worlds made in memory: packages are lists of files, objects are facts.

use super::*;
use unheck_elf::{Class as ElfClass, Endian, Kind as ElfKind, Machine};

/// A package: its Depends, and its files.
#[derive(Default, Clone)]
struct FakeDeb {
    section: &'static str,
    depends: Vec<Vec<&'static str>>,
    files: Vec<(&'static str, DebFile)>,
}

/// The Contents index is another one than was signed.
#[derive(Debug, PartialEq, Eq)]
struct NoIndex;

#[derive(Default)]
struct FakeWorld {
    debs: BTreeMap<&'static str, FakeDeb>,
    /// Whether the mirror has another Contents index than was signed.
    other_index: bool,
    /// How often the Contents index was asked.
    asked: std::cell::Cell<u32>,
    /// What was brought that was not here, call by call.
    brought: std::cell::RefCell<Vec<BTreeSet<String>>>,
}

impl World for FakeWorld {
    type Error = NoIndex;

    fn has(&self, package: &str) -> bool {
        self.debs.contains_key(package)
    }

    fn depends(&self, package: &str) -> Vec<Vec<String>> {
        let groups = self
            .debs
            .get(package)
            .map(|deb| deb.depends.clone())
            .unwrap_or_default();
        groups
            .into_iter()
            .map(|group| group.into_iter().map(str::to_owned).collect())
            .collect()
    }

    fn describe(&self, package: &str) -> Option<(String, u64)> {
        Some((self.debs.get(package)?.section.to_owned(), 100))
    }

    fn prepare(&self, packages: &BTreeSet<String>) -> Result<(), Self::Error> {
        let mut brought = self.brought.borrow_mut();
        let here: BTreeSet<String> = brought.iter().flatten().cloned().collect();
        let new: BTreeSet<String> = packages.difference(&here).cloned().collect();
        if !new.is_empty() {
            brought.push(new);
        }
        Ok(())
    }

    fn facts(&self, package: &str) -> Result<Arc<DebFacts>, Self::Error> {
        let files = self
            .debs
            .get(package)
            .map(|deb| deb.files.clone())
            .unwrap_or_default();
        let files = files
            .into_iter()
            .map(|(path, file)| (at(path), file))
            .collect();
        Ok(Arc::new(DebFacts { files }))
    }

    fn providers(&self, names: &BTreeSet<String>) -> Result<Providers, Self::Error> {
        self.asked.set(self.asked.get() + 1);
        if self.other_index {
            return Err(NoIndex);
        }
        let mut found: Providers = BTreeMap::new();
        for (package, deb) in &self.debs {
            for (path, _) in &deb.files {
                for name in names {
                    let file = path.rsplit('/').next().unwrap_or_default();
                    let matches = match name.strip_suffix('*') {
                        Some(prefix) => file.starts_with(prefix),
                        None => file == name,
                    };
                    if matches && is_library_name(file) {
                        found
                            .entry(name.clone())
                            .or_default()
                            .push(((*package).to_owned(), at(path)));
                    }
                }
            }
        }
        Ok(found)
    }

    fn named_after(&self, names: &BTreeSet<String>) -> Result<Providers, Self::Error> {
        let mut found: Providers = BTreeMap::new();
        for name in names {
            let package = name.replace(".so.", "");
            let files = self.debs.get(package.as_str()).into_iter();
            for (path, _) in files.flat_map(|deb| &deb.files) {
                if path.ends_with(&format!("/{name}")) {
                    let place = (package.clone(), at(path));
                    found.entry(name.clone()).or_default().push(place);
                }
            }
        }
        Ok(found)
    }

    fn index_trouble(&self, NoIndex: &Self::Error) -> Option<String> {
        Some("another index".to_owned())
    }
}

fn at(path: &str) -> TreePath {
    TreePath::new(path).expect(path)
}

fn object(soname: Option<&str>, needed: &[&str]) -> Object {
    Object {
        machine: Machine::X86_64,
        class: ElfClass::Elf64,
        endian: Endian::Little,
        kind: ElfKind::Dyn,
        soname: soname.map(str::to_owned),
        needed: needed.iter().map(|name| (*name).to_owned()).collect(),
        rpath: Vec::new(),
        runpath: Vec::new(),
        no_default_dirs: false,
        interp: None,
        needs_versions: BTreeMap::new(),
        offers_versions: BTreeSet::new(),
        imported: BTreeSet::new(),
        dlopen_notes: Vec::new(),
        build_id: None,
        python_module: None,
        isa_level_needed: None,
        executable_stack: false,
        kernel_needed: None,
        max_page_size: None,
    }
}

fn elf(soname: &str, needed: &[&str]) -> DebFile {
    DebFile::Elf(Arc::new(object(Some(soname), needed)))
}

fn library(files: Vec<(&'static str, DebFile)>) -> FakeDeb {
    FakeDeb {
        section: "libs",
        files,
        ..FakeDeb::default()
    }
}

const LIB: &str = "usr/lib/x86_64-linux-gnu";

/// libc, libgcc and an interpreter that needs both libz and libc.
fn world() -> FakeWorld {
    let mut world = FakeWorld::default();
    let mut python = object(None, &["libz.so.1", "libc.so.6"]);
    python.interp = Some("/lib64/ld-linux-x86-64.so.2".to_owned());
    let mut libc = object(Some("libc.so.6"), &[]);
    libc.offers_versions.insert("GLIBC_2.41".to_owned());
    world.debs.insert(
        "libc6",
        library(vec![
            (
                "usr/lib/x86_64-linux-gnu/libc.so.6",
                DebFile::Elf(Arc::new(libc)),
            ),
            (
                "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
                elf("ld-linux-x86-64.so.2", &[]),
            ),
            (
                "usr/lib64/ld-linux-x86-64.so.2",
                DebFile::Link("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2".to_owned()),
            ),
            ("usr/share/doc/libc6/copyright", DebFile::Plain),
        ]),
    );
    world.debs.insert(
        "libgcc-s1",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
            elf("libgcc_s.so.1", &["libc.so.6"]),
        )]),
    );
    world.debs.insert(
        "zlib1g",
        library(vec![
            (
                "usr/lib/x86_64-linux-gnu/libz.so.1",
                DebFile::Link("libz.so.1.3.1".to_owned()),
            ),
            (
                "usr/lib/x86_64-linux-gnu/libz.so.1.3.1",
                elf("libz.so.1", &["libc.so.6"]),
            ),
        ]),
    );
    let mut python_deb = library(vec![("usr/bin/python3.13", DebFile::Elf(Arc::new(python)))]);
    python_deb.depends = vec![vec!["libc6"], vec!["zlib1g"]];
    world.debs.insert("python3.13-minimal", python_deb);
    // Never needed; its presence must not matter.
    world.debs.insert(
        "libz-mingw-w64",
        library(vec![("usr/lib/other/libz.so.1", elf("libz.so.1", &[]))]),
    );
    world
}

fn request() -> Request {
    let python = ["python3.13-minimal".to_owned()];
    Request::bare(&python, (Platform::LinuxAmd64, (2, 41)))
}

fn wheel_object(path: &str, needed: &[&str]) -> Shipped {
    Shipped {
        path: at(path),
        origin: Origin::Distribution("demo".to_owned()),
        object: Arc::new(object(None, needed)),
    }
}

/// One line per file: package, `*` when it is in the base, path, reason.
fn dump(result: Result<Closure, CloseError<NoIndex>>) -> String {
    match result {
        Ok(closure) => closure
            .debs
            .iter()
            .flat_map(|(name, using)| {
                let base = if using.base { "*" } else { "" };
                let whole = using
                    .whole
                    .then(|| format!("{name}{base}: all ({})", using.reason));
                let files = using
                    .files
                    .iter()
                    .map(move |(path, reason)| format!("{name}{base}: {path} ({reason})"));
                whole.into_iter().chain(files)
            })
            .collect::<Vec<_>>()
            .join("\n"),
        Err(CloseError::World(NoIndex)) => "the Contents index is another one\n".to_owned(),
        Err(CloseError::Unmet(list)) => list
            .iter()
            .map(|unmet| format!("{unmet} | {}", unmet.hints().join("; ")))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn the_interpreter_gets_what_it_needs_by_file_and_the_contents_index_is_not_asked() {
    let world = world();
    let text = dump(close(&world, &request()));
    let expected = "\
libc6*: usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 (target of usr/lib64/ld-linux-x86-64.so.2)
libc6*: usr/lib/x86_64-linux-gnu/libc.so.6 (libc.so.6 <- usr/bin/python3.13)
libc6*: usr/lib64/ld-linux-x86-64.so.2 (program interpreter <- usr/bin/python3.13)
libgcc-s1*: usr/lib/x86_64-linux-gnu/libgcc_s.so.1 (rule thread-cancellation: glibc opens libgcc_s.so.1 when a thread is cancelled or ends, and aborts without it)
python3.13-minimal*: all (the interpreter)
zlib1g*: usr/lib/x86_64-linux-gnu/libz.so.1 (libz.so.1 <- usr/bin/python3.13)
zlib1g*: usr/lib/x86_64-linux-gnu/libz.so.1.3.1 (target of usr/lib/x86_64-linux-gnu/libz.so.1)";
    assert_eq!(text, expected);
    assert_eq!(world.asked.get(), 0);
}

#[test]
fn a_rehearsal_brings_at_once_what_a_closure_over_the_interpreter_then_wants() {
    let mut world = world();
    let library_of = |soname| library(vec![(soname, elf("libssl.so.3", &["libc.so.6"]))]);
    let python = world.debs.get_mut("python3.13-minimal").unwrap();
    python.depends.push(vec!["libssl3t64"]);
    python.files.push((
        "usr/lib/python3.13/lib-dynload/_ssl.so",
        DebFile::Elf(Arc::new(object(None, &["libssl.so.3"]))),
    ));
    world.debs.insert(
        "libssl3t64",
        library_of("usr/lib/x86_64-linux-gnu/libssl.so.3"),
    );
    world.debs.insert(
        "openssl",
        FakeDeb {
            files: vec![("etc/ssl/openssl.cnf", DebFile::Plain)],
            ..FakeDeb::default()
        },
    );
    let request = request();
    let ours = (request.platform, request.glibc);
    rehearse(&world, &request.interpreter, ours).unwrap();
    assert_eq!(world.brought.borrow().len(), 1, "{:?}", world.brought);
    let closure = dump(close(&world, &request));
    assert!(
        closure.contains("openssl*: etc/ssl/openssl.cnf"),
        "{closure}"
    );
    assert_eq!(world.brought.borrow().len(), 1, "{:?}", world.brought);
}

#[test]
fn a_library_of_a_wheel_comes_from_the_contents_index_and_not_into_the_base() {
    let mut world = world();
    world.debs.insert(
        "libgl1",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libGL.so.1",
            elf("libGL.so.1", &["libGLX.so.0"]),
        )]),
    );
    world.debs.insert(
        "libglx0",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libGLX.so.0",
            elf("libGLX.so.0", &[]),
        )]),
    );
    let mut request = request();
    request
        .objects
        .push(wheel_object("site/cv2.so", &["libGL.so.1"]));
    let text = dump(close(&world, &request));
    assert!(
        text.contains("libgl1: usr/lib/x86_64-linux-gnu/libGL.so.1 (libGL.so.1 <- site/cv2.so)"),
        "{text}"
    );
    assert!(
        text.contains("libglx0: usr/lib/x86_64-linux-gnu/libGLX.so.0"),
        "{text}"
    );
}

#[test]
fn vendored_libraries_are_found_by_runpath_or_among_what_is_loaded() {
    let world = world();
    let mut request = request();
    let mut with_runpath = object(None, &["libown-1.so"]);
    with_runpath.runpath = vec!["$ORIGIN/../demo.libs".to_owned()];
    request.objects.push(Shipped {
        path: at("site/demo/a.so"),
        origin: Origin::Distribution("demo".to_owned()),
        object: Arc::new(with_runpath),
    });
    request
        .objects
        .push(wheel_object("site/demo.libs/libown-1.so", &[]));
    request
        .objects
        .push(wheel_object("site/demo/b.so", &["libown-1.so"]));
    assert!(close(&world, &request).is_ok());
    assert_eq!(world.asked.get(), 0);
}

#[test]
fn a_soname_that_nothing_provides_names_the_wheel_the_file_and_who_might_serve_it() {
    let mut world = world();
    world.debs.insert(
        "libfoo3",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libfoo.so.3",
            elf("libfoo.so.3", &[]),
        )]),
    );
    let mut request = request();
    request
        .objects
        .push(wheel_object("site/demo.so", &["libfoo.so.2"]));
    let expected = "distribution demo has `site/demo.so`, which needs `libfoo.so.2`: no package of the suite provides it \
| one of these may serve it: add `debs = [\"libfoo3\"]` to `[tool.unheck]`";
    assert_eq!(dump(close(&world, &request)), expected);
}

#[test]
fn a_symbol_version_that_the_suite_lacks_is_named() {
    let world = world();
    let mut request = request();
    let mut new = object(None, &["libc.so.6"]);
    new.needs_versions
        .insert("libc.so.6".to_owned(), ["GLIBC_2.99".to_owned()].into());
    request.objects.push(Shipped {
        path: at("site/demo.so"),
        origin: Origin::Distribution("demo".to_owned()),
        object: Arc::new(new),
    });
    let text = dump(close(&world, &request));
    assert!(text.starts_with("distribution demo has `site/demo.so`, which needs GLIBC_2.99 of `libc.so.6`: the suite's `libc6` does not have it"), "{text}");
}

fn opens(names: &[&str]) -> (Origin, NativeUse) {
    let one = NativeUse {
        path: at("site/demo/load.py"),
        line: 7,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    (Origin::Distribution("demo".to_owned()), one)
}

#[test]
fn names_in_source_are_served_by_the_first_that_exists_and_noted_otherwise() {
    let mut world = world();
    world.debs.insert(
        "libmagic1t64",
        FakeDeb {
            section: "libs",
            depends: vec![
                vec!["libc6"],
                vec!["libmagic-mgc"],
                vec!["debconf", "debconf-2.0"],
            ],
            files: vec![
                (
                    "usr/lib/x86_64-linux-gnu/libmagic.so.1",
                    DebFile::Link("libmagic.so.1.0.0".to_owned()),
                ),
                (
                    "usr/lib/x86_64-linux-gnu/libmagic.so.1.0.0",
                    elf("libmagic.so.1", &["libc.so.6"]),
                ),
            ],
        },
    );
    world.debs.insert(
        "libmagic-mgc",
        library(vec![("usr/lib/file/magic.mgc", DebFile::Plain)]),
    );
    world.debs.insert(
        "debconf",
        library(vec![("usr/bin/debconf", DebFile::Plain)]),
    );
    let mut request = request();
    request.native.push(opens(&["libmagic.dylib", "magic"]));
    request.native.push(opens(&["libnowhere.so.1"]));
    let closure = close(&world, &request).map_err(|_| ()).expect("closure");
    let magic = &closure.debs["libmagic1t64"];
    assert_eq!(
        magic.files[&at(&format!("{LIB}/libmagic.so.1"))],
        "libmagic.so.1 <- site/demo/load.py:7"
    );
    assert_eq!(
        closure.debs["libmagic-mgc"].reason,
        "data of libmagic1t64 (Depends)"
    );
    assert!(!closure.debs.contains_key("debconf"), "a tool is no data");
    assert_eq!(
        closure.notes,
        [
            "distribution demo may open libnowhere.so.1 (`site/demo/load.py:7`), which no package of the suite has"
        ]
    );
}

#[test]
fn a_wheel_that_brings_the_library_it_opens_gets_no_other() {
    let mut world = world();
    world.debs.insert(
        "libsndfile1",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libsndfile.so.1",
            elf("libsndfile.so.1", &[]),
        )]),
    );
    let mut request = request();
    request.native.push(opens(&["sndfile"]));
    request.paths.insert(
        at("site/_data/libsndfile_x86_64.so"),
        Origin::Distribution("demo".to_owned()),
    );
    let closure = close(&world, &request).map_err(|_| ()).expect("closure");
    assert!(!closure.debs.contains_key("libsndfile1"));
}

#[test]
fn without_the_index_libraries_opened_by_name_come_from_packages_named_after_them() {
    let mut world = world();
    world.other_index = true;
    world.debs.insert(
        "libmagic1",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libmagic.so.1",
            elf("libmagic.so.1", &[]),
        )]),
    );
    let mut opened = request();
    opened.native.push(opens(&["libmagic.so.1"]));
    opened.native.push(opens(&["libnowhere.so.1"]));
    let closure = close(&world, &opened).map_err(|_| ()).expect("closure");
    assert!(closure.debs.contains_key("libmagic1"));
    assert_eq!(
        closure.notes,
        [
            "distribution demo may open libnowhere.so.1 (`site/demo/load.py:7`), which no package that is named after it has",
            "libraries that source code opens by name were not all looked up: another index",
        ]
    );
    // What an object needs is no guess.
    let mut needing = request();
    needing.objects.push(Shipped {
        path: at("site/x.so"),
        origin: Origin::Distribution("demo".to_owned()),
        object: Arc::new(object(None, &["libmagic.so.1", "libother.so.1"])),
    });
    assert!(matches!(
        close(&world, &needing),
        Err(CloseError::World(NoIndex))
    ));
}

#[test]
fn packages_by_hand_ship_whole_and_unknown_ones_are_named() {
    let mut world = world();
    world.debs.insert(
        "extra",
        library(vec![(
            "usr/lib/x86_64-linux-gnu/libextra.so.1",
            elf("libextra.so.1", &["libz.so.1"]),
        )]),
    );
    let by_hand = |name: &str| Request {
        by_hand: vec![name.to_owned()],
        ..request()
    };
    assert!(dump(close(&world, &by_hand("extra"))).contains("extra: all (added by hand)"));
    assert!(dump(close(&world, &by_hand("ghost"))).starts_with("the suite has no package `ghost`"));
}

#[test]
fn rules_add_files_by_what_ships_and_by_what_source_imports() {
    let mut world = world();
    world.debs.insert(
        "ncurses-base",
        library(vec![("usr/share/terminfo/x/xterm", DebFile::Plain)]),
    );
    world.debs.insert(
        "tzdata",
        library(vec![("usr/share/zoneinfo/Europe/Vienna", DebFile::Plain)]),
    );
    let plain = dump(close(&world, &request()));
    assert!(
        plain.contains("tzdata*: usr/share/zoneinfo/Europe/Vienna") && !plain.contains("terminfo"),
        "{plain}"
    );
    let mut with_curses = request();
    with_curses.imports.insert("curses".to_owned());
    with_curses.distributions.insert("tzdata".to_owned());
    let text = dump(close(&world, &with_curses));
    assert!(
        text.contains("ncurses-base: usr/share/terminfo/x/xterm") && !text.contains("zoneinfo"),
        "{text}"
    );
}

#[test]
fn objects_of_another_machine_ask_for_nothing() {
    let mut arm = object(None, &["libnone.so"]);
    arm.machine = Machine::Aarch64;
    let mut request = request();
    request.objects.push(Shipped {
        path: at("site/arm.so"),
        origin: Origin::Distribution("demo".to_owned()),
        object: Arc::new(arm),
    });
    assert!(close(&world(), &request).is_ok());
}

#[test]
fn what_an_object_says_that_it_opens_ships_unless_seldom_used() {
    let mut world = world();
    for (package, path, soname) in [
        (
            "libzstd1",
            "usr/lib/x86_64-linux-gnu/libzstd.so.1",
            "libzstd.so.1",
        ),
        (
            "libbpf1",
            "usr/lib/x86_64-linux-gnu/libbpf.so.1",
            "libbpf.so.1",
        ),
    ] {
        world
            .debs
            .insert(package, library(vec![(path, elf(soname, &[]))]));
    }
    let note = |soname: &str, priority| unheck_elf::DlopenNote {
        sonames: vec![soname.to_owned()],
        feature: None,
        description: None,
        priority,
    };
    let mut object = object(None, &[]);
    object.dlopen_notes = vec![
        note("libzstd.so.1", unheck_elf::Priority::Recommended),
        note("libbpf.so.1", unheck_elf::Priority::Suggested),
    ];
    let mut request = request();
    request.objects.push(Shipped {
        path: at("site/demo.so"),
        origin: Origin::Distribution("demo".to_owned()),
        object: Arc::new(object),
    });
    let text = dump(close(&world, &request));
    assert!(
        text.contains(
            "libzstd1: usr/lib/x86_64-linux-gnu/libzstd.so.1 (libzstd.so.1 <- site/demo.so)"
        ),
        "{text}"
    );
    assert!(!text.contains("libbpf"), "{text}");
}
