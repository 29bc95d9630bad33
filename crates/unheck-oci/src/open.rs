//! Opens an image: a layout directory, a layout in a tar archive, or an archive of `docker save`.
//!
//! Nothing is unpacked; an archive is indexed once. Blobs are verified while they are read. Refuses
//! members outside the archive's root, the same member twice, documents over 4 MiB, indexes nested
//! deeper than three. Start at [`open`].

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::OFlags;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use unheck_base::{Digest, Hasher, TreePath, TreePathError};

use crate::image::{
    BlobKind, CONFIG, CONTAINERD_NAME, Config, Descriptor, Index, LayerMediaType, MANIFEST,
    Manifest, Platform, REF_NAME, canonical_json,
};
use crate::plan::blob_name;
use crate::tar_reader::{TarReadError, TarReader, tree_path};

/// The longest JSON document that is read, in bytes; the same as registries take.
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// How deep indexes may be nested, `index.json` counted.
pub const MAX_DEPTH: usize = 3;
/// How many manifests and indexes one image may have.
pub const MAX_DOCUMENTS: usize = 1000;
/// How many members an archive may have.
const MAX_MEMBERS: u64 = 100_000;

/// Why an image could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or directory.
    #[error("cannot open the image `{path}`")]
    Open {
        /// The image.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The archive is compressed as a whole.
    #[error("`{path}` is compressed; an image archive is a plain tar file")]
    Compressed {
        /// The image.
        path: PathBuf,
    },
    /// The archive is no tar file.
    #[error("cannot read the image archive `{path}`")]
    Tar {
        /// The image.
        path: PathBuf,
        /// The cause.
        source: TarReadError,
    },
    /// A member with a name outside the root.
    #[error("the image archive has a member with the name `{name}`")]
    MemberName {
        /// The name, shortened and escaped.
        name: String,
        /// The cause.
        source: TreePathError,
    },
    /// The same member twice: readers disagree on which one counts.
    #[error("the image archive has the member `{0}` twice")]
    DuplicateMember(TreePath),
    /// Neither `index.json` nor `manifest.json`.
    #[error("`{path}` is no image: it has neither `index.json` nor `manifest.json`")]
    NoImage {
        /// The file or directory.
        path: PathBuf,
    },
    /// A file of the image is missing.
    #[error("the image has no file `{0}`")]
    Missing(String),
    /// A file of the image could not be read, or is not what its digest says.
    #[error("cannot read `{name}` of the image")]
    Read {
        /// The file.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// A blob of another size than its descriptor says.
    #[error("the blob `{digest}` has {actual} bytes, its descriptor says {expected}")]
    Size {
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What there is.
        actual: u64,
    },
    /// A document over the limit.
    #[error("`{name}` has {size} bytes, a document may have {limit}")]
    TooLarge {
        /// The document.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document that is not what it should be.
    #[error("cannot understand `{name}` of the image as {expected}")]
    Json {
        /// The document.
        name: String,
        /// What it should be.
        expected: &'static str,
        /// The cause.
        source: serde_json::Error,
    },
    /// An index in an index in an index.
    #[error("the indexes of the image are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Too many manifests.
    #[error("the image has more than {MAX_DOCUMENTS} manifests and indexes")]
    TooMany,
    /// An index points to something that is neither manifest nor index.
    #[error("the index points to `{digest}`, whose media type `{media_type}` is not known")]
    MediaType {
        /// The blob.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// No image for the platform.
    #[error("the image is not made for `{wanted}`, only for {available}")]
    NoPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        available: String,
    },
}

/// The bytes of a blob were not those that were promised; the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("the blob has the digest `{actual}`, its descriptor says `{expected}`")]
pub struct DigestMismatch {
    /// What the descriptor says.
    pub expected: Digest,
    /// What the bytes have.
    pub actual: Digest,
}

/// An image that was opened.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    store: Store,
    index: Index,
    /// What a `docker save` archive has no document for, or under another name.
    docker: Option<Docker>,
}

#[derive(Debug)]
enum Store {
    Directory(PathBuf),
    Archive {
        file: Arc<std::fs::File>,
        members: BTreeMap<TreePath, Member>,
    },
}

#[derive(Debug, Clone)]
enum Member {
    File(Span),
    /// Old `docker save` archives link equal layers.
    Symlink(String),
}

#[derive(Debug, Clone, Copy)]
struct Span {
    offset: u64,
    len: u64,
}

#[derive(Debug, Default)]
struct Docker {
    made: BTreeMap<Digest, Vec<u8>>,
    names: BTreeMap<Digest, TreePath>,
}

/// One image of those that were opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedImage {
    /// The name with tag, or the tag alone, where the image has one.
    pub name: Option<String>,
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
    /// What the image runs on, as its config says.
    pub platform: Platform,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: Config,
}

