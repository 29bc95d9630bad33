//! `unheck identify`.

use std::path::Path;

use serde::Serialize;
use unheck_engine::identify::index::LiveIndex;
use unheck_engine::identify::{
    Answer, Basis, Candidate, Context as Origin, Label, Locked, Verdict, code, identify as ask,
    locked,
};
use unheck_engine::lock::LOCK_FILE;

use super::Context;
use crate::cli::IdentifyArgs;
use crate::exit;
use crate::failure::Failure;
use crate::settings::{self, Cache};
use crate::ui::{clean, count};

/// The Python of the default suite.
const PYTHON: (u8, u8) = (3, 13);

/// `schemas/identify-code.json`.
#[derive(Serialize)]
struct CodeJson<'a> {
    imports: Vec<ImportJson<'a>>,
    undeclared: Vec<UndeclaredJson<'a>>,
    unused: &'a [String],
    unread: &'a [String],
}

/// One module that a code base imports.
#[derive(Serialize)]
struct ImportJson<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    #[serde(flatten)]
    import: &'a code::Import,
}

/// One distribution that is imported and not declared.
#[derive(Serialize)]
struct UndeclaredJson<'a> {
    distribution: &'a str,
    module: &'a str,
    at: &'a str,
}

pub(super) fn identify(args: &IdentifyArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let python = args.python.unwrap_or(PYTHON);
    let known = match args.project.join(LOCK_FILE).is_file() {
        true => {
            let store = crate::open::store(&Cache::find(context.common, context.surroundings)?)?;
            locked::read(&args.project, &store)
        }
        false => Locked::new(),
    };
    if let Some(directory) = &args.from_code {
        return from_code(args, directory, python, &known, context);
    }
    let labels: Vec<Label> = args
        .labels
        .iter()
        .map(|text| Label::parse(text, Origin::Text))
        .collect();
    let answers = answers(args, &labels, python, &known, context)?;
    let text: Vec<String> = answers
        .iter()
        .map(|answer| render(answer, context.ui.verbose))
        .collect();
    context.ui.data(&text.join("\n"), &answers)?;
    Ok(code_of(&answers))
}

/// A label without an answer is a no.
fn code_of(answers: &[Answer]) -> u8 {
    let unknown = answers
        .iter()
        .any(|answer| answer.verdict == Verdict::Unknown);
    if unknown { exit::NO } else { exit::DONE }
}

/// Answers offline first; opens the network only when that is not enough.
fn answers(
    args: &IdentifyArgs,
    labels: &[Label],
    python: (u8, u8),
    known: &Locked,
    context: Context<'_>,
) -> Result<Vec<Answer>, Box<Failure>> {
    let mut basis = Basis {
        python,
        locked: known,
        index: None,
        check: args.check,
        now: context.surroundings.now,
    };
    let answers = ask(labels, &basis);
    let is_enough = !args.check
        && answers
            .iter()
            .all(|answer| answer.verdict == Verdict::Certain);
    if context.common.offline || is_enough {
        return Ok(answers);
    }
    let (mut session, progress) = crate::open::shown(context)?;
    session.index = settings::index(&args.index, false);
    let index = LiveIndex::open(&session, &args.project)?;
    basis.index = Some(&index);
    let answers = ask(labels, &basis);
    progress.finish();
    Ok(answers)
}

fn from_code(
    args: &IdentifyArgs,
    directory: &Path,
    python: (u8, u8),
    known: &Locked,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let read = code::read(directory, python)?;
    let labels: Vec<Label> = read
        .imports
        .keys()
        .map(|module| Label::parse(module, Origin::Import))
        .collect();
    let answers = answers(args, &labels, python, known, context)?;
    // The code may be a part of the project, or be the project.
    let declared = code::declared(&args.project).or_else(|| code::declared(directory));
    let fit = declared
        .as_ref()
        .map(|declared| code::fit(&read, &answers, declared))
        .unwrap_or_default();
    let mut text = Vec::new();
    for answer in answers.iter().filter(|answer| {
        context.ui.verbose || answer.stdlib.is_none() || !answer.candidates.is_empty()
    }) {
        let mut lines = render(answer, context.ui.verbose);
        if let Some(import) = read.imports.get(&answer.label) {
            let often = count(import.count as u64, "time");
            lines.push_str(&format!("\n  imported at {}, {often}", clean(&import.at)));
        }
        text.push(lines);
    }
    for (distribution, module, at) in &fit.undeclared {
        text.push(format!(
            "undeclared: {} (import {} at {})",
            clean(distribution),
            clean(module),
            clean(at)
        ));
    }
    for name in &fit.unused {
        text.push(format!(
            "unused: {} is declared, and nothing imports it",
            clean(name)
        ));
    }
    for file in &read.unread {
        text.push(format!(
            "unread: {} is no Python source that can be read",
            clean(file)
        ));
    }
    let imports = answers.iter().filter_map(|answer| {
        Some(ImportJson {
            answer,
            import: read.imports.get(&answer.label)?,
        })
    });
    let undeclared = fit
        .undeclared
        .iter()
        .map(|(distribution, module, at)| UndeclaredJson {
            distribution,
            module,
            at,
        });
    let value = CodeJson {
        imports: imports.collect(),
        undeclared: undeclared.collect(),
        unused: &fit.unused,
        unread: &read.unread,
    };
    context.ui.data(&text.join("\n"), &value)?;
    match fit.undeclared.is_empty() {
        true => Ok(code_of(&answers)),
        false => Ok(exit::NO),
    }
}

