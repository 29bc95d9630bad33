//! Whether an artifact runs on targets, and what is missing otherwise. Start at [`check`].
//!
//! A target is a [`profile::Profile`]: shipped data, a Debian or Ubuntu release computed from its
//! signed indexes, or something captured. What the artifact needs is read from its objects
//! ([`needs`]), and [`judge`] compares the two. Nothing of artifact or target is run.

pub mod artifact;
pub mod capture;
pub mod computed;
pub mod host;
pub mod judge;
pub mod level;
pub mod needs;
pub mod profile;
pub mod root;
pub mod shipped;
pub mod target;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
pub use unheck_elf::IsaLevel;
use unheck_oci::layer::Layer;

use crate::debian::Mirror;
use crate::explain::{Class, Explain};
use crate::finding::{Finding, Severity};
use crate::input::Project;
use crate::layers::WrittenLayer;
use crate::platform::Platform;
use crate::roots::from_layers;
use crate::session::Session;

use artifact::{ArtifactError, contents, of_roots};
use judge::{Outcome, Verdict};
use needs::{Content, Form, Libs};
use target::{Target, TargetError};

/// What to check.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// What was built.
    pub artifact: PathBuf,
    /// Where it is to run, as the user wrote it.
    pub on: Vec<String>,
    /// Whose libraries it uses, where that is to be another than what it is.
    pub libs: Option<Libs>,
    /// The least processor of all targets, where it is not the one that each supports.
    pub cpu: Option<IsaLevel>,
    /// Platforms to check; all of the artifact's when empty.
    pub platforms: Vec<Platform>,
    /// Ubuntu's archive, where one is configured.
    pub ubuntu: Option<Mirror>,
}

/// Every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// What the artifact is.
    pub form: Form,
    /// Whose libraries it was judged to use.
    pub libs: Libs,
    /// By target as they were asked for, then by platform.
    pub verdicts: Vec<Verdict>,
}

impl CheckReport {
    /// Whether it runs on all targets.
    pub fn ok(&self) -> bool {
        self.verdicts.iter().all(Verdict::runs)
    }
}

/// An artifact cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be looked into.
    #[error("cannot look into the artifact")]
    Artifact(#[from] ArtifactError),
    /// A target cannot be used.
    #[error("cannot use the target `{target}`")]
    Target {
        /// As it was asked for.
        target: String,
        /// Why not.
        #[source]
        source: Box<TargetError>,
    },
    /// It is for none of the platforms that were asked for.
    #[error("the artifact is for {has}, not for {wanted}")]
    Platform {
        /// What it is for.
        has: String,
        /// What was asked for.
        wanted: String,
    },
}

impl Explain for CheckError {
    fn class(&self) -> Class {
        match self {
            Self::Artifact(error) => error.class(),
            Self::Target { source, .. } => source.class(),
            Self::Platform { .. } => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Artifact(error) => error.hints(),
            Self::Target { source, .. } => source.hints(),
            Self::Platform { .. } => Vec::new(),
        }
    }
}

