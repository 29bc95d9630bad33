//! One distribution from source tree to wheel: built, and built again with what it was found to lack, until it is a
//! wheel or nothing more can be found. Start at [`Compiler::wheel`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use unheck_base::Digest;
use unheck_buildlog::{Cause, Found, Strength};
use unheck_store::Store;

use super::error::{Failure, SdistError, evidence};
use super::frontend::{Hook, Ran};
use super::memory::{self, Recipe};
use super::provide::{Choice, Context, Providers};
use super::requires::{self, Asking};
use super::root::{BINFMT, BuildDeb, BuildRoot, RootError, RootSet, build_root, can_run};
use super::workshop::{Job, Order, Workshop, copy_metadata, environment_failed};
use crate::debian::Suites;
use crate::event::Event;
use crate::lock::{Attempt, Chosen, Compiled, Deb, Lock, Wheel};

/// Most builds of one distribution; real ones need four.
const MOST_ROUNDS: usize = 12;

/// How many builds may wait for each other: build requirements of build requirements.
const MOST_NESTED: usize = 8;

/// Everything that is compiled for one platform of a lock.
pub(crate) struct Compiler<'a> {
    pub(super) workshop: Workshop<'a>,
    suites: &'a Suites,
    providers: Providers<'a>,
    previous: Option<&'a Lock>,
    /// What was made in this run, and the packages of its build roots.
    made: Mutex<Made>,
    /// Why builds failed that the resolver asked for: it keeps only a text of them.
    failed: Mutex<Vec<SdistError>>,
}

/// What was compiled for one platform.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// One record per wheel, by name and version.
    pub(crate) builds: BTreeMap<(String, Option<String>), Compiled>,
    /// Packages of the build roots, by name.
    pub(crate) debs: BTreeMap<String, Deb>,
}

/// One build while it is tried again and again.
struct Trial<'t> {
    order: Order<'t>,
    /// What the backend asked for by its hook, once it could answer.
    more: Option<Vec<String>>,
    recipe: Recipe,
}

/// The end of the rounds.
enum Round {
    /// The store has the wheel of such a build.
    Known(BuildRoot, Box<Compiled>),
    /// The hook did what it was asked.
    Good(BuildRoot, Box<Good>),
}

/// A hook that did what it was asked, with the wheels that it ran with.
struct Good {
    ran: Ran,
    wheels: Vec<Wheel>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(asking: Asking<'a>, suites: &'a Suites, previous: Option<&'a Lock>) -> Self {
        Self {
            workshop: Workshop::new(asking),
            providers: Providers::new(asking.session, suites, asking.platform),
            suites,
            previous,
            made: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// What was made so far.
    pub(crate) fn finish(self) -> Made {
        self.made
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a wheel out of what was made: its packages stay.
    pub(super) fn forget(&self, made: &Compiled) {
        let key = (made.name.clone(), made.version.clone());
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.builds.remove(&key);
    }

    pub(super) fn note_failure(&self, error: SdistError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.push(error);
    }

    /// The build that made a resolution fail, if one did.
    pub(crate) fn take_failure(&self) -> Option<SdistError> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let last = failed.pop();
        failed.clear();
        last
    }

    fn asking(&self) -> &Asking<'a> {
        &self.workshop.asking
    }

    pub(super) fn store(&self) -> &'a Store {
        self.asking().session.store()
    }

    /// Names what wheels depend on besides their source, as far as the resolver's own cache must keep them apart.
    pub(super) fn builder_identity(&self) -> Digest {
        let Asking {
            interpreter,
            platform,
            ..
        } = self.asking();
        let date = self.suites.newest_date();
        Digest::of(format!("{interpreter:?} {platform} {date}").as_bytes())
    }

