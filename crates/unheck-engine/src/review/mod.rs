//! What a step between two versions of a distribution breaks: the engine's half of `unheck review`.
//!
//! Files come from the index into the store by their digest, and are parsed there; nothing of any distribution is run
//! or installed. What a step is comes from `unheck-names`, what changes from `unheck-pyapi`. [`project`] reviews the
//! upgrades of a lock. Start at [`review`].

mod code;
mod error;
mod files;
mod pick;
pub mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use unheck_base::Digest;
use unheck_names::facts::{File, Project};
use unheck_names::label::normalize;
use unheck_names::step::{Side, step};
use unheck_names::version::{Written, parse};
use unheck_pyapi::api::{
    Code, DiffOptions, LeftOut, Tree, behaviour_uses, behaviours, breaks, deprecated, diff, rules,
    touched,
};
use unheck_resolve::{IndexFile, IndexPage};
use url::Url;

pub use code::OwnCode;
pub use error::ReviewError;
pub use project::Class;
pub use unheck_names::step::{Direction, End, Step};
pub use unheck_pyapi::api::{Bump, Change, ChangeKind, Severity, Tier, Use};

use crate::identify::index::LiveIndex;
use crate::net::Want;
use crate::platform::Platform;
use crate::session::Session;

/// Most versions that are named when one is not there.
const NEAR: usize = 5;

/// For which system the code is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Major and minor version of Python.
    pub python: (u8, u8),
    /// Which wheels are preferred.
    pub platform: Platform,
}

/// What is reviewed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The distribution, in any spelling.
    pub dist: &'a str,
    /// The version that is used.
    pub old: &'a str,
    /// The version that it would be.
    pub new: &'a str,
    /// For which system.
    pub target: Target,
    /// The user's code.
    pub code: Option<&'a OwnCode>,
    /// Distributions that use it and stay as they are.
    pub dependents: &'a [Dependent],
}

/// A distribution that uses the one that is reviewed.
#[derive(Debug, Clone)]
pub struct Dependent {
    /// Its normalised name.
    pub dist: String,
    /// Its version.
    pub version: String,
    /// The file name of its wheel, which is in the store.
    pub wheel: String,
    /// The wheel's digest.
    pub digest: Digest,
}

/// Lines of one distribution, or lines of the code that one distribution is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// The normalised name.
    pub dist: String,
    /// Its version.
    pub version: String,
    /// The lines.
    pub uses: Vec<Use>,
}

/// A step and what it changes: `schemas/review.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// The normalised name.
    pub dist: String,
    /// The old version as it was asked for.
    pub old: String,
    /// The new one.
    pub new: String,
    /// What the index says of the step.
    pub step: Step,
    /// The two files that were compared.
    pub compared: [String; 2],
    /// What changes in the API, sorted.
    pub changes: Vec<Change>,
    /// How many public names are new.
    pub added: usize,
    /// The part of a semantic version that the changes ask for.
    pub required: Bump,
    /// Lines of the code that the step touches: breaks first, then what may break, then known changes of behaviour.
    pub uses: Vec<Use>,
    /// Lines of the code that use what the old version already announces to go away.
    pub deprecated: Vec<Use>,
    /// Known changes of behaviour between the two versions: no proof of anything.
    pub behaviours: Vec<Known>,
    /// Lines that break in distributions that use it and stay as they are.
    pub dependents: Vec<Lines>,
    /// APIs that change and that the code uses, whether or not that breaks it.
    pub touched: Vec<String>,
    /// How many modules the two versions have.
    pub modules: [usize; 2],
    /// Files that were not read, or not well, of the two versions.
    pub left_out: [Vec<Unread>; 2],
    /// Whether code was given.
    pub has_code: bool,
}

/// A known change of behaviour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Known {
    /// The API; `x.*` for all below it; empty for the distribution as a whole.
    pub api: String,
    /// What is different.
    pub what: String,
    /// Where the project says so.
    pub link: String,
}

/// A file that was not read, or not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Its path.
    pub path: String,
    /// Why.
    pub why: String,
}

