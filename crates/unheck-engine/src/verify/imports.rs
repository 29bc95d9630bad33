//! Imports every module and loads every object in the sandbox, with the image's own Python. Start
//! at [`check_root`]; what answers mean is in `judge`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use unheck_base::TreePath;
use unheck_sandbox::{Limits, LineSink, Mount, Outcome, SandboxError, Spec, Status, Stream};
use unheck_wheel::ModuleKind;

use super::VerifyError;
use super::judge::{Answer, JobKind, Known, SYSTEM, judge};
use super::view::{Installed, View};
use crate::finding::{Finding, Severity};
use crate::layout::NONROOT;
use crate::platform::Platform;
use crate::session::Session;

/// The program that is run inside.
pub(super) const CHECKER: &str = include_str!("checker.py");
/// Where it is inside.
const INSIDE: &str = "/run/unheck";
/// Where bytecode is kept inside, so that no module is compiled twice in one verification.
const BYTECODE: &str = "/run/unheck-bytecode";
/// Children that import at the same time.
const WORKERS: usize = 2;
/// Seconds that one import may take.
const JOB_SECONDS: u64 = 60;
/// Time for all of it.
const WALL: Duration = Duration::from_secs(900);
/// Memory for all of it, in bytes.
const MEMORY: u64 = 8 << 30;
/// Bytes that the checker may print.
const OUTPUT: u64 = 256 << 20;

/// Something for the checker to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Job {
    pub(super) kind: &'static str,
    pub(super) group: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) attribute: String,
}

impl Job {
    pub(super) fn new(kind: &'static str, group: &str, name: impl Into<String>) -> Self {
        Self {
            kind,
            group: group.to_owned(),
            name: name.into(),
            attribute: String::new(),
        }
    }
}

#[derive(Serialize)]
struct Order<'a> {
    lists: &'a [Vec<Job>],
    workers: usize,
    timeout: u64,
}

/// How something is run in a root.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) session: &'a Session,
    pub(super) root: &'a unheck_sandbox::Root,
    /// What else is seen inside.
    pub(super) mounts: &'a [Mount],
    pub(super) python: &'a str,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) cwd: &'a str,
    /// A directory for bytecode that all runs of one verification share. What runs inside can
    /// write to it, so it is never kept longer than that.
    pub(super) bytecode: &'a Path,
    /// Whether bytecode ships: what is started sees that alone then, as it will where it runs.
    pub(super) ships: bool,
}

/// Which modules of a distribution are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Imported {
    /// The import names: what user code begins an import with.
    Names,
    /// Every module.
    All,
}

impl Imported {
    /// The modules of a distribution that are imported; the others are only read.
    pub(super) fn of(self, distribution: &Installed) -> impl Iterator<Item = &str> {
        let modules = &distribution.modules;
        let real = modules
            .iter()
            .filter(|(_, kind)| **kind != ModuleKind::Namespace);
        real.map(|(name, _)| name.as_str())
            .filter(move |name| self == Self::All || is_import_name(name, modules))
    }
}

/// Whether nothing but namespaces (PEP 420) is above a module.
fn is_import_name(name: &str, modules: &BTreeMap<String, ModuleKind>) -> bool {
    name.match_indices('.').all(|(at, _)| {
        modules
            .get(&name[..at])
            .is_none_or(|kind| *kind == ModuleKind::Namespace)
    })
}

