//! Leaves out what cannot change behaviour. Start at [`trim`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use unheck_base::TreePath;

use super::rewrite_records;
use crate::layout::Layout;
use crate::scan::{ArchiveFacts, is_suite_path};
use crate::tree::{Content, Kind, Node, Origin, Tree};

/// How much is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrimLevel {
    /// Nothing: every file that wheels and interpreter bring.
    None,
    /// Only what cannot change behaviour.
    #[default]
    Safe,
    /// Also modules that no import path from the entry reaches, and what only they need.
    Imports,
    /// Only what importing runs and what recorded runs opened.
    Traced,
}

impl std::fmt::Display for TrimLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Safe => "safe",
            Self::Imports => "imports",
            Self::Traced => "traced",
        })
    }
}

impl std::str::FromStr for TrimLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "safe" => Ok(Self::Safe),
            "imports" => Ok(Self::Imports),
            "traced" => Ok(Self::Traced),
            _ => Err(format!(
                "`{text}` is no trim level: `none`, `safe`, `imports`, `traced`"
            )),
        }
    }
}

/// What shipped source imports, of what might be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrimFacts {
    /// Top-level modules of the standard library.
    pub imports: BTreeSet<String>,
    /// Modules of test suites, dotted.
    pub test_imports: BTreeSet<String>,
    /// Stubs that are read when the program runs, below the library directory.
    pub stubs: BTreeSet<TreePath>,
    /// Distributions that the project itself asks for.
    pub requested: BTreeSet<String>,
    /// Native libraries that source opens by name.
    pub libraries: BTreeSet<String>,
    /// What test suites import of the modules that keep an optional part of the standard library.
    pub suite_optional: BTreeSet<String>,
}

impl TrimFacts {
    /// Takes the facts of one archive in.
    pub fn add(&mut self, facts: &ArchiveFacts) {
        self.imports.extend(facts.imports.iter().cloned());
        self.imports.extend(facts.optional.iter().cloned());
        self.test_imports.extend(facts.test_imports.iter().cloned());
        self.suite_optional
            .extend(facts.suite_optional.iter().cloned());
        let opened = facts.native.iter().flat_map(|one| &one.names);
        self.libraries.extend(opened.cloned());
        self.stubs.extend(facts.stubs.iter().cloned());
    }

    /// Whether anything imports this module; by a test suite only where any suite ships.
    pub(super) fn asks_for(&self, module: &str) -> bool {
        let suites_ship = || {
            let mut tests = self.test_imports.iter();
            tests.any(|test| is_suite_path(&test.replace('.', "/")))
        };
        self.imports.contains(module) || (self.suite_optional.contains(module) && suites_ship())
    }

    /// Takes in that a module is to stay whatever imports it.
    pub fn keep(&mut self, module: &str) {
        let top = module.split('.').next().unwrap_or(module);
        self.imports.insert(top.to_owned());
        self.test_imports.insert(module.to_owned());
    }

    /// Takes the facts of a distribution in; what an installer imports of itself does not count.
    pub fn add_distribution(&mut self, name: &str, facts: &ArchiveFacts) {
        let mut facts = facts.clone();
        if let Some((_, own)) = INSTALLERS.iter().find(|(tool, _)| *tool == name) {
            facts
                .imports
                .retain(|module| !own.contains(&module.as_str()));
        }
        self.add(&facts);
    }
}

/// Distributions that install and build others, with the modules whose import keeps them. What
/// `distutils` is since Python 3.12 comes from setuptools.
const INSTALLERS: &[(&str, &[&str])] = &[
    ("pip", &["pip"]),
    ("setuptools", &["setuptools", "pkg_resources", "distutils"]),
    ("wheel", &["wheel"]),
];

/// A file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Removed {
    /// Where it would have been.
    pub path: TreePath,
    /// Who brought it.
    pub origin: Origin,
    /// Its length in bytes.
    pub size: u64,
    /// Why it is left out.
    pub reason: &'static str,
}