/// Opens a layout directory or an image archive. Blobs are not read yet, except for archives of
/// `docker save` without `index.json`, whose layers have to be hashed.
///
/// # Errors
/// See [`OpenError`].
pub fn open(path: &Path) -> Result<Opened, OpenError> {
    let failed = |source| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    let is_dir = fs_err::metadata(path).map_err(failed)?.is_dir();
    let store = if is_dir {
        Store::Directory(path.to_owned())
    } else {
        open_archive(path)?
    };
    let mut opened = Opened {
        path: path.to_owned(),
        store,
        index: Index::new(Vec::new()),
        docker: None,
    };
    match opened.document("index.json") {
        Ok(bytes) => opened.index = parse("index.json", "an image index", &bytes)?,
        Err(OpenError::Missing(_)) => opened.open_docker()?,
        Err(error) => return Err(error),
    }
    Ok(opened)
}

fn open_archive(path: &Path) -> Result<Store, OpenError> {
    let failed = |source| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    let file = open_regular(path).map_err(failed)?;
    let mut magic = [0; 4];
    let read = file.read_at(&mut magic, 0).map_err(failed)?;
    if sniff(&magic[..read]) != LayerMediaType::Tar {
        return Err(OpenError::Compressed {
            path: path.to_owned(),
        });
    }
    let len = file.metadata().map_err(failed)?.len();
    let file = Arc::new(file);
    let members = index_members(path, &file, len)?;
    Ok(Store::Archive { file, members })
}

/// Whether a layer is compressed, by its first bytes.
fn sniff(magic: &[u8]) -> LayerMediaType {
    match magic {
        [0x1f, 0x8b, ..] => LayerMediaType::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => LayerMediaType::Zstd,
        _ => LayerMediaType::Tar,
    }
}

/// Jumps from header to header.
fn index_members(
    path: &Path,
    file: &Arc<std::fs::File>,
    len: u64,
) -> Result<BTreeMap<TreePath, Member>, OpenError> {
    let failed = |source| OpenError::Tar {
        path: path.to_owned(),
        source,
    };
    let mut members = BTreeMap::new();
    let mut count = 0;
    let mut at = 0;
    loop {
        let rest = SpanReader {
            file: Arc::clone(file),
            span: Span {
                offset: at,
                len: len.saturating_sub(at),
            },
        };
        let mut tar = TarReader::new(rest, MAX_MEMBERS);
        let Some(raw) = tar.next_entry().map_err(failed)? else {
            return Ok(members);
        };
        count += 1;
        if count > MAX_MEMBERS {
            return Err(failed(TarReadError::Limit {
                name: "entries",
                limit: MAX_MEMBERS,
            }));
        }
        let span = Span {
            offset: at + raw.offset,
            len: raw.len,
        };
        let padding = crate::tar_writer::padding(raw.len) as u64;
        let end = span.offset.checked_add(span.len);
        let end = end.and_then(|end| end.checked_add(padding));
        at = end.filter(|&end| end <= len).ok_or_else(|| {
            failed(TarReadError::Malformed {
                offset: at,
                what: "it ends inside an entry",
            })
        })?;
        let name = tree_path(&raw.name).map_err(|source| OpenError::MemberName {
            name: raw.name[..raw.name.len().min(200)]
                .escape_ascii()
                .to_string(),
            source,
        })?;
        let member = match raw.kind {
            b'0' => Member::File(span),
            b'2' => Member::Symlink(String::from_utf8_lossy(&raw.link).into_owned()),
            _ => continue,
        };
        if let Some(name) = name
            && members.insert(name.clone(), member).is_some()
        {
            return Err(OpenError::DuplicateMember(name));
        }
    }
}

