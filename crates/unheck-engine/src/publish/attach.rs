//! What is said about an image, put beside it in the registry, and looked at again. Start at [`prepare`] and
//! [`check`].
//!
//! Each platform of an image that unheck made gets its bill of materials (CycloneDX) and its provenance (SLSA in an
//! in-toto statement, in a DSSE envelope where there is a key). Both are read from the image, so pushing it again
//! attaches the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use unheck_attest::dsse::{self, VerifyingKey};
use unheck_attest::statement::{self, Input, PROVENANCE, Provenance};
use unheck_base::Digest;
use unheck_oci::image::Descriptor;
use unheck_oci::open::{Opened, OpenedImage};
use unheck_registry::referrers::Artifact;
use unheck_registry::{Access, Client, Purpose, Reference};
use unheck_sbom::{openvex, purl};

use super::{PublishError, Signer, client, pull, tell};
use crate::bom::{Bill, BillFormat, bills};
use crate::finding::{Finding, Severity};
use crate::inside::look;
use crate::lock::{Lock, Target};
use crate::session::Session;
use crate::vulnerabilities::{self, Basis};

/// The annotation by which a statement is found without being read.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// What is to be attached to one manifest.
pub(super) struct Attachment {
    subject: Descriptor,
    bill: Artifact,
    provenance: Provenance,
    /// The bill with what is said of known vulnerabilities, where there are any.
    judged: Option<Bill>,
}

