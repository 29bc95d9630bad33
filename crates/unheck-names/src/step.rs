//! What a step from one version to another is, from the index's record alone: order, scheme, what changed
//! around the code. What changed in the code is not looked at here. Start at [`step`].

use std::collections::{BTreeMap, BTreeSet};

use pep440_rs::{Version, VersionSpecifiers};
use serde::Serialize;

use crate::facts::{File, Vulnerability, requirement};
use crate::label::printable;
use crate::scheme::{Scheme, scheme};
use crate::verdict::date;
use crate::version::{Written, parse};

/// Most entries of a list in the answer; the count is told in full.
const MOST: usize = 50;
/// Lines of the timeline.
const LINES: usize = 10;
/// The Pythons whose support is compared.
const PYTHONS: std::ops::RangeInclusive<u64> = 6..=15;

/// What the index says of one end of the step.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The version as the user or the lock writes it.
    pub written: &'a str,
    /// `Requires-Dist`; `None`: not known.
    pub requires_dist: Option<&'a [String]>,
    /// Vulnerabilities of exactly this version; `None`: not known.
    pub vulnerabilities: Option<&'a [Vulnerability]>,
}

/// A step between two versions of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where it starts.
    pub old: End,
    /// Where it goes.
    pub new: End,
    /// Whether the version rises.
    pub direction: Direction,
    /// The first part of the version that differs.
    pub bump: Bump,
    /// How the project numbers its versions.
    pub scheme: Scheme,
    /// Version order against upload order.
    pub order: Order,
    /// Versions between the two, by version; at most 50.
    pub jumped: Vec<String>,
    /// How many there are.
    pub jumped_count: usize,
    /// Pythons that the new version no longer accepts.
    pub python_dropped: Vec<String>,
    /// Pythons that the old version did not accept.
    pub python_gained: Vec<String>,
    /// Tags for which there is no wheel any more; at most 50.
    pub tags_lost: Vec<String>,
    /// Tags for which there was none; at most 50.
    pub tags_gained: Vec<String>,
    /// Changes of requirements; `None`: not known.
    pub dependencies: Option<Vec<Dependency>>,
    /// Vulnerabilities; `None`: not known.
    pub vulnerabilities: Option<Vulnerabilities>,
    /// At most ten lines, oldest version first.
    pub timeline: Vec<String>,
}

/// One end of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// The version, as written and normalised.
    #[serde(flatten)]
    pub version: Written,
    /// Whether the index has it.
    pub is_known: bool,
    /// The day of its first file.
    pub uploaded: Option<String>,
    /// `final`, `pre`, `dev`, `post`, `local`; several for `1.0a1.post2.dev3`.
    pub kinds: Vec<&'static str>,
    /// All its files are yanked: the reason, which may be empty.
    pub yanked: Option<String>,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
    /// Number of wheels.
    pub wheels: usize,
    /// Whether there is a source distribution.
    pub has_sdist: bool,
}

/// Which way a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To a higher version.
    Up,
    /// To a lower version.
    Down,
    /// Two spellings of one version.
    Same,
    /// One of the two is no version, so they have no order.
    Unordered,
}

/// The first part of two versions that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bump {
    /// None does, or there is no order.
    None,
    /// Pre, post, dev or local part.
    Suffix,
    /// The third number or a later one.
    Patch,
    /// The second number.
    Minor,
    /// The first number.
    Major,
    /// The epoch.
    Epoch,
}

/// Version order against upload order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    /// The highest final version.
    pub highest: Option<String>,
    /// The version whose first file was uploaded last.
    pub newest: Option<String>,
    /// Versions uploaded after a higher one, in all.
    pub late_count: usize,
    /// Those between old and new, both included, each with the higher one that was there; at most 50.
    pub late: Vec<(String, String)>,
    /// The new version was uploaded before the old one.
    pub is_reversed: bool,
}

/// A change of a requirement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dependency {
    /// The distribution.
    pub name: String,
    /// The lines that the old version has of it.
    pub old: Vec<String>,
    /// The lines that the new version has of it.
    pub new: Vec<String>,
    /// Whether it is about extras only.
    pub is_extra: bool,
}

