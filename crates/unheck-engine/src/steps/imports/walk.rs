//! From the entry to everything that it can import. Start at [`Walk::run`].

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_pyapi::{
    Computed, Follow, Graph, GraphRules, Known, Owner, Place, References, When, references,
};
use unheck_wheel::{EntryPoints, Limits};

use super::cython::{is_packed, unpacked};
use super::objects::{NameFinder, built_in as names_of};
use super::profile::untagged;
use super::rules;
use super::universe::{Universe, place};
use super::{NarrowError, NarrowRequest};
use crate::assemble::PackReader;
use crate::finding::{Finding, Severity};
use crate::input::Entry;
use crate::layout::{APP_DIR, Layout};
use crate::steps::TrimLevel;
use crate::tree::{Content, Kind, Node, Origin, Tree};

/// Longest source that is read.
const MAX_SOURCE: u64 = 16 << 20;
/// Longest list or script that is read.
const MAX_LIST: u64 = 4 << 20;
/// Largest compiled module that is read.
const MAX_OBJECT: u64 = 4 << 30;

/// What a walk answers.
pub(super) struct Reached<'r> {
    pub(super) graph: Graph<'r>,
    /// Commands of distributions that something starts.
    pub(super) commands: BTreeSet<TreePath>,
    /// What could not be told from reading.
    pub(super) findings: Vec<Finding>,
}

/// A walk over the modules of a tree.
pub(super) struct Walk<'a, 'r> {
    tree: &'a Tree,
    reader: &'a PackReader<'a>,
    request: &'a NarrowRequest<'a>,
    universe: &'a Universe,
    graph: Graph<'r>,
    finder: NameFinder,
    known: BTreeMap<String, Known>,
    commands: BTreeSet<TreePath>,
    /// Entry points that nobody asked for yet: group, module.
    plugins: Vec<(String, String)>,
    aliases: BTreeMap<String, String>,
    findings: Vec<Finding>,
    /// Recorded modules that are no roots.
    held_back: BTreeSet<String>,
}

impl<'a, 'r> Walk<'a, 'r> {
    /// A walk that has not begun.
    pub(super) fn new(
        tree: &'a Tree,
        reader: &'a PackReader<'a>,
        request: &'a NarrowRequest<'a>,
        (universe, rules): (&'a Universe, &'r GraphRules),
    ) -> Self {
        let follow = match request.level {
            TrimLevel::Traced => Follow::ImportTime,
            _ => Follow::All,
        };
        let known = universe.known();
        Self {
            tree,
            reader,
            request,
            universe,
            graph: Graph::new(known.clone(), rules, follow),
            finder: NameFinder::new(&known),
            known,
            commands: BTreeSet::new(),
            plugins: Vec::new(),
            aliases: BTreeMap::new(),
            findings: Vec::new(),
            held_back: BTreeSet::new(),
        }
    }

    /// The same walk that does not take these modules for roots because they were recorded.
    pub(super) fn without(mut self, held_back: BTreeSet<String>) -> Self {
        self.held_back = held_back;
        self
    }

    /// The same walk that goes a step further, into functions that a start may call.
    pub(super) fn starting(mut self, rules: &'r GraphRules) -> Self {
        self.graph = Graph::new(self.known.clone(), rules, Follow::Start);
        self
    }

