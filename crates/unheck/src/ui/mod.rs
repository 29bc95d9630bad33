//! How unheck speaks: data to stdout, talk to stderr. Start at [`Ui`].
//!
//! Everything that comes from elsewhere (names, tracebacks, messages of servers) passes
//! [`text::clean`] before it reaches a terminal.

mod progress;
mod text;

use std::io::Write as _;
use std::sync::Arc;

use anstream::ColorChoice;
use owo_colors::OwoColorize as _;
use serde::Serialize;
use unheck_engine::finding::{Finding, Severity};

use crate::cli::{Color, Common};
use crate::failure::{CliError, Failure};

pub(crate) use progress::Progress;
pub(crate) use text::{bytes, clean, count, millis, table};

/// The one way to the user.
#[derive(Debug)]
pub(crate) struct Ui {
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// Say more.
    pub(crate) verbose: bool,
    quiet: bool,
}

impl Ui {
    /// Speaks as the common options say.
    pub(crate) fn new(common: &Common) -> Self {
        match common.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
        .write_global();
        Self {
            json: common.json,
            verbose: common.verbose,
            quiet: common.quiet,
        }
    }

    /// A reporter that shows progress.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::new(Progress::new(self))
    }

    /// Says something to the user; every line of it is clean already.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            err(text);
        }
    }

    /// Gives data out: `text` as it stands, or `value` as JSON.
    pub(crate) fn data(&self, text: &str, value: &impl Serialize) -> Result<(), CliError> {
        let mut line = if self.json {
            json(value)
        } else {
            text.trim_end_matches('\n').to_owned()
        };
        line.push('\n');
        out(line.as_bytes())
    }

    /// Gives bytes out as they stand.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        out(bytes)
    }

    /// Shows what failed, and with `--json` gives it out as data too.
    pub(crate) fn failure(&self, failure: &Failure) {
        err(&render(failure));
        if self.json {
            let _ = out(format!("{}\n", json(&FailureJson::of(failure))).as_bytes());
        }
    }

    /// Shows findings, the worst first; without `-v` only the first lines of each.
    pub(crate) fn findings(&self, findings: &[Finding]) {
        const SHOWN: usize = 20;
        let relevant: Vec<&Finding> = findings
            .iter()
            .filter(|finding| self.verbose || finding.severity != Severity::Info)
            .collect();
        let shown = if self.verbose { relevant.len() } else { SHOWN };
        let text: Vec<String> = relevant
            .iter()
            .take(shown)
            .map(|finding| finding_text(finding, self.verbose))
            .collect();
        if !text.is_empty() {
            self.say(&text.join("\n"));
        }
        if relevant.len() > shown {
            let more = count((relevant.len() - shown) as u64, "more finding");
            self.say(&format!("… {more} (shown with -v)"));
        }
        let more = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Info)
            .count();
        if more > 0 && !self.verbose {
            self.say(&format!("{} (shown with -v)", count(more as u64, "note")));
        }
    }
}

/// A failure as `--json` shows it: `schemas/error.json`.
#[derive(Serialize)]
struct FailureJson<'a> {
    error: ErrorJson<'a>,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    exit_code: u8,
    message: &'a str,
    causes: &'a [String],
    problems: Vec<ProblemJson<'a>>,
    findings: &'a [Finding],
    hints: &'a [String],
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    message: &'a str,
    causes: &'a [String],
}

impl<'a> FailureJson<'a> {
    fn of(failure: &'a Failure) -> Self {
        let problem =
            |(message, causes): &'a (String, Vec<String>)| ProblemJson { message, causes };
        Self {
            error: ErrorJson {
                exit_code: crate::exit::of(failure.class),
                message: &failure.message,
                causes: &failure.causes,
                problems: failure.problems.iter().map(problem).collect(),
                findings: &failure.findings,
                hints: &failure.hints,
            },
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("structs of strings, numbers and lists always serialise")
}

/// The text of a failure: what was tried, why it failed, every problem, then the hints.
fn render(failure: &Failure) -> String {
    let mut lines = vec![format!(
        "{} {}",
        "error:".red().bold(),
        indented(&failure.message, 2)
    )];
    causes(&failure.causes, 2, &mut lines);
    for (message, inner) in &failure.problems {
        lines.push(format!("  - {}", indented(message, 4)));
        causes(inner, 4, &mut lines);
    }
    lines.extend(
        failure
            .findings
            .iter()
            .map(|finding| finding_text(finding, true)),
    );
    lines.extend(
        failure
            .hints
            .iter()
            .map(|hint| format!("{} {}", "hint:".cyan().bold(), indented(hint, 2))),
    );
    lines.join("\n")
}

fn causes(causes: &[String], indent: usize, lines: &mut Vec<String>) {
    for cause in causes {
        lines.push(format!(
            "{:indent$}caused by: {}",
            "",
            indented(cause, indent + 2)
        ));
    }
}

fn finding_text(finding: &Finding, whole: bool) -> String {
    const LINES: usize = 8;
    let word = match finding.severity {
        Severity::Error => "error".red().to_string(),
        Severity::Warning => "warning".yellow().to_string(),
        Severity::Info => "note".blue().to_string(),
    };
    let mut text = format!(
        "{word}[{}]: {}",
        clean(&finding.rule),
        indented(&finding.subject, 2)
    );
    let lines: Vec<&str> = finding.evidence.lines().collect();
    let skipped = if whole {
        0
    } else {
        lines.len().saturating_sub(LINES)
    };
    if skipped > 0 {
        text.push_str(&format!(
            "\n  … {} (shown with -v)",
            count(skipped as u64, "line")
        ));
    }
    // The last lines of a traceback say what happened.
    for line in &lines[skipped..] {
        text.push_str(&format!("\n  {}", clean(line)));
    }
    if let Some(hint) = &finding.hint {
        text.push_str(&format!(
            "\n  {} {}",
            "hint:".cyan().bold(),
            indented(hint, 4)
        ));
    }
    text
}

/// Foreign text made clean, its further lines indented.
fn indented(text: &str, indent: usize) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(clean).collect();
    lines.join(&format!("\n{:indent$}", ""))
}

fn err(text: &str) {
    // Nobody to tell when stderr is gone.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

fn out(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::Output),
    }
}

#[cfg(test)]
mod tests {
    use unheck_engine::explain::Class;

    use super::*;

    #[test]
    fn a_failure_shows_causes_problems_findings_and_hints_in_order_and_cleanly() {
        let failure = Failure {
            class: Class::Input,
            message: "cannot do \u{1b}[31mit".to_owned(),
            causes: vec!["a cause\nof two lines".to_owned()],
            problems: vec![
                ("one".to_owned(), vec!["why".to_owned()]),
                ("two".to_owned(), vec![]),
            ],
            findings: vec![Finding::new(
                Severity::Error,
                "import-fails",
                "demo",
                "Traceback\n  x",
            )],
            hints: vec!["do this".to_owned()],
        };
        let plain = anstream::adapter::strip_str(&render(&failure)).to_string();
        assert_eq!(
            plain,
            "error: cannot do \\x1b[31mit\n  caused by: a cause\n    of two lines\n  - one\n    caused by: why\n  - two\n\
             error[import-fails]: demo\n  Traceback\n    x\nhint: do this"
        );
    }
}
