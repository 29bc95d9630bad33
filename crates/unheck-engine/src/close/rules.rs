//! Rules as data: what needed names do not tell. The file is `rules/native.toml`.

use std::sync::LazyLock;

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use unheck_base::TreePath;

/// One rule of the file, ready to be asked.
#[derive(Debug)]
pub struct Rule {
    /// Stable name.
    pub id: String,
    /// When it applies.
    pub when: When,
    /// A distribution whose presence switches it off.
    pub unless_distribution: Option<String>,
    /// Applies only below this glibc.
    pub glibc_below: Option<(u32, u32)>,
    /// Sonames that must be found.
    pub sonames: Vec<String>,
    /// Files of packages that must ship.
    pub files: Vec<FileRule>,
    /// Why, for people.
    pub reason: String,
}

/// When a rule applies.
#[derive(Debug)]
pub enum When {
    /// With every Python.
    Interpreter,
    /// When shipped source imports this module.
    Import(String),
    /// When a library of a matching name ships.
    Soname(GlobMatcher),
    /// When a shipped object takes this symbol from another.
    Symbol(String),
}

/// Files of one package.
#[derive(Debug)]
pub struct FileRule {
    /// The first of these that the suite has is meant.
    pub packages: Vec<String>,
    /// Which files, `{triplet}` not replaced.
    globs: Vec<String>,
}

impl FileRule {
    /// Those of `files` that the rule means.
    pub fn among<'f>(
        &self,
        files: impl Iterator<Item = &'f TreePath>,
        triplet: &str,
    ) -> Vec<TreePath> {
        let globs = self.globs.iter();
        let globs: Vec<GlobMatcher> = globs
            .map(|text| glob(&text.replace("{triplet}", triplet)))
            .collect();
        files
            .filter(|path| globs.iter().any(|glob| glob.is_match(path.as_str())))
            .cloned()
            .collect()
    }
}

/// Every rule, in the order of the file.
pub fn all() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let file: File = toml::from_str(include_str!("../../rules/native.toml"))
            .expect("the rules are compiled in and a test reads them");
        file.rule.into_iter().map(Rule::from).collect()
    });
    &RULES
}

#[derive(Deserialize)]
struct File {
    rule: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    when: String,
    unless: Option<String>,
    glibc: Option<String>,
    #[serde(default)]
    sonames: Vec<String>,
    #[serde(default)]
    files: Vec<FileRow>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRow {
    package: Vec<String>,
    globs: Vec<String>,
}

impl From<Row> for Rule {
    fn from(row: Row) -> Self {
        let when = match row.when.split_once(':') {
            None if row.when == "interpreter" => When::Interpreter,
            Some(("import", name)) => When::Import(name.to_owned()),
            Some(("soname", name)) => When::Soname(glob(name)),
            Some(("imports", name)) => When::Symbol(name.to_owned()),
            _ => panic!("rule `{}` has no such condition: `{}`", row.id, row.when),
        };
        let glibc_below = row.glibc.map(|text| {
            text.strip_prefix('<')
                .and_then(crate::debian::parse_glibc)
                .unwrap_or_else(|| panic!("rule `{}` has no such glibc: `{text}`", row.id))
        });
        Self {
            unless_distribution: row.unless.map(|text| {
                text.strip_prefix("distribution:")
                    .unwrap_or(&text)
                    .to_owned()
            }),
            files: row
                .files
                .into_iter()
                .map(|row| FileRule {
                    packages: row.package,
                    globs: row.globs,
                })
                .collect(),
            id: row.id,
            when,
            glibc_below,
            sonames: row.sonames,
            reason: row.reason,
        }
    }
}

fn glob(text: &str) -> GlobMatcher {
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .expect("the globs are compiled in and a test reads them")
        .compile_matcher()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_read_and_says_why() {
        let rules = all();
        assert!(rules.len() > 5);
        for rule in rules {
            assert!(!rule.reason.is_empty(), "{}", rule.id);
            assert!(
                !rule.sonames.is_empty() || !rule.files.is_empty(),
                "{}",
                rule.id
            );
            for file in &rule.files {
                let none = [TreePath::new("no/such").expect("path")];
                assert!(file.among(none.iter(), "t").is_empty(), "{}", rule.id);
            }
        }
        let mut ids: Vec<_> = rules.iter().map(|rule| &rule.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), rules.len());
    }

    #[test]
    fn globs_match_whole_paths_and_the_triplet_is_filled_in() {
        let rule = all()
            .iter()
            .find(|rule| rule.id == "character-sets")
            .expect("rule");
        let path = |text: &str| TreePath::new(text).expect("path");
        let matches = |text: &str| {
            let found = rule.files[0].among([path(text)].iter(), "x86_64-linux-gnu");
            !found.is_empty()
        };
        assert!(matches("usr/lib/x86_64-linux-gnu/gconv/UTF-16.so"));
        assert!(!matches("usr/lib/x86_64-linux-gnu/gconv/BIG5.so"));
        assert!(!matches("usr/lib/aarch64-linux-gnu/gconv/UTF-16.so"));
    }
}
