//! Small trees: what stays and what goes, rule by rule.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use unheck_base::{Digest, TreePath};
use unheck_store::Store;

use super::profile::Profile;
use super::rules::{self, IgnoreRow};
use super::{CythonSources, NarrowRequest, Narrowed, finder, narrow};
use crate::assemble::PackReader;
use crate::input::Entry;
use crate::layout::Layout;
use crate::lock::{Deb, Interpreter, Target};
use crate::platform::Platform;
use crate::steps::left_out::LeftOutList;
use crate::steps::{Removed, TrimLevel};
use crate::tree::{Content, Node, Origin, Tree};

const SITE: &str = "usr/local/lib/python3.13/dist-packages";
const STDLIB: &str = "usr/lib/python3.13";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

pub(in crate::steps) fn path(text: &str) -> TreePath {
    TreePath::new(text).expect(text)
}

pub(in crate::steps) fn elf(soname: &str, needed: &[&str]) -> Vec<u8> {
    let builder = unheck_testkit::ElfBuilder::new(unheck_testkit::elf::Machine::X86_64);
    let builder = builder.soname(soname);
    let needed = needed.iter();
    needed
        .fold(builder, |builder, name| builder.needed(name))
        .build()
}

/// A tree with an app, and how it is narrowed.
pub(in crate::steps) struct Kit {
    tree: Tree,
    target: Target,
    entry: Entry,
    level: TrimLevel,
    pub(in crate::steps) keep: BTreeSet<String>,
    pub(in crate::steps) leave_out: BTreeSet<String>,
    profile: Profile,
}

impl Kit {
    /// An app of one file.
    pub(in crate::steps) fn app(source: &str) -> Self {
        let interpreter = Interpreter::debian("3.13.5", "2.41");
        let target = Target {
            platform: Platform::LinuxAmd64,
            interpreter,
            wheels: Vec::new(),
            suites: Vec::new(),
            debs: Vec::new(),
            notes: Vec::new(),
            build_requires: Vec::new(),
            build_debs: Vec::new(),
        };
        let kit = Self {
            tree: Tree::new(),
            target,
            entry: Entry::File("main.py".to_owned()),
            level: TrimLevel::Imports,
            keep: BTreeSet::new(),
            leave_out: BTreeSet::new(),
            profile: Profile::default(),
        };
        kit.file("app/main.py", Origin::App, source)
    }

    pub(in crate::steps) fn file(
        mut self,
        at: &str,
        origin: Origin,
        text: impl Into<Vec<u8>>,
    ) -> Self {
        let node = Node::file(origin, Content::inline(text));
        self.tree.insert(path(at), node).expect("insert");
        self
    }

    /// A file of the distribution `d`.
    pub(in crate::steps) fn site(self, at: &str, text: impl Into<Vec<u8>>) -> Self {
        let origin = Origin::Distribution("d".to_owned());
        self.file(&format!("{SITE}/{at}"), origin, text)
    }

    /// A file of the standard library.
    pub(in crate::steps) fn stdlib(self, at: &str, text: impl Into<Vec<u8>>) -> Self {
        let origin = Origin::Deb("libpython3.13-stdlib".to_owned());
        self.file(&format!("{STDLIB}/{at}"), origin, text)
    }

