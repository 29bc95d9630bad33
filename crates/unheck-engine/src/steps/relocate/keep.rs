//! What of an image's tree ships in a relocatable one, and what says where it is.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use super::{glibc, python};
use crate::close::is_library_name;
use crate::debian::usrmerge;
use crate::form::Libs;
use crate::layout::Layout;
use crate::lock::Target;
use crate::platform::Platform;
use crate::tree::{Content, Kind, Node, Origin, Tree};
use crate::write::Sizes;

/// Packages that describe or serve a whole system: what they bring is looked for by absolute path.
const SYSTEM: &[&str] = &["base-files", "media-types", "netbase"];

/// Directories that only a root of its own has.
const ROOT_ONLY: &[&str] = &[
    "home", "root", "tmp", "run", "dev", "proc", "sys", "var/tmp",
];

/// Files of `/etc` that the C library reads by absolute path: the host's are read.
const ETC: &[&str] = &[
    "etc/gai.conf",
    "etc/group",
    "etc/host.conf",
    "etc/hosts",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/nsswitch.conf",
    "etc/passwd",
    "etc/resolv.conf",
    "etc/shadow",
];

/// Variables by which programs find what they would look for by absolute path, with what each
/// names. Only where it ships, and only when the user has not set the variable.
///
/// Sources: `SSL_CERT_get_default_paths(3ssl)`, `tzset(3)`, PEP 615, `fonts-conf(5)`,
/// `libmagic(3)`, `terminfo(5)`, `iconv_open(3)` of glibc (`GCONV_PATH`).
const VARIABLES: &[(&str, &str)] = &[
    ("etc/fonts/fonts.conf", "FONTCONFIG_FILE"),
    ("etc/ssl/certs/ca-certificates.crt", "SSL_CERT_FILE"),
    ("usr/share/misc/magic.mgc", "MAGIC"),
    ("usr/share/terminfo", "TERMINFO_DIRS"),
    ("usr/share/zoneinfo", "PYTHONTZPATH"),
    ("usr/share/zoneinfo", "TZDIR"),
];

/// Takes away what a relocatable tree does not ship.
pub(super) fn leave_out(tree: &mut Tree, layout: &Layout, libs: Libs) {
    let keeps = |path: &TreePath, node: &Node| match libs {
        Libs::Static => keeps_static(path, node, layout),
        Libs::Dynamic => keeps_dynamic(path, node, layout),
    };
    let mut out: Vec<TreePath> = Vec::new();
    let mut ships: BTreeSet<&str> = BTreeSet::new();
    for (path, node) in tree.iter() {
        if matches!(node.kind, Kind::Dir) {
            continue;
        }
        match &node.origin {
            // Decided below, by whether anything else of the package ships.
            Origin::Deb(_) if describes(path) => {}
            Origin::Deb(name) if keeps(path, node) => drop(ships.insert(name)),
            _ if keeps(path, node) => {}
            _ => out.push(path.clone()),
        }
    }
    for (path, node) in tree.iter() {
        if let Origin::Deb(name) = &node.origin
            && !matches!(node.kind, Kind::Dir)
            && describes(path)
            && !ships.contains(name.as_str())
        {
            out.push(path.clone());
        }
    }
    for path in out {
        tree.remove(&path);
    }
}

/// Bytes of what ships, by whose libraries are used; not those of the app.
pub(super) fn sizes(tree: &Tree, layout: &Layout) -> Sizes {
    let mut sizes = Sizes {
        with_libraries: 0,
        without: 0,
    };
    for (path, node) in tree.iter().filter(|(_, node)| node.origin != Origin::App) {
        let len = node.content().map_or(0, Content::len);
        if describes(path) || keeps_static(path, node, layout) {
            sizes.with_libraries += len;
        }
        if keeps_dynamic(path, node, layout) {
            sizes.without += len;
        }
    }
    sizes
}

/// Files about a package: its licence and its entry in the package database.
fn describes(path: &TreePath) -> bool {
    path.is_under("usr/share/doc") || path.is_under("var/lib/dpkg/status.d")
}

