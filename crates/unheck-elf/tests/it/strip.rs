use unheck_elf::{Object, StripError, strip_unneeded};

use crate::support::{Spec, build};

fn spec() -> Spec<'static> {
    Spec {
        soname: Some("libdemo.so.1"),
        needed: &["libc.so.6"],
        exports: &["demo"],
        rodata: b"constant",
        sections: true,
        ..Spec::default()
    }
}

#[test]
fn debug_sections_go_and_everything_loaded_stays() {
    for (is_64, big) in [(true, false), (false, false), (true, true), (false, true)] {
        let bytes = build(&Spec {
            is_64,
            big,
            ..spec()
        });
        let stripped = strip_unneeded(&bytes).unwrap().expect("smaller");
        assert!(bytes.len() - stripped.len() > 8000, "{}", stripped.len());
        assert_eq!(Object::parse(&stripped), Object::parse(&bytes));
        assert!(!stripped.windows(6).any(|part| part == b".debug"));
        assert_eq!(
            strip_unneeded(&stripped),
            Ok(None),
            "nothing is left to strip"
        );
    }
}

#[test]
fn an_object_without_anything_to_strip_is_left_alone() {
    let bytes = build(&Spec {
        sections: false,
        ..spec()
    });
    assert_eq!(strip_unneeded(&bytes), Ok(None));
}

#[test]
fn unusual_objects_are_refused() {
    let error = |bytes: &[u8]| strip_unneeded(bytes).unwrap_err().to_string();
    let mut appended = build(&spec());
    appended.extend(b"PK\x05\x06 installer");
    assert_eq!(
        error(&appended),
        "refuse to strip: something is appended to it"
    );
    let cut = build(&spec());
    assert_eq!(
        error(&build(&Spec { kind: 1, ..spec() })),
        "refuse to strip: it is neither a program nor a library"
    );
    // The debug section, the fourth, claims to end behind the file.
    let mut lying = cut;
    let table = u64::from_le_bytes(lying[40..48].try_into().unwrap()) as usize;
    lying[table + 3 * 64 + 32..][..8].copy_from_slice(&1_000_000_u64.to_le_bytes());
    assert_eq!(
        error(&lying),
        "refuse to strip: a section or segment leaves the file"
    );
    let read = strip_unneeded(b"#!/bin/sh").unwrap_err();
    assert!(matches!(read, StripError::Read(_)));
}