    /// A file of a Debian package with its reason.
    pub(in crate::steps) fn deb(
        mut self,
        package: &str,
        at: &str,
        reason: &str,
        text: impl Into<Vec<u8>>,
    ) -> Self {
        let found = self.target.debs.iter_mut().find(|deb| deb.name == package);
        match found {
            Some(deb) => drop(deb.files.insert(path(at), reason.to_owned())),
            None => self.target.debs.push(Deb {
                name: package.to_owned(),
                version: "1".to_owned(),
                architecture: "amd64".to_owned(),
                source: None,
                suite: "trixie".to_owned(),
                path: String::new(),
                size: 0,
                sha256: Digest::of(b""),
                base: true,
                reason: reason.to_owned(),
                files: [(path(at), reason.to_owned())].into(),
            }),
        }
        self.file(at, Origin::Deb(package.to_owned()), text)
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.target.interpreter)
    }

    pub(in crate::steps) fn narrowed(&self) -> (Tree, Narrowed) {
        self.with(|tree, store, request| narrow(tree, store, request).expect("narrow"))
    }

    /// The tree after something was done with it, and what that said.
    pub(in crate::steps) fn with<T>(
        &self,
        act: impl FnOnce(&mut Tree, &Store, &NarrowRequest<'_>) -> T,
    ) -> (Tree, T) {
        static DIRECTORY: LazyLock<tempfile::TempDir> =
            LazyLock::new(|| tempfile::tempdir().expect("directory"));
        let store = Store::open(DIRECTORY.path()).expect("store");
        let mut tree = self.tree.clone();
        let layout = self.layout();
        let reader = PackReader::new(&store);
        let cython = CythonSources::of(&tree, &reader, &layout).expect("sources");
        let request = NarrowRequest {
            cython: &cython,
            layout: &layout,
            target: &self.target,
            entry: &self.entry,
            level: self.level,
            keep: &self.keep,
            leave_out: &self.leave_out,
            profile: &self.profile,
        };
        let said = act(&mut tree, &store, &request);
        (tree, said)
    }

    /// Left out files by the end of their path.
    pub(in crate::steps) fn gone(&self) -> Vec<String> {
        let (_, narrowed) = self.narrowed();
        let short = |one: &Removed| {
            let text = one.path.as_str();
            let inner = text
                .strip_prefix(SITE)
                .or_else(|| text.strip_prefix(STDLIB));
            inner.unwrap_or(text).trim_start_matches('/').to_owned()
        };
        narrowed.removed.iter().map(short).collect()
    }
}

#[test]
fn unreached_modules_go_with_their_data_and_reached_ones_keep_theirs() {
    let kit = Kit::app("import p\n")
        .site("p/__init__.py", "from . import used\n")
        .site("p/used.py", "")
        .site("p/unused.py", "")
        .site("p/table.json", "{}")
        .site("p/templates/page.html", "")
        .site("p/sub/__init__.py", "")
        .site("p/sub/data.bin", "x")
        .site("q/__init__.py", "")
        .site("q/data.bin", "x")
        .site("alone.py", "")
        .site("p-1.dist-info/METADATA", "")
        .site("q-1.dist-info/METADATA", "")
        .stdlib("json/__init__.py", "")
        .stdlib("os.py", "");
    assert_eq!(
        kit.gone(),
        [
            "json/__init__.py",
            "alone.py",
            "p/sub/__init__.py",
            "p/sub/data.bin",
            "p/unused.py",
            "q/__init__.py",
            "q/data.bin"
        ]
    );
}

#[test]
fn records_say_what_is_left() {
    let record = "p/__init__.py,,\np/unused.py,,\np-1.dist-info/RECORD,,\n";
    let kit = Kit::app("import p\n")
        .site("p/__init__.py", "")
        .site("p/unused.py", "")
        .site("p-1.dist-info/RECORD", record);
    let (tree, _) = kit.narrowed();
    let node = tree.get(&path(&format!("{SITE}/p-1.dist-info/RECORD")));
    let left = node.and_then(Node::content).expect("record").clone();
    assert_eq!(
        left,
        Content::inline("p/__init__.py,,\np-1.dist-info/RECORD,,\n")
    );
}

#[test]
fn python_files_in_directories_that_are_no_packages_are_data_and_code() {
    let kit = Kit::app("import p\n")
        .site("p/__init__.py", "")
        .site("p/templates/env.py", "import helper\n")
        .site("helper.py", "")
        .site("space/inner/mod.py", "")
        .site("space/other/mod.py", "");
    assert_eq!(kit.gone(), ["space/inner/mod.py", "space/other/mod.py"]);
    let mut kit = kit;
    kit.entry = Entry::Command(vec!["python".into(), "-m".into(), "space.inner.mod".into()]);
    assert_eq!(kit.gone(), ["space/other/mod.py"]);
}

#[test]
fn the_entrys_words_are_roots() {
    let kit = Kit::app("")
        .site("web/__init__.py", "")
        .site("web/workers.py", "")
        .site("web/other.py", "")
        .site("serve/__init__.py", "")
        .file(
            "usr/local/bin/serve",
            Origin::Distribution("d".to_owned()),
            "#!/usr/bin/python3.13\nfrom serve import main\n",
        )
        .file(
            "usr/local/bin/tool",
            Origin::Distribution("d".to_owned()),
            "#!/usr/bin/python3.13\nimport web.other\n",
        );
    let mut words = Kit {
        entry: Entry::Command(vec![
            "serve".into(),
            "-k".into(),
            "web.workers.Class".into(),
        ]),
        ..kit
    };
    assert_eq!(words.gone(), ["usr/local/bin/tool", "web/other.py"]);
    // The app starts it.
    words = words.file("app/start.py", Origin::App, "run(['tool'])\n");
    assert!(words.gone().is_empty());
}

