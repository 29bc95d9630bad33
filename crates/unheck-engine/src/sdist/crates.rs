//! The crates that a Rust project is built of, for a cargo without network: [`bring`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use unheck_store::DerivedDir;

use super::cargo::{Address, CRATES_IO, CargoError, config, crates, vendor, want};
use super::carry::CARGO;
use super::error::SdistError;
use super::root::BuildRoot;
use super::workshop::Order;
use crate::net::Want;
use crate::session::{CrateSource, Session};

/// Where the crates are inside.
pub(crate) const PLACE: &str = "/opt/crates";

/// Crates in the store.
pub(crate) struct Crates {
    /// The directory with one directory per crate.
    pub(crate) directory: PathBuf,
    /// The text of cargo's configuration file that names it.
    pub(crate) config: String,
    _guard: DerivedDir,
}

/// Fetches what the `Cargo.lock` files of a source tree name, once the root has a cargo; nothing for other projects.
///
/// # Errors
/// [`SdistError::Crates`].
pub(crate) fn bring(
    session: &Session,
    order: &Order<'_>,
    root: &BuildRoot,
) -> Result<Option<Crates>, SdistError> {
    let has_cargo = root.debs.iter().any(|deb| deb.name == CARGO);
    if !has_cargo || order.looked.cargo_locks.is_empty() {
        return Ok(None);
    }
    let failed = failed(&order.label);
    let wanted = crates(&order.looked.cargo_locks).map_err(&failed)?;
    let address = address(session).map_err(&failed)?;
    let vendored = vendor(&session.net, &address, &wanted).map_err(failed)?;
    Ok(Some(Crates {
        directory: vendored.directory,
        config: config(PLACE),
        _guard: vendored.guard,
    }))
}

/// The archives of all crates that `Cargo.lock` files (by path) of the build `label` name.
///
/// # Errors
/// [`SdistError::Crates`].
pub(super) fn wants(
    session: &Session,
    label: &str,
    locks: &BTreeMap<String, String>,
) -> Result<Vec<Want>, SdistError> {
    let failed = failed(label);
    let address = address(session).map_err(&failed)?;
    let wanted = crates(locks).map_err(&failed)?;
    let wants = wanted.iter().map(|one| want(&address, one));
    wants.collect::<Result<_, _>>().map_err(failed)
}

fn address(session: &Session) -> Result<Address, CargoError> {
    match &session.crates {
        CrateSource::Public => Address::new(CRATES_IO),
        CrateSource::Address(address) => Ok(address.clone()),
        CrateSource::Index(index) => Address::of_index(&session.net, index),
    }
}

fn failed(label: &str) -> impl Fn(CargoError) -> SdistError {
    let label = label.to_owned();
    move |source| SdistError::Crates {
        label: label.clone(),
        source: Box::new(source),
    }
}
