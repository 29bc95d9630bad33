//! Which modules a tree has, and which files belong to which. Start at [`Universe::of`].

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;
use unheck_pyapi::{Known, Owner, Shape};

use super::left_out_with;
use super::objects::Objects;
use crate::layout::{APP_DIR, Layout};
use crate::tree::{Kind, Node, Origin, Tree};

/// Where Debian's own Python packages are.
const DEBIAN_SITE: &str = "usr/lib/python3/dist-packages";

/// The modules of a tree.
#[derive(Debug, Default)]
pub(super) struct Universe {
    /// By import name; several files where a source and an extension have one name.
    pub(super) modules: BTreeMap<String, Module>,
    /// Import names by file.
    pub(super) by_path: BTreeMap<TreePath, String>,
    /// Modules in directories without `__init__` below a package, by that package: they may be
    /// data as well as code.
    pub(super) beside: BTreeMap<String, Vec<String>>,
    packages: BTreeMap<TreePath, String>,
}

/// One module.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) known: Known,
    /// Its files; none for a namespace.
    pub(super) files: Vec<TreePath>,
    /// What its relative imports count from.
    pub(super) package: String,
}

impl Universe {
    /// Looks at every file below the library directories and the app's.
    pub(super) fn of(tree: &Tree, layout: &Layout, objects: &Objects) -> Self {
        let mut found = Self::default();
        let files: Vec<(&TreePath, &Node, Place<'_>)> = tree
            .iter()
            .filter(|(_, node)| !matches!(node.kind, Kind::Dir))
            .filter_map(|(path, node)| Some((path, node, place(path, node, layout)?)))
            .collect();
        for (path, _, place) in &files {
            let init = stem(path, objects).is_some_and(|stem| stem == "__init__");
            if init && let (Some(directory), false) = (path.parent(), place.inner.is_empty()) {
                let name = place.inner.rsplit_once('/').map_or("", |(above, _)| above);
                if !name.is_empty() {
                    found.packages.insert(directory, name.replace('/', "."));
                }
            }
        }
        for (path, _, place) in files {
            found.add(path, &place, objects);
        }
        found
    }

    fn add(&mut self, path: &TreePath, place: &Place<'_>, objects: &Objects) {
        let Some(stem) = stem(path, objects) else {
            return;
        };
        let directory = place.inner.rsplit_once('/').map_or("", |(above, _)| above);
        if directory.contains('.') || stem.contains('.') {
            return;
        }
        let above = directory.replace('/', ".");
        let is_init = stem == "__init__";
        let name = match (is_init, above.is_empty()) {
            (true, true) => return,
            (true, false) => above.clone(),
            (false, true) => stem.to_owned(),
            (false, false) => format!("{above}.{stem}"),
        };
        let shape = match (is_init, path.as_str().ends_with(".so")) {
            (true, _) => Shape::Package,
            (false, true) => Shape::Extension,
            (false, false) => Shape::Module,
        };
        self.namespaces(&above, place.owner);
        let owner = place.owner;
        let module = self.modules.entry(name.clone()).or_insert_with(|| Module {
            known: Known { owner, shape },
            files: Vec::new(),
            package: if is_init { name.clone() } else { above.clone() },
        });
        if module.known.shape == Shape::Namespace {
            module.known = Known { owner, shape };
            module.package.clone_from(&name);
        }
        module.files.push(path.clone());
        self.by_path.insert(path.clone(), name.clone());
        let here = path.parent();
        let regular = here
            .as_ref()
            .is_some_and(|here| self.packages.contains_key(here));
        if !regular && let Some(package) = self.package_of(path).map(str::to_owned) {
            self.beside.entry(package).or_default().push(name);
        }
    }

    /// Every directory above a module can be imported.
    fn namespaces(&mut self, above: &str, owner: Owner) {
        let mut name = above;
        while !name.is_empty() {
            self.modules
                .entry(name.to_owned())
                .or_insert_with(|| Module {
                    known: Known {
                        owner,
                        shape: Shape::Namespace,
                    },
                    files: Vec::new(),
                    package: name.to_owned(),
                });
            name = name.rsplit_once('.').map_or("", |(name, _)| name);
        }
    }

    /// Takes modules out of the graph's sight, with everything below each; answers those names that
    /// no module has. The app's own stay, and what files are whose stays known.
    pub(super) fn leave_out(&mut self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut unknown = names.clone();
        self.modules.retain(|name, module| {
            let Some(asked) = left_out_with(names, name) else {
                return true;
            };
            if module.known.owner == Owner::App {
                return true;
            }
            unknown.remove(asked);
            false
        });
        unknown
    }

    /// The nearest package with an `__init__` that a file lies in.
    pub(super) fn package_of(&self, path: &TreePath) -> Option<&str> {
        let mut directory = path.parent();
        while let Some(here) = directory {
            if let Some(name) = self.packages.get(&here) {
                return Some(name);
            }
            directory = here.parent();
        }
        None
    }

    /// The same for the graph.
    pub(super) fn known(&self) -> BTreeMap<String, Known> {
        self.modules
            .iter()
            .map(|(name, module)| (name.clone(), module.known))
            .collect()
    }
}

/// A file below one of the directories that modules are found in.
pub(super) struct Place<'p> {
    pub(super) owner: Owner,
    /// Its path below that directory.
    pub(super) inner: &'p str,
}

/// Where a file lies among the directories that modules are found in.
pub(super) fn place<'p>(path: &'p TreePath, node: &Node, layout: &Layout) -> Option<Place<'p>> {
    let below = |directory: &str| {
        path.as_str()
            .strip_prefix(directory)
            .and_then(|rest| rest.strip_prefix('/'))
    };
    let app = node.origin == Origin::App;
    let owner = |other| if app { Owner::App } else { other };
    if let Some(inner) = below(layout.site.as_str()).or_else(|| below(DEBIAN_SITE)) {
        let owner = owner(Owner::Distribution);
        return Some(Place { owner, inner });
    }
    let dynload = format!("{}/lib-dynload", layout.stdlib);
    if let Some(inner) = below(&dynload).or_else(|| below(layout.stdlib.as_str())) {
        let owner = Owner::Stdlib;
        return Some(Place { owner, inner });
    }
    let inner = below(APP_DIR)?;
    let owner = Owner::App;
    Some(Place { owner, inner })
}

/// The import name of a file without what is above it; `None` when it is no module.
fn stem<'p>(path: &'p TreePath, objects: &Objects) -> Option<&'p str> {
    let name = path.file_name();
    if let Some(stem) = name.strip_suffix(".py") {
        return Some(stem);
    }
    let stem = name.split('.').next()?;
    let tagged = name.contains(".cpython-") || name.ends_with(".abi3.so");
    (name.ends_with(".so") && (tagged || objects.is_module(path))).then_some(stem)
}
