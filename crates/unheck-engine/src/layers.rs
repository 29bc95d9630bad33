//! Which node goes into which layer, and the bytes of each. Start at [`plan()`] and [`write_layer`].
//!
//! The lock alone decides the layers: the interpreter with libc, other OS libraries, each big
//! distribution, the small ones together, the app last. A layer is known by what goes into it, so
//! one that did not change is not written again, whatever happened to the others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, Hasher, TreePath};
use unheck_oci::layer::{Compression, Layer, LayerError, LayerWriter};
use unheck_oci::tar_writer::{Entry, EntryKind, TarError};
use unheck_store::{Store, StoreError};

use crate::assemble::PackReader;
use crate::explain::{Class, Explain};
use crate::lock::Target;
use crate::roots::{Beside, RootsError, is_full};
use crate::steps::{Bytecode, cached_source};
use crate::tree::{Kind, Node, Origin, Tree};

/// Raised whenever the bytes of the same layer would differ.
const LAYER_VERSION: &str = "layer 1";

/// A distribution of at least so many bytes has a layer of its own: an update of one does not
/// send the others again, and a registry still sees few layers.
const BIG: u64 = 8 << 20;

/// The date of every file: 1980-01-01, the oldest that zip archives can hold. Dates of files say
/// nothing about content, and one constant lets layers be shared.
const MTIME: i64 = 315_532_800;

/// A layer's place, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LayerName {
    /// The interpreter and what it alone needs.
    Base,
    /// Other OS libraries.
    Os,
    /// One big distribution.
    Big(String),
    /// All other distributions.
    Small,
    /// Bytecode of what a start imports: what the app imports decides it.
    Start,
    /// The app.
    App,
}

impl std::fmt::Display for LayerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Base => f.write_str("interpreter"),
            Self::Os => f.write_str("OS libraries"),
            Self::Big(name) => f.write_str(name),
            Self::Small => f.write_str("distributions"),
            Self::Start => f.write_str("bytecode"),
            Self::App => f.write_str("app"),
        }
    }
}

/// A layer before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLayer<'t> {
    /// Its place.
    pub name: LayerName,
    /// What goes in, sorted by path, every directory above a node included.
    pub nodes: BTreeMap<&'t TreePath, &'t Node>,
}

/// A written layer and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenLayer {
    /// Its place.
    pub name: LayerName,
    /// Its blob.
    pub layer: Layer,
    /// Uncompressed bytes by origin.
    pub sizes: BTreeMap<String, u64>,
    /// How many files and links it has.
    pub files: u64,
}

/// A layer cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteLayerError {
    /// A file cannot be read.
    #[error("cannot read `{path}` while writing a layer")]
    Read {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The archive cannot hold a node.
    #[error("cannot write `{path}` into a layer")]
    Tar {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: TarError,
    },
    /// The layer's directory cannot be written.
    #[error("cannot lay out `{path}` to verify it")]
    Beside {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The layer's directory cannot be kept.
    #[error("cannot keep the directory of a layer")]
    Roots(#[from] Box<RootsError>),
    /// The compressor failed.
    #[error("cannot compress a layer")]
    Layer(#[from] LayerError),
    /// The store failed.
    #[error("cannot keep a layer")]
    Store(#[from] StoreError),
}

impl Explain for WriteLayerError {
    fn class(&self) -> Class {
        match self {
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Beside { source, .. } if is_full(source) => Class::Limit,
            Self::Roots(error) => error.class(),
            Self::Tar { .. } => Class::Input,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Roots(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

/// Gives every node of the tree its layer. `bytecode` is what ships of it.
pub fn plan<'t>(tree: &'t Tree, target: &Target, bytecode: Bytecode) -> Vec<PlannedLayer<'t>> {
    let base: BTreeSet<&str> = target
        .debs
        .iter()
        .filter(|deb| deb.base)
        .map(|deb| deb.name.as_str())
        .collect();
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, node) in tree.iter() {
        if let Origin::Distribution(name) = &node.origin {
            *sizes.entry(name).or_default() += node.content().map_or(0, crate::tree::Content::len);
        }
    }
    let place = |origin: &Origin| match origin {
        Origin::Interpreter => LayerName::Base,
        Origin::Deb(name) if base.contains(name.as_str()) => LayerName::Base,
        Origin::Deb(_) => LayerName::Os,
        // The loader's cache lists every library, so it goes on top of the last of them, and the
        // layer below stays the same for every project of a suite.
        Origin::Generated(step) if step == "loader-cache" => LayerName::Os,
        // They differ with every lock.
        Origin::Generated(step) if step == "lock" || step == "left-out" => LayerName::App,
        Origin::Generated(_) => LayerName::Base,
        Origin::Distribution(name) if sizes.get(name.as_str()).is_some_and(|size| *size >= BIG) => {
            LayerName::Big(name.clone())
        }
        Origin::Distribution(_) => LayerName::Small,
        Origin::App => LayerName::App,
    };
    let mut layers: BTreeMap<LayerName, BTreeMap<&TreePath, &Node>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        // A plain directory goes wherever something in it goes; see below.
        if matches!(node.kind, Kind::Dir) && !matches!(node.origin, Origin::Generated(_)) {
            continue;
        }
        let start = bytecode == Bytecode::Start && cached_source(path).is_some();
        let name = match place(&node.origin) {
            name if start && name != LayerName::App => LayerName::Start,
            name => name,
        };
        layers.entry(name).or_default().insert(path, node);
    }
    let directories: BTreeMap<&TreePath, &Node> = tree
        .iter()
        .filter(|(_, node)| matches!(node.kind, Kind::Dir))
        .collect();
    layers
        .into_iter()
        .map(|(name, mut nodes)| {
            // Each layer brings the directories above its nodes, so that it does not depend on
            // what is below it.
            let above: BTreeSet<TreePath> =
                nodes.keys().flat_map(|path| path.ancestors()).collect();
            for path in above {
                if let Some((path, node)) = directories.get_key_value(&path) {
                    nodes.insert(path, node);
                }
            }
            PlannedLayer { name, nodes }
        })
        .collect()
}

/// The interpreter's layer, before what a start imports is compiled.
pub(crate) fn plan_base<'t>(tree: &'t Tree, target: &Target) -> PlannedLayer<'t> {
    let mut layers = plan(tree, target, Bytecode::Start).into_iter();
    let base = layers.find(|layer| layer.name == LayerName::Base);
    base.unwrap_or_else(|| PlannedLayer {
        name: LayerName::Base,
        nodes: BTreeMap::new(),
    })
}

impl PlannedLayer<'_> {
    /// A digest over everything that decides the layer's bytes.
    pub fn key(&self, compression: Compression) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(format!("{LAYER_VERSION} {compression:?} {MTIME}\n").as_bytes());
        for (path, node) in &self.nodes {
            let what = node.kind.identity();
            hasher.update(format!("{path}\0{:o} {}\0{what}\0", node.mode, node.owner).as_bytes());
        }
        hasher.finish()
    }
}

