//! Libraries and data files of the system that nothing needs any more, once modules are gone.
//! Start at [`unneeded`].
//!
//! Libraries are kept by what the loader would ask for: needed names, by file name, from every
//! object that is left; names in notes and in source count too. Data is kept by the rules.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;
use unheck_pyapi::Graph;

use super::objects::Objects;
use super::rules::{self, FileRow};
use super::walk::bytes;
use super::{NarrowError, NarrowRequest};
use crate::assemble::PackReader;
use crate::close::is_library_name;
use crate::debian::{is_licence, usrmerge};
use crate::lock::{Deb, Target};
use crate::steps::loads::Loads;
use crate::steps::{Removed, TrimLevel};
use crate::tree::{Content, Kind, Node, Origin, Tree};

const LIBRARY: &str = "a library that only left out files need";
const PACKAGE: &str = "data of a library that is left out";
const RECORD: &str = "the record of a Debian package of which nothing ships";
const UNOPENED: &str = "a data file that no recorded run opened";

/// Where the package database is.
const DATABASE: &str = "var/lib/dpkg/status.d";
/// Largest object whose text is searched.
const MAX_OBJECT: u64 = 4 << 30;

/// The libraries and data files that nothing needs.
pub(super) fn unneeded(
    tree: &Tree,
    reader: &PackReader<'_>,
    request: &NarrowRequest<'_>,
    (graph, objects): (&Graph<'_>, &Objects),
) -> Result<Vec<Removed>, NarrowError> {
    let candidates = Candidates::new(request, graph);
    let kept = candidates.kept(tree, objects);
    let mut removed = Vec::new();
    let mut remove = |path: &TreePath, node: &Node, reason: &'static str| {
        removed.push(Removed::of(path, node, reason));
    };
    for (path, node) in tree.iter() {
        if candidates.has(path, node) && !kept.contains(path) {
            remove(path, node, LIBRARY);
        }
    }
    let data = Data {
        tree,
        reader,
        request,
        graph,
        kept: &kept,
        objects,
    };
    for rule in &rules::all().file {
        if data.is_needed(rule)? {
            continue;
        }
        for (path, node) in tree.iter() {
            let system = matches!(node.origin, Origin::Deb(_)) && !matches!(node.kind, Kind::Dir);
            if system && rule.is_of(path) && !candidates.has(path, node) {
                remove(path, node, &rule.reason);
            }
        }
    }
    if request.level == TrimLevel::Traced && !graph.outside_attributes.contains("tzset") {
        for (path, node) in tree.iter() {
            let zone = path.is_under("usr/share/zoneinfo") && !matches!(node.kind, Kind::Dir);
            if zone && !request.profile.opened.contains(path) {
                remove(path, node, UNOPENED);
            }
        }
    }
    for package in data_packages(tree, request.target, &kept) {
        for (path, node) in tree.iter() {
            if node.origin == Origin::Deb(package.clone()) && !matches!(node.kind, Kind::Dir) {
                remove(path, node, PACKAGE);
            }
        }
    }
    removed.sort();
    removed.dedup_by(|one, other| one.path == other.path);
    Ok(removed)
}

/// Which files are libraries that stay only when something needs them.
struct Candidates<'a> {
    request: &'a NarrowRequest<'a>,
    graph: &'a Graph<'a>,
    debs: BTreeMap<&'a str, &'a Deb>,
}

impl<'a> Candidates<'a> {
    fn new(request: &'a NarrowRequest<'a>, graph: &'a Graph<'a>) -> Self {
        let debs = request.target.debs.iter();
        Self {
            request,
            graph,
            debs: debs.map(|deb| (deb.name.as_str(), deb)).collect(),
        }
    }

    fn has(&self, path: &TreePath, node: &Node) -> bool {
        if matches!(node.kind, Kind::Dir) || !is_library_name(path.file_name()) {
            return false;
        }
        match &node.origin {
            Origin::Deb(name) => self.debs.get(name.as_str()).is_some_and(|deb| {
                deb.is_by_need(path) && !path.as_str().contains("/ossl-modules/")
            }),
            Origin::Interpreter => {
                let inner = self.request.layout.stdlib.parent();
                path.parent() == inner
            }
            Origin::Distribution(_) => {
                let below = path
                    .as_str()
                    .strip_prefix(self.request.layout.site.as_str());
                let top = below.and_then(|inner| inner.trim_start_matches('/').split('/').next());
                top.is_some_and(|top| top.ends_with(".libs") && !self.graph.texts.contains(top))
            }
            Origin::App | Origin::Generated(_) => false,
        }
    }

