//! Which packages a root is made of: dependencies followed as apt follows them. Start at
//! [`install_set`]. Pure but for the indexes that it reads.
//!
//! Debian Policy 7 (relations) and the choices of apt: of several alternatives one that is already
//! chosen, else the first that can be had; for a name that is no package one that provides it.
//! `Recommends` are not followed. What was chosen is not taken back: where that ends in a
//! conflict, both sides are named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use unheck_deb::control::BinaryPackage;
use unheck_deb::relation::{Relation, RelationError, RelationField};

use super::rules::{self, Base};
use crate::debian::{Listed, Suites};
use crate::explain::{Class, Explain};
use crate::layout::minor;
use crate::lock::{Interpreter, Provider};
use crate::platform::Platform;

/// No set of packages fits together.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChooseError {
    /// A package that was asked for is not in the suite.
    #[error("the suite `{suite}` has no package `{package}` for {platform}")]
    NoPackage {
        /// What was asked for.
        package: String,
        /// Where.
        suite: String,
        /// For which machine.
        platform: Platform,
    },
    /// Nothing satisfies a dependency.
    #[error("{chain} needs `{relation}`: {}", found(what))]
    Unmet {
        /// Who needs it, from what was asked for on: `a` → `b`.
        chain: Chain,
        /// All alternatives, as the package writes them.
        relation: String,
        /// What stands against each alternative.
        what: Vec<String>,
    },
    /// Two packages exclude each other.
    #[error("{chain} and {with} exclude each other: `{relation}`")]
    Conflict {
        /// The one that cannot be added.
        chain: Chain,
        /// The one that is there.
        with: Chain,
        /// The relation that says so.
        relation: String,
    },
    /// A package's relations cannot be read.
    #[error("the relations of the Debian package `{package}` cannot be read")]
    Relation {
        /// Whose.
        package: String,
        /// Why not.
        #[source]
        source: RelationError,
    },
    /// The suite's interpreter is another than the target's.
    #[error("the suite `{suite}` has Python {found}, and the target's interpreter is {wanted}")]
    OtherPython {
        /// Where.
        suite: String,
        /// What there is.
        found: String,
        /// The target's.
        wanted: String,
    },
}

/// How a package came into a set: what was asked for first, the package itself last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(pub Vec<String>);

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        f.write_str(&names.join(" → "))
    }
}

fn found(what: &[String]) -> String {
    what.join("; ")
}

impl Explain for ChooseError {
    fn class(&self) -> Class {
        match self {
            Self::Relation { .. } => Class::Outside,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoPackage { .. } => {
                vec!["check the name, or choose another suite with `--suite`".to_owned()]
            }
            Self::Conflict { .. } => {
                vec!["ask for one of the two only, in `debs` of the build".to_owned()]
            }
            Self::OtherPython { .. } => {
                vec!["choose anew with `unheck lock`: the suite has moved on".to_owned()]
            }
            Self::Unmet { .. } => vec![
                "the mirror may be in the middle of an update: try again later, or another mirror with `--mirror URL`".to_owned(),
            ],
            Self::Relation { .. } => Vec::new(),
        }
    }
}

/// All packages that `wanted` needs to run, by name, and the essential ones, which nobody names.
///
/// # Errors
/// [`ChooseError`].
pub fn install_set(
    suites: &Suites,
    platform: Platform,
    wanted: &BTreeSet<String>,
) -> Result<Vec<Listed>, ChooseError> {
    let mut chooser = Chooser::new(suites, platform);
    chooser.essential()?;
    chooser.add(wanted)?;
    Ok(chooser.finish())
}

