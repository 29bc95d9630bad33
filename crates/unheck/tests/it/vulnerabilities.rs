//! Known vulnerabilities: from the lock, from OSV exports, in answers, bills, statements and as a gate.

use serde_json::{Value, json};
use unheck_testkit::zip::{ZipEntry, ZipFile};
use unheck_testkit::{
    About, DebBuilder, FileOptions, Registry, RegistryOptions, WheelBuilder, World,
};

use crate::kit::{Kit, PROJECT, exists};
use crate::schema::check;

const HIGH: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H";

/// A record about one package: from the first version to the one that repairs it.
fn record(id: &str, (ecosystem, name): (&str, &str), fixed: Option<&str>) -> Value {
    let mut events = vec![json!({"introduced": "0"})];
    events.extend(fixed.map(|fixed| json!({"fixed": fixed})));
    json!({
        "schema_version": "1.7.3", "id": id, "modified": "2026-05-01T00:00:00Z", "published": "2026-04-01T00:00:00Z",
        "summary": format!("{name} is wrong"),
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }],
    })
}

fn with(mut record: Value, key: &str, value: Value) -> Value {
    record[key] = value;
    record
}

/// An export as osv.dev has it.
fn export(kit: &Kit, records: &[Value]) -> String {
    let entries = records.iter().map(|record| {
        let name = format!("{}.json", record["id"].as_str().unwrap_or_default());
        ZipEntry::file(&name, record.to_string())
    });
    let zip = ZipFile {
        entries: entries.collect(),
        ..ZipFile::default()
    };
    let path = kit.path("all.zip");
    fs_err::write(&path, zip.build()).expect("export");
    path.display().to_string()
}

/// What the basic world has.
fn records() -> Vec<Value> {
    let hello = ("PyPI", "Hello_Lib");
    let alias = |record, id: &str| with(record, "aliases", json!([id]));
    let cve = |record, id: &str| with(record, "upstream", json!([id]));
    let high = json!([{"type": "CVSS_V3", "score": HIGH}]);
    vec![
        alias(record("PYSEC-2026-1", hello, Some("1.1")), "CVE-2026-1"),
        with(
            alias(
                record("GHSA-aaaa-bbbb-cccc", hello, Some("1.1")),
                "CVE-2026-1",
            ),
            "severity",
            high,
        ),
        with(
            record("PYSEC-2026-9", hello, None),
            "withdrawn",
            json!("2026-04-02T00:00:00Z"),
        ),
        record("PYSEC-2026-8", ("PyPI", "native"), Some("0.9")),
        cve(
            record("DEBIAN-CVE-2026-2", ("Debian:13", "zlib"), None),
            "CVE-2026-2",
        ),
        cve(
            record(
                "DEBIAN-CVE-2026-3",
                ("Debian:13", "openssl"),
                Some("3.5.1-1+deb13u1"),
            ),
            "CVE-2026-3",
        ),
        cve(
            record("DEBIAN-CVE-2026-4", ("Debian:12", "zlib"), None),
            "CVE-2026-4",
        ),
        cve(
            record("DEBIAN-CVE-2026-5", ("Debian:13", "gcc-14"), None),
            "CVE-2026-5",
        ),
    ]
}

/// `id component status level` of each, and whether it counts.
fn told(value: &Value) -> Vec<String> {
    let all = value["platforms"][0]["vulnerabilities"]
        .as_array()
        .expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |one: &Value| {
        let stops = if one["stops"] == true { " stops" } else { "" };
        format!(
            "{} {} {} {}{stops}",
            text(&one["id"]),
            text(&one["component"]),
            text(&one["status"]),
            text(&one["level"])
        )
    };
    all.iter().map(line).collect()
}

