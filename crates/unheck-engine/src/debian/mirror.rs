//! Where Debian's files are fetched from.

use url::Url;

use crate::explain::{Class, Explain};
use crate::input::Mirrors;
use crate::lock::Archive;

/// Base addresses of the archives, each the directory that holds `dists/` and `pool/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The main archive.
    pub debian: Url,
    /// The security archive.
    pub security: Url,
    /// Old states by time stamp, where one is configured.
    pub snapshot: Option<Url>,
}

/// A mirror's address is wrong.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not the address of a Debian mirror")]
pub struct MirrorError {
    /// What was given.
    text: String,
    /// Why it is none.
    #[source]
    source: url::ParseError,
}

impl Explain for MirrorError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "give the URL of the directory that holds `dists/`: `--mirror https://HOST/debian`"
                .to_owned(),
        ]
    }
}

impl Mirror {
    /// Fills in what is not configured: a security archive is looked for beside the main one.
    ///
    /// # Errors
    /// [`MirrorError`] when an address is no URL.
    pub fn new(configured: &Mirrors, default: &Mirrors) -> Result<Self, MirrorError> {
        let pick =
            |one: &Option<String>, other: &Option<String>| one.clone().or_else(|| other.clone());
        let debian = directory(&pick(&configured.debian, &default.debian).unwrap_or_default())?;
        let beside = || {
            let text = debian.as_str().trim_end_matches('/');
            format!(
                "{}-security/",
                text.strip_suffix("-security").unwrap_or(text)
            )
        };
        // A security archive that was not configured goes with the main one that was.
        let default_security = if configured.debian.is_some() {
            &None
        } else {
            &default.security
        };
        let security =
            directory(&pick(&configured.security, default_security).unwrap_or_else(beside))?;
        let snapshot = pick(&configured.snapshot, &default.snapshot)
            .map(|text| directory(&text))
            .transpose()?;
        Ok(Self {
            debian,
            security,
            snapshot,
        })
    }

    /// The address of a file of an archive.
    pub fn url(&self, archive: Archive, path: &str) -> Url {
        let base = match archive {
            Archive::Debian => &self.debian,
            Archive::DebianSecurity => &self.security,
        };
        join(base, path)
    }

    /// The addresses of a package file: the mirror, then the snapshot of the suite's date.
    pub fn package_urls(&self, archive: Archive, path: &str, date: i64) -> Vec<Url> {
        let mut urls = vec![self.url(archive, path)];
        if let Some(snapshot) = &self.snapshot
            && let Ok(time) = jiff::Timestamp::from_second(date)
        {
            let stamp = time.strftime("%Y%m%dT%H%M%SZ");
            urls.push(join(
                snapshot,
                &format!("archive/{}/{stamp}/{path}", archive.directory()),
            ));
        }
        urls
    }
}

fn directory(text: &str) -> Result<Url, MirrorError> {
    let slashed = format!("{}/", text.trim_end_matches('/'));
    Url::parse(&slashed).map_err(|source| MirrorError {
        text: text.to_owned(),
        source,
    })
}

fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(debian: Option<&str>, security: Option<&str>) -> Mirrors {
        Mirrors {
            debian: debian.map(str::to_owned),
            security: security.map(str::to_owned),
            snapshot: Some("http://snap.invalid/".to_owned()),
        }
    }

    #[test]
    fn the_security_archive_goes_with_the_main_one() {
        let default = mirrors(
            Some("http://a.invalid/debian"),
            Some("http://s.invalid/debian-security"),
        );
        let mirror = Mirror::new(&Mirrors::default(), &default).expect("default");
        assert_eq!(
            mirror.security.as_str(),
            "http://s.invalid/debian-security/"
        );
        let mirror =
            Mirror::new(&mirrors(Some("http://b.invalid/debian"), None), &default).expect("own");
        assert_eq!(
            mirror.security.as_str(),
            "http://b.invalid/debian-security/"
        );
        assert!(Mirror::new(&mirrors(Some("not a url"), None), &default).is_err());
    }

    #[test]
    fn names_are_escaped_and_snapshots_go_by_date() {
        let mirror = Mirror::new(
            &Mirrors::default(),
            &mirrors(Some("http://a.invalid/debian"), None),
        )
        .expect("mirror");
        let urls = mirror.package_urls(Archive::Debian, "pool/a_1%3a2+b~c.deb", 1_789_199_741);
        let text: Vec<_> = urls.iter().map(Url::as_str).collect();
        assert_eq!(
            text,
            [
                "http://a.invalid/debian/pool/a_1%253a2+b~c.deb",
                "http://snap.invalid/archive/debian/20260912T075541Z/pool/a_1%253a2+b~c.deb"
            ]
        );
    }
}