#[test]
fn entry_points_stay_when_somebody_asks_for_their_group() {
    let points = "[d.plugins]\none = plug:f\n\n[console_scripts]\nx = other:f\n";
    let asked = "from importlib.metadata import entry_points\nentry_points(group='d.plugins')\n";
    let kit = |source| {
        Kit::app(source)
            .site("plug.py", "")
            .site("other.py", "")
            .site("d-1.dist-info/entry_points.txt", points)
    };
    assert_eq!(kit("").gone(), ["other.py", "plug.py"]);
    assert_eq!(kit(asked).gone(), ["other.py"]);
    let computed = kit("import q\n").site("q.py", "entry_points(group=name)\n");
    assert_eq!(computed.gone(), ["other.py"]);
    let (_, narrowed) = computed.narrowed();
    assert_eq!(narrowed.findings[0].subject, "q:1");
}

#[test]
fn computed_imports_keep_the_package_and_are_told() {
    let load = "import importlib\ndef f(n):\n    return importlib.import_module(n)\n";
    let kit = Kit::app("import p.load\n")
        .site("p/__init__.py", "")
        .site("p/load.py", load)
        .site("p/other.py", "")
        .site("q.py", "");
    assert_eq!(kit.gone(), ["q.py"]);
    let (_, narrowed) = kit.narrowed();
    let finding = &narrowed.findings[0];
    assert_eq!(finding.rule, "import-computed");
    assert_eq!(finding.subject, "p.load:3");
    assert!(finding.evidence.ends_with("all of `p` was kept"));
    // In the app it cannot be told what it names.
    let kit = Kit::app(load).site("q.py", "");
    assert_eq!(kit.gone(), ["q.py"]);
    assert!(kit.narrowed().1.findings[0].hint.is_some());
}

#[test]
fn start_up_lines_of_path_files_are_run() {
    let kit = Kit::app("")
        .site("hook.pth", "/some/where\nimport hook; hook.go()\n")
        .site("hook.py", "")
        .site("some.py", "");
    assert_eq!(kit.gone(), ["some.py"]);
}

#[test]
fn codecs_stay_when_a_text_names_them_or_a_name_is_computed() {
    let aliases = "aliases = {\n    'latin1'             : 'latin_1',\n    'sjis'               : 'shift_jis',\n}\n";
    let kit = |source: &str| {
        Kit::app(source)
            .stdlib(
                "encodings/__init__.py",
                "def f(n):\n    __import__('encodings.' + n)\n",
            )
            .stdlib("encodings/aliases.py", aliases)
            .stdlib("encodings/utf_8.py", "")
            .stdlib("encodings/koi8_r.py", "")
            .stdlib("encodings/shift_jis.py", "import _codecs_jp\n")
            .stdlib(
                "lib-dynload/_codecs_jp.cpython-313-x86_64-linux-gnu.so",
                "x",
            )
    };
    let jp = "lib-dynload/_codecs_jp.cpython-313-x86_64-linux-gnu.so";
    assert_eq!(
        kit("").gone(),
        ["encodings/koi8_r.py", "encodings/shift_jis.py", jp]
    );
    assert_eq!(
        kit("b'x'.decode('KOI8-R')\n").gone(),
        ["encodings/shift_jis.py", jp]
    );
    assert_eq!(kit("b'x'.decode('sjis')\n").gone(), ["encodings/koi8_r.py"]);
    assert!(
        kit("def f(b, name):\n    b.decode(name)\n")
            .gone()
            .is_empty()
    );
    for module in rules::all().codec.iter().flat_map(|rule| &rule.modules) {
        assert!(
            kit(&format!("import {module}\n")).gone().is_empty(),
            "{module}"
        );
    }
}

