//! `map` and `map_values`: one record for each record.

use crate::{Data, Key, Stream};

impl<K: Key, V: Data> Stream<K, V> {
    /// A new key and value for each record. Since the key changed, grouping or joining needs a `key_by` first.
    pub fn map<K2: Key, V2: Data>(&self, f: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static) -> Stream<K2, V2> {
        let mapped = self.unary("map", move |batch| {
            let mapped = batch.into_iter().map(|r| {
                let at = r.with((), ());
                let (key, value) = f(r.key, r.value);
                at.with(key, value)
            });
            mapped.collect()
        });
        mapped.with_changed_key()
    }

    /// A new value for each record; the key stays.
    pub fn map_values<V2: Data>(&self, f: impl Fn(V) -> V2 + Send + Sync + 'static) -> Stream<K, V2> {
        self.unary("map_values", move |batch| {
            let mapped = batch.into_iter().map(|r| {
                let at = r.with((), ());
                at.with(r.key, f(r.value))
            });
            mapped.collect()
        })
    }
}
