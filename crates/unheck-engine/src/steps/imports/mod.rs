//! Leaves out what no import path from the entry reaches. Start at [`narrow`].
//!
//! The graph is that of `unheck-pyapi`; what it cannot see is in `rules/imports.toml`. Modules go
//! first, then the libraries and data files that only they needed. Whatever is imported by a name
//! that is computed stays with its whole package, and a finding says so.

#[cfg(test)]
mod asked_tests;
mod cython;
mod files;
pub mod finder;
mod native;
mod objects;
pub mod profile;
mod rules;
#[cfg(test)]
mod started_tests;
#[cfg(test)]
pub(super) mod tests;
mod universe;
mod walk;

use std::collections::BTreeSet;

use unheck_base::TreePath;
use unheck_store::{Store, StoreError};

use super::trim::{Removed, TrimLevel, remove_all};
use crate::assemble::{AssembleError, PackReader};
use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity};
use crate::input::Entry;
use crate::layout::Layout;
use crate::lock::Target;
use crate::tree::Tree;

pub use cython::CythonSources;
pub(super) use native::database;
pub(crate) use objects::Objects;
use profile::Profile;
use universe::Universe;
use walk::Walk;

pub use rules::reason as rule_reason;
pub(crate) use walk::app_references;

/// The reason of what the project wants left out; what an artifact says of it rests on these words.
pub(crate) const ASKED: &str = "`leave-out` asks for it";

/// Raised whenever the same tree would be narrowed otherwise, for another reason than the rules.
const NARROW_VERSION: u32 = 3;

/// What of this step itself decides the outcome.
pub(crate) fn version() -> String {
    format!("narrow {NARROW_VERSION} {}", rules::digest())
}

/// What decides what is left out.
#[derive(Debug, Clone, Copy)]
pub struct NarrowRequest<'a> {
    /// Where things are.
    pub layout: &'a Layout,
    /// The lock's half for the platform.
    pub target: &'a Target,
    /// What is started.
    pub entry: &'a Entry,
    /// [`TrimLevel::Imports`] or [`TrimLevel::Traced`].
    pub level: TrimLevel,
    /// Modules that stay whatever reaches them, with everything below.
    pub keep: &'a BTreeSet<String>,
    /// Modules that are left out whatever reaches them, with everything below.
    pub leave_out: &'a BTreeSet<String>,
    /// What recorded runs opened.
    pub profile: &'a Profile,
    /// Imports in Cython sources, which an earlier step takes away.
    pub cython: &'a CythonSources,
}

/// What was left out.
#[derive(Debug, Clone, Default)]
pub struct Narrowed {
    /// Files, by path.
    pub removed: Vec<Removed>,
    /// What could not be told from reading.
    pub findings: Vec<Finding>,
}

/// The step failed on the store.
#[derive(Debug, thiserror::Error)]
pub enum NarrowError {
    /// A file cannot be read.
    #[error("cannot read `{path}`, which trimming looks into")]
    Read {
        /// Its place.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What was found cannot be kept.
    #[error("cannot keep what was found in an object")]
    Store(#[from] StoreError),
    /// The loader's cache cannot be made anew.
    #[error("cannot write the loader's cache for what is left")]
    Cache(#[from] Box<AssembleError>),
}

impl Explain for NarrowError {
    fn class(&self) -> Class {
        match self {
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Cache(error) => error.class(),
            Self::Read { .. } | Self::Store(_) => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Cache(error) => error.hints(),
            Self::Read { .. } => Vec::new(),
        }
    }
}

/// The name of `modules` that a module is, or is below.
pub fn left_out_with<'m>(modules: &'m BTreeSet<String>, name: &str) -> Option<&'m str> {
    let mut above = name;
    loop {
        if let Some(found) = modules.get(above) {
            return Some(found);
        }
        (above, _) = above.rsplit_once('.')?;
    }
}

/// Takes out of a complete tree what `request` does not reach.
///
/// # Errors
/// [`NarrowError`]; the tree is not to be used then.
pub fn narrow(
    tree: &mut Tree,
    store: &Store,
    request: &NarrowRequest<'_>,
) -> Result<Narrowed, NarrowError> {
    let reader = PackReader::new(store);
    let objects = Objects::of(tree, store)?;
    let mut universe = Universe::of(tree, request.layout, &objects);
    let unknown = universe.leave_out(request.leave_out);
    let built_in = walk::built_in(tree, &reader, request.layout)?;
    let rules = rules::graph(built_in);
    let mut walk = Walk::new(tree, &reader, request, (&universe, &rules));
    if request.level == TrimLevel::Traced {
        // A recorded run opens what an import tries for nothing, such as all that `shutil` could
        // compress with. Only what is reached shows which of that nobody uses.
        let held_back = walk.run()?.graph.held_back();
        walk = Walk::new(tree, &reader, request, (&universe, &rules)).without(held_back);
    }
    let reached = walk.run()?;
    let mut removed = files::unreached(tree, request, (&universe, &reached), &objects);
    remove_all(tree, request.layout, &removed);
    let natives = native::unneeded(tree, &reader, request, (&reached.graph, &objects))?;
    remove_all(tree, request.layout, &natives);
    removed.extend(natives);
    let records = native::database(tree, request.target);
    remove_all(tree, request.layout, &records);
    removed.extend(records);
    crate::assemble::refresh_loader_cache(tree, request.target).map_err(Box::new)?;
    removed.sort();
    let mut findings = reached.findings;
    findings.extend(unknown.into_iter().map(unknown_left_out));
    Ok(Narrowed { removed, findings })
}

/// Modules that starting the entry imports, by their sources; what is imported when something is called is not
/// among them.
///
/// # Errors
/// [`NarrowError`].
pub fn started(
    tree: &Tree,
    store: &Store,
    request: &NarrowRequest<'_>,
) -> Result<BTreeSet<TreePath>, NarrowError> {
    let request = &NarrowRequest {
        level: TrimLevel::Traced,
        ..*request
    };
    let reader = PackReader::new(store);
    let objects = Objects::of(tree, store)?;
    let universe = Universe::of(tree, request.layout, &objects);
    let rules = rules::graph(walk::built_in(tree, &reader, request.layout)?);
    let walk = Walk::new(tree, &reader, request, (&universe, &rules));
    let reached = walk.starting(&rules).run()?;
    let modules = reached.graph.reached.keys();
    let files = modules.filter_map(|name| universe.modules.get(name));
    let sources = files.flat_map(|module| &module.files);
    let sources = sources.filter(|path| path.as_str().ends_with(".py"));
    Ok(sources.cloned().collect())
}

fn unknown_left_out(name: String) -> Finding {
    let evidence = "nothing that ships has a module of this name, besides the app";
    let hint = format!("take `{name}` out of `leave-out`; `exclude` leaves out files of the app");
    Finding::new(Severity::Warning, "leave-out-unknown", name, evidence).with_hint(hint)
}
