//! Which Debian packages are chosen for what a build lacks, with and without a Contents index.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use unheck_buildlog::{Found, Lack, Strength, read_log};
use unheck_engine::debian::{Suites, SuitesRequest};
use unheck_engine::platform::Platform;
use unheck_engine::sdist::provide::{Answer, Context, Providers};
use unheck_engine::session::Session;
use unheck_testkit::deb::DebBuilder;
use unheck_testkit::scenario::World;
use unheck_testkit::{Mirror, SuiteBuilder, SuiteLie};

use crate::support::*;

const TRIPLET: &str = "x86_64-linux-gnu";

fn dev(name: &str, paths: &[&str]) -> DebBuilder {
    let deb = DebBuilder::new(name, "1.0-1", "amd64").field("Section", "libdevel");
    paths.iter().fold(deb, |deb, path| deb.file(path, "x"))
}

fn packages(suite: SuiteBuilder) -> SuiteBuilder {
    let curl = |flavour: &str| {
        let name = format!("libcurl4-{flavour}-dev");
        dev(
            &name,
            &[
                "/usr/bin/curl-config",
                "/usr/include/x86_64-linux-gnu/curl/curl.h",
            ],
        )
    };
    let cairo = format!("/usr/lib/{TRIPLET}/pkgconfig/cairo.pc");
    let mysql = format!("/usr/lib/{TRIPLET}/pkgconfig/mysqlclient.pc");
    suite
        .deb(&dev("libpq-dev", &["/usr/bin/pg_config", "/usr/include/postgresql/libpq-fe.h"]).depends("libpq5"))
        .deb(&dev("postgresql-common", &["/usr/bin/pg_config"]))
        .deb(&dev("libpq5", &["/usr/lib/x86_64-linux-gnu/libpq.so.5"]))
        .deb(&curl("openssl"))
        .deb(&curl("gnutls"))
        .deb(&dev("libldap-dev", &["/usr/include/lber.h"]))
        .deb(&DebBuilder::new("libldap2-dev", "1.0-1", "all").field("Section", "oldlibs").depends("libldap-dev"))
        .deb(&dev("libgdcm-dev", &["/usr/include/gdcm-3.0/gdcmjpeg/jpeglib.h"]))
        .deb(&dev("libjpeg62-turbo-dev", &["/usr/include/jpeglib.h"]))
        .deb(&dev("libiodbc2-dev", &["/usr/include/sql.h"]))
        .deb(&dev("unixodbc-dev", &["/usr/include/sql.h"]))
        .deb(&dev("libcairo2-dev", &[&cairo]))
        .deb(&dev("libmariadb-dev-compat", &[&mysql]))
        .deb(&DebBuilder::new("default-libmysqlclient-dev", "1.0-1", "amd64").depends("libmariadb-dev-compat"))
        .deb(&dev("python3-mysqldb", &["/usr/lib/python3/dist-packages/mysqlclient-2.1.dist-info/METADATA"]).source("python-mysqldb"))
        .deb(&dev("python3-ldap", &[]).source("python-ldap"))
        .deb(&dev("python3-pycurl", &[]).source("pycurl"))
        .source("python-ldap", "python3-ldap, python-ldap-doc", "debhelper-compat (= 13), dh-python, libldap2-dev, python3-all-dev, libpq-dev <!nodoc>, unixodbc-dev [arm64]")
        .source("python-mysqldb", "python3-mysqldb", "default-libmysqlclient-dev, python3-all-dev")
        .source("pycurl", "python3-pycurl", "libcurl4-gnutls-dev, python3-all-dev")
        .source("a", "a", "unixodbc-dev, libcurl4-openssl-dev")
        .source("b", "b", "unixodbc-dev")
        .source("c", "c", "unixodbc-dev, libcurl4-openssl-dev")
        .source("d", "d", "libiodbc2-dev | unixodbc-dev, libcurl4-gnutls-dev")
}

fn world() -> World {
    let mut world = World::basic();
    world.main = packages(world.main);
    world
}

fn suites(session: &Session) -> Suites {
    let request = SuitesRequest {
        suite: "trixie",
        platforms: &[Platform::LinuxAmd64],
        allow_expired: &[],
        now: session.now,
    };
    Suites::load(&session.net, &session.mirror, &session.keyring, &request).unwrap()
}

