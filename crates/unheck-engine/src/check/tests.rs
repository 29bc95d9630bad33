//! Verdicts on artifacts of a few objects, made in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use unheck_base::TreePath;
use unheck_elf::{IsaLevel, Object};
use unheck_testkit::elf::{ElfBuilder, Machine};

use super::judge::{Outcome, Verdict, judge};
use super::needs::{Content, Form, Libs, Shipped, needs};
use super::profile::Profile;
use super::shipped::find;
use crate::finding::Severity;
use crate::form::Need;
use crate::platform::Platform;
use crate::tree::Origin;

const SITE: &str = "usr/local/lib/python3.13/dist-packages";
const LIB: &str = "usr/lib/x86_64-linux-gnu";

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect("path")
}

fn x86() -> ElfBuilder {
    ElfBuilder::new(Machine::X86_64)
}

fn numpy() -> Origin {
    Origin::Distribution("numpy".to_owned())
}

fn deb(name: &str) -> Origin {
    Origin::Deb(name.to_owned())
}

struct Artifact(Content);

/// A dynamic artifact: an interpreter that needs glibc 2.17.
fn made_for(platform: Platform) -> Artifact {
    let machine = match platform {
        Platform::LinuxAmd64 => Machine::X86_64,
        Platform::LinuxArm64 => Machine::Aarch64,
    };
    let python = ElfBuilder::new(machine)
        .interp(machine.loader())
        .need_version("libc.so.6", "GLIBC_2.17");
    Artifact(Content {
        platform,
        form: Form::Dir,
        objects: BTreeMap::new(),
        unread: Vec::new(),
        distributions: BTreeMap::from([("numpy".to_owned(), "2.3.1".to_owned())]),
        declared_libs: None,
        declared_needs: Vec::new(),
    })
    .with("usr/bin/python3.13", &python, deb("python3.13-minimal"))
}

fn amd64() -> Artifact {
    made_for(Platform::LinuxAmd64)
}

impl Artifact {
    fn with(mut self, at: &str, builder: &ElfBuilder, origin: Origin) -> Self {
        let object = Arc::new(Object::parse(&builder.build()).expect("object"));
        let at = path(at);
        self.0
            .objects
            .insert(at.clone(), Shipped { object, origin, at });
        self
    }

    fn wheel(self, name: &str, builder: &ElfBuilder) -> Self {
        self.with(&format!("{SITE}/{name}"), builder, numpy())
    }

    fn on(&self, target: &str) -> Verdict {
        self.judged(target, None, None)
    }

    fn judged(&self, target: &str, libs: Option<Libs>, cpu: Option<IsaLevel>) -> Verdict {
        let profile = &find(target).expect("target").profile;
        judge(target, &needs(&self.0, libs), profile, cpu)
    }

    fn sonames(&self, libs: Option<Libs>) -> Vec<String> {
        needs(&self.0, libs).libraries.into_keys().collect()
    }
}

/// Rule, subject and evidence of the findings of a severity.
fn told(verdict: &Verdict, severity: Severity) -> Vec<String> {
    verdict
        .findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .map(|finding| format!("{} {}: {}", finding.rule, finding.subject, finding.evidence))
        .collect()
}

#[test]
fn a_newer_glibc_than_the_targets_is_told_with_file_distribution_and_version() {
    let needing = x86()
        .need_version("libc.so.6", "GLIBC_2.34")
        .need_version("libc.so.6", "GLIBC_2.17");
    let artifact = amd64().wheel("numpy/_core/x.so", &needing);
    let verdict = artifact.on("debian:11");
    assert_eq!(verdict.outcome, Outcome::Fails);
    assert_eq!(
        told(&verdict, Severity::Error),
        [format!(
            "symbol-version libc.so.6: `{SITE}/numpy/_core/x.so` of numpy 2.3.1 needs GLIBC_2.34\nthe target has glibc 2.31"
        )]
    );
    assert_eq!(artifact.on("debian:12").outcome, Outcome::Runs);
    assert_eq!(artifact.on("rhel:9").outcome, Outcome::Runs);
    assert_eq!(artifact.on("rhel:8").outcome, Outcome::Fails);
}

