//! The requests and responses of consumer groups. Those of members are in `types`, where the coordinator has them too.

pub use crate::types::{
    CommittedPosition, ConsumerHeartbeat, ConsumerHeartbeatAnswer, GroupClient, JoinGroup, JoinedGroup, JoinedMember,
    Membership, SyncGroup, SyncedGroup,
};

use crate::types::{GroupId, GroupState, Offset, Timestamp, TopicPartition};
use std::time::Duration;

/// Says that a member of the classic protocol lives (Kafka's Heartbeat).
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group: GroupId,
    /// The member, and the generation that it knows.
    pub who: Membership,
}

/// Gives up places (Kafka's LeaveGroup).
#[derive(Clone, Debug)]
pub struct LeaveGroup {
    /// The group.
    pub group: GroupId,
    /// The members: each by its id, its instance id or both.
    pub members: Vec<(String, Option<String>)>,
}

/// Commits positions (Kafka's OffsetCommit).
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// The group.
    pub group: GroupId,
    /// The member that commits; `None` for a client that manages its own partitions (refused while the group has active
    /// members).
    pub member: Option<Membership>,
    /// The next offset to read of each partition, and what is to be remembered with it.
    pub offsets: Vec<(TopicPartition, CommittedPosition)>,
}

/// Asks for committed positions (Kafka's OffsetFetch).
#[derive(Clone, Debug)]
pub struct CommittedOffsets {
    /// The group.
    pub group: GroupId,
    /// Refuse while a transaction is open that has committed positions of the group (KIP-447).
    pub require_stable: bool,
}

impl CommittedOffsets {
    /// Those that are committed, whatever is under way.
    pub fn of(group: GroupId) -> Self {
        Self { group, require_stable: false }
    }
}

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the leader that the record before was read from.
    pub leader_epoch: Option<i32>,
    /// What was to be remembered with it.
    pub metadata: String,
    /// When it was committed; `None` if the service does not tell.
    pub committed_at: Option<Timestamp>,
}

/// Forgets committed positions of topics that no member reads (Kafka's OffsetDelete).
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// The group.
    pub group: GroupId,
    /// Of which partitions.
    pub partitions: Vec<TopicPartition>,
}

/// Asks about groups (Kafka's DescribeGroups).
#[derive(Clone, Debug, Default)]
pub struct DescribeGroups {
    /// `None` for all; a named group that is missing is an error.
    pub groups: Option<Vec<GroupId>>,
}

/// What a group does with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Publish-subscribe: each partition is read by one member, positions are committed.
    Consumer,
    /// A queue: each record is leased to one worker.
    Share,
}

/// A group as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// The group.
    pub group: GroupId,
    /// What it does with records.
    pub kind: GroupKind,
    /// Where it stands.
    pub state: GroupState,
    /// Grows with every rebalance.
    pub generation: i32,
    /// Active members.
    pub members: Vec<GroupMember>,
    /// The partitions, in order.
    pub partitions: Vec<GroupPartition>,
}

/// An active member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member: String,
    /// The client.
    pub client: GroupClient,
    /// The partitions that it reads.
    pub assignment: Vec<TopicPartition>,
}

/// How far a group is with one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPartition {
    /// The partition.
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

/// Forgets a group (Kafka's DeleteGroups).
#[derive(Clone, Debug)]
pub struct DeleteGroup {
    /// The group.
    pub group: GroupId,
}