fn found(lack: Lack) -> Found {
    Found {
        lack,
        evidence: "line 1".to_owned(),
        strength: Strength::Fatal,
    }
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for choice in &answer.choices {
        writeln!(
            text,
            "{} <- {}: {}",
            choice.lack, choice.package, choice.reason
        )
        .unwrap();
        for (package, reason) in &choice.alternatives {
            writeln!(text, "    or {package}: {reason}").unwrap();
        }
    }
    for open in &answer.open {
        writeln!(text, "{} <- none: {}", open.found.lack, open.why).unwrap();
    }
    text
}

fn answer(
    fixture: &Fixture,
    lacks: &[Found],
    distribution: Option<&str>,
    installed: &[&str],
) -> Answer {
    let session = fixture.run.session(Arc::new(Heard::default())).unwrap();
    let suites = suites(&session);
    let providers = Providers::new(&session, &suites, Platform::LinuxAmd64);
    let installed: BTreeSet<String> = installed.iter().map(|name| (*name).to_owned()).collect();
    let context = Context {
        distribution,
        installed: &installed,
        closure: &BTreeSet::from(["libpq5".to_owned()]),
    };
    providers.provide(lacks, &context).unwrap()
}

fn all_lacks() -> Vec<Found> {
    let log = "\
Error: pg_config executable not found.
a.c:1:1: fatal error: lber.h: No such file or directory
a.c:1:1: fatal error: jpeglib.h: No such file or directory
a.c:1:1: fatal error: sql.h: No such file or directory
meson.build:1:1: ERROR: Dependency \"cairo\" not found
Command 'pkg-config --exists mysqlclient' returned non-zero exit status 1.
Error: [Errno 2]
FileNotFoundError: [Errno 2] No such file or directory: 'curl-config'
ModuleNotFoundError: No module named 'numpy'
";
    let mut lacks = read_log(log).lacks;
    lacks.push(found(Lack::Header("nowhere.h".to_owned())));
    lacks
}

