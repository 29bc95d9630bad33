//! The app's own files: what ships of a project's directory, and what never does.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use unheck_base::{Digest, Hasher, TreePath, TreePathError};

use super::{Kind, Project};
use crate::explain::{Class, Explain};
use crate::form::{Format, MANIFEST_PATH, kind_of};
use crate::lock::LOCK_FILE;

/// One file or link of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFile {
    /// Path below the app's directory.
    pub path: TreePath,
    /// Where it is on disk.
    pub source: PathBuf,
    /// Whether anyone may execute it.
    pub executable: bool,
    /// What it is.
    pub kind: AppFileKind,
}

/// A regular file or a link that stays inside the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppFileKind {
    /// A regular file.
    File {
        /// Length in bytes.
        len: u64,
        /// Digest of the content.
        digest: Digest,
    },
    /// A symbolic link, by its text.
    Symlink(String),
}

/// The app's files, sorted, and what was left out although one might expect it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppFiles {
    /// What ships.
    pub files: Vec<AppFile>,
    /// Names of files that look like secrets and were left out.
    pub secrets: Vec<String>,
    /// What the files need and open, once somebody asked; see [`crate::locker::app_facts`].
    pub(crate) facts: std::sync::OnceLock<crate::scan::ArchiveFacts>,
}

/// The app's files cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum AppFilesError {
    /// A file or directory cannot be read.
    #[error("cannot read the app's files in `{root}`", root = root.display())]
    Read {
        /// The app's directory.
        root: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A name that no image can hold.
    #[error("the app's file `{name}` cannot go into an image")]
    Name {
        /// The name, as far as it is text.
        name: String,
        /// Why not.
        #[source]
        source: TreePathError,
    },
    /// A link that leads out of the app.
    #[error("the app's link `{path}` leads out of the project, to `{target}`")]
    LinkOut {
        /// The link.
        path: TreePath,
        /// Its text.
        target: String,
    },
    /// Neither file, directory nor link.
    #[error("`{path}` in the project is a device, socket or pipe")]
    Special {
        /// The path.
        path: TreePath,
    },
    /// A pattern of `include` or `exclude` is wrong.
    #[error("the pattern `{pattern}` in `[tool.unheck]` is no gitignore pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        #[source]
        source: ignore::Error,
    },
    /// More than an app has.
    #[error("the project holds {what}, more than the {limit} that unheck takes as an app")]
    TooMuch {
        /// How much there is.
        what: String,
        /// The limit.
        limit: String,
    },
}

