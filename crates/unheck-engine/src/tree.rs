//! The virtual file tree between the lock and every writer. Start at [`Tree`].
//!
//! A tree holds no bytes, only where they are; every node says who put it there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};

/// Who put a node into the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A Python distribution, by normalised name.
    Distribution(String),
    /// A Debian binary package, by name.
    Deb(String),
    /// An interpreter that is not from Debian.
    Interpreter,
    /// The user's own files.
    App,
    /// unheck itself, by the name of the step that made it.
    Generated(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Distribution(name) => write!(f, "distribution {name}"),
            Self::Deb(name) => write!(f, "deb {name}"),
            Self::Interpreter => f.write_str("interpreter"),
            Self::App => f.write_str("app"),
            Self::Generated(step) => write!(f, "generated {step}"),
        }
    }
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A blob of the store.
    Blob {
        /// Its digest.
        digest: Digest,
        /// Its length in bytes.
        len: u64,
    },
    /// A member of an archive that the store keeps unpacked.
    Part {
        /// The archive (wheel, deb) that the member belongs to.
        archive: Digest,
        /// The member's place in the pack of that archive.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// The digest of the member itself.
        digest: Digest,
    },
    /// A file on the user's disk, read again when it is written.
    Local {
        /// Where it is.
        path: std::path::PathBuf,
        /// Its length in bytes when it was looked at.
        len: u64,
        /// Its digest when it was looked at.
        digest: Digest,
    },
    /// Bytes that unheck made.
    Inline(Arc<[u8]>),
}

impl Content {
    /// Bytes that unheck made.
    pub fn inline(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Inline(Arc::from(bytes.into()))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Blob { len, .. } | Self::Part { len, .. } | Self::Local { len, .. } => *len,
            Self::Inline(bytes) => bytes.len() as u64,
        }
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Blob { digest, .. } | Self::Part { digest, .. } | Self::Local { digest, .. } => {
                *digest
            }
            Self::Inline(bytes) => Digest::of(bytes),
        }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link: its text, never followed while writing.
    Symlink(String),
}

impl Kind {
    /// What decides its bytes, for digests over trees: two kinds have the same text only if they are the same.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Dir => "d".to_owned(),
            Self::Symlink(target) => format!("l{target}"),
            Self::File(content) => format!("f{} {}", content.digest(), content.len()),
        }
    }
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Who put it here.
    pub origin: Origin,
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// Numeric user and group that own it.
    pub owner: u32,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    /// A directory with the usual mode.
    pub fn dir(origin: Origin) -> Self {
        Self {
            origin,
            mode: 0o755,
            owner: 0,
            kind: Kind::Dir,
        }
    }

    /// A file that everyone may read.
    pub fn file(origin: Origin, content: Content) -> Self {
        Self {
            origin,
            mode: 0o644,
            owner: 0,
            kind: Kind::File(content),
        }
    }

    /// A symbolic link.
    pub fn symlink(origin: Origin, target: &str) -> Self {
        Self {
            origin,
            mode: 0o777,
            owner: 0,
            kind: Kind::Symlink(target.to_owned()),
        }
    }

    /// The same with other permission bits.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The content of a regular file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }
}

/// Every file of an artifact, in the order in which it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<TreePath, Node>,
}

/// Two origins want one path, or a path goes through a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConflictError {
    /// Two origins bring different things to one path.
    #[error("`{path}` comes from {first} and, with other content, from {second}")]
    SamePath {
        /// The path.
        path: TreePath,
        /// Who was there first.
        first: Origin,
        /// Who came second.
        second: Origin,
    },
    /// A directory is needed where something else is.
    #[error("`{path}` of {second} goes through `{through}`, which is no directory in {first}")]
    ThroughFile {
        /// The path that cannot be placed.
        path: TreePath,
        /// The non-directory in the way.
        through: TreePath,
        /// Who put that there.
        first: Origin,
        /// Who wants the path.
        second: Origin,
    },
}

