//! Lists of a release's files, cut into parts so that two releases share most of them: an update sends
//! and fetches only the parts that differ. Start at [`Listing`] and [`Listing::against`].
//!
//! A line of a part is `f HEX<TAB>PATH` (file), `x HEX<TAB>PATH` (executable) or `l TEXT<TAB>PATH`
//! (link). A part holds the entries of some directories, chosen by a hash. The list of parts is the
//! `tree`: `NAME HEX` a line; its digest names the content of a release.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::{Digest, TreePath};

use crate::artifact::{Artifact, Node};

/// Entries that a part holds on average.
const PER_PART: usize = 32;
/// Least and most parts of a list.
const PARTS: (usize, usize) = (16, 256);

/// The lists of one release.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// Lines by path, by part.
    parts: BTreeMap<String, BTreeMap<TreePath, String>>,
    /// Texts of the parts, by digest.
    texts: BTreeMap<Digest, Vec<u8>>,
    /// The list of parts.
    pub(crate) tree: Vec<u8>,
    tree_parts: BTreeMap<String, Digest>,
}

/// The tree of a release on a host, as the host said it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BaseTree(BTreeMap<String, Digest>);

/// How a release differs from one that a host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Paths of the base that must go: those that are no more, and those that are something else.
    pub(crate) gone: BTreeSet<TreePath>,
    /// Paths that the base lacks or has otherwise.
    pub(crate) new: BTreeSet<TreePath>,
    /// Of these, plain files that are plain files of the base too: the names of their old blobs.
    pub(crate) was: BTreeMap<TreePath, String>,
}

/// The name of a file among a host's blobs: content and mode.
pub(crate) fn blob_name(digest: &Digest, executable: bool) -> String {
    format!("{}{}", digest.hex(), if executable { ".x" } else { "" })
}

impl Listing {
    /// The lists of an artifact.
    pub(crate) fn of(artifact: &Artifact) -> Self {
        let count = (artifact.files.len() / PER_PART).next_power_of_two();
        let count = count.clamp(PARTS.0, PARTS.1);
        let mut parts: BTreeMap<String, BTreeMap<TreePath, String>> = BTreeMap::new();
        for (path, node) in &artifact.files {
            let what = match node {
                Node::File {
                    digest, executable, ..
                } => format!("{} {}", if *executable { 'x' } else { 'f' }, digest.hex()),
                Node::Link(text) => format!("l {text}"),
            };
            parts
                .entry(part_of(path, count))
                .or_default()
                .insert(path.clone(), what);
        }
        let mut texts = BTreeMap::new();
        let mut tree = Vec::new();
        let mut tree_parts = BTreeMap::new();
        for (name, lines) in &parts {
            let lines: Vec<String> = lines
                .iter()
                .map(|(path, what)| format!("{what}\t{path}\n"))
                .collect();
            let text = lines.concat().into_bytes();
            let digest = Digest::of(&text);
            tree.extend(format!("{name} {}\n", digest.hex()).into_bytes());
            tree_parts.insert(name.clone(), digest);
            texts.insert(digest, text);
        }
        Self {
            parts,
            texts,
            tree,
            tree_parts,
        }
    }

    /// The digest of the list of parts, which names the content.
    pub(crate) fn content(&self) -> Digest {
        Digest::of(&self.tree)
    }

    /// Every text that a host must have to hold a tree against it, the list of parts included.
    pub(crate) fn texts(&self) -> BTreeMap<Digest, &[u8]> {
        let mut texts: BTreeMap<Digest, &[u8]> = self
            .texts
            .iter()
            .map(|(digest, text)| (*digest, text.as_slice()))
            .collect();
        texts.insert(self.content(), &self.tree);
        texts
    }

    /// The parts of a base that must be read to tell the difference: by name and digest.
    pub(crate) fn differing(&self, base: &BaseTree) -> BTreeMap<String, Digest> {
        base.0
            .iter()
            .filter(|(name, digest)| self.tree_parts.get(*name) != Some(digest))
            .map(|(name, digest)| (name.clone(), *digest))
            .collect()
    }

    /// The difference from a base, of which the lines of the differing parts are given.
    pub(crate) fn against(
        &self,
        base: &BaseTree,
        lines: &BTreeMap<TreePath, String>,
    ) -> Difference {
        let own = self
            .parts
            .iter()
            .filter(|(name, _)| base.0.get(*name) != self.tree_parts.get(*name))
            .flat_map(|(_, lines)| lines);
        let own: BTreeMap<&TreePath, &String> = own.collect();
        let new = own
            .iter()
            .filter(|(path, what)| lines.get(**path) != Some(**what));
        let gone = lines
            .iter()
            .filter(|(path, what)| own.get(path) != Some(what));
        let new: BTreeSet<TreePath> = new.map(|(path, _)| (*path).clone()).collect();
        let old = |path: &TreePath| {
            let is_plain = own.get(path).is_some_and(|what| what.starts_with("f "));
            let hex = lines.get(path)?.strip_prefix("f ")?;
            is_plain.then(|| (path.clone(), hex.to_owned()))
        };
        Difference {
            was: new.iter().filter_map(old).collect(),
            gone: gone.map(|(path, _)| path.clone()).collect(),
            new,
        }
    }
}

