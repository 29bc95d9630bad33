//! What kind of file something is, by its path and its first bytes. Start at [`FileKind::of`].
//!
//! A rule looks at where installers put things (the directories of the binary distribution format,
//! of PEP 3147 and PEP 3149, of Debian Policy chapter 9 and 12), then at the name; the first bytes
//! only tell ELF objects and scripts that their names do not give away. Reads no file.

use serde::Serialize;
use unheck_base::TreePath;

/// What kind of file something is. The order is that of tables with equal sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A compiled Python module.
    ExtensionModule,
    /// A native library, the loader included.
    SharedLibrary,
    /// Something to start: an ELF program or a script.
    Program,
    /// Python source.
    PythonSource,
    /// Compiled Python source.
    Bytecode,
    /// Type information for type checkers.
    TypeStub,
    /// Headers, sources and static libraries of compiled code.
    NativeSource,
    /// What installers and scanners read: `dist-info`, dpkg's status, the lock.
    Metadata,
    /// Licence and copyright texts.
    Licence,
    /// Manuals, read-mes, change logs.
    Documentation,
    /// Translated messages and locales.
    Translation,
    /// The time zone database.
    TimeZones,
    /// Trusted certificates.
    Certificates,
    /// Settings of the system and of libraries.
    Configuration,
    /// Another name of a file.
    Link,
    /// Everything else that code opens.
    Data,
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// An ELF object.
    Elf,
    /// `#!`.
    Script,
    /// Something else, or not looked at.
    Other,
}

impl Head {
    /// What these first bytes say.
    pub(super) fn of(bytes: &[u8]) -> Self {
        if unheck_elf::is_elf(bytes) {
            Self::Elf
        } else if bytes.starts_with(b"#!") {
            Self::Script
        } else {
            Self::Other
        }
    }
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ExtensionModule => "extension module",
            Self::SharedLibrary => "shared library",
            Self::Program => "program",
            Self::PythonSource => "Python source",
            Self::Bytecode => "bytecode",
            Self::TypeStub => "type stub",
            Self::NativeSource => "native source",
            Self::Metadata => "metadata",
            Self::Licence => "licence",
            Self::Documentation => "documentation",
            Self::Translation => "translation",
            Self::TimeZones => "time zones",
            Self::Certificates => "certificates",
            Self::Configuration => "configuration",
            Self::Link => "link",
            Self::Data => "data",
        })
    }
}

impl FileKind {
    /// The kind of the file at `path`, which is no link.
    pub(super) fn of(path: &TreePath, head: Head) -> Self {
        if is_licence(path) {
            return Self::Licence;
        }
        if is_metadata(path) {
            return Self::Metadata;
        }
        by_extension(path, head)
            .or_else(|| by_directory(path))
            .unwrap_or_else(|| match head {
                Head::Elf => elf_without_extension(path),
                Head::Script if is_in(path, &["bin", "sbin"]) => Self::Program,
                _ if is_in(path, &["bin", "sbin"]) => Self::Program,
                _ => Self::Data,
            })
    }
}

/// Whether one of the directories above is called so.
fn is_in(path: &TreePath, names: &[&str]) -> bool {
    let mut parts = path.as_str().split('/').rev();
    parts.next();
    parts.any(|part| names.contains(&part))
}

/// Licences travel under these names (Debian Policy 12.5, PEP 639 and the habit before it).
fn is_licence(path: &TreePath) -> bool {
    if path.is_under("usr/share/common-licenses") || in_dist_info(path, &["licenses", "licences"]) {
        return true;
    }
    let name = path.file_name().to_ascii_lowercase();
    let (stem, extension) = name.split_once('.').unwrap_or((&name, ""));
    let named = ["license", "licence", "copying", "notice", "copyright"]
        .iter()
        .any(|word| {
            stem.strip_prefix(word)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', 's']))
        });
    named
        && matches!(
            extension,
            "" | "txt" | "md" | "rst" | "apache" | "bsd" | "mit"
        )
}

/// Whether the path is under one of these directories of a `dist-info`.
fn in_dist_info(path: &TreePath, names: &[&str]) -> bool {
    let parts: Vec<&str> = path.as_str().split('/').collect();
    parts
        .windows(3)
        .any(|window| window[0].ends_with(".dist-info") && names.contains(&window[1]))
}

fn is_metadata(path: &TreePath) -> bool {
    ["var/lib/dpkg", "usr/share/unheck"]
        .iter()
        .any(|directory| path.is_under(directory))
        || path.ancestors().any(|above| {
            let name = above.file_name();
            name.ends_with(".dist-info") || name.ends_with(".egg-info")
        })
        || path.file_name().ends_with(".egg-info")
        || path.file_name() == "EXTERNALLY-MANAGED"
}

