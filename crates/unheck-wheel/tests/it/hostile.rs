//! Hostile wheels: each case breaks one rule, and the message must name it.

use crate::support::*;

/// A wheel with one more file, which `change` makes hostile.
fn with(change: impl FnOnce(&mut File)) -> Vec<u8> {
    let mut hostile = file("foo/a.py", "x = 1\n".repeat(50));
    change(&mut hostile);
    zip(&wheel_files(&[hostile]), &Around::default())
}

fn around(change: impl FnOnce(&mut Around)) -> Vec<u8> {
    let mut around = Around::default();
    change(&mut around);
    zip(&wheel_files(&[file("foo/a.py", "x")]), &around)
}

fn named(names: &[&str]) -> Vec<u8> {
    let files: Vec<File> = names
        .iter()
        .map(|name| {
            let content = if name.ends_with('/') { "" } else { "x" };
            file(name, content)
        })
        .collect();
    zip(&wheel_files(&files), &Around::default())
}

/// RECORD with another text.
fn recorded(change: impl FnOnce(String) -> String) -> Vec<u8> {
    let mut files = wheel_files(&[file("foo/a.py", "x")]);
    let record = files.last_mut().unwrap();
    record.content = change(String::from_utf8(record.content.clone()).unwrap()).into_bytes();
    zip(&files, &Around::default())
}

/// A good wheel with another METADATA, WHEEL or entry_points.txt, all in RECORD.
fn written(name: &str, content: &str) -> Vec<u8> {
    let mut files = wheel_files(&[file(&format!("{DIST_INFO}/entry_points.txt"), "")]);
    files.pop();
    let path = format!("{DIST_INFO}/{name}").into_bytes();
    let found = files.iter_mut().find(|file| file.name == path).unwrap();
    found.content = content.into();
    let record = record_of(&files);
    files.push(file(&format!("{DIST_INFO}/RECORD"), record));
    zip(&files, &Around::default())
}

