//! The whole way: project → lock → layers → verify → artifact. Start at [`build`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};

use crate::assemble::{AppPart, AssembleError, add_app, assemble};
use crate::event::{Event, Stage};
use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity, worst};
use crate::input::{AppFiles, AppFilesError, Entry, EntryError, LockOptions, Project, ReadProjectError, app_files, inputs_digest};
use crate::layers::{LayerName, WriteLayerError, WrittenLayer, plan, write_layer};
use crate::layout::{APP_DIR, Layout};
use crate::lock::{LOCK_FILE, Lock, ReadLockError, Target};
use crate::locker::{MakeLockError, app_facts, app_needs, make_lock, wants};
use crate::net::NetError;
use crate::scan::{ScanError, scan_pack};
use crate::session::Session;
use crate::steps::{Removed, StripTreeError, Stripped, TrimFacts, TrimLevel, rewrite_records, strip, trim};
use crate::tree::{Content, Node, Origin, Tree};
use crate::verify::{VerifyError, VerifyRequest, verify_layers};
use crate::wheels::{UseWheelError, open_wheel};
use crate::write::{Compression, ImageOptions, ImageTarget, WriteImageError, WrittenImage, write_image};

/// Where the lock of an artifact is inside it.
pub const LOCK_PATH: &str = "usr/share/unheck/pylock.unheck.toml";

/// How the lock file is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LockMode {
    /// Written again when it is stale.
    #[default]
    Renew,
    /// A stale lock is an error.
    Locked,
    /// Taken as it is, stale or not.
    Frozen,
}

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// What decides the lock.
    pub lock: LockOptions,
    /// How the lock file is used.
    pub mode: LockMode,
    /// Where the artifact goes.
    pub output: PathBuf,
    /// `--entry`.
    pub entry: Option<String>,
    /// How much is left out.
    pub trim: TrimLevel,
    /// How layers are compressed.
    pub compression: Compression,
    /// Image tag.
    pub tag: Option<String>,
    /// Run what was built before it is written.
    pub verify: bool,
}

/// What was built.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// The artifact.
    pub image: WrittenImage,
    /// By platform.
    pub platforms: Vec<BuiltPlatform>,
    /// What was found on the way and by running it, the worst first.
    pub findings: Vec<Finding>,
    /// Whether the lock file was written.
    pub locked: bool,
}

/// One platform of what was built.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltPlatform {
    /// Which.
    pub platform: crate::platform::Platform,
    /// The interpreter's version.
    pub python: String,
    /// Its layers, the lowest first.
    pub layers: Vec<WrittenLayer>,
    /// What it starts.
    pub entrypoint: Vec<String>,
    /// Files and bytes left out, by reason.
    pub trimmed: BTreeMap<String, (u64, u64)>,
}

/// Nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The project cannot be read.
    #[error("cannot read the project")]
    Project(#[from] ReadProjectError),
    /// The app's files cannot be taken.
    #[error("cannot take the app's files")]
    App(#[from] AppFilesError),
    /// Nothing says what to start.
    #[error("cannot tell what the artifact should start")]
    Entry(#[from] EntryError),
    /// The lock cannot be read.
    #[error("cannot use the lock")]
    ReadLock(#[from] ReadLockError),
    /// The lock does not fit the project any more, and may not be renewed.
    #[error("the lock `{path}` is stale: {why}", path = path.display())]
    Stale {
        /// The lock.
        path: PathBuf,
        /// What changed.
        why: &'static str,
    },
    /// There is no lock, and none may be made.
    #[error("there is no lock `{path}`", path = path.display())]
    NoLock {
        /// Where it should be.
        path: PathBuf,
    },
    /// The lock cannot be made.
    #[error("cannot lock")]
    Lock(#[from] Box<MakeLockError>),
    /// The lock cannot be written.
    #[error("cannot write the lock `{path}`", path = path.display())]
    WriteLock {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What the lock names cannot be fetched.
    #[error("cannot fetch what the lock names")]
    Net(#[from] NetError),
    /// The tree cannot be made.
    #[error("cannot assemble the tree")]
    Assemble(#[from] Box<AssembleError>),
    /// A wheel cannot be used.
    #[error("cannot use a distribution")]
    Wheel(#[from] UseWheelError),
    /// An archive cannot be scanned.
    #[error("cannot look into an archive")]
    Scan(#[from] ScanError),
    /// The app's own wheel cannot be built.
    #[error("cannot build the project's own wheel")]
    Backend(#[from] Box<crate::backend::BackendError>),
    /// Objects cannot be stripped.
    #[error("cannot strip symbol tables")]
    Strip(#[from] StripTreeError),
    /// A layer cannot be written.
    #[error("cannot write a layer")]
    Layer(#[from] WriteLayerError),
    /// It could not be run.
    #[error("cannot verify what was built")]
    Verify(#[from] Box<VerifyError>),
    /// It was run, and something does not work.
    #[error("what was built does not work: {} found", if errors(.0) == 1 { "one error".to_owned() } else { format!("{} errors", errors(.0)) })]
    Broken(Vec<Finding>),
    /// The image cannot be written.
    #[error("cannot write the image")]
    Image(#[from] WriteImageError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] unheck_store::StoreError),
}

fn errors(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.severity == Severity::Error).count()
}

impl BuildError {
    fn explain(&self) -> Option<&dyn Explain> {
        Some(match self {
            Self::Project(error) => error,
            Self::App(error) => error,
            Self::Entry(error) => error,
            Self::ReadLock(error) => error,
            Self::Lock(error) => &**error,
            Self::Net(error) => error,
            Self::Assemble(error) => &**error,
            Self::Wheel(error) => error,
            Self::Backend(error) => &**error,
            Self::Layer(error) => error,
            Self::Verify(error) => &**error,
            Self::Image(error) => error,
            _ => return None,
        })
    }
}

impl Explain for BuildError {
    fn class(&self) -> Class {
        if let Some(error) = self.explain() {
            return error.class();
        }
        match self {
            Self::Stale { .. } | Self::NoLock { .. } | Self::WriteLock { .. } => Class::Input,
            Self::Broken(_) => Class::Verdict,
            Self::Store(error) if error.is_no_space() => Class::Limit,
            _ => Class::Outside,
        }
    }

    fn hints(&self) -> Vec<String> {
        if let Some(error) = self.explain() {
            return error.hints();
        }
        match self {
            Self::Stale { .. } | Self::NoLock { .. } => {
                vec!["run `unheck lock`, or leave `--locked` and `--frozen` out".to_owned()]
            }
            Self::WriteLock { .. } => {
                vec!["make the project's directory writable, or build with `--frozen` from a lock that is there".to_owned()]
            }
            Self::Broken(findings) => findings.iter().filter_map(|finding| finding.hint.clone()).collect(),
            Self::Store(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Builds an image of a project.
///
/// # Errors
/// [`BuildError`]; no output is written then.
pub fn build(session: &Session, project: &Project, request: &BuildRequest) -> Result<Built, BuildError> {
    let app = app_files(project)?;
    let mut findings = secrets(&app);
    let (lock, locked) = ensure_lock(session, project, request, &app)?;
    let entry = entry(session, project, request)?;
    session.stage(Stage::Fetch, "blobs", || repaired(session, &lock, || session.net.fetch(wants(session, &lock)).map_err(BuildError::from)))?;
    let text = lock.to_text();
    let mut platforms = Vec::new();
    let mut targets = Vec::new();
    for target in &lock.plan.targets {
        let builder = Builder { session, project, request, lock: &lock, text: &text, target, entry: &entry, app: &app };
        let built = session.stage(Stage::Assemble, &target.platform.to_string(), || {
            repaired(session, &lock, || builder.layers())
        })?;
        if request.verify {
            let found = session.stage(Stage::Verify, &target.platform.to_string(), || builder.verify(&built))?;
            findings.extend(found);
        }
        platforms.push(BuiltPlatform {
            platform: target.platform,
            python: target.interpreter.version.clone(),
            layers: built.layers.clone(),
            entrypoint: built.entrypoint.clone(),
            trimmed: built.trimmed.clone(),
        });
        targets.push(ImageTarget {
            platform: target.platform,
            layers: built.layers,
            entrypoint: built.entrypoint,
            env: built.env,
            working_dir: built.working_dir,
        });
    }
    findings.sort();
    findings.dedup();
    for finding in &findings {
        session.reporter.event(Event::Finding(finding));
    }
    if worst(&findings) == Some(Severity::Error) {
        return Err(BuildError::Broken(findings));
    }
    let options = image_options(session, project, request, &lock);
    let image = session.stage(Stage::Write, &request.output.display().to_string(), || {
        write_image(session.store(), &request.output, &options, &targets)
    })?;
    Ok(Built { image, platforms, findings, locked })
}

/// The lock of a project: the one on disk when it fits, else a new one, which is written.
///
/// # Errors
/// [`BuildError`].
pub fn ensure_lock(
    session: &Session,
    project: &Project,
    request: &BuildRequest,
    app: &AppFiles,
) -> Result<(Lock, bool), BuildError> {
    let (lock, made) = plan_lock(session, project, request, app)?;
    if made {
        write_lock(&project.root.join(LOCK_FILE), &lock)?;
    }
    Ok((lock, made))
}

/// The lock that a build would use, and whether it was made just now; writes none.
///
/// # Errors
/// [`BuildError`].
pub fn plan_lock(
    session: &Session,
    project: &Project,
    request: &BuildRequest,
    app: &AppFiles,
) -> Result<(Lock, bool), BuildError> {
    let path = project.root.join(LOCK_FILE);
    let read = read_lock(&path)?;
    if request.mode == LockMode::Frozen {
        return read.map(|lock| (lock, false)).ok_or(BuildError::NoLock { path });
    }
    let why = match &read {
        None if request.mode == LockMode::Locked => return Err(BuildError::NoLock { path }),
        None => None,
        Some(lock) => {
            let digest = inputs_digest(project, &request.lock)?;
            let needs = app_needs(&app_facts(app));
            if lock.plan.inputs != digest {
                Some("the requirements or options changed")
            } else if needs.iter().any(|need| !lock.plan.app_needs.contains(need)) {
                Some("the app's own files open other libraries")
            } else {
                None
            }
        }
    };
    match (read, why) {
        (Some(lock), None) => Ok((lock, false)),
        (Some(_), Some(why)) if request.mode == LockMode::Locked => Err(BuildError::Stale { path, why }),
        (previous, _) => {
            let lock = session.stage(Stage::Lock, &project.name, || {
                make_lock(session, project, &request.lock, app, previous.as_ref()).map_err(Box::new)
            })?;
            Ok((lock, true))
        }
    }
}

/// Reads the lock beside a project, `None` when there is none.
///
/// # Errors
/// [`ReadLockError`].
pub fn read_lock(path: &Path) -> Result<Option<Lock>, ReadLockError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Lock::from_text(&text, path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReadLockError::Read(error)),
    }
}

/// Writes a lock whole or not at all.
///
/// # Errors
/// [`BuildError::WriteLock`].
pub fn write_lock(path: &Path, lock: &Lock) -> Result<(), BuildError> {
    let failed = |source| BuildError::WriteLock { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    std::io::Write::write_all(&mut file, lock.to_text().as_bytes()).map_err(failed)?;
    use std::os::unix::fs::PermissionsExt as _;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Does the work again after the store threw away something that was damaged.
fn repaired<T>(
    session: &Session,
    lock: &Lock,
    work: impl Fn() -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    // Each round removes one damaged thing; a disk that damages everything ends in the error.
    for _ in 0..64 {
        let error = match work() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Some(damage) = unheck_store::corruption(&error) else { return Err(error) };
        session.note(&format!("{damage}: made again"));
        session.store().discard(&damage.object)?;
        session.net.fetch(wants(session, lock))?;
    }
    work()
}

fn secrets(app: &AppFiles) -> Vec<Finding> {
    app.secrets
        .iter()
        .map(|name| {
            Finding::new(Severity::Info, "secret-left-out", name.clone(), "looks like a secret and does not ship")
                .with_hint(format!("ship it all the same: `include = [\"/{name}\"]` in `[tool.unheck]`"))
        })
        .collect()
}

fn entry(session: &Session, project: &Project, request: &BuildRequest) -> Result<Entry, BuildError> {
    if let Some(text) = &request.entry {
        return Ok(Entry::parse(text, &project.name)?);
    }
    let (entry, said) = Entry::infer(project)?;
    if project.config.entry.is_none() {
        session.note(&format!("starts {said}"));
    }
    Ok(entry)
}

fn image_options(session: &Session, project: &Project, request: &BuildRequest, lock: &Lock) -> ImageOptions {
    let mut labels = BTreeMap::new();
    let mut label = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            labels.insert(format!("org.opencontainers.image.{name}"), value);
        }
    };
    label("title", Some(project.name.clone()));
    label("version", project.version.clone());
    label("description", project.description.clone());
    labels.extend(project.config.labels.clone());
    ImageOptions {
        tag: request.tag.clone().or_else(|| project.config.tag.clone()),
        labels,
        expose: project.config.expose.clone(),
        created: session.source_date_epoch.unwrap_or(lock.plan.epoch),
    }
}

/// One platform on its way.
struct Builder<'a> {
    session: &'a Session,
    project: &'a Project,
    request: &'a BuildRequest,
    lock: &'a Lock,
    text: &'a str,
    target: &'a Target,
    entry: &'a Entry,
    app: &'a AppFiles,
}

/// Layers with how to start them.
struct Layers {
    layers: Vec<WrittenLayer>,
    entrypoint: Vec<String>,
    env: BTreeMap<String, String>,
    working_dir: String,
    trimmed: BTreeMap<String, (u64, u64)>,
    /// Names of the app's own top-level modules.
    app_modules: BTreeSet<String>,
}

/// What is remembered of a lock's layers below the app's.
#[derive(Serialize, Deserialize)]
struct Remembered {
    layers: Vec<WrittenLayer>,
    trimmed: BTreeMap<String, (u64, u64)>,
    /// Top-level names among the installed distributions, which the app must not take.
    site: BTreeSet<String>,
}

impl Builder<'_> {
    fn layers(&self) -> Result<Layers, BuildError> {
        let layout = Layout::of(&self.target.interpreter);
        crate::provider::ensure(self.session, self.project, self.target)
            .map_err(|error| Box::new(AssembleError::from(error)))?;
        let part = self.app_part(&layout)?;
        let (remembered, mut layers) = self.below(&layout, &part)?;
        let app_layer = self.app_layer(&layout, &part)?;
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
        env.extend(self.project.config.env.clone());
        Ok(Layers {
            layers,
            entrypoint: self.entrypoint(&layout),
            env,
            working_dir: if plain { format!("/{APP_DIR}") } else { "/".to_owned() },
            trimmed: remembered.trimmed,
            app_modules: app_modules(&part),
        })
    }

    fn app_part(&self, layout: &Layout) -> Result<AppPart, BuildError> {
        let mut part = AppPart::default();
        if let Entry::Script { name, reference } = self.entry {
            part.scripts.insert(name.clone(), reference.clone());
        }
        if self.project.build_system {
            let wheel = crate::backend::build_wheel(self.session, self.project, self.lock, self.target, self.app)
                .map_err(Box::new)?;
            part.wheel = Some(wheel);
        } else {
            part.files = self.app.clone();
            for (name, reference) in &self.project.scripts {
                part.scripts.insert(name.clone(), reference.clone());
            }
        }
        let _ = layout;
        Ok(part)
    }

    fn entrypoint(&self, layout: &Layout) -> Vec<String> {
        match self.entry {
            Entry::Command(words) => words.clone(),
            Entry::Script { name, .. } => vec![format!("/{}/{name}", layout.scripts)],
            Entry::File(name) if name == "__main__.py" => vec![layout.python.clone(), format!("/{APP_DIR}")],
            Entry::File(name) => vec![layout.python.clone(), format!("/{APP_DIR}/{name}")],
        }
    }

    /// What decides the layers below the app's.
    fn key(&self, facts: &TrimFacts) -> Digest {
        let text = format!(
            "layers 3\0{}\0{}\0{}\0{}\0{facts:?}\0{}",
            env!("CARGO_PKG_VERSION"),
            self.target.platform,
            self.request.trim,
            self.request.compression,
            self.text
        );
        Digest::of(text.as_bytes())
    }

    /// The layers below the app's: remembered by the lock, else assembled.
    fn below(
        &self,
        layout: &Layout,
        part: &AppPart,
    ) -> Result<(Remembered, Vec<WrittenLayer>), BuildError> {
        let store = self.session.store();
        let mut app = TrimFacts::default();
        app.add(&app_facts(self.app));
        let derived = store.derived("layers", &self.key(&app));
        if let Some(bytes) = derived.bytes(64 << 20)?
            && let Ok(remembered) = serde_json::from_slice::<Remembered>(&bytes)
            && remembered.layers.iter().all(|layer| store.size_of(&layer.layer.digest) == Some(layer.layer.size))
            && !self.meets(part, &remembered.site)?
        {
            let layers = remembered.layers.clone();
            return Ok((remembered, layers));
        }
        let (mut tree, removed, stripped) = self.tree(layout, part, app)?;
        let site = top_level(&tree, layout);
        tree.replace(lock_path(), Node::file(Origin::Generated("lock".to_owned()), Content::inline(self.text)));
        let mut layers = Vec::new();
        for planned in plan(&tree, self.target) {
            if planned.name != LayerName::App {
                layers.push(write_layer(store, &planned, self.request.compression.for_layers())?);
            }
        }
        let remembered = Remembered { layers: layers.clone(), trimmed: summary(&removed, &stripped), site };
        let bytes = serde_json::to_vec(&remembered).expect("layers are numbers, digests and names");
        derived.put_bytes(&bytes)?;
        Ok((remembered, layers))
    }

    /// Whether the app's wheel has a top-level name that a distribution has too.
    fn meets(&self, part: &AppPart, site: &BTreeSet<String>) -> Result<bool, BuildError> {
        let Some((name, digest)) = &part.wheel else { return Ok(false) };
        let open = open_wheel(self.session.store(), name, digest)?;
        Ok(open.wheel.members().iter().any(|member| {
            member.path.as_str().split('/').next().is_some_and(|top| site.contains(top))
        }))
    }

    fn tree(
        &self,
        layout: &Layout,
        part: &AppPart,
        mut facts: TrimFacts,
    ) -> Result<(Tree, Vec<Removed>, Vec<Stripped>), BuildError> {
        let store = self.session.store();
        let mut tree = assemble(store, self.lock, self.target, part).map_err(Box::new)?;
        for wheel in &self.target.wheels {
            let Some((_, file)) = self.lock.wheel(wheel) else { continue };
            let open = open_wheel(store, wheel, &file.hashes.sha256)?;
            facts.add(&scan_pack(store, &file.hashes.sha256, &open.pack)?);
        }
        let removed = trim(&mut tree, layout, self.request.trim, &facts);
        let mut stripped = Vec::new();
        if self.request.trim >= TrimLevel::Safe {
            stripped = strip(&mut tree, store)?;
            let changed = stripped.iter().map(|one| one.path.clone()).collect();
            rewrite_records(&mut tree, &layout.site, &changed);
        }
        Ok((tree, removed, stripped))
    }

    /// The app's own layer, made from nothing but the app and the lock.
    fn app_layer(&self, layout: &Layout, part: &AppPart) -> Result<Option<WrittenLayer>, BuildError> {
        let store = self.session.store();
        let mut tree = Tree::new();
        add_app(&mut tree, store, part, layout).map_err(Box::new)?;
        tree.replace(lock_path(), Node::file(Origin::Generated("lock".to_owned()), Content::inline(self.text)));
        let planned = plan(&tree, self.target);
        let app = planned.iter().find(|planned| planned.name == LayerName::App);
        Ok(app.map(|planned| write_layer(store, planned, self.request.compression.for_layers())).transpose()?)
    }

    fn verify(&self, built: &Layers) -> Result<Vec<Finding>, BuildError> {
        let request = VerifyRequest {
            target: self.target,
            lock: self.lock,
            layers: &built.layers,
            entrypoint: &built.entrypoint,
            env: &built.env,
            working_dir: &built.working_dir,
            app_modules: &built.app_modules,
            depth: crate::verify::VerifyDepth::AppOnly,
        };
        Ok(verify_layers(self.session, &request).map_err(Box::new)?)
    }
}

fn lock_path() -> TreePath {
    TreePath::new(LOCK_PATH).expect("a constant path")
}

fn top_level(tree: &Tree, layout: &Layout) -> BTreeSet<String> {
    let prefix = format!("{}/", layout.site);
    tree.iter()
        .filter(|(_, node)| matches!(node.origin, Origin::Distribution(_)))
        .filter_map(|(path, _)| path.as_str().strip_prefix(&prefix)?.split('/').next())
        .map(str::to_owned)
        .collect()
}

fn summary(removed: &[Removed], stripped: &[Stripped]) -> BTreeMap<String, (u64, u64)> {
    let mut summary: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    if !stripped.is_empty() {
        let saved = stripped.iter().map(|one| one.saved).sum();
        summary.insert("symbol tables and debug information".to_owned(), (stripped.len() as u64, saved));
    }
    for one in removed {
        let (files, bytes) = summary.entry(one.reason.to_owned()).or_default();
        *files += 1;
        *bytes += one.size;
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
                Some((top, rest)) if rest == "__init__.py" => top,
                Some(_) => return None,
            };
            let identifier = top.chars().all(|c| c.is_alphanumeric() || c == '_');
            identifier.then(|| top.to_owned())
        })
        .collect()
}
