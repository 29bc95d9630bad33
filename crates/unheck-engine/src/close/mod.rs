//! Chooses the Debian packages, and the files of them, that a set of objects needs.
//!
//! Pure but for its [`World`], which it asks for packages. Start at [`close`]. Needed names come
//! from ELF; names seen in Python source are guesses that a package must confirm; what neither
//! tells is in `rules`.

mod data;
mod lookup;
pub mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use unheck_base::TreePath;
use unheck_elf::Object;
use unheck_elf::search::{Placed, candidates};

use crate::explain::{Class, Explain};
use crate::platform::Platform;
use crate::scan::NativeUse;
use crate::tree::Origin;

/// One Debian package as the closure sees it.
#[derive(Debug, Clone, Default)]
pub struct DebFacts {
    /// Every file and link, by path with the top-level links followed (`lib/x` is `usr/lib/x`).
    pub files: BTreeMap<TreePath, DebFile>,
}

/// A file of a package.
#[derive(Debug, Clone)]
pub enum DebFile {
    /// A regular file that is no ELF object.
    Plain,
    /// An ELF object.
    Elf(Arc<Object>),
    /// A link, by its text.
    Link(String),
}

/// Packages and paths of the files that have a name, by that name.
pub type Providers = BTreeMap<String, Vec<(String, TreePath)>>;

/// The packages that the closure may choose from.
pub trait World {
    /// Why a package could not be looked into.
    type Error;

    /// Whether a suite has the package for this platform.
    fn has(&self, package: &str) -> bool;

    /// Names in `Depends` and `Pre-Depends`: all groups, each with its alternatives.
    fn depends(&self, package: &str) -> Vec<Vec<String>>;

    /// Section, such as `libs`, and size of the archive in bytes.
    fn describe(&self, package: &str) -> Option<(String, u64)>;

    /// Brings several packages at once, so that downloads run side by side.
    ///
    /// # Errors
    /// When one of them cannot be had.
    fn prepare(&self, packages: &BTreeSet<String>) -> Result<(), Self::Error>;

    /// What is in a package.
    ///
    /// # Errors
    /// When it cannot be had.
    fn facts(&self, package: &str) -> Result<Arc<DebFacts>, Self::Error>;

    /// Packages that have a file of such a name in a library directory: name to (package, path).
    /// A name that ends in `*` asks for every file that begins so.
    ///
    /// # Errors
    /// When the Contents index cannot be had.
    fn providers(&self, file_names: &BTreeSet<String>) -> Result<Providers, Self::Error>;

    /// The same without the Contents index: packages that are named after the library (Debian
    /// Policy 8.1) and have it. A name that ends in `*` finds nothing.
    ///
    /// # Errors
    /// When one of them cannot be had.
    fn named_after(&self, file_names: &BTreeSet<String>) -> Result<Providers, Self::Error>;

    /// What is wrong with the Contents index, where an error says that the mirror does not have
    /// the one that its signed list names.
    fn index_trouble(&self, error: &Self::Error) -> Option<String>;
}

/// What must run.
#[derive(Debug, Clone)]
pub struct Request {
    /// For which machine.
    pub platform: Platform,
    /// The glibc of the suite.
    pub glibc: (u32, u32),
    /// Packages whose files all ship, the interpreter's.
    pub interpreter: Vec<String>,
    /// Packages that the user added by hand; their files all ship.
    pub by_hand: Vec<String>,
    /// Packages of the roots that something of it was compiled in: nothing of them ships by that, but they are looked
    /// into first.
    pub built_with: BTreeSet<String>,
    /// ELF objects that ship from elsewhere: wheels, app, another interpreter.
    pub objects: Vec<Shipped>,
    /// Every other path that ships, to find vendored libraries by.
    pub paths: BTreeMap<TreePath, Origin>,
    /// Native libraries that Python source opens by name, with who does.
    pub native: Vec<(Origin, NativeUse)>,
    /// Top-level modules that shipped source imports, of those that rules ask for.
    pub imports: BTreeSet<String>,
    /// Distributions that ship, for rules.
    pub distributions: BTreeSet<String>,
}

