//! What is kept of a source file once its syntax tree is gone: bindings, signatures, and those
//! expressions that say what a name is. Made by `lower`, read by `tree` and everything above it.

use ruff_python_ast::name::Name;

use super::shape::Signature;

/// An expression, as far as it can say what a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// Anything else.
    Unknown,
    Name(Name),
    Attribute(Box<Term>, Name),
    Call(Box<Called>),
    Subscript(Box<(Term, Term)>),
    Text(Box<str>),
    /// A literal: the name of its builtin class, and its source.
    Literal(&'static str, Box<str>),
    /// `list`, `tuple` or `set`, with the elements.
    Items(&'static str, Box<[Term]>),
    Table(Box<[(Term, Term)]>),
    /// One of these: `a or b`, `a if c else b`, `a | b`.
    Either(Box<[Term]>),
    Await(Box<Term>),
    /// An element of something that is iterated over.
    Element(Box<Term>),
    /// What a `with` statement binds.
    Entered(Box<Term>),
    /// A function or lambda of the same module.
    Function(u32),
    /// A class of the same module that a call made: `namedtuple("N", "a b")`.
    Class(u32),
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) callee: Term,
    pub(crate) arguments: Vec<Term>,
    /// Names with their values; no name for `**x`.
    pub(crate) keywords: Vec<(Option<Name>, Term)>,
}

/// One assignment to a name, import or definition, in the order of the source.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) name: Name,
    pub(crate) line: u32,
    /// Happens whenever the scope runs to its end.
    pub(crate) certain: bool,
    /// Under `if TYPE_CHECKING`: for annotations alone.
    pub(crate) typing: bool,
    pub(crate) what: Bound,
}

/// What a name is bound to.
#[derive(Debug, Clone)]
pub(crate) enum Bound {
    /// A module; `import a.b` binds `a`.
    Module(Name),
    /// `from module import name`; the flag is set for `name as name`.
    From(Name, Name, bool),
    Function(u32),
    Class(u32),
    /// A value with its annotation.
    Value(Term, Option<Box<Term>>),
    /// An annotation without a value: a field of a class, nothing at run time in a module.
    Declared(Term),
    Deleted,
}

/// A module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Dotted.
    pub(crate) name: Name,
    /// The path in the distribution.
    pub(crate) path: Box<str>,
    pub(crate) is_package: bool,
    pub(crate) bindings: Vec<Binding>,
    /// Modules whose public names are taken, in order.
    pub(crate) stars: Vec<Name>,
    pub(crate) all: Option<All>,
    pub(crate) functions: Vec<Function>,
    pub(crate) classes: Vec<Class>,
    pub(crate) dynamic: Dynamic,
    /// `Cls.name = value` and `setattr(Cls, "name", value)` of module level.
    pub(crate) patches: Vec<Patch>,
    /// Said when it is imported.
    pub(crate) deprecated: Option<Box<str>>,
    /// How many syntax errors it has.
    pub(crate) errors: usize,
    /// Compiled, without stubs: nothing is known of it.
    pub(crate) is_opaque: bool,
}

/// An attribute put on a class from outside.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) class: Term,
    pub(crate) binding: Binding,
}

/// `__all__`, as far as it can be read.
#[derive(Debug, Default, Clone)]
pub(crate) struct All {
    pub(crate) names: Vec<Name>,
    /// Modules whose `__all__` is taken as well.
    pub(crate) of: Vec<Term>,
    /// Everything was understood.
    pub(crate) is_complete: bool,
}

/// Names of a module that no statement binds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Dynamic {
    /// Answered by `__getattr__` or made with `globals()`, with what they are and, where using
    /// them warns, the warning.
    pub(crate) names: Vec<(Name, Term, Option<Box<str>>)>,
    /// Tables whose keys are answered, where they are not read off this file.
    pub(crate) tables: Vec<Term>,
    /// Names for which `__getattr__` raises, with the message where it is a text.
    pub(crate) raises: Vec<(Name, Box<str>)>,
    /// Tables of such names.
    pub(crate) raising: Vec<Term>,
    /// Modules that are asked for any name: `getattr(_impl, name)`.
    pub(crate) delegates: Vec<Term>,
    /// Other functions that are asked: `return _migrate(name)`.
    pub(crate) asks: Vec<Term>,
    /// Not 0 where other names can exist; equal for equal reasons.
    pub(crate) open: u64,
    pub(crate) has_getattr: bool,
}

