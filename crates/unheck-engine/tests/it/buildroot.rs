//! Build roots out of small suites: which packages are chosen, and the directories on disk.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use unheck_engine::debian::{Suites, SuitesRequest};
use unheck_engine::explain::Explain;
use unheck_engine::lock::{Interpreter, Provider};
use unheck_engine::platform::Platform;
use unheck_engine::sdist::root::{
    BuildRoot, ChooseError, RootError, RootSet, build_root, install_set,
};
use unheck_engine::session::Session;
use unheck_testkit::keys::TestKey;
use unheck_testkit::{DebBuilder, Mirror, Server, SuiteBuilder};

use crate::support::{Fixture, Heard, Run, child_run};

const PLATFORM: Platform = Platform::LinuxAmd64;

/// A served suite `sid`, which has no update suites, and a store.
struct Place {
    server: Server,
    session: Session,
    suites: Suites,
    run: Run,
    _fixture: Fixture,
}

fn deb(name: &str) -> DebBuilder {
    DebBuilder::new(name, "1.0", "amd64").file(&format!("/usr/lib/{name}/x"), name)
}

/// What `rules/buildroot.toml` names for every root.
fn base() -> Vec<DebBuilder> {
    let tools = [
        "gcc",
        "g++",
        "make",
        "pkg-config",
        "patch",
        "xz-utils",
        "bzip2",
    ];
    let mut debs: Vec<DebBuilder> = tools
        .iter()
        .map(|name| deb(name).executable(&format!("/usr/bin/{name}"), *name))
        .collect();
    debs.push(deb("libc6").file("/lib/x86_64-linux-gnu/libc.so.6", "libc"));
    debs.push(deb("libc6-dev").depends("libc6 (= 1.0)"));
    debs.push(
        deb("dash")
            .field("Essential", "yes")
            .executable("/bin/dash", "sh"),
    );
    debs.push(deb("util-linux").field("Essential", "yes"));
    debs.push(deb("python3.13-minimal").executable("/usr/bin/python3.13", "python"));
    debs.push(deb("python3.13-dev").depends("python3.13-minimal, debconf"));
    debs
}

impl Place {
    fn new(debs: Vec<DebBuilder>) -> Self {
        let suite = SuiteBuilder::new("sid").debs(&debs);
        let server = Mirror::new().suite("debian", &suite).serve();
        let mut fixture = Fixture::new();
        fixture.run.debian = server.url("/debian");
        fixture.run.security = None;
        fixture.run.keyring = TestKey::good().certificate().to_vec();
        let run = fixture.run.clone();
        let session = run.session(Arc::new(Heard::default())).unwrap();
        let suites = load(&session);
        Self {
            server,
            session,
            suites,
            run,
            _fixture: fixture,
        }
    }

    /// Names of what is chosen, without what nobody asked for.
    fn chosen(&self, wanted: &[&str]) -> Result<Vec<String>, ChooseError> {
        let listed = install_set(&self.suites, PLATFORM, &names(wanted))?;
        Ok(listed.into_iter().map(|one| one.package.name).collect())
    }

    /// Why nothing is chosen, with what mends it.
    fn refused(&self, wanted: &[&str]) -> String {
        let error = self.chosen(wanted).unwrap_err();
        format!("{error}\nhint: {}", error.hints().join("; "))
    }

    fn set(&self, extra: &[&str]) -> RootSet {
        set(&self.suites, extra)
    }

    fn build(&self, extra: &[&str]) -> BuildRoot {
        build_root(&self.session, &self.set(extra)).unwrap()
    }
}

fn set(suites: &Suites, extra: &[&str]) -> RootSet {
    let interpreter = Interpreter {
        provider: Provider::Standalone,
        ..Interpreter::debian("3.13.5", "2.41")
    };
    RootSet::choose(suites, PLATFORM, &interpreter, &names(extra)).unwrap()
}

fn load(session: &Session) -> Suites {
    let request = SuitesRequest {
        suite: "sid",
        platforms: &[PLATFORM],
        allow_expired: &[],
        now: session.now,
    };
    Suites::load(&session.net, &session.mirror, &session.keyring, &request).unwrap()
}