/// Vulnerabilities of the two versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Vulnerabilities {
    /// Those of the old version that the new one does not have.
    pub fixed: Vec<String>,
    /// Those of the new version.
    pub open: Vec<String>,
    /// Those of the new version that the old one did not have.
    pub introduced: Vec<String>,
}

/// Describes the step from `old` to `new`; `releases` are the files of every version as written.
pub fn step(old: Side<'_>, new: Side<'_>, releases: &BTreeMap<String, Vec<File>>) -> Step {
    let history = History::new(releases);
    let (old_end, new_end) = (history.end(old.written), history.end(new.written));
    let (low, high) = (
        old_end.version.version().cloned(),
        new_end.version.version().cloned(),
    );
    let direction = match (&low, &high) {
        (Some(low), Some(high)) if low < high => Direction::Up,
        (Some(low), Some(high)) if low > high => Direction::Down,
        (Some(_), Some(_)) => Direction::Same,
        _ => Direction::Unordered,
    };
    let span = low
        .clone()
        .zip(high.clone())
        .map(|(low, high)| (low.clone().min(high.clone()), low.max(high)));
    let between = span
        .as_ref()
        .map(|(low, high)| history.between(low, high))
        .unwrap_or_default();
    let (python_dropped, python_gained) = pythons(&old_end, &new_end);
    let (old_tags, new_tags) = (history.tags(old.written), history.tags(new.written));
    Step {
        direction,
        bump: low
            .as_ref()
            .zip(high.as_ref())
            .map_or(Bump::None, |(low, high)| bump(low, high)),
        scheme: scheme(&history.dated()),
        order: history.order(span.as_ref(), &old_end, &new_end),
        jumped_count: between.len(),
        jumped: between
            .iter()
            .take(MOST)
            .map(|at| at.written.to_owned())
            .collect(),
        python_dropped,
        python_gained,
        tags_lost: old_tags.difference(&new_tags).take(MOST).cloned().collect(),
        tags_gained: new_tags.difference(&old_tags).take(MOST).cloned().collect(),
        dependencies: old
            .requires_dist
            .zip(new.requires_dist)
            .map(|(old, new)| dependencies(old, new)),
        vulnerabilities: old
            .vulnerabilities
            .zip(new.vulnerabilities)
            .map(|(old, new)| vulnerabilities(old, new)),
        timeline: span
            .map(|(low, high)| history.timeline(&low, &high))
            .unwrap_or_default(),
        old: old_end,
        new: new_end,
    }
}

/// The first part that differs between two versions.
pub fn bump(old: &Version, new: &Version) -> Bump {
    let part = |version: &Version, at: usize| version.release().get(at).copied().unwrap_or(0);
    let longest = old.release().len().max(new.release().len());
    let differs = (0..longest).find(|at| part(old, *at) != part(new, *at));
    match differs {
        _ if old.epoch() != new.epoch() => Bump::Epoch,
        Some(0) => Bump::Major,
        Some(1) => Bump::Minor,
        Some(_) => Bump::Patch,
        None if old == new => Bump::None,
        None => Bump::Suffix,
    }
}

/// One version of the record.
struct At<'a> {
    version: Version,
    written: &'a str,
    files: &'a [File],
    uploaded: Option<&'a str>,
}

/// All versions of the record that are versions, by version.
struct History<'a>(Vec<At<'a>>);

impl<'a> History<'a> {
    fn new(releases: &'a BTreeMap<String, Vec<File>>) -> Self {
        let versions = releases.iter().filter_map(|(written, files)| {
            Some(At {
                version: parse(written)?,
                written,
                files,
                uploaded: files
                    .iter()
                    .filter_map(|file| file.uploaded.as_deref())
                    .min(),
            })
        });
        let mut versions: Vec<At<'a>> = versions.collect();
        versions.sort_by(|left, right| left.version.cmp(&right.version));
        Self(versions)
    }

