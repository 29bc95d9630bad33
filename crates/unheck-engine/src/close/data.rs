//! Data files that a library opens by path, found by what its package depends on.

use std::collections::BTreeSet;

use unheck_base::TreePath;

use super::{CloseError, Closer, DebFacts, DebFile, DebUse, World, rules};

/// Largest archive that is looked into for being pure data.
const MAX_DATA_DEB: u64 = 16 << 20;

/// Sections whose packages are tools, never the data of a library.
const TOOL_SECTIONS: &[&str] = &[
    "admin", "perl", "python", "utils", "oldlibs", "shells", "devel", "debug",
];

impl<W: World> Closer<'_, W> {
    /// Ships packages of pure data that shipped libraries depend on; `true` when one was added.
    ///
    /// A library's package depends on what the library cannot do without (Policy 7.2): where
    /// that is neither program nor library, it is files that the library opens.
    pub(super) fn data_packages(&mut self) -> Result<bool, CloseError<W::Error>> {
        let by_rule: BTreeSet<&String> = rules::all()
            .iter()
            .flat_map(|rule| &rule.files)
            .flat_map(|file| &file.packages)
            .collect();
        let mut wanted: Vec<(String, String)> = Vec::new();
        for (package, using) in &self.closure.debs {
            // The interpreter's own data is in the rules, by file.
            if using.base || self.request.interpreter.contains(package) {
                continue;
            }
            for group in self.world.depends(package) {
                if group
                    .iter()
                    .any(|name| self.closure.debs.contains_key(name))
                {
                    continue;
                }
                let Some(name) = self.first(&group) else {
                    continue;
                };
                if !by_rule.contains(&name) && self.may_be_data(&name) {
                    wanted.push((name, package.clone()));
                }
            }
        }
        let names: BTreeSet<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
        self.world.prepare(&names)?;
        let mut added = false;
        for (name, package) in wanted {
            let facts = self.learn(&name)?;
            if self.closure.debs.contains_key(&name) || !is_pure_data(&facts) {
                continue;
            }
            let using = DebUse {
                base: false,
                reason: format!("data of {package} (Depends)"),
                whole: true,
                files: Default::default(),
            };
            self.closure.debs.insert(name, using);
            added = true;
        }
        Ok(added)
    }

    fn may_be_data(&self, package: &str) -> bool {
        self.world.describe(package).is_some_and(|(section, size)| {
            size <= MAX_DATA_DEB
                && !TOOL_SECTIONS.contains(&section.rsplit('/').next().unwrap_or(&section))
        })
    }
}

/// No program, no library, nothing that another language or an init system reads; but something.
fn is_pure_data(facts: &DebFacts) -> bool {
    const TOOLS: &[&str] = &[
        "usr/bin",
        "usr/sbin",
        "usr/games",
        "usr/lib/python3",
        "usr/share/perl5",
        "usr/lib/systemd",
        "etc/init.d",
        "usr/include",
    ];
    let tool = |path: &TreePath| TOOLS.iter().any(|directory| path.is_under(directory));
    let mut useful = false;
    for (path, file) in &facts.files {
        if matches!(file, DebFile::Elf(_)) || tool(path) {
            return false;
        }
        useful |= !crate::debian::is_documentation(path) && !crate::debian::is_licence(path);
    }
    useful
}
