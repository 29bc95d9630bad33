//! Relation fields (`Depends`, `Provides`, `Build-Depends`, …): Debian Policy 7.1, deb-control(5).
//!
//! Only the text form and single answers; choosing packages is not done here. Start at [`parse`].

use std::fmt;

use crate::quote::quote;
use crate::version::{DebVersion, VersionError};

/// How a relation compares a version with its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterEqual,
    /// `>>`
    Later,
}

/// One name in a list of architectures or build profiles, `!name` when negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Whether `!` stands before the name.
    pub negated: bool,
    /// The architecture, architecture wildcard or build profile.
    pub name: String,
}

/// One alternative: `name:qualifier (op version) [architectures] <profiles>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The binary package or virtual package asked for.
    pub name: String,
    /// What follows the colon: `any`, `native` or an architecture.
    pub arch_qualifier: Option<String>,
    /// The condition on the version.
    pub version: Option<(Op, DebVersion)>,
    /// The architectures that the relation is limited to; empty means all.
    pub architectures: Vec<Term>,
    /// The build profile restrictions, one list for each `<...>`; empty means none.
    pub profiles: Vec<Vec<Term>>,
}

/// A relation field that is kept as text and parsed when somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelationField(Box<str>);

/// Why a relation field cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// The text does not follow the grammar.
    #[error("relation `{relation}` {problem}")]
    Syntax {
        /// The alternative that is wrong.
        relation: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The version in parentheses is none.
    #[error("relation `{relation}` has a bad version")]
    Version {
        /// The alternative that is wrong.
        relation: String,
        /// Why.
        #[source]
        source: VersionError,
    },
}

/// Parses a whole field: all groups must hold, and in a group one alternative is enough.
/// A single trailing comma is accepted, as dpkg does; no other empty part is.
///
/// # Errors
/// The first alternative that breaks the grammar.
pub fn parse(field: &str) -> Result<Vec<Vec<Relation>>, RelationError> {
    let field = field.trim();
    let field = field.strip_suffix(',').unwrap_or(field);
    if field.trim().is_empty() {
        return Ok(Vec::new());
    }
    field
        .split(',')
        .map(|group| group.split('|').map(parse_one).collect())
        .collect()
}

fn parse_one(text: &str) -> Result<Relation, RelationError> {
    let text = text.trim();
    let wrong = |problem| RelationError::Syntax {
        relation: quote(text),
        problem,
    };
    let end = text
        .find(|c: char| c.is_ascii_whitespace() || matches!(c, '(' | '[' | '<'))
        .unwrap_or(text.len());
    let (target, mut rest) = text.split_at(end);
    let (name, arch_qualifier) = match target.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (target, None),
    };
    if !is_package_name(name) {
        return Err(wrong("has no valid package name"));
    }
    if arch_qualifier.is_some_and(|qualifier| !is_word(qualifier)) {
        return Err(wrong("has a bad architecture after the colon"));
    }
    rest = rest.trim_start();
    let mut version = None;
    if let Some(inside) = rest.strip_prefix('(') {
        let (condition, after) = inside.split_once(')').ok_or_else(|| wrong("lacks a `)`"))?;
        version = Some(parse_condition(condition.trim(), text)?);
        rest = after.trim_start();
    }
    let mut architectures = Vec::new();
    if let Some(inside) = rest.strip_prefix('[') {
        let (list, after) = inside.split_once(']').ok_or_else(|| wrong("lacks a `]`"))?;
        architectures = parse_terms(list).ok_or_else(|| wrong("has a bad architecture list"))?;
        rest = after.trim_start();
    }
    let mut profiles = Vec::new();
    while let Some(inside) = rest.strip_prefix('<') {
        let (list, after) = inside.split_once('>').ok_or_else(|| wrong("lacks a `>`"))?;
        profiles.push(parse_terms(list).ok_or_else(|| wrong("has a bad profile list"))?);
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        return Err(wrong("has something after its end"));
    }
    Ok(Relation {
        name: name.into(),
        arch_qualifier: arch_qualifier.map(Into::into),
        version,
        architectures,
        profiles,
    })
}

fn parse_condition(condition: &str, relation: &str) -> Result<(Op, DebVersion), RelationError> {
    let signs = [
        ("<<", Op::Earlier),
        ("<=", Op::EarlierEqual),
        (">=", Op::LaterEqual),
        (">>", Op::Later),
        ("=", Op::Equal),
    ];
    let found = signs
        .iter()
        .find_map(|(sign, op)| Some((*op, condition.strip_prefix(sign)?)));
    let (op, version) = found.ok_or_else(|| RelationError::Syntax {
        relation: quote(relation),
        problem: "has no `<<`, `<=`, `=`, `>=` or `>>` before its version",
    })?;
    match version.trim().parse() {
        Ok(version) => Ok((op, version)),
        Err(source) => Err(RelationError::Version {
            relation: quote(relation),
            source,
        }),
    }
}

