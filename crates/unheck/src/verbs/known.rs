//! Known vulnerabilities, for `check`, `sbom`, `push` and what `build` makes. Start at [`Known::of`] and [`check`].

use std::path::{Path, PathBuf};

use serde::Serialize;
use unheck_engine::bom::{Bill, bills};
use unheck_engine::build::read_lock;
use unheck_engine::event::Stage;
use unheck_engine::input::{self, Project};
use unheck_engine::lock::{LOCK_FILE, Lock};
use unheck_engine::session::Session;
use unheck_engine::vulnerabilities::{
    Basis, ComponentKind, Dumps, Found, Gate, Looked, Rules, findings, look, unknown,
};

use super::Context;
use crate::cli::{CheckArgs, KnownArgs, KnownOfArgs};
use crate::exit;
use crate::failure::Failure;
use crate::ui::{clean, count};

/// What is known, and what a project says of it.
pub(super) struct Known {
    dumps: Dumps,
    lock: Option<Lock>,
    rules: Rules,
    /// Whether the user asked for it.
    asked: bool,
}

/// Exports of flags, else those that a project configures, by paths relative to it.
pub(crate) fn dumps(args: &KnownArgs, project: Option<&Project>) -> Dumps {
    let configured = project.into_iter().flat_map(|project| {
        let relative = project.config.osv.iter();
        relative
            .map(|path| project.root.join(path))
            .collect::<Vec<PathBuf>>()
    });
    match args.osv.is_empty() {
        true => Dumps::new(configured.collect()),
        false => Dumps::new(args.osv.clone()),
    }
}

impl Known {
    /// What the flags of a verb on an artifact name.
    pub(super) fn of(args: &KnownOfArgs) -> Result<Self, Box<Failure>> {
        let project = args.project.as_deref().map(input::read).transpose()?;
        let lock = project
            .as_ref()
            .map(|project| read_lock(&project.root.join(LOCK_FILE)));
        let dumps = dumps(&args.known, project.as_ref());
        Ok(Self {
            asked: project.is_some() || !dumps.is_empty(),
            dumps,
            lock: lock.transpose()?.flatten(),
            rules: project
                .map(|project| Rules::of(&project.config))
                .unwrap_or_default(),
        })
    }

    /// What a build knew: its project, and the exports that it read already.
    pub(super) fn of_build(project: &Project, dumps: Dumps) -> Result<Self, Box<Failure>> {
        Ok(Self {
            lock: read_lock(&project.root.join(LOCK_FILE))?,
            rules: Rules::of(&project.config),
            dumps,
            asked: true,
        })
    }

    /// What the engine looks with; nothing where nobody asked.
    pub(super) fn basis(&self) -> Option<Basis<'_>> {
        self.asked.then_some(Basis {
            dumps: &self.dumps,
            lock: self.lock.as_ref(),
            rules: &self.rules,
        })
    }

    /// Writes what is known into bills.
    pub(super) fn tell(&self, bills: &mut [Bill]) -> Result<(), Box<Failure>> {
        if let Some(basis) = self.basis() {
            look(bills, basis)?;
        }
        Ok(())
    }
}

/// `schemas/check-vulnerabilities.json`.
#[derive(Serialize)]
struct CheckJson<'a> {
    ok: bool,
    gate: String,
    looked: &'a Looked,
    platforms: Vec<PlatformJson<'a>>,
}

#[derive(Serialize)]
struct PlatformJson<'a> {
    platform: &'a str,
    vulnerabilities: Vec<FoundJson<'a>>,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    id: &'a str,
    aliases: Vec<&'a str>,
    description: &'a str,
    url: &'a str,
    component: &'a str,
    kind: ComponentKind,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    ratings: Vec<RatingJson<'a>>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<&'static str>,
    evidence: &'a str,
    sure: u8,
    fixed: &'a [String],
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    excused: Option<&'a str>,
    stops: bool,
}

#[derive(Serialize)]
struct RatingJson<'a> {
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a str>,
    source: &'a str,
}

