//! The upgrades of a lock, each with what it does to the project's code. Start at [`upgrades`]; [`safe`] chooses.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unheck_names::facts::Index as _;
use unheck_names::label::normalize;
use unheck_pyapi::api::deprecated;
use unheck_resolve::Source;

use super::pick::is_wheel;
use super::{
    Dependent, Lines, OwnCode, Picked, Request, Review, ReviewError, Target, files, page, review,
    want,
};
use crate::explain::{Class as Fault, Explain as _};
use crate::identify::index::LiveIndex;
use crate::identify::locked::of_wheel;
use crate::input::{LockOptions, Project};
use crate::lock::Lock;
use crate::locker::{resolver_inputs, resolver_target, want as locked_file};
use crate::session::Session;

/// Versions by normalised name.
pub type Pins = BTreeMap<String, String>;

/// Distributions that go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Their versions.
    pub pins: Pins,
    /// By name: the names that each asks for.
    pub requires: BTreeMap<String, BTreeSet<String>>,
}

/// What an upgrade does to the code, as far as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A line of the code breaks, or one of a distribution that uses it and stays as it is.
    Breaks,
    /// The code uses what changes, or may break.
    Touches,
    /// It could not be read well enough to say.
    Opaque,
    /// Nothing was found.
    Safe,
    /// The distribution is new.
    Added,
    /// The distribution is gone.
    Removed,
}

/// A distribution whose version differs.
#[derive(Debug, Clone, Serialize)]
pub struct Upgrade {
    /// The normalised name.
    pub dist: String,
    /// The version before; `None`: it was not there.
    pub old: Option<String>,
    /// The version after; `None`: it is gone.
    pub new: Option<String>,
    /// What it does.
    pub class: Class,
    /// Why it is opaque.
    pub why: Option<String>,
    /// What was seen, where something was.
    pub review: Option<Review>,
    /// For which platforms of the lock.
    pub targets: Vec<String>,
}

/// What a project's upgrades are held against.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Store and network.
    pub session: &'a Session,
    /// The index.
    pub index: &'a LiveIndex<'a>,
    /// For which system the lock is.
    pub target: Target,
    /// The project's code.
    pub code: Option<&'a OwnCode>,
}

/// For which systems a lock is, in its order.
///
/// # Errors
/// [`ReviewError::NoTarget`].
pub fn targets_of(lock: &Lock) -> Result<Vec<Target>, ReviewError> {
    let of = |target: &crate::lock::Target| {
        let mut parts = target.interpreter.version.split('.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Target {
                python: (major, minor),
                platform: target.platform,
            }),
            _ => Err(ReviewError::NoTarget),
        }
    };
    match lock.plan.targets.as_slice() {
        [] => Err(ReviewError::NoTarget),
        targets => targets.iter().map(of).collect(),
    }
}

/// What a lock has of distributions that come from an index, for the target of this number.
pub fn locked(lock: &Lock, target: usize) -> Set {
    let wheels = lock.plan.targets.get(target).map(|target| &target.wheels);
    let packages = wheels
        .into_iter()
        .flatten()
        .filter_map(|name| Some(lock.wheel(name)?.0))
        .filter(|package| package.index.is_some());
    let mut set = Set::default();
    for package in packages {
        let requires = package.dependencies.iter().map(|one| normalize(&one.name));
        set.add(&package.name, package.version.as_deref(), requires);
    }
    set
}

impl Set {
    fn add(&mut self, name: &str, version: Option<&str>, requires: impl Iterator<Item = String>) {
        let (name, Some(version)) = (normalize(name), version) else {
            return;
        };
        self.pins.insert(name.clone(), version.to_owned());
        self.requires.entry(name).or_default().extend(requires);
    }
}

/// The newest versions that the project allows on a target of its lock, when `held` stay as they are.
///
/// # Errors
/// [`ReviewError::Resolve`], [`ReviewError::NoTarget`].
pub fn newest(
    session: &Session,
    (project, options): (&Project, &LockOptions),
    (lock, target): (&Lock, usize),
    held: &Pins,
) -> Result<Set, ReviewError> {
    let target = lock.plan.targets.get(target).ok_or(ReviewError::NoTarget)?;
    let for_target = resolver_target(&target.interpreter, target.platform)?;
    let mut inputs = resolver_inputs(session, project, options);
    let held = held
        .iter()
        .map(|(name, version)| Source::Requirement(format!("{name}=={version}")));
    inputs.constraints.extend(held);
    let options = unheck_resolve::ResolveOptions {
        cache: session.resolver_cache.clone(),
        answers: session.answers.clone(),
        preferences: Vec::new(),
        builder: None,
        reporter: None,
    };
    let resolve = unheck_resolve::resolve(&inputs, &for_target, &options);
    let resolved = session
        .net
        .block_on(resolve)
        .map_err(|source| ReviewError::Resolve {
            project: project.name.clone(),
            source: Box::new(source),
        })?;
    let mut set = Set::default();
    for package in resolved.packages {
        let requires = package.dependencies.iter().map(|name| normalize(name));
        set.add(&package.name, package.version.as_deref(), requires);
    }
    Ok(set)
}

