//! `unheck check`.

use std::path::Path;

use serde::Serialize;
use unheck_engine::check::capture::{Captured, Host};
use unheck_engine::check::host::host;
use unheck_engine::check::judge::{Outcome, Verdict};
use unheck_engine::check::needs::Libs;
use unheck_engine::check::profile::Profile;
use unheck_engine::check::target::{capture_path, named_profile};
use unheck_engine::check::{CheckReport, CheckRequest, check as judge, promises, shipped};
use unheck_engine::debian::Mirror;
use unheck_engine::event::Stage;
use unheck_engine::finding::{Finding, Severity};
use unheck_engine::input::{Mirrors, Project};
use unheck_engine::platform::Platform;

use super::Context;
use crate::cli::{CheckArgs, CpuArg};
use crate::exit;
use crate::failure::{CliError, Failure};
use crate::ui::{clean, count};

/// `schemas/check.json`.
#[derive(Serialize)]
struct CheckJson<'a> {
    ok: bool,
    #[serde(flatten)]
    report: &'a CheckReport,
}

/// `schemas/check-capture.json`.
#[derive(Serialize)]
struct CaptureJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    profile: &'a Profile,
    findings: &'a [Finding],
}

/// `schemas/check-list.json`.
#[derive(Serialize)]
struct ListJson<'a> {
    targets: Vec<TargetJson<'a>>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    name: &'a str,
    aliases: &'a [String],
    title: &'a str,
}

pub(super) fn check(args: &CheckArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    if args.list {
        return list(context);
    }
    if let Some(path) = &args.capture {
        return capture(path, args, context);
    }
    let named = args.artifact.clone().unwrap_or_default();
    if args.on.is_empty() {
        return super::known::check(args, &named, context);
    }
    let artifact = crate::open::artifact(&named, &args.registry, context)?;
    let progress = context.ui.progress();
    let session = crate::open::with_debian(
        context.common,
        &args.debian,
        context.surroundings,
        progress.clone(),
    )?;
    let request = CheckRequest {
        artifact: artifact.path().to_owned(),
        on: args.on.clone(),
        libs: args.libs.map(Libs::from),
        cpu: args.cpu.map(level),
        platforms: args.platform.clone(),
        ubuntu: args.ubuntu_mirror.as_deref().map(ubuntu).transpose()?,
    };
    let detail = named.display().to_string();
    let report = session.stage(Stage::Verify, &detail, || judge(&session, &request));
    progress.finish();
    let report = report?;
    for verdict in &report.verdicts {
        explain(verdict, context);
    }
    let ok = report.ok();
    let lines: Vec<String> = report.verdicts.iter().map(line).collect();
    let json = CheckJson {
        ok,
        report: &report,
    };
    context.ui.data(&lines.join("\n"), &json)?;
    Ok(if ok { exit::DONE } else { exit::NO })
}

/// Holds an artifact against what a target of `deploy` says as `require`.
pub(super) fn required(
    (target, on): (&str, &[String]),
    project: &Project,
    artifact: &Path,
    context: Context<'_>,
) -> Result<(), Box<Failure>> {
    if on.is_empty() {
        return Ok(());
    }
    let progress = context.ui.progress();
    let heard = progress.clone();
    let session = crate::open::configured(context.common, project, context.surroundings, heard)?;
    let detail = artifact.display().to_string();
    let report = session.stage(Stage::Verify, &detail, || {
        promises(&session, on, &project.root, artifact)
    });
    progress.finish();
    let report = report?;
    for verdict in &report.verdicts {
        explain(verdict, context);
    }
    if report.ok() {
        return Ok(());
    }
    let broken = report.verdicts.iter().filter(|verdict| !verdict.runs());
    Err(CliError::Required {
        target: target.to_owned(),
        answers: broken.map(line).collect::<Vec<_>>().join("; "),
    }
    .into())
}

fn level(cpu: CpuArg) -> unheck_engine::check::IsaLevel {
    use unheck_engine::check::IsaLevel;
    match cpu {
        CpuArg::Baseline => IsaLevel::Baseline,
        CpuArg::V2 => IsaLevel::V2,
        CpuArg::V3 => IsaLevel::V3,
        CpuArg::V4 => IsaLevel::V4,
    }
}

