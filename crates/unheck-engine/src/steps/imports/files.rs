//! Which files of distributions and of the standard library go, once it is known which modules
//! are reached. Start at [`unreached`].

use unheck_base::TreePath;
use unheck_pyapi::Owner;

use super::objects::Objects;
use super::universe::{Universe, place};
use super::walk::Reached;
use super::{ASKED, NarrowRequest, left_out_with};
use crate::close::is_library_name;
use crate::steps::{Removed, TrimLevel, cached_source};
use crate::tree::{Kind, Node, Origin, Tree};

const MODULE: &str = "a module that no import path from the entry reaches";
const DATA: &str = "data of a package that no import path from the entry reaches";
const COMMAND: &str = "a command that nothing starts";
const UNOPENED: &str = "a data file that no recorded run opened";

/// The files that belong to nothing that is reached.
pub(super) fn unreached(
    tree: &Tree,
    request: &NarrowRequest<'_>,
    (universe, reached): (&Universe, &Reached<'_>),
    objects: &Objects,
) -> Vec<Removed> {
    let judge = Judge {
        request,
        universe,
        reached,
        objects,
    };
    tree.iter()
        .filter(|(_, node)| !matches!(node.kind, Kind::Dir))
        .filter(|(_, node)| !matches!(node.origin, Origin::App | Origin::Generated(_)))
        .filter_map(|(path, node)| Some(Removed::of(path, node, judge.reason(path, node)?)))
        .collect()
}

struct Judge<'a> {
    request: &'a NarrowRequest<'a>,
    universe: &'a Universe,
    reached: &'a Reached<'a>,
    objects: &'a Objects,
}

impl Judge<'_> {
    fn reason(&self, path: &TreePath, node: &Node) -> Option<&'static str> {
        if path.is_under(self.request.layout.scripts.as_str()) {
            let other = matches!(node.origin, Origin::Distribution(_));
            return (other && !self.reached.commands.contains(path)).then_some(COMMAND);
        }
        let place = place(path, node, self.request.layout)?;
        let top = place.inner.split('/').next().unwrap_or_default();
        let always = [".dist-info", ".egg-info", ".pth", ".libs"];
        if always.iter().any(|suffix| top.ends_with(suffix)) {
            return None;
        }
        let universe = self.universe;
        if let Some(name) = universe.by_path.get(path) {
            return (!self.has(name)).then(|| self.gone(name));
        }
        if let Some(source) = cached_source(path) {
            let name = source.file_name().trim_end_matches(".py");
            let package = universe.package_of(&path.parent()?);
            let module = package.map_or(name.to_owned(), |package| format!("{package}.{name}"));
            let reached = self.has(&module)
                || name == "__init__" && package.is_some_and(|package| self.has(package));
            return (!reached).then(|| self.gone(&module));
        }
        let package = match universe.package_of(path) {
            Some(package) => package,
            // Beside modules at the top of the standard library: notes.
            None if place.owner == Owner::Stdlib => return None,
            None => return self.outside_packages(top),
        };
        if !self.has(package) {
            return Some(DATA);
        }
        let traced = self.request.level == TrimLevel::Traced;
        let library = is_library_name(path.file_name()) || self.objects.get(path).is_some();
        let opened = self.request.profile.opened.contains(path);
        (traced && !library && !opened).then_some(UNOPENED)
    }

    /// Files in a directory without any `__init__`: they go with the modules in it, where it has
    /// some.
    fn outside_packages(&self, top: &str) -> Option<&'static str> {
        let below = format!("{top}.");
        let universe = self.universe;
        let mut modules = universe
            .modules
            .range(top.to_owned()..)
            .map(|(name, _)| name)
            .take_while(|name| *name == top || name.starts_with(&below))
            .peekable();
        modules.peek()?;
        (!modules.any(|name| self.has(name))).then_some(DATA)
    }

    /// Why a module is gone.
    fn gone(&self, name: &str) -> &'static str {
        match left_out_with(self.request.leave_out, name) {
            Some(_) => ASKED,
            None => MODULE,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.reached.graph.reached.contains_key(name)
    }
}
