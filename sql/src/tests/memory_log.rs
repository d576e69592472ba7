//! A log in memory, for reading: real record batches behind the real `Service` seam.

use futures::future::{BoxFuture, FutureExt, ready};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tailwater_log::codec::Schema;
use tailwater_log::env::Clock;
use tailwater_log::record::{BatchBuilder, Compression, Record, partition_for_key, records, stamp_offset};
use tailwater_log::service::*;
use tailwater_log::types::{
    Error, LogOffsets, OffsetSpec, PartitionIndex, ProducerIdentity, Result, Timestamp, TopicConfig, TopicId, TopicName,
};
use tailwater_log::{Log, StoredRecord};

/// Records of one batch at most, so that a partition has several.
const BATCH_RECORDS: usize = 100;

#[derive(Clone, Debug, Default)]
pub(super) struct MemoryLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    /// Partitions that were fetched from, with the bytes that they gave.
    fetched: Vec<(PartitionIndex, usize)>,
}

#[derive(Debug)]
struct Topic {
    id: TopicId,
    config: TopicConfig,
    partitions: Vec<Partition>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    end: i64,
    batches: Vec<(i64, Vec<u8>)>,
}

impl MemoryLog {
    pub(super) fn log(&self) -> Log {
        Log::over(Arc::new(self.clone()))
    }

    pub(super) fn topic(&self, name: &str, partitions: PartitionIndex, schema: Option<&Schema>) {
        let schema = schema.map(|s| serde_json::to_string(s).expect("a schema is JSON"));
        let mut state = self.0.lock().unwrap();
        // Distinct, and not the identity of a topic that was there before.
        let id: TopicId = serde_json::from_str(&format!("\"{:032x}\"", state.topics.len() + 1)).unwrap();
        let config = TopicConfig { schema, ..TopicConfig::default() };
        let partitions = vec![Partition::default(); partitions as usize];
        state.topics.insert(name.to_owned(), Topic { id, config, partitions });
    }

    /// Appends one record; without a partition, the key chooses it.
    pub(super) fn append(&self, topic: &str, partition: Option<PartitionIndex>, record: &Record) {
        let mut state = self.0.lock().unwrap();
        let partitions = &mut state.topics.get_mut(topic).expect("the topic exists").partitions;
        let of_key = || record.key.as_ref().map_or(0, |k| partition_for_key(k, partitions.len() as u32));
        let partition = partition.unwrap_or_else(of_key);
        let partition = &mut partitions[partition as usize];
        let mut all = Vec::new();
        if let Some((_, last)) = partition.batches.last() {
            let stored: Vec<StoredRecord> = records(last.clone().into()).map(|r| r.unwrap()).collect();
            if stored.len() < BATCH_RECORDS {
                all.extend(stored.into_iter().map(|r| Record {
                    key: r.key,
                    value: r.value,
                    timestamp: r.timestamp,
                    headers: r.headers,
                }));
                partition.batches.pop();
            }
        }
        let base = partition.end - all.len() as i64;
        all.push(record.clone());
        let mut builder = BatchBuilder::new(Compression::None);
        all.iter().for_each(|r| builder.push(r));
        let mut batch = builder.finish().to_vec();
        stamp_offset(&mut batch, base, 0);
        partition.batches.push((base, batch));
        partition.end += 1;
    }

    /// Appends values with a key and the timestamps 0, 1000, 2000 ….
    pub(super) fn put(&self, topic: &str, values: &[(&str, &str)]) {
        for (i, (key, value)) in values.iter().enumerate() {
            self.append(topic, None, &record(Some(key), Some(value.as_bytes()), 1000 * i as i64));
        }
    }

    /// What was fetched since the last call: (partition, bytes).
    pub(super) fn take_fetched(&self) -> Vec<(PartitionIndex, usize)> {
        std::mem::take(&mut self.0.lock().unwrap().fetched)
    }
}

pub(super) fn record(key: Option<&str>, value: Option<&[u8]>, timestamp: i64) -> Record {
    Record {
        key: key.map(|k| k.to_owned().into()),
        value: value.map(|v| v.to_vec().into()),
        timestamp: Timestamp(timestamp),
        headers: Vec::new(),
    }
}

impl Partition {
    fn offsets(&self) -> LogOffsets {
        LogOffsets {
            log_start_offset: 0,
            last_stable_offset: self.end,
            high_watermark: self.end,
            log_end_offset: self.end,
        }
    }

    fn records(&self) -> impl Iterator<Item = StoredRecord> + '_ {
        self.batches.iter().flat_map(|(_, batch)| records(batch.clone().into()).map(|r| r.unwrap()))
    }
}

fn answer<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    ready(value).boxed()
}

impl Service for MemoryLog {
    fn clock(&self) -> Clock {
        Clock::manual(Timestamp(0))
    }

