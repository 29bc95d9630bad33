use super::*;
use proptest::prelude::*;
use unheck_base::Digest;

fn path(text: &str) -> TreePath {
    TreePath::new(text).expect(text)
}

fn entry<'a>(path: &'a TreePath, kind: EntryKind<'a>) -> Entry<'a> {
    Entry {
        path,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
        kind,
    }
}

/// Writes `name:kind` words: `d` directory, `f` file with its own name as content, `l` symlink,
/// `h=target` hardlink. The last error as text.
fn write(words: &str) -> Result<Vec<u8>, String> {
    let mut writer = TarWriter::new(Vec::new());
    for word in words.split_whitespace() {
        let (name, kind) = word.split_once(':').expect("name:kind");
        let (name, target) = (path(name), kind.split_once('=').map(|(_, t)| path(t)));
        let (kind, content) = match &kind[..1] {
            "d" => (EntryKind::Dir, ""),
            "l" => (EntryKind::Symlink("target"), ""),
            "h" => (EntryKind::Hardlink(target.as_ref().expect("target")), ""),
            _ => {
                let len = name.as_str().len() as u64;
                (EntryKind::File { len }, name.as_str())
            }
        };
        let entry = entry(&name, kind);
        writer
            .append(&entry, &mut content.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())
}

/// What the `tar` crate, an independent reader, sees.
fn read(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    let mut lines = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let mut line = format!(
            "{:?} {:o} {}:{} {} {}",
            header.entry_type(),
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            entry.size(),
            String::from_utf8(entry.path_bytes().into_owned()).unwrap()
        );
        if let Some(link) = entry.link_name_bytes() {
            line += " -> ";
            line += std::str::from_utf8(&link).unwrap();
        }
        if let Some(extensions) = entry.pax_extensions().unwrap() {
            for extension in extensions {
                let extension = extension.unwrap();
                let value = extension.value().unwrap();
                let short: String = value.chars().take(12).collect();
                line += &format!(" [{}={short}]", extension.key().unwrap());
            }
        }
        lines.push(line);
    }
    lines
}

#[test]
fn short_ascii_entries_are_plain_ustar() {
    let bytes = write("usr:d usr/bin:d usr/bin/x:f usr/bin/y:l usr/bin/z:h=usr/bin/x").unwrap();
    insta::assert_snapshot!(read(&bytes).join("\n"), @r"
    Directory 644 0:0 0 usr/
    Directory 644 0:0 0 usr/bin/
    Regular 644 0:0 9 usr/bin/x
    Symlink 644 0:0 0 usr/bin/y -> target
    Link 644 0:0 0 usr/bin/z -> usr/bin/x
    ");
    assert_eq!(bytes.len() % BLOCK, 0);
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "sha256:fe1ff29255403a18e31932bf04b30f7422da3dec4e770c88cb361bc16bb80690",
        "the bytes of a layer changed: every image digest changes with them"
    );
}

#[test]
fn numbers_without_room_in_ustar_go_to_pax() {
    let name = path("f");
    let mut writer = TarWriter::new(Vec::new());
    let entry = Entry {
        path: &name,
        mode: 0o4755,
        uid: 3_000_000,
        gid: u32::MAX,
        mtime: -5,
        kind: EntryKind::File { len: 1 },
    };
    writer.append_bytes(&entry, b"x").unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(
        read(&bytes),
        ["Regular 4755 3000000:4294967295 1 f [gid=4294967295] [mtime=-5] [uid=3000000]"]
    );
    let big = header_bytes(&Entry {
        kind: EntryKind::File { len: 1 << 33 },
        mtime: 0,
        uid: 0,
        gid: 0,
        ..entry
    });
    let text = String::from_utf8_lossy(&big).into_owned();
    assert!(text.contains("19 size=8589934592\n"), "{text}");
}

