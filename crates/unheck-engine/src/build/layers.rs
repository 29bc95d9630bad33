//! The layers of one platform: those below the app remembered by the lock, the app's own made anew.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use unheck_base::{Digest, Hasher, TreePath};

use super::{Attempt, BuildError, LOCK_PATH};
use crate::assemble::{AppPart, AssembleError, PackReader, add_app, assemble};
use crate::finding::Finding;
use crate::input::Entry;
use crate::layers::{
    LayerName, PlannedLayer, WrittenLayer, plan, plan_base, write_layer, write_layer_and_root,
};
use crate::layout::{APP_DIR, Layout};
use crate::lock::Target;
use crate::locker::app_facts;
use crate::roots::{Roots, from_layers};
use crate::scan::{named_in_command, scan_pack};
use crate::sdist::app_wheel;
use crate::steps::imports::{
    CythonSources, NarrowError, NarrowRequest, app_references, finder, narrow, started,
};
use crate::steps::left_out::{LEFT_OUT_PATH, short_list};
use crate::steps::{
    Bytecode, BytecodeError, BytecodeRequest, Linked, Removed, Shortened, TrimFacts, TrimLevel,
    bytecode, compiling_root, dedupe, optional, relocated_sizes, rewrite_checksums,
    rewrite_records, shorten_metadata, strip, trim,
};
use crate::tree::{Content, Node, Origin, Tree};
use crate::verify::{VerifyRequest, verify_layers};
use crate::wheels::open_wheel;
use crate::write::Sizes;

/// One platform on its way.
pub(super) struct Builder<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) target: &'a Target,
}

/// Layers with how to start them.
pub(super) struct Layers {
    pub(super) layers: Vec<WrittenLayer>,
    pub(super) entrypoint: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) working_dir: String,
    pub(super) trimmed: BTreeMap<String, (u64, u64)>,
    /// Unpacked bytes below the app, by whose libraries are used.
    pub(super) sizes: Sizes,
    /// Names of the app's own top-level modules.
    pub(super) app_modules: BTreeSet<String>,
    /// What trimming could not tell from reading.
    pub(super) findings: Vec<Finding>,
}

/// What is remembered of a lock's layers below the app's.
#[derive(Serialize, Deserialize)]
struct Remembered {
    layers: Vec<WrittenLayer>,
    trimmed: BTreeMap<String, (u64, u64)>,
    sizes: Sizes,
    /// Top-level names among the installed distributions, which the app must not take.
    site: BTreeSet<String>,
    /// The list of what was left out, where no step put one into the layers.
    left_out: String,
    /// What trimming could not tell from reading.
    findings: Vec<Finding>,
}

/// A tree after every step.
pub(super) struct Stepped {
    pub(super) tree: Tree,
    pub(super) removed: Vec<Removed>,
    pub(super) shortened: Vec<Shortened>,
    pub(super) linked: Vec<Linked>,
    /// The list of what was left out, where no step put one into the tree.
    pub(super) left_out: String,
    /// What trimming could not tell from reading.
    pub(super) findings: Vec<Finding>,
    /// What a start imports, where that decides which bytecode ships.
    pub(super) started: BTreeSet<TreePath>,
    /// What ships of bytecode, once it is made.
    pub(super) bytecode: Bytecode,
    /// Whether another machine would make another tree of the same lock.
    pub(super) elsewhere: bool,
}

impl Stepped {
    /// Where what is made of the tree is kept: what only this machine makes is not found again.
    pub(super) fn key(&self, key: Digest) -> Digest {
        match self.elsewhere {
            true => Digest::of(format!("{key} without a sandbox").as_bytes()),
            false => key,
        }
    }
}

