//! Layers as directories that a sandbox can be made of. Start at [`from_layers`] and [`from_image`];
//! [`index_of`] lists a directory that is there.
//!
//! Every layer is unpacked once into the store, under its `diff_id`, together with a list of what
//! is in it ([`LayerIndex`]). The directories belong to whoever runs unheck: owners, dates, set-id
//! bits and capabilities are not kept. Refused, because a plain directory cannot hold them:
//! whiteouts, devices, pipes, and entries that go through a link.
//!
//! Format: OCI image-spec 1.1, `layer.md`.

mod beside;
mod laid;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_elf::Object;
use unheck_oci::image::{BlobKind, LayerMediaType};
use unheck_oci::layer::Layer;
use unheck_oci::layer_reader::{
    LayerEntry, Limits, NodeKind, ReadLayerError, ReadOptions, read_layer,
};
use unheck_oci::open::{Opened, OpenedImage};
use unheck_store::{DerivedDir, ProduceError, Store, StoreError};

use crate::explain::{Class, Explain};

pub(crate) use beside::Beside;
pub(crate) use laid::of_layer;
pub use walk::{Strange, index_of};

/// Kind of the derived directories; raised whenever what is in them would differ.
const KIND: &str = "root-2";
/// Kind of archives that are artifacts of their own, unpacked; raised as [`KIND`].
const FORM_KIND: &str = "form-root-1";
/// The files of the layer.
pub(crate) const TREE: &str = "tree";
/// The list of what is in the layer.
const INDEX: &str = "index.json";
/// Longest list that is read.
const MAX_INDEX: u64 = 1 << 30;
/// Entries of one layer.
const MAX_ENTRIES: u64 = 500_000;
/// Longest object that is looked into: it is held in memory.
const MAX_OBJECT: u64 = 160 << 20;

/// A root made of layers. While it lives, nobody prunes the directories.
#[derive(Debug)]
pub struct Roots {
    /// The directories, the lowest first, for [`unheck_sandbox::Root::Overlay`].
    pub lower: Vec<PathBuf>,
    /// Keeps the directories.
    pub guards: Vec<DerivedDir>,
}

impl Roots {
    /// The root for a sandbox.
    pub fn root(&self) -> unheck_sandbox::Root {
        unheck_sandbox::Root::Overlay {
            lower: self.lower.clone(),
        }
    }

    /// What is in each layer, the lowest first.
    ///
    /// # Errors
    /// [`RootsError::Index`] when a list is damaged.
    pub fn indexes(&self) -> Result<Vec<LayerIndex>, RootsError> {
        self.guards.par_iter().map(read_index).collect()
    }
}

/// What is in one layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerIndex {
    /// By path; directories that no entry names are left out.
    pub nodes: BTreeMap<TreePath, IndexNode>,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexNode {
    /// A directory.
    Dir,
    /// A link, by its text.
    Link(String),
    /// A regular file.
    File {
        /// Its length in bytes.
        len: u64,
        /// Whether somebody may execute it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
        /// What it says where it begins like ELF.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        elf: Option<Elf>,
    },
}

/// A file that begins like ELF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elf {
    /// It was read.
    Read(Box<Object>),
    /// It is refused, with the reason.
    Broken(String),
    /// It is longer than what is held in memory.
    TooLong,
}

