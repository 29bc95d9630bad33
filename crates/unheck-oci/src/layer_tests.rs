use super::*;
use crate::tar_writer::EntryKind;
use unheck_base::TreePath;

/// Bytes that look like a mixture of text and machine code; the same every time.
pub(crate) fn sample(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 5 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 => bytes.extend_from_slice(b"def function(self, value):\n    return value\n"),
            _ => bytes.extend_from_slice(format!("line {}\n", state % 5000).as_bytes()),
        }
    }
    bytes.truncate(len);
    bytes
}

/// A layer of one file of `content`, the blob beside it.
pub(crate) fn layer_of(content: &[u8], compression: Compression) -> (Layer, Vec<u8>) {
    let path = TreePath::new("opt/file").unwrap();
    let entry = Entry {
        path: &path,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        kind: EntryKind::File {
            len: content.len() as u64,
        },
    };
    let mut writer = LayerWriter::new(Vec::new(), compression).unwrap();
    writer.append_bytes(&entry, content).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_layer_tells_the_truth_about_its_blob() {
    let content = sample(3_000_000);
    let all = [
        Compression::None,
        Compression::Gzip { level: 6 },
        Compression::Zstd {
            level: 3,
            workers: 2,
        },
    ];
    for compression in all {
        let (layer, blob) = layer_of(&content, compression);
        let tar = match layer.media_type {
            LayerMediaType::Tar => blob.clone(),
            LayerMediaType::Gzip => {
                let mut tar = Vec::new();
                let mut reader = flate2::read::GzDecoder::new(&blob[..]);
                reader.read_to_end(&mut tar).unwrap();
                tar
            }
            LayerMediaType::Zstd => zstd::decode_all(&blob[..]).unwrap(),
        };
        assert_eq!(layer.diff_id, Digest::of(&tar));
        assert_eq!(layer.uncompressed_size, tar.len() as u64);
        assert_eq!(layer.digest, Digest::of(&blob));
        assert_eq!(layer.size, blob.len() as u64);
        assert_eq!(&tar[512..512 + content.len()], &content[..]);
    }
}

#[test]
fn the_number_of_workers_does_not_change_the_bytes() {
    // 0 workers are taken as 1; sizes around the job size and the size below which zstd would
    // use no worker by itself. The high levels get content that they are done with soon.
    let mixed = sample(6_000_000);
    let dull = sample(50_000).repeat(180);
    for (level, content, sizes) in [
        (
            3,
            &mixed,
            vec![0, 100_000, 2 << 20, (2 << 20) + 1, 6_000_000],
        ),
        (12, &mixed, vec![6_000_000]),
        (19, &dull, vec![9_000_000]),
    ] {
        for size in sizes {
            let blob = |workers| layer_of(&content[..size], Compression::Zstd { level, workers });
            let one = blob(1);
            for workers in [0, 2, 4] {
                assert!(
                    one == blob(workers),
                    "level {level}, {size} bytes, {workers}"
                );
            }
        }
    }
}

#[test]
fn the_sizes_of_writes_do_not_change_the_bytes() {
    struct Dribble<'a>(&'a [u8], usize);
    impl Read for Dribble<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(to.len()).min(self.0.len());
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            self.1 = self.1 % 4099 + 1;
            Ok(n)
        }
    }
    let content = sample(5_000_000);
    let path = TreePath::new("opt/file").unwrap();
    let entry = Entry {
        path: &path,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        kind: EntryKind::File {
            len: content.len() as u64,
        },
    };
    for compression in [
        Compression::Gzip { level: 6 },
        Compression::Zstd {
            level: 3,
            workers: 2,
        },
    ] {
        let mut writer = LayerWriter::new(Vec::new(), compression).unwrap();
        writer.append(&entry, &mut Dribble(&content, 1)).unwrap();
        assert!(writer.finish().unwrap() == layer_of(&content, compression));
    }
}

#[test]
fn headers_have_no_time_name_system_size_or_checksum() {
    let content = sample(1000);
    let (_, blob) = layer_of(&content, Compression::Gzip { level: 6 });
    assert_eq!(blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let (_, blob) = layer_of(
        &content,
        Compression::Zstd {
            level: 3,
            workers: 2,
        },
    );
    // RFC 8878, 3.1.1.1: descriptor 0 = no content size, no checksum, no dictionary; then the
    // window: 2 MiB is exponent 11, mantissa 0.
    assert_eq!(blob[..6], [0x28, 0xb5, 0x2f, 0xfd, 0, 11 << 3]);
}

#[test]
fn pinned_digests_notice_a_compressor_that_changed() {
    let content = sample(1_000_000);
    let digest = |compression| layer_of(&content, compression).0.digest.hex()[..16].to_owned();
    let zstd = |level| Compression::Zstd { level, workers: 2 };
    let digests = [
        digest(Compression::Gzip { level: 6 }),
        digest(zstd(3)),
        digest(zstd(19)),
    ];
    assert_eq!(
        digests,
        ["27fc1138f64eec38", "43695ee179379890", "388a5e5b9dad8afa"]
    );
}

#[test]
fn levels_that_do_not_exist_are_refused() {
    for compression in [
        Compression::Gzip { level: 0 },
        Compression::Gzip { level: 10 },
        Compression::Zstd {
            level: 0,
            workers: 1,
        },
        Compression::Zstd {
            level: 20,
            workers: 1,
        },
    ] {
        assert!(LayerWriter::new(Vec::new(), compression).is_err());
    }
}

#[test]
fn a_failing_output_is_an_error_and_no_hang() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let content = sample(4_000_000);
    let path = TreePath::new("f").unwrap();
    let entry = Entry {
        path: &path,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        kind: EntryKind::File {
            len: content.len() as u64,
        },
    };
    for room in [0, 1000, 300_000] {
        let compression = Compression::Zstd {
            level: 3,
            workers: 2,
        };
        let mut writer = LayerWriter::new(Full(room), compression).unwrap();
        let appended = writer.append(&entry, &mut &content[..]).is_err();
        assert!(appended || writer.finish().is_err(), "{room}");
    }
}
