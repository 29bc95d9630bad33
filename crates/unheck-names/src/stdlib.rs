//! The standard library of the supported Pythons, with what was removed from it and what carries it on.
//!
//! Start at [`module`].

use std::cmp::Ordering;

/// See its first lines for the form and the sources.
static MODULES: &str = include_str!("../data/stdlib.txt");

/// The oldest and the newest version that the table knows; others are taken for the nearest.
pub const VERSIONS: ((u8, u8), (u8, u8)) = ((3, 9), (3, 14));

/// A top-level module of the standard library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StdModule {
    /// Its name.
    pub name: &'static str,
    /// The first version that has it; `None`: all that the table knows.
    pub since: Option<(u8, u8)>,
    /// The last version that has it; `None`: it is still there.
    pub until: Option<(u8, u8)>,
    /// The distribution that carries it on.
    pub successor: Option<&'static str>,
    /// Why it was removed, and what to use instead; may be empty.
    pub note: &'static str,
}

impl StdModule {
    /// Whether this version of Python has it.
    pub fn is_in(&self, python: (u8, u8)) -> bool {
        self.since.is_none_or(|since| since <= python)
            && self.until.is_none_or(|until| python <= until)
    }
}

/// The module of this top-level name, in whichever version it is or was.
pub fn module(name: &str) -> Option<StdModule> {
    modules().find(|module| module.name.cmp(name) == Ordering::Equal)
}

/// All of them, by name.
pub fn modules() -> impl Iterator<Item = StdModule> {
    let lines = MODULES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let mut words = line.splitn(5, ' ');
        let mut next = || words.next().filter(|word| *word != "-");
        StdModule {
            name: next().unwrap_or_default(),
            since: next().and_then(version),
            until: next().and_then(version),
            successor: next(),
            note: next().unwrap_or_default(),
        }
    })
}

fn version(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_and_go_with_versions() {
        let imp = module("imp").unwrap();
        assert!(imp.is_in((3, 11)) && !imp.is_in((3, 12)) && imp.successor.is_none());
        let cgi = module("cgi").unwrap();
        assert_eq!(
            (cgi.until, cgi.successor),
            (Some((3, 12)), Some("legacy-cgi"))
        );
        let tomllib = module("tomllib").unwrap();
        assert!(!tomllib.is_in((3, 10)) && tomllib.is_in((3, 14)));
        assert!(module("os").unwrap().is_in((3, 14)));
        assert!(module("numpy").is_none() && module("").is_none());
    }

    #[test]
    fn every_line_is_well_formed_and_sorted() {
        let all: Vec<StdModule> = modules().collect();
        assert!(all.len() > 200);
        assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
        for module in all {
            assert!(crate::label::is_module(module.name), "{module:?}");
            assert_eq!(
                module.until.is_some(),
                !module.note.is_empty(),
                "{module:?}"
            );
            let known = |version: Option<(u8, u8)>| {
                version.is_none_or(|version| (VERSIONS.0..=VERSIONS.1).contains(&version))
            };
            assert!(known(module.since) && known(module.until), "{module:?}");
        }
    }
}