#[test]
fn the_profile_decides_when_traced() {
    let mut kit = Kit::app("import p\n")
        .site(
            "p/__init__.py",
            "from . import always\ndef f():\n    from . import late\n    from . import never\n",
        )
        .site("p/always.py", "")
        .site("p/late.py", "import beside\n")
        .site("p/never.py", "")
        .site("p/read.txt", "")
        .site("p/unread.txt", "")
        .site("beside.py", "")
        .deb("tzdata", "usr/share/zoneinfo/UTC", "rule time-zones: x", "")
        .deb(
            "tzdata",
            "usr/share/zoneinfo/Europe/Vienna",
            "rule time-zones: x",
            "",
        )
        .stdlib("zoneinfo.py", "")
        .file("app/zone.py", Origin::App, "import zoneinfo\n");
    kit.level = TrimLevel::Traced;
    let opened = ["p/late.py", "p/read.txt"].map(|name| path(&format!("{SITE}/{name}")));
    kit.profile.opened = opened.into();
    kit.profile.opened.insert(path("usr/share/zoneinfo/UTC"));
    assert_eq!(
        kit.gone(),
        [
            "p/never.py",
            "p/unread.txt",
            "usr/share/zoneinfo/Europe/Vienna"
        ]
    );
    assert_eq!(Profile::from_text(&kit.profile.to_text()), kit.profile);
}

#[test]
fn what_a_run_tried_for_nothing_is_no_root() {
    let kit = |app: &str| {
        let mut kit = Kit::app(app)
            .stdlib(
                "shutil.py",
                "try:\n    import bz2\nexcept ImportError:\n    pass\n",
            )
            .stdlib("bz2.py", "import _bz2, os\n")
            .stdlib("_bz2.py", "")
            .stdlib("late.py", "def f():\n    import os\n")
            .stdlib("os.py", "");
        kit.level = TrimLevel::Traced;
        let opened = ["shutil.py", "bz2.py", "_bz2.py", "late.py", "os.py"];
        kit.profile.opened = opened.map(|name| path(&format!("{STDLIB}/{name}"))).into();
        kit
    };
    assert_eq!(kit("").gone(), ["_bz2.py", "bz2.py"]);
    assert!(kit("import bz2\n").gone().is_empty());
    assert!(
        kit("import shutil\nshutil.unpack_archive(x)\n")
            .gone()
            .is_empty()
    );
}

// Rules, one by one: each has something that it changes.

#[test]
fn every_start_rule_keeps_its_modules() {
    for rule in &rules::all().start {
        assert!(!rule.reason.is_empty(), "{}", rule.id);
        for module in &rule.modules {
            let file = format!("{}.py", module.replace('.', "/"));
            let mut kit = Kit::app("").stdlib(&file, "").stdlib("other.py", "");
            if let Some((package, _)) = module.split_once('.') {
                kit = kit.stdlib(&format!("{package}/__init__.py"), "");
            }
            assert_eq!(kit.gone(), ["other.py"], "{} {module}", rule.id);
        }
    }
}

/// A tree in which `from` imports `module`, and a neighbour of `from` too when asked.
fn importing(from: &str, module: &str, app: &str) -> Kit {
    let place = |name: &str| format!("{}.py", name.replace('.', "/"));
    let mut kit = Kit::app(&format!("import {from}\n{app}\n"))
        .stdlib(&place(from), format!("def f():\n    import {module}\n"))
        .stdlib(&place(module), "");
    let above = [from, module].map(|name| name.rsplit_once('.').map(|(above, _)| above));
    let above: BTreeSet<&str> = above.into_iter().flatten().collect();
    for package in above {
        let mut name = package;
        loop {
            let init = path(&format!("{STDLIB}/{}/__init__.py", name.replace('.', "/")));
            if kit.tree.get(&init).is_none() {
                kit = kit.stdlib(&format!("{}/__init__.py", name.replace('.', "/")), "");
            }
            match name.rsplit_once('.') {
                Some((above, _)) => name = above,
                None => break,
            }
        }
    }
    kit
}

fn importer(rule: &IgnoreRow) -> &str {
    if rule.from == "*" {
        "anything"
    } else {
        &rule.from
    }
}

