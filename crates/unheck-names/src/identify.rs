//! Asks an index about the offline answer: are the candidates there, is the module in them, what is it
//! that has the label's own name. At most [`MOST_REQUESTS`] requests. Start at [`online`].

use std::collections::BTreeMap;

use crate::answer::{Answer, Candidate, Evidence, Found, Refused, Verdict, Warning};
use crate::facts::{Index, IndexError, Page, Project, Wheel};
use crate::guess::{Knowledge, verdict};
use crate::label::{Context, Label};
use crate::verdict::{Facts, LookAlike, YOUNG, judge, seconds};

/// Most requests for one label.
pub const MOST_REQUESTS: u32 = 5;

/// A name that was typed as loose words must have so many versions to be believed.
const ESTABLISHED: usize = 5;

/// Completes the offline answer with what `index` says; `now` is in Unix seconds. Where the index
/// cannot be asked the answer stays and says so in its notes.
pub fn online(
    label: &Label,
    knowledge: &Knowledge<'_>,
    answer: Answer,
    index: &dyn Index,
    now: i64,
) -> Answer {
    if label.path.is_empty() || (answer.stdlib.is_some() && answer.candidates.is_empty()) {
        return answer;
    }
    let mut inquiry = Inquiry {
        label,
        knowledge,
        answer,
        index,
        now,
        before: index.requests(),
        pages: BTreeMap::new(),
        projects: BTreeMap::new(),
        wheels: BTreeMap::new(),
    };
    inquiry.pages();
    inquiry.look_inside();
    inquiry.projects();
    inquiry.conclude()
}

struct Inquiry<'a> {
    label: &'a Label,
    knowledge: &'a Knowledge<'a>,
    answer: Answer,
    index: &'a dyn Index,
    now: i64,
    before: u32,
    pages: BTreeMap<String, Option<Page>>,
    projects: BTreeMap<String, Project>,
    wheels: BTreeMap<String, Wheel>,
}

