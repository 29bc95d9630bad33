//! Why something is in an artifact: the chain back to the project's own requirement. Start at [`why`].
//!
//! Answers from the artifact alone: its lock, which has a reason for every Debian file, and the
//! lists of who owns what. Guesses nothing: where no reason is recorded, the chain ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use unheck_base::TreePath;

use crate::explain::{Class, Explain};
use crate::inside::{Inside, InsideError, look};
use crate::lock::{Deb, Lock, Target};
use crate::tree::Origin;

/// Longest chain that is followed.
const MAX_LINKS: usize = 64;

/// Longest name that is compared with others for likeness.
const MAX_NAME: usize = 200;

/// Why one thing is in an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Chain {
    /// For which platform.
    pub platform: String,
    /// What it is.
    pub subject: Subject,
    /// From the subject to the project, each the reason of the one before.
    pub links: Vec<Link>,
}

/// The thing that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// `file`, `distribution` or `deb`.
    pub kind: &'static str,
    /// Its path or name.
    pub name: String,
    /// The file that it is in the end, where it is a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Who brought it, with version, such as `Debian package libgl1 1.7.0-1+b2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The layer that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Link {
    /// How it follows from the next: `needed by`, `opened by`, `required by`, `part of`, …
    pub relation: &'static str,
    /// What wants it.
    pub what: String,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// The artifact cannot be read.
    #[error("cannot look into `{path}`", path = path.display())]
    Inside {
        /// The artifact.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: Box<InsideError>,
    },
    /// Nothing inside says where it comes from.
    #[error("`{path}` has no lock inside: unheck did not make it", path = path.display())]
    NoLock {
        /// The artifact.
        path: std::path::PathBuf,
    },
    /// Nothing of that name is in it.
    #[error("`{path}` has no file, distribution, Debian package or library called `{name}`", path = path.display())]
    Unknown {
        /// The artifact.
        path: std::path::PathBuf,
        /// What was asked for.
        name: String,
        /// Names that are there and look alike, the nearest first.
        near: Vec<String>,
    },
}

impl Explain for WhyError {
    fn class(&self) -> Class {
        match self {
            Self::Inside { source, .. } => source.class(),
            Self::NoLock { .. } => Class::Input,
            Self::Unknown { .. } => Class::Verdict,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Inside { source, .. } => source.hints(),
            Self::Unknown { near, .. } if !near.is_empty() => {
                let names: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
                vec![format!("near names: {}", names.join(", "))]
            }
            _ => Vec::new(),
        }
    }
}

