//! What decorators make of functions and classes. Names that everybody knows are told by a table
//! in `rules/decorators.toml`; others of the tree are read. Start at [`Resolver::kind_of`].

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;

use super::eval::Scope;
use super::model::{Function, Term};
use super::resolve::Resolver;
use super::value::{FunctionId, Value};

/// What a decorated function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A function with its own signature.
    Plain,
    Property,
    Static,
    ClassMethod,
    /// Its result is entered with `with`; what it yields is bound.
    Manager,
    /// Something that is not known.
    Unknown,
}

/// Last parts of the names of decorators.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    property: BTreeSet<String>,
    manager: BTreeSet<String>,
    transparent: BTreeSet<String>,
    transparent_words: Vec<String>,
    class: BTreeSet<String>,
    class_words: Vec<String>,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    toml::from_str(include_str!("../../rules/decorators.toml")).unwrap_or_else(|_| Rules {
        property: BTreeSet::new(),
        manager: BTreeSet::new(),
        transparent: BTreeSet::new(),
        transparent_words: Vec::new(),
        class: BTreeSet::new(),
        class_words: Vec::new(),
    })
});

/// Whether a class decorator leaves the members as they are, or adds only what is read elsewhere.
pub(crate) fn keeps_class(decorator: &Term) -> bool {
    decorator.last().is_some_and(|name| {
        let name = name.as_str();
        let lower = name.to_ascii_lowercase();
        RULES.class.contains(name) || RULES.class_words.iter().any(|word| lower.contains(word))
    })
}

/// What the name of a decorator says; `None` when it is not a known one.
fn named(decorator: &Term) -> Option<Kind> {
    let name = decorator.last()?.as_str();
    let lower = name.to_ascii_lowercase();
    match name {
        "staticmethod" | "abstractstaticmethod" => return Some(Kind::Static),
        "classmethod" | "abstractclassmethod" => return Some(Kind::ClassMethod),
        _ => {}
    }
    if RULES.property.contains(name) || lower.ends_with("property") {
        return Some(Kind::Property);
    }
    if RULES.manager.contains(name) {
        return Some(Kind::Manager);
    }
    let is_transparent = RULES.transparent.contains(name)
        || RULES
            .transparent_words
            .iter()
            .any(|word| lower.contains(word));
    is_transparent.then_some(Kind::Plain)
}

impl Resolver<'_> {
    pub(crate) fn function(&self, id: FunctionId) -> &Function {
        &self.module(id.module).functions[id.function as usize]
    }

    /// What a function is once its decorators are applied.
    pub(crate) fn kind_of(&self, id: FunctionId) -> Kind {
        let function = self.function(id);
        let mut kind = Kind::Plain;
        // The innermost is applied first.
        for decorator in function.decorators.iter().rev() {
            let next = named(decorator).unwrap_or_else(|| self.read_decorator(id, decorator));
            kind = match (kind, next) {
                (Kind::Unknown, _) | (_, Kind::Unknown) => Kind::Unknown,
                (before, Kind::Plain) => before,
                (Kind::Manager, Kind::Static | Kind::ClassMethod) => next,
                (_, next) => next,
            };
        }
        kind
    }

    /// Whether its calls are entered with `with`.
    pub(crate) fn is_manager(&self, id: FunctionId) -> bool {
        let decorators = &self.function(id).decorators;
        decorators
            .iter()
            .any(|one| named(one) == Some(Kind::Manager))
    }

    /// Whether a decorator of the tree gives back the function, or one that passes everything on.
    fn read_decorator(&self, id: FunctionId, decorator: &Term) -> Kind {
        let keeps = self.decorates(id.module, decorator, |of| self.gives_back(of));
        if keeps { Kind::Plain } else { Kind::Unknown }
    }

    /// Whether a class decorator of the tree gives back the class with the members that it has.
    pub(crate) fn gives_back_class(&self, module: u32, decorator: &Term) -> bool {
        self.decorates(module, decorator, |of| {
            let function = self.function(of);
            let first = function.signature.parameters.first();
            let first = first.map(|first| &first.name);
            let is_first =
                |result: &Term| matches!(result, Term::Name(name) if Some(name) == first);
            !function.changes_first
                && !function.results.is_empty()
                && function.results.iter().all(is_first)
        })
    }

    /// Whether the function that decorates, or each that a factory of such returns, is as asked.
    fn decorates(
        &self,
        module: u32,
        decorator: &Term,
        is_as_asked: impl Fn(FunctionId) -> bool,
    ) -> bool {
        self.deeper(false, || {
            let (callee, is_factory) = match decorator {
                Term::Call(call) => (&call.callee, true),
                other => (other, false),
            };
            let values = self.eval(callee, &Scope::module(module));
            let [Value::Function(found)] = values.as_slice() else {
                return false;
            };
            if !is_factory {
                return is_as_asked(*found);
            }
            let results = &self.function(*found).results;
            let inner = results.iter().filter_map(|result| match result {
                Term::Function(inner) => Some(FunctionId {
                    module: found.module,
                    function: *inner,
                }),
                _ => None,
            });
            let inner: Vec<FunctionId> = inner.collect();
            !inner.is_empty() && inner.into_iter().all(is_as_asked)
        })
    }

    /// Whether all that a decorator returns is its argument, or a wrapper of it.
    fn gives_back(&self, id: FunctionId) -> bool {
        let function = self.function(id);
        let first = function
            .signature
            .parameters
            .first()
            .map(|first| &first.name);
        let is_kept = |result: &Term| match result {
            Term::Name(name) => Some(name) == first,
            Term::Function(inner) => {
                let inner = &self.module(id.module).functions[*inner as usize];
                inner
                    .decorators
                    .iter()
                    .any(|one| one.last().is_some_and(|name| *name == *"wraps"))
            }
            Term::Call(call) => {
                let name = call.callee.last().map(|name| name.as_str());
                let is_known =
                    matches!(name, Some("update_wrapper" | "wraps" | "cast" | "decorate"));
                let mut all = call.arguments.iter();
                is_known
                    || all
                        .any(|argument| matches!(argument, Term::Name(name) if Some(name) == first))
                        && named(&call.callee).is_some()
            }
            Term::Either(terms) => terms
                .iter()
                .all(|term| matches!(term, Term::Name(name) if Some(name) == first)),
            _ => false,
        };
        !function.results.is_empty() && function.results.iter().all(is_kept)
    }
}
