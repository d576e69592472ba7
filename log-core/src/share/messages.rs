//! What the machine takes and gives, and what it stores.

use crate::types::{Error, GroupId, Offset, OffsetRange, ShareOutcome, TopicId, TopicPartition};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the machine is told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Time has passed.
    Tick,
    /// A worker wants up to `max` records; they are readable below `high_watermark`.
    Acquire { member: String, max: u32, high_watermark: Offset },
    /// These offsets hold no record, or none any more: it was compacted away or deleted. Below the start and up to the
    /// end, or a part of what was delivered.
    Missing { ranges: Vec<OffsetRange> },
    /// A worker says what became of its records.
    Acknowledge { member: String, outcomes: Vec<(Offset, ShareOutcome)> },
    /// A record's copy is durable in the dead-letter topic.
    DeadLettered { offset: Offset },
    /// The copy could not be written.
    DeadLetterFailed { offset: Offset },
    /// What `Persist` asked for is in the log.
    Persisted,
    /// What `Persist` asked for could not be written; the proposal is dropped.
    NotPersisted,
}

/// What the machine wants done, or answers.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Append this to `__share_state`, and answer `Persisted` or `NotPersisted` before anything else.
    Persist(Change),
    /// These records are the worker's. Hand them out once the change before is durable.
    Leased { offsets: OffsetRange, deliveries: u16 },
    /// These records are finished, once the change before is durable.
    Finished { offsets: Vec<Offset> },
    /// A record can be had again.
    Available { offset: Offset },
    /// Copy this record to the dead-letter topic; answer `DeadLettered` or `DeadLetterFailed`.
    DeadLetter { offset: Offset, deliveries: u16, reason: &'static str },
    /// To the worker: not yours.
    Refused(Error),
}

/// A change of the durable state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Everything below is finished.
    pub(crate) start: Offset,
    /// What is known of offsets from there on; later changes override earlier ones.
    pub(crate) ranges: Vec<StateRange>,
}

/// Offsets `[start, end)` that share a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRange {
    /// The first offset.
    pub(crate) start: Offset,
    /// Behind the last offset.
    pub(crate) end: Offset,
    /// Their state.
    pub(crate) state: RecordState,
}

/// The durable part of a record's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecordState {
    /// Delivered so many times and not finished.
    Delivered(u16),
    /// Accepted, in the dead-letter topic, or not there.
    Finished,
}

/// A record of the internal topic `__share_state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ShareRecord {
    /// The queue's state has changed.
    Change { group: GroupId, partition: TopicPartition, topic_id: TopicId, change: Change },
    /// The queue's whole state; what came before need not be known.
    Snapshot { group: GroupId, partition: TopicPartition, topic_id: TopicId, change: Change },
    /// The group's queues are forgotten, on all topics.
    Deleted { group: GroupId },
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick => f.write_str("tick"),
            Self::Acquire { member, max, high_watermark } => write!(f, "acquire {member} {max} below {high_watermark}"),
            Self::Missing { ranges } => {
                f.write_str("missing")?;
                ranges.iter().try_for_each(|range| write!(f, " {range}"))
            }
            Self::Acknowledge { member, outcomes } => {
                write!(f, "acknowledge {member}")?;
                outcomes.iter().try_for_each(|(offset, outcome)| write!(f, " {offset}:{outcome:?}"))
            }
            Self::DeadLettered { offset } => write!(f, "dead-lettered {offset}"),
            Self::DeadLetterFailed { offset } => write!(f, "dead letter failed {offset}"),
            Self::Persisted => f.write_str("persisted"),
            Self::NotPersisted => f.write_str("not persisted"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Persist(change) => write!(f, "persist {change}"),
            Self::Leased { offsets, deliveries } => write!(f, "leased {offsets} delivery {deliveries}"),
            Self::Finished { offsets } => write!(f, "finished {offsets:?}"),
            Self::Available { offset } => write!(f, "available {offset}"),
            Self::DeadLetter { offset, deliveries, reason } => {
                write!(f, "dead letter {offset} deliveries {deliveries}: {reason}")
            }
            Self::Refused(error) => write!(f, "refused {}: {error}", error.code()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {}", self.start)?;
        self.ranges.iter().try_for_each(|range| {
            let offsets = OffsetRange::new(range.start, range.end);
            match range.state {
                RecordState::Delivered(n) => write!(f, " {offsets}×{n}"),
                RecordState::Finished => write!(f, " {offsets} finished"),
            }
        })
    }
}