    fn find(&self, written: &str) -> Option<&At<'a>> {
        let exact = self.0.iter().find(|at| at.written == written.trim());
        let version = parse(written);
        exact.or_else(|| {
            self.0
                .iter()
                .find(|at| Some(&at.version) == version.as_ref())
        })
    }

    fn end(&self, written: &str) -> End {
        let version = Written::read(written);
        let kinds = version.version().map(kinds).unwrap_or_default();
        let at = self.find(written);
        let files = at.map_or(&[][..], |at| at.files);
        let all_yanked = !files.is_empty() && files.iter().all(|file| file.yanked.is_some());
        let reason = files.iter().filter_map(|file| file.yanked.as_deref()).max();
        End {
            version,
            is_known: at.is_some(),
            uploaded: at.and_then(|at| at.uploaded).map(date),
            kinds,
            yanked: reason.filter(|_| all_yanked).map(printable),
            requires_python: files
                .iter()
                .find_map(|file| file.requires_python.as_deref())
                .map(printable),
            wheels: files.iter().filter(|file| file.is_wheel()).count(),
            has_sdist: files.iter().any(|file| !file.is_wheel()),
        }
    }

    /// Strictly between two versions, with files.
    fn between(&self, low: &Version, high: &Version) -> Vec<&At<'a>> {
        let inside = |at: &&At<'a>| at.version > *low && at.version < *high && !at.files.is_empty();
        self.0.iter().filter(inside).collect()
    }

    fn tags(&self, written: &str) -> BTreeSet<String> {
        let files = self.find(written).map_or(&[][..], |at| at.files);
        files
            .iter()
            .filter(|file| file.is_wheel())
            .flat_map(|file| tags(&file.filename))
            .collect()
    }

    fn dated(&self) -> Vec<(&Version, Option<&str>)> {
        self.0.iter().map(|at| (&at.version, at.uploaded)).collect()
    }

    fn order(&self, span: Option<&(Version, Version)>, old: &End, new: &End) -> Order {
        let mut by_date: Vec<&At<'a>> = self.0.iter().filter(|at| at.uploaded.is_some()).collect();
        by_date.sort_by_key(|at| at.uploaded);
        let (mut late_count, mut late) = (0, Vec::new());
        let mut highest: Option<&At<'a>> = None;
        for at in &by_date {
            match highest {
                Some(above) if above.version > at.version => {
                    late_count += 1;
                    let inside =
                        span.is_some_and(|(low, high)| at.version >= *low && at.version <= *high);
                    if inside && late.len() < MOST {
                        late.push((at.written.to_owned(), above.written.to_owned()));
                    }
                }
                _ => highest = Some(at),
            }
        }
        let mut finals = self
            .0
            .iter()
            .filter(|at| !at.version.any_prerelease() && !at.files.is_empty());
        let dates = old.uploaded.as_deref().zip(new.uploaded.as_deref());
        Order {
            highest: finals.next_back().map(|at| at.written.to_owned()),
            newest: by_date.last().map(|at| at.written.to_owned()),
            late_count,
            late,
            is_reversed: dates.is_some_and(|(old, new)| new < old),
        }
    }

    /// The versions from `low` to `high`; where there are too many, the first, the last, and between
    /// them the ones that change most.
    fn timeline(&self, low: &Version, high: &Version) -> Vec<String> {
        let inside =
            |at: &&At<'a>| at.version >= *low && at.version <= *high && !at.files.is_empty();
        let all: Vec<&At<'a>> = self.0.iter().filter(inside).collect();
        let weight = |at: usize| {
            let Some(before) = at.checked_sub(1) else {
                return Bump::Epoch;
            };
            match at + 1 == all.len() {
                true => Bump::Epoch,
                false => bump(&all[before].version, &all[at].version),
            }
        };
        let mut chosen: Vec<usize> = (0..all.len()).collect();
        if all.len() > LINES {
            chosen.sort_by_key(|at| (std::cmp::Reverse(weight(*at)), *at));
            chosen.truncate(LINES - 1);
            chosen.sort_unstable();
        }
        let mut lines: Vec<String> = chosen.iter().map(|at| line(all[*at])).collect();
        if all.len() > lines.len() {
            let last = lines.len().saturating_sub(1);
            lines.insert(last, format!("… {} more", all.len() - lines.len()));
        }
        lines
    }
}

