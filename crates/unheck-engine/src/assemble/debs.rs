//! Files of Debian packages, as the lock names them, with the package database that scanners read.

use std::collections::BTreeMap;

use unheck_base::TreePath;
use unheck_store::{Pack, PackEntry, PackKind, Store};

use super::AssembleError;
use crate::debian::{deb_pack, deb_pack_key, is_documentation, is_licence, usrmerge};
use crate::lock::{Deb, Target};
use crate::tree::{Content, Node, Origin, Tree};

/// Adds what ships of every Debian package of the target.
pub(super) fn add(tree: &mut Tree, store: &Store, target: &Target) -> Result<(), AssembleError> {
    for deb in &target.debs {
        let pack = deb_pack(store, &deb.name, &deb.sha256)?;
        let origin = Origin::Deb(deb.name.clone());
        let entries: BTreeMap<TreePath, &PackEntry> = pack
            .entries()
            .iter()
            .map(|entry| (usrmerge(&entry.path), entry))
            .collect();
        for (path, entry) in chosen(deb, &entries)? {
            refuse_hostile(deb, &path, entry)?;
            if let Some(node) = node(&deb.sha256, entry, &entries, &origin) {
                tree.insert(path.clone(), node)?;
            }
        }
        for (path, entry) in &entries {
            if is_licence(path)
                && let Some(node) = node(&deb.sha256, entry, &entries, &origin)
            {
                tree.insert(path.clone(), node)?;
            }
        }
        database(tree, deb, &pack)?;
    }
    Ok(())
}

/// The entries that ship: those named, or all but documentation.
fn chosen<'e>(
    deb: &Deb,
    entries: &BTreeMap<TreePath, &'e PackEntry>,
) -> Result<Vec<(TreePath, &'e PackEntry)>, AssembleError> {
    if deb.files.is_empty() {
        let all = entries
            .iter()
            .filter(|(path, entry)| !matches!(entry.kind, PackKind::Dir) && !is_documentation(path))
            .map(|(path, entry)| (path.clone(), *entry));
        return Ok(all.collect());
    }
    deb.files
        .keys()
        .map(|path| match entries.get(path) {
            Some(entry) => Ok((path.clone(), *entry)),
            None => Err(AssembleError::NoFile {
                package: deb.name.clone(),
                path: path.clone(),
            }),
        })
        .collect()
}

/// What a package may hold and an artifact must not: programs that change their user, and links
/// that climb over the root.
fn refuse_hostile(deb: &Deb, path: &TreePath, entry: &PackEntry) -> Result<(), AssembleError> {
    let what = match &entry.kind {
        _ if path.as_str().chars().any(char::is_control) => {
            "a name with control characters".to_owned()
        }
        PackKind::File { .. } | PackKind::Hardlink(_) if entry.mode & 0o6000 != 0 => {
            "a program that changes its user or group".to_owned()
        }
        PackKind::Symlink(target) if climbs_out(path, target) => {
            format!(
                "a link that climbs over the root: `{}`",
                target.escape_debug()
            )
        }
        _ => return Ok(()),
    };
    Err(AssembleError::Hostile {
        package: deb.name.clone(),
        path: path.as_str().escape_debug().to_string(),
        what,
    })
}

/// Whether the text of a link has more `..` than there are directories to leave.
pub(crate) fn climbs_out(path: &TreePath, target: &str) -> bool {
    let mut depth = if target.starts_with('/') {
        0
    } else {
        path.as_str().matches('/').count()
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

fn node(
    archive: &unheck_base::Digest,
    entry: &PackEntry,
    entries: &BTreeMap<TreePath, &PackEntry>,
    origin: &Origin,
) -> Option<Node> {
    match &entry.kind {
        PackKind::Dir => Some(Node::dir(origin.clone())),
        PackKind::Symlink(target) => Some(Node::symlink(origin.clone(), target)),
        PackKind::File {
            offset,
            len,
            digest,
        } => {
            let content = Content::Part {
                archive: deb_pack_key(archive),
                offset: *offset,
                len: *len,
                digest: *digest,
            };
            let mode = if entry.mode & 0o111 != 0 {
                0o755
            } else {
                0o644
            };
            Some(Node::file(origin.clone(), content).with_mode(mode))
        }
        PackKind::Hardlink(target) => {
            let target = entries.get(&usrmerge(target))?;
            if matches!(target.kind, PackKind::Hardlink(_)) {
                return None;
            }
            node(archive, target, entries, origin)
        }
    }
}

/// `var/lib/dpkg/status.d`: the package's control paragraph, and the checksums of what ships, in
/// the form that scanners read from images without dpkg.
fn database(tree: &mut Tree, deb: &Deb, pack: &Pack) -> Result<(), AssembleError> {
    let origin = Origin::Deb(deb.name.clone());
    let meta = pack.meta();
    let text = |key: &str| {
        meta.get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let ships = |path: &str| {
        TreePath::new(path).is_ok_and(|path| {
            tree.get(&usrmerge(&path))
                .is_some_and(|node| node.origin == origin)
        })
    };
    let mut sums = String::new();
    for line in text("md5sums").lines() {
        if line.split_once("  ").is_some_and(|(_, path)| ships(path)) {
            sums.push_str(line);
            sums.push('\n');
        }
    }
    let mut control = text("control").trim_end().to_owned();
    control.push('\n');
    for (suffix, text) in [("", control), (".md5sums", sums)] {
        let path = TreePath::new(&format!("var/lib/dpkg/status.d/{}{suffix}", deb.name))
            .expect("package names have no slash");
        tree.insert(path, Node::file(origin.clone(), Content::inline(text)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_climb_to_the_root_and_not_over_it() {
        let path = TreePath::new("usr/lib/x").expect("path");
        for inside in ["../../etc/x", "/etc/../x", "y", "./../bin/./x"] {
            assert!(!climbs_out(&path, inside), "{inside}");
        }
        for outside in ["../../../etc/x", "/../x", "a/../../../../x"] {
            assert!(climbs_out(&path, outside), "{outside}");
        }
    }
}
