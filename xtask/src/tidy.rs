//! What must hold of the files of this workspace. Start at [`check`].
//!
//! Pure over a [`Tree`]: paths and texts in memory, so that every check is shown to fail by a test.

mod arrows;
mod documents;
mod rust;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;

/// The files of the workspace that git would know, by path with `/`; binary files have an empty text.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

/// One place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Path from the root of the workspace.
    path: String,
    /// Line, from 1; 0 where the whole file is meant.
    line: usize,
    /// What is wrong and what to do.
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Every violation of every rule, sorted.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    rust::check(tree, &mut found);
    documents::check(tree, &mut found);
    arrows::check(tree, &mut found);
    words::check(tree, &mut found);
    found.sort();
    found.dedup();
    found
}

impl Tree {
    /// Reads all files below `root` that `.gitignore` does not exclude.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let walk = ignore::WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .git_global(false)
            .git_exclude(false)
            .parents(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        let mut files = BTreeMap::new();
        for entry in walk {
            let entry = entry.context("cannot walk the workspace")?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let path = entry
                .path()
                .strip_prefix(root)
                .context("a file is outside the workspace")?;
            let bytes = fs_err::read(entry.path())?;
            files.insert(
                path.to_string_lossy().replace('\\', "/"),
                String::from_utf8(bytes).unwrap_or_default(),
            );
        }
        Ok(Self(files))
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a directory with files in it.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        self.0.contains_key(path)
            || self
                .0
                .range(below.clone()..)
                .next()
                .is_some_and(|(at, _)| at.starts_with(&below))
    }
}

fn violation(path: &str, line: usize, what: impl Into<String>) -> Violation {
    Violation {
        path: path.to_owned(),
        line,
        what: what.into(),
    }
}

/// Whether a tool wrote the file: it says so in one of its first lines.
fn is_generated(text: &str) -> bool {
    text.lines().take(5).any(|line| line.contains("@generated"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one check finds in a tree of such files, a line each.
    pub(super) fn found(
        check: fn(&Tree, &mut Vec<Violation>),
        files: &[(&str, &str)],
    ) -> Vec<String> {
        let tree = Tree(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        );
        let mut found = Vec::new();
        check(&tree, &mut found);
        found.sort();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tree_is_read_without_what_git_ignores_and_with_hidden_files() {
        let root = tempfile::tempdir().expect("directory");
        for (path, text) in [
            (".gitignore", "/target\n"),
            ("target/x.rs", ""),
            (".ci/run", "x"),
            ("a/b.rs", "//! b"),
        ] {
            let path = root.path().join(path);
            fs_err::create_dir_all(path.parent().expect("parent")).expect("directory");
            fs_err::write(path, text).expect("file");
        }
        let tree = Tree::read(root.path()).expect("tree");
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [".ci/run", ".gitignore", "a/b.rs"]);
        assert!(
            tree.has("a")
                && tree.has("a/")
                && tree.has("a/b.rs")
                && !tree.has("a/b")
                && !tree.has("b.rs")
        );
    }

    #[test]
    fn a_violation_names_file_and_line() {
        assert_eq!(violation("a.rs", 3, "is bad").to_string(), "a.rs:3: is bad");
        assert_eq!(violation("a.rs", 0, "is bad").to_string(), "a.rs: is bad");
    }
}
