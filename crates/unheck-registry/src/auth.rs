//! Who we are for a registry: challenges, tokens, and who may see the login.
//!
//! RFC 9110 section 11 (challenges), RFC 7617 (`Basic`), RFC 6750 (`Bearer`), and the token
//! specifications of the distribution project (`docs/spec/auth/token.md`, `oauth.md`). Nothing is sent
//! before the registry asks. Start at `Authorizer`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::credentials::{Credentials, Login};
use crate::error::{Cause, tame};
use crate::http::{Http, same_origin};
use crate::reference::Repository;

/// The longest answer of a token server, in bytes.
const MAX_TOKEN: u64 = 256 << 10;
/// A token without a time to live has this (token.md, `expires_in`).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// Two tokens are asked for again this much before they end.
const MARGIN: Duration = Duration::from_secs(10);

/// What the user allows: logins, and exceptions from the rules on who may be talked to.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Where logins are found.
    pub credentials: Credentials,
    /// Registries (host with port) that are spoken to over plain HTTP.
    pub insecure: BTreeSet<String>,
    /// Hosts that may get the login of any registry which names them as its token server.
    pub token_servers: BTreeSet<String>,
}

/// Makes the `Authorization` header of requests to one registry.
pub(crate) struct Authorizer {
    repository: Repository,
    base: Url,
    access: Access,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Read once, when the registry asks.
    login: Option<Option<Login>>,
    way: Way,
    tokens: BTreeMap<Scope, Token>,
}

/// How the registry wants to be told who we are.
#[derive(Default, Clone, PartialEq, Eq)]
enum Way {
    #[default]
    NotAsked,
    Basic,
    Bearer {
        realm: Url,
        service: Option<String>,
    },
}

/// What a request needs to be allowed to do: `repository:NAME:ACTIONS`, sorted.
pub(crate) type Scope = BTreeSet<String>;

struct Token {
    value: String,
    until: Instant,
}

/// One challenge of `WWW-Authenticate`: the scheme in small letters, and its parameters.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: BTreeMap<String, String>,
}

impl Authorizer {
    pub(crate) fn new(repository: Repository, base: Url, access: Access) -> Self {
        Self {
            repository,
            base,
            access,
            state: Mutex::default(),
        }
    }

    /// The header for a request, as far as is known what the registry wants.
    pub(crate) async fn header(
        &self,
        http: &Http,
        scope: &Scope,
    ) -> Result<Option<HeaderValue>, Cause> {
        let mut state = self.state.lock().await;
        self.make(http, &mut state, scope).await
    }

    /// The header after the registry answered 401 to a request with the header `sent`.
    pub(crate) async fn answer(
        &self,
        http: &Http,
        scope: &Scope,
        (sent, headers): (Option<&HeaderValue>, &HeaderMap),
    ) -> Result<HeaderValue, Cause> {
        let mut state = self.state.lock().await;
        if let Some(now) = self.make(http, &mut state, scope).await?
            && Some(&now) != sent
        {
            // Another request was told meanwhile.
            return Ok(now);
        }
        state.tokens.remove(scope);
        state.way = way(headers)?;
        let header = self.make(http, &mut state, scope).await?;
        match header.filter(|header| Some(header) != sent) {
            Some(header) => Ok(header),
            None => Err(refused(state.login.as_ref())),
        }
    }

    /// What to say when a request was refused although all was done; `cause` is the answer.
    pub(crate) async fn refusal(&self, cause: Cause) -> Cause {
        let detail = match cause {
            Cause::Status { detail, .. } => detail,
            other => return other,
        };
        match refused(self.state.lock().await.login.as_ref()) {
            Cause::Refused { who, .. } => Cause::Refused { who, detail },
            other if detail.is_empty() => other,
            _ => Cause::Refused {
                who: "a request without login".to_owned(),
                detail,
            },
        }
    }

    async fn make(
        &self,
        http: &Http,
        state: &mut State,
        scope: &Scope,
    ) -> Result<Option<HeaderValue>, Cause> {
        if state.way == Way::NotAsked {
            return Ok(None);
        }
        if state.login.is_none() {
            state.login = Some(self.access.credentials.find(&self.repository).await?);
        }
        let login = state.login.clone().flatten();
        match (&state.way, login) {
            (Way::NotAsked, _) => Ok(None),
            (_, Some(Login::Bearer(token))) => secret(&format!("Bearer {token}")).map(Some),
            (Way::Basic, Some(Login::Password { user, password })) => {
                basic(&user, &password).map(Some)
            }
            (Way::Basic, Some(Login::Identity(_)) | None) => Err(Cause::NoLogin),
            (Way::Bearer { realm, service }, login) => {
                let known = state.tokens.get(scope);
                if let Some(token) = known.filter(|token| Instant::now() < token.until) {
                    return secret(&format!("Bearer {}", token.value)).map(Some);
                }
                let wanted = (realm, service.as_deref(), scope);
                let token = self.fetch(http, wanted, login.as_ref()).await?;
                let header = secret(&format!("Bearer {}", token.value))?;
                state.tokens.insert(scope.clone(), token);
                Ok(Some(header))
            }
        }
    }

