//! What members of consumer groups and their coordinator say to each other: joining, positions, and why not.
//!
//! The classic protocol has two steps, join and sync, and the assignment is bytes that only members understand. The
//! consumer protocol (KIP-848) has one request, by which the coordinator tells each member what to own.

use super::{ErrorKind, GroupId, Offset, PartitionIndex, TopicId, TopicName};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Why a group says no (Kafka's error codes, as far as [`Error`](super::Error) has no variant of its own for them).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRefusal {
    /// Join again with this id, so that a client that never hears the answer leaves no member behind (KIP-394).
    MemberIdRequired {
        /// The id.
        member: String,
    },
    /// The group is in another generation.
    IllegalGeneration,
    /// The group rebalances: join again.
    RebalanceInProgress,
    /// The group has another protocol type, or no assignor that the member knows.
    InconsistentProtocol,
    /// The session timeout is outside of the broker's limits.
    InvalidSessionTimeout,
    /// Another member has taken over the instance id.
    FencedInstance,
    /// The group has as many members as it may.
    Full,
    /// The member's epoch is not the one that the coordinator knows: join again.
    FencedMemberEpoch,
    /// The member that has the instance id has not left.
    UnreleasedInstance,
    /// The broker has no such assignor.
    UnsupportedAssignor,
    /// The member's epoch is old: ask again with the one of the next heartbeat.
    StaleMemberEpoch,
    /// The regular expression cannot be compiled.
    InvalidRegex,
    /// A transaction with these positions is open.
    UnstableOffsets,
    /// The text that is to be committed with a position is too long.
    MetadataTooLarge,
    /// Members read the topic.
    Subscribed,
    /// It could not be stored now; ask again.
    NotAvailable,
}

impl GroupRefusal {
    /// Kafka's number for it.
    pub const fn code(&self) -> i16 {
        match self {
            Self::MetadataTooLarge => 12,
            Self::NotAvailable => 15,
            Self::IllegalGeneration => 22,
            Self::InconsistentProtocol => 23,
            Self::InvalidSessionTimeout => 26,
            Self::RebalanceInProgress => 27,
            Self::MemberIdRequired { .. } => 79,
            Self::Full => 81,
            Self::FencedInstance => 82,
            Self::Subscribed => 86,
            Self::UnstableOffsets => 88,
            Self::FencedMemberEpoch => 110,
            Self::UnreleasedInstance => 111,
            Self::UnsupportedAssignor => 112,
            Self::StaleMemberEpoch => 113,
            Self::InvalidRegex => 128,
        }
    }

    /// The refusal of that number, if it says all that there is to say.
    pub const fn of_code(code: i16) -> Option<Self> {
        Some(match code {
            12 => Self::MetadataTooLarge,
            15 => Self::NotAvailable,
            22 => Self::IllegalGeneration,
            23 => Self::InconsistentProtocol,
            26 => Self::InvalidSessionTimeout,
            27 => Self::RebalanceInProgress,
            81 => Self::Full,
            82 => Self::FencedInstance,
            86 => Self::Subscribed,
            88 => Self::UnstableOffsets,
            110 => Self::FencedMemberEpoch,
            111 => Self::UnreleasedInstance,
            112 => Self::UnsupportedAssignor,
            113 => Self::StaleMemberEpoch,
            128 => Self::InvalidRegex,
            _ => return None,
        })
    }

    /// What the caller should do.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::MemberIdRequired { .. }
            | Self::IllegalGeneration
            | Self::RebalanceInProgress
            | Self::FencedInstance
            | Self::FencedMemberEpoch
            | Self::StaleMemberEpoch => ErrorKind::Stale,
            Self::InconsistentProtocol
            | Self::InvalidSessionTimeout
            | Self::UnsupportedAssignor
            | Self::InvalidRegex
            | Self::MetadataTooLarge => ErrorKind::InvalidInput,
            Self::Full | Self::UnreleasedInstance | Self::Subscribed => ErrorKind::Busy,
            Self::UnstableOffsets | Self::NotAvailable => ErrorKind::Retriable,
        }
    }
}

impl fmt::Display for GroupRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MemberIdRequired { member } => return write!(f, "join again as {member}"),
            Self::IllegalGeneration => "it is in another generation",
            Self::RebalanceInProgress => "it rebalances",
            Self::InconsistentProtocol => "its members have another protocol",
            Self::InvalidSessionTimeout => "the session timeout is outside of the broker's limits",
            Self::FencedInstance => "another member has taken over the instance id",
            Self::Full => "it has as many members as it may",
            Self::FencedMemberEpoch => "the member's epoch is not the one that is known",
            Self::UnreleasedInstance => "the member that has the instance id has not left",
            Self::UnsupportedAssignor => "the broker has no such assignor",
            Self::StaleMemberEpoch => "the member's epoch is old",
            Self::InvalidRegex => "the regular expression cannot be compiled",
            Self::UnstableOffsets => "a transaction with these positions is open",
            Self::MetadataTooLarge => "the text that is committed with a position is too long",
            Self::Subscribed => "members read the topic",
            Self::NotAvailable => "its state could not be stored",
        })
    }
}

