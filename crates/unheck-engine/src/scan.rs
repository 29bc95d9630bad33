//! What an unpacked archive (wheel, deb, app) holds that the closure cares about: ELF objects,
//! native library names in Python source, and evidence for rules. Start at [`scan_pack`].
//!
//! Pure over a pack; the answer is kept in the store by the archive's digest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Match, MatchKind};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_elf::Object;
use unheck_store::{Pack, PackEntry, PackKind, Store};

/// Raised whenever the answer for the same archive would differ.
const SCAN_VERSION: u32 = 4;

/// Longest Python file that is parsed; generated tables beyond it open no library.
const MAX_SOURCE: u64 = 8 << 20;

/// Longest ELF object that is read; the largest in real wheels have a few hundred megabytes.
const MAX_OBJECT: u64 = 4 << 30;

/// What one archive holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFacts {
    /// ELF objects of any machine, by path in the archive.
    pub objects: BTreeMap<TreePath, Object>,
    /// Files that begin like ELF and are refused, with the reason.
    pub broken: BTreeMap<TreePath, String>,
    /// Native libraries that Python source opens by name.
    pub native: Vec<NativeUse>,
    /// Top-level modules that Python source imports, of those that rules ask for.
    pub imports: BTreeSet<String>,
    /// Modules under a test suite that code outside of one imports.
    pub test_imports: BTreeSet<String>,
    /// Stubs that are read when the program runs: of sources that call `lazy_loader.attach_stub`.
    #[serde(default)]
    pub stubs: BTreeSet<TreePath>,
    /// Of the modules that keep an optional part of the standard library, those that source outside of test suites
    /// imports or a compiled module names.
    #[serde(default)]
    pub optional: BTreeSet<String>,
    /// The same, of test suites.
    #[serde(default)]
    pub suite_optional: BTreeSet<String>,
}

/// One place in Python source that opens a native library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NativeUse {
    /// The source file.
    pub path: TreePath,
    /// Line, from 1.
    pub line: u32,
    /// The names that are tried, the first first: `libmagic.so.1`, `magic`.
    pub names: Vec<String>,
}

