use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Mutex;

use proptest::prelude::*;
use unheck_base::{Digest, TreePath};

use super::{Contents, Entry, Exe, ExeError, ExeOptions};
use crate::wire::code;
use crate::wire::payload::{self, Index, Kind};
use crate::wire::trailer::{TRAILER_LEN, Trailer};
use crate::wire::xxh64::xxh64;

/// The launcher of this architecture, so that code is filtered as it will be.
fn launcher() -> &'static [u8] {
    let amd64 = crate::stub(crate::Architecture::Amd64);
    amd64.or(crate::stub(crate::Architecture::Arm64)).unwrap()
}

const OPTIONS: ExeOptions = ExeOptions {
    level: 1,
    flags: false,
};

#[derive(Default)]
struct World {
    exe: Exe,
    contents: BTreeMap<TreePath, Vec<u8>>,
    /// Compressed frames.
    kept: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

impl Contents for World {
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.contents.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }

    fn packed(&self, key: &Digest) -> Option<Vec<u8>> {
        self.kept.lock().unwrap().get(key).cloned()
    }

    fn keep(&self, key: &Digest, packed: &[u8]) {
        self.kept.lock().unwrap().insert(*key, packed.to_vec());
    }
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

impl World {
    /// The least that has a sound description.
    fn new() -> Self {
        let launch = "unheck-launch 1\nmode dynamic\nstart a\ncommand a\nprogram bin/a\nas bin/l\nend unheck-launch\n";
        let mut world = Self::default();
        world.file(crate::LAUNCH_PATH, launch.as_bytes());
        world.file("bin/a", b"program");
        world.exe.entries.insert(path("bin/l"), Entry::Launcher);
        world
    }

    fn file(&mut self, at: &str, bytes: &[u8]) {
        let entry = Entry::File {
            mode: 0o644,
            len: bytes.len() as u64,
            digest: Digest::of(bytes),
            last: at.starts_with("app/"),
        };
        self.exe.entries.insert(path(at), entry);
        self.contents.insert(path(at), bytes.to_vec());
    }

    fn link(&mut self, at: &str, target: &str) {
        let target = target.to_owned();
        self.exe.entries.insert(path(at), Entry::Symlink { target });
    }

    fn write(&self) -> Result<Vec<u8>, ExeError> {
        let mut bytes = Vec::new();
        self.exe.write(launcher(), self, OPTIONS, &mut bytes)?;
        Ok(bytes)
    }
}

/// The index of an executable, and its decoded frames one after the other.
fn open(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let tail: &[u8; TRAILER_LEN] = bytes.last_chunk().unwrap();
    let trailer = Trailer::decode(tail, bytes.len() as u64, |bytes| {
        *Digest::of(bytes).as_bytes()
    })
    .unwrap();
    let frames = &bytes[trailer.start as usize..][..trailer.frames_len as usize];
    let index =
        &bytes[(trailer.start + trailer.frames_len) as usize..][..trailer.index_len as usize];
    assert_eq!(Digest::of(index).as_bytes(), &trailer.content);
    let index = zstd::bulk::decompress(index, trailer.index_raw as usize).unwrap();
    let mut stream = Vec::new();
    for frame in Index::parse(&index).unwrap().frames {
        let packed = &frames[frame.packed_at as usize..][..frame.packed_len as usize];
        assert_eq!(Digest::of(packed).as_bytes(), frame.sha256);
        let mut bytes = zstd::bulk::decompress(packed, frame.len as usize).unwrap();
        if frame.code {
            code::decode(&mut bytes);
        }
        stream.extend(bytes);
    }
    (index, stream)
}

fn assert_round_trip(world: &World) {
    let bytes = world.write().unwrap();
    assert!(bytes.starts_with(launcher()));
    let (index, stream) = open(&bytes);
    let index = Index::parse(&index).unwrap();
    let mut seen = BTreeMap::new();
    for entry in &index.entries {
        let kind = match entry.kind {
            Kind::HardLink(target) => index.entries[target as usize].kind,
            kind => kind,
        };
        if let Kind::File { start, len, hashes } = kind {
            let content = &stream[start as usize..][..len as usize];
            seen.insert(path(entry.path), content.to_vec());
            let (first, last) = payload::frames_of(&index.frames, start, len.max(1));
            for (frame, hash) in index.frames[first..last].iter().zip(hashes) {
                let piece = frame.start.max(start) as usize..frame.end().min(start + len) as usize;
                assert_eq!(xxh64(&stream[piece]).to_le_bytes(), *hash);
            }
        }
    }
    assert_eq!(seen, world.contents);
}

#[test]
fn what_is_packed_is_in_the_payload() {
    let mut world = World::new();
    // With bytes in it that look like calls.
    let pattern = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|at| {
                if at % 9 == 0 {
                    0xe8
                } else {
                    (at / 7 % 251) as u8 * (at % 9 < 4) as u8
                }
            })
            .collect()
    };
    // Around the frame's length, several frames long, and small ones that fill up.
    for (number, len) in [(4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20, 3 << 20]
        .iter()
        .enumerate()
    {
        world.file(&format!("large/{number}.so"), &pattern(*len));
    }
    for number in 0..50 {
        world.file(&format!("small/{number}.py"), &pattern(100_000 + number));
    }
    world.file("empty", b"");
    world.file("twice", &pattern(100_000));
    world.link("link", "small/../empty");
    assert_round_trip(&world);
}

