//! `unheck review`.

mod formats;
mod text;

use serde::Serialize;
use unheck_engine::event::Stage;
use unheck_engine::identify::index::LiveIndex;
use unheck_engine::platform::Platform;
use unheck_engine::review::{OwnCode, Request, Review, Target, review as look};

use super::Context;
use crate::cli::{ReviewArgs, ReviewFormat};
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::settings;
use crate::ui::clean;

/// The Python of the default suite.
const PYTHON: (u8, u8) = (3, 13);

pub(super) fn review(args: &ReviewArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let platform = args.platform.or(Platform::host());
    let target = Target {
        python: args.python.unwrap_or(PYTHON),
        platform: platform.ok_or(CliError::NoPlatform)?,
    };
    let code = match &args.code {
        Some(path) => Some(OwnCode::read(path, target.python)?),
        None => None,
    };
    let progress = context.ui.progress();
    let session = crate::open::with_index(
        context.common,
        settings::index(&args.index, context.common.offline),
        &args.project,
        context.surroundings,
        progress.clone(),
    )?;
    let index = LiveIndex::open(&session, &args.project)?;
    let request = Request {
        dist: &args.dist,
        old: &args.old,
        new: &args.new,
        target,
        code: code.as_ref(),
    };
    let label = format!("{} {} → {}", args.dist, args.old, args.new);
    let reviewed = session.stage(Stage::Fetch, &clean(&label), || {
        look(&session, &index, &request)
    });
    progress.finish();
    let reviewed = reviewed?;
    for (file, why) in code.iter().flat_map(|code| &code.unread) {
        let text = format!("unread: {}: {}", clean(file), clean(why));
        context.ui.say(&text);
    }
    show(&reviewed, args.format, context)?;
    Ok(if reviewed.breaks() {
        exit::NO
    } else {
        exit::DONE
    })
}

/// Gives a review out in the form that was asked for.
fn show(
    review: &Review,
    format: Option<ReviewFormat>,
    context: Context<'_>,
) -> Result<(), Box<Failure>> {
    let reviews = std::slice::from_ref(review);
    let text = match format.unwrap_or(ReviewFormat::Text) {
        ReviewFormat::Text => text::review(review, context.ui.verbose),
        ReviewFormat::Json => json(review),
        ReviewFormat::Github => formats::github(reviews),
        ReviewFormat::Sarif => json(&formats::sarif(reviews)),
        ReviewFormat::Markdown => formats::markdown(reviews),
    };
    context.ui.data(&text, review)?;
    Ok(())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs of strings, numbers and lists always serialise")
}
