//! What every verb of the engine works with: store, network, mirror, keys, clock. Made once.

use std::path::PathBuf;
use std::sync::Arc;

use unheck_deb::signature::Keyring;
use unheck_sandbox::HelperExe;
use unheck_store::Store;
use url::Url;

use crate::debian::Mirror;
use crate::event::{Event, Reporter, Stage};
use crate::net::Net;
use crate::sdist::cargo::Address;

/// The surroundings of a run, all given by the caller: the engine reads no environment.
pub struct Session {
    /// Network and store.
    pub net: Net,
    /// Where Debian packages come from.
    pub mirror: Mirror,
    /// Whom Debian indexes must be signed by.
    pub keyring: Keyring,
    /// Who hears of progress.
    pub reporter: Arc<dyn Reporter>,
    /// Now, in seconds since 1970; only freshness of indexes is judged by it.
    pub now: i64,
    /// Suites whose `Valid-Until` may have passed.
    pub allow_expired: Vec<String>,
    /// The program that enters sandboxes: this one.
    pub helper: HelperExe,
    /// The resolver's own cache of index pages and metadata.
    pub resolver_cache: PathBuf,
    /// What indexes answered in this run: resolver and census ask once.
    pub answers: unheck_resolve::Answers,
    /// Index settings of flags.
    pub index: unheck_resolve::IndexSettings,
    /// The variables that the resolver reads as uv does.
    pub environment: unheck_resolve::Environment,
    /// Where the crates of Rust projects come from.
    pub crates: CrateSource,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub source_date_epoch: Option<i64>,
}

/// Where the crates of Rust projects come from.
#[derive(Debug, Clone, Default)]
pub enum CrateSource {
    /// The public registry.
    #[default]
    Public,
    /// A directory of archives.
    Address(Address),
    /// A sparse index, whose `config.json` says where the archives are; asked when one is needed.
    Index(Url),
}

impl Session {
    /// The store.
    pub const fn store(&self) -> &Store {
        self.net.store()
    }

    /// Runs one stage, telling when it begins and how long it took.
    pub fn stage<T>(&self, stage: Stage, detail: &str, work: impl FnOnce() -> T) -> T {
        self.reporter.event(Event::Started { stage, detail });
        let start = std::time::Instant::now();
        let result = work();
        self.reporter.event(Event::Finished {
            stage,
            millis: start.elapsed().as_millis(),
        });
        result
    }

    /// Tells the user of a choice.
    pub fn note(&self, text: &str) {
        self.reporter.event(Event::Note(text));
    }
}
