//! From a project to a lock: resolve, fetch, scan, close. Start at [`make_lock`].

mod distributions;
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use rayon::prelude::*;
use unheck_base::TreePath;

use crate::assemble::{AppPart, assemble};
use crate::backend::{RequiresRequest, build_system, lock_requires};
use crate::close::{CloseError, Closure, Request, Shipped, close, rehearse};
use crate::debian::{DebWorld, Suites, SuitesError, SuitesRequest};
use crate::identify::census;
use crate::input::{AppFiles, LockOptions, Project, inputs_digest};
use crate::interpreter::{choose, glibc};
use crate::layout::Layout;
use crate::lock::{
    AppBuild, Compiled, Deb, FORMAT, Interpreter, Lock, Package, Plan, Provider, Target, Wheel,
};
use crate::net::Want;
use crate::platform::Platform;
use crate::scan::{ArchiveFacts, NativeUse, scan_pack};
use crate::sdist::{Asking, Compiler, is_compiled, lock_app};
use crate::session::Session;
use crate::tree::Origin;
use crate::wheels::{InstalledWheel, install, open_wheel};

use distributions::{Chooser, Distributions, Early};

pub(crate) use distributions::{record, resolver_inputs, resolver_target, want};
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
    let app_facts = app_facts(app);
    let choosers: Vec<Chooser<'_>> = options
        .platforms
        .iter()
        .map(|platform| Chooser {
            session,
            project,
            options,
            platform: *platform,
            previous,
        })
        .collect();
    let own = Own {
        files: app,
        facts: app_facts,
        compiled: project.build_system
            && is_compiled(project, app, &build_system(project).map_err(Box::new)?),
    };
    let (suites, mut parts, mut helper) = parts(&choosers, session, options, &own)?;
    let mut lock = Lock {
        requires_python: project.requires_python.clone(),
        packages: Vec::new(),
        plan: Plan {
            format: FORMAT,
            inputs,
            epoch: suites.newest_date(),
            roots: Vec::new(),
            app_needs: app_needs(app_facts),
            targets: Vec::new(),
            helper: None,
            builds: Vec::new(),
            app_builds: Vec::new(),
        },
    };
    if project.build_system && !own.compiled {
        let targets = parts.iter_mut().map(|part| &mut part.target);
        let mut targets: Vec<&mut Target> = targets.chain(&mut helper).collect();
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
    lock.plan.helper = helper;
    // What cannot become a tree must not become a lock: files that two parts want, and what no
    // artifact may have, are found here, before anything is written.
    for target in &lock.plan.targets {
        assemble(session.store(), &lock, target, &AppPart::default()).map_err(Box::new)?;
    }
    Ok(lock)
}

