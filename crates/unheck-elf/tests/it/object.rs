use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use unheck_elf::{
    Class, ElfError, Endian, IsaLevel, Kind, Machine, Object, Priority, dlopen_candidates, is_elf,
    path_strings,
};

use crate::support::{Hash, Spec, build};

const DLOPEN: u32 = 0x407c_0c0a;

fn full() -> Spec<'static> {
    Spec {
        soname: Some("libdemo.so.1"),
        needed: &["libz.so.1", "libc.so.6"],
        runpath: Some("$ORIGIN/../demo.libs:/opt/x"),
        interp: Some("/lib64/ld-linux-x86-64.so.2"),
        versions: &[
            ("libc.so.6", "GLIBC_2.17", false),
            ("libc.so.6", "GLIBC_2.34", false),
            ("libz.so.1", "ZLIB_1.2.9", true),
        ],
        defines: &["libdemo.so.1", "DEMO_1", "DEMO_2"],
        imports: &["dlopen", "malloc", "iconv_open"],
        exports: &["PyInit__demo"],
        notes: &[
            (b"GNU\0", 3, &[0xab, 0xcd, 0x01]),
            (
                b"FDO\0",
                DLOPEN,
                br#"[{"soname":["libbpf.so.1","libbpf.so.0"],"feature":"bpf","priority":"suggested"},
                     {"soname":["liblzma.so.5"]}]"#,
            ),
            (b"FDO\0", DLOPEN, b"{not json"),
        ],
        rodata: b"\0libcups.so.2\0/usr/share/misc/magic.mgc\0",
        ..Spec::default()
    }
}

