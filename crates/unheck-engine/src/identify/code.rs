//! A code base: what it imports that is not its own, and how that fits what it declares.
//!
//! Source is parsed, never run. What is imported by computed names is not seen. Start at [`read`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_names::answer::Answer;
use unheck_names::facts::requirement;
use unheck_names::table::Table;
use unheck_pyapi::{Context as When, imports_on, parse};

/// Most source files that are read.
pub const MAX_FILES: usize = 50_000;

/// Directories that hold no code of the project, besides hidden ones and what `.gitignore` excludes.
const SKIPPED: &[&str] = &[
    "__pycache__",
    "node_modules",
    "site-packages",
    "venv",
    "env",
    "build",
    "dist",
];

/// What a code base imports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Code {
    /// By dotted module: where.
    pub imports: BTreeMap<String, Import>,
    /// Files that were read.
    pub files: usize,
    /// Files that are no Python source that can be read.
    pub unread: Vec<String>,
}

/// Where a module is imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// The first `file:line`, relative to the code base.
    pub at: String,
    /// How often it is imported.
    pub count: usize,
    /// Everywhere it may fail, or only type checkers see it: nothing needs it to run.
    pub is_optional: bool,
}

/// A code base cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadCodeError {
    /// There is no such directory, or it cannot be read.
    #[error("cannot read the code in `{path}`", path = path.display())]
    Walk {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ignore::Error,
    },
    /// It holds more source than is read.
    #[error("`{path}` holds more than {MAX_FILES} source files", path = path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
}

impl crate::explain::Explain for ReadCodeError {
    fn class(&self) -> crate::explain::Class {
        match self {
            Self::Walk { .. } => crate::explain::Class::Input,
            Self::TooMany { .. } => crate::explain::Class::Limit,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Walk { .. } => Vec::new(),
            Self::TooMany { .. } => {
                vec!["name the directory of the code itself with `--from-code`".to_owned()]
            }
        }
    }
}

/// Reads every Python file below `directory`, for one version of Python.
///
/// # Errors
/// [`ReadCodeError`]; a file that cannot be parsed is none.
pub fn read(directory: &Path, python: (u8, u8)) -> Result<Code, ReadCodeError> {
    let files = sources(directory)?;
    let own = Own::of(&files);
    let mut code = Code::default();
    for file in &files {
        let shown = file.to_string_lossy().replace('\\', "/");
        let parsed = fs_err::read(directory.join(file)).ok();
        let Some(parsed) = parsed.and_then(|bytes| parse(&bytes).ok()) else {
            code.unread.push(shown);
            continue;
        };
        code.files += 1;
        let version = Some((u32::from(python.0), u32::from(python.1)));
        for import in imports_on(&parsed, &package_of(file), version) {
            let top = import.module.split('.').next().unwrap_or_default();
            // A relative import is the code's own.
            let is_own = top.is_empty() || own.has(file, top);
            if is_own || import.context == When::OtherPlatform {
                continue;
            }
            let module = specific(&import.module, import.name.as_deref());
            let is_optional = matches!(import.context, When::Optional | When::TypeChecking);
            let entry = code.imports.entry(module).or_insert_with(|| Import {
                at: format!("{shown}:{}", import.line),
                count: 0,
                is_optional: true,
            });
            entry.count += 1;
            entry.is_optional &= is_optional;
        }
    }
    Ok(code)
}

/// The module that an import needs: the top-level one, or, below a name that several distributions
/// share, as much as tells them apart. The name taken may be a module then: `from google.cloud import
/// storage`.
fn specific(module: &str, name: Option<&str>) -> String {
    let table = Table::shipped();
    let top = module.split('.').next().unwrap_or_default();
    if table.below(top).is_empty() || !table.module(top).is_empty() {
        return top.to_owned();
    }
    let is_module = |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase());
    let full = match name.filter(is_module) {
        Some(name) => format!("{module}.{name}"),
        None => module.to_owned(),
    };
    let ends = full
        .match_indices('.')
        .map(|(at, _)| at)
        .collect::<Vec<_>>();
    let mut prefixes = ends
        .iter()
        .rev()
        .chain(std::iter::once(&full.len()))
        .map(|end| &full[..*end])
        .collect::<Vec<_>>();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    let known = prefixes
        .into_iter()
        .find(|prefix| !table.module(prefix).is_empty());
    known.unwrap_or(&full).to_owned()
}