impl Request {
    /// What an interpreter alone needs; `platform` with the glibc of the suite.
    pub fn bare(interpreter: &[String], (platform, glibc): (Platform, (u32, u32))) -> Self {
        Self {
            platform,
            glibc,
            interpreter: interpreter.to_vec(),
            by_hand: Vec::new(),
            built_with: BTreeSet::new(),
            objects: Vec::new(),
            paths: BTreeMap::new(),
            native: Vec::new(),
            imports: BTreeSet::new(),
            distributions: BTreeSet::new(),
        }
    }
}

/// An ELF object at its place in the tree.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// Where.
    pub path: TreePath,
    /// Who brings it.
    pub origin: Origin,
    /// What it says.
    pub object: Arc<Object>,
}

/// The answer: packages, files and reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// Packages by name.
    pub debs: BTreeMap<String, DebUse>,
    /// What is missing but does not stop anything.
    pub notes: Vec<String>,
}

/// What of a package ships.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DebUse {
    /// Whether the interpreter alone needs it.
    pub base: bool,
    /// Why the package is there.
    pub reason: String,
    /// All but its documentation ships; then `files` is empty.
    pub whole: bool,
    /// The files that ship, each with its reason.
    pub files: BTreeMap<TreePath, String>,
}

/// Something that must run has a need that no package serves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// No package has the library.
    #[error("{origin} has `{path}`, which needs `{soname}`: no package of the suite provides it")]
    NoProvider {
        /// Who brings the object.
        origin: Origin,
        /// The object.
        path: TreePath,
        /// The name it needs.
        soname: String,
        /// Packages that have a file of that name elsewhere, or of a like name.
        like: Vec<String>,
    },
    /// The suite's library is too old.
    #[error(
        "{origin} has `{path}`, which needs {} of `{soname}`: the suite's `{provider}` does not have it",
        versions.join(", ")
    )]
    TooOld {
        /// Who brings the object.
        origin: Origin,
        /// The object.
        path: TreePath,
        /// The library.
        soname: String,
        /// The symbol versions that are missing.
        versions: Vec<String>,
        /// The package that has the library.
        provider: String,
    },
    /// A package that was asked for by name is not in the suite.
    #[error("the suite has no package `{package}`")]
    NoPackage {
        /// Its name.
        package: String,
    },
}

impl Explain for Unmet {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoProvider { like, .. } if like.is_empty() => {
                vec!["bring it in a wheel, or leave the distribution out".to_owned()]
            }
            Self::NoProvider { like, .. } => {
                let list: Vec<_> = like.iter().map(|name| format!("\"{name}\"")).collect();
                vec![format!(
                    "one of these may serve it: add `debs = [{}]` to `[tool.unheck]`",
                    list.join(" or ")
                )]
            }
            Self::TooOld { .. } => {
                vec![
                    "choose a newer suite with `--suite`, or an older version of the distribution"
                        .to_owned(),
                ]
            }
            Self::NoPackage { .. } => {
                vec!["take it out of `debs` in `[tool.unheck]`, or choose another suite with `--suite`".to_owned()]
            }
        }
    }
}

/// Why there is no closure.
#[derive(Debug)]
pub enum CloseError<E> {
    /// The world failed.
    World(E),
    /// Needs that nothing serves, all of them, sorted as found.
    Unmet(Vec<Unmet>),
}

impl<E> From<E> for CloseError<E> {
    fn from(error: E) -> Self {
        Self::World(error)
    }
}

/// Finds every package and file that `request` needs.
///
/// # Errors
/// [`CloseError::Unmet`] with all needs that nothing serves; the world's own errors.
pub fn close<W: World>(world: &W, request: &Request) -> Result<Closure, CloseError<W::Error>> {
    let mut closer = Closer::new(world, request);
    closer.interpreter()?;
    closer.base = false;
    for package in &request.by_hand {
        closer.whole(package, "added by hand")?;
    }
    for shipped in &request.objects {
        closer.queue.push_back(shipped.clone());
    }
    closer.drain()?;
    closer.native_names()?;
    closer.rules()?;
    loop {
        closer.drain()?;
        if !closer.data_packages()? {
            break;
        }
    }
    // A library that came in late can bring a rule with it.
    closer.rules()?;
    closer.drain()?;
    if closer.unmet.is_empty() {
        closer.closure.notes.sort();
        closer.closure.notes.dedup();
        return Ok(closer.closure);
    }
    Err(CloseError::Unmet(closer.unmet))
}

