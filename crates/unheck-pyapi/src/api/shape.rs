//! Which calls a signature accepts, and what a change of signature does to calls.
//!
//! There is no table of parameter changes. Small call shapes are bound against both signatures by
//! the rules of Python's language reference ("Calls"), as `inspect.Signature.bind` does, and the
//! shortest call that was accepted and no longer is becomes the witness. Start at [`compare`].

use std::collections::BTreeSet;
use std::fmt;

use ruff_python_ast::name::Name;

/// How an argument can reach a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParameterKind {
    /// By place alone: `x` in `(x, /)`.
    PositionalOnly,
    /// By place or by name.
    PositionalOrKeyword,
    /// All other places: `*args`.
    VarPositional,
    /// By name alone: `x` in `(*, x)`.
    KeywordOnly,
    /// All other names: `**kwargs`.
    VarKeyword,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Name,
    /// How it is reached.
    pub kind: ParameterKind,
    /// The default as the source has it, shortened; `None` where an argument is required.
    pub default: Option<Box<str>>,
}

/// The parameters of a callable, in the order of Python's syntax.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The parameters: positional-only, positional, `*`, keyword-only, `**`.
    pub parameters: Vec<Parameter>,
}

/// The outline of a call: how many arguments by place, and which names.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// How many arguments stand by place.
    pub positional: usize,
    /// Names of the others.
    pub keywords: BTreeSet<Name>,
}

/// Why a call is refused with `TypeError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// More places than parameters.
    #[error("takes at most {most} positional arguments, {given} are given")]
    TooMany {
        /// How many there may be.
        most: usize,
        /// How many there are.
        given: usize,
    },
    /// A required parameter has no argument.
    #[error("argument `{name}` is missing")]
    Missing {
        /// The parameter.
        name: Name,
    },
    /// No parameter takes the name.
    #[error("argument `{name}` is not known")]
    Unexpected {
        /// The name of the argument.
        name: Name,
    },
    /// One parameter is given by place and by name.
    #[error("argument `{name}` is given twice")]
    Twice {
        /// The parameter.
        name: Name,
    },
}

/// What a changed signature does to calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A call that was accepted raises now.
    Raises {
        /// The shortest such call.
        witness: Shape,
        /// What it raises.
        error: BindError,
    },
    /// A call is accepted as before, but an argument arrives at another parameter.
    Reaches {
        /// The shortest such call.
        witness: Shape,
        /// The place of the argument, from 0.
        place: usize,
        /// The parameter that got it.
        old: Name,
        /// The parameter that gets it now.
        new: Name,
    },
}

impl fmt::Display for Shape {
    /// As a call's arguments: `(_, _, name=_)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = std::iter::repeat_n("_".to_owned(), self.positional);
        let names = self.keywords.iter().map(|name| format!("{name}=_"));
        let arguments: Vec<String> = places.chain(names).collect();
        write!(f, "({})", arguments.join(", "))
    }
}

impl fmt::Display for Signature {
    /// As Python writes it, without annotations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut before: Option<ParameterKind> = None;
        for parameter in &self.parameters {
            let kind = parameter.kind;
            if before == Some(ParameterKind::PositionalOnly)
                && kind != ParameterKind::PositionalOnly
            {
                parts.push("/".to_owned());
            }
            let has_star = matches!(
                before,
                Some(ParameterKind::VarPositional | ParameterKind::KeywordOnly)
            );
            if kind == ParameterKind::KeywordOnly && !has_star {
                parts.push("*".to_owned());
            }
            parts.push(match (kind, &parameter.default) {
                (ParameterKind::VarPositional, _) => format!("*{}", parameter.name),
                (ParameterKind::VarKeyword, _) => format!("**{}", parameter.name),
                (_, Some(default)) => format!("{}={default}", parameter.name),
                (_, None) => parameter.name.to_string(),
            });
            before = Some(kind);
        }
        if before == Some(ParameterKind::PositionalOnly) {
            parts.push("/".to_owned());
        }
        write!(f, "({})", parts.join(", "))
    }
}

impl Signature {
    /// `(*args, **kwargs)`: everything is accepted.
    pub fn anything() -> Self {
        let parameter = |name, kind| Parameter {
            name: Name::new_static(name),
            kind,
            default: None,
        };
        Self {
            parameters: vec![
                parameter("args", ParameterKind::VarPositional),
                parameter("kwargs", ParameterKind::VarKeyword),
            ],
        }
    }

    /// Without the first parameter that takes a place: what is left of a method once it is bound.
    #[must_use]
    pub fn bound(&self) -> Self {
        let first = self.by_place().next().map(|first| first.name.clone());
        let Some(first) = first else {
            return self.clone();
        };
        let rest = self.parameters.iter().filter(|other| other.name != first);
        Self {
            parameters: rest.cloned().collect(),
        }
    }

    /// Whether some parameter is of a kind.
    pub fn has(&self, kind: ParameterKind) -> bool {
        self.parameters.iter().any(|other| other.kind == kind)
    }

