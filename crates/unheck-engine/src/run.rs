//! Runs an image on this machine, in the sandbox: [`run_image`].
//!
//! The image's user, environment, directory and command hold; the root is read-only and what is
//! written to `/tmp` vanishes. With the network of the host where the image exposes a port.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use unheck_oci::image::{Execution, Platform as OciPlatform};
use unheck_oci::open::{OpenError, Opened, OpenedImage, open};
use unheck_sandbox::{Forwarding, Limits, Network, SandboxError, Spec, Status, Stdio};

use crate::explain::{Class, Explain};
use crate::layout::NONROOT;
use crate::platform::Platform;
use crate::roots::{RootsError, from_image};
use crate::session::Session;

/// How an image is run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// A command that replaces the image's own with its arguments (`Entrypoint` and `Cmd`); none when empty.
    pub command: Vec<String>,
    /// Arguments that replace the image's own (`Cmd`).
    pub args: Vec<String>,
    /// Which image of several; this machine's when not said.
    pub platform: Option<Platform>,
    /// Variables besides the image's, which they replace.
    pub env: BTreeMap<String, String>,
    /// Whether it sees the host's network, else only a loopback of its own; `None`: when the image
    /// exposes a port, which says that it serves.
    pub network: Option<bool>,
    /// Whether it shares the caller's standard input and terminal; else its input is empty and what
    /// it printed comes in [`Ran::output`].
    pub interactive: bool,
    /// What ends it early.
    pub limits: Limits,
}

/// An image that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub status: Status,
    /// Standard output and standard error, where they were not the caller's.
    pub output: Option<(String, String)>,
}