impl BaseTree {
    /// Reads a tree; `None` when it is none.
    pub(crate) fn parse(lines: &[String]) -> Option<Self> {
        let parts = lines.iter().map(|line| {
            let (name, digest) = line.split_once(' ')?;
            Some((name.to_owned(), digest.parse().ok()?))
        });
        parts.collect::<Option<_>>().map(Self)
    }
}

/// Reads a part that a host gave; `None` when it is none, or not what its digest says.
pub(crate) fn parse_part(lines: &[String], digest: &Digest) -> Option<BTreeMap<TreePath, String>> {
    let mut hasher = unheck_base::Hasher::new();
    let mut parsed = BTreeMap::new();
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
        let (what, path) = line.split_once('\t')?;
        parsed.insert(TreePath::new(path).ok()?, what.to_owned());
    }
    (hasher.finish() == *digest).then_some(parsed)
}

/// Entries of one directory are in one part: a change of an app touches few.
fn part_of(path: &TreePath, count: usize) -> String {
    let parent = path.parent().map(|parent| parent.to_string());
    let hash = Digest::of(parent.unwrap_or_default().as_bytes());
    let [high, low, ..] = hash.as_bytes();
    let index = usize::from(u16::from_be_bytes([*high, *low])) % count;
    format!("{count}.{index:02x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::tests::{artifact, file};

    fn base_of(listing: &Listing) -> BaseTree {
        let text = String::from_utf8(listing.tree.clone()).expect("text");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        BaseTree::parse(&lines).expect("tree")
    }

    /// The difference, told only by what a host would send.
    fn difference(old: &Listing, new: &Listing) -> (Difference, usize) {
        let base = base_of(old);
        let wanted = new.differing(&base);
        let mut lines = BTreeMap::new();
        for digest in wanted.values() {
            let text = String::from_utf8(old.texts[digest].clone()).expect("text");
            let part: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.extend(parse_part(&part, digest).expect("part"));
        }
        (new.against(&base, &lines), wanted.len())
    }

    #[test]
    fn a_change_of_one_file_touches_one_part() {
        let names: Vec<String> = (0..3000).map(|n| format!("d{}/f{n}", n / 20)).collect();
        let mut files: Vec<(&str, Node)> = names.iter().map(|n| (n.as_str(), file(n))).collect();
        let old = Listing::of(&artifact(&files));
        files[7].1 = file("changed");
        let new = Listing::of(&artifact(&files));
        let (difference, parts) = difference(&old, &new);
        assert_eq!(parts, 1);
        assert_eq!(difference.new, difference.gone);
        assert_eq!(
            difference
                .new
                .iter()
                .map(TreePath::as_str)
                .collect::<Vec<_>>(),
            ["d0/f7"]
        );
        assert_ne!(old.content(), new.content());
    }

    #[test]
    fn a_part_that_lies_is_no_part() {
        let digest = Digest::of(b"f 00\ta\n");
        let line = |text: &str| vec![text.to_owned()];
        assert!(parse_part(&line("f 00\ta"), &digest).is_some());
        assert!(parse_part(&line("f 00\tb"), &digest).is_none());
        let escape = Digest::of(b"f 00\t../a\n");
        assert!(parse_part(&line("f 00\t../a"), &escape).is_none());
        assert!(BaseTree::parse(&line("16.00 zz")).is_none());
    }

    proptest! {
        /// Applying the difference to the old tree gives the new one, whatever they are.
        #[test]
        fn the_difference_turns_one_tree_into_the_other(
            old in proptest::collection::btree_map("[a-c]/[a-z]{1,2}", "[xy]", 0..60),
            new in proptest::collection::btree_map("[a-c]/[a-z]{1,2}", "[xy]", 0..60),
        ) {
            let listing = |files: &BTreeMap<String, String>| {
                let files: Vec<(&str, Node)> =
                    files.iter().map(|(path, text)| (path.as_str(), file(text))).collect();
                Listing::of(&artifact(&files))
            };
            let (found, _) = difference(&listing(&old), &listing(&new));
            let mut tree = old.clone();
            for path in &found.gone { tree.remove(path.as_str()); }
            for path in &found.new {
                prop_assert!(!tree.contains_key(path.as_str()));
                tree.insert(path.to_string(), new[path.as_str()].clone());
            }
            prop_assert_eq!(tree, new);
        }
    }
}
