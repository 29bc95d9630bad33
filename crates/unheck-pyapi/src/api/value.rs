//! What a name can be: the values of the abstract interpreter.

use ruff_python_ast::name::Name;

/// A class of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassId {
    pub(crate) module: u32,
    pub(crate) class: u32,
}

/// A function of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FunctionId {
    pub(crate) module: u32,
    pub(crate) function: u32,
}

/// What is before the dot of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Receiver {
    Instance(ClassId),
    Class(ClassId),
}

/// One value that an expression can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Module(u32),
    Class(ClassId),
    Instance(ClassId),
    Function(FunctionId),
    Method(FunctionId, Receiver),
    /// `super()` in a method of a class.
    Super(ClassId),
    /// Something of another distribution or of Python, by its dotted name.
    Outside(Name),
    /// An instance of such a class; `None` is one of `None`.
    OutsideInstance(Name),
    /// An instance of such a class that holds others: `list`, `Coroutine`, `contextmanager`.
    Holding(Name, Box<Value>),
    Unknown,
}

/// A reason that is never the same twice: a base outside may have the name by itself.
pub(crate) const ANYTHING: u64 = u64::MAX;

/// The answer to "what is this name of that".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// It is one of these.
    Found(Vec<Value>),
    /// There is no such name; with the library's own message where it has one.
    Absent(Option<Box<str>>),
    /// It cannot be known. Equal numbers for equal reasons.
    Open(u64),
}

impl Lookup {
    /// The values, or that nothing is known.
    pub(crate) fn values(self) -> Vec<Value> {
        match self {
            Self::Found(values) if !values.is_empty() => values,
            _ => vec![Value::Unknown],
        }
    }

    pub(crate) fn is_found(&self) -> bool {
        matches!(self, Self::Found(_))
    }
}

/// A number for a reason why something is not known.
pub(crate) fn reason(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}

/// The values without repetition and, when there are others, without `None`.
pub(crate) fn tidy(mut values: Vec<Value>) -> Vec<Value> {
    values.sort();
    values.dedup();
    let is_none = |value: &Value| *value == Value::OutsideInstance(Name::new_static("None"));
    if values.len() > 1 {
        values.retain(|value| !is_none(value));
    }
    values.truncate(12);
    values
}
