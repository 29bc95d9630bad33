//! What is known without a network: candidates for a label, each with its evidence. Start at [`offline`].

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Candidate, Evidence, Found, Stdlib, Verdict, Warning};
use crate::distance::distance;
use crate::hand::{self, Kind, Row};
use crate::label::{Context, Label, squash};
use crate::stdlib;
use crate::table::{Known, Table};

/// So many Debian packages must depend on a distribution before its name is guessed from a misspelling.
const WELL_USED: u32 = 10;
/// So many make a pairing of Debian's enough to be certain: others rely on it under that name.
const RELIED_ON: u32 = 3;
/// A module that so many distributions share says nothing about any of them.
const SHARED: usize = 4;
/// Most candidates that are told.
const MOST: usize = 5;

/// Modules of the project's own locked wheels: name and version of each distribution that has one.
pub type Locked = BTreeMap<String, BTreeSet<(String, String)>>;

/// What answers are made of.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// The table of Debian's.
    pub table: &'a Table,
    /// Whether the hand-written table is used.
    pub hand: bool,
    /// The Python that code will run on.
    pub python: (u8, u8),
    /// The project's own lock.
    pub locked: &'a Locked,
}

/// The answer that needs no network.
pub fn offline(label: &Label, knowledge: &Knowledge<'_>) -> Answer {
    let mut answer = Answer {
        label: label.text.clone(),
        verdict: Verdict::Unknown,
        stdlib: None,
        candidates: Vec::new(),
        not: Vec::new(),
        notes: Vec::new(),
    };
    let mut search = Search {
        label,
        knowledge,
        found: Vec::new(),
        refused: Vec::new(),
    };
    if label.path.is_empty() {
        return answer;
    }
    if label.is_module()
        && let Some(module) = stdlib::module(&label.path[0])
    {
        answer.stdlib = Some(told(&module));
        if module.is_in(knowledge.python) {
            answer.verdict = Verdict::Certain;
            return answer;
        }
        if let Some(successor) = module.successor {
            search.add(
                successor,
                Evidence::Successor {
                    module: module.name.into(),
                },
                module.name,
            );
        }
    }
    search.modules();
    if label.context != Context::Import {
        search.names();
    }
    answer.candidates = search.ranked();
    if answer.stdlib.is_some() {
        // Whether it should be carried on at all is the reader's choice.
        answer
            .candidates
            .iter_mut()
            .for_each(|candidate| candidate.is_solid = false);
    }
    answer.verdict = match (&answer.stdlib, answer.candidates.is_empty()) {
        // That nothing needs or can be installed is an answer.
        (Some(_), true) => Verdict::Certain,
        _ => verdict(&answer.candidates),
    };
    answer
}

/// How sure the ranked candidates make.
pub(crate) fn verdict(candidates: &[Candidate]) -> Verdict {
    let Some(first) = candidates.first() else {
        return Verdict::Unknown;
    };
    let close = |other: &&Candidate| other.weight() + 10 > first.weight() && !other.is_doubtful();
    match (
        candidates[1..].iter().any(|other| close(&other)),
        first.is_solid && !first.is_doubtful(),
    ) {
        (true, _) => Verdict::Ambiguous,
        (false, true) => Verdict::Certain,
        (false, false) => Verdict::Likely,
    }
}

fn told(module: &stdlib::StdModule) -> Stdlib {
    let version = |version: (u8, u8)| format!("{}.{}", version.0, version.1);
    Stdlib {
        module: module.name.to_owned(),
        since: module.since.map(version),
        until: module.until.map(version),
        note: module.note.to_owned(),
    }
}

struct Search<'a> {
    label: &'a Label,
    knowledge: &'a Knowledge<'a>,
    found: Vec<(Candidate, u32)>,
    /// Rows that say that nothing of the index should be taken.
    refused: Vec<&'static Row>,
}

