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
    /// Who the user is and on which machine, such as `ada@laptop`.
    pub(crate) who: String,
    /// Where temporary files go.
    pub(crate) temporary: PathBuf,
    /// Where the host's apt keeps its sources.
    pub(crate) apt: PathBuf,
    /// Where logins of registries may be.
    pub(crate) logins: Logins,
}

/// The files of registry logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logins {
    /// The user names one file (`REGISTRY_AUTH_FILE`): it must be there, and no other counts.
    Only(PathBuf),
    /// Where podman and docker keep theirs, in the order in which podman looks; any may be missing.
    Usual(Vec<PathBuf>),
}

impl Default for Logins {
    fn default() -> Self {
        Self::Usual(Vec::new())
    }
}

impl Logins {
    /// By the rules of `containers-auth.json(5)` and of docker: `variable` gives the variables that
    /// are paths.
    fn of(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Self::Only(file);
        }
        let home = variable("HOME");
        let below_home = |below: &str| home.as_ref().map(|home| home.join(below));
        let usual = [
            variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
            variable("XDG_CONFIG_HOME")
                .or_else(|| below_home(".config"))
                .map(|dir| dir.join("containers/auth.json")),
            variable("DOCKER_CONFIG")
                .or_else(|| below_home(".docker"))
                .map(|dir| dir.join("config.json")),
        ];
        Self::Usual(usual.into_iter().flatten().collect())
    }
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
            who: who(),
            temporary: std::env::temp_dir(),
            apt: PathBuf::from("/etc/apt"),
            logins: Logins::of(path),
        }
    }
}

/// The user's name as the login shell set it, and the machine's as the kernel has it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn who() -> String {
    let user = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let machine = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let named = |text: &str| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text.to_owned()
        }
    };
    format!(
        "{}@{}",
        named(&user.unwrap_or_default()),
        named(machine.trim())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_looked_for_where_podman_and_docker_keep_them() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs: BTreeMap<&str, &str> = pairs.iter().copied().collect();
            Logins::of(|name| pairs.get(name).map(PathBuf::from))
        };
        let usual = |paths: &[&str]| Logins::Usual(paths.iter().map(PathBuf::from).collect());
        let home = ("HOME", "/h");
        assert_eq!(
            of(&[home]),
            usual(&["/h/.config/containers/auth.json", "/h/.docker/config.json"])
        );
        assert_eq!(
            of(&[
                home,
                ("XDG_RUNTIME_DIR", "/r"),
                ("XDG_CONFIG_HOME", "/c"),
                ("DOCKER_CONFIG", "/d")
            ]),
            usual(&[
                "/r/containers/auth.json",
                "/c/containers/auth.json",
                "/d/config.json"
            ])
        );
        let only = of(&[home, ("REGISTRY_AUTH_FILE", "/f")]);
        assert_eq!(only, Logins::Only("/f".into()));
        assert_eq!(of(&[]), usual(&[]));
    }
}
