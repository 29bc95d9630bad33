//! The order of versions in an ecosystem, and whether one is in a range. Start at [`in_ranges`].

use std::cmp::Ordering;
use std::str::FromStr as _;

use unheck_deb::version::DebVersion;

use crate::record::{Affected, Event};

/// The longest version that is compared, in bytes.
const MAX_VERSION: usize = 256;

/// How versions are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// PEP 440.
    Python,
    /// deb-version(7).
    Debian,
    /// Semantic Versioning 2.0.0.
    Semver,
}

impl Scheme {
    /// The order of two versions; `None` when one of them is none.
    pub fn compare(self, left: &str, right: &str) -> Option<Ordering> {
        if left.len() > MAX_VERSION || right.len() > MAX_VERSION {
            return None;
        }
        match self {
            Self::Python => {
                let parse = |text: &str| pep440_rs::Version::from_str(text.trim()).ok();
                Some(parse(left)?.cmp(&parse(right)?))
            }
            Self::Debian => {
                let parse = |text: &str| text.trim().parse::<DebVersion>().ok();
                Some(parse(left)?.cmp(&parse(right)?))
            }
            Self::Semver => {
                let parse = |text: &str| semver::Version::parse(text.trim()).ok();
                Some(parse(left)?.cmp(&parse(right)?))
            }
        }
    }

    fn same(self, left: &str, right: &str) -> bool {
        left == right || self.compare(left, right) == Some(Ordering::Equal)
    }
}

/// What a record says of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is affected.
    pub affected: bool,
    /// The nearest versions behind it that are not, each of one range.
    pub fixed: Vec<String>,
}

/// Whether a version is affected, as the schema evaluates it: it is listed, or it is in a range.
///
/// An end of a range that is no version of the ecosystem is passed over, but for one that ends it: what cannot be
/// compared repairs nothing. A version that is none is in every range that begins at `0`.
pub fn in_ranges(scheme: Scheme, version: &str, affected: &Affected) -> Answer {
    let mut answer = Answer {
        affected: affected
            .versions
            .iter()
            .any(|one| scheme.same(one, version)),
        fixed: Vec::new(),
    };
    for range in affected.ranges.iter().filter(|range| range.kind != "GIT") {
        let within = in_range(scheme, version, &range.events);
        answer.affected |= within;
        if within || answer.affected {
            answer
                .fixed
                .extend(next_fix(scheme, version, &range.events));
        }
    }
    if !answer.affected {
        answer.fixed.clear();
    }
    answer
        .fixed
        .sort_by(|one, other| scheme.compare(one, other).unwrap_or(Ordering::Equal));
    answer.fixed.dedup();
    answer
}

fn in_range(scheme: Scheme, version: &str, events: &[Event]) -> bool {
    let reached =
        |limit: &str| limit != "*" && scheme.compare(version, limit).is_some_and(Ordering::is_ge);
    let mut limits = events
        .iter()
        .filter_map(|event| event.limit.as_deref())
        .peekable();
    if limits.peek().is_some() && limits.all(reached) {
        return false;
    }
    let at = |text: &str| match text {
        "0" => Some(Ordering::Greater),
        text => scheme.compare(version, text),
    };
    // The state behind the last event that is not behind the version. Of several at one version the one that begins
    // counts, so that a range that is closed and opened there is open.
    let mut last: Option<(&str, bool)> = None;
    for event in events {
        let (text, begins, passed) = match event {
            Event {
                introduced: Some(text),
                ..
            } => (text, true, at(text).is_some_and(Ordering::is_ge)),
            Event {
                fixed: Some(text), ..
            } => (text, false, at(text).is_some_and(Ordering::is_ge)),
            Event {
                last_affected: Some(text),
                ..
            } => (text, false, at(text).is_some_and(Ordering::is_gt)),
            _ => continue,
        };
        if !passed {
            continue;
        }
        let later = match last {
            None => true,
            Some(("0", _)) => true,
            Some(_) if text == "0" => false,
            Some((before, _)) => match scheme.compare(text, before) {
                Some(Ordering::Equal) => begins,
                Some(order) => order.is_gt(),
                None => false,
            },
        };
        if later {
            last = Some((text, begins));
        }
    }
    last.is_some_and(|(_, begins)| begins)
}

