//! What is inside an artifact on disk, file by file, with who brought each. Start at [`look`].
//!
//! Reads every layer once and keeps no content but the lists that say who owns what: the lock,
//! `RECORD` of each distribution, the checksum list of each Debian package. Trusts the artifact
//! for nothing but its own description; unpacks nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use unheck_base::{Digest, TreePath};
use unheck_oci::image::{Descriptor, LayerMediaType};
use unheck_oci::layer_reader::{
    LayerEntry, Limits, NodeKind, ReadLayerError, ReadOptions, read_layer,
};
use unheck_oci::open::{OpenError, Opened, OpenedImage, open};

use crate::build::LOCK_PATH;
use crate::debian::usrmerge;
use crate::explain::{Class, Explain};
use crate::form::{Described, FormError, FormNode, Format, describe, kind_of};
use crate::layers::WrittenLayer;
use crate::layout::APP_DIR;
use crate::lock::{Lock, ReadLockError};
use crate::platform::Platform;
use crate::steps::left_out::{LeftOutList, is_left_out_list};
use crate::steps::{cached_source, recorded_path};
use crate::tree::Origin;

/// Where scanners and unheck find one control paragraph per Debian package.
const STATUS_DIR: &str = "var/lib/dpkg/status.d";

/// Longest list (lock, `RECORD`, checksums) that is read, in bytes.
const MAX_LIST: u64 = 64 << 20;

/// Most bytes of all lists of one image together.
const MAX_LISTS: u64 = 256 << 20;

/// One platform of an artifact.
#[derive(Debug, Clone)]
pub struct Inside {
    /// The platform, as the image's config says.
    pub platform: String,
    /// The project's name, from the image's title.
    pub project: Option<String>,
    /// The project's version, from the image's label.
    pub version: Option<String>,
    /// The lock that it was made from, where unheck made it.
    pub lock: Option<Lock>,
    /// Its list of what was left out.
    pub left_out: Option<LeftOutList>,
    /// Its layers, the lowest first.
    pub layers: Vec<InsideLayer>,
    /// Every file and link that is to be seen, by path.
    pub files: BTreeMap<TreePath, InsideFile>,
}

/// One layer of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsideLayer {
    /// What unheck called it, else its number from 1.
    pub name: String,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's length in bytes.
    pub size: u64,
    /// The tar archive's length in bytes.
    pub uncompressed: u64,
    /// How many files and links it has.
    pub files: u64,
}

/// One file or link of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsideFile {
    /// The number of its layer, from 0.
    pub layer: usize,
    /// Length in bytes; 0 for links.
    pub size: u64,
    /// The text of a symbolic link.
    pub link: Option<String>,
    /// Who brought it.
    pub origin: Origin,
}