impl Builder<'_> {
    pub(super) fn layers(&self) -> Result<Layers, BuildError> {
        let layout = Layout::of(&self.target.interpreter);
        self.ensure_interpreter()?;
        let part = self.app_part()?;
        let (remembered, mut layers) = self.below(&layout, &part)?;
        let app_layer = self.app_layer(&layout, &part, &remembered.left_out)?;
        layers.extend(app_layer);
        let mut env: BTreeMap<String, String> = [
            ("PATH", layout.search_path()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", "/home/nonroot".to_owned()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let plain = !part.files.files.is_empty();
        if plain {
            env.insert("PYTHONPATH".to_owned(), format!("/{APP_DIR}"));
        }
        env.extend(self.attempt.project.config.env.clone());
        Ok(Layers {
            layers,
            entrypoint: self.entrypoint(&layout),
            env,
            working_dir: if plain {
                format!("/{APP_DIR}")
            } else {
                "/".to_owned()
            },
            trimmed: remembered.trimmed,
            sizes: remembered.sizes,
            app_modules: app_modules(&part),
            findings: remembered.findings,
        })
    }

    /// Unpacks the interpreter where it is not from Debian.
    pub(super) fn ensure_interpreter(&self) -> Result<(), BuildError> {
        let Attempt {
            session, project, ..
        } = *self.attempt;
        crate::provider::ensure(session, project, self.target)
            .map_err(|error| Box::new(AssembleError::from(error)))?;
        Ok(())
    }

    pub(super) fn app_part(&self) -> Result<AppPart, BuildError> {
        let mut part = AppPart::default();
        if let Entry::Script { name, reference } = self.attempt.entry {
            part.scripts.insert(name.clone(), reference.clone());
        }
        if self.attempt.project.build_system {
            part.wheel = Some(self.app_wheel()?);
        } else {
            part.files = self.attempt.app.clone();
            for (name, reference) in &self.attempt.project.scripts {
                part.scripts.insert(name.clone(), reference.clone());
            }
        }
        Ok(part)
    }

    fn app_wheel(&self) -> Result<(String, Digest), BuildError> {
        let Attempt {
            session,
            project,
            request,
            lock,
            app,
            ..
        } = *self.attempt;
        let compiled = lock.plan.app_builds.iter();
        match compiled
            .into_iter()
            .find(|build| build.platform == self.target.platform)
        {
            Some(build) => {
                let made = app_wheel(session, (project, &request.lock), (self.target, build), app);
                Ok(made.map_err(Box::new)?)
            }
            None => {
                let made = crate::backend::build_wheel(session, project, lock, self.target, app);
                Ok(made.map_err(Box::new)?)
            }
        }
    }

    fn entrypoint(&self, layout: &Layout) -> Vec<String> {
        match self.attempt.entry {
            Entry::Command(words) => words.clone(),
            Entry::Script { name, .. } => vec![format!("/{}/{name}", layout.scripts)],
            Entry::File(name) if name == "__main__.py" => {
                vec![layout.python.clone(), format!("/{APP_DIR}")]
            }
            Entry::File(name) => vec![layout.python.clone(), format!("/{APP_DIR}/{name}")],
        }
    }

    /// What the app's files and the request say of what is to stay.
    pub(super) fn app_facts(&self) -> TrimFacts {
        let mut facts = TrimFacts::default();
        facts.add(app_facts(self.attempt.app));
        if let Entry::Command(words) = self.attempt.entry {
            let named = words.iter().flat_map(|word| named_in_command(word));
            facts.imports.extend(named);
        }
        for module in &self.attempt.request.keep {
            facts.keep(module);
        }
        facts
    }

    /// What decides the layers below the app's.
    fn key(&self, facts: &TrimFacts, references: &Digest) -> Digest {
        let text = format!(
            "layers 10\0{}\0{}\0{}\0{}\0{}\0{facts:?}\0{references}\0{}",
            env!("CARGO_PKG_VERSION"),
            self.target.platform,
            self.attempt.request.trim,
            self.attempt.request.bytecode,
            self.attempt.request.compression,
            self.attempt.text
        );
        Digest::of(text.as_bytes())
    }

    /// The layers below the app's: remembered by the lock, else assembled.
    fn below(
        &self,
        layout: &Layout,
        part: &AppPart,
    ) -> Result<(Remembered, Vec<WrittenLayer>), BuildError> {
        let store = self.attempt.session.store();
        let app = self.app_facts();
        let references = self.references(layout, part)?;
        let key = self.key(&app, &references);
        let derived = store.derived("layers", &key);
        if let Some(bytes) = derived.bytes(64 << 20)?
            && let Ok(remembered) = serde_json::from_slice::<Remembered>(&bytes)
            && remembered
                .layers
                .iter()
                .all(|layer| store.size_of(&layer.layer.digest) == Some(layer.layer.size))
            && !self.meets(part, &remembered.site)?
        {
            let layers = remembered.layers.clone();
            return Ok((remembered, layers));
        }
        let mut stepped = self.tree(layout, part, app, &references)?;
        self.bytecode(&mut stepped, &|tree| self.root_of_layer(tree))?;
        let derived = store.derived("layers", &stepped.key(key));
        let Stepped {
            tree,
            removed,
            shortened,
            linked,
            left_out,
            findings,
            bytecode,
            ..
        } = stepped;
        let site = top_level(&tree, layout);
        let sizes = relocated_sizes(&tree, layout);
        let compression = self.attempt.request.compression;
        let planned: Vec<_> = plan(&tree, self.target, bytecode)
            .into_iter()
            .filter(|planned| planned.name != LayerName::App)
            .collect();
        let write = |planned: &_| self.write(planned);
        // Side by side where one compressor needs little memory; else it has threads of its own.
        let layers: Vec<WrittenLayer> = if compression.is_light() {
            planned.par_iter().map(write).collect::<Result<_, _>>()?
        } else {
            planned.iter().map(write).collect::<Result<_, _>>()?
        };
        let remembered = Remembered {
            layers: layers.clone(),
            trimmed: summary(&removed, &shortened, &linked),
            sizes,
            site,
            left_out,
            findings,
        };
        let bytes = serde_json::to_vec(&remembered).expect("layers are numbers, digests and names");
        derived.put_bytes(&bytes)?;
        Ok((remembered, layers))
    }

    /// Whether the app's wheel has a top-level name that a distribution has too.
    pub(super) fn meets(
        &self,
        part: &AppPart,
        site: &BTreeSet<String>,
    ) -> Result<bool, BuildError> {
        let Some((name, digest)) = &part.wheel else {
            return Ok(false);
        };
        let open = open_wheel(self.attempt.session.store(), name, digest)?;
        Ok(open.wheel.members().iter().any(|member| {
            member
                .path
                .as_str()
                .split('/')
                .next()
                .is_some_and(|top| site.contains(top))
        }))
    }

    /// The whole tree with every step applied, the app's part among it. `references` is what the app and the
    /// request decide of what is reached.
    pub(super) fn tree(
        &self,
        layout: &Layout,
        part: &AppPart,
        mut facts: TrimFacts,
        references: &Digest,
    ) -> Result<Stepped, BuildError> {
        let store = self.attempt.session.store();
        let mut tree = assemble(store, self.attempt.lock, self.target, part).map_err(Box::new)?;
        for wheel in &self.target.wheels {
            let Some((package, file)) = self.attempt.lock.wheel(wheel) else {
                continue;
            };
            let open = open_wheel(store, wheel, &file.hashes.sha256)?;
            let scanned = scan_pack(store, &file.hashes.sha256, &open.pack)?;
            facts.add_distribution(&package.name, &scanned);
        }
        facts.requested = self.attempt.lock.plan.roots.iter().cloned().collect();
        let level = self.attempt.request.trim;
        let cython = match level >= TrimLevel::Imports {
            true => CythonSources::of(&tree, &PackReader::new(store), layout)?,
            false => CythonSources::default(),
        };
        let mut removed = trim(&mut tree, layout, level, &facts);
        if level == TrimLevel::Safe {
            let by_hand = self.attempt.project.config.debs.as_slice();
            let parts = optional::leave_out(&mut tree, store, self.target, (&facts, by_hand))?;
            removed.extend(parts);
        }
        let (mut findings, mut left_out) = (Vec::new(), String::new());
        if level >= TrimLevel::Imports {
            let narrowed = narrow(&mut tree, store, &self.narrow_request(layout, &cython))?;
            removed.extend(narrowed.removed);
            finder::add(&mut tree, layout, level, &removed);
            findings = narrowed.findings;
        } else {
            left_out = short_list(level, &removed, &tree);
        }
        let (mut shortened, mut linked) = (Vec::new(), Vec::new());
        if level >= TrimLevel::Imports {
            shortened = shorten_metadata(&mut tree, &PackReader::new(store), layout)
                .map_err(|(path, source)| NarrowError::Read { path, source })?;
        }
        if level >= TrimLevel::Safe {
            shortened.extend(strip(&mut tree, store)?);
            let changed = shortened.iter().map(|one| one.path.clone()).collect();
            rewrite_records(&mut tree, &layout.site, &changed);
            linked = dedupe(&mut tree, layout);
        }
        rewrite_checksums(&mut tree);
        let started = match self.attempt.request.bytecode.follows_start() {
            true => self.started(&tree, &self.narrow_request(layout, &cython), references)?,
            false => BTreeSet::new(),
        };
        Ok(Stepped {
            started,
            bytecode: Bytecode::None,
            elsewhere: false,
            tree,
            removed,
            shortened,
            linked,
            left_out,
            findings,
        })
    }

    /// What a start imports. It is remembered by what decides it, since reading a large tree takes as long as writing it.
    fn started(
        &self,
        tree: &Tree,
        request: &NarrowRequest<'_>,
        references: &Digest,
    ) -> Result<BTreeSet<TreePath>, BuildError> {
        let store = self.attempt.session.store();
        let mut key = Hasher::new();
        let unheck = env!("CARGO_PKG_VERSION");
        key.update(format!("started {unheck}\0{references}\0{:?}\n", request.layout).as_bytes());
        list(&mut key, tree, |node| node.origin != Origin::App);
        let derived = store.derived("started", &key.finish());
        let bytes = derived.bytes(64 << 20)?;
        if let Some(found) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(found);
        }
        let found = started(tree, store, request)?;
        derived.put_bytes(&serde_json::to_vec(&found).expect("paths"))?;
        Ok(found)
    }

    fn narrow_request<'r>(
        &'r self,
        layout: &'r Layout,
        cython: &'r CythonSources,
    ) -> NarrowRequest<'r> {
        NarrowRequest {
            cython,
            layout,
            target: self.target,
            entry: self.attempt.entry,
            level: self.attempt.request.trim,
            keep: &self.attempt.request.keep,
            leave_out: &self.attempt.request.leave_out,
            profile: self.attempt.profile,
        }
    }

    /// What of the app and the request decides which modules are reached; the same for an edit
    /// that imports nothing else. An app that did not change is not read again.
    pub(super) fn references(&self, layout: &Layout, part: &AppPart) -> Result<Digest, BuildError> {
        let level = self.attempt.request.trim;
        if level < TrimLevel::Imports && !self.attempt.request.bytecode.follows_start() {
            return Ok(Digest::of(b""));
        }
        let store = self.attempt.session.store();
        let mut tree = Tree::new();
        add_app(&mut tree, store, part, layout).map_err(Box::new)?;
        let mut key = Hasher::new();
        let version = crate::steps::imports::version();
        let unheck = env!("CARGO_PKG_VERSION");
        key.update(format!("references {unheck}\0{version}\0{layout:?}\n").as_bytes());
        list(&mut key, &tree, |_| true);
        let derived = store.derived("references", &key.finish());
        let known = derived.bytes(1 << 10)?;
        let known = known.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok());
        let found: Digest = match known {
            Some(found) => found,
            None => {
                let found = app_references(&tree, &PackReader::new(store), layout)?;
                let found = serde_json::to_vec(&found).expect("references are text and numbers");
                let found = Digest::of(&found);
                derived.put_bytes(found.to_string().as_bytes())?;
                found
            }
        };
        let request = self.attempt.request;
        let (entry, profile) = (self.attempt.entry, self.attempt.profile.to_text());
        let text = format!(
            "{version}\0{entry:?}\0{:?}\0{:?}\0{profile}\0{found}",
            request.keep, request.leave_out
        );
        Ok(Digest::of(text.as_bytes()))
    }

    /// Compiles the modules of a tree that no step changes any more; answers by how many bytes it
    /// grew. `root` makes a root of the interpreter that ships.
    pub(super) fn bytecode(
        &self,
        stepped: &mut Stepped,
        root: &dyn Fn(&Tree) -> Result<Roots, BytecodeError>,
    ) -> Result<i64, BuildError> {
        let Attempt {
            session,
            lock,
            request,
            ..
        } = *self.attempt;
        let wanted = BytecodeRequest {
            session,
            lock,
            target: self.target,
            mode: request.bytecode,
            trim: request.trim,
            started: &stepped.started,
            root,
        };
        let compiled = bytecode(&mut stepped.tree, &wanted).map_err(Box::new)?;
        stepped.findings.extend(compiled.findings());
        let grown = compiled.grown();
        stepped.bytecode = compiled.mode;
        stepped.elsewhere = compiled.elsewhere;
        stepped.removed.extend(compiled.removed);
        Ok(grown)
    }

    /// A root of the interpreter's layer where that is verified anyway, and bytecode does not go into it.
    fn root_of_layer(&self, tree: &Tree) -> Result<Roots, BytecodeError> {
        let (store, request) = (self.attempt.session.store(), self.attempt.request);
        if !request.verify || !request.bytecode.follows_start() {
            return Ok(compiling_root(store, tree, self.target)?);
        }
        let base = plan_base(tree, self.target);
        let written = write_layer_and_root(store, &base, request.compression.for_layers())
            .map_err(|error| BytecodeError::Layer(Box::new(error)))?;
        Ok(from_layers(store, &[&written.layer])?)
    }

    /// The app's own layer, made from nothing but the app and the lock.
    fn app_layer(
        &self,
        layout: &Layout,
        part: &AppPart,
        left_out: &str,
    ) -> Result<Option<WrittenLayer>, BuildError> {
        let store = self.attempt.session.store();
        let mut tree = Tree::new();
        add_app(&mut tree, store, part, layout).map_err(Box::new)?;
        add_lists(&mut tree, self.attempt.text, left_out);
        let planned = plan(&tree, self.target, self.attempt.request.bytecode);
        let app = planned
            .iter()
            .find(|planned| planned.name == LayerName::App);
        app.map(|planned| self.write(planned)).transpose()
    }

    /// A layer's blob, and its directory where it will be verified.
    fn write(&self, planned: &PlannedLayer<'_>) -> Result<WrittenLayer, BuildError> {
        let Attempt {
            session, request, ..
        } = *self.attempt;
        let write = if request.verify {
            write_layer_and_root
        } else {
            write_layer
        };
        let compression = request.compression.for_layers();
        Ok(write(session.store(), planned, compression)?)
    }

    pub(super) fn verify(&self, built: &Layers) -> Result<Vec<Finding>, BuildError> {
        let request = VerifyRequest {
            target: self.target,
            lock: self.attempt.lock,
            layers: &built.layers,
            entrypoint: &built.entrypoint,
            env: &built.env,
            working_dir: &built.working_dir,
            app_modules: &built.app_modules,
            depth: crate::verify::VerifyDepth::AppOnly,
            // What was left out by a graph of imports must be seen to be missed by nobody.
            every_module: self.attempt.request.trim >= TrimLevel::Imports,
        };
        Ok(verify_layers(self.attempt.session, &request).map_err(Box::new)?)
    }

    /// Holds what was built against the targets that the project promises.
    pub(super) fn require(&self, built: &Layers) -> Result<Vec<Finding>, BuildError> {
        let Attempt {
            session, project, ..
        } = *self.attempt;
        if project.config.require.is_empty() {
            return Ok(Vec::new());
        }
        let platform = self.target.platform;
        let found = crate::check::require(session, project, &built.layers, platform);
        Ok(found.map_err(Box::new)?)
    }
}

