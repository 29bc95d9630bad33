//! Small parts of the ELF writer: string tables, the name hash, little-endian output.

/// A string table: NUL first, every string once.
pub(crate) struct Strings {
    pub(crate) bytes: Vec<u8>,
    known: std::collections::BTreeMap<String, u32>,
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            bytes: vec![0],
            known: std::collections::BTreeMap::new(),
        }
    }
}

impl Strings {
    pub(crate) fn add(&mut self, text: &str) -> u32 {
        if let Some(offset) = self.known.get(text) {
            return *offset;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.known.insert(text.into(), offset);
        offset
    }
}

/// The hash of names and versions (gABI chapter 5, "Hash Table").
pub(crate) fn sysv_hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

/// Bytes without a pattern that a compressor would see, the same on every run.
pub(crate) fn noise(size: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(size)
}

pub(crate) fn put16s(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

pub(crate) fn put32s(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
