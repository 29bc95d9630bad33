//! Which files of a wheel or sdist are which modules. Start at [`layout`].

use std::collections::{BTreeMap, BTreeSet};

/// The files of one distribution version, wherever they are: in a zip, in a store, in memory.
pub trait Files: Sync {
    /// All paths with `/`, relative, in any order.
    fn paths(&self) -> Vec<String>;
    /// The bytes of one of the paths; `None` when they cannot be had.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
}

impl<V: AsRef<[u8]> + Sync> Files for BTreeMap<String, V> {
    fn paths(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.get(path).map(|bytes| bytes.as_ref().to_vec())
    }
}

/// Where a module's text comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) source: Option<String>,
    pub(crate) stub: Option<String>,
    pub(crate) extension: Option<String>,
    pub(crate) is_package: bool,
}

/// The modules of a distribution by dotted name. Directories without `__init__` that hold modules
/// are namespace packages; tests are left out.
pub(crate) fn layout(paths: &[String]) -> BTreeMap<String, Found> {
    let strip = sdist_prefix(paths);
    let mut modules: BTreeMap<String, Found> = BTreeMap::new();
    let tests = test_directories(paths);
    for path in paths {
        let Some(inside) = inside(path, strip.as_deref()) else {
            continue;
        };
        if is_test(path, inside, &tests) {
            continue;
        }
        let Some((name, kind, is_package)) = module(inside) else {
            continue;
        };
        let found = modules.entry(name).or_default();
        let slot = match kind {
            Kind::Source => &mut found.source,
            Kind::Stub => &mut found.stub,
            Kind::Extension => &mut found.extension,
        };
        found.is_package |= is_package;
        if slot.is_none() || is_package {
            *slot = Some(path.clone());
        }
    }
    let names: Vec<String> = modules.keys().cloned().collect();
    for name in names {
        let mut above = name.as_str();
        while let Some((parent, _)) = above.rsplit_once('.') {
            modules.entry(parent.to_owned()).or_default().is_package = true;
            above = parent;
        }
    }
    modules
}

enum Kind {
    Source,
    Stub,
    Extension,
}

/// The part of a path below the directory that is on the import path; `None` for what is not
/// imported at all.
fn inside<'p>(path: &'p str, sdist: Option<&str>) -> Option<&'p str> {
    if let Some(prefix) = sdist {
        let rest = path.strip_prefix(prefix)?.strip_prefix('/')?;
        let is_script = !rest.contains('/')
            && [
                "setup.py",
                "conftest.py",
                "noxfile.py",
                "tasks.py",
                "fabfile.py",
            ]
            .contains(&rest);
        let top = rest.split('/').next().unwrap_or_default();
        let is_aside = [
            "docs",
            "doc",
            "examples",
            "example",
            "tools",
            "scripts",
            "benchmarks",
        ]
        .contains(&top)
            && rest.contains('/');
        return (!is_script && !is_aside).then(|| rest.strip_prefix("src/").unwrap_or(rest));
    }
    let (top, rest) = path.split_once('/').unwrap_or(("", path));
    if top.ends_with(".dist-info") || top.ends_with(".egg-info") || top.ends_with("-stubs") {
        return None;
    }
    if top.ends_with(".data") {
        return rest
            .strip_prefix("purelib/")
            .or(rest.strip_prefix("platlib/"));
    }
    Some(path)
}

/// An sdist has one directory, with `PKG-INFO` in it.
fn sdist_prefix(paths: &[String]) -> Option<String> {
    let first = paths.first()?.split('/').next()?;
    let is_one = paths
        .iter()
        .all(|path| path.split('/').next() == Some(first));
    let info = format!("{first}/PKG-INFO");
    (is_one && paths.contains(&info)).then(|| first.to_owned())
}

fn module(path: &str) -> Option<(String, Kind, bool)> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, kind) = match file.rsplit_once('.')? {
        (stem, "py") => (stem, Kind::Source),
        (stem, "pyi") => (stem, Kind::Stub),
        (stem, "so" | "pyd") => (stem.split('.').next()?, Kind::Extension),
        _ => return None,
    };
    let is_package = stem == "__init__";
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    if !is_package {
        parts.push(stem);
    }
    let is_name = |part: &&str| {
        let mut characters = part.chars();
        characters
            .next()
            .is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|one| one.is_alphanumeric() || one == '_')
    };
    (!parts.is_empty() && parts.len() < 40 && parts.iter().all(is_name))
        .then(|| (parts.join("."), kind, is_package))
}

/// Directories that hold files of tests: `tests` anywhere, `test` only where it does.
fn test_directories(paths: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in paths {
        let Some((directory, file)) = path.rsplit_once('/') else {
            continue;
        };
        let name = directory.rsplit('/').next().unwrap_or_default();
        let is_tests_file = file.starts_with("test_") || file.ends_with("_test.py");
        if matches!(name, "test" | "testsuite" | "_tests") && is_tests_file {
            found.insert(directory.to_owned());
        }
    }
    found
}

fn is_test(path: &str, inside: &str, tests: &BTreeSet<String>) -> bool {
    let (directory, file) = inside.rsplit_once('/').unwrap_or(("", inside));
    let named = directory
        .split('/')
        .any(|part| matches!(part, "tests" | "_tests"));
    let file_is = file == "conftest.py" || file.starts_with("test_") && file != "test_.py";
    let below = tests.iter().any(|test| {
        path.strip_prefix(test.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    });
    named || file_is || below
}
