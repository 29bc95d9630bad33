//! Parts of the standard library that bring libraries of their own, and go with them where nothing that ships asks
//! for them. Start at [`leave_out`].
//!
//! Each is built only where its library is there, so all of Python's own code does without: `dbm` has other formats,
//! and what edits lines reads them plainly. Asked for is a part by an import anywhere in a distribution or the app, also
//! one that is never run, by its name in a compiled module, and by a word of the entry's command. With them go modules
//! written in Python of which a compiled twin ships.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;
use unheck_store::Store;

use super::imports::{NarrowError, Objects, database};
use super::loads::Loads;
use super::trim::{Removed, TrimFacts, remove_all};
use crate::assemble::refresh_loader_cache;
use crate::layout::Layout;
use crate::lock::Target;
use crate::tree::{Kind, Origin, Tree};

/// One part.
struct Part {
    /// Its extension modules.
    extensions: &'static [&'static str],
    /// Its package, where that is of no use without them.
    package: Option<&'static str>,
    /// Modules whose import keeps it, without a leading underscore.
    modules: &'static [&'static str],
    /// Those that compiled modules are searched for: the others are words of other things too.
    compiled: &'static [&'static str],
    reason: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        extensions: &["_sqlite3"],
        package: Some("sqlite3"),
        // From Python 3.13 on, SQLite is what `dbm` writes.
        modules: &["sqlite3", "dbm", "shelve"],
        compiled: &["sqlite3", "shelve"],
        reason: "SQLite, which nothing that ships imports",
    },
    Part {
        extensions: &["_dbm", "_gdbm"],
        package: None,
        modules: &["dbm", "gdbm", "shelve"],
        compiled: &["gdbm", "shelve"],
        reason: "Berkeley DB, which nothing that ships imports",
    },
    Part {
        extensions: &["_curses", "_curses_panel"],
        package: Some("curses"),
        modules: &["curses", "curses_panel"],
        compiled: &["curses"],
        reason: "windows on terminals, which nothing that ships imports",
    },
    Part {
        extensions: &["readline"],
        package: None,
        modules: &["readline", "rlcompleter", "cmd", "code", "pdb"],
        compiled: &["readline", "rlcompleter"],
        reason: "line editing on terminals, which nothing that ships imports",
    },
];

const LIBRARY: &str = "a library that only parts of the standard library need that are left out";

/// Compiled modules with what the standard library falls back to where they were not built.
const TWINS: [(&str, &str); 3] = [
    ("_decimal", "_pydecimal"),
    ("_datetime", "_pydatetime"),
    ("_io", "_pyio"),
];
const TWIN: &str = "the Python twin of a compiled module, which nothing that ships imports";

/// Modules that are looked for in source.
pub(crate) fn modules() -> impl Iterator<Item = &'static str> {
    let twins = TWINS.iter().map(|(_, twin)| plain(twin));
    PARTS
        .iter()
        .flat_map(|part| part.modules)
        .copied()
        .chain(twins)
}

fn plain(module: &str) -> &str {
    module.strip_prefix('_').unwrap_or(module)
}

/// Modules whose names are looked for in compiled modules.
pub(crate) fn compiled() -> impl Iterator<Item = &'static str> {
    PARTS.iter().flat_map(|part| part.compiled).copied()
}

/// Whether a module of this top-level name, with or without a leading underscore, keeps a part; as what it is noted.
pub(crate) fn keeps(top: &str) -> Option<&'static str> {
    modules().find(|module| *module == plain(top))
}

/// Whether a file that [`leave_out`] left out for this reason stays when its module is to be kept; `None` for reasons
/// of other steps.
pub(super) fn is_kept_by_module(reason: &str) -> Option<bool> {
    let of_part = reason == TWIN || PARTS.iter().any(|part| part.reason == reason);
    of_part
        .then_some(true)
        .or_else(|| (reason == LIBRARY).then_some(false))
}

