//! Reads relocatable artifacts: what they say of themselves ([`describe`]), and where their files
//! are ([`open_form`]). Every byte is hostile; nothing is followed out of an artifact while reading
//! archives, and nothing is started.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_launcher::{ExeFile, ItemKind, ReadExeError};
use unheck_oci::image::LayerMediaType;
use unheck_oci::layer_reader::{Limits, NodeKind, ReadLayerError, ReadOptions, read_layer};
use unheck_store::{DerivedDir, Store};

use super::{Format, MANIFEST_PATH, Manifest, kind_of};
use crate::build::LOCK_PATH;
use crate::explain::{Class, Explain};
use crate::lock::{Lock, ReadLockError};
use crate::roots::{self, LayerIndex, RootsError, Strange};
use crate::steps::left_out::{LeftOutList, is_left_out_list};

/// Longest manifest or lock that is read.
const MAX_LIST: u64 = 256 << 20;

/// What a relocatable artifact says of itself.
#[derive(Debug, Clone)]
pub struct Described {
    /// Which form it has.
    pub format: Format,
    /// Its list of files.
    pub manifest: Manifest,
    /// The lock that it was made from.
    pub lock: Lock,
    /// Its list of what was left out.
    pub left_out: Option<LeftOutList>,
    /// Bytes on disk: of the file, or of all files of a directory.
    pub size: u64,
    /// Digest of the file, or of a directory's list of files.
    pub digest: Digest,
}

/// A relocatable artifact with its files.
#[derive(Debug)]
pub struct Form {
    /// What it says.
    pub described: Described,
    /// The directory that its files are in.
    pub root: PathBuf,
    /// Keeps what was unpacked.
    _guard: Option<DerivedDir>,
}

