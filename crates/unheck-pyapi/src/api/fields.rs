//! Classes that a call makes: `namedtuple`, `NamedTuple`, functional `Enum`, `type` and `ABCMeta`. Start at
//! [`made`].

use ruff_python_ast::name::Name;

use super::model::{Binding, Bound, Called, Class, Module, Term};

/// The term, or the class that it makes, which is added to the module.
pub(crate) fn made(module: &mut Module, term: Term, line: u32) -> Term {
    let Term::Call(call) = &term else {
        return term;
    };
    let class = match call.callee.last().map(Name::as_str) {
        Some("namedtuple" | "NamedTuple") => named_tuple(call),
        Some("Enum" | "IntEnum" | "StrEnum" | "Flag" | "IntFlag") => enumeration(call, line),
        Some("type" | "ABCMeta") if call.arguments.len() == 3 => Some(typed(call)),
        _ => None,
    };
    let Some(mut class) = class else {
        return term;
    };
    class.line = line;
    module.classes.push(class);
    Term::Class(module.classes.len() as u32 - 1)
}

/// `namedtuple("N", "a b", defaults=(1,))`, `NamedTuple("N", [("a", int)])`.
fn named_tuple(call: &Called) -> Option<Class> {
    let name = call.arguments.first()?.text()?;
    let names: Vec<Name> = match call
        .arguments
        .get(1)
        .or_else(|| call.keyword("field_names"))?
    {
        Term::Text(text) => text
            .split([' ', ',', '\n', '\t'])
            .filter(|word| !word.is_empty())
            .map(Name::new)
            .collect(),
        Term::Items(_, items) => items
            .iter()
            .map(|item| match item {
                Term::Text(text) => Some(Name::new(text)),
                Term::Items(_, pair) => pair.first()?.text().map(Name::new),
                _ => None,
            })
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let optional = match call.keyword("defaults") {
        Some(Term::Items(_, items)) => items.len(),
        Some(_) => names.len(),
        None => 0,
    };
    let required = names.len().saturating_sub(optional);
    let fields = names.iter().enumerate();
    Some(Class {
        name: Name::new(name),
        bases: vec![Term::Name(Name::new_static("tuple"))],
        fields: Some(
            fields
                .map(|(place, name)| (name.clone(), place >= required))
                .collect(),
        ),
        ..Class::default()
    })
}

/// `Enum("Color", "RED GREEN")`.
fn enumeration(call: &Called, line: u32) -> Option<Class> {
    let name = call.arguments.first()?.text()?;
    let names: Vec<String> = match call.arguments.get(1)? {
        Term::Text(text) => text
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        Term::Items(_, items) => items
            .iter()
            .filter_map(|item| match item {
                Term::Items(_, pair) => pair.first()?.text().map(str::to_owned),
                other => other.text().map(str::to_owned),
            })
            .collect(),
        table @ Term::Table(_) => table.texts().into_iter().map(str::to_owned).collect(),
        _ => return None,
    };
    let bindings = names.iter().map(|name| Binding {
        name: Name::new(name),
        line,
        certain: true,
        typing: false,
        what: Bound::Value(Term::Unknown, None),
    });
    Some(Class {
        name: Name::new(name),
        bases: vec![call.callee.clone()],
        bindings: bindings.collect(),
        ..Class::default()
    })
}

/// `type("Name", (Base,), {…})`, `ABCMeta("Name", (), {})`.
fn typed(call: &Called) -> Class {
    let bases = match &call.arguments[1] {
        Term::Items(_, items) => items.to_vec(),
        _ => vec![Term::Unknown],
    };
    let members = match &call.arguments[2] {
        Term::Table(rows) => &rows[..],
        _ => &[],
    };
    let bindings = members.iter().filter_map(|(key, value)| {
        Some(Binding {
            name: Name::new(key.text()?),
            line: 0,
            certain: true,
            typing: false,
            what: Bound::Value(value.clone(), None),
        })
    });
    Class {
        name: Name::new(call.arguments[0].text().unwrap_or_default()),
        bases,
        bindings: bindings.collect(),
        open: u64::from(!matches!(call.arguments[2], Term::Table(_))),
        ..Class::default()
    }
}

/// Adds what `__slots__` names: attributes even where no method stores them.
pub(crate) fn slots(class: &mut Class, bindings: &[Binding]) {
    let slots = bindings
        .iter()
        .filter(|binding| *binding.name == *"__slots__");
    for binding in slots {
        if let Bound::Value(term, _) = &binding.what {
            let stores = term.texts().into_iter().map(|name| super::model::Store {
                name: Name::new(name),
                line: binding.line,
                value: Term::Unknown,
                annotation: None,
                function: u32::MAX,
            });
            class.stores.extend(stores);
        }
    }
}
