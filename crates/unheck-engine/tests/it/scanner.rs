//! Images read as scanners are documented to read them: an independent look at what they find.
//!
//! Trivy ("Debian", "Python" of its coverage pages) and Syft (its cataloguers of dpkg and of installed Python packages)
//! take `etc/os-release` and `etc/debian_version`, every stanza of `var/lib/dpkg/status` and `var/lib/dpkg/status.d/*`
//! that is no list, and every `*.dist-info/METADATA`. Nothing here knows how unheck writes them. The live tests run
//! Trivy itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use unheck_engine::bom::bills;
use unheck_oci::image::BlobKind;
use unheck_oci::layer_reader::{Limits, NodeKind, ReadOptions, read_layer};
use unheck_oci::open::open;

use crate::support::{Fixture, Heard};

/// Every regular file of the image's only platform with its bytes, the upper layers over the lower ones.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let opened = open(path).unwrap();
    let images = opened.images().unwrap();
    let mut files = BTreeMap::new();
    for descriptor in &images[0].manifest.layers {
        let BlobKind::Layer(media_type) = descriptor.kind() else {
            panic!("a layer of another kind");
        };
        let options = ReadOptions {
            media_type,
            diff_id: None,
            limits: Limits::default(),
        };
        read_layer(
            opened.blob(descriptor).unwrap(),
            &options,
            &mut |entry, reader| {
                if let NodeKind::File { .. } = entry.kind {
                    let mut bytes = Vec::new();
                    reader.read_to_end(&mut bytes)?;
                    files.insert(entry.path.to_string(), bytes);
                }
                Ok(())
            },
        )
        .unwrap();
    }
    files
}

/// `Name: value` lines of one stanza; continued lines belong to the field above.
fn stanza(text: &str) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line
            .split_once(':')
            .filter(|_| !line.starts_with([' ', '\t']))
        {
            fields.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    fields
}

/// What a scanner finds: family and release, Debian packages, distributions.
type Found = (
    String,
    BTreeSet<(String, String)>,
    BTreeSet<(String, String)>,
);

fn scan(files: &BTreeMap<String, Vec<u8>>) -> Found {
    let text = |path: &str| {
        files
            .get(path)
            .map(|bytes| String::from_utf8(bytes.clone()).unwrap())
    };
    let release = text("etc/os-release")
        .or_else(|| text("usr/lib/os-release"))
        .unwrap();
    let key = |name: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    let family = format!(
        "{} {}",
        key("ID").unwrap(),
        text("etc/debian_version").unwrap().trim()
    );
    let (mut debs, mut distributions) = (BTreeSet::new(), BTreeSet::new());
    for (path, bytes) in files {
        let is_status = path == "var/lib/dpkg/status" || path.starts_with("var/lib/dpkg/status.d/");
        if is_status && !path.ends_with(".md5sums") && !path.ends_with(".list") {
            let fields = stanza(&String::from_utf8(bytes.clone()).unwrap());
            let installed = fields
                .get("Status")
                .is_none_or(|status| status.ends_with(" installed"));
            if installed {
                debs.insert((fields["Package"].clone(), fields["Version"].clone()));
            }
        }
        if path.ends_with(".dist-info/METADATA") {
            let fields = stanza(&String::from_utf8(bytes.clone()).unwrap());
            distributions.insert((fields["Name"].clone(), fields["Version"].clone()));
        }
    }
    (family, debs, distributions)
}

#[test]
fn a_scanner_finds_exactly_what_ships_and_what_the_bill_names() {
    let fixture = Fixture::new().pyproject(&["native", "demo"], "");
    let built = fixture.build();
    let path = &built.built.image.path;
    let files = contents(path);
    let (family, debs, distributions) = scan(&files);
    assert!(family.starts_with("debian 13"), "{family}");
    let heard = std::sync::Arc::new(Heard::default());
    let session = fixture.run.session(heard).unwrap();
    let [bill] = &bills(&session, path).unwrap()[..] else {
        panic!("several platforms");
    };
    let named = |kind: &str| -> BTreeSet<(String, String)> {
        let parts = bill.bom.components.values();
        let fits = parts.filter(|one| {
            one.purl
                .as_deref()
                .is_some_and(|purl| purl.starts_with(kind))
        });
        fits.map(|one| (one.name.clone(), one.version.clone().unwrap()))
            .collect()
    };
    assert_eq!(debs, named("pkg:deb/debian/"));
    assert_eq!(distributions, named("pkg:pypi/"));
    assert!(
        debs.len() > 5 && distributions.len() == 3,
        "{debs:?} {distributions:?}"
    );
    // A package is there because something of it is, and its list names nothing else.
    for (name, _) in &debs {
        let list = format!("var/lib/dpkg/status.d/{name}.md5sums");
        let text = String::from_utf8(files[&list].clone()).unwrap();
        let listed: Vec<&str> = text
            .lines()
            .map(|line| line.split_once("  ").unwrap().1)
            .collect();
        assert!(!listed.is_empty(), "{name}");
        let gone: Vec<&&str> = listed
            .iter()
            .filter(|path| !files.contains_key(**path))
            .collect();
        assert!(gone.is_empty(), "{name}: {gone:?}");
    }
    // So does RECORD of each distribution.
    for (path, bytes) in files
        .iter()
        .filter(|(path, _)| path.ends_with(".dist-info/RECORD"))
    {
        let site = path
            .rsplit('/')
            .nth(1)
            .map(|info| path.find(info).unwrap())
            .unwrap();
        for row in String::from_utf8(bytes.clone()).unwrap().lines() {
            let name = row.split(',').next().unwrap();
            let there =
                name.starts_with("../") || files.contains_key(&format!("{}{name}", &path[..site]));
            assert!(there, "{path}: {name}");
        }
    }
}
