//! What changes in a class: its constructor, bases, methods and attributes. Start at
//! [`Differ::classes`].

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::Name;

use super::change::Location;
use super::construct::{exception, exception_in_use};
use super::decorators::Kind;
use super::diff::{Differ, NOBODY, Side};
use super::model::Bound;
use super::mro::{Ancestor, Member};
use super::resolve::Resolver;
use super::surface::Definition;
use super::value::{ANYTHING, ClassId, FunctionId, Lookup, Receiver, Value};

/// Methods of Python's protocols that users reach by syntax.
const PROTOCOL: [&str; 16] = [
    "__call__",
    "__enter__",
    "__exit__",
    "__aenter__",
    "__aexit__",
    "__iter__",
    "__next__",
    "__aiter__",
    "__anext__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__len__",
    "__await__",
    "__bool__",
];

/// The deprecation of a class: its own, or the one its constructor announces.
impl Resolver<'_> {
    pub(crate) fn class_deprecation(&self, id: ClassId) -> Option<&str> {
        let class = self.class(id);
        if class.deprecated.is_some() {
            return class.deprecated.as_deref();
        }
        let init = class
            .bindings
            .iter()
            .rev()
            .find(|binding| *binding.name == *"__init__")?;
        match init.what {
            Bound::Function(function) => self.module(id.module).functions[function as usize]
                .deprecated
                .as_deref(),
            _ => None,
        }
    }
}