    /// Reaches everything.
    pub(super) fn run(mut self) -> Result<Reached<'r>, NarrowError> {
        self.plugins = self.entry_points()?;
        self.aliases = self.codec_aliases()?;
        self.roots()?;
        loop {
            loop {
                let batch = self.graph.next_batch();
                if batch.is_empty() {
                    break;
                }
                self.read(&batch)?;
            }
            if !self.expand()? && !self.graph.step() {
                return Ok(Reached {
                    findings: self.findings(),
                    graph: self.graph,
                    commands: self.commands,
                });
            }
        }
    }

    /// Reads reached modules side by side.
    fn read(&mut self, batch: &BTreeSet<String>) -> Result<(), NarrowError> {
        let read: Vec<(&String, Owner, References)> = batch
            .par_iter()
            .filter_map(|name| {
                let module = self.universe.modules.get(name)?;
                Some((name, module))
            })
            .map(|(name, module)| {
                let mut all = References::default();
                for file in &module.files {
                    let found = self.file(file, name, &module.package, module.known)?;
                    merge(&mut all, found);
                }
                Ok((name, module.known.owner, all))
            })
            .collect::<Result<_, NarrowError>>()?;
        for (name, owner, found) in read {
            self.graph.take(name, owner, &found);
            for other in self.universe.beside.get(name).into_iter().flatten() {
                if self.request.level != TrimLevel::Traced {
                    self.graph.root(other, name);
                }
            }
        }
        Ok(())
    }

    fn file(
        &self,
        path: &TreePath,
        name: &str,
        package: &str,
        known: Known,
    ) -> Result<References, NarrowError> {
        if path.as_str().ends_with(".py") {
            let Some(bytes) = bytes(self.tree, self.reader, path, MAX_SOURCE)? else {
                return Ok(References::default());
            };
            return Ok(source(&bytes, name, package, self.request.layout));
        }
        if known.owner == Owner::Stdlib || self.request.level == TrimLevel::Traced {
            return Ok(References::default());
        }
        let bytes = bytes(self.tree, self.reader, path, MAX_OBJECT)?.unwrap_or_default();
        let mut found = self.finder.references(&bytes, package);
        let sources = self.request.cython.beside(path);
        if is_packed(&bytes) {
            let texts = unpacked(&bytes);
            merge(&mut found, self.finder.in_texts(&texts, package));
            if sources.is_none() && memchr::memmem::find(&texts, b"__main__").is_none() {
                found.computed.insert(Computed {
                    prefix: String::new(),
                    when: When::Call,
                    line: 0,
                });
            }
        }
        merge(&mut found, sources.unwrap_or_default());
        Ok(found)
    }

    /// Where it all begins.
    fn roots(&mut self) -> Result<(), NarrowError> {
        for start in &rules::all().start {
            for module in &start.modules {
                self.graph.root(module, &format!("rule {}", start.id));
            }
        }
        for name in self.request.keep {
            let there = self.graph.root(name, "keep");
            self.graph.all_under(&format!("{name}."), "keep");
            if !there {
                self.findings.push(
                    Finding::new(
                        Severity::Warning,
                        "keep-unknown",
                        name.clone(),
                        "nothing that ships has a module of this name",
                    )
                    .with_hint(format!("take `{name}` out of `keep`")),
                );
            }
        }
        for (path, name) in &self.universe.by_path {
            let opened = self
                .request
                .profile
                .opened
                .contains(&untagged(path.clone()));
            if opened && !self.held_back.contains(name) {
                self.graph.root(name, "profile");
            }
        }
        self.path_files()?;
        self.app()?;
        self.entry()
    }

    /// Every file of the app.
    fn app(&mut self) -> Result<(), NarrowError> {
        for (name, found) in app_references(self.tree, self.reader, self.request.layout)? {
            self.graph.root(&name, "app");
            self.graph.take(&name, Owner::App, &found);
        }
        Ok(())
    }

    /// The command line that the artifact starts.
    fn entry(&mut self) -> Result<(), NarrowError> {
        let mut texts = References::default();
        match self.request.entry {
            Entry::Command(words) => {
                let python = words.first().is_some_and(|word| {
                    word.rsplit('/')
                        .next()
                        .unwrap_or(word)
                        .starts_with("python")
                });
                for (at, word) in words.iter().enumerate() {
                    texts.texts.insert(word.clone());
                    let module = word.split(':').next().unwrap_or(word);
                    self.graph.root(module, "entry");
                    if python && at > 0 && words[at - 1] == "-m" {
                        self.graph.root("runpy", "entry");
                        self.graph.program(word, "entry");
                    }
                }
                if let Some(command) = words.first() {
                    self.command(command)?;
                }
            }
            Entry::Script { reference, .. } => {
                texts.texts.insert(reference.clone());
            }
            Entry::File(_) => {
                self.graph.root("runpy", "entry");
            }
        }
        self.graph.take("entry", Owner::App, &texts);
        Ok(())
    }

    /// Keeps a command of a distribution and what it imports; `true` when that is news.
    fn command(&mut self, word: &str) -> Result<bool, NarrowError> {
        let name = word.rsplit('/').next().unwrap_or(word);
        let Ok(path) = self.request.layout.scripts.join(name) else {
            return Ok(false);
        };
        let other = self
            .tree
            .get(&path)
            .is_some_and(|node| matches!(node.origin, Origin::Distribution(_)));
        if !other || !self.commands.insert(path.clone()) {
            return Ok(false);
        }
        let bytes = bytes(self.tree, self.reader, &path, MAX_LIST)?.unwrap_or_default();
        if is_python_script(&bytes) {
            let found = source(&bytes, "", "", self.request.layout);
            self.graph.take(path.as_str(), Owner::App, &found);
        }
        Ok(true)
    }

    /// `.pth` files: their lines that begin with `import` are run at every start (site).
    fn path_files(&mut self) -> Result<(), NarrowError> {
        let files: Vec<TreePath> = self
            .tree
            .iter()
            .map(|(path, _)| path)
            .filter(|path| path.as_str().ends_with(".pth"))
            .filter(|path| path.parent().as_ref() == Some(&self.request.layout.site))
            .cloned()
            .collect();
        for path in files {
            let bytes = bytes(self.tree, self.reader, &path, MAX_LIST)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let lines = text
                .lines()
                .filter(|line| line.starts_with("import ") || line.starts_with("import\t"));
            let code = lines.map(|line| format!("{line}\n")).collect::<String>();
            let found = source(code.as_bytes(), "", "", self.request.layout);
            self.graph.take(path.as_str(), Owner::Distribution, &found);
        }
        Ok(())
    }

    /// Groups of entry points with the modules in them.
    fn entry_points(&self) -> Result<Vec<(String, String)>, NarrowError> {
        let mut found = Vec::new();
        let lists = self.tree.iter().map(|(path, _)| path).filter(|path| {
            path.file_name() == "entry_points.txt"
                && path.is_under(self.request.layout.site.as_str())
        });
        for path in lists {
            let bytes = bytes(self.tree, self.reader, path, MAX_LIST)?.unwrap_or_default();
            let Ok(points) = EntryPoints::parse(&bytes, &Limits::default()) else {
                continue;
            };
            for (group, points) in points.other {
                for value in points.into_values() {
                    let module = value.split([':', '[', ' ']).next().unwrap_or_default();
                    found.push((group.clone(), module.to_owned()));
                }
            }
        }
        Ok(found)
    }

    /// Other names of codecs, as `encodings.aliases` lists them.
    fn codec_aliases(&self) -> Result<BTreeMap<String, String>, NarrowError> {
        let path = self.request.layout.stdlib.join("encodings/aliases.py");
        let path = path.expect("made of constants");
        let bytes = bytes(self.tree, self.reader, &path, MAX_LIST)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let pairs = text.lines().filter_map(|line| {
            let (alias, module) = line.trim().strip_suffix(',')?.split_once(':')?;
            let bare = |text: &str| text.trim().trim_matches('\'').to_owned();
            Some((bare(alias), bare(module)))
        });
        Ok(pairs.collect())
    }

    /// What became reachable by a name: entry points, commands, codecs; `true` when something did.
    fn expand(&mut self) -> Result<bool, NarrowError> {
        let before = self.graph.reached.len();
        let mut more = false;
        if self.request.level != TrimLevel::Traced {
            let any = !self.graph.computed_group.is_empty();
            for (group, module) in self.plugins.clone() {
                if any || self.graph.texts.contains(&group) {
                    self.graph.root(&module, &format!("entry points `{group}`"));
                }
            }
            for text in self.graph.app_texts.clone() {
                more |= self.command(&text)?;
            }
        }
        self.codecs();
        Ok(more || self.graph.reached.len() > before)
    }

    fn codecs(&mut self) {
        let by_wire = rules::all()
            .codec
            .iter()
            .flat_map(|rule| &rule.modules)
            .find(|module| {
                let below = format!("{module}.");
                self.graph
                    .outside
                    .iter()
                    .any(|name| name == *module || name.starts_with(&below))
            });
        let computed = self.graph.computed_codec.keys().next();
        let all = by_wire.map(|module| format!("`{module}`, by rule"));
        let all = all.or_else(|| computed.map(|module| format!("a computed name in `{module}`")));
        if let (Some(why), true) = (all, self.request.level != TrimLevel::Traced) {
            return self.graph.all_under("encodings.", &why);
        }
        for text in self.graph.texts.clone() {
            let name = text.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
            let name = self.aliases.get(&name).unwrap_or(&name);
            let module = format!("encodings.{name}");
            if !name.contains('.') && self.graph.knows(&module) {
                self.graph.root(&module, "the name of a codec");
            }
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = self.findings.clone();
        if self.request.level == TrimLevel::Traced {
            return findings;
        }
        for (module, computed) in &self.graph.computed {
            let app = self
                .known
                .get(module)
                .is_none_or(|known| known.owner == Owner::App);
            let top = module.split('.').next().unwrap_or(module);
            let (kept, hint) = match (computed.prefix.is_empty(), app) {
                (false, _) => (
                    format!("everything under `{}` was kept", computed.prefix),
                    None,
                ),
                (true, true) => (
                    "what it names is not known".to_owned(),
                    Some("name the modules it may import: `--keep MODULE`".to_owned()),
                ),
                (true, false) => (format!("all of `{top}` was kept"), None),
            };
            let (subject, what) = match computed.line {
                0 => (
                    module.clone(),
                    "is compiled and hides the names that it imports",
                ),
                line => (
                    format!("{module}:{line}"),
                    "imports a module by a computed name",
                ),
            };
            let evidence = format!("{what}: {kept}");
            let mut finding = Finding::new(Severity::Info, "import-computed", subject, evidence);
            finding.hint = hint;
            findings.push(finding);
        }
        for (module, line) in &self.graph.computed_group {
            findings.push(Finding::new(
                Severity::Info,
                "import-computed",
                format!("{module}:{line}"),
                "asks for entry points of a computed group: the modules of all were kept",
            ));
        }
        findings.sort();
        findings
    }
}

