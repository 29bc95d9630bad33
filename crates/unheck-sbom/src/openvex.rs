//! OpenVEX 0.2.0 (github.com/openvex/spec): what is said of each vulnerability, alone. Start at [`document`].

use serde::Serialize;

use crate::model::{self, Bom};
use crate::purl;
use crate::vulnerability::{Status, Vulnerability, updated};

/// The context of a document, and the predicate type of an in-toto statement around one.
pub const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";
/// What such a document is called where a media type is wanted; none is registered.
pub const MEDIA_TYPE: &str = "application/json";

/// The document, ending in a line feed; `None` where there is nothing to say: a document must have a statement.
///
/// `product` names the artifact, else it is named by name and version. The same bill gives the same bytes.
///
/// # Errors
/// JSON cannot hold it, which no text makes happen.
pub fn document(bom: &Bom, product: Option<&str>) -> serde_json::Result<Option<Vec<u8>>> {
    if bom.vulnerabilities.is_empty() {
        return Ok(None);
    }
    let subject = &bom.subject;
    let product = match product {
        Some(product) => product.to_owned(),
        None => purl::generic(&subject.name, subject.version.as_deref()),
    };
    let mut document = Document {
        context: CONTEXT,
        id: String::new(),
        author: &bom.tool.0,
        timestamp: model::timestamp(updated(bom)),
        version: 1,
        tooling: format!("{} {}", bom.tool.0, bom.tool.1),
        statements: bom
            .vulnerabilities
            .iter()
            .map(|one| statement(bom, one, &product))
            .collect(),
    };
    document.id = model::urn(&serde_json::to_vec(&document)?);
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(Some(bytes))
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@context")]
    context: &'a str,
    #[serde(rename = "@id")]
    id: String,
    author: &'a str,
    timestamp: String,
    version: u32,
    tooling: String,
    statements: Vec<Statement<'a>>,
}

#[derive(Serialize)]
struct Statement<'a> {
    vulnerability: Named<'a>,
    products: [Product<'a>; 1],
    status: &'static str,
    status_notes: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_statement: Option<&'a str>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(rename = "@id")]
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<&'a str>,
}

#[derive(Serialize)]
struct Product<'a> {
    #[serde(rename = "@id")]
    id: &'a str,
    identifiers: Identifiers<'a>,
    subcomponents: [Subcomponent; 1],
}

#[derive(Serialize)]
struct Identifiers<'a> {
    purl: &'a str,
}

#[derive(Serialize)]
struct Subcomponent {
    #[serde(rename = "@id")]
    id: String,
}

fn statement<'a>(bom: &'a Bom, one: &'a Vulnerability, product: &'a str) -> Statement<'a> {
    let component = bom.components.get(&one.component);
    let named = component.map(|component| {
        let own = component.purl.clone();
        own.unwrap_or_else(|| purl::generic(&component.name, component.version.as_deref()))
    });
    Statement {
        vulnerability: Named {
            id: &one.url,
            name: &one.id,
            description: &one.description,
            aliases: one.aliases.iter().map(String::as_str).collect(),
        },
        products: [Product {
            id: product,
            identifiers: Identifiers { purl: product },
            subcomponents: [Subcomponent {
                id: named.unwrap_or_else(|| purl::generic(&one.component, None)),
            }],
        }],
        status: one.said.status.name(),
        status_notes: &one.evidence,
        // A reason or a text is demanded of what is not affected, and both are forbidden.
        justification: one.said.justification.map(|why| why.name()),
        action_statement: (one.said.status == Status::Affected).then_some(one.action.as_str()),
    }
}
