//! What an index's facts say against a distribution: every rule is mechanical and names what it saw.
//!
//! Start at [`judge`] and [`LookAlike`].

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::answer::Warning;
use crate::facts::{Page, Project, Wheel, requirement};
use crate::guess::{core, near};
use crate::label::normalize;
use crate::table::Table;

/// A distribution with open vulnerabilities is called abandoned when nothing was uploaded for so long.
pub const ABANDONED: i64 = 4 * YEAR;
/// A wheel without modules, or a source archive, below this size (bytes) can hold nothing: the shims and
/// placeholders that were measured have 1.1 to 2.7 kB.
pub const TINY: u64 = 6_000;
/// A source archive of this size (bytes) or less holds a name and nothing else.
const EMPTY: u64 = 3_000;
/// A name is young when its first file is newer than this.
pub const YOUNG: i64 = 2 * YEAR;
/// So many packages must depend on a name that others look like it.
pub const MUCH_USED: u32 = 20;

const YEAR: i64 = 365 * 24 * 60 * 60;

/// What is known of one distribution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Its files.
    pub page: Option<&'a Page>,
    /// Its project JSON.
    pub project: Option<&'a Project>,
    /// Its newest wheel.
    pub wheel: Option<&'a Wheel>,
}

/// All warnings, sorted. `now` is in Unix seconds.
pub fn judge(facts: &Facts<'_>, now: i64) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let shim = shim(facts);
    if shim.is_none() {
        warnings.extend(placeholder(facts));
    }
    // What a shim's owner says is what the shim shows.
    if shim.is_none() {
        warnings.extend(deprecated(facts));
    }
    warnings.extend(shim);
    warnings.extend(vulnerable(facts, now));
    if let Some(status) = facts.page.and_then(|page| page.status.as_ref())
        && status.state != "active"
    {
        warnings.push(Warning::Marked {
            state: status.state.clone(),
            reason: status.reason.clone(),
        });
    }
    warnings.sort();
    warnings.dedup();
    warnings
}

/// No module at all and exactly one unconditional requirement.
fn shim(facts: &Facts<'_>) -> Option<Warning> {
    let requires = facts.wheel.and_then(|wheel| wheel.requires_dist.as_ref());
    let requires = requires.or(facts.project.map(|project| &project.requires_dist))?;
    let parsed: Vec<(String, bool)> = requires
        .iter()
        .filter_map(|line| requirement(line))
        .collect();
    let mut unconditional = parsed.iter().filter(|(_, marked)| !marked);
    let (only, None) = (unconditional.next()?, unconditional.next()) else {
        return None;
    };
    let empty = match facts.wheel {
        Some(wheel) => wheel.modules.is_empty(),
        // A source archive so small with one requirement has room for nothing else.
        None => facts.page.is_some_and(|page| {
            is_source_only(page) && largest(page).is_some_and(|size| size <= EMPTY)
        }),
    };
    empty.then(|| Warning::Shim {
        of: only.0.clone(),
        same_owners: None,
    })
}

fn placeholder(facts: &Facts<'_>) -> Option<Warning> {
    let page = facts.page?;
    let versions = page.versions().len();
    if page.files.is_empty() {
        return Some(Warning::Placeholder {
            why: "no files".to_owned(),
        });
    }
    let size = largest(page)?;
    if let Some(wheel) = facts.wheel {
        let requires = wheel
            .requires_dist
            .as_ref()
            .is_some_and(|lines| lines.is_empty());
        return (wheel.modules.is_empty() && wheel.size < TINY && requires).then(|| {
            Warning::Placeholder {
                why: "its newest wheel has no modules and requires nothing".to_owned(),
            }
        });
    }
    // A small wheel may be a small module: only its list of files says.
    (is_source_only(page) && size <= EMPTY && versions <= 2).then(|| Warning::Placeholder {
        why: format!(
            "{versions} version{}, at most {size} bytes",
            if versions == 1 { "" } else { "s" }
        ),
    })
}

fn is_source_only(page: &Page) -> bool {
    page.newest().iter().all(|file| !file.is_wheel())
}

/// The size of the largest file of the newest version.
fn largest(page: &Page) -> Option<u64> {
    page.newest().iter().filter_map(|file| file.size).max()
}

