//! Which files would end a lack, and how good each place for them is.

use unheck_base::TreePath;
use unheck_buildlog::{Lack, Language};

/// A file name to look for, and where it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// The last part of the path.
    pub(super) file_name: String,
    kind: Kind,
    /// Added to the place: what is asked for second counts less.
    penalty: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// The header as it is included.
    Header(String),
    Library,
    SharedObject,
    Module,
    Program,
    CMake,
}

/// The files that would end a lack; none where no Debian package can.
pub(super) fn of(lack: &Lack) -> Vec<Query> {
    match lack {
        Lack::Header(name) => vec![header(name, 0)],
        Lack::PythonHeader => vec![header("Python.h", 0)],
        Lack::Library(name) => library(name, 0),
        Lack::SharedObject(name) => vec![Query {
            file_name: name.clone(),
            kind: Kind::SharedObject,
            penalty: 0,
        }],
        Lack::PkgConfig { module, .. } => vec![module_of(module, 0)],
        Lack::Program(name) => vec![program(name, 0)],
        Lack::Compiler(language) => compiler(*language)
            .map(|name| program(name, 0))
            .into_iter()
            .collect(),
        Lack::CMake { package } => {
            let mut all = cmake(package, 0);
            // What CMake finds by a module of its own is a library under its own name.
            let lower = package.to_lowercase();
            all.extend([module_of(&lower, 3), module_of(&format!("lib{lower}"), 3)]);
            all.extend(library(&lower, 3));
            all.push(program(&lower, 4));
            all
        }
        Lack::Dependency { name, .. } => {
            let mut all = vec![module_of(name, 0)];
            all.extend(cmake(name, 1));
            all.extend(library(name, 2));
            all.extend([
                module_of(&format!("lib{name}"), 2),
                program(name, 3),
                header(&format!("{name}.h"), 3),
            ]);
            all
        }
        _ => Vec::new(),
    }
}

/// What to say where no package is found.
pub(super) fn why_none(lack: &Lack) -> String {
    match lack {
        Lack::PythonModule(name) => format!(
            "a Python module is no matter of Debian packages: the distribution should declare it in `[build-system] requires`; add what has `{name}` by hand"
        ),
        Lack::TooOld { name, .. } => {
            format!("the suite's `{name}` is older than what the build wants")
        }
        Lack::File(path) if !path.starts_with('/') => {
            "a file of the source tree is missing, which no Debian package has".to_owned()
        }
        _ => "no package of the suite has it where builds look for it".to_owned(),
    }
}

fn header(name: &str, penalty: u8) -> Query {
    Query {
        file_name: name.rsplit('/').next().unwrap_or(name).to_owned(),
        kind: Kind::Header(name.to_owned()),
        penalty,
    }
}

fn library(name: &str, penalty: u8) -> Vec<Query> {
    let one = |extension: &str, more| Query {
        file_name: format!("lib{name}.{extension}"),
        kind: Kind::Library,
        penalty: penalty + more,
    };
    vec![one("so", 0), one("a", 2)]
}

fn module_of(name: &str, penalty: u8) -> Query {
    Query {
        file_name: format!("{name}.pc"),
        kind: Kind::Module,
        penalty,
    }
}

fn program(name: &str, penalty: u8) -> Query {
    Query {
        file_name: name.to_owned(),
        kind: Kind::Program,
        penalty,
    }
}

fn cmake(name: &str, penalty: u8) -> Vec<Query> {
    let one = |file_name: String| Query {
        file_name,
        kind: Kind::CMake,
        penalty,
    };
    vec![
        one(format!("{name}Config.cmake")),
        one(format!("{}-config.cmake", name.to_lowercase())),
    ]
}

/// The program that Debian's package of a compiler has under a name without version.
fn compiler(language: Language) -> Option<&'static str> {
    match language {
        Language::C => Some("gcc"),
        Language::Cpp => Some("g++"),
        Language::Fortran => Some("gfortran"),
        // It depends on rustc.
        Language::Rust => Some("cargo"),
        Language::Cython => Some("cython3"),
        Language::Go => Some("go"),
        Language::Java => Some("javac"),
        _ => None,
    }
}

impl Query {
    /// How good a path is, 0 the best; nothing where no build looks by itself.
    pub(super) fn place(&self, path: &TreePath, triplet: &str) -> Option<u8> {
        let (directory, name) = path.as_str().rsplit_once('/')?;
        if name != self.file_name {
            return None;
        }
        let place = match &self.kind {
            Kind::Header(wanted) => header_place(path.as_str(), wanted, triplet)?,
            Kind::Library => library_place(directory, triplet)?,
            Kind::SharedObject => match library_place(directory, triplet) {
                Some(place) => place,
                // Such as `usr/lib/llvm-19/lib`.
                None => (directory.starts_with("usr/lib/") && directory.ends_with("/lib"))
                    .then_some(2)?,
            },
            Kind::Module => module_place(directory, triplet)?,
            Kind::Program => match directory {
                "usr/bin" => 0,
                "usr/sbin" => 1,
                _ => return None,
            },
            Kind::CMake => cmake_place(directory, triplet)?,
        };
        Some(place.saturating_add(self.penalty))
    }
}

