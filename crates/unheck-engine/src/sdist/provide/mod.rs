//! Debian packages for what a build lacks, and for what Debian itself builds a distribution with.
//!
//! Start at [`Providers::provide`] and [`Providers::prior`]. Which package is chosen follows from
//! the suite's signed indexes by the rules in `rank`; no table of distributions and packages is
//! kept. Where the mirror has no Contents index that its signed list names, packages are guessed
//! (`guess`) and each is looked into before it is believed.

mod guess;
mod prior;
mod query;
mod rank;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use unheck_base::TreePath;
use unheck_buildlog::{Found, Lack, Strength};

use crate::debian::{DebWorld, DevFiles, Sources, Suites, SuitesError, SuitesRequest, WorldError};
use crate::explain::{Class, Explain, with_causes};
use crate::net::NetError;
use crate::platform::Platform;
use crate::session::Session;

pub use prior::Prior;
use query::Query;
use rank::Judge;

/// Suites whose Contents index may stand in for another's, the newest first: which package has a
/// file rarely changes, and what they say is checked in the package itself.
const STAND_INS: [&str; 4] = ["trixie", "bookworm", "bullseye", "sid"];

/// Alternatives that are kept for display.
const MAX_ALTERNATIVES: usize = 5;

/// What is known of the build that lacks something.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The distribution that is built.
    pub distribution: Option<&'a str>,
    /// Debian packages of the build root.
    pub installed: &'a BTreeSet<String>,
    /// Debian packages that the finished image has in any case.
    pub closure: &'a BTreeSet<String>,
}

/// A package that has what a build lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is missing.
    pub lack: Lack,
    /// How sure that is.
    pub strength: Strength,
    /// What tells of it.
    pub evidence: String,
    /// The Debian package.
    pub package: String,
    /// The file of it that counts.
    pub path: TreePath,
    /// Why this package.
    pub reason: String,
    /// Others that have it as well, the better first, each with its reason.
    pub alternatives: Vec<(String, String)>,
}

/// A lack for which no package is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What is missing.
    pub found: Found,
    /// Why no package is chosen.
    pub why: String,
}

/// What can be done about lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Packages to add, each once, in the order of the lacks.
    pub choices: Vec<Choice>,
    /// Lacks that stay.
    pub open: Vec<Open>,
    /// Indexes that could not be used, and why.
    pub trouble: Vec<String>,
}

/// Packages cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum ProvideError {
    /// A package that may have something cannot be looked into.
    #[error("cannot look into Debian packages that may have what the build lacks")]
    World(#[from] WorldError),
}

impl Explain for ProvideError {
    fn class(&self) -> Class {
        match self {
            Self::World(source) => source.class(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::World(source) => source.hints(),
        }
    }
}

/// A package with the file that counts and how good its place is, 0 the best.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    package: String,
    path: TreePath,
    place: u8,
}

/// An index that was loaded, or why it cannot be used.
type Tried<T> = OnceLock<Result<T, String>>;

/// Debian packages of one platform of a suite, as providers.
pub struct Providers<'a> {
    session: &'a Session,
    suites: &'a Suites,
    platform: Platform,
    world: DebWorld<'a>,
    own: Tried<DevFiles>,
    shared: Tried<DevFiles>,
    stand_in: Tried<Vec<DevFiles>>,
    sources: Tried<Sources>,
}

impl<'a> Providers<'a> {
    /// The packages of a platform that `suites` was loaded for. Indexes are fetched when they are
    /// first needed.
    pub fn new(session: &'a Session, suites: &'a Suites, platform: Platform) -> Self {
        Self {
            session,
            suites,
            platform,
            world: DebWorld::new(&session.net, &session.mirror, suites, platform),
            own: OnceLock::new(),
            shared: OnceLock::new(),
            stand_in: OnceLock::new(),
            sources: OnceLock::new(),
        }
    }

    /// Chooses a package for each lack that one can have, the surest first. Weak lacks cost as much
    /// as strong ones: give those that are to be acted on.
    ///
    /// # Errors
    /// [`ProvideError`] when a package that may have something cannot be looked into. An index that
    /// cannot be used is no error: [`Answer::trouble`] names it.
    pub fn provide(&self, lacks: &[Found], context: &Context<'_>) -> Result<Answer, ProvideError> {
        let prior = context.distribution.and_then(|name| self.prior(name));
        let judge = Judge::new(self, context, prior.as_ref());
        let mut answer = Answer::default();
        let mut chosen: BTreeSet<String> = BTreeSet::new();
        for found in lacks {
            let queries = query::of(&found.lack);
            let candidates = self.candidates(&queries, prior.as_ref())?;
            let ranked = judge.ranked(candidates);
            // A package that is added already may have it, in as good a place.
            if as_good(&ranked).any(|package| chosen.contains(package)) {
                continue;
            }
            match choice(found, &ranked, context) {
                Ok(choice) => {
                    chosen.insert(choice.package.clone());
                    answer.choices.push(choice);
                }
                Err(why) => answer.open.push(Open {
                    found: found.clone(),
                    why,
                }),
            }
        }
        answer.trouble = self.trouble();
        Ok(answer)
    }

