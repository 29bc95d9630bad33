//! Which names of a tree a user can reach by an import path, and what they are. Start at
//! [`surface`].

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::Name;

use super::model::{Bound, Module, Term};
use super::resolve::{Resolver, find};
use super::value::{ClassId, FunctionId, Lookup, Value};

/// A definition, whatever path leads to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Definition {
    Module(u32),
    Class(ClassId),
    Function(FunctionId),
    /// A name of a module that holds something else.
    Constant(u32, Name),
}

/// The public names: dotted path by definition.
#[derive(Debug, Default)]
pub(crate) struct Surface {
    pub(crate) paths: BTreeMap<(Name, Name), Definition>,
    pub(crate) by_definition: BTreeMap<Definition, Vec<String>>,
    /// Public modules.
    pub(crate) modules: BTreeSet<Name>,
}

/// How good a path is as the name of a definition: short first.
pub(crate) fn rank(path: &str) -> (bool, usize, usize, &str) {
    let is_private = path
        .split('.')
        .any(|part| part.starts_with('_') && !part.starts_with("__"));
    (is_private, path.matches('.').count(), path.len(), path)
}

/// Whether all parts of a module's name are public. What a project's repository has beside its
/// package and a wheel took along by accident is nobody's API.
pub(crate) fn is_public_module(name: &str) -> bool {
    let top = name.split('.').next().unwrap_or(name);
    !matches!(top, "docs" | "examples" | "benchmarks")
        && !name
            .split('.')
            .any(|part| part.starts_with('_') || matches!(part, "tests" | "conftest"))
}

/// All public names of a tree.
pub(crate) fn surface(resolver: &Resolver<'_>) -> Surface {
    let mut surface = Surface::default();
    for (at, module) in resolver.tree.modules.iter().enumerate() {
        if !is_public_module(&module.name) {
            continue;
        }
        let at = at as u32;
        surface.modules.insert(module.name.clone());
        for name in public_names(resolver, at, module) {
            if let Some(definition) = definition(resolver, at, &name) {
                let key = (module.name.clone(), name);
                surface.paths.insert(key, definition);
            }
        }
    }
    for ((module, name), definition) in &surface.paths {
        let paths = surface.by_definition.entry(definition.clone()).or_default();
        paths.push(format!("{module}.{name}"));
    }
    for paths in surface.by_definition.values_mut() {
        paths.sort_by(|a, b| rank(a).cmp(&rank(b)));
    }
    surface
}

/// What a name of a module is defined as; `None` for submodules and what is not of the tree.
pub(crate) fn definition(resolver: &Resolver<'_>, at: u32, name: &Name) -> Option<Definition> {
    let Lookup::Found(values) = resolver.member(at, name) else {
        return None;
    };
    let (module, origin) = origin(resolver, at, name);
    let best = values.iter().find_map(|value| match value {
        Value::Class(class) => Some(Definition::Class(*class)),
        Value::Function(function) => Some(Definition::Function(*function)),
        Value::Module(other) => Some(Definition::Module(*other)),
        _ => None,
    });
    let is_outside = values
        .iter()
        .all(|value| matches!(value, Value::Outside(_)));
    match best {
        None if is_outside
            && (module, &origin) == (at, name)
            && is_import(resolver.module(at), name) =>
        {
            None
        }
        None => Some(Definition::Constant(module, origin)),
        best => best,
    }
}

fn is_import(module: &Module, name: &str) -> bool {
    find(module, name).any(|binding| matches!(binding.what, Bound::From(..) | Bound::Module(_)))
}

/// Follows imports of a name to the module that assigns it.
fn origin(resolver: &Resolver<'_>, at: u32, name: &Name) -> (u32, Name) {
    let (mut at, mut name) = (at, name.clone());
    for _ in 0..16 {
        let module = resolver.module(at);
        let next = match find(module, &name).last().map(|binding| &binding.what) {
            Some(Bound::From(from, original, _)) => resolver
                .tree
                .find(from)
                .map(|from| (from, original.clone())),
            Some(_) => None,
            None => {
                let stars = module
                    .stars
                    .iter()
                    .rev()
                    .filter_map(|star| resolver.tree.find(star));
                let mut stars = stars.filter(|star| *star != at);
                let found = stars.find(|star| resolver.member(*star, &name).is_found());
                found.map(|star| (star, name.clone()))
            }
        };
        match next {
            Some(next) => (at, name) = next,
            None => break,
        }
    }
    (at, name)
}