    /// Compiles everything, side by side; all failures where there are some.
    ///
    /// # Errors
    /// At least one [`SdistError`].
    pub(crate) fn all(
        &self,
        packages: &[unheck_resolve::Package],
    ) -> Result<Vec<Compiled>, Vec<SdistError>> {
        let one = |package| {
            let job = super::jobs::job(self.asking(), package, &[])?;
            self.wheel(&job)
        };
        let results: Vec<Result<Compiled, SdistError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = packages
                .iter()
                .map(|package| scope.spawn(move || one(package)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(one) => made.push(one),
                Err(error) => failed.push(error),
            }
        }
        if failed.is_empty() {
            Ok(made)
        } else {
            Err(failed)
        }
    }

    /// The wheel of a distribution, which the lock will have among its builds.
    ///
    /// # Errors
    /// [`SdistError`].
    pub(crate) fn wheel(&self, job: &Job) -> Result<Compiled, SdistError> {
        let (root, made) = self.passing_wheel(job)?;
        self.keep(&root, &made);
        Ok(made)
    }

    /// The wheel of a distribution that may not be chosen in the end: the one that the store has, or a new one.
    ///
    /// # Errors
    /// [`SdistError`].
    pub(super) fn passing_wheel(&self, job: &Job) -> Result<(BuildRoot, Compiled), SdistError> {
        let mut trial = self.trial(job)?;
        let (root, made) = match self.rounds(&mut trial, Hook::Wheel)? {
            Round::Known(root, made) => (root, *made),
            Round::Good(root, good) => {
                let made = self.record(&trial, &root, &good)?;
                self.remember(&trial, &root)?;
                memory::put_wheel(self.store(), &made.key, &made)?;
                (root, made)
            }
        };
        // The same tree may have been asked for in another way before.
        let made = Compiled {
            version: job.version.clone(),
            source: job.source.digest()?,
            sdist: job.sdist.clone(),
            subdirectory: job.source.subdirectory().map(str::to_owned),
            ..made
        };
        Ok((root, made))
    }

    /// Writes the metadata of a distribution into `out`; the name of the directory, or `None` where the backend makes
    /// none without a wheel.
    ///
    /// # Errors
    /// [`SdistError`].
    pub(crate) fn metadata(&self, job: &Job, out: &Path) -> Result<Option<String>, SdistError> {
        let mut trial = self.trial(job)?;
        let Round::Good(root, good) = self.rounds(&mut trial, Hook::Metadata)? else {
            return Ok(None);
        };
        let named = good.ran.good().map(|answer| answer.metadata.clone());
        let Some(named) = named.filter(|named| !named.is_empty()) else {
            return Ok(None);
        };
        self.remember(&trial, &root)?;
        copy_metadata(&good.ran.metadata(), &named, out).map_err(|problem| SdistError::Answer {
            label: trial.order.label.clone(),
            problem,
        })?;
        Ok(Some(named))
    }