#[test]
fn a_library_that_can_be_installed_makes_a_package_and_a_command() {
    let ssl = x86().need_version("libssl.so.3", "OPENSSL_3.0.0");
    let artifact = amd64().wheel("numpy/ssl.so", &ssl);
    let verdict = artifact.on("debian:12");
    assert_eq!(verdict.outcome, Outcome::RunsWithPackages);
    assert_eq!(verdict.packages, ["libssl3"]);
    assert_eq!(
        verdict.install.as_deref(),
        Some("apt-get install -y --no-install-recommends libssl3")
    );
    assert_eq!(artifact.on("ubuntu:22.04").outcome, Outcome::Runs);
    let older = artifact.on("debian:11");
    assert_eq!(older.outcome, Outcome::Fails);
    let reasons = told(&older, Severity::Error);
    assert!(
        reasons[0].contains("Debian 11 has OpenSSL 1.1"),
        "{reasons:?}"
    );
    let newer = amd64().wheel(
        "numpy/ssl.so",
        &x86().need_version("libssl.so.3", "OPENSSL_3.9.0"),
    );
    assert_eq!(newer.on("debian:13").outcome, Outcome::Fails);
}

#[test]
fn what_nobody_knows_is_neither_a_yes_nor_a_no() {
    let artifact = amd64().wheel("numpy/gl.so", &x86().needed("libGL.so.1"));
    let verdict = artifact.on("rhel:9");
    assert_eq!(verdict.outcome, Outcome::Unsure);
    assert!(!verdict.runs());
    let finding = verdict.reasons().next().expect("reason");
    assert_eq!(finding.rule, "library-unknown");
    let hint = finding.hint.as_deref().unwrap_or_default();
    assert!(
        hint.contains("dnf install -y 'libGL.so.1()(64bit)'"),
        "{hint}"
    );
    // A symbol version that cannot be judged is said and does not change the answer.
    let odd = amd64().wheel("numpy/c.so", &x86().need_version("libtinfo.so.6", "ODD_1"));
    let verdict = odd.on("rhel:9");
    assert_eq!(verdict.outcome, Outcome::Runs);
    let notes = told(&verdict, Severity::Info);
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("symbol-version-unverified")),
        "{notes:?}"
    );
}

#[test]
fn a_processor_that_the_target_does_not_ask_for_is_no_base_to_build_on() {
    let v3 = x86().note_isa(0b0111);
    let artifact = amd64().wheel("numpy/fast.so", &v3);
    for (target, outcome) in [
        ("ubuntu:24.04", Outcome::Fails),
        ("rhel:9", Outcome::Fails),
        ("alma:10-v2", Outcome::Fails),
        ("rhel:10", Outcome::Runs),
    ] {
        assert_eq!(artifact.on(target).outcome, outcome, "{target}");
    }
    let reasons = told(&artifact.on("rhel:9"), Severity::Error);
    assert_eq!(
        reasons,
        [format!(
            "cpu-level x86-64-v3: `{SITE}/numpy/fast.so` of numpy 2.3.1 needs x86-64-v3; the target supports processors with x86-64-v2"
        )]
    );
    let said = artifact.judged("ubuntu:24.04", None, Some(IsaLevel::V3));
    assert_eq!(said.outcome, Outcome::Runs);
    let lesser = artifact.judged("rhel:10", None, Some(IsaLevel::Baseline));
    assert_eq!(lesser.outcome, Outcome::Fails);
    // x86-64-v2 is nearly everywhere: a warning, unless it is said that it is not there.
    let v2 = amd64().wheel("numpy/some.so", &x86().note_isa(0b0011));
    let verdict = v2.on("ubuntu:24.04");
    assert_eq!(verdict.outcome, Outcome::Runs);
    let warnings = told(&verdict, Severity::Warning);
    assert!(
        warnings.iter().any(|one| one.contains("before about 2009")),
        "{warnings:?}"
    );
    let said = v2.judged("ubuntu:24.04", None, Some(IsaLevel::Baseline));
    assert_eq!(said.outcome, Outcome::Fails);
    // Of an image nobody knows where it will run.
    let text = "format = 1\nname = \"x\"\nbasis = \"captured\"\n[libc]\nkind = \"glibc\"\nversion = \"2.36\"\n";
    let unknown = Profile::from_text(text).expect("profile");
    let verdict = judge("x", &needs(&artifact.0, None), &unknown, None);
    assert_eq!(verdict.outcome, Outcome::Unsure);
    let verdict = judge("x", &needs(&artifact.0, None), &unknown, Some(IsaLevel::V4));
    assert_eq!(verdict.outcome, Outcome::Runs);
    // The baseline is no need, and what the loader chooses by processor is none either.
    let dispatched = amd64()
        .wheel("numpy/plain.so", &x86().note_isa(1))
        .wheel("numpy.libs/glibc-hwcaps/x86-64-v3/liba.so.1", &v3);
    assert_eq!(dispatched.on("ubuntu:24.04").outcome, Outcome::Runs);
}