/// A relocatable artifact cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It cannot be read.
    #[error("cannot read `{path}`", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no archive that can be read.
    #[error("cannot read the archive `{path}`", path = path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<ReadLayerError>,
    },
    /// It says nothing of itself.
    #[error("`{path}` is no artifact of unheck: it has no `{missing}`", path = path.display())]
    Stranger {
        /// The artifact.
        path: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// Its list of files is none.
    #[error("cannot use the list of files of `{path}`", path = path.display())]
    Manifest {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Its lock is none.
    #[error("cannot use the lock inside `{path}`", path = path.display())]
    Lock {
        /// The artifact.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<ReadLockError>,
    },
    /// It cannot be unpacked.
    #[error("cannot unpack the artifact")]
    Roots(#[from] RootsError),
    /// It is an executable that cannot be read.
    #[error("cannot read the executable")]
    Exe(#[from] Box<ReadExeError>),
    /// It is not one of the forms that can be read here.
    #[error("`{path}` is an image", path = path.display())]
    Image {
        /// The artifact.
        path: PathBuf,
    },
}

impl Explain for FormError {
    fn class(&self) -> Class {
        match self {
            Self::Roots(error) => error.class(),
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Roots(error) => error.hints(),
            Self::Stranger { .. } | Self::Archive { .. } => {
                vec!["give what `unheck build` wrote".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// What the artifact at `path` says of itself; no file is unpacked.
///
/// # Errors
/// [`FormError`].
pub fn describe(path: &Path) -> Result<Described, FormError> {
    let read = |source| FormError::Read {
        path: path.to_owned(),
        source,
    };
    let format = kind_of(path).map_err(read)?;
    let texts = match format {
        Format::Image => {
            return Err(FormError::Image {
                path: path.to_owned(),
            });
        }
        Format::Dir => dir_texts(path)?,
        Format::Tar => archive_texts(path)?,
        Format::Exe => exe_texts(path)?,
    };
    let manifest = texts.manifest.ok_or_else(|| FormError::Stranger {
        path: path.to_owned(),
        missing: MANIFEST_PATH,
    })?;
    let lock = texts.lock.ok_or_else(|| FormError::Stranger {
        path: path.to_owned(),
        missing: LOCK_PATH,
    })?;
    let (digest, len) = match format {
        Format::Dir => (Digest::of(&manifest), None),
        _ => {
            let (digest, len) = fs_err::File::open(path)
                .and_then(Digest::of_reader)
                .map_err(read)?;
            (digest, Some(len))
        }
    };
    let manifest = Manifest::from_bytes(&manifest).map_err(|source| FormError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    let lock = Lock::from_text(&String::from_utf8_lossy(&lock), Path::new(LOCK_PATH)).map_err(
        |source| FormError::Lock {
            path: path.to_owned(),
            source: Box::new(source),
        },
    )?;
    let size = len.unwrap_or_else(|| manifest.unpacked());
    let left_out = texts
        .left_out
        .map(|bytes| LeftOutList::read(&String::from_utf8_lossy(&bytes)));
    Ok(Described {
        format,
        manifest,
        lock,
        left_out,
        size,
        digest,
    })
}

/// Opens an artifact with its files: a directory where it stands, anything else unpacked once into
/// the store.
///
/// # Errors
/// [`FormError`].
pub fn open_form(store: &Store, path: &Path) -> Result<Form, FormError> {
    let described = describe(path)?;
    let absolute = std::path::absolute(path).map_err(|source| FormError::Read {
        path: path.to_owned(),
        source,
    })?;
    if described.format == Format::Dir {
        // A link to the artifact is as good as its own name.
        let root = fs_err::canonicalize(absolute).map_err(|source| FormError::Read {
            path: path.to_owned(),
            source,
        })?;
        return Ok(Form {
            described,
            root,
            _guard: None,
        });
    }
    let guard = match described.format {
        Format::Tar => {
            let (file, media_type) = archive(path)?;
            roots::unpacked_archive(store, &described.digest, file, media_type)?
        }
        _ => unpacked_exe(store, path, &described.digest)?,
    };
    let tree = guard.path().join(roots::TREE);
    let root = if described.format == Format::Tar {
        only_directory(&tree).ok_or_else(|| FormError::Stranger {
            path: path.to_owned(),
            missing: MANIFEST_PATH,
        })?
    } else {
        tree
    };
    Ok(Form {
        described,
        root,
        _guard: Some(guard),
    })
}

/// The program that starts an artifact on this machine. An archive is unpacked into the store.
///
/// # Errors
/// [`FormError`].
pub fn program_of(store: &Store, path: &Path) -> Result<PathBuf, FormError> {
    let read = |source| FormError::Read {
        path: path.to_owned(),
        source,
    };
    if kind_of(path).map_err(read)? == Format::Exe {
        return std::path::absolute(path).map_err(read);
    }
    let form = open_form(store, path)?;
    Ok(form.root.join(form.described.manifest.entry.as_str()))
}

impl Form {
    /// What stands in its directory at this moment, whatever its list says.
    ///
    /// # Errors
    /// It cannot be read, or holds what no artifact may have.
    pub fn index(&self) -> Result<LayerIndex, FormError> {
        roots::index_of(&self.root, Strange::Refused).map_err(|source| FormError::Read {
            path: self.root.clone(),
            source,
        })
    }
}

#[derive(Default)]
struct Texts {
    manifest: Option<Vec<u8>>,
    lock: Option<Vec<u8>>,
    left_out: Option<Vec<u8>>,
}

impl Texts {
    /// Where the text of a path goes, if it is one of them.
    fn slot(&mut self, path: &str) -> Option<&mut Option<Vec<u8>>> {
        match path {
            MANIFEST_PATH => Some(&mut self.manifest),
            LOCK_PATH => Some(&mut self.lock),
            _ if is_left_out_list(path) => Some(&mut self.left_out),
            _ => None,
        }
    }
}

fn dir_texts(path: &Path) -> Result<Texts, FormError> {
    let manifest = text_of(path, MANIFEST_PATH)?;
    let names = manifest
        .as_ref()
        .and_then(|bytes| Manifest::from_bytes(bytes).ok())
        .into_iter()
        .flat_map(|manifest| manifest.files.into_keys());
    let left_out = match { names }.find(|path| is_left_out_list(path.as_str())) {
        Some(name) => text_of(path, name.as_str())?,
        None => None,
    };
    Ok(Texts {
        manifest,
        lock: text_of(path, LOCK_PATH)?,
        left_out,
    })
}

fn text_of(root: &Path, name: &str) -> Result<Option<Vec<u8>>, FormError> {
    let path = root.join(name);
    match crate::verify::view::read(&path, MAX_LIST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FormError::Read { path, source }),
    }
}

/// The archive with what is around it.
fn archive(path: &Path) -> Result<(fs_err::File, LayerMediaType), FormError> {
    let read = |source| FormError::Read {
        path: path.to_owned(),
        source,
    };
    let mut first = [0; 2];
    let got = fs_err::File::open(path)
        .and_then(|mut file| file.read(&mut first))
        .map_err(read)?;
    let media_type = match &first[..got] {
        [0x28, 0xb5] => LayerMediaType::Zstd,
        [0x1f, 0x8b] => LayerMediaType::Gzip,
        _ => LayerMediaType::Tar,
    };
    Ok((fs_err::File::open(path).map_err(read)?, media_type))
}

fn archive_texts(path: &Path) -> Result<Texts, FormError> {
    let (file, media_type) = archive(path)?;
    let options = ReadOptions {
        media_type,
        diff_id: None,
        limits: Limits::default(),
    };
    let mut texts = Texts::default();
    read_layer(file, &options, &mut |entry, content| {
        if let NodeKind::File { len } = entry.kind
            && let Some(place) = below_top(&entry.path)
            && let Some(slot) = texts.slot(place)
        {
            if len > MAX_LIST {
                return Err(io::Error::other("it is longer than the limit `MAX_LIST`"));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            *slot = Some(bytes);
        }
        Ok(())
    })
    .map_err(|source| FormError::Archive {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    Ok(texts)
}

/// The path below the one directory that an archive of ours holds.
fn below_top(path: &TreePath) -> Option<&str> {
    path.as_str().split_once('/').map(|(_, rest)| rest)
}

fn only_directory(tree: &Path) -> Option<PathBuf> {
    let mut entries = fs_err::read_dir(tree).ok()?;
    let only = entries.next()?.ok()?;
    let single = entries.next().is_none() && only.file_type().ok()?.is_dir();
    single.then(|| only.path())
}

fn exe_texts(path: &Path) -> Result<Texts, FormError> {
    let exe = open_exe(path)?;
    let mut texts = Texts::default();
    let wanted = |path: &TreePath| Texts::default().slot(path.as_str()).is_some();
    exe.visit(&wanted, &mut |item, content| {
        let mut bytes = Vec::new();
        content.take(MAX_LIST).read_to_end(&mut bytes)?;
        if let Some(slot) = texts.slot(item.path.as_str()) {
            *slot = Some(bytes);
        }
        Ok(())
    })
    .map_err(|source| FormError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(texts)
}

fn open_exe(path: &Path) -> Result<ExeFile, FormError> {
    ExeFile::open(path).map_err(|source| match source {
        ReadExeError::Absent { path } => FormError::Stranger {
            path,
            missing: MANIFEST_PATH,
        },
        source => FormError::Exe(Box::new(source)),
    })
}

fn unpacked_exe(store: &Store, path: &Path, digest: &Digest) -> Result<DerivedDir, FormError> {
    let exe = open_exe(path)?;
    let read = |source| FormError::Read {
        path: path.to_owned(),
        source,
    };
    roots::unpacked_with(store, digest, |tree| unpack_exe(&exe, tree).map_err(read))
}

/// Writes the tree of an executable below a directory. No path of it leads out, and none goes
/// through a link: the reader of the index sees to both.
fn unpack_exe(exe: &ExeFile, tree: &Path) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    exe.visit(&|_| true, &mut |item, content| {
        let place = tree.join(item.path.as_str());
        match &item.kind {
            ItemKind::Dir => fs_err::create_dir(&place)?,
            ItemKind::Symlink(text) => symlink(text, &place)?,
            ItemKind::File { .. } | ItemKind::Launcher { .. } => {
                let mut file = fs_err::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&place)?;
                io::copy(content, &mut file)?;
                let mode = (item.mode & 0o777) | 0o400;
                file.file()
                    .set_permissions(std::fs::Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    })
}
