//! One transactional id: who its producer is, where its transaction stands, and every step from one state to the next.
//!
//! ```text
//!                    add                 end                    markers written
//!   Empty ─────────────────▶ Ongoing ──────────▶ PrepareCommit ─────────────────▶ CompleteCommit ─┐
//!     ▲ init                 ▲   │     timeout,                                                   │ add: Ongoing
//!     │                      │   │     init, end                  markers written                 │
//!     └── CompleteCommit     │   └──────────────▶ PrepareAbort ─────────────────▶ CompleteAbort ──┤
//!     └── CompleteAbort      └────────────────────────────────────────────────────────────────────┘
//! ```
//! The functions here compute the state that follows; nothing is true before it is stored. Epochs: a client of version 1
//! keeps its epoch from transaction to transaction; one of version 2 gets a new one with every end. A fence, by timeout
//! or by another producer that starts, raises it too, so that whoever had it is refused from then on. Epochs end at
//! `i16::MAX`, which no client ever gets: the producer id is exchanged for a new one instead.

use crate::types::{ProducerIdentity, Timestamp, TopicPartition, TransactionState as State, TransactionVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// The last epoch that a client gets; one more is left for the marker that ends its last transaction.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// What is known of one transactional id, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// Whose it is. Epoch -1 before the first producer has started.
    pub(crate) producer: ProducerIdentity,
    /// Who the producer was before the last change, if it asked for that change: so that asking again is known as such.
    pub(crate) previous: Option<ProducerIdentity>,
    /// Who the producer is when the transaction that is being ended is complete, if the epochs of its id are used up.
    pub(crate) successor: Option<ProducerIdentity>,
    pub(crate) timeout: Duration,
    pub(crate) state: State,
    /// What it writes to; empty when nothing is open.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// When the first partition was added; the beginning of time when nothing is open.
    pub(crate) started: Timestamp,
    pub(crate) updated: Timestamp,
}

impl Transaction {
    /// That of an id that nobody used before.
    pub(super) fn new(producer_id: i64, timeout: Duration, now: Timestamp) -> Self {
        Self {
            producer: ProducerIdentity { id: producer_id, epoch: -1 },
            previous: None,
            successor: None,
            timeout,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started: Timestamp::MIN,
            updated: now,
        }
    }

    /// Whether it was decided how it ends, and is being written.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.state, State::PrepareCommit | State::PrepareAbort)
    }

    /// Whether the next change of the epoch needs a new producer id.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.producer.epoch >= LAST_EPOCH
    }

    /// A producer starts, or starts again (`again`: it said who it was). `fresh` is a new producer id.
    pub(super) fn init(&self, timeout: Duration, again: bool, fresh: Option<i64>, now: Timestamp) -> Self {
        assert!(!self.is_ending() && self.state != State::Ongoing, "nothing is open");
        let producer = match fresh {
            Some(id) => ProducerIdentity { id, epoch: 0 },
            None => ProducerIdentity { id: self.producer.id, epoch: self.producer.epoch + 1 },
        };
        let previous = (again && self.producer.epoch >= 0).then_some(self.producer);
        Self { producer, previous, ..Self::new(producer.id, timeout, now) }
    }

    /// More partitions are in it; it begins with the first.
    pub(super) fn add(&self, partitions: &BTreeSet<TopicPartition>, now: Timestamp) -> Self {
        assert!(!self.is_ending(), "what is being ended takes no partitions");
        let mut next = self.clone();
        if self.state != State::Ongoing {
            (next.state, next.started) = (State::Ongoing, now);
        }
        next.partitions.extend(partitions.iter().cloned());
        next.updated = now;
        next
    }

    /// Its producer ends it. `fresh` is a new producer id, needed where the epochs are used up.
    pub(super) fn end(&self, commit: bool, version: TransactionVersion, fresh: Option<i64>, now: Timestamp) -> Self {
        let mut next = self.prepare(commit, now);
        if version == TransactionVersion::V2 {
            next.previous = Some(self.producer);
            next.producer.epoch = self.producer.epoch.saturating_add(1);
            next.successor = fresh.map(|id| ProducerIdentity { id, epoch: 0 });
        }
        next
    }

    /// It is aborted without its producer, who may not write any more.
    pub(super) fn fence(&self, now: Timestamp) -> Self {
        let mut next = self.prepare(false, now);
        next.producer.epoch = self.producer.epoch.saturating_add(1);
        next
    }

    fn prepare(&self, commit: bool, now: Timestamp) -> Self {
        assert!(!self.is_ending(), "it is ended once");
        let state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        Self { state, previous: None, updated: now, ..self.clone() }
    }

    /// Its markers are written.
    pub(super) fn complete(&self, now: Timestamp) -> Self {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            State::PrepareAbort => State::CompleteAbort,
            other => unreachable!("{other} has no markers"),
        };
        Self {
            producer: self.successor.unwrap_or(self.producer),
            successor: None,
            state,
            partitions: BTreeSet::new(),
            started: Timestamp::MIN,
            updated: now,
            ..self.clone()
        }
    }
}