impl Search<'_> {
    /// Adds evidence for a distribution; `module` is what it provides, if that is known.
    fn add(&mut self, name: &str, evidence: Evidence, module: &str) -> &mut Candidate {
        let known = self.knowledge.table.distribution(name);
        let dependents = known.map_or(0, |known| known.dependents);
        let at = self
            .found
            .iter()
            .position(|(candidate, _)| candidate.distribution == name);
        let at = match at {
            Some(at) => {
                let known = &mut self.found[at].0.evidence;
                if !known.contains(&evidence) {
                    known.push(evidence);
                }
                at
            }
            None => {
                self.found
                    .push((Candidate::new(name, evidence), dependents));
                self.found.len() - 1
            }
        };
        let candidate = &mut self.found[at].0;
        if !module.is_empty() && !candidate.provides.iter().any(|its| its == module) {
            candidate.provides.push(module.to_owned());
        }
        candidate
    }

    fn best(&self) -> u32 {
        self.found
            .iter()
            .map(|(candidate, _)| candidate.weight())
            .max()
            .unwrap_or(0)
    }

    /// What an import of the label reaches.
    fn modules(&mut self) {
        if !self.label.is_module() {
            return;
        }
        let dotted = self.label.dotted();
        for prefix in prefixes(&dotted) {
            let Some(owners) = self.knowledge.locked.get(prefix) else {
                continue;
            };
            for (name, version) in owners {
                let evidence = Evidence::Locked {
                    module: prefix.into(),
                    version: version.clone(),
                };
                self.add(name, evidence, prefix).is_solid = owners.len() == 1;
            }
            return;
        }
        if self.knowledge.hand {
            let row = hand::rows_for_module(&dotted);
            // In free text the case is often wrong: `BS4`.
            let loose = || {
                hand::rows_for_module_in_any_case(&dotted)
                    .filter(|_| self.label.context == Context::Text)
            };
            if let Some((row, prefix)) = row.or_else(loose) {
                self.row(row, prefix);
            }
        }
        self.debian(&dotted);
    }

    fn debian(&mut self, dotted: &str) {
        let table = self.knowledge.table;
        for prefix in prefixes(dotted) {
            let owners = table.module(prefix);
            if !owners.is_empty() && owners.len() < SHARED {
                owners
                    .iter()
                    .for_each(|known| self.pair(known, prefix, owners.len(), false));
                return;
            }
        }
        let below = table.below(dotted);
        if !below.is_empty() {
            for (module, owners) in below.iter().take(64) {
                owners
                    .iter()
                    .for_each(|known| self.pair(known, module, below.len().max(2), false));
            }
            return;
        }
        if self.label.context == Context::Text {
            let top = dotted.split('.').next().unwrap_or_default();
            for module in table
                .module_in_any_case(dotted)
                .into_iter()
                .chain(table.module_in_any_case(top))
            {
                let owners = table.module(module);
                owners
                    .iter()
                    .for_each(|known| self.pair(known, module, owners.len(), true));
            }
        }
    }

    fn pair(&mut self, known: &Known<'_>, module: &str, of: usize, other_case: bool) {
        let evidence = Evidence::Debian {
            module: module.to_owned(),
            table: self.source(),
            dependents: known.dependents,
            other_case,
        };
        let enough = match is_related(known.name, module) {
            true => RELIED_ON,
            // Debian may ship a fork under the module's old name.
            false => WELL_USED,
        };
        let solid = of == 1 && known.dependents >= enough && !known.is_binding;
        let candidate = self.add(known.name, evidence, module);
        candidate.is_solid |= solid;
    }

    fn source(&self) -> String {
        let sources = self.knowledge.table.sources();
        let date = sources.date.split(['T', ' ']).next().unwrap_or_default();
        format!("{} of {date}", sources.suite)
    }

    fn row(&mut self, row: &'static Row, module: &str) {
        if row.to.is_empty() {
            self.refused.push(row);
        }
        let evidence = || Evidence::Hand {
            reason: row.reason.clone(),
            link: row.link.clone(),
        };
        for name in &row.to {
            let candidate = self.add(name, evidence(), module);
            candidate.is_solid |= row.to.len() == 1;
            if row.kind == Kind::Variants && row.to.len() > 1 && !module.is_empty() {
                let others = row
                    .to
                    .iter()
                    .filter(|other| *other != name)
                    .cloned()
                    .collect();
                candidate.warnings.push(Warning::SeveralProviders {
                    others,
                    clash: module.to_owned(),
                });
            }
        }
    }

    /// What distribution the label names.
    fn names(&mut self) {
        let table = self.knowledge.table;
        let own = self.label.as_distribution();
        if self.knowledge.hand
            && let Some(row) = hand::rows_for_name(self.label)
        {
            self.row(row, "");
        }
        if let Some(known) = table.distribution(&own) {
            let found = Evidence::Named {
                found: Found::Debian,
                dependents: known.dependents,
            };
            let solid = self.found.is_empty() && known.dependents >= RELIED_ON && !known.is_binding;
            let is_std = stdlib::module(&self.label.path[0])
                .filter(|module| module.is_in(self.knowledge.python));
            let candidate = self.add(known.name, found, "");
            candidate.is_solid |= solid;
            if let Some(module) = is_std {
                candidate.warnings.push(Warning::InStdlib {
                    module: module.name.to_owned(),
                });
            }
            return;
        }
        // A requirement says a name exactly; only a warning may come of others that look like it.
        if self.label.context == Context::Requirement || self.best() >= 60 {
            return;
        }
        for known in table.squashed(&own) {
            self.add(known.name, Evidence::Squashed, "").is_solid |= known.dependents >= RELIED_ON;
        }
        if self.found.is_empty() {
            self.loose();
        }
    }

    /// Guesses for free text: affixes, words, misspellings; the first kind that finds something.
    fn loose(&mut self) {
        let table = self.knowledge.table;
        let text = self.label.as_distribution();
        let wanted = core(&text);
        if wanted.len() >= 3 {
            let same = table
                .distributions()
                .filter(|known| known.name.len() >= wanted.len() && core(known.name) == wanted);
            let mut same: Vec<Known<'_>> = same.collect();
            same.sort_by_key(|known| std::cmp::Reverse(known.dependents));
            same.iter().take(MOST).for_each(|known| {
                self.add(known.name, Evidence::Affix, "");
            });
        }
        let words: BTreeSet<&str> = text.split('-').filter(|word| !word.is_empty()).collect();
        if self.found.is_empty() && words.len() >= 2 {
            let same = table
                .distributions()
                .filter(|known| known.name.len() >= words.len() * 2 - 1)
                .filter(|known| known.name.split('-').collect::<BTreeSet<_>>() == words);
            for known in same.collect::<Vec<_>>() {
                self.add(known.name, Evidence::Words, "");
            }
        }
        if self.found.is_empty() && self.label.words.len() == 1 {
            for (known, edits) in near(table, &text, WELL_USED) {
                let evidence = Evidence::Near {
                    edits,
                    dependents: known.dependents,
                };
                self.add(known.name, evidence, "");
            }
        }
    }

    /// Strongest first; of equal ones the better used first.
    fn ranked(self) -> Vec<Candidate> {
        let mut found = self.found;
        let by_hand =
            |candidate: &Candidate| matches!(candidate.evidence[0], Evidence::Hand { .. });
        if found.iter().any(|(candidate, _)| by_hand(candidate)) {
            // Debian's name of a binding is not the index's: that is why there is a row.
            let table = self.knowledge.table;
            let is_binding = |name: &str| {
                table
                    .distribution(name)
                    .is_some_and(|known| known.is_binding)
            };
            found.retain(|(candidate, _)| {
                by_hand(candidate) || !is_binding(&candidate.distribution)
            });
        }
        // The order of a row of the hand-written table is its answer, so the sort must be stable.
        found.sort_by_key(|(candidate, dependents)| {
            let by_hand = matches!(candidate.evidence[0], Evidence::Hand { .. });
            (
                std::cmp::Reverse(candidate.weight()),
                std::cmp::Reverse(if by_hand { u32::MAX } else { *dependents }),
            )
        });
        found.truncate(MOST);
        let mut candidates: Vec<Candidate> =
            found.into_iter().map(|(candidate, _)| candidate).collect();
        for candidate in &mut candidates {
            let refused = self
                .refused
                .iter()
                .find(|row| row.name.contains(&candidate.distribution));
            if let Some(row) = refused {
                candidate.warnings.push(Warning::Placeholder {
                    why: row.reason.clone(),
                });
            }
            candidate
                .evidence
                .sort_by_key(|evidence| std::cmp::Reverse(evidence.weight()));
        }
        candidates
    }
}