impl Removed {
    /// A file or link of a tree.
    pub(super) fn of(path: &TreePath, node: &Node, reason: &'static str) -> Self {
        Self {
            path: path.clone(),
            origin: node.origin.clone(),
            size: node.content().map_or(0, Content::len),
            reason,
        }
    }
}

/// Parts of the standard library that only its own tools and tests use, with the module whose
/// import keeps them.
const STDLIB: &[(&str, &str, &str)] = &[
    ("test", "test", "the standard library's test suite"),
    (
        "idlelib",
        "idlelib",
        "the IDLE editor, which nothing imports",
    ),
    ("turtledemo", "turtledemo", "demonstrations"),
    (
        "tkinter",
        "tkinter",
        "Tk, whose library Debian packages apart, and nothing imports it",
    ),
    (
        "turtle.py",
        "turtle",
        "turtle graphics need Tk, and nothing imports it",
    ),
    (
        "ensurepip",
        "ensurepip",
        "the pip installer, which nothing imports",
    ),
    ("pydoc_data", "pydoc_data", "text of the interactive help"),
    ("lib2to3/tests", "lib2to3.tests", "a test suite"),
    ("distutils/tests", "distutils.tests", "a test suite"),
    ("ctypes/test", "ctypes.test", "a test suite"),
    ("sqlite3/test", "sqlite3.test", "a test suite"),
    ("unittest/test", "unittest.test", "a test suite"),
    ("EXTERNALLY-MANAGED", "", "a note to pip"),
    (
        "_sysconfigdata__linux_.py",
        "",
        "a link for cross-compilers",
    ),
];

/// Extension modules that exist to test the interpreter.
const TEST_EXTENSIONS: &[&str] = &[
    "_test",
    "_ctypes_test",
    "_xxtestfuzz",
    "xxlimited",
    "xxsubtype",
];

/// Text that the compiled time zones are made from; zoneinfo and glibc read the compiled ones.
const TIME_ZONE_SOURCES: &[&str] = &["tzdata.zi", "leap-seconds.list", "leapseconds"];

/// Files of compiled parts and for type checkers, by the end of their names.
const SOURCES: &[(&[&str], &str)] = &[
    (&["pyi"], "a type stub"),
    (&["pyx", "pxd", "pxi"], "Cython source"),
    (&["h", "hpp", "hh", "hxx"], "a header"),
    (
        &["c", "cc", "cpp", "cxx", "f", "f90"],
        "source of a compiled module",
    ),
    (&["a", "la", "lib"], "a static library"),
];

const INSTALLER: &str = "an installer or build tool that nothing imports";
const SUITE: &str = "a test suite that nothing shipped imports";
const TEST_EXTENSION: &str = "an extension module that tests the interpreter";
const TIME_ZONE_SOURCE: &str = "source text of the compiled time zones";
const DOCUMENTATION: &str = "documentation or headers";

/// Whether a file that [`trim`] left out for this reason stays when its module is to be kept;
/// `None` for reasons of other steps.
pub(super) fn is_kept_by_module(reason: &str) -> Option<bool> {
    if [INSTALLER, SUITE, TEST_EXTENSION].contains(&reason) {
        return Some(true);
    }
    if let Some(kept) = super::optional::is_kept_by_module(reason) {
        return Some(kept);
    }
    if let Some((_, module, _)) = STDLIB.iter().find(|(_, _, why)| *why == reason) {
        return Some(!module.is_empty());
    }
    let sources = SOURCES.iter().map(|(_, why)| *why);
    let others = sources.chain([TIME_ZONE_SOURCE, DOCUMENTATION]);
    others.into_iter().any(|why| why == reason).then_some(false)
}

