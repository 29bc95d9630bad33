//! `unheck lock`.

use serde::Serialize;
use unheck_engine::build::{LockMode, plan_lock, read_lock, write_lock};
use unheck_engine::debian::Chain;
use unheck_engine::event::Stage;
use unheck_engine::identify::census;
use unheck_engine::identify::index::LiveIndex;
use unheck_engine::input::{LockOptions, Project, app_files};
use unheck_engine::kit::{KitError, KitFile, hold_to_indexes};
use unheck_engine::lock::{LOCK_FILE, Lock};
use unheck_engine::locker::make_lock;
use unheck_engine::platform::Platform;
use unheck_engine::review::OwnCode;
use unheck_engine::review::project::{Upgrade, World, preferring, safe, targets_of};
use unheck_engine::sdist::{rebuild_check, restore};
use unheck_engine::session::Session;

use super::review::held;
use super::{Context, Opened, open_with_kit};
use crate::cli::LockArgs;
use crate::exit;
use crate::failure::Failure;
use crate::ui::{Ui, clean, count};

/// `schemas/lock.json`.
#[derive(Serialize)]
struct LockJson {
    path: String,
    changed: bool,
    distributions: usize,
    targets: Vec<TargetJson>,
}

/// One platform of a lock; also part of `schemas/plan.json`.
#[derive(Serialize)]
pub(super) struct TargetJson {
    platform: String,
    python: String,
    wheels: usize,
    debs: usize,
    compiled: Vec<CompiledJson>,
    notes: Vec<String>,
}

/// One distribution that was compiled.
#[derive(Serialize)]
struct CompiledJson {
    name: String,
    version: Option<String>,
    wheel: String,
    sandbox: String,
    debs: Vec<String>,
    attempts: usize,
}

pub(super) fn lock(args: &LockArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let Opened {
        project,
        settings,
        session,
        progress,
    } = open_with_kit(&args.choices, &args.kit, context)?;
    if let Some(kit) = session.net.kit() {
        let checked = of_kit(&session, kit, (&project, &settings.lock), args);
        progress.finish();
        return answer_of_kit(&project, checked?, context.ui);
    }
    let path = project.root.join(LOCK_FILE);
    // A lock that cannot be read is written anew: that is what its error tells people to do.
    let previous = read_lock(&path).ok().flatten();
    let app = app_files(&project)?;
    let (preferred, left_out) = match &previous {
        Some(lock) if args.safe => {
            let chosen = safely(&session, (&project, &settings.lock), lock);
            if chosen.is_err() {
                progress.finish();
            }
            let (lock, left_out) = chosen?;
            (Some(lock), left_out)
        }
        _ => (previous.clone().filter(|_| !args.upgrade), Vec::new()),
    };
    let kept = preferred.as_ref();
    let lock = session.stage(Stage::Lock, &project.name, || {
        make_lock(&session, &project, &settings.lock, &app, kept).map_err(Failure::boxed)
    });
    let lock = match lock {
        Ok(lock) if args.rebuild_check => rebuild_check(&session, &project, &settings.lock, &lock)
            .map_err(Failure::boxed)
            .map(|()| lock),
        lock => lock,
    };
    progress.finish();
    let lock = lock?;
    let changed = previous.as_ref() != Some(&lock);
    if changed {
        write_lock(&path, &lock)?;
    }
    left_out
        .iter()
        .for_each(|upgrade| context.ui.say(&held(upgrade)));
    say(context.ui, &lock);
    let told = census::findings(&lock, &project.config.allow);
    context.ui.findings(&told);
    if context.ui.verbose {
        context.ui.say(&progress.times());
    }
    let path = path.display().to_string();
    let value = LockJson {
        path: path.clone(),
        changed,
        distributions: lock.packages.len(),
        targets: targets(&lock),
    };
    context.ui.data(&path, &value)?;
    Ok(exit::DONE)
}

