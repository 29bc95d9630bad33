//! From a lock and the store to a tree. Start at [`assemble`].
//!
//! No network, no clock, no choice: every node follows from the lock, the blobs it names and the
//! app's files.

mod base;
mod debs;
mod os;

pub(crate) use base::files as etc_files;
pub(crate) use debs::climbs_out;
pub(crate) use os::{BUNDLE, is_certificate, loader_cache as refresh_loader_cache};

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use unheck_base::{Digest, Hasher, TreePath};
use unheck_store::{Pack, Store};

use crate::debian::{WorldError, deb_pack};
use crate::explain::{Class, Explain};
use crate::input::{AppFileKind, AppFiles};
use crate::layout::{APP_DIR, Layout};
use crate::lock::{Lock, Provider, Target};
use crate::provider::ProviderError;
use crate::scan::is_test_path;
use crate::steps::rewrite_records;
use crate::tree::{ConflictError, Content, Kind, Node, Origin, Tree};
use crate::wheels::{UseWheelError, install, open_wheel};

/// What the user's own project brings.
#[derive(Debug, Clone, Default)]
pub struct AppPart {
    /// Files that ship as they are, under [`APP_DIR`].
    pub files: AppFiles,
    /// The app's own wheel: file name and digest.
    pub wheel: Option<(String, Digest)>,
    /// Commands to make: name to object reference.
    pub scripts: BTreeMap<String, String>,
}