/// A regular file and nothing that would block or lead elsewhere.
fn open_regular(path: &Path) -> io::Result<std::fs::File> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut options = fs_err::OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file.into_parts().0)
}

impl Opened {
    /// Where the image was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The top-level index; for archives of `docker save` one that was made up.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether this is an archive of `docker save` without `index.json`.
    pub fn is_docker_archive(&self) -> bool {
        self.docker.is_some()
    }

    /// All images, in the order of the indexes. Manifests that are no image (attestations,
    /// signatures, other artifacts) are left out.
    ///
    /// # Errors
    /// The first document that is missing, false or not understood.
    pub fn images(&self) -> Result<Vec<OpenedImage>, OpenError> {
        let mut images = Vec::new();
        let mut seen = 0;
        self.walk(&self.index, (1, None), &mut seen, &mut images)?;
        Ok(images)
    }

    /// The first image that serves `platform`.
    ///
    /// # Errors
    /// As [`Opened::images`], or there is none for it.
    pub fn select(&self, platform: &Platform) -> Result<OpenedImage, OpenError> {
        let mut images = self.images()?;
        let found = images
            .iter()
            .position(|image| image.platform.serves(platform));
        if let Some(found) = found {
            return Ok(images.swap_remove(found));
        }
        let mut names: Vec<String> = images.iter().map(|i| format!("`{}`", i.platform)).collect();
        names.sort();
        names.dedup();
        Err(OpenError::NoPlatform {
            wanted: platform.clone(),
            available: names.join(", "),
        })
    }

    fn walk(
        &self,
        index: &Index,
        (depth, name): (usize, Option<&str>),
        seen: &mut usize,
        images: &mut Vec<OpenedImage>,
    ) -> Result<(), OpenError> {
        if depth > MAX_DEPTH {
            return Err(OpenError::TooDeep);
        }
        for descriptor in &index.manifests {
            *seen += 1;
            if *seen > MAX_DOCUMENTS {
                return Err(OpenError::TooMany);
            }
            let annotations = &descriptor.annotations;
            let own = annotations.get(CONTAINERD_NAME);
            let name = own
                .or(annotations.get(REF_NAME))
                .map(String::as_str)
                .or(name);
            match descriptor.kind() {
                BlobKind::Index => {
                    let inner: Index = self.json(descriptor, "an image index")?;
                    self.walk(&inner, (depth + 1, name), seen, images)?;
                }
                BlobKind::Manifest => images.extend(self.image(descriptor, name)?),
                _ => {
                    return Err(OpenError::MediaType {
                        digest: descriptor.digest,
                        media_type: descriptor.media_type.chars().take(100).collect(),
                    });
                }
            }
        }
        Ok(())
    }

    fn image(
        &self,
        descriptor: &Descriptor,
        name: Option<&str>,
    ) -> Result<Option<OpenedImage>, OpenError> {
        let manifest: Manifest = self.json(descriptor, "an image manifest")?;
        let attestation = "vnd.docker.reference.type";
        if manifest.artifact_type.is_some()
            || manifest.config.kind() != BlobKind::Config
            || descriptor.annotations.contains_key(attestation)
        {
            return Ok(None);
        }
        let config: Config = self.json(&manifest.config, "an image config")?;
        Ok(Some(OpenedImage {
            name: name.map(str::to_owned),
            descriptor: descriptor.clone(),
            platform: config.platform(),
            manifest,
            config,
        }))
    }