/// Why `name` is in the artifact at `path`: one chain per platform and thing of that name, sorted.
///
/// `name` is a path or file name, a soname, a distribution (any spelling) or a Debian package.
///
/// # Errors
/// [`WhyError`]; an unknown name comes with names that are like it.
pub fn why(path: &Path, name: &str) -> Result<Vec<Chain>, WhyError> {
    let platforms = look(path).map_err(|source| WhyError::Inside {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let mut chains = Vec::new();
    let mut any_lock = false;
    for inside in &platforms {
        if let Some(view) = View::new(inside) {
            any_lock = true;
            view.find(name, &mut chains);
        }
    }
    if !any_lock {
        return Err(WhyError::NoLock {
            path: path.to_owned(),
        });
    }
    if chains.is_empty() {
        let near = near(&platforms, name);
        return Err(WhyError::Unknown {
            path: path.to_owned(),
            name: name.to_owned(),
            near,
        });
    }
    chains.sort();
    chains.dedup();
    Ok(chains)
}

/// One platform with its half of the lock.
struct View<'a> {
    inside: &'a Inside,
    lock: &'a Lock,
    target: &'a Target,
}

impl<'a> View<'a> {
    fn new(inside: &'a Inside) -> Option<Self> {
        let lock = inside.lock.as_ref()?;
        let target = lock
            .plan
            .targets
            .iter()
            .find(|target| target.platform.to_string() == inside.platform)?;
        Some(Self {
            inside,
            lock,
            target,
        })
    }

    fn find(&self, name: &str, chains: &mut Vec<Chain>) {
        let wanted = name.trim_start_matches('/');
        let distribution = unheck_wheel::normalize_name(wanted);
        if self.version(&distribution).is_some() {
            let mut links = Vec::new();
            self.distribution(&distribution, &mut links);
            let owner = Some(self.dist_text(&distribution));
            chains.push(self.chain(
                Subject {
                    kind: "distribution",
                    name: distribution,
                    file: None,
                    owner,
                    layer: None,
                },
                links,
            ));
        }
        if let Some(deb) = self.deb(wanted) {
            let mut links = Vec::new();
            self.reason(&deb.reason, &mut links, &mut BTreeSet::new());
            let owner = Some(deb_text(deb));
            chains.push(self.chain(
                Subject {
                    kind: "deb",
                    name: wanted.to_owned(),
                    file: None,
                    owner,
                    layer: None,
                },
                links,
            ));
        }
        let matching = self
            .inside
            .files
            .keys()
            .filter(|path| path.as_str() == wanted || path.file_name() == wanted);
        for path in matching {
            chains.push(self.file_chain(path, wanted));
        }
    }

    fn chain(&self, subject: Subject, links: Vec<Link>) -> Chain {
        Chain {
            platform: self.inside.platform.clone(),
            subject,
            links,
        }
    }

    fn file_chain(&self, path: &TreePath, wanted: &str) -> Chain {
        let file = &self.inside.files[path];
        let target = self.inside.follow(path);
        let mut links = Vec::new();
        self.file(path, &mut links, &mut BTreeSet::new());
        let subject = Subject {
            kind: "file",
            name: wanted.to_owned(),
            file: (target.as_str() != wanted).then(|| target.as_str().to_owned()),
            owner: Some(self.owner_text(&file.origin)),
            layer: self
                .inside
                .layers
                .get(file.layer)
                .map(|layer| layer.name.clone()),
        };
        self.chain(subject, links)
    }

    fn deb(&self, name: &str) -> Option<&'a Deb> {
        self.target.debs.iter().find(|deb| deb.name == name)
    }

    fn version(&self, distribution: &str) -> Option<&'a str> {
        let package = self
            .lock
            .packages
            .iter()
            .find(|package| package.name == distribution)?;
        Some(package.version.as_deref().unwrap_or_default())
    }

    fn dist_text(&self, name: &str) -> String {
        match self.version(name) {
            Some(version) if !version.is_empty() => format!("{name} {version}"),
            _ => name.to_owned(),
        }
    }

    fn owner_text(&self, origin: &Origin) -> String {
        match origin {
            Origin::Deb(name) => self
                .deb(name)
                .map_or_else(|| format!("Debian package {name}"), deb_text),
            Origin::Distribution(name) => self.dist_text(name),
            Origin::Interpreter => format!(
                "the interpreter, Python {}",
                self.target.interpreter.version
            ),
            Origin::App => "the app's own files".to_owned(),
            Origin::Generated(step) => format!("made by unheck, step `{step}`"),
        }
    }

    /// The reasons of a file at a path.
    fn file(&self, path: &TreePath, links: &mut Vec<Link>, seen: &mut BTreeSet<String>) {
        if !seen.insert(path.to_string()) || links.len() > MAX_LINKS {
            return;
        }
        let Some(file) = self.inside.files.get(path) else {
            return;
        };
        match &file.origin {
            Origin::Deb(name) => {
                let Some(deb) = self.deb(name) else { return };
                let reason = deb.files.get(path).unwrap_or(&deb.reason);
                self.reason(reason, links, seen);
            }
            Origin::Distribution(name) => self.distribution(name, links),
            Origin::Interpreter => push(links, "part of", self.owner_text(&file.origin)),
            Origin::App => push(links, "part of", self.project()),
            Origin::Generated(_) => {
                push(links, "part of", "every image: made by unheck".to_owned())
            }
        }
    }

    /// A recorded reason and what it leads to. The forms are those that the closure writes.
    fn reason(&self, reason: &str, links: &mut Vec<Link>, seen: &mut BTreeSet<String>) {
        if links.len() > MAX_LINKS {
            return;
        }
        if let Some(path) = reason.strip_prefix("target of ") {
            return self.through(path, links, seen);
        }
        if let Some(package) = reason
            .strip_prefix("data of ")
            .and_then(|rest| rest.strip_suffix(" (Depends)"))
        {
            let deb = self.deb(package);
            push(
                links,
                "data of",
                deb.map_or_else(|| format!("Debian package {package}"), deb_text),
            );
            if let Some(deb) = deb.filter(|_| seen.insert(format!("deb {package}"))) {
                self.reason(&deb.reason, links, seen);
            }
            return;
        }
        let Some((need, by)) = reason.split_once(" <- ") else {
            return match reason {
                "the interpreter" => push(links, "part of", self.owner_text(&Origin::Interpreter)),
                "added by hand" => push(
                    links,
                    "added by",
                    "hand: `debs` in `[tool.unheck]`".to_owned(),
                ),
                rule => push(links, "shipped by", rule.to_owned()),
            };
        };
        let (path, line) = match by.rsplit_once(':') {
            Some((path, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => {
                (path, Some(line))
            }
            _ => (by, None),
        };
        let relation = match (need, line) {
            ("program interpreter", _) => "program interpreter of",
            (_, Some(_)) => "opened by",
            _ => "needed by",
        };
        let place = TreePath::new(path).ok();
        let origin = place
            .as_ref()
            .and_then(|path| self.inside.files.get(path))
            .map(|file| &file.origin);
        let owner = origin
            .map(|origin| format!(" of {}", self.owner_text(origin)))
            .unwrap_or_default();
        let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
        push(links, relation, format!("{path}{line}{owner}"));
        self.through(path, links, seen);
    }

    fn through(&self, path: &str, links: &mut Vec<Link>, seen: &mut BTreeSet<String>) {
        if let Ok(path) = TreePath::new(path) {
            self.file(&path, links, seen);
        }
    }

    /// From a distribution up to the project.
    fn distribution(&self, name: &str, links: &mut Vec<Link>) {
        let mut above = self.lock.chain(name);
        if above.pop().is_none() {
            return push(
                links,
                "locked",
                "but nothing in the lock asks for it".to_owned(),
            );
        }
        for one in above.iter().rev() {
            push(links, "required by", self.dist_text(one));
        }
        push(links, "required by", self.project());
    }

    fn project(&self) -> String {
        match &self.inside.project {
            Some(name) => format!("{name} (project)"),
            None => "the project".to_owned(),
        }
    }
}

/// Reasons of every file of a platform at once, for who shows all of them.
pub(crate) struct Reasons<'a> {
    view: Option<View<'a>>,
    /// By origin, where a file's reason is that of its origin.
    origins: BTreeMap<Origin, Vec<String>>,
}

