//! What the store remembers of builds: which Debian packages one needs, and which wheel it gave.
//!
//! Keyed by the source tree, the base of the build root and the options, so that a build is done once for all
//! projects that share the store, and anew when a compiler or a header changed.

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, Hasher};
use unheck_store::{Store, StoreError};

use super::frontend::DRIVER;
use super::options::BuildOptions;
use crate::lock::{Attempt, Chosen, Compiled, Interpreter};
use crate::platform::Platform;

/// Raised whenever the same inputs would give another wheel.
const VERSION: u32 = 1;

/// Longest record that is read, in bytes.
const MAX_RECORD: u64 = 4 << 20;

/// What decides a build apart from what is found on the way.
pub(crate) struct Identity<'a> {
    pub(crate) tree: Digest,
    pub(crate) project: &'a str,
    pub(crate) interpreter: &'a Interpreter,
    pub(crate) platform: Platform,
    pub(crate) options: &'a BuildOptions,
    /// Limits on the versions of build requirements.
    pub(crate) constraints: &'a [String],
}

impl Identity<'_> {
    /// The name of everything that was made in a build root of this digest.
    pub(crate) fn key(&self, what: &str, root: &Digest) -> Digest {
        let mut hasher = Hasher::new();
        let mut say = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        say(&format!("{what} {VERSION}"));
        say(DRIVER);
        say(&self.tree.hex());
        say(self.project);
        say(&format!("{:?}", self.interpreter));
        say(&self.platform.to_string());
        say(&serde_json::to_string(self.options).expect("texts always serialise"));
        self.constraints.iter().for_each(|one| say(one));
        say(&root.hex());
        hasher.finish()
    }
}

/// What a build was found to need besides the base of its root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) debs: Vec<Chosen>,
    pub(crate) attempts: Vec<Attempt>,
}

/// The recipe of a build that ended well in roots of this base.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn recipe(store: &Store, key: &Digest) -> Result<Option<Recipe>, StoreError> {
    read(store, "sdist-recipe", key)
}

/// Remembers the recipe of a build that ended well.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn put_recipe(store: &Store, key: &Digest, recipe: &Recipe) -> Result<(), StoreError> {
    write(store, "sdist-recipe", key, recipe)
}

/// The record of a wheel that was made, while the wheel itself is in the store.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn wheel(store: &Store, key: &Digest) -> Result<Option<Compiled>, StoreError> {
    let made: Option<Compiled> = read(store, "sdist-wheel", key)?;
    Ok(made.filter(|made| store.has(&made.wheel.hashes.sha256)))
}

/// Remembers a wheel that was made.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn put_wheel(store: &Store, key: &Digest, made: &Compiled) -> Result<(), StoreError> {
    write(store, "sdist-wheel", key, made)
}

fn read<T: serde::de::DeserializeOwned>(
    store: &Store,
    kind: &str,
    key: &Digest,
) -> Result<Option<T>, StoreError> {
    let bytes = store.derived(kind, key).bytes(MAX_RECORD)?;
    // A record of another shape is one of an older unheck: made again.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn write<T: Serialize>(
    store: &Store,
    kind: &str,
    key: &Digest,
    value: &T,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value).expect("texts and digests always serialise");
    store.derived(kind, key).put_bytes(&bytes)
}