fn check(cases: Vec<(&str, Vec<u8>, &str)>) {
    let mut wrong = Vec::new();
    for (case, bytes, expected) in cases {
        match refusal(&bytes) {
            Some(text) if text.contains(expected) && !text.contains(char::is_control) => {}
            other => wrong.push(format!("{case}: {other:?}, expected {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_good_wheel_is_taken() {
    assert_eq!(refusal(&with(|_| {})), None);
    assert_eq!(refusal(&around(|around| around.zip64 = Some(0))), None);
    assert_eq!(
        refusal(&named(&["foo/", "foo/a.py", "b,c.txt", "caf\u{e9}.txt"])),
        None
    );
    let stored = with(|file| file.deflate = false);
    assert_eq!(refusal(&stored), None);
}

#[test]
fn names_that_escape_or_deceive_are_refused() {
    check(vec![
        ("parent", named(&["../a"]), "climbs out with `..`"),
        (
            "parent inside",
            named(&["foo/../../a"]),
            "climbs out with `..`",
        ),
        ("absolute", named(&["/etc/passwd"]), "absolute"),
        ("backslash", named(&["foo\\..\\a"]), "backslash"),
        ("empty", named(&[""]), "the path is empty"),
        ("slash", named(&["/"]), "absolute"),
        ("dot", named(&["./a"]), "`.` part"),
        ("double slash", named(&["a//b"]), "`.` part"),
        ("double slash at the end", named(&["a//"]), "`.` part"),
        ("NUL", named(&["foo/a.py\0.txt"]), "NUL byte"),
        ("newline", named(&["a\nb"]), "control character"),
        ("escape code", named(&["\x1b[2Ja"]), "control character"),
        ("C1 control", named(&["a\u{9b}b"]), "control character"),
        ("long part", named(&["a".repeat(256).as_str()]), "too long"),
        (
            "deep",
            named(&["a/".repeat(65).as_str()]),
            "limit `depth` of 64",
        ),
        ("duplicate", named(&["a", "a"]), "there twice"),
        ("duplicate directory", named(&["a/", "a/"]), "there twice"),
        (
            "case",
            named(&["foo/A.py", "foo/a.py"]),
            "collides with `foo/A.py`",
        ),
        (
            "NFC and NFD",
            named(&["caf\u{e9}", "cafe\u{301}"]),
            "collides",
        ),
        (
            "full case folding",
            named(&["stra\u{df}e", "STRASSE"]),
            "collides",
        ),
        ("file and directory", named(&["a", "a/"]), "there twice"),
        (
            "file under file",
            named(&["a", "a/b"]),
            "lies under `a`, which is a file",
        ),
        (
            "file under file, case",
            named(&["a", "A/b"]),
            "lies under `a`",
        ),
        (
            "not UTF-8",
            with(|f| f.name = b"foo/\xff".into()),
            "not UTF-8",
        ),
        (
            "unmarked",
            with(|f| f.name = "caf\u{e9}".into()),
            "not marked as UTF-8",
        ),
    ]);
}

#[test]
fn members_that_are_no_plain_files_are_refused() {
    check(vec![
        ("symlink", with(|f| f.mode = 0o120_777), "is a symlink"),
        ("device", with(|f| f.mode = 0o020_666), "is a device"),
        ("block device", with(|f| f.mode = 0o060_666), "is a device"),
        ("pipe", with(|f| f.mode = 0o010_666), "is a pipe"),
        ("socket", with(|f| f.mode = 0o140_666), "is a socket"),
        (
            "directory by mode",
            with(|f| f.mode = 0o040_755),
            "directory by its mode",
        ),
        (
            "directory with content",
            with(|f| f.name = b"foo/".into()),
            "directory with content",
        ),
        ("encrypted", with(|f| f.flags = 1), "encrypted"),
        ("strong encryption", with(|f| f.flags = 1 << 6), "encrypted"),
        (
            "patch",
            with(|f| f.flags = 1 << 5),
            "unsupported flags 0x0020",
        ),
        ("bzip2", with(|f| f.method = Some(12)), "method 12"),
        ("zstd", with(|f| f.method = Some(93)), "method 93"),
        ("deflate64", with(|f| f.method = Some(9)), "method 9"),
        (
            "AES",
            with(|f| f.extra = b"\x01\x99\x00\x00".into()),
            "encrypted",
        ),
        (
            "ASi Unix",
            with(|f| f.extra = b"\x6e\x75\x00\x00".into()),
            "ASi Unix",
        ),
    ]);
}

#[test]
fn mode_bits_are_normalised() {
    let mut files = vec![file("a", "1"), file("b", "2"), file("c", "3")];
    files[0].mode = 0o101_777;
    files[1].mode = 0o100_666;
    files[2].mode = 0;
    let wheel = open(&zip(&wheel_files(&files), &Around::default())).unwrap();
    let modes: Vec<u32> = wheel.members().iter().map(|m| m.mode()).take(3).collect();
    assert_eq!(modes, [0o755, 0o644, 0o644]);
}

#[test]
fn files_that_change_who_runs_them_are_refused() {
    for mode in [0o104_755, 0o102_755] {
        let mut files = vec![file("a", "1")];
        files[0].mode = mode;
        let error = open(&zip(&wheel_files(&files), &Around::default())).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("set-user-id"), "{text}");
    }
}

#[test]
fn two_readings_of_the_archive_are_refused() {
    let second = zip(&[file("evil.py", "x")], &Around::default());
    let mut nested = with(|_| {});
    nested.extend(&second);
    check(vec![
        (
            "bytes before",
            around(|a| a.prefix = b"#!".into()),
            "before the first member",
        ),
        (
            "self-extracting",
            around(|a| (a.prefix, a.relative) = (b"#!".into(), true)),
            "not right before it",
        ),
        ("second archive behind", nested, "before it"),
        (
            "archive in front",
            around(|a| a.prefix = second.clone()),
            "before the first",
        ),
        ("comment", around(|a| a.comment = b"hi".into()), "very end"),
        (
            "archive in the comment",
            around(|a| a.comment = second.clone()),
            "not right before it",
        ),
        (
            "trailing",
            around(|a| a.trailing = b"\0".into()),
            "very end",
        ),
        (
            "gap before directory",
            around(|a| a.between = b"x".into()),
            "not adjacent",
        ),
        (
            "member comment",
            with(|f| f.comment = b"c".into()),
            "has a comment",
        ),
        (
            "hidden before",
            with(|f| f.before = b"hidden".into()),
            "before the first member",
        ),
        (
            "hidden behind",
            with(|f| f.tail = b"hidden".into()),
            "not adjacent",
        ),
        (
            "overlap",
            with(|f| f.compressed = Some(100_000)),
            "not adjacent",
        ),
        (
            "offset",
            with(|f| f.offset = Some(1)),
            "before the first member",
        ),
    ]);
}

#[test]
fn end_records_that_lie_are_refused() {
    check(vec![
        (
            "fewer entries",
            around(|a| a.entries = Some(3)),
            "more entries",
        ),
        (
            "more entries",
            around(|a| a.entries = Some(9)),
            "fewer entries",
        ),
        (
            "directory size",
            around(|a| a.directory_size = Some(7)),
            "not right before it",
        ),
        (
            "directory offset",
            around(|a| a.directory_offset = Some(7)),
            "not right before it",
        ),
        ("disks", around(|a| a.disk = 1), "split over disks"),
        (
            "zip64 entries",
            around(|a| a.zip64 = Some(1)),
            "fewer entries",
        ),
        (
            "zip64 contradicted",
            around(|a| (a.zip64, a.entries) = (Some(0), Some(1))),
            "contradicts the zip64",
        ),
    ]);
}

#[test]
fn local_headers_must_agree() {
    check(vec![
        (
            "name",
            with(|f| f.local.name = Some(b"foo/b.py".into())),
            "another name",
        ),
        (
            "longer name",
            with(|f| f.local.name = Some(b"foo/bcd.py".into())),
            "another name",
        ),
        (
            "method",
            with(|f| f.local.method = Some(0)),
            "another compression method",
        ),
        (
            "flags",
            with(|f| f.local.flags = Some(2)),
            "another set of flags",
        ),
        ("size", with(|f| f.local.size = Some(1)), "another size"),
        (
            "compressed size",
            with(|f| f.local.compressed = Some(1)),
            "another compressed size",
        ),
        ("CRC", with(|f| f.local.crc = Some(1)), "another CRC"),
        (
            "extra cut off",
            with(|f| f.local.extra = b"\x01".into()),
            "malformed",
        ),
        (
            "extra too long",
            with(|f| f.extra = b"\x55\x54\xff\x00".into()),
            "malformed",
        ),
    ]);
}

fn descriptor(signature: &[u8], file: &File, change: u32, wide: bool) -> Vec<u8> {
    let mut out = signature.to_vec();
    out.extend((crc32fast::hash(&file.content) ^ change).to_le_bytes());
    for size in [deflate(&file.content).len(), file.content.len()] {
        out.extend(&(size as u64).to_le_bytes()[..if wide { 8 } else { 4 }]);
    }
    out
}

fn described(signature: &[u8], change: u32, wide: bool) -> Vec<u8> {
    with(|f| {
        f.flags = 1 << 3;
        (f.local.crc, f.local.size, f.local.compressed) = (Some(0), Some(0), Some(0));
        f.tail = descriptor(signature, f, change, wide);
    })
}

#[test]
fn data_descriptors_must_agree() {
    assert_eq!(refusal(&described(b"PK\x07\x08", 0, false)), None);
    assert_eq!(refusal(&described(b"", 0, false)), None);
    let stored = with(|f| {
        (f.flags, f.deflate) = (1 << 3, false);
        (f.local.crc, f.local.size, f.local.compressed) = (Some(0), Some(0), Some(0));
        f.tail = vec![0; 12];
    });
    check(vec![
        (
            "CRC",
            described(b"PK\x07\x08", 1, false),
            "descriptor contradicts",
        ),
        (
            "no signature",
            described(b"PK\x07\x09", 0, false),
            "descriptor contradicts",
        ),
        (
            "64 bits without zip64",
            described(b"PK\x07\x08", 0, true),
            "not adjacent",
        ),
        ("missing", with(|f| f.flags = 1 << 3), "not adjacent"),
        ("stored", stored, "stored, but its sizes do not agree"),
    ]);
}

fn zip64_extra(values: &[u64]) -> Vec<u8> {
    let mut out = b"\x01\x00".to_vec();
    out.extend((values.len() as u16 * 8).to_le_bytes());
    values
        .iter()
        .for_each(|value| out.extend(value.to_le_bytes()));
    out
}

fn zip64(sizes: [u32; 2], values: impl Fn(u64, u64) -> Vec<u64>) -> Vec<u8> {
    with(|f| {
        let (size, compressed) = (f.content.len() as u64, deflate(&f.content).len() as u64);
        f.local.extra = zip64_extra(&values(size, compressed));
        let choose = |given, real: u64| if given == 0 { real as u32 } else { given };
        f.local.size = Some(choose(sizes[0], size));
        f.local.compressed = Some(choose(sizes[1], compressed));
    })
}

#[test]
fn zip64_fields_have_one_reading() {
    const MARK: u32 = u32::MAX;
    assert_eq!(refusal(&zip64([MARK, MARK], |s, c| vec![s, c])), None);
    assert_eq!(refusal(&zip64([0, MARK], |_, c| vec![c])), None);
    assert_eq!(
        refusal(&zip64([0, 0], |s, c| vec![s, c])),
        None,
        "as Bazel writes"
    );
    check(vec![
        (
            "other size",
            zip64([MARK, MARK], |s, c| vec![s + 1, c]),
            "another size",
        ),
        (
            "unneeded lie",
            zip64([0, 0], |s, c| vec![s + 1, c]),
            "malformed",
        ),
        ("too many", zip64([0, MARK], |s, c| vec![c, s]), "malformed"),
        ("too few", zip64([MARK, MARK], |s, _| vec![s]), "malformed"),
        ("empty", zip64([0, 0], |_, _| vec![]), "malformed"),
        (
            "mark without field",
            with(|f| f.local.size = Some(MARK)),
            "0x0001 is malformed",
        ),
        (
            "twice",
            with(|f| f.extra = [zip64_extra(&[]), zip64_extra(&[])].concat()),
            "malformed",
        ),
    ]);
}

fn unicode_path(name: &str, crc_of: &[u8]) -> Vec<u8> {
    let mut out = b"\x75\x70".to_vec();
    out.extend((name.len() as u16 + 5).to_le_bytes());
    out.push(1);
    out.extend(crc32fast::hash(crc_of).to_le_bytes());
    out.extend(name.as_bytes());
    out
}

#[test]
fn the_unicode_path_field_must_agree() {
    let name = "foo/a.py";
    let set = |extra: Vec<u8>| with(|f| f.extra = extra);
    assert_eq!(refusal(&set(unicode_path(name, name.as_bytes()))), None);
    check(vec![
        (
            "other name",
            set(unicode_path("foo/b.py", name.as_bytes())),
            "unicode path",
        ),
        ("other CRC", set(unicode_path(name, b"x")), "unicode path"),
        (
            "local only",
            with(|f| f.local.extra = unicode_path("foo/b.py", name.as_bytes())),
            "unicode path",
        ),
    ]);
}

#[test]
fn bombs_and_lies_on_size_meet_a_limit_by_name() {
    const MIB: usize = 1024 * 1024;
    let zeros = |mib: usize| with(|f| f.content = vec![0; mib * MIB]);
    assert_eq!(
        refusal(&zeros(63)),
        None,
        "a small file may be compressed well"
    );
    check(vec![
        ("bomb", zeros(65), "limit `entry-ratio`"),
        (
            "many",
            {
                let large = vec![0u8; 40 * MIB];
                let files: Vec<File> = (0..2)
                    .map(|i| file(&format!("{i}"), large.clone()))
                    .collect();
                zip(&wheel_files(&files), &Around::default())
            },
            "limit `total`",
        ),
        (
            "declared",
            with(|f| f.size = Some(4_000_000_000)),
            "limit `entry-ratio`",
        ),
        (
            "less than real",
            with(|f| f.size = Some(10)),
            "has another size than is listed",
        ),
        (
            "huge metadata",
            written("METADATA", &format!("{METADATA}{}", "x".repeat(17 * MIB))),
            "limit `metadata` of 16777216",
        ),
        (
            "many fields",
            written(
                "METADATA",
                &METADATA.replace("\n\n", &"\nRequires-Dist: a".repeat(20_001)),
            ),
            "limit `fields`",
        ),
    ]);
}

#[test]
fn content_that_lies_is_found_while_it_streams() {
    let size = |size: u32| {
        let mut files = wheel_files(&[file("foo/a.py", "x".repeat(100))]);
        files[0].size = Some(size);
        let record = files.last_mut().unwrap();
        let text = String::from_utf8(record.content.clone()).unwrap();
        record.content = text.replace(",100\n", &format!(",{size}\n")).into_bytes();
        zip(&files, &Around::default())
    };
    check(vec![
        ("size too small", size(99), "has not the 99 bytes"),
        ("size too large", size(101), "has not the 101 bytes"),
        ("CRC", with(|f| f.crc = Some(7)), "has not the CRC"),
        (
            "behind the stream",
            with(|f| f.padding = b"evil".into()),
            "after the end of its",
        ),
        (
            "not deflate",
            with(|f| (f.deflate, f.method, f.size) = (false, Some(8), None)),
            "compressed bytes are broken",
        ),
        (
            "digest",
            recorded(|text| text.replace(&record_digest(b"x"), &record_digest(b"y"))),
            "`foo/a.py` has the digest `sha256:2d711642",
        ),
        (
            "digest of METADATA",
            recorded(|text| text.replace(&record_digest(METADATA.as_bytes()), &record_digest(b""))),
            "METADATA` has another sha256 digest than is listed",
        ),
    ]);
}

#[test]
fn record_must_be_complete_and_true() {
    let digest = record_digest(b"x");
    let row = format!("foo/a.py,sha256={digest},1\n");
    check(vec![
        (
            "unlisted",
            recorded(|r| r.replace(&row, "")),
            "`foo/a.py` is in the archive but not",
        ),
        (
            "extra row",
            recorded(|r| r + "foo/b.py,,\n"),
            "`foo/b.py` is listed but not in",
        ),
        (
            "no digest",
            recorded(|r| r.replace(&row, "foo/a.py,,\n")),
            "without a sha256",
        ),
        (
            "md5",
            recorded(|r| r.replace("sha256=", "md5=")),
            "line 1 of `RECORD` is refused",
        ),
        (
            "outside",
            recorded(|r| r + "../../etc/passwd,,\n"),
            "climbs out",
        ),
        ("absolute", recorded(|r| r + "/etc/passwd,,\n"), "absolute"),
        (
            "size",
            recorded(|r| r.replace(&row, &row.replace(",1\n", ",2\n"))),
            "another size",
        ),
        (
            "twice",
            recorded(|r| r + &row),
            "`foo/a.py` is listed twice",
        ),
        (
            "own digest",
            recorded(|r| r.replace("RECORD,,", &format!("RECORD,sha256={digest},1"))),
            "listed with a digest",
        ),
        ("form", recorded(|r| r + "a,b\n"), "has not the form"),
        (
            "missing",
            zip(&wheel_files(&[])[..2], &Around::default()),
            "no file `RECORD`",
        ),
    ]);
    let without_itself = recorded(|r| r.replace(&format!("{DIST_INFO}/RECORD,,\n"), ""));
    assert_eq!(refusal(&without_itself), None);
}

#[test]
fn metadata_must_agree_with_the_file_name() {
    let evil = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-linux_x86_64\n";
    check(vec![
        (
            "name",
            written("METADATA", &METADATA.replace("foo-bar", "evil")),
            "`METADATA` has `evil` as `Name`, expected is `foo-bar`",
        ),
        (
            "version",
            written("METADATA", &METADATA.replace("1.0", "1.1")),
            "`1.1` as `Version`, expected is `1.0`",
        ),
        (
            "tags",
            written("WHEEL", evil),
            "as `Tag`, expected is `py3-none-any`",
        ),
        (
            "format",
            written("WHEEL", &WHEEL.replace("1.0", "2.0")),
            "`Wheel-Version`",
        ),
        (
            "empty WHEEL",
            written("WHEEL", ""),
            "0 fields `Wheel-Version`",
        ),
    ]);
}

#[test]
fn directories_must_be_of_the_wheel_itself() {
    check(vec![
        (
            "two",
            named(&["evil-1.0.dist-info/METADATA"]),
            "it has 2 `.dist-info` directories, not one: evil-1.0.dist-info",
        ),
        (
            "other case",
            named(&["FOO_BAR-1.0.DIST-INFO/x"]),
            "2 `.dist-info`",
        ),
        (
            "none",
            zip(&[file("a", "")], &Around::default()),
            "0 `.dist-info`",
        ),
        (
            "foreign",
            zip(&[file("evil-1.0.dist-info/RECORD", "")], &Around::default()),
            "`evil-1.0.dist-info` is for another distribution",
        ),
        (
            "other version",
            zip(
                &[file("foo_bar-2.0.dist-info/RECORD", "")],
                &Around::default(),
            ),
            "`foo_bar-2.0.dist-info` is for another",
        ),
        (
            "second by data",
            named(&["foo_bar-1.0.data/purelib/evil-1.dist-info/METADATA"]),
            "in a second `.dist-info` directory",
        ),
        (
            "no scheme",
            named(&["foo_bar-1.0.data/evil/x"]),
            "in no known scheme",
        ),
        (
            "file as scheme",
            named(&["foo_bar-1.0.data/scripts"]),
            "a file where a scheme",
        ),
        (
            "script below",
            named(&["foo_bar-1.0.data/scripts/a/b"]),
            "directory of its own",
        ),
        (
            "two spellings",
            named(&["foo_bar-1.0.data/scripts/a", "foo.bar-1.0.data/scripts/b"]),
            "there twice",
        ),
    ]);
}

#[test]
fn entry_points_that_are_code_are_refused() {
    let script = |line: &str| written("entry_points.txt", &format!("[console_scripts]\n{line}\n"));
    assert_eq!(refusal(&script("foo = foo.a:main")), None);
    check(vec![
        (
            "code",
            script("a = os:system('id')#"),
            "which is not `module:attribute`",
        ),
        ("path", script("../../bin/sh = a:b"), "cannot be a command"),
        (
            "absolute",
            script("/usr/bin/python3 = a:b"),
            "cannot be a command",
        ),
    ]);
}
