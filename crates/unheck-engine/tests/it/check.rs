//! Targets that are captured: from root directories and images, good and hostile ones.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use unheck_base::Digest;
use unheck_elf::Machine as ElfMachine;
use unheck_engine::build::BuildError;
use unheck_engine::check::capture::{Captured, Host, capture};
use unheck_engine::check::judge::Outcome;
use unheck_engine::check::needs::{Form, Libs};
use unheck_engine::check::profile::{Basis, Installer, LibcKind, Profile};
use unheck_engine::check::root::{DirRoot, Root as _};
use unheck_engine::check::target::{Target, capture_path, read_profile};
use unheck_engine::check::{CheckRequest, IsaLevel, check};
use unheck_engine::event::Silent;
use unheck_engine::platform::Platform;
use unheck_testkit::elf::{ElfBuilder, Machine};

use crate::support::{Failure, Fixture, Heard};

const LIB: &str = "usr/lib/x86_64-linux-gnu";

fn x86() -> ElfBuilder {
    ElfBuilder::new(Machine::X86_64)
}

fn libc() -> Vec<u8> {
    x86()
        .soname("libc.so.6")
        .define_version("GLIBC_2.2.5")
        .define_version("GLIBC_2.34")
        .rodata(b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n\0")
        .build()
}

/// Files and links (`->` in front of the text) of a root like Debian's.
fn debian() -> BTreeMap<String, Vec<u8>> {
    let zlib = x86().soname("libz.so.1").define_version("ZLIB_1.2.9");
    let plain = x86().soname("libplain.so.1");
    let local = x86().soname("liblocal.so.1");
    let files: [(&str, Vec<u8>); 12] = [
        ("lib", b"-> usr/lib".to_vec()),
        ("lib64", b"-> usr/lib64".to_vec()),
        (
            "usr/lib64/ld-linux-x86-64.so.2",
            x86().soname("ld-linux-x86-64.so.2").build(),
        ),
        (
            "etc/ld.so.conf",
            b"include /etc/ld.so.conf.d/*.conf\n".to_vec(),
        ),
        (
            "etc/ld.so.conf.d/x.conf",
            b"# local\n/opt/vendor/lib\n".to_vec(),
        ),
        ("opt/vendor/lib/liblocal.so.1", local.build()),
        ("etc/os-release", b"-> ../usr/lib/os-release".to_vec()),
        (
            "usr/lib/os-release",
            b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n".to_vec(),
        ),
        ("etc/ssl/certs/ca-certificates.crt", b"PEM".to_vec()),
        (
            "usr/lib/x86_64-linux-gnu/libz.so",
            b"-> libz.so.1.2.13".to_vec(),
        ),
        (
            "usr/lib/x86_64-linux-gnu/libz.so.1",
            b"-> libz.so.1.2.13".to_vec(),
        ),
        ("usr/lib/x86_64-linux-gnu/libz.so.1.2.13", zlib.build()),
    ];
    let mut all: BTreeMap<String, Vec<u8>> = files
        .into_iter()
        .map(|(path, bytes)| (path.to_owned(), bytes))
        .collect();
    all.insert(format!("{LIB}/libc.so.6"), libc());
    all.insert(format!("{LIB}/libplain.so.1"), plain.build());
    let arm = ElfBuilder::new(Machine::Aarch64).soname("libarm.so.1");
    all.insert(format!("{LIB}/libarm.so.1"), arm.build());
    all
}

fn alpine() -> BTreeMap<String, Vec<u8>> {
    let database = b"P:busybox\nV:1.36.1-r29\n\nP:musl\nV:1.2.5-r0\n\n";
    BTreeMap::from([
        (
            "etc/os-release".to_owned(),
            b"ID=alpine\nVERSION_ID=3.20.3\n".to_vec(),
        ),
        ("lib/ld-musl-x86_64.so.1".to_owned(), x86().build()),
        (
            "lib/libc.musl-x86_64.so.1".to_owned(),
            b"-> ld-musl-x86_64.so.1".to_vec(),
        ),
        ("lib/apk/db/installed".to_owned(), database.to_vec()),
    ])
}

fn write(top: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = top.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        match bytes.strip_prefix(b"-> ") {
            Some(text) => symlink(std::str::from_utf8(text).unwrap(), &path).unwrap(),
            None => fs_err::write(&path, bytes).unwrap(),
        }
    }
}

