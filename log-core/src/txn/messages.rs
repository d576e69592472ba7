//! What the machine takes and gives: closed enums, whose text is the log line and the golden script's.

use super::transaction::Transaction;
use crate::types::{Error, ProducerIdentity, Result, Timestamp, TopicPartition, TransactionVersion, TransactionalId};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// What an answer is to: given with the request, unique among those that are unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// What the machine is told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Time has passed.
    Tick,
    /// These producer ids may be given out from here on.
    ProducerIds(Range<i64>),
    /// A producer starts under a transactional id, or goes on after an error: then it says who it was.
    InitProducerId { request: RequestId, id: TransactionalId, timeout: Duration, expected: Option<ProducerIdentity> },
    /// Partitions are about to be written to.
    AddPartitions {
        request: RequestId,
        id: TransactionalId,
        producer: ProducerIdentity,
        partitions: BTreeSet<TopicPartition>,
    },
    /// The producer ends its transaction.
    End {
        request: RequestId,
        id: TransactionalId,
        producer: ProducerIdentity,
        commit: bool,
        version: TransactionVersion,
    },
    /// What the [`Effect::Persist`] of this number asked for is durable.
    Stored { id: TransactionalId, number: u64 },
    /// It could not be written, and is not there.
    NotStored { id: TransactionalId, number: u64, error: Error },
    /// Every partition has the marker of this producer's transaction.
    MarkersWritten { id: TransactionalId, producer: ProducerIdentity },
    /// One of them has not.
    MarkersFailed { id: TransactionalId, producer: ProducerIdentity },
    /// A record of `__transaction_state`; `None` for a tombstone.
    Replay { id: TransactionalId, record: Option<Transaction> },
    /// All records were replayed.
    Replayed,
}

/// What the machine wants done, or answers.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Append this under the id to `__transaction_state`, in this order, and step with [`Input::Stored`] when it is
    /// durable. `None` is a tombstone.
    Persist { id: TransactionalId, number: u64, record: Option<Transaction> },
    /// Append a marker to each partition, and step with [`Input::MarkersWritten`] when all are durable.
    WriteMarkers { id: TransactionalId, producer: ProducerIdentity, commit: bool, partitions: BTreeSet<TopicPartition> },
    /// To whoever asked. After an end it is who the producer is in its next transaction.
    Reply { request: RequestId, result: Result<ProducerIdentity> },
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
            Self::ProducerIds(ids) => write!(f, "producer ids [{}, {})", ids.start, ids.end),
            Self::InitProducerId { request, id, timeout, expected } => {
                write!(f, "{request} init {id} timeout {timeout:?}")?;
                expected.map_or(Ok(()), |expected| write!(f, " was {expected}"))
            }
            Self::AddPartitions { request, id, producer, partitions } => {
                write!(f, "{request} add to {id} {producer}:{}", Listed(partitions))
            }
            Self::End { request, id, producer, commit, version } => {
                write!(f, "{request} {} {id} {producer} {version:?}", verb(*commit))
            }
            Self::Stored { id, number } => write!(f, "stored {id} #{number}"),
            Self::NotStored { id, number, error } => write!(f, "not stored {id} #{number}: {error}"),
            Self::MarkersWritten { id, producer } => write!(f, "markers of {id} {producer} written"),
            Self::MarkersFailed { id, producer } => write!(f, "markers of {id} {producer} not written"),
            Self::Replay { id, record: Some(record) } => write!(f, "replay {id} {record}"),
            Self::Replay { id, record: None } => write!(f, "replay {id} forgotten"),
            Self::Replayed => f.write_str("replayed"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Persist { id, number, record: Some(record) } => write!(f, "persist #{number} {id} {record}"),
            Self::Persist { id, number, record: None } => write!(f, "persist #{number} {id} forgotten"),
            Self::WriteMarkers { id, producer, commit, partitions } => {
                write!(f, "write markers of {id} {producer} {}:{}", verb(*commit), Listed(partitions))
            }
            Self::Reply { request, result: Ok(producer) } => write!(f, "{request} ok {producer}"),
            Self::Reply { request, result: Err(error) } => write!(f, "{request} refused {}: {error}", error.code()),
        }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.producer, self.state)?;
        self.previous.map_or(Ok(()), |previous| write!(f, " after {previous}"))?;
        self.successor.map_or(Ok(()), |successor| write!(f, " then {successor}"))?;
        if self.started != Timestamp::MIN {
            write!(f, " since {}", self.started.0)?;
        }
        write!(f, "{}", Listed(&self.partitions))
    }
}

/// Partitions, each with a space before it.
struct Listed<'a>(&'a BTreeSet<TopicPartition>);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|partition| write!(f, " {partition}"))
    }
}

const fn verb(commit: bool) -> &'static str {
    if commit { "commit" } else { "abort" }
}