/// What a platform has before and after.
#[derive(Debug, Clone)]
pub struct Move {
    /// For which system.
    pub target: Target,
    /// Before.
    pub old: Set,
    /// After.
    pub new: Set,
}

/// What two locks have for each platform that both are for; where there is none, their first targets.
///
/// # Errors
/// [`ReviewError::NoTarget`].
pub fn between(old: &Lock, new: &Lock) -> Result<Vec<Move>, ReviewError> {
    let (before, after) = (targets_of(old)?, targets_of(new)?);
    let both = after.iter().enumerate().filter_map(|(at, target)| {
        let same = before
            .iter()
            .position(|one| one.platform == target.platform)?;
        Some((same, at))
    });
    let mut pairs: Vec<(usize, usize)> = both.collect();
    if pairs.is_empty() {
        pairs.push((0, 0));
    }
    let of = |(before, at): (usize, usize)| Move {
        target: after[at],
        old: locked(old, before),
        new: locked(new, at),
    };
    Ok(pairs.into_iter().map(of).collect())
}

/// Every distribution whose version differs on a platform, the worst first. A distribution of `old` that comes from no
/// index is in neither. What is the same on several platforms is reviewed and told once.
///
/// # Errors
/// [`ReviewError`] where the index or the store fails; a distribution that cannot be read is [`Class::Opaque`].
pub fn upgrades(world: World<'_>, moves: &[Move]) -> Result<Vec<Upgrade>, ReviewError> {
    upgrades_but(world, moves, &mut Known::default())
}

/// A step of a known lock: name, new version, and name and version of each distribution that uses it and stays.
type Key = (String, String, Vec<(String, String)>);

/// What was seen of steps.
#[derive(Default)]
struct Known {
    /// By platform.
    steps: BTreeMap<(String, Key), Upgrade>,
    /// By the two files that were compared.
    files: BTreeMap<([String; 2], Key), Upgrade>,
}

/// The same without looking again at what is known.
fn upgrades_but(
    world: World<'_>,
    moves: &[Move],
    known: &mut Known,
) -> Result<Vec<Upgrade>, ReviewError> {
    let mut found: Vec<Upgrade> = Vec::new();
    for one in moves {
        let world = World {
            target: one.target,
            ..world
        };
        for upgrade in on_platform(world, one, known)? {
            match found.iter_mut().find(|told| is_same(told, &upgrade)) {
                Some(told) => told.targets.extend(upgrade.targets),
                None => found.push(upgrade),
            }
        }
    }
    found.sort_by(|left, right| (left.class, &left.dist).cmp(&(right.class, &right.dist)));
    Ok(found)
}

/// Whether two platforms get the same step and the same was found in it.
fn is_same(one: &Upgrade, other: &Upgrade) -> bool {
    let step = |of: &Upgrade| (of.dist.clone(), of.old.clone(), of.new.clone(), of.class);
    let seen = |of: &Upgrade| {
        let review = of.review.as_ref()?;
        Some((
            review.changes.clone(),
            review.uses.clone(),
            review.touched.clone(),
            review.dependents.clone(),
        ))
    };
    step(one) == step(other) && seen(one) == seen(other)
}