/// A directory with these files as its root.
fn root(files: &BTreeMap<String, Vec<u8>>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files);
    directory
}

fn layer(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match bytes.strip_prefix(b"-> ") {
            Some(text) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                let text = std::str::from_utf8(text).unwrap();
                builder.append_link(&mut header, name, text).unwrap();
            }
            None => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, name, &bytes[..]).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// An image layout of plain layers, as other tools write it.
fn image(layers: &[BTreeMap<String, Vec<u8>>]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let blobs = directory.path().join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8], media_type: &str| {
        let digest = Digest::of(bytes);
        let hex = digest.to_string().replace("sha256:", "");
        fs_err::write(blobs.join(hex), bytes).unwrap();
        serde_json::json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let tars: Vec<Vec<u8>> = layers.iter().map(layer).collect();
    let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = put(
        config.to_string().as_bytes(),
        "application/vnd.oci.image.config.v1+json",
    );
    let layers: Vec<serde_json::Value> = tars
        .iter()
        .map(|tar| put(tar, "application/vnd.oci.image.layer.v1.tar"))
        .collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers,
    });
    let manifest = put(
        manifest.to_string().as_bytes(),
        "application/vnd.oci.image.manifest.v1+json",
    );
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    fs_err::write(directory.path().join("index.json"), index.to_string()).unwrap();
    fs_err::write(
        directory.path().join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )
    .unwrap();
    directory
}

fn captured(path: &Path) -> Captured {
    capture_path(path, None, None).unwrap()
}

fn check_debian(profile: &Profile) {
    assert_eq!(
        (profile.name.as_str(), profile.basis),
        ("debian:12", Basis::Captured)
    );
    assert_eq!(profile.title, "Debian 12");
    assert_eq!(profile.architecture.as_deref(), Some("amd64"));
    assert_eq!(profile.installer, Some(Installer::Apt));
    let libc = profile.libc.as_ref().unwrap();
    assert_eq!(
        (libc.kind, libc.version.as_str()),
        (LibcKind::Glibc, "2.36")
    );
    let names: Vec<&str> = profile.libraries.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ld-linux-x86-64.so.2",
            "libc.so.6",
            "liblocal.so.1",
            "libplain.so.1",
            "libz.so.1"
        ]
    );
    let versions = |soname: &str| {
        let versions = profile.libraries[soname].versions.as_ref().unwrap();
        versions.iter().cloned().collect::<Vec<String>>().join(" ")
    };
    assert_eq!(versions("libc.so.6"), "GLIBC_2.2.5 GLIBC_2.34");
    assert_eq!(versions("libz.so.1"), "ZLIB_1.2.9");
    assert_eq!(versions("libplain.so.1"), "");
    assert!(profile.locale.as_ref().unwrap().c_utf8);
    let ca = profile.ca.as_ref().unwrap();
    assert_eq!(
        (ca.path.as_str(), ca.installed),
        ("/etc/ssl/certs/ca-certificates.crt", true)
    );
    assert!(profile.complete && profile.kernel.is_none() && profile.cpu.is_none());
}

#[test]
fn a_root_directory_and_an_image_of_it_are_captured_alike() {
    let directory = root(&debian());
    let one = captured(directory.path());
    check_debian(&one.profile);
    assert_eq!(one.findings, []);
    // A lower layer with a library that an upper one takes away, and one that it replaces.
    let gone = x86().soname("libgone.so.1").build();
    let lower = BTreeMap::from([
        (format!("{LIB}/libgone.so.1"), gone.clone()),
        ("opt/vendor/lib/libother.so.1".to_owned(), gone),
        (format!("{LIB}/libplain.so.1"), b"no object".to_vec()),
    ]);
    let mut upper = debian();
    upper.insert(format!("{LIB}/.wh.libgone.so.1"), Vec::new());
    upper.insert("opt/vendor/lib/.wh..wh..opq".to_owned(), Vec::new());
    let layout = image(&[lower, upper]);
    let other = captured(layout.path());
    check_debian(&other.profile);
    assert_eq!(one.profile, other.profile);
}