fn names(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The file at a path of a root, as the sandbox's overlay shows it.
fn at(root: &BuildRoot, path: &str) -> Option<PathBuf> {
    let places = root.lower.iter().rev().map(|lower| lower.join(path));
    places
        .into_iter()
        .find(|place| place.symlink_metadata().is_ok())
}

fn text(root: &BuildRoot, path: &str) -> String {
    fs_err::read_to_string(at(root, path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

fn link(root: &BuildRoot, path: &str) -> PathBuf {
    fs_err::read_link(at(root, path).unwrap_or_else(|| panic!("no {path}"))).unwrap()
}

#[test]
fn the_first_alternative_is_taken_unless_another_is_there() {
    let place = Place::new(vec![
        deb("app").depends("ghost | first (>= 1) | second"),
        deb("old").depends("first (>= 2) | second"),
        deb("first"),
        deb("second"),
        deb("foreign").depends("first [arm64], first:any"),
    ]);
    assert_eq!(place.chosen(&["app"]).unwrap(), ["app", "first"]);
    assert_eq!(place.chosen(&["app", "second"]).unwrap(), ["app", "second"]);
    assert_eq!(place.chosen(&["old"]).unwrap(), ["old", "second"]);
    assert_eq!(place.chosen(&["foreign"]).unwrap(), ["first", "foreign"]);
}

#[test]
fn a_virtual_package_is_one_that_provides_it() {
    let place = Place::new(vec![
        deb("app").depends("awk"),
        deb("versioned").depends("awk (>= 2)"),
        deb("gawk")
            .provides("awk (= 3)")
            .field("Priority", "optional"),
        deb("mawk").provides("awk").field("Priority", "required"),
        deb("shell"),
        deb("shell-ng")
            .provides("shell")
            .field("Priority", "required"),
        deb("login").depends("shell"),
    ]);
    assert_eq!(place.chosen(&["app"]).unwrap(), ["app", "mawk"]);
    assert_eq!(place.chosen(&["app", "gawk"]).unwrap(), ["app", "gawk"]);
    // A name without a version says nothing about one (Policy 7.5).
    assert_eq!(place.chosen(&["versioned"]).unwrap(), ["gawk", "versioned"]);
    assert_eq!(place.chosen(&["awk"]).unwrap(), ["mawk"]);
    assert_eq!(place.chosen(&["login"]).unwrap(), ["login", "shell"]);
}

#[test]
fn essential_packages_come_unasked_and_what_serves_scripts_does_not() {
    let place = Place::new(vec![
        deb("app").depends("debconf (>= 99) | debconf-2.0, dpkg (>= 99)"),
        deb("dash").field("Essential", "yes").pre_depends("libc6"),
        deb("util-linux").field("Essential", "yes"),
        deb("libc6"),
        deb("dpkg"),
    ]);
    assert_eq!(place.chosen(&["app"]).unwrap(), ["app", "dash", "libc6"]);
    assert_eq!(place.chosen(&["dpkg"]).unwrap(), ["dash", "dpkg", "libc6"]);
}

#[test]
fn what_cannot_be_had_is_named_with_who_needs_it() {
    let place = Place::new(vec![
        deb("app").depends("middle"),
        deb("middle").depends("low (>= 2) | ghost"),
        deb("low"),
        deb("one").depends("two"),
        deb("two").field("Conflicts", "app-ng"),
        deb("app-ng").depends("low"),
        deb("broken").field("Breaks", "low (<< 2)"),
    ]);
    insta::assert_snapshot!(place.refused(&["app"]), @"
    `app` → `middle` needs `low (>= 2) | ghost`: the suite has `low` 1.0; the suite has no `ghost`
    hint: the mirror may be in the middle of an update: try again later, or another mirror with `--mirror URL`
    ");
    insta::assert_snapshot!(place.refused(&["nothing"]), @"
    the suite `sid` has no package `nothing` for linux/amd64
    hint: check the name, or choose another suite with `--suite`
    ");
    insta::assert_snapshot!(place.refused(&["app-ng", "one"]), @"
    `one` → `two` and `app-ng` exclude each other: `app-ng`
    hint: ask for one of the two only, in `debs` of the build
    ");
    insta::assert_snapshot!(place.refused(&["app-ng", "broken"]), @"
    `app-ng` → `low` and `broken` exclude each other: `low (<< 2)`
    hint: ask for one of the two only, in `debs` of the build
    ");
}

#[test]
fn an_alternative_that_goes_with_the_others_is_preferred_to_a_conflict() {
    let place = Place::new(vec![
        deb("app").depends("gnutls-dev | openssl-dev"),
        deb("gnutls-dev").field("Conflicts", "openssl-dev"),
        deb("openssl-dev"),
        deb("other"),
        deb("self").provides("mail").field("Conflicts", "mail"),
    ]);
    assert_eq!(place.chosen(&["app"]).unwrap(), ["app", "gnutls-dev"]);
    let both = place.chosen(&["app", "openssl-dev"]).unwrap();
    assert_eq!(both, ["app", "openssl-dev"]);
    // A package does not exclude itself by what it provides (Policy 7.4).
    assert_eq!(place.chosen(&["self"]).unwrap(), ["self"]);
}

#[test]
fn headers_are_of_the_interpreter_and_of_no_other() {
    let place = Place::new(base());
    let interpreter = |version: &str, provider| Interpreter {
        provider,
        ..Interpreter::debian(version, "2.41")
    };
    let choose = |interpreter| RootSet::choose(&place.suites, PLATFORM, &interpreter, &names(&[]));
    let error = choose(interpreter("3.13.5", Provider::Debian)).unwrap_err();
    insta::assert_snapshot!(error, @"the suite `sid` has Python 1.0, and the target's interpreter is 3.13.5");
    let standalone = choose(interpreter("3.13.5", Provider::Standalone)).unwrap();
    assert!(
        standalone
            .debs
            .iter()
            .all(|deb| !deb.name.contains("python"))
    );
    let mut debs = base();
    debs.retain(|deb| deb.package() != "python3.13-minimal");
    let minimal = DebBuilder::new("python3.13-minimal", "3.13.5-2+deb13u1", "amd64");
    debs.push(minimal.executable("/usr/bin/python3.13", "python"));
    let place = Place::new(debs);
    let interpreter = interpreter("3.13.5", Provider::Debian);
    let set = RootSet::choose(&place.suites, PLATFORM, &interpreter, &names(&[])).unwrap();
    let root = build_root(&place.session, &set).unwrap();
    assert_eq!(link(&root, "usr/bin/python3"), PathBuf::from("python3.13"));
    assert_eq!(text(&root, "usr/bin/python3.13"), "python");
}

#[test]
fn a_root_has_what_packages_ship_and_what_scripts_would_have_made() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut debs = base();
    let script = unheck_testkit::tarball::TarEntry {
        mode: 0o4755,
        ..unheck_testkit::tarball::TarEntry::file("./usr/bin/su", "su")
    };
    debs.push(
        deb("extra")
            .entry(script)
            .file("/usr/share/doc/extra/README", "no")
            .file("/usr/include/extra.h", "yes")
            .hardlink("/usr/bin/su2", "/usr/bin/su")
            .executable("/bin/twice", "file")
            .symlink("/usr/bin/twice", "/bin/twice")
            .script("postinst", "#!/bin/sh\nexit 1\n"),
    );
    let place = Place::new(debs);
    let root = place.build(&["extra"]);
    assert_eq!(link(&root, "lib"), PathBuf::from("usr/lib"));
    assert_eq!(link(&root, "usr/bin/cc"), PathBuf::from("/usr/bin/gcc"));
    assert_eq!(link(&root, "usr/bin/sh"), PathBuf::from("/usr/bin/dash"));
    assert!(at(&root, "usr/bin/awk").is_none(), "nothing to lead to");
    assert!(text(&root, "etc/passwd").contains("nonroot:"));
    assert_eq!(text(&root, "usr/lib/x86_64-linux-gnu/libc.so.6"), "libc");
    let cache = fs_err::read(at(&root, "etc/ld.so.cache").unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&cache).contains("/usr/lib/x86_64-linux-gnu/libc.so.6"));
    for name in ["usr/bin/su", "usr/bin/su2"] {
        let mode = fs_err::metadata(at(&root, name).unwrap())
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o7777, 0o755, "{name}");
    }
    assert_eq!(text(&root, "usr/bin/twice"), "file", "no link to itself");
    assert_eq!(text(&root, "usr/include/extra.h"), "yes");
    assert!(at(&root, "usr/share/doc").is_none());
    assert!(at(&root, "usr/lib/util-linux/x").is_none());
}

#[test]
fn roots_share_directories_and_one_more_package_costs_itself() {
    let mut debs = base();
    debs.push(deb("one-dev").depends("one"));
    debs.push(deb("one"));
    debs.push(deb("two-dev").depends("one"));
    let place = Place::new(debs);
    let plain = place.build(&[]);
    let one = place.build(&["one-dev"]);
    let asked = place.server.requests().len();
    let two = place.build(&["two-dev"]);
    let both = place.build(&["two-dev", "one-dev"]);
    assert_eq!(plain.lower[0], one.lower[0]);
    assert_eq!(one.lower[1], two.lower[1], "the package `one`");
    assert_eq!(
        (plain.lower.len(), one.lower.len(), both.lower.len()),
        (2, 4, 5)
    );
    assert_eq!(place.server.requests().len(), asked + 1, "two-dev alone");
    assert!(plain.digest != one.digest && one.digest != two.digest);
    assert_eq!(place.build(&["one-dev"]).digest, one.digest);
    assert_eq!(place.server.requests().len(), asked + 1);
}

#[test]
fn packages_that_do_not_lie_over_each_other_share_one_directory() {
    let mut debs = base();
    debs.push(
        deb("moved")
            .file("/usr/share/new/a", "a")
            .symlink("/usr/share/old", "new"),
    );
    debs.push(deb("stays").file("/usr/share/old/b", "b"));
    debs.push(
        deb("circle")
            .symlink("/usr/share/c", "d")
            .symlink("/usr/share/d", "c"),
    );
    debs.push(deb("lost").file("/usr/share/c/x", "x"));
    let place = Place::new(debs);
    let root = place.build(&["moved", "stays"]);
    assert_eq!(root.lower.len(), 2, "{:?}", root.lower);
    assert_eq!(link(&root, "usr/share/old"), PathBuf::from("new"));
    assert_eq!(text(&root, "usr/share/new/b"), "b");
    let error = build_root(&place.session, &place.set(&["circle", "lost"])).unwrap_err();
    assert!(matches!(error, RootError::Hostile { .. }), "{error}");
    insta::assert_snapshot!(error, @"the Debian package `lost` has files below a circle of links at `usr/share/c`");
}

#[test]
fn a_damaged_directory_is_made_again() {
    let mut debs = base();
    debs.push(deb("one"));
    let place = Place::new(debs);
    let root = place.build(&["one"]);
    let wanted = root.digest;
    let path = at(&root, "usr/bin/make").unwrap();
    let other = at(&root, "usr/lib/one/x").unwrap();
    let list = root.lower[1].parent().unwrap().join("list");
    drop(root);
    fs_err::write(&path, "evil").unwrap();
    fs_err::remove_file(&other).unwrap();
    let root = place.build(&["one"]);
    assert_eq!(text(&root, "usr/bin/make"), "make");
    assert_eq!(text(&root, "usr/lib/one/x"), "one");
    drop(root);
    fs_err::write(&list, "d usr\n").unwrap();
    let root = place.build(&["one"]);
    assert_eq!(root.digest, wanted);
    assert_eq!(text(&root, "usr/lib/one/x"), "one");
}

#[test]
fn several_at_one_moment_make_one_root() {
    let mut debs = base();
    debs.push(deb("big").file("/usr/lib/big/data", vec![7; 4 << 20]));
    let place = Place::new(debs);
    let set = place.set(&["big"]);
    let digests: Vec<_> = std::thread::scope(|scope| {
        let work = || {
            let session = place.run.session(Arc::new(Heard::default())).unwrap();
            build_root(&session, &set).unwrap()
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let first: &BuildRoot = &digests[0];
    assert!(digests.iter().all(|root| root.lower == first.lower));
    let data = fs_err::read(at(first, "usr/lib/big/data").unwrap()).unwrap();
    assert_eq!(data, vec![7; 4 << 20]);
}

#[test]
fn a_killed_run_harms_nothing() {
    if let Some(run) = child_run() {
        let session = run.session(Arc::new(Heard::default())).unwrap();
        build_root(&session, &set(&load(&session), &["big"])).unwrap();
        return;
    }
    let mut debs = base();
    let mut big = deb("big");
    for number in 0..500 {
        big = big.file(&format!("/usr/lib/big/{number}"), vec![7; 8 << 10]);
    }
    debs.push(big);
    let place = Place::new(debs);
    for millis in [10, 40, 80, 160] {
        let mut child = place.run.child("buildroot::a_killed_run_harms_nothing");
        let mut child = child.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let root = place.build(&["big"]);
    for number in 0..500 {
        let data = fs_err::read(at(&root, &format!("usr/lib/big/{number}")).unwrap()).unwrap();
        assert_eq!(data, vec![7; 8 << 10]);
    }
}

#[test]
fn a_link_out_of_the_root_is_refused() {
    let mut debs = base();
    debs.push(deb("evil").symlink("/usr/lib/up", "../../../etc/shadow"));
    let place = Place::new(debs);
    let error = build_root(&place.session, &place.set(&["evil"])).unwrap_err();
    insta::assert_snapshot!(error, @"the Debian package `evil` has a link out of the root at `usr/lib/up`");
    let mut debs = base();
    debs.push(deb("evil").file("/usr/lib/up", "x"));
    debs.push(deb("worse").file("/usr/lib/up/y", "y"));
    let place = Place::new(debs);
    let error = build_root(&place.session, &place.set(&["evil", "worse"])).unwrap_err();
    insta::assert_snapshot!(error, @"the Debian package `worse` has a directory where another package has a file at `usr/lib/up`");
}
