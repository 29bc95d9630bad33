//! Attestations of files on an index (PEP 740): who published a file, and whether that holds.
//!
//! An index keeps a provenance document beside a file: bundles of attestations, each with the publisher that
//! the index believes in. An attestation is an in-toto statement in a DSSE envelope, with a certificate of some
//! minutes for the workflow that published it and an entry of a transparency log, which says when. The
//! mathematics and the formats of Sigstore are those of its own crates; here is what PEP 740 adds: which
//! file it is about, and that the certificate is that of the publisher. Start at [`Verifier::check`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_types::{Bundle, Sha256Hash};
use sigstore_verify::{SubjectAltName, VerificationPolicy, VerificationResult};
use unheck_base::Digest;

/// The longest provenance document that is looked at, in bytes; those of the public index have some 10 kB
/// for each attestation.
pub const MAX_PROVENANCE: usize = 4 << 20;
/// Most attestations of one file that are looked at.
pub const MAX_ATTESTATIONS: usize = 16;

/// The kind of payload of every attestation (PEP 740, "Attestation objects").
const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// That an index took the file from a publisher, and nothing more (PEP 740).
pub const PUBLISH: &str = "https://docs.pypi.org/attestations/publish/v1";
/// The predicates that PEP 740's index accepts.
const PREDICATES: [&str; 2] = [PUBLISH, "https://slsa.dev/provenance/v1"];

/// Kinds of log entries for an envelope that can be verified: those of Rekor.
const ENTRIES: [&str; 3] = ["dsse 0.0.1", "intoto 0.0.2", "hashedrekord 0.0.2"];

/// Verifies attestations against a trust root.
pub struct Verifier {
    inner: sigstore_verify::Verifier,
    /// Whether certificates must prove that they are in a log too: a root of one's own may have none.
    has_certificate_log: bool,
}

/// A trust root cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("it is no trust root of Sigstore (`trusted_root.json`)")]
pub struct TrustRootError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// A provenance document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// It is longer than what is looked at.
    #[error("it is longer than {MAX_PROVENANCE} bytes")]
    TooLong,
    /// It is not as PEP 740 says.
    #[error("it is no provenance document (PEP 740)")]
    Format(#[source] serde_json::Error),
    /// Its version is unknown.
    #[error("its version {0} is unknown")]
    Version(u64),
    /// It has more attestations than are looked at.
    #[error("it has more than {MAX_ATTESTATIONS} attestations")]
    TooMany,
    /// It has none.
    #[error("it has no attestation")]
    Empty,
}

/// Why an attestation does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// It is not as PEP 740 says.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// Its statement is about another file.
    #[error("it is about `{name}` with SHA-256 {sha256}, not about this file")]
    OtherFile {
        /// The name it tells.
        name: String,
        /// The digest it tells.
        sha256: String,
    },
    /// Its predicate is none that is known.
    #[error("it states `{0}`, which is unknown")]
    Predicate(String),
    /// Its log entry is of a kind that cannot be verified here.
    #[error("its log entry is `{0}`, which cannot be verified")]
    Unsupported(String),
    /// Signature, certificate or log entry do not hold.
    #[error("its signature does not hold")]
    Signature(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The certificate is that of another publisher than the index tells.
    #[error("its certificate is for `{certificate}`, the index says `{index}`")]
    OtherPublisher {
        /// Whom the certificate names.
        certificate: String,
        /// Whom the index names.
        index: String,
    },
}

/// One attestation of a file.
#[derive(Debug)]
pub struct Checked {
    /// The kind of publisher that the index tells, such as `GitHub`; may be anything.
    pub publisher: String,
    /// Who signed it, or why that does not hold.
    pub verdict: Result<Signer, AttestationError>,
}

/// Whom a good attestation is from. The texts are those of a verified certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// What it states: the predicate's type.
    pub predicate: String,
    /// Whom the certificate is for: a workflow or an address.
    pub identity: String,
    /// Who vouched for that identity.
    pub issuer: Option<String>,
    /// The repository that the file was built from, for a workflow.
    pub repository: Option<String>,
    /// The commit, for a workflow.
    pub commit: Option<String>,
}

#[derive(Deserialize)]
struct Provenance {
    version: u64,
    attestation_bundles: Vec<AttestationBundle>,
}

#[derive(Deserialize)]
struct AttestationBundle {
    publisher: Publisher,
    attestations: Vec<Value>,
}

#[derive(Deserialize)]
struct Publisher {
    kind: String,
    repository: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Attestation {
    version: u64,
    verification_material: Material,
    envelope: Envelope,
}

#[derive(Deserialize)]
struct Material {
    certificate: String,
    transparency_entries: Vec<Value>,
    /// Time stamps (RFC 3161), base64; not of PEP 740, and sent since logs tell no time.
    #[serde(default)]
    timestamps: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope {
    statement: String,
    signature: String,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    name: Option<String>,
    digest: std::collections::BTreeMap<String, String>,
}

impl Verifier {
    /// With the trust root of the public instance of Sigstore, as it was when unheck was built.
    ///
    /// It is the one in the crate `sigstore-trust-root` (Apache-2.0), the same bytes as in the distribution
    /// `sigstore` 4.5.1; the tests hold its digest.
    pub fn public() -> Self {
        Self::new(SIGSTORE_PRODUCTION_TRUSTED_ROOT).expect("the tests read it")
    }