#[test]
fn musl_is_recognised_with_its_version() {
    let directory = root(&alpine());
    let profile = captured(directory.path()).profile;
    let libc = profile.libc.as_ref().unwrap();
    assert_eq!(
        (libc.kind, libc.version.as_str()),
        (LibcKind::Musl, "1.2.5")
    );
    assert_eq!(profile.name, "alpine:3.20.3");
    assert_eq!(profile.installer, Some(Installer::Apk));
    assert!(profile.libraries.contains_key("libc.musl-x86_64.so.1"));
    assert!(profile.locale.unwrap().c_utf8);
    let layout = image(&[alpine()]);
    assert_eq!(captured(layout.path()).profile.libraries, profile.libraries);
}

#[test]
fn a_captured_profile_survives_its_file() {
    let directory = root(&debian());
    let host = Host {
        kernel: Some("6.1.0-38-amd64".to_owned()),
        cpu: Some(IsaLevel::V3),
        page_size: Some(4096),
    };
    let dir = DirRoot::open(directory.path()).unwrap();
    let profile = capture(&dir, Some(ElfMachine::X86_64), Some(&host)).profile;
    assert_eq!(profile.kernel.as_ref().unwrap().version, "6.1.0");
    assert_eq!(profile.cpu.as_ref().unwrap().level, IsaLevel::V3);
    let file = directory.path().join("profile.toml");
    fs_err::write(&file, profile.to_text()).unwrap();
    assert_eq!(read_profile(&file).unwrap(), profile);
    // And it is a target.
    let text = file.display().to_string();
    assert_eq!(Target::parse(&text, Path::new("")).unwrap().asked, text);
}

/// Where a test of hostile roots keeps what a capture must not see.
fn hostile() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("outside");
    write(
        &outside,
        &BTreeMap::from([
            (
                "libsecret.so.1".to_owned(),
                x86().soname("libsecret.so.1").build(),
            ),
            ("os-release".to_owned(), b"ID=outside\n".to_vec()),
        ]),
    );
    let top = directory.path().join("root");
    write(&top, &debian());
    (directory, top)
}

#[test]
fn a_hostile_root_neither_escapes_nor_hangs() {
    let (directory, top) = hostile();
    let lib = top.join(LIB);
    let outside = directory.path().join("outside/libsecret.so.1");
    // Out of the root by an absolute link, by dots and through a directory.
    symlink(&outside, lib.join("libsecret.so.1")).unwrap();
    symlink(
        "../../../../../../outside/libsecret.so.1",
        lib.join("libsecret2.so.1"),
    )
    .unwrap();
    symlink(directory.path().join("outside"), top.join("usr/local")).unwrap();
    fs_err::remove_file(top.join("etc/os-release")).unwrap();
    symlink("../../outside/os-release", top.join("etc/os-release")).unwrap();
    // Loops, of one and of two, and a configuration that includes itself.
    symlink("libloop.so.1", lib.join("libloop.so.1")).unwrap();
    symlink("liba.so.1", lib.join("libb.so.1")).unwrap();
    symlink("libb.so.1", lib.join("liba.so.1")).unwrap();
    fs_err::write(
        top.join("etc/ld.so.conf"),
        "include /etc/ld.so.conf\ninclude /etc/ld.so.conf.d/*.conf\n/loop\n/../../outside\n",
    )
    .unwrap();
    symlink("loop", top.join("loop")).unwrap();
    // A file of a terabyte, a pipe that nobody writes to, a directory and rubbish.
    let huge = fs_err::File::create(lib.join("libhuge.so.1")).unwrap();
    huge.set_len(1 << 40).unwrap();
    std::io::Write::write_all(&mut &huge, b"\x7fELF").unwrap();
    let fifo = lib.join("libfifo.so.1");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    symlink("/dev/zero", lib.join("libzero.so.1")).unwrap();
    fs_err::create_dir(lib.join("libdir.so.1")).unwrap();
    fs_err::write(lib.join("libtorn.so.1"), b"\x7fELF\x02\x01\x01").unwrap();
    fs_err::write(lib.join("libclosed.so.1"), libc()).unwrap();
    let mode = std::fs::Permissions::from_mode(0o000);
    fs_err::set_permissions(lib.join("libclosed.so.1"), mode).unwrap();

    let Captured { profile, findings } = captured(&top);
    let names: Vec<&str> = profile.libraries.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ld-linux-x86-64.so.2",
            "libc.so.6",
            "liblocal.so.1",
            "libplain.so.1",
            "libz.so.1"
        ]
    );
    assert_eq!(profile.name, "debian:12", "its other os-release");
    let told: Vec<&str> = findings
        .iter()
        .map(|finding| finding.subject.rsplit('/').next().unwrap())
        .filter(|name| *name != "libclosed.so.1")
        .collect();
    assert_eq!(told, ["libhuge.so.1", "libtorn.so.1"]);
    let dir = DirRoot::open(&top).unwrap();
    assert!(!dir.exists("usr/local/libsecret.so.1"));
    assert!(
        dir.read(&format!("{LIB}/libsecret.so.1"), 1 << 20)
            .is_none()
    );
}

