//! A review for people. Start at [`review`].

use unheck_engine::review::{Change, ChangeKind, Direction, Review, Step, Tier, Use};

use crate::ui::{clean, count};

/// Rows of a list that are shown without `-v`.
const SHOWN: usize = 20;

/// The whole answer: the step, the changes, the lines of the code.
pub(super) fn review(review: &Review, verbose: bool) -> String {
    let mut lines = vec![title(review)];
    lines.extend(around(&review.step, verbose));
    let [old, new] = &review.compared;
    lines.push(format!("  compared: {} and {}", clean(old), clean(new)));
    for (at, files) in review.left_out.iter().enumerate() {
        let version = [&review.old, &review.new][at];
        match files.as_slice() {
            [] => {}
            [one, ..] => lines.push(format!(
                "  not read of {}: {}, such as {} ({})",
                clean(version),
                count(files.len() as u64, "file"),
                clean(&one.path),
                clean(&one.why)
            )),
        }
    }
    lines.push(String::new());
    lines.extend(changes(review, verbose));
    lines.extend(own(review, verbose));
    lines.join("\n")
}

/// `flask 2.2.5 → 2.3.3`, as written and, where that differs, normalised.
pub(super) fn title(review: &Review) -> String {
    let name = |end: &unheck_engine::review::End| match &end.version.normalized {
        Some(normal) if *normal != end.version.written => {
            format!("{} ({normal})", clean(&end.version.written))
        }
        _ => clean(&end.version.written),
    };
    format!(
        "{} {} → {}",
        clean(&review.dist),
        name(&review.step.old),
        name(&review.step.new)
    )
}

/// What the index says of the step.
fn around(step: &Step, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("  {label}: {}", clean(&text)));
        }
    };
    for end in [&step.old, &step.new] {
        line(
            &end.version.written,
            end.version.oddity.clone().unwrap_or_default(),
        );
        if let Some(reason) = &end.yanked {
            let why = if reason.is_empty() {
                "no reason is given"
            } else {
                reason
            };
            line(&end.version.written, format!("yanked: {why}"));
        }
    }
    let kind = json_word(&step.scheme.kind);
    line("step", step_line(step));
    line("scheme", format!("{kind}: {}", step.scheme.why));
    line("order", order(step));
    line("Python", pythons(step));
    let tags = |tags: &[String]| match (verbose, tags.len()) {
        (false, 5..) => count(tags.len() as u64, "tag"),
        _ => tags.join(", "),
    };
    let both = [("no more ", &step.tags_lost), ("new ", &step.tags_gained)];
    let parts = both.iter().filter(|(_, list)| !list.is_empty());
    let parts: Vec<String> = parts
        .map(|(word, list)| format!("{word}{}", tags(list)))
        .collect();
    line("wheels", parts.join("; "));
    for dependency in step.dependencies.iter().flatten() {
        if dependency.is_extra && !verbose {
            continue;
        }
        let side = |lines: &[String]| match lines {
            [] => "none".to_owned(),
            lines => lines.join(" and "),
        };
        let text = format!("{} → {}", side(&dependency.old), side(&dependency.new));
        line("requires", text);
    }
    if step.vulnerabilities.is_none() {
        line(
            "vulnerabilities",
            "not known: the index does not tell".to_owned(),
        );
    }
    if let Some(known) = &step.vulnerabilities {
        let words = [
            ("fixed", &known.fixed),
            ("introduced", &known.introduced),
            ("open", &known.open),
        ];
        for (word, ids) in words.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            line(&format!("vulnerabilities {word}"), ids.join(", "));
        }
    }
    if !step.timeline.is_empty() {
        lines.push("  timeline:".to_owned());
        let rows = step
            .timeline
            .iter()
            .map(|row| format!("    {}", clean(row)));
        lines.extend(rows);
    }
    lines
}

fn step_line(step: &Step) -> String {
    let direction = match step.direction {
        Direction::Up => "up",
        Direction::Down => "down: the new version is the lower one",
        Direction::Same => "none: both are the same version",
        Direction::Unordered => "no order: one of the two is no version",
    };
    let jumped = match step.jumped_count {
        0 => String::new(),
        many => format!(", {} between", count(many as u64, "version")),
    };
    format!(
        "{direction}, first difference: {}{jumped}",
        json_word(&step.bump)
    )
}

fn order(step: &Step) -> String {
    let order = &step.order;
    let mut parts = Vec::new();
    if order.is_reversed {
        parts.push("the new version was uploaded before the old one".to_owned());
    }
    if let (Some(highest), Some(newest)) = (&order.highest, &order.newest)
        && highest != newest
    {
        parts.push(format!(
            "the highest version is {highest}, the last upload {newest}"
        ));
    }
    if !order.late.is_empty() {
        parts.push(format!(
            "{} between them came after a higher one",
            count(order.late.len() as u64, "version")
        ));
    }
    parts.join("; ")
}

fn pythons(step: &Step) -> String {
    let mut parts = Vec::new();
    for (word, list) in [
        ("no longer", &step.python_dropped),
        ("now also", &step.python_gained),
    ] {
        if !list.is_empty() {
            parts.push(format!("{word} {}", list.join(", ")));
        }
    }
    parts.join("; ")
}