impl Tree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node and the directories above it.
    ///
    /// The same directory, or the same file twice, is no conflict: the first origin stays.
    ///
    /// # Errors
    /// [`ConflictError`] when another node is in the way.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Result<(), ConflictError> {
        let above: Vec<TreePath> = path.ancestors().collect();
        for above in above {
            match self.nodes.get(&above) {
                None => {
                    self.nodes.insert(above, Node::dir(node.origin.clone()));
                }
                Some(Node {
                    kind: Kind::Dir, ..
                }) => {}
                Some(other) => {
                    let first = other.origin.clone();
                    return Err(ConflictError::ThroughFile {
                        path,
                        through: above,
                        first,
                        second: node.origin,
                    });
                }
            }
        }
        match self.nodes.get(&path) {
            None => {
                self.nodes.insert(path, node);
                Ok(())
            }
            Some(there) if same(&there.kind, &node.kind) => Ok(()),
            Some(there) => Err(ConflictError::SamePath {
                path,
                first: there.origin.clone(),
                second: node.origin,
            }),
        }
    }

    /// Puts a node where one may be already; the directories above must be there or are made.
    pub fn replace(&mut self, path: TreePath, node: Node) {
        for above in path.ancestors() {
            self.nodes
                .entry(above)
                .or_insert_with(|| Node::dir(node.origin.clone()));
        }
        self.nodes.insert(path, node);
    }

    /// Takes a node away.
    pub fn remove(&mut self, path: &TreePath) -> Option<Node> {
        self.nodes.remove(path)
    }

    /// The node at a path.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at a path, to change it.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Follows symlinks from `path` by text, as a kernel would inside the tree.
    ///
    /// `None` when nothing is there or after 40 links (Linux's `MAXSYMLINKS`).
    pub fn follow(&self, path: &TreePath) -> Option<(TreePath, &Node)> {
        let mut path = path.clone();
        'links: for _ in 0..40 {
            let above: Vec<TreePath> = path.ancestors().collect();
            for above in above {
                if let Some(Node {
                    kind: Kind::Symlink(target),
                    ..
                }) = self.nodes.get(&above)
                {
                    let rest = &path.as_str()[above.as_str().len() + 1..];
                    path = above.resolve_link(target)?.join(rest).ok()?;
                    continue 'links;
                }
            }
            match self.nodes.get(&path)? {
                Node {
                    kind: Kind::Symlink(target),
                    ..
                } => path = path.resolve_link(target)?,
                node => return Some((path, node)),
            }
        }
        None
    }

    /// Every node, directories before what is in them.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Takes away directories that hold nothing and that no archive asked for.
    pub fn prune_empty_dirs(&mut self, keep: impl Fn(&TreePath) -> bool) {
        let mut full: std::collections::BTreeSet<TreePath> = std::collections::BTreeSet::new();
        for (path, node) in &self.nodes {
            if !matches!(node.kind, Kind::Dir) || keep(path) {
                full.extend(path.ancestors());
                full.insert(path.clone());
            }
        }
        self.nodes.retain(|path, _| full.contains(path));
    }

    /// One line per path: kind, mode, origin, size and the first digits of the digest, path.
    pub fn dump(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (path, node) in &self.nodes {
            let what = match &node.kind {
                Kind::Dir => "d".to_owned(),
                Kind::Symlink(target) => format!("l -> {target}"),
                Kind::File(content) => {
                    format!("f {} {}", content.len(), &content.digest().hex()[..8])
                }
            };
            let _ = writeln!(text, "{path}\t{:04o}\t{}\t{what}", node.mode, node.origin);
        }
        text
    }
}

fn same(one: &Kind, other: &Kind) -> bool {
    match (one, other) {
        (Kind::Dir, Kind::Dir) => true,
        (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
        (Kind::File(one), Kind::File(other)) => {
            one.len() == other.len() && one.digest() == other.digest()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect(text)
    }

    fn dist(name: &str) -> Origin {
        Origin::Distribution(name.to_owned())
    }

    #[test]
    fn the_same_file_twice_is_fine_and_another_is_a_conflict() {
        let mut tree = Tree::new();
        let file = |text: &str, who: &str| Node::file(dist(who), Content::inline(text));
        tree.insert(path("a/x"), file("1", "one")).expect("first");
        tree.insert(path("a/x"), file("1", "two"))
            .expect("same content");
        let error = tree
            .insert(path("a/x"), file("2", "two"))
            .expect_err("other content");
        assert_eq!(
            error.to_string(),
            "`a/x` comes from distribution one and, with other content, from distribution two"
        );
        assert!(tree.insert(path("a/x/y"), file("2", "two")).is_err());
    }

    #[test]
    fn links_are_followed_inside_the_tree_and_loops_end() {
        let mut tree = Tree::new();
        tree.insert(path("lib"), Node::symlink(Origin::App, "usr/lib"))
            .expect("link");
        tree.insert(
            path("usr/lib/a.so.1"),
            Node::file(Origin::App, Content::inline("x")),
        )
        .expect("file");
        tree.insert(path("usr/lib/a.so"), Node::symlink(Origin::App, "a.so.1"))
            .expect("link");
        tree.insert(path("loop"), Node::symlink(Origin::App, "loop"))
            .expect("link");
        let (found, _) = tree.follow(&path("lib/a.so")).expect("found");
        assert_eq!(found, path("usr/lib/a.so.1"));
        assert!(tree.follow(&path("loop")).is_none());
        assert!(tree.follow(&path("lib/none")).is_none());
    }

    #[test]
    fn pruning_keeps_what_has_content_or_is_wanted() {
        let mut tree = Tree::new();
        tree.insert(path("a/b/c"), Node::dir(Origin::App))
            .expect("dir");
        tree.insert(path("tmp"), Node::dir(Origin::App))
            .expect("dir");
        tree.insert(path("d/f"), Node::file(Origin::App, Content::inline("")))
            .expect("file");
        tree.prune_empty_dirs(|path| path.as_str() == "tmp");
        let left: Vec<_> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(left, ["d", "d/f", "tmp"]);
    }
}