impl Inquiry<'_> {
    fn left(&self) -> usize {
        MOST_REQUESTS.saturating_sub(self.index.requests() - self.before) as usize
    }

    fn note(&mut self, error: &IndexError) {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        let text = crate::label::printable(&text);
        if !self.answer.notes.contains(&text) {
            self.answer.notes.push(text);
        }
    }

    /// The name that the label itself would be on an index.
    fn own(&self) -> String {
        let top = &self.label.path[0];
        let first = self.answer.candidates.first();
        // Where the module that is known is the top-level one, its name is the one that people guess.
        let is_top = first.is_some_and(|candidate| candidate.provides.contains(top));
        match self.label.is_module() && is_top {
            true => crate::label::normalize(top),
            false => self.label.as_distribution(),
        }
    }

    fn ask(&mut self, names: Vec<String>) {
        let mut names: Vec<String> = names
            .into_iter()
            .filter(|name| !self.pages.contains_key(name))
            .collect();
        names.dedup();
        names.truncate(self.left());
        for (name, page) in names.iter().zip(self.index.pages(&names)) {
            match page {
                Ok(page) => {
                    self.pages.insert(name.clone(), page);
                }
                Err(error) => self.note(&error),
            }
        }
    }

    /// Which names are on the index: the best candidate and the label's own; where neither is, the next
    /// candidate or the usual affixes.
    fn pages(&mut self) {
        let first = self
            .answer
            .candidates
            .first()
            .map(|candidate| candidate.distribution.clone());
        let mut names: Vec<String> = first.clone().into_iter().collect();
        names.push(self.own());
        self.ask(names);
        if let Some(first) = first {
            if self.is_missing(&first)
                && let Some(next) = self.answer.candidates.get(1)
            {
                self.ask(vec![next.distribution.clone()]);
            }
            return;
        }
        if self.is_missing(&self.own()) && self.label.is_module() {
            let top = crate::label::normalize(&self.label.path[0]);
            let names = match self.label.path.len() {
                1 => vec![format!("python-{top}"), format!("py{top}")],
                // `a.b.c` is in a distribution `a-b` or `a`.
                _ => vec![
                    crate::label::normalize(&self.label.path[..2].join("-")),
                    top,
                ],
            };
            self.ask(names);
        }
    }

    fn is_missing(&self, name: &str) -> bool {
        matches!(self.pages.get(name), Some(None))
    }

    fn page(&self, name: &str) -> Option<&Page> {
        self.pages.get(name).and_then(Option::as_ref)
    }

    /// Reads one wheel, the one whose content matters most: of the label's own name when that is not the
    /// candidate (a shim, another project?), else of the candidate.
    fn look_inside(&mut self) {
        let own = self.own();
        let first = self
            .answer
            .candidates
            .first()
            .map(|candidate| candidate.distribution.clone());
        let mut names = Vec::new();
        names.extend(self.page(&own).map(|page| page.name.clone()));
        names.extend(first.filter(|name| *name != own));
        names.extend(self.pages.keys().filter(|name| **name != own).cloned());
        names.dedup();
        // Two, when the first has no wheel to look into or is not what was searched.
        for name in names {
            let keep = usize::from(!self.answer.candidates.is_empty()) + 1;
            if self.left() <= keep.min(2) && !self.wheels.is_empty() || self.left() == 0 {
                return;
            }
            let file = self.page(&name).and_then(|page| {
                let wheels = page.newest().into_iter().filter(|file| file.is_wheel());
                wheels.max_by_key(|file| suits(&file.filename)).cloned()
            });
            let Some(file) = file else {
                continue;
            };
            match self.index.wheel(&file, self.left() as u32) {
                Ok(wheel) => {
                    let done = self.answer.candidates.is_empty()
                        && wheel.provides(&self.label.dotted()).is_some();
                    self.wheels.insert(name, wheel);
                    if done || !self.answer.candidates.is_empty() {
                        return;
                    }
                }
                Err(error) => self.note(&error),
            }
        }
    }

    /// The project JSON of the two that matter.
    fn projects(&mut self) {
        let own = self.own();
        let first = self
            .answer
            .candidates
            .first()
            .map(|candidate| candidate.distribution.clone());
        let inside = self.wheels.keys().cloned();
        let mut names: Vec<String> = first.into_iter().chain([own]).chain(inside).collect();
        names.retain(|name| self.page(name).is_some());
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.truncate(self.left().min(2));
        for (name, project) in names.iter().zip(self.index.projects(&names)) {
            match project {
                Ok(Some(project)) => {
                    self.projects.insert(name.clone(), project);
                }
                // A plain mirror has none: what only it tells stays unknown.
                Ok(None) => {}
                Err(error) => self.note(&error),
            }
        }
    }

    fn facts(&self, name: &str) -> Facts<'_> {
        Facts {
            page: self.page(name),
            project: self.projects.get(name),
            wheel: self.wheels.get(name),
        }
    }

    fn conclude(mut self) -> Answer {
        self.drop_missing();
        self.own_name();
        self.others_inside();
        let names: Vec<String> = self
            .answer
            .candidates
            .iter()
            .map(|candidate| candidate.distribution.clone())
            .collect();
        for (at, name) in names.iter().enumerate() {
            self.confirm(at, name);
        }
        self.answer.candidates.sort_by_key(|candidate| {
            (
                candidate.is_doubtful(),
                std::cmp::Reverse(candidate.weight()),
            )
        });
        self.answer.verdict = verdict(&self.answer.candidates);
        if self.answer.stdlib.is_some() && self.answer.candidates.is_empty() {
            self.answer.verdict = Verdict::Certain;
        }
        self.answer
    }

    /// Candidates that the index does not have are no answer, whatever Debian calls them.
    fn drop_missing(&mut self) {
        let pages = &self.pages;
        let (gone, kept): (Vec<Candidate>, Vec<Candidate>) =
            std::mem::take(&mut self.answer.candidates)
                .into_iter()
                .partition(|candidate| matches!(pages.get(&candidate.distribution), Some(None)));
        self.answer.candidates = kept;
        for candidate in gone {
            self.answer.not.push(Refused {
                distribution: candidate.distribution,
                warnings: vec![Warning::NotOnIndex],
            });
        }
    }

    /// What to make of a distribution that has the label's own name and is not the candidate.
    fn own_name(&mut self) {
        let own = self.own();
        let is_candidate = self
            .answer
            .candidates
            .iter()
            .any(|candidate| candidate.distribution == own);
        if !is_candidate && self.label.context == Context::Requirement && self.is_missing(&own) {
            self.refuse_missing(own);
            return;
        }
        if is_candidate || self.page(&own).is_none() {
            return;
        }
        let facts = self.facts(&own);
        let mut warnings = judge(&facts, self.now);
        let looks = LookAlike::find(&own, &facts, self.knowledge.table, None, self.now);
        let first = self
            .answer
            .candidates
            .first()
            .map(|candidate| candidate.distribution.clone());
        match first {
            Some(first) if self.is_rival(&own, &first, &warnings) => {
                let dotted = self.label.dotted();
                let module = self.wheels.get(&own).and_then(|its| its.provides(&dotted));
                let module = module.map(str::to_owned);
                self.propose(&own, module);
                return;
            }
            Some(first) => self.compare(&own, &first, &mut warnings),
            None => {
                let shim = warnings.iter().find_map(|warning| match warning {
                    Warning::Shim { of, .. } => Some(of.clone()),
                    _ => None,
                });
                if let Some(of) = shim {
                    let candidate = Candidate::new(&of, Evidence::Redirect { from: own.clone() });
                    self.answer.candidates.push(candidate);
                } else if looks.is_none() && self.is_believed(&own, &warnings) {
                    let dotted = self.label.dotted();
                    let module = facts
                        .wheel
                        .and_then(|wheel| wheel.provides(&dotted))
                        .map(str::to_owned);
                    self.propose(&own, module);
                    return;
                }
            }
        }
        if let Some(LookAlike { of, why }) = looks {
            warnings.push(Warning::LookAlike { of, why });
        }
        warnings.sort();
        if !warnings.is_empty() {
            self.answer.not.push(Refused {
                distribution: own,
                warnings,
            });
        }
    }

    /// Whether `own`, which has the label's name and the module, may be meant as well as `first`: Debian may
    /// ship a fork, whose name says nothing of the module.
    fn is_rival(&self, own: &str, first: &str, warnings: &[Warning]) -> bool {
        let wheel = self.wheels.get(own);
        let dotted = self.label.dotted();
        let has = wheel.is_some_and(|wheel| wheel.provides(&dotted).is_some());
        has && self.is_established(own)
            && !warnings.iter().any(Warning::is_nothing)
            && !crate::guess::is_related(first, &dotted)
    }

    /// A requirement says a name exactly: the index does not have it, and what it may be misspelled from is
    /// told, not proposed.
    fn refuse_missing(&mut self, own: String) {
        let mut warnings = vec![Warning::NotOnIndex];
        if let Some(of) = LookAlike::of(&own, self.knowledge.table) {
            let why = "the index has no such name".to_owned();
            warnings.push(Warning::LookAlike { of, why });
        }
        warnings.sort();
        let distribution = own;
        let is_told = |its: &Refused| its.distribution == distribution;
        if !self.answer.not.iter().any(is_told) {
            self.answer.not.push(Refused {
                distribution,
                warnings,
            });
        }
    }

    /// What `own`, which has the label's name, is beside `first`, which is meant: its shim, another
    /// project, one with the same module.
    fn compare(&mut self, own: &str, first: &str, warnings: &mut Vec<Warning>) {
        let owners = |name| {
            self.projects
                .get(name)
                .and_then(|project: &Project| project.owners.as_ref())
        };
        let same = owners(first)
            .zip(owners(own))
            .map(|(theirs, mine)| !theirs.is_disjoint(mine));
        for warning in warnings.iter_mut() {
            if let Warning::Shim { of, same_owners } = warning
                && of == first
            {
                *same_owners = same;
            }
        }
        if same == Some(false) {
            warnings.push(Warning::OtherOwners {
                than: first.to_owned(),
            });
        }
        let dotted = self.label.dotted();
        let is_nothing = warnings.iter().any(Warning::is_nothing);
        if let Some(wheel) = self
            .wheels
            .get(own)
            .filter(|_| self.label.is_module() && !is_nothing)
        {
            match wheel.provides(&dotted) {
                None => warnings.push(lacks(wheel, &dotted)),
                // Where nothing says that the candidate has it too, there is no clash.
                Some(_) if self.answer.candidates[0].provides.is_empty() => {}
                Some(module) => warnings.push(Warning::SeveralProviders {
                    others: vec![first.to_owned()],
                    clash: module.to_owned(),
                }),
            }
        }
        if same == Some(true) {
            self.answer.candidates[0]
                .evidence
                .push(Evidence::SameOwners { of: own.to_owned() });
        }
    }

    /// Whether a name that only the index knows may be proposed.
    fn is_believed(&self, own: &str, warnings: &[Warning]) -> bool {
        let Some(page) = self.page(own) else {
            return false;
        };
        let versions = page.versions().len();
        if self.label.context == Context::Requirement {
            return true;
        }
        let nothing = warnings.iter().any(Warning::is_nothing);
        let wheel = self.wheels.get(own);
        let provides = wheel.is_some_and(|wheel| wheel.provides(&self.label.dotted()).is_some());
        let is_loose = self.label.words.len() > 1;
        match (self.label.is_module(), wheel) {
            _ if nothing => false,
            // An import must find the module; a name in free text may be that of the distribution.
            (true, Some(_)) => {
                (provides && versions >= 2)
                    || (self.label.context == Context::Text && versions >= ESTABLISHED)
            }
            (true, None) => versions >= ESTABLISHED && self.label.path.len() == 1,
            (false, _) => versions >= if is_loose { ESTABLISHED } else { 2 },
        }
    }

    /// Whether a distribution is too old, and released too often, to have been put there for a mistake.
    fn is_established(&self, name: &str) -> bool {
        let Some(page) = self.page(name) else {
            return false;
        };
        let first = page.uploads().and_then(|(first, _)| seconds(first));
        page.versions().len() >= 10 && first.is_some_and(|first| self.now - first > YOUNG)
    }

    fn propose(&mut self, name: &str, module: Option<String>) {
        let found = Evidence::Named {
            found: Found::Index,
            dependents: 0,
        };
        let mut candidate = Candidate::new(name, found);
        candidate.is_solid = self.label.context == Context::Requirement;
        candidate.provides.extend(module);
        self.answer.candidates.push(candidate);
    }

    /// Distributions under another name whose wheel has the module.
    fn others_inside(&mut self) {
        if !self.answer.candidates.is_empty() {
            return;
        }
        let dotted = self.label.dotted();
        let own = self.own();
        let inside: Vec<(String, String)> = self
            .wheels
            .iter()
            .filter(|(name, _)| **name != own)
            .filter_map(|(name, wheel)| Some((name.clone(), wheel.provides(&dotted)?.to_owned())))
            .collect();
        for (name, module) in inside {
            self.propose(&name, Some(module));
        }
    }

    /// Adds what the index says of a candidate.
    fn confirm(&mut self, at: usize, name: &str) {
        let facts = self.facts(name);
        let mut warnings = judge(&facts, self.now);
        let (mut evidence, mut others) = (Vec::new(), Vec::new());
        let mut module = None;
        if let Some(wheel) = facts.wheel.filter(|_| self.label.is_module()) {
            let dotted = self.label.dotted();
            evidence = inside(wheel, &dotted);
            module = wheel.provides(&dotted).map(str::to_owned);
            let is_import = self.label.context == Context::Import;
            if module.is_none() && is_import && !warnings.iter().any(Warning::is_nothing) {
                warnings.push(lacks(wheel, &dotted));
            }
        }
        if let Some(LookAlike { of, why }) =
            LookAlike::find(name, &facts, self.knowledge.table, None, self.now)
        {
            warnings.push(Warning::LookAlike { of, why });
        }
        let mut newest = facts.page.map(Page::newest).unwrap_or_default().into_iter();
        if newest.any(|file| file.provenance.is_some()) {
            others.push(Evidence::Attested);
        }
        let summary = facts.project.and_then(|project| project.summary.clone());
        let summary = summary.or_else(|| facts.wheel.and_then(|wheel| wheel.summary.clone()));
        let is_old = self.is_established(name);
        let is_own = name == self.own();
        let candidate = &mut self.answer.candidates[at];
        let by_debian = |its: &Evidence| {
            matches!(
                its,
                Evidence::Debian { .. }
                    | Evidence::Named {
                        found: Found::Debian,
                        ..
                    }
            )
        };
        let is_known = candidate.evidence.iter().any(by_debian);
        // That the index has the name proves nothing by itself: anybody can take any free name.
        candidate.is_solid |= !evidence.is_empty() && (is_known || (is_own && is_old));
        candidate.evidence.extend(evidence);
        candidate.evidence.extend(others);
        candidate
            .evidence
            .sort_by_key(|evidence| std::cmp::Reverse(evidence.weight()));
        candidate.summary = summary;
        candidate
            .provides
            .extend(module.filter(|module| !candidate.provides.contains(module)));
        warnings.retain(|warning| !candidate.warnings.contains(warning));
        candidate.warnings.extend(warnings);
    }
}

