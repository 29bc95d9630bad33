//! Takes symbol tables and debug information out of ELF objects. Start at [`strip`].
//!
//! What a loader reads stays byte for byte (see `unheck_elf::strip_unneeded`); an object that
//! cannot be stripped without doubt stays as it is.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_store::{Pack, Store, StoreError};

use super::Shortened;
use crate::assemble::PackReader;
use crate::tree::{Content, Kind, Node, Origin, Tree};

const REASON: &str = "symbol tables and debug information";

/// Raised whenever the same object would be stripped otherwise.
const STRIP_VERSION: &str = "strip 1";

/// Objects up to this many bytes are stripped side by side, larger ones one after another.
const SMALL: u64 = 24 << 20;

/// Larger objects stay as they are, so that memory stays bounded.
const MAX_OBJECT: u64 = 96 << 20;

/// Stripping failed on the store.
#[derive(Debug, thiserror::Error)]
pub enum StripTreeError {
    /// An object cannot be read.
    #[error("cannot read `{path}` to strip it")]
    Read {
        /// Its place.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error("cannot keep a stripped object")]
    Store(#[from] StoreError),
}

/// What is remembered of an object: its stripped blob, or that there is nothing to gain.
#[derive(Serialize, Deserialize)]
struct Outcome(Option<(Digest, u64)>);

/// Strips every ELF object of distributions and interpreters; Debian strips its own (Policy 10.1).
///
/// # Errors
/// [`StripTreeError`].
pub fn strip(tree: &mut Tree, store: &Store) -> Result<Vec<Shortened>, StripTreeError> {
    let reader = PackReader::new(store);
    let candidates: Vec<(TreePath, Content)> = tree
        .iter()
        .filter(|(path, node)| is_candidate(path, node))
        .filter_map(|(path, node)| Some((path.clone(), node.content()?.clone())))
        .filter(|(_, content)| content.len() <= MAX_OBJECT)
        .collect();
    let (small, large): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|(_, content)| content.len() <= SMALL);
    let done: Mutex<BTreeMap<TreePath, (Content, u64)>> = Mutex::default();
    let one = |(path, content): &(TreePath, Content)| -> Result<(), StripTreeError> {
        if let Some((digest, len)) = outcome(store, &reader, path, content)?.0 {
            let stripped = (Content::Blob { digest, len }, content.len() - len);
            done.lock()
                .expect("no panic while held")
                .insert(path.clone(), stripped);
        }
        Ok(())
    };
    small.par_iter().try_for_each(one)?;
    large.iter().try_for_each(one)?;
    let mut changed = Vec::new();
    for (path, (content, saved)) in done.into_inner().expect("no panic while held") {
        if let Some(node) = tree.get_mut(&path) {
            node.kind = Kind::File(content);
            changed.push(Shortened {
                path,
                saved,
                reason: REASON,
            });
        }
    }
    Ok(changed)
}

fn is_candidate(path: &TreePath, node: &Node) -> bool {
    let foreign = matches!(node.origin, Origin::Distribution(_) | Origin::Interpreter);
    foreign && (crate::close::is_library_name(path.file_name()) || node.mode & 0o111 != 0)
}

fn outcome(
    store: &Store,
    reader: &PackReader<'_>,
    path: &TreePath,
    content: &Content,
) -> Result<Outcome, StripTreeError> {
    let derived = store.derived("strip", &Pack::key(&content.digest(), STRIP_VERSION));
    if let Some(bytes) = derived.bytes(1024)?
        && let Ok(outcome) = serde_json::from_slice::<Outcome>(&bytes)
        && outcome.0.is_none_or(|(digest, _)| store.has(&digest))
    {
        return Ok(outcome);
    }
    let read = |source| StripTreeError::Read {
        path: path.clone(),
        source,
    };
    let bytes = reader.bytes(content, MAX_OBJECT).map_err(read)?;
    let stripped = if unheck_elf::is_elf(&bytes) {
        unheck_elf::strip_unneeded(&bytes).ok().flatten()
    } else {
        None
    };
    let outcome = match stripped {
        Some(stripped) if stripped.len() < bytes.len() => {
            Outcome(Some((store.put_bytes(&stripped)?, stripped.len() as u64)))
        }
        _ => Outcome(None),
    };
    derived.put_bytes(&serde_json::to_vec(&outcome).expect("a digest and a number"))?;
    Ok(outcome)
}
