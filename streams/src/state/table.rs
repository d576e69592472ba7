//! One typed table in memory.

use super::{Row, Store};
use crate::{Key, Value};
use std::any::Any;
use std::collections::BTreeMap;
use tailwater_log::DecodeError;

/// Rows by key, and which of them changed since the last commit.
pub(crate) struct TableStore<K, V> {
    rows: BTreeMap<K, Slot<V>>,
    /// Keys whose row changed; a key may be in it twice when its row was removed and made again.
    dirty: Vec<K>,
    bytes: u64,
}

struct Slot<V> {
    value: V,
    dirty: bool,
    /// Bytes of the row as last encoded.
    bytes: u32,
}

impl<K, V> Default for TableStore<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), dirty: Vec::new(), bytes: 0 }
    }
}

impl<K: Key, V> TableStore<K, V> {
    pub(crate) fn lookup(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|slot| &slot.value)
    }

    /// The row under `key` to be changed in place, made by `new` if it is missing.
    pub(crate) fn change(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        let slot = self.rows.entry(key.clone()).or_insert_with(|| Slot { value: new(), dirty: false, bytes: 0 });
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(key.clone());
        }
        &mut slot.value
    }

    pub(crate) fn insert(&mut self, key: &K, value: V) {
        self.fold(key, value, |value| value, |value, row| *row = value);
    }

    /// Adds `input` to the row under `key`, or makes the row from it. Returns the row.
    pub(crate) fn fold<I>(
        &mut self,
        key: &K,
        input: I,
        first: impl FnOnce(I) -> V,
        add: impl FnOnce(I, &mut V),
    ) -> &mut V {
        let mut input = Some(input);
        let row = self.change(key, || first(input.take().expect("a row is made once")));
        if let Some(input) = input {
            add(input, row);
        }
        row
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.rows.remove(key)?;
        self.forget(key, &slot);
        Some(slot.value)
    }

    /// Removes and returns the first row if `wanted` says so of its key.
    pub(crate) fn pop_first_if(&mut self, wanted: impl FnOnce(&K) -> bool) -> Option<(K, V)> {
        let entry = self.rows.first_entry().filter(|entry| wanted(entry.key()))?;
        let (key, slot) = entry.remove_entry();
        self.forget(&key, &slot);
        Some((key, slot.value))
    }

    fn forget(&mut self, key: &K, slot: &Slot<V>) {
        self.bytes -= u64::from(slot.bytes);
        // A dirty row is in the list already.
        if !slot.dirty {
            self.dirty.push(key.clone());
        }
    }
}

impl<K: Key, V: Value> Store for TableStore<K, V> {
    fn drain_dirty(&mut self) -> Vec<Row> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        let mut rows = Vec::with_capacity(dirty.len());
        for key in dirty {
            let encoded_key = key.to_bytes();
            let value = self.rows.get_mut(&key).map(|slot| {
                let value = slot.value.to_bytes();
                let bytes = u32::try_from(encoded_key.len() + value.len()).unwrap_or(u32::MAX);
                self.bytes = self.bytes + u64::from(bytes) - u64::from(slot.bytes);
                slot.bytes = bytes;
                slot.dirty = false;
                value.into()
            });
            rows.push((encoded_key, value));
        }
        rows
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), DecodeError> {
        let typed = K::decode(key)?;
        if let Some(old) = self.rows.remove(&typed) {
            self.bytes -= u64::from(old.bytes);
        }
        if let Some(value) = value {
            let bytes = u32::try_from(key.len() + value.len()).unwrap_or(u32::MAX);
            self.rows.insert(typed, Slot { value: V::decode(value)?, dirty: false, bytes });
            self.bytes += u64::from(bytes);
        }
        Ok(())
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn as_any_ref(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8, u32),
        Insert(u8, u32),
        Remove(u8),
        PopFirst(u8),
        Commit,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..8_u8, any::<u32>()).prop_map(|(k, v)| Step::Add(k, v)),
            (0..8_u8, any::<u32>()).prop_map(|(k, v)| Step::Insert(k, v)),
            (0..8_u8).prop_map(Step::Remove),
            (0..8_u8).prop_map(Step::PopFirst),
            Just(Step::Commit),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// Replaying what the commits wrote gives the table as it was at the last commit, and its size in bytes.
        #[test]
        fn a_replayed_changelog_is_the_table(steps in steps()) {
            let mut table = TableStore::<u8, u32>::default();
            let mut model = BTreeMap::new();
            let mut log: Vec<Row> = Vec::new();
            for step in steps {
                match step {
                    Step::Add(k, v) => {
                        let sum: u32 = model.get(&k).copied().unwrap_or(0_u32).wrapping_add(v);
                        model.insert(k, sum);
                        let row = table.change(&k, u32::default);
                        *row = row.wrapping_add(v);
                    }
                    Step::Insert(k, v) => {
                        model.insert(k, v);
                        table.insert(&k, v);
                    }
                    Step::Remove(k) => prop_assert_eq!(table.remove(&k), model.remove(&k)),
                    Step::PopFirst(below) => {
                        let expected = model.first_entry().filter(|e| *e.key() < below).map(|e| e.remove_entry());
                        prop_assert_eq!(table.pop_first_if(|k| *k < below), expected);
                    }
                    Step::Commit => {
                        let rows = table.drain_dirty();
                        let keys: std::collections::BTreeSet<_> = rows.iter().map(|(key, _)| key.clone()).collect();
                        prop_assert_eq!(keys.len(), rows.len(), "each row is written once");
                        log.extend(rows);
                    }
                }
            }
            log.extend(table.drain_dirty());
            let mut restored = TableStore::<u8, u32>::default();
            for (key, value) in &log {
                restored.restore(key, value.as_deref()).unwrap();
            }
            let rows: BTreeMap<_, _> = restored.rows.iter().map(|(k, slot)| (*k, slot.value)).collect();
            prop_assert_eq!(&rows, &model);
            prop_assert_eq!(restored.bytes(), table.bytes());
            prop_assert_eq!(restored.rows(), model.len() as u64);
        }
    }
}
