//! `filter` and `filter_not`: keep some records.

use crate::{Data, Key, Stream};

impl<K: Key, V: Data> Stream<K, V> {
    /// Keeps the records for which `keep` holds.
    pub fn filter(&self, keep: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.unary("filter", move |mut batch| {
            batch.retain(|r| keep(&r.key, &r.value));
            batch
        })
    }

    /// Drops the records for which `drop` holds.
    pub fn filter_not(&self, drop: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.unary("filter_not", move |mut batch| {
            batch.retain(|r| !drop(&r.key, &r.value));
            batch
        })
    }
}
