//! Symbolic links that hold wherever the tree stands: relative, inside, and leading somewhere.

use unheck_base::TreePath;

use crate::debian::usrmerge;
use crate::tree::{Kind, Tree};

/// Writes every link that is absolute, or goes through one of the merged top-level directories
/// (`lib` → `usr/lib`), as the way from its own directory.
pub(super) fn make_relative(tree: &mut Tree) {
    let changed: Vec<(TreePath, String)> = tree
        .iter()
        .filter_map(|(path, node)| {
            let Kind::Symlink(text) = &node.kind else {
                return None;
            };
            let target = path.resolve_link(text)?;
            let merged = usrmerge(&target);
            let good = !text.starts_with('/') && merged == target;
            (!good).then(|| (path.clone(), relative(path, &merged)))
        })
        .collect();
    for (path, text) in changed {
        if let Some(node) = tree.get_mut(&path) {
            node.kind = Kind::Symlink(text);
        }
    }
}

/// Removes links that lead nowhere in the tree: to the kernel's files, to what does not ship.
pub(super) fn remove_dangling(tree: &mut Tree) {
    let dangling: Vec<TreePath> = tree
        .iter()
        .filter(|(path, node)| matches!(node.kind, Kind::Symlink(_)) && tree.follow(path).is_none())
        .map(|(path, _)| path.clone())
        .collect();
    for path in dangling {
        tree.remove(&path);
    }
}

/// The text of a link at `from` that leads to `to`.
pub(super) fn relative(from: &TreePath, to: &TreePath) -> String {
    let from: Vec<&str> = from.as_str().split('/').collect();
    let to: Vec<&str> = to.as_str().split('/').collect();
    let directories = &from[..from.len() - 1];
    let common = directories
        .iter()
        .zip(&to[..to.len() - 1])
        .take_while(|(one, other)| one == other)
        .count();
    let mut parts = vec![".."; directories.len() - common];
    parts.extend(&to[common..]);
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Node, Origin};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect(text)
    }

    #[test]
    fn the_way_from_one_path_to_another() {
        for (from, to, text) in [
            ("a/b/c", "a/d", "../d"),
            ("a", "b/c", "b/c"),
            ("a/b", "a/c", "c"),
            ("usr/lib/ssl/cert.pem", "etc/ssl/x", "../../../etc/ssl/x"),
            ("a/b/c", "a/b", "../b"),
        ] {
            assert_eq!(relative(&path(from), &path(to)), text, "{from} {to}");
            assert_eq!(path(from).resolve_link(text), Some(path(to)));
        }
    }

    #[test]
    fn absolute_links_become_relative_and_those_to_nowhere_go() {
        let mut tree = Tree::new();
        tree.insert(
            path("usr/lib/x/l.so"),
            Node::file(Origin::App, Content::inline("x")),
        )
        .expect("file");
        for (at, to) in [
            ("usr/a", "/lib/x/l.so"),
            ("usr/lib/b", "x/l.so"),
            ("usr/c", "../lib/x/l.so"),
            ("etc/mtab", "/proc/mounts"),
            ("usr/d", "a"),
        ] {
            tree.insert(path(at), Node::symlink(Origin::App, to))
                .expect("link");
        }
        make_relative(&mut tree);
        remove_dangling(&mut tree);
        let links: Vec<String> = tree
            .iter()
            .filter_map(|(path, node)| match &node.kind {
                Kind::Symlink(text) => Some(format!("{path} -> {text}")),
                _ => None,
            })
            .collect();
        assert_eq!(
            links,
            [
                "usr/a -> lib/x/l.so",
                "usr/c -> lib/x/l.so",
                "usr/d -> a",
                "usr/lib/b -> x/l.so"
            ]
        );
    }
}
