//! Who attests the wheels of a lock (PEP 740): asked where the index offers it, verified, written down.
//!
//! An index without attestations costs nothing and says nothing. One that does not hold is refused, unless the
//! project allows it. Start at `look` and `hold`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use unheck_attest::pypi::{
    AttestationError, Checked, MAX_PROVENANCE, Signer, TrustRootError, Verifier,
};
use unheck_base::Digest;
use unheck_names::facts::Page;
use unheck_names::label::printable;

use super::index::LiveIndex;
use crate::explain::{Class, Explain, with_causes};
use crate::input::Project;
use crate::lock::{Package, Wheel};

/// The kind by which `[tool.unheck.allow]` names it.
pub(crate) const KIND: &str = "attestation";
/// The longest trust root that is read, in bytes; the public one has 7 kB.
const MAX_ROOT: u64 = 1 << 20;

/// What came of looking at an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Verified,
    /// It does not hold.
    Refused,
    /// The index offers it and did not give it, or it is of a kind that cannot be verified here.
    Unread,
}

/// One attestation of a wheel, in `[packages.tool.unheck]` of the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attested {
    /// The wheel.
    pub file: String,
    /// What came of it.
    pub result: Outcome,
    /// Why it does not hold, or could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The kind of publisher that the index tells, such as `GitHub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The repository of the workflow that published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whom the certificate is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Who vouched for that identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The type of what is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<String>,
}

impl Attested {
    fn new(file: &str, result: Outcome, why: Option<String>) -> Self {
        Self {
            file: file.to_owned(),
            result,
            why: why.map(|why| printable(&why)),
            publisher: None,
            repository: None,
            commit: None,
            identity: None,
            issuer: None,
            predicate: None,
        }
    }

    fn of(file: &str, checked: Checked) -> Self {
        let publisher = Some(printable(&checked.publisher));
        match checked.verdict {
            Err(error) => Self {
                publisher,
                ..Self::new(file, outcome(&error), Some(with_causes(&error, ": ")))
            },
            Ok(Signer {
                predicate,
                identity,
                issuer,
                repository,
                commit,
            }) => Self {
                publisher,
                repository: repository.map(|text| printable(&text)),
                commit: commit.map(|text| printable(&text)),
                identity: Some(printable(&identity)),
                issuer: issuer.map(|text| printable(&text)),
                predicate: Some(predicate),
                ..Self::new(file, Outcome::Verified, None)
            },
        }
    }
}

/// What no verifier here can read is no proof of anything, as if the index had not offered it.
const fn outcome(error: &AttestationError) -> Outcome {
    match error {
        AttestationError::Unsupported(_) => Outcome::Unread,
        _ => Outcome::Refused,
    }
}

/// Whom attestations must be vouched for by: the public instance of Sigstore, or the project's own.
pub(crate) struct Trust {
    /// The project's own, with the digest of its text.
    own: Option<(Digest, Verifier)>,
    public: OnceLock<Verifier>,
}

/// The project's own trust root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("cannot read the trust root of attestations")]
    Read(#[source] std::io::Error),
    /// It is none.
    #[error("cannot use `{path}` as the trust root of attestations", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TrustRootError,
    },
}

impl Explain for TrustError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "`attestation-root` of `[tool.unheck]` names the `trusted_root.json` of an instance of Sigstore; without it the public one counts"
                .to_owned(),
        ]
    }
}

impl Trust {
    /// That of the project: `attestation-root` of its configuration, else the public one.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn of(project: &Project) -> Result<Self, TrustError> {
        use std::io::Read as _;
        let own = match &project.config.attestation_root {
            None => None,
            Some(path) => {
                let path = project.root.join(path);
                let mut text = String::new();
                fs_err::File::open(&path)
                    .and_then(|file| file.take(MAX_ROOT).read_to_string(&mut text))
                    .map_err(TrustError::Read)?;
                let digest = Digest::of(text.as_bytes());
                let verifier = Verifier::new(&text);
                let verifier = verifier.map_err(|source| TrustError::Parse { path, source })?;
                Some((digest, verifier))
            }
        };
        Ok(Self {
            own,
            public: OnceLock::new(),
        })
    }

    /// The digest of the project's own trust root.
    pub(super) fn root(&self) -> Option<Digest> {
        self.own.as_ref().map(|(digest, _)| *digest)
    }

    fn verifier(&self) -> &Verifier {
        let public = || self.public.get_or_init(Verifier::public);
        self.own
            .as_ref()
            .map_or_else(public, |(_, verifier)| verifier)
    }
}

/// Looks at the attestations of those wheels that the index's page says to have some.
pub(super) async fn look(
    index: &LiveIndex<'_>,
    page: &Page,
    wheels: &[Wheel],
    trust: &Trust,
) -> Vec<Attested> {
    let mut told = Vec::new();
    for wheel in wheels {
        let file = page.files.iter().find(|file| file.filename == wheel.name);
        let Some(url) = file.and_then(|file| file.provenance.as_deref()) else {
            continue;
        };
        let document = index.document(url, MAX_PROVENANCE).await;
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                told.push(Attested::new(
                    &wheel.name,
                    Outcome::Unread,
                    Some(with_causes(&error, ": ")),
                ));
                continue;
            }
        };
        let checked = trust
            .verifier()
            .check(&document, &wheel.name, &wheel.hashes.sha256);
        match checked {
            Ok(checked) => told.extend(
                checked
                    .into_iter()
                    .map(|one| Attested::of(&wheel.name, one)),
            ),
            Err(error) => {
                let why = Some(with_causes(&error, ": "));
                told.push(Attested::new(&wheel.name, Outcome::Refused, why));
            }
        }
    }
    told
}

/// Attestations do not hold, and the project does not allow it.
#[derive(Debug, thiserror::Error)]
#[error("the attestation of `{file}` does not hold: {why}{}", more(*others))]
pub struct RefusedAttestation {
    /// The distribution.
    pub name: String,
    /// The first wheel.
    pub file: String,
    /// Why it does not hold.
    pub why: String,
    /// How many others do not.
    pub others: usize,
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!("; nor {others} more"),
    }
}

impl Explain for RefusedAttestation {
    fn class(&self) -> Class {
        Class::Outside
    }

    fn hints(&self) -> Vec<String> {
        vec![format!(
            "find out why before you use it: the file may not be what its owners published; `\"{}:{KIND}\" = \"REASON\"` in `[tool.unheck.allow]` takes it all the same",
            self.name
        )]
    }
}

/// Refuses distributions of which an attestation does not hold; `allow` as in [`super::census::findings`].
///
/// # Errors
/// [`RefusedAttestation`].
pub(crate) fn hold(
    packages: &[Package],
    allow: &BTreeMap<String, String>,
) -> Result<(), Box<RefusedAttestation>> {
    let refused = packages.iter().flat_map(|package| {
        let told = package
            .tool
            .iter()
            .flat_map(|tool| &tool.unheck.attestations);
        let refused = told.filter(|one| one.result == Outcome::Refused);
        refused.map(move |one| (package, one))
    });
    let is_allowed =
        |name: &str| allow.contains_key(name) || allow.contains_key(&format!("{name}:{KIND}"));
    let mut refused = refused.filter(|(package, _)| !is_allowed(&package.name));
    match refused.next() {
        None => Ok(()),
        Some((package, one)) => Err(Box::new(RefusedAttestation {
            name: package.name.clone(),
            file: one.file.clone(),
            why: one.why.clone().unwrap_or_default(),
            others: refused.count(),
        })),
    }
}
