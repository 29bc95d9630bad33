//! Nodes of a tree as a directory that a sandbox can be made of, without an archive: [`of_nodes`].

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use unheck_base::{Digest, Hasher, TreePath};
use unheck_store::Store;

use super::{Filling, KIND, Roots, RootsError, TREE, Unpacker, roots, unpacked};
use crate::assemble::PackReader;
use crate::tree::{Kind, Node};

/// Lays nodes out once; they are known again by what they are. Directories above them need not be among them.
///
/// # Errors
/// [`RootsError`].
pub(crate) fn of_nodes(
    store: &Store,
    nodes: &BTreeMap<&TreePath, &Node>,
) -> Result<Roots, RootsError> {
    let guard = unpacked(store, KIND, &key(nodes), |directory| {
        let tree = directory.join(TREE);
        fill(store, nodes, directory).map_err(|source| RootsError::Directory { path: tree, source })
    })?;
    Ok(roots(vec![guard]))
}

fn key(nodes: &BTreeMap<&TreePath, &Node>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"nodes\n");
    for (path, node) in nodes {
        let what = match &node.kind {
            Kind::Dir => "d".to_owned(),
            Kind::Symlink(target) => format!("l{target}"),
            Kind::File(content) => format!("f{}", content.digest()),
        };
        hasher.update(format!("{path}\0{:o}\0{what}\0", node.mode).as_bytes());
    }
    hasher.finish()
}

fn fill(store: &Store, nodes: &BTreeMap<&TreePath, &Node>, directory: &Path) -> io::Result<()> {
    let reader = PackReader::new(store);
    let mut unpacker = Unpacker::new(directory.join(TREE))?;
    let mut buffer = vec![0; 128 << 10];
    for (path, node) in nodes {
        let content = match &node.kind {
            Kind::Dir => {
                unpacker.dir(path, node.mode)?;
                continue;
            }
            Kind::Symlink(text) => {
                unpacker.symlink(path, text)?;
                continue;
            }
            Kind::File(content) => content,
        };
        let place = unpacker.place(path)?;
        let mut filling = Filling::create(&place)?;
        let mut source = reader.open(content)?;
        loop {
            match source.read(&mut buffer)? {
                0 => break,
                read => filling.write(&buffer[..read])?,
            }
        }
        let node = filling.finish(&place, node.mode)?;
        unpacker.add(path, node);
    }
    unpacker.write_index(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Origin, Tree};

    #[test]
    fn nodes_become_a_directory_once() {
        let temp = tempfile::tempdir().expect("temp");
        let store = Store::open(temp.path()).expect("store");
        let path = |text: &str| TreePath::new(text).expect(text);
        let mut tree = Tree::new();
        let file = Node::file(Origin::App, Content::inline("text"));
        tree.insert(path("a/b"), file).expect("insert");
        let link = Node::symlink(Origin::App, "b");
        tree.insert(path("a/c"), link).expect("insert");
        let laid = |tree: &Tree| of_nodes(&store, &tree.iter().collect()).expect("root");
        let root = laid(&tree).lower.remove(0);
        let read = |name: &str| fs_err::read(root.join(name)).expect(name);
        assert_eq!(
            (read("a/b"), read("a/c")),
            (b"text".to_vec(), b"text".to_vec())
        );
        assert_eq!(laid(&tree).lower[0], root);
        tree.remove(&path("a/c"));
        assert_ne!(laid(&tree).lower[0], root);
    }
}
