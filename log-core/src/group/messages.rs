//! What the machine takes and gives: closed enums, whose text is the log line and the golden script's.

use super::records::Record;
use crate::types::{
    CommittedPosition, ConsumerHeartbeat, ConsumerHeartbeatAnswer, Error, GroupId, Instant, JoinGroup, JoinedGroup,
    Membership, PartitionIndex, ProducerIdentity, Result, SyncGroup, SyncedGroup, Timestamp, TopicId, TopicName,
    TopicPartition,
};
use std::fmt;
use std::time::Duration;

/// What an answer is to: given with the request, unique among those that are unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// The moment of a step, by both clocks: one for sessions, one for what is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) time: Timestamp,
}

/// A position to commit, in a topic of this identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: TopicPartition,
    pub(crate) topic_id: TopicId,
    pub(crate) position: CommittedPosition,
}

/// What the machine is told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Time has passed.
    Tick,
    /// A topic is there, with so many partitions.
    Topic { name: TopicName, id: TopicId, partitions: PartitionIndex },
    /// A topic is gone, and what was committed for it.
    TopicDeleted { id: TopicId },
    /// Classic protocol: joins. Answered when all members have, with [`Reply::Joined`].
    Join { request: RequestId, join: Box<JoinGroup> },
    /// Classic protocol: asks for its assignment, and hands in those of all. Answered when they are there, with
    /// [`Reply::Synced`].
    Sync { request: RequestId, sync: Box<SyncGroup> },
    /// Classic protocol: a member lives.
    Heartbeat { request: RequestId, group: GroupId, who: Membership },
    /// Members leave: each by its id, its instance id or both. Answered with [`Reply::Left`].
    Leave { request: RequestId, group: GroupId, members: Vec<(String, Option<String>)> },
    /// Consumer protocol: joins, lives, leaves. Answered with [`Reply::Beat`]; what a group may set for itself comes along.
    Beat { request: RequestId, beat: Box<ConsumerHeartbeat>, session_timeout: Duration, interval: Duration },
    /// Commits positions: of a member, or of a client that manages its own partitions; with a transaction, if a producer
    /// is named: they count when it is committed.
    Commit {
        request: RequestId,
        group: GroupId,
        who: Option<Membership>,
        producer: Option<ProducerIdentity>,
        positions: Vec<Position>,
    },
    /// A transaction has ended, and so the positions that were committed with it count or are forgotten.
    EndTransaction { request: RequestId, producer_id: i64, commit: bool },
    /// Committed positions are to be forgotten.
    DeleteOffsets { request: RequestId, group: GroupId, partitions: Vec<TopicPartition> },
    /// A group without members is to be forgotten.
    Delete { request: RequestId, group: GroupId },
    /// What the [`Effect::Persist`] of this number asked for is durable. These come in the order of their numbers.
    Stored { number: u64 },
    /// It could not be written, and is not there.
    NotStored { number: u64, error: Error },
    /// A record of `__consumer_offsets`, in its order.
    Replay(Record),
    /// All records were replayed: sessions begin now.
    Replayed,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    Joined(JoinedGroup),
    Synced(SyncedGroup),
    Beat(ConsumerHeartbeatAnswer),
    /// What became of each member, in the order of the request.
    Left(Vec<Option<Refused>>),
}

/// An error in an answer that says more than one thing.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub(crate) Error);