#[test]
fn every_ignore_rule_takes_an_import_away_and_no_other() {
    for rule in &rules::all().ignore {
        assert!(!rule.reason.is_empty(), "{}", rule.id);
        for module in &rule.imports {
            let file = format!("{}.py", module.replace('.', "/"));
            let gone = |kit: &Kit| kit.gone().contains(&file);
            let from = importer(rule);
            assert!(gone(&importing(from, module, "")), "{} {module}", rule.id);
            for name in rule.unless.iter().chain(&rule.unless_outside) {
                let used = importing(from, module, &format!("x.{name}()"));
                assert!(!gone(&used), "{} {module} {name}", rule.id);
            }
            // Another importer, or one outside the standard library, needs it.
            if rule.from != "*" {
                assert!(!gone(&importing("another", module, "")), "{}", rule.id);
            }
            let app = importing("another", module, &format!("import {module}"));
            assert!(!gone(&app), "{} {module}", rule.id);
            for from in rule.except.iter().filter(|from| !from.ends_with('*')) {
                if from != module {
                    assert!(!gone(&importing(from, module, "")), "{} {from}", rule.id);
                }
            }
        }
    }
}

#[test]
fn every_rule_about_c_adds_an_import() {
    for rule in &rules::all().c {
        assert!(!rule.reason.is_empty(), "{}", rule.id);
        for imported in &rule.imports {
            let file = format!("{}.py", imported.replace('.', "/"));
            let gone = |app: &str| importing("anything", imported, app).gone().contains(&file);
            // Only through the rule: `anything` is not imported.
            let kit = |app: String| {
                let mut kit = importing("anything", imported, "");
                let node = Node::file(Origin::App, Content::inline(app));
                kit.tree.replace(path("app/main.py"), node);
                kit.gone().contains(&file)
            };
            assert!(!gone(""), "{} {imported}", rule.id);
            let start = rules::all()
                .start
                .iter()
                .any(|start| start.modules.contains(imported));
            assert!(start || kit(String::new()), "{} {imported}", rule.id);
            let use_it = rule
                .attribute
                .as_ref()
                .map_or(String::new(), |name| format!("x.{name}()\n"));
            assert!(
                !kit(format!("import {}\n{use_it}", rule.module)),
                "{} {imported}",
                rule.id
            );
            if rule.attribute.is_some() {
                assert!(kit(format!("import {}\n", rule.module)), "{}", rule.id);
            }
        }
    }
}

#[test]
fn every_rule_about_computed_names_says_what_they_are() {
    for rule in &rules::all().computed {
        assert!(!rule.reason.is_empty(), "{}", rule.id);
        let place = |name: &str| format!("{}.py", name.replace('.', "/"));
        let dynamic = "def f(n):\n    __import__('x.' + n)\n";
        let mut kit = Kit::app(&format!("import {}\n", rule.module)).stdlib("x/any.py", "");
        let mut kept = BTreeSet::new();
        for name in &rule.means {
            let name = name.replace('*', "one");
            if name != rule.module {
                kept.insert(place(&name));
                kit = kit.stdlib(&place(&name), "");
            }
        }
        let with = kit.stdlib(&place(&rule.module), dynamic);
        let gone = with.gone();
        assert!(gone.contains(&"x/any.py".to_owned()), "{}", rule.id);
        assert!(gone.iter().all(|name| !kept.contains(name)), "{}", rule.id);
    }
}

#[test]
fn every_file_rule_leaves_files_out_and_keeps_them_for_what_opens_them() {
    for rule in &rules::all().file {
        assert!(!rule.reason.is_empty(), "{}", rule.id);
        for glob in &rule.globs.texts {
            let at = glob
                .replace("**", "x")
                .replace("usr/lib/*", LIBRARIES)
                .replace('*', "x");
            let kit = |source: &str| Kit::app(source).deb("data", &at, "rule x: y", "x");
            let gone = |kit: &Kit| kit.gone().contains(&at);
            assert!(gone(&kit("")), "{} {at}", rule.id);
            for module in &rule.modules {
                let place = format!("{}.py", module.replace('.', "/"));
                let kit = kit(&format!("import {module}\n")).stdlib(&place, "");
                assert!(!gone(&kit), "{} {module}", rule.id);
            }
            for name in &rule.attributes {
                assert!(!gone(&kit(&format!("x.{name}()\n"))), "{} {name}", rule.id);
            }
            for text in &rule.objects {
                let object = elf("x.so", &[]);
                let object = [&object[..], text.as_bytes()].concat();
                let kit = kit("import d\n")
                    .site("d/__init__.py", "")
                    .site("d/x.so", object);
                assert!(!gone(&kit), "{} {text}", rule.id);
            }
            assert!(!gone(&kit(&format!("open('/{at}')\n"))), "{} {at}", rule.id);
        }
    }
}

