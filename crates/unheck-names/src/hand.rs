//! The hand-written table: facts that no index tells. Start at [`rows_for_module`] and [`rows_for_name`].

use std::sync::OnceLock;

use serde::Deserialize;

use crate::label::{Label, squash};

static ROWS: &str = include_str!("../rules/names.toml");

/// Most rows that the table may have: it is for what nothing else can tell.
pub const MAX_ROWS: usize = 60;

/// What a row says of the distributions it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Several builds or forks of one module.
    Variants,
    /// The name's own distribution is dead or renamed; these go on.
    Successor,
    /// The module is of this distribution.
    Provider,
    /// The index has a shim by this name.
    Shim,
    /// The index has a placeholder by this name.
    Placeholder,
}

/// One row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Import names, dotted prefixes.
    pub module: Vec<String>,
    /// Names of distributions, normalised.
    pub name: Vec<String>,
    /// The answer, best first; empty: nothing of the index should be installed.
    pub to: Vec<String>,
    /// What the row says.
    pub kind: Kind,
    /// Why.
    pub reason: String,
    /// Where it can be checked.
    pub link: String,
}

#[derive(Deserialize)]
struct Document {
    row: Vec<Row>,
}

/// All rows.
pub fn rows() -> &'static [Row] {
    static PARSED: OnceLock<Vec<Row>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let document: Document =
            toml::from_str(ROWS).expect("the shipped table is read by the tests");
        document.row
    })
}

/// The row of the longest dotted prefix of `module`, with that prefix.
pub fn rows_for_module(module: &str) -> Option<(&'static Row, &'static str)> {
    let fits = |prefix: &str| {
        module
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let all = rows()
        .iter()
        .flat_map(|row| row.module.iter().map(move |prefix| (row, prefix.as_str())));
    all.filter(|(_, prefix)| fits(prefix))
        .max_by_key(|(_, prefix)| prefix.len())
}

/// The row of exactly this module but for its case, with the module as it is spelled.
pub fn rows_for_module_in_any_case(module: &str) -> Option<(&'static Row, &'static str)> {
    let all = rows()
        .iter()
        .flat_map(|row| row.module.iter().map(move |name| (row, name.as_str())));
    let mut all = all.filter(|(_, name)| name.eq_ignore_ascii_case(module));
    all.next()
}

/// The row of a distribution's name or a loose name.
pub fn rows_for_name(label: &Label) -> Option<&'static Row> {
    let name = squash(&label.dotted());
    rows()
        .iter()
        .find(|row| row.name.iter().any(|its| squash(its) == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Context, normalize};

    #[test]
    fn rows_are_few_normalised_and_have_reasons() {
        let rows = rows();
        assert!(rows.len() <= MAX_ROWS, "{}", rows.len());
        for row in rows {
            assert!(
                !row.reason.is_empty() && row.link.starts_with("https://"),
                "{row:?}"
            );
            assert!(
                row.to
                    .iter()
                    .chain(&row.name)
                    .all(|name| *name == normalize(name)),
                "{row:?}"
            );
            assert!(!row.module.is_empty() || !row.name.is_empty());
        }
        let names: Vec<&String> = rows.iter().flat_map(|row| &row.name).collect();
        let once: std::collections::BTreeSet<&&String> = names.iter().collect();
        assert_eq!(names.len(), once.len(), "a name is in two rows");
    }

    #[test]
    fn the_longest_prefix_wins() {
        let (row, prefix) = rows_for_module("google.cloud.storage.blob").unwrap();
        assert_eq!(
            (row.to[0].as_str(), prefix),
            ("google-cloud-storage", "google.cloud.storage")
        );
        assert!(rows_for_module("cv2x").is_none() && rows_for_module("google").is_none());
        let label = Label::parse("Python OpenCV", Context::Text);
        assert_eq!(rows_for_name(&label).unwrap().to[0], "opencv-python");
    }
}
