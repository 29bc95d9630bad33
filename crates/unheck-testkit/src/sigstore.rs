//! An instance of Sigstore in memory: a certificate authority, a transparency log and the attestations of
//! distributions that they vouch for (PEP 740).
//!
//! Written from the formats alone: DSSE, Rekor's `dsse` entry 0.0.1 with signed entry timestamp and inclusion
//! proof, signed notes, and Fulcio's certificate extensions. Start at [`Sigstore::new`] and [`Claim`].

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SigningKey,
};
use serde_json::{Value, json};

use crate::http::base64;

/// Unix seconds at which everything is logged: 2026-01-01T00:05:00Z.
const LOGGED: i64 = 1_767_225_900;
/// The name of the log in its notes.
const ORIGIN: &str = "log.test - 1";

/// An authority and a log, with their keys.
pub struct Sigstore {
    authority: Issuer<'static, KeyPair>,
    authority_der: Vec<u8>,
    log: KeyPair,
}

/// What an attestation claims, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The subject's name, a file name.
    pub file: String,
    /// The subject's SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The repository that the certificate names, such as `https://github.com/ann/tool`.
    pub repository: String,
    /// The repository that the index tells, such as `ann/tool`.
    pub told: String,
    /// What is wrong.
    pub flaw: Option<Flaw>,
}

/// What can be wrong with an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Signed by another key than the certificate's.
    OtherKey,
    /// The certificate had ended when it was logged.
    Expired,
    /// The certificate is of another authority.
    OtherAuthority,
    /// There is no log entry.
    NoEntry,
    /// The entry's timestamp is not signed by the log.
    WrongTimestamp,
    /// The inclusion proof leads elsewhere.
    WrongProof,
    /// The log's note of its tree is signed by somebody else.
    WrongNote,
    /// The entry is that of another signature.
    OtherEntry,
    /// The certificate is for TLS servers.
    ServerCertificate,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OtherKey,
        Self::Expired,
        Self::OtherAuthority,
        Self::NoEntry,
        Self::WrongTimestamp,
        Self::WrongProof,
        Self::WrongNote,
        Self::OtherEntry,
        Self::ServerCertificate,
    ];
}

impl Claim {
    /// A good attestation of a file.
    pub fn new(file: &str, bytes: &[u8]) -> Self {
        Self {
            file: file.to_owned(),
            sha256: crate::sha256_hex(bytes),
            repository: "https://github.com/ann/tool".to_owned(),
            told: "ann/tool".to_owned(),
            flaw: None,
        }
    }

    /// The same with a flaw.
    #[must_use]
    pub fn with(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }
}

impl Default for Sigstore {
    fn default() -> Self {
        Self::new()
    }
}

impl Sigstore {
    /// A new authority and log, with new keys.
    pub fn new() -> Self {
        let (authority, authority_der) = authority();
        Self {
            authority,
            authority_der,
            log: KeyPair::generate().unwrap(),
        }
    }