/// The least version of the range that repairs and is behind `version`.
fn next_fix(scheme: Scheme, version: &str, events: &[Event]) -> Option<String> {
    let fixes = events.iter().filter_map(|event| event.fixed.as_deref());
    let behind = fixes.filter(|fix| scheme.compare(fix, version).is_some_and(Ordering::is_gt));
    let least = behind.min_by(|one, other| scheme.compare(one, other).unwrap_or(Ordering::Equal));
    least.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Range;

    fn affected(events: &str, versions: &[&str]) -> Affected {
        let events = events.split_whitespace().map(|word| {
            let (kind, version) = word.split_once(':').unwrap();
            let version = Some(version.to_owned());
            match kind {
                "from" => Event {
                    introduced: version,
                    ..Event::default()
                },
                "fixed" => Event {
                    fixed: version,
                    ..Event::default()
                },
                "last" => Event {
                    last_affected: version,
                    ..Event::default()
                },
                _ => Event {
                    limit: version,
                    ..Event::default()
                },
            }
        });
        Affected {
            ranges: vec![Range {
                kind: "ECOSYSTEM".into(),
                events: events.collect(),
                ..Range::default()
            }],
            versions: versions.iter().map(|one| (*one).to_owned()).collect(),
            ..Affected::default()
        }
    }

    /// `version -> fix` of those of `versions` that are affected.
    fn hits(scheme: Scheme, affected: &Affected, versions: &[&str]) -> String {
        let one = |version: &&str| {
            let answer = in_ranges(scheme, version, affected);
            let fixed = answer.fixed.join("+");
            answer.affected.then(|| format!("{version}->{fixed}"))
        };
        versions
            .iter()
            .filter_map(one)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn python_ranges_are_evaluated_by_pep_440() {
        let two = affected("from:2.0 fixed:2.0.1 from:0 fixed:1.10", &[]);
        let all = [
            "0.1",
            "1.9",
            "1.10rc1",
            "1.10",
            "1.10.post1",
            "2.0a1",
            "2.0",
            "2.0.1",
            "no version",
        ];
        assert_eq!(
            hits(Scheme::Python, &two, &all),
            "0.1->1.10 1.9->1.10 1.10rc1->1.10 2.0->2.0.1 no version->",
            "what cannot be compared counts as affected"
        );
        let last = affected("from:1 last:2", &["3.0"]);
        assert_eq!(
            hits(
                Scheme::Python,
                &last,
                &["0.9", "1", "2.0", "2.0.post1", "3"]
            ),
            "1-> 2.0-> 3->"
        );
        let limited = affected("from:0 limit:2", &[]);
        assert_eq!(hits(Scheme::Python, &limited, &["1.9", "2"]), "1.9->");
        // What cannot be compared begins and repairs nothing.
        let odd = affected("from:0 fixed:abc", &[]);
        assert_eq!(hits(Scheme::Python, &odd, &["1"]), "1->");
        assert_eq!(hits(Scheme::Python, &affected("", &[]), &["1"]), "");
    }

    #[test]
    fn debian_ranges_are_evaluated_as_dpkg_compares() {
        let one = affected("from:0 fixed:3.0.11-1~deb12u2", &[]);
        let all = [
            "1.1.1n-0+deb11u5",
            "3.0.11-1~deb12u1",
            "3.0.11-1~deb12u2",
            "3.0.11-1",
            "1:1.0-1",
        ];
        assert_eq!(
            hits(Scheme::Debian, &one, &all),
            "1.1.1n-0+deb11u5->3.0.11-1~deb12u2 3.0.11-1~deb12u1->3.0.11-1~deb12u2"
        );
    }

    #[test]
    fn semver_orders_pre_releases() {
        let one = affected("from:0.0.0-0 fixed:1.2.3", &[]);
        assert_eq!(
            hits(Scheme::Semver, &one, &["1.2.3-rc.1", "1.2.3", "0.1.0"]),
            "1.2.3-rc.1->1.2.3 0.1.0->1.2.3"
        );
    }
}
