//! `flat_map` and `flat_map_values`: any number of records for each record.

use crate::{Data, Key, Stream};

impl<K: Key, V: Data> Stream<K, V> {
    /// Any number of new keys and values for each record, in order. Since the key changed, grouping or joining needs
    /// a `key_by` first.
    pub fn flat_map<K2: Key, V2: Data, I>(&self, f: impl Fn(K, V) -> I + Send + Sync + 'static) -> Stream<K2, V2>
    where
        I: IntoIterator<Item = (K2, V2)>,
    {
        let mapped = self.unary("flat_map", move |batch| {
            let mut results = Vec::with_capacity(batch.len());
            for r in batch {
                let at = r.with((), ());
                results.extend(f(r.key, r.value).into_iter().map(|(key, value)| at.with(key, value)));
            }
            results
        });
        mapped.with_changed_key()
    }

    /// Any number of new values for each record, in order; the key stays.
    pub fn flat_map_values<V2: Data, I>(&self, f: impl Fn(V) -> I + Send + Sync + 'static) -> Stream<K, V2>
    where
        I: IntoIterator<Item = V2>,
    {
        self.unary("flat_map_values", move |batch| {
            let mut results = Vec::with_capacity(batch.len());
            for r in batch {
                let at = r.with((), ());
                results.extend(f(r.value).into_iter().map(|value| at.with(r.key.clone(), value)));
            }
            results
        })
    }
}
