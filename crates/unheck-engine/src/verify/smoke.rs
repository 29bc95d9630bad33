//! Starts what the artifact starts. Start at [`check_entry`].

use std::time::Duration;

use unheck_sandbox::{Limits, Outcome, Running, SandboxError, Status};

use super::VerifyError;
use super::imports::{Job, Run, ended, last_lines, spec};
use super::judge::{left_out, surroundings, trimmed};
use crate::finding::{Finding, Severity};

/// Time for `--help`.
const HELP: Duration = Duration::from_secs(20);
/// What is alive after so long has started.
const START: Duration = Duration::from_secs(3);
/// Memory for either, in bytes.
const MEMORY: u64 = 8 << 30;

/// Whether the entry answers `--help` or starts; `None` when it does.
///
/// # Errors
/// [`VerifyError`]; a sandbox that is not possible here is [`VerifyError::Sandbox`].
pub(super) fn check_entry(
    run: &Run<'_>,
    entrypoint: &[String],
) -> Result<Option<Finding>, VerifyError> {
    let Some(command) = entrypoint.first() else {
        let finding = Finding::new(
            Severity::Warning,
            "entry-none",
            "entry",
            "the image starts nothing by itself",
        );
        return Ok(Some(finding.with_hint("name a command with `--entry`")));
    };
    let failed = |source| VerifyError::Sandbox {
        command: command.clone(),
        source,
    };
    let mut words: Vec<&str> = entrypoint.iter().map(String::as_str).collect();
    words.push("--help");
    let mut help = match start(run, &words, HELP) {
        Ok(running) => running,
        Err(SandboxError::Command {
            operation, source, ..
        }) => {
            let evidence = format!("`{command}` cannot be started: {operation}: {source}");
            let finding = Finding::new(
                Severity::Error,
                "entry-fails",
                entrypoint.join(" "),
                evidence,
            );
            return Ok(Some(
                finding.with_hint("name an existing command with `--entry`"),
            ));
        }
        Err(error) => return Err(failed(error)),
    };
    let answer = help.wait_for(START).map_err(failed)?;
    if answer
        .as_ref()
        .is_some_and(|outcome| outcome.status.success())
    {
        return Ok(None);
    }
    // It failed, or it does not know `--help` and runs: then it also runs without.
    let mut plain = start(run, &words[..words.len() - 1], HELP).map_err(failed)?;
    let started = plain.wait_for(START).map_err(failed)?;
    let Some(outcome) = started else {
        plain.signaller().kill();
        return Ok(None);
    };
    if outcome.status.success() {
        return Ok(None);
    }
    if answer.is_none()
        && help
            .wait_for(HELP)
            .map_err(failed)?
            .is_some_and(|late| late.status.success())
    {
        return Ok(None);
    }
    Ok(Some(refused(entrypoint, &outcome)))
}

fn start(run: &Run<'_>, words: &[&str], wall: Duration) -> Result<Running, SandboxError> {
    let mut spec = spec(run, words);
    spec.limits = Limits {
        wall: Some(wall),
        memory: Some(MEMORY),
        ..Limits::default()
    };
    unheck_sandbox::spawn(&run.session.helper, &spec, None)
}

/// It neither answered nor kept running.
fn refused(entrypoint: &[String], outcome: &Outcome) -> Finding {
    let printed = outcome.stderr.text();
    let printed = if printed.trim().is_empty() {
        outcome.stdout.text()
    } else {
        printed
    };
    verdict(entrypoint, outcome.status, &printed)
}

fn verdict(entrypoint: &[String], status: Status, printed: &str) -> Finding {
    let evidence = format!("{}\n{}", ended(status), last_lines(printed, 12));
    let new = |severity, rule: &str| {
        Finding::new(severity, rule, entrypoint.join(" "), evidence.trim_end())
    };
    let crashed = printed.contains("Traceback (most recent call last)");
    if status == Status::Exited(2) && printed.to_lowercase().contains("usage:") && !crashed {
        return new(Severity::Info, "entry-wants-arguments");
    }
    if let Some(module) = left_out(printed) {
        return trimmed(
            &entrypoint.join(" "),
            module,
            evidence.trim_end().to_owned(),
        );
    }
    if surroundings(printed) {
        return new(Severity::Warning, "entry-needs-surroundings")
            .with_hint("it was started alone, without network and settings: run it with `unheck run` where it has them");
    }
    new(Severity::Error, "entry-fails")
        .with_hint("correct the app or the entry, or build with `--no-verify`")
}

/// Modules that the words of an entry name: `module:attribute`, and `-m module` of a Python.
pub(super) fn named(entrypoint: &[String]) -> Vec<Job> {
    let mut jobs = Vec::new();
    let python = entrypoint
        .first()
        .and_then(|word| word.rsplit('/').next())
        .is_some_and(|name| name.starts_with("python"));
    for (index, word) in entrypoint.iter().enumerate() {
        if python && index > 0 && entrypoint[index - 1] == "-m" && is_dotted(word) {
            jobs.push(Job::new("found", "entry", word.as_str()));
        }
        let Some((module, attribute)) = word.split_once(':') else {
            continue;
        };
        let attribute = attribute.split('(').next().unwrap_or_default();
        if is_dotted(module) && is_dotted(attribute) {
            jobs.push(Job {
                attribute: attribute.to_owned(),
                ..Job::new("entry", "entry", module)
            });
        }
    }
    jobs
}

/// Identifiers with dots between.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        part.chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_among_the_words_of_an_entry() {
        let named = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let jobs = named(&words);
            jobs.iter()
                .map(|job| format!("{} {} {}", job.kind, job.name, job.attribute))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            named("uvicorn pkg.mod:app --host 0.0.0.0:80"),
            ["entry pkg.mod app"]
        );
        assert_eq!(
            named("gunicorn -b localhost:8000 a:create_app()"),
            ["entry a create_app"]
        );
        assert_eq!(
            named("/usr/bin/python3.13 -m pkg.cli --url http://x/"),
            ["found pkg.cli "]
        );
        assert_eq!(named("tool -m pkg"), [""; 0]);
    }

    #[test]
    fn ways_to_fail_are_told_apart() {
        let words = ["tool".to_owned()];
        let told = |status, text| verdict(&words, status, text).rule;
        assert_eq!(
            told(Status::Exited(2), "usage: tool FILE\ntool: error: x"),
            "entry-wants-arguments"
        );
        assert_eq!(
            told(
                Status::Exited(1),
                "Traceback (most recent call last):\nNameError: x"
            ),
            "entry-fails"
        );
        assert_eq!(
            told(Status::Exited(1), "socket.gaierror: [Errno -3]"),
            "entry-needs-surroundings"
        );
        assert_eq!(told(Status::Signaled(11), ""), "entry-fails");
        assert_eq!(
            told(
                Status::Exited(1),
                "ModuleNotFoundError: `a.b` was left out by unheck's `--trim imports`"
            ),
            "trimmed-module-needed"
        );
    }
}
