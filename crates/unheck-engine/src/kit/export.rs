//! Writing kits. Start at [`export()`].

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use unheck_base::{Digest, Hasher};
use unheck_deb::signature::Keyring;
use unheck_oci::tar_writer::{TarError, TarWriter};
use unheck_store::Store;

use super::collect::collect;
use super::{
    Entry, ExportError, FORMAT, KEYS, Kind, LOCK, MANIFEST, MAX_MANIFEST, Manifest, PROGRAM, path,
    tar_entry,
};
use crate::build::{LockMode, ensure_lock, repaired};
use crate::event::Stage;
use crate::input::{AppFiles, LockOptions, Project};
use crate::lock::Lock;
use crate::session::Session;

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// What decides the lock.
    pub lock: LockOptions,
    /// How the lock file is used.
    pub mode: LockMode,
    /// Where the kit goes.
    pub output: PathBuf,
    /// Keys of `--keyring`, as they stand in their file.
    pub keyring: Option<Vec<u8>>,
    /// The program that goes into the kit.
    pub program: Program,
}

/// A program for a kit.
#[derive(Debug, Clone)]
pub enum Program {
    /// The one that runs.
    This,
    /// Another one, such as that of another machine's architecture.
    At(PathBuf),
}

/// A kit on disk.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Where.
    pub path: PathBuf,
    /// Digest of the whole file.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// What it holds by kind.
    pub shares: BTreeMap<Kind, Share>,
    /// Whether the lock file was written.
    pub locked: bool,
}

/// How much of a kit is of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes the kit of a project's lock, and the lock first where there is none that fits.
///
/// # Errors
/// [`ExportError`]; the output is whole or as it was.
pub fn export(
    session: &Session,
    project: &Project,
    app: &AppFiles,
    request: &ExportRequest,
) -> Result<Exported, ExportError> {
    let asked = (&request.lock, request.mode);
    let (lock, locked) = ensure_lock(session, project, asked, app)?;
    repaired(session, || {
        whole(session, project, app, (request, &lock, locked))
    })
}

fn whole(
    session: &Session,
    project: &Project,
    app: &AppFiles,
    (request, lock, locked): (&ExportRequest, &Lock, bool),
) -> Result<Exported, ExportError> {
    let blobs = collect(session, (project, &request.lock), lock, app)?;
    let mut parts = vec![Part::bytes(
        Kind::Lock,
        LOCK,
        format!("lock of {}", project.name),
        lock.to_text().into_bytes(),
    )];
    parts.push(program(&request.program, lock)?);
    parts.extend(keys(request.keyring.as_deref()));
    parts.extend(blobs.into_iter().map(|entry| Part {
        entry,
        content: Content::Blob,
    }));
    let manifest = Manifest {
        format: FORMAT,
        unheck: env!("CARGO_PKG_VERSION").to_owned(),
        lock: parts[0].entry.digest,
        indexes: request.lock.indexes.clone(),
        exclude_newer: request.lock.exclude_newer.clone(),
        entries: parts.iter().map(|part| part.entry.clone()).collect(),
    };
    let name = request.output.display().to_string();
    let (digest, size) = session.stage(Stage::Write, &name, || {
        write(session.store(), &request.output, &manifest, parts)
    })?;
    let mut shares: BTreeMap<Kind, Share> = BTreeMap::new();
    for entry in &manifest.entries {
        let share = shares.entry(entry.kind).or_default();
        share.files += 1;
        share.bytes += entry.size;
    }
    Ok(Exported {
        path: request.output.clone(),
        digest,
        size,
        manifest,
        shares,
        locked,
    })
}

/// A file of the kit with its content.
struct Part {
    entry: Entry,
    content: Content,
}

enum Content {
    /// In the store.
    Blob,
    Bytes(Vec<u8>),
    /// Open at its begin.
    File(std::fs::File),
}

impl Part {
    fn bytes(kind: Kind, place: &str, why: String, bytes: Vec<u8>) -> Self {
        let name = place.rsplit('/').next().unwrap_or(place);
        Self {
            entry: Entry {
                path: path(place),
                digest: Digest::of(&bytes),
                size: bytes.len() as u64,
                kind,
                name: name.to_owned(),
                why: vec![why],
            },
            content: Content::Bytes(bytes),
        }
    }
}

/// Debian's own keys and those that the user trusts besides.
fn keys(more: Option<&[u8]>) -> Vec<Part> {
    let part = |name: &str, why: &str, bytes: &[u8]| {
        let place = format!("{KEYS}/{name}");
        Part::bytes(Kind::Keys, &place, why.to_owned(), bytes.to_vec())
    };
    let debian = part(
        "debian-archive-keyring.pgp",
        "keys of the Debian archive",
        Keyring::debian_bytes(),
    );
    let more = more.map(|bytes| part("keyring.pgp", "keys of `--keyring`", bytes));
    std::iter::once(debian).chain(more).collect()
}

