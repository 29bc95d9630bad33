//! What `identify` answers. Start at [`Answer`].

use std::fmt;

use serde::{Serialize, Serializer};

use crate::label::printable;

/// How sure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Evidence names one distribution, nothing speaks against it.
    Certain,
    /// The first one is meant, as far as the evidence goes.
    Likely,
    /// Several fit as well.
    Ambiguous,
    /// No evidence supports any name.
    Unknown,
}

/// The answer for one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// As it was typed.
    pub label: String,
    /// How sure it is.
    pub verdict: Verdict,
    /// Set when the label is a module of the standard library, now or once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdlib: Option<Stdlib>,
    /// Best first.
    pub candidates: Vec<Candidate>,
    /// Warnings of names that look right and are not candidates.
    pub not: Vec<Refused>,
    /// What could not be found out, such as an index that did not answer.
    pub notes: Vec<String>,
}

/// A module of the standard library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stdlib {
    /// Its top-level name.
    pub module: String,
    /// The first Python that has it, if that is later than 3.9.
    pub since: Option<String>,
    /// The last Python that has it.
    pub until: Option<String>,
    /// Why it was removed and what to use instead.
    pub note: String,
}

/// A distribution that may be meant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The normalised name.
    pub distribution: String,
    /// Import names that it provides, as far as they matter here.
    pub provides: Vec<String>,
    /// What it is, in its owner's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why it is proposed, strongest first.
    pub evidence: Vec<Evidence>,
    /// What speaks against it, or should be known.
    pub warnings: Vec<Warning>,
    /// Whether the evidence is enough to be certain, if nothing else speaks against it.
    #[serde(skip)]
    pub is_solid: bool,
}

impl Candidate {
    /// A candidate with one piece of evidence.
    pub fn new(distribution: &str, evidence: Evidence) -> Self {
        Self {
            distribution: distribution.to_owned(),
            provides: Vec::new(),
            summary: None,
            evidence: vec![evidence],
            warnings: Vec::new(),
            is_solid: false,
        }
    }

    /// The weight of its strongest evidence.
    pub fn weight(&self) -> u32 {
        self.evidence
            .iter()
            .map(Evidence::weight)
            .max()
            .unwrap_or(0)
    }

    /// Whether a warning forbids that it is called certain.
    pub fn is_doubtful(&self) -> bool {
        self.warnings.iter().any(Warning::is_grave)
    }
}

/// A name that looks right and is not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refused {
    /// The name.
    pub distribution: String,
    /// Why it is not proposed.
    pub warnings: Vec<Warning>,
}

/// One reason to propose a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The project's own lock has a wheel with this module.
    Locked {
        /// The module.
        module: String,
        /// The locked version.
        version: String,
    },
    /// The distribution's own metadata states the import name (PEP 794).
    Declared {
        /// The import name.
        module: String,
    },
    /// The newest wheel on the index has this module.
    Wheel {
        /// The module.
        module: String,
        /// The wheel's file name.
        file: String,
    },
    /// Debian's indexes pair the module with it.
    Debian {
        /// The module.
        module: String,
        /// The suite and date of the table.
        table: String,
        /// How many Debian packages depend on it.
        dependents: u32,
        /// The label has another case.
        other_case: bool,
    },
    /// The hand-written table.
    Hand {
        /// Its reason.
        reason: String,
        /// Where it can be checked.
        link: String,
    },
    /// It carries on a removed module of the standard library.
    Successor {
        /// The module.
        module: String,
    },
    /// It has exactly this name, in Debian's table or on the index.
    Named {
        /// Where the name was found.
        found: Found,
        /// How many Debian packages depend on it.
        dependents: u32,
    },
    /// The same name but for separators.
    Squashed,
    /// The same name but for `python`, `py` or digits around it.
    Affix,
    /// The same words in another order.
    Words,
    /// Some letters differ from a well-used name.
    Near {
        /// How many.
        edits: usize,
        /// How many Debian packages depend on it.
        dependents: u32,
    },
    /// What the index has by the label's name only requires this one.
    Redirect {
        /// The shim.
        from: String,
    },
    /// The owners are those of the distribution that the label's own name redirects to.
    SameOwners {
        /// The other distribution.
        of: String,
    },
    /// The index has attestations of its newest files (PEP 740).
    Attested,
}

