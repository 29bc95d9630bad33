//! Source trees for the sandbox: unpacked from an sdist in the store, or copied from a directory.
//! Start at [`Source::place`].
//!
//! Archives are hostile (PEP 721 says what an sdist may hold): paths become [`TreePath`]s, links stay inside, devices
//! and set-user-id bits do not exist, and no link is followed while writing. Every file gets one of two modes and the
//! same date, so that a build sees the same tree on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use unheck_base::{Digest, Hasher, TreePath};
use unheck_oci::image::LayerMediaType;
use unheck_oci::layer_reader::{Limits, NodeKind, ReadLayerError, ReadOptions, read_layer};
use unheck_store::{Store, StoreError};

use crate::layout::NONROOT;

/// The date of every file in a source tree, and `SOURCE_DATE_EPOCH` of its build: where zip archives begin.
pub(crate) const EPOCH: u64 = 315_532_800;

/// Most entries and unpacked bytes of a source tree. The largest on the index have 60,000 and 1.5 GB.
const LIMITS: Limits = Limits {
    entries: 300_000,
    bytes: 4 << 30,
};

/// What a wheel is compiled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An sdist whose blob is in the store.
    Archive {
        /// Its file name, which says how it is packed.
        name: String,
        /// SHA-256 of the file.
        digest: Digest,
        /// The directory within it that has the project.
        subdirectory: Option<String>,
    },
    /// A directory of this machine: one beside the project, or a commit that was checked out.
    Tree {
        /// Where it is.
        path: PathBuf,
        /// The directory within it that has the project.
        subdirectory: Option<String>,
    },
}

/// A source tree cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is packed in a way that unheck does not read.
    #[error(
        "`{name}` is packed in a way that unheck does not read (it reads .tar.gz, .tgz, .tar.xz, .tar.zst, .tar and .zip)"
    )]
    Form {
        /// The file name.
        name: String,
    },
    /// The archive is refused.
    #[error("the sdist `{name}` is refused: `{path}` {problem}", path = path.escape_debug())]
    Entry {
        /// The file name.
        name: String,
        /// Which of its entries.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The archive cannot be read.
    #[error("the sdist `{name}` cannot be unpacked")]
    Archive {
        /// The file name.
        name: String,
        /// Why not.
        #[source]
        source: Box<ReadLayerError>,
    },
    /// The zip archive cannot be read.
    #[error("the sdist `{name}` cannot be unpacked")]
    Zip {
        /// The file name.
        name: String,
        /// Why not.
        #[source]
        source: Box<unheck_wheel::zip::ZipError>,
    },
    /// A file cannot be read or written.
    #[error("cannot place the source file `{path}`", path = path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The directory with the project is not there.
    #[error("`{name}` has no directory `{directory}` with the project", directory = directory.escape_debug())]
    NoProject {
        /// The file name or path.
        name: String,
        /// What is missing.
        directory: String,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Source {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Archive { name, .. } => name.clone(),
            Self::Tree { path, .. } => path.display().to_string(),
        }
    }

    /// The directory within it that has the project, where it is not the top.
    pub fn subdirectory(&self) -> Option<&str> {
        match self {
            Self::Archive { subdirectory, .. } | Self::Tree { subdirectory, .. } => {
                subdirectory.as_deref()
            }
        }
    }

    /// Digest of what is compiled: of the file, or over paths, modes and contents of the directory.
    ///
    /// # Errors
    /// [`SourceError`] when the directory cannot be read.
    pub fn digest(&self) -> Result<Digest, SourceError> {
        match self {
            Self::Archive { digest, .. } => Ok(*digest),
            Self::Tree { path, .. } => tree_digest(path),
        }
    }

    /// Writes the tree below `into`, which exists and is empty; answers the directory of the project, relative to it.
    ///
    /// # Errors
    /// [`SourceError`]; a damaged blob is a [`unheck_store::Corruption`] inside.
    pub fn place(&self, store: &Store, into: &Path) -> Result<String, SourceError> {
        let mut placer = Placer::new(self.name(), into);
        match self {
            Self::Archive { name, digest, .. } => unpack(store, name, digest, &mut placer)?,
            Self::Tree { path, .. } => copy(path, &mut placer)?,
        }
        let top = match self {
            Self::Archive { .. } => placer.only_top(),
            Self::Tree { .. } => None,
        };
        placer.finish()?;
        let mut project = top.unwrap_or_default();
        if let Some(below) = self.subdirectory() {
            project = format!("{project}/{below}").trim_matches('/').to_owned();
        }
        let inside = project.is_empty() || TreePath::new(&project).is_ok();
        // The last component may be a link in the tree; it was checked to stay inside.
        if !inside || !into.join(&project).is_dir() {
            return Err(SourceError::NoProject {
                name: self.name(),
                directory: project,
            });
        }
        Ok(project)
    }
}

