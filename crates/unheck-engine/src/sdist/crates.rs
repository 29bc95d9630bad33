//! The crates that a Rust project is built of, for a cargo without network: [`bring`].

use std::path::PathBuf;

use unheck_store::DerivedDir;

use super::cargo::{Address, CRATES_IO, CargoError, config, crates, vendor};
use super::error::SdistError;
use super::root::BuildRoot;
use super::workshop::Order;
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
    let has_cargo = root.debs.iter().any(|deb| deb.name == "cargo");
    if !has_cargo || order.looked.cargo_locks.is_empty() {
        return Ok(None);
    }
    let failed = |source: CargoError| SdistError::Crates {
        label: order.label.clone(),
        source: Box::new(source),
    };
    let wanted = crates(&order.looked.cargo_locks).map_err(failed)?;
    let address = match &session.crates {
        CrateSource::Public => Address::new(CRATES_IO).map_err(failed)?,
        CrateSource::Address(address) => address.clone(),
        CrateSource::Index(index) => Address::of_index(&session.net, index).map_err(failed)?,
    };
    let vendored = vendor(&session.net, &address, &wanted).map_err(failed)?;
    Ok(Some(Crates {
        directory: vendored.directory,
        config: config(PLACE),
        _guard: vendored.guard,
    }))
}
