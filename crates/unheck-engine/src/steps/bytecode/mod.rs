//! Ships modules as bytecode, so that no start compiles them again. Start at [`bytecode`].
//!
//! The bytecode is unchecked and hash-based (PEP 552): its bytes depend on source, path and
//! interpreter alone, no date is in it, and nothing compares it with the source at run time. It is
//! made by the target's own interpreter in a sandbox (`compile`), module by module, and kept in the
//! store by what went in, so that an unchanged module is never compiled twice. Which sources must
//! stay although their bytecode ships, `keep` says. The app's own files are left alone: an edit of
//! the app must not start an interpreter.

mod compile;
mod keep;
mod walled;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_sandbox::SandboxError;
use unheck_store::{Store, StoreError};

use self::compile::{Compiler, Outcome};
use super::record::add_records;
use super::{Removed, TrimLevel, rewrite_records};
use crate::assemble::PackReader;
use crate::backend::BackendError;
use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity};
use crate::layers::{WriteLayerError, plan_base};
use crate::layout::Layout;
use crate::lock::{Lock, Target};
use crate::roots::{Roots, RootsError, of_layer};
use crate::session::Session;
use crate::tree::{Content, Node, Origin, Tree};

/// Sources that a start imports, in bytes, from which on their bytecode ships unasked where the least bytes were asked
/// for: about a second of compiling.
const WORTH: u64 = 10 << 20;

/// Modules that the interpreter has as bytecode in itself from Python 3.11 on and imports from there (CPython,
/// `Tools/build/freeze_modules.py`).
const FROZEN: [&str; 17] = [
    "_collections_abc.py",
    "_sitebuiltins.py",
    "abc.py",
    "codecs.py",
    "genericpath.py",
    "importlib/_bootstrap.py",
    "importlib/_bootstrap_external.py",
    "importlib/machinery.py",
    "importlib/util.py",
    "io.py",
    "ntpath.py",
    "os.py",
    "posixpath.py",
    "runpy.py",
    "site.py",
    "stat.py",
    "zipimport.py",
];

/// Whether and how bytecode ships.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytecode {
    /// [`Bytecode::Start`]; from [`TrimLevel::Imports`] on only where a start would compile at least 10 MiB of source,
    /// else [`Bytecode::None`].
    #[default]
    Auto,
    /// None: every start compiles what it imports.
    None,
    /// Of what a start imports, in `__pycache__`, beside the source.
    Start,
    /// Of everything, in `__pycache__`, beside the source.
    Beside,
    /// In place of the source.
    Only,
}

impl Bytecode {
    /// Whether what a start imports decides what ships.
    pub fn follows_start(self) -> bool {
        matches!(self, Self::Auto | Self::Start)
    }
}

impl std::fmt::Display for Bytecode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Start => "start",
            Self::Beside => "beside",
            Self::Only => "only",
        })
    }
}

impl std::str::FromStr for Bytecode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "start" => Ok(Self::Start),
            "beside" => Ok(Self::Beside),
            "only" => Ok(Self::Only),
            _ => Err(format!(
                "`{text}` is no way to ship bytecode: `auto`, `none`, `start`, `beside`, `only`"
            )),
        }
    }
}