impl<'a> Reasons<'a> {
    /// Reasons from the lock inside; without one there are none.
    pub(crate) fn new(inside: &'a Inside) -> Self {
        let view = View::new(inside);
        let all: BTreeSet<&Origin> = inside.files.values().map(|file| &file.origin).collect();
        let reason = |view: &View<'a>, origin: &Origin| {
            let mut links = Vec::new();
            match origin {
                Origin::Distribution(name) => view.distribution(name, &mut links),
                Origin::Deb(name) => {
                    if let Some(deb) = view.deb(name) {
                        view.reason(&deb.reason, &mut links, &mut BTreeSet::new());
                    }
                }
                Origin::Interpreter => push(&mut links, "part of", view.owner_text(origin)),
                Origin::App => push(&mut links, "part of", view.project()),
                Origin::Generated(_) => {}
            }
            texts(&links)
        };
        let origins = view.iter().flat_map(|view| {
            let one = |origin: &&Origin| ((*origin).clone(), reason(view, origin));
            all.iter().map(one).collect::<Vec<_>>()
        });
        Self {
            origins: origins.collect(),
            view,
        }
    }

    /// Who it is, with version where the lock has one.
    pub(crate) fn owner(&self, origin: &Origin) -> String {
        let view = self.view.as_ref();
        view.map_or_else(|| origin.to_string(), |view| view.owner_text(origin))
    }

    /// Why all of an origin is here, each line the reason of the one before.
    pub(crate) fn of_origin(&self, origin: &Origin) -> Vec<String> {
        self.origins.get(origin).cloned().unwrap_or_default()
    }

    /// Why the file at `path` is here.
    pub(crate) fn of_file(&self, path: &TreePath) -> Vec<String> {
        let Some(view) = &self.view else {
            return Vec::new();
        };
        match view.inside.files.get(path).map(|file| &file.origin) {
            Some(Origin::Deb(_)) => {
                let mut links = Vec::new();
                view.file(path, &mut links, &mut BTreeSet::new());
                texts(&links)
            }
            Some(origin) => self.of_origin(origin),
            None => Vec::new(),
        }
    }
}

