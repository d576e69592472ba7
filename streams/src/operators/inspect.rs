//! `inspect` and `for_each`: look at records.

use crate::{Data, Key, Stream};

impl<K: Key, V: Data> Stream<K, V> {
    /// Shows every record to `f` and passes it on. After a crash `f` may see a record again.
    pub fn inspect(&self, f: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        self.unary("inspect", move |batch| {
            for r in &batch {
                f(&r.key, &r.value);
            }
            batch
        })
    }

    /// Gives every record to `f`. After a crash `f` may get a record again.
    pub fn for_each(&self, f: impl Fn(K, V) + Send + Sync + 'static) {
        self.unary::<K, V, _>("for_each", move |batch| {
            for r in batch {
                f(r.key, r.value);
            }
            Vec::new()
        });
    }
}