impl Dependent {
    /// The lines that provably break; `None`: there is none.
    fn broken(&self, code: &Code, old: &Tree, new: &Tree) -> Option<Lines> {
        let mut uses = breaks(code, old, new);
        uses.retain(|one| one.tier == Tier::Proven);
        (!uses.is_empty()).then(|| Lines {
            dist: self.dist.clone(),
            version: self.version.clone(),
            uses,
        })
    }
}

impl Review {
    /// Whether something was found that breaks: a line of the code or of a distribution that stays, where code was
    /// given, else an API.
    pub fn breaks(&self) -> bool {
        if !self.dependents.is_empty() {
            return true;
        }
        if self.has_code {
            return self.uses.iter().any(|one| one.tier == Tier::Proven);
        }
        self.changes.iter().any(|change| change.breaking)
    }

    /// What the step does to the code; where none was given, to any program.
    pub fn class(&self) -> Class {
        if self.breaks() {
            Class::Breaks
        } else if self.opaque().is_some() {
            Class::Opaque
        } else if !self.uses.is_empty() || !self.touched.is_empty() {
            Class::Touches
        } else {
            Class::Safe
        }
    }

    /// Why nothing can be said of the step.
    pub fn opaque(&self) -> Option<String> {
        let versions = [&self.old, &self.new];
        let empty = versions
            .iter()
            .zip(self.modules)
            .find(|(_, many)| *many == 0);
        if let Some((version, _)) = empty {
            return Some(format!("no module was found in {version}"));
        }
        let unread = versions
            .iter()
            .zip(self.modules)
            .zip(&self.left_out)
            .find(|((_, modules), files)| files.len() * 2 > *modules);
        if let Some(((version, _), _)) = unread {
            return Some(format!("most modules of {version} cannot be read"));
        }
        let mut unknown = self
            .changes
            .iter()
            .filter(|change| change.severity == Severity::Opaque);
        let used = unknown.find(|change| self.touched.contains(&change.api));
        used.map(|change| format!("`{}` cannot be known any more", change.api))
    }

    /// Whether the version number rises by less than the changes ask for. Below 1.0 the second number is the one that
    /// breaks (semver.org, clause 4); versions that are no such numbers promise nothing.
    pub fn is_understated(&self) -> bool {
        use unheck_names::step::{Bump as Actual, Direction};
        if self.step.direction != Direction::Up {
            return false;
        }
        let is_zero = self.old.trim_start_matches(['v', 'V']).starts_with("0.");
        let least = match self.required {
            Bump::Major if is_zero => Actual::Minor,
            Bump::Major => Actual::Major,
            Bump::Minor if is_zero => Actual::Patch,
            Bump::Minor => Actual::Minor,
            Bump::Patch | Bump::None => return false,
        };
        self.step.bump < least
    }
}

/// Reviews one step. `index` is asked for the page and, where it has them, for vulnerabilities.
///
/// # Errors
/// [`ReviewError`].
pub fn review(
    session: &Session,
    index: &LiveIndex<'_>,
    request: &Request<'_>,
) -> Result<Review, ReviewError> {
    let dist = normalize(request.dist);
    let page = page(index, &dist)?;
    let old = Picked::find(&dist, request.old, &page, request.target)?;
    let new = Picked::find(&dist, request.new, &page, request.target)?;
    let (old_blob, new_blob) = fetch(session, (old.file, new.file))?;
    let store = session.store();
    let python = request.target.python;
    let (old_read, new_read) = rayon::join(
        || files::read(store, &old.file.filename, &old_blob, python),
        || files::read(store, &new.file.filename, &new_blob, python),
    );
    let (old_read, new_read) = (old_read?, new_read?);
    let requires = [old_read.requires, new_read.requires];
    let step = around(index, (&dist, &page), [&old, &new], &requires);
    let (old_tree, new_tree) = (old_read.tree, new_read.tree);
    let found = compare(&dist, request, &old_tree, &new_tree);
    let dependents = request.dependents.iter();
    // One after the other: syntax trees of several at once are large.
    let dependents = dependents.filter_map(|one| {
        let code = files::program(store, &one.wheel, &one.digest, python).ok()??;
        one.broken(&code, &old_tree, &new_tree)
    });
    Ok(Review {
        old: request.old.to_owned(),
        new: request.new.to_owned(),
        step,
        compared: [old.file.filename.clone(), new.file.filename.clone()],
        left_out: [unread(&old_tree), unread(&new_tree)],
        has_code: request.code.is_some(),
        dist,
        changes: found.changes,
        added: found.added,
        required: found.required,
        uses: found.uses,
        deprecated: found.deprecated,
        behaviours: found.behaviours,
        touched: found.touched,
        dependents: dependents.collect(),
        modules: [old_tree.modules(), new_tree.modules()],
    })
}