/// Paths of Python files relative to `directory`, sorted.
pub(crate) fn sources(directory: &Path) -> Result<Vec<PathBuf>, ReadCodeError> {
    let skipped = |entry: &ignore::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
        let is_environment = is_dir && entry.path().join("pyvenv.cfg").is_file();
        !(is_dir && entry.depth() > 0 && (SKIPPED.contains(&&*name) || is_environment))
    };
    let walk = ignore::WalkBuilder::new(directory)
        .require_git(false)
        .git_global(false)
        .parents(false)
        .follow_links(false)
        .filter_entry(skipped)
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|source| ReadCodeError::Walk {
            path: directory.to_owned(),
            source,
        })?;
        let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
        let path = entry.path();
        if is_file && path.extension().is_some_and(|extension| extension == "py") {
            files.push(path.strip_prefix(directory).unwrap_or(path).to_owned());
        }
        if files.len() > MAX_FILES {
            return Err(ReadCodeError::TooMany {
                path: directory.to_owned(),
            });
        }
    }
    files.sort();
    Ok(files)
}

/// What imports find in the code itself.
struct Own {
    /// Directories with code somewhere below, and files without their `.py`.
    places: BTreeSet<PathBuf>,
}

impl Own {
    fn of(files: &[PathBuf]) -> Self {
        let mut places = BTreeSet::new();
        for file in files {
            places.insert(file.with_extension(""));
            places.extend(file.ancestors().skip(1).map(Path::to_owned));
        }
        Self { places }
    }

    /// Whether `import top` in `file` finds the code's own: below the root, below `src` or `lib`, or beside
    /// the file, where a script is started.
    fn has(&self, file: &Path, top: &str) -> bool {
        let beside = file.parent().unwrap_or(Path::new(""));
        let roots = [Path::new(""), Path::new("src"), Path::new("lib")];
        let is_package = self.places.contains(&beside.join("__init__"));
        let scripts = (!is_package).then_some(beside);
        roots
            .into_iter()
            .chain(scripts)
            .any(|root| self.places.contains(&root.join(top)))
    }
}

/// The package of a file, for relative imports: the directories above it, without a leading `src`.
fn package_of(file: &Path) -> String {
    let directories = file.parent().into_iter().flat_map(Path::components);
    let names: Vec<String> = directories
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let names = names.strip_prefix(&["src".to_owned()]).unwrap_or(&names);
    names.join(".")
}

/// How imports and declared requirements fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Fit {
    /// Distributions that are imported and not declared: each with its module and where.
    pub undeclared: Vec<(String, String, String)>,
    /// Declared distributions that no import needs. A plugin or a command may be needed all the same.
    pub unused: Vec<String>,
}

/// What a project declares, normalised names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declared {
    /// What it requires, with all extras.
    pub required: BTreeSet<String>,
    /// What only its developers need: dependency groups (PEP 735). Many are tools that nothing imports.
    pub groups: BTreeSet<String>,
}

/// Compares the answers for a code base's imports with what is declared.
pub fn fit(code: &Code, answers: &[Answer], declared: &Declared) -> Fit {
    let mut fit = Fit::default();
    let mut used = BTreeSet::new();
    for answer in answers {
        // Each of several variants will do.
        used.extend(
            answer
                .candidates
                .iter()
                .map(|candidate| candidate.distribution.as_str()),
        );
        let Some(first) = answer.candidates.first() else {
            continue;
        };
        let any = answer.candidates.iter().any(|candidate| {
            let name = &candidate.distribution;
            declared.required.contains(name) || declared.groups.contains(name)
        });
        let import = code.imports.get(&answer.label);
        let needed = import.is_some_and(|import| !import.is_optional);
        if !any && needed && answer.stdlib.is_none() {
            let at = import.map(|import| import.at.clone()).unwrap_or_default();
            fit.undeclared
                .push((first.distribution.clone(), answer.label.clone(), at));
        }
    }
    fit.unused = declared
        .required
        .iter()
        .filter(|name| !used.contains(name.as_str()))
        .cloned()
        .collect();
    fit
}

/// The names that the project in `directory` declares: `[project]` with all extras, every
/// `requirements*.txt`, and dependency groups; `None` where none of the first two is there.
pub fn declared(directory: &Path) -> Option<Declared> {
    let mut names: Option<Declared> = None;
    let pyproject = fs_err::read_to_string(directory.join("pyproject.toml")).ok();
    if let Some(project) = pyproject.and_then(|text| text.parse::<toml::Table>().ok()) {
        let required = pyproject_names(&project);
        names = required.map(|required| Declared {
            required,
            groups: group_names(&project),
        });
    }
    let entries = fs_err::read_dir(directory).ok()?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("requirements") && name.ends_with(".txt") {
            let text = fs_err::read_to_string(entry.path()).unwrap_or_default();
            names
                .get_or_insert_default()
                .required
                .extend(requirement_names(&text));
        }
    }
    names
}