fn keeps_static(path: &TreePath, node: &Node, layout: &Layout) -> bool {
    match &node.origin {
        Origin::Generated(step) => keeps_generated(step, path, layout),
        Origin::Deb(name) => {
            !SYSTEM.contains(&name.as_str())
                && !ETC.iter().chain(ROOT_ONLY).any(|at| path.is_under(at))
        }
        Origin::Distribution(_) | Origin::Interpreter | Origin::App => true,
    }
}

fn keeps_dynamic(path: &TreePath, node: &Node, layout: &Layout) -> bool {
    match &node.origin {
        Origin::Generated(step) => keeps_generated(step, path, layout),
        Origin::Deb(_) => {
            *path == python(layout)
                || path.is_under(layout.stdlib.as_str())
                || path.is_under("usr/lib/python3/dist-packages")
                || path.is_under(&format!("etc/python{}", layout.minor))
        }
        Origin::Distribution(_) | Origin::Interpreter | Origin::App => true,
    }
}

/// What other steps made ships: notes about trimmed modules, say.
fn keeps_generated(step: &str, path: &TreePath, layout: &Layout) -> bool {
    match step {
        "base" => is_interpreters_name(path, layout),
        "loader-cache" => false,
        _ => true,
    }
}

/// `python3` and `python` beside the interpreter.
fn is_interpreters_name(path: &TreePath, layout: &Layout) -> bool {
    path.parent() == python(layout).parent() && matches!(path.file_name(), "python" | "python3")
}

/// Directories of Debian's libraries, the main one first: where the loader looks.
pub(super) fn library_path(tree: &Tree, platform: Platform) -> Vec<TreePath> {
    let main = format!("usr/lib/{}", platform.triplet());
    let mut found: BTreeSet<TreePath> = tree
        .iter()
        .filter(|(path, node)| {
            matches!(node.origin, Origin::Deb(_))
                && path.is_under(&main)
                && is_library_name(path.file_name())
                && path.file_name().contains(".so.")
                && !path.as_str().contains("/gconv/")
                && path.as_str()[main.len()..].matches('/').count() <= 2
        })
        .filter_map(|(path, _)| path.parent())
        .collect();
    let main = TreePath::new(&main).expect("constant names");
    let first = found.take(&main);
    first.into_iter().chain(found).collect()
}

/// The variables of a tree, each with the place that it names.
pub(super) fn variables(tree: &Tree, target: &Target) -> BTreeMap<String, TreePath> {
    let mut variables = BTreeMap::new();
    let mut add = |place: &str, name: &str| {
        if let Ok(path) = TreePath::new(place)
            && tree.get(&path).is_some()
        {
            variables.insert(name.to_owned(), path);
        }
    };
    for (place, name) in VARIABLES {
        add(place, name);
    }
    let modules = format!("usr/lib/{}/gconv", target.platform.triplet());
    add(&modules, "GCONV_PATH");
    // Newer ones have C.UTF-8 built in (glibc 2.35, NEWS), and `LOCPATH` hides the host's locales.
    if glibc(target) < (2, 35) {
        add("usr/lib/locale", "LOCPATH");
    }
    variables
}

/// Makes the checksum lists of Debian packages say what ships unchanged.
pub(super) fn rewrite_checksums(tree: &mut Tree, touched: &BTreeSet<TreePath>) {
    let lists: Vec<TreePath> = tree
        .iter()
        .map(|(path, _)| path)
        .filter(|path| {
            path.is_under("var/lib/dpkg/status.d") && path.as_str().ends_with(".md5sums")
        })
        .cloned()
        .collect();
    for list in lists {
        let Some(node) = tree.get_mut(&list) else {
            continue;
        };
        let Kind::File(Content::Inline(bytes)) = &node.kind else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        let kept: String = text
            .split_inclusive('\n')
            .filter(|line| {
                let path = line.trim_end().split_once("  ").map(|(_, path)| path);
                path.and_then(|path| TreePath::new(path).ok())
                    .is_none_or(|path| !touched.contains(&usrmerge(&path)))
            })
            .collect();
        if kept.len() != text.len() {
            node.kind = Kind::File(Content::inline(kept));
        }
    }
}
