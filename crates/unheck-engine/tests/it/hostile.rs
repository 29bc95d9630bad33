//! Hostile wheels and debs through the whole pipeline: refused with the reason, nothing written,
//! the store as good as before.

use std::fmt::Write as _;

use unheck_testkit::debian::{self, TZDATA_NEW};
use unheck_testkit::{DebBuilder, DebLie, Index, Lie, Mirror, SuiteBuilder, WheelBuilder};

use crate::support::*;

/// Class and last cause of a report.
fn reason(text: &str) -> String {
    let class = text.lines().next().unwrap();
    let cause = text
        .lines()
        .rfind(|line| !line.starts_with("hint: "))
        .unwrap();
    format!("{class}: {cause}")
}

/// Whether anything that was built changes the user or group of who runs it.
fn special_bits(run: &Run) -> bool {
    let shipped = run.shipped("linux/amd64");
    shipped
        .values()
        .any(|line| !["0", "1"].contains(&&line.split(' ').nth(1).unwrap()[..1]))
}

#[test]
fn every_hostile_wheel_is_refused_for_its_own_reason() {
    let fixture = Fixture::new().requirements("demo\n");
    let mut said = String::new();
    for (name, lie) in Lie::catalogue() {
        let legal = lie.is_legal();
        let index = Index::new().add(&WheelBuilder::demo().lie(lie)).serve();
        let run = fixture.with(|run| {
            run.index = index.simple_url();
            run.resolver = fixture.path(&format!("resolvers/{name}"));
        });
        match run.build() {
            Ok(_) => {
                assert!(!special_bits(&run), "{name}");
                fs_err::remove_file(&run.output).unwrap();
                fs_err::remove_file(run.project.join("pylock.unheck.toml")).unwrap();
                writeln!(said, "{name}: {}", if legal { "legal" } else { "harmless" }).unwrap();
            }
            Err(failure) => {
                let text = fixture
                    .report(&failure)
                    .replace(&index.server.url(""), "[index]");
                writeln!(said, "{name}: {}", reason(&text)).unwrap();
                assert!(!legal, "{name}: {text}");
            }
        }
        fs_err::remove_dir_all(fixture.path("resolvers")).ok();
        fixture.assert_nothing_written();
    }
    insta::assert_snapshot!(said, @r"
                record-digest: Input: `demo/__init__.py` has the digest `sha256:[sha256]`, but `RECORD` says `sha256:[sha256]`
                record-size: Input: its `RECORD` does not fit the archive: `demo/__init__.py` has another size than is listed
                record-missing: Input: its `RECORD` does not fit the archive: `demo/__init__.py` is in the archive but not listed
                record-extra: Input: its `RECORD` does not fit the archive: `demo/gone.py` is listed but not in the archive
                record-outside: Input: line 6 of `RECORD` is refused: `../../etc/passwd` cannot be a file of this wheel: the path climbs out with `..`
                record-md5: Input: line 1 of `RECORD` is refused: `md5=BwcHBwcHBwcHBwcHBwcHBw` is not a sha256 digest (`sha256=` and base64)
                no-record: Input: it has no file `RECORD` in its `.dist-info` directory
                no-metadata: Input: it has no file `METADATA` in its `.dist-info` directory
                no-wheel: Input: it has no file `WHEEL` in its `.dist-info` directory
                metadata-name: Input: Package metadata name `other` does not match given name `demo`
                metadata-version: Input: `METADATA` has `9.9` as `Version`, expected is `1.0` as in the file name
                wheel-tag: Input: `WHEEL` has `cp399-cp399-win_amd64` as `Tag`, expected is `py3-none-any` as in the file name
                wheel-version: Input: `WHEEL` has `2.0` as `Wheel-Version`, expected is 1.x
                second-dist-info: Input: it has 2 `.dist-info` directories, not one: demo-1.0.dist-info other-2.0.dist-info
                dist-info-name: Input: the directory `other-1.0.dist-info` is for another distribution or version, or there twice
                duplicate: Input: member `demo/__init__.py` is refused: it is there twice
                symlink: Input: member `demo/link` is refused: it is a symlink, only regular files and directories are allowed
                setuid: Input: member `demo/special` is refused: it is a set-user-id or set-group-id file, only regular files and directories are allowed
                device: Input: member `demo/special` is refused: it is a device, only regular files and directories are allowed
                fifo: Input: member `demo/special` is refused: it is a pipe, only regular files and directories are allowed
                prefix: Input: the archive's central directory is refused: bytes stand before the first member's header
                trailing: Input: the archive's end record is refused: it is not at the very end of the file, or it has a comment
                comment: Input: the archive's end record is refused: it is not at the very end of the file, or it has a comment
                count: Input: the archive's central directory is refused: it has more entries than the end record says, or a signature
                archive-in-front: Input: the archive's end record is refused: the central directory is not right before it: bytes stand before the archive, between its parts, or its size is wrong
                archive-in-comment: Input: the archive's end record is refused: the central directory is not right before it: bytes stand before the archive, between its parts, or its size is wrong
                archive-behind: Input: the archive's end record is refused: the central directory is not right before it: bytes stand before the archive, between its parts, or its size is wrong
                script-traversal: Input: the script `../../evil` of `entry_points.txt` has a name that cannot be a command
                script-absolute: Input: the script `/usr/bin/evil` of `entry_points.txt` has a name that cannot be a command
                script-code: Input: the script `evil` of `entry_points.txt` has the value `demo:main(__import__('os'))`, which is not `module:attribute`
                nfc-collision: Input: member `demo/e\u{301}.py` is refused: its name collides with `demo/é.py` where upper and lower case are the same
                local-name: Input: member `demo/__init__.py` is refused: its local header has another name than the central directory
                local-size: Input: member `demo/__init__.py` is refused: its local header has another size than the central directory
                local-crc: Input: member `demo/__init__.py` is refused: its local header has another CRC than the central directory
                local-method: Input: member `demo/__init__.py` is refused: its local header has another compression method than the central directory
                local-compressed: Input: member `demo/__init__.py` is refused: its local header has another compressed size than the central directory
                central-size: Input: member `demo/__init__.py` is refused: its local header has another size than the central directory
                central-crc: Input: member `demo/__init__.py` is refused: its local header has another CRC than the central directory
                central-compressed: Input: member `demo/__init__.py` is refused: its local header has another compressed size than the central directory
                descriptor-lies: Input: member `demo/__init__.py` is refused: its data descriptor contradicts the central directory
                descriptor: legal
                zip64: legal
                method: Input: member `demo/__init__.py` is refused: it is compressed by method 12, only 0 (stored) and 8 (deflate) are allowed
                encrypted: Input: member `demo/__init__.py` is refused: it is encrypted
                unicode-path: Input: member `demo/__init__.py` is refused: its unicode path field gives another name
                bomb: Input: `demo/bomb.bin` has 134217728, more than the limit `entry-ratio` of 13046000
                lying-bomb: Input: its `RECORD` does not fit the archive: `demo/bomb.bin` has another size than is listed
                traversal: Input: member `../evil.py` is refused: the path climbs out with `..`
                traversal-inside: Input: member `demo/../../evil.py` is refused: the path climbs out with `..`
                absolute: Input: member `/tmp/evil.py` is refused: the path is absolute
                backslash: Input: member `demo\evil.py` is refused: its name has a backslash
                drive: harmless
                non-utf8: Input: member `demo/��.py` is refused: the path is not UTF-8
                nul: Input: member `demo/a\0.py` is refused: the path has a NUL byte
                newline: Input: member `demo/a\nb.py` is refused: its name has a control character
                escape-codes: Input: member `demo/\u{1b}[31mred.py` is refused: its name has a control character
                data-traversal: Input: member `demo-1.0.data/scripts/../../evil` is refused: the path climbs out with `..`
                data-scheme: Input: its member `demo-1.0.data/elsewhere/evil` is in no known scheme of the `.data` directory
                empty-part: Input: member `demo//evil.py` is refused: the path has an empty or `.` part
                dot-part: Input: member `demo/./evil.py` is refused: the path has an empty or `.` part
                case-collision: Input: member `demo/__INIT__.py` is refused: its name collides with `demo/__init__.py` where upper and lower case are the same
                file-as-directory: Input: member `demo/__init__.py/evil.py` is refused: it lies under `demo/__init__.py`, which is a file
                ");
    // The store has served all of them and builds the honest one.
    fixture.build();
}

#[test]
fn every_hostile_deb_is_refused_for_its_own_reason() {
    let fixture = Fixture::new().pyproject(&[], "[tool.unheck]\ndebs = ['libdemo1']\n");
    let publish = |deb: &DebBuilder| {
        let suite = SuiteBuilder::updates("trixie")
            .deb(&debian::tzdata(TZDATA_NEW))
            .deb(deb);
        Mirror::new()
            .suite("debian", &suite)
            .put_into(&fixture.scenario.mirror);
    };
    let mut said = String::new();
    for (name, lie) in DebLie::catalogue() {
        publish(&DebBuilder::demo().lie(lie));
        match fixture.run.build() {
            Ok(_) => {
                let shipped = fixture.run.shipped("linux/amd64");
                let special = shipped
                    .values()
                    .any(|line| !["0", "1"].contains(&&line.split(' ').nth(1).unwrap()[..1]));
                writeln!(
                    said,
                    "{name}: BUILT{}",
                    if special { " WITH SPECIAL BITS" } else { "" }
                )
                .unwrap();
                fs_err::remove_file(&fixture.run.output).unwrap();
                fs_err::remove_file(fixture.run.project.join("pylock.unheck.toml")).unwrap();
            }
            Err(failure) => {
                writeln!(said, "{name}: {}", reason(&fixture.report(&failure))).unwrap()
            }
        }
        fixture.assert_nothing_written();
    }
    insta::assert_snapshot!(said, @r"
    duplicate: Input: entry `usr/lib/x86_64-linux-gnu/libdemo.so.1.0` of `data.tar` is in the archive twice
    bomb: BUILT
    md5: BUILT
    ar-member: Input: the deb archive has `evil` where `data.tar` must be
    ar-traversal: Input: the deb archive has `../evil` where `data.tar` must be
    order: Input: the deb archive has `data.tar.xz` where `control.tar` must be
    two-data: Input: the deb archive has `data.tar.xz` where `the end` must be
    no-data: Input: the deb archive has `nothing` where `data.tar` must be
    no-control: Input: the deb archive has `data.tar.xz` where `control.tar` must be
    format-version: Input: the deb archive has format version `3.0\n`, only 2.x is known
    control-package: Input: the Debian package `libdemo1` says of itself that it is `other`
    control-version: Input: the Debian package `libdemo1` says of itself that it is version `9.9-9`, where the index says `1.0-1`
    control-architecture: Input: the Debian package `libdemo1` says of itself that it is architecture `s390x`, where the index says `amd64`
    ar-size: Input: the deb archive ends inside a member
    trailing: Input: the deb archive ends too early
    truncated: Input: the deb archive ends inside a member
    control-traversal: Input: the path climbs out with `..`
    traversal: Input: the path climbs out with `..`
    absolute: Input: the path is absolute
    nul: Input: entry `PaxHeaders/0` of `data.tar` is no file and yet has content
    non-utf8: Input: the path is not UTF-8
    escape-codes: Input: the Debian package `libdemo1` has `usr/\u{1b}[31mred`, a name with control characters: it does not ship
    char-device: Input: entry `./dev/null` of `data.tar` is a device node
    block-device: Input: entry `./dev/sda` of `data.tar` is a device node
    fifo: Input: entry `./run/pipe` of `data.tar` is a fifo
    setuid: Input: the Debian package `libdemo1` has `usr/bin/su`, a program that changes its user or group: it does not ship
    symlink-escape: Input: the Debian package `libdemo1` has `usr/lib/away`, a link that climbs over the root: `../../../../tmp`: it does not ship
    symlink-absolute-escape: Input: the Debian package `libdemo1` has `usr/lib/away`, a link that climbs over the root: `/../../etc`: it does not ship
    hardlink-outside: Input: the path climbs out with `..`
    hardlink-absolute: Input: the path is absolute
    hardlink-missing: Input: entry `usr/lib/hard` of `data.tar` is a hard link to no file before it
    size-lie: Input: `data.tar` ends inside a file
    unknown-type: Input: entry `./usr/odd` of `data.tar` is of an unknown type
    file-as-directory: Input: entry `usr/lib/x86_64-linux-gnu/libdemo.so.1.0/evil` of `data.tar` lies under a file of the same archive
    pax-traversal: Input: entry `PaxHeaders/0` of `data.tar` is no file and yet has content
    through-link: Input: entry `usr/lib/link/evil` of `data.tar` lies under a symlink of the same archive
    ");
    publish(&DebBuilder::demo());
    fixture.build();
}
