//! The project's own wheel, where it has parts that are compiled: how it is built is found out while locking, and
//! every build of the app does the same again over the files of that day. Start at [`lock_app`] and [`app_wheel`].

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use unheck_base::{Digest, Hasher};
use unheck_resolve::BuildSystem;

use super::compile::Compiler;
use super::error::{Failure, SdistError};
use super::frontend::Hook;
use super::requires::Asking;
use super::restore::root_set_of;
use super::root::{BINFMT, build_root, can_run};
use super::source::{Source, SourceError};
use super::workshop::{Job, Workshop};
use crate::event::Event;
use crate::input::{AppFileKind, AppFiles, LockOptions, Project};
use crate::lock::{AppBuild, Target, Wheel};
use crate::session::Session;

/// Backends that are there to compile, by the beginning of their object reference.
const COMPILING: &[&str] = &[
    "mesonpy",
    "scikit_build_core",
    "maturin",
    "sipbuild",
    "pymsbuild",
];

/// Files that are compiled, by the end of their names.
const SOURCES: &[&str] = &[
    ".c", ".cc", ".cpp", ".cxx", ".pyx", ".f", ".f90", ".rs", ".cu", ".go",
];

/// Whether a project has parts that are compiled, as far as its files and its configuration tell: a wrong yes costs
/// time, a wrong no an error that says what to write.
pub(crate) fn is_compiled(project: &Project, app: &AppFiles, system: &BuildSystem) -> bool {
    let backend = system.backend.as_deref().unwrap_or_default();
    let name = unheck_wheel::normalize_name(&project.name);
    project.config.builds.contains_key(&name)
        || COMPILING.iter().any(|name| backend.starts_with(name))
        || app.files.iter().any(|file| {
            let name = file.path.file_name();
            SOURCES.iter().any(|end| name.ends_with(end))
        })
}

/// Compiles the app once, to find out what that takes.
///
/// # Errors
/// [`SdistError`].
pub(crate) fn lock_app(
    compiler: &Compiler<'_>,
    project: &Project,
    app: &AppFiles,
) -> Result<(AppBuild, Vec<Wheel>, Wheel), SdistError> {
    let copy = copied(compiler.store(), app)?;
    let made = compiler.wheel(&job(project, copy.path()))?;
    compiler.forget(&made);
    let build = AppBuild {
        platform: made.platform,
        sandbox: made.sandbox,
        debs: made.debs,
        root: made.root,
        attempts: made.attempts,
    };
    Ok((build, made.requires, made.wheel))
}

/// The app's wheel, built as the lock says; the store's, when the same files were built so before.
///
/// # Errors
/// [`SdistError`].
pub(crate) fn app_wheel(
    session: &Session,
    (project, options): (&Project, &LockOptions),
    (target, build): (&Target, &AppBuild),
    app: &AppFiles,
) -> Result<(String, Digest), SdistError> {
    let asking = Asking {
        session,
        project,
        options,
        interpreter: &target.interpreter,
        platform: target.platform,
    };
    let named: BTreeSet<&str> = build.root.iter().map(String::as_str).collect();
    let set = root_set_of(target, &named);
    let key = key(project, target, &set.digest(), app);
    let remembered = session.store().derived("app-native-wheel", &key);
    let known = remembered.bytes(1 << 16)?;
    let known = known.and_then(|bytes| serde_json::from_slice::<(String, Digest)>(&bytes).ok());
    if let Some((name, digest)) = known.filter(|(_, digest)| session.store().has(digest)) {
        return Ok((name, digest));
    }
    let copy = copied(session.store(), app)?;
    let job = job(project, copy.path());
    can_run(target.platform, Path::new(BINFMT)).map_err(|source| SdistError::Foreign {
        label: job.label(),
        source,
    })?;
    let workshop = Workshop::new(asking);
    let order = workshop.order(&job)?;
    let root = build_root(session, &set)?;
    let label = &order.label;
    session
        .reporter
        .event(Event::Compiling { label, with: &[] });
    let ran = workshop.hook(&order, Hook::Wheel, &root, &target.build_requires);
    session.reporter.event(Event::Compiled { label });
    let ran = ran?;
    if ran.good().is_none() {
        return Err(SdistError::Failed(Box::new(Failure::of(
            &order,
            Hook::Wheel,
            &ran,
        ))));
    }
    let wheel = workshop.take(&order, &ran)?;
    let made = (wheel.name, wheel.hashes.sha256);
    remembered.put_bytes(&serde_json::to_vec(&made).expect("a name and a digest"))?;
    Ok(made)
}

