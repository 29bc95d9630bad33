//! Leaves out what no import path from the entry reaches. Start at [`narrow`].
//!
//! The graph is that of `unheck-pyapi`; what it cannot see is in `rules/imports.toml`. Modules go
//! first, then the libraries and data files that only they needed. Whatever is imported by a name
//! that is computed stays with its whole package, and a finding says so.

mod cython;
mod files;
pub mod finder;
mod native;
mod objects;
pub mod profile;
mod rules;
#[cfg(test)]
mod tests;
mod universe;
mod walk;

use std::collections::BTreeSet;

use unheck_base::TreePath;
use unheck_store::{Store, StoreError};

use super::trim::{Removed, TrimLevel, remove_all};
use crate::assemble::{AssembleError, PackReader};
use crate::explain::{Class, Explain};
use crate::finding::Finding;
use crate::input::Entry;
use crate::layout::Layout;
use crate::lock::Target;
use crate::tree::Tree;

pub use cython::CythonSources;
use objects::Objects;
use profile::Profile;
use universe::Universe;
use walk::Walk;

pub use rules::reason as rule_reason;
pub(crate) use walk::app_references;

/// Raised whenever the same tree would be narrowed otherwise, for another reason than the rules.
const NARROW_VERSION: u32 = 1;

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
    #[error("cannot read `{path}` to see what it imports")]
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
    let universe = Universe::of(tree, request.layout, &objects);
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
    Ok(Narrowed {
        removed,
        findings: reached.findings,
    })
}
