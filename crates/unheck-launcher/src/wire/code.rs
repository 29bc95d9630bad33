//! Makes x86-64 machine code compress better: the distance of a call or jump becomes the place that it leads to, so that
//! calls of one function look alike (the idea of the BCJ filters of 7-Zip and xz).
//!
//! Places count from the start of the bytes and wrap at 25 bits. A step looks at the operation before and the last byte
//! of its operand and changes neither's meaning, so it can be undone whatever the bytes are: decoding undoes the steps of
//! encoding in reverse.

/// Turns distances into places, from the end to the start.
pub(crate) fn encode(bytes: &mut [u8]) {
    for at in (0..bytes.len().saturating_sub(4)).rev() {
        step(bytes, at, u32::wrapping_add);
    }
}

/// Turns places into distances, from the start to the end.
pub(crate) fn decode(bytes: &mut [u8]) {
    for at in 0..bytes.len().saturating_sub(4) {
        step(bytes, at, u32::wrapping_sub);
    }
}

fn step(bytes: &mut [u8], at: usize, combine: impl Fn(u32, u32) -> u32) {
    let Some([operation, operand @ ..]) = bytes[at..].first_chunk_mut::<5>() else {
        return;
    };
    // CALL rel32 and JMP rel32 of less than 16 MiB.
    if *operation & 0xfe != 0xe8 || !matches!(operand[3], 0 | 0xff) {
        return;
    }
    let sum = combine(u32::from_le_bytes(*operand), at as u32 + 5);
    let wrapped = ((sum << 7).cast_signed() >> 7).cast_unsigned();
    *operand = wrapped.to_le_bytes();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calls_of_one_place_become_alike() {
        // Two calls of the byte 100 after the start, from 0 and from 10.
        let mut bytes = vec![0x90; 20];
        bytes[0] = 0xe8;
        bytes[1..5].copy_from_slice(&95u32.to_le_bytes());
        bytes[10] = 0xe8;
        bytes[11..15].copy_from_slice(&85u32.to_le_bytes());
        encode(&mut bytes);
        assert_eq!(bytes[1..5], 100u32.to_le_bytes());
        assert_eq!(bytes[11..15], bytes[1..5]);
    }

    proptest! {
        #[test]
        fn every_encoding_is_undone(mut bytes in proptest::collection::vec(
            prop_oneof![Just(0xe8u8), Just(0xe9), Just(0), Just(0xff), any::<u8>()], 0..300)) {
            let original = bytes.clone();
            encode(&mut bytes);
            decode(&mut bytes);
            prop_assert_eq!(bytes, original);
        }
    }
}
