//! `to`: write a stream or a table's changes to a topic.

use super::{Build, Built, Cx, Edge, Edges, Operator, Outgoing};
use crate::data::{Rec, is_keyless};
use crate::topology::graph::{GraphRef, Kind, Port};
use crate::{Data, Key, Result, Stream, Table, Topic, Value};
use bytes::Bytes;
use std::sync::Arc;
use tailwater_log::Record;

struct Sink<K, V, F> {
    input: Edge<Rec<K, V>>,
    output: usize,
    encode: F,
}

impl<K: Key, V: Data, F: Fn(V) -> Option<Bytes> + Send> Operator for Sink<K, V, F> {
    fn run(&mut self, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        for r in edges.take(&self.input) {
            let record =
                Record { key: encode_key(&r.key), value: (self.encode)(r.value), timestamp: r.time, headers: vec![] };
            cx.outbox.push(Outgoing { output: self.output, partition: None, record });
            cx.counters.records_out += 1;
        }
        Ok(())
    }
}

/// A key's bytes; `()` is no key.
pub(super) fn encode_key<K: Key>(key: &K) -> Option<Bytes> {
    (!is_keyless::<K>()).then(|| key.to_bytes().into())
}

fn add<K: Key, V: Value, I: Data>(
    graph: &GraphRef,
    port: Port,
    topic: Topic<K, V>,
    encode: impl Fn(I) -> Option<Bytes> + Copy + Send + Sync + 'static,
) {
    let schema = V::schema().and_then(|schema| serde_json::to_string(&schema).ok());
    let build = move |b: &mut Build<'_>| {
        let output = b.output_topic(topic.name());
        Built::Operator(Box::new(Sink::<K, I, _> { input: b.input(0), output, encode }))
    };
    graph.with_kind("to", Kind::Sink { topic: topic.name().into(), schema }, vec![port], Arc::new(build));
}

impl<K: Key, V: Value> Stream<K, V> {
    /// Writes every record to `topic`, with its event time as timestamp. The topic is made if it is missing. After a
    /// crash records since the last commit are written again (at least once).
    pub fn to(&self, topic: Topic<K, V>) {
        add(&self.graph, self.port, topic, |value: V| Some(value.to_bytes().into()));
    }
}

impl<K: Key, V: Value> Table<K, V> {
    /// Writes every change to `topic`: the new value of the key, or a record without value when the row was removed.
    /// The topic is made if it is missing.
    pub fn to(&self, topic: Topic<K, V>) {
        add(&self.graph, self.port, topic, |value: Option<V>| value.map(|value| value.to_bytes().into()));
    }
}
