//! Keeps the lists of what ships true: `RECORD` (recording installed projects specification), and the checksum lists of
//! Debian packages.

use std::collections::{BTreeMap, BTreeSet};

use unheck_base::TreePath;

use crate::debian::usrmerge;
use crate::tree::{Content, Kind, Tree};

/// Makes every `RECORD` under `site` say what ships: rows of files that a step removed go, rows
/// of files whose content a step changed get the digest and length that they have now.
pub fn rewrite_records(tree: &mut Tree, site: &TreePath, touched: &BTreeSet<TreePath>) {
    edit_records(tree, site, |tree, text| {
        let mut rewritten = String::with_capacity(text.len());
        for row in text.split_inclusive('\n') {
            let place = recorded_path(row, site).filter(|path| touched.contains(path));
            match place.map(|path| tree.get(&path).and_then(|node| node.content())) {
                None => rewritten.push_str(row),
                Some(None) => {}
                Some(Some(content)) => {
                    let name_end = row
                        .trim_end()
                        .rmatch_indices(',')
                        .nth(1)
                        .map_or(row.len(), |(at, _)| at);
                    let digest = unheck_wheel::record::digest_text(&content.digest());
                    rewritten.push_str(&format!(
                        "{},{digest},{}\n",
                        &row[..name_end],
                        content.len()
                    ));
                }
            }
        }
        rewritten
    });
}

/// Makes the checksum list of every Debian package name only what ships of it: what was left out, or joined into
/// another file, goes. A file that became a link to the same bytes stays.
pub fn rewrite_checksums(tree: &mut Tree) {
    let is_list = |path: &TreePath| {
        path.is_under("var/lib/dpkg/status.d") && path.as_str().ends_with(".md5sums")
    };
    let lists: Vec<TreePath> = tree
        .iter()
        .map(|(path, _)| path)
        .filter(|path| is_list(path))
        .cloned()
        .collect();
    for list in lists {
        let Some(Kind::File(Content::Inline(bytes))) = tree.get(&list).map(|node| &node.kind)
        else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        let ships = |row: &&str| {
            let path = row.trim_end().split_once("  ").map(|(_, path)| path);
            let path = path.and_then(|path| TreePath::new(path).ok());
            path.is_none_or(|path| tree.get(&usrmerge(&path)).is_some())
        };
        let kept: String = text.split_inclusive('\n').filter(ships).collect();
        if kept.len() != bytes.len()
            && let Some(node) = tree.get_mut(&list)
        {
            node.kind = Kind::File(Content::inline(kept));
        }
    }
}

/// Adds a row after that of each key of `added`: the file at its value, which a step made of it.
pub(super) fn add_records(tree: &mut Tree, site: &TreePath, added: &BTreeMap<TreePath, TreePath>) {
    edit_records(tree, site, |tree, text| {
        let mut extended = String::with_capacity(text.len() * 2);
        for row in text.split_inclusive('\n') {
            extended.push_str(row);
            let made = recorded_path(row, site).and_then(|path| added.get(&path));
            let content = made.and_then(|path| tree.get(path)?.content());
            let (Some(made), Some(content)) = (made, content) else {
                continue;
            };
            // What is compiled is below `site`, and its name needs no quotes: it is a module's.
            let Some(inner) = made.as_str().strip_prefix(site.as_str()) else {
                continue;
            };
            let digest = unheck_wheel::record::digest_text(&content.digest());
            let inner = inner.trim_start_matches('/');
            extended.push_str(&format!("{inner},{digest},{}\n", content.len()));
        }
        extended
    });
}

/// Puts what `edit` makes of the text of each `RECORD` in its place.
pub(super) fn edit_records(tree: &mut Tree, site: &TreePath, edit: impl Fn(&Tree, &str) -> String) {
    for record in records(tree, site) {
        let Some(Kind::File(Content::Inline(bytes))) = tree.get(&record).map(|node| &node.kind)
        else {
            continue;
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            continue;
        };
        let edited = edit(tree, text);
        if edited != *text
            && let Some(node) = tree.get_mut(&record)
        {
            node.kind = Kind::File(Content::inline(edited));
        }
    }
}

