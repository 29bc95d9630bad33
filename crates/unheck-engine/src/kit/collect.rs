//! What belongs into the kit of a lock, each with its reason; all of it is in the store then. Start at [`collect`].

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::Digest;

use super::{Entry, ExportError, Kind, blob_path};
use crate::debian::verify_chain;
use crate::event::Stage;
use crate::input::{AppFiles, LockOptions, Project};
use crate::lock::{Lock, Provider, Target};
use crate::locker::{deb_want, want, wants};
use crate::net::Want;
use crate::sdist::{crate_wants, restore};
use crate::session::Session;

/// What people call a file, what it is, and why it is there.
struct Thing {
    kind: Kind,
    name: String,
    why: BTreeSet<String>,
}

/// The files of a kit by digest.
#[derive(Default)]
struct Things(BTreeMap<Digest, Thing>);

impl Things {
    /// The first kind and name of a file count, the reasons add up.
    fn add(&mut self, digest: Digest, kind: Kind, name: &str, why: String) {
        let thing = self.0.entry(digest).or_insert_with(|| Thing {
            kind,
            name: name.to_owned(),
            why: BTreeSet::new(),
        });
        thing.why.insert(why);
    }
}

/// Brings all that a lock names into the store, and lists it in the order of digests.
///
/// # Errors
/// [`ExportError`].
pub(super) fn collect(
    session: &Session,
    (project, options): (&Project, &LockOptions),
    lock: &Lock,
    app: &AppFiles,
) -> Result<Vec<Entry>, ExportError> {
    let mut things = Things::default();
    session.stage(Stage::Fetch, "blobs", || {
        let mut wanted = wants(session, lock, lock.with_helper());
        for target in &lock.plan.targets {
            let debs = target.build_debs.iter();
            wanted.extend(debs.map(|deb| deb_want(session, target, deb)));
        }
        for build in &lock.plan.builds {
            let named = build.requires.iter().chain(&build.sdist);
            wanted.extend(named.filter_map(want));
        }
        session.net.fetch(wanted)
    })?;
    for target in lock.with_helper() {
        interpreter(session, project, target, &mut things)?;
        of_target(target, &mut things);
    }
    restore(session, project, options, lock)?;
    of_builds(lock, &mut things);
    let crates = crate_wants(session, (project, options), lock, app)?;
    let (whose, wanted): (Vec<String>, Vec<Want>) = crates.into_iter().unzip();
    for (label, want) in whose.iter().zip(&wanted) {
        let why = format!("crate of {label}");
        things.add(want.digest, Kind::Crate, &want.label, why);
    }
    session.net.fetch(wanted)?;
    let chain = session.stage(Stage::Fetch, "signed indexes", || {
        verify_chain(session, lock, &session.keyring)
    })?;
    for file in chain.files {
        things.add(file.digest, Kind::Index, &file.name, file.why);
    }
    entries(session, things)
}

/// An interpreter that is not Debian's; what is installed here cannot come along.
fn interpreter(
    session: &Session,
    project: &Project,
    target: &Target,
    things: &mut Things,
) -> Result<(), ExportError> {
    let interpreter = &target.interpreter;
    if interpreter.provider == Provider::Prefix {
        let prefix = interpreter.prefix.as_deref().unwrap_or_default();
        session.note(&format!(
            "the interpreter is the installation `{prefix}`, which is not in the kit: it must be there, with the same files, where the kit is used"
        ));
    }
    if let Some(archive) = &interpreter.archive {
        crate::provider::bring(session, project, interpreter).map_err(Box::new)?;
        let why = format!("Python {} of {}", interpreter.version, target.platform);
        let digest = archive.hashes.sha256;
        things.add(digest, Kind::Interpreter, &archive.name, why);
    }
    Ok(())
}

fn of_target(target: &Target, things: &mut Things) {
    let platform = target.platform;
    for wheel in &target.build_requires {
        let why = format!("builds the project's own wheel for {platform}");
        things.add(wheel.hashes.sha256, Kind::Wheel, &wheel.name, why);
    }
    for deb in &target.debs {
        let name = format!("{} {}", deb.name, deb.version);
        let why = format!("{platform}: {}", deb.reason);
        things.add(deb.sha256, Kind::Deb, &name, why);
    }
    for deb in &target.build_debs {
        let name = format!("{} {}", deb.name, deb.version);
        let why = format!("build root of {platform}: {}", deb.reason);
        things.add(deb.sha256, Kind::Deb, &name, why);
    }
}

fn of_builds(lock: &Lock, things: &mut Things) {
    // A wheel that was compiled may be required by another build: what it is is said here first.
    for build in &lock.plan.builds {
        let of = match &build.version {
            Some(version) => format!("{} {version}", build.name),
            None => build.name.clone(),
        };
        let wheel = &build.wheel;
        let why = format!("{of}, compiled for {}", build.platform);
        things.add(wheel.hashes.sha256, Kind::CompiledWheel, &wheel.name, why);
        if let Some(sdist) = &build.sdist {
            let why = format!("source of {of}");
            things.add(sdist.hashes.sha256, Kind::Sdist, &sdist.name, why);
        }
    }
    for build in &lock.plan.builds {
        for wheel in &build.requires {
            let why = format!("builds {}", build.name);
            things.add(wheel.hashes.sha256, Kind::Wheel, &wheel.name, why);
        }
    }
    for package in &lock.packages {
        for wheel in &package.wheels {
            let version = package.version.as_deref().unwrap_or_default();
            let why = format!("distribution {} {version}", package.name);
            things.add(wheel.hashes.sha256, Kind::Wheel, &wheel.name, why);
        }
    }
}

fn entries(session: &Session, things: Things) -> Result<Vec<Entry>, ExportError> {
    let entry = |(digest, thing): (Digest, Thing)| {
        let size = session.store().size_of(&digest);
        let missing = || unheck_store::StoreError::Missing { digest };
        Ok(Entry {
            path: blob_path(&digest),
            digest,
            size: size.ok_or_else(missing)?,
            kind: thing.kind,
            name: thing.name,
            why: thing.why.into_iter().collect(),
        })
    };
    things.0.into_iter().map(entry).collect()
}
