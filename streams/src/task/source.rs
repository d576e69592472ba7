//! From stored bytes to typed records: the first operator of each input.

use super::hop::HopHeader;
use super::watermark::PartitionClock;
use crate::data::{Origin, Rec, is_keyless};
use crate::operators::{Build, Cx, Edges, Out, Outgoing};
use crate::source::{Decode, SourceSpec};
use crate::topology::graph::Kind;
use crate::{Data, Error, Key, Result, Value};
use bytes::Bytes;
use tailwater_log::{DecodeError, Header, Record, StoredRecord, Timestamp, TopicPartition};

/// A record with what its hop header said, if it came through a repartition topic.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) record: StoredRecord,
    pub(crate) hop: Option<HopHeader>,
}

/// Where a batch comes from.
pub(crate) struct InputSide<'a> {
    pub(crate) partition: &'a TopicPartition,
    /// The hash that stands for the partition in origins.
    pub(crate) source: u64,
    pub(crate) clock: &'a mut PartitionClock,
}

/// Decodes a batch of one input and puts it on the source's edges.
pub(crate) trait Ingest: Send {
    fn ingest(&mut self, batch: Vec<Arrival>, side: InputSide<'_>, edges: &mut Edges, cx: &mut Cx) -> Result<()>;
}

struct Reader<K, W, V, T> {
    out: Out<Rec<K, W>>,
    decode: Decode,
    /// The output that takes dead letters.
    dead: Option<usize>,
    time: T,
    /// What a value, or the lack of one, is downstream; `None` to skip it.
    value: fn(Option<V>) -> Option<W>,
}

impl<K: Key, V: Value, W: Data, T: Fn(&K, &V, Timestamp) -> Timestamp + Send> Ingest for Reader<K, W, V, T> {
    fn ingest(&mut self, batch: Vec<Arrival>, side: InputSide<'_>, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let mut records = Vec::with_capacity(batch.len());
        for Arrival { record, hop } in batch {
            let (key, value) = match decode::<K, V>(&record) {
                Ok(decoded) => decoded,
                Err(error) => {
                    self.undecodable(record, error, side.partition, cx)?;
                    continue;
                }
            };
            let logged = record.timestamp;
            let (time, stamp) = match (&hop, &value) {
                (Some(hop), _) => (hop.time, hop.stamp),
                (None, value) => {
                    let time = value.as_ref().map_or(logged, |value| (self.time)(&key, value, logged));
                    (time, side.clock.observe(time, logged))
                }
            };
            let origin = Origin { source: side.source, offset: record.offset };
            match (self.value)(value) {
                Some(value) => records.push(Rec { key, value, time, logged, stamp, origin }),
                None => cx.counters.skipped += 1,
            }
        }
        self.out.send(edges, records);
        Ok(())
    }
}

fn decode<K: Key, V: Value>(record: &StoredRecord) -> Result<(K, Option<V>), DecodeError> {
    let named = |what: &str, e: DecodeError| DecodeError { why: format!("{what}: {}", e.why) };
    // A record without a key lies in any partition: to take it for an empty key would split that key's state.
    if record.key.is_none() && !is_keyless::<K>() {
        let why = "key: the record has none; declare the topic as `Topic<(), _>` and give it one with `.key_by`".into();
        return Err(DecodeError { why });
    }
    let key = K::decode(record.key.as_deref().unwrap_or_default()).map_err(|e| named("key", e))?;
    let value = record.value.as_deref().map(V::decode).transpose().map_err(|e| named("value", e))?;
    Ok((key, value))
}

impl<K, V, W, T> Reader<K, W, V, T> {
    fn undecodable(&self, record: StoredRecord, error: DecodeError, at: &TopicPartition, cx: &mut Cx) -> Result<()> {
        match (&self.decode, self.dead) {
            (Decode::Skip, _) => {}
            (Decode::DeadLetter(_), Some(output)) => {
                cx.outbox.push(Outgoing { output, partition: None, record: dead_letter(record, error, at) });
            }
            _ => {
                return Err(Error::Undecodable { partition: at.clone(), offset: record.offset, why: error.why });
            }
        }
        cx.counters.skipped += 1;
        Ok(())
    }
}

/// The record as it was, with why and where it was found.
fn dead_letter(record: StoredRecord, error: DecodeError, at: &TopicPartition) -> Record {
    let mut headers = record.headers;
    let mut add = |key: &str, value: String| {
        headers.push(Header { key: key.into(), value: Some(Bytes::from(value)) });
    };
    add("tw.dead.topic", at.topic.to_string());
    add("tw.dead.partition", at.partition.to_string());
    add("tw.dead.offset", record.offset.to_string());
    add("tw.dead.reason", error.why);
    Record { key: record.key, value: record.value, timestamp: record.timestamp, headers }
}

/// The reader of a user's topic.
pub(crate) fn reader<K: Key, V: Value, W: Data>(
    b: &mut Build<'_>,
    time: impl Fn(&K, &V, Timestamp) -> Timestamp + Send + 'static,
    value: fn(Option<V>) -> Option<W>,
) -> Box<dyn Ingest> {
    let Kind::Source(SourceSpec { decode, .. }) = &b.plan.graph.nodes[b.node].kind else {
        unreachable!("readers are built for sources");
    };
    let dead = match decode {
        Decode::DeadLetter(topic) => Some(b.output_topic(topic)),
        _ => None,
    };
    Box::new(Reader { out: b.output(0), decode: decode.clone(), dead, time, value })
}

/// The reader of a repartition topic. What does not decode there is damage or a changed type, so it always fails.
pub(crate) fn rekeyed<K: Key, V: Value>(b: &mut Build<'_>) -> Box<dyn Ingest> {
    let time = |_: &K, _: &V, record: Timestamp| record;
    Box::new(Reader::<K, V, V, _> { out: b.output(0), decode: Decode::Fail, dead: None, time, value: |value| value })
}