/// Brings what every closure over an interpreter looks into, and what its rules then ask for: to be done while
/// what else ships is still to be chosen and on its way. Chooses nothing.
///
/// # Errors
/// As [`close`].
pub fn rehearse<W: World>(
    world: &W,
    interpreter: &[String],
    of: (Platform, (u32, u32)),
) -> Result<(), CloseError<W::Error>> {
    let request = Request::bare(interpreter, of);
    let mut wanted = early(world, interpreter);
    wanted.extend(guessed(world, &wanted));
    world.prepare(&wanted)?;
    Closer::new(world, &request).interpreter()
}

/// What rules for libraries will ask for, by the names of packages: a library's package is named after it (Debian
/// Policy 8.1). A guess, for fetching only.
fn guessed<W: World>(world: &W, wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let is_of = |package: &str, library: &str| {
        let rest = package.strip_prefix(library);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    };
    let fits = |rule: &&rules::Rule| match &rule.when {
        rules::When::Soname(glob) => {
            let library = glob.glob().glob().split(".so").next().unwrap_or_default();
            wanted.iter().any(|package| is_of(package, library))
        }
        _ => false,
    };
    let files = rules::all()
        .iter()
        .filter(fits)
        .flat_map(|rule| &rule.files);
    files
        .filter_map(|file| file.packages.iter().find(|name| world.has(name)))
        .cloned()
        .collect()
}

/// The packages that a closure over an interpreter is sure to look into.
fn early<W: World>(world: &W, interpreter: &[String]) -> BTreeSet<String> {
    let first = |names: &[String]| names.iter().find(|name| world.has(name)).cloned();
    let mut wanted: BTreeSet<String> = interpreter.iter().cloned().collect();
    wanted.extend(["libc6".to_owned(), "libgcc-s1".to_owned()]);
    // Everything that the interpreter's packages depend on is brought at once: nearly all of
    // it is needed, and asking the Contents index for each name would cost far more.
    let mut queue: Vec<String> = wanted.iter().cloned().collect();
    while let Some(package) = queue.pop() {
        for name in world
            .depends(&package)
            .into_iter()
            .filter_map(|group| first(&group))
        {
            let library = world
                .describe(&name)
                .is_some_and(|(section, _)| section.ends_with("libs"));
            if library && wanted.insert(name.clone()) {
                queue.push(name);
            }
        }
    }
    let always = rules::all()
        .iter()
        .filter(|rule| matches!(rule.when, rules::When::Interpreter));
    wanted.extend(
        always
            .flat_map(|rule| &rule.files)
            .filter_map(|file| first(&file.packages)),
    );
    wanted.retain(|package| world.has(package));
    wanted
}

struct Closer<'w, W: World> {
    world: &'w W,
    request: &'w Request,
    closure: Closure,
    /// Whether what is added now belongs to the interpreter's own needs.
    base: bool,
    queue: VecDeque<Shipped>,
    /// Library file name to where it is, over every package that was looked into.
    libraries: BTreeMap<String, BTreeSet<(String, TreePath)>>,
    known: BTreeMap<String, Arc<DebFacts>>,
    /// File names that ship from wheels and the app, with one of their paths.
    vendored: BTreeMap<String, TreePath>,
    /// Sonames of libraries that ship, for rules.
    sonames: BTreeSet<String>,
    /// Interesting symbols that objects take from others, for rules.
    symbols: BTreeSet<String>,
    applied: BTreeSet<&'static str>,
    /// What objects say that they open, in their notes.
    announced: Vec<(Origin, NativeUse)>,
    unmet: Vec<Unmet>,
}

impl<'w, W: World> Closer<'w, W> {
    fn new(world: &'w W, request: &'w Request) -> Self {
        let vendored = request
            .paths
            .keys()
            .chain(request.objects.iter().map(|shipped| &shipped.path))
            .map(|path| (path.file_name().to_owned(), path.clone()))
            .collect();
        Self {
            world,
            request,
            closure: Closure::default(),
            base: true,
            queue: VecDeque::new(),
            libraries: BTreeMap::new(),
            known: BTreeMap::new(),
            vendored,
            sonames: BTreeSet::new(),
            symbols: BTreeSet::new(),
            applied: BTreeSet::new(),
            announced: Vec::new(),
            unmet: Vec::new(),
        }
    }

