//! What was built from what, as an in-toto statement. Start at [`Provenance`].
//!
//! in-toto attestation framework v1 (`spec/v1/statement.md`) and SLSA v1 (`provenance/v1`). Times are left out:
//! the same inputs give the same statement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unheck_base::Digest;

/// The media type of a statement, and the payload type of its envelope.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// The predicate type of SLSA provenance.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What unheck does with its parameters; raised when they change their meaning.
const BUILD_TYPE: &str = "urn:unheck:build:1";
const BUILDER: &str = "urn:unheck:builder";
/// The longest statement that is read, in bytes.
pub const MAX_STATEMENT: usize = 16 << 20;

/// How an artifact came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What the artifact is called, such as `registry.example/team/web`.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// What the user chose, by name.
    pub parameters: BTreeMap<String, Value>,
    /// What it was made of, in order.
    pub inputs: Vec<Input>,
    /// The version of unheck.
    pub version: String,
}

/// One thing that an artifact was made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// What it is called.
    pub name: String,
    /// What identifies it: a package URL, an address without credentials.
    pub uri: String,
    /// Its digests by algorithm; always SHA-256.
    pub digest: BTreeMap<String, String>,
}

/// What a statement says, as far as it is looked at here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The digests of what it is about.
    pub subjects: Vec<Digest>,
    /// The type of what it says.
    pub predicate_type: String,
    /// The inputs of provenance.
    pub inputs: Vec<Input>,
}

/// The bytes are no statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// They are far too many.
    #[error("it has {size} bytes, a statement may have {MAX_STATEMENT}")]
    TooLong {
        /// How many.
        size: usize,
    },
    /// They are no such JSON.
    #[error("it is no in-toto statement")]
    Json(#[from] serde_json::Error),
    /// It is of another type.
    #[error("it is of the type `{0}`, not an in-toto statement v1")]
    Type(String),
}

impl Input {
    /// An input by its SHA-256.
    pub fn new(name: impl Into<String>, uri: impl Into<String>, sha256: &Digest) -> Self {
        Self {
            name: name.into(),
            uri: uri.into(),
            digest: [("sha256".to_owned(), sha256.hex())].into(),
        }
    }
}

impl Provenance {
    /// The statement, one line of JSON. The same provenance gives the same bytes.
    ///
    /// # Errors
    /// JSON cannot hold it, which no text makes happen.
    pub fn statement(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Statement {
            kind: STATEMENT.to_owned(),
            subject: vec![Subject {
                name: self.name.clone(),
                digest: [("sha256".to_owned(), self.digest.hex())].into(),
            }],
            predicate_type: PROVENANCE.to_owned(),
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: self.parameters.clone(),
                    resolved_dependencies: self.inputs.clone(),
                },
                run_details: RunDetails {
                    builder: Builder {
                        id: BUILDER.to_owned(),
                        version: [("unheck".to_owned(), self.version.clone())].into(),
                    },
                },
            },
        })
    }
}

/// Reads a statement. What another tool put into a predicate of its own is not looked at.
///
/// # Errors
/// [`StatementError`].
pub fn read(bytes: &[u8]) -> Result<Said, StatementError> {
    if bytes.len() > MAX_STATEMENT {
        return Err(StatementError::TooLong { size: bytes.len() });
    }
    let envelope: Loose = serde_json::from_slice(bytes)?;
    if envelope.kind != STATEMENT {
        let kind: String = envelope.kind.chars().take(100).collect();
        return Err(StatementError::Type(kind.escape_debug().to_string()));
    }
    let subjects = envelope.subject.iter();
    let subjects = subjects.filter_map(|one| one.digest.get("sha256")?.parse().ok());
    let inputs = match envelope.predicate_type == PROVENANCE {
        true => {
            serde_json::from_value::<Predicate>(envelope.predicate)?
                .build_definition
                .resolved_dependencies
        }
        false => Vec::new(),
    };
    Ok(Said {
        subjects: subjects.collect(),
        predicate_type: envelope.predicate_type,
        inputs,
    })
}

/// A statement with a predicate of another type about one image.
///
/// # Errors
/// JSON cannot hold it, which no text makes happen.
pub fn around(
    (name, digest): (&str, &Digest),
    predicate_type: &str,
    predicate: Value,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&serde_json::json!({
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest.hex()}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Loose {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: BTreeMap<String, Value>,
    #[serde(default)]
    resolved_dependencies: Vec<Input>,
}

#[derive(Serialize, Deserialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Serialize, Deserialize)]
struct Builder {
    id: String,
    #[serde(default)]
    version: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_is_written_as_slsa_has_it_and_read_again() {
        let provenance = Provenance {
            name: "r.example/web".into(),
            digest: Digest::of(b"image"),
            parameters: [("platform".into(), "linux/amd64".into())].into(),
            inputs: vec![Input::new("demo", "pkg:pypi/demo@1", &Digest::of(b"wheel"))],
            version: "0.1.0".into(),
        };
        let bytes = provenance.statement().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let text = text.replace(&Digest::of(b"image").hex(), "IMAGE");
        insta::assert_snapshot!(text.replace(&Digest::of(b"wheel").hex(), "WHEEL"), @r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"r.example/web","digest":{"sha256":"IMAGE"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"urn:unheck:build:1","externalParameters":{"platform":"linux/amd64"},"resolvedDependencies":[{"name":"demo","uri":"pkg:pypi/demo@1","digest":{"sha256":"WHEEL"}}]},"runDetails":{"builder":{"id":"urn:unheck:builder","version":{"unheck":"0.1.0"}}}}}"#);
        let said = read(&bytes).unwrap();
        assert_eq!(
            (said.subjects, said.inputs),
            (vec![provenance.digest], provenance.inputs)
        );
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        for (text, message) in [
            ("[]", "it is no in-toto statement"),
            (
                r#"{"_type":"x\u001b","subject":[],"predicateType":"y"}"#,
                "it is of the type `x\\u{1b}`, not an in-toto statement v1",
            ),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), message);
        }
        let other = br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha512":"00"}}],"predicateType":"y","predicate":5}"#;
        assert_eq!(read(other).unwrap().subjects, []);
    }
}
