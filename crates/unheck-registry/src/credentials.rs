//! Logins as Docker and podman keep them. Start at [`Credentials::add_file`], then [`Credentials::find`].
//!
//! Reads what it is given and runs credential helpers; where the files are is the caller's knowledge.
//! A login is found for a repository and never shown: `Debug` of everything here hides secrets.
//!
//! Formats: Docker's `config.json` (`auths`, `credHelpers`, `credsStore`), `containers-auth.json(5)`
//! with its keys of host and path, the protocol of `docker-credential-helpers`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::reference::Repository;

/// The longest file of logins that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// How long a helper may take; it may ask the user to unlock something.
const HELPER_TIME: Duration = Duration::from_secs(60);
/// The most that a helper may answer, in bytes.
const HELPER_ANSWER: u64 = 64 << 10;
/// What docker and its helpers call Docker Hub.
const HUB: &str = "docker.io";
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// How to show who one is.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Password {
        /// The user.
        user: String,
        /// The password or access token.
        password: String,
    },
    /// A token to be exchanged for others (OAuth 2.0 refresh token).
    Identity(String),
    /// A token that is sent as it is.
    Bearer(String),
}

/// All that may hold a login, the first file first.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<AuthFile>,
}

#[derive(Debug, Clone, Deserialize)]
struct AuthFile {
    #[serde(skip)]
    path: PathBuf,
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// A login could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is not what Docker or podman writes.
    #[error("`{path}` is no file of registry logins, see its line {line}, column {column}")]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on. The parser's own message is not kept: it may quote a secret.
        line: usize,
        /// The column, from 1 on.
        column: usize,
    },
    /// The file is far too long.
    #[error("`{path}` has more than {MAX_FILE} bytes, which no file of registry logins has")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// An entry that is neither empty nor a login.
    #[error("`{path}` has a login for `{host}` that cannot be read: {why}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The key.
        host: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A helper cannot be run.
    #[error("cannot run `docker-credential-{name}`, which `{path}` names for `{host}`")]
    Helper {
        /// The helper.
        name: String,
        /// The file that names it.
        path: PathBuf,
        /// The registry.
        host: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A helper failed.
    #[error("`docker-credential-{name}` gives no login for `{host}`: {why}")]
    HelperAnswer {
        /// The helper.
        name: String,
        /// The registry.
        host: String,
        /// What it said, or how it ended.
        why: String,
    },
}

