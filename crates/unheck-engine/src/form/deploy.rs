//! A relocatable artifact as hosts get it: [`deployable`].

use std::collections::BTreeMap;

use unheck_base::{Digest, TreePath};
use unheck_deploy::{Artifact, Node};

use super::{Form, FormError, FormNode, MANIFEST_PATH, Manifest};

/// Longest list of files that is read.
const MAX_LIST: u64 = 256 << 20;

/// The files of an artifact with its list of them, as they are deployed. The form must outlive it.
///
/// # Errors
/// The list cannot be read.
pub fn deployable(form: &Form) -> Result<Artifact, FormError> {
    let manifest = &form.described.manifest;
    let path = form.root.join(MANIFEST_PATH);
    let list = crate::verify::view::read(&path, MAX_LIST)
        .map_err(|source| FormError::Read { path, source })?;
    let mut files: BTreeMap<TreePath, Node> = manifest
        .files
        .iter()
        .map(|(path, file)| (path.clone(), node(&file.what)))
        .collect();
    let own = Node::File {
        digest: Digest::of(&list),
        len: list.len() as u64,
        executable: false,
    };
    files.insert(TreePath::new(MANIFEST_PATH).expect("a constant"), own);
    Ok(Artifact {
        root: form.root.clone(),
        project: manifest.project.clone(),
        version: manifest.version.clone(),
        machine: manifest.platform.machine().to_owned(),
        entry: manifest.entry.clone(),
        interpreter: interpreter(manifest),
        files,
    })
}

fn node(what: &FormNode) -> Node {
    match what {
        FormNode::Link { link } => Node::Link(link.clone()),
        FormNode::File {
            len,
            sha256,
            executable,
        } => Node::File {
            digest: *sha256,
            len: *len,
            executable: *executable,
        },
    }
}

/// The launcher of the interpreter: `usr/bin/python3.N`, with the program beside it.
fn interpreter(manifest: &Manifest) -> Option<TreePath> {
    let is_python = |path: &&TreePath| {
        let minor = path.as_str().strip_prefix("usr/bin/python3.");
        minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
    };
    let launchers = manifest.files.iter().filter(|(_, file)| file.is_launcher());
    launchers.map(|(path, _)| path).find(is_python).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_the_launcher_and_not_the_program() {
        let zeros = "0".repeat(64);
        let file =
            |origin: &str| format!(r#"{{"origin":{origin},"len":1,"sha256":"{zeros}","x":true}}"#);
        let launcher = file(r#"{"generated":"launcher"}"#);
        let list = format!(
            r#"{{"unheck-form":1,"platform":"linux/amd64","project":"p","libs":"static","entry":"bin/p","files":{{
            "bin/p":{launcher},"usr/bin/python3.13":{launcher},"usr/bin/python3.13-config":{launcher},
            "usr/bin/python3.13.bin":{}}}}}"#,
            file("\"interpreter\"")
        );
        let manifest = Manifest::from_bytes(list.as_bytes()).expect("manifest");
        let found = interpreter(&manifest);
        assert_eq!(
            found.as_ref().map(TreePath::as_str),
            Some("usr/bin/python3.13")
        );
    }
}