#[test]
fn an_image_whose_links_loop_or_leave_is_captured_without_them() {
    let mut files = debian();
    files.insert(format!("{LIB}/libloop.so.1"), b"-> libloop.so.1".to_vec());
    files.insert(
        format!("{LIB}/libaway.so.1"),
        b"-> ../../../../../../etc/passwd".to_vec(),
    );
    files.insert("loop".to_owned(), b"-> loop/loop".to_vec());
    files.insert(
        "etc/ld.so.conf".to_owned(),
        b"/loop\ninclude ld.so.conf.d/*.conf\n".to_vec(),
    );
    let layout = image(&[files]);
    check_debian(&captured(layout.path()).profile);
}

#[test]
fn an_artifact_is_checked_against_names_profiles_images_and_roots() {
    let fixture = Fixture::new().requirements("native\n");
    fixture.run.build().expect("build");
    let mut run = fixture.run.clone();
    run.offline = true;
    let session = run.session(std::sync::Arc::new(Silent)).unwrap();
    let directory = root(&debian());
    let musl = image(&[alpine()]);
    let on = |path: &Path| path.display().to_string();
    let mut request = CheckRequest {
        artifact: fixture.run.output.clone(),
        on: vec![
            "alpine:3.20".to_owned(),
            on(directory.path()),
            on(musl.path()),
        ],
        libs: None,
        cpu: None,
        platforms: vec![],
        ubuntu: None,
    };
    let report = check(&session, &request).unwrap();
    assert!(report.ok(), "{report:#?}");
    assert_eq!(report.verdicts.len(), 3);
    request.libs = Some(Libs::Dynamic);
    let report = check(&session, &request).unwrap();
    let outcomes: Vec<Outcome> = report.verdicts.iter().map(|one| one.outcome).collect();
    assert!(!report.ok());
    assert_eq!((outcomes[0], outcomes[2]), (Outcome::Fails, Outcome::Fails));
    let text = format!("{report:?}");
    assert!(text.contains("libc is musl"), "{text}");
    request.on = vec!["rhel:7".to_owned()];
    let error = check(&session, &request).expect_err("unknown");
    let hints = unheck_engine::explain::Explain::hints(&error);
    assert!(hints[0].contains("`rhel:8`"), "{hints:?}");
    request.on = vec!["rhel:8".to_owned()];
    request.platforms = vec![Platform::LinuxArm64];
    let error = check(&session, &request).expect_err("platform");
    assert_eq!(
        error.to_string(),
        "the artifact is for linux/amd64, not for linux/arm64"
    );
}