fn parse_terms(list: &str) -> Option<Vec<Term>> {
    let terms: Vec<Term> = list
        .split_ascii_whitespace()
        .map(|word| {
            let name = word.strip_prefix('!');
            Term {
                negated: name.is_some(),
                name: name.unwrap_or(word).into(),
            }
        })
        .collect();
    let good = !terms.is_empty() && terms.iter().all(|term| is_word(&term.name));
    good.then_some(terms)
}

/// Names as dpkg takes them: ASCII letters and digits first, then also `-`, `+`, `.` and `_`.
pub(crate) fn is_package_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 255
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

pub(crate) fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= 255
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

impl Op {
    /// Whether `candidate op wanted` holds.
    pub fn holds(self, candidate: &DebVersion, wanted: &DebVersion) -> bool {
        match self {
            Self::Earlier => candidate < wanted,
            Self::EarlierEqual => candidate <= wanted,
            Self::Equal => candidate == wanted,
            Self::LaterEqual => candidate >= wanted,
            Self::Later => candidate > wanted,
        }
    }
}

impl Relation {
    /// Whether a real package of this name and version satisfies the relation. The architecture
    /// qualifier and the architecture and profile lists are the caller's to look at.
    pub fn satisfied_by(&self, name: &str, version: &DebVersion) -> bool {
        self.name == name
            && (self.version.as_ref()).is_none_or(|(op, wanted)| op.holds(version, wanted))
    }

    /// Whether an entry of a `Provides` field satisfies the relation: a relation with a version
    /// is met only by a provided name with a version (Policy 7.5).
    pub fn satisfied_by_provides(&self, provided: &Relation) -> bool {
        self.name == provided.name
            && match (&self.version, &provided.version) {
                (None, _) => true,
                (Some((op, wanted)), Some((Op::Equal, version))) => op.holds(version, wanted),
                (Some(_), _) => false,
            }
    }

    /// Whether the relation counts on Debian architecture `arch` (Policy 7.1 and 11.1).
    pub fn applies_to(&self, arch: &str) -> bool {
        let mut positive = false;
        for term in &self.architectures {
            if architecture_matches(&term.name, arch) {
                return !term.negated;
            }
            positive |= !term.negated;
        }
        !positive
    }

    /// Whether the relation counts in a build with exactly these build profiles: with no list
    /// always, else when one of the lists holds whole (deb-src-control(5)).
    pub fn active_with_profiles(&self, profiles: &[&str]) -> bool {
        let holds = |term: &Term| profiles.contains(&term.name.as_str()) != term.negated;
        self.profiles.is_empty() || self.profiles.iter().any(|list| list.iter().all(holds))
    }
}

/// Whether architecture `arch` (`amd64`, `armhf`, …) is meant by `pattern`, which may be a wildcard
/// such as `any`, `linux-any`, `any-arm64` (dpkg-architecture(1), cputable and tupletable).
pub fn architecture_matches(pattern: &str, arch: &str) -> bool {
    if pattern == arch || pattern == "any" {
        return true;
    }
    if arch == "all" || !pattern.contains("any") {
        return pattern.strip_prefix("linux-") == Some(arch) && arch != "all";
    }
    let (os, name) = match arch.rsplit_once('-') {
        Some((os, name)) => (os, name),
        None => ("gnu-linux", arch),
    };
    let cpu = match name {
        "armhf" | "armel" => "arm",
        "x32" => "amd64",
        name => name,
    };
    let full = format!("{os}-{cpu}");
    let mut left = full.rsplit('-');
    pattern.rsplit('-').all(|wanted| {
        let have = left.next();
        wanted == "any" || Some(wanted) == have
    })
}

