//! `unheck review`.

mod formats;
mod text;
mod upgrades;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use unheck_engine::build::{BuildError, read_lock};
use unheck_engine::event::Stage;
use unheck_engine::identify::index::LiveIndex;
use unheck_engine::input;
use unheck_engine::lock::{LOCK_FILE, Lock};
use unheck_engine::platform::Platform;
use unheck_engine::review::project::{
    Move, Pins, World, announced, between, locked, newest, targets_of, upgrades as compare,
};
use unheck_engine::review::{Class, OwnCode, Request, Review, ReviewError, Target, review as look};
use unheck_engine::session::Session;

use super::Context;
use crate::cli::{Choices, DebianArgs, ReviewArgs, ReviewFormat};
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::settings::{self, Settings};
use crate::ui::{Progress, clean};

pub(super) use upgrades::held;

/// The Python of the default suite.
const PYTHON: (u8, u8) = (3, 13);

pub(super) fn review(args: &ReviewArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    match args.what.as_slice() {
        [] => project(Path::new("."), args, context),
        [one] => project(Path::new(one), args, context),
        [old, new] => locks((Path::new(old), Path::new(new)), args, context),
        [dist, old, new, ..] => step((dist, old, new), args, context),
    }
}

/// One step of one distribution.
fn step(
    (dist, old, new): (&str, &str, &str),
    args: &ReviewArgs,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let platform = args.platform.or(Platform::host());
    let target = Target {
        python: args.python.unwrap_or(PYTHON),
        platform: platform.ok_or(CliError::NoPlatform)?,
    };
    let code = match &args.code {
        Some(path) => Some(OwnCode::read(path, target.python)?),
        None => None,
    };
    let (session, progress) = open(args, &args.project, context)?;
    let index = LiveIndex::open(&session, &args.project)?;
    let request = Request {
        dist,
        old,
        new,
        target,
        code: code.as_ref(),
        dependents: &[],
    };
    let label = clean(&format!("{dist} {old} → {new}"));
    let reviewed = session.stage(Stage::Fetch, &label, || look(&session, &index, &request));
    progress.finish();
    let reviewed = reviewed?;
    say_unread(code.as_ref(), context);
    let reviews = std::slice::from_ref(&reviewed);
    let shown = || text::review(&reviewed, context.ui.verbose);
    give((&reviewed, reviews), args.format, shown, context)?;
    Ok(code_of(reviewed.breaks()))
}

/// The upgrades between a project's lock and the newest versions that it allows.
fn project(path: &Path, args: &ReviewArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let project = input::read(path)?;
    let settings = Settings::resolve(
        &choices(path, args),
        context.common,
        &project,
        context.surroundings,
    )?;
    let lock = lock_at(&project.root.join(LOCK_FILE))?;
    let (session, progress) = open(args, &project.root, context)?;
    let moves = session.stage(Stage::Lock, &project.name, || {
        let targets = targets_of(&lock)?;
        let to_newest = |(at, target): (usize, Target)| {
            let what = (&project, &settings.lock);
            let mut new = newest(&session, what, (&lock, at), &Pins::new())?;
            let old = locked(&lock, at);
            // What comes from no index has no other version.
            new.pins
                .retain(|name, _| old.pins.contains_key(name) || !has(&lock, name));
            Ok::<_, ReviewError>(Move { target, old, new })
        };
        targets.into_iter().enumerate().map(to_newest).collect()
    });
    let moves: Vec<Move> = match moves {
        Ok(moves) => moves,
        Err(error) => {
            progress.finish();
            return Err(Failure::boxed(error));
        }
    };
    let code = args.code.clone().unwrap_or_else(|| project.root.clone());
    several(
        (&session, &progress),
        (&lock, moves),
        (args, &code),
        context,
    )
}

/// What a change from one lock to another does.
fn locks(
    (old, new): (&Path, &Path),
    args: &ReviewArgs,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let (old, lock) = (lock_at(old)?, lock_at(new)?);
    let beside = new.parent().filter(|parent| *parent != Path::new(""));
    let beside = beside.unwrap_or(Path::new("."));
    let code = args.code.clone().unwrap_or_else(|| beside.to_owned());
    let (session, progress) = open(args, beside, context)?;
    let moves = between(&old, &lock)?;
    several(
        (&session, &progress),
        (&lock, moves),
        (args, &code),
        context,
    )
}

