//! What calls give. Start at [`Resolver::call`].

use ruff_python_ast::name::Name;

use super::builtins;
use super::decorators::Kind;
use super::eval::Scope;
use super::memo::Question;
use super::model::{Called, Term};
use super::resolve::Resolver;
use super::value::{ClassId, FunctionId, Lookup, Receiver, Value, tidy};

impl Resolver<'_> {
    pub(crate) fn eval_call(&self, call: &Called, scope: &Scope) -> Vec<Value> {
        if let Term::Name(name) = &call.callee
            && let Some(values) = self.builtin_call(name, call, scope)
        {
            return values;
        }
        let callees = self.eval(&call.callee, scope);
        let results = callees.iter().flat_map(|callee| match callee {
            Value::Outside(name) => self.outside_call(name, call, scope),
            other => self.call(other),
        });
        tidy(results.collect())
    }

    /// `super()`, `type(self)`, `cast(T, x)` and the like.
    fn builtin_call(&self, name: &str, call: &Called, scope: &Scope) -> Option<Vec<Value>> {
        match (name, call.arguments.as_slice()) {
            ("super", _) => {
                let class = match (call.arguments.first(), scope.class, scope.receiver) {
                    (_, Some(class), Some(Receiver::Instance(_))) => class,
                    (None, Some(class), _) => class,
                    _ => return Some(vec![Value::Unknown]),
                };
                Some(vec![Value::Super(class)])
            }
            ("type", [of]) => {
                let values = self.eval(of, scope).into_iter();
                let classes = values.map(|value| match value {
                    Value::Instance(class) => Value::Class(class),
                    _ => Value::Unknown,
                });
                Some(tidy(classes.collect()))
            }
            ("getattr", [of, Term::Text(name), ..]) => {
                let owners = self.eval(of, scope);
                let found = owners
                    .iter()
                    .flat_map(|owner| self.attribute(owner, name).values());
                Some(tidy(found.collect()))
            }
            ("iter" | "list" | "tuple" | "set" | "sorted" | "reversed", [of]) => {
                let values = self.eval(of, scope);
                let mut elements: Vec<Value> = values
                    .iter()
                    .flat_map(|value| self.element(value))
                    .collect();
                elements.dedup();
                Some(match elements.as_slice() {
                    [one] if *one != Value::Unknown => {
                        vec![Value::Holding(
                            Name::new_static("list"),
                            Box::new(one.clone()),
                        )]
                    }
                    _ => vec![Value::Unknown],
                })
            }
            ("next", [of, ..]) => {
                let values = self.eval(of, scope);
                Some(tidy(
                    values
                        .iter()
                        .flat_map(|value| self.element(value))
                        .collect(),
                ))
            }
            _ => None,
        }
    }

    fn outside_call(&self, name: &Name, call: &Called, scope: &Scope) -> Vec<Value> {
        let last = name.rsplit('.').next().unwrap_or(name);
        match (last, call.arguments.as_slice()) {
            ("cast", [to, _]) if name.contains("typing") => self.annotation(to, scope),
            ("copy" | "deepcopy", [of, ..]) if name.starts_with("copy.") => self.eval(of, scope),
            ("contextmanager", [of]) => self.eval(of, scope),
            ("import_module", [Term::Text(module)]) => {
                vec![self.outside_or_module(&Name::new(module))]
            }
            _ if builtins::is_class(name) => vec![Value::OutsideInstance(name.clone())],
            _ => vec![Value::Unknown],
        }
    }

    /// What calling a value gives, whatever the arguments.
    pub(crate) fn call(&self, callee: &Value) -> Vec<Value> {
        match callee {
            Value::Class(class) => self.instantiated(*class),
            Value::Function(function) => self.function_result(*function, None),
            Value::Method(function, receiver) => self.function_result(*function, Some(*receiver)),
            Value::Instance(class) => {
                let methods = self
                    .attribute_of(Receiver::Instance(*class), "__call__", 0)
                    .values();
                let results = methods.into_iter().flat_map(|method| match method {
                    Value::Method(function, receiver) => {
                        self.function_result(function, Some(receiver))
                    }
                    _ => vec![Value::Unknown],
                });
                tidy(results.collect())
            }
            _ => vec![Value::Unknown],
        }
    }

    fn instantiated(&self, class: ClassId) -> Vec<Value> {
        let makes_others = |name: &str| {
            let found = self.class_attribute(class, name, (false, 0));
            found.is_ok_and(|members| {
                members.iter().any(|member| match member {
                    super::mro::Member::Binding(_, module, binding) => match binding.what {
                        super::model::Bound::Function(function) => {
                            let function = &self.module(*module).functions[function as usize];
                            function.results.iter().any(|result| !is_new(result))
                        }
                        _ => true,
                    },
                    super::mro::Member::Store(..) => true,
                })
            })
        };
        match makes_others("__new__") {
            true => vec![Value::Instance(class), Value::Unknown],
            false => vec![Value::Instance(class)],
        }
    }

    /// What a function gives.
    pub(crate) fn function_result(&self, id: FunctionId, receiver: Option<Receiver>) -> Vec<Value> {
        let unknown = || vec![Value::Unknown];
        let answer = self.memo.ask(
            Question::Result(id, receiver),
            || Lookup::Found(unknown()),
            || Lookup::Found(self.deeper(unknown(), || self.result_of(id, receiver))),
        );
        answer.values()
    }

    fn result_of(&self, id: FunctionId, receiver: Option<Receiver>) -> Vec<Value> {
        let function = self.function(id);
        if self.kind_of(id) == Kind::Unknown {
            return vec![Value::Unknown];
        }
        let class = receiver.map(|receiver| match receiver {
            Receiver::Instance(class) | Receiver::Class(class) => class,
        });
        let defined_in = function.class.map(|class| ClassId {
            module: id.module,
            class,
        });
        let scope = Scope {
            module: id.module,
            class: defined_in.or(class),
            receiver,
            function: Some(id.function),
        };
        let declared =
            function
                .returns
                .as_ref()
                .map(|returns| match self.is_own_type(id, returns) {
                    true => vec![class.map_or(Value::Unknown, Value::Instance)],
                    false => self.annotation(returns, &scope),
                });
        let is_known = |values: &[Value]| values.iter().any(|value| *value != Value::Unknown);
        let values = match declared {
            Some(values) if is_known(&values) || function.is_generator => values,
            _ if function.is_generator => vec![Value::Unknown],
            _ if function.raises.is_some() => vec![Value::Unknown],
            _ => {
                let results = function.results.iter();
                let values = results.flat_map(|result| self.eval(result, &scope));
                let values: Vec<Value> = values.collect();
                match values.is_empty() {
                    true => vec![Value::OutsideInstance(Name::new_static("None"))],
                    false => values,
                }
            }
        };
        let values = tidy(values);
        if self.is_manager(id) {
            let inner = values.iter().flat_map(|value| self.element(value));
            return tidy(
                inner
                    .map(|value| holding("contextmanager", value))
                    .collect(),
            );
        }
        match function.is_async && !function.is_generator {
            true => values
                .into_iter()
                .map(|value| holding("Coroutine", value))
                .collect(),
            false => values,
        }
    }

    /// Whether a result is annotated with the type variable that annotates `self`.
    fn is_own_type(&self, id: FunctionId, returns: &Term) -> bool {
        let function = self.function(id);
        let first = function
            .signature
            .parameters
            .first()
            .map(|first| &first.name);
        let own = function.annotations.first();
        own.is_some_and(|(name, annotation)| {
            function.class.is_some()
                && Some(name) == first
                && (annotation == returns
                    || matches!(annotation, Term::Subscript(parts) if parts.1 == *returns))
        })
    }

    /// An attribute of what a receiver is.
    pub(crate) fn found(&self, value: &Value, name: &str) -> Option<Vec<Value>> {
        match self.attribute(value, name) {
            Lookup::Found(values) => Some(values),
            _ => None,
        }
    }
}

fn holding(of: &'static str, value: Value) -> Value {
    Value::Holding(Name::new_static(of), Box::new(value))
}

/// `object.__new__(cls)`, `super().__new__(cls)` and names: what a constructor usually returns.
fn is_new(result: &Term) -> bool {
    match result {
        Term::Call(call) => call.callee.last().is_some_and(|name| *name == *"__new__"),
        Term::Either(terms) => terms.iter().all(is_new),
        _ => false,
    }
}
