//! The modules of a distribution version, read once and in parallel. Start at [`Tree::read`].

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use ruff_python_ast::name::Name;

use super::files::{Files, Found, layout};
use super::lower::{Place, lower};
use super::model::Module;
use crate::parse::parse;

/// More modules than any distribution has.
const MAX_MODULES: usize = 50_000;

/// For which system a tree is read: Linux, and one version of Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Major and minor version.
    pub python: (u32, u32),
}

/// The public and private modules of one version of a distribution, or of the user's code.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    pub(crate) modules: Vec<Arc<Module>>,
    pub(crate) index: BTreeMap<Name, u32>,
    /// Stubs beside source files whose names are not all known otherwise.
    pub(crate) stubs: BTreeMap<u32, Arc<Module>>,
    /// The first module that came with [`Tree::with`].
    pub(crate) users_from: u32,
    /// What was not read.
    pub left_out: Vec<LeftOut>,
}

/// A file that was not read, or not well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its path in the distribution.
    pub path: String,
    /// Why.
    pub why: String,
}

impl Tree {
    /// Reads all modules of a distribution. Files that cannot be read are in [`Tree::left_out`].
    pub fn read(files: &dyn Files, target: Target) -> Self {
        let mut paths = files.paths();
        paths.sort();
        let modules = layout(&paths);
        let read: Vec<(Module, Option<Module>, Vec<LeftOut>)> = modules
            .into_iter()
            .take(MAX_MODULES)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(name, found)| read_module(files, &name, &found, target))
            .collect();
        let mut tree = Self::default();
        for (module, stub, left_out) in read {
            let at = tree.modules.len() as u32;
            tree.index.insert(module.name.clone(), at);
            tree.modules.push(Arc::new(module));
            tree.stubs.extend(stub.map(|stub| (at, Arc::new(stub))));
            tree.left_out.extend(left_out);
        }
        tree
    }

    /// This tree with the modules of another, whose names win: a library with the code that uses
    /// it. Nothing is copied.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.users_from = self.modules.len() as u32;
        for (at, module) in other.modules.iter().enumerate() {
            let index = both.modules.len() as u32;
            both.modules.push(Arc::clone(module));
            both.index.insert(module.name.clone(), index);
            if let Some(stub) = other.stubs.get(&(at as u32)) {
                both.stubs.insert(index, Arc::clone(stub));
            }
        }
        both
    }

    /// How many modules there are.
    pub fn modules(&self) -> usize {
        self.modules.len()
    }

    /// The top-level names that can be imported.
    pub fn top_levels(&self) -> Vec<String> {
        let tops = self.index.keys().filter(|name| !name.contains('.'));
        tops.map(ToString::to_string).collect()
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }
}

fn read_module(
    files: &dyn Files,
    name: &str,
    found: &Found,
    target: Target,
) -> (Module, Option<Module>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut read = |path: &Option<String>| -> Option<Module> {
        let path = path.as_ref()?;
        let module = lowered(files, name, (path, found.is_package), target);
        match module {
            Ok(module) => {
                if module.errors > 0 {
                    left_out.push(LeftOut {
                        path: path.clone(),
                        why: format!("{} syntax errors; the rest was read", module.errors),
                    });
                }
                Some(module)
            }
            Err(why) => {
                let path = path.clone();
                left_out.push(LeftOut { path, why });
                None
            }
        }
    };
    let source = read(&found.source);
    let needs_stub = source
        .as_ref()
        .is_none_or(|module| module.dynamic.open != 0 || !module.stars.is_empty() || lazy(module));
    let stub = if needs_stub { read(&found.stub) } else { None };
    let unknown = |path: &Option<String>| Module {
        name: Name::new(name),
        path: path.clone().unwrap_or_default().into(),
        is_package: found.is_package,
        is_opaque: path.is_some(),
        ..Module::default()
    };
    match (source, stub) {
        (Some(source), stub) => (source, stub, left_out),
        (None, Some(stub)) => (stub, None, left_out),
        (None, None) => {
            let path = found.source.clone().or(found.extension.clone());
            (unknown(&path), None, left_out)
        }
    }
}

fn lazy(module: &Module) -> bool {
    !module.dynamic.tables.is_empty()
}

fn lowered(
    files: &dyn Files,
    name: &str,
    (path, is_package): (&str, bool),
    target: Target,
) -> Result<Module, String> {
    let bytes = files.read(path).ok_or("cannot be read")?;
    let parsed = parse(&bytes).map_err(|error| error.to_string())?;
    let place = Place {
        name: name.to_owned(),
        path: path.to_owned(),
        is_package,
    };
    Ok(lower(&parsed, place, target.python))
}
