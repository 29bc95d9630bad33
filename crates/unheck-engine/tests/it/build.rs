//! What a build makes of a small project, and what it makes again after a change.

use std::os::unix::fs::{PermissionsExt, symlink};

use unheck_engine::platform::Platform;
use unheck_testkit::tarball::TarEntry;
use unheck_testkit::{DebBuilder, WheelBuilder, World};

use crate::support::*;

/// The lines of a dump whose path has none of the words.
fn without(dump: &str, words: &[&str]) -> String {
    let kept = dump
        .lines()
        .filter(|line| !words.iter().any(|word| line.contains(word)));
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_small_project_becomes_these_layers() {
    let fixture = Fixture::new().pyproject(&["demo==1.0", "native"], "");
    fixture.build();
    let layers = fixture.run.layers("linux/amd64");
    assert_eq!(
        layers.keys().collect::<Vec<_>>(),
        ["OS libraries", "app", "distributions", "interpreter"]
    );
    // The lock holds the addresses of this run's servers.
    insta::assert_snapshot!(without(&layers["app"], &["pylock"]), @r"
    d 0755 - - app/
    f 0644 14 a35dcb00 app/main.py
    f 0644 78 b6f7c016 app/pyproject.toml
    d 0755 - - usr/
    d 0755 - - usr/share/
    d 0755 - - usr/share/unheck/
    f 0644 2067 4998e00b usr/share/unheck/left-out.txt
    ");
    insta::assert_snapshot!(layers["OS libraries"], @r"
    d 0755 - - etc/
    f 0644 1622 dfdb363d etc/ld.so.cache
    d 0755 - - usr/
    d 0755 - - usr/sbin/
    f 0755 1700 7890e77b usr/sbin/ldconfig
    ");
    insta::assert_snapshot!(layers["distributions"], @r"
    d 0755 - - usr/
    d 0755 - - usr/local/
    d 0755 - - usr/local/bin/
    f 0755 109 c4fd471d usr/local/bin/demo
    d 0755 - - usr/local/lib/
    d 0755 - - usr/local/lib/python3.13/
    d 0755 - - usr/local/lib/python3.13/dist-packages/
    d 0755 - - usr/local/lib/python3.13/dist-packages/demo/
    f 0644 35 74e902e6 usr/local/lib/python3.13/dist-packages/demo/__init__.py
    f 0644 30 f6f3fdc7 usr/local/lib/python3.13/dist-packages/demo/cli.py
    d 0755 - - usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/
    f 0644 7 37624f90 usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/INSTALLER
    f 0644 69 a35758be usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/METADATA
    f 0644 742 66babc50 usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/RECORD
    f 0644 0 e3b0c442 usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/REQUESTED
    f 0644 85 c69b6983 usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/WHEEL
    f 0644 39 48178e60 usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/entry_points.txt
    d 0755 - - usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/licenses/
    f 0644 5 0cf9340d usr/local/lib/python3.13/dist-packages/demo-1.0.dist-info/licenses/LICENSE
    d 0755 - - usr/local/lib/python3.13/dist-packages/hello_lib/
    f 0644 40 8e8979eb usr/local/lib/python3.13/dist-packages/hello_lib/__init__.py
    d 0755 - - usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/
    f 0644 7 37624f90 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/INSTALLER
    f 0644 51 95e4acf8 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/METADATA
    f 0644 367 ec5d8b5d usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/RECORD
    f 0644 85 c69b6983 usr/local/lib/python3.13/dist-packages/hello_lib-1.0.dist-info/WHEEL
    d 0755 - - usr/local/lib/python3.13/dist-packages/native/
    f 0644 20 ed4b6a6e usr/local/lib/python3.13/dist-packages/native/__init__.py
    f 0755 1464 0f8af580 usr/local/lib/python3.13/dist-packages/native/_core.cpython-313-x86_64-linux-gnu.so
    d 0755 - - usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/
    f 0644 7 37624f90 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/INSTALLER
    f 0644 73 f5699666 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/METADATA
    f 0644 632 028e6209 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/RECORD
    f 0644 0 e3b0c442 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/REQUESTED
    f 0644 145 bf676027 usr/local/lib/python3.13/dist-packages/native-1.0.dist-info/WHEEL
    d 0755 - - usr/local/lib/python3.13/dist-packages/native.libs/
    f 0755 1336 20a798aa usr/local/lib/python3.13/dist-packages/native.libs/libvendored-1a2b3c4d.so.1
    ");
    // Modules of the standard library, licences and the package database are many and alike.
    let many = [
        "usr/lib/python3.13/",
        "/copyright",
        "usr/share/doc",
        "/status.d/",
    ];
    insta::assert_snapshot!(without(&layers["interpreter"], &many), @r"
    l 0777 - - bin -> usr/bin
    d 0755 - - dev/
    d 0755 - - etc/
    f 0644 5 f406747a etc/debian_version
    f 0644 44 e14d930f etc/group
    f 0644 19 687ae746 etc/mime.types
    f 0644 91 736cfc5d etc/nsswitch.conf
    l 0777 - - etc/os-release -> ../usr/lib/os-release
    f 0644 161 5885c2d3 etc/passwd
    f 0644 21 652b4965 etc/protocols
    d 0755 - - etc/python3.13/
    f 0644 25 543a2333 etc/python3.13/sitecustomize.py
    f 0644 28 cef09d65 etc/services
    d 0755 - - etc/ssl/
    d 0755 - - etc/ssl/certs/
    f 0644 1214 8de5ea57 etc/ssl/certs/ca-certificates.crt
    f 0644 28 a7d0c7ab etc/ssl/openssl.cnf
    d 0755 - - home/
    d 0700 - - home/nonroot/
    l 0777 - - lib -> usr/lib
    l 0777 - - lib64 -> usr/lib64
    d 0755 - - proc/
    d 0755 - - run/
    l 0777 - - sbin -> usr/sbin
    d 0755 - - sys/
    d 1777 - - tmp/
    d 0755 - - usr/
    d 0755 - - usr/bin/
    l 0777 - - usr/bin/python -> python3.13
    l 0777 - - usr/bin/python3 -> python3.13
    f 0755 1520 4b9e3dfc usr/bin/python3.13
    d 0755 - - usr/lib/
    f 0644 164 3f8f4d6e usr/lib/os-release
    d 0755 - - usr/lib/ssl/
    l 0777 - - usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt
    l 0777 - - usr/lib/ssl/certs -> /etc/ssl/certs
    l 0777 - - usr/lib/ssl/openssl.cnf -> /etc/ssl/openssl.cnf
    d 0755 - - usr/lib/x86_64-linux-gnu/
    f 0755 1400 d54f4353 usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    l 0777 - - usr/lib/x86_64-linux-gnu/libbz2.so.1.0 -> libbz2.so.1.0.4
    f 0644 1432 2de0d4f2 usr/lib/x86_64-linux-gnu/libbz2.so.1.0.4
    f 0755 11360 8321ecf7 usr/lib/x86_64-linux-gnu/libc.so.6
    f 0644 5704 e218ad0a usr/lib/x86_64-linux-gnu/libcrypto.so.3
    l 0777 - - usr/lib/x86_64-linux-gnu/libexpat.so.1 -> libexpat.so.1.10.2
    f 0644 1432 e05f5ea9 usr/lib/x86_64-linux-gnu/libexpat.so.1.10.2
    l 0777 - - usr/lib/x86_64-linux-gnu/libffi.so.8 -> libffi.so.8.1.4
    f 0644 1608 995ece6c usr/lib/x86_64-linux-gnu/libffi.so.8.1.4
    f 0644 1672 51fd4c28 usr/lib/x86_64-linux-gnu/libgcc_s.so.1
    l 0777 - - usr/lib/x86_64-linux-gnu/liblzma.so.5 -> liblzma.so.5.8.1
    f 0644 1672 103b53ef usr/lib/x86_64-linux-gnu/liblzma.so.5.8.1
    f 0644 1640 e0a7342e usr/lib/x86_64-linux-gnu/libm.so.6
    f 0644 2672 7eeadcb4 usr/lib/x86_64-linux-gnu/libssl.so.3
    l 0777 - - usr/lib/x86_64-linux-gnu/libuuid.so.1 -> libuuid.so.1.3.0
    f 0644 1608 382fbc09 usr/lib/x86_64-linux-gnu/libuuid.so.1.3.0
    l 0777 - - usr/lib/x86_64-linux-gnu/libz.so.1 -> libz.so.1.3.1
    f 0644 1640 4c8dda61 usr/lib/x86_64-linux-gnu/libz.so.1.3.1
    l 0777 - - usr/lib/x86_64-linux-gnu/libzstd.so.1 -> libzstd.so.1.5.7
    f 0644 1432 420a992a usr/lib/x86_64-linux-gnu/libzstd.so.1.5.7
    d 0755 - - usr/lib/x86_64-linux-gnu/ossl-modules/
    f 0644 1272 854a4ae3 usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so
    d 0755 - - usr/lib64/
    l 0777 - - usr/lib64/ld-linux-x86-64.so.2 -> ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    d 0755 - - usr/local/
    d 0755 - - usr/local/bin/
    d 0755 - - usr/sbin/
    d 0755 - - usr/share/
    d 0755 - - usr/share/zoneinfo/
    d 0755 - - usr/share/zoneinfo/America/
    f 0644 132 0c42d0a6 usr/share/zoneinfo/America/New_York
    d 0755 - - usr/share/zoneinfo/Etc/
    f 0644 114 8b858467 usr/share/zoneinfo/Etc/UTC
    d 0755 - - usr/share/zoneinfo/Europe/
    f 0644 136 1e7c6991 usr/share/zoneinfo/Europe/Paris
    l 0777 - - usr/share/zoneinfo/UTC -> Etc/UTC
    f 0644 28 1bf9c7e5 usr/share/zoneinfo/zone.tab
    d 0755 - - var/
    d 0755 - - var/lib/
    d 0755 - - var/lib/dpkg/
    d 1777 - - var/tmp/
    ");
    let database = layers["interpreter"]
        .lines()
        .filter(|line| line.contains("status.d/libc6"));
    insta::assert_snapshot!(database.collect::<Vec<_>>().join("\n"), @r"
    f 0644 223 d7994217 var/lib/dpkg/status.d/libc6
    f 0644 282 cd293fcb var/lib/dpkg/status.d/libc6.md5sums
    ");
    let modules = layers["interpreter"].matches("usr/lib/python3.13/").count();
    assert_eq!(modules, 142);
}

#[test]
fn the_lock_is_sorted_text_with_a_reason_for_every_file() {
    let fixture =
        Fixture::new().pyproject(&["demo==1.0", "native"], "requires-python = '>=3.11'\n");
    fixture.build();
    let text = fixture.redact(&fixture.run.lock_text());
    let paragraph = "\n[[tool.unheck.targets.debs]]\n";
    let mut parts = text.split(paragraph);
    let head = parts.next().unwrap();
    let debs: Vec<&str> = parts.collect();
    insta::assert_snapshot!(head, @r#"
    # Written by unheck; `unheck lock` renews it. PEP 751: uv and pip read the packages.
    lock-version = "1.0"
    created-by = "unheck"
    requires-python = ">=3.11"

    [[packages]]
    name = "demo"
    version = "1.0"
    index = "[index]/simple/"

    [[packages.wheels]]
    name = "demo-1.0-py3-none-any.whl"
    url = "[index]/files/demo/demo-1.0-py3-none-any.whl"
    upload-time = 2026-01-01T00:00:00.0Z
    size = 1498

    [packages.wheels.hashes]
    sha256 = "[sha256]"

    [packages.tool.unheck]
    since = "2026-01-01"

    [[packages]]
    name = "hello-lib"
    version = "1.0"
    index = "[index]/simple/"

    [[packages.wheels]]
    name = "hello_lib-1.0-py3-none-any.whl"
    url = "[index]/files/hello-lib/hello_lib-1.0-py3-none-any.whl"
    upload-time = 2026-01-01T00:00:00.0Z
    size = 922

    [packages.wheels.hashes]
    sha256 = "[sha256]"

    [packages.tool.unheck]
    since = "2026-01-01"

    [[packages]]
    name = "native"
    version = "1.0"
    index = "[index]/simple/"

    [[packages.dependencies]]
    name = "hello-lib"

    [[packages.wheels]]
    name = "native-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    url = "[index]/files/native/native-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    upload-time = 2026-01-01T00:00:00.0Z
    size = 2239

    [packages.wheels.hashes]
    sha256 = "[sha256]"

    [packages.tool.unheck]
    since = "2026-01-01"

    [tool.unheck]
    format = 1
    inputs = "sha256:[sha256]"
    epoch = 1768032000
    roots = [
        "demo",
        "native",
    ]

    [[tool.unheck.targets]]
    platform = "linux/amd64"
    wheels = [
        "demo-1.0-py3-none-any.whl",
        "hello_lib-1.0-py3-none-any.whl",
        "native-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    ]

    [tool.unheck.targets.interpreter]
    provider = "debian"
    version = "3.13.5"
    glibc = "2.41"

    [[tool.unheck.targets.suites]]
    name = "trixie"
    archive = "debian"
    date = 1768032000
    inrelease = "sha256:[sha256]"
    signed-by = ["3671C079135947401891240504DD11B2CBE261CA"]

    [tool.unheck.targets.suites.indexes]
    "main/binary-amd64/Packages.gz" = "sha256:[sha256]"

    [[tool.unheck.targets.suites]]
    name = "trixie-updates"
    archive = "debian"
    date = 1768032000
    inrelease = "sha256:[sha256]"
    signed-by = ["3671C079135947401891240504DD11B2CBE261CA"]

    [tool.unheck.targets.suites.indexes]
    "main/binary-amd64/Packages.gz" = "sha256:[sha256]"

    [[tool.unheck.targets.suites]]
    name = "trixie-security"
    archive = "debian-security"
    date = 1768032000
    inrelease = "sha256:[sha256]"
    signed-by = ["3671C079135947401891240504DD11B2CBE261CA"]

    [tool.unheck.targets.suites.indexes]
    "main/binary-amd64/Packages.gz" = "sha256:[sha256]"
    "#);
    let chosen =
        ["libc6", "python3.13-minimal", "libssl3t64"].map(|name| format!("name = \"{name}\"\n"));
    let shown = debs
        .iter()
        .filter(|deb| chosen.iter().any(|name| deb.starts_with(name)));
    insta::assert_snapshot!(shown.copied().collect::<Vec<_>>().join(paragraph), @r#"
    name = "libc6"
    version = "2.41-12"
    architecture = "amd64"
    source = "glibc"
    suite = "trixie"
    path = "pool/main/g/glibc/libc6_2.41-12_amd64.deb"
    size = 11668
    sha256 = "[sha256]"
    base = true
    reason = "libc.so.6 <- usr/lib/python3.13/lib-dynload/_hashlib.cpython-313-x86_64-linux-gnu.so"

    [tool.unheck.targets.debs.files]
    "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" = "target of usr/lib64/ld-linux-x86-64.so.2"
    "usr/lib/x86_64-linux-gnu/libc.so.6" = "libc.so.6 <- usr/lib/python3.13/lib-dynload/_hashlib.cpython-313-x86_64-linux-gnu.so"
    "usr/lib/x86_64-linux-gnu/libm.so.6" = "libm.so.6 <- usr/lib/python3.13/lib-dynload/_decimal.cpython-313-x86_64-linux-gnu.so"
    "usr/lib64/ld-linux-x86-64.so.2" = "program interpreter <- usr/bin/python3.13"

    [[tool.unheck.targets.debs]]
    name = "libssl3t64"
    version = "3.5.1-1+deb13u1"
    architecture = "amd64"
    source = "openssl"
    suite = "trixie-security"
    path = "pool/updates/main/o/openssl/libssl3t64_3.5.1-1+deb13u1_amd64.deb"
    size = 6252
    sha256 = "[sha256]"
    base = true
    reason = "libcrypto.so.3 <- usr/lib/python3.13/lib-dynload/_hashlib.cpython-313-x86_64-linux-gnu.so"

    [tool.unheck.targets.debs.files]
    "usr/lib/x86_64-linux-gnu/libcrypto.so.3" = "libcrypto.so.3 <- usr/lib/python3.13/lib-dynload/_hashlib.cpython-313-x86_64-linux-gnu.so"
    "usr/lib/x86_64-linux-gnu/libssl.so.3" = "libssl.so.3 <- usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so"

    [[tool.unheck.targets.debs]]
    name = "python3.13-minimal"
    version = "3.13.5-2"
    architecture = "amd64"
    source = "python3.13"
    suite = "trixie"
    path = "pool/main/p/python3.13/python3.13-minimal_3.13.5-2_amd64.deb"
    size = 1720
    sha256 = "[sha256]"
    base = true
    reason = "the interpreter"
    "#);
    let names: Vec<&str> = debs.iter().map(|deb| deb.lines().next().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), 25);
}

#[test]
fn a_second_build_asks_nobody_and_changes_nothing() {
    let fixture = Fixture::new().pyproject(&["demo", "native"], "");
    let first = fixture.build();
    assert!(first.built.locked && !first.built.image.unchanged);
    let (lock, bytes) = (fixture.run.lock_text(), digest_of(&fixture.run.output));
    let stored = blobs(&fixture.run.store);
    fixture.scenario.mirror.clear_requests();
    fixture.scenario.index.server.clear_requests();

    let second = fixture.build();
    assert!(!second.built.locked && second.built.image.unchanged);
    assert_eq!(second.built.image.digest, first.built.image.digest);
    assert_eq!(digest_of(&fixture.run.output), bytes);
    assert_eq!(fixture.run.lock_text(), lock);
    assert_eq!(blobs(&fixture.run.store), stored);
    assert!(fixture.scenario.mirror.requests().is_empty());
    assert!(fixture.scenario.index.server.requests().is_empty());
}

#[test]
fn an_edit_of_the_app_makes_one_new_blob() {
    let fixture = Fixture::new().pyproject(&["demo", "native"], "");
    let first = fixture.build();
    let stored = blobs(&fixture.run.store);
    fixture.write("main.py", "print('other')\n");
    let second = fixture.build();
    assert!(!second.built.locked && !second.built.image.unchanged);
    assert_ne!(second.built.image.digest, first.built.image.digest);
    let digests = |outcome: &Outcome| {
        let layers = outcome.built.platforms[0].layers.iter();
        layers
            .map(|layer| (layer.name.to_string(), layer.layer.digest))
            .collect::<Vec<_>>()
    };
    let changed: Vec<String> = digests(&first)
        .into_iter()
        .zip(digests(&second))
        .filter(|(one, other)| one != other)
        .map(|(one, _)| one.0)
        .collect();
    assert_eq!(changed, ["app"]);
    let new: Vec<String> = blobs(&fixture.run.store)
        .into_iter()
        .filter(|blob| !stored.contains(blob))
        .collect();
    let app = digests(&second).last().unwrap().1.hex();
    assert_eq!(new, [app]);
    assert!(fixture.run.layers("linux/amd64")["app"].contains("app/main.py"));
    // Back again: every blob is there already.
    fixture.write("main.py", "print('main')\n");
    let third = fixture.build();
    assert_eq!(third.built.image.digest, first.built.image.digest);
    assert_eq!(blobs(&fixture.run.store).len(), stored.len() + 1);
}

#[test]
fn two_platforms_make_one_index_and_markers_where_they_differ() {
    let fixture = Fixture::new().pyproject(
        &[
            "native",
            "demo==1.0; platform_machine == 'aarch64'",
            "opener; platform_machine == 'x86_64'",
        ],
        "",
    );
    let both = ["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    let run = fixture.with(|run| run.platforms = both.to_vec());
    let outcome = fixture.built(&run);
    assert_eq!(outcome.built.platforms.len(), 2);
    let lock: toml::Table = run.lock_text().parse().unwrap();
    let packages: Vec<String> = lock["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let marker = package
                .get("marker")
                .and_then(|marker| marker.as_str())
                .unwrap_or("-");
            let wheels = package["wheels"].as_array().unwrap().len();
            format!("{} {wheels} {marker}", package["name"].as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!(packages.join("\n"), @r"
demo 1 platform_machine == 'aarch64'
hello-lib 1 -
native 2 -
opener 1 platform_machine == 'x86_64'
");
    let (amd64, arm64) = (run.shipped("linux/amd64"), run.shipped("linux/arm64"));
    let site = "usr/local/lib/python3.13/dist-packages";
    let has = |tree: &std::collections::BTreeMap<String, String>, name: &str| {
        tree.contains_key(&format!("{site}/{name}"))
    };
    assert!(has(&amd64, "opener") && !has(&arm64, "opener"));
    assert!(!has(&amd64, "demo") && has(&arm64, "demo"));
    assert!(has(&amd64, "native/_core.cpython-313-x86_64-linux-gnu.so"));
    assert!(has(&arm64, "native/_core.cpython-313-aarch64-linux-gnu.so"));
    assert!(amd64.contains_key("usr/lib64/ld-linux-x86-64.so.2"));
    assert!(arm64.contains_key("usr/lib/ld-linux-aarch64.so.1"));
    // The opened library is of one platform's distribution only.
    assert!(amd64.contains_key("usr/lib/x86_64-linux-gnu/libxcb.so.1"));
    assert!(!arm64.contains_key("usr/lib/aarch64-linux-gnu/libxcb.so.1"));
    let one = fixture.built(&fixture.with(|run| run.platforms = both[1..].to_vec()));
    assert_ne!(one.built.image.digest, outcome.built.image.digest);
}

#[test]
fn a_lock_for_other_machines_has_the_interpreter_of_this_one_beside_it() {
    let fixture = Fixture::new().requirements("native\n");
    let both = ["linux/amd64", "linux/arm64"];
    let host = Platform::host()
        .expect("tests run where unheck does")
        .to_string();
    let foreign = both.into_iter().find(|name| *name != host).unwrap();
    let locked = |platforms: &[&str]| {
        let platforms: Vec<String> = platforms.iter().map(|name| (*name).to_owned()).collect();
        let run = fixture.with(|run| {
            run.platforms = platforms;
            run.mode = "renew".to_owned();
        });
        let outcome = fixture.built(&run);
        (
            outcome,
            run.lock_text().parse::<toml::Table>().unwrap(),
            run,
        )
    };
    let (outcome, lock, run) = locked(&[foreign]);
    let plan = &lock["tool"]["unheck"];
    let helper = &plan["helper"];
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    assert_eq!(text(&helper["platform"]), host);
    let target = &plan["targets"][0];
    assert_eq!(text(&target["platform"]), foreign);
    assert_eq!(
        helper["interpreter"]["version"],
        target["interpreter"]["version"]
    );
    assert!(helper["wheels"].as_array().unwrap().is_empty());
    let names = |table: &toml::Value| -> Vec<String> {
        let debs = table["debs"].as_array().unwrap();
        debs.iter().map(|deb| text(&deb["name"])).collect()
    };
    assert!(names(helper).iter().any(|name| name.contains("python3.13")));
    // Nothing of it ships.
    let platforms = outcome.built.platforms.iter();
    let platforms: Vec<String> = platforms.map(|one| one.platform.to_string()).collect();
    assert_eq!(platforms, [foreign]);
    let shipped = run.shipped(foreign);
    assert!(!shipped.keys().any(|path| path.contains(match foreign {
        "linux/arm64" => "x86_64",
        _ => "aarch64",
    })));
    let (_, lock, _) = locked(&both);
    assert!(lock["tool"]["unheck"].get("helper").is_none());
}

#[test]
fn names_modes_and_links_of_the_app_arrive_and_secrets_do_not() {
    let fixture = Fixture::new()
        .requirements("")
        .file("with space/a file.txt", "1")
        .file("ünï/naïve \u{1f40d}.py", "x = 1\n")
        .file("bin/run", "#!/bin/sh\n")
        .file(".env", "TOKEN=1")
        .file("keys/server.key", "secret")
        .file(".git/config", "x")
        .file(".gitignore", "ignored.txt\n")
        .file("ignored.txt", "x")
        .file("__pycache__/main.cpython-313.pyc", "x");
    let at = |name: &str| fixture.run.project.join(name);
    fs_err::set_permissions(at("bin/run"), PermissionsExt::from_mode(0o700)).unwrap();
    fs_err::set_permissions(at("main.py"), PermissionsExt::from_mode(0o4600)).unwrap();
    symlink("with space/a file.txt", at("link.txt")).unwrap();
    symlink("../main.py", at("bin/main.py")).unwrap();
    let outcome = fixture.build();
    let app = &fixture.run.layers("linux/amd64")["app"];
    insta::assert_snapshot!(without(app, &["usr/"]), @r"
    d 0755 - - app/
    d 0755 - - app/bin/
    l 0777 - - app/bin/main.py -> ../main.py
    f 0755 10 a8076d3d app/bin/run
    l 0777 - - app/link.txt -> with space/a file.txt
    f 0644 14 a35dcb00 app/main.py
    f 0644 0 e3b0c442 app/requirements.txt
    d 0755 - - app/with space/
    f 0644 1 6b86b273 app/with space/a file.txt
    d 0755 - - app/ünï/
    f 0644 6 9e26bf36 app/ünï/naïve 🐍.py
    ");
    insta::assert_snapshot!(outcome.heard.join("\n"), @r"
    note: starts the file `main.py`
    finding: secret-left-out .env
    finding: secret-left-out keys/server.key
    ");
}

#[test]
fn links_out_of_the_app_are_refused() {
    let fixture = Fixture::new().requirements("");
    symlink("../../etc/passwd", fixture.run.project.join("out")).unwrap();
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r#"
    Input
    cannot take the app's files
    the app's link `out` leads out of the project, to `../../etc/passwd`
    hint: leave it out: `exclude = ["/out"]` in `[tool.unheck]`
    "#);
    fixture.assert_nothing_written();
}

#[test]
fn two_distributions_that_want_one_file_are_told_apart() {
    let wheel = |name: &str| {
        WheelBuilder::new(name, "1.0")
            .file("shared/data.txt", name)
            .file("same.py", "x = 1\n")
    };
    let world = World::basic()
        .wheel(&wheel("first"))
        .wheel(&wheel("second"));
    let fixture = Fixture::world(world).requirements("first\nsecond\n");
    insta::assert_snapshot!(fixture.refused(&fixture.run), @r"
    Input
    cannot lock
    what was chosen does not fit together
    two parts of the environment want the same file
    `usr/local/lib/python3.13/dist-packages/shared/data.txt` comes from distribution first and, with other content, from distribution second
    hint: keep one of them: distribution first or distribution second
    ");
    assert!(!fixture.run.output.exists());
}

#[test]
fn programs_that_change_their_user_are_refused_and_sticky_bits_dropped() {
    let world = |mode: u32| {
        let odd = TarEntry {
            mode,
            ..TarEntry::file("./usr/bin/odd", "x")
        };
        let deb = DebBuilder::new("odd", "1.0-1", "amd64").entry(odd);
        Fixture::world(World::basic().deb(&deb)).pyproject(&[], "[tool.unheck]\ndebs = ['odd']\n")
    };
    for mode in [0o4755, 0o2755] {
        let fixture = world(mode);
        let error = fixture.refused(&fixture.run);
        assert!(
            error.contains(
                "`usr/bin/odd`, a program that changes its user or group: it does not ship"
            ),
            "{error}"
        );
        assert!(!fixture.run.output.exists());
    }
    let fixture = world(0o1644);
    fixture.build();
    let shipped = fixture.run.shipped("linux/amd64");
    assert!(
        shipped["usr/bin/odd"].starts_with("f 0644 1 "),
        "{}",
        shipped["usr/bin/odd"]
    );
}

#[test]
fn gzip_layers_hold_the_same_tree_and_a_layout_folder_the_same_image() {
    let fixture = Fixture::new().pyproject(&["demo==1.0"], "");
    let archive = fixture.build();
    let zstd = fixture.run.layers("linux/amd64");
    let folder = fixture.with(|run| run.output = fixture.path("out.oci"));
    assert_eq!(
        fixture.built(&folder).built.image.digest,
        archive.built.image.digest
    );
    assert_eq!(folder.layers("linux/amd64"), zstd);
    let gzip = fixture.with(|run| run.compression = "gzip".to_owned());
    assert_ne!(
        fixture.built(&gzip).built.image.digest,
        archive.built.image.digest
    );
    assert_eq!(gzip.layers("linux/amd64"), zstd);
}

#[test]
fn nothing_is_trimmed_unless_asked() {
    let fixture = Fixture::new().pyproject(&[], "");
    fixture.build();
    let safe = fixture.run.shipped("linux/amd64");
    let all = fixture.with(|run| run.trim = "none".to_owned());
    fixture.built(&all);
    let all = all.shipped("linux/amd64");
    let gone: Vec<&str> = all
        .keys()
        .filter(|path| !safe.contains_key(*path))
        .map(String::as_str)
        .collect();
    insta::assert_snapshot!(gone.join("\n"), @r"
        usr/lib/python3.13/EXTERNALLY-MANAGED
        usr/lib/python3.13/curses
        usr/lib/python3.13/curses/__init__.py
        usr/lib/python3.13/idlelib
        usr/lib/python3.13/idlelib/__init__.py
        usr/lib/python3.13/lib-dynload/_curses.cpython-313-x86_64-linux-gnu.so
        usr/lib/python3.13/lib-dynload/_dbm.cpython-313-x86_64-linux-gnu.so
        usr/lib/python3.13/lib-dynload/_sqlite3.cpython-313-x86_64-linux-gnu.so
        usr/lib/python3.13/lib-dynload/readline.cpython-313-x86_64-linux-gnu.so
        usr/lib/python3.13/pydoc_data
        usr/lib/python3.13/pydoc_data/__init__.py
        usr/lib/python3.13/pydoc_data/topics.py
        usr/lib/python3.13/sqlite3
        usr/lib/python3.13/sqlite3/__init__.py
        usr/lib/python3.13/sqlite3/dbapi2.py
        usr/lib/python3.13/test
        usr/lib/python3.13/test/__init__.py
        usr/lib/python3.13/test/support
        usr/lib/python3.13/test/support/__init__.py
        usr/lib/python3.13/test/test_ast
        usr/lib/python3.13/test/test_ast/__init__.py
        usr/lib/python3.13/turtle.py
        usr/lib/python3.13/turtledemo
        usr/lib/python3.13/turtledemo/__init__.py
        usr/lib/x86_64-linux-gnu/libdb-5.3.so
        usr/lib/x86_64-linux-gnu/libncursesw.so.6
        usr/lib/x86_64-linux-gnu/libncursesw.so.6.5
        usr/lib/x86_64-linux-gnu/libreadline.so.8
        usr/lib/x86_64-linux-gnu/libreadline.so.8.2
        usr/lib/x86_64-linux-gnu/libsqlite3.so.0
        usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6
        usr/lib/x86_64-linux-gnu/libtinfo.so.6
        usr/lib/x86_64-linux-gnu/libtinfo.so.6.5
        usr/share/doc/libdb5.3t64
        usr/share/doc/libdb5.3t64/copyright
        usr/share/doc/libncursesw6
        usr/share/doc/libncursesw6/copyright
        usr/share/doc/libreadline8t64
        usr/share/doc/libreadline8t64/copyright
        usr/share/doc/libsqlite3-0
        usr/share/doc/libsqlite3-0/copyright
        usr/share/doc/libtinfo6
        usr/share/doc/libtinfo6/copyright
        usr/share/zoneinfo/leap-seconds.list
        usr/share/zoneinfo/tzdata.zi
        var/lib/dpkg/status.d/libdb5.3t64
        var/lib/dpkg/status.d/libdb5.3t64.md5sums
        var/lib/dpkg/status.d/libncursesw6
        var/lib/dpkg/status.d/libncursesw6.md5sums
        var/lib/dpkg/status.d/libreadline8t64
        var/lib/dpkg/status.d/libreadline8t64.md5sums
        var/lib/dpkg/status.d/libsqlite3-0
        var/lib/dpkg/status.d/libsqlite3-0.md5sums
        var/lib/dpkg/status.d/libtinfo6
        var/lib/dpkg/status.d/libtinfo6.md5sums
        ");
}
