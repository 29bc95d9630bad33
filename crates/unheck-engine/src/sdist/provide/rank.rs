//! Which of several packages that have the same is taken.
//!
//! In this order: the place of the file; `-dev` packages; what Debian builds the same distribution
//! with; what clearly more source packages build with, which is how the suite's default
//! implementation shows; whose run-time library the image has already; the fewest new packages;
//! OpenSSL before other TLS libraries.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Candidate, Context, Prior, Providers};
use crate::close::World as _;

/// Packages after which counting new ones ends.
const MAX_NEW: usize = 400;

/// Candidates that are looked at; the rest are in worse places.
const MAX_RANKED: usize = 24;

pub(super) struct Judge<'a> {
    providers: &'a Providers<'a>,
    context: &'a Context<'a>,
    source: Option<&'a str>,
    /// Packages of Debian's own Build-Depends, and those that they lead to.
    prior: BTreeSet<String>,
    users: RefCell<BTreeMap<String, u32>>,
}

/// What is compared, the smallest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: u8,
    is_no_dev: bool,
    is_not_prior: bool,
    magnitude: Reverse<u32>,
    is_not_in_closure: bool,
    new: usize,
    is_other_tls: bool,
    users: Reverse<u32>,
    package: String,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        providers: &'a Providers<'a>,
        context: &'a Context<'a>,
        prior: Option<&'a Prior>,
    ) -> Self {
        let mut names = BTreeSet::new();
        for (package, _) in prior.iter().flat_map(|prior| &prior.packages) {
            // An empty package such as `libldap2-dev` means what it depends on.
            if let [group] = providers.world.depends(package).as_slice() {
                names.extend(group.first().cloned());
            }
            names.insert(package.clone());
        }
        Self {
            providers,
            context,
            source: prior.map(|prior| prior.source.as_str()),
            prior: names,
            users: RefCell::default(),
        }
    }

    /// The best first, each with its reason.
    pub(super) fn ranked(&self, mut candidates: Vec<Candidate>) -> Vec<(Candidate, String)> {
        candidates
            .sort_by(|one, other| (one.place, &one.package).cmp(&(other.place, &other.package)));
        candidates.truncate(MAX_RANKED);
        let mut keyed: Vec<(Key, Candidate)> = candidates
            .into_iter()
            .map(|one| (self.key(&one), one))
            .collect();
        keyed.sort_by(|one, other| one.0.cmp(&other.0));
        keyed
            .into_iter()
            .map(|(key, candidate)| {
                let reason = self.reason(&key, &candidate);
                (candidate, reason)
            })
            .collect()
    }

    fn key(&self, candidate: &Candidate) -> Key {
        let package = &candidate.package;
        let users = self.users(package);
        Key {
            place: candidate.place,
            is_no_dev: !package.ends_with("-dev") && !package.ends_with("-dev-compat"),
            is_not_prior: !self.prior.contains(package),
            // Twice as many count, a few more do not.
            magnitude: Reverse(users.checked_ilog2().map_or(0, |bits| bits + 1)),
            is_not_in_closure: !self.is_in_closure(package),
            new: self.new_packages(package),
            is_other_tls: ["gnutls", "-nss", "mbedtls", "wolfssl"]
                .iter()
                .any(|tls| package.contains(tls)),
            users: Reverse(users),
            package: package.clone(),
        }
    }

    fn reason(&self, key: &Key, candidate: &Candidate) -> String {
        let mut text = format!("has `/{}`", candidate.path);
        if let (false, Some(source)) = (key.is_not_prior, self.source) {
            text.push_str(&format!("; Debian builds `{source}` with it"));
        }
        match key.users.0 {
            0 => {}
            1 => text.push_str("; one source package builds with it"),
            users => text.push_str(&format!("; {users} source packages build with it")),
        }
        if !key.is_not_in_closure {
            text.push_str("; the image has its library");
        }
        text
    }

    /// Source packages that build with it, by its name or that of an empty package that leads to it.
    fn users(&self, package: &str) -> u32 {
        if let Some(known) = self.users.borrow().get(package) {
            return *known;
        }
        let count = match self.providers.sources() {
            Ok(sources) => {
                let leading = self
                    .providers
                    .suites
                    .leading_to(self.providers.platform, package);
                let more: u32 = leading.iter().map(|name| sources.users(name)).sum();
                sources.users(package).saturating_add(more)
            }
            Err(_) => 0,
        };
        self.users.borrow_mut().insert(package.to_owned(), count);
        count
    }

    fn is_in_closure(&self, package: &str) -> bool {
        let closure = self.context.closure;
        let depends = self.providers.world.depends(package);
        depends
            .iter()
            .flatten()
            .any(|name| name.starts_with("lib") && closure.contains(name))
    }

    /// Packages that the build root would get: dependencies, the first alternative of each.
    fn new_packages(&self, package: &str) -> usize {
        let mut new = BTreeSet::from([package.to_owned()]);
        let mut queue = vec![package.to_owned()];
        while let Some(next) = queue.pop() {
            for group in self.providers.world.depends(&next) {
                let is_met = group
                    .iter()
                    .any(|name| self.context.installed.contains(name) || new.contains(name));
                let first = group
                    .into_iter()
                    .find(|name| self.providers.world.has(name));
                if let (false, Some(name)) = (is_met, first)
                    && new.len() < MAX_NEW
                {
                    new.insert(name.clone());
                    queue.push(name);
                }
            }
        }
        new.len()
    }
}
