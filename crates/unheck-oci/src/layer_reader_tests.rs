use super::*;
use crate::layer::Compression;
use crate::layer::tests::layer_of;
use proptest::prelude::*;
use std::io::Write;

fn options(media_type: LayerMediaType) -> ReadOptions {
    ReadOptions {
        media_type,
        diff_id: None,
        limits: Limits::default(),
    }
}

/// An archive with one entry of `kind` for each name, made by the `tar` crate.
fn foreign(entries: &[(&str, u8, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, link) in entries {
        let mut header = tar::Header::new_gnu();
        let field = &mut header.as_mut_bytes()[..100];
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What is seen of an archive, or the error with its causes.
fn seen(bytes: &[u8], options: &ReadOptions) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let read = read_layer(bytes, options, &mut |entry, content| {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        let line = format!("{} {:?} {text}", entry.path, entry.kind);
        lines.push(line.trim_end().to_owned());
        Ok(())
    });
    match read {
        Ok(_) => Ok(lines),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text += &format!(": {cause}");
                source = cause.source();
            }
            Err(text)
        }
    }
}

#[test]
fn all_compressions_are_read_and_verified() {
    let all = [
        Compression::None,
        Compression::Gzip { level: 1 },
        Compression::Zstd {
            level: 1,
            workers: 1,
        },
    ];
    for compression in all {
        let (layer, blob) = layer_of(b"hello", compression);
        let mut options = options(layer.media_type);
        options.diff_id = Some(layer.diff_id);
        let lines = seen(&blob, &options);
        assert_eq!(lines, Ok(vec!["opt/file File { len: 5 } hello".to_owned()]));
        let summary = read_layer(&blob[..], &options, &mut |_, _| Ok(())).unwrap();
        assert_eq!(summary.uncompressed_size, layer.uncompressed_size);
        options.diff_id = Some(Digest::of(b"other"));
        let error = seen(&blob, &options).unwrap_err();
        assert!(
            error.starts_with("the layer unpacks to `sha256:"),
            "{error}"
        );
        let cut = &blob[..blob.len() - 3];
        if compression != Compression::None {
            assert!(seen(cut, &options).is_err());
        }
    }
}

#[test]
fn gzip_members_and_zstd_frames_are_joined() {
    let (_, tar) = layer_of(b"hello", Compression::None);
    let (one, two) = tar.split_at(600);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let expected = seen(&tar, &options(LayerMediaType::Tar));
    let joined = [gzip(one), gzip(two)].concat();
    assert_eq!(seen(&joined, &options(LayerMediaType::Gzip)), expected);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9].to_vec();
    let joined = [zstd(one), skippable, zstd(two)].concat();
    assert_eq!(seen(&joined, &options(LayerMediaType::Zstd)), expected);
}

#[test]
fn names_are_normalised_and_every_kind_is_recognised() {
    let bytes = foreign(&[
        ("./", b'5', ""),
        ("./usr/", b'5', ""),
        ("usr/f", b'0', ""),
        ("usr/s", b'2', "../x"),
        ("usr/h", b'1', "./usr/f"),
        ("dev/c", b'3', ""),
        ("dev/b", b'4', ""),
        ("dev/p", b'6', ""),
        ("usr/.wh.gone", b'0', ""),
        ("usr/.wh..wh..opq", b'0', ""),
        (".wh..wh..opq", b'0', ""),
    ]);
    let lines = seen(&bytes, &options(LayerMediaType::Tar)).unwrap();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    usr Dir
    usr/f File { len: 0 }
    usr/s Symlink("../x")
    usr/h Hardlink("usr/f")
    dev/c CharDevice(0, 0)
    dev/b BlockDevice(0, 0)
    dev/p Fifo
    usr/.wh.gone Whiteout { hides: "usr/gone" }
    usr/.wh..wh..opq Opaque { directory: Some("usr") }
    .wh..wh..opq Opaque { directory: None }
    "#);
}

