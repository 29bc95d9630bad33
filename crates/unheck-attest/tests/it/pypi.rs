//! Attestations on an index, good and bad.

use proptest::prelude::*;
use unheck_attest::pypi::{
    AttestationError, GITHUB_ISSUER, MAX_PROVENANCE, PUBLISH, ProvenanceError, Signer, Verifier,
};
use unheck_base::Digest;
use unheck_testkit::sigstore::{Claim, Flaw, Sigstore};

const FILE: &str = "tool-1.0-py3-none-any.whl";
const BYTES: &[u8] = b"the wheel";

fn check(verifier: &Verifier, document: &[u8]) -> Result<Signer, AttestationError> {
    let checked = verifier.check(document, FILE, &Digest::of(BYTES));
    let checked = checked.expect("a document");
    assert_eq!(checked.len(), 1);
    let one = checked.into_iter().next().expect("one");
    assert_eq!(one.publisher, "GitHub");
    one.verdict
}

fn chain(error: &AttestationError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[test]
fn a_good_attestation_tells_who_published() {
    let instance = Sigstore::new();
    let verifier = Verifier::new(&instance.trust_root()).expect("a trust root");
    let signer = check(&verifier, &instance.provenance(&Claim::new(FILE, BYTES)));
    let signer = signer.expect("it holds");
    assert_eq!(
        signer.repository.as_deref(),
        Some("https://github.com/ann/tool")
    );
    assert_eq!(
        signer.identity,
        "https://github.com/ann/tool/.github/workflows/release.yml@refs/tags/v1"
    );
    assert_eq!(signer.issuer.as_deref(), Some(GITHUB_ISSUER));
    assert_eq!(signer.predicate, PUBLISH);
}

#[test]
fn what_the_public_instance_vouches_for_is_verified() {
    const REAL: &[u8] = include_bytes!("../data/pypi_attestations-0.0.19.tar.gz.provenance");
    let file = "pypi_attestations-0.0.19.tar.gz";
    let digest = "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3";
    let digest: Digest = digest.parse().expect("a digest");
    let checked = Verifier::public().check(REAL, file, &digest);
    let checked = checked.expect("a document");
    assert_eq!(checked.len(), 1);
    for one in checked {
        let signer = one.verdict.expect("it holds");
        assert_eq!(one.publisher, "GitHub");
        assert_eq!(
            signer.repository.as_deref(),
            Some("https://github.com/trailofbits/pypi-attestations")
        );
        assert_eq!(signer.issuer.as_deref(), Some(GITHUB_ISSUER));
    }
    let other = Verifier::public().check(REAL, file, &Digest::of(b"other"));
    assert!(other.expect("a document")[0].verdict.is_err());
}

#[test]
fn entries_of_unknown_kinds_are_told_apart() {
    let instance = Sigstore::new();
    let verifier = Verifier::new(&instance.trust_root()).expect("a trust root");
    let document = instance.provenance(&Claim::new(FILE, BYTES));
    let text = String::from_utf8(document).expect("text");
    let changed = text.replace(r#""version":"0.0.1""#, r#""version":"0.0.9""#);
    assert_ne!(text, changed);
    let error = check(&verifier, changed.as_bytes()).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "its log entry is `dsse 0.0.9`, which cannot be verified"
    );
}

#[test]
fn every_flaw_is_seen_and_named() {
    let instance = Sigstore::new();
    let verifier = Verifier::new(&instance.trust_root()).expect("a trust root");
    for flaw in Flaw::ALL {
        let claim = Claim::new(FILE, BYTES).with(flaw);
        let error = check(&verifier, &instance.provenance(&claim));
        let text = chain(&error.expect_err("it must not hold"));
        let says = match flaw {
            Flaw::OtherKey => "DSSE signature verification failed",
            Flaw::Expired | Flaw::OtherAuthority | Flaw::ServerCertificate => {
                "certificate chain is invalid"
            }
            Flaw::NoEntry => "it has no log entry",
            Flaw::WrongTimestamp => "SET verification failed",
            Flaw::WrongProof => "inclusion proof",
            Flaw::WrongNote => "invalid checkpoint",
            Flaw::OtherEntry => "log entry does not match",
        };
        assert!(text.contains(says), "{flaw:?}: {text}");
    }
}

#[test]
fn another_file_publisher_or_instance_is_refused() {
    let instance = Sigstore::new();
    let verifier = Verifier::new(&instance.trust_root()).expect("a trust root");
    for claim in [
        Claim::new(FILE, b"other bytes"),
        Claim::new("other-1.0-py3-none-any.whl", BYTES),
    ] {
        let error = check(&verifier, &instance.provenance(&claim)).expect_err("another file");
        assert!(
            matches!(error, AttestationError::OtherFile { .. }),
            "{error}"
        );
    }
    let mut claim = Claim::new(FILE, BYTES);
    claim.repository = "https://github.com/eve/tool".to_owned();
    let error = check(&verifier, &instance.provenance(&claim)).expect_err("another publisher");
    assert_eq!(
        error.to_string(),
        "its certificate is for `https://github.com/eve/tool`, the index says `https://github.com/ann/tool`"
    );
    let good = Claim::new(FILE, BYTES);
    for other in [
        Verifier::public(),
        Verifier::new(&Sigstore::new().trust_root()).expect("one"),
    ] {
        let error = check(&other, &instance.provenance(&good)).expect_err("another instance");
        assert!(matches!(error, AttestationError::Signature(_)), "{error}");
    }
}

#[test]
fn a_root_with_a_certificate_log_wants_certificates_from_it() {
    let instance = Sigstore::new();
    let mut root: serde_json::Value = serde_json::from_str(&instance.trust_root()).expect("JSON");
    // Any key will do: the certificate proves nothing.
    root["ctlogs"] = root["tlogs"].clone();
    let verifier = Verifier::new(&root.to_string()).expect("a trust root");
    let error = check(&verifier, &instance.provenance(&Claim::new(FILE, BYTES)));
    let text = chain(&error.expect_err("no such proof"));
    assert!(text.contains("signed certificate timestamp"), "{text}");
}

#[test]
fn garbage_and_too_much_are_errors_of_the_document() {
    let verifier = Verifier::public();
    let ask = |document: &[u8]| {
        let checked = verifier.check(document, FILE, &Digest::of(BYTES));
        checked.expect_err("no document")
    };
    assert!(matches!(
        ask(&vec![b' '; MAX_PROVENANCE + 1]),
        ProvenanceError::TooLong
    ));
    for text in ["", "[]", "{}", "\u{0}", &"[".repeat(100_000)] {
        assert!(
            matches!(ask(text.as_bytes()), ProvenanceError::Format(_)),
            "{text:.9}"
        );
    }
    let document = |version: u32, attestations: &str| {
        format!(
            r#"{{"version": {version}, "attestation_bundles": [{{"publisher": {{"kind": "GitHub"}}, "attestations": [{attestations}]}}]}}"#
        )
    };
    assert!(matches!(
        ask(document(2, "7").as_bytes()),
        ProvenanceError::Version(2)
    ));
    assert!(matches!(
        ask(document(1, "").as_bytes()),
        ProvenanceError::Empty
    ));
    let many = vec!["7"; 17].join(",");
    assert!(matches!(
        ask(document(1, &many).as_bytes()),
        ProvenanceError::TooMany
    ));
    let error = check(&verifier, document(1, "7").as_bytes()).expect_err("no attestation");
    assert!(matches!(error, AttestationError::Malformed(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// No change of a good attestation makes anything but the same answer or a refusal.
    #[test]
    fn no_change_of_a_byte_passes(at in 0_usize..10_000, byte in any::<u8>()) {
        use std::sync::OnceLock;
        static GOOD: OnceLock<(String, Vec<u8>)> = OnceLock::new();
        let (root, good) = GOOD.get_or_init(|| {
            let instance = Sigstore::new();
            (instance.trust_root(), instance.provenance(&Claim::new(FILE, BYTES)))
        });
        let verifier = Verifier::new(root).expect("a trust root");
        let mut changed = good.clone();
        let at = at % changed.len();
        changed[at] = byte;
        let digest = Digest::of(BYTES);
        let before = verifier.check(good, FILE, &digest).expect("a document");
        let before = before[0].verdict.as_ref().expect("it holds").clone();
        if let Ok(checked) = verifier.check(&changed, FILE, &digest) {
            for one in checked {
                if let Ok(signer) = one.verdict {
                    prop_assert_eq!(&signer, &before);
                }
            }
        }
    }
}
