//! The distributions of one platform: resolved or read from another tool's lock, then fetched.
//! Start at [`Chooser::distributions`].

use std::sync::Arc;

use rayon::prelude::*;
use std::collections::BTreeMap;
use unheck_resolve::{Artifact, SourceBuilder};
use url::Url;

use super::MakeLockError;
use crate::debian::parse_glibc;
use crate::event::{Event, Stage};
use crate::identify::attested::{self, Trust};
use crate::identify::census;
use crate::input::{Kind, LockOptions, Project};
use crate::interpreter::{ChooseError, expected};
use crate::lock::{Dependency, Hashes, Interpreter, Lock, Package, Provider, Wheel};
use crate::net::{NetError, Want};
use crate::platform::Platform;
use crate::scan::scan_pack;
use crate::sdist::{Asking, Compiler, NotYet, Origin, origin};
use crate::session::Session;
use crate::wheels::open_wheel;

/// Chooses the distributions of one platform.
pub(super) struct Chooser<'a> {
    pub(super) session: &'a Session,
    pub(super) project: &'a Project,
    pub(super) options: &'a LockOptions,
    pub(super) platform: Platform,
    pub(super) previous: Option<&'a Lock>,
}

/// What was chosen; every wheel is in the store, also those that were compiled.
pub(super) struct Distributions {
    pub(super) packages: Vec<Package>,
    /// Names that the project itself asks for.
    pub(super) roots: Vec<String>,
    /// Wheels that were compiled, by the distribution's name.
    pub(super) compiled: BTreeMap<String, Wheel>,
}

impl Distributions {
    /// Every wheel with its package.
    pub(super) fn wheels(&self) -> impl Iterator<Item = (&Package, &Wheel)> {
        self.packages.iter().flat_map(|package| {
            let compiled = self.compiled.get(&package.name);
            package
                .wheels
                .iter()
                .chain(compiled)
                .map(move |wheel| (package, wheel))
        })
    }
}

impl Distributions {
    /// File names of all wheels, sorted.
    pub(super) fn wheel_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.wheels().map(|(_, wheel)| wheel.name.clone()).collect();
        names.sort();
        names
    }

    /// When the newest file was uploaded, in seconds since 1970; 0 where no index says.
    pub(super) fn newest_upload(&self) -> i64 {
        let sdists = self
            .packages
            .iter()
            .filter_map(|package| package.sdist.as_ref());
        let files = self.wheels().map(|(_, wheel)| wheel).chain(sdists);
        files.filter_map(upload_second).max().unwrap_or_default()
    }
}