/// The layer's blob in the store: found by its key, else written.
///
/// # Errors
/// [`WriteLayerError`].
pub fn write_layer(
    store: &Store,
    planned: &PlannedLayer<'_>,
    compression: Compression,
) -> Result<WrittenLayer, WriteLayerError> {
    written(store, planned, compression, || Ok(None))
}

/// The same, and where it is written, its directory for a root is made beside it.
///
/// # Errors
/// [`WriteLayerError`].
pub(crate) fn write_layer_and_root(
    store: &Store,
    planned: &PlannedLayer<'_>,
    compression: Compression,
) -> Result<WrittenLayer, WriteLayerError> {
    written(store, planned, compression, || {
        let beside = Beside::new(store.temp_dir()?).map_err(Box::new)?;
        Ok(Some(beside))
    })
}

fn written(
    store: &Store,
    planned: &PlannedLayer<'_>,
    compression: Compression,
    beside: impl FnOnce() -> Result<Option<Beside>, WriteLayerError>,
) -> Result<WrittenLayer, WriteLayerError> {
    let derived = store.derived("layer", &planned.key(compression));
    if let Some(bytes) = derived.bytes(1 << 20)?
        && let Ok(layer) = serde_json::from_slice::<Layer>(&bytes)
        && store.has(&layer.digest)
    {
        return Ok(describe(planned, layer));
    }
    let blob = store.blob_writer()?;
    let mut writer = LayerWriter::new(blob, compression)?;
    let reader = PackReader::new(store);
    let mut beside = beside()?;
    for (path, node) in &planned.nodes {
        append(&reader, &mut writer, beside.as_mut(), (path, node))?;
    }
    let (layer, blob) = writer.finish()?;
    blob.commit(Some((layer.digest, Some(layer.size))))?;
    if let Some(beside) = beside {
        beside.keep(store, &layer.diff_id).map_err(Box::new)?;
    }
    derived.put_bytes(&serde_json::to_vec(&layer).expect("a layer is numbers and digests"))?;
    Ok(describe(planned, layer))
}

fn append<W: std::io::Write + Send + 'static>(
    reader: &PackReader<'_>,
    writer: &mut LayerWriter<W>,
    beside: Option<&mut Beside>,
    (path, node): (&TreePath, &Node),
) -> Result<(), WriteLayerError> {
    let kind = match &node.kind {
        Kind::Dir => EntryKind::Dir,
        Kind::Symlink(target) => EntryKind::Symlink(target),
        Kind::File(content) => EntryKind::File { len: content.len() },
    };
    let entry = Entry {
        path,
        mode: node.mode,
        uid: node.owner,
        gid: node.owner,
        mtime: MTIME,
        kind,
    };
    let tar = |source| WriteLayerError::Tar {
        path: path.clone(),
        source,
    };
    let laid = |source| WriteLayerError::Beside {
        path: path.clone(),
        source,
    };
    let Kind::File(content) = &node.kind else {
        if let Some(beside) = beside {
            beside.node(path, node.mode, &node.kind).map_err(laid)?;
        }
        return writer.append_bytes(&entry, &[]).map_err(tar);
    };
    let mut source = reader
        .open(content)
        .map_err(|source| WriteLayerError::Read {
            path: path.clone(),
            source,
        })?;
    let Some(beside) = beside else {
        return writer.append(&entry, &mut source).map_err(tar);
    };
    let mut write = |source: &mut dyn std::io::Read| writer.append(&entry, source);
    let appended = beside.file(path, node.mode, &mut source, &mut write);
    appended.map_err(laid)?.map_err(tar)
}

fn describe(planned: &PlannedLayer<'_>, layer: Layer) -> WrittenLayer {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let mut files = 0;
    for node in planned.nodes.values() {
        if !matches!(node.kind, Kind::Dir) {
            files += 1;
            *sizes.entry(node.origin.to_string()).or_default() +=
                node.content().map_or(0, crate::tree::Content::len);
        }
    }
    WrittenLayer {
        name: planned.name.clone(),
        layer,
        sizes,
        files,
    }
}
