//! Rules as data: `rules/imports.toml`. Start at [`all`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use unheck_base::TreePath;
use unheck_pyapi::{GraphRules, Ignore};

/// Every rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) start: Vec<Start>,
    pub(super) ignore: Vec<IgnoreRow>,
    pub(super) c: Vec<FromC>,
    pub(super) computed: Vec<ComputedRow>,
    pub(super) codec: Vec<Modules>,
    pub(super) word: Vec<Modules>,
    pub(super) file: Vec<FileRow>,
}

/// Modules that an interpreter imports by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub(super) id: String,
    pub(super) modules: Vec<String>,
    pub(super) reason: String,
}

/// Imports that are not needed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct IgnoreRow {
    pub(super) id: String,
    pub(super) from: String,
    pub(super) imports: BTreeSet<String>,
    #[serde(default)]
    pub(super) except: Vec<String>,
    #[serde(default)]
    pub(super) unless: BTreeSet<String>,
    #[serde(default)]
    pub(super) unless_outside: BTreeSet<String>,
    pub(super) reason: String,
}

/// What a module written in C imports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FromC {
    pub(super) id: String,
    pub(super) module: String,
    pub(super) imports: Vec<String>,
    pub(super) attribute: Option<String>,
    pub(super) reason: String,
}

/// What computed names can be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComputedRow {
    pub(super) id: String,
    pub(super) module: String,
    pub(super) means: Vec<String>,
    pub(super) reason: String,
}

/// Modules that something is true of: that they ask for codecs by names from outside, or that
/// their names are words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Modules {
    pub(super) id: String,
    pub(super) modules: Vec<String>,
    pub(super) reason: String,
}

/// Files that are kept only with what opens them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRow {
    pub(super) id: String,
    pub(super) globs: Globs,
    #[serde(default)]
    pub(super) modules: Vec<String>,
    #[serde(default)]
    pub(super) attributes: Vec<String>,
    #[serde(default)]
    pub(super) objects: Vec<String>,
    #[serde(default)]
    pub(super) sonames: Globs,
    pub(super) reason: String,
}

impl FileRow {
    /// Whether the rule means this file.
    pub(super) fn is_of(&self, path: &TreePath) -> bool {
        self.globs.set.is_match(path.as_str())
    }

    /// Whether a library of this name is one that opens the files.
    pub(super) fn is_opened_by(&self, library: &str) -> bool {
        self.sonames.set.is_match(library)
    }
}

/// Globs, compiled.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Vec<String>")]
pub(super) struct Globs {
    set: GlobSet,
    #[cfg(test)]
    pub(super) texts: Vec<String>,
}

impl From<Vec<String>> for Globs {
    fn from(texts: Vec<String>) -> Self {
        let mut set = GlobSetBuilder::new();
        for text in &texts {
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            set.add(glob.expect("the globs are compiled in and a test reads them"));
        }
        let set = set.build().expect("a few globs");
        Self {
            set,
            #[cfg(test)]
            texts,
        }
    }
}

const TEXT: &str = include_str!("../../../rules/imports.toml");

/// A digest over the rules.
pub(super) fn digest() -> unheck_base::Digest {
    unheck_base::Digest::of(TEXT.as_bytes())
}

/// The rules of the file.
pub(super) fn all() -> &'static Rules {
    static RULES: LazyLock<Rules> = LazyLock::new(|| {
        toml::from_str(TEXT).expect("the rules are compiled in and a test reads them")
    });
    &RULES
}

/// Why a rule is there, by its `id`.
pub fn reason(id: &str) -> Option<&'static str> {
    let rules = all();
    let rows = rules.start.iter().map(|row| (&row.id, &row.reason));
    let rows = rows
        .chain(rules.ignore.iter().map(|row| (&row.id, &row.reason)))
        .chain(rules.c.iter().map(|row| (&row.id, &row.reason)))
        .chain(rules.computed.iter().map(|row| (&row.id, &row.reason)))
        .chain(rules.codec.iter().map(|row| (&row.id, &row.reason)))
        .chain(rules.word.iter().map(|row| (&row.id, &row.reason)))
        .chain(rules.file.iter().map(|row| (&row.id, &row.reason)));
    rows.into_iter()
        .find(|(known, _)| *known == id)
        .map(|(_, reason)| reason.as_str())
}

/// The rules in the words of the graph.
pub(super) fn graph(built_in: BTreeSet<String>) -> GraphRules {
    let rules = all();
    let mut from_c: BTreeMap<String, Vec<(String, Option<String>)>> = BTreeMap::new();
    for row in &rules.c {
        let imports = row.imports.iter();
        from_c
            .entry(row.module.clone())
            .or_default()
            .extend(imports.map(|name| (name.clone(), row.attribute.clone())));
    }
    let ignore = rules.ignore.iter().map(|row| Ignore {
        from: row.from.clone(),
        imports: row.imports.clone(),
        except: row.except.clone(),
        unless: row.unless.clone(),
        unless_outside: row.unless_outside.clone(),
    });
    let computed = rules.computed.iter();
    GraphRules {
        ignore: ignore.collect(),
        from_c,
        computed: computed
            .map(|row| (row.module.clone(), row.means.clone()))
            .collect(),
        built_in,
    }
}
