//! The requests and responses of [`super::Service`].

use super::ProduceTransaction;
use crate::record::{AbortedTransaction, ProducerStamp, StoredRecord, committed};
use crate::types::{
    Error, GroupId, Isolation, LogOffsets, Offset, OffsetSpec, PartitionIndex, Result, Timestamp, TopicConfig, TopicId,
    TopicName, TopicPartition,
};
use bytes::Bytes;
use std::time::Duration;

pub use crate::types::ShareOutcome;

/// Deletes the records of partitions before an offset each (Kafka's DeleteRecords).
#[derive(Clone, Debug)]
pub struct DeleteRecords {
    /// Where each partition is to begin: at most its high watermark. One that begins behind it already stays as it is.
    pub partitions: Vec<(TopicPartition, OffsetSpec)>,
}

/// Asks what topics there are (Kafka's DescribeTopicPartitions).
#[derive(Clone, Debug, Default)]
pub struct DescribeTopics {
    /// `None` for all; a named topic that is missing is an error.
    pub topics: Option<Vec<TopicName>>,
    /// Whether to list `__` topics when all are asked for.
    pub include_internal: bool,
}

/// A topic as it is now.
#[derive(Clone, Debug)]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its identity: a topic made again under the same name has another.
    pub id: TopicId,
    /// Its settings.
    pub config: TopicConfig,
    /// In order of partition index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition as it is now.
#[derive(Clone, Debug)]
pub struct PartitionDescription {
    /// The partition.
    pub partition: PartitionIndex,
    /// Its offsets.
    pub offsets: LogOffsets,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segment files.
    pub segments: u32,
    /// Whether some offsets may have no record: what was compacted or repaired leaves gaps.
    pub has_gaps: bool,
    /// Why the partition does not take writes, if it does not.
    pub damage: Option<Error>,
}

/// Appends one batch to one partition (Kafka's Produce).
#[derive(Clone, Debug)]
pub struct Produce {
    /// The partition.
    pub partition: TopicPartition,
    /// Exactly one record batch (format v2) with base offset 0. Build it with [`crate::record::BatchBuilder`].
    pub batch: Bytes,
    /// For a transactional batch.
    pub transaction: Option<ProduceTransaction>,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The offset of the batch's first record. A duplicate gets the offset that the first one got.
    pub base_offset: Offset,
    /// Whether the batch had been appended before (same producer, same sequence).
    pub duplicate: bool,
    /// The broker's time that the records were given, if the topic asks for it (`message.timestamp.type`) and the batch
    /// is not a duplicate.
    pub append_time: Option<Timestamp>,
}

/// Reads batches of several partitions (Kafka's Fetch).
#[derive(Clone, Debug)]
pub struct Fetch {
    /// What to read.
    pub partitions: Vec<FetchPartition>,
    /// How long to wait for `min_bytes`; zero answers at once.
    pub max_wait: Duration,
    /// Bytes to wait for, over all partitions.
    pub min_bytes: u32,
    /// How far to read: whoever reads committed records takes them from [`Fetched::committed`].
    pub isolation: Isolation,
}

/// What to read of one partition.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// Where to begin.
    pub offset: Offset,
    /// At least one whole batch is returned even if it is larger.
    pub max_bytes: u32,
}

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The partition.
    pub partition: TopicPartition,
    /// The offsets of the partition at that moment.
    pub offsets: LogOffsets,
    /// Whole batches; the first one may begin before the offset asked for, so skip records below it.
    /// Read with [`crate::record::records`].
    pub batches: Bytes,
    /// Whose records among them were aborted, by first offset; only for a reader of committed records.
    pub aborted: Vec<AbortedTransaction>,
}

impl Fetched {
    /// The batches with those of aborted transactions emptied: offsets pass over them, and no record of them is read.
    /// Copies nothing unless something was aborted.
    ///
    /// [`Error::Malformed`] if the batches are not whole.
    pub fn committed(&self) -> Result<Bytes> {
        committed(&self.batches, &self.aborted)
    }
}

/// Resolves positions (Kafka's ListOffsets).
#[derive(Clone, Debug)]
pub struct ListOffsets {
    /// Which position of which partition.
    pub partitions: Vec<(TopicPartition, OffsetSpec)>,
    /// What counts as the latest: for a reader of committed records it is the last stable offset.
    pub isolation: Isolation,
}

/// A resolved position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: Offset,
}

/// Asks which idempotent producers a partition remembers (Kafka's DescribeProducers).
#[derive(Clone, Debug)]
pub struct DescribeProducers {
    /// The partition.
    pub partition: TopicPartition,
}

/// What a partition remembers of one idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// `base_sequence` here is the sequence of the last record appended; -1 if there is none in this epoch.
    pub last: ProducerStamp,
    /// The offset of that record; -1 if there is none.
    pub last_offset: Offset,
    /// When it appended last, by the broker's clock.
    pub last_timestamp: Timestamp,
    /// Of the coordinator that ended its last transaction; -1 before.
    pub coordinator_epoch: i32,
    /// Where its open transaction began, if one is open.
    pub transaction_start: Option<Offset>,
}

/// Takes records of a queue (KIP-932's ShareFetch).
#[derive(Clone, Debug)]
pub struct ShareFetch {
    /// The group.
    pub group: GroupId,
    /// The topic.
    pub topic: TopicName,
    /// Who takes the leases: unique to a worker.
    pub member: String,
    /// Records at most.
    pub max_records: u32,
    /// How long to wait while there is none.
    pub max_wait: Duration,
}

/// A record that is leased to a worker until `lease_until` on the service's monotonic clock.
#[derive(Clone, Debug)]
pub struct LeasedRecord {
    /// The partition.
    pub partition: TopicPartition,
    /// The record.
    pub record: StoredRecord,
    /// 1 for the first delivery.
    pub delivery: u16,
    /// How long the worker has it.
    pub lease: Duration,
}

/// Says what became of leased records (KIP-932's ShareAcknowledge).
#[derive(Clone, Debug)]
pub struct ShareAcknowledge {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: String,
    /// Which record, and what became of it.
    pub outcomes: Vec<(TopicPartition, Offset, ShareOutcome)>,
}
