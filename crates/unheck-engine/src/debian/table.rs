//! Sorted lines in memory, looked up by how they begin: what is derived from large indexes.

use std::collections::BTreeSet;

use unheck_base::Digest;
use unheck_store::{Store, StoreError};

/// Longest table that is read back; the largest real one has a tenth of it.
const MAX_TABLE: u64 = 1 << 29;

/// Lines, sorted by their bytes, each with a line break at its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    text: Vec<u8>,
}

impl Table {
    /// The table that is derived from a blob, made once: by `lines` when the store has none.
    pub(super) fn derived<E: From<StoreError>>(
        store: &Store,
        (kind, version): (&str, &str),
        digest: Digest,
        lines: impl FnOnce() -> Result<BTreeSet<String>, E>,
    ) -> Result<Self, E> {
        let key = unheck_store::Pack::key(&digest, version);
        let derived = store.derived(kind, &key);
        if let Some(text) = derived.bytes(MAX_TABLE)? {
            return Ok(Self { text });
        }
        let table = Self::new(&lines()?);
        derived.put_bytes(&table.text)?;
        Ok(table)
    }

    fn new(lines: &BTreeSet<String>) -> Self {
        let mut text = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        Self { text }
    }

    /// The lines that begin so, in order.
    pub(super) fn beginning<'t>(&'t self, prefix: &'t str) -> impl Iterator<Item = &'t str> {
        let mut at = self.first_from(prefix.as_bytes());
        std::iter::from_fn(move || {
            let rest = self
                .text
                .get(at..)
                .filter(|rest| rest.starts_with(prefix.as_bytes()))?;
            let end = memchr::memchr(b'\n', rest)?;
            at += end + 1;
            std::str::from_utf8(&rest[..end]).ok()
        })
    }

    /// Where the first line begins that is not less than `key`.
    fn first_from(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.text.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start =
                memchr::memrchr(b'\n', &self.text[low..middle]).map_or(low, |at| low + at + 1);
            let end = memchr::memchr(b'\n', &self.text[start..]).map_or(high, |at| start + at);
            if &self.text[start..end] < key {
                low = (end + 1).min(self.text.len());
            } else {
                high = start;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_how_they_begin() {
        let lines: BTreeSet<String> =
            ["a\t1", "ab\t1", "b\t1", "b\t2", "b\t33333333333333", "c\t1"]
                .map(str::to_owned)
                .into();
        let table = Table::new(&lines);
        let found = |prefix| table.beginning(prefix).collect::<Vec<_>>();
        assert_eq!(found("b\t"), ["b\t1", "b\t2", "b\t33333333333333"]);
        assert_eq!(found("a\t"), ["a\t1"]);
        assert_eq!(found("c"), ["c\t1"]);
        assert_eq!(found("").len(), 6);
        assert!(found("d").is_empty() && found("aa").is_empty());
        assert!(Table::default().beginning("").next().is_none());
        let many: BTreeSet<String> = (0..1000).map(|number| format!("{number:04}\tx")).collect();
        let table = Table::new(&many);
        for number in 0..1000 {
            let key = format!("{number:04}\t");
            assert_eq!(table.beginning(&key).count(), 1, "{key}");
        }
    }
}