#[test]
fn distributions_that_ask_for_a_processor_silently_are_known() {
    let mut artifact = amd64();
    let version = |artifact: &mut Artifact, version: &str| {
        let distributions = &mut artifact.0.distributions;
        distributions.insert("numpy".to_owned(), version.to_owned());
    };
    assert_eq!(artifact.on("debian:12").outcome, Outcome::Runs);
    version(&mut artifact, "2.4.1");
    let verdict = artifact.judged("debian:12", None, Some(IsaLevel::Baseline));
    assert_eq!(verdict.outcome, Outcome::Fails);
    let reasons = told(&verdict, Severity::Error);
    assert!(
        reasons[0].contains("numpy 2.4.1 needs x86-64-v2"),
        "{reasons:?}"
    );
    let warnings = told(&artifact.on("debian:12"), Severity::Warning);
    assert!(
        warnings.iter().any(|one| one.contains("numpy 2.4.1")),
        "{warnings:?}"
    );
    assert_eq!(artifact.on("rhel:9").outcome, Outcome::Runs);
    let mut arm = made_for(Platform::LinuxArm64);
    version(&mut arm, "2.4.1");
    assert_eq!(arm.on("debian:12").outcome, Outcome::Runs);
}

#[test]
fn objects_for_small_pages_fail_where_the_kernel_has_large_ones() {
    let small = ElfBuilder::new(Machine::Aarch64).page(0x1000);
    let artifact = made_for(Platform::LinuxArm64).wheel("numpy/small.so", &small);
    let verdict = artifact.on("rhel:8");
    assert_eq!(verdict.outcome, Outcome::Fails);
    assert_eq!(
        told(&verdict, Severity::Error),
        [format!(
            "page-size memory pages: `{SITE}/numpy/small.so` of numpy 2.3.1 is aligned for memory pages of at most 4 KiB; the kernel of the target has pages of 64 KiB"
        )]
    );
    let other = artifact.on("rhel:9");
    assert_eq!(other.outcome, Outcome::Runs);
    assert!(
        told(&other, Severity::Warning)
            .iter()
            .any(|one| one.contains("another kernel of the target has pages of 64 KiB"))
    );
    let large = ElfBuilder::new(Machine::Aarch64);
    let fine = made_for(Platform::LinuxArm64).wheel("numpy/large.so", &large);
    assert_eq!(fine.on("rhel:8").outcome, Outcome::Runs);
    // Pages of shipped data are those of arm64.
    let intel = amd64().wheel("numpy/small.so", &x86().page(0x1000));
    assert_eq!(intel.on("rhel:8").outcome, Outcome::Runs);
    let odd = amd64().wheel("numpy/odd.so", &x86().page(0x10));
    assert_eq!(odd.on("debian:12").outcome, Outcome::Fails);
}

#[test]
fn another_c_library_is_the_one_reason_that_is_told() {
    let needing = x86()
        .need_version("libc.so.6", "GLIBC_2.99")
        .needed("libGL.so.1");
    let verdict = amd64().wheel("numpy/x.so", &needing).on("alpine:3.20");
    assert_eq!(verdict.outcome, Outcome::Fails);
    assert_eq!(
        told(&verdict, Severity::Error),
        [
            "libc-kind musl: the target's libc is musl, and the artifact's interpreter and extension modules are made for glibc"
        ]
    );
    let musl = Artifact(Content {
        objects: BTreeMap::new(),
        ..amd64().0
    });
    let python = x86()
        .interp("/lib/ld-musl-x86_64.so.1")
        .needed("libc.musl-x86_64.so.1");
    let musl = musl.with("opt/python/bin/python3.13", &python, Origin::Interpreter);
    assert_eq!(musl.on("alpine:3.20").outcome, Outcome::Runs);
    let reasons = told(&musl.on("debian:12"), Severity::Error);
    assert!(reasons[0].contains("libc is glibc"), "{reasons:?}");
}

