//! No bytes make the reader panic, and no change of a good wheel is both taken and unnoticed.

use proptest::prelude::*;

use crate::support::*;

fn good() -> Vec<u8> {
    let scripts = file("foo_bar-1.0.data/scripts/run", "#!python\nprint()\n");
    let points = file(
        &format!("{DIST_INFO}/entry_points.txt"),
        "[console_scripts]\na=b:c\n",
    );
    let mut stored = file("foo/data.bin", "stored content");
    stored.deflate = false;
    let files = wheel_files(&[file("foo/a.py", "x = 1\n"), stored, scripts, points]);
    zip(
        &files,
        &Around {
            zip64: Some(0),
            ..Around::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(refusal(&bytes).is_some());
    }

    #[test]
    fn changed_wheels_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = good();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = refusal(&bytes);
    }
}

/// Bytes that say nothing about the content: times, versions, internal attributes, modes.
#[test]
fn every_flipped_byte_of_the_content_is_noticed() {
    let bytes = good();
    assert_eq!(refusal(&bytes), None);
    let files = |bytes: &[u8]| {
        let wheel = open(bytes).unwrap();
        let names: Vec<String> = wheel.members().iter().map(|m| m.path.to_string()).collect();
        (
            names,
            (0..wheel.members().len())
                .map(|i| wheel.digest(i))
                .collect::<Vec<_>>(),
        )
    };
    let expected = files(&bytes);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if refusal(&changed).is_none() {
                assert_eq!(files(&changed), expected, "byte {at} bit {bit}");
            }
        }
    }
}
