//! Where builds run: one hook of a backend in a root of packages and wheels, and what comes of it. Start at
//! [`Workshop::hook`].

use std::path::{Path, PathBuf};

use unheck_base::Digest;
use unheck_resolve::BuildSystem;
use unheck_wheel::{normalize_name, same_version};

use super::error::SdistError;
use super::frontend::{Frontend, Hook, LEGACY, Ran};
use super::look::Looked;
use super::memory::Identity;
use super::options::BuildOptions;
use super::permits::Permits;
use super::requires::{self, Asking};
use super::root::BuildRoot;
use super::source::Source;
use crate::backend::{BackendError, only_wheel};
use crate::layout::Layout;
use crate::lock::{Compiled, Hashes, Wheel};
use crate::wheels::open_wheel;

/// A wheel that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Normalised name.
    pub(crate) name: String,
    /// Version, where it is known before.
    pub(crate) version: Option<String>,
    /// What it is made from.
    pub(crate) source: Source,
    /// The lock's record of its sdist, where it is one.
    pub(crate) sdist: Option<Wheel>,
    /// Names of the distributions whose builds wait for this one, the outermost first.
    pub(crate) waiting: Vec<String>,
}

impl Job {
    /// `name 1.0`.
    pub(crate) fn label(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A build with everything that its source tree and the user say of it.
pub(crate) struct Order<'o> {
    pub(crate) job: &'o Job,
    pub(crate) label: String,
    pub(crate) options: BuildOptions,
    pub(crate) system: BuildSystem,
    pub(crate) looked: Looked,
    /// Limits on the versions of build requirements.
    pub(crate) constraints: Vec<String>,
}

/// Everything that builds of one platform have in common.
pub(crate) struct Workshop<'a> {
    pub(crate) asking: Asking<'a>,
    layout: Layout,
    permits: Permits,
}

impl<'a> Workshop<'a> {
    pub(crate) fn new(asking: Asking<'a>) -> Self {
        Self {
            layout: Layout::of(asking.interpreter),
            asking,
            permits: Permits::of_this_machine(),
        }
    }

