//! Paths inside a tree: relative, normalised, UTF-8, and nothing else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path of a node in a tree or of a member in an archive: relative, `/` between the parts,
/// no empty, `.` or `..` part, no NUL, no leading or trailing slash. Never empty.
///
/// Sorted so that a directory comes right before everything in it: the order is by parts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePath(Box<str>);

/// Why a name from an archive or a file was refused as a [`TreePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreePathError {
    /// The path has no part at all.
    #[error("the path is empty")]
    Empty,
    /// The path begins with a slash.
    #[error("the path is absolute")]
    Absolute,
    /// A part is `..`.
    #[error("the path climbs out with `..`")]
    Parent,
    /// A part is empty or `.`.
    #[error("the path has an empty or `.` part")]
    NotNormal,
    /// The path has a NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
    /// The path is not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A part is longer than 255 bytes, or the whole longer than 4095 (`PATH_MAX`, limits.h).
    #[error("the path is too long for a Linux file system")]
    TooLong,
}

impl TreePath {
    /// Checks `text` as it stands; nothing is repaired.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, TreePathError> {
        if text.is_empty() {
            return Err(TreePathError::Empty);
        }
        if text.contains('\0') {
            return Err(TreePathError::Nul);
        }
        if text.starts_with('/') {
            return Err(TreePathError::Absolute);
        }
        if text.len() > 4095 {
            return Err(TreePathError::TooLong);
        }
        for part in text.split('/') {
            match part {
                "" | "." => return Err(TreePathError::NotNormal),
                ".." => return Err(TreePathError::Parent),
                part if part.len() > 255 => return Err(TreePathError::TooLong),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// As [`TreePath::new`], from the bytes of an archive.
    ///
    /// # Errors
    /// [`TreePathError::NotUtf8`] too.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TreePathError> {
        Self::new(std::str::from_utf8(bytes).map_err(|_| TreePathError::NotUtf8)?)
    }

    /// The path as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The directory that the node is in, `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.into()))
    }

    /// Every directory above the node, the topmost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .match_indices('/')
            .map(|(at, _)| Self(self.0[..at].into()))
    }

    /// `self/relative`, where `relative` keeps the rules too.
    ///
    /// # Errors
    /// As [`TreePath::new`] for the joined text.
    pub fn join(&self, relative: &str) -> Result<Self, TreePathError> {
        Self::new(&format!("{self}/{relative}"))
    }

    /// Whether the node is `directory` itself or lies under it.
    pub fn is_under(&self, directory: &str) -> bool {
        self.0
            .strip_prefix(directory)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Follows the text of a symlink that stands at `self`, by text alone; `None` when it leaves
    /// the root or ends at it. An absolute target counts from the root of the tree.
    pub fn resolve_link(&self, target: &str) -> Option<Self> {
        let mut parts: Vec<&str> = Vec::new();
        if !target.starts_with('/') {
            parts.extend(self.0.split('/'));
            parts.pop();
        }
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Self::new(&parts.join("/")).ok()
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Part by part is byte by byte with `/` before all others. Most paths of a tree begin alike.
        const STEP: usize = 8;
        let (one, other) = (self.0.as_bytes(), other.0.as_bytes());
        let steps = one.chunks_exact(STEP).zip(other.chunks_exact(STEP));
        let same = STEP * steps.take_while(|(one, other)| one == other).count();
        let rank = |byte: &u8| match byte {
            b'/' => 0,
            byte => u16::from(*byte) + 1,
        };
        let (one, other) = (one[same..].iter(), other[same..].iter());
        one.map(rank).cmp(other.map(rank))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for TreePath {
    type Err = TreePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for TreePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect(text)
    }

    #[test]
    fn hostile_names_are_refused_with_the_reason() {
        let cases = [
            ("", TreePathError::Empty),
            ("/etc/passwd", TreePathError::Absolute),
            ("a/../../b", TreePathError::Parent),
            ("a//b", TreePathError::NotNormal),
            ("./a", TreePathError::NotNormal),
            ("a/", TreePathError::NotNormal),
            ("a\0b", TreePathError::Nul),
        ];
        for (text, error) in cases {
            assert_eq!(TreePath::new(text), Err(error), "{text:?}");
        }
        assert_eq!(TreePath::from_bytes(b"\xff"), Err(TreePathError::NotUtf8));
        assert_eq!(TreePath::new(&"a".repeat(256)), Err(TreePathError::TooLong));
    }

    #[test]
    fn a_directory_sorts_before_its_content_and_its_content_together() {
        let mut paths = [path("a.b"), path("a/b"), path("a"), path("a-b")];
        paths.sort();
        assert_eq!(paths.map(|p| p.to_string()), ["a", "a/b", "a-b", "a.b"]);
    }

    #[test]
    fn links_resolve_by_text_and_never_leave_the_root() {
        assert_eq!(
            path("usr/lib/a.so").resolve_link("a.so.1"),
            Some(path("usr/lib/a.so.1"))
        );
        assert_eq!(
            path("usr/lib/a").resolve_link("../bin/x"),
            Some(path("usr/bin/x"))
        );
        assert_eq!(path("usr/a").resolve_link("/etc/x"), Some(path("etc/x")));
        assert_eq!(path("a").resolve_link("../x"), None);
        assert_eq!(path("a").resolve_link("."), None);
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_inside(text in "[a./\0-]{0,12}") {
            if let Ok(path) = TreePath::new(&text) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|part| !matches!(part, "" | "." | "..")));
                prop_assert!(path.ancestors().all(|a| path.is_under(a.as_str())));
            }
        }

        #[test]
        fn the_order_is_that_of_parts(
            begin in "[a/]{0,20}",
            one in "[ab!-]{1,3}(/[ab!.é-]{1,9}){0,3}",
            other in "[ab!-]{1,3}(/[ab!.é-]{1,9}){0,3}",
        ) {
            let path = |end: &str| TreePath::new(&format!("{begin}{end}")).ok();
            if let (Some(one), Some(other)) = (path(&one), path(&other)) {
                let parts = one.as_str().split('/').cmp(other.as_str().split('/'));
                prop_assert_eq!(one.cmp(&other), parts, "{} {}", one, other);
            }
        }
    }
}
