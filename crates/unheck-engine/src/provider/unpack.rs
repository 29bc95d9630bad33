//! Reads an interpreter into a pack: which files of it are taken, and what it says of itself.
//!
//! Every byte of an archive is hostile: entries that are no files or links, and links that lead out of
//! the interpreter, are refused. Start at [`pack_archive`] and [`pack_prefix`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use unheck_base::{Digest, Hasher, TreePath};
use unheck_oci::image::LayerMediaType;
use unheck_oci::layer_reader::{
    LayerEntry, Limits, NodeKind, ReadLayerError, ReadOptions, read_layer,
};
use unheck_store::{Member, Pack, PackError, PackWriter, Store};

use super::{PLACE, ProviderError};
use crate::layout::minor;

/// Raised whenever the pack of the same interpreter would differ.
pub(super) const VERSION: u32 = 1;

/// What a standalone archive should be.
pub(super) const ARCHIVE: &str = "python-build-standalone archive of the kind `install_only`";

/// What a local installation should be.
const INSTALLATION: &str = "installation of Python";

/// Most entries and unpacked bytes of an archive; the largest real ones have 10,000 and 400 MB.
const LIMITS: Limits = Limits {
    entries: 200_000,
    bytes: 4 << 30,
};

/// Longest `patchlevel.h` that is read; the real one has 1.3 kB.
const MAX_HEADER: u64 = 64 << 10;

/// What is done with one file of an interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is taken.
    Keep,
    /// It is read for the version and left out.
    Header,
    /// It is left out, for this reason.
    Leave(&'static str),
}

/// What is done with the file at `path`, relative to the interpreter's own prefix.
pub(super) fn part(path: &str) -> Part {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["bin", name] if matches!(*name, "python" | "python3") || is_versioned(name) => Part::Keep,
        ["bin", ..] => Part::Leave("tools"),
        ["include", version, "patchlevel.h"] if is_versioned(version) => Part::Header,
        ["lib", version, rest @ ..] if is_versioned(version) && !rest.is_empty() => stdlib(rest),
        ["lib", name] if name.starts_with("libtcl") || name.starts_with("libtk") => {
            Part::Leave("Tk")
        }
        ["lib", name] if crate::close::is_library_name(name) => Part::Keep,
        ["lib", name, ..]
            if ["tcl", "tk", "itcl", "thread", "Tix"]
                .iter()
                .any(|tk| name.starts_with(tk)) =>
        {
            Part::Leave("Tk")
        }
        _ => Part::Leave("headers and documentation"),
    }
}

fn stdlib(rest: &[&str]) -> Part {
    let last = rest.last().copied().unwrap_or_default();
    if rest.contains(&"__pycache__") || last.ends_with(".pyc") {
        return Part::Leave("bytecode");
    }
    match rest {
        ["test", ..] => Part::Leave("the test suite"),
        ["tkinter" | "idlelib" | "turtledemo" | "turtle.py", ..] => Part::Leave("Tk"),
        ["lib-dynload", name] if name.starts_with("_tkinter.") => Part::Leave("Tk"),
        ["ensurepip", ..] => Part::Leave("the pip installer"),
        ["site-packages", ..] => Part::Leave("distributions installed in it"),
        ["EXTERNALLY-MANAGED"] => Part::Leave("the pip installer"),
        [config, ..] if config.starts_with("config-") => Part::Leave("files for embedding"),
        _ if last.ends_with(".a") || last.ends_with(".o") => Part::Leave("files for embedding"),
        _ => Part::Keep,
    }
}

/// `python3.13`, but not `python3.13t` (free-threaded) nor `python3.13-config`.
fn is_versioned(name: &str) -> bool {
    name.strip_prefix("python3.")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// `3.13.5` of the text of `patchlevel.h`.
pub(super) fn header_version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| {
        let rest = line
            .trim_start()
            .strip_prefix('#')?
            .trim_start()
            .strip_prefix("define")?;
        let rest = rest
            .strip_prefix([' ', '\t'])?
            .trim_start()
            .strip_prefix("PY_VERSION")?;
        rest.strip_prefix([' ', '\t'])
    })?;
    let version = line
        .trim()
        .strip_prefix('"')?
        .split('"')
        .next()?
        .trim_end_matches('+');
    let plain = version
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let three = version.split('.').count() == 3 && version.starts_with("3.") && version.len() <= 32;
    (plain && three).then(|| version.to_owned())
}

