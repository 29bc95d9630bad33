//! The whole way: project → lock → layers → verify → artifact. Start at [`build`].

mod error;
mod forms;
mod launch;
mod layers;
mod lockfile;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::bom::{Bill, BomError, bill_of_layers};
use crate::event::{Event, Stage};
use crate::finding::{Finding, Severity, worst};
use crate::form::{Format, Libs};
use crate::identify::{attested, census};
use crate::input::{AppFiles, Entry, Kind, LockOptions, Project, app_files};
use crate::layers::WrittenLayer;
use crate::limits::Weight;
use crate::lock::{Lock, Target};
use crate::locker::wants;
use crate::sdist::restore;
use crate::session::Session;
use crate::steps::imports::profile::Profile;
use crate::steps::{Bytecode, TrimLevel};
use crate::vulnerabilities::{self, Basis, Dumps, Gate, Rules, is_told_of, look};
use crate::write::{Compression, ImageOptions, ImageTarget, Sizes, WrittenImage, write_image};

use layers::Builder;
pub(crate) use lockfile::repaired;

pub use error::BuildError;
pub use lockfile::{ensure_lock, plan_lock, read_lock, write_lock};

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
    /// What is built.
    pub format: Format,
    /// Whose system libraries it uses.
    pub libs: Libs,
    /// How much is left out.
    pub trim: TrimLevel,
    /// Modules that stay whatever reaches them, with everything below.
    pub keep: BTreeSet<String>,
    /// Modules that are left out whatever reaches them, with everything below; they count from
    /// [`TrimLevel::Imports`] on.
    pub leave_out: BTreeSet<String>,
    /// Command lines to run and to record, before anything is left out.
    pub trace: Vec<String>,
    /// Whether and how bytecode ships.
    pub bytecode: Bytecode,
    /// How layers are compressed.
    pub compression: Compression,
    /// Image tag.
    pub tag: Option<String>,
    /// Run what was built before it is written.
    pub verify: bool,
    /// What is known of vulnerabilities besides what the lock says.
    pub dumps: Dumps,
    /// What is done about vulnerabilities, whatever the project configures.
    pub gate: Option<Gate>,
}

/// What was built.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// What was asked for.
    pub format: Format,
    /// Whose system libraries it uses.
    pub libs: Libs,
    /// The artifact, an image or not.
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
    /// Its layers, the lowest first; none where it is no image.
    pub layers: Vec<WrittenLayer>,
    /// Unpacked bytes by who brought them; only where it is no image.
    pub origins: BTreeMap<String, u64>,
    /// How many files and links there are; 0 for images, whose layers say.
    pub files: u64,
    /// Unpacked bytes as they would be with the artifact's own libraries, and with the host's.
    pub sizes: Sizes,
    /// What it starts.
    pub entrypoint: Vec<String>,
    /// Files and bytes left out, by reason.
    pub trimmed: BTreeMap<String, (u64, u64)>,
}

/// Builds an image of a project.
///
/// # Errors
/// [`BuildError`]; no output is written then.
pub fn build(
    session: &Session,
    project: &Project,
    request: &BuildRequest,
) -> Result<Built, BuildError> {
    let stub = refuse_impossible(request)?;
    let app = app_files(project)?;
    let (lock, locked) = ensure_lock(session, project, (&request.lock, request.mode), &app)?;
    let entry = entry(session, project, request)?;
    // What is known of owners changes without the artifact: it stays in the lock beside the project.
    let text = lock.deciding().to_text();
    let mut profile = Profile::default();
    if !request.trace.is_empty() {
        let request = BuildRequest {
            trim: TrimLevel::Safe,
            // What is opened is recorded by the names that sources have.
            bytecode: Bytecode::None,
            // It is only unpacked again.
            compression: Compression::default(),
            ..request.clone()
        };
        let untrimmed = Attempt {
            profile: &profile,
            session,
            project,
            request: &request,
            lock: &lock,
            text: &text,
            entry: &entry,
            app: &app,
        };
        repaired(session, || untrimmed.record())?;
    }
    profile = trace::profile(project, request.trim)?;
    let attempt = Attempt {
        profile: &profile,
        session,
        project,
        request,
        lock: &lock,
        text: &text,
        entry: &entry,
        app: &app,
    };
    repaired(session, || {
        let made = match stub {
            Some(stub) => attempt.form(locked, stub),
            None => attempt.image(locked),
        };
        Ok(attempt.tell(made?, locked))
    })
}

/// The launcher that the form needs; an error for what cannot be built here, before any work.
fn refuse_impossible(request: &BuildRequest) -> Result<Option<&'static [u8]>, BuildError> {
    refuse_left_out(request)?;
    let format = request.format;
    if format == Format::Image {
        return match request.libs {
            Libs::Static => Ok(None),
            Libs::Dynamic => Err(BuildError::ImageLibs),
        };
    }
    let [platform] = request.lock.platforms[..] else {
        return Err(BuildError::OnePlatform { format });
    };
    match forms::stub(platform) {
        Some(stub) => Ok(Some(stub)),
        None => Err(BuildError::NoLauncher { format, platform }),
    }
}

