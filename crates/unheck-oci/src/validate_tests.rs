use super::*;
use crate::image::{CONFIG, History, MANIFEST, Platform, canonical_json};
use crate::layout::tests::{scene, two_platforms, web};
use crate::layout::{write_archive, write_layout};
use crate::open::open;
use crate::open::tests::archive;
use crate::plan::blob_name;
use std::path::Path;

fn problems(path: &Path) -> Vec<String> {
    let opened = open(path).unwrap();
    validate(&opened).iter().map(ToString::to_string).collect()
}

/// A layout with one image of `layers` (tar archives), whose config was changed by `change`.
fn image(layers: &[Vec<u8>], change: impl FnOnce(&mut Config, &mut Manifest)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(&Platform::linux("amd64"));
    config.rootfs.diff_ids = layers.iter().map(|layer| Digest::of(layer)).collect();
    let tar = LayerMediaType::Tar.as_str();
    let layers_of = layers.iter().map(|layer| Descriptor::of(tar, layer));
    let mut manifest = Manifest::new(Descriptor::of(CONFIG, b""), layers_of.collect());
    change(&mut config, &mut manifest);
    let config = canonical_json(&config).unwrap();
    manifest.config = Descriptor::of(CONFIG, &config);
    let manifest = canonical_json(&manifest).unwrap();
    let mut descriptor = Descriptor::of(MANIFEST, &manifest);
    descriptor.platform = Some(Platform::linux("amd64"));
    let index = canonical_json(&Index::new(vec![descriptor])).unwrap();
    let mut blobs: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    blobs.extend([&config[..], &manifest]);
    fs_err::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
    for blob in blobs {
        fs_err::write(dir.path().join(blob_name(Digest::of(blob))), blob).unwrap();
    }
    fs_err::write(dir.path().join("index.json"), index).unwrap();
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs_err::write(dir.path().join("oci-layout"), version).unwrap();
    let opened = open(dir.path()).unwrap();
    let found = validate(&opened);
    found.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn what_we_write_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    for scene in [web(), two_platforms(), scene(&[("amd64", &[])])] {
        let (tar, layout) = (dir.path().join("x.tar"), dir.path().join("x"));
        write_archive(&tar, &scene.plan, &scene).unwrap();
        write_layout(&layout, &scene.plan, &scene).unwrap();
        assert_eq!(problems(&tar), Vec::<String>::new());
        assert_eq!(problems(&layout), Vec::<String>::new());
    }
}

#[test]
fn every_damaged_file_of_a_layout_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("x");
    let scene = two_platforms();
    write_layout(&layout, &scene.plan, &scene).unwrap();
    let mut files: Vec<_> = fs_err::read_dir(layout.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(layout.join("oci-layout"));
    for file in files {
        let bytes = fs_err::read(&file).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 1;
        for damage in [&flipped[..], &bytes[1..], b""] {
            fs_err::write(&file, damage).unwrap();
            assert_ne!(
                problems(&layout),
                Vec::<String>::new(),
                "{}",
                file.display()
            );
        }
        fs_err::remove_file(&file).unwrap();
        assert_ne!(
            problems(&layout),
            Vec::<String>::new(),
            "{}",
            file.display()
        );
        fs_err::write(&file, bytes).unwrap();
    }
    assert_eq!(problems(&layout), Vec::<String>::new());
}

#[test]
fn configs_that_lie_are_told() {
    let layer = archive(&[("a", b"1")]);
    let messages = image(std::slice::from_ref(&layer), |config, _| {
        config.os = "plan9".to_owned();
        config.created = Some("yesterday".to_owned());
        config.config.env = vec!["PATH".to_owned()];
        config.config.working_dir = Some("app".to_owned());
        config.config.exposed_ports = ["http".to_owned()].into();
        config.history = vec![History::default(), History::default()];
        config.rootfs.diff_ids[0] = Digest::of(b"other");
    });
    let text = messages.join("\n");
    for expected in [
        "it is for `plan9/amd64`, the index lists it for `linux/amd64`",
        "`created` is `yesterday`, which is no RFC 3339 time",
        "`Env` has `PATH`, which is not `NAME=value`",
        "`WorkingDir` is `app`, which is not absolute",
        "`ExposedPorts` has `http`, which is not `number/protocol`",
        "its history tells of 2 layers, there are 1",
        "the layer unpacks to `sha256:",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert_eq!(messages.len(), 7, "{text}");
    let extra = image(&[layer], |config, _| {
        config.rootfs.diff_ids.push(Digest::of(b""));
    });
    assert_eq!(extra, ["it has 2 diff ids, the manifest has 1 layers"]);
}

type Members<'a> = &'a [(&'a str, &'a [u8])];

#[test]
fn entries_that_contradict_each_other_are_told() {
    let cases: [(&[Members<'_>], &str); 5] = [
        (&[&[("a", b""), ("a", b"")]], "`a` is there twice"),
        (
            &[&[("a", b""), ("a/b", b"")]],
            "`a/b` lies below `a`, which is not a directory",
        ),
        (
            &[&[("bin -> usr/bin", b"")], &[("bin/sh", b"")]],
            "`bin/sh` goes through `bin`, which a layer below made no directory",
        ),
        // Whiteouts take away what stood in the way.
        (&[&[("a", b"")], &[(".wh.a", b"")], &[("a/b", b"")]], ""),
        (
            &[
                &[("d/a", b"")],
                &[("d/.wh..wh..opq", b"")],
                &[("d/a/b", b"")],
            ],
            "",
        ),
    ];
    for (layers, message) in cases {
        let layers: Vec<Vec<u8>> = layers.iter().map(|members| archive(members)).collect();
        let found = image(&layers, |_, _| {}).join("\n");
        assert_eq!(found.lines().next().unwrap_or(""), message);
    }
}

#[test]
fn media_types_must_fit_their_place() {
    let layer = archive(&[("a", b"1")]);
    let messages = image(std::slice::from_ref(&layer), |_, manifest| {
        manifest.layers[0].media_type = "text/plain".to_owned();
        manifest.media_type = Some(CONFIG.to_owned());
    });
    let mut messages = messages;
    messages.sort_by_key(|message| !message.contains("text/plain"));
    assert_eq!(
        messages,
        [
            "`text/plain` is no layer",
            "`mediaType` is not one of a manifest"
        ]
    );
    let wrong = image(&[layer], |_, manifest| {
        manifest.layers[0].media_type = LayerMediaType::Gzip.as_str().to_owned();
    });
    assert!(wrong[0].starts_with("cannot read a layer"), "{wrong:?}");
}

#[test]
fn times_are_judged_by_their_shape() {
    for fine in ["1970-01-01T00:00:00Z", "2026-11-22T10:00:00.123+01:00"] {
        assert!(is_rfc3339(fine), "{fine}");
    }
    for wrong in [
        "",
        "2026-11-22",
        "2026-11-22T10:00:00",
        "2026-11-22T10:00:00.Z",
        "é026-11-22T10:00:0",
    ] {
        assert!(!is_rfc3339(wrong), "{wrong}");
    }
}
