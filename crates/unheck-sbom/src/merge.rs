//! Bills that wheels bring along in `*.dist-info/sboms/` (PEP 770), read as claims. Start at [`read`].
//!
//! CycloneDX JSON of any version and SPDX 2 JSON. What they say of a component is taken as they say it,
//! within limits; how their components hang together is not, for it ends at the wheel here.

use serde::Deserialize;
use serde_json::Value;

use crate::licence::{self, Licence};
use crate::model::{Component, Kind};
use crate::purl;

/// The longest bill that is read, in bytes.
pub const MAX_BILL: usize = 16 << 20;
/// The most components of one bill.
pub const MAX_COMPONENTS: usize = 10_000;
/// The longest name or version, in characters.
const MAX_NAME: usize = 200;
/// How deep components may be nested.
const MAX_DEPTH: usize = 8;

/// A bill that cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// It is far too long.
    #[error("it has {size} bytes, a bill may have {MAX_BILL}")]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// It is no JSON.
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    /// It is of a format that is not known.
    #[error("it is neither CycloneDX nor SPDX 2 in JSON")]
    Format,
    /// It has too many components.
    #[error("it has more than {MAX_COMPONENTS} components")]
    TooMany,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Cyclone {
    name: String,
    version: Option<String>,
    purl: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    licenses: Vec<Value>,
    components: Vec<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spdx {
    name: String,
    version_info: Option<String>,
    license_declared: Option<String>,
    external_refs: Vec<Value>,
}

/// The components of a bill. The one that the bill is about is left out: that is the wheel itself.
///
/// # Errors
/// [`MergeError`].
pub fn read(bytes: &[u8]) -> Result<Vec<Component>, MergeError> {
    if bytes.len() > MAX_BILL {
        return Err(MergeError::TooLong { size: bytes.len() });
    }
    let value: Value = serde_json::from_slice(bytes)?;
    let mut found = Vec::new();
    if value.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX") {
        for one in array(&value, "components") {
            cyclone(one, 0, &mut found)?;
        }
    } else if value
        .get("spdxVersion")
        .and_then(Value::as_str)
        .is_some_and(|v| v.starts_with("SPDX-2"))
    {
        let described = described(&value);
        for one in array(&value, "packages") {
            if !described.contains(
                &one.get("SPDXID")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            ) {
                take(spdx(one), &mut found)?;
            }
        }
    } else {
        return Err(MergeError::Format);
    }
    found.sort_by(|one, other| {
        (&one.name, &one.version, &one.purl).cmp(&(&other.name, &other.version, &other.purl))
    });
    found.dedup_by(|one, other| {
        (&one.name, &one.version, &one.purl) == (&other.name, &other.version, &other.purl)
    });
    Ok(found)
}

fn cyclone(value: &Value, depth: usize, found: &mut Vec<Component>) -> Result<(), MergeError> {
    let one = Cyclone::deserialize(value).unwrap_or_default();
    let kind = match one.kind.as_str() {
        "file" | "data" | "machine-learning-model" => None,
        "application" => Some(Kind::Application),
        "operating-system" => Some(Kind::OperatingSystem),
        _ => Some(Kind::Library),
    };
    if let Some(kind) = kind {
        let licences = one.licenses.iter().map(cyclone_licence);
        let licence = licences.fold(Licence::Unknown, licence::both);
        let component = Component {
            kind,
            licence,
            purl: one.purl.filter(|purl| purl::is_purl(purl)),
            ..named(&one.name, one.version.as_deref())
        };
        take(component, found)?;
    }
    if depth < MAX_DEPTH {
        for inner in &one.components {
            cyclone(inner, depth + 1, found)?;
        }
    }
    Ok(())
}

fn cyclone_licence(value: &Value) -> Licence {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let inner = value.get("license");
    let said = text(value, "expression")
        .or_else(|| text(inner?, "id"))
        .or_else(|| text(inner?, "name"));
    said.map_or(Licence::Unknown, |said| licence::of_text(&said))
}