/// What to compile with.
#[derive(Clone, Copy)]
pub struct BytecodeRequest<'a> {
    /// Store and sandbox.
    pub session: &'a Session,
    /// Where an interpreter for this machine may be.
    pub lock: &'a Lock,
    /// Whose modules are compiled.
    pub target: &'a Target,
    /// What ships.
    pub mode: Bytecode,
    /// What was left out of the tree, which says how much bytes count.
    pub trim: TrimLevel,
    /// What a start imports, for [`Bytecode::Start`] and [`Bytecode::Auto`].
    pub started: &'a BTreeSet<TreePath>,
    /// Makes a root of the interpreter that ships, of a tree to which nothing was added yet.
    pub root: &'a dyn Fn(&Tree) -> Result<Roots, BytecodeError>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compiled {
    /// What ships: never [`Bytecode::Auto`], once anything was looked at.
    pub mode: Bytecode,
    /// How many modules have bytecode now.
    pub modules: u64,
    /// Bytes of their bytecode.
    pub bytes: u64,
    /// Sources whose bytecode ships in their place.
    pub removed: Vec<Removed>,
    /// Modules that keep their source although bytecode alone was asked for, with the reason.
    pub kept: BTreeMap<TreePath, String>,
    /// Modules that do not compile, with the reason; what is imported of them fails then too.
    pub failed: BTreeMap<TreePath, String>,
    /// Why nothing was compiled although it was asked for.
    pub impossible: Option<Finding>,
    /// Whether another machine, with the same lock, could have compiled.
    pub elsewhere: bool,
}

impl Compiled {
    /// By how many bytes the tree grew.
    pub fn grown(&self) -> i64 {
        let gone: u64 = self.removed.iter().map(|one| one.size).sum();
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        signed(self.bytes) - signed(gone)
    }

    /// What a user should hear of it.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.impossible.iter().cloned().collect();
        let mut reasons: BTreeMap<(&str, &str), Vec<&TreePath>> = BTreeMap::new();
        for (rule, list) in [
            ("source-kept", &self.kept),
            ("does-not-compile", &self.failed),
        ] {
            for (path, why) in list {
                reasons.entry((rule, why)).or_default().push(path);
            }
        }
        for ((rule, why), paths) in reasons {
            let more = match paths.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let subject = format!("{}{more}", paths[0]);
            let names: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
            let evidence = format!("{why}\n{}", names.join("\n"));
            findings.push(Finding::new(Severity::Info, rule, subject, evidence));
        }
        findings
    }
}

