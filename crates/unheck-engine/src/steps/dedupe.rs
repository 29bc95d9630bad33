//! Makes links of files that distributions bring twice. Start at [`dedupe`].
//!
//! Only files whose place does not matter: vendored libraries, and data that no package looks for
//! beside itself by a resolved path. Modules stay, because `__file__` says where they are, and so
//! does metadata.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use unheck_base::{Digest, TreePath};

use crate::close::is_library_name;
use crate::layout::Layout;
use crate::tree::{Kind, Node, Origin, Tree};

/// A smaller file costs no more than its link.
const SMALLEST: u64 = 4096;

/// A file that became a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Its place.
    pub path: TreePath,
    /// How many bytes do not ship twice.
    pub saved: u64,
}

/// Replaces each library and data file of a distribution that is there before, byte for byte and
/// with the same mode, by a relative link to the first.
pub fn dedupe(tree: &mut Tree, layout: &Layout) -> Vec<Linked> {
    let mut first: BTreeMap<(Digest, u32), TreePath> = BTreeMap::new();
    let mut links = Vec::new();
    for (path, node) in tree.iter() {
        let Some(content) = node.content() else {
            continue;
        };
        if !is_candidate(path, node, layout) || content.len() < SMALLEST {
            continue;
        }
        match first.entry((content.digest(), node.mode)) {
            Entry::Vacant(entry) => drop(entry.insert(path.clone())),
            Entry::Occupied(entry) => {
                let target = relative(path, entry.get());
                links.push((path.clone(), target, node.origin.clone(), content.len()));
            }
        }
    }
    let mut linked = Vec::new();
    for (path, target, origin, saved) in links {
        tree.replace(path.clone(), Node::symlink(origin, &target));
        linked.push(Linked { path, saved });
    }
    linked
}

fn is_candidate(path: &TreePath, node: &Node, layout: &Layout) -> bool {
    if !matches!(node.origin, Origin::Distribution(_)) || !matches!(node.kind, Kind::File(_)) {
        return false;
    }
    let Some(inner) = path.as_str().strip_prefix(layout.site.as_str()) else {
        return false;
    };
    let name = path.file_name();
    let module = name.ends_with(".py") || name.ends_with(".pyc") || name.contains(".cpython-");
    let library = is_library_name(name) && !name.ends_with(".abi3.so");
    // A library in a directory of libraries is opened by name; one beside modules may be one.
    let vendored = library && inner.contains(".libs/");
    let data = !is_library_name(name) && node.mode & 0o111 == 0;
    !inner.contains(".dist-info/") && !module && (vendored || data)
}

/// The text of a link from one place to another.
fn relative(from: &TreePath, to: &TreePath) -> String {
    let from: Vec<&str> = from.as_str().split('/').collect();
    let to: Vec<&str> = to.as_str().split('/').collect();
    let common = from
        .iter()
        .zip(&to)
        .take_while(|(one, other)| one == other)
        .count();
    let up = from.len() - common - 1;
    let mut parts = vec![".."; up];
    parts.extend(&to[common..]);
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Interpreter;
    use crate::tree::Content;

    const SITE: &str = "usr/local/lib/python3.13/dist-packages";

    fn linked(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut tree = Tree::new();
        for (at, text) in files {
            let path = TreePath::new(&format!("{SITE}/{at}")).expect("path");
            let bytes = text.repeat(5000);
            let node = Node::file(Origin::Distribution("d".to_owned()), Content::inline(bytes));
            tree.insert(path, node).expect("insert");
        }
        let layout = Layout::of(&Interpreter::debian("3.13.5", "2.41"));
        let found = dedupe(&mut tree, &layout);
        let target = |path: &TreePath| match &tree.get(path).expect("node").kind {
            Kind::Symlink(target) => target.clone(),
            _ => panic!("{path} is no link"),
        };
        for one in &found {
            assert!(tree.follow(&one.path).is_some(), "{}", one.path);
            assert_eq!(one.saved, 5000);
        }
        let short = |path: &TreePath| path.as_str()[SITE.len() + 1..].to_owned();
        found
            .iter()
            .map(|one| (short(&one.path), target(&one.path)))
            .collect()
    }

    #[test]
    fn the_same_library_and_the_same_data_are_there_once() {
        let files = [
            ("a.libs/libx-1.so.1", "x"),
            ("b.libs/libx-1.so.1", "x"),
            ("b.libs/liby-1.so.1", "y"),
            ("a/table.bin", "t"),
            ("c/d/table.bin", "t"),
        ];
        let expected = [
            ("b.libs/libx-1.so.1", "../a.libs/libx-1.so.1"),
            ("c/d/table.bin", "../../a/table.bin"),
        ];
        let expected = expected.map(|(path, target)| (path.to_owned(), target.to_owned()));
        assert_eq!(linked(&files), expected);
    }

    #[test]
    fn modules_and_metadata_stay_where_they_are() {
        let files = [
            ("a/m.py", "x"),
            ("b/m.py", "x"),
            ("a/m.cpython-313-x86_64-linux-gnu.so", "x"),
            ("b/m.cpython-313-x86_64-linux-gnu.so", "x"),
            ("a/m.abi3.so", "x"),
            ("b/m.abi3.so", "x"),
            ("a/libm.so", "x"),
            ("b/libm.so", "x"),
            ("a-1.dist-info/licenses/LICENSE", "x"),
            ("b-1.dist-info/licenses/LICENSE", "x"),
        ];
        assert_eq!(linked(&files), []);
    }
}
