//! From a project to a lock: resolve, fetch, scan, close. Start at [`make_lock`].

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;
use unheck_base::TreePath;
use unheck_resolve::Artifact;
use url::Url;

use crate::assemble::{AppPart, assemble};
use crate::backend::{RequiresRequest, lock_requires};
use crate::close::{CloseError, Closure, Request, Shipped, World as _, close};
use crate::debian::{DebWorld, Suites, SuitesRequest, parse_glibc};
use crate::event::{Event, Stage};
use crate::input::{AppFiles, Kind, LockOptions, Project, inputs_digest};
use crate::interpreter::{ChooseError, choose, glibc};
use crate::layout::Layout;
use crate::lock::{
    Deb, Dependency, FORMAT, Hashes, Interpreter, Lock, Package, Plan, Provider, Target, Wheel,
};
use crate::net::{NetError, Want};
use crate::platform::Platform;
use crate::scan::{ArchiveFacts, NativeUse, scan_pack};
use crate::session::Session;
use crate::tree::Origin;
use crate::wheels::{InstalledWheel, install, open_wheel};

pub use error::MakeLockError;

/// Resolves, fetches and closes everything for every platform of `options`.
///
/// # Errors
/// [`MakeLockError`].
pub fn make_lock(
    session: &Session,
    project: &Project,
    options: &LockOptions,
    app: &AppFiles,
    previous: Option<&Lock>,
) -> Result<Lock, MakeLockError> {
    let inputs = inputs_digest(project, options)?;
    let request = SuitesRequest {
        suite: &options.suite,
        platforms: &options.platforms,
        allow_expired: &session.allow_expired,
        now: session.now,
    };
    let suites = Suites::load(&session.net, &session.mirror, &session.keyring, &request)?;
    let app_facts = app_facts(app);
    let mut lock = Lock {
        requires_python: project.requires_python.clone(),
        packages: Vec::new(),
        plan: Plan {
            format: FORMAT,
            inputs,
            epoch: suites.newest_date(),
            roots: Vec::new(),
            app_needs: app_needs(&app_facts),
            targets: Vec::new(),
        },
    };
    let mut parts = Vec::new();
    for platform in &options.platforms {
        let maker = Maker {
            session,
            project,
            options,
            suites: &suites,
            platform: *platform,
            previous,
        };
        parts.push(maker.target(&app_facts)?);
    }
    if project.build_system {
        let mut targets: Vec<&mut Target> = parts.iter_mut().map(|part| &mut part.target).collect();
        lock_requires(
            session,
            &RequiresRequest {
                project,
                options,
                app,
                previous,
            },
            &mut targets,
        )
        .map_err(Box::new)?;
    }
    merge(&mut lock, parts);
    // What cannot become a tree must not become a lock: files that two parts want, and what no
    // artifact may have, are found here, before anything is written.
    for target in &lock.plan.targets {
        assemble(session.store(), &lock, target, &AppPart::default()).map_err(Box::new)?;
    }
    Ok(lock)
}

/// What the app's own source opens and imports, as the lock remembers it.
pub fn app_needs(facts: &ArchiveFacts) -> Vec<String> {
    let native = facts
        .native
        .iter()
        .map(|one| format!("opens {}", one.names.join(" or ")));
    let imports = facts
        .imports
        .iter()
        .map(|module| format!("imports {module}"));
    let objects = facts
        .objects
        .values()
        .flat_map(|object| object.needed.iter().map(|name| format!("needs {name}")));
    let all: BTreeSet<String> = native.chain(imports).chain(objects).collect();
    all.into_iter().collect()
}

/// Scans the app's own files.
pub fn app_facts(app: &AppFiles) -> ArchiveFacts {
    let mut facts = ArchiveFacts::default();
    for file in &app.files {
        let name = file.path.file_name();
        if !(name.ends_with(".py") || crate::close::is_library_name(name)) {
            continue;
        }
        let Ok(bytes) = fs_err::read(&file.source) else {
            continue;
        };
        if name.ends_with(".py") {
            crate::scan::scan_source(&file.path, &bytes, &mut facts);
        } else if let Ok(object) = unheck_elf::Object::parse(&bytes) {
            facts.objects.insert(file.path.clone(), object);
        }
    }
    facts
}