fn job(project: &Project, path: &Path) -> Job {
    Job {
        name: unheck_wheel::normalize_name(&project.name),
        version: project.version.clone(),
        source: Source::Tree {
            path: path.to_owned(),
            subdirectory: None,
        },
        sdist: None,
        waiting: Vec::new(),
    }
}

/// Everything that decides the app's wheel.
fn key(project: &Project, target: &Target, root: &Digest, app: &AppFiles) -> Digest {
    let mut hasher = Hasher::new();
    let mut say = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    say(&format!("app native 1 {} {root}", app.fingerprint()));
    say(super::frontend::DRIVER);
    say(&format!("{:?} {}", target.interpreter, target.platform));
    for wheel in &target.build_requires {
        say(&wheel.hashes.sha256.hex());
    }
    say(&format!(
        "{:?} {:?}",
        project.config.build_env,
        project.config.builds.get(&project.name)
    ));
    hasher.finish()
}

/// A directory with the app's files and nothing else of the project's directory.
pub(super) fn copied(
    store: &unheck_store::Store,
    app: &AppFiles,
) -> Result<tempfile::TempDir, SdistError> {
    let directory = store.temp_dir()?;
    for file in &app.files {
        let to = directory.path().join(file.path.as_str());
        let failed = |source| SourceError::Place {
            path: file.source.clone(),
            source,
        };
        if let Some(above) = to.parent() {
            fs_err::create_dir_all(above).map_err(failed)?;
        }
        match &file.kind {
            AppFileKind::Symlink(text) => {
                fs_err::os::unix::fs::symlink(text, &to).map_err(failed)?;
            }
            AppFileKind::File { .. } => {
                fs_err::copy(&file.source, &to).map_err(failed)?;
                let mode = if file.executable { 0o755 } else { 0o644 };
                fs_err::set_permissions(&to, PermissionsExt::from_mode(mode)).map_err(failed)?;
            }
        }
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::AppFile;

    fn app(names: &[&str]) -> AppFiles {
        let file = |name: &&str| AppFile {
            path: unheck_base::TreePath::new(name).expect("a path"),
            source: (*name).into(),
            executable: false,
            kind: AppFileKind::File {
                len: 0,
                digest: Digest::of(b""),
            },
        };
        AppFiles {
            files: names.iter().map(file).collect(),
            ..AppFiles::default()
        }
    }

    fn system(backend: &str) -> BuildSystem {
        BuildSystem {
            requires: Vec::new(),
            backend: Some(backend.to_owned()),
            backend_path: Vec::new(),
        }
    }

    fn project(text: &str) -> (tempfile::TempDir, Project) {
        let directory = tempfile::tempdir().expect("a directory");
        let toml = format!("[project]\nname = \"Shop\"\nversion = \"1\"\n{text}");
        fs_err::write(directory.path().join("pyproject.toml"), toml).expect("written");
        let project = crate::input::read(directory.path()).expect("a project");
        (directory, project)
    }

    #[test]
    fn compiled_parts_are_told_by_backend_file_or_configuration() {
        let pure = app(&["src/shop/__init__.py", "notes.rst"]);
        let (_kept, plain) = project("");
        let compiled = |app: &AppFiles, backend: &str| is_compiled(&plain, app, &system(backend));
        assert!(!compiled(&pure, "hatchling.build"));
        assert!(compiled(&pure, "mesonpy"));
        assert!(compiled(&app(&["src/fast.pyx"]), "setuptools.build_meta"));
        assert!(compiled(&app(&["lib.rs"]), "setuptools.build_meta"));
        let (_kept, told) = project("[tool.unheck.builds.shop]\n");
        assert!(is_compiled(&told, &pure, &system("hatchling.build")));
    }
}
