//! What a [`Term`] can be: the evaluation of expressions without running them. Start at
//! [`Resolver::eval`]; calls are in `calls`, annotations in `annotate`.

use ruff_python_ast::name::Name;

use super::builtins;
use super::model::Term;
use super::resolve::Resolver;
use super::value::{ClassId, FunctionId, Lookup, Receiver, Value, reason, tidy};

/// Where a term stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) module: u32,
    /// The class whose body or method it is in.
    pub(crate) class: Option<ClassId>,
    /// What `self` or `cls` is.
    pub(crate) receiver: Option<Receiver>,
    /// The function of the module it is in.
    pub(crate) function: Option<u32>,
}

impl Scope {
    /// The level of a module.
    pub(crate) fn module(module: u32) -> Self {
        Self {
            module,
            class: None,
            receiver: None,
            function: None,
        }
    }
}

fn outside(name: &'static str) -> Value {
    Value::OutsideInstance(Name::new_static(name))
}

impl Resolver<'_> {
    /// What a term can be; [`Value::Unknown`] among the answers where that is not all.
    pub(crate) fn eval(&self, term: &Term, scope: &Scope) -> Vec<Value> {
        self.deeper(vec![Value::Unknown], || self.eval_at(term, scope))
    }

    fn eval_at(&self, term: &Term, scope: &Scope) -> Vec<Value> {
        let values: Vec<Value> = match term {
            Term::Unknown => vec![Value::Unknown],
            Term::Name(name) => return self.eval_name(name, scope),
            Term::Attribute(owner, name) => {
                let owners = self.eval(owner, scope);
                let attributes = owners.iter().map(|owner| self.attribute(owner, name));
                attributes.flat_map(Lookup::values).collect()
            }
            Term::Call(call) => return self.eval_call(call, scope),
            Term::Subscript(parts) => match (&parts.0, &parts.1) {
                (Term::Name(name), Term::Text(module)) if *name == *"__import__" => {
                    vec![self.outside_or_module(&Name::new(module))]
                }
                (of, _) => {
                    let values = self.eval(of, scope);
                    values
                        .into_iter()
                        .flat_map(|value| self.subscripted(value))
                        .collect()
                }
            },
            Term::Text(_) => vec![outside("str")],
            Term::Literal(kind, _) => vec![outside(kind)],
            Term::Items(kind, items) => {
                let mut inner: Vec<Value> = items
                    .iter()
                    .take(4)
                    .flat_map(|item| self.eval(item, scope))
                    .collect();
                inner.dedup();
                match inner.as_slice() {
                    [one] if *one != Value::Unknown => {
                        vec![Value::Holding(
                            Name::new_static(kind),
                            Box::new(one.clone()),
                        )]
                    }
                    _ => vec![outside(kind)],
                }
            }
            Term::Table(_) => vec![outside("dict")],
            Term::Either(terms) => {
                let all = terms.iter().take(8);
                all.flat_map(|term| self.eval(term, scope)).collect()
            }
            Term::Await(waited) => {
                let values = self.eval(waited, scope);
                values.into_iter().map(awaited).collect()
            }
            Term::Element(of) => {
                let values = self.eval(of, scope);
                values
                    .iter()
                    .flat_map(|value| self.element(value))
                    .collect()
            }
            Term::Entered(of) => {
                let values = self.eval(of, scope);
                values
                    .iter()
                    .flat_map(|value| self.entered(value))
                    .collect()
            }
            Term::Function(function) => vec![Value::Function(FunctionId {
                module: scope.module,
                function: *function,
            })],
            Term::Class(class) => vec![Value::Class(ClassId {
                module: scope.module,
                class: *class,
            })],
        };
        tidy(values)
    }

    fn eval_name(&self, name: &Name, scope: &Scope) -> Vec<Value> {
        if let Some(function) = scope.function {
            let id = FunctionId {
                module: scope.module,
                function,
            };
            if let Some(values) = self.parameter(id, name, scope.receiver) {
                return values;
            }
        } else if let Some(class) = scope.class
            && class.module == scope.module
        {
            let own = self.own(class, name, false);
            if !own.is_empty() {
                return self.attribute_of(Receiver::Class(class), name, 0).values();
            }
        }
        self.global(scope.module, name)
    }

    /// A name of a module, or a builtin.
    pub(crate) fn global(&self, module: u32, name: &Name) -> Vec<Value> {
        match self.member(module, name) {
            Lookup::Found(values) => values,
            _ if builtins::is_class(name) || builtins::is_function(name) => {
                vec![Value::Outside(name.clone())]
            }
            _ => vec![Value::Unknown],
        }
    }

    /// What a parameter can be, by its annotation or by the class it is a method of.
    pub(crate) fn parameter(
        &self,
        id: FunctionId,
        name: &Name,
        receiver: Option<Receiver>,
    ) -> Option<Vec<Value>> {
        let function = self.function(id);
        let parameters = &function.signature.parameters;
        let at = parameters.iter().position(|one| one.name == *name)?;
        if at == 0 && function.class.is_some() {
            return Some(match receiver {
                Some(Receiver::Instance(class)) => vec![Value::Instance(class)],
                Some(Receiver::Class(class)) => vec![Value::Class(class)],
                None => vec![Value::Unknown],
            });
        }
        let annotation = function.annotations.iter().find(|(of, _)| of == name);
        let Some((_, annotation)) = annotation else {
            return Some(vec![Value::Unknown]);
        };
        let scope = Scope {
            module: id.module,
            class: None,
            receiver,
            function: None,
        };
        Some(match parameters[at].kind {
            super::shape::ParameterKind::VarPositional => vec![outside("tuple")],
            super::shape::ParameterKind::VarKeyword => vec![outside("dict")],
            _ => self.annotation(annotation, &scope),
        })
    }

    /// An attribute of a value.
    pub(crate) fn attribute(&self, value: &Value, name: &str) -> Lookup {
        match value {
            Value::Module(module) => self.member(*module, name),
            Value::Class(class) => self.attribute_of(Receiver::Class(*class), name, 0),
            Value::Instance(class) => self.attribute_of(Receiver::Instance(*class), name, 0),
            Value::Super(class) => self.attribute_of(Receiver::Instance(*class), name, 1),
            Value::Outside(owner) => {
                let whole = format!("{owner}.{name}");
                Lookup::Found(vec![self.outside_or_module(&Name::new(whole))])
            }
            Value::Holding(of, _) if *of == *"Coroutine" => {
                let known = [
                    "send",
                    "throw",
                    "close",
                    "cr_await",
                    "cr_code",
                    "cr_frame",
                    "cr_running",
                ];
                match known.contains(&name) || name.starts_with("__") {
                    true => Lookup::Found(vec![Value::Unknown]),
                    false => Lookup::Absent(None),
                }
            }
            // Functions may be given attributes, and others are not looked at.
            Value::Function(_) | Value::Method(..) => Lookup::Open(reason("function")),
            Value::Holding(..) | Value::OutsideInstance(_) | Value::Unknown => {
                Lookup::Open(reason("unknown"))
            }
        }
    }

    pub(crate) fn subscripted(&self, value: Value) -> Vec<Value> {
        match value {
            // `Generic[T]`
            Value::Class(_) => vec![value],
            Value::Instance(class) => self.special(class, "__getitem__"),
            Value::Holding(of, inner) if *of != *"Coroutine" && *of != *"contextmanager" => {
                vec![*inner]
            }
            _ => vec![Value::Unknown],
        }
    }

    /// What a method of an instance gives.
    fn special(&self, class: ClassId, name: &str) -> Vec<Value> {
        let receiver = Receiver::Instance(class);
        let methods = self.attribute_of(receiver, name, 0).values();
        let results = methods.into_iter().flat_map(|method| match method {
            Value::Method(function, receiver) => self.function_result(function, Some(receiver)),
            _ => vec![Value::Unknown],
        });
        tidy(results.collect())
    }

    /// What iterating over a value gives.
    pub(crate) fn element(&self, value: &Value) -> Vec<Value> {
        match value {
            Value::Holding(of, inner) if *of != *"Coroutine" && *of != *"contextmanager" => {
                vec![(**inner).clone()]
            }
            Value::Instance(class) => self.deeper(vec![Value::Unknown], || {
                let iterators = self.special(*class, "__iter__");
                let elements = iterators.iter().flat_map(|iterator| match iterator {
                    Value::Instance(other) if other == class => self.special(*class, "__next__"),
                    other => self.element(other),
                });
                tidy(elements.collect())
            }),
            _ => vec![Value::Unknown],
        }
    }

    /// What `with value as x` binds.
    pub(crate) fn entered(&self, value: &Value) -> Vec<Value> {
        match value {
            Value::Holding(of, inner) if *of == *"contextmanager" => vec![(**inner).clone()],
            Value::Instance(class) => {
                let by = match self.attribute_of(Receiver::Instance(*class), "__enter__", 0) {
                    Lookup::Found(_) => "__enter__",
                    _ => "__aenter__",
                };
                self.special(*class, by).into_iter().map(awaited).collect()
            }
            _ => vec![Value::Unknown],
        }
    }
}

/// What `await value` gives.
pub(crate) fn awaited(value: Value) -> Value {
    match value {
        Value::Holding(of, inner) if *of == *"Coroutine" => *inner,
        // `__aenter__` is awaited by Python itself and may have been read already.
        Value::Instance(_) => value,
        _ => Value::Unknown,
    }
}