/// Makes the bills and the provenance of every platform; nothing for an image without a lock. The bills name no
/// vulnerabilities: what is known of these changes, and the bill of an image does not.
pub(super) fn prepare(
    session: &Session,
    artifact: &Path,
    (opened, basis): (&Opened, Option<Basis<'_>>),
) -> Result<Vec<Attachment>, PublishError> {
    let failed = |source| PublishError::Open {
        path: artifact.to_owned(),
        source: Box::new(source),
    };
    let images = opened.images().map_err(failed)?;
    let insides = look(artifact).map_err(Box::new)?;
    if insides.iter().all(|inside| inside.lock.is_none()) {
        return Ok(Vec::new());
    }
    let bills = bills(session, artifact).map_err(Box::new)?;
    let mut judged = bills.clone();
    if let Some(basis) = basis {
        vulnerabilities::look(&mut judged, basis)?;
    }
    let mut attachments = Vec::new();
    let all = images.iter().zip(&insides).zip(&bills).zip(judged);
    for (((image, inside), bill), judged) in all {
        let Some(lock) = &inside.lock else {
            continue;
        };
        let bytes = bill.document(BillFormat::CycloneDx).map_err(Box::new)?;
        let media_type = BillFormat::CycloneDx.media_type().to_owned();
        attachments.push(Attachment {
            subject: image.descriptor.clone(),
            bill: Artifact {
                artifact_type: media_type.clone(),
                bytes,
                media_type,
                annotations: BTreeMap::new(),
            },
            provenance: provenance(image, lock, &inside.platform),
            judged: Some(judged).filter(|judged| !judged.bom.vulnerabilities.is_empty()),
        });
    }
    Ok(attachments)
}

impl Attachment {
    /// All that is put beside the image in one repository, signed where somebody signs.
    pub(super) fn artifacts(
        &self,
        client: &Client,
        signer: Option<&Signer>,
    ) -> Result<Vec<Artifact>, PublishError> {
        let mut provenance = self.provenance.clone();
        provenance.name = client.repository().to_string();
        let statement = provenance.statement().map_err(PublishError::Statement)?;
        let mut artifacts = vec![self.bill.clone(), artifact(PROVENANCE, statement, signer)?];
        artifacts.extend(self.vex(client, signer)?);
        Ok(artifacts)
    }

    /// Puts them there.
    pub(super) fn attach(
        &self,
        session: &Session,
        client: &Client,
        artifacts: &[Artifact],
    ) -> Result<(), PublishError> {
        let heard = |progress: unheck_registry::Progress<'_>| tell(session, progress);
        for artifact in artifacts {
            session
                .net
                .block_on(client.attach(&self.subject, artifact, &heard))?;
        }
        Ok(())
    }

    /// What is said of known vulnerabilities, as the predicate of a statement about the image (OpenVEX, `ATTESTING.md`).
    fn vex(
        &self,
        client: &Client,
        signer: Option<&Signer>,
    ) -> Result<Option<Artifact>, PublishError> {
        let Some(bill) = &self.judged else {
            return Ok(None);
        };
        let repository = client.repository();
        let image = purl::oci(
            repository.name(),
            &self.subject.digest,
            Some(repository.host()),
        );
        let vex = openvex::document(&bill.bom, Some(&image)).map_err(PublishError::Statement)?;
        let Some(vex) = vex else {
            return Ok(None);
        };
        let predicate = serde_json::from_slice(&vex).map_err(PublishError::Statement)?;
        let about = (image.as_str(), &self.subject.digest);
        let statement = statement::around(about, openvex::CONTEXT, predicate);
        let statement = statement.map_err(PublishError::Statement)?;
        Ok(Some(artifact(openvex::CONTEXT, statement, signer)?))
    }
}

/// A statement to be attached, in an envelope where somebody signs.
fn artifact(
    predicate: &str,
    statement: Vec<u8>,
    signer: Option<&Signer>,
) -> Result<Artifact, PublishError> {
    let (media_type, bytes) = match signer {
        Some(signer) => {
            let signed = signer.sign(statement::MEDIA_TYPE, &statement);
            (dsse::MEDIA_TYPE, signed.map_err(Box::new)?)
        }
        None => (statement::MEDIA_TYPE, statement),
    };
    Ok(Artifact {
        artifact_type: media_type.to_owned(),
        bytes,
        media_type: media_type.to_owned(),
        annotations: [(PREDICATE_TYPE.to_owned(), predicate.to_owned())].into(),
    })
}

/// How an image came to be, by its own lock and config.
fn provenance(image: &OpenedImage, lock: &Lock, platform: &str) -> Provenance {
    let target = platform
        .parse()
        .ok()
        .and_then(|platform| lock.target(platform));
    let config = &image.config.config;
    let mut parameters: BTreeMap<String, Value> = BTreeMap::new();
    parameters.insert("platform".to_owned(), json!(platform));
    parameters.insert("entrypoint".to_owned(), json!(config.entrypoint));
    parameters.insert("requirements".to_owned(), json!(lock.plan.roots));
    if let Some(target) = target {
        let suites: Vec<&str> = target
            .suites
            .iter()
            .map(|suite| suite.name.as_str())
            .collect();
        parameters.insert("python".to_owned(), json!(target.interpreter.version));
        parameters.insert("suites".to_owned(), json!(suites));
    }
    Provenance {
        name: String::new(),
        digest: image.descriptor.digest,
        parameters,
        inputs: inputs(lock, target),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The lock, and all that it names for one target, each by its digest.
fn inputs(lock: &Lock, target: Option<&Target>) -> Vec<Input> {
    let text = lock.to_text();
    let mut inputs = vec![Input::new(
        crate::lock::LOCK_FILE,
        "urn:unheck:lock",
        &Digest::of(text.as_bytes()),
    )];
    let Some(target) = target else {
        return inputs;
    };
    for suite in &target.suites {
        let name = format!(
            "{}/dists/{}/InRelease",
            suite.archive.directory(),
            suite.name
        );
        inputs.push(Input::new(
            &name,
            format!("urn:debian:{name}"),
            &suite.inrelease,
        ));
    }
    if let Some(archive) = &target.interpreter.archive {
        let uri = archive.url.clone();
        let uri = uri.unwrap_or_else(|| purl::generic("python", Some(&target.interpreter.version)));
        inputs.push(Input::new(&archive.name, uri, &archive.hashes.sha256));
    }
    for (package, wheel) in target.wheels.iter().filter_map(|file| lock.wheel(file)) {
        let version = package.version.as_deref().unwrap_or("");
        let uri = purl::pypi(&package.name, version);
        inputs.push(Input::new(&wheel.name, uri, &wheel.hashes.sha256));
    }
    for deb in &target.debs {
        let uri = purl::deb(&deb.name, &deb.version, &deb.architecture, None);
        inputs.push(Input::new(&deb.path, uri, &deb.sha256));
    }
    inputs
}

/// Looks at what is attached to an image in a registry: with a key, each platform must have provenance that the key
/// signed, of this image and of the inputs that its lock names; bills must be those of what ships.
///
/// # Errors
/// [`PublishError`] when the registry cannot be asked.
pub fn check(
    session: &Session,
    access: &Access,
    reference: &Reference,
    key: Option<&VerifyingKey>,
) -> Result<Vec<Finding>, PublishError> {
    let pulled = pull(session, access, reference)?;
    let path = pulled.path();
    let failed = |source| PublishError::Open {
        path: path.clone(),
        source: Box::new(source),
    };
    let opened = unheck_oci::open::open(&path).map_err(failed)?;
    let client = client(session, access, reference.repository(), Purpose::Pull)?;
    let mut findings = Vec::new();
    for expected in prepare(session, &path, (&opened, None))? {
        let looker = Looker {
            session,
            client: &client,
            expected: &expected,
        };
        looker.bills(&mut findings)?;
        if let Some(key) = key {
            findings.push(looker.signed(key)?);
        }
    }
    if findings.is_empty() && key.is_some() {
        findings.push(Finding::new(
            Severity::Error,
            "attestation-missing",
            reference.to_string(),
            "the image was not made by unheck, so nothing can be said of how it was made",
        ));
    }
    Ok(findings)
}

/// One platform of an image in a registry.
struct Looker<'a> {
    session: &'a Session,
    client: &'a Client,
    expected: &'a Attachment,
}

impl Looker<'_> {
    fn artifacts(&self, kind: &str, limit: usize) -> Result<Vec<Vec<u8>>, PublishError> {
        let heard = |progress: unheck_registry::Progress<'_>| tell(self.session, progress);
        let subject = &self.expected.subject.digest;
        self.session.net.block_on(async {
            let mut found = Vec::new();
            for entry in self.client.referrers(subject, Some(kind), &heard).await? {
                let (_, bytes) = self
                    .client
                    .artifact(subject, &entry, limit as u64, &heard)
                    .await?;
                found.push(bytes);
            }
            Ok(found)
        })
    }

    /// A bill that is not the one of what ships is of another image, or of another unheck.
    fn bills(&self, findings: &mut Vec<Finding>) -> Result<(), PublishError> {
        let kind = BillFormat::CycloneDx.media_type();
        let attached = self.artifacts(kind, unheck_sbom::merge::MAX_BILL)?;
        if !attached.is_empty() && !attached.contains(&self.expected.bill.bytes) {
            findings.push(
                Finding::new(
                    Severity::Warning,
                    "sbom-differs",
                    self.expected.subject.digest.to_string(),
                    "none of the attached bills of materials is the one of what ships",
                )
                .with_hint("another version of unheck may have written it: push the image again"),
            );
        }
        Ok(())
    }

    fn signed(&self, key: &VerifyingKey) -> Result<Finding, PublishError> {
        let envelopes = self.artifacts(dsse::MEDIA_TYPE, dsse::MAX_ENVELOPE)?;
        let mut reasons: BTreeSet<String> = BTreeSet::new();
        for envelope in &envelopes {
            match self.judge(key, envelope) {
                Ok(()) => {
                    let evidence = format!("its provenance is signed by the key {}", key.id());
                    return Ok(self.finding(Severity::Info, "attestation-verified", &evidence));
                }
                Err(reason) => drop(reasons.insert(reason)),
            }
        }
        if envelopes.is_empty() {
            let evidence = "no signed provenance is attached";
            let finding = self.finding(Severity::Error, "attestation-missing", evidence);
            return Ok(finding.with_hint("push it with `--sign-key FILE` or `--sign-command CMD`"));
        }
        let evidence = reasons.into_iter().collect::<Vec<_>>().join("; ");
        Ok(self.finding(Severity::Error, "attestation-refused", &evidence))
    }

    /// Whether an envelope is the key's, about this image, and names the inputs of its lock.
    fn judge(&self, key: &VerifyingKey, envelope: &[u8]) -> Result<(), String> {
        let payload = key
            .open(statement::MEDIA_TYPE, envelope)
            .map_err(|error| error.to_string())?;
        let said = statement::read(&payload).map_err(|error| error.to_string())?;
        if said.predicate_type != PROVENANCE {
            return Err("it is no SLSA provenance".to_owned());
        }
        if !said.subjects.contains(&self.expected.subject.digest) {
            return Err("its statement is about another image".to_owned());
        }
        let digests = |inputs: &[Input]| -> BTreeSet<BTreeMap<String, String>> {
            inputs.iter().map(|input| input.digest.clone()).collect()
        };
        match digests(&said.inputs) == digests(&self.expected.provenance.inputs) {
            true => Ok(()),
            false => Err("its statement names other inputs than the lock in the image".to_owned()),
        }
    }

    fn finding(&self, severity: Severity, rule: &'static str, evidence: &str) -> Finding {
        let subject = self.expected.subject.digest.to_string();
        Finding::new(severity, rule, subject, evidence)
    }
}
