//! `[tool.unheck.targets.NAME]`: where an artifact is deployed. Start at [`Target::new`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

/// Releases that `prune` keeps where nothing is configured, besides the live and the previous one.
const KEEP: u32 = 5;
/// Seconds that a health check has where nothing is configured.
const DEADLINE: u64 = 30;
/// Longest value of a key in bytes: each is one line of the protocol.
const MAX_VALUE: usize = 4000;

/// A target as it is configured: hosts, or a repository of a registry, of which this room knows no more than its
/// keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TargetConfig {
    /// Hosts, as `[USER@]NAME[:PORT]`; a name may be one of the user's ssh configuration.
    pub hosts: Vec<String>,
    /// The directory of releases on every host: absolute, or `~/…` in the home of who logs in.
    pub directory: Option<String>,
    /// Instead of hosts: a repository of a registry, `HOST/NAME`, in which a tag serves.
    pub registry: Option<String>,
    /// The tag that serves there.
    pub tag: Option<String>,
    /// Who logs in, where a host does not say it.
    pub user: Option<String>,
    /// The systemd unit that serves: restarted when a release is switched to.
    pub unit: Option<String>,
    /// A command line instead, run by the host's shell in the directory of releases.
    pub reload: Option<String>,
    /// How a host tells that a release serves.
    pub health: Option<HealthConfig>,
    /// A command line that must end well in a new release before it counts as deployed.
    pub smoke: Option<String>,
    /// Targets of `check` that an artifact must run on before it is deployed; which there are is not known here.
    pub require: Vec<String>,
    /// How many releases `prune` keeps, besides the live and the previous one.
    pub keep: Option<u32>,
    /// Whether the first host must be healthy before the others are switched.
    pub one_host_first: bool,
    /// What the generated socket unit listens on, as `ListenStream=` takes it.
    pub listen: Vec<String>,
    /// What the generated service unit adds to the entry's command line, such as `--fd 3`.
    pub arguments: Vec<String>,
}

/// How a host tells that a release serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HealthConfig {
    /// An `http:` address as the host itself sees it; any answer of 200 to 399 will do.
    pub url: Option<String>,
    /// A command line instead, run by the host's shell in the released tree.
    pub command: Option<String>,
    /// Seconds until it must be healthy.
    pub deadline: Option<u64>,
}

/// A target, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Where it is, in the order of the configuration.
    pub hosts: Vec<Host>,
    /// The directory of releases on every host.
    pub directory: String,
    /// What makes the host serve what `current` names.
    pub reload: Option<String>,
    /// How a host tells that a release serves.
    pub health: Option<Health>,
    /// A command line that must end well in a new release.
    pub smoke: Option<String>,
    /// Targets of `check` that an artifact must run on before it is deployed.
    pub require: Vec<String>,
    /// How many releases `prune` keeps.
    pub keep: u32,
    /// Whether the first host must be healthy before the others are switched.
    pub one_host_first: bool,
    /// What the generated socket unit listens on.
    pub listen: Vec<String>,
    /// What the generated service unit adds to the command line.
    pub arguments: Vec<String>,
    /// The unit's name.
    pub unit: Option<String>,
}

/// A destination of ssh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// As it is configured.
    pub label: String,
    /// Who logs in.
    pub user: Option<String>,
    /// Name or address.
    pub name: String,
    /// TCP port.
    pub port: Option<u16>,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub check: HealthCheck,
    /// How long, again and again.
    pub deadline: Duration,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// A `GET` that is answered with 200 to 399.
    Http {
        /// Name or address, as the host resolves it.
        host: String,
        /// TCP port.
        port: u16,
        /// Path and query.
        path: String,
    },
    /// A command line that ends with 0.
    Command(String),
}

/// A target cannot be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the target `{target}` cannot be used: {problem}")]
pub struct TargetError {
    /// Its name.
    pub target: String,
    /// What is wrong.
    pub problem: String,
}

impl TargetConfig {
    /// How many releases `prune` keeps, besides the live and the previous one.
    pub fn keep(&self) -> u32 {
        self.keep.unwrap_or(KEEP)
    }
}

impl HealthConfig {
    /// How long it is asked.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline.unwrap_or(DEADLINE).clamp(1, 3600))
    }
}

impl Target {
    /// Checks what is configured.
    ///
    /// # Errors
    /// [`TargetError`] for the first key that cannot be used.
    pub fn new(name: &str, config: &TargetConfig) -> Result<Self, TargetError> {
        Self::checked(name, config).map_err(|problem| TargetError {
            target: name.to_owned(),
            problem,
        })
    }

