//! Interpreters that are not Debian's: a python-build-standalone archive, or a local installation.
//!
//! Both are read once into a pack of the store, without what no app needs of them, and end up under
//! [`PLACE`], with the OS libraries they need from Debian. Nothing of them is executed here. Start at
//! [`lock`]; [`ensure`], [`facts`] and [`add`] work from what it put into the lock.

mod unpack;

use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_oci::layer_reader::ReadLayerError;
use unheck_store::{Pack, PackError, PackKind, Store, StoreError};
use url::Url;

use crate::explain::{Class, Explain};
use crate::input::{LockOptions, Project, Standalone};
use crate::layout::minor;
use crate::lock::{Hashes, Interpreter, Provider, Target, Wheel};
use crate::net::{NetError, Want};
use crate::platform::Platform;
use crate::scan::{ArchiveFacts, ScanError, scan_pack};
use crate::session::Session;
use crate::tree::{ConflictError, Content, Kind, Node, Origin, Tree};

/// Where such an interpreter is in an artifact, as [`crate::layout::Layout`] has it.
pub const PLACE: &str = "opt/python";

/// An interpreter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Nothing says which archive or directory.
    #[error("no {provider} interpreter is configured for {platform}")]
    NotConfigured {
        /// Which kind.
        provider: &'static str,
        /// The platform.
        platform: Platform,
    },
    /// A local installation runs on this machine's platform alone.
    #[error("the installation `{path}` is one of {host}, and {platform} is wanted", path = path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// This machine.
        host: String,
        /// What was wanted.
        platform: Platform,
    },
    /// The configured place of an archive is no URL.
    #[error("`{url}` is neither a path nor a URL that can be fetched")]
    Url {
        /// The text.
        url: String,
    },
    /// The archive cannot be fetched.
    #[error("cannot fetch the interpreter archive `{name}`")]
    Fetch {
        /// Its file name.
        name: String,
        /// Why not.
        #[source]
        source: NetError,
    },
    /// A file or directory of the user cannot be read.
    #[error("cannot read `{path}`", path = path.display())]
    Local {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A local archive is not the one that is configured or locked.
    #[error("the interpreter archive `{path}` is not the expected one", path = path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Both digests.
        #[source]
        source: StoreError,
    },
    /// The archive cannot be read.
    #[error("the interpreter archive `{name}` is refused")]
    Archive {
        /// Its file name.
        name: String,
        /// Why.
        #[source]
        source: Box<ReadLayerError>,
    },
    /// An entry that has no place in an interpreter.
    #[error("`{path}` of the interpreter `{name}` {problem}")]
    Entry {
        /// The archive or directory.
        name: String,
        /// The entry.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is something else.
    #[error("`{name}` is no {expected}: it has no `{lacks}`")]
    Shape {
        /// The archive or directory.
        name: String,
        /// What it should be.
        expected: &'static str,
        /// What that would have.
        lacks: String,
    },
    /// Its program is for another machine or another libc.
    #[error("the interpreter `{name}` {problem}, and {platform} with glibc is wanted")]
    Machine {
        /// The archive or directory.
        name: String,
        /// What it is for.
        problem: String,
        /// What is wanted.
        platform: Platform,
    },
    /// It is another version than the one asked for.
    #[error("the interpreter `{name}` is Python {version}, and {wanted} is wanted")]
    Version {
        /// The archive or directory.
        name: String,
        /// What it is.
        version: String,
        /// What is wanted, and by whom.
        wanted: String,
    },
    /// The project's specifiers are none.
    #[error("`{requires}` is no version specifier (PEP 440)")]
    Specifier {
        /// The project's text.
        requires: String,
    },
    /// The directory is not as it was when the lock was made.
    #[error("the installation `{path}` has changed since the lock was made: `{locked}` then, `{found}` now", path = path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
        /// Digest in the lock.
        locked: Digest,
        /// Digest now.
        found: Digest,
    },
    /// The lock lacks what the provider needs.
    #[error("the lock does not say which {provider} interpreter")]
    Unlocked {
        /// Which kind.
        provider: &'static str,
    },
    /// It cannot be kept.
    #[error("cannot keep the interpreter `{name}`")]
    Pack {
        /// The archive or directory.
        name: String,
        /// Why not.
        #[source]
        source: PackError,
    },
    /// It cannot be scanned.
    #[error("cannot look into the interpreter")]
    Scan(#[from] ScanError),
    /// Another part of the environment is in its way.
    #[error("another part of the environment is in the way of the interpreter")]
    Conflict(#[from] ConflictError),
    /// The store failed.
    #[error("the store failed on the interpreter")]
    Store(#[from] StoreError),
}

impl Explain for ProviderError {
    fn class(&self) -> Class {
        match self {
            Self::Fetch { source, .. } => source.class(),
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Store(_) | Self::Pack { .. } | Self::Scan(_) => Class::Outside,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotConfigured { provider: "prefix", .. } => {
                vec!["name the installation's directory: `prefix = \"/opt/python3.13\"` in `[tool.unheck]`".to_owned()]
            }
            Self::NotConfigured { platform, .. } => vec![format!(
                "name a python-build-standalone archive of the kind `install_only`:\n[tool.unheck.standalone.\"{platform}\"]\nurl = \"https://… or a path beside pyproject.toml\"\nsha256 = \"its SHA-256, 64 hexadecimal digits\""
            )],
            Self::Foreign { .. } => {
                vec!["use `[tool.unheck.standalone]` with an archive for each platform".to_owned()]
            }
            Self::Url { .. } => vec!["give an `https:` or `file:` URL, or a path relative to the project".to_owned()],
            Self::Fetch { source, .. } => source.hints(),
            Self::Digest { .. } => {
                vec!["put the digest of the file that you trust into `sha256`, or replace the file".to_owned()]
            }
            Self::Shape { expected: unpack::ARCHIVE, .. } | Self::Archive { .. } => vec![
                "take an archive whose name ends in `-install_only.tar.gz` or `-install_only_stripped.tar.gz`; those that end in `-full.tar.zst` hold a build tree".to_owned(),
            ],
            Self::Shape { .. } => {
                vec!["name the directory above `bin/python3.X` and `lib/python3.X` of a full installation; a virtual environment is none".to_owned()]
            }
            Self::Machine { platform, .. } => vec![format!(
                "take the archive whose name has `{}-unknown-linux-gnu`",
                platform.machine()
            )],
            Self::Version { .. } => {
                vec!["configure an interpreter of that version, or change `--python` or `requires-python`".to_owned()]
            }
            Self::Changed { .. } | Self::Unlocked { .. } => vec!["run `unheck lock` to write the lock again".to_owned()],
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Finds out what goes into the lock: fetches or reads the interpreter, checks what it is, keeps it.
///
/// # Errors
/// [`ProviderError`].
pub fn lock(
    session: &Session,
    project: &Project,
    options: &LockOptions,
    platform: Platform,
    glibc: (u32, u32),
) -> Result<Interpreter, ProviderError> {
    let mut interpreter = Interpreter {
        provider: options.provider,
        version: String::new(),
        glibc: format!("{}.{}", glibc.0, glibc.1),
        archive: None,
        prefix: None,
        prefix_digest: None,
    };
    let config = &project.config;
    if options.provider == Provider::Prefix {
        let directory = config.prefix.as_ref().ok_or(ProviderError::NotConfigured {
            provider: "prefix",
            platform,
        })?;
        let directory = absolute(&project.root.join(directory));
        if Platform::host() != Some(platform) {
            let host = Platform::host()
                .map_or_else(|| "another machine".to_owned(), |host| host.to_string());
            return Err(ProviderError::Foreign {
                path: directory,
                host,
                platform,
            });
        }
        interpreter.prefix_digest = Some(unpack::read_prefix(&directory)?.digest());
        interpreter.prefix = Some(directory.to_string_lossy().into_owned());
    } else {
        let standalone = config
            .standalone
            .get(&platform)
            .ok_or(ProviderError::NotConfigured {
                provider: "standalone",
                platform,
            })?;
        interpreter.archive = Some(archive(standalone)?);
        bring(session, project, &interpreter)?;
    }
    let opened = open(session.store(), &interpreter)?;
    interpreter.version = unpack::version(&opened);
    check_version(
        &interpreter,
        options.python.as_deref(),
        project.requires_python.as_deref(),
    )?;
    check_machine(session.store(), &interpreter, platform)?;
    let left_out = unpack::left_out(&opened);
    if !left_out.is_empty() {
        session.note(&format!("left out of the interpreter: {left_out}"));
    }
    Ok(interpreter)
}

/// Makes sure before a build that the locked interpreter is in the store, and that a local
/// installation is still the locked one. Does nothing for Debian's.
///
/// # Errors
/// [`ProviderError`].
pub fn ensure(session: &Session, project: &Project, target: &Target) -> Result<(), ProviderError> {
    let interpreter = &target.interpreter;
    match interpreter.provider {
        Provider::Debian => Ok(()),
        Provider::Standalone => bring(session, project, interpreter),
        Provider::Prefix => {
            let (directory, locked) = prefix(interpreter)?;
            // What was kept when the lock was made serves where the directory is not.
            if !directory.is_dir() && Pack::open(session.store(), &key(interpreter)?)?.is_some() {
                return Ok(());
            }
            unchanged(directory, locked).map(drop)
        }
    }
}

/// What the interpreter's files need, at their places in the tree.
///
/// # Errors
/// [`ProviderError`].
pub fn facts(store: &Store, interpreter: &Interpreter) -> Result<ArchiveFacts, ProviderError> {
    let opened = open(store, interpreter)?;
    let mut facts = scan_pack(store, &key(interpreter)?, &opened)?;
    // Its own sources import nothing that would keep parts of it, and open nothing by name.
    facts.native.clear();
    facts.imports.clear();
    facts.optional.clear();
    facts.suite_optional.clear();
    facts.test_imports.clear();
    if !needs_libpython(&facts) {
        facts.objects.retain(|path, _| !is_libpython(path));
    }
    Ok(facts)
}

/// Adds the interpreter's files to a tree.
///
/// # Errors
/// [`ProviderError`].
pub fn add(tree: &mut Tree, store: &Store, target: &Target) -> Result<(), ProviderError> {
    let interpreter = &target.interpreter;
    let opened = open(store, interpreter)?;
    let key = key(interpreter)?;
    let facts = scan_pack(store, &key, &opened)?;
    let shared = needs_libpython(&facts);
    let linked = shared && !finds_libpython(&facts);
    for entry in opened.entries() {
        if !shared && is_libpython(&entry.path) {
            continue;
        }
        let refused = |problem: &str| ProviderError::Entry {
            name: name(interpreter),
            path: entry.path.to_string(),
            problem: problem.to_owned(),
        };
        let mut mode = entry.mode;
        let kind = match &entry.kind {
            PackKind::Dir => continue,
            PackKind::File {
                offset,
                len,
                digest,
            } => part(&key, *offset, *len, digest),
            PackKind::Symlink(text) => {
                let leads = entry.path.resolve_link(text);
                // A link to something that was left out.
                if leads.is_none_or(|to| opened.get(&to).is_none()) {
                    continue;
                }
                Kind::Symlink(text.clone())
            }
            PackKind::Hardlink(to) => match opened.get(to).map(|other| (other.mode, &other.kind)) {
                Some((
                    same,
                    PackKind::File {
                        offset,
                        len,
                        digest,
                    },
                )) => {
                    mode = same;
                    part(&key, *offset, *len, digest)
                }
                _ => return Err(refused("is a hard link to nothing")),
            },
        };
        if linked && is_libpython(&entry.path) && entry.path.file_name().contains(".so.") {
            let name = entry.path.file_name();
            let at = TreePath::new(&format!("usr/lib/{}/{name}", target.platform.triplet()))
                .map_err(|_| refused("has an impossible name"))?;
            tree.insert(
                at,
                Node::symlink(Origin::Interpreter, &format!("../../../{PLACE}/lib/{name}")),
            )?;
        }
        tree.insert(
            entry.path.clone(),
            Node {
                origin: Origin::Interpreter,
                mode,
                owner: 0,
                kind,
            },
        )?;
    }
    Ok(())
}

fn part(archive: &Digest, offset: u64, len: u64, digest: &Digest) -> Kind {
    Kind::File(Content::Part {
        archive: *archive,
        offset,
        len,
        digest: *digest,
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How the interpreter is called in messages.
fn name(interpreter: &Interpreter) -> String {
    match (&interpreter.archive, &interpreter.prefix) {
        (Some(archive), _) => archive.name.clone(),
        (None, Some(prefix)) => prefix.clone(),
        (None, None) => "python".to_owned(),
    }
}

/// The lock's record of a configured archive.
fn archive(standalone: &Standalone) -> Result<Wheel, ProviderError> {
    let text = standalone.url.as_str();
    let (url, path, file_name) = if text.contains("://") {
        let parsed = Url::parse(text).map_err(|_| ProviderError::Url {
            url: text.to_owned(),
        })?;
        if !matches!(parsed.scheme(), "https" | "http" | "file") {
            return Err(ProviderError::Url {
                url: text.to_owned(),
            });
        }
        let last = parsed
            .path_segments()
            .and_then(Iterator::last)
            .unwrap_or_default()
            .replace("%2B", "+");
        (Some(text.to_owned()), None, last)
    } else {
        let last = Path::new(text)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (None, Some(text.to_owned()), last)
    };
    if file_name.is_empty() {
        return Err(ProviderError::Url {
            url: text.to_owned(),
        });
    }
    let hashes = Hashes {
        sha256: standalone.sha256,
    };
    Ok(Wheel {
        name: file_name,
        url,
        path,
        upload_time: None,
        size: None,
        hashes,
    })
}

/// Brings the locked archive into the store.
pub(crate) fn bring(
    session: &Session,
    project: &Project,
    interpreter: &Interpreter,
) -> Result<(), ProviderError> {
    let archive = interpreter
        .archive
        .as_ref()
        .ok_or(ProviderError::Unlocked {
            provider: "standalone",
        })?;
    let digest = archive.hashes.sha256;
    let failed = |source| ProviderError::Fetch {
        name: archive.name.clone(),
        source,
    };
    session.net.take(&[digest]).map_err(failed)?;
    if session.store().has(&digest) {
        return Ok(());
    }
    let Some(url) = &archive.url else {
        let path = project
            .root
            .join(archive.path.as_deref().unwrap_or_default());
        return put(session.store(), &path, &digest);
    };
    let url = Url::parse(url).map_err(|_| ProviderError::Url { url: url.clone() })?;
    if url.scheme() == "file" {
        let path = url.to_file_path().map_err(|()| ProviderError::Url {
            url: url.to_string(),
        })?;
        return put(session.store(), &path, &digest);
    }
    let want = Want {
        label: archive.name.clone(),
        urls: vec![url],
        digest,
        size: archive.size,
        credentials: false,
    };
    session.net.fetch(vec![want]).map_err(failed)
}

fn put(store: &Store, path: &Path, digest: &Digest) -> Result<(), ProviderError> {
    let local = |source| ProviderError::Local {
        path: path.to_owned(),
        source,
    };
    // Opening a pipe would wait for its writer.
    if !fs_err::metadata(path).map_err(local)?.is_file() {
        return Err(local(std::io::Error::other("it is no regular file")));
    }
    let mut file = fs_err::File::open(path).map_err(local)?;
    match store.put_reader(&mut file, Some((*digest, None))) {
        Ok(_) => Ok(()),
        Err(source @ StoreError::WrongDigest { .. }) => Err(ProviderError::Digest {
            path: path.to_owned(),
            source,
        }),
        Err(error) => Err(error.into()),
    }
}

/// The key of the interpreter's pack.
fn key(interpreter: &Interpreter) -> Result<Digest, ProviderError> {
    match interpreter.provider {
        Provider::Prefix => prefix(interpreter)
            .map(|(_, digest)| Pack::key(&digest, &format!("prefix {}", unpack::VERSION))),
        _ => {
            let archive = interpreter
                .archive
                .as_ref()
                .ok_or(ProviderError::Unlocked {
                    provider: "standalone",
                })?;
            Ok(Pack::key(
                &archive.hashes.sha256,
                &format!("standalone {}", unpack::VERSION),
            ))
        }
    }
}

fn prefix(interpreter: &Interpreter) -> Result<(&Path, Digest), ProviderError> {
    match (&interpreter.prefix, interpreter.prefix_digest) {
        (Some(prefix), Some(digest)) => Ok((Path::new(prefix), digest)),
        _ => Err(ProviderError::Unlocked { provider: "prefix" }),
    }
}

fn unchanged(directory: &Path, locked: Digest) -> Result<unpack::Prefix, ProviderError> {
    let files = unpack::read_prefix(directory)?;
    let found = files.digest();
    if found != locked {
        return Err(ProviderError::Changed {
            path: directory.to_owned(),
            locked,
            found,
        });
    }
    Ok(files)
}

/// The interpreter's pack, made when it is not there.
fn open(store: &Store, interpreter: &Interpreter) -> Result<Pack, ProviderError> {
    let key = key(interpreter)?;
    if let Some(pack) = Pack::open(store, &key)? {
        return Ok(pack);
    }
    if interpreter.provider == Provider::Prefix {
        let (directory, locked) = prefix(interpreter)?;
        return unpack::pack_prefix(store, &key, directory, &unchanged(directory, locked)?);
    }
    let archive = interpreter
        .archive
        .as_ref()
        .ok_or(ProviderError::Unlocked {
            provider: "standalone",
        })?;
    unpack::pack_archive(store, &key, &archive.name, &archive.hashes.sha256)
}

/// Whether something of the interpreter needs its own shared library; python-build-standalone
/// ships one for programs that embed Python, and it is the largest file by far.
fn needs_libpython(facts: &ArchiveFacts) -> bool {
    facts
        .objects
        .iter()
        .filter(|(path, _)| !is_libpython(path))
        .any(|(_, object)| {
            object
                .needed
                .iter()
                .any(|needed| needed.starts_with("libpython"))
        })
}

/// Whether what needs the library looks for it from its own place. A local installation often
/// has the absolute path of its directory instead, where nothing is in an artifact: then the loader's
/// own directory gets a link.
fn finds_libpython(facts: &ArchiveFacts) -> bool {
    let from_own_place = |paths: &[String]| paths.iter().any(|path| path.starts_with("$ORIGIN"));
    facts
        .objects
        .values()
        .filter(|object| {
            object
                .needed
                .iter()
                .any(|needed| needed.starts_with("libpython"))
        })
        .all(|object| from_own_place(&object.rpath) || from_own_place(&object.runpath))
}

fn is_libpython(path: &TreePath) -> bool {
    path.file_name().starts_with("libpython")
}

fn check_version(
    interpreter: &Interpreter,
    wanted: Option<&str>,
    requires: Option<&str>,
) -> Result<(), ProviderError> {
    let version = &interpreter.version;
    let refused = |wanted: String| ProviderError::Version {
        name: name(interpreter),
        version: version.clone(),
        wanted,
    };
    if let Some(wanted) = wanted {
        let wanted = wanted.trim_start_matches("python").trim_start_matches('=');
        if wanted != version && wanted != minor(version) {
            return Err(refused(wanted.to_owned()));
        }
    }
    let Some(requires) = requires else {
        return Ok(());
    };
    match unheck_resolve::python_allowed(requires, version) {
        Some(true) => Ok(()),
        Some(false) => Err(refused(format!("`{requires}`"))),
        None => Err(ProviderError::Specifier {
            requires: requires.to_owned(),
        }),
    }
}

fn check_machine(
    store: &Store,
    interpreter: &Interpreter,
    platform: Platform,
) -> Result<(), ProviderError> {
    let facts = facts(store, interpreter)?;
    let program = format!("{PLACE}/bin/python{}", minor(&interpreter.version));
    let refused = |problem: String| ProviderError::Machine {
        name: name(interpreter),
        problem,
        platform,
    };
    let object = facts
        .objects
        .iter()
        .find(|(path, _)| path.as_str() == program);
    let Some((_, object)) = object else {
        return Err(refused(format!(
            "has a `bin/python{}` that is no ELF program",
            minor(&interpreter.version)
        )));
    };
    if object.machine != platform.elf_machine() {
        return Err(refused(format!("is for {:?}", object.machine)));
    }
    match &object.interp {
        Some(loader) if loader.contains("musl") => {
            Err(refused(format!("is for musl (its loader is `{loader}`)")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
