use std::cmp::Ordering;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use unheck_base::TreePath;
use unheck_elf::Machine;
use unheck_elf::ldcache::{Entry, WriteError, compare, parse, write};

fn entry(soname: &str, path: &str) -> Entry {
    Entry {
        soname: soname.to_owned(),
        path: TreePath::new(path).unwrap(),
        machine: Machine::X86_64,
    }
}

fn libraries() -> Vec<Entry> {
    vec![
        entry("libz.so.1", "usr/lib/x86_64-linux-gnu/libz.so.1"),
        entry("libssl.so.3", "usr/lib/x86_64-linux-gnu/libssl.so.3"),
        entry("libfoo.so.10", "opt/libfoo.so.10"),
        entry("libfoo.so.9", "opt/libfoo.so.9"),
        entry("libfoo.so", "opt/libfoo.so"),
        entry("libc.so.6", "lib/x86_64-linux-gnu/libc.so.6"),
        Entry {
            machine: Machine::Aarch64,
            ..entry("libc.so.6", "lib/aarch64-linux-gnu/libc.so.6")
        },
        entry("libstdc++.so.6", "usr/lib/x86_64-linux-gnu/libstdc++.so.6"),
    ]
}

#[test]
fn names_are_compared_with_numbers_as_numbers() {
    for (a, b, order) in [
        ("libfoo.so.9", "libfoo.so.10", Ordering::Less),
        ("libfoo.so.1", "libfoo.so", Ordering::Greater),
        ("libfoo.so", "libfoo.so", Ordering::Equal),
        ("lib1.so", "liba.so", Ordering::Greater),
        ("libz.so.1", "libssl.so.3", Ordering::Greater),
        ("libx.so.01", "libx.so.1", Ordering::Equal),
        ("a", "", Ordering::Greater),
        ("", "a", Ordering::Less),
    ] {
        assert_eq!(compare(a.as_bytes(), b.as_bytes()), order, "{a} {b}");
        assert_eq!(
            compare(b.as_bytes(), a.as_bytes()),
            order.reverse(),
            "{b} {a}"
        );
    }
}

#[test]
fn what_is_written_is_read_back_greatest_name_first() {
    let bytes = write(&libraries()).unwrap();
    let lines: Vec<String> = parse(&bytes)
        .unwrap()
        .iter()
        .map(|entry| format!("{} {:?} {}", entry.soname, entry.machine, entry.path))
        .collect();
    assert_eq!(
        lines,
        [
            "libz.so.1 X86_64 usr/lib/x86_64-linux-gnu/libz.so.1",
            "libstdc++.so.6 X86_64 usr/lib/x86_64-linux-gnu/libstdc++.so.6",
            "libssl.so.3 X86_64 usr/lib/x86_64-linux-gnu/libssl.so.3",
            "libfoo.so.10 X86_64 opt/libfoo.so.10",
            "libfoo.so.9 X86_64 opt/libfoo.so.9",
            "libfoo.so X86_64 opt/libfoo.so",
            "libc.so.6 Aarch64 lib/aarch64-linux-gnu/libc.so.6",
            "libc.so.6 X86_64 lib/x86_64-linux-gnu/libc.so.6",
        ]
    );
    let mut shuffled = libraries();
    shuffled.reverse();
    assert_eq!(write(&shuffled).unwrap(), bytes);
}

#[test]
fn entries_that_no_loader_could_use_are_refused() {
    let other = Entry {
        machine: Machine::Other(8),
        ..entry("a.so", "a")
    };
    assert!(matches!(write(&[other]), Err(WriteError::Machine { .. })));
    for name in ["", "a b", "ä.so", "a\0b"] {
        let error = write(&[entry(name, "a")]).unwrap_err();
        assert!(matches!(error, WriteError::Name { .. }), "{name:?}");
    }
}

#[test]
fn bytes_that_are_no_cache_are_refused() {
    let bytes = write(&libraries()).unwrap();
    let error = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert!(error(b"ld.so-1.7.0").starts_with("not an ld.so.cache"));
    assert_eq!(error(&bytes[..100]), "truncated ld.so.cache");
    let mut many = bytes.clone();
    many[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(error(&many), "ld.so.cache over the limit `entries` (65536)");
    let mut wrong = bytes;
    wrong[52..56].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(error(&wrong).starts_with("ld.so.cache entry 0"));
}

/// The reference reader, where the machine has it.
#[test]
fn ldconfig_prints_the_same_entries() {
    let Some(ldconfig) = ["/sbin/ldconfig", "/usr/sbin/ldconfig"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cache");
    fs_err::write(&file, write(&libraries()).unwrap()).unwrap();
    let output = Command::new(ldconfig)
        .arg("-p")
        .arg("-C")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "libz.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libz.so.1",
            "libstdc++.so.6 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libstdc++.so.6",
            "libssl.so.3 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libssl.so.3",
            "libfoo.so.10 (libc6,x86-64) => /opt/libfoo.so.10",
            "libfoo.so.9 (libc6,x86-64) => /opt/libfoo.so.9",
            "libfoo.so (libc6,x86-64) => /opt/libfoo.so",
            "libc.so.6 (libc6,AArch64) => /lib/aarch64-linux-gnu/libc.so.6",
            "libc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6",
        ]
    );
}

proptest! {
    #[test]
    fn the_order_is_total_and_search_finds_every_name(
        names in prop::collection::btree_set("lib[a-c0-9.]{1,4}\\.so(\\.[0-9]{1,3}){0,2}", 1..40)
    ) {
        let entries: Vec<Entry> = names.iter().map(|name| entry(name, name)).collect();
        let sorted = parse(&write(&entries).unwrap()).unwrap();
        for name in &names {
            // The loader's search: greater names stand before.
            let (mut left, mut right) = (0, sorted.len());
            let mut found = false;
            while left < right && !found {
                let middle = (left + right) / 2;
                match compare(name.as_bytes(), sorted[middle].soname.as_bytes()) {
                    Ordering::Equal => found = true,
                    Ordering::Less => left = middle + 1,
                    Ordering::Greater => right = middle,
                }
            }
            prop_assert!(found, "{}", name);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        changes in prop::collection::vec((20..400_usize, any::<u8>()), 0..8),
        cut in 0..700_usize,
    ) {
        let mut bytes = write(&libraries()).unwrap();
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(cut);
        let _ = parse(&bytes);
    }
}