    async fn fetch(
        &self,
        http: &Http,
        (realm, service, scope): (&Url, Option<&str>, &Scope),
        login: Option<&Login>,
    ) -> Result<Token, Cause> {
        let shown = authority(realm);
        self.may_ask(realm)?;
        if login.is_some() && !self.may_see_login(realm) {
            return Err(Cause::ForeignTokenServer { realm: shown });
        }
        let request = token_request(http, (realm, service, scope), login)?;
        let failed = |why: String| Cause::Token {
            realm: shown.clone(),
            why,
        };
        let answer = http.send(request).await?;
        let status = answer.status();
        if matches!(status.as_u16(), 401 | 403) {
            return Err(match login {
                Some(login) => Cause::Refused {
                    who: login.who(),
                    detail: String::new(),
                },
                None => Cause::NoLogin,
            });
        }
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(http.refusal(answer).await);
        }
        if !status.is_success() {
            return Err(failed(format!("it answers `{status}`")));
        }
        let body = http.body(answer, MAX_TOKEN).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| failed("its answer is not the JSON that it should be".to_owned()))?;
        let value = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty());
        let value = value.ok_or_else(|| failed("there is none in its answer".to_owned()))?;
        let life = answer.expires_in.map_or(DEFAULT_LIFE, |seconds| {
            // Not less: a token server with a wrong clock would be asked for each request.
            Duration::from_secs(seconds.clamp(1, 86_400))
        });
        let until = Instant::now() + life.saturating_sub(MARGIN.min(life / 2));
        Ok(Token { value, until })
    }

    /// Plain HTTP only where the user allowed it.
    fn may_ask(&self, realm: &Url) -> Result<(), Cause> {
        let shown = authority(realm);
        match realm.scheme() {
            "https" => Ok(()),
            "http" if same_origin(realm, &self.base) || self.access.insecure.contains(&shown) => {
                Ok(())
            }
            "http" => Err(Cause::Redirect {
                to: tame(&format!("http://{shown}")),
                why: "its token server would be asked over plain HTTP",
            }),
            _ => Err(Cause::Redirect {
                to: tame(realm.scheme()),
                why: "its token server speaks no HTTP",
            }),
        }
    }

    /// The registry's own host may, and its relatives: `auth.x.example` and `x.example` for
    /// `registry.x.example`, as the public registries have it.
    fn may_see_login(&self, realm: &Url) -> bool {
        let host = self.repository.api_host();
        let shown = authority(realm);
        same_origin(realm, &self.base)
            || self.access.token_servers.contains(&shown)
            || (realm.scheme() == "https" && realm.port().is_none() && is_relative(host, &shown))
    }
}

/// Whether two host names are siblings, or the second is the parent of the first. What they share must
/// have two labels, and more below the country codes where registries of names have second levels.
fn is_relative(host: &str, other: &str) -> bool {
    let is_name =
        |text: &str| !text.contains([':', '[']) && text.parse::<std::net::IpAddr>().is_err();
    if !is_name(host) || !is_name(other) {
        return false;
    }
    let Some((_, parent)) = host.split_once('.') else {
        return false;
    };
    let labels: Vec<&str> = parent.split('.').collect();
    let second_level = [
        "co", "com", "net", "org", "gov", "edu", "ac", "ne", "or", "go", "gob", "nom",
    ];
    let public = match labels[..] {
        [] | [_] => true,
        // `co.uk`, `com.au`: what is below belongs to different people.
        [second, country] => country.len() == 2 && second_level.contains(&second),
        _ => false,
    };
    let sibling = other.split_once('.').map(|(_, parent)| parent);
    !public && (other == parent || sibling == Some(parent))
}