/// The version in a pack's facts.
pub(super) fn version(pack: &Pack) -> String {
    pack.meta()["version"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// What was left out, for people: `Tk (250 files), tools (9 files)`.
pub(super) fn left_out(pack: &Pack) -> String {
    let counts = pack.meta()["left_out"].as_object();
    let counts = counts.into_iter().flatten();
    counts
        .map(|(reason, count)| format!("{reason} ({count} files)"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// One file or link on its way into a pack.
enum Incoming<'a> {
    File { len: u64, executable: bool },
    Symlink(&'a str),
    Hardlink(&'a str),
}

/// Takes entries into a pack and remembers what they tell.
struct Taker {
    writer: PackWriter,
    name: String,
    version: Option<String>,
    left_out: BTreeMap<&'static str, u64>,
    /// Of the taken files, those that every interpreter has.
    marks: BTreeSet<String>,
}

impl Taker {
    fn new(store: &Store, key: &Digest, name: &str) -> Result<Self, ProviderError> {
        let writer = PackWriter::create(store, key)?;
        Ok(Self {
            writer,
            name: name.to_owned(),
            version: None,
            left_out: BTreeMap::new(),
            marks: BTreeSet::new(),
        })
    }

    fn refused(&self, path: &str, problem: impl Into<String>) -> ProviderError {
        ProviderError::Entry {
            name: self.name.clone(),
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// Takes one entry, by its path relative to the interpreter's prefix; the digest of a file.
    fn take(
        &mut self,
        path: &str,
        incoming: &Incoming<'_>,
        content: &mut dyn Read,
    ) -> Result<Option<Digest>, ProviderError> {
        match part(path) {
            Part::Leave(reason) => {
                *self.left_out.entry(reason).or_default() += 1;
                return Ok(None);
            }
            Part::Header => {
                let mut text = Vec::new();
                content
                    .take(MAX_HEADER)
                    .read_to_end(&mut text)
                    .map_err(|error| self.refused(path, format!("cannot be read: {error}")))?;
                self.version = header_version(&String::from_utf8_lossy(&text));
                return Ok(None);
            }
            Part::Keep => {}
        }
        let place = TreePath::new(&format!("{PLACE}/{path}"))
            .map_err(|error| self.refused(path, format!("cannot go into an image: {error}")))?;
        if path.starts_with("bin/") || path.ends_with("/os.py") {
            self.marks.insert(path.to_owned());
        }
        let member = |mode| Member {
            path: place.clone(),
            mode,
            mtime: 0,
        };
        let added = match incoming {
            Incoming::File { len, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                self.writer
                    .add_file(member(mode), Some(*len), content)
                    .map(|added| Some(added.digest))
            }
            Incoming::Symlink(text) => {
                let inside = !text.starts_with('/')
                    && place
                        .resolve_link(text)
                        .is_some_and(|to| to.is_under(PLACE));
                if !inside {
                    return Err(self.refused(
                        path,
                        format!("is a link out of the interpreter, to `{text}`"),
                    ));
                }
                self.writer.add_symlink(member(0o777), text).map(|()| None)
            }
            Incoming::Hardlink(target) => {
                let target = TreePath::new(&format!("{PLACE}/{target}")).map_err(|error| {
                    self.refused(
                        path,
                        format!("is a hard link to an impossible name: {error}"),
                    )
                })?;
                self.writer
                    .add_hardlink(member(0o755), target)
                    .map(|()| None)
            }
        };
        added.map_err(|source| match source {
            // What a reader of an archive says is about the archive.
            PackError::Input { source, .. } => {
                self.refused(path, format!("cannot be read: {source}"))
            }
            source => ProviderError::Pack {
                name: self.name.clone(),
                source,
            },
        })
    }

    fn finish(self, expected: &'static str) -> Result<Pack, ProviderError> {
        let shape = |lacks: String| ProviderError::Shape {
            name: self.name.clone(),
            expected,
            lacks,
        };
        let version = self
            .version
            .ok_or_else(|| shape("include/python3.X/patchlevel.h".to_owned()))?;
        let minor = minor(&version);
        for wanted in [
            format!("bin/python{minor}"),
            format!("lib/python{minor}/os.py"),
        ] {
            if !self.marks.contains(&wanted) {
                return Err(shape(wanted));
            }
        }
        let meta = serde_json::json!({ "version": version, "left_out": self.left_out });
        let name = self.name.clone();
        self.writer
            .commit(&meta)
            .map_err(|source| ProviderError::Pack { name, source })
    }
}

/// Unpacks an archive whose blob is in the store.
///
/// # Errors
/// [`ProviderError`]; a damaged blob is a [`unheck_store::Corruption`] inside.
pub(super) fn pack_archive(
    store: &Store,
    key: &Digest,
    name: &str,
    digest: &Digest,
) -> Result<Pack, ProviderError> {
    let mut magic = [0; 4];
    let read = store.open_verified(digest)?.read(&mut magic).unwrap_or(0);
    let media_type = match &magic[..read] {
        [0x1f, 0x8b, ..] => LayerMediaType::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => LayerMediaType::Zstd,
        _ => LayerMediaType::Tar,
    };
    let options = ReadOptions {
        media_type,
        diff_id: None,
        limits: LIMITS,
    };
    let mut taker = Taker::new(store, key, name)?;
    let mut failed = None;
    let reader = std::io::BufReader::with_capacity(256 << 10, store.open_verified(digest)?);
    let result = read_layer(reader, &options, &mut |entry, content| {
        archive_entry(&mut taker, entry, content).map_err(|error| {
            let text = error.to_string();
            failed = Some(error);
            std::io::Error::other(text)
        })
    });
    match (result, failed) {
        (Ok(_), _) => taker.finish(ARCHIVE),
        (Err(ReadLayerError::Visit { .. }), Some(error)) => Err(error),
        (Err(source), _) => Err(ProviderError::Archive {
            name: name.to_owned(),
            source: Box::new(source),
        }),
    }
}

fn archive_entry(
    taker: &mut Taker,
    entry: &LayerEntry,
    content: &mut dyn Read,
) -> Result<(), ProviderError> {
    let whole = entry.path.as_str();
    let path = match whole.strip_prefix("python") {
        Some("") => return Ok(()),
        Some(rest) if rest.starts_with('/') => &rest[1..],
        _ => {
            let lacks = format!("python/ above `{whole}`");
            return Err(ProviderError::Shape {
                name: taker.name.clone(),
                expected: ARCHIVE,
                lacks,
            });
        }
    };
    let refused = |what: &str| Err(taker.refused(whole, what));
    let target;
    let incoming = match &entry.kind {
        NodeKind::Dir => return Ok(()),
        NodeKind::File { len } => Incoming::File {
            len: *len,
            executable: entry.mode & 0o111 != 0,
        },
        NodeKind::Symlink(text) => Incoming::Symlink(text),
        NodeKind::Hardlink(to) => match to.as_str().strip_prefix("python/") {
            Some(inside) => {
                target = inside.to_owned();
                Incoming::Hardlink(&target)
            }
            None => return refused("is a hard link out of the interpreter"),
        },
        NodeKind::CharDevice(..) | NodeKind::BlockDevice(..) => return refused("is a device"),
        NodeKind::Fifo => return refused("is a named pipe"),
        NodeKind::Whiteout { .. } | NodeKind::Opaque { .. } => {
            return refused("has a name that begins with `.wh.`");
        }
    };
    taker.take(path, &incoming, content).map(drop)
}

/// The files that are taken of a local installation, sorted.
pub(super) struct Prefix(Vec<LocalFile>);

struct LocalFile {
    /// Relative to the prefix.
    path: String,
    source: PathBuf,
    kind: LocalKind,
}

enum LocalKind {
    File {
        len: u64,
        executable: bool,
        digest: Digest,
    },
    Symlink(String),
}

impl Prefix {
    /// A digest over paths, modes and content.
    pub(super) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for file in &self.0 {
            let what = match &file.kind {
                LocalKind::File {
                    executable, digest, ..
                } => format!("f{executable} {digest}"),
                LocalKind::Symlink(text) => format!("l{text}"),
            };
            hasher.update(format!("{}\0{what}\0", file.path).as_bytes());
        }
        hasher.finish()
    }
}

/// Lists and hashes what is taken of the installation in `directory`.
///
/// # Errors
/// [`ProviderError`] when a file cannot be read or is none.
pub(super) fn read_prefix(directory: &Path) -> Result<Prefix, ProviderError> {
    let local = |path: &Path, source| ProviderError::Local {
        path: path.to_owned(),
        source,
    };
    if !fs_err::metadata(directory)
        .map_err(|error| local(directory, error))?
        .is_dir()
    {
        return Err(local(
            directory,
            std::io::Error::from(std::io::ErrorKind::NotADirectory),
        ));
    }
    let relative = |path: &Path| {
        path.strip_prefix(directory)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    };
    let walk = walkdir::WalkDir::new(directory)
        .sort_by_file_name()
        .into_iter();
    let walk = walk.filter_entry(|entry| {
        entry.depth() == 0 || is_wanted(&relative(entry.path()), entry.depth())
    });
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(directory).to_owned();
            local(&path, error.into())
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = relative(entry.path());
        let source = entry.path().to_owned();
        let kind = if entry.file_type().is_symlink() {
            let text = fs_err::read_link(&source).map_err(|error| local(&source, error))?;
            LocalKind::Symlink(text.to_string_lossy().into_owned())
        } else if entry.file_type().is_file() {
            let file = fs_err::File::open(&source).map_err(|error| local(&source, error))?;
            let metadata = file.metadata().map_err(|error| local(&source, error))?;
            let executable = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o111 != 0;
            let (digest, len) = Digest::of_reader(file).map_err(|error| local(&source, error))?;
            LocalKind::File {
                len,
                executable,
                digest,
            }
        } else {
            let name = directory.display().to_string();
            return Err(ProviderError::Entry {
                name,
                path,
                problem: "is a device, socket or pipe".to_owned(),
            });
        };
        files.push(LocalFile { path, source, kind });
    }
    Ok(Prefix(files))
}

/// Whether the walk goes there: a file that is taken, or a directory that may hold one.
fn is_wanted(path: &str, depth: usize) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match (depth, parts.as_slice()) {
        (1, ["bin" | "lib" | "include"]) => true,
        (2, ["lib" | "include", name]) if is_versioned(name) => true,
        // Whether a name without its content would be taken says it of a directory too.
        _ => !matches!(part(path), Part::Leave(_)),
    }
}

/// Copies a local installation into a pack.
///
/// # Errors
/// [`ProviderError`]; [`ProviderError::Changed`] when a file is not as it was listed.
pub(super) fn pack_prefix(
    store: &Store,
    key: &Digest,
    directory: &Path,
    files: &Prefix,
) -> Result<Pack, ProviderError> {
    let mut taker = Taker::new(store, key, &directory.display().to_string())?;
    for file in &files.0 {
        match &file.kind {
            LocalKind::Symlink(text) => {
                let _ = taker.take(&file.path, &Incoming::Symlink(text), &mut std::io::empty())?;
            }
            LocalKind::File {
                len,
                executable,
                digest,
            } => {
                let mut content =
                    fs_err::File::open(&file.source).map_err(|source| ProviderError::Local {
                        path: file.source.clone(),
                        source,
                    })?;
                let incoming = Incoming::File {
                    len: *len,
                    executable: *executable,
                };
                let found = taker.take(&file.path, &incoming, &mut content)?;
                if let Some(found) = found.filter(|found| found != digest) {
                    return Err(ProviderError::Changed {
                        path: file.source.clone(),
                        locked: *digest,
                        found,
                    });
                }
            }
        }
    }
    taker.finish(INSTALLATION)
}
