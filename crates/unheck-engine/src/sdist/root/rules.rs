//! Rules as data: what a build root has besides dependencies. The file is `rules/buildroot.toml`.

use std::sync::LazyLock;

use serde::Deserialize;
use unheck_base::TreePath;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    /// Packages of every root.
    pub(super) base: Vec<Base>,
    /// Packages that count as installed.
    pub(super) without: Vec<Without>,
    /// Directories that are left out.
    skip: Vec<Skip>,
    /// Links that maintainer scripts would have made.
    pub(super) link: Vec<Link>,
}

/// A package of every root.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Base {
    /// The first that the suite has is meant.
    pub(super) package: Vec<String>,
    /// Only with Debian's interpreter.
    #[serde(default)]
    pub(super) python: bool,
    /// Only with a Python before this one.
    pub(super) below: Option<String>,
    /// No error where the suite has none.
    #[serde(default)]
    pub(super) if_any: bool,
    /// Why, for people who read the file.
    #[serde(rename = "reason")]
    _reason: String,
}

/// A package that counts as installed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Without {
    pub(super) package: String,
    #[serde(rename = "reason")]
    _reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    directory: String,
    #[serde(rename = "reason")]
    _reason: String,
}

/// A link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    /// Its path, `{triplet}` not replaced.
    pub(super) link: String,
    /// What it may lead to, the preferred first.
    pub(super) to: Vec<String>,
    #[serde(rename = "reason")]
    _reason: String,
}

/// The text of the file: what a root is made of follows from it.
pub(super) const TEXT: &str = include_str!("../../../rules/buildroot.toml");

/// The rules.
pub(super) fn all() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        toml::from_str(TEXT).expect("the rules are compiled in and a test reads them")
    });
    &RULES
}

impl Rules {
    /// Whether no build opens what is at this path.
    pub(super) fn skips(&self, path: &TreePath) -> bool {
        self.skip.iter().any(|skip| path.is_under(&skip.directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_reason_and_a_path_that_is_one() {
        let rules = all();
        let reasons = (rules.base.iter().map(|row| &row._reason))
            .chain(rules.without.iter().map(|row| &row._reason))
            .chain(rules.skip.iter().map(|row| &row._reason))
            .chain(rules.link.iter().map(|row| &row._reason));
        assert!(reasons.into_iter().all(|reason| !reason.is_empty()));
        for row in &rules.link {
            for path in row.to.iter().chain([&row.link]) {
                let path = path.replace("{triplet}", "x86_64-linux-gnu");
                assert_eq!(TreePath::new(&path).expect("path").as_str(), path);
            }
        }
    }

    #[test]
    fn documentation_is_skipped_and_headers_are_not() {
        let skips = |text: &str| all().skips(&TreePath::new(text).expect("path"));
        assert!(skips("usr/share/doc/x/copyright"));
        assert!(!skips("usr/include/x.h"));
        assert!(!skips("usr/share/pkgconfig/x.pc"));
        assert!(!skips("usr/share/aclocal/x.m4"));
    }
}
