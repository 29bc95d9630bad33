//! Distributions: those with a `dist-info` directory, as scanners find them. Start at [`add`].

use std::collections::BTreeMap;

use unheck_base::TreePath;
use unheck_sbom::model::{Bom, Component};
use unheck_sbom::{licence, purl};
use unheck_wheel::{Limits, Metadata, normalize_name};

use super::{BomError, MAX_TEXT, Work, native};
use crate::lock::{Package, Wheel};
use crate::verify::view::Installed;

/// What the ids of distributions begin with; the normalised name follows.
const PREFIX: &str = "pypi:";

/// The id of a distribution, where it is there.
pub(super) fn id<'b>(bom: &'b Bom, name: &str) -> Option<&'b str> {
    let wanted = format!("{PREFIX}{}", normalize_name(name));
    bom.components
        .get_key_value(&wanted)
        .map(|(id, _)| id.as_str())
}

/// Adds every distribution, what is inside it, and what each needs of the others.
pub(super) fn add(work: &mut Work<'_>, interpreter: Option<&str>) -> Result<(), BomError> {
    let installed = work.view.distributions().map_err(|source| BomError::Read {
        path: "dist-info".to_owned(),
        source,
    })?;
    for one in &installed {
        let Some(component) = component(work, one)? else {
            continue;
        };
        let name = normalize_name(&one.name).to_string();
        let own = work.bom.add(&format!("{PREFIX}{name}"), component);
        if let Some(interpreter) = interpreter {
            work.bom.depend(&own, interpreter);
        }
        native::add(work, one, &own)?;
    }
    for one in &installed {
        let Some(from) = id(&work.bom, &one.name).map(str::to_owned) else {
            continue;
        };
        for needed in needs(work, one) {
            if let Some(to) = id(&work.bom, &needed).map(str::to_owned) {
                work.bom.depend(&from, &to);
            }
        }
    }
    Ok(())
}

/// What a distribution asks for: by the lock, which knows extras and markers, else without condition.
fn needs(work: &Work<'_>, installed: &Installed) -> Vec<String> {
    match locked(work, installed) {
        Some((package, _)) => package
            .dependencies
            .iter()
            .map(|one| one.name.clone())
            .collect(),
        None => installed.requires.iter().cloned().collect(),
    }
}

/// The lock's record of a distribution, and of the wheel that this platform got.
fn locked<'w>(work: &'w Work<'_>, installed: &Installed) -> Option<(&'w Package, &'w Wheel)> {
    let name = normalize_name(&installed.name).to_string();
    let (lock, target) = (work.inside.lock.as_ref()?, work.target?);
    let wheels = target.wheels.iter().filter_map(|file| lock.wheel(file));
    wheels.into_iter().find(|(package, _)| package.name == name)
}

fn component(work: &mut Work<'_>, installed: &Installed) -> Result<Option<Component>, BomError> {
    let Ok(path) = installed.info.join("METADATA") else {
        return Ok(None);
    };
    let bytes = work
        .view
        .read(&path, MAX_TEXT)
        .map_err(|source| BomError::Read {
            path: path.to_string(),
            source,
        })?;
    let metadata = match Metadata::parse(&bytes, &Limits::default()) {
        Ok(metadata) => metadata,
        Err(error) => {
            work.notes
                .push(format!("`{path}` cannot be understood: {error}"));
            return Ok(None);
        }
    };
    let locked = locked(work, installed);
    let mut properties = BTreeMap::new();
    if let Some((package, wheel)) = locked {
        properties.insert("unheck:wheel".to_owned(), wheel.name.clone());
        let index = package.index.clone();
        properties.extend(index.map(|index| ("unheck:index".to_owned(), index)));
    }
    let files = installed.files.keys();
    let files = files.filter_map(|path| Some((path.to_string(), *work.hashes.get(path)?)));
    let url = |wanted: &[&str]| {
        let known = metadata.project_urls.iter();
        let fits = |label: &str| wanted.iter().any(|one| label.eq_ignore_ascii_case(one));
        let found = known
            .filter(|(label, _)| fits(label))
            .map(|(_, url)| url.clone())
            .next();
        found.filter(|url| url.starts_with("http"))
    };
    let page = metadata
        .home_page
        .clone()
        .filter(|url| url.starts_with("http"));
    Ok(Some(Component {
        name: normalize_name(&metadata.name).to_string(),
        version: Some(metadata.version.clone()),
        purl: Some(purl::pypi(&metadata.name, &metadata.version)),
        description: metadata.summary.clone().map(|text| one_line(&text)),
        licence: licence::of_python(
            metadata.license_expression.as_deref(),
            metadata.license.as_deref(),
            &metadata.classifiers,
        ),
        archive: locked.map(|(_, wheel)| wheel.hashes.sha256),
        download: locked.and_then(|(_, wheel)| wheel.url.clone()),
        homepage: page.or_else(|| url(&["homepage", "home", "repository", "source"])),
        files: files.collect(),
        properties,
        ..Component::default()
    }))
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    let joined = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    joined.chars().take(500).collect()
}

/// Whether a path is one of the bills that a wheel brings along (PEP 770).
pub(super) fn is_bill(path: &TreePath, installed: &Installed) -> bool {
    let place = format!("{}/sboms", installed.info);
    path.is_under(&place) && path.as_str().ends_with(".json")
}
