//! The command line: one struct per verb, whose comments are its help. Start at [`command`].
//!
//! Every option also has an environment variable `UNHECK_…`; which value wins over the project's
//! configuration is decided in `settings`.

mod choices;
mod target;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use unheck_engine::bom::BillFormat;
use unheck_engine::platform::Platform;
use unheck_engine::publish::Reference;
use unheck_engine::steps::{Bytecode, TrimLevel};
use unheck_engine::vulnerabilities::Gate;
use unheck_engine::write::Compression;

pub(crate) use choices::{
    AttachArgs, Choices, DebianArgs, FormatArg, IndexArgs, KitArgs, KnownArgs, KnownOfArgs,
    LibsArg, RegistryArgs,
};
pub(crate) use target::{
    DeployArgs, LockedTargetArgs, PruneArgs, ReleaseArgs, RollbackArgs, StatusArgs, TargetArgs,
};

/// Takes Python deployment out of heck.
///
/// Turns a Python project into a minimal, verified, reproducible OCI image: interpreter and exactly the OS files
/// needed from signed Debian packages. No Docker, no base image, no root.
#[derive(Debug, Parser)]
#[command(name = "unheck", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// What every verb takes.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Build a project as an image, directory, archive or single file: lock, fetch, assemble, verify, write
    #[command(
        after_help = "Example: unheck build examples/web -o web.oci.tar\nExample: unheck build examples/web --format exe -o web"
    )]
    Build(Box<BuildArgs>),
    /// Choose and write down every distribution and Debian file: `pylock.unheck.toml`
    #[command(after_help = "Example: unheck lock --platform linux/amd64,linux/arm64")]
    Lock(LockArgs),
    /// Write all that the lock names into one file, for machines without network
    #[command(
        after_help = "Example: unheck export examples/web --air-gap web.kit\nExample: unheck build examples/web --offline --kit web.kit"
    )]
    Export(ExportArgs),
    /// Start what was built: an image in a rootless sandbox, anything else directly
    #[command(after_help = "Example: unheck run web.oci.tar -- --port 8000")]
    Run(RunArgs),
    /// Check what was built: libraries complete, every import works, the entry point starts
    #[command(after_help = "Example: unheck verify web.oci.tar")]
    Verify(VerifyArgs),
    /// Say whether what was built runs on a distribution, a machine or an image, and what is missing; or which known
    /// vulnerabilities it has
    #[command(
        after_help = "Example: unheck check web.oci.tar --on debian:12,rhel:9,alpine:3.20\nExample: unheck check web.oci.tar --osv all.zip"
    )]
    Check(CheckArgs),
    /// Say why a file, distribution, Debian package or library is in what was built
    #[command(after_help = "Example: unheck why media.oci.tar libGL.so.1")]
    Why(WhyArgs),
    /// Say who takes the space in what was built
    #[command(
        after_help = "Example: unheck size web.oci.tar --against web-1.0.oci.tar --html size.html"
    )]
    Size(SizeArgs),
    /// Say which distribution a name means: an import, a loose name, a requirement, or all imports of some code
    #[command(
        after_help = "Example: unheck identify BS4 cv2 'scikit learn'\nExample: unheck identify --from-code src"
    )]
    Identify(IdentifyArgs),
    /// Write a bill of materials of what was built: CycloneDX or SPDX
    #[command(after_help = "Example: unheck sbom web.oci.tar -o web.cdx.json")]
    Sbom(SbomArgs),
    /// Bring an image to a registry
    #[command(after_help = "Example: unheck push web.oci.tar registry.example/team/web:1.0")]
    Push(PushArgs),
    /// Bring an image from a registry into a file
    #[command(after_help = "Example: unheck pull registry.example/team/web:1.0 -o web.oci.tar")]
    Pull(PullArgs),
    /// Put what was built in place on hosts or in a registry, and check it there; what serves is not touched
    #[command(after_help = "Example: unheck deploy dist/web-1.0 --target prod")]
    Deploy(DeployArgs),
    /// Make a release that is deployed serve: on all hosts or on none, or by the tag of a registry
    #[command(after_help = "Example: unheck release --target prod")]
    Release(ReleaseArgs),
    /// Make the release that served before serve again
    #[command(after_help = "Example: unheck rollback --target prod")]
    Rollback(RollbackArgs),
    /// Say what is deployed, what serves, since when and by whom
    #[command(after_help = "Example: unheck status --target prod")]
    Status(StatusArgs),
    /// Remove old releases, never the one that serves or the one before it
    #[command(after_help = "Example: unheck prune --target prod --releases 3")]
    Prune(PruneArgs),
    /// Say what a step between two versions changes, and which lines of your code it breaks
    #[command(
        after_help = "Example: unheck review flask 2.2.5 2.3.3 --code src\nExample: unheck review ."
    )]
    Review(ReviewArgs),
    /// Show or clean the cache of downloads and layers
    #[command(after_help = "Example: unheck cache prune --unused-for 7")]
    Cache(CacheArgs),
    /// Print the completions of a shell
    #[command(
        after_help = "Example: unheck completions bash > ~/.local/share/bash-completion/completions/unheck"
    )]
    Completions(CompletionsArgs),
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General")]
pub(crate) struct Common {
    /// Where downloads and layers are kept [default: $XDG_CACHE_HOME/unheck, else ~/.cache/unheck]
    #[arg(long, global = true, env = "UNHECK_CACHE_DIR", value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Use no network: only what the cache and a kit have
    #[arg(long, global = true, env = "UNHECK_OFFLINE", value_parser = BoolishValueParser::new())]
    pub(crate) offline: bool,
    /// Print one JSON object to standard output instead of text (see `schemas/`)
    #[arg(long, global = true, env = "UNHECK_JSON", value_parser = BoolishValueParser::new())]
    pub(crate) json: bool,
    /// Say only what failed
    #[arg(short, long, global = true, env = "UNHECK_QUIET", value_parser = BoolishValueParser::new())]
    pub(crate) quiet: bool,
    /// Say more: the time of each stage, every row of tables, every finding
    #[arg(short, long, global = true, env = "UNHECK_VERBOSE", value_parser = BoolishValueParser::new(), conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// When to use colours
    #[arg(long, global = true, env = "UNHECK_COLOR", value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// `unheck build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// What decides the lock.
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// Where it goes [default: dist/NAME-VERSION in the project, with the format's extension]
    #[arg(
        short,
        long,
        env = "UNHECK_OUTPUT",
        value_name = "PATH",
        help_heading = "Output"
    )]
    pub(crate) output: Option<PathBuf>,
    /// What is built [default: image]
    #[arg(long, env = "UNHECK_FORMAT", value_enum, help_heading = "Output")]
    pub(crate) format: Option<FormatArg>,
    /// Whose system libraries it uses, where it is no image [default: static]
    #[arg(long, env = "UNHECK_LIBS", value_enum, help_heading = "Output")]
    pub(crate) libs: Option<LibsArg>,
    /// What it starts: a command line or `module:function` [default: the only script, `__main__.py`, `main.py`, `app.py`]
    #[arg(
        long,
        env = "UNHECK_ENTRY",
        value_name = "ENTRY",
        help_heading = "Output"
    )]
    pub(crate) entry: Option<String>,
    /// What is left out: `none`; `safe`, which cannot change behaviour; `imports`, also modules that
    /// the entry does not reach; `traced`, all that no recorded run opened [default: safe]
    #[arg(
        long,
        env = "UNHECK_TRIM",
        value_name = "LEVEL",
        help_heading = "Output"
    )]
    pub(crate) trim: Option<TrimLevel>,
    /// A module that trimming keeps, with everything below it
    #[arg(
        long,
        env = "UNHECK_KEEP",
        value_delimiter = ',',
        value_name = "MODULE",
        help_heading = "Output"
    )]
    pub(crate) keep: Vec<String>,
    /// A module that `--trim imports` or `traced` leaves out whatever imports it, with everything
    /// below it
    #[arg(
        long,
        env = "UNHECK_LEAVE_OUT",
        value_delimiter = ',',
        value_name = "MODULE",
        help_heading = "Output"
    )]
    pub(crate) leave_out: Vec<String>,
    /// Run this command line in the untrimmed artifact first, and add what it opens to
    /// `unheck.trace`; several times for several commands
    #[arg(
        long,
        env = "UNHECK_TRACE",
        value_name = "COMMAND",
        help_heading = "Output"
    )]
    pub(crate) trace: Vec<String>,
    /// Bytecode: `none`, of what a `start` imports, `beside` every source, `only` instead of it [default: auto]
    #[arg(
        long,
        env = "UNHECK_BYTECODE",
        value_name = "MODE",
        help_heading = "Output"
    )]
    pub(crate) bytecode: Option<Bytecode>,
    /// `zstd` or `gzip`, with a level such as `zstd:19` [default: zstd]
    #[arg(
        long,
        env = "UNHECK_COMPRESSION",
        value_name = "KIND",
        help_heading = "Output"
    )]
    pub(crate) compression: Option<Compression>,
    /// The name under which `docker load` and `podman load` file it
    #[arg(
        long,
        env = "UNHECK_TAG",
        value_name = "NAME:TAG",
        help_heading = "Output"
    )]
    pub(crate) tag: Option<String>,
    /// Write a bill of materials too: SPDX where the name ends in `.spdx.json`, else CycloneDX
    #[arg(
        long,
        env = "UNHECK_SBOM",
        value_name = "FILE",
        help_heading = "Output"
    )]
    pub(crate) sbom: Option<PathBuf>,
    /// Push the image to this reference when it is built; several times for several
    #[arg(
        long,
        env = "UNHECK_PUSH",
        value_delimiter = ',',
        value_name = "REFERENCE",
        help_heading = "Output"
    )]
    pub(crate) push: Vec<Reference>,
    /// Do not run what was built
    #[arg(long, env = "UNHECK_NO_VERIFY", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub(crate) no_verify: bool,
    /// Choose, and say what would be made; write nothing but the cache
    #[arg(long, env = "UNHECK_DRY_RUN", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub(crate) dry_run: bool,
    /// Fail when the lock does not fit the project any more
    #[arg(long, env = "UNHECK_LOCKED", value_parser = BoolishValueParser::new(), conflicts_with = "frozen", help_heading = "Output")]
    pub(crate) locked: bool,
    /// Take the lock as it is
    #[arg(long, env = "UNHECK_FROZEN", value_parser = BoolishValueParser::new(), help_heading = "Output")]
    pub(crate) frozen: bool,
    /// What known vulnerabilities do: `off`, `warn:LEVEL` or `fail:LEVEL`, from `critical`, `high`, `medium`, `low` or
    /// `any` on [default: warn:any]
    #[arg(
        long,
        env = "UNHECK_VULNERABILITIES",
        value_name = "GATE",
        help_heading = "Vulnerabilities"
    )]
    pub(crate) vulnerabilities: Option<Gate>,
    /// What is known of vulnerabilities.
    #[command(flatten)]
    pub(crate) known: KnownArgs,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// What is put beside the image.
    #[command(flatten)]
    pub(crate) attach: AttachArgs,
    /// What stands for the network.
    #[command(flatten)]
    pub(crate) kit: KitArgs,
}

