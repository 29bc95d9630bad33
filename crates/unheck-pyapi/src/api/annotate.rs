//! What an annotation says a value is. Start at [`Resolver::annotation`].

use ruff_python_ast::name::Name;

use super::builtins;
use super::eval::Scope;
use super::model::{Bound, Term};
use super::resolve::{Resolver, find};
use super::term::term;
use super::value::{Lookup, Receiver, Value, tidy};

impl Resolver<'_> {
    /// What a value with this annotation can be.
    pub(crate) fn annotation(&self, annotation: &Term, scope: &Scope) -> Vec<Value> {
        self.deeper(vec![Value::Unknown], || {
            tidy(self.annotation_at(annotation, scope))
        })
    }

    fn annotation_at(&self, annotation: &Term, scope: &Scope) -> Vec<Value> {
        match annotation {
            Term::Text(text) if text.len() < 500 => {
                match ruff_python_parser::parse_expression(text) {
                    Ok(parsed) => self.annotation(&term(parsed.expr()), scope),
                    Err(_) => vec![Value::Unknown],
                }
            }
            Term::Literal("None", _) => vec![none()],
            Term::Either(terms) => {
                let all = terms.iter().flat_map(|term| self.annotation(term, scope));
                all.collect()
            }
            Term::Subscript(parts) => self.subscript_annotation(&parts.0, &parts.1, scope),
            Term::Name(_) | Term::Attribute(..) => self.named_annotation(annotation, scope),
            _ => vec![Value::Unknown],
        }
    }

    fn named_annotation(&self, annotation: &Term, scope: &Scope) -> Vec<Value> {
        let last = annotation.last().map(Name::as_str).unwrap_or_default();
        if matches!(last, "Self" | "SelfType") {
            return match scope.receiver {
                Some(Receiver::Instance(class) | Receiver::Class(class)) => {
                    vec![Value::Instance(class)]
                }
                None => scope
                    .class
                    .map_or(vec![Value::Unknown], |class| vec![Value::Instance(class)]),
            };
        }
        let values = match annotation {
            Term::Name(name) => self.type_named(name, scope),
            Term::Attribute(owner, name) => {
                let owners = match &**owner {
                    Term::Name(owner) => self.type_named(owner, scope),
                    other => self.eval(other, scope),
                };
                let found = owners.iter().map(|owner| match owner {
                    Value::Module(module) => self.typed_member(*module, name),
                    other => self.attribute(other, name),
                });
                found.flat_map(Lookup::values).collect()
            }
            _ => Vec::new(),
        };
        let instances = values.into_iter().map(|value| match value {
            Value::Class(class) => Value::Instance(class),
            Value::Outside(name) if *name == *"None" => none(),
            Value::Outside(name) if builtins::is_class(&builtins::short(&name)) => {
                Value::OutsideInstance(builtins::short(&name))
            }
            _ => Value::Unknown,
        });
        let instances: Vec<Value> = instances.collect();
        match instances.iter().all(|value| *value == Value::Unknown) {
            true => self.alias(annotation, scope).unwrap_or(instances),
            false => instances,
        }
    }

    fn type_named(&self, name: &Name, scope: &Scope) -> Vec<Value> {
        if let Some(class) = scope.class {
            let is_own = self.class(class).name == *name;
            let own = self.own(class, name, false);
            let nested = own.iter().find_map(|member| match member {
                super::mro::Member::Binding(_, module, binding) => match binding.what {
                    Bound::Class(index) => Some(Value::Class(super::value::ClassId {
                        module: *module,
                        class: index,
                    })),
                    _ => None,
                },
                super::mro::Member::Store(..) => None,
            });
            if let (false, Some(nested)) = (is_own, nested) {
                return vec![nested];
            }
        }
        match self.typed_member(scope.module, name) {
            Lookup::Found(values) => values,
            _ if builtins::is_class(name) || *name == *"None" => {
                vec![Value::Outside(name.clone())]
            }
            _ => vec![Value::Unknown],
        }
    }

    /// `Alias = Union[A, B]` of module level.
    fn alias(&self, annotation: &Term, scope: &Scope) -> Option<Vec<Value>> {
        let Term::Name(name) = annotation else {
            return None;
        };
        let mut module = scope.module;
        let mut name = name.clone();
        for _ in 0..6 {
            let binding = find(self.module(module), &name).last()?;
            match &binding.what {
                Bound::Value(term @ (Term::Subscript(_) | Term::Either(_) | Term::Text(_)), _) => {
                    return Some(self.annotation(term, &Scope::module(module)));
                }
                Bound::From(from, original, _) => {
                    module = self.tree.find(from)?;
                    name = original.clone();
                }
                _ => return None,
            }
        }
        None
    }

    fn subscript_annotation(&self, of: &Term, index: &Term, scope: &Scope) -> Vec<Value> {
        let parts: &[Term] = match index {
            Term::Items("tuple", items) => items,
            one => std::slice::from_ref(one),
        };
        let first = parts.first().unwrap_or(index);
        let last = parts.last().unwrap_or(index);
        let inner = |term: &Term| self.annotation(term, scope);
        let holding = |name: &'static str, term: &Term| {
            let values = self.annotation(term, scope);
            let values = values.into_iter().map(|value| match value {
                Value::Unknown if name != "Coroutine" => Value::Unknown,
                value => Value::Holding(Name::new_static(name), Box::new(value)),
            });
            values.collect()
        };
        match of.last().map(Name::as_str).unwrap_or_default() {
            "Optional" => inner(first).into_iter().chain([none()]).collect(),
            "Union" => parts.iter().flat_map(inner).collect(),
            "Annotated" | "ClassVar" | "Final" | "Required" | "NotRequired" | "ReadOnly" => {
                inner(first)
            }
            "Type" | "type" => {
                let classes = inner(first).into_iter().map(|value| match value {
                    Value::Instance(class) => Value::Class(class),
                    _ => Value::Unknown,
                });
                classes.collect()
            }
            "Literal" => vec![Value::Unknown],
            "Generator" | "AsyncGenerator" | "Iterator" | "Iterable" | "AsyncIterator"
            | "AsyncIterable" | "List" | "list" | "Sequence" | "Set" | "set" | "FrozenSet"
            | "Collection" | "MutableSequence" | "Deque" => holding("list", first),
            "Tuple" | "tuple"
                if parts.len() == 1 || matches!(last, Term::Literal("ellipsis", _)) =>
            {
                holding("tuple", first)
            }
            "Dict" | "dict" | "Mapping" | "MutableMapping" | "OrderedDict" | "DefaultDict" => {
                vec![Value::OutsideInstance(Name::new_static("dict"))]
            }
            "Awaitable" | "Coroutine" => holding("Coroutine", last),
            "ContextManager"
            | "AsyncContextManager"
            | "AbstractContextManager"
            | "AbstractAsyncContextManager" => holding("contextmanager", first),
            _ => {
                // A generic class of the tree.
                let values = self.named_annotation(of, scope).into_iter();
                let values = values.filter(|value| matches!(value, Value::Instance(_)));
                let values: Vec<Value> = values.collect();
                match values.is_empty() {
                    true => vec![Value::Unknown],
                    false => values,
                }
            }
        }
    }
}

fn none() -> Value {
    Value::OutsideInstance(Name::new_static("None"))
}