/// A tree cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Two origins want one path.
    #[error("two parts of the environment want the same file")]
    Conflict(#[from] ConflictError),
    /// A wheel cannot be used.
    #[error("cannot install a distribution")]
    Wheel(#[from] UseWheelError),
    /// A Debian package cannot be used.
    #[error("cannot take files of a Debian package")]
    Deb(#[from] WorldError),
    /// The interpreter cannot be used.
    #[error("cannot place the interpreter")]
    Provider(#[from] ProviderError),
    /// A Debian package would bring something that no artifact may have.
    #[error("the Debian package `{package}` has `{path}`, {what}: it does not ship")]
    Hostile {
        /// The package.
        package: String,
        /// The file or link, control characters escaped.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A Debian package lacks a file that the lock names.
    #[error("the Debian package `{package}` has no `{path}`, which the lock names")]
    NoFile {
        /// The package.
        package: String,
        /// The file.
        path: TreePath,
    },
    /// A member of an archive in the store cannot be read.
    #[error("cannot read `{path}` from the store")]
    Read {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The loader's cache cannot be made.
    #[error("cannot write the loader's cache")]
    LdCache(#[source] unheck_elf::ldcache::WriteError),
}

impl Explain for AssembleError {
    fn class(&self) -> Class {
        match self {
            Self::Conflict(_) | Self::NoFile { .. } | Self::Hostile { .. } => Class::Input,
            Self::Wheel(error) => error.class(),
            Self::Deb(error) => error.class(),
            Self::Provider(error) => error.class(),
            Self::Read { .. } => Class::Outside,
            Self::LdCache(_) => Class::Bug,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Wheel(error) => error.hints(),
            Self::Deb(error) => error.hints(),
            Self::Provider(error) => error.hints(),
            Self::Conflict(ConflictError::SamePath { first, second, .. }) => {
                vec![format!("keep one of them: {first} or {second}")]
            }
            Self::Hostile { package, .. } => {
                vec![format!("take `{package}` out of `debs` in `[tool.unheck]`")]
            }
            Self::NoFile { .. } => vec!["run `unheck lock` to write the lock again".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Makes the tree of one target.
///
/// # Errors
/// [`AssembleError`]; a damaged blob or pack is a [`unheck_store::Corruption`] among the causes.
pub fn assemble(
    store: &Store,
    lock: &Lock,
    target: &Target,
    app: &AppPart,
) -> Result<Tree, AssembleError> {
    let layout = Layout::of(&target.interpreter);
    unpack(store, lock, target)?;
    let mut tree = Tree::new();
    base::add(&mut tree, &layout, target)?;
    debs::add(&mut tree, store, target)?;
    if target.interpreter.provider != Provider::Debian {
        crate::provider::add(&mut tree, store, target)?;
    }
    for wheel in &target.wheels {
        let Some((package, file)) = lock.wheel(wheel) else {
            continue;
        };
        let origin = Origin::Distribution(package.name.clone());
        let requested = lock.plan.roots.contains(&package.name);
        add_wheel(
            &mut tree,
            store,
            (wheel, &file.hashes.sha256),
            &layout,
            (&origin, requested),
        )?;
    }
    add_app(&mut tree, store, app, &layout)?;
    os::add(&mut tree, store, target)?;
    Ok(tree)
}

/// Unpacks every archive of the target that the store does not have unpacked, side by side.
fn unpack(store: &Store, lock: &Lock, target: &Target) -> Result<(), AssembleError> {
    target
        .debs
        .par_iter()
        .try_for_each(|deb| deb_pack(store, &deb.name, &deb.sha256).map(drop))?;
    target
        .wheels
        .par_iter()
        .filter_map(|wheel| lock.wheel(wheel))
        .try_for_each(|(_, file)| open_wheel(store, &file.name, &file.hashes.sha256).map(drop))?;
    Ok(())
}

fn add_wheel(
    tree: &mut Tree,
    store: &Store,
    (name, digest): (&str, &Digest),
    layout: &Layout,
    (origin, requested): (&Origin, bool),
) -> Result<(), AssembleError> {
    let open = open_wheel(store, name, digest)?;
    let mut shared = BTreeSet::new();
    for (path, node) in install(&open, layout, origin, requested)?.nodes {
        let inner = path
            .as_str()
            .strip_prefix(layout.site.as_str())
            .unwrap_or_default();
        let suite = is_test_path(inner.trim_start_matches('/'));
        match tree.insert(path.clone(), node) {
            Ok(()) => {}
            // Many distributions install a top-level `tests` by mistake. Nobody imports it, so
            // the first stays, and both records say what is there.
            Err(ConflictError::SamePath {
                first: Origin::Distribution(_),
                ..
            }) if suite => {
                shared.insert(path);
            }
            Err(conflict) => return Err(conflict.into()),
        }
    }
    rewrite_records(tree, &layout.site, &shared);
    Ok(())
}

/// Adds the user's own files or wheel, and the commands asked for.
///
/// # Errors
/// [`AssembleError`].
pub fn add_app(
    tree: &mut Tree,
    store: &Store,
    app: &AppPart,
    layout: &Layout,
) -> Result<(), AssembleError> {
    for file in &app.files.files {
        let path =
            TreePath::new(&format!("{APP_DIR}/{}", file.path)).expect("a tree path below another");
        let node = match &file.kind {
            AppFileKind::Symlink(target) => Node::symlink(Origin::App, target),
            AppFileKind::File { len, digest } => {
                let content = Content::Local {
                    path: file.source.clone(),
                    len: *len,
                    digest: *digest,
                };
                let mode = if file.executable { 0o755 } else { 0o644 };
                Node::file(Origin::App, content).with_mode(mode)
            }
        };
        tree.insert(path, node)?;
    }
    if let Some((name, digest)) = &app.wheel {
        add_wheel(tree, store, (name, digest), layout, (&Origin::App, true))?;
    }
    for (name, reference) in &app.scripts {
        let path = layout
            .scripts
            .join(name)
            .expect("a command name has no slash");
        let Some((module, attribute)) = reference.split_once(':') else {
            continue;
        };
        let top = attribute.split('.').next().unwrap_or(attribute);
        let text = format!(
            "#!{}\nimport sys\n\nfrom {module} import {top}\n\nsys.exit({attribute}())\n",
            layout.python
        );
        // The app's wheel may bring the same command.
        if tree.get(&path).is_none() {
            tree.insert(
                path,
                Node::file(Origin::App, Content::inline(text)).with_mode(0o755),
            )?;
        }
    }
    Ok(())
}

/// Reads files of a tree, opening each pack once.
pub struct PackReader<'s> {
    store: &'s Store,
    packs: Mutex<BTreeMap<Digest, Arc<Pack>>>,
}

impl<'s> PackReader<'s> {
    /// A reader over the store that the tree's blobs and packs are in.
    pub fn new(store: &'s Store) -> Self {
        Self {
            store,
            packs: Mutex::default(),
        }
    }

    /// The bytes of a file, at most `limit`.
    ///
    /// # Errors
    /// The store or the disk fails; a wrong digest is a [`unheck_store::Corruption`].
    pub fn bytes(&self, content: &Content, limit: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(content.len().min(limit)).unwrap_or(0));
        let mut reader = self.open(content)?.take(limit + 1);
        reader.read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(std::io::Error::other(format!(
                "it has more than {limit} bytes"
            )));
        }
        Ok(bytes)
    }

    /// A reader over a file that fails at its end when the digest is wrong.
    ///
    /// # Errors
    /// The store or the disk fails.
    pub fn open(&self, content: &Content) -> std::io::Result<Box<dyn Read + Send>> {
        let other = |error: unheck_store::StoreError| std::io::Error::other(error);
        Ok(match content {
            Content::Inline(bytes) => Box::new(std::io::Cursor::new(bytes.clone())),
            Content::Blob { digest, .. } => {
                Box::new(self.store.open_verified(digest).map_err(other)?)
            }
            Content::Part {
                archive,
                offset,
                len,
                digest,
            } => Box::new(self.pack(archive)?.part(*offset, *len, digest)),
            Content::Local { path, len, digest } => {
                let file = fs_err::File::open(path)?;
                Box::new(Unchanged {
                    inner: file,
                    left: *len,
                    hasher: Hasher::new(),
                    expected: *digest,
                })
            }
        })
    }

    fn pack(&self, key: &Digest) -> std::io::Result<Arc<Pack>> {
        let mut packs = self.packs.lock().expect("no panic while held");
        if let Some(pack) = packs.get(key) {
            return Ok(Arc::clone(pack));
        }
        let pack = Pack::open(self.store, key)
            .map_err(std::io::Error::other)?
            .ok_or_else(|| std::io::Error::other("the unpacked archive is gone from the store"))?;
        let pack = Arc::new(pack);
        packs.insert(*key, Arc::clone(&pack));
        Ok(pack)
    }
}

/// Whether the node is a regular file.
pub(crate) fn is_file(node: &Node) -> bool {
    matches!(node.kind, Kind::File(_))
}

/// Reads a file of the user's, failing at its end when it is not what was looked at before.
struct Unchanged<R> {
    inner: R,
    left: u64,
    hasher: Hasher,
    expected: Digest,
}

impl<R: Read> Read for Unchanged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let changed = || std::io::Error::other("the file changed while it was built; build again");
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.left = self.left.checked_sub(read as u64).ok_or_else(changed)?;
        if read == 0 && (self.left > 0 || self.hasher.clone().finish() != self.expected) {
            return Err(changed());
        }
        Ok(read)
    }
}