#[test]
fn an_edit_of_the_app_compresses_the_app_alone() {
    let mut world = World::new();
    for number in 0..40_u8 {
        world.file(&format!("lib/m{number:02}.py"), &vec![number; 300 << 10]);
        world.file(
            &format!("lib/m{number:02}.so"),
            &vec![number + 100; 300 << 10],
        );
    }
    world.file("app/main.py", b"print(1)");
    world.file("app/same.py", &vec![7; 300 << 10]);
    let kept = |world: &World| {
        world
            .kept
            .lock()
            .unwrap()
            .keys()
            .copied()
            .collect::<BTreeSet<_>>()
    };
    let first = world.write().unwrap();
    let before = kept(&world);
    assert!(before.len() > 5);
    assert_eq!(world.write().unwrap(), first);
    assert_eq!(kept(&world), before, "nothing was compressed again");

    world.file("app/main.py", &vec![b'#'; 3 << 20]);
    let second = world.write().unwrap();
    assert_round_trip(&world);
    let more: Vec<Digest> = kept(&world).difference(&before).copied().collect();
    assert!((1..=2).contains(&more.len()), "{}", more.len());
    let cold = World {
        exe: world.exe.clone(),
        contents: world.contents.clone(),
        ..World::default()
    };
    assert_eq!(
        cold.write().unwrap(),
        second,
        "the same bytes with nothing kept"
    );

    // What is kept is not believed.
    for packed in world.kept.lock().unwrap().values_mut() {
        *packed = zstd::bulk::compress(b"something else", 1).unwrap();
    }
    assert_eq!(world.write().unwrap(), second);
}

#[test]
fn equal_files_are_stored_once_and_empty_ones_stay_apart() {
    let mut world = World::new();
    for name in ["a", "b", "c/d"] {
        world.file(name, b"same");
        world.file(&format!("{name}-empty"), b"");
    }
    let bytes = world.write().unwrap();
    let (index, _) = open(&bytes);
    let index = Index::parse(&index).unwrap();
    let kind = |path: &str| {
        index
            .entries
            .iter()
            .find(|entry| entry.path == path)
            .unwrap()
            .kind
    };
    assert!(matches!(kind("a"), Kind::File { len: 4, .. }));
    assert!(matches!(
        (kind("b"), kind("c/d")),
        (Kind::HardLink(_), Kind::HardLink(_))
    ));
    assert!(matches!(kind("b-empty"), Kind::File { len: 0, .. }));
    assert_eq!(kind("bin/l"), Kind::Launcher(xxh64(launcher())));
    assert_eq!(kind("c"), Kind::Dir);
}

#[test]
fn trees_that_cannot_become_executables_are_refused() {
    let mut world = World::new();
    world.link("out", "../x");
    assert!(matches!(world.write(), Err(ExeError::LinkOut { .. })));
    let mut world = World::new();
    world.link("absolute", "/etc/passwd");
    assert!(matches!(world.write(), Err(ExeError::LinkOut { .. })));
    let mut world = World::new();
    world.link("bin2", "bin");
    world.file("bin2/x", b"x");
    assert!(matches!(world.write(), Err(ExeError::ThroughFile { .. })));
    let mut world = World::new();
    world.contents.insert(path("bin/a"), b"Program".to_vec());
    assert!(matches!(world.write(), Err(ExeError::Changed { .. })));
    let mut world = World::new();
    world.contents.remove(&path("bin/a"));
    assert!(matches!(world.write(), Err(ExeError::Read { .. })));
    let mut world = World::new();
    world.exe.entries.remove(&path("bin/l"));
    assert!(matches!(world.write(), Err(ExeError::NotInTree(name)) if name == "bin/l"));
    let mut world = World::new();
    world.exe.entries.remove(&path(crate::LAUNCH_PATH));
    assert!(matches!(world.write(), Err(ExeError::NoLaunch)));
    let mut world = World::new();
    world.file(crate::LAUNCH_PATH, b"unheck-launch 1\n");
    assert!(matches!(
        world.write(),
        Err(ExeError::BadLaunch { line: 2, .. })
    ));
}

/// An index written by hand: what a hostile writer could do.
struct Raw {
    frames: Vec<(u32, u32)>,
    entries: Vec<Vec<u8>>,
    tail: Vec<u8>,
}

impl Raw {
    /// One frame of ten bytes.
    fn new() -> Self {
        Self {
            frames: vec![(5, 10)],
            entries: Vec::new(),
            tail: Vec::new(),
        }
    }

    fn entry(mut self, kind: u8, path: &str, rest: &[u8]) -> Self {
        let mut bytes = vec![kind];
        bytes.extend(0o755u16.to_le_bytes());
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(path.as_bytes());
        bytes.extend(rest);
        self.entries.push(bytes);
        self
    }

