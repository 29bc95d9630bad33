//! What is known of Python's own classes: the attributes of those whose instances have no others.
//! The table `rules/builtins.txt` is written by `rules/builtins.py`. Start at [`has`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ruff_python_ast::name::Name;

static TABLE: LazyLock<BTreeMap<&'static str, BTreeSet<&'static str>>> = LazyLock::new(|| {
    let lines = include_str!("../../rules/builtins.txt").lines();
    let rows = lines.filter_map(|line| line.split_once(':'));
    rows.map(|(class, names)| (class, names.split_whitespace().collect()))
        .collect()
});

/// The name by which the table knows a class: `typing.List` is `list`.
pub(crate) fn short(name: &str) -> Name {
    let name = name.strip_prefix("builtins.").unwrap_or(name);
    let name = name
        .strip_prefix("typing_extensions.")
        .map_or_else(|| name.to_owned(), |rest| format!("typing.{rest}"));
    if let Some(rest) = name.strip_prefix("typing.") {
        let lower = rest.to_ascii_lowercase();
        if ["list", "dict", "set", "frozenset", "tuple", "type"].contains(&lower.as_str()) {
            return Name::new(lower);
        }
        let of_collections = format!("collections.abc.{rest}");
        if TABLE.contains_key(of_collections.as_str()) && !TABLE.contains_key(name.as_str()) {
            return Name::new(of_collections);
        }
    }
    Name::new(name)
}

/// Whether a class of Python has an attribute; `None` for classes that the table does not have.
pub(crate) fn has(class: &str, attribute: &str) -> Option<bool> {
    Some(TABLE.get(class)?.contains(attribute))
}

/// Whether a class is known.
pub(crate) fn is_class(name: &str) -> bool {
    name != "functions" && !name.contains('.') && TABLE.contains_key(name)
}

/// Whether a name is a function or constant of `builtins`.
pub(crate) fn is_function(name: &str) -> bool {
    TABLE
        .get("functions")
        .is_some_and(|names| names.contains(name))
}

/// Whether a class is an exception of Python.
pub(crate) fn is_exception(name: &str) -> bool {
    has(name, "with_traceback") == Some(true)
}

/// Whether a class adds no constructor of its own.
pub(crate) fn has_plain_constructor(name: &str) -> bool {
    matches!(
        name,
        "object"
            | "abc.ABC"
            | "typing.Generic"
            | "typing.Protocol"
            | "contextlib.ContextDecorator"
            | "contextlib.AbstractContextManager"
            | "contextlib.AbstractAsyncContextManager"
    ) || name.starts_with("collections.abc.")
}