impl PartialEq for Refused {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for Refused {}

/// What the machine wants done, or answers.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Append these to `__consumer_offsets` as one batch, in the order of the numbers, and when they are durable step with
    /// [`Input::Stored`].
    Persist { number: u64, records: Vec<Record> },
    /// To whoever asked.
    Reply { request: RequestId, result: Result<Reply> },
    /// A member was silent for too long, or did not join or give up partitions in time.
    Expired { group: GroupId, member: String },
    /// A generation has begun.
    Rebalanced { group: GroupId, generation: i32, members: usize },
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => f.write_str("tick"),
            Self::Topic { name, id, partitions } => write!(f, "topic {name} {id} ×{partitions}"),
            Self::TopicDeleted { id } => write!(f, "topic {id} deleted"),
            Self::Join { request, join } => {
                write!(f, "{request} join {} as {:?}", join.group, join.member)?;
                join.instance.iter().try_for_each(|instance| write!(f, " instance {instance}"))?;
                join.protocols.iter().try_for_each(|(name, _)| write!(f, " {name}"))
            }
            Self::Sync { request, sync } => {
                let SyncGroup { group, who, assignments, .. } = &**sync;
                write!(f, "{request} sync {group} {}, {} assignments", Who(who), assignments.len())
            }
            Self::Heartbeat { request, group, who } => write!(f, "{request} heartbeat {group} {}", Who(who)),
            Self::Leave { request, group, members } => write!(f, "{request} leave {group} {members:?}"),
            Self::Beat { request, beat, .. } => {
                write!(f, "{request} beat {} {} epoch {}", beat.group, beat.member, beat.epoch)
            }
            Self::Commit { request, group, who, producer, positions } => {
                write!(f, "{request} commit {group}")?;
                who.iter().try_for_each(|who| write!(f, " {}", Who(who)))?;
                producer.iter().try_for_each(|producer| write!(f, " with {producer}"))?;
                positions.iter().try_for_each(|p| write!(f, " {}={}", p.partition, p.position.offset))
            }
            Self::EndTransaction { request, producer_id, commit } => {
                write!(f, "{request} transaction of {producer_id} {}", if *commit { "committed" } else { "aborted" })
            }
            Self::DeleteOffsets { request, group, partitions } => {
                write!(f, "{request} forget in {group}")?;
                partitions.iter().try_for_each(|partition| write!(f, " {partition}"))
            }
            Self::Delete { request, group } => write!(f, "{request} delete {group}"),
            Self::Stored { number } => write!(f, "stored #{number}"),
            Self::NotStored { number, error } => write!(f, "not stored #{number}: {error}"),
            Self::Replay(record) => write!(f, "replay {record}"),
            Self::Replayed => f.write_str("replayed"),
        }
    }
}

/// `member g3`
struct Who<'a>(&'a Membership);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} g{}", self.0.member, self.0.generation)?;
        self.0.instance.iter().try_for_each(|instance| write!(f, " instance {instance}"))
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Persist { number, records } => {
                write!(f, "persist #{number}")?;
                records.iter().try_for_each(|record| write!(f, "\n  {record}"))
            }
            Self::Reply { request, result: Ok(reply) } => write!(f, "{request} {reply}"),
            Self::Reply { request, result: Err(error) } => write!(f, "{request} refused {}: {error}", error.code()),
            Self::Expired { group, member } => write!(f, "expired {group} {member}"),
            Self::Rebalanced { group, generation, members } => {
                write!(f, "rebalanced {group} g{generation} members {members}")
            }
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Joined(joined) => {
                let JoinedGroup { member, generation, protocol, leader, members, skip_assignment, .. } = joined;
                write!(f, "joined {member} g{generation} {protocol} leader {leader}")?;
                if *skip_assignment {
                    f.write_str(" skip")?;
                }
                members.iter().try_for_each(|member| {
                    write!(f, " [{} {}]", member.member, String::from_utf8_lossy(&member.metadata))
                })
            }
            Self::Synced(synced) => {
                write!(f, "synced {}: {}", synced.protocol, String::from_utf8_lossy(&synced.assignment))
            }
            Self::Beat(ConsumerHeartbeatAnswer { member, epoch, assignment, .. }) => {
                write!(f, "beat {member} epoch {epoch}")?;
                let Some(assignment) = assignment else { return Ok(()) };
                f.write_str(" own:")?;
                assignment.iter().try_for_each(|(id, partitions)| write!(f, " {}{partitions:?}", short(*id)))
            }
            Self::Left(members) => {
                f.write_str("left")?;
                members.iter().try_for_each(|member| match member {
                    None => f.write_str(" ok"),
                    Some(Refused(error)) => write!(f, " ({error})"),
                })
            }
        }
    }
}

/// The last digits of a topic's id, enough to follow a trace.
pub(super) fn short(id: TopicId) -> String {
    format!("t{:x}", id.0.as_u128() & 0xffff)
}
