//! Reading topics: `stream`, `table`, and what can be said about a source right after it.

use crate::operators::{Built, table_node};
use crate::task::source::reader;
use crate::topology::graph::{GraphRef, Kind, Port};
use crate::{Data, Key, Stream, Table, Topic, Value, Watermarks};
use std::sync::Arc;
use std::time::Duration;
use tailwater_log::Timestamp;

/// What becomes of a record that does not decode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Decode {
    /// The job stops with an error that names the record. What was committed stays. The default: nothing is lost
    /// without a decision.
    #[default]
    Fail,
    /// The record is left out and counted as skipped.
    Skip,
    /// The record goes to this topic as it is, with the headers `tw.dead.topic`, `tw.dead.partition`,
    /// `tw.dead.offset` and `tw.dead.reason`, and is counted as skipped.
    DeadLetter(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    Stream,
    Table { name: String },
}

/// What the plan and the task know of a source.
#[derive(Clone, Debug)]
pub(crate) struct SourceSpec {
    pub(crate) topic: String,
    pub(crate) kind: SourceKind,
    pub(crate) disorder: Duration,
    pub(crate) watermarks: Watermarks,
    pub(crate) decode: Decode,
}

impl SourceSpec {
    fn new(topic: &str, kind: SourceKind) -> Self {
        let (disorder, watermarks, decode) = (Duration::ZERO, Watermarks::default(), Decode::default());
        Self { topic: topic.into(), kind, disorder, watermarks, decode }
    }
}

pub(crate) fn stream<K: Key, V: Value>(graph: &GraphRef, topic: Topic<K, V>) -> Stream<K, V> {
    let spec = SourceSpec::new(topic.name(), SourceKind::Stream);
    let node = graph.with_kind("stream", Kind::Source(spec), Vec::new(), stream_build::<K, V>(own_time));
    Stream::new(graph, node, 0, false)
}

pub(crate) fn table<K: Key, V: Value>(graph: &GraphRef, topic: Topic<K, V>, name: &str) -> Table<K, V> {
    let spec = SourceSpec::new(topic.name(), SourceKind::Table { name: name.into() });
    let read = graph.with_kind(
        "read_table",
        Kind::Source(spec),
        Vec::new(),
        Arc::new(|b| Built::Source(reader::<K, V, Option<V>>(b, own_time, Some))),
    );
    Table::new(graph, table_node::<K, V>(graph, Port { node: read, output: 0 }, name))
}

/// The event time that the value carries, or else the record's timestamp.
fn own_time<K, V: Value>(_: &K, value: &V, record: Timestamp) -> Timestamp {
    value.event_time().unwrap_or(record)
}

fn stream_build<K: Key, V: Value>(
    time: impl Fn(&K, &V, Timestamp) -> Timestamp + Clone + Send + Sync + 'static,
) -> crate::topology::graph::BuildFn {
    Arc::new(move |b| Built::Source(reader::<K, V, V>(b, time.clone(), |value| value)))
}

impl<K: Key, V: Data> Stream<K, V> {
    fn source(&self, method: &str, edit: impl FnOnce(&mut SourceSpec)) -> Self {
        let is_source = self.graph.edit(|graph| match &mut graph.nodes[self.port.node].kind {
            Kind::Source(spec) => {
                edit(spec);
                true
            }
            _ => false,
        });
        if !is_source {
            self.graph.wrong(format!("{method} says something about a source; call it right after t.stream(TOPIC)"));
        }
        self.clone()
    }

    /// How far out of order event times may be in a partition: the watermark stays this far behind the highest one
    /// seen. Zero unless said otherwise. Only right after [`Topology::stream`](crate::Topology::stream).
    pub fn disorder(&self, disorder: Duration) -> Self {
        self.source("disorder", |spec| spec.disorder = disorder)
    }

    /// What the watermark follows. Only right after [`Topology::stream`](crate::Topology::stream).
    pub fn watermark(&self, watermarks: Watermarks) -> Self {
        self.source("watermark", |spec| spec.watermarks = watermarks)
    }

    /// What becomes of records that do not decode. Only right after [`Topology::stream`](crate::Topology::stream).
    pub fn decode(&self, decode: Decode) -> Self {
        self.source("decode", |spec| spec.decode = decode)
    }
}

impl<K: Key, V: Value> Stream<K, V> {
    /// When what a record tells happened, from its key and value. Without this it is the field marked
    /// `#[record(event_time)]`, or else the record's timestamp. Only right after
    /// [`Topology::stream`](crate::Topology::stream).
    pub fn event_time(&self, time: impl Fn(&K, &V) -> Timestamp + Send + Sync + 'static) -> Self {
        let time = Arc::new(time);
        let build = stream_build::<K, V>(move |key, value, _| time(key, value));
        let node = self.port.node;
        let stream = self.source("event_time", |_| ());
        self.graph.edit(|graph| {
            if matches!(graph.nodes[node].kind, Kind::Source(_)) {
                graph.nodes[node].build = build;
            }
        });
        stream
    }
}