fn texts(links: &[Link]) -> Vec<String> {
    let text = |link: &Link| format!("{} {}", link.relation, link.what);
    links.iter().map(text).collect()
}

fn push(links: &mut Vec<Link>, relation: &'static str, what: String) {
    links.push(Link { relation, what });
}

fn deb_text(deb: &Deb) -> String {
    format!("Debian package {} {}", deb.name, deb.version)
}

/// Up to five names of things inside that are like `name`, the nearest first.
fn near(platforms: &[Inside], name: &str) -> Vec<String> {
    let wanted: String = name
        .rsplit('/')
        .next()
        .unwrap_or(name)
        .to_lowercase()
        .chars()
        .take(MAX_NAME)
        .collect();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for inside in platforms {
        names.extend(inside.files.keys().map(TreePath::file_name));
        let Some(lock) = &inside.lock else { continue };
        names.extend(lock.packages.iter().map(|package| package.name.as_str()));
        names.extend(
            lock.plan
                .targets
                .iter()
                .flat_map(|target| &target.debs)
                .map(|deb| deb.name.as_str()),
        );
    }
    // Library names are alike in most of their letters, so few may differ.
    let limit = 1 + wanted.chars().count() / 6;
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|one| one.len() <= MAX_NAME)
        .filter_map(|one| {
            let lower = one.to_lowercase();
            let distance = distance(&wanted, &lower);
            let inside = wanted.len() >= 3 && lower.contains(&wanted);
            (distance <= limit || inside).then(|| {
                (
                    if inside {
                        distance.min(limit)
                    } else {
                        distance
                    },
                    one,
                )
            })
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(5)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Levenshtein's edit distance in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let cost = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use unheck_base::Digest;

    use super::*;
    use crate::inside::InsideFile;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).expect(text)
    }

    const LOCK: &str = r#"
lock-version = "1.0"
created-by = "unheck"

