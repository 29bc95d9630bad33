//! What a build lacked, how sure that is, and lists of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Most things that one list names; a real build lacks a handful.
const MAX_FOUND: usize = 256;

/// Longest name of a thing, in bytes.
const MAX_NAME: usize = 200;

/// Something that a build asked for and did not find.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Lack {
    /// A C or C++ header as it is included, such as `libxml/xmlversion.h`.
    Header(String),
    /// A library as a linker is told of it by `-l`, such as `pq`.
    Library(String),
    /// A library file that was opened by its name, such as `libhdf5.so`.
    SharedObject(String),
    /// A module of pkg-config.
    PkgConfig {
        /// The name of its `.pc` file without the extension.
        module: String,
        /// The least version that is good enough, where the log says one.
        at_least: Option<String>,
    },
    /// A program that is looked for along `PATH`.
    Program(String),
    /// The compiler of a language.
    Compiler(Language),
    /// A package of CMake's `find_package`.
    CMake {
        /// The name as CMake has it, such as `OpenSSL`.
        package: String,
    },
    /// A name that a build system looked for in several ways (meson's `dependency()`, a `configure`
    /// script): a module of pkg-config, a CMake package or a library may satisfy it.
    Dependency {
        /// The name.
        name: String,
        /// The least version that is good enough, where the log says one.
        at_least: Option<String>,
    },
    /// The headers of the Python interpreter.
    PythonHeader,
    /// A Python module that the build imports and does not declare: another distribution.
    PythonModule(String),
    /// A file that is none of the above; no system package has it when the path is relative.
    File(String),
    /// Something is there and older than what the build wants.
    TooOld {
        /// What it is: a program, a module, a dependency.
        name: String,
        /// The version that is there.
        found: Option<String>,
        /// The least version that is good enough.
        at_least: Option<String>,
    },
}

/// A language whose compiler a build may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cpp,
    /// Fortran.
    Fortran,
    /// Rust, with cargo.
    Rust,
    /// Cython.
    Cython,
    /// Go.
    Go,
    /// Java.
    Java,
}

/// How sure it is that the build stopped because of a lack; the surest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// It was looked for by something that looks for many things.
    Hinted,
    /// The log says in passing that it is not there; most builds go on without.
    Mentioned,
    /// The sandbox saw that it was looked for where it would be, and was not there.
    Probed,
    /// The log complains that it is not there.
    Stated,
    /// A compiler, a linker or a build system stopped because of it.
    Fatal,
}