fn by_extension(path: &TreePath, head: Head) -> Option<FileKind> {
    let name = path.file_name();
    if is_library_name(name) {
        return Some(if is_extension_module(path) {
            FileKind::ExtensionModule
        } else {
            FileKind::SharedLibrary
        });
    }
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    Some(match extension {
        "py" | "pyw" => FileKind::PythonSource,
        "pyc" | "pyo" => FileKind::Bytecode,
        "pyi" => FileKind::TypeStub,
        "typed" if stem == "py" => FileKind::TypeStub,
        "pyx" | "pxd" | "pxi" | "h" | "hpp" | "hh" | "hxx" | "c" | "cc" | "cpp" | "cxx" | "f"
        | "f90" | "a" | "la" | "lib" | "cmake" | "cu" | "cuh" | "pc" => FileKind::NativeSource,
        "mo" | "po" | "pot" => FileKind::Translation,
        _ if head == Head::Elf => elf_without_extension(path),
        _ => return None,
    })
}

/// `a.so`, `liba.so.1.2`.
fn is_library_name(name: &str) -> bool {
    let Some((stem, rest)) = name.split_once(".so") else {
        return false;
    };
    let version = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !rest.is_empty()
        && rest
            .strip_prefix('.')
            .is_some_and(|rest| rest.split('.').all(version))
    {
        return !stem.is_empty();
    }
    !stem.is_empty() && name.ends_with(".so")
}

/// `NAME.so`, `NAME.abi3.so`, `NAME.cpython-313-x86_64-linux-gnu.so` where Python looks for
/// modules (PEP 3149); a `lib` without tag is what wheels call their libraries.
fn is_extension_module(path: &TreePath) -> bool {
    let Some(stem) = path.file_name().strip_suffix(".so") else {
        return false;
    };
    let (module, tag) = stem.split_once('.').unwrap_or((stem, ""));
    let mut letters = module.chars();
    let is_identifier = letters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_');
    let tagged = tag == "abi3" || tag.starts_with("cpython-") || tag.starts_with("pypy");
    if !is_identifier || !(tag.is_empty() || tagged) {
        return false;
    }
    let vendored = path.parent().is_some_and(|parent| {
        matches!(
            parent.file_name().rsplit_once('.'),
            Some((_, "libs" | "dylibs"))
        )
    });
    let looked_for = is_in(path, &["site-packages", "dist-packages", "lib-dynload"])
        || path.is_under(crate::layout::APP_DIR);
    looked_for && !vendored && (tagged || !module.starts_with("lib"))
}

/// The loader and libraries under odd names are libraries, what stands in `bin` is a program.
fn elf_without_extension(path: &TreePath) -> FileKind {
    let libraries = is_in(path, &["lib", "lib64"]) && !is_in(path, &["bin", "sbin", "libexec"]);
    if libraries && path.file_name().contains(".so") {
        FileKind::SharedLibrary
    } else {
        FileKind::Program
    }
}