    fn checked(name: &str, config: &TargetConfig) -> Result<Self, String> {
        if config.hosts.is_empty() {
            return Err("`hosts` or `registry` is missing".to_owned());
        }
        if config.registry.is_some() || config.tag.is_some() {
            return Err(
                "it has `hosts` and `registry` or `tag`: a target is one of both".to_owned(),
            );
        }
        let parsed = config
            .hosts
            .iter()
            .map(|text| Host::parse(text, config.user.as_deref()));
        let hosts: Vec<Host> = parsed.collect::<Result<_, _>>()?;
        for (at, host) in hosts.iter().enumerate() {
            if hosts[..at].contains(host) {
                return Err(format!("`hosts` names `{}` twice", host.label));
            }
        }
        let directory = config.directory.clone().ok_or("`directory` is missing")?;
        let directory = directory_of(&directory)?;
        let lines = [
            ("reload", &config.reload),
            ("smoke", &config.smoke),
            ("unit", &config.unit),
        ];
        for (key, value) in lines {
            value.as_ref().map_or(Ok(()), |value| line(key, value))?;
        }
        for text in &config.listen {
            line("listen", text)?;
        }
        for text in &config.arguments {
            line("arguments", text)?;
        }
        let reload = match (&config.reload, &config.unit) {
            (Some(reload), _) => Some(reload.clone()),
            (None, Some(unit)) => Some(restart(unit_of(unit)?)),
            (None, None) => None,
        };
        Ok(Self {
            name: name.to_owned(),
            hosts,
            directory,
            reload,
            health: config.health.as_ref().map(health_of).transpose()?,
            smoke: config.smoke.clone(),
            require: config.require.clone(),
            keep: config.keep(),
            one_host_first: config.one_host_first,
            listen: config.listen.clone(),
            arguments: config.arguments.clone(),
            unit: config.unit.clone(),
        })
    }
}

impl Host {
    /// Reads `[USER@]NAME[:PORT]`; an IPv6 address with a port stands in brackets.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(text: &str, default_user: Option<&str>) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` in `hosts` is not `[USER@]NAME[:PORT]`",
                text.escape_debug()
            )
        };
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (default_user, text),
        };
        let (name, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']').ok_or_else(wrong)?;
                (
                    name,
                    port.strip_prefix(':')
                        .or(port.is_empty().then_some(""))
                        .ok_or_else(wrong)?,
                )
            }
            // More than one colon is an address, without a port.
            None if rest.matches(':').count() > 1 => (rest, ""),
            None => rest.split_once(':').unwrap_or((rest, "")),
        };
        let port = match port {
            "" => None,
            port => Some(port.parse().map_err(|_| wrong())?),
        };
        let fits = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._:%".contains(c))
        };
        if !fits(name) || user.is_some_and(|user| !fits(user)) {
            return Err(wrong());
        }
        Ok(Self {
            label: text.to_owned(),
            user: user.map(str::to_owned),
            name: name.to_owned(),
            port,
        })
    }
}

/// One line that fits into the protocol.
fn line(key: &str, value: &str) -> Result<(), String> {
    if value.is_empty() || value.len() > MAX_VALUE || value.contains(['\n', '\r', '\0']) {
        return Err(format!(
            "`{key}` must be one line, not empty, of at most {MAX_VALUE} bytes"
        ));
    }
    Ok(())
}

fn directory_of(text: &str) -> Result<String, String> {
    line("directory", text)?;
    let plain = text.trim_end_matches('/');
    let below = plain.strip_prefix('/').or_else(|| plain.strip_prefix("~/"));
    let normal = |below: &str| {
        below
            .split('/')
            .all(|part| !["", ".", ".."].contains(&part))
            && !below.contains(char::is_control)
    };
    if !below.is_some_and(normal) {
        return Err(format!(
            "`directory` must be a path below `/` or `~/`, without `.` and `..`: `{}`",
            text.escape_debug()
        ));
    }
    // The launcher of a tree hands its path to the loader, which splits at these.
    if plain.contains([':', ';', '$']) {
        return Err("`directory` must not have `:`, `;` or `$`".to_owned());
    }
    Ok(plain.to_owned())
}

/// The characters of unit names (systemd.unit(5)) without the backslash, which shells read too.
fn unit_of(text: &str) -> Result<&str, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ":-_.@".contains(c);
    if text.starts_with('-') || !text.chars().all(fits) {
        return Err(format!(
            "`unit` is no unit's name: `{}`",
            text.escape_debug()
        ));
    }
    Ok(text)
}

