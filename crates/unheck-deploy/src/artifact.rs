//! What is deployed: the files of a relocatable artifact, and the name of the release that they make.

use std::collections::BTreeMap;
use std::path::PathBuf;

use unheck_base::{Digest, TreePath};

/// Longest part of a release's name that the project gives.
const MAX_NAME: usize = 60;

/// A file or link of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Its digest.
        digest: Digest,
        /// Its length in bytes.
        len: u64,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A link, by its text.
    Link(String),
}

/// A relocatable artifact on this machine.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The directory that its files are in.
    pub root: PathBuf,
    /// The project's name.
    pub project: String,
    /// Its version.
    pub version: Option<String>,
    /// What `uname -m` must say on a host, such as `x86_64`.
    pub machine: String,
    /// The launcher that starts it.
    pub entry: TreePath,
    /// The launcher of its interpreter, which must start on a host before it is a release there.
    pub interpreter: Option<TreePath>,
    /// Every file and link, its own list of files included.
    pub files: BTreeMap<TreePath, Node>,
}

/// An artifact cannot be deployed as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// It has nothing.
    #[error("the artifact has no files")]
    Empty,
    /// A name that a host's own tools would misread.
    #[error(
        "the name {name:?} has a control character or a backslash, which the tools of a host cannot check"
    )]
    Name {
        /// The path, or the text of the link.
        name: String,
    },
    /// A path leads through something that is no directory.
    #[error("`{path}` is below `{above}`, which is no directory")]
    Through {
        /// The path.
        path: TreePath,
        /// What stands above it.
        above: TreePath,
    },
    /// A link leads out.
    #[error("the link `{path}` leads out of the artifact: `{text}`")]
    Escape {
        /// The link.
        path: TreePath,
        /// Its text.
        text: String,
    },
}

impl Artifact {
    /// Refuses what a host could not hold or check.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of paths.
    pub fn validate(&self) -> Result<(), ArtifactError> {
        if self.files.is_empty() {
            return Err(ArtifactError::Empty);
        }
        let plain = |name: &str| {
            let wrong = name.chars().any(|c| c.is_control() || c == '\\');
            (!wrong).then_some(()).ok_or_else(|| ArtifactError::Name {
                name: name.to_owned(),
            })
        };
        for (path, node) in &self.files {
            plain(path.as_str())?;
            if let Some(above) = path
                .ancestors()
                .find(|above| self.files.contains_key(above))
            {
                return Err(ArtifactError::Through {
                    path: path.clone(),
                    above,
                });
            }
            if let Node::Link(text) = node {
                plain(text)?;
                if text.starts_with('/') || path.resolve_link(text).is_none() {
                    return Err(ArtifactError::Escape {
                        path: path.clone(),
                        text: text.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Bytes of all files, each content once.
    pub fn bytes(&self) -> u64 {
        let contents: BTreeMap<&Digest, u64> = self
            .files
            .values()
            .filter_map(|node| match node {
                Node::File { digest, len, .. } => Some((digest, *len)),
                Node::Link(_) => None,
            })
            .collect();
        contents.values().sum()
    }

    /// The name of the release with a content: the same content has the same name on every host and
    /// in every call, so that an interrupted deployment is carried on and not begun again.
    pub(crate) fn release_id(&self, content: &Digest) -> String {
        release_name(&self.project, self.version.as_deref(), content)
    }
}

/// The name of a release: project, version and the begin of its content's digest, of letters, digits and `._+-`.
pub fn release_name(project: &str, version: Option<&str>, content: &Digest) -> String {
    let plain = |text: &str| -> String {
        let keep = |c: char| {
            if c.is_ascii_alphanumeric() || "._+".contains(c) {
                c
            } else {
                '-'
            }
        };
        text.chars().take(MAX_NAME).map(keep).collect()
    };
    let version = version.map(|version| format!("-{}", plain(version)));
    let name = format!("{}{}", plain(project), version.unwrap_or_default());
    let name = name.trim_start_matches(['-', '.']);
    let name = if name.is_empty() { "release" } else { name };
    format!("{name}-{}", &content.hex()[..12])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn artifact(files: &[(&str, Node)]) -> Artifact {
        Artifact {
            root: PathBuf::from("/nowhere"),
            project: "web".to_owned(),
            version: Some("1.0".to_owned()),
            machine: "x86_64".to_owned(),
            entry: TreePath::new("bin/web").expect("path"),
            interpreter: None,
            files: files
                .iter()
                .map(|(path, node)| (TreePath::new(path).expect("path"), node.clone()))
                .collect(),
        }
    }

    pub(crate) fn file(text: &str) -> Node {
        Node::File {
            digest: Digest::of(text.as_bytes()),
            len: text.len() as u64,
            executable: false,
        }
    }

    #[test]
    fn what_a_host_cannot_hold_is_refused() {
        let link = |text: &str| Node::Link(text.to_owned());
        assert_eq!(artifact(&[]).validate(), Err(ArtifactError::Empty));
        for name in ["a\nb", "a\tb", "a\\b", "a\u{7f}", "a\u{85}b"] {
            let error = artifact(&[(name, file("x"))]).validate().expect_err(name);
            assert!(matches!(error, ArtifactError::Name { .. }), "{error}");
        }
        let through = artifact(&[("a", link("b")), ("a/passwd", file("x"))]);
        assert!(matches!(
            through.validate(),
            Err(ArtifactError::Through { .. })
        ));
        for text in ["/etc", "../../etc", ".."] {
            let error = artifact(&[("a", link(text))]).validate().expect_err(text);
            assert!(matches!(error, ArtifactError::Escape { .. }), "{error}");
        }
        let good = [
            ("a b/$(x);'\"&*", file("x")),
            ("-rf", file("y")),
            ("c/d", link("../a b")),
        ];
        assert_eq!(artifact(&good).validate(), Ok(()));
    }

    #[test]
    fn a_release_is_named_after_its_content_and_its_name_is_harmless() {
        let mut one = artifact(&[("a", file("x"))]);
        let content = Digest::of(b"content");
        assert_eq!(
            one.release_id(&content),
            format!("web-1.0-{}", &content.hex()[..12])
        );
        one.project = "../-$(x) é".to_owned();
        one.version = None;
        let id = one.release_id(&content);
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b)),
            "{id}"
        );
        assert!(!id.starts_with(['-', '.']), "{id}");
    }
}