impl<'t> Differ<'_, 't> {
    pub(crate) fn classes(&mut self, path: &str, old: ClassId, new: ClassId) {
        let was = self.side(self.old, &Definition::Class(old));
        let is = self.side(self.new, &Definition::Class(new));
        let announced = self.old.class_deprecation(old).is_some();
        let text = self.new.class_deprecation(new).map(str::to_owned);
        self.deprecation(path, (announced, &was), (text.as_deref(), &is));
        self.lost_bases(path, (old, &was), (new, &is));
        self.constructors(path, (old, was), (new, is));
        let members = self.member_names(old);
        for (name, owner) in members {
            self.member(path, (old, owner), new, &name);
        }
    }

    /// Public names along the order, each with the class that defines it first.
    fn member_names(&self, class: ClassId) -> BTreeMap<Name, ClassId> {
        let mut names = BTreeMap::new();
        for ancestor in &self.old.mro(class).ancestors {
            let Ancestor::Inside(at) = ancestor else {
                continue;
            };
            let own = self.old.class(*at);
            let bound = own.bindings.iter().filter(|binding| !binding.typing);
            let bound = bound.map(|binding| &binding.name);
            let stored = own.stores.iter().map(|store| &store.name);
            let patched = self.old.patches.get(at).into_iter().flatten();
            let patched = patched
                .map(|(module, number)| &self.old.module(*module).patches[*number].binding.name);
            for name in bound.chain(stored).chain(patched) {
                if !name.starts_with('_') || PROTOCOL.contains(&name.as_str()) {
                    names.entry(name.clone()).or_insert(*at);
                }
            }
        }
        names
    }

    fn constructors(
        &mut self,
        path: &str,
        (old, was): (ClassId, Side),
        (new, is): (ClassId, Side),
    ) {
        let (Some(before), Some(after)) = (self.old.constructor(old), self.new.constructor(new))
        else {
            return;
        };
        let before = match before == exception() {
            true => exception_in_use(),
            false => before,
        };
        // An inherited constructor is reported for the class that has it.
        let owner = self.constructor_owner(self.old, old);
        if let Some(owner) = owner.filter(|owner| *owner != old) {
            let key = (Definition::Class(owner), Name::new_static("__init__"));
            if self
                .old_surface
                .by_definition
                .contains_key(&Definition::Class(owner))
                && self
                    .constructor_owner(self.new, new)
                    .is_some_and(|now| self.new.class(now).name == self.old.class(owner).name)
                || !self.seen.insert(key)
            {
                return;
            }
        }
        self.signature(path, (&before, &was), (&after, &is));
    }

    fn constructor_owner(&self, resolver: &Resolver<'t>, class: ClassId) -> Option<ClassId> {
        let mro = resolver.mro(class);
        mro.ancestors.iter().find_map(|ancestor| match ancestor {
            Ancestor::Inside(at) => {
                let has = |name: &str| !resolver.own(*at, name, false).is_empty();
                (has("__init__") || has("__new__")).then_some(*at)
            }
            Ancestor::Outside(_) => None,
        })
    }

    /// Bases that were known by name and are not among the bases any more.
    fn lost_bases(
        &mut self,
        path: &str,
        (old, was): (ClassId, &Side),
        (new, is): (ClassId, &Side),
    ) {
        let names = |resolver: &Resolver<'t>, class: ClassId| -> Option<BTreeSet<String>> {
            let mro = resolver.mro(class);
            mro.ancestors
                .iter()
                .skip(1)
                .map(|ancestor| match ancestor {
                    Ancestor::Inside(at) => Some(resolver.class(*at).name.to_string()),
                    Ancestor::Outside(name) if name.is_empty() => None,
                    Ancestor::Outside(name) => {
                        Some(name.rsplit('.').next().unwrap_or(name).to_owned())
                    }
                })
                .collect()
        };
        let (Some(before), Some(after)) = (names(self.old, old), names(self.new, new)) else {
            return;
        };
        let is_meant = |name: &&String| {
            !name.starts_with('_')
                && !matches!(name.as_str(), "object" | "Generic" | "Protocol" | "ABC")
                && !name.ends_with("Mixin")
        };
        let lost: Vec<&String> = before.difference(&after).filter(is_meant).collect();
        let reachable = |name: &String| {
            let inside = self
                .old_surface
                .paths
                .keys()
                .any(|(_, public)| **public == **name);
            inside || super::builtins::is_class(name)
        };
        let lost: Vec<String> = lost
            .into_iter()
            .filter(|name| reachable(name))
            .cloned()
            .collect();
        if !lost.is_empty() {
            self.add("base-removed", path, (was, Some(is)), |change| {
                change.detail = format!("no longer a subclass of {}", lost.join(", "));
            });
        }
    }

    fn member(&mut self, path: &str, (old, owner): (ClassId, ClassId), new: ClassId, name: &Name) {
        let Ok(before) = self.old.class_attribute(old, name, (true, 0)) else {
            return;
        };
        let Some(&before) = before.last() else {
            return;
        };
        let key = (Definition::Class(owner), name.clone());
        let is_first = !self.seen.contains(&key);
        let own = self.path_of(owner).unwrap_or_else(|| path.to_owned());
        match self.new.class_attribute(new, name, (true, 0)) {
            Ok(after) if is_first => {
                self.seen.insert(key);
                if let Some(&after) = after.last() {
                    self.compare_members(&format!("{own}.{name}"), (old, before), (new, after));
                }
            }
            Ok(_) | Err(Lookup::Found(_)) => {}
            Err(lookup) => {
                let nobody = self.old.class_attribute(old, NOBODY, (true, 0));
                let is_lost = matches!(lookup, Lookup::Absent(_))
                    || lookup != Lookup::Open(ANYTHING) && nobody.is_err_and(|open| open == lookup);
                // What the class that defines it has still is lost for this class alone.
                let (class, api) = match self.kept_by_owner(owner, name) {
                    true => (old, format!("{path}.{name}")),
                    false => (owner, format!("{own}.{name}")),
                };
                if is_lost && self.lost.insert((class, name.clone())) {
                    self.lost_member(&api, before);
                }
            }
        }
    }

    /// Whether the class that defines a member is still there and has it.
    fn kept_by_owner(&self, owner: ClassId, name: &Name) -> bool {
        let paths = self
            .old_surface
            .by_definition
            .get(&Definition::Class(owner));
        let Some((module, class)) = paths.and_then(|paths| paths.first()?.rsplit_once('.')) else {
            return false;
        };
        let Some(at) = self.new.tree.find(module) else {
            return false;
        };
        self.new
            .member(at, class)
            .values()
            .iter()
            .any(|value| match value {
                Value::Class(class) => self.new.class_attribute(*class, name, (true, 0)).is_ok(),
                _ => false,
            })
    }

    fn lost_member(&mut self, api: &str, before: Member<'t>) {
        let was = self.member_side(self.old, before);
        let (id, detail) = match before {
            Member::Store(..) => ("attribute-removed", "no method stores it any more"),
            Member::Binding(..) => ("member-removed", "the member is gone"),
        };
        let advice = match before {
            Member::Binding(_, module, binding) => match binding.what {
                Bound::Function(function) => {
                    let function = &self.old.module(module).functions[function as usize];
                    function.deprecated.as_deref().map(str::to_owned)
                }
                _ => None,
            },
            Member::Store(..) => None,
        };
        self.add(id, api, (&was, None), |change| {
            change.detail = detail.to_owned();
            change.advice = advice.filter(|text| !text.is_empty());
        });
    }

    fn compare_members(
        &mut self,
        api: &str,
        (old_class, before): (ClassId, Member<'t>),
        (new_class, after): (ClassId, Member<'t>),
    ) {
        let (Some(old), Some(new)) = (function_of(before), function_of(after)) else {
            return;
        };
        let (was, is) = (
            self.member_side(self.old, before),
            self.member_side(self.new, after),
        );
        self.deprecation(api, (self.old.function(old).deprecated.is_some(), &was), {
            (self.new.function(new).deprecated.as_deref(), &is)
        });
        let (old_kind, new_kind) = (self.old.kind_of(old), self.new.kind_of(new));
        let change = match (old_kind, new_kind) {
            (Kind::Unknown, _) | (_, Kind::Unknown) if old_kind != new_kind => return,
            (Kind::Property, Kind::Property) => return,
            (Kind::Property, _) => Some("a property is a method now"),
            (_, Kind::Property) => Some("a method is a property now"),
            (Kind::Static | Kind::ClassMethod, Kind::Plain) => {
                Some("it can no longer be called on the class")
            }
            _ => None,
        };
        if let Some(change) = change {
            self.add("kind-changed", api, (&was, Some(&is)), |finding| {
                finding.detail = change.to_owned();
            });
            return;
        }
        if self.only_raises(api, (old, &was), (new, &is)) {
            return;
        }
        self.asynchrony(api, (old, &was), (new, &is));
        let called = |id: FunctionId, class: ClassId, kind: Kind| match kind {
            Kind::Static => Value::Function(id),
            Kind::ClassMethod => Value::Method(id, Receiver::Class(class)),
            _ => Value::Method(id, Receiver::Instance(class)),
        };
        let old = called(old, old_class, old_kind);
        let new = called(new, new_class, new_kind);
        self.calls(api, (old, was), (new, is));
    }

    fn member_side(&self, resolver: &Resolver<'t>, member: Member<'t>) -> Side {
        let (class, module, name, line) = match member {
            Member::Binding(class, module, binding) => {
                let line = match binding.what {
                    Bound::Function(function) => {
                        resolver.module(module).functions[function as usize].line
                    }
                    _ => binding.line,
                };
                (class, module, &binding.name, line)
            }
            Member::Store(class, store) => (class, class.module, &store.name, store.line),
        };
        let owner = resolver.class(class);
        Side {
            defined: format!(
                "{}.{}.{name}",
                resolver.module(class.module).name,
                owner.name
            ),
            location: Location {
                file: resolver.module(module).path.to_string(),
                line: line.max(1),
            },
        }
    }
}

fn function_of(member: Member<'_>) -> Option<FunctionId> {
    match member {
        Member::Binding(_, module, binding) => match binding.what {
            Bound::Function(function) => Some(FunctionId { module, function }),
            _ => None,
        },
        Member::Store(..) => None,
    }
}
