//! `join` and `left_join`: a stream with the current row of a table.
//!
//! Within a task inputs are merged by record timestamp, tables first, so a record meets the row as of its own
//! timestamp, or as of now when the table has no newer row. The table's changes alone produce nothing. A table that is
//! made from the same records as the stream (its own count, say) is read after each record, because such a task takes
//! records one by one.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::state::StoreRef;
use crate::topology::graph::{Kind, Node};
use crate::{Data, Key, Result, Stream, Table, Value};
use std::sync::Arc;

struct JoinTable<K, V, W, R, F> {
    input: Edge<Rec<K, V>>,
    out: Out<Rec<K, R>>,
    store: StoreRef<K, W>,
    join: Arc<F>,
}

impl<K, V, W, R, F> Operator for JoinTable<K, V, W, R, F>
where
    K: Key,
    V: Data,
    W: Value,
    R: Data,
    F: Fn(&V, Option<&W>) -> Option<R> + Send + Sync,
{
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let batch = edges.take(&self.input);
        let table = cx.stores.table(&self.store);
        let joined = batch.into_iter().filter_map(|r| {
            let at = r.with((), ());
            let result = (self.join)(&r.value, table.lookup(&r.key))?;
            Some(at.with(r.key, result))
        });
        let joined = joined.collect();
        self.out.send(edges, joined);
        Ok(())
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// Joins each record with the row of its key; records without one are dropped.
    pub fn join<W: Value, R: Data>(
        &self,
        table: &Table<K, W>,
        f: impl Fn(&V, &W) -> R + Send + Sync + 'static,
    ) -> Stream<K, R> {
        self.joined("join", table, move |value, row| row.map(|row| f(value, row)))
    }

    /// Joins each record with the row of its key, or with `None`.
    pub fn left_join<W: Value, R: Data>(
        &self,
        table: &Table<K, W>,
        f: impl Fn(&V, Option<&W>) -> R + Send + Sync + 'static,
    ) -> Stream<K, R> {
        self.joined("left_join", table, move |value, row| Some(f(value, row)))
    }

    fn joined<W: Value, R: Data>(
        &self,
        operator: &'static str,
        table: &Table<K, W>,
        join: impl Fn(&V, Option<&W>) -> Option<R> + Send + Sync + 'static,
    ) -> Stream<K, R> {
        self.must_be_keyed(operator);
        let (join, owner) = (Arc::new(join), table.port.node);
        let inputs = vec![self.port];
        let node = self.graph.add(Node {
            operator,
            kind: Kind::Plain,
            hold: self.graph.hold(&inputs),
            inputs,
            reads: vec![owner],
            build: Arc::new(move |b| {
                let store = b.store::<K, W>(owner);
                Built::Operator(Box::new(JoinTable { input: b.input(0), out: b.output(0), store, join: join.clone() }))
            }),
        });
        Stream::new(&self.graph, node, 0, false)
    }
}
