//! `changes`: a table as the stream of its new values.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::{Key, Result, Stream, Table, Value};
use std::sync::Arc;

struct Changes<K, V> {
    input: Edge<Rec<K, Option<V>>>,
    out: Out<Rec<K, V>>,
}

impl<K: Key, V: Value> Operator for Changes<K, V> {
    fn run(&mut self, edges: &mut Edges, _: &mut Cx) -> Result<()> {
        let changes = edges.take(&self.input).into_iter().filter_map(|r| {
            let at = r.with((), ());
            r.value.map(|value| at.with(r.key, value))
        });
        self.out.send(edges, changes.collect());
        Ok(())
    }
}

impl<K: Key, V: Value> Table<K, V> {
    /// Each new value of a key, in order. Removals are left out; [`Table::to`] writes them too.
    pub fn changes(&self) -> Stream<K, V> {
        let node = self.graph.plain(
            "changes",
            vec![self.port],
            Arc::new(move |b| Built::Operator(Box::new(Changes::<K, V> { input: b.input(0), out: b.output(0) }))),
        );
        Stream::new(&self.graph, node, 0, false)
    }
}
