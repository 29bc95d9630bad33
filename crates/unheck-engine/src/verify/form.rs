//! Verifies a relocatable artifact where nothing else is: [`verify_form`].
//!
//! Its directory is the only thing in the sandbox, below a name that no build knows, so that every
//! file it would need of a host is missed. One without system libraries is run on this machine's
//! own, read-only, and only where this machine has what it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unheck_base::{Digest, TreePath};
use unheck_sandbox::{Mount, Root, Status};

use super::imports::{self, Imported, Job, Run, last_lines};
use super::view::View;
use super::{
    Derived, VERIFY_VERSION, VerifyError, app, joined, ran, recall, remember, smoke, unrun,
};
use crate::finding::{Finding, Severity};
use crate::form::{FormFile, FormNode, Libs, Manifest};
use crate::layout::{APP_DIR, Layout};
use crate::lock::Target;
use crate::platform::Platform;
use crate::roots::{LayerIndex, Strange, index_of};
use crate::session::Session;

/// Where the artifact is in the sandbox.
const PLACE: &str = "moved here";
/// The exit code of a launcher whose host lacks something.
const UNFIT_HOST: i32 = 126;

/// A relocatable artifact that is verified.
pub(crate) struct FormSubject<'a> {
    /// The directory of its files.
    pub(crate) root: &'a Path,
    /// What it says of itself.
    pub(crate) manifest: &'a Manifest,
    /// The platform's half of its lock.
    pub(crate) target: &'a Target,
    /// What is known by the first key of everything but the app, and by the second, that of its
    /// list of files, of all of it, is believed and kept; where there are none, nothing is.
    pub(crate) known_by: Option<(Digest, Digest)>,
    /// Whether a path is of the app's part, which is made anew in each build.
    pub(crate) is_app: &'a (dyn Fn(&TreePath) -> bool + Sync),
}

/// Imports every module, loads every object and starts the entry, as in an image. All that does
/// not work is a finding.
///
/// # Errors
/// [`VerifyError`] when it cannot be told whether it works.
pub(crate) fn verify_form(
    session: &Session,
    subject: &FormSubject<'_>,
) -> Result<Vec<Finding>, VerifyError> {
    let keys = subject.known_by.map(|by| keys(session, subject, by));
    let mut known = None;
    if let Some((below, whole)) = &keys {
        known = recall::<Vec<Finding>>(below)?;
        if let Some(known) = &known
            && let Some(found) = recall::<Vec<Finding>>(whole)?
        {
            return Ok(joined(known.clone(), found));
        }
    }
    let checked = Checked::new(session, subject)?;
    if keys.is_none() {
        return Ok(joined(Vec::new(), checked.part(true)?));
    }
    let known = match known {
        Some(known) => known,
        None => {
            let found = checked.part(false)?;
            if let Some((below, _)) = &keys {
                remember(below, &found, &found)?;
            }
            found
        }
    };
    let found = checked.part(true)?;
    if let Some((_, whole)) = &keys {
        remember(whole, &found, &found)?;
    }
    Ok(joined(known, found))
}

/// Starts a one-file executable where nothing else is, with a private `/tmp` to unpack to. What is
/// known of the same file by its digest is believed and kept.
///
/// # Errors
/// [`VerifyError`] when it cannot be told whether it works.
pub(crate) fn verify_exe(
    session: &Session,
    file: &Path,
    manifest: &Manifest,
    digest: Option<Digest>,
) -> Result<Vec<Finding>, VerifyError> {
    if manifest.libs == Libs::Dynamic {
        // Its tree was run on this machine's libraries, or could not be.
        return Ok(Vec::new());
    }
    let known = digest.map(|digest| {
        let text = format!(
            "{VERIFY_VERSION} exe\0{}\0{digest}",
            env!("CARGO_PKG_VERSION")
        );
        session
            .store()
            .derived("verified-1", &Digest::of(text.as_bytes()))
    });
    if let Some(known) = &known
        && let Some(found) = recall::<Vec<Finding>>(known)?
    {
        return Ok(found);
    }
    let place = session.store().temp_dir()?;
    let order = |path: &Path, source| VerifyError::Order {
        path: path.to_owned(),
        source,
    };
    let (empty, bytecode) = (place.path().join("empty"), place.path().join("bytecode"));
    for (directory, mode) in [(&empty, 0o755), (&bytecode, 0o1777)] {
        fs_err::create_dir(directory)
            .and_then(|()| set_mode(directory, mode))
            .map_err(|source| order(directory, source))?;
    }
    let host = fs_err::canonicalize(file).map_err(|source| order(file, source))?;
    let inside = format!("/{PLACE}");
    let root = Root::Dir(empty);
    let mounts = [Mount::Bind {
        host,
        inside: PathBuf::from(&inside),
        writable: false,
    }];
    let env = BTreeMap::from([("UNHECK_EXE_CACHE".to_owned(), "/tmp/unheck-exe".to_owned())]);
    let run = Run {
        session,
        root: &root,
        mounts: &mounts,
        python: &inside,
        env: &env,
        cwd: "/",
        bytecode: &bytecode,
        ships: true,
    };
    let found = ran(manifest.platform, || {
        Ok(smoke::check_entry(&run, std::slice::from_ref(&inside))?
            .into_iter()
            .collect())
    })?;
    if let Some(known) = &known {
        remember(known, &found, &found)?;
    }
    Ok(found)
}