/// Ubuntu keeps updates of all kinds in one archive.
fn ubuntu(url: &str) -> Result<Mirror, unheck_engine::debian::MirrorError> {
    let mirrors = Mirrors {
        debian: Some(url.to_owned()),
        security: Some(url.to_owned()),
        snapshot: None,
    };
    Mirror::new(&mirrors, &Mirrors::default())
}

/// `debian:12 linux/amd64: runs with these packages: libssl3`.
fn line(verdict: &Verdict) -> String {
    let answer = match verdict.outcome {
        Outcome::Runs => "runs".to_owned(),
        Outcome::RunsWithPackages => {
            format!("runs with these packages: {}", verdict.packages.join(" "))
        }
        Outcome::Unsure => format!("not known whether it runs: {}", reasons(verdict)),
        Outcome::Fails => format!("does not run: {}", reasons(verdict)),
    };
    clean(&format!(
        "{} {}: {answer}",
        verdict.target, verdict.platform
    ))
}

/// The first reason, and how many more there are.
fn reasons(verdict: &Verdict) -> String {
    let all: Vec<&Finding> = verdict.reasons().collect();
    let first = all.first().map_or_else(String::new, |finding| {
        let line = finding.evidence.lines().next().unwrap_or_default();
        if line.contains(finding.subject.as_str()) {
            line.to_owned()
        } else {
            format!("{}: {line}", finding.subject)
        }
    });
    match all.len() {
        0 | 1 => first,
        more => format!("{first} ({})", count(more as u64 - 1, "more reason")),
    }
}

/// Reasons and observations, and what to do.
fn explain(verdict: &Verdict, context: Context<'_>) {
    let worth = |finding: &&Finding| context.ui.verbose || finding.severity != Severity::Info;
    let findings: Vec<Finding> = verdict.findings.iter().filter(worth).cloned().collect();
    if findings.is_empty() && verdict.install.is_none() {
        return;
    }
    context.ui.say(&clean(&format!(
        "{} {} ({})",
        verdict.target, verdict.platform, verdict.title
    )));
    context.ui.findings(&findings);
    if let Some(command) = verdict.install.as_ref().filter(|_| verdict.runs()) {
        context.ui.say(&clean(&format!("  install: {command}")));
    }
}

fn capture(path: &Path, args: &CheckArgs, context: Context<'_>) -> Result<u8, Box<Failure>> {
    let Captured { profile, findings } = captured(path, args, context)?;
    context.ui.findings(&findings);
    let text = profile.to_text();
    if let Some(output) = &args.output {
        fs_err::write(output, &text).map_err(CliError::WriteProfile)?;
    }
    let path = args.output.as_ref().map(|path| path.display().to_string());
    let json = CaptureJson {
        path: path.clone(),
        profile: &profile,
        findings: &findings,
    };
    context.ui.data(path.as_deref().unwrap_or(&text), &json)?;
    Ok(exit::DONE)
}

/// A path as it stands, else a target's name: then what unheck knows of it.
fn captured(path: &Path, args: &CheckArgs, context: Context<'_>) -> Result<Captured, Box<Failure>> {
    let platform = args.platform.first().copied();
    if path.exists() {
        let live: Option<Host> = (path == Path::new("/")).then(host);
        return Ok(capture_path(path, platform, live.as_ref())?);
    }
    let progress = context.ui.progress();
    let session = crate::open::with_debian(
        context.common,
        &args.debian,
        context.surroundings,
        progress.clone(),
    )?;
    let platform = platform
        .or_else(Platform::host)
        .ok_or(CliError::NoPlatform)?;
    let ubuntu = args.ubuntu_mirror.as_deref().map(ubuntu).transpose()?;
    let name = path.display().to_string();
    let found = named_profile(&session, ubuntu.as_ref(), &name, platform);
    progress.finish();
    Ok(Captured {
        profile: found?,
        findings: Vec::new(),
    })
}

fn list(context: Context<'_>) -> Result<u8, Box<Failure>> {
    let targets: Vec<TargetJson<'_>> = shipped::all()
        .iter()
        .map(|one| TargetJson {
            name: &one.profile.name,
            aliases: &one.aliases,
            title: &one.profile.title,
        })
        .collect();
    let width = targets
        .iter()
        .map(|target| target.name.len())
        .max()
        .unwrap_or_default();
    let lines: Vec<String> = targets
        .iter()
        .map(|target| format!("{:width$}  {}", target.name, target.title))
        .collect();
    context.ui.data(&lines.join("\n"), &ListJson { targets })?;
    Ok(exit::DONE)
}
