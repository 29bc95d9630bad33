//! What several verbs take: what decides a lock, where things come from and go to. Start at [`Choices`].

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use unheck_engine::form::{Format, Libs};
use unheck_engine::lock::Provider;
use unheck_engine::platform::Platform;

/// What decides a lock.
#[derive(Debug, Clone, Args)]
pub(crate) struct Choices {
    /// A directory, `pyproject.toml`, `requirements*.txt`, `uv.lock`, `pylock*.toml` or a script with a PEP 723 block
    #[arg(default_value = ".")]
    pub(crate) project: PathBuf,
    /// Python version, such as `3.13` [default: what the project allows, the suite's own first]
    #[arg(
        long,
        env = "UNHECK_PYTHON",
        value_name = "VERSION",
        help_heading = "Target"
    )]
    pub(crate) python: Option<String>,
    /// Debian suite [default: trixie]
    #[arg(long, env = "UNHECK_SUITE", help_heading = "Target")]
    pub(crate) suite: Option<String>,
    /// Platforms, such as `linux/amd64,linux/arm64` [default: this machine's]
    #[arg(
        long,
        env = "UNHECK_PLATFORM",
        value_delimiter = ',',
        value_name = "PLATFORM",
        help_heading = "Target"
    )]
    pub(crate) platform: Vec<Platform>,
    /// Who provides the interpreter [default: `debian`, or what `[tool.unheck]` configures]
    #[arg(long, env = "UNHECK_PROVIDER", value_enum, help_heading = "Target")]
    pub(crate) provider: Option<ProviderArg>,
    /// Extras of the project to install
    #[arg(
        long,
        env = "UNHECK_EXTRA",
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Target"
    )]
    pub(crate) extra: Vec<String>,
    /// Dependency groups to install
    #[arg(
        long,
        env = "UNHECK_GROUP",
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Target"
    )]
    pub(crate) group: Vec<String>,
    /// Leave the group `dev` out, whatever is configured
    #[arg(long, env = "UNHECK_NO_DEV", value_parser = BoolishValueParser::new(), help_heading = "Target")]
    pub(crate) no_dev: bool,
    /// Where distributions come from.
    #[command(flatten)]
    pub(crate) index: IndexArgs,
    /// Where Debian packages come from.
    #[command(flatten)]
    pub(crate) debian: DebianArgs,
}

/// What stands for the network.
#[derive(Debug, Clone, Args)]
pub(crate) struct KitArgs {
    /// What `unheck export` wrote of the project's lock: read before the network
    #[arg(long, env = "UNHECK_KIT", value_name = "KIT", help_heading = "General")]
    pub(crate) kit: Option<PathBuf>,
}

/// Where distributions come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Python index")]
pub(crate) struct IndexArgs {
    /// An index that is asked before the default one; `NAME=URL` gives it a name
    #[arg(long, env = "UNHECK_INDEX", value_delimiter = ' ', value_name = "URL")]
    pub(crate) index: Vec<String>,
    /// The index that is asked last, instead of uv's own default
    #[arg(long, env = "UNHECK_DEFAULT_INDEX", value_name = "URL")]
    pub(crate) default_index: Option<String>,
    /// A directory or page with links to wheels
    #[arg(
        long,
        env = "UNHECK_FIND_LINKS",
        value_delimiter = ',',
        value_name = "PLACE"
    )]
    pub(crate) find_links: Vec<String>,
    /// Ask no index: only what `--find-links` has
    #[arg(long, env = "UNHECK_NO_INDEX", value_parser = BoolishValueParser::new())]
    pub(crate) no_index: bool,
    /// Compile these distributions also where there is a wheel
    #[arg(
        long,
        env = "UNHECK_NO_BINARY",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub(crate) no_binary: Vec<String>,
    /// Compile nothing: take only distributions that have a fitting wheel
    #[arg(long, env = "UNHECK_NO_BUILD", value_parser = BoolishValueParser::new())]
    pub(crate) no_build: bool,
    /// Where the crates of Rust projects are, as a registry's `dl` [default: what cargo's own configuration says]
    #[arg(long, env = "UNHECK_CRATES", value_name = "URL")]
    pub(crate) crates: Option<String>,
    /// Leave out files that were uploaded after this date or RFC 3339 time
    #[arg(long, env = "UNHECK_EXCLUDE_NEWER", value_name = "DATE")]
    pub(crate) exclude_newer: Option<String>,
}