/// One platform's half of a lock.
struct Part {
    platform: Platform,
    target: Target,
    packages: Vec<Package>,
    roots: Vec<String>,
    epoch: i64,
}

struct Maker<'a> {
    session: &'a Session,
    project: &'a Project,
    options: &'a LockOptions,
    suites: &'a Suites,
    platform: Platform,
    previous: Option<&'a Lock>,
}

impl Maker<'_> {
    fn target(&self, app: &ArchiveFacts) -> Result<Part, MakeLockError> {
        let (interpreter, interpreter_debs) = self.interpreter()?;
        let world = DebWorld::new(
            &self.session.net,
            &self.session.mirror,
            self.suites,
            self.platform,
        );
        // The interpreter's packages do not depend on the resolution: fetch them meanwhile.
        let (packages, _) = std::thread::scope(|scope| {
            let early =
                scope.spawn(|| world.prepare(&crate::close::early(&world, &interpreter_debs)));
            let packages = self.distributions(&interpreter);
            (packages, early.join().expect("no panic"))
        });
        let (packages, roots) = packages?;
        let closure = self.close(&world, &interpreter, &interpreter_debs, (&packages, app))?;
        let mut wheels: Vec<String> = packages
            .iter()
            .flat_map(|package| package.wheels.iter().map(|wheel| wheel.name.clone()))
            .collect();
        wheels.sort();
        let epoch = packages
            .iter()
            .flat_map(|package| &package.wheels)
            .filter_map(upload_second)
            .max();
        let target = Target {
            platform: self.platform,
            interpreter,
            wheels,
            suites: self
                .suites
                .locked
                .get(&self.platform)
                .cloned()
                .unwrap_or_default(),
            debs: debs(&world, &closure),
            notes: closure.notes,
            build_requires: Vec::new(),
        };
        Ok(Part {
            platform: self.platform,
            target,
            packages,
            roots,
            epoch: epoch.unwrap_or_default(),
        })
    }

    fn interpreter(&self) -> Result<(Interpreter, Vec<String>), MakeLockError> {
        if self.options.provider == Provider::Debian {
            let requires = self.project.requires_python.as_deref();
            let python = choose(
                self.suites,
                self.platform,
                self.options.python.as_deref(),
                requires,
            )?;
            return Ok((python.interpreter, python.packages));
        }
        let glibc = glibc(self.suites, self.platform)?;
        let interpreter = crate::provider::lock(
            self.session,
            self.project,
            self.options,
            self.platform,
            glibc,
        )?;
        Ok((interpreter, Vec::new()))
    }

    /// Resolves, or reads another tool's lock, and fetches every wheel.
    fn distributions(
        &self,
        interpreter: &Interpreter,
    ) -> Result<(Vec<Package>, Vec<String>), MakeLockError> {
        let resolution = self.resolve(interpreter)?;
        let mut packages = Vec::new();
        let mut roots = Vec::new();
        for package in resolution.packages {
            if package.requested_by_root {
                roots.push(package.name.clone());
            }
            packages.push(self.package(package, interpreter)?);
        }
        let wants = packages
            .iter()
            .flat_map(|package: &Package| &package.wheels)
            .filter_map(want)
            .collect();
        self.session.net.fetch(wants)?;
        Ok((packages, roots))
    }

    fn resolve(
        &self,
        interpreter: &Interpreter,
    ) -> Result<unheck_resolve::Resolution, MakeLockError> {
        let target = resolver_target(interpreter, self.platform)?;
        let inputs = resolver_inputs(self.session, self.project, self.options);
        let options = unheck_resolve::ResolveOptions {
            cache: self.session.resolver_cache.clone(),
            preferences: self.preferences(),
            builder: None,
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
        package: unheck_resolve::Package,
        interpreter: &Interpreter,
    ) -> Result<Package, MakeLockError> {
        let source = |what: &str| MakeLockError::Source {
            name: format!(
                "{} {}",
                package.name,
                package.version.as_deref().unwrap_or_default()
            ),
            platform: self.platform,
            python: interpreter.version.clone(),
            what: what.to_owned(),
            tags: tags(&package.all_wheels),
        };
        let file = match &package.artifact {
            Artifact::Wheel(file)
            | Artifact::Archive {
                file,
                is_wheel: true,
                ..
            } => file,
            Artifact::Sdist(file) => return Err(source(&format!("the sdist `{}`", file.filename))),
            Artifact::Archive { file, .. } => {
                return Err(source(&format!("the sdist `{}`", file.filename)));
            }
            Artifact::Directory { path, .. } => {
                return Err(source(&format!("the source tree `{}`", path.display())));
            }
            Artifact::Git { url, commit, .. } => {
                return Err(source(&format!("the commit {commit} of `{url}`")));
            }
        };
        let wheel = self.wheel(file)?;
        Ok(Package {
            marker: None,
            requires_python: None,
            index: file.index.clone(),
            dependencies: package
                .dependencies
                .into_iter()
                .map(|name| Dependency { name })
                .collect(),
            wheels: vec![wheel],
            sdist: None,
            name: package.name,
            version: package.version,
        })
    }

    fn wheel(&self, file: &unheck_resolve::File) -> Result<Wheel, MakeLockError> {
        Ok(record(self.session, file)?)
    }

    fn close(
        &self,
        world: &DebWorld<'_>,
        interpreter: &Interpreter,
        interpreter_debs: &[String],
        (packages, app): (&[Package], &ArchiveFacts),
    ) -> Result<Closure, MakeLockError> {
        let request = self.request(interpreter, interpreter_debs, packages, app)?;
        match close(world, &request) {
            Ok(closure) => Ok(closure),
            Err(CloseError::World(error)) => Err(error.into()),
            Err(CloseError::Unmet(list)) => Err(MakeLockError::Unmet(list)),
        }
    }

    fn request(
        &self,
        interpreter: &Interpreter,
        interpreter_debs: &[String],
        packages: &[Package],
        app: &ArchiveFacts,
    ) -> Result<Request, MakeLockError> {
        let store = self.session.store();
        let layout = Layout::of(interpreter);
        let mut request = Request {
            platform: self.platform,
            glibc: glibc(self.suites, self.platform)?,
            interpreter: interpreter_debs.to_vec(),
            by_hand: self.options.debs.clone(),
            objects: Vec::new(),
            paths: BTreeMap::new(),
            native: Vec::new(),
            imports: app.imports.clone(),
            distributions: packages
                .iter()
                .map(|package| package.name.clone())
                .collect(),
        };
        if interpreter.provider != Provider::Debian {
            let facts = crate::provider::facts(store, interpreter)?;
            add_facts(&mut request, &Origin::Interpreter, facts, |path| {
                Some(path.clone())
            });
        }
        let wheels: Vec<(&Package, &Wheel)> = packages
            .iter()
            .flat_map(|package| package.wheels.iter().map(move |wheel| (package, wheel)))
            .collect();
        // Unpacking and scanning are the long part of a lock: side by side.
        let looked: Vec<(Origin, InstalledWheel, ArchiveFacts)> = wheels
            .par_iter()
            .map(|(package, wheel)| {
                let open = open_wheel(store, &wheel.name, &wheel.hashes.sha256)?;
                let origin = Origin::Distribution(package.name.clone());
                let installed = install(&open, &layout, &origin, false)?;
                let facts = scan_pack(store, &wheel.hashes.sha256, &open.pack)?;
                Ok((origin, installed, facts))
            })
            .collect::<Result<_, MakeLockError>>()?;
        for (origin, InstalledWheel { nodes, places }, facts) in looked {
            request
                .paths
                .extend(nodes.into_iter().map(|(path, _)| (path, origin.clone())));
            add_facts(&mut request, &origin, facts, |path| {
                places.get(path).cloned()
            });
        }
        let place =
            |path: &TreePath| TreePath::new(&format!("{}/{path}", crate::layout::APP_DIR)).ok();
        add_facts(&mut request, &Origin::App, app.clone(), place);
        Ok(request)
    }
}