fn on_platform(
    world: World<'_>,
    Move { old, new, target }: &Move,
    known: &mut Known,
) -> Result<Vec<Upgrade>, ReviewError> {
    let platform = target.platform.to_string();
    let mut found = Vec::new();
    let mut steps = Vec::new();
    for (dist, before) in &old.pins {
        let Some(after) = new.pins.get(dist).filter(|after| *after != before) else {
            continue;
        };
        let key = (dist.clone(), after.clone(), staying(dist, old, new));
        match known.steps.get(&(platform.clone(), key.clone())) {
            Some(upgrade) => found.push(upgrade.clone()),
            None => steps.push((before, key)),
        }
    }
    prefetch(world, &steps);
    for (before, key) in steps {
        let files = picks(world, (&key.0, before, &key.1)).map(|files| (files, key.clone()));
        let seen = files.as_ref().and_then(|files| known.files.get(files));
        let mut upgrade = match seen {
            Some(upgrade) => upgrade.clone(),
            None => upgrade(world, (&key.0, before, &key.1), &key.2)?,
        };
        upgrade.targets = vec![platform.clone()];
        found.push(upgrade.clone());
        if let Some(files) = files {
            known.files.insert(files, upgrade.clone());
        }
        known.steps.insert((platform.clone(), key), upgrade);
    }
    let only = |one: &Pins, other: &Pins, class: Class| -> Vec<Upgrade> {
        let only = one.iter().filter(|(name, _)| !other.contains_key(*name));
        only.map(|(name, version)| Upgrade {
            dist: name.clone(),
            old: (class == Class::Removed).then(|| version.clone()),
            new: (class == Class::Added).then(|| version.clone()),
            class,
            why: None,
            review: None,
            targets: vec![platform.clone()],
        })
        .collect()
    };
    found.extend(only(&new.pins, &old.pins, Class::Added));
    found.extend(only(&old.pins, &new.pins, Class::Removed));
    Ok(found)
}

/// The names of the two files of a step that are compared.
fn picks(world: World<'_>, (dist, old, new): (&str, &str, &str)) -> Option<[String; 2]> {
    let page = page(world.index, dist).ok()?;
    let file = |version: &str| {
        let picked = Picked::find(dist, version, &page, world.target).ok()?;
        Some(picked.file.filename.clone())
    };
    Some([file(old)?, file(new)?])
}

/// The distributions that ask for one and are in both sets at one version.
fn staying(dist: &str, old: &Set, new: &Set) -> Vec<(String, String)> {
    let users = new.requires.iter().filter(|(_, all)| all.contains(dist));
    users
        .filter_map(|(name, _)| {
            let version = new.pins.get(name)?;
            let stays = old.pins.get(name) == Some(version);
            stays.then(|| (name.clone(), version.clone()))
        })
        .collect()
}

/// The wheel of a distribution that stays, brought into the store; `None` where it has none or it cannot be had.
fn dependent(world: World<'_>, (dist, version): &(String, String)) -> Option<Dependent> {
    let page = page(world.index, dist).ok()?;
    let picked = Picked::find(dist, version, &page, world.target).ok()?;
    if !is_wheel(&picked.file.filename) {
        return None;
    }
    let wanted = want(picked.file).ok()??;
    let digest = wanted.digest;
    world.session.net.fetch(vec![wanted]).ok()?;
    Some(Dependent {
        dist: dist.clone(),
        version: version.clone(),
        wheel: picked.file.filename.clone(),
        digest,
    })
}

/// Brings what will be compared into the store at once. What fails here fails again, and is told, when it is its turn.
fn prefetch(world: World<'_>, steps: &[(&String, Key)]) {
    let names: Vec<String> = steps.iter().map(|(_, key)| key.0.clone()).collect();
    if !world.session.net.is_offline() {
        drop(world.index.pages(&names));
    }
    let mut wants = Vec::new();
    for (old, (dist, new, _)) in steps {
        let Ok(page) = page(world.index, dist) else {
            continue;
        };
        for version in [old, new] {
            let picked = Picked::find(dist, version, &page, world.target);
            wants.extend(
                picked
                    .ok()
                    .and_then(|picked| want(picked.file).ok().flatten()),
            );
        }
    }
    let _ = world.session.net.fetch(wants);
}

fn upgrade(
    world: World<'_>,
    (dist, old, new): (&str, &str, &str),
    users: &[(String, String)],
) -> Result<Upgrade, ReviewError> {
    let users = users.iter().filter_map(|user| dependent(world, user));
    let dependents: Vec<Dependent> = users.collect();
    let request = Request {
        dist,
        old,
        new,
        target: world.target,
        code: world.code,
        dependents: &dependents,
    };
    let (class, why, reviewed) = match review(world.session, world.index, &request) {
        Ok(review) => (review.class(), review.opaque(), Some(review)),
        // A file that is refused says nothing of the step; trouble of the world may pass.
        Err(error) if error.class() == Fault::Input => {
            (Class::Opaque, Some(error.to_string()), None)
        }
        Err(error) => return Err(error),
    };
    Ok(Upgrade {
        dist: dist.to_owned(),
        old: Some(old.to_owned()),
        new: Some(new.to_owned()),
        class,
        why,
        review: reviewed,
        targets: Vec::new(),
    })
}

