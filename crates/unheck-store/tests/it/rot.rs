//! Rot: every kind of file, damaged in every way, is noticed and can be made again.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use unheck_base::{Digest, TreePath};
use unheck_store::{
    Member, Object, Pack, PackKind, PackWriter, PruneOptions, Store, StoreError, corruption,
};

use crate::{noise, tree};

/// The ways in which a file rots.
const WAYS: [&str; 7] = [
    "flip first",
    "flip middle",
    "flip last",
    "truncate",
    "empty",
    "grow",
    "directory",
];

fn rot(path: &Path, way: &str) {
    let mut bytes = fs_err::read(path).expect("read");
    fs_err::remove_file(path).expect("remove");
    let last = bytes.len() - 1;
    match way {
        "flip first" => bytes[0] ^= 1,
        "flip middle" => bytes[last / 2] ^= 1,
        "flip last" => bytes[last] ^= 1,
        "truncate" => bytes.truncate(last),
        "empty" => bytes.clear(),
        "grow" => bytes.push(0),
        _ => {
            fs_err::create_dir(path).expect("mkdir");
            fs_err::write(path.join("x"), "x").expect("write");
            return;
        }
    }
    fs_err::write(path, bytes).expect("write");
}

#[test]
fn a_rotten_blob_is_noticed_discarded_and_put_again() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let bytes = noise(1, 300_000);
    let digest = store.put_bytes(&bytes).expect("put");
    for way in WAYS {
        rot(&store.path(&digest), way);
        let error: Box<dyn std::error::Error> = match store.open_verified(&digest) {
            Err(error) => error.into(),
            Ok(mut reader) => {
                let mut buffer = Vec::new();
                reader.read_to_end(&mut buffer).expect_err(way).into()
            }
        };
        let found = corruption(&*error).expect(way);
        assert_eq!(found.object, Object::Blob(digest), "{way}");
        assert!(
            matches!(store.verify(&digest), Err(StoreError::Corrupt(_))),
            "{way}"
        );
        store.discard(&found.object).expect(way);
        assert!(!store.has(&digest), "{way}");
        assert!(matches!(
            store.open_blob(&digest),
            Err(StoreError::Missing { .. })
        ));
        store.put_bytes(&bytes).expect(way);
        store.verify(&digest).expect(way);
        // A put alone heals too.
        rot(&store.path(&digest), way);
        store.put_bytes(&bytes).expect(way);
        store.verify(&digest).expect(way);
    }
    assert!(!store.quarantine(&digest).expect("a good blob stays"));
    assert!(store.has(&digest));
}

#[test]
fn a_rotten_derived_file_counts_as_absent_or_fails_its_reader() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let key = Digest::of(b"key");
    let derived = store.derived("layer", &key);
    let bytes = noise(2, 10_000);
    let path = top.path().join("derived/layer").join(key.hex());
    for way in WAYS {
        derived.put_bytes(&bytes).expect(way);
        rot(&path, way);
        if let Some(mut file) = derived.get().expect(way) {
            let error = file.read_to_end(&mut Vec::new()).expect_err(way);
            let object = &corruption(&error).expect(way).object;
            store.discard(object).expect(way);
        }
        assert!(!path.exists(), "{way}");
        derived.put_bytes(&bytes).expect(way);
        rot(&path, way);
        assert_eq!(derived.bytes(1 << 20).expect(way), None, "{way}");
        derived.put_bytes(&bytes).expect(way);
        assert_eq!(
            derived.bytes(1 << 20).expect(way).as_ref(),
            Some(&bytes),
            "{way}"
        );
    }
    // Under another key it is not taken for that key's result.
    let other = Digest::of(b"other");
    fs_err::rename(&path, path.with_file_name(other.hex())).expect("rename");
    assert!(store.derived("layer", &other).get().expect("get").is_none());
}

fn member(path: &str) -> Member {
    Member {
        path: TreePath::new(path).expect("path"),
        mode: 0o755,
        mtime: 1_700_000_000,
    }
}

