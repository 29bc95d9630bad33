//! The verbs about targets: hosts and registries that releases go to.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::{AttachArgs, RegistryArgs};

/// Which hosts or registry.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub(crate) struct TargetArgs {
    /// A target of `[tool.unheck.targets]` [default: the only one]
    #[arg(long, env = "UNHECK_TARGET", value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// The project that configures it
    #[arg(
        long,
        env = "UNHECK_PROJECT",
        value_name = "PROJECT",
        default_value = "."
    )]
    pub(crate) project: PathBuf,
    /// A configuration file for `ssh` instead of the user's
    #[arg(long, env = "UNHECK_SSH_CONFIG", value_name = "FILE")]
    pub(crate) ssh_config: Option<PathBuf>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// Which hosts, and what to do when somebody else is at them.
#[derive(Debug, Clone, Args)]
pub(crate) struct LockedTargetArgs {
    /// Which hosts.
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Take the lock away from whoever holds it, and undo what was not finished
    #[arg(long, env = "UNHECK_STEAL_LOCK", value_parser = BoolishValueParser::new(), help_heading = "Target")]
    pub(crate) steal_lock: bool,
}

/// `unheck deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// For hosts a directory or archive that `unheck build --format dir` or `tar` made; for a registry an image
    pub(crate) artifact: PathBuf,
    /// Print systemd units for it instead: a socket that outlives releases, and the service
    #[arg(long, env = "UNHECK_UNIT", value_parser = BoolishValueParser::new())]
    pub(crate) unit: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) at: LockedTargetArgs,
    /// What is put beside an image.
    #[command(flatten)]
    pub(crate) attach: AttachArgs,
}

/// `unheck release`.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Which one, or the beginning of its name or of its digest [default: the one that was deployed last]
    pub(crate) release: Option<String>,
    /// Ask for no health check
    #[arg(long, env = "UNHECK_NO_HEALTH_CHECK", value_parser = BoolishValueParser::new())]
    pub(crate) no_health_check: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) at: LockedTargetArgs,
}

/// `unheck rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Which one, or the beginning of its name or of its digest [default: the one that served before]
    pub(crate) release: Option<String>,
    /// Ask for no health check
    #[arg(long, env = "UNHECK_NO_HEALTH_CHECK", value_parser = BoolishValueParser::new())]
    pub(crate) no_health_check: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) at: LockedTargetArgs,
}

/// `unheck status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Where.
    #[command(flatten)]
    pub(crate) at: TargetArgs,
}

/// `unheck prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// How many stay besides the one that serves and the one before [default: `keep` of the target, else 5]
    #[arg(long, env = "UNHECK_RELEASES", value_name = "COUNT")]
    pub(crate) releases: Option<u32>,
    /// Where.
    #[command(flatten)]
    pub(crate) at: LockedTargetArgs,
}
