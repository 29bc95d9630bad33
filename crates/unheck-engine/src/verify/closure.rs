//! Whether every object of a root finds what it needs, without running anything. Start at [`check`].
//!
//! The rules are those of the loader (ld.so(8)), by `unheck_elf::search`; the cache is read as the
//! loader reads it.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_elf::search::{Placed, candidates};
use unheck_elf::{Kind, Object};

use super::view::View;
use crate::close::is_library_name;
use crate::finding::{Finding, Severity};
use crate::platform::Platform;
use crate::roots::{Elf, IndexNode};

/// Where the loader's cache is.
const CACHE: &str = "etc/ld.so.cache";
/// Longest cache that is read.
const MAX_CACHE: u64 = 16 << 20;

/// Checks the objects, links and the interpreter of a root; only paths that `wanted` accepts are
/// judged, all are searched.
pub fn check(
    view: &View,
    platform: Platform,
    python: &str,
    wanted: &(dyn Fn(&TreePath) -> bool + Sync),
) -> Vec<Finding> {
    let finder = Finder::new(view, platform);
    let paths: Vec<(&TreePath, &IndexNode)> =
        view.iter().filter(|(path, _)| wanted(path)).collect();
    let mut findings: Vec<Finding> = paths
        .par_iter()
        .flat_map_iter(|(path, node)| finder.node(path, node))
        .collect();
    findings.extend(interpreter(view, python));
    findings.sort();
    findings.dedup();
    findings
}

fn interpreter(view: &View, python: &str) -> Option<Finding> {
    let path = TreePath::new(python.trim_start_matches('/')).ok()?;
    let node = view
        .resolve(&path)
        .and_then(|place| view.get(&place).cloned());
    match node {
        Some(IndexNode::File {
            executable: true, ..
        }) => None,
        Some(_) => Some(Finding::new(
            Severity::Error,
            "no-interpreter",
            python,
            "it is not an executable file",
        )),
        None => Some(Finding::new(
            Severity::Error,
            "no-interpreter",
            python,
            "the Python interpreter is not there",
        )),
    }
}

struct Finder<'v> {
    view: &'v View,
    platform: Platform,
    system: Vec<TreePath>,
    /// Soname to place, as the loader's cache says.
    cache: BTreeMap<String, TreePath>,
    /// File names of libraries outside the system's directories.
    vendored: BTreeSet<&'v str>,
}

impl<'v> Finder<'v> {
    fn new(view: &'v View, platform: Platform) -> Self {
        let machine = platform.elf_machine();
        let system = unheck_elf::default_dirs(machine);
        let cache = TreePath::new(CACHE)
            .ok()
            .and_then(|path| view.read(&path, MAX_CACHE).ok());
        let cache = cache
            .and_then(|bytes| unheck_elf::ldcache::parse(&bytes).ok())
            .unwrap_or_default();
        let vendored = view
            .objects()
            .filter(|(path, object)| object.machine == machine && !is_system(path))
            .map(|(path, _)| path.file_name())
            .collect();
        let cache = cache
            .into_iter()
            .filter(|entry| entry.machine == machine)
            .map(|entry| (entry.soname, entry.path))
            .collect();
        Self {
            view,
            platform,
            system,
            cache,
            vendored,
        }
    }

    fn node(&self, path: &TreePath, node: &IndexNode) -> Vec<Finding> {
        match node {
            IndexNode::Dir | IndexNode::File { elf: None, .. } => Vec::new(),
            IndexNode::Link(text) => self.link(path, text).into_iter().collect(),
            IndexNode::File {
                elf: Some(Elf::TooLong),
                ..
            } => vec![Finding::new(
                Severity::Info,
                "object-not-read",
                path.to_string(),
                "it is too long to be looked into; only loading it tells whether it works",
            )],
            IndexNode::File {
                elf: Some(Elf::Broken(why)),
                ..
            } if is_library_name(path.file_name()) => {
                vec![Finding::new(
                    Severity::Warning,
                    "object-broken",
                    path.to_string(),
                    why.clone(),
                )]
            }
            IndexNode::File {
                elf: Some(Elf::Broken(_)),
                ..
            } => Vec::new(),
            IndexNode::File {
                elf: Some(Elf::Read(object)),
                ..
            } => self.object(path, object),
        }
    }

