//! Runs what was built, in the sandbox. Start at [`verify_layers`]; `unheck verify` is
//! [`verify_artifact`].
//!
//! What the layers below the app say is kept by their digests, so that a change of the app costs
//! only the app's part. Where no sandbox is possible, or the platform is not this machine's, only
//! what can be seen without running is checked, and a finding says so.

mod app;
mod artifact;
pub mod closure;
mod form;
mod imports;
mod judge;
mod smoke;
mod unrun;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use unheck_base::{Digest, TreePath};
use unheck_sandbox::SandboxError;
use unheck_store::Derived;

use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity, worst};
use crate::layers::{LayerName, WrittenLayer};
use crate::layout::{APP_DIR, Layout};
use crate::lock::{Lock, Target};
use crate::platform::Platform;
use crate::roots::{Roots, RootsError, from_layers};
use crate::session::Session;

use imports::{Imported, Job, Run};
use view::View;

pub use artifact::{VerifyArtifactError, verify_artifact};
pub use form::against_list;
pub(crate) use form::{FormSubject, verify_exe, verify_form};
pub(crate) use imports::{ended, last_lines};

/// Raised whenever the answer for the same layers would differ.
const VERIFY_VERSION: &str = "verify 1";
/// Longest answer that is kept.
const MAX_RECORD: u64 = 64 << 20;

/// How much is done again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Everything that is not known of exactly these layers.
    #[default]
    Full,
    /// When the layers below the app are known, and the same entry was once seen to start on
    /// them: the app is read but not started. Else as [`VerifyDepth::Full`].
    AppOnly,
}

/// What to verify.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest<'a> {
    /// The platform's half of the lock.
    pub target: &'a Target,
    /// The lock.
    pub lock: &'a Lock,
    /// The layers, the lowest first.
    pub layers: &'a [WrittenLayer],
    /// What the artifact starts.
    pub entrypoint: &'a [String],
    /// Its environment.
    pub env: &'a BTreeMap<String, String>,
    /// Where it starts.
    pub working_dir: &'a str,
    /// Top-level modules of the app's own plain files.
    pub app_modules: &'a BTreeSet<String>,
    /// How much is done again.
    pub depth: VerifyDepth,
    /// Import every module of the distributions, not only their import names. The others are read,
    /// and what they import at their top must be there.
    pub every_module: bool,
}

