//! Debs made in memory: good ones, and one for every rule that a hostile one can break.

use std::io::{self, Read, Write as _};

use proptest::prelude::*;

use super::*;

/// A compressor.
type Pack = fn(&[u8]) -> Vec<u8>;

/// Name and content of a member of the outer archive.
type Member<'a> = (&'a str, &'a [u8]);

/// One entry of a tar under construction.
#[derive(Clone)]
struct Raw<'a> {
    name: &'a str,
    kind: u8,
    link: &'a str,
    content: &'a [u8],
    mode: u32,
}

fn raw<'a>(kind: u8, name: &'a str) -> Raw<'a> {
    Raw {
        name,
        kind,
        link: "",
        content: b"",
        mode: if kind == b'5' { 0o755 } else { 0o644 },
    }
}

fn dir(name: &str) -> Raw<'_> {
    raw(b'5', name)
}

fn file<'a>(name: &'a str, content: &'a str) -> Raw<'a> {
    Raw {
        content: content.as_bytes(),
        ..raw(b'0', name)
    }
}

fn link<'a>(kind: u8, name: &'a str, target: &'a str) -> Raw<'a> {
    Raw {
        link: target,
        ..raw(kind, name)
    }
}

fn header(raw: &Raw<'_>, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, raw.name.as_bytes());
    put(100, format!("{:07o}", raw.mode).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"14774000000");
    put(156, &[raw.kind]);
    put(157, raw.link.as_bytes());
    put(257, b"ustar  \0");
    seal(&mut block);
    block
}

fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn tar(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for raw in entries {
        bytes.extend(header(raw, raw.content.len() as u64));
        bytes.extend(raw.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).expect("memory");
    writer.finish().expect("memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::default();
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("memory");
    writer.write_all(bytes).expect("memory");
    writer.finish().expect("memory")
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        bytes.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
                0, 0, 0, "100644"
            )
            .bytes(),
        );
        bytes.extend(*content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

const CONTROL: &str = "Package: demo\nVersion: 1:2.0-1\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n";

fn control_tar() -> Vec<u8> {
    tar(&[
        dir("./"),
        file("./control", CONTROL),
        file(
            "./conffiles",
            "/etc/demo.conf\nremove-on-upgrade /etc/old\n",
        ),
        file("./postinst", "#!/bin/sh\n"),
        file("./md5sums", "0  usr/x\n"),
    ])
}

fn deb_of(data_tar: &[u8]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", &gz(&control_tar())),
        ("data.tar", data_tar),
    ])
}

/// Writes down every entry with its content.
#[derive(Default)]
struct Dump(Vec<String>);

impl Visitor for Dump {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        let text: String = text.chars().take(20).collect();
        let what = match &entry.kind {
            EntryKind::Dir => "dir".into(),
            EntryKind::File { size } => format!("file {size} {text}"),
            EntryKind::Symlink(target) => format!("-> {target}"),
            EntryKind::Hardlink(target) => format!("= {target}"),
        };
        self.0
            .push(format!("{} {:o} {what}", entry.path, entry.mode));
        Ok(())
    }
}

/// The dump of a deb, or the whole chain of its error.
fn read(deb: &[u8], limits: &Limits) -> Result<Vec<String>, String> {
    let mut dump = Dump::default();
    match read_deb(deb, limits, &mut dump) {
        Ok(_) => Ok(dump.0),
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            Err(text)
        }
    }
}

fn check(deb: &[u8], expected: &str) {
    let error = read(deb, &Limits::default()).expect_err(expected);
    assert!(
        error.contains(expected),
        "expected `{expected}`, got `{error}`"
    );
}

fn good_tree() -> Vec<u8> {
    tar(&[
        dir("./"),
        dir("./usr/"),
        dir("./usr/bin/"),
        Raw {
            mode: 0o4755,
            ..file("./usr/bin/demo", "text")
        },
        link(b'1', "./usr/bin/again", "./usr/bin/demo"),
        link(b'2', "./usr/bin/out", "../../../etc/passwd"),
        file("./usr/bin/empty", ""),
    ])
}

const GOOD: [&str; 6] = [
    "usr 755 dir",
    "usr/bin 755 dir",
    "usr/bin/demo 4755 file 4 text",
    "usr/bin/again 644 = usr/bin/demo",
    "usr/bin/out 644 -> ../../../etc/passwd",
    "usr/bin/empty 644 file 0 ",
];

