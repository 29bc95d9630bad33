//! Reads an artifact into a list of objects: [`Content`]. Start at [`contents`].
//!
//! An image goes through the directories of its layers, which `verify` shares; archives and
//! executables are unpacked into the store, as `verify` does it; a directory is walked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unheck_base::TreePath;
use unheck_oci::open::{OpenError, Opened, open};
use unheck_wheel::normalize_name;

use super::needs::{Content, Form, Shipped};
use crate::build::LOCK_PATH;
use crate::debian::usrmerge;
use crate::explain::{Class, Explain};
use crate::form::{FormError, kind_of, open_form};
use crate::layout::APP_DIR;
use crate::lock::{Lock, Target};
use crate::platform::Platform;
use crate::roots::{Elf, IndexNode, Roots, RootsError, Strange, from_image, index_of};
use crate::session::Session;
use crate::tree::Origin;
use crate::verify::view::View;

/// Longest lock that is read.
const MAX_LOCK: u64 = 64 << 20;
/// Longest list of a Debian package's files that is read.
const MAX_LIST: u64 = 16 << 20;

/// An artifact cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is nothing that unheck makes.
    #[error("cannot open the artifact `{path}`", path = path.display())]
    Open {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenError>,
    },
    /// It is a directory, archive or executable that cannot be used.
    #[error("cannot open the artifact `{path}`", path = path.display())]
    Form {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<FormError>,
    },
    /// A layer cannot be read.
    #[error("cannot read the artifact's layers")]
    Roots(#[from] RootsError),
    /// A directory cannot be walked.
    #[error("cannot walk the artifact `{path}`", path = path.display())]
    Walk {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A list inside cannot be read.
    #[error("cannot read what the artifact says of its distributions")]
    Lists(#[source] io::Error),
    /// There is nothing in it for a platform that unheck knows.
    #[error("the artifact `{path}` has nothing for linux/amd64 or linux/arm64", path = path.display())]
    NoPlatform {
        /// The artifact.
        path: PathBuf,
    },
}

impl Explain for ArtifactError {
    fn class(&self) -> Class {
        match self {
            Self::Roots(error) => error.class(),
            Self::Form { source, .. } => source.class(),
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { .. } => vec![
                "give what `unheck build` wrote: an image, an archive, an executable or a directory"
                    .to_owned(),
            ],
            Self::Roots(error) => error.hints(),
            Self::Form { source, .. } => source.hints(),
            _ => Vec::new(),
        }
    }
}

/// Looks into every platform of an artifact.
///
/// # Errors
/// [`ArtifactError`].
pub fn contents(session: &Session, path: &Path) -> Result<Vec<Content>, ArtifactError> {
    if kind_of(path).is_ok_and(|kind| kind != Form::Image) {
        return relocatable(session, path).map(|content| vec![content]);
    }
    if path.is_dir() && !path.join("oci-layout").is_file() && !path.join("index.json").is_file() {
        return directory(path).map(|content| vec![content]);
    }
    let opened = open(path).map_err(|source| ArtifactError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    images(session, &opened, path)
}

/// A directory, archive or executable that unheck made.
fn relocatable(session: &Session, path: &Path) -> Result<Content, ArtifactError> {
    let failed = |source| ArtifactError::Form {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let form = open_form(session.store(), path).map_err(failed)?;
    let index = form.index().map_err(failed)?;
    let view = View::new(vec![index], vec![form.root.clone()]);
    let described = &form.described;
    let manifest = &described.manifest;
    let mut content = content(&view, manifest.platform, described.format)?;
    content.declared_libs = Some(manifest.libs);
    content.declared_needs.clone_from(&manifest.needs);
    // Its own list knows better than paths do.
    for shipped in content.objects.values_mut() {
        if let Some(file) = manifest.files.get(&shipped.at) {
            shipped.origin.clone_from(&file.origin);
        }
    }
    Ok(content)
}

fn images(session: &Session, opened: &Opened, path: &Path) -> Result<Vec<Content>, ArtifactError> {
    let images = opened.images().map_err(|source| ArtifactError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let mut contents = Vec::new();
    for image in &images {
        let Ok(platform) = image.platform.architecture.parse::<Platform>() else {
            continue;
        };
        let roots = from_image(session.store(), opened, image)?;
        contents.push(of_roots(&roots, platform)?);
    }
    if contents.is_empty() {
        return Err(ArtifactError::NoPlatform {
            path: path.to_owned(),
        });
    }
    Ok(contents)
}

/// The content of an image's unpacked layers.
///
/// # Errors
/// [`ArtifactError`].
pub fn of_roots(roots: &Roots, platform: Platform) -> Result<Content, ArtifactError> {
    let view = View::of(roots)?;
    content(&view, platform, Form::Image)
}

fn directory(path: &Path) -> Result<Content, ArtifactError> {
    let index = index_of(path, Strange::PassedOver).map_err(|source| ArtifactError::Walk {
        path: path.to_owned(),
        source,
    })?;
    let view = View::new(vec![index], vec![path.to_owned()]);
    let platform = Platform::ALL
        .into_iter()
        .max_by_key(|platform| {
            let machine = platform.elf_machine();
            let objects = view
                .objects()
                .filter(|(_, object)| object.machine == machine);
            // Of equals the last one is taken.
            (objects.count(), *platform == Platform::LinuxAmd64)
        })
        .filter(|_| view.objects().next().is_some())
        .ok_or_else(|| ArtifactError::NoPlatform {
            path: path.to_owned(),
        })?;
    content(&view, platform, Form::Dir)
}

/// The content of a tree: its objects, each with who brought it.
///
/// # Errors
/// [`ArtifactError::Lists`] when a `RECORD` cannot be read. A lock that is missing or wrong only
/// means that less is known of origins.
pub fn content(view: &View, platform: Platform, form: Form) -> Result<Content, ArtifactError> {
    let lock = read_lock(view);
    let target = lock.as_ref().and_then(|lock| lock.target(platform));
    let (owners, distributions) = owners(view, lock.as_ref(), target)?;
    let mut objects: BTreeMap<TreePath, Shipped> = BTreeMap::new();
    let mut unread = Vec::new();
    for (path, node) in view.iter() {
        match node {
            IndexNode::File {
                elf: Some(Elf::Read(object)),
                ..
            } => {
                let shipped = Shipped {
                    object: Arc::new((**object).clone()),
                    origin: origin(path, &owners),
                    at: path.clone(),
                };
                objects.insert(path.clone(), shipped);
            }
            IndexNode::File { elf: Some(_), .. } => unread.push(path.clone()),
            _ => {}
        }
    }
    let links: Vec<(TreePath, Shipped)> = view
        .iter()
        .filter(|(_, node)| matches!(node, IndexNode::Link(_)))
        .filter_map(|(path, _)| {
            let place = view.resolve(path)?;
            Some((path.clone(), objects.get(&place)?.clone()))
        })
        .collect();
    objects.extend(links);
    Ok(Content {
        platform,
        form,
        objects,
        unread,
        distributions,
        declared_libs: None,
        declared_needs: Vec::new(),
    })
}

fn read_lock(view: &View) -> Option<Lock> {
    let path = TreePath::new(LOCK_PATH).ok()?;
    let bytes = view.read(&path, MAX_LOCK).ok()?;
    Lock::from_text(std::str::from_utf8(&bytes).ok()?, Path::new(LOCK_PATH)).ok()
}

type Owners = BTreeMap<TreePath, Origin>;

/// Who brought each file, by `RECORD`s, package lists and the lock; and the distributions.
fn owners(
    view: &View,
    lock: Option<&Lock>,
    target: Option<&Target>,
) -> Result<(Owners, BTreeMap<String, String>), ArtifactError> {
    let mut owners = Owners::new();
    for (path, _) in view.iter() {
        let Some(package) = path.file_name().strip_suffix(".md5sums") else {
            continue;
        };
        if !path.is_under("var/lib/dpkg/status.d") {
            continue;
        }
        let bytes = view.read(path, MAX_LIST).map_err(ArtifactError::Lists)?;
        let text = String::from_utf8_lossy(&bytes);
        let files = text
            .lines()
            .filter_map(|line| TreePath::new(line.split_once("  ")?.1).ok());
        owners.extend(files.map(|path| (usrmerge(&path), Origin::Deb(package.to_owned()))));
    }
    for deb in target.into_iter().flat_map(|target| &target.debs) {
        let files = deb.files.keys().cloned();
        owners.extend(files.map(|path| (path, Origin::Deb(deb.name.clone()))));
    }
    let mut distributions = BTreeMap::new();
    for installed in view.distributions().map_err(ArtifactError::Lists)? {
        let name = normalize_name(&installed.name).to_string();
        let folder = installed.info.file_name().trim_end_matches(".dist-info");
        let version = folder.split_once('-').map_or("", |(_, version)| version);
        distributions.insert(name.clone(), version.to_owned());
        let locked = lock.is_none_or(|lock| lock.installs(&name));
        let origin = if locked {
            Origin::Distribution(name)
        } else {
            Origin::App
        };
        owners.extend(
            installed
                .files
                .into_keys()
                .map(|path| (path, origin.clone())),
        );
    }
    Ok((owners, distributions))
}

fn origin(path: &TreePath, owners: &Owners) -> Origin {
    if let Some(known) = owners.get(path) {
        return known.clone();
    }
    if path.is_under(APP_DIR) {
        return Origin::App;
    }
    if path.is_under("opt/python") {
        return Origin::Interpreter;
    }
    Origin::Generated("base".to_owned())
}
