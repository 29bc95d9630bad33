//! Debian packages: those of the package database in `status.d`, as scanners read it. Start at [`add`].

use std::collections::BTreeMap;

use unheck_deb::control::StanzaReader;
use unheck_deb::relation;
use unheck_sbom::model::{Bom, Component, Kind, SUBJECT};
use unheck_sbom::{licence, purl};

use super::{BomError, Work};
use crate::tree::Origin;

/// What the ids of Debian packages begin with; the name follows.
const PREFIX: &str = "deb:";

/// The id of a package, where it is there.
pub(super) fn id<'b>(bom: &'b Bom, name: &str) -> Option<&'b str> {
    let wanted = format!("{PREFIX}{name}");
    bom.components
        .get_key_value(&wanted)
        .map(|(id, _)| id.as_str())
}

/// The Debian release that the root says it is: `13`, or `trixie/sid` before a release.
pub(super) fn release(view: &crate::verify::view::View) -> Option<String> {
    let read = |path: &str| {
        let path = view.resolve(&unheck_base::TreePath::new(path).ok()?)?;
        let bytes = view.read(&path, 1 << 16).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let os = read("etc/os-release").or_else(|| read("usr/lib/os-release"))?;
    let line = os.lines().find_map(|line| line.strip_prefix("VERSION_ID="));
    let named = line.map(|text| text.trim().trim_matches('"').to_owned());
    let version = || Some(read("etc/debian_version")?.trim().to_owned());
    named.or_else(version).filter(|text| !text.is_empty())
}

/// The fields of one package that a bill tells of.
type Fields = BTreeMap<String, String>;

/// Adds every package of the database and what each needs of the others.
pub(super) fn add(work: &mut Work<'_>) -> Result<(), BomError> {
    let mut found: Vec<Fields> = Vec::new();
    for (path, _) in work.view.iter() {
        if !path.is_under("var/lib/dpkg/status.d") || path.as_str().ends_with(".md5sums") {
            continue;
        }
        let Some(text) = work.text(path.as_str()) else {
            continue;
        };
        match fields(&text) {
            Some(fields) => found.push(fields),
            None => work
                .notes
                .push(format!("`{path}` is no control paragraph of a package")),
        }
    }
    for fields in &found {
        let name = fields["Package"].clone();
        let component = component(work, &name, fields);
        work.bom.add(&format!("{PREFIX}{name}"), component);
    }
    for fields in &found {
        edges(work, fields);
    }
    if !found.is_empty() {
        let os = Component {
            kind: Kind::OperatingSystem,
            name: "debian".to_owned(),
            version: work.release.clone(),
            ..Component::default()
        };
        let id = work.bom.add("os:debian", os);
        work.bom.depend(SUBJECT, &id);
    }
    Ok(())
}

fn fields(text: &str) -> Option<Fields> {
    let mut reader = StanzaReader::new(text.as_bytes());
    let stanza = reader.next_stanza().ok()??;
    let fields: Fields = stanza
        .fields()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let whole = ["Package", "Version", "Architecture"];
    whole
        .iter()
        .all(|name| fields.contains_key(*name))
        .then_some(fields)
}

fn component(work: &Work<'_>, name: &str, fields: &Fields) -> Component {
    let get = |key: &str| fields.get(key).map(String::as_str);
    let (version, architecture) = (
        get("Version").unwrap_or(""),
        get("Architecture").unwrap_or(""),
    );
    let locked = work
        .target
        .and_then(|target| target.debs.iter().find(|deb| deb.name == name));
    let mut properties = BTreeMap::new();
    let mut note = |key: &str, value: Option<String>| {
        properties.extend(value.map(|value| (format!("unheck:{key}"), value)));
    };
    note("source", get("Source").map(str::to_owned));
    note("reason", locked.map(|deb| deb.reason.clone()));
    note("suite", locked.map(|deb| deb.suite.clone()));
    // Advisories are about the whole package; whoever judges one wants to know that a part ships.
    let part = locked.map(|deb| !deb.files.is_empty());
    note(
        "ships",
        part.map(|part| {
            if part {
                "the files that are needed"
            } else {
                "all but documentation"
            }
            .to_owned()
        }),
    );
    let copyright = work.text(&format!("usr/share/doc/{name}/copyright"));
    let origin = Origin::Deb(name.to_owned());
    Component {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        purl: Some(purl::deb(
            name,
            version,
            architecture,
            work.release.as_deref(),
        )),
        description: get("Description")
            .and_then(|text| text.lines().next())
            .map(str::to_owned),
        supplier: get("Maintainer").map(str::to_owned),
        licence: copyright
            .map(|text| licence::of_debian(&text))
            .unwrap_or_default(),
        archive: locked.map(|deb| deb.sha256),
        homepage: get("Homepage")
            .filter(|url| url.starts_with("http"))
            .map(str::to_owned),
        files: work.files(|own| *own == origin),
        properties,
        ..Component::default()
    }
}

/// What a package depends on and is there. Of alternatives all that are there count.
fn edges(work: &mut Work<'_>, fields: &Fields) {
    let Some(from) = id(&work.bom, &fields["Package"]).map(str::to_owned) else {
        return;
    };
    for key in ["Pre-Depends", "Depends"] {
        let parsed = fields.get(key).and_then(|text| relation::parse(text).ok());
        for one in parsed.into_iter().flatten().flatten() {
            if let Some(to) = id(&work.bom, &one.name).map(str::to_owned) {
                work.bom.depend(&from, &to);
            }
        }
    }
}