/// Removes what `level` allows from the tree; records of distributions stay true.
pub fn trim(tree: &mut Tree, layout: &Layout, level: TrimLevel, facts: &TrimFacts) -> Vec<Removed> {
    if level == TrimLevel::None {
        return Vec::new();
    }
    let suites = test_suites(tree, layout, facts);
    let mut removed: Vec<Removed> = Vec::new();
    for (path, node) in tree.iter() {
        if matches!(node.kind, Kind::Dir) || node.origin == Origin::App {
            continue;
        }
        if let Some(reason) = reason(path, node.origin.clone(), layout, facts, &suites) {
            removed.push(Removed::of(path, node, reason));
        }
    }
    remove_all(tree, layout, &removed);
    removed
}

/// Takes files out of the tree; records of distributions stay true, and directories that have
/// become empty go.
pub(super) fn remove_all(tree: &mut Tree, layout: &Layout, removed: &[Removed]) {
    let paths: BTreeSet<TreePath> = removed.iter().map(|one| one.path.clone()).collect();
    for path in &paths {
        tree.remove(path);
    }
    rewrite_records(tree, &layout.site, &paths);
    let keep: BTreeSet<TreePath> = tree
        .iter()
        .filter(|(_, node)| matches!(node.origin, Origin::Generated(_)))
        .map(|(path, _)| path.clone())
        .collect();
    tree.prune_empty_dirs(|path| keep.contains(path));
}

/// Whether an image may lack this file of a Debian package because it was left out.
pub(crate) fn may_be_left_out(path: &TreePath, layout: &Layout) -> bool {
    let origin = Origin::Generated(String::new());
    reason(
        path,
        origin,
        layout,
        &TrimFacts::default(),
        &BTreeSet::new(),
    )
    .is_some()
}

fn reason(
    path: &TreePath,
    origin: Origin,
    layout: &Layout,
    facts: &TrimFacts,
    suites: &BTreeSet<String>,
) -> Option<&'static str> {
    if let Origin::Distribution(name) = &origin
        && is_idle_installer(name, facts)
        && !path.as_str().contains(".dist-info/")
    {
        return Some(INSTALLER);
    }
    if path.is_under(layout.site.as_str()) {
        if suites.iter().any(|suite| path.is_under(suite)) {
            return Some(SUITE);
        }
        let inner = &path.as_str()[layout.site.as_str().len()..];
        let read = |stub: &TreePath| stub.as_str() == inner.trim_start_matches('/');
        return source_file(path).filter(|_| !facts.stubs.iter().any(read));
    }
    if path.is_under(layout.stdlib.as_str()) {
        return stdlib(&path.as_str()[layout.stdlib.as_str().len() + 1..], facts);
    }
    if let Some(name) = path.as_str().strip_prefix("usr/share/zoneinfo/") {
        return TIME_ZONE_SOURCES
            .contains(&name)
            .then_some(TIME_ZONE_SOURCE);
    }
    if matches!(origin, Origin::Distribution(_)) {
        let data = layout.data.as_str();
        let documentation = ["share/doc", "share/man", "include"];
        if documentation
            .iter()
            .any(|directory| path.is_under(&format!("{data}/{directory}")))
        {
            return Some(DOCUMENTATION);
        }
    }
    None
}

/// Whether a distribution is an installer that came along and that nothing imports.
fn is_idle_installer(name: &str, facts: &TrimFacts) -> bool {
    let modules = INSTALLERS.iter().find(|(tool, _)| *tool == name);
    modules.is_some_and(|(_, modules)| {
        !facts.requested.contains(name)
            && !modules.iter().any(|module| facts.imports.contains(*module))
    })
}

fn stdlib(inner: &str, facts: &TrimFacts) -> Option<&'static str> {
    if let Some(name) = inner.strip_prefix("lib-dynload/") {
        let module = name.split('.').next().unwrap_or(name);
        let asked = facts.imports.contains(module)
            || facts
                .test_imports
                .iter()
                .any(|test| test.starts_with("test."));
        let tests = TEST_EXTENSIONS
            .iter()
            .any(|prefix| name.starts_with(prefix));
        return (tests && !asked).then_some(TEST_EXTENSION);
    }
    let (_, _, reason) = STDLIB.iter().find(|(part, module, _)| {
        let here = inner
            .strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let top = module.split('.').next().unwrap_or(module);
        here && !facts.imports.contains(top)
            && !facts
                .test_imports
                .iter()
                .any(|test| is_module_under(test, module))
    })?;
    Some(reason)
}