/// Writes entries below a directory.
pub(super) struct Placer<'a> {
    name: String,
    into: &'a Path,
    made: BTreeSet<TreePath>,
    files: BTreeSet<TreePath>,
    links: BTreeMap<TreePath, String>,
    tops: BTreeSet<String>,
}

impl<'a> Placer<'a> {
    pub(super) fn new(name: String, into: &'a Path) -> Self {
        Self {
            name,
            into,
            made: BTreeSet::new(),
            files: BTreeSet::new(),
            links: BTreeMap::new(),
            tops: BTreeSet::new(),
        }
    }

    fn refused(&self, path: &TreePath, problem: impl Into<String>) -> SourceError {
        SourceError::Entry {
            name: self.name.clone(),
            path: path.to_string(),
            problem: problem.into(),
        }
    }

    /// The one directory that everything is in, as an sdist must have it (PEP 517).
    fn only_top(&self) -> Option<String> {
        let only = self.tops.iter().next()?;
        let file = TreePath::new(only).is_ok_and(|path| self.files.contains(&path));
        (self.tops.len() == 1 && !file).then(|| only.clone())
    }

    /// Makes the directories above and of a path.
    fn directory(&mut self, path: &TreePath) -> Result<(), SourceError> {
        let mut above = Some(path.clone());
        let mut missing = Vec::new();
        while let Some(at) = above {
            if self.made.contains(&at) {
                break;
            }
            if self.files.contains(&at) || self.links.contains_key(&at) {
                return Err(self.refused(&at, "is both a directory and something else"));
            }
            above = at.parent();
            missing.push(at);
        }
        for at in missing.into_iter().rev() {
            let to = self.into.join(at.as_str());
            fs_err::create_dir(&to)
                .and_then(|()| fs_err::set_permissions(&to, PermissionsExt::from_mode(0o755)))
                .map_err(|source| SourceError::Place { path: to, source })?;
            self.made.insert(at);
        }
        Ok(())
    }

    fn enter(&mut self, path: &TreePath) -> Result<PathBuf, SourceError> {
        if let Some(top) = path.as_str().split('/').next() {
            self.tops.insert(top.to_owned());
        }
        if let Some(above) = path.parent() {
            self.directory(&above)?;
        }
        let taken = self.made.contains(path) || self.links.contains_key(path);
        if taken || self.files.contains(path) {
            return Err(self.refused(path, "is there twice"));
        }
        Ok(self.into.join(path.as_str()))
    }

    fn add_directory(&mut self, path: &TreePath) -> Result<(), SourceError> {
        if let Some(top) = path.as_str().split('/').next() {
            self.tops.insert(top.to_owned());
        }
        self.directory(path)
    }

    pub(super) fn add_file(
        &mut self,
        path: &TreePath,
        executable: bool,
        content: &mut dyn Read,
    ) -> Result<(), SourceError> {
        let to = self.enter(path)?;
        let mode = if executable { 0o755 } else { 0o644 };
        let mut write = || -> std::io::Result<()> {
            let mut file = fs_err::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&to)?;
            std::io::copy(content, &mut file)?;
            file.file()
                .set_permissions(PermissionsExt::from_mode(mode))?;
            file.file()
                .set_modified(UNIX_EPOCH + Duration::from_secs(EPOCH))
        };
        write().map_err(|source| SourceError::Place {
            path: self.into.join(path.as_str()),
            source,
        })?;
        self.files.insert(path.clone());
        Ok(())
    }

    pub(super) fn add_link(&mut self, path: &TreePath, text: &str) -> Result<(), SourceError> {
        self.enter(path)?;
        if text.starts_with('/') || path.resolve_link(text).is_none() {
            return Err(self.refused(path, format!("is a link out of the tree, to `{text}`")));
        }
        self.links.insert(path.clone(), text.to_owned());
        Ok(())
    }

    fn add_hardlink(&mut self, path: &TreePath, target: &TreePath) -> Result<(), SourceError> {
        if !self.files.contains(target) {
            return Err(self.refused(
                path,
                format!("is another name of `{target}`, which is not there"),
            ));
        }
        let to = self.enter(path)?;
        fs_err::hard_link(self.into.join(target.as_str()), &to)
            .map_err(|source| SourceError::Place { path: to, source })?;
        self.files.insert(path.clone());
        Ok(())
    }

    /// Makes the links, when nothing more is written.
    pub(super) fn finish(&mut self) -> Result<(), SourceError> {
        for (path, text) in &self.links {
            let to = self.into.join(path.as_str());
            fs_err::os::unix::fs::symlink(text, &to)
                .map_err(|source| SourceError::Place { path: to, source })?;
        }
        Ok(())
    }
}