impl Credentials {
    /// Adds a file, asked after those that are there already.
    ///
    /// # Errors
    /// It is not such a file.
    pub fn add_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), CredentialsError> {
        let path = path.to_owned();
        if bytes.len() > MAX_FILE {
            return Err(CredentialsError::TooLong { path });
        }
        match serde_json::from_slice::<AuthFile>(bytes) {
            Ok(file) => {
                self.files.push(AuthFile { path, ..file });
                Ok(())
            }
            Err(error) => Err(CredentialsError::File {
                path,
                line: error.line(),
                column: error.column(),
            }),
        }
    }

    /// The login for a repository, where there is one. In each file the registry's own helper is
    /// asked first, then the entry with the longest key, then the helper for all registries.
    ///
    /// # Errors
    /// An entry cannot be read, or a helper fails in another way than having no login.
    pub async fn find(&self, repository: &Repository) -> Result<Option<Login>, CredentialsError> {
        for file in &self.files {
            if let Some(login) = file.find(repository).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

impl AuthFile {
    async fn find(&self, repository: &Repository) -> Result<Option<Login>, CredentialsError> {
        let host = repository.host();
        let own = self.helpers.iter().find(|(key, _)| normal(key) == host);
        if let Some((_, name)) = own
            && let Some(login) = self.ask(name, host).await?
        {
            return Ok(Some(login));
        }
        let full = repository.to_string();
        let fits = |key: &str| {
            let rest = full.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let keys = self
            .auths
            .iter()
            .map(|(key, entry)| (normal(key), key, entry));
        let mut found: Vec<_> = keys.filter(|(normal, ..)| fits(normal)).collect();
        found.sort_by_key(|(normal, ..)| std::cmp::Reverse(normal.len()));
        for (_, key, entry) in found {
            if let Some(login) = self.login(key, entry)? {
                return Ok(Some(login));
            }
        }
        match self.store.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => self.ask(name, host).await,
            None => Ok(None),
        }
    }

    fn login(&self, key: &str, entry: &Entry) -> Result<Option<Login>, CredentialsError> {
        let wrong = |why| CredentialsError::Entry {
            path: self.path.clone(),
            host: key.chars().take(200).collect(),
            why,
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&entry.registrytoken) {
            return Ok(Some(Login::Bearer(token)));
        }
        if let Some(token) = given(&entry.identitytoken) {
            return Ok(Some(Login::Identity(token)));
        }
        if let Some(encoded) = given(&entry.auth) {
            let bytes = STANDARD.decode(encoded.trim());
            let bytes = bytes.map_err(|_| wrong("`auth` is not base64"))?;
            let text = String::from_utf8(bytes).map_err(|_| wrong("`auth` is not UTF-8"))?;
            let split = text.split_once(':');
            let (user, password) = split.ok_or_else(|| wrong("`auth` has no colon"))?;
            // Old versions of docker padded the password.
            let password = password.trim_matches('\0').to_owned();
            let user = user.to_owned();
            return Ok(Some(Login::Password { user, password }));
        }
        let pair = given(&entry.username).zip(given(&entry.password));
        Ok(pair.map(|(user, password)| Login::Password { user, password }))
    }

    /// Asks a helper; `None` when it has no login.
    async fn ask(&self, name: &str, host: &str) -> Result<Option<Login>, CredentialsError> {
        let failed = |why: String| CredentialsError::HelperAnswer {
            name: name.to_owned(),
            host: host.to_owned(),
            why,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(failed("its name is not one of a program".to_owned()));
        }
        let server = if host == HUB { HUB_KEY } else { host };
        let asked = tokio::time::timeout(HELPER_TIME, run_helper(name, server)).await;
        let seconds = HELPER_TIME.as_secs();
        let asked = asked.map_err(|_| failed(format!("no answer within {seconds} seconds")))?;
        let (success, answer) = asked.map_err(|source| CredentialsError::Helper {
            name: name.to_owned(),
            path: self.path.clone(),
            host: host.to_owned(),
            source,
        })?;
        if !success {
            let text = String::from_utf8_lossy(&answer);
            // The one failure that the protocol gives a meaning.
            if text.contains("credentials not found") {
                return Ok(None);
            }
            let line = text.lines().next().unwrap_or("it failed without a word");
            return Err(failed(
                line.chars()
                    .take(200)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            ));
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            username: String,
            secret: String,
        }
        let answer: Answer = serde_json::from_slice(&answer)
            .map_err(|_| failed("its answer is not the JSON that it should be".to_owned()))?;
        Ok(match (answer.username.as_str(), answer.secret) {
            (_, secret) if secret.is_empty() => None,
            ("<token>", secret) => Some(Login::Identity(secret)),
            (user, password) => Some(Login::Password {
                user: user.to_owned(),
                password,
            }),
        })
    }
}

/// Runs `docker-credential-NAME get`; whether it succeeded, and what it wrote.
async fn run_helper(name: &str, server: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read what it is asked says so by its answer.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(HELPER_ANSWER).read_to_end(&mut answer).await?;
    }
    Ok((child.wait().await?.success(), answer))
}

/// A key as host or host and path: docker writes URLs of its version 1 API too.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or(key.strip_prefix("http://"));
    let bare = match bare {
        Some(url) => url.split('/').next().unwrap_or(url),
        None => key.trim_end_matches('/'),
    };
    let bare = bare
        .strip_suffix("/v1")
        .or(bare.strip_suffix("/v2"))
        .unwrap_or(bare);
    let (host, path) = match bare.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (bare, String::new()),
    };
    match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => format!("{HUB}{path}"),
        host => format!("{host}{path}"),
    }
}