#[test]
fn every_platform_of_an_image_has_its_own_answer() {
    let mut fixture = Fixture::new().requirements("native\n");
    fixture.run.platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    fixture.run.build().expect("build");
    let session = fixture.run.session(std::sync::Arc::new(Silent)).unwrap();
    let pi = fixture.dir.path().join("pi.toml");
    let text = "format = 1\nname = \"pi\"\nbasis = \"captured\"\narchitecture = \"arm64\"\n[page-size]\nsizes = [131072]\n";
    fs_err::write(&pi, text).unwrap();
    let mut request = CheckRequest {
        artifact: fixture.run.output.clone(),
        on: vec!["rhel:8".to_owned(), pi.display().to_string()],
        libs: None,
        cpu: None,
        platforms: vec![],
        ubuntu: None,
    };
    let report = check(&session, &request).unwrap();
    let answers: Vec<(&str, Outcome)> = report
        .verdicts
        .iter()
        .map(|one| (one.platform.as_str(), one.outcome))
        .collect();
    // The world's objects are aligned for 64 KiB on arm64, which is what RHEL 8 has.
    assert_eq!(
        answers,
        [
            ("linux/amd64", Outcome::Runs),
            ("linux/arm64", Outcome::Runs),
            ("linux/amd64", Outcome::Fails),
            ("linux/arm64", Outcome::Fails),
        ]
    );
    let rule = |number: usize| {
        report.verdicts[number]
            .reasons()
            .next()
            .unwrap()
            .rule
            .clone()
    };
    assert_eq!(
        (rule(2), rule(3)),
        ("machine".to_owned(), "page-size".to_owned())
    );
    request.platforms = vec![Platform::LinuxArm64];
    assert_eq!(check(&session, &request).unwrap().verdicts.len(), 2);
}

#[test]
fn relocatable_artifacts_are_checked_by_their_own_list() {
    for (format, output) in [("dir", "out"), ("tar", "out.tar.zst"), ("exe", "out")] {
        for libs in ["static", "dynamic"] {
            let mut fixture = Fixture::new().requirements("native\n");
            fixture.run.format = format.to_owned();
            fixture.run.libs = libs.to_owned();
            fixture.run.output = fixture.dir.path().join(output);
            fixture.run.build().expect("build");
            let session = fixture.run.session(std::sync::Arc::new(Silent)).unwrap();
            let request = CheckRequest {
                artifact: fixture.run.output.clone(),
                on: vec!["alpine:3.20".to_owned()],
                libs: None,
                cpu: None,
                platforms: vec![],
                ubuntu: None,
            };
            let report = check(&session, &request).unwrap();
            assert_eq!(report.form.to_string(), format);
            assert_eq!(report.libs.to_string(), libs, "{format}");
            let verdict = &report.verdicts[0];
            let rules: Vec<&str> = verdict
                .findings
                .iter()
                .map(|finding| finding.rule.as_str())
                .collect();
            if libs == "static" {
                assert_eq!(verdict.outcome, Outcome::Runs, "{format}: {rules:?}");
                assert!(!rules.contains(&"container-runtime"), "{format}");
            } else {
                assert_eq!(verdict.outcome, Outcome::Fails, "{format}: {rules:?}");
                assert!(rules.contains(&"libc-kind"), "{format}: {rules:?}");
            }
        }
    }
}

#[test]
fn a_promise_holds_for_relocatable_artifacts_too() {
    let pi = "format = 1\nname = \"pi\"\nbasis = \"captured\"\narchitecture = \"arm64\"\n";
    for (format, output) in [("dir", "out"), ("tar", "out.tar.gz"), ("exe", "out")] {
        let more = "[tool.unheck]\nrequire = ['pi.toml']\n";
        let mut fixture = Fixture::new()
            .pyproject(&["native"], more)
            .file("main.py", "print('main')\n")
            .file("pi.toml", pi);
        fixture.run.format = format.to_owned();
        fixture.run.output = fixture.dir.path().join(output);
        let failed = fixture.run.build().expect_err("another machine");
        let Failure::Build(BuildError::Broken(findings)) = failed else {
            panic!("{format}: {failed:?}")
        };
        assert_eq!(findings[0].rule, "target-machine", "{format}");
        assert!(!fixture.run.output.exists(), "{format}");
    }
}

