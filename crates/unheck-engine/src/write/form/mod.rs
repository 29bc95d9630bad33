//! Writers of relocatable artifacts. Start at [`stage_file`] (archives and
//! executables) and [`lay_out`] (directories).
//!
//! What is below the app is on disk in the store, unpacked once for a lock ([`stage`]); the app's
//! own files, the launch description and the lists come from memory or from where they are.

mod archive;
mod dir;
mod exe;
pub(crate) mod stage;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_base::{Digest, TreePath};
use unheck_store::{Store, StoreError, VerifyingReader};

use super::Compression;
use crate::assemble::PackReader;
use crate::explain::{Class, Explain};
use crate::form::{FormFile, FormNode, Format};
use crate::tree::{Kind, Tree};

pub(crate) use dir::{lay_out, refuse_strangers, replace};
pub(crate) use stage::Below;

/// The date of every file, as in images: 1980-01-01.
pub(crate) const MTIME: i64 = 315_532_800;

/// A relocatable artifact before it is written.
pub(crate) struct Parts<'a> {
    /// What is below the app, on disk.
    pub(crate) below: &'a Below,
    /// Everything else, the manifest among it.
    pub(crate) app: &'a Tree,
    /// Where compressed parts of executables are kept.
    pub(crate) store: &'a Store,
    /// Reads files of `app`.
    pub(crate) reader: PackReader<'a>,
    /// The directory above all others in an archive: `NAME-VERSION`.
    pub(crate) top: String,
    /// The launcher.
    pub(crate) stub: &'static [u8],
}

/// A relocatable artifact on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenForm {
    /// Where.
    pub path: PathBuf,
    /// Digest of the file; of a directory, that of its list of files.
    pub digest: Digest,
    /// Length of the file in bytes, or of all files of a directory.
    pub size: u64,
    /// Files of a directory that share their bytes with the store.
    pub linked: u64,
    /// Whether it was there already, byte for byte.
    pub unchanged: bool,
}