    fn dir(self, path: &str) -> Self {
        self.entry(payload::DIR, path, &[])
    }

    fn file(self, path: &str, start: u64, len: u64) -> Self {
        let hash = if len == 0 { &[][..] } else { &[0; 8] };
        self.entry(
            payload::FILE,
            path,
            &[&start.to_le_bytes()[..], &len.to_le_bytes(), hash].concat(),
        )
    }

    fn link(self, path: &str, target: &str) -> Self {
        let rest = [&(target.len() as u16).to_le_bytes()[..], target.as_bytes()].concat();
        self.entry(payload::SYMLINK, path, &rest)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = payload::MAGIC.to_vec();
        out.extend((self.frames.len() as u32).to_le_bytes());
        out.extend((self.entries.len() as u32).to_le_bytes());
        for (packed, len) in &self.frames {
            out.extend(packed.to_le_bytes());
            out.extend(len.to_le_bytes());
            out.push(payload::PLAIN);
            out.extend([0; 32]);
        }
        out.extend(self.entries.concat());
        out.extend(&self.tail);
        out
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let bytes = self.bytes();
        let got = Index::parse(&bytes).unwrap_err();
        assert!(got.contains(why), "{got}");
    }
}

#[test]
fn sound_index_by_hand_is_read() {
    let raw = Raw::new()
        .dir("d")
        .file("d/a", 0, 10)
        .link("d/b", "../d/a")
        .entry(payload::HARD_LINK, "e", &1u32.to_le_bytes());
    let bytes = raw.bytes();
    assert_eq!(Index::parse(&bytes).unwrap().entries.len(), 4);
}

#[test]
fn hostile_paths_are_refused() {
    for path in [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        ".",
        "a\0b",
    ] {
        Raw::new()
            .file(path, 0, 10)
            .refused("a path is not relative");
    }
    Raw::new()
        .file("d/a", 0, 10)
        .refused("a parent directory is missing");
    Raw::new()
        .link("d", "e")
        .file("d/a", 0, 10)
        .refused("a parent is no directory");
    Raw::new()
        .file("d", 0, 10)
        .dir("d/e")
        .refused("a parent is no directory");
    Raw::new().file("b", 0, 10).dir("a").refused("out of order");
    Raw::new().dir("a").file("a", 0, 10).refused("out of order");
    for target in ["/etc", "../x", "a/../../x", ""] {
        Raw::new()
            .file("a", 0, 10)
            .link("b", target)
            .refused("leads out");
    }
}

#[test]
fn hostile_hard_links_are_refused() {
    let link = |target: u32| target.to_le_bytes();
    Raw::new()
        .dir("a")
        .entry(payload::HARD_LINK, "b", &link(0))
        .refused("no file");
    Raw::new()
        .link("a", "c")
        .entry(payload::HARD_LINK, "b", &link(0))
        .refused("no file");
    for target in [1, 2, u32::MAX] {
        Raw::new()
            .file("a", 0, 10)
            .entry(payload::HARD_LINK, "b", &link(target))
            .refused("point back");
    }
}

#[test]
fn files_that_do_not_tile_the_frames_are_refused() {
    Raw::new().file("a", 0, 11).refused("outside");
    Raw::new().file("a", u64::MAX, 2).refused("outside");
    Raw::new().file("a", 0, 9).refused("bytes of no file");
    Raw::new().file("a", 1, 9).refused("overlap or leave a gap");
    Raw::new()
        .file("a", 0, 6)
        .file("b", 5, 5)
        .refused("overlap or leave a gap");
    Raw::new().refused("bytes of no file");
}

#[test]
fn counts_and_lengths_that_lie_are_refused() {
    let mut raw = Raw::new().file("a", 0, 10);
    raw.frames = vec![(5, 0)];
    raw.refused("a frame is empty");
    raw.frames = vec![(5, u32::MAX)];
    raw.refused("too long");
    raw.frames = vec![(5, 10)];
    raw.tail = vec![0];
    raw.refused("tail");
    raw.tail.clear();
    let mut bytes = raw.bytes();
    bytes[8..16].fill(0xff);
    assert_eq!(Index::parse(&bytes).unwrap_err(), "the index is cut");
    let bytes = raw.bytes();
    for len in 0..bytes.len() {
        assert!(Index::parse(&bytes[..len]).is_err(), "{len}");
    }
    let mut setuid = raw.bytes();
    let at = setuid.len() - 24 - 1 - 4;
    setuid[at..at + 2].copy_from_slice(&0o4755u16.to_le_bytes());
    assert!(
        Index::parse(&setuid)
            .unwrap_err()
            .contains("permission bits")
    );
}

proptest! {
    /// Whatever the bytes, reading them ends with an index or a reason.
    #[test]
    fn no_index_makes_the_reader_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let raw = Raw::new().dir("d").file("d/a", 0, 10).link("d/b", "a");
        let mut bytes = raw.bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(index) = Index::parse(&bytes) {
            for frame in &index.frames {
                prop_assert!(index.files_in(frame).len() <= index.entries.len());
            }
        }
    }
}