fn line(at: &At<'_>) -> String {
    let day = at.uploaded.map_or_else(|| "no date   ".to_owned(), date);
    let mut line = format!("{day}  {}", printable(at.written));
    let kinds = kinds(&at.version);
    if kinds != ["final"] {
        line.push_str(&format!("  {}", kinds.join(" ")));
    }
    if at.files.iter().all(|file| file.yanked.is_some()) {
        let reason = at
            .files
            .iter()
            .find_map(|file| file.yanked.as_deref())
            .unwrap_or_default();
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(": {}", crate::facts::one_line(reason))
        };
        line.push_str(&format!("  yanked{reason}"));
    }
    line
}

fn kinds(version: &Version) -> Vec<&'static str> {
    let all = [
        (version.pre().is_some(), "pre"),
        (version.is_post(), "post"),
        (version.is_dev(), "dev"),
        (version.is_local(), "local"),
    ];
    let kinds: Vec<&str> = all
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect();
    if kinds.is_empty() {
        vec!["final"]
    } else {
        kinds
    }
}

/// The tags of a wheel's file name, compressed sets expanded, at most 4096.
fn tags(filename: &str) -> Vec<String> {
    let stem = filename.strip_suffix(".whl").unwrap_or(filename);
    let mut parts = stem.rsplitn(4, '-');
    let (Some(platform), Some(abi), Some(python)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let pythons = python.split('.');
    let all = pythons.flat_map(|python| {
        abi.split('.').flat_map(move |abi| {
            platform
                .split('.')
                .map(move |platform| format!("{python}-{abi}-{platform}"))
        })
    });
    all.take(4096).map(|tag| printable(&tag)).collect()
}

/// Pythons that only the old, and that only the new version accepts.
fn pythons(old: &End, new: &End) -> (Vec<String>, Vec<String>) {
    let accepted = |end: &End| -> Option<BTreeSet<u64>> {
        let Some(text) = &end.requires_python else {
            return end.is_known.then(|| PYTHONS.collect());
        };
        let specifiers: VersionSpecifiers = text.parse().ok()?;
        // A late patch version, so that `>=3.8.1` accepts 3.8.
        let accepts = |minor: &u64| specifiers.contains(&Version::new([3, *minor, 99]));
        Some(PYTHONS.filter(accepts).collect())
    };
    let (Some(old), Some(new)) = (accepted(old), accepted(new)) else {
        return (Vec::new(), Vec::new());
    };
    let names = |set: Vec<&u64>| set.into_iter().map(|minor| format!("3.{minor}")).collect();
    (
        names(old.difference(&new).collect()),
        names(new.difference(&old).collect()),
    )
}

fn dependencies(old: &[String], new: &[String]) -> Vec<Dependency> {
    let mut by_name: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (lines, is_new) in [(old, false), (new, true)] {
        for line in lines {
            let Some((name, _)) = requirement(line) else {
                continue;
            };
            let entry = by_name.entry(name).or_default();
            let set = if is_new { &mut entry.1 } else { &mut entry.0 };
            set.insert(tidy(line));
        }
    }
    let changed = by_name.into_iter().filter(|(_, (old, new))| old != new);
    changed
        .map(|(name, (old, new))| Dependency {
            is_extra: old
                .symmetric_difference(&new)
                .all(|line| line.contains("extra ==")),
            name,
            old: old.into_iter().collect(),
            new: new.into_iter().collect(),
        })
        .collect()
}

/// A requirement line in one spelling: old metadata has blanks and parentheses that mean nothing, other
/// quotes, and specifiers in another order.
fn tidy(line: &str) -> String {
    let (requirement, marker) = line.split_once(';').unwrap_or((line, ""));
    let requirement: String = requirement
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    let start = requirement
        .find(['<', '>', '=', '!', '~', '@'])
        .unwrap_or(requirement.len());
    let (name, specifiers) = requirement.split_at(start);
    let mut specifiers: Vec<&str> = specifiers.split(',').collect();
    specifiers.sort_unstable();
    let marker = marker.replace('\'', "\"");
    let marker = marker.split_whitespace().collect::<Vec<_>>().join(" ");
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let text = match marker.is_empty() {
        true => format!("{name}{}", specifiers.join(",")),
        false => format!("{name}{}; {marker}", specifiers.join(",")),
    };
    printable(&text)
}

fn vulnerabilities(old: &[Vulnerability], new: &[Vulnerability]) -> Vulnerabilities {
    let ids = |list: &[Vulnerability]| -> BTreeSet<String> {
        let id = |its: &Vulnerability| {
            printable(
                its.aliases
                    .iter()
                    .find(|id| id.starts_with("CVE-"))
                    .unwrap_or(&its.id),
            )
        };
        list.iter().map(id).collect()
    };
    let (old, new) = (ids(old), ids(new));
    Vulnerabilities {
        fixed: old.difference(&new).cloned().collect(),
        introduced: new.difference(&old).cloned().collect(),
        open: new.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Releases = BTreeMap<String, Vec<File>>;

    fn releases(rows: &[(&str, &str, &str)]) -> Releases {
        let mut releases = Releases::new();
        for (version, day, filename) in rows {
            releases
                .entry((*version).to_owned())
                .or_default()
                .push(File {
                    filename: (*filename).to_owned(),
                    version: (*version).to_owned(),
                    uploaded: Some(format!("{day}T00:00:00Z")),
                    ..File::default()
                });
        }
        releases
    }

    fn side<'a>(written: &'a str) -> Side<'a> {
        Side {
            written,
            requires_dist: None,
            vulnerabilities: None,
        }
    }

    #[test]
    fn order_by_version_and_by_date_is_compared() {
        // As html5lib did it.
        let releases = releases(&[
            ("0.95", "2012-02-11", "a.tar.gz"),
            ("0.90", "2013-02-11", "a.tar.gz"),
            ("1.0b1", "2013-05-17", "a.tar.gz"),
            ("0.999999999", "2016-07-15", "a.tar.gz"),
            ("1.0-reupload", "2017-12-07", "a.tar.gz"),
            ("1.0.1", "2017-12-08", "a-1.0.1-py2.py3-none-any.whl"),
        ]);
        let step = step(side("0.999999999"), side("1.0b1"), &releases);
        assert_eq!((step.direction, step.bump), (Direction::Up, Bump::Major));
        assert!(step.order.is_reversed);
        assert_eq!(
            step.order.late,
            [("0.999999999".to_owned(), "1.0b1".to_owned())]
        );
        assert_eq!(step.order.late_count, 2);
        assert_eq!(step.order.highest.as_deref(), Some("1.0.1"));
        assert_eq!(step.new.kinds, ["pre"]);
        assert_eq!(
            step.timeline,
            ["2016-07-15  0.999999999", "2013-05-17  1.0b1  pre"]
        );
    }

    #[test]
    fn pythons_tags_and_yanks_are_compared() {
        let old_wheel = "a-1.0-cp38-cp38-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        let mut releases = releases(&[
            ("1.0", "2020-01-01", old_wheel),
            ("1.0", "2020-01-01", "a-1.0.tar.gz"),
            ("1.1", "2020-02-01", "a-1.1.tar.gz"),
            (
                "2.0",
                "2021-01-01",
                "a-2.0-cp39-cp39-manylinux_2_28_x86_64.whl",
            ),
        ]);
        let old = releases.get_mut("1.0").unwrap().iter_mut();
        old.for_each(|file| file.requires_python = Some(">=3.7".into()));
        let new = &mut releases.get_mut("2.0").unwrap()[0];
        new.requires_python = Some(">=3.9,<3.13".into());
        new.yanked = Some("broken\u{1b}".into());
        let step = step(side("v1.0"), side("2.0"), &releases);
        assert_eq!(step.jumped, ["1.1"]);
        assert_eq!(step.python_dropped, ["3.7", "3.8", "3.13", "3.14", "3.15"]);
        let lost = [
            "cp38-cp38-manylinux2014_x86_64",
            "cp38-cp38-manylinux_2_17_x86_64",
        ];
        assert_eq!(step.tags_lost, lost);
        assert_eq!(step.tags_gained, ["cp39-cp39-manylinux_2_28_x86_64"]);
        assert_eq!(step.new.yanked.as_deref(), Some("broken\u{fffd}"));
        assert_eq!((step.old.wheels, step.old.has_sdist), (1, true));
        assert!(!step.new.has_sdist);
    }

    #[test]
    fn requirements_and_vulnerabilities_are_compared() {
        let lines = |lines: [&str; 3]| lines.map(str::to_owned);
        let old = lines(["numpy (>=1.0,<2)", "six", "x>1; extra == 't'"]);
        let new = lines(["numpy<2,>=1.0", "attrs>=20", "x>2; extra == \"t\""]);
        let changed = dependencies(&old, &new);
        let changed: Vec<(&str, bool)> = changed
            .iter()
            .map(|its| (its.name.as_str(), its.is_extra))
            .collect();
        assert_eq!(changed, [("attrs", false), ("six", false), ("x", true)]);
        let vulnerability = |id: &str| Vulnerability {
            id: id.into(),
            ..Vulnerability::default()
        };
        let old = [vulnerability("A"), vulnerability("B")];
        let new = [vulnerability("B"), vulnerability("C")];
        let found = vulnerabilities(&old, &new);
        assert_eq!(
            (found.fixed, found.introduced),
            (vec!["A".to_owned()], vec!["C".to_owned()])
        );
        assert_eq!(found.open, ["B", "C"]);
    }

    #[test]
    fn what_is_no_version_has_no_order() {
        let step = step(side("1.0-SNAPSHOT"), side("2.0"), &Releases::new());
        assert_eq!(
            (step.direction, step.bump),
            (Direction::Unordered, Bump::None)
        );
        assert!(!step.new.is_known && step.timeline.is_empty());
        let json = serde_json::to_value(&step).unwrap();
        assert_eq!(json["old"]["written"], "1.0-SNAPSHOT");
        assert_eq!(json["old"]["normalized"], serde_json::Value::Null);
    }

    #[test]
    fn a_timeline_has_ten_lines_and_both_ends() {
        let rows: Vec<String> = (0..60)
            .map(|at| format!("1.{}.{}", at / 10, at % 10))
            .collect();
        let rows: Vec<(&str, &str, &str)> = rows
            .iter()
            .map(|version| (version.as_str(), "2020-01-01", "a.tar.gz"))
            .collect();
        let step = step(side("1.0.0"), side("1.5.9"), &releases(&rows));
        assert_eq!(
            (step.timeline.len(), step.jumped_count, step.jumped.len()),
            (10, 58, 50)
        );
        assert!(step.timeline[0].ends_with("1.0.0") && step.timeline[9].ends_with("1.5.9"));
        assert!(
            step.timeline.iter().any(|line| line.ends_with("1.3.0")),
            "{:?}",
            step.timeline
        );
        assert!(
            step.timeline.iter().any(|line| line == "… 51 more"),
            "{:?}",
            step.timeline
        );
    }

    proptest! {
        #[test]
        fn no_record_is_too_odd(
            rows in proptest::collection::vec(("[0-9a-z.!+-]{0,10}", "20[0-2][0-9]-0[1-9]-1[0-9]", "[a-z0-9.-]{0,20}(\\.whl)?"), 0..30),
            old in "[0-9a-z.!+-]{0,10}",
            new in "[0-9a-z.!+-]{0,10}",
        ) {
            let rows: Vec<(&str, &str, &str)> = rows.iter().map(|(version, day, file)| (version.as_str(), day.as_str(), file.as_str())).collect();
            let releases = releases(&rows);
            let there = step(side(&old), side(&new), &releases);
            let back = step(side(&new), side(&old), &releases);
            prop_assert!(there.timeline.len() <= LINES);
            prop_assert_eq!(there.bump, back.bump);
            prop_assert_eq!(there.jumped, back.jumped);
            prop_assert_eq!(there.direction == Direction::Up, back.direction == Direction::Down);
        }
    }
}
