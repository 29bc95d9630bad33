//! Recorded runs: runs commands in an untrimmed artifact and writes down what they open. Start at
//! [`record`]; [`profile`] reads what was written down before.
//!
//! An audit hook (PEP 578) in every Python that is started with the artifact's environment notes
//! what it opens; nothing of the host is seen, and nothing is written but a directory of notes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use unheck_base::TreePath;
use unheck_sandbox::{Forwarding, Mount, Network, SandboxError, Spec};

use super::BuildError;
use super::layers::Layers;
use crate::event::Stage;
use crate::input::{Entry, Project};
use crate::layout::{APP_DIR, NONROOT};
use crate::roots::from_layers;
use crate::session::Session;
use crate::steps::imports::profile::{PROFILE_FILE, Profile, untagged};
use crate::steps::{TrimLevel, cached_source};
use crate::verify::view::View;

/// What is put on `PYTHONPATH`.
const HOOK: &str = include_str!("trace.py");
/// Where it is inside.
const INSIDE: &str = "/run/unheck/trace";
/// Longest note of one process, in bytes.
const MAX_NOTE: u64 = 64 << 20;

/// What recorded runs of the project opened; nothing for levels that do not ask.
///
/// # Errors
/// [`BuildError::NoProfile`] when the level cannot do without; the file cannot be read.
pub(super) fn profile(project: &Project, level: TrimLevel) -> Result<Profile, BuildError> {
    if level != TrimLevel::Traced {
        return Ok(Profile::default());
    }
    read(project)?.ok_or_else(|| BuildError::NoProfile {
        path: place(project),
    })
}

fn place(project: &Project) -> PathBuf {
    project.root.join(PROFILE_FILE)
}

fn read(project: &Project) -> Result<Option<Profile>, BuildError> {
    let path = place(project);
    match fs_err::read_to_string(&path) {
        Ok(text) => Ok(Some(Profile::from_text(&text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BuildError::Profile { path, source }),
    }
}

/// Runs commands in the artifact that `built` describes, and adds what they open to the project's
/// profile. A command that fails is a note, because what it opened counts all the same.
///
/// # Errors
/// The command line is none, the sandbox fails, or a file cannot be written.
pub(super) fn record(
    session: &Session,
    project: &Project,
    built: &Layers,
    commands: &[String],
) -> Result<(), BuildError> {
    let layers: Vec<_> = built.layers.iter().map(|layer| &layer.layer).collect();
    let roots = from_layers(session.store(), &layers).map_err(Box::new)?;
    let view = View::of(&roots).map_err(Box::new)?;
    let mut found = read(project)?.unwrap_or_default();
    for command in commands {
        let words = match Entry::parse(command, &project.name)? {
            Entry::Command(words) => words,
            _ => vec![command.clone()],
        };
        let notes = Notes::new(session)?;
        let spec = notes.spec(
            roots.root(),
            built,
            &words,
            !project.config.expose.is_empty(),
        );
        let outcome = session.stage(Stage::Verify, command, || run(session, &spec))?;
        if !outcome.status.success() {
            session.note(&format!(
                "`{command}` ended with exit code {}: what it opened until then was recorded\n{}",
                outcome.status.shell_code(),
                outcome.stderr.text().trim_end()
            ));
        }
        let before = found.opened.len();
        found.opened.extend(notes.places(&view)?);
        session.note(&format!(
            "recorded `{command}`: {} files that were not recorded before",
            found.opened.len() - before
        ));
    }
    let path = place(project);
    fs_err::write(&path, found.to_text()).map_err(|source| BuildError::Profile { path, source })
}

fn run(session: &Session, spec: &Spec) -> Result<unheck_sandbox::Outcome, BuildError> {
    let failed = |source: SandboxError| BuildError::Trace {
        command: spec.argv[0].to_string_lossy().into_owned(),
        source: Box::new(source),
    };
    let running = unheck_sandbox::spawn(&session.helper, spec, None).map_err(failed)?;
    // An interrupt ends a server, not the build.
    let _forwarding = Forwarding::start(&running).ok();
    running.wait().map_err(failed)
}

/// A directory of the host with the hook and what it writes.
struct Notes(tempfile::TempDir);

impl Notes {
    fn new(session: &Session) -> Result<Self, BuildError> {
        let directory = session.store().temp_dir()?;
        let write = |path: &Path| {
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
            let hook = path.join("sitecustomize.py");
            fs_err::write(&hook, HOOK)?;
            fs_err::set_permissions(&hook, std::fs::Permissions::from_mode(0o644))?;
            let out = path.join("out");
            fs_err::create_dir(&out)?;
            // Whoever runs inside may be another user.
            fs_err::set_permissions(&out, std::fs::Permissions::from_mode(0o777))
        };
        write(directory.path()).map_err(|source| BuildError::Profile {
            path: directory.path().to_owned(),
            source,
        })?;
        Ok(Self(directory))
    }

    fn spec(
        &self,
        root: unheck_sandbox::Root,
        built: &Layers,
        words: &[String],
        serves: bool,
    ) -> Spec {
        let mut spec = Spec::new(root, words.iter().map(OsString::from).collect());
        let mut env: BTreeMap<String, String> = built.env.clone();
        let path = match env.get("PYTHONPATH") {
            Some(path) => format!("{INSIDE}:{path}"),
            None => INSIDE.to_owned(),
        };
        env.insert("PYTHONPATH".to_owned(), path);
        let env = env.into_iter();
        spec.env = env
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect();
        spec.cwd = PathBuf::from(&built.working_dir);
        (spec.uid, spec.gid) = (NONROOT, NONROOT);
        if serves {
            spec.network = Network::Host;
        }
        for (name, writable) in [("", false), ("/out", true)] {
            spec.mounts.push(Mount::Bind {
                host: self.0.path().join(name.trim_start_matches('/')),
                inside: PathBuf::from(format!("{INSIDE}{name}")),
                writable,
            });
        }
        spec
    }

    /// The noted files that the artifact has and that are not the app's.
    fn places(&self, view: &View) -> Result<BTreeSet<TreePath>, BuildError> {
        let out = self.0.path().join("out");
        let failed = |source| BuildError::Profile {
            path: out.clone(),
            source,
        };
        let mut found = BTreeSet::new();
        for entry in fs_err::read_dir(&out).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let bytes = crate::verify::view::read(&path, MAX_NOTE).map_err(failed)?;
            for line in String::from_utf8_lossy(&bytes).lines() {
                let Ok(path) = TreePath::new(line.trim_start_matches('/')) else {
                    continue;
                };
                let path = source_of(&path);
                let place = view.resolve(&path);
                let place = place.filter(|place| view.host_path(place).is_some());
                // The link and what it leads to: a program knows the one, and opens the other.
                let link = place.as_ref().and(view.get(&path)).map(|_| path);
                let places = place.into_iter().chain(link);
                found.extend(
                    places
                        .filter(|place| !place.is_under(APP_DIR))
                        .map(untagged),
                );
            }
        }
        Ok(found)
    }
}

/// `p/m.py` of `p/__pycache__/m.cpython-313.pyc`, else the path itself.
fn source_of(path: &TreePath) -> TreePath {
    cached_source(path).unwrap_or_else(|| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_stands_for_its_source() {
        let path = |text: &str| TreePath::new(text).expect("path");
        let of = |text: &str| source_of(&path(text)).to_string();
        assert_eq!(of("p/__pycache__/m.cpython-313.pyc"), "p/m.py");
        assert_eq!(of("p/m.py"), "p/m.py");
        assert_eq!(of("p/m.pyc"), "p/m.pyc");
    }
}
