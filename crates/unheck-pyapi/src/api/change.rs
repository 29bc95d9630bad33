//! What a diff answers: changes with their rule, place and witness. Rules are data, in
//! `rules/api.toml`. Start at [`Change`].

use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// What happened to an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is gone.
    Removed,
    /// The same definition has another path.
    Moved,
    /// Other calls are accepted.
    Signature,
    /// A class is a function now, a method a property, and so on.
    Kind,
    /// It is awaited now, or no longer.
    Async,
    /// A class lost a base.
    Base,
    /// A constant has another value.
    Constant,
    /// A parameter has another default.
    Default,
    /// Its end is announced.
    Deprecated,
    /// It can no longer be known.
    Opaque,
}

/// What a change does to a program that uses the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It raises.
    Breaks,
    /// It goes on, with another meaning.
    Silent,
    /// It works, with a warning or less.
    Soft,
    /// Nothing can be said.
    Opaque,
}

/// A part of a semantic version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bump {
    /// Nothing asks for a bump.
    None,
    /// The third part.
    Patch,
    /// The second part.
    Minor,
    /// The first part.
    Major,
}

/// A rule of the diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable name.
    pub id: String,
    /// The kind of change it finds.
    pub kind: ChangeKind,
    /// What the change does.
    pub severity: Severity,
    /// What version bump it asks for.
    pub bump: Bump,
    /// One line for people.
    pub why: String,
}

/// A place in a source file; serialised as `file:line`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Path in the distribution, or of the user's file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One change of one definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// The dotted name as a user writes it.
    pub api: String,
    /// Where it is defined, dotted.
    pub defined: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The rule that found it.
    pub rule: String,
    /// What it does to programs.
    pub severity: Severity,
    /// Whether programs that use it can fail or go wrong: `breaks` or `silent`.
    pub breaking: bool,
    /// Where it was.
    pub old: Option<Location>,
    /// Where it is.
    pub new: Option<Location>,
    /// A call that shows the change.
    pub witness: Option<String>,
    /// What is different, in one line.
    pub detail: String,
    /// What the library itself says to do: the message of a deprecation, or the new path.
    pub advice: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let file = toml::from_str::<File>(include_str!("../../rules/api.toml"));
    file.map(|file| file.rule).unwrap_or_default()
});

/// All rules, in the order of their file.
pub fn rules() -> &'static [Rule] {
    &RULES
}

/// The rule of an identity.
pub(crate) fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
