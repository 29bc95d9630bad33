//! Bases and members of classes: the method resolution order (C3) inside the tree, and what is
//! known of classes outside. Start at [`Resolver::class_attribute`].

use std::rc::Rc;

use ruff_python_ast::name::Name;

use super::builtins;
use super::decorators::Kind;
use super::eval::Scope;
use super::memo::Question;
use super::model::{Binding, Bound, Class, Store, Term};
use super::resolve::{Import, Resolver};
use super::value::{ANYTHING, ClassId, FunctionId, Lookup, Receiver, Value, reason, tidy};

/// One class in the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ancestor {
    Inside(ClassId),
    /// Of Python or another distribution; empty where not even the name is known.
    Outside(Name),
}

/// The order in which a class and its bases are searched.
#[derive(Debug, Default)]
pub(crate) struct Mro {
    pub(crate) ancestors: Vec<Ancestor>,
}

/// Where an attribute of a class is defined.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Member<'t> {
    Binding(ClassId, u32, &'t Binding),
    Store(ClassId, &'t Store),
}

impl<'t> Resolver<'t> {
    pub(crate) fn class(&self, id: ClassId) -> &'t Class {
        &self.module(id.module).classes[id.class as usize]
    }

    /// The method resolution order.
    pub(crate) fn mro(&self, id: ClassId) -> Rc<Mro> {
        if let Some(known) = self.mros.borrow().get(&id) {
            // A class among its own bases.
            return known.clone().unwrap_or_default();
        }
        self.mros.borrow_mut().insert(id, None);
        let unknown = Mro {
            ancestors: vec![Ancestor::Inside(id), Ancestor::Outside(Name::empty())],
        };
        let mro = Rc::new(self.deeper(unknown, || self.linearized(id)));
        self.mros.borrow_mut().insert(id, Some(Rc::clone(&mro)));
        mro
    }

    /// The direct bases.
    pub(crate) fn bases(&self, id: ClassId) -> Vec<Ancestor> {
        let scope = Scope::module(id.module);
        let bases = self.class(id).bases.iter();
        bases.map(|base| self.base(base, &scope)).collect()
    }

    fn base(&self, base: &Term, scope: &Scope) -> Ancestor {
        let plain = match base {
            Term::Subscript(parts) => &parts.0,
            other => other,
        };
        let values = self.eval(plain, scope);
        let inside = values.iter().find_map(|value| match value {
            Value::Class(class) => Some(Ancestor::Inside(*class)),
            _ => None,
        });
        let outside = || {
            values.iter().find_map(|value| match value {
                Value::Outside(name) => Some(Ancestor::Outside(builtins::short(name))),
                _ => None,
            })
        };
        let with_metaclass = || match plain {
            // `with_metaclass(Meta, Base)` of six and its copies.
            Term::Call(call) if call.callee.last()?.contains("with_metaclass") => {
                let base = call.arguments.get(1)?;
                Some(self.base(base, scope))
            }
            _ => None,
        };
        inside
            .or_else(outside)
            .or_else(with_metaclass)
            .unwrap_or_else(|| Ancestor::Outside(Name::empty()))
    }

    fn linearized(&self, id: ClassId) -> Mro {
        let bases = self.bases(id);
        let mut lists: Vec<Vec<Ancestor>> = bases
            .iter()
            .map(|base| match base {
                Ancestor::Inside(base) => self.mro(*base).ancestors.clone(),
                outside @ Ancestor::Outside(_) => vec![outside.clone()],
            })
            .collect();
        lists.push(bases);
        let mut ancestors = vec![Ancestor::Inside(id)];
        loop {
            lists.retain(|list| !list.is_empty());
            if lists.is_empty() || ancestors.len() > 200 {
                return Mro { ancestors };
            }
            let is_free = |head: &Ancestor| !lists.iter().any(|list| list[1..].contains(head));
            let heads = lists.iter().map(|list| &list[0]);
            // Without a free head Python refuses the class; taking the first goes on.
            let next = heads
                .clone()
                .find(|head| is_free(head))
                .unwrap_or(&lists[0][0])
                .clone();
            for list in &mut lists {
                list.retain(|one| *one != next);
            }
            if !ancestors.contains(&next) {
                ancestors.push(next);
            }
        }
    }

    /// The definition of an attribute in one class, not its bases; the last binding counts.
    pub(crate) fn own(&self, id: ClassId, name: &str, of_instance: bool) -> Vec<Member<'t>> {
        let mut found: Vec<Member<'t>> = Vec::new();
        let class = self.class(id);
        for binding in class
            .bindings
            .iter()
            .filter(|binding| *binding.name == *name)
        {
            if binding.certain {
                found.clear();
            }
            let is_gone = matches!(binding.what, Bound::Deleted);
            let is_declared = matches!(binding.what, Bound::Declared(_)) && !of_instance;
            let in_stub = self.module(id.module).path.ends_with(".pyi");
            if !is_gone && !binding.typing && (!is_declared || in_stub) {
                found.push(Member::Binding(id, id.module, binding));
            }
        }
        for (module, number) in self.patches.get(&id).into_iter().flatten() {
            let patch = &self.module(*module).patches[*number];
            if *patch.binding.name == *name {
                found.push(Member::Binding(id, *module, &patch.binding));
            }
        }
        if of_instance && found.is_empty() {
            let stores = class.stores.iter().filter(|store| *store.name == *name);
            found.extend(stores.map(|store| Member::Store(id, store)).take(4));
        }
        found
    }

    /// Why attributes of a class that are not found may exist all the same; 0 where they cannot.
    fn openness(&self, id: ClassId, of_instance: bool) -> u64 {
        let class = self.class(id);
        let mut open = class.open;
        for decorator in &class.decorators {
            if !super::decorators::keeps_class(decorator)
                && !self.gives_back_class(id.module, decorator)
            {
                open ^= reason(
                    &decorator
                        .last()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                );
            }
        }
        for name in ["__getattr__", "__getattribute__"] {
            for member in self.own(id, name, false) {
                if matches!(member, Member::Binding(..)) && of_instance {
                    // The body may change: what it answers for computed names is not read.
                    open ^= reason(&format!("{}.{name}", class.name));
                }
            }
        }
        open
    }

    /// Looks an attribute up along the order, from `skip` classes on.
    pub(crate) fn class_attribute(
        &self,
        id: ClassId,
        name: &str,
        (of_instance, skip): (bool, usize),
    ) -> Result<Vec<Member<'t>>, Lookup> {
        let mro = self.mro(id);
        let mut open = 0_u64;
        let mut is_outside = false;
        for ancestor in mro.ancestors.iter().skip(skip) {
            match ancestor {
                Ancestor::Inside(class) => {
                    let found = self.own(*class, name, of_instance);
                    if !found.is_empty() {
                        return Ok(found);
                    }
                    open ^= self.openness(*class, of_instance);
                }
                Ancestor::Outside(outside) => match builtins::has(outside, name) {
                    Some(true) => return Err(Lookup::Found(vec![Value::Unknown])),
                    Some(false) => {}
                    None => is_outside = true,
                },
            }
        }
        if is_outside {
            return Err(Lookup::Open(ANYTHING));
        }
        if builtins::has("object", name) == Some(true) {
            return Err(Lookup::Found(vec![Value::Unknown]));
        }
        Err(match open {
            0 => Lookup::Absent(None),
            why => Lookup::Open(why),
        })
    }

    /// An attribute of a class, or with `Receiver::Instance` of its instances.
    pub(crate) fn attribute_of(&self, receiver: Receiver, name: &str, skip: usize) -> Lookup {
        self.memo.ask(
            Question::Attribute(receiver, Name::new(name), skip),
            // It is there: its value is being read.
            || Lookup::Found(vec![Value::Unknown]),
            || self.read_attribute(receiver, name, skip),
        )
    }

    fn read_attribute(&self, receiver: Receiver, name: &str, skip: usize) -> Lookup {
        let (id, of_instance) = match receiver {
            Receiver::Instance(id) => (id, true),
            Receiver::Class(id) => (id, false),
        };
        match self.class_attribute(id, name, (of_instance, skip)) {
            Ok(members) => {
                let values = members
                    .into_iter()
                    .flat_map(|member| self.member_value(member, receiver));
                Lookup::Found(tidy(values.collect()))
            }
            Err(Lookup::Absent(None)) if !of_instance => self.of_metaclass(id, name),
            Err(other) => other,
        }
    }

    /// What classes have besides their own: attributes of `type` and of the metaclass.
    fn of_metaclass(&self, id: ClassId, name: &str) -> Lookup {
        if builtins::has("type", name) == Some(true) {
            return Lookup::Found(vec![Value::Unknown]);
        }
        for ancestor in &self.mro(id).ancestors {
            let Ancestor::Inside(class) = ancestor else {
                continue;
            };
            let class_of = self.class(*class);
            let made_by = class_of.bases.iter().find_map(|base| match base {
                Term::Call(call) if call.callee.last()?.contains("with_metaclass") => {
                    call.arguments.first()
                }
                _ => None,
            });
            let Some(term) = class_of.metaclass.as_ref().or(made_by) else {
                continue;
            };
            return match self.base(term, &Scope::module(class.module)) {
                Ancestor::Inside(metaclass) => {
                    match self.class_attribute(metaclass, name, (true, 0)) {
                        Ok(_) => Lookup::Found(vec![Value::Unknown]),
                        Err(other) => other,
                    }
                }
                Ancestor::Outside(outside) => match builtins::has(&outside, name) {
                    Some(true) => Lookup::Found(vec![Value::Unknown]),
                    Some(false) => Lookup::Absent(None),
                    None => Lookup::Open(reason(&outside)),
                },
            };
        }
        Lookup::Absent(None)
    }

    fn member_value(&self, member: Member<'t>, receiver: Receiver) -> Vec<Value> {
        let of_instance = matches!(receiver, Receiver::Instance(_));
        match member {
            Member::Store(class, store) => {
                let scope = Scope {
                    module: class.module,
                    class: Some(class),
                    receiver: Some(receiver),
                    function: Some(store.function).filter(|function| *function != u32::MAX),
                };
                match &store.annotation {
                    Some(annotation) => self.annotation(annotation, &scope),
                    None => self.eval(&store.value, &scope),
                }
            }
            Member::Binding(class, module, binding) => {
                let scope = Scope {
                    module,
                    class: Some(class),
                    receiver: None,
                    function: None,
                };
                match &binding.what {
                    Bound::Function(function) => {
                        let function = FunctionId {
                            module,
                            function: *function,
                        };
                        self.method(function, receiver)
                    }
                    Bound::Class(class) => vec![Value::Class(ClassId {
                        module,
                        class: *class,
                    })],
                    Bound::Value(_, _) if self.is_enum(class) && !of_instance => {
                        vec![Value::Instance(class)]
                    }
                    Bound::Value(term, annotation) => {
                        let values = self.eval(term, &scope);
                        let is_known = values.iter().any(|value| *value != Value::Unknown);
                        match annotation {
                            Some(annotation) if of_instance || !is_known => {
                                self.annotation(annotation, &scope)
                            }
                            // A plain function that a class names is a method of it.
                            _ => values
                                .into_iter()
                                .flat_map(|value| self.bound_value(value, receiver))
                                .collect(),
                        }
                    }
                    Bound::Declared(annotation) => self.annotation(annotation, &scope),
                    Bound::From(from, name, _) => {
                        self.imported((from, name), Import::CERTAIN).values()
                    }
                    Bound::Module(name) => vec![self.outside_or_module(name)],
                    Bound::Deleted => Vec::new(),
                }
            }
        }
    }

    fn bound_value(&self, value: Value, receiver: Receiver) -> Vec<Value> {
        match value {
            Value::Function(function) => self.method(function, receiver),
            // An object in a class body may be a descriptor.
            Value::Instance(class)
                if self.class_attribute(class, "__get__", (false, 0)).is_ok() =>
            {
                vec![Value::Unknown]
            }
            other => vec![other],
        }
    }

    /// A function of a class, reached through the class or an instance.
    fn method(&self, function: FunctionId, receiver: Receiver) -> Vec<Value> {
        let class = match receiver {
            Receiver::Instance(class) | Receiver::Class(class) => class,
        };
        let of_instance = matches!(receiver, Receiver::Instance(_));
        match self.kind_of(function) {
            Kind::Static => vec![Value::Function(function)],
            Kind::ClassMethod => vec![Value::Method(function, Receiver::Class(class))],
            Kind::Property if of_instance => self.function_result(function, Some(receiver)),
            Kind::Property | Kind::Unknown => vec![Value::Unknown],
            Kind::Plain | Kind::Manager if of_instance => vec![Value::Method(function, receiver)],
            Kind::Plain | Kind::Manager => {
                let name = &self.module(function.module).functions[function.function as usize].name;
                match name.as_str() {
                    // Called on the class by Python itself.
                    "__new__" => vec![Value::Function(function)],
                    "__init_subclass__" | "__class_getitem__" => {
                        vec![Value::Method(function, Receiver::Class(class))]
                    }
                    _ => vec![Value::Function(function)],
                }
            }
        }
    }

    /// Whether the class, or a base of it, is an `enum`.
    pub(crate) fn is_enum(&self, id: ClassId) -> bool {
        self.has_base(id, &["Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"])
    }

    /// Whether a class outside of one of these names (their last part) is among the bases.
    pub(crate) fn has_base(&self, id: ClassId, names: &[&str]) -> bool {
        self.mro(id)
            .ancestors
            .iter()
            .any(|ancestor| match ancestor {
                Ancestor::Outside(name) => {
                    let last = name.rsplit('.').next().unwrap_or(name);
                    names.contains(&last)
                }
                Ancestor::Inside(_) => false,
            })
    }
}