    /// The trust root (`trusted_root.json`) that knows them.
    pub fn trust_root(&self) -> String {
        let log = self.log.subject_public_key_info();
        let valid = json!({ "start": "2020-01-01T00:00:00Z" });
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{
                "baseUrl": "https://log.test",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": base64(&log),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": valid,
                },
                "logId": { "keyId": base64(&hash(&log)) },
            }],
            "certificateAuthorities": [{
                "subject": { "organization": "test", "commonName": "test" },
                "uri": "https://ca.test",
                "certChain": { "certificates": [{ "rawBytes": base64(&self.authority_der) }] },
                "validFor": valid,
            }],
            "ctlogs": [],
            "timestampAuthorities": [],
        });
        root.to_string()
    }

    /// A provenance document with one attestation.
    pub fn provenance(&self, claim: &Claim) -> Vec<u8> {
        let bundle = json!({
            "publisher": {
                "kind": "GitHub",
                "repository": claim.told,
                "workflow": "release.yml",
                "environment": null,
            },
            "attestations": [self.attestation(claim)],
        });
        json!({ "version": 1, "attestation_bundles": [bundle] })
            .to_string()
            .into_bytes()
    }

    /// One attestation.
    pub fn attestation(&self, claim: &Claim) -> Value {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": claim.file, "digest": { "sha256": claim.sha256 } }],
            "predicateType": "https://docs.pypi.org/attestations/publish/v1",
            "predicate": null,
        });
        let statement = statement.to_string().into_bytes();
        let key = KeyPair::generate().unwrap();
        let signer = match claim.flaw {
            Some(Flaw::OtherKey) => KeyPair::generate().unwrap(),
            _ => KeyPair::try_from(key.serialized_der()).unwrap(),
        };
        let kind = "application/vnd.in-toto+json";
        let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), statement.len()).into_bytes();
        message.extend_from_slice(&statement);
        let signature = signer.sign(&message).unwrap();
        let (der, pem) = self.certificate(&key, claim);
        let logged = match claim.flaw {
            Some(Flaw::OtherEntry) => self.log.sign(b"something else").unwrap(),
            _ => signature.clone(),
        };
        let entries = match claim.flaw {
            Some(Flaw::NoEntry) => Vec::new(),
            flaw => vec![self.entry(&statement, (&logged, &pem), flaw)],
        };
        json!({
            "version": 1,
            "verification_material": {
                "certificate": base64(&der),
                "transparency_entries": entries,
            },
            "envelope": { "statement": base64(&statement), "signature": base64(&signature) },
        })
    }

    /// A certificate of ten minutes for a workflow, as DER and PEM.
    fn certificate(&self, key: &KeyPair, claim: &Claim) -> (Vec<u8>, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let workflow = format!(
            "{}/.github/workflows/release.yml@refs/tags/v1",
            claim.repository
        );
        params.subject_alt_names = vec![SanType::URI(workflow.as_str().try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match claim.flaw {
            Some(Flaw::ServerCertificate) => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::CodeSigning,
        }];
        let day = if claim.flaw == Some(Flaw::Expired) {
            1
        } else {
            2
        };
        params.not_before = rcgen::date_time_ymd(2025, 12, 31);
        params.not_after = rcgen::date_time_ymd(2026, 1, day);
        for (number, text) in [
            (8, "https://token.actions.githubusercontent.com"),
            (12, claim.repository.as_str()),
            (18, workflow.as_str()),
        ] {
            let oid = [1, 3, 6, 1, 4, 1, 57264, 1, number];
            let content = utf8_string(text);
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&oid, content));
        }
        let other;
        let issuer = match claim.flaw {
            Some(Flaw::OtherAuthority) => {
                other = authority().0;
                &other
            }
            _ => &self.authority,
        };
        let certificate = params.signed_by(key, issuer).unwrap();
        (certificate.der().to_vec(), certificate.pem())
    }

    /// Rekor's entry for an envelope: the second of two leaves.
    fn entry(
        &self,
        statement: &[u8],
        (signature, pem): (&[u8], &str),
        flaw: Option<Flaw>,
    ) -> Value {
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": { "algorithm": "sha256", "value": crate::sha256_hex(b"envelope") },
                "payloadHash": { "algorithm": "sha256", "value": crate::sha256_hex(statement) },
                "signatures": [{
                    "signature": base64(signature),
                    "verifier": base64(pem.as_bytes()),
                }],
            },
        });
        let body = body.to_string().into_bytes();
        let spki = self.log.subject_public_key_info();
        let id = hash(&spki);
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        // Keys in their order (RFC 8785).
        let promised = format!(
            "{{\"body\":\"{}\",\"integratedTime\":{LOGGED},\"logID\":\"{hex}\",\"logIndex\":7}}",
            base64(&body)
        );
        let stranger = KeyPair::generate().unwrap();
        let key = |wrong: Flaw| {
            if flaw == Some(wrong) {
                &stranger
            } else {
                &self.log
            }
        };
        let timestamp = key(Flaw::WrongTimestamp).sign(promised.as_bytes()).unwrap();
        let sibling = hash(b"\0the first entry");
        let leaf = hash(&[&[0][..], &body].concat());
        let root = match flaw {
            Some(Flaw::WrongProof) => hash(b"elsewhere"),
            _ => hash(&[&[1][..], &sibling, &leaf].concat()),
        };
        let note = format!("{ORIGIN}\n2\n{}\n", base64(&root));
        let signed = key(Flaw::WrongNote).sign(note.as_bytes()).unwrap();
        let line = base64(&[&id[..4], &signed[..]].concat());
        json!({
            "logIndex": "7",
            "logId": { "keyId": base64(&id) },
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "integratedTime": LOGGED.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": base64(&timestamp) },
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": base64(&root),
                "treeSize": "2",
                "hashes": [base64(&sibling)],
                "checkpoint": { "envelope": format!("{note}\n\u{2014} log.test {line}\n") },
            },
            "canonicalizedBody": base64(&body),
        })
    }
}

/// A certificate authority of its own, and its certificate.
fn authority() -> (Issuer<'static, KeyPair>, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "test authority");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let der = certificate.der().to_vec();
    (Issuer::new(params, key), der)
}

/// A text as a DER UTF8String of less than 256 bytes (X.690, 8.1.3).
fn utf8_string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let head = if length < 128 {
        vec![0x0c, length]
    } else {
        vec![0x0c, 0x81, length]
    };
    [&head[..], text.as_bytes()].concat()
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}