/// How well a wheel suits Linux: wheels of one version may differ in their modules.
fn suits(filename: &str) -> u8 {
    match filename {
        _ if filename.ends_with("-any.whl") => 3,
        _ if filename.contains("linux_") && filename.contains("x86_64") => 2,
        _ if filename.contains("linux") => 1,
        _ => 0,
    }
}

/// The evidence in a wheel: what it states (PEP 794) and what is in it.
fn inside(wheel: &Wheel, dotted: &str) -> Vec<Evidence> {
    let covers = |its: &&String| {
        dotted
            .strip_prefix(its.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    // A name may be marked: `foo; private`.
    let names = wheel.import_names.iter().filter(|line| !line.contains(';'));
    let declared = names
        .filter(covers)
        .take(1)
        .map(|module| Evidence::Declared {
            module: module.clone(),
        });
    let found = wheel.provides(dotted).map(|module| Evidence::Wheel {
        module: module.to_owned(),
        file: wheel.filename.clone(),
    });
    declared.chain(found).collect()
}

fn lacks(wheel: &Wheel, module: &str) -> Warning {
    Warning::WrongProject {
        module: module.to_owned(),
        has: wheel.modules.iter().take(3).cloned().collect(),
    }
}

impl Warning {
    /// Whether there is nothing to install.
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Shim { .. } | Self::Placeholder { .. })
    }
}