fn built(pyproject: &str) -> Kit {
    let kit = Kit::new(pyproject);
    let built = kit.build(&["-o", "a.oci.tar"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    kit
}

#[test]
fn an_artifact_is_held_against_an_export() {
    let kit = built(PROJECT);
    let osv = export(&kit, &records());
    let words = ["check", "a.oci.tar", "--osv", &osv];
    let ran = kit.plain(&[&words[..], &["--json"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let value = check("check-vulnerabilities", &ran.stdout);
    assert_eq!(
        (&value["ok"], &value["gate"], &value["looked"]["records"]),
        (&json!(false), &json!("fail:any"), &json!(8))
    );
    let all = [
        "CVE-2026-2 zlib1g affected - stops",
        "CVE-2026-5 libgcc-s1 affected - stops",
        "CVE-2026-1 hello-lib affected high stops",
    ];
    assert_eq!(told(&value), all);
    let ran = kit.plain(&words);
    assert_eq!(ran.stdout, "linux/amd64: 3 known vulnerabilities\n");
    insta::assert_snapshot!(ran.stderr);
    // Below the gate nothing counts but what nobody rates.
    let gate = ["--vulnerabilities", "fail:critical", "--json"];
    let ran = kit.plain(&[&words[..], &gate].concat());
    let value = check("check-vulnerabilities", &ran.stdout);
    assert_eq!(told(&value)[2], "CVE-2026-1 hello-lib affected high");
    let none = export(&kit, &[record("X-1", ("PyPI", "other"), None)]);
    let ran = kit.plain(&["check", "a.oci.tar", "--osv", &none]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "linux/amd64: no known vulnerabilities\n")
    );
}

#[test]
fn what_is_no_export_or_no_gate_is_the_users_input() {
    let kit = built(PROJECT);
    kit.write("osv/a.json", "{\"id\": 1}");
    for words in [
        vec!["check", "a.oci.tar", "--osv", "osv"],
        vec!["check", "a.oci.tar", "--osv", "none.zip"],
        vec!["check", "a.oci.tar", "--osv", "main.py"],
        vec![
            "check",
            "a.oci.tar",
            "--osv",
            "osv",
            "--vulnerabilities",
            "fail:bad",
        ],
        vec!["check", "a.oci.tar", "--osv", "osv", "--on", "debian:12"],
        vec!["sbom", "a.oci.tar", "--format", "openvex"],
        vec![
            "push",
            "a.oci.tar",
            "h.example/x:1",
            "--sign-public-key",
            "k",
        ],
    ] {
        let ran = kit.plain(&words);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    let ran = kit.plain(&["check", "a.oci.tar", "--osv", "osv"]);
    insta::assert_snapshot!(ran.stderr);
    kit.write("unheck.toml", "vulnerabilities = \"fail\"\n");
    let ran = kit.build(&[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("`fail` is neither `off` nor `fail:LEVEL`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_gate_stops_before_anything_is_written_and_says_what_excuses() {
    let kit = built(PROJECT);
    let medium =
        json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:N"}]);
    let zlib = with(
        record("DEBIAN-CVE-2026-2", ("Debian:13", "zlib"), None),
        "severity",
        medium,
    );
    let all = records();
    let osv = export(&kit, &[all[0].clone(), all[1].clone(), zlib]);
    let stop = ["--osv", &osv, "--vulnerabilities", "fail:high"];
    let ran = kit.build(&[&["-o", "b.oci.tar"], &stop[..]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(!exists(&kit.project().join("b.oci.tar")));
    insta::assert_snapshot!(ran.stderr);
    for (format, name) in [("dir", "b"), ("tar", "b.tar"), ("exe", "b")] {
        let ran = kit.build(&[&["--format", format, "-o", name], &stop[..]].concat());
        assert_eq!(ran.code, 1, "{format}: {}", ran.stderr);
        assert!(!exists(&kit.project().join(name)), "{format}");
    }
    let warned = kit.build(&["-o", "b.oci.tar", "--osv", &osv]);
    assert_eq!(warned.code, 0, "{}", warned.stderr);
    assert!(
        warned
            .stderr
            .contains("warning[vulnerability]: hello-lib 1.0"),
        "{}",
        warned.stderr
    );
    assert!(
        warned.stderr.contains("warning[vulnerability]: zlib1g "),
        "{}",
        warned.stderr
    );
    // The name alone excuses nothing; the id, also by another name of it, does.
    kit.write("unheck.toml", "[allow]\nhello-lib = \"trusted\"\n");
    assert_eq!(
        kit.build(&[&["-o", "c.oci.tar"], &stop[..]].concat()).code,
        1
    );
    kit.write("unheck.toml", "vulnerabilities = \"fail:high\"\nosv = [\"../all.zip\"]\n[allow]\n\"hello-lib:GHSA-aaaa-bbbb-cccc\" = \"not reachable\"\n");
    let ran = kit.build(&["-o", "c.oci.tar", "-v", "--offline", "--locked"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("accepted in `[tool.unheck.allow]`: not reachable"),
        "{}",
        ran.stderr
    );
    let same = |name: &str| fs_err::read(kit.project().join(name)).expect("built");
    assert!(same("a.oci.tar") == same("b.oci.tar") && same("a.oci.tar") == same("c.oci.tar"));
    let off = kit.build(&["-o", "d.oci.tar", "--vulnerabilities", "off"]);
    assert!(!off.stderr.contains("vulnerability"), "{}", off.stderr);
}

#[test]
fn the_lock_keeps_what_the_index_told_and_is_judged_without_a_network() {
    let kit = Kit::new(PROJECT);
    let fixed = vec![(
        "PYSEC-2026-1".to_owned(),
        "CVE-2026-1".to_owned(),
        "1.1".to_owned(),
    )];
    let about = |fixed| About {
        fixed,
        ..About::default()
    };
    kit.world.index.about("hello-lib", about(fixed));
    kit.world.index.about("native", about(Vec::new()));
    assert_eq!(kit.run(&["lock"]).code, 0);
    let text = fs_err::read_to_string(kit.project().join("pylock.unheck.toml")).expect("a lock");
    let told = text.matches("[packages.tool.unheck.advisories]").count();
    assert_eq!(told, 2, "{text}");
    assert!(text.contains("fixed-in = [\"1.1\"]"), "{text}");
    let offline = ["--offline", "--locked", "-o", "a.oci.tar"];
    let stopped = kit.build(&[&offline[..], &["--vulnerabilities", "fail:critical"]].concat());
    assert_eq!(stopped.code, 1, "{}", stopped.stderr);
    assert!(
        stopped
            .stderr
            .contains("CVE-2026-1 (not rated, which counts as every level, also PYSEC-2026-1)"),
        "{}",
        stopped.stderr
    );
    assert!(
        stopped.stderr.contains("require `hello-lib>=1.1`"),
        "{}",
        stopped.stderr
    );
    let warned = kit.build(&offline);
    assert_eq!(warned.code, 0, "{}", warned.stderr);
    assert!(
        warned
            .stderr
            .contains("warning[vulnerability]: hello-lib 1.0"),
        "{}",
        warned.stderr
    );
    // A record of an export rates what the index does not.
    let low = json!([{"type": "CVSS_V2", "score": "AV:L/AC:H/Au:N/C:P/I:N/A:N"}]);
    let rated = with(
        record("CVE-2026-1", ("PyPI", "hello-lib"), Some("1.1")),
        "severity",
        low,
    );
    let osv = export(&kit, &[rated]);
    let ran = kit.build(
        &[
            &offline[..],
            &["--vulnerabilities", "fail:medium", "--osv", &osv],
        ]
        .concat(),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = kit.plain(&["check", "a.oci.tar", "--project", ".", "--json"]);
    let value = check("check-vulnerabilities", &ran.stdout);
    assert_eq!(
        (ran.code, &value["looked"]["asked"]),
        (1, &json!(2)),
        "{}",
        ran.stderr
    );
    // Where nobody was asked, a gate that stops says so.
    let silent = Kit::new(PROJECT);
    let ran = silent.build(&["--vulnerabilities", "fail:high"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("nobody was asked about vulnerabilities of hello-lib 1.0, native 1.0"),
        "{}",
        ran.stderr
    );
}

/// The rules of the OpenVEX 0.2.0 schema that are about which fields stand together.
fn check_openvex(document: &Value) {
    assert_eq!(document["@context"], "https://openvex.dev/ns/v0.2.0");
    for key in ["@id", "author", "timestamp"] {
        assert!(document[key].is_string(), "{key}: {document}");
    }
    assert!(document["version"].as_u64() >= Some(1));
    let statements = document["statements"].as_array().expect("statements");
    assert!(!statements.is_empty());
    let known = [
        "vulnerability",
        "products",
        "status",
        "status_notes",
        "justification",
        "action_statement",
    ];
    for one in statements {
        let fields = one.as_object().expect("a statement");
        assert!(
            fields.keys().all(|key| known.contains(&key.as_str())),
            "{one}"
        );
        assert!(one["vulnerability"]["name"].is_string());
        let status = one["status"].as_str().expect("a status");
        assert_eq!(
            fields.contains_key("justification"),
            status == "not_affected",
            "{one}"
        );
        assert_eq!(
            fields.contains_key("action_statement"),
            status == "affected",
            "{one}"
        );
        for product in one["products"].as_array().expect("products") {
            assert!(
                product["@id"]
                    .as_str()
                    .is_some_and(|id| id.starts_with("pkg:oci/")),
                "{one}"
            );
            assert!(
                product["subcomponents"][0]["@id"]
                    .as_str()
                    .is_some_and(|id| id.starts_with("pkg:"))
            );
        }
    }
}

/// A build whose project states something, with an export.
fn stated() -> (Kit, String) {
    let kit = built(PROJECT);
    kit.write("unheck.toml", "[vex]\n\"zlib:CVE-2026-2\" = { status = \"not_affected\", justification = \"vulnerable_code_not_in_execute_path\", detail = \"we only inflate\" }\n");
    let osv = export(&kit, &records());
    (kit, osv)
}

/// The document that `sbom` prints.
fn document((kit, osv): &(Kit, String), format: &str) -> Value {
    let words = [
        "sbom",
        "a.oci.tar",
        "--osv",
        osv,
        "--project",
        ".",
        "--format",
        format,
    ];
    let ran = kit.plain(&words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn bills_tell_of_vulnerabilities() {
    let world = stated();
    let bill = document(&world, "cyclonedx");
    let all = bill["vulnerabilities"].as_array().expect("vulnerabilities");
    let one = all
        .iter()
        .find(|one| one["id"] == "CVE-2026-1")
        .expect("there");
    assert_eq!(
        (&one["affects"][0]["ref"], &one["ratings"][0]["vector"]),
        (&json!("pypi:hello-lib"), &json!(HIGH))
    );
    assert_eq!(
        (
            &one["ratings"][0]["score"],
            &one["affects"][0]["versions"][0]["status"]
        ),
        (&json!(7.5), &json!("affected"))
    );
    let stated = all
        .iter()
        .find(|one| one["id"] == "CVE-2026-2")
        .expect("there");
    assert_eq!(
        (
            &stated["analysis"]["state"],
            &stated["analysis"]["justification"]
        ),
        (&json!("not_affected"), &json!("code_not_reachable"))
    );
    let known: Vec<&Value> = bill["components"]
        .as_array()
        .expect("components")
        .iter()
        .map(|one| &one["bom-ref"])
        .collect();
    assert!(
        all.iter()
            .all(|one| known.contains(&&one["affects"][0]["ref"]))
    );

    let spdx = document(&world, "spdx");
    let zlib = spdx["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|one| one["name"] == "zlib1g")
        .expect("zlib1g");
    let security: Vec<&Value> = zlib["externalRefs"]
        .as_array()
        .expect("references")
        .iter()
        .filter(|one| one["referenceCategory"] == "SECURITY")
        .collect();
    assert_eq!(
        (security.len(), &security[0]["referenceType"]),
        (1, &json!("advisory"))
    );
    let comment = security[0]["comment"].as_str().expect("a comment");
    assert!(
        comment.starts_with(
            "CVE-2026-2: not_affected (vulnerable_code_not_in_execute_path): the project states it"
        ),
        "{comment}"
    );
}

#[test]
fn statements_stand_alone_too() {
    let world = stated();
    let (kit, osv) = &world;
    let bill = document(&world, "cyclonedx");
    let all = bill["vulnerabilities"].as_array().expect("vulnerabilities");
    let vex = document(&world, "cyclonedx-vex");
    let plain = world.0.plain(&["sbom", "a.oci.tar"]);
    let plain: Value = serde_json::from_str(&plain.stdout).expect("JSON");
    assert!(plain.get("vulnerabilities").is_none());
    let serial = plain["serialNumber"]
        .as_str()
        .expect("a name")
        .replace("urn:uuid:", "urn:cdx:");
    let of_vex = vex["vulnerabilities"].as_array().expect("vulnerabilities");
    assert_eq!(of_vex.len(), all.len());
    assert_eq!(
        of_vex[0]["affects"][0]["ref"],
        format!(
            "{serial}/1#{}",
            all[0]["affects"][0]["ref"].as_str().expect("a name")
        )
    );
    assert!(vex.get("components").is_none());

    let openvex = document(&world, "openvex");
    check_openvex(&openvex);
    assert_eq!(openvex, document(&world, "openvex"));
    assert_eq!(openvex["timestamp"], "2026-05-01T00:00:00Z");
    let ran = kit.plain(&[
        "sbom",
        "a.oci.tar",
        "--osv",
        osv,
        "-o",
        "x.openvex.json",
        "--json",
    ]);
    assert_eq!(
        check("sbom", &ran.stdout)["vulnerabilities"],
        3,
        "{}",
        ran.stderr
    );
    let none = export(kit, &[record("X-1", ("PyPI", "other"), None)]);
    let ran = kit.plain(&["sbom", "a.oci.tar", "--osv", &none, "-o", "y.openvex.json"]);
    assert_eq!(
        (ran.code, exists(&kit.project().join("y.openvex.json"))),
        (1, false)
    );
}

#[test]
fn not_affected_is_said_only_from_what_ships() {
    let world = World::basic()
        .deb(&DebBuilder::new("fonts", "1.0-1", "amd64").file("/usr/share/fonts/a.dat", "x"));
    let world =
        world.deb(&DebBuilder::new("zones", "1.0-1", "all").file("/usr/share/zones/a.dat", "x"));
    let kit = Kit::of(
        world.serve(),
        "[project]\nname = \"shop\"\nversion = \"1.0\"\ndependencies = [\"trimmy\", \"carrier\"]\n[tool.unheck]\ndebs = [\"fonts\", \"zones\"]\n",
    );
    let trimmy = WheelBuilder::new("trimmy", "1.0")
        .file("trimmy/__init__.py", "x = 1\n")
        .file("trimmy/used.py", "def f(): pass\n")
        .file("trimmy/net/__init__.py", "")
        .file("trimmy/net/bad.py", "def get(): pass\n");
    kit.world.index.add(&trimmy, FileOptions::default());
    let inside = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [
        {"type": "library", "name": "openssl", "version": "3.0.13"}, {"type": "library", "name": "serde", "version": "1.0.1", "purl": "pkg:cargo/serde@1.0.1"}]});
    let carrier = WheelBuilder::new("carrier", "1.0")
        .file("carrier/__init__.py", "")
        .dist_info("sboms/parts.cdx.json", inside.to_string());
    kit.world.index.add(&carrier, FileOptions::default());
    kit.write("main.py", "import trimmy.used\nimport carrier\n");
    let built = kit.build(&["--trim", "imports", "-o", "a.oci.tar"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let named = |id: &str, code: Value| {
        let mut record = record(id, ("PyPI", "trimmy"), None);
        record["affected"][0]["ecosystem_specific"] = code;
        record
    };
    let tagged = json!({"id": "CVE-2026-30", "affected": [{"ranges": [{"type": "GIT", "repo": "https://git.example/openssl/openssl", "events": [{"introduced": "0"}]}], "versions": ["openssl-3.0.13"]}]});
    let mut semver = record("RUSTSEC-1", ("crates.io", "serde"), None);
    semver["affected"][0]["ranges"] =
        json!([{"type": "SEMVER", "events": [{"introduced": "0.0.0-0"}, {"fixed": "1.0.2"}]}]);
    let osv = export(
        &kit,
        &[
            named("T-1", json!({"affected_functions": ["trimmy.net.bad.get"]})),
            named(
                "T-2",
                json!({"imports": [{"path": "trimmy.net.bad"}, {"path": "trimmy.used", "symbols": ["f"]}]}),
            ),
            named("T-3", json!({"files": ["trimmy/net/bad.py"]})),
            named("T-4", json!({"affected_functions": ["trimmy.unknown.f"]})),
            named("T-5", Value::Null),
            record("D-1", ("Debian:13", "fonts"), None),
            record("D-2", ("Debian:13", "zones"), None),
            tagged,
            record("D-3", ("Debian:13", "openssl"), Some("3.5.1-1")),
            semver,
        ],
    );
    let ran = kit.plain(&["check", "a.oci.tar", "--osv", &osv, "--json"]);
    let value = check("check-vulnerabilities", &ran.stdout);
    let mut lines = told(&value);
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"));
    let all = value["platforms"][0]["vulnerabilities"]
        .as_array()
        .expect("a list");
    let evidence = |id: &str| {
        all.iter().find(|one| one["id"] == id).expect("there")["evidence"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let texts = ["T-1", "T-4", "D-1", "D-3"].map(|id| format!("{id}: {}", evidence(id)));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_push_attaches_what_is_said_of_vulnerabilities() {
    let kit = built(PROJECT);
    let registry = Registry::start(RegistryOptions {
        referrers: false,
        ..RegistryOptions::default()
    });
    let host = registry.address();
    let osv = export(&kit, &records());
    let reference = format!("{host}/team/shop:1");
    let push = |extra: &[&str]| {
        let ran = kit.plain(
            &[
                &[
                    "push",
                    "a.oci.tar",
                    &reference,
                    "--insecure-registry",
                    &host,
                ],
                extra,
            ]
            .concat(),
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
            .trim_end()
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let digest = push(&[]);
    let attached = || -> Vec<Value> {
        let (_, bytes) = registry
            .manifest("team/shop", &digest.replace(':', "-"))
            .expect("a list");
        let index: Value = serde_json::from_slice(&bytes).expect("JSON");
        let all = index["manifests"].as_array().expect("manifests").clone();
        let vex = |one: &Value| {
            one["annotations"]["in-toto.io/predicate-type"] == "https://openvex.dev/ns/v0.2.0"
        };
        all.into_iter().filter(vex).collect()
    };
    assert!(attached().is_empty());
    push(&["--osv", &osv]);
    let blobs = registry.blobs("team/shop").len();
    push(&["--osv", &osv]);
    assert_eq!(
        (attached().len(), registry.blobs("team/shop").len()),
        (1, blobs),
        "the same is attached once"
    );
    let (_, manifest) = registry
        .manifest(
            "team/shop",
            attached()[0]["digest"].as_str().expect("a digest"),
        )
        .expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let statement = registry
        .blob(manifest["layers"][0]["digest"].as_str().expect("a digest"))
        .expect("a statement");
    let statement: Value = serde_json::from_slice(&statement).expect("JSON");
    let hex = digest.trim_start_matches("sha256:");
    assert_eq!(
        (
            &statement["_type"],
            &statement["subject"][0]["digest"]["sha256"]
        ),
        (&json!("https://in-toto.io/Statement/v1"), &json!(hex))
    );
    check_openvex(&statement["predicate"]);
    assert_eq!(
        statement["subject"][0]["name"],
        statement["predicate"]["statements"][0]["products"][0]["@id"]
    );
    // The bill beside the image stays the one of what ships.
    let ran = kit.plain(&["verify", &reference, "--insecure-registry", &host, "--json"]);
    assert!(!ran.stdout.contains("sbom-differs"), "{}", ran.stdout);
}
