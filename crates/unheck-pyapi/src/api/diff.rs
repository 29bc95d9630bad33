//! What changes for users between two trees of one distribution. Start at [`diff`].
//!
//! Every public path of the old tree is looked up in the new one; what is found there is compared
//! definition by definition, classes member by member (in `members`). One change is reported for
//! one definition, under its shortest path.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::Name;

use super::change::{Change, Location, Severity, rule};
use super::decorators::Kind;
use super::model::{Bound, Term};
use super::mro::Ancestor;
use super::resolve::{Resolver, find};
use super::shape::{Effect, Signature, compare};
use super::surface::{Definition, Surface, is_facade, is_public_module, surface};
use super::tree::Tree;
use super::value::{ClassId, FunctionId, Lookup, Receiver, Value};

/// A name that no library has: what is found under it shows how open a module is.
pub(crate) const NOBODY: &str = "unheck_nobody_has_this";

/// Nobody gives so many arguments by place; what changes behind is told, but breaks nothing.
const MAX_PLACES: usize = 8;

/// What is compared beyond names and calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// Report defaults that changed.
    pub defaults: bool,
}

/// The answer of [`diff`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The changes, sorted.
    pub changes: Vec<Change>,
    /// How many public names are new: a reason for a minor version.
    pub added: usize,
}

/// Compares two versions of a distribution.
pub fn diff(old: &Tree, new: &Tree, options: DiffOptions) -> Difference {
    let (old, new) = (Resolver::new(old), Resolver::new(new));
    let mut differ = Differ {
        old_surface: surface(&old),
        new_surface: surface(&new),
        old: &old,
        new: &new,
        options,
        seen: BTreeSet::new(),
        class_names: BTreeMap::new(),
        lost: BTreeSet::new(),
        changes: Vec::new(),
    };
    differ.run();
    let mut changes = differ.changes;
    changes.sort();
    changes.dedup();
    let old_paths = &differ.old_surface.paths;
    let added = differ
        .new_surface
        .paths
        .keys()
        .filter(|path| !old_paths.contains_key(*path));
    let added = added.count();
    Difference { changes, added }
}

/// The first path for each name: a definition that has two names is missed under both.
fn one_of_each_name<'p>(
    gone: &[(&'p String, Option<Box<str>>)],
) -> Vec<(&'p String, Option<Box<str>>)> {
    let mut seen = BTreeSet::new();
    let last = |path: &'p String| {
        path.rsplit_once('.')
            .map_or(path.as_str(), |(_, last)| last)
    };
    let first = gone.iter().filter(|(path, _)| seen.insert(last(path)));
    first.cloned().collect()
}

/// The state of a comparison.
pub(crate) struct Differ<'d, 't> {
    pub(crate) old: &'d Resolver<'t>,
    pub(crate) new: &'d Resolver<'t>,
    pub(crate) old_surface: Surface,
    pub(crate) new_surface: Surface,
    pub(crate) options: DiffOptions,
    /// Old definitions, and members of such, that are done.
    pub(crate) seen: BTreeSet<(Definition, Name)>,
    /// What users call each class.
    class_names: BTreeMap<ClassId, String>,
    /// Members that were told as lost.
    pub(crate) lost: BTreeSet<(ClassId, Name)>,
    pub(crate) changes: Vec<Change>,
}

/// One side of a change.
pub(crate) struct Side {
    pub(crate) defined: String,
    pub(crate) location: Location,
}