fn sample_pack(store: &Store, key: &Digest) -> Pack {
    let mut writer = PackWriter::create(store, key).expect("pack");
    writer.add_dir(member("pkg")).expect("dir");
    for at in 0..4 {
        let bytes = noise(at, 5_000 * at as usize);
        let path = format!("pkg/{at}.py");
        let len = Some(bytes.len() as u64);
        let added = writer
            .add_file(member(&path), len, &mut &bytes[..])
            .expect("file");
        assert_eq!(added.digest, Digest::of(&bytes));
    }
    writer.add_symlink(member("link"), "../pkg").expect("link");
    let target = TreePath::new("pkg/3.py").expect("path");
    writer
        .add_hardlink(member("pkg/hard"), target)
        .expect("hard");
    writer
        .commit(&serde_json::json!({"name": "sample"}))
        .expect("commit")
}

/// Reads everything; the error when something is wrong.
fn read_all(pack: &Pack) -> std::io::Result<()> {
    assert_eq!(pack.meta()["name"], "sample");
    for at in 0..4 {
        let path = TreePath::new(&format!("pkg/{at}.py")).expect("path");
        let entry = pack.get(&path).expect("entry");
        let bytes = pack.bytes(entry, 1 << 20)?;
        assert!(bytes == noise(at, 5_000 * at as usize));
    }
    Ok(())
}

#[test]
fn a_pack_gives_back_what_went_in() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let key = Pack::key(&Digest::of(b"wheel"), "wheel 1");
    assert!(Pack::open(&store, &key).expect("open").is_none());
    let written = sample_pack(&store, &key);
    let pack = Pack::open(&store, &key).expect("open").expect("there");
    assert_eq!(pack.entries(), written.entries());
    read_all(&pack).expect("read");
    let shown: Vec<String> = pack
        .entries()
        .iter()
        .map(|entry| {
            let kind = match &entry.kind {
                PackKind::Dir => "dir".to_owned(),
                PackKind::File { len, .. } => format!("file {len}"),
                PackKind::Symlink(target) => format!("-> {target}"),
                PackKind::Hardlink(target) => format!("= {target}"),
            };
            format!("{} {kind}", entry.path)
        })
        .collect();
    let expected = [
        "link -> ../pkg",
        "pkg dir",
        "pkg/0.py file 0",
        "pkg/1.py file 5000",
        "pkg/2.py file 10000",
        "pkg/3.py file 15000",
        "pkg/hard = pkg/3.py",
    ];
    assert_eq!(shown, expected);
    let mut range = Vec::new();
    pack.read(5_000 + 10, 20)
        .read_to_end(&mut range)
        .expect("range");
    assert_eq!(range, noise(2, 5_000)[10..30]);
    let big = pack
        .get(&TreePath::new("pkg/3.py").expect("path"))
        .expect("entry");
    let error = pack.bytes(big, 100).expect_err("limit");
    assert_eq!(
        error.to_string(),
        "`pkg/3.py` has 15000 bytes, more than the limit of 100"
    );
}

#[test]
fn a_rotten_pack_is_absent_or_fails_its_member() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let key = Pack::key(&Digest::of(b"wheel"), "wheel 1");
    let path = top.path().join("derived/pack-1").join(key.hex());
    for way in WAYS {
        sample_pack(&store, &key);
        rot(&path, way);
        if let Some(pack) = Pack::open(&store, &key).expect(way) {
            let error = read_all(&pack).expect_err(way);
            let object = &corruption(&error).expect(way).object;
            assert_eq!(object, pack.object());
            store.discard(object).expect(way);
        }
        assert!(!path.exists(), "{way}");
    }
    // Bytes of the content and of the index, and all of the footer, one after the other.
    let good = {
        sample_pack(&store, &key);
        fs_err::read(&path).expect("read")
    };
    for at in (0..good.len())
        .step_by(397)
        .chain(good.len() - 88..good.len())
    {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        // Never over an existing file: ext4 would flush it to the disk, 800 times.
        store.derived("pack-1", &key).discard().expect("remove");
        fs_err::write(&path, &bytes).expect("write");
        let result = Pack::open(&store, &key)
            .expect("open")
            .map(|pack| read_all(&pack));
        assert!(!matches!(result, Some(Ok(()))), "byte {at}");
    }
}

