//! The upgrades of a lock for people. Start at [`text`].

use serde::Serialize;
use unheck_engine::review::project::Upgrade;
use unheck_engine::review::{Class, Lines, Review, Tier};

use super::text::own_line;
use crate::ui::clean;

/// `schemas/review-upgrades.json`.
#[derive(Serialize)]
pub(super) struct UpgradesJson<'a> {
    /// The platforms that were looked at.
    pub(super) targets: &'a [String],
    pub(super) upgrades: &'a [Upgrade],
    pub(super) deprecated: &'a [Lines],
}

/// The order in which classes are told, with their titles.
const CLASSES: [(Class, &str); 6] = [
    (Class::Breaks, "breaks"),
    (Class::Touches, "touches your code"),
    (Class::Opaque, "opaque: nothing can be said"),
    (Class::Safe, "safe as far as seen"),
    (Class::Added, "new"),
    (Class::Removed, "no longer there"),
];

/// What is announced already, then every upgrade by class, with the lines of the code; an upgrade of some platforms only
/// names them.
pub(super) fn text(
    (found, announced): (&[Upgrade], &[Lines]),
    platforms: &[String],
    verbose: bool,
) -> String {
    let mut lines = Vec::new();
    if !announced.is_empty() {
        lines.push("your code uses what locked versions announce to go away".to_owned());
    }
    for one in announced {
        lines.push(format!("  {} {}", clean(&one.dist), clean(&one.version)));
        let uses = one.uses.iter().flat_map(|one| own_line(one, ""));
        lines.extend(uses.map(|line| format!("    {line}")));
    }
    if found.is_empty() {
        lines.push("no version differs".to_owned());
    }
    for (class, title) in CLASSES {
        let of_class: Vec<&Upgrade> = found.iter().filter(|one| one.class == class).collect();
        if of_class.is_empty() {
            continue;
        }
        lines.push(format!("{title} ({})", of_class.len()));
        for upgrade in of_class {
            let only = match upgrade.targets.len() < platforms.len() {
                true => format!(" (on {})", upgrade.targets.join(", ")),
                false => String::new(),
            };
            lines.push(format!("  {}{only}", name(upgrade)));
            lines.extend(inner(upgrade, verbose).map(|line| format!("    {line}")));
        }
    }
    lines.join("\n")
}

/// What is said of the upgrades that `lock --upgrade --safe` did not take.
pub(crate) fn held(upgrade: &Upgrade) -> String {
    let mut lines = vec![format!("not taken: {}", name(upgrade))];
    lines.extend(inner(upgrade, false).map(|line| format!("  {line}")));
    lines.join("\n")
}

fn name(upgrade: &Upgrade) -> String {
    let versions = match (&upgrade.old, &upgrade.new) {
        (Some(old), Some(new)) => format!("{} → {}", clean(old), clean(new)),
        (Some(one), None) | (None, Some(one)) => clean(one),
        (None, None) => String::new(),
    };
    format!("{} {versions}", clean(&upgrade.dist))
}

fn inner(upgrade: &Upgrade, verbose: bool) -> impl Iterator<Item = String> {
    let why = upgrade.why.as_deref().map(clean);
    let seen = upgrade
        .review
        .iter()
        .flat_map(move |review| of_review(review, verbose));
    why.into_iter().chain(seen)
}

fn of_review(review: &Review, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for one in &review.uses {
        let mark = match one.tier {
            Tier::Proven => "",
            Tier::Possible => "may break: ",
            Tier::Behaviour => "known behaviour change: ",
        };
        lines.extend(own_line(one, mark));
    }
    for other in &review.dependents {
        let mark = format!("in {} {}: ", clean(&other.dist), clean(&other.version));
        let uses = other.uses.iter().take(if verbose { usize::MAX } else { 3 });
        lines.extend(uses.flat_map(|one| own_line(one, &mark)));
        let more = other.uses.len().saturating_sub(3);
        if more > 0 && !verbose {
            lines.push(format!("… {more} more (shown with -v)"));
        }
    }
    let is_told = |api: &&String| !review.uses.iter().any(|one| one.api == **api);
    let touched = review.touched.iter().filter(is_told);
    lines.extend(touched.map(|api| format!("changes and is used: {}", clean(api))));
    if verbose {
        let yanked = review.step.new.yanked.as_deref();
        lines.extend(yanked.map(|reason| format!("yanked: {}", clean(reason))));
    }
    lines
}