#[test]
fn hostile_archives_are_refused_with_the_reason() {
    let cases: [(Vec<u8>, &str); 10] = [
        (
            foreign(&[("../x", b'0', "")]),
            "a layer has an entry with the name `../x`: the path climbs out with `..`",
        ),
        (
            foreign(&[("/x", b'0', "")]),
            "a layer has an entry with the name `/x`: the path is absolute",
        ),
        (
            foreign(&[("a", b'1', "../b")]),
            "a layer has an entry with the name `../b`: the path climbs out with `..`",
        ),
        (
            foreign(&[("a", b'2', "")]),
            "the symlink `a` of a layer has no text, or none in UTF-8",
        ),
        (
            foreign(&[("a/.wh.", b'0', "")]),
            "a layer has the whiteout `a/.wh.`, which hides nothing",
        ),
        (
            foreign(&[("a/.wh..", b'0', "")]),
            "a layer has the whiteout `a/.wh..`, which hides nothing",
        ),
        (
            foreign(&[("a", b'S', "")]),
            "cannot read a layer: the tar archive is malformed at byte 512: it has a sparse file",
        ),
        (
            foreign(&[("a", b'Z', "")]),
            "cannot read a layer: the tar archive is malformed at byte 512: it has an entry of an unknown type",
        ),
        (
            [foreign(&[]), b"x".to_vec()].concat(),
            "cannot read a layer: the tar archive is malformed at byte 1025: there are bytes after the end of the archive",
        ),
        (
            vec![1; 512],
            "cannot read a layer: the tar archive is malformed at byte 512: the checksum is not a number",
        ),
    ];
    for (bytes, message) in cases {
        let result = seen(&bytes, &options(LayerMediaType::Tar));
        assert_eq!(result, Err(message.to_owned()));
    }
}

#[test]
fn long_names_of_gnu_and_pax_are_read_and_limited() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut gnu = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o600);
    gnu.append_data(&mut header, &long, &b"hi"[..]).unwrap();
    let lines = seen(&gnu.into_inner().unwrap(), &options(LayerMediaType::Tar)).unwrap();
    assert_eq!(lines, [format!("{long} File {{ len: 2 }} hi")]);

    // An endless long name, as a bomb would have it: its size is enough to refuse it.
    for kind in [b'L', b'K', b'x', b'g'] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(1 << 40);
        header.set_mode(0);
        header.set_cksum();
        let error = seen(header.as_bytes(), &options(LayerMediaType::Tar)).unwrap_err();
        assert!(
            error.ends_with("more than 1048576 bytes in one long name or PAX record"),
            "{error}"
        );
    }
}

#[test]
fn a_pax_size_replaces_that_of_the_header() {
    // GHSA-3cv2-h65g-fgmm: readers that disagree on this see different entries.
    let record = b"10 size=3\n";
    let mut bytes = Vec::new();
    for (kind, name, size, content) in [
        (b'x', "pax", record.len() as u64, &record[..]),
        (b'0', "f", 0, b"abc"),
        (b'0', "g", 1, b"z"),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    let lines = seen(&bytes, &options(LayerMediaType::Tar)).unwrap();
    assert_eq!(lines, ["f File { len: 3 } abc", "g File { len: 1 } z"]);
}

#[test]
fn bombs_end_at_the_limits() {
    let zeros = zstd::encode_all(io::repeat(0).take(50 << 20), 1).unwrap();
    let mut options = options(LayerMediaType::Zstd);
    options.limits.bytes = 1 << 20;
    let error = seen(&zeros, &options).unwrap_err();
    assert!(
        error.contains("more than 1048576 bytes after decompression"),
        "{error}"
    );
    options.media_type = LayerMediaType::Tar;
    options.limits.entries = 2;
    let bytes = foreign(&[("a", b'5', ""), ("b", b'5', ""), ("c", b'5', "")]);
    let error = seen(&bytes, &options).unwrap_err();
    assert!(error.contains("more than 2 entries"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        for kind in [LayerMediaType::Tar, LayerMediaType::Gzip, LayerMediaType::Zstd] {
            let _ = seen(&bytes, &options(kind));
        }
    }

    #[test]
    fn no_damage_to_an_archive_makes_it_panic(
        at in 0_usize..2000, value in any::<u8>(), fix in any::<bool>(),
    ) {
        let mut bytes = foreign(&[("./usr/", b'5', ""), ("usr/s", b'2', "../x")]);
        let at = at % bytes.len();
        bytes[at] = value;
        if fix {
            let start = at / 512 * 512;
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes().copy_from_slice(&bytes[start..start + 512]);
            header.set_cksum();
            bytes[start..start + 512].copy_from_slice(header.as_bytes());
        }
        let _ = seen(&bytes, &options(LayerMediaType::Tar));
    }

    #[test]
    fn no_pax_record_makes_it_panic(text in "[0-9 a-z=\n.]{0,40}") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(text.len() as u64);
        header.set_mode(0);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(1024, 0);
        bytes.extend_from_slice(&foreign(&[("f", b'0', "")]));
        let _ = seen(&bytes, &options(LayerMediaType::Tar));
    }
}
