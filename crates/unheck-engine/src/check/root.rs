//! A root to look into: a directory of this machine or an image. Start at [`Root`].
//!
//! Everything in it may be hostile. Links are followed inside the root only (by the kernel, with
//! `openat2` and `RESOLVE_IN_ROOT`, or by [`View`]), only regular files are opened, what is too
//! long is not read, and nothing is run.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use unheck_base::TreePath;
use unheck_elf::Object;
use unheck_oci::layer_reader::{LayerEntry, Limits, NodeKind, ReadOptions, read_layer};
use unheck_oci::open::{Opened, OpenedImage};

use crate::explain::{Class, Explain};
use crate::inside::{InsideError, layer_media_type};
use crate::roots::{Elf, IndexNode, LayerIndex};
use crate::verify::view::View;

/// Longest object that is looked into: it is held in memory.
const MAX_OBJECT: u64 = 512 << 20;
/// Longest text that is kept of an image.
const MAX_TEXT: u64 = 16 << 20;
/// Most bytes of texts that are kept of an image.
const MAX_TEXTS: u64 = 64 << 20;
/// Most entries of one directory that are looked at.
const MAX_LIST: usize = 100_000;

/// What one path of a root is.
#[derive(Debug)]
pub enum Found {
    /// An ELF object.
    Object(Box<Object>),
    /// Nothing, or something that is no object.
    Nothing,
    /// It could not be looked into, with the reason.
    Unread(String),
}

/// Somewhere to look into. Paths have no leading slash; links are followed inside the root.
pub trait Root: Sync {
    /// Names in a directory, sorted; empty when it is none.
    fn list(&self, directory: &str) -> Vec<String>;
    /// The bytes of a regular file; `None` when there is none or it has more than `limit`.
    fn read(&self, path: &str, limit: u64) -> Option<Vec<u8>>;
    /// A name that is the same for all paths of one file or directory; `None` when there is none.
    fn identity(&self, path: &str) -> Option<String>;
    /// Whether there is something.
    fn exists(&self, path: &str) -> bool;
    /// The object at a path.
    fn object(&self, path: &str) -> Found;
    /// `2.36` of a glibc that says so of itself.
    fn glibc_release(&self, path: &str) -> Option<String>;
}

/// A directory cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// It cannot be opened.
    #[error("cannot open the root directory `{path}`", path = path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel cannot keep a path inside a root.
    #[error("this kernel has no `openat2`, without which links could lead out of `{path}`", path = path.display())]
    NoOpenat2 {
        /// The directory.
        path: PathBuf,
    },
}

impl Explain for RootError {
    fn class(&self) -> Class {
        match self {
            Self::Open { .. } => Class::Input,
            Self::NoOpenat2 { .. } => Class::Sandbox,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Open { .. } => Vec::new(),
            Self::NoOpenat2 { .. } => {
                vec!["use Linux 5.6 or newer, or capture an image of it".to_owned()]
            }
        }
    }
}

/// A directory of this machine.
#[derive(Debug)]
pub struct DirRoot {
    top: OwnedFd,
}

impl DirRoot {
    /// Opens a directory as a root.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let failed = |source: io::Error| RootError::Open {
            path: path.to_owned(),
            source,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let root = Self { top };
        match root.at(".", OFlags::PATH) {
            Ok(_) => Ok(root),
            Err(rustix::io::Errno::NOSYS) => Err(RootError::NoOpenat2 {
                path: path.to_owned(),
            }),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, rustix::io::Errno> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // `openat2` refuses flags that mean nothing together with `O_PATH`.
        let more = if flags.contains(OFlags::PATH) {
            OFlags::CLOEXEC
        } else {
            OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK
        };
        openat2(&self.top, path, flags | more, Mode::empty(), inside)
    }