impl<'t> Differ<'_, 't> {
    fn run(&mut self) {
        self.name_classes();
        let removed = self.removed_modules();
        let definitions: Vec<(Definition, Vec<String>)> = self
            .old_surface
            .by_definition
            .iter()
            .map(|(definition, paths)| (definition.clone(), paths.clone()))
            .collect();
        for (definition, paths) in definitions {
            if !matches!(definition, Definition::Module(_)) {
                self.definition(&definition, &paths, &removed);
            }
        }
    }

    /// Public modules that the new tree does not have; one change for each topmost.
    fn removed_modules(&mut self) -> BTreeSet<Name> {
        let gone = |name: &Name| -> bool {
            if self.new.tree.find(name).is_some() {
                return false;
            }
            // A name of the package can stand where a module was.
            match name.rsplit_once('.') {
                Some((package, last)) => match self.new.tree.find(package) {
                    Some(at) => matches!(self.new.member(at, last), Lookup::Absent(_)),
                    None => true,
                },
                None => true,
            }
        };
        let modules = self.old_surface.modules.iter();
        let removed: BTreeSet<Name> = modules.filter(|name| gone(name)).cloned().collect();
        for name in &removed {
            let is_inner = name
                .rsplit_once('.')
                .is_some_and(|(above, _)| removed.contains(above));
            let at = self.old.tree.find(name);
            let Some(at) = at.filter(|_| !is_inner) else {
                continue;
            };
            if self.is_empty_module(at) {
                continue;
            }
            let side = Side {
                defined: name.to_string(),
                location: Location {
                    file: self.old.module(at).path.to_string(),
                    line: 1,
                },
            };
            let text = self.old.module(at).deprecated.as_deref().map(str::to_owned);
            self.add("module-removed", name, (&side, None), |change| {
                change.detail = "the module is gone".to_owned();
                change.advice = text.filter(|text| !text.is_empty());
            });
        }
        removed
    }

    /// A namespace, or a file without any public name.
    fn is_empty_module(&self, at: u32) -> bool {
        let module = self.old.module(at);
        let below = format!("{}.", module.name);
        let has_names = module
            .bindings
            .iter()
            .any(|binding| !binding.name.starts_with('_'));
        let has_modules = self
            .old_surface
            .modules
            .iter()
            .any(|name| name.starts_with(&below));
        !has_names && module.stars.is_empty() && !module.is_opaque && !has_modules
    }

    fn definition(&mut self, definition: &Definition, paths: &[String], removed: &BTreeSet<Name>) {
        let mut gone: Vec<(&String, Option<Box<str>>)> = Vec::new();
        let mut found: Option<(&String, Vec<Value>)> = None;
        for path in paths {
            let Some((module, name)) = path.rsplit_once('.') else {
                continue;
            };
            if is_in_removed(module, removed) {
                continue;
            }
            match self.lookup_new(module, name) {
                Lookup::Found(values) => {
                    if found.is_none() {
                        found = Some((path, values));
                    }
                }
                Lookup::Absent(text) => gone.push((path, text)),
                Lookup::Open(_) => self.opaque(definition, path),
            }
        }
        let first = paths.first();
        match found {
            None => {
                for (path, text) in one_of_each_name(&gone) {
                    self.removed(definition, path, text.as_deref());
                }
            }
            Some((path, values)) => {
                let path = path.clone();
                gone.retain(|(missing, _)| first == Some(missing) || self.is_exported(missing));
                for (missing, _) in one_of_each_name(&gone) {
                    self.moved(definition, missing, &path);
                }
                self.compare(definition, &path, &values);
            }
        }
    }

    /// What a path of the old tree is in the new one. Where the module answers names that cannot
    /// be read, and did so before for the same reason, the name is taken as gone.
    fn lookup_new(&self, module: &str, name: &str) -> Lookup {
        let Some(at) = self.new.tree.find(module) else {
            return Lookup::Open(1);
        };
        match self.new.member(at, name) {
            Lookup::Open(why) => {
                let before = self.old.tree.find(module);
                let before = before.map(|at| self.old.member(at, NOBODY));
                match before == Some(Lookup::Open(why)) {
                    true => Lookup::Absent(None),
                    false => Lookup::Open(why),
                }
            }
            other => other,
        }
    }

    /// Whether a path was named in `__all__`, or taken into a package on purpose.
    fn is_exported(&self, path: &str) -> bool {
        let Some((module, name)) = path.rsplit_once('.') else {
            return false;
        };
        let Some(at) = self.old.tree.find(module) else {
            return false;
        };
        let named = self.old.all(at).is_some_and(|all| all.names.contains(name));
        let module = self.old.module(at);
        named || is_facade(module) || module.is_package && !module.name.contains('.')
    }

    fn opaque(&mut self, definition: &Definition, path: &str) {
        let side = self.side(self.old, definition);
        self.add("became-opaque", path, (&side, None), |change| {
            change.detail = "its module decides at run time which names it has".to_owned();
        });
    }

    fn removed(&mut self, definition: &Definition, path: &str, text: Option<&str>) {
        if matches!(definition, Definition::Constant(..)) && is_noise(path) {
            return;
        }
        let side = self.side(self.old, definition);
        let elsewhere = self.elsewhere(definition, path);
        let announced = self.announced(definition);
        let own = text.filter(|text| !text.is_empty()).map(str::to_owned);
        let (id, detail) = match &elsewhere {
            Some(now) => ("name-moved", format!("now at {now}")),
            None => ("name-removed", "the name is gone".to_owned()),
        };
        let now = elsewhere.as_ref().map(|now| format!("use {now}"));
        self.add(id, path, (&side, None), |change| {
            change.detail = detail;
            change.advice = announced.or(own).or(now);
        });
    }

    fn moved(&mut self, definition: &Definition, missing: &str, path: &str) {
        if matches!(definition, Definition::Constant(..)) && is_noise(missing) {
            return;
        }
        let side = self.side(self.old, definition);
        let announced = self.announced(definition);
        self.add("name-moved", missing, (&side, None), |change| {
            change.detail = format!("still at {path}");
            change.advice = announced.or(Some(format!("use {path}")));
        });
    }

    /// The one public place where the new tree has a class or function of the same name.
    fn elsewhere(&self, definition: &Definition, path: &str) -> Option<String> {
        if matches!(definition, Definition::Constant(..) | Definition::Module(_)) {
            return None;
        }
        let (_, last) = path.rsplit_once('.')?;
        let is_class = matches!(definition, Definition::Class(_));
        let mut found: BTreeSet<&Definition> = BTreeSet::new();
        for ((_, name), other) in &self.new_surface.paths {
            let is_same_kind = match other {
                Definition::Class(_) => is_class,
                Definition::Function(_) => !is_class,
                _ => false,
            };
            if *name == *last && is_same_kind {
                found.insert(other);
            }
        }
        let [one] = found.into_iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        let paths = self.new_surface.by_definition.get(one)?;
        paths.first().filter(|now| *now != path).cloned()
    }

    /// What the old version said of the end of a definition.
    fn announced(&self, definition: &Definition) -> Option<String> {
        let text = match definition {
            Definition::Class(class) => self.old.class_deprecation(*class),
            Definition::Function(function) => self.old.function(*function).deprecated.as_deref(),
            _ => None,
        };
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn compare(&mut self, definition: &Definition, path: &str, values: &[Value]) {
        let new = values.iter().find_map(|value| match value {
            Value::Class(class) => Some(Definition::Class(*class)),
            Value::Function(function) => Some(Definition::Function(*function)),
            _ => None,
        });
        match (definition, new) {
            (Definition::Class(old), Some(Definition::Class(new))) => self.classes(path, *old, new),
            (Definition::Function(old), Some(Definition::Function(new))) => {
                self.functions(path, *old, new);
            }
            (Definition::Function(old), Some(Definition::Class(new))) => {
                let (was, is) = (
                    self.side(self.old, definition),
                    self.side(self.new, &Definition::Class(new)),
                );
                self.add("function-became-class", path, (&was, Some(&is)), |change| {
                    change.detail = "a function is a class now".to_owned();
                });
                let new = (Value::Class(new), is);
                self.calls(path, (Value::Function(*old), was), new);
            }
            (Definition::Class(_), Some(new @ Definition::Function(_))) => {
                let (was, is) = (self.side(self.old, definition), self.side(self.new, &new));
                self.add("kind-changed", path, (&was, Some(&is)), |change| {
                    change.detail = "a class is a function now".to_owned();
                });
            }
            (Definition::Class(_) | Definition::Function(_), None) => {
                self.became_value(definition, path, values);
            }
            (Definition::Constant(at, name), None) => self.constants(path, (*at, name), values),
            _ => {}
        }
    }

    /// A class or function that is an instance or module now.
    fn became_value(&mut self, definition: &Definition, path: &str, values: &[Value]) {
        let what = match values {
            [Value::Module(_)] => "a module",
            [Value::Instance(class)] if matches!(definition, Definition::Class(_)) => {
                match self
                    .new
                    .attribute_of(Receiver::Instance(*class), "__call__", 0)
                {
                    Lookup::Absent(_) => "an object that cannot be called",
                    _ => return,
                }
            }
            [Value::OutsideInstance(name)] if **name != *"None" => "a plain value",
            _ => return,
        };
        let was = self.side(self.old, definition);
        self.add("kind-changed", path, (&was, None), |change| {
            change.detail = format!("it is {what} now");
        });
    }

    fn constants(&mut self, path: &str, (at, name): (u32, &Name), _: &[Value]) {
        if is_noise(path) {
            return;
        }
        let literal = |resolver: &Resolver<'_>, at: u32, name: &str| -> Option<(Term, u32)> {
            let mut bindings = find(resolver.module(at), name);
            let (one, None) = (bindings.next()?, bindings.next()) else {
                return None;
            };
            match &one.what {
                Bound::Value(term @ (Term::Literal(..) | Term::Text(_)), _) => {
                    Some((term.clone(), one.line))
                }
                _ => None,
            }
        };
        let old_module = self.old.module(at);
        let Some(new_at) = self.new.tree.find(&old_module.name) else {
            return;
        };
        let (Some((was, _)), Some((is, line))) =
            (literal(self.old, at, name), literal(self.new, new_at, name))
        else {
            return;
        };
        if was == is {
            return;
        }
        let side = self.side(self.old, &Definition::Constant(at, name.clone()));
        let new = Side {
            defined: String::new(),
            location: Location {
                file: self.new.module(new_at).path.to_string(),
                line,
            },
        };
        self.add("constant-value", path, (&side, Some(&new)), |change| {
            change.detail = format!("{} became {}", literal_text(&was), literal_text(&is));
        });
    }

    pub(crate) fn functions(&mut self, path: &str, old: FunctionId, new: FunctionId) {
        let was = self.side(self.old, &Definition::Function(old));
        let is = self.side(self.new, &Definition::Function(new));
        self.deprecation(path, (self.old.function(old).deprecated.is_some(), &was), {
            (self.new.function(new).deprecated.as_deref(), &is)
        });
        if self.only_raises(path, (old, &was), (new, &is)) {
            return;
        }
        self.asynchrony(path, (old, &was), (new, &is));
        self.calls(
            path,
            (Value::Function(old), was),
            (Value::Function(new), is),
        );
    }

    pub(crate) fn only_raises(
        &mut self,
        path: &str,
        (old, was): (FunctionId, &Side),
        (new, is): (FunctionId, &Side),
    ) -> bool {
        if self.old.function(old).raises.is_some() {
            return false;
        }
        let Some(text) = self.new.function(new).raises.as_deref() else {
            return false;
        };
        // What was abstract, or returned nothing, may have raised under conditions before.
        if self.old.function(old).results.is_empty() {
            return false;
        }
        let advice = Some(text)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        self.add("only-raises", path, (was, Some(is)), |change| {
            change.detail = "it does nothing but raise".to_owned();
            change.advice = advice;
        });
        true
    }

    pub(crate) fn asynchrony(
        &mut self,
        path: &str,
        (old, was): (FunctionId, &Side),
        (new, is): (FunctionId, &Side),
    ) {
        let state = |resolver: &Resolver<'_>, id: FunctionId| {
            let function = resolver.function(id);
            (resolver.kind_of(id) != Kind::Unknown && !function.is_generator)
                .then_some(function.is_async)
        };
        let returns_awaitable = |resolver: &Resolver<'_>, id: FunctionId| {
            let returns = resolver.function(id).returns.as_ref().and_then(Term::last);
            returns.is_some_and(|name| {
                matches!(name.as_str(), "Awaitable" | "Coroutine" | "Future" | "Task")
            })
        };
        match (state(self.old, old), state(self.new, new)) {
            (Some(false), Some(true)) if !returns_awaitable(self.old, old) => {
                self.add("became-async", path, (was, Some(is)), |change| {
                    change.detail = "`def` became `async def`".to_owned();
                });
            }
            (Some(true), Some(false))
                if !returns_awaitable(self.new, new)
                    && self.new.function(new).returns.is_some() =>
            {
                self.add("no-longer-async", path, (was, Some(is)), |change| {
                    change.detail = "`async def` became `def`".to_owned();
                });
            }
            _ => {}
        }
    }

    /// Compares how two values are called.
    pub(crate) fn calls(
        &mut self,
        path: &str,
        (old, was): (Value, Side),
        (new, is): (Value, Side),
    ) {
        let signatures = match (self.old.signature(&old), self.new.signature(&new)) {
            (Some(old), Some(new)) => Some((old, new)),
            _ => self.same_decorators(&old, &new),
        };
        let Some((before, after)) = signatures else {
            return;
        };
        self.signature(path, (&before, &was), (&after, &is));
    }

    /// Signatures below decorators that are not known but did not change.
    fn same_decorators(&self, old: &Value, new: &Value) -> Option<(Signature, Signature)> {
        let (old_id, new_id, is_bound) = match (old, new) {
            (Value::Function(old), Value::Function(new)) => (*old, *new, false),
            (Value::Method(old, _), Value::Method(new, _)) => (*old, *new, true),
            _ => return None,
        };
        let (old, new) = (self.old.function(old_id), self.new.function(new_id));
        let name = |term: &Term| term.last().cloned();
        let names = |list: &[Term]| -> Vec<Option<Name>> { list.iter().map(name).collect() };
        if names(&old.decorators) != names(&new.decorators) {
            return None;
        }
        match is_bound {
            true => Some((old.signature.bound(), new.signature.bound())),
            false => Some((old.signature.clone(), new.signature.clone())),
        }
    }

    pub(crate) fn signature(
        &mut self,
        path: &str,
        (before, was): (&Signature, &Side),
        (after, is): (&Signature, &Side),
    ) {
        let change_text = format!("{before} became {after}");
        match compare(before, after) {
            Some(Effect::Raises { witness, error }) => {
                self.add("call-raises", path, (was, Some(is)), |change| {
                    change.witness = Some(format!("{path}{witness}"));
                    change.detail = format!("{error}; {change_text}");
                });
            }
            Some(Effect::Reaches {
                witness,
                place,
                old,
                new,
            }) => {
                self.add("argument-reaches-other", path, (was, Some(is)), |change| {
                    change.witness = Some(format!("{path}{witness}"));
                    change.detail = format!("argument {} reached `{old}`, now `{new}`", place + 1);
                    if place >= MAX_PLACES {
                        change.severity = Severity::Soft;
                        change.breaking = false;
                    }
                });
            }
            None => {}
        }
        if self.options.defaults {
            self.defaults(path, (before, was), (after, is));
        }
    }

    fn defaults(
        &mut self,
        path: &str,
        (before, was): (&Signature, &Side),
        (after, is): (&Signature, &Side),
    ) {
        for parameter in &before.parameters {
            let other = after.by_name(&parameter.name);
            let (Some(old), Some(new)) = (
                &parameter.default,
                other.and_then(|one| one.default.as_ref()),
            ) else {
                continue;
            };
            if old != new {
                self.add("default-value", path, (was, Some(is)), |change| {
                    change.detail = format!(
                        "`{}={old}` became `{}={new}`",
                        parameter.name, parameter.name
                    );
                });
            }
        }
    }

    pub(crate) fn deprecation(
        &mut self,
        path: &str,
        (was_announced, was): (bool, &Side),
        (text, is): (Option<&str>, &Side),
    ) {
        if let (false, Some(text)) = (was_announced, text) {
            self.add("deprecation", path, (was, Some(is)), |change| {
                change.detail = "its end is announced".to_owned();
                change.advice = Some(text.to_owned()).filter(|text| !text.is_empty());
            });
        }
    }

    /// Where a definition stands.
    pub(crate) fn side(&self, resolver: &Resolver<'t>, definition: &Definition) -> Side {
        let (at, name, line) = match definition {
            Definition::Module(at) => (*at, None, 1),
            Definition::Class(class) => {
                let definition = resolver.class(*class);
                (class.module, Some(definition.name.clone()), definition.line)
            }
            Definition::Function(function) => {
                let definition = resolver.function(*function);
                let class = definition.class.map(|class| ClassId {
                    module: function.module,
                    class,
                });
                let name = match class {
                    Some(class) => Name::new(format!(
                        "{}.{}",
                        resolver.class(class).name,
                        definition.name
                    )),
                    None => definition.name.clone(),
                };
                (function.module, Some(name), definition.line)
            }
            Definition::Constant(at, name) => {
                let line = find(resolver.module(*at), name)
                    .last()
                    .map_or(1, |one| one.line);
                (*at, Some(name.clone()), line)
            }
        };
        let module = resolver.module(at);
        Side {
            defined: match name {
                Some(name) => format!("{}.{name}", module.name),
                None => module.name.to_string(),
            },
            location: Location {
                file: module.path.to_string(),
                line: line.max(1),
            },
        }
    }

    pub(crate) fn add(
        &mut self,
        id: &'static str,
        path: &str,
        (old, new): (&Side, Option<&Side>),
        fill: impl FnOnce(&mut Change),
    ) {
        let Some(rule) = rule(id) else {
            return;
        };
        let mut change = Change {
            api: path.to_owned(),
            defined: old.defined.clone(),
            kind: rule.kind,
            rule: rule.id.clone(),
            severity: rule.severity,
            breaking: rule.severity <= Severity::Silent,
            old: Some(old.location.clone()),
            new: new.map(|new| new.location.clone()),
            witness: None,
            detail: String::new(),
            advice: None,
        };
        fill(&mut change);
        if change.breaking
            && let Some(package) = self.internal(path)
        {
            change.severity = Severity::Soft;
            change.breaking = false;
            change.detail = format!(
                "{} (inside `{package}`, whose public names are above it)",
                change.detail
            );
        }
        self.changes.push(change);
    }

    /// The package `core`, `internal` or the like that a path is inside of, where the package above
    /// takes names out of it: what is not taken is not meant for users.
    fn internal<'p>(&self, path: &'p str) -> Option<&'p str> {
        let names = ["core", "internal", "internals", "impl", "vendor", "compat"];
        let (top, rest) = path.split_once('.')?;
        let (second, _) = rest.split_once('.')?;
        let package = &path[..top.len() + 1 + second.len()];
        let at = self.old.tree.find(top)?;
        let inside = self.old.tree.find(package)?;
        if !names.contains(&second) || !self.old.module(inside).is_package {
            return None;
        }
        let below = format!("{package}.");
        let is_from = |name: &Name| **name == *package || name.starts_with(&below);
        let module = self.old.module(at);
        let taken = module.bindings.iter().any(|binding| match &binding.what {
            Bound::From(from, ..) => is_from(from),
            _ => false,
        });
        (taken || module.stars.iter().any(is_from)).then_some(package)
    }

    /// The name under which users know a class: its own path, or that of a class that is derived
    /// from it where that is shorter, as `pandas.DataFrame` is for its base deep inside.
    pub(crate) fn path_of(&self, class: ClassId) -> Option<String> {
        self.class_names.get(&class).cloned()
    }

    fn name_classes(&mut self) {
        let mut names: BTreeMap<ClassId, String> = BTreeMap::new();
        for (definition, paths) in &self.old_surface.by_definition {
            let (Definition::Class(class), Some(path)) = (definition, paths.first()) else {
                continue;
            };
            for ancestor in &self.old.mro(*class).ancestors {
                let Ancestor::Inside(base) = ancestor else {
                    continue;
                };
                let depth = |path: &str| (self.internal(path).is_some(), path.matches('.').count());
                let is_own = base == class;
                let is_better = names.get(base).is_none_or(|known| {
                    let order = depth(path).cmp(&depth(known));
                    order.is_lt() || order.is_eq() && is_own
                });
                if is_better {
                    names.insert(*base, path.clone());
                }
            }
        }
        self.class_names = names;
    }
}

fn is_in_removed(module: &str, removed: &BTreeSet<Name>) -> bool {
    let mut above = module;
    loop {
        if removed.contains(above) {
            return true;
        }
        match above.rsplit_once('.') {
            Some((parent, _)) => above = parent,
            None => return false,
        }
    }
}

/// Constants that are not used as API: version numbers, loggers, type variables.
fn is_noise(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    let lower = last.to_ascii_lowercase();
    let is_short = last.len() <= 2 && last.chars().all(|one| one.is_ascii_uppercase());
    let is_named = [
        "version",
        "version_info",
        "version_tuple",
        "logger",
        "log",
        "revision",
    ];
    // `lib.version.MICRO` says which version it is.
    let is_of_version = path.rsplit('.').nth(1) == Some("version");
    is_short
        || is_of_version
        || is_named.contains(&lower.as_str())
        || lower.contains("commit_id")
        || lower.contains("revision")
        || !is_public_module(path)
}

fn literal_text(term: &Term) -> String {
    match term {
        Term::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Term::Literal(_, text) => text.to_string(),
        _ => String::new(),
    }
}