/// `unheck lock`.
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// What decides the lock.
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// Prefer the newest versions to those that are locked already
    #[arg(long, env = "UNHECK_UPGRADE", value_parser = BoolishValueParser::new())]
    pub(crate) upgrade: bool,
    /// With `--upgrade`: leave out the upgrades that break a line of the project's code
    #[arg(long, env = "UNHECK_SAFE", value_parser = BoolishValueParser::new(), requires = "upgrade")]
    pub(crate) safe: bool,
    /// Compile again what comes as source, and fail when that gives another wheel
    #[arg(long, env = "UNHECK_REBUILD_CHECK", value_parser = BoolishValueParser::new())]
    pub(crate) rebuild_check: bool,
    /// What stands for the network.
    #[command(flatten)]
    pub(crate) kit: KitArgs,
}

/// `unheck export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What decides the lock.
    #[command(flatten)]
    pub(crate) choices: Choices,
    /// Where the kit goes: wheels, sources, Debian packages, signed indexes, keys, lock and unheck in one file
    #[arg(long, env = "UNHECK_AIR_GAP", value_name = "KIT", required = true)]
    pub(crate) air_gap: PathBuf,
    /// The unheck that goes into the kit, such as that of another architecture [default: this one]
    #[arg(long, env = "UNHECK_PROGRAM", value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Fail when the lock does not fit the project any more
    #[arg(long, env = "UNHECK_LOCKED", value_parser = BoolishValueParser::new(), conflicts_with = "frozen")]
    pub(crate) locked: bool,
    /// Take the lock as it is
    #[arg(long, env = "UNHECK_FROZEN", value_parser = BoolishValueParser::new())]
    pub(crate) frozen: bool,
}

