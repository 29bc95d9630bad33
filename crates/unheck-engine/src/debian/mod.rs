//! Debian as the engine sees it: suites behind a mirror, packages looked into, paths normalised.
//!
//! Start at [`Suites::load`] (indexes, verified) and [`DebWorld`] (packages for the closure).

mod contents;
mod devfiles;
mod locked;
mod mirror;
mod naming;
mod packages;
mod sources;
mod suites;
mod table;
mod world;

use unheck_base::TreePath;

pub use contents::ContentsError;
pub use devfiles::DevFiles;
pub(crate) use devfiles::normalised;
pub use locked::{Chain, ChainError, ChainFile, verify_chain};
pub use mirror::{Mirror, MirrorError};
pub use sources::{Source, Sources};
pub use suites::{Listed, Suites, SuitesError, SuitesRequest};
pub use world::{DebWorld, WorldError, deb_pack, deb_pack_key};
pub(crate) use world::{expect_identity, work_while_fetching};

/// Directories at the top that are links into `usr` since the merge (Debian 12, `usrmerge`).
pub const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// The path that a file of a package has once `bin`, `lib`, `lib64` and `sbin` are links.
pub fn usrmerge(path: &TreePath) -> TreePath {
    let merged = MERGED
        .iter()
        .any(|top| path.is_under(top) && path.as_str() != *top);
    if merged {
        TreePath::new(&format!("usr/{path}")).unwrap_or_else(|_| path.clone())
    } else {
        path.clone()
    }
}

/// Files of a package that document it or serve tools of the packaging system; licences
/// (`copyright`) are kept, because whoever distributes the files must distribute them too.
pub fn is_documentation(path: &TreePath) -> bool {
    const DOCUMENTATION: &[&str] = &[
        "usr/share/doc",
        "usr/share/man",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/bug",
        "usr/share/doc-base",
        "usr/share/menu",
        "usr/share/applications",
        "usr/share/pixmaps",
        "usr/share/binfmts",
        "usr/share/locale",
        "usr/share/gtk-doc",
        "usr/share/help",
        "usr/share/metainfo",
        "usr/share/reportbug",
        "usr/share/bash-completion",
        "usr/share/zsh",
        "usr/include",
        "usr/lib/binfmt.d",
        "usr/share/pkgconfig",
        "usr/share/aclocal",
        "usr/share/apport",
    ];
    !is_licence(path)
        && DOCUMENTATION
            .iter()
            .any(|directory| path.is_under(directory))
}

/// The licence of a package.
pub fn is_licence(path: &TreePath) -> bool {
    path.file_name() == "copyright" && path.is_under("usr/share/doc")
}

/// `major.minor` of a glibc, from `2.41` or the Debian version `2.41-12+deb13u4`.
pub fn parse_glibc(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_directories_are_followed_and_others_left() {
        let merged = |text: &str| usrmerge(&TreePath::new(text).expect("path")).to_string();
        assert_eq!(
            merged("lib/x86_64-linux-gnu/libc.so.6"),
            "usr/lib/x86_64-linux-gnu/libc.so.6"
        );
        assert_eq!(merged("lib64/ld.so"), "usr/lib64/ld.so");
        assert_eq!(merged("library/x"), "library/x");
        assert_eq!(merged("usr/lib/x"), "usr/lib/x");
        assert_eq!(merged("lib"), "lib");
    }

    #[test]
    fn glibc_versions_are_read_from_both_forms() {
        assert_eq!(parse_glibc("2.41"), Some((2, 41)));
        assert_eq!(parse_glibc("2.41-12+deb13u4"), Some((2, 41)));
        assert_eq!(parse_glibc("x"), None);
    }

    #[test]
    fn licences_are_no_documentation() {
        let path = |text: &str| TreePath::new(text).expect("path");
        assert!(is_documentation(&path("usr/share/doc/x/changelog.gz")));
        assert!(!is_documentation(&path("usr/share/doc/x/copyright")));
        assert!(!is_documentation(&path("usr/lib/x.so")));
    }
}
