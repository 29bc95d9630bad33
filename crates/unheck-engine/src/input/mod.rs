//! From what the user points at to a [`Project`]. Start at [`read`].
//!
//! Reads the project's own files only: no network, no choice of versions, no environment.

mod config;
mod entry;
mod files;
mod pyproject;
mod stale;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::explain::{Class, Explain};

pub use config::{Config, Mirrors, Standalone};
pub(crate) use entry::split_words;
pub use entry::{Entry, EntryError};
pub use files::{AppFile, AppFileKind, AppFiles, AppFilesError, app_files};
pub use stale::{LockOptions, inputs_digest};

/// What kind of file says what the project requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `pyproject.toml` with a `[project]` table (PEP 621).
    Pyproject,
    /// `requirements*.txt`.
    Requirements,
    /// `uv.lock` beside a `pyproject.toml`.
    UvLock,
    /// `pylock*.toml` (PEP 751).
    Pylock,
    /// A Python file with inline metadata (PEP 723).
    Script,
}

/// A project as its files describe it.
#[derive(Debug, Clone)]
pub struct Project {
    /// What the user pointed at, as they wrote it.
    pub asked: PathBuf,
    /// The directory of the app's own files.
    pub root: PathBuf,
    /// The file that says what is required.
    pub file: PathBuf,
    /// What kind of file that is.
    pub kind: Kind,
    /// Name of the project, else of its directory or script.
    pub name: String,
    /// Version, where the files state one.
    pub version: Option<String>,
    /// One line about it.
    pub description: Option<String>,
    /// Supported Python versions (PEP 440 specifiers).
    pub requires_python: Option<String>,
    /// Whether a PEP 517 backend makes a wheel of it.
    pub build_system: bool,
    /// `[project.scripts]`: command to object reference.
    pub scripts: BTreeMap<String, String>,
    /// `[tool.unheck]`, or `unheck.toml`.
    pub config: Config,
}

/// A project cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadProjectError {
    /// There is no such file or directory, or it cannot be read.
    #[error("cannot read the project `{path}`", path = path.display())]
    Read {
        /// What was tried.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The directory holds nothing that says what is required.
    #[error(
        "`{path}` holds no `pyproject.toml` with a `[project]` table, no `requirements.txt` and no `pylock.toml`",
        path = path.display()
    )]
    Nothing {
        /// The directory.
        path: PathBuf,
    },
    /// The file is of no kind that unheck reads.
    #[error("`{path}` is no project file that unheck knows", path = path.display())]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// A TOML file is wrong.
    #[error("`{path}` is not valid", path = path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A file is larger than any that a person writes.
    #[error("`{path}` has {len} bytes, more than the {limit} that unheck reads", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// Both places hold configuration.
    #[error("`{root}` has both `unheck.toml` and `[tool.unheck]` in `pyproject.toml`", root = root.display())]
    TwoConfigs {
        /// The project's directory.
        root: PathBuf,
    },
    /// A script has no metadata block, or a broken one.
    #[error("the script `{path}` {problem}", path = path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// What is wrong with its block.
        problem: &'static str,
    },
    /// Brackets are nested deeper than any real file's.
    #[error("`{path}` nests brackets more than {limit} deep", path = path.display())]
    TooDeep {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
}

impl Explain for ReadProjectError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Nothing { .. } => "name the file: `unheck build path/to/requirements.txt`",
            Self::UnknownKind { .. } => {
                "give a directory, `pyproject.toml`, `requirements*.txt`, `uv.lock`, `pylock*.toml` or a Python script with a `# /// script` block"
            }
            Self::TwoConfigs { .. } => "keep one of the two",
            Self::Script { .. } => {
                "begin it with `# /// script`, `# dependencies = []`, `# ///` (PEP 723)"
            }
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// Longest project file that is read: locks of very large projects stay under it.
const MAX_FILE: u64 = 64 << 20;

/// Deepest nesting of brackets in a project file; parsers behind this recurse.
const MAX_DEPTH: usize = 100;

/// Reads the project that `path` names: a directory or one of the files of [`Kind`].
///
/// # Errors
/// [`ReadProjectError`], with line and column where a file is wrong.
pub fn read(path: &Path) -> Result<Project, ReadProjectError> {
    let metadata = fs_err::metadata(path).map_err(|source| ReadProjectError::Read {
        path: path.to_owned(),
        source,
    })?;
    let (file, kind) = if metadata.is_dir() {
        discover(path)?
    } else {
        (path.to_owned(), kind_of(path)?)
    };
    let root = match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut project = Project {
        asked: path.to_owned(),
        name: default_name(&root, &file, kind),
        root,
        file,
        kind,
        version: None,
        description: None,
        requires_python: None,
        build_system: false,
        scripts: BTreeMap::new(),
        config: Config::default(),
    };
    match kind {
        Kind::Script => script(&mut project)?,
        _ => pyproject::merge(&mut project)?,
    }
    config::merge_file(&mut project)?;
    Ok(project)
}

