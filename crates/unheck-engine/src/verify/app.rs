//! Judges the app's own files without running them: [`check_sources`].
//!
//! Every file must parse, and every module that it imports must be in the root. Names are searched
//! generously: a module anywhere among the app's files counts, because only running tells what is
//! on `sys.path`.

use std::collections::BTreeSet;

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_pyapi::Context;

use super::view::View;
use crate::finding::{Finding, Severity};
use crate::layout::{APP_DIR, Layout};
use crate::scan::is_test_path;

/// Longest file that is parsed; Python itself takes longer ones, nobody writes them.
pub(super) const MAX_SOURCE: u64 = 8 << 20;

/// Modules that may be compiled into the interpreter, so that no file shows them. Those that begin
/// with `_` are never asked for.
pub(super) const BUILT_IN: &[&str] = &[
    "array",
    "atexit",
    "audioop",
    "binascii",
    "builtins",
    "cmath",
    "errno",
    "faulthandler",
    "fcntl",
    "gc",
    "grp",
    "itertools",
    "marshal",
    "math",
    "mmap",
    "nis",
    "ossaudiodev",
    "parser",
    "posix",
    "pwd",
    "pyexpat",
    "readline",
    "resource",
    "select",
    "spwd",
    "symbol",
    "sys",
    "syslog",
    "termios",
    "time",
    "unicodedata",
    "xxsubtype",
    "zlib",
];

/// Every module and package of the standard library and the installed distributions, dotted.
pub(super) fn modules(view: &View, layout: &Layout) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let dynload = layout.stdlib.join("lib-dynload").ok();
    let mut directories: Vec<String> = [&layout.site]
        .into_iter()
        .chain(&dynload)
        .map(|path| format!("{path}/"))
        .collect();
    directories.push(format!("{}/", layout.stdlib));
    for (path, _) in view.iter() {
        let text = path.as_str();
        if let Some(inner) = directories
            .iter()
            .find_map(|directory| text.strip_prefix(directory.as_str()))
        {
            found.extend(dotted(inner));
        }
    }
    found
}

/// The import name of a file or directory, by its path below a library directory.
fn dotted(inner: &str) -> Option<String> {
    let (directory, name) = inner.rsplit_once('/').unwrap_or(("", inner));
    let stem = match name.split_once('.') {
        None => name,
        Some((stem, suffix)) if suffix == "py" || suffix == "pyc" || suffix.ends_with("so") => stem,
        Some(_) => return None,
    };
    let whole = if directory.is_empty() {
        stem.to_owned()
    } else {
        format!("{directory}/{stem}")
    };
    let whole = whole.strip_suffix("/__init__").unwrap_or(&whole);
    let good =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    whole.split('/').all(good).then(|| whole.replace('/', "."))
}

/// Checks every Python file of the app's layer. `below` are the modules of the other layers.
pub(super) fn check_sources(
    view: &View,
    app_layer: usize,
    below: &BTreeSet<String>,
    layout: &Layout,
) -> Vec<Finding> {
    let site = format!("{}/", layout.site);
    let app = format!("{APP_DIR}/");
    let files: Vec<(&TreePath, &str)> = view
        .of_layer(app_layer)
        .filter_map(|(path, _)| {
            let text = path.as_str();
            Some((
                path,
                text.strip_prefix(&site)
                    .or_else(|| text.strip_prefix(&app))?,
            ))
        })
        .collect();
    let mut names = Names {
        below,
        tops: BTreeSet::new(),
        dotted: BTreeSet::new(),
    };
    for (_, inner) in &files {
        let parts: Vec<&str> = inner.split('/').collect();
        let (last, directories) = parts.split_last().unwrap_or((&"", &[]));
        names.tops.extend(directories.iter().copied());
        names.tops.extend(last.split('.').next());
        names.dotted.extend(dotted(inner));
    }
    let mut findings: Vec<Finding> = files
        .par_iter()
        .filter(|(path, _)| path.as_str().ends_with(".py"))
        .flat_map_iter(|(path, inner)| match view.read(path, MAX_SOURCE) {
            Ok(bytes) => names.source(path, inner, &bytes),
            Err(_) => Vec::new(),
        })
        .collect();
    findings.sort();
    findings.dedup();
    findings
}

/// What can be imported.
struct Names<'a> {
    below: &'a BTreeSet<String>,
    /// First names of anything among the app's files.
    tops: BTreeSet<&'a str>,
    /// Modules of the app by their whole name.
    dotted: BTreeSet<String>,
}