/// Every platform's half. Distributions hardly ever wait for the suites: which Python they are for
/// is known before.
fn parts(
    choosers: &[Chooser<'_>],
    session: &Session,
    options: &LockOptions,
    own: &Own<'_>,
) -> Result<(Suites, Vec<Part>, Option<Target>), MakeLockError> {
    let request = SuitesRequest {
        suite: &options.suite,
        platforms: &options.platforms,
        allow_expired: &session.allow_expired,
        now: session.now,
    };
    std::thread::scope(|scope| {
        let early: Vec<_> = choosers
            .iter()
            .map(|chooser| scope.spawn(|| chooser.early()))
            .collect();
        let mut suites = Suites::load(&session.net, &session.mirror, &session.keyring, &request)?;
        let helps = helps(session, options, &mut suites)?;
        let mut parts = Vec::new();
        for (chooser, early) in choosers.iter().zip(early) {
            let maker = Maker {
                chooser,
                options,
                suites: &suites,
            };
            parts.push(maker.target(own, early)?);
        }
        let helper = match (helps, parts.first()) {
            (Some(host), Some(part)) => helper(session, &suites, host, &part.target.interpreter)?,
            _ => None,
        };
        Ok((suites, parts, helper))
    })
}

/// This machine's platform, where the suite has it, Debian provides the interpreter, and it is no target.
fn helps(
    session: &Session,
    options: &LockOptions,
    suites: &mut Suites,
) -> Result<Option<Platform>, MakeLockError> {
    let wanted =
        |host: &Platform| options.provider == Provider::Debian && !options.platforms.contains(host);
    let Some(host) = Platform::host().filter(wanted) else {
        return Ok(None);
    };
    match suites.load_platform(&session.net, &session.mirror, host) {
        Ok(()) => Ok(Some(host)),
        Err(SuitesError::NoIndex { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The interpreter of this machine, of the version that the targets have; none where the suite has another here.
fn helper(
    session: &Session,
    suites: &Suites,
    host: Platform,
    wanted: &Interpreter,
) -> Result<Option<Target>, MakeLockError> {
    let Ok(python) = choose(suites, host, Some(&wanted.version), None) else {
        return Ok(None);
    };
    let world = DebWorld::new(&session.net, &session.mirror, suites, host);
    let request = Request::bare(&python.packages, (host, glibc(suites, host)?));
    let closure = closed(&world, &request)?;
    Ok(Some(Target {
        platform: host,
        interpreter: python.interpreter,
        wheels: Vec::new(),
        suites: suites.locked.get(&host).cloned().unwrap_or_default(),
        debs: debs(&world, &closure),
        notes: Vec::new(),
        build_requires: Vec::new(),
        build_debs: Vec::new(),
    }))
}

fn closed(world: &DebWorld<'_>, request: &Request) -> Result<Closure, MakeLockError> {
    match close(world, request) {
        Ok(closure) => Ok(closure),
        Err(CloseError::World(error)) => Err(error.into()),
        Err(CloseError::Unmet(list)) => Err(MakeLockError::Unmet(list)),
    }
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

/// What the app's own files need and open: they are scanned once.
pub fn app_facts(app: &AppFiles) -> &ArchiveFacts {
    app.facts.get_or_init(|| scan_app(app))
}

fn scan_app(app: &AppFiles) -> ArchiveFacts {
    let mut facts = ArchiveFacts::default();
    for file in &app.files {
        let name = file.path.file_name();
        let script = !name.contains('.');
        if !(name.ends_with(".py") || script || crate::close::is_library_name(name)) {
            continue;
        }
        let Ok(bytes) = fs_err::read(&file.source) else {
            continue;
        };
        if name.ends_with(".py") {
            crate::scan::scan_source(&file.path, &bytes, &mut facts);
        } else if script {
            crate::scan::scan_script(&file.path, &bytes, &mut facts);
        } else if let Ok(object) = unheck_elf::Object::parse(&bytes) {
            facts.objects.insert(file.path.clone(), object);
            facts.optional.extend(crate::scan::named_in(&bytes));
        }
    }
    facts
}

/// The app's own part.
struct Own<'a> {
    files: &'a AppFiles,
    facts: &'a ArchiveFacts,
    /// Whether its wheel has parts that are compiled.
    compiled: bool,
}

/// What the closure of a platform starts from.
struct Shipping<'a> {
    distributions: &'a Distributions,
    app: &'a ArchiveFacts,
    /// Debian packages that something was compiled with.
    built_with: BTreeSet<String>,
    /// The app's wheel, where it has compiled parts.
    app_wheel: Option<&'a Wheel>,
}

/// One platform's half of a lock.
struct Part {
    platform: Platform,
    target: Target,
    packages: Vec<Package>,
    roots: Vec<String>,
    epoch: i64,
    builds: Vec<Compiled>,
    app_build: Option<AppBuild>,
}

struct Maker<'a> {
    chooser: &'a Chooser<'a>,
    options: &'a LockOptions,
    suites: &'a Suites,
}

impl Maker<'_> {
    fn target(
        &self,
        own: &Own<'_>,
        early: ScopedJoinHandle<'_, Option<Early>>,
    ) -> Result<Part, MakeLockError> {
        let (interpreter, interpreter_debs) = self.interpreter()?;
        let Chooser {
            session, platform, ..
        } = *self.chooser;
        let world = DebWorld::new(&session.net, &session.mirror, self.suites, platform);
        let asking = Asking {
            session,
            project: self.chooser.project,
            options: self.options,
            interpreter: &interpreter,
            platform,
        };
        let compiler = Compiler::new(asking, self.suites, self.chooser.previous);
        let python = (&interpreter, interpreter_debs.as_slice());
        let distributions = self.distributions(&world, python, &compiler, early)?;
        let app = match own.compiled {
            true => Some(
                lock_app(&compiler, self.chooser.project, own.files)
                    .map_err(|error| MakeLockError::compile(vec![error]))?,
            ),
            false => None,
        };
        let made = compiler.finish();
        let shipping = Shipping {
            distributions: &distributions,
            app: own.facts,
            built_with: made.debs.keys().cloned().collect(),
            app_wheel: app.as_ref().map(|(_, _, wheel)| wheel),
        };
        let closure = self.close(&world, &interpreter, &interpreter_debs, &shipping)?;
        let (app_build, build_requires) = match app {
            Some((build, requires, _)) => (Some(build), requires),
            None => (None, Vec::new()),
        };
        let target = Target {
            platform,
            interpreter,
            wheels: distributions.wheel_names(),
            suites: self
                .suites
                .locked
                .get(&platform)
                .cloned()
                .unwrap_or_default(),
            debs: debs(&world, &closure),
            notes: closure.notes,
            build_requires,
            build_debs: made.debs.into_values().collect(),
        };
        Ok(Part {
            platform,
            target,
            epoch: distributions.newest_upload(),
            packages: distributions.packages,
            roots: distributions.roots,
            builds: made.builds.into_values().collect(),
            app_build,
        })
    }

    /// What was chosen early, else what is chosen now. The interpreter's packages do not depend on it: they are fetched
    /// meanwhile.
    fn distributions(
        &self,
        world: &DebWorld<'_>,
        (interpreter, debs): (&Interpreter, &[String]),
        compiler: &Compiler<'_>,
        early: ScopedJoinHandle<'_, Option<Early>>,
    ) -> Result<Distributions, MakeLockError> {
        std::thread::scope(|scope| {
            // What fails in the rehearsal fails again where it can be told.
            let platform = self.chooser.platform;
            if let Ok(glibc) = glibc(self.suites, platform) {
                scope.spawn(move || rehearse(world, debs, (platform, glibc)).is_ok());
            }
            let early = early.join().expect("no panic");
            match early.and_then(|early| early.for_interpreter(interpreter)) {
                Some(chosen) => chosen,
                None => self.chooser.distributions(interpreter, compiler),
            }
        })
    }

    fn interpreter(&self) -> Result<(Interpreter, Vec<String>), MakeLockError> {
        if self.options.provider == Provider::Debian {
            let requires = self.chooser.project.requires_python.as_deref();
            let python = choose(
                self.suites,
                self.chooser.platform,
                self.options.python.as_deref(),
                requires,
            )?;
            return Ok((python.interpreter, python.packages));
        }
        let glibc = glibc(self.suites, self.chooser.platform)?;
        let interpreter = crate::provider::lock(
            self.chooser.session,
            self.chooser.project,
            self.options,
            self.chooser.platform,
            glibc,
        )?;
        Ok((interpreter, Vec::new()))
    }

    fn close(
        &self,
        world: &DebWorld<'_>,
        interpreter: &Interpreter,
        interpreter_debs: &[String],
        shipping: &Shipping<'_>,
    ) -> Result<Closure, MakeLockError> {
        let request = self.request(interpreter, interpreter_debs, shipping)?;
        closed(world, &request)
    }

    fn request(
        &self,
        interpreter: &Interpreter,
        interpreter_debs: &[String],
        shipping: &Shipping<'_>,
    ) -> Result<Request, MakeLockError> {
        let Shipping {
            distributions, app, ..
        } = *shipping;
        let store = self.chooser.session.store();
        let layout = Layout::of(interpreter);
        let platform = self.chooser.platform;
        let mut request = Request {
            by_hand: self.options.debs.clone(),
            built_with: shipping.built_with.clone(),
            imports: app.imports.clone(),
            distributions: distributions
                .packages
                .iter()
                .map(|package| package.name.clone())
                .collect(),
            ..Request::bare(interpreter_debs, (platform, glibc(self.suites, platform)?))
        };
        if interpreter.provider != Provider::Debian {
            let facts = crate::provider::facts(store, interpreter)?;
            add_facts(&mut request, &Origin::Interpreter, facts, |path| {
                Some(path.clone())
            });
        }
        let mut wheels: Vec<(Origin, &Wheel)> = distributions
            .wheels()
            .map(|(package, wheel)| (Origin::Distribution(package.name.clone()), wheel))
            .collect();
        wheels.extend(shipping.app_wheel.map(|wheel| (Origin::App, wheel)));
        // Unpacking and scanning are the long part of a lock: side by side.
        let looked: Vec<(Origin, InstalledWheel, ArchiveFacts)> = wheels
            .par_iter()
            .map(|(origin, wheel)| {
                let open = open_wheel(store, &wheel.name, &wheel.hashes.sha256)?;
                let installed = install(&open, &layout, origin, false)?;
                let facts = scan_pack(store, &wheel.hashes.sha256, &open.pack)?;
                Ok((origin.clone(), installed, facts))
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

/// Every file that a lock names for these targets and that must be in the store before a build.
pub fn wants<'l>(
    session: &Session,
    lock: &'l Lock,
    targets: impl Iterator<Item = &'l Target>,
) -> Vec<Want> {
    let wheels = lock.packages.iter().flat_map(|package| &package.wheels);
    let mut wants: Vec<Want> = wheels.filter_map(want).collect();
    for target in targets {
        wants.extend(target.build_requires.iter().filter_map(want));
        wants.extend(target.interpreter.archive.iter().filter_map(want));
        let debs = target.debs.iter();
        wants.extend(debs.map(|deb| deb_want(session, target, deb)));
    }
    wants
}

/// A Debian package that a lock names.
pub(crate) fn deb_want(session: &Session, target: &Target, deb: &Deb) -> Want {
    let suite = target.suites.iter().find(|suite| suite.name == deb.suite);
    let (archive, date) = suite.map_or((crate::lock::Archive::Debian, 0), |suite| {
        (suite.archive, suite.date)
    });
    Want {
        label: format!("{} {}", deb.name, deb.version),
        urls: session.mirror.package_urls(archive, &deb.path, date),
        digest: deb.sha256,
        size: Some(deb.size),
        credentials: false,
    }
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
                    there.tool = census::joined(there.tool.take(), package.tool);
                    there.sdist = there.sdist.take().or(package.sdist);
                    there.directory = there.directory.take().or(package.directory);
                    there.vcs = there.vcs.take().or(package.vcs);
                }
            }
        }
        lock.plan.targets.push(part.target);
        lock.plan.builds.extend(part.builds);
        lock.plan.app_builds.extend(part.app_build);
    }
    let order = |build: &Compiled| (build.name.clone(), build.version.clone(), build.platform);
    lock.plan.builds.sort_by_key(order);
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