    /// Reads what the source tree says of its build.
    ///
    /// # Errors
    /// [`SdistError`].
    pub(crate) fn order<'o>(&self, job: &'o Job) -> Result<Order<'o>, SdistError> {
        let looked = super::look::look(self.asking.session.store(), &job.source)?;
        let mut system = looked.system.clone().unwrap_or_else(|| BuildSystem {
            requires: Vec::new(),
            backend: None,
            backend_path: Vec::new(),
        });
        if system.backend.is_none() && system.requires.is_empty() {
            // PEP 517: without a `[build-system]` it is a setuptools project of the old kind.
            system.requires.push("setuptools >= 40.8.0".to_owned());
        }
        let builds = &self.asking.project.config.builds;
        let mut options = builds.get(&job.name).cloned().unwrap_or_default();
        if job.name == normalize_name(&self.asking.project.name) {
            options
                .env
                .extend(self.asking.project.config.build_env.clone());
        }
        system.requires.extend(options.requires.iter().cloned());
        let asking = &self.asking;
        let inputs = crate::locker::resolver_inputs(asking.session, asking.project, asking.options);
        let constraints = unheck_resolve::build_constraints(&inputs).map_err(|error| {
            let requires = system.requires.clone();
            environment_failed(
                &job.label(),
                BackendError::Resolve {
                    requires,
                    platform: asking.platform,
                    source: Box::new(error),
                },
            )
        })?;
        Ok(Order {
            job,
            label: job.label(),
            options,
            system,
            looked,
            constraints,
        })
    }

    /// The name of what is made in a build root of this digest.
    pub(crate) fn key(&self, order: &Order<'_>, what: &str, root: &Digest) -> Digest {
        let identity = Identity {
            tree: order.looked.tree,
            project: &order.job.name,
            interpreter: self.asking.interpreter,
            platform: self.asking.platform,
            options: &order.options,
            constraints: &order.constraints,
        };
        identity.key(what, root)
    }

    /// Runs one hook over a fresh copy of the source tree. That it failed is an answer too.
    ///
    /// # Errors
    /// [`SdistError`] when it cannot be run.
    pub(crate) fn hook(
        &self,
        order: &Order<'_>,
        hook: Hook,
        root: &BuildRoot,
        wheels: &[Wheel],
    ) -> Result<Ran, SdistError> {
        let Asking {
            session,
            interpreter,
            platform,
            ..
        } = self.asking;
        let failed = |source| environment_failed(&order.label, source);
        let environment =
            requires::environment(session, interpreter, platform, wheels).map_err(failed)?;
        let headers = super::headers::headers(session, interpreter).map_err(failed)?;
        // The build root lies over the wheels: what generated files both have is the root's.
        let mut lower: Vec<PathBuf> = environment.lower.clone();
        lower.extend(headers.iter().map(|headers| headers.path().to_owned()));
        lower.extend(root.lower.iter().cloned());
        let crates = super::crates::bring(session, order, root)?;
        // Held while it runs only: a build whose requirements are being compiled runs nothing itself.
        let permit = self.permits.take();
        let frontend = Frontend {
            session,
            label: &order.label,
            source: &order.job.source,
            system: &order.system,
            layout: &self.layout,
            options: &order.options,
            allowance: permit.allowance(),
            crates: crates.as_ref(),
        };
        frontend
            .run(hook, &lower)
            .map_err(|source| SdistError::Run {
                label: order.label.clone(),
                source: Box::new(source),
            })
    }

    /// Takes the wheel that a backend left into the store, if it is what was wanted.
    ///
    /// # Errors
    /// [`SdistError`].
    pub(crate) fn take(&self, order: &Order<'_>, ran: &Ran) -> Result<Wheel, SdistError> {
        let wrong = |problem: String| SdistError::Answer {
            label: order.label.clone(),
            problem,
        };
        let store = self.asking.session.store();
        let named = ran.good().map(|answer| answer.wheel.clone());
        let name = only_wheel(&ran.wheels(), &named.unwrap_or_default()).map_err(wrong)?;
        let path = ran.wheels().join(&name);
        let mut file = fs_err::File::open(&path).map_err(|error| wrong(error.to_string()))?;
        let digest = store.put_reader(&mut file, None)?;
        let open = open_wheel(store, &name, &digest).map_err(|source| SdistError::Wheel {
            label: order.label.clone(),
            source: Box::new(source),
        })?;
        let found = open.wheel.name();
        let version = order.job.version.as_deref();
        let same = found.project() == normalize_name(&order.job.name)
            && version.is_none_or(|version| same_version(version, found.version()));
        if !same {
            return Err(wrong(format!(
                "made `{name}`, which is another distribution"
            )));
        }
        Ok(Wheel {
            name,
            url: None,
            path: None,
            upload_time: None,
            size: store.size_of(&digest),
            hashes: Hashes { sha256: digest },
        })
    }

    /// The record of a wheel, without what was found on the way.
    ///
    /// # Errors
    /// [`SdistError`].
    pub(crate) fn record(
        &self,
        order: &Order<'_>,
        root: &BuildRoot,
        ran: &Ran,
        wheel: Wheel,
    ) -> Result<Compiled, SdistError> {
        let others = root.debs.iter().filter(|deb| !deb.base);
        Ok(Compiled {
            name: order.job.name.clone(),
            version: order.job.version.clone(),
            platform: self.asking.platform,
            source: order.job.source.digest()?,
            sdist: order.job.sdist.clone(),
            subdirectory: order.job.source.subdirectory().map(str::to_owned),
            backend: order
                .system
                .backend
                .clone()
                .unwrap_or_else(|| LEGACY.to_owned()),
            key: self.key(order, "wheel", &root.digest),
            sandbox: ran.outcome.rung.to_string(),
            wheel,
            requires: Vec::new(),
            debs: Vec::new(),
            root: others.map(|deb| deb.name.clone()).collect(),
            attempts: Vec::new(),
        })
    }
}

pub(super) fn environment_failed(label: &str, source: BackendError) -> SdistError {
    SdistError::Backend {
        label: label.to_owned(),
        source: Box::new(source),
    }
}

/// Copies the metadata that a backend left: regular files of one directory, bounded.
pub(super) fn copy_metadata(from: &Path, named: &str, out: &Path) -> Result<(), String> {
    let plain = named.ends_with(".dist-info") && !named.contains(['/', '\0']);
    if !plain {
        return Err(format!("named the metadata `{}`", named.escape_debug()));
    }
    let (source, target) = (from.join(named), out.join(named));
    let text = |error: std::io::Error| format!("left metadata that cannot be read: {error}");
    fs_err::create_dir_all(&target).map_err(text)?;
    for (count, entry) in walkdir::WalkDir::new(&source)
        .follow_links(false)
        .into_iter()
        .enumerate()
    {
        let entry = entry.map_err(|error| text(error.into()))?;
        let below = entry.path().strip_prefix(&source).unwrap_or(entry.path());
        let length = entry.metadata().map_or(0, |found| found.len());
        if count > 1000 || length > 16 << 20 {
            return Err("left more metadata than any distribution has".to_owned());
        }
        if entry.depth() > 0 && entry.file_type().is_dir() {
            fs_err::create_dir_all(target.join(below)).map_err(text)?;
        } else if entry.file_type().is_file() {
            fs_err::copy(entry.path(), target.join(below)).map_err(text)?;
        }
    }
    Ok(())
}
