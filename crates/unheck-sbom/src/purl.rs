//! Package URLs (package-url specification, ECMA-427): names that scanners look advisories up by.
//! Start at [`pypi`] and [`deb`].

use std::fmt::Write as _;

use unheck_base::Digest;

/// `pkg:pypi/NAME@VERSION`: the name in its normalised form.
pub fn pypi(name: &str, version: &str) -> String {
    let name = name.to_lowercase().replace('_', "-");
    format!("pkg:pypi/{}@{}", encoded(&name), encoded(version))
}

/// `pkg:deb/debian/NAME@VERSION?arch=…&distro=…`: the version as Debian writes it, epoch and revision
/// included; `distro` is `debian-13` for the release 13.
pub fn deb(name: &str, version: &str, architecture: &str, release: Option<&str>) -> String {
    let mut purl = format!(
        "pkg:deb/debian/{}@{}?arch={}",
        encoded(&name.to_lowercase()),
        encoded(version),
        encoded(architecture)
    );
    if let Some(release) = release {
        purl.push_str("&distro=debian-");
        purl.push_str(&encoded(release));
    }
    purl
}

/// `pkg:oci/NAME@sha256:…?repository_url=HOST/PATH/NAME` for an image: the name is the last part of its repository.
pub fn oci(repository: &str, manifest: &Digest, host: Option<&str>) -> String {
    let name = repository.rsplit('/').next().unwrap_or(repository);
    // The digest's colon is encoded, because the specification's own examples have it so.
    let mut purl = format!(
        "pkg:oci/{}@sha256%3A{}",
        encoded(&name.to_lowercase()),
        manifest.hex()
    );
    if let Some(host) = host {
        let url = format!("{host}/{repository}");
        let parts: Vec<String> = url.split('/').map(encoded).collect();
        purl.push_str("?repository_url=");
        purl.push_str(&parts.join("/"));
    }
    purl
}

/// `pkg:generic/NAME@VERSION` for what no index has.
pub fn generic(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("pkg:generic/{}@{}", encoded(name), encoded(version)),
        None => format!("pkg:generic/{}", encoded(name)),
    }
}

/// Whether `text` could be a package URL: scheme, type and name, in plain ASCII.
pub fn is_purl(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("pkg:") else {
        return false;
    };
    let kind_and_name = rest.trim_start_matches('/').split_once('/');
    let fits = |kind: &str| {
        kind.starts_with(|c: char| c.is_ascii_alphabetic())
            && kind
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
    };
    kind_and_name.is_some_and(|(kind, name)| fits(kind) && !name.is_empty())
        && text.len() <= 1000
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// All but letters, digits and `.-_~:` as `%XX`.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            other => drop(write!(out, "%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_special_is_encoded() {
        assert_eq!(
            pypi("Ruamel_YAML", "1.0+local"),
            "pkg:pypi/ruamel-yaml@1.0%2Blocal"
        );
        assert_eq!(
            deb("libstdc++6", "1:12.2.0-14+deb12u1", "amd64", Some("12")),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
        assert_eq!(generic("a b/c", None), "pkg:generic/a%20b%2Fc");
        let digest = Digest::of(b"");
        let image = oci("Team/web", &digest, Some("r.example:5000"));
        assert_eq!(
            image.replace(&digest.hex(), "HEX"),
            "pkg:oci/web@sha256%3AHEX?repository_url=r.example:5000/Team/web"
        );
    }

    #[test]
    fn a_foreign_purl_is_judged_by_its_form() {
        for good in [
            "pkg:cargo/serde@1.0",
            "pkg:rpm/almalinux/openssl@1?arch=x86_64",
        ] {
            assert!(is_purl(good), "{good}");
        }
        for bad in [
            "",
            "pkg:",
            "pkg:cargo",
            "pkg:cargo/",
            "http://x/y",
            "pkg:1/x",
            "pkg:a/\u{1b}[31m",
            "pkg:a/b c",
        ] {
            assert!(!is_purl(bad), "{bad}");
        }
    }
}