/// Takes the parts out of a tree that nothing asks for, with the libraries that only those need, and the records of Debian
/// packages of which nothing is left then. Packages that the project asks for by hand stay whole.
///
/// # Errors
/// [`NarrowError`]; the tree is not to be used then.
pub(crate) fn leave_out(
    tree: &mut Tree,
    store: &Store,
    target: &Target,
    asked: (&TrimFacts, &[String]),
) -> Result<Vec<Removed>, NarrowError> {
    let removed = parts(tree, &Layout::of(&target.interpreter), asked.0);
    // Objects are not looked into where nothing can go.
    if removed.is_empty() {
        return Ok(removed);
    }
    let objects = Objects::of(tree, store)?;
    let removed = with_libraries(tree, &objects, target, asked, removed);
    refresh_loader_cache(tree, target).map_err(Box::new)?;
    Ok(removed)
}

/// The same where the objects are known; the loader's cache stays as it is.
pub(crate) fn take(
    tree: &mut Tree,
    objects: &Objects,
    target: &Target,
    asked: (&TrimFacts, &[String]),
) -> Vec<Removed> {
    let removed = parts(tree, &Layout::of(&target.interpreter), asked.0);
    match removed.is_empty() {
        true => removed,
        false => with_libraries(tree, objects, target, asked, removed),
    }
}

/// Takes parts out of a tree, the libraries that only those need, and records of packages of which nothing is left.
fn with_libraries(
    tree: &mut Tree,
    objects: &Objects,
    target: &Target,
    (facts, by_hand): (&TrimFacts, &[String]),
    mut removed: Vec<Removed>,
) -> Vec<Removed> {
    let layout = Layout::of(&target.interpreter);
    let gone: BTreeSet<TreePath> = removed.iter().map(|one| one.path.clone()).collect();
    let loads = Loads::new(tree, objects);
    let mut candidates = loads.reached(gone.iter().cloned().collect(), std::iter::empty());
    candidates.retain(|path| is_by_need(tree, target, path, by_hand));
    let left = objects.iter().map(|(path, _)| path);
    let left = left.filter(|path| !gone.contains(path) && !candidates.contains(path));
    let names = facts.libraries.iter().map(String::as_str);
    let kept = loads.reached(left.cloned().collect(), names);
    let libraries = candidates.difference(&kept);
    removed.extend(libraries.filter_map(|path| gone_from(tree, path, LIBRARY)));
    remove_all(tree, &layout, &removed);
    let records = database(tree, target);
    remove_all(tree, &layout, &records);
    removed.extend(records);
    removed.sort();
    removed
}

/// Files of parts that nothing asks for. A part that is compiled into the interpreter stays.
fn parts(tree: &Tree, layout: &Layout, facts: &TrimFacts) -> Vec<Removed> {
    let dynload = layout.stdlib.join("lib-dynload").expect("a constant name");
    let below = |directory: &TreePath| {
        let files = tree.iter().map(|(path, _)| path);
        let files = files.filter(|path| path.is_under(directory.as_str()));
        files.cloned().collect::<Vec<_>>()
    };
    let mut extensions: BTreeMap<String, TreePath> = BTreeMap::new();
    for path in below(&dynload) {
        let name = path.file_name().split('.').next().unwrap_or_default();
        extensions.insert(name.to_owned(), path.clone());
    }
    let mut removed = Vec::new();
    let idle = PARTS.iter().filter(|part| {
        let asked = |module: &&str| facts.asks_for(module);
        !part.modules.iter().any(asked) && !part.extensions.iter().any(asked)
    });
    for part in idle {
        let found = part
            .extensions
            .iter()
            .filter_map(|name| extensions.get(*name));
        let mut paths: Vec<TreePath> = found.cloned().collect();
        if let (Some(package), false) = (part.package, paths.is_empty()) {
            paths.extend(below(
                &layout.stdlib.join(package).expect("a constant name"),
            ));
        }
        let gone = paths.iter();
        removed.extend(gone.filter_map(|path| gone_from(tree, path, part.reason)));
    }
    for (compiled, twin) in TWINS {
        // No interpreter starts without `_io` in it.
        let there = compiled == "_io" || extensions.contains_key(compiled);
        if there && !facts.asks_for(plain(twin)) && !facts.asks_for(twin) {
            let path = layout
                .stdlib
                .join(&format!("{twin}.py"))
                .expect("a constant name");
            removed.extend(gone_from(tree, &path, TWIN));
        }
    }
    removed
}

