//! The requests and responses of [`super::Service`].

use crate::record::{ProducerStamp, StoredRecord};
use crate::types::{
    GroupId, LogOffsets, Offset, OffsetSpec, PartitionIndex, Timestamp, TopicConfig, TopicId, TopicName,
    TopicPartition, TopicSpec,
};
use bytes::Bytes;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct CreateTopics {
    pub topics: Vec<TopicSpec>,
}

#[derive(Clone, Debug)]
pub struct DeleteTopic {
    pub topic: TopicName,
}

#[derive(Clone, Debug, Default)]
pub struct DescribeTopics {
    /// `None` for all; a named topic that is missing is an error.
    pub topics: Option<Vec<TopicName>>,
    /// Whether to list `__` topics when all are asked for.
    pub include_internal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: TopicName,
    pub id: TopicId,
    pub config: TopicConfig,
    /// In order of partition index.
    pub partitions: Vec<PartitionDescription>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    pub partition: PartitionIndex,
    pub offsets: LogOffsets,
    /// Bytes on disk.
    pub bytes: u64,
    pub segments: u32,
    /// Why the partition does not take writes, if it does not.
    pub damage: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Produce {
    pub partition: TopicPartition,
    /// Exactly one record batch (format v2) with base offset 0. Build it with [`crate::record::BatchBuilder`].
    pub batch: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The offset of the batch's first record. A duplicate gets the offset that the first one got.
    pub base_offset: Offset,
    /// Whether the batch had been appended before (same producer, same sequence).
    pub duplicate: bool,
}

#[derive(Clone, Debug)]
pub struct Fetch {
    pub partitions: Vec<FetchPartition>,
    /// How long to wait for `min_bytes`; zero answers at once.
    pub max_wait: Duration,
    pub min_bytes: u32,
}

#[derive(Clone, Debug)]
pub struct FetchPartition {
    pub partition: TopicPartition,
    pub offset: Offset,
    /// At least one whole batch is returned even if it is larger.
    pub max_bytes: u32,
}

#[derive(Clone, Debug)]
pub struct Fetched {
    pub partition: TopicPartition,
    pub offsets: LogOffsets,
    /// Whole batches; the first one may begin before the offset asked for, so skip records below it.
    /// Read with [`crate::record::records`].
    pub batches: Bytes,
}

#[derive(Clone, Debug)]
pub struct ListOffsets {
    pub partitions: Vec<(TopicPartition, OffsetSpec)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    pub partition: TopicPartition,
    pub offset: Offset,
}

#[derive(Clone, Debug)]
pub struct DescribeProducers {
    pub partition: TopicPartition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// `base_sequence` here is the sequence of the last record appended.
    pub last: ProducerStamp,
    pub last_offset: Offset,
}

#[derive(Clone, Debug)]
pub struct JoinGroup {
    pub group: GroupId,
    /// Empty to join for the first time; then what [`JoinedGroup`] gave.
    pub member: String,
    pub topics: Vec<TopicName>,
    /// A member that is silent for longer is taken to be dead.
    pub session_timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedGroup {
    pub member: String,
    pub generation: u32,
    pub assignment: Vec<TopicPartition>,
}

#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub group: GroupId,
    pub member: String,
    pub generation: u32,
}

#[derive(Clone, Debug)]
pub struct LeaveGroup {
    pub group: GroupId,
    pub member: String,
}

#[derive(Clone, Debug)]
pub struct CommitOffsets {
    pub group: GroupId,
    /// The member and generation that commit; `None` for a client that manages its own partitions
    /// (refused while the group has active members).
    pub member: Option<(String, u32)>,
    /// The next offset to read of each partition.
    pub offsets: Vec<(TopicPartition, Offset)>,
}

#[derive(Clone, Debug)]
pub struct CommittedOffsets {
    pub group: GroupId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub partition: TopicPartition,
    /// The next offset to read.
    pub offset: Offset,
    pub committed_at: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub struct DescribeGroups {
    /// `None` for all; a named group that is missing is an error.
    pub groups: Option<Vec<GroupId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Publish-subscribe: each partition is read by one member, positions are committed.
    Consumer,
    /// A queue: each record is leased to one worker.
    Share,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group: GroupId,
    pub kind: GroupKind,
    pub generation: u32,
    pub members: Vec<GroupMember>,
    pub partitions: Vec<GroupPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub member: String,
    pub assignment: Vec<TopicPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPartition {
    pub partition: TopicPartition,
    /// Consumer group: the committed offset. Queue: everything below it is finished.
    pub position: Offset,
    /// Records between the position and the high watermark that are not finished.
    pub lag_records: u64,
    /// Age of the oldest unfinished record; `None` when there is none.
    pub lag: Option<Duration>,
    /// Queue: records leased now.
    pub leased: u64,
}

#[derive(Clone, Debug)]
pub struct DeleteGroup {
    pub group: GroupId,
}

#[derive(Clone, Debug)]
pub struct ShareFetch {
    pub group: GroupId,
    pub topic: TopicName,
    /// Who takes the leases: unique to a worker.
    pub member: String,
    pub max_records: u32,
    pub max_wait: Duration,
}

/// A record that is leased to a worker until `lease_until` on the service's monotonic clock.
#[derive(Clone, Debug)]
pub struct LeasedRecord {
    pub partition: TopicPartition,
    pub record: StoredRecord,
    /// 1 for the first delivery.
    pub delivery: u16,
    pub lease: Duration,
}

/// What becomes of a leased record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOutcome {
    /// Done; it is not delivered again.
    Accept,
    /// Deliver it again, to anyone; the delivery counts.
    Release,
    /// It can never be processed: to the dead-letter topic.
    Reject,
    /// Still working: start the lease anew.
    Renew,
}

#[derive(Clone, Debug)]
pub struct ShareAcknowledge {
    pub group: GroupId,
    pub member: String,
    pub outcomes: Vec<(TopicPartition, Offset, ShareOutcome)>,
}
