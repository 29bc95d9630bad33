//! The last 128 bytes of a one-file executable: where its payload is and what it must hash to.
//!
//! Layout, little-endian: magic (16) · payload start, frames' length, index' length, index' unpacked length (8 each) ·
//! flags (4) · zero (4) · SHA-256 of the compressed index (32) · SHA-256 of all before (32) · end mark (8).

/// Length of a trailer.
pub(crate) const TRAILER_LEN: usize = 128;
/// Its first bytes; the digit is the version of trailer and index.
pub(crate) const MAGIC: &[u8; 16] = b"\x7funheck-exe 1\n\0\0";
/// Its last bytes, by which an executable with a payload of any version is told from a bare launcher.
pub(crate) const END: &[u8; 8] = b"unheck\x7f\n";
/// Flag: `--self-check` and `--unpack DIR` are taken from the command line.
pub(crate) const FLAG_COMMAND_LINE: u32 = 1;
/// Most bytes that an unpacked index may have.
const LONGEST_INDEX: u64 = 1 << 28;

/// Where the payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Where the launcher's own bytes end and the frames begin.
    pub(crate) start: u64,
    /// Length of all frames, which follow each other without gaps.
    pub(crate) frames_len: u64,
    /// Length of the compressed index, which follows the frames.
    pub(crate) index_len: u64,
    /// Length of the index itself.
    pub(crate) index_raw: u64,
    /// [`FLAG_COMMAND_LINE`] or nothing.
    pub(crate) flags: u32,
    /// SHA-256 of the compressed index: the content id.
    pub(crate) content: [u8; 32],
}

/// Why a trailer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadTrailer {
    /// No payload at all: a bare launcher.
    Absent,
    /// A payload of another version.
    Version,
    /// Damaged, or the file was cut or grew.
    Damaged,
}

fn u64_at(bytes: &[u8; TRAILER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

impl Trailer {
    /// The 128 bytes; `sha256` hashes.
    pub(crate) fn encode(&self, sha256: impl Fn(&[u8]) -> [u8; 32]) -> [u8; TRAILER_LEN] {
        let mut out = [0; TRAILER_LEN];
        out[..16].copy_from_slice(MAGIC);
        let numbers = [self.start, self.frames_len, self.index_len, self.index_raw];
        for (at, number) in (16..).step_by(8).zip(numbers) {
            out[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        out[48..52].copy_from_slice(&self.flags.to_le_bytes());
        out[56..88].copy_from_slice(&self.content);
        let sum = sha256(&out[..88]);
        out[88..120].copy_from_slice(&sum);
        out[120..].copy_from_slice(END);
        out
    }

    /// Reads the last bytes of a file of length `file_len`.
    pub(crate) fn decode(
        bytes: &[u8; TRAILER_LEN],
        file_len: u64,
        sha256: impl Fn(&[u8]) -> [u8; 32],
    ) -> Result<Self, BadTrailer> {
        if &bytes[120..] != END {
            return Err(BadTrailer::Absent);
        }
        if bytes[..12] != MAGIC[..12] {
            return Err(BadTrailer::Damaged);
        }
        if bytes[..16] != MAGIC[..] {
            return Err(BadTrailer::Version);
        }
        if sha256(&bytes[..88]) != bytes[88..120] {
            return Err(BadTrailer::Damaged);
        }
        let mut content = [0; 32];
        content.copy_from_slice(&bytes[56..88]);
        let flags = u64_at(bytes, 48);
        let trailer = Self {
            start: u64_at(bytes, 16),
            frames_len: u64_at(bytes, 24),
            index_len: u64_at(bytes, 32),
            index_raw: u64_at(bytes, 40),
            flags: u32::try_from(flags).map_err(|_| BadTrailer::Damaged)?,
            content,
        };
        trailer.check(file_len)
    }

    fn check(self, file_len: u64) -> Result<Self, BadTrailer> {
        let end = self
            .start
            .checked_add(self.frames_len)
            .and_then(|sum| sum.checked_add(self.index_len))
            .and_then(|sum| sum.checked_add(TRAILER_LEN as u64));
        let sound = end == Some(file_len)
            && self.index_raw <= LONGEST_INDEX
            && self.index_len <= LONGEST_INDEX
            && self.flags <= FLAG_COMMAND_LINE;
        if sound {
            Ok(self)
        } else {
            Err(BadTrailer::Damaged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unheck_base::Digest;

    fn sha(bytes: &[u8]) -> [u8; 32] {
        *Digest::of(bytes).as_bytes()
    }

    fn sample() -> Trailer {
        Trailer {
            start: 10,
            frames_len: 20,
            index_len: 30,
            index_raw: 40,
            flags: FLAG_COMMAND_LINE,
            content: [7; 32],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample().encode(sha);
        assert_eq!(Trailer::decode(&bytes, 188, sha), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for bit in 0..TRAILER_LEN * 8 {
            let mut bytes = sample().encode(sha);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Trailer::decode(&bytes, 188, sha).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn lengths_that_do_not_fill_the_file_are_refused() {
        let bytes = sample().encode(sha);
        assert_eq!(Trailer::decode(&bytes, 189, sha), Err(BadTrailer::Damaged));
        let mut huge = sample();
        huge.start = u64::MAX;
        let bytes = huge.encode(sha);
        assert_eq!(Trailer::decode(&bytes, 187, sha), Err(BadTrailer::Damaged));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut bytes = sample().encode(sha);
        bytes[12] = b'2';
        assert_eq!(Trailer::decode(&bytes, 188, sha), Err(BadTrailer::Version));
    }
}
