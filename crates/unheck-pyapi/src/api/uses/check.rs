//! The facts that a walk establishes, each at one place of the user's code. Start at [`Checks`].

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::Name;

use super::super::value::ClassId;

/// What is checked at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Import,
    Name,
    Attribute,
    Call,
}

/// The outcome of a check under one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It works; with the reason for which other names may exist there, 0 for none.
    Fine {
        open: u64,
    },
    /// It raises.
    Fails,
    /// It raises for every value that is known, and others may come.
    MayFail,
    /// The name is not there, but code that cannot be read may answer for it.
    Open(u64),
    Unknown,
}

/// What the check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A name of a module.
    Module(Name, Name),
    /// A module itself.
    Whole(Name),
    /// An attribute of a class or its instances: the class's module and name.
    Member(ClassId, Name),
    /// Calling a class.
    Class(ClassId),
    Nothing,
}

/// One check.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) line: u32,
    pub(crate) outcome: Outcome,
    pub(crate) target: Target,
    /// What is wrong.
    pub(crate) what: Option<String>,
    /// The library's own message about it.
    pub(crate) text: Option<Box<str>>,
    /// The attribute is called at once.
    pub(crate) is_called: bool,
}

/// All checks of a file, by place.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) checks: BTreeMap<(u32, Kind), Check>,
    /// Classes of what attributes and their calls give, by the attribute's place: the names of module and class, which
    /// mean something under another tree as well.
    pub(crate) results: BTreeMap<u32, BTreeSet<(Name, Name)>>,
}

impl Checks {
    /// Adds a check. A place that is seen twice with different outcomes is not sure.
    pub(crate) fn add(&mut self, at: u32, kind: Kind, check: Check) {
        match self.checks.get_mut(&(at, kind)) {
            Some(known) if known.outcome != check.outcome => known.outcome = Outcome::Unknown,
            Some(_) => {}
            None => {
                self.checks.insert((at, kind), check);
            }
        }
    }
}
