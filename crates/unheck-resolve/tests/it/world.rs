//! A project directory, a cache and an index, and how to ask for a resolution.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use unheck_resolve::{
    Answers, Arch, Artifact, Event, Inputs, Libc, LockError, Reporter, Resolution, ResolveError,
    ResolveOptions, Source, SourceBuilder, Target,
};
use unheck_testkit::{Index, IndexServer};

/// Everything that one test needs.
pub(crate) struct World {
    pub(crate) index: IndexServer,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) inputs: Inputs,
    pub(crate) options: ResolveOptions,
    pub(crate) events: Arc<Events>,
}

/// Collects events as text.
#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<String>>);

impl Events {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Reporter for Events {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl World {
    /// An index, and no sources yet. No configuration of the machine is read.
    pub(crate) fn new(index: Index) -> Self {
        let index = index.serve();
        let dir = tempfile::tempdir().unwrap();
        let mut inputs = Inputs::new(dir.path(), Source::Requirement("unused".into()));
        inputs.sources.clear();
        inputs.index.default_url = Some(index.simple_url());
        let events = Arc::new(Events::default());
        let options = ResolveOptions {
            cache: dir.path().join("cache"),
            answers: Answers::default(),
            preferences: Vec::new(),
            builder: None,
            reporter: Some(events.clone()),
        };
        Self {
            index,
            dir,
            inputs,
            options,
            events,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn ask(mut self, requirements: &[&str]) -> Self {
        let sources = requirements
            .iter()
            .map(|text| Source::Requirement((*text).to_owned()));
        self.inputs.sources.extend(sources);
        self
    }

    pub(crate) fn source(mut self, source: Source) -> Self {
        self.inputs.sources.push(source);
        self
    }

    pub(crate) fn project(self, text: &str) -> Self {
        let path = self.path("pyproject.toml");
        self.file("pyproject.toml", text)
            .source(Source::Pyproject(path))
    }

    pub(crate) fn set(mut self, change: impl FnOnce(&mut Inputs)) -> Self {
        change(&mut self.inputs);
        self
    }

    pub(crate) fn extra(self, name: &str) -> Self {
        self.set(|inputs| inputs.extras.names.extend([name.to_owned()]))
    }

    pub(crate) fn group(self, name: &str) -> Self {
        self.set(|inputs| inputs.groups.names.extend([name.to_owned()]))
    }

    pub(crate) fn builder(mut self, builder: impl SourceBuilder + 'static) -> Self {
        self.options.builder = Some(Arc::new(builder));
        self
    }

    pub(crate) fn resolve(&self) -> Result<Resolution, ResolveError> {
        self.resolve_for(&x86_64())
    }

    pub(crate) fn resolve_for(&self, target: &Target) -> Result<Resolution, ResolveError> {
        run(unheck_resolve::resolve(&self.inputs, target, &self.options))
    }

    pub(crate) fn read_lock(&self, name: &str) -> Result<Resolution, LockError> {
        let path = self.path(name);
        run(unheck_resolve::read_lock(
            &path,
            &self.inputs,
            &x86_64(),
            &self.options,
        ))
    }

    /// The pins, or the error with its causes.
    pub(crate) fn pins(&self) -> String {
        match self.resolve() {
            Ok(resolution) => pins(&resolution),
            Err(error) => chain(&error),
        }
    }
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

pub(crate) fn x86_64() -> Target {
    Target::new("3.13.5", Libc::Glibc(2, 41), Arch::X86_64).unwrap()
}

pub(crate) fn aarch64() -> Target {
    Target::new("3.13.5", Libc::Glibc(2, 41), Arch::Aarch64).unwrap()
}

/// `*` marks what the input asked for; extras in brackets; dependencies after the arrow.
pub(crate) fn pins(resolution: &Resolution) -> String {
    let lines = resolution.packages.iter().map(|package| {
        let extras: Vec<&str> = package.extras.iter().map(String::as_str).collect();
        let extras = if extras.is_empty() {
            String::new()
        } else {
            format!("[{}]", extras.join(","))
        };
        let dependencies: Vec<&str> = package.dependencies.iter().map(String::as_str).collect();
        let arrow = if dependencies.is_empty() { "" } else { " -> " };
        let star = if package.requested_by_root { "*" } else { "" };
        format!(
            "{star}{}{extras} {}{arrow}{}",
            package.name,
            artifact(&package.artifact),
            dependencies.join(",")
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn artifact(artifact: &Artifact) -> String {
    match artifact {
        Artifact::Wheel(file) => file.filename.clone(),
        Artifact::Sdist(file) => format!("sdist {}", file.filename),
        Artifact::Directory { path, editable } => {
            let name = path.file_name().unwrap().to_string_lossy();
            format!(
                "directory {name}{}",
                if *editable { " editable" } else { "" }
            )
        }
        Artifact::Archive { file, .. } => format!("archive {}", file.filename),
        Artifact::Git { commit, .. } => format!("git {commit}"),
    }
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
