//! Wheels that a lock has compiled and the store has not: made again from what the lock names, without network but for
//! blobs of known digest, and without choice. Start at [`restore`].

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::{Digest, TreePath};
use unheck_store::PackKind;

use super::error::{Failure, SdistError};
use super::frontend::Hook;
use super::requires::Asking;
use super::root::{BuildDeb, RootSet, build_root};
use super::source::Source;
use super::workshop::{Job, Workshop};
use crate::event::Event;
use crate::input::{LockOptions, Project};
use crate::lock::{Archive, Compiled, Lock, Target, Wheel};
use crate::locker::want;
use crate::net::Want;
use crate::session::Session;
use crate::wheels::open_wheel;

/// Makes every wheel of a lock's builds that the store does not have. Nothing happens where it has them all.
///
/// # Errors
/// [`SdistError`]; [`SdistError::NotLocked`] where the same inputs gave another wheel.
pub fn restore(
    session: &Session,
    project: &Project,
    options: &LockOptions,
    lock: &Lock,
) -> Result<(), SdistError> {
    let made = lock.plan.builds.iter();
    let made: Vec<Digest> = made.map(|build| build.wheel.hashes.sha256).collect();
    session.net.take(&made)?;
    let missing: Vec<&Compiled> = lock
        .plan
        .builds
        .iter()
        .filter(|build| !session.store().has(&build.wheel.hashes.sha256))
        .collect();
    // Requirements of builds come first: whatever another build needs has no needs among the rest.
    let mut done = BTreeSet::new();
    let mut waiting: Vec<&Compiled> = missing.clone();
    while !waiting.is_empty() {
        let open: BTreeSet<Digest> = waiting
            .iter()
            .map(|build| build.wheel.hashes.sha256)
            .collect();
        let (now, later): (Vec<&Compiled>, Vec<&Compiled>) =
            waiting.into_iter().partition(|build| {
                let needs = build.requires.iter().map(|wheel| wheel.hashes.sha256);
                !needs
                    .into_iter()
                    .any(|digest| open.contains(&digest) && digest != build.wheel.hashes.sha256)
            });
        // A lock that was edited by hand may go in circles.
        if now.is_empty() {
            return Err(SdistError::Circle {
                chain: later.iter().map(|build| build.name.clone()).collect(),
            });
        }
        for build in now {
            if done.insert(build.wheel.hashes.sha256) {
                one(session, (project, options), lock, build)?;
            }
        }
        waiting = later;
    }
    Ok(())
}

/// Whether a directory beside the project, of which a lock has compiled a wheel, is another one now.
pub fn trees_changed(project: &Project, lock: &Lock) -> bool {
    lock.plan.builds.iter().any(|build| {
        let package = lock.packages.iter().find(|package| build.is_of(package));
        let Some(directory) = package.and_then(|package| package.directory.as_ref()) else {
            return false;
        };
        let source = Source::Tree {
            path: project.root.join(&directory.path),
            subdirectory: directory.subdirectory.clone(),
        };
        source.digest().ok() != Some(build.source)
    })
}

/// Builds everything that a lock has compiled once more and compares.
///
/// # Errors
/// [`SdistError::Differs`] with the first difference.
pub fn rebuild_check(
    session: &Session,
    project: &Project,
    options: &LockOptions,
    lock: &Lock,
) -> Result<(), SdistError> {
    for build in &lock.plan.builds {
        let label = label(build);
        session.note(&format!("building `{label}` once more"));
        let wheel = again(session, (project, options), lock, build)?;
        if wheel.hashes.sha256 != build.wheel.hashes.sha256 {
            let difference = difference(session, &build.wheel, &wheel)?;
            return Err(SdistError::Differs { label, difference });
        }
    }
    Ok(())
}

/// The first member that two wheels do not share, else what else differs.
fn difference(session: &Session, one: &Wheel, other: &Wheel) -> Result<String, SdistError> {
    let open = |wheel: &Wheel| {
        open_wheel(session.store(), &wheel.name, &wheel.hashes.sha256).map_err(|source| {
            SdistError::Wheel {
                label: wheel.name.clone(),
                source: Box::new(source),
            }
        })
    };
    let (one, other) = (open(one)?, open(other)?);
    let members: BTreeSet<String> = one
        .pack
        .entries()
        .iter()
        .chain(other.pack.entries())
        .map(|entry| entry.path.to_string())
        .collect();
    let differs = members
        .iter()
        .find(|path| digest_of(&one.pack, path) != digest_of(&other.pack, path));
    Ok(match differs {
        Some(path)
            if digest_of(&one.pack, path).is_some() && digest_of(&other.pack, path).is_some() =>
        {
            format!("`{path}` has other contents")
        }
        Some(path) => format!("`{path}` is in one of them only"),
        None => "the files are the same, and are packed otherwise".to_owned(),
    })
}