fn is_module_under(module: &str, package: &str) -> bool {
    !package.is_empty()
        && module
            .strip_prefix(package)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Sources, stubs, headers and static libraries of compiled parts.
fn source_file(path: &TreePath) -> Option<&'static str> {
    let (_, extension) = path.file_name().rsplit_once('.')?;
    let (_, reason) = SOURCES
        .iter()
        .find(|(extensions, _)| extensions.contains(&extension))?;
    Some(reason)
}

/// Directories of installed distributions that hold tests, and that nothing else imports.
fn test_suites(tree: &Tree, layout: &Layout, facts: &TrimFacts) -> BTreeSet<String> {
    let mut suites = BTreeSet::new();
    for (path, node) in tree.iter() {
        let name = path.file_name();
        let is_test =
            name.starts_with("test_") || name.ends_with("_test.py") || name == "conftest.py";
        if !is_test || !name.ends_with(".py") || !matches!(node.origin, Origin::Distribution(_)) {
            continue;
        }
        let Some(inner) = path.as_str().strip_prefix(layout.site.as_str()) else {
            continue;
        };
        let mut directory = String::new();
        for part in inner.trim_start_matches('/').split('/') {
            if !directory.is_empty() {
                directory.push('/');
            }
            directory.push_str(part);
            if matches!(part, "tests" | "test" | "_tests") {
                let module = directory.replace('/', ".");
                if !facts
                    .test_imports
                    .iter()
                    .any(|test| is_module_under(test, &module))
                {
                    suites.insert(format!("{}/{directory}", layout.site));
                }
                break;
            }
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Interpreter;

    fn layout() -> Layout {
        Layout::of(&Interpreter::debian("3.13.5", "2.41"))
    }

    fn trimmed(files: &[&str], facts: &TrimFacts) -> Vec<String> {
        let mut tree = Tree::new();
        for file in files {
            let path = TreePath::new(file).expect("path");
            let origin = Origin::Distribution("d".to_owned());
            tree.insert(path, Node::file(origin, Content::inline("x")))
                .expect("insert");
        }
        let removed = trim(&mut tree, &layout(), TrimLevel::Safe, facts);
        removed
            .iter()
            .map(|one| one.path.file_name().to_owned())
            .collect()
    }

    const SITE: &str = "usr/local/lib/python3.13/dist-packages";

    #[test]
    fn a_test_suite_goes_unless_something_imports_it() {
        let suite = format!("{SITE}/d/tests/test_a.py");
        let helper = format!("{SITE}/d/tests/helper.py");
        let api = format!("{SITE}/d/testing/api.py");
        let data = format!("{SITE}/d/test/data.json");
        let files = [suite.as_str(), &helper, &api, &data];
        assert_eq!(
            trimmed(&files, &TrimFacts::default()),
            ["helper.py", "test_a.py"]
        );
        let facts = TrimFacts {
            test_imports: ["d.tests.helper".to_owned()].into(),
            ..TrimFacts::default()
        };
        assert!(trimmed(&files, &facts).is_empty());
    }

    #[test]
    fn the_standard_librarys_tools_go_unless_imported() {
        let files = [
            "usr/lib/python3.13/tkinter/__init__.py",
            "usr/lib/python3.13/json/__init__.py",
        ];
        assert_eq!(trimmed(&files, &TrimFacts::default()), ["__init__.py"]);
        let facts = TrimFacts {
            imports: ["tkinter".to_owned()].into(),
            ..TrimFacts::default()
        };
        assert!(trimmed(&files, &facts).is_empty());
    }

    #[test]
    fn installers_go_unless_asked_for_or_imported() {
        let files = |facts: &TrimFacts| {
            let mut tree = Tree::new();
            for (name, file) in [
                ("setuptools", "setuptools/__init__.py"),
                ("setuptools", "setuptools-1.dist-info/METADATA"),
                ("pip", "pip/__init__.py"),
                ("other", "other/__init__.py"),
            ] {
                let path = TreePath::new(&format!("{SITE}/{file}")).expect("path");
                let origin = Origin::Distribution(name.to_owned());
                tree.insert(path, Node::file(origin, Content::inline("x")))
                    .expect("insert");
            }
            trim(&mut tree, &layout(), TrimLevel::Safe, facts).len()
        };
        assert_eq!(files(&TrimFacts::default()), 2);
        let requested = TrimFacts {
            requested: ["pip".to_owned()].into(),
            ..TrimFacts::default()
        };
        assert_eq!(files(&requested), 1);
        let mut facts = TrimFacts::default();
        let imports = ArchiveFacts {
            imports: ["pkg_resources".to_owned()].into(),
            ..ArchiveFacts::default()
        };
        facts.add_distribution("setuptools", &imports);
        assert_eq!(files(&facts), 2);
        facts.add_distribution("other", &imports);
        assert_eq!(files(&facts), 1);
    }

    #[test]
    fn what_is_to_be_kept_stays() {
        let suite = format!("{SITE}/d/tests/test_a.py");
        let files = [
            suite.as_str(),
            "usr/lib/python3.13/idlelib/run.py",
            "usr/lib/python3.13/lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so",
        ];
        assert_eq!(trimmed(&files, &TrimFacts::default()).len(), 3);
        let mut facts = TrimFacts::default();
        for module in ["d.tests.test_a", "idlelib.run", "_testcapi"] {
            facts.keep(module);
        }
        assert!(trimmed(&files, &facts).is_empty());
    }

    #[test]
    fn every_reason_says_whether_a_module_keeps_it() {
        let reasons = STDLIB.iter().map(|(_, _, why)| *why);
        let reasons = reasons.chain(SOURCES.iter().map(|(_, why)| *why));
        for why in reasons {
            assert!(is_kept_by_module(why).is_some(), "{why}");
        }
        assert_eq!(is_kept_by_module(SUITE), Some(true));
        assert_eq!(is_kept_by_module("a header"), Some(false));
        assert_eq!(is_kept_by_module("a note to pip"), Some(false));
        assert_eq!(is_kept_by_module("of another step"), None);
    }

    #[test]
    fn stubs_that_are_read_stay() {
        let names = ["a.pyi", "b.pyi"].map(|name| format!("{SITE}/d/{name}"));
        let files: Vec<&str> = names.iter().map(String::as_str).collect();
        let facts = TrimFacts {
            stubs: [TreePath::new("d/a.pyi").expect("path")].into(),
            ..TrimFacts::default()
        };
        assert_eq!(trimmed(&files, &facts), ["b.pyi"]);
    }

    #[test]
    fn what_an_image_may_lack_is_what_can_go() {
        let may = |path: &str| may_be_left_out(&TreePath::new(path).expect("path"), &layout());
        assert!(may("usr/share/zoneinfo/tzdata.zi"));
        assert!(may("usr/lib/python3.13/idlelib/run.py"));
        assert!(!may("usr/share/zoneinfo/Europe/Vienna"));
        assert!(!may("usr/lib/x86_64-linux-gnu/libz.so.1"));
        assert!(!may("usr/lib/python3.13/json/__init__.py"));
    }

    #[test]
    fn sources_and_stubs_go_and_data_stays() {
        let names = ["a.pyi", "a.pyx", "a.h", "a.c", "liba.a", "a.so", "a.txt"]
            .map(|name| format!("{SITE}/d/{name}"));
        let files: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(
            trimmed(&files, &TrimFacts::default()),
            ["a.c", "a.h", "a.pyi", "a.pyx", "liba.a"]
        );
    }
}
