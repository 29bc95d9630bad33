//! CycloneDX 1.6 JSON (ECMA-424). Start at [`document`] and [`vex`].
//!
//! Files are components of type `file` inside the component that they belong to; libraries vendored in a
//! wheel are components of their own that the wheel depends on, because many readers look at one level.

mod vulnerability;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::licence::Licence;
use crate::model::{self, Bom, Component, Evidence, Field, Kind, SUBJECT, Technique};

/// The media type of such a document.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// Writes the bill with its vulnerabilities; it ends in a line feed. The same bill gives the same bytes.
///
/// # Errors
/// JSON cannot hold it, which no text makes happen.
pub fn document(bom: &Bom) -> serde_json::Result<Vec<u8>> {
    finished(whole(bom, vulnerability::entries(bom, str::to_owned)))
}

/// Writes what is said of the vulnerabilities alone (VEX). It points into the bill without vulnerabilities by
/// BOM-Links (`urn:cdx:SERIAL/1#REF`), so it may be given out later than that and again.
///
/// # Errors
/// JSON cannot hold it, which no text makes happen.
pub fn vex(bom: &Bom) -> serde_json::Result<Vec<u8>> {
    let serial = serial(&whole(bom, Vec::new()))?;
    let serial = serial.trim_start_matches("urn:uuid:").to_owned();
    let link = |id: &str| {
        let id = id
            .replace('%', "%25")
            .replace('#', "%23")
            .replace(' ', "%20");
        format!("urn:cdx:{serial}/1#{id}")
    };
    let mut document = whole(bom, vulnerability::entries(bom, link));
    document.metadata.timestamp = model::timestamp(crate::vulnerability::updated(bom));
    document.metadata.component.components.clear();
    document.components.clear();
    document.dependencies.clear();
    finished(document)
}

fn serial(document: &Document<'_>) -> serde_json::Result<String> {
    Ok(model::urn(&serde_json::to_vec(document)?))
}

fn finished(mut document: Document<'_>) -> serde_json::Result<Vec<u8>> {
    document.serial_number = serial(&document)?;
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn whole<'a>(bom: &'a Bom, vulnerabilities: Vec<vulnerability::Entry<'a>>) -> Document<'a> {
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: model::timestamp(bom.created),
            lifecycles: [Lifecycle { phase: "build" }],
            tools: Tools {
                components: [Tool {
                    kind: "application",
                    name: &bom.tool.0,
                    version: &bom.tool.1,
                }],
            },
            component: entry(SUBJECT, &bom.subject),
        },
        components: bom
            .components
            .iter()
            .map(|(id, one)| entry(id, one))
            .collect(),
        dependencies: std::iter::once(SUBJECT)
            .chain(bom.components.keys().map(String::as_str))
            .map(|id| Dependency {
                reference: id,
                depends_on: bom.edges_of(id).map(String::as_str).collect(),
            })
            .collect(),
        vulnerabilities,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    bom_format: &'a str,
    spec_version: &'a str,
    serial_number: String,
    version: u32,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<Dependency<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vulnerabilities: Vec<vulnerability::Entry<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: String,
    lifecycles: [Lifecycle<'a>; 1],
    tools: Tools<'a>,
    component: Entry<'a>,
}

#[derive(Serialize)]
struct Lifecycle<'a> {
    phase: &'a str,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Tool<'a>; 1],
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier<'a>>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<External<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Found<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Supplier<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

/// Either one expression, or names.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenceChoice<'a> {
    Expression(&'a str),
    License(NamedLicence<'a>),
}

#[derive(Serialize)]
struct NamedLicence<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct External<'a> {
    url: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
}

#[derive(Serialize)]
struct Property<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Found<'a> {
    identity: Vec<Identity<'a>>,
}

#[derive(Serialize)]
struct Identity<'a> {
    field: &'static str,
    confidence: f64,
    methods: Vec<Method<'a>>,
}

#[derive(Serialize)]
struct Method<'a> {
    technique: &'static str,
    confidence: f64,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<&'a str>,
}

fn entry<'a>(id: &'a str, component: &'a Component) -> Entry<'a> {
    let archive = component.archive.map(|digest| Hash {
        alg: "SHA-256",
        content: digest.hex(),
    });
    let mut external = Vec::new();
    // The hash is the archive's, so it stands where the archive is named, if that is known.
    let mut hashes: Vec<Hash> = archive.into_iter().collect();
    if let Some(url) = component.download.as_deref() {
        let hashes = std::mem::take(&mut hashes);
        external.push(External {
            url,
            kind: "distribution",
            hashes,
        });
    }
    if let Some(url) = component.homepage.as_deref() {
        external.push(External {
            url,
            kind: "website",
            hashes: Vec::new(),
        });
    }
    let properties = component.properties.iter();
    Entry {
        kind: match component.kind {
            Kind::Application => "application",
            Kind::Container => "container",
            Kind::Library => "library",
            Kind::OperatingSystem => "operating-system",
        },
        reference: Some(id),
        supplier: component.supplier.as_deref().map(|name| Supplier { name }),
        name: &component.name,
        version: component.version.as_deref(),
        description: component.description.as_deref(),
        hashes,
        licenses: licences(&component.licence),
        purl: component.purl.as_deref(),
        external_references: external,
        properties: properties
            .map(|(name, value)| Property { name, value })
            .collect(),
        evidence: found(&component.evidence),
        components: component
            .files
            .iter()
            .map(|(path, hash)| file(path, hash))
            .collect(),
    }
}

fn file<'a>(path: &'a str, hash: &model::FileHash) -> Entry<'a> {
    Entry {
        kind: "file",
        reference: None,
        supplier: None,
        name: path,
        version: None,
        description: None,
        hashes: vec![Hash {
            alg: "SHA-256",
            content: hash.sha256.hex(),
        }],
        licenses: Vec::new(),
        purl: None,
        external_references: Vec::new(),
        properties: Vec::new(),
        evidence: None,
        components: Vec::new(),
    }
}

fn licences(licence: &Licence) -> Vec<LicenceChoice<'_>> {
    match licence {
        Licence::Unknown => Vec::new(),
        Licence::Expression(text) => vec![LicenceChoice::Expression(text)],
        Licence::Names(names) => names
            .iter()
            .map(|name| LicenceChoice::License(NamedLicence { name }))
            .collect(),
    }
}

/// One identity per field, as sure as its best method.
fn found(evidence: &[Evidence]) -> Option<Found<'_>> {
    let mut fields: BTreeMap<Field, Vec<&Evidence>> = BTreeMap::new();
    for one in evidence {
        fields.entry(one.field).or_default().push(one);
    }
    let share = |percent: u8| f64::from(percent.min(100)) / 100.0;
    let identity: Vec<Identity<'_>> = fields
        .into_iter()
        .map(|(field, all)| Identity {
            field: match field {
                Field::Name => "name",
                Field::Version => "version",
            },
            confidence: share(all.iter().map(|one| one.confidence).max().unwrap_or(0)),
            methods: all
                .into_iter()
                .map(|one| Method {
                    technique: match one.technique {
                        Technique::Binary => "binary-analysis",
                        Technique::FileName => "filename",
                    },
                    confidence: share(one.confidence),
                    value: &one.value,
                })
                .collect(),
        })
        .collect();
    (!identity.is_empty()).then_some(Found { identity })
}
