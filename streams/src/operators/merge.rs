//! `merge`: two streams as one.

use super::{Built, Cx, Edge, Edges, Operator, Out};
use crate::data::Rec;
use crate::{Data, Key, Result, Stream};
use std::sync::Arc;

struct Merge<K, V> {
    left: Edge<Rec<K, V>>,
    right: Edge<Rec<K, V>>,
    out: Out<Rec<K, V>>,
}

impl<K: Key, V: Data> Operator for Merge<K, V> {
    fn run(&mut self, edges: &mut Edges, _: &mut Cx) -> Result<()> {
        let mut records = edges.take(&self.left);
        let mut right = edges.take(&self.right);
        if !records.is_empty() && !right.is_empty() {
            records.append(&mut right);
            // Both came from one run of one input; the sort is stable, so records of one origin keep their order.
            records.sort_by_key(|r| r.origin.offset);
        } else {
            records.append(&mut right);
        }
        self.out.send(edges, records);
        Ok(())
    }
}

impl<K: Key, V: Data> Stream<K, V> {
    /// The records of both streams, in the order in which their sources were read. Both must have the same number of
    /// partitions.
    pub fn merge(&self, other: &Self) -> Self {
        let node = self.graph.plain(
            "merge",
            vec![self.port, other.port],
            Arc::new(move |b| {
                Built::Operator(Box::new(Merge::<K, V> { left: b.input(0), right: b.input(1), out: b.output(0) }))
            }),
        );
        Self::new(&self.graph, node, 0, self.rekeyed || other.rekeyed)
    }
}
