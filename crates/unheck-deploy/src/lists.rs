//! Lists of a release's files, cut into parts so that two releases share most of them: an update sends only the parts
//! that differ, and hears from the host in which lines. Start at [`Listing`] and [`Difference::parse`].
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
    /// Texts of the parts, by digest.
    texts: BTreeMap<Digest, Vec<u8>>,
    /// The list of parts.
    pub(crate) tree: Vec<u8>,
}

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
        let mut parts: BTreeMap<String, String> = BTreeMap::new();
        for (path, node) in &artifact.files {
            let what = match node {
                Node::File {
                    digest, executable, ..
                } => format!("{} {}", if *executable { 'x' } else { 'f' }, digest.hex()),
                Node::Link(text) => format!("l {text}"),
            };
            let part = parts.entry(part_of(path, count)).or_default();
            part.push_str(&format!("{what}\t{path}\n"));
        }
        let mut texts = BTreeMap::new();
        let mut tree = Vec::new();
        for (name, text) in parts {
            let digest = Digest::of(text.as_bytes());
            tree.extend(format!("{name} {}\n", digest.hex()).into_bytes());
            texts.insert(digest, text.into_bytes());
        }
        Self { texts, tree }
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
}

impl Difference {
    /// Reads what a host says of how an artifact differs from a release: lines of parts, `-` those that only the
    /// release has, `+` those that only the artifact has. `None` when that is nonsense: nothing hangs on it but how much
    /// is sent.
    pub(crate) fn parse(lines: &[String], artifact: &Artifact) -> Option<Self> {
        let mut old = BTreeMap::new();
        let mut new = BTreeSet::new();
        for line in lines {
            let (what, path) = line.split_once('\t')?;
            let path = TreePath::new(path).ok()?;
            match what.split_at_checked(1)? {
                ("-", what) => drop(old.insert(path, what.to_owned())),
                ("+", _) if artifact.files.contains_key(&path) => drop(new.insert(path)),
                _ => return None,
            }
        }
        let is_plain = |path: &TreePath| {
            let node = artifact.files.get(path);
            matches!(
                node,
                Some(Node::File {
                    executable: false,
                    ..
                })
            )
        };
        let was = new.iter().filter(|path| is_plain(path)).filter_map(|path| {
            let hex = old.get(path)?.strip_prefix("f ")?;
            Some((path.clone(), hex.to_owned()))
        });
        let was = was.collect();
        Some(Self {
            was,
            gone: old.keys().cloned().collect(),
            new,
        })
    }
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

    fn lines(listing: &Listing) -> BTreeSet<String> {
        let texts = listing.texts.values();
        let text = texts.map(|text| String::from_utf8(text.clone()).expect("text"));
        text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// What a host says that has both lists.
    fn said(old: &Listing, new: &Listing) -> Vec<String> {
        let (old, new) = (lines(old), lines(new));
        let gone = old.difference(&new).map(|line| format!("-{line}"));
        let come = new.difference(&old).map(|line| format!("+{line}"));
        gone.chain(come).collect()
    }

    #[test]
    fn a_change_of_one_file_touches_one_part() {
        let names: Vec<String> = (0..3000).map(|n| format!("d{}/f{n}", n / 20)).collect();
        let mut files: Vec<(&str, Node)> = names.iter().map(|n| (n.as_str(), file(n))).collect();
        let old = Listing::of(&artifact(&files));
        files[7].1 = file("changed");
        let changed = artifact(&files);
        let new = Listing::of(&changed);
        let fresh = new
            .texts
            .keys()
            .filter(|text| !old.texts.contains_key(text));
        assert_eq!(fresh.count(), 1);
        let difference = Difference::parse(&said(&old, &new), &changed).expect("difference");
        assert_eq!(difference.new, difference.gone);
        let names: Vec<&str> = difference.new.iter().map(TreePath::as_str).collect();
        assert_eq!(names, ["d0/f7"]);
        let was = &difference.was[difference.new.first().expect("a path")];
        assert_eq!(*was, Digest::of(names[0].as_bytes()).hex());
        assert_ne!(old.content(), new.content());
    }

    #[test]
    fn nonsense_is_no_difference() {
        let one = artifact(&[("a", file("x"))]);
        let parse = |line: &str| Difference::parse(&[line.to_owned()], &one);
        assert!(parse("+f 00\ta").is_some() && parse("-f 00\tb").is_some());
        for line in ["+f 00\tb", "-f 00\t../a", "f 00\ta", "", "+", "\ta"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }

    proptest! {
        /// Applying the difference to the old tree gives the new one, whatever they are.
        #[test]
        fn the_difference_turns_one_tree_into_the_other(
            old in proptest::collection::btree_map("[a-c]/[a-z]{1,2}", "[xy]", 0..60),
            new in proptest::collection::btree_map("[a-c]/[a-z]{1,2}", "[xy]", 0..60),
        ) {
            let made = |files: &BTreeMap<String, String>| {
                let files: Vec<(&str, Node)> =
                    files.iter().map(|(path, text)| (path.as_str(), file(text))).collect();
                artifact(&files)
            };
            let said = said(&Listing::of(&made(&old)), &Listing::of(&made(&new)));
            let found = Difference::parse(&said, &made(&new)).expect("difference");
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