/// It could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] unheck_store::StoreError),
    /// The layers cannot be unpacked.
    #[error("cannot make a root of the layers")]
    Roots(#[from] RootsError),
    /// A list inside cannot be read.
    #[error("cannot read what the root says of its distributions")]
    Lists(#[source] std::io::Error),
    /// The checker's order cannot be written.
    #[error("cannot write `{path}` for the check", path = path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A command could not be run.
    #[error("cannot run `{command}` in a sandbox")]
    Sandbox {
        /// Its first word.
        command: String,
        /// Why not.
        #[source]
        source: SandboxError,
    },
}

impl Explain for VerifyError {
    fn class(&self) -> Class {
        match self {
            Self::Store(error) if error.is_no_space() => Class::Limit,
            Self::Roots(error) => error.class(),
            Self::Sandbox {
                source: SandboxError::Unavailable(_) | SandboxError::RootUser(_),
                ..
            } => Class::Sandbox,
            Self::Sandbox {
                source: SandboxError::Spec { .. },
                ..
            } => Class::Bug,
            Self::Store(_) | Self::Lists(_) | Self::Order { .. } | Self::Sandbox { .. } => {
                Class::Outside
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Store(error) => error.hint().into_iter().collect(),
            Self::Roots(error) => error.hints(),
            Self::Sandbox { source, .. } => source.hint().map(str::to_owned).into_iter().collect(),
            Self::Lists(_) | Self::Order { .. } => Vec::new(),
        }
    }
}

/// What is known of the layers below the app.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Below {
    findings: Vec<Finding>,
    /// Modules of the standard library and the distributions, dotted.
    modules: BTreeSet<String>,
}

/// Verifies layers that were just written. All that does not work is a finding.
///
/// # Errors
/// [`VerifyError`] when it cannot be told whether it works.
pub fn verify_layers(
    session: &Session,
    request: &VerifyRequest<'_>,
) -> Result<Vec<Finding>, VerifyError> {
    let app = request
        .layers
        .last()
        .is_some_and(|layer| layer.name == LayerName::App);
    let subject = Subject {
        platform: request.target.platform,
        layout: Layout::of(&request.target.interpreter),
        diff_ids: request
            .layers
            .iter()
            .map(|layer| layer.layer.diff_id)
            .collect(),
        below: request.layers.len() - usize::from(app),
        entrypoint: request.entrypoint,
        env: request.env,
        working_dir: request.working_dir,
        imported: if request.every_module {
            Imported::All
        } else {
            Imported::Names
        },
    };
    let keys = Keys::new(session, &subject);
    let below: Option<Below> = recall(&keys.below)?;
    if let Some(below) = &below {
        if let Some(found) = recall::<Vec<Finding>>(&keys.whole)? {
            return Ok(joined(below.findings.clone(), found));
        }
        if request.depth == VerifyDepth::AppOnly
            && app
            && recall::<bool>(&keys.shape)?.is_some()
            && let Some(found) = app_only(session, request, &subject, below)?
        {
            return Ok(found);
        }
    }
    let layers: Vec<_> = request.layers.iter().map(|layer| &layer.layer).collect();
    let roots = from_layers(session.store(), &layers)?;
    let checked = Checked::new(session, &subject, &roots)?;
    let (below, found) = match below {
        Some(below) => (below, checked.app()?),
        None => checked.all(&keys)?,
    };
    remember(&keys.whole, &found, &found)?;
    remember(&keys.shape, &true, &found)?;
    Ok(joined(below.findings, found))
}

fn joined(mut findings: Vec<Finding>, more: Vec<Finding>) -> Vec<Finding> {
    findings.extend(more);
    findings.sort();
    findings.dedup();
    // Loading fails for the reason that was seen before.
    let seen: BTreeSet<String> = findings
        .iter()
        .filter(|finding| finding.rule == "library-missing")
        .map(|finding| finding.subject.clone())
        .collect();
    findings.retain(|finding| {
        finding.rule != "object-does-not-load" || !seen.contains(&finding.subject)
    });
    findings
}

/// The app's files alone, read and not started; `None` when reading cannot tell enough, because
/// the app has objects.
fn app_only(
    session: &Session,
    request: &VerifyRequest<'_>,
    subject: &Subject<'_>,
    below: &Below,
) -> Result<Option<Vec<Finding>>, VerifyError> {
    let Some(layer) = request.layers.last() else {
        return Ok(None);
    };
    let roots = from_layers(session.store(), &[&layer.layer])?;
    let view = View::of(&roots)?;
    if view.objects().next().is_some() {
        return Ok(None);
    }
    let mut found = app::check_sources(&view, 0, &below.modules, &subject.layout);
    found.push(
        Finding::new(
            Severity::Info,
            "smoke-run-not-repeated",
            request.entrypoint.join(" "),
            "only the app's files changed: they were read, and the entry was not started again",
        )
        .with_hint("start it again with `unheck verify ARTIFACT`"),
    );
    Ok(Some(joined(below.findings.clone(), found)))
}

/// What is verified, whoever wrote it.
struct Subject<'a> {
    platform: Platform,
    layout: Layout,
    diff_ids: Vec<Digest>,
    /// How many of the layers are below the app's.
    below: usize,
    entrypoint: &'a [String],
    env: &'a BTreeMap<String, String>,
    working_dir: &'a str,
    imported: Imported,
}

/// Under what answers are kept.
struct Keys {
    below: Derived,
    whole: Derived,
    /// The layers below with the entry: that it was seen to start with some app.
    shape: Derived,
}

