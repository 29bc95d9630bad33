//! Attestations of wheels (PEP 740), from the index into the lock.

use unheck_testkit::sigstore::{Claim, Flaw, Sigstore};
use unheck_testkit::{Fault, FileOptions, WheelBuilder};

use crate::kit::{Kit, Ran};

const PROJECT: &str = "[project]\nname = \"shop\"\nversion = \"1.0\"\ndependencies = [\"tool\"]\n";
const ROOT: &str = "attestation-root = \"root.json\"\n";
const ALLOW: &str = "[allow]\n\"tool:attestation\" = \"looked at by hand\"\n";

fn wheel() -> WheelBuilder {
    WheelBuilder::new("tool", "1.0").file("tool/__init__.py", "x = 1\n")
}

/// A project that requires `tool`, on an index that says this of it.
fn kit(instance: &Sigstore, provenance: Option<Vec<u8>>) -> Kit {
    let kit = Kit::new(PROJECT);
    kit.write("main.py", "import tool\n\nprint(tool.x)\n");
    kit.write("root.json", &instance.trust_root());
    kit.write("unheck.toml", ROOT);
    let options = FileOptions {
        provenance,
        ..FileOptions::default()
    };
    kit.world.index.add(&wheel(), options);
    kit
}

fn claim() -> Claim {
    Claim::new(&wheel().filename(), &wheel().build())
}

fn lock_of(kit: &Kit) -> Option<String> {
    fs_err::read_to_string(kit.project().join("pylock.unheck.toml")).ok()
}

fn refused(ran: &Ran, says: &str) {
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    for text in [
        "the attestation of `tool-1.0-py3-none-any.whl` does not hold",
        says,
        "\"tool:attestation\" = \"REASON\"",
    ] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
}

#[test]
fn a_good_attestation_is_verified_and_written_down() {
    let instance = Sigstore::new();
    let kit = kit(&instance, Some(instance.provenance(&claim())));
    let ran = kit.run(&["lock", "-v"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("published by https://github.com/ann/tool, verified"),
        "{}",
        ran.stderr
    );
    let text = lock_of(&kit).expect("a lock");
    for line in [
        "file = \"tool-1.0-py3-none-any.whl\"",
        "result = \"verified\"",
        "publisher = \"GitHub\"",
        "repository = \"https://github.com/ann/tool\"",
        "issuer = \"https://",
        "/attestations/publish/v1\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // Made again, with and without a network, it says the same.
    assert_eq!(kit.run(&["lock"]).code, 0);
    assert_eq!(lock_of(&kit).as_ref(), Some(&text));
    fs_err::remove_file(kit.project().join("pylock.unheck.toml")).expect("removed");
    let offline = kit.run(&["lock", "--offline"]);
    assert_eq!(offline.code, 0, "{}", offline.stderr);
    assert_eq!(lock_of(&kit), Some(text));
}

#[test]
fn what_does_not_hold_is_refused_and_can_be_allowed() {
    let instance = Sigstore::new();
    let other = Claim::new(&wheel().filename(), b"other bytes");
    for (document, says) in [
        (
            instance.provenance(&claim().with(Flaw::OtherKey)),
            "signature does not hold",
        ),
        (
            instance.provenance(&claim().with(Flaw::Expired)),
            "signature does not hold",
        ),
        (
            instance.provenance(&claim().with(Flaw::WrongProof)),
            "inclusion proof",
        ),
        (
            instance.provenance(&claim().with(Flaw::NoEntry)),
            "no log entry",
        ),
        (instance.provenance(&other), "not about this file"),
        (b"garbage".to_vec(), "no provenance document"),
    ] {
        let kit = kit(&instance, Some(document));
        refused(&kit.run(&["lock"]), says);
        assert_eq!(lock_of(&kit), None, "nothing is written");
        kit.write("unheck.toml", &format!("{ROOT}{ALLOW}"));
        let allowed = kit.run(&["lock"]);
        assert_eq!(allowed.code, 0, "{}", allowed.stderr);
        assert!(
            !allowed.stderr.contains("does not hold"),
            "{}",
            allowed.stderr
        );
        let text = lock_of(&kit).expect("a lock");
        assert!(
            text.contains("result = \"refused\"") && text.contains("why = "),
            "{text}"
        );
        // Nor is anything built from that lock without the reason.
        kit.write("unheck.toml", ROOT);
        refused(&kit.build(&["--offline", "-o", "a.oci.tar"]), says);
        assert!(!kit.project().join("a.oci.tar").exists());
    }
}

#[test]
fn an_instance_that_is_not_trusted_vouches_for_nothing() {
    let instance = Sigstore::new();
    let kit = kit(&instance, Some(instance.provenance(&claim())));
    // Without a root of its own, the public instance counts.
    kit.write("unheck.toml", "");
    refused(&kit.run(&["lock"]), "signature does not hold");
    kit.write("unheck.toml", ROOT);
    kit.write("root.json", "{}");
    let ran = kit.run(&["lock"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("root.json"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`attestation-root`"), "{}", ran.stderr);
}

#[test]
fn an_index_that_does_not_give_what_it_offers_is_told() {
    let instance = Sigstore::new();
    let path = "/integrity/tool/1.0/tool-1.0-py3-none-any.whl/provenance";
    let kit = kit(&instance, Some(instance.provenance(&claim())));
    kit.world.index.server.fault(path, Fault::Status(404));
    let ran = kit.run(&["lock"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("its attestation cannot be read"),
        "{}",
        ran.stderr
    );
    // It is asked again where nothing was learned.
    kit.world.index.server.clear_faults();
    let ran = kit.run(&["lock", "--upgrade"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        lock_of(&kit)
            .expect("a lock")
            .contains("result = \"verified\"")
    );
    // One without an end is not read to its end.
    let kit = self::kit(&instance, Some(vec![b' '; 5 << 20]));
    let ran = kit.run(&["lock"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("longer than"), "{}", ran.stderr);
}

#[test]
fn a_plain_mirror_has_none_and_that_is_no_matter() {
    let instance = Sigstore::new();
    let kit = kit(&instance, None);
    let ran = kit.run(&["lock"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = lock_of(&kit).expect("a lock");
    assert!(
        !text.contains("attestation") && !ran.stderr.contains("attestation"),
        "{text}"
    );
}
