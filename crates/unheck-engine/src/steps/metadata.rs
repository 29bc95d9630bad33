//! Takes the long descriptions out of distributions' metadata. Start at [`shorten_metadata`].
//!
//! `METADATA` is a header block and, after an empty line, the description (core metadata
//! specification; the form is that of RFC 5322). Nothing that resolves, lists or scans an
//! environment reads the description, and it is often longer than the code beside it.

use std::io;

use unheck_base::TreePath;

use super::Shortened;
use crate::assemble::PackReader;
use crate::layout::Layout;
use crate::tree::{Content, Kind, Origin, Tree};

const REASON: &str = "long descriptions in the metadata of distributions";

/// Longer ones stay as they are.
const MAX_METADATA: u64 = 4 << 20;

/// Shortens the `METADATA` of every installed distribution but the app's to its header.
///
/// # Errors
/// The path of what cannot be read, and why.
pub fn shorten_metadata(
    tree: &mut Tree,
    reader: &PackReader<'_>,
    layout: &Layout,
) -> Result<Vec<Shortened>, (TreePath, io::Error)> {
    let mut shortened = Vec::new();
    for (path, content) in metadata_files(tree, layout) {
        let bytes = match reader.bytes(&content, MAX_METADATA) {
            Ok(bytes) => bytes,
            Err(error) => return Err((path, error)),
        };
        let Some(header) = header(&bytes) else {
            continue;
        };
        let saved = bytes.len() as u64 - header.len() as u64;
        if let Some(node) = tree.get_mut(&path) {
            node.kind = Kind::File(Content::inline(header));
            shortened.push(Shortened {
                path,
                saved,
                reason: REASON,
            });
        }
    }
    Ok(shortened)
}

fn metadata_files(tree: &Tree, layout: &Layout) -> Vec<(TreePath, Content)> {
    tree.iter()
        .filter(|(path, node)| {
            matches!(node.origin, Origin::Distribution(_))
                && path.file_name() == "METADATA"
                && path.parent().is_some_and(|directory| {
                    directory.as_str().ends_with(".dist-info")
                        && directory.parent().as_ref() == Some(&layout.site)
                })
        })
        .filter_map(|(path, node)| Some((path.clone(), node.content()?.clone())))
        .filter(|(_, content)| content.len() <= MAX_METADATA)
        .collect()
}

/// The header without a description; `None` where there is none to take out, or where the file has
/// not the form that it should have.
fn header(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut kept = String::new();
    let mut is_description = false;
    for line in text.split_inclusive('\n') {
        if line.trim_end_matches(['\r', '\n']).is_empty() {
            break;
        }
        // A field goes on in lines that begin with white space; old metadata has the description so.
        if !line.starts_with([' ', '\t']) {
            let (name, _) = line.split_once(':')?;
            is_description = name.eq_ignore_ascii_case("Description");
        }
        if !is_description {
            kept.push_str(line);
        }
    }
    let complete = kept.contains("Name:") && kept.contains("Version:");
    (complete && kept.len() < bytes.len()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Interpreter;
    use crate::tree::Node;
    use unheck_store::Store;

    #[test]
    fn only_headers_stay_and_continued_fields_are_whole() {
        let of = |text: &str| header(text.as_bytes());
        let fields = "Metadata-Version: 2.4\nName: d\nVersion: 1\nLicense: a\n  b\n";
        assert_eq!(
            of(&format!("{fields}\n# d\n\nName: not a field\n")).as_deref(),
            Some(fields)
        );
        let old = format!("{fields}Description: long\n        text\nRequires-Dist: e\n");
        assert_eq!(of(&old), Some(format!("{fields}Requires-Dist: e\n")));
        let windows = "Name: d\r\nVersion: 1\r\n\r\nlong";
        assert_eq!(of(windows).as_deref(), Some("Name: d\r\nVersion: 1\r\n"));
        for untouched in [fields, "no field\n\nlong", "Name: d\n\nlong", ""] {
            assert_eq!(of(untouched), None, "{untouched}");
        }
        assert_eq!(header(b"Name: d\nVersion: 1\n\n\xff"), None);
    }

    #[test]
    fn distributions_are_shortened_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("directory");
        let store = Store::open(directory.path()).expect("store");
        let layout = Layout::of(&Interpreter::debian("3.13.5", "2.41"));
        let long = "Name: d\nVersion: 1\n\nlong\n";
        let site = layout.site.to_string();
        let mut tree = Tree::new();
        let own = Origin::Distribution("d".to_owned());
        for (at, origin) in [
            ("d-1.dist-info/METADATA", own.clone()),
            ("d/x.dist-info/METADATA", own.clone()),
            ("d/METADATA", own),
            ("app-1.dist-info/METADATA", Origin::App),
        ] {
            let path = TreePath::new(&format!("{site}/{at}")).expect("path");
            let node = Node::file(origin, Content::inline(long));
            tree.insert(path, node).expect("insert");
        }
        let reader = PackReader::new(&store);
        let done = shorten_metadata(&mut tree, &reader, &layout).expect("shorten");
        let paths: Vec<String> = done.iter().map(|one| one.path.to_string()).collect();
        assert_eq!(paths, [format!("{site}/d-1.dist-info/METADATA")]);
        assert_eq!(done[0].saved, 6);
    }
}