fn check(spec: &Spec<'_>) -> Object {
    Object::parse(&build(spec)).unwrap()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_fact_is_read_in_each_class_and_byte_order_with_and_without_sections() {
    for (is_64, big, sections) in [
        (true, false, true),
        (true, false, false),
        (true, true, false),
        (false, false, true),
        (false, true, false),
    ] {
        let object = check(&Spec {
            is_64,
            big,
            sections,
            ..full()
        });
        let class = if is_64 { Class::Elf64 } else { Class::Elf32 };
        let endian = if big { Endian::Big } else { Endian::Little };
        assert_eq!((object.class, object.endian), (class, endian));
        assert_eq!((object.machine, object.kind), (Machine::X86_64, Kind::Dyn));
        assert_eq!(object.soname.as_deref(), Some("libdemo.so.1"));
        assert_eq!(object.needed, ["libz.so.1", "libc.so.6"]);
        assert_eq!(object.runpath, ["$ORIGIN/../demo.libs", "/opt/x"]);
        assert_eq!(object.rpath, [""; 0]);
        assert_eq!(
            object.interp.as_deref(),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        let versions = BTreeMap::from([
            ("libc.so.6".to_owned(), set(&["GLIBC_2.17", "GLIBC_2.34"])),
            ("libz.so.1".to_owned(), set(&[])),
        ]);
        assert_eq!(
            object.needs_versions, versions,
            "weak versions are left out"
        );
        assert_eq!(object.offers_versions, set(&["DEMO_1", "DEMO_2"]));
        assert_eq!(object.imported, set(&["dlopen", "iconv_open"]));
        assert!(object.imports_any(&["dlmopen", "dlopen"]) && !object.imports_any(&["malloc"]));
        assert_eq!(object.python_module.as_deref(), Some("_demo"));
        assert_eq!(object.build_id.as_deref(), Some("abcd01"));
        assert!(!object.executable_stack && !object.no_default_dirs);
        let notes: Vec<_> = object
            .dlopen_notes
            .iter()
            .map(|note| {
                (
                    note.sonames.join(" "),
                    note.feature.as_deref(),
                    note.priority,
                )
            })
            .collect();
        assert_eq!(
            notes,
            [
                (
                    "libbpf.so.1 libbpf.so.0".to_owned(),
                    Some("bpf"),
                    Priority::Suggested
                ),
                ("liblzma.so.5".to_owned(), None, Priority::Recommended),
            ]
        );
    }
}

#[test]
fn symbols_are_found_by_either_hash_table_or_by_the_gap_before_the_strings() {
    for hash in [Hash::SysV, Hash::Gnu, Hash::None] {
        for exports in [&["PyInit_a"][..], &[]] {
            let object = check(&Spec {
                hash,
                exports,
                ..full()
            });
            assert_eq!(object.imported, set(&["dlopen", "iconv_open"]));
            assert_eq!(
                object.python_module.as_deref(),
                exports.first().map(|_| "a")
            );
        }
    }
}

#[test]
fn a_library_with_many_built_in_modules_is_no_extension_module() {
    let object = check(&Spec {
        exports: &["PyInit_a", "PyInit_b", "PyInit_c"],
        ..full()
    });
    assert_eq!(object.python_module, None);
}

#[test]
fn the_oldest_kernel_and_the_largest_page_are_read() {
    let tag = |os: u8| [os, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
    for (os, kernel) in [(0, Some((3, 2, 1))), (1, None)] {
        let description = tag(os);
        let notes: &[(&[u8], u32, &[u8])] = &[(b"GNU\0", 1, &description)];
        let object = check(&Spec {
            notes,
            ..Spec::default()
        });
        assert_eq!(object.kernel_needed, kernel);
        assert_eq!(object.max_page_size, Some(0x1000));
    }
    let short: &[(&[u8], u32, &[u8])] = &[(b"GNU\0", 1, &[0; 12])];
    let object = check(&Spec {
        notes: short,
        ..Spec::default()
    });
    assert_eq!(object.kernel_needed, None);
    // `p_align` of the first program header, which is the only `PT_LOAD`.
    let mut bytes = build(&Spec::default());
    let place = 64 + 48..64 + 56;
    assert_eq!(bytes[place.clone()], 0x1000_u64.to_le_bytes());
    for (align, page) in [(0x10000_u64, 0x10000), (1, 1), (0x3000, 0x1000)] {
        bytes[place.clone()].copy_from_slice(&align.to_le_bytes());
        let object = Object::parse(&bytes).unwrap();
        assert_eq!(object.max_page_size, Some(page));
    }
}

#[test]
fn the_isa_level_and_the_flags_are_read() {
    let property = |bits: u8| [0x02, 0x80, 0, 0xc0, 4, 0, 0, 0, bits, 0, 0, 0, 0, 0, 0, 0];
    for (bits, level) in [
        (0b0001, Some(IsaLevel::Baseline)),
        (0b0111, Some(IsaLevel::V3)),
        (0b1111, Some(IsaLevel::V4)),
        (0, None),
    ] {
        let property = property(bits);
        let notes: &[(&[u8], u32, &[u8])] = &[(b"GNU\0", 5, &property)];
        let object = check(&Spec {
            notes,
            stack_flags: Some(7),
            flags_1: 0x800,
            ..Spec::default()
        });
        assert_eq!(object.isa_level_needed, level);
        assert!(object.executable_stack && object.no_default_dirs);
    }
    let other = check(&Spec {
        machine: 183,
        kind: 2,
        stack_flags: None,
        ..Spec::default()
    });
    assert_eq!((other.machine, other.kind), (Machine::Aarch64, Kind::Exec));
    assert_eq!(
        check(&Spec {
            machine: 8,
            ..Spec::default()
        })
        .machine,
        Machine::Other(8)
    );
}

#[test]
fn bytes_that_are_no_object_are_refused_with_the_reason() {
    let good = build(&full());
    assert!(is_elf(&good[..4]) && !is_elf(b"\x7fEL") && !is_elf(b"#!/bin/sh"));
    let broken = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        Object::parse(&bytes).unwrap_err().to_string()
    };
    assert_eq!(Object::parse(b"MZ"), Err(ElfError::NotElf));
    let cut = Object::parse(&good[..40]).unwrap_err().to_string();
    assert_eq!(cut, "truncated ELF object: the header leaves the file");
    assert_eq!(broken(4, &[3]), "malformed ELF object: wrong class");
    assert_eq!(broken(5, &[0]), "malformed ELF object: wrong byte order");
    assert_eq!(
        broken(32, &[0xff; 7]),
        "truncated ELF object: the program header table leaves the file"
    );
    let short = Object::parse(&good[..good.len() - 200]).unwrap_err();
    assert_eq!(
        short.to_string(),
        "truncated ELF object: the dynamic segment leaves the file"
    );
}

#[test]
fn a_name_or_a_number_of_names_over_the_limit_is_refused() {
    let long = "a".repeat(5000);
    let error = Object::parse(&build(&Spec {
        soname: Some(&long),
        ..Spec::default()
    }));
    assert_eq!(
        error.unwrap_err().to_string(),
        "ELF object over the limit `bytes in a name` (4096)"
    );
    let name = "b".repeat(4000);
    let needed = vec![name.as_str(); 1100];
    let error = Object::parse(&build(&Spec {
        needed: &needed,
        ..Spec::default()
    }));
    assert_eq!(
        error.unwrap_err().to_string(),
        "ELF object over the limit `bytes of names in all` (4194304)"
    );
}

#[test]
fn library_names_among_the_constants_are_found_and_patterns_are_not() {
    let rodata = b"\0libcups.so.2\0/usr/lib/libssl.so.3\0lib%s.so.1\0%s.so\0foo.so\0plugin.so.4.2\0\
        .so.1\0libx.so.\0lib.so\0libodbc.so.debug\0see libgcc_s.so.1 for it\0libm-2.28.so\0lib*.so\0";
    for sections in [true, false] {
        let bytes = build(&Spec {
            rodata,
            sections,
            ..Spec::default()
        });
        let found = dlopen_candidates(&bytes).unwrap();
        let expected = [
            "libcups.so.2",
            "libgcc_s.so.1",
            "libm-2.28.so",
            "libssl.so.3",
            "libx.so",
            "plugin.so.4.2",
        ];
        assert_eq!(found, set(&expected));
    }
}

#[test]
fn needed_names_are_no_dlopen_candidates_when_there_are_sections() {
    let bytes = build(&Spec {
        sections: true,
        rodata: b"x",
        ..full()
    });
    assert_eq!(dlopen_candidates(&bytes).unwrap(), set(&[]));
}

#[test]
fn paths_under_a_prefix_are_found_whole() {
    let rodata = b"\0/usr/share/misc/magic.mgc\0/etc/fonts\0/etc/fonts.conf\0/usr/share/X11/%s/x\0\
        x/usr/share/no\0cd /usr/share/a b\0/usr/share/\0/usr/sharefoo\0/usr/%s\0";
    let bytes = build(&Spec {
        rodata,
        ..Spec::default()
    });
    let found = path_strings(&bytes, &["/usr/share", "/etc/fonts", "/"]).unwrap();
    let expected = [
        "/etc/fonts",
        "/usr/share",
        "/usr/share/X11",
        "/usr/share/a",
        "/usr/share/misc/magic.mgc",
    ];
    assert_eq!(found, set(&expected));
}

proptest! {
    #[test]
    fn no_change_of_bytes_makes_a_reader_panic(
        changes in prop::collection::vec((0..4096_usize, any::<u8>()), 1..12),
        cut in 0..8192_usize,
        shape in 0..4_u8,
    ) {
        let sections = shape & 1 == 0;
        let mut bytes = build(&Spec { sections, is_64: shape & 2 == 0, hash: Hash::Gnu, ..full() });
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().max(64).min(cut.max(64)));
        let _ = Object::parse(&bytes);
        let _ = dlopen_candidates(&bytes);
        let _ = path_strings(&bytes, &["/usr"]);
        let _ = unheck_elf::strip_unneeded(&bytes);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 6..600)) {
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[4] = 1 + bytes[4] % 2;
        bytes[5] = 1 + bytes[5] % 2;
        let _ = Object::parse(&bytes);
        let _ = unheck_elf::strip_unneeded(&bytes);
    }
}