/// 0 in a default include directory, else one more for each directory below it.
fn header_place(path: &str, wanted: &str, triplet: &str) -> Option<u8> {
    let rest = path.strip_prefix("usr/include/")?;
    let own = rest
        .strip_prefix(triplet)
        .and_then(|rest| rest.strip_prefix('/'));
    let rest = own.unwrap_or(rest);
    let before = rest.strip_suffix(wanted)?;
    if before.is_empty() {
        return Some(0);
    }
    let depth = before.strip_suffix('/')?.split('/').count();
    let is_foreign = before.contains("-linux-gnu");
    (depth <= 3 && !is_foreign).then(|| u8::try_from(depth).unwrap_or(u8::MAX))
}

fn library_place(directory: &str, triplet: &str) -> Option<u8> {
    let rest = directory.strip_prefix("usr/lib")?;
    if rest.is_empty() {
        return Some(0);
    }
    let below = rest.strip_prefix('/')?.strip_prefix(triplet)?;
    match below.strip_prefix('/') {
        None => below.is_empty().then_some(0),
        Some(_) => Some(1),
    }
}

fn module_place(directory: &str, triplet: &str) -> Option<u8> {
    let is_default = ["usr/lib/pkgconfig", "usr/share/pkgconfig"].contains(&directory)
        || directory
            .strip_prefix("usr/lib/")
            .and_then(|rest| rest.strip_prefix(triplet))
            == Some("/pkgconfig");
    is_default.then_some(0)
}

fn cmake_place(directory: &str, triplet: &str) -> Option<u8> {
    let rest = directory
        .strip_prefix("usr/lib/")
        .or(directory.strip_prefix("usr/share/"))?;
    let is_foreign = rest.contains("-linux-gnu") && !rest.starts_with(triplet);
    (!is_foreign).then_some(if rest.contains("cmake") { 0 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIPLET: &str = "x86_64-linux-gnu";

    fn place(lack: &Lack, path: &str) -> Option<u8> {
        let path = TreePath::new(path).expect("path");
        of(lack)
            .iter()
            .filter_map(|query| query.place(&path, TRIPLET))
            .min()
    }

    #[test]
    fn the_default_directory_is_the_best_place_and_other_machines_are_none() {
        let header = |name: &str| Lack::Header(name.to_owned());
        let library = Lack::Library("pq".to_owned());
        let module = Lack::PkgConfig {
            module: "cairo".to_owned(),
            at_least: None,
        };
        let program = Lack::Program("pg_config".to_owned());
        let cases = [
            (&header("lber.h"), "usr/include/lber.h", Some(0)),
            (
                &header("ffi.h"),
                "usr/include/x86_64-linux-gnu/ffi.h",
                Some(0),
            ),
            (
                &header("ffi.h"),
                "usr/include/aarch64-linux-gnu/ffi.h",
                None,
            ),
            (&header("sasl/sasl.h"), "usr/include/sasl/sasl.h", Some(0)),
            (&header("sasl/sasl.h"), "usr/include/proton/sasl.h", None),
            (
                &header("libxml/parser.h"),
                "usr/include/libxml2/libxml/parser.h",
                Some(1),
            ),
            (&header("ql.h"), "usr/include/sql.h", None),
            (&library, "usr/lib/x86_64-linux-gnu/libpq.so", Some(0)),
            (&library, "usr/lib/x86_64-linux-gnu/libpq.a", Some(2)),
            (&library, "usr/lib/x86_64-linux-gnu/x/libpq.so", Some(1)),
            (&library, "usr/lib/aarch64-linux-gnu/libpq.so", None),
            (
                &module,
                "usr/lib/x86_64-linux-gnu/pkgconfig/cairo.pc",
                Some(0),
            ),
            (&module, "usr/share/pkgconfig/cairo.pc", Some(0)),
            (
                &module,
                "usr/lib/arm-linux-gnueabihf/pkgconfig/cairo.pc",
                None,
            ),
            (&program, "usr/bin/pg_config", Some(0)),
            (&program, "usr/lib/postgresql/17/bin/pg_config", None),
        ];
        for (lack, path, expected) in cases {
            assert_eq!(place(lack, path), expected, "{lack} {path}");
        }
    }

    #[test]
    fn a_name_of_unknown_kind_is_looked_for_in_order() {
        let cairo = Lack::Dependency {
            name: "cairo".to_owned(),
            at_least: None,
        };
        let places = [
            "usr/lib/x86_64-linux-gnu/pkgconfig/cairo.pc",
            "usr/lib/x86_64-linux-gnu/cmake/cairo/cairo-config.cmake",
            "usr/lib/x86_64-linux-gnu/libcairo.so",
            "usr/bin/cairo",
        ]
        .map(|path| place(&cairo, path));
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(3)]);
        assert!(of(&Lack::PythonModule("numpy".to_owned())).is_empty());
        assert!(of(&Lack::File("README.md".to_owned())).is_empty());
    }
}