/// Adds the objects, native names and imports of one archive, at their places in the tree.
fn add_facts(
    request: &mut Request,
    origin: &Origin,
    facts: ArchiveFacts,
    place: impl Fn(&TreePath) -> Option<TreePath>,
) {
    for (path, object) in facts.objects {
        if let Some(path) = place(&path) {
            request.paths.insert(path.clone(), origin.clone());
            request.objects.push(Shipped {
                path,
                origin: origin.clone(),
                object: Arc::new(object),
            });
        }
    }
    for one in facts.native {
        let path = place(&one.path).unwrap_or(one.path);
        request.native.push((
            origin.clone(),
            NativeUse {
                path,
                line: one.line,
                names: one.names,
            },
        ));
    }
    request.imports.extend(facts.imports);
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

/// Tags of wheels, without repetition.
fn tags(wheels: &[unheck_resolve::File]) -> Vec<String> {
    let tags: BTreeSet<String> = wheels
        .iter()
        .filter_map(|file| {
            let mut parts = file.filename.strip_suffix(".whl")?.rsplitn(4, '-');
            let (platform, abi, python) = (parts.next()?, parts.next()?, parts.next()?);
            Some(format!("{python}-{abi}-{platform}"))
        })
        .collect();
    tags.into_iter().collect()
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

/// Every file that a lock names and that must be in the store before a build.
pub fn wants(session: &Session, lock: &Lock) -> Vec<Want> {
    let mut wants: Vec<Want> = lock
        .packages
        .iter()
        .flat_map(|package| &package.wheels)
        .filter_map(want)
        .collect();
    for target in &lock.plan.targets {
        wants.extend(target.build_requires.iter().filter_map(want));
        wants.extend(target.interpreter.archive.iter().filter_map(want));
        for deb in &target.debs {
            let suite = target.suites.iter().find(|suite| suite.name == deb.suite);
            let (archive, date) = suite.map_or((crate::lock::Archive::Debian, 0), |suite| {
                (suite.archive, suite.date)
            });
            wants.push(Want {
                label: format!("{} {}", deb.name, deb.version),
                urls: session.mirror.package_urls(archive, &deb.path, date),
                digest: deb.sha256,
                size: Some(deb.size),
                credentials: false,
            });
        }
    }
    wants
}

fn upload_second(wheel: &Wheel) -> Option<i64> {
    let text = wheel.upload_time.as_ref()?.to_string();
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

fn debs(world: &DebWorld<'_>, closure: &Closure) -> Vec<Deb> {
    closure
        .debs
        .iter()
        .filter_map(|(name, using)| {
            let listed = world.listed(name)?;
            let package = listed.package;
            Some(Deb {
                name: name.clone(),
                version: package.version.to_string(),
                architecture: package.architecture,
                source: (package.source.0 != *name).then_some(package.source.0),
                suite: listed.suite,
                path: package.filename.to_string(),
                size: package.size,
                sha256: package.sha256,
                base: using.base,
                reason: using.reason.clone(),
                files: using.files.clone(),
            })
        })
        .collect()
}

/// Puts the platforms' halves together: one entry per distribution and version, with a marker
/// where not every platform has it.
fn merge(lock: &mut Lock, parts: Vec<Part>) {
    let count = parts.len();
    let mut merged: BTreeMap<(String, Option<String>), (Package, Vec<Platform>)> = BTreeMap::new();
    let mut roots = BTreeSet::new();
    for part in parts {
        roots.extend(part.roots);
        lock.plan.epoch = lock.plan.epoch.max(part.epoch);
        for package in part.packages {
            let key = (package.name.clone(), package.version.clone());
            match merged.get_mut(&key) {
                None => drop(merged.insert(key, (package, vec![part.platform]))),
                Some((there, platforms)) => {
                    platforms.push(part.platform);
                    there.dependencies.extend(package.dependencies);
                    there.dependencies.sort();
                    there.dependencies.dedup();
                    for wheel in package.wheels {
                        if !there.wheels.iter().any(|other| other.name == wheel.name) {
                            there.wheels.push(wheel);
                        }
                    }
                    there.wheels.sort_by(|one, other| one.name.cmp(&other.name));
                }
            }
        }
        lock.plan.targets.push(part.target);
    }
    lock.plan.roots = roots.into_iter().collect();
    lock.packages = merged
        .into_values()
        .map(|(mut package, platforms)| {
            if platforms.len() < count {
                let machines: Vec<String> = platforms
                    .iter()
                    .map(|platform| format!("platform_machine == '{}'", platform.machine()))
                    .collect();
                package.marker = Some(machines.join(" or "));
            }
            package
        })
        .collect();
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