    fn link(&self, path: &TreePath, text: &str) -> Option<Finding> {
        let library = is_library_name(path.file_name());
        if !library || self.view.resolve(path).is_some() {
            return None;
        }
        let evidence = format!("the link leads to `{text}`, which is not there");
        Some(Finding::new(
            Severity::Error,
            "link-dangles",
            path.to_string(),
            evidence,
        ))
    }

    fn object(&self, path: &TreePath, object: &Object) -> Vec<Finding> {
        if object.machine != self.platform.elf_machine()
            || !matches!(object.kind, Kind::Dyn | Kind::Exec)
        {
            return Vec::new();
        }
        let mut findings: Vec<Finding> = object
            .needed
            .iter()
            .filter_map(|soname| self.need(path, object, soname))
            .collect();
        if let Some(loader) = &object.interp {
            let there = TreePath::new(loader.trim_start_matches('/'))
                .ok()
                .and_then(|path| self.view.resolve(&path));
            if there.is_none() {
                let severity = if is_system(path) {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                let evidence = format!("a program for the loader `{loader}`, which is not there");
                findings.push(Finding::new(
                    severity,
                    "loader-missing",
                    path.to_string(),
                    evidence,
                ));
            }
        }
        findings
    }

    /// Judges one needed name; `None` when it is served.
    fn need(&self, path: &TreePath, object: &Object, soname: &str) -> Option<Finding> {
        let placed = Placed { at: path, object };
        let found = candidates(soname, &[placed], &self.system)
            .into_iter()
            .map(|candidate| candidate.path)
            .chain(self.cache.get(soname).cloned())
            .find_map(|place| {
                self.view
                    .object(&place)
                    .filter(|(_, found)| found.machine == object.machine)
            });
        let Some((place, found)) = found else {
            // A distribution may load its own library before the object that needs it.
            if !is_system(path) && self.vendored.contains(soname) {
                return None;
            }
            let evidence = format!("it needs `{soname}`, which is not in the root");
            let finding = Finding::new(
                Severity::Error,
                "library-missing",
                path.to_string(),
                evidence,
            );
            return Some(finding.with_hint(debs_hint(soname)));
        };
        let needed = object.needs_versions.get(soname)?;
        let missing: Vec<&str> = needed
            .difference(&found.offers_versions)
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            return None;
        }
        let evidence = format!(
            "it needs {} of `{soname}`, which `{place}` does not have",
            missing.join(", ")
        );
        let finding = Finding::new(
            Severity::Error,
            "symbol-version-missing",
            path.to_string(),
            evidence,
        );
        Some(finding.with_hint(
            "choose a newer suite with `--suite`, or an older version of the distribution",
        ))
    }
}

/// What mends a missing library.
pub fn debs_hint(soname: &str) -> String {
    let stem = soname.split(".so").next().unwrap_or(soname);
    if is_vendored(stem) {
        return format!(
            "`{soname}` comes with the distribution itself: build with `--trim none`, or try another version"
        );
    }
    let guess = stem.to_ascii_lowercase();
    format!(
        "add the Debian package that has `{soname}` to `debs` in `[tool.unheck]`, often called like `{guess}`"
    )
}