/// Reviews every version that differs and tells of all of them.
fn several(
    (session, progress): (&Session, &Arc<Progress>),
    (lock, mut moves): (&Lock, Vec<Move>),
    (args, code): (&ReviewArgs, &PathBuf),
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    for one in &mut moves {
        one.target.python = args.python.unwrap_or(one.target.python);
    }
    // The code is read once: all platforms of a lock have the Python of one suite.
    let target = moves[0].target;
    let code = OwnCode::read(code, target.python)?;
    let index = LiveIndex::open(session, &args.project)?;
    let world = World {
        session,
        index: &index,
        target,
        code: Some(&code),
    };
    let found = session.stage(Stage::Fetch, "what is compared", || {
        Ok::<_, ReviewError>((compare(world, &moves)?, announced(world, lock)?))
    });
    progress.finish();
    let (found, announced) = found?;
    say_unread(Some(&code), context);
    let breaks = found.iter().any(|one| one.class == Class::Breaks);
    let platforms: Vec<String> = moves
        .iter()
        .map(|one| one.target.platform.to_string())
        .collect();
    let value = upgrades::UpgradesJson {
        targets: &platforms,
        upgrades: &found,
        deprecated: &announced,
    };
    let reviews: Vec<Review> = found.iter().filter_map(|one| one.review.clone()).collect();
    let shown = || upgrades::text((&found, &announced), &platforms, context.ui.verbose);
    give((&value, &reviews), args.format, shown, context)?;
    Ok(code_of(breaks))
}

/// Gives an answer out in the form that was asked for.
fn give(
    (value, reviews): (&impl Serialize, &[Review]),
    format: Option<ReviewFormat>,
    text: impl FnOnce() -> String,
    context: Context<'_>,
) -> Result<(), CliError> {
    let text = match format.unwrap_or(ReviewFormat::Text) {
        ReviewFormat::Text => text(),
        ReviewFormat::Json => json(value),
        ReviewFormat::Github => formats::github(reviews),
        ReviewFormat::Sarif => json(&formats::sarif(reviews)),
        ReviewFormat::Markdown => formats::markdown(reviews),
    };
    context.ui.data(&text, value)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs of strings, numbers and lists always serialise")
}

const fn code_of(breaks: bool) -> u8 {
    if breaks { exit::NO } else { exit::DONE }
}

fn open(
    args: &ReviewArgs,
    directory: &Path,
    context: Context<'_>,
) -> Result<(Session, Arc<Progress>), Box<Failure>> {
    let progress = context.ui.progress();
    let index = settings::index(&args.index, context.common.offline);
    let session = crate::open::with_index(
        context.common,
        index,
        directory,
        context.surroundings,
        progress.clone(),
    )?;
    Ok((session, progress))
}

fn lock_at(path: &Path) -> Result<Lock, Box<Failure>> {
    let missing = || BuildError::NoLock {
        path: path.to_owned(),
    };
    Ok(read_lock(path)?.ok_or_else(missing)?)
}

fn has(lock: &Lock, name: &str) -> bool {
    lock.packages.iter().any(|package| package.name == name)
}

fn say_unread(code: Option<&OwnCode>, context: Context<'_>) {
    for (file, why) in code.iter().flat_map(|code| &code.unread) {
        let text = format!("unread: {}: {}", clean(file), clean(why));
        context.ui.say(&text);
    }
}

/// What a lock of the project would be made with.
fn choices(path: &Path, args: &ReviewArgs) -> Choices {
    Choices {
        project: path.to_owned(),
        python: None,
        suite: None,
        platform: args.platform.into_iter().collect(),
        provider: None,
        extra: args.extra.clone(),
        group: args.group.clone(),
        no_dev: false,
        index: args.index.clone(),
        debian: DebianArgs {
            mirror: None,
            security_mirror: None,
            snapshot_mirror: None,
            keyring: None,
            allow_expired_suite: Vec::new(),
        },
    }
}