    fn trial<'t>(&self, job: &'t Job) -> Result<Trial<'t>, SdistError> {
        let platform = self.asking().platform;
        can_run(platform, Path::new(BINFMT)).map_err(|source| SdistError::Foreign {
            label: job.label(),
            source,
        })?;
        if job.waiting.contains(&job.name) {
            let mut chain = job.waiting.clone();
            chain.push(job.name.clone());
            return Err(SdistError::Circle { chain });
        }
        if job.waiting.len() >= MOST_NESTED {
            return Err(SdistError::Depth {
                label: job.label(),
                most: MOST_NESTED,
            });
        }
        Ok(Trial {
            order: self.workshop.order(job)?,
            more: None,
            recipe: Recipe::default(),
        })
    }

    fn recipe_key(&self, trial: &Trial<'_>, root: &BuildRoot) -> Digest {
        self.workshop.key(&trial.order, "recipe", &base_of(root))
    }

    fn remember(&self, trial: &Trial<'_>, root: &BuildRoot) -> Result<(), SdistError> {
        let key = self.recipe_key(trial, root);
        Ok(memory::put_recipe(self.store(), &key, &trial.recipe)?)
    }

    /// Where a build begins: with what it needed the last time, else with what Debian needs for it.
    fn begin(&self, trial: &mut Trial<'_>, bare: &BuildRoot) -> Result<(), SdistError> {
        let known = memory::recipe(self.store(), &self.recipe_key(trial, bare))?;
        trial.recipe = match (known, self.before(trial)) {
            (Some(recipe), _) => recipe,
            (None, Some(before)) => Recipe {
                debs: before.debs.clone(),
                attempts: before.attempts.clone(),
            },
            (None, None) => Recipe {
                debs: match trial.order.options.prior {
                    Some(false) => Vec::new(),
                    _ => self.prior(&trial.order.job.name),
                },
                attempts: Vec::new(),
            },
        };
        let platform = self.asking().platform;
        let listed = |deb: &Chosen| self.suites.package(platform, &deb.name).is_some();
        trial.recipe.debs.retain(listed);
        for name in &trial.order.options.debs {
            let why = format!("`debs` of `[tool.unheck.builds.{}]`", trial.order.job.name);
            let by_hand = Chosen {
                name: name.clone(),
                why,
                instead: Vec::new(),
            };
            add(&mut trial.recipe.debs, by_hand);
        }
        Ok(())
    }

    /// What Debian needs to build the same project, as far as it fits together.
    fn prior(&self, name: &str) -> Vec<Chosen> {
        let mut fitting = Vec::new();
        let prior = self.providers.prior(name);
        for (name, why) in prior.map(|prior| prior.packages).unwrap_or_default() {
            if self.fits(&fitting, &name) {
                let instead = Vec::new();
                add(&mut fitting, Chosen { name, why, instead });
            }
        }
        fitting
    }

    /// Whether a package can be in a root with others.
    fn fits(&self, debs: &[Chosen], name: &str) -> bool {
        let Asking {
            interpreter,
            platform,
            ..
        } = *self.asking();
        let mut names: BTreeSet<String> = debs.iter().map(|deb| deb.name.clone()).collect();
        names.insert(name.to_owned());
        RootSet::choose(self.suites, platform, interpreter, &names).is_ok()
    }

    /// The same build in the lock before.
    fn before(&self, trial: &Trial<'_>) -> Option<&Compiled> {
        let builds = &self.previous?.plan.builds;
        builds.iter().find(|build| {
            build.name == trial.order.job.name && build.platform == self.asking().platform
        })
    }

    /// Runs a hook until it does what it is asked; each time with what the time before was found to lack.
    fn rounds(&self, trial: &mut Trial<'_>, hook: Hook) -> Result<Round, SdistError> {
        let bare = self.root(&BTreeSet::new())?;
        self.begin(trial, &bare)?;
        for round in 0..MOST_ROUNDS {
            let debs = trial.recipe.debs.iter();
            let root = self.root(&debs.map(|deb| deb.name.clone()).collect())?;
            let key = self.workshop.key(&trial.order, "wheel", &root.digest);
            if hook == Hook::Wheel
                && let Some(made) = memory::wheel(self.store(), &key)?
            {
                return Ok(Round::Known(root, Box::new(made)));
            }
            self.say(trial, round);
            let tried = self.attempt(trial, hook, &root);
            let label = &trial.order.label;
            self.asking()
                .session
                .reporter
                .event(Event::Compiled { label });
            match tried? {
                Ok(good) => return Ok(Round::Good(root, Box::new(good))),
                Err(ran) => self.learn(trial, &root, hook, &ran)?,
            }
        }
        Err(SdistError::Rounds {
            label: trial.order.label.clone(),
            most: MOST_ROUNDS,
            attempts: trial.recipe.attempts.clone(),
        })
    }

    fn say(&self, trial: &Trial<'_>, round: usize) {
        let with: Vec<&str> = match trial.recipe.attempts.last() {
            Some(last) if round > 0 => last.added.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        self.asking().session.reporter.event(Event::Compiling {
            label: &trial.order.label,
            with: &with,
        });
    }

    /// One build: the wheels of the backend, what else it asks for, the hook. The inner error is a hook that failed.
    fn attempt(
        &self,
        trial: &mut Trial<'_>,
        hook: Hook,
        root: &BuildRoot,
    ) -> Result<Result<Good, Ran>, SdistError> {
        let mut wheels = self.backend(trial, &trial.order.system.requires)?;
        if trial.more.is_none() {
            let ran = self
                .workshop
                .hook(&trial.order, Hook::Requires, root, &wheels)?;
            let Some(answer) = ran.good() else {
                return Ok(Err(ran));
            };
            trial.more = Some(answer.requires.clone());
        }
        let more = trial.more.clone().unwrap_or_default();
        if !more.is_empty() {
            let stated = trial.order.system.requires.iter().cloned();
            wheels = self.backend(trial, &stated.chain(more).collect::<Vec<_>>())?;
        }
        let ran = self.workshop.hook(&trial.order, hook, root, &wheels)?;
        Ok(match ran.good() {
            Some(_) => Ok(Good { ran, wheels }),
            None => Err(ran),
        })
    }

    /// The wheels of the backend; those that are not on the index are compiled.
    fn backend(&self, trial: &Trial<'_>, requires: &[String]) -> Result<Vec<Wheel>, SdistError> {
        let before = self.before(trial).map(|build| build.requires.as_slice());
        let kept = requires::preferences(before.unwrap_or_default());
        let mut waiting = trial.order.job.waiting.clone();
        waiting.push(trial.order.job.name.clone());
        let found = self.serving(&waiting, |builder| {
            requires::choose(self.asking(), requires, kept, Some(builder))
        });
        let found = found.map_err(|source| {
            let failed = self.take_failure();
            failed.unwrap_or_else(|| environment_failed(&trial.order.label, source))
        })?;
        let mut wheels = Vec::new();
        for required in found {
            wheels.push(match required {
                requires::Required::Wheel(wheel) => wheel,
                requires::Required::Source(package) => {
                    let job = super::jobs::job(self.asking(), &package, &waiting)?;
                    self.wheel(&job)?.wheel
                }
            });
        }
        wheels.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(wheels)
    }

    fn root(&self, extra: &BTreeSet<String>) -> Result<BuildRoot, SdistError> {
        let Asking {
            session,
            interpreter,
            platform,
            ..
        } = *self.asking();
        let set =
            RootSet::choose(self.suites, platform, interpreter, extra).map_err(RootError::from)?;
        Ok(build_root(session, &set)?)
    }

    /// Adds what a failed build lacked, or fails with the first cause and everything that is known about it.
    fn learn(
        &self,
        trial: &mut Trial<'_>,
        root: &BuildRoot,
        hook: Hook,
        ran: &Ran,
    ) -> Result<(), SdistError> {
        let (cause, found) = evidence(ran);
        let installed: BTreeSet<String> = root.debs.iter().map(|deb| deb.name.clone()).collect();
        let context = Context {
            distribution: Some(&trial.order.job.name),
            installed: &installed,
            closure: &BTreeSet::new(),
        };
        let mut debs = trial.recipe.debs.clone();
        let (mut lacked, mut added, mut open) = (Vec::new(), Vec::new(), Vec::new());
        // The surest evidence alone is acted on; weaker evidence when that leads to nothing new.
        let mut trouble = Vec::new();
        for found in groups(&found, cause.as_ref()) {
            let answer = self.providers.provide(&found, &context)?;
            let unserved = answer.open.into_iter().map(|one| (one.found, one.why));
            open.extend(unserved);
            trouble = answer.trouble;
            for choice in answer.choices {
                let told = format!("{}: {}", choice.lack, choice.evidence);
                if let Some(one) = self.fitting(&debs, &installed, choice) {
                    lacked.push(told);
                    added.push(one.name.clone());
                    add(&mut debs, one);
                }
            }
            if !added.is_empty() {
                break;
            }
        }
        let limited = matches!(ran.outcome.status, unheck_sandbox::Status::LimitHit(_));
        if added.is_empty() || limited {
            return Err(SdistError::Failed(Box::new(Failure {
                attempts: trial.recipe.attempts.clone(),
                debs: trial
                    .recipe
                    .debs
                    .iter()
                    .map(|deb| deb.name.clone())
                    .collect(),
                open,
                trouble,
                ..Failure::of(&trial.order, hook, ran)
            })));
        }
        trial.recipe.attempts.push(Attempt { lacked, added });
        trial.recipe.debs = debs;
        Ok(())
    }

    /// The package of a choice, or the first of its alternatives that fits to what there is already; none when what it
    /// gives is there.
    fn fitting(
        &self,
        debs: &[Chosen],
        installed: &BTreeSet<String>,
        choice: Choice,
    ) -> Option<Chosen> {
        let others: Vec<String> = choice
            .alternatives
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let mut one = chosen(choice);
        let names = std::iter::once(one.name.clone()).chain(others);
        for name in names {
            if installed.contains(&name) || debs.iter().any(|deb| deb.name == name) {
                return None;
            }
            if self.fits(debs, &name) {
                one.name = name;
                return Some(one);
            }
        }
        None
    }

    /// The record of a wheel that was made just now.
    fn record(
        &self,
        trial: &Trial<'_>,
        root: &BuildRoot,
        good: &Good,
    ) -> Result<Compiled, SdistError> {
        let wheel = self.workshop.take(&trial.order, &good.ran)?;
        let made = self.workshop.record(&trial.order, root, &good.ran, wheel)?;
        Ok(Compiled {
            requires: good.wheels.clone(),
            debs: trial.recipe.debs.clone(),
            attempts: trial.recipe.attempts.clone(),
            ..made
        })
    }

    fn keep(&self, root: &BuildRoot, made: &Compiled) {
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for deb in &root.debs {
            all.debs.insert(deb.name.clone(), locked(deb));
        }
        let key = (made.name.clone(), made.version.clone());
        all.builds.insert(key, made.clone());
    }
}