/// What a member holds.
fn digest_of(pack: &unheck_store::Pack, path: &str) -> Option<Digest> {
    let entry = pack.get(&TreePath::new(path).ok()?)?;
    match &entry.kind {
        PackKind::File { digest, .. } => Some(*digest),
        _ => Some(Digest::of(b"")),
    }
}

pub(super) fn label(build: &Compiled) -> String {
    let version = build.version.as_deref().unwrap_or_default();
    format!("{} {version}", build.name).trim_end().to_owned()
}

fn one(
    session: &Session,
    of: (&Project, &LockOptions),
    lock: &Lock,
    build: &Compiled,
) -> Result<(), SdistError> {
    let wheel = again(session, of, lock, build)?;
    match wheel.hashes.sha256 == build.wheel.hashes.sha256 {
        true => Ok(()),
        false => Err(SdistError::NotLocked {
            label: label(build),
        }),
    }
}

/// Builds with exactly what the lock names.
fn again(
    session: &Session,
    (project, options): (&Project, &LockOptions),
    lock: &Lock,
    build: &Compiled,
) -> Result<Wheel, SdistError> {
    let broken = || SdistError::NotLocked {
        label: label(build),
    };
    let target = lock.target(build.platform).ok_or_else(broken)?;
    let asking = Asking {
        session,
        project,
        options,
        interpreter: &target.interpreter,
        platform: build.platform,
    };
    let wants = build.requires.iter().filter_map(want);
    session.net.fetch(wants.collect())?;
    let job = Job {
        name: build.name.clone(),
        version: build.version.clone(),
        source: source(&asking, lock, build)?,
        sdist: build.sdist.clone(),
        waiting: Vec::new(),
    };
    if job.source.digest()? != build.source {
        return Err(broken());
    }
    let workshop = Workshop::new(asking);
    let order = workshop.order(&job)?;
    let root = build_root(session, &root_set(target, build))?;
    session.reporter.event(Event::Compiling {
        label: &order.label,
        with: &[],
    });
    let ran = workshop.hook(&order, Hook::Wheel, &root, &build.requires);
    session.reporter.event(Event::Compiled {
        label: &order.label,
    });
    let ran = ran?;
    if ran.good().is_none() {
        return Err(SdistError::Failed(Box::new(Failure::of(
            &order,
            Hook::Wheel,
            &ran,
        ))));
    }
    workshop.take(&order, &ran)
}

/// Where a locked build has its source from; an sdist is fetched.
pub(super) fn source(
    asking: &Asking<'_>,
    lock: &Lock,
    build: &Compiled,
) -> Result<Source, SdistError> {
    let broken = || SdistError::NotLocked {
        label: label(build),
    };
    let package = lock.packages.iter().find(|package| build.is_of(package));
    if let Some(sdist) = &build.sdist {
        asking
            .session
            .net
            .fetch(want(sdist).into_iter().collect::<Vec<Want>>())?;
        return Ok(Source::Archive {
            name: sdist.name.clone(),
            digest: sdist.hashes.sha256,
            subdirectory: build.subdirectory.clone(),
        });
    }
    let package = package.ok_or_else(broken)?;
    if let Some(directory) = &package.directory {
        return Ok(Source::Tree {
            path: asking.project.root.join(&directory.path),
            subdirectory: directory.subdirectory.clone(),
        });
    }
    let vcs = package.vcs.as_ref().ok_or_else(broken)?;
    Ok(Source::Tree {
        path: super::jobs::checkout(asking, &vcs.url, &vcs.commit_id)?,
        subdirectory: vcs.subdirectory.clone(),
    })
}

/// The packages of a build's root as the lock has them.
fn root_set(target: &Target, build: &Compiled) -> RootSet {
    root_set_of(target, &build.root.iter().map(String::as_str).collect())
}

/// The base of a target's build roots with packages of these names.
pub(super) fn root_set_of(target: &Target, named: &BTreeSet<&str>) -> RootSet {
    let suites: BTreeMap<&str, (Archive, i64)> = target
        .suites
        .iter()
        .map(|suite| (suite.name.as_str(), (suite.archive, suite.date)))
        .collect();
    let debs = target
        .build_debs
        .iter()
        .filter(|deb| deb.base || named.contains(deb.name.as_str()))
        .map(|deb| {
            let (archive, date) = suites
                .get(deb.suite.as_str())
                .copied()
                .unwrap_or((Archive::Debian, 0));
            BuildDeb {
                name: deb.name.clone(),
                version: deb.version.clone(),
                architecture: deb.architecture.clone(),
                suite: deb.suite.clone(),
                archive,
                date,
                path: deb.path.clone(),
                size: deb.size,
                sha256: deb.sha256,
                base: deb.base,
            }
        });
    let mut debs: Vec<BuildDeb> = debs.collect();
    debs.sort_by_key(|deb| (!deb.base, deb.name.clone()));
    RootSet {
        platform: target.platform,
        interpreter: target.interpreter.clone(),
        debs,
    }
}
