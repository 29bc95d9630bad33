//! How severe a vulnerability is: CVSS vectors of the versions 2, 3 and 4, and words. Start at [`ratings`].

use std::fmt;
use std::str::FromStr;

use cvss::Cvss;

use crate::record::{Affected, Record, Severity, printable};

/// The qualitative scale of CVSS v3.1 (clause 5) and v4.0 (clause 6); `None` of it counts as low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Up to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// From 9.0.
    Critical,
}

impl Level {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of a base score from 0.0 to 10.0.
    pub fn of_score(score: f64) -> Self {
        match score {
            score if score >= 9.0 => Self::Critical,
            score if score >= 7.0 => Self::High,
            score if score >= 4.0 => Self::Medium,
            _ => Self::Low,
        }
    }

    /// What databases write instead of a vector; `None` where it says nothing, such as `not yet assigned`.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(
            match word.trim().to_ascii_lowercase().trim_end_matches('*') {
                "critical" => Self::Critical,
                "high" | "important" => Self::High,
                "medium" | "moderate" => Self::Medium,
                "low" | "negligible" | "unimportant" | "minor" => Self::Low,
                _ => return None,
            },
        )
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|level| level.name() == text);
        known.ok_or_else(|| format!("`{text}` is none of `critical`, `high`, `medium`, `low`"))
    }
}

/// One statement of how severe it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    /// The level.
    pub level: Level,
    /// The base score, 0.0 to 10.0, where a vector gives one.
    pub score: Option<f64>,
    /// The vector.
    pub vector: Option<String>,
    /// How it is measured.
    pub method: Method,
    /// The record that says it.
    pub source: String,
}

/// How a rating is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// CVSS v2.
    Cvss2,
    /// CVSS v3.0.
    Cvss30,
    /// CVSS v3.1.
    Cvss31,
    /// CVSS v4.0.
    Cvss4,
    /// A word of the database.
    Word,
}

/// What a record says of one package's severity: vectors of the package where it has some, else of the record; else a
/// word. A vector that cannot be read is passed over.
pub fn ratings(record: &Record, affected: &Affected) -> Vec<Rating> {
    let own = if affected.severity.is_empty() {
        &record.severity
    } else {
        &affected.severity
    };
    let mut ratings: Vec<Rating> = own
        .iter()
        .filter_map(|one| rating(one, &record.id))
        .collect();
    if ratings.is_empty() {
        let words = [
            &affected.database_specific["severity"],
            &affected.ecosystem_specific["severity"],
            &record.database_specific["severity"],
            &affected.ecosystem_specific["urgency"],
        ];
        let word = words
            .into_iter()
            .find_map(|value| Level::of_word(value.as_str()?));
        ratings.extend(word.map(|level| of_word(level, &record.id)));
    }
    ratings
}

fn of_word(level: Level, source: &str) -> Rating {
    Rating {
        level,
        score: None,
        vector: None,
        method: Method::Word,
        source: source.to_owned(),
    }
}

fn rating(severity: &Severity, source: &str) -> Option<Rating> {
    let text = severity.score.trim();
    if text.len() > 400 {
        return None;
    }
    if !severity.kind.starts_with("CVSS") {
        return Level::of_word(text).map(|level| of_word(level, source));
    }
    let cvss: Cvss = text.parse().ok()?;
    let method = match cvss {
        Cvss::CvssV20(_) => Method::Cvss2,
        Cvss::CvssV30(_) => Method::Cvss30,
        Cvss::CvssV31(_) => Method::Cvss31,
        Cvss::CvssV40(_) => Method::Cvss4,
        _ => return None,
    };
    let score = (cvss.score() * 10.0).round() / 10.0;
    let level = match (method, score) {
        // Version 2 has no critical (its guide, and NVD's scale).
        (Method::Cvss2, score) => Level::of_score(score).min(Level::High),
        (_, score) => Level::of_score(score),
    };
    Some(Rating {
        level,
        score: Some(score),
        vector: Some(printable(text)),
        method,
        source: source.to_owned(),
    })
}

/// The highest level of several ratings: databases differ, and who judges by one of them should not miss the other.
pub fn highest(ratings: &[Rating]) -> Option<Level> {
    ratings.iter().map(|rating| rating.level).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(kind: &str, vector: &str) -> Option<(Option<f64>, Level)> {
        let severity = Severity {
            kind: kind.into(),
            score: vector.into(),
        };
        rating(&severity, "X").map(|one| (one.score, one.level))
    }

    #[test]
    fn vectors_of_all_versions_are_scored_as_their_calculators_do() {
        for (kind, vector, score, level) in [
            ("CVSS_V2", "AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0, Level::High),
            ("CVSS_V2", "AV:N/AC:M/Au:N/C:N/I:P/A:N", 4.3, Level::Medium),
            (
                "CVSS_V3",
                "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
                9.8,
                Level::Critical,
            ),
            (
                "CVSS_V3",
                "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
                6.1,
                Level::Medium,
            ),
            (
                "CVSS_V3",
                "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
                7.5,
                Level::High,
            ),
            (
                "CVSS_V4",
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                9.3,
                Level::Critical,
            ),
            (
                "CVSS_V4",
                "CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
                4.8,
                Level::Medium,
            ),
        ] {
            assert_eq!(scored(kind, vector), Some((Some(score), level)), "{vector}");
        }
        assert_eq!(scored("CVSS_V3", "CVSS:3.1/AV:X"), None);
        assert_eq!(scored("CVSS_V3", "high"), None);
        assert_eq!(scored("Ubuntu", "medium"), Some((None, Level::Medium)));
    }

    #[test]
    fn a_vector_counts_before_a_word_and_the_packages_own_before_the_records() {
        let mut record = Record {
            id: "X".into(),
            database_specific: serde_json::json!({"severity": "MODERATE"}),
            ..Record::default()
        };
        let urgent = Affected {
            ecosystem_specific: serde_json::json!({"urgency": "not yet assigned"}),
            ..Affected::default()
        };
        assert_eq!(highest(&ratings(&record, &urgent)), Some(Level::Medium));
        let high = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";
        record.severity = vec![Severity {
            kind: "CVSS_V3".into(),
            score: high.into(),
        }];
        assert_eq!(highest(&ratings(&record, &urgent)), Some(Level::High));
        let own = Affected {
            severity: vec![Severity {
                kind: "Ubuntu".into(),
                score: "low".into(),
            }],
            ..Affected::default()
        };
        assert_eq!(highest(&ratings(&record, &own)), Some(Level::Low));
        assert_eq!(
            highest(&ratings(&Record::default(), &Affected::default())),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn no_vector_makes_the_reader_fail(text in "(CVSS:[234]\\.[01]/)?([A-Z]{1,3}:[A-Z]{1,2}/?){0,30}") {
            for kind in ["CVSS_V2", "CVSS_V3", "CVSS_V4"] {
                let _ = scored(kind, &text);
            }
        }
    }
}
