//! Which known vulnerabilities an artifact has, and what its own contents say about each. Start at [`look`].
//!
//! What is known comes from two places: the lock, which keeps what the index told when it was made, and OSV exports
//! that the user names. No network is asked. What is found becomes part of the bill ([`unheck_sbom`]), findings
//! ([`findings`]), and the gate of a build.

mod dump;
mod evidence;
mod gate;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unheck_sbom::model::{Component, Evidence};
use unheck_sbom::vulnerability::{Rating, Said, Status, Vulnerability};
use unheck_vuln::merge::{Known, merge};
use unheck_vuln::order::Scheme;
use unheck_vuln::record::printable;
use unheck_vuln::severity::{Level, Method};
use unheck_vuln::subject::{Ecosystem, Hit, Kind, Subject, judge};

use crate::bom::Bill;
use crate::finding::{Finding, Severity};
use crate::identify::census::Advisories;
use crate::lock::Lock;

pub use dump::{DumpError, Dumps};
pub use gate::{Gate, ParseGateError, Rules, VexRow};

/// Where people read about a vulnerability; the id follows.
const PAGE: &str = "https://osv.dev/vulnerability/";
/// Surest identity of something that is recognised and not declared, in percent.
const DECLARED: u8 = 95;

/// Debian's source packages of libraries that are often inside wheels, where they are called otherwise
/// (packages.debian.org, trixie).
const SOURCES: [(&str, &str); 9] = [
    ("gcc", "gcc-14"),
    ("libpng", "libpng1.6"),
    ("libtiff", "tiff"),
    ("libzmq", "zeromq3"),
    ("openjpeg", "openjpeg2"),
    ("postgresql", "postgresql-17"),
    ("sqlite", "sqlite3"),
    ("xz", "xz-utils"),
    ("zstd", "libzstd"),
];

/// What is known, and what the project says of it.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// Exports.
    pub dumps: &'a Dumps,
    /// The lock beside the project, with what the index told.
    pub lock: Option<&'a Lock>,
    /// What the project states and accepts.
    pub rules: &'a Rules,
}

/// One vulnerability of one component of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// As the bill has it.
    pub vulnerability: Vulnerability,
    /// The component's name and version.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
    /// What it is: `distribution`, `debian`, `library`.
    pub kind: ComponentKind,
    /// The source package or distribution that brings it.
    pub from: String,
    /// The highest of its ratings; `None` where nobody rates it.
    pub level: Option<Level>,
    /// Versions that repair it.
    pub fixed: Vec<String>,
    /// How sure it is that this version is affected, in percent.
    pub sure: u8,
    /// Why the project accepts it.
    pub excused: Option<String>,
}

/// What kind of component has a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// A Python distribution.
    Distribution,
    /// A Debian package.
    Debian,
    /// A library inside a distribution, or an interpreter that is no Debian package.
    Library,
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// Records of all exports.
    pub records: usize,
    /// The newest change of any of them, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// Distributions that the lock has an index's answer for.
    pub asked: usize,
    /// The day of the oldest such answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Distributions of which neither says anything.
    pub unknown: Vec<String>,
}