/// Where a name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// In Debian's table.
    Debian,
    /// On the index.
    Index,
}

impl Evidence {
    /// How much it counts; 100 is proof. Only the order and the gaps matter.
    pub const fn weight(&self) -> u32 {
        match self {
            Self::Locked { .. } => 100,
            Self::Declared { .. } => 95,
            Self::Hand { .. } => 90,
            Self::Debian {
                other_case: false, ..
            } => 85,
            Self::Successor { .. } => 80,
            Self::Wheel { .. } => 75,
            Self::Named {
                found: Found::Debian,
                ..
            } => 70,
            Self::Debian { .. } => 65,
            Self::Squashed | Self::Redirect { .. } => 60,
            Self::Named {
                found: Found::Index,
                ..
            } => 50,
            Self::Affix => 40,
            Self::Words => 30,
            Self::Near { .. } => 25,
            Self::SameOwners { .. } | Self::Attested => 5,
        }
    }

    /// One word for it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "locked",
            Self::Declared { .. } => "declared",
            Self::Wheel { .. } => "wheel",
            Self::Debian { .. } => "debian",
            Self::Hand { .. } => "known",
            Self::Successor { .. } => "successor",
            Self::Named { .. } => "name",
            Self::Squashed => "separators",
            Self::Affix => "affix",
            Self::Words => "words",
            Self::Near { .. } => "near",
            Self::Redirect { .. } => "redirect",
            Self::SameOwners { .. } => "owners",
            Self::Attested => "attested",
        }
    }

    /// Where it can be checked, if that is somewhere else than an index.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Hand { link, .. } => Some(link),
            _ => None,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { module, version } => write!(
                f,
                "the project's lock has `{module}` in its version {version}"
            ),
            Self::Declared { module } => {
                write!(f, "its metadata states the import name `{module}`")
            }
            Self::Wheel { module, file } => write!(f, "`{module}` is in {file}"),
            Self::Debian {
                module,
                table,
                dependents,
                ..
            } => {
                write!(
                    f,
                    "`{module}` is its module in Debian {table}{}",
                    depended(*dependents)
                )
            }
            Self::Hand { reason, .. } => f.write_str(reason),
            Self::Successor { module } => write!(
                f,
                "it carries on `{module}`, which the standard library no longer has"
            ),
            Self::Named {
                found: Found::Debian,
                dependents,
            } => write!(
                f,
                "Debian has a distribution of this name{}",
                depended(*dependents)
            ),
            Self::Named {
                found: Found::Index,
                ..
            } => write!(f, "the index has a distribution of this name"),
            Self::Squashed => write!(f, "the same name but for separators"),
            Self::Affix => write!(
                f,
                "the same name but for `python`, `py` or digits around it"
            ),
            Self::Words => write!(f, "the same words"),
            Self::Near { edits, dependents } => {
                let letters = if *edits == 1 {
                    "one letter differs"
                } else {
                    "two letters differ"
                };
                write!(f, "{letters}{}", depended(*dependents))
            }
            Self::Redirect { from } => {
                write!(f, "`{from}` on the index is a shim that requires it")
            }
            Self::SameOwners { of } => write!(f, "`{of}` has the same owners"),
            Self::Attested => write!(f, "the index has attestations of its newest files"),
        }
    }
}

fn depended(dependents: u32) -> String {
    match dependents {
        0 => String::new(),
        1 => ", where one package depends on it".to_owned(),
        many => format!(", where {many} packages depend on it"),
    }
}

