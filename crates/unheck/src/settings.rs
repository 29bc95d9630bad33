//! From arguments, environment and configuration to one [`Settings`], resolved once.
//!
//! A flag wins over its `UNHECK_*` variable (the command line's own rule), both win over
//! `[tool.unheck]`, and that over the default.

use std::path::PathBuf;

use unheck_engine::build::{BuildRequest, LockMode};
use unheck_engine::form::{Format, Libs};
use unheck_engine::input::{Config, LockOptions, Mirrors, Project};
use unheck_engine::kit::Manifest;
use unheck_engine::lock::Provider;
use unheck_engine::platform::Platform;
use unheck_engine::sdist::cargo::{Address, replaced_index};
use unheck_engine::session::CrateSource;
use unheck_engine::write::Compression;
use unheck_resolve::IndexSettings;

use crate::cli::{BuildArgs, Choices, Common, IndexArgs, KitArgs};
use crate::failure::CliError;
use crate::surroundings::Surroundings;

/// The suite when nothing says another: Debian's stable.
const SUITE: &str = "trixie";

/// Everything that a verb on a project works with, besides the project itself.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// What decides the lock.
    pub(crate) lock: LockOptions,
    /// Index settings of flags and environment.
    pub(crate) index: IndexSettings,
    /// Where the crates of Rust projects come from.
    pub(crate) crates: CrateSource,
    /// Debian mirrors of flags, environment and configuration.
    pub(crate) mirrors: Mirrors,
    /// Keys to trust besides Debian's.
    pub(crate) keyring: Option<PathBuf>,
    /// Suites that may be expired.
    pub(crate) allow_expired: Vec<String>,
    /// The caches.
    pub(crate) cache: Cache,
    /// A kit to read before the network.
    pub(crate) kit: Option<PathBuf>,
    /// Whether the network is switched off.
    pub(crate) offline: bool,
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) source_date_epoch: Option<i64>,
}

/// Where things are kept between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cache {
    /// The directory of all of it.
    pub(crate) root: PathBuf,
}

impl Cache {
    /// `--cache-dir`, `UNHECK_CACHE_DIR`, `$XDG_CACHE_HOME/unheck`, `~/.cache/unheck`.
    pub(crate) fn find(common: &Common, surroundings: &Surroundings) -> Result<Self, CliError> {
        let xdg = || {
            surroundings
                .xdg_cache
                .as_ref()
                .map(|directory| directory.join("unheck"))
        };
        let home = || {
            surroundings
                .home
                .as_ref()
                .map(|directory| directory.join(".cache/unheck"))
        };
        let root = common
            .cache_dir
            .clone()
            .or_else(xdg)
            .or_else(home)
            .ok_or(CliError::NoCache)?;
        Ok(Self { root })
    }

    /// Blobs and layers.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// Index pages and metadata, in uv's own form.
    pub(crate) fn resolver(&self) -> PathBuf {
        self.root.join("resolver")
    }
}