/// Words by which an owner says that a distribution is not the one to take.
fn deprecated(facts: &Facts<'_>) -> Option<Warning> {
    let own = facts
        .project
        .map(Project::normalized)
        .or(facts.page.map(|page| page.name.clone()))?;
    let summary = facts.project.and_then(|project| project.summary.as_deref());
    let summary = summary
        .or(facts.wheel.and_then(|wheel| wheel.summary.as_deref()))
        .unwrap_or_default();
    if let Some(instead) = says_instead(summary, &own) {
        return Some(Warning::Deprecated {
            says: summary.to_owned(),
            instead,
        });
    }
    let classifiers = facts.project.map(|project| &project.classifiers)?;
    let inactive = classifiers
        .iter()
        .find(|line| line.starts_with("Development Status :: 7"))?;
    Some(Warning::Deprecated {
        says: inactive.clone(),
        instead: None,
    })
}

/// Whether a summary says that something else is to be used; inside, what, if it is told.
///
/// "Deprecated" is also said of what a library helps with, so the word counts only where it is the
/// beginning or said of the distribution.
fn says_instead(summary: &str, own: &str) -> Option<Option<String>> {
    const BEGINS: &[&str] = &[
        "deprecated",
        "renamed",
        "moved to",
        "replaced by",
        "superseded",
        "no longer maintained",
        "unmaintained",
        "do not use",
        "don't use",
        "obsolete",
        "dummy package",
        "placeholder",
        "removed:",
    ];
    const SAYS: &[&str] = &[
        "renamed to",
        "has moved to",
        "is deprecated",
        "(deprecated",
        "deprecated:",
        "deprecated,",
        "deprecated in favo",
        "dummy package",
        "placeholder for",
        "no longer maintained",
    ];
    let lower = summary.to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let other = |word: &str| {
        let name = normalize(word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
        let filler = [
            "",
            "the",
            "this",
            "a",
            "an",
            "it",
            "new",
            "version",
            "deprecated",
            own,
        ];
        (!filler.contains(&name.as_str())).then_some(name)
    };
    let after = |verbs: &[&str]| {
        let pairs = words.windows(2).filter(|pair| verbs.contains(&pair[0]));
        pairs.filter_map(|pair| other(pair[1])).next()
    };
    let told = after(&["use", "install"]);
    let instead = lower.contains("instead") && told.is_some();
    let says = BEGINS.iter().any(|words| lower.starts_with(words))
        || SAYS.iter().any(|words| lower.contains(words));
    (instead || says).then(|| told.or_else(|| after(&["to", "by"])))
}

fn vulnerable(facts: &Facts<'_>, now: i64) -> Option<Warning> {
    let project = facts.project?;
    let open = project
        .vulnerabilities
        .iter()
        .filter(|its| its.fixed_in.is_empty());
    let open: Vec<String> = open
        .map(|its| {
            crate::label::printable(
                its.aliases
                    .iter()
                    .find(|id| id.starts_with("CVE-"))
                    .unwrap_or(&its.id),
            )
        })
        .collect();
    if open.is_empty() {
        return None;
    }
    let uploads = project
        .releases
        .values()
        .flatten()
        .filter_map(|file| file.uploaded.as_deref());
    let last = uploads
        .max()
        .or(facts.page.and_then(Page::uploads).map(|(_, last)| last));
    match last.and_then(seconds) {
        Some(at) if now - at > ABANDONED => Some(Warning::Abandoned {
            last: date(last.unwrap_or_default()),
            open,
        }),
        _ => Some(Warning::Vulnerable { open }),
    }
}

/// Whether a name is made to be taken for a well-used one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookAlike {
    /// The well-used one.
    pub of: String,
    /// What makes it suspicious.
    pub why: String,
}

impl LookAlike {
    /// Compares a name that Debian does not know with those that much depends on. A distribution that is
    /// old and has many versions, or the same owners, is none. `owners` are those of the well-used one.
    pub fn find(
        name: &str,
        facts: &Facts<'_>,
        table: &Table,
        owners: Option<&BTreeSet<String>>,
        now: i64,
    ) -> Option<Self> {
        let of = Self::of(name, table)?;
        let page = facts.page?;
        let mine = facts.project.and_then(|project| project.owners.as_ref());
        if let (Some(mine), Some(theirs)) = (mine, owners)
            && !mine.is_disjoint(theirs)
        {
            return None;
        }
        let versions = page.versions().len();
        let first = page.uploads().and_then(|(first, _)| seconds(first));
        let young = first.is_some_and(|first| now - first < YOUNG);
        if versions > 10 || !(young || versions <= 3) {
            return None;
        }
        let age = match page.uploads() {
            Some((first, _)) => format!(", the first in {}", date(first)),
            None => String::new(),
        };
        let why = format!(
            "{versions} version{}{age}, and Debian has no such distribution",
            if versions == 1 { "" } else { "s" }
        );
        Some(Self { of, why })
    }