/// What was found in groups of one strength, the surest first. What was only hinted at is no reason to try again, but
/// for what the line says that the build ended with.
fn groups(found: &[Found], cause: Option<&Cause>) -> Vec<Vec<Found>> {
    let mut groups: Vec<Vec<Found>> = found
        .chunk_by(|one, other| one.strength == other.strength)
        .filter(|group| {
            group
                .first()
                .is_some_and(|one| one.strength > Strength::Mentioned)
        })
        .map(<[Found]>::to_vec)
        .collect();
    if let Some(cause) = cause {
        let line = format!("line {}: ", cause.line);
        let last = found.iter().filter(|one| one.evidence.starts_with(&line));
        groups.push(last.cloned().collect());
    }
    groups
}

fn chosen(choice: Choice) -> Chosen {
    Chosen {
        name: choice.package,
        why: choice.reason,
        instead: choice
            .alternatives
            .into_iter()
            .map(|(package, why)| format!("{package}: {why}"))
            .collect(),
    }
}

/// Adds a package that is not there yet.
fn add(debs: &mut Vec<Chosen>, one: Chosen) {
    if !debs.iter().any(|deb| deb.name == one.name) {
        debs.push(one);
        debs.sort();
    }
}

/// The digest of what every root of the interpreter has, for this one.
fn base_of(root: &BuildRoot) -> Digest {
    let base = root.debs.iter().filter(|deb| deb.base);
    let text: Vec<String> = base
        .map(|deb| format!("{} {}", deb.name, deb.sha256))
        .collect();
    Digest::of(text.join("\n").as_bytes())
}

/// A package of a build root as a lock has it: whole, and not in what ships.
fn locked(deb: &BuildDeb) -> Deb {
    let reason = match deb.base {
        true => "part of every build root",
        false => "needed by a build",
    };
    Deb {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
        source: None,
        suite: deb.suite.clone(),
        path: deb.path.clone(),
        size: deb.size,
        sha256: deb.sha256,
        base: deb.base,
        reason: reason.to_owned(),
        files: BTreeMap::new(),
    }
}
