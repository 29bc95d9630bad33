//! What every root has and no package brings: top-level directories and links, users, name
//! service, the interpreter's other names.

use unheck_base::TreePath;

use super::AssembleError;
use crate::debian::MERGED;
use crate::layout::{Layout, NONROOT};
use crate::lock::Target;
use crate::tree::{Content, Node, Origin, Tree};

fn generated() -> Origin {
    Origin::Generated("base".to_owned())
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("a constant path")
}

/// Adds the nodes of this module to a tree that may be empty.
pub(super) fn add(tree: &mut Tree, layout: &Layout, target: &Target) -> Result<(), AssembleError> {
    for top in MERGED {
        tree.insert(path(&format!("usr/{top}")), Node::dir(generated()))?;
        tree.insert(path(top), Node::symlink(generated(), &format!("usr/{top}")))?;
    }
    for directory in ["dev", "etc", "proc", "run", "sys", "usr/local/bin"] {
        tree.insert(path(directory), Node::dir(generated()))?;
    }
    for directory in ["tmp", "var/tmp"] {
        tree.insert(path(directory), Node::dir(generated()).with_mode(0o1777))?;
    }
    let home = Node {
        owner: NONROOT,
        ..Node::dir(generated()).with_mode(0o700)
    };
    tree.insert(path("home/nonroot"), home)?;
    for (name, text) in files() {
        tree.insert(path(name), Node::file(generated(), Content::inline(text)))?;
    }
    let python = layout.python.trim_start_matches('/');
    let (directory, name) = python.rsplit_once('/').unwrap_or(("usr/bin", python));
    for link in ["python3", "python"] {
        let at = path(&format!("{directory}/{link}"));
        if target.interpreter.provider == crate::lock::Provider::Debian {
            tree.insert(at, Node::symlink(generated(), name))?;
        }
    }
    Ok(())
}

/// Small files of `/etc`, by path. The name service asks files, then DNS, and nothing else.
pub(crate) fn files() -> [(&'static str, String); 3] {
    let passwd = format!(
        "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nnonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/usr/sbin/nologin\n"
    );
    let group = format!("root:x:0:\nnogroup:x:65534:\nnonroot:x:{NONROOT}:\n");
    let nsswitch =
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n".to_owned();
    [
        ("etc/passwd", passwd),
        ("etc/group", group),
        ("etc/nsswitch.conf", nsswitch),
    ]
}