/// A kit has nothing to choose from: the lock is held against the project and against the signed indexes in the kit,
/// and what it has compiled is compiled again where that is asked for.
fn of_kit(
    session: &Session,
    kit: &KitFile,
    (project, options): (&Project, &LockOptions),
    args: &LockArgs,
) -> Result<(Lock, Chain), Box<Failure>> {
    if args.upgrade {
        let kit = kit.path().to_owned();
        return Err(KitError::Chooses { kit }.into());
    }
    let app = app_files(project)?;
    let (lock, _) = plan_lock(session, project, (options, LockMode::Locked), &app)?;
    let chain = session.stage(Stage::Verify, "signed indexes", || {
        hold_to_indexes(session, kit, &lock)
    })?;
    if args.rebuild_check {
        restore(session, project, options, &lock)?;
        rebuild_check(session, project, options, &lock)?;
    }
    Ok((lock, chain))
}

fn answer_of_kit(
    project: &Project,
    (lock, chain): (Lock, Chain),
    ui: &Ui,
) -> Result<u8, Box<Failure>> {
    say(ui, &lock);
    ui.say(&format!(
        "the lock fits the project and the kit; signed indexes of {} list {}",
        clean(&chain.suites.join(", ")),
        count(chain.debs as u64, "Debian package")
    ));
    let path = project.root.join(LOCK_FILE).display().to_string();
    let value = LockJson {
        path: path.clone(),
        changed: false,
        distributions: lock.packages.len(),
        targets: targets(&lock),
    };
    ui.data(&path, &value)?;
    Ok(exit::DONE)
}

/// A lock that prefers the newest versions that break no line of the project's code, and the upgrades that are left out.
fn safely(
    session: &Session,
    what: (&Project, &LockOptions),
    lock: &Lock,
) -> Result<(Lock, Vec<Upgrade>), Box<Failure>> {
    let target = targets_of(lock)?[0];
    let root = &what.0.root;
    let code = OwnCode::read(root, target.python)?;
    let index = LiveIndex::open(session, root)?;
    let world = World {
        session,
        index: &index,
        target,
        code: Some(&code),
    };
    let chosen = safe(world, what, lock)?;
    Ok((preferring(lock, &chosen.pins), chosen.held))
}

/// The targets of a lock in numbers.
pub(super) fn targets(lock: &Lock) -> Vec<TargetJson> {
    let target = |target: &unheck_engine::lock::Target| TargetJson {
        platform: target.platform.to_string(),
        python: target.interpreter.version.clone(),
        wheels: target.wheels.len(),
        debs: target.debs.len(),
        compiled: compiled(lock, target.platform),
        notes: target.notes.clone(),
    };
    lock.plan.targets.iter().map(target).collect()
}

fn compiled(lock: &Lock, platform: Platform) -> Vec<CompiledJson> {
    let builds = lock
        .plan
        .builds
        .iter()
        .filter(|build| build.platform == platform);
    let one = |build: &unheck_engine::lock::Compiled| CompiledJson {
        name: build.name.clone(),
        version: build.version.clone(),
        wheel: build.wheel.name.clone(),
        sandbox: build.sandbox.clone(),
        debs: build.debs.iter().map(|deb| deb.name.clone()).collect(),
        attempts: build.attempts.len(),
    };
    builds.map(one).collect()
}

/// Says what was locked.
pub(super) fn say(ui: &Ui, lock: &Lock) {
    if let Some(helper) = &lock.plan.helper {
        ui.say(&format!(
            "{}: Python {} compiles here for the other platforms, and does not ship",
            helper.platform,
            clean(&helper.interpreter.version)
        ));
    }
    for target in targets(lock) {
        ui.say(&format!(
            "{}: Python {}, {}, {}",
            target.platform,
            clean(&target.python),
            count(target.wheels as u64, "wheel"),
            count(target.debs as u64, "Debian package")
        ));
        for build in &target.compiled {
            let with = match build.debs.is_empty() {
                true => String::new(),
                false => format!(" with {}", build.debs.join(", ")),
            };
            let version = build.version.as_deref().unwrap_or_default();
            ui.say(&clean(&format!(
                "  compiled {} {version}{with}",
                build.name
            )));
        }
        if ui.verbose {
            target
                .notes
                .iter()
                .for_each(|note| ui.say(&format!("  {}", clean(note))));
        }
    }
}