impl Names<'_> {
    fn source(&self, path: &TreePath, inner: &str, bytes: &[u8]) -> Vec<Finding> {
        let ships = inner.trim_end_matches(".py").split('/').all(|part| {
            !part.starts_with(|c: char| c.is_ascii_digit())
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        });
        let strict = ships && !is_test_path(inner);
        let severity = if strict {
            Severity::Error
        } else {
            Severity::Warning
        };
        let invalid = |evidence: String| {
            Finding::new(severity, "source-invalid", path.to_string(), evidence)
                .with_hint("correct the file, or leave it out with `exclude` in `[tool.unheck]`")
        };
        let parsed = match unheck_pyapi::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => return vec![invalid(error.to_string())],
        };
        if let Some(error) = parsed.errors.first() {
            return vec![invalid(format!("line {}: {}", error.line, error.message))];
        }
        let package = match inner.rsplit_once('/') {
            Some((directory, _)) => directory.replace('/', "."),
            None => String::new(),
        };
        let imports = unheck_pyapi::imports(&parsed, &package);
        imports
            .iter()
            .filter_map(|import| self.import(path, import, strict))
            .collect()
    }

    fn import(
        &self,
        path: &TreePath,
        import: &unheck_pyapi::Import,
        strict: bool,
    ) -> Option<Finding> {
        let severity = match import.context {
            Context::Module if strict && !import.dynamic => Severity::Error,
            Context::Module
            | Context::Function
            | Context::Main
            | Context::Conditional
            | Context::Lazy => Severity::Warning,
            Context::TypeChecking | Context::OtherPlatform | Context::Optional => return None,
        };
        let module = import.module.as_str();
        let top = module.split('.').next().unwrap_or_default();
        // A relative import keeps its dots only when it climbs out of every package.
        if top.is_empty() || top.starts_with('_') || BUILT_IN.contains(&top) {
            return None;
        }
        let here = self.tops.contains(top);
        if !here && !self.below.contains(top) {
            let evidence = format!("line {}: no module `{top}` is in the artifact", import.line);
            let finding = Finding::new(severity, "import-missing", path.to_string(), evidence);
            return Some(finding.with_hint(format!(
                "add the distribution that has `{top}` to the project's dependencies"
            )));
        }
        if here || module == top || self.below.contains(module) || self.dotted.contains(module) {
            return None;
        }
        // A package may make modules while it runs, so this is no more than a doubt.
        let evidence = format!(
            "line {}: no file of the artifact is the module `{module}`",
            import.line
        );
        Some(Finding::new(
            Severity::Warning,
            "import-doubtful",
            path.to_string(),
            evidence,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_import_names() {
        for (inner, expected) in [
            ("a.py", Some("a")),
            ("a/__init__.py", Some("a")),
            ("a/b.cpython-313-x86_64-linux-gnu.so", Some("a.b")),
            ("a/b", Some("a.b")),
            ("a/b.txt", None),
            ("a-1.dist-info/RECORD", None),
        ] {
            assert_eq!(dotted(inner).as_deref(), expected, "{inner}");
        }
    }

    #[test]
    fn imports_are_resolved_against_everything_that_ships() {
        let below: BTreeSet<String> = ["json", "json.tool", "site_pkg", "site_pkg.a"]
            .map(str::to_owned)
            .into();
        let names = Names {
            below: &below,
            tops: ["main", "pkg", "x"].into(),
            dotted: BTreeSet::new(),
        };
        let told = |inner: &str, source: &str| {
            let path = TreePath::new(&format!("app/{inner}")).expect("path");
            let findings = names.source(&path, inner, source.as_bytes());
            findings
                .iter()
                .map(|one| format!("{:?} {} {}", one.severity, one.rule, one.evidence))
                .collect::<Vec<_>>()
        };
        let fine = "import json.tool, sys, x\nfrom . import y\nfrom site_pkg.a import b\ntry:\n import gone\nexcept ImportError:\n gone = None\n";
        assert_eq!(told("main.py", fine), [""; 0]);
        assert_eq!(
            told("pkg/m.py", "import gone.x"),
            ["Error import-missing line 1: no module `gone` is in the artifact"]
        );
        assert_eq!(
            told("tests/m.py", "import gone"),
            ["Warning import-missing line 1: no module `gone` is in the artifact"]
        );
        assert_eq!(
            told("main.py", "def f():\n  import gone\nimport site_pkg.b\n"),
            [
                "Warning import-missing line 2: no module `gone` is in the artifact",
                "Warning import-doubtful line 3: no file of the artifact is the module `site_pkg.b`",
            ]
        );
        let broken = told("main.py", "x = (\n");
        assert!(
            broken.len() == 1 && broken[0].starts_with("Error source-invalid line "),
            "{broken:?}"
        );
    }
}