    /// A regular file with its length. Looked at before it is opened: opening a device may do
    /// something, opening a pipe may wait.
    fn file(&self, path: &str) -> Result<Option<(fs_err::File, u64)>, rustix::io::Errno> {
        let is_file = |fd: &OwnedFd| -> Result<Option<u64>, rustix::io::Errno> {
            let stat = fstat(fd)?;
            let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            Ok(regular.then(|| u64::try_from(stat.st_size).unwrap_or(0)))
        };
        let missing = |error| match error {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
                Ok(None)
            }
            error => Err(error),
        };
        match self.at(path, OFlags::PATH) {
            Ok(fd) if is_file(&fd)?.is_none() => return Ok(None),
            Ok(_) => {}
            Err(error) => return missing(error),
        }
        let fd = match self.at(path, OFlags::RDONLY) {
            Ok(fd) => fd,
            Err(error) => return missing(error),
        };
        let Some(len) = is_file(&fd)? else {
            return Ok(None);
        };
        let file = fs_err::File::from_parts(std::fs::File::from(fd), path);
        Ok(Some((file, len)))
    }

    fn bytes(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        match self.file(path) {
            Ok(Some((file, len))) if len <= limit => {
                let mut bytes = Vec::new();
                file.take(limit)
                    .read_to_end(&mut bytes)
                    .map_err(|error| error.to_string())?;
                Ok(Some(bytes))
            }
            Ok(Some((_, len))) => Err(format!("it has {len} bytes, more than {limit}")),
            Ok(None) => Ok(None),
            Err(error) => Err(io::Error::from(error).to_string()),
        }
    }

    /// The first bytes, which tell an object.
    fn begins_like_elf(&self, path: &str) -> Result<bool, String> {
        match self.file(path) {
            Ok(Some((mut file, _))) => {
                let mut magic = [0; 4];
                Ok(file.read_exact(&mut magic).is_ok() && unheck_elf::is_elf(&magic))
            }
            Ok(None) => Ok(false),
            Err(error) => Err(io::Error::from(error).to_string()),
        }
    }
}

impl Root for DirRoot {
    fn list(&self, directory: &str) -> Vec<String> {
        let Ok(fd) = self.at(directory, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let Ok(entries) = Dir::new(fd) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .take(MAX_LIST)
            .map_while(Result::ok)
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name != "." && name != "..")
            .collect();
        names.sort();
        names
    }

    fn read(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        self.bytes(path, limit).ok().flatten()
    }

    fn identity(&self, path: &str) -> Option<String> {
        let stat = fstat(self.at(path, OFlags::PATH).ok()?).ok()?;
        Some(format!("{}:{}", stat.st_dev, stat.st_ino))
    }

    fn exists(&self, path: &str) -> bool {
        self.at(path, OFlags::PATH).is_ok()
    }

    fn object(&self, path: &str) -> Found {
        match self.begins_like_elf(path) {
            Ok(true) => {}
            Ok(false) => return Found::Nothing,
            Err(why) => return Found::Unread(why),
        }
        match self.bytes(path, MAX_OBJECT) {
            Ok(Some(bytes)) => match Object::parse(&bytes) {
                Ok(object) => Found::Object(Box::new(object)),
                Err(error) => Found::Unread(error.to_string()),
            },
            Ok(None) => Found::Nothing,
            Err(why) => Found::Unread(why),
        }
    }

    fn glibc_release(&self, path: &str) -> Option<String> {
        glibc_release(&self.read(path, MAX_OBJECT)?)
    }
}

/// An image, read layer by layer; nothing is unpacked.
#[derive(Debug)]
pub struct ImageRoot {
    view: View,
    texts: BTreeMap<TreePath, Vec<u8>>,
    releases: BTreeMap<TreePath, String>,
}

impl ImageRoot {
    /// Reads an image's layers.
    ///
    /// # Errors
    /// [`InsideError`] when one cannot be read.
    pub fn read(opened: &Opened, image: &OpenedImage) -> Result<Self, InsideError> {
        let mut layers = Layers::default();
        for (number, descriptor) in image.manifest.layers.iter().enumerate() {
            layers.number = number;
            let media_type = layer_media_type(descriptor, number)?;
            let options = ReadOptions {
                media_type,
                diff_id: None,
                limits: Limits::default(),
            };
            let blob = opened.blob(descriptor)?;
            read_layer(blob, &options, &mut |entry, reader| {
                layers.take(entry, reader)
            })
            .map_err(|source| InsideError::Layer {
                number: number + 1,
                source: Box::new(source),
            })?;
        }
        let nodes = layers
            .nodes
            .into_iter()
            .map(|(path, (_, node))| (path, node))
            .collect();
        Ok(Self {
            view: View::new(vec![LayerIndex { nodes }], Vec::new()),
            texts: layers.texts,
            releases: layers.releases,
        })
    }

    fn resolve(&self, path: &str) -> Option<TreePath> {
        self.view.resolve(&TreePath::new(path).ok()?)
    }
}

/// The layers so far, each over those below.
#[derive(Default)]
struct Layers {
    number: usize,
    nodes: BTreeMap<TreePath, (usize, IndexNode)>,
    texts: BTreeMap<TreePath, Vec<u8>>,
    releases: BTreeMap<TreePath, String>,
    kept: u64,
}