fn page(index: &LiveIndex<'_>, dist: &str) -> Result<Arc<IndexPage>, ReviewError> {
    let page = index.files(dist).map_err(|source| ReviewError::Index {
        dist: dist.to_owned(),
        source,
    })?;
    page.filter(|page| !page.files.is_empty())
        .ok_or_else(|| ReviewError::NoDistribution {
            dist: dist.to_owned(),
        })
}

/// A version and the file of it that is compared.
struct Picked<'a> {
    /// As it was asked for.
    written: &'a str,
    /// As the index has it.
    version: &'a str,
    file: &'a IndexFile,
}

impl<'a> Picked<'a> {
    fn find(
        dist: &str,
        written: &'a str,
        page: &'a IndexPage,
        target: Target,
    ) -> Result<Self, ReviewError> {
        let wanted = parse(written);
        let is_it = |file: &&IndexFile| wanted.is_some() && parse(&file.version) == wanted;
        let files: Vec<&IndexFile> = page.files.iter().filter(is_it).collect();
        let Some(first) = files.first() else {
            let shown = Written::read(written);
            return Err(ReviewError::NoVersion {
                dist: dist.to_owned(),
                near: near(written, page),
                version: shown.written,
                oddity: shown.oddity,
            });
        };
        let best = pick::candidates(&files, target).into_iter().next();
        Ok(Self {
            written,
            version: &first.version,
            file: best.ok_or_else(|| ReviewError::NoFile {
                dist: dist.to_owned(),
                version: first.version.clone(),
            })?,
        })
    }
}

/// The versions around one that is not there; the newest ones where it is no version.
fn near(written: &str, page: &IndexPage) -> Vec<String> {
    let mut versions: Vec<_> = page
        .files
        .iter()
        .filter_map(|file| parse(&file.version))
        .collect();
    versions.sort();
    versions.dedup();
    let at = match parse(written) {
        Some(wanted) => versions.partition_point(|version| *version < wanted),
        None => versions.len(),
    };
    let from = at
        .saturating_sub(NEAR / 2 + 1)
        .min(versions.len().saturating_sub(NEAR));
    let near = versions.iter().skip(from).take(NEAR);
    near.map(ToString::to_string).collect()
}

/// What is fetched for a file; `None` where the index states no digest.
fn want(file: &IndexFile) -> Result<Option<Want>, crate::net::NetError> {
    let Some(digest) = file.sha256 else {
        return Ok(None);
    };
    Ok(Some(Want {
        label: file.filename.clone(),
        urls: vec![address(file)?],
        digest,
        size: file.size,
        credentials: true,
    }))
}

fn address(file: &IndexFile) -> Result<Url, crate::net::NetError> {
    Url::parse(&file.url).map_err(|error| crate::net::NetError::Client(error.to_string()))
}

/// Brings both files into the store and answers their digests.
fn fetch(
    session: &Session,
    (old, new): (&IndexFile, &IndexFile),
) -> Result<(Digest, Digest), ReviewError> {
    let mut wants = Vec::new();
    for file in [old, new] {
        wants.extend(want(file)?);
    }
    wants.dedup_by(|left, right| left.digest == right.digest);
    session.net.fetch(wants)?;
    let digest = |file: &IndexFile| match file.sha256 {
        Some(digest) => Ok(digest),
        // An index without digests: what came over a trusted connection is what it has.
        None => Ok::<_, ReviewError>(session.net.fetch_unknown(
            &file.filename,
            address(file)?,
            file.size,
        )?),
    };
    Ok((digest(old)?, digest(new)?))
}