    /// A JSON document by its descriptor, verified.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
        expected: &'static str,
    ) -> Result<T, OpenError> {
        let bytes = self.blob_bytes(descriptor, MAX_DOCUMENT)?;
        parse(&blob_name(descriptor.digest), expected, &bytes)
    }

    /// A blob to be read. The reader fails at its last byte when the digest is not the one of
    /// `descriptor`.
    ///
    /// # Errors
    /// It is missing, unreadable or of another size.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, OpenError> {
        let digest = descriptor.digest;
        let docker = self.docker.as_ref();
        let made = docker.and_then(|docker| docker.made.get(&digest));
        let source = match (made, docker.and_then(|docker| docker.names.get(&digest))) {
            (Some(bytes), _) => Source::Bytes(io::Cursor::new(bytes.clone())),
            (None, Some(name)) => Source::File(self.file(name.as_str())?),
            (None, None) => Source::File(self.file(&blob_name(digest))?),
        };
        let actual = source.len();
        if actual != descriptor.size {
            return Err(OpenError::Size {
                digest,
                expected: descriptor.size,
                actual,
            });
        }
        Ok(BlobReader {
            source,
            left: actual,
            hasher: Some(Hasher::new()),
            expected: digest,
        })
    }

    /// Where the bytes of a blob are, for whoever reads it from the middle; they are not verified.
    ///
    /// # Errors
    /// It is missing, unreadable or of another size.
    pub fn place(&self, descriptor: &Descriptor) -> Result<Place, OpenError> {
        Ok(match self.blob(descriptor)?.source {
            Source::File(SpanReader { file, span }) => Place::File {
                file,
                offset: span.offset,
            },
            Source::Bytes(bytes) => Place::Bytes(bytes.into_inner()),
        })
    }

    /// All of a blob, verified.
    ///
    /// # Errors
    /// As [`Opened::blob`], or it has more than `limit` bytes, or another digest.
    pub fn blob_bytes(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, OpenError> {
        let name = blob_name(descriptor.digest);
        if descriptor.size > limit {
            let size = descriptor.size;
            return Err(OpenError::TooLarge { name, size, limit });
        }
        let mut bytes = Vec::new();
        let read = self.blob(descriptor)?.read_to_end(&mut bytes);
        read.map_err(|source| OpenError::Read { name, source })?;
        Ok(bytes)
    }

    /// All of a file that has no digest.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, OpenError> {
        let file = self.file(name)?;
        let (name, size) = (name.to_owned(), file.span.len);
        if size > MAX_DOCUMENT {
            let limit = MAX_DOCUMENT;
            return Err(OpenError::TooLarge { name, size, limit });
        }
        let mut bytes = Vec::new();
        let read = file.take(MAX_DOCUMENT).read_to_end(&mut bytes);
        read.map_err(|source| OpenError::Read { name, source })?;
        Ok(bytes)
    }

    fn file(&self, name: &str) -> Result<SpanReader, OpenError> {
        let missing = || OpenError::Missing(name.chars().take(200).collect());
        match &self.store {
            Store::Directory(root) => {
                let opened = open_regular(&root.join(name));
                let file = opened.map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => missing(),
                    _ => OpenError::Read {
                        name: name.to_owned(),
                        source,
                    },
                })?;
                let len = file.metadata().map(|found| found.len());
                let len = len.map_err(|source| OpenError::Read {
                    name: name.to_owned(),
                    source,
                })?;
                let span = Span { offset: 0, len };
                let file = Arc::new(file);
                Ok(SpanReader { file, span })
            }
            Store::Archive { file, members } => {
                let mut path = TreePath::new(name).map_err(|_| missing())?;
                for _ in 0..8 {
                    match members.get(&path) {
                        Some(&Member::File(span)) => {
                            let file = Arc::clone(file);
                            return Ok(SpanReader { file, span });
                        }
                        Some(Member::Symlink(text)) => {
                            path = path.resolve_link(text).ok_or_else(missing)?;
                        }
                        None => break,
                    }
                }
                Err(missing())
            }
        }
    }

    /// Makes index and manifests for an archive that has only docker's `manifest.json`.
    fn open_docker(&mut self) -> Result<(), OpenError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct DockerImage {
            config: String,
            repo_tags: Option<Vec<String>>,
            layers: Option<Vec<String>>,
        }
        let bytes = match self.document("manifest.json") {
            Err(OpenError::Missing(_)) => {
                let path = self.path.clone();
                return Err(OpenError::NoImage { path });
            }
            other => other?,
        };
        let images: Vec<DockerImage> = parse("manifest.json", "docker's list of images", &bytes)?;
        if images.len() > MAX_DOCUMENTS {
            return Err(OpenError::TooMany);
        }
        let mut docker = Docker::default();
        let mut known = BTreeMap::new();
        for image in images {
            let config_bytes = self.document(&image.config)?;
            let config: Config = parse(&image.config, "an image config", &config_bytes)?;
            let config_descriptor = Descriptor::of(CONFIG, &config_bytes);
            docker.made.insert(config_descriptor.digest, config_bytes);
            let mut layers = Vec::new();
            for name in image.layers.unwrap_or_default() {
                layers.push(self.docker_layer(&name, &mut known, &mut docker)?);
            }
            let manifest = Manifest::new(config_descriptor, layers);
            let failed = |source| OpenError::Json {
                name: "manifest.json".to_owned(),
                expected: "an image manifest",
                source,
            };
            let bytes = canonical_json(&manifest).map_err(failed)?;
            let mut descriptor = Descriptor::of(MANIFEST, &bytes);
            descriptor.platform = Some(config.platform());
            let tag = image.repo_tags.unwrap_or_default().into_iter().next();
            descriptor
                .annotations
                .extend(tag.map(|tag| (REF_NAME.to_owned(), tag)));
            docker.made.insert(descriptor.digest, bytes);
            self.index.manifests.push(descriptor);
        }
        self.docker = Some(docker);
        Ok(())
    }

    fn docker_layer(
        &self,
        name: &str,
        known: &mut BTreeMap<String, Descriptor>,
        docker: &mut Docker,
    ) -> Result<Descriptor, OpenError> {
        if let Some(descriptor) = known.get(name) {
            return Ok(descriptor.clone());
        }
        let path = TreePath::new(name).map_err(|source| OpenError::MemberName {
            name: name.chars().take(200).collect(),
            source,
        })?;
        let file = self.file(name)?;
        let failed = |source| OpenError::Read {
            name: name.to_owned(),
            source,
        };
        let mut magic = [0; 4];
        let read = file.file.read_at(&mut magic, file.span.offset);
        let read = read.map_err(failed)?.min(file.span.len as usize);
        let media_type = sniff(&magic[..read]);
        let (digest, size) = Digest::of_reader(file).map_err(failed)?;
        let descriptor = Descriptor::new(media_type.as_str(), digest, size);
        docker.names.insert(digest, path);
        known.insert(name.to_owned(), descriptor.clone());
        Ok(descriptor)
    }
}