/// The names of a module that are meant for others.
fn public_names(resolver: &Resolver<'_>, at: u32, module: &Module) -> BTreeSet<Name> {
    let all = resolver.all(at);
    let mut names = BTreeSet::new();
    let is_complete = all.as_ref().is_some_and(|all| all.is_complete);
    names.extend(all.iter().flat_map(|all| all.names.iter().cloned()));
    if !is_complete {
        let is_facade = module.is_package || is_facade(module);
        for binding in &module.bindings {
            let counts = match &binding.what {
                Bound::Module(_) | Bound::Deleted | Bound::Declared(_) => false,
                Bound::Value(value, _) if is_incidental(value) => false,
                Bound::From(from, _, is_same) => {
                    (is_facade || *is_same) && resolver.tree.find(from).is_some()
                }
                Bound::Function(_) | Bound::Class(_) | Bound::Value(..) => true,
            };
            let is_same = matches!(binding.what, Bound::From(_, _, true));
            if counts && !binding.typing && (is_same || !binding.name.starts_with('_')) {
                names.insert(binding.name.clone());
            }
        }
        for star in &module.stars {
            names.extend(starred_names(resolver, star, 0));
        }
    }
    // Who answers for a private name means that it is used.
    names.extend(module.dynamic.names.iter().map(|(name, ..)| name.clone()));
    for table in &module.dynamic.tables {
        let keys = resolver.table(at, table);
        let keys = keys.iter().flat_map(|table| table.texts());
        names.extend(
            keys.filter(|key| !key.starts_with('_') && !key.contains(':'))
                .map(Name::new),
        );
    }
    if let Some(stub) = resolver.tree.stubs.get(&at)
        && (module.dynamic.open != 0 || module.dynamic.has_getattr || !module.stars.is_empty())
    {
        let public = stub
            .bindings
            .iter()
            .filter(|binding| !binding.name.starts_with('_'));
        let own = public.filter(|binding| match &binding.what {
            Bound::Module(_) => false,
            Bound::From(_, _, is_same) => *is_same,
            _ => true,
        });
        names.extend(own.map(|binding| binding.name.clone()));
    }
    names.retain(|name| !(name.starts_with("__") && name.ends_with("__")));
    names
}

/// Loop variables, type variables and loggers: names that a module leaves behind.
fn is_incidental(value: &Term) -> bool {
    let made_by = [
        "TypeVar",
        "ParamSpec",
        "TypeVarTuple",
        "getLogger",
        "get_logger",
        "ContextVar",
    ];
    match value {
        Term::Element(_) => true,
        Term::Call(call) => call
            .callee
            .last()
            .is_some_and(|name| made_by.contains(&name.as_str())),
        _ => false,
    }
}

/// A module that defines nothing itself and only gathers names of others.
pub(crate) fn is_facade(module: &Module) -> bool {
    let defines = |what: &Bound| matches!(what, Bound::Function(_) | Bound::Class(_));
    !module
        .bindings
        .iter()
        .any(|binding| defines(&binding.what) && !binding.name.starts_with("__"))
}

fn starred_names(resolver: &Resolver<'_>, star: &str, depth: usize) -> Vec<Name> {
    let Some(at) = resolver.tree.find(star).filter(|_| depth < 12) else {
        return Vec::new();
    };
    let module = resolver.module(at);
    let all = resolver.all(at);
    let is_complete = all.as_ref().is_some_and(|all| all.is_complete);
    let exported = all.iter().flat_map(|all| all.names.iter().cloned());
    let mut names: Vec<Name> = exported.collect();
    if !is_complete {
        let own = module.bindings.iter().filter(|binding| {
            let from_tree = match &binding.what {
                Bound::From(from, ..) => resolver.tree.find(from).is_some(),
                Bound::Module(_) => false,
                _ => true,
            };
            from_tree && !binding.typing && !binding.name.starts_with('_')
        });
        names.extend(own.map(|binding| binding.name.clone()));
        for star in &module.stars {
            names.extend(starred_names(resolver, star, depth + 1));
        }
    }
    names
}