fn gone_from(tree: &Tree, path: &TreePath, reason: &'static str) -> Option<Removed> {
    let node = tree.get(path)?;
    (!matches!(node.kind, Kind::Dir)).then(|| Removed::of(path, node, reason))
}

/// Whether a file is a library of Debian's that is there only because an object needs it.
fn is_by_need(tree: &Tree, target: &Target, path: &TreePath, by_hand: &[String]) -> bool {
    let Some(Origin::Deb(name)) = tree.get(path).map(|node| &node.origin) else {
        return false;
    };
    let mut debs = target.debs.iter().filter(|deb| deb.name == *name);
    !by_hand.contains(name) && debs.any(|deb| deb.is_by_need(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use unheck_base::TreePath;

    use super::{TrimFacts, is_kept_by_module, leave_out};
    use crate::scan::{ArchiveFacts, scan_source};
    use crate::steps::imports::tests::{Kit, elf, path};
    use crate::tree::{Origin, Tree};

    const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

    /// An interpreter with SQLite and line editing, which share a library with nothing and with each other.
    fn kit() -> Kit {
        let module = |name: &str| format!("lib-dynload/{name}.cpython-313-x86_64-linux-gnu.so");
        let library = |kit: Kit, deb: &str, name: &str, needed: &[&str]| {
            let at = format!("{LIBRARIES}/{name}");
            let kit = kit.deb(deb, &at, &format!("{name} <- x"), elf(name, needed));
            let record = format!("var/lib/dpkg/status.d/{deb}");
            kit.file(&record, Origin::Deb(deb.to_owned()), "Package: x\n")
        };
        let kit = Kit::app("")
            .stdlib("sqlite3/__init__.py", "from _sqlite3 import *\n")
            .stdlib("dbm/sqlite3.py", "import sqlite3\n")
            .stdlib("cmd.py", "")
            .stdlib("_pyio.py", "")
            .stdlib("_pydecimal.py", "")
            .stdlib(
                &module("_sqlite3"),
                elf("", &["libsqlite3.so.0", "libm.so.6"]),
            )
            .stdlib(&module("readline"), elf("", &["libreadline.so.8"]))
            .stdlib(
                &module("_curses"),
                elf("", &["libncursesw.so.6", "libtinfo.so.6"]),
            )
            .stdlib(&module("zlib"), elf("", &["libm.so.6"]));
        let kit = library(kit, "libsqlite3-0", "libsqlite3.so.0", &["libm.so.6"]);
        let kit = library(
            kit,
            "libreadline8t64",
            "libreadline.so.8",
            &["libtinfo.so.6"],
        );
        let kit = library(kit, "libncursesw6", "libncursesw.so.6", &["libtinfo.so.6"]);
        let kit = library(kit, "libtinfo6", "libtinfo.so.6", &[]);
        library(kit, "libc6", "libm.so.6", &[])
    }

    fn without(kit: &Kit, facts: &TrimFacts, by_hand: &[String]) -> (Tree, BTreeSet<String>) {
        let (tree, removed) = kit.with(|tree, store, request| {
            leave_out(tree, store, request.target, (facts, by_hand)).expect("parts")
        });
        let names = removed.iter().map(|one| {
            let name = one.path.file_name().split('.').next().unwrap_or_default();
            let record = one.path.is_under("var/lib/dpkg/status.d");
            if record {
                format!("record of {name}")
            } else {
                name.to_owned()
            }
        });
        (tree, names.collect())
    }

    fn importing(source: &str, place: &str) -> TrimFacts {
        let mut found = ArchiveFacts::default();
        scan_source(&path(place), source.as_bytes(), &mut found);
        let mut facts = TrimFacts::default();
        facts.add(&found);
        facts
    }

    #[test]
    fn parts_go_with_their_libraries_and_records_and_what_others_need_stays() {
        let (tree, gone) = without(&kit(), &TrimFacts::default(), &[]);
        let expected = [
            "__init__",
            "_curses",
            "_pyio",
            "_sqlite3",
            "libncursesw",
            "libreadline",
            "libsqlite3",
            "libtinfo",
            "readline",
            "record of libncursesw6",
            "record of libreadline8t64",
            "record of libsqlite3-0",
            "record of libtinfo6",
        ];
        assert_eq!(
            gone.iter().map(String::as_str).collect::<Vec<_>>(),
            expected
        );
        let stays = |at: &str| tree.get(&TreePath::new(at).expect(at)).is_some();
        assert!(stays(&format!("{LIBRARIES}/libm.so.6")) && stays("var/lib/dpkg/status.d/libc6"));
        assert!(stays("usr/lib/python3.13/dbm/sqlite3.py") && stays("usr/lib/python3.13/cmd.py"));
    }

    #[test]
    fn a_part_stays_for_whatever_may_import_it() {
        let asked = [
            ("import sqlite3\n", "d/a.py"),
            ("def f():\n    from sqlite3 import dbapi2\n", "d/a.py"),
            ("import shelve\n", "d/a.py"),
            ("import _sqlite3 as s\n", "d/testing/a.py"),
            (
                "import importlib\nx = importlib.import_module('sqlite3.dbapi2')\n",
                "d/a.py",
            ),
        ];
        for (source, place) in asked {
            let (_, gone) = without(&kit(), &importing(source, place), &[]);
            assert!(
                !gone.contains("_sqlite3") && !gone.contains("libsqlite3"),
                "{source}"
            );
            assert!(gone.contains("readline"), "{source}");
        }
        let (_, gone) = without(&kit(), &importing("import cmd\n", "d/a.py"), &[]);
        assert!(
            !gone.contains("libreadline") && !gone.contains("libtinfo"),
            "{gone:?}"
        );
        assert!(gone.contains("libncursesw") && gone.contains("libsqlite3"));
        let (_, gone) = without(&kit(), &importing("import _pyio\n", "d/a.py"), &[]);
        assert!(!gone.contains("_pyio") && gone.contains("_sqlite3"));
        // What merely has such a word imports nothing.
        let words = "import codecs\nimport my_sqlite3\nx = 'import sqlite3'\n";
        let (_, gone) = without(&kit(), &importing(words, "d/a.py"), &[]);
        assert!(
            gone.contains("_sqlite3") && gone.contains("readline"),
            "{gone:?}"
        );
    }

    #[test]
    fn a_suites_imports_count_where_a_suite_ships() {
        let mut facts = importing("import sqlite3\n", "d/tests/test_a.py");
        assert!(without(&kit(), &facts, &[]).1.contains("_sqlite3"));
        facts.add(&ArchiveFacts {
            test_imports: ["d.tests.helper".to_owned()].into(),
            ..ArchiveFacts::default()
        });
        assert!(!without(&kit(), &facts, &[]).1.contains("_sqlite3"));
    }

    #[test]
    fn libraries_stay_for_others_who_open_need_or_ask_for_them() {
        let opens = importing("import ctypes\nctypes.CDLL('libsqlite3.so.0')\n", "d/a.py");
        let (_, gone) = without(&kit(), &opens, &[]);
        assert!(
            gone.contains("_sqlite3") && !gone.contains("libsqlite3"),
            "{gone:?}"
        );
        let needs = kit().site(
            "d/x.cpython-313-x86_64-linux-gnu.so",
            elf("", &["libtinfo.so.6"]),
        );
        let (_, gone) = without(&needs, &TrimFacts::default(), &[]);
        assert!(
            gone.contains("libreadline") && !gone.contains("libtinfo"),
            "{gone:?}"
        );
        let (_, gone) = without(&kit(), &TrimFacts::default(), &["libsqlite3-0".to_owned()]);
        assert!(
            gone.contains("_sqlite3") && !gone.contains("libsqlite3"),
            "{gone:?}"
        );
        let mut kept = TrimFacts::default();
        kept.keep("readline");
        assert!(!without(&kit(), &kept, &[]).1.contains("libreadline"));
    }

    #[test]
    fn a_module_keeps_a_part_and_no_library() {
        assert_eq!(is_kept_by_module(super::PARTS[0].reason), Some(true));
        assert_eq!(is_kept_by_module(super::LIBRARY), Some(false));
        assert_eq!(is_kept_by_module("of another step"), None);
    }
}