/// Adds what nodes are, by path, to what decides something.
fn list(key: &mut Hasher, tree: &Tree, of: impl Fn(&Node) -> bool) {
    for (path, node) in tree.iter().filter(|(_, node)| of(node)) {
        key.update(format!("{path}\0{}\n", node.kind.identity()).as_bytes());
    }
}

/// Adds the lock and, where there is one, the list of what was left out.
pub(super) fn add_lists(tree: &mut Tree, lock: &str, left_out: &str) {
    let mut add = |step: &str, path: &str, text: &str| {
        let path = TreePath::new(path).expect("a constant path");
        let origin = Origin::Generated(step.to_owned());
        tree.replace(path, Node::file(origin, Content::inline(text)));
    };
    add("lock", LOCK_PATH, lock);
    if !left_out.is_empty() {
        add("left-out", LEFT_OUT_PATH, left_out);
    }
}

pub(super) fn top_level(tree: &Tree, layout: &Layout) -> BTreeSet<String> {
    let prefix = format!("{}/", layout.site);
    tree.iter()
        .filter(|(_, node)| matches!(node.origin, Origin::Distribution(_)))
        .filter_map(|(path, _)| path.as_str().strip_prefix(&prefix)?.split('/').next())
        .map(str::to_owned)
        .collect()
}

pub(super) fn summary(
    removed: &[Removed],
    shortened: &[Shortened],
    linked: &[Linked],
) -> BTreeMap<String, (u64, u64)> {
    let mut summary: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut add = |reason: &str, saved: u64| {
        let (files, bytes) = summary.entry(reason.to_owned()).or_default();
        *files += 1;
        *bytes += saved;
    };
    for one in shortened {
        add(one.reason, one.saved);
    }
    for one in linked {
        add("files that are there twice, now links", one.saved);
    }
    for one in removed {
        add(one.reason, one.size);
    }
    summary
}

/// Top-level modules and packages among the app's plain files.
fn app_modules(part: &AppPart) -> BTreeSet<String> {
    part.files
        .files
        .iter()
        .filter_map(|file| {
            let path = file.path.as_str();
            let top = match path.split_once('/') {
                None => path.strip_suffix(".py")?,
                Some((top, "__init__.py")) => top,
                Some(_) => return None,
            };
            let identifier = top.chars().all(|c| c.is_alphanumeric() || c == '_');
            identifier.then(|| top.to_owned())
        })
        .collect()
}