fn pyproject_names(document: &toml::Table) -> Option<BTreeSet<String>> {
    let project = document.get("project")?.as_table()?;
    let lists = project
        .get("optional-dependencies")
        .and_then(toml::Value::as_table);
    let lists = lists
        .into_iter()
        .flat_map(toml::Table::values)
        .chain(project.get("dependencies"));
    let lines = lists
        .filter_map(toml::Value::as_array)
        .flatten()
        .filter_map(toml::Value::as_str);
    Some(
        lines
            .filter_map(requirement)
            .map(|(name, _)| name)
            .collect(),
    )
}

/// The names in all dependency groups; what a group includes is another one of them.
fn group_names(document: &toml::Table) -> BTreeSet<String> {
    let groups = document.get("dependency-groups");
    let groups = groups.and_then(toml::Value::as_table);
    let lists = groups.into_iter().flat_map(toml::Table::values);
    let entries = lists.filter_map(toml::Value::as_array).flatten();
    let lines = entries.filter_map(toml::Value::as_str);
    lines
        .filter_map(requirement)
        .map(|(name, _)| name)
        .collect()
}

/// The names in a requirements file. Options, URLs and paths have none.
fn requirement_names(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    let named = lines.filter(|line| {
        line.starts_with(|c: char| c.is_ascii_alphanumeric())
            && (!line.contains("://") || line.contains(" @ "))
    });
    named
        .filter_map(requirement)
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            fs_err::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs_err::write(path, text).expect("written");
        }
        directory
    }

    #[test]
    fn what_is_the_codes_own_is_left_out() {
        let directory = written(&[
            (
                "src/app/__init__.py",
                "import yaml\nfrom . import part\nfrom app import part\nimport helper\n",
            ),
            (
                "src/app/part.py",
                "from google.cloud import storage\nfrom google.protobuf.message import Message\nimport os.path",
            ),
            ("src/app/helper.py", ""),
            (
                "scripts/run.py",
                "import beside\ntry:\n    import ujson\nexcept ImportError:\n    ujson = None\n",
            ),
            ("scripts/beside.py", "import numpy.linalg, numpy"),
            ("broken.py", "def (:"),
            (".venv/pyvenv.cfg", ""),
            (".venv/x.py", "import hidden"),
            ("env2/pyvenv.cfg", ""),
            ("env2/x.py", "import hidden"),
        ]);
        let code = read(directory.path(), (3, 13)).expect("read");
        let seen: Vec<String> = code
            .imports
            .iter()
            .map(|(name, its)| format!("{name} {} {} {}", its.at, its.count, its.is_optional))
            .collect();
        assert_eq!(
            seen,
            [
                "google.cloud.storage src/app/part.py:1 1 false",
                "google.protobuf src/app/part.py:2 1 false",
                // Beside a file of a package is not where an import looks.
                "helper src/app/__init__.py:4 1 false",
                "numpy scripts/beside.py:1 2 false",
                "os src/app/part.py:3 1 false",
                "ujson scripts/run.py:3 1 true",
                "yaml src/app/__init__.py:1 1 false",
            ]
        );
    }

    #[test]
    fn declared_names_come_from_both_kinds_of_files() {
        let directory = written(&[
            (
                "pyproject.toml",
                "[project]\nname = \"x\"\ndependencies = [\"PyYAML>=6\"]\noptional-dependencies.fast = [\"ujson; python_version > '3'\"]\n[dependency-groups]\ndev = [\"mypy>=1\", {include-group = \"test\"}]\n",
            ),
            (
                "requirements-dev.txt",
                "-r other.txt\n# no\nPytest==8 # yes\nhttps://x.test/a.whl\nb @ https://x.test/b.whl\n./local\n",
            ),
        ]);
        let names = declared(directory.path()).expect("declared");
        assert_eq!(
            names.required,
            ["b", "pytest", "pyyaml", "ujson"].map(str::to_owned).into()
        );
        assert_eq!(names.groups, ["mypy".to_owned()].into());
        let empty = written(&[("a.py", "")]);
        assert_eq!(declared(empty.path()), None);
    }
}