/// An answer as text: the label and what it means, then a line for each piece of evidence and warning.
fn render(answer: &Answer, verbose: bool) -> String {
    // What is certain needs one reason; the others are told by `--verbose`.
    let reasons = match (verbose, answer.verdict) {
        (true, _) => usize::MAX,
        (false, Verdict::Certain) => 1,
        (false, _) => 3,
    };
    let verdict = match answer.verdict {
        Verdict::Certain => "certain",
        Verdict::Likely => "likely",
        Verdict::Ambiguous => "ambiguous",
        Verdict::Unknown => "unknown",
    };
    let label = clean(&answer.label);
    let mut lines = Vec::new();
    if let Some(module) = &answer.stdlib {
        let place = match (&module.until, &module.since) {
            (Some(until), _) => format!("in the standard library until Python {until}"),
            (None, Some(since)) => format!("in the standard library since Python {since}"),
            (None, None) => "in the standard library".to_owned(),
        };
        let note = if module.note.is_empty() {
            String::new()
        } else {
            format!("; {}", module.note)
        };
        lines.push(format!(
            "{label} → `{}` is {place}{note} · {verdict}",
            module.module
        ));
    }
    let shown = if verbose || answer.verdict == Verdict::Ambiguous {
        answer.candidates.len()
    } else {
        1
    };
    for (at, candidate) in answer.candidates.iter().take(shown).enumerate() {
        if at > 0 && !verbose {
            // The evidence is that of the first one, or weaker.
            lines.push(format!("  or {}", clean(&candidate.distribution)));
            continue;
        }
        lines.extend(candidate_lines(&label, verdict, candidate, reasons));
    }
    if answer.candidates.is_empty() && answer.stdlib.is_none() {
        lines.push(format!(
            "{label} → nothing that evidence supports · {verdict}"
        ));
    }
    let others: Vec<String> = answer
        .candidates
        .iter()
        .skip(shown)
        .map(|candidate| clean(&candidate.distribution))
        .collect();
    if !others.is_empty() {
        lines.push(format!("  less likely: {}", others.join(", ")));
    }
    for refused in &answer.not {
        for warning in &refused.warnings {
            lines.push(format!(
                "  not `{}`: {}",
                clean(&refused.distribution),
                clean(&warning.to_string())
            ));
        }
    }
    lines.extend(answer.notes.iter().map(|note| format!("  {}", clean(note))));
    lines.join("\n")
}

fn candidate_lines(label: &str, verdict: &str, candidate: &Candidate, most: usize) -> Vec<String> {
    let imports: Vec<String> = candidate
        .provides
        .iter()
        .take(3)
        .map(|module| clean(module))
        .collect();
    let imports = if imports.is_empty() {
        String::new()
    } else {
        format!(" (import {})", imports.join(", "))
    };
    let mut lines = vec![format!(
        "{label} → {}{imports} · {verdict}",
        clean(&candidate.distribution)
    )];
    lines.extend(
        candidate
            .summary
            .iter()
            .map(|summary| format!("  {}", clean(summary))),
    );
    let evidence = candidate.evidence.iter().take(most).map(|its| {
        let link = its.link().filter(|_| most == usize::MAX);
        let link = link.map(|link| format!(" ({link})")).unwrap_or_default();
        format!("  {}{link}", clean(&its.to_string()))
    });
    lines.extend(evidence);
    let warnings = candidate
        .warnings
        .iter()
        .map(|its| format!("  warning: {}", clean(&its.to_string())));
    lines.extend(warnings);
    lines
}
