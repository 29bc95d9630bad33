//! One bill with everything in it, in both formats.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use unheck_base::Digest;
use unheck_sbom::licence::Licence;
use unheck_sbom::model::{Bom, Component, Evidence, Field, FileHash, Kind, SUBJECT, Technique};
use unheck_sbom::{cyclonedx, purl, spdx_json};

/// A bill in which every field of every component is used at least once.
fn bill() -> Bom {
    let mut bom = Bom {
        subject: Component {
            kind: Kind::Container,
            version: Some("1.0".into()),
            ..named("web")
        },
        created: 1_700_000_000,
        tool: ("unheck".into(), "0.1.0".into()),
        components: BTreeMap::new(),
        edges: BTreeMap::new(),
        vulnerabilities: Vec::new(),
    };
    let wheel = bom.add(
        "pkg:pypi/demo@1.0",
        Component {
            version: Some("1.0".into()),
            purl: Some(purl::pypi("demo", "1.0")),
            description: Some("A demonstration".into()),
            licence: Licence::Expression("MIT OR LicenseRef-Own".into()),
            archive: Some(Digest::of(b"wheel")),
            download: Some("https://index.example/demo-1.0-py3-none-any.whl".into()),
            homepage: Some("https://demo.example/".into()),
            files: [("usr/lib/demo.py".into(), FileHash::of(b"x = 1"))].into(),
            ..named("demo")
        },
    );
    let vendored = bom.add(
        "vendored",
        Component {
            version: Some("3.0.13".into()),
            evidence: vec![
                evidence(Field::Name, Technique::FileName, "libssl-0123abcd.so.3", 80),
                evidence(Field::Version, Technique::Binary, "OpenSSL 3.0.13", 90),
            ],
            properties: [("unheck:vendored-in".into(), "demo".into())].into(),
            ..named("openssl")
        },
    );
    let deb = bom.add(
        "pkg:deb/debian/zlib1g",
        Component {
            version: Some("1:1.3-1".into()),
            purl: Some(purl::deb("zlib1g", "1:1.3-1", "amd64", Some("13"))),
            supplier: Some("Debian".into()),
            archive: Some(Digest::of(b"deb")),
            licence: Licence::Names(BTreeSet::from(["GPL + odd".into(), "GPL/odd".into()])),
            ..named("zlib1g")
        },
    );
    bom.add(
        "os",
        Component {
            kind: Kind::OperatingSystem,
            ..named("debian")
        },
    );
    bom.depend(SUBJECT, &wheel);
    bom.depend(&wheel, &vendored);
    bom.depend(&wheel, &deb);
    bom.depend(&wheel, "gone");
    bom
}

fn named(name: &str) -> Component {
    Component {
        name: name.into(),
        ..Component::default()
    }
}

fn evidence(field: Field, technique: Technique, value: &str, confidence: u8) -> Evidence {
    Evidence {
        field,
        technique,
        value: value.into(),
        confidence,
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn cyclonedx_tells_all_of_it() {
    let document = json(&cyclonedx::document(&bill()).unwrap());
    let demo = &document["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "demo")
        .unwrap();
    assert_eq!(demo["licenses"][0]["expression"], "MIT OR LicenseRef-Own");
    assert_eq!(
        demo["externalReferences"][0]["hashes"][0]["content"],
        Digest::of(b"wheel").hex()
    );
    assert_eq!(demo["components"][0]["name"], "usr/lib/demo.py");
    let ssl = &document["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "openssl")
        .unwrap();
    assert_eq!(
        ssl["evidence"]["identity"][1]["methods"][0]["value"],
        "OpenSSL 3.0.13"
    );
    let edges = document["dependencies"].as_array().unwrap();
    let demo = edges
        .iter()
        .find(|one| one["ref"] == "pkg:pypi/demo@1.0")
        .unwrap();
    assert_eq!(
        demo["dependsOn"],
        serde_json::json!(["pkg:deb/debian/zlib1g", "vendored"])
    );
}

#[test]
fn spdx_tells_all_of_it() {
    let document = json(&spdx_json::document(&bill()).unwrap());
    let packages = document["packages"].as_array().unwrap();
    let demo = packages.iter().find(|one| one["name"] == "demo").unwrap();
    assert_eq!(demo["licenseDeclared"], "MIT OR LicenseRef-Own");
    // Two names that look alike once they are identifiers.
    let zlib = packages.iter().find(|one| one["name"] == "zlib1g").unwrap();
    assert_eq!(
        zlib["licenseDeclared"],
        "LicenseRef-GPL---odd AND LicenseRef-GPL-odd"
    );
    let told: BTreeSet<&str> = document["hasExtractedLicensingInfos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["licenseId"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        BTreeSet::from([
            "LicenseRef-GPL---odd",
            "LicenseRef-GPL-odd",
            "LicenseRef-Own"
        ])
    );
    // Clause 7.9 by hand: SHA-1 of the one SHA-1.
    let code = demo["packageVerificationCode"]["packageVerificationCodeValue"]
        .as_str()
        .unwrap();
    assert_eq!(code.len(), 40);
}

#[test]
fn the_same_bill_gives_the_same_bytes_and_another_one_another_name() {
    let (one, other) = (
        bill(),
        Bom {
            created: 5,
            ..bill()
        },
    );
    for write in [cyclonedx::document, spdx_json::document] {
        assert_eq!(write(&one).unwrap(), write(&one).unwrap());
        let name = |bom| {
            let document = json(&write(bom).unwrap());
            let name = document
                .get("serialNumber")
                .or(document.get("documentNamespace"));
            name.unwrap().as_str().unwrap().to_owned()
        };
        assert_ne!(name(&one), name(&other));
    }
}

/// `python3` must know `cyclonedx-python-lib[json-validation]` and `spdx-tools`.
#[test]
#[ignore = "live: needs the validators of CycloneDX and SPDX from the Python index"]
fn the_formats_own_validators_take_the_documents() {
    let python = std::process::Command::new("python3")
        .args(["-c", VALIDATE])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut python = python.unwrap();
    let both = serde_json::json!({
        "cyclonedx": String::from_utf8(cyclonedx::document(&bill()).unwrap()).unwrap(),
        "spdx": String::from_utf8(spdx_json::document(&bill()).unwrap()).unwrap(),
    });
    serde_json::to_writer(python.stdin.take().unwrap(), &both).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "both fit\n");
}

const VALIDATE: &str = r#"
import json, sys, tempfile
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.schema import SchemaVersion
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
both = json.load(sys.stdin)
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(both["cyclonedx"])
if error:
    sys.exit(str(error))
with tempfile.NamedTemporaryFile("w", suffix=".spdx.json") as file:
    file.write(both["spdx"])
    file.flush()
    messages = validate_full_spdx_document(parse_file(file.name))
if messages:
    sys.exit("\n".join(f"{m.validation_message} {m.context}" for m in messages))
print("both fit")
"#;
