//! What a verb that failed answers: [`Failure`], ready to be shown. Start at [`Failure::of`].

use unheck_engine::build::BuildError;
use unheck_engine::explain::{Class, Explain};
use unheck_engine::finding::Finding;
use unheck_engine::limits::{Exceeded, LimitsError};
use unheck_engine::locker::MakeLockError;
use unheck_engine::net::NetError;
use unheck_store::fetch::FetchError;

/// An error of the engine or of this program, as text.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whose world it comes from.
    pub(crate) class: Class,
    /// What was tried, on what.
    pub(crate) message: String,
    /// Why, the outermost cause first.
    pub(crate) causes: Vec<String>,
    /// Several problems that do not depend on each other, each with its causes.
    pub(crate) problems: Vec<(String, Vec<String>)>,
    /// What the sandbox found.
    pub(crate) findings: Vec<Finding>,
    /// What mends it.
    pub(crate) hints: Vec<String>,
}

/// An error of this program itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// There is no platform to build for.
    #[error("unheck makes no images for this machine's own platform")]
    NoPlatform,
    /// There is no home and no cache directory.
    #[error("nothing says where the cache is: neither `HOME` nor `XDG_CACHE_HOME` is set")]
    NoCache,
    /// `SOURCE_DATE_EPOCH` is no number.
    #[error("`SOURCE_DATE_EPOCH` is `{0}`, not seconds since 1970")]
    Epoch(String),
    /// The address of crates is none.
    #[error("cannot use the value of `--crates`")]
    Crates(#[from] Box<unheck_engine::sdist::cargo::CargoError>),
    /// A keyring cannot be read.
    #[error("cannot read the keyring")]
    ReadKeyring(#[source] std::io::Error),
    /// A keyring is none.
    #[error("cannot use the keyring `{path}`", path = path.display())]
    Keyring {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: unheck_deb::signature::KeyringError,
    },
    /// The file of registry logins that the user names cannot be read.
    #[error("cannot read the registry logins of `REGISTRY_AUTH_FILE`")]
    ReadLogins(#[source] std::io::Error),
    /// A file of registry logins is none.
    #[error("cannot use the registry logins")]
    Logins(#[source] unheck_registry::credentials::CredentialsError),
    /// A key cannot be read.
    #[error("cannot read the key")]
    ReadKey(#[source] std::io::Error),
    /// A key is none that can be used.
    #[error("cannot use the key `{path}`", path = path.display())]
    Key {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: unheck_engine::publish::KeyError,
    },
    /// A key of a signing command is given, and no command.
    #[error(
        "`--sign-public-key` and `--sign-key-id` say whose key a signing command has, and there is none"
    )]
    NoSignCommand,
    /// A key is given for something that no registry has.
    #[error("`--key` is for images in registries: files carry no attestations")]
    KeyForFile,
    /// The cache cannot be used.
    #[error("cannot use the cache")]
    Cache(#[source] unheck_store::StoreError),
    /// The cache cannot be measured or cleaned.
    #[error("cannot walk the resolver's cache")]
    Walk(#[source] std::io::Error),
    /// A captured profile cannot be written.
    #[error("cannot write the profile")]
    WriteProfile(#[source] std::io::Error),
    /// What was built cannot be started.
    #[error("cannot start `{path}`", path = path.display())]
    Start {
        /// The program.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The artifact is none that a host can hold.
    #[error("`{path}` has the form `{format}`, and hosts hold releases of the forms `dir` and `tar` only", path = path.display())]
    NotForHosts {
        /// The artifact.
        path: std::path::PathBuf,
        /// What it is.
        format: unheck_engine::form::Format,
    },
    /// There is no such target.
    #[error("{0}")]
    NoTarget(String),
    /// Hosts cannot be brought to what was asked for.
    #[error(transparent)]
    Deploy(#[from] unheck_deploy::DeployError),
    /// A target that is a registry cannot be brought to what was asked for.
    #[error(transparent)]
    Target(#[from] unheck_engine::publish::target::TargetFault),
    /// What a target requires does not hold.
    #[error("cannot deploy to `{target}`: {answers}; nothing was sent")]
    Required {
        /// The target's name.
        target: String,
        /// Answers of `check` that are no.
        answers: String,
    },
    /// There are no units where there are no hosts.
    #[error("cannot write units for the target `{0}`: it is a registry, and units are for hosts")]
    UnitOfRegistry(String),
    /// stdout is gone.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

impl Explain for CliError {
    fn class(&self) -> Class {
        match self {
            Self::Cache(error) if error.is_no_space() => Class::Limit,
            Self::Cache(unheck_store::StoreError::Io { .. }) | Self::Walk(_) | Self::Output(_) => {
                Class::Outside
            }
            Self::Deploy(error) => match error.kind() {
                unheck_deploy::Kind::Verdict => Class::Verdict,
                unheck_deploy::Kind::Input => Class::Input,
                unheck_deploy::Kind::Outside => Class::Outside,
                unheck_deploy::Kind::Limit => Class::Limit,
                unheck_deploy::Kind::Bug => Class::Bug,
            },
            Self::Target(fault) => fault.class(),
            Self::Required { .. } => Class::Verdict,
            _ => Class::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Target(fault) => fault.hints(),
            Self::NoPlatform => {
                vec!["choose one: `--platform linux/amd64` or `--platform linux/arm64`".to_owned()]
            }
            Self::Key { .. } => vec![
                "make one with `openssl genpkey -algorithm ed25519`, its public half with `openssl pkey -pubout`"
                    .to_owned(),
            ],
            Self::NoSignCommand => {
                vec!["name the command, `--sign-command CMD`, or sign with a key file: `--sign-key FILE`".to_owned()]
            }
            Self::KeyForFile => {
                vec!["name the image: `unheck verify HOST/NAME:TAG --key FILE`".to_owned()]
            }
            Self::NoCache => vec!["choose a directory: `--cache-dir DIR`".to_owned()],
            Self::NotForHosts { .. } => vec!["build a relocatable one: `unheck build --format dir`".to_owned()],
            Self::NoTarget(_) => vec![
                "configure it in `pyproject.toml`: `[tool.unheck.targets.NAME]` with `hosts` and `directory`, or with `registry`".to_owned(),
            ],
            Self::Required { .. } => vec![
                "`unheck check ARTIFACT --on TARGET -v` says why; mend it, or correct `require` of the target".to_owned(),
            ],
            Self::Deploy(error) => error.hints(),
            Self::Cache(error) => error.hint().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Failure {
    /// An error with its class, causes, hints and, where it has several, its problems.
    pub(crate) fn of<E: Explain + 'static>(error: &E) -> Self {
        let mut failure = Self {
            class: error.class(),
            message: error.to_string(),
            causes: causes(error),
            problems: Vec::new(),
            findings: Vec::new(),
            hints: error.hints(),
        };
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            failure.take_several(error);
            next = error.source();
        }
        let mut seen = std::collections::BTreeSet::new();
        failure.hints.retain(|hint| seen.insert(hint.clone()));
        failure
    }

    /// The same on the heap, where an answer passes through many hands.
    pub(crate) fn boxed<E: Explain + 'static>(error: E) -> Box<Self> {
        Box::new(Self::of(&error))
    }

    /// Errors that hold several problems, of which none is the cause of another.
    fn take_several(&mut self, error: &(dyn std::error::Error + 'static)) {
        let lock = error.downcast_ref::<MakeLockError>().or_else(|| {
            error
                .downcast_ref::<Box<MakeLockError>>()
                .map(|boxed| &**boxed)
        });
        if let Some(MakeLockError::Unmet(list)) = lock {
            self.problems
                .extend(list.iter().map(|unmet| (unmet.to_string(), causes(unmet))));
        }
        if let Some(BuildError::Broken(findings) | BuildError::Vulnerable(findings)) =
            error.downcast_ref()
        {
            self.findings.clone_from(findings);
            // Each finding is shown with its own hint.
            self.hints.clear();
        }
        if let Some(BuildError::Limits(limits)) = error.downcast_ref()
            && let LimitsError::Exceeded(list) = &**limits
        {
            let problem = |one: &Exceeded| (one.to_string(), one.evidence.clone());
            self.problems.extend(list.iter().map(problem));
        }
        if let Some(CliError::Deploy(unheck_deploy::DeployError::Hosts { failures, .. })) =
            error.downcast_ref()
        {
            let problem = |one: &unheck_deploy::HostFailure| (one.to_string(), causes(&one.error));
            self.problems.extend(failures.iter().map(problem));
        }
        let fetch = error.downcast_ref::<FetchError>();
        let fetch = fetch.or_else(|| match error.downcast_ref() {
            Some(NetError::Fetch(error)) if fetch.is_none() => Some(error),
            _ => None,
        });
        if let Some(error) = fetch
            && self.problems.is_empty()
        {
            for failure in &error.failures {
                self.problems.push((failure.to_string(), causes(failure)));
                for (url, reason) in &failure.others {
                    let text = format!(
                        "cannot fetch `{}` from `{url}` either: {reason}",
                        failure.label
                    );
                    self.problems.push((text, causes(reason)));
                }
            }
        }
    }
}

impl<E: Explain + 'static> From<E> for Box<Failure> {
    fn from(error: E) -> Self {
        Failure::boxed(error)
    }
}

/// The messages of an error's causes; one that only repeats the message before it is left out.
fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut before = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if text != before {
            causes.push(text.clone());
        }
        before = text;
        next = error.source();
    }
    causes
}