#[test]
fn what_is_left_out_is_listed_by_reason() {
    let kit = Kit::app("").site("a/b.py", "").site("c.py", "");
    let (mut tree, narrowed) = kit.narrowed();
    finder::add(&mut tree, &kit.layout(), kit.level, &narrowed.removed);
    let list = tree.get(&path(&format!("{SITE}/{}", finder::LIST)));
    let Some(Content::Inline(bytes)) = list.and_then(Node::content) else {
        panic!("no list")
    };
    let text = std::str::from_utf8(bytes).expect("text");
    assert_eq!(
        text,
        format!(
            "imports\n# a module that no import path from the entry reaches\n{SITE}/a/b.py\n{SITE}/c.py\n"
        )
    );
    let read = LeftOutList::read(text).entries;
    assert_eq!(read.len(), 2);
    assert_eq!(read[1].path, path(&format!("{SITE}/c.py")));
}

#[test]
fn ids_of_rules_differ_and_have_reasons() {
    let rules = rules::all();
    let mut ids: Vec<&String> = rules.start.iter().map(|row| &row.id).collect();
    ids.extend(rules.ignore.iter().map(|row| &row.id));
    ids.extend(rules.c.iter().map(|row| &row.id));
    ids.extend(rules.computed.iter().map(|row| &row.id));
    ids.extend(rules.codec.iter().map(|row| &row.id));
    ids.extend(rules.word.iter().map(|row| &row.id));
    ids.extend(rules.file.iter().map(|row| &row.id));
    for id in &ids {
        assert!(!rules::reason(id).expect("reason").is_empty(), "{id}");
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn every_word_needs_more_than_a_mention() {
    let rows = rules::all().word.iter();
    for (id, word) in rows.flat_map(|rule| rule.modules.iter().map(move |word| (&rule.id, word))) {
        let file = format!("{word}.py");
        let object = [&elf("_x.so", &[])[..], b"\0", word.as_bytes(), b"\0"].concat();
        let kit = |app: &str| {
            Kit::app(app)
                .site("d/__init__.py", "from . import _x\n")
                .site("d/_x.cpython-313-x86_64-linux-gnu.so", object.clone())
                .stdlib(&file, "")
        };
        assert_eq!(
            kit("import d\n").gone(),
            std::slice::from_ref(&file),
            "{id} {word}"
        );
        assert!(kit(&format!("import d, {word}\n")).gone().is_empty());
    }
}

/// A tree with an extension module that needs a library that needs another.
fn with_libraries(app: &str) -> Kit {
    let ext = "lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so";
    let ssl = format!("{LIBRARIES}/libssl.so.3");
    let crypto = format!("{LIBRARIES}/libcrypto.so.3");
    let by = |name: &str| format!("{name} <- {STDLIB}/{ext}");
    Kit::app(app)
        .stdlib(ext, elf("_ssl.so", &["libssl.so.3"]))
        .deb(
            "libssl3t64",
            &ssl,
            &by("libssl.so.3"),
            elf("libssl.so.3", &["libcrypto.so.3"]),
        )
        .deb(
            "libssl3t64",
            &crypto,
            &by("libcrypto.so.3"),
            elf("libcrypto.so.3", &[]),
        )
        .deb(
            "openssl",
            "etc/ssl/openssl.cnf",
            "rule openssl-config: x",
            "",
        )
        .deb(
            "openssl-provider-legacy",
            &format!("{LIBRARIES}/ossl-modules/legacy.so"),
            "rule openssl-config: x",
            elf("legacy.so", &["libcrypto.so.3"]),
        )
        .deb(
            "libgcc-s1",
            &format!("{LIBRARIES}/libgcc_s.so.1"),
            "rule thread-cancellation: x",
            elf("libgcc_s.so.1", &[]),
        )
        .file(
            "var/lib/dpkg/status.d/openssl",
            Origin::Deb("openssl".to_owned()),
            "Package: openssl\n",
        )
        .file(
            "usr/share/doc/openssl/copyright",
            Origin::Deb("openssl".to_owned()),
            "",
        )
        .file(
            "var/lib/dpkg/status.d/libssl3t64",
            Origin::Deb("libssl3t64".to_owned()),
            "",
        )
        .file(
            "var/lib/dpkg/status.d/libssl3t64.md5sums",
            Origin::Deb("libssl3t64".to_owned()),
            "0  usr/lib/x86_64-linux-gnu/libssl.so.3\n0  gone\n",
        )
}

#[test]
fn libraries_go_with_the_last_object_that_needs_them() {
    let gone = with_libraries("").gone();
    for name in [
        "libssl.so.3",
        "libcrypto.so.3",
        "openssl.cnf",
        "legacy.so",
        "status.d/openssl",
        "openssl/copyright",
        "status.d/libssl3t64",
    ] {
        assert!(
            gone.iter().any(|path| path.ends_with(name)),
            "{name}: {gone:?}"
        );
    }
    assert!(!gone.iter().any(|path| path.contains("libgcc_s")));
    assert!(with_libraries("import _ssl\n").gone().is_empty());
    // Opened by name.
    let gone = with_libraries("import ctypes\nctypes.CDLL('libcrypto.so.3')\n").gone();
    assert!(gone.iter().any(|path| path.ends_with("libssl.so.3")));
    assert!(!gone.iter().any(|path| path.ends_with("libcrypto.so.3")));
}

#[test]
fn the_package_database_says_what_is_left() {
    let (tree, _) = with_libraries("import _ssl\n").narrowed();
    let sums = path("var/lib/dpkg/status.d/libssl3t64.md5sums");
    let left = tree.get(&sums).and_then(Node::content).expect("sums");
    assert_eq!(
        *left,
        Content::inline("0  usr/lib/x86_64-linux-gnu/libssl.so.3\n")
    );
}

#[test]
fn vendored_libraries_stay_for_what_needs_them() {
    let kit = |app: &str| {
        Kit::app(app)
            .site("d/__init__.py", "from . import _core\n")
            .site(
                "d/_core.cpython-313-x86_64-linux-gnu.so",
                elf("_core.so", &["libv-1.so"]),
            )
            .site("d.libs/libv-1.so", elf("libv-1.so", &[]))
            .site("d.libs/libw-1.so", elf("libw-1.so", &[]))
    };
    assert_eq!(kit("import d\n").gone(), ["d.libs/libw-1.so"]);
    assert_eq!(kit("").gone().len(), 4);
    assert!(kit("import d\nx = 'd.libs'\n").gone().is_empty());
}

#[test]
fn packed_names_come_from_the_source_beside_or_keep_the_package() {
    let packed = [&elf("_x.so", &[])[..], b"\0__pyx_capi\0"].concat();
    let kit = Kit::app("import d._x\n")
        .site("d/__init__.py", "")
        .site("d/_x.cpython-313-x86_64-linux-gnu.so", packed)
        .site("d/beside.py", "")
        .site("d/other.py", "");
    assert!(kit.gone().is_empty());
    let finding = &kit.narrowed().1.findings[0];
    assert_eq!(finding.subject, "d._x");
    let kit = kit.site("d/_x.pyx", "cdef f():\n    from . import beside\n");
    assert_eq!(kit.gone(), ["d/other.py"]);
}

#[test]
fn compiled_modules_name_what_they_import() {
    let with = |bytes: &[u8]| {
        let mut object = elf("_x.so", &[]);
        object.extend_from_slice(bytes);
        Kit::app("import d\n")
            .site("d/__init__.py", "from . import _x\n")
            .site("d/_x.cpython-313-x86_64-linux-gnu.so", object)
            .site("d/beside.py", "")
            .site("d/other.py", "")
            .stdlib("decimal.py", "")
            .stdlib("uuid.py", "")
            .gone()
    };
    assert_eq!(with(b"").len(), 4);
    let gone = with(b"\0decimal\0beside\0");
    assert_eq!(gone, ["uuid.py", "d/other.py"]);
    // Rust's texts have no end.
    let gone = with(b"\0pyo3\0decimaluuidfrom\0xd.othery\0");
    assert_eq!(
        gone,
        ["uuid.py", "d/beside.py"],
        "short names of one word need an end"
    );
}