/// Which known vulnerabilities an artifact has, for `check --osv` and `check --project`.
pub(super) fn check(
    args: &CheckArgs,
    named: &Path,
    context: Context<'_>,
) -> Result<u8, Box<Failure>> {
    let known = Known::of(&args.known)?;
    let artifact = crate::open::artifact(named, &args.registry, context)?;
    let (session, progress) = crate::open::shown(context)?;
    let detail = named.display().to_string();
    let looked = session.stage(Stage::Verify, &detail, || {
        all(&session, artifact.path(), &known)
    });
    progress.finish();
    let (bills, found, looked) = looked?;
    let configured =
        Some(known.rules.gate).filter(|gate| gate.stops() && args.known.project.is_some());
    let gate = args
        .vulnerabilities
        .or(configured)
        .unwrap_or(Gate::Fail(None));
    let wanted = |platform: &str| {
        args.platform.is_empty() || args.platform.iter().any(|one| one.to_string() == platform)
    };
    let counts = |one: &Found| gate.stops() && one.counts(gate);
    let mut told = Vec::new();
    let mut lines = Vec::new();
    let mut platforms = Vec::new();
    for (bill, found) in bills
        .iter()
        .zip(&found)
        .filter(|(bill, _)| wanted(&bill.platform))
    {
        told.extend(findings(found, gate));
        let stops = found.iter().filter(|one| counts(one)).count();
        lines.push(format!("{}: {}", bill.platform, answer(found.len(), stops)));
        platforms.push(PlatformJson {
            platform: &bill.platform,
            vulnerabilities: found
                .iter()
                .map(|one| FoundJson::of(one, counts(one)))
                .collect(),
        });
    }
    told.extend(unknown(&looked, gate));
    told.sort();
    told.dedup();
    context.ui.findings(&told);
    context
        .ui
        .say(&clean(&format!("looked at {}", looked.line())));
    let ok = !platforms
        .iter()
        .flat_map(|one| &one.vulnerabilities)
        .any(|one| one.stops);
    let json = CheckJson {
        ok,
        gate: gate.to_string(),
        looked: &looked,
        platforms,
    };
    context.ui.data(&clean_lines(&lines), &json)?;
    Ok(if ok { exit::DONE } else { exit::NO })
}

type Answers = (Vec<Bill>, Vec<Vec<Found>>, Looked);

fn all(session: &Session, artifact: &Path, known: &Known) -> Result<Answers, Box<Failure>> {
    let mut bills = bills(session, artifact)?;
    let basis = Basis {
        dumps: &known.dumps,
        lock: known.lock.as_ref(),
        rules: &known.rules,
    };
    let (found, looked) = look(&mut bills, basis)?;
    Ok((bills, found, looked))
}

/// `2 known vulnerabilities, and 1 that is not affected, accepted or below the gate`.
fn answer(found: usize, stops: usize) -> String {
    let rest = found - stops;
    let more = match rest {
        0 => String::new(),
        rest => format!(
            ", and {} that do not count (shown with -v)",
            count(rest as u64, "more")
        ),
    };
    match stops {
        0 if rest == 0 => "no known vulnerabilities".to_owned(),
        0 => format!("no known vulnerability that counts{more}"),
        1 => format!("1 known vulnerability{more}"),
        stops => format!("{stops} known vulnerabilities{more}"),
    }
}

fn clean_lines(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| clean(line)).collect();
    lines.join("\n")
}

impl<'a> FoundJson<'a> {
    fn of(found: &'a Found, stops: bool) -> Self {
        let one = &found.vulnerability;
        Self {
            id: &one.id,
            aliases: one.aliases.iter().map(String::as_str).collect(),
            description: &one.description,
            url: &one.url,
            component: &found.name,
            kind: found.kind,
            from: &found.from,
            version: found.version.as_deref(),
            purl: found.purl.as_deref(),
            level: found.level.map(|level| level.name()),
            ratings: one
                .ratings
                .iter()
                .map(|rating| RatingJson {
                    level: rating.level,
                    score: rating.score,
                    vector: rating.vector.as_deref(),
                    source: &rating.source,
                })
                .collect(),
            status: one.said.status.name(),
            justification: one.said.justification.map(|why| why.name()),
            evidence: &one.evidence,
            sure: found.sure,
            fixed: &found.fixed,
            action: &one.action,
            excused: found.excused.as_deref(),
            stops,
        }
    }
}
