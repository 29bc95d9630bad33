//! What recorded runs opened: [`Profile`], a sorted text file of the project.

use std::collections::BTreeSet;

use unheck_base::TreePath;

/// Name of the file beside the project.
pub const PROFILE_FILE: &str = "unheck.trace";

/// First line of the file.
const HEAD: &str = "# What recorded runs opened; `unheck build --trace 'COMMAND'` adds to it.\n";

/// Files that recorded runs opened, as places in the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Modules, data files and libraries.
    pub opened: BTreeSet<TreePath>,
}

impl Profile {
    /// Reads the file's text. Lines that name nothing in a tree are passed over, and so are
    /// comments.
    pub fn from_text(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self {
            opened: lines.filter_map(|line| TreePath::new(line).ok()).collect(),
        }
    }

    /// The file's text: one path in a line, sorted.
    pub fn to_text(&self) -> String {
        let mut text = HEAD.to_owned();
        for path in &self.opened {
            text.push_str(path.as_str());
            text.push('\n');
        }
        text
    }
}