/// Modules cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum BytecodeError {
    /// A module cannot be read.
    #[error("cannot read `{path}` to compile it")]
    Read {
        /// Its place.
        path: TreePath,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The root with the interpreter cannot be made.
    #[error("cannot make a root with the interpreter")]
    Root(#[source] Box<BackendError>),
    /// What ships of the interpreter cannot be laid out.
    #[error("cannot lay out the interpreter")]
    Laid(#[from] RootsError),
    /// The layer of the interpreter cannot be written.
    #[error("cannot write the layer of the interpreter")]
    Layer(#[source] Box<WriteLayerError>),
    /// What goes in and comes out of the sandbox cannot be written or read.
    #[error("cannot prepare compiling in `{path}`", path = path.display())]
    Scratch {
        /// The file or directory.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No sandbox can be made.
    #[error("cannot run the interpreter in a sandbox")]
    Sandbox(#[from] SandboxError),
    /// The interpreter compiled nothing.
    #[error("the interpreter `{python}` compiled nothing ({status}): {said}")]
    Failed {
        /// Its path.
        python: String,
        /// How it ended.
        status: String,
        /// Its last words.
        said: String,
    },
    /// The store failed.
    #[error("cannot keep bytecode")]
    Store(#[from] StoreError),
}

impl Explain for BytecodeError {
    fn class(&self) -> Class {
        match self {
            Self::Root(error) => error.class(),
            Self::Laid(error) => error.class(),
            Self::Layer(error) => error.class(),
            Self::Sandbox(SandboxError::Unavailable(_)) => Class::Sandbox,
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Scratch { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Class::Limit
            }
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = match self {
            Self::Root(error) => error.hints(),
            Self::Laid(error) => error.hints(),
            Self::Layer(error) => error.hints(),
            Self::Sandbox(error) => error.hint().map(str::to_owned).into_iter().collect(),
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        };
        if matches!(self, Self::Sandbox(_) | Self::Failed { .. }) {
            hints.push("ship source alone: `--bytecode none`".to_owned());
        }
        hints
    }
}

/// A module to compile.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    path: TreePath,
    content: Content,
    origin: Origin,
}

/// Compiles every module of distributions and standard library, and ships it as `mode` says.
///
/// Records of distributions stay true. Where no interpreter of the target's version runs on this
/// machine, the tree stays as it is and the answer says why.
///
/// # Errors
/// [`BytecodeError`].
pub fn bytecode(tree: &mut Tree, request: &BytecodeRequest<'_>) -> Result<Compiled, BytecodeError> {
    if request.mode == Bytecode::None {
        return Ok(Compiled {
            mode: Bytecode::None,
            ..Compiled::default()
        });
    }
    let layout = Layout::of(&request.target.interpreter);
    let mut modules = modules(tree, &layout);
    if request.mode.follows_start() {
        modules.retain(|module| {
            request.started.contains(&module.path) && !is_frozen(&module.path, &layout)
        });
    }
    let mut compiled = Compiled {
        mode: chosen((request.mode, request.trim), &modules),
        ..Compiled::default()
    };
    if compiled.mode == Bytecode::None {
        return Ok(compiled);
    }
    let Some(outcomes) = outcomes(tree, request, &modules, &mut compiled)? else {
        return Ok(compiled);
    };
    let reader = PackReader::new(request.session.store());
    compiled.kept = match compiled.mode {
        Bytecode::Only => keep::sources(&reader, &modules, &layout)?,
        _ => BTreeMap::new(),
    };
    let places = ship(tree, &layout, (&modules, outcomes), &mut compiled);
    if compiled.mode == Bytecode::Only {
        compiled.removed = drop_sources(tree, &modules, &places, &compiled.kept);
    }
    let gone = compiled.removed.iter().map(|one| one.path.clone());
    let gone: BTreeSet<TreePath> = gone.collect();
    // What a start imports is decided by the app, and records stand in layers below it. Installers need no
    // line for bytecode beside a source that has one.
    if compiled.mode != Bytecode::Start {
        add_records(tree, &layout.site, &places);
    }
    rewrite_records(tree, &layout.site, &gone);
    Ok(compiled)
}

/// The bytecode of each module; none where nothing here can compile, which `compiled` says then.
fn outcomes(
    tree: &Tree,
    request: &BytecodeRequest<'_>,
    modules: &[Module],
    compiled: &mut Compiled,
) -> Result<Option<Vec<Outcome>>, BytecodeError> {
    let Some(runner) = runner(request) else {
        let version = &request.target.interpreter.version;
        let why = format!("the lock has no Python {version} for this machine, which could compile");
        compiled.impossible = Some(request.impossible(
            &why,
            "lock here with `unheck lock`, or this machine's platform too with `--platform`",
        ));
        return Ok(None);
    };
    let own = || (request.root)(tree);
    let apart = || {
        crate::backend::interpreter_root(request.session, runner)
            .map_err(|error| BytecodeError::Root(Box::new(error)))
    };
    let compiler = Compiler {
        session: request.session,
        runner,
        root: match runs_itself(request, runner) {
            true => &own,
            false => &apart,
        },
    };
    match compiler.outcomes(modules) {
        // Nobody asked for it, and everything else can be done without.
        Err(BytecodeError::Sandbox(SandboxError::Unavailable(why)))
            if request.mode == Bytecode::Auto =>
        {
            let hint = "allow user namespaces, or say `--bytecode none`";
            compiled.impossible = Some(request.impossible(&why.to_string(), hint));
            compiled.elsewhere = true;
            Ok(None)
        }
        outcomes => outcomes.map(Some),
    }
}

/// Puts bytecode into the tree; answers where each module's is.
fn ship(
    tree: &mut Tree,
    layout: &Layout,
    (modules, outcomes): (&[Module], Vec<Outcome>),
    compiled: &mut Compiled,
) -> BTreeMap<TreePath, TreePath> {
    let mut places = BTreeMap::new();
    for (module, outcome) in modules.iter().zip(outcomes) {
        let (digest, len) = match outcome {
            Ok(made) => made,
            Err(why) => {
                compiled.failed.insert(module.path.clone(), why);
                continue;
            }
        };
        let alone = compiled.mode == Bytecode::Only && !compiled.kept.contains_key(&module.path);
        let place = match alone {
            true => beside_nothing(&module.path),
            false => beside(&module.path, &layout.minor),
        };
        compiled.modules += 1;
        compiled.bytes += len;
        put(tree, module, &place, Content::Blob { digest, len });
        places.insert(module.path.clone(), place);
    }
    places
}

/// What ships where `mode` was asked for and `modules` can.
fn chosen((mode, trim): (Bytecode, TrimLevel), modules: &[Module]) -> Bytecode {
    let bytes: u64 = modules.iter().map(|module| module.content.len()).sum();
    match mode {
        Bytecode::Auto if trim < TrimLevel::Imports || bytes >= WORTH => Bytecode::Start,
        Bytecode::Auto => Bytecode::None,
        mode => mode,
    }
}

/// Whether the interpreter never reads this module's file to import it.
fn is_frozen(path: &TreePath, layout: &Layout) -> bool {
    let number = layout.minor.rsplit('.').next();
    let freezes = number.and_then(|number| number.parse::<u32>().ok()) >= Some(11);
    let inner = path.as_str().strip_prefix(layout.stdlib.as_str());
    let inner = inner.map(|inner| inner.trim_start_matches('/'));
    freezes && inner.is_some_and(|inner| FROZEN.contains(&inner))
}

impl BytecodeRequest<'_> {
    fn impossible(&self, why: &str, hint: &str) -> Finding {
        let platform = self.target.platform.to_string();
        let text = format!("{why}; each start compiles what it imports");
        Finding::new(Severity::Warning, "no-bytecode", platform, text).with_hint(hint)
    }
}

/// Whose interpreter compiles: that of this machine's platform where it is of the same version,
/// since bytecode does not depend on the architecture.
fn runner<'a>(request: &BytecodeRequest<'a>) -> Option<&'a Target> {
    let wanted = &request.target.interpreter.version;
    let target = request.lock.runs_here()?;
    (target.interpreter.version == *wanted).then_some(target)
}

/// Whether the interpreter that ships compiles, in a root of what ships: a graph may have left out what the compiler
/// imports.
fn runs_itself(request: &BytecodeRequest<'_>, runner: &Target) -> bool {
    runner.platform == request.target.platform && request.trim < TrimLevel::Imports
}

/// A root of what compiling needs of an interpreter in a tree: programs and libraries, and the modules that the standard
/// library has without packages.
///
/// # Errors
/// [`RootsError`].
pub fn compiling_root(store: &Store, tree: &Tree, target: &Target) -> Result<Roots, RootsError> {
    let layout = Layout::of(&target.interpreter);
    let mut base = plan_base(tree, target);
    base.nodes.retain(|path, _| is_for_compiling(path, &layout));
    of_layer(store, &base)
}

fn is_for_compiling(path: &TreePath, layout: &Layout) -> bool {
    let inner = path.as_str().strip_prefix(layout.stdlib.as_str());
    let Some(inner) = inner.and_then(|inner| inner.strip_prefix('/')) else {
        let idle = ["usr/share", "var", "etc"];
        return !idle.iter().any(|top| path.is_under(top));
    };
    match inner.split_once('/') {
        None => inner.ends_with(".py"),
        Some(("lib-dynload", name)) => name.starts_with("_struct."),
        Some((package, _)) => ["collections", "encodings", "importlib", "re"].contains(&package),
    }
}

/// Modules that an import can find, in the order of their paths.
fn modules(tree: &Tree, layout: &Layout) -> Vec<Module> {
    tree.iter()
        .filter(|(path, node)| node.origin != Origin::App && is_module(path, layout))
        .filter_map(|(path, node)| {
            Some(Module {
                path: path.clone(),
                content: node.content()?.clone(),
                origin: node.origin.clone(),
            })
        })
        .filter(|module| module.content.len() <= compile::MAX_SOURCE)
        .collect()
}

fn is_module(path: &TreePath, layout: &Layout) -> bool {
    let inner = [&layout.site, &layout.stdlib]
        .into_iter()
        .find_map(|top| path.as_str().strip_prefix(top.as_str())?.strip_prefix('/'));
    let Some(stem) = inner.and_then(|inner| inner.strip_suffix(".py")) else {
        return false;
    };
    stem.split('/').all(is_identifier)
}

fn is_identifier(part: &str) -> bool {
    let mut letters = part.chars();
    letters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// `a/__pycache__/b.cpython-313.pyc` of `a/b.py` (PEP 3147).
fn beside(path: &TreePath, minor: &str) -> TreePath {
    let stem = path.file_name().trim_end_matches(".py");
    let tag = minor.replace('.', "");
    let name = format!("__pycache__/{stem}.cpython-{tag}.pyc");
    let parent = path.parent().expect("a module is below a directory");
    parent.join(&name).expect("made of the parts of a path")
}

/// `a/b.pyc` of `a/b.py`, where Python looks when there is no source.
fn beside_nothing(path: &TreePath) -> TreePath {
    TreePath::new(&format!("{path}c")).expect("a path and a letter")
}

fn put(tree: &mut Tree, module: &Module, place: &TreePath, content: Content) {
    tree.replace(place.clone(), Node::file(module.origin.clone(), content));
}

/// Takes the sources away whose bytecode stands in their place.
fn drop_sources(
    tree: &mut Tree,
    modules: &[Module],
    places: &BTreeMap<TreePath, TreePath>,
    keep: &BTreeMap<TreePath, String>,
) -> Vec<Removed> {
    let mut removed = Vec::new();
    for module in modules {
        if !places.contains_key(&module.path) || keep.contains_key(&module.path) {
            continue;
        }
        if let Some(node) = tree.remove(&module.path) {
            let reason = "source whose bytecode ships in its place";
            removed.push(Removed::of(&module.path, &node, reason));
        }
    }
    removed
}

/// Whether a file may be missing because its bytecode ships in its place.
pub(crate) fn bytecode_of(path: &TreePath) -> Option<TreePath> {
    path.as_str().ends_with(".py").then(|| beside_nothing(path))
}

/// `a/b.py` of `a/__pycache__/b.cpython-313.pyc` (PEP 3147); `None` for every other path.
pub(crate) fn cached_source(path: &TreePath) -> Option<TreePath> {
    let cache = path.parent()?;
    let stem = path.file_name().strip_suffix(".pyc")?.split('.').next()?;
    if cache.file_name() != "__pycache__" {
        return None;
    }
    let source = format!("{stem}.py");
    match cache.parent() {
        Some(above) => above.join(&source).ok(),
        None => TreePath::new(&source).ok(),
    }
}

/// What decides the bytecode besides source and path.
fn identity(target: &Target) -> Digest {
    let mut text = format!("bytecode 1\0{}\0", compile::COMPILER);
    let interpreter = &target.interpreter;
    text.push_str(&format!(
        "{:?} {}\0",
        interpreter.provider, interpreter.version
    ));
    if let Some(archive) = &interpreter.archive {
        text.push_str(&archive.hashes.sha256.hex());
    }
    if let Some(digest) = &interpreter.prefix_digest {
        text.push_str(&digest.hex());
    }
    // Of Debian's packages those that the compiler is in; another OpenSSL compiles nothing anew.
    let debs = target
        .debs
        .iter()
        .filter(|deb| deb.name.starts_with("python3") || deb.name.starts_with("libpython3"));
    for deb in debs {
        text.push_str(&format!("{} {}\0", deb.name, deb.sha256.hex()));
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests;