/// What every source of the app refers to, by import name, or by path where it has none.
pub(crate) fn app_references(
    tree: &Tree,
    reader: &PackReader<'_>,
    layout: &Layout,
) -> Result<BTreeMap<String, References>, NarrowError> {
    let files: Vec<(&TreePath, &Node)> = tree
        .iter()
        .filter(|(path, node)| {
            node.origin == Origin::App
                && matches!(node.kind, Kind::File(_))
                && (path.as_str().ends_with(".py") || path.is_under(layout.scripts.as_str()))
        })
        .collect();
    let found: Vec<(String, References)> = files
        .into_par_iter()
        .map(|(path, node)| {
            let inner = place(path, node, layout).map_or("", |place| place.inner);
            let bytes = bytes(tree, reader, path, MAX_SOURCE)?.unwrap_or_default();
            let script = inner.is_empty();
            if script && !is_python_script(&bytes) {
                return Ok((path.to_string(), References::default()));
            }
            let dotted = inner.trim_end_matches(".py").replace('/', ".");
            let (name, package) = match dotted.strip_suffix(".__init__") {
                Some(package) => (package.to_owned(), package.to_owned()),
                None => {
                    let package = dotted.rsplit_once('.').map_or("", |(above, _)| above);
                    (dotted.clone(), package.to_owned())
                }
            };
            let mut found = source(&bytes, &name, &package, layout);
            // A file in a directory of scripts sees its neighbours at the top.
            if path.is_under(APP_DIR) && !package.is_empty() {
                let siblings = found.modules.clone();
                found.modules.extend(siblings.into_iter().map(|mut one| {
                    one.module = format!("{package}.{}", one.module);
                    one
                }));
            }
            let name = if script { path.to_string() } else { name };
            Ok((name, found))
        })
        .collect::<Result<_, NarrowError>>()?;
    Ok(found.into_iter().collect())
}

