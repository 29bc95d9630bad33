//! What is around the program: environment, current directory, clock. Read once, here only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use unheck_resolve::Environment;

/// What is around the program when it starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, where it is absolute (the base directory specification's rule).
    pub(crate) xdg_cache: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH` as it stands.
    pub(crate) source_date_epoch: Option<String>,
    /// The variables that the resolver reads as uv does.
    pub(crate) resolver: Environment,
    /// Where the host's cargo keeps its configuration: `CARGO_HOME`, else `~/.cargo`.
    pub(crate) cargo_home: Option<PathBuf>,
    /// Where the host's apt keeps its sources.
    pub(crate) apt: PathBuf,
}

impl Surroundings {
    /// Reads all of it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads environment and clock"
    )]
    pub(crate) fn read() -> Self {
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let resolver: BTreeMap<String, String> = Environment::NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        Self {
            now: since.map_or(0, |since| {
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            }),
            home: path("HOME"),
            xdg_cache: path("XDG_CACHE_HOME").filter(|path| path.is_absolute()),
            source_date_epoch: std::env::var("SOURCE_DATE_EPOCH")
                .ok()
                .filter(|text| !text.is_empty()),
            resolver: Environment(resolver),
            cargo_home: path("CARGO_HOME").or_else(|| Some(path("HOME")?.join(".cargo"))),
            apt: PathBuf::from("/etc/apt"),
        }
    }
}
