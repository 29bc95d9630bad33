use super::*;
use crate::layer::Compression;
use crate::layer::tests::layer_of;
use crate::layout::tests::{Scene, two_platforms, web};
use crate::layout::{write_archive, write_layout};
use proptest::prelude::*;
use std::io::Write as _;

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

/// A tar archive of `members`; `name -> target` is a symlink.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let (name, content) = match name.split_once(" -> ") {
            Some((name, target)) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name(target).unwrap();
                (name, &b""[..])
            }
            None => (*name, *content),
        };
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn open_bytes(bytes: &[u8]) -> Result<Opened, OpenError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    open(file.path())
}

/// A layout archive of documents only, linked by `index.json` of `descriptors`.
fn layout_of(blobs: &[&[u8]], descriptors: Vec<Descriptor>) -> Vec<u8> {
    let index = canonical_json(&Index::new(descriptors)).unwrap();
    let names: Vec<String> = blobs.iter().map(|b| blob_name(Digest::of(b))).collect();
    let mut members: Vec<(&str, &[u8])> = vec![
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", &index),
    ];
    members.extend(names.iter().map(String::as_str).zip(blobs.iter().copied()));
    archive(&members)
}

#[test]
fn layout_and_archive_open_alike() {
    let scene: Scene = two_platforms();
    let dir = tempfile::tempdir().unwrap();
    let (layout, tar) = (dir.path().join("layout"), dir.path().join("web.tar"));
    write_layout(&layout, &scene.plan, &scene).unwrap();
    write_archive(&tar, &scene.plan, &scene).unwrap();
    let (one, two) = (open(&layout).unwrap(), open(&tar).unwrap());
    let images = one.images().unwrap();
    assert_eq!(images, two.images().unwrap());
    let names: Vec<_> = images.iter().map(|i| i.platform.to_string()).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    assert_eq!(images[0].name.as_deref(), Some("docker.io/library/web:1.0"));
    let arm = two.select(&platform("linux/arm64/v8")).unwrap();
    assert_eq!(arm, images[1]);
    for opened in [&one, &two] {
        let layer = &arm.manifest.layers[0];
        let bytes = opened.blob_bytes(layer, 1 << 20).unwrap();
        assert_eq!(Digest::of(&bytes), layer.digest);
        let error = opened.blob_bytes(layer, 10).unwrap_err();
        assert!(matches!(error, OpenError::TooLarge { .. }), "{error}");
    }
    let error = two.select(&platform("linux/s390x")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image is not made for `linux/s390x`, only for `linux/amd64`, `linux/arm64`"
    );
}

#[test]
fn a_false_blob_is_never_read_to_its_end() {
    let scene = web();
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    write_layout(&layout, &scene.plan, &scene).unwrap();
    let layer = open(&layout).unwrap().images().unwrap()[0].manifest.layers[0].clone();
    let blob = layout.join(blob_name(layer.digest));
    let mut bytes = fs_err::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&blob, &bytes).unwrap();
    let mut read = Vec::new();
    let mut reader = open(&layout).unwrap().blob(&layer).unwrap();
    let error = reader.read_to_end(&mut read).unwrap_err();
    assert!(read.len() < bytes.len());
    assert!(
        error.to_string().starts_with("the blob has the digest"),
        "{error}"
    );
    bytes.pop();
    fs_err::write(&blob, &bytes).unwrap();
    let error = open(&layout).unwrap().blob(&layer).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Size { .. }), "{error}");
    fs_err::remove_file(&blob).unwrap();
    let error = open(&layout).unwrap().blob(&layer).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Missing(_)), "{error}");
}

