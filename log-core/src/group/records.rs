//! What `__consumer_offsets` holds.
//!
//! ```text
//!   key    bincode of `Key`: what the record is about
//!   value  bincode of the state under that key, all of it; none: forgotten
//! ```
//! The last record of each key is enough, so the topic is compacted. One batch is one change: all of it is there after a
//! crash, or none.
//!
//! Variants and fields are stored by position: new ones come last. Records without a key are those of versions before
//! 0.1.0's release, which knew offsets only; they are read.

use super::messages::short;
use crate::codec::{from_bincode, to_bincode};
use crate::types::{
    CommittedPosition, Error, GroupClient, GroupId, Offset, PartitionIndex, Result, Timestamp, TopicId, TopicName,
    TopicPartition,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Key {
    Offset(GroupId, TopicPartition),
    Pending(GroupId, i64, TopicPartition),
    Group(GroupId),
    Member(GroupId, String),
}

/// A record: what is known under a key; `None` if it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A committed position.
    Offset { group: GroupId, partition: TopicPartition, state: Option<Committed> },
    /// A position that counts when the transaction of this producer is committed.
    Pending { group: GroupId, producer_id: i64, partition: TopicPartition, state: Option<Pending> },
    /// A group without its members of the consumer protocol.
    Group { group: GroupId, state: Option<GroupRecord> },
    /// A member of the consumer protocol.
    Member { group: GroupId, member: String, state: Option<MemberRecord> },
    /// Read only: all offsets of the group were forgotten.
    Forgotten { group: GroupId },
}

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) position: CommittedPosition,
    /// The topic that it belongs to: one made again under the same name starts without commits.
    pub(crate) topic_id: TopicId,
    /// When it was committed.
    pub(crate) at: Timestamp,
}

/// A position that was committed in a transaction that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) producer_epoch: i16,
    pub(crate) committed: Committed,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GroupRecord {
    Classic {
        generation: i32,
        protocol_type: Option<String>,
        protocol: Option<String>,
        leader: Option<String>,
        /// Since when it has no members.
        empty_since: Timestamp,
        members: Vec<ClassicMemberRecord>,
    },
    Consumer {
        epoch: i32,
        assignment_epoch: i32,
        empty_since: Timestamp,
    },
}

/// A member of the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassicMemberRecord {
    pub(crate) member: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: GroupClient,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocols: Vec<(String, Vec<u8>)>,
    pub(crate) assignment: Vec<u8>,
}

/// Partitions by topic.
pub(crate) type Partitions = BTreeMap<TopicId, BTreeSet<PartitionIndex>>;

/// A member of the consumer protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client: GroupClient,
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) regex: Option<String>,
    pub(crate) assignor: Option<String>,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) session_timeout: Duration,
    /// What it owns and may keep.
    pub(crate) assigned: Partitions,
    /// What it has to give up first.
    pub(crate) revoking: Partitions,
    /// What it waits for is owned by others.
    pub(crate) is_waiting: bool,
    /// What it is to own in the end.
    pub(crate) target: Partitions,
}

/// A record without a key.
#[derive(Serialize, Deserialize)]
enum OldRecord {
    Offsets { group: GroupId, offsets: Vec<OldOffset>, at: Timestamp },
    Deleted { group: GroupId },
}

#[derive(Serialize, Deserialize)]
struct OldOffset {
    partition: TopicPartition,
    topic_id: TopicId,
    offset: Offset,
}

