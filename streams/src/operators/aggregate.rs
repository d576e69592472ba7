//! `count`, `reduce` and `aggregate` over all time: one row per key.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::state::StoreRef;
use crate::topology::graph::Kind;
use crate::{Data, Key, KeyedStream, Result, Table, Value};
use std::sync::Arc;

/// How rows come to be: from the first value of a key, and from each further one.
pub(super) trait Fold<K, V, A>: Send + Sync + 'static {
    fn first(&self, key: &K, value: V) -> A;
    fn add(&self, key: &K, value: V, row: &mut A);
}

pub(super) struct Counting;

impl<K, V> Fold<K, V, u64> for Counting {
    fn first(&self, _: &K, _: V) -> u64 {
        1
    }
    fn add(&self, _: &K, _: V, row: &mut u64) {
        *row += 1;
    }
}

pub(super) struct Reducing<F>(pub(super) F);

impl<K, V: Clone, F: Fn(V, V) -> V + Send + Sync + 'static> Fold<K, V, V> for Reducing<F> {
    fn first(&self, _: &K, value: V) -> V {
        value
    }
    fn add(&self, _: &K, value: V, row: &mut V) {
        *row = (self.0)(row.clone(), value);
    }
}

pub(super) struct Aggregating<F>(pub(super) F);

impl<K, V, A: Default, F: Fn(&K, V, &mut A) + Send + Sync + 'static> Fold<K, V, A> for Aggregating<F> {
    fn first(&self, key: &K, value: V) -> A {
        let mut row = A::default();
        (self.0)(key, value, &mut row);
        row
    }
    fn add(&self, key: &K, value: V, row: &mut A) {
        (self.0)(key, value, row);
    }
}

struct Aggregate<K, V, A, F> {
    input: Edge<Rec<K, V>>,
    out: Out<Rec<K, Option<A>>>,
    store: StoreRef<K, A>,
    fold: Arc<F>,
}

impl<K: Key, V: Data, A: Value, F: Fold<K, V, A>> Operator for Aggregate<K, V, A, F> {
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let batch = edges.take(&self.input);
        let table = cx.stores.table(&self.store);
        let mut changes = Vec::with_capacity(if self.out.is_unread() { 0 } else { batch.len() });
        for r in batch {
            let at = r.with((), ());
            let (key, fold) = (&r.key, &self.fold);
            let row = table.fold(key, r.value, |value| fold.first(key, value), |value, row| fold.add(key, value, row));
            if !self.out.is_unread() {
                let value = Some(row.clone());
                changes.push(at.stateful(r.key, value));
            }
        }
        self.out.send(edges, changes);
        Ok(())
    }
}

impl<K: Key, V: Data> KeyedStream<K, V> {
    /// How many records each key has had. `name` is the durable name of the store.
    pub fn count(&self, name: &str) -> Table<K, u64> {
        self.folded("count", name, Counting)
    }

    /// Combines the values of each key, two by two, in order. `name` is the durable name of the store.
    pub fn reduce(&self, name: &str, f: impl Fn(V, V) -> V + Send + Sync + 'static) -> Table<K, V>
    where
        V: Value,
    {
        self.folded("reduce", name, Reducing(f))
    }

    /// Adds each value to its key's row, which starts as `A::default()`. `name` is the durable name of the store.
    pub fn aggregate<A: Value + Default>(
        &self,
        name: &str,
        f: impl Fn(&K, V, &mut A) + Send + Sync + 'static,
    ) -> Table<K, A> {
        self.folded("aggregate", name, Aggregating(f))
    }

    fn folded<A: Value, F: Fold<K, V, A>>(&self, operator: &'static str, name: &str, fold: F) -> Table<K, A> {
        self.must_be_keyed(&format!("{operator}(\"{name}\")"));
        let (fold, store_name) = (Arc::new(fold), name.to_owned());
        let node = self.stream.graph.with_kind(
            operator,
            Kind::Store { name: name.into() },
            vec![self.stream.port],
            Arc::new(move |b| {
                let store = b.new_store(&store_name, true);
                Built::Operator(Box::new(Aggregate { input: b.input(0), out: b.output(0), store, fold: fold.clone() }))
            }),
        );
        Table::new(&self.stream.graph, node)
    }
}
