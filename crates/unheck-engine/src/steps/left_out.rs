//! The list of what was left out of an artifact, which the artifact carries. Start at [`list`] and
//! [`LeftOutList::read`].
//!
//! The first line is the trim level; then every path below the reason why it is left out. A path
//! that ends with `/` stands for everything that was in that directory, so that a test suite costs
//! one line.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use super::trim::{Removed, TrimLevel, is_kept_by_module};
use crate::layout::Layout;
use crate::tree::Tree;

/// Where an artifact has its list, at levels that add none to the library directory.
pub const LEFT_OUT_PATH: &str = "usr/share/unheck/left-out.txt";

/// Whether a path of an artifact is the list, wherever it is carried.
pub fn is_left_out_list(path: &str) -> bool {
    path == LEFT_OUT_PATH || path.rsplit('/').next() == Some(super::imports::finder::LIST)
}

/// A file or directory that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Where it would have been.
    pub path: TreePath,
    /// Whether everything below the path is left out.
    pub whole: bool,
    /// Why.
    pub reason: String,
}

/// The list of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutList {
    /// The level that left it out, by its word.
    pub level: String,
    /// What is left out, as it is listed.
    pub entries: Vec<LeftOut>,
}

/// The list with every file by its own path.
pub fn list(level: TrimLevel, removed: &[Removed]) -> String {
    let rows = removed.iter().map(|one| (one.reason, one.path.to_string()));
    text(level, rows.collect())
}

/// The list with one line for each directory of which `tree` has nothing left and whose files all
/// went for one reason; no text where nothing was left out.
pub fn short_list(level: TrimLevel, removed: &[Removed], tree: &Tree) -> String {
    if removed.is_empty() {
        return String::new();
    }
    let mut reasons: BTreeMap<TreePath, BTreeSet<&'static str>> = BTreeMap::new();
    for one in removed {
        let gone = one
            .path
            .ancestors()
            .filter(|above| tree.get(above).is_none());
        for above in gone {
            reasons.entry(above).or_default().insert(one.reason);
        }
    }
    let row = |one: &Removed| {
        let mut above: Vec<TreePath> = one.path.ancestors().collect();
        above.sort();
        let whole = above
            .into_iter()
            .find(|above| reasons.get(above).is_some_and(|all| all.len() == 1));
        let path = whole.map_or_else(|| one.path.to_string(), |above| format!("{above}/"));
        (one.reason, path)
    };
    text(level, removed.iter().map(row).collect())
}

fn text(level: TrimLevel, mut rows: Vec<(&'static str, String)>) -> String {
    rows.sort();
    rows.dedup();
    let mut text = format!("{level}\n");
    let mut reason = "";
    for (why, path) in rows {
        if why != reason {
            text.push_str(&format!("# {why}\n"));
            reason = why;
        }
        text.push_str(&format!("{path}\n"));
    }
    text
}

impl LeftOutList {
    /// Reads a list; a line that is no path of a tree is passed over.
    pub fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let level = lines.next().unwrap_or_default().to_owned();
        let mut reason = String::new();
        let mut entries = Vec::new();
        for line in lines {
            if let Some(why) = line.strip_prefix("# ") {
                reason = why.to_owned();
                continue;
            }
            let (path, whole) = match line.strip_suffix('/') {
                Some(directory) => (directory, true),
                None => (line, false),
            };
            entries.extend(TreePath::new(path).ok().map(|path| LeftOut {
                path,
                whole,
                reason: reason.clone(),
            }));
        }
        Self { level, entries }
    }

    /// What a name means of what was left out: a path, a path in a directory of which nothing is
    /// left, a file name, or a module.
    pub fn find<'a>(
        &'a self,
        name: &'a str,
        layout: &'a Layout,
    ) -> impl Iterator<Item = &'a LeftOut> {
        let is_path = name.contains('/');
        self.entries.iter().filter(move |one| {
            let module = || module_of(&one.path, layout);
            let below = |module: String| {
                let rest = name.strip_prefix(&module);
                rest.is_some_and(|rest| rest.is_empty() || (one.whole && rest.starts_with('.')))
            };
            one.path.as_str() == name
                || (one.whole
                    && is_path
                    && TreePath::new(name).is_ok_and(|path| path.is_under(one.path.as_str())))
                || (!is_path && (one.path.file_name() == name || module().is_some_and(below)))
        })
    }

    /// The option of `build` that keeps what was left out, asked for by `name`; none where the
    /// project asks that it goes.
    pub fn kept_by(&self, one: &LeftOut, name: &str, layout: &Layout) -> Option<String> {
        if one.reason == super::imports::ASKED {
            return None;
        }
        let of_safe = is_kept_by_module(&one.reason);
        let kept = of_safe.unwrap_or_else(|| is_module_file(&one.path));
        Some(match module_of(&one.path, layout).filter(|_| kept) {
            // What was asked for by a module's name is kept by that.
            Some(module) if name.starts_with(&format!("{module}.")) => format!("--keep {name}"),
            Some(module) => format!("--keep {module}"),
            None if of_safe.is_some() => "--trim none".to_owned(),
            None => "--trim safe".to_owned(),
        })
    }
}

fn is_module_file(path: &TreePath) -> bool {
    let name = path.file_name();
    name.ends_with(".py") || name.ends_with(".so")
}