/// Where Debian packages come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Debian archive")]
pub(crate) struct DebianArgs {
    /// The directory that holds `dists/` [default: what this machine's apt uses, else Debian's own]
    #[arg(long, env = "UNHECK_MIRROR", value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// The same for security updates [default: beside the main mirror]
    #[arg(long, env = "UNHECK_SECURITY_MIRROR", value_name = "URL")]
    pub(crate) security_mirror: Option<String>,
    /// An archive of old states, for packages that the mirror no longer has
    #[arg(long, env = "UNHECK_SNAPSHOT_MIRROR", value_name = "URL")]
    pub(crate) snapshot_mirror: Option<String>,
    /// OpenPGP keys to trust besides Debian's own
    #[arg(long, env = "UNHECK_KEYRING", value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,
    /// Take this suite although its indexes have expired
    #[arg(
        long,
        env = "UNHECK_ALLOW_EXPIRED_SUITE",
        value_delimiter = ',',
        value_name = "SUITE"
    )]
    pub(crate) allow_expired_suite: Vec<String>,
}

/// How registries are spoken to.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    /// A registry, as host with port, that is spoken to over plain HTTP
    #[arg(
        long,
        env = "UNHECK_INSECURE_REGISTRY",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub(crate) insecure_registry: Vec<String>,
    /// A host that may have the login of a registry which names it as its token server
    #[arg(
        long,
        env = "UNHECK_TOKEN_SERVER",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub(crate) token_server: Vec<String>,
}

/// What is put beside a pushed image.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct AttachArgs {
    /// Push the image alone, without bill of materials and provenance
    #[arg(long, env = "UNHECK_NO_ATTACH", value_parser = BoolishValueParser::new(), conflicts_with = "sign_key")]
    pub(crate) no_attach: bool,
    /// Sign what is attached with this key: Ed25519 or P-256, PKCS #8 in PEM
    #[arg(long, env = "UNHECK_SIGN_KEY", value_name = "FILE")]
    pub(crate) sign_key: Option<PathBuf>,
    /// Sign it with this program, which gets the bytes on standard input and answers the signature, raw or in base64
    #[arg(
        long,
        env = "UNHECK_SIGN_COMMAND",
        value_name = "COMMAND",
        conflicts_with_all = ["sign_key", "no_attach"]
    )]
    pub(crate) sign_command: Option<String>,
    /// The public key of `--sign-command`: what it answers must be a signature of it
    #[arg(
        long,
        env = "UNHECK_SIGN_PUBLIC_KEY",
        value_name = "FILE",
        conflicts_with = "sign_key"
    )]
    pub(crate) sign_public_key: Option<PathBuf>,
    /// What the key of `--sign-command` is called, where its public key is not given
    #[arg(
        long,
        env = "UNHECK_SIGN_KEY_ID",
        value_name = "ID",
        conflicts_with_all = ["sign_key", "sign_public_key"]
    )]
    pub(crate) sign_key_id: Option<String>,
}

/// What is known of vulnerabilities.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Vulnerabilities")]
pub(crate) struct KnownArgs {
    /// An OSV export: `all.zip` of an ecosystem, or a directory of records and archives
    #[arg(
        long,
        env = "UNHECK_OSV",
        value_delimiter = ',',
        value_name = "DIR|ZIP"
    )]
    pub(crate) osv: Vec<PathBuf>,
}

/// What is known of the vulnerabilities of an artifact.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Vulnerabilities")]
pub(crate) struct KnownOfArgs {
    /// Exports.
    #[command(flatten)]
    pub(crate) known: KnownArgs,
    /// The project that it was built from: what its lock was told by the index, and `vex` and `allow` of its configuration
    #[arg(long, env = "UNHECK_PROJECT", value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
}

/// Who provides the interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderArg {
    /// Debian's own packages
    Debian,
    /// The python-build-standalone archive of `[tool.unheck.standalone]`
    Standalone,
    /// The local installation of `prefix` in `[tool.unheck]`
    Prefix,
}

impl From<ProviderArg> for Provider {
    fn from(provider: ProviderArg) -> Self {
        match provider {
            ProviderArg::Debian => Self::Debian,
            ProviderArg::Standalone => Self::Standalone,
            ProviderArg::Prefix => Self::Prefix,
        }
    }
}

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// An OCI image: an archive, or a layout folder where the output's name ends in `.oci`
    Image,
    /// A relocatable directory
    Dir,
    /// The same as an archive: `.tar.zst`, `.tar.gz` or `.tar` by the output's name
    Tar,
    /// One file that starts itself
    Exe,
}

/// Whose system libraries are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LibsArg {
    /// Its own: loader, libc and every other library come along
    Static,
    /// The host's: only Python and distributions ship, and the start fails where something lacks
    Dynamic,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Image => Self::Image,
            FormatArg::Dir => Self::Dir,
            FormatArg::Tar => Self::Tar,
            FormatArg::Exe => Self::Exe,
        }
    }
}

impl From<LibsArg> for Libs {
    fn from(libs: LibsArg) -> Self {
        match libs {
            LibsArg::Static => Self::Static,
            LibsArg::Dynamic => Self::Dynamic,
        }
    }
}