/// What the locked versions announce and the code uses, by name. Only distributions with a module that the code imports
/// are read, and of these only what is a wheel.
///
/// # Errors
/// [`ReviewError`] where a wheel is lacking and cannot be fetched, or is refused.
pub fn announced(world: World<'_>, lock: &Lock) -> Result<Vec<Lines>, ReviewError> {
    let Some(code) = world.code else {
        return Ok(Vec::new());
    };
    let targets = lock.plan.targets.iter();
    let wheels = targets
        .flat_map(|target| &target.wheels)
        .filter_map(|name| lock.wheel(name));
    // Wheels of one version for several platforms have the same source, as far as this is concerned.
    let mut seen = BTreeSet::new();
    let wheels = wheels.filter(|(package, _)| seen.insert((&package.name, &package.version)));
    let wheels: Vec<_> = wheels.collect();
    let wants = wheels.iter().filter_map(|(_, wheel)| locked_file(wheel));
    world.session.net.fetch(wants.collect())?;
    let store = world.session.store();
    let mut found = Vec::new();
    for (package, wheel) in wheels {
        let digest = &wheel.hashes.sha256;
        let is_used = of_wheel(store, digest).is_some_and(|glance| {
            let mut tops = glance
                .modules
                .keys()
                .filter_map(|name| name.split('.').next());
            tops.any(|top| code.imports.contains(top))
        });
        if !is_used {
            continue;
        }
        let read = files::read(store, &wheel.name, digest, world.target.python)?;
        let uses = code.placed(deprecated(&code.code, &read.tree));
        if !uses.is_empty() {
            found.push(Lines {
                dist: normalize(&package.name),
                version: package.version.clone().unwrap_or_default(),
                uses,
            });
        }
    }
    found.sort_by(|left, right| left.dist.cmp(&right.dist));
    Ok(found)
}

/// What [`safe`] chose.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The versions to lock.
    pub pins: Pins,
    /// Upgrades that were not taken since they break the code, or a distribution that stays.
    pub held: Vec<Upgrade>,
    /// Upgrades that are taken.
    pub taken: Vec<Upgrade>,
}

/// The newest versions that the project allows without those that break its code. Each round holds back at least one
/// more distribution, so there are at most as many as distributions.
///
/// # Errors
/// [`ReviewError`].
pub fn safe(
    world: World<'_>,
    what: (&Project, &LockOptions),
    lock: &Lock,
) -> Result<Chosen, ReviewError> {
    let targets = targets_of(lock)?;
    let mut held: BTreeMap<String, Upgrade> = BTreeMap::new();
    let mut known = Known::default();
    loop {
        let mut moves = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let old = locked(lock, at);
            let keep = held
                .keys()
                .filter_map(|name| Some((name.clone(), old.pins.get(name)?.clone())))
                .collect();
            let new = newest(world.session, what, (lock, at), &keep)?;
            let target = *target;
            moves.push(Move { target, old, new });
        }
        let found = upgrades_but(world, &moves, &mut known)?;
        let (breaking, taken): (Vec<Upgrade>, Vec<Upgrade>) = found
            .into_iter()
            .partition(|one| one.class == Class::Breaks && !held.contains_key(&one.dist));
        if breaking.is_empty() {
            return Ok(Chosen {
                taken,
                pins: all_pins(moves),
                held: held.into_values().collect(),
            });
        }
        held.extend(breaking.into_iter().map(|one| (one.dist.clone(), one)));
    }
}

/// The new versions; where platforms differ, those of the first.
fn all_pins(moves: Vec<Move>) -> Pins {
    let mut pins = Pins::new();
    for (name, version) in moves.into_iter().flat_map(|one| one.new.pins) {
        pins.entry(name).or_insert(version);
    }
    pins
}

/// The lock with these versions written in: what a resolution prefers. It is no lock to build from.
#[must_use]
pub fn preferring(lock: &Lock, pins: &Pins) -> Lock {
    let mut lock = lock.clone();
    for package in &mut lock.packages {
        let Some(version) = pins.get(&normalize(&package.name)) else {
            continue;
        };
        if package.version.as_ref() != Some(version) {
            package.version = Some(version.clone());
            // What was said of the other version says nothing of this one.
            package.tool = None;
        }
    }
    for (name, version) in pins {
        let is_there = lock
            .packages
            .iter()
            .any(|one| normalize(&one.name) == *name);
        if !is_there {
            lock.packages.push(crate::lock::Package {
                name: name.clone(),
                version: Some(version.clone()),
                marker: None,
                requires_python: None,
                index: None,
                dependencies: Vec::new(),
                wheels: Vec::new(),
                directory: None,
                vcs: None,
                sdist: None,
                tool: None,
            });
        }
    }
    lock
}