/// Looks for known vulnerabilities of what is in some bills, and writes them into the bills. Answers what was found in
/// each, the most severe first.
///
/// # Errors
/// [`DumpError`].
pub fn look(bills: &mut [Bill], basis: Basis<'_>) -> Result<(Vec<Vec<Found>>, Looked), DumpError> {
    let index = index(basis.lock);
    let subjects: Vec<Vec<(Subject, Place)>> = bills.iter().map(subjects).collect();
    let all: Vec<Subject> = subjects
        .iter()
        .flatten()
        .map(|(subject, _)| subject.clone())
        .collect();
    let records = match basis.dumps.is_empty() {
        true => Default::default(),
        false => basis.dumps.records(&all)?,
    };
    let mut looked = Looked {
        records: records.count,
        newest: records.newest.as_deref().map(printable),
        ..Looked::default()
    };
    looked.tell_index(&subjects, &index, basis.dumps.is_empty());
    let mut answers = Vec::new();
    for (bill, subjects) in bills.iter_mut().zip(&subjects) {
        let mut found = Vec::new();
        for (subject, place) in subjects {
            let told = records
                .records
                .iter()
                .filter_map(|record| judge(record, subject));
            let mut hits: Vec<Hit> = told.collect();
            hits.extend(of_index(subject, &index));
            for known in merge(hits) {
                found.extend(entry(bill, subject, place, (known, basis.rules)));
            }
        }
        found.sort_by(|one, other| {
            rank(other)
                .cmp(&rank(one))
                .then_with(|| order(one).cmp(&order(other)))
        });
        bill.bom.vulnerabilities = found.iter().map(|one| one.vulnerability.clone()).collect();
        bill.bom
            .vulnerabilities
            .sort_by(|one, other| (&one.id, &one.component).cmp(&(&other.id, &other.component)));
        answers.push(found);
    }
    Ok((answers, looked))
}

/// What is not rated may be anything, so it stands before all that is.
fn rank(found: &Found) -> (bool, bool, Option<Level>) {
    let open = found.vulnerability.said.status == Status::Affected && found.excused.is_none();
    (open, found.level.is_none(), found.level)
}

fn order(found: &Found) -> (&str, &str) {
    (&found.vulnerability.id, &found.vulnerability.component)
}

/// What is known of a subject besides what records ask for.
struct Place {
    kind: ComponentKind,
    from: String,
}

type Index<'a> = BTreeMap<(&'a str, &'a str), &'a Advisories>;

/// What the lock's index told, by name and version.
fn index(lock: Option<&Lock>) -> Index<'_> {
    let packages = lock.into_iter().flat_map(|lock| &lock.packages);
    let told = packages.filter_map(|package| {
        let about = package.tool.as_ref()?.unheck.advisories.as_ref()?;
        Some(((package.name.as_str(), package.version.as_deref()?), about))
    });
    told.collect()
}

/// Whether a lock has an index's answer that speaks of any vulnerability: where not, and without exports, nothing can
/// be found.
pub(crate) fn is_told_of(lock: &Lock) -> bool {
    index(Some(lock))
        .values()
        .any(|told| !told.known.is_empty())
}

impl Looked {
    fn tell_index(&mut self, subjects: &[Vec<(Subject, Place)>], index: &Index<'_>, alone: bool) {
        let mut seen = BTreeSet::new();
        for (subject, _) in subjects.iter().flatten() {
            let Kind::Package(Ecosystem::PyPi, name) = &subject.kind else {
                continue;
            };
            if !seen.insert((name, &subject.version)) {
                continue;
            }
            match index.get(&(name.as_str(), subject.version.as_str())) {
                Some(told) => {
                    self.asked += 1;
                    let day = printable(&told.asked);
                    if self.since.as_ref().is_none_or(|since| day < *since) {
                        self.since = Some(day);
                    }
                }
                None if alone => self.unknown.push(format!("{name} {}", subject.version)),
                None => {}
            }
        }
    }

    /// One line on what was looked at.
    pub fn line(&self) -> String {
        let mut parts = Vec::new();
        if self.records > 0 {
            let newest = self.newest.as_deref().unwrap_or("unknown");
            parts.push(match self.records {
                1 => format!("1 record, changed {newest}"),
                records => format!("{records} records, the newest of {newest}"),
            });
        }
        if let Some(since) = &self.since {
            parts.push(format!(
                "the index's answers of {} distributions, the oldest of {since}",
                self.asked
            ));
        }
        match parts.is_empty() {
            true => "nothing: there is neither an export nor an answer of the index".to_owned(),
            false => parts.join("; "),
        }
    }
}

/// What of a bill records can be about.
fn subjects(bill: &Bill) -> Vec<(Subject, Place)> {
    let components = bill.bom.components.iter();
    components
        .filter_map(|(id, component)| {
            let (version, kind, place) = subject(component)?;
            let id = id.clone();
            Some((Subject { id, version, kind }, place))
        })
        .collect()
}