fn by_directory(path: &TreePath) -> Option<FileKind> {
    const PLACES: &[(&str, FileKind)] = &[
        ("etc/ssl", FileKind::Certificates),
        ("usr/share/ca-certificates", FileKind::Certificates),
        ("usr/lib/ssl", FileKind::Certificates),
        ("usr/share/zoneinfo", FileKind::TimeZones),
        ("usr/lib/locale", FileKind::Translation),
        ("usr/share/locale", FileKind::Translation),
        ("usr/share/i18n", FileKind::Translation),
        ("usr/share/doc", FileKind::Documentation),
        ("usr/share/man", FileKind::Documentation),
        ("usr/share/info", FileKind::Documentation),
        ("usr/local/share/doc", FileKind::Documentation),
        ("usr/local/share/man", FileKind::Documentation),
        ("usr/include", FileKind::NativeSource),
        ("usr/local/include", FileKind::NativeSource),
        ("etc", FileKind::Configuration),
    ];
    let place = PLACES
        .iter()
        .find(|(directory, _)| path.is_under(directory))
        .map(|(_, kind)| *kind);
    // The distribution `tzdata` and the bundle of `certifi` are the same things elsewhere.
    place.or_else(|| {
        if is_in(path, &["zoneinfo"]) && is_in(path, &["tzdata", "pytz", "dateutil"]) {
            Some(FileKind::TimeZones)
        } else if path.file_name() == "cacert.pem" {
            Some(FileKind::Certificates)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "usr/local/lib/python3.13/dist-packages";

    #[track_caller]
    fn kinds(expected: FileKind, paths: &[&str]) {
        for path in paths {
            let path = path.replace("SITE", SITE);
            let kind = FileKind::of(&TreePath::new(&path).expect("path"), Head::Other);
            assert_eq!(kind, expected, "{path}");
        }
    }

    #[test]
    fn compiled_modules_are_told_from_libraries_by_name_and_place() {
        kinds(
            FileKind::ExtensionModule,
            &[
                "SITE/numpy/_core/_multiarray.cpython-313-x86_64-linux-gnu.so",
                "SITE/cryptography/_rust.abi3.so",
                "SITE/yaml/_yaml.so",
                "SITE/pyarrow/lib.cpython-313-x86_64-linux-gnu.so",
                "usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so",
                "app/fast.so",
            ],
        );
        kinds(
            FileKind::SharedLibrary,
            &[
                "SITE/numpy.libs/libopenblas-1a2b.so",
                "SITE/numpy.libs/libgfortran-1a2b.so.5.0.0",
                "SITE/pkg/libthing.so",
                "SITE/pkg.libs/thing.so",
                "usr/lib/x86_64-linux-gnu/libz.so.1.3.1",
                "usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
                "usr/lib64/ld-linux-x86-64.so.2",
            ],
        );
    }

    #[test]
    fn pythons_own_files_are_told_apart() {
        kinds(FileKind::PythonSource, &["SITE/a/b.py", "app/main.py"]);
        kinds(
            FileKind::Bytecode,
            &["SITE/a/__pycache__/b.cpython-313.pyc", "app/x.pyc"],
        );
        kinds(FileKind::TypeStub, &["SITE/a/b.pyi", "SITE/a/py.typed"]);
        kinds(
            FileKind::NativeSource,
            &["SITE/a/b.pyx", "SITE/a/include/b.h", "SITE/a/liba.a"],
        );
        kinds(
            FileKind::Metadata,
            &[
                "SITE/a-1.dist-info/RECORD",
                "SITE/a-1.dist-info/entry_points.txt",
                "var/lib/dpkg/status.d/libc6",
                "usr/share/unheck/pylock.unheck.toml",
            ],
        );
    }

    #[test]
    fn licences_are_found_wherever_they_are_kept() {
        kinds(
            FileKind::Licence,
            &[
                "SITE/a-1.dist-info/LICENSE",
                "SITE/a-1.dist-info/licenses/vendor/x.txt",
                "SITE/a/LICENSE.txt",
                "SITE/a/COPYING",
                "SITE/a/LICENCES_bundled.txt",
                "usr/share/doc/libc6/copyright",
                "usr/share/common-licenses/GPL-3",
            ],
        );
        // A module that deals with licences is none.
        kinds(FileKind::PythonSource, &["SITE/a/license.py"]);
        kinds(
            FileKind::Data,
            &["SITE/a/noticeboard.txt", "SITE/a/licensed.bin"],
        );
    }

    #[test]
    fn the_systems_data_is_known_by_its_place() {
        kinds(
            FileKind::TimeZones,
            &[
                "usr/share/zoneinfo/Europe/Vienna",
                "SITE/tzdata/zoneinfo/UTC",
            ],
        );
        kinds(
            FileKind::Certificates,
            &[
                "etc/ssl/certs/ca-certificates.crt",
                "SITE/certifi/cacert.pem",
            ],
        );
        kinds(
            FileKind::Translation,
            &["usr/lib/locale/C.utf8/LC_CTYPE", "SITE/a/locale/de/x.mo"],
        );
        kinds(FileKind::Configuration, &["etc/nsswitch.conf"]);
        kinds(
            FileKind::Documentation,
            &["usr/share/doc/a/README", "usr/share/man/man1/a.1.gz"],
        );
        kinds(
            FileKind::Data,
            &["SITE/a/templates/x.html", "app/data.bin", "SITE/a/.so"],
        );
        kinds(
            FileKind::Program,
            &["usr/bin/python3.13", "usr/local/bin/uvicorn"],
        );
    }

    #[test]
    fn first_bytes_tell_objects_under_other_names() {
        let path = |text: &str| TreePath::new(text).expect("path");
        let of = |text: &str, head| FileKind::of(&path(text), head);
        assert_eq!(of("opt/x/tool", Head::Elf), FileKind::Program);
        assert_eq!(of("opt/x/tool", Head::Other), FileKind::Data);
        assert_eq!(of("opt/x/tool.bin", Head::Elf), FileKind::Program);
        assert_eq!(of("app/a.py", Head::Script), FileKind::PythonSource);
        assert_eq!(
            of("usr/lib/libodd.so-backup", Head::Elf),
            FileKind::SharedLibrary
        );
        assert_eq!(Head::of(b"\x7fELF\x02"), Head::Elf);
        assert_eq!(Head::of(b"#!/bin/sh"), Head::Script);
        assert_eq!(Head::of(b""), Head::Other);
    }
}