#[test]
fn hostile_archives_are_refused_with_the_reason() {
    let index = br#"{"schemaVersion":2,"manifests":[]}"#;
    let big = vec![b' '; (MAX_DOCUMENT + 1) as usize];
    let cases: [(Vec<u8>, &str); 7] = [
        (
            archive(&[("../index.json", index)]),
            "the image archive has a member with the name `../index.json`",
        ),
        (
            archive(&[("index.json", index), ("./index.json", index)]),
            "the image archive has the member `index.json` twice",
        ),
        (
            archive(&[("index.json", &big)]),
            "`index.json` has 4194305 bytes, a document may have 4194304",
        ),
        (
            archive(&[("index.json", b"[[[")]),
            "cannot understand `index.json` of the image as an image index",
        ),
        (
            archive(&[("index.json -> ../../etc/passwd", b"")]),
            "neither `index.json` nor `manifest.json`",
        ),
        (
            archive(&[("index.json -> index.json", b"")]),
            "neither `index.json` nor `manifest.json`",
        ),
        (
            vec![0x1f, 0x8b, 8, 0],
            "is compressed; an image archive is a plain tar file",
        ),
    ];
    for (bytes, message) in cases {
        let error = open_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let deep = "[".repeat(100_000);
    let error = open_bytes(&archive(&[("index.json", deep.as_bytes())])).unwrap_err();
    assert!(matches!(error, OpenError::Json { .. }), "{error}");
    let cut = archive(&[("index.json", &[b' '; 3000])]);
    let error = open_bytes(&cut[..2000]).unwrap_err();
    assert!(matches!(error, OpenError::Tar { .. }), "{error}");
}

#[test]
fn nested_and_unknown_documents_are_limited() {
    let index_type = crate::image::INDEX;
    let mut blobs = vec![canonical_json(&Index::new(Vec::new())).unwrap()];
    for _ in 0..2 {
        let inner = Descriptor::of(index_type, blobs.last().unwrap());
        blobs.push(canonical_json(&Index::new(vec![inner])).unwrap());
    }
    let refs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let result = |top: usize, times: usize| {
        let top = Descriptor::of(index_type, &blobs[top]);
        let opened = open_bytes(&layout_of(&refs, vec![top; times])).unwrap();
        opened.images().map_err(|error| error.to_string())
    };
    assert_eq!(result(1, 1), Ok(vec![]));
    assert_eq!(
        result(2, 1),
        Err("the indexes of the image are nested deeper than 3".to_owned())
    );
    assert_eq!(
        result(1, 600),
        Err("the image has more than 1000 manifests and indexes".to_owned())
    );
    let text = Descriptor::of("text/plain", b"x");
    let error = open_bytes(&layout_of(&[b"x"], vec![text]))
        .unwrap()
        .images()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("whose media type `text/plain` is not known"),
        "{error}"
    );
}

#[test]
fn an_old_docker_archive_is_read_by_its_manifest() {
    let (layer, blob) = layer_of(b"hello", Compression::None);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":["{0}","{0}"]}}}}"#,
        layer.diff_id
    );
    let manifest =
        br#"[{"Config":"c.json","RepoTags":["web:1"],"Layers":["a/layer.tar","b/layer.tar"]}]"#;
    let bytes = archive(&[
        ("c.json", config.as_bytes()),
        ("a/layer.tar", &blob),
        ("b/layer.tar -> ../a/layer.tar", b""),
        ("manifest.json", manifest),
    ]);
    let opened = open_bytes(&bytes).unwrap();
    assert!(opened.is_docker_archive());
    let image = opened.select(&platform("linux/amd64")).unwrap();
    assert_eq!(image.name.as_deref(), Some("web:1"));
    assert_eq!(image.manifest.layers, vec![layer.descriptor(); 2]);
    assert_eq!(
        opened
            .blob_bytes(&image.manifest.layers[1], 1 << 20)
            .unwrap(),
        blob
    );
    assert_eq!(crate::validate::validate(&opened), []);
    let lost = archive(&[("c.json", config.as_bytes()), ("manifest.json", manifest)]);
    let error = open_bytes(&lost).unwrap_err();
    assert_eq!(error.to_string(), "the image has no file `a/layer.tar`");
}

#[test]
fn a_directory_that_is_no_image_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::NoImage { .. }), "{error}");
    assert!(open(&dir.path().join("missing")).is_err());
    // A pipe in the place of a file must not block.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("index.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(matches!(
        open(dir.path()).unwrap_err(),
        OpenError::Read { .. }
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = open_bytes(&bytes);
        for name in ["index.json", "manifest.json"] {
            if let Ok(opened) = open_bytes(&archive(&[(name, &bytes)])) {
                let _ = opened.images();
            }
        }
    }
}
