//! `kill -9` in the middle of everything, and many writers at once.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use unheck_base::{Digest, TreePath};
use unheck_store::{Member, Pack, PackWriter, Store, corruption};

use crate::{child, child_root, noise, tree};

/// Writes all kinds of things for ever, until it is killed.
#[test]
fn child_that_writes() {
    let Some(root) = child_root() else { return };
    for round in 0_u64.. {
        let store = Store::open(&root).expect("store");
        let key = Digest::of(&round.to_le_bytes());
        let bytes = noise(round, 1 + (round as usize * 77_777) % 700_000);
        store.put_bytes(&bytes).expect("put");
        let derived = store.derived("thing", &key);
        derived.put_bytes(&bytes).expect("derived");
        let fill = |path: &Path| -> std::io::Result<()> {
            for name in ["a", "b", "c"] {
                fs_err::write(path.join(name), &bytes)?;
            }
            Ok(())
        };
        store.derived("root", &key).dir_with(fill).expect("dir");
        write_pack(&store, &key, &bytes);
        // It waits for the disk: not in each round, or most kills would hit it.
        if round % 4 == 3 {
            store.state_put("round", &round).expect("state");
        }
    }
}

fn write_pack(store: &Store, key: &Digest, bytes: &[u8]) -> Pack {
    let mut writer = PackWriter::create(store, key).expect("pack");
    for (at, part) in bytes.chunks(50_000).enumerate() {
        let path = TreePath::new(&format!("d/{at}")).expect("path");
        let member = Member {
            path,
            mode: 0o644,
            mtime: 0,
        };
        writer.add_file(member, None, &mut &part[..]).expect("file");
    }
    writer.commit(&serde_json::json!({})).expect("commit")
}

/// Everything under a final name is whole.
fn assert_whole(root: &Path, store: &Store) {
    for name in tree(root) {
        let parts: Vec<&str> = name.split('/').collect();
        match parts[..] {
            ["blobs", "sha256", _, hex] => {
                store
                    .verify(&hex.parse().expect("name"))
                    .expect("whole blob");
            }
            ["derived", "thing", hex] => {
                let key = hex.parse().expect("name");
                let file = store.derived("thing", &key).get().expect("get");
                let mut file = file.expect("good trailer");
                file.read_to_end(&mut Vec::new())
                    .expect("whole derived file");
            }
            ["derived", "root", hex] => {
                let key = hex.parse().expect("name");
                let found = store.derived("root", &key).dir().expect("dir");
                assert_eq!(tree(found.expect("there").path()), ["a", "b", "c"]);
            }
            ["derived", "pack-1", hex] => {
                let pack = Pack::open(store, &hex.parse().expect("name")).expect("open");
                let pack = pack.expect("good index");
                for entry in pack.entries() {
                    pack.bytes(entry, u64::MAX).expect("whole member");
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_killed_writer_leaves_nothing_broken_and_nothing_behind() {
    let top = tempfile::tempdir().expect("tempdir");
    let root = top.path().join("store");
    for point in 0..24_u64 {
        let mut writer = child("crash::child_that_writes", &root)
            .spawn()
            .expect("spawn");
        std::thread::sleep(Duration::from_micros(4_000 + (point * 7_919) % 60_000));
        writer.kill().expect("kill");
        writer.wait().expect("wait");
        let store = Store::open(&root).expect("opens again");
        let own = tree(&root.join("tmp"));
        assert_eq!(own.len(), 1, "only our own directory is left: {own:?}");
        assert_whole(&root, &store);
        let _: Option<u64> = store.state_get("round").expect("whole state");
        store.put_bytes(&point.to_le_bytes()).expect("works");
    }
    let blobs = tree(&root.join("blobs")).len();
    assert!(blobs > 30, "the writer never got to write: {blobs}");
}

#[test]
fn child_that_puts() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).expect("store");
    put_all(&store);
}

fn put_all(store: &Store) {
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let store = store.clone();
            scope.spawn(move || {
                for at in 0..12 {
                    let bytes = noise((at + thread) % 12, 200_000);
                    let digest = store.put_bytes(&bytes).expect("put");
                    let mut again = store.open_verified(&digest).expect("open");
                    let mut read = Vec::new();
                    again.read_to_end(&mut read).expect("read");
                    assert!(read == bytes);
                }
            });
        }
    });
}

#[test]
fn two_processes_of_eight_threads_put_the_same_blobs() {
    let top = tempfile::tempdir().expect("tempdir");
    let mut other = child("crash::child_that_puts", top.path())
        .spawn()
        .expect("spawn");
    let store = Store::open(top.path()).expect("store");
    put_all(&store);
    assert!(other.wait().expect("wait").success());
    let usage = store.usage().expect("usage");
    let blobs: Vec<_> = usage.iter().filter(|usage| usage.kind == "blobs").collect();
    assert_eq!((blobs[0].files, blobs[0].bytes), (12, 12 * 200_000));
}

#[test]
fn one_of_many_computes_and_all_get_the_result() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let computed = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let produce = |out: &mut dyn Write| {
                    computed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(20));
                    out.write_all(b"result")
                };
                let derived = store.derived("k", &Digest::of(b"k"));
                let mut text = String::new();
                let mut file = derived.get_or_put(produce).expect("get");
                file.read_to_string(&mut text).expect("read");
                assert_eq!(text, "result");
            });
        }
    });
    assert_eq!(computed.into_inner(), 1);
}

#[test]
fn two_fillers_of_one_directory_end_with_one_whole_result() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let derived = store.derived("root", &Digest::of(b"r"));
                let fill = |path: &Path| -> std::io::Result<()> {
                    fs_err::write(path.join("x"), "x")?;
                    fs_err::write(path.join("y"), "y")
                };
                let found = derived.dir_with(fill).expect("dir");
                assert_eq!(tree(found.path()), ["x", "y"]);
            });
        }
    });
    assert_eq!(
        tree(&top.path().join("tmp")).len(),
        1,
        "the losers are gone"
    );
}

#[test]
fn a_failing_producer_leaves_nothing_and_its_error_comes_through() {
    let top = tempfile::tempdir().expect("tempdir");
    let store = Store::open(top.path()).expect("store");
    let derived = store.derived("k", &Digest::of(b"k"));
    let fail = |out: &mut dyn Write| {
        out.write_all(b"half")?;
        Err(std::io::Error::other("no more"))
    };
    let error = derived.put_with(fail).err().expect("fails");
    let source = std::error::Error::source(&error).expect("source");
    assert_eq!(source.to_string(), "no more");
    assert!(corruption(&error).is_none());
    assert!(derived.get().expect("get").is_none());
    assert_eq!(tree(&top.path().join("tmp")).len(), 1);
}