/// An image with libc, OpenSSL and libmagic, as `amd64` needs them.
fn image() -> Artifact {
    let libc = x86()
        .soname("libc.so.6")
        .define_version("GLIBC_2.17")
        .define_version("GLIBC_2.41")
        .note_kernel([3, 2, 0]);
    let mut artifact = amd64()
        .with(&format!("{LIB}/libc.so.6"), &libc, deb("libc6"))
        .with(
            &format!("{LIB}/libnss_dns.so.2"),
            &x86().soname("libnss_dns.so.2"),
            deb("libc6"),
        )
        .with(
            &format!("{LIB}/libssl.so.3"),
            &x86().soname("libssl.so.3").needed("libzstd.so.1"),
            deb("libssl3t64"),
        )
        .with(
            &format!("{LIB}/libzstd.so.1"),
            &x86().soname("libzstd.so.1"),
            deb("libzstd1"),
        )
        .with(
            &format!("{LIB}/libmagic.so.1"),
            &x86().soname("libmagic.so.1").needed("libbz2.so.1.0"),
            deb("libmagic1t64"),
        )
        .with(
            &format!("{LIB}/libbz2.so.1.0"),
            &x86().soname("libbz2.so.1.0"),
            deb("libbz2-1.0"),
        )
        .with(
            "usr/lib/python3.13/lib-dynload/_ssl.so",
            &x86().needed("libssl.so.3"),
            deb("libpython3.13-minimal"),
        );
    artifact.0.form = Form::Image;
    artifact
}

#[test]
fn an_image_needs_a_kernel_a_processor_and_somebody_who_starts_it() {
    let artifact = image();
    assert_eq!(artifact.0.libs(), Libs::Static);
    assert_eq!(artifact.sonames(None), [""; 0]);
    for target in ["alpine:3.20", "debian:11", "amazonlinux:2", "rhel:10"] {
        let verdict = artifact.on(target);
        assert_eq!(verdict.outcome, Outcome::Runs, "{target}");
        let notes = told(&verdict, Severity::Info);
        let rules = ["container-runtime", "kernel-floor", "system-calls"];
        for rule in rules {
            assert!(
                notes.iter().any(|note| note.starts_with(rule)),
                "{target}: {notes:?}"
            );
        }
    }
    let future = image().wheel("numpy/x.so", &x86().note_kernel([6, 0, 0]));
    let reasons = told(&future.on("rhel:8"), Severity::Error);
    assert_eq!(
        reasons,
        [format!(
            "kernel-floor Linux: `{SITE}/numpy/x.so` of numpy 2.3.1 needs Linux 6.0.0, and the target has 4.18"
        )]
    );
    assert_eq!(future.on("debian:12").outcome, Outcome::Runs);
}

#[test]
fn a_static_artifact_can_be_judged_as_if_it_were_dynamic() {
    let artifact = image();
    // libzstd comes with libssl, libbz2 with libmagic, the name service with glibc.
    assert_eq!(
        artifact.sonames(Some(Libs::Dynamic)),
        [
            "ld-linux-x86-64.so.2",
            "libc.so.6",
            "libmagic.so.1",
            "libssl.so.3"
        ]
    );
    let verdict = artifact.judged("alpine:3.20", Some(Libs::Dynamic), None);
    assert_eq!(verdict.outcome, Outcome::Fails);
    let verdict = artifact.judged("rhel:9", Some(Libs::Dynamic), None);
    assert_eq!(verdict.outcome, Outcome::Unsure);
    let reason = verdict.reasons().next().expect("reason");
    assert!(
        reason
            .evidence
            .contains("`libmagic.so.1` is opened by name"),
        "{reason:?}"
    );
}

#[test]
fn what_an_artifact_says_of_itself_counts_besides_what_is_seen() {
    let mut artifact = amd64();
    artifact.0.declared_needs = vec![Need {
        soname: "libmagic.so.1".to_owned(),
        versions: vec!["M_1".to_owned()],
        needed_by: path("usr/bin/python3.13"),
        packages: BTreeMap::new(),
    }];
    assert_eq!(
        artifact.sonames(None),
        ["ld-linux-x86-64.so.2", "libc.so.6", "libmagic.so.1"]
    );
    let verdict = artifact.on("rhel:9");
    let reason = verdict.reasons().next().expect("reason");
    assert!(
        reason
            .evidence
            .starts_with("`libmagic.so.1` is opened by name"),
        "{reason:?}"
    );
    artifact.0.declared_libs = Some(Libs::Static);
    assert_eq!(artifact.on("rhel:9").outcome, Outcome::Runs);
}