/// `unheck run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What `unheck build` made, or a registry reference with its host
    pub(crate) artifact: PathBuf,
    /// Which image of several [default: this machine's]
    #[arg(long, env = "UNHECK_RUN_PLATFORM", value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// A variable for it, as `NAME=VALUE`
    #[arg(short, long, env = "UNHECK_ENV", value_delimiter = ',', value_parser = variable, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<(String, String)>,
    /// Let it use this machine's network [default: when the image exposes a port]
    #[arg(long, env = "UNHECK_NETWORK", value_parser = BoolishValueParser::new(), conflicts_with = "no_network")]
    pub(crate) network: bool,
    /// Give it no network but its own loopback
    #[arg(long, env = "UNHECK_NO_NETWORK", value_parser = BoolishValueParser::new())]
    pub(crate) no_network: bool,
    /// Arguments of the entry point
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// `unheck verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// What `unheck build` made, or a registry reference with its host
    pub(crate) artifact: PathBuf,
    /// The image is a registry's, and its provenance must be signed by this key: `PUBLIC KEY` in PEM
    #[arg(long, env = "UNHECK_KEY", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// A level of x86-64 processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CpuArg {
    /// Every 64-bit processor
    #[value(name = "x86-64", alias = "x86-64-v1")]
    Baseline,
    /// SSE4.2, about 2009
    #[value(name = "x86-64-v2")]
    V2,
    /// AVX2, about 2013
    #[value(name = "x86-64-v3")]
    V3,
    /// AVX-512
    #[value(name = "x86-64-v4")]
    V4,
}

