//! Why something is in an artifact: the chain back to the project's own requirement. Start at [`why`].
//!
//! Answers from the artifact alone: its lock, which has a reason for every Debian file, the lists
//! of who owns what, and the list of what trimming left out. Guesses nothing: where no reason is recorded, the chain ends.

mod builds;
mod near;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use unheck_base::TreePath;

use crate::explain::{Class, Explain};
use crate::inside::{Inside, InsideError, look, source_of_bytecode};
use crate::layout::Layout;
use crate::lock::{Deb, Lock, Target};
use crate::steps::left_out::module_of;
use crate::tree::Origin;
use near::near;

/// Longest chain that is followed.
const MAX_LINKS: usize = 64;

/// Why one thing is in an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Chain {
    /// For which platform.
    pub platform: String,
    /// What it is.
    pub subject: Subject,
    /// From the subject to the project, each the reason of the one before; none for what is not
    /// there.
    pub links: Vec<Link>,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<NotThere>,
}

/// Why something was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotThere {
    /// The trim level that did it, or `bytecode only`.
    pub by: String,
    /// The recorded reason.
    pub reason: String,
    /// The option of `unheck build` that keeps it; none where `leave-out` asks that it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
}

/// The thing that was asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// `file`, `distribution`, `deb`, or `left-out` for what is not there.
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
/// `name` is a path or file name, a soname, a module, a distribution (any spelling) or a Debian
/// package. Where nothing of that name is there, but trimming left it out, the answer is why.
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
            chains.extend(self.compiled(&unheck_wheel::normalize_name(wanted)));
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
        if self.deb(wanted).is_none() {
            chains.extend(self.build_package(wanted));
        }
        let layout = Layout::of(&self.target.interpreter);
        let matching = self.inside.files.keys().filter(|path| {
            path.as_str() == wanted
                || path.file_name() == wanted
                || module_of(path, &layout).is_some_and(|module| module == wanted)
        });
        let before = chains.len();
        for path in matching {
            chains.push(self.file_chain(path, wanted));
        }
        if chains.len() == before {
            self.left_out(name, chains);
        }
    }

    fn chain(&self, subject: Subject, links: Vec<Link>) -> Chain {
        Chain {
            platform: self.inside.platform.clone(),
            subject,
            links,
            left_out: None,
        }
    }

    /// What was left out under a name.
    fn left_out(&self, name: &str, chains: &mut Vec<Chain>) {
        let wanted = name.trim_start_matches('/');
        let layout = Layout::of(&self.target.interpreter);
        let mut add = |file: String, not_there: NotThere| {
            let subject = Subject {
                kind: "left-out",
                name: wanted.to_owned(),
                file: (file != wanted).then_some(file),
                owner: None,
                layer: None,
            };
            let mut chain = self.chain(subject, Vec::new());
            chain.left_out = Some(not_there);
            chains.push(chain);
        };
        for (source, compiled) in self.sources(wanted) {
            let not_there = NotThere {
                by: "bytecode only".to_owned(),
                reason: format!("its bytecode `{compiled}` is here instead"),
                keep: Some("--bytecode beside".to_owned()),
            };
            add(source.to_string(), not_there);
        }
        let Some(list) = &self.inside.left_out else {
            return;
        };
        for one in list.find(wanted, &layout) {
            let slash = if one.whole { "/" } else { "" };
            let not_there = NotThere {
                by: format!("trim {}", list.level),
                reason: one.reason.clone(),
                keep: list.kept_by(one, wanted, &layout),
            };
            add(format!("{}{slash}", one.path), not_there);
        }
    }

    /// Sources of that path or file name of which only the bytecode is here, with it.
    fn sources(&self, wanted: &str) -> Vec<(TreePath, &'a TreePath)> {
        if !wanted.ends_with(".py") {
            return Vec::new();
        }
        let compiled = self.inside.files.keys();
        let compiled = compiled.filter(|path| path.as_str().ends_with(".pyc"));
        let pairs = compiled.filter_map(|path| Some((source_of_bytecode(path)?, path)));
        pairs
            .filter(|(source, _)| source.as_str() == wanted || source.file_name() == wanted)
            .collect()
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

#[cfg(test)]
mod tests {
    use unheck_base::Digest;

    use super::*;
    use crate::inside::InsideFile;
    use crate::steps::left_out::LeftOutList;

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

    pub(super) fn inside() -> Inside {
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
            (path("app/late.pyc"), file(Origin::App, None)),
        ]);
        Inside {
            platform: "linux/amd64".to_owned(),
            project: Some("media".to_owned()),
            version: None,
            lock: Some(lock),
            left_out: Some(LeftOutList::read(LEFT_OUT)),
            layers: Vec::new(),
            files,
        }
    }

    const LEFT_OUT: &str = "safe\n# a header\nusr/local/lib/python3.13/dist-packages/cv/x.h\n# the IDLE editor, which nothing imports\nusr/lib/python3.13/idlelib/\n";

    #[test]
    fn what_is_not_there_says_why_and_what_keeps_it() {
        let inside = inside();
        let view = View::new(&inside).expect("target");
        let answer = |name: &str| -> Vec<String> {
            let mut chains = Vec::new();
            view.find(name, &mut chains);
            let text = |chain: &Chain| {
                let out = chain.left_out.as_ref().expect("not there");
                let file = chain.subject.file.as_deref().unwrap_or_default();
                format!(
                    "{file}|{}|{}|{}",
                    out.by,
                    out.reason,
                    out.keep.as_deref().unwrap_or_default()
                )
            };
            chains.iter().map(text).collect()
        };
        assert_eq!(
            answer("x.h"),
            ["usr/local/lib/python3.13/dist-packages/cv/x.h|trim safe|a header|--trim none"]
        );
        assert_eq!(
            answer("/usr/lib/python3.13/idlelib/run.py"),
            [
                "usr/lib/python3.13/idlelib/|trim safe|the IDLE editor, which nothing imports|--keep idlelib"
            ]
        );
        assert_eq!(
            answer("late.py"),
            [
                "app/late.py|bytecode only|its bytecode `app/late.pyc` is here instead|--bytecode beside"
            ]
        );
        assert!(answer("idlelib2").is_empty());
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
}