/// The packages of a root, and which of them every root of the interpreter has.
///
/// # Errors
/// [`ChooseError`].
pub(super) fn root_set(
    suites: &Suites,
    platform: Platform,
    interpreter: &Interpreter,
    extra: &BTreeSet<String>,
) -> Result<Vec<(Listed, bool)>, ChooseError> {
    let wanted = base(suites, platform, interpreter)?;
    let mut chooser = Chooser::new(suites, platform);
    chooser.essential()?;
    chooser.add(&wanted)?;
    let base: BTreeSet<String> = chooser.chosen.keys().cloned().collect();
    let full = match chooser.add(extra) {
        Ok(()) => chooser.finish(),
        // What was asked for may need another choice than the one that every root begins with.
        Err(ChooseError::Conflict { .. } | ChooseError::Unmet { .. }) => {
            install_set(suites, platform, &wanted.union(extra).cloned().collect())?
        }
        Err(error) => return Err(error),
    };
    let marked = full.into_iter().map(|listed| {
        let in_base = base.contains(&listed.package.name);
        (listed, in_base)
    });
    Ok(marked.collect())
}

/// The packages that every root is asked for by name.
fn base(
    suites: &Suites,
    platform: Platform,
    interpreter: &Interpreter,
) -> Result<BTreeSet<String>, ChooseError> {
    let python = minor(&interpreter.version);
    let debian = interpreter.provider == Provider::Debian;
    if debian {
        check_python(suites, platform, &python, interpreter)?;
    }
    let applies = |row: &&Base| {
        (debian || !row.python)
            && (row.below.as_ref()).is_none_or(|below| number(&python) < number(below))
    };
    let mut wanted = BTreeSet::new();
    for row in rules::all().base.iter().filter(applies) {
        let names = row
            .package
            .iter()
            .map(|name| name.replace("{minor}", &python));
        let names: Vec<String> = names.collect();
        let there = |name: &&String| suites.package(platform, name).is_some();
        match names.iter().find(there) {
            Some(name) => {
                wanted.insert(name.clone());
            }
            None if row.if_any => {}
            None => {
                return Err(ChooseError::NoPackage {
                    package: names.join(" | "),
                    suite: suites.name.clone(),
                    platform,
                });
            }
        }
    }
    Ok(wanted)
}

/// `(3, 13)` of `3.13`.
fn number(minor: &str) -> (u32, u32) {
    crate::debian::parse_glibc(minor).unwrap_or_default()
}

/// The headers must be exactly the interpreter's.
fn check_python(
    suites: &Suites,
    platform: Platform,
    python: &str,
    interpreter: &Interpreter,
) -> Result<(), ChooseError> {
    let name = format!("python{python}-minimal");
    let Some(listed) = suites.package(platform, &name) else {
        return Err(ChooseError::NoPackage {
            package: name,
            suite: suites.name.clone(),
            platform,
        });
    };
    let found = crate::interpreter::upstream(listed.package.version.upstream());
    if found == interpreter.version {
        return Ok(());
    }
    Err(ChooseError::OtherPython {
        suite: suites.name.clone(),
        found,
        wanted: interpreter.version.clone(),
    })
}

/// A package of the set and what it says of others.
struct Chosen {
    listed: Listed,
    provides: Vec<Relation>,
    /// `Conflicts` and `Breaks`.
    against: Vec<Relation>,
    /// The package that it was added for.
    because: Option<String>,
}

/// The set so far.
struct Chooser<'a> {
    suites: &'a Suites,
    platform: Platform,
    chosen: BTreeMap<String, Chosen>,
    queue: VecDeque<String>,
    without: BTreeSet<&'static str>,
}

impl<'a> Chooser<'a> {
    fn new(suites: &'a Suites, platform: Platform) -> Self {
        let without = rules::all().without.iter();
        Self {
            suites,
            platform,
            chosen: BTreeMap::new(),
            queue: VecDeque::new(),
            without: without.map(|row| row.package.as_str()).collect(),
        }
    }

    fn finish(self) -> Vec<Listed> {
        self.chosen
            .into_values()
            .map(|chosen| chosen.listed)
            .collect()
    }

