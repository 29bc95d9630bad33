//! Which package has a file that builds look for: a table made from Contents indexes.
//!
//! Headers, libraries as linkers want them, modules of pkg-config, packages of CMake, programs, and
//! the metadata of Python distributions.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use unheck_base::{Digest, TreePath};
use unheck_store::{Store, StoreError};

use super::contents::ContentsError;
use super::table::Table;
use super::usrmerge;

/// Raised whenever the table of the same index would differ.
const VERSION: &str = "devfiles 1";

/// Where Debian keeps the modules of Python 3.
const DIST_PACKAGES: &str = "usr/lib/python3/dist-packages/";

/// Lines of `file name TAB directory TAB package`.
#[derive(Debug, Clone, Default)]
pub struct DevFiles(Table);

impl DevFiles {
    /// The table of a Contents index that is in the store, made once per index.
    pub(super) fn load(store: &Store, digest: Digest) -> Result<Self, ContentsError> {
        let read = |source| match store.verify(&digest) {
            Err(damage @ StoreError::Corrupt(_)) => ContentsError::Store(damage),
            _ => ContentsError::Read { digest, source },
        };
        let table = Table::derived(store, ("devfiles", VERSION), digest, || {
            let blob = store.open_verified(&digest)?;
            let reader = unheck_deb::contents::decompress("Contents.gz", blob)
                .map_err(|error| read(std::io::Error::other(error)))?;
            let mut lines = BTreeSet::new();
            unheck_deb::contents::contents(reader, |path, packages| {
                add(&mut lines, path, packages);
                ControlFlow::Continue(())
            })
            .map_err(|error| read(std::io::Error::other(error)))?;
            Ok::<_, ContentsError>(lines)
        })?;
        Ok(Self(table))
    }

    /// Paths and packages of the files of this name.
    pub fn named(&self, file_name: &str) -> Vec<(TreePath, String)> {
        let prefix = format!("{file_name}\t");
        let found = self.0.beginning(&prefix).filter_map(|line| {
            let mut fields = line.split('\t').skip(1);
            let (directory, package) = (fields.next()?, fields.next()?);
            let path = TreePath::new(&format!("{directory}/{file_name}")).ok()?;
            Some((path, package.to_owned()))
        });
        found.collect()
    }

    /// Packages that ship the metadata of a distribution (normalised name, PEP 503).
    pub fn distribution(&self, name: &str) -> Vec<String> {
        let prefix = format!("{name}.dist-info\t");
        let lines = self.0.beginning(&prefix);
        lines
            .filter_map(|line| line.rsplit('\t').next().map(str::to_owned))
            .collect()
    }
}

fn add<'p>(lines: &mut BTreeSet<String>, path: &str, packages: impl Iterator<Item = &'p str>) {
    let entry = match distribution(path) {
        Some(name) => Some((
            format!("{name}.dist-info"),
            DIST_PACKAGES.trim_end_matches('/').to_owned(),
        )),
        None => wanted(path),
    };
    let Some((name, directory)) = entry else {
        return;
    };
    for package in packages {
        lines.insert(format!("{name}\t{directory}\t{package}"));
    }
}

/// Name and directory of a file that a build may look for.
fn wanted(path: &str) -> Option<(String, String)> {
    const TOPS: [&str; 6] = ["usr/", "bin/", "sbin/", "lib/", "lib64/", "./usr/"];
    if !TOPS.iter().any(|top| path.starts_with(top)) || path.contains('\t') {
        return None;
    }
    let path = usrmerge(&TreePath::new(path.trim_start_matches("./")).ok()?);
    let (directory, name) = path.as_str().rsplit_once('/')?;
    is_wanted(directory, name).then(|| (name.to_owned(), directory.to_owned()))
}

fn is_wanted(directory: &str, name: &str) -> bool {
    match directory {
        "usr/bin" | "usr/sbin" => true,
        _ if directory == "usr/include" || directory.starts_with("usr/include/") => true,
        // Cross compilers have a copy of everything for each machine.
        _ if directory.starts_with("usr/lib/gcc-cross/") || directory.contains("/debug/") => false,
        _ if directory.ends_with("/pkgconfig") => name.ends_with(".pc"),
        _ if name.ends_with(".cmake") => {
            name.ends_with("Config.cmake") || name.ends_with("-config.cmake")
        }
        _ if directory.starts_with("usr/lib") => {
            name.starts_with("lib") && (name.ends_with(".so") || name.ends_with(".a"))
        }
        _ => false,
    }
}

/// The normalised name of the distribution whose metadata a path belongs to: the one file that
/// every `.dist-info` and `.egg-info` directory has, or the file that old ones are.
fn distribution(path: &str) -> Option<String> {
    let rest = path.strip_prefix(DIST_PACKAGES)?;
    let directory = match rest.split_once('/') {
        Some((directory, "METADATA" | "PKG-INFO")) => directory,
        None => rest,
        _ => return None,
    };
    let stem = directory
        .strip_suffix(".dist-info")
        .or(directory.strip_suffix(".egg-info"))?;
    let name = stem.split('-').next().unwrap_or(stem);
    (!name.is_empty()).then(|| normalised(name))
}

/// A distribution's name as indexes compare it (PEP 503).
pub(crate) fn normalised(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            c => text.push(c.to_ascii_lowercase()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_look_for_is_kept_and_the_rest_is_not() {
        let mut lines = BTreeSet::new();
        for path in [
            "usr/include/libxml2/libxml/parser.h",
            "usr/bin/pg_config",
            "sbin/ldconfig",
            "lib/x86_64-linux-gnu/libz.a",
            "usr/lib/x86_64-linux-gnu/libpq.so",
            "usr/lib/x86_64-linux-gnu/libpq.so.5",
            "usr/share/pkgconfig/xproto.pc",
            "usr/lib/cmake/fmt/fmt-config.cmake",
            "usr/share/doc/x/README",
            "usr/lib/gcc-cross/a/11/libgcc.a",
            "usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info/METADATA",
            "usr/lib/python3/dist-packages/mysqlclient-2.1.egg-info/PKG-INFO",
            "usr/lib/python3/dist-packages/mysqlclient-2.1.egg-info/top_level.txt",
            "etc/x.pc",
        ] {
            add(&mut lines, path, ["p"].into_iter());
        }
        let names: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split('\t').next())
            .collect();
        assert_eq!(
            names,
            [
                "fmt-config.cmake",
                "foo-bar.dist-info",
                "ldconfig",
                "libpq.so",
                "libz.a",
                "mysqlclient.dist-info",
                "parser.h",
                "pg_config",
                "xproto.pc"
            ]
        );
        assert!(lines.contains("ldconfig\tusr/sbin\tp"));
    }
}
