//! How a project numbers its versions, guessed from all of them, with the reason. Start at [`scheme`].

use pep440_rs::Version;
use serde::Serialize;

/// Fewer final versions than these say nothing.
const FEW: usize = 3;

/// A scheme and why it is thought to be that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheme {
    /// Which.
    pub kind: SchemeKind,
    /// The counts behind it.
    pub why: String,
}

/// A way to number versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemeKind {
    /// Three numbers, and higher ones reset the lower ones. Says nothing about whether breaks are kept
    /// to the first.
    Semver,
    /// The first number is a year.
    Calver,
    /// The first number is 0.
    Zerover,
    /// None of these, or too few versions.
    Other,
}

/// Guesses the scheme of versions, sorted by version, each with its upload time (RFC 3339).
pub fn scheme(versions: &[(&Version, Option<&str>)]) -> Scheme {
    let finals: Vec<&(&Version, Option<&str>)> = versions
        .iter()
        .filter(|(version, _)| !version.any_prerelease() && !version.is_post())
        .collect();
    let all = finals.len();
    let of = |kind, why: String| Scheme { kind, why };
    if all < FEW {
        return of(
            SchemeKind::Other,
            format!(
                "{all} final version{} say nothing",
                if all == 1 { "" } else { "s" }
            ),
        );
    }
    // What is done now counts, not what was done before a change of mind: the newer half.
    let recent = &finals[all / 2..];
    let years = recent
        .iter()
        .filter(|(version, uploaded)| is_year(version, *uploaded))
        .count();
    if years * 10 >= recent.len() * 8 {
        return of(
            SchemeKind::Calver,
            format!(
                "the first number is the year of upload in {years} of the last {} final versions",
                recent.len()
            ),
        );
    }
    if first(finals[all - 1].0) == 0 {
        return of(
            SchemeKind::Zerover,
            format!(
                "the highest of {all} final versions is {}: nothing is promised below 1",
                finals[all - 1].0
            ),
        );
    }
    let three = recent
        .iter()
        .filter(|(version, _)| version.release().len() == 3)
        .count();
    let steps = recent.windows(2);
    let regular = steps
        .filter(|pair| is_regular(pair[0].0, pair[1].0))
        .count();
    let steps = recent.len().saturating_sub(1);
    let why = format!(
        "{three} of the last {} final versions have three numbers, {regular} of {steps} steps raise one of them and reset the lower ones",
        recent.len()
    );
    let is = three * 10 >= recent.len() * 9 && regular * 10 >= steps * 8;
    of(
        if is {
            SchemeKind::Semver
        } else {
            SchemeKind::Other
        },
        why,
    )
}

fn first(version: &Version) -> u64 {
    version.release().first().copied().unwrap_or(0)
}

/// Whether the first number is the year of upload, in four digits or two, give or take a year.
fn is_year(version: &Version, uploaded: Option<&str>) -> bool {
    let first = first(version);
    let year = uploaded
        .and_then(|text| text.get(..4))
        .and_then(|year| year.parse::<u64>().ok());
    match (first, year) {
        (1990..=2100, None) => true,
        (1990..=2100, Some(year)) => first.abs_diff(year) <= 1,
        // Two digits alone prove nothing: pip 21 was of 2021, but setuptools 65 of 2022.
        (10..=99, Some(year)) => (first + 2000).abs_diff(year) <= 1,
        _ => false,
    }
}

/// Whether a step raises one number by any amount and sets the lower ones to zero.
fn is_regular(old: &Version, new: &Version) -> bool {
    let part = |version: &Version, at: usize| version.release().get(at).copied().unwrap_or(0);
    let Some(at) = (0..3).find(|at| part(old, *at) != part(new, *at)) else {
        return false;
    };
    (at + 1..3).all(|lower| part(new, lower) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(rows: &[(&str, &str)]) -> SchemeKind {
        let parsed: Vec<(Version, &str)> = rows
            .iter()
            .map(|(version, day)| (version.parse().unwrap(), *day))
            .collect();
        let rows: Vec<(&Version, Option<&str>)> = parsed
            .iter()
            .map(|(version, day)| (version, Some(*day).filter(|day| !day.is_empty())))
            .collect();
        let scheme = scheme(&rows);
        assert!(!scheme.why.is_empty());
        scheme.kind
    }

    #[test]
    fn schemes_are_told_by_their_versions() {
        assert_eq!(
            kind(&[
                ("1.0.0", ""),
                ("1.0.1", ""),
                ("1.1.0", ""),
                ("2.0.0", ""),
                ("2.0.1", "")
            ]),
            SchemeKind::Semver
        );
        assert_eq!(
            kind(&[
                ("21.1", "2021-04-24"),
                ("22.0", "2022-01-30"),
                ("23.1.2", "2023-04-26"),
                ("24.0", "2024-02-03")
            ]),
            SchemeKind::Calver
        );
        assert_eq!(
            kind(&[("2023.5.7", ""), ("2024.2.2", ""), ("2024.6.2", "")]),
            SchemeKind::Calver
        );
        assert_eq!(
            kind(&[
                ("63.0.0", "2022-07-04"),
                ("64.0.0", "2022-08-11"),
                ("65.0.0", "2022-08-20"),
                ("65.0.1", "2022-08-22")
            ]),
            SchemeKind::Semver
        );
        assert_eq!(
            kind(&[("0.1", ""), ("0.2", ""), ("0.110.0", "")]),
            SchemeKind::Zerover
        );
        assert_eq!(
            kind(&[("1.1", ""), ("1.3.7", ""), ("2.5", ""), ("3.4.1.9", "")]),
            SchemeKind::Other
        );
        assert_eq!(kind(&[("1.0.0", "")]), SchemeKind::Other);
        assert_eq!(kind(&[]), SchemeKind::Other);
    }
}
