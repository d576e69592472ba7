//! State of a task: typed tables in memory, written to a changelog.
//!
//! A [`TableStore`] is an ordered map, so whatever walks it (a closing window, a commit) does so in the same order on
//! every run. It remembers which rows changed since the last commit; each is written once per commit however often it
//! changed. Durability is not here: `task::epoch` draws the changelog, the runtime writes it.

mod table;

pub(crate) use table::TableStore;

use bytes::Bytes;
use std::any::Any;
use tailwater_log::DecodeError;

/// A row that changed: its encoded key, and its encoded value or `None` when it was removed.
pub(crate) type Row = (Vec<u8>, Option<Bytes>);

/// What the task needs of a store without knowing its types.
pub(crate) trait Store: Send {
    /// Encodes every row that changed since the last call, in key order.
    fn drain_dirty(&mut self) -> Vec<Row>;
    /// Puts back a row that `drain_dirty` gave.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), DecodeError>;
    fn rows(&self) -> u64;
    /// Bytes of the rows as last committed, keys and values.
    fn bytes(&self) -> u64;
    fn as_any(&mut self) -> &mut dyn Any;
    fn as_any_ref(&self) -> &dyn Any;
}

/// Where a store is among its task's stores, with its type.
pub(crate) struct StoreRef<K, V> {
    index: usize,
    types: std::marker::PhantomData<fn() -> (K, V)>,
}

/// All stores of one task, by the names under which the changelog knows them.
#[derive(Default)]
pub(crate) struct Stores {
    stores: Vec<Entry>,
}

struct Entry {
    name: String,
    /// Whether rows go to the changelog; a table that is read from a topic is its own changelog.
    logged: bool,
    store: Box<dyn Store>,
}

impl Stores {
    pub(crate) fn add<K: crate::Key, V: crate::Value>(&mut self, name: &str, logged: bool) -> usize {
        self.stores.push(Entry { name: name.into(), logged, store: Box::new(TableStore::<K, V>::default()) });
        self.stores.len() - 1
    }

    pub(crate) fn handle<K: 'static, V: 'static>(&self, index: usize) -> StoreRef<K, V> {
        let store = &self.stores[index];
        assert!(store.store.as_any_ref().is::<TableStore<K, V>>(), "store `{}` has other types", store.name);
        StoreRef { index, types: std::marker::PhantomData }
    }

    /// One dynamic call per batch; the batch's records then work on the typed table.
    pub(crate) fn table<K: 'static, V: 'static>(&mut self, handle: &StoreRef<K, V>) -> &mut TableStore<K, V> {
        self.stores[handle.index].store.as_any().downcast_mut().expect("checked when the handle was made")
    }

    /// The rows to write to the changelog, with their stores' names. Rows of unlogged stores are forgotten.
    pub(crate) fn drain_dirty(&mut self) -> Vec<(&str, Row)> {
        let mut all = Vec::new();
        for entry in &mut self.stores {
            let rows = entry.store.drain_dirty();
            if entry.logged {
                all.extend(rows.into_iter().map(|row| (entry.name.as_str(), row)));
            }
        }
        all
    }

    /// Puts back a logged row. A store that the topology no longer has is left out.
    pub(crate) fn restore(&mut self, name: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), DecodeError> {
        match self.stores.iter_mut().find(|entry| entry.logged && entry.name == name) {
            Some(entry) => entry.store.restore(key, value),
            None => Ok(()),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.stores.iter().map(|entry| entry.store.rows()).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.stores.iter().map(|entry| entry.store.bytes()).sum()
    }
}
