//! Words that must not be in the workspace: unfinished code, switched-off lints, places that only
//! one developer has, and hosts that hard-wire somebody's index or mirror.
//!
//! Hosts are judged by what is allowed, because nobody can list all that are not.

use super::{Tree, Violation, is_generated, violation};

/// This file, which must name what it looks for.
const SELF: &str = "xtask/src/tidy/words.rs";

/// In Rust files: the word, and what to do instead.
const CODE: &[(&str, &str)] = &[
    (
        "todo!(",
        "finish it, or let the program itself say that it cannot do it",
    ),
    (
        "unimplemented!(",
        "finish it, or let the program itself say that it cannot do it",
    ),
    ("dbg!(", "take it out"),
    ("#[allow(", "use `#[expect(…, reason = …)]`"),
    ("#![allow(", "use `#![expect(…, reason = …)]`"),
    ("TODO", "finish it, or describe the limit"),
    ("FIXME", "finish it, or describe the limit"),
];

/// Where homes are; a place inside an image that is allowed.
const HOMES: &[&str] = &["/home/", "/Users/", "/root/"];
const IMAGE_HOME: &str = "/home/nonroot";

/// Hosts of indexes, mirrors and registries that are wrong also outside an address; in two parts, so
/// that this list does not break its own rule.
const SERVERS: &[&str] = &[
    concat!("deb", ".debian.org"),
    concat!("ftp", ".debian.org"),
    concat!("index", ".crates.io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry-1", ".docker.io"),
    concat!("security", ".debian.org"),
    concat!("snapshot", ".debian.org"),
    concat!("static", ".crates.io"),
];

const HUB: [&str; 3] = [
    "crates/unheck-registry/src/reference.rs",
    "crates/unheck-registry/src/credentials.rs",
    "crates/unheck-registry/src/auth.rs",
];
const HUB_SERVER: &str = concat!("registry-1", ".docker.io");

/// Texts that are compared and never asked: what attestations of an index state, and who vouches for workflows.
const ATTESTED: [&str; 2] = [
    "crates/unheck-attest/src/pypi.rs",
    "crates/unheck-testkit/src/sigstore.rs",
];
const PREDICATE: &str = concat!("docs.pypi", ".org");
const ISSUER: &str = "token.actions.githubusercontent.com";

/// Places that need one of them, by file: the addresses that are used where nothing is configured, the name that
/// `Cargo.lock` has for a registry, and those of the registry that a reference without a host means, which its
/// grammar fixes.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("crates/unheck/src/apt.rs", concat!("deb", ".debian.org")),
    (
        "crates/unheck-engine/src/sdist/cargo/address.rs",
        concat!("static", ".crates.io"),
    ),
    (
        "crates/unheck-engine/src/sdist/cargo/lockfile.rs",
        concat!("index", ".crates.io"),
    ),
    (HUB[0], HUB_SERVER),
    (HUB[1], HUB_SERVER),
    (HUB[1], "index.docker.io"),
    (HUB[2], HUB_SERVER),
    (ATTESTED[0], PREDICATE),
    (ATTESTED[0], ISSUER),
    (ATTESTED[0], "gitlab.com"),
    (ATTESTED[1], PREDICATE),
    (ATTESTED[1], ISSUER),
];

/// A table whose rows cite the pages of other projects, with how such a row begins.
const CITED: (&str, &str) = ("crates/unheck-pyapi/rules/behaviour.toml", "link = ");

/// Hosts of specifications and documents, and names that no network has (RFC 2606, RFC 6761).
const DOCUMENTS: &[&str] = &[
    "cyclonedx.org",
    "datatracker.ietf.org",
    "docs.python.org",
    "docs.rs",
    "github.com",
    "in-toto.io",
    "json-schema.org",
    "keepachangelog.com",
    "openvex.dev",
    "osv.dev",
    "packaging.python.org",
    "peps.python.org",
    "refspecs.linuxfoundation.org",
    "rustsec.org",
    "semver.org",
    "slsa.dev",
    "specifications.freedesktop.org",
    "systemd.io",
    "uapi-group.org",
    "wiki.debian.org",
    "www.apache.org",
    "www.debian.org",
    "www.python.org",
    "www.rfc-editor.org",
    "www.rust-lang.org",
];
const RESERVED: &[&str] = &[
    ".invalid",
    ".test",
    ".example",
    "example.com",
    "example.net",
    "example.org",
    "localhost",
];

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for (path, text) in tree.iter() {
        if path == SELF || is_lock(path) || path.starts_with("LICENSE-") {
            continue;
        }
        let code = path.ends_with(".rs") && !is_generated(text);
        for (index, line) in text.lines().enumerate() {
            let mut say = |what: String| found.push(violation(path, index + 1, what));
            if code {
                CODE.iter()
                    .filter(|(word, _)| has_word(line, word))
                    .for_each(|(word, instead)| say(format!("has `{word}`: {instead}")));
            }
            places(line).for_each(|home| say(format!("has a path of somebody's home: `{home}`")));
            if path == CITED.0 && line.starts_with(CITED.1) {
                continue;
            }
            hosts(path, line).for_each(|host| {
                say(format!(
                    "names the host `{host}`: take it from the configuration"
                ))
            });
        }
    }
}

/// Locks name indexes because that is what they are for.
fn is_lock(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    ["Cargo.lock", "uv.lock"].contains(&name)
        || name.starts_with("pylock") && name.ends_with(".toml")
}

/// `dbg!(` must not be the end of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let mut rest = line;
    while let Some(at) = rest.find(word) {
        let before = rest[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return true;
        }
        rest = &rest[at + word.len()..];
    }
    false
}