/// The jobs of a root: imports of distributions and loads of objects, those that `wanted` accepts.
pub(super) fn jobs(
    view: &View,
    (platform, imported): (Platform, Imported),
    distributions: &[Installed],
    wanted: &dyn Fn(&TreePath) -> bool,
) -> Vec<Vec<Job>> {
    let mut owners: BTreeMap<&TreePath, &str> = BTreeMap::new();
    for distribution in distributions {
        owners.extend(
            distribution
                .files
                .keys()
                .map(|path| (path, distribution.name.as_str())),
        );
    }
    let mut objects: BTreeMap<&str, Vec<Job>> = BTreeMap::new();
    for (path, object) in view.objects() {
        let program = object.interp.is_some() && object.soname.is_none();
        let loadable = object.machine == platform.elf_machine()
            && object.kind == unheck_elf::Kind::Dyn
            && !program;
        if loadable && wanted(path) {
            let group = owners.get(path).copied().unwrap_or(SYSTEM);
            objects
                .entry(group)
                .or_default()
                .push(Job::new("object", group, format!("/{path}")));
        }
    }
    let mut lists: Vec<Vec<Job>> = vec![Vec::new(); WORKERS];
    let mut add = |jobs: Vec<Job>| {
        if let Some(list) = lists.iter_mut().min_by_key(|list| list.len()) {
            list.extend(jobs);
        }
    };
    for distribution in distributions
        .iter()
        .filter(|distribution| wanted(&distribution.info))
    {
        let mut jobs: Vec<Job> = imported
            .of(distribution)
            .map(|name| Job::new("module", &distribution.name, name))
            .collect();
        jobs.extend(
            objects
                .remove(distribution.name.as_str())
                .unwrap_or_default(),
        );
        add(jobs);
    }
    for (_, jobs) in objects {
        add(jobs);
    }
    lists
}

/// What the judge has to know of a root.
pub(super) fn known(view: &View, distributions: &[Installed], stdlib: BTreeSet<String>) -> Known {
    let mut known = Known {
        stdlib,
        ..Known::default()
    };
    for distribution in distributions {
        let tops = distribution
            .modules
            .keys()
            .filter_map(|name| name.split('.').next())
            .map(str::to_owned);
        known
            .tops
            .entry(distribution.name.clone())
            .or_default()
            .extend(tops);
        known
            .requires
            .entry(distribution.name.clone())
            .or_default()
            .extend(distribution.requires.iter().cloned());
    }
    let extensions = view
        .objects()
        .filter(|(_, object)| object.python_module.is_some());
    known.extensions = extensions.map(|(path, _)| format!("/{path}")).collect();
    known
}

/// Runs jobs in a root and judges the answers, together with those that were had by reading.
///
/// # Errors
/// [`VerifyError`]; a sandbox that is not possible here is [`VerifyError::Sandbox`].
pub(super) fn check_root(
    run: &Run<'_>,
    view: &View,
    distributions: &[Installed],
    lists: &[Vec<Job>],
    read: &[Answer],
) -> Result<Vec<Finding>, VerifyError> {
    if lists.iter().all(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let (answers, outcome) = ask(run, lists)?;
    let end = answers.iter().find(|answer| answer.kind == JobKind::End);
    let known = known(
        view,
        distributions,
        end.map(|end| end.stdlib.clone()).unwrap_or_default(),
    );
    let mut findings: Vec<Finding> = answers
        .iter()
        .chain(read)
        .filter_map(|answer| judge(answer, &known))
        .collect();
    if end.is_none() {
        findings.push(unfinished(&outcome));
    }
    Ok(findings)
}

fn unfinished(outcome: &Outcome) -> Finding {
    let finding = Finding::new(
        Severity::Error,
        "check-unfinished",
        "the image's Python",
        format!(
            "{}\n{}",
            ended(outcome.status),
            last_lines(&outcome.stderr.text(), 12)
        ),
    );
    finding.with_hint("the interpreter does not start, or the check ran out of time or memory")
}

/// How a command ended, for people.
pub(crate) fn ended(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("it ended with exit code {code}"),
        Status::Signaled(signal) => format!("it was killed by signal {signal}"),
        Status::LimitHit(limit) => format!("it hit the limit `{limit}` of the check"),
    }
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let lines: Vec<String> = lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| line.chars().take(400).collect())
        .collect();
    lines.join("\n")
}