fn discover(directory: &Path) -> Result<(PathBuf, Kind), ReadProjectError> {
    let pyproject = directory.join("pyproject.toml");
    if pyproject.is_file() && pyproject::has_project_table(&pyproject)? {
        let lock = directory.join("uv.lock");
        return Ok(if lock.is_file() {
            (lock, Kind::UvLock)
        } else {
            (pyproject, Kind::Pyproject)
        });
    }
    for (name, kind) in [
        ("requirements.txt", Kind::Requirements),
        ("pylock.toml", Kind::Pylock),
    ] {
        let file = directory.join(name);
        if file.is_file() {
            return Ok((file, kind));
        }
    }
    Err(ReadProjectError::Nothing {
        path: directory.to_owned(),
    })
}

fn kind_of(file: &Path) -> Result<Kind, ReadProjectError> {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    match name.as_str() {
        "pyproject.toml" => Ok(Kind::Pyproject),
        "uv.lock" => Ok(Kind::UvLock),
        name if name.starts_with("pylock") && name.ends_with(".toml") => Ok(Kind::Pylock),
        name if name.ends_with(".txt") || name.ends_with(".in") => Ok(Kind::Requirements),
        name if name.ends_with(".py") || !name.contains('.') => Ok(Kind::Script),
        _ => Err(ReadProjectError::UnknownKind {
            path: file.to_owned(),
        }),
    }
}

fn default_name(root: &Path, file: &Path, kind: Kind) -> String {
    let from_directory = || {
        let full = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        full.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let name = match kind {
        Kind::Script => file
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned()),
        _ => from_directory(),
    };
    let name = name.unwrap_or_default().to_lowercase();
    let clean: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let clean = clean.trim_matches('-');
    if clean.is_empty() {
        "app".to_owned()
    } else {
        clean.to_owned()
    }
}

/// Reads a text file within the limits of length and depth.
fn read_text(path: &Path) -> Result<String, ReadProjectError> {
    let read = |source| ReadProjectError::Read {
        path: path.to_owned(),
        source,
    };
    let len = fs_err::metadata(path).map_err(read)?.len();
    if len > MAX_FILE {
        return Err(ReadProjectError::TooLarge {
            path: path.to_owned(),
            len,
            limit: MAX_FILE,
        });
    }
    fs_err::read_to_string(path).map_err(read)
}

/// Reads a TOML file, refusing nesting that would exhaust a recursive parser.
fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<(T, String), ReadProjectError> {
    let text = read_text(path)?;
    check_depth(path, &text)?;
    match toml::from_str(&text) {
        Ok(value) => Ok((value, text)),
        Err(source) => Err(ReadProjectError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        }),
    }
}

fn check_depth(path: &Path, text: &str) -> Result<(), ReadProjectError> {
    // Parentheses are those of markers, which end with their line; the others are TOML's own.
    let (mut parentheses, mut brackets) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' => parentheses += 1,
            b')' => parentheses = parentheses.saturating_sub(1),
            b'\n' => parentheses = 0,
            b'[' | b'{' => brackets += 1,
            b']' | b'}' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        if parentheses.max(brackets) > MAX_DEPTH {
            return Err(ReadProjectError::TooDeep {
                path: path.to_owned(),
                limit: MAX_DEPTH,
            });
        }
    }
    Ok(())
}

/// Reads the PEP 723 block of a script.
fn script(project: &mut Project) -> Result<(), ReadProjectError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Block {
        requires_python: Option<String>,
        #[serde(default)]
        tool: pyproject::Tool,
    }
    let path = project.file.clone();
    let text = read_text(&path)?;
    let block = script_block(&text).map_err(|problem| ReadProjectError::Script {
        path: path.clone(),
        problem,
    })?;
    check_depth(&path, &block)?;
    let block: Block = toml::from_str(&block).map_err(|source| ReadProjectError::Toml {
        path,
        source: Box::new(source),
    })?;
    project.requires_python = block.requires_python;
    project.config = block.tool.unheck.unwrap_or_default();
    Ok(())
}

/// The TOML text of the `script` block (PEP 723, reference implementation's rules), with a line
/// for every line of the script before it so that positions in messages are the script's own.
pub(crate) fn script_block(text: &str) -> Result<String, &'static str> {
    let mut block: Option<String> = None;
    let mut lines_before = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        lines_before += 1;
        if line.trim_end() != "# /// script" {
            continue;
        }
        if block.is_some() {
            return Err("has two `# /// script` blocks");
        }
        let mut body = "\n".repeat(lines_before);
        let mut held = String::new();
        let mut closed = false;
        while let Some(line) = lines.peek().filter(|line| line.starts_with('#')) {
            let content = match line.strip_prefix("# ") {
                Some(content) => content,
                None if *line == "#" => "",
                None => break,
            };
            held.push_str(content);
            held.push('\n');
            if line.trim_end() == "# ///" {
                closed = true;
            }
            lines.next();
            lines_before += 1;
        }
        if !closed {
            return Err("has a `# /// script` block that no `# ///` closes");
        }
        // The last closing line counts: everything after it is a plain comment.
        let end = held.rfind("///\n").unwrap_or(held.len());
        body.push_str(&held[..end]);
        block = Some(body);
    }
    block.ok_or("has no `# /// script` block")
}

#[cfg(test)]
mod tests;