[[packages]]
name = "shop"
version = "2.0"
dependencies = [{ name = "cv" }]
[[packages]]
name = "cv"
version = "4.12"
[tool.unheck]
format = 1
inputs = "DIGEST"
epoch = 0
roots = ["shop"]
[[tool.unheck.targets]]
platform = "linux/amd64"
wheels = []
interpreter = { provider = "debian", version = "3.13.5", glibc = "2.41" }
DEBS
"#;

    fn deb(name: &str, reason: &str, files: &[(&str, &str)]) -> String {
        let files: String = files
            .iter()
            .map(|(path, reason)| format!("\"{path}\" = \"{reason}\"\n"))
            .collect();
        format!(
            "[[tool.unheck.targets.debs]]\nname = \"{name}\"\nversion = \"1-1\"\narchitecture = \"amd64\"\nsuite = \"trixie\"\npath = \"pool/{name}\"\nsize = 1\nsha256 = \"{}\"\nreason = \"{reason}\"\n[tool.unheck.targets.debs.files]\n{files}",
            Digest::of(b"deb").hex()
        )
    }

    fn inside() -> Inside {
        let debs = [
            deb(
                "libgl1",
                "x",
                &[
                    ("usr/lib/libGL.so.1", "libGL.so.1 <- site/cv/cv.abi3.so"),
                    ("usr/lib/libGL.so.1.7.0", "target of usr/lib/libGL.so.1"),
                ],
            ),
            deb(
                "libx",
                "x",
                &[("usr/lib/libx.so.6", "libx.so.6 <- usr/lib/libGL.so.1.7.0")],
            ),
            deb("x-data", "data of libx (Depends)", &[]),
            deb(
                "loop",
                "data of loop (Depends)",
                &[("usr/a", "a <- usr/b"), ("usr/b", "b <- usr/a")],
            ),
            deb("python3", "the interpreter", &[]),
        ];
        let text = LOCK
            .replace(
                "DIGEST",
                &serde_json::to_string(&Digest::of(b"i"))
                    .expect("json")
                    .replace('"', ""),
            )
            .replace("DEBS", &debs.concat());
        let lock =
            Lock::from_text(&text, Path::new("x")).unwrap_or_else(|error| panic!("{error:?}"));
        let owned = |name: &str| Origin::Deb(name.to_owned());
        let file = |origin: Origin, link: Option<&str>| InsideFile {
            layer: 0,
            size: 1,
            link: link.map(str::to_owned),
            origin,
        };
        let files = BTreeMap::from([
            (
                path("usr/lib/libGL.so.1"),
                file(owned("libgl1"), Some("libGL.so.1.7.0")),
            ),
            (path("usr/lib/libGL.so.1.7.0"), file(owned("libgl1"), None)),
            (path("usr/lib/libx.so.6"), file(owned("libx"), None)),
            (path("usr/a"), file(owned("loop"), None)),
            (path("usr/b"), file(owned("loop"), None)),
            (
                path("site/cv/cv.abi3.so"),
                file(Origin::Distribution("cv".to_owned()), None),
            ),
            (path("app/main.py"), file(Origin::App, None)),
        ]);
        Inside {
            platform: "linux/amd64".to_owned(),
            project: Some("media".to_owned()),
            lock: Some(lock),
            layers: Vec::new(),
            files,
        }
    }

    fn links(name: &str) -> Vec<String> {
        let inside = inside();
        let mut chains = Vec::new();
        View::new(&inside).expect("target").find(name, &mut chains);
        let line = |link: &Link| format!("{} {}", link.relation, link.what);
        chains
            .iter()
            .flat_map(|chain| chain.links.iter().map(line))
            .collect()
    }

    #[test]
    fn a_soname_leads_through_a_library_and_a_wheel_to_the_project() {
        assert_eq!(
            links("libx.so.6"),
            [
                "needed by usr/lib/libGL.so.1.7.0 of Debian package libgl1 1-1",
                "needed by site/cv/cv.abi3.so of cv 4.12",
                "required by shop 2.0",
                "required by media (project)"
            ]
        );
    }

    #[test]
    fn distributions_debs_and_own_files_have_their_chains() {
        assert_eq!(
            links("CV"),
            ["required by shop 2.0", "required by media (project)"]
        );
        assert_eq!(links("x-data")[0], "data of Debian package libx 1-1");
        assert_eq!(links("python3"), ["part of the interpreter, Python 3.13.5"]);
        assert_eq!(links("/app/main.py"), ["part of media (project)"]);
        assert!(links("nothing").is_empty());
    }

    #[test]
    fn reasons_that_go_in_a_circle_end() {
        assert_eq!(links("usr/a").len(), 2);
        assert_eq!(links("loop").len(), 2);
    }

    #[test]
    fn near_names_are_the_alike_ones() {
        assert_eq!(
            near(&[inside()], "libgl.so.1"),
            ["libGL.so.1", "libGL.so.1.7.0"]
        );
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(near(&[inside()], "qqqqqq").is_empty());
    }
}
