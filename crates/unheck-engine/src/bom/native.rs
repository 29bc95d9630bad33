//! What is inside a wheel besides Python: what its own bills tell (PEP 770), and native libraries that they
//! do not. Start at [`add`].

use std::collections::BTreeSet;

use unheck_sbom::model::{Component, Evidence, Field, Technique};
use unheck_sbom::vendored::{Facts, identify, plain_name};
use unheck_sbom::{merge, purl};

use super::{BomError, Work, python};
use crate::roots::{Elf, IndexNode};
use crate::verify::view::Installed;

/// Longest object that is searched for marks: it is held in memory.
const MAX_OBJECT: u64 = 512 << 20;

/// Adds what is inside one distribution; `own` is its id.
pub(super) fn add(work: &mut Work<'_>, installed: &Installed, own: &str) -> Result<(), BomError> {
    let mut told = BTreeSet::new();
    for path in installed
        .files
        .keys()
        .filter(|path| python::is_bill(path, installed))
    {
        let Ok(bytes) = work.view.read(path, merge::MAX_BILL as u64) else {
            work.notes.push(format!("`{path}` cannot be read"));
            continue;
        };
        match merge::read(&bytes) {
            Ok(components) => {
                for component in components {
                    told.insert(component.name.to_lowercase());
                    let from = ("unheck:declared-in".to_owned(), path.to_string());
                    inside(work, component, from, own);
                }
            }
            Err(error) => work
                .notes
                .push(format!("`{path}` is not taken over: {error}")),
        }
    }
    let libraries: Vec<_> = installed
        .files
        .keys()
        .filter(|path| is_library(work, path))
        .cloned()
        .collect();
    let mut seen = BTreeSet::new();
    for path in libraries {
        let component = library(work, &path)?;
        let name = component.name.to_lowercase();
        // Both halves of OpenSSL are one thing, and what a bill tells is not told again.
        let key = (name.clone(), component.version.clone());
        if told.contains(&name) || !seen.insert(key) {
            continue;
        }
        inside(
            work,
            component,
            ("unheck:found-in".to_owned(), path.to_string()),
            own,
        );
    }
    Ok(())
}

fn inside(work: &mut Work<'_>, mut component: Component, from: (String, String), own: &str) {
    component.properties.extend([from]);
    component
        .properties
        .insert("unheck:vendored-in".to_owned(), own.to_owned());
    let version = component.version.as_deref().unwrap_or("");
    let id = format!("{own}/{}@{version}", component.name);
    let id = work.bom.add(&id, component);
    work.bom.depend(own, &id);
}

/// A shared library that is no extension module: it was put into the wheel from elsewhere.
fn is_library(work: &Work<'_>, path: &unheck_base::TreePath) -> bool {
    let Some(IndexNode::File {
        elf: Some(Elf::Read(object)),
        ..
    }) = work.view.get(path)
    else {
        return false;
    };
    let name = path.file_name();
    let grafted = path
        .parent()
        .is_some_and(|parent| parent.file_name().ends_with(".libs"));
    object.python_module.is_none() && (grafted || (name.starts_with("lib") && name.contains(".so")))
}

fn library(work: &Work<'_>, path: &unheck_base::TreePath) -> Result<Component, BomError> {
    let bytes = work
        .view
        .read(path, MAX_OBJECT)
        .map_err(|source| BomError::Read {
            path: path.to_string(),
            source,
        })?;
    let Some(IndexNode::File {
        elf: Some(Elf::Read(object)),
        ..
    }) = work.view.get(path)
    else {
        return Ok(Component::default());
    };
    let facts = Facts {
        file_name: path.file_name(),
        soname: object.soname.as_deref(),
        versions: &object.offers_versions,
        bytes: &bytes,
    };
    Ok(match identify(facts) {
        Some(found) => Component {
            purl: Some(purl::generic(&found.name, found.version.as_deref())),
            name: found.name,
            version: found.version,
            evidence: found.evidence,
            ..Component::default()
        },
        None => Component {
            name: plain_name(path.file_name()),
            evidence: vec![Evidence {
                field: Field::Name,
                technique: Technique::FileName,
                value: path.file_name().to_owned(),
                confidence: 30,
            }],
            ..Component::default()
        },
    })
}
