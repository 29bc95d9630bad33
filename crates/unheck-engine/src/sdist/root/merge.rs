//! The files of several packages as one tree: which path comes from where. Pure but for the
//! indexes of the packs. Start at [`merge`].

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;
use unheck_store::{PackEntry, PackKind};

use super::{RootError, Unpacked, rules};
use crate::assemble::climbs_out;
use crate::debian::{MERGED, usrmerge};

/// Most links that are followed for one path, as in Linux.
const MAX_HOPS: usize = 40;

/// What is at a path.
#[derive(Debug, Clone)]
pub(super) enum Node<'p> {
    /// A directory.
    Dir,
    /// A link, by its text.
    Link(&'p str),
    /// A file of the package of this number.
    File {
        /// Place of the package in the list.
        package: usize,
        /// The member with its content.
        entry: &'p PackEntry,
        /// Whether it is a program.
        executable: bool,
    },
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Merged<'p> {
    /// By path, with the top-level links followed.
    pub(super) nodes: BTreeMap<TreePath, Node<'p>>,
    /// Whether a directory for each package, one over the other, would not be the same tree.
    pub(super) entangled: bool,
}

/// One member of a package, with hard links followed.
struct Taken<'p> {
    path: TreePath,
    node: Node<'p>,
}

/// Joins packages; of two files with one path the later package's stays.
///
/// # Errors
/// [`RootError::Hostile`].
pub(super) fn merge<'p>(packages: &[Unpacked<'p>]) -> Result<Merged<'p>, RootError> {
    let mut merged = Merged::default();
    let mut owner: BTreeMap<TreePath, usize> = BTreeMap::new();
    let mut others = Vec::new();
    // Links first: a directory that another package made a link is that link's target.
    for (number, unpacked) in packages.iter().enumerate() {
        for taken in take(number, unpacked)? {
            match taken.node {
                Node::Link(_) => {
                    let before = owner.insert(taken.path.clone(), number);
                    merged.entangled |= before.is_some_and(|before| before != number);
                    merged.nodes.insert(taken.path, taken.node);
                }
                _ => others.push((number, taken)),
            }
        }
    }
    // A file wins over a link: until the merge of /usr packages had `/usr/bin/x → /bin/x`.
    for (number, taken) in &others {
        if matches!(taken.node, Node::File { .. })
            && matches!(merged.nodes.get(&taken.path), Some(Node::Link(_)))
        {
            merged.nodes.remove(&taken.path);
            merged.entangled |= owner.get(&taken.path) != Some(number);
        }
    }
    for (number, taken) in others {
        let path = merged.place(&taken.path, packages[number].0)?;
        merged.entangled |= path != taken.path;
        match (merged.nodes.get(&path), &taken.node) {
            (None | Some(Node::File { .. }), Node::File { .. }) | (None, _) => {
                merged.nodes.insert(path, taken.node);
            }
            (Some(Node::Dir), Node::Dir) => {}
            (_, node) => {
                let what = match node {
                    Node::File { .. } => "a file where another package has a directory",
                    _ => "a directory where another package has a file",
                };
                return Err(hostile(packages[number].0.name.clone(), &path, what));
            }
        }
    }
    merged.directories(packages)?;
    Ok(merged)
}

/// The members of one package that a root has.
fn take<'p>(number: usize, (deb, pack): &Unpacked<'p>) -> Result<Vec<Taken<'p>>, RootError> {
    let mut taken = Vec::new();
    for entry in pack.entries() {
        let path = usrmerge(&entry.path);
        if MERGED.contains(&path.as_str()) || rules::all().skips(&path) {
            continue;
        }
        if path.as_str().chars().any(char::is_control) {
            return Err(hostile(deb.name.clone(), &path, "control characters"));
        }
        let node = match &entry.kind {
            PackKind::Dir => Node::Dir,
            PackKind::Symlink(target) if climbs_out(&path, target) => {
                return Err(hostile(deb.name.clone(), &path, "a link out of the root"));
            }
            PackKind::Symlink(target) => Node::Link(target),
            PackKind::File { .. } => file(number, entry),
            PackKind::Hardlink(target) => match pack.get(target) {
                Some(entry) if matches!(entry.kind, PackKind::File { .. }) => file(number, entry),
                _ => {
                    let what = "another name of a file that it does not have";
                    return Err(hostile(deb.name.clone(), &path, what));
                }
            },
        };
        taken.push(Taken { path, node });
    }
    Ok(taken)
}

fn file(package: usize, entry: &PackEntry) -> Node<'_> {
    Node::File {
        package,
        entry,
        executable: entry.mode & 0o111 != 0,
    }
}

fn hostile(package: String, path: &TreePath, what: &str) -> RootError {
    RootError::Hostile {
        package,
        path: path.as_str().escape_debug().to_string(),
        what: what.to_owned(),
    }
}

impl Merged<'_> {
    /// Where a path is once links of all packages are followed.
    fn place(&self, path: &TreePath, deb: &super::BuildDeb) -> Result<TreePath, RootError> {
        let mut at = path.clone();
        for _ in 0..MAX_HOPS {
            let above = at.ancestors().chain([at.clone()]);
            let link = above.filter_map(|above| match self.nodes.get(&above) {
                Some(Node::Link(target)) => Some((above, *target)),
                _ => None,
            });
            // The shortest first: what is below depends on it.
            let Some((link, target)) = link.min_by_key(|(above, _)| above.as_str().len()) else {
                return Ok(at);
            };
            let rest = at.as_str()[link.as_str().len()..].trim_start_matches('/');
            let Some(next) = follow(&link, target, rest) else {
                return Err(hostile(
                    deb.name.clone(),
                    path,
                    "files below a link to the top",
                ));
            };
            at = usrmerge(&next);
        }
        Err(hostile(
            deb.name.clone(),
            path,
            "files below a circle of links",
        ))
    }

    /// Adds directories that no package names.
    fn directories(&mut self, packages: &[Unpacked<'_>]) -> Result<(), RootError> {
        let above: BTreeSet<TreePath> = self.nodes.keys().flat_map(TreePath::ancestors).collect();
        for path in above {
            if let Some(Node::File { package, .. }) = self.nodes.get(&path) {
                let name = packages[*package].0.name.clone();
                return Err(hostile(name, &path, "a file that others are below"));
            }
            self.nodes.entry(path).or_insert(Node::Dir);
        }
        Ok(())
    }
}

/// What `rest` below a link is.
fn follow(link: &TreePath, target: &str, rest: &str) -> Option<TreePath> {
    let to = link.resolve_link(target)?;
    if rest.is_empty() {
        Some(to)
    } else {
        to.join(rest).ok()
    }
}