/// An error when a module is to be left out and to be kept.
fn refuse_left_out(request: &BuildRequest) -> Result<(), BuildError> {
    let below = |kept: &str| crate::steps::imports::left_out_with(&request.leave_out, kept);
    match request
        .keep
        .iter()
        .find_map(|kept| Some((below(kept)?, kept)))
    {
        Some((module, kept)) => Err(BuildError::KeptAndLeftOut {
            module: module.to_owned(),
            kept: kept.clone(),
        }),
        None => Ok(()),
    }
}

/// An artifact that was written.
struct Made {
    image: WrittenImage,
    platforms: Vec<BuiltPlatform>,
    findings: Vec<Finding>,
}

/// One way through everything after the lock; it can be gone again from the start.
struct Attempt<'a> {
    session: &'a Session,
    project: &'a Project,
    request: &'a BuildRequest,
    lock: &'a Lock,
    text: &'a str,
    entry: &'a Entry,
    app: &'a AppFiles,
    /// What recorded runs opened.
    profile: &'a Profile,
}

impl Attempt<'_> {
    /// Brings what the lock names into the store.
    fn fetch(&self) -> Result<(), BuildError> {
        let session = self.session;
        attested::hold(&self.lock.packages, &self.project.config.allow)?;
        let wanted = wants(session, self.lock, self.lock.used_here());
        session.stage(Stage::Fetch, "blobs", || session.net.fetch(wanted))?;
        restore(session, self.project, &self.request.lock, self.lock)
            .map_err(|error| BuildError::Compile(Box::new(error)))
    }

    /// Runs the commands of the request and adds what they open to the project's profile.
    fn record(&self) -> Result<(), BuildError> {
        let session = self.session;
        self.fetch()?;
        let here = crate::platform::Platform::host();
        let targets = &self.lock.plan.targets;
        let target = targets.iter().find(|target| Some(target.platform) == here);
        let Some(target) = target else {
            return Err(BuildError::TraceElsewhere);
        };
        let builder = Builder {
            attempt: self,
            target,
        };
        let name = target.platform.to_string();
        let built = session.stage(Stage::Assemble, &name, || builder.layers())?;
        trace::record(session, self.project, &built, &self.request.trace)
    }

    /// One relocatable artifact.
    fn form(&self, locked: bool, stub: &'static [u8]) -> Result<Made, BuildError> {
        let request = self.request;
        self.fetch()?;
        let target = request
            .lock
            .platforms
            .iter()
            .find_map(|platform| self.lock.target(*platform))
            .ok_or(BuildError::OnePlatform {
                format: request.format,
            })?;
        let builder = Builder {
            attempt: self,
            target,
        };
        let formed = forms::FormBuilder {
            builder,
            stub,
            renew: (request.mode == LockMode::Renew).then_some(locked),
        }
        .build()?;
        let mut findings = secrets(self.app);
        findings.extend(census::findings(self.lock, &self.project.config.allow));
        findings.extend(formed.findings);
        let written = formed.written;
        Ok(Made {
            image: WrittenImage {
                path: written.path,
                digest: written.digest,
                size: written.size,
                unchanged: written.unchanged,
            },
            platforms: vec![BuiltPlatform {
                platform: target.platform,
                python: target.interpreter.version.clone(),
                layers: Vec::new(),
                origins: formed.origins,
                files: formed.files,
                sizes: formed.sizes,
                entrypoint: vec![formed.entry],
                trimmed: formed.trimmed,
            }],
            findings,
        })
    }

    /// One image for every platform.
    fn image(&self, locked: bool) -> Result<Made, BuildError> {
        let Self {
            session, request, ..
        } = *self;
        self.fetch()?;
        let mut findings = secrets(self.app);
        let mut platforms = Vec::new();
        let mut targets = Vec::new();
        let mut shipped = Vec::new();
        // A frozen lock may be for more platforms than are asked for.
        let asked = |target: &&Target| request.lock.platforms.contains(&target.platform);
        for target in self.lock.plan.targets.iter().filter(asked) {
            let builder = Builder {
                attempt: self,
                target,
            };
            let name = target.platform.to_string();
            let built = session.stage(Stage::Assemble, &name, || builder.layers())?;
            findings.extend(built.findings.iter().cloned());
            if request.verify {
                findings.extend(session.stage(Stage::Verify, &name, || builder.verify(&built))?);
            }
            findings.extend(builder.require(&built)?);
            platforms.push(BuiltPlatform {
                platform: target.platform,
                python: target.interpreter.version.clone(),
                layers: built.layers.clone(),
                origins: BTreeMap::new(),
                files: 0,
                sizes: built.sizes,
                entrypoint: built.entrypoint.clone(),
                trimmed: built.trimmed.clone(),
            });
            shipped.push((target.platform, built.layers.clone()));
            targets.push(ImageTarget {
                platform: target.platform,
                layers: built.layers,
                entrypoint: built.entrypoint,
                env: built.env,
                working_dir: built.working_dir,
            });
        }
        let mut findings = working(findings)?;
        findings.extend(census::findings(self.lock, &self.project.config.allow));
        self.guard(&mut findings, || {
            let bills = shipped.iter();
            bills
                .map(|(platform, layers)| bill_of_layers(session, layers, *platform))
                .collect()
        })?;
        findings.sort();
        let renew = (request.mode == LockMode::Renew).then_some(locked);
        let weights = platforms
            .iter()
            .map(|built| (built.platform.to_string(), Weight::of(&built.layers)))
            .collect();
        hold_limits(session, self.project, &weights, renew)?;
        let options = image_options(session, self.project, request, self.lock);
        let image = session.stage(Stage::Write, &request.output.display().to_string(), || {
            write_image(session.store(), &request.output, &options, &targets)
        })?;
        Ok(Made {
            image,
            platforms,
            findings,
        })
    }

    /// Holds what is to be written against known vulnerabilities, and adds what is to be told. `bills` is asked only
    /// where something could be found.
    fn guard(
        &self,
        findings: &mut Vec<Finding>,
        bills: impl FnOnce() -> Result<Vec<Bill>, BomError>,
    ) -> Result<(), BuildError> {
        let mut rules = Rules::of(&self.project.config);
        rules.gate = self.request.gate.unwrap_or(rules.gate);
        let dumps = &self.request.dumps;
        let nothing = dumps.is_empty() && !rules.gate.stops() && !is_told_of(self.lock);
        if rules.gate == Gate::Off || nothing {
            return Ok(());
        }
        let basis = Basis {
            dumps,
            lock: Some(self.lock),
            rules: &rules,
        };
        let mut bills = bills().map_err(Box::new)?;
        let (found, looked) = look(&mut bills, basis)?;
        let told: Vec<Finding> = found
            .iter()
            .flat_map(|found| vulnerabilities::findings(found, rules.gate))
            .collect();
        if worst(&told) == Some(Severity::Error) {
            let mut stops = told;
            stops.retain(|finding| finding.severity == Severity::Error);
            stops.dedup();
            return Err(BuildError::Vulnerable(stops));
        }
        // What is told in full is not told in short too.
        findings.retain(|finding| {
            let full = |one: &Finding| one.subject.starts_with(&format!("{} ", finding.subject));
            finding.rule != "vulnerable" || !told.iter().any(full)
        });
        findings.extend(told);
        findings.extend(vulnerabilities::unknown(&looked, rules.gate));
        let rule = "vulnerabilities-looked-at";
        findings.push(Finding::new(
            Severity::Info,
            rule,
            "the artifact",
            looked.line(),
        ));
        Ok(())
    }

    /// Tells what was found on the way to an artifact that was written.
    fn tell(&self, made: Made, locked: bool) -> Built {
        let Made {
            image,
            platforms,
            mut findings,
        } = made;
        findings.sort();
        findings.dedup();
        for finding in &findings {
            self.session.reporter.event(Event::Finding(finding));
        }
        Built {
            format: self.request.format,
            libs: self.request.libs,
            image,
            platforms,
            findings,
            locked,
        }
    }
}