/// Checks an artifact on disk.
///
/// # Errors
/// [`CheckError`] when artifact or target cannot be read; an answer that is no is none.
pub fn check(session: &Session, request: &CheckRequest) -> Result<CheckReport, CheckError> {
    let targets = parse(&request.on, Path::new(""))?;
    let mut contents = contents(session, &request.artifact)?;
    if !request.platforms.is_empty() {
        let list = |platforms: &[Platform]| {
            let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        let has: Vec<Platform> = contents.iter().map(|content| content.platform).collect();
        contents.retain(|content| request.platforms.contains(&content.platform));
        if contents.is_empty() {
            return Err(CheckError::Platform {
                has: list(&has),
                wanted: list(&request.platforms),
            });
        }
    }
    check_contents(session, &contents, &targets, request)
}

fn parse(on: &[String], base: &Path) -> Result<Vec<Target>, CheckError> {
    let parse = |asked: &String| {
        Target::parse(asked, base).map_err(|source| CheckError::Target {
            target: asked.clone(),
            source: Box::new(source),
        })
    };
    on.iter().map(parse).collect()
}

fn check_contents(
    session: &Session,
    contents: &[Content],
    targets: &[Target],
    request: &CheckRequest,
) -> Result<CheckReport, CheckError> {
    let needs: Vec<_> = contents
        .iter()
        .map(|content| needs::needs(content, request.libs))
        .collect();
    let mut verdicts = Vec::new();
    for target in targets {
        for needs in &needs {
            let sonames: BTreeSet<String> = needs.libraries.keys().cloned().collect();
            let (profile, findings) = target
                .profile(session, request.ubuntu.as_ref(), needs.platform, &sonames)
                .map_err(|source| CheckError::Target {
                    target: target.asked.clone(),
                    source: Box::new(source),
                })?;
            let mut verdict = judge::judge(&target.asked, needs, &profile, request.cpu);
            verdict.findings.extend(findings);
            verdict.findings.sort();
            verdicts.push(verdict);
        }
    }
    let (form, libs) = needs.first().map_or((Form::Image, Libs::Static), |needs| {
        (needs.form, needs.libs)
    });
    Ok(CheckReport {
        form,
        libs,
        verdicts,
    })
}

/// Holds the layers of one platform against the targets that the project promises
/// (`[tool.unheck] require`): findings for each one that they do not run on as they are.
///
/// # Errors
/// [`CheckError`].
pub fn require(
    session: &Session,
    project: &Project,
    layers: &[WrittenLayer],
    platform: Platform,
) -> Result<Vec<Finding>, CheckError> {
    let layers: Vec<&Layer> = layers.iter().map(|written| &written.layer).collect();
    let roots = from_layers(session.store(), &layers).map_err(ArtifactError::from)?;
    let on = &project.config.require;
    let report = promised(session, on, &project.root, &[of_roots(&roots, platform)?])?;
    Ok(findings(&report))
}

/// The same for an artifact that stands in a place of its own.
///
/// # Errors
/// [`CheckError`].
pub fn require_of(
    session: &Session,
    project: &Project,
    artifact: &Path,
) -> Result<Vec<Finding>, CheckError> {
    let on = &project.config.require;
    Ok(findings(&promises(session, on, &project.root, artifact)?))
}

/// Whether an artifact runs as it is where a configuration promises it; paths count from `base`.
///
/// # Errors
/// As [`check`].
pub fn promises(
    session: &Session,
    on: &[String],
    base: &Path,
    artifact: &Path,
) -> Result<CheckReport, CheckError> {
    promised(session, on, base, &contents(session, artifact)?)
}

fn promised(
    session: &Session,
    on: &[String],
    base: &Path,
    contents: &[Content],
) -> Result<CheckReport, CheckError> {
    let targets = parse(on, base)?;
    let request = CheckRequest {
        artifact: PathBuf::new(),
        on: on.to_vec(),
        libs: None,
        cpu: None,
        platforms: Vec::new(),
        ubuntu: None,
    };
    check_contents(session, contents, &targets, &request)
}

fn findings(report: &CheckReport) -> Vec<Finding> {
    report.verdicts.iter().flat_map(broken).collect()
}

/// The findings of a promise that does not hold.
fn broken(verdict: &Verdict) -> Vec<Finding> {
    let severity = match verdict.outcome {
        Outcome::Fails => Severity::Error,
        Outcome::Unsure => Severity::Warning,
        Outcome::RunsWithPackages => {
            let evidence = format!("it runs there with {}", verdict.packages.join(", "));
            return vec![Finding::new(
                Severity::Info,
                "target-packages",
                verdict.target.clone(),
                evidence,
            )];
        }
        Outcome::Runs => return Vec::new(),
    };
    let reason = |finding: &Finding| Finding {
        severity,
        rule: format!("target-{}", finding.rule),
        subject: verdict.target.clone(),
        evidence: format!("{}: {}", finding.subject, finding.evidence),
        hint: finding.hint.clone(),
    };
    verdict.reasons().map(reason).collect()
}

#[cfg(test)]
mod tests;