/// `unheck check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// What `unheck build` made, or a registry reference with its host
    #[arg(required_unless_present_any = ["capture", "list"])]
    pub(crate) artifact: Option<PathBuf>,
    /// What is known of vulnerabilities: where no target is named, they are looked for.
    #[command(flatten)]
    pub(crate) known: KnownOfArgs,
    /// Which vulnerabilities make the answer no: `fail:LEVEL`, from `critical`, `high`, `medium`, `low` or `any` on
    /// [default: that of `--project`, else fail:any]
    #[arg(
        long,
        env = "UNHECK_VULNERABILITIES",
        value_name = "GATE",
        help_heading = "Vulnerabilities"
    )]
    pub(crate) vulnerabilities: Option<Gate>,
    /// Where it is to run: a name such as `debian:12` (see `--list`), a captured profile `*.toml`, an image or a root directory
    #[arg(
        long,
        env = "UNHECK_ON",
        value_delimiter = ',',
        value_name = "TARGET",
        required_unless_present_any = ["capture", "list", "osv", "project"],
        conflicts_with = "osv"
    )]
    pub(crate) on: Vec<String>,
    /// Judge it as if it were built so [default: as it is]
    #[arg(long, env = "UNHECK_LIBS", value_enum)]
    pub(crate) libs: Option<LibsArg>,
    /// The least processor of the targets [default: what each of them supports]
    #[arg(long, env = "UNHECK_CPU", value_enum, value_name = "LEVEL")]
    pub(crate) cpu: Option<CpuArg>,
    /// Which platforms [default: all that it is for; with `--capture` this machine's]
    #[arg(
        long,
        env = "UNHECK_PLATFORM",
        value_delimiter = ',',
        value_name = "PLATFORM"
    )]
    pub(crate) platform: Vec<Platform>,
    /// Make a profile instead: of this machine, of a root directory or an image, or what is known of a target by its name
    #[arg(long, env = "UNHECK_CAPTURE", value_name = "ROOT|IMAGE|TARGET", num_args = 0..=1, default_missing_value = "/", conflicts_with_all = ["artifact", "list"])]
    pub(crate) capture: Option<PathBuf>,
    /// Where the profile of `--capture` goes [default: standard output]
    #[arg(short, long, env = "UNHECK_OUTPUT", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the names of all targets instead
    #[arg(long, env = "UNHECK_LIST", value_parser = BoolishValueParser::new())]
    pub(crate) list: bool,
    /// The directory of Ubuntu's archive that holds `dists/`, to compute its releases from; needs `--keyring`
    #[arg(
        long,
        env = "UNHECK_UBUNTU_MIRROR",
        value_name = "URL",
        help_heading = "Debian archive"
    )]
    pub(crate) ubuntu_mirror: Option<String>,
    /// Where Debian packages come from.
    #[command(flatten)]
    pub(crate) debian: DebianArgs,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// `unheck why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// What `unheck build` made, or a registry reference with its host
    pub(crate) artifact: PathBuf,
    /// A path or file name, a module, a library, a distribution or a Debian package, there or left out
    pub(crate) name: String,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// `unheck size`.