/// The findings, sorted, where none says that it does not work.
fn working(mut findings: Vec<Finding>) -> Result<Vec<Finding>, BuildError> {
    findings.sort();
    findings.dedup();
    if worst(&findings) == Some(Severity::Error) {
        return Err(BuildError::Broken(findings));
    }
    Ok(findings)
}

/// Nothing is written of what is over its budget.
fn hold_limits(
    session: &Session,
    project: &Project,
    weights: &BTreeMap<String, Weight>,
    renew: Option<bool>,
) -> Result<(), BuildError> {
    let limits = &project.config.limits;
    let note = limits
        .hold(&project.root, weights, renew)
        .map_err(Box::new)?;
    if let Some(note) = note {
        session.note(&note);
    }
    Ok(())
}

fn secrets(app: &AppFiles) -> Vec<Finding> {
    app.secrets
        .iter()
        .map(|name| {
            Finding::new(
                Severity::Info,
                "secret-left-out",
                name.clone(),
                "looks like a secret and does not ship",
            )
            .with_hint(format!(
                "ship it all the same: `include = [\"/{name}\"]` in `[tool.unheck]`"
            ))
        })
        .collect()
}

fn entry(
    session: &Session,
    project: &Project,
    request: &BuildRequest,
) -> Result<Entry, BuildError> {
    if let Some(text) = &request.entry {
        return Ok(Entry::parse(text, &project.name)?);
    }
    let (entry, said) = Entry::infer(project)?;
    if project.config.entry.is_none() {
        session.note(&format!("starts {said}"));
    }
    Ok(entry)
}

/// Whether the project has a name of its own: one that is only the directory's would make an
/// artifact depend on where it was built.
fn is_named(project: &Project) -> bool {
    !matches!(project.kind, Kind::Requirements | Kind::Pylock) || project.version.is_some()
}

fn image_options(
    session: &Session,
    project: &Project,
    request: &BuildRequest,
    lock: &Lock,
) -> ImageOptions {
    let mut labels = BTreeMap::new();
    let mut label = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            labels.insert(format!("org.opencontainers.image.{name}"), value);
        }
    };
    label("title", is_named(project).then(|| project.name.clone()));
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
