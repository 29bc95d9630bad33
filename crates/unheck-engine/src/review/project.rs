//! The upgrades of a lock, each with what it does to the project's code. Start at [`upgrades`]; [`safe`] chooses.

use std::collections::BTreeMap;

use serde::Serialize;
use unheck_names::facts::Index as _;
use unheck_names::label::normalize;
use unheck_pyapi::api::deprecated;
use unheck_resolve::Source;

use super::{
    OwnCode, Picked, Request, Review, ReviewError, Target, Use, files, page, review, want,
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

/// What an upgrade does to the code, as far as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A line of the code breaks.
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

/// For which system a lock's first target is.
///
/// # Errors
/// [`ReviewError::NoTarget`].
pub fn target_of(lock: &Lock) -> Result<Target, ReviewError> {
    let target = lock.plan.targets.first().ok_or(ReviewError::NoTarget)?;
    let mut parts = target.interpreter.version.split('.').map(str::parse);
    let python = match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => return Err(ReviewError::NoTarget),
    };
    Ok(Target {
        python,
        platform: target.platform,
    })
}

/// The versions that a lock has for its first target, of distributions that come from an index.
pub fn pins(lock: &Lock) -> Pins {
    let wheels = lock.plan.targets.first().map(|target| &target.wheels);
    let packages = wheels
        .into_iter()
        .flatten()
        .filter_map(|name| Some(lock.wheel(name)?.0));
    packages
        .filter(|package| package.index.is_some())
        .filter_map(|package| Some((normalize(&package.name), package.version.clone()?)))
        .collect()
}

/// The newest versions that the project allows, when `held` stay as they are.
///
/// # Errors
/// [`ReviewError::Resolve`], [`ReviewError::NoTarget`].
pub fn newest(
    session: &Session,
    (project, options): (&Project, &LockOptions),
    lock: &Lock,
    held: &Pins,
) -> Result<Pins, ReviewError> {
    let target = lock.plan.targets.first().ok_or(ReviewError::NoTarget)?;
    let for_target = resolver_target(&target.interpreter, target.platform)?;
    let mut inputs = resolver_inputs(session, project, options);
    let held = held
        .iter()
        .map(|(name, version)| Source::Requirement(format!("{name}=={version}")));
    inputs.constraints.extend(held);
    let options = unheck_resolve::ResolveOptions {
        cache: session.resolver_cache.clone(),
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
    let packages = resolved.packages.into_iter();
    Ok(packages
        .filter_map(|package| Some((normalize(&package.name), package.version?)))
        .collect())
}

/// Every distribution whose version differs, the worst first. A distribution of `old` that comes from no index is in
/// neither.
///
/// # Errors
/// [`ReviewError`] where the index or the store fails; a distribution that cannot be read is [`Class::Opaque`].
pub fn upgrades(world: World<'_>, old: &Pins, new: &Pins) -> Result<Vec<Upgrade>, ReviewError> {
    let both: Vec<(&String, &String, &String)> = old
        .iter()
        .filter_map(|(name, before)| Some((name, before, new.get(name)?)))
        .filter(|(_, before, after)| before != after)
        .collect();
    prefetch(world, &both);
    let mut found = Vec::new();
    for (dist, before, after) in both {
        found.push(upgrade(world, dist, before, after)?);
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
        })
        .collect()
    };
    found.extend(only(new, old, Class::Added));
    found.extend(only(old, new, Class::Removed));
    found.sort_by(|left, right| (left.class, &left.dist).cmp(&(right.class, &right.dist)));
    Ok(found)
}

/// Brings what will be compared into the store at once. What fails here fails again, and is told, when it is its turn.
fn prefetch(world: World<'_>, steps: &[(&String, &String, &String)]) {
    let names: Vec<String> = steps.iter().map(|(name, ..)| (*name).clone()).collect();
    if !world.session.net.is_offline() {
        drop(world.index.pages(&names));
    }
    let mut wants = Vec::new();
    for (dist, old, new) in steps {
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

fn upgrade(world: World<'_>, dist: &str, old: &str, new: &str) -> Result<Upgrade, ReviewError> {
    let request = Request {
        dist,
        old,
        new,
        target: world.target,
        code: world.code,
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
    })
}

/// Lines of the code that use what a locked version already announces to go away.
#[derive(Debug, Clone, Serialize)]
pub struct Announced {
    /// The normalised name.
    pub dist: String,
    /// The locked version.
    pub version: String,
    /// The lines.
    pub uses: Vec<Use>,
}

/// What the locked versions announce and the code uses, by name. Only distributions with a module that the code imports
/// are read, and of these only what is a wheel.
///
/// # Errors
/// [`ReviewError`] where a wheel is lacking and cannot be fetched, or is refused.
pub fn announced(world: World<'_>, lock: &Lock) -> Result<Vec<Announced>, ReviewError> {
    let (Some(code), Some(target)) = (world.code, lock.plan.targets.first()) else {
        return Ok(Vec::new());
    };
    let wheels = target.wheels.iter().filter_map(|name| lock.wheel(name));
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
            found.push(Announced {
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
    /// Upgrades that were not taken since they break a line of the code.
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
    let old = pins(lock);
    let mut held: BTreeMap<String, Upgrade> = BTreeMap::new();
    let mut known: BTreeMap<(String, String), Upgrade> = BTreeMap::new();
    loop {
        let keep = held
            .keys()
            .filter_map(|name| Some((name.clone(), old.get(name)?.clone())))
            .collect();
        let new = newest(world.session, what, lock, &keep)?;
        let unseen: Pins = new
            .iter()
            .filter(|(name, version)| !known.contains_key(&((*name).clone(), (*version).clone())))
            .map(|(name, version)| (name.clone(), version.clone()))
            .collect();
        let before: Pins = old
            .iter()
            .filter(|(name, _)| unseen.contains_key(*name))
            .map(|(name, version)| (name.clone(), version.clone()))
            .collect();
        for upgrade in upgrades(world, &before, &unseen)? {
            let version = upgrade.new.clone().unwrap_or_default();
            known.insert((upgrade.dist.clone(), version), upgrade);
        }
        let chosen: Vec<&Upgrade> = new
            .iter()
            .filter_map(|(name, version)| known.get(&(name.clone(), version.clone())))
            .collect();
        let breaking: Vec<&&Upgrade> = chosen
            .iter()
            .filter(|one| one.class == Class::Breaks && !held.contains_key(&one.dist))
            .collect();
        if breaking.is_empty() {
            return Ok(Chosen {
                taken: chosen.into_iter().cloned().collect(),
                pins: new,
                held: held.into_values().collect(),
            });
        }
        let more: Vec<Upgrade> = breaking.into_iter().map(|one| (*one).clone()).collect();
        held.extend(more.into_iter().map(|one| (one.dist.clone(), one)));
    }
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
