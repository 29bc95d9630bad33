//! What can go wrong with a registry. Start at [`RegistryError`].

use std::time::Duration;

use reqwest::StatusCode;
use unheck_base::Digest;

use crate::credentials::CredentialsError;

/// Something could not be done at a registry.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried} at `{host}`")]
pub struct RegistryError {
    /// What was tried, on what.
    pub tried: String,
    /// The host that was asked.
    pub host: String,
    /// Why not.
    #[source]
    pub cause: Box<Cause>,
}

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The connection failed or broke.
    #[error("{message}")]
    Connection {
        /// What happened.
        message: &'static str,
        /// Whether asking again may help.
        transient: bool,
        /// The cause, without addresses.
        source: reqwest::Error,
    },
    /// Nothing came, or nothing could be sent, for too long.
    #[error("nothing moved for {seconds} seconds")]
    Stalled {
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// The registry answered with a refusal.
    #[error("the registry answers `{status}`{detail}")]
    Status {
        /// The status.
        status: StatusCode,
        /// The registry's own words with a colon before them, shortened, or nothing.
        detail: String,
        /// How long it wants not to be asked again.
        retry_after: Option<Duration>,
    },
    /// Nobody is logged in.
    #[error("the registry wants a login, and there is none for it")]
    NoLogin,
    /// The login is not good, or not for this.
    #[error("the registry refuses {who}{detail}")]
    Refused {
        /// Who was named.
        who: String,
        /// The registry's own words with a colon before them, shortened, or nothing.
        detail: String,
    },
    /// The registry asks for a way to log in that is not known.
    #[error("the registry asks for a kind of login that is neither `Basic` nor `Bearer`")]
    UnknownChallenge,
    /// The registry sends the login to somebody else.
    #[error("the registry names `{realm}` as its token server; the login is not sent there")]
    ForeignTokenServer {
        /// The token server, host and port.
        realm: String,
    },
    /// The token server's answer is none.
    #[error("the token server `{realm}` gives no token: {why}")]
    Token {
        /// The token server, host and port.
        realm: String,
        /// What is wrong.
        why: String,
    },
    /// The login could not be read.
    #[error("the login cannot be read")]
    Credentials(#[from] CredentialsError),
    /// A redirect or location that is not followed.
    #[error("the registry sends us to `{to}`: {why}")]
    Redirect {
        /// Where to, without query and credentials, shortened.
        to: String,
        /// Why that is refused.
        why: &'static str,
    },
    /// More came than may come.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The registry gave or took something else.
    #[error("the registry has the digest `{found}`, not `{expected}`")]
    WrongDigest {
        /// The digest wanted.
        expected: Digest,
        /// The digest of what there is.
        found: Digest,
    },
    /// A blob or manifest has another size than it should.
    #[error("the registry has {found} bytes, not {expected}")]
    WrongSize {
        /// The size wanted, in bytes.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The answer breaks the specification.
    #[error("the registry's answer makes no sense: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// What is to be sent cannot be read here.
    #[error("what is to be sent cannot be read")]
    Local(#[source] std::io::Error),
    /// What is to be sent is damaged here.
    #[error("what is to be sent has the digest `{found}`: the local copy is damaged")]
    LocalDigest {
        /// The digest that it has.
        found: Digest,
    },
    /// An address could not be made of host and name.
    #[error("`{text}` makes no address")]
    Address {
        /// The text.
        text: String,
    },
}

impl RegistryError {
    pub(crate) fn new(tried: impl Into<String>, host: &str, cause: impl Into<Cause>) -> Self {
        Self {
            tried: tried.into(),
            host: host.to_owned(),
            cause: Box::new(cause.into()),
        }
    }

    /// Whether the registry says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(&*self.cause, Cause::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether what came is not what was asked for, so that nobody should go on with it.
    pub fn is_other_content(&self) -> bool {
        matches!(
            &*self.cause,
            Cause::WrongDigest { .. } | Cause::WrongSize { .. } | Cause::LocalDigest { .. }
        )
    }

    /// What mends it, where something does.
    pub fn hint(&self) -> Option<String> {
        let host = &self.host;
        Some(match &*self.cause {
            Cause::NoLogin | Cause::Refused { .. } => format!(
                "log in with `docker login {host}` or `podman login {host}`, or point `REGISTRY_AUTH_FILE` to the file with the login"
            ),
            Cause::ForeignTokenServer { realm } => format!(
                "if `{realm}` may have the login for `{host}`, say `--token-server {realm}`"
            ),
            Cause::Connection { message, .. } if *message == TLS => format!(
                "if this registry speaks no TLS and the network to it is trusted, say `--insecure-registry {host}`"
            ),
            Cause::Connection { .. } | Cause::Stalled { .. } => {
                "check the network, then run the same command again: what arrived is kept".to_owned()
            }
            Cause::Status { status, .. } if *status == StatusCode::NOT_FOUND => {
                "check the name: a repository that does not exist or that the login may not see looks the same".to_owned()
            }
            _ => return None,
        })
    }

    /// Whether asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match &*self.cause {
            Cause::Connection { transient, .. } => *transient,
            Cause::Stalled { .. } => true,
            Cause::Status { status, .. } => {
                matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
            }
            _ => false,
        }
    }

    /// How long the registry wants not to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match &*self.cause {
            Cause::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The message of a connection that failed in TLS, which has a hint of its own.
const TLS: &str = "no TLS connection can be made";

/// A failure of the connection.
pub(crate) fn connection(error: reqwest::Error) -> Cause {
    let error = error.without_url();
    let text = unheck_store::fetch::cause_lines(&error);
    let tls = [
        "certificate",
        "InvalidContentType",
        "HandshakeFailure",
        "corrupt message",
        "tls handshake eof",
    ];
    let is_tls = error.is_connect() && tls.iter().any(|word| text.contains(word));
    let message = if is_tls {
        TLS
    } else if error.is_timeout() {
        "the connection timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke"
    };
    Cause::Connection {
        message,
        transient: !is_tls && !error.is_builder(),
        source: error,
    }
}

/// Foreign words on one line of at most 300 characters, without anything that a terminal obeys.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed: String = text.chars().take(300).collect();
    tamed = tamed.split_whitespace().collect::<Vec<_>>().join(" ");
    tamed
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