impl Login {
    /// Who this is, for messages; nothing secret.
    pub fn who(&self) -> String {
        match self {
            Self::Password { user, .. } => {
                let user: String = user.chars().take(100).collect();
                format!("user `{}`", user.escape_debug())
            }
            Self::Identity(_) => "the identity token".to_owned(),
            Self::Bearer(_) => "the registry token".to_owned(),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}, secret hidden)", self.who())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    fn credentials(texts: &[&str]) -> Credentials {
        let mut all = Credentials::default();
        for text in texts {
            all.add_file(Path::new("auth.json"), text.as_bytes())
                .unwrap();
        }
        all
    }

    fn found(all: &Credentials, reference: &str) -> Result<Option<Login>, CredentialsError> {
        let reference: Reference = reference.parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(all.find(reference.repository()))
    }

    fn password(user: &str, password: &str) -> Login {
        Login::Password {
            user: user.into(),
            password: password.into(),
        }
    }

    #[test]
    fn the_longest_key_wins_and_a_host_is_no_prefix_of_another() {
        // `dTpw` is `u:p`, `YTpiOmM=` is `a:b:c`.
        let all = credentials(&[r#"{"auths": {
            "r.example": {"auth": "dTpw"}, "r.example/team": {"auth": "YTpiOmM="},
            "r.example/team/none": {}, "https://hub.example/v1/": {"username": "x", "password": "y"}}}"#]);
        let cases = [
            ("r.example/web", Some(password("u", "p"))),
            ("r.example/team/web", Some(password("a", "b:c"))),
            ("r.example/team/none", Some(password("a", "b:c"))),
            ("r.example/teams/web", Some(password("u", "p"))),
            ("hub.example/web", Some(password("x", "y"))),
            ("r.example:5000/web", None),
            ("r.example.org/web", None),
            ("web", None),
        ];
        for (reference, expected) in cases {
            assert_eq!(found(&all, reference).unwrap(), expected, "{reference}");
        }
    }

    #[test]
    fn tokens_the_hub_s_old_key_and_further_files_are_known() {
        let all = credentials(&[
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw", "identitytoken": "t"}}}"#,
            r#"{"auths": {"docker.io": {"auth": "dTpw"}, "r.example": {"registrytoken": "b"}}}"#,
        ]);
        assert_eq!(
            found(&all, "web").unwrap(),
            Some(Login::Identity("t".into()))
        );
        assert_eq!(
            found(&all, "r.example/a").unwrap(),
            Some(Login::Bearer("b".into()))
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_without_the_secret() {
        let secret = "c2VjcmV0"; // `secret`, without a colon
        let all = credentials(&[&format!(
            r#"{{"auths": {{"r.example": {{"auth": "{secret}"}}}}}}"#
        )]);
        let error = found(&all, "r.example/a").unwrap_err();
        insta::assert_snapshot!(error, @"`auth.json` has a login for `r.example` that cannot be read: `auth` has no colon");
        assert!(!format!("{all:?}{:?}", password("u", "secret")).contains("secret\""));
        assert!(!format!("{all:?}").contains(secret));
        let mut all = Credentials::default();
        let error = all.add_file(Path::new("a.json"), br#"{"auths": {"x": {"auth": 1234}}}"#);
        let error = error.unwrap_err();
        insta::assert_snapshot!(error, @"`a.json` is no file of registry logins, see its line 1, column 29");
    }

    #[test]
    fn a_helper_that_is_not_there_or_has_an_odd_name_is_named() {
        let all = credentials(&[r#"{"credHelpers": {"r.example": "no-such-helper-anywhere"}}"#]);
        let error = found(&all, "r.example/a").unwrap_err();
        insta::assert_snapshot!(error, @"cannot run `docker-credential-no-such-helper-anywhere`, which `auth.json` names for `r.example`");
        assert_eq!(found(&all, "other.example/a").unwrap(), None);
        let all = credentials(&[r#"{"credsStore": "../../bin/sh"}"#]);
        let error = found(&all, "r.example/a").unwrap_err();
        insta::assert_snapshot!(error, @"`docker-credential-../../bin/sh` gives no login for `r.example`: its name is not one of a program");
    }
}
