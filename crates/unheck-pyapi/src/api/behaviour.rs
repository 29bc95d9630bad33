//! Changes of behaviour that no source comparison shows and that are well known: the same call,
//! another result. They are data, in `rules/behaviour.toml`, and never a proof. Start at
//! [`behaviours`].

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde::Deserialize;

use super::tree::Tree;
use super::uses::{Code, Tier, Use, touched};

/// One known change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Stable name.
    pub id: String,
    /// The normalised name of the distribution.
    pub distribution: String,
    /// The first version with the new behaviour.
    pub since: String,
    /// The API: a dotted name; `x.*` for all below it; empty for the distribution as a whole.
    pub api: String,
    /// Of what is below `api`, the last parts of the names that are meant; all where empty.
    #[serde(default)]
    pub names: Vec<String>,
    /// What is different, in one line.
    pub what: String,
    /// Where the project says so.
    pub link: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    behaviour: Vec<Behaviour>,
}

static RULES: LazyLock<Vec<Behaviour>> = LazyLock::new(|| {
    let file = toml::from_str::<File>(include_str!("../../rules/behaviour.toml"));
    file.map(|file| file.behaviour).unwrap_or_default()
});

/// All known changes, in the order of their file.
pub fn known_behaviours() -> &'static [Behaviour] {
    &RULES
}

/// The known changes between two versions of a distribution, by its normalised name. Versions are
/// compared by the numbers of their release part (PEP 440), which is what the rules are about.
pub fn behaviours(distribution: &str, old: &str, new: &str) -> Vec<&'static Behaviour> {
    let between = |rule: &&Behaviour| {
        rule.distribution == distribution
            && release_order(old, &rule.since) == Ordering::Less
            && release_order(new, &rule.since) != Ordering::Less
    };
    RULES.iter().filter(between).collect()
}

/// The lines of the code that use what a known change is about. Rules about a distribution as a
/// whole name no line and are not here.
pub fn behaviour_uses(code: &Code, tree: &Tree, rules: &[&Behaviour]) -> Vec<Use> {
    let mut uses = Vec::new();
    if rules.is_empty() {
        return uses;
    }
    for (file, line, api) in touched(code, tree) {
        let about = rules.iter().filter(|rule| rule.is_about(&api));
        uses.extend(about.map(|rule| Use {
            file: file.clone(),
            line,
            api: api.clone(),
            tier: Tier::Behaviour,
            what: rule.what.clone(),
            advice: Some(rule.link.clone()),
        }));
    }
    uses.sort();
    uses
}

impl Behaviour {
    /// Whether it is about an API.
    pub fn is_about(&self, api: &str) -> bool {
        match self.api.strip_suffix(".*") {
            Some(above) => {
                let last = api.rsplit('.').next().unwrap_or(api);
                let named = self.names.is_empty() || self.names.iter().any(|name| name == last);
                let below = api.strip_prefix(above);
                named && below.is_some_and(|rest| rest.starts_with('.'))
            }
            None => self.api == api,
        }
    }
}

/// Compares release parts: `1.10` is above `1.9`, `2.0` equals `2`. A pre-release of a version
/// (`2.0rc1`, `2.0.dev1`) is below it.
fn release_order(left: &str, right: &str) -> Ordering {
    let (left, right) = (release(left), release(right));
    let length = left.0.len().max(right.0.len());
    let part = |numbers: &[u64], at: usize| numbers.get(at).copied().unwrap_or(0);
    let order = (0..length)
        .map(|at| part(&left.0, at).cmp(&part(&right.0, at)))
        .find(|order| *order != Ordering::Equal);
    order.unwrap_or_else(|| right.1.cmp(&left.1))
}

/// The numbers of the release part, and whether a pre-release follows.
fn release(version: &str) -> (Vec<u64>, bool) {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let version = version.split_once('!').map_or(version, |(_, rest)| rest);
    let end = version
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let numbers = numbers
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    let rest = rest.to_ascii_lowercase();
    let is_pre = [
        "a", "b", "c", "rc", "dev", "alpha", "beta", "pre", "_dev", "-",
    ]
    .iter()
    .any(|mark| rest.starts_with(mark))
        && !rest.starts_with("post");
    (numbers, is_pre)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_release() {
        for (left, right, expected) in [
            ("1.9", "1.10", Ordering::Less),
            ("2", "2.0.0", Ordering::Equal),
            ("2.0rc1", "2.0", Ordering::Less),
            ("2.0.dev3", "2.0", Ordering::Less),
            ("2.0.post1", "2.0", Ordering::Equal),
            ("v2.1", "2.0", Ordering::Greater),
            ("nonsense", "0.1", Ordering::Less),
        ] {
            assert_eq!(release_order(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn rules_are_complete_and_unique() {
        let mut ids: Vec<&str> = known_behaviours()
            .iter()
            .map(|rule| rule.id.as_str())
            .collect();
        assert!(ids.len() >= 50, "{}", ids.len());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), known_behaviours().len());
        for rule in known_behaviours() {
            assert!(rule.link.starts_with("https://"), "{}", rule.id);
            assert!(
                rule.what.len() > 20 && !rule.since.is_empty(),
                "{}",
                rule.id
            );
            let name = &rule.distribution;
            assert_eq!(*name, name.to_lowercase().replace(['_', '.'], "-"));
        }
    }

    #[test]
    fn a_step_over_the_version_shows_the_rule() {
        let ids = |old, new| -> Vec<&str> {
            let found = behaviours("pandas", old, new);
            found.iter().map(|rule| rule.id.as_str()).collect()
        };
        assert!(ids("1.5.3", "2.2.3").contains(&"pandas-numeric-only"));
        assert!(
            ids("2.0.0", "2.2.3")
                .iter()
                .all(|id| *id != "pandas-numeric-only")
        );
        assert!(behaviours("nobody", "1", "2").is_empty());
    }

    #[test]
    fn a_rule_may_mean_a_few_names_below_another() {
        let mut rules = known_behaviours().iter();
        let rule = rules.find(|rule| rule.id == "pandas-numeric-only");
        let rule = rule.expect("the rule");
        assert!(rule.is_about("pandas.DataFrame.mean"));
        for other in ["merge", "mean.x", "to_csv"] {
            assert!(
                !rule.is_about(&format!("pandas.DataFrame.{other}")),
                "{other}"
            );
        }
        assert!(!rule.is_about("pandas.Series.mean"));
    }
}