#[derive(Debug, Args)]
pub(crate) struct SizeArgs {
    /// What `unheck build` made, or a registry reference with its host
    pub(crate) artifact: PathBuf,
    /// Say too what an update from this artifact sends, layer by layer, and who grew
    #[arg(long, env = "UNHECK_AGAINST", value_name = "OTHER")]
    pub(crate) against: Option<PathBuf>,
    /// Write one self-contained page with a treemap that can be searched
    #[arg(long, env = "UNHECK_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BillArg {
    /// CycloneDX 1.6 JSON
    Cyclonedx,
    /// SPDX 2.3 JSON
    Spdx,
    /// OpenVEX 0.2.0: what is said of known vulnerabilities alone
    Openvex,
    /// The same as CycloneDX 1.6, which points into the bill
    CyclonedxVex,
}

impl From<BillArg> for BillFormat {
    fn from(format: BillArg) -> Self {
        match format {
            BillArg::Cyclonedx => Self::CycloneDx,
            BillArg::Spdx => Self::Spdx,
            BillArg::Openvex => Self::OpenVex,
            BillArg::CyclonedxVex => Self::CycloneDxVex,
        }
    }
}

/// `unheck sbom`.
#[derive(Debug, Args)]
pub(crate) struct SbomArgs {
    /// What `unheck build` made, or a registry reference with its host
    pub(crate) artifact: PathBuf,
    /// In which format [default: SPDX where the output ends in `.spdx.json`, OpenVEX where in `.openvex.json`, else
    /// CycloneDX]
    #[arg(long, env = "UNHECK_FORMAT", value_enum)]
    pub(crate) format: Option<BillArg>,
    /// Where it goes [default: standard output]
    #[arg(short, long, env = "UNHECK_OUTPUT", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Which image of several
    #[arg(long, env = "UNHECK_RUN_PLATFORM", value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// What is known of vulnerabilities.
    #[command(flatten)]
    pub(crate) known: KnownOfArgs,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// `unheck push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// An image: what `unheck build` made, or an OCI archive or layout folder of others
    pub(crate) artifact: PathBuf,
    /// Where it goes: `[HOST[:PORT]/]NAME[:TAG]`; a name without host is Docker Hub's
    #[arg(required = true, value_name = "REFERENCE")]
    pub(crate) references: Vec<Reference>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// What is put beside the image.
    #[command(flatten)]
    pub(crate) attach: AttachArgs,
    /// What is known of vulnerabilities: what is said of them is put beside the image too.
    #[command(flatten)]
    pub(crate) known: KnownOfArgs,
}

/// `unheck pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Which image: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`; a name without host is Docker Hub's
    pub(crate) reference: Reference,
    /// Where it goes: an archive, or a layout folder where the name ends in `.oci` [default: NAME-TAG.oci.tar]
    #[arg(short, long, env = "UNHECK_OUTPUT", value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// How registries are spoken to.
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

/// `unheck identify`.
#[derive(Debug, Args)]
pub(crate) struct IdentifyArgs {
    /// Import names, names of distributions in any spelling, requirement lines
    #[arg(required_unless_present = "from_code")]
    pub(crate) labels: Vec<String>,
    /// Every import of the Python code in this directory, held against what the project declares
    #[arg(
        long,
        env = "UNHECK_FROM_CODE",
        value_name = "DIR",
        conflicts_with = "labels"
    )]
    pub(crate) from_code: Option<PathBuf>,
    /// The project whose lock is asked first and whose requirements are compared
    #[arg(long, env = "UNHECK_PROJECT", value_name = "DIR", default_value = ".")]
    pub(crate) project: PathBuf,
    /// The Python that the code runs on: its standard library counts [default: 3.13]
    #[arg(long, env = "UNHECK_PYTHON", value_name = "VERSION", value_parser = minor)]
    pub(crate) python: Option<(u8, u8)>,
    /// Ask the index even where the answer is certain without it
    #[arg(long, env = "UNHECK_CHECK", value_parser = BoolishValueParser::new())]
    pub(crate) check: bool,
    /// Where distributions come from.
    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

