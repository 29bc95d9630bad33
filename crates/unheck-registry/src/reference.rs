//! References: `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`. Start at [`Reference`].
//!
//! The grammar is that of the distribution project's `reference` package, with its rules for names
//! without a host: they are Docker Hub's, and a name of one part is below `library`.

use std::fmt;
use std::str::FromStr;

use unheck_base::Digest;

/// The host that a name without one means.
const DEFAULT_HOST: &str = "docker.io";
/// Where that host answers the API: its name is not the host that serves it.
const DEFAULT_API: &str = "registry-1.docker.io";
/// The tag that a reference without tag and digest means.
const DEFAULT_TAG: &str = "latest";
const BAD_TAG: &str = "a tag has at most 128 letters, digits, `_`, `.` and `-`";
/// The longest name of a repository with its host, in bytes.
const MAX_NAME: usize = 255;

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    host: String,
    name: String,
}

/// A manifest in a registry: by tag, by digest, or by both, where the digest decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a reference such as `registry.example/team/web:1.0`: {why}")]
pub struct ReferenceError {
    /// The text, shortened.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Repository {
    /// The registry as it is written, with its port where it has one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name below the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host that answers the API of this registry.
    pub fn api_host(&self) -> &str {
        match self.host.as_str() {
            DEFAULT_HOST => DEFAULT_API,
            other => other,
        }
    }