impl Settings {
    /// Puts flags, environment and the project's configuration together.
    pub(crate) fn resolve(
        choices: &Choices,
        common: &Common,
        project: &Project,
        surroundings: &Surroundings,
    ) -> Result<Self, CliError> {
        let config = &project.config;
        let debian = &choices.debian;
        let epoch = surroundings.source_date_epoch.as_ref();
        let source_date_epoch = epoch
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|_| CliError::Epoch(text.clone()))
            })
            .transpose()?;
        Ok(Self {
            lock: lock_options(choices, config, surroundings)?,
            index: index(&choices.index, common.offline),
            crates: crate_source(choices.index.crates.as_deref(), surroundings)?,
            mirrors: Mirrors {
                debian: debian
                    .mirror
                    .clone()
                    .or_else(|| config.mirrors.debian.clone()),
                // A security archive that is configured belongs to the main one that is configured.
                security: debian.security_mirror.clone().or_else(|| {
                    config
                        .mirrors
                        .security
                        .clone()
                        .filter(|_| debian.mirror.is_none())
                }),
                snapshot: debian
                    .snapshot_mirror
                    .clone()
                    .or_else(|| config.mirrors.snapshot.clone()),
            },
            keyring: debian
                .keyring
                .clone()
                .or_else(|| Some(project.root.join(config.keyring.as_ref()?))),
            allow_expired: debian.allow_expired_suite.clone(),
            cache: Cache::find(common, surroundings)?,
            kit: None,
            offline: common.offline,
            source_date_epoch,
        })
    }

    /// The same with the kit of a flag, its variable or the configuration.
    #[must_use]
    pub(crate) fn with_kit(mut self, args: &KitArgs, project: &Project) -> Self {
        let configured = || Some(project.root.join(project.config.kit.as_ref()?));
        self.kit = args.kit.clone().or_else(configured);
        self
    }

    /// Takes from a kit what is only known where its lock was made: what the indexes there are called. Its crates are
    /// asked by their digests.
    pub(crate) fn adopt(&mut self, manifest: &Manifest) {
        self.lock.indexes.clone_from(&manifest.indexes);
        self.lock.exclude_newer.clone_from(&manifest.exclude_newer);
        self.crates = CrateSource::Public;
    }

    /// How the lock file is used, by `--locked` and `--frozen`. With a kit nothing can be chosen anew.
    pub(crate) const fn mode(&self, locked_frozen: (bool, bool)) -> LockMode {
        match locked_frozen {
            (_, true) => LockMode::Frozen,
            (true, _) => LockMode::Locked,
            _ if self.kit.is_some() => LockMode::Locked,
            _ => LockMode::Renew,
        }
    }

    /// What `unheck build` asks of the engine.
    pub(crate) fn build_request(&self, args: &BuildArgs, project: &Project) -> BuildRequest {
        let config = &project.config;
        let format = args
            .format
            .map(Format::from)
            .or(config.format)
            .unwrap_or_default();
        BuildRequest {
            lock: self.lock.clone(),
            mode: self.mode((args.locked, args.frozen)),
            output: args
                .output
                .clone()
                .unwrap_or_else(|| default_output(project, format)),
            format,
            libs: args
                .libs
                .map(Libs::from)
                .or(config.libs)
                .unwrap_or_default(),
            entry: args.entry.clone(),
            trim: args.trim.or(config.trim).unwrap_or_default(),
            keep: config.keep.iter().chain(&args.keep).cloned().collect(),
            leave_out: {
                let config = config.leave_out.iter();
                config.chain(&args.leave_out).cloned().collect()
            },
            trace: args.trace.clone(),
            bytecode: args.bytecode.or(config.bytecode).unwrap_or_default(),
            compression: args
                .compression
                .or(config.compression)
                .unwrap_or_else(|| Compression::default_for(format)),
            tag: args.tag.clone().or_else(|| config.tag.clone()),
            verify: !args.no_verify,
            dumps: crate::verbs::known::dumps(&args.known, Some(project)),
            gate: args.vulnerabilities,
        }
    }
}

/// `dist/NAME-VERSION` with the format's extension in the project, as build frontends do with wheels.
fn default_output(project: &Project, format: Format) -> PathBuf {
    let version = project
        .version
        .as_ref()
        .map(|version| format!("-{version}"))
        .unwrap_or_default();
    let name: String = format!("{}{version}", project.name)
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_.+!".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_start_matches('.');
    let directory = if project.root == std::path::Path::new(".") {
        PathBuf::new()
    } else {
        project.root.clone()
    };
    directory.join(format!("dist/{name}{}", format.extension()))
}

fn lock_options(
    choices: &Choices,
    config: &Config,
    surroundings: &Surroundings,
) -> Result<LockOptions, CliError> {
    let mut platforms = first(&choices.platform, &config.platforms);
    if platforms.is_empty() {
        platforms = vec![Platform::host().ok_or(CliError::NoPlatform)?];
    }
    platforms.sort_unstable();
    platforms.dedup();
    let configured = match (config.standalone.is_empty(), &config.prefix) {
        (false, _) => Provider::Standalone,
        (true, Some(_)) => Provider::Prefix,
        (true, None) => Provider::Debian,
    };
    let mut groups = sorted(first(&choices.group, &config.groups));
    if choices.no_dev {
        groups.retain(|name| name != "dev");
    }
    Ok(LockOptions {
        platforms,
        suite: choices
            .suite
            .clone()
            .or_else(|| config.suite.clone())
            .unwrap_or_else(|| SUITE.to_owned()),
        python: choices.python.clone().or_else(|| config.python.clone()),
        provider: choices.provider.map_or(configured, Provider::from),
        extras: sorted(first(&choices.extra, &config.extras)),
        groups,
        exclude_newer: choices.index.exclude_newer.clone(),
        indexes: named_indexes(&choices.index, surroundings),
        debs: sorted(config.debs.clone()),
    })
}