impl RelationField {
    /// Keeps the text of a field.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text of the field, folded lines included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// As [`parse`].
    ///
    /// # Errors
    /// As [`parse`].
    pub fn parse(&self) -> Result<Vec<Vec<Relation>>, RelationError> {
        parse(&self.0)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierEqual => "<=",
            Self::Equal => "=",
            Self::LaterEqual => ">=",
            Self::Later => ">>",
        })
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negated { "!" } else { "" }, self.name)
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |terms: &[Term]| {
            let words: Vec<String> = terms.iter().map(ToString::to_string).collect();
            words.join(" ")
        };
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.arch_qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((op, version)) = &self.version {
            write!(f, " ({op} {version})")?;
        }
        if !self.architectures.is_empty() {
            write!(f, " [{}]", join(&self.architectures))?;
        }
        for list in &self.profiles {
            write!(f, " <{}>", join(list))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Relation {
        parse(text).expect(text).remove(0).remove(0)
    }

    fn shown(text: &str) -> String {
        let groups = parse(text).expect(text);
        let alternatives = |group: &Vec<Relation>| {
            let all: Vec<String> = group.iter().map(ToString::to_string).collect();
            all.join(" | ")
        };
        groups
            .iter()
            .map(alternatives)
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn every_part_of_the_grammar_is_read_and_shown_again() {
        let cases = [
            ("", ""),
            ("libc6", "libc6"),
            ("libc6(>=2.36) ,a|b", "libc6 (>= 2.36), a | b"),
            ("python3:any (>= 3.13~)", "python3:any (>= 3.13~)"),
            (
                "a (<< 1:2-3) [amd64 !i386] <!nocheck> <stage1 cross>",
                "a (<< 1:2-3) [amd64 !i386] <!nocheck> <stage1 cross>",
            ),
            ("a[linux-any]<x>", "a [linux-any] <x>"),
            ("a,\n b (= 1),", "a, b (= 1)"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for text in [
            "a,,b",
            ",a",
            "a |",
            "| a",
            "a (1)",
            "a (> 1)",
            "a (< 1)",
            "a (>= )",
            "a (>= 1",
            "a [",
            "a []",
            "a <>",
            "a b",
            "a (>= 1) (<< 2)",
            "-a",
            "a:",
            "a: b",
            "a (>= 1 2)",
            "é",
            "a [x] (>= 1)",
            ",",
        ] {
            let expected_empty = text == ",";
            assert_eq!(parse(text).is_err(), !expected_empty, "{text:?}");
        }
    }

    #[test]
    fn versions_decide() {
        let cases = [
            ("a (<< 2)", "1.9", true),
            ("a (<< 2)", "2", false),
            ("a (<= 2)", "2-0", true),
            ("a (= 2)", "2", true),
            ("a (= 2)", "2-1", false),
            ("a (>= 2)", "2~", false),
            ("a (>> 2)", "2-1", true),
            ("a", "0", true),
            ("b", "0", false),
        ];
        for (relation, version, expected) in cases {
            let version = version.parse().expect("a version");
            assert_eq!(
                one(relation).satisfied_by("a", &version),
                expected,
                "{relation} {version}"
            );
        }
    }

    #[test]
    fn a_version_is_met_only_by_a_versioned_provides() {
        assert!(one("a").satisfied_by_provides(&one("a")));
        assert!(one("a").satisfied_by_provides(&one("a (= 1)")));
        assert!(!one("a (>= 1)").satisfied_by_provides(&one("a")));
        assert!(one("a (>= 1)").satisfied_by_provides(&one("a (= 1.1)")));
        assert!(!one("a (>= 2)").satisfied_by_provides(&one("a (= 1.1)")));
        assert!(!one("b").satisfied_by_provides(&one("a")));
    }

    #[test]
    fn architecture_lists_and_wildcards_decide() {
        let cases = [
            ("a", "amd64", true),
            ("a [amd64]", "amd64", true),
            ("a [amd64]", "arm64", false),
            ("a [!amd64]", "amd64", false),
            ("a [!amd64]", "arm64", true),
            ("a [!amd64 !i386]", "arm64", true),
            ("a [linux-any]", "arm64", true),
            ("a [hurd-any]", "amd64", false),
            ("a [any-arm64]", "arm64", true),
            ("a [any-arm]", "armhf", true),
            ("a [any-amd64]", "arm64", false),
            ("a [linux-amd64]", "amd64", true),
            ("a [gnu-any-any]", "amd64", true),
            ("a [musl-any-any]", "amd64", false),
            ("a [any]", "amd64", true),
            ("a [hurd-any]", "hurd-amd64", true),
            ("a [linux-any]", "hurd-amd64", false),
        ];
        for (relation, arch, expected) in cases {
            assert_eq!(
                one(relation).applies_to(arch),
                expected,
                "{relation} {arch}"
            );
        }
    }

    #[test]
    fn profiles_decide() {
        assert!(one("a").active_with_profiles(&[]));
        assert!(one("a <!nocheck>").active_with_profiles(&[]));
        assert!(!one("a <!nocheck>").active_with_profiles(&["nocheck"]));
        assert!(one("a <!nocheck> <stage1>").active_with_profiles(&["nocheck", "stage1"]));
        assert!(!one("a <stage1 cross>").active_with_profiles(&["stage1"]));
    }

    proptest! {
        #[test]
        fn never_panics_and_what_is_shown_parses_to_the_same(text in "[a-c:|,()\\[\\]<>!=1 .~-]{0,24}|\\PC{0,20}") {
            if let Ok(groups) = parse(&text) {
                for relation in groups.iter().flatten() {
                    prop_assert_eq!(&one(&relation.to_string()), relation);
                }
            }
        }
    }
}