impl Keys {
    fn new(session: &Session, subject: &Subject<'_>) -> Self {
        let store = session.store();
        let list = |digests: &[Digest]| {
            digests
                .iter()
                .map(Digest::hex)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let runs = Platform::host() == Some(subject.platform);
        let head = format!(
            "{VERIFY_VERSION}\0{}\0{}\0{}\0{runs}\0{:?}",
            env!("CARGO_PKG_VERSION"),
            Digest::of(imports::CHECKER.as_bytes()),
            subject.platform,
            subject.imported
        );
        let start = format!(
            "{:?}\0{:?}\0{}",
            subject.entrypoint, subject.env, subject.working_dir
        );
        let below = list(&subject.diff_ids[..subject.below]);
        let all = list(&subject.diff_ids);
        let key = |text: String| store.derived("verified-1", &Digest::of(text.as_bytes()));
        Self {
            below: key(format!("below\0{head}\0{below}\0{}", subject.layout.python)),
            whole: key(format!("whole\0{head}\0{all}\0{start}")),
            shape: key(format!("shape\0{head}\0{below}\0{start}")),
        }
    }
}

fn recall<T: serde::de::DeserializeOwned>(derived: &Derived) -> Result<Option<T>, VerifyError> {
    let bytes = derived.bytes(MAX_RECORD)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Keeps an answer, unless another try could give another one.
fn remember<T: Serialize>(
    derived: &Derived,
    value: &T,
    findings: &[Finding],
) -> Result<(), VerifyError> {
    let unsure = findings
        .iter()
        .any(|finding| matches!(finding.rule.as_str(), "sandbox-unavailable" | "import-late"));
    if unsure || worst(findings) == Some(Severity::Error) {
        return Ok(());
    }
    let bytes = serde_json::to_vec(value).expect("findings are text");
    Ok(derived.put_bytes(&bytes)?)
}

/// A subject with its root.
struct Checked<'a> {
    session: &'a Session,
    subject: &'a Subject<'a>,
    roots: &'a Roots,
    view: View,
    /// The layers below the app alone.
    lower: View,
    /// Bytecode of what was imported, for whatever imports it next.
    bytecode: tempfile::TempDir,
}

impl<'a> Checked<'a> {
    fn new(
        session: &'a Session,
        subject: &'a Subject<'a>,
        roots: &'a Roots,
    ) -> Result<Self, VerifyError> {
        let indexes = roots.indexes()?;
        let lower = View::new(
            indexes[..subject.below].to_vec(),
            roots.lower[..subject.below].to_vec(),
        );
        let bytecode = session.store().temp_dir()?;
        // Whoever runs inside may be another user.
        fs_err::set_permissions(bytecode.path(), std::fs::Permissions::from_mode(0o1777)).map_err(
            |source| VerifyError::Order {
                path: bytecode.path().to_owned(),
                source,
            },
        )?;
        Ok(Self {
            session,
            subject,
            roots,
            view: View::new(indexes, roots.lower.clone()),
            lower,
            bytecode,
        })
    }

    /// What is below the app, and what the app adds: side by side where bytecode ships, else one after the other,
    /// so that what is compiled for the first serves the second.
    fn all(&self, keys: &Keys) -> Result<(Below, Vec<Finding>), VerifyError> {
        let below = || -> Result<Below, VerifyError> {
            let below = self.below()?;
            remember(&keys.below, &below, &below.findings)?;
            Ok(below)
        };
        if self.view.ships_bytecode() {
            let (below, app) = rayon::join(below, || self.app());
            return Ok((below?, app?));
        }
        Ok((below()?, self.app()?))
    }