#[test]
fn long_names_use_the_prefix_and_then_pax() {
    let deep = format!("{}/{}", "p".repeat(155), "n".repeat(100));
    let too_deep = format!("{}/{}", "p".repeat(156), "n".repeat(100));
    let long = "n".repeat(101);
    for (name, pax) in [(&deep, false), (&too_deep, true), (&long, true)] {
        let bytes = write(&format!("{name}:f")).unwrap();
        let line = &read(&bytes)[0];
        assert!(line.contains(name.as_str()), "{line}");
        assert_eq!(line.contains("[path="), pax, "{name}");
    }
    // A directory's slash counts: 155 + 1 + 100 does not fit in the name field any more.
    let line = &read(&write(&format!("{deep}:d")).unwrap())[0];
    assert!(line.contains("[path="), "{line}");
    let line = &read(&write("déjà/vu:f").unwrap())[0];
    assert!(line.contains("déjà/vu [path=déjà/vu]"), "{line}");
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let cases = [
        ("a:f a:f", "`a` is already in this archive"),
        ("a:d a:d", "`a` is already in this archive"),
        (
            "a:f a/b:f",
            "`a/b` lies below `a`, which is not a directory",
        ),
        (
            "a:l a/b/c:f",
            "`a/b/c` lies below `a`, which is not a directory",
        ),
        ("a/b:f a:d", "`a` comes after what lies in it"),
        ("a/b:f a:l", "`a` comes after what lies in it"),
        (
            "b:h=a",
            "the hardlink `b` points to `a`, which is no file written before it",
        ),
        (
            "a:l b:h=a",
            "the hardlink `b` points to `a`, which is no file written before it",
        ),
        (
            "a/.wh.b:f",
            "`a/.wh.b` has a part that begins with `.wh.`, which an image layer reads as a deletion",
        ),
        (
            ".wh..wh..opq:f",
            "`.wh..wh..opq` has a part that begins with `.wh.`, which an image layer reads as a deletion",
        ),
    ];
    for (words, message) in cases {
        assert_eq!(write(words), Err(message.to_owned()), "{words}");
    }
    assert!(write("a/b:f a/c:f a-b:f").is_ok());
}

#[test]
fn content_must_have_the_announced_length() {
    let name = path("f");
    let entry = entry(&name, EntryKind::File { len: 5 });
    for content in ["four", "sixsix"] {
        let mut writer = TarWriter::new(Vec::new());
        let streamed = writer.append(&entry, &mut content.as_bytes()).unwrap_err();
        let mut writer = TarWriter::new(Vec::new());
        let at_once = writer.append_bytes(&entry, content.as_bytes()).unwrap_err();
        assert_eq!(streamed.to_string(), at_once.to_string());
        assert!(streamed.to_string().contains("5"), "{streamed}");
    }
}

#[test]
fn bad_modes_and_symlink_texts_are_refused() {
    let name = path("f");
    let mut writer = TarWriter::new(Vec::new());
    let bad_mode = Entry {
        mode: 0o10_0644,
        ..entry(&name, EntryKind::Dir)
    };
    let error = writer.append_bytes(&bad_mode, b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the mode `100644` of `f` has more than permission bits"
    );
    for text in ["", "a\0b", &"x".repeat(4096)] {
        let entry = entry(&name, EntryKind::Symlink(text));
        let error = writer.append_bytes(&entry, b"").unwrap_err();
        assert!(matches!(error, TarError::SymlinkText(_)), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        names in proptest::collection::btree_set("[a-zé]{1,60}(/[a-z é]{1,120}){0,3}", 1..8),
        len in 0_usize..2000,
    ) {
        let mut writer = TarWriter::new(Vec::new());
        let mut expected = Vec::new();
        for name in &names {
            let Ok(name) = TreePath::new(name) else { continue };
            let entry = entry(&name, EntryKind::File { len: len as u64 });
            if writer.append_bytes(&entry, &vec![7; len]).is_ok() {
                expected.push(format!("{name} {len}"));
            }
        }
        let bytes = writer.finish().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let got: Vec<String> = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            format!("{path} {}", entry.size())
        }).collect();
        prop_assert_eq!(got, expected);
    }
}