/// An archive cannot be scanned: the store failed.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The store cannot be read or written.
    #[error("cannot keep what was found in an archive")]
    Store(#[from] unheck_store::StoreError),
    /// A member cannot be read.
    #[error("cannot read `{path}` of an unpacked archive")]
    Read {
        /// The member.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// The facts of a pack, from the store when they are known.
///
/// # Errors
/// [`ScanError`] when the store or a member cannot be read.
pub fn scan_pack(store: &Store, archive: &Digest, pack: &Pack) -> Result<ArchiveFacts, ScanError> {
    let derived = store.derived("scan", &Pack::key(archive, &format!("scan {SCAN_VERSION}")));
    if let Some(bytes) = derived.bytes(1 << 30)?
        && let Ok(facts) = serde_json::from_slice(&bytes)
    {
        return Ok(facts);
    }
    let facts = scan(pack)?;
    let bytes = serde_json::to_vec(&facts).expect("facts are strings, numbers and lists");
    derived.put_bytes(&bytes)?;
    Ok(facts)
}

fn scan(pack: &Pack) -> Result<ArchiveFacts, ScanError> {
    let found: Vec<ArchiveFacts> = pack
        .entries()
        .par_iter()
        .map(|entry| member(pack, entry))
        .collect::<Result<_, ScanError>>()?;
    let mut facts = ArchiveFacts::default();
    for mut one in found {
        facts.objects.append(&mut one.objects);
        facts.broken.append(&mut one.broken);
        facts.native.append(&mut one.native);
        facts.imports.append(&mut one.imports);
        facts.test_imports.append(&mut one.test_imports);
        facts.stubs.append(&mut one.stubs);
        facts.optional.append(&mut one.optional);
        facts.suite_optional.append(&mut one.suite_optional);
    }
    facts.native.sort();
    Ok(facts)
}

fn member(pack: &Pack, entry: &PackEntry) -> Result<ArchiveFacts, ScanError> {
    let mut facts = ArchiveFacts::default();
    let PackKind::File { offset, len, .. } = entry.kind else {
        return Ok(facts);
    };
    let read = |source| ScanError::Read {
        path: entry.path.clone(),
        source,
    };
    if entry.path.as_str().ends_with(".py") {
        if len <= MAX_SOURCE {
            let bytes = pack.bytes(entry, MAX_SOURCE).map_err(read)?;
            scan_source(&entry.path, &bytes, &mut facts);
        }
        return Ok(facts);
    }
    if !(64..=MAX_OBJECT).contains(&len) {
        return Ok(facts);
    }
    let mut magic = [0; 4];
    std::io::Read::read_exact(&mut pack.read(offset, 4), &mut magic).map_err(read)?;
    let small = len <= MAX_SOURCE;
    if small && entry.path.as_str().ends_with(".pyc") {
        let bytes = pack.bytes(entry, MAX_SOURCE).map_err(read)?;
        facts.optional.extend(named_in(&bytes));
    } else if small && magic.starts_with(b"#!") {
        let bytes = pack.bytes(entry, MAX_SOURCE).map_err(read)?;
        scan_script(&entry.path, &bytes, &mut facts);
    } else if unheck_elf::is_elf(&magic) {
        let bytes = pack.bytes(entry, MAX_OBJECT).map_err(read)?;
        facts.optional.extend(named_in(&bytes));
        match Object::parse(&bytes) {
            Ok(object) => drop(facts.objects.insert(entry.path.clone(), object)),
            Err(error) => drop(facts.broken.insert(entry.path.clone(), error.to_string())),
        }
    }
    Ok(facts)
}

/// Adds what a program tells that begins with `#!`, where Python is to run it.
pub(crate) fn scan_script(path: &TreePath, bytes: &[u8], facts: &mut ArchiveFacts) {
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    if first.starts_with(b"#!") && contains(first, b"python") {
        scan_source(path, bytes, facts);
    }
}

/// Whether a path lies in a test suite: a directory or module called so.
pub fn is_test_path(path: &str) -> bool {
    is_suite_path(path) || path.split('/').any(|part| part == "testing")
}

/// Whether a path lies in what trimming takes for a test suite, if it has tests at all.
pub(crate) fn is_suite_path(path: &str) -> bool {
    path.split('/').any(|part| {
        matches!(part, "tests" | "test" | "_tests" | "conftest.py") || part.starts_with("test_")
    })
}

/// Modules that rules ask for, besides test suites.
const WATCHED: &[&str] = &[
    "curses",
    "tkinter",
    "turtle",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "distutils",
    "readline",
    "pip",
    "pkg_resources",
    "setuptools",
    "wheel",
];

/// Adds what one Python file tells.
pub fn scan_source(path: &TreePath, bytes: &[u8], facts: &mut ArchiveFacts) {
    if is_test_path(path.as_str()) {
        let found = match is_suite_path(path.as_str()) {
            true => &mut facts.suite_optional,
            false => &mut facts.optional,
        };
        if imports_optional(bytes)
            && let Ok(parsed) = unheck_pyapi::parse(bytes)
        {
            let imports = unheck_pyapi::imports(&parsed, "").into_iter();
            found.extend(imports.filter_map(|import| optional(&import.module)));
        }
        return;
    }
    // Most files cannot matter; a search for the words is far quicker than a parse.
    let native = [&b"ctypes"[..], b"dlopen", b"CDLL", b"LoadLibrary"];
    let has = |word: &[u8]| contains(bytes, word);
    let opens = native.iter().any(|word| has(word));
    if has(b"attach_stub") {
        let stub = format!("{}i", path.as_str());
        facts.stubs.extend(TreePath::new(&stub).ok());
    }
    if !opens && !imports_watched(bytes) && !imports_optional(bytes) {
        return;
    }
    let Ok(parsed) = unheck_pyapi::parse(bytes) else {
        return;
    };
    if opens {
        // Names given to one call belong together: the first that exists is what it opens.
        let mut group = None;
        for name in unheck_pyapi::native_names(&parsed) {
            match facts.native.last_mut() {
                Some(last) if group == Some(name.group) => last.names.push(name.name),
                _ => facts.native.push(NativeUse {
                    path: path.clone(),
                    line: name.line,
                    names: vec![name.name],
                }),
            }
            group = Some(name.group);
        }
    }
    let text = path.as_str();
    let package = text
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory)
        .replace('/', ".");
    for import in unheck_pyapi::imports(&parsed, &package) {
        let top = import.module.split('.').next().unwrap_or_default();
        facts.optional.extend(optional(top));
        if WATCHED.contains(&top) {
            facts.imports.insert(top.to_owned());
        }
        // `from package import tests` names a module too.
        let member = import
            .name
            .as_ref()
            .map(|name| format!("{}.{name}", import.module));
        for module in member.into_iter().chain([import.module]) {
            if is_test_path(&module.replace('.', "/")) {
                facts.test_imports.insert(module);
            }
        }
    }
}

/// The modules of optional parts that a compiled module names.
pub(crate) fn named_in(bytes: &[u8]) -> BTreeSet<String> {
    named(&COMPILED, bytes)
}

/// The modules of optional parts that a word of a command names: `-m sqlite3`, `-c "import code"`.
pub(crate) fn named_in_command(word: &str) -> BTreeSet<String> {
    named(&OPTIONAL, word.as_bytes())
}

fn named(words: &AhoCorasick, bytes: &[u8]) -> BTreeSet<String> {
    let text = |found: Match| String::from_utf8_lossy(&bytes[found.range()]).into_owned();
    whole_words(words, bytes).map(text).collect()
}

/// The module of an optional part that an import keeps.
fn optional(module: &str) -> Option<String> {
    let top = module.split('.').next().unwrap_or_default();
    crate::steps::optional::keeps(top).map(str::to_owned)
}

/// Words that are looked for in source: whole, but for a leading underscore and `test`.
static WATCHED_WORDS: LazyLock<AhoCorasick> =
    LazyLock::new(|| words(WATCHED.iter().copied().chain(["test"])));
static OPTIONAL: LazyLock<AhoCorasick> = LazyLock::new(|| words(crate::steps::optional::modules()));
static COMPILED: LazyLock<AhoCorasick> =
    LazyLock::new(|| words(crate::steps::optional::compiled()));

fn words(list: impl Iterator<Item = &'static str>) -> AhoCorasick {
    // `gdbm` is not `dbm` with a letter before it.
    let words = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(list);
    words.expect("a few short words")
}

/// Where whole words stand in a text.
fn whole_words<'a>(words: &'a AhoCorasick, bytes: &'a [u8]) -> impl Iterator<Item = Match> + 'a {
    let is_letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied();
    words.find_iter(bytes).filter(move |found| {
        let before = is_letter(found.start().checked_sub(1));
        let after = is_letter(Some(found.end()));
        let whole = !before.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && !after.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        whole || &bytes[found.range()] == b"test"
    })
}

/// Whether a line that can be part of an import holds a word that rules ask for: one that says so, or one of nothing but
/// names, as inside the parentheses of `from package import (…)`.
fn imports_watched(bytes: &[u8]) -> bool {
    let names_only = |line: &[u8]| {
        line.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b' ' | b'(' | b')' | b'.')
        })
    };
    let found = whole_words(&WATCHED_WORDS, bytes);
    any_line(bytes, found.map(|found| found.range()), |line| {
        line.starts_with(b"import ")
            || line.starts_with(b"from ")
            || contains(line, b"import_module")
            || contains(line, b"__import__")
            || names_only(line)
    })
}