/// Modules that are compiled into the interpreter.
pub(super) fn built_in(
    tree: &Tree,
    reader: &PackReader<'_>,
    layout: &Layout,
) -> Result<BTreeSet<String>, NarrowError> {
    let mut found: BTreeSet<String> = ["builtins", "sys", "marshal", "_imp", "_warnings", "_io"]
        .map(str::to_owned)
        .into();
    let python = layout.python.trim_start_matches('/');
    let programs: Vec<TreePath> = tree
        .iter()
        .filter(|(path, node)| {
            let library = path.file_name().starts_with("libpython") && node.content().is_some();
            library || path.as_str() == python
        })
        .map(|(path, _)| path.clone())
        .collect();
    for path in programs {
        let bytes = bytes(tree, reader, &path, MAX_OBJECT)?.unwrap_or_default();
        found.extend(names_of(&bytes));
    }
    Ok(found)
}

pub(super) fn source(bytes: &[u8], module: &str, package: &str, layout: &Layout) -> References {
    let Ok(parsed) = unheck_pyapi::parse(bytes) else {
        return References::default();
    };
    let python = layout
        .minor
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    references(
        &parsed,
        &Place {
            module,
            package,
            python,
        },
    )
}

/// The bytes of a file, links followed; `None` when it is not there or too long.
pub(super) fn bytes(
    tree: &Tree,
    reader: &PackReader<'_>,
    path: &TreePath,
    limit: u64,
) -> Result<Option<Vec<u8>>, NarrowError> {
    let content = tree.follow(path).and_then(|(_, node)| node.content());
    let Some(content) = content.filter(|content| Content::len(content) <= limit) else {
        return Ok(None);
    };
    let read = reader.bytes(content, limit);
    read.map(Some).map_err(|source| NarrowError::Read {
        path: path.clone(),
        source,
    })
}

fn is_python_script(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    line.starts_with(b"#!") && memchr::memmem::find(line, b"python").is_some()
}

fn merge(all: &mut References, mut found: References) {
    all.modules.append(&mut found.modules);
    all.computed.append(&mut found.computed);
    all.started.append(&mut found.started);
    all.exports.append(&mut found.exports);
    all.attributes.append(&mut found.attributes);
    all.texts.append(&mut found.texts);
    all.libraries.append(&mut found.libraries);
    all.paths.append(&mut found.paths);
    all.computed_codec = all.computed_codec.or(found.computed_codec);
    all.computed_group = all.computed_group.or(found.computed_group);
    all.lazy_stub |= found.lazy_stub;
}