/// The module that a path is, such as `a.b` of `a/b.py`, `a/b/__init__.py`, `a/b` and
/// `lib-dynload/a.b.cpython-313-x86_64-linux-gnu.so`.
pub fn module_of(path: &TreePath, layout: &Layout) -> Option<String> {
    let below = [&layout.site, &layout.stdlib].into_iter().find_map(|top| {
        let rest = path.as_str().strip_prefix(top.as_str())?;
        rest.strip_prefix('/')
    })?;
    let below = below.strip_prefix("lib-dynload/").unwrap_or(below);
    let (directory, file) = below.rsplit_once('/').unwrap_or(("", below));
    let stem = match file.rsplit_once('.') {
        None => file,
        Some((stem, "py" | "pyc")) => stem,
        Some((stem, "so")) => stem.split('.').next().unwrap_or(stem),
        Some(_) => return None,
    };
    let parts = directory.split('/').filter(|part| !part.is_empty());
    let parts = parts.chain((stem != "__init__").then_some(stem));
    let parts: Vec<&str> = parts.collect();
    let is_name = |part: &&str| part.chars().all(|c| c.is_alphanumeric() || c == '_');
    (!parts.is_empty() && parts.iter().all(is_name)).then(|| parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Interpreter;
    use crate::tree::{Content, Node, Origin};

    const SITE: &str = "usr/local/lib/python3.13/dist-packages";
    const SUITE: &str = "a test suite that nothing shipped imports";

    fn layout() -> Layout {
        Layout::of(&Interpreter::debian("3.13.5", "2.41"))
    }

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect(text)
    }

    fn removed(place: &str, reason: &'static str) -> Removed {
        Removed {
            path: path(place),
            origin: Origin::App,
            size: 1,
            reason,
        }
    }

    fn sample() -> LeftOutList {
        let gone = [
            removed(&format!("{SITE}/d/tests/a.py"), SUITE),
            removed(&format!("{SITE}/d/tests/sub/b.py"), SUITE),
            removed(&format!("{SITE}/d/x.h"), "a header"),
            removed(&format!("{SITE}/e/_x.pyi"), "a type stub"),
            removed(&format!("{SITE}/e/y.c"), "source of a compiled module"),
            removed(
                "usr/lib/python3.13/idlelib/run.py",
                "the IDLE editor, which nothing imports",
            ),
        ];
        let mut tree = Tree::new();
        for left in [
            format!("{SITE}/d/__init__.py"),
            "usr/lib/python3.13/os.py".to_owned(),
        ] {
            let node = Node::file(Origin::App, Content::inline("x"));
            tree.insert(path(&left), node).expect("insert");
        }
        LeftOutList::read(&short_list(TrimLevel::Safe, &gone, &tree))
    }

    #[test]
    fn a_directory_that_is_gone_for_one_reason_is_one_line() {
        let list = sample();
        assert_eq!(list.level, "safe");
        let line = |one: &LeftOut| format!("{}{}", one.path, if one.whole { "/" } else { "" });
        let lines: Vec<String> = list.entries.iter().map(line).collect();
        assert_eq!(
            lines,
            [
                &format!("{SITE}/d/x.h"),
                &format!("{SITE}/d/tests/"),
                &format!("{SITE}/e/_x.pyi"),
                &format!("{SITE}/e/y.c"),
                "usr/lib/python3.13/idlelib/",
            ]
        );
        assert_eq!(short_list(TrimLevel::Safe, &[], &Tree::new()), "");
    }

    #[test]
    fn names_are_paths_files_and_modules_and_each_has_what_keeps_it() {
        let (list, layout) = (sample(), layout());
        let keeps = |name: &str| -> Vec<String> {
            let found = list.find(name, &layout);
            found
                .filter_map(|one| list.kept_by(one, name, &layout))
                .collect()
        };
        assert_eq!(keeps("idlelib"), ["--keep idlelib"]);
        assert_eq!(keeps("idlelib.run"), ["--keep idlelib.run"]);
        assert_eq!(keeps("d.tests.sub"), ["--keep d.tests.sub"]);
        assert_eq!(
            keeps(&format!("{SITE}/d/tests/sub/b.py")),
            ["--keep d.tests"]
        );
        assert_eq!(keeps("x.h"), ["--trim none"]);
        assert_eq!(keeps(&format!("{SITE}/e/y.c")), ["--trim none"]);
        for nothing in ["d", "d.testsuite", "idlelib2", "run.py", "/", ""] {
            assert!(keeps(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn what_the_graph_left_out_is_kept_by_module_or_level() {
        let layout = layout();
        let gone = [
            removed(&format!("{SITE}/a/b.py"), "not reached"),
            removed("usr/lib/x86_64-linux-gnu/libx.so.1", "nothing needs it"),
            removed(&format!("{SITE}/a/gone.py"), super::super::imports::ASKED),
        ];
        let list = LeftOutList::read(&list(TrimLevel::Imports, &gone));
        let keep = |name: &str| {
            let one = list.find(name, &layout).next().expect(name);
            list.kept_by(one, name, &layout).unwrap_or_default()
        };
        assert_eq!(keep("a.b"), "--keep a.b");
        assert_eq!(keep("b.py"), "--keep a.b");
        assert_eq!(keep("libx.so.1"), "--trim safe");
        assert_eq!(keep("a.gone"), "");
    }

    #[test]
    fn modules_have_the_names_that_imports_use() {
        let layout = layout();
        let of = |text: &str| module_of(&path(text), &layout).unwrap_or_default();
        assert_eq!(of(&format!("{SITE}/a/__init__.py")), "a");
        assert_eq!(of(&format!("{SITE}/a/_b.abi3.so")), "a._b");
        assert_eq!(
            of("usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so"),
            "_ssl"
        );
        assert_eq!(of(&format!("{SITE}/a-1.dist-info/RECORD")), "");
        assert_eq!(of("etc/passwd"), "");
    }
}
