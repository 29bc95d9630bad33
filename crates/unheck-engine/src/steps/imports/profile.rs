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

/// The place of a compiled module without the interpreter and platform in its name, so that a
/// profile holds for other platforms too: `p/m.so` of `p/m.cpython-313-x86_64-linux-gnu.so`.
pub fn untagged(path: TreePath) -> TreePath {
    let name = path.file_name();
    let stem = name
        .split_once(".cpython-")
        .filter(|_| name.ends_with(".so"))
        .or_else(|| name.split_once(".abi3.so"))
        .map(|(stem, _)| stem);
    let place = stem.and_then(|stem| path.parent()?.join(&format!("{stem}.so")).ok());
    place.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_sorted_text_and_names_no_platform() {
        let text = "# x\nb/m.py\n\na/../x\na/n.so\n";
        let profile = Profile::from_text(text);
        assert_eq!(profile.to_text(), format!("{HEAD}a/n.so\nb/m.py\n"));
        let of = |text: &str| untagged(TreePath::new(text).expect("path")).to_string();
        assert_eq!(of("a/n.cpython-313-x86_64-linux-gnu.so"), "a/n.so");
        assert_eq!(of("a/n.abi3.so"), "a/n.so");
        assert_eq!(of("a/libx.so.1"), "a/libx.so.1");
        assert_eq!(of("a/n.cpython-313.pyc"), "a/n.cpython-313.pyc");
    }
}