    /// The same name with a digest.
    pub fn at(&self, digest: Digest) -> Reference {
        Reference {
            repository: self.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    /// The same name with a tag.
    ///
    /// # Errors
    /// `tag` is none.
    pub fn tagged(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(refuse(tag, BAD_TAG));
        }
        Ok(Reference {
            repository: self.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    /// Another repository of the same registry.
    ///
    /// # Errors
    /// `name` is no name of a repository.
    pub fn sibling(&self, name: &str) -> Result<Self, ReferenceError> {
        let wrong = |why| refuse(name, why);
        check_name(name).map_err(wrong)?;
        Ok(Self {
            host: self.host.clone(),
            name: name.to_owned(),
        })
    }
}

impl Reference {
    /// The repository.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, where one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one is given.
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What stands behind `/manifests/` in the API: the digest, else the tag, else `latest`.
    pub fn manifest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// The tag that a push sets: the given one, `latest` without tag and digest, else none.
    pub fn tag_to_set(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some(DEFAULT_TAG),
            (None, Some(_)) => None,
        }
    }

    /// Whether `text` names its registry: where a file could be meant as well, only then is it
    /// taken for a reference.
    pub fn names_a_host(text: &str) -> bool {
        let first = text.split_once('/').map(|(first, _)| first);
        first.is_some_and(is_host) && text.parse::<Self>().is_ok()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| refuse(text, why);
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => {
                let digest = digest.parse().map_err(|_| wrong("the digest is none"))?;
                (rest, Some(digest))
            }
            Some(_) => return Err(wrong("only sha256 digests are known")),
            None => (text, None),
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(BAD_TAG));
        }
        let (host, name) = match rest.split_once('/') {
            Some((host, name)) if is_host(host) => (host, name.to_owned()),
            Some(_) => (DEFAULT_HOST, rest.to_owned()),
            None => (DEFAULT_HOST, format!("library/{rest}")),
        };
        let host = match host {
            // Two old names of the same registry.
            "index.docker.io" | DEFAULT_API => DEFAULT_HOST.to_owned(),
            other => other.to_ascii_lowercase(),
        };
        check_host(&host).map_err(wrong)?;
        check_name(&name).map_err(wrong)?;
        if host.len() + 1 + name.len() > MAX_NAME {
            return Err(wrong("the name is longer than 255 characters"));
        }
        Ok(Self {
            repository: Repository { host, name },
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn refuse(text: &str, why: &'static str) -> ReferenceError {
    ReferenceError {
        text: text
            .chars()
            .take(200)
            .collect::<String>()
            .escape_debug()
            .to_string(),
        why,
    }
}

fn is_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost"
}

/// A name or IPv4 address, or an IPv6 address in brackets, with or without port.
fn check_host(host: &str) -> Result<(), &'static str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let digits = |port: &str| !port.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
    if port.is_some_and(|port| !digits(port)) {
        return Err("the port is none");
    }
    if let Some(inner) = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        let address = inner.parse::<std::net::Ipv6Addr>();
        return address.map(drop).map_err(|_| "the IPv6 address is none");
    }
    let label = |label: &str| {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(fine)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match name.split('.').all(label) {
        true => Ok(()),
        false => Err("the host is none"),
    }
}

/// Parts of small letters and digits, with `.`, `_`, `__` or any number of `-` inside, joined by `/`.
fn check_name(name: &str) -> Result<(), &'static str> {
    let part = |part: &str| {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut run = String::new();
        for byte in part.bytes() {
            if word(byte) {
                if !is_separator(&run) {
                    return false;
                }
                run.clear();
            } else {
                run.push(char::from(byte));
            }
        }
        run.is_empty() && part.bytes().next().is_some_and(word)
    };
    match name.split('/').all(part) {
        true => Ok(()),
        false => Err(
            "a repository's name has small letters and digits, with `.`, `_`, `__` or `-` between them",
        ),
    }
}

/// What may stand between two words of a part; nothing is fine inside a word.
fn is_separator(run: &str) -> bool {
    matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-')
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let reference: Reference = text.parse().unwrap();
        format!("{reference} | {}", reference.manifest())
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let digest = Digest::of(b"x");
        let cases = [
            ("web", "docker.io/library/web | latest".to_owned()),
            ("team/web:1", "docker.io/team/web:1 | 1".to_owned()),
            ("localhost/web", "localhost/web | latest".to_owned()),
            ("index.docker.io/a/b", "docker.io/a/b | latest".to_owned()),
            (
                "R.example:5000/a/b-c__d.e:1.0",
                "r.example:5000/a/b-c__d.e:1.0 | 1.0".to_owned(),
            ),
            ("[::1]:5000/a", "[::1]:5000/a | latest".to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
        }
        let both = format!("r.example/a:1@{digest}");
        assert_eq!(shown(&both), format!("{both} | {digest}"));
        let both: Reference = both.parse().unwrap();
        assert_eq!(both.tag_to_set(), Some("1"));
        let hub: Reference = "web".parse().unwrap();
        assert_eq!(hub.repository().api_host(), DEFAULT_API);
        let alone: Reference = format!("web@{digest}").parse().unwrap();
        assert_eq!(
            (alone.tag_to_set(), hub.tag_to_set()),
            (None, Some("latest"))
        );
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        let digest = "0".repeat(64);
        for text in [
            "",
            ":1",
            "Web",
            "web:",
            "web:-1",
            "a//b",
            "a b",
            ".x:/a",
            "x.y:0/a",
            "x.y:70000/a",
            "x.y/a_",
            "x.y/a___b",
            "x.y/a..b",
            "x.y/-a",
            "x.y/",
            "-x.y/a",
            "x..y/a",
            "[::g]/a",
            "x.y/a@sha512:00",
            "x.y/a@sha256:00",
            &format!("x.y/{}", "a".repeat(255)),
            &format!("x.y/a@sha256:{digest}@sha256:{digest}"),
            "x.y/a?b",
            "x.y/../a",
            "x.y/a%2f",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let error = "x.y/A\u{1b}[31m".parse::<Reference>().unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }

    #[test]
    fn only_a_text_with_a_host_is_taken_for_a_reference_where_a_file_may_be_meant() {
        for text in ["r.example/web", "localhost/web:1", "127.0.0.1:5000/a/b"] {
            assert!(Reference::names_a_host(text), "{text}");
        }
        for text in [
            "web",
            "dist/web",
            "./web.oci.tar",
            "../r.example/web",
            "/r.example/web",
            "web:1",
        ] {
            assert!(!Reference::names_a_host(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_again(text in "[a-z0-9.:/@_-]{1,60}") {
            if let Ok(reference) = text.parse::<Reference>() {
                assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
            }
        }
    }
}
