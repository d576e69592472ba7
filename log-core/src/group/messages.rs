//! What the machine takes and gives, and what it stores.

use crate::types::{Error, GroupId, Offset, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What the machine is told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Time has passed.
    Tick,
    /// A client joins; `member` is `None` the first time. `topics` are with their partition counts.
    Join { group: GroupId, member: Option<String>, topics: Vec<(TopicName, PartitionIndex)>, session_timeout: Duration },
    /// A member lives.
    Heartbeat { group: GroupId, member: String, generation: u32 },
    /// A member leaves.
    Leave { group: GroupId, member: String },
    /// A member, or a client that manages its own partitions, commits.
    Commit { group: GroupId, member: Option<(String, u32)>, offsets: Vec<StoredOffset>, at: Timestamp },
    /// A group without members is to be forgotten.
    Delete { group: GroupId },
    /// A record of `__consumer_offsets` is durable at this position: after a `Persist`, and on replay.
    Stored { record: GroupRecord, position: Offset },
    /// A topic is gone, and what was committed for it.
    TopicDeleted { topic_id: TopicId },
}

/// What the machine wants done, or answers.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// To the client that joined.
    Joined { group: GroupId, member: String, generation: u32, assignment: Vec<TopicPartition> },
    /// To the member whose heartbeat it was.
    Alive,
    /// To whoever asked: no, and nothing has changed.
    Refused(Error),
    /// A member has left.
    Left { group: GroupId, member: String },
    /// A member was silent for too long.
    Expired { group: GroupId, member: String },
    /// A new generation has begun.
    Rebalanced { group: GroupId, generation: u32, members: usize },
    /// Append this to `__consumer_offsets`, and when it is durable step with [`Input::Stored`].
    Persist(GroupRecord),
}

/// A record of the internal topic `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GroupRecord {
    /// Offsets were committed together.
    Offsets { group: GroupId, offsets: Vec<StoredOffset>, at: Timestamp },
    /// The group's offsets up to here are forgotten.
    Deleted { group: GroupId },
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredOffset {
    /// The partition by name.
    pub(crate) partition: TopicPartition,
    /// The topic's identity when it was committed.
    pub(crate) topic_id: TopicId,
    /// The next offset to read.
    pub(crate) offset: Offset,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => f.write_str("tick"),
            Self::Join { group, member, topics, session_timeout } => {
                write!(f, "join {group} as {} session {session_timeout:?}", member.as_deref().unwrap_or("new"))?;
                topics.iter().try_for_each(|(topic, partitions)| write!(f, " {topic}×{partitions}"))
            }
            Self::Heartbeat { group, member, generation } => write!(f, "heartbeat {group} {member} g{generation}"),
            Self::Leave { group, member } => write!(f, "leave {group} {member}"),
            Self::Commit { group, member, offsets, .. } => {
                write!(f, "commit {group}")?;
                if let Some((member, generation)) = member {
                    write!(f, " {member} g{generation}")?;
                }
                write_offsets(f, offsets)
            }
            Self::Delete { group } => write!(f, "delete {group}"),
            Self::Stored { record, position } => write!(f, "stored @{position} {record}"),
            Self::TopicDeleted { topic_id } => write!(f, "topic {topic_id} deleted"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { group, member, generation, assignment } => {
                write!(f, "joined {group} {member} g{generation}:")?;
                assignment.iter().try_for_each(|tp| write!(f, " {tp}"))
            }
            Self::Alive => f.write_str("alive"),
            Self::Refused(error) => write!(f, "refused {}: {error}", error.code()),
            Self::Left { group, member } => write!(f, "left {group} {member}"),
            Self::Expired { group, member } => write!(f, "expired {group} {member}"),
            Self::Rebalanced { group, generation, members } => {
                write!(f, "rebalanced {group} g{generation} members {members}")
            }
            Self::Persist(record) => write!(f, "persist {record}"),
        }
    }
}

impl fmt::Display for GroupRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offsets { group, offsets, .. } => {
                write!(f, "offsets {group}")?;
                write_offsets(f, offsets)
            }
            Self::Deleted { group } => write!(f, "deleted {group}"),
        }
    }
}

fn write_offsets(f: &mut fmt::Formatter<'_>, offsets: &[StoredOffset]) -> fmt::Result {
    offsets.iter().try_for_each(|stored| write!(f, " {}={}", stored.partition, stored.offset))
}