impl Layers {
    fn take(&mut self, entry: &LayerEntry, reader: &mut dyn Read) -> io::Result<()> {
        let path = &entry.path;
        let node = match &entry.kind {
            NodeKind::Dir => IndexNode::Dir,
            NodeKind::Symlink(text) => IndexNode::Link(text.clone()),
            NodeKind::Hardlink(other) => match self.nodes.get(other) {
                Some((_, node)) => node.clone(),
                None => return Ok(()),
            },
            NodeKind::File { len } => self.file(entry, *len, reader)?,
            NodeKind::Whiteout { hides } => {
                self.nodes.retain(|path, _| !path.is_under(hides.as_str()));
                return Ok(());
            }
            NodeKind::Opaque { directory } => {
                let number = self.number;
                self.nodes.retain(|path, (layer, _)| {
                    let inside = directory
                        .as_ref()
                        .is_none_or(|top| path != top && path.is_under(top.as_str()));
                    *layer == number || !inside
                });
                return Ok(());
            }
            // Devices and pipes are nothing to look into.
            _ => return Ok(()),
        };
        self.nodes.insert(path.clone(), (self.number, node));
        Ok(())
    }

    fn file(
        &mut self,
        entry: &LayerEntry,
        len: u64,
        reader: &mut dyn Read,
    ) -> io::Result<IndexNode> {
        let path = &entry.path;
        let node = |elf| IndexNode::File {
            len,
            executable: entry.mode & 0o111 != 0,
            elf,
        };
        if is_text(path) && len <= MAX_TEXT && self.kept + len <= MAX_TEXTS {
            let mut bytes = Vec::new();
            reader.take(MAX_TEXT).read_to_end(&mut bytes)?;
            self.kept += bytes.len() as u64;
            self.texts.insert(path.clone(), bytes);
            return Ok(node(None));
        }
        let mut magic = Vec::new();
        reader.take(4).read_to_end(&mut magic)?;
        if !unheck_elf::is_elf(&magic) {
            return Ok(node(None));
        }
        if len > MAX_OBJECT {
            return Ok(node(Some(Elf::TooLong)));
        }
        let mut bytes = magic;
        reader.take(MAX_OBJECT).read_to_end(&mut bytes)?;
        let elf = match Object::parse(&bytes) {
            Ok(object) => {
                if object.soname.as_deref() == Some("libc.so.6")
                    && let Some(release) = glibc_release(&bytes)
                {
                    self.releases.insert(path.clone(), release);
                }
                Elf::Read(Box::new(object))
            }
            Err(error) => Elf::Broken(error.to_string()),
        };
        Ok(node(Some(elf)))
    }
}

impl Root for ImageRoot {
    fn list(&self, directory: &str) -> Vec<String> {
        let Some(directory) = self.resolve(directory) else {
            return Vec::new();
        };
        let prefix = format!("{directory}/");
        let mut names: Vec<String> = self
            .view
            .iter()
            .filter_map(|(path, _)| path.as_str().strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    fn read(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        let bytes = self.texts.get(&self.resolve(path)?)?;
        (bytes.len() as u64 <= limit).then(|| bytes.clone())
    }

    fn identity(&self, path: &str) -> Option<String> {
        self.resolve(path).map(|path| path.to_string())
    }

    fn exists(&self, path: &str) -> bool {
        self.resolve(path).is_some()
    }

    fn object(&self, path: &str) -> Found {
        let node = self
            .resolve(path)
            .and_then(|place| self.view.get(&place).cloned());
        match node {
            Some(IndexNode::File { elf: Some(elf), .. }) => match elf {
                Elf::Read(object) => Found::Object(object),
                Elf::Broken(why) => Found::Unread(why),
                Elf::TooLong => Found::Unread(format!("it has more than {MAX_OBJECT} bytes")),
            },
            _ => Found::Nothing,
        }
    }

    fn glibc_release(&self, path: &str) -> Option<String> {
        self.releases.get(&self.resolve(path)?).cloned()
    }
}

/// The small files that tell what a root is.
fn is_text(path: &TreePath) -> bool {
    let text = path.as_str();
    matches!(
        text,
        "etc/os-release"
            | "usr/lib/os-release"
            | "etc/ld.so.conf"
            | "lib/apk/db/installed"
            | "usr/lib/apk/db/installed"
    ) || (path.is_under("etc/ld.so.conf.d") && text.ends_with(".conf"))
        || (text.starts_with("etc/ld-musl-") && text.ends_with(".path"))
}

/// `2.36` of the sentence that glibc prints when it is run (`csu/version.c`).
fn glibc_release(bytes: &[u8]) -> Option<String> {
    const WORDS: &[u8] = b"release version ";
    memchr::memmem::find_iter(bytes, WORDS).find_map(|at| {
        let rest = &bytes[at + WORDS.len()..];
        let end = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        let text = std::str::from_utf8(&rest[..end])
            .ok()?
            .trim_end_matches('.');
        (text.contains('.') && text.len() < 16).then(|| text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_says_its_release() {
        let text = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright";
        assert_eq!(glibc_release(text).as_deref(), Some("2.36"));
        assert_eq!(glibc_release(b"release version x release version 3."), None);
        assert_eq!(glibc_release(b"release version 2.36"), None);
    }
}