#[test]
fn a_pack_refuses_doubles_and_lies_on_length() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let create = || PackWriter::create(&store, &Digest::of(b"k")).expect("pack");
    let mut writer = create();
    writer.add_dir(member("a")).expect("dir");
    let error = writer
        .add_file(member("a"), None, &mut &b"x"[..])
        .expect_err("twice");
    assert_eq!(error.to_string(), "`a` is in the archive twice");
    let cases = [
        (
            3,
            "`f` has more than the 3 bytes that the archive announces",
        ),
        (
            5,
            "`f` has less than the 5 bytes that the archive announces",
        ),
    ];
    for (len, message) in cases {
        let error = create().add_file(member("f"), Some(len), &mut &b"1234"[..]);
        assert_eq!(error.expect_err("refused").to_string(), message);
    }
    let error = create().add_file(member("f"), Some(9), &mut std::io::repeat(0));
    assert!(error.is_err(), "an endless member ends");
}

#[test]
fn content_that_is_not_the_expected_one_is_not_kept() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let good = Digest::of(b"good");
    type Case<'a> = (&'a [u8], Option<u64>, &'a str);
    let cases: [Case<'_>; 3] = [
        (b"evil", None, "the content has the digest"),
        (
            b"goods",
            Some(4),
            "the content has 5 bytes or more, not the announced 4",
        ),
        (
            b"goo",
            Some(4),
            "the content has 3 bytes, not the announced 4",
        ),
    ];
    for (bytes, size, message) in cases {
        let error = store
            .put_reader(&mut &bytes[..], Some((good, size)))
            .expect_err("refused");
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let endless = store.put_reader(&mut std::io::repeat(0), Some((good, Some(1 << 20))));
    assert!(matches!(endless, Err(StoreError::TooLong { .. })));
    assert!(!store.has(&good));
    assert_eq!(tree(&top.path().join("tmp")).len(), 1);
    let put = store.put_reader(&mut &b"good"[..], Some((good, Some(4))));
    assert_eq!(put.expect("good"), good);
}

#[test]
fn state_survives_and_its_damage_is_told() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let name = "suite trixie/main";
    assert_eq!(store.state_get::<u64>(name).expect("get"), None);
    store.state_put(name, &7).expect("put");
    store.state_put(name, &8_u64).expect("put");
    assert_eq!(store.state_get(name).expect("get"), Some(8_u64));
    let files = tree(&top.path().join("state"));
    assert_eq!(files.len(), 1, "{files:?}");
    for way in WAYS {
        rot(&top.path().join("state").join(&files[0]), way);
        let error = store.state_get::<u64>(name).expect_err(way);
        let object = corruption(&error).expect(way).object.clone();
        store.discard(&object).expect(way);
        assert_eq!(store.state_get::<u64>(name).expect(way), None);
        store.state_put(name, &8_u64).expect("put");
    }
    let error = store.state_get::<String>(name).expect_err("shape");
    assert!(matches!(error, StoreError::Shape { .. }));
}

#[test]
fn pruning_keeps_what_is_used_kept_or_held() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let old = store.put_bytes(b"old").expect("put");
    let kept = store.put_bytes(b"kept").expect("put");
    let used = store.put_bytes(b"used").expect("put");
    let key = Digest::of(b"dir");
    let no_fill = |_: &Path| Ok::<(), std::io::Error>(());
    let held = store.derived("root", &key).dir_with(no_fill).expect("dir");
    let week = Duration::from_secs(7 * 24 * 3600);
    let now = fs_err::metadata(store.path(&old)).expect("stat").modified();
    let long_ago = now.expect("time") - 2 * week;
    for path in [
        &store.path(&old),
        &store.path(&kept),
        &store.path(&used),
        held.path(),
    ] {
        let file = fs_err::File::open(path).expect("open");
        file.set_modified(long_ago).expect("age");
    }
    assert!(store.has(&used), "looking is using");
    let options = PruneOptions {
        unused_for: week,
        keep: [kept].into(),
    };
    let pruned = store.prune(&options).expect("prune");
    assert_eq!((pruned.removed, pruned.bytes), (1, 3));
    assert_eq!(
        [old, kept, used].map(|digest| store.has(&digest)),
        [false, true, true]
    );
    assert!(held.path().exists());
    let path = held.path().to_owned();
    drop(held);
    assert_eq!(store.prune(&options).expect("prune").removed, 1);
    assert!(!path.exists());
}
