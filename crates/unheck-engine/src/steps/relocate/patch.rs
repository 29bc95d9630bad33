//! `ctypes.util.find_library` asks the host's `ldconfig`, `gcc` and `ld`; inside a tree with
//! libraries of its own it must find those and no others.

use std::collections::BTreeSet;

use unheck_base::TreePath;

use super::RelocateError;
use crate::assemble::PackReader;
use crate::close::is_library_name;
use crate::layout::Layout;
use crate::tree::{Content, Kind, Node, Origin, Tree};

/// Longest module that is patched.
const MAX_MODULE: u64 = 1 << 20;

/// What is appended: the functions that `find_library` asks one after the other, in every Python
/// since 3.6. Names are compared as the original compares lines of `ldconfig -p`.
const PATCH: &str = r#"

# Appended by unheck: this tree brings its own libraries, which no ldconfig knows.
if os.name == 'posix':
    def _findSoname_ldconfig(name):
        start = 'lib' + name + '.'
        return next((soname for soname in _unheck_libraries if soname.startswith(start)), None)

    def _findLib_gcc(name):
        return None

    def _findLib_ld(name):
        return None
"#;

/// Appends to `ctypes/util.py`; answers what changed.
pub(super) fn find_library(
    tree: &mut Tree,
    reader: &PackReader<'_>,
    layout: &Layout,
    directories: &[TreePath],
) -> Result<BTreeSet<TreePath>, RelocateError> {
    let path = layout
        .stdlib
        .join("ctypes/util.py")
        .expect("constant names");
    let Some(content) = tree.get(&path).and_then(Node::content) else {
        return Ok(BTreeSet::new());
    };
    let bytes = reader
        .bytes(content, MAX_MODULE)
        .map_err(|source| RelocateError::Read {
            path: path.clone(),
            source,
        })?;
    let mut text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    text.push_str("\n\n\n_unheck_libraries = (\n");
    for soname in sonames(tree, directories) {
        text.push_str(&format!("    {soname:?},\n"));
    }
    text.push_str(")\n");
    text.push_str(PATCH);
    let origin = Origin::Generated("relocate".to_owned());
    tree.replace(path.clone(), Node::file(origin, Content::inline(text)));
    // Bytecode of what it was before would win, where it is not checked against the source.
    let compiled: Vec<TreePath> = tree
        .iter()
        .map(|(path, _)| path)
        .filter(|path| {
            path.is_under(&format!("{}/ctypes/__pycache__", layout.stdlib))
                && path.file_name().starts_with("util.")
        })
        .cloned()
        .collect();
    for one in &compiled {
        tree.remove(one);
    }
    Ok(compiled.into_iter().chain([path]).collect())
}

/// Names of libraries in the directories that the loader searches, without repetition, sorted.
fn sonames(tree: &Tree, directories: &[TreePath]) -> BTreeSet<String> {
    tree.iter()
        .filter(|(path, node)| {
            !matches!(node.kind, Kind::Dir)
                && is_library_name(path.file_name())
                && path.file_name().contains(".so.")
                && path
                    .parent()
                    .is_some_and(|parent| directories.contains(&parent))
        })
        .map(|(path, _)| path.file_name().to_owned())
        .collect()
}
