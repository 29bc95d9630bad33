//! What a wheel's file list says without reading a file: importable modules, and facts that a
//! report should name (start-up code, shadowed modules). Pure.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use crate::entry_points::is_identifier;
use crate::wheel::{SchemeKey, Wheel};

/// What stands behind an import name. The order is that of preference when two files give one
/// name: the import system looks for a package first, then an extension module, then source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModuleKind {
    /// A directory without `__init__` that has modules below it (PEP 420).
    Namespace,
    /// A source file, or bytecode without its source.
    Module,
    /// A shared object.
    Extension,
    /// A directory with `__init__`.
    Package,
}

/// Something in a wheel that runs, or hides other code, without being asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// A file that the interpreter runs or follows when it starts: `.pth`, `.start` (PEP 829),
    /// `sitecustomize`, `usercustomize` (documentation of `site`).
    StartUp(TreePath),
    /// A top-level module with the name of a module of the standard library.
    ShadowsStdlib(String),
    /// Bytecode that came in the wheel; nothing proves that it fits its source.
    Bytecode(TreePath),
}

impl Wheel {
    /// The import names that the file list gives, with `.` between the parts: each top-level
    /// module and package; and for a namespace package the namespace, and what is in it down to
    /// the first module or package that is none (`google`, `google.cloud`,
    /// `google.cloud.storage`).
    pub fn modules(&self) -> BTreeMap<String, ModuleKind> {
        modules_of(&self.library_files().collect::<Vec<_>>())
    }

    /// What the report should name, sorted. `stdlib` are the top-level names of the target's
    /// standard library.
    pub fn facts(&self, stdlib: &BTreeSet<String>) -> Vec<Fact> {
        let mut facts = BTreeSet::new();
        for member in self.members().iter().filter(|member| !member.is_dir) {
            let (scheme, path) = self.placed(member);
            let name = member.path.file_name();
            let library = matches!(scheme, SchemeKey::Purelib | SchemeKey::Platlib);
            // `site` looks only at the top of a library directory, which `data` can reach too.
            if (library && !path.contains('/')) || scheme == SchemeKey::Data {
                let stem = name.split('.').next().unwrap_or_default();
                let hook = matches!(stem, "sitecustomize" | "usercustomize");
                if name.ends_with(".pth")
                    || name.ends_with(".start")
                    || (hook && module_of(name).is_some())
                {
                    facts.insert(Fact::StartUp(member.path.clone()));
                }
            }
            // `sitecustomize/__init__.py` is the same hook as a package.
            let top = path.split('/').next().unwrap_or_default();
            if library
                && matches!(top, "sitecustomize" | "usercustomize")
                && module_of(name).is_some_and(|(module, _)| module == "__init__")
            {
                facts.insert(Fact::StartUp(member.path.clone()));
            }
            if name.ends_with(".pyc") {
                facts.insert(Fact::Bytecode(member.path.clone()));
            }
        }
        for (module, _) in self.modules() {
            if stdlib.contains(&module) {
                facts.insert(Fact::ShadowsStdlib(module));
            }
        }
        facts.into_iter().collect()
    }

    /// The files that go to a library directory, by their path in it.
    fn library_files(&self) -> impl Iterator<Item = &str> {
        let files = self.members().iter().filter(|member| !member.is_dir);
        files.filter_map(|member| {
            let (scheme, path) = self.placed(member);
            matches!(scheme, SchemeKey::Purelib | SchemeKey::Platlib).then_some(path)
        })
    }
}

/// As [`Wheel::modules`], for files that are installed already: their paths below the library
/// directory.
pub fn modules_of(files: &[&str]) -> BTreeMap<String, ModuleKind> {
    let mut packages = BTreeSet::new();
    for file in files {
        if let Some((directory, name)) = file.rsplit_once('/')
            && module_of(name).is_some_and(|(module, _)| module == "__init__")
        {
            packages.insert(directory);
        }
    }
    let mut modules = BTreeMap::new();
    for file in files {
        add_module(file, &packages, &mut modules);
    }
    modules
}

fn add_module(file: &str, packages: &BTreeSet<&str>, modules: &mut BTreeMap<String, ModuleKind>) {
    let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
    let Some((module, kind)) = module_of(name) else {
        return;
    };
    let mut add = |dotted: String, kind| {
        let known = modules.entry(dotted).or_insert(kind);
        *known = kind.max(*known);
    };
    if !directory.is_empty() {
        if !directory.split('/').all(is_identifier) {
            return;
        }
        let ends = directory.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([directory.len()]) {
            let above = &directory[..end];
            if packages.contains(above) {
                add(above.replace('/', "."), ModuleKind::Package);
                return;
            }
            add(above.replace('/', "."), ModuleKind::Namespace);
        }
    }
    match directory {
        "" if module == "__init__" => {}
        "" => add(module.into(), kind),
        directory => add(format!("{}.{module}", directory.replace('/', ".")), kind),
    }
}

/// The module that a file is, by the suffixes of the import system on Linux (PEP 3149; the
/// stable ABI's `.abi3.so`, PEP 384, and `.abi3t.so`, PEP 803).
fn module_of(name: &str) -> Option<(&str, ModuleKind)> {
    let (stem, suffix) = name.split_once('.')?;
    let kind = match suffix {
        "py" | "pyc" => ModuleKind::Module,
        "abi3.so" | "abi3t.so" => ModuleKind::Extension,
        // `libfoo.so` is by custom a library to link with.
        "so" if !stem.starts_with("lib") => ModuleKind::Extension,
        _ => {
            let tag = suffix.strip_suffix(".so")?;
            let known = tag.starts_with("cpython-") || tag.starts_with("pypy");
            (known && !tag.contains('.')).then_some(ModuleKind::Extension)?
        }
    };
    is_identifier(stem).then_some((stem, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_modules_are_known() {
        for (name, expected) in [
            ("a.py", Some(("a", ModuleKind::Module))),
            (
                "a.cpython-313-x86_64-linux-gnu.so",
                Some(("a", ModuleKind::Extension)),
            ),
            (
                "a.cpython-314t-aarch64-linux-gnu.so",
                Some(("a", ModuleKind::Extension)),
            ),
            ("a.abi3.so", Some(("a", ModuleKind::Extension))),
            ("a.so", Some(("a", ModuleKind::Extension))),
            ("liba.so", None),
            ("liba.so.1", None),
            ("a.pyi", None),
            ("a-b.py", None),
            ("a.b.py", None),
            ("README", None),
        ] {
            assert_eq!(module_of(name), expected, "{name}");
        }
    }

    #[test]
    fn namespaces_are_opened_down_to_the_first_package() {
        let files = [
            "google/cloud/storage/__init__.py",
            "google/cloud/storage/x/__init__.py",
            "google/api.py",
            "top.py",
            "pkg/__init__.cpython-313-x86_64-linux-gnu.so",
            "pkg/a.py",
            "share/doc/readme.txt",
            "a-b/c.py",
            "pkg.py",
        ];
        let packages = BTreeSet::from(["google/cloud/storage", "google/cloud/storage/x", "pkg"]);
        let mut modules = BTreeMap::new();
        for file in files {
            add_module(file, &packages, &mut modules);
        }
        let found: Vec<String> = modules
            .iter()
            .map(|(name, kind)| format!("{name} {kind:?}"))
            .collect();
        assert_eq!(
            found,
            [
                "google Namespace",
                "google.api Module",
                "google.cloud Namespace",
                "google.cloud.storage Package",
                "pkg Package",
                "top Module",
            ]
        );
    }
}
