//! `key_by`: give records a new key and bring equal keys to one task, through a topic.
//!
//! One half writes to the repartition topic at the end of its sub-topology, the other reads it at the start of the
//! next. Each record carries the hop header (see `task::hop`): its stamp, and where it came from, so that the reader
//! can drop what a restarted writer writes again.

use super::{Built, Cx, Edge, Edges, Operator, Outgoing};
use crate::data::{Origin, Rec};
use crate::task::hop::HopHeader;
use crate::topology::graph::Kind;
use crate::{Key, Result, Stream, Value};
use std::sync::Arc;
use tailwater_log::Record;
use tailwater_log::record::partition_for_key;

struct Rekey<K, V, K2, F> {
    input: Edge<Rec<K, V>>,
    output: usize,
    partitions: u32,
    key: Arc<F>,
    new_key: std::marker::PhantomData<fn() -> K2>,
}

impl<K: Key, V: Value, K2: Key, F: Fn(&K, &V) -> K2 + Send + Sync> Operator for Rekey<K, V, K2, F> {
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let (mut last, mut sub) = (Origin::NONE, 0);
        for r in edges.take(&self.input) {
            // All records of one origin are in one batch, next to each other; `sub` numbers them.
            sub = if r.origin == last { sub + 1 } else { 0 };
            last = r.origin;
            let key = (self.key)(&r.key, &r.value).to_bytes();
            let partition = partition_for_key(&key, self.partitions);
            let header = HopHeader { time: r.time, stamp: r.stamp, origin: r.origin, sub };
            let record = Record {
                key: Some(key.into()),
                value: Some(r.value.to_bytes().into()),
                timestamp: r.logged,
                headers: vec![header.encode()],
            };
            cx.outbox.push(Outgoing { output: self.output, partition: Some(partition), record });
        }
        Ok(())
    }
}

impl<K: Key, V: Value> Stream<K, V> {
    /// Gives each record the key that `key` makes, and brings equal keys together: the records go through the topic
    /// `<app>-<name>-repartition`, which has as many partitions as what they are joined or merged with, and else as
    /// many as this stream. `name` is durable.
    pub fn key_by<K2: Key>(&self, name: &str, key: impl Fn(&K, &V) -> K2 + Send + Sync + 'static) -> Stream<K2, V> {
        let key = Arc::new(key);
        let writer = self.graph.with_kind(
            "key_by",
            Kind::Rekey { name: name.into() },
            vec![self.port],
            Arc::new(move |b| {
                let (output, partitions) = b.rekey_output();
                let (input, key) = (b.input(0), key.clone());
                let new_key = std::marker::PhantomData::<fn() -> K2>;
                Built::Operator(Box::new(Rekey { input, output, partitions, key, new_key }))
            }),
        );
        read_rekeyed(&self.graph, name, writer)
    }
}

/// The stream of what `writer` writes.
pub(crate) fn read_rekeyed<K: Key, V: Value>(
    graph: &crate::topology::graph::GraphRef,
    name: &str,
    writer: usize,
) -> Stream<K, V> {
    // The hold of the writer's windows goes into the watermarks that it announces.
    let node = graph.with_kind(
        "rekeyed",
        Kind::Rekeyed { name: name.into(), writer },
        Vec::new(),
        Arc::new(|b| Built::Source(crate::task::source::rekeyed::<K, V>(b))),
    );
    Stream::new(graph, node, 0, false)
}