fn first<T: Clone>(flags: &[T], config: &[T]) -> Vec<T> {
    if flags.is_empty() {
        config.to_vec()
    } else {
        flags.to_vec()
    }
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

/// The flag, else what the host's cargo has in place of the public registry, else that.
fn crate_source(flag: Option<&str>, surroundings: &Surroundings) -> Result<CrateSource, CliError> {
    if let Some(url) = flag {
        let address = Address::new(url).map_err(Box::new)?;
        return Ok(CrateSource::Address(address));
    }
    let home = surroundings.cargo_home.as_deref();
    let texts = home.into_iter().flat_map(|home| {
        // The older name of the two is read first, as cargo does (The Cargo Book, "Configuration").
        ["config", "config.toml"].map(|name| fs_err::read_to_string(home.join(name)).ok())
    });
    let text = texts.flatten().next().unwrap_or_default();
    Ok(match replaced_index(&text) {
        Some(index) => CrateSource::Index(index),
        None => CrateSource::Public,
    })
}

/// The index settings of flags.
pub(crate) fn index(args: &IndexArgs, offline: bool) -> IndexSettings {
    IndexSettings {
        default_url: args.default_index.clone(),
        extra: args.index.clone(),
        find_links: args.find_links.clone(),
        no_index: args.no_index,
        no_binary: args.no_binary.iter().cloned().collect(),
        no_build: args.no_build,
        offline,
    }
}

/// Indexes of flags and environment as the lock's staleness sees them: another password is no
/// other index.
fn named_indexes(args: &IndexArgs, surroundings: &Surroundings) -> Vec<String> {
    const VARIABLES: [&str; 6] = [
        "UV_DEFAULT_INDEX",
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_NO_INDEX",
    ];
    let mut named = Vec::new();
    named.extend(
        args.default_index
            .iter()
            .map(|url| format!("default {}", bare(url))),
    );
    named.extend(args.index.iter().map(|url| format!("index {}", bare(url))));
    named.extend(
        args.find_links
            .iter()
            .map(|url| format!("links {}", bare(url))),
    );
    if args.no_index {
        named.push("no index".to_owned());
    }
    if args.no_build {
        named.push("no build".to_owned());
    }
    named.extend(
        args.no_binary
            .iter()
            .map(|name| format!("no binary {name}")),
    );
    for name in VARIABLES {
        let Some(value) = surroundings
            .resolver
            .0
            .get(name)
            .filter(|value| !value.is_empty())
        else {
            continue;
        };
        let words: Vec<String> = value.split_whitespace().map(bare).collect();
        named.push(format!("{name} {}", words.join(" ")));
    }
    named
}

/// A URL without user and password.
fn bare(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn project(config: &str) -> (tempfile::TempDir, Project) {
        let directory = tempfile::tempdir().expect("directory");
        let text =
            format!("[project]\nname = \"Shop\"\nversion = \"1.2\"\n[tool.unheck]\n{config}");
        fs_err::write(directory.path().join("pyproject.toml"), text).expect("file");
        let project = unheck_engine::input::read(directory.path()).expect("project");
        (directory, project)
    }

    fn settings(config: &str, flags: &[&str]) -> (Settings, BuildRequest) {
        let words = ["unheck", "build", "--cache-dir", "/c"]
            .into_iter()
            .chain(flags.iter().copied());
        let matches = crate::cli::command()
            .try_get_matches_from(words)
            .expect("arguments");
        let cli = Cli::from_arg_matches(&matches).expect("arguments");
        let Verb::Build(args) = &cli.verb else {
            panic!("verb")
        };
        let (_directory, project) = project(config);
        let settings = Settings::resolve(
            &args.choices,
            &cli.common,
            &project,
            &Surroundings::default(),
        )
        .expect("settings");
        let request = settings.build_request(args, &project);
        (settings, request)
    }

    #[test]
    fn a_flag_wins_over_the_configuration_and_that_over_the_default() {
        let config = "suite = \"bookworm\"\nplatforms = [\"linux/arm64\"]\ntrim = \"none\"\nextras = [\"b\", \"a\"]\n";
        assert_eq!(settings("", &[]).0.lock.suite, "trixie");
        let (one, request) = settings(config, &[]);
        assert_eq!(one.lock.suite, "bookworm");
        assert_eq!(one.lock.platforms, [Platform::LinuxArm64]);
        assert_eq!(one.lock.extras, ["a", "b"]);
        assert_eq!(request.trim.to_string(), "none");
        let flags = [
            "--suite",
            "sid",
            "--platform",
            "arm64,amd64,amd64",
            "--trim",
            "safe",
            "--extra",
            "c",
        ];
        let (one, request) = settings(config, &flags);
        assert_eq!(one.lock.suite, "sid");
        assert_eq!(one.lock.platforms, Platform::ALL);
        assert_eq!(one.lock.extras, ["c"]);
        assert_eq!(request.trim.to_string(), "safe");
    }

    #[test]
    fn the_provider_follows_from_the_configuration() {
        let zeros = "0".repeat(64);
        let archive = format!(
            "[tool.unheck.standalone.\"linux/amd64\"]\nurl = \"x\"\nsha256 = \"{zeros}\"\n"
        );
        assert_eq!(
            settings(&archive, &[]).0.lock.provider,
            Provider::Standalone
        );
        assert_eq!(
            settings("prefix = \"/opt/py\"\n", &[]).0.lock.provider,
            Provider::Prefix
        );
        assert_eq!(
            settings(&archive, &["--provider", "debian"])
                .0
                .lock
                .provider,
            Provider::Debian
        );
        let no_dev = settings("groups = [\"dev\", \"web\"]\n", &["--no-dev"]).0;
        assert_eq!(no_dev.lock.groups, ["web"]);
    }

    #[test]
    fn the_default_output_is_named_after_name_and_version() {
        let (_, request) = settings("", &[]);
        assert!(
            request.output.ends_with("dist/Shop-1.2.oci.tar"),
            "{}",
            request.output.display()
        );
    }

    #[test]
    fn the_format_decides_the_default_output_and_a_flag_wins_over_the_configuration() {
        let config = "format = \"exe\"\nlibs = \"dynamic\"\n";
        let (_, request) = settings(config, &[]);
        assert_eq!((request.format, request.libs), (Format::Exe, Libs::Dynamic));
        assert!(request.output.ends_with("dist/Shop-1.2"));
        let (_, request) = settings(config, &["--format", "tar", "--libs", "static"]);
        assert_eq!((request.format, request.libs), (Format::Tar, Libs::Static));
        assert!(request.output.ends_with("dist/Shop-1.2.tar.zst"));
    }

    #[test]
    fn passwords_are_no_part_of_an_indexs_identity() {
        assert_eq!(
            bare("https://me:p@ss@h.test/simple?x=1"),
            "https://h.test/simple?x=1"
        );
        assert_eq!(bare("name=https://h.test/a@b"), "name=https://h.test/a@b");
        assert_eq!(bare("wheels"), "wheels");
        let (one, _) = settings("", &["--index", "https://u:p@h.test/s"]);
        assert_eq!(one.lock.indexes, ["index https://h.test/s"]);
        assert_eq!(one.index.extra, ["https://u:p@h.test/s"]);
    }

    #[test]
    fn the_cache_is_looked_for_in_order() {
        let (settings, _) = settings("", &[]);
        assert_eq!(settings.cache.store(), PathBuf::from("/c/store"));
        let cli = |words: &[&str]| {
            let matches = crate::cli::command()
                .try_get_matches_from(words)
                .expect("arguments");
            Cli::from_arg_matches(&matches).expect("arguments").common
        };
        let none = cli(&["unheck", "cache", "dir"]);
        if none.cache_dir.is_some() {
            return;
        }
        let mut around = Surroundings {
            home: Some("/h".into()),
            ..Surroundings::default()
        };
        assert_eq!(
            Cache::find(&none, &around).expect("home").root,
            PathBuf::from("/h/.cache/unheck")
        );
        around.xdg_cache = Some("/x".into());
        assert_eq!(
            Cache::find(&none, &around).expect("xdg").root,
            PathBuf::from("/x/unheck")
        );
        assert!(Cache::find(&none, &Surroundings::default()).is_err());
    }
}
