//! The end of a wheel says what the whole wheel says, and nothing makes the reader panic.

use proptest::prelude::*;
use unheck_wheel::{Glanced, Limits, glance};

use crate::support::{Around, file, open, wheel_files, zip};

fn bytes() -> Vec<u8> {
    let noise: Vec<u8> = (0..40_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let more = [
        file("pkg/__init__.py", "x = 1"),
        file("pkg/data.bin", noise),
        file("ns/part/__init__.py", ""),
    ];
    zip(&wheel_files(&more), &Around::default())
}

#[test]
fn the_tail_says_what_the_whole_says() {
    let bytes = bytes();
    let whole = open(&bytes).unwrap();
    let total = bytes.len() as u64;
    let Glanced::Done(all) = glance(&bytes, total, &Limits::default()).unwrap() else {
        panic!("all of it is there");
    };
    assert_eq!(all.modules, whole.modules());
    assert_eq!(all.metadata.as_ref(), Some(whole.metadata()));
    let short = &bytes[bytes.len() - 100..];
    let Glanced::NeedsFrom(from) = glance(short, total, &Limits::default()).unwrap() else {
        panic!("the directory is longer");
    };
    let rest = &bytes[from as usize..];
    let Glanced::Done(listed) = glance(rest, total, &Limits::default()).unwrap() else {
        panic!("the directory is there");
    };
    assert_eq!((listed.modules, listed.metadata), (whole.modules(), None));
    assert!(glance(&bytes, 10, &Limits::default()).is_err());
    assert!(glance(b"", 0, &Limits::default()).is_err());
}

proptest! {
    #[test]
    fn damage_never_panics(at in 0usize..2_000, value in any::<u8>(), keep in 0usize..45_000) {
        let mut bytes = bytes();
        let total = bytes.len() as u64;
        let place = bytes.len() - 1 - at.min(bytes.len() - 1);
        bytes[place] = value;
        let tail = &bytes[bytes.len().saturating_sub(keep)..];
        if let Ok(Glanced::NeedsFrom(from)) = glance(tail, total, &Limits::default()) {
            prop_assert!(from < total - tail.len() as u64);
        }
    }
}