    /// Packages that others may use without naming them (Policy 3.8).
    fn essential(&mut self) -> Result<(), ChooseError> {
        let names = self.suites.names_with(self.platform, &["Essential: yes"]);
        let names = names.into_iter().filter(|name| {
            !self.without.contains(name.as_str())
                && (self.suites.package(self.platform, name))
                    .is_some_and(|listed| listed.package.essential)
        });
        self.add(&names.collect())
    }

    /// Adds packages by name with all that they need.
    fn add(&mut self, wanted: &BTreeSet<String>) -> Result<(), ChooseError> {
        // All names first: a later one may be the alternative that an earlier one can use.
        for name in wanted {
            if self.chosen.contains_key(name) {
                continue;
            }
            let relation = Relation {
                name: name.clone(),
                arch_qualifier: None,
                version: None,
                architectures: Vec::new(),
                profiles: Vec::new(),
            };
            let candidates = self.candidates(&relation);
            let Some(listed) = candidates.into_iter().next() else {
                return Err(ChooseError::NoPackage {
                    package: name.clone(),
                    suite: self.suites.name.clone(),
                    platform: self.platform,
                });
            };
            let chosen = self.read(listed, None)?;
            if let Some((with, relation)) = self.excluded(&chosen) {
                return Err(ChooseError::Conflict {
                    chain: Chain(vec![name.clone()]),
                    with: self.chain(&with),
                    relation,
                });
            }
            self.insert(chosen);
        }
        while let Some(name) = self.queue.pop_front() {
            self.follow(&name)?;
        }
        Ok(())
    }

    fn insert(&mut self, chosen: Chosen) {
        let name = chosen.listed.package.name.clone();
        self.queue.push_back(name.clone());
        self.chosen.insert(name, chosen);
    }

    /// Adds what one package of the set needs.
    fn follow(&mut self, name: &str) -> Result<(), ChooseError> {
        let Some(chosen) = self.chosen.get(name) else {
            return Ok(());
        };
        let package = chosen.listed.package.clone();
        let mut groups = parsed(&package, &package.pre_depends)?;
        groups.extend(parsed(&package, &package.depends)?);
        for group in groups {
            self.satisfy(name, &group)?;
        }
        Ok(())
    }

    fn satisfy(&mut self, name: &str, group: &[Relation]) -> Result<(), ChooseError> {
        let architecture = self.platform.architecture();
        let group: Vec<&Relation> = group
            .iter()
            .filter(|relation| relation.applies_to(architecture))
            .collect();
        if group.is_empty() || group.iter().any(|relation| self.is_met(relation)) {
            return Ok(());
        }
        let mut what = Vec::new();
        let mut conflict = None;
        for relation in &group {
            if !self.is_native(relation) {
                what.push(format!("`{relation}` is for another machine"));
                continue;
            }
            let candidates = self.candidates(relation);
            if candidates.is_empty() {
                what.push(self.absent(relation));
            }
            for listed in candidates {
                let chosen = self.read(listed, Some(name))?;
                match self.excluded(&chosen) {
                    None => {
                        self.insert(chosen);
                        return Ok(());
                    }
                    Some(excluded) => {
                        let package = chosen.listed.package.name.clone();
                        what.push(format!(
                            "`{package}` and `{}` exclude each other",
                            excluded.0
                        ));
                        conflict.get_or_insert((package, excluded));
                    }
                }
            }
        }
        match conflict {
            Some((package, (with, relation))) => {
                let mut chain = self.chain(name);
                chain.0.push(package);
                let with = self.chain(&with);
                Err(ChooseError::Conflict {
                    chain,
                    with,
                    relation,
                })
            }
            None => Err(ChooseError::Unmet {
                chain: self.chain(name),
                relation: text(&group),
                what,
            }),
        }
    }

    /// Why nothing satisfies a relation.
    fn absent(&self, relation: &Relation) -> String {
        let name = &relation.name;
        match self.suites.package(self.platform, name) {
            Some(listed) => format!("the suite has `{name}` {}", listed.package.version),
            None if self.suites.providers(self.platform, name).is_empty() => {
                format!("the suite has no `{name}`")
            }
            None => format!("no package provides `{relation}`"),
        }
    }