fn parse<T: DeserializeOwned>(
    name: &str,
    expected: &'static str,
    bytes: &[u8],
) -> Result<T, OpenError> {
    serde_json::from_slice(bytes).map_err(|source| OpenError::Json {
        name: name.chars().take(200).collect(),
        expected,
        source,
    })
}

/// A part of a file, read without moving its position.
#[derive(Debug)]
struct SpanReader {
    file: Arc<std::fs::File>,
    span: Span,
}

impl Read for SpanReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let want = self.span.len.min(to.len() as u64) as usize;
        let read = self.file.read_at(&mut to[..want], self.span.offset)?;
        self.span.offset += read as u64;
        self.span.len -= read as u64;
        Ok(read)
    }
}

#[derive(Debug)]
enum Source {
    File(SpanReader),
    Bytes(io::Cursor<Vec<u8>>),
}

impl Source {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.span.len,
            Self::Bytes(bytes) => bytes.get_ref().len() as u64,
        }
    }
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a file.
    File {
        /// The file; its position is not used.
        file: Arc<std::fs::File>,
        /// The blob's first byte in it.
        offset: u64,
    },
    /// In memory.
    Bytes(Vec<u8>),
}

/// Reads a blob and verifies it: the read that would give its last byte fails with
/// [`DigestMismatch`] when the digest is wrong, so nobody sees all of a false blob.
pub struct BlobReader {
    source: Source,
    left: u64,
    /// Gone once the blob was judged.
    hasher: Option<Hasher>,
    expected: Digest,
}

impl Read for BlobReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.source {
            Source::File(file) => file.read(to)?,
            Source::Bytes(bytes) => bytes.read(to)?,
        };
        if read == 0 && self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&to[..read]);
        }
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
        {
            let (expected, actual) = (self.expected, hasher.finish());
            if expected != actual {
                let error = DigestMismatch { expected, actual };
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
pub(crate) mod tests;
