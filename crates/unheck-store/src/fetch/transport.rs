//! How bytes come from somewhere: the trait and its error. Start at [`Transport`].

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use url::Url;

/// The bytes of an answer as they come.
pub type BodyStream = BoxStream<'static, Result<Bytes, TransportError>>;

/// What [`Transport::open`] gives.
pub type OpenFuture<'a> = BoxFuture<'a, Result<Body, TransportError>>;

/// Something that can read URLs.
pub trait Transport: Send + Sync {
    /// Begins to read `url` at the byte `offset`. A transport that cannot begin there begins at 0
    /// and says so in [`Body::resumed`].
    fn open<'a>(&'a self, url: &'a Url, offset: u64) -> OpenFuture<'a>;
}

/// An answer whose bytes are still to come.
pub struct Body {
    /// The size of the whole file (not only of what comes), where the server says it.
    pub total: Option<u64>,
    /// Whether the bytes begin at the offset that was asked for; at 0 otherwise.
    pub resumed: bool,
    /// The bytes.
    pub stream: BodyStream,
}

/// A URL could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// Whether asking again can help.
    pub transient: bool,
    /// How long the server wants not to be asked again.
    pub retry_after: Option<Duration>,
    /// The status of an HTTP answer; 404 for a local file that is not there.
    pub status: Option<u16>,
    /// What happened, without credentials.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// A failure that will not pass.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            transient: false,
            retry_after: None,
            status: None,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

/// A URL as it may be shown: no user, password, query (it may hold a signature) or fragment.
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    shown.set_query(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{shown}{query}")
}

/// The host of a URL with its port where it has one, for messages.
pub(crate) fn host_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) if !host.is_empty() => host.to_owned(),
        _ => redacted(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        let url = Url::parse("https://me:secret@h.test:81/a/b?sig=secret#secret").expect("url");
        assert_eq!(redacted(&url), "https://h.test:81/a/b?…");
        assert_eq!(host_of(&url), "h.test:81");
        let url = Url::parse("file:///a/b").expect("url");
        assert_eq!(host_of(&url), "file:///a/b");
    }
}