/// An artifact cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// It is no image that can be read.
    #[error("cannot read the artifact")]
    Open(#[from] OpenError),
    /// One of its layers cannot be read.
    #[error("cannot read layer {number} of the artifact")]
    Layer {
        /// Its number, from 1.
        number: usize,
        /// Why not.
        #[source]
        source: Box<ReadLayerError>,
    },
    /// A layer is of a kind that is not known.
    #[error("layer {number} of the artifact has the media type `{media_type}`, which is not known")]
    MediaType {
        /// Its number, from 1.
        number: usize,
        /// What it says.
        media_type: String,
    },
    /// Its lock cannot be used.
    #[error("cannot use the lock inside the artifact")]
    Lock(#[from] ReadLockError),
    /// It is a directory, archive or executable that cannot be read.
    #[error("cannot read the artifact")]
    Form(#[from] Box<FormError>),
    /// Its lock is not text.
    #[error("the lock inside the artifact is not UTF-8")]
    LockText,
    /// A layer that is in the store cannot be opened.
    #[error("cannot open a layer in the store")]
    Store(#[from] unheck_store::StoreError),
}

impl Explain for InsideError {
    fn class(&self) -> Class {
        match self {
            Self::Form(error) => error.class(),
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Form(error) => error.hints(),
            Self::Open(OpenError::Open { .. } | OpenError::NoImage { .. }) => {
                vec!["give what `unheck build` wrote: an OCI archive or a layout folder".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// Looks into every platform of the artifact at `path`.
///
/// # Errors
/// [`InsideError`].
pub fn look(path: &Path) -> Result<Vec<Inside>, InsideError> {
    if kind_of(path).is_ok_and(|kind| kind != Format::Image) {
        let described = describe(path).map_err(Box::new)?;
        return Ok(vec![look_form(described)]);
    }
    let opened = open(path)?;
    opened
        .images()?
        .iter()
        .map(|image| look_image(&opened, image))
        .collect()
}

/// Looks into layers that are not in an artifact yet, the lowest first; their blobs are in the store.
///
/// # Errors
/// [`InsideError`].
pub(crate) fn look_layers(
    store: &unheck_store::Store,
    layers: &[WrittenLayer],
    platform: Platform,
) -> Result<Inside, InsideError> {
    let mut seen = Seen::default();
    let mut inside = Vec::new();
    for (number, written) in layers.iter().enumerate() {
        let blob = store.open_verified(&written.layer.digest)?;
        let descriptor = written.layer.descriptor();
        let name = (number, written.name.to_string());
        inside.push(read(blob, &descriptor, name, &mut seen)?);
    }
    Inside::of(seen, inside, platform.to_string())
}

/// A relocatable artifact as one layer; its list says who brought each file.
fn look_form(described: Described) -> Inside {
    let Described {
        format,
        manifest,
        lock,
        left_out,
        size,
        digest,
    } = described;
    let layer = InsideLayer {
        name: format.to_string(),
        digest,
        size,
        uncompressed: manifest.unpacked(),
        files: manifest.files.len() as u64,
    };
    // One launcher under many names, as a layer has a file with many names.
    let mut launcher: Option<TreePath> = None;
    let files = manifest.files.into_iter().map(|(path, file)| {
        let mut size = file.what.len();
        let mut link = None;
        if let FormNode::Link { link: text } = &file.what {
            link = Some(text.clone());
        } else if file.is_launcher() {
            match &launcher {
                Some(first) => (size, link) = (0, Some(format!("/{first}"))),
                None => launcher = Some(path.clone()),
            }
        }
        let file = InsideFile {
            layer: 0,
            size,
            link,
            origin: file.origin,
        };
        (path, file)
    });
    Inside {
        platform: manifest.platform.to_string(),
        project: Some(manifest.project),
        version: None,
        lock: Some(lock),
        left_out,
        layers: vec![layer],
        files: files.collect(),
    }
}

fn look_image(opened: &Opened, image: &OpenedImage) -> Result<Inside, InsideError> {
    let mut seen = Seen::default();
    let mut layers = Vec::new();
    for (number, descriptor) in image.manifest.layers.iter().enumerate() {
        let name = layer_name(image, number);
        let blob = opened.blob(descriptor)?;
        layers.push(read(blob, descriptor, (number, name), &mut seen)?);
    }
    let platform = format!("{}/{}", image.platform.os, image.platform.architecture);
    let label = |name: &str| {
        let labels = &image.config.config.labels;
        labels
            .get(&format!("org.opencontainers.image.{name}"))
            .cloned()
    };
    Ok(Inside {
        project: label("title"),
        version: label("version"),
        ..Inside::of(seen, layers, platform)?
    })
}

/// `interpreter` of the history entry `unheck: interpreter`; unheck writes one entry per layer.
fn layer_name(image: &OpenedImage, number: usize) -> String {
    let own = image.config.history.len() == image.manifest.layers.len();
    let entry = image.config.history.get(number).filter(|_| own);
    let name = entry.and_then(|entry| entry.created_by.as_deref()?.strip_prefix("unheck: "));
    name.map_or_else(|| (number + 1).to_string(), str::to_owned)
}

/// What a walk over all layers gathers.
#[derive(Default)]
struct Seen {
    files: BTreeMap<TreePath, (usize, u64, Option<String>)>,
    lists: BTreeMap<String, Vec<u8>>,
    listed: u64,
}

impl Seen {
    fn entry(
        &mut self,
        layer: usize,
        entry: &LayerEntry,
        reader: &mut dyn Read,
    ) -> std::io::Result<bool> {
        let path = &entry.path;
        let (size, link) = match &entry.kind {
            NodeKind::File { len } => (*len, None),
            NodeKind::Symlink(text) => (0, Some(text.clone())),
            NodeKind::Hardlink(other) => (0, Some(format!("/{other}"))),
            NodeKind::Whiteout { hides } => {
                self.files.retain(|path, _| !path.is_under(hides.as_str()));
                return Ok(false);
            }
            NodeKind::Opaque { directory } => {
                let hidden = |path: &TreePath| {
                    directory
                        .as_ref()
                        .is_none_or(|top| path.is_under(top.as_str()))
                };
                self.files
                    .retain(|path, (number, ..)| *number == layer || !hidden(path));
                return Ok(false);
            }
            _ => return Ok(false),
        };
        if is_list(path) {
            let limit = MAX_LIST.min(MAX_LISTS.saturating_sub(self.listed));
            if size > limit {
                return Err(std::io::Error::other(format!(
                    "it has {size} bytes, more than the limit `MAX_LIST`"
                )));
            }
            let mut bytes = Vec::new();
            reader.take(limit).read_to_end(&mut bytes)?;
            self.listed += bytes.len() as u64;
            self.lists.insert(path.as_str().to_owned(), bytes);
        }
        self.files.insert(path.clone(), (layer, size, link));
        Ok(true)
    }
}

fn is_list(path: &TreePath) -> bool {
    path.as_str() == LOCK_PATH
        || is_left_out_list(path.as_str())
        || is_record(path)
        || (path.is_under(STATUS_DIR) && path.as_str().ends_with(".md5sums"))
}

fn is_record(path: &TreePath) -> bool {
    path.file_name() == "RECORD"
        && path
            .parent()
            .is_some_and(|parent| parent.as_str().ends_with(".dist-info"))
}

/// The type of the layer with the number `number`, from 0.
///
/// # Errors
/// [`InsideError::MediaType`] when it is not known.
pub(crate) fn layer_media_type(
    descriptor: &Descriptor,
    number: usize,
) -> Result<LayerMediaType, InsideError> {
    let parsed = descriptor.media_type.parse();
    parsed.map_err(|_| InsideError::MediaType {
        number: number + 1,
        media_type: descriptor.media_type.clone(),
    })
}

fn read(
    blob: impl Read,
    descriptor: &Descriptor,
    (number, name): (usize, String),
    seen: &mut Seen,
) -> Result<InsideLayer, InsideError> {
    let media_type = layer_media_type(descriptor, number)?;
    let options = ReadOptions {
        media_type,
        diff_id: None,
        limits: Limits::default(),
    };
    let mut files = 0;
    let summary = read_layer(blob, &options, &mut |entry, reader| {
        files += u64::from(seen.entry(number, entry, reader)?);
        Ok(())
    })
    .map_err(|source| InsideError::Layer {
        number: number + 1,
        source: Box::new(source),
    })?;
    Ok(InsideLayer {
        name,
        digest: descriptor.digest,
        size: descriptor.size,
        uncompressed: summary.uncompressed_size,
        files,
    })
}

/// Gives every file its origin: by the lists, by the lock, by its place.
fn owned(seen: &Seen, lock: Option<&Lock>, platform: &str) -> BTreeMap<TreePath, InsideFile> {
    let owners = owners(seen, lock, platform);
    seen.files
        .iter()
        .map(|(path, (layer, size, link))| {
            let origin = owners.get(path).cloned().unwrap_or_else(|| {
                let target = link
                    .as_deref()
                    .and_then(|text| path.resolve_link(text))
                    .map(|path| usrmerge(&path));
                let behind = target.and_then(|target| owners.get(&target).cloned());
                behind.unwrap_or_else(|| by_place(path, &owners))
            });
            (
                path.clone(),
                InsideFile {
                    layer: *layer,
                    size: *size,
                    link: link.clone(),
                    origin,
                },
            )
        })
        .collect()
}

fn owners(seen: &Seen, lock: Option<&Lock>, platform: &str) -> BTreeMap<TreePath, Origin> {
    let mut owners = BTreeMap::new();
    for (path, bytes) in &seen.lists {
        let Ok(path) = TreePath::new(path) else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        if is_record(&path) {
            let Some(directory) = path.parent() else {
                continue;
            };
            let Some(site) = directory.parent() else {
                continue;
            };
            let origin = distribution(directory.file_name(), lock);
            owners.extend(
                text.lines()
                    .filter_map(|row| Some((recorded_path(row, &site)?, origin.clone()))),
            );
        } else if let Some(package) = path.file_name().strip_suffix(".md5sums") {
            let origin = Origin::Deb(package.to_owned());
            let listed = text
                .lines()
                .filter_map(|line| TreePath::new(line.split_once("  ")?.1).ok());
            owners.extend(listed.map(|path| (usrmerge(&path), origin.clone())));
        }
    }
    let targets = lock.into_iter().flat_map(|lock| &lock.plan.targets);
    for target in targets.filter(|target| target.platform.to_string() == platform) {
        for deb in &target.debs {
            let files = deb
                .files
                .keys()
                .map(|path| (path.clone(), Origin::Deb(deb.name.clone())));
            owners.extend(files);
        }
    }
    owners
}

/// A distribution that the lock does not have is the app's own.
fn distribution(directory: &str, lock: Option<&Lock>) -> Origin {
    let stem = directory.strip_suffix(".dist-info").unwrap_or(directory);
    let name = unheck_wheel::normalize_name(stem.split_once('-').map_or(stem, |(name, _)| name));
    let locked = lock.is_none_or(|lock| lock.installs(&name));
    if locked {
        Origin::Distribution(name)
    } else {
        Origin::App
    }
}

fn by_place(path: &TreePath, owners: &BTreeMap<TreePath, Origin>) -> Origin {
    let generated = |step: &str| Origin::Generated(step.to_owned());
    if path.is_under(APP_DIR) {
        return Origin::App;
    }
    if path.as_str() == LOCK_PATH {
        return generated("lock");
    }
    if is_left_out_list(path.as_str()) {
        return generated("left-out");
    }
    if path.is_under(STATUS_DIR) {
        let name = path.file_name();
        return Origin::Deb(name.strip_suffix(".md5sums").unwrap_or(name).to_owned());
    }
    if let Some(source) = source_of_bytecode(path) {
        return owners
            .get(&source)
            .cloned()
            .unwrap_or_else(|| generated("bytecode"));
    }
    match path.as_str() {
        "etc/ssl/certs/ca-certificates.crt" | "usr/lib/ssl/cert.pem" => {
            Origin::Deb("ca-certificates".to_owned())
        }
        "etc/ld.so.cache" | "usr/sbin/ldconfig" => generated("loader-cache"),
        _ if path.is_under("opt/python") => Origin::Interpreter,
        _ => generated("base"),
    }
}

/// The source of bytecode, which stands beside it (PEP 3147) or in its place.
pub(crate) fn source_of_bytecode(path: &TreePath) -> Option<TreePath> {
    cached_source(path).or_else(|| {
        let module = path.file_name().strip_suffix(".pyc")?.split('.').next()?;
        path.parent()?.join(&format!("{module}.py")).ok()
    })
}

impl Inside {
    /// What a walk over all layers saw; no name and version.
    fn of(seen: Seen, layers: Vec<InsideLayer>, platform: String) -> Result<Self, InsideError> {
        let lock = match seen.lists.get(LOCK_PATH) {
            Some(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| InsideError::LockText)?;
                Some(Lock::from_text(text, Path::new(LOCK_PATH))?)
            }
            None => None,
        };
        let left_out = seen.lists.iter().find(|(path, _)| is_left_out_list(path));
        let left_out =
            left_out.map(|(_, bytes)| LeftOutList::read(&String::from_utf8_lossy(bytes)));
        let files = owned(&seen, lock.as_ref(), &platform);
        Ok(Self {
            platform,
            project: None,
            version: None,
            lock,
            left_out,
            layers,
            files,
        })
    }

    /// The path behind `path` once links are followed, inside the artifact; at most 40 (Linux's
    /// `MAXSYMLINKS`).
    pub fn follow(&self, path: &TreePath) -> TreePath {
        let mut path = path.clone();
        for _ in 0..40 {
            let Some(text) = self.files.get(&path).and_then(|file| file.link.as_deref()) else {
                break;
            };
            let Some(target) = path.resolve_link(text) else {
                break;
            };
            path = usrmerge(&target);
        }
        path
    }
}