/// Something that speaks against a distribution, or that a user should know of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// It has no modules and only requires another distribution.
    Shim {
        /// The other one.
        of: String,
        /// Whether both have the same owners, where the index tells.
        same_owners: Option<bool>,
    },
    /// It holds a name and has nothing in it.
    Placeholder {
        /// How that was seen.
        why: String,
    },
    /// Its owner says that it is renamed, deprecated or dead.
    Deprecated {
        /// What is said.
        says: String,
        /// What to use instead.
        instead: Option<String>,
    },
    /// No release for years and open vulnerabilities.
    Abandoned {
        /// The last upload, a date.
        last: String,
        /// Vulnerabilities that no version repairs.
        open: Vec<String>,
    },
    /// Vulnerabilities of the newest version that no version repairs.
    Vulnerable {
        /// Their ids.
        open: Vec<String>,
    },
    /// It has the name, but not the module.
    WrongProject {
        /// The module that it lacks.
        module: String,
        /// What it has instead.
        has: Vec<String>,
    },
    /// Several distributions have the module.
    SeveralProviders {
        /// The others.
        others: Vec<String>,
        /// The module path that each installs, so that two of them overwrite each other.
        clash: String,
    },
    /// Its name is close to that of a well-used distribution of other owners.
    LookAlike {
        /// The well-used one.
        of: String,
        /// What differs.
        why: String,
    },
    /// Other owners than the distribution that people mean by the name.
    OtherOwners {
        /// The one that is meant.
        than: String,
    },
    /// The index marks it (PEP 792).
    Marked {
        /// `archived`, `quarantined`, …
        state: String,
        /// Why.
        reason: Option<String>,
    },
    /// The standard library has a module of this name.
    InStdlib {
        /// The module.
        module: String,
    },
    /// The index does not have it.
    NotOnIndex,
}

impl Warning {
    /// One word for it; `[tool.unheck] allow` names it so.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Shim { .. } => "shim",
            Self::Placeholder { .. } => "placeholder",
            Self::Deprecated { .. } => "deprecated",
            Self::Abandoned { .. } => "abandoned",
            Self::Vulnerable { .. } => "vulnerable",
            Self::WrongProject { .. } => "wrong-project",
            Self::SeveralProviders { .. } => "several-providers",
            Self::LookAlike { .. } => "look-alike",
            Self::OtherOwners { .. } => "other-owners",
            Self::Marked { .. } => "marked",
            Self::InStdlib { .. } => "in-stdlib",
            Self::NotOnIndex => "not-on-index",
        }
    }

    /// Whether an answer with it cannot be certain.
    pub const fn is_grave(&self) -> bool {
        !matches!(
            self,
            Self::Vulnerable { .. } | Self::SeveralProviders { .. }
        )
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shim { of, same_owners } => {
                let owners = match same_owners {
                    Some(true) => ", same owners",
                    Some(false) => ", other owners",
                    None => "",
                };
                write!(f, "a shim: no modules, one requirement ({of}){owners}")
            }
            Self::Placeholder { why } => write!(f, "a placeholder: {why}"),
            Self::Deprecated { says, instead } => {
                write!(f, "its owner says: {}", printable(says))?;
                instead
                    .iter()
                    .try_for_each(|name| write!(f, " (use `{name}`)"))
            }
            Self::Abandoned { last, open } => {
                write!(
                    f,
                    "abandoned: nothing since {last}, open vulnerabilities {}",
                    open.join(", ")
                )
            }
            Self::Vulnerable { open } => write!(f, "open vulnerabilities: {}", open.join(", ")),
            Self::WrongProject { module, has } => {
                write!(f, "another project: it has no module `{module}`")?;
                match has.is_empty() {
                    true => Ok(()),
                    false => write!(f, " but {}", has.join(", ")),
                }
            }
            Self::SeveralProviders { others, clash } => {
                write!(
                    f,
                    "{} install `{clash}` too: two of them overwrite each other",
                    others.join(", ")
                )
            }
            Self::LookAlike { of, why } => write!(f, "looks like `{of}` and is not: {why}"),
            Self::OtherOwners { than } => write!(f, "other owners than `{than}`"),
            Self::Marked { state, reason } => {
                write!(f, "the index marks it as {}", printable(state))?;
                reason
                    .iter()
                    .try_for_each(|reason| write!(f, ": {}", printable(reason)))
            }
            Self::InStdlib { module } => write!(f, "the standard library has a module `{module}`"),
            Self::NotOnIndex => write!(f, "the index does not have it"),
        }
    }
}

#[derive(Serialize)]
struct Told<'a> {
    kind: &'a str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Told {
            kind: self.kind(),
            text: self.to_string(),
            link: self.link(),
        }
        .serialize(serializer)
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Told {
            kind: self.kind(),
            text: self.to_string(),
            link: None,
        }
        .serialize(serializer)
    }
}