fn unpack(
    store: &Store,
    name: &str,
    digest: &Digest,
    placer: &mut Placer<'_>,
) -> Result<(), SourceError> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let blob = std::io::BufReader::with_capacity(256 << 10, store.open_verified(digest)?);
    if ends(&[".tar.gz", ".tgz"]) {
        tar(blob, LayerMediaType::Gzip, placer)
    } else if ends(&[".tar.zst"]) {
        tar(blob, LayerMediaType::Zstd, placer)
    } else if ends(&[".tar"]) {
        tar(blob, LayerMediaType::Tar, placer)
    } else if ends(&[".tar.xz", ".txz"]) {
        let unpacked = lzma_rust2::XzReader::new_mem_limit(blob, true, XZ_MEMORY);
        tar(unpacked, LayerMediaType::Tar, placer)
    } else if ends(&[".zip"]) {
        drop(blob);
        zip(store, digest, placer)
    } else {
        Err(SourceError::Form {
            name: name.to_owned(),
        })
    }
}

fn tar(
    reader: impl Read,
    media_type: LayerMediaType,
    placer: &mut Placer<'_>,
) -> Result<(), SourceError> {
    let options = ReadOptions {
        media_type,
        diff_id: None,
        limits: LIMITS,
    };
    let mut failed = None;
    let name = placer.name.clone();
    let result = read_layer(reader, &options, &mut |entry, content| {
        let placed = match &entry.kind {
            NodeKind::Dir => placer.add_directory(&entry.path),
            NodeKind::File { .. } => placer.add_file(&entry.path, entry.mode & 0o111 != 0, content),
            NodeKind::Symlink(text) => placer.add_link(&entry.path, text),
            NodeKind::Hardlink(target) => placer.add_hardlink(&entry.path, target),
            NodeKind::Whiteout { .. } | NodeKind::Opaque { .. } => {
                placer.add_file(&entry.path, false, content)
            }
            NodeKind::CharDevice(..) | NodeKind::BlockDevice(..) | NodeKind::Fifo => {
                Err(placer.refused(&entry.path, "is a device or a pipe"))
            }
        };
        placed.map_err(|error| {
            let text = error.to_string();
            failed = Some(error);
            std::io::Error::other(text)
        })
    });
    match (result, failed) {
        (Ok(_), _) => Ok(()),
        (Err(ReadLayerError::Visit { .. }), Some(error)) => Err(error),
        (Err(source), _) => Err(SourceError::Archive {
            name,
            source: Box::new(source),
        }),
    }
}

fn zip(store: &Store, digest: &Digest, placer: &mut Placer<'_>) -> Result<(), SourceError> {
    let name = placer.name.clone();
    let refused = |source| SourceError::Zip {
        name: name.clone(),
        source: Box::new(source),
    };
    store.verify(digest)?;
    let mut blob = std::io::BufReader::new(store.open_blob(digest)?);
    let len = store.size_of(digest).unwrap_or_default();
    let limits = unheck_wheel::Limits::default();
    let archive = unheck_wheel::zip::Archive::open(&mut blob, len, &limits).map_err(refused)?;
    for (index, member) in archive.members().iter().enumerate() {
        if member.is_dir {
            placer.add_directory(&member.path)?;
            continue;
        }
        let most = (unheck_wheel::Limit::Total, MAX_ZIP_MEMBER);
        let content = archive.read(&mut blob, index, most).map_err(refused)?;
        placer.add_file(&member.path, member.executable, &mut content.as_slice())?;
    }
    Ok(())
}

