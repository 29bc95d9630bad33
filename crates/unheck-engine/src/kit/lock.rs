//! A kit and the lock beside the project: whether they belong together, and what holds of it without network. Start at
//! [`hold_to_indexes`] and [`check_lock`].

use std::collections::BTreeMap;
use std::path::Path;

use super::{KitError, KitFile};
use crate::build::read_lock;
use crate::debian::{Chain, ChainError, verify_chain};
use crate::lock::Lock;
use crate::session::Session;

/// Most differences that an error names.
const SHOWN: usize = 6;

/// Holds a kit against the lock of a project, which may be formatted otherwise.
///
/// # Errors
/// [`KitError::NoLock`], [`KitError::OtherLock`] with what differs, [`KitError::OwnLock`].
pub fn check_lock(kit: &KitFile, path: &Path) -> Result<(), KitError> {
    let own = read_lock(path).map_err(Box::new)?;
    let own = own.ok_or_else(|| KitError::NoLock {
        lock: path.to_owned(),
        kit: kit.path().to_owned(),
    })?;
    let of_kit = kit.lock()?;
    // What is known of owners changes without the artifact.
    if own.deciding() == of_kit.deciding() {
        return Ok(());
    }
    Err(KitError::OtherLock {
        kit: kit.path().to_owned(),
        lock: path.to_owned(),
        differences: differences(&of_kit, &own),
    })
}

/// Verifies the signed indexes of a kit's lock, and that they list its Debian packages. The keys in the kit count for
/// signatures that the lock names only; `session.keyring` counts too.
///
/// # Errors
/// [`ChainError`]; [`KitError`] inside of it when the kit is damaged.
pub fn hold_to_indexes(session: &Session, kit: &KitFile, lock: &Lock) -> Result<Chain, ChainError> {
    let mut keyring = session.keyring.clone();
    keyring.merge(kit.keys()?);
    verify_chain(session, lock, &keyring)
}

/// What a person would look at first.
fn differences(kit: &Lock, own: &Lock) -> String {
    let (theirs, ours) = (things(kit), things(own));
    let mut found = Vec::new();
    for name in theirs
        .keys()
        .chain(ours.keys().filter(|name| !theirs.contains_key(*name)))
    {
        match (theirs.get(name), ours.get(name)) {
            (Some(one), Some(other)) if one != other => {
                found.push(format!("{name} {one} in the kit, {other} in the lock"));
            }
            (Some(one), None) => found.push(format!("{name} {one} in the kit only")),
            (None, Some(other)) => found.push(format!("{name} {other} in the lock only")),
            _ => {}
        }
    }
    if found.is_empty() {
        let same = kit.plan.inputs == own.plan.inputs;
        return match same {
            true => "the same names and versions, other files or reasons".to_owned(),
            false => "made from other requirements or options, with the same outcome".to_owned(),
        };
    }
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found.join("; ")
}

/// Everything that has a version, by what it is called.
fn things(lock: &Lock) -> BTreeMap<String, String> {
    let mut things = BTreeMap::new();
    for package in &lock.packages {
        let version = package.version.clone().unwrap_or_default();
        things.insert(package.name.clone(), version);
    }
    for target in lock.with_helper() {
        let platform = target.platform;
        things.insert(
            format!("Python of {platform}"),
            target.interpreter.version.clone(),
        );
        for deb in target.debs.iter().chain(&target.build_debs) {
            things.insert(
                format!("Debian package {} of {platform}", deb.name),
                deb.version.clone(),
            );
        }
    }
    things
}