fn upload_second(wheel: &Wheel) -> Option<i64> {
    let text = wheel.upload_time.as_ref()?.to_string();
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

/// What was chosen for the interpreter that a suite is expected to have.
pub(super) struct Early {
    interpreter: Interpreter,
    chosen: Result<Distributions, MakeLockError>,
}

impl Early {
    /// What was chosen, if the suite has the interpreter that was expected.
    pub(super) fn for_interpreter(
        self,
        interpreter: &Interpreter,
    ) -> Option<Result<Distributions, MakeLockError>> {
        (self.interpreter == *interpreter).then_some(self.chosen)
    }
}

/// A choice of distributions, some of which have to be compiled yet.
struct Choice {
    packages: Vec<Package>,
    roots: Vec<String>,
    sources: Vec<unheck_resolve::Package>,
}

impl Chooser<'_> {
    /// Chooses, fetches and unpacks before the suites are known, where it is known well enough
    /// what Python they have: released suites keep theirs to the end. `None` where something has to be compiled, which
    /// only a suite can tell with what.
    pub(super) fn early(&self) -> Option<Early> {
        if self.options.provider != Provider::Debian {
            return None;
        }
        let interpreter = expected(&self.options.suite)?;
        let not_yet = Arc::new(NotYet::default());
        let choice = self.choose(&interpreter, Arc::clone(&not_yet) as _);
        if not_yet.was_asked()
            || choice
                .as_ref()
                .is_ok_and(|choice| !choice.sources.is_empty())
        {
            return None;
        }
        let chosen = choice.and_then(|mut choice| {
            self.fetch(&mut choice.packages)?;
            Ok(Distributions {
                packages: choice.packages,
                roots: choice.roots,
                compiled: BTreeMap::new(),
            })
        });
        if let Ok(Distributions { packages, .. }) = &chosen {
            let store = self.session.store();
            // What fails here fails again, and is told, when the closure asks for it.
            let wheels = packages.par_iter().flat_map(|package| &package.wheels);
            wheels.for_each(|wheel| {
                if let Ok(open) = open_wheel(store, &wheel.name, &wheel.hashes.sha256) {
                    scan_pack(store, &wheel.hashes.sha256, &open.pack).ok();
                }
            });
        }
        Some(Early {
            interpreter,
            chosen,
        })
    }

    /// Resolves, or reads another tool's lock, fetches every wheel, and compiles what has none.
    pub(super) fn distributions(
        &self,
        interpreter: &Interpreter,
        compiler: &Compiler<'_>,
    ) -> Result<Distributions, MakeLockError> {
        let choice = compiler.serving(&[], |builder| self.choose(interpreter, builder));
        let mut choice = choice.map_err(|error| match (&error, compiler.take_failure()) {
            (MakeLockError::Resolve { .. } | MakeLockError::Locked { .. }, Some(failed)) => {
                MakeLockError::compile(vec![failed])
            }
            _ => error,
        })?;
        let (fetched, compiled) = std::thread::scope(|scope| {
            let compiling = scope.spawn(|| compiler.all(&choice.sources));
            let fetched = self.fetch(&mut choice.packages);
            (fetched, compiling.join().expect("no panic"))
        });
        fetched?;
        let compiled = compiled.map_err(MakeLockError::compile)?;
        Ok(Distributions {
            packages: choice.packages,
            roots: choice.roots,
            compiled: compiled
                .into_iter()
                .map(|made| (made.name, made.wheel))
                .collect(),
        })
    }

    /// Fetches every wheel, and asks meanwhile what each distribution is.
    fn fetch(&self, packages: &mut [Package]) -> Result<(), MakeLockError> {
        let wheels = packages.iter().flat_map(|package| &package.wheels);
        let wants = wheels.filter_map(want).collect();
        let root = &self.project.root;
        let trust = Trust::of(self.project)?;
        let known = (self.previous, &trust);
        std::thread::scope(|scope| {
            scope.spawn(|| census::gather(self.session, root, packages, known));
            self.session.net.fetch(wants)
        })?;
        census::complete(self.session, packages);
        attested::hold(packages, &self.project.config.allow)?;
        Ok(())
    }

    fn choose(
        &self,
        interpreter: &Interpreter,
        builder: Arc<dyn SourceBuilder>,
    ) -> Result<Choice, MakeLockError> {
        let resolution = self.resolve(interpreter, builder)?;
        let mut choice = Choice {
            packages: Vec::new(),
            roots: Vec::new(),
            sources: Vec::new(),
        };
        for package in resolution.packages {
            if package.requested_by_root {
                choice.roots.push(package.name.clone());
            }
            choice.packages.push(self.package(&package, interpreter)?);
            if !is_wheel(&package.artifact) {
                choice.sources.push(package);
            }
        }
        Ok(choice)
    }

    fn resolve(
        &self,
        interpreter: &Interpreter,
        builder: Arc<dyn SourceBuilder>,
    ) -> Result<unheck_resolve::Resolution, MakeLockError> {
        let target = resolver_target(interpreter, self.platform)?;
        let inputs = resolver_inputs(self.session, self.project, self.options);
        let options = unheck_resolve::ResolveOptions {
            cache: self.session.resolver_cache.clone(),
            answers: self.session.answers.clone(),
            preferences: self.preferences(),
            builder: Some(builder),
            reporter: Some(Arc::new(Forward(Arc::clone(&self.session.reporter)))),
        };
        let name = || self.project.name.clone();
        if matches!(self.project.kind, Kind::UvLock | Kind::Pylock) {
            let file = std::path::absolute(&self.project.file)
                .unwrap_or_else(|_| self.project.file.clone());
            let read = unheck_resolve::read_lock(&file, &inputs, &target, &options);
            return self
                .session
                .net
                .block_on(read)
                .map_err(|source| MakeLockError::Locked {
                    project: name(),
                    platform: self.platform,
                    source: Box::new(source),
                });
        }
        let resolve = unheck_resolve::resolve(&inputs, &target, &options);
        self.session
            .net
            .block_on(resolve)
            .map_err(|source| MakeLockError::Resolve {
                project: name(),
                platform: self.platform,
                source: Box::new(source),
            })
    }

    /// Versions of an earlier lock are kept where the requirements allow it, so that a small
    /// change of the project is a small change of the lock.
    fn preferences(&self) -> Vec<unheck_resolve::Preference> {
        let packages = self
            .previous
            .map(|lock| lock.packages.as_slice())
            .unwrap_or_default();
        packages
            .iter()
            .filter_map(|package| {
                Some(unheck_resolve::Preference {
                    name: package.name.clone(),
                    version: package.version.clone()?,
                })
            })
            .collect()
    }

    fn package(
        &self,
        package: &unheck_resolve::Package,
        interpreter: &Interpreter,
    ) -> Result<Package, MakeLockError> {
        let (wheels, index, origin) = match &package.artifact {
            Artifact::Wheel(file)
            | Artifact::Archive {
                file,
                is_wheel: true,
                ..
            } => (
                vec![self.wheel(file)?],
                file.index.clone(),
                Origin::default(),
            ),
            other => {
                let asking = Asking {
                    session: self.session,
                    project: self.project,
                    options: self.options,
                    interpreter,
                    platform: self.platform,
                };
                let origin = origin(&asking, package).map_err(Box::new)?;
                let index = match other {
                    Artifact::Sdist(file) => file.index.clone(),
                    _ => None,
                };
                (Vec::new(), index, origin)
            }
        };
        Ok(Package {
            marker: None,
            requires_python: None,
            index,
            dependencies: package
                .dependencies
                .iter()
                .map(|name| Dependency { name: name.clone() })
                .collect(),
            wheels,
            directory: origin.directory,
            vcs: origin.vcs,
            sdist: origin.sdist,
            tool: None,
            name: package.name.clone(),
            version: package.version.clone(),
        })
    }

    fn wheel(&self, file: &unheck_resolve::File) -> Result<Wheel, MakeLockError> {
        Ok(record(self.session, file)?)
    }
}

