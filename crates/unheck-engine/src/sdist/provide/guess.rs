//! Providers without a Contents index: packages whose names suggest it, those that Debian builds
//! the distribution with, and what another suite's index says. Each is looked into.

use std::collections::{BTreeMap, BTreeSet};

use super::{Candidate, Prior, ProvideError, Providers, Query, keep_best};
use crate::close::World as _;

/// Packages that are fetched for one lack and one kind of guess.
const MAX_LOOKED: usize = 8;

/// Shortest part of a name by which packages are looked for anywhere in their names.
const MIN_INSIDE: usize = 5;

impl Providers<'_> {
    /// Packages that have one of the files, seen in the package itself.
    pub(super) fn guessed(
        &self,
        queries: &[Query],
        prior: Option<&Prior>,
    ) -> Result<Vec<Candidate>, ProvideError> {
        let mut best = BTreeMap::new();
        let prior = prior
            .iter()
            .flat_map(|prior| prior.packages.iter().map(|(name, _)| name.clone()));
        let named = self.named_after(queries);
        self.look(prior.chain(named).collect(), queries, &mut best)?;
        if best
            .values()
            .any(|candidate: &Candidate| candidate.place == 0)
        {
            return Ok(best.into_values().collect());
        }
        let elsewhere = self
            .stand_ins()
            .iter()
            .flat_map(|files| self.listed(files, queries));
        let names: BTreeSet<String> = elsewhere
            .map(|candidate| candidate.package)
            .take(2 * MAX_LOOKED)
            .collect();
        self.look(names, queries, &mut best)?;
        Ok(best.into_values().collect())
    }

    /// Looks into packages, and into what those without a hit depend on for development: empty
    /// packages lead to others.
    fn look(
        &self,
        names: BTreeSet<String>,
        queries: &[Query],
        best: &mut BTreeMap<String, Candidate>,
    ) -> Result<(), ProvideError> {
        let missed = self.look_once(&names, queries, best)?;
        let mut further = BTreeSet::new();
        for package in missed {
            for group in self.world.depends(&package) {
                let leads = |name: &String| {
                    name.ends_with("-dev")
                        || name.ends_with("-dev-compat")
                        || name.starts_with("pkg")
                };
                further.extend(group.into_iter().filter(leads).take(1));
            }
        }
        let new = further
            .difference(&names)
            .take(2 * MAX_LOOKED)
            .cloned()
            .collect();
        self.look_once(&new, queries, best)?;
        Ok(())
    }

    /// The packages that have none of the files.
    fn look_once(
        &self,
        names: &BTreeSet<String>,
        queries: &[Query],
        best: &mut BTreeMap<String, Candidate>,
    ) -> Result<Vec<String>, ProvideError> {
        let there: BTreeSet<String> = names
            .iter()
            .filter(|name| self.world.has(name))
            .cloned()
            .collect();
        let triplet = self.platform.triplet();
        let mut missed = Vec::new();
        for (package, paths) in self.world.paths(&there)? {
            let mut is_hit = false;
            for path in paths {
                let place = queries
                    .iter()
                    .filter_map(|query| query.place(&path, triplet))
                    .min();
                if let Some(place) = place {
                    is_hit = true;
                    keep_best(
                        best,
                        Candidate {
                            package: package.clone(),
                            path,
                            place,
                        },
                    );
                }
            }
            if !is_hit {
                missed.push(package);
            }
        }
        Ok(missed)
    }

    /// Packages named after a file (Debian Policy 8.4: development files are in `…-dev`), those that
    /// most source packages build with first.
    fn named_after(&self, queries: &[Query]) -> Vec<String> {
        let mut names = BTreeSet::new();
        let all = self.suites.names(self.platform, "");
        for stem in queries
            .iter()
            .flat_map(|query| stems(&query.file_name))
            .collect::<BTreeSet<_>>()
        {
            let fits = |name: &&String| *name == &stem || is_named_after(name, &stem);
            names.extend(all.iter().filter(fits).cloned());
        }
        let users = |name: &String| self.sources().map_or(0, |sources| sources.users(name));
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_by_key(|name| (std::cmp::Reverse(users(name)), name.len()));
        names.truncate(MAX_LOOKED);
        names
    }
}

/// The words that a package of a file may be named after: `xml2` of `xml2-config`, `pq` and `pq-fe`
/// of `libpq-fe.h`.
fn stems(file_name: &str) -> BTreeSet<String> {
    let lower = file_name.to_lowercase();
    let mut stem = lower.as_str();
    for end in [
        ".h",
        ".hpp",
        ".pc",
        ".a",
        "config.cmake",
        "-config",
        "_config",
    ] {
        stem = stem.strip_suffix(end).unwrap_or(stem);
    }
    stem = stem.split_once(".so").map_or(stem, |(before, _)| before);
    let stem = stem.trim_matches(['-', '_']).replace('_', "-");
    let bare = stem.strip_prefix("lib").unwrap_or(&stem).to_owned();
    let first = bare.split('-').next().unwrap_or(&bare).to_owned();
    [stem, bare, first]
        .into_iter()
        .filter(|stem| stem.len() > 1)
        .collect()
}

fn is_named_after(package: &str, stem: &str) -> bool {
    let Some(name) = package.strip_suffix("-dev") else {
        return false;
    };
    let bare = name.strip_prefix("lib").unwrap_or(name);
    let is_border =
        |rest: &str| rest.is_empty() || rest.starts_with(|c: char| !c.is_ascii_lowercase());
    let begins = bare.strip_prefix(stem).is_some_and(is_border);
    begins || stem.len() >= MIN_INSIDE && bare.contains(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_guessed_by_the_name_of_the_file() {
        let cases = [
            ("xml2-config", "libxml2-dev", true),
            ("libpq-fe.h", "libpq-dev", true),
            ("cairo.pc", "libcairo2-dev", true),
            ("curl-config", "libcurl4-openssl-dev", true),
            ("ffi.h", "libffi-dev", true),
            ("mysqlclient.pc", "default-libmysqlclient-dev", true),
            ("libjpeg.so", "libjpeg62-turbo-dev", true),
            ("ffi.h", "libffindex0-dev", false),
            ("cairo.pc", "libcairo2", false),
        ];
        for (file, package, expected) in cases {
            let found = stems(file).iter().any(|stem| is_named_after(package, stem));
            assert_eq!(found, expected, "{file} {package}");
        }
    }
}
