//! Several databases tell of one vulnerability: what they say, put together. Start at [`merge`].

use std::collections::{BTreeMap, BTreeSet};

use crate::record::Named;
use crate::severity::{Level, Rating, highest};
use crate::subject::Hit;

/// What is known of one vulnerability of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The id that people know: a CVE where there is exactly one, else the first by name.
    pub id: String,
    /// All its other ids.
    pub aliases: BTreeSet<String>,
    /// The records that tell of it.
    pub records: BTreeSet<String>,
    /// One line.
    pub summary: String,
    /// How severe, as each says.
    pub ratings: Vec<Rating>,
    /// Versions that repair it.
    pub fixed: Vec<String>,
    /// The newest change of a record.
    pub modified: Option<String>,
    /// Affected code, where all that name a range name code too.
    pub named: Vec<Named>,
    /// How sure it is that the version is affected, in percent.
    pub sure: u8,
    /// Why it is not sure.
    pub doubt: Option<String>,
}

impl Known {
    /// The highest of its ratings; `None` where nobody rates it.
    pub fn level(&self) -> Option<Level> {
        highest(&self.ratings)
    }

    /// Whether `id` is one of its ids.
    pub fn is(&self, id: &str) -> bool {
        self.id == id || self.aliases.contains(id) || self.records.contains(id)
    }
}

/// Puts hits on one subject together, those with a common id into one. A record about several vulnerabilities, such as
/// a Debian advisory, joins none of them and is left out when each has a record of its own.
pub fn merge(hits: Vec<Hit>) -> Vec<Known> {
    let single: BTreeSet<String> = hits
        .iter()
        .filter(|hit| !is_collection(hit))
        .flat_map(ids)
        .collect();
    let told = |hit: &Hit| {
        let about = vulnerabilities(hit);
        is_collection(hit) && about.iter().all(|id| single.contains(id))
    };
    let mut groups: Vec<(BTreeSet<String>, Vec<Hit>)> = Vec::new();
    for hit in hits.into_iter().filter(|hit| !told(hit)) {
        let mut names = ids(&hit);
        let mut together = vec![hit];
        groups.retain_mut(|(other, members)| {
            let joined = !names.is_disjoint(other);
            if joined {
                names.append(other);
                together.append(members);
            }
            !joined
        });
        groups.push((names, together));
    }
    let mut known: Vec<Known> = groups
        .into_iter()
        .map(|(names, hits)| join(names, hits))
        .collect();
    known.sort_by(|one, other| one.id.cmp(&other.id));
    known
}

fn is_cve(id: &str) -> bool {
    id.starts_with("CVE-")
}

/// The vulnerabilities that a record names; Debian's older exports have them as aliases.
fn vulnerabilities(hit: &Hit) -> BTreeSet<String> {
    let cves = hit.aliases.iter().filter(|id| is_cve(id));
    hit.upstream.iter().chain(cves).cloned().collect()
}

fn is_collection(hit: &Hit) -> bool {
    vulnerabilities(hit).len() > 1
}

/// The ids by which a record is joined with others.
fn ids(hit: &Hit) -> BTreeSet<String> {
    let own = std::iter::once(&hit.id);
    match is_collection(hit) {
        true => own.cloned().collect(),
        false => own
            .chain(&hit.aliases)
            .chain(&hit.upstream)
            .cloned()
            .collect(),
    }
}