    fn describe_topics(&self, request: DescribeTopics) -> BoxFuture<'_, Result<Vec<TopicDescription>>> {
        let state = self.0.lock().unwrap();
        let wanted = |name: &str| request.topics.as_ref().is_none_or(|t| t.iter().any(|t| t.as_str() == name));
        let described = state.topics.iter().filter(|(name, _)| wanted(name)).map(|(name, topic)| TopicDescription {
            name: TopicName::new(name).unwrap(),
            id: topic.id,
            config: topic.config.clone(),
            partitions: (0..)
                .zip(&topic.partitions)
                .map(|(partition, p)| PartitionDescription {
                    partition,
                    offsets: p.offsets(),
                    bytes: 0,
                    segments: 1,
                    has_gaps: false,
                    damage: None,
                })
                .collect(),
        });
        answer(Ok(described.collect()))
    }

    fn fetch(&self, request: Fetch) -> BoxFuture<'_, Result<Vec<Fetched>>> {
        let mut state = self.0.lock().unwrap();
        let mut fetched = Vec::new();
        for wanted in request.partitions {
            let partition =
                &state.topics[wanted.partition.topic.as_str()].partitions[wanted.partition.partition as usize];
            // A batch begins at or before the offset when the next one begins behind it.
            let first = partition.batches.iter().rposition(|(base, _)| *base <= wanted.offset).unwrap_or(0);
            let mut bytes = Vec::new();
            for (_, batch) in &partition.batches[first..] {
                if !bytes.is_empty() && bytes.len() + batch.len() > wanted.max_bytes as usize {
                    break;
                }
                bytes.extend_from_slice(batch);
            }
            let offsets = partition.offsets();
            state.fetched.push((wanted.partition.partition, bytes.len()));
            let aborted = Vec::new();
            fetched.push(Fetched { partition: wanted.partition, offsets, batches: bytes.into(), aborted });
        }
        answer(Ok(fetched))
    }

    fn list_offsets(&self, request: ListOffsets) -> BoxFuture<'_, Result<Vec<ListedOffset>>> {
        let state = self.0.lock().unwrap();
        let listed = request.partitions.into_iter().map(|(partition, spec)| {
            let log = &state.topics[partition.topic.as_str()].partitions[partition.partition as usize];
            let offset = match spec {
                OffsetSpec::Earliest => 0,
                OffsetSpec::Latest => log.end,
                OffsetSpec::Exactly(offset) => offset.clamp(0, log.end),
                OffsetSpec::At(moment) => log.records().find(|r| r.timestamp >= moment).map_or(log.end, |r| r.offset),
            };
            ListedOffset { partition, offset }
        });
        answer(Ok(listed.collect()))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        answer(Ok(()))
    }

    fn create_topics(&self, _: CreateTopics) -> BoxFuture<'_, Vec<Result<TopicDescription>>> {
        answer(Vec::new())
    }
    fn delete_records(&self, _: DeleteRecords) -> BoxFuture<'_, Result<Vec<ListedOffset>>> {
        answer(Err(Error::Closed))
    }
    fn delete_topic(&self, _: DeleteTopic) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
    fn produce(&self, _: Produce) -> BoxFuture<'_, Result<Produced>> {
        answer(Err(Error::Closed))
    }
    fn describe_producers(&self, _: DescribeProducers) -> BoxFuture<'_, Result<Vec<ProducerState>>> {
        answer(Err(Error::Closed))
    }
    fn init_producer_id(&self, _: InitProducerId) -> BoxFuture<'_, Result<ProducerIdentity>> {
        answer(Err(Error::Closed))
    }
    fn add_partitions_to_transaction(&self, _: AddPartitionsToTransaction) -> BoxFuture<'_, Vec<Result<()>>> {
        answer(Vec::new())
    }
    fn add_offsets_to_transaction(&self, _: AddOffsetsToTransaction) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
    fn commit_transaction_offsets(&self, _: CommitTransactionOffsets) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
    fn end_transaction(&self, _: EndTransaction) -> BoxFuture<'_, Result<ProducerIdentity>> {
        answer(Err(Error::Closed))
    }
    fn describe_transactions(&self, _: DescribeTransactions) -> BoxFuture<'_, Vec<Result<TransactionDescription>>> {
        answer(Vec::new())
    }
    fn list_transactions(&self, _: ListTransactions) -> BoxFuture<'_, Result<Vec<TransactionDescription>>> {
        answer(Err(Error::Closed))
    }
    fn join_group(&self, _: JoinGroup) -> BoxFuture<'_, Result<JoinedGroup>> {
        answer(Err(Error::Closed))
    }
    fn heartbeat(&self, _: Heartbeat) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
    fn leave_group(&self, _: LeaveGroup) -> BoxFuture<'_, Result<Vec<Result<()>>>> {
        answer(Err(Error::Closed))
    }
    fn commit_offsets(&self, _: CommitOffsets) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
    fn committed_offsets(&self, _: CommittedOffsets) -> BoxFuture<'_, Result<Vec<CommittedOffset>>> {
        answer(Err(Error::Closed))
    }
    fn describe_groups(&self, _: DescribeGroups) -> BoxFuture<'_, Result<Vec<GroupDescription>>> {
        answer(Err(Error::Closed))
    }
    fn delete_group(&self, _: DeleteGroup) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
    fn share_fetch(&self, _: ShareFetch) -> BoxFuture<'_, Result<Vec<LeasedRecord>>> {
        answer(Err(Error::Closed))
    }
    fn share_acknowledge(&self, _: ShareAcknowledge) -> BoxFuture<'_, Result<()>> {
        answer(Err(Error::Closed))
    }
}
