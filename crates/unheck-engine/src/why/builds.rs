//! What a lock remembers of compiled distributions, as answers: how one was made, and for what a Debian package was in a
//! build root.

use super::{Chain, Link, Subject, View, deb_text};
use crate::lock::{Chosen, Compiled};

impl View<'_> {
    /// How the distribution of that name was compiled.
    pub(super) fn compiled(&self, name: &str) -> Option<Chain> {
        let build = self.builds().find(|build| build.name == name)?;
        let mut links = vec![Link {
            relation: "compiled from",
            what: match &build.sdist {
                Some(sdist) => sdist.name.clone(),
                None => format!("a source tree ({})", build.source),
            },
        }];
        for attempt in &build.attempts {
            let (lacked, added) = (attempt.lacked.join("; "), attempt.added.join(", "));
            links.push(Link {
                relation: "failed at first for",
                what: format!("{lacked}: {added} added"),
            });
        }
        links.extend(build.debs.iter().map(|deb| Link {
            relation: "compiled with",
            what: format!("{}: {}", deb.name, deb.why),
        }));
        Some(self.chain(subject(name, Some(build.wheel.name.clone())), links))
    }

    /// What a Debian package that does not ship was needed for.
    pub(super) fn build_package(&self, name: &str) -> Option<Chain> {
        let deb = self.target.build_debs.iter().find(|deb| deb.name == name)?;
        let uses = self.builds().filter_map(|build| {
            let label = format!(
                "{} {}",
                build.name,
                build.version.as_deref().unwrap_or_default()
            );
            let chosen = build.debs.iter().find(|one| one.name == name);
            let what = match chosen {
                Some(Chosen { why, .. }) => format!("{}: {why}", label.trim_end()),
                None if deb.base => return None,
                None if build.root.iter().any(|one| one == name) => {
                    format!(
                        "{}: what it was compiled with depends on it",
                        label.trim_end()
                    )
                }
                None => return None,
            };
            Some(Link {
                relation: "used to compile",
                what,
            })
        });
        let mut links: Vec<Link> = uses.collect();
        if deb.base {
            links.push(Link {
                relation: "used to compile",
                what: "everything: it is part of every build root".to_owned(),
            });
        }
        let owner = format!("{}, which does not ship", deb_text(deb));
        Some(self.chain(subject(name, Some(owner)), links))
    }

    fn builds(&self) -> impl Iterator<Item = &Compiled> {
        let platform = self.target.platform;
        let builds = self.lock.plan.builds.iter();
        builds.filter(move |build| build.platform == platform)
    }
}

fn subject(name: &str, owner: Option<String>) -> Subject {
    Subject {
        kind: "build",
        name: name.to_owned(),
        file: None,
        owner,
        layer: None,
    }
}