/// An image cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be opened, or has no image for the platform.
    #[error("cannot open the image `{path}`", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<OpenError>,
    },
    /// This machine cannot run the platform.
    #[error("the image is for {platform}, this machine runs {host}")]
    Foreign {
        /// The image's platform.
        platform: String,
        /// This machine's.
        host: String,
    },
    /// It has no command.
    #[error("the image starts nothing by itself, and no command was given")]
    NoCommand,
    /// Its user is none that can be used here.
    #[error("the image's user `{user}` is no number, and unheck does not look users up")]
    User {
        /// The text.
        user: String,
    },
    /// Its layers cannot be unpacked.
    #[error("cannot make a root of the image")]
    Roots(#[from] RootsError),
    /// The sandbox failed.
    #[error("cannot run the image")]
    Sandbox(#[from] SandboxError),
    /// Signals cannot be passed on.
    #[error("cannot pass signals on to the image")]
    Signals(#[source] std::io::Error),
}

impl Explain for RunError {
    fn class(&self) -> Class {
        match self {
            Self::Roots(error) => error.class(),
            Self::Sandbox(SandboxError::Unavailable(_) | SandboxError::RootUser(_)) => {
                Class::Sandbox
            }
            Self::Sandbox(SandboxError::Command { .. }) => Class::Input,
            Self::Sandbox(_) | Self::Signals(_) => Class::Outside,
            Self::Open { .. } | Self::Foreign { .. } | Self::NoCommand | Self::User { .. } => {
                Class::Input
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Foreign { platform, .. } => vec![format!(
                "build it for this machine too with `--platform`, or run it with podman or docker and qemu-user for {platform}"
            )],
            Self::NoCommand => vec!["give a command: `unheck run IMAGE -- COMMAND`".to_owned()],
            Self::Roots(error) => error.hints(),
            Self::Sandbox(error) => error.hint().map(str::to_owned).into_iter().collect(),
            Self::Open { .. } => {
                vec!["give an OCI archive or layout folder, as `unheck build` writes it".to_owned()]
            }
            Self::User { .. } | Self::Signals(_) => Vec::new(),
        }
    }
}

impl Ran {
    /// The exit code that a shell would show.
    pub fn code(&self) -> i32 {
        self.status.shell_code()
    }
}

/// Runs an image file or layout folder and waits for its end. Signals that unheck gets reach it.
///
/// # Errors
/// [`RunError`]; a command that fails is no error.
pub fn run_image(session: &Session, path: &Path, options: &RunOptions) -> Result<Ran, RunError> {
    let opened = open(path).map_err(|source| unopened(path, source))?;
    let image = runnable(&opened, options.platform)?;
    run_opened(session, &opened, &image, options)
}

fn unopened(path: &Path, source: OpenError) -> RunError {
    RunError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// The image of several that this machine can run.
///
/// # Errors
/// There is none.
pub(crate) fn runnable(
    opened: &Opened,
    platform: Option<Platform>,
) -> Result<OpenedImage, RunError> {
    let host = Platform::host();
    let foreign = |platform: String| RunError::Foreign {
        platform,
        host: host.map_or_else(
            || std::env::consts::ARCH.to_owned(),
            |host| host.to_string(),
        ),
    };
    let Some(wanted) = platform.or(host) else {
        return Err(foreign("another machine".to_owned()));
    };
    match opened.select(&OciPlatform::linux(wanted.architecture())) {
        Ok(image) if Some(wanted) == host => Ok(image),
        Ok(image) => Err(foreign(image.platform.to_string())),
        Err(error) => {
            // An image for one other platform alone deserves a clearer word.
            let images = opened.images().unwrap_or_default();
            Err(match &images[..] {
                [only] if platform.is_none() => foreign(only.platform.to_string()),
                _ => unopened(opened.path(), error),
            })
        }
    }
}

/// Runs one image of what was opened.
///
/// # Errors
/// [`RunError`]; a command that fails is no error.
pub(crate) fn run_opened(
    session: &Session,
    opened: &Opened,
    image: &OpenedImage,
    options: &RunOptions,
) -> Result<Ran, RunError> {
    let roots = from_image(session.store(), opened, image)?;
    let spec = spec(roots.root(), &image.config.config, options)?;
    let running = unheck_sandbox::spawn(&session.helper, &spec, None)?;
    let forwarding = Forwarding::start(&running).map_err(RunError::Signals)?;
    let outcome = running.wait()?;
    drop(forwarding);
    let output = (!options.interactive).then(|| (outcome.stdout.text(), outcome.stderr.text()));
    Ok(Ran {
        status: outcome.status,
        output,
    })
}

fn spec(
    root: unheck_sandbox::Root,
    execution: &Execution,
    options: &RunOptions,
) -> Result<Spec, RunError> {
    let args = if options.args.is_empty() {
        &execution.cmd
    } else {
        &options.args
    };
    let own = execution.entrypoint.iter().chain(args);
    let words: Vec<&String> = match &options.command[..] {
        [] => own.collect(),
        words => words.iter().collect(),
    };
    let argv: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    if argv.is_empty() {
        return Err(RunError::NoCommand);
    }
    let mut spec = Spec::new(root, argv);
    spec.env = execution
        .env
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| !name.is_empty())
        .chain(
            options
                .env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    let directory = execution
        .working_dir
        .as_deref()
        .filter(|text| !text.is_empty());
    spec.cwd = PathBuf::from(directory.unwrap_or("/"));
    (spec.uid, spec.gid) = user(execution.user.as_deref().unwrap_or_default())?;
    let serves = !execution.exposed_ports.is_empty();
    spec.network = if options.network.unwrap_or(serves) {
        Network::Host
    } else {
        Network::None
    };
    if options.interactive {
        spec.stdio = Stdio::Inherit;
    }
    spec.hostname = "unheck".to_owned();
    spec.limits = options.limits.clone();
    Ok(spec)
}

/// The numbers of `UID` or `UID:GID`; nobody's where the image says nothing.
fn user(text: &str) -> Result<(u32, u32), RunError> {
    if text.is_empty() {
        return Ok((NONROOT, NONROOT));
    }
    let refused = |_| RunError::User {
        user: text.to_owned(),
    };
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Ok((
        user.parse().map_err(refused)?,
        group.parse().map_err(refused)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_replace_the_images_own_and_variables_its_variables() {
        let execution = Execution {
            user: Some("1000:50".to_owned()),
            env: vec!["A=1".to_owned(), "B=x=y".to_owned()],
            entrypoint: vec!["python3".to_owned()],
            cmd: vec!["-h".to_owned()],
            working_dir: Some("/app".to_owned()),
            ..Execution::default()
        };
        let root = || unheck_sandbox::Root::Dir(PathBuf::from("/x"));
        let plain = spec(root(), &execution, &RunOptions::default()).expect("spec");
        assert_eq!(plain.argv, ["python3", "-h"]);
        assert_eq!(
            (plain.uid, plain.gid, plain.network),
            (1000, 50, Network::None)
        );
        assert_eq!(plain.cwd, Path::new("/app"));
        let options = RunOptions {
            args: vec!["x".to_owned()],
            env: [("A".to_owned(), "2".to_owned())].into(),
            network: Some(true),
            ..RunOptions::default()
        };
        let other = spec(root(), &execution, &options).expect("spec");
        assert_eq!(other.argv, ["python3", "x"]);
        let env: Vec<_> = other
            .env
            .iter()
            .map(|(name, value)| format!("{name:?}={value:?}"))
            .collect();
        assert_eq!(env, [r#""A"="2""#, r#""B"="x=y""#]);
        assert_eq!(other.network, Network::Host);
        let command = RunOptions {
            command: vec!["probe".to_owned(), "y".to_owned()],
            ..RunOptions::default()
        };
        let instead = spec(root(), &execution, &command).expect("spec");
        assert_eq!(instead.argv, ["probe", "y"]);
        let serving = Execution {
            exposed_ports: ["80/tcp".to_owned()].into(),
            ..execution.clone()
        };
        let spec_of = |options: &RunOptions| spec(root(), &serving, options).expect("spec").network;
        assert_eq!(spec_of(&RunOptions::default()), Network::Host);
        let none = RunOptions {
            network: Some(false),
            ..RunOptions::default()
        };
        assert_eq!(spec_of(&none), Network::None);
        assert!(matches!(
            spec(root(), &Execution::default(), &RunOptions::default()),
            Err(RunError::NoCommand)
        ));
        assert!(matches!(user("www"), Err(RunError::User { .. })));
        assert_eq!(user("").ok(), Some((NONROOT, NONROOT)));
    }
}