impl Explain for AppFilesError {
    fn class(&self) -> Class {
        match self {
            Self::TooMuch { .. } => Class::Limit,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::LinkOut { path, .. } => {
                vec![format!(
                    "leave it out: `exclude = [\"/{path}\"]` in `[tool.unheck]`"
                )]
            }
            Self::Special { path } => {
                vec![format!(
                    "remove it, or `exclude = [\"/{path}\"]` in `[tool.unheck]`"
                )]
            }
            Self::TooMuch { .. } => vec![
                "leave out what is no part of the app: `exclude = [...]` in `[tool.unheck]`"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

/// Never part of an app: version control, caches, environments, what unheck itself writes.
const NEVER: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".gitignore",
    ".gitattributes",
    ".github",
    ".gitlab-ci.yml",
    ".dockerignore",
    "__pycache__",
    "*.pyc",
    "*.pyo",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".coverage",
    ".idea",
    ".vscode",
    ".DS_Store",
    "node_modules",
    "*.egg-info",
    "/build",
    "/dist",
    "*.oci.tar",
    "*.oci",
    "/*.tar.zst",
    "/*.tar.gz",
    "Dockerfile*",
    "/unheck.toml",
    "/unheck.sizes.toml",
    "/unheck.trace",
    "/uv.lock",
    "/pylock*.toml",
    "/.python-version",
    "/Makefile",
    "/justfile",
    "/tests",
    "/test",
];

/// Left out for the user's safety, and said so.
const SECRETS: &[&str] = &[
    ".env",
    ".env.*",
    ".netrc",
    ".pypirc",
    "id_rsa",
    "id_ed25519",
    "id_ecdsa",
    "*.pem",
    "*.key",
    ".aws",
    ".ssh",
];

/// Most files and bytes that are taken as an app.
const MAX_FILES: usize = 200_000;
const MAX_BYTES: u64 = 8 << 30;

/// Lists and hashes what ships of the project's directory: everything but what `.gitignore`
/// files, rules for what never ships and `exclude` leave out. A script is one file.
///
/// # Errors
/// [`AppFilesError`] when a file cannot be read or must not ship.
pub fn app_files(project: &Project) -> Result<AppFiles, AppFilesError> {
    let mut found = AppFiles::default();
    if project.kind == Kind::Script {
        let name = project
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        found
            .files
            .extend(app_file(&project.root, &project.file, &name)?);
        return Ok(found);
    }
    let secrets = matcher(&project.root, SECRETS.iter().copied(), &[])?;
    let never = matcher(
        &project.root,
        NEVER
            .iter()
            .copied()
            .chain(project.config.exclude.iter().map(String::as_str)),
        &project.config.include,
    )?;
    let walk = WalkBuilder::new(&project.root)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .parents(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            entry.depth() == 0
                || !(never.matched(entry.path(), is_dir(entry)).is_ignore() || was_built(entry))
        })
        .build();
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| AppFilesError::Read {
        root: project.root.clone(),
        source,
    };
    let mut bytes = 0;
    for entry in walk {
        let entry = entry.map_err(|error| failed(Box::new(error)))?;
        if entry.depth() == 0 || is_dir(&entry) {
            continue;
        }
        let relative = entry
            .path()
            .strip_prefix(&project.root)
            .map_err(|error| failed(Box::new(error)))?;
        let name = relative.to_string_lossy().into_owned();
        if secrets
            .matched_path_or_any_parents(relative, false)
            .is_ignore()
        {
            found.secrets.push(name);
            continue;
        }
        let Some(file) = app_file(&project.root, entry.path(), &name)? else {
            continue;
        };
        if let AppFileKind::File { len, .. } = file.kind {
            bytes += len;
        }
        found.files.push(file);
        check_size(found.files.len(), bytes)?;
    }
    found.files.retain(|file| file.path.as_str() != LOCK_FILE);
    found.files.sort_by(|one, other| one.path.cmp(&other.path));
    found.secrets.sort();
    Ok(found)
}

/// Whether it is what unheck built before, which must not grow by itself with each build.
fn was_built(entry: &ignore::DirEntry) -> bool {
    let path = entry.path();
    if is_dir(entry) {
        return path.join(MANIFEST_PATH).is_file();
    }
    let executable = entry.metadata().is_ok_and(|metadata| {
        use std::os::unix::fs::PermissionsExt as _;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    });
    executable
        && kind_of(path).is_ok_and(|kind| kind == Format::Exe)
        && unheck_launcher::ExeFile::open(path).is_ok()
}

fn is_dir(entry: &ignore::DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}

fn check_size(files: usize, bytes: u64) -> Result<(), AppFilesError> {
    if files > MAX_FILES {
        return Err(AppFilesError::TooMuch {
            what: format!("{files} files"),
            limit: MAX_FILES.to_string(),
        });
    }
    if bytes > MAX_BYTES {
        let gib = MAX_BYTES >> 30;
        return Err(AppFilesError::TooMuch {
            what: format!("more than {gib} GiB"),
            limit: format!("{gib} GiB"),
        });
    }
    Ok(())
}

/// A gitignore matcher whose `keep` patterns win over `leave` patterns.
fn matcher<'a>(
    root: &Path,
    leave: impl Iterator<Item = &'a str>,
    keep: &[String],
) -> Result<ignore::gitignore::Gitignore, AppFilesError> {
    let mut builder = ignore::gitignore::GitignoreBuilder::new(root);
    let mut add = |pattern: &str| match builder.add_line(None, pattern) {
        Ok(_) => Ok(()),
        Err(source) => Err(AppFilesError::Pattern {
            pattern: pattern.to_owned(),
            source,
        }),
    };
    for pattern in leave {
        add(pattern)?;
    }
    for pattern in keep {
        add(&format!("!{pattern}"))?;
    }
    builder.build().map_err(|source| AppFilesError::Pattern {
        pattern: String::new(),
        source,
    })
}

fn app_file(root: &Path, source: &Path, name: &str) -> Result<Option<AppFile>, AppFilesError> {
    let failed = |error: std::io::Error| AppFilesError::Read {
        root: root.to_owned(),
        source: Box::new(error),
    };
    let path = TreePath::new(name).map_err(|source| AppFilesError::Name {
        name: name.chars().take(200).collect(),
        source,
    })?;
    let metadata = fs_err::symlink_metadata(source).map_err(failed)?;
    let kind = if metadata.is_symlink() {
        let target = fs_err::read_link(source)
            .map_err(failed)?
            .to_string_lossy()
            .into_owned();
        if target.starts_with('/') || path.resolve_link(&target).is_none() {
            return Err(AppFilesError::LinkOut { path, target });
        }
        AppFileKind::Symlink(target)
    } else if metadata.is_file() {
        // Nothing is read past the limit, so that a sparse giant ends in the message.
        check_size(0, metadata.len())?;
        let file = fs_err::File::open(source).map_err(failed)?;
        let (digest, len) = Digest::of_reader(file).map_err(failed)?;
        AppFileKind::File { len, digest }
    } else {
        return Err(AppFilesError::Special { path });
    };
    use std::os::unix::fs::PermissionsExt as _;
    let executable = metadata.permissions().mode() & 0o111 != 0;
    Ok(Some(AppFile {
        path,
        source: source.to_owned(),
        executable,
        kind,
    }))
}

impl AppFiles {
    /// One digest over paths, modes and content; the files' dates are no part of it.
    pub fn fingerprint(&self) -> Digest {
        let mut hasher = Hasher::new();
        for file in &self.files {
            hasher.update(file.path.as_str().as_bytes());
            hasher.update(&[0, u8::from(file.executable)]);
            match &file.kind {
                AppFileKind::File { len, digest } => {
                    hasher.update(b"f");
                    hasher.update(&len.to_le_bytes());
                    hasher.update(digest.as_bytes());
                }
                AppFileKind::Symlink(target) => {
                    hasher.update(b"l");
                    hasher.update(target.as_bytes());
                    hasher.update(&[0]);
                }
            }
        }
        hasher.finish()
    }
}