/// Restarts a unit, however often it was restarted lately: systemd refuses a sixth start within ten seconds
/// (systemd.unit(5), `StartLimitIntervalSec=`), and a way back must never be refused.
fn restart(unit: &str) -> String {
    format!("systemctl reset-failed {unit} 2>/dev/null; systemctl restart {unit}")
}

fn health_of(config: &HealthConfig) -> Result<Health, String> {
    let check = match (&config.url, &config.command) {
        (Some(url), None) => {
            line("health.url", url)?;
            http(url)?
        }
        (None, Some(command)) => {
            line("health.command", command)?;
            HealthCheck::Command(command.clone())
        }
        _ => return Err("`health` needs `url` or `command`, one of both".to_owned()),
    };
    Ok(Health {
        check,
        deadline: config.deadline(),
    })
}

fn http(text: &str) -> Result<HealthCheck, String> {
    let wrong = |why: &str| format!("`health.url` {why}: `{}`", text.escape_debug());
    let url = Url::parse(text).map_err(|error| wrong(&format!("is no address ({error})")))?;
    if url.scheme() != "http" {
        return Err(wrong(
            "must begin with `http:`; use `health.command` for anything else",
        ));
    }
    let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    Ok(HealthCheck::Http {
        host: host.to_owned(),
        port: url.port_or_known_default().unwrap_or(80),
        path: format!("{}{query}", url.path()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TargetConfig {
        TargetConfig {
            hosts: vec!["ada@web1.test:2222".to_owned(), "web2".to_owned()],
            directory: Some("/srv/web/".to_owned()),
            unit: Some("web.service".to_owned()),
            ..TargetConfig::default()
        }
    }

    #[test]
    fn what_is_configured_is_resolved() {
        let mut one = config();
        one.user = Some("deploy".to_owned());
        one.health = Some(HealthConfig {
            url: Some("http://localhost:8000/health?a=b".to_owned()),
            ..HealthConfig::default()
        });
        let target = Target::new("prod", &one).expect("target");
        let users: Vec<_> = target
            .hosts
            .iter()
            .map(|host| host.user.as_deref())
            .collect();
        assert_eq!(users, [Some("ada"), Some("deploy")]);
        assert_eq!(
            (target.hosts[0].port, target.hosts[1].port),
            (Some(2222), None)
        );
        assert_eq!(target.directory, "/srv/web");
        assert_eq!(
            target.reload.as_deref(),
            Some("systemctl reset-failed web.service 2>/dev/null; systemctl restart web.service")
        );
        let expected = HealthCheck::Http {
            host: "localhost".to_owned(),
            port: 8000,
            path: "/health?a=b".to_owned(),
        };
        assert_eq!(target.health.expect("health").check, expected);
        assert_eq!(target.keep, 5);
        let v6 = Host::parse("[2001:db8::1]:22", None).expect("host");
        assert_eq!((v6.name.as_str(), v6.port), ("2001:db8::1", Some(22)));
        assert_eq!(Host::parse("2001:db8::1", None).expect("host").port, None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        type Change = fn(&mut TargetConfig);
        let cases: [(&str, Change); 14] = [
            ("`hosts` or `registry` is missing", |c| c.hosts.clear()),
            ("a target is one of both", |c| {
                c.registry = Some("r.example/a".to_owned())
            }),
            ("twice", |c| c.hosts = vec!["a".into(), "a".into()]),
            ("`hosts`", |c| c.hosts = vec!["-oProxyCommand=x".into()]),
            ("`hosts`", |c| c.hosts = vec!["a b".into()]),
            ("`hosts`", |c| c.hosts = vec!["a:99999".into()]),
            ("`directory` is missing", |c| c.directory = None),
            ("below `/`", |c| c.directory = Some("srv".into())),
            ("below `/`", |c| c.directory = Some("/".into())),
            ("below `/`", |c| c.directory = Some("/a/../b".into())),
            ("`$`", |c| c.directory = Some("/a$b".into())),
            ("unit", |c| c.unit = Some("web; rm".into())),
            ("one line", |c| c.reload = Some("a\nb".into())),
            ("one of both", |c| c.health = Some(HealthConfig::default())),
        ];
        for (said, change) in cases {
            let mut one = config();
            change(&mut one);
            let error = Target::new("prod", &one).expect_err(said).to_string();
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(
            http("https://a.test/")
                .expect_err("https")
                .contains("http:")
        );
    }
}
