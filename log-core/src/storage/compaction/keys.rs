//! The offset of the last record of each key, in bounded memory.
//!
//! Keys are kept as they are, so two never count as one. (Kafka keeps 16-byte hashes in 24 bytes a key; that is a quarter
//! of the memory for short keys, and trusts the hash.) When the budget is used up the map takes no new key: the pass then
//! ends there and the next one goes on.

use crate::mutants::{self, Mutant};
use crate::types::Offset;
use std::collections::HashMap;

/// What an entry takes besides its key: pointer, length, offset, the table's slack, and the allocation.
const ENTRY_BYTES: usize = 64;

/// Keys and the offsets of their last records.
#[derive(Debug)]
pub(super) struct KeyMap {
    latest: HashMap<Box<[u8]>, Offset>,
    bytes: usize,
    bytes_max: usize,
}

impl KeyMap {
    /// An empty map that may take about so much memory.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { latest: HashMap::new(), bytes: 0, bytes_max }
    }

    /// Notes a record, unless it would be a new key and there is no room for one; whether it was noted. The first key
    /// always fits, so that every pass comes further.
    pub(super) fn note(&mut self, key: &[u8], offset: Offset) -> bool {
        if let Some(latest) = self.latest.get_mut(key) {
            *latest = offset.max(*latest);
            return true;
        }
        let bytes = key.len() + ENTRY_BYTES;
        if self.bytes + bytes > self.bytes_max && !self.latest.is_empty() {
            return false;
        }
        self.bytes += bytes;
        self.latest.insert(key.into(), offset);
        true
    }

    /// Whether a later record of the key is known.
    pub(super) fn is_superseded(&self, key: &[u8], offset: Offset) -> bool {
        self.latest.get(key).is_some_and(|latest| *latest > offset || mutants::active(Mutant::CompactNewest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_last_of_each_key_within_its_budget() {
        let mut keys = KeyMap::new(3 * (ENTRY_BYTES + 1));
        for (key, offset) in [(b"a", 0), (b"b", 1), (b"a", 2), (b"c", 3)] {
            assert!(keys.note(key, offset));
        }
        assert!(!keys.note(b"d", 4), "no room for a new key");
        assert!(keys.note(b"b", 5), "a known key needs none");
        assert!(keys.is_superseded(b"a", 0) && !keys.is_superseded(b"a", 2) && keys.is_superseded(b"b", 1));
        assert!(!keys.is_superseded(b"d", 4), "nothing is known of it");
        assert!(KeyMap::new(0).note(&[0; 1000], 0), "one key always fits");
    }
}
