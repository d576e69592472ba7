//! A table that is read from a topic: keeps the last value of each key and passes the changes on.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::state::StoreRef;
use crate::topology::graph::{GraphRef, NodeId, Port};
use crate::{Key, Result, Value};
use std::sync::Arc;

struct TableOf<K, V> {
    input: Edge<Rec<K, Option<V>>>,
    out: Out<Rec<K, Option<V>>>,
    store: StoreRef<K, V>,
}

impl<K: Key, V: Value> Operator for TableOf<K, V> {
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let batch = edges.take(&self.input);
        let table = cx.stores.table(&self.store);
        for r in &batch {
            match &r.value {
                Some(value) => table.insert(&r.key, value.clone()),
                None => {
                    table.remove(&r.key);
                }
            }
        }
        if !cx.rebuilding {
            self.out.send(edges, batch);
        }
        Ok(())
    }
}

/// Adds the node that keeps the table which `source` reads.
pub(crate) fn table_node<K: Key, V: Value>(graph: &GraphRef, source: Port, name: &str) -> NodeId {
    let name = name.to_owned();
    graph.plain(
        "table",
        vec![source],
        Arc::new(move |b| {
            let store = b.new_store::<K, V>(&name, false);
            Built::Operator(Box::new(TableOf { input: b.input(0), out: b.output(0), store }))
        }),
    )
}