fn program(program: &Program, lock: &Lock) -> Result<Part, ExportError> {
    // Of itself the program says no path: the file may have been replaced since it was started.
    let nameless = |error: io::Error| ExportError::Program(io::Error::from(error.kind()));
    let mut file = match program {
        Program::This => fs_err::File::open("/proc/self/exe").map_err(nameless)?,
        Program::At(path) => {
            let found = fs_err::metadata(path).map_err(ExportError::Program)?;
            if !found.is_file() {
                let error = io::Error::other(format!("`{}` is no file", path.display()));
                return Err(ExportError::Program(error));
            }
            fs_err::File::open(path).map_err(ExportError::Program)?
        }
    };
    let (digest, size) = Digest::of_reader(&mut file).map_err(nameless)?;
    file.rewind().map_err(nameless)?;
    let platforms = lock.plan.targets.iter().map(|target| target.platform);
    let platforms: Vec<String> = platforms.map(|platform| platform.to_string()).collect();
    Ok(Part {
        entry: Entry {
            path: path(PROGRAM),
            digest,
            size,
            kind: Kind::Program,
            name: PROGRAM.to_owned(),
            why: vec![format!("makes artifacts for {}", platforms.join(" and "))],
        },
        content: Content::File(file.into_file()),
    })
}

/// Writes beside the final name and renames; the digest and length of the file.
fn write(
    store: &Store,
    output: &Path,
    manifest: &Manifest,
    parts: Vec<Part>,
) -> Result<(Digest, u64), ExportError> {
    let failed = |source| ExportError::Write {
        path: output.to_owned(),
        source,
    };
    let directory = output.parent().filter(|above| *above != Path::new(""));
    let directory = directory.unwrap_or(Path::new("."));
    fs_err::create_dir_all(directory).map_err(failed)?;
    let temporary = tempfile::Builder::new()
        .prefix(".unheck-kit-")
        .tempfile_in(directory)
        .map_err(failed)?;
    let written = fill(store, (output, temporary.as_file()), manifest, parts)?;
    // The umask of whoever runs this is none of the kit's business.
    let mode = std::fs::Permissions::from_mode(0o644);
    temporary.as_file().set_permissions(mode).map_err(failed)?;
    temporary
        .persist(output)
        .map_err(|error| failed(error.error))?;
    Ok(written)
}

/// Writes the archive; `output` is what errors call it.
fn fill(
    store: &Store,
    (output, file): (&Path, &std::fs::File),
    manifest: &Manifest,
    parts: Vec<Part>,
) -> Result<(Digest, u64), ExportError> {
    let tar = |source: TarError| ExportError::Tar {
        path: output.to_owned(),
        source: Box::new(source),
    };
    let mut text = serde_json::to_vec_pretty(manifest).expect("texts and numbers");
    text.push(b'\n');
    let length = text.len() as u64;
    if length > MAX_MANIFEST {
        return Err(ExportError::TooMany { found: length });
    }
    let mut counted = Counted {
        out: BufWriter::with_capacity(1 << 20, file),
        hasher: Hasher::new(),
        length: 0,
    };
    let mut writer = TarWriter::new(&mut counted);
    let first = path(MANIFEST);
    let entry = tar_entry(&first, Kind::Lock, length);
    writer.append_bytes(&entry, &text).map_err(tar)?;
    for part in parts {
        append(store, &mut writer, part, tar)?;
    }
    writer.finish().map_err(tar)?;
    counted.out.flush().map_err(|source| ExportError::Write {
        path: output.to_owned(),
        source,
    })?;
    Ok((counted.hasher.finish(), counted.length))
}

fn append<W: Write>(
    store: &Store,
    writer: &mut TarWriter<W>,
    part: Part,
    tar: impl Fn(TarError) -> ExportError,
) -> Result<(), ExportError> {
    let Part { entry, content } = part;
    let head = tar_entry(&entry.path, entry.kind, entry.size);
    match content {
        Content::Bytes(bytes) => writer.append_bytes(&head, &bytes).map_err(tar),
        Content::Blob => {
            let mut blob = store.open_verified(&entry.digest)?;
            writer.append(&head, &mut blob).map_err(tar)
        }
        Content::File(file) => {
            let mut hashed = Hashed {
                file,
                hasher: Hasher::new(),
            };
            writer.append(&head, &mut hashed).map_err(tar)?;
            match hashed.hasher.finish() == entry.digest {
                true => Ok(()),
                false => Err(ExportError::ProgramChanged),
            }
        }
    }
}

/// A file that is hashed while it is read.
struct Hashed {
    file: std::fs::File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// An output that is hashed and counted.
struct Counted<W> {
    out: W,
    hasher: Hasher,
    length: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