    fn by_place(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| parameter.kind <= ParameterKind::PositionalOrKeyword)
    }

    /// The parameter that a name reaches, not counting `**`.
    pub fn by_name(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| {
            let kind = parameter.kind;
            let is_named =
                kind == ParameterKind::PositionalOrKeyword || kind == ParameterKind::KeywordOnly;
            is_named && parameter.name == *name
        })
    }

    /// Binds a call.
    ///
    /// # Errors
    /// The first reason for which Python would raise `TypeError`.
    pub fn bind(&self, shape: &Shape) -> Result<(), BindError> {
        let most = self.by_place().count();
        if shape.positional > most && !self.has(ParameterKind::VarPositional) {
            let given = shape.positional;
            return Err(BindError::TooMany { most, given });
        }
        let filled: Vec<&Parameter> = self.by_place().take(shape.positional).collect();
        for name in &shape.keywords {
            match self.by_name(name) {
                Some(parameter) if filled.contains(&parameter) => {
                    return Err(BindError::Twice { name: name.clone() });
                }
                Some(_) => {}
                None if self.has(ParameterKind::VarKeyword) => {}
                None => return Err(BindError::Unexpected { name: name.clone() }),
            }
        }
        let missing = self.parameters.iter().find(|parameter| {
            let is_variable = matches!(
                parameter.kind,
                ParameterKind::VarPositional | ParameterKind::VarKeyword
            );
            let by_name = parameter.kind != ParameterKind::PositionalOnly
                && shape.keywords.contains(&parameter.name);
            !is_variable && parameter.default.is_none() && !filled.contains(parameter) && !by_name
        });
        match missing {
            Some(missing) => Err(BindError::Missing {
                name: missing.name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The smallest accepted call with so many arguments by place; `None` when there is none.
    fn least(&self, positional: usize) -> Option<Shape> {
        let filled: Vec<&Parameter> = self.by_place().take(positional).collect();
        let required = self.parameters.iter().filter(|parameter| {
            let kind = parameter.kind;
            parameter.default.is_none()
                && (kind == ParameterKind::KeywordOnly
                    || kind == ParameterKind::PositionalOrKeyword && !filled.contains(parameter))
        });
        let shape = Shape {
            positional,
            keywords: required.map(|parameter| parameter.name.clone()).collect(),
        };
        self.bind(&shape).is_ok().then_some(shape)
    }
}

/// Every call shape that must be looked at to see all that a change does, shortest first.
///
/// For each number of places these are the smallest call that `old` accepts and that call with one
/// more name. That is enough: a call is refused for its number of places, for one name it has, or
/// for one name it lacks, and each reason shows already in one of these.
pub fn shapes(old: &Signature, new: &Signature) -> Vec<Shape> {
    let most = old.by_place().count().max(new.by_place().count());
    let names: BTreeSet<Name> = old
        .parameters
        .iter()
        .chain(&new.parameters)
        .map(|parameter| parameter.name.clone())
        // A name that neither has.
        .chain(
            old.has(ParameterKind::VarKeyword)
                .then(|| foreign(old, new)),
        )
        .collect();
    let mut shapes = Vec::new();
    for positional in 0..=most + 2 {
        let Some(least) = old.least(positional) else {
            continue;
        };
        for name in &names {
            let mut more = least.clone();
            if more.keywords.insert(name.clone()) && old.bind(&more).is_ok() {
                shapes.push(more);
            }
        }
        shapes.push(least);
    }
    shapes.sort_by_cached_key(|shape| {
        (
            shape.positional + shape.keywords.len(),
            shape.keywords.len(),
            shape.clone(),
        )
    });
    shapes
}

fn foreign(old: &Signature, new: &Signature) -> Name {
    let is_taken = |name: &str| {
        let mut all = old.parameters.iter().chain(&new.parameters);
        all.any(|parameter| parameter.name == *name)
    };
    let mut name = "other".to_owned();
    while is_taken(&name) {
        name.push('_');
    }
    Name::new(name)
}

/// What the change from `old` to `new` does to calls: first one that raises, else one whose
/// argument arrives elsewhere, else nothing.
pub fn compare(old: &Signature, new: &Signature) -> Option<Effect> {
    let shapes = shapes(old, new);
    for shape in &shapes {
        if let Err(error) = new.bind(shape) {
            return Some(Effect::Raises {
                witness: shape.clone(),
                error,
            });
        }
    }
    shapes.iter().find_map(|shape| reaches(old, new, shape))
}

/// An argument by place that arrives at a parameter which the old signature had elsewhere, or
/// whose parameter still exists elsewhere. A parameter that only got another name is neither.
fn reaches(old: &Signature, new: &Signature, shape: &Shape) -> Option<Effect> {
    let pairs = old.by_place().zip(new.by_place()).take(shape.positional);
    for (place, (was, is)) in pairs.enumerate() {
        let elsewhere = |signature: &Signature, name: &Name| {
            signature.parameters.iter().any(|other| other.name == *name)
        };
        let moved = elsewhere(new, &was.name) || elsewhere(old, &is.name);
        if was.name != is.name && moved {
            return Some(Effect::Reaches {
                witness: shape.clone(),
                place,
                old: was.name.clone(),
                new: is.name.clone(),
            });
        }
    }
    None
}
