//! `[tool.unheck.targets.NAME]` with `registry`: start at [`RegistryTarget::new`].

use std::time::Duration;

use unheck_deploy::{HealthConfig, TargetConfig, TargetError};
use unheck_registry::{Reference, Repository};
use url::Url;

use crate::input::split_words;

/// The tag that serves where nothing is configured.
const TAG: &str = "live";
/// Longest tag that serves: the tags of releases begin with it, and have at most 128 characters.
const MAX_TAG: usize = 40;

/// A target that is a repository, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryTarget {
    /// Its name.
    pub name: String,
    /// The repository.
    pub repository: Repository,
    /// The tag that serves.
    pub tag: String,
    /// How it is told that a release serves.
    pub health: Option<WebHealth>,
    /// The words of a command that must end well in a new image before it counts as deployed.
    pub smoke: Option<Vec<String>>,
    /// Targets of `check` that an image must run on before it is deployed.
    pub require: Vec<String>,
    /// How many releases `prune` keeps.
    pub keep: u32,
}

/// A health check from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebHealth {
    /// What is asked; 200 to 399 is healthy.
    pub url: Url,
    /// How long, again and again.
    pub deadline: Duration,
}

impl RegistryTarget {
    /// Checks what is configured.
    ///
    /// # Errors
    /// [`TargetError`] for the first key that cannot be used.
    pub fn new(name: &str, config: &TargetConfig) -> Result<Self, TargetError> {
        let failed = |problem: String| TargetError {
            target: name.to_owned(),
            problem,
        };
        let registry = config.registry.as_deref().unwrap_or_default();
        if let Some(key) = stranger(config) {
            return Err(failed(format!(
                "`{key}` is for hosts, and this target is a `registry`"
            )));
        }
        let shown = registry.escape_debug();
        let reference: Reference = registry
            .parse()
            .map_err(|_| failed(format!("`registry` is not `HOST/NAME`: `{shown}`")))?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(failed(format!(
                "`registry` is a repository, without tag and digest: `{shown}`"
            )));
        }
        let repository = reference.repository().clone();
        let tag = config.tag.clone().unwrap_or_else(|| TAG.to_owned());
        if tag.len() > MAX_TAG || repository.tagged(&tag).is_err() {
            return Err(failed(format!(
                "`tag` must have at most {MAX_TAG} letters, digits, `_`, `.` and `-`: `{}`",
                tag.escape_debug()
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            repository,
            tag,
            health: config
                .health
                .as_ref()
                .map(health)
                .transpose()
                .map_err(failed)?,
            smoke: config
                .smoke
                .as_deref()
                .map(command)
                .transpose()
                .map_err(failed)?,
            require: config.require.clone(),
            keep: config.keep(),
        })
    }

    /// The tag of what served before.
    pub(super) fn previous_tag(&self) -> String {
        format!("{}-previous", self.tag)
    }

    /// The tag of the record.
    pub(super) fn record_tag(&self) -> String {
        format!("{}-releases", self.tag)
    }

    /// The tag that keeps a release.
    pub(super) fn release_tag(&self, id: &str) -> String {
        let tag = format!("{}-{id}", self.tag);
        match tag.len() {
            0..=128 => tag,
            // The digest at its end is what tells releases apart.
            len => format!("{}-{}", self.tag, &tag[len - 80..].trim_start_matches('-')),
        }
    }
}

/// A key that says nothing about a registry.
fn stranger(config: &TargetConfig) -> Option<&'static str> {
    let given = [
        ("hosts", !config.hosts.is_empty()),
        ("directory", config.directory.is_some()),
        ("user", config.user.is_some()),
        ("unit", config.unit.is_some()),
        ("reload", config.reload.is_some()),
        ("one-host-first", config.one_host_first),
        ("listen", !config.listen.is_empty()),
        ("arguments", !config.arguments.is_empty()),
    ];
    given
        .into_iter()
        .find_map(|(key, given)| given.then_some(key))
}

/// Words with the quotes of a shell: an image has none that could expand more.
fn command(line: &str) -> Result<Vec<String>, String> {
    let words =
        split_words(line).filter(|words| words.first().is_some_and(|word| !word.is_empty()));
    let fits = |words: &Vec<String>| !words.iter().any(|word| word.contains('\0'));
    words.filter(fits).ok_or_else(|| {
        let shown = line.escape_debug();
        format!("`smoke` of a `registry` must be a command and its arguments, every quote closed: `{shown}`")
    })
}

fn health(config: &HealthConfig) -> Result<WebHealth, String> {
    let (Some(text), None) = (&config.url, &config.command) else {
        return Err("`health` of a `registry` needs `url`, and has no `command`".to_owned());
    };
    let shown = text.escape_debug();
    let url = Url::parse(text)
        .map_err(|error| format!("`health.url` is no address ({error}): `{shown}`"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!(
            "`health.url` must begin with `http:` or `https:`: `{shown}`"
        ));
    }
    Ok(WebHealth {
        url,
        deadline: config.deadline(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TargetConfig {
        TargetConfig {
            registry: Some("registry.example:5000/team/web".to_owned()),
            ..TargetConfig::default()
        }
    }

    #[test]
    fn what_is_configured_is_resolved() {
        let target = RegistryTarget::new("prod", &config()).expect("target");
        assert_eq!(
            target.repository.to_string(),
            "registry.example:5000/team/web"
        );
        assert_eq!(
            (target.tag.as_str(), target.keep, target.health.is_none()),
            ("live", 5, true)
        );
        let smoke = TargetConfig {
            smoke: Some("python3 -c 'import shop'".to_owned()),
            ..config()
        };
        let smoke = RegistryTarget::new("prod", &smoke).expect("target").smoke;
        assert_eq!(smoke.expect("a command"), ["python3", "-c", "import shop"]);
        let long = format!("{}-0123456789ab", "x".repeat(200));
        let tag = target.release_tag(&long);
        assert!(tag.len() <= 128 && tag.ends_with("-0123456789ab"), "{tag}");
        assert_eq!(target.release_tag("web-1-0123"), "live-web-1-0123");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        type Change = fn(&mut TargetConfig);
        let cases: [(&str, Change); 9] = [
            ("not `HOST/NAME`", |c| c.registry = Some("a b".into())),
            ("without tag", |c| c.registry = Some("r.example/a:1".into())),
            ("`tag` must", |c| c.tag = Some("a b".into())),
            ("`hosts` is for hosts", |c| c.hosts = vec!["a".into()]),
            ("`reload` is for hosts", |c| c.reload = Some("x".into())),
            ("every quote closed", |c| c.smoke = Some("a 'b".into())),
            ("every quote closed", |c| c.smoke = Some(" ".into())),
            ("needs `url`", |c| c.health = Some(HealthConfig::default())),
            ("must begin with", |c| {
                c.health = Some(HealthConfig {
                    url: Some("file:///etc/passwd".into()),
                    ..HealthConfig::default()
                });
            }),
        ];
        for (said, change) in cases {
            let mut one = config();
            change(&mut one);
            let error = RegistryTarget::new("prod", &one)
                .expect_err(said)
                .to_string();
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