/// A layer of an artifact cannot be made a directory.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The store failed.
    #[error("the store failed on the layer `{layer}`")]
    Store {
        /// Its `diff_id`.
        layer: Digest,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The image's file failed.
    #[error("cannot open the layer `{layer}` of the image")]
    Open {
        /// Its `diff_id`.
        layer: Digest,
        /// Why.
        #[source]
        source: Box<unheck_oci::open::OpenError>,
    },
    /// It cannot be read or unpacked.
    #[error("cannot unpack the layer `{layer}`")]
    Read {
        /// Its `diff_id`.
        layer: Digest,
        /// Why.
        #[source]
        source: Box<ReadLayerError>,
    },
    /// Its directory cannot be written.
    #[error("cannot write the directory `{path}` of a layer", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Its list is damaged.
    #[error("the list of an unpacked layer, `{path}`, is damaged", path = path.display())]
    Index {
        /// The list.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer is of a kind that unheck cannot read.
    #[error("the layer `{digest}` is of the type `{media_type}`, which unheck does not unpack")]
    MediaType {
        /// Its blob.
        digest: Digest,
        /// Its type.
        media_type: String,
    },
    /// Config and manifest disagree.
    #[error("the image's manifest has {layers} layers, its config {diff_ids}")]
    Count {
        /// Layers of the manifest.
        layers: usize,
        /// Digests of the config.
        diff_ids: usize,
    },
}

impl Explain for RootsError {
    fn class(&self) -> Class {
        match self {
            Self::Store { source, .. } if source.is_no_space() => Class::Limit,
            Self::Directory { source, .. } if is_full(source) => Class::Limit,
            Self::Store { .. } | Self::Directory { .. } | Self::Index { .. } => Class::Outside,
            Self::Read { source, .. } if is_visit_full(source) => Class::Limit,
            Self::Open { .. } | Self::Read { .. } | Self::MediaType { .. } | Self::Count { .. } => {
                Class::Input
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store { source, .. } => source.hint().into_iter().collect(),
            Self::Index { path, .. } => {
                let directory = path.parent().unwrap_or(path);
                vec![format!(
                    "remove `{}`; it is made again",
                    directory.display()
                )]
            }
            _ => Vec::new(),
        }
    }
}

fn is_visit_full(error: &ReadLayerError) -> bool {
    matches!(error, ReadLayerError::Visit { source, .. } if is_full(source))
}

/// Whether there is no room on the disk or in a quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Unpacks layers whose blobs are in the store, the lowest first.
///
/// # Errors
/// [`RootsError`]; a damaged blob is a [`unheck_store::Corruption`] in its chain.
pub fn from_layers(store: &Store, layers: &[&Layer]) -> Result<Roots, RootsError> {
    let guards = layers
        .par_iter()
        .map(|layer| {
            unpacked(store, KIND, &layer.diff_id, |directory| {
                let failed = |source| RootsError::Store {
                    layer: layer.diff_id,
                    source,
                };
                let reader = store.open_verified(&layer.digest).map_err(failed)?;
                let diff_id = Some(layer.diff_id);
                unpack(
                    reader,
                    (layer.media_type, diff_id),
                    &layer.diff_id,
                    directory,
                )
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(roots(guards))
}

/// Unpacks the layers of an opened image, the lowest first.
///
/// # Errors
/// [`RootsError`].
pub fn from_image(
    store: &Store,
    opened: &Opened,
    image: &OpenedImage,
) -> Result<Roots, RootsError> {
    let (layers, diff_ids) = (&image.manifest.layers, &image.config.rootfs.diff_ids);
    if layers.len() != diff_ids.len() {
        return Err(RootsError::Count {
            layers: layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let guards = layers
        .par_iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| {
            let BlobKind::Layer(media_type) = descriptor.kind() else {
                let media_type = descriptor.media_type.clone();
                return Err(RootsError::MediaType {
                    digest: descriptor.digest,
                    media_type,
                });
            };
            unpacked(store, KIND, diff_id, |directory| {
                let failed = |source| RootsError::Open {
                    layer: *diff_id,
                    source: Box::new(source),
                };
                unpack(
                    opened.blob(descriptor).map_err(failed)?,
                    (media_type, Some(*diff_id)),
                    diff_id,
                    directory,
                )
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(roots(guards))
}

fn roots(guards: Vec<DerivedDir>) -> Roots {
    Roots {
        lower: guards.iter().map(|guard| guard.path().join(TREE)).collect(),
        guards,
    }
}

/// Unpacks an archive that is an artifact of its own; `digest` is that of its bytes.
///
/// # Errors
/// [`RootsError`].
pub(crate) fn unpacked_archive(
    store: &Store,
    digest: &Digest,
    reader: impl Read,
    media_type: LayerMediaType,
) -> Result<DerivedDir, RootsError> {
    unpacked(store, FORM_KIND, digest, |directory| {
        unpack(reader, (media_type, None), digest, directory)
    })
}

/// The same where `fill` writes the files into a directory that is there and empty.
///
/// # Errors
/// What `fill` answers; the store fails.
pub(crate) fn unpacked_with<E: std::error::Error + From<RootsError> + 'static>(
    store: &Store,
    digest: &Digest,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<DerivedDir, E> {
    let failed = |source| RootsError::Store {
        layer: *digest,
        source,
    };
    let filled = store.derived(FORM_KIND, digest).dir_with(|directory| {
        let tree = directory.join(TREE);
        let made = fs_err::create_dir(&tree).and_then(|()| set_mode(&tree, 0o755));
        made.map_err(|source| {
            let path = tree.clone();
            E::from(RootsError::Index { path, source })
        })?;
        fill(&tree)
    });
    filled.map_err(|error| match error {
        ProduceError::Store(source) => failed(source).into(),
        ProduceError::Produce(error) => error,
    })
}

fn unpacked(
    store: &Store,
    kind: &str,
    diff_id: &Digest,
    fill: impl FnOnce(&Path) -> Result<(), RootsError>,
) -> Result<DerivedDir, RootsError> {
    store
        .derived(kind, diff_id)
        .dir_with(fill)
        .map_err(|error| match error {
            ProduceError::Store(source) => RootsError::Store {
                layer: *diff_id,
                source,
            },
            ProduceError::Produce(error) => error,
        })
}

fn read_index(directory: &DerivedDir) -> Result<LayerIndex, RootsError> {
    let path = directory.path().join(INDEX);
    let read = || {
        let mut bytes = Vec::new();
        fs_err::File::open(&path)?
            .take(MAX_INDEX)
            .read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    };
    read().map_err(|source| RootsError::Index {
        path: path.clone(),
        source,
    })
}

/// Unpacks one layer into a new directory: its files and their list.
fn unpack(
    reader: impl Read,
    (media_type, expected): (LayerMediaType, Option<Digest>),
    diff_id: &Digest,
    directory: &Path,
) -> Result<(), RootsError> {
    let tree = directory.join(TREE);
    let kept = |source: io::Error| RootsError::Index {
        path: directory.join(INDEX),
        source,
    };
    let mut unpacker = Unpacker::new(tree).map_err(kept)?;
    let limits = Limits {
        entries: MAX_ENTRIES,
        ..Limits::default()
    };
    let options = ReadOptions {
        media_type,
        diff_id: expected,
        limits,
    };
    read_layer(reader, &options, &mut |entry, content| {
        unpacker.take(entry, content)
    })
    .map_err(|source| RootsError::Read {
        layer: *diff_id,
        source: Box::new(source),
    })?;
    unpacker.write_index(directory).map_err(kept)
}

/// Writes the entries of one layer below a directory of its own.
struct Unpacker {
    tree: PathBuf,
    index: LayerIndex,
    /// Directories that are there, also those that no entry named.
    made: BTreeSet<TreePath>,
    buffer: Vec<u8>,
}

impl Unpacker {
    /// Writes below a new directory `tree`.
    fn new(tree: PathBuf) -> io::Result<Self> {
        fs_err::create_dir(&tree)?;
        // A umask must not close the root to the user inside, who may be another.
        set_mode(&tree, 0o755)?;
        Ok(Self {
            tree,
            index: LayerIndex::default(),
            made: BTreeSet::new(),
            buffer: vec![0; 256 << 10],
        })
    }

    /// Writes the list of what is there into a directory.
    fn write_index(&self, directory: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.index)?;
        fs_err::write(directory.join(INDEX), bytes)
    }

    fn take(&mut self, entry: &LayerEntry, content: &mut dyn Read) -> io::Result<()> {
        match &entry.kind {
            NodeKind::Dir => self.dir(&entry.path, entry.mode),
            NodeKind::File { .. } => self.file(entry, content),
            NodeKind::Symlink(text) => self.symlink(&entry.path, text),
            NodeKind::Hardlink(target) => self.hardlink(&entry.path, target),
            other => {
                self.above(&entry.path)?;
                Err(refused(kind_refused(other).to_owned()))
            }
        }
    }

    /// Where a path is to be written, with the directories above it there.
    fn place(&mut self, path: &TreePath) -> io::Result<PathBuf> {
        self.above(path)?;
        Ok(self.tree.join(path.as_str()))
    }

    fn add(&mut self, path: &TreePath, node: IndexNode) {
        self.index.nodes.insert(path.clone(), node);
    }

    fn dir(&mut self, path: &TreePath, mode: u32) -> io::Result<()> {
        let place = self.place(path)?;
        if self.made.insert(path.clone()) {
            fs_err::create_dir(&place)?;
        }
        // What is in it must be reachable for whoever removes it again.
        set_mode(&place, (mode & 0o1777) | 0o700)?;
        self.add(path, IndexNode::Dir);
        Ok(())
    }

    fn symlink(&mut self, path: &TreePath, text: &str) -> io::Result<()> {
        let place = self.place(path)?;
        symlink(text, &place)?;
        self.add(path, IndexNode::Link(text.to_owned()));
        Ok(())
    }

    fn hardlink(&mut self, path: &TreePath, target: &TreePath) -> io::Result<()> {
        let place = self.place(path)?;
        let Some(node @ IndexNode::File { .. }) = self.index.nodes.get(target) else {
            return Err(refused(format!(
                "it is another name of `{target}`, which is no file of this layer"
            )));
        };
        let node = node.clone();
        fs_err::hard_link(self.tree.join(target.as_str()), &place)?;
        self.add(path, node);
        Ok(())
    }

    /// Makes the directories above a path; nothing is ever written through a link.
    fn above(&mut self, path: &TreePath) -> io::Result<()> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        if self.made.contains(&parent) {
            return Ok(());
        }
        let mut missing: Vec<TreePath> = path
            .ancestors()
            .filter(|above| !self.made.contains(above))
            .collect();
        missing.sort();
        for above in missing {
            if self.index.nodes.contains_key(&above) {
                return Err(refused(format!(
                    "it is below `{above}`, which is no directory in this layer"
                )));
            }
            let place = self.tree.join(above.as_str());
            fs_err::create_dir(&place)?;
            set_mode(&place, 0o755)?;
            self.made.insert(above);
        }
        Ok(())
    }

    fn file(&mut self, entry: &LayerEntry, content: &mut dyn Read) -> io::Result<()> {
        let place = self.place(&entry.path)?;
        let mut filling = Filling::create(&place)?;
        loop {
            let read = match content.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if read == 0 {
                break;
            }
            filling.write(&self.buffer[..read])?;
        }
        let node = filling.finish(&place, entry.mode)?;
        self.add(&entry.path, node);
        Ok(())
    }
}

/// A new file that is being written.
struct Filling {
    file: fs_err::File,
    len: u64,
    /// Its first four bytes.
    first: Vec<u8>,
}

impl Filling {
    fn create(place: &Path) -> io::Result<Self> {
        let file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(place)?;
        Ok(Self {
            file,
            len: 0,
            first: Vec::with_capacity(4),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let missing = 4usize.saturating_sub(self.first.len());
        self.first.extend(bytes.iter().take(missing));
        self.len += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Sets its mode and looks into it.
    fn finish(self, place: &Path, mode: u32) -> io::Result<IndexNode> {
        let mode = (mode & 0o777) | 0o400;
        self.file
            .file()
            .set_permissions(std::fs::Permissions::from_mode(mode))?;
        let elf = if unheck_elf::is_elf(&self.first) {
            Some(elf(place, self.len)?)
        } else {
            None
        };
        Ok(IndexNode::File {
            len: self.len,
            executable: mode & 0o111 != 0,
            elf,
        })
    }
}

fn elf(place: &Path, len: u64) -> io::Result<Elf> {
    if len > MAX_OBJECT {
        return Ok(Elf::TooLong);
    }
    Ok(match Object::parse(&fs_err::read(place)?) {
        Ok(object) => Elf::Read(Box::new(object)),
        Err(error) => Elf::Broken(error.to_string()),
    })
}

fn set_mode(place: &Path, mode: u32) -> io::Result<()> {
    fs_err::set_permissions(place, std::fs::Permissions::from_mode(mode))
}

fn kind_refused(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::CharDevice(..) | NodeKind::BlockDevice(..) => {
            "it is a device, and unheck makes none"
        }
        NodeKind::Fifo => "it is a named pipe, and unheck makes none",
        _ => {
            "it removes a file of a lower layer, which unheck's own images never do; flatten the image first"
        }
    }
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use unheck_oci::layer::{Compression, LayerWriter};
    use unheck_oci::tar_writer::{Entry, EntryKind};

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("path")
    }

    fn layer(store: &Store, nodes: &[(&str, EntryKind<'_>, &[u8])]) -> Layer {
        let mut writer = LayerWriter::new(Vec::new(), Compression::None).expect("writer");
        for (name, kind, content) in nodes {
            let path = path(name);
            let entry = Entry {
                path: &path,
                mode: 0o555,
                uid: 7,
                gid: 7,
                mtime: 0,
                kind: *kind,
            };
            writer.append_bytes(&entry, content).expect("append");
        }
        let (layer, bytes) = writer.finish().expect("finish");
        store.put_bytes(&bytes).expect("put");
        layer
    }

    #[test]
    fn layers_become_directories_with_a_list() {
        let temp = tempfile::tempdir().expect("temp");
        let store = Store::open(temp.path()).expect("store");
        let one = layer(
            &store,
            &[
                ("etc", EntryKind::Dir, b""),
                ("etc/name", EntryKind::File { len: 2 }, b"hi"),
                ("link", EntryKind::Symlink("../outside"), b""),
                ("deep/er/file", EntryKind::File { len: 0 }, b""),
            ],
        );
        for _ in 0..2 {
            let roots = from_layers(&store, &[&one]).expect("roots");
            let index = roots.indexes().expect("index").remove(0);
            assert_eq!(index.nodes.get(&path("etc")), Some(&IndexNode::Dir));
            assert_eq!(
                index.nodes.get(&path("link")),
                Some(&IndexNode::Link("../outside".to_owned()))
            );
            let file = IndexNode::File {
                len: 2,
                executable: true,
                elf: None,
            };
            assert_eq!(index.nodes.get(&path("etc/name")), Some(&file));
            let tree = &roots.lower[0];
            assert_eq!(fs_err::read(tree.join("etc/name")).expect("read"), b"hi");
            assert!(tree.join("deep/er/file").is_file());
            let mode = fs_err::metadata(tree.join("etc"))
                .expect("etc")
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o755);
        }
    }

    /// A layer that unheck's own writer would refuse.
    fn hostile(store: &Store, nodes: &[(&str, tar::EntryType, &str)]) -> Layer {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, link) in nodes {
            let mut header = tar::Header::new_ustar();
            header.set_path(name).expect("path");
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_mode(0o644);
            if !link.is_empty() {
                header.set_link_name(link).expect("link");
            }
            header.set_cksum();
            builder.append(&header, &[][..]).expect("append");
        }
        let bytes = builder.into_inner().expect("tar");
        let digest = store.put_bytes(&bytes).expect("put");
        let size = bytes.len() as u64;
        Layer {
            diff_id: digest,
            digest,
            size,
            uncompressed_size: size,
            media_type: LayerMediaType::Tar,
        }
    }

    #[test]
    fn entries_that_no_directory_can_hold_are_refused() {
        use tar::EntryType as Kind;

        type Nodes = &'static [(&'static str, Kind, &'static str)];
        let temp = tempfile::tempdir().expect("temp");
        let store = Store::open(temp.path()).expect("store");
        let cases: &[(Nodes, &str)] = &[
            (
                &[
                    ("a", Kind::Symlink, "/etc"),
                    ("a/passwd", Kind::Regular, ""),
                ],
                "it is below `a`, which is no directory in this layer",
            ),
            (
                &[("a", Kind::Symlink, "/etc/passwd"), ("b", Kind::Link, "a")],
                "it is another name of `a`, which is no file of this layer",
            ),
            (
                &[("tty", Kind::Char, "")],
                "it is a device, and unheck makes none",
            ),
            (
                &[("pipe", Kind::Fifo, "")],
                "it is a named pipe, and unheck makes none",
            ),
            (
                &[("etc/.wh.passwd", Kind::Regular, "")],
                "it removes a file of a lower layer, which unheck's own images never do; flatten the image first",
            ),
        ];
        for (nodes, expected) in cases {
            let one = hostile(&store, nodes);
            let error = from_layers(&store, &[&one]).expect_err(expected);
            let RootsError::Read { source, .. } = error else {
                panic!("{expected}: {error:?}")
            };
            let ReadLayerError::Visit { source, .. } = *source else {
                panic!("{expected}: {source:?}")
            };
            assert_eq!(source.to_string(), *expected);
            assert!(
                store
                    .derived(KIND, &one.diff_id)
                    .dir()
                    .expect("dir")
                    .is_none()
            );
        }
        let twice = hostile(
            &store,
            &[
                ("a", Kind::Symlink, "/etc/passwd"),
                ("a", Kind::Regular, ""),
            ],
        );
        assert!(from_layers(&store, &[&twice]).is_err());
    }
}
