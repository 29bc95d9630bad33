//! Rust files: their length, what they say of themselves, and that none is forgotten.

use super::{Tree, Violation, is_generated, violation};

/// Longest file that people write by hand, in lines.
const MAX_LINES: usize = 800;

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    let files = tree
        .iter()
        .filter(|(path, text)| path.ends_with(".rs") && !is_generated(text));
    for (path, text) in files {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            found.push(violation(
                path,
                0,
                format!("has {lines} lines: split it, {MAX_LINES} is the most"),
            ));
        }
        if must_say_what_for(path) && !text.starts_with("//! ") {
            found.push(violation(
                path,
                1,
                "begins without `//!` documentation: say what the module is for",
            ));
        }
        if let Some(stem) = module(path)
            && !is_declared(tree, path, stem)
        {
            found.push(violation(
                path,
                0,
                format!("is compiled by nobody: no `mod {stem};` in its parent module"),
            ));
        }
    }
}

/// Modules of programs and libraries, and the roots of tests and examples; the parts of a test
/// crate are explained by its root.
fn must_say_what_for(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let is_test = name == "tests.rs" || name.ends_with("_tests.rs");
    let place = parts
        .iter()
        .find(|part| ["src", "tests", "examples", "benches"].contains(part));
    match place {
        Some(&"src") => !is_test,
        Some(&"tests") => name == "main.rs" || parts.len() < 5 && parts[parts.len() - 2] == "tests",
        _ => true,
    }
}

/// The name under which a parent must declare the file; `None` for what cargo finds by itself.
fn module(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    let (_, last) = directory.rsplit_once('/')?;
    match name {
        "lib.rs" | "main.rs" | "build.rs" => None,
        "mod.rs" => Some(last),
        _ if ["tests", "examples", "benches", "bin"].contains(&last)
            && !directory.contains("/src/") =>
        {
            None
        }
        _ => name.strip_suffix(".rs"),
    }
}

/// Whether a file that can be the parent has `mod stem;` or names the file by `#[path]`.
fn is_declared(tree: &Tree, path: &str, stem: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = match name {
        "mod.rs" => directory.rsplit_once('/').map_or("", |(above, _)| above),
        _ => directory,
    };
    let siblings = tree.iter().filter(|(at, _)| {
        at.rsplit_once('/')
            .is_some_and(|(here, _)| here == directory)
    });
    let above = format!("{directory}.rs");
    let by_path = format!("#[path = \"{name}\"]");
    let declared = |text: &str| {
        text.lines().any(|line| {
            let words = line
                .trim()
                .strip_suffix(';')
                .and_then(|line| line.rsplit_once("mod "));
            words.is_some_and(|(before, after)| after == stem && !before.contains("//"))
        })
    };
    tree.text(&above).is_some_and(declared)
        || siblings.filter(|(at, _)| *at != path).any(|(at, text)| {
            let is_root = ["mod.rs", "lib.rs", "main.rs"]
                .iter()
                .any(|root| at.ends_with(&format!("/{root}")))
                // Cargo makes a program of each of these.
                || module(at).is_none();
            is_root && declared(text) || text.contains(&by_path)
        })
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    #[test]
    fn a_long_file_is_found_unless_a_tool_wrote_it() {
        let long = format!("//! Long.\n{}", "x\n".repeat(MAX_LINES));
        let generated = format!("//! @generated\n{}", "x\n".repeat(MAX_LINES));
        let files = [
            ("crates/a/src/lib.rs", long.as_str()),
            ("crates/b/src/lib.rs", generated.as_str()),
        ];
        assert_eq!(
            found(check, &files),
            ["crates/a/src/lib.rs: has 801 lines: split it, 800 is the most"]
        );
        let just = format!("//! Long.\n{}", "x\n".repeat(MAX_LINES - 1));
        assert!(found(check, &[("crates/a/src/lib.rs", &just)]).is_empty());
    }

    #[test]
    fn a_module_without_documentation_is_found_and_parts_of_tests_need_none() {
        let files = [
            ("crates/a/src/lib.rs", "pub mod x;\nmod tests;\n"),
            ("crates/a/src/x.rs", "// not a doc comment\n"),
            ("crates/a/src/tests.rs", "use x;\n"),
            ("crates/a/tests/it/main.rs", "mod part;\n"),
            ("crates/a/tests/it/part.rs", ""),
            ("crates/a/tests/live.rs", ""),
            ("crates/a/examples/e.rs", ""),
        ];
        let at = |path: &str| {
            format!("{path}:1: begins without `//!` documentation: say what the module is for")
        };
        let expected = [
            "crates/a/examples/e.rs",
            "crates/a/src/lib.rs",
            "crates/a/src/x.rs",
            "crates/a/tests/it/main.rs",
            "crates/a/tests/live.rs",
        ];
        assert_eq!(found(check, &files), expected.map(at));
    }

    #[test]
    fn a_file_that_nobody_compiles_is_found() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "//! A.\nmod one;\npub(crate) mod deep;\n// mod lost;\n",
            ),
            (
                "crates/a/src/one.rs",
                "//! One.\nmod inner;\n#[path = \"one_tests.rs\"]\nmod tests;\n",
            ),
            ("crates/a/src/one_tests.rs", ""),
            ("crates/a/src/one/inner.rs", "//! Inner.\n"),
            ("crates/a/src/deep/mod.rs", "//! Deep.\nmod x;\n"),
            ("crates/a/src/deep/x.rs", "//! X.\n"),
            ("crates/a/src/deep/lost.rs", "//! Lost.\n"),
            ("crates/a/src/lost.rs", "//! Lost.\n"),
            ("crates/a/tests/it/main.rs", "//! Tests.\nmod found;\n"),
            ("crates/a/tests/it/found.rs", ""),
            ("crates/a/tests/it/lost.rs", ""),
            ("crates/a/benches/speed.rs", "//! Speed.\nmod found;\n"),
            ("crates/a/benches/found/mod.rs", "//! Found.\n"),
            ("crates/a/benches/lost/mod.rs", "//! Lost.\n"),
        ];
        let at = |path: &str| {
            format!("{path}: is compiled by nobody: no `mod lost;` in its parent module")
        };
        let expected = [
            "crates/a/benches/lost/mod.rs",
            "crates/a/src/deep/lost.rs",
            "crates/a/src/lost.rs",
            "crates/a/tests/it/lost.rs",
        ];
        assert_eq!(found(check, &files), expected.map(at));
    }
}