fn keys(
    session: &Session,
    subject: &FormSubject<'_>,
    (below, whole): (Digest, Digest),
) -> (Derived, Derived) {
    let runs = Platform::host() == Some(subject.manifest.platform);
    let head = format!(
        "{VERIFY_VERSION} form\0{}\0{}\0{runs}\0{}",
        env!("CARGO_PKG_VERSION"),
        Digest::of(imports::CHECKER.as_bytes()),
        subject.manifest.libs,
    );
    let key = |text: String| {
        session
            .store()
            .derived("verified-1", &Digest::of(text.as_bytes()))
    };
    (
        key(format!("below\0{head}\0{below}")),
        key(format!("whole\0{head}\0{whole}")),
    )
}

/// A subject with everything that a check needs.
struct Checked<'a> {
    session: &'a Session,
    subject: &'a FormSubject<'a>,
    layout: Layout,
    view: View,
    root: Root,
    mounts: Vec<Mount>,
    /// As in [`super::Checked`].
    bytecode: PathBuf,
    /// Empty but for a link that leads to the artifact by the name that it has inside.
    _place: tempfile::TempDir,
}

impl<'a> Checked<'a> {
    fn new(session: &'a Session, subject: &'a FormSubject<'a>) -> Result<Self, VerifyError> {
        let place = session.store().temp_dir()?;
        let order = |path: &Path, source| VerifyError::Order {
            path: path.to_owned(),
            source,
        };
        let absolute =
            fs_err::canonicalize(subject.root).map_err(|source| order(subject.root, source))?;
        let names = place.path().join("names");
        let (empty, bytecode) = (place.path().join("empty"), place.path().join("bytecode"));
        for (directory, mode) in [(&names, 0o755), (&empty, 0o755), (&bytecode, 0o1777)] {
            fs_err::create_dir(directory)
                .and_then(|()| set_mode(directory, mode))
                .map_err(|source| order(directory, source))?;
        }
        let link = names.join(PLACE);
        std::os::unix::fs::symlink(&absolute, &link).map_err(|source| order(&link, source))?;
        let index =
            index_of(&absolute, Strange::Refused).map_err(|source| order(&absolute, source))?;
        Ok(Self {
            session,
            subject,
            layout: prefixed(&Layout::of(&subject.target.interpreter)),
            view: View::new(vec![inside(index)], vec![names]),
            root: match subject.manifest.libs {
                Libs::Static => Root::Dir(empty),
                Libs::Dynamic => Root::Dir(PathBuf::from("/")),
            },
            mounts: vec![Mount::Bind {
                host: absolute,
                inside: PathBuf::from(format!("/{PLACE}")),
                writable: false,
            }],
            bytecode,
            _place: place,
        })
    }

    /// The part of the app, with the entry, or all others.
    fn part(&self, of_app: bool) -> Result<Vec<Finding>, VerifyError> {
        let manifest = self.subject.manifest;
        let wanted = |path: &TreePath| {
            outside(path).is_some_and(|path| {
                let launcher = manifest.files.get(&path).is_some_and(FormFile::is_launcher);
                (self.subject.is_app)(&path) == of_app && !launcher
            })
        };
        let distributions = self.view.distributions().map_err(VerifyError::Lists)?;
        let imported = if of_app {
            Imported::All
        } else {
            Imported::Names
        };
        let scope = (manifest.platform, imported);
        let mut lists = imports::jobs(&self.view, scope, &distributions, &wanted);
        let mut read = Vec::new();
        let entry = format!("/{PLACE}/{}", manifest.entry);
        if of_app {
            let sources = self
                .view
                .iter()
                .map(|(path, _)| path)
                .filter(|path| wanted(path) && path.as_str().ends_with(".py"))
                .filter(|path| outside(path).is_some_and(|path| path.is_under(APP_DIR)));
            lists.push(
                sources
                    .map(|path| Job::new("source", "app", format!("/{path}")))
                    .collect(),
            );
        } else {
            let modules = app::modules(&self.view, &self.layout);
            read = unrun::read(&self.view, imported, &distributions, &modules);
        }
        let env = BTreeMap::new();
        let run = Run {
            session: self.session,
            root: &self.root,
            mounts: &self.mounts,
            python: &self.layout.python,
            env: &env,
            cwd: "/",
            bytecode: &self.bytecode,
            ships: self.view.ships_bytecode(),
        };
        ran(manifest.platform, || {
            if let Some(unfit) = self.unfit(&run)? {
                return Ok(vec![unfit]);
            }
            let mut found = imports::check_root(&run, &self.view, &distributions, &lists, &read)?;
            if of_app {
                found.extend(smoke::check_entry(&run, &[entry])?);
            }
            Ok(found)
        })
    }

