//! Which libraries of a tree the loader would take. Start at [`Loads::reached`].
//!
//! By file name, from every object that asks: needed names, what notes announce unless they call it seldom used, the
//! program interpreter; and names that Python source opens.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use super::imports::Objects;
use crate::close::is_library_name;
use crate::debian::usrmerge;
use crate::tree::{Kind, Tree};

/// Links that lead from one to the next at most.
const MAX_LINKS: usize = 8;

/// Libraries of a tree by file name.
pub(super) struct Loads<'a> {
    tree: &'a Tree,
    objects: &'a Objects,
    names: BTreeMap<&'a str, Vec<&'a TreePath>>,
}

impl<'a> Loads<'a> {
    /// Of a whole tree; only `objects` ask for libraries.
    pub(super) fn new(tree: &'a Tree, objects: &'a Objects) -> Self {
        let mut names: BTreeMap<&str, Vec<&TreePath>> = BTreeMap::new();
        for (path, node) in tree.iter() {
            if !matches!(node.kind, Kind::Dir) && is_library_name(path.file_name()) {
                names.entry(path.file_name()).or_default().push(path);
            }
        }
        Self {
            tree,
            objects,
            names,
        }
    }

    /// Every file and link that the objects `from` ask for, that source means by `names`, and that those ask for in turn.
    pub(super) fn reached<'n>(
        &self,
        mut from: Vec<TreePath>,
        names: impl Iterator<Item = &'n str>,
    ) -> BTreeSet<TreePath> {
        let mut reached = BTreeSet::new();
        let mut add = |path: &TreePath, from: &mut Vec<TreePath>| {
            for path in self.with_targets(path) {
                if reached.insert(path.clone()) {
                    from.push(path);
                }
            }
        };
        for path in names.flat_map(|name| self.meant(name)) {
            add(path, &mut from);
        }
        let mut seen = BTreeSet::new();
        while let Some(path) = from.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let asked = self.asked(&path);
            let files = asked.iter().filter_map(|name| self.names.get(*name));
            for path in files.flatten() {
                add(path, &mut from);
            }
        }
        reached
    }

    /// The names that an object asks for.
    fn asked(&self, path: &TreePath) -> Vec<&'a str> {
        let Some(object) = self.objects.get(path) else {
            return Vec::new();
        };
        let notes = object.dlopen_notes.iter();
        let notes = notes.filter(|note| note.priority != unheck_elf::Priority::Suggested);
        let interp = object.interp.as_deref();
        let interp = interp.and_then(|path| path.rsplit('/').next());
        let needed = object.needed.iter();
        let names = needed.chain(notes.flat_map(|note| &note.sonames));
        names.map(String::as_str).chain(interp).collect()
    }

    /// A path and what it leads to, link by link.
    fn with_targets(&self, path: &TreePath) -> Vec<TreePath> {
        let mut chain = vec![path.clone()];
        while let Some(Kind::Symlink(target)) = self.kind(&chain[chain.len() - 1])
            && chain.len() < MAX_LINKS
            && let Some(next) = chain[chain.len() - 1].resolve_link(target)
        {
            chain.push(usrmerge(&next));
        }
        chain
    }

    fn kind(&self, path: &TreePath) -> Option<&'a Kind> {
        self.tree.get(path).map(|node| &node.kind)
    }

    /// The libraries that a name in source can mean: `libx.so.1`, `x`, `libx`.
    fn meant(&self, name: &str) -> Vec<&'a TreePath> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let bare = file.split(".so").next().unwrap_or(file);
        let stem = match bare.starts_with("lib") {
            true => bare.to_owned(),
            false => format!("lib{bare}"),
        };
        let of_stem = |found: &str| {
            let rest = found.strip_prefix(stem.as_str());
            rest.is_some_and(|rest| rest.starts_with(".so"))
        };
        let names = self.names.iter();
        let meant = names.filter(|(found, _)| **found == file || of_stem(found));
        meant.flat_map(|(_, paths)| paths.iter().copied()).collect()
    }
}
