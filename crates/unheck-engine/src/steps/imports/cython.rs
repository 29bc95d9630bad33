//! What compiled modules import whose names cannot be read in their bytes: newer Cython packs its
//! texts, and many distributions ship the source beside. Start at [`CythonSources::of`].

use std::collections::BTreeMap;

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_pyapi::References;

use super::NarrowError;
use super::walk::{bytes, source};
use crate::assemble::PackReader;
use crate::layout::Layout;
use crate::tree::{Kind, Origin, Tree};

/// Longest source that is read.
const MAX_SOURCE: u64 = 16 << 20;

/// Imports in the Cython sources of a tree, by directory.
#[derive(Debug, Clone, Default)]
pub struct CythonSources(BTreeMap<TreePath, References>);

impl CythonSources {
    /// Reads every Cython source of the distributions, before trimming takes them away.
    ///
    /// # Errors
    /// [`NarrowError`] when one cannot be read.
    pub fn of(tree: &Tree, reader: &PackReader<'_>, layout: &Layout) -> Result<Self, NarrowError> {
        let sources: Vec<&TreePath> = tree
            .iter()
            .filter(|(path, node)| {
                let name = path.file_name();
                matches!(node.origin, Origin::Distribution(_))
                    && matches!(node.kind, Kind::File(_))
                    && (name.ends_with(".pyx") || name.ends_with(".pxi"))
                    && path.is_under(layout.site.as_str())
            })
            .map(|(path, _)| path)
            .collect();
        let read: Vec<(TreePath, References)> = sources
            .into_par_iter()
            .filter_map(|path| Some((path, path.parent()?)))
            .map(|(path, directory)| {
                let text = bytes(tree, reader, path, MAX_SOURCE)?.unwrap_or_default();
                let code = import_statements(&String::from_utf8_lossy(&text));
                let inner = &directory.as_str()[layout.site.as_str().len()..];
                let package = inner.trim_start_matches('/').replace('/', ".");
                let found = source(code.as_bytes(), &package, &package, layout);
                Ok((directory, found))
            })
            .collect::<Result<_, NarrowError>>()?;
        let mut found: BTreeMap<TreePath, References> = BTreeMap::new();
        for (directory, mut references) in read {
            let all = found.entry(directory).or_default();
            all.modules.append(&mut references.modules);
        }
        Ok(Self(found))
    }

    /// What the sources beside an extension module, and below it, import; `None` when there are
    /// none.
    pub(super) fn beside(&self, path: &TreePath) -> Option<References> {
        let directory = path.parent()?;
        let below = self
            .0
            .iter()
            .filter(|(place, _)| **place == directory || place.is_under(directory.as_str()));
        let mut all: Option<References> = None;
        for (_, found) in below {
            let all = all.get_or_insert_default();
            all.modules.extend(found.modules.iter().cloned());
        }
        all
    }
}

/// The `import` statements of a Cython source as Python: without `cimport`, none indented.
fn import_statements(text: &str) -> String {
    let mut found = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let start = line.trim();
        let imports = start.starts_with("import ")
            || (start.starts_with("from ") && start.contains(" import "));
        if !imports {
            continue;
        }
        let start = start.split('#').next().unwrap_or_default();
        let mut statement = start.trim().to_owned();
        let open = |text: &str| text.contains('(') && !text.contains(')') || text.ends_with('\\');
        while open(&statement) {
            let Some(next) = lines.next() else { break };
            let next = next.split('#').next().unwrap_or_default();
            statement = format!("{} {}", statement.trim_end_matches('\\'), next.trim());
        }
        found.push_str(&statement);
        found.push('\n');
    }
    found
}

/// Whether a compiled module is Cython's and its texts are packed.
pub(super) fn is_packed(bytes: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
    has(b"__pyx_") && (has(b"string data decompression failed") || !has(b"__main__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_imports_of_python_are_taken_from_cython() {
        let text = "cimport numpy as cnp\nfrom libc.math cimport sqrt\nimport os, sys\ncdef f():\n    from . import (  # here\n        a,  # one\n        b,\n    )\n    from x import y\n";
        assert_eq!(
            import_statements(text),
            "import os, sys\nfrom . import ( a, b, )\nfrom x import y\n"
        );
    }

    #[test]
    fn packed_texts_are_known_by_what_is_missing() {
        assert!(is_packed(
            b"\0__pyx_capi\0LZSS string data decompression failed\0__main__"
        ));
        assert!(is_packed(b"\0__pyx_capi\0"));
        assert!(!is_packed(b"\0__pyx_capi\0__main__\0"));
        assert!(!is_packed(b"\0PyInit_x\0"));
    }
}