fn token_request(
    http: &Http,
    (realm, service, scope): (&Url, Option<&str>, &Scope),
    login: Option<&Login>,
) -> Result<reqwest::RequestBuilder, Cause> {
    if let Some(Login::Identity(token)) = login {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("service", service.unwrap_or_default());
        form.append_pair("client_id", "unheck");
        form.append_pair("refresh_token", token);
        form.append_pair(
            "scope",
            &scope.iter().cloned().collect::<Vec<_>>().join(" "),
        );
        let request = http.post(realm.clone()).body(form.finish());
        return Ok(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"));
    }
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        for scope in scope {
            query.append_pair("scope", scope);
        }
    }
    let request = http.get(url);
    Ok(match login {
        Some(Login::Password { user, password }) => {
            request.header(AUTHORIZATION, basic(user, password)?)
        }
        _ => request,
    })
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

fn refused(login: Option<&Option<Login>>) -> Cause {
    match login {
        Some(Some(login)) => Cause::Refused {
            who: login.who(),
            detail: String::new(),
        },
        _ => Cause::NoLogin,
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, Cause> {
    secret(&format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

fn secret(text: &str) -> Result<HeaderValue, Cause> {
    let made = HeaderValue::from_str(text);
    let mut value = made.map_err(|_| Cause::Malformed {
        why: "the token has characters that no header may have".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Host and port as a reference has them.
pub(crate) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        _ => String::new(),
    }
}

/// The way in that the registry offers; the token is preferred.
fn way(headers: &HeaderMap) -> Result<Way, Cause> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        found.extend(value.to_str().map(challenges).unwrap_or_default());
    }
    for challenge in &found {
        if challenge.scheme == "bearer"
            && let Some(realm) = challenge.parameters.get("realm")
        {
            let realm = Url::parse(realm).map_err(|_| Cause::Malformed {
                why: format!("its token server `{}` is no address", tame(realm)),
            })?;
            let service = challenge.parameters.get("service").cloned();
            return Ok(Way::Bearer { realm, service });
        }
    }
    match found.iter().any(|challenge| challenge.scheme == "basic") {
        true => Ok(Way::Basic),
        false => Err(Cause::UnknownChallenge),
    }
}

/// The challenges of one header (RFC 9110 section 11.6.1): schemes with parameters, all of it
/// separated by commas. What is not understood is left out.
fn challenges(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', ',', '=', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let trimmed = after.trim_start_matches([' ', '\t']);
        match trimmed.strip_prefix('=') {
            Some(value) if !word.is_empty() => {
                let (value, after) = parameter_value(value.trim_start());
                if let Some(last) = found.last_mut() {
                    last.parameters.insert(word.to_ascii_lowercase(), value);
                }
                rest = after;
            }
            Some(value) => rest = value,
            None => {
                if !word.is_empty() {
                    found.push(Challenge {
                        scheme: word.to_ascii_lowercase(),
                        parameters: BTreeMap::new(),
                    });
                }
                rest = trimmed;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    found
}

/// A token or a quoted string with its escapes, and what follows.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', ',', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_the_rfc_writes_them() {
        let text = r#"Negotiate, Bearer realm="https://a.example/t?x=\"1\"",service=s, scope="a,b" , Basic realm=x"#;
        let found = challenges(text);
        let schemes: Vec<&str> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "bearer", "basic"]);
        let bearer = &found[1].parameters;
        assert_eq!(bearer["realm"], r#"https://a.example/t?x="1""#);
        assert_eq!(
            (bearer["service"].as_str(), bearer["scope"].as_str()),
            ("s", "a,b")
        );
        for odd in [
            "",
            ",,",
            "=",
            "Bearer",
            "Bearer =x",
            "Bearer realm=\"",
            "a=b",
            "\"\"",
        ] {
            drop(challenges(odd));
        }
    }

    #[test]
    fn a_login_goes_to_relatives_of_the_registry_only() {
        let cases = [
            ("registry-1.docker.io", "auth.docker.io", true),
            ("registry.gitlab.example", "gitlab.example", true),
            ("r.team.co.uk", "auth.team.co.uk", true),
            ("team.co.uk", "evil.co.uk", false),
            ("team.example", "evil.example", false),
            ("r.team.example", "auth.other.example", false),
            ("r.team.example", "r.team.example.evil.example", false),
            ("127.0.0.1", "126.0.0.1", false),
            ("10.0.0.1:5000", "10.0.0.1:5001", false),
            ("localhost", "localhost", false),
        ];
        for (host, other, expected) in cases {
            assert_eq!(is_relative(host, other), expected, "{host} {other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_reader_fail(text in "[ -~]{0,80}") {
            drop(challenges(&text));
        }
    }
}
