//! The names of the user's scopes while they are walked. Start at [`Frame`].

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::Name;

use super::super::value::{ClassId, Receiver, Value, tidy};

/// Names of one scope, with what they are at this point.
pub(crate) type Names = BTreeMap<Name, Vec<Value>>;

/// One scope.
#[derive(Debug, Default, Clone)]
pub(crate) struct Frame {
    pub(crate) names: Names,
    /// Names that belong to the module: `global x`.
    pub(crate) globals: BTreeSet<Name>,
    /// Names that the function assigns somewhere.
    pub(crate) locals: BTreeSet<Name>,
    pub(crate) is_class: bool,
    /// The class whose method it is, with what `self` is.
    pub(crate) class: Option<ClassId>,
    pub(crate) receiver: Option<Receiver>,
}

/// What two ways of reaching a point agree on.
pub(crate) fn merged(one: Names, other: &Names) -> Names {
    let mut both = one;
    for (name, values) in other {
        match both.get_mut(name) {
            Some(known) => {
                known.extend(values.iter().cloned());
                *known = tidy(std::mem::take(known));
            }
            None => {
                both.insert(name.clone(), values.clone());
            }
        }
    }
    both
}