    /// The libraries that what is left asks for.
    fn kept(&self, tree: &Tree, objects: &Objects) -> BTreeSet<TreePath> {
        // A plug-in of OpenSSL's is no reason to have OpenSSL.
        let by_rule = |path: &TreePath| rules::all().file.iter().any(|rule| rule.is_of(path));
        let stays = |path: &TreePath| {
            let node = tree.get(path);
            !by_rule(path) && node.is_some_and(|node| !self.has(path, node))
        };
        let objects_left = objects.iter().map(|(path, _)| path);
        let from = objects_left.filter(|path| stays(path)).cloned().collect();
        let opened = self.graph.libraries.iter().map(String::as_str);
        Loads::new(tree, objects).reached(from, opened)
    }
}

/// What opens data files.
struct Data<'a> {
    tree: &'a Tree,
    reader: &'a PackReader<'a>,
    request: &'a NarrowRequest<'a>,
    graph: &'a Graph<'a>,
    kept: &'a BTreeSet<TreePath>,
    objects: &'a Objects,
}

impl Data<'_> {
    fn is_needed(&self, rule: &FileRow) -> Result<bool, NarrowError> {
        let graph = self.graph;
        let reached = rule
            .modules
            .iter()
            .any(|module| graph.reached.contains_key(module));
        let asked = rule
            .attributes
            .iter()
            .any(|name| graph.outside_attributes.contains(name));
        let opened = self
            .kept
            .iter()
            .any(|path| rule.is_opened_by(path.file_name()));
        let named = graph.paths.iter().any(|text| {
            TreePath::new(text.trim_start_matches('/')).is_ok_and(|path| rule.is_of(&path))
        });
        Ok(reached || asked || opened || named || self.has_text(rule)?)
    }

    /// Whether an object that is not the interpreter's own has one of the texts.
    fn has_text(&self, rule: &FileRow) -> Result<bool, NarrowError> {
        if rule.objects.is_empty() {
            return Ok(false);
        }
        let base: BTreeSet<&str> = self
            .request
            .target
            .debs
            .iter()
            .filter(|deb| deb.base)
            .map(|deb| deb.name.as_str())
            .collect();
        for (path, _) in self.objects.iter() {
            let Some(node) = self.tree.get(path) else {
                continue;
            };
            let counts = match &node.origin {
                Origin::Deb(name) => !base.contains(name.as_str()) && self.kept.contains(path),
                Origin::Distribution(_) | Origin::App => true,
                Origin::Interpreter | Origin::Generated(_) => false,
            };
            if !counts {
                continue;
            }
            let bytes = bytes(self.tree, self.reader, path, MAX_OBJECT)?.unwrap_or_default();
            let has = |text: &String| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
            if rule.objects.iter().any(has) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Packages of pure data whose library is gone.
fn data_packages(tree: &Tree, target: &Target, kept: &BTreeSet<TreePath>) -> Vec<String> {
    let of = |deb: &Deb| {
        let library = deb.reason.strip_prefix("data of ")?;
        Some(library.strip_suffix(" (Depends)")?.to_owned())
    };
    let gone = |library: &String| {
        !kept.iter().any(|path| {
            tree.get(path)
                .is_some_and(|node| node.origin == Origin::Deb(library.clone()))
        })
    };
    target
        .debs
        .iter()
        .filter(|deb| of(deb).as_ref().is_some_and(gone))
        .map(|deb| deb.name.clone())
        .collect()
}

/// Makes the package database say what ships: packages without a file go, checksums of files that
/// are gone too.
pub(in crate::steps) fn database(tree: &mut Tree, target: &Target) -> Vec<Removed> {
    let mut removed = Vec::new();
    for deb in &target.debs {
        let origin = Origin::Deb(deb.name.clone());
        let ships = |tree: &Tree, path: &TreePath| {
            tree.get(path)
                .is_some_and(|node| node.origin == origin && !matches!(node.kind, Kind::Dir))
        };
        let own = tree.iter().filter(|(path, _)| ships(tree, path));
        let own: Vec<Removed> = own
            .map(|(path, node)| Removed::of(path, node, RECORD))
            .collect();
        let real = own
            .iter()
            .any(|one| !one.path.is_under(DATABASE) && !is_licence(&one.path));
        if !real {
            own.iter().for_each(|one| drop(tree.remove(&one.path)));
            removed.extend(own);
            continue;
        }
        let sums = TreePath::new(&format!("{DATABASE}/{}.md5sums", deb.name))
            .expect("package names have no slash");
        let Some(Kind::File(Content::Inline(text))) = tree.get(&sums).map(|node| &node.kind) else {
            continue;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let rows = text.split_inclusive('\n').filter(|row| {
            row.trim_end().split_once("  ").is_some_and(|(_, path)| {
                TreePath::new(path).is_ok_and(|path| ships(tree, &usrmerge(&path)))
            })
        });
        let left: String = rows.collect();
        if let Some(node) = tree.get_mut(&sums) {
            node.kind = Kind::File(Content::inline(left));
        }
    }
    removed
}