/// Names of the table at a small distance that at least `dependents` packages depend on: nearest first,
/// then the best used; at most three.
pub(crate) fn near<'t>(table: &'t Table, name: &str, dependents: u32) -> Vec<(Known<'t>, usize)> {
    if name.len() < 5 {
        return Vec::new();
    }
    // Less than a quarter of the letters may differ.
    let most = ((name.len() - 1) / 4).min(2);
    let used = table
        .distributions()
        .filter(|known| known.dependents >= dependents && known.name != name);
    let mut found: Vec<(Known<'t>, usize)> = used
        .filter_map(|known| Some((known, distance(name, known.name, most)?)))
        .collect();
    found.sort_by_key(|(known, edits)| (*edits, std::cmp::Reverse(known.dependents)));
    let least = found.first().map(|(_, edits)| *edits);
    found.retain(|(_, edits)| Some(*edits) == least);
    found.truncate(3);
    found
}

/// A name without separators and without `python`, `py`, `client` and digits around it.
pub(crate) fn core(name: &str) -> String {
    let squashed = squash(name);
    let mut core = squashed.as_str();
    for affix in ["python", "py"] {
        core = core
            .strip_prefix(affix)
            .filter(|rest| rest.len() >= 2)
            .unwrap_or(core);
    }
    core = core.trim_end_matches(|c: char| c.is_ascii_digit());
    for affix in ["python", "client", "py"] {
        core = core
            .strip_suffix(affix)
            .filter(|rest| rest.len() >= 2)
            .unwrap_or(core);
    }
    core.to_owned()
}

/// Whether one of two names is in the other: `jwt` and `pyjwt`, but not `passlib` and `libpass`.
pub(crate) fn is_related(distribution: &str, module: &str) -> bool {
    let name = core(distribution);
    let mut parts = std::iter::once(module).chain(module.split('.'));
    parts.any(|part| {
        let part = core(part);
        !part.is_empty() && (name.contains(&part) || part.contains(&name))
    })
}

/// A dotted path and the paths above it, longest first.
fn prefixes(dotted: &str) -> impl Iterator<Item = &str> {
    let ends = dotted
        .match_indices('.')
        .map(|(at, _)| at)
        .collect::<Vec<_>>();
    std::iter::once(dotted.len())
        .chain(ends.into_iter().rev())
        .map(|end| &dotted[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, context: Context, python: (u8, u8)) -> String {
        let locked = Locked::from([(
            "mine.part".to_owned(),
            BTreeSet::from([("my-dist".to_owned(), "1.0".to_owned())]),
        )]);
        let knowledge = Knowledge {
            table: Table::shipped(),
            hand: true,
            python,
            locked: &locked,
        };
        let answer = offline(&Label::parse(text, context), &knowledge);
        let names: Vec<&str> = answer
            .candidates
            .iter()
            .map(|candidate| candidate.distribution.as_str())
            .collect();
        let std = answer
            .stdlib
            .map(|std| format!(" std:{}", std.module))
            .unwrap_or_default();
        format!(
            "{:?} {}{std}",
            answer.verdict,
            names.first().unwrap_or(&"-")
        )
    }

    #[test]
    fn labels_find_their_distribution() {
        let text = Context::Text;
        for (label, context, expected) in [
            ("BS4", text, "Certain beautifulsoup4"),
            ("usb.core", Context::Import, "Certain pyusb"),
            ("cv2", Context::Import, "Ambiguous opencv-python"),
            ("mine.part.x", Context::Import, "Certain my-dist"),
            ("os.path", Context::Import, "Certain - std:os"),
            ("cgi", text, "Likely legacy-cgi std:cgi"),
            ("imp", text, "Likely zombie-imp std:imp"),
            ("nis", text, "Certain - std:nis"),
            ("argparse>=1", text, "Unknown -"),
            ("scikit learn", text, "Certain scikit-learn"),
            ("reqeusts", text, "Likely requests"),
            ("reqeusts", Context::Import, "Unknown -"),
            ("reqeusts==1", text, "Unknown -"),
            ("rpm", Context::Import, "Likely rpm"),
            ("asdfqwer", text, "Unknown -"),
            ("", text, "Unknown -"),
        ] {
            assert_eq!(ask(label, context, (3, 13)), expected, "{label}");
        }
        assert_eq!(ask("cgi", text, (3, 12)), "Certain - std:cgi");
    }

    #[test]
    fn names_are_related_when_one_is_in_the_other() {
        for (distribution, module, expected) in [
            ("pyjwt", "jwt", true),
            ("python-docx", "docx", true),
            ("pymatgen", "pymatgen.analysis.eos", true),
            ("google-cloud-storage", "google.cloud.storage", true),
            ("libpass", "passlib", false),
            ("pymongo", "bson", false),
        ] {
            assert_eq!(is_related(distribution, module), expected, "{module}");
        }
    }

    #[test]
    fn cores_lose_affixes_only() {
        for (name, expected) in [
            ("python-slugify", "slugify"),
            ("pytorch", "torch"),
            ("beautifulsoup4", "beautifulsoup"),
            ("py", "py"),
            ("websocket-client", "websocket"),
        ] {
            assert_eq!(core(name), expected);
        }
        assert_eq!(prefixes("a.b.c").collect::<Vec<_>>(), ["a.b.c", "a.b", "a"]);
    }
}