    /// The well-used name that `name` is close to: a letter or two differ, or only an affix.
    pub fn of(name: &str, table: &Table) -> Option<String> {
        if table.distribution(name).is_some() {
            return None;
        }
        if let Some((known, _)) = near(table, name, MUCH_USED).first() {
            return Some(known.name.to_owned());
        }
        let wanted = core(name);
        let same = table
            .distributions()
            .filter(|known| known.dependents >= MUCH_USED && core(known.name) == wanted);
        let best = same.max_by_key(|known| known.dependents)?;
        (wanted.len() >= 4).then(|| best.name.to_owned())
    }
}

/// Unix seconds of an RFC 3339 time; indexes leave out the offset at times, which is UTC then.
pub fn seconds(text: &str) -> Option<i64> {
    let parsed = text
        .parse::<Timestamp>()
        .or_else(|_| format!("{text}Z").parse());
    parsed.ok().map(Timestamp::as_second)
}

/// The date of an RFC 3339 time.
pub fn date(text: &str) -> String {
    crate::label::printable(text.split('T').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{File, Status, Vulnerability};

    const NOW: i64 = 1_790_000_000;

    fn page(name: &str, files: &[(&str, u64, &str)]) -> Page {
        let file = |(filename, size, date): &(&str, u64, &str)| File {
            filename: (*filename).into(),
            version: filename
                .split('-')
                .nth(1)
                .unwrap()
                .trim_end_matches(".tar.gz")
                .into(),
            size: Some(*size),
            uploaded: Some(format!("{date}T00:00:00Z")),
            ..File::default()
        };
        Page {
            name: name.into(),
            files: files.iter().map(file).collect(),
            status: None,
        }
    }

    fn said(facts: &Facts<'_>) -> Vec<String> {
        judge(facts, NOW)
            .iter()
            .map(|warning| format!("{}: {warning}", warning.kind()))
            .collect()
    }

    #[test]
    fn a_shim_has_no_modules_and_one_requirement() {
        let page = page(
            "bs4",
            &[("bs4-0.0.2-py2.py3-none-any.whl", 1189, "2024-01-17")],
        );
        let mut wheel = Wheel {
            requires_dist: Some(vec!["beautifulsoup4".into(), "x; extra == 'y'".into()]),
            size: 1189,
            ..Wheel::default()
        };
        let said = |wheel: &Wheel| {
            said(&Facts {
                page: Some(&page),
                wheel: Some(wheel),
                project: None,
            })
        };
        assert_eq!(
            said(&wheel),
            ["shim: a shim: no modules, one requirement (beautifulsoup4)"]
        );
        wheel.modules.insert("bs4".into());
        assert!(said(&wheel).is_empty());
        wheel.modules.clear();
        wheel.requires_dist = Some(Vec::new());
        assert!(said(&wheel)[0].starts_with("placeholder"));
        wheel.requires_dist = Some(vec!["a".into(), "b".into()]);
        assert!(said(&wheel).is_empty(), "a meta distribution is neither");
    }

    #[test]
    fn a_placeholder_is_small_and_alone() {
        let small = page("fitz", &[("fitz-0.0.0.tar.gz", 900, "2017-01-01")]);
        assert_eq!(
            said(&Facts {
                page: Some(&small),
                ..Facts::default()
            }),
            ["placeholder: a placeholder: 1 version, at most 900 bytes"]
        );
        let wheel = page("tiny", &[("tiny-0.1-py3-none-any.whl", 900, "2017-01-01")]);
        let unread = Facts {
            page: Some(&wheel),
            ..Facts::default()
        };
        assert!(
            said(&unread).is_empty(),
            "a small wheel that nobody looked into"
        );
        let big = page("fitz", &[("fitz-1.0.tar.gz", 90_000, "2017-01-01")]);
        assert!(
            said(&Facts {
                page: Some(&big),
                ..Facts::default()
            })
            .is_empty()
        );
        let none = page("x", &[]);
        assert!(
            said(&Facts {
                page: Some(&none),
                ..Facts::default()
            })[0]
                .contains("no files")
        );
    }

    #[test]
    fn owners_words_are_understood() {
        for (summary, expected) in [
            (
                "deprecated sklearn package, use scikit-learn instead",
                Some(Some("scikit-learn")),
            ),
            (
                "Removed: please install \"tensorflow\" instead.",
                Some(Some("tensorflow")),
            ),
            (
                "This package has been renamed to `igraph`",
                Some(Some("igraph")),
            ),
            ("Obsolete, use foo-bar.", Some(Some("foo-bar"))),
            ("DEPRECATED", Some(None)),
            ("A library to mark functions as deprecated", None),
            ("Python decorators for deprecated functions", None),
            ("HTTP for humans", None),
            ("Use Redis as a queue", None),
            ("", None),
        ] {
            let expected = expected.map(|name| name.map(str::to_owned));
            assert_eq!(says_instead(summary, "sklearn"), expected, "{summary}");
        }
    }

    #[test]
    fn vulnerabilities_without_repair_are_told() {
        let vulnerability = |fixed: &[&str]| Vulnerability {
            id: "PYSEC-1".into(),
            aliases: vec!["GHSA-1".into(), "CVE-2018-1".into()],
            fixed_in: fixed.iter().map(|text| (*text).to_owned()).collect(),
            withdrawn: None,
        };
        let old = page(
            "pycrypto",
            &[("pycrypto-2.6.1.tar.gz", 446_000, "2013-10-17")],
        );
        let project = |list| Project {
            name: "pycrypto".into(),
            vulnerabilities: list,
            ..Project::default()
        };
        let open = project(vec![vulnerability(&[])]);
        let facts = Facts {
            page: Some(&old),
            project: Some(&open),
            wheel: None,
        };
        assert_eq!(
            said(&facts),
            ["abandoned: abandoned: nothing since 2013-10-17, open vulnerabilities CVE-2018-1"]
        );
        let new = page(
            "pycrypto",
            &[("pycrypto-3.0.tar.gz", 446_000, "2026-01-17")],
        );
        assert_eq!(
            said(&Facts {
                page: Some(&new),
                ..facts
            }),
            ["vulnerable: open vulnerabilities: CVE-2018-1"]
        );
        let fixed = project(vec![vulnerability(&["3.0"])]);
        assert!(
            said(&Facts {
                project: Some(&fixed),
                ..facts
            })
            .is_empty()
        );
        let marked = Page {
            status: Some(Status {
                state: "quarantined".into(),
                reason: Some("malware".into()),
            }),
            ..new
        };
        assert_eq!(
            said(&Facts {
                page: Some(&marked),
                ..Facts::default()
            }),
            ["marked: the index marks it as quarantined: malware"]
        );
    }

    #[test]
    fn a_young_name_beside_a_well_used_one_is_a_look_alike() {
        let table = Table::shipped();
        let young = page("reqeusts", &[("reqeusts-1.0.tar.gz", 9000, "2026-08-01")]);
        let facts = Facts {
            page: Some(&young),
            ..Facts::default()
        };
        let found = LookAlike::find("reqeusts", &facts, table, None, NOW).unwrap();
        assert_eq!(found.of, "requests");
        assert!(
            found.why.contains("1 version, the first in 2026-08-01"),
            "{}",
            found.why
        );
        let dates: Vec<(String, u64, &str)> = (0..12)
            .map(|at| (format!("reqeusts-{at}.tar.gz"), 9000, "2015-01-01"))
            .collect();
        let dates: Vec<(&str, u64, &str)> = dates
            .iter()
            .map(|(name, size, date)| (name.as_str(), *size, *date))
            .collect();
        let old = page("reqeusts", &dates);
        assert_eq!(
            LookAlike::find(
                "reqeusts",
                &Facts {
                    page: Some(&old),
                    ..facts
                },
                table,
                None,
                NOW
            ),
            None
        );
        let owners = BTreeSet::from(["same".to_owned()]);
        let project = Project {
            owners: Some(owners.clone()),
            ..Project::default()
        };
        let same = Facts {
            project: Some(&project),
            ..facts
        };
        assert_eq!(
            LookAlike::find("reqeusts", &same, table, Some(&owners), NOW),
            None
        );
        assert_eq!(
            LookAlike::of("numpy", table),
            None,
            "a name of Debian's is no look-alike"
        );
    }
}