fn subject(component: &Component) -> Option<(String, Kind, Place)> {
    let version = component.version.clone()?;
    let purl = component.purl.as_deref().unwrap_or_default();
    let property = |key: &str| component.properties.get(&format!("unheck:{key}"));
    let place = |kind, from: &str| Place {
        kind,
        from: from.to_owned(),
    };
    if let Some(rest) = purl.strip_prefix("pkg:deb/debian/") {
        let (source, version) = source(component, property("source").map(String::as_str));
        // `distro=debian-13`; what is not released has a name there, and no number.
        let release = rest
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("distro=debian-"));
        let release = release.and_then(|text| text.parse().ok());
        let kind = Kind::Package(Ecosystem::Debian(release), source.clone());
        return Some((version, kind, place(ComponentKind::Debian, &source)));
    }
    let within = property("vendored-in").cloned();
    let kind = match within {
        Some(_) => ComponentKind::Library,
        None => ComponentKind::Distribution,
    };
    let from = within.unwrap_or_default();
    let from = from.rsplit(':').next().unwrap_or_default();
    if purl.starts_with("pkg:pypi/") {
        let kind_of = Kind::Package(
            Ecosystem::PyPi,
            unheck_wheel::normalize_name(&component.name),
        );
        return Some((version, kind_of, place(kind, from)));
    }
    if purl.starts_with("pkg:cargo/") {
        let crates = Kind::Package(Ecosystem::CratesIo, component.name.clone());
        return Some((version, crates, place(ComponentKind::Library, from)));
    }
    let is_interpreter = property("provider").is_some();
    if from.is_empty() && !is_interpreter {
        return None;
    }
    let own = component.name.to_lowercase();
    let source = SOURCES.iter().find(|(name, _)| *name == own);
    let mut names: BTreeSet<String> = [own.clone()].into();
    names.extend(source.map(|(_, source)| (*source).to_owned()));
    let sure = match is_interpreter {
        true => {
            names.insert("cpython".to_owned());
            let minor: Vec<&str> = version.split('.').take(2).collect();
            names.insert(format!("python{}", minor.join(".")));
            100
        }
        false => sure(&component.evidence),
    };
    Some((
        version,
        Kind::Library(names, sure),
        place(ComponentKind::Library, from),
    ))
}

/// How sure name and version are: as sure as the less sure of the two, each by its best evidence.
fn sure(evidence: &[Evidence]) -> u8 {
    let mut best = BTreeMap::new();
    for one in evidence {
        let known = best.entry(one.field).or_insert(0);
        *known = one.confidence.max(*known);
    }
    best.into_values().min().unwrap_or(DECLARED)
}

/// The source package and its version: `Source: NAME (VERSION)`, else the package's own; a rebuild without a change of
/// the source (`+b1`) is the same version.
fn source(component: &Component, field: Option<&str>) -> (String, String) {
    let own = component.version.as_deref().unwrap_or_default();
    let (name, version) = match field.map(str::trim).and_then(|text| text.split_once(' ')) {
        Some((name, version)) => (name, version.trim_matches(['(', ')', ' '])),
        None => (field.unwrap_or(&component.name).trim(), own),
    };
    let plain = match version.rsplit_once("+b") {
        Some((plain, number))
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            plain
        }
        _ => version,
    };
    (name.to_owned(), plain.to_owned())
}