#[test]
fn a_directory_is_an_artifact_too() {
    const SITE: &str = "usr/local/lib/python3.13/dist-packages";
    let python = x86()
        .interp(Machine::X86_64.loader())
        .need_version("libc.so.6", "GLIBC_2.17");
    let fast = x86().need_version("libc.so.6", "GLIBC_2.34");
    let metadata = "Metadata-Version: 2.1\nName: NumPy\nVersion: 2.4.0\n";
    let record = "numpy/fast.so,,\nnumpy-2.4.0.dist-info/RECORD,,\n";
    let files = BTreeMap::from([
        ("usr/bin/python3.13".to_owned(), python.build()),
        ("usr/bin/python3".to_owned(), b"-> python3.13".to_vec()),
        (format!("{SITE}/numpy/fast.so"), fast.build()),
        (
            format!("{SITE}/numpy-2.4.0.dist-info/METADATA"),
            metadata.into(),
        ),
        (
            format!("{SITE}/numpy-2.4.0.dist-info/RECORD"),
            record.into(),
        ),
        ("loop".to_owned(), b"-> loop".to_vec()),
        ("app/torn.so".to_owned(), b"\x7fELF\x02\x01\x01".to_vec()),
    ]);
    let directory = root(&files);
    let fixture = Fixture::new();
    let mut run = fixture.run.clone();
    run.offline = true;
    let session = run.session(std::sync::Arc::new(Silent)).unwrap();
    let request = CheckRequest {
        artifact: directory.path().to_owned(),
        on: ["debian:11", "rhel:9", "ubuntu:22.04"]
            .map(str::to_owned)
            .into(),
        libs: None,
        cpu: None,
        platforms: vec![],
        ubuntu: None,
    };
    let report = check(&session, &request).unwrap();
    assert_eq!((report.form, report.libs), (Form::Dir, Libs::Dynamic));
    let outcomes: Vec<Outcome> = report.verdicts.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Fails, Outcome::Runs, Outcome::Runs]);
    let reasons = |number: usize| -> Vec<String> {
        let reasons = report.verdicts[number].reasons();
        reasons.map(|finding| finding.evidence.clone()).collect()
    };
    let debian = reasons(0);
    assert!(
        debian.contains(&format!(
            "`{SITE}/numpy/fast.so` of numpy 2.4.0 needs GLIBC_2.34\nthe target has glibc 2.31"
        )),
        "{debian:?}"
    );
    let cpu = |finding: &&unheck_engine::finding::Finding| finding.rule == "cpu-level";
    let ubuntu = report.verdicts[2].findings.iter().find(cpu).unwrap();
    assert!(
        ubuntu.evidence.starts_with("numpy 2.4.0 needs x86-64-v2"),
        "{ubuntu:?}"
    );
    let unread = report.verdicts[1]
        .findings
        .iter()
        .find(|finding| finding.rule == "object-unread");
    assert_eq!(unread.unwrap().subject, "app/torn.so");
    let empty = tempfile::tempdir().unwrap();
    request_of(
        &session,
        empty.path(),
        "has nothing for linux/amd64 or linux/arm64",
    );
    let file = empty.path().join("plain.txt");
    fs_err::write(&file, "text").unwrap();
    request_of(&session, &file, "cannot open the artifact");
}

/// An artifact that is refused with a message.
#[track_caller]
fn request_of(session: &unheck_engine::session::Session, artifact: &Path, message: &str) {
    let request = CheckRequest {
        artifact: artifact.to_owned(),
        on: vec!["rhel:9".to_owned()],
        libs: None,
        cpu: None,
        platforms: vec![],
        ubuntu: None,
    };
    let error = check(session, &request).expect_err(message);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(message), "{cause}");
}

#[test]
fn a_release_is_computed_from_its_signed_indexes() {
    let fixture = Fixture::new().requirements("native\n");
    fixture.run.build().expect("build");
    let session = fixture.run.session(std::sync::Arc::new(Silent)).unwrap();
    let target = Target::parse("debian:13", Path::new("")).unwrap();
    let sonames = ["libc.so.6", "libz.so.1", "libnowhere.so.9"]
        .map(str::to_owned)
        .into();
    let platform = Platform::LinuxAmd64;
    let (profile, _) = target.profile(&session, None, platform, &sonames).unwrap();
    assert_eq!(
        (profile.name.as_str(), profile.basis),
        ("debian:13", Basis::Computed)
    );
    assert_eq!(profile.installer, Some(Installer::Apt));
    let zlib = &profile.libraries["libz.so.1"];
    assert_eq!(zlib.package.as_deref(), Some("zlib1g"));
    assert!(profile.libraries["libc.so.6"].versions.is_some());
    assert!(!profile.libraries.contains_key("libnowhere.so.9"));
    // What is not in the indexes is not there.
    assert!(profile.library("libnowhere.so.9").is_none() && profile.complete);
}