/// A function, method or lambda.
#[derive(Debug, Default)]
pub(crate) struct Function {
    pub(crate) name: Name,
    pub(crate) line: u32,
    pub(crate) signature: Signature,
    /// Annotations of parameters.
    pub(crate) annotations: Vec<(Name, Term)>,
    pub(crate) decorators: Vec<Term>,
    pub(crate) is_async: bool,
    pub(crate) is_generator: bool,
    pub(crate) returns: Option<Term>,
    /// What it returns, by statement; locals that are assigned once are put in.
    pub(crate) results: Vec<Term>,
    /// It does nothing but raise; the message where it is a text.
    pub(crate) raises: Option<Box<str>>,
    pub(crate) deprecated: Option<Box<str>>,
    /// Calls that get its `**kwargs`.
    pub(crate) forwards: Vec<Forward>,
    /// Its `**kwargs` are used in other ways too.
    pub(crate) reads_kwargs: bool,
    /// Names taken from `**kwargs`.
    pub(crate) popped: Vec<Name>,
    /// The class it is a method of.
    pub(crate) class: Option<u32>,
    /// Not of a module's or a class's own level.
    pub(crate) is_nested: bool,
    /// It may put attributes on its first argument, which is not `self`.
    pub(crate) changes_first: bool,
    /// What it answers where it stands in for `__getattr__`.
    pub(crate) dynamic: Option<Box<Dynamic>>,
    /// Hash of the body.
    pub(crate) hash: u64,
}

/// A call that passes `**kwargs` on.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) callee: Term,
    pub(crate) named: Vec<Name>,
}

/// A class.
#[derive(Debug, Default)]
pub(crate) struct Class {
    pub(crate) name: Name,
    pub(crate) line: u32,
    pub(crate) bases: Vec<Term>,
    pub(crate) metaclass: Option<Term>,
    /// `kw_only=True` and other keywords of the class statement.
    pub(crate) keywords: Vec<(Name, Term)>,
    pub(crate) decorators: Vec<Term>,
    pub(crate) bindings: Vec<Binding>,
    /// Stored through `self` or `cls` by methods.
    pub(crate) stores: Vec<Store>,
    pub(crate) deprecated: Option<Box<str>>,
    /// Not 0 where methods set attributes with computed names; equal for equal reasons.
    pub(crate) open: u64,
    /// The names of `namedtuple("N", "a b")` and its like.
    pub(crate) fields: Option<Vec<(Name, bool)>>,
}

/// `self.name = value` in a method.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) name: Name,
    pub(crate) line: u32,
    pub(crate) value: Term,
    pub(crate) annotation: Option<Term>,
    /// The method.
    pub(crate) function: u32,
}

impl Term {
    /// The dotted name that a term is, if it is one.
    pub(crate) fn dotted(&self) -> Option<String> {
        match self {
            Self::Name(name) => Some(name.to_string()),
            Self::Attribute(owner, name) => Some(format!("{}.{name}", owner.dotted()?)),
            _ => None,
        }
    }

    /// The last part of a name, also of what is called or subscripted.
    pub(crate) fn last(&self) -> Option<&Name> {
        match self {
            Self::Name(name) | Self::Attribute(_, name) => Some(name),
            Self::Call(call) => call.callee.last(),
            Self::Subscript(parts) => parts.0.last(),
            _ => None,
        }
    }

    /// The texts in a sequence, table (its keys) or text; empty where it is none of these.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::Items(_, items) => items.iter().filter_map(Self::text).collect(),
            Self::Table(rows) => rows.iter().filter_map(|(key, _)| key.text()).collect(),
            Self::Call(call) if call.arguments.len() == 1 => call.arguments[0].texts(),
            Self::Either(terms) => terms.iter().flat_map(Self::texts).collect(),
            _ => Vec::new(),
        }
    }

    /// The text that a term is.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Called {
    /// The value of a keyword.
    pub(crate) fn keyword(&self, name: &str) -> Option<&Term> {
        self.keywords
            .iter()
            .find(|(key, _)| key.as_ref().is_some_and(|key| *key == *name))
            .map(|(_, value)| value)
    }

    /// Whether a keyword is the literal `True`.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.keyword(name), Some(Term::Literal("bool", text)) if &**text == "True")
    }
}