    fn trouble(&self) -> Vec<String> {
        let contents = [&self.own, &self.shared]
            .into_iter()
            .filter_map(|tried| tried.get()?.as_ref().err());
        let stand_in = self.stand_in.get().and_then(|tried| tried.as_ref().err());
        let sources = self.sources.get().and_then(|tried| tried.as_ref().err());
        let mut all: Vec<String> = contents.chain(stand_in).chain(sources).cloned().collect();
        all.dedup();
        all
    }

    fn candidates(
        &self,
        queries: &[Query],
        prior: Option<&Prior>,
    ) -> Result<Vec<Candidate>, ProvideError> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(own) = self.own() else {
            return self.guessed(queries, prior);
        };
        let mut found = self.listed(own, queries);
        if found.is_empty()
            && let Ok(shared) = self.shared()
        {
            found = self.listed(shared, queries);
        }
        Ok(found)
    }

    /// What a Contents index says, of packages that the suite has.
    fn listed(&self, files: &DevFiles, queries: &[Query]) -> Vec<Candidate> {
        let triplet = self.platform.triplet();
        let mut best = BTreeMap::new();
        for query in queries {
            for (path, package) in files.named(&query.file_name) {
                if let Some(place) = query.place(&path, triplet) {
                    keep_best(
                        &mut best,
                        Candidate {
                            package,
                            path,
                            place,
                        },
                    );
                }
            }
        }
        let known = |package: &String| self.world.listed(package).is_some();
        best.into_values()
            .filter(|candidate| known(&candidate.package))
            .collect()
    }

    fn own(&self) -> Result<&DevFiles, &String> {
        let architecture = self.platform.architecture();
        let load = || {
            self.suites
                .dev_files(&self.session.net, &self.session.mirror, architecture)
        };
        self.own
            .get_or_init(|| load().map_err(|error| chain(&error)))
            .as_ref()
    }

    fn shared(&self) -> Result<&DevFiles, &String> {
        let load = || {
            self.suites
                .dev_files(&self.session.net, &self.session.mirror, "all")
        };
        self.shared
            .get_or_init(|| load().map_err(|error| chain(&error)))
            .as_ref()
    }

    fn sources(&self) -> Result<&Sources, &String> {
        let load = || self.suites.sources(&self.session.net, &self.session.mirror);
        self.sources
            .get_or_init(|| load().map_err(|error| chain(&error)))
            .as_ref()
    }

    /// The Contents index of another suite, where this one's cannot be used: the first that can.
    fn stand_ins(&self) -> &[DevFiles] {
        let tried = self.stand_in.get_or_init(|| {
            let mut why = String::new();
            for suite in STAND_INS
                .into_iter()
                .filter(|suite| *suite != self.suites.name)
            {
                match self.stand_in(suite) {
                    Ok(files) => return Ok(vec![files]),
                    Err(error) => why = chain(&error),
                }
            }
            Err(why)
        });
        tried.as_deref().unwrap_or_default()
    }

    fn stand_in(&self, suite: &str) -> Result<DevFiles, SuitesError> {
        let session = self.session;
        let request = SuitesRequest {
            suite,
            platforms: &[],
            allow_expired: &session.allow_expired,
            now: session.now,
        };
        let suites = Suites::load(&session.net, &session.mirror, &session.keyring, &request)?;
        suites.dev_files(&session.net, &session.mirror, self.platform.architecture())
    }
}

/// The best of the candidates, or why there is none.
fn choice(
    found: &Found,
    ranked: &[(Candidate, String)],
    context: &Context<'_>,
) -> Result<Choice, String> {
    let Some((best, reason)) = ranked.first() else {
        return Err(query::why_none(&found.lack));
    };
    if let Some(package) = as_good(ranked).find(|package| context.installed.contains(*package)) {
        return Err(format!(
            "the build root has it in `{package}`, and the build did not take it"
        ));
    }
    let others = ranked.iter().skip(1).take(MAX_ALTERNATIVES);
    Ok(Choice {
        lack: found.lack.clone(),
        strength: found.strength,
        evidence: found.evidence.clone(),
        package: best.package.clone(),
        path: best.path.clone(),
        reason: reason.clone(),
        alternatives: others
            .map(|(candidate, reason)| (candidate.package.clone(), reason.clone()))
            .collect(),
    })
}

/// The packages that have it in as good a place as the best one.
fn as_good(ranked: &[(Candidate, String)]) -> impl Iterator<Item = &String> {
    let best = ranked.first().map(|(candidate, _)| candidate.place);
    let is_as_good = move |candidate: &&Candidate| Some(candidate.place) == best;
    let candidates = ranked.iter().map(|(candidate, _)| candidate);
    candidates
        .filter(is_as_good)
        .map(|candidate| &candidate.package)
}

fn keep_best(best: &mut BTreeMap<String, Candidate>, candidate: Candidate) {
    let known = best.get(&candidate.package);
    if known.is_none_or(|known| (candidate.place, &candidate.path) < (known.place, &known.path)) {
        best.insert(candidate.package.clone(), candidate);
    }
}

/// Why an index cannot be used, on one line; of downloads what failed and why.
fn chain(error: &SuitesError) -> String {
    if let SuitesError::Net {
        source: NetError::Fetch(failed),
        ..
    } = error
    {
        let each = failed.failures.iter();
        let each: Vec<String> = each
            .map(|failure| format!("{}: {}", failure.label, failure.reason))
            .collect();
        return format!("{error}: {}", each.join("; "));
    }
    with_causes(error, ": ")
}
