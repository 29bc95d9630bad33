//! What an artifact says when a module is asked for that was left out. Start at [`add`].
//!
//! A module at the end of `sys.meta_path` sees only names that nothing else found. It looks them
//! up in a list of left out files, which it reads at the first miss; without a miss it costs the
//! import of one small module. `import` fails with a message that says how to keep the module;
//! `importlib.util.find_spec` goes on to answer `None`.

use super::super::left_out::list;
use super::super::trim::{Removed, TrimLevel};
use crate::layout::Layout;
use crate::tree::{Content, Node, Origin, Tree};

/// The step that made the nodes.
const STEP: &str = "trim";
/// The module, below the library directory.
const MODULE: &str = "_unheck_trimmed.py";
/// What starts it.
const START: &str = "_unheck_trimmed.pth";
/// The list of left out files.
pub const LIST: &str = "_unheck_trimmed.txt";

const SOURCE: &str = include_str!("trimmed.py");

/// Adds the list of what was left out, and the finder that reads it.
pub fn add(tree: &mut Tree, layout: &Layout, level: TrimLevel, removed: &[Removed]) {
    let node = |text: String| Node::file(Origin::Generated(STEP.to_owned()), Content::inline(text));
    let at = |name: &str| layout.site.join(name).expect("a constant name");
    tree.replace(at(LIST), node(list(level, removed)));
    tree.replace(at(MODULE), node(SOURCE.to_owned()));
    let start = "import sys; sys.meta_path.append(__import__('_unheck_trimmed'))\n";
    tree.replace(at(START), node(start.to_owned()));
}