    /// What this machine lacks of an artifact without system libraries.
    fn unfit(&self, run: &Run<'_>) -> Result<Option<Finding>, VerifyError> {
        if self.subject.manifest.libs == Libs::Static {
            return Ok(None);
        }
        let words = [run.python, "-c", ""];
        let spec = imports::spec(run, &words);
        let failed = |source| VerifyError::Sandbox {
            command: run.python.to_owned(),
            source,
        };
        let outcome = unheck_sandbox::spawn(&run.session.helper, &spec, None)
            .and_then(|running| running.wait())
            .map_err(failed)?;
        if outcome.status != Status::Exited(UNFIT_HOST) {
            return Ok(None);
        }
        let evidence = format!(
            "this machine lacks what it needs, so it was not run here:\n{}",
            last_lines(&outcome.stderr.text(), 40)
        );
        let subject = self.subject.manifest.platform.to_string();
        let finding = Finding::new(Severity::Warning, "host-lacks-libraries", subject, evidence);
        Ok(Some(finding.with_hint(
            "run `unheck verify ARTIFACT` on a machine that has it, or build with `--libs static`",
        )))
    }
}

/// Whoever runs inside may be another user, and the umask may be strict.
fn set_mode(directory: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(directory, std::fs::Permissions::from_mode(mode))
}

/// The layout as it is below [`PLACE`].
fn prefixed(layout: &Layout) -> Layout {
    let below =
        |path: &TreePath| TreePath::new(&format!("{PLACE}/{path}")).expect("a name above a path");
    Layout {
        minor: layout.minor.clone(),
        python: format!("/{PLACE}{}", layout.python),
        stdlib: below(&layout.stdlib),
        site: below(&layout.site),
        scripts: below(&layout.scripts),
        data: below(&layout.data),
    }
}

/// The list as it is below [`PLACE`].
fn inside(index: LayerIndex) -> LayerIndex {
    let nodes = index.nodes.into_iter().map(|(path, node)| {
        let path = TreePath::new(&format!("{PLACE}/{path}")).expect("a name above a path");
        (path, node)
    });
    LayerIndex {
        nodes: nodes.collect(),
    }
}

/// The path that stands below [`PLACE`].
fn outside(path: &TreePath) -> Option<TreePath> {
    let rest = path.as_str().strip_prefix(PLACE)?.strip_prefix('/')?;
    TreePath::new(rest).ok()
}

/// Every file and link against the list that the artifact carries.
///
/// # Errors
/// The directory cannot be read.
pub fn against_list(root: &Path, manifest: &Manifest) -> std::io::Result<Vec<Finding>> {
    use rayon::prelude::*;
    let index = index_of(root, Strange::Refused)?;
    let new = |path: &TreePath, evidence: &str| {
        Finding::new(Severity::Error, "file-differs", path.to_string(), evidence)
    };
    let mut findings: Vec<Finding> = manifest
        .files
        .par_iter()
        .filter_map(|(path, file)| {
            let place = root.join(path.as_str());
            match (&file.what, index.nodes.get(path)) {
                (_, None) => Some(new(path, "the list names it, and it is not there")),
                (FormNode::Link { link }, Some(crate::roots::IndexNode::Link(text))) => {
                    (link != text).then(|| new(path, "it leads elsewhere than the list says"))
                }
                (FormNode::File { sha256, .. }, Some(crate::roots::IndexNode::File { .. })) => {
                    match fs_err::File::open(place).and_then(Digest::of_reader) {
                        Ok((found, _)) if found == *sha256 => None,
                        Ok(_) => Some(new(path, "its content is not what the list says")),
                        Err(error) => Some(new(path, &error.to_string())),
                    }
                }
                _ => Some(new(path, "it is of another kind than the list says")),
            }
        })
        .collect();
    let strange = index.nodes.iter().filter(|(path, node)| {
        !matches!(node, crate::roots::IndexNode::Dir)
            && !manifest.files.contains_key(path)
            && path.as_str() != crate::form::MANIFEST_PATH
            && !path.as_str().contains("/__pycache__/")
    });
    findings.extend(strange.map(|(path, _)| {
        let evidence = "no list names it: somebody put it there";
        Finding::new(
            Severity::Warning,
            "file-unknown",
            path.to_string(),
            evidence,
        )
    }));
    Ok(findings)
}