/// A lack with what tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What is missing.
    pub lack: Lack,
    /// The line of the log with its number, or the probes; at most 200 characters, fit to be shown.
    pub evidence: String,
    /// How sure it is.
    pub strength: Strength,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versioned =
            |f: &mut fmt::Formatter<'_>, what: &str, name: &str, at_least: &Option<String>| {
                match at_least {
                    Some(version) => write!(f, "{what} `{name}` {version} or newer"),
                    None => write!(f, "{what} `{name}`"),
                }
            };
        match self {
            Self::Header(name) => write!(f, "header `{name}`"),
            Self::Library(name) => write!(f, "library `-l{name}`"),
            Self::SharedObject(name) => write!(f, "shared object `{name}`"),
            Self::PkgConfig { module, at_least } => {
                versioned(f, "pkg-config module", module, at_least)
            }
            Self::Program(name) => write!(f, "program `{name}`"),
            Self::Compiler(language) => write!(f, "{} compiler", language.name()),
            Self::CMake { package } => write!(f, "CMake package `{package}`"),
            Self::Dependency { name, at_least } => versioned(f, "dependency", name, at_least),
            Self::PythonHeader => f.write_str("header `Python.h`"),
            Self::PythonModule(name) => write!(f, "Python module `{name}`"),
            Self::File(name) => write!(f, "file `{name}`"),
            Self::TooOld {
                name,
                found,
                at_least,
            } => {
                versioned(f, "a newer", name, at_least)?;
                match found {
                    Some(found) => write!(f, " (there is {found})"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Language {
    /// The name that people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::Cpp => "C++",
            Self::Fortran => "Fortran",
            Self::Rust => "Rust",
            Self::Cython => "Cython",
            Self::Go => "Go",
            Self::Java => "Java",
        }
    }

    /// The language of a compiler's program name, with or without a triplet and a version.
    pub fn of_program(name: &str) -> Option<Self> {
        let bare = name.rsplit('/').next().unwrap_or(name);
        let bare = match bare.rsplit_once('-') {
            Some((before, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => before,
            _ => bare,
        };
        // `x86_64-linux-gnu-gcc` is a gcc.
        let bare = match bare.rsplit_once("linux-gnu-") {
            Some((_, tool)) => tool,
            None => bare,
        };
        Some(match bare {
            "cc" | "gcc" | "clang" | "c99" | "c89" | "cc1" => Self::C,
            "c++" | "g++" | "clang++" | "cc1plus" => Self::Cpp,
            "gfortran" | "f77" | "f90" | "f95" | "g77" | "flang" | "flang-new" | "ifort"
            | "f951" => Self::Fortran,
            "rustc" | "cargo" => Self::Rust,
            "cython" | "cython3" => Self::Cython,
            "go" => Self::Go,
            "javac" => Self::Java,
            _ => return None,
        })
    }
}

impl Lack {
    /// The lack of a program, which may be a compiler.
    pub(crate) fn program(name: &str) -> Option<Self> {
        let bare = name.rsplit('/').next().unwrap_or(name);
        if !is_name(bare) || bare.starts_with(['-', '.']) {
            return None;
        }
        Some(match Language::of_program(bare) {
            Some(language) => Self::Compiler(language),
            None => Self::Program(bare.to_owned()),
        })
    }

    /// The lack of a header; Python's own is a matter of its own.
    pub(crate) fn header(name: &str) -> Option<Self> {
        let name = name.trim_start_matches("./");
        match name {
            "Python.h" => Some(Self::PythonHeader),
            _ if is_name(name) => Some(Self::Header(name.to_owned())),
            _ => None,
        }
    }

    /// The lack of what a program wanted to open or run by a name or path.
    pub(crate) fn path(name: &str) -> Option<Self> {
        if name.ends_with('/') || !is_name(name.trim_start_matches('/')) {
            return None;
        }
        let file = name.rsplit('/').next().unwrap_or(name);
        if file.starts_with("lib") && (file.ends_with(".so") || file.contains(".so.")) {
            return Some(Self::SharedObject(file.to_owned()));
        }
        if !name.contains('/') && is_program_like(name) {
            return Self::program(name);
        }
        match name
            .strip_prefix("/usr/bin/")
            .or(name.strip_prefix("/bin/"))
        {
            Some(program) if !program.contains('/') => Self::program(program),
            _ => Some(Self::File(name.to_owned())),
        }
    }
}

/// Whether a name may be one of a file, module or program: foreign text must not become more.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+-/@".contains(c);
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(fits)
        && !name.starts_with('/')
        && name.chars().any(|c| c.is_ascii_alphanumeric())
        && !name.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// `pg_config` and `python3.11-config` are programs, `README.md`, `VERSION` and `setup.cfg` not.
fn is_program_like(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let has_lowercase = name.chars().any(|c| c.is_ascii_lowercase());
    has_lowercase && extension.is_none_or(|text| is_version(text) || text == "sh")
}

/// Lacks as they are found: each once, with its strongest and among those its first evidence.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    places: BTreeMap<Lack, usize>,
    found: Vec<Found>,
}

impl Collector {
    pub(crate) fn add(&mut self, found: Found) {
        if let Some(place) = self.places.get(&found.lack) {
            let known = &mut self.found[*place];
            if found.strength > known.strength {
                *known = found;
            }
        } else if self.found.len() < MAX_FOUND {
            self.places.insert(found.lack.clone(), self.found.len());
            self.found.push(found);
        }
    }

    /// Raises what is known of a lack.
    pub(crate) fn raise(&mut self, lack: &Lack, strength: Strength) {
        if let Some(place) = self.places.get(lack) {
            let known = &mut self.found[*place].strength;
            *known = strength.max(*known);
        }
    }

    /// The strongest first, else as they came.
    pub(crate) fn sorted(mut self) -> Vec<Found> {
        self.found
            .sort_by_key(|found| std::cmp::Reverse(found.strength));
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_is_told_apart_by_its_name() {
        let cases = [
            ("pg_config", "program `pg_config`"),
            ("/usr/bin/swig", "program `swig`"),
            ("x86_64-linux-gnu-gcc-12", "C compiler"),
            ("clang++-19", "C++ compiler"),
            ("libhdf5.so", "shared object `libhdf5.so`"),
            ("README.md", "file `README.md`"),
            ("VERSION", "file `VERSION`"),
            ("/opt/x/y.txt", "file `/opt/x/y.txt`"),
        ];
        for (name, lack) in cases {
            let found = Lack::path(name).map(|lack| lack.to_string());
            assert_eq!(found.as_deref(), Some(lack), "{name}");
        }
        for refused in [
            "",
            "/",
            "a b",
            "../../etc/passwd",
            "a;rm",
            "$(x)",
            "x\u{1b}[m",
        ] {
            assert_eq!(Lack::path(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_list_keeps_the_strongest_evidence_and_stays_short() {
        let found = |name: &str, strength, evidence: &str| Found {
            lack: Lack::Program(name.to_owned()),
            evidence: evidence.to_owned(),
            strength,
        };
        let mut list = Collector::default();
        list.add(found("a", Strength::Mentioned, "1"));
        list.add(found("b", Strength::Stated, "2"));
        list.add(found("a", Strength::Fatal, "3"));
        list.add(found("a", Strength::Fatal, "4"));
        for number in 0..1000 {
            list.add(found(&format!("p{number}"), Strength::Hinted, "5"));
        }
        let list = list.sorted();
        assert_eq!(list.len(), MAX_FOUND);
        let first: Vec<&str> = list[..3]
            .iter()
            .map(|found| found.evidence.as_str())
            .collect();
        assert_eq!(first, ["3", "2", "5"]);
    }
}