/// The lock's record of a file. One for which the index states no digest is fetched, and pinned
/// from then on.
pub(crate) fn record(session: &Session, file: &unheck_resolve::File) -> Result<Wheel, NetError> {
    let sha256 = match file.sha256 {
        Some(digest) => digest,
        None => {
            let url = Url::parse(&file.url).map_err(|error| NetError::Client(error.to_string()))?;
            session.net.fetch_unknown(&file.filename, url, file.size)?
        }
    };
    let upload_time = file
        .upload_time
        .as_deref()
        .and_then(|text| text.parse().ok());
    Ok(Wheel {
        name: file.filename.clone(),
        url: Some(file.url.clone()),
        path: None,
        upload_time,
        size: file.size,
        hashes: Hashes { sha256 },
    })
}

/// What the resolver resolves for.
pub(crate) fn resolver_target(
    interpreter: &Interpreter,
    platform: Platform,
) -> Result<unheck_resolve::Target, ChooseError> {
    let glibc = parse_glibc(&interpreter.glibc).unwrap_or((2, 17));
    let arch = match platform {
        Platform::LinuxAmd64 => unheck_resolve::Arch::X86_64,
        Platform::LinuxArm64 => unheck_resolve::Arch::Aarch64,
    };
    let libc = unheck_resolve::Libc::Glibc(glibc.0 as u16, glibc.1 as u16);
    unheck_resolve::Target::new(&interpreter.version, libc, arch).map_err(|_| {
        ChooseError::Specifier {
            requires: interpreter.version.clone(),
        }
    })
}

/// What the resolver is asked.
pub(crate) fn resolver_inputs(
    session: &Session,
    project: &Project,
    options: &LockOptions,
) -> unheck_resolve::Inputs {
    let root = std::path::absolute(&project.root).unwrap_or_else(|_| project.root.clone());
    let file = std::path::absolute(&project.file).unwrap_or_else(|_| project.file.clone());
    let source = match project.kind {
        Kind::Requirements => unheck_resolve::Source::Requirements(file),
        Kind::Script => unheck_resolve::Source::Script(file),
        Kind::Pyproject => unheck_resolve::Source::Pyproject(file),
        Kind::UvLock | Kind::Pylock => {
            unheck_resolve::Source::Pyproject(root.join("pyproject.toml"))
        }
    };
    let mut inputs = unheck_resolve::Inputs::new(root, source);
    if project.kind == Kind::Pylock && !project.root.join("pyproject.toml").is_file() {
        inputs.sources.clear();
    }
    inputs.extras.names = options.extras.iter().cloned().collect();
    inputs.groups.names = options.groups.iter().cloned().collect();
    inputs.exclude_newer.clone_from(&options.exclude_newer);
    inputs.index = session.index.clone();
    inputs.index.offline = session.net.is_offline();
    inputs.environment = session.environment.clone();
    inputs
}

pub(crate) fn want(wheel: &Wheel) -> Option<Want> {
    let url = Url::parse(wheel.url.as_deref()?).ok()?;
    Some(Want {
        label: wheel.name.clone(),
        urls: vec![url],
        digest: wheel.hashes.sha256,
        size: wheel.size,
        credentials: true,
    })
}

/// Whether it is installed as it comes.
fn is_wheel(artifact: &Artifact) -> bool {
    matches!(
        artifact,
        Artifact::Wheel(_) | Artifact::Archive { is_wheel: true, .. }
    )
}

/// Passes the resolver's events on.
struct Forward(Arc<dyn crate::event::Reporter>);

impl unheck_resolve::Reporter for Forward {
    fn event(&self, event: unheck_resolve::Event<'_>) {
        if let unheck_resolve::Event::Warning { message } = event {
            self.0.event(Event::Note(message));
        }
        let _ = Stage::Lock;
    }
}