/// Whether a line that imports has the name of a module that keeps an optional part. Such modules are imported by their
/// own names, so each such line says `import`.
fn imports_optional(bytes: &[u8]) -> bool {
    let found = memchr::memmem::find_iter(bytes, b"import").map(|at| at..at + 6);
    any_line(bytes, found, |line| {
        whole_words(&OPTIONAL, line).next().is_some()
    })
}

/// Whether a line in which something was found is one of those; each is looked at once.
fn any_line(
    bytes: &[u8],
    found: impl Iterator<Item = Range<usize>>,
    is: impl Fn(&[u8]) -> bool,
) -> bool {
    let mut read = 0;
    for found in found {
        if found.start < read {
            continue;
        }
        let start = memchr::memrchr(b'\n', &bytes[..found.start]).map_or(0, |at| at + 1);
        let end = memchr::memchr(b'\n', &bytes[found.end..]);
        read = end.map_or(bytes.len(), |at| found.end + at);
        if is(bytes[start..read].trim_ascii()) {
            return true;
        }
    }
    false
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(path: &str, source: &str) -> ArchiveFacts {
        let mut facts = ArchiveFacts::default();
        scan_source(
            &TreePath::new(path).expect("path"),
            source.as_bytes(),
            &mut facts,
        );
        facts
    }

    #[test]
    fn imports_of_test_suites_are_seen_in_every_form() {
        let forms = [
            "from demo.tests import helper\n",
            "import demo.tests.helper\n",
            "from demo import (\n    core,\n    tests,\n)\n",
            "from . import tests\n",
            "def f():\n    import importlib\n    return importlib.import_module('demo.tests')\n",
        ];
        for form in forms {
            let facts = scanned("demo/__init__.py", form);
            assert!(
                facts
                    .test_imports
                    .iter()
                    .any(|module| module.starts_with("demo.tests")),
                "{form}"
            );
        }
        assert!(
            scanned("demo/a.py", "x = 'the latest test'\n")
                .test_imports
                .is_empty()
        );
        assert!(
            scanned("demo/tests/a.py", "import demo.tests.b\n")
                .test_imports
                .is_empty()
        );
    }

    #[test]
    fn compiled_modules_and_scripts_tell_what_they_name() {
        let named = |bytes: &[u8]| named_in(bytes).into_iter().collect::<Vec<_>>();
        assert_eq!(named(b"\0sqlite3\0_curses\0"), ["curses", "sqlite3"]);
        assert_eq!(named(b"\0_gdbm\0"), ["gdbm"]);
        assert!(named(b"\0sqlite3_open\0xsqlite3\0code\0").is_empty());
        let command = named_in_command("import code, sqlite3; code.interact()");
        assert_eq!(command.into_iter().collect::<Vec<_>>(), ["code", "sqlite3"]);
        let mut facts = ArchiveFacts::default();
        let path = TreePath::new("bin/run").expect("path");
        scan_script(&path, b"#!/bin/sh\nimport sqlite3\n", &mut facts);
        assert!(facts.optional.is_empty());
        scan_script(
            &path,
            b"#!/usr/bin/env python3\nimport sqlite3\n",
            &mut facts,
        );
        assert!(facts.optional.contains("sqlite3"));
    }

    #[test]
    fn stubs_that_a_lazy_loader_reads_are_noted() {
        let source =
            "import lazy_loader\n__getattr__, *_ = lazy_loader.attach_stub(__name__, __file__)\n";
        let facts = scanned("demo/__init__.py", source);
        let stubs: Vec<&str> = facts.stubs.iter().map(TreePath::as_str).collect();
        assert_eq!(stubs, ["demo/__init__.pyi"]);
        assert!(scanned("demo/a.py", "attach(x)\n").stubs.is_empty());
    }

    #[test]
    fn alternatives_of_one_call_stay_together_and_watched_modules_are_kept() {
        let source = "import ctypes, curses\nfor name in ('libmagic.so.1', 'libmagic.so'):\n    ctypes.CDLL(name)\n";
        let facts = scanned("demo/a.py", source);
        assert_eq!(facts.imports.into_iter().collect::<Vec<_>>(), ["curses"]);
        assert_eq!(facts.native.len(), 1);
        assert_eq!(facts.native[0].names, ["libmagic.so.1", "libmagic.so"]);
    }
}