    /// With another trust root: the text of a `trusted_root.json`.
    ///
    /// # Errors
    /// [`TrustRootError`].
    pub fn new(trust_root: &str) -> Result<Self, TrustRootError> {
        let root = TrustedRoot::from_json(trust_root);
        let root = root.map_err(|error| TrustRootError(Box::new(error)))?;
        if root.tlogs.is_empty() || root.certificate_authorities.is_empty() {
            return Err(TrustRootError("it has no log or no authority".into()));
        }
        let inner = sigstore_verify::Verifier::new(&root);
        Ok(Self {
            inner: inner.map_err(|error| TrustRootError(Box::new(error)))?,
            has_certificate_log: !root.ctlogs.is_empty(),
        })
    }

    /// Looks at every attestation of the file `file` with SHA-256 `digest` in a provenance document.
    ///
    /// # Errors
    /// [`ProvenanceError`] where there is nothing to look at.
    pub fn check(
        &self,
        document: &[u8],
        file: &str,
        digest: &Digest,
    ) -> Result<Vec<Checked>, ProvenanceError> {
        if document.len() > MAX_PROVENANCE {
            return Err(ProvenanceError::TooLong);
        }
        let provenance: Provenance =
            serde_json::from_slice(document).map_err(ProvenanceError::Format)?;
        if provenance.version != 1 {
            return Err(ProvenanceError::Version(provenance.version));
        }
        let bundles = &provenance.attestation_bundles;
        let count: usize = bundles.iter().map(|its| its.attestations.len()).sum();
        match count {
            0 => return Err(ProvenanceError::Empty),
            count if count > MAX_ATTESTATIONS => return Err(ProvenanceError::TooMany),
            _ => {}
        }
        let each = bundles.iter().flat_map(|bundle| {
            let publisher = &bundle.publisher;
            bundle.attestations.iter().map(move |one| Checked {
                publisher: publisher.kind.clone(),
                verdict: self.one(one, publisher, (file, digest)),
            })
        });
        Ok(each.collect())
    }

    fn one(
        &self,
        attestation: &Value,
        publisher: &Publisher,
        (file, digest): (&str, &Digest),
    ) -> Result<Signer, AttestationError> {
        let attestation = Attestation::deserialize(attestation)
            .map_err(|_| AttestationError::Malformed("a field is missing or of another kind"))?;
        if attestation.version != 1 {
            return Err(AttestationError::Malformed("its version is unknown"));
        }
        let entries = &attestation.verification_material.transparency_entries;
        if entries.is_empty() {
            return Err(AttestationError::Malformed("it has no log entry"));
        }
        let mut kinds = entries.iter().map(entry_kind);
        if let Some(kind) = kinds.find(|kind| !ENTRIES.contains(&kind.as_str())) {
            return Err(AttestationError::Unsupported(kind));
        }
        let statement = statement(&attestation.envelope)?;
        is_about(&statement, file, digest)?;
        let result = self.signature(&attestation, digest)?;
        let signer = signer(&result, statement.predicate_type)?;
        is_from(&signer, publisher)?;
        Ok(signer)
    }

    fn signature(
        &self,
        attestation: &Attestation,
        digest: &Digest,
    ) -> Result<VerificationResult, AttestationError> {
        fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> AttestationError {
            AttestationError::Signature(Box::new(error))
        }
        let Attestation {
            verification_material: material,
            envelope,
            ..
        } = attestation;
        let stamps = material.timestamps.iter();
        let stamps: Vec<Value> = stamps
            .map(|text| json!({ "signedTimestamp": text }))
            .collect();
        // The same things under the names of a Sigstore bundle (PEP 740, "Changes to the data model").
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": material.certificate },
                "tlogEntries": material.transparency_entries,
                "timestampVerificationData": { "rfc3161Timestamps": stamps },
            },
            "dsseEnvelope": {
                "payload": envelope.statement,
                "payloadType": IN_TOTO,
                "signatures": [{ "sig": envelope.signature }],
            },
        });
        let bundle = Bundle::from_json(&bundle.to_string()).map_err(wrong)?;
        let artifact = Sha256Hash::from_hex(&digest.hex()).map_err(wrong)?;
        // Who may sign is decided by whom the index names, below.
        let policy = VerificationPolicy::any_identity();
        let policy = match self.has_certificate_log {
            true => policy,
            false => policy.skip_sct(),
        };
        let result = self
            .inner
            .verify(artifact, &bundle, &policy)
            .map_err(wrong)?;
        let is_whole = result.certificate_verified() && result.tlog_verified();
        is_whole
            .then_some(result)
            .ok_or(AttestationError::Malformed("something was not verified"))
    }
}