fn join(mut names: BTreeSet<String>, mut hits: Vec<Hit>) -> Known {
    hits.sort_by(|one, other| one.id.cmp(&other.id));
    for hit in hits.iter().filter(|hit| is_collection(hit)) {
        names.extend(vulnerabilities(hit));
    }
    let mut cves = names.iter().filter(|id| is_cve(id));
    let id = match (cves.next(), cves.next()) {
        (Some(only), None) => only.clone(),
        _ => hits.first().map(|hit| hit.id.clone()).unwrap_or_default(),
    };
    names.remove(&id);
    let sure = hits.iter().map(|hit| hit.sure).max().unwrap_or_default();
    let best: Vec<&Hit> = hits.iter().filter(|hit| hit.sure == sure).collect();
    let mut ratings: BTreeMap<String, Rating> = BTreeMap::new();
    for rating in hits.iter().flat_map(|hit| &hit.ratings) {
        let key = rating
            .vector
            .clone()
            .unwrap_or_else(|| format!("{} {}", rating.level, rating.source));
        ratings.entry(key).or_insert_with(|| rating.clone());
    }
    let named = match best.iter().all(|hit| !hit.named.is_empty()) {
        true => best
            .iter()
            .flat_map(|hit| hit.named.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        false => Vec::new(),
    };
    let mut fixed: Vec<String> = Vec::new();
    for one in best.iter().flat_map(|hit| &hit.fixed) {
        if !fixed.contains(one) {
            fixed.push(one.clone());
        }
    }
    Known {
        id,
        aliases: names,
        records: hits.iter().map(|hit| hit.id.clone()).collect(),
        summary: hits
            .iter()
            .map(|hit| hit.summary.clone())
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        ratings: ratings.into_values().collect(),
        fixed,
        modified: hits.iter().filter_map(|hit| hit.modified.clone()).max(),
        named,
        sure,
        doubt: best.iter().find_map(|hit| hit.doubt.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::severity::Method;

    fn hit(id: &str, aliases: &[&str], upstream: &[&str]) -> Hit {
        let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Hit {
            id: id.into(),
            aliases: texts(aliases),
            upstream: texts(upstream),
            summary: String::new(),
            ratings: Vec::new(),
            fixed: Vec::new(),
            modified: None,
            named: Vec::new(),
            sure: 100,
            doubt: None,
        }
    }

    fn names(hits: Vec<Hit>) -> Vec<String> {
        let shown = |known: &Known| format!("{} {:?}", known.id, known.aliases).replace('"', "");
        merge(hits).iter().map(shown).collect()
    }

    #[test]
    fn records_with_a_common_id_are_one_in_any_order() {
        let one = hit("PYSEC-1", &["CVE-1"], &[]);
        let two = hit("GHSA-1", &["CVE-1"], &[]);
        let bridge = hit("PYSEC-2", &["GHSA-2", "CVE-2"], &[]);
        let far = hit("GHSA-2", &[], &[]);
        let expected = ["CVE-1 {GHSA-1, PYSEC-1}", "CVE-2 {GHSA-2, PYSEC-2}"];
        assert_eq!(
            names(vec![one.clone(), far.clone(), bridge.clone(), two.clone()]),
            expected
        );
        assert_eq!(names(vec![two, bridge, one, far]), expected);
    }

    #[test]
    fn an_advisory_about_several_joins_none_and_goes_where_each_is_told() {
        let advisory = hit("DSA-1", &[], &["CVE-1", "CVE-2"]);
        let old_form = hit("DSA-2", &["CVE-1", "CVE-2"], &[]);
        let own = [
            hit("DEBIAN-CVE-1", &[], &["CVE-1"]),
            hit("DEBIAN-CVE-2", &[], &["CVE-2"]),
        ];
        let both = ["CVE-1 {DEBIAN-CVE-1}", "CVE-2 {DEBIAN-CVE-2}"];
        assert_eq!(
            names([vec![advisory.clone(), old_form], own.to_vec()].concat()),
            both
        );
        assert_eq!(
            names(vec![advisory, own[0].clone()]),
            ["CVE-1 {DEBIAN-CVE-1}", "DSA-1 {CVE-1, CVE-2}"]
        );
    }

    #[test]
    fn the_highest_level_counts_and_code_only_where_all_name_it() {
        let rated = |id: &str, level| Hit {
            ratings: vec![Rating {
                level,
                score: None,
                vector: None,
                method: Method::Word,
                source: id.into(),
            }],
            named: vec![Named::Dotted("a.b".into())],
            ..hit(id, &["CVE-1"], &[])
        };
        let (low, high) = (rated("A", Level::Low), rated("B", Level::High));
        let both = merge(vec![low.clone(), high.clone()]);
        assert_eq!(
            (both[0].level(), both[0].named.len()),
            (Some(Level::High), 1)
        );
        let blank = Hit {
            named: Vec::new(),
            ..high
        };
        let both = merge(vec![low, blank]);
        assert_eq!(both[0].named, []);
        assert!(both[0].is("A") && both[0].is("CVE-1") && !both[0].is("CVE-2"));
    }
}