/// What is remembered of a file that was written, so that it is not written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
struct Remembered {
    /// The digest of all that decides its bytes.
    key: Digest,
    digest: Digest,
    size: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Remembered {
    fn of(written: &WrittenForm, key: Digest) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs_err::symlink_metadata(&written.path)?;
        Ok(Self {
            key,
            digest: written.digest,
            size: written.size,
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

fn state(output: &Path) -> String {
    let absolute = std::path::absolute(output).unwrap_or_else(|_| output.to_owned());
    let name = Digest::of(absolute.as_os_str().as_encoded_bytes());
    format!("form-{}", name.hex())
}

/// The file at `output`, where nobody wrote to it since it was written from the same `key`.
///
/// # Errors
/// The store fails.
pub(crate) fn still_there(
    store: &Store,
    output: &Path,
    key: &Digest,
) -> Result<Option<WrittenForm>, WriteFormError> {
    let Some(known) = store.state_get::<Remembered>(&state(output))? else {
        return Ok(None);
    };
    let written = WrittenForm {
        path: output.to_owned(),
        digest: known.digest,
        size: known.size,
        linked: 0,
        unchanged: true,
    };
    let same = Remembered::of(&written, *key).is_ok_and(|now| now == known);
    let whole = fs_err::symlink_metadata(output).is_ok_and(|found| found.len() == known.size);
    Ok((same && whole).then_some(written))
}

/// Remembers a file that was written from `key`.
///
/// # Errors
/// The store fails.
pub(crate) fn remember(
    store: &Store,
    written: &WrittenForm,
    key: Digest,
) -> Result<(), WriteFormError> {
    let remembered = Remembered::of(written, key).map_err(|source| WriteFormError::Output {
        path: written.path.clone(),
        source,
    })?;
    Ok(store.state_put(&state(&written.path), &remembered)?)
}

/// A relocatable artifact cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteFormError {
    /// The output cannot be written.
    #[error("cannot write `{path}`", path = path.display())]
    Output {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the tree cannot be read.
    #[error("cannot read `{path}` of the tree")]
    Read {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something of the user's stands where a directory is to go.
    #[error("`{path}` is there already and holds `{stranger}`, which unheck did not write", path = path.display())]
    Stranger {
        /// The directory.
        path: PathBuf,
        /// What it holds.
        stranger: String,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive `{path}`", path = path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<unheck_oci::layer::LayerError>,
    },
    /// An archive cannot hold a node.
    #[error("cannot write `{path}` into the archive")]
    Entry {
        /// Its place in the tree.
        path: TreePath,
        /// Why not.
        #[source]
        source: Box<unheck_oci::tar_writer::TarError>,
    },
    /// The executable cannot be written.
    #[error("cannot write the executable `{path}`", path = path.display())]
    Exe {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<unheck_launcher::ExeError>,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl Explain for WriteFormError {
    fn class(&self) -> Class {
        match self {
            Self::Output { source, .. } if is_full(source) => Class::Limit,
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Output { .. } | Self::Stranger { .. } => Class::Input,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Output { source, .. } if is_full(source) => {
                vec!["free some space, or write elsewhere with `--output PATH`".to_owned()]
            }
            Self::Output { .. } => {
                vec!["choose a place that you may write to with `--output PATH`".to_owned()]
            }
            Self::Stranger { path, .. } => vec![format!(
                "remove `{}` if you do not need what is in it, or write elsewhere with `--output PATH`",
                path.display()
            )],
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// An archive or executable beside its output, under a name of its own.
pub(crate) struct StagedFile {
    file: tempfile::TempPath,
    written: WrittenForm,
}

/// Writes an archive or an executable beside `output`, where nobody takes it for the whole.
///
/// # Errors
/// [`WriteFormError`].
pub(crate) fn stage_file(
    parts: &Parts<'_>,
    output: &Path,
    format: Format,
    compression: Compression,
) -> Result<StagedFile, WriteFormError> {
    let directory = directory_of(output)?;
    let failed = |source| WriteFormError::Output {
        path: output.to_owned(),
        source,
    };
    if fs_err::symlink_metadata(output).is_ok_and(|found| found.is_dir()) {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let mut file = tempfile::Builder::new()
        .prefix(".unheck-")
        .tempfile_in(&directory)
        .map_err(failed)?;
    let (digest, size) = match format {
        Format::Exe => exe::write(parts, output, compression, &mut file)?,
        _ => archive::write(parts, output, compression, &mut file)?,
    };
    let mode = if format == Format::Exe { 0o755 } else { 0o644 };
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))
        .map_err(failed)?;
    let written = WrittenForm {
        path: output.to_owned(),
        digest,
        size,
        linked: 0,
        unchanged: false,
    };
    // A file that somebody has open for writing cannot be started (`ETXTBSY`).
    let file = file.into_temp_path();
    Ok(StagedFile { file, written })
}

impl StagedFile {
    /// Where it is until it is kept.
    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// What was written.
    pub(crate) const fn written(&self) -> &WrittenForm {
        &self.written
    }

    /// Gives it its name; what stood there before is replaced whole or not at all.
    ///
    /// # Errors
    /// [`WriteFormError::Output`].
    pub(crate) fn keep(self) -> Result<WrittenForm, WriteFormError> {
        let Self { file, written } = self;
        file.persist(&written.path)
            .map_err(|error| WriteFormError::Output {
                path: written.path.clone(),
                source: error.error,
            })?;
        Ok(written)
    }
}

/// The directory that an output is in, which is made where it is missing.
///
/// # Errors
/// [`WriteFormError::Output`].
pub(crate) fn directory_of(output: &Path) -> Result<PathBuf, WriteFormError> {
    let parent = output.parent().filter(|parent| *parent != Path::new(""));
    let Some(parent) = parent else {
        return Ok(PathBuf::from("."));
    };
    fs_err::create_dir_all(parent).map_err(|source| WriteFormError::Output {
        path: parent.to_owned(),
        source,
    })?;
    Ok(parent.to_owned())
}

/// A node of an artifact, wherever its bytes are.
pub(crate) enum Piece<'a> {
    /// A file of the part in the store.
    Below(&'a FormFile),
    /// A node of the app's part.
    App(&'a crate::tree::Node),
}

impl Parts<'_> {
    /// Every file and link, by path.
    pub(crate) fn pieces(&self) -> BTreeMap<&TreePath, Piece<'_>> {
        let mut pieces: BTreeMap<&TreePath, Piece<'_>> = self
            .below
            .files()
            .iter()
            .map(|(path, file)| (path, Piece::Below(file)))
            .collect();
        let app = self
            .app
            .iter()
            .filter(|(_, node)| !matches!(node.kind, Kind::Dir));
        pieces.extend(app.map(|(path, node)| (path, Piece::App(node))));
        pieces
    }

    /// Who brought one file or link, and what it is.
    pub(crate) fn described(&self, path: &TreePath) -> Option<FormFile> {
        match self.app.get(path) {
            Some(node) => Some(describe(node)),
            None => self.below.files().get(path).cloned(),
        }
    }

    /// The bytes of a file; a wrong digest fails at the end.
    pub(crate) fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + Send>> {
        if let Some(content) = self.app.get(path).and_then(crate::tree::Node::content) {
            return self.reader.open(content);
        }
        match self.below.files().get(path).map(|file| &file.what) {
            Some(FormNode::File { len, sha256, .. }) => {
                let file = fs_err::File::open(self.below.place(path))?;
                let object = self.below.object();
                Ok(Box::new(VerifyingReader::new(file, *len, *sha256, object)))
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Piece<'_> {
    /// Who brought it, and what it is.
    pub(crate) fn described(&self) -> FormFile {
        match self {
            Self::Below(file) => (*file).clone(),
            Self::App(node) => describe(node),
        }
    }
}

/// A node as the manifest has it.
pub(crate) fn describe(node: &crate::tree::Node) -> FormFile {
    let what = match &node.kind {
        Kind::Symlink(link) => FormNode::Link { link: link.clone() },
        Kind::File(content) => FormNode::File {
            len: content.len(),
            sha256: content.digest(),
            executable: node.mode & 0o111 != 0,
        },
        Kind::Dir => FormNode::Link {
            link: ".".to_owned(),
        },
    };
    FormFile {
        origin: node.origin.clone(),
        what,
    }
}