    /// The interpreter's packages and what they need, before anything else has a say.
    fn interpreter(&mut self) -> Result<(), CloseError<W::Error>> {
        let wanted = early(self.world, &self.request.interpreter);
        self.world.prepare(&wanted)?;
        for package in &wanted {
            self.learn(package)?;
        }
        for package in &self.request.interpreter {
            self.whole(package, "the interpreter")?;
        }
        // Another interpreter than Debian's comes as objects; it is base all the same.
        for shipped in self
            .request
            .objects
            .iter()
            .filter(|shipped| shipped.origin == Origin::Interpreter)
        {
            self.queue.push_back(shipped.clone());
        }
        self.drain()?;
        self.rules()?;
        self.drain()
    }

    /// The first alternative that the suite has.
    fn first(&self, names: &[String]) -> Option<String> {
        names.iter().find(|name| self.world.has(name)).cloned()
    }

    /// Looks into a package, so that its libraries are found.
    fn learn(&mut self, package: &str) -> Result<Arc<DebFacts>, W::Error> {
        if let Some(facts) = self.known.get(package) {
            return Ok(Arc::clone(facts));
        }
        let facts = self.world.facts(package)?;
        for path in facts
            .files
            .keys()
            .filter(|path| is_library_name(path.file_name()))
        {
            let place = (package.to_owned(), path.clone());
            self.libraries
                .entry(path.file_name().to_owned())
                .or_default()
                .insert(place);
        }
        self.known.insert(package.to_owned(), Arc::clone(&facts));
        Ok(facts)
    }

    /// Ships a package as a whole.
    fn whole(&mut self, package: &str, reason: &str) -> Result<(), CloseError<W::Error>> {
        if !self.world.has(package) {
            self.unmet.push(Unmet::NoPackage {
                package: package.to_owned(),
            });
            return Ok(());
        }
        self.world.prepare(&BTreeSet::from([package.to_owned()]))?;
        let facts = self.learn(package)?;
        let base = self.base;
        let entry = self
            .closure
            .debs
            .entry(package.to_owned())
            .or_insert_with(|| DebUse {
                base,
                reason: reason.to_owned(),
                ..DebUse::default()
            });
        entry.whole = true;
        entry.files.clear();
        for (path, file) in &facts.files {
            if let DebFile::Elf(object) = file
                && !crate::debian::is_documentation(path)
            {
                self.push(path.clone(), Origin::Deb(package.to_owned()), object);
            }
        }
        Ok(())
    }

    fn push(&mut self, path: TreePath, origin: Origin, object: &Arc<Object>) {
        self.queue.push_back(Shipped {
            path,
            origin,
            object: Arc::clone(object),
        });
    }

    /// Works until every queued object has what it needs.
    fn drain(&mut self) -> Result<(), CloseError<W::Error>> {
        while !self.queue.is_empty() {
            let mut open: Vec<(Shipped, String)> = Vec::new();
            while let Some(shipped) = self.queue.pop_front() {
                if shipped.object.machine != self.request.platform.elf_machine() {
                    continue;
                }
                self.symbols.extend(shipped.object.imported.iter().cloned());
                self.announce(&shipped);
                self.loader(&shipped)?;
                let needed = shipped.object.needed.clone();
                for soname in needed {
                    if !self.serve(&shipped, &soname)? {
                        open.push((shipped.clone(), soname));
                    }
                }
            }
            self.ask_contents(open)?;
        }
        Ok(())
    }

    /// Takes in what an object says of itself that it opens (`.note.dlopen`, UAPI "ELF dlopen
    /// metadata"), but for what it calls a seldom used feature.
    fn announce(&mut self, shipped: &Shipped) {
        for note in &shipped.object.dlopen_notes {
            if note.priority != unheck_elf::Priority::Suggested {
                let one = NativeUse {
                    path: shipped.path.clone(),
                    line: 0,
                    names: note.sonames.clone(),
                };
                self.announced.push((shipped.origin.clone(), one));
            }
        }
    }