/// Memory that unpacking xz may take, in kibibytes: what the highest preset needs.
const XZ_MEMORY: u32 = 70 << 10;

/// Largest member of a zip sdist, in bytes: one is in memory at a time.
const MAX_ZIP_MEMBER: u64 = 256 << 20;

/// What of a directory is no source: what tools keep there for themselves.
fn is_source(name: &str) -> bool {
    !matches!(
        name,
        ".git"
            | ".hg"
            | ".svn"
            | "__pycache__"
            | ".venv"
            | "venv"
            | ".tox"
            | ".nox"
            | "node_modules"
            | ".mypy_cache"
            | ".ruff_cache"
            | ".pytest_cache"
    )
}

/// Every file and link of a directory, sorted by path.
fn walk(root: &Path) -> Result<Vec<(TreePath, walkdir::DirEntry)>, SourceError> {
    let walk = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| {
            entry.depth() == 0 || is_source(&entry.file_name().to_string_lossy())
        });
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| SourceError::Place {
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into(),
        })?;
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let text = below.to_str().unwrap_or_default().to_owned();
        // Names that are no text cannot be in a wheel.
        if let Ok(path) = TreePath::new(&text) {
            found.push((path, entry));
        }
        if found.len() as u64 > LIMITS.entries {
            return Err(SourceError::Entry {
                name: root.display().to_string(),
                path: text,
                problem: format!("is one of more than {} files", LIMITS.entries),
            });
        }
    }
    Ok(found)
}

/// Copies the files of a directory into another that is empty.
///
/// # Errors
/// [`SourceError`].
pub(super) fn copy_into(from: &Path, into: &Path) -> Result<(), SourceError> {
    let mut placer = Placer::new(from.display().to_string(), into);
    copy(from, &mut placer)?;
    placer.finish()
}

fn copy(root: &Path, placer: &mut Placer<'_>) -> Result<(), SourceError> {
    for (path, entry) in walk(root)? {
        let failed = |source| SourceError::Place {
            path: entry.path().to_owned(),
            source,
        };
        let kind = entry.file_type();
        if kind.is_dir() {
            placer.add_directory(&path)?;
        } else if kind.is_symlink() {
            let text = fs_err::read_link(entry.path()).map_err(failed)?;
            placer.add_link(&path, &text.to_string_lossy())?;
        } else if kind.is_file() {
            let mut file = fs_err::File::open(entry.path()).map_err(failed)?;
            let mode = file.metadata().map_err(failed)?.mode();
            placer.add_file(&path, mode & 0o111 != 0, &mut file)?;
        }
    }
    Ok(())
}

/// Digest over paths, kinds, execute bits and contents of a directory.
fn tree_digest(root: &Path) -> Result<Digest, SourceError> {
    let mut hasher = Hasher::new();
    let mut say = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (path, entry) in walk(root)? {
        let failed = |source| SourceError::Place {
            path: entry.path().to_owned(),
            source,
        };
        let kind = entry.file_type();
        if kind.is_symlink() {
            say(b"link");
            say(path.as_str().as_bytes());
            let text = fs_err::read_link(entry.path()).map_err(failed)?;
            say(text.as_os_str().as_encoded_bytes());
        } else if kind.is_file() {
            let mut file = fs_err::File::open(entry.path()).map_err(failed)?;
            let executable = file.metadata().map_err(failed)?.mode() & 0o111 != 0;
            say(if executable { b"program" } else { b"file" });
            say(path.as_str().as_bytes());
            let (digest, _) = Digest::of_reader(&mut file).map_err(failed)?;
            say(digest.hex().as_bytes());
        }
    }
    Ok(hasher.finish())
}

/// Gives a tree to the user inside. Only root needs it: any other user is that one inside, and so is a root
/// of a user namespace in which that user does not exist.
pub(crate) fn give(directory: &Path) -> std::io::Result<()> {
    if fs_err::metadata(directory)?.uid() != 0 {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(directory) {
        match std::os::unix::fs::lchown(entry?.path(), Some(NONROOT), Some(NONROOT)) {
            // `chown(2)`: EINVAL is an id that the caller's namespace does not have.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return Ok(()),
            given => given?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