#[test]
fn what_a_distribution_brings_is_not_the_targets_to_have() {
    let user = x86()
        .needed("libblas-0a1b2c3d.so")
        .needed("libloaded.so.2")
        .needed("libstdc++.so.6")
        .runpath("$ORIGIN/../numpy.libs");
    let artifact = amd64()
        .wheel("numpy/_core/x.so", &user)
        .wheel("numpy.libs/libblas-0a1b2c3d.so", &x86())
        // Loaded before by the distribution itself: found by its name.
        .wheel("elsewhere/libloaded.so.2", &x86().soname("libloaded.so.2"))
        // One that a distribution has for itself serves nobody else.
        .wheel("elsewhere/libstdc++.so.6", &x86().soname("libstdc++.so.6"));
    assert_eq!(
        artifact.sonames(None),
        ["ld-linux-x86-64.so.2", "libc.so.6", "libstdc++.so.6"]
    );
    // A library that can be run, and one whose loader was blanked out.
    let runnable = x86()
        .soname("libQt5Core.so.5")
        .interp("/lib64/ld-other.so.1")
        .needed("libc.so.6");
    let artifact = artifact.wheel("qt/libQt5Core.so.5", &runnable);
    let blank = x86().interp("").needed("libc.so.6");
    let artifact = artifact.wheel("qt/blank.so", &blank);
    assert_eq!(artifact.sonames(None).len(), 3);
    // Other machines' objects are never loaded.
    let foreign = ElfBuilder::new(Machine::Aarch64).needed("libother.so.1");
    assert_eq!(
        artifact.wheel("numpy/arm.so", &foreign).sonames(None).len(),
        3
    );
}

#[test]
fn a_captured_target_says_what_it_lacks_and_what_its_distribution_has() {
    let captured = |text: &str| Profile::from_text(text).expect("profile");
    let text = "format = 1\nname = \"debian:12\"\nbasis = \"captured\"\narchitecture = \"amd64\"\ncomplete = true\ninstaller = \"apt\"\n[libc]\nkind = \"glibc\"\nversion = \"2.36\"\n[libraries.\"libc.so.6\"]\ninstalled = true\nversions = [\"GLIBC_2.17\"]\n[libraries.\"ld-linux-x86-64.so.2\"]\ninstalled = true\nversions = []\n";
    let profile = captured(text);
    let ssl = amd64().wheel(
        "numpy/ssl.so",
        &x86().need_version("libssl.so.3", "OPENSSL_3.0.0"),
    );
    let verdict = judge("p.toml", &needs(&ssl.0, None), &profile, None);
    assert_eq!(verdict.outcome, Outcome::RunsWithPackages);
    assert_eq!(verdict.packages, ["libssl3"]);
    let gl = amd64().wheel("numpy/gl.so", &x86().needed("libGL.so.1"));
    let verdict = judge("p.toml", &needs(&gl.0, None), &profile, None);
    assert_eq!(verdict.outcome, Outcome::Fails);
    let newer = amd64().wheel("numpy/x.so", &x86().need_version("libc.so.6", "GLIBC_2.18"));
    let verdict = judge("p.toml", &needs(&newer.0, None), &profile, None);
    assert_eq!(
        verdict.outcome,
        Outcome::Fails,
        "the list counts, not the release"
    );
    let arm = made_for(Platform::LinuxArm64);
    let reasons = told(
        &judge("p", &needs(&arm.0, None), &profile, None),
        Severity::Error,
    );
    assert!(
        reasons.iter().any(|one| one.starts_with("machine arm64")),
        "{reasons:?}"
    );
    let empty = captured("format = 1\nname = \"scratch\"\nbasis = \"captured\"\ncomplete = true\n");
    let verdict = judge("p", &needs(&amd64().0, None), &empty, None);
    assert_eq!(verdict.findings[0].rule, "no-libc");
}