    /// The program interpreter of an executable must stand where the kernel looks.
    fn loader(&mut self, shipped: &Shipped) -> Result<(), CloseError<W::Error>> {
        let Some(path) = shipped.object.interp.as_deref() else {
            return Ok(());
        };
        let Ok(path) = TreePath::new(path.trim_start_matches('/')) else {
            return Ok(());
        };
        let path = crate::debian::usrmerge(&path);
        let places = self
            .libraries
            .get(path.file_name())
            .cloned()
            .unwrap_or_default();
        let reason = format!("program interpreter <- {}", shipped.path);
        match places.into_iter().find(|(_, place)| *place == path) {
            Some((package, place)) => self.ship(&package, &place, &reason)?,
            None => self.closure.notes.push(format!(
                "{} has `{}`, a program for the loader `{path}` that this system does not have",
                shipped.origin, shipped.path
            )),
        }
        Ok(())
    }

    /// Serves one needed name from what ships or from a package that is known; `false` when
    /// neither has it.
    fn serve(&mut self, shipped: &Shipped, soname: &str) -> Result<bool, CloseError<W::Error>> {
        let placed = Placed {
            at: &shipped.path,
            object: &shipped.object,
        };
        let system = self.system_dirs();
        let places = self.libraries.get(soname).cloned().unwrap_or_default();
        for candidate in candidates(soname, &[placed], &system) {
            let path = crate::debian::usrmerge(&candidate.path);
            if self.request.paths.contains_key(&path)
                || self.request.objects.iter().any(|other| other.path == path)
            {
                return Ok(true);
            }
            let here = places.iter().filter(|(_, place)| *place == path);
            if let Some((package, place)) = self.preferred(here) {
                self.check_versions(shipped, soname, &package, &place);
                self.ship(&package, &place, &format!("{soname} <- {}", shipped.path))?;
                return Ok(true);
            }
        }
        // A wheel may load its own library, or one of a distribution it depends on, before the
        // object that needs it: the loader then finds it by soname among what is loaded.
        if !matches!(shipped.origin, Origin::Deb(_)) && self.vendored.contains_key(soname) {
            return Ok(true);
        }
        Ok(false)
    }

    fn system_dirs(&self) -> Vec<TreePath> {
        unheck_elf::default_dirs(self.request.platform.elf_machine())
    }