/// What the index says of the step: its history, vulnerabilities where it knows them, requirements as the wheels
/// state them.
fn around(
    index: &LiveIndex<'_>,
    (dist, page): (&str, &IndexPage),
    ends: [&Picked<'_>; 2],
    requires: &[Option<Vec<String>>; 2],
) -> Step {
    let versions = ends.map(|picked| picked.version);
    let told = index.versions(dist, &versions);
    let mut releases: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in &page.files {
        releases
            .entry(file.version.clone())
            .or_default()
            .push(plain(file));
    }
    let side = |at: usize| {
        let project: Option<&Project> = told.get(at).and_then(Option::as_ref);
        Side {
            written: ends[at].written,
            requires_dist: requires[at]
                .as_deref()
                .or(project.map(|project| project.requires_dist.as_slice())),
            vulnerabilities: project.map(|project| project.vulnerabilities.as_slice()),
        }
    };
    step(side(0), side(1), &releases)
}

fn plain(file: &IndexFile) -> File {
    File {
        filename: file.filename.clone(),
        url: file.url.clone(),
        version: file.version.clone(),
        size: file.size,
        uploaded: file.upload_time.clone(),
        yanked: file.yanked.clone(),
        requires_python: file.requires_python.clone(),
        ..File::default()
    }
}

/// What a comparison of two trees gives.
struct Compared {
    changes: Vec<Change>,
    added: usize,
    required: Bump,
    uses: Vec<Use>,
    deprecated: Vec<Use>,
    behaviours: Vec<Known>,
    touched: Vec<String>,
}

fn compare(dist: &str, request: &Request<'_>, old: &Tree, new: &Tree) -> Compared {
    let known = behaviours(dist, request.old, request.new);
    let own = request.code;
    let (difference, (uses, deprecated, used)) = rayon::join(
        || diff(old, new, DiffOptions::default()),
        || {
            let Some(own) = own else {
                return (Vec::new(), Vec::new(), BTreeSet::new());
            };
            let mut uses = breaks(&own.code, old, new);
            uses.extend(behaviour_uses(&own.code, old, &known));
            let used: BTreeSet<String> = touched(&own.code, old)
                .into_iter()
                .map(|(.., api)| api)
                .collect();
            (
                own.placed(uses),
                own.placed(deprecated(&own.code, old)),
                used,
            )
        },
    );
    let required = required(&difference.changes, difference.added);
    let mut uses = uses;
    uses.sort_by(|left, right| {
        (left.tier, &left.file, left.line, &left.api).cmp(&(
            right.tier,
            &right.file,
            right.line,
            &right.api,
        ))
    });
    let apis: BTreeSet<String> = difference
        .changes
        .iter()
        .map(|change| change.api.clone())
        .collect();
    Compared {
        touched: apis.intersection(&used).cloned().collect(),
        changes: difference.changes,
        added: difference.added,
        required,
        uses,
        deprecated,
        behaviours: known
            .into_iter()
            .map(|one| Known {
                api: one.api.clone(),
                what: one.what.clone(),
                link: one.link.clone(),
            })
            .collect(),
    }
}

/// The largest bump that a change asks for; new names ask for a minor one.
fn required(changes: &[Change], added: usize) -> Bump {
    let asked = changes.iter().filter_map(|change| {
        let rule = rules().iter().find(|rule| rule.id == change.rule)?;
        Some(rule.bump)
    });
    let least = if added > 0 { Bump::Minor } else { Bump::None };
    asked.max().unwrap_or(Bump::None).max(least)
}

fn unread(tree: &Tree) -> Vec<Unread> {
    let one = |left: &LeftOut| Unread {
        path: left.path.clone(),
        why: left.why.clone(),
    };
    tree.left_out.iter().map(one).collect()
}