fn spdx(value: &Value) -> Component {
    let one = Spdx::deserialize(value).unwrap_or_default();
    let purl = one.external_refs.iter().find_map(|reference| {
        let is_purl = reference.get("referenceType").and_then(Value::as_str) == Some("purl");
        let locator = reference.get("referenceLocator").and_then(Value::as_str);
        locator
            .filter(|text| is_purl && purl::is_purl(text))
            .map(str::to_owned)
    });
    let declared = one
        .license_declared
        .filter(|text| text != "NOASSERTION" && text != "NONE");
    Component {
        purl,
        licence: declared.map_or(Licence::Unknown, |text| licence::of_text(&text)),
        ..named(&one.name, one.version_info.as_deref())
    }
}

/// The packages that a document says it is about, by either of SPDX's two ways.
fn described(value: &Value) -> Vec<&str> {
    let listed = array(value, "documentDescribes")
        .iter()
        .filter_map(Value::as_str);
    let related = array(value, "relationships").iter().filter_map(|relation| {
        let describes =
            relation.get("relationshipType").and_then(Value::as_str) == Some("DESCRIBES");
        relation
            .get("relatedSpdxElement")
            .and_then(Value::as_str)
            .filter(|_| describes)
    });
    listed.chain(related).collect()
}

fn named(name: &str, version: Option<&str>) -> Component {
    Component {
        name: tame(name),
        version: version.map(tame).filter(|version| !version.is_empty()),
        ..Component::default()
    }
}

fn take(component: Component, found: &mut Vec<Component>) -> Result<(), MergeError> {
    if component.name.is_empty() {
        return Ok(());
    }
    if found.len() >= MAX_COMPONENTS {
        return Err(MergeError::TooMany);
    }
    found.push(component);
    Ok(())
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn tame(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(found) => found
                .iter()
                .map(|one| {
                    format!(
                        "{} {:?} {:?} {:?}\n",
                        one.name, one.version, one.purl, one.licence
                    )
                })
                .collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn cyclonedx_of_a_rust_wheel_is_taken_over() {
        let text = r#"{"bomFormat": "CycloneDX", "specVersion": "1.5",
            "metadata": {"component": {"type": "library", "name": "self"}},
            "components": [
              {"type": "library", "name": "serde", "version": "1.0", "purl": "pkg:cargo/serde@1.0",
               "licenses": [{"expression": "MIT OR Apache-2.0"}]},
              {"type": "library", "name": "ring", "version": "0.17", "purl": "not a purl",
               "licenses": [{"license": {"name": "Odd One"}}, {"license": {"id": "ISC"}}],
               "components": [{"type": "library", "name": "inner"}, {"type": "file", "name": "x.c"}]},
              {"type": "library"}, {"name": 7}, 8]}"#;
        insta::assert_snapshot!(shown(text), @r#"
        inner None None Unknown
        ring Some("0.17") None Names({"ISC", "Odd One"})
        serde Some("1.0") Some("pkg:cargo/serde@1.0") Expression("MIT OR Apache-2.0")
        "#);
    }

    #[test]
    fn spdx_is_taken_over_without_what_it_is_about() {
        let text = r#"{"spdxVersion": "SPDX-2.3", "documentDescribes": ["SPDXRef-a"], "packages": [
              {"SPDXID": "SPDXRef-a", "name": "self"},
              {"SPDXID": "SPDXRef-b", "name": "openssl", "versionInfo": "3.0", "licenseDeclared": "Apache-2.0",
               "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:rpm/almalinux/openssl@3.0"}]},
              {"SPDXID": "SPDXRef-c", "name": "zlib\u001b[31m", "licenseDeclared": "NOASSERTION"}]}"#;
        insta::assert_snapshot!(shown(text), @r#"
        openssl Some("3.0") Some("pkg:rpm/almalinux/openssl@3.0") Expression("Apache-2.0")
        zlib[31m None None Unknown
        "#);
    }

    #[test]
    fn what_is_no_bill_is_said_to_be_none() {
        assert_eq!(shown("[]"), "it is neither CycloneDX nor SPDX 2 in JSON");
        assert_eq!(shown("{"), "it is not JSON");
        let deep = "[".repeat(100_000);
        assert_eq!(shown(&deep), "it is not JSON");
        let many = format!(
            r#"{{"bomFormat":"CycloneDX","components":[{}]}}"#,
            vec![r#"{"name":"x","type":"library"}"#; MAX_COMPONENTS + 1].join(",")
        );
        assert_eq!(shown(&many), "it has more than 10000 components");
    }
}