    /// One of several packages with the same path: one that ships already, else the first.
    fn preferred<'p>(
        &self,
        places: impl Iterator<Item = &'p (String, TreePath)>,
    ) -> Option<(String, TreePath)> {
        let places: Vec<_> = places.collect();
        let chosen = places
            .iter()
            .find(|(package, _)| self.closure.debs.contains_key(package));
        chosen.or(places.first()).map(|place| (**place).clone())
    }

    /// Ships one file of a package, what its links lead to, and queues it when it is an object.
    fn ship(
        &mut self,
        package: &str,
        path: &TreePath,
        reason: &str,
    ) -> Result<(), CloseError<W::Error>> {
        let facts = self.learn(package)?;
        let base = self.base;
        let entry = self
            .closure
            .debs
            .entry(package.to_owned())
            .or_insert_with(|| DebUse {
                base,
                reason: reason.to_owned(),
                ..DebUse::default()
            });
        if entry.files.contains_key(path) {
            return Ok(());
        }
        let whole = entry.whole;
        if !whole {
            entry.files.insert(path.clone(), reason.to_owned());
        }
        match facts.files.get(path) {
            Some(DebFile::Elf(object)) => {
                self.sonames.extend(object.soname.clone());
                if !whole {
                    self.push(path.clone(), Origin::Deb(package.to_owned()), object);
                }
            }
            Some(DebFile::Link(target)) => {
                let Some(target) = path.resolve_link(target) else {
                    return Ok(());
                };
                let target = crate::debian::usrmerge(&target);
                let reason = format!("target of {path}");
                if facts.files.contains_key(&target) {
                    self.ship(package, &target, &reason)?;
                } else if let Some(other) = self.owner(&target) {
                    self.ship(&other, &target, &reason)?;
                }
            }
            Some(DebFile::Plain) | None => {}
        }
        Ok(())
    }

    /// The known package that has a path.
    fn owner(&self, path: &TreePath) -> Option<String> {
        self.known
            .iter()
            .find(|(_, facts)| facts.files.contains_key(path))
            .map(|(name, _)| name.clone())
    }

    /// The object behind a path of a package, links followed.
    fn object(&self, package: &str, path: &TreePath) -> Option<Arc<Object>> {
        let mut path = path.clone();
        for _ in 0..8 {
            let holder = match self.known.get(package) {
                Some(facts) if facts.files.contains_key(&path) => facts,
                _ => self.known.get(&self.owner(&path)?)?,
            };
            match holder.files.get(&path)? {
                DebFile::Elf(object) => return Some(Arc::clone(object)),
                DebFile::Link(target) => {
                    path = crate::debian::usrmerge(&path.resolve_link(target)?)
                }
                DebFile::Plain => return None,
            }
        }
        None
    }

    /// Notes symbol versions that an object needs and the package's library does not have.
    fn check_versions(&mut self, shipped: &Shipped, soname: &str, package: &str, path: &TreePath) {
        let Some(needed) = shipped.object.needs_versions.get(soname) else {
            return;
        };
        let Some(object) = self.object(package, path) else {
            return;
        };
        let missing: Vec<String> = needed
            .difference(&object.offers_versions)
            .cloned()
            .collect();
        if !missing.is_empty() {
            self.unmet.push(Unmet::TooOld {
                origin: shipped.origin.clone(),
                path: shipped.path.clone(),
                soname: soname.to_owned(),
                versions: missing,
                provider: package.to_owned(),
            });
        }
    }

    fn applies(&self, rule: &rules::Rule) -> bool {
        if rule
            .unless_distribution
            .as_ref()
            .is_some_and(|name| self.request.distributions.contains(name))
        {
            return false;
        }
        if rule
            .glibc_below
            .is_some_and(|version| self.request.glibc >= version)
        {
            return false;
        }
        match &rule.when {
            rules::When::Interpreter => true,
            // What the project's own code imports is no need of the interpreter.
            rules::When::Import(name) => !self.base && self.request.imports.contains(name),
            rules::When::Soname(glob) => self.sonames.iter().any(|soname| glob.is_match(soname)),
            rules::When::Symbol(symbol) => self.symbols.contains(symbol),
        }
    }

    /// Applies every rule that fits and was not applied yet, and those that what they bring makes fit.
    fn rules(&mut self) -> Result<(), CloseError<W::Error>> {
        loop {
            let new: Vec<&'static rules::Rule> = rules::all()
                .iter()
                .filter(|rule| !self.applied.contains(rule.id.as_str()) && self.applies(rule))
                .collect();
            if new.is_empty() {
                return Ok(());
            }
            // What they take their files from, at once.
            let files = new.iter().flat_map(|rule| &rule.files);
            let wanted = files.filter_map(|file| self.first(&file.packages));
            self.world.prepare(&wanted.collect())?;
            self.apply(new)?;
        }
    }

    fn apply(&mut self, rules: Vec<&'static rules::Rule>) -> Result<(), CloseError<W::Error>> {
        for rule in rules {
            self.applied.insert(&rule.id);
            let reason = format!("rule {}: {}", rule.id, rule.reason);
            for soname in &rule.sonames {
                let places = self.libraries.get(soname).cloned().unwrap_or_default();
                if let Some((package, path)) = self.preferred(places.iter()) {
                    self.ship(&package, &path, &reason)?;
                }
            }
            for file in &rule.files {
                self.rule_files(file, &reason)?;
            }
        }
        Ok(())
    }

    fn rule_files(
        &mut self,
        rule: &rules::FileRule,
        reason: &str,
    ) -> Result<(), CloseError<W::Error>> {
        let triplet = self.request.platform.triplet();
        for package in &rule.packages {
            if !self.world.has(package) {
                continue;
            }
            let facts = self.learn(package)?;
            let matching = rule.among(facts.files.keys(), triplet);
            if matching.is_empty() {
                continue;
            }
            for path in matching {
                self.ship(package, &path, reason)?;
            }
            return Ok(());
        }
        Ok(())
    }
}

/// Whether a file name is one that a loader looks for.
pub(crate) fn is_library_name(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

#[cfg(test)]
mod tests;