fn ask(run: &Run<'_>, lists: &[Vec<Job>]) -> Result<(Vec<Answer>, Outcome), VerifyError> {
    let order = Order {
        lists,
        workers: WORKERS,
        timeout: JOB_SECONDS,
    };
    let order = serde_json::to_vec(&order).expect("jobs are strings and numbers");
    let directory = run.session.store().temp_dir()?;
    // Whoever runs inside may be another user, and the umask may be strict.
    fs_err::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).map_err(
        |source| VerifyError::Order {
            path: directory.path().to_owned(),
            source,
        },
    )?;
    for (name, bytes) in [("check.py", CHECKER.as_bytes()), ("order.json", &order)] {
        let path = directory.path().join(name);
        let write = || {
            fs_err::write(&path, bytes)?;
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
        };
        write().map_err(|source| VerifyError::Order {
            path: path.clone(),
            source,
        })?;
    }
    let words = [
        run.python,
        "-W",
        "ignore",
        "/run/unheck/check.py",
        "/run/unheck/order.json",
    ];
    let mut spec = spec(run, &words);
    // It prefers what ships by itself.
    share_bytecode(&mut spec);
    // Empty is as good as unset, and a launcher's own default does not come in its place.
    spec.env
        .insert(OsString::from("PYTHONDONTWRITEBYTECODE"), OsString::new());
    spec.mounts.push(Mount::Bind {
        host: directory.path().to_owned(),
        inside: PathBuf::from(INSIDE),
        writable: false,
    });
    spec.limits = Limits {
        wall: Some(WALL),
        memory: Some(MEMORY),
        output: Some(OUTPUT),
        ..Limits::default()
    };
    let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();
    let into = Arc::clone(&answers);
    let sink: LineSink = Arc::new(move |stream, line| {
        if stream == Stream::Stdout
            && let Ok(answer) = serde_json::from_slice::<Answer>(line)
            && let Ok(mut answers) = into.lock()
        {
            answers.push(answer);
        }
    });
    let outcome = unheck_sandbox::spawn(&run.session.helper, &spec, Some(sink))
        .and_then(|running| running.wait());
    let outcome = outcome.map_err(|error| sandbox_error(error, run.python))?;
    let answers = answers
        .lock()
        .map(|mut answers| std::mem::take(&mut *answers))
        .unwrap_or_default();
    Ok((answers, outcome))
}

fn sandbox_error(source: SandboxError, command: &str) -> VerifyError {
    VerifyError::Sandbox {
        command: command.to_owned(),
        source,
    }
}

/// A command in a root: nobody's user, no network, nothing writable but private directories.
pub(super) fn spec(run: &Run<'_>, words: &[&str]) -> Spec {
    let argv = words.iter().map(OsString::from).collect();
    let mut spec = Spec::new(run.root.clone(), argv);
    spec.mounts.extend_from_slice(run.mounts);
    spec.env = run
        .env
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    if !run.ships {
        share_bytecode(&mut spec);
    }
    spec.mounts.push(Mount::Bind {
        host: run.bytecode.to_owned(),
        inside: PathBuf::from(BYTECODE),
        writable: true,
    });
    spec.cwd = PathBuf::from(run.cwd);
    (spec.uid, spec.gid) = (NONROOT, NONROOT);
    spec
}

/// Lets an interpreter find and leave bytecode where the other runs do.
fn share_bytecode(spec: &mut Spec) {
    spec.env
        .entry(OsString::from("PYTHONPYCACHEPREFIX"))
        .or_insert_with(|| OsString::from(BYTECODE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checker_speaks_of_every_kind_of_job() {
        for kind in ["module", "entry", "found", "object", "source"] {
            assert!(CHECKER.contains(&format!("\"{kind}\"")), "{kind}");
            let line = format!(r#"{{"kind":"{kind}","group":"g","name":"n","ok":true}}"#);
            assert!(serde_json::from_str::<Answer>(&line).is_ok());
        }
        assert!(CHECKER.contains("\"end\""));
    }

    #[test]
    fn last_lines_are_short_and_not_empty() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
