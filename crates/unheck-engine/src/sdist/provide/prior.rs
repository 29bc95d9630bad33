//! What Debian itself builds a distribution with: `Build-Depends` of its source package, reduced to
//! what a wheel can use.

use unheck_deb::relation::Relation;

use super::Providers;
use crate::close::World as _;
use crate::debian::{Source, normalised};

/// Packages that serve Debian's way of building, Python itself, tests or documentation. Each is the
/// beginning of a name.
const NOT_FOR_WHEELS: [(&str, &str); 13] = [
    ("debhelper", "Debian's build system"),
    ("dh-", "Debian's build system"),
    ("dpkg-dev", "Debian's build system"),
    ("devscripts", "Debian's build system"),
    ("pybuild-plugin-", "Debian's build system"),
    ("quilt", "Debian's patches"),
    (
        "python",
        "the build root has the target's interpreter, and other distributions come from the index",
    ),
    ("libpython", "the build root has the target's interpreter"),
    (
        "cython",
        "it comes from the index, in the version that the distribution declares",
    ),
    ("sphinx", "documentation"),
    ("doxygen", "documentation"),
    ("texlive", "documentation"),
    ("help2man", "documentation"),
];

/// What Debian builds a distribution with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    /// Debian's source package of the distribution.
    pub source: String,
    /// Packages of its Build-Depends that a wheel can use, each with the reason.
    pub packages: Vec<(String, String)>,
}

impl Providers<'_> {
    /// What Debian builds a distribution with; nothing where Debian does not have it, or where the
    /// Sources index cannot be used.
    ///
    /// The source package is the one of the binary package `python3-NAME` (Debian's Python policy,
    /// 4.3), else one of its name that builds a `python3-` package, else the one of the package
    /// that ships the distribution's metadata.
    pub fn prior(&self, distribution: &str) -> Option<Prior> {
        let source = self.source_of(&normalised(distribution))?;
        let mut packages: Vec<(String, String)> = source
            .build_depends
            .iter()
            .filter_map(|group| self.alternative(group))
            .filter(|package| self.is_for_wheels(package))
            .map(|package| (package, format!("Debian builds `{}` with it", source.name)))
            .collect();
        packages.sort();
        packages.dedup();
        Some(Prior {
            source: source.name,
            packages,
        })
    }

    fn source_of(&self, name: &str) -> Option<Source> {
        let sources = self.sources().ok()?;
        let bare = name.strip_prefix("python-").unwrap_or(name);
        let by_binary = |package: &str| {
            let listed = self.world.listed(package)?;
            sources.source(&listed.package.source.0)
        };
        let is_python = |source: &Source| {
            source
                .binaries
                .iter()
                .any(|binary| binary.starts_with("python3-"))
        };
        by_binary(&format!("python3-{bare}"))
            .or_else(|| {
                let names = [name.to_owned(), format!("python-{bare}"), bare.to_owned()];
                names
                    .iter()
                    .find_map(|name| sources.source(name).filter(is_python))
            })
            .or_else(|| {
                self.shipping(name)
                    .iter()
                    .find_map(|package| by_binary(package))
            })
    }

    /// Packages that ship the metadata of a distribution.
    fn shipping(&self, name: &str) -> Vec<String> {
        let Ok(own) = self.own() else {
            return self
                .stand_ins()
                .iter()
                .flat_map(|files| files.distribution(name))
                .collect();
        };
        own.distribution(name)
    }

    /// The first alternative that counts for this machine in a build without tests and
    /// documentation, and that the suite has.
    fn alternative(&self, group: &[Relation]) -> Option<String> {
        let architecture = self.platform.architecture();
        let counts = |relation: &&Relation| {
            relation.applies_to(architecture)
                && relation.active_with_profiles(&["nocheck", "nodoc"])
        };
        let found = group
            .iter()
            .filter(counts)
            .find(|relation| self.world.has(&relation.name))?;
        Some(found.name.clone())
    }

    /// Libraries to build with, and tools that are not Python's.
    fn is_for_wheels(&self, package: &str) -> bool {
        if NOT_FOR_WHEELS
            .iter()
            .any(|(beginning, _)| package.starts_with(beginning))
        {
            return false;
        }
        let section = self
            .world
            .describe(package)
            .map(|(section, _)| section)
            .unwrap_or_default();
        let section = section.rsplit('/').next().unwrap_or_default();
        let is_tool = self
            .world
            .listed(package)
            .is_some_and(|listed| listed.package.architecture != "all");
        package.ends_with("-dev")
            || section == "libdevel"
            || matches!(section, "devel" | "rust" | "interpreters") && is_tool
    }
}
