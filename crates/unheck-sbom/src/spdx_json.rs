//! SPDX 2.3 JSON (ISO/IEC 5962 as continued by 2.3). Start at [`document`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha1::Digest as _;

use crate::licence::Licence;
use crate::model::{self, Bom, Component, FileHash, Kind, SUBJECT};
use crate::vulnerability::Vulnerability;

/// The media type of such a document.
pub const MEDIA_TYPE: &str = "application/spdx+json";
/// What is not known, and what the specification calls so.
const NOASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Writes the bill; it ends in a line feed. The same bill gives the same bytes.
///
/// # Errors
/// JSON cannot hold it, which no text makes happen.
pub fn document(bom: &Bom) -> serde_json::Result<Vec<u8>> {
    let mut writer = Writer::default();
    let all = std::iter::once((SUBJECT, &bom.subject))
        .chain(bom.components.iter().map(|(id, one)| (id.as_str(), one)));
    let all: Vec<(&str, &Component)> = all.collect();
    for (number, (id, _)) in all.iter().enumerate() {
        writer.names.insert(id, format!("SPDXRef-Package-{number}"));
    }
    for (id, component) in &all {
        let known = bom.vulnerabilities.iter();
        let known = known.filter(|one| one.component == *id).map(advisory);
        writer.package(id, component, known.collect());
    }
    writer.relate(DOCUMENT, "DESCRIBES", &writer.name(SUBJECT));
    for id in bom.components.keys() {
        writer.relate(&writer.name(SUBJECT), "CONTAINS", &writer.name(id));
    }
    for (id, _) in &all {
        for to in bom.edges_of(id) {
            writer.relate(&writer.name(id), "DEPENDS_ON", &writer.name(to));
        }
    }
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: &bom.subject.name,
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: model::timestamp(bom.created),
            creators: [format!("Tool: {}-{}", bom.tool.0, bom.tool.1)],
        },
        packages: writer.packages,
        files: writer.files,
        relationships: writer.relationships,
        has_extracted_licensing_infos: writer.licences.into_values().collect(),
    };
    document.document_namespace = model::urn(&serde_json::to_vec(&document)?);
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'a str,
    data_license: &'a str,
    #[serde(rename = "SPDXID")]
    id: &'a str,
    name: &'a str,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted>,
}

#[derive(Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    download_location: &'a str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<&'a str>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef<'a>>,
    primary_package_purpose: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef<'a> {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: Vec<Checksum>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    license_id: String,
    extracted_text: String,
    name: String,
}

#[derive(Default)]
struct Writer<'a> {
    names: BTreeMap<&'a str, String>,
    packages: Vec<Package<'a>>,
    files: Vec<File>,
    relationships: Vec<Relationship>,
    /// By the name of the licence.
    licences: BTreeMap<String, Extracted>,
}

impl<'a> Writer<'a> {
    fn name(&self, id: &str) -> String {
        self.names.get(id).cloned().unwrap_or_default()
    }

    fn relate(&mut self, from: &str, kind: &'static str, to: &str) {
        self.relationships.push(Relationship {
            spdx_element_id: from.to_owned(),
            relationship_type: kind,
            related_spdx_element: to.to_owned(),
        });
    }