    /// Whether a relation means packages of this architecture.
    fn is_native(&self, relation: &Relation) -> bool {
        relation.arch_qualifier.as_deref().is_none_or(|qualifier| {
            ["any", "native", "all", self.platform.architecture()].contains(&qualifier)
        })
    }

    /// Whether the set satisfies a relation already.
    fn is_met(&self, relation: &Relation) -> bool {
        if !self.is_native(relation) {
            return false;
        }
        if self.without.contains(relation.name.as_str()) {
            return true;
        }
        self.chosen
            .values()
            .any(|chosen| chosen.satisfies(relation))
    }

    /// What would satisfy a relation: the package itself, else those that provide it, which are
    /// many for `awk`: by priority, then by name.
    fn candidates(&self, relation: &Relation) -> Vec<Listed> {
        let real = self.suites.package(self.platform, &relation.name);
        let real = real
            .filter(|listed| relation.satisfied_by(&listed.package.name, &listed.package.version));
        let mut providers = self.suites.providers(self.platform, &relation.name);
        providers.retain(|listed| {
            let provides = listed.package.provides.parse().unwrap_or_default();
            (provides.iter().flatten()).any(|one| relation.satisfied_by_provides(one))
        });
        providers.sort_by_key(|listed| {
            let package = &listed.package;
            (
                !self.chosen.contains_key(&package.name),
                priority(&package.priority),
                package.name.clone(),
            )
        });
        real.into_iter().chain(providers).collect()
    }

    fn read(&self, listed: Listed, because: Option<&str>) -> Result<Chosen, ChooseError> {
        let package = &listed.package;
        let one = |field| Ok(parsed(package, field)?.into_iter().flatten());
        let against = one(&package.conflicts)?.chain(one(&package.breaks)?);
        let architecture = self.platform.architecture();
        Ok(Chosen {
            provides: one(&package.provides)?.collect(),
            against: against
                .filter(|relation| relation.applies_to(architecture) && self.is_native(relation))
                .collect(),
            because: because.map(str::to_owned),
            listed,
        })
    }

    /// A package of the set that does not go with another one, and the relation that says so.
    fn excluded(&self, new: &Chosen) -> Option<(String, String)> {
        self.chosen.iter().find_map(|(name, old)| {
            if *name == new.listed.package.name {
                return None;
            }
            let forward = new.against.iter().find(|one| old.satisfies(one));
            let against = forward.or_else(|| old.against.iter().find(|one| new.satisfies(one)))?;
            Some((name.clone(), against.to_string()))
        })
    }

    /// How a package came into the set.
    fn chain(&self, name: &str) -> Chain {
        let mut names = vec![name.to_owned()];
        let mut at = name;
        while let Some(because) = (self.chosen.get(at)).and_then(|one| one.because.as_deref()) {
            names.push(because.to_owned());
            at = because;
        }
        names.reverse();
        Chain(names)
    }
}

impl Chosen {
    fn satisfies(&self, relation: &Relation) -> bool {
        let package = &self.listed.package;
        relation.satisfied_by(&package.name, &package.version)
            || (self.provides.iter()).any(|one| relation.satisfied_by_provides(one))
    }
}

fn parsed(
    package: &BinaryPackage,
    field: &RelationField,
) -> Result<Vec<Vec<Relation>>, ChooseError> {
    field.parse().map_err(|source| ChooseError::Relation {
        package: package.name.clone(),
        source,
    })
}

fn text(group: &[&Relation]) -> String {
    let words: Vec<String> = group.iter().map(ToString::to_string).collect();
    words.join(" | ")
}

/// Policy 2.5, the most important first.
fn priority(text: &str) -> usize {
    const ORDER: [&str; 4] = ["required", "important", "standard", "optional"];
    ORDER
        .iter()
        .position(|name| *name == text)
        .unwrap_or(ORDER.len())
}