impl Record {
    /// What it is about. `None` of those that are read only.
    pub(crate) fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Offset { group, partition, .. } => Key::Offset(group.clone(), partition.clone()),
            Self::Pending { group, producer_id, partition, .. } => {
                Key::Pending(group.clone(), *producer_id, partition.clone())
            }
            Self::Group { group, .. } => Key::Group(group.clone()),
            Self::Member { group, member, .. } => Key::Member(group.clone(), member.clone()),
            Self::Forgotten { .. } => return None,
        })
    }

    /// As it is stored: key and value.
    pub(crate) fn to_bytes(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
            let mut bytes = Vec::new();
            to_bincode(value, &mut bytes);
            bytes
        }
        let value = match self {
            Self::Offset { state, .. } => state.as_ref().map(bytes),
            Self::Pending { state, .. } => state.as_ref().map(bytes),
            Self::Group { state, .. } => state.as_ref().map(bytes),
            Self::Member { state, .. } => state.as_ref().map(bytes),
            Self::Forgotten { .. } => None,
        };
        (self.key().as_ref().map(bytes), value)
    }

    /// Reads what was stored. A record of a version before is several.
    pub(crate) fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Vec<Self>> {
        fn state<T: DeserializeOwned>(value: Option<&[u8]>) -> Result<Option<T>> {
            value.map(decode).transpose()
        }
        let Some(key) = key else {
            return Ok(match decode(value.unwrap_or_default())? {
                OldRecord::Offsets { group, offsets, at } => {
                    let record = |OldOffset { partition, topic_id, offset }| {
                        let committed = Committed { position: offset.into(), topic_id, at };
                        Self::Offset { group: group.clone(), partition, state: Some(committed) }
                    };
                    offsets.into_iter().map(record).collect()
                }
                OldRecord::Deleted { group } => vec![Self::Forgotten { group }],
            });
        };
        Ok(vec![match decode(key)? {
            Key::Offset(group, partition) => Self::Offset { group, partition, state: state(value)? },
            Key::Pending(group, producer_id, partition) => {
                Self::Pending { group, producer_id, partition, state: state(value)? }
            }
            Key::Group(group) => Self::Group { group, state: state(value)? },
            Key::Member(group, member) => Self::Member { group, member, state: state(value)? },
        }])
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    from_bincode(bytes).map_err(|error| Error::Malformed { why: error.to_string() })
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { group, partition, state: Some(state) } => {
                write!(f, "{group} {partition} at {}", state.position.offset)
            }
            Self::Offset { group, partition, state: None } => write!(f, "{group} {partition} forgotten"),
            Self::Pending { group, producer_id, partition, state: Some(state) } => {
                write!(f, "{group} {partition} at {} if {producer_id} commits", state.committed.position.offset)
            }
            Self::Pending { group, producer_id, partition, state: None } => {
                write!(f, "{group} {partition} of {producer_id} ended")
            }
            Self::Group { group, state: None } => write!(f, "{group} forgotten"),
            Self::Group { group, state: Some(GroupRecord::Classic { generation, protocol, members, .. }) } => {
                write!(f, "{group} classic g{generation} {}", protocol.as_deref().unwrap_or("-"))?;
                members.iter().try_for_each(|member| {
                    write!(f, " [{} {}]", member.member, String::from_utf8_lossy(&member.assignment))
                })
            }
            Self::Group { group, state: Some(GroupRecord::Consumer { epoch, assignment_epoch, .. }) } => {
                write!(f, "{group} consumer epoch {epoch} assigned {assignment_epoch}")
            }
            Self::Member { group, member, state: None } => write!(f, "{group} {member} forgotten"),
            Self::Member { group, member, state: Some(state) } => {
                write!(f, "{group} {member} epoch {} owns{}", state.epoch, Listed(&state.assigned))?;
                if !state.revoking.is_empty() {
                    write!(f, " revokes{}", Listed(&state.revoking))?;
                }
                write!(f, " target{}", Listed(&state.target))
            }
            Self::Forgotten { group } => write!(f, "{group}'s offsets forgotten"),
        }
    }
}

/// ` t1[0, 1] t2[3]`
pub(super) struct Listed<'a>(pub(super) &'a Partitions);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(id, partitions)| {
            let partitions: Vec<_> = partitions.iter().collect();
            write!(f, " {}{partitions:?}", short(*id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn records_of_versions_before_are_read() {
        let group = GroupId::new("g").unwrap();
        let partition = TopicPartition::new(TopicName::new("t").unwrap(), 3);
        let topic_id = TopicId(Uuid::from_u128(1));
        let offsets = vec![OldOffset { partition: partition.clone(), topic_id, offset: 7 }];
        let mut bytes = Vec::new();
        to_bincode(&OldRecord::Offsets { group: group.clone(), offsets, at: Timestamp(5) }, &mut bytes);
        let state = Some(Committed { position: 7.into(), topic_id, at: Timestamp(5) });
        assert_eq!(Record::read(None, Some(&bytes)).unwrap(), [Record::Offset { group, partition, state }]);
        assert!(Record::read(Some(&[1, 2, 3]), None).is_err());
        assert!(Record::read(None, None).is_err());
    }
}