    /// The layers below the app: everything in them, with nothing of the app.
    fn below(&self) -> Result<Below, VerifyError> {
        let Subject {
            platform,
            layout,
            imported,
            ..
        } = self.subject;
        let mut findings = closure::check(&self.lower, *platform, &layout.python, &|_| true);
        let distributions = self.lower.distributions().map_err(VerifyError::Lists)?;
        let modules = app::modules(&self.lower, layout);
        let lists = imports::jobs(&self.lower, (*platform, *imported), &distributions, &|_| {
            true
        });
        let read = unrun::read(&self.lower, *imported, &distributions, &modules);
        let env = BTreeMap::from([
            ("PATH".to_owned(), layout.search_path()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("HOME".to_owned(), "/home/nonroot".to_owned()),
        ]);
        let root = self.root(self.subject.below);
        let run = Run {
            env: &env,
            cwd: "/",
            ..self.run(&root)
        };
        let ran =
            self.ran(|| imports::check_root(&run, &self.lower, &distributions, &lists, &read));
        findings.extend(ran?);
        Ok(Below { findings, modules })
    }

    /// What the app adds, and the entry.
    fn app(&self) -> Result<Vec<Finding>, VerifyError> {
        let Subject {
            platform,
            layout,
            below,
            ..
        } = self.subject;
        let app_paths: BTreeSet<TreePath> = (*below..self.view.layers())
            .flat_map(|layer| self.view.of_layer(layer))
            .map(|(path, _)| path.clone())
            .collect();
        let wanted = |path: &TreePath| app_paths.contains(path);
        let mut findings = closure::check(&self.view, *platform, &layout.python, &wanted);
        let distributions = self.view.distributions().map_err(VerifyError::Lists)?;
        let scope = (*platform, Imported::All);
        let mut lists = imports::jobs(&self.view, scope, &distributions, &wanted);
        let sources = app_paths
            .iter()
            .filter(|path| path.is_under(APP_DIR) && path.as_str().ends_with(".py"));
        lists.push(
            sources
                .map(|path| Job::new("source", "app", format!("/{path}")))
                .collect(),
        );
        // What an entry imports has side effects, so each has a process of its own.
        lists.extend(
            smoke::named(self.subject.entrypoint)
                .into_iter()
                .map(|job| vec![job]),
        );
        let root = self.root(self.roots.lower.len());
        let run = self.run(&root);
        let ran = self.ran(|| {
            let (checked, started) = rayon::join(
                || imports::check_root(&run, &self.view, &distributions, &lists, &[]),
                || smoke::check_entry(&run, self.subject.entrypoint),
            );
            let mut findings = checked?;
            findings.extend(started?);
            Ok(findings)
        });
        let ran = ran?;
        if ran.iter().any(|finding| {
            matches!(
                finding.rule.as_str(),
                "sandbox-unavailable" | "platform-not-run"
            )
        }) && *below < self.view.layers()
        {
            let modules = app::modules(&self.lower, layout);
            findings.extend(app::check_sources(&self.view, *below, &modules, layout));
        }
        findings.extend(ran);
        Ok(findings)
    }

    /// The root of so many layers, from the lowest.
    fn root(&self, layers: usize) -> unheck_sandbox::Root {
        unheck_sandbox::Root::Overlay {
            lower: self.roots.lower[..layers].to_vec(),
        }
    }

    fn run<'r>(&'r self, root: &'r unheck_sandbox::Root) -> Run<'r> {
        Run {
            session: self.session,
            root,
            mounts: &[],
            python: &self.subject.layout.python,
            env: self.subject.env,
            cwd: self.subject.working_dir,
            bytecode: self.bytecode.path(),
            ships: self.view.ships_bytecode(),
        }
    }

    fn ran(
        &self,
        work: impl FnOnce() -> Result<Vec<Finding>, VerifyError>,
    ) -> Result<Vec<Finding>, VerifyError> {
        ran(self.subject.platform, work)
    }
}

/// Runs something where that is possible, else says why not.
fn ran(
    platform: Platform,
    work: impl FnOnce() -> Result<Vec<Finding>, VerifyError>,
) -> Result<Vec<Finding>, VerifyError> {
    if Platform::host() != Some(platform) {
        let evidence = "it is not this machine's platform: checked without running anything";
        let finding = Finding::new(
            Severity::Info,
            "platform-not-run",
            platform.to_string(),
            evidence,
        );
        let hint = format!("run `unheck verify ARTIFACT` on a machine of the platform {platform}");
        return Ok(vec![finding.with_hint(hint)]);
    }
    match work() {
        Err(VerifyError::Sandbox {
            source: SandboxError::Unavailable(cause) | SandboxError::RootUser(cause),
            ..
        }) => {
            let evidence = format!("checked without running anything: {cause}");
            let finding = Finding::new(
                Severity::Warning,
                "sandbox-unavailable",
                platform.to_string(),
                evidence,
            );
            Ok(vec![finding.with_hint(cause.remedy)])
        }
        other => other,
    }
}