#[test]
fn a_good_deb_is_read_with_every_compression() {
    let (control, data) = (control_tar(), good_tree());
    let all: [(&str, Pack); 4] = [
        ("", <[u8]>::to_vec),
        (".gz", gz),
        (".xz", xz),
        (".zst", zst),
    ];
    for (extension, pack) in all {
        let deb = ar(&[
            ("debian-binary", b"2.0\n"),
            (&format!("control.tar{extension}"), &pack(&control)),
            (&format!("data.tar{extension}"), &pack(&data)),
        ]);
        assert_eq!(
            read(&deb, &Limits::default()).expect(extension),
            GOOD,
            "{extension}"
        );
    }
}

#[test]
fn control_data_is_read_and_compared_with_the_index() {
    let control = read_deb(
        &deb_of(&good_tree())[..],
        &Limits::default(),
        &mut Dump::default(),
    )
    .expect("good");
    assert_eq!(
        (control.package.as_str(), control.version.as_str()),
        ("demo", "1:2.0-1")
    );
    assert_eq!(
        control.conffiles,
        [TreePath::new("etc/demo.conf").expect("a path")]
    );
    assert_eq!(control.scripts, ["postinst"]);
    assert_eq!(control.md5sums, "0  usr/x\n");
    assert_eq!(control.text, CONTROL);
    let index = |from: &str, to: &str| {
        let stanza = format!(
            "{}Filename: x\nSize: 1\nSHA256: {}\n",
            CONTROL.replace(from, to),
            "0".repeat(64)
        );
        let mut reader = crate::control::StanzaReader::new(stanza.as_bytes());
        let stanza = reader.next_stanza().expect("a stanza").expect("one");
        crate::control::BinaryPackage::from_stanza(&stanza).expect("a package")
    };
    control.matches(&index("demo", "demo")).expect("the same");
    let cases = [
        (
            "Package: demo",
            "Package: other",
            "package `demo`, but the index says `other`",
        ),
        (
            "1:2.0-1",
            "2.0-1",
            "version `1:2.0-1`, but the index says `2.0-1`",
        ),
        ("1:2.0-1", "01:2.0-1", "version"),
        ("amd64", "all", "architecture `amd64`"),
    ];
    for (from, to, expected) in cases {
        let error = control.matches(&index(from, to)).expect_err(to).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn set_user_id_is_reported_of_files_only() {
    let entry = |mode, kind| Entry {
        path: TreePath::new("x").expect("a path"),
        mode,
        uid: 0,
        gid: 0,
        mtime: 0,
        kind,
    };
    assert!(entry(0o4755, EntryKind::File { size: 0 }).is_privileged());
    assert!(entry(0o2755, EntryKind::File { size: 0 }).is_privileged());
    assert!(!entry(0o1777, EntryKind::Dir).is_privileged());
    assert!(!entry(0o2775, EntryKind::Dir).is_privileged());
    assert!(!entry(0o755, EntryKind::File { size: 0 }).is_privileged());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn hostile_entries_are_refused_with_the_reason() {
    let cases: &[(&[Raw<'_>], &str)] = &[
        (&[file("./../evil", "x")], "climbs out"),
        (&[file("./a/../../evil", "x")], "climbs out"),
        (&[file("/etc/evil", "x")], "is absolute"),
        (&[file(".//etc/evil", "x")], "is absolute"),
        (&[file("a//b", "x")], "empty or `.` part"),
        (&[file("", "x")], "the path is empty"),
        (&[file("./", "x")], "the path is empty"),
        (&[file("./a/", "x")], "empty or `.` part"),
        (&[raw(b'3', "./dev")], "is a device node"),
        (&[raw(b'4', "./dev")], "is a device node"),
        (&[raw(b'6', "./pipe")], "is a fifo"),
        (&[raw(b'S', "./sparse")], "is a sparse file"),
        (&[raw(b'7', "./contiguous")], "is of an unknown type"),
        (
            &[Raw {
                kind: b'x',
                ..file("./pax", "30 path=evil\n")
            }],
            "and yet has content",
        ),
        (&[raw(b'g', "./pax")], "is a PAX header"),
        (
            &[file("./a", "1"), file("./a", "2")],
            "is in the archive twice",
        ),
        (
            &[file("./a", "1"), file("a", "2")],
            "is in the archive twice",
        ),
        (&[dir("./a/"), dir("./a")], "is in the archive twice"),
        (
            &[file("./a/b", "1"), link(b'2', "./a", "/etc")],
            "is in the archive twice",
        ),
        (
            &[link(b'2', "./a", "/etc"), file("./a/passwd", "x")],
            "lies under a symlink",
        ),
        (
            &[link(b'2', "./a", "b"), dir("./a/b/"), file("./a/b/c", "x")],
            "lies under a symlink",
        ),
        (&[file("./a", "x"), file("./a/b", "x")], "lies under a file"),
        (
            &[link(b'1', "./a", "./b")],
            "hard link to no file before it",
        ),
        (
            &[link(b'2', "./b", "/etc/passwd"), link(b'1', "./a", "./b")],
            "hard link to no file",
        ),
        (&[link(b'1', "./a", "../etc/passwd")], "climbs out"),
        (&[link(b'1', "./a", "/etc/passwd")], "is absolute"),
        (&[link(b'2', "./a", "")], "is a link to nothing"),
        (
            &[link(b'0', "./a", "b")],
            "has a link target and is no link",
        ),
        (
            &[Raw {
                content: b"x",
                ..link(b'2', "./a", "b")
            }],
            "and yet has content",
        ),
        (
            &[Raw {
                content: b"x",
                ..dir("./a")
            }],
            "and yet has content",
        ),
        (
            &[
                Raw {
                    kind: b'L',
                    ..file("././@LongLink", "")
                },
                file("./a", "x"),
            ],
            "GNU long name that is empty",
        ),
        (
            &[
                Raw {
                    kind: b'L',
                    ..file("././@LongLink", "./a\0./b")
                },
                file("./a", "x"),
            ],
            "with a NUL inside",
        ),
        (
            &[Raw {
                kind: b'L',
                ..file("././@LongLink", "./a\0")
            }],
            "ends after a GNU long name",
        ),
        (
            &[
                Raw {
                    kind: b'L',
                    ..file("x", "./a\0")
                },
                Raw {
                    kind: b'L',
                    ..file("x", "./b\0")
                },
            ],
            "two GNU long names",
        ),
        (
            &[
                Raw {
                    kind: b'L',
                    ..file("x", "../evil\0")
                },
                file("./a", "x"),
            ],
            "climbs out",
        ),
    ];
    for (entries, expected) in cases {
        check(&deb_of(&tar(entries)), expected);
    }
    let mut invalid = tar(&[file("./a?", "x")]);
    invalid[3] = 0xff;
    seal((&mut invalid[..512]).try_into().expect("a block"));
    check(&deb_of(&invalid), "is not UTF-8");
}

#[test]
fn long_names_and_prefixes_are_joined() {
    let long = format!("./{}/{}", "d".repeat(120), "f".repeat(120));
    let (name, target) = (format!("{long}\0"), format!("{long}-target\0"));
    let data = tar(&[
        Raw {
            kind: b'L',
            ..file("././@LongLink", &name)
        },
        file("./short", "x"),
        Raw {
            kind: b'K',
            ..file("././@LongLink", &target)
        },
        link(b'2', "./link", "short"),
    ]);
    let dump = read(&deb_of(&data), &Limits::default()).expect("long names");
    assert_eq!(dump[0], format!("{} 644 file 1 x", &long[2..]));
    assert_eq!(dump[1], format!("link 644 -> {long}-target"));
    let mut posix = tar(&[file("b", "x")]);
    posix[257..265].copy_from_slice(b"ustar\x0000");
    posix[345..348].copy_from_slice(b"./a");
    seal((&mut posix[..512]).try_into().expect("a block"));
    assert_eq!(
        read(&deb_of(&posix), &Limits::default()).expect("a prefix"),
        ["a/b 644 file 1 x"]
    );
}

#[test]
fn broken_tar_streams_are_refused() {
    let good = tar(&[file("./a", "text")]);
    let mut checksum = good.clone();
    checksum[0] = b'x';
    check(&deb_of(&checksum), "wrong checksum");
    let mut magic = good.clone();
    magic[257..265].fill(0);
    seal((&mut magic[..512]).try_into().expect("a block"));
    check(&deb_of(&magic), "neither ustar nor GNU");
    let mut negative = good.clone();
    negative[124..136].fill(0xff);
    seal((&mut negative[..512]).try_into().expect("a block"));
    check(&deb_of(&negative), "negative number");
    check(&deb_of(&good[..600]), "ends too early");
    check(&deb_of(&good[..514]), "ends inside a file");
    check(&deb_of(&good[..1024]), "ends too early");
    check(&deb_of(&good[..1536]), "ends too early");
    check(
        &deb_of(&[&good[..1536], &good].concat()),
        "an entry after an end mark",
    );
    check(
        &deb_of(&[&good[..], &good].concat()),
        "has bytes after its end mark",
    );
    check(&deb_of(&[]), "ends too early");
    let padded = [&good[..], &[0; 9000]].concat();
    read(&deb_of(&padded), &Limits::default()).expect("zeros up to GNU tar's record size are fine");
}

#[test]
fn the_outer_archive_has_one_shape() {
    let (control, data) = (gz(&control_tar()), gz(&good_tree()));
    let (version, control, data): ((&str, &[u8]), _, _) = (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", &control[..]),
        ("data.tar.gz", &data[..]),
    );
    let cases: &[(&[Member<'_>], &str)] = &[
        (&[], "`nothing` where `debian-binary`"),
        (&[control, data], "`control.tar.gz` where `debian-binary`"),
        (
            &[version, data, control],
            "`data.tar.gz` where `control.tar`",
        ),
        (&[version, control], "`nothing` where `data.tar`"),
        (
            &[version, control, data, ("_gpgorigin", b"x")],
            "`_gpgorigin` where `the end`",
        ),
        (
            &[version, control, control, data],
            "`control.tar.gz` where `data.tar`",
        ),
        (
            &[version, version, control, data],
            "`debian-binary` where `control.tar`",
        ),
        (
            &[("debian-binary", b"3.0\n"), control, data],
            "format version `3.0\\n`",
        ),
        (
            &[("debian-binary", b"2.0"), control, data],
            "format version `2.0`",
        ),
        (
            &[version, ("control.tar.bz2", b"x"), data],
            "unsupported extension `.bz2`",
        ),
        (
            &[version, control, ("data.tar.lzma", b"x")],
            "unsupported extension `.lzma`",
        ),
        (
            &[version, control, ("data.tarball", b"x")],
            "`data.tarball` where `data.tar`",
        ),
    ];
    for (members, expected) in cases {
        check(&ar(members), expected);
    }
    let good = ar(&[version, control, data]);
    read(&good, &Limits::default()).expect("good");
    check(&good[..good.len() - 20], "ends inside a member");
    check(&[&good[..], b"junk"].concat(), "ends too early");
    check(b"!<arch>", "ends too early");
    check(b"PK\x03\x04....", "does not begin with");
    let mut size = good.clone();
    size[8 + 48..8 + 58].copy_from_slice(b"-4        ");
    check(&size, "bad size");
}

#[test]
fn compressed_streams_end_with_their_member() {
    let (data, other) = (good_tree(), b"second".to_vec());
    let all: [(&str, Pack); 3] = [(".gz", gz), (".xz", xz), (".zst", zst)];
    for (extension, pack) in all {
        let packed = pack(&data);
        let deb = |content: &[u8]| {
            let control = gz(&control_tar());
            let name = format!("data.tar{extension}");
            ar(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar.gz", &control),
                (&name, content),
            ])
        };
        read(&deb(&packed), &Limits::default()).expect(extension);
        check(&deb(&[&packed[..], &pack(&other)].concat()), "data.tar");
        check(&deb(&[&packed[..], b"x"].concat()), "data.tar");
        check(&deb(&packed[..packed.len() - 1]), "data.tar");
        let mut flipped = packed.clone();
        let at = flipped.len() - 6;
        flipped[at] ^= 1;
        // zstd without a checksum cannot see a change of its content.
        if extension != ".zst" {
            check(&deb(&flipped), "data.tar");
        }
    }
}

#[test]
fn bombs_hit_the_named_limit() {
    let zeros = "\0".repeat(3 << 20);
    let data = gz(&tar(&[file("./zeros", &zeros)]));
    let deb = |control: &[u8], data: &[u8]| {
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", control),
            ("data.tar.gz", data),
        ])
    };
    let small = gz(&control_tar());
    let bomb = deb(&small, &data);
    let limits = Limits::default();
    read(&bomb, &limits).expect("within the slack");
    let expect = |deb: &[u8], limits: &Limits, expected: &str| {
        let error = read(deb, limits).expect_err(expected);
        assert!(error.contains(expected), "{error}");
    };
    expect(
        &bomb,
        &Limits {
            ratio: 20,
            slack: 1 << 20,
            ..limits.clone()
        },
        "the limit `ratio`",
    );
    expect(
        &bomb,
        &Limits {
            unpacked: 1 << 20,
            ..limits.clone()
        },
        "1048576 bytes, the limit `unpacked`",
    );
    let control = gz(&tar(&[file("./control", CONTROL), file("./zeros", &zeros)]));
    expect(
        &deb(&control, &data),
        &Limits {
            control: 1 << 20,
            ..limits.clone()
        },
        "the limit `control`",
    );
    let many = tar(&[file("./a/b/c/d", "x"), file("./e", "x")]);
    expect(
        &deb_of(&many),
        &Limits {
            entries: 4,
            ..limits
        },
        "more than 4 entries",
    );
}

#[test]
fn control_archives_have_only_files_at_the_top() {
    let cases: &[(&[Raw<'_>], &str)] = &[
        (&[dir("./")], "has no file `control`"),
        (&[file("./control", "")], "has an empty file `control`"),
        (
            &[file("./control", CONTROL), file("./control", CONTROL)],
            "is in the archive twice",
        ),
        (&[file("./d/control", CONTROL)], "lies in a directory"),
        (
            &[link(b'2', "./control", "/etc/passwd")],
            "is no regular file",
        ),
        (
            &[file("./control", "Package: x\nVersion: 1\n")],
            "lacks the field `Architecture`",
        ),
        (
            &[file(
                "./control",
                "Package: ../x\nVersion: 1\nArchitecture: all\n",
            )],
            "bad `Package`",
        ),
        (
            &[file("./control", CONTROL), file("./conffiles", "etc/x\n")],
            "is no absolute path",
        ),
        (
            &[file("./control", CONTROL), file("./conffiles", "/../x\n")],
            "is no absolute path",
        ),
    ];
    for (entries, expected) in cases {
        let control = tar(entries);
        let deb = ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar", &good_tree()),
        ]);
        check(&deb, expected);
    }
    let twice = format!("{CONTROL}\n{CONTROL}");
    let control = tar(&[file("./control", &twice)]);
    check(
        &ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar", b""),
        ]),
        "several stanzas",
    );
}

#[test]
fn the_visitor_can_stop_and_need_not_read() {
    struct Stop(usize);
    impl Visitor for Stop {
        fn entry(&mut self, _: &Entry, _: &mut dyn Read) -> io::Result<()> {
            self.0 = self
                .0
                .checked_sub(1)
                .ok_or_else(|| io::Error::other("no space"))?;
            Ok(())
        }
    }
    let deb = deb_of(&good_tree());
    read_deb(&deb[..], &Limits::default(), &mut Stop(6)).expect("nothing was read");
    let error = read_deb(&deb[..], &Limits::default(), &mut Stop(2)).expect_err("stopped");
    assert_eq!(
        error.to_string(),
        "cannot take over `usr/bin/demo` from the deb archive"
    );
}

proptest! {
    #[test]
    fn never_panics(at in 0..6000_usize, bytes in proptest::collection::vec(any::<u8>(), 1..6), packer in 0..4_usize) {
        let pack: Pack = [<[u8]>::to_vec, gz, xz, zst][packer];
        let data = pack(&good_tree());
        let name = ["data.tar", "data.tar.gz", "data.tar.xz", "data.tar.zst"][packer];
        let mut deb = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control_tar()), (name, &data)]);
        let at = at % deb.len();
        let end = (at + bytes.len()).min(deb.len());
        deb.splice(at..end, bytes);
        let _ = read(&deb, &Limits::default());
    }
}
