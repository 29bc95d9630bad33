//! The Debian mirror that this machine itself uses, from apt's sources. Start at [`mirrors`].
//!
//! Reads `sources.list`, `sources.list.d/*.list` (one line per source) and `*.sources` (deb822);
//! both forms are those of sources.list(5). Takes only plain http and https archives of Debian,
//! recognised by their directory; a file that cannot be read is passed over, because this is only a
//! better default.

use std::path::{Path, PathBuf};

use unheck_engine::input::Mirrors;

/// Debian's own content delivery network, for machines that do not run Debian themselves. A tool
/// that works without configuration needs one address that is always there.
const DEBIAN: &str = "https://deb.debian.org/debian";
/// The same for security updates.
const SECURITY: &str = "https://deb.debian.org/debian-security";

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The mirrors of the apt configuration in `directory`, else Debian's own.
pub(crate) fn mirrors(directory: &Path) -> Mirrors {
    let mut uris = Vec::new();
    for path in files(directory) {
        let small =
            fs_err::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_FILE);
        let Some(text) = small.then(|| fs_err::read_to_string(&path).ok()).flatten() else {
            continue;
        };
        if path
            .extension()
            .is_some_and(|extension| extension == "sources")
        {
            deb822(&text, &mut uris);
        } else {
            one_line(&text, &mut uris);
        }
    }
    let with = |end: &str| uris.iter().find(|uri| uri.ends_with(end)).cloned();
    match with("/debian") {
        Some(debian) => Mirrors {
            debian: Some(debian),
            security: with("/debian-security"),
            snapshot: None,
        },
        None => Mirrors {
            debian: Some(DEBIAN.to_owned()),
            security: Some(SECURITY.to_owned()),
            snapshot: None,
        },
    }
}

/// The files that apt reads, in its order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> = fs_err::read_dir(directory.join("sources.list.d"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "list" || end == "sources")
        })
        .collect();
    parts.sort();
    parts.insert(0, directory.join("sources.list"));
    parts
}

/// `deb [options] URI suite component…`
fn one_line(text: &str, uris: &mut Vec<String>) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line
            .strip_prefix("deb")
            .filter(|rest| rest.starts_with([' ', '\t']))
        else {
            continue;
        };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        uris.extend(rest.split_whitespace().next().and_then(address));
    }
}

/// Stanzas with `Types`, `URIs`, `Enabled`.
fn deb822(text: &str, uris: &mut Vec<String>) {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        let Some(stanza) = stanzas.last_mut() else {
            continue;
        };
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    for stanza in stanzas {
        let field = |wanted: &str| {
            stanza
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        };
        let enabled = field("enabled").is_none_or(|value| !value.eq_ignore_ascii_case("no"));
        let binary =
            field("types").is_some_and(|types| types.split_whitespace().any(|one| one == "deb"));
        if enabled && binary {
            uris.extend(
                field("uris")
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(address),
            );
        }
    }
}

/// An archive that unheck can read, without the slash at its end.
fn address(uri: &str) -> Option<String> {
    let known = uri.starts_with("http://") || uri.starts_with("https://");
    known.then(|| uri.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> (String, Option<String>) {
        let directory = tempfile::tempdir().expect("directory");
        for (name, text) in files {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().expect("parent")).expect("parts");
            fs_err::write(path, text).expect("file");
        }
        let mirrors = mirrors(directory.path());
        (mirrors.debian.expect("always one"), mirrors.security)
    }

    #[test]
    fn one_line_sources_are_read_with_options_and_comments() {
        let text = "# deb http://no.invalid/debian x main\ndeb-src http://src.invalid/debian x main\n\
                    deb [arch=amd64 signed-by=/k] http://a.invalid/debian/ trixie main # comment\n\
                    deb http://s.invalid/debian-security trixie-security main\n";
        let expected = (
            "http://a.invalid/debian".to_owned(),
            Some("http://s.invalid/debian-security".to_owned()),
        );
        assert_eq!(found(&[("sources.list", text)]), expected);
    }

    #[test]
    fn deb822_sources_are_read_and_disabled_ones_are_not() {
        let text = "Types: deb\nEnabled: no\nURIs: http://off.invalid/debian\n\n\
                    Types: deb deb-src\n# comment\nURIs:\n http://other.invalid/apt\n http://b.invalid/debian\nSuites: x\n\n\
                    Types: deb\nURIs: http://b.invalid/debian-security/\n";
        let expected = (
            "http://b.invalid/debian".to_owned(),
            Some("http://b.invalid/debian-security".to_owned()),
        );
        assert_eq!(found(&[("sources.list.d/debian.sources", text)]), expected);
    }

    #[test]
    fn without_a_debian_source_the_built_in_address_is_used() {
        let other = "deb https://x.invalid/apt stable main\ndeb file:/media/debian x main\n";
        let (debian, security) = found(&[("sources.list.d/x.list", other)]);
        assert_eq!(
            (debian.as_str(), security.as_deref()),
            (DEBIAN, Some(SECURITY))
        );
        assert_eq!(found(&[]).0, DEBIAN);
    }
}