#[test]
fn the_best_provider_is_chosen_and_the_others_are_shown() {
    let fixture = Fixture::world(world());
    let answer = answer(&fixture, &all_lacks(), None, &[]);
    insta::assert_snapshot!(text(&answer), @r"
    program `pg_config` <- libpq-dev: has `/usr/bin/pg_config`; one source package builds with it; the image has its library
        or postgresql-common: has `/usr/bin/pg_config`
    header `lber.h` <- libldap-dev: has `/usr/include/lber.h`; one source package builds with it
    header `jpeglib.h` <- libjpeg62-turbo-dev: has `/usr/include/jpeglib.h`
        or libgdcm-dev: has `/usr/include/gdcm-3.0/gdcmjpeg/jpeglib.h`
    header `sql.h` <- unixodbc-dev: has `/usr/include/sql.h`; 4 source packages build with it
        or libiodbc2-dev: has `/usr/include/sql.h`; one source package builds with it
    dependency `cairo` <- libcairo2-dev: has `/usr/lib/x86_64-linux-gnu/pkgconfig/cairo.pc`
    pkg-config module `mysqlclient` <- libmariadb-dev-compat: has `/usr/lib/x86_64-linux-gnu/pkgconfig/mysqlclient.pc`; one source package builds with it
    program `curl-config` <- libcurl4-openssl-dev: has `/usr/bin/curl-config`; 2 source packages build with it
        or libcurl4-gnutls-dev: has `/usr/bin/curl-config`; 2 source packages build with it
    Python module `numpy` <- none: a Python module is no matter of Debian packages: the distribution should declare it in `[build-system] requires`; add what has `numpy` by hand
    header `nowhere.h` <- none: no package of the suite has it where builds look for it
    ");
    assert_eq!(answer.trouble, Vec::<String>::new());
}

#[test]
fn what_debian_builds_the_distribution_with_comes_first() {
    let fixture = Fixture::world(world());
    let lack = [found(Lack::Program("curl-config".to_owned()))];
    let package = |distribution| {
        answer(&fixture, &lack, distribution, &[]).choices[0]
            .package
            .clone()
    };
    assert_eq!(package(None), "libcurl4-openssl-dev");
    assert_eq!(package(Some("PycURL")), "libcurl4-gnutls-dev");
}

#[test]
fn what_is_installed_is_not_chosen_again() {
    let fixture = Fixture::world(world());
    let lack = [found(Lack::Header("lber.h".to_owned()))];
    let answer = answer(&fixture, &lack, None, &["libldap-dev"]);
    insta::assert_snapshot!(text(&answer), @"header `lber.h` <- none: the build root has it in `libldap-dev`, and the build did not take it");
}

#[test]
fn build_depends_are_reduced_to_what_a_wheel_can_use() {
    let fixture = Fixture::world(world());
    let session = fixture.run.session(Arc::new(Heard::default())).unwrap();
    let suites = suites(&session);
    let providers = Providers::new(&session, &suites, Platform::LinuxAmd64);
    let prior = |name: &str| {
        let prior = providers.prior(name)?;
        let packages: Vec<&str> = prior
            .packages
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        Some(format!("{}: {}", prior.source, packages.join(" ")))
    };
    assert_eq!(
        prior("python_ldap").as_deref(),
        Some("python-ldap: libldap2-dev")
    );
    // No package is named after it: the one that ships its metadata counts.
    assert_eq!(
        prior("mysqlclient").as_deref(),
        Some("python-mysqldb: default-libmysqlclient-dev")
    );
    assert_eq!(prior("a"), None);
    assert_eq!(prior("unknown"), None);
}

#[test]
fn without_a_true_contents_index_packages_are_looked_into() {
    let fixture = Fixture::world(world().lie(SuiteLie::ContentsHash));
    let ldap = answer(
        &fixture,
        &[found(Lack::Header("lber.h".to_owned()))],
        Some("python-ldap"),
        &[],
    );
    insta::assert_snapshot!(text(&ldap), @"header `lber.h` <- libldap-dev: has `/usr/include/lber.h`; Debian builds `python-ldap` with it; one source package builds with it");
    assert!(
        ldap.trouble[0].contains("trixie Contents-amd64.gz"),
        "{:?}",
        ldap.trouble
    );
    // Nothing suggests these names, and no other suite can be asked.
    let unknown = answer(
        &fixture,
        &[found(Lack::Header("lber.h".to_owned()))],
        None,
        &[],
    );
    assert!(unknown.choices.is_empty(), "{unknown:?}");

    // Older versions: the pool is shared.
    let old = |name: &str, path: &str| DebBuilder::new(name, "0.9-1", "amd64").file(path, "x");
    let bookworm = SuiteBuilder::new("bookworm")
        .deb(&old("libldap-dev", "/usr/include/lber.h"))
        .deb(&old("libpq-dev", "/usr/include/gone.h"))
        .deb(&old("only-in-bookworm-dev", "/usr/include/other.h"));
    Mirror::new()
        .suite("debian", &bookworm)
        .suite("debian", &SuiteBuilder::updates("bookworm"))
        .suite("debian-security", &SuiteBuilder::security("bookworm"))
        .put_into(&fixture.scenario.mirror);
    let lacks = ["lber.h", "gone.h", "other.h"].map(|name| found(Lack::Header(name.to_owned())));
    let by_another = answer(&fixture, &lacks, None, &[]);
    insta::assert_snapshot!(text(&by_another), @r"
    header `lber.h` <- libldap-dev: has `/usr/include/lber.h`; one source package builds with it
    header `gone.h` <- none: no package of the suite has it where builds look for it
    header `other.h` <- none: no package of the suite has it where builds look for it
    ");
}

mod live {
    //! The real archive. `UNHECK_TEST_MIRROR` is the base of `debian` and `debian-security`.

    use unheck_deb::signature::Keyring;
    use unheck_engine::input::Mirrors;

    use super::*;

    /// What is lacked, of which distribution, and the packages of which one must be chosen.
    const CASES: [(&str, &str, &[&str]); 16] = [
        (
            "Error: pg_config executable not found.",
            "psycopg2",
            &["libpq-dev"],
        ),
        (
            "a.c:1:1: fatal error: libpq-fe.h: No such file or directory",
            "",
            &["libpq-dev"],
        ),
        (
            "Command 'pkg-config --exists mysqlclient' returned non-zero exit status 1.",
            "mysqlclient",
            &["libmariadb-dev-compat"],
        ),
        (
            "OSError: mysql_config not found",
            "",
            &["libmariadb-dev-compat", "libmariadb-dev"],
        ),
        (
            "a.c:1:1: fatal error: lber.h: No such file or directory",
            "python-ldap",
            &["libldap-dev", "libldap2-dev"],
        ),
        (
            "a.c:1:1: fatal error: sasl/sasl.h: No such file or directory",
            "",
            &["libsasl2-dev"],
        ),
        (
            "m:1:1: ERROR: Dependency \"cairo\" not found, tried pkgconfig",
            "pycairo",
            &["libcairo2-dev"],
        ),
        (
            "a.c:1:1: fatal error: graphviz/cgraph.h: No such file or directory",
            "pygraphviz",
            &["libgraphviz-dev"],
        ),
        (
            "a.c:1:1: fatal error: ffi.h: No such file or directory",
            "cffi",
            &["libffi-dev"],
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'curl-config'",
            "",
            &["libcurl4-openssl-dev"],
        ),
        (
            "Package 'libxslt', required by 'virtual:world', not found",
            "",
            &["libxslt1-dev"],
        ),
        ("/bin/sh: 1: xml2-config: not found", "", &["libxml2-dev"]),
        (
            "a.c:1:1: fatal error: sql.h: No such file or directory",
            "pyodbc",
            &["unixodbc-dev"],
        ),
        (
            "The headers or library files could not be found for jpeg,",
            "pillow",
            &["libjpeg62-turbo-dev"],
        ),
        (
            "a.c:1:1: fatal error: hdf5.h: No such file or directory",
            "h5py",
            &["libhdf5-dev"],
        ),
        (
            "error: command 'gfortran' failed: No such file or directory",
            "",
            &["gfortran"],
        ),
    ];

    #[expect(
        clippy::disallowed_methods,
        reason = "a live test is told its mirror and the time"
    )]
    fn session(fixture: &Fixture) -> Session {
        let base = std::env::var("UNHECK_TEST_MIRROR").expect("UNHECK_TEST_MIRROR");
        let base = base.trim_end_matches('/');
        let mut session = fixture.run.session(Arc::new(Heard::default())).unwrap();
        let mirrors = Mirrors {
            debian: Some(format!("{base}/debian")),
            security: Some(format!("{base}/debian-security")),
            snapshot: None,
        };
        session.mirror = unheck_engine::debian::Mirror::new(&mirrors, &Mirrors::default()).unwrap();
        session.keyring = Keyring::debian();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        session.now = i64::try_from(now.as_secs()).unwrap();
        session
    }

    #[test]
    #[ignore = "live: needs a Debian mirror in UNHECK_TEST_MIRROR"]
    fn what_real_builds_lack_is_found_in_real_suites() {
        let fixture = Fixture::new();
        let session = session(&fixture);
        let mut wrong = Vec::new();
        for suite in ["bookworm", "trixie"] {
            let request = SuitesRequest {
                suite,
                platforms: &[Platform::LinuxAmd64],
                allow_expired: &[],
                now: session.now,
            };
            let suites =
                Suites::load(&session.net, &session.mirror, &session.keyring, &request).unwrap();
            let providers = Providers::new(&session, &suites, Platform::LinuxAmd64);
            for (log, distribution, expected) in CASES {
                let lacks = read_log(log).lacks;
                let distribution = (!distribution.is_empty()).then_some(distribution);
                let none = BTreeSet::new();
                let context = Context {
                    distribution,
                    installed: &none,
                    closure: &none,
                };
                let answer = providers.provide(&lacks, &context).unwrap();
                let chosen = answer.choices.first().map(|choice| choice.package.as_str());
                if !chosen.is_some_and(|package| expected.contains(&package)) {
                    wrong.push(format!(
                        "{suite}: {log}\n{}{:?}",
                        text(&answer),
                        answer.trouble
                    ));
                }
            }
            let source = |name: &str| providers.prior(name).map(|prior| prior.source);
            assert_eq!(
                source("mysqlclient").as_deref(),
                Some("python-mysqldb"),
                "{suite}"
            );
            assert_eq!(source("Pillow").as_deref(), Some("pillow"), "{suite}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