#[test]
fn a_release_of_ubuntu_is_computed_where_an_archive_of_it_is_given() {
    let fixture = Fixture::new().requirements("native\n");
    let session = fixture.run.session(std::sync::Arc::new(Silent)).unwrap();
    // The world's suite stands for one of Ubuntu's that no shipped data knows.
    let target = Target::parse("ubuntu:trixie", Path::new("")).unwrap();
    let sonames = ["libz.so.1", "libnowhere.so.9"].map(str::to_owned).into();
    let platform = Platform::LinuxAmd64;
    let archive = Some(&session.mirror);
    let (profile, _) = target
        .profile(&session, archive, platform, &sonames)
        .unwrap();
    assert_eq!(
        (profile.name.as_str(), profile.title.as_str(), profile.basis),
        ("ubuntu:trixie", "Ubuntu trixie", Basis::Computed)
    );
    assert!(profile.libraries.contains_key("libz.so.1"));
    // Only a part of Ubuntu is loaded, so what was not found is not known to be missing.
    assert!(!profile.complete);
    let error = target
        .profile(&session, None, platform, &sonames)
        .expect_err("no archive");
    let hints = unheck_engine::explain::Explain::hints(&error);
    assert!(hints[0].contains("--ubuntu-mirror"), "{hints:?}");
}

#[test]
fn without_indexes_the_shipped_data_answers_and_says_so() {
    let fixture = Fixture::new().requirements("native\n");
    let mut run = fixture.run.clone();
    run.offline = true;
    let heard = std::sync::Arc::new(Heard::default());
    let session = run.session(heard.clone()).unwrap();
    let sonames = ["libz.so.1".to_owned()].into();
    let platform = Platform::LinuxAmd64;
    let debian = |name: &str| {
        Target::parse(name, Path::new(""))
            .unwrap()
            .profile(&session, None, platform, &sonames)
    };
    let (profile, _) = debian("debian:12").unwrap();
    assert_eq!(profile.basis, Basis::Shipped);
    let notes = heard.take();
    assert!(
        notes[0].starts_with("note: debian:12 is judged by data that comes with unheck"),
        "{notes:?}"
    );
    // There is no shipped data of a suite that moves.
    let error = debian("debian:sid").expect_err("no data");
    let hints = unheck_engine::explain::Explain::hints(&error);
    assert!(
        hints
            .iter()
            .any(|hint| hint.contains("unheck check --capture")),
        "{hints:?}"
    );
}

#[test]
fn a_promise_that_does_not_hold_fails_the_build() {
    let promise = |targets: &str| {
        let more = format!("[tool.unheck]\nrequire = {targets}\n");
        Fixture::new()
            .pyproject(&["native"], &more)
            .file("main.py", "print('main')\n")
    };
    promise("['debian:12', 'rhel:9']")
        .run
        .build()
        .expect("an image runs there");
    let musl = image(&[alpine()]);
    let held = promise(&format!("['{}']", musl.path().display()));
    held.run.build().expect("an image runs there too");
    let fixture = promise("['rhel:7']");
    let failed = fixture.run.build().expect_err("no such target");
    assert!(format!("{failed:?}").contains("rhel:7"), "{failed:?}");
    assert!(!fixture.run.output.exists());
    // A path counts from the project.
    let fixture = promise("['pi.toml']").file(
        "pi.toml",
        "format = 1\nname = \"pi\"\nbasis = \"captured\"\narchitecture = \"arm64\"\n",
    );
    let failed = fixture.run.build().expect_err("another machine");
    let Failure::Build(BuildError::Broken(findings)) = failed else {
        panic!("{failed:?}")
    };
    let told: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} {}: {}", finding.rule, finding.subject, finding.evidence))
        .collect();
    assert_eq!(
        told,
        ["target-machine pi.toml: amd64: the artifact is for amd64, the target is arm64"]
    );
    assert!(!fixture.run.output.exists());
}