/// The kind and version of a log entry.
fn entry_kind(entry: &Value) -> String {
    let word = |key: &str| entry["kindVersion"][key].as_str().unwrap_or("?");
    let kind = format!("{} {}", word("kind"), word("version"));
    kind.chars().take(80).collect()
}

fn statement(envelope: &Envelope) -> Result<Statement, AttestationError> {
    let payload = STANDARD
        .decode(&envelope.statement)
        .map_err(|_| AttestationError::Malformed("its statement is no base64"))?;
    let statement: Statement = serde_json::from_slice(&payload)
        .map_err(|_| AttestationError::Malformed("its statement is no in-toto statement"))?;
    if statement.kind != STATEMENT {
        return Err(AttestationError::Malformed(
            "its statement is no in-toto statement of version 1",
        ));
    }
    if !PREDICATES.contains(&statement.predicate_type.as_str()) {
        return Err(AttestationError::Predicate(statement.predicate_type));
    }
    Ok(statement)
}

/// Exactly one subject, which has the file's name and digest (PEP 740, "Attestation statement").
fn is_about(statement: &Statement, file: &str, digest: &Digest) -> Result<(), AttestationError> {
    let [subject] = &statement.subject[..] else {
        return Err(AttestationError::Malformed(
            "it has not exactly one subject",
        ));
    };
    let name = subject.name.as_deref().unwrap_or_default();
    let sha256 = subject.digest.get("sha256").map_or("", String::as_str);
    if same_file(name, file) && *sha256 == digest.hex() {
        return Ok(());
    }
    Err(AttestationError::OtherFile {
        name: name.to_owned(),
        sha256: sha256.to_owned(),
    })
}

/// Whether two names of files are those of one: the distribution's part may be spelled otherwise.
fn same_file(left: &str, right: &str) -> bool {
    let parts = |name: &str| {
        let (distribution, rest) = name.split_once('-')?;
        let letters = distribution.replace(['.', '-'], "_").to_ascii_lowercase();
        Some((letters, rest.to_owned()))
    };
    left == right || parts(left).is_some_and(|left| Some(left) == parts(right))
}

fn signer(result: &VerificationResult, predicate: String) -> Result<Signer, AttestationError> {
    let identity = result.identity().map(SubjectAltName::as_str);
    let identity = identity.ok_or(AttestationError::Malformed("its certificate names nobody"))?;
    let claims = result
        .certificate()
        .map(|certificate| &certificate.ci_claims);
    Ok(Signer {
        predicate,
        identity: identity.to_owned(),
        issuer: result.issuer().map(str::to_owned),
        repository: claims.and_then(|claims| claims.source_repository_uri.clone()),
        commit: claims.and_then(|claims| claims.source_repository_digest.clone()),
    })
}

/// Who vouches for the identity of GitHub's workflows.
pub const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";

/// The host whose workflows a kind of publisher stands for, and who vouches for their identity.
fn host(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "GitHub" => Some(("https://github.com/", GITHUB_ISSUER)),
        "GitLab" => Some(("https://gitlab.com/", "https://gitlab.com")),
        _ => None,
    }
}

/// Whether the certificate is that of the publisher whom the index names (PEP 740, "Verification"). Kinds that
/// are unknown here prove who signed, and not that it is whom the index means.
fn is_from(signer: &Signer, publisher: &Publisher) -> Result<(), AttestationError> {
    let other = |certificate: &str, index: String| {
        Err(AttestationError::OtherPublisher {
            certificate: certificate.to_owned(),
            index,
        })
    };
    let certified = signer.repository.as_deref().unwrap_or(&signer.identity);
    match (
        host(&publisher.kind),
        &publisher.repository,
        &publisher.email,
    ) {
        (Some((host, issuer)), Some(repository), _) => {
            let stated = format!("{host}{repository}");
            match () {
                () if !certified.eq_ignore_ascii_case(&stated) => other(certified, stated),
                () if signer.issuer.as_deref() != Some(issuer) => other(
                    signer.issuer.as_deref().unwrap_or("nobody"),
                    issuer.to_owned(),
                ),
                () => Ok(()),
            }
        }
        (Some(_), None, _) => other(certified, "no repository".to_owned()),
        (None, _, Some(email)) if *email != signer.identity => {
            other(&signer.identity, email.clone())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_trust_root_is_the_one_that_was_looked_at() {
        let _ = Verifier::public();
        assert_eq!(
            Digest::of(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes()).hex(),
            "6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66"
        );
        for text in ["", "{}", "[]", r#"{"mediaType": "x", "tlogs": []}"#] {
            assert!(Verifier::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_files_may_be_spelled_otherwise() {
        assert!(same_file("My.Tool-1.0.tar.gz", "my_tool-1.0.tar.gz"));
        assert!(!same_file("tool-1.0.tar.gz", "tool-1.1.tar.gz"));
        assert!(!same_file("", "tool-1.0.tar.gz"));
    }
}