/// What the index told of exactly this version, as if it were records.
fn of_index(subject: &Subject, index: &Index<'_>) -> Vec<Hit> {
    let Kind::Package(Ecosystem::PyPi, name) = &subject.kind else {
        return Vec::new();
    };
    let Some(told) = index.get(&(name.as_str(), subject.version.as_str())) else {
        return Vec::new();
    };
    let behind = |version: &&String| {
        Scheme::Python.compare(version, &subject.version) == Some(Ordering::Greater)
    };
    let hit = |one: &crate::identify::census::Advisory| {
        let fixed = one.fixed_in.iter().filter(behind);
        let least = fixed.min_by(|one, other| {
            Scheme::Python
                .compare(one, other)
                .unwrap_or(Ordering::Equal)
        });
        Hit {
            id: printable(&one.id),
            aliases: one.aliases.clone(),
            upstream: Vec::new(),
            summary: String::new(),
            ratings: Vec::new(),
            fixed: least.cloned().into_iter().collect(),
            modified: None,
            named: Vec::new(),
            sure: 100,
            doubt: None,
        }
    };
    told.known.iter().map(hit).collect()
}

fn entry(
    bill: &Bill,
    subject: &Subject,
    place: &Place,
    (known, rules): (Known, &Rules),
) -> Option<Found> {
    let component = bill.bom.components.get(&subject.id)?;
    let names = [component.name.as_str(), place.from.as_str()];
    let (said, evidence) = evidence::said(bill, component, &known, (rules, &names));
    let level = known.level();
    let ratings = known.ratings.iter().map(|rating| Rating {
        level: rating.level.name(),
        score: rating.score,
        vector: rating.vector.clone(),
        method: match rating.method {
            Method::Cvss2 => "CVSSv2",
            Method::Cvss30 => "CVSSv3",
            Method::Cvss31 => "CVSSv31",
            Method::Cvss4 => "CVSSv4",
            Method::Word => "other",
        },
        source: rating.source.clone(),
    });
    let excused = rules.excused(&names, &known).map(str::to_owned);
    let mut found = Found {
        vulnerability: Vulnerability {
            url: format!("{PAGE}{}", unheck_sbom::purl::encoded(&known.id)),
            id: known.id.clone(),
            aliases: known.aliases.clone(),
            description: known.summary.clone(),
            ratings: ratings.collect(),
            component: subject.id.clone(),
            said,
            evidence,
            action: String::new(),
            updated: known
                .modified
                .clone()
                .filter(|text| text.parse::<jiff::Timestamp>().is_ok()),
        },
        name: component.name.clone(),
        version: component.version.clone(),
        purl: component.purl.clone(),
        kind: place.kind,
        from: place.from.clone(),
        level,
        fixed: known.fixed,
        sure: known.sure,
        excused,
    };
    found.vulnerability.action = found.action();
    Some(found)
}

impl Found {
    /// What mends it.
    fn action(&self) -> String {
        let fixed = self.fixed.first();
        match (self.kind, fixed) {
            (ComponentKind::Distribution, Some(fixed)) => {
                format!(
                    "require `{}>={fixed}` and run `unheck lock --upgrade`",
                    self.name
                )
            }
            (ComponentKind::Distribution, None) => {
                format!("no version repairs it: do without `{}`", self.name)
            }
            (ComponentKind::Debian, Some(fixed)) => {
                format!(
                    "run `unheck lock --upgrade` with a mirror that has `{}` {fixed}",
                    self.from
                )
            }
            (ComponentKind::Debian, None) => {
                format!(
                    "Debian has not repaired `{}` in this release yet",
                    self.from
                )
            }
            (ComponentKind::Library, _) if self.from.is_empty() => {
                format!("take a newer `{}`", self.name)
            }
            (ComponentKind::Library, fixed) => {
                let fixed = fixed.map(|fixed| format!(" {fixed}")).unwrap_or_default();
                format!(
                    "upgrade `{}` to a version that brings `{}`{fixed} along",
                    self.from, self.name
                )
            }
        }
    }

    /// Whether a gate is about it: it is affected, nobody accepts that, and it is severe enough.
    pub fn counts(&self, gate: Gate) -> bool {
        let open = self.vulnerability.said.status == Status::Affected && self.excused.is_none();
        open && gate.is_about(self.level)
    }

    /// The severity as a gate sees it.
    fn severity(&self, gate: Gate) -> Severity {
        match self.counts(gate) {
            false => Severity::Info,
            true if gate.stops() => Severity::Error,
            true => Severity::Warning,
        }
    }

