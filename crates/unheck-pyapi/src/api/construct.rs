//! How a callable is called: signatures of functions, methods and classes. The constructor of a
//! class is its `__init__` or `__new__`, or what `dataclass`, attrs and `NamedTuple` make of its
//! fields. Start at [`Resolver::signature`].

use ruff_python_ast::name::Name;

use super::builtins;
use super::decorators::Kind;
use super::model::{Bound, Class, Term};
use super::mro::{Ancestor, Member};
use super::resolve::Resolver;
use super::shape::{Parameter, ParameterKind, Signature};
use super::value::{ClassId, FunctionId, Receiver, Value};

/// How a class turns annotations into parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Dataclass,
    /// attrs; the flag says that annotations alone are fields.
    Attrs(bool),
}

impl Resolver<'_> {
    /// The signature by which a value is called, without what is bound already.
    pub(crate) fn signature(&self, callee: &Value) -> Option<Signature> {
        match callee {
            Value::Function(id) => match self.kind_of(*id) {
                Kind::Plain | Kind::Manager | Kind::Static => self.written(*id),
                _ => None,
            },
            Value::Method(id, _) => match self.kind_of(*id) {
                Kind::Plain | Kind::Manager | Kind::ClassMethod => Some(self.written(*id)?.bound()),
                _ => None,
            },
            Value::Class(class) => self.constructor(*class),
            Value::Instance(class) => {
                let call = self.found(&Value::Instance(*class), "__call__")?;
                match call.as_slice() {
                    [method @ Value::Method(..)] => self.signature(method),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The signature as it is written; with overloads in stubs nothing single is.
    fn written(&self, id: FunctionId) -> Option<Signature> {
        let function = self.function(id);
        let is_overload = function
            .decorators
            .iter()
            .any(|one| one.last().is_some_and(|name| *name == *"overload"));
        (!is_overload).then(|| function.signature.clone())
    }

    /// The signature of `Class(…)`.
    pub(crate) fn constructor(&self, class: ClassId) -> Option<Signature> {
        if self.metaclass_calls(class) || self.is_enum(class) {
            return None;
        }
        for ancestor in &self.mro(class).ancestors {
            match ancestor {
                Ancestor::Inside(at) => {
                    if let Some(signature) = self.own_constructor(*at, class) {
                        return signature;
                    }
                }
                Ancestor::Outside(name) if builtins::has_plain_constructor(name) => {}
                Ancestor::Outside(name) if builtins::is_exception(name) => {
                    return Some(exception());
                }
                Ancestor::Outside(name) if **name == *"typing.NamedTuple" => {
                    return self.named_tuple(class);
                }
                Ancestor::Outside(_) => return None,
            }
        }
        Some(Signature::default())
    }

    fn metaclass_calls(&self, class: ClassId) -> bool {
        self.mro(class).ancestors.iter().any(|ancestor| {
            let Ancestor::Inside(at) = ancestor else {
                return false;
            };
            let Some(metaclass) = &self.class(*at).metaclass else {
                return false;
            };
            let values = self.eval(metaclass, &super::eval::Scope::module(at.module));
            values.iter().any(|value| match value {
                Value::Class(metaclass) => self
                    .class_attribute(*metaclass, "__call__", (false, 0))
                    .is_ok(),
                Value::Outside(name) => !name.ends_with("ABCMeta") && !name.ends_with("type"),
                _ => true,
            })
        })
    }

    /// What one class of the order says; the outer `None` where it says nothing.
    fn own_constructor(&self, at: ClassId, class: ClassId) -> Option<Option<Signature>> {
        let named = |name: &str| self.own(at, name, false).last().copied();
        let by = |member: Member<'_>| -> Option<Signature> {
            let Member::Binding(_, module, binding) = member else {
                return None;
            };
            let Bound::Function(function) = binding.what else {
                return None;
            };
            let id = FunctionId { module, function };
            self.signature(&Value::Method(id, Receiver::Instance(class)))
        };
        if self.class(at).fields.is_some() && named("__new__").is_none() {
            return Some(Some(functional(self.class(at))));
        }
        match (named("__init__"), named("__new__")) {
            (Some(init), Some(new)) => {
                let init = by(init)?;
                let is_open = init == Signature::anything();
                Some(if is_open { by(new) } else { Some(init) })
            }
            (Some(init), None) => Some(by(init)),
            (None, Some(new)) => Some(by(new)),
            (None, None) => self.made(at),
        }
    }

    /// The constructor that a decorator makes of fields.
    fn made(&self, at: ClassId) -> Option<Option<Signature>> {
        let (maker, decorator) = made_by(self.class(at))?;
        if is_off(decorator, "init") {
            return None;
        }
        Some(self.fields(at, maker))
    }

    fn fields(&self, class: ClassId, maker: Maker) -> Option<Signature> {
        let mut fields: Vec<Parameter> = Vec::new();
        for ancestor in self.mro(class).ancestors.iter().rev() {
            let Ancestor::Inside(at) = ancestor else {
                continue;
            };
            let Some((of, decorator)) = made_by(self.class(*at)) else {
                continue;
            };
            if of != maker && !matches!((of, maker), (Maker::Attrs(_), Maker::Attrs(_))) {
                return None;
            }
            let all_by_name = is_on(decorator, "kw_only");
            for field in self.own_fields(*at, of, all_by_name) {
                let known = fields.iter_mut().find(|known| known.name == field.0.name);
                match (known, field.1) {
                    (Some(known), true) => *known = field.0,
                    (None, true) => fields.push(field.0),
                    (_, false) => fields.retain(|known| known.name != field.0.name),
                }
            }
        }
        fields.sort_by_key(|field| field.kind);
        Some(Signature { parameters: fields })
    }

    /// The fields of one class, each with whether it is a parameter.
    fn own_fields(
        &self,
        class: ClassId,
        maker: Maker,
        all_by_name: bool,
    ) -> Vec<(Parameter, bool)> {
        let mut by_name = all_by_name;
        let mut fields = Vec::new();
        for binding in &self.class(class).bindings {
            let (value, annotation) = match &binding.what {
                Bound::Declared(annotation) => (None, Some(annotation)),
                Bound::Value(value, annotation) => (Some(value), annotation.as_deref()),
                _ => continue,
            };
            let call = value.and_then(field_call);
            let annotation_name = annotation.and_then(|annotation| annotation.last());
            match (annotation_name.map(Name::as_str), maker) {
                (Some("KW_ONLY"), _) => {
                    by_name = true;
                    continue;
                }
                (Some("ClassVar"), _) => continue,
                (None, Maker::Dataclass) if annotation.is_none() => continue,
                (_, Maker::Attrs(annotated))
                    if call.is_none() && !(annotated && annotation.is_some()) =>
                {
                    continue;
                }
                _ => {}
            }
            let is_off = call.is_some_and(|call| {
                matches!(call.keyword("init"), Some(Term::Literal("bool", text)) if &**text == "False")
            });
            let is_by_name = match call.and_then(|call| call.keyword("kw_only")) {
                Some(Term::Literal("bool", text)) => &**text == "True",
                _ => by_name,
            };
            let default = match (call, value) {
                (Some(call), _) => has_default(call, maker).then(|| "…".into()),
                (None, Some(_)) => Some("…".into()),
                (None, None) => None,
            };
            let alias = call
                .and_then(|call| call.keyword("alias"))
                .and_then(Term::text);
            let name = match (alias, maker) {
                (Some(alias), Maker::Attrs(_)) => Name::new(alias),
                (None, Maker::Attrs(_)) => Name::new(binding.name.trim_start_matches('_')),
                _ => binding.name.clone(),
            };
            let kind = match is_by_name {
                true => ParameterKind::KeywordOnly,
                false => ParameterKind::PositionalOrKeyword,
            };
            fields.push((
                Parameter {
                    name,
                    kind,
                    default,
                },
                !is_off,
            ));
        }
        fields
    }

    /// `class N(NamedTuple): a: int`.
    fn named_tuple(&self, class: ClassId) -> Option<Signature> {
        let mut parameters = Vec::new();
        // Only the class that names `NamedTuple` as base has fields.
        for ancestor in &self.mro(class).ancestors {
            let Ancestor::Inside(at) = ancestor else {
                continue;
            };
            let is_direct = self.bases(*at).iter().any(|base| match base {
                Ancestor::Outside(name) => **name == *"typing.NamedTuple",
                Ancestor::Inside(_) => false,
            });
            if !is_direct {
                continue;
            }
            for binding in &self.class(*at).bindings {
                let default = match &binding.what {
                    Bound::Declared(_) => None,
                    Bound::Value(_, Some(_)) => Some("…".into()),
                    _ => continue,
                };
                parameters.push(Parameter {
                    name: binding.name.clone(),
                    kind: ParameterKind::PositionalOrKeyword,
                    default,
                });
            }
        }
        Some(Signature { parameters })
    }
}

/// The decorator that makes a constructor of fields.
fn made_by(class: &Class) -> Option<(Maker, &Term)> {
    class.decorators.iter().find_map(|decorator| {
        let path = match decorator {
            Term::Call(call) => call.callee.dotted()?,
            other => other.dotted()?,
        };
        let maker = match path.as_str() {
            _ if path.rsplit('.').next() == Some("dataclass") => Maker::Dataclass,
            "attr.s" | "attr.attrs" | "attr.attributes" | "attrs" => {
                Maker::Attrs(is_on(decorator, "auto_attribs"))
            }
            "attr.define" | "attr.mutable" | "attr.frozen" | "attr.dataclass" | "attrs.define"
            | "attrs.mutable" | "attrs.frozen" | "define" | "frozen" => Maker::Attrs(true),
            _ => return None,
        };
        Some((maker, decorator))
    })
}

fn is_on(decorator: &Term, keyword: &str) -> bool {
    matches!(decorator, Term::Call(call) if call.is_true(keyword))
}

fn is_off(decorator: &Term, keyword: &str) -> bool {
    matches!(decorator, Term::Call(call)
        if matches!(call.keyword(keyword), Some(Term::Literal("bool", text)) if &**text == "False"))
}

/// `field(…)`, `attr.ib(…)`.
fn field_call(value: &Term) -> Option<&super::model::Called> {
    match value {
        Term::Call(call) => {
            let name = call.callee.last()?.as_str();
            matches!(name, "field" | "ib" | "attrib" | "attr" | "Field").then_some(&**call)
        }
        _ => None,
    }
}

fn has_default(call: &super::model::Called, maker: Maker) -> bool {
    let names = ["default", "default_factory", "factory"];
    let by_place = matches!(maker, Maker::Attrs(_)) && !call.arguments.is_empty();
    by_place || names.iter().any(|name| call.keyword(name).is_some())
}

/// The constructor of `namedtuple("N", "a b")`.
fn functional(class: &Class) -> Signature {
    let fields = class.fields.iter().flatten();
    let parameters = fields.map(|(name, is_optional)| Parameter {
        name: name.clone(),
        kind: ParameterKind::PositionalOrKeyword,
        default: is_optional.then(|| "…".into()),
    });
    Signature {
        parameters: parameters.collect(),
    }
}

/// `BaseException(*args)`: no names.
pub(crate) fn exception() -> Signature {
    Signature {
        parameters: vec![Parameter {
            name: Name::new_static("args"),
            kind: ParameterKind::VarPositional,
            default: None,
        }],
    }
}

/// The same for comparing: people give an exception one message.
pub(crate) fn exception_in_use() -> Signature {
    Signature {
        parameters: vec![Parameter {
            name: Name::new_static("message"),
            kind: ParameterKind::PositionalOnly,
            default: Some("None".into()),
        }],
    }
}