/// The client behind a member, for those who look at groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupClient {
    /// The name that it gave itself.
    pub id: String,
    /// Where it connects from.
    pub host: String,
}

/// Who says that it is a member, and of what generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its id within the group.
    pub member: String,
    /// The name that it keeps over restarts, if it is a static member (KIP-345).
    pub instance: Option<String>,
    /// The generation that it knows; in the consumer protocol its epoch.
    pub generation: i32,
}

/// Joins a group of the classic protocol (Kafka's JoinGroup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group.
    pub group: GroupId,
    /// The id that the member got before; empty for a new one.
    pub member: String,
    /// The name that it keeps over restarts, if it is a static member.
    pub instance: Option<String>,
    /// The client.
    pub client: GroupClient,
    /// What the group is for: `consumer`.
    pub protocol_type: String,
    /// The assignors that it knows, the preferred first, with what it says to the leader in each.
    pub protocols: Vec<(String, Bytes)>,
    /// A member that is silent for longer is taken to be dead.
    pub session_timeout: Duration,
    /// How long members have to join again when the group rebalances.
    pub rebalance_timeout: Duration,
    /// Whether a new member can be told to join again with an id (KIP-394).
    pub takes_member_id: bool,
    /// Whether a static leader can be told that nothing is to be assigned (KIP-814).
    pub takes_skip: bool,
}

/// A place in a generation; what to read follows by [`SyncGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedGroup {
    /// The member's id.
    pub member: String,
    /// The generation.
    pub generation: i32,
    /// What the group is for.
    pub protocol_type: String,
    /// The assignor that was chosen.
    pub protocol: String,
    /// The member that assigns.
    pub leader: String,
    /// The leader need not assign: everything stays as it is.
    pub skip_assignment: bool,
    /// For the leader alone: all members.
    pub members: Vec<JoinedMember>,
}

/// A member, as the leader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member: String,
    /// The name that it keeps over restarts.
    pub instance: Option<String>,
    /// What it says in the protocol that was chosen.
    pub metadata: Bytes,
}

/// Second step of a rebalance: the leader hands in assignments, and everybody gets its own (Kafka's SyncGroup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group: GroupId,
    /// Who asks.
    pub who: Membership,
    /// To be checked, if it is there.
    pub protocol_type: Option<String>,
    /// To be checked, if it is there.
    pub protocol: Option<String>,
    /// Of the leader: what each member gets.
    pub assignments: Vec<(String, Bytes)>,
}

/// What a member gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedGroup {
    /// What the group is for.
    pub protocol_type: String,
    /// The assignor that was chosen.
    pub protocol: String,
    /// Bytes that members understand.
    pub assignment: Bytes,
}

/// Topics by identity, with partitions of each.
pub type OwnedPartitions = Vec<(TopicId, Vec<PartitionIndex>)>;

/// Joins, stays in, or leaves a group of the consumer protocol (Kafka's ConsumerGroupHeartbeat). What is `None` has not
/// changed since the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: GroupId,
    /// The id that the member made for itself; empty if it wants one.
    pub member: String,
    /// 0 to join, -1 to leave, -2 to leave for a while as a static member; else the epoch that it knows.
    pub epoch: i32,
    /// The name that it keeps over restarts, if it is a static member.
    pub instance: Option<String>,
    /// Where it is.
    pub rack: Option<String>,
    /// The client.
    pub client: GroupClient,
    /// How long it may take to give partitions up.
    pub rebalance_timeout: Option<Duration>,
    /// The topics that it reads.
    pub topics: Option<Vec<TopicName>>,
    /// An expression for the names of topics that it reads; empty for none.
    pub regex: Option<String>,
    /// The assignor that it would like.
    pub assignor: Option<String>,
    /// What it owns.
    pub owned: Option<OwnedPartitions>,
}

/// The answer to a [`ConsumerHeartbeat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeatAnswer {
    /// The member's id.
    pub member: String,
    /// Its epoch.
    pub epoch: i32,
    /// When to say the next.
    pub interval: Duration,
    /// All that it should own; `None` if that has not changed.
    pub assignment: Option<OwnedPartitions>,
}

/// A position that is or was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedPosition {
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the leader that the record before was read from.
    pub leader_epoch: Option<i32>,
    /// Whatever the client wanted to remember with it.
    pub metadata: String,
}

impl From<Offset> for CommittedPosition {
    fn from(offset: Offset) -> Self {
        Self { offset, leader_epoch: None, metadata: String::new() }
    }
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members.
    Empty,
    /// Classic: waits for all members to join again.
    PreparingRebalance,
    /// Classic: waits for the leader's assignment.
    CompletingRebalance,
    /// Consumer: a new assignment has to be made.
    Assigning,
    /// Consumer: members give up and take over partitions.
    Reconciling,
    /// Everybody has what is theirs.
    Stable,
    /// There is no such group.
    Dead,
}

impl GroupState {
    /// Kafka's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_being_a_code() {
        for code in 0..200 {
            if let Some(refusal) = GroupRefusal::of_code(code) {
                assert_eq!(refusal.code(), code);
            }
        }
    }
}