    fn package(&mut self, id: &str, component: &'a Component, advisories: Vec<ExternalRef<'a>>) {
        let name = self.name(id);
        let purl = component.purl.as_deref().map(|purl| ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl,
            comment: None,
        });
        let archive = component.archive.map(|digest| Checksum {
            algorithm: "SHA256",
            checksum_value: digest.hex(),
        });
        let code = (!component.files.is_empty()).then(|| VerificationCode {
            package_verification_code_value: verification_code(component.files.values()),
        });
        let declared = self.licence(&component.licence);
        self.packages.push(Package {
            id: name.clone(),
            name: &component.name,
            version_info: component.version.as_deref(),
            supplier: component
                .supplier
                .as_ref()
                .map(|name| format!("Organization: {name}")),
            download_location: component.download.as_deref().unwrap_or(NOASSERTION),
            files_analyzed: code.is_some(),
            package_verification_code: code,
            checksums: archive.into_iter().collect(),
            homepage: component.homepage.as_deref(),
            license_concluded: NOASSERTION,
            license_declared: declared,
            copyright_text: NOASSERTION,
            summary: component.description.as_deref(),
            comment: comment(component),
            external_refs: purl.into_iter().chain(advisories).collect(),
            primary_package_purpose: match component.kind {
                Kind::Application => "APPLICATION",
                Kind::Container => "CONTAINER",
                Kind::Library => "LIBRARY",
                Kind::OperatingSystem => "OPERATING-SYSTEM",
            },
        });
        for (path, hash) in &component.files {
            let id = format!("SPDXRef-File-{}", self.files.len());
            self.files.push(file(id.clone(), path, hash));
            self.relate(&name, "CONTAINS", &id);
        }
    }

    /// An expression; names become `LicenseRef-`s, whose text says no more than the name (annex D.3).
    fn licence(&mut self, licence: &Licence) -> String {
        match licence {
            Licence::Unknown => NOASSERTION.to_owned(),
            Licence::Expression(text) => {
                self.own_references(text);
                text.clone()
            }
            Licence::Names(names) => {
                let ids: Vec<String> = names.iter().map(|name| self.reference(name)).collect();
                ids.join(" AND ")
            }
        }
    }

    /// A `LicenseRef-` that an expression came with has to be told of too.
    fn own_references(&mut self, expression: &str) {
        let split = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
        for word in expression
            .split(split)
            .filter(|word| word.starts_with("LicenseRef-"))
        {
            let extracted = Extracted {
                license_id: word.to_owned(),
                extracted_text: format!("The licence is called `{word}` where it was declared."),
                name: word.to_owned(),
            };
            self.licences.entry(word.to_owned()).or_insert(extracted);
        }
    }

    fn reference(&mut self, name: &str) -> String {
        if let Some(known) = self.licences.get(name) {
            return known.license_id.clone();
        }
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        };
        let stem: String = name.chars().map(plain).collect();
        let taken: BTreeSet<&str> = self
            .licences
            .values()
            .map(|one| one.license_id.as_str())
            .collect();
        let mut id = format!("LicenseRef-{stem}");
        let mut number = 1;
        while taken.contains(id.as_str()) {
            number += 1;
            id = format!("LicenseRef-{stem}-{number}");
        }
        let extracted = Extracted {
            license_id: id.clone(),
            extracted_text: name.to_owned(),
            name: name.to_owned(),
        };
        self.licences.insert(name.to_owned(), extracted);
        id
    }
}

/// A page about a vulnerability, and what is said of it (annex F.2.3, `advisory`).
fn advisory(one: &Vulnerability) -> ExternalRef<'_> {
    let why = one
        .said
        .justification
        .map(|why| format!(" ({})", why.name()));
    let status = one.said.status.name();
    ExternalRef {
        reference_category: "SECURITY",
        reference_type: "advisory",
        reference_locator: &one.url,
        comment: Some(format!(
            "{}: {status}{}: {}",
            one.id,
            why.unwrap_or_default(),
            one.evidence
        )),
    }
}

fn file(id: String, path: &str, hash: &FileHash) -> File {
    File {
        id,
        file_name: format!("./{path}"),
        checksums: vec![
            Checksum {
                algorithm: "SHA1",
                checksum_value: hash.sha1_hex(),
            },
            Checksum {
                algorithm: "SHA256",
                checksum_value: hash.sha256.hex(),
            },
        ],
    }
}

/// Evidence and properties, which SPDX has no fields for.
fn comment(component: &Component) -> String {
    let evidence = component
        .evidence
        .iter()
        .map(|one| format!("evidence ({}%): {}", one.confidence, one.value));
    let properties = component
        .properties
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    evidence.chain(properties).collect::<Vec<_>>().join("; ")
}

/// SHA-1 over the sorted SHA-1s of the files (SPDX 2.3 clause 7.9).
fn verification_code<'h>(files: impl Iterator<Item = &'h FileHash>) -> String {
    let mut all: Vec<String> = files.map(FileHash::sha1_hex).collect();
    all.sort();
    model::hex(&sha1::Sha1::digest(all.concat().as_bytes()))
}