    /// `high 7.5`, or that nobody rates it.
    pub fn rated(&self) -> String {
        let Some(level) = self.level else {
            return "not rated, which counts as every level".to_owned();
        };
        let same = self
            .vulnerability
            .ratings
            .iter()
            .filter(|rating| rating.level == level.name());
        match same
            .filter_map(|rating| rating.score)
            .max_by(f64::total_cmp)
        {
            Some(score) => format!("{level}, {score:.1}"),
            None => level.to_string(),
        }
    }

    /// Everything that is said of it, one fact a line.
    fn evidence(&self) -> String {
        let one = &self.vulnerability;
        let aliases: Vec<&str> = one.aliases.iter().map(String::as_str).collect();
        let also = match aliases.is_empty() {
            true => String::new(),
            false => format!(", also {}", aliases.join(", ")),
        };
        let mut lines = vec![format!("{} ({}{also})", one.id, self.rated())];
        if !one.description.is_empty() {
            lines.push(one.description.clone());
        }
        let Said {
            status,
            justification,
        } = one.said;
        let why = justification
            .map(|why| format!(" ({})", why.name()))
            .unwrap_or_default();
        lines.push(format!("{}{why}: {}", status.name(), one.evidence));
        lines.push(match self.fixed.is_empty() {
            true => "repaired in no version that is known".to_owned(),
            false => format!("repaired in {}", self.fixed.join(", ")),
        });
        lines.extend(
            self.excused
                .as_ref()
                .map(|reason| format!("accepted in `[tool.unheck.allow]`: {}", printable(reason))),
        );
        lines.join("\n")
    }

    fn subject(&self) -> String {
        let version = self.version.as_deref().unwrap_or_default();
        format!("{} {version}", self.name).trim_end().to_owned()
    }
}

/// The findings of what was found. Binary packages of one source are told together.
pub fn findings(found: &[Found], gate: Gate) -> Vec<Finding> {
    let mut groups: BTreeMap<(Severity, String, &str, Status), Vec<&Found>> = BTreeMap::new();
    for one in found {
        let of = match one.kind {
            ComponentKind::Debian => format!("debian {}", one.from),
            _ => one.vulnerability.component.clone(),
        };
        let key = (
            one.severity(gate),
            of,
            one.vulnerability.id.as_str(),
            one.vulnerability.said.status,
        );
        groups.entry(key).or_default().push(one);
    }
    let told = groups.into_iter().map(|((severity, ..), group)| {
        let first = group[0];
        let names: Vec<String> = group.iter().map(|one| one.subject()).collect();
        let finding = Finding::new(severity, "vulnerability", names.join(", "), first.evidence());
        match severity {
            Severity::Info => finding,
            _ => finding.with_hint(format!(
                "{}; or `\"{}:{}\" = \"REASON\"` in `[tool.unheck.allow]`, or a row in `[tool.unheck.vex]`",
                first.vulnerability.action, excusable(first), first.vulnerability.id
            )),
        }
    });
    told.collect()
}

/// The name that an excuse is written for: the source package of Debian, so that one row is enough.
fn excusable(found: &Found) -> &str {
    match found.kind {
        ComponentKind::Debian => &found.from,
        _ => &found.name,
    }
}

/// What to say where a build is to stop at vulnerabilities and of some distributions none could be known.
pub fn unknown(looked: &Looked, gate: Gate) -> Option<Finding> {
    if !gate.stops() || looked.unknown.is_empty() {
        return None;
    }
    let evidence = format!(
        "nobody was asked about vulnerabilities of {}",
        looked.unknown.join(", ")
    );
    let finding = Finding::new(
        Severity::Warning,
        "vulnerabilities-unknown",
        "the lock",
        evidence,
    );
    Some(finding.with_hint("give an OSV export with `--osv DUMP`, or lock again where the index tells: `unheck lock --upgrade`"))
}