/// How `unheck review` speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReviewFormat {
    /// For a terminal
    Text,
    /// The object of `--json`
    Json,
    /// Workflow commands that GitHub shows as annotations
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// For a comment on a pull request
    Markdown,
}

/// `unheck review`.
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// A distribution and two versions; two locks, the older first; or a project with a lock, whose upgrades are
    /// reviewed [default: .]
    #[arg(value_name = "WHAT", num_args = 0..=3)]
    pub(crate) what: Vec<String>,
    /// The code that uses it: a directory or a file [default: that of the project, or beside the newer lock]
    #[arg(long, env = "UNHECK_CODE", value_name = "DIR")]
    pub(crate) code: Option<PathBuf>,
    /// How the answer is written [default: text]
    #[arg(long, env = "UNHECK_REVIEW_FORMAT", value_enum)]
    pub(crate) format: Option<ReviewFormat>,
    /// The project whose index settings count for a distribution
    #[arg(long, env = "UNHECK_PROJECT", value_name = "DIR", default_value = ".")]
    pub(crate) project: PathBuf,
    /// Extras of the project that its lock has
    #[arg(long, env = "UNHECK_EXTRA", value_delimiter = ',', value_name = "NAME")]
    pub(crate) extra: Vec<String>,
    /// Dependency groups that its lock has
    #[arg(long, env = "UNHECK_GROUP", value_delimiter = ',', value_name = "NAME")]
    pub(crate) group: Vec<String>,
    /// The Python that the code runs on [default: that of the lock, else 3.13]
    #[arg(long, env = "UNHECK_PYTHON", value_name = "VERSION", value_parser = minor)]
    pub(crate) python: Option<(u8, u8)>,
    /// Whose wheels are compared where they differ [default: this machine's]
    #[arg(long, env = "UNHECK_REVIEW_PLATFORM", value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Where distributions come from.
    #[command(flatten)]
    pub(crate) index: IndexArgs,
}

/// `unheck cache`.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) what: CacheVerb,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheVerb {
    /// Print where it is
    #[command(after_help = "Example: unheck cache dir")]
    Dir,
    /// Say what it holds
    #[command(after_help = "Example: unheck cache size")]
    Size,
    /// Remove what was not used lately
    #[command(after_help = "Example: unheck cache prune --unused-for 7")]
    Prune {
        /// Keep what was used in so many days
        #[arg(
            long,
            env = "UNHECK_UNUSED_FOR",
            default_value_t = 30,
            value_name = "DAYS"
        )]
        unused_for: u32,
    },
}

/// `unheck completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

/// `3.13` or `3.13.5` as two numbers.
fn minor(text: &str) -> Result<(u8, u8), String> {
    let mut parts = text.splitn(3, '.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err("it is not a version such as `3.13`".to_owned()),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is not `NAME=VALUE`".to_owned()),
    }
}

/// The command with values of the environment hidden: an index address may hold a password.
pub(crate) fn command() -> clap::Command {
    fn hidden(command: clap::Command) -> clap::Command {
        command
            .mut_args(|arg| arg.hide_env_values(true))
            .mut_subcommands(hidden)
    }
    hidden(Cli::command())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_verb_has_an_example() {
        let command = command();
        command.clone().debug_assert();
        for verb in command.get_subcommands() {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let example = format!("Example: unheck {}", verb.get_name());
            assert!(help.starts_with(&example), "{}: {help}", verb.get_name());
        }
    }

    #[test]
    fn every_option_has_its_variable() {
        for verb in command().get_subcommands() {
            for option in verb
                .get_opts()
                .filter(|option| !["help", "version"].contains(&option.get_id().as_str()))
            {
                let long = option.get_long().expect("every option has a long name");
                let name = long.replace('-', "_").to_uppercase();
                let variable = option
                    .get_env()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                // `run` takes one platform where `build` takes several, `review` has formats of its own.
                let expected = ["", "RUN_", "REVIEW_"].map(|verb| format!("UNHECK_{verb}{name}"));
                assert!(
                    expected.iter().any(|one| one == variable),
                    "{long}: {variable}"
                );
            }
        }
    }
}