fn places(line: &str) -> impl Iterator<Item = &str> {
    HOMES
        .iter()
        .flat_map(move |home| line.match_indices(home))
        .filter_map(move |(at, home)| {
            let rest = &line[at..];
            let owner = rest[home.len()..].chars().next();
            let begins =
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '}');
            let real = owner.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            (begins && real && !rest.starts_with(IMAGE_HOME)).then(|| {
                let end = rest
                    .find(|c: char| c.is_whitespace() || "\"'`),;:".contains(c))
                    .unwrap_or(rest.len());
                &rest[..end]
            })
        })
}

/// Hosts that are not allowed: of addresses by what is, elsewhere by the list of servers.
fn hosts<'t>(path: &str, line: &'t str) -> impl Iterator<Item = &'t str> {
    let excepted: Vec<&str> = EXCEPTIONS
        .iter()
        .filter(|(at, _)| *at == path)
        .map(|(_, host)| *host)
        .collect();
    let of_addresses = line.match_indices("://").filter_map(move |(at, _)| {
        let scheme = line[..at].ends_with("http") || line[..at].ends_with("https");
        scheme
            .then(|| host(&line[at + 3..]))
            .filter(|host| !is_allowed(host))
    });
    let words = SERVERS
        .iter()
        .filter(move |server| line.contains(*server))
        .copied();
    let mut all: Vec<&'t str> = of_addresses.collect();
    for server in words {
        let known = all.iter().any(|host| host.ends_with(server));
        if !known && let Some(at) = line.find(server) {
            all.push(&line[at..at + server.len()]);
        }
    }
    all.into_iter().filter(move |host| !excepted.contains(host))
}

/// The host of an address without its scheme: no user, no port.
fn host(rest: &str) -> &str {
    let end = rest
        .find(|c: char| c.is_whitespace() || "/?#\"'`<>()[],;\\|".contains(c))
        .unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or(host).trim_end_matches('.')
}

fn is_allowed(host: &str) -> bool {
    // A name without a dot, or one that is filled in later, is nobody's.
    let nobodys = !host.contains('.') || host.contains(['{', '}', '$', '%', '*', '…']);
    nobodys
        || host.starts_with("127.")
        || host == "0.0.0.0"
        || DOCUMENTS.contains(&host)
        || RESERVED
            .iter()
            .any(|end| host == end.trim_start_matches('.') || host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    #[test]
    fn unfinished_code_and_switched_off_lints_are_found_in_rust_only() {
        let text = "fn a() { todo!() }\n#[allow(dead_code)]\nfn b() { unimplemented!() }\n// FIXME later\n";
        let expected = [
            "a.rs:1: has `todo!(`: finish it, or let the program itself say that it cannot do it",
            "a.rs:2: has `#[allow(`: use `#[expect(…, reason = …)]`",
            "a.rs:3: has `unimplemented!(`: finish it, or let the program itself say that it cannot do it",
            "a.rs:4: has `FIXME`: finish it, or describe the limit",
        ];
        assert_eq!(found(check, &[("a.rs", text), ("a.md", text)]), expected);
        assert!(
            found(
                check,
                &[("a.rs", "fn mastodon_todo!() {}\nlet x = \"my_dbg!(\";\n")]
            )
            .is_empty()
        );
    }

    #[test]
    fn homes_of_developers_are_found_and_the_images_own_is_not() {
        let text = "a = \"/home/me/x\"\nb = \"/home/nonroot/x\"\nc = '/Users/me'\nroot:x:0:0:root:/root:/bin\n`/root/x`\n/home/{user}\nx/home/y\n";
        let expected = [
            "a.toml:1: has a path of somebody's home: `/home/me/x`",
            "a.toml:3: has a path of somebody's home: `/Users/me`",
            "a.toml:5: has a path of somebody's home: `/root/x`",
        ];
        assert_eq!(found(check, &[("a.toml", text)]), expected);
    }

    #[test]
    fn hosts_are_found_unless_they_are_nobodys_or_hold_documents() {
        let text = "https://mirror.somewhere.net/debian\nhttp://user:pw@10.0.0.1:8080/simple\n\
                    http://a.invalid/ https://h.example http://localhost:1/ http://127.0.0.1:2 http://0.0.0.0:3 http://{host}/x\n\
                    https://peps.python.org/pep-0751/ http://h/x\nplain pypi.org here\nsee mail@lists.debian.org\n";
        let expected = [
            "a.py:1: names the host `mirror.somewhere.net`: take it from the configuration",
            "a.py:2: names the host `10.0.0.1`: take it from the configuration",
            "a.py:5: names the host `pypi.org`: take it from the configuration",
        ];
        assert_eq!(found(check, &[("a.py", text)]), expected);
    }

    #[test]
    fn only_the_rows_of_the_citing_table_may_name_pages() {
        let text =
            "link = \"https://click.somewhere.net/changes\"\nwhat = \"https://x.somewhere.net\"\n";
        let expected = [
            "crates/unheck-pyapi/rules/behaviour.toml:2: names the host `x.somewhere.net`: take it from the configuration",
        ];
        assert_eq!(found(check, &[(CITED.0, text)]), expected);
    }

    #[test]
    fn the_one_built_in_address_and_locks_are_excepted() {
        let text = "https://deb.debian.org/debian\n";
        assert!(found(check, &[("crates/unheck/src/apt.rs", text)]).is_empty());
        assert!(
            found(
                check,
                &[
                    ("examples/web/pylock.unheck.toml", text),
                    ("Cargo.lock", text)
                ]
            )
            .is_empty()
        );
        let other = found(check, &[("crates/unheck/src/cli.rs", text)]);
        assert_eq!(
            other,
            [
                "crates/unheck/src/cli.rs:1: names the host `deb.debian.org`: take it from the configuration"
            ]
        );
    }
}