/// Every `RECORD` of an installed distribution.
fn records(tree: &Tree, site: &TreePath) -> Vec<TreePath> {
    tree.iter()
        .filter(|(path, _)| {
            path.file_name() == "RECORD"
                && path.is_under(site.as_str())
                && path
                    .parent()
                    .is_some_and(|parent| parent.as_str().ends_with(".dist-info"))
        })
        .map(|(path, _)| path.clone())
        .collect()
}

/// The place in the tree that a row of a RECORD names.
pub(crate) fn recorded_path(row: &str, site: &TreePath) -> Option<TreePath> {
    // Paths with a comma or quote are quoted as CSV does (RFC 4180).
    let name = match row.strip_prefix('"') {
        Some(rest) => rest.split("\",").next()?.replace("\"\"", "\""),
        None => row.split(',').next()?.to_owned(),
    };
    site.join("x").ok()?.resolve_link(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Node, Origin};

    #[test]
    fn rows_of_removed_files_go_and_others_stay() {
        let path = |text: &str| TreePath::new(text).expect("path");
        let site = path("usr/lib/site");
        let mut tree = Tree::new();
        let text = "a/x.py,sha256=1,1\n\"a/b,c.py\",sha256=1,1\n../../bin/tool,sha256=1,1\na-1.dist-info/RECORD,,\n";
        let record = path("usr/lib/site/a-1.dist-info/RECORD");
        tree.insert(
            record.clone(),
            Node::file(Origin::App, Content::inline(text)),
        )
        .expect("insert");
        let removed = BTreeSet::from([path("usr/lib/site/a/b,c.py"), path("usr/bin/tool")]);
        rewrite_records(&mut tree, &site, &removed);
        let Kind::File(Content::Inline(bytes)) = &tree.get(&record).expect("record").kind else {
            panic!("kind")
        };
        assert_eq!(
            std::str::from_utf8(bytes),
            Ok("a/x.py,sha256=1,1\na-1.dist-info/RECORD,,\n")
        );
    }

    #[test]
    fn what_a_step_makes_of_a_file_gets_a_row_after_it() {
        let path = |text: &str| TreePath::new(text).expect("path");
        let mut tree = Tree::new();
        let record = path("s/a-1.dist-info/RECORD");
        let text = "a/x.py,sha256=1,1\na/y.py,sha256=1,1\na-1.dist-info/RECORD,,\n";
        let made = path("s/a/__pycache__/x.cpython-313.pyc");
        for (path, text) in [(record.clone(), text), (made.clone(), "code")] {
            tree.insert(path, Node::file(Origin::App, Content::inline(text)))
                .expect("insert");
        }
        let added = BTreeMap::from([(path("s/a/x.py"), made)]);
        add_records(&mut tree, &path("s"), &added);
        let Kind::File(Content::Inline(bytes)) = &tree.get(&record).expect("record").kind else {
            panic!("kind")
        };
        // `printf code | openssl dgst -sha256 -binary | base64`, in the URL-safe alphabet.
        assert_eq!(
            std::str::from_utf8(bytes),
            Ok(
                "a/x.py,sha256=1,1\na/__pycache__/x.cpython-313.pyc,sha256=VpTQii5T_8rgwxA-Wtb2B2q9lg6x-KVldwQLwQKPcCs,4\na/y.py,sha256=1,1\na-1.dist-info/RECORD,,\n"
            )
        );
    }

    #[test]
    fn rows_of_changed_files_get_digest_and_length_anew() {
        let path = |text: &str| TreePath::new(text).expect("path");
        let mut tree = Tree::new();
        let record = path("s/a-1.dist-info/RECORD");
        let text = "a/x.so,sha256=old,99\na-1.dist-info/RECORD,,\n";
        tree.insert(
            record.clone(),
            Node::file(Origin::App, Content::inline(text)),
        )
        .expect("insert");
        tree.insert(
            path("s/a/x.so"),
            Node::file(Origin::App, Content::inline("")),
        )
        .expect("insert");
        rewrite_records(&mut tree, &path("s"), &BTreeSet::from([path("s/a/x.so")]));
        let Kind::File(Content::Inline(bytes)) = &tree.get(&record).expect("record").kind else {
            panic!("kind")
        };
        let expected =
            "a/x.so,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\na-1.dist-info/RECORD,,\n";
        assert_eq!(std::str::from_utf8(bytes), Ok(expected));
    }
}
