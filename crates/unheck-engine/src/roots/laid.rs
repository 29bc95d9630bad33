//! A planned layer as a directory that a sandbox can be made of, without an archive: [`of_layer`].

use std::io::{self, Read as _};
use std::path::Path;

use unheck_oci::layer::Compression;
use unheck_store::Store;

use super::{Filling, KIND, Roots, RootsError, TREE, Unpacker, roots, unpacked};
use crate::assemble::PackReader;
use crate::layers::PlannedLayer;
use crate::tree::Kind;

/// Lays a layer out once; it is known again by what goes in.
///
/// # Errors
/// [`RootsError`].
pub(crate) fn of_layer(store: &Store, planned: &PlannedLayer<'_>) -> Result<Roots, RootsError> {
    let key = planned.key(Compression::None);
    let guard = unpacked(store, KIND, &key, |directory| {
        let tree = directory.join(TREE);
        fill(store, planned, directory)
            .map_err(|source| RootsError::Directory { path: tree, source })
    })?;
    Ok(roots(vec![guard]))
}

fn fill(store: &Store, planned: &PlannedLayer<'_>, directory: &Path) -> io::Result<()> {
    let reader = PackReader::new(store);
    let mut unpacker = Unpacker::new(directory.join(TREE))?;
    let mut buffer = vec![0; 128 << 10];
    for (path, node) in &planned.nodes {
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
    use unheck_base::TreePath;

    use super::*;
    use crate::layers::LayerName;
    use crate::tree::{Content, Node, Origin, Tree};

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
        let laid = |tree: &Tree| {
            let planned = PlannedLayer {
                name: LayerName::Base,
                nodes: tree.iter().collect(),
            };
            of_layer(&store, &planned).expect("root")
        };
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