/// The changes that break, by kind; with `verbose` all of them.
fn changes(review: &Review, verbose: bool) -> Vec<String> {
    let shown: Vec<&Change> = review
        .changes
        .iter()
        .filter(|change| verbose || change.breaking)
        .collect();
    let shown = one_of_each(shown);
    let mut lines = vec![summary(review)];
    let mut kinds: Vec<ChangeKind> = shown.iter().map(|change| change.kind).collect();
    kinds.sort();
    kinds.dedup();
    for kind in kinds {
        let of_kind: Vec<&&Change> = shown.iter().filter(|change| change.kind == kind).collect();
        lines.push(format!("  {} ({})", json_word(&kind), of_kind.len()));
        let most = if verbose { of_kind.len() } else { SHOWN };
        for change in of_kind.iter().take(most) {
            lines.extend(change_lines(change));
        }
        if of_kind.len() > most {
            lines.push(format!(
                "    … {} more (shown with -v)",
                of_kind.len() - most
            ));
        }
    }
    lines
}

/// One change of those that have name and kind in common, such as a method that is gone from two classes of which one
/// inherits the other: the one with advice.
fn one_of_each(mut changes: Vec<&Change>) -> Vec<&Change> {
    changes.sort_by_key(|change| (change.kind, &change.api, change.advice.is_none()));
    changes.dedup_by(|later, first| (later.kind, &later.api) == (first.kind, &first.api));
    changes
}

/// How many changes there are, and what version number they ask for.
pub(super) fn summary(review: &Review) -> String {
    let breaking = review
        .changes
        .iter()
        .filter(|change| change.breaking)
        .count();
    let others = review.changes.len() - breaking;
    let mut text = format!(
        "API: {}, {}, {}",
        count(breaking as u64, "breaking change"),
        count(others as u64, "other"),
        count(review.added as u64, "new name")
    );
    let required = json_word(&review.required);
    if required != "none" {
        text.push_str(&format!(
            "; asks for a {required} step, the number says {}",
            json_word(&review.step.bump)
        ));
        if review.is_understated() {
            text.push_str(": less than it breaks");
        }
    }
    text
}

fn change_lines(change: &Change) -> Vec<String> {
    let at = change.old.as_ref().or(change.new.as_ref());
    let at = at.map(|at| format!("  {}", clean(&at.to_string())));
    let mut lines = vec![format!(
        "    {}{}",
        clean(&change.api),
        at.unwrap_or_default()
    )];
    if !change.detail.is_empty() {
        lines.push(format!("      {}", clean(&change.detail)));
    }
    if let Some(witness) = &change.witness {
        lines.push(format!("      such as {}", clean(witness)));
    }
    if let Some(advice) = &change.advice {
        lines.push(format!("      instead: {}", clean(advice)));
    }
    lines
}

/// The lines of the user's code, by how sure they are; then what is known of behaviour.
fn own(review: &Review, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let of =
        |tier: Tier| -> Vec<&Use> { review.uses.iter().filter(|one| one.tier == tier).collect() };
    if review.has_code {
        let breaks = of(Tier::Proven);
        let label = match breaks.len() {
            0 => "your code: no line was found that breaks".to_owned(),
            1 => "your code: 1 line breaks".to_owned(),
            many => format!("your code: {many} lines break"),
        };
        lines.extend([String::new(), label]);
        lines.extend(use_lines(&breaks, verbose));
        let groups = [
            ("may break", of(Tier::Possible)),
            (
                "meet a known behaviour change (no proof)",
                of(Tier::Behaviour),
            ),
            (
                "use what the old version already announces to go away",
                announced(review),
            ),
        ];
        for (label, uses) in groups.into_iter().filter(|(_, uses)| !uses.is_empty()) {
            lines.push(format!("lines that {label} ({}):", uses.len()));
            lines.extend(use_lines(&uses, verbose));
        }
    }
    let told: Vec<_> = review
        .behaviours
        .iter()
        .filter(|known| !review.has_code || verbose || known.api.is_empty())
        .collect();
    if !told.is_empty() {
        lines.extend([
            String::new(),
            "known behaviour changes (no proof that they matter here):".to_owned(),
        ]);
    }
    for known in told {
        let api = if known.api.is_empty() {
            &review.dist
        } else {
            &known.api
        };
        lines.push(format!("  {}: {}", clean(api), clean(&known.what)));
        lines.push(format!("    {}", clean(&known.link)));
    }
    lines
}

/// The deprecations that are not told as breaks already.
pub(super) fn announced(review: &Review) -> Vec<&Use> {
    let is_told = |one: &Use| {
        let place = |one: &Use| (one.file.clone(), one.line, one.api.clone());
        review.uses.iter().any(|told| place(told) == place(one))
    };
    review
        .deprecated
        .iter()
        .filter(|one| !is_told(one))
        .collect()
}

/// A line of the code, what happens there, and what to write instead.
pub(super) fn own_line(one: &Use, mark: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "{}:{}  {mark}{}: {}",
        clean(&one.file),
        one.line,
        clean(&one.api),
        clean(&one.what)
    )];
    if let Some(advice) = &one.advice {
        let word = match one.tier {
            Tier::Behaviour => "see",
            _ => "instead",
        };
        lines.push(format!("  {word}: {}", clean(advice)));
    }
    lines
}

fn use_lines(uses: &[&Use], verbose: bool) -> Vec<String> {
    let most = if verbose { uses.len() } else { SHOWN };
    let mut lines = Vec::new();
    for one in uses.iter().take(most) {
        lines.extend(own_line(one, "").iter().map(|line| format!("  {line}")));
    }
    if uses.len() > most {
        lines.push(format!("  … {} more (shown with -v)", uses.len() - most));
    }
    lines
}

/// The word that the JSON has for a value of an enumeration.
pub(super) fn json_word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