/// Whether a library has the name that `auditwheel` gives to a copy: a part of its digest after `-`.
fn is_vendored(stem: &str) -> bool {
    stem.split('-').skip(1).any(|part| {
        let digits = part.split('.').next().unwrap_or_default();
        digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Whether a path is one of the operating system's: not of a distribution, not of the app.
pub fn is_system(path: &TreePath) -> bool {
    let text = path.as_str();
    text.starts_with("usr/lib/") && !text.contains("-packages/")
        || text.starts_with("lib")
        || text.starts_with("usr/bin/")
}

#[cfg(test)]
mod tests {
    use unheck_testkit::elf::{ElfBuilder, Machine};

    use super::*;
    use crate::roots::LayerIndex;

    const LIB: &str = "usr/lib/x86_64-linux-gnu";

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect("path")
    }

    fn view(objects: &[(&str, ElfBuilder)], links: &[(&str, &str)]) -> View {
        let mut index = LayerIndex::default();
        for (name, builder) in objects {
            let bytes = builder.build();
            let elf = Elf::Read(Box::new(Object::parse(&bytes).expect("object")));
            let node = IndexNode::File {
                len: bytes.len() as u64,
                executable: true,
                elf: Some(elf),
            };
            index.nodes.insert(path(name), node);
        }
        for (name, target) in links {
            index
                .nodes
                .insert(path(name), IndexNode::Link((*target).to_owned()));
        }
        View::new(vec![index], Vec::new())
    }

    fn new() -> ElfBuilder {
        ElfBuilder::new(Machine::X86_64)
    }

    fn told(view: &View) -> Vec<String> {
        check(view, Platform::LinuxAmd64, "/usr/bin/python3", &|_| true)
            .into_iter()
            .map(|finding| format!("{} {}: {}", finding.rule, finding.subject, finding.evidence))
            .collect()
    }

    #[test]
    fn served_needs_are_silent() {
        let view = view(
            &[
                (
                    "usr/bin/python3.13",
                    new().needed("libz.so.1").interp("/lib64/ld.so"),
                ),
                (
                    &format!("{LIB}/libz.so.1.3"),
                    new().soname("libz.so.1").define_version("Z_1"),
                ),
                (
                    "app/pkg/x.so",
                    new().needed("libv-1.so").need_version("libz.so.1", "Z_1"),
                ),
                ("app/pkg.libs/libv-1.so", new()),
                ("usr/lib64/ld.so", new()),
            ],
            &[
                ("usr/bin/python3", "python3.13"),
                ("lib64", "usr/lib64"),
                (&format!("{LIB}/libz.so.1"), "libz.so.1.3"),
            ],
        );
        assert_eq!(told(&view), [""; 0]);
    }

    #[test]
    fn hints_know_libraries_of_wheels() {
        assert!(debs_hint("libopenblas-32a4b2a6.so").contains("the distribution itself"));
        assert!(debs_hint("libavcodec-0a1b2c3d.so.59.37.100").contains("the distribution itself"));
        assert!(debs_hint("libGL.so.1").contains("`libgl`"));
    }

    #[test]
    fn missing_libraries_versions_links_and_interpreters_are_told() {
        let view = view(
            &[
                (
                    &format!("{LIB}/liba.so.1"),
                    new().soname("liba.so.1").define_version("A_1"),
                ),
                (
                    "app/x.so",
                    new()
                        .needed("libgone.so.9")
                        .need_version("liba.so.1", "A_2"),
                ),
                (
                    "app/other.so",
                    ElfBuilder::new(Machine::Aarch64).needed("libother.so"),
                ),
            ],
            &[
                (&format!("{LIB}/libb.so"), "libb.so.1"),
                ("usr/share/note", "gone"),
            ],
        );
        assert_eq!(
            told(&view),
            [
                "library-missing app/x.so: it needs `libgone.so.9`, which is not in the root",
                "link-dangles usr/lib/x86_64-linux-gnu/libb.so: the link leads to `libb.so.1`, which is not there",
                "no-interpreter /usr/bin/python3: the Python interpreter is not there",
                "symbol-version-missing app/x.so: it needs A_2 of `liba.so.1`, which `usr/lib/x86_64-linux-gnu/liba.so.1` does not have",
            ]
        );
    }
}
